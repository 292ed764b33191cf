package s3_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"go.uber.org/goleak"

	"penstock/internal/auth"
	"penstock/internal/blob"
	"penstock/internal/fault"
	"penstock/internal/sigv4"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
	room "penstock/internal/svc/s3"
)

func TestMain(m *testing.M) { storetest.Main(m, func() error { return goleak.Find() }) }

// The keys that the test's door knows; the secret of each is its name.
const (
	admin   = "ADMIN"   // may do everything in account 1
	other   = "OTHER"   // may do everything in account 2
	limited = "LIMITED" // may do in account 1 what policy says
	policy  = `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject","s3:DeleteObject"],"Resource":"arn:aws:s3:::shared/open/*"},
		{"Effect":"Allow","Action":"s3:ListAllMyBuckets","Resource":"*"}]}`
)

// server is an S3 room behind a door that checks signatures.
type server struct {
	*httptest.Server
	t     *testing.T
	room  *room.Room
	db    *store.DB
	blobs *blob.Disk

	mu    sync.Mutex
	notes []string
}

type option func(*room.Deps)

func start(t *testing.T, options ...option) *server {
	return startOn(t, storetest.SQLite(t), options...)
}

func startOn(t *testing.T, db *store.DB, options ...option) *server {
	t.Helper()
	s := &server{t: t, db: db}
	var err error
	if s.blobs, err = blob.OpenDisk(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	d := room.Deps{DB: db, Blobs: s.blobs, Hosts: []string{"penstock.test"}, Notify: func(bucket, key string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.notes = append(s.notes, bucket+"/"+key)
	}}
	for _, o := range options {
		o(&d)
	}
	s.room = room.New(d)
	s.Server = httptest.NewUnstartedServer(s.door())
	s.Server.EnableHTTP2 = false
	if t.Name() == "TestTrailingChecksums" {
		s.Server.StartTLS()
	} else {
		s.Server.Start()
	}
	t.Cleanup(func() {
		s.Close()
		s.blobs.Close()
	})
	return s
}

func (s *server) notified() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.notes)
}

// door verifies as the real one does and hands on.
func (s *server) door() http.Handler {
	refuse := func(w http.ResponseWriter, err error) {
		var f *sigv4.Failure
		if !errors.As(err, &f) {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		a := f.Answer(sigv4.S3)
		w.WriteHeader(a.Status)
		io.WriteString(w, "<Error><Code>"+a.Code+"</Code><Message>"+a.Message+"</Message></Error>")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sig, err := sigv4.Parse(r)
		if err != nil {
			refuse(w, err)
			return
		}
		err = sig.Verify(r, sig.AccessKeyID, sigv4.Options{Service: "s3", Now: time.Now(), Skew: time.Hour, Bucket: s.room.HostBucket(r.Host)})
		if err != nil {
			refuse(w, err)
			return
		}
		body, err := sig.Body(r)
		if err != nil {
			refuse(w, err)
			return
		}
		caller := auth.Caller{Account: "111111111111", Region: sig.Region, ARN: "arn:aws:iam::111111111111:user/" + sig.AccessKeyID}
		ctx := auth.Trusted(r.Context(), caller)
		switch sig.AccessKeyID {
		case other:
			caller.Account = "222222222222"
			ctx = auth.Trusted(r.Context(), caller)
		case limited:
			if ctx, err = auth.Limited(r.Context(), caller, policy); err != nil {
				refuse(w, err)
				return
			}
		}
		r.Body, r.ContentLength, r.Trailer = &verified{Body: body, Closer: r.Body}, body.Length, body.Trailer()
		s.room.ServeHTTP(w, r.WithContext(ctx))
	})
}

// verified is the body that package auth hands on: its refusals are faults.
type verified struct {
	*sigv4.Body
	io.Closer
}

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.Body.Read(p)
	var f *sigv4.Failure
	if errors.As(err, &f) {
		a := f.Answer(sigv4.S3)
		err = fault.New(a.Code, "%s", a.Message)
	}
	return n, err
}

// client is an S3 client with a key; further functions change its options.
func (s *server) client(key string, options ...func(*s3.Options)) *s3.Client {
	o := s3.Options{
		BaseEndpoint: aws.String(s.URL), Region: "us-east-1", UsePathStyle: true, HTTPClient: s.Client(),
		Credentials: credentials.NewStaticCredentialsProvider(key, key, ""), RetryMaxAttempts: 1,
		// What config.LoadDefaultConfig sets.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported, ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported,
	}
	for _, f := range options {
		f(&o)
	}
	return s3.New(o)
}

// bucket makes a bucket; versioning is "", "Enabled" or "Suspended".
func (s *server) bucket(c *s3.Client, name, versioning string) {
	s.t.Helper()
	must(s.t)(c.CreateBucket(s.t.Context(), &s3.CreateBucketInput{Bucket: &name}))
	if versioning != "" {
		s.version(c, name, versioning)
	}
}

// must gives a function that fails the test for an error and hands the value on as any.
func must(t *testing.T) func(v any, err error) {
	t.Helper()
	return func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
}

// ok gives a function that fails the test for an error and gives the value.
func ok[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		return get(t, v, err)
	}
}

func get[T any](t *testing.T, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (s *server) put(c *s3.Client, bucket, key, body string, change ...func(*s3.PutObjectInput)) *s3.PutObjectOutput {
	s.t.Helper()
	in := &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(body)}
	for _, f := range change {
		f(in)
	}
	out, err := c.PutObject(s.t.Context(), in)
	return get(s.t, out, err)
}

// read gives the body of an object; version may be empty.
func (s *server) read(c *s3.Client, bucket, key, version string) string {
	s.t.Helper()
	in := &s3.GetObjectInput{Bucket: &bucket, Key: &key}
	if version != "" {
		in.VersionId = &version
	}
	out, err := c.GetObject(s.t.Context(), in)
	if err != nil {
		s.t.Fatal(err)
	}
	return body(s.t, out.Body)
}

func body(t *testing.T, r io.ReadCloser) string {
	t.Helper()
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// refused checks the status and code of an error.
func refused(t *testing.T, err error, status int, code string) {
	t.Helper()
	var api smithy.APIError
	var re *smithyhttp.ResponseError
	if !errors.As(err, &api) || !errors.As(err, &re) {
		t.Errorf("got %v, want %d %s", err, status, code)
		return
	}
	if api.ErrorCode() != code || re.HTTPStatusCode() != status {
		t.Errorf("got %d %s (%s), want %d %s", re.HTTPStatusCode(), api.ErrorCode(), api.ErrorMessage(), status, code)
	}
}

// blobCount counts the blobs on disk.
func (s *server) blobCount() (n int) {
	s.t.Helper()
	if err := s.blobs.Walk(s.t.Context(), func(blob.Entry) error { n++; return nil }); err != nil {
		s.t.Fatal(err)
	}
	return n
}

// requestOf makes a request that no SDK would make, by the administrator.
func requestOf(s *server, method, target string, content io.Reader, header ...string) *http.Request {
	ctx := auth.Trusted(s.t.Context(), auth.Caller{Account: "111111111111", Region: "us-east-1"})
	r := httptest.NewRequestWithContext(ctx, method, target, content)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	if h := r.Header.Get("Host"); h != "" {
		r.Host = h
	}
	return r
}

func serve(s *server, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.room.ServeHTTP(w, r)
	return w
}

// raw serves a request of requestOf.
func (s *server) raw(method, target string, content []byte, header ...string) *httptest.ResponseRecorder {
	s.t.Helper()
	return serve(s, requestOf(s, method, target, bytes.NewReader(content), header...))
}

// code finds the error code in an answer.
func code(w *httptest.ResponseRecorder) string {
	_, rest, _ := strings.Cut(w.Body.String(), "<Code>")
	c, _, _ := strings.Cut(rest, "</Code>")
	return c
}

func cancelled(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx
}
