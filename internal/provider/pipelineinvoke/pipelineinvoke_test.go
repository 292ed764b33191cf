package pipelineinvoke_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"penstock/internal/pipeline"
	"penstock/internal/provider"
	"penstock/internal/provider/pipelineinvoke"
	"penstock/internal/provider/providertest"
)

// P-43: what is asked of every provider.
func TestProvider(t *testing.T) {
	t.Parallel()
	providertest.Run(t, pipelineinvoke.New())
	if n := len(pipelineinvoke.New().Types()); n != 1 {
		t.Errorf("%d types", n)
	}
}

// started is the request as the service reads it.
type started struct {
	Name, ClientRequestToken string
	Variables                []struct{ Name, Value string }
	SourceRevisions          []struct{ ActionName, RevisionType, RevisionValue string }
}

// run runs the action with a configuration against a service that gives one answer.
func run(t *testing.T, status int, answer string, configuration map[string]string) (provider.Result, []started) {
	t.Helper()
	var asked []started
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in started
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.Header.Get("X-Amz-Target") != "CodePipeline_20150709.StartPipelineExecution" {
			t.Errorf("%s: %v", r.Header.Get("X-Amz-Target"), err)
		}
		asked = append(asked, in)
		w.WriteHeader(status)
		io.WriteString(w, answer)
	}))
	t.Cleanup(srv.Close)
	job := providertest.Job(pipelineinvoke.New().Types()[0])
	job.Configuration, job.Env.ConsoleURL = configuration, "http://server"
	job.Env.AWS = aws.Config{Region: "eu-west-1", BaseEndpoint: new(srv.URL), Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
		Retryer: func() aws.Retryer { return aws.NopRetryer{} }}
	return pipelineinvoke.New().Run(t.Context(), job), asked
}

// S-339, Q-28: the start is all; its token is the same however often the job is run.
func TestStarts(t *testing.T) {
	t.Parallel()
	configuration := map[string]string{
		"PipelineName":    "deploy",
		"SourceRevisions": `[{"actionName":"Src","revisionType":"COMMIT_ID","revisionValue":"abc"}]`,
		"Variables":       `[{"name":"A","value":"1"},{"name":"B","value":""}]`,
	}
	r, asked := run(t, 200, `{"pipelineExecutionId":"11111111-2222-4333-8444-555555555555"}`, configuration)
	if r.Error != nil || r.ExternalID != "11111111-2222-4333-8444-555555555555" || r.Continue != "" {
		t.Fatalf("%+v %v", r, r.Error)
	}
	if want := "http://server/codesuite/codepipeline/pipelines/deploy/executions/11111111-2222-4333-8444-555555555555/timeline?region=eu-west-1"; r.ExternalURL != want {
		t.Errorf("%s, want %s", r.ExternalURL, want)
	}
	in := asked[0]
	if in.Name != "deploy" || in.ClientRequestToken != "5a7b6c1e-0000-4000-8000-000000000002" || len(in.Variables) != 2 || in.Variables[0].Value != "1" ||
		len(in.SourceRevisions) != 1 || in.SourceRevisions[0].RevisionValue != "abc" || in.SourceRevisions[0].RevisionType != "COMMIT_ID" {
		t.Errorf("%+v", in)
	}
}

// P-43: whatever goes wrong is said, and nothing is started by half a configuration.
func TestFailures(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer, key, value, code, text string
		calls                          int
	}{
		"no pipeline": {`{"__type":"PipelineNotFoundException","message":"none"}`, "", "", pipeline.ConfigurationError, "start the pipeline other", 1},
		"no right":    {`{"__type":"AccessDeniedException","message":"no"}`, "", "", pipeline.PermissionError, "role/release", 1},
		"full": {`{"__type":"ConcurrentPipelineExecutionsLimitExceededException","message":"50"}`, "", "",
			pipeline.JobFailed, "Retry the stage", 1},
		"no array":   {"", "Variables", `{"name":"A"}`, pipeline.ConfigurationError, "Variables of action 'Action'", 0},
		"no JSON":    {"", "SourceRevisions", `[{`, pipeline.ConfigurationError, "SourceRevisions of action 'Action'", 0},
		"misspelled": {"", "Variables", `[{"name":"A","vlaue":"1"}]`, pipeline.ConfigurationError, "vlaue", 0},
		"two":        {"", "Variables", `[] []`, pipeline.ConfigurationError, "more after", 0},
		"no answer":  {`{}`, "", "", pipeline.ConfigurationError, "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			configuration := map[string]string{"PipelineName": "other"}
			if c.key != "" {
				configuration[c.key] = c.value
			}
			r, asked := run(t, 400, c.answer, configuration)
			if r.Error == nil || r.Error.Code != c.code || !strings.Contains(r.Error.Message, c.text) || len(asked) != c.calls {
				t.Errorf("%+v after %d calls", r.Error, len(asked))
			}
		})
	}
}
