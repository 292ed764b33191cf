package codepipeline

import (
	"context"
	"strings"
	"testing"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/store"
)

// explained gives the facts of an execution, the newest if id is empty.
func (w *world) explained(id string) string {
	w.Helper()
	out, err := w.ExplainPipeline(w.ctx, &api.ExplainPipelineInput{Name: "p", PipelineExecutionId: id})
	return strings.Join(must(w, out, err).Facts, "\n")
}

// S-117, S-128, S-130, S-153, S-222, S-246: why something runs, waits, was superseded, failed,
// or did not start.
func TestExplain(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		w.create("p")
		has := func(text string, wants ...string) {
			w.Helper()
			for _, want := range wants {
				if !strings.Contains(text, want) {
					w.Errorf("%q is not in\n%s", want, text)
				}
			}
		}
		has(w.explained(""), "was started at", "by CreatePipeline (arn:aws:iam::111111111111:user/admin), with version 1", "It is in the stage 'Source'.", "Action 'Get' of provider Worker has been in progress since")
		// S-302: a job that waits is not at work, whoever waits for it.
		has(w.explained(""), "No worker has taken job 1 of action 'Get' yet. Workers ask for it with PollForJobs of Source/Custom/Worker/1, and job=get.")
		behind, err := w.StartPipelineExecution(w.ctx, &api.StartPipelineExecutionInput{Name: "p"})
		has(w.explained(must(w, behind, err).PipelineExecutionId), "It waits in front of the stage 'Source'.", "There: No worker has taken job 1 of action 'Get' yet.")
		must(w, 0, drop(w.StopPipelineExecution(w.ctx, &api.StopPipelineExecutionInput{PipelineName: "p", PipelineExecutionId: behind.PipelineExecutionId})))
		created := w.state("p").StageStates[0].LatestExecution.PipelineExecutionId
		held := w.poll("Source", "get")
		has(w.explained(created), "Job 1 of action 'Get' was handed to a worker, which has not acknowledged it yet.")
		w.acknowledge(held)
		if text := w.explained(created); strings.Contains(text, "No worker") || strings.Contains(text, "acknowledged") {
			w.Errorf("of a job that is in progress:\n%s", text)
		}
		must(w, 0, drop(w.PutJobSuccessResult(w.ctx, &api.PutJobSuccessResultInput{JobId: held.Id, OutputVariables: map[string]string{"commit": "1"}})))
		w.work("Build", "make", nil)
		first := w.state("p").StageStates[2].LatestExecution.PipelineExecutionId
		has(w.explained(first), "It is in the stage 'Release'.", "Action 'Approve' waits for somebody to approve or reject it, until ")
		start := func() string {
			out, err := w.StartPipelineExecution(w.ctx, &api.StartPipelineExecutionInput{Name: "p"})
			return must(w, out, err).PipelineExecutionId
		}
		second := start()
		w.work("Source", "get", map[string]string{"commit": "2"})
		w.work("Build", "make", nil)
		has(w.explained(second), "It waits in front of the stage 'Release'.", "The stage is locked by execution "+first, "There: Action 'Approve' waits for somebody")
		_, err = w.DisableStageTransition(w.ctx, &api.DisableStageTransitionInput{PipelineName: "p", StageName: "Release", TransitionType: "Inbound", Reason: "holidays"})
		must(w, 0, err)
		has(w.explained(second), "was disabled by arn:aws:iam::111111111111:user/admin at ", ": holidays")
		third := start()
		w.work("Source", "get", map[string]string{"commit": "3"})
		w.work("Build", "make", nil)
		has(w.explained(second), "It has ended as Superseded before it entered the stage 'Release': Execution ")
		has(w.explained(third), "It waits in front of the stage 'Release'.")
		fourth := start()
		j := w.poll("Source", "get")
		w.acknowledge(j)
		_, err = w.PutJobFailureResult(w.ctx, &api.PutJobFailureResultInput{JobId: j.Id, FailureDetails: &api.FailureDetails{Type: "ConfigurationError", Message: "no such bucket"}})
		must(w, 0, err)
		has(w.explained(fourth), "It has ended as Failed, in the stage 'Source'", "Action 'Get' is Failed, with ConfigurationError: no such bucket", "The stage 'Source' can be retried")
		if err := w.DB.Update(w.ctx, func(tx *store.Tx) error {
			p, err := tx.FindPipeline(w.ctx, account, region, "p")
			if err != nil {
				return err
			}
			return tx.PutSourceEvent(w.ctx, p.ID, "push", "not started: because")
		}); err != nil {
			w.Fatal(err)
		}
		out, err := w.ExplainPipeline(w.ctx, &api.ExplainPipelineInput{Name: "p"})
		if l := must(w, out, err).SourceEvents; len(l) != 1 || l[0].Outcome != "not started: because" || l[0].At == nil || out.PipelineExecutionId != fourth {
			w.Errorf("%+v", out)
		}
		_, err = w.ExplainPipeline(w.ctx, &api.ExplainPipelineInput{Name: "p", PipelineExecutionId: "00000000-0000-4000-8000-000000000000"})
		w.refused("PipelineExecutionNotFoundException", err)
		_, err = w.ExplainPipeline(w.ctx, &api.ExplainPipelineInput{Name: "q"})
		w.refused("PipelineNotFoundException", err)
		_, err = w.ExplainPipeline(context.Background(), &api.ExplainPipelineInput{Name: "p"})
		w.refused("AccessDeniedException", err)
	})
}
