package engine

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"penstock/internal/pipeline"
)

// TestSimulation drives the engine with a model of everything around it: committed rows, two
// nodes with in-process workers, workers elsewhere and callers behind a network that loses,
// doubles, delays and reorders, clocks that jump, nodes that stop for a while and then go on,
// and crashes before and after every kind of commit. After every commit the invariants hold,
// and now and then all that is live is brought to its end on a copy (S-108).
//
// PENSTOCK_SIM_STEPS says how many steps, PENSTOCK_SIM_SEED the first seed; a failure names the
// seed that shows it again with one episode.
func TestSimulation(t *testing.T) {
	t.Parallel()
	const episode = 1000
	steps, seed, crashed := 50_000, uint64(1), map[string]int{}
	if testing.Short() {
		steps = 5_000
	}
	if n, err := strconv.Atoi(os.Getenv("PENSTOCK_SIM_STEPS")); err == nil {
		steps = n
	}
	if n, err := strconv.ParseUint(os.Getenv("PENSTOCK_SIM_SEED"), 10, 64); err == nil {
		seed = n
	}
	answers, starts, first := 0, 0, seed
	for done := 0; done < steps; done += episode {
		m := newSim(t, seed)
		m.run(min(episode, steps-done))
		for what, n := range m.crashed {
			crashed[what] += n
		}
		answers, starts = answers+len(m.answered), starts+len(m.started)
		seed++
	}
	kinds := slices.Sorted(maps.Keys(crashed))
	for i, what := range kinds {
		kinds[i] = fmt.Sprintf("%s: %d", what, crashed[what])
	}
	t.Logf("%d steps from seed %d: %d executions, %d answered jobs; crashes at\n%s", steps, first, starts, answers, strings.Join(kinds, "\n"))
	// Every kind of commit has seen both crashes: the calls, 7 kinds of the server's own, and a delivery in between.
	if steps >= 50_000 && len(kinds) < 2*(len(simCalls)+7)+1 {
		t.Errorf("crashes at %d points only", len(kinds))
	}
}

// simCalls are the kinds of calls; TestSimulation wants crashes around each.
var simCalls = []string{"Start", "Stop", "Retry", "Rollback", "Approve", "DisableTransition", "EnableTransition", "OverrideCondition", "Update"}

// sim is one episode: one pipeline and its world.
type sim struct {
	t       *testing.T
	seed    uint64
	chance  *rand.Rand
	now     time.Time
	disk    *disk
	nodes   []*simNode
	born    int
	network []message
	lines   []string
	crashed map[string]int
	// calm is a world without faults.
	calm bool

	// What happened, for good: it survives every crash.
	nonce    int
	told     int
	started  []pipeline.ExecutionID // acknowledged
	answered map[pipeline.JobID]bool
	owned    map[pipeline.JobID]bool
}

// message is a call on its way to a node.
type message struct {
	what string
	run  func(n *simNode)
}

func newSim(t *testing.T, seed uint64) *sim {
	m := &sim{t: t, seed: seed, chance: rand.New(rand.NewPCG(seed, 1)), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), crashed: map[string]int{},
		answered: map[pipeline.JobID]bool{}, owned: map[pipeline.JobID]bool{}}
	d := m.define(1)
	m.disk = &disk{live: map[pipeline.ExecutionID][]byte{}, past: map[pipeline.ExecutionID][]byte{}, definitions: map[int]*pipeline.Declaration{1: d},
		jobs: map[pipeline.JobID]jobRow{}, timers: map[pipeline.ActionExecutionID]time.Time{}, heard: heard{}}
	m.disk.state = m.row(New("111111111111", "eu-west-1", "seed "+strconv.FormatUint(seed, 10), d, m.now))
	m.nodes = []*simNode{m.boot(), m.boot()}
	return m
}

func (m *sim) boot() *simNode {
	m.born++
	return &simNode{id: m.born, tasks: map[pipeline.JobID]int{}}
}

func (m *sim) trace(format string, args ...any) {
	m.lines = append(m.lines[max(0, len(m.lines)-60):], m.now.Format("15:04:05 ")+fmt.Sprintf(format, args...))
}

func (m *sim) fatal(format string, args ...any) {
	m.t.Helper()
	m.t.Fatalf("%s\nsee it again with PENSTOCK_SIM_STEPS=1000 PENSTOCK_SIM_SEED=%d; what happened last:\n%s",
		fmt.Sprintf(format, args...), m.seed, strings.Join(m.lines, "\n"))
}

func pick[T any](m *sim, list []T) T { return list[m.chance.IntN(len(list))] }

// jobs are the ids of all jobs in an order of their own.
func (m *sim) jobs() []pipeline.JobID { return slices.Sorted(maps.Keys(m.disk.jobs)) }

// crashes says whether a node crashes at a point.
func (m *sim) crashes(point string) bool {
	rare := 40
	if m.crashed[point] == 0 {
		rare = 10 // so that all points have their turn
	}
	if m.calm || m.chance.IntN(rare) > 0 {
		return false
	}
	m.crashed[point]++
	m.trace("crash at %s", point)
	return true
}

// crash replaces a node by a new run of it: nothing it had in memory is left.
func (m *sim) crash(n *simNode) {
	skew := n.skew
	*n = *m.boot()
	n.skew = skew
}

func (m *sim) send(msg message) { m.network = append(m.network, msg) }

// run takes steps, each a thing that may happen now.
func (m *sim) run(steps int) {
	for range steps {
		m.now = m.now.Add(time.Duration(m.chance.IntN(5000)) * time.Millisecond)
		n := pick(m, m.nodes)
		if n.stopped > 0 {
			n.stopped--
			continue
		}
		if n.skew != 0 && m.chance.IntN(8) == 0 { // what a clock is off is mended soon
			n.skew = 0
		}
		switch p := m.chance.IntN(100); {
		case p < 30:
			m.receive(n)
		case p < 42:
			m.claim(n)
		case p < 60:
			m.finish(n)
		case p < 64:
			m.renew(n)
		case p < 74:
			m.poll(n)
		case p < 77:
			m.fire(n)
		case p < 80:
			m.deliver(n)
		case p < 94:
			if ev := m.request(); ev != nil {
				m.send(message{fmt.Sprintf("%T", ev), func(n *simNode) { m.call(n, ev) }})
			}
		case p < 95:
			m.trace("%s is killed", n)
			m.crash(n)
		case p < 96:
			n.stopped = m.chance.IntN(40)
			m.trace("%s stops", n)
		case p < 97:
			n.skew = pick(m, []time.Duration{-time.Hour, time.Hour})
			m.trace("the clock of %s is %s off", n, n.skew)
		case p < 98:
			if run, at := m.firstTimer(); run != "" && at.After(m.now) && m.chance.IntN(3) == 0 {
				m.now = at
			} else if m.chance.IntN(10) == 0 {
				m.now = m.now.Add(staleGate)
			}
		default:
			m.settle()
		}
	}
	m.settle()
}

// receive gives a node any message that is under way, if it is not lost, and perhaps twice.
func (m *sim) receive(n *simNode) {
	if len(m.network) == 0 {
		return
	}
	i := m.chance.IntN(len(m.network))
	msg := m.network[i]
	switch m.chance.IntN(10) {
	case 0:
		if msg.what == "result" && m.chance.IntN(3) > 0 {
			break // delayed
		}
		m.trace("%s is lost", msg.what)
		m.network = slices.Delete(m.network, i, i+1)
		return
	case 1:
		m.trace("%s is doubled", msg.what)
	default:
		m.network = slices.Delete(m.network, i, i+1)
	}
	msg.run(n)
}

// check says what must hold after every commit.
func (m *sim) check(what string) {
	s := &State{Executions: map[pipeline.ExecutionID]*Execution{}}
	for _, n := range m.nodes {
		if n.kept != nil && n.stamp == m.disk.stamp {
			s = n.kept
		}
	}
	if s.Name == "" {
		s = m.load(m.nodes[0])
	}
	s.Attached.Definitions = m.disk.definitions
	if err := Check(s); err != nil {
		m.fatal("after %s: %v", what, err)
	}
	jobs, timers := 0, 0
	for _, e := range s.Executions {
		for _, run := range e.running() {
			timers++
			if !m.disk.timers[run.ID].Equal(run.due()) { // S-316, S-325
				m.fatal("after %s: action %s times out at %s, the timer says %s", what, run.Action, run.due(), m.disk.timers[run.ID])
			}
			if run.Job == "" {
				continue // Check has seen that it asks for approval
			}
			jobs++
			if row := m.disk.jobs[run.Job]; row.Run != run.ID || row.over() {
				m.fatal("after %s: action %s has job %s, which is %q", what, run.Action, run.Job, row.status)
			}
		}
	}
	live := 0
	for _, row := range m.disk.jobs {
		if !row.over() {
			live++
		}
		if m.answered[row.ID] && !row.over() {
			m.fatal("after %s: job %s was answered and is %s", what, row.ID, row.status)
		}
	}
	if jobs != live || timers != len(m.disk.timers) {
		m.fatal("after %s: %d jobs are live and %d belong to actions; %d timers, %d belong", what, live, jobs, len(m.disk.timers), timers)
	}
	for _, id := range m.started[max(0, len(m.started)-20):] {
		if m.disk.live[id] == nil && m.disk.past[id] == nil {
			m.fatal("after %s: execution %s was started and is not there", what, id)
		}
	}
}
