package codedeploy

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"testing"

	commands "penstock/internal/api/codedeploycommands"
)

// D.2: the specification is the content of a signed PKCS #7 message, whose one certificate fits its
// signature; every server of a database has the same certificate.
func TestSpecification(t *testing.T) {
	t.Parallel()
	each(t, func(b *bench) {
		b.register("a")
		id := b.deploy("v1")
		var certs [2]string
		for i := range certs {
			out, err := b.another().GetDeploymentSpecification(b.agent("a").ctx, &commands.GetDeploymentSpecificationInput{
				HostIdentifier: userOf("a"), DeploymentExecutionId: b.agent("a").execution(id)})
			b.code("specification", err, "")
			e := out.DeploymentSpecification.GenericEnvelope
			b.want("system", out.DeploymentSystem+e.Format, "CodeDeployPKCS7/JSON")
			if len(e.Payload) > 8192 {
				b.Errorf("the payload has %d characters", len(e.Payload))
			}
			text, cert := open(b.T, e.Payload)
			certs[i] = string(cert)
			var s specification
			if err := json.Unmarshal(text, &s); err != nil {
				b.Fatal(err)
			}
			if s.DeploymentID != id || s.ApplicationName != "app" || s.DeploymentGroupName != "all" || s.DeploymentGroupID == "" || s.Revision.S3Revision.Key != "v1" ||
				s.Overrides.AgentOverrides.FileExistsBehavior != "DISALLOW" || len(s.Events) != 7 {
				b.Errorf("%s", text)
			}
		}
		if certs[0] != certs[1] {
			b.Error("two servers have two certificates")
		}
		_, err := b.GetDeploymentSpecification(b.agent("a").ctx, &commands.GetDeploymentSpecificationInput{HostIdentifier: userOf("a"), DeploymentExecutionId: "a/b/c/d"})
		b.code("no such deployment", err, "ClientException")
	})
}

// execution is how the agent knows a deployment.
func (a *agent) execution(id string) string {
	c := a.poll()
	if c == nil {
		return executionID(region, id)
	}
	return c.DeploymentExecutionId
}

// open reads a signed message as RFC 2315 has it, and checks it.
func open(t *testing.T, text string) (content, certificate []byte) {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != "PKCS7" {
		t.Fatalf("no PKCS7 in PEM: %s", text)
	}
	var message struct {
		Type asn1.ObjectIdentifier
		Data struct {
			Version int
			Digests asn1.RawValue
			Content struct {
				Type asn1.ObjectIdentifier
				Data []byte `asn1:"explicit,tag:0"`
			}
			Certificates asn1.RawValue `asn1:"tag:0"`
			Signers      []struct {
				Version int
				Signer  struct {
					Issuer asn1.RawValue
					Serial *big.Int
				}
				Digest    asn1.RawValue
				Algorithm asn1.RawValue
				Signature []byte
			} `asn1:"set"`
		} `asn1:"explicit,tag:0"`
	}
	if rest, err := asn1.Unmarshal(block.Bytes, &message); err != nil || len(rest) > 0 {
		t.Fatalf("%v, %d bytes left", err, len(rest))
	}
	cert, err := x509.ParseCertificate(message.Data.Certificates.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	signer := message.Data.Signers[0]
	if !message.Type.Equal(oidSignedData) || !message.Data.Content.Type.Equal(oidData) || len(message.Data.Signers) != 1 || signer.Signer.Serial.Cmp(cert.SerialNumber) != 0 ||
		string(signer.Signer.Issuer.FullBytes) != string(cert.RawIssuer) {
		t.Errorf("%+v", message)
	}
	if err := cert.CheckSignature(x509.ECDSAWithSHA256, message.Data.Content.Data, signer.Signature); err != nil {
		t.Error(err)
	}
	return message.Data.Content.Data, cert.Raw
}
