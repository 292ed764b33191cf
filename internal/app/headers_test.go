package app

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// W-10: what clients add to a request is taken, signed or not, and changes nothing of the
// answer, which is never compressed for who did not offer to read it so.
func TestHeadersOfClients(t *testing.T) {
	t.Parallel()
	a := start(t, t.TempDir(), "")
	c := a.Credentials()
	keys := aws.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey}
	headers := [][2]string{
		{"Amz-Sdk-Invocation-Id", "0c1d5c7e-0000-4000-8000-000000000000"}, {"Amz-Sdk-Request", "attempt=2; max=3"},
		{"X-Amz-User-Agent", "aws-sdk-js/3.1 ua/2.1"}, {"Accept-Encoding", "identity"}, {"X-Amz-Something-New", "  two  spaces  "},
	}
	for i := range len(headers) + 1 {
		body := []byte(`{}`)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://penstock.example/", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		r.Header.Set("X-Amz-Target", "CodePipeline_20150709.ListPipelines")
		for _, h := range headers[:i] { // these are signed
			r.Header.Set(h[0], h[1])
		}
		w := a.ask(t, &keys, "codepipeline", r, body)
		if w.Code != http.StatusOK || w.Body.String() != `{"pipelines":[]}` || w.Header().Get("Content-Encoding") != "" {
			t.Errorf("with %v signed: %d %q %s", headers[:i], w.Code, w.Header(), w.Body)
		}
		signed := r.Header.Get("Authorization")
		for _, h := range headers[:i] {
			if !strings.Contains(signed, strings.ToLower(h[0])) {
				t.Errorf("%s is not signed: %s", h[0], signed)
			}
		}
	}
}

// W-8: nothing in the API's model needs blobs, streams or a host of its own.
func TestModelIsPlain(t *testing.T) {
	t.Parallel()
	m := models(t)["codepipeline"]
	for name, s := range m.Shapes {
		if s.Type == "blob" || s.Type == "document" {
			t.Errorf("%s is a %s", name, s.Type)
		}
	}
	for _, op := range m.Operations {
		if op.Path != "" && op.Path != "/" {
			t.Errorf("%s has the path %s", op.Name, op.Path)
		}
	}
}
