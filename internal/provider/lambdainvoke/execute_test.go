package lambdainvoke_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"penstock/internal/pipeline"
	"penstock/internal/provider"
	"penstock/internal/provider/lambdainvoke"
)

const function = "arn:aws:lambda:us-east-1:222222222222:function:scan"

// execute runs a job against a function that answers with a status, the header of a function
// error if there is one, and a payload. It gives the events the function got.
func execute(t *testing.T, change func(*provider.Job), status int, failure, payload string) (provider.Result, []string) {
	t.Helper()
	var events []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/2015-03-31/functions/"+function+"/invocations" || r.Header.Get("X-Amz-Invocation-Type") != "RequestResponse" ||
			!strings.Contains(r.Header.Get("Authorization"), "/us-east-1/lambda/") {
			t.Errorf("%v: %s %v", err, r.URL.Path, r.Header)
		}
		events = append(events, string(body))
		if failure != "" {
			w.Header().Set("X-Amz-Function-Error", failure)
		}
		w.WriteHeader(status)
		io.WriteString(w, payload)
	}))
	t.Cleanup(srv.Close)
	job := provider.Job{ID: "job", ActionExecutionID: "run", Account: "111111111111", Action: "Scan", RoleARN: "arn:aws:iam::111111111111:role/release",
		Function: function, Configuration: map[string]string{"Project": "app"}, Env: provider.Env{
			AWS: aws.Config{Region: "eu-west-1", BaseEndpoint: new(srv.URL), Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")},
			Credentials: func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: "id", SecretAccessKey: "key", SessionToken: "token"}, nil
			}}}
	if change != nil {
		change(&job)
	}
	return lambdainvoke.Execute(t.Context(), job), events
}

// S-321, P-47: the event has all that the function is to know of its job, and nothing else.
func TestExecutorEvent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		change func(*provider.Job)
		want   string
	}{
		{nil, `{"jobId":"job","accountId":"111111111111","data":{"actionConfiguration":{"configuration":{"Project":"app"}},
			"inputArtifacts":[],"outputArtifacts":[],"actionExecutionId":"run"}}`},
		{func(j *provider.Job) {
			j.Inputs, j.Outputs = []pipeline.Artifact{{Name: "in", Bucket: "b", Key: "k", Revision: "r"}}, []pipeline.Artifact{{Name: "out", Bucket: "b", Key: "o"}}
			j.EncryptionKey, j.ContinuationToken = &pipeline.EncryptionKey{ID: "arn:key", Type: "KMS"}, "half"
		}, `{"jobId":"job","accountId":"111111111111","data":{"actionConfiguration":{"configuration":{"Project":"app"}},"encryptionKey":{"id":"arn:key","type":"KMS"},
			"inputArtifacts":[{"name":"in","revision":"r","location":{"type":"S3","s3Location":{"bucketName":"b","objectKey":"k"}}}],
			"outputArtifacts":[{"name":"out","revision":null,"location":{"type":"S3","s3Location":{"bucketName":"b","objectKey":"o"}}}],
			"actionCredentials":{"accessKeyId":"id","secretAccessKey":"key","sessionToken":"token"},"actionExecutionId":"run","continuationToken":"half"}}`},
	} {
		r, events := execute(t, c.change, 200, "", `{"result":"Success"}`)
		var got, want any
		if len(events) != 1 || json.Unmarshal([]byte(events[0]), &got) != nil || json.Unmarshal([]byte(c.want), &want) != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got  %s\nwant %s", events, c.want)
		}
		if r.Error != nil || r.Continues() || r.Elsewhere {
			t.Errorf("%+v", r)
		}
	}
}

// S-321, P-47: what the function returns is how the job ended.
func TestExecutorAnswers(t *testing.T) {
	t.Parallel()
	failed := func(code, message, summary, id string) provider.Result {
		r := provider.Failed(code, "The function %s returned Fail%s", function, message)
		r.Progress = provider.Progress{Summary: summary, ExternalID: id}
		return r
	}
	for payload, want := range map[string]provider.Result{
		`{"result":"Success"}`: {},
		`{"result":"sUCCESS","failureType":"","continuation":null,"status":{"externalExecutionId":"scan-1","summary":"clean"},"outputVariables":{"Report_1@x-y":"none"},"more":1}`: {
			Progress: provider.Progress{Summary: "clean", ExternalID: "scan-1"}, OutputVariables: map[string]string{"Report_1@x-y": "none"}},
		`{"result":"continue","continuation":"half","status":{"summary":"at work"}}`: {Progress: provider.Progress{Summary: "at work"}, Continue: "half", After: 30 * time.Second},
		`{"result":"Continue"}`: {After: 30 * time.Second},
		`{"result":"FAIL"}`:     failed("JobFailed", "", "", ""),
		`{"result":"Fail","failureType":"PermissionError","status":{"externalExecutionId":"scan-1","summary":"no entry"}}`: failed("PermissionError", ": no entry", "no entry", "scan-1"),
	} {
		if r, events := execute(t, nil, 200, "", payload); !reflect.DeepEqual(r, want) || len(events) != 1 {
			t.Errorf("%s\ngot  %+v %+v\nwant %+v %+v", payload, r, r.Error, want, want.Error)
		}
	}
}

// S-321, P-47: an answer that says what cannot be, an error of the function and a call that
// fails end the action with what happened, in a text of bounded length; and the function is not
// invoked twice.
func TestExecutorFailures(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status                   int
		failure, payload         string
		code, message, alsoShown string
	}{
		{200, "", `{"result":"Success","failureType":"JobFailed"}`, "ConfigurationError", "'failureType' can only be given with Fail", `"Success"`},
		{200, "", `{"result":"Continue","failureType":"JobFailed"}`, "ConfigurationError", "'failureType' can only be given with Fail", ""},
		{200, "", `{"result":"Success","continuation":"x"}`, "ConfigurationError", "'continuation' can only be given with Continue", ""},
		{200, "", `{"result":"Fail","continuation":"x"}`, "ConfigurationError", "'continuation' can only be given with Continue", ""},
		{200, "", `{"result":"Fail","outputVariables":{"a":"b"}}`, "ConfigurationError", "'outputVariables' can only be given with Success", ""},
		{200, "", `{"result":"Continue","outputVariables":{"a":"b"}}`, "ConfigurationError", "'outputVariables' can only be given with Success", ""},
		{200, "", `{"result":"Fail","failureType":"Tired"}`, "ConfigurationError", "'failureType' is one of JobFailed, ", "Tired"},
		{200, "", `{"result":"Continue","continuation":"` + strings.Repeat("é", 1025) + `"}`, "ConfigurationError", "at most 2048 bytes", "…"},
		{200, "", `{"result":"Success","outputVariables":{"a b":"c"}}`, "ConfigurationError", "the names of 'outputVariables'", "a b"},
		{200, "", `{"result":"Success","outputVariables":{"a":1}}`, "ConfigurationError", "cannot be read", ""},
		{200, "", `{"result":"Maybe"}`, "ConfigurationError", "'result' is none of them", "Maybe"},
		{200, "", `null`, "ConfigurationError", "'result' is none of them", "null"},
		{200, "", `"ok"`, "ConfigurationError", "cannot be read", `"ok"`},
		{200, "", ``, "ConfigurationError", "cannot be read", ""},
		{200, "", "\xff" + strings.Repeat("x", 3000), "ConfigurationError", "cannot be read", "…"},
		{200, "Unhandled", `{"errorMessage":"division by zero"}`, "JobFailed", "ended with the error Unhandled", "division by zero"},
		{404, "", `{"__type":"ResourceNotFoundException","Message":"none"}`, "ConfigurationError", "Could not invoke the function", "role/release"},
		{403, "", `{"__type":"AccessDeniedException","Message":"no"}`, "PermissionError", "Could not invoke the function", "role/release"},
		{500, "", `{"__type":"ServiceException","Message":"no"}`, "SystemUnavailable", "Could not invoke the function", ""},
	} {
		r, events := execute(t, nil, c.status, c.failure, c.payload)
		if r.Error == nil || r.Error.Code != c.code || !strings.Contains(r.Error.Message, c.message) || !strings.Contains(r.Error.Message, c.alsoShown) ||
			!strings.Contains(r.Error.Message, function) || len(r.Error.Message) > 1000 {
			t.Errorf("%.200s: %.2000v", c.payload, r.Error)
		}
		if len(events) != 1 || r.Continues() || r.Elsewhere || r.OutputVariables != nil {
			t.Errorf("%.200s: invoked %d times, %+v", c.payload, len(events), r)
		}
	}
}
