package codepipeline

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/engine"
	"penstock/internal/fault"
	"penstock/internal/pipeline"
	"penstock/internal/store"
)

// TokenWindow is how long a clientRequestToken is remembered (S-103, Q-9).
const TokenWindow = 24 * time.Hour

// eventService is for whom the server itself calls when an event rule starts a pipeline. The
// session then tells the rule.
const eventService = "events.amazonaws.com"

// StartPipelineExecution starts an execution, once per clientRequestToken (A-39, S-103).
func (r *Room) StartPipelineExecution(ctx context.Context, in *api.StartPipelineExecutionInput) (*api.StartPipelineExecutionOutput, error) {
	c, err := allow(ctx, "StartPipelineExecution", in.Name)
	if err != nil {
		return nil, err
	}
	start := engine.Start{Trigger: pipeline.Trigger{Type: pipeline.TriggerStartPipelineExecution, Detail: c.ARN}}
	if c.InvokedBy == eventService && c.SourceARN != "" { // S-94
		start.Trigger, start.Detected = pipeline.Trigger{Type: pipeline.TriggerCloudWatchEvent, Detail: c.SourceARN}, true
	}
	for _, v := range in.Variables {
		start.Variables = append(start.Variables, pipeline.Variable{Name: v.Name, ResolvedValue: v.Value})
	}
	for _, o := range in.SourceRevisions {
		start.Overrides = append(start.Overrides, pipeline.SourceRevisionOverride{ActionName: o.ActionName, RevisionType: o.RevisionType, RevisionValue: o.RevisionValue})
	}
	args, err := json.Marshal([]any{start.Variables, start.Overrides})
	if err != nil {
		return nil, err
	}
	var id pipeline.ExecutionID
	err = r.DB.Update(ctx, func(tx *store.Tx) error {
		p, err := find(ctx, tx, c, in.Name)
		if err != nil {
			return err
		}
		s, err := tx.LoadState(ctx, p.ID) // one start at a time, so that a token counts once
		if err != nil {
			return err
		}
		if in.ClientRequestToken != "" {
			known, err := tx.FindStartToken(ctx, p.ID, in.ClientRequestToken)
			if err == nil && tx.Now().Sub(known.At) > TokenWindow {
				err = store.ErrNotFound // it is there until somebody clears it away
			}
			switch {
			case err == nil && known.Arguments != string(args):
				return fault.New("ConflictException", "The clientRequestToken '%s' was used before with other arguments", in.ClientRequestToken)
			case err == nil:
				id = known.Execution
				return nil
			case !errors.Is(err, store.ErrNotFound):
				return err
			}
		}
		after, err := r.Conductor.StepTx(ctx, tx, p.ID, s, start)
		if err != nil {
			return err
		}
		id = after.Started
		if in.ClientRequestToken == "" {
			return nil
		}
		return tx.PutStartToken(ctx, p.ID, store.StartToken{Token: in.ClientRequestToken, Execution: id, Arguments: string(args)}, TokenWindow)
	})
	if err != nil {
		return nil, err
	}
	return &api.StartPipelineExecutionOutput{PipelineExecutionId: string(id)}, nil
}

// StopPipelineExecution asks an execution to stop.
func (r *Room) StopPipelineExecution(ctx context.Context, in *api.StopPipelineExecutionInput) (*api.StopPipelineExecutionOutput, error) {
	c, err := allow(ctx, "StopPipelineExecution", in.PipelineName)
	if err != nil {
		return nil, err
	}
	_, err = r.apply(ctx, c, in.PipelineName, engine.Stop{Execution: pipeline.ExecutionID(in.PipelineExecutionId), Abandon: value(in.Abandon), Reason: in.Reason})
	if err != nil {
		return nil, err
	}
	return &api.StopPipelineExecutionOutput{PipelineExecutionId: in.PipelineExecutionId}, nil
}

// GetPipelineExecution shows one execution (A-14, S-125).
func (r *Room) GetPipelineExecution(ctx context.Context, in *api.GetPipelineExecutionInput) (*api.GetPipelineExecutionOutput, error) {
	c, err := allow(ctx, "GetPipelineExecution", in.PipelineName)
	if err != nil {
		return nil, err
	}
	var e *engine.Execution
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		p, err := find(ctx, tx, c, in.PipelineName)
		if err != nil {
			return err
		}
		e, err = execution(ctx, tx, p, in.PipelineExecutionId)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &api.PipelineExecution{
		PipelineName: in.PipelineName, PipelineVersion: int32p(e.Version), PipelineExecutionId: string(e.ID),
		Status: string(e.Status), StatusSummary: e.StatusSummary, Trigger: trigger(e), ExecutionMode: string(e.Mode), ExecutionType: e.Type,
		ArtifactRevisions: []api.ArtifactRevision{}, Variables: []api.ResolvedPipelineVariable{}, RollbackMetadata: rollback(e),
	}
	for _, a := range e.ArtifactRevisions {
		out.ArtifactRevisions = append(out.ArtifactRevisions, api.ArtifactRevision{Name: a.Name, RevisionId: a.ID,
			RevisionChangeIdentifier: a.ChangeIdentifier, RevisionSummary: a.Summary, Created: timep(a.Created), RevisionUrl: a.URL})
	}
	for _, v := range e.Variables {
		out.Variables = append(out.Variables, api.ResolvedPipelineVariable{Name: v.Name, ResolvedValue: v.ResolvedValue})
	}
	return &api.GetPipelineExecutionOutput{PipelineExecution: out}, nil
}

// execution finds an execution of a pipeline.
func execution(ctx context.Context, tx *store.Tx, p store.Pipeline, id string) (*engine.Execution, error) {
	e, err := tx.Execution(ctx, p.ID, pipeline.ExecutionID(id))
	if errors.Is(err, store.ErrNotFound) {
		return nil, fault.New("PipelineExecutionNotFoundException", "The pipeline '%s' does not have an execution with id '%s'", p.Name, id)
	}
	return e, err
}

func trigger(e *engine.Execution) *api.ExecutionTrigger {
	return &api.ExecutionTrigger{TriggerType: e.Trigger.Type, TriggerDetail: e.Trigger.Detail}
}

func rollback(e *engine.Execution) *api.PipelineRollbackMetadata {
	if e.RollbackTarget == "" {
		return nil
	}
	return &api.PipelineRollbackMetadata{RollbackTargetPipelineExecutionId: string(e.RollbackTarget)}
}

// ListPipelineExecutions lists executions, newest first (A-20, S-123).
func (r *Room) ListPipelineExecutions(ctx context.Context, in *api.ListPipelineExecutionsInput) (*api.ListPipelineExecutionsOutput, error) {
	c, err := allow(ctx, "ListPipelineExecutions", in.PipelineName)
	if err != nil {
		return nil, err
	}
	limit := 100
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	stage := ""
	if in.Filter != nil && in.Filter.SucceededInStage != nil {
		stage = in.Filter.SucceededInStage.StageName
	}
	var list []*engine.Execution
	parts := []string{"ListPipelineExecutions", c.Account, c.Region, in.PipelineName, stage}
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		p, err := find(ctx, tx, c, in.PipelineName)
		if err != nil {
			return err
		}
		if stage != "" {
			d, err := tx.Declaration(ctx, p.ID, p.Version)
			if err != nil {
				return err
			}
			if !hasStage(d, stage) {
				return fault.New("ValidationException", "The pipeline '%s' does not have a stage with name '%s'", p.Name, stage)
			}
		}
		before, err := position[int64](in.NextToken, append(parts, p.ID)...)
		if err != nil {
			return err
		}
		list, err = tx.ListExecutions(ctx, p.ID, before, stage, p.Version, limit+1)
		parts = append(parts, p.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &api.ListPipelineExecutionsOutput{PipelineExecutionSummaries: []api.PipelineExecutionSummary{}}
	for i, e := range list {
		if i == limit {
			out.NextToken = nextToken(list[i-1].Order, parts...)
			break
		}
		out.PipelineExecutionSummaries = append(out.PipelineExecutionSummaries, summary(e))
	}
	return out, nil
}

func summary(e *engine.Execution) api.PipelineExecutionSummary {
	s := api.PipelineExecutionSummary{
		PipelineExecutionId: string(e.ID), Status: string(e.Status), StatusSummary: e.StatusSummary, StartTime: &e.Started, LastUpdateTime: &e.Updated,
		SourceRevisions: []api.SourceRevision{}, Trigger: trigger(e), ExecutionMode: string(e.Mode), ExecutionType: e.Type, RollbackMetadata: rollback(e),
	}
	for _, v := range e.SourceRevisions {
		s.SourceRevisions = append(s.SourceRevisions, api.SourceRevision{ActionName: v.ActionName, RevisionId: v.RevisionID,
			RevisionSummary: v.RevisionSummary, RevisionUrl: v.RevisionURL})
	}
	if e.Stop != nil { // S-127
		s.StopTrigger = &api.StopExecutionTrigger{Reason: e.Stop.Reason}
	}
	return s
}

func hasStage(d *pipeline.Declaration, name string) bool {
	for _, s := range d.Stages {
		if s.Name == name {
			return true
		}
	}
	return false
}
