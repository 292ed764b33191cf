package codebuild_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"

	"penstock/internal/pipeline"
	"penstock/internal/provider"
	"penstock/internal/provider/codebuild"
	"penstock/internal/provider/providertest"
)

// P-9, P-10: what is asked of every provider.
func TestProvider(t *testing.T) {
	t.Parallel()
	providertest.Run(t, codebuild.New())
	if n := len(codebuild.New().Types()); n != 3 {
		t.Errorf("%d types", n)
	}
}

// cloud answers operations by name; the last answer stays. "Code: text" is an error.
type cloud struct {
	mu      sync.Mutex
	answers map[string][]string
	bodies  map[string][]string
	asked   func(name string)
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	name := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "CodeBuild_20161006.")
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked != nil {
		c.asked(name)
	}
	c.bodies[name] = append(c.bodies[name], string(body))
	answer := "ResourceNotFoundException: no answer for " + name
	if list := c.answers[name]; len(list) > 0 {
		answer = list[0]
		if len(list) > 1 {
			c.answers[name] = list[1:]
		}
	}
	if !strings.HasPrefix(answer, "{") {
		code, text, _ := strings.Cut(answer, ": ")
		w.WriteHeader(http.StatusBadRequest)
		answer = `{"__type":"` + code + `","message":"` + text + `"}`
	}
	io.WriteString(w, answer)
}

func newJob(t *testing.T, answers map[string][]string) (*cloud, provider.Job) {
	t.Helper()
	c := &cloud{answers: answers, bodies: map[string][]string{}}
	srv := httptest.NewServer(c)
	t.Cleanup(srv.Close)
	job := providertest.Job(codebuild.New().Types()[0])
	job.Configuration = map[string]string{"ProjectName": "app"}
	job.Inputs = []pipeline.Artifact{{Name: "Src", Bucket: "art", Key: "pipe/Src/abc", Revision: "commit1"}}
	job.Outputs = nil
	job.Env.AWS = aws.Config{Region: "eu-west-1", BaseEndpoint: new(srv.URL), Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")}
	changed := make(chan struct{})
	close(changed)
	job.Env.Changed = func(string) <-chan struct{} { return changed }
	return c, job
}

const (
	started = `{"build":{"id":"app:1","arn":"arn:b","buildComplete":false,"buildStatus":"IN_PROGRESS","logs":{"deepLink":"http://log","cloudWatchLogsArn":"arn:log"}}}`
	working = `{"builds":[{"id":"app:1","arn":"arn:b","buildComplete":false,"buildStatus":"IN_PROGRESS"}]}`
)

func ended(status, more string) string {
	return `{"builds":[{"id":"app:1","arn":"arn:b","buildComplete":true,"buildStatus":"` + status + `","logs":{"deepLink":"http://log","cloudWatchLogsArn":"arn:log"}` + more + `}]}`
}

// P-9, S-282: inputs become sources, outputs artifacts, exported variables output variables.
func TestSucceeds(t *testing.T) {
	t.Parallel()
	c, job := newJob(t, map[string][]string{
		"StartBuild": {started},
		"BatchGetBuilds": {working, ended("SUCCEEDED", `,"exportedEnvironmentVariables":[{"name":"V","value":"1"}],
			"secondaryArtifacts":[{"location":"arn:aws:s3:::art/pipe/A/k1"},{"location":"arn:aws:s3:::art/pipe/B/k2"}]`)},
	})
	job.Inputs = append(job.Inputs, pipeline.Artifact{Name: "Lib-x", Bucket: "art", Key: "pipe/Lib/def"})
	job.Outputs = []pipeline.Artifact{{Name: "A", Bucket: "art", Key: "pipe/A/k1"}, {Name: "B", Bucket: "art", Key: "pipe/B/k2"}}
	job.Configuration["PrimarySource"] = "Src"
	job.Configuration["EnvironmentVariables"] = `[{"name":"X","value":"y"},{"name":"S","value":"p","type":"PARAMETER_STORE"}]`
	job.Configuration["BuildspecOverride"] = "ci/spec.yml"
	r := codebuild.New().Run(t.Context(), job)
	if r.Error != nil || r.OutputVariables["V"] != "1" || r.ExternalID != "app:1" || r.LogStreamARN != "arn:log" || r.ExternalURL != "http://log" {
		t.Errorf("%+v %+v", r, r.Error)
	}
	var in struct {
		ProjectName, SourceTypeOverride, SourceLocationOverride, BuildspecOverride, IdempotencyToken string
		SecondarySourcesOverride                                                                     []map[string]any
		ArtifactsOverride                                                                            map[string]any
		SecondaryArtifactsOverride                                                                   []map[string]any
		EnvironmentVariablesOverride                                                                 []struct{ Name, Value, Type string }
	}
	if err := json.Unmarshal([]byte(c.bodies["StartBuild"][0]), &in); err != nil {
		t.Fatal(err)
	}
	if in.SourceTypeOverride != "S3" || in.SourceLocationOverride != "art/pipe/Src/abc" || in.IdempotencyToken != job.ActionExecutionID || in.BuildspecOverride != "ci/spec.yml" {
		t.Errorf("%+v", in)
	}
	if diff := cmp.Diff([]map[string]any{{"type": "S3", "sourceIdentifier": "Lib-x", "location": "art/pipe/Lib/def"}}, in.SecondarySourcesOverride); diff != "" {
		t.Error(diff)
	}
	if in.ArtifactsOverride["type"] != "NO_ARTIFACTS" || len(in.SecondaryArtifactsOverride) != 2 || in.SecondaryArtifactsOverride[1]["artifactIdentifier"] != "B" ||
		in.SecondaryArtifactsOverride[1]["path"] != "pipe/B/" || in.SecondaryArtifactsOverride[1]["name"] != "k2" || in.SecondaryArtifactsOverride[1]["packaging"] != "ZIP" {
		t.Errorf("%+v", in.SecondaryArtifactsOverride)
	}
	got := map[string]string{}
	for _, v := range in.EnvironmentVariablesOverride {
		got[v.Name] = v.Type + " " + v.Value
	}
	want := map[string]string{"X": "PLAINTEXT y", "S": "PARAMETER_STORE p", "CODEBUILD_INITIATOR": "PLAINTEXT codepipeline/release",
		"CODEBUILD_RESOLVED_SOURCE_VERSION": "PLAINTEXT commit1", "CODEBUILD_SOURCE_VERSION": "PLAINTEXT arn:aws:s3:::art/pipe/Src/abc"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// P-50, S-217: as a rule it holds if the build succeeds; a failed build is a verdict, a build that
// cannot be started none (S-207).
func TestRule(t *testing.T) {
	t.Parallel()
	for status, code := range map[string]string{"SUCCEEDED": "", "FAILED": pipeline.JobFailed, "none": pipeline.ConfigurationError} {
		answers := map[string][]string{"StartBuild": {started}, "BatchGetBuilds": {ended(status, "")}}
		if status == "none" {
			delete(answers, "StartBuild")
		}
		_, job := newJob(t, answers)
		job.Type = pipeline.RunnableRule("CodeBuild").ID
		r := codebuild.New().Run(t.Context(), job)
		if got := r.Error; (got == nil) != (code == "") || got != nil && got.Code != code {
			t.Errorf("%s: %+v", status, got)
		}
	}
}

// P-9: every way to fail says what, why and where.
func TestFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change  func(*provider.Job)
		answers map[string][]string
		code    string
		want    string
	}{
		"build": {answers: map[string][]string{"StartBuild": {started}, "BatchGetBuilds": {ended("FAILED",
			`,"phases":[{"phaseType":"INSTALL","phaseStatus":"SUCCEEDED"},{"phaseType":"BUILD","phaseStatus":"FAILED","contexts":[{"statusCode":"COMMAND_EXECUTION_ERROR","message":"Error while executing command: x. Reason: exit status 1"}]}]`)}},
			code: pipeline.JobFailed, want: "Build terminated with state: FAILED. Phase: BUILD, Code: COMMAND_EXECUTION_ERROR, Message: Error while executing command: x. Reason: exit status 1"},
		"hostile source": {answers: map[string][]string{"StartBuild": {started}, "BatchGetBuilds": {ended("FAILED",
			`,"phases":[{"phaseType":"DOWNLOAD_SOURCE","phaseStatus":"FAILED","contexts":[{"statusCode":"CLIENT_ERROR","message":"archive entry \"../x\" leaves the archive"}]}]`)}},
			code: pipeline.ConfigurationError, want: `Phase: DOWNLOAD_SOURCE, Code: CLIENT_ERROR, Message: archive entry "../x" leaves the archive`},
		"timed out":  {answers: map[string][]string{"StartBuild": {started}, "BatchGetBuilds": {ended("TIMED_OUT", "")}}, code: pipeline.JobFailed, want: "Build terminated with state: TIMED_OUT"},
		"no project": {answers: map[string][]string{"StartBuild": {"ResourceNotFoundException: Project cannot be found"}}, code: pipeline.ConfigurationError, want: "Could not start a build of the project app"},
		"denied":     {answers: map[string][]string{"StartBuild": {"AccessDeniedException: not authorized"}}, code: pipeline.PermissionError, want: "role/release"},
		"deleted":    {answers: map[string][]string{"StartBuild": {started}, "BatchGetBuilds": {`{"builds":[]}`}}, code: pipeline.JobFailed, want: "is gone"},
		"no artifact": {change: func(j *provider.Job) { j.Outputs = []pipeline.Artifact{{Name: "Out", Bucket: "art", Key: "k"}} },
			answers: map[string][]string{"StartBuild": {started}, "BatchGetBuilds": {ended("SUCCEEDED", "")}}, code: pipeline.ConfigurationError, want: "no artifact for the output 'Out'"},
		"two inputs":    {change: func(j *provider.Job) { j.Inputs = append(j.Inputs, pipeline.Artifact{Name: "Two"}) }, code: pipeline.ConfigurationError, want: "PrimarySource"},
		"no such input": {change: func(j *provider.Job) { j.Configuration["PrimarySource"] = "None" }, code: pipeline.ConfigurationError, want: "'None' is not an input artifact"},
		"no input":      {change: func(j *provider.Job) { j.Inputs = nil }, code: pipeline.ConfigurationError, want: "needs an input artifact"},
		"batch":         {change: func(j *provider.Job) { j.Configuration["BatchEnabled"] = "true" }, code: pipeline.ConfigurationError, want: "Batch builds"},
		"variables":     {change: func(j *provider.Job) { j.Configuration["EnvironmentVariables"] = "{" }, code: pipeline.ConfigurationError, want: "not a JSON array"},
		"reserved":      {change: func(j *provider.Job) { j.Configuration["EnvironmentVariables"] = `[{"name":"CODEBUILD_X"}]` }, code: pipeline.ConfigurationError, want: "reserved"},
		"type":          {change: func(j *provider.Job) { j.Configuration["EnvironmentVariables"] = `[{"name":"X","type":"Y"}]` }, code: pipeline.ConfigurationError, want: "the type 'Y'"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, job := newJob(t, c.answers)
			if c.change != nil {
				c.change(&job)
			}
			r := codebuild.New().Run(t.Context(), job)
			if r.Error == nil || r.Error.Code != c.code || !strings.Contains(r.Error.Message, c.want) {
				t.Errorf("%+v", r.Error)
			}
		})
	}
}

// P-9: a build that a crash of the server ended is started anew; one that failed is not.
func TestFindsItsBuildAgain(t *testing.T) {
	t.Parallel()
	lost := strings.NewReplacer("false", "true", "IN_PROGRESS", "FAULT").Replace(started)
	c, job := newJob(t, map[string][]string{"StartBuild": {lost, started}, "BatchGetBuilds": {ended("SUCCEEDED", "")}})
	if r := codebuild.New().Run(t.Context(), job); r.Error != nil {
		t.Errorf("%+v", r.Error)
	}
	if n := len(c.bodies["StartBuild"]); n != 2 || !strings.Contains(c.bodies["StartBuild"][1], job.ActionExecutionID+"-1") {
		t.Errorf("%d starts: %q", n, c.bodies["StartBuild"])
	}
	done := strings.NewReplacer("false", "true", "IN_PROGRESS", "FAILED").Replace(started)
	c, job = newJob(t, map[string][]string{"StartBuild": {done}})
	if r := codebuild.New().Run(t.Context(), job); r.Error == nil || len(c.bodies["StartBuild"]) != 1 {
		t.Errorf("%+v", r)
	}
}

// P-9: nobody waits for a build whose action is over.
func TestStops(t *testing.T) {
	t.Parallel()
	c, job := newJob(t, map[string][]string{"StartBuild": {started}, "BatchGetBuilds": {working}, "StopBuild": {`{}`}})
	job.Env.Changed = func(string) <-chan struct{} { return nil }
	ctx, cancel := context.WithCancel(t.Context())
	c.asked = func(name string) {
		if name == "BatchGetBuilds" {
			cancel()
		}
	}
	if r := codebuild.New().Run(ctx, job); r.Error == nil || len(c.bodies["StopBuild"]) != 1 {
		t.Errorf("%+v, %d stops", r, len(c.bodies["StopBuild"]))
	}
}
