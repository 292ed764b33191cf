package awswire_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/aws/smithy-go/encoding/cbor"

	"penstock/internal/api/cloudwatch"
	"penstock/internal/api/lambda"
	"penstock/internal/api/sns"
	"penstock/internal/awswire"
	"penstock/internal/fault"
)

// formed says what is wrong with the form of an answer that is no room's.
func formed(method string, w *httptest.ResponseRecorder) error {
	body := w.Body.Bytes()
	if method == http.MethodHead && len(body) == 0 {
		return nil
	}
	switch w.Header().Get("Content-Type") {
	case "text/xml", "application/xml":
		d := xml.NewDecoder(bytes.NewReader(body))
		for empty := true; ; empty = false {
			if _, err := d.Token(); err == io.EOF && !empty {
				return nil
			} else if err != nil {
				return err
			}
		}
	case "application/cbor":
		v, err := cbor.Decode(body)
		texts, ok := v.(cbor.Map)
		for _, text := range texts {
			s, is := text.(cbor.String)
			ok = ok && is && utf8.ValidString(string(s))
		}
		if err == nil && !ok {
			err = errors.New("not a map of texts")
		}
		return err
	case "text/plain; charset=utf-8":
		return nil
	}
	if len(body) > 0 && !json.Valid(body) {
		return errors.New("neither JSON nor said to be anything else")
	}
	return nil
}

// FuzzDoor: whatever bytes a stranger sends, no room hears of them, and the answer blames the
// stranger in the protocol it names. Were the stranger known, nothing would panic either.
func FuzzDoor(f *testing.F) {
	for _, seed := range []string{
		"POST / HTTP/1.1\r\nHost: h\r\nX-Amz-Target: CodePipeline_20150709.GetPipeline\r\nContent-Length: 12\r\n\r\n{\"name\":\"p\"}",
		"POST / HTTP/1.1\r\nHost: iam.h\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 43\r\n\r\nAction=GetUser&Version=2010-05-08&UserName=\x01",
		"GET /?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Credential=AK/20261120/us-east-1/sts/aws4_request HTTP/1.1\r\nHost: h\r\n\r\n",
		"PUT /b/k?tagging HTTP/1.1\r\nHost: b.s3.localhost\r\nAuthorization: " + signed("s3") + "\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		"POST /service/GraniteServiceVersion20100801/operation/PutMetricData HTTP/1.1\r\nHost: h\r\nSmithy-Protocol: rpc-v2-cbor\r\nContent-Length: 2\r\nAuthorization: " + signed("monitoring") + "\r\n\r\n\xbf\xff",
		"GET /2015-03-31/functions/a%2Fb/invocations HTTP/1.1\r\nHost: h\r\nAuthorization: " + signed("lambda") + "\r\n\r\n",
		"POST /2015-03-31/functions HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nAuthorization: " + signed("lambda") + "\r\n\r\n{}",
		"HEAD /service/x HTTP/1.1\r\nHost: h\r\nSmithy-Protocol: rpc-v2-cbor\r\n\r\n", "GET /%ff HTTP/1.1\r\nHost: h\r\nSmithy-Protocol: rpc-v2-cbor\r\n\r\n", "HEAD /?Action=GetUser HTTP/1.1\r\nHost: iam.h\r\n\r\n",
		"GET /v1/repos/../healthz HTTP/1.0\r\n\r\n", "HEAD http://x/y HTTP/1.1\r\nHost: z\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nX-Amz-Target: \xff<&.\x7f\r\nX-Amzn-Query-Mode: true\r\nContent-Length: 0\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	var heard []string
	var said bytes.Buffer
	room := func(name string) http.Handler {
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { heard = append(heard, name) })
	}
	door := func(authenticate awswire.Authenticate) *awswire.Door {
		return newDoor(pipelines{}, func(c *awswire.Config) {
			c.Authenticate, c.Log = authenticate, slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelError}))
			c.S3, c.Git, c.SNS, c.Hooks, c.Web = room("s3"), room("git"), room("sns"), room("hooks"), room("web")
			c.Services = append(c.Services, lambda.New(lambda.Unimplemented{}), cloudwatch.New(cloudwatch.Unimplemented{}), sns.New(sns.Unimplemented{}))
		})
	}
	doors := map[bool]*awswire.Door{
		true: door(func(r *http.Request, _ string, _ []byte) (context.Context, error) { return r.Context(), nil }),
		false: door(func(*http.Request, string, []byte) (context.Context, error) {
			return nil, fault.New("UnrecognizedClientException", "The security token included in the request is invalid.")
		}),
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		for known, d := range doors {
			r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(message)))
			if err != nil {
				return
			}
			heard, said = nil, bytes.Buffer{}
			w := httptest.NewRecorder()
			d.ServeHTTP(w, r.WithContext(t.Context()))
			if said.Len() > 0 {
				t.Fatalf("%q: %s", message, said.String())
			}
			switch own := strings.Join(heard, " "); {
			case own == "s3" && known, own == "git", own == "sns", own == "hooks", own == "web":
				continue // their answers are not the door's
			case own != "":
				t.Fatalf("%q is heard by %s", message, own)
			case w.Code == http.StatusOK && (known || r.URL.Path == "/healthz" || r.URL.Path == "/readyz"):
			case w.Code < 400 || w.Code >= 500 && w.Code != http.StatusNotImplemented:
				t.Fatalf("%q: %d %s", message, w.Code, w.Body)
			}
			if err := formed(r.Method, w); err != nil {
				t.Fatalf("%q: %v: %v %s", message, err, w.Header(), w.Body)
			}
		}
	})
}
