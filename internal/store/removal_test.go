package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"penstock/internal/engine"
	"penstock/internal/pipeline"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

const longAgo = 800 * 24 * time.Hour

// aged puts an execution with so many runs, each with an artifact, long ago into the history.
func aged(t *testing.T, db *store.DB, id string, order int64, runs int) pipeline.ExecutionID {
	t.Helper()
	now := time.Now()
	e := &engine.Execution{ID: pipeline.ExecutionID(fmt.Sprint("old", order)), Order: order, Version: 1, Status: pipeline.Failed, Started: now.Add(-longAgo), Updated: now,
		Runs: map[string]*engine.StageRun{"Source": {Status: pipeline.Succeeded, Actions: map[string]*engine.ActionRun{}}}}
	for n := range runs {
		// They were retried again and again, until a moment ago.
		e.Runs["Source"].Actions[fmt.Sprint("a", n)] = &engine.ActionRun{ID: pipeline.ActionExecutionID(fmt.Sprint(order, "run", n)), Number: order*100_000 + int64(n), Execution: e.ID, Version: 1,
			Started: now, Updated: now, Region: testRegion, Outputs: []pipeline.Artifact{{Name: "out", Bucket: "bucket", Key: fmt.Sprint(order, "/", n)}}}
	}
	inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertPast(ctx, id, []store.Past{{Execution: e}})
	})
	return e.ID
}

// S-78: an execution of very many runs is gone at once, and its runs with their artifacts go in
// pieces; of the pieces that are left nobody sees anything.
func TestRemovalInPieces(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, id := t.Context(), "p"
		newPipeline(t, db, id, testRegion, id)
		old := aged(t, db, id, -2, 250)
		aged(t, db, id, -1, 3)
		newest := aged(t, db, id, 5_000_000, 2) // keeps its place as the newest
		step := func(want store.HistoryBatch, f func(tx *store.Tx) (store.HistoryBatch, error)) {
			t.Helper()
			inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
				got, err := f(tx)
				if got.Next = 0; got != want {
					t.Errorf("got %+v, want %+v", got, want)
				}
				if _, missing := tx.Execution(ctx, id, old); missing != store.ErrNotFound {
					t.Errorf("the execution is still there: %v", missing)
				}
				for _, of := range []pipeline.ExecutionID{old, ""} {
					runs, err := tx.ListActionRuns(ctx, id, of, 0, 1000)
					if err != nil {
						return err
					}
					for _, run := range runs {
						if run.Execution == old {
							t.Fatalf("%d of its runs are shown", len(runs))
						}
					}
				}
				return err
			})
		}
		step(store.HistoryBatch{Executions: 1, Runs: 100, Artifacts: 100, More: true}, func(tx *store.Tx) (store.HistoryBatch, error) { return tx.RemoveHistory(ctx, id, -10, 20, 100, true) })
		var left []store.Removal
		inTx(t, db, func(ctx context.Context, tx *store.Tx) (err error) {
			left, err = tx.Removals(ctx, 10)
			return err
		})
		if len(left) != 1 || left[0] != (store.Removal{PipelineID: id, Execution: string(old)}) {
			t.Fatalf("left to be removed: %+v", left)
		}
		for _, want := range []store.HistoryBatch{{Runs: 100, Artifacts: 100, More: true}, {Runs: 50, Artifacts: 50}, {}} { // the last time after a crash
			step(want, func(tx *store.Tx) (store.HistoryBatch, error) { return tx.Remove(ctx, left[0], 100, true) })
		}
		step(store.HistoryBatch{Executions: 1, Runs: 3, Artifacts: 3}, func(tx *store.Tx) (store.HistoryBatch, error) { return tx.RemoveHistory(ctx, id, -10, 20, 100, true) })
		for table, want := range map[string]int{"action_execution": 2, "removal": 0, "stale_artifact": 253} {
			if n := count(t, db, `SELECT count(*) FROM `+table); n != want {
				t.Errorf("%d rows in %s", n, table)
			}
		}
		inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Execution(ctx, id, newest)
			return err
		})
	})
}

// S-68: a pipeline with a long history is deleted at once; what is left of it goes in pieces, and a
// new pipeline of its name has none of it.
func TestDeletePipelineInPieces(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newPipeline(t, db, "first", testRegion, "p")
		for order := range int64(8) {
			aged(t, db, "first", 10+order, 250)
		}
		inTx(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.DeletePipeline(ctx, "first", s.ARN()) })
		newPipeline(t, db, "second", testRegion, "p")
		inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
			p, err := tx.FindPipeline(ctx, testAccount, testRegion, "p")
			if err != nil || p.ID != "second" {
				t.Errorf("%+v, %v", p, err)
			}
			list, err := tx.ListExecutions(ctx, p.ID, 0, "", 0, 10)
			if len(list) != 0 {
				t.Errorf("it has executions: %d", len(list))
			}
			return err
		})
		if n := count(t, db, `SELECT count(*) FROM action_execution`); n < 1000 || n > 1100 {
			t.Errorf("%d runs are left after the first piece", n)
		}
		pieces := 0
		for more := true; more; pieces++ {
			inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
				left, err := tx.Removals(ctx, 10)
				if err != nil || len(left) != 1 {
					t.Fatalf("%+v, %v", left, err)
				}
				done, err := tx.Remove(ctx, left[0], 300, true)
				more = done.More
				return err
			})
		}
		if pieces != 4 {
			t.Errorf("%d pieces", pieces)
		}
		for table, want := range map[string]int{"action_execution": 0, "execution": 0, "stage_success": 0, "pipeline_version": 1, "removal": 0, "stale_artifact": 0} {
			if n := count(t, db, `SELECT count(*) FROM `+table); n != want {
				t.Errorf("%d rows in %s", n, table)
			}
		}
	})
}
