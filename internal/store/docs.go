package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"maps"
	"slices"

	"penstock/internal/engine"
	"penstock/internal/pipeline"
)

// A run of an action (rules, which are few, aside) is kept once, in the row of its own, although the state of its stage
// and its execution both hold it: there they are written as the runs' numbers. So what a
// step writes depends on what it changed, not on how many actions the pipeline has.

// stateDoc is the JSON of a pipeline's state.
type stateDoc struct {
	*engine.State
	Stages map[string]stageDoc `json:"stages"`
}

type stageDoc struct {
	*engine.StageState
	Actions map[string]int64 `json:"actions,omitempty"`
}

// executionDoc is the JSON of an execution.
type executionDoc struct {
	*engine.Execution
	Runs map[string]visitDoc `json:"runs,omitempty"`
}

type visitDoc struct {
	*engine.StageRun
	Actions map[string]int64 `json:"actions,omitempty"`
}

func numbers(runs map[string]*engine.ActionRun) map[string]int64 {
	m := make(map[string]int64, len(runs))
	for name, run := range runs {
		m[name] = run.Number
	}
	return m
}

func writeState(s *engine.State) ([]byte, error) {
	d := stateDoc{State: s, Stages: make(map[string]stageDoc, len(s.Stages))}
	for name, stage := range s.Stages {
		d.Stages[name] = stageDoc{stage, numbers(stage.Actions)}
	}
	return json.Marshal(d)
}

func writeExecution(e *engine.Execution) ([]byte, error) {
	d := executionDoc{Execution: e, Runs: make(map[string]visitDoc, len(e.Runs))}
	for name, visit := range e.Runs {
		d.Runs[name] = visitDoc{visit, numbers(visit.Actions)}
	}
	return json.Marshal(d)
}

// scanExecution reads a row of an execution's JSON.
func scanExecution(rows *sql.Rows) (executionDoc, error) {
	var text []byte
	if err := rows.Scan(&text); err != nil {
		return executionDoc{}, err
	}
	d := executionDoc{Execution: new(engine.Execution)}
	return d, json.Unmarshal(text, &d)
}

// shallow gives the execution without the runs of its actions.
func (d executionDoc) shallow() *engine.Execution {
	e := d.Execution
	e.Runs = make(map[string]*engine.StageRun, len(d.Runs))
	for name, visit := range d.Runs {
		e.Runs[name] = visit.StageRun
	}
	return e
}

// runsOf reads action executions by their numbers and gives a function that makes a map of
// runs of a map of their numbers.
func (tx *Tx) runsOf(ctx context.Context, id string, lists ...map[string]int64) (func(map[string]int64) map[string]*engine.ActionRun, error) {
	wanted := map[int64]bool{}
	for _, list := range lists {
		for _, n := range list {
			wanted[n] = true
		}
	}
	known := make(map[int64]*engine.ActionRun, len(wanted))
	for some := range slices.Chunk(slices.Sorted(maps.Keys(wanted)), 1000) {
		list, args := inList([]any{id}, some)
		runs, err := all(ctx, tx, `SELECT doc FROM action_execution WHERE pipeline_id = $1 AND number IN `+list, args, tx.scanRun)
		if err != nil {
			return nil, err
		}
		for _, run := range runs {
			known[run.Number] = run
		}
	}
	return func(list map[string]int64) map[string]*engine.ActionRun {
		m := make(map[string]*engine.ActionRun, len(list))
		for name, n := range list {
			if run := known[n]; run != nil {
				m[name] = run
			}
		}
		return m
	}, nil
}

// readState makes a state of its JSON and that of its live executions.
func (tx *Tx) readState(ctx context.Context, id, text string) (*engine.State, error) {
	d := stateDoc{State: new(engine.State)}
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		return nil, err
	}
	live, err := all(ctx, tx, `SELECT doc FROM execution WHERE pipeline_id = $1 AND live = 1`, []any{id}, scanExecution)
	if err != nil {
		return nil, err
	}
	var lists []map[string]int64
	for _, stage := range d.Stages {
		lists = append(lists, stage.Actions)
	}
	for _, e := range live {
		for _, visit := range e.Runs {
			lists = append(lists, visit.Actions)
		}
	}
	runs, err := tx.runsOf(ctx, id, lists...)
	if err != nil {
		return nil, err
	}
	s := d.State
	s.Stages = make(map[string]*engine.StageState, len(d.Stages))
	for name, stage := range d.Stages {
		stage.StageState.Actions = runs(stage.Actions)
		s.Stages[name] = stage.StageState
	}
	s.Executions = make(map[pipeline.ExecutionID]*engine.Execution, len(live))
	for _, e := range live {
		s.Executions[e.ID] = e.with(runs)
	}
	return s, nil
}

// with gives the execution with the runs of its actions.
func (d executionDoc) with(runs func(map[string]int64) map[string]*engine.ActionRun) *engine.Execution {
	e := d.shallow()
	for name, visit := range d.Runs {
		e.Runs[name].Actions = runs(visit.Actions)
	}
	return e
}
