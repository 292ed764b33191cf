package sigv4_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"penstock/internal/sigv4"
)

// wired gives the request that a server reads of what a client sends.
func wired(t *testing.T, r *http.Request) *http.Request {
	t.Helper()
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	got, err := http.ReadRequest(bufio.NewReader(&b))
	if err != nil {
		t.Fatalf("%q: %v", b.String(), err)
	}
	return got
}

// FuzzSigned: what the SDK signs is accepted as it comes over the wire, whatever path, query,
// header and body it has, and with another byte in any of them it is not.
func FuzzSigned(f *testing.F) {
	f.Add(true, "b/k", "list-type=2&prefix=a%2Fb&x", "v", "body")
	f.Add(true, "bucket/a//b/../é+c (d)~*'!%41\x00\xff", "b=%20+&a=2&a=1&a=10", "  a   b  c ", "")
	f.Add(false, "2015-03-31/functions/arn:aws:lambda/in voke", "Qualifier=%24LATEST", "a,b", "{}")
	f.Add(false, "", "", "\té", "Action=GetCallerIdentity")
	f.Add(true, "b", "%58-Amz-Signature=a&AWSAccessKey%49d=b", "", "")
	f.Add(true, "b", "list.X-Amz-Signature=a&prefixAWSAccessKeyId=b&X-Amz-Date=c&X-Amz-Content-Sha256=d", "", "")
	f.Add(true, "b", "a-=1&a=2&a.=%2F&a=-&=&%00=%ff&a%3D=&x+y", "a \t  b\u200b", "\r\n")
	f.Add(false, "b", "", "\u00a0a\u3000", "")
	f.Add(false, "b", strings.Repeat("a&", 1000), "", "")
	f.Add(true, "b", strings.Repeat("a&", 1001), "", "")
	f.Fuzz(func(t *testing.T, s3 bool, path, query, header, body string) {
		if strings.ContainsFunc(header+query, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f || r == 0xfffd }) || strings.ContainsAny(query, "# \t") {
			return // no client can send it
		}
		if strings.TrimSpace(header) != strings.Trim(header, " \t") {
			return // the SDK for Go trims other spaces too, but only of what it signs
		}
		parameters, err := url.ParseQuery(query)
		if err != nil || parameters.Has("X-Amz-Signature") || parameters.Has("X-Amz-Algorithm") || parameters.Has("AWSAccessKeyId") {
			return // it would be signed twice
		}
		n := 0
		for _, values := range parameters {
			n += len(values)
		}
		var escaped strings.Builder // as the SDK's clients write a path
		for _, c := range []byte(path) {
			if c == '/' || c == '-' || c == '_' || c == '.' || c == '~' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' {
				escaped.WriteByte(c)
			} else {
				fmt.Fprintf(&escaped, "%%%02X", c)
			}
		}
		u := &url.URL{Scheme: "http", Host: "127.0.0.1", Path: "/" + path, RawPath: "/" + escaped.String(), RawQuery: query}
		service, hash := "lambda", hashOf(body)
		if s3 {
			service = "s3"
		} else if strings.Contains(u.EscapedPath(), "//") || strings.Contains(u.EscapedPath(), "/.") {
			return // the SDK for Go signs such a path as it is; the guide says to normalise it
		}
		made := func() *http.Request {
			r := request(t, "PUT", u.String(), body, "X-Amz-Meta-A", header, "X-Amz-Content-Sha256", hash)
			sign(t, r, service, "eu-west-3", hash, at)
			return r
		}
		switch err := verify(wired(t, made()), service, body, at); {
		case n > 1000:
			wantKind(t, "too many parameters", err, sigv4.MalformedQuery)
			return
		case err != nil:
			t.Fatalf("%s %s with %q: %v", service, u, header, err)
		}
		for what, change := range map[string]func(r *http.Request){
			"path": func(r *http.Request) { r.URL.Path, r.URL.RawPath = r.URL.Path+"x", "" }, "query": func(r *http.Request) { r.URL.RawQuery += "&x=y" },
			"signature": func(r *http.Request) { r.URL.RawQuery += "&X-Amz%2DSignature=" },
			"header":    func(r *http.Request) { r.Header.Set("X-Amz-Meta-A", header+"x") }, "method": func(r *http.Request) { r.Method = "POST" },
			"body":           func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", hashOf(body+"x")) },
			"another header": func(r *http.Request) { r.Header.Set("X-Amz-Target", "") },
		} {
			r := wired(t, made())
			change(r)
			if _, failed := verify(r, service, body, at).(*sigv4.Failure); !failed {
				t.Fatalf("%s %s with %q and another %s is accepted", service, u, header, what)
			}
		}
	})
}
