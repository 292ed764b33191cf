package hostagent

import (
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"penstock/internal/arn"
)

// maxSpecification bounds the text of a deployment specification.
const maxSpecification = 256 << 10

// deployment is what the server says of a deployment.
type deployment struct {
	id, group, groupName, application string
	creator, kind                     string // as user and IN_PLACE
	appSpec                           string // where the AppSpec file is in the bundle
	revision                          s3Revision
	fileExists                        string
	events                            []string // all that the deployment may have; nil is not said
}

// s3Revision says where the bundle is.
type s3Revision struct{ Bucket, Key, BundleType, Version, ETag string }

var (
	dataOID   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	signedOID = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	plainID   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`) })
)

// openEnvelope reads a deployment specification, a JSON text or a PKCS#7 message around one
// (D.2).
//
// A signature is not looked at. The protocol has no way to tell an agent whose it should be:
// a certificate in the message itself proves nothing, and the one AWS's agent knows is AWS's.
// What is trusted is the connection, which is TLS or does not leave this machine.
func openEnvelope(e envelope) (*deployment, error) {
	if len(e.Payload) > 2*maxSpecification {
		return nil, fmt.Errorf("the deployment specification has more than %d bytes", 2*maxSpecification)
	}
	text := []byte(e.Payload)
	switch e.Format {
	case "TEXT/JSON":
	case "PKCS7/JSON":
		var err error
		if text, err = signedContent(text); err != nil {
			return nil, fmt.Errorf("the deployment specification is no PKCS#7 message: %w", err)
		}
	default:
		return nil, sentence("Unsupported DeploymentSpecification format: %s", clip(e.Format))
	}
	return readSpecification(text)
}

// signedContent gives the content of a PKCS#7 SignedData message in PEM.
func signedContent(text []byte) ([]byte, error) {
	block, rest := pem.Decode(text)
	if block == nil || len(strings.TrimSpace(string(rest))) > 0 {
		return nil, errors.New("it is not one block of PEM")
	}
	if block.Type != "PKCS7" && block.Type != "CMS" {
		return nil, fmt.Errorf("it is a %s", clip(block.Type))
	}
	var message struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"explicit,tag:0"`
	}
	if err := unmarshal(block.Bytes, &message); err != nil {
		return nil, err
	}
	if !message.Type.Equal(signedOID) {
		return nil, fmt.Errorf("its type is %v and not that of signed data", message.Type)
	}
	var signed struct {
		Version    int
		Algorithms asn1.RawValue
		Content    struct {
			Type asn1.ObjectIdentifier
			Data []byte `asn1:"explicit,optional,tag:0"`
		}
		Certificates asn1.RawValue `asn1:"optional,tag:0"`
		Revocations  asn1.RawValue `asn1:"optional,tag:1"`
		Signers      asn1.RawValue
	}
	if err := unmarshal(message.Content.Bytes, &signed); err != nil {
		return nil, err
	}
	if !signed.Content.Type.Equal(dataOID) || len(signed.Content.Data) == 0 {
		return nil, errors.New("it has no content")
	}
	return signed.Content.Data, nil
}

// unmarshal reads one value of DER and nothing behind it.
func unmarshal(der []byte, to any) error {
	rest, err := asn1.Unmarshal(der, to)
	if err == nil && len(rest) > 0 {
		err = errors.New("something follows it")
	}
	return err
}

func readSpecification(text []byte) (*deployment, error) {
	var in struct {
		DeploymentId, DeploymentGroupId, DeploymentGroupName, ApplicationName string
		DeploymentCreator, DeploymentType, AppSpecFilename                    string

		Revision *struct {
			RevisionType string
			S3Revision   *s3Revision
		}
		AgentActionOverrides struct {
			AgentOverrides struct{ FileExistsBehavior string }
		}
		AllPossibleLifecycleEvents []string
	}
	if len(text) > maxSpecification {
		return nil, fmt.Errorf("the deployment specification has more than %d bytes", maxSpecification)
	}
	if err := json.Unmarshal(text, &in); err != nil {
		return nil, fmt.Errorf("the deployment specification is no JSON: %w", err)
	}
	for _, field := range []struct{ name, value string }{
		{"DeploymentId", in.DeploymentId}, {"DeploymentGroupId", in.DeploymentGroupId}, {"DeploymentGroupName", in.DeploymentGroupName}, {"ApplicationName", in.ApplicationName},
	} {
		switch {
		case field.value == "":
			return nil, sentence("Deployment Spec has no %s", field.name)
		case strings.ContainsRune(field.value, 0):
			return nil, fmt.Errorf("the %s of the Deployment Spec has a NUL character", field.name)
		}
	}
	d := &deployment{
		id: in.DeploymentId, group: in.DeploymentGroupId, groupName: in.DeploymentGroupName, application: in.ApplicationName,
		creator: or(in.DeploymentCreator, "user"), kind: or(in.DeploymentType, "IN_PLACE"), appSpec: or(in.AppSpecFilename, "appspec.yml"),
		fileExists: or(strings.ToUpper(in.AgentActionOverrides.AgentOverrides.FileExistsBehavior), "DISALLOW"), events: in.AllPossibleLifecycleEvents,
	}
	if a, ok := arn.Parse(d.id); ok {
		_, d.id, _ = strings.Cut(a.Resource, "/")
	}
	switch {
	case !plainID().MatchString(d.id):
		return nil, fmt.Errorf("the DeploymentId %q of the Deployment Spec cannot be a folder", clip(d.id))
	case !plainID().MatchString(d.group) || slices.Contains([]string{instructionsDir, ongoingDir, lockFile}, d.group):
		return nil, fmt.Errorf("the DeploymentGroupId %q of the Deployment Spec cannot be a folder", clip(d.group))
	case !filepath.IsLocal(d.appSpec):
		return nil, fmt.Errorf("the AppSpecFilename %q of the Deployment Spec leaves the bundle", clip(d.appSpec))
	case in.Revision == nil:
		return nil, sentence("Must specify a revision")
	case in.Revision.RevisionType != "S3":
		return nil, fmt.Errorf("the RevisionType %q is not supported by this agent: put the bundle into a bucket, and deploy an S3 revision", clip(in.Revision.RevisionType))
	case in.Revision.S3Revision == nil || in.Revision.S3Revision.Bucket == "" || in.Revision.S3Revision.Key == "":
		return nil, sentence("S3Revision in Deployment Spec must specify Bucket, Key and BundleType")
	}
	d.revision = *in.Revision.S3Revision
	if !slices.Contains([]string{"tar", "tgz", "zip"}, d.revision.BundleType) {
		return nil, sentence("BundleType in S3Revision must be tar, tgz or zip, not %q", clip(d.revision.BundleType))
	}
	return d, nil
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
