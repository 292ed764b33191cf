package engine

import (
	"slices"

	"penstock/internal/pipeline"
)

// arrive puts an execution into the line in front of stage i (S-131). In SUPERSEDED mode the
// line holds one execution: the newer of two stays, at that instant (S-135, S-136).
func (st *step) arrive(e *Execution, i int) {
	d := st.s.Attached.Definitions[e.Version]
	e.Stage, e.Position = d.Stages[i].Name, Waiting
	st.touch(e)
	stage := st.s.Stages[e.Stage]
	if stage == nil { // a PARALLEL execution of an older version: its stage has no gate any more
		st.enter(e)
		return
	}
	stage.LastInbound = nil
	stage.Waiting = append(stage.Waiting, e.ID)
	if e.Mode == pipeline.Superseded {
		newest := e
		for _, id := range stage.Waiting {
			if other := st.s.Executions[id]; other.Mode == pipeline.Superseded && other.Order > newest.Order {
				newest = other
			}
		}
		for _, id := range slices.Clone(stage.Waiting) {
			if other := st.s.Executions[id]; other.Mode == pipeline.Superseded && other != newest {
				st.supersede(other, "Execution "+string(newest.ID)+", which is newer, came to wait in front of the stage "+e.Stage) // S-109
			}
		}
	}
	st.admit(e.Stage)
}

// supersede ends a waiting execution in favour of a newer one (S-136).
func (st *step) supersede(e *Execution, why string) {
	st.leaveLine(e)
	e.Status, e.StatusSummary = pipeline.StatusSuperseded, why
	st.touch(e)
	st.emitPipeline(e, "SUPERSEDED")
}

// leaveLine takes an execution out of the line it waits in; the others keep their order (S-145).
// Only stages of the current version have lines.
func (st *step) leaveLine(e *Execution) {
	stage := st.s.Stages[e.Stage]
	stage.Waiting = slices.DeleteFunc(stage.Waiting, func(id pipeline.ExecutionID) bool { return id == e.ID })
	e.Position = Left
	st.touch(e)
}

// admit lets executions enter a stage while its gate is open: those in PARALLEL mode at will,
// of the others the first in line when the stage is unlocked (S-131, S-132, S-151).
func (st *step) admit(name string) {
	stage := st.s.Stages[name]
	for stage != nil && !stage.Transition.Disabled {
		i := slices.IndexFunc(stage.Waiting, func(id pipeline.ExecutionID) bool {
			return stage.Holder == "" || st.s.Executions[id].Mode == pipeline.Parallel
		})
		if i < 0 {
			return
		}
		e := st.s.Executions[stage.Waiting[i]]
		stage.Waiting = slices.Delete(stage.Waiting, i, i+1)
		st.enter(e)
	}
}

// enter locks the stage for an execution and begins its actions (S-128).
func (st *step) enter(e *Execution) {
	stage := st.s.Stages[e.Stage]
	e.Position = Inside
	e.Runs[e.Stage] = &StageRun{Status: pipeline.InProgress, Entered: st.now, Actions: map[string]*ActionRun{}, Touched: st.s.Seq}
	if e.Mode != pipeline.Parallel {
		stage.Holder = e.ID
		stage.Latest = &StageExecution{ID: e.ID, Status: pipeline.InProgress, Type: e.Type}
		stage.Retry = nil // S-176: belongs to the latest execution
	}
	st.touch(e)
	st.emitStage(e, "STARTED")
	st.advance(e)
}

// setStage records the status of the stage an execution is in.
func (st *step) setStage(e *Execution, status pipeline.Status) {
	e.Runs[e.Stage].Status, e.Runs[e.Stage].Touched = status, st.s.Seq
	if stage := st.s.Stages[e.Stage]; stage != nil && stage.Latest != nil && stage.Latest.ID == e.ID {
		stage.Latest.Status = status
	}
	st.touch(e)
}

// advance moves an execution that is inside a stage as far as it can go now: it starts the
// next actions or rules, or ends the stage. It does nothing while it has to wait for them.
func (st *step) advance(e *Execution) {
	def, i := st.stageOf(e)
	run := e.Runs[e.Stage]
	running, bad := 0, false
	for _, a := range run.Actions {
		switch a.Status {
		case pipeline.InProgress:
			running++
		case pipeline.Failed, pipeline.Abandoned:
			bad = true
		}
	}
	switch {
	case e.Status == pipeline.Stopping:
		if running == 0 { // S-193: whatever the results
			st.setStage(e, pipeline.Stopped)
			st.emitStage(e, "STOPPED")
			st.end(e, pipeline.Stopped, "STOPPED")
		}
	case e.Cancelling:
		if running == 0 { // S-64
			st.setStage(e, pipeline.Cancelled)
			st.emitStage(e, "CANCELED")
			st.end(e, pipeline.Cancelled, "CANCELED")
		}
	case !st.allowed(e, def, i):
	case bad:
		if running == 0 { // S-58, S-113
			st.stageFailed(e, def)
		}
	case st.startGroup(e, def, running):
	default:
		st.stageDone(e, def, i)
	}
}

// allowed says whether the entry condition lets the execution begin its actions. If it is not
// met, the stage is failed or skipped (S-202).
func (st *step) allowed(e *Execution, def *pipeline.Stage, i int) bool {
	switch st.verdict(e, def, pipeline.BeforeEntry) {
	case pipeline.InProgress:
		return false
	case pipeline.Failed, pipeline.Errored:
		if def.Condition(pipeline.BeforeEntry).Result == pipeline.ResultSkip {
			st.setStage(e, pipeline.Skipped)
			st.leave(e, i)
		} else {
			st.failStage(e, unmet(e, pipeline.BeforeEntry), false)
		}
		return false
	}
	return true
}

// stageDone ends a stage all of whose actions succeeded, if its success condition is met (S-112,
// S-203, Q-20).
func (st *step) stageDone(e *Execution, def *pipeline.Stage, i int) {
	switch st.verdict(e, def, pipeline.OnSuccess) {
	case pipeline.InProgress:
	case pipeline.Failed, pipeline.Errored:
		st.failStage(e, unmet(e, pipeline.OnSuccess), def.Condition(pipeline.OnSuccess).Result == pipeline.ResultRollback)
	default:
		st.setStage(e, pipeline.Succeeded)
		st.remember(e)
		st.leave(e, i)
	}
}

// leave takes an execution that is done with stage i on to the next, if there is one for it
// (S-108): a rollback ends with its stage (S-183, Q-16).
func (st *step) leave(e *Execution, i int) {
	name := e.Stage
	st.emitStage(e, "SUCCEEDED")
	st.release(e)
	if d := st.s.Attached.Definitions[e.Version]; i+1 < len(d.Stages) && e.Type != pipeline.ExecutionRollback {
		st.arrive(e, i+1)
	} else {
		e.Status = pipeline.Succeeded
		st.touch(e)
		st.emitPipeline(e, "SUCCEEDED")
	}
	st.admit(name)
}

// startGroup starts the actions of the lowest group that has not wholly succeeded and says
// whether there is such a group (S-55, S-56). A PARALLEL execution runs a few at a time (S-57).
func (st *step) startGroup(e *Execution, def *pipeline.Stage, running int) bool {
	run := e.Runs[e.Stage]
	for _, group := range pipeline.Groups(def) {
		open := false
		for _, a := range group {
			r := run.Actions[a.Name]
			if r != nil && r.Status == pipeline.Succeeded {
				continue
			}
			open = true
			if r != nil || (e.Mode == pipeline.Parallel && running >= st.limits.ParallelActions) {
				continue
			}
			if st.startRun(e, "", a) {
				running++
			}
		}
		if open {
			if running == 0 { // every action of the group failed before it had a job
				st.advance(e)
			}
			return true
		}
	}
	return false
}

// stageFailed ends a stage none of whose actions runs any more and one of which failed. An
// automatic retry keeps the stage locked and begins at once, once per stage (S-130, S-180).
func (st *step) stageFailed(e *Execution, def *pipeline.Stage) {
	run, f := e.Runs[e.Stage], def.OnFailure
	if f == nil || e.Type != pipeline.ExecutionStandard { // S-190: what onFailure asks for does not follow a rollback
		st.failStage(e, "", false)
		return
	}
	if f.Result == pipeline.ResultRetry && run.Automatic == 0 {
		mode := pipeline.FailedActions
		if f.RetryConfiguration != nil && f.RetryConfiguration.RetryMode != "" {
			mode = f.RetryConfiguration.RetryMode
		}
		run.Automatic++
		st.again(e, mode, "AutomatedStageRetry")
		return
	}
	switch st.verdict(e, def, pipeline.OnFailure) { // S-204
	case pipeline.InProgress:
	case pipeline.Failed, pipeline.Errored:
		st.failStage(e, unmet(e, pipeline.OnFailure), true)
	default:
		st.failStage(e, "", f.Result == pipeline.ResultRollback)
	}
}

// failStage ends a stage and its execution as Failed. If it is to be rolled back and can be,
// the rollback takes the stage before anybody else (S-187, S-188).
func (st *step) failStage(e *Execution, why string, back bool) {
	st.setStage(e, pipeline.Failed)
	st.emitStage(e, "FAILED")
	e.Status, e.StatusSummary = pipeline.Failed, why
	st.release(e)
	st.emitPipeline(e, "FAILED")
	if !back || !st.rollBack(e) {
		st.admit(e.Stage)
	}
}

// end gives an execution that is inside a stage its final status and unlocks the stage, so
// that a waiting execution enters at once (S-130).
func (st *step) end(e *Execution, status pipeline.Status, event string) {
	e.Status = status
	name := e.Stage
	st.release(e)
	st.emitPipeline(e, event)
	st.admit(name)
}

// release takes an execution out of its stage and unlocks it.
func (st *step) release(e *Execution) {
	if stage := st.s.Stages[e.Stage]; stage != nil && stage.Holder == e.ID {
		stage.Holder = ""
	}
	e.Position = Left
	st.touch(e)
}
