package worker_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"penstock/internal/engine"
	"penstock/internal/pipeline"
	"penstock/internal/provider"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// skewed runs a test in a time of its own, with a clock that it can set.
func skewed(t *testing.T, f func(w *world, set func(time.Duration))) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var skew atomic.Int64
		f(newWorld(t, storetest.SQLite(t, func(cfg *store.Config) {
			cfg.Clock = func() time.Time { return time.Now().Add(time.Duration(skew.Load())) }
		})), func(d time.Duration) { skew.Store(int64(d)) })
	})
}

// S-317: when the clock jumps by an hour, either way, no job that a server is at work on is
// handed to another.
func TestClockJumpsHandNothingOutTwice(t *testing.T) {
	skewed(t, func(w *world, set func(time.Duration)) {
		var calls atomic.Int32
		end := make(chan bool)
		work := func(context.Context, provider.Job) provider.Result {
			calls.Add(1)
			<-end
			return provider.Result{}
		}
		w.work("one", work)
		w.work("two", work)
		for i := range 6 {
			w.create(fmt.Sprint("p", i), []pipeline.Action{action("A", 1)})
		}
		synctest.Wait()
		for _, jump := range []time.Duration{30 * time.Minute, -30 * time.Minute, 0, -30 * time.Minute} { // the actions time out after an hour
			set(jump)
			time.Sleep(3 * time.Minute)
		}
		close(end)
		synctest.Wait()
		for i := range 6 {
			if name := fmt.Sprint("p", i); w.status(name) != pipeline.Succeeded {
				t.Errorf("%s is %s", name, w.status(name))
			}
		}
		if n := calls.Load(); n != 6 {
			t.Errorf("%d hand-outs of 6 jobs", n)
		}
	})
}

// What was queued before the clock was set back by an hour is not handed out an hour late.
func TestClockSetBackDelaysNothing(t *testing.T) {
	skewed(t, func(w *world, set func(time.Duration)) {
		w.create("p", []pipeline.Action{action("A", 1)}, []pipeline.Action{action("B", 1)})
		set(-time.Hour)
		began := time.Now()
		w.work("n", func(_ context.Context, job provider.Job) provider.Result {
			if job.ContinuationToken == "" {
				return provider.Result{Continue: "on"}
			}
			return provider.Result{}
		})
		time.Sleep(time.Second)
		set(-2 * time.Hour)
		for w.status("p") == pipeline.InProgress && time.Since(began) < 2*time.Hour {
			time.Sleep(time.Second)
		}
		if took := time.Since(began); w.status("p") != pipeline.Succeeded || took > 2*time.Minute {
			t.Errorf("%s after %s", w.status("p"), took)
		}
	})
}

// The job of a server that died is taken up by another within a minute and a half, wherever
// the clocks stand.
func TestDeadServer(t *testing.T) {
	for _, jump := range []time.Duration{-time.Hour, 0, time.Hour / 2} {
		t.Run(jump.String(), func(t *testing.T) {
			skewed(t, func(w *world, set func(time.Duration)) {
				w.create("p", []pipeline.Action{action("A", 1)})
				w.update(func(ctx context.Context, tx *store.Tx) error {
					rows, err := tx.ClaimJobs(ctx, []string{store.Queue("", "", built)}, "dead", 1, time.Minute, nil, nil)
					if len(rows) != 1 {
						t.Error("not claimed")
					}
					return err
				})
				set(jump)
				began, took := time.Now(), make(chan time.Duration, 9)
				w.work("alive", func(context.Context, provider.Job) provider.Result {
					took <- time.Since(began)
					return provider.Result{}
				})
				if d := <-took; d < time.Minute || d > 90*time.Second {
					t.Errorf("taken over after %s", d)
				}
				synctest.Wait()
				if w.status("p") != pipeline.Succeeded || len(took) > 0 {
					t.Errorf("%s, %d more hand-outs", w.status("p"), len(took))
				}
			})
		})
	}
}

// A server that ends in order lets its jobs go: another has them at once.
func TestOrderlyEnd(t *testing.T) {
	bubble(t, func(w *world) {
		work := func(nodes chan string, node string) fake {
			return func(ctx context.Context, job provider.Job) provider.Result {
				nodes <- node
				if node == "first" {
					<-ctx.Done()
				}
				return provider.Result{}
			}
		}
		nodes := make(chan string, 9)
		stop := w.work("first", work(nodes, "first"))
		w.create("p", []pipeline.Action{action("A", 1)})
		if node := once(w, nodes); node != "first" {
			t.Fatal(node)
		}
		w.work("second", work(nodes, "second"))
		synctest.Wait()
		before := time.Now()
		stop()
		if node := once(w, nodes); node != "second" {
			t.Fatal(node)
		}
		synctest.Wait()
		if w.status("p") != pipeline.Succeeded || time.Since(before) > time.Second {
			t.Errorf("%s after %s", w.status("p"), time.Since(before))
		}
	})
}

// S-193: an abandoned job is stopped at once on another server too.
func TestAbandonElsewhere(t *testing.T) {
	bubble(t, func(w *world) {
		started, stopped := make(chan bool, 2), make(chan bool, 2)
		w.work("n", func(ctx context.Context, job provider.Job) provider.Result {
			started <- true
			if job.Pipeline == "p" {
				<-ctx.Done()
				stopped <- context.Cause(ctx) == provider.ErrAborted
			} else {
				select {
				case <-ctx.Done():
					t.Error("another pipeline's job was stopped")
				case <-time.After(time.Minute):
				}
			}
			return provider.Result{}
		})
		w.create("p", []pipeline.Action{action("A", 1)})
		w.create("q", []pipeline.Action{action("A", 1)})
		once(w, started)
		once(w, started)
		elsewhere := &world{T: w.T, db: w.db, c: newConductor(w.db, nil)}
		before := time.Now()
		elsewhere.apply("p", engine.Stop{Execution: w.runs("p")[0].Execution, Abandon: true})
		if !once(w, stopped) {
			t.Error("somebody seems to want the work still")
		}
		if took := time.Since(before); took > time.Second {
			t.Errorf("stopped after %s", took)
		}
		time.Sleep(2 * time.Minute)
		if w.status("q") != pipeline.Succeeded {
			t.Error(w.status("q"))
		}
	})
}
