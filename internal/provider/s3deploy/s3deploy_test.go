package s3deploy

import (
	"archive/zip"
	"bytes"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"penstock/internal/auth"
	"penstock/internal/blob"
	"penstock/internal/pipeline"
	"penstock/internal/provider"
	"penstock/internal/provider/providertest"
	"penstock/internal/store/storetest"
	room "penstock/internal/svc/s3"
)

// fixture is a real S3 room and a job of the action in it.
type fixture struct {
	t      *testing.T
	client *s3.Client
	job    provider.Job
	poor   aws.Config // may write below open/ only

	mu   sync.Mutex
	fail string // a PUT of this path is answered with 503
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	blobs, err := blob.OpenDisk(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, job: providertest.Job(New().Types()[0])}
	r := room.New(room.Deps{DB: storetest.SQLite(t), Blobs: blobs})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		f.mu.Lock()
		fail := f.fail != "" && req.Method == http.MethodPut && req.URL.Path == f.fail
		f.mu.Unlock()
		if fail {
			w.WriteHeader(http.StatusServiceUnavailable)
			io.WriteString(w, "<Error><Code>ServiceUnavailable</Code><Message>Please reduce your request rate.</Message></Error>")
			return
		}
		scope := strings.Split(req.Header.Get("Authorization"), "/") // key, day, Region …
		caller := auth.Caller{Account: "111111111111", Region: scope[2]}
		ctx := auth.Trusted(req.Context(), caller)
		if strings.Contains(req.Header.Get("Authorization"), "Credential=POOR/") {
			ctx, err = auth.Limited(req.Context(), caller, `{"Version":"2012-10-17","Statement":[
				{"Effect":"Allow","Action":"s3:GetBucketLocation","Resource":"*"},{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::site/open/*"}]}`)
			if err != nil {
				t.Error(err)
			}
		}
		r.ServeHTTP(w, req.WithContext(ctx))
	}))
	t.Cleanup(func() {
		srv.Close()
		blobs.Close()
	})
	config := func(key string) aws.Config {
		return aws.Config{
			Region: "eu-west-1", BaseEndpoint: &srv.URL, HTTPClient: srv.Client(), RetryMaxAttempts: 1,
			Credentials: credentials.NewStaticCredentialsProvider(key, "secret", ""),
		}
	}
	f.poor = config("POOR")
	f.job.Env.AWS, f.job.Env.ArtifactAWS, f.job.Env.ConsoleURL = config("id"), config("id"), "http://h"
	f.job.Configuration = map[string]string{"BucketName": "site", "Extract": "true"}
	f.client = provider.S3(f.job.Env.AWS)
	for bucket, region := range map[string]string{"site": "eu-west-1", "artifacts": "eu-west-1", "abroad": "us-east-1"} {
		client := s3.New(f.client.Options(), func(o *s3.Options) { o.Region = region })
		in := &s3.CreateBucketInput{Bucket: &bucket, CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(region)}}
		if _, err := client.CreateBucket(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// input puts the input artifact.
func (f *fixture) input(body []byte) {
	f.t.Helper()
	in := f.job.Inputs[0]
	if _, err := f.client.PutObject(f.t.Context(), &s3.PutObjectInput{Bucket: &in.Bucket, Key: &in.Key, Body: bytes.NewReader(body)}); err != nil {
		f.t.Fatal(err)
	}
}

// archive packs files, and links whose names end in @ here.
func archive(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate}
		if link, ok := strings.CutSuffix(name, "@"); ok {
			h.Name = link
			h.SetMode(fs.ModeSymlink | 0o777)
		}
		w, err := z.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, files[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// site gives what is in the bucket.
func (f *fixture) site() map[string]string {
	f.t.Helper()
	out := map[string]string{}
	list, err := f.client.ListObjectsV2(f.t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("site")})
	if err != nil {
		f.t.Fatal(err)
	}
	for _, o := range list.Contents {
		got, err := f.client.GetObject(f.t.Context(), &s3.GetObjectInput{Bucket: aws.String("site"), Key: o.Key})
		if err != nil {
			f.t.Fatal(err)
		}
		b, err := io.ReadAll(got.Body)
		got.Body.Close()
		if err != nil {
			f.t.Fatal(err)
		}
		out[*o.Key] = string(b)
	}
	return out
}

// P-32: every file becomes an object, and what was there stays.
func TestExtract(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	files := map[string]string{"index.html": "<h1>", "css/site.css": "body{}", "empty": "", "a b/ü+.JSON": "{}"}
	f.input(archive(t, files))
	f.job.Configuration["CacheControl"], f.job.Configuration["CannedACL"] = "max-age=60", "public-read"
	f.job.Configuration["KMSEncryptionKeyARN"] = "arn:aws:kms:eu-west-1:111111111111:key/k"
	r := New().Run(t.Context(), f.job)
	if r.Error != nil || r.Summary != "4 objects uploaded" || !strings.HasPrefix(r.ExternalURL, "http://h/s3/buckets/site?") {
		t.Fatalf("%+v %+v", r.Progress, r.Error)
	}
	if got := f.site(); !maps.Equal(got, files) {
		t.Errorf("the bucket holds %q", got)
	}
	for key, want := range map[string]string{"index.html": "text/html", "css/site.css": "text/css", "empty": "application/octet-stream", "a b/ü+.JSON": "application/json"} {
		h, err := f.client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("site"), Key: &key})
		if err != nil {
			t.Fatal(err)
		}
		if *h.ContentType != want || *h.CacheControl != "max-age=60" || h.ServerSideEncryption != "aws:kms" || *h.SSEKMSKeyId != f.job.Configuration["KMSEncryptionKeyARN"] {
			t.Errorf("%s: %+v", key, h)
		}
	}
	acl, err := f.client.GetObjectAcl(t.Context(), &s3.GetObjectAclInput{Bucket: aws.String("site"), Key: aws.String("empty")})
	if err != nil || len(acl.Grants) != 2 {
		t.Errorf("ACL %+v, %v", acl, err)
	}
	f.job.Configuration["ObjectKey"] = "v2"
	f.input(archive(t, map[string]string{"index.html": "<h2>"}))
	if r := New().Run(t.Context(), f.job); r.Error != nil || r.Summary != "1 object uploaded" {
		t.Fatalf("%+v", r)
	}
	files["v2/index.html"] = "<h2>"
	if got := f.site(); !maps.Equal(got, files) {
		t.Errorf("the bucket holds %q", got)
	}
}

// P-32, S-284: the artifact as it is, at a key with place-holders.
func TestWhole(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.input([]byte("any bytes"))
	f.job.Configuration["Extract"], f.job.Configuration["ObjectKey"] = "false", "{datetime}/{uuid}/{uuid}.zip"
	for range 2 {
		if r := New().Run(t.Context(), f.job); r.Error != nil {
			t.Fatal(r.Error)
		}
	}
	shape := regexp.MustCompile(`^\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d/([0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})/(.*)\.zip$`)
	uuids := map[string]bool{}
	for key, body := range f.site() {
		m := shape.FindStringSubmatch(key)
		if m == nil || m[1] != m[2] || body != "any bytes" {
			t.Fatalf("%s holds %q", key, body)
		}
		uuids[m[1]] = true
	}
	if len(uuids) != 1 {
		t.Errorf("a second run of the same action execution has another UUID: %v", uuids)
	}
}

// S-284.
func TestPlaceholders(t *testing.T) {
	t.Parallel()
	at := time.Date(2024, 2, 3, 4, 5, 6, 0, time.FixedZone("", 3600))
	if got := placeholders("a/{datetime}/{other}", "x", at); got != "a/2024-02-03_03-05-06/{other}" {
		t.Error(got)
	}
	if placeholders("{uuid}", "x", at) == placeholders("{uuid}", "y", at) {
		t.Error("two executions have one UUID")
	}
}

// P-32: what is refused, forbidden or broken.
func TestFailures(t *testing.T) {
	t.Parallel()
	good := archive(t, map[string]string{"a": "1", "b": "2"})
	for name, c := range map[string]struct {
		input  []byte
		change func(*fixture)
		code   string
		word   string
	}{
		"no bucket":    {good, func(f *fixture) { f.job.Configuration["BucketName"] = "nowhere" }, pipeline.ConfigurationError, "nowhere"},
		"other Region": {good, func(f *fixture) { f.job.Configuration["BucketName"] = "abroad" }, pipeline.ConfigurationError, "us-east-1"},
		"no key":       {good, func(f *fixture) { f.job.Configuration["Extract"] = "false" }, pipeline.ConfigurationError, "ObjectKey"},
		"no artifact":  {nil, func(*fixture) {}, pipeline.ConfigurationError, "s3://artifacts/"},
		"no zip":       {[]byte("text"), func(*fixture) {}, pipeline.ConfigurationError, "not a ZIP"},
		"escape":       {archive(t, map[string]string{"../../evil": "x"}), func(*fixture) {}, pipeline.ConfigurationError, "../../evil"},
		"dead link":    {archive(t, map[string]string{"link@": "nowhere"}), func(*fixture) {}, pipeline.ConfigurationError, "'link'"},
		"long key":     {good, func(f *fixture) { f.job.Configuration["ObjectKey"] = strings.Repeat("k", 1023) }, pipeline.ConfigurationError, "1024"},
		"forbidden":    {good, func(f *fixture) { f.job.Env.AWS = f.poor }, pipeline.PermissionError, "role/release"},
		"acl": {good, func(f *fixture) {
			f.job.Env.AWS = f.poor
			f.job.Configuration["ObjectKey"], f.job.Configuration["CannedACL"] = "open", "public-read"
		}, pipeline.PermissionError, "s3:PutObjectAcl"},
		"down":     {good, func(f *fixture) { f.fail = "/site/b" }, pipeline.SystemUnavailable, "s3://site/b"},
		"no input": {good, func(f *fixture) { f.job.Inputs = nil }, pipeline.ConfigurationError, "input"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			if c.input != nil {
				f.input(c.input)
			}
			c.change(f)
			r := New().Run(t.Context(), f.job)
			if r.Error == nil || r.Error.Code != c.code || !strings.Contains(r.Error.Message, c.word) {
				t.Errorf("%+v, want %s with %q", r.Error, c.code, c.word)
			}
		})
	}
}

// Nothing of an artifact stays on this machine.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.input(archive(t, map[string]string{"a": "1"}))
	dir := t.TempDir()
	if r := (Provider{Dir: dir}).Run(t.Context(), f.job); r.Error != nil {
		t.Fatal(r.Error)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}
