package codedeploy

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

	"penstock/internal/pipeline"
	"penstock/internal/provider"
	"penstock/internal/provider/providertest"
)

// P-26: what is asked of every provider.
func TestProvider(t *testing.T) {
	t.Parallel()
	providertest.Run(t, New())
	if n := len(New().Types()); n != 1 {
		t.Errorf("%d types", n)
	}
}

// cloud answers operations by name; the last answer stays. "Code: text" is an error.
type cloud struct {
	mu      sync.Mutex
	answers map[string][]string
	bodies  map[string][]string
	calls   []string
	asked   func(name string)
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if r.Method == http.MethodHead {
		w.Header().Set("ETag", `"e1"`)
		w.Header().Set("X-Amz-Version-Id", "v1")
		return
	}
	name := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "CodeDeploy_20141006.")
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked != nil {
		c.asked(name)
	}
	c.calls = append(c.calls, name)
	c.bodies[name] = append(c.bodies[name], string(body))
	answer := "{}"
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
	_, _ = io.WriteString(w, answer)
}

func newJob(t *testing.T, token string, answers map[string][]string) (*cloud, provider.Job) {
	t.Helper()
	c := &cloud{answers: map[string][]string{
		"GetDeploymentGroup": {`{"deploymentGroupInfo":{"deploymentConfigName":"CodeDeployDefault.OneAtATime"}}`},
		"CreateDeployment":   {`{"deploymentId":"d-ABCDEF123"}`},
	}, bodies: map[string][]string{}}
	for name, list := range answers {
		c.answers[name] = list
	}
	srv := httptest.NewServer(c)
	t.Cleanup(srv.Close)
	job := providertest.Job(New().Types()[0])
	job.Configuration = map[string]string{"ApplicationName": "app", "DeploymentGroupName": "all"}
	job.Inputs = []pipeline.Artifact{{Name: "Src", Bucket: "art", Key: "pipe/Src/abc"}}
	job.ContinuationToken = token
	job.Env.AWS = aws.Config{Region: "eu-west-1", BaseEndpoint: new(srv.URL), Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""), RetryMaxAttempts: 1}
	job.Env.ArtifactAWS, job.Env.ConsoleURL = job.Env.AWS, "http://here"
	changed := make(chan struct{})
	close(changed)
	job.Env.Changed = func(arn string) <-chan struct{} {
		if arn != "arn:aws:codedeploy:eu-west-1:111111111111:deployment/d-ABCDEF123" {
			t.Error(arn)
		}
		return changed
	}
	return c, job
}

// P-26: the calls in their order; the revision is the input artifact, and the deployment names the
// execution.
func TestDeploys(t *testing.T) {
	t.Parallel()
	c, job := newJob(t, "", nil)
	r := New().Run(t.Context(), job)
	if r.Error != nil || r.Continue != "d-ABCDEF123" || r.ExternalID != "d-ABCDEF123" || r.ExternalURL != "http://here/codedeploy/eu-west-1/deployments/d-ABCDEF123" {
		t.Errorf("%+v %+v", r, r.Error)
	}
	if got := strings.Join(c.calls, " "); got != "GetApplication GetDeploymentGroup GetDeploymentConfig RegisterApplicationRevision CreateDeployment" {
		t.Error(got)
	}
	for _, name := range []string{"RegisterApplicationRevision", "CreateDeployment"} {
		var in struct {
			ApplicationName, DeploymentGroupName, Description string
			Revision                                          struct {
				RevisionType string
				S3Location   struct{ Bucket, Key, BundleType, Version, ETag string }
			}
		}
		if err := json.Unmarshal([]byte(c.bodies[name][0]), &in); err != nil {
			t.Fatal(err)
		}
		at := in.Revision.S3Location
		if in.ApplicationName != "app" || in.Revision.RevisionType != "S3" || at.Bucket != "art" || at.Key != "pipe/Src/abc" || at.BundleType != "zip" || at.Version != "v1" || at.ETag != "e1" {
			t.Errorf("%s: %+v", name, in)
		}
		if name == "CreateDeployment" && (in.DeploymentGroupName != "all" || !strings.Contains(in.Description, job.ExecutionID) || !strings.Contains(in.Description, job.ActionExecutionID)) {
			t.Errorf("%+v", in)
		}
	}
}

// P-26: the end of the deployment is the action's, with the service's code and message.
func TestEnds(t *testing.T) {
	t.Parallel()
	const working = `{"deploymentInfo":{"status":"Created"}}`
	for name, c := range map[string]struct {
		answers             []string
		code, says, summary string
	}{
		"succeeded": {[]string{working, `{"deploymentInfo":{"status":"Baking"}}`, `{"deploymentInfo":{"status":"Succeeded"}}`}, "", "", "Deployment Succeeded"},
		"failed": {[]string{working, `{"deploymentInfo":{"status":"Failed","errorInformation":{"code":"HEALTH_CONSTRAINTS","message":"too few"},"rollbackInfo":{"rollbackDeploymentId":"d-2"}}}`},
			pipeline.JobFailed, "HEALTH_CONSTRAINTS: too few", "Deployment d-ABCDEF123 failed"},
		"stopped":    {[]string{`{"deploymentInfo":{"status":"Stopped"}}`}, pipeline.JobFailed, "The deployment d-ABCDEF123 has the status Stopped", "Deployment d-ABCDEF123 failed"},
		"gone":       {[]string{"DeploymentDoesNotExistException: no"}, pipeline.ConfigurationError, "DeploymentDoesNotExistException: no", ""},
		"a bad hour": {[]string{"ThrottlingException: slow", working, `{"deploymentInfo":{"status":"Succeeded"}}`}, "", "", "Deployment Succeeded"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, job := newJob(t, "d-ABCDEF123", map[string][]string{"GetDeployment": c.answers})
			r := New().Run(t.Context(), job)
			code, message := "", ""
			if r.Error != nil {
				code, message = r.Error.Code, r.Error.Message
			}
			if code != c.code || !strings.Contains(message, c.says) || r.Summary != c.summary {
				t.Errorf("%s %s %q", code, message, r.Summary)
			}
		})
	}
}

// P-26: while another deployment of the group is in progress the action waits; the one that it
// began before a crash is its own.
func TestAnotherDeployment(t *testing.T) {
	t.Parallel()
	const busy = "DeploymentLimitExceededException: The Deployment Group 'all' already has an active Deployment 'd-ABCDEF123'"
	c, job := newJob(t, "", map[string][]string{"CreateDeployment": {busy}})
	c.answers["GetDeployment"] = []string{`{"deploymentInfo":{"status":"InProgress","description":"Execution ` + job.ExecutionID + ` of the pipeline release, action execution ` + job.ActionExecutionID + `"}}`}
	if r := New().Run(t.Context(), job); r.Error != nil || r.Continue != "d-ABCDEF123" {
		t.Errorf("%+v %+v", r, r.Error)
	}

	_, job = newJob(t, "", map[string][]string{"CreateDeployment": {busy}, "GetDeployment": {`{"deploymentInfo":{"status":"InProgress","description":"another"}}`}})
	ctx, cancel := context.WithCancel(t.Context())
	waits := ""
	job.Env.Progress = func(p provider.Progress) {
		waits = p.Summary
		cancel()
	}
	if r := New().Run(ctx, job); r.Error == nil || r.Error.Code != pipeline.SystemUnavailable || !strings.Contains(waits, "already has an active Deployment") {
		t.Errorf("%+v %+v, %s", r, r.Error, waits)
	}
}

// P-26: an action that is abandoned or has timed out stops its deployment; one whose server ends
// leaves it alone.
func TestStops(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{provider.ErrAborted, context.Canceled} {
		c, job := newJob(t, "d-ABCDEF123", map[string][]string{"GetDeployment": {`{"deploymentInfo":{"status":"InProgress"}}`}})
		ctx, cancel := context.WithCancelCause(t.Context())
		c.asked = func(name string) {
			if name == "GetDeployment" {
				cancel(cause)
			}
		}
		if r := New().Run(ctx, job); r.Error == nil {
			t.Errorf("%+v", r)
		}
		if stopped := len(c.bodies["StopDeployment"]) == 1; stopped != (cause == provider.ErrAborted) {
			t.Errorf("after %v, stopped is %t", cause, stopped)
		}
	}
}

// P-26, S-117: what the configuration names and is not there is said.
func TestWrongConfiguration(t *testing.T) {
	t.Parallel()
	for operation, answer := range map[string]string{
		"GetApplication": "ApplicationDoesNotExistException", "GetDeploymentGroup": "DeploymentGroupDoesNotExistException", "RegisterApplicationRevision": "AccessDeniedException",
	} {
		_, job := newJob(t, "", map[string][]string{operation: {answer + ": no"}})
		r := New().Run(t.Context(), job)
		want := pipeline.ConfigurationError
		if answer == "AccessDeniedException" {
			want = pipeline.PermissionError
		}
		if r.Error == nil || r.Error.Code != want || !strings.Contains(r.Error.Message, answer) || !strings.Contains(r.Error.Message, job.RoleARN) {
			t.Errorf("%s: %+v", operation, r.Error)
		}
	}
}
