package engine

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"pgregory.net/rapid"

	"penstock/internal/pipeline"
)

// The limits of random pipelines are small, so that they are reached.
var smallLimits = pipeline.Limits{ConcurrentExecutions: 4, ParallelActions: 2}

// world is a random pipeline under random events with all that the engine asked for.
type world struct {
	t   *rapid.T
	s   *State
	now time.Time
	// first and history are for the replay: the state before all, each event with its time,
	// and what came of it.
	first   *State
	history []happening

	jobs   map[pipeline.JobID]JobRef // started and not ended
	dead   []JobRef                  // ended
	timers map[pipeline.ActionExecutionID]time.Time
	tokens []Approve // every approval ever asked for
	past   map[pipeline.ExecutionID]*Execution
	known  []pipeline.ExecutionID
	ids    map[string]bool
	told   heard
	// attached is the past execution that the last step had to know.
	attached *Execution
}

type happening struct {
	at       time.Time
	event    Event
	attached *Execution
	after    string
}

func newWorld(t *rapid.T) *world {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := New("111111111111", "eu-west-1", "seed", drawDefinition(t, 1), now)
	s.Attached.Catalogue, s.Attached.Limits = catalogue, smallLimits
	return &world{t: t, s: s, first: s, now: now, jobs: map[pipeline.JobID]JobRef{}, timers: map[pipeline.ActionExecutionID]time.Time{},
		past: map[pipeline.ExecutionID]*Execution{}, ids: map[string]bool{}, told: heard{}}
}

// drawDefinition makes a definition that Validate would take in all that the engine relies on.
// Stage names come from a small pool, so that updates keep some, drop some and bring some back.
func drawDefinition(t *rapid.T, version int) *pipeline.Declaration {
	d := &pipeline.Declaration{Name: "p", RoleARN: "arn:role", Version: version, PipelineType: pipeline.V2,
		ExecutionMode: rapid.SampledFrom([]pipeline.ExecutionMode{pipeline.Superseded, pipeline.Queued, pipeline.Parallel}).Draw(t, "mode"),
		ArtifactStore: &pipeline.ArtifactStore{Type: "S3", Location: "bucket"}}
	names := rapid.Permutation([]string{"A", "B", "C", "D", "E"}).Draw(t, "names")[:rapid.IntRange(1, 4).Draw(t, "stages")]
	var made []string
	for i, name := range names {
		s := pipeline.Stage{Name: name}
		for n := range rapid.IntRange(1, 4).Draw(t, "actions") {
			a := action("a"+strconv.Itoa(n), i == 0)
			a.RunOrder = rapid.IntRange(1, 3).Draw(t, "order")
			if i > 0 {
				kind := rapid.SampledFrom([]string{"CodeBuild", "CodeBuild", "CodeBuild", "Manual", "worker", "gone"}).Draw(t, "kind")
				a = action(a.Name+":"+kind, false)
				if kind == "Manual" && rapid.Bool().Draw(t, "told") { // S-229
					a.Configuration[notificationKey] = "arn:topic"
				}
				a.RunOrder = rapid.IntRange(1, 3).Draw(t, "order")
				for _, in := range made {
					if rapid.IntRange(0, 4).Draw(t, "input") == 0 {
						a.InputArtifacts = append(a.InputArtifacts, pipeline.ArtifactName{Name: in})
						a.Configuration[in] = "#{" + in + ".key}"
					}
				}
			}
			out := "out" + name + a.Name
			a.OutputArtifacts, a.Namespace = []pipeline.OutputArtifact{{Name: out}}, out
			s.Actions = append(s.Actions, a)
		}
		for _, a := range s.Actions {
			made = append(made, a.Namespace)
		}
		switch rapid.IntRange(0, 5).Draw(t, "failure") {
		case 2, 3:
			if d.ExecutionMode != pipeline.Parallel { // S-31
				s.OnFailure = &pipeline.FailureConditions{Result: "ROLLBACK"}
			}
		case 0:
			s.OnFailure = &pipeline.FailureConditions{Result: "RETRY"}
		case 1:
			s.OnFailure = &pipeline.FailureConditions{Result: "RETRY", RetryConfiguration: &pipeline.RetryConfiguration{RetryMode: pipeline.AllActions}}
		}
		drawConditions(t, d, &s)
		d.Stages = append(d.Stages, s)
	}
	return d
}

// drawConditions gives a stage conditions, in all forms that Validate takes (S-29 to S-31, S-199).
func drawConditions(t *rapid.T, d *pipeline.Declaration, s *pipeline.Stage) {
	results := map[string][]string{"entry": {"FAIL", "SKIP"}, "success": {"FAIL", "ROLLBACK"}, "failure": {"ROLLBACK"}}
	for _, place := range []string{"entry", "success", "failure"} {
		if rapid.IntRange(0, 3).Draw(t, place) > 0 {
			continue
		}
		result := rapid.SampledFrom(results[place]).Draw(t, "result")
		if result == "ROLLBACK" && d.ExecutionMode == pipeline.Parallel || place == "failure" && s.OnFailure != nil {
			continue
		}
		rules := rapid.SampledFrom([]string{"r", "r,q", "r,q,off:off", "r~5,off:off", "off:off"}).Draw(t, "rules")
		condition(s, place+":"+result+"="+rules)
	}
}

// draw makes an event about what there is, or was, or never was.
func (w *world) draw() Event {
	t := w.t
	stage := rapid.SampledFrom([]string{"A", "B", "C", "D", "E"}).Draw(t, "stage")
	execution := pipeline.ExecutionID("none")
	if len(w.known) > 0 {
		recent := w.known[max(0, len(w.known)-8):]
		execution = rapid.SampledFrom(recent).Draw(t, "execution")
		if e := w.s.Executions[execution]; e != nil && rapid.Bool().Draw(t, "its stage") {
			stage = e.Stage
		} else if e := w.past[execution]; e != nil {
			stage = e.Stage
		}
	}
	switch rapid.IntRange(0, 26).Draw(t, "event") {
	case 0, 1, 2:
		return Start{Trigger: pipeline.Trigger{Type: pipeline.TriggerStartPipelineExecution}, Detected: rapid.Bool().Draw(t, "detected")}
	case 3:
		return Stop{Execution: execution, Abandon: rapid.Bool().Draw(t, "abandon")}
	case 4, 5:
		mode := rapid.SampledFrom([]pipeline.RetryMode{pipeline.FailedActions, pipeline.AllActions}).Draw(t, "mode")
		return Retry{Stage: stage, Execution: execution, Mode: mode}
	case 6:
		return DisableTransition{Stage: stage, Direction: rapid.SampledFrom([]string{"Inbound", "Outbound"}).Draw(t, "direction")}
	case 7, 8:
		return EnableTransition{Stage: stage, Direction: rapid.SampledFrom([]string{"Inbound", "Outbound"}).Draw(t, "direction")}
	case 9:
		if rapid.Bool().Draw(t, "update") {
			return Update{Definition: drawDefinition(t, w.s.Version+1)}
		}
		w.now = w.now.Add(rapid.SampledFrom([]time.Duration{time.Minute, time.Hour, 31 * 24 * time.Hour}).Draw(t, "wait"))
		return w.due()
	case 10, 11, 12:
		if len(w.tokens) > 0 {
			a := rapid.SampledFrom(w.tokens[max(0, len(w.tokens)-4):]).Draw(t, "token")
			a.Status = rapid.SampledFrom([]string{"Approved", "Approved", "Rejected"}).Draw(t, "answer")
			return a
		}
	case 16, 17:
		return OverrideCondition{Stage: stage, Execution: execution, Place: rapid.SampledFrom(pipeline.Places[:]).Draw(t, "place"), By: "arn"}
	case 14, 15:
		return Rollback{Stage: stage, Target: execution}
	case 13:
		if len(w.dead) > 0 {
			return w.report(rapid.SampledFrom(w.dead).Draw(t, "dead job"))
		}
	}
	return w.report(w.liveJob())
}

// due is the wake-up that is to come next, or one that came to the wrong place.
func (w *world) due() Wakeup {
	for _, run := range slices.Sorted(maps.Keys(w.timers)) {
		if !w.timers[run].After(w.now) {
			return Wakeup{Run: run}
		}
	}
	return Wakeup{Run: "nobody"}
}

func (w *world) liveJob() JobRef {
	if len(w.jobs) == 0 {
		return JobRef{ID: "none"}
	}
	return w.jobs[rapid.SampledFrom(slices.Sorted(maps.Keys(w.jobs))).Draw(w.t, "job")]
}

func (w *world) report(job JobRef) Event {
	switch rapid.IntRange(0, 9).Draw(w.t, "report") {
	case 0, 1:
		return Fail{Job: job, Error: pipeline.ErrorDetails{Code: pipeline.JobFailed}}
	case 2:
		return Continue{Job: job, Token: "token"}
	case 3:
		return Progress{Job: job, Result: Result{Percent: new(rapid.IntRange(0, 100).Draw(w.t, "percent")), ExternalID: "id"}}
	}
	ev := Succeed{Job: job, Variables: map[string]string{"key": "value"}, Revision: &pipeline.Revision{ID: "r"}}
	if rapid.IntRange(0, 5).Draw(w.t, "no variable") == 0 {
		ev.Variables = nil
	}
	return ev
}

// apply applies an event and checks everything that must hold.
func (w *world) apply(ev Event) {
	before := w.s
	text := dump(w.t, before, nil)
	next, effects, err := w.step(before, ev)
	if now := dump(w.t, before, nil); now != text {
		w.t.Fatalf("%T changed the state it was given", ev)
	}
	restored, effects2, err2 := w.step(saved(w.t, before), ev)
	if (err == nil) != (err2 == nil) {
		w.t.Fatalf("%T on the saved state: %v and %v", ev, err, err2)
	}
	if err != nil {
		if !declares(ev, err) || next != before || effects != nil {
			w.t.Fatalf("%T: refused badly: %v", ev, err)
		}
		return
	}
	after := dump(w.t, next, effects)
	if got := dump(w.t, restored, effects2); got != after {
		w.t.Fatalf("%T on the saved state gives another outcome:\n%s\n%s", ev, after, got)
	}
	w.history = append(w.history, happening{w.now, ev, w.attached, after})
	w.s = next
	w.perform(effects)
	if _, deleted := ev.(Delete); !deleted {
		w.asked()
		w.views()
	}
	w.touched(before, ev)
	w.statuses(before, ev)
	w.orders(before)
	w.rollbacks()
	w.overridden(ev)
	if err := Check(next); err != nil {
		w.t.Fatalf("after %T: %v", ev, err)
	}
	if n := len(next.Executions); n > smallLimits.ConcurrentExecutions+15 { // S-76; each of 5 stages may hold 3 outside it
		w.t.Fatalf("%d executions are live", n)
	}
	w.twice(ev)
	for id := range next.Executions {
		delete(w.past, id)
	}
	for _, e := range next.Retired {
		w.past[e.ID] = new(Execution)
		reread(w.t, e, w.past[e.ID])
	}
}

// views says that what is shown is what there is.
func (w *world) views() {
	all := maps.Clone(w.past)
	maps.Copy(all, everyone(w.s))
	if err := checkViews(w.s, all); err != nil {
		w.t.Fatal(err)
	}
}

// step is Step with the past execution that it misses.
func (w *world) step(s *State, ev Event) (*State, []Effect, error) {
	w.attached, s.Attached.Past = nil, nil
	next, effects, err := Step(s, w.now, ev)
	for missing := new(Missing); errors.As(err, &missing); {
		w.attached = w.past[missing.Execution]
		s.Attached.Past = map[pipeline.ExecutionID]*Execution{missing.Execution: w.attached}
		next, effects, err = Step(s, w.now, ev)
	}
	return next, effects, err
}

func (w *world) newID(id string) {
	if w.ids[id] || len(id) != 36 {
		w.t.Fatalf("id %q is not new or no UUID", id) // S-84
	}
	w.ids[id] = true
}

// perform does what the effects ask for, as the conductor would.
func (w *world) perform(effects []Effect) {
	for _, e := range effects {
		switch e := e.(type) {
		case StartJob:
			w.newID(string(e.ID))
			w.jobs[e.ID] = JobRef{ID: e.ID, Execution: e.Execution, Run: e.Run}
		case EndJob:
			if _, ok := w.jobs[e.ID]; !ok {
				w.t.Fatalf("job %s ended and was not there", e.ID)
			}
			w.dead = append(w.dead, w.jobs[e.ID])
			delete(w.jobs, e.ID)
		case Wake:
			if e.At.IsZero() {
				delete(w.timers, e.Run)
			} else {
				w.timers[e.Run] = e.At
			}
		case Emit:
			begun, err := w.told.hear(e)
			if err != nil {
				w.t.Fatal(err)
			}
			if begun != "" {
				w.newID(begun)
			}
		}
	}
}

// asked says that every action in progress has one live job or a pending approval, and a time
// limit, and that there are no others (S-221, S-303, S-316).
func (w *world) asked() {
	jobs, timers := 0, 0
	for _, e := range w.s.Executions {
		if !slices.Contains(w.known, e.ID) {
			w.newID(string(e.ID))
			w.known = append(w.known, e.ID)
		}
		for _, run := range e.running() {
			timers++
			if !w.timers[run.ID].Equal(run.Deadline) {
				w.t.Fatalf("action %s times out at %s, the timer says %s", run.Action, run.Deadline, w.timers[run.ID])
			}
			if run.Job != "" {
				jobs++
				if w.jobs[run.Job].Run != run.ID {
					w.t.Fatalf("action %s has job %s, which is not there", run.Action, run.Job)
				}
				continue
			}
			if ask := (Approve{Stage: run.Stage, Action: run.Action, Token: run.Token}); !slices.ContainsFunc(w.tokens, func(a Approve) bool { return a.Token == ask.Token }) {
				w.newID(run.Token)
				w.tokens = append(w.tokens, ask)
			}
		}
	}
	if jobs != len(w.jobs) || timers != len(w.timers) {
		w.t.Fatalf("%d jobs are live and %d belong to actions; %d timers, %d belong", len(w.jobs), jobs, len(w.timers), timers)
	}
}
