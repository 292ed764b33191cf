package retention_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"penstock/internal/engine"
	"penstock/internal/fault"
	"penstock/internal/pipeline"
	"penstock/internal/retention"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// release lets everything that runs succeed, to the end of the pipeline.
func (w *world) release() {
	w.Helper()
	for list := w.running(); len(list) > 0; list = w.running() {
		w.end(list[0], true)
	}
}

func (w *world) versions() (n int) {
	for _, list := range w.objects {
		n += len(list)
	}
	return n
}

// S-5, S-78, S-182, S-188: what is older than twelve months goes, some at a time, with its
// artifacts; what the stages show, what a rollback has taken over, and all that is younger stay.
func TestHistory(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		w := newWorld(t, t.Context(), url, declare(pipeline.Queued, 1, false))
		defer w.close()
		w.release()
		for range 50 {
			w.pass(time.Minute)
			w.apply(engine.Start{})
			w.release()
		}
		each := w.versions() / 51
		collect := func() {
			t.Helper()
			removed, err := w.keeper().Collect(t.Context())
			if err != nil || removed.Refused != 0 {
				t.Fatal(removed, err)
			}
			w.open()
			w.check()
		}
		w.pass(year - 50*time.Minute) // the first is a year old, to the moment
		collect()
		if w.versions() != 51*each {
			t.Fatal("something was removed too early")
		}
		// The second is rolled back to, and shown by no stage but the last afterwards.
		second := w.known[1]
		w.pass(10 * time.Minute)
		if !w.apply(engine.Rollback{Target: second, Stage: "Deploy"}) {
			t.Fatal("it cannot be rolled back to")
		}
		w.release()
		collect()
		// Of the ten that are too old the second stays, for the rollback.
		if got := w.gone(); got != 9 || w.past(second) == nil {
			t.Errorf("%d executions are gone", got)
		}
		w.pass(2 * year)
		w.update(func(tx *store.Tx) error {
			for _, want := range []int{5, 5} {
				b, err := tx.RemoveHistory(t.Context(), "id", 0, want+1, 200, true) // the second stays
				if err != nil || b.Executions != want || !b.More {
					t.Errorf("a batch is %+v, %v", b, err)
				}
			}
			return nil
		})
		w.open()
		w.check()
		collect()
		collect() // deletes no more
		// The newest is the rollback; the stages before Deploy show the last that was released.
		if got := w.gone(); got != 49 || w.past(second) == nil || w.past(w.known[50]) == nil || w.past(w.known[51]) == nil {
			t.Errorf("%d executions are gone", got)
		}
		w.tidy()
		// What is gone is unknown; what is shown can still be rolled back to, though no list has it.
		_, err := w.Apply(t.Context(), "id", engine.Rollback{Target: w.known[20], Stage: "Deploy"})
		if fault.Code(err) != "PipelineExecutionNotFoundException" {
			t.Errorf("rolled back to what is gone: %v", err)
		}
		if !w.apply(engine.Rollback{Target: w.known[50], Stage: "Deploy"}) {
			t.Error("what is released cannot be rolled back to")
		}
		w.whole(w.past(w.known[52]), "a rollback")
		w.update(func(tx *store.Tx) error {
			list, err := tx.ListExecutions(t.Context(), "id", 0, "", 0, 100)
			if len(list) != 1 || err != nil {
				t.Errorf("%d executions are listed: %v", len(list), err)
			}
			for _, more := range []func(context.Context, string, pipeline.ExecutionID, int64, int) ([]*engine.ActionRun, error){tx.ListActionRuns, tx.ListRuleRuns} {
				if runs, err := more(t.Context(), "id", w.known[20], 0, 100); len(runs) != 0 || err != nil {
					t.Errorf("runs of what is gone: %d, %v", len(runs), err)
				}
			}
			return nil
		})
		// A pipeline that is deleted leaves its artifacts to their owner (S-68).
		before := w.versions()
		w.update(func(tx *store.Tx) error { return w.DeleteTx(t.Context(), tx, "id") })
		if _, err := w.keeper().Collect(t.Context()); err != nil || w.versions() != before {
			t.Errorf("%d objects are left of %d: %v", w.versions(), before, err)
		}
	})
}

// gone counts the executions that the database has no more.
func (w *world) gone() (n int) {
	for _, id := range w.known {
		if w.past(id) == nil {
			n++
		}
	}
	return n
}

// An artifact that cannot be deleted is tried again, ever less often, and is not forgotten.
func TestRefusedDeletion(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		w := newWorld(t, t.Context(), url, declare(pipeline.Queued, 1, false))
		defer w.close()
		w.release()
		w.apply(engine.Start{})
		w.release()
		w.pass(2 * year)
		var asked []time.Duration
		begun, willing := w.clock(), false
		keeper := w.keeperWith(func(_ context.Context, a store.StaleArtifact) error {
			if a.Bucket == bucket(here) || !strings.Contains(a.Key, "/bin/") || willing {
				return nil
			}
			if a.Tries != len(asked) {
				t.Errorf("%d tries, want %d", a.Tries, len(asked))
			}
			asked = append(asked, w.clock().Sub(begun))
			return errors.New("access denied")
		})
		for range 100 {
			if _, err := keeper.Collect(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.pass(time.Hour)
		}
		h := time.Hour
		if !slices.Equal(asked, []time.Duration{0, h, 3 * h, 7 * h, 15 * h, 31 * h, 63 * h}) {
			t.Errorf("asked after %v", asked)
		}
		willing = true
		w.pass(30 * 24 * h)
		removed, err := keeper.Collect(t.Context())
		if removed.Artifacts != 1 || err != nil {
			t.Errorf("in the end: %+v %v", removed, err)
		}
	})
}

// S-78: over a year and more a server that stays up removes what passes twelve months, within
// the hour, and says so.
func TestYear(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, t.Context(), storetest.SQLiteURL(t), declare(pipeline.Queued, 1, false))
		defer func() { w.close() }()
		w.release()
		for range 3 {
			w.apply(engine.Start{})
			w.release()
		}
		log := &lines{}
		ctx, stop := context.WithCancel(t.Context())
		var ended sync.WaitGroup
		ended.Go(func() { _ = retention.New(retention.Config{DB: w.db, Log: slog.New(log)}).Run(ctx) })
		for day := range 368 {
			time.Sleep(24 * time.Hour)
			w.pass(24 * time.Hour)
			synctest.Wait()
			if got := w.gone(); day < 366 && got != 0 || day == 367 && got != 3 {
				t.Fatalf("on day %d %d executions are gone", day, got)
			}
		}
		stop()
		ended.Wait()
		if got := log.all(); len(got) != 1 || got[0] != "retention: removed what is kept no longer [action and rule executions=12 executions=3]" {
			t.Errorf("the log has %q", got)
		}
	})
}
