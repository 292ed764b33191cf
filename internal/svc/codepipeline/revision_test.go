package codepipeline

import (
	"sync"
	"testing"
	"time"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/auth"
)

func report(action, revision string) *api.PutActionRevisionInput {
	return &api.PutActionRevisionInput{PipelineName: "p", StageName: "Source", ActionName: action,
		ActionRevision: &api.ActionRevision{RevisionId: revision, RevisionChangeId: "change-" + revision, Created: new(time.Unix(1_700_000_000, 0).UTC())}}
}

// S-105, A-29, S-89: a revision starts one execution, whose source job and state carry it.
func TestPutActionRevision(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		w.create("p")
		w.work("Source", "get", nil) // of the first execution; it took r1
		first := w.state("p").StageStates[0].LatestExecution.PipelineExecutionId

		out, err := w.PutActionRevision(w.ctx, report("Get", "r1"))
		if must(w, out, err); *out.NewRevision || out.PipelineExecutionId != first {
			w.Errorf("a revision that a source job took: %v %s, want the execution %s", *out.NewRevision, out.PipelineExecutionId, first)
		}
		out, err = w.PutActionRevision(w.ctx, report("Get", "r2"))
		if must(w, out, err); !*out.NewRevision || out.PipelineExecutionId == first {
			w.Fatalf("a new revision: %v %s", *out.NewRevision, out.PipelineExecutionId)
		}
		second := out.PipelineExecutionId
		out, err = w.PutActionRevision(w.ctx, report("Get", "r2"))
		if must(w, out, err); *out.NewRevision || out.PipelineExecutionId != second {
			w.Errorf("told twice: %v %s", *out.NewRevision, out.PipelineExecutionId)
		}
		e, err := w.GetPipelineExecution(w.ctx, &api.GetPipelineExecutionInput{PipelineName: "p", PipelineExecutionId: second})
		if tr := must(w, e, err).PipelineExecution.Trigger; tr.TriggerType != "PutActionRevision" || tr.TriggerDetail != auth.From(w.ctx).ARN {
			w.Errorf("trigger %+v", tr)
		}
		job := w.poll("Source", "get")
		if job == nil || job.Data.PipelineContext.PipelineExecutionId != second || job.Data.OutputArtifacts[0].Revision != "r2" {
			w.Fatalf("the source job %+v", job)
		}
		now := w.state("p").StageStates[0].ActionStates[0].CurrentRevision
		if now == nil || now.RevisionId != "r2" || now.RevisionChangeId != "change-r2" || now.Created.Unix() != 1_700_000_000 {
			w.Errorf("the current revision %+v", now)
		}
		// A worker that tells of no revision took the one it was given.
		w.acknowledge(job)
		must(w, 0, drop(w.PutJobSuccessResult(w.ctx, &api.PutJobSuccessResultInput{JobId: job.Id})))
		list, err := w.ListPipelineExecutions(w.ctx, &api.ListPipelineExecutionsInput{PipelineName: "p"})
		if got := must(w, list, err).PipelineExecutionSummaries[0]; len(got.SourceRevisions) != 1 || got.SourceRevisions[0].RevisionId != "r2" {
			w.Errorf("the source revisions %+v", got.SourceRevisions)
		}
	})
}

// S-105: many who tell of the same revision at once start one execution.
func TestPutActionRevisionAtOnce(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		w.create("p")
		var all sync.WaitGroup
		outs, errs := make([]*api.PutActionRevisionOutput, 8), make([]error, 8)
		for i := range outs {
			all.Go(func() { outs[i], errs[i] = w.PutActionRevision(w.ctx, report("Get", "same")) })
		}
		all.Wait()
		news := 0
		for i, out := range outs {
			if must(w, 0, errs[i]); *out.NewRevision {
				news++
			}
			if out.PipelineExecutionId != outs[0].PipelineExecutionId {
				w.Errorf("executions %s and %s", out.PipelineExecutionId, outs[0].PipelineExecutionId)
			}
		}
		list, err := w.ListPipelineExecutions(w.ctx, &api.ListPipelineExecutionsInput{PipelineName: "p"})
		if n := len(must(w, list, err).PipelineExecutionSummaries); news != 1 || n != 2 {
			w.Errorf("%d new, %d executions in all, want 1 and 2", news, n)
		}
	})
}

// S-104, A-29: each refusal starts nothing and remembers nothing.
func TestPutActionRevisionRefused(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		d := definition("p")
		d.ExecutionMode = "QUEUED"
		must(w, 0, drop(w.CreatePipeline(w.ctx, &api.CreatePipelineInput{Pipeline: d})))
		put := func(change func(in *api.PutActionRevisionInput)) error {
			in := report("Get", "r")
			change(in)
			return drop(w.PutActionRevision(w.ctx, in))
		}
		w.refused("PipelineNotFoundException", put(func(in *api.PutActionRevisionInput) { in.PipelineName = "q" }))
		w.refused("StageNotFoundException", put(func(in *api.PutActionRevisionInput) { in.StageName = "Nowhere" }))
		w.refused("ActionNotFoundException", put(func(in *api.PutActionRevisionInput) { in.ActionName = "Nothing" }))
		w.refused("ValidationException", put(func(in *api.PutActionRevisionInput) { in.StageName, in.ActionName = "Build", "Make" }))
		ctx, err := auth.Limited(w.ctx, auth.From(w.ctx), `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"codepipeline:PutActionRevision","Resource":"arn:aws:codepipeline:eu-west-1:111111111111:p/Source/Other"}]}`)
		w.refused("AccessDeniedException", drop(w.PutActionRevision(must(w, ctx, err), report("Get", "r"))))

		for range 49 { // S-76: the first is the one of CreatePipeline
			must(w, 0, drop(w.StartPipelineExecution(w.ctx, &api.StartPipelineExecutionInput{Name: "p"})))
		}
		for range 2 {
			w.refused("ConcurrentPipelineExecutionsLimitExceededException", drop(w.PutActionRevision(w.ctx, report("Get", "r"))))
		}
	})
}
