package store

import (
	"cmp"
	"context"
	"database/sql"
	"time"

	"penstock/internal/pipeline"
)

// Timer is a wake-up that a pipeline's action execution asked for.
type Timer struct {
	Run        pipeline.ActionExecutionID
	PipelineID string
	At         time.Time
}

// SetTimer asks for a wake-up, in place of an earlier one of the same run.
func (tx *Tx) SetTimer(ctx context.Context, t Timer) error {
	_, err := tx.exec(ctx, `INSERT INTO timer (run_id, pipeline_id, at) VALUES ($1, $2, $3)
		ON CONFLICT (run_id) DO UPDATE SET at = excluded.at`, string(t.Run), t.PipelineID, micros(t.At))
	return err
}

// TakeTimer removes a wake-up that is due, and says whether it did: a wake-up that was
// moved to a later time meanwhile, or is early because the clock was set back, stays.
func (tx *Tx) TakeTimer(ctx context.Context, run pipeline.ActionExecutionID) (bool, error) {
	n, err := tx.exec(ctx, `DELETE FROM timer WHERE run_id = $1 AND at <= $2`, string(run), micros(tx.Now()))
	return n > 0, err
}

// ClearTimer takes a wake-up back.
func (tx *Tx) ClearTimer(ctx context.Context, run pipeline.ActionExecutionID) error {
	_, err := tx.exec(ctx, `DELETE FROM timer WHERE run_id = $1`, string(run))
	return err
}

// NextTimers gives the first timers, due or not, in the order of their times.
func (tx *Tx) NextTimers(ctx context.Context, limit int) ([]Timer, error) {
	return all(ctx, tx, `SELECT run_id, pipeline_id, at FROM timer ORDER BY at LIMIT $1`, []any{limit}, func(rows *sql.Rows) (Timer, error) {
		var t Timer
		var at int64
		err := rows.Scan(&t.Run, &t.PipelineID, &at)
		t.At = fromMicros(at)
		return t, err
	})
}

// Outgoing is an event that waits to be told to the world (S-340).
type Outgoing struct {
	Seq int64
	// Source is who tells it; empty is aws.codepipeline.
	Source     string
	Account    string
	Region     string
	Resource   string
	At         time.Time
	DetailType string
	// Detail is JSON.
	Detail string
}

// InsertOutgoing puts an event into the outbox.
func (tx *Tx) InsertOutgoing(ctx context.Context, o Outgoing) error {
	_, err := tx.exec(ctx, `INSERT INTO outbox (source, account, region, resource, at, detail_type, detail) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		cmp.Or(o.Source, "aws.codepipeline"), o.Account, o.Region, o.Resource, micros(o.At), o.DetailType, o.Detail)
	return err
}

// ListOutgoing gives the oldest events of the outbox in the order they were written.
func (tx *Tx) ListOutgoing(ctx context.Context, limit int) ([]Outgoing, error) {
	return all(ctx, tx, `SELECT seq, source, account, region, resource, at, detail_type, detail FROM outbox ORDER BY seq LIMIT $1`, []any{limit},
		func(rows *sql.Rows) (Outgoing, error) {
			var o Outgoing
			var at int64
			err := rows.Scan(&o.Seq, &o.Source, &o.Account, &o.Region, &o.Resource, &at, &o.DetailType, &o.Detail)
			o.At = fromMicros(at)
			return o, err
		})
}

// DeleteOutgoing removes delivered events.
func (tx *Tx) DeleteOutgoing(ctx context.Context, seqs []int64) error {
	names, args := inList(nil, seqs)
	_, err := tx.exec(ctx, `DELETE FROM outbox WHERE seq IN `+names, args...)
	return err
}
