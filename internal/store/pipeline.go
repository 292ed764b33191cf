package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"penstock/internal/engine"
	"penstock/internal/pipeline"
)

// Pipeline is a pipeline's row without its executions.
type Pipeline struct {
	// ID is unique for ever: a pipeline created again under the same name has another.
	ID      string
	Account string
	Region  string
	Name    string
	Version int
	Type    string
	Mode    pipeline.ExecutionMode
	Created time.Time
	Updated time.Time
}

const pipelineColumns = `id, account, region, name, version, pipeline_type, execution_mode, created, updated`

func scanPipeline(rows *sql.Rows) (Pipeline, error) {
	var p Pipeline
	var created, updated int64
	err := rows.Scan(&p.ID, &p.Account, &p.Region, &p.Name, &p.Version, &p.Type, &p.Mode, &created, &updated)
	p.Created, p.Updated = fromMicros(created), fromMicros(updated)
	return p, err
}

// micros is how times are stored; the zero time is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// InsertPipeline stores a new pipeline with its first version. ErrExists if the name is in
// use (S-60); the transaction is then still usable.
func (tx *Tx) InsertPipeline(ctx context.Context, id string, s *engine.State, d *pipeline.Declaration) error {
	state, err := writeState(s)
	if err != nil {
		return err
	}
	n, err := tx.exec(ctx, `INSERT INTO pipeline (`+pipelineColumns+`, stamp, state) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, '', $10)
		ON CONFLICT DO NOTHING`,
		id, s.Account, s.Region, s.Name, s.Version, d.PipelineType, string(d.ExecutionMode), micros(s.Created), micros(s.Updated), string(state))
	if err != nil {
		return err
	}
	if n == 0 {
		return ErrExists
	}
	return tx.InsertVersion(ctx, id, d)
}

// InsertVersion stores a new version of a pipeline's structure, and whether it is set to polling.
func (tx *Tx) InsertVersion(ctx context.Context, id string, d *pipeline.Declaration) error {
	text, err := json.Marshal(d)
	if err != nil {
		return err
	}
	sealed, err := tx.seal(Secret(text), "declaration", id, strconv.Itoa(d.Version))
	if err != nil {
		return err
	}
	if _, err := tx.exec(ctx, `INSERT INTO pipeline_version (pipeline_id, version, declaration) VALUES ($1, $2, $3)`, id, d.Version, sealed); err != nil {
		return err
	}
	polled := 0
	if d.Polled() {
		polled = 1
	}
	_, err = tx.exec(ctx, `UPDATE pipeline SET polled = $2 WHERE id = $1 AND polled <> $2`, id, polled)
	return err
}

// FindPipeline gives a pipeline by its name; ErrNotFound if there is none.
func (tx *Tx) FindPipeline(ctx context.Context, account, region, name string) (Pipeline, error) {
	list, err := all(ctx, tx, `SELECT `+pipelineColumns+` FROM pipeline WHERE account = $1 AND region = $2 AND name = $3`,
		[]any{account, region, name}, scanPipeline)
	if err == nil && len(list) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Pipeline{}, err
	}
	return list[0], nil
}

// ListPipelines gives up to limit pipelines by name, those after the name given.
func (tx *Tx) ListPipelines(ctx context.Context, account, region, after string, limit int) ([]Pipeline, error) {
	return all(ctx, tx, `SELECT `+pipelineColumns+` FROM pipeline WHERE account = $1 AND region = $2 AND name > $3 ORDER BY name LIMIT $4`,
		[]any{account, region, after, limit}, scanPipeline)
}

// CountPipelines counts the pipelines of an account and Region (S-61).
func (tx *Tx) CountPipelines(ctx context.Context, account, region string) (int, error) {
	var n int
	err := tx.one(ctx, `SELECT count(*) FROM pipeline WHERE account = $1 AND region = $2`, []any{account, region}, &n)
	return n, err
}

// CountPolledPipelines counts the pipelines of an account and Region that are set to polling (S-61).
func (tx *Tx) CountPolledPipelines(ctx context.Context, account, region string) (int, error) {
	var n int
	err := tx.one(ctx, `SELECT count(*) FROM pipeline WHERE account = $1 AND region = $2 AND polled = 1`, []any{account, region}, &n)
	return n, err
}

// Declaration gives one version of a pipeline's structure; ErrNotFound if there is none.
func (tx *Tx) Declaration(ctx context.Context, id string, version int) (*pipeline.Declaration, error) {
	key := declarationKey{id, version}
	if d, ok := tx.db.declarations.get(key); ok {
		return d, nil
	}
	var text string
	if err := tx.one(ctx, `SELECT declaration FROM pipeline_version WHERE pipeline_id = $1 AND version = $2`, []any{id, version}, &text); err != nil {
		return nil, err
	}
	opened, err := tx.unsealOld(text, "declaration", id, strconv.Itoa(version))
	if err != nil {
		return nil, err
	}
	d := new(pipeline.Declaration)
	if err := json.Unmarshal([]byte(opened), d); err != nil {
		return nil, fmt.Errorf("store: version %d of pipeline %s: %w", version, id, err)
	}
	tx.AfterCommit(func() { tx.db.declarations.put(key, d) })
	return d, nil
}

// LoadState gives a pipeline's state with its live executions and their definitions. In an
// Update the row is locked until the transaction ends. ErrNotFound if there is none.
func (tx *Tx) LoadState(ctx context.Context, id string) (*engine.State, error) {
	return tx.state(ctx, id, tx.forUpdate())
}

// ViewState is LoadState without the lock.
func (tx *Tx) ViewState(ctx context.Context, id string) (*engine.State, error) {
	return tx.state(ctx, id, "")
}

func (tx *Tx) state(ctx context.Context, id, lock string) (*engine.State, error) {
	var stamp, text string
	if err := tx.one(ctx, `SELECT stamp FROM pipeline WHERE id = $1`+lock, []any{id}, &stamp); err != nil {
		return nil, err
	}
	if s, ok := tx.db.states.get(id, stamp); ok {
		return s, nil
	}
	// One statement for the stamp and the state: on PostgreSQL each sees a moment of its own.
	if err := tx.one(ctx, `SELECT stamp, state FROM pipeline WHERE id = $1`, []any{id}, &stamp, &text); err != nil {
		return nil, err
	}
	s, err := tx.readState(ctx, id, text)
	if err != nil {
		return nil, fmt.Errorf("store: state of pipeline %s: %w", id, err)
	}
	s.Attached.Definitions = map[int]*pipeline.Declaration{}
	versions := map[int]bool{s.Version: true}
	for _, e := range s.Executions {
		versions[e.Version] = true
	}
	for v := range versions {
		if s.Attached.Definitions[v], err = tx.Declaration(ctx, id, v); errors.Is(err, ErrNotFound) {
			return nil, fmt.Errorf("store: pipeline %s has no version %d", id, v) // not: there is no pipeline
		} else if err != nil {
			return nil, err
		}
	}
	if lock != "" || tx.db.dialect == sqliteDialect { // else the rows may be of several moments
		tx.AfterCommit(func() { tx.db.states.put(id, stamp, s) })
	}
	return s, nil
}

// SaveState stores the outcome of one engine step: the state, and the executions and action
// executions the step changed.
func (tx *Tx) SaveState(ctx context.Context, id string, s *engine.State) error {
	d := s.Current()
	state, err := writeState(s)
	if err != nil {
		return err
	}
	stamp := rand.Text()
	if _, err := tx.exec(ctx, `UPDATE pipeline SET version = $2, pipeline_type = $3, execution_mode = $4, updated = $5, stamp = $6, state = $7 WHERE id = $1`,
		id, s.Version, d.PipelineType, string(d.ExecutionMode), micros(s.Updated), stamp, string(state)); err != nil {
		return err
	}
	for _, e := range s.Executions {
		if err := tx.saveExecution(ctx, id, s.Seq, e, true); err != nil {
			return err
		}
	}
	for _, e := range s.Retired {
		if err := tx.saveExecution(ctx, id, s.Seq, e, false); err != nil {
			return err
		}
	}
	for _, run := range s.Ended {
		if err := tx.saveRun(ctx, id, s.Seq, run); err != nil {
			return err
		}
	}
	tx.AfterCommit(func() { tx.db.states.put(id, stamp, s) })
	return nil
}

const executionColumns = `pipeline_id, id, start_order, version, status, live, started, updated, rollback_target, doc`

func executionRow(id string, e *engine.Execution, live bool) ([]any, error) {
	doc, err := writeExecution(e)
	alive := 0
	if live {
		alive = 1
	}
	return []any{id, string(e.ID), e.Order, e.Version, string(e.Status), alive, micros(e.Started), micros(e.Updated), string(e.RollbackTarget), string(doc)}, err
}

func (tx *Tx) saveExecution(ctx context.Context, id string, seq int64, e *engine.Execution, live bool) error {
	if live && e.Touched != seq {
		return nil
	}
	row, err := executionRow(id, e, live)
	if err != nil {
		return err
	}
	if _, err := tx.exec(ctx, `INSERT INTO execution (`+executionColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		ON CONFLICT (pipeline_id, id) DO UPDATE SET status = excluded.status, live = excluded.live, updated = excluded.updated, doc = excluded.doc`, row...); err != nil {
		return err
	}
	for name, visit := range e.Runs {
		if visit.Status == pipeline.Succeeded && visit.Touched == seq {
			if _, err := tx.exec(ctx, `INSERT INTO stage_success (pipeline_id, stage, start_order) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
				id, name, e.Order); err != nil {
				return err
			}
		}
		for run := range visit.All() {
			if err := tx.saveRun(ctx, id, seq, run); err != nil {
				return err
			}
		}
	}
	return nil
}

func (tx *Tx) saveRun(ctx context.Context, id string, seq int64, run *engine.ActionRun) error {
	if run.Touched != seq {
		return nil
	}
	row, err := tx.runRow(id, run)
	if err != nil {
		return err
	}
	if run.Place != "" {
		_, err = tx.exec(ctx, `INSERT INTO rule_execution (`+runColumns+`) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (pipeline_id, id) DO UPDATE SET doc = excluded.doc`, row...)
		return err
	}
	_, err = tx.exec(ctx, `INSERT INTO action_execution (`+runColumns+`) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (pipeline_id, number) DO UPDATE SET doc = excluded.doc`, row...)
	return err
}

const runColumns = `pipeline_id, number, execution_id, started, doc, id`

// runRow is the row of a run of an action, or of a rule.
func (tx *Tx) runRow(id string, run *engine.ActionRun) ([]any, error) {
	doc, err := tx.writeRun(run)
	return []any{id, run.Number, string(run.Execution), micros(run.Started), string(doc), string(run.ID)}, err
}

// maxRemoved is how many rows of its history DeletePipeline removes itself.
const maxRemoved = 1000

// DeletePipeline removes a pipeline with its versions, history, jobs, timers and tags (S-68). Of a
// long history a Removal says that the rest is still to be removed; its rows are found under the
// pipeline's id only, which nobody gets to know any more.
func (tx *Tx) DeletePipeline(ctx context.Context, id, arn string) error {
	for _, table := range []string{"source", "job", "timer", "removal"} {
		if _, err := tx.exec(ctx, `DELETE FROM `+table+` WHERE pipeline_id = $1`, id); err != nil {
			return err
		}
	}
	if _, err := tx.exec(ctx, `DELETE FROM tag WHERE resource = $1`, arn); err != nil {
		return err
	}
	if _, err := tx.exec(ctx, `DELETE FROM webhook_delivery WHERE hook = $1`, id); err != nil {
		return err
	}
	n, err := tx.removeOf(ctx, id, maxRemoved)
	if err != nil {
		return err
	}
	if n == maxRemoved {
		if _, err := tx.exec(ctx, `INSERT INTO removal (pipeline_id, execution_id) VALUES ($1, '')`, id); err != nil {
			return err
		}
	}
	tx.AfterCommit(func() { tx.db.states.drop(id) })
	_, err = tx.exec(ctx, `DELETE FROM pipeline WHERE id = $1`, id)
	return err
}
