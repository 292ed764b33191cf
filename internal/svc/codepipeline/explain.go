package codepipeline

import (
	"context"
	"errors"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/engine"
	"penstock/internal/fault"
	"penstock/internal/pipeline"
	"penstock/internal/store"
)

// ExplainPipeline says why an execution, the newest if none is named, stands where it does,
// and what came of the last changes in the sources. The permission is GetPipelineState.
func (r *Room) ExplainPipeline(ctx context.Context, in *api.ExplainPipelineInput) (*api.ExplainPipelineOutput, error) {
	c, err := allow(ctx, "GetPipelineState", in.Name)
	if err != nil {
		return nil, err
	}
	out := &api.ExplainPipelineOutput{Facts: []string{}, SourceEvents: []api.SourceEvent{}}
	return out, r.DB.View(ctx, func(tx *store.Tx) error {
		p, err := find(ctx, tx, c, in.Name)
		if err != nil {
			return err
		}
		s, err := tx.ViewState(ctx, p.ID)
		if err != nil {
			return err
		}
		id := pipeline.ExecutionID(in.PipelineExecutionId)
		if id == "" {
			if id, err = tx.NewestExecution(ctx, p.ID); errors.Is(err, store.ErrNotFound) {
				return r.sourceEvents(ctx, tx, p, out)
			} else if err != nil {
				return err
			}
		}
		e, err := tx.Execution(ctx, p.ID, id)
		if errors.Is(err, store.ErrNotFound) {
			return fault.New("PipelineExecutionNotFoundException", "The pipeline '%s' does not have an execution with id '%s'", in.Name, id)
		}
		if err != nil {
			return err
		}
		out.PipelineExecutionId, out.Facts = string(e.ID), engine.Explain(s, e)
		return r.sourceEvents(ctx, tx, p, out)
	})
}

func (r *Room) sourceEvents(ctx context.Context, tx *store.Tx, p store.Pipeline, out *api.ExplainPipelineOutput) error {
	list, err := tx.SourceEvents(ctx, p.ID)
	for i := range list {
		out.SourceEvents = append(out.SourceEvents, api.SourceEvent{At: &list[i].At, Subject: list[i].Subject, Outcome: list[i].Outcome})
	}
	return err
}
