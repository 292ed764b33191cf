package engine

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"penstock/internal/fault"
	"penstock/internal/pipeline"
)

// Step applies one event to a state. On success it gives the next state, which shares
// nothing changeable with s, and the effects in the order they came about. On refusal the
// error is a *fault.Error, the effects are nil and the state is s itself. The same with an
// error of type *Missing says that the step must be told of a past execution first.
//
// In the next state every record changed by this step has Touched == Seq; executions that
// are no longer live are in Retired and action executions replaced by a retry in Ended.
func Step(s *State, now time.Time, ev Event) (*State, []Effect, error) {
	st := &step{s: s.clone(), now: now.Truncate(time.Microsecond), limits: s.Attached.Limits.OrDefault()}
	st.s.Seq++
	var err error
	switch ev := ev.(type) {
	case Start:
		err = st.start(ev)
	case Update:
		err = st.update(ev)
	case Delete:
		st.delete()
	case DisableTransition:
		err = st.disable(ev)
	case EnableTransition:
		err = st.enable(ev)
	case Stop:
		err = st.stop(ev)
	case Retry:
		err = st.retry(ev)
	case Rollback:
		err = st.rollback(ev)
	case OverrideCondition:
		err = st.override(ev)
	case Approve:
		err = st.approve(ev)
	case Progress:
		err = st.progress(ev)
	case Succeed:
		err = st.succeed(ev)
	case Continue:
		err = st.proceed(ev)
	case Fail:
		err = st.fail(ev)
	case Wakeup:
		st.wakeup(ev)
	default:
		err = fmt.Errorf("engine: unknown event %T", ev)
	}
	if st.missing != nil {
		err = st.missing
	}
	if err != nil {
		return s, nil, err
	}
	st.retire()
	st.s.Attached.Past = nil
	return st.s, st.effects, nil
}

// Missing is the error of a step that depends on a past execution which is not attached. The
// caller attaches it, or nil if history has none, and steps again. It is rare: a retry in
// PARALLEL mode, where the state does not keep what can be retried, or a rollback.
type Missing struct{ Execution pipeline.ExecutionID }

// Error says what is missing.
func (m *Missing) Error() string {
	return "engine: the past execution " + string(m.Execution) + " is not attached"
}

// step is one application of an event to a private copy of the state.
type step struct {
	s       *State
	now     time.Time
	limits  pipeline.Limits
	effects []Effect
	ids     int
	// missing makes the step fail in the end, whatever else it did.
	missing *Missing
}

func (st *step) effect(e Effect) { st.effects = append(st.effects, e) }

// id derives the next id of this step from the pipeline's seed and the event's number, so
// that replay gives the same ids and nobody without the seed can guess one (S-84).
func (st *step) id() string {
	st.ids++
	sum := sha256.Sum256([]byte(st.s.Seed + "/" + strconv.FormatInt(st.s.Seq, 10) + "/" + strconv.Itoa(st.ids)))
	sum[6] = sum[6]&0x0f | 0x40
	sum[8] = sum[8]&0x3f | 0x80
	h := hex.EncodeToString(sum[:16])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// random gives seven characters for an artifact key (S-287).
func (st *step) random() string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	st.ids++
	sum := sha256.Sum256([]byte(st.s.Seed + "#" + strconv.FormatInt(st.s.Seq, 10) + "#" + strconv.Itoa(st.ids)))
	var b [7]byte
	for i := range b {
		b[i] = alphabet[int(sum[i])%len(alphabet)]
	}
	return string(b[:])
}

func (st *step) touch(e *Execution) {
	e.Updated, e.Touched = st.now, st.s.Seq
}

// find gives an execution, live or past, and nil if there is none or it must be attached first.
func (st *step) find(id pipeline.ExecutionID) *Execution {
	if e := st.s.Executions[id]; e != nil {
		return e
	}
	past, attached := st.s.Attached.Past[id]
	if !attached {
		st.missing = &Missing{id}
	}
	if past == nil {
		return nil
	}
	return past.clone()
}

// stageOf is the definition of the stage an execution is at, in the execution's own version.
func (st *step) stageOf(e *Execution) (*pipeline.Stage, int) {
	def, i, _ := st.s.Attached.Definitions[e.Version].Stage(e.Stage)
	return def, i
}

// knownStage finds a stage of the current version, or says that there is none (S-154).
func (st *step) knownStage(name string) (*StageState, error) {
	if stage := st.s.Stages[name]; stage != nil {
		return stage, nil
	}
	return nil, fault.New("StageNotFoundException", "The pipeline '%s' does not have a stage with name '%s'", st.s.Name, name)
}

// retire moves executions that ended out of the live ones, except failed and stopped ones
// that can be retried without a look into history.
func (st *step) retire() {
	for _, e := range st.s.ordered() {
		if e.Position != Left {
			continue
		}
		switch e.Status {
		case pipeline.InProgress, pipeline.Stopping:
			continue
		case pipeline.Failed, pipeline.Stopped:
			if st.retriable(e) {
				continue
			}
		}
		delete(st.s.Executions, e.ID)
		st.s.Retired = append(st.s.Retired, e)
	}
}

// ordered lists the live executions by their start, so that a step never depends on the
// order of a map.
func (s *State) ordered() []*Execution {
	return slices.SortedFunc(maps.Values(s.Executions), func(a, b *Execution) int { return cmp.Compare(a.Order, b.Order) })
}

// running lists the runs of actions and rules in progress by their start.
func (e *Execution) running() []*ActionRun {
	var out []*ActionRun
	for _, visit := range e.Runs {
		for run := range visit.All() {
			if run.Status == pipeline.InProgress {
				out = append(out, run)
			}
		}
	}
	slices.SortFunc(out, func(a, b *ActionRun) int { return cmp.Compare(a.Number, b.Number) })
	return out
}

// retriable says whether an execution that left is kept because a later retry may be accepted
// for it: one that failed as the latest of its stage and in the present version (S-139, S-170).
// In PARALLEL mode, where a stage has no latest, that could be all that ever failed, and none
// is kept.
func (st *step) retriable(e *Execution) bool {
	run := e.Runs[e.Stage]
	if run == nil || e.Version != st.s.Version || (run.Status != pipeline.Failed && run.Status != pipeline.Stopped) {
		return false
	}
	stage := st.s.Stages[e.Stage]
	return stage != nil && stage.Latest != nil && stage.Latest.ID == e.ID
}

// delete ends all jobs and wake-ups of a pipeline that is about to be removed; nothing is
// told to the world (S-69, Q-8).
func (st *step) delete() {
	for _, e := range st.s.ordered() {
		st.dropConditions(e, pipeline.Cancelled, "The pipeline was deleted")
		for _, run := range e.running() {
			st.endRun(e, run, pipeline.Abandoned)
		}
		if !e.Status.Terminal() {
			e.Status = pipeline.Cancelled
		}
		e.Position = Left
		st.touch(e)
	}
	clear(st.s.Stages)
}
