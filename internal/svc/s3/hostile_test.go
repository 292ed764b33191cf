package s3_test

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// Keys are opaque: none of them is a path, and all of them come back as they were.
func TestStrangeKeys(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.bucket(s.client(admin), "odd", "")
	for _, path := range []string{
		"/odd/../../etc/passwd", "/odd/..", "/odd/.", "/odd//", "/odd//a//b/", "/odd/%2e%2e%2f%2e%2e%2fx", "/odd/a%5cb", "/odd/%01%1f%7f",
		"/odd/a%3Fb%23c", "/odd/+%20+", "/odd/%F0%9F%92%A9", "/odd/" + strings.Repeat("k", 1024), "/odd/%E2%80%AE", "/odd/v20180820/tags/x", "/odd/C:%5Cx", "/odd/'%22;--",
	} {
		if w := s.raw("PUT", path, []byte(path)); w.Code != 200 {
			t.Errorf("PUT %q: %d %s", path, w.Code, code(w))
		}
		if w := s.raw("GET", path, nil); w.Body.String() != path {
			t.Errorf("GET %q: %d %s", path, w.Code, w.Body)
		}
	}
	for path, want := range map[string]string{
		"/odd/" + strings.Repeat("k", 1025): "KeyTooLongError", "/odd/%00": "InvalidURI", "/odd/a%00b": "InvalidURI", "/odd/%ff": "InvalidURI", "/odd/%c0%80": "InvalidURI",
	} {
		if w := s.raw("PUT", path, nil); w.Code != 400 || code(w) != want {
			t.Errorf("PUT %.20q: %d %s, want %s", path, w.Code, code(w), want)
		}
	}
	for _, path := range []string{"/%00/k", "/..%2f..%2fetc/k", "/odd%00/k"} {
		if w := s.raw("GET", path, nil); w.Code != 404 && w.Code != 400 {
			t.Errorf("GET %q: %d", path, w.Code)
		}
	}
	// Listings with such keys are still XML.
	for _, query := range []string{"list-type=2", "list-type=2&encoding-type=url", "versions", ""} {
		w := s.raw("GET", "/odd?"+query, nil)
		if err := xml.Unmarshal(w.Body.Bytes(), new(struct{ Name string })); w.Code != 200 || err != nil {
			t.Errorf("?%s: %d %v", query, w.Code, err)
		}
	}
}

func TestHostileDocuments(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.bucket(s.client(admin), "xml", "")
	s.raw("PUT", "/xml/k", []byte("x"))
	bomb := `<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>`
	var attributes strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&attributes, ` a%d=""`, i)
	}
	documents := map[string]string{
		"entity bomb": bomb + `<%s>&b;</%s>`, "external entity": `<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><%s>&f;</%s>`,
		"unknown entity": `<%s>&lol;</%s>`, "not closed": `<%s><a>`, "crossed": `<%s><a><b></a></b></%s>`, "two roots": `<%s/><%s/>`,
		"other root": `<Other/>`, "text": `hello`, "deep": `<%s>` + strings.Repeat("<a>", 50_000) + strings.Repeat("</a>", 50_000) + `</%s>`,
		"not UTF-8": "<%s>\xff</%s>", "NUL": "<%s>\x00</%s>", "stylesheet": `<?xml-stylesheet href="x"?><%s/>`, "trailing": `<%s/>junk`,
		"declaration at the end": `<%s/><?xml version="1.0"?>`, "declaration within": `<%s><?xml version="1.0"?></%s>`, "two declarations": `<?xml version="1.0"?><?xml version="1.0"?><%s/>`,
		"comment before the declaration": `<!-- x --><?xml version="1.0"?><%s/>`, "an attribute twice": `<%s a="1" a="2"/>`,
		"NUL in a comment": "<!-- \x00 --><%s/>", "a control in a comment": "<%s><!-- \x01 --></%s>", "no character": "<%s><!-- \ufffe --></%s>", "another space": "<!-- x -->\u00a0<%s/>",
		"a reference before": "&#32;<%s/>", "a section behind": "<%s/><![CDATA[ ]]>", "attributes": "<%s" + attributes.String() + "/>",
	}
	for target, root := range map[string]string{
		"PUT /xml?versioning": "VersioningConfiguration", "PUT /xml?tagging": "Tagging", "PUT /xml/k?tagging": "Tagging", "POST /xml?delete": "Delete",
		"PUT /xml?cors": "CORSConfiguration", "PUT /xml?publicAccessBlock": "PublicAccessBlockConfiguration", "PUT /xml?encryption": "ServerSideEncryptionConfiguration",
		"PUT /xml?notification": "NotificationConfiguration", "PUT /xml/k?acl": "AccessControlPolicy", "PUT /new-bucket": "CreateBucketConfiguration",
		"PUT /xml?ownershipControls": "OwnershipControls", "POST /xml/k?uploadId=x": "CompleteMultipartUpload",
	} {
		method, path, _ := strings.Cut(target, " ")
		for name, text := range documents {
			w := s.raw(method, path, []byte(strings.ReplaceAll(text, "%s", root)))
			if w.Code != 400 || code(w) != "MalformedXML" {
				t.Errorf("%s, %s: %d %s", target, name, w.Code, code(w))
			}
		}
		long := "<" + root + ">" + strings.Repeat(" ", 5<<20) + "</" + root + ">"
		if w := s.raw(method, path, []byte(long)); w.Code != 400 || code(w) != "MaxMessageLengthExceeded" {
			t.Errorf("%s, long: %d %s", target, w.Code, code(w))
		}
	}
}

func TestHostileHeaders(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.bucket(s.client(admin), "head", "")
	s.raw("PUT", "/head/src", []byte("x"))
	for _, test := range [][]string{
		{"X-Amz-Meta-A", strings.Repeat("x", 2049), "MetadataTooLarge"},
		{"X-Amz-Meta-" + strings.Repeat("a", 2049), "x", "MetadataTooLarge"},
		{"X-Amz-Tagging", "a=1&a=2", "InvalidTag"}, {"X-Amz-Tagging", "a=%00", "InvalidTag"}, {"X-Amz-Tagging", "%zz=1", "InvalidArgument"}, {"X-Amz-Tagging", strings.Repeat("a=1&", 11) + "z", "BadRequest"},
		{"X-Amz-Acl", "root", "InvalidArgument"}, {"X-Amz-Grant-Read", "id=x", "NotImplemented"},
		{"X-Amz-Storage-Class", "HOT", "InvalidStorageClass"}, {"X-Amz-Server-Side-Encryption", "rot13", "InvalidEncryptionAlgorithmError"},
		{"X-Amz-Server-Side-Encryption-Customer-Algorithm", "AES256", "NotImplemented"},
		{"X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id", "k", "InvalidArgument"},
		{"X-Amz-Copy-Source", "nobucket", "InvalidArgument"}, {"X-Amz-Copy-Source", "/", "InvalidArgument"}, {"X-Amz-Copy-Source", "head/src?versionId=", "InvalidArgument"},
		{"X-Amz-Copy-Source", "head/%00", "InvalidArgument"}, {"X-Amz-Copy-Source", "head/%zz", "InvalidArgument"}, {"X-Amz-Copy-Source", "../../etc/passwd", "NoSuchBucket"},
		{"X-Amz-Decoded-Content-Length", "-5", "InvalidArgument"}, {"X-Amz-Trailer", "x-amz-checksum-md4", "InvalidRequest"},
		{"X-Amz-Trailer", "x-amz-checksum-crc32", "MalformedTrailerError"}, {"If-None-Match", `"etag"`, "NotImplemented"},
		{"X-Amz-Object-Lock-Mode", "GOVERNANCE", "InvalidRequest"}, {"X-Amz-Write-Offset-Bytes", "1", "NotImplemented"},
		{"X-Amz-Object-Lock-Retain-Until-Date", "2030-01-01T00:00:00Z", "InvalidRequest"},
		{"X-Amz-Checksum-Sha512", "AAAA", "InvalidRequest"}, {"X-Amz-Checksum-Xxhash64", "AAAA", "InvalidRequest"}, {"X-Amz-Checksum-Md5", "AAAA", "InvalidRequest"},
	} {
		w := s.raw("PUT", "/head/k", nil, test[:2]...)
		if got := code(w); got != test[2] {
			t.Errorf("%.40s: %.40q: %d %s, want %s", test[0], test[1], w.Code, got, test[2])
		}
	}
	if n := s.blobCount(); n != 1 {
		t.Errorf("%d blobs are kept, want 1", n)
	}
}

// N-3, N-6: a condition or a key that nothing here acts on is refused, by whichever operation, and
// nothing is deleted or read without it.
func TestUnservedHeaders(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.bucket(s.client(admin), "held", "")
	s.raw("PUT", "/held/k", []byte("x"))
	for _, test := range [][]string{
		{"DELETE", "/held/k", "X-Amz-If-Match-Size", "7"},
		{"DELETE", "/held/k", "X-Amz-If-Match-Last-Modified-Time", "Thu, 26 Nov 2020 00:00:00 GMT"},
		{"DELETE", "/held/k?uploadId=u", "X-Amz-If-Match-Initiated-Time", "Thu, 26 Nov 2020 00:00:00 GMT"},
		{"GET", "/held/k", "X-Amz-Server-Side-Encryption-Customer-Key", "a2V5"},
		{"PUT", "/held/k?uploadId=u&partNumber=1", "X-Amz-Server-Side-Encryption-Customer-Algorithm", "AES256"},
		{"PUT", "/held-too", "X-Amz-Bucket-Namespace", "account-regional"},
	} {
		w := s.raw(test[0], test[1], nil, test[2:]...)
		if w.Code != 501 || code(w) != "NotImplemented" || !strings.Contains(w.Body.String(), strings.ToLower(test[2])) {
			t.Errorf("%q: %d %s", test, w.Code, w.Body)
		}
	}
	for _, element := range []string{"<Size>7</Size>", "<LastModifiedTime>2020-11-26T00:00:00Z</LastModifiedTime>"} {
		w := s.raw("POST", "/held?delete", []byte("<Delete><Object><Key>k</Key>"+element+"</Object></Delete>"))
		if w.Code != 501 || code(w) != "NotImplemented" {
			t.Errorf("%s: %d %s", element, w.Code, w.Body)
		}
	}
	if w := s.raw("GET", "/held/k", nil); w.Code != 200 {
		t.Errorf("the object: %d", w.Code)
	}
}

// N-3: what there is no operation for is said so, and errors have the form of S3's.
func TestErrorsAreS3s(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.bucket(s.client(admin), "errs", "")
	for target, want := range map[string]string{
		"POST /errs": "405 MethodNotAllowed", "PATCH /errs/k": "405 MethodNotAllowed", "PUT /": "405 MethodNotAllowed", "POST /errs/k": "405 MethodNotAllowed",
		"POST /errs/k?restore": "405 MethodNotAllowed", "GET /errs/k?torrent": "501 NotImplemented", "PUT /errs/k?retention": "501 NotImplemented",
		"PUT /errs?inventory": "501 NotImplemented", "GET /errs/k?versionId=": "400 InvalidArgument", "GET /errs/k?versionId=%01": "400 InvalidArgument",
		"GET /errs/k?%zz": "400 InvalidURI", "GET /nowhere/k": "404 NoSuchBucket", "GET /errs/k": "404 NoSuchKey", "PUT /nowhere/k": "404 NoSuchBucket",
		"DELETE /nowhere": "404 NoSuchBucket", "GET /errs/k?partNumber=x": "404 NoSuchKey",
	} {
		method, path, _ := strings.Cut(target, " ")
		w := s.raw(method, path, nil)
		if got := fmt.Sprint(w.Code, " ", code(w)); got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
		var e struct{ Code, Message, Resource, RequestId string }
		if err := xml.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Message == "" || e.RequestId == "" || e.RequestId != w.Header().Get("x-amz-request-id") || w.Header().Get("Content-Type") != "application/xml" {
			t.Errorf("%s: %v %s", target, err, w.Body)
		}
	}
	if w := s.raw("HEAD", "/errs/k", nil); w.Code != 404 || w.Body.Len() > 0 {
		t.Errorf("HEAD: %d with %d bytes", w.Code, w.Body.Len())
	}
}

// Expect: 100-continue is on every PUT of the CLI: a refused one must not be sent (N-3).
func TestRefusedBeforeTheBody(t *testing.T) {
	t.Parallel()
	s := start(t)
	req := requestOf(s, "PUT", "/nowhere/k", readerFunc(func([]byte) (int, error) {
		t.Error("the body of a refused request was read")
		return 0, io.EOF
	}))
	req.ContentLength = 1 << 30
	if w := serve(s, req); w.Code != http.StatusNotFound {
		t.Errorf("%d %s", w.Code, code(w))
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// A version that is no version id, or a marker with a key that is none, is the caller's mistake: no
// row can be asked for by it.
func TestHostileVersions(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.bucket(s.client(admin), "vers", "")
	s.raw("PUT", "/vers/k", []byte("x"))
	for _, version := range []string{"%00", "%ff", "%20", strings.Repeat("v", 20_000)} {
		for _, target := range []string{"GET /vers/k?versionId=", "DELETE /vers/k?versionId=", "GET /vers?versions&key-marker=k&version-id-marker="} {
			method, path, _ := strings.Cut(target, " ")
			if w := s.raw(method, path+version, nil); w.Code != 400 && w.Code != 404 || code(w) == "" {
				t.Errorf("%s%.20s: %d %s", target, version, w.Code, code(w))
			}
		}
	}
	for _, key := range []string{"%00", "%ff", strings.Repeat("k", 20_000)} {
		for _, query := range []string{"versions&version-id-marker=v&key-marker=", "versions&key-marker=", "uploads&upload-id-marker=u&key-marker=", "uploads&key-marker=", "marker=", "list-type=2&start-after=", "prefix=", "versions&prefix=", "delimiter="} {
			if w := s.raw("GET", "/vers?"+query+key, nil); w.Code != 200 && w.Code != 400 {
				t.Errorf("?%s%.20s: %d %s", query, key, w.Code, code(w))
			}
		}
	}
	for _, version := range []string{"\u00e4", "\t", "a b", strings.Repeat("v", 20_000)} {
		w := s.raw("POST", "/vers?delete", []byte("<Delete><Object><Key>k</Key><VersionId>"+version+"</VersionId></Object></Delete>"))
		if w.Code != 200 {
			t.Errorf("delete %.20q: %d %.200s", version, w.Code, w.Body)
		}
	}
	if w := s.raw("GET", "/vers/k", nil); w.Code != 200 {
		t.Errorf("the object is gone: %d", w.Code)
	}
}
