package s3_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"

	"penstock/internal/store"
	"penstock/internal/store/storetest"
	room "penstock/internal/svc/s3"
)

// N-3, N-4: what was put comes back, with everything that was said about it.
func TestPutAndGet(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := startOn(t, db)
		c, ctx, b, k := s.client(admin), t.Context(), aws.String("bucket"), aws.String("dir/a b+c&é~.txt")
		s.bucket(c, "bucket", "")
		put := s.put(c, *b, *k, "hello", func(in *s3.PutObjectInput) {
			in.ContentType, in.CacheControl, in.ContentDisposition = aws.String("text/plain"), aws.String("no-cache"), aws.String("inline")
			in.ContentEncoding, in.ContentLanguage, in.Expires = aws.String("gzip"), aws.String("de"), aws.Time(time.Unix(1e9, 0))
			in.Metadata = map[string]string{"codepipeline-artifact-revision-summary": "one two"}
			in.Tagging = aws.String("a=1&b=%2F")
			in.ServerSideEncryption, in.SSEKMSKeyId = types.ServerSideEncryptionAwsKms, aws.String("arn:aws:kms:us-east-1:1:key/k")
			in.StorageClass = types.StorageClassStandardIa
		})
		etag := `"` + hex.EncodeToString(md5sum("hello")) + `"`
		if *put.ETag != etag || put.VersionId != nil || aws.ToString(put.SSEKMSKeyId) == "" { // N-5: echoed
			t.Errorf("PutObject: %+v", put)
		}
		out := ok(c.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: k}))(t)
		if got := body(t, out.Body); got != "hello" {
			t.Errorf("body %q", got)
		}
		head := ok(c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: b, Key: k, ChecksumMode: types.ChecksumModeEnabled}))(t)
		if *head.ETag != etag || *head.ContentLength != 5 || *head.ContentType != "text/plain" || *head.CacheControl != "no-cache" ||
			*head.ContentDisposition != "inline" || *head.ContentEncoding != "gzip" || *head.ContentLanguage != "de" ||
			aws.ToString(head.ExpiresString) == "" || head.StorageClass != types.StorageClassStandardIa || *head.TagCount != 2 ||
			head.ServerSideEncryption != types.ServerSideEncryptionAwsKms || head.LastModified.IsZero() ||
			head.ChecksumCRC32 == nil || head.ChecksumType != types.ChecksumTypeFullObject {
			t.Errorf("HeadObject: %+v", head)
		}
		if diff := cmp.Diff(map[string]string{"codepipeline-artifact-revision-summary": "one two"}, head.Metadata); diff != "" {
			t.Error(diff)
		}
		if got := s.notified(); !slices.Equal(got, []string{"bucket/" + *k}) {
			t.Errorf("notified %q", got)
		}
		// Overwriting leaves no bytes behind, deleting none at all.
		s.put(c, *b, *k, "other")
		s.put(c, *b, "empty", "")
		if n := s.blobCount(); n != 2 {
			t.Errorf("%d blobs, want 2", n)
		}
		if got := s.read(c, *b, "empty", ""); got != "" {
			t.Errorf("empty object: %q", got)
		}
		for _, key := range []string{*k, "empty", "never there"} {
			must(t)(c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: b, Key: &key}))
		}
		if n := s.blobCount(); n != 0 {
			t.Errorf("%d blobs are left", n)
		}
		_, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: k})
		refused(t, err, 404, "NoSuchKey")
		_, err = c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: b, Key: k})
		refused(t, err, 404, "NotFound")
	})
}

func md5sum(s string) []byte {
	sum := md5.Sum([]byte(s))
	return sum[:]
}

// N-4: every algorithm is verified, kept and shown.
func TestChecksums(t *testing.T) {
	t.Parallel()
	s := start(t)
	c, ctx, b := s.client(admin), t.Context(), aws.String("sums")
	s.bucket(c, "sums", "")
	// The values of "123456789" are the check values of the CRC catalogue.
	want := map[types.ChecksumAlgorithm]string{
		"CRC32": "y/Q5Jg==", "CRC32C": "4waSgw==", "CRC64NVME": "rosUhgp5mIg=",
		"SHA1": "98O8HYCOBHMq32eZZczDTKeuNEE=", "SHA256": "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=",
	}
	for a, value := range want {
		key := aws.String(string(a))
		must(t)(c.PutObject(ctx, &s3.PutObjectInput{Bucket: b, Key: key, Body: strings.NewReader("123456789"), ChecksumAlgorithm: a}))
		head := ok(c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: b, Key: key, ChecksumMode: types.ChecksumModeEnabled}))(t)
		got := map[types.ChecksumAlgorithm]*string{"CRC32": head.ChecksumCRC32, "CRC32C": head.ChecksumCRC32C,
			"CRC64NVME": head.ChecksumCRC64NVME, "SHA1": head.ChecksumSHA1, "SHA256": head.ChecksumSHA256}
		for other, v := range got {
			if other == a && aws.ToString(v) != value || other != a && v != nil {
				t.Errorf("%s: %s is %q, want %q", a, other, aws.ToString(v), value)
			}
		}
		if got := s.read(c, *b, *key, ""); got != "123456789" { // the SDK checks it too
			t.Errorf("%s: %q", a, got)
		}
		attr := ok(c.GetObjectAttributes(ctx, &s3.GetObjectAttributesInput{Bucket: b, Key: key, ObjectAttributes: []types.ObjectAttributes{"ETag", "Checksum", "ObjectSize", "StorageClass"}}))(t)
		if *attr.ETag != hex.EncodeToString(md5sum("123456789")) || *attr.ObjectSize != 9 || attr.Checksum == nil || attr.StorageClass != "STANDARD" {
			t.Errorf("attributes: %+v", attr)
		}
		// What does not match is refused and not kept.
		header := "x-amz-checksum-" + strings.ToLower(string(a))
		if w := s.raw("PUT", "/sums/bad", []byte("12345678x"), header, value); w.Code != 400 || code(w) != "BadDigest" {
			t.Errorf("%s, wrong: %d %s", a, w.Code, code(w))
		}
		if w := s.raw("PUT", "/sums/bad", []byte("123456789"), header, "AAAA"); w.Code != 400 || code(w) != "InvalidRequest" {
			t.Errorf("%s, malformed: %d %s", a, w.Code, code(w))
		}
	}
	for _, headers := range [][]string{
		{"Content-Md5", base64.StdEncoding.EncodeToString(md5sum("other")), "BadDigest"},
		{"Content-Md5", "no base64", "InvalidDigest"},
		{"X-Amz-Checksum-Sha1", want["SHA1"], "X-Amz-Checksum-Sha256", want["SHA256"], "InvalidRequest"},
		{"X-Amz-Sdk-Checksum-Algorithm", "MD4", "InvalidRequest"},
	} {
		n := len(headers) - 1
		if w := s.raw("PUT", "/sums/bad", []byte("123456789"), headers[:n]...); code(w) != headers[n] {
			t.Errorf("%q: %d %s", headers, w.Code, code(w))
		}
	}
	if w := s.raw("GET", "/sums/bad", nil); w.Code != 404 {
		t.Errorf("a refused object is there: %d", w.Code)
	}
	if n := s.blobCount(); n != len(want) {
		t.Errorf("%d blobs, want %d", n, len(want))
	}
}

// N-4: the default of current SDKs for streams, aws-chunked with a trailing checksum.
func TestTrailingChecksums(t *testing.T) {
	t.Parallel()
	s := start(t)
	c, ctx, b, k := s.client(admin), t.Context(), aws.String("trail"), aws.String("k")
	s.bucket(c, "trail", "")
	content := strings.Repeat("stream ", 100_000)
	must(t)(c.PutObject(ctx, &s3.PutObjectInput{Bucket: b, Key: k, Body: io.MultiReader(strings.NewReader(content)), ContentLength: aws.Int64(int64(len(content)))}))
	head := ok(c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: b, Key: k, ChecksumMode: types.ChecksumModeEnabled}))(t)
	if head.ChecksumCRC32 == nil || *head.ContentLength != int64(len(content)) || aws.ToString(head.ContentEncoding) != "" {
		t.Errorf("HeadObject: %+v", head)
	}
	if got := s.read(c, *b, *k, ""); got != content {
		t.Errorf("%d bytes came back", len(got))
	}
}

// N-4: a body that is not the signed one is not kept.
func TestBodyIsTheSignedOne(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.client(admin)
	s.bucket(c, "signed", "")
	wrong := sha256.Sum256([]byte("what was signed"))
	for _, content := range []string{"what was sent!!", strings.Repeat("x", 1<<20)} {
		p := ok(s3.NewPresignClient(c).PresignPutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("signed"), Key: aws.String("k"),
			ChecksumSHA256: aws.String(base64.StdEncoding.EncodeToString(wrong[:]))}))(t)
		req := ok(http.NewRequestWithContext(t.Context(), "PUT", p.URL, strings.NewReader(content)))(t)
		maps.Copy(req.Header, p.SignedHeader)
		resp := ok(s.Client().Do(req))(t)
		if text := body(t, resp.Body); resp.StatusCode != 400 || !strings.Contains(text, "<Code>BadDigest</Code>") {
			t.Errorf("%d %s", resp.StatusCode, text)
		}
	}
	if n := s.blobCount(); n != 0 {
		t.Errorf("%d blobs are left", n)
	}
}

func TestShortAndEndlessBodies(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.bucket(s.client(admin), "body", "")
	put := func(r io.Reader, length int64, header ...string) (int, string) {
		req := requestOf(s, "PUT", "/body/k", r, header...)
		req.ContentLength = length
		w := serve(s, req)
		return w.Code, code(w)
	}
	if st, co := put(strings.NewReader("12345"), 10); co != "IncompleteBody" {
		t.Errorf("too short: %d %s", st, co)
	}
	if st, co := put(strings.NewReader("12345"), 3); co != "IncompleteBody" {
		t.Errorf("too long: %d %s", st, co)
	}
	if st, co := put(strings.NewReader("12345"), -1); st != 411 || co != "MissingContentLength" {
		t.Errorf("no length: %d %s", st, co)
	}
	if st, co := put(strings.NewReader("12345"), 6<<30); st != 400 || co != "EntityTooLarge" {
		t.Errorf("huge: %d %s", st, co)
	}
	if st, co := put(io.MultiReader(strings.NewReader("123"), errReader{io.ErrUnexpectedEOF}), 10); co != "IncompleteBody" {
		t.Errorf("broken off: %d %s", st, co)
	}
	if n := s.blobCount(); n != 0 {
		t.Errorf("%d blobs are left", n)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// A body that stands still is given up.
func TestSilentBody(t *testing.T) {
	t.Parallel()
	s := start(t, func(d *room.Deps) { d.Idle = time.Second })
	c := s.client(admin)
	s.bucket(c, "silent", "")
	p := ok(s3.NewPresignClient(c).PresignPutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("silent"), Key: aws.String("k")}))(t)
	r, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	req := ok(http.NewRequestWithContext(ctx, "PUT", p.URL, r))(t)
	req.ContentLength = 100
	maps.Copy(req.Header, p.SignedHeader)
	resp, err := s.Client().Do(req)
	if err != nil {
		if ctx.Err() != nil {
			t.Errorf("the server waits for ever: %v", err)
		}
		return // the connection was closed
	}
	if text := body(t, resp.Body); !strings.Contains(text, "<Code>RequestTimeout</Code>") {
		t.Errorf("%d %s", resp.StatusCode, text)
	}
}

// N-3: Range and partNumber.
func TestRanges(t *testing.T) {
	t.Parallel()
	s := start(t)
	c, b, k := s.client(admin), aws.String("ranges"), aws.String("k")
	s.bucket(c, "ranges", "")
	s.put(c, "ranges", "k", "0123456789")
	s.put(c, "ranges", "empty", "")
	for text, want := range map[string]string{
		"bytes=0-3": "0123", "bytes=4-": "456789", "bytes=-3": "789", "bytes=8-100": "89", "bytes=-100": "0123456789", "bytes=9-9": "9",
		"bytes=0-18446744073709551615": "0123456789", "bytes=5-2": "0123456789", "bytes=0-1,3-4": "0123456789", "lines=1-2": "0123456789", "bytes=x-": "0123456789",
	} {
		out := ok(c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: b, Key: k, Range: &text}))(t)
		if got := body(t, out.Body); got != want || *out.ContentLength != int64(len(want)) {
			t.Errorf("%s: %q, %v", text, got, *out.ContentLength)
		}
	}
	out := ok(c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: b, Key: k, Range: aws.String("bytes=2-3"), ChecksumMode: types.ChecksumModeEnabled}))(t)
	if body(t, out.Body); *out.ContentRange != "bytes 2-3/10" || out.ChecksumCRC32 != nil {
		t.Errorf("%+v", out)
	}
	for key, texts := range map[string][]string{"k": {"bytes=10-", "bytes=-0"}, "empty": {"bytes=0-", "bytes=-1"}} {
		for _, text := range texts {
			_, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: b, Key: &key, Range: &text})
			refused(t, err, 416, "InvalidRange")
		}
	}
	part := ok(c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: b, Key: k, PartNumber: aws.Int32(1)}))(t)
	if got := body(t, part.Body); got != "0123456789" {
		t.Errorf("part 1: %q", got)
	}
	_, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: b, Key: k, PartNumber: aws.Int32(2)})
	refused(t, err, 416, "InvalidPartNumber")
}

// N-3: conditions on reads, and on writes.
func TestConditions(t *testing.T) {
	t.Parallel()
	s := start(t)
	c, ctx, b, k := s.client(admin), t.Context(), aws.String("conds"), aws.String("k")
	s.bucket(c, "conds", "")
	etag := s.put(c, "conds", "k", "x", func(in *s3.PutObjectInput) { in.IfNoneMatch = aws.String("*") }).ETag
	past, future := aws.Time(time.Now().Add(-time.Hour)), aws.Time(time.Now().Add(time.Hour))
	for name, test := range map[string]struct {
		in     s3.GetObjectInput
		status int
		code   string
	}{
		"match":               {s3.GetObjectInput{IfMatch: etag}, 0, ""},
		"match any":           {s3.GetObjectInput{IfMatch: aws.String("*")}, 0, ""},
		"no match":            {s3.GetObjectInput{IfMatch: aws.String(`"other"`)}, 412, "PreconditionFailed"},
		"none match":          {s3.GetObjectInput{IfNoneMatch: etag}, 304, "NotModified"},
		"none match, changed": {s3.GetObjectInput{IfNoneMatch: aws.String(`"other"`)}, 0, ""},
		"modified":            {s3.GetObjectInput{IfModifiedSince: past}, 0, ""},
		"not modified":        {s3.GetObjectInput{IfModifiedSince: future}, 304, "NotModified"},
		"unmodified":          {s3.GetObjectInput{IfUnmodifiedSince: future}, 0, ""},
		"not unmodified":      {s3.GetObjectInput{IfUnmodifiedSince: past}, 412, "PreconditionFailed"},
		"match over time":     {s3.GetObjectInput{IfMatch: etag, IfUnmodifiedSince: past}, 0, ""},
		"none over time":      {s3.GetObjectInput{IfNoneMatch: aws.String(`"o"`), IfModifiedSince: future}, 0, ""},
	} {
		test.in.Bucket, test.in.Key = b, k
		out, err := c.GetObject(ctx, &test.in)
		switch {
		case test.code == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case test.code == "":
			body(t, out.Body)
		default:
			refused(t, err, test.status, test.code)
		}
	}
	write := func(key string, match, none *string) error {
		_, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: b, Key: &key, Body: strings.NewReader("y"), IfMatch: match, IfNoneMatch: none})
		return err
	}
	refused(t, write("k", nil, aws.String("*")), 412, "PreconditionFailed")
	refused(t, write("k", aws.String(`"other"`), nil), 412, "PreconditionFailed")
	refused(t, write("none", etag, nil), 404, "NoSuchKey")
	if err := errors.Join(write("k", etag, nil), write("new", nil, aws.String("*"))); err != nil {
		t.Error(err)
	}
	_, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: b, Key: k, IfMatch: etag})
	refused(t, err, 412, "PreconditionFailed")
}

// Of writers that each want to be the first, exactly one is.
func TestOneFirstWriter(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := startOn(t, db)
		c := s.client(admin)
		s.bucket(c, "first", "")
		const writers = 8
		errs := make(chan error, writers)
		for range writers {
			go func() {
				_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("first"), Key: aws.String("k"), Body: strings.NewReader("x"), IfNoneMatch: aws.String("*")})
				errs <- err
			}()
		}
		won := 0
		for range writers {
			if err := <-errs; err == nil {
				won++
			} else {
				refused(t, err, 412, "PreconditionFailed")
			}
		}
		if won != 1 || s.blobCount() != 1 {
			t.Errorf("%d writers were the first, %d blobs are kept", won, s.blobCount())
		}
	})
}

// W-34: presigned URLs, with response- overrides.
func TestPresigned(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.client(admin)
	s.bucket(c, "signed", "")
	s.put(c, "signed", "k", "x")
	p := ok(s3.NewPresignClient(c).PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("signed"), Key: aws.String("k"),
		ResponseContentType: aws.String("text/css"), ResponseContentDisposition: aws.String(`attachment; filename="a b"`), ResponseCacheControl: aws.String("max-age=1")}))(t)
	resp := ok(s.Client().Get(p.URL))(t)
	if got := body(t, resp.Body); got != "x" || resp.Header.Get("Content-Type") != "text/css" ||
		resp.Header.Get("Content-Disposition") != `attachment; filename="a b"` || resp.Header.Get("Cache-Control") != "max-age=1" {
		t.Errorf("%d %q %v", resp.StatusCode, got, resp.Header)
	}
	if w := s.raw("GET", "/signed/k?response-content-type=a%0d%0aSet-Cookie:b", nil); w.Code != 400 {
		t.Errorf("a line end in a header: %d %v", w.Code, w.Header())
	}
}

// W-34: SDKs move headers of a presigned request into its URL. They count there as well, but for
// checksums: who signs before there is a body has only that of no body to put there.
func TestPresignedHeadersInTheURL(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.client(admin)
	s.bucket(c, "signed", "")
	s.put(c, "signed", "k", "x")
	p := ok(s3.NewPresignClient(c).PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("signed"), Key: aws.String("k"),
		ExpectedBucketOwner: aws.String("222222222222")}))(t)
	if !strings.Contains(p.URL, "x-amz-expected-bucket-owner=") {
		t.Fatalf("the SDK moves nothing into %s", p.URL)
	}
	resp := ok(s.Client().Get(p.URL))(t)
	if got := body(t, resp.Body); resp.StatusCode != 403 || !strings.Contains(got, "AccessDenied") {
		t.Errorf("another owner: %d %s", resp.StatusCode, got)
	}
	// As the SDK for JavaScript writes it.
	signer, hash := v4.NewSigner(), "UNSIGNED-PAYLOAD"
	req := ok(http.NewRequestWithContext(t.Context(), http.MethodPut,
		s.URL+"/signed/made?X-Amz-Expires=60&x-amz-meta-a=b&x-amz-tagging=t%3D1&x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32", nil))(t)
	address, _, err := signer.PresignHTTP(t.Context(), aws.Credentials{AccessKeyID: admin, SecretAccessKey: admin}, req, hash, "s3", "us-east-1", time.Now(),
		func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	must(t)(address, err)
	req = ok(http.NewRequestWithContext(t.Context(), http.MethodPut, address, strings.NewReader("made")))(t)
	resp = ok(s.Client().Do(req))(t)
	if got := body(t, resp.Body); resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, got)
	}
	head := ok(c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("signed"), Key: aws.String("made")}))(t)
	if head.Metadata["a"] != "b" || aws.ToInt32(head.TagCount) != 1 {
		t.Errorf("metadata %v, %d tags", head.Metadata, aws.ToInt32(head.TagCount))
	}
}

// W-29, W-34: who was given a URL to put one object can do just that: a header that the room
// reads, and who signed did not say, is refused. The headers are those of the room's source.
func TestPresignedTakesNoHeaders(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.client(admin)
	s.bucket(c, "signed", "")
	s.put(c, "signed", "secret", "not for you")
	files := ok(filepath.Glob("*.go"))(t)
	headers := map[string]bool{"X-Amz-Meta-A": true, "X-Amz-Checksum-Crc32": true}
	for _, file := range files {
		if !strings.HasSuffix(file, "_test.go") {
			for _, name := range regexp.MustCompile(`"X-Amz-[A-Za-z0-9-]*[A-Za-z0-9]"`).FindAllString(string(ok(os.ReadFile(file))(t)), -1) {
				headers[strings.Trim(name, `"`)] = true
			}
		}
	}
	delete(headers, "X-Amz-Content-Sha256") // which says the same of a body as before
	if len(headers) < 30 {
		t.Fatalf("the room reads only %d headers", len(headers))
	}
	p := ok(s3.NewPresignClient(c).PresignPutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("signed"), Key: aws.String("k")}))(t)
	for name := range headers {
		req := ok(http.NewRequestWithContext(t.Context(), http.MethodPut, p.URL, nil))(t)
		req.Header.Set(name, "/signed/secret")
		resp := ok(s.Client().Do(req))(t)
		if text := body(t, resp.Body); resp.StatusCode != http.StatusForbidden || !strings.Contains(text, "There were headers present in the request which were not signed") {
			t.Errorf("%s: %d %s", name, resp.StatusCode, text)
		}
	}
	_, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("signed"), Key: aws.String("k")})
	refused(t, err, http.StatusNotFound, "NotFound")
}

// N-3.
func TestCopy(t *testing.T) {
	t.Parallel()
	s := start(t)
	c, ctx := s.client(admin), t.Context()
	s.bucket(c, "from", "Enabled")
	s.bucket(c, "to-bucket", "")
	from, to, k := aws.String("from"), aws.String("to-bucket"), aws.String("k")
	v1 := s.put(c, "from", "a b/é", "one", func(in *s3.PutObjectInput) {
		in.Metadata, in.ContentType, in.Tagging = map[string]string{"m": "1"}, aws.String("text/plain"), aws.String("t=1")
	})
	s.put(c, "from", "a b/é", "two!")
	out := ok(c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: to, Key: k, CopySource: aws.String("from/a%20b/%C3%A9?versionId=" + *v1.VersionId)}))(t)
	if *out.CopySourceVersionId != *v1.VersionId || *out.CopyObjectResult.ETag != *v1.ETag || out.VersionId != nil || out.CopyObjectResult.ChecksumCRC32 == nil {
		t.Errorf("CopyObject: %+v %+v", out, out.CopyObjectResult)
	}
	head := ok(c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: to, Key: k}))(t)
	if *head.ContentLength != 3 || head.Metadata["m"] != "1" || *head.ContentType != "text/plain" || *head.TagCount != 1 {
		t.Errorf("the copy: %+v", head)
	}
	must(t)(c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: to, Key: k, CopySource: aws.String("/from/a%20b/%C3%A9"),
		MetadataDirective: types.MetadataDirectiveReplace, ContentType: aws.String("text/css"), Metadata: map[string]string{"n": "2"},
		TaggingDirective: types.TaggingDirectiveReplace, ChecksumAlgorithm: types.ChecksumAlgorithmSha256}))
	head = ok(c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: to, Key: k, ChecksumMode: types.ChecksumModeEnabled}))(t)
	if diff := cmp.Diff(map[string]string{"n": "2"}, head.Metadata); diff != "" || *head.ContentType != "text/css" || head.TagCount != nil || head.ChecksumSHA256 == nil || *head.ContentLength != 4 {
		t.Errorf("the copy: %+v %s", head, diff)
	}
	_, err := c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: to, Key: k, CopySource: aws.String("to-bucket/k")})
	refused(t, err, 400, "InvalidRequest")
	must(t)(c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: to, Key: k, CopySource: aws.String("to-bucket/k"), MetadataDirective: types.MetadataDirectiveReplace}))
	if got := s.read(c, "to-bucket", "k", ""); got != "two!" {
		t.Errorf("copied onto itself: %q", got)
	}
	_, err = c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: to, Key: k, CopySource: aws.String("from/none")})
	refused(t, err, 404, "NoSuchKey")
	_, err = c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: to, Key: k, CopySource: aws.String("nowhere/none")})
	refused(t, err, 404, "NoSuchBucket")
	_, err = c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: to, Key: k, CopySource: aws.String("to-bucket/k"), CopySourceIfNoneMatch: aws.String("*"), StorageClass: "STANDARD"})
	refused(t, err, 412, "PreconditionFailed")
	gone := ok(c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: from, Key: aws.String("a b/é")}))(t)
	_, err = c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: to, Key: k, CopySource: aws.String("from/a%20b/%C3%A9?versionId=" + *gone.VersionId)})
	refused(t, err, 400, "InvalidRequest")
}

func TestObjectTagging(t *testing.T) {
	t.Parallel()
	s := start(t)
	c, ctx, b, k := s.client(admin), t.Context(), aws.String("tags"), aws.String("k")
	s.bucket(c, "tags", "Enabled")
	v1 := s.put(c, "tags", "k", "1", func(in *s3.PutObjectInput) { in.Tagging = aws.String("a=1") })
	s.put(c, "tags", "k", "2")
	tags := func(version *string) string {
		out := ok(c.GetObjectTagging(ctx, &s3.GetObjectTaggingInput{Bucket: b, Key: k, VersionId: version}))(t)
		var b bytes.Buffer
		for _, tag := range out.TagSet {
			b.WriteString(*tag.Key + "=" + *tag.Value + ";")
		}
		return b.String()
	}
	if tags(nil) != "" || tags(v1.VersionId) != "a=1;" {
		t.Errorf("tags %q, %q", tags(nil), tags(v1.VersionId))
	}
	set := func(list ...types.Tag) error {
		_, err := c.PutObjectTagging(ctx, &s3.PutObjectTaggingInput{Bucket: b, Key: k, Tagging: &types.Tagging{TagSet: list}})
		return err
	}
	tag := func(k, v string) types.Tag { return types.Tag{Key: &k, Value: &v} }
	if err := set(tag("x", "1"), tag("y", "")); err != nil || tags(nil) != "x=1;y=;" || tags(v1.VersionId) != "a=1;" {
		t.Errorf("tags %q, %q, %v", tags(nil), tags(v1.VersionId), err)
	}
	refused(t, set(tag("x", "1"), tag("x", "2")), 400, "InvalidTag")
	refused(t, set(tag("aws:x", "1")), 400, "InvalidTag")
	refused(t, set(tag(strings.Repeat("k", 129), "1")), 400, "InvalidTag")
	refused(t, set(slices.Repeat([]types.Tag{tag("x", "1")}, 11)...), 400, "BadRequest")
	must(t)(c.DeleteObjectTagging(ctx, &s3.DeleteObjectTaggingInput{Bucket: b, Key: k}))
	if tags(nil) != "" {
		t.Errorf("tags %q", tags(nil))
	}
}

// A request whose caller has gone leaves nothing.
func TestCancelledPut(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.bucket(s.client(admin), "gone", "")
	req := requestOf(s, "PUT", "/gone/k", strings.NewReader("12345"))
	serve(s, req.WithContext(cancelled(req.Context())))
	if n := s.blobCount(); n != 0 {
		t.Errorf("%d blobs are left", n)
	}
}

// A crash between the blob and its row leaves a blob that a sweep finds.
func TestSweep(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.client(admin)
	s.bucket(c, "sweep", "")
	s.put(c, "sweep", "k", "kept")
	up := ok(c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String("sweep"), Key: aws.String("up")}))(t)
	must(t)(c.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: aws.String("sweep"), Key: aws.String("up"), UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("kept too")}))
	must(t)(s.blobs.Put(t.Context(), "orphan", strings.NewReader("lost")))
	if n, err := s.room.Sweep(t.Context(), time.Hour); n != 0 || err != nil {
		t.Errorf("swept %d young blobs, %v", n, err)
	}
	if n, err := s.room.Sweep(t.Context(), -time.Minute); n != 1 || err != nil || s.blobCount() != 2 {
		t.Errorf("swept %d, %v; %d are left", n, err, s.blobCount())
	}
	if got := s.read(c, "sweep", "k", ""); got != "kept" {
		t.Errorf("read %q", got)
	}
}
