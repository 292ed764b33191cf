package store_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"penstock/internal/engine"
	"penstock/internal/pipeline"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// S-123, S-124: a reader who turns pages while executions start sees each that was there
// when it began once, newest first.
func TestPagesOfAGrowingHistory(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		j := newJourney(t, db, "id", newPipeline(t, db, "id", testRegion, "p"))
		start := func() {
			j.step(engine.Start{})
			if j.running("A") != nil {
				j.step(j.succeed("A"))
			}
		}
		for range 25 {
			start()
		}
		g, ctx := errgroup.WithContext(ctx)
		more, stop := make(chan bool), make(chan bool)
		g.Go(func() error {
			for range more {
				start()
			}
			return nil
		})
		var orders, numbers []int64
		g.Go(func() error {
			defer close(stop)
			for before := int64(0); ; {
				var page []*engine.Execution
				if err := db.View(ctx, func(tx *store.Tx) (err error) {
					page, err = tx.ListExecutions(ctx, "id", before, "", 0, 4)
					return err
				}); err != nil || len(page) == 0 {
					return err
				}
				for _, e := range page {
					orders = append(orders, e.Order)
				}
				before = orders[len(orders)-1]
				more <- true
			}
		})
		g.Go(func() error {
			<-stop
			defer close(more)
			for before := int64(0); ; {
				var page []*engine.ActionRun
				if err := db.View(ctx, func(tx *store.Tx) (err error) {
					page, err = tx.ListActionRuns(ctx, "id", "", before, 7)
					return err
				}); err != nil || len(page) == 0 {
					return err
				}
				for _, r := range page {
					numbers = append(numbers, r.Number)
				}
				before = numbers[len(numbers)-1]
				more <- true
			}
		})
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		for what, list := range map[string][]int64{"executions": orders, "action executions": numbers} {
			for i, n := range list {
				if i > 0 && n >= list[i-1] {
					t.Fatalf("%s %v: a repetition at %d", what, list, n)
				}
			}
			// One number is that of a rule, which has a history of its own.
			if list[len(list)-1] != 1 || list[0] < 25 || int64(len(list)) < list[0]-1 {
				t.Errorf("%s %v: not all", what, list)
			}
		}
	})
}

// S-124: the action executions of one execution, a page at a time.
func TestActionRunsOfOneExecution(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		j := newJourney(t, db, "id", newPipeline(t, db, "id", testRegion, "p"))
		j.step(engine.Start{})
		j.step(j.succeed("A"))
		j.step(j.succeed("R"))
		first := j.running("B").Execution
		j.step(engine.Start{})
		j.step(j.succeed("B"))
		j.step(j.succeed("C"))
		ctx := t.Context()
		if err := db.View(ctx, func(tx *store.Tx) error {
			var names []string
			for before := int64(0); ; {
				page, err := tx.ListActionRuns(ctx, "id", first, before, 3)
				if err != nil {
					return err
				}
				for _, r := range page {
					names = append(names, r.Action)
					before = r.Number
				}
				if len(page) == 0 {
					break
				}
			}
			slices.Sort(names)
			if !slices.Equal(names, []string{"A", "B", "C", "D"}) {
				t.Errorf("runs %v", names)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
}

// S-78: history is shown for twelve months by start time.
func TestHistoryIsShownForAYear(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		j := newJourney(t, db, "id", newPipeline(t, db, "id", testRegion, "p"))
		at := func(e time.Time, n int64) {
			inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
				x := &engine.Execution{ID: pipeline.ExecutionID(fmt.Sprint("e", n)), Order: n, Version: 1, Status: pipeline.Succeeded, Started: e, Touched: 1}
				x.Runs = map[string]*engine.StageRun{"One": {Status: pipeline.Succeeded, Touched: 1, Actions: map[string]*engine.ActionRun{
					"A": {ID: pipeline.ActionExecutionID(fmt.Sprint("r", n)), Execution: x.ID, Number: n, Started: e, Touched: 1}}}}
				s := *j.s
				s.Seq, s.Retired = 1, []*engine.Execution{x}
				return tx.SaveState(ctx, "id", &s)
			})
		}
		at(now.AddDate(-1, 0, -10), 1)
		at(now.AddDate(-1, 0, 1), 2)
		if err := db.View(ctx, func(tx *store.Tx) error {
			all, err := tx.ListExecutions(ctx, "id", 0, "", 0, 10)
			if err != nil || len(all) != 1 || all[0].Order != 2 {
				t.Errorf("executions %v %v", all, err)
			}
			passed, err := tx.ListExecutions(ctx, "id", 0, "One", 1, 10)
			if err != nil || len(passed) != 1 {
				t.Errorf("succeeded in the stage %v %v", passed, err)
			}
			for _, execution := range []pipeline.ExecutionID{"", "e1"} {
				runs, err := tx.ListActionRuns(ctx, "id", execution, 0, 10)
				if err != nil || execution == "" && (len(runs) != 1 || runs[0].Number != 2) || execution == "e1" && len(runs) != 0 {
					t.Errorf("action executions of %q: %v %v", execution, runs, err)
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}, func(c *store.Config) { c.Clock = func() time.Time { return now } })
}
