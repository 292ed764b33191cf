package e2e

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// wire is one connection to a server, on which requests are written as they are.
type wire struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
	host string
	keys aws.Credentials
}

func (s *site) wire(t *testing.T) *wire {
	t.Helper()
	cfg := s.config()
	keys, err := cfg.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(*cfg.BaseEndpoint)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &wire{t: t, conn: conn, in: bufio.NewReader(conn), host: u.Host, keys: keys}
}

// call is a request to be signed and sent; the zero fields are those of a good one.
type call struct {
	target  string
	body    string
	service string
	at      time.Time
	// spoil changes the request after it was signed.
	spoil func(*http.Request)
	// sent is the body on the wire where it is another than the signed one.
	sent string
	keys *aws.Credentials
}

// answer is what came back: Code and Message of an error.
type answer struct {
	status  int
	header  http.Header
	body    string
	Code    string `json:"__type"`
	Message string `json:"message"`
}

// send sends a call on the connection and reads the answer.
func (w *wire) send(c call) answer {
	w.t.Helper()
	if c.service == "" {
		c.service = "codepipeline"
	}
	if c.at.IsZero() {
		c.at = time.Now()
	}
	if c.keys == nil {
		c.keys = &w.keys
	}
	r, err := http.NewRequest(http.MethodPost, "http://"+w.host+"/", strings.NewReader(c.body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	if c.target != "" {
		r.Header.Set("X-Amz-Target", c.target)
	}
	sum := sha256.Sum256([]byte(c.body))
	if err := v4.NewSigner().SignHTTP(w.t.Context(), *c.keys, r, hex.EncodeToString(sum[:]), c.service, "us-east-1", c.at); err != nil {
		w.t.Fatal(err)
	}
	if c.sent != "" {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(c.sent)), int64(len(c.sent))
	}
	if c.spoil != nil {
		c.spoil(r)
	}
	return w.exchange(r)
}

func (w *wire) exchange(r *http.Request) answer {
	w.t.Helper()
	w.conn.SetDeadline(time.Now().Add(patience))
	if err := r.Write(w.conn); err != nil {
		w.t.Fatalf("the connection does not take requests: %v", err)
	}
	res, err := http.ReadResponse(w.in, r)
	if err != nil {
		w.t.Fatalf("the connection gives no answer: %v", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	a := answer{status: res.StatusCode, header: res.Header, body: string(body)}
	if bytes.HasPrefix(body, []byte("{")) {
		if err := json.Unmarshal(body, &a); err != nil {
			w.t.Errorf("the answer is not JSON: %v\n%s", err, body)
		}
	}
	return a
}

// usable checks that the connection still serves good requests, and that no pipeline is there.
func (w *wire) usable() {
	w.t.Helper()
	a := w.send(call{target: "CodePipeline_20150709.ListPipelines", body: "{}"})
	if a.status != 200 || a.body != `{"pipelines":[]}` {
		w.t.Errorf("afterwards the list of pipelines is %d %s", a.status, a.body)
	}
}

// W-3 to W-9, W-16, W-20, W-27 to W-33: what is wrong with a request is refused in the words
// of AWS, and the connection goes on to serve.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const list, create = "CodePipeline_20150709.ListPipelines", "CodePipeline_20150709.CreatePipeline"
	const mismatch = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
	drop := func(name string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Del(name) }
	}
	stamp := func(t time.Time) string { return t.UTC().Format("20060102T150405Z") }
	old, late := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	for name, c := range map[string]struct {
		call
		code, text string
		begins     bool // text is the beginning of the message
	}{
		"W-4 no JSON":            {call{target: list, body: "{"}, "SerializationException", "The request body is not valid JSON: unexpected end at offset 1", false},
		"W-4 text after it":      {call{target: list, body: "{} {}"}, "SerializationException", `The request body is not valid JSON: unexpected '{' at offset 3`, false},
		"W-4 no object":          {call{target: list, body: "[]"}, "SerializationException", "Start of list found where not expected", false},
		"W-4 no UTF-8":           {call{target: list, body: "{\"nextToken\":\"\xff\"}"}, "SerializationException", "The request body is not valid UTF-8", false},
		"W-4 deep":               {call{target: list, body: strings.Repeat(`{"x":`, 100_000)}, "SerializationException", "The request body nests deeper than 64 levels", false},
		"W-4 many elements":      {call{target: create, body: `{"pipeline":{"stages":[` + strings.Repeat("{},", 200_000) + `{}]}}`}, "SerializationException", "The request has more than 100000 list elements and map entries", false},
		"W-4 number for text":    {call{target: list, body: `{"nextToken":7}`}, "SerializationException", "NUMBER_VALUE can not be converted to a String", false},
		"W-4 text for number":    {call{target: list, body: `{"maxResults":"7"}`}, "SerializationException", "STRING_VALUE can not be converted to an Integer", false},
		"W-7 fraction":           {call{target: list, body: `{"maxResults":1.5}`}, "SerializationException", "NUMBER_VALUE can not be converted to an Integer", false},
		"W-7 number for boolean": {call{target: "CodePipeline_20150709.StopPipelineExecution", body: `{"pipelineName":"p","pipelineExecutionId":"x","abandon":1}`}, "SerializationException", "NUMBER_VALUE can not be converted to a Boolean", false},
		"W-6 null in a list":     {call{target: create, body: `{"pipeline":{"stages":[null]}}`}, "SerializationException", "null is not a value of a list", false},
		"W-4 list for structure": {call{target: create, body: `{"pipeline":[]}`}, "SerializationException", "Start of list found where not expected", false},
		"W-4 structure for list": {call{target: create, body: `{"pipeline":{"stages":{}}}`}, "SerializationException", "Start of structure or map found where not expected.", false},
		"W-9 too large": {call{target: list, body: `{"nextToken":"` + strings.Repeat("x", 3<<20) + `"}`},
			"ValidationException", "The request body is larger than 2097152 bytes", false},
		"W-21 all violations": {call{target: "CodePipeline_20150709.StartPipelineExecution", body: `{"name":"a b","clientRequestToken":"ä"}`},
			"ValidationException", "2 validation errors detected: Value at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: [A-Za-z0-9.@\\-_]+; Value at 'clientRequestToken' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9-]+$", false},
		"W-21 required member": {call{target: create, body: `{}`}, "ValidationException",
			"1 validation error detected: Value null at 'pipeline' failed to satisfy constraint: Member must not be null", false},
		"W-3 unknown operation": {call{target: "CodePipeline_20150709.MakeCoffee", body: "{}"}, "UnknownOperationException", "The operation MakeCoffee of CodePipeline is not offered by this penstock server", false},
		"W-3 unknown target":    {call{target: "Kitchen_20150709.MakeCoffee", body: "{}"}, "UnknownOperationException", "The target Kitchen_20150709.MakeCoffee is not offered by this penstock server", false},
		"W-3 no operation":      {call{target: "CodePipeline_20150709.", body: "{}"}, "UnknownOperationException", "The operation ", true},
		"W-3 no target":         {call{body: "{}"}, "UnknownOperationException", "POST / without an X-Amz-Target header, signed for CodePipeline, is not offered by this penstock server", false},
		"N-18 not here yet":     {call{target: "CodeBuild_20161006.ListFleets", service: "codebuild", body: "{}"}, "UnknownOperationException", "ListFleets of CodeBuild is not offered by this penstock server", false},

		"W-32 tampered body":         {call{target: list, body: `{"maxResults":1}`, sent: `{"maxResults":2}`}, "InvalidSignatureException", mismatch, false},
		"W-32 tampered target":       {call{target: list, body: "{}", spoil: func(r *http.Request) { r.Header.Set("X-Amz-Target", create) }}, "InvalidSignatureException", mismatch, false},
		"W-32 wrong secret":          {call{target: list, body: "{}", keys: &aws.Credentials{AccessKeyID: "", SecretAccessKey: "wrong"}}, "InvalidSignatureException", mismatch, false},
		"W-32 unknown key":           {call{target: list, body: "{}", keys: &aws.Credentials{AccessKeyID: "AKIAUNKNOWNUNKNOWN00", SecretAccessKey: "x"}}, "UnrecognizedClientException", "The security token included in the request is invalid.", false},
		"W-31 invented session":      {call{target: list, body: "{}", keys: &aws.Credentials{AccessKeyID: "ASIAUNKNOWNUNKNOWN00", SecretAccessKey: "x", SessionToken: "AAAA"}}, "UnrecognizedClientException", "The security token included in the request is invalid.", false},
		"W-30 expired":               {call{target: list, body: "{}", at: old}, "InvalidSignatureException", "Signature expired: " + stamp(old) + " is now earlier than ", true},
		"W-30 future":                {call{target: list, body: "{}", at: late}, "InvalidSignatureException", "Signature not yet current: " + stamp(late) + " is still later than ", true},
		"W-32 other service":         {call{target: list, body: "{}", service: "codebuild"}, "InvalidSignatureException", "Credential should be scoped to correct service: 'codepipeline'.", false},
		"W-33 no signature":          {call{target: list, body: "{}", spoil: drop("Authorization")}, "MissingAuthenticationTokenException", "Missing Authentication Token", false},
		"W-32 no date":               {call{target: list, body: "{}", spoil: drop("X-Amz-Date")}, "IncompleteSignatureException", "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.", false},
		"W-32 half a header":         {call{target: list, body: "{}", spoil: func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=x") }}, "IncompleteSignatureException", "Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter.", false},
		"W-32 another mechanism":     {call{target: list, body: "{}", spoil: func(r *http.Request) { r.Header.Set("Authorization", "Basic YTpi") }}, "IncompleteSignatureException", "Authorization header must begin with 'AWS4-HMAC-SHA256'.", false},
		"W-20 signature before form": {call{target: list, body: "{", sent: "["}, "InvalidSignatureException", mismatch, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := s.wire(t)
			if c.keys != nil && c.keys.AccessKeyID == "" {
				c.keys.AccessKeyID = w.keys.AccessKeyID
			}
			a := w.send(c.call)
			if a.status != 400 || a.Code != c.code || a.Message != c.text && !(c.begins && strings.HasPrefix(a.Message, c.text)) {
				t.Errorf("got  %d %s: %.500s\nwant 400 %s: %s", a.status, a.Code, a.Message, c.code, c.text)
			}
			if ct := a.header.Get("Content-Type"); ct != "application/x-amz-json-1.1" || a.header.Get("X-Amzn-Requestid") == "" {
				t.Errorf("W-16: headers %v", a.header)
			}
			w.usable()
		})
	}
}
