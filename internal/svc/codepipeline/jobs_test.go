package codepipeline

import (
	"context"
	"errors"
	"strings"
	"testing"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/engine"
	"penstock/internal/fault"
)

// S-304, S-310, S-317: a job that no credentials can be made for does not keep the others of its
// poll from their worker. If it never could be done its action fails and says why; if something
// failed here it comes again.
func TestPollWithoutCredentials(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		problems := map[string]error{"refused": fault.New("MalformedPolicyDocument", "It is too long."), "denied": fault.New("AccessDenied", "Not this role."), "unlucky": errors.New("the disk is full")}
		given := w.ArtifactCredentials
		w.ArtifactCredentials = func(ctx context.Context, j engine.Job) (api.AWSSessionCredentials, error) {
			if err := problems[j.Pipeline]; err != nil {
				return api.AWSSessionCredentials{}, err
			}
			return given(ctx, j)
		}
		for _, name := range []string{"refused", "first", "denied", "unlucky", "second"} {
			w.create(name)
		}
		out, err := w.PollForJobs(w.ctx, &api.PollForJobsInput{ActionTypeId: &api.ActionTypeId{Category: "Source", Owner: "Custom", Provider: "Worker", Version: "1"},
			QueryParam: map[string]string{"job": "get"}, MaxBatchSize: new(int32(10))})
		var got []string
		for _, j := range must(w, out, err).Jobs {
			got = append(got, j.Data.PipelineContext.PipelineName)
		}
		if strings.Join(got, " ") != "first second" {
			w.Errorf("got the jobs of %q", got)
		}
		for name, want := range map[string]struct{ status, code, message string }{
			"refused": {"Failed", "ConfigurationError", "No credentials could be made for the artifacts of action 'Get' in the bucket artifacts of the pipeline with the role " + role +
				": MalformedPolicyDocument: It is too long. Check the artifact store of the pipeline, then retry the stage."},
			"denied": {"Failed", "PermissionError", "No credentials could be made for the artifacts of action 'Get' in the bucket artifacts of the pipeline with the role " + role +
				": AccessDenied: Not this role. Allow it in a policy of that role, then retry the stage."},
			"unlucky": {status: "InProgress"},
			"first":   {status: "InProgress"},
		} {
			e := w.state(name).StageStates[0].ActionStates[0].LatestExecution
			if e.Status != want.status || want.code != "" && (e.ErrorDetails.Code != want.code || e.ErrorDetails.Message != want.message) {
				w.Errorf("%s: %s %+v", name, e.Status, e.ErrorDetails)
			}
		}
	})
}
