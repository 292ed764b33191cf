package store

import (
	"context"
	"database/sql"
	"errors"
)

// Removal is something of which rows are left that are to be removed, some at a time: the runs of
// an execution that is history no longer, or what a deleted pipeline had. None of them is found
// by anybody who asks for what there is.
type Removal struct {
	PipelineID string
	// Execution is empty for the whole pipeline.
	Execution string
}

// Removals gives up to limit of what is to be removed.
func (tx *Tx) Removals(ctx context.Context, limit int) ([]Removal, error) {
	return all(ctx, tx, `SELECT pipeline_id, execution_id FROM removal ORDER BY pipeline_id, execution_id LIMIT $1`, []any{limit}, func(rows *sql.Rows) (Removal, error) {
		var r Removal
		return r, rows.Scan(&r.PipelineID, &r.Execution)
	})
}

// Remove removes up to limit rows and says whether there may be more. The artifacts of an
// execution are remembered as RemoveHistory does; those of a pipeline that is deleted are their
// owner's (S-68).
func (tx *Tx) Remove(ctx context.Context, r Removal, limit int, artifacts bool) (done HistoryBatch, err error) {
	n := 0
	if r.Execution == "" {
		n, err = tx.removeOf(ctx, r.PipelineID, limit)
	} else {
		var s stateDoc
		if s, err = tx.lockedState(ctx, r.PipelineID); errors.Is(err, ErrNotFound) {
			artifacts, err = false, nil
		}
		if err == nil {
			n, err = tx.removeRuns(ctx, r.PipelineID, r.Execution, s.State, limit, artifacts, &done)
		}
	}
	if err != nil {
		return done, err
	}
	if done.More = n == limit; done.More {
		return done, nil
	}
	_, err = tx.exec(ctx, `DELETE FROM removal WHERE pipeline_id = $1 AND execution_id = $2`, r.PipelineID, r.Execution)
	return done, err
}

// removeOf removes up to limit rows of a pipeline that is deleted, of the tables in which it can
// have very many, and tells how many.
func (tx *Tx) removeOf(ctx context.Context, id string, limit int) (n int, err error) {
	for _, statement := range []string{
		`DELETE FROM execution WHERE pipeline_id = $1 AND id IN (SELECT id FROM execution WHERE pipeline_id = $1 ORDER BY id LIMIT $2)`,
		`DELETE FROM stage_success WHERE pipeline_id = $1 AND (stage, start_order) IN (SELECT stage, start_order FROM stage_success WHERE pipeline_id = $1 ORDER BY stage, start_order LIMIT $2)`,
		`DELETE FROM action_execution WHERE pipeline_id = $1 AND number IN (SELECT number FROM action_execution WHERE pipeline_id = $1 ORDER BY number LIMIT $2)`,
		`DELETE FROM rule_execution WHERE pipeline_id = $1 AND id IN (SELECT id FROM rule_execution WHERE pipeline_id = $1 ORDER BY id LIMIT $2)`,
		`DELETE FROM pipeline_version WHERE pipeline_id = $1 AND version IN (SELECT version FROM pipeline_version WHERE pipeline_id = $1 ORDER BY version LIMIT $2)`,
		`DELETE FROM start_token WHERE pipeline_id = $1 AND token IN (SELECT token FROM start_token WHERE pipeline_id = $1 ORDER BY token LIMIT $2)`,
		`DELETE FROM source_event WHERE pipeline_id = $1 AND (at, subject) IN (SELECT at, subject FROM source_event WHERE pipeline_id = $1 ORDER BY at, subject LIMIT $2)`,
		`DELETE FROM action_revision WHERE pipeline_id = $1 AND (action, digest) IN (SELECT action, digest FROM action_revision WHERE pipeline_id = $1 ORDER BY action, digest LIMIT $2)`,
	} {
		gone, err := tx.exec(ctx, statement, id, limit-n)
		if n += int(gone); err != nil || n == limit {
			return n, err
		}
	}
	return n, nil
}
