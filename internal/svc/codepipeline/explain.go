package codepipeline

import (
	"context"
	"errors"
	"fmt"

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
		jobs, err := r.untaken(ctx, tx, s, e)
		if stage := s.Stages[e.Stage]; err == nil && e.Position == engine.Waiting && stage != nil && s.Executions[stage.Holder] != nil {
			jobs, err = r.untaken(ctx, tx, s, s.Executions[stage.Holder])
			for i := range jobs {
				jobs[i] = "There: " + jobs[i]
			}
		}
		if err != nil {
			return err
		}
		out.Facts = append(out.Facts, jobs...)
		return r.sourceEvents(ctx, tx, p, out)
	})
}

// untaken says which jobs of an execution wait for workers elsewhere (S-302, S-318): their actions
// are in progress, and nobody is at work.
func (r *Room) untaken(ctx context.Context, tx *store.Tx, s *engine.State, e *engine.Execution) (facts []string, err error) {
	for _, run := range e.LatestRuns() {
		id := run.Type
		if run.Status != pipeline.InProgress || run.Job == "" || id.Owner == pipeline.OwnerAWS {
			continue
		}
		row, err := tx.Job(ctx, run.Job)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		switch {
		case row.Function != "":
		case row.Status == engine.JobDispatched:
			facts = append(facts, fmt.Sprintf("Job %d of action '%s' was handed to a worker, which has not acknowledged it yet.", row.Number, run.Action))
		case row.Status == engine.JobQueued:
			poll, which := "PollForJobs", ""
			if id.Owner == pipeline.OwnerThirdParty {
				poll = "PollForThirdPartyJobs"
			}
			if t, ok := r.Conductor.Catalogue(ctx, tx, s.Account, s.Region)(id); ok {
				if name, value, ok := t.QueryableValue(row.Configuration); ok {
					which = ", and " + name + "=" + value
				}
			}
			facts = append(facts, fmt.Sprintf("No worker has taken job %d of action '%s' yet. Workers ask for it with %s of %s/%s/%s/%s%s.",
				row.Number, run.Action, poll, id.Category, id.Owner, id.Provider, id.Version, which))
		}
	}
	return facts, nil
}

func (r *Room) sourceEvents(ctx context.Context, tx *store.Tx, p store.Pipeline, out *api.ExplainPipelineOutput) error {
	list, err := tx.SourceEvents(ctx, p.ID)
	for i := range list {
		out.SourceEvents = append(out.SourceEvents, api.SourceEvent{At: &list[i].At, Subject: list[i].Subject, Outcome: list[i].Outcome})
	}
	return err
}
