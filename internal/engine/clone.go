package engine

import (
	"maps"
	"slices"

	"penstock/internal/pipeline"
)

// clone copies everything a step may change. Values that are only ever replaced whole, such
// as an action's resolved configuration, are shared.
func (s *State) clone() *State {
	c := *s
	c.Started, c.Retired, c.Ended = "", nil, nil
	c.Stages = make(map[string]*StageState, len(s.Stages))
	for name, st := range s.Stages {
		n := *st
		n.Waiting = slices.Clone(st.Waiting)
		n.LastInbound = copied(st.LastInbound)
		n.Latest = copied(st.Latest)
		n.Retry = copied(st.Retry)
		n.Actions = maps.Clone(st.Actions)
		n.Conditions = maps.Clone(st.Conditions)
		n.Answered = slices.Clone(st.Answered)
		c.Stages[name] = &n
	}
	c.Executions = make(map[pipeline.ExecutionID]*Execution, len(s.Executions))
	for id, e := range s.Executions {
		c.Executions[id] = e.clone()
	}
	c.Attached.Definitions = maps.Clone(s.Attached.Definitions)
	return &c
}

func (e *Execution) clone() *Execution {
	n := *e
	n.SourceRevisions = slices.Clone(e.SourceRevisions)
	n.ArtifactRevisions = slices.Clone(e.ArtifactRevisions)
	n.Stop = copied(e.Stop)
	n.Artifacts = filled(e.Artifacts)
	n.Outputs = filled(e.Outputs)
	n.Runs = make(map[string]*StageRun, len(e.Runs))
	for name, r := range e.Runs {
		c := *r
		c.Actions = make(map[string]*ActionRun, len(r.Actions))
		for a, run := range r.Actions {
			c.Actions[a] = copied(run)
		}
		c.Conditions = cloned(r.Conditions)
		n.Runs[name] = &c
	}
	return &n
}

func cloned(conditions map[pipeline.Place]*ConditionRun) map[pipeline.Place]*ConditionRun {
	if conditions == nil {
		return nil
	}
	c := make(map[pipeline.Place]*ConditionRun, len(conditions))
	for place, run := range conditions {
		c[place] = run.clone()
	}
	return c
}

func (c *ConditionRun) clone() *ConditionRun {
	n := *c
	n.Rules = make(map[string]*ActionRun, len(c.Rules))
	for name, run := range c.Rules {
		n.Rules[name] = copied(run)
	}
	return &n
}

func copied[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}

// filled copies a map; a nil one, as a saved execution without entries has, becomes empty.
func filled[K comparable, V any](m map[K]V) map[K]V {
	c := make(map[K]V, len(m))
	maps.Copy(c, m)
	return c
}
