package engine

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"penstock/internal/fault"
	"penstock/internal/pipeline"
)

// TestAnyEvents applies random events to random pipelines. After each, world.apply checks what
// must always hold; at the end everything can be brought to an end, and playing the same
// events again gives the same bytes.
func TestAnyEvents(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(1, 80).Draw(t, "events") {
			w.apply(w.draw())
		}
		if rapid.IntRange(0, 9).Draw(t, "delete") == 0 { // S-69
			w.apply(Delete{})
			if len(w.jobs)+len(w.timers)+len(w.s.Executions) > 0 {
				t.Fatal("something is left of a deleted pipeline")
			}
		} else {
			w.finish()
		}
		w.replay()
	})
}

// finish opens the gates and answers whatever is asked, unless it is too late: all executions come
// to an end (S-108, S-226).
func (w *world) finish() {
	for _, def := range w.s.Current().Stages {
		w.apply(EnableTransition{Stage: def.Name, Direction: "Inbound"})
	}
	for range 1000 {
		late := w.due()
		switch {
		case late.Run != "nobody":
			w.apply(late)
		case len(w.jobs) > 0:
			for _, e := range w.s.ordered() {
				if running := e.running(); len(running) > 0 && running[0].Job != "" {
					w.apply(Succeed{Job: w.jobs[running[0].Job], Variables: map[string]string{"key": "value"}})
					break
				} else if len(running) > 0 {
					w.apply(Approve{Stage: running[0].Stage, Action: running[0].Action, Token: running[0].Token, Status: "Approved"})
					break
				}
			}
		case len(w.timers) > 0: // approvals only
			for run, at := range w.timers {
				w.now = at
				w.apply(Wakeup{Run: run})
				break
			}
		default:
			for _, e := range w.s.Executions {
				if !e.Status.Terminal() {
					w.t.Fatalf("execution %d is %s and nothing moves it", e.Order, e.Status)
				}
			}
			return
		}
	}
	w.t.Fatal("the pipeline does not come to an end")
}

// replay applies all events to the first state again.
func (w *world) replay() {
	s := w.first
	for i, h := range w.history {
		s.Attached.Past = nil
		if h.attached != nil {
			s.Attached.Past = map[pipeline.ExecutionID]*Execution{h.attached.ID: h.attached}
		}
		next, effects, err := Step(s, h.at, h.event)
		if err != nil {
			w.t.Fatalf("event %d, %T, is refused when played again: %v", i, h.event, err)
		}
		if got := dump(w.t, next, effects); got != h.after {
			w.t.Fatalf("event %d, %T, gives another outcome when played again:\n%s\n%s", i, h.event, h.after, got)
		}
		s = next
	}
}

// twice says that a report which ended a job counts once (S-315, S-317), and so does an answer (S-227).
func (w *world) twice(ev Event) {
	want := "InvalidJobStateException"
	switch ev.(type) {
	case Succeed, Fail, Continue:
	case Approve:
		want = "ApprovalAlreadyCompletedException"
	default:
		return
	}
	_, _, err := Step(w.s, w.now, ev)
	code := fault.Code(err)
	if a, ok := ev.(Approve); ok && !hasAction(w.s.Current(), a.Stage, a.Action) && code != "" {
		return // an answer to a request of an older version
	}
	if a, ok := ev.(Approve); ok && code == "InvalidApprovalTokenException" && w.askedAgain(a) {
		return
	}
	if code != want {
		w.t.Fatalf("%T again gives %v", ev, err)
	}
}

// askedAgain says that the answer led to a new request of the same action at once: a rejection
// that an automatic retry followed.
func (w *world) askedAgain(a Approve) bool {
	for _, e := range w.s.Executions {
		for _, run := range e.running() {
			if run.Stage == a.Stage && run.Action == a.Action && run.Token != "" && run.Touched == w.s.Seq {
				return true
			}
		}
	}
	return false
}

func text(t *rapid.T, v any) string {
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// runsOf are the records of action executions in a state by id.
func runsOf(s *State) map[pipeline.ActionExecutionID]*ActionRun {
	out := map[pipeline.ActionExecutionID]*ActionRun{}
	for _, e := range everyone(s) {
		for _, visit := range e.Runs {
			for run := range visit.All() {
				out[run.ID] = run
			}
		}
	}
	for _, run := range s.Ended {
		out[run.ID] = run
	}
	return out
}

func everyone(s *State) map[pipeline.ExecutionID]*Execution {
	out := map[pipeline.ExecutionID]*Execution{}
	for id, e := range s.Executions {
		out[id] = e
	}
	for _, e := range s.Retired {
		out[e.ID] = e
	}
	return out
}

// touched says that each record that changed is marked, as only those are saved, and that none
// got lost.
func (w *world) touched(before *State, ev Event) {
	was, is := everyone(&State{Executions: before.Executions}), everyone(w.s)
	if _, id := resumes(ev); id != "" && w.attached != nil {
		was[w.attached.ID] = w.attached
	}
	for id, e := range was {
		if is[id] == nil {
			w.t.Fatalf("after %T execution %s is neither live nor history", ev, id)
		}
		for name, visit := range e.Runs {
			if now := is[id].Runs[name]; now.Status != visit.Status && now.Touched != w.s.Seq {
				w.t.Fatalf("after %T stage %s of %s is %s and not marked", ev, name, id, now.Status)
			}
		}
	}
	for id, e := range is {
		if (was[id] == nil || text(w.t, e) != text(w.t, was[id])) && e.Touched != w.s.Seq {
			w.t.Fatalf("after %T execution %s changed and is not marked:\n%s", ev, id, text(w.t, e))
		}
	}
	old := runsOf(&State{Executions: was})
	runs := runsOf(w.s)
	for id, run := range runs {
		if (old[id] == nil || text(w.t, run) != text(w.t, old[id])) && run.Touched != w.s.Seq {
			w.t.Fatalf("after %T action execution %s changed and is not marked:\n%s", ev, id, text(w.t, run))
		}
	}
	for id := range old {
		if runs[id] == nil {
			w.t.Fatalf("after %T action execution %s is lost", ev, id)
		}
	}
}

// statuses says that what ended stays as it is, unless a retry of it is accepted (S-106, S-107, S-115).
func (w *world) statuses(before *State, ev Event) {
	for id, e := range everyone(before) {
		now := everyone(w.s)[id]
		if now == nil { // history since the step before
			continue
		}
		stage, resumed := resumes(ev)
		retried := resumed == id && (e.Status == pipeline.Failed || e.Status == pipeline.Stopped)
		for name, visit := range e.Runs { // S-111
			was, is := visit.Status, now.Runs[name].Status
			if was != is && was != pipeline.InProgress && !(was == pipeline.Stopping && is == pipeline.Stopped) && !(retried && stage == name) {
				w.t.Fatalf("%T turned stage %s from %s into %s", ev, name, was, is)
			}
		}
		if _, deleted := ev.(Delete); e.Status.Terminal() && now.Status != e.Status && !retried && !deleted {
			w.t.Fatalf("%T turned %s from %s into %s", ev, id, e.Status, now.Status)
		}
		if now.Status == pipeline.StatusSuperseded && e.Status == pipeline.InProgress && !strings.Contains(now.StatusSummary, "30 days") && !w.newerAt(now) {
			w.t.Fatalf("%T superseded %s for nobody", ev, id) // S-136
		}
	}
	for name, stage := range w.s.Stages { // S-121
		if was := before.Stages[name]; was != nil {
			for action, run := range was.Actions {
				if now := stage.Actions[action]; now != nil && now.Number < run.Number {
					w.t.Fatalf("after %T stage %s shows an older run of action %s", ev, name, action)
				}
			}
		}
	}
	runs := runsOf(w.s)
	for id, run := range runsOf(before) {
		if now := runs[id]; now != nil && run.Status != pipeline.InProgress && text(w.t, now) != text(w.t, run) {
			w.t.Fatalf("%T changed action execution %s, which had ended", ev, id)
		}
	}
}

// rollbacks says that a rollback visits its stage and no other, never waits, and repeats an
// ordinary execution of its own version (S-182, S-183, S-185, S-187).
func (w *world) rollbacks() {
	for id, e := range everyone(w.s) {
		if e.Type != pipeline.ExecutionRollback {
			continue
		}
		target := w.s.Executions[e.RollbackTarget]
		if target == nil {
			target = w.past[e.RollbackTarget]
		}
		if len(e.Runs) != 1 || e.Runs[e.Stage] == nil || e.Position == Waiting || e.Mode == pipeline.Parallel {
			w.t.Fatalf("the rollback %s has %d visits and is %s", id, len(e.Runs), e.Position)
		}
		if target != nil && (target.Version != e.Version || target.Type != pipeline.ExecutionStandard || target.Runs[e.Stage].Status != pipeline.Succeeded) {
			w.t.Fatalf("the rollback %s goes to %s, which is no target", id, e.RollbackTarget)
		}
	}
}

// resumes gives what an event may resume.
func resumes(ev Event) (stage string, execution pipeline.ExecutionID) {
	switch ev := ev.(type) {
	case Retry:
		return ev.Stage, ev.Execution
	case OverrideCondition:
		return ev.Stage, ev.Execution
	}
	return "", ""
}

// newerAt says whether a newer execution is, or has just passed, where an older one waited.
func (w *world) newerAt(e *Execution) bool {
	for _, other := range everyone(w.s) {
		if other.Order > e.Order && (other.Stage == e.Stage || other.Runs[e.Stage] != nil) {
			return true
		}
	}
	return false
}

// orders says that an action starts only after all of lower run order succeeded (S-56), and that a
// PARALLEL execution runs no more at a time than it may (S-57).
func (w *world) orders(before *State) {
	for _, e := range everyone(w.s) {
		actions := slices.DeleteFunc(e.running(), func(run *ActionRun) bool { return run.Place != "" })
		if e.Mode == pipeline.Parallel && len(actions) > smallLimits.ParallelActions {
			w.t.Fatalf("%d actions of a PARALLEL execution are running", len(actions))
		}
		for name, visit := range e.Runs {
			def, _, _ := w.s.Attached.Definitions[e.Version].Stage(name)
			for _, a := range def.Actions {
				run := visit.Actions[a.Name]
				if run == nil || run.Number < before.NextRun {
					continue
				}
				for _, lower := range def.Actions {
					if lower.RunOrder < a.RunOrder && (visit.Actions[lower.Name] == nil || visit.Actions[lower.Name].Status != pipeline.Succeeded) {
						w.t.Fatalf("action %s started before %s had succeeded", a.Name, lower.Name)
					}
				}
			}
		}
	}
}

// overridden says that an override which was accepted has the execution go on (S-208).
func (w *world) overridden(ev Event) {
	o, ok := ev.(OverrideCondition)
	if !ok {
		return
	}
	e := everyone(w.s)[o.Execution]
	visit := e.Runs[o.Stage]
	if c := visit.Conditions[o.Place]; c.Status != pipeline.Overridden {
		w.t.Fatalf("an overridden condition is %s", c.Status)
	}
	switch moved := visit.Status == pipeline.Succeeded; {
	case o.Place == pipeline.OnSuccess && !moved:
		w.t.Fatalf("after the override of its success condition the stage is %s", visit.Status)
	case o.Place == pipeline.BeforeEntry && len(visit.Actions) == 0:
		w.t.Fatal("after the override of its entry condition the stage runs no action")
	}
}
