package app

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// line is a connection on which requests are written byte by byte as they are.
type line struct {
	t    *testing.T
	a    *App
	keys aws.Credentials
	host string
}

// header is a signed request for an operation of the parameters, line by line.
func (l *line) header(operation, body string) []string {
	l.t.Helper()
	r := httptest.NewRequestWithContext(l.t.Context(), http.MethodPost, "http://"+l.host+"/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AmazonSSM."+operation)
	if err := signer(l.t, r, l.keys, "ssm", []byte(body)); err != nil {
		l.t.Fatal(err)
	}
	lines := []string{"POST / HTTP/1.1", "Host: " + l.host}
	for name, values := range r.Header {
		lines = append(lines, name+": "+values[0])
	}
	slices.Sort(lines[2:])
	return append(lines, fmt.Sprintf("Content-Length: %d", len(body)))
}

func whole(lines []string, body string) string {
	return strings.Join(lines, "\r\n") + "\r\n\r\n" + body
}

// answers writes text to a new connection and reads all answers until the server ends it or has
// given as many as are asked for.
func (l *line) answers(text string, want int) (list []string) {
	l.t.Helper()
	conn, err := net.Dial("tcp", l.host)
	if err != nil {
		l.t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		l.t.Fatal(err)
	}
	go func() { _, _ = io.WriteString(conn, text) }() // the server may end the connection while it is written to
	in := bufio.NewReader(conn)
	for len(list) < want {
		r, err := http.ReadResponse(in, nil)
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(err.Error(), "reset") {
				return list
			}
			l.t.Errorf("%.200q: %v", text, err)
			return list
		}
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil {
			return list
		}
		list = append(list, fmt.Sprintf("%d %s", r.StatusCode, bytes.TrimSpace(body)))
		if r.Close {
			return list
		}
	}
	return list
}

const parameter = "what the parameter says"

// W-9, W-27 to W-29, W-37: whatever stands on the way adds, doubles or breaks a line of a request,
// the server does what was signed or nothing. The changes are made to every line of a request.
func TestSmuggledLines(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	const body = `{"Name":"/p"}`
	good := l.header("GetParameter", body)
	if got := l.answers(whole(good, body), 1); len(got) != 1 || !strings.Contains(got[0], parameter) {
		t.Fatalf("a good request: %q", got)
	}
	other := l.header("DeleteParameter", body)
	signed := func(line string) bool {
		name, _, _ := strings.Cut(line, ":")
		return slices.Contains([]string{"host", "x-amz-target", "x-amz-date", "authorization", "content-type", "content-length", "x-amz-content-sha256"}, strings.ToLower(name))
	}
	try := func(what string, lines []string, body string, refused bool) {
		t.Helper()
		for _, got := range l.answers(whole(lines, body), 2) {
			status := got[:3]
			if status >= "500" && status != "501" && status != "505" || refused && status < "400" || status >= "200" && status < "300" && !strings.Contains(got, parameter) {
				t.Errorf("%s: %.100q is answered %.300q", what, lines[max(0, len(lines)-3):], got)
			}
		}
	}
	with := func(i int, lines ...string) []string { return slices.Concat(good[:i], lines, good[i+1:]) }
	last := "Connection: close"
	for i := 1; i < len(good); i++ {
		name, value, _ := strings.Cut(good[i], ": ")
		_, changed, _ := strings.Cut(other[i], ": ")
		if strings.ToLower(name) == "content-length" {
			changed = "5"
		}
		must := signed(good[i])
		bound := must && changed != value // else both say the same
		try("the other's line before", append(with(i, name+": "+changed, good[i]), last), body, bound)
		try("the other's line after", append(with(i, good[i], name+": "+changed), last), body, bound)
		try("another spelling after", append(with(i, good[i], strings.ToUpper(name)+": "+changed), last), body, bound)
		try("the other's line instead", append(with(i, name+": "+changed), last), body, bound)
		try("a folded line", append(with(i, name+":", " "+value), last), body, false)
		try("a folded line that says more", append(with(i, good[i], " "+changed), last), body, bound)
		try("a space before the colon", append(with(i, name+" : "+value), last), body, true)
		try("a bare line feed", append(with(i, good[i]+"\nX-Amz-Target: AmazonSSM.DeleteParameter"), last), body, true)
		try("a bare carriage return", append(with(i, good[i]+"\rX-Amz-Target: AmazonSSM.DeleteParameter"), last), body, true)
		try("a NUL", append(with(i, name+": "+value+"\x00"), last), body, true)
		try("no such line", append(with(i), last), body, must && !strings.EqualFold(name, "Content-Type") && !strings.EqualFold(name, "X-Amz-Content-Sha256"))
	}
	for _, first := range []string{
		"POST http://evil.invalid/ HTTP/1.1", "POST http://" + l.host + "@evil.invalid/ HTTP/1.1", "POST //evil.invalid/ HTTP/1.1", "POST /%2f HTTP/1.1", "POST /./ HTTP/1.1", "POST /x/.. HTTP/1.1", "POST * HTTP/1.1",
		"POST /?X-Amz-Target=AmazonSSM.DeleteParameter HTTP/1.1", "GET / HTTP/1.1", "PUT / HTTP/1.1", "post / HTTP/1.1", "POST / HTTP/1.1 HTTP/1.1", "POST  / HTTP/1.1", "POST / HTTP/3.0", "POST /",
		"CONNECT evil.invalid:80 HTTP/1.1", "PRI * HTTP/2.0",
	} {
		try("another first line", append(with(0, first), last), body, true)
	}
	for _, first := range []string{"POST / HTTP/1.0", "POST / HTTP/1.9"} {
		try("another version", append(with(0, first), last), body, false)
	}
	for _, more := range []string{
		"X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: evil.invalid", "X-Forwarded-Proto: https", "Forwarded: for=127.0.0.1;host=evil.invalid", "X-Original-URL: /console", "X-Rewrite-URL: /console",
		"X-HTTP-Method-Override: DELETE", "Expect: 100-continue", "Upgrade: h2c", "X-Amz-Security-Token: x", "Content-Encoding: gzip", "Smithy-Protocol: rpc-v2-cbor", "X-Long: " + strings.Repeat("x", 100<<10),
	} {
		try("another line", append(slices.Clone(good), more, last), body, strings.HasPrefix(more, "X-Amz-Security"))
	}
	try("a line without end", append(slices.Clone(good), "X-Long: "+strings.Repeat("x", 1<<20), last), body, true)
	try("lines without end", append(slices.Clone(good), strings.TrimSuffix(strings.Repeat("X-Many: x\r\n", 40_000), "\r\n"), last), body, true)
	for _, framing := range [][]string{
		{"Content-Length: 13", "Content-Length: 5"}, {"Content-Length: 13, 5"}, {"Content-Length: -1"}, {"Content-Length: +13"}, {"Content-Length: 0x0d"}, {"Content-Length: 13 "}, {"Content-Length: 1e1"}, {"Content-Length:"},
		{"Content-Length: 99999999999999999999"}, {"Transfer-Encoding: xchunked"}, {"Transfer-Encoding: chunked, identity"}, {"Transfer-Encoding: identity"}, {"Transfer-Encoding: chunked", "Transfer-Encoding: chunked"},
		{"Transfer-Encoding:\x0bchunked"}, {"Transfer-Encoding: chunked", "Content-Length: 13"}, {"Content-Length: 13", "Transfer-Encoding: chunked"},
	} {
		try("another framing", append(with(len(good)-1, framing...), last), body+"\r\n\r\n", !slices.Contains(framing, "Content-Length: 13 "))
	}
	l.unchanged()
}

// W-9, W-20: the body of a request that is refused is not the next request, however it was sent.
func TestSmuggledBodies(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	const body = `{"Name":"/p"}`
	hidden := whole(l.header("DeleteParameter", body), body)
	next := whole(append(l.header("GetParameter", body), "Connection: close"), body)
	sized := func(lines ...string) string {
		return strings.Join(append(lines, "Host: "+l.host, fmt.Sprintf("Content-Length: %d", len(hidden)), "", hidden), "\r\n")
	}
	chunked := func(lines ...string) string {
		return strings.Join(append(lines, "Host: "+l.host, "Transfer-Encoding: chunked", "", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(hidden), hidden)), "\r\n")
	}
	bad := strings.Replace(whole(slices.DeleteFunc(l.header("GetParameter", body), func(s string) bool {
		return strings.HasPrefix(s, "Content-Length") || strings.HasPrefix(s, "Host") || strings.HasPrefix(s, "POST")
	}), ""), "Signature=", "Signature=0", 1)
	bad = strings.TrimSuffix(bad, "\r\n\r\n")
	requests := map[string]string{}
	for what, lines := range map[string][]string{
		"unsigned": {"POST / HTTP/1.1"}, "an unsigned target": {"POST / HTTP/1.1", "X-Amz-Target: AmazonSSM.GetParameter"}, "an unsigned form": {"POST / HTTP/1.1", "Content-Type: application/x-www-form-urlencoded"},
		"no such target": {"POST / HTTP/1.1", "X-Amz-Target: Kitchen.MakeCoffee"}, "a wrong signature": {"POST / HTTP/1.1", bad}, "S3": {"PUT /bucket/key HTTP/1.1"}, "a body of GET": {"GET / HTTP/1.1"},
		"health": {"GET /healthz HTTP/1.1"}, "no method": {"BREW / HTTP/1.1"}, "a webhook": {"POST /webhooks/?t=x&v=1 HTTP/1.1"}, "a connection's webhook": {"POST /webhooks/connections/x HTTP/1.1"}, "git": {"POST /v1/repos/r/git-receive-pack HTTP/1.1"},
		"a link": {"GET /sns/?Action=ConfirmSubscription&TopicArn=x HTTP/1.1"}, "absolute": {"POST http://s3.amazonaws.com/ HTTP/1.1"}, "expecting": {"PUT /bucket/key HTTP/1.1", "Expect: 100-continue"},
		"an encoding": {"POST / HTTP/1.1", "X-Amz-Target: AmazonSSM.GetParameter", "Content-Encoding: gzip"},
	} {
		requests[what], requests[what+", in chunks"] = sized(lines...), chunked(lines...)
	}
	requests["too large"] = strings.Replace(sized("POST / HTTP/1.1", "X-Amz-Target: AmazonSSM.GetParameter"), fmt.Sprintf("Content-Length: %d\r\n\r\n", len(hidden)), fmt.Sprintf("Content-Length: %d\r\n\r\n", len(hidden)+3<<20), 1) + strings.Repeat("x", 3<<20)
	for what, text := range requests {
		got := l.answers(text+next, 3)
		switch {
		case len(got) == 0 || len(got) > 2 && !strings.Contains(what, "expecting"), got[0][:3] >= "500":
			t.Errorf("%s: %q", what, got)
		case len(got) == 2 && !strings.Contains(got[1], parameter):
			t.Errorf("%s: what follows is answered %.300q", what, got[1])
		}
	}
	l.unchanged()
}

func newLine(t *testing.T) *line {
	t.Helper()
	a := start(t, t.TempDir(), "")
	c := a.Credentials()
	u, err := url.Parse(c.URL)
	if err != nil {
		t.Fatal(err)
	}
	l := &line{t: t, a: a, host: u.Host, keys: aws.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey}}
	body := `{"Name":"/p","Type":"String","Value":"` + parameter + `"}`
	if got := l.answers(whole(l.header("PutParameter", body), body), 1); len(got) != 1 || !strings.HasPrefix(got[0], "200") {
		t.Fatalf("%q", got)
	}
	return l
}

// unchanged looks whether anything was done that nobody signed.
func (l *line) unchanged() {
	l.t.Helper()
	const body = `{"Name":"/p"}`
	if got := l.answers(whole(l.header("GetParameter", body), body), 1); len(got) != 1 || !strings.Contains(got[0], parameter) {
		l.t.Errorf("afterwards the parameter is %q", got)
	}
}
