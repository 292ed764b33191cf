package engine

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"penstock/internal/pipeline"
)

// disk is what a crash leaves: the committed rows of one pipeline. The values of its maps are
// never changed in place, so that a copy of the maps is a copy of the disk.
type disk struct {
	// stamp is new at every save, so that a node can tell whether the state it keeps is the last.
	stamp       int
	state       []byte
	live, past  map[pipeline.ExecutionID][]byte
	definitions map[int]*pipeline.Declaration
	jobs        map[pipeline.JobID]jobRow
	timers      map[pipeline.ActionExecutionID]time.Time
	outbox      []int // numbers of events not told yet
	numbered    int   // of the last event
	heard       heard // in the order of their numbers
}

// jobRow is a job with the state of its hand-out.
type jobRow struct {
	JobRef
	custom    bool
	status    JobStatus
	notBefore time.Time
	nonce     int
	node      int
	fence     int
	lease     time.Time
}

func (j jobRow) over() bool {
	return j.status != JobQueued && j.status != JobDispatched && j.status != JobInProgress
}

func (d *disk) clone() *disk {
	c := *d
	c.live, c.past, c.definitions = maps.Clone(d.live), maps.Clone(d.past), maps.Clone(d.definitions)
	c.jobs, c.timers, c.outbox = maps.Clone(d.jobs), maps.Clone(d.timers), slices.Clone(d.outbox)
	c.heard = d.heard.clone()
	return &c
}

// simTx is a transaction: what it writes happens at its commit, entirely or not at all.
type simTx struct {
	now    time.Time
	writes []func()
	after  []func() // effects, which leave after the commit
}

var errCrashed = errors.New("the server crashed")

// update runs a transaction on a node, which may crash before its commit or right after it.
func (m *sim) update(n *simNode, what string, f func(tx *simTx) error) error {
	tx := &simTx{now: m.now.Add(n.skew).Truncate(time.Microsecond)}
	if err := f(tx); err != nil {
		return err
	}
	if m.crashes(what + ", before its commit") {
		m.crash(n)
		return errCrashed
	}
	for _, write := range tx.writes {
		write()
	}
	m.trace("%s commits %s", n, what)
	m.check(what)
	if m.crashes(what + ", after its commit") {
		m.crash(n)
		return errCrashed
	}
	for _, effect := range tx.after {
		effect()
	}
	return nil
}

// load gives the state that a node keeps, if it is the last, or reads it.
func (m *sim) load(n *simNode) *State {
	if n.kept != nil && n.stamp == m.disk.stamp {
		s := *n.kept
		return &s
	}
	s := &State{Executions: map[pipeline.ExecutionID]*Execution{}}
	m.read(m.disk.state, s)
	for id, row := range m.disk.live {
		e := &Execution{}
		m.read(row, e)
		s.Executions[id] = e
	}
	return s
}

func (m *sim) read(row []byte, v any) {
	if err := json.Unmarshal(row, v); err != nil {
		m.fatal("a row cannot be read: %v", err)
	}
}

func (m *sim) row(v any) []byte {
	out, err := json.Marshal(v)
	if err != nil {
		m.fatal("a row cannot be written: %v", err)
	}
	return out
}

// step applies an event inside a transaction, as the conductor does. It gives the state
// afterwards, which is saved with the effects when the transaction commits.
func (m *sim) step(n *simNode, tx *simTx, ev Event) (*State, error) {
	s := m.load(n)
	s.Attached = Attached{Definitions: m.disk.definitions, Catalogue: catalogue, Limits: smallLimits}
	next, effects, err := Step(s, tx.now, ev)
	for missing := new(Missing); errors.As(err, &missing); {
		if s.Attached.Past == nil {
			s.Attached.Past = map[pipeline.ExecutionID]*Execution{}
		}
		s.Attached.Past[missing.Execution] = nil
		if row, ok := m.disk.past[missing.Execution]; ok {
			e := &Execution{}
			m.read(row, e)
			s.Attached.Past[missing.Execution] = e
		}
		next, effects, err = Step(s, tx.now, ev)
	}
	if err != nil {
		return nil, err
	}
	tx.writes = append(tx.writes, func() { m.save(n, next) })
	for _, effect := range effects {
		m.perform(n, tx, effect)
	}
	return next, nil
}

// save writes only the records that the step marked: one that it forgot to mark is stale after
// the next crash.
func (m *sim) save(n *simNode, next *State) {
	d := m.disk
	d.stamp++
	d.state = m.row(next)
	for id := range d.live {
		if next.Executions[id] == nil {
			delete(d.live, id)
		}
	}
	for id, e := range next.Executions {
		if e.Touched == next.Seq {
			d.live[id] = m.row(e)
			delete(d.past, id)
		}
	}
	for _, e := range next.Retired {
		d.past[e.ID] = m.row(e)
	}
	kept := *next
	kept.Started, kept.Retired, kept.Ended = "", nil, nil
	n.kept, n.stamp = &kept, d.stamp
}

// perform writes an effect into the transaction.
func (m *sim) perform(n *simNode, tx *simTx, effect Effect) {
	d := m.disk
	switch e := effect.(type) {
	case StartJob:
		row := jobRow{JobRef: JobRef{ID: e.ID, Execution: e.Execution, Run: e.Run}, custom: e.Type.Owner == pipeline.OwnerCustom, status: JobQueued, notBefore: e.NotBefore}
		tx.writes = append(tx.writes, func() {
			if _, twice := d.jobs[e.ID]; twice {
				m.fatal("job %s was started twice", e.ID)
			}
			d.jobs[e.ID] = row
		})
	case EndJob:
		tx.writes = append(tx.writes, func() {
			row, ok := d.jobs[e.ID]
			if !ok || row.over() {
				m.fatal("job %s ended as %s and was %q", e.ID, e.Status, row.status)
			}
			row.status, row.node, row.lease = e.Status, 0, time.Time{}
			d.jobs[e.ID] = row
		})
		if e.Abort { // as in-process workers hear of it; those of other nodes do not
			tx.after = append(tx.after, func() { delete(n.tasks, e.ID) })
		}
	case Wake:
		tx.writes = append(tx.writes, func() {
			if e.At.IsZero() {
				delete(d.timers, e.Run)
			} else {
				d.timers[e.Run] = e.At
			}
		})
	case Emit:
		tx.writes = append(tx.writes, func() {
			if _, err := d.heard.hear(e); err != nil {
				m.fatal("an event is out of order: %v", err)
			}
			d.numbered++
			d.outbox = append(d.outbox, d.numbered)
		})
	}
}
