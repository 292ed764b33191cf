package sigv4_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"penstock/internal/sigv4"
)

const (
	keyID  = "AKIAIOSFODNN7EXAMPLE"
	secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

var at = time.Date(2026, 9, 21, 13, 33, 20, 0, time.UTC)

func hashOf(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}

// request makes a request as the SDK would hand it to the transport.
func request(t testing.TB, method, target, body string, header ...string) *http.Request {
	t.Helper()
	var rd io.Reader
	if body != "" {
		rd = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, target, rd)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

// sign signs with the SDK's own signer, the oracle.
func sign(t testing.TB, r *http.Request, service, region, payloadHash string, when time.Time) {
	t.Helper()
	err := v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret},
		r, payloadHash, service, region, when, func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == "s3" })
	if err != nil {
		t.Fatal(err)
	}
}

func verify(r *http.Request, service, body string, now time.Time) error {
	s, err := sigv4.Parse(r)
	if err != nil {
		return err
	}
	return s.Verify(r, secret, sigv4.Options{Service: service, Now: now, Skew: sigv4.FamilyOf(service).Skew(), Body: []byte(body)})
}

// W-28, W-29: what the SDK signs is accepted, in process and over a real wire, and any
// change of what is signed is not.
func TestSDKHeaderForm(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, service, method, path, body string
		header                            []string
	}{
		{"json", "codepipeline", "POST", "/", `{"name":"p"}`, []string{"X-Amz-Target", "CodePipeline_20150709.GetPipeline", "Content-Type", "application/x-amz-json-1.1"}},
		{"empty body", "codepipeline", "POST", "/", "", []string{"X-Amz-Target", "CodePipeline_20150709.ListPipelines"}},
		{"spaces", "sts", "POST", "/", "Action=GetCallerIdentity", []string{"X-Amz-Meta", "  a   b  c ", "X-Amz-Meta", "d"}},
		{"rest path", "lambda", "GET", "/2015-03-31/functions/arn%3Aaws%3Alambda/in%20voke", "", nil},
		{"s3 key", "s3", "GET", "/bucket/a//b/../%C3%A9%2Bc%20%28d%29?list-type=2&prefix=&x=%20%2B~", "", nil},
		{"s3 bare", "s3", "GET", "/bucket?versioning", "", nil},
		{"s3 put", "s3", "PUT", "/bucket/k?x-id=PutObject", "hello", nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var got error
			srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				got = verify(r, c.service, c.body, at.Add(time.Minute))
			}))
			defer srv.Close()
			hash := hashOf(c.body)
			header := c.header
			if c.service == "s3" {
				header = append(header, "X-Amz-Content-Sha256", hash)
			}
			r := request(t, c.method, srv.URL+c.path, c.body, header...)
			sign(t, r, c.service, "eu-west-3", hash, at)
			if err := verify(r, c.service, c.body, at); err != nil {
				t.Errorf("in process: %v", err)
			}
			res, err := srv.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if got != nil {
				t.Errorf("over the wire: %v", got)
			}
			for name, change := range map[string]func(*http.Request){
				"method": func(r *http.Request) { r.Method = "DELETE" },
				"path":   func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/other", "" },
				"query":  func(r *http.Request) { r.URL.RawQuery += "&more=1" },
				"host":   func(r *http.Request) { r.Host = "other.test" },
				"header": func(r *http.Request) { r.Header.Set("X-Amz-Date", at.Add(time.Second).Format("20060102T150405Z")) },
			} {
				bad := r.Clone(t.Context())
				change(bad)
				wantKind(t, name, verify(bad, c.service, c.body, at), sigv4.BadSignature)
			}
			if c.service != "s3" {
				wantKind(t, "body", verify(r, c.service, c.body+"x", at), sigv4.BadSignature)
			}
		})
	}
}

func wantKind(t *testing.T, what string, err error, want sigv4.Kind) {
	t.Helper()
	f, ok := err.(*sigv4.Failure)
	if !ok || f.Kind != want {
		t.Errorf("%s: got %v, want kind %d", what, err, want)
	}
}

// W-34: the SDK's presigned URLs, their end and their limits.
func TestSDKPresigned(t *testing.T) {
	t.Parallel()
	for _, service := range []string{"s3", "sts"} {
		r := request(t, "GET", "http://127.0.0.1:7788/bucket/a%20key?versionId=1%2F2&X-Amz-Expires=600", "")
		hash := "UNSIGNED-PAYLOAD"
		if service == "sts" {
			hash = hashOf("")
		}
		signed, _, err := v4.NewSigner().PresignHTTP(t.Context(), aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret, SessionToken: "tok/+="},
			r, hash, service, "eu-west-3", at, func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == "s3" })
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(signed)
		if err != nil {
			t.Fatal(err)
		}
		fresh := func() *http.Request { return request(t, "GET", u.String(), "") }
		s, err := sigv4.Parse(fresh())
		if err != nil || s.Token != "tok/+=" || s.Expires != 600*time.Second || s.Region != "eu-west-3" {
			t.Fatalf("%s: %+v, %v", service, s, err)
		}
		if err := verify(fresh(), service, "", at.Add(599*time.Second)); err != nil {
			t.Errorf("%s: %v", service, err)
		}
		wantKind(t, "expired", verify(fresh(), service, "", at.Add(601*time.Second)), sigv4.ExpiredURL)
		wantKind(t, "future", verify(fresh(), service, "", at.Add(-time.Hour)), sigv4.TooNew)
		added := fresh()
		added.URL.RawQuery += "&acl="
		wantKind(t, "added", verify(added, service, "", at), sigv4.BadSignature)
		// A hash header that nobody signed changes nothing.
		hashed := fresh()
		hashed.Header.Set("X-Amz-Content-Sha256", hashOf("x"))
		if err := verify(hashed, service, "", at); err != nil {
			t.Errorf("%s: unsigned hash header: %v", service, err)
		}
	}
}

type golden struct {
	SigV2 []struct{ Name, Method, URL string }
	SigV4 []struct {
		Name, Method, URL string
		Headers           map[string]string
	}
	Git []struct{ Name, Host, Path, Password string }
}

func readGolden(t testing.TB) golden {
	t.Helper()
	raw, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.NewDecoder(bytes.NewReader(raw)).Decode(&g); err != nil {
		t.Fatal(err)
	}
	return g
}

// W-28, W-34: requests signed by botocore.
func TestBotocore(t *testing.T) {
	t.Parallel()
	for _, c := range readGolden(t).SigV4 {
		service, _, _ := strings.Cut(c.Name, " ")
		r := request(t, c.Method, c.URL, "")
		for k, v := range c.Headers {
			r.Header.Set(k, v)
		}
		if err := verify(r, service, "", at); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
	}
}

// W-35: SigV2 URLs made by botocore, for reading and writing an object.
func TestSigV2(t *testing.T) {
	t.Parallel()
	for _, c := range readGolden(t).SigV2 {
		opt := sigv4.Options{Service: "s3", Now: time.Unix(1790000000, 0)}
		if c.Name == "virtual" {
			opt.Bucket = "bucket"
		}
		check := func(method string, change func(*http.Request), o sigv4.Options) error {
			r := request(t, method, c.URL, "")
			if change != nil {
				change(r)
			}
			s, err := sigv4.Parse(r)
			if err != nil {
				return err
			}
			if c.Name == "token" && s.Token != "FQoGtoken/+==" {
				t.Errorf("token %q", s.Token)
			}
			return s.Verify(r, secret, o)
		}
		if err := check(c.Method, nil, opt); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
		late := opt
		late.Now = opt.Now.Add(901 * time.Second)
		wantKind(t, c.Name, check(c.Method, nil, late), sigv4.ExpiredURL)
		wantKind(t, c.Name, check("DELETE", nil, opt), sigv4.Unsupported)
		wantKind(t, c.Name, check(c.Method, func(r *http.Request) { r.URL.Path += "x"; r.URL.RawPath = "" }, opt), sigv4.BadSignature)
		wantKind(t, c.Name, check(c.Method, func(r *http.Request) { r.URL.RawQuery += "&acl" }, opt), sigv4.BadSignature)
		moved := opt
		moved.Bucket = "elsewhere"
		wantKind(t, c.Name, check(c.Method, nil, moved), sigv4.BadSignature)
		other := opt
		other.Service = "codepipeline"
		wantKind(t, c.Name, check(c.Method, nil, other), sigv4.Unsupported)
	}
}

// N-9: passwords made by the CodeCommit credential helper.
func TestGitPassword(t *testing.T) {
	t.Parallel()
	for _, c := range readGolden(t).Git {
		p, ok := sigv4.ParseGitPassword(c.Password)
		if !ok {
			t.Fatalf("%s: not read", c.Name)
		}
		if err := p.Verify(secret, "eu-west-3", c.Host, c.Path, at.Add(10*time.Minute), 15*time.Minute); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
		wantKind(t, "path", p.Verify(secret, "eu-west-3", c.Host, c.Path+"2", at, 15*time.Minute), sigv4.BadSignature)
		wantKind(t, "region", p.Verify(secret, "eu-west-1", c.Host, c.Path, at, 15*time.Minute), sigv4.BadSignature)
		wantKind(t, "secret", p.Verify(secret+"x", "eu-west-3", c.Host, c.Path, at, 15*time.Minute), sigv4.BadSignature)
		wantKind(t, "old", p.Verify(secret, "eu-west-3", c.Host, c.Path, at.Add(time.Hour), 15*time.Minute), sigv4.TooOld)
		wantKind(t, "new", p.Verify(secret, "eu-west-3", c.Host, c.Path, at.Add(-time.Hour), 15*time.Minute), sigv4.TooNew)
	}
	for _, bad := range []string{"", "Z", secret, "20260921T133320Z" + strings.Repeat("g", 64), "20261321T133320Z" + strings.Repeat("a", 64)} {
		if _, ok := sigv4.ParseGitPassword(bad); ok {
			t.Errorf("%q read as a signature", bad)
		}
	}
}
