package store

import (
	"cmp"
	"context"
	"strconv"
	"strings"
	"time"

	"penstock/internal/engine"
	"penstock/internal/pipeline"
)

// Past is what an execution that has ended leaves behind.
type Past struct {
	// Execution comes with its runs.
	Execution *engine.Execution
	// Jobs are those of its runs that are kept, as they ended.
	Jobs []PastJob
}

// PastJob is a job that has ended.
type PastJob struct {
	JobRow
	// NotBefore is when it could be done, Ended when it was.
	NotBefore, Ended time.Time
}

// InsertPast stores executions of a pipeline that have ended: the same rows that saving each
// of their steps would have left, in few statements. They must be new.
func (tx *Tx) InsertPast(ctx context.Context, id string, list []Past) error {
	var executions, stages, actions, rules, jobs [][]any
	for _, past := range list {
		e := past.Execution
		row, err := executionRow(id, e, false)
		if err != nil {
			return err
		}
		executions = append(executions, row)
		for name, visit := range e.Runs {
			if visit.Status == pipeline.Succeeded {
				stages = append(stages, []any{id, name, e.Order})
			}
			for run := range visit.All() {
				if row, err = tx.runRow(id, run); err != nil {
					return err
				}
				if run.Place != "" {
					rules = append(rules, row)
				} else {
					actions = append(actions, row)
				}
			}
		}
		for i := range past.Jobs {
			j := &past.Jobs[i]
			if row, err = tx.jobRow(&j.JobRow, "", j.NotBefore, time.Time{}); err != nil {
				return err
			}
			// Nobody holds it.
			jobs = append(jobs, append(row[:9:9], "", row[9], "", row[10], micros(j.Ended)))
		}
	}
	return cmp.Or( // after the first that fails the others do nothing
		tx.insertMany(ctx, `INSERT INTO execution (`+executionColumns+`) VALUES `, executions),
		tx.insertMany(ctx, `INSERT INTO stage_success (pipeline_id, stage, start_order) VALUES `, stages),
		tx.insertMany(ctx, `INSERT INTO action_execution (`+runColumns+`) VALUES `, actions),
		tx.insertMany(ctx, `INSERT INTO rule_execution (`+runColumns+`) VALUES `, rules),
		tx.insertMany(ctx, `INSERT INTO job (`+jobRowColumns+`) VALUES `, jobs),
	)
}

// insertMany inserts rows of one length, many to a statement. The numbers of rows are powers
// of two, so that few different statements exist to prepare.
func (tx *Tx) insertMany(ctx context.Context, into string, rows [][]any) error {
	for n := 16; n > 0; n /= 2 {
		for len(rows) >= n {
			var args []any
			for _, row := range rows[:n] {
				args = append(args, row...)
			}
			if _, err := tx.exec(ctx, into+places(n, len(rows[0])), args...); err != nil {
				return err
			}
			rows = rows[n:]
		}
	}
	return nil
}

// places writes the parameters of so many rows.
func places(rows, columns int) string {
	var b strings.Builder
	for i := range rows * columns {
		switch {
		case i == 0:
			b.WriteString("($")
		case i%columns == 0:
			b.WriteString("), ($")
		default:
			b.WriteString(", $")
		}
		b.WriteString(strconv.Itoa(i + 1))
	}
	return b.String() + ")"
}
