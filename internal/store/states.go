package store

import (
	"sync"

	"penstock/internal/engine"
	"penstock/internal/pipeline"
)

// maxStates bounds the memory of the states that are kept, roughly.
const maxStates = 8 << 20

// stateCache keeps the states that were saved or loaded last: reading one from its JSON
// costs more than everything else a step does. A state is used only if its row still has
// the stamp it was saved with, which is random and new at every save, so what another
// node, or a transaction that was undone, has made of the row does not matter. The zero
// value is ready; it is safe for concurrent use.
type stateCache struct {
	mu   sync.Mutex
	m    map[string]cachedState
	size int
}

type cachedState struct {
	stamp string
	state *engine.State
	size  int
}

// get gives a state of its caller's own, as far as a step or its caller changes one.
func (c *stateCache) get(id, stamp string) (*engine.State, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.m[id]
	if !ok || e.stamp != stamp {
		return nil, false
	}
	s := *e.state
	return &s, true
}

// put keeps a state that is committed. When there are too many it starts anew: a state is
// a few rows away. Of two that are committed together the last stays.
func (c *stateCache) put(id, stamp string, s *engine.State) {
	size := weight(s)
	kept := *s
	kept.Started, kept.Retired, kept.Ended = "", nil, nil
	kept.Attached = engine.Attached{Definitions: map[int]*pipeline.Declaration{s.Version: s.Attached.Definitions[s.Version]}}
	for _, e := range s.Executions {
		kept.Attached.Definitions[e.Version] = s.Attached.Definitions[e.Version]
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.m[id]; ok {
		if old.state.Seq > s.Seq {
			return
		}
		c.size -= old.size
		delete(c.m, id)
	}
	if size > maxStates/4 {
		return
	}
	if c.m == nil || c.size+size > maxStates {
		c.m, c.size = map[string]cachedState{}, 0
	}
	c.m[id] = cachedState{stamp, &kept, size}
	c.size += size
}

// drop forgets a state.
func (c *stateCache) drop(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.size -= c.m[id].size
	delete(c.m, id)
}

// weight is the memory of a state, roughly: what users choose the size of, and a constant
// for the rest of each record.
func weight(s *engine.State) int {
	const record = 1 << 10
	n := record
	run := func(r *engine.ActionRun) {
		n += record + len(r.Summary)
		for _, m := range []map[string]string{r.Resolved, r.Variables} {
			for k, v := range m {
				n += len(k) + len(v)
			}
		}
	}
	for _, stage := range s.Stages {
		n += record
		for _, r := range stage.Actions {
			run(r)
		}
		for _, c := range stage.Conditions {
			for _, r := range c.Rules {
				run(r)
			}
		}
	}
	for _, e := range s.Executions {
		n += record
		for _, visit := range e.Runs {
			for r := range visit.All() {
				run(r)
			}
		}
	}
	return n
}
