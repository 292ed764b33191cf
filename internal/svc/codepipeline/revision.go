package codepipeline

import (
	"context"
	"errors"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/engine"
	"penstock/internal/pipeline"
	"penstock/internal/store"
)

// PutActionRevision starts an execution with a revision that was not seen before, and
// otherwise gives the last one that used it (A-29, S-105, Q-10).
func (r *Room) PutActionRevision(ctx context.Context, in *api.PutActionRevisionInput) (*api.PutActionRevisionOutput, error) {
	c, err := allow(ctx, "PutActionRevision", in.PipelineName, in.StageName, in.ActionName)
	if err != nil {
		return nil, err
	}
	told := in.ActionRevision
	start := engine.Start{
		Trigger: pipeline.Trigger{Type: pipeline.TriggerPutActionRevision, Detail: c.ARN},
		Reported: &engine.Reported{Stage: in.StageName, Action: in.ActionName,
			Revision: pipeline.Revision{ID: told.RevisionId, ChangeIdentifier: told.RevisionChangeId, Created: value(told.Created)}},
	}
	out := new(api.PutActionRevisionOutput)
	err = r.DB.Update(ctx, func(tx *store.Tx) error {
		p, err := find(ctx, tx, c, in.PipelineName)
		if err != nil {
			return err
		}
		s, err := tx.LoadState(ctx, p.ID) // one report at a time, so that a revision starts once
		if err != nil {
			return err
		}
		if err := engine.CheckReported(s.Current(), start.Reported); err != nil {
			return err
		}
		seen, err := tx.RevisionExecution(ctx, p.ID, in.ActionName, told.RevisionId)
		if err == nil {
			out.NewRevision, out.PipelineExecutionId = new(false), string(seen)
			return nil
		}
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		after, err := r.Conductor.StepTx(ctx, tx, p.ID, s, start)
		if err != nil {
			return err
		}
		out.NewRevision, out.PipelineExecutionId = new(true), string(after.Started)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
