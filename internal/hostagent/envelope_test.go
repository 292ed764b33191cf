package hostagent

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"penstock/internal/appspec"
)

// signed is what OpenSSL makes of a specification: smime -sign -nodetach -binary -noattr.
const signed = `-----BEGIN PKCS7-----
MIIBjAYJKoZIhvcNAQcCoIIBfTCCAXkCAQExDzANBglghkgBZQMEAgEFADCByQYJ
KoZIhvcNAQcBoIG7BIG4eyJEZXBsb3ltZW50SWQiOiJkLTEiLCJEZXBsb3ltZW50
R3JvdXBJZCI6ImciLCJEZXBsb3ltZW50R3JvdXBOYW1lIjoibiIsIkFwcGxpY2F0
aW9uTmFtZSI6ImEiLCJSZXZpc2lvbiI6eyJSZXZpc2lvblR5cGUiOiJTMyIsIlMz
UmV2aXNpb24iOnsiQnVja2V0IjoiYiIsIktleSI6ImsiLCJCdW5kbGVUeXBlIjoi
emlwIn19fTGBljCBkwIBATApMBExDzANBgNVBAMMBnNpZ25lcgIUE2QtetrkXTE0
pE1eIABgreYEs0owDQYJYIZIAWUDBAIBBQAwCgYIKoZIzj0EAwIESDBGAiEAkXMt
fmVWHj4FgfMjbxh+DAJT46tUWMLpSBnYNvZfiucCIQCDSex9eg5aoYRz5MRAA4sx
z095fI9lXQY5CITgxeDj+g==
-----END PKCS7-----
`

const specification = `{"DeploymentId":"d-1","DeploymentGroupId":"g","DeploymentGroupName":"n","ApplicationName":"a","Revision":{"RevisionType":"S3","S3Revision":{"Bucket":"b","Key":"k","BundleType":"zip"}}}`

// P-26, D.2: a specification comes as PKCS#7 or as text, and what it leaves out has defaults.
func TestEnvelope(t *testing.T) {
	t.Parallel()
	want := &deployment{
		id: "d-1", group: "g", groupName: "n", application: "a", creator: "user", kind: "IN_PLACE", appSpec: "appspec.yml",
		revision: s3Revision{Bucket: "b", Key: "k", BundleType: "zip"}, fileExists: "DISALLOW",
	}
	for _, e := range []envelope{{"PKCS7/JSON", signed}, {"TEXT/JSON", specification}} {
		got, err := openEnvelope(e)
		if err != nil {
			t.Fatalf("%s: %v", e.Format, err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(deployment{})); diff != "" {
			t.Error(e.Format, diff)
		}
	}
	got, err := openEnvelope(envelope{"TEXT/JSON", `{"DeploymentId":"arn:aws:codedeploy:us-east-1:000000000000:deployment/d-2","DeploymentGroupId":"g","DeploymentGroupName":"n","ApplicationName":"a",
		"DeploymentCreator":"codeDeployRollback","DeploymentType":"BLUE_GREEN","AppSpecFilename":"x/other.yml","AgentActionOverrides":{"AgentOverrides":{"FileExistsBehavior":"retain"}},
		"AllPossibleLifecycleEvents":["Install"],"Revision":{"RevisionType":"S3","S3Revision":{"Bucket":"b","Key":"k","BundleType":"tgz","Version":"v","ETag":"e"}}}`})
	if err != nil {
		t.Fatal(err)
	}
	want = &deployment{
		id: "d-2", group: "g", groupName: "n", application: "a", creator: "codeDeployRollback", kind: "BLUE_GREEN", appSpec: "x/other.yml",
		revision: s3Revision{"b", "k", "tgz", "v", "e"}, fileExists: "RETAIN", events: []string{"Install"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(deployment{})); diff != "" {
		t.Error(diff)
	}
}

// P-26, hostile: what is no specification, or would leave the deployment root, is refused.
func TestEnvelopeRefused(t *testing.T) {
	t.Parallel()
	block, _ := pem.Decode([]byte(signed))
	in := func(typ string, der []byte) envelope {
		return envelope{"PKCS7/JSON", string(pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der}))}
	}
	change := func(from, to string) envelope {
		return envelope{"TEXT/JSON", strings.Replace(specification, from, to, 1)}
	}
	for words, e := range map[string]envelope{
		"Unsupported DeploymentSpecification format: XML": {"XML", specification},
		"it is not one block of PEM":                      {"PKCS7/JSON", specification},
		"no PKCS#7 message: it is not one":                {"PKCS7/JSON", signed + "x"},
		"it is a CERTIFICATE":                             in("CERTIFICATE", block.Bytes),
		"something follows it":                            in("PKCS7", append(slices.Clone(block.Bytes), 5, 0)),
		"asn1: syntax error":                              in("PKCS7", block.Bytes[:len(block.Bytes)-1]),
		"not that of signed data":                         in("PKCS7", bytes.Replace(block.Bytes, []byte{1, 7, 2}, []byte{1, 7, 3}, 1)),
		"it has no content":                               in("PKCS7", bytes.Replace(block.Bytes, []byte{1, 7, 1}, []byte{1, 7, 5}, 1)),
		"no JSON":                                         {"TEXT/JSON", "x"},
		"more than 524288 bytes":                          {"PKCS7/JSON", strings.Repeat("x", 1<<20)},
		"more than 262144 bytes":                          {"TEXT/JSON", strings.Repeat(" ", 300<<10)},
		"has no DeploymentId":                             change(`"d-1"`, `""`),
		"has no DeploymentGroupName":                      change(`"n"`, `null`),
		"has a NUL character":                             change(`"a"`, `"a\u0000"`),
		`the DeploymentId ".." of`:                        change(`"d-1"`, `".."`),
		`the DeploymentId "a/b" of`:                       change(`"d-1"`, `"arn:aws:codedeploy:r:1:deployment/a/b"`),
		`the DeploymentGroupId "../g"`:                    change(`"g"`, `"../g"`),
		`the DeploymentGroupId "ongoing-deployment"`:      change(`"g"`, `"ongoing-deployment"`),
		"leaves the bundle":                               change(`"ApplicationName"`, `"AppSpecFilename":"../x","ApplicationName"`),
		"Must specify a revision":                         change(`"Revision"`, `"Other"`),
		`RevisionType "GitHub" is not supported`:          change(`"S3"`, `"GitHub"`),
		"must specify Bucket, Key":                        change(`"k"`, `""`),
		"must be tar, tgz or zip":                         change(`"zip"`, `"rar"`),
	} {
		d, err := openEnvelope(e)
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %+v, %v", words, d, err)
		}
	}
}

// P-26, hostile: any text is a specification that stays in its root, or an error, soon.
func FuzzEnvelope(f *testing.F) {
	f.Add("PKCS7/JSON", signed)
	f.Add("PKCS7/JSON", strings.ReplaceAll(signed, "PKCS7", "CMS"))
	f.Add("PKCS7/JSON", strings.Repeat("-----BEGIN ", 20)+signed)
	for _, change := range []string{`"x":1e1000,`, `"deploymentid":"..","DEPLOYMENTID":"d-2",`, `"AppSpecFilename":"/x",`, `"DeploymentGroupId":null,`, `"AllPossibleLifecycleEvents":[null,"\ud800"],`,
		`"Revision":{"RevisionType":"GitHub","S3Revision":{"Version":"v"}},`, `"AgentActionOverrides":null,"x":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `,`} {
		f.Add("TEXT/JSON", "{"+change+specification[1:])
	}
	f.Add("TEXT/JSON", strings.Replace(specification, "d-1", "arn:aws:codedeploy:us-east-1:000000000000:deployment/d-2", 1))
	f.Add("TEXT/JSON", specification)
	f.Fuzz(func(t *testing.T, format, payload string) {
		d, err := openEnvelope(envelope{format, payload})
		if (err == nil) != (d != nil) {
			t.Fatal(d, err)
		}
		if d == nil {
			return
		}
		if !plainID().MatchString(d.id) || !plainID().MatchString(d.group) || d.group == instructionsDir || d.group == ongoingDir || d.group == lockFile || !filepath.IsLocal(d.appSpec) {
			t.Fatalf("%+v", d)
		}
		if d.groupName == "" || d.application == "" || strings.Contains(d.groupName+d.application, "\x00") || d.revision.Bucket == "" || d.revision.Key == "" ||
			d.creator == "" || d.kind == "" || d.fileExists == "" {
			t.Fatalf("%+v", d)
		}
	})
}

// P-26: only TLS, or a server of this machine, is listened to.
func TestAllowed(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"https://deploy.example.org": true, "http://127.0.0.1:7788": true, "http://[::1]:7788": true, "http://localhost": true, "http://s3.localhost:1": true,
		"http://deploy.example.org": false, "http://127.0.0.1.example.org": false, "http://10.0.0.1": false, "ftp://127.0.0.1": false, "": false,
	} {
		if err := allowed(&address); (err == nil) != want {
			t.Errorf("%q: %v", address, err)
		}
	}
	if allowed(nil) == nil {
		t.Error("no address at all")
	}
}

// P-26, D.1: errors are followed by longer and longer waits, never the same for all.
func TestBackoff(t *testing.T) {
	t.Parallel()
	for failures, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 8: 90 * time.Second, 1000: 90 * time.Second} {
		if got := backoff(failures, 0); got != want {
			t.Errorf("%d: %v", failures, got)
		}
		if got := backoff(failures, 1); got != want/2 {
			t.Errorf("%d: %v", failures, got)
		}
	}
}

// P-26, D.1: the log is its last 2048 characters, and the whole fits whatever is in it.
func TestDiagnostics(t *testing.T) {
	t.Parallel()
	read := func(text string) (d struct {
		Code         int    `json:"error_code"`
		Script       string `json:"script_name"`
		Message, Log string
	}) {
		if len(text) > maxPayload {
			t.Errorf("%d bytes", len(text))
		}
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			t.Error(err, text)
		}
		return d
	}
	var log tail
	for range 100_000 {
		log.add("ä line\n")
	}
	log.add("last")
	d := read(diagnostics(codeScriptFailed, "s.sh", "why <&>", string(log.text)))
	if n := len([]rune(d.Log)); d.Code != 4 || d.Script != "s.sh" || d.Message != "why <&>" || n != 2048 || !strings.HasSuffix(d.Log, "line\nlast") {
		t.Errorf("%d %+v", n, d)
	}
	d = read(diagnostics(codeUnknown, strings.Repeat("\x01", 5000), strings.Repeat("\xff\x02", 5000), strings.Repeat("\x03", 5000)+"\xff"))
	if !strings.HasSuffix(d.Log, "\ufffd") || len(d.Message) < 400 {
		t.Errorf("%+v", d)
	}
}

// P-26, D.4: scripts of other users go through su, those with more rights through sudo.
func TestArgv(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		script appspec.Script
		want   []string
	}{
		{appspec.Script{}, []string{"/b/it's"}},
		{appspec.Script{RunAs: "deploy"}, []string{"su", "deploy", "-c", `'/b/it'\''s'`}},
		{appspec.Script{Sudo: true}, []string{"sudo", "/b/it's"}},
		{appspec.Script{RunAs: "deploy", Sudo: true}, []string{"sudo", "su", "deploy", "-c", `'/b/it'\''s'`}},
	} {
		if got := argv(c.script, "/b/it's"); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %q", c.script, got)
		}
	}
}
