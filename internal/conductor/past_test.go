package conductor_test

import (
	"log/slog"
	"testing"

	"penstock/internal/conductor"
	"penstock/internal/engine"
	"penstock/internal/fault"
	"penstock/internal/pipeline"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// A PARALLEL execution that failed is history and leaves the state, yet it can be retried, on
// its own and any number of later ones notwithstanding (S-146, S-163, S-171).
func TestRetryOfThePast(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db := storetest.SQLite(t)
	source := pipeline.ActionTypeID{Category: pipeline.CategorySource, Owner: pipeline.OwnerAWS, Provider: "CodeCommit", Version: "1"}
	build := pipeline.ActionTypeID{Category: pipeline.CategoryBuild, Owner: pipeline.OwnerAWS, Provider: "CodeBuild", Version: "1"}
	c := conductor.New(conductor.Config{DB: db, Log: slog.New(slog.DiscardHandler), Builtin: []pipeline.ActionType{{ID: source}, {ID: build}}})
	d := &pipeline.Declaration{Name: "p", Version: 1, PipelineType: pipeline.V2, ExecutionMode: pipeline.Parallel, Stages: []pipeline.Stage{
		{Name: "Source", Actions: []pipeline.Action{{Name: "get", ActionTypeID: source, RunOrder: 1}}},
		{Name: "Build", Actions: []pipeline.Action{{Name: "make", ActionTypeID: build, RunOrder: 1}}},
	}}
	update := func(f func(tx *store.Tx) error) {
		t.Helper()
		if err := db.Update(ctx, f); err != nil {
			t.Fatal(err)
		}
	}
	var s *engine.State
	update(func(tx *store.Tx) (err error) {
		s, err = c.CreateTx(ctx, tx, "id", "111111111111", "eu-west-1", "seed", d, "arn:creator")
		return err
	})
	first := s.Started
	// report tells of the running action of an execution.
	report := func(execution pipeline.ExecutionID, event func(engine.JobRef) engine.Event) {
		t.Helper()
		e := s.Executions[execution]
		if e == nil {
			t.Fatal("the execution is not live")
		}
		for _, run := range e.LatestRuns() {
			if run.Status == pipeline.InProgress {
				after, err := c.Apply(ctx, "id", event(engine.JobRef{ID: run.Job, Execution: execution, Run: run.ID}))
				if err != nil {
					t.Fatal(err)
				}
				s = after
				return
			}
		}
		t.Fatal("nothing is running")
	}
	succeed := func(ref engine.JobRef) engine.Event { return engine.Succeed{Job: ref} }
	fail := func(ref engine.JobRef) engine.Event {
		return engine.Fail{Job: ref, Error: pipeline.ErrorDetails{Code: pipeline.JobFailed}}
	}
	report(first, succeed)
	report(first, fail)
	if len(s.Executions) != 0 {
		t.Fatalf("%d executions are live", len(s.Executions))
	}
	var err error
	if s, err = c.Apply(ctx, "id", engine.Start{}); err != nil {
		t.Fatal(err)
	}
	if s, err = c.Apply(ctx, "id", engine.Retry{Execution: first, Stage: "Build", Mode: pipeline.FailedActions}); err != nil {
		t.Fatal(err)
	}
	report(first, succeed)
	if err := db.View(ctx, func(tx *store.Tx) error {
		e, err := tx.Execution(ctx, "id", first)
		if err == nil && (e.Status != pipeline.Succeeded || e.Attempt != 2) {
			t.Errorf("the execution is %s, attempt %d", e.Status, e.Attempt)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	_, err = c.Apply(ctx, "id", engine.Retry{Execution: first, Stage: "Build", Mode: pipeline.AllActions})
	if fault.Code(err) != "StageNotRetryableException" { // S-169
		t.Error(err)
	}
	_, err = c.Apply(ctx, "id", engine.Retry{Execution: "nobody", Stage: "Build", Mode: pipeline.AllActions})
	if fault.Code(err) != "NotLatestPipelineExecutionException" { // S-175
		t.Error(err)
	}
}
