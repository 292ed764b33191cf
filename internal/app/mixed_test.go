package app

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/codecommit"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"penstock/internal/api"
)

// alone is set for the process that only sends mixed requests.
const alone = "PENSTOCK_TEST_ALONE"

// mixed are requests made of the published models and of what strangers send, each from the
// seed and its own number.
type mixed struct {
	t        *testing.T
	a        *App
	models   map[string]*published
	services []*api.Service
	keys     aws.Credentials
	client   *http.Client
	good     atomic.Uint64
}

// words are values of strings that are right somewhere, or wrong in a way of their own.
var words = append([]string{
	"", "p", "artifacts", "main", "key", "\x00", "é\u202e", "../../etc/passwd", "%2e%2e%2f", "<script>alert(1)</script>", "'; DROP TABLE pipeline; --",
	"${jndi:ldap://x}", "{{7*7}}", "$(id)", "\r\nX-Injected: 1", "http://169.254.169.254/latest/meta-data", "#{variables.x}", "****", "-1", "999999999999999999999", "NaN",
	"2016-01-01T00:00:00Z", "cron(* * * * ? *)", "rate(1 minute)", `{"Version":"2012-10-17","Statement":[]}`, `{"source":[{"prefix":"aws."}]}`, "(a+)+$", "**/**/**/**/x",
	"arn:aws:s3:::artifacts", "V2", "PARALLEL", "https://host.invalid/", strings.Repeat("x", 300), strings.Repeat("y", 70_000),
}, values...)

// value makes a value of a shape, mostly one that the model lets through.
func (m *published) value(r *rand.Rand, name string, depth int) any {
	s := m.Shapes[name]
	if r.IntN(40) == 0 {
		return []any{nil, true, -1, 1.5, "x", []any{}, map[string]any{}, []any{nil}}[r.IntN(8)]
	}
	switch s.Type {
	case "structure":
		out := map[string]any{}
		for _, f := range s.Members {
			if slices.Contains(s.Required, f.Name) && r.IntN(30) != 0 || depth < 6 && r.IntN(4) == 0 {
				out[f.Name] = m.value(r, f.Shape, depth+1)
			}
		}
		return out
	case "list":
		out := []any{}
		for range max(s.Min, r.IntN(3)) {
			if depth < 8 {
				out = append(out, m.value(r, s.Element, depth+1))
			}
		}
		return out
	case "map":
		out := map[string]any{}
		for range max(s.Min, r.IntN(3)) {
			if depth < 8 {
				out[fmt.Sprint(m.value(r, s.Key, depth+1))] = m.value(r, s.Value, depth+1)
			}
		}
		return out
	case "boolean":
		return r.IntN(2) == 0
	case "integer", "long", "double", "float", "timestamp":
		return []any{0, 1, s.Min, s.Max, r.IntN(1000), -r.IntN(10), 1 << 40}[r.IntN(7)]
	case "blob":
		return []string{"eA==", "not base64", "UEsDBAoAAAAAAA=="}[r.IntN(3)]
	}
	if len(s.Enum) > 0 && r.IntN(10) != 0 {
		return s.Enum[r.IntN(len(s.Enum))]
	}
	if r.IntN(3) != 0 {
		return "name"
	}
	return words[r.IntN(len(words))]
}

// operation is a request for an operation of a room, signed.
func (x *mixed) operation(r *rand.Rand) *http.Request {
	s := x.services[r.IntN(len(x.services))]
	m := x.models[strings.Replace(s.Name, "codestarconnections", "codeconnections", 1)]
	op := m.Operations[r.IntN(len(m.Operations))]
	in, _ := m.value(r, op.Input, 0).(map[string]any)
	if in == nil {
		in = map[string]any{}
	}
	for k, v := range said[s.Name+"."+op.Name] {
		if r.IntN(2) == 0 {
			in[k] = v
		}
	}
	req, body := spell(x.t, s, m, op, in)
	if len(body) > 0 && r.IntN(10) == 0 { // a byte that is another
		body = bytes.Clone(body)
		body[r.IntN(len(body))] = byte(r.IntN(256))
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	return x.sign(r, req, s.Scope, body)
}

// object is a request of S3, signed.
func (x *mixed) object(r *rand.Rand) *http.Request {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	path := pick("/", "/artifacts", "/artifacts/", "/artifacts/"+url.PathEscape(words[r.IntN(len(words)-2)]), "/nobody", "/v20180820/tags/x")
	query := pick("", "?acl", "?versions", "?uploads", "?uploadId=x", "?partNumber=1&uploadId=x", "?list-type=2&max-keys=-1", "?tagging", "?policy", "?versionId=x", "?delete", "?lifecycle", "?notification",
		"?continuation-token=%00", "?versioning", "?encoding-type=url&prefix=%FF", "?attributes", "?website", "?"+url.QueryEscape(words[r.IntN(len(words)-2)]))
	body := []byte(pick("", "x", "<", "<Tagging><TagSet></TagSet></Tagging>", "<Delete><Object><Key>key</Key></Object></Delete>", "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>",
		"<CompleteMultipartUpload></CompleteMultipartUpload>", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"))
	req := httptest.NewRequestWithContext(x.t.Context(), pick("GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH"), "http://penstock.example"+path+query, bytes.NewReader(body))
	for range r.IntN(3) {
		req.Header.Set(pick("Range", "X-Amz-Copy-Source", "If-Match", "If-None-Match", "X-Amz-Acl", "X-Amz-Tagging", "X-Amz-Checksum-Crc32", "X-Amz-Sdk-Checksum-Algorithm", "Content-Md5",
			"X-Amz-Decoded-Content-Length", "X-Amz-Account-Id", "X-Amz-Object-Attributes"), pick("bytes=0-", "bytes=9-1", "/artifacts/key", "*", "private", "a=b", "AAAAAA==", "CRC32", "-1", "000000000000", "ETag"))
	}
	return x.sign(r, req, "s3", body)
}

// stray is a request that no client sends: unsigned, signed for another, or no API call at all.
func (x *mixed) stray(r *rand.Rand) *http.Request {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	body := make([]byte, r.IntN(200))
	for i := range body {
		body[i] = byte(r.IntN(256))
	}
	if r.IntN(2) == 0 {
		body = []byte(pick("", "{}", "null", "[]", `{"a":`, strings.Repeat("[", 5000), `{"name":"p"}`, "Action=GetCallerIdentity&Version=2011-06-15", "Action=%zz"))
	}
	path := pick("/", "/", "/webhooks/x", "/webhooks/?t=x&v=1", "/v1/repos/name/info/refs?service=git-upload-pack", "/v1/repos/name/git-receive-pack", "/v1/repos/..%2f/info/refs", "/healthz", "/readyz",
		"/sns/", "/2015-03-31/functions/x/invocations", "/service/Name/operation/Op", "/%zz", "//", "/?Action=ListUsers", "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=x", "/artifacts/key?AWSAccessKeyId=x&Signature=y&Expires=1")
	req, err := http.NewRequestWithContext(x.t.Context(), pick("GET", "POST", "PUT", "DELETE", "HEAD", "BREW"), "http://penstock.example/", bytes.NewReader(body))
	if err != nil {
		x.t.Error(err)
		return nil
	}
	req.URL.Opaque = "" // the path goes out as it is written
	if u, err := url.ParseRequestURI(path); err == nil {
		req.URL.Path, req.URL.RawPath, req.URL.RawQuery = u.Path, u.RawPath, u.RawQuery
	}
	for range r.IntN(4) {
		req.Header.Add(pick("X-Amz-Target", "Authorization", "Content-Type", "X-Amz-Date", "X-Amz-Security-Token", "X-Hub-Signature-256", "X-GitHub-Event", "Content-Encoding", "Smithy-Protocol", "Host"),
			pick("CodePipeline_20150709.GetPipeline", "CodePipeline_20150709.", "AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host, Signature=00", "AWS4-HMAC-SHA256", "Basic AAAA", "Basic eDp5",
				"application/x-amz-json-1.1", "application/x-www-form-urlencoded", "20261126T000000Z", "junk", "gzip", "rpc-v2-cbor", "push", "sha256=00", strings.Repeat("h", 5000)))
	}
	return req
}

func (x *mixed) sign(r *rand.Rand, req *http.Request, scope string, body []byte) *http.Request {
	if r.IntN(50) == 0 {
		return req
	}
	hash := sha256.Sum256(body)
	sum := hex.EncodeToString(hash[:])
	req.Header.Set("X-Amz-Content-Sha256", sum)
	err := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = scope == "s3" }).SignHTTP(x.t.Context(), x.keys, req, sum, scope, "us-east-1", time.Now())
	if err != nil {
		x.t.Error(err)
		return nil
	}
	return req
}

// send makes the request with a number and sends it; it tells of an answer that blames the server.
func (x *mixed) send(seed, number uint64) {
	r := rand.New(rand.NewPCG(seed, number))
	var req *http.Request
	switch r.IntN(10) {
	case 0, 1:
		req = x.object(r)
	case 2:
		req = x.stray(r)
	default:
		req = x.operation(r)
	}
	if req == nil {
		return
	}
	to, err := url.Parse(x.a.URL())
	if err != nil {
		x.t.Error(err)
		return
	}
	if req.Host == "" {
		req.Host = req.URL.Host
	}
	req.RequestURI, req.URL.Host = "", to.Host
	out, err := x.client.Do(req)
	if err != nil {
		if !strings.Contains(err.Error(), "invalid header") && !strings.Contains(err.Error(), "invalid method") && !strings.Contains(err.Error(), "connection reset") && !strings.Contains(err.Error(), "broken pipe") {
			x.t.Errorf("request %d of seed %d, %s %s: %v", number, seed, req.Method, req.URL, err)
		}
		return
	}
	text, _ := io.ReadAll(io.LimitReader(out.Body, 4096))
	_, _ = io.Copy(io.Discard, out.Body)
	out.Body.Close()
	if out.StatusCode < 300 {
		x.good.Add(1)
	}
	if out.StatusCode >= 500 && out.StatusCode != http.StatusNotImplemented {
		x.t.Errorf("request %d of seed %d, %s %s %s: %d %s", number, seed, req.Method, req.URL, req.Header.Get("X-Amz-Target"), out.StatusCode, text)
	}
}

// descriptors counts the open files of this process.
func descriptors(t *testing.T) int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// W-19, W-36: whatever is sent, the server blames the request and not itself, and nothing of it
// stays behind. PENSTOCK_FUZZ_REQUESTS says how many, PENSTOCK_FUZZ_SEED which.
func TestMixedRequests(t *testing.T) {
	t.Parallel()
	if os.Getenv(alone) == "" { // goroutines and files are those of a process: it gets one of its own
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run=^TestMixedRequests$", "-test.timeout=55m")
		cmd.Env = append(os.Environ(), alone+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	count, seed := uint64(4000), uint64(1)
	for name, v := range map[string]*uint64{"PENSTOCK_FUZZ_REQUESTS": &count, "PENSTOCK_FUZZ_SEED": &seed} {
		if text := os.Getenv(name); text != "" {
			n, err := strconv.ParseUint(text, 10, 64)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			*v = n
		}
	}
	a := start(t, t.TempDir(), "")
	c := a.Credentials()
	transport := &http.Transport{MaxIdleConnsPerHost: 4}
	t.Cleanup(transport.CloseIdleConnections)
	x := &mixed{t: t, a: a, models: models(t), services: a.rooms.services, keys: aws.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey},
		client: &http.Client{Transport: transport, Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	cfg := a.administrator()
	if _, err := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true }).CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("artifacts")}); err != nil {
		t.Fatal(err)
	}
	if _, err := codecommit.NewFromConfig(cfg).CreateRepository(t.Context(), &codecommit.CreateRepositoryInput{RepositoryName: aws.String("name")}); err != nil {
		t.Fatal(err)
	}
	run := func(from, to uint64) {
		var wg sync.WaitGroup
		for w := range uint64(4) {
			wg.Go(func() {
				for n := from + w; n < to; n += 4 {
					x.send(seed, n)
				}
			})
		}
		wg.Wait()
	}
	// settled gives the fewest goroutines and files that are open in the next two seconds, and goes on
	// for as long as work is left over that has more than so many.
	settled := func(mostGoroutines, mostFiles int) (goroutines, files int) {
		transport.CloseIdleConnections()
		goroutines, files = 1<<30, 1<<30
		enough, end := time.After(2*time.Second), time.After(patience)
		for over := false; !over || goroutines > mostGoroutines || files > mostFiles; {
			goroutines, files = min(goroutines, runtime.NumGoroutine()), min(files, descriptors(t))
			select {
			case <-enough:
				over = true
			case <-end:
				return goroutines, files
			case <-time.After(50 * time.Millisecond):
			}
		}
		return goroutines, files
	}
	run(0, count/4)
	goroutines, files := settled(1<<30, 1<<30)
	run(count/4, count)
	after, open := settled(goroutines+20, files+20)
	t.Logf("%d of %d requests did something", x.good.Load(), count)
	if x.good.Load() < count/50 {
		t.Errorf("only %d of %d requests did something: the rest never got far", x.good.Load(), count)
	}
	if after > goroutines+20 || open > files+20 {
		t.Errorf("after %d more requests: %d goroutines were %d, %d open files were %d", count-count/4, after, goroutines, open, files)
	}
}
