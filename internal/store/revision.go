package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"penstock/internal/pipeline"
)

// RevisionExecution gives the execution that started last of those that used a revision of a
// source action (S-105); ErrNotFound for a revision that was not seen. What was seen longer
// ago than history goes back is forgotten (S-78).
func (tx *Tx) RevisionExecution(ctx context.Context, pipelineID, action, revision string) (pipeline.ExecutionID, error) {
	var id string
	err := tx.one(ctx, `SELECT execution_id FROM action_revision WHERE pipeline_id = $1 AND action = $2 AND digest = $3 AND at > $4`,
		[]any{pipelineID, action, digest(revision), micros(tx.Now().Add(-tx.db.history))}, &id)
	return pipeline.ExecutionID(id), err
}

// PutRevision records that an execution, by its start order, uses a revision of a source
// action (S-105).
func (tx *Tx) PutRevision(ctx context.Context, pipelineID, action, revision string, execution pipeline.ExecutionID, order int64) error {
	_, err := tx.exec(ctx, `INSERT INTO action_revision (pipeline_id, action, digest, execution_id, start_order, at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (pipeline_id, action, digest) DO UPDATE SET execution_id = excluded.execution_id, start_order = excluded.start_order, at = excluded.at
		WHERE excluded.start_order >= action_revision.start_order`,
		pipelineID, action, digest(revision), string(execution), order, micros(tx.Now()))
	return err
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
