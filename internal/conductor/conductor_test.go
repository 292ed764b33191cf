package conductor_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"penstock/internal/conductor"
	"penstock/internal/engine"
	"penstock/internal/fault"
	"penstock/internal/pipeline"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m, func() error { return goleak.Find() }) }

var (
	built  = pipeline.ActionTypeID{Category: "Build", Owner: "AWS", Provider: "Fake", Version: "1"}
	custom = pipeline.ActionTypeID{Category: "Build", Owner: "Custom", Provider: "Elsewhere", Version: "1"}
	manual = pipeline.ActionTypeID{Category: "Approval", Owner: "AWS", Provider: "Manual", Version: "1"}
)

// world is a running conductor on a database; take receives what it delivers.
type world struct {
	*testing.T
	db *store.DB
	*conductor.Conductor
}

func newWorld(t *testing.T, db *store.DB, take func([]store.Outgoing) error) *world {
	w := &world{T: t, db: db}
	cfg := conductor.Config{DB: db, Log: slog.New(slog.DiscardHandler), Builtin: []pipeline.ActionType{{ID: built, Timeout: time.Hour}, {ID: manual}}}
	if take != nil {
		cfg.Deliver = func(_ context.Context, events []store.Outgoing) error { return take(events) }
	}
	w.Conductor = conductor.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Conductor.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return w
}

// bubble runs a test in a time of its own, on SQLite.
func bubble(t *testing.T, f func(t *testing.T, db *store.DB)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { f(t, storetest.SQLite(t)) })
}

// define is a pipeline of one stage with one action.
func define(name string, typ pipeline.ActionTypeID, minutes int) *pipeline.Declaration {
	return &pipeline.Declaration{Name: name, RoleARN: "arn:role", Version: 1, PipelineType: "V2", ExecutionMode: pipeline.Queued,
		ArtifactStore: &pipeline.ArtifactStore{Type: "S3", Location: "b"},
		Stages:        []pipeline.Stage{{Name: "S", Actions: []pipeline.Action{{Name: "A", ActionTypeID: typ, RunOrder: 1, TimeoutInMinutes: minutes}}}}}
}

func (w *world) update(f func(ctx context.Context, tx *store.Tx) error) {
	w.Helper()
	if err := w.db.Update(w.Context(), func(tx *store.Tx) error { return f(w.Context(), tx) }); err != nil {
		w.Fatal(err)
	}
}

func (w *world) create(d *pipeline.Declaration) {
	w.Helper()
	w.update(func(ctx context.Context, tx *store.Tx) error {
		_, err := w.CreateTx(ctx, tx, "id of "+d.Name, "1", "r", "seed of "+d.Name, d, "me")
		return err
	})
}

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

// run is the latest run of the one action.
func (w *world) run(name string) *engine.ActionRun { return w.state(name).Stages["S"].Actions["A"] }

// S-340: events are told in the order in which they came about, and again after whoever is
// told has failed.
func TestEventsAreToldInOrder(t *testing.T) {
	bubble(t, func(t *testing.T, db *store.DB) {
		var mu sync.Mutex
		var told []string
		refuse, calls := 2, 0
		w := newWorld(t, db, func(events []store.Outgoing) error {
			mu.Lock()
			defer mu.Unlock()
			if calls++; calls <= refuse {
				return errors.New("not now")
			}
			for _, e := range events {
				var d struct{ Pipeline, Action, Stage, State string }
				if err := json.Unmarshal([]byte(e.Detail), &d); err != nil {
					t.Error(err)
				}
				if e.Resource != "arn:aws:codepipeline:r:1:"+d.Pipeline || e.Account != "1" || e.Region != "r" || e.At.IsZero() || !strings.HasPrefix(e.DetailType, "CodePipeline ") {
					t.Errorf("event %+v", e)
				}
				told = append(told, strings.Trim(d.Stage+"/"+d.Action, "/")+" "+d.State)
			}
			return nil
		})
		w.create(define("p", manual, 0))
		time.Sleep(10 * time.Second)
		if _, err := w.Apply(t.Context(), "id of p", engine.Approve{Stage: "S", Action: "A", Token: w.run("p").Token, Status: "Approved"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		want := []string{" STARTED", "S STARTED", "S/A STARTED", "S/A SUCCEEDED", "S SUCCEEDED", " SUCCEEDED"}
		if !slices.Equal(told, want) || calls != 4 {
			t.Errorf("in %d calls: %q", calls, told)
		}
		if err := db.View(t.Context(), func(tx *store.Tx) error {
			if left, err := tx.ListOutgoing(t.Context(), 1); len(left) > 0 || err != nil {
				t.Errorf("left %v %v", left, err)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
}

// More events than one call takes arrive in order as well, on both databases.
func TestManyEvents(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		const n = 60
		done := make(chan bool)
		var last int64
		ended := 0
		w := newWorld(t, db, func(events []store.Outgoing) error {
			for _, e := range events {
				if e.Seq <= last {
					t.Errorf("event %d after %d", e.Seq, last)
				}
				last = e.Seq
				if strings.HasSuffix(e.DetailType, "Pipeline Execution State Change") && strings.Contains(e.Detail, `"state":"STOPPED"`) {
					if ended++; ended == n {
						close(done)
					}
				}
			}
			return nil
		})
		w.create(define("p", manual, 0))
		for i := range n {
			id := w.state("p").Stages["S"].Holder
			if _, err := w.Apply(t.Context(), "id of p", engine.Start{}); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Apply(t.Context(), "id of p", engine.Stop{Execution: id, Abandon: true, Reason: fmt.Sprint(i)}); err != nil {
				t.Fatal(err)
			}
		}
		select {
		case <-done:
		case <-time.After(5 * time.Minute):
			t.Fatal("not all events were delivered")
		}
	})
}

// Without anybody to tell, no event is kept.
func TestNobodyToTell(t *testing.T) {
	bubble(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, nil)
		w.create(define("p", manual, 0))
		w.update(func(ctx context.Context, tx *store.Tx) error {
			if left, err := tx.ListOutgoing(ctx, 1); len(left) > 0 || err != nil {
				t.Errorf("left %v %v", left, err)
			}
			return nil
		})
	})
}

// S-226: an approval that nobody answers fails in time, to the microsecond, whether its
// time is near or far when it is asked for.
func TestApprovalsTimeOut(t *testing.T) {
	bubble(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, nil)
		begun := time.Now()
		times := map[string]time.Duration{"week": 7 * 24 * time.Hour, "hour": time.Hour, "minute": time.Minute}
		w.create(define("week", manual, 0))
		w.create(define("hour", manual, 60))
		time.Sleep(30 * time.Minute)
		w.create(define("minute", manual, 1))
		times["minute"] += 30 * time.Minute
		time.Sleep(7 * 24 * time.Hour)
		synctest.Wait()
		for name, after := range times {
			if run := w.run(name); run.Status != pipeline.Failed || !run.Updated.Equal(begun.Add(after)) {
				t.Errorf("%s is %s after %v", name, run.Status, run.Updated.Sub(begun))
			}
		}
	})
}

// A pipeline that cannot be moved holds up no other, and moves when it can again.
func TestOneBadPipeline(t *testing.T) {
	bubble(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, nil)
		// A state whose definition is missing, as after damage.
		w.update(func(ctx context.Context, tx *store.Tx) error {
			d := define("bad", manual, 1)
			s := engine.New("1", "r", "seed", d, tx.Now())
			s.Version = 2
			return errors.Join(tx.InsertPipeline(ctx, "id of bad", s, d),
				tx.SetTimer(ctx, store.Timer{Run: "bad", PipelineID: "id of bad", At: tx.Now().Add(time.Second)}))
		})
		w.create(define("good", manual, 1))
		time.Sleep(time.Minute)
		synctest.Wait()
		if run := w.run("good"); run.Status != pipeline.Failed {
			t.Errorf("the good pipeline is %s", run.Status)
		}
		left := func() (list []store.Timer) {
			w.update(func(ctx context.Context, tx *store.Tx) (err error) {
				list, err = tx.NextTimers(ctx, 9)
				return err
			})
			return list
		}
		if list := left(); len(list) != 1 || list[0].Run != "bad" {
			t.Errorf("timers %v", list)
		}
		w.update(func(ctx context.Context, tx *store.Tx) error {
			d := define("bad", manual, 1)
			d.Version = 2
			return tx.InsertVersion(ctx, "id of bad", d)
		})
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if list := left(); len(list) != 0 {
			t.Errorf("timers %v", list)
		}
	})
}

// The timer of a pipeline that is gone goes too.
func TestTimerOfNothing(t *testing.T) {
	bubble(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, nil)
		w.update(func(ctx context.Context, tx *store.Tx) error {
			tx.Wake("timers")
			return tx.SetTimer(ctx, store.Timer{Run: "run", PipelineID: "gone", At: tx.Now()})
		})
		synctest.Wait()
		w.update(func(ctx context.Context, tx *store.Tx) error {
			list, err := tx.NextTimers(ctx, 9)
			if len(list) > 0 {
				t.Errorf("timers %v", list)
			}
			return err
		})
	})
}

// S-84: ids are lower-case UUIDs, and no two are the same.
func TestIDs(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, nil)
		seen := map[string]bool{}
		for i := range 20 {
			name := fmt.Sprint("p", i)
			w.create(define(name, []pipeline.ActionTypeID{built, manual}[i%2], 0))
			run := w.run(name)
			for _, id := range []string{string(run.Execution), string(run.ID), string(run.Job) + run.Token} {
				if seen[id] || len(id) != 36 || strings.ToLower(id) != id || strings.Trim(id, "0123456789abcdef-") != "" || id[8] != '-' || id[23] != '-' {
					t.Errorf("id %q", id)
				}
				seen[id] = true
			}
		}
	})
}

// Reports on jobs that are not there, or not there any more, are refused as AWS does.
func TestReportRefusals(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, nil)
		yes := func(*store.JobRow) error { return nil }
		ok := func(ref engine.JobRef) engine.Event { return engine.Succeed{Job: ref} }
		if err := w.Report(t.Context(), "none", yes, ok); fault.Code(err) != "JobNotFoundException" {
			t.Errorf("no job: %v", err)
		}
		w.create(define("p", built, 0))
		id := w.run("p").Job
		mine := fault.New("InvalidJobStateException", "not yours")
		if err := w.Report(t.Context(), id, func(*store.JobRow) error { return mine }, ok); !errors.Is(err, mine) {
			t.Errorf("another's job: %v", err)
		}
		if err := w.Report(t.Context(), id, yes, ok); err != nil {
			t.Fatal(err)
		}
		if err := w.Report(t.Context(), id, yes, ok); fault.Code(err) != "InvalidJobStateException" { // S-315
			t.Errorf("twice: %v", err)
		}
		w.update(func(ctx context.Context, tx *store.Tx) error { // as after KeepJobs
			n, err := tx.Perish(ctx, store.EndedJobs, tx.Now().Add(time.Hour), 9)
			if n != 1 {
				t.Errorf("%d jobs had ended", n)
			}
			return err
		})
		if err := w.Report(t.Context(), id, yes, ok); fault.Code(err) != "JobNotFoundException" {
			t.Errorf("forgotten: %v", err)
		}
		w.update(func(ctx context.Context, tx *store.Tx) error { return w.DeleteTx(ctx, tx, "id of p") })
		if err := w.Report(t.Context(), id, yes, ok); fault.Code(err) != "JobNotFoundException" {
			t.Errorf("deleted: %v", err)
		}
		if _, err := w.Apply(t.Context(), "id of p", engine.Start{}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a deleted pipeline: %v", err)
		}
	})
}

// Reports on one execution that come at the same moment all count, each once.
func TestReportsAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, nil)
		d := define("p", built, 0)
		for i := range 11 {
			a := d.Stages[0].Actions[0]
			a.Name = fmt.Sprint("A", i)
			d.Stages[0].Actions = append(d.Stages[0].Actions, a)
		}
		w.create(d)
		var all sync.WaitGroup
		var mu sync.Mutex
		accepted := map[pipeline.JobID]int{}
		for _, run := range w.state("p").Stages["S"].Actions {
			for range 2 {
				all.Go(func() {
					err := w.Report(t.Context(), run.Job, func(*store.JobRow) error { return nil }, func(ref engine.JobRef) engine.Event { return engine.Succeed{Job: ref} })
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						accepted[run.Job]++
					} else if fault.Code(err) != "InvalidJobStateException" {
						t.Error(err)
					}
				})
			}
		}
		all.Wait()
		for id, n := range accepted {
			if n != 1 {
				t.Errorf("job %s was ended %d times", id, n)
			}
		}
		if s := w.state("p"); len(accepted) != 12 || len(s.Executions) != 0 || s.Stages["S"].Latest.Status != pipeline.Succeeded {
			t.Errorf("%d accepted, stage %+v", len(accepted), s.Stages["S"].Latest)
		}
	})
}

// Jobs of the server's own types wake its workers, those of custom types do not.
func TestWhoIsWoken(t *testing.T) {
	bubble(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, nil)
		wake, stop := w.Jobs()
		defer stop()
		w.update(func(ctx context.Context, tx *store.Tx) error {
			return tx.PutCustomActionType(ctx, "1", "r", store.CustomActionType{ActionType: pipeline.ActionType{ID: custom, Timeout: time.Hour}})
		})
		for _, typ := range []pipeline.ActionTypeID{custom, manual, built} {
			w.create(define("p"+typ.Provider, typ, 0))
			select {
			case <-wake:
				if typ != built {
					t.Errorf("a job of %s woke the workers", typ.Provider)
				}
			default:
				if typ == built {
					t.Error("nobody was woken")
				}
			}
		}
	})
}

// S-305: a job of a custom type is found by the value of the queryable property.
func TestCustomJobs(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, nil)
		w.update(func(ctx context.Context, tx *store.Tx) error {
			return tx.PutCustomActionType(ctx, "1", "r", store.CustomActionType{ActionType: pipeline.ActionType{ID: custom, Timeout: time.Hour,
				Properties: []pipeline.Property{{Name: "other"}, {Name: "project", Required: true, Queryable: true}}}})
		})
		d := define("p", custom, 0)
		d.Stages[0].Actions[0].Configuration = map[string]string{"project": "app", "other": "x"}
		w.create(d)
		for query, want := range map[string]int{"x": 0, "": 0, "app": 1} {
			w.update(func(ctx context.Context, tx *store.Tx) error {
				rows, err := tx.DispatchJobs(ctx, store.Queue("1", "r", custom), query, 9, time.Minute)
				if len(rows) != want {
					t.Errorf("%q: %d jobs", query, len(rows))
				}
				return err
			})
		}
	})
}
