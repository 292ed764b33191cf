package lambda_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	sdk "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"

	"penstock/internal/api"
	lambdaapi "penstock/internal/api/lambda"
	logsapi "penstock/internal/api/logs"
	"penstock/internal/auth"
	"penstock/internal/awswire"
	"penstock/internal/blob"
	"penstock/internal/runner/process"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
	"penstock/internal/svc/lambda"
	"penstock/internal/svc/logs"
)

func TestMain(m *testing.M) { storetest.Main(m) }

const role = "arn:aws:iam::000000000000:role/f"

// site is a room with its door, and a client in front of it.
type site struct {
	*testing.T
	*sdk.Client
	room *lambda.Room
	logs *cloudwatchlogs.Client
	db   *store.DB
	work string
	stop context.CancelFunc
	done chan struct{}
}

func open(t *testing.T, policy string, change ...func(*lambda.Deps)) *site {
	t.Helper()
	db := storetest.SQLite(t)
	blobs, err := blob.OpenDisk(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	run, err := process.New(process.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{T: t, db: db, work: filepath.Join(t.TempDir(), "functions"), done: make(chan struct{})}
	// An own user must be able to come this far.
	for dir := filepath.Dir(s.work); dir != os.TempDir() && len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var cfg aws.Config
	deps := lambda.Deps{
		DB: db, Blobs: blobs, Runner: run, Work: s.work, Path: "/usr/local/bin:/usr/bin:/bin", Endpoint: func() string { return "http://penstock.test" },
		RoleAWS: func(_ context.Context, arn, _ string) (aws.Config, error) {
			if arn != role {
				return cfg, errors.New("no such role")
			}
			return cfg, nil
		},
		CanAssume: func(_ context.Context, arn, _ string) bool { return arn == role },
		CallerAWS: func(context.Context, auth.Caller) (aws.Config, error) { return cfg, nil },
	}
	for _, f := range change {
		f(&deps)
	}
	s.room = lambda.New(deps)
	door := awswire.New(awswire.Config{
		Authenticate: func(r *http.Request, service string, _ []byte) (context.Context, error) {
			if service == "logs" {
				return auth.Limited(r.Context(), auth.Caller{Account: "000000000000", Region: "us-east-1"}, everything)
			}
			return auth.Limited(r.Context(), auth.Caller{Account: "000000000000", Region: "us-east-1", ARN: "arn:aws:iam::000000000000:user/u"}, policy)
		},
		Services: []*api.Service{lambdaapi.New(s.room), logsapi.New(logs.New(logs.Deps{DB: db}))},
	})
	srv := httptest.NewServer(door)
	t.Cleanup(srv.Close)
	cfg = aws.Config{Region: "us-east-1", BaseEndpoint: &srv.URL, HTTPClient: srv.Client(), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("AK", "the-secret-of-the-role", "token")}
	s.Client, s.logs = sdk.NewFromConfig(cfg), cloudwatchlogs.NewFromConfig(cfg)
	var ctx context.Context
	ctx, s.stop = context.WithCancel(context.Background())
	go func() {
		defer close(s.done)
		if err := s.room.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(s.end)
	return s
}

// end stops the room and sees that nothing is left of its processes.
func (s *site) end() {
	s.stop()
	<-s.done
	if left, err := os.ReadDir(s.work); err != nil || len(left) > 0 {
		s.Errorf("left in the folder of work: %v, %v", left, err)
	}
}

const everything = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`

// files makes a ZIP file; names that begin with "bootstrap" can be run.
func files(t *testing.T, list map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range list {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate}
		h.SetMode(0o644)
		if strings.HasPrefix(name, "bootstrap") {
			h.SetMode(0o755)
		}
		w, err := z.CreateHeader(h)
		if err == nil {
			_, err = w.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func (s *site) create(name, python string, change ...func(*sdk.CreateFunctionInput)) *sdk.CreateFunctionOutput {
	s.Helper()
	in := &sdk.CreateFunctionInput{FunctionName: &name, Role: aws.String(role), Handler: aws.String("app.handler"), Runtime: types.RuntimePython312,
		Timeout: aws.Int32(60), Code: &types.FunctionCode{ZipFile: files(s.T, map[string]string{"app.py": python})}}
	for _, f := range change {
		f(in)
	}
	out, err := s.CreateFunction(s.Context(), in)
	if err != nil {
		s.Fatal(err)
	}
	return out
}

func (s *site) invoke(name, payload string) (*sdk.InvokeOutput, string) {
	s.Helper()
	out, err := s.Invoke(s.Context(), &sdk.InvokeInput{FunctionName: &name, Payload: []byte(payload), LogType: types.LogTypeTail})
	if err != nil {
		s.Fatal(err)
	}
	log, err := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult))
	if err != nil {
		s.Fatal(err)
	}
	return out, string(log)
}

const echo = `
import os, logging
count = 0
def handler(event, context):
    global count
    count += 1
    print("hello", os.environ["AWS_SECRET_ACCESS_KEY"])
    logging.warning("careful")
    return {"event": event, "count": count, "id": context.aws_request_id, "arn": context.invoked_function_arn, "left": context.get_remaining_time_in_millis(),
        "env": {k: os.environ[k] for k in ("GREETING", "AWS_REGION", "AWS_ENDPOINT_URL", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE")}, "cwd": os.getcwd() == os.environ["LAMBDA_TASK_ROOT"]}
`

// N-16: a Python handler runs over the Runtime API, with the environment of its configuration;
// its process is used again, and its log is in the answer and in the logs, without secrets.
func TestInvokePython(t *testing.T) {
	t.Parallel()
	s := open(t, everything)
	made := s.create("f", echo, func(in *sdk.CreateFunctionInput) {
		in.Environment = &types.Environment{Variables: map[string]string{"GREETING": "hi there"}}
		in.Tags = map[string]string{"a": "b"}
	})
	if made.State != types.StateActive || made.LastUpdateStatus != types.LastUpdateStatusSuccessful || *made.FunctionArn != "arn:aws:lambda:us-east-1:000000000000:function:f" ||
		*made.Version != "$LATEST" || *made.MemorySize != 128 || made.PackageType != types.PackageTypeZip || made.CodeSize == 0 {
		t.Errorf("%+v", made)
	}
	for n := 1; n <= 3; n++ {
		out, log := s.invoke("f", `{"ä":[1,null]}`)
		var got struct {
			Event map[string]any
			Count int
			ID    string
			ARN   string
			Left  int
			Env   map[string]string
			Cwd   bool
		}
		if err := json.Unmarshal(out.Payload, &got); err != nil || out.FunctionError != nil {
			t.Fatalf("%s %v %s", out.Payload, err, log)
		}
		if got.Count != n || got.Event["ä"] == nil || got.ARN != *made.FunctionArn || got.Left < 1 || got.Left > 60_000 || !got.Cwd || out.StatusCode != 200 || *out.ExecutedVersion != "$LATEST" {
			t.Errorf("%d: %s", n, out.Payload)
		}
		if e := got.Env; e["GREETING"] != "hi there" || e["AWS_REGION"] != "us-east-1" || e["AWS_ENDPOINT_URL"] != "http://penstock.test" || e["AWS_LAMBDA_FUNCTION_NAME"] != "f" ||
			e["AWS_LAMBDA_FUNCTION_VERSION"] != "$LATEST" || e["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] != "128" {
			t.Errorf("environment %v", e)
		}
		lines := strings.Split(log, "\n")
		if lines[0] != "START RequestId: "+got.ID+" Version: $LATEST" || lines[1] != "hello ***" || !strings.HasPrefix(lines[2], "[WARNING]\t") || !strings.HasSuffix(lines[2], "Z\t"+got.ID+"\tcareful") ||
			lines[3] != "END RequestId: "+got.ID || !strings.HasPrefix(lines[4], "REPORT RequestId: "+got.ID+"\tDuration: ") {
			t.Errorf("%d: log\n%s", n, log)
		}
	}
	s.end() // writes the logs
	got, err := s.logs.FilterLogEvents(t.Context(), &cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("/aws/lambda/f")})
	if err != nil || len(got.Events) != 15 || *got.Events[1].Message != "hello ***\n" || !strings.Contains(*got.Events[0].LogStreamName, "/[$LATEST]") {
		t.Errorf("%v %+v", err, got)
	}
}

// N-16: a program named bootstrap is the runtime itself.
func TestInvokeProvided(t *testing.T) {
	t.Parallel()
	s := open(t, everything)
	const program = `#!/usr/bin/python3
import os, sys, urllib.request
api = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
while True:
    r = urllib.request.urlopen(api + "next")
    id, body = r.headers["Lambda-Runtime-Aws-Request-Id"], r.read()
    if body == b'"die"':
        sys.exit(3)
    if body == b'"large"':
        body = b"x" * (7 << 20)
    kind = "error" if body == b'"bad"' else "response"
    if kind == "error":
        body = b'{"errorMessage":"no good","errorType":"Bad"}'
    try:
        urllib.request.urlopen(urllib.request.Request(api + id + "/" + kind, data=body, method="POST"))
        urllib.request.urlopen(urllib.request.Request(api + id + "/" + kind, data=body, method="POST"))
    except urllib.error.HTTPError as e:
        print("refused", e.code, flush=True)
`
	s.create("f", "", func(in *sdk.CreateFunctionInput) {
		in.Runtime, in.Code = types.RuntimeProvidedal2023, &types.FunctionCode{ZipFile: files(t, map[string]string{"bootstrap": program})}
	})
	for _, c := range []struct{ event, want, failure string }{
		{`{"a": 1}`, `{"a": 1}`, ""},
		{`"bad"`, `{"errorMessage":"no good","errorType":"Bad"}`, "Unhandled"},
		{`"die"`, `Runtime exited with error: exit status 3","errorType":"Runtime.ExitError"}`, "Unhandled"},
		{`"large"`, `"errorType":"Function.ResponseSizeTooLarge"}`, "Unhandled"},
		{`7`, `7`, ""},
	} {
		out, log := s.invoke("f", c.event)
		if aws.ToString(out.FunctionError) != c.failure || !strings.HasSuffix(string(out.Payload), c.want) {
			t.Errorf("%s: %s %s\n%s", c.event, aws.ToString(out.FunctionError), out.Payload, log)
		}
	}
}

// N-16: Node.js handlers, plain and with a callback.
func TestInvokeNode(t *testing.T) {
	t.Parallel()
	s := open(t, everything)
	code := files(t, map[string]string{
		"app.mjs": "export const handler = async (event, context) => { if (event.fail) throw new TypeError('no'); return { got: event, name: context.functionName } }",
		"old.js":  "exports.handler = (event, context, callback) => callback(null, [event.x, context.awsRequestId.length])",
	})
	_, err := s.CreateFunction(t.Context(), &sdk.CreateFunctionInput{FunctionName: aws.String("f"), Role: aws.String(role), Handler: aws.String("app.handler"),
		Runtime: types.RuntimeNodejs22x, Timeout: aws.Int32(60), Code: &types.FunctionCode{ZipFile: code}})
	if err != nil && strings.Contains(err.Error(), "needs the program node") {
		return // a machine without it says so, which is all that can be seen there
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, log := s.invoke("f", `{"x":1}`); string(out.Payload) != `{"got":{"x":1},"name":"f"}` {
		t.Errorf("%s\n%s", out.Payload, log)
	}
	if out, log := s.invoke("f", `{"fail":1}`); aws.ToString(out.FunctionError) != "Unhandled" || !strings.HasPrefix(string(out.Payload), `{"errorType":"TypeError","errorMessage":"no"`) {
		t.Errorf("%s\n%s", out.Payload, log)
	}
	s.create("old", "", func(in *sdk.CreateFunctionInput) {
		in.Runtime, in.Handler, in.Code = types.RuntimeNodejs20x, aws.String("old.handler"), &types.FunctionCode{ZipFile: code}
	})
	if out, log := s.invoke("old", `{"x":1}`); string(out.Payload) != `[1,36]` {
		t.Errorf("%s\n%s", out.Payload, log)
	}
}

// N-16: whatever goes wrong in a function is an answer, not an error of the operation.
func TestFunctionErrors(t *testing.T) {
	t.Parallel()
	s := open(t, everything)
	for name, c := range map[string]struct{ python, handler, want string }{
		"raises":  {"def handler(e, c):\n  raise ValueError('bad value')", "", `{"errorMessage": "bad value", "errorType": "ValueError", "stackTrace": [`},
		"import":  {"import nothing_of_that_name\n", "", `{"errorMessage": "Unable to import module 'app': No module named 'nothing_of_that_name'", "errorType": "Runtime.ImportModuleError"`},
		"syntax":  {"def (", "", `{"errorMessage": `},
		"missing": {"x = 1", "", `{"errorMessage": "Handler 'handler' missing on module 'app'", "errorType": "Runtime.HandlerNotFound"`},
		"name":    {"x = 1", "handler", `{"errorMessage": "Bad handler 'handler': `},
		"no-json": {"def handler(e, c):\n  return object()", "", `{"errorMessage": "Unable to marshal response: Object of type object is not JSON serializable", "errorType": "Runtime.MarshalError"`},
		"exit":    {"import os\ndef handler(e, c):\n  os._exit(7)", "", `{"errorMessage":"RequestId: `},
		"slow":    {"import time\ndef handler(e, c):\n  time.sleep(600)", "", `{"errorMessage":"RequestId: `},
	} {
		s.create(name, c.python, func(in *sdk.CreateFunctionInput) {
			if c.handler != "" {
				in.Handler = &c.handler
			}
			if name == "slow" {
				in.Timeout = aws.Int32(1)
			}
		})
		out, log := s.invoke(name, "")
		if aws.ToString(out.FunctionError) != "Unhandled" || !strings.HasPrefix(string(out.Payload), c.want) || !strings.Contains(log, "END RequestId: ") {
			t.Errorf("%s: %s\n%s", name, out.Payload, log)
		}
		if name == "slow" && (!strings.HasSuffix(string(out.Payload), `Error: Task timed out after 1.00 seconds","errorType":"Sandbox.Timedout"}`)) {
			t.Errorf("%s: %s", name, out.Payload)
		}
	}
}

// N-16: an event is run after its sender was told that it will be.
func TestEvents(t *testing.T) {
	t.Parallel()
	s := open(t, everything)
	seen := make(chan string, 10)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r.URL.Path }))
	t.Cleanup(srv.Close)
	s.create("f", "import urllib.request\ndef handler(e, c):\n  urllib.request.urlopen('"+srv.URL+"/' + e['say'] + '/' + c.aws_request_id)\n")
	out, err := s.Invoke(t.Context(), &sdk.InvokeInput{FunctionName: aws.String("f"), InvocationType: types.InvocationTypeEvent, Payload: []byte(`{"say":"hi"}`)})
	if err != nil || out.StatusCode != 202 || len(out.Payload) > 0 {
		t.Fatal(out, err)
	}
	select {
	case got := <-seen:
		if !strings.HasPrefix(got, "/hi/") || len(got) != 40 {
			t.Error(got)
		}
	case <-time.After(5 * time.Minute):
		t.Fatal("the event was not run")
	}
	if out, err := s.Invoke(t.Context(), &sdk.InvokeInput{FunctionName: aws.String("f"), InvocationType: types.InvocationTypeDryRun}); err != nil || out.StatusCode != 204 {
		t.Error(out, err)
	}
}

// N-16: versions stay as they are, aliases mean them, and code that nothing names is deleted.
func TestVersions(t *testing.T) {
	t.Parallel()
	s := open(t, everything)
	ctx := t.Context()
	says := func(text string) []byte {
		return files(t, map[string]string{"app.py": "def handler(e, c):\n  return '" + text + " ' + c.function_version"})
	}
	s.create("f", "", func(in *sdk.CreateFunctionInput) {
		in.Code = &types.FunctionCode{ZipFile: says("one")}
		in.Publish = true
	})
	if _, err := s.UpdateFunctionCode(ctx, &sdk.UpdateFunctionCodeInput{FunctionName: aws.String("f"), ZipFile: says("two")}); err != nil {
		t.Fatal(err)
	}
	v2, err := s.PublishVersion(ctx, &sdk.PublishVersionInput{FunctionName: aws.String("f"), Description: aws.String("second")})
	if err != nil || *v2.Version != "2" || *v2.FunctionArn != "arn:aws:lambda:us-east-1:000000000000:function:f:2" {
		t.Fatal(v2, err)
	}
	if again, err := s.PublishVersion(ctx, &sdk.PublishVersionInput{FunctionName: aws.String("f")}); err != nil || *again.Version != "2" {
		t.Error("nothing has changed, but:", again, err)
	}
	if _, err := s.CreateAlias(ctx, &sdk.CreateAliasInput{FunctionName: aws.String("f"), Name: aws.String("live"), FunctionVersion: aws.String("1")}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"f": `"two $LATEST"`, "f:1": `"one 1"`, "f:2": `"two 2"`, "f:live": `"one 1"`} {
		if out, log := s.invoke(name, ""); string(out.Payload) != want {
			t.Errorf("%s: %s\n%s", name, out.Payload, log)
		}
	}
	if _, err := s.DeleteFunction(ctx, &sdk.DeleteFunctionInput{FunctionName: aws.String("f"), Qualifier: aws.String("1")}); code(err) != "ResourceConflictException" {
		t.Error("deleted what an alias names:", err)
	}
	a, err := s.UpdateAlias(ctx, &sdk.UpdateAliasInput{FunctionName: aws.String("f"), Name: aws.String("live"),
		RoutingConfig: &types.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{"2": 1}}})
	if err != nil || a.RoutingConfig.AdditionalVersionWeights["2"] != 1 {
		t.Fatal(a, err)
	}
	if out, _ := s.invoke("f:live", ""); string(out.Payload) != `"two 2"` || *out.ExecutedVersion != "2" {
		t.Errorf("%s", out.Payload)
	}
	list, err := s.ListVersionsByFunction(ctx, &sdk.ListVersionsByFunctionInput{FunctionName: aws.String("f"), MaxItems: aws.Int32(2)})
	if err != nil || len(list.Versions) != 2 || *list.Versions[0].Version != "$LATEST" || *list.NextMarker != "1" {
		t.Fatalf("%+v %v", list, err)
	}
	if list, err = s.ListVersionsByFunction(ctx, &sdk.ListVersionsByFunctionInput{FunctionName: aws.String("f"), Marker: list.NextMarker}); err != nil || len(list.Versions) != 1 || *list.Versions[0].Description != "second" {
		t.Fatalf("%+v %v", list, err)
	}
	if aliases, err := s.ListAliases(ctx, &sdk.ListAliasesInput{FunctionName: aws.String("f")}); err != nil || len(aliases.Aliases) != 1 || *aliases.Aliases[0].AliasArn != "arn:aws:lambda:us-east-1:000000000000:function:f:live" {
		t.Errorf("%+v %v", aliases, err)
	}
	if _, err := s.DeleteFunction(ctx, &sdk.DeleteFunctionInput{FunctionName: aws.String("f")}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"f", "f:1", "f:live"} {
		if _, err := s.GetFunction(ctx, &sdk.GetFunctionInput{FunctionName: &name}); code(err) != "ResourceNotFoundException" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// N-16: changes, lists and tags.
func TestConfiguration(t *testing.T) {
	t.Parallel()
	s := open(t, everything)
	ctx := t.Context()
	for _, name := range []string{"b", "a", "c"} {
		s.create(name, "def handler(e, c): pass")
	}
	list, err := s.ListFunctions(ctx, &sdk.ListFunctionsInput{MaxItems: aws.Int32(2)})
	if err != nil || len(list.Functions) != 2 || *list.Functions[0].FunctionName != "a" || *list.NextMarker != "b" {
		t.Fatalf("%+v %v", list, err)
	}
	if list, err = s.ListFunctions(ctx, &sdk.ListFunctionsInput{Marker: list.NextMarker}); err != nil || len(list.Functions) != 1 || list.NextMarker != nil {
		t.Fatalf("%+v %v", list, err)
	}
	before, err := s.GetFunctionConfiguration(ctx, &sdk.GetFunctionConfigurationInput{FunctionName: aws.String("a")})
	if err != nil {
		t.Fatal(err)
	}
	if out, _ := s.invoke("a", ""); string(out.Payload) != "null" {
		t.Errorf("%s", out.Payload)
	}
	up, err := s.UpdateFunctionConfiguration(ctx, &sdk.UpdateFunctionConfigurationInput{FunctionName: aws.String("a"), Timeout: aws.Int32(7), MemorySize: aws.Int32(256),
		Environment: &types.Environment{Variables: map[string]string{"WORD": "x"}}})
	if err != nil || *up.Timeout != 7 || *up.MemorySize != 256 || *up.RevisionId == *before.RevisionId || *up.Handler != "app.handler" || up.LastUpdateStatus != types.LastUpdateStatusSuccessful {
		t.Fatalf("%+v %v", up, err)
	}
	if _, err := s.UpdateFunctionCode(ctx, &sdk.UpdateFunctionCodeInput{FunctionName: aws.String("a"), RevisionId: before.RevisionId,
		ZipFile: files(t, map[string]string{"app.py": "x"})}); code(err) != "PreconditionFailedException" {
		t.Error(err)
	}
	if _, err := s.UpdateFunctionCode(ctx, &sdk.UpdateFunctionCodeInput{FunctionName: aws.String("a"),
		ZipFile: files(t, map[string]string{"app.py": "import os\ndef handler(e, c): return os.environ['WORD']"})}); err != nil {
		t.Fatal(err)
	}
	if out, log := s.invoke("a", ""); string(out.Payload) != `"x"` {
		t.Errorf("%s\n%s", out.Payload, log)
	}
	arn := up.FunctionArn
	if _, err := s.TagResource(ctx, &sdk.TagResourceInput{Resource: arn, Tags: map[string]string{"x": "1", "y": "2"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.UntagResource(ctx, &sdk.UntagResourceInput{Resource: arn, TagKeys: []string{"x"}}); err != nil {
		t.Fatal(err)
	}
	got, err := s.GetFunction(ctx, &sdk.GetFunctionInput{FunctionName: arn})
	if err != nil || len(got.Tags) != 1 || got.Tags["y"] != "2" || *got.Configuration.Timeout != 7 {
		t.Errorf("%+v %v", got, err)
	}
	// What waiters of the SDK ask for.
	if err := sdk.NewFunctionActiveV2Waiter(s.Client).Wait(ctx, &sdk.GetFunctionInput{FunctionName: arn}, 5*time.Minute); err != nil {
		t.Error(err)
	}
	if err := sdk.NewFunctionUpdatedV2Waiter(s.Client).Wait(ctx, &sdk.GetFunctionInput{FunctionName: arn}, 5*time.Minute); err != nil {
		t.Error(err)
	}
}

// N-16: what cannot be done is refused when it is asked for, hostile archives too.
func TestRefuses(t *testing.T) {
	t.Parallel()
	s := open(t, everything, func(d *lambda.Deps) { d.Path = "/nowhere" })
	good := files(t, map[string]string{"bootstrap": "x"})
	for name, c := range map[string]struct {
		change func(*sdk.CreateFunctionInput)
		want   string
	}{
		"a runtime":           {func(in *sdk.CreateFunctionInput) { in.Runtime = types.RuntimeJava21 }, "The runtime java21 does not run on this server."},
		"an interpreter":      {func(in *sdk.CreateFunctionInput) { in.Runtime = types.RuntimePython313 }, "The runtime python3.13 needs the program python3.13 or python3, which is not on this machine"},
		"node":                {func(in *sdk.CreateFunctionInput) { in.Runtime = types.RuntimeNodejs22x }, "Install Node.js"},
		"no handler":          {func(in *sdk.CreateFunctionInput) { in.Handler = nil }, "Runtime and Handler are mandatory"},
		"a role":              {func(in *sdk.CreateFunctionInput) { in.Role = aws.String("arn:aws:iam::000000000000:role/other") }, "The role defined for the function cannot be assumed by Lambda."},
		"no code":             {func(in *sdk.CreateFunctionInput) { in.Code = &types.FunctionCode{} }, "Please provide a source for function code"},
		"no archive":          {func(in *sdk.CreateFunctionInput) { in.Code.ZipFile = []byte("PK") }, "Could not unzip uploaded file."},
		"a way out":           {func(in *sdk.CreateFunctionInput) { in.Code.ZipFile = files(t, map[string]string{"../../etc/x": "x"}) }, "Could not unzip uploaded file."},
		"too large a payload": {func(in *sdk.CreateFunctionInput) { in.Code.ZipFile = make([]byte, 50<<20+1) }, "at most 52428800 are allowed"},
		"layers": {func(in *sdk.CreateFunctionInput) {
			in.Layers = []string{"arn:aws:lambda:us-east-1:000000000000:layer:l:1"}
		}, "Layers is not offered"},
		"an image":  {func(in *sdk.CreateFunctionInput) { in.PackageType = types.PackageTypeImage }, "PackageType Image is not offered"},
		"a network": {func(in *sdk.CreateFunctionInput) { in.VpcConfig = &types.VpcConfig{SubnetIds: []string{"subnet-1"}} }, "VpcConfig is not offered"},
		"a level of logs": {func(in *sdk.CreateFunctionInput) {
			in.LoggingConfig = &types.LoggingConfig{SystemLogLevel: types.SystemLogLevelWarn}
		}, "LoggingConfig with log levels is not offered"},
		"a reserved variable": {func(in *sdk.CreateFunctionInput) {
			in.Environment = &types.Environment{Variables: map[string]string{"AWS_SESSION_TOKEN": "x"}}
		}, "reserved keys"},
		"too many variables": {func(in *sdk.CreateFunctionInput) {
			in.Environment = &types.Environment{Variables: map[string]string{"LONG": strings.Repeat("x", 4096)}}
		}, "exceeded the 4KB limit"},
	} {
		in := &sdk.CreateFunctionInput{FunctionName: aws.String("f"), Role: aws.String(role), Handler: aws.String("x"), Runtime: types.RuntimeProvidedal2, Code: &types.FunctionCode{ZipFile: good}}
		c.change(in)
		if _, err := s.CreateFunction(t.Context(), in); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.ListFunctions(t.Context(), &sdk.ListFunctionsInput{MasterRegion: aws.String("us-east-1")}); code(err) != "InvalidParameterValueException" {
		t.Error(err)
	}
	// W-31: a Region may have any name.
	for _, name := range []string{"f", "arn:aws:lambda:eu-west-1:000000000000:function:f", "arn:aws:lambda:lab:000000000000:function:f", "111111111111:function:f", "f:1", "f:live"} {
		if _, err := s.Invoke(t.Context(), &sdk.InvokeInput{FunctionName: &name}); code(err) != "ResourceNotFoundException" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.ListTags(t.Context(), &sdk.ListTagsInput{Resource: aws.String("arn:aws:lambda:lab:000000000000:function:f")}); code(err) != "ResourceNotFoundException" {
		t.Error(err)
	}
	if _, err := s.AddPermission(t.Context(), &sdk.AddPermissionInput{FunctionName: aws.String("arn:aws:lambda:lab:000000000000:function:f"), StatementId: aws.String("s"),
		Action: aws.String("lambda:InvokeFunction"), Principal: aws.String("events.amazonaws.com"), SourceArn: aws.String("arn:aws:events:lab:000000000000:rule/r")}); code(err) != "ResourceNotFoundException" {
		t.Error(err)
	}
	if _, err := s.Invoke(t.Context(), &sdk.InvokeInput{FunctionName: aws.String("f"), Payload: []byte("{")}); code(err) != "InvalidRequestContentException" {
		t.Error(err)
	}
	if _, err := s.Invoke(t.Context(), &sdk.InvokeInput{FunctionName: aws.String("f"), InvocationType: types.InvocationTypeEvent, Payload: []byte(`"` + strings.Repeat("x", 1<<20) + `"`)}); code(err) != "RequestTooLargeException" {
		t.Error(err)
	}
	s.create("f", "", func(in *sdk.CreateFunctionInput) {
		in.Runtime, in.Code = types.RuntimeProvidedal2, &types.FunctionCode{ZipFile: good}
	})
	in := &sdk.CreateFunctionInput{FunctionName: aws.String("f"), Role: aws.String(role), Handler: aws.String("x"), Runtime: types.RuntimeProvidedal2, Code: &types.FunctionCode{ZipFile: good}}
	if _, err := s.CreateFunction(t.Context(), in); code(err) != "ResourceConflictException" {
		t.Error(err)
	}
}

// N-16: who may invoke is asked about the function's own ARN, and a qualifier is part of it.
func TestPermissions(t *testing.T) {
	t.Parallel()
	s := open(t, `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["lambda:InvokeFunction","lambda:CreateFunction"],"Resource":"arn:aws:lambda:us-east-1:000000000000:function:mine"},
		{"Effect":"Allow","Action":"iam:PassRole","Resource":"`+role+`","Condition":{"StringEquals":{"iam:PassedToService":"lambda.amazonaws.com"}}}]}`)
	s.create("mine", "def handler(e, c): return 1")
	if out, log := s.invoke("mine", ""); string(out.Payload) != "1" {
		t.Errorf("%s\n%s", out.Payload, log)
	}
	var codes []string
	for _, name := range []string{"other", "mine:1"} {
		_, err := s.Invoke(t.Context(), &sdk.InvokeInput{FunctionName: &name})
		codes = append(codes, code(err))
	}
	_, err := s.CreateFunction(t.Context(), &sdk.CreateFunctionInput{FunctionName: aws.String("mine"), Role: aws.String("arn:aws:iam::000000000000:role/admin"), Runtime: types.RuntimePython312,
		Handler: aws.String("x.y"), Code: &types.FunctionCode{ZipFile: []byte("x")}})
	codes = append(codes, code(err))
	if !slices.Equal(codes, []string{"AccessDeniedException", "AccessDeniedException", "AccessDeniedException"}) {
		t.Error(codes, err)
	}
}
