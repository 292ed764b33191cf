package codepipeline

import (
	"testing"

	api "penstock/internal/api/codepipeline"
)

// execute starts an execution and gives its id.
func (w *world) execute(name string) string {
	w.Helper()
	out, err := w.StartPipelineExecution(w.ctx, &api.StartPipelineExecutionInput{Name: name})
	return must(w, out, err).PipelineExecutionId
}

// fail takes, acknowledges and ends the next job of a queue badly.
func (w *world) fail(category, job string) {
	w.Helper()
	j := w.poll(category, job)
	if j == nil {
		w.Fatalf("no job for %s %s", category, job)
	}
	w.acknowledge(j)
	must(w, 0, drop(w.PutJobFailureResult(w.ctx, &api.PutJobFailureResultInput{JobId: j.Id, FailureDetails: &api.FailureDetails{Type: "JobFailed", Message: "no"}})))
}

func (w *world) rollback(stage, target string) (string, error) {
	out, err := w.RollbackStage(w.ctx, &api.RollbackStageInput{PipelineName: "p", StageName: stage, TargetPipelineExecutionId: target})
	if err != nil {
		return "", err
	}
	return out.PipelineExecutionId, nil
}

// A-38, S-96, S-119, S-182…S-186, S-191: a stage goes back to an execution that history has, and
// a refusal changes nothing.
func TestRollback(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		d := definition("p")
		d.Stages = d.Stages[:2]
		must(w, 0, drop(w.CreatePipeline(w.ctx, &api.CreatePipelineInput{Pipeline: d})))
		w.work("Source", "get", nil)
		w.work("Build", "make", nil)
		targets, err := w.ListPipelineExecutions(w.ctx, &api.ListPipelineExecutionsInput{PipelineName: "p",
			Filter: &api.PipelineExecutionFilter{SucceededInStage: &api.SucceededInStageFilter{StageName: "Build"}}})
		first := must(w, targets, err).PipelineExecutionSummaries[0].PipelineExecutionId
		second := w.execute("p")
		w.work("Source", "get", nil)
		for _, refusal := range []struct{ stage, target, class string }{
			{"Nowhere", first, "StageNotFoundException"},
			{"Build", "00000000-0000-4000-8000-000000000000", "PipelineExecutionNotFoundException"},
			{"Build", second, "UnableToRollbackStageException"},
			{"Build", first, "UnableToRollbackStageException"}, // the stage runs
			{"Source", first, "UnableToRollbackStageException"},
		} {
			_, err := w.rollback(refusal.stage, refusal.target)
			w.refused(refusal.class, err)
		}
		w.fail("Build", "make")
		if list, err := w.ListPipelineExecutions(w.ctx, &api.ListPipelineExecutionsInput{PipelineName: "p"}); len(must(w, list, err).PipelineExecutionSummaries) != 2 {
			w.Errorf("a refused rollback left something: %+v", list)
		}

		back, err := w.rollback("Build", first)
		must(w, back, err)
		s := w.state("p").StageStates[1].LatestExecution
		if s.PipelineExecutionId != back || s.Type != "ROLLBACK" || s.Status != "InProgress" {
			w.Errorf("stage %+v", s)
		}
		if job := w.work("Build", "make", nil); job.Data.InputArtifacts[0].Revision != "r1" || job.Data.PipelineContext.PipelineExecutionId != back {
			w.Errorf("job %+v", job.Data)
		}
		out, err := w.GetPipelineExecution(w.ctx, &api.GetPipelineExecutionInput{PipelineName: "p", PipelineExecutionId: back})
		e := must(w, out, err).PipelineExecution
		if e.ExecutionType != "ROLLBACK" || e.RollbackMetadata.RollbackTargetPipelineExecutionId != first || e.Status != "Succeeded" ||
			e.Trigger.TriggerType != "ManualRollback" || e.Trigger.TriggerDetail != "arn:aws:iam::111111111111:user/admin" || e.ArtifactRevisions[0].RevisionId != "r1" {
			w.Errorf("execution %+v %+v", e, e.Trigger)
		}
		_, err = w.rollback("Build", back)
		w.refused("UnableToRollbackStageException", err)
		d.Version = nil
		must(w, 0, drop(w.UpdatePipeline(w.ctx, &api.UpdatePipelineInput{Pipeline: d})))
		_, err = w.rollback("Build", first)
		w.refused("PipelineExecutionOutdatedException", err)
		w.refused("AccessDeniedException", drop(w.RollbackStage(t.Context(), &api.RollbackStageInput{PipelineName: "p", StageName: "Build", TargetPipelineExecutionId: first})))
	})
}

// S-97, S-188: an automatic rollback finds its target in history, in the same transaction.
func TestAutomaticRollback(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		d := definition("p")
		d.Stages, d.PipelineType = d.Stages[:2], "V2"
		d.Stages[1].OnFailure = &api.FailureConditions{Result: "ROLLBACK"}
		must(w, 0, drop(w.CreatePipeline(w.ctx, &api.CreatePipelineInput{Pipeline: d})))
		w.work("Source", "get", nil)
		w.work("Build", "make", nil)
		failed := w.execute("p")
		w.work("Source", "get", nil)
		w.fail("Build", "make")
		s := w.state("p").StageStates[1].LatestExecution
		if s.PipelineExecutionId == failed || s.Type != "ROLLBACK" {
			w.Fatalf("stage %+v", s)
		}
		out, err := w.GetPipelineExecution(w.ctx, &api.GetPipelineExecutionInput{PipelineName: "p", PipelineExecutionId: s.PipelineExecutionId})
		if e := must(w, out, err).PipelineExecution; e.Trigger.TriggerType != "AutomatedRollback" || e.Trigger.TriggerDetail != failed {
			w.Errorf("trigger %+v", e.Trigger)
		}
		w.work("Build", "make", nil)
		if got := w.state("p").StageStates[1].LatestExecution.Status; got != "Succeeded" {
			w.Errorf("the rollback is %s", got)
		}
	})
}
