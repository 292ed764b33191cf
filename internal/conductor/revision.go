package conductor

import (
	"context"

	"penstock/internal/engine"
	"penstock/internal/pipeline"
	"penstock/internal/store"
)

// remember records the revision that an event reported for a source whose worker is elsewhere,
// or that such a worker says it took, with its last job or an earlier one: it was seen, and by
// which execution (S-105, S-313).
func remember(ctx context.Context, tx *store.Tx, pipelineID string, s *engine.State, ev engine.Event) error {
	switch ev := ev.(type) {
	case engine.Start:
		if ev.Reported == nil {
			return nil
		}
		e := execution(s, s.Started)
		return tx.PutRevision(ctx, pipelineID, ev.Reported.Action, ev.Reported.ID, e.ID, e.Order)
	case engine.Succeed:
		e := execution(s, ev.Job.Execution)
		for _, run := range e.LatestRuns() {
			if run.ID == ev.Job.Run && run.Type.Category == pipeline.CategorySource && run.Type.Owner != pipeline.OwnerAWS && run.Revision != nil {
				return tx.PutRevision(ctx, pipelineID, run.Action, run.Revision.ID, e.ID, e.Order)
			}
		}
	}
	return nil
}

// execution finds an execution that the last step was about.
func execution(s *engine.State, id pipeline.ExecutionID) *engine.Execution {
	if e := s.Executions[id]; e != nil {
		return e
	}
	for _, e := range s.Retired {
		if e.ID == id {
			return e
		}
	}
	return &engine.Execution{ID: id}
}
