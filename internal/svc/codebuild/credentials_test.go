package codebuild

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
)

// B: a build gets its role's credentials by its token, as long as it runs; nobody else does.
func TestCredentialServer(t *testing.T) {
	t.Parallel()
	s := newCredentialServer()
	defer s.stop()
	var mu sync.Mutex
	var masked []string
	conceal := func(secrets ...string) {
		mu.Lock()
		defer mu.Unlock()
		masked = append(masked, secrets...)
	}
	uri, token, release, err := s.admit(credentials.NewStaticCredentialsProvider("AKID", "secret", "session"), "arn:aws:iam::000000000000:role/r", conceal)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, token string) (int, map[string]string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, uri, nil)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			req.Header.Set("Authorization", token)
		}
		res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		var out map[string]string
		_ = json.Unmarshal(body, &out)
		return res.StatusCode, out
	}
	if code, got := ask("GET", token); code != 200 || got["AccessKeyId"] != "AKID" || got["SecretAccessKey"] != "secret" || got["Token"] != "session" || got["Expiration"] == "" {
		t.Errorf("%d %v", code, got)
	}
	mu.Lock()
	if !slices.Equal(masked, []string{token, "secret", "session"}) {
		t.Errorf("masked: %q", masked)
	}
	mu.Unlock()
	for _, bad := range []string{"", "x", token + "x", token[:10]} {
		if code, _ := ask("GET", bad); code != 403 {
			t.Errorf("%q: %d", bad, code)
		}
	}
	if code, _ := ask("POST", token); code != 403 {
		t.Errorf("POST: %d", code)
	}
	release()
	if code, _ := ask("GET", token); code != 403 {
		t.Errorf("after the build: %d", code)
	}
}
