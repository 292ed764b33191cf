package sigv4_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"penstock/internal/sigv4"
)

// The two worked examples of AWS's documentation of signed streams (N-4).
const (
	docsSeed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
	docsSum1 = "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"
	docsSum2 = "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"
	docsSum3 = "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"

	trlSeed = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
	trlSum1 = "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2"
	trlSum2 = "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7"
	trlSum3 = "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"
	trlSig  = "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"
)

var docsTime = time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)

func docsRequest(t testing.TB, trailer bool, body string) *http.Request {
	r := request(t, "PUT", "http://s3.amazonaws.com/examplebucket/chunkObject.txt", body,
		"X-Amz-Date", "20130524T000000Z", "X-Amz-Storage-Class", "REDUCED_REDUNDANCY",
		"Content-Encoding", "aws-chunked", "X-Amz-Decoded-Content-Length", "66560")
	hash, names, seed := "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
		"content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class", docsSeed
	r.ContentLength = 66824
	if trailer {
		hash, seed = hash+"-TRAILER", trlSeed
		names = "content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer"
		r.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32c")
	}
	r.Header.Set("X-Amz-Content-Sha256", hash)
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+keyID+"/20130524/us-east-1/s3/aws4_request,SignedHeaders="+names+",Signature="+seed)
	return r
}

func docsBody(a, b, c, tail string) string {
	return "10000;chunk-signature=" + a + "\r\n" + strings.Repeat("a", 65536) + "\r\n" +
		"400;chunk-signature=" + b + "\r\n" + strings.Repeat("a", 1024) + "\r\n" +
		"0;chunk-signature=" + c + "\r\n" + tail + "\r\n"
}

func open(t testing.TB, r *http.Request) (*sigv4.Body, error) {
	t.Helper()
	s, err := sigv4.Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(r, secret, sigv4.Options{Service: "s3", Now: docsTime, Skew: 15 * time.Minute}); err != nil {
		t.Fatal(err)
	}
	return s.Body(r)
}

// N-4: signed chunks, with and without a signed trailer, however the bytes arrive.
func TestSignedStream(t *testing.T) {
	t.Parallel()
	plain := docsBody(docsSum1, docsSum2, docsSum3, "")
	trailed := docsBody(trlSum1, trlSum2, trlSum3, "x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:"+trlSig+"\r\n")
	other := strings.Repeat("0", 64)
	for _, c := range []struct {
		name    string
		trailer bool
		body    string
		want    sigv4.Kind
	}{
		{"plain", false, plain, 0},
		{"trailer", true, trailed, 0},
		{"first signature", false, docsBody(other, docsSum2, docsSum3, ""), sigv4.BadSignature},
		{"second signature", false, docsBody(docsSum1, other, docsSum3, ""), sigv4.BadSignature},
		{"last signature", false, docsBody(docsSum1, docsSum2, other, ""), sigv4.BadSignature},
		{"swapped data", false, strings.Replace(plain, "aaa", "aba", 1), sigv4.BadSignature},
		{"no signature", false, strings.Replace(plain, ";chunk-signature="+docsSum2, "", 1), sigv4.BadChunk},
		{"cut within data", false, plain[:70], sigv4.BadChunk},
		{"cut before the last chunk", false, plain[:len(plain)-88], sigv4.BadChunk},
		{"garbage after the end", false, plain + "x", sigv4.BadChunk},
		{"trailer where none is", false, docsBody(docsSum1, docsSum2, docsSum3, "x-amz-checksum-crc32c:sOO8/Q==\r\n"), sigv4.BadTrailer},
		{"trailer changed", true, strings.Replace(trailed, "sOO8", "sOO9", 1), sigv4.BadSignature},
		{"trailer signature missing", true, strings.Replace(trailed, "x-amz-trailer-signature:"+trlSig+"\r\n", "", 1), sigv4.BadSignature},
		{"trailer missing", true, strings.Replace(trailed, "x-amz-checksum-crc32c:sOO8/Q==\r\n", "", 1), sigv4.BadTrailer},
		{"field after the signature", true, strings.Replace(trailed, trlSig+"\r\n", trlSig+"\r\nx-amz-checksum-crc32:a\r\n", 1), sigv4.BadTrailer},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, slow := range []bool{false, true} {
				r := docsRequest(t, c.trailer, c.body)
				if slow {
					r.Body = io.NopCloser(iotest.OneByteReader(strings.NewReader(c.body)))
				}
				b, err := open(t, r)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(b)
				if c.want != 0 {
					wantKind(t, "read", err, c.want)
					if _, again := b.Read(make([]byte, 1)); !errors.Is(again, err) {
						t.Errorf("the failure does not stay: %v", again)
					}
					continue
				}
				if err != nil || string(got) != strings.Repeat("a", 66560) || b.Length != 66560 {
					t.Fatalf("%d bytes, %v", len(got), err)
				}
				if c.trailer && b.Trailer().Get("x-amz-checksum-crc32c") != "sOO8/Q==" {
					t.Errorf("trailer %v", b.Trailer())
				}
			}
		})
	}
}

// A reader that stops after the declared length has seen the signature of the end too.
func TestStreamCheckedAtDeclaredLength(t *testing.T) {
	t.Parallel()
	bad := docsBody(docsSum1, docsSum2, strings.Repeat("1", 64), "")
	b, err := open(t, docsRequest(t, false, bad))
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 66560)
	n, err := 0, error(nil)
	for n < len(buf) && err == nil {
		var m int
		m, err = b.Read(buf[n:])
		n += m
	}
	wantKind(t, "last bytes", err, sigv4.BadSignature)
}

// streamed makes a verified request with an unsigned stream.
func streamed(t testing.TB, length string, declared, body string) (*sigv4.Body, error) {
	r := request(t, "PUT", "http://127.0.0.1/bucket/key", body, "X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
	if length != "" {
		r.Header.Set("X-Amz-Decoded-Content-Length", length)
	}
	if declared != "" {
		r.Header.Set("X-Amz-Trailer", declared)
	}
	sign(t, r, "s3", "us-east-1", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", docsTime)
	return open(t, r)
}

// N-4: unsigned chunks with a checksum trailer, the default of current SDKs.
func TestUnsignedStream(t *testing.T) {
	t.Parallel()
	const crc = "x-amz-checksum-crc32"
	many := strings.Repeat("x-amz-checksum-crc32:a\r\n", 40)
	for _, c := range []struct {
		name, length, declared, body string
		want                         sigv4.Kind
	}{
		{"good", "5", crc, "5\r\nhello\r\n0\r\n" + crc + ":NhCmhg==\r\n\r\n", 0},
		{"two chunks", "5", "", "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", 0},
		{"empty", "0", crc, "0\r\n" + crc + ":AAAAAA==\r\n\r\n", 0},
		{"no length", "", crc, "", sigv4.NoLength},
		{"negative length", "-1", crc, "", sigv4.NoLength},
		{"longer than declared", "4", "", "5\r\nhello\r\n0\r\n\r\n", sigv4.BadChunk},
		{"shorter than declared", "6", "", "5\r\nhello\r\n0\r\n\r\n", sigv4.BadChunk},
		{"huge size", "5", "", "ffffffffffffffffff\r\n", sigv4.BadChunk},
		{"negative size", "5", "", "-5\r\nhello\r\n", sigv4.BadChunk},
		{"size with prefix", "5", "", "0x5\r\nhello\r\n", sigv4.BadChunk},
		{"line without end", "5", "", strings.Repeat("0", 100000), sigv4.BadChunk},
		{"bare line feed", "5", "", "5\nhello\n0\n\n", sigv4.BadChunk},
		{"undeclared trailer", "0", "", "0\r\n" + crc + ":AAAAAA==\r\n\r\n", sigv4.BadTrailer},
		{"missing trailer", "0", crc, "0\r\n\r\n", sigv4.BadTrailer},
		{"twice", "0", crc, "0\r\n" + many + "\r\n", sigv4.BadTrailer},
		{"too many declared", "0", strings.Repeat("a,", 20), "", sigv4.BadTrailer},
		{"nothing", "5", "", "", sigv4.BadChunk},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b, err := streamed(t, c.length, c.declared, c.body)
			var got []byte
			if err == nil {
				got, err = io.ReadAll(b)
			}
			if c.want != 0 {
				wantKind(t, "read", err, c.want)
				return
			}
			if err != nil || c.length != "0" && string(got) != "hello" {
				t.Errorf("%q, %v", got, err)
			}
			if c.declared != "" && b.Trailer().Get(crc) == "" {
				t.Errorf("no trailer: %v", b.Trailer())
			}
		})
	}
}

// W-28: the body of an S3 request is held to the hash that was signed.
func TestLiteralHash(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		hash, body string
		want       sigv4.Kind
	}{
		{hashOf("hello"), "hello", 0},
		{hashOf("hello"), "hellp", sigv4.HashMismatch},
		{hashOf(""), "", 0},
		{hashOf("x"), "", sigv4.HashMismatch},
		{"UNSIGNED-PAYLOAD", "anything", 0},
	} {
		r := request(t, "PUT", "http://127.0.0.1/bucket/key", c.body, "X-Amz-Content-Sha256", c.hash)
		sign(t, r, "s3", "us-east-1", c.hash, docsTime)
		b, err := open(t, r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(b)
		if c.want != 0 {
			wantKind(t, c.body, err, c.want)
		} else if err != nil || string(got) != c.body {
			t.Errorf("%q: %q, %v", c.body, got, err)
		}
	}
	for _, hash := range []string{"", "abc", "STREAMING-OTHER", strings.Repeat("g", 64)} {
		r := request(t, "PUT", "http://127.0.0.1/bucket/key", "x", "X-Amz-Content-Sha256", hash)
		sign(t, r, "s3", "us-east-1", hash, docsTime)
		wantKind(t, "hash "+hash, verify(r, "s3", "", docsTime), sigv4.BadContentHash)
	}
}

// chunk is the head of an unsigned chunk; what follows a semicolon says nothing.
var chunk = regexp.MustCompile(`\A([0-9a-fA-F]+)(;[^\n]*)?\r\n`)

// unchunked is the framing of an unsigned stream read at once, as the guide has it: chunks of some
// size, one of size 0, the one trailer that may be declared, and an empty line.
func unchunked(body string, trailer bool) (string, bool) {
	var data strings.Builder
	for {
		head := chunk.FindStringSubmatch(body)
		if head == nil || len(head[0]) > 256 {
			return "", false
		}
		n, err := strconv.ParseUint(head[1], 16, 32)
		if body = body[len(head[0]):]; err != nil || n+2 > uint64(len(body)) && n > 0 {
			return "", false
		}
		if n == 0 {
			break
		}
		if data.WriteString(body[:n]); body[n:n+2] != "\r\n" {
			return "", false
		}
		body = body[n+2:]
	}
	if !trailer {
		return data.String(), body == "\r\n"
	}
	const crc = "x-amz-checksum-crc32"
	line, rest, _ := strings.Cut(body, "\r\n")
	name, _, found := strings.Cut(line, ":")
	name = strings.TrimSpace(name)
	// Of one length: to Unicode, but not to HTTP, a long s is an S and a Kelvin sign a K.
	named := found && len(name) == len(crc) && strings.EqualFold(name, crc)
	return data.String(), named && !strings.Contains(line, "\n") && len(line) <= 4094 && rest == "\r\n"
}

// FuzzChunked: whatever arrives, the reader ends and yields at most the declared length; what it
// takes is what the framing read at once gives, and it takes all that is right. How the bytes
// arrive makes no difference.
func FuzzChunked(f *testing.F) {
	for _, s := range []string{"5\r\nhello\r\n0\r\n\r\n", "0\r\nx-amz-checksum-crc32:a\r\n\r\n", "5;chunk-signature=" + hex.EncodeToString(make([]byte, 32)) + "\r\nhello\r\n0\r\n\r\n", "ffffffffffffffff\r\n", "\r\n", "0\r\n",
		"3;a=b\r\nhel\r\n02\r\nlo\r\n00\r\n X-Amz-Checksum-Crc32 : b \r\n\r\n", "5\r\nhello\r\n0\r\nx-amz-checkſum-crc32:a\r\n\r\n", "5\r\nhello\r\n0\r\nx-amz-chec\u212asum-crc32:a\r\n\r\n",
		"5\r\nhello\r\n0\r\n\u00a0X-AMZ-checksum-CRC32\r:" + strings.Repeat(" ", 4070) + "\r\n\r\n", "5\r\nhello\r\n100000000\r\n", "0000000000000000000005;\r\r\nhello\r\n0" + strings.Repeat("0", 253) + "\r\n\r\n"} {
		f.Add(s, int64(5), false)
		f.Add(s, int64(5), true)
	}
	f.Fuzz(func(t *testing.T, body string, length int64, trailer bool) {
		declared := ""
		if trailer {
			declared = "x-amz-checksum-crc32"
		}
		b, err := streamed(t, fmt.Sprint(length), declared, body)
		if err != nil {
			return
		}
		got, err := io.ReadAll(b)
		want, ok := unchunked(body, trailer)
		if ok = ok && int64(len(want)) == length; (err == nil) != ok || ok && string(got) != want || int64(len(got)) > length {
			t.Fatalf("%q of %d: %q, %v; at once %q, %v", body, length, got, err, want, ok)
		}
		slow, err2 := streamed(t, fmt.Sprint(length), declared, body)
		if err2 != nil {
			t.Fatal(err2)
		}
		again, err2 := io.ReadAll(iotest.OneByteReader(slow))
		if fmt.Sprint(err) != fmt.Sprint(err2) || string(again) != string(got) {
			t.Fatalf("%q: %q, %v, and byte by byte %q, %v", body, got, err, again, err2)
		}
	})
}
