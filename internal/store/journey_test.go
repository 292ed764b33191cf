package store_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"penstock/internal/engine"
	"penstock/internal/pipeline"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// journey drives a pipeline through the engine and saves each step. It remembers by itself
// all that history must show.
type journey struct {
	t          *testing.T
	db         *store.DB
	id         string
	s          *engine.State
	executions map[pipeline.ExecutionID]string
	runs       map[pipeline.ActionExecutionID]string
	passed     map[string]map[pipeline.ExecutionID]bool
	refused    int
}

func newJourney(t *testing.T, db *store.DB, id string, s *engine.State) *journey {
	return &journey{t: t, db: db, id: id, s: s, executions: map[pipeline.ExecutionID]string{},
		runs: map[pipeline.ActionExecutionID]string{}, passed: map[string]map[pipeline.ExecutionID]bool{}}
}

// step applies an event to the state in memory, saves what came of it, and notes what the
// database must have from now on. A refused event changes nothing.
func (j *journey) step(ev engine.Event) {
	j.t.Helper()
	next, before := j.s, text(j.t, j.s)+text(j.t, j.s.Executions)
	inTx(j.t, j.db, func(ctx context.Context, tx *store.Tx) (err error) {
		j.s.Attached.Catalogue = anyType
		next, _, err = engine.Step(j.s, tx.Now(), ev)
		if err != nil {
			return nil
		}
		if up, ok := ev.(engine.Update); ok {
			if err := tx.InsertVersion(ctx, j.id, up.Definition); err != nil {
				return err
			}
		}
		return tx.SaveState(ctx, j.id, next)
	})
	if before != text(j.t, j.s)+text(j.t, j.s.Executions) {
		j.t.Errorf("%T changed the state it was given, which others may be reading", ev)
	}
	if next == j.s {
		j.refused++
		return
	}
	j.s = next
	note := func(e *engine.Execution) {
		j.executions[e.ID] = text(j.t, e)
		for name, visit := range e.Runs {
			if visit.Status == pipeline.Succeeded {
				if j.passed[name] == nil {
					j.passed[name] = map[pipeline.ExecutionID]bool{}
				}
				j.passed[name][e.ID] = true
			}
			for run := range visit.All() {
				j.runs[run.ID] = text(j.t, run)
			}
		}
	}
	for _, e := range j.s.Executions {
		note(e)
	}
	for _, e := range j.s.Retired {
		note(e)
	}
	for _, run := range j.s.Ended {
		j.runs[run.ID] = text(j.t, run)
	}
}

// running gives a run in progress, of an action or rule if one is named.
func (j *journey) running(action string) *engine.ActionRun {
	var found *engine.ActionRun
	for _, e := range j.s.Executions {
		for _, visit := range e.Runs {
			for run := range visit.All() {
				if run.Status == pipeline.InProgress && (action == "" || run.Action == action) && (found == nil || run.Number < found.Number) {
					found = run
				}
			}
		}
	}
	return found
}

func ref(run *engine.ActionRun) engine.JobRef {
	return engine.JobRef{ID: run.Job, Execution: run.Execution, Run: run.ID}
}

func (j *journey) succeed(action string) engine.Event {
	j.t.Helper()
	run := j.running(action)
	if run == nil {
		j.t.Fatalf("%s does not run", action)
	}
	return engine.Succeed{Job: ref(run), Result: engine.Result{Summary: "done ☃ \x00", Percent: new(100)}, Variables: map[string]string{"k": "v"},
		Revision: &pipeline.Revision{ID: "r" + strconv.FormatInt(run.Number, 10), Created: run.Started}}
}

// compare holds everything in the database against what is known in memory: as it is given
// to whoever asks now, and as it is read from the rows.
func (j *journey) compare() {
	j.t.Helper()
	j.compareOnce()
	j.db.ForgetStates()
	j.compareOnce()
}

func (j *journey) compareOnce() {
	j.t.Helper()
	t, ctx := j.t, j.t.Context()
	if err := j.db.View(ctx, func(tx *store.Tx) error {
		got, err := tx.ViewState(ctx, j.id)
		if err != nil {
			return err
		}
		if a, b := text(t, got), text(t, j.s); a != b {
			t.Errorf("after event %d the stored state is\n%s\nin memory it is\n%s", j.s.Seq, a, b)
		}
		if a, b := text(t, got.Executions), text(t, j.s.Executions); a != b {
			t.Errorf("after event %d the stored live executions are\n%s\nin memory they are\n%s", j.s.Seq, a, b)
		}
		if err := engine.Check(got); err != nil {
			t.Errorf("after event %d: %v", j.s.Seq, err)
		}
		listed, err := tx.ListExecutions(ctx, j.id, 0, "", 0, 1000)
		if err != nil {
			return err
		}
		if len(listed) != len(j.executions) {
			t.Errorf("after event %d %d executions are stored, %d were started", j.s.Seq, len(listed), len(j.executions))
		}
		for _, e := range listed {
			full, err := tx.Execution(ctx, j.id, e.ID)
			if err != nil {
				return err
			}
			if full.Status != e.Status || !full.Updated.Equal(e.Updated) || full.Order != e.Order {
				t.Errorf("listed %+v, found %+v", e, full)
			}
			if a := text(t, full); a != j.executions[e.ID] {
				t.Errorf("after event %d history has\n%s\nit was\n%s", j.s.Seq, a, j.executions[e.ID])
			}
		}
		runs, err := tx.ListActionRuns(ctx, j.id, "", 0, 10000)
		if err != nil {
			return err
		}
		rules, err := tx.ListRuleRuns(ctx, j.id, "", 0, 10000)
		if err != nil {
			return err
		}
		for i, list := range [][]*engine.ActionRun{runs, rules} {
			if slices.ContainsFunc(list, func(run *engine.ActionRun) bool { return (run.Place != "") != (i == 1) }) {
				t.Errorf("after event %d actions and rules are mixed", j.s.Seq)
			}
		}
		runs = append(runs, rules...)
		if len(runs) != len(j.runs) {
			t.Errorf("after event %d %d action executions are stored, %d were started", j.s.Seq, len(runs), len(j.runs))
		}
		for _, run := range runs {
			if a := text(t, run); a != j.runs[run.ID] {
				t.Errorf("after event %d history has\n%s\nit was\n%s", j.s.Seq, a, j.runs[run.ID])
			}
		}
		for _, stage := range []string{"One", "Two", "Three"} {
			n := 0
			for v := 1; v <= j.s.Version; v++ {
				passed, err := tx.ListExecutions(ctx, j.id, 0, stage, v, 1000)
				if err != nil {
					return err
				}
				n += len(passed)
				for _, e := range passed {
					if e.Version != v || !j.passed[stage][e.ID] {
						t.Errorf("after event %d execution %d of version %d is listed as succeeded in %s of version %d", j.s.Seq, e.Order, e.Version, stage, v)
					}
				}
			}
			if n != len(j.passed[stage]) {
				t.Errorf("after event %d %d executions are listed as succeeded in %s, %d did", j.s.Seq, n, stage, len(j.passed[stage]))
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if t.Failed() {
		t.FailNow()
	}
}

// What is saved after each step is the whole state and the whole history, although only
// what the step touched is written.
func TestEveryStepIsSaved(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newPipeline(t, db, "id", testRegion, "p")
		j := newJourney(t, db, "id", s)
		j.compare()
		for _, ev := range []func() engine.Event{
			func() engine.Event {
				return engine.Start{Trigger: pipeline.Trigger{Type: "StartPipelineExecution", Detail: "me"}}
			},
			func() engine.Event { return j.succeed("A") },
			func() engine.Event { return engine.Start{} },
			func() engine.Event { return j.succeed("R") },
			func() engine.Event {
				return engine.Progress{Job: ref(j.running("B")), Result: engine.Result{ExternalID: "b7"}}
			},
			func() engine.Event { return j.succeed("B") },
			func() engine.Event { return engine.Continue{Job: ref(j.running("C")), Token: "more"} },
			func() engine.Event {
				return engine.Fail{Job: ref(j.running("C")), Error: pipeline.ErrorDetails{Code: "JobFailed", Message: "no"}}
			},
			func() engine.Event {
				return engine.Retry{Stage: "Two", Execution: j.running("A").Execution, Mode: pipeline.FailedActions}
			},
			func() engine.Event {
				return engine.Retry{Stage: "Two", Execution: j.failed(), Mode: pipeline.AllActions}
			},
			func() engine.Event { return j.succeed("B") },
			func() engine.Event { return j.succeed("C") },
			func() engine.Event { return j.succeed("D") },
			func() engine.Event {
				return engine.Approve{Stage: "Three", Action: "Ask", Token: j.running("Ask").Token, Status: "Approved", By: "me"}
			},
			func() engine.Event { return j.succeed("A") },
			func() engine.Event { return j.succeed("R") },
			func() engine.Event { return engine.Stop{Execution: j.running("B").Execution, Abandon: true} },
		} {
			j.step(ev())
			j.compare()
		}
		if j.refused != 1 { // the retry of an execution that did not fail
			t.Errorf("%d events were refused", j.refused)
		}
	})
}

func (j *journey) failed() pipeline.ExecutionID {
	for id, e := range j.s.Executions {
		if e.Status == pipeline.Failed {
			return id
		}
	}
	j.t.Fatal("nothing failed")
	return ""
}

// The same for stories that chance tells, in every mode.
func TestEveryStepOfRandomStoriesIsSaved(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for i, mode := range []pipeline.ExecutionMode{pipeline.Superseded, pipeline.Queued, pipeline.Parallel} {
			id := string(mode)
			d := release(id, mode)
			d.Stages[1].OnFailure = &pipeline.FailureConditions{Result: "RETRY"}
			var s *engine.State
			inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
				s = engine.New(testAccount, testRegion, "seed", d, tx.Now())
				return tx.InsertPipeline(ctx, id, s, d)
			})
			j := newJourney(t, db, id, s)
			chance := rand.New(rand.NewPCG(uint64(i), 7))
			for range 60 {
				j.step(j.random(chance))
				j.compare()
			}
			if j.refused > 30 {
				t.Errorf("%s: %d of 60 events were refused: the story is about nothing", mode, j.refused)
			}
		}
	})
}

// random makes an event that is likely to be accepted.
func (j *journey) random(chance *rand.Rand) engine.Event {
	run := j.running([]string{"", "A", "R", "B", "C", "D", "Ask"}[chance.IntN(7)])
	switch n := chance.IntN(20); {
	case n == 0:
		d := release(j.s.Name, j.s.Current().ExecutionMode)
		d.Version, d.Stages[1].OnFailure = j.s.Version+1, j.s.Current().Stages[1].OnFailure
		return engine.Update{Definition: d}
	case n == 1:
		return engine.DisableTransition{Stage: "Two", Direction: "Inbound", Reason: "r", By: "me"}
	case n == 2:
		return engine.EnableTransition{Stage: "Two", Direction: "Inbound", By: "me"}
	case n == 3 && run != nil:
		return engine.Stop{Execution: run.Execution, Abandon: chance.IntN(2) == 0}
	case n == 4 || run == nil:
		return engine.Start{}
	case n <= 6:
		for id, e := range j.s.Executions {
			if e.Status == pipeline.Failed || e.Status == pipeline.Stopped {
				return engine.Retry{Stage: e.Stage, Execution: id, Mode: []pipeline.RetryMode{pipeline.FailedActions, pipeline.AllActions}[chance.IntN(2)]}
			}
		}
		return engine.Start{}
	case run.Token != "":
		return engine.Approve{Stage: "Three", Action: "Ask", Token: run.Token, Status: []string{"Approved", "Rejected"}[chance.IntN(2)], By: "me"}
	case n <= 8:
		return engine.Fail{Job: ref(run), Error: pipeline.ErrorDetails{Code: "JobFailed", Message: "chance"}}
	case n == 9:
		return engine.Continue{Job: ref(run), Token: "t", After: time.Second}
	case n == 10:
		return engine.Progress{Job: ref(run), Result: engine.Result{Summary: strconv.Itoa(chance.IntN(100))}}
	}
	return engine.Succeed{Job: ref(run), Variables: map[string]string{"n": strconv.Itoa(chance.IntN(9))}}
}
