package worker_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"penstock/internal/conductor"
	"penstock/internal/engine"
	"penstock/internal/pipeline"
	"penstock/internal/provider"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
	"penstock/internal/worker"
)

func TestMain(m *testing.M) { storetest.Main(m, func() error { return goleak.Find() }) }

var (
	built  = pipeline.ActionTypeID{Category: "Build", Owner: "AWS", Provider: "Fake", Version: "1"}
	custom = pipeline.ActionTypeID{Category: "Build", Owner: "Custom", Provider: "Elsewhere", Version: "1"}
	byFunc = pipeline.ActionTypeID{Category: "Test", Owner: "ThirdParty", Provider: "Scanner", Version: "1"}
	manual = pipeline.ActionTypeID{Category: "Approval", Owner: "AWS", Provider: "Manual", Version: "1"}
)

// timeout is that of the fake's actions.
const timeout = time.Hour

// fake is a provider whose work is a function.
type fake func(ctx context.Context, job provider.Job) provider.Result

func (f fake) Types() []pipeline.ActionType {
	return []pipeline.ActionType{{ID: built, Timeout: timeout}}
}

func (f fake) Run(ctx context.Context, job provider.Job) provider.Result { return f(ctx, job) }

// world is a database with a conductor, and workers that the test starts.
type world struct {
	*testing.T
	db *store.DB
	c  *conductor.Conductor

	mu     sync.Mutex
	events []string
	// deliver, if set, may refuse to take events.
	deliver func([]store.Outgoing) error
}

// bubble runs a test in a time of its own, on SQLite: hours of it pass in no time, and none
// passes while anything can still be done.
func bubble(t *testing.T, f func(w *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { f(newWorld(t, storetest.SQLite(t))) })
}

func newWorld(t *testing.T, db *store.DB) *world {
	w := &world{T: t, db: db}
	w.c = newConductor(db, func(_ context.Context, events []store.Outgoing) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.deliver != nil {
			if err := w.deliver(events); err != nil {
				return err
			}
		}
		for _, e := range events {
			w.events = append(w.events, e.Detail)
		}
		return nil
	})
	w.start(w.c.Run)
	return w
}

func newConductor(db *store.DB, deliver func(context.Context, []store.Outgoing) error) *conductor.Conductor {
	return conductor.New(conductor.Config{DB: db, Log: slog.New(slog.DiscardHandler),
		Builtin: append(fake(nil).Types(), pipeline.ActionType{ID: manual}), Deliver: deliver})
}

// start runs a loop until the test ends, or until the function it gives is called.
func (w *world) start(run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.Error(err)
		}
	})
	w.Cleanup(stop)
	return stop
}

// work starts a worker with a provider.
func (w *world) work(node string, f fake) (stop func()) {
	return w.workWith(node, slog.New(slog.DiscardHandler), f)
}

// workWith is work with a log.
func (w *world) workWith(node string, log *slog.Logger, f fake) (stop func()) {
	return w.start(worker.New(w.config(node, log, f)).Run)
}

func (w *world) config(node string, log *slog.Logger, f fake) worker.Config {
	return worker.Config{DB: w.db, Conductor: w.c, Providers: []provider.Provider{f}, Node: node, Concurrency: 4,
		Env: func(context.Context, *store.JobRow) provider.Env { return provider.Env{} }, Log: log}
}

// action is an action of the fake, or of another type by its name's first letter: X for
// custom, M for an approval, F for a type whose executor is a function.
func action(name string, order int) pipeline.Action {
	a := pipeline.Action{Name: name, ActionTypeID: built, RunOrder: order}
	switch name[0] {
	case 'X':
		a.ActionTypeID = custom
	case 'F':
		a.ActionTypeID = byFunc
	case 'M':
		a.ActionTypeID = manual
	}
	return a
}

// create makes a pipeline of one stage for each list of actions; its first execution starts.
func (w *world) create(name string, stages ...[]pipeline.Action) {
	w.Helper()
	d := &pipeline.Declaration{Name: name, RoleARN: "arn:role", Version: 1, PipelineType: "V2", ExecutionMode: pipeline.Superseded,
		ArtifactStore: &pipeline.ArtifactStore{Type: "S3", Location: "b"}}
	for i, actions := range stages {
		d.Stages = append(d.Stages, pipeline.Stage{Name: "S" + string(rune('1'+i)), Actions: actions})
	}
	w.update(func(ctx context.Context, tx *store.Tx) error {
		if err := tx.PutCustomActionType(ctx, "1", "r", store.CustomActionType{ActionType: pipeline.ActionType{ID: custom, Timeout: timeout}}); err != nil {
			return err
		}
		if err := tx.PutDeclaredActionType(ctx, "1", "r", store.DeclaredActionType{Declaration: []byte("{}"),
			ActionType: pipeline.ActionType{ID: byFunc, Timeout: 10 * time.Minute, Function: "arn:function"}}); err != nil {
			return err
		}
		_, err := w.c.CreateTx(ctx, tx, "id of "+name, "1", "r", "seed of "+name, d, "me")
		return err
	})
}

func (w *world) update(f func(ctx context.Context, tx *store.Tx) error) {
	w.Helper()
	if err := w.db.Update(w.Context(), func(tx *store.Tx) error { return f(w.Context(), tx) }); err != nil {
		w.Fatal(err)
	}
}

// runs are all action executions of a pipeline, oldest first.
func (w *world) runs(name string) []*engine.ActionRun {
	w.Helper()
	var list []*engine.ActionRun
	if err := w.db.View(w.Context(), func(tx *store.Tx) (err error) {
		list, err = tx.ListActionRuns(w.Context(), "id of "+name, "", 0, 100)
		return err
	}); err != nil {
		w.Fatal(err)
	}
	for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
		list[i], list[j] = list[j], list[i]
	}
	return list
}

// status is that of the newest execution.
func (w *world) status(name string) pipeline.Status { return w.execution(name).Status }

func (w *world) execution(name string) *engine.Execution {
	w.Helper()
	var list []*engine.Execution
	if err := w.db.View(w.Context(), func(tx *store.Tx) (err error) {
		list, err = tx.ListExecutions(w.Context(), "id of "+name, 0, "", 0, 1)
		return err
	}); err != nil || len(list) == 0 {
		w.Fatal(list, err)
	}
	return list[0]
}

func (w *world) apply(name string, ev engine.Event) {
	w.Helper()
	if _, err := w.c.Apply(w.Context(), "id of "+name, ev); err != nil {
		w.Fatal(err)
	}
}

// job is the row of a job.
func (w *world) job(id pipeline.JobID) *store.JobRow {
	w.Helper()
	var row *store.JobRow
	if err := w.db.View(w.Context(), func(tx *store.Tx) (err error) {
		row, err = tx.Job(w.Context(), id)
		return err
	}); err != nil {
		w.Fatal(err)
	}
	return row
}

// failed is a provider's failure.
func failed(message string) provider.Result {
	return provider.Failed(pipeline.JobFailed, "%s", message)
}

// once gives the value that arrives, without waiting for one that cannot come.
func once[T any](w *world, c <-chan T) T {
	w.Helper()
	synctest.Wait()
	select {
	case v := <-c:
		return v
	default:
		w.Fatal(errors.New("nothing came"))
		panic("unreachable")
	}
}
