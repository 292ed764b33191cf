package store

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"penstock/internal/engine"
	"penstock/internal/pipeline"
)

// Execution gives one execution of a pipeline, live or past; ErrNotFound if there is none.
func (tx *Tx) Execution(ctx context.Context, id string, execution pipeline.ExecutionID) (*engine.Execution, error) {
	d, err := first(all(ctx, tx, `SELECT doc FROM execution WHERE pipeline_id = $1 AND id = $2`, []any{id, string(execution)}, scanExecution))
	if err != nil {
		return nil, err
	}
	var lists []map[string]int64
	for _, visit := range d.Runs {
		lists = append(lists, visit.Actions)
	}
	runs, err := tx.runsOf(ctx, id, lists...)
	if err != nil {
		return nil, err
	}
	return d.with(runs), nil
}

// LastStart says when the newest execution of a pipeline was started; ErrNotFound if there
// was none.
func (tx *Tx) LastStart(ctx context.Context, id string) (time.Time, error) {
	var at int64
	err := tx.one(ctx, `SELECT started FROM execution WHERE pipeline_id = $1 ORDER BY start_order DESC LIMIT 1`, []any{id}, &at)
	return fromMicros(at), err
}

// NewestExecution gives the id of the execution that was started last; ErrNotFound if there
// was none.
func (tx *Tx) NewestExecution(ctx context.Context, id string) (pipeline.ExecutionID, error) {
	var newest pipeline.ExecutionID
	err := tx.one(ctx, `SELECT id FROM execution WHERE pipeline_id = $1 ORDER BY start_order DESC LIMIT 1`, []any{id}, &newest)
	return newest, err
}

func scanShallow(rows *sql.Rows) (*engine.Execution, error) {
	d, err := scanExecution(rows)
	if err != nil {
		return nil, err
	}
	return d.shallow(), nil
}

func first[T any](list []T, err error) (T, error) {
	if err == nil && len(list) > 0 {
		return list[0], nil
	}
	var none T
	if err == nil {
		err = ErrNotFound
	}
	return none, err
}

// ListExecutions gives up to limit executions, newest start first, those before the start
// order given; 0 begins at the newest (S-123). With a stage it gives only executions of the
// version given that succeeded in it, of which the present one is the quickest to find. The executions come without the runs of their actions.
func (tx *Tx) ListExecutions(ctx context.Context, id string, before int64, stage string, version, limit int) ([]*engine.Execution, error) {
	if before == 0 {
		before = 1 << 62
	}
	since := micros(tx.Now().Add(-tx.db.history))
	if stage == "" {
		return all(ctx, tx, `SELECT doc FROM execution WHERE pipeline_id = $1 AND start_order < $2 AND started > $3
			ORDER BY start_order DESC LIMIT $4`, []any{id, before, since, limit}, scanShallow)
	}
	list, err := all(ctx, tx, `SELECT e.doc FROM stage_success s JOIN execution e ON e.pipeline_id = s.pipeline_id AND e.start_order = s.start_order
		WHERE s.pipeline_id = $1 AND s.stage = $2 AND s.start_order < $3 AND e.started > $4 AND e.version <= $5 ORDER BY s.start_order DESC LIMIT $6`,
		[]any{id, stage, before, since, version, limit}, scanShallow)
	// A version is that of the execution's start (S-66): behind an older one are no others.
	if old := slices.IndexFunc(list, func(e *engine.Execution) bool { return e.Version != version }); old >= 0 {
		list = list[:old]
	}
	return list, err
}

// ActionRunPipeline gives the name of the pipeline of an account and Region that an action
// execution is of; ErrNotFound if there is none.
func (tx *Tx) ActionRunPipeline(ctx context.Context, account, region string, run pipeline.ActionExecutionID) (name string, err error) {
	err = tx.one(ctx, `SELECT p.name FROM action_execution a JOIN pipeline p ON p.id = a.pipeline_id
		WHERE a.id = $1 AND p.account = $2 AND p.region = $3`, []any{string(run), account, region}, &name)
	return name, err
}

// ListActionRuns gives up to limit action executions, newest start first, those before the
// number given; 0 begins at the newest (S-124). An execution narrows the list to its own.
func (tx *Tx) ListActionRuns(ctx context.Context, id string, execution pipeline.ExecutionID, before int64, limit int) ([]*engine.ActionRun, error) {
	return tx.listRuns(ctx, "action_execution", id, execution, before, limit)
}

// ListRuleRuns is ListActionRuns for the rules of conditions (S-210).
func (tx *Tx) ListRuleRuns(ctx context.Context, id string, execution pipeline.ExecutionID, before int64, limit int) ([]*engine.ActionRun, error) {
	return tx.listRuns(ctx, "rule_execution", id, execution, before, limit)
}

// listRuns leaves out the runs of executions that are being removed.
func (tx *Tx) listRuns(ctx context.Context, table, id string, execution pipeline.ExecutionID, before int64, limit int) ([]*engine.ActionRun, error) {
	if before == 0 {
		before = 1 << 62
	}
	since := micros(tx.Now().Add(-tx.db.history))
	if execution == "" {
		return all(ctx, tx, `SELECT doc FROM `+table+` r WHERE pipeline_id = $1 AND number < $2 AND started > $3
			AND EXISTS (SELECT 1 FROM execution e WHERE e.pipeline_id = r.pipeline_id AND e.id = r.execution_id) ORDER BY number DESC LIMIT $4`,
			[]any{id, before, since, limit}, tx.scanRun)
	}
	return all(ctx, tx, `SELECT doc FROM `+table+` r WHERE pipeline_id = $1 AND execution_id = $2 AND number < $3 AND started > $4
		AND EXISTS (SELECT 1 FROM execution e WHERE e.pipeline_id = r.pipeline_id AND e.id = r.execution_id) ORDER BY number DESC LIMIT $5`,
		[]any{id, string(execution), before, since, limit}, tx.scanRun)
}
