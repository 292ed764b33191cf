package engine

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"penstock/internal/pipeline"
)

// define makes a definition by chance, with all kinds of actions and conditions.
func (m *sim) define(version int) *pipeline.Declaration {
	d := &pipeline.Declaration{Name: "p", RoleARN: "arn:role", Version: version, PipelineType: pipeline.V2,
		ExecutionMode: pick(m, []pipeline.ExecutionMode{pipeline.Superseded, pipeline.Queued, pipeline.Parallel}),
		ArtifactStore: &pipeline.ArtifactStore{Type: "S3", Location: "bucket"}}
	names := []string{"A", "B", "C", "D"}
	m.chance.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for i, name := range names[:2+m.chance.IntN(3)] {
		s := pipeline.Stage{Name: name}
		for n := range 1 + m.chance.IntN(3) {
			a := action("a"+strconv.Itoa(n), i == 0)
			if i > 0 {
				a = action("a"+strconv.Itoa(n)+":"+pick(m, []string{"CodeBuild", "CodeBuild", "worker", "worker", "Manual", "function"}), false)
				if a.ActionTypeID.Provider == "Manual" && m.chance.IntN(2) == 0 { // S-229
					a.Configuration[notificationKey] = "arn:topic"
				}
				if m.chance.IntN(30) == 0 {
					a.ActionTypeID.Provider = "gone"
				}
			}
			a.RunOrder = 1 + m.chance.IntN(2)
			s.Actions = append(s.Actions, a)
		}
		back := d.ExecutionMode != pipeline.Parallel // S-31
		switch n := m.chance.IntN(6); {
		case n == 0:
			s.OnFailure = &pipeline.FailureConditions{Result: "RETRY"}
		case n == 1:
			s.OnFailure = &pipeline.FailureConditions{Result: "RETRY", RetryConfiguration: &pipeline.RetryConfiguration{RetryMode: pipeline.AllActions}}
		case n == 2 && back:
			s.OnFailure = &pipeline.FailureConditions{Result: "ROLLBACK"}
		case n == 3 && back:
			condition(&s, "failure:ROLLBACK=r,q~5")
		}
		if m.chance.IntN(4) == 0 {
			condition(&s, pick(m, []string{"entry:FAIL=r,q", "entry:FAIL=r,off:off", "entry:SKIP=r", "entry:SKIP=r,q"}))
		}
		if m.chance.IntN(4) == 0 {
			condition(&s, pick(m, []string{"success:FAIL=r~5", "success:FAIL=r,q"}))
			if back && m.chance.IntN(2) == 0 {
				s.OnSuccess.Conditions[0].Result = pipeline.ResultRollback
			}
		}
		d.Stages = append(d.Stages, s)
	}
	return d
}

// request is a call that somebody may make, on what there is or was; nil is none.
func (m *sim) request() Event {
	s := m.load(m.nodes[0])
	stage := pick(m, []string{"A", "B", "C", "D"})
	execution := pipeline.ExecutionID("none")
	var tokens []Approve
	ids := slices.Sorted(maps.Keys(s.Executions))
	for _, id := range ids {
		for _, run := range s.Executions[id].running() {
			if run.Token != "" {
				tokens = append(tokens, Approve{Stage: run.Stage, Action: run.Action, Token: run.Token, Status: pick(m, []string{"Approved", "Approved", "Rejected"})})
			}
		}
	}
	if past := slices.Sorted(maps.Keys(m.disk.past)); len(past) > 0 && m.chance.IntN(3) == 0 {
		execution = pick(m, past)
	} else if len(ids) > 0 {
		execution = pick(m, ids)
		if m.chance.IntN(2) == 0 {
			stage = s.Executions[execution].Stage
		}
	}
	if apt := m.apt(s); len(apt) > 0 && m.chance.IntN(3) == 0 {
		return pick(m, apt)
	}
	direction := pick(m, []string{"Inbound", "Inbound", "Outbound"})
	switch p := m.chance.IntN(100); {
	case p < 20:
		return Start{Trigger: pipeline.Trigger{Type: pipeline.TriggerStartPipelineExecution}, Detected: m.chance.IntN(2) == 0}
	case p < 42:
		if len(tokens) == 0 {
			return nil
		}
		return pick(m, tokens)
	case p < 46:
		return Stop{Execution: execution, Abandon: m.chance.IntN(2) == 0}
	case p < 64:
		return Retry{Stage: stage, Execution: execution, Mode: pick(m, []pipeline.RetryMode{pipeline.FailedActions, pipeline.AllActions})}
	case p < 68:
		return DisableTransition{Stage: stage, Direction: direction}
	case p < 81:
		return EnableTransition{Stage: stage, Direction: direction}
	case p < 89:
		return Rollback{Stage: stage, Target: execution}
	case p < 98:
		return OverrideCondition{Stage: stage, Execution: execution, Place: pick(m, pipeline.Places[:]), By: "arn"}
	}
	return Update{Definition: m.define(0)}
}

// apt are calls that fit what the stages show: of what failed a retry (S-163) or an override of
// its condition (S-208), of what succeeded a rollback to it (S-182).
func (m *sim) apt(s *State) (out []Event) {
	for _, name := range slices.Sorted(maps.Keys(s.Stages)) {
		stage := s.Stages[name]
		if latest := stage.Latest; latest != nil && (latest.Status == pipeline.Failed || latest.Status == pipeline.Stopped) {
			out = append(out, Retry{Stage: name, Execution: latest.ID, Mode: pick(m, []pipeline.RetryMode{pipeline.FailedActions, pipeline.AllActions})})
		}
		if stage.Target != "" {
			out = append(out, Rollback{Stage: name, Target: stage.Target})
		}
	}
	for _, e := range s.ordered() {
		if visit := e.Runs[e.Stage]; visit != nil {
			for _, place := range pipeline.Places {
				if c := visit.Conditions[place]; c != nil && (c.Status == pipeline.Failed || c.Status == pipeline.InProgress) {
					out = append(out, OverrideCondition{Stage: e.Stage, Execution: e.ID, Place: place, By: "arn"})
				}
			}
		}
	}
	return out
}

// settle looks whether what is shown is what there is, and brings everything to its end on a copy of
// the disk, where one node runs without faults: gates are opened, approvals given, jobs done. Jobs
// whose workers are gone come again when their leases end, or time out (S-108, S-306, S-316). Or the
// pipeline is deleted there, with all that is under way (S-69).
func (m *sim) settle() {
	calm := *m
	calm.disk, calm.calm, calm.network = m.disk.clone(), true, nil
	calm.answered, calm.owned, calm.started = maps.Clone(m.answered), maps.Clone(m.owned), slices.Clone(m.started)
	n := calm.boot()
	calm.nodes = []*simNode{n}
	calm.views(n)
	if m.chance.IntN(5) == 0 {
		calm.call(n, Delete{})
		calm.ended(n)
		return
	}
	for range 5000 {
		s := calm.load(n)
		for _, name := range slices.Sorted(maps.Keys(s.Stages)) {
			if s.Stages[name].Transition.Disabled {
				calm.call(n, EnableTransition{Stage: name, Direction: "Inbound"})
			}
		}
		for _, e := range calm.load(n).ordered() {
			for _, run := range e.running() {
				if run.Token != "" {
					calm.call(n, Approve{Stage: run.Stage, Action: run.Action, Token: run.Token, Status: "Approved"})
				}
			}
		}
		before := calm.disk.stamp
		calm.claim(n)
		calm.poll(n)
		for len(n.tasks) > 0 {
			calm.finish(n)
		}
		for len(calm.network) > 0 {
			msg := calm.network[0]
			calm.network = calm.network[1:]
			msg.run(n)
		}
		calm.fire(n)
		if calm.disk.stamp != before {
			continue
		}
		next := calm.next()
		if next.IsZero() {
			calm.ended(n)
			return
		}
		calm.now = next
	}
	calm.fatal("the pipeline does not come to an end")
}

// views says that what is shown is what there is.
func (m *sim) views(n *simNode) {
	s := m.load(n)
	s.Attached = Attached{Definitions: m.disk.definitions, Catalogue: catalogue, Limits: smallLimits}
	all := maps.Clone(s.Executions)
	for id, row := range m.disk.past {
		all[id] = new(Execution)
		m.read(row, all[id])
	}
	if err := checkViews(s, all); err != nil {
		m.fatal("%v", err)
	}
}

// next is when something waits to be done; zero if nothing does.
func (m *sim) next() (at time.Time) {
	_, at = m.firstTimer()
	for _, row := range m.disk.jobs {
		due := row.notBefore
		if row.status == JobInProgress {
			due = row.lease.Add(time.Microsecond)
		}
		if row.over() || row.custom && row.status == JobInProgress || !due.After(m.now) {
			continue
		}
		if at.IsZero() || due.Before(at) {
			at = due
		}
	}
	return at
}

// ended says that nothing is left to do.
func (m *sim) ended(n *simNode) {
	for _, e := range m.load(n).Executions {
		if !e.Status.Terminal() {
			m.fatal("execution %d is %s and nothing moves it", e.Order, e.Status)
		}
	}
	for _, row := range m.disk.jobs {
		if !row.over() {
			m.fatal("job %s is %s and nobody does it", row.ID, row.status)
		}
	}
	for len(m.disk.outbox) > 0 {
		m.deliver(n)
	}
	if m.told != m.disk.numbered {
		m.fatal("%d events were told of %d", m.told, m.disk.numbered)
	}
	for _, id := range m.started {
		if m.disk.live[id] == nil && m.disk.past[id] == nil {
			m.fatal("execution %s was started and is not there", id)
		}
	}
}
