package codepipeline

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/store/storetest"
)

// bubble runs a test in a world whose time is its own, on SQLite.
func bubble(t *testing.T, f func(w *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { f(newWorld(t, storetest.SQLite(t))) })
}

// S-306: a job that nobody acknowledged comes again after 60 seconds with a new nonce, and
// the old one is worth nothing.
func TestRedelivery(t *testing.T) {
	bubble(t, func(w *world) {
		w.workerType()
		w.create("p")
		first := w.poll("Source", "get")
		time.Sleep(time.Minute - time.Microsecond)
		if w.poll("Source", "get") != nil {
			w.Fatal("handed out again too early")
		}
		time.Sleep(time.Microsecond)
		second := w.poll("Source", "get")
		if second == nil || second.Id != first.Id || second.Nonce == first.Nonce {
			w.Fatalf("after the window: %+v, before %+v", second, first)
		}
		_, err := w.AcknowledgeJob(w.ctx, &api.AcknowledgeJobInput{JobId: first.Id, Nonce: first.Nonce})
		w.refused("InvalidNonceException", err)
		w.acknowledge(second)
		time.Sleep(time.Hour) // S-317: one owner from now on, however long it takes
		if w.poll("Source", "get") != nil {
			w.Error("handed out again after it was acknowledged")
		}
		if _, err := w.PutJobSuccessResult(w.ctx, &api.PutJobSuccessResultInput{JobId: second.Id}); err != nil {
			w.Error(err)
		}
	})
}

// S-312: a continued action shows what was said, and goes on in a new job with the token
// after 30 seconds. S-303: it stays one action.
func TestContinuation(t *testing.T) {
	bubble(t, func(w *world) {
		w.workerType()
		w.create("p")
		first := w.poll("Source", "get")
		w.acknowledge(first)
		put := func(in *api.PutJobSuccessResultInput) error {
			in.JobId = first.Id
			_, err := w.PutJobSuccessResult(w.ctx, in)
			return err
		}
		w.refused("ValidationException", put(&api.PutJobSuccessResultInput{ContinuationToken: "more", OutputVariables: map[string]string{"a": "b"}}))
		if err := put(&api.PutJobSuccessResultInput{ContinuationToken: "more", ExecutionDetails: &api.ExecutionDetails{
			Summary: "half", ExternalExecutionId: "x1", PercentComplete: new(int32(50))},
			CurrentRevision: &api.CurrentRevision{Revision: "r1", ChangeIdentifier: "c1"}}); err != nil {
			w.Fatal(err)
		}
		w.refused("InvalidJobStateException", put(&api.PutJobSuccessResultInput{})) // the job is complete
		e := w.state("p").StageStates[0].ActionStates[0].LatestExecution
		if e.Status != "InProgress" || e.Summary != "half" || e.ExternalExecutionId != "x1" || *e.PercentComplete != 50 {
			w.Errorf("state %+v", e)
		}
		time.Sleep(30*time.Second - time.Microsecond)
		if w.poll("Source", "get") != nil {
			w.Error("too early")
		}
		time.Sleep(time.Microsecond)
		second := w.poll("Source", "get")
		if second == nil || second.Id == first.Id || second.Data.ContinuationToken != "more" ||
			second.Data.PipelineContext.Action.ActionExecutionId != first.Data.PipelineContext.Action.ActionExecutionId {
			w.Fatalf("second %+v", second)
		}
		w.acknowledge(second)
		if _, err := w.PutJobSuccessResult(w.ctx, &api.PutJobSuccessResultInput{JobId: second.Id}); err != nil {
			w.Fatal(err)
		}
		a := w.state("p").StageStates[0].ActionStates[0]
		if a.LatestExecution.Status != "Succeeded" || a.CurrentRevision == nil || a.CurrentRevision.RevisionId != "r1" { // S-313: what an earlier job said counts
			w.Errorf("at the end %+v, %+v", a.LatestExecution, a.CurrentRevision)
		}
		// S-105: and it was seen, whichever of the jobs told of it.
		out, err := w.PutActionRevision(w.ctx, report("Get", "r1"))
		if must(w, out, err); *out.NewRevision || out.PipelineExecutionId != first.Data.PipelineContext.PipelineExecutionId {
			w.Errorf("the revision of an earlier job of the action: new %v, execution %s", *out.NewRevision, out.PipelineExecutionId)
		}
	})
}

// S-316, S-333, S-338: the action times out after 24 hours as a whole, whichever job is
// current; the worker is told by the status of its job.
func TestActionTimeOut(t *testing.T) {
	bubble(t, func(w *world) {
		w.workerType()
		w.create("p")
		begun := time.Now()
		first := w.poll("Source", "get")
		w.acknowledge(first)
		time.Sleep(23 * time.Hour)
		if _, err := w.PutJobSuccessResult(w.ctx, &api.PutJobSuccessResultInput{JobId: first.Id, ContinuationToken: "more"}); err != nil {
			w.Fatal(err)
		}
		time.Sleep(time.Minute)
		second := w.poll("Source", "get")
		time.Sleep(time.Until(begun.Add(24 * time.Hour)))
		synctest.Wait()
		a := w.state("p").StageStates[0].ActionStates[0].LatestExecution
		if a.Status != "Failed" || a.ErrorDetails.Code != "JobFailed" || !strings.Contains(a.ErrorDetails.Message, "24h0m0s") || !strings.Contains(a.ErrorDetails.Message, "not cancelled") {
			w.Fatalf("action %+v %+v", a, a.ErrorDetails)
		}
		out, err := w.AcknowledgeJob(w.ctx, &api.AcknowledgeJobInput{JobId: second.Id, Nonce: second.Nonce}) // S-307
		if must(w, out, err).Status != "TimedOut" {
			w.Errorf("job %+v", out)
		}
		_, err = w.PutJobSuccessResult(w.ctx, &api.PutJobSuccessResultInput{JobId: second.Id})
		w.refused("InvalidJobStateException", err)
		if w.poll("Source", "get") != nil {
			w.Error("the job of an action that timed out was handed out")
		}
	})
}

// S-103: a start that is repeated with its token starts nothing; other arguments conflict.
func TestClientRequestToken(t *testing.T) {
	bubble(t, func(w *world) {
		w.workerType()
		w.create("p")
		start := func(token string) string {
			out, err := w.StartPipelineExecution(w.ctx, &api.StartPipelineExecutionInput{Name: "p", ClientRequestToken: token})
			return must(w, out, err).PipelineExecutionId
		}
		first := start("t")
		time.Sleep(24*time.Hour - time.Second)
		if start("t") != first {
			w.Error("the token counted twice")
		}
		time.Sleep(time.Second)
		if start("t") != first {
			w.Error("the token counted twice within 24 hours")
		}
		time.Sleep(time.Second)
		second := start("t")
		if second == first {
			w.Error("the token was remembered for more than 24 hours")
		}
		if start("t") != second {
			w.Error("the token counted twice the second time")
		}
		if start("u") == first {
			w.Error("another token started nothing")
		}
		if one, other := start(""), start(""); one == other {
			w.Error("without a token every start counts")
		}
	})
}

// S-298, S-305: a variable whose value no worker could ask for fails the action that uses
// it, and not the one that gave it.
func TestQueryableValueOfAVariable(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		for name, value := range map[string]string{"space": "a b", "nothing": "", "nul": "\x00", "long": strings.Repeat("x", 21), "fine": "app-1"} {
			d := definition(name)
			d.Stages[1].Actions[0].Configuration["job"] = "#{src.target}"
			if _, err := w.CreatePipeline(w.ctx, &api.CreatePipelineInput{Pipeline: d}); err != nil {
				w.Fatal(err)
			}
			w.work("Source", "get", map[string]string{"target": value})
			build := w.state(name).StageStates[1].ActionStates[0].LatestExecution
			if want := map[bool]string{true: "InProgress", false: "Failed"}[name == "fine"]; build.Status != want {
				w.Errorf("%q: %s", value, build.Status)
			} else if want == "Failed" && build.ErrorDetails.Code != "ConfigurationError" {
				w.Errorf("%q: %+v", value, build.ErrorDetails)
			}
		}
		if w.poll("Build", "app-1") == nil {
			w.Error("no job for the value that is fine")
		}
	})
}
