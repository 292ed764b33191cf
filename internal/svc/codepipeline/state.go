package codepipeline

import (
	"context"
	"time"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/engine"
	"penstock/internal/pipeline"
	"penstock/internal/store"
)

// GetPipelineState shows the stages and what is in them (A-15, S-118 to S-122). Its cost
// depends on the pipeline, not on its history.
func (r *Room) GetPipelineState(ctx context.Context, in *api.GetPipelineStateInput) (*api.GetPipelineStateOutput, error) {
	c, err := allow(ctx, "GetPipelineState", in.Name)
	if err != nil {
		return nil, err
	}
	var s *engine.State
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		p, err := find(ctx, tx, c, in.Name)
		if err != nil {
			return err
		}
		s, err = tx.ViewState(ctx, p.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &api.GetPipelineStateOutput{PipelineName: s.Name, PipelineVersion: int32p(s.Version), Created: &s.Created, Updated: &s.Updated,
		StageStates: []api.StageState{}}
	d := s.Current()
	for i := range d.Stages {
		out.StageStates = append(out.StageStates, stageState(s, d, &d.Stages[i]))
	}
	return out, nil
}

func stageState(s *engine.State, d *pipeline.Declaration, def *pipeline.Stage) api.StageState {
	stage := s.Stages[def.Name]
	out := api.StageState{StageName: def.Name, InboundTransitionState: transition(stage.Transition),
		InboundExecutions: []api.StageExecution{}, ActionStates: []api.ActionState{}}
	if d.ExecutionMode == pipeline.Parallel { // S-122
		for _, a := range def.Actions {
			out.ActionStates = append(out.ActionStates, api.ActionState{ActionName: a.Name})
		}
		return out
	}
	for _, id := range stage.Waiting {
		out.InboundExecutions = append(out.InboundExecutions, api.StageExecution{
			PipelineExecutionId: string(id), Status: string(pipeline.InProgress), Type: rollbackOnly(s.Executions[id].Type)})
	}
	if len(out.InboundExecutions) == 0 && stage.LastInbound != nil { // S-120
		out.InboundExecutions = append(out.InboundExecutions, stageExecution(stage.LastInbound))
	}
	if len(out.InboundExecutions) > 0 {
		out.InboundExecution = &out.InboundExecutions[0]
	}
	if stage.Latest != nil {
		out.LatestExecution = new(stageExecution(stage.Latest))
	}
	out.BeforeEntryConditionState = conditionState(stage, def, pipeline.BeforeEntry)
	out.OnSuccessConditionState = conditionState(stage, def, pipeline.OnSuccess)
	out.OnFailureConditionState = conditionState(stage, def, pipeline.OnFailure)
	if m := stage.Retry; m != nil { // S-176
		out.RetryStageMetadata = &api.RetryStageMetadata{LatestRetryTrigger: m.Latest}
		if m.Manual > 0 {
			out.RetryStageMetadata.ManualStageRetryAttempt = int32p(m.Manual)
		}
		if m.Automatic > 0 {
			out.RetryStageMetadata.AutoStageRetryAttempt = int32p(m.Automatic)
		}
	}
	for i := range def.Actions {
		out.ActionStates = append(out.ActionStates, actionState(&def.Actions[i], stage.Actions[def.Actions[i].Name]))
	}
	return out
}

func stageExecution(e *engine.StageExecution) api.StageExecution {
	return api.StageExecution{PipelineExecutionId: string(e.ID), Status: string(e.Status), Type: rollbackOnly(e.Type)}
}

// rollbackOnly hides the type STANDARD, which is also meant by its absence (S-119).
func rollbackOnly(kind string) string {
	if kind == pipeline.ExecutionRollback {
		return kind
	}
	return ""
}

func transition(t engine.Transition) *api.TransitionState { // S-160
	return &api.TransitionState{Enabled: new(!t.Disabled), LastChangedBy: t.LastChangedBy, LastChangedAt: timep(t.LastChangedAt), DisabledReason: t.Reason}
}

func actionState(def *pipeline.Action, run *engine.ActionRun) api.ActionState { // S-121
	out := api.ActionState{ActionName: def.Name}
	if run == nil {
		return out
	}
	out.EntityUrl = run.EntityURL
	if run.Revision != nil && def.ActionTypeID.Category == pipeline.CategorySource {
		created := run.Revision.Created
		if created.IsZero() { // the API requires it here, and not of the workers that report a revision (S-313)
			created = run.Updated
		}
		out.CurrentRevision = &api.ActionRevision{RevisionId: run.Revision.ID, RevisionChangeId: run.Revision.ChangeIdentifier, Created: &created}
		out.RevisionUrl = run.Revision.URL
	}
	e := &api.ActionExecution{
		ActionExecutionId: string(run.ID), Status: string(run.Status), Summary: run.Summary, LastStatusChange: changed(run),
		ExternalExecutionId: run.ExternalID, ExternalExecutionUrl: run.ExternalURL, LastUpdatedBy: run.UpdatedBy,
		ErrorDetails: errorDetails(run), LogStreamARN: run.LogStreamARN,
	}
	if run.Percent != nil {
		e.PercentComplete = int32p(*run.Percent)
	}
	if run.Status == pipeline.InProgress { // S-222
		e.Token = run.Token
	}
	out.LatestExecution = e
	return out
}

// changed is when the status of a run changed last: when it began or ended, and not when there was
// news of it.
func changed(run *engine.ActionRun) *time.Time {
	if run.Status == pipeline.InProgress {
		return &run.Started
	}
	return &run.Updated
}

func errorDetails(run *engine.ActionRun) *api.ErrorDetails {
	if run.Error == nil {
		return nil
	}
	return &api.ErrorDetails{Code: run.Error.Code, Message: run.Error.Message}
}
