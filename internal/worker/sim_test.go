package worker_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"penstock/internal/engine"
	"penstock/internal/fault"
	"penstock/internal/pipeline"
	"penstock/internal/provider"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// TestFaultyDays lives through hours of a real conductor, store and two workers, in which clocks
// jump by an hour both ways, workers end and start anew, work takes its time or does not stop
// when it should, events are told twice, and people start, stop, retry, roll back, approve, change
// gates and the pipeline. Nothing is done that nobody asked for, each event is told, in order
// (S-340), and once the faults end everything comes to its end (S-108, S-316, S-317). Then the
// pipeline is deleted with all that is under way, and nothing is left (S-69).
func TestFaultyDays(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { faultyDay(t, rand.New(rand.NewPCG(seed, 7))) })
		})
	}
}

func faultyDay(t *testing.T, chance *rand.Rand) {
	var skew atomic.Int64
	w := newWorld(t, storetest.SQLite(t, func(cfg *store.Config) {
		cfg.Clock = func() time.Time { return time.Now().Add(time.Duration(skew.Load())) }
	}))
	var mu sync.Mutex
	calm, last, twice := false, int64(0), 0
	roll := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return chance.IntN(n)
	}
	w.mu.Lock()
	w.deliver = func(events []store.Outgoing) error { // w.mu is held
		for _, e := range events {
			if e.Seq > last+1 {
				t.Errorf("event %d was told after %d", e.Seq, last)
			}
			if e.Seq <= last {
				twice++
			}
			last = max(last, e.Seq)
		}
		if !calm && roll(4) == 0 {
			return errors.New("told, and not known to be")
		}
		return nil
	}
	w.mu.Unlock()
	handed := atomic.Int64{}
	work := func(ctx context.Context, job provider.Job) provider.Result {
		handed.Add(1)
		if row := w.job(pipeline.JobID(job.ID)); row.Status != engine.JobInProgress && ctx.Err() == nil {
			// Its end has been committed, so the context must end too.
			time.Sleep(time.Millisecond)
			if ctx.Err() == nil {
				t.Errorf("job %s is %s and is being done", job.ID, row.Status)
			}
		}
		timer := time.NewTimer(time.Duration(roll(600)) * time.Second)
		defer timer.Stop()
		stop := ctx.Done()
		if roll(4) == 0 {
			stop = nil // it does not listen
		}
		select {
		case <-timer.C:
		case <-stop:
		}
		switch roll(10) {
		case 0:
			return failed("by chance")
		case 1:
			return provider.Result{Continue: "on", After: time.Minute}
		}
		return provider.Result{}
	}
	node := 0
	serve := func() (stop func()) {
		node++
		return w.work(fmt.Sprint("node ", node), work)
	}
	nodes := []func(){serve(), serve()}
	w.create("p", []pipeline.Action{action("A", 1)}, []pipeline.Action{action("B", 1), action("C", 1), action("D", 2)},
		[]pipeline.Action{action("M", 1)}, []pipeline.Action{action("E", 1)})
	// ask may be refused, but not badly.
	ask := func(ev engine.Event) {
		if _, err := w.c.Apply(t.Context(), "id of p", ev); err != nil && fault.Code(err) == "" {
			t.Errorf("%T: %v", ev, err)
		}
	}
	approve := func() {
		if run := w.state("p").Stages["S3"].Actions["M"]; run != nil && run.Status == pipeline.InProgress {
			ask(engine.Approve{Stage: "S3", Action: "M", Token: run.Token, Status: "Approved"})
		}
	}
	gates := func(ev func(stage string) engine.Event) {
		for _, def := range w.state("p").Current().Stages {
			ask(ev(def.Name))
		}
	}
	enable := func(stage string) engine.Event { return engine.EnableTransition{Stage: stage, Direction: "Inbound"} }
	for range 300 {
		time.Sleep(time.Duration(roll(120)) * time.Second)
		s := w.state("p")
		if err := engine.Check(s); err != nil {
			t.Fatal(err)
		}
		switch p := roll(24); {
		case p < 5:
			ask(engine.Start{Trigger: pipeline.Trigger{Type: pipeline.TriggerStartPipelineExecution}})
		case p < 6:
			for id := range s.Executions {
				ask(engine.Stop{Execution: id, Abandon: roll(2) == 0})
				break
			}
		case p < 9:
			for name, stage := range s.Stages {
				if stage.Latest != nil && stage.Latest.Status != pipeline.Succeeded {
					ask(engine.Retry{Stage: name, Execution: stage.Latest.ID, Mode: pipeline.FailedActions})
				}
			}
		case p < 13:
			approve()
		case p < 15:
			skew.Store(int64([]time.Duration{-time.Hour, 0, 0, time.Hour}[roll(4)]))
		case p < 16:
			i := roll(2)
			nodes[i]() // waits for work that does not listen
			nodes[i] = serve()
		case p < 17:
			ask(engine.DisableTransition{Stage: fmt.Sprint("S", 1+roll(4)), Direction: "Inbound"})
		case p < 19:
			gates(enable)
		case p < 21:
			for name, stage := range s.Stages {
				if stage.Target != "" {
					ask(engine.Rollback{Stage: name, Target: stage.Target})
				}
			}
		case p < 22 && roll(4) == 0:
			w.update(func(ctx context.Context, tx *store.Tx) error {
				s, err := tx.LoadState(ctx, "id of p")
				if err == nil {
					d := *s.Current()
					d.Version++
					_, err = w.c.UpdateTx(ctx, tx, "id of p", s, &d)
				}
				return err
			})
		}
	}
	skew.Store(0)
	gates(enable)
	w.mu.Lock()
	calm = true
	w.mu.Unlock()
	for range 48 {
		time.Sleep(10 * time.Minute)
		approve()
	}
	synctest.Wait()
	for _, e := range w.state("p").Executions {
		if !e.Status.Terminal() {
			t.Errorf("execution %d is %s at %s and nothing moves it", e.Order, e.Status, e.Stage)
		}
	}
	w.update(func(ctx context.Context, tx *store.Tx) error {
		if timers, err := tx.NextTimers(ctx, 9); len(timers) > 0 || err != nil {
			t.Errorf("timers are left: %v %v", timers, err)
		}
		left, err := tx.ListOutgoing(ctx, 9)
		if len(left) > 0 {
			t.Errorf("%d events are left", len(left))
		}
		return err
	})
	for range 3 {
		ask(engine.Start{Trigger: pipeline.Trigger{Type: pipeline.TriggerStartPipelineExecution}})
		time.Sleep(7*time.Minute + time.Second/2) // when nothing else is
	}
	w.update(func(ctx context.Context, tx *store.Tx) error { return w.c.DeleteTx(ctx, tx, "id of p") })
	before := handed.Load()
	time.Sleep(time.Hour)
	synctest.Wait()
	w.update(func(ctx context.Context, tx *store.Tx) error {
		timers, err := tx.NextTimers(ctx, 9)
		if again := handed.Load() - before; again > 0 || len(timers) > 0 {
			t.Errorf("of the deleted pipeline %d jobs were handed out, and there are the timers %v", again, timers)
		}
		return err
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	t.Logf("%d hand-outs to %d runs of a worker; %d events, %d told again", handed.Load(), node, last, twice)
}

// state is the pipeline's.
func (w *world) state(name string) (s *engine.State) {
	w.Helper()
	if err := w.db.View(w.Context(), func(tx *store.Tx) (err error) {
		s, err = tx.ViewState(w.Context(), "id of "+name)
		return err
	}); err != nil {
		w.Fatal(err)
	}
	return s
}
