package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"penstock/internal/engine"
	"penstock/internal/pipeline"
)

// slack is added on both sides to the time in which an action wrote its artifacts: clocks
// differ, and the credentials that a worker got last an hour longer than its job may.
const slack = time.Hour

// HistoryBatch is what RemoveHistory has removed.
type HistoryBatch struct {
	Executions, Runs, Artifacts int
	// Next is where the next batch goes on, if there is More to look at.
	Next int64
	More bool
}

// PipelinesWithOldHistory gives up to limit pipelines, by id, those after the id given, whose
// first execution was started before history begins (S-78).
func (tx *Tx) PipelinesWithOldHistory(ctx context.Context, after string, limit int) ([]string, error) {
	return all(ctx, tx, `SELECT id FROM pipeline WHERE id > $1 AND
		(SELECT started FROM execution WHERE pipeline_id = pipeline.id ORDER BY start_order LIMIT 1) < $2 ORDER BY id LIMIT $3`,
		[]any{after, micros(tx.Now().Add(-tx.db.history)), limit}, scanText)
}

// RemoveHistory looks at up to limit executions of a pipeline, oldest first, those after the
// start order given (S-78). It removes those that were started before history begins, with the
// runs of their actions and rules, and remembers their artifacts as stale if artifacts says so.
// At most so many runs are removed: of the execution that has more, which is gone and shown
// nowhere, a Removal says that they are still to be.
//
// What may be needed still is kept: executions that are live, the newest, those that a stage
// shows or would be rolled back to (S-5, S-188), and those whose artifacts a rollback in
// history has taken over (S-182).
func (tx *Tx) RemoveHistory(ctx context.Context, id string, after int64, limit, runs int, artifacts bool) (HistoryBatch, error) {
	// The lock keeps out every event that could take up what is about to go.
	s, err := tx.lockedState(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return HistoryBatch{}, nil
	} else if err != nil {
		return HistoryBatch{}, err
	}
	keep, err := tx.shown(ctx, id, s)
	if err != nil {
		return HistoryBatch{}, err
	}
	list, err := all(ctx, tx, `SELECT start_order, started, live, doc, EXISTS (SELECT 1 FROM execution r
			WHERE r.pipeline_id = e.pipeline_id AND r.rollback_target = e.id AND r.rollback_target <> '')
		FROM execution e WHERE pipeline_id = $1 AND start_order > $2 ORDER BY start_order LIMIT $3`, []any{id, after, limit}, scanPast)
	if err != nil {
		return HistoryBatch{}, err
	}
	begins := micros(tx.Now().Add(-tx.db.history))
	done := HistoryBatch{Next: after, More: len(list) == limit}
	for _, p := range list {
		if p.started >= begins {
			done.More = false
			break
		}
		if done.Runs >= runs {
			done.More = true
			break
		}
		done.Next = p.order
		if p.live || p.target || keep[p.doc.ID] {
			continue
		}
		if err := tx.removeExecution(ctx, id, s.State, p, runs-done.Runs, artifacts, &done); err != nil {
			return HistoryBatch{}, err
		}
	}
	return done, nil
}

// lockedState gives the state of a pipeline as its row has it, without its executions, and keeps
// every event out.
func (tx *Tx) lockedState(ctx context.Context, id string) (stateDoc, error) {
	var text string
	if err := tx.one(ctx, `SELECT state FROM pipeline WHERE id = $1`+tx.forUpdate(), []any{id}, &text); err != nil {
		return stateDoc{}, err
	}
	s := stateDoc{State: new(engine.State)}
	return s, json.Unmarshal([]byte(text), &s)
}

// past is an execution that may be removed.
type past struct {
	order, started int64
	// live says that it is in the state, target that a rollback has taken its artifacts over.
	live, target bool
	doc          executionDoc
}

func scanPast(rows *sql.Rows) (past, error) {
	var p past
	var live int64
	var text []byte
	if err := rows.Scan(&p.order, &p.started, &live, &text, &p.target); err != nil {
		return past{}, err
	}
	p.live, p.doc = live == 1, executionDoc{Execution: new(engine.Execution)}
	return p, json.Unmarshal(text, &p.doc)
}

// shown are the executions that a pipeline's state speaks of, and the newest.
func (tx *Tx) shown(ctx context.Context, id string, s stateDoc) (map[pipeline.ExecutionID]bool, error) {
	newest, err := tx.NewestExecution(ctx, id)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	keep := map[pipeline.ExecutionID]bool{newest: true}
	runs := map[int64]bool{}
	for _, stage := range s.Stages {
		keep[stage.Target] = true
		for _, e := range []*engine.StageExecution{stage.Latest, stage.LastInbound} {
			if e != nil {
				keep[e.ID] = true
			}
		}
		for _, n := range stage.Actions {
			runs[n] = true
		}
		for _, c := range stage.Conditions {
			for _, run := range c.Rules {
				keep[run.Execution] = true
			}
		}
	}
	for some := range slices.Chunk(slices.Sorted(maps.Keys(runs)), 1000) {
		list, args := inList([]any{id}, some)
		of, err := all(ctx, tx, `SELECT execution_id FROM action_execution WHERE pipeline_id = $1 AND number IN `+list, args, scanText)
		if err != nil {
			return nil, err
		}
		for _, execution := range of {
			keep[pipeline.ExecutionID(execution)] = true
		}
	}
	return keep, nil
}

// removeExecution removes one execution, and of its runs as many as are allowed.
func (tx *Tx) removeExecution(ctx context.Context, id string, s *engine.State, p past, runs int, artifacts bool, done *HistoryBatch) error {
	for _, stage := range slices.Sorted(maps.Keys(p.doc.Runs)) {
		if _, err := tx.exec(ctx, `DELETE FROM stage_success WHERE pipeline_id = $1 AND stage = $2 AND start_order = $3`, id, stage, p.order); err != nil {
			return err
		}
	}
	if _, err := tx.exec(ctx, `DELETE FROM execution WHERE pipeline_id = $1 AND id = $2`, id, string(p.doc.ID)); err != nil {
		return err
	}
	done.Executions++
	n, err := tx.removeRuns(ctx, id, string(p.doc.ID), s, runs, artifacts, done)
	if err != nil || n < runs {
		return err
	}
	_, err = tx.exec(ctx, `INSERT INTO removal (pipeline_id, execution_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`, id, string(p.doc.ID))
	return err
}

// removeRuns removes up to limit runs of an execution, oldest first, and tells how many.
func (tx *Tx) removeRuns(ctx context.Context, id, execution string, s *engine.State, limit int, artifacts bool, done *HistoryBatch) (n int, err error) {
	for _, table := range []string{"action_execution", "rule_execution"} {
		list, err := all(ctx, tx, `SELECT doc FROM `+table+` WHERE pipeline_id = $1 AND execution_id = $2 ORDER BY number LIMIT $3`,
			[]any{id, execution, limit - n}, tx.scanRun)
		if err != nil || len(list) == 0 {
			if err != nil {
				return n, err
			}
			continue
		}
		for _, run := range list {
			if !artifacts {
				break
			}
			if err := tx.abandonArtifacts(ctx, id, s, run, done); err != nil {
				return n, err
			}
		}
		if _, err := tx.exec(ctx, `DELETE FROM `+table+` WHERE pipeline_id = $1 AND execution_id = $2 AND number <= $3`,
			id, execution, list[len(list)-1].Number); err != nil {
			return n, err
		}
		n += len(list)
	}
	done.Runs += n
	return n, nil
}

// abandonArtifacts remembers what a run has written to artifact buckets: its outputs and, if it
// ran in another Region than its pipeline, the copies of its inputs there and of its outputs at
// home (S-292).
func (tx *Tx) abandonArtifacts(ctx context.Context, id string, s *engine.State, run *engine.ActionRun, done *HistoryBatch) error {
	if len(run.Inputs)+len(run.Outputs) == 0 {
		return nil
	}
	d, err := tx.Declaration(ctx, id, run.Version)
	if err != nil {
		return err
	}
	home, _ := pipeline.ArtifactBucket(d, s.Region)
	var list []StaleArtifact
	for _, a := range run.Outputs {
		list = append(list, StaleArtifact{Bucket: a.Bucket, Key: a.Key, Region: run.Region})
		if a.Bucket != home.Location {
			list = append(list, StaleArtifact{Bucket: home.Location, Key: a.Key, Region: s.Region})
		}
	}
	for _, a := range run.Inputs {
		if a.Bucket != home.Location {
			list = append(list, StaleArtifact{Bucket: a.Bucket, Key: a.Key, Region: run.Region})
		}
	}
	for _, a := range list {
		n, err := tx.exec(ctx, `INSERT INTO stale_artifact (bucket, key, written_from, written_until, account, region, due, tries)
			VALUES ($1, $2, $3, $4, $5, $6, $7, 0)
			ON CONFLICT (bucket, key, written_from) DO UPDATE SET written_until = excluded.written_until WHERE stale_artifact.written_until < excluded.written_until`, a.Bucket, a.Key, micros(run.Started.Add(-slack)), micros(run.Updated.Add(slack)),
			s.Account, a.Region, micros(tx.Now()))
		if err != nil {
			return err
		}
		done.Artifacts += int(n)
	}
	return nil
}

// StaleArtifact is an artifact of an execution that is history no longer. Of what its bucket
// has under its key, the versions that were written from From to Until are meant.
type StaleArtifact struct {
	Bucket, Key     string
	From, Until     time.Time
	Account, Region string
	// Tries counts how often it could not be deleted.
	Tries int
}

// StaleArtifacts gives up to limit stale artifacts that are due, the longest due first.
func (tx *Tx) StaleArtifacts(ctx context.Context, limit int) ([]StaleArtifact, error) {
	return all(ctx, tx, `SELECT bucket, key, written_from, written_until, account, region, tries FROM stale_artifact WHERE due <= $1 ORDER BY due LIMIT $2`,
		[]any{micros(tx.Now()), limit}, func(rows *sql.Rows) (StaleArtifact, error) {
			var a StaleArtifact
			var from, until int64
			err := rows.Scan(&a.Bucket, &a.Key, &from, &until, &a.Account, &a.Region, &a.Tries)
			a.From, a.Until = fromMicros(from), fromMicros(until)
			return a, err
		})
}

// ForgetStaleArtifact is for one that is deleted.
func (tx *Tx) ForgetStaleArtifact(ctx context.Context, a StaleArtifact) error {
	_, err := tx.exec(ctx, `DELETE FROM stale_artifact WHERE bucket = $1 AND key = $2 AND written_from = $3`, a.Bucket, a.Key, micros(a.From))
	return err
}

// PostponeStaleArtifact is for one that could not be deleted: it is due again after a time.
func (tx *Tx) PostponeStaleArtifact(ctx context.Context, a StaleArtifact, after time.Duration) error {
	_, err := tx.exec(ctx, `UPDATE stale_artifact SET due = $4, tries = tries + 1 WHERE bucket = $1 AND key = $2 AND written_from = $3`,
		a.Bucket, a.Key, micros(a.From), micros(tx.Now().Add(after)))
	return err
}
