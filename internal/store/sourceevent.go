package store

import (
	"context"
	"database/sql"
	"strings"
	"time"
)

// SourceEvent is what came of a change in a source of a pipeline: an execution, or the
// reason why there is none.
type SourceEvent struct {
	At               time.Time
	Subject, Outcome string
}

// keepSourceEvents is how many are kept of each pipeline.
const keepSourceEvents = 50

// PutSourceEvent records what came of a change, and forgets the oldest. What texts from elsewhere
// have that no database keeps is replaced.
func (tx *Tx) PutSourceEvent(ctx context.Context, pipelineID, subject, outcome string) error {
	for _, text := range []*string{&subject, &outcome} {
		*text = strings.ReplaceAll(strings.ToValidUTF8(*text, "\uFFFD"), "\x00", "\uFFFD")
	}
	if _, err := tx.exec(ctx, `INSERT INTO source_event (pipeline_id, at, subject, outcome) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
		pipelineID, micros(tx.Now()), subject, outcome); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `DELETE FROM source_event WHERE pipeline_id = $1 AND at <=
		(SELECT at FROM source_event WHERE pipeline_id = $1 ORDER BY at DESC LIMIT 1 OFFSET $2)`, pipelineID, keepSourceEvents)
	return err
}

// SourceEvents lists what is kept of a pipeline, newest first.
func (tx *Tx) SourceEvents(ctx context.Context, pipelineID string) ([]SourceEvent, error) {
	return all(ctx, tx, `SELECT at, subject, outcome FROM source_event WHERE pipeline_id = $1 ORDER BY at DESC, subject DESC`, []any{pipelineID},
		func(rows *sql.Rows) (SourceEvent, error) {
			var e SourceEvent
			var at int64
			err := rows.Scan(&at, &e.Subject, &e.Outcome)
			e.At = fromMicros(at)
			return e, err
		})
}
