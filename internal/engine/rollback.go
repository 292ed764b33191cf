package engine

import (
	"slices"

	"penstock/internal/fault"
	"penstock/internal/pipeline"
)

// rollback starts an execution that runs one stage with what an earlier execution had there
// (S-182 to S-187).
func (st *step) rollback(ev Rollback) error {
	stage, err := st.knownStage(ev.Stage)
	if err != nil {
		return err
	}
	refuse := func(why string) error { // S-186
		return fault.New("UnableToRollbackStageException", "The stage '%s' cannot be rolled back to execution '%s': %s", ev.Stage, ev.Target, why)
	}
	d := st.s.Current()
	switch {
	case d.ExecutionMode == pipeline.Parallel: // S-148
		return refuse("the pipeline is in PARALLEL mode")
	case d.Stages[0].Name == ev.Stage:
		return refuse("it is the source stage")
	}
	target := st.find(ev.Target)
	if target == nil {
		return fault.New("PipelineExecutionNotFoundException", "The pipeline '%s' does not have an execution with id '%s'", st.s.Name, ev.Target)
	}
	visit := target.Runs[ev.Stage]
	switch {
	case target.Version != st.s.Version:
		return fault.New("PipelineExecutionOutdatedException",
			"The execution '%s' was started in version %d of the pipeline '%s', which is now in version %d", ev.Target, target.Version, st.s.Name, st.s.Version)
	case target.Type != pipeline.ExecutionStandard:
		return refuse("it is a rollback itself")
	case visit == nil || visit.Status != pipeline.Succeeded:
		return refuse("it did not succeed in this stage")
	case stage.Holder != "":
		return refuse("another execution is in the stage")
	}
	st.s.Started = st.repeat(target, ev.Stage, pipeline.Trigger{Type: pipeline.TriggerManualRollback, Detail: ev.By})
	return nil
}

// rollBack starts the automatic rollback of a stage in which an execution has just failed, and
// says whether it could: it needs an execution that succeeded there (S-188, S-189). It never
// follows a rollback (S-190, Q-18).
func (st *step) rollBack(failed *Execution) bool {
	stage := st.s.Stages[failed.Stage]
	if stage == nil || stage.Target == "" || failed.Type != pipeline.ExecutionStandard || failed.Mode == pipeline.Parallel {
		return false
	}
	target := st.find(stage.Target)
	if target == nil { // so old that history forgot it
		return false
	}
	st.repeat(target, failed.Stage, pipeline.Trigger{Type: pipeline.TriggerAutomatedRollback, Detail: string(failed.ID)})
	return true
}

// repeat makes the execution of a rollback. It enters at once, whoever waits and whether the
// gate is open or not (S-187, Q-17).
func (st *step) repeat(target *Execution, stage string, trigger pipeline.Trigger) pipeline.ExecutionID {
	e := &Execution{
		ID: pipeline.ExecutionID(st.id()), Order: st.s.NextOrder, Mode: st.s.Current().ExecutionMode, Version: st.s.Version,
		Type: pipeline.ExecutionRollback, RollbackTarget: target.ID, Status: pipeline.InProgress, Started: st.now,
		Trigger: trigger, Attempt: 1, Stage: stage, Position: Left, Runs: map[string]*StageRun{},
		Variables: target.Variables, Overrides: target.Overrides, // S-280
		SourceRevisions: slices.Clone(target.SourceRevisions), ArtifactRevisions: slices.Clone(target.ArtifactRevisions),
		Artifacts: filled(target.Artifacts), Outputs: filled(target.Outputs),
	}
	st.s.NextOrder++
	st.s.Executions[e.ID] = e
	st.touch(e)
	st.emitPipeline(e, "STARTED")
	st.enter(e)
	return e.ID
}

// remember keeps the execution that an automatic rollback of a stage would go back to: the
// newest of the present version that succeeded there (S-185, S-188). It is of the present
// version because an update cancels all others before they succeed in anything (S-64).
func (st *step) remember(e *Execution) {
	stage := st.s.Stages[e.Stage]
	if stage != nil && e.Type == pipeline.ExecutionStandard && e.Mode != pipeline.Parallel && e.Stage != st.s.Current().Stages[0].Name {
		stage.Target = e.ID
	}
}
