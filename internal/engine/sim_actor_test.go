package engine

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"penstock/internal/fault"
	"penstock/internal/pipeline"
)

// The times of the conductor and the workers: how long a hand-out to a worker elsewhere waits
// for its acknowledgement (S-306), and how long a node holds a job without renewing it.
const (
	simWindow = time.Minute
	simLease  = time.Minute
)

// simNode is one run of a server. All of it is gone after a crash.
type simNode struct {
	id    int
	skew  time.Duration // of its clock
	kept  *State
	stamp int
	// tasks are the jobs its in-process workers are at work on, with their fencing numbers.
	tasks map[pipeline.JobID]int
	// stopped is the number of steps for which it does nothing, as under SIGSTOP.
	stopped int
}

// String names the node in a trace.
func (n *simNode) String() string { return fmt.Sprint("node ", n.id) }

// errLate is the refusal of a report by someone who does not hold the job any more.
var errLate = fault.New("InvalidJobStateException", "not yours")

// claim hands jobs to the in-process workers of a node.
func (m *sim) claim(n *simNode) {
	var got []jobRow
	_ = m.update(n, "a claim", func(tx *simTx) error {
		for _, id := range m.jobs() {
			row := m.disk.jobs[id]
			queued := row.status != JobInProgress && !row.notBefore.After(tx.now)
			_, busy := n.tasks[id]
			lost := row.status == JobInProgress && row.lease.Before(tx.now) && !busy
			if row.custom || row.over() || !queued && !lost {
				continue
			}
			row.status, row.node, row.lease = JobInProgress, n.id, tx.now.Add(simLease)
			row.fence++
			tx.writes = append(tx.writes, func() { m.handOut(row) })
			if got = append(got, row); len(got) == 2 {
				break
			}
		}
		if len(got) == 0 {
			return errNothing
		}
		tx.after = append(tx.after, func() {
			for _, row := range got {
				n.tasks[row.ID] = row.fence
			}
		})
		return nil
	})
}

var errNothing = errors.New("nothing to do")

// handOut writes a hand-out, which must be of a job that nobody has answered or made his own.
func (m *sim) handOut(row jobRow) {
	if m.answered[row.ID] {
		m.fatal("job %s was answered and is handed out again", row.ID) // S-317
	}
	if row.custom && m.owned[row.ID] {
		m.fatal("job %s was acknowledged and is handed out again", row.ID)
	}
	m.disk.jobs[row.ID] = row
}

// renew keeps the leases of a node, and drops the tasks that are not its own any more.
func (m *sim) renew(n *simNode) {
	_ = m.update(n, "a renewal", func(tx *simTx) error {
		if len(n.tasks) == 0 {
			return errNothing
		}
		for _, id := range slices.Sorted(maps.Keys(n.tasks)) {
			row := m.disk.jobs[id]
			if row.status != JobInProgress || row.node != n.id || row.fence != n.tasks[id] {
				tx.after = append(tx.after, func() { delete(n.tasks, id) })
				continue
			}
			row.lease = tx.now.Add(simLease)
			tx.writes = append(tx.writes, func() { m.disk.jobs[id] = row })
		}
		return nil
	})
}

// finish has an in-process worker report on a task. While the server does not know what came
// of the report, the worker tells it again.
func (m *sim) finish(n *simNode) {
	if len(n.tasks) == 0 {
		return
	}
	id := pick(m, slices.Sorted(maps.Keys(n.tasks)))
	fence := n.tasks[id]
	err := m.report(n, id, m.verdict(), func(row jobRow) bool { return row.node == n.id && row.fence == fence })
	if err != nil || m.disk.jobs[id].over() {
		delete(n.tasks, id)
	}
}

// verdict is what a job may end with, or news of it.
func (m *sim) verdict() func(JobRef) Event {
	switch n := m.chance.IntN(20); {
	case m.calm || n < 15:
		return func(ref JobRef) Event {
			return Succeed{Job: ref, Variables: map[string]string{"key": "value"}, Revision: &pipeline.Revision{ID: "r"}}
		}
	case n < 17:
		return func(ref JobRef) Event {
			return Fail{Job: ref, Error: pipeline.ErrorDetails{Code: pipeline.JobFailed}}
		}
	case n < 19:
		return func(ref JobRef) Event { return Continue{Job: ref, Token: "token"} }
	}
	return func(ref JobRef) Event { return Progress{Job: ref, Result: Result{Percent: new(50)}} }
}

// report applies a report by whoever holds the job (S-315).
func (m *sim) report(n *simNode, id pipeline.JobID, event func(JobRef) Event, mine func(jobRow) bool) error {
	return m.update(n, "a report", func(tx *simTx) error {
		row := m.disk.jobs[id]
		if row.status != JobInProgress || !mine(row) {
			return errLate
		}
		ev := event(row.JobRef)
		if _, err := m.step(n, tx, ev); err != nil {
			return err
		}
		if _, news := ev.(Progress); !news {
			tx.writes = append(tx.writes, func() {
				if m.answered[id] {
					m.fatal("job %s was answered twice", id)
				}
				m.answered[id] = true
			})
		}
		return nil
	})
}

// poll is the call of a worker elsewhere. What it gets is on its way to the worker afterwards.
func (m *sim) poll(n *simNode) {
	_ = m.update(n, "a hand-out", func(tx *simTx) error {
		for _, id := range m.jobs() {
			row := m.disk.jobs[id]
			if !row.custom || row.over() || row.status == JobInProgress || row.notBefore.After(tx.now) {
				continue
			}
			m.nonce++
			row.status, row.nonce, row.notBefore = JobDispatched, m.nonce, tx.now.Add(simWindow)
			row.fence++
			tx.writes = append(tx.writes, func() { m.handOut(row) })
			tx.after = append(tx.after, func() { m.send(message{"acknowledgement", func(n *simNode) { m.acknowledge(n, id, row.nonce) }}) })
			return nil
		}
		return errNothing
	})
}

// acknowledge makes a job the worker's own (S-307), who then does it and answers.
func (m *sim) acknowledge(n *simNode, id pipeline.JobID, nonce int) {
	_ = m.update(n, "an acknowledgement", func(tx *simTx) error {
		row := m.disk.jobs[id]
		if row.status != JobDispatched || row.nonce != nonce {
			return errLate
		}
		row.status, row.nonce = JobInProgress, 0
		tx.writes = append(tx.writes, func() {
			if m.owned[id] {
				m.fatal("job %s has two owners", id)
			}
			m.owned[id] = true
			m.disk.jobs[id] = row
		})
		tx.after = append(tx.after, func() {
			m.result(id, m.verdict())
		})
		return nil
	})
}

// result sends the answer of a worker elsewhere, until it knows that it was taken or refused.
func (m *sim) result(id pipeline.JobID, verdict func(JobRef) Event) {
	m.send(message{"result", func(n *simNode) {
		if err := m.report(n, id, verdict, func(jobRow) bool { return true }); errors.Is(err, errCrashed) {
			m.result(id, verdict)
		} else if err == nil && !m.disk.jobs[id].over() { // it was news
			m.result(id, m.verdict())
		}
	}})
}

// fire wakes the pipeline for the timer that is due first.
func (m *sim) fire(n *simNode) {
	run, at := m.firstTimer()
	if run == "" {
		return
	}
	_ = m.update(n, "a timer", func(tx *simTx) error {
		if at.After(tx.now) {
			return errNothing
		}
		tx.writes = append(tx.writes, func() { delete(m.disk.timers, run) })
		_, err := m.step(n, tx, Wakeup{Run: run})
		return err
	})
}

func (m *sim) firstTimer() (first pipeline.ActionExecutionID, at time.Time) {
	for _, run := range slices.Sorted(maps.Keys(m.disk.timers)) {
		if t := m.disk.timers[run]; first == "" || t.Before(at) {
			first, at = run, t
		}
	}
	return first, at
}

// deliver tells the oldest events to the world and then forgets them. They come again if it
// crashes in between; none may be left out (S-340).
func (m *sim) deliver(n *simNode) {
	batch := slices.Clone(m.disk.outbox[:min(len(m.disk.outbox), 1+m.chance.IntN(4))])
	for _, number := range batch {
		if number > m.told+1 {
			m.fatal("event %d is told after %d", number, m.told)
		}
		m.told = max(m.told, number)
	}
	if len(batch) == 0 || m.crashes("a delivery, before it is recorded") {
		return
	}
	_ = m.update(n, "a delivery", func(tx *simTx) error {
		tx.writes = append(tx.writes, func() {
			m.disk.outbox = slices.DeleteFunc(m.disk.outbox, func(number int) bool { return slices.Contains(batch, number) })
		})
		return nil
	})
}

// call is a call of the API. What was acknowledged must be so for ever.
func (m *sim) call(n *simNode, ev Event) {
	var after *State
	err := m.update(n, fmt.Sprintf("%T", ev), func(tx *simTx) (err error) {
		if u, ok := ev.(Update); ok {
			version := m.load(n).Version + 1
			d := *u.Definition
			d.Version = version
			ev = Update{Definition: &d}
			m.disk.definitions[version] = &d // unused unless this commits
		}
		after, err = m.step(n, tx, ev)
		return err
	})
	switch {
	case err == nil && after.Started != "":
		m.started = append(m.started, after.Started)
	case err != nil && !errors.Is(err, errCrashed) && !declares(ev, err):
		m.fatal("%T is refused badly: %v", ev, err)
	}
}
