package awswire_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"penstock/internal/api"
	"penstock/internal/api/codebuild"
	"penstock/internal/api/codecommit"
	"penstock/internal/api/codepipeline"
	"penstock/internal/api/iam"
	"penstock/internal/api/logs"
	"penstock/internal/api/sts"
	"penstock/internal/awswire"
	"penstock/internal/fault"
)

// claims accepts whatever claims a signature for the right service; what a signature has
// to be is not the door's business.
func claims(r *http.Request, service string, _ []byte) (context.Context, error) {
	a := r.Header.Get("Authorization") + r.URL.Query().Get("X-Amz-Credential")
	switch {
	case a == "":
		return nil, fault.New("MissingAuthenticationTokenException", "Missing Authentication Token")
	case !strings.Contains(a, "/"+service+"/aws4_request"):
		return nil, fault.New("InvalidSignatureException", "Credential should be scoped to correct service: '%s'.", service)
	}
	return r.Context(), nil
}

func signed(service string) string {
	return "AWS4-HMAC-SHA256 Credential=AK/20261120/us-east-1/" + service + "/aws4_request, SignedHeaders=host, Signature=00"
}

// pipelines is a small room.
type pipelines struct {
	codepipeline.Unimplemented
	get func(context.Context, *codepipeline.GetPipelineInput) (*codepipeline.GetPipelineOutput, error)
}

func (p pipelines) GetPipeline(ctx context.Context, in *codepipeline.GetPipelineInput) (*codepipeline.GetPipelineOutput, error) {
	if p.get != nil {
		return p.get(ctx, in)
	}
	return &codepipeline.GetPipelineOutput{Pipeline: &codepipeline.PipelineDeclaration{Name: in.Name, RoleArn: "r", Stages: []codepipeline.StageDeclaration{}}}, nil
}

func (pipelines) DeletePipeline(context.Context, *codepipeline.DeletePipelineInput) (*codepipeline.DeletePipelineOutput, error) {
	return nil, nil
}

func (pipelines) TagResource(context.Context, *codepipeline.TagResourceInput) (*codepipeline.TagResourceOutput, error) {
	return &codepipeline.TagResourceOutput{}, nil
}

type tokens struct{ sts.Unimplemented }

func (tokens) GetCallerIdentity(context.Context, *sts.GetCallerIdentityInput) (*sts.GetCallerIdentityOutput, error) {
	return &sts.GetCallerIdentityOutput{Account: "000000000000", Arn: "arn:aws:iam::000000000000:root", UserId: "<me>"}, nil
}

func says(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "%s %s %s", text, r.Host, r.URL.Path) })
}

func newDoor(p pipelines, change ...func(*awswire.Config)) *awswire.Door {
	c := awswire.Config{
		Authenticate: claims,
		Services: []*api.Service{
			codepipeline.New(p), codecommit.New(codecommit.Unimplemented{}), codebuild.New(codebuild.Unimplemented{}),
			logs.New(logs.Unimplemented{}), sts.New(tokens{}), iam.New(iam.Unimplemented{}),
		},
		S3: says("s3"), Git: says("git"), Web: says("web"), Hooks: says("hooks"),
	}
	for _, f := range change {
		f(&c)
	}
	return awswire.New(c)
}

// ask sends one request: a line "METHOD target", headers, an empty line, a body.
func ask(t *testing.T, d http.Handler, text string) *http.Response {
	t.Helper()
	head, body, _ := strings.Cut(text, "\n\n")
	lines := strings.Split(head, "\n")
	method, target, _ := strings.Cut(lines[0], " ")
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for _, l := range lines[1:] {
		k, v, _ := strings.Cut(l, ": ")
		if k == "Host" {
			r.Host = v
		}
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w.Result()
}

func bodyOf(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const target = "POST /\nX-Amz-Target: CodePipeline_20150709."

// Requests as clients send them, and the answers to the byte.
func TestGoldenAnswers(t *testing.T) {
	t.Parallel()
	d := newDoor(pipelines{})
	auth := "\nAuthorization: " + signed("codepipeline")
	const json11 = "application/x-amz-json-1.1"
	for name, c := range map[string]struct {
		request     string
		status      int
		contentType string
		body        string
	}{
		"W-1 W-11 W-14": {target + "GetPipeline" + auth + "\nContent-Type: application/x-amz-json-1.1\n\n" + `{"name":"p"}`, 200, json11,
			`{"pipeline":{"name":"p","roleArn":"r","stages":[]}}`},
		"W-2 content type with parameters, W-36 long target": {"POST /\nX-Amz-Target: com.amazonaws.x.CodePipeline_20150709.GetPipeline" + auth + "\nContent-Type: Application/X-AMZ-JSON-1.1; charset=utf-8\n\n" + `{"name":"p"}`, 200, json11,
			`{"pipeline":{"name":"p","roleArn":"r","stages":[]}}`},
		"W-12 no output is an empty body":     {target + "DeletePipeline" + auth + "\n\n" + `{"name":"p"}`, 200, json11, ""},
		"W-12 an empty structure":             {target + "TagResource" + auth + "\n\n" + `{"resourceArn":"arn:aws:codepipeline:us-east-1:000000000000:p","tags":[]}`, 200, json11, "{}"},
		"W-2 no bytes are an empty object":    {target + "GetPipeline" + auth + "\n\n", 400, json11, `{"__type":"ValidationException","message":"1 validation error detected: Value null at 'name' failed to satisfy constraint: Member must not be null"}`},
		"W-3 unknown operation":               {target + "MakeCoffee" + auth + "\n\n{}", 400, json11, `{"__type":"UnknownOperationException","message":"The operation MakeCoffee of CodePipeline is not offered by this penstock server"}`},
		"W-3 unknown prefix":                  {"POST /\nX-Amz-Target: Lasers_1.Fire" + auth + "\n\n{}", 400, json11, `{"__type":"UnknownOperationException","message":"The target Lasers_1.Fire is not offered by this penstock server"}`},
		"W-3 no target":                       {"POST /" + auth[0:] + "\n\n{}", 400, json11, `{"__type":"UnknownOperationException","message":"POST / without an X-Amz-Target header, signed for CodePipeline, is not offered by this penstock server"}`},
		"W-2 another path":                    {"POST /x\nX-Amz-Target: CodePipeline_20150709.GetPipeline" + auth + "\n\n{}", 400, json11, `{"__type":"UnknownOperationException","message":"POST /x with the target CodePipeline_20150709.GetPipeline is not offered by this penstock server"}`},
		"N-18 an operation without a room":    {target + "ListWebhooks" + auth + "\n\n{}", 400, json11, `{"__type":"UnknownOperationException","message":"ListWebhooks of CodePipeline is not offered by this penstock server"}`},
		"W-4 W-16":                            {target + "GetPipeline" + auth + "\n\n" + `{"name":{}}`, 400, json11, `{"__type":"SerializationException","message":"Start of structure or map found where not expected."}`},
		"W-20 authentication before decoding": {target + "GetPipeline\nAuthorization: " + signed("s4") + "\n\n{", 400, json11, `{"__type":"InvalidSignatureException","message":"Credential should be scoped to correct service: 'codepipeline'."}`},
		"W-33 curl":                           {"POST /\nAccept: */*\n\n", 400, json11, `{"__type":"MissingAuthenticationTokenException","message":"Missing Authentication Token"}`},
		"W-33 curl with a body":               {"POST /\nContent-Type: application/x-www-form-urlencoded\n\n" + `{"name":"p"}`, 400, json11, `{"__type":"MissingAuthenticationTokenException","message":"Missing Authentication Token"}`},
		"W-33 curl by AWS's name":             {"POST /\nHost: codepipeline.us-east-1.amazonaws.com\n\n{}", 400, json11, `{"__type":"MissingAuthenticationTokenException","message":"Missing Authentication Token"}`},
		"W-32 S3":                             {"GET /bucket/key", 200 + 203, "application/xml", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code><Message>Missing Authentication Token</Message><Resource>/bucket/key</Resource><RequestId>ID</RequestId></Error>"},
		"W-32 query": {"POST /\nContent-Type: application/x-www-form-urlencoded\n\nAction=GetRole&Version=2010-05-08", 403, "text/xml",
			`<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type><Code>MissingAuthenticationToken</Code><Message>Missing Authentication Token</Message></Error><RequestId>ID</RequestId></ErrorResponse>`},
		"query answer": {"POST /\nContent-Type: application/x-www-form-urlencoded\nAuthorization: " + signed("sts") + "\n\nAction=GetCallerIdentity&Version=2011-06-15", 200, "text/xml",
			`<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><UserId>&lt;me&gt;</UserId><Account>000000000000</Account><Arn>arn:aws:iam::000000000000:root</Arn></GetCallerIdentityResult><ResponseMetadata><RequestId>ID</RequestId></ResponseMetadata></GetCallerIdentityResponse>`},
		"query in a presigned URL": {"GET /?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Credential=AK/20261120/us-east-1/sts/aws4_request", 200, "text/xml",
			`<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><UserId>&lt;me&gt;</UserId><Account>000000000000</Account><Arn>arn:aws:iam::000000000000:root</Arn></GetCallerIdentityResult><ResponseMetadata><RequestId>ID</RequestId></ResponseMetadata></GetCallerIdentityResponse>`},
		"W-3 query": {"POST /\nContent-Type: application/x-www-form-urlencoded\nAuthorization: " + signed("iam") + "\n\nAction=MakeCoffee&Version=2010-05-08", 400, "text/xml",
			`<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type><Code>InvalidAction</Code><Message>Could not find operation MakeCoffee for version 2010-05-08 of IAM on this penstock server</Message></Error><RequestId>ID</RequestId></ErrorResponse>`},
		"W-21 query": {"POST /\nContent-Type: application/x-www-form-urlencoded\nAuthorization: " + signed("iam") + "\n\nAction=CreateRole&Version=2010-05-08&RoleName=a+b&AssumeRolePolicyDocument=%7B%7D&Tags.member.1.Value=v", 400, "text/xml",
			`<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type><Code>ValidationError</Code><Message>2 validation errors detected: Value at 'roleName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]+; Value null at 'tags.1.member.key' failed to satisfy constraint: Member must not be null</Message></Error><RequestId>ID</RequestId></ErrorResponse>`},
		"N-18 another query service": {"POST /\nContent-Type: application/x-www-form-urlencoded\nAuthorization: " + signed("sns") + "\n\nAction=Publish", 400, "text/xml",
			`<ErrorResponse><Error><Type>Sender</Type><Code>InvalidAction</Code><Message>The service sns is not offered by this penstock server</Message></Error><RequestId>ID</RequestId></ErrorResponse>`},
		"N-18 a REST service": {"POST /2015-03-31/functions/f/invocations\nAuthorization: " + signed("lambda") + "\n\n{}", 404, "application/json",
			`{"__type":"UnknownOperationException","message":"The service lambda is not offered by this penstock server"}`},
		"N-18 JSON 1.0": {"POST /\nX-Amz-Target: AmazonSQS.SendMessage\nContent-Type: application/x-amz-json-1.0\nAuthorization: " + signed("sqs") + "\n\n{}", 400, "application/x-amz-json-1.0",
			`{"__type":"UnknownOperationException","message":"The target AmazonSQS.SendMessage is not offered by this penstock server"}`},
		"N-18 CBOR": {"POST /service/X/operation/Y\nSmithy-Protocol: rpc-v2-cbor\nAuthorization: " + signed("monitoring"), 400, "application/cbor",
			"\xa2\x66__type\x78\x19UnknownOperationException\x67message\x78\x34The service X is not offered by this penstock server"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := ask(t, d, c.request)
			id := r.Header.Get("X-Amzn-Requestid") + r.Header.Get("X-Amz-Request-Id")
			got := bodyOf(t, r)
			if len(id) != 36 || r.Header.Get("Date") == "" || r.Header.Get("X-Amzn-Errortype") != "" && c.status != 404 {
				t.Errorf("W-11 W-16: headers %v", r.Header)
			}
			if r.Header.Get("Content-Length") != fmt.Sprint(len(got)) {
				t.Errorf("Content-Length %s for %d bytes", r.Header.Get("Content-Length"), len(got))
			}
			want := strings.ReplaceAll(c.body, "ID", id)
			if r.StatusCode != c.status || r.Header.Get("Content-Type") != c.contentType || got != want {
				t.Errorf("%d %s\ngot  %s\nwant %s", r.StatusCode, r.Header.Get("Content-Type"), got, want)
			}
		})
	}
}

// W-36: one port, told apart in this order.
func TestRouting(t *testing.T) {
	t.Parallel()
	d := newDoor(pipelines{})
	s3 := "\nAuthorization: " + signed("s3")
	for request, want := range map[string]string{
		"GET /healthz": "ok\n", "GET /readyz": "ok\n",
		"GET /v1/repos/r/info/refs?service=git-upload-pack": "git example.com /v1/repos/r/info/refs",
		"POST /webhooks/w?t=x":                              "hooks example.com /webhooks/w",
		"GET /metrics":                                      "web example.com /metrics",
		"GET /console/p":                                    "web example.com /console/p",
		"GET /\nAccept: text/html,*/*":                      "web example.com /",
		"GET /" + s3:                                        "s3 example.com /",
		"GET /" + s3 + "\nAccept: text/html":                "s3 example.com /",
		"PUT /webhooks/k" + s3:                              "s3 example.com /webhooks/k",
		"GET /v1/repos/k?X-Amz-Credential=AK%2F20261120%2Fus-east-1%2Fs3%2Faws4_request":       "s3 example.com /v1/repos/k",
		"GET /v20180820/tags/x\nX-Amz-Account-Id: 1" + s3:                                      "s3 example.com /v20180820/tags/x",
		"PUT /b/k\nHost: bkt.s3.localhost" + s3:                                                "s3 bkt.s3.localhost /b/k",
		"POST /b/k?uploads\nContent-Type: application/x-www-form-urlencoded" + s3:              "s3 example.com /b/k",
		"POST http://codepipeline.x/console/a\nHost: h":                                        "web h /console/a",
		"GET http://s3.us-east-1.amazonaws.com/b\nHost: s3.us-east-1.amazonaws.com" + s3:       "s3 s3.us-east-1.amazonaws.com /b",
		"GET http://bkt.s3.us-east-1.amazonaws.com\nHost: bkt.s3.us-east-1.amazonaws.com" + s3: "s3 bkt.s3.us-east-1.amazonaws.com /",
	} {
		if got := bodyOf(t, ask(t, d, request)); got != want {
			t.Errorf("%s: got %q, want %q", request, got, want)
		}
	}
}

// Every operation of every service refuses what is not signed, in its protocol.
func TestEveryOperationRefusesTheUnsigned(t *testing.T) {
	t.Parallel()
	d := newDoor(pipelines{})
	n := 0
	for _, s := range d.Services {
		for name := range s.Operations {
			n++
			request, status, code := "POST /\nX-Amz-Target: "+s.Target+"."+name+"\n\n{}", 400, `{"__type":"MissingAuthenticationTokenException"`
			if s.Protocol == api.Query {
				request = "POST /\nContent-Type: application/x-www-form-urlencoded\n\nVersion=" + s.Version + "&Action=" + name
				status, code = 403, "<Code>MissingAuthenticationToken</Code>"
			}
			r := ask(t, d, request)
			if body := bodyOf(t, r); r.StatusCode != status || !strings.Contains(body, code) {
				t.Errorf("%s %s: %d %s", s.Name, name, r.StatusCode, body)
			}
		}
	}
	if n < 44+79+59+113+11+176 {
		t.Errorf("walked only %d operations", n)
	}
}

// A signature check that lets the unsigned through must not open the door.
func TestUnsignedIsRefusedTwice(t *testing.T) {
	t.Parallel()
	d := newDoor(pipelines{}, func(c *awswire.Config) {
		c.Authenticate = func(r *http.Request, _ string, _ []byte) (context.Context, error) { return r.Context(), nil }
	})
	if r := ask(t, d, target+"GetPipeline\n\n{\"name\":\"p\"}"); r.StatusCode != 400 {
		t.Error(r.Status)
	}
}

// Nothing of an internal error or a panic reaches the caller, all of it the log.
func TestInternalFailures(t *testing.T) {
	t.Parallel()
	for name, get := range map[string]func(context.Context, *codepipeline.GetPipelineInput) (*codepipeline.GetPipelineOutput, error){
		"error": func(context.Context, *codepipeline.GetPipelineInput) (*codepipeline.GetPipelineOutput, error) {
			return nil, errors.New("secret detail")
		},
		"panic": func(context.Context, *codepipeline.GetPipelineInput) (*codepipeline.GetPipelineOutput, error) {
			panic("secret detail")
		},
		"no output": func(context.Context, *codepipeline.GetPipelineInput) (*codepipeline.GetPipelineOutput, error) {
			return nil, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			d := newDoor(pipelines{get: get}, func(c *awswire.Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
			r := ask(t, d, target+"GetPipeline\nAuthorization: "+signed("codepipeline")+"\n\n{\"name\":\"p\"}")
			body, id := bodyOf(t, r), r.Header.Get("X-Amzn-Requestid")
			if r.StatusCode != 500 || !strings.HasPrefix(body, `{"__type":"InternalFailure"`) || strings.Contains(body, "secret") {
				t.Errorf("%d %s", r.StatusCode, body)
			}
			if !strings.Contains(log.String(), id) || name != "no output" && !strings.Contains(log.String(), "secret detail") {
				t.Errorf("log: %s", log.String())
			}
		})
	}
}

// When nothing can be stored the caller is told so, and that it is not its fault.
func TestFull(t *testing.T) {
	t.Parallel()
	d := newDoor(pipelines{get: func(context.Context, *codepipeline.GetPipelineInput) (*codepipeline.GetPipelineOutput, error) {
		return nil, fmt.Errorf("secret detail: %w", fault.ErrFull)
	}}, func(c *awswire.Config) { c.Log = slog.New(slog.DiscardHandler) })
	r := ask(t, d, target+"GetPipeline\nAuthorization: "+signed("codepipeline")+"\n\n{\"name\":\"p\"}")
	if body := bodyOf(t, r); r.StatusCode != 503 || !strings.HasPrefix(body, `{"__type":"ServiceUnavailable"`) || !strings.Contains(body, "disk is full") || strings.Contains(body, "secret") {
		t.Errorf("%d %s", r.StatusCode, body)
	}
}

// W-4: a text that no database keeps is the request's fault, wherever in it it was hidden.
func TestText(t *testing.T) {
	t.Parallel()
	d := newDoor(pipelines{get: func(context.Context, *codepipeline.GetPipelineInput) (*codepipeline.GetPipelineOutput, error) {
		return nil, fmt.Errorf("secret detail: %w", fault.ErrText)
	}})
	r := ask(t, d, target+"GetPipeline\nAuthorization: "+signed("codepipeline")+"\n\n{\"name\":\"p\"}")
	if body := bodyOf(t, r); r.StatusCode != 400 || body != `{"__type":"ValidationException","message":"The request has a text with a NUL, or one that is too long or not UTF-8"}` {
		t.Errorf("%d %s", r.StatusCode, body)
	}
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	d := newDoor(pipelines{}, func(c *awswire.Config) {
		c.Ready = func(context.Context) error { return errors.New("secret detail") }
	})
	if r := ask(t, d, "GET /readyz"); r.StatusCode != 503 || bodyOf(t, r) != "not ready\n" {
		t.Error(r.Status)
	}
	if r := ask(t, d, "GET /healthz"); r.StatusCode != 200 {
		t.Error(r.Status)
	}
}

// W-9: a body that is too large is refused with 400, and the connection stays usable.
func TestBodyLimit(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(newDoor(pipelines{}))
	t.Cleanup(srv.Close)
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(5 * time.Minute))
	in := bufio.NewReader(conn)
	send := func(size int, chunked bool) *http.Response {
		t.Helper()
		text := `{"name":"p"}` + strings.Repeat(" ", size-12)
		var body io.Reader = strings.NewReader(text)
		if chunked {
			body = io.MultiReader(body)
		}
		r, _ := http.NewRequest("POST", srv.URL, body)
		r.Header.Set("X-Amz-Target", "CodePipeline_20150709.GetPipeline")
		r.Header.Set("Authorization", signed("codepipeline"))
		if err := r.Write(conn); err != nil {
			t.Fatal(err)
		}
		a, err := http.ReadResponse(in, r)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for _, c := range []struct {
		size    int
		chunked bool
		status  int
	}{{12, false, 200}, {awswire.MaxBody + 1, false, 400}, {awswire.MaxBody, false, 200}, {5 << 20, true, 400}, {awswire.MaxBody, true, 200}, {12, false, 200}} {
		a := send(c.size, c.chunked)
		body := bodyOf(t, a)
		if a.StatusCode != c.status || c.status == 400 && !strings.Contains(body, `"ValidationException"`) || a.Close {
			t.Errorf("%+v: %s %s close=%v", c, a.Status, body, a.Close)
		}
	}
}

// W-37: the server may be given as a plain HTTP proxy.
func TestAbsoluteForm(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(newDoor(pipelines{}))
	t.Cleanup(srv.Close)
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(5 * time.Minute))
	in := bufio.NewReader(conn)
	for text, want := range map[string]string{
		"POST http://codepipeline.us-east-1.amazonaws.com/ HTTP/1.1\r\nHost: x\r\nX-Amz-Target: CodePipeline_20150709.GetPipeline\r\nAuthorization: " + signed("codepipeline") + "\r\nContent-Length: 12\r\n\r\n{\"name\":\"p\"}": `{"pipeline":{"name":"p","roleArn":"r","stages":[]}}`,
		"GET http://bkt.s3.amazonaws.com?list-type=2 HTTP/1.1\r\nHost: y\r\nAuthorization: " + signed("s3") + "\r\n\r\n":                                                                                                          "s3 bkt.s3.amazonaws.com /",
	} {
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		a, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := bodyOf(t, a); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// A panic after half an answer cuts the connection, as nothing else can tell the client.
func TestPanicInTheMiddle(t *testing.T) {
	t.Parallel()
	d := newDoor(pipelines{}, func(c *awswire.Config) {
		c.S3 = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "half")
			http.NewResponseController(w).Flush()
			panic("x")
		})
	})
	srv := httptest.NewServer(d)
	t.Cleanup(srv.Close)
	r, _ := http.NewRequest("GET", srv.URL+"/b/k", nil)
	r.Header.Set("Authorization", signed("s3"))
	a, err := srv.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	if b, err := io.ReadAll(a.Body); err == nil {
		t.Errorf("read %q to its end", b)
	}
}

// W-19: transport-level classes have the statuses that SDKs retry by; W-18: a class without
// a modelled message carries one all the same.
func TestStatuses(t *testing.T) {
	t.Parallel()
	for code, status := range map[string]int{
		"ThrottlingException": 400, "InternalFailure": 500, "ServiceUnavailable": 503, "AccessDeniedException": 400,
		"PipelineNotFoundException": 400, "ConflictException": 400,
	} {
		d := newDoor(pipelines{get: func(context.Context, *codepipeline.GetPipelineInput) (*codepipeline.GetPipelineOutput, error) {
			return nil, fmt.Errorf("wrapped: %w", fault.New(code, "a \"text\""))
		}})
		r := ask(t, d, target+"GetPipeline\nAuthorization: "+signed("codepipeline")+"\n\n{\"name\":\"p\"}")
		if body := bodyOf(t, r); r.StatusCode != status || body != `{"__type":"`+code+`","message":"a \"text\""}` {
			t.Errorf("%s: %d %s", code, r.StatusCode, body)
		}
	}
}
