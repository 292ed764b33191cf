package engine

import (
	"maps"
	"slices"
	"time"

	"penstock/internal/fault"
	"penstock/internal/pipeline"
)

// staleGate is how long a gate may be closed before what waits there is given up (S-159).
const staleGate = 30 * 24 * time.Hour

// retry runs a failed or stopped stage again in place (S-163 to S-178).
func (st *step) retry(ev Retry) error {
	stage, err := st.knownStage(ev.Stage)
	if err != nil {
		return err
	}
	refuse := func(why string) error {
		return fault.New("StageNotRetryableException", "The stage '%s' cannot be retried for execution '%s': %s", ev.Stage, ev.Execution, why)
	}
	e := st.find(ev.Execution)
	switch {
	case e == nil: // S-175
		return st.notLatest(ev.Execution, ev.Stage)
	case e.Status == pipeline.StatusSuperseded || e.Status == pipeline.Cancelled || e.Status == pipeline.Stopped && e.Runs[e.Stage] == nil: // S-173
		return refuse("it ended as " + string(e.Status) + " and cannot be resumed")
	case e.Mode != pipeline.Parallel && stage.Latest != nil && stage.Latest.ID != e.ID: // S-171
		return st.notLatest(ev.Execution, ev.Stage)
	case e.Runs[ev.Stage] == nil || e.Stage != ev.Stage: // S-169
		return refuse("it has no failed action")
	}
	visit := e.Runs[ev.Stage]
	running, bad := len(e.running()) > 0, false
	for _, run := range visit.Actions {
		bad = bad || run.Status == pipeline.Failed || run.Status == pipeline.Abandoned
	}
	switch {
	case e.Version != st.s.Version || e.Cancelling: // S-170
		return refuse("the structure of the pipeline has changed since")
	case e.Status == pipeline.Stopping:
		return fault.New("ConflictException", "The execution '%s' is stopping; retry the stage '%s' when it has stopped", e.ID, ev.Stage)
	case visit.Status == pipeline.Stopped: // S-168
	case !bad && visit.Status == pipeline.InProgress && visit.Manual+visit.Automatic > 0: // S-172
		return fault.New("ConflictException", "A retry of the stage '%s' is already in progress", ev.Stage)
	case !bad: // S-169
		return refuse("it has no failed action")
	case visit.judging():
		return fault.New("ConflictException", "The condition of the stage '%s' is being evaluated; retry the stage when that is done", ev.Stage)
	case ev.Mode == pipeline.AllActions && running: // S-167
		return refuse("actions of the stage are still running; wait for them, or use FAILED_ACTIONS")
	}
	if e.Status.Terminal() {
		if full := st.full(e.Mode); full != nil { // S-174
			return full
		}
	}
	st.s.Executions[e.ID] = e
	visit.Manual++
	st.again(e, ev.Mode, "ManualStageRetry")
	return nil
}

func (st *step) notLatest(execution pipeline.ExecutionID, stage string) error {
	return fault.New("NotLatestPipelineExecutionException",
		"The execution '%s' is not the latest execution that entered the stage '%s'", execution, stage)
}

// again resumes an execution in the stage it failed in. Actions to run again lose their
// runs, which stay in the history (S-165).
func (st *step) again(e *Execution, mode pipeline.RetryMode, trigger string) {
	visit := e.Runs[e.Stage]
	for _, name := range slices.Sorted(maps.Keys(visit.Actions)) {
		run := visit.Actions[name]
		if mode == pipeline.AllActions || run.Status == pipeline.Failed || run.Status == pipeline.Abandoned {
			st.s.Ended = append(st.s.Ended, run)
			delete(visit.Actions, name)
		}
	}
	st.forget(visit)
	e.Attempt++
	visit.Retried = st.now
	if stage := st.s.Stages[e.Stage]; stage != nil && e.Mode != pipeline.Parallel {
		stage.Retry = &RetryMetadata{Manual: visit.Manual, Automatic: visit.Automatic, Latest: trigger}
	}
	st.resume(e)
	st.advance(e)
}

// resume puts an execution that failed or stopped back into its stage (S-106). Nobody has stopped
// it any more (S-127).
func (st *step) resume(e *Execution) {
	e.Status, e.StatusSummary, e.Stop, e.Position = pipeline.InProgress, "", nil, Inside
	if stage := st.s.Stages[e.Stage]; stage != nil && e.Mode != pipeline.Parallel {
		stage.Holder = e.ID
	}
	st.setStage(e, pipeline.InProgress)
	st.emitPipeline(e, "RESUMED")
	st.emitStage(e, "RESUMED")
}

// stop asks an execution to stop (S-192 to S-198).
func (st *step) stop(ev Stop) error {
	e := st.s.Executions[ev.Execution]
	if e == nil || e.Status.Terminal() {
		return fault.New("PipelineExecutionNotStoppableException", "The execution '%s' of pipeline '%s' is not in progress", ev.Execution, st.s.Name)
	}
	if e.Status == pipeline.Stopping && (e.Stop.Abandon || !ev.Abandon) { // S-195
		return fault.New("DuplicatedStopRequestException", "The execution '%s' is already stopping", e.ID)
	}
	first := e.Status != pipeline.Stopping
	e.Stop = &StopRequest{Abandon: ev.Abandon, Reason: ev.Reason}
	e.Status = pipeline.Stopping
	st.touch(e)
	if first {
		st.emitPipeline(e, "STOPPING")
	}
	if e.Position == Waiting { // S-133, S-197
		name := e.Stage
		st.leaveLine(e)
		e.Status = pipeline.Stopped
		if stage := st.s.Stages[name]; stage != nil && e.Mode != pipeline.Parallel {
			stage.LastInbound = &StageExecution{ID: e.ID, Status: pipeline.Stopped, Type: e.Type} // S-120
		}
		st.emitPipeline(e, "STOPPED")
		st.admit(name)
		return nil
	}
	if first {
		st.setStage(e, pipeline.Stopping)
		st.emitStage(e, "STOPPING")
	}
	st.dropConditions(e, pipeline.Abandoned, "The execution was stopped")
	if ev.Abandon { // S-194
		for _, run := range e.running() {
			st.abandonRun(e, run)
		}
	}
	st.advance(e)
	return nil
}

// gate finds the transition a call means: Outbound of a stage is Inbound of the next (S-155).
func (st *step) gate(name, direction string) (string, *StageState, error) {
	if _, err := st.knownStage(name); err != nil {
		return "", nil, err
	}
	if direction == "Outbound" {
		d := st.s.Current()
		i := slices.IndexFunc(d.Stages, func(s pipeline.Stage) bool { return s.Name == name })
		if i+1 == len(d.Stages) {
			return "", nil, fault.New("ValidationException", "The stage '%s' is the last stage of pipeline '%s' and has no outbound transition", name, st.s.Name)
		}
		name = d.Stages[i+1].Name
	}
	return name, st.s.Stages[name], nil
}

func (st *step) disable(ev DisableTransition) error {
	_, stage, err := st.gate(ev.Stage, ev.Direction)
	if err != nil {
		return err
	}
	t := &stage.Transition
	if !t.Disabled {
		t.DisabledAt = st.now
	}
	t.Disabled, t.Reason, t.LastChangedBy, t.LastChangedAt = true, ev.Reason, ev.By, st.now // S-161
	return nil
}

// enable opens a gate; what waits there enters, unless it waited too long (S-158, S-159).
func (st *step) enable(ev EnableTransition) error {
	name, stage, err := st.gate(ev.Stage, ev.Direction)
	if err != nil {
		return err
	}
	old := stage.Transition
	stage.Transition = Transition{LastChangedBy: ev.By, LastChangedAt: st.now} // S-160
	if old.Disabled && st.now.Sub(old.DisabledAt) > staleGate {
		for _, id := range slices.Clone(stage.Waiting) {
			st.supersede(st.s.Executions[id], "The transition into stage "+name+" was disabled for more than 30 days")
		}
	}
	st.admit(name)
	return nil
}

// update puts a new version in force. Executions outside PARALLEL mode are cancelled: those
// that wait at once, those inside a stage when their running actions have ended (S-64, S-65).
func (st *step) update(ev Update) error {
	d := ev.Definition
	st.s.Version, st.s.Updated = d.Version, st.now
	st.s.Attached.Definitions[d.Version] = d
	for _, e := range st.s.ordered() {
		if e.Mode == pipeline.Parallel || e.Status.Terminal() {
			continue
		}
		if e.Position == Waiting {
			st.leaveLine(e)
			e.Status = pipeline.Cancelled
			st.emitPipeline(e, "CANCELED")
		}
	}
	for _, e := range st.s.ordered() {
		if e.Mode == pipeline.Parallel || e.Status.Terminal() {
			continue
		}
		e.Cancelling = true // one that is stopping becomes Stopped all the same
		st.touch(e)
		for _, run := range e.running() {
			if run.Token != "" {
				st.abandonRun(e, run)
			}
		}
		st.dropConditions(e, pipeline.Cancelled, "The pipeline was updated")
		st.advance(e)
	}
	st.matchStages(d)
	return nil
}

// matchStages carries stage states over to the new version by name (S-67). An execution that
// still runs in a stage which was removed, and is now put in again, locks it (S-128); one in
// PARALLEL mode that waited in front of a stage which is now removed has no gate any more.
func (st *step) matchStages(d *pipeline.Declaration) {
	old := st.s.Stages
	st.s.Stages = make(map[string]*StageState, len(d.Stages))
	for _, def := range d.Stages {
		stage := old[def.Name]
		if stage == nil {
			stage = &StageState{}
		}
		stage.Target = "" // S-185: it was started in a version before
		maps.DeleteFunc(stage.Actions, func(name string, _ *ActionRun) bool { return !hasAction(d, def.Name, name) })
		maps.DeleteFunc(stage.Conditions, func(place pipeline.Place, _ *ConditionRun) bool { return !hasCondition(d, def.Name, place) })
		st.s.Stages[def.Name] = stage
	}
	for _, e := range st.s.ordered() {
		stage := st.s.Stages[e.Stage]
		switch {
		case e.Position == Inside && e.Mode != pipeline.Parallel && stage != nil:
			stage.Holder = e.ID
		case e.Position == Waiting && stage == nil:
			st.enter(e)
		}
	}
}
