package codepipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/engine"
	"penstock/internal/pipeline"
	"penstock/internal/store"
)

// DisableStageTransition closes a gate (A-9, S-154).
func (r *Room) DisableStageTransition(ctx context.Context, in *api.DisableStageTransitionInput) (*api.DisableStageTransitionOutput, error) {
	c, err := allow(ctx, "DisableStageTransition", in.PipelineName, in.StageName)
	if err != nil {
		return nil, err
	}
	_, err = r.apply(ctx, c, in.PipelineName, engine.DisableTransition{Stage: in.StageName, Direction: in.TransitionType, Reason: in.Reason, By: c.ARN})
	return nil, err
}

// EnableStageTransition opens a gate (A-10, S-154).
func (r *Room) EnableStageTransition(ctx context.Context, in *api.EnableStageTransitionInput) (*api.EnableStageTransitionOutput, error) {
	c, err := allow(ctx, "EnableStageTransition", in.PipelineName, in.StageName)
	if err != nil {
		return nil, err
	}
	_, err = r.apply(ctx, c, in.PipelineName, engine.EnableTransition{Stage: in.StageName, Direction: in.TransitionType, By: c.ARN})
	return nil, err
}

// RetryStageExecution runs a failed stage again in place (A-37, S-164).
func (r *Room) RetryStageExecution(ctx context.Context, in *api.RetryStageExecutionInput) (*api.RetryStageExecutionOutput, error) {
	c, err := allow(ctx, "RetryStageExecution", in.PipelineName, in.StageName)
	if err != nil {
		return nil, err
	}
	_, err = r.apply(ctx, c, in.PipelineName, engine.Retry{Stage: in.StageName, Execution: pipeline.ExecutionID(in.PipelineExecutionId), Mode: pipeline.RetryMode(in.RetryMode)})
	if err != nil {
		return nil, err
	}
	return &api.RetryStageExecutionOutput{PipelineExecutionId: in.PipelineExecutionId}, nil
}

// RollbackStage runs a stage with what an earlier execution had there (A-38, S-184).
func (r *Room) RollbackStage(ctx context.Context, in *api.RollbackStageInput) (*api.RollbackStageOutput, error) {
	c, err := allow(ctx, "RollbackStage", in.PipelineName, in.StageName)
	if err != nil {
		return nil, err
	}
	after, err := r.apply(ctx, c, in.PipelineName, engine.Rollback{Stage: in.StageName, Target: pipeline.ExecutionID(in.TargetPipelineExecutionId), By: c.ARN})
	if err != nil {
		return nil, err
	}
	return &api.RollbackStageOutput{PipelineExecutionId: string(after.Started)}, nil
}

// PutApprovalResult answers a pending approval (A-30, S-223). It is authorised on the
// action, not on the pipeline (S-228).
func (r *Room) PutApprovalResult(ctx context.Context, in *api.PutApprovalResultInput) (*api.PutApprovalResultOutput, error) {
	c, err := allow(ctx, "PutApprovalResult", in.PipelineName, in.StageName, in.ActionName)
	if err != nil {
		return nil, err
	}
	var at time.Time
	err = r.DB.Update(ctx, func(tx *store.Tx) error {
		p, err := find(ctx, tx, c, in.PipelineName)
		if err != nil {
			return err
		}
		at = tx.Now()
		s, err := tx.LoadState(ctx, p.ID)
		if err != nil {
			return err
		}
		answer := engine.Approve{Stage: in.StageName, Action: in.ActionName, Token: in.Token, Status: in.Result.Status, Summary: in.Result.Summary, By: c.ARN}
		if e, run := s.Pending(in.StageName, in.ActionName, in.Token); e != nil {
			tx.Note("pipelineExecutionId", string(e.ID))
			tx.Note("sourceRevisions", e.SourceRevisions)
			tx.Note("approvals", fmt.Sprintf("%d of %d before this", len(run.Approvals), engine.Needed(run)))
			if answer.Authors, err = authors(ctx, tx, s, e); err != nil {
				return err
			}
		}
		_, err = r.Conductor.ApplyTx(ctx, tx, p.ID, answer)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &api.PutApprovalResultOutput{ApprovedAt: &at}, nil
}

// authors gives who brought the revisions of an execution, by source action: of commits in a
// repository of this server who pushed or made them. Of other sources nobody is known.
func authors(ctx context.Context, tx *store.Tx, s *engine.State, e *engine.Execution) (map[string]string, error) {
	found := map[string]string{}
	d := s.Attached.Definitions[e.Version]
	for _, r := range e.SourceRevisions {
		for i := range d.Stages {
			a, ok := d.Stages[i].Action(r.ActionName)
			if !ok || a.ActionTypeID.Category != pipeline.CategorySource || a.ActionTypeID.Owner != pipeline.OwnerAWS || a.ActionTypeID.Provider != "CodeCommit" {
				continue
			}
			who, err := tx.CodeCommitPusher(ctx, s.Account, cmp.Or(a.Region, s.Region), a.Configuration["RepositoryName"], r.RevisionID)
			if err == nil {
				found[r.ActionName] = who
			} else if !errors.Is(err, store.ErrNotFound) {
				return nil, err
			}
		}
	}
	return found, nil
}
