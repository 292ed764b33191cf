package retention_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"penstock/internal/conductor"
	"penstock/internal/engine"
	"penstock/internal/pipeline"
	"penstock/internal/retention"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

const (
	here, there = "eu-1", "eu-2"
	year        = 366 * 24 * time.Hour
)

var (
	source = pipeline.ActionTypeID{Category: pipeline.CategorySource, Owner: pipeline.OwnerAWS, Provider: "CodeCommit", Version: "1"}
	build  = pipeline.ActionTypeID{Category: pipeline.CategoryBuild, Owner: pipeline.OwnerAWS, Provider: "CodeBuild", Version: "1"}
	deploy = pipeline.ActionTypeID{Category: pipeline.CategoryDeploy, Owner: pipeline.OwnerAWS, Provider: "S3", Version: "1"}
)

// fataler is a *testing.T or a *rapid.T.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// version is something in a bucket: what an execution's action wrote, or a user.
type version struct {
	at   time.Time
	user bool
	// by is the execution that wrote it: what one made, the actions of a rollback copy.
	by pipeline.ExecutionID
}

// world is a pipeline on a database, with its artifact buckets and a time of its own.
type world struct {
	fataler
	ctx context.Context
	url string
	db  *store.DB
	*conductor.Conductor

	mu      sync.Mutex
	now     time.Time
	objects map[string][]version // by bucket/key
	// busy is when an action last ran that reads or writes an object.
	busy    map[string]time.Time
	refuse  bool // deletions
	deletes int

	known     []pipeline.ExecutionID
	started   map[pipeline.ExecutionID]time.Time
	revisions map[pipeline.ExecutionID]string
	version   int
}

func newWorld(t fataler, ctx context.Context, url string, d *pipeline.Declaration) *world {
	w := &world{fataler: t, ctx: ctx, url: url, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), objects: map[string][]version{}, busy: map[string]time.Time{},
		started: map[pipeline.ExecutionID]time.Time{}, revisions: map[pipeline.ExecutionID]string{}, version: 1}
	w.open()
	w.update(func(tx *store.Tx) error {
		_, err := w.CreateTx(ctx, tx, "id", "111111111111", here, "seed", d, "arn:creator")
		return err
	})
	w.look()
	return w
}

func (w *world) clock() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.now }
func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// open opens the database, again if it is open: nothing is remembered but rows.
func (w *world) open() {
	w.close()
	db, err := store.Open(w.ctx, store.Config{URL: w.url, Clock: w.clock, Durability: store.Off, MaxConns: 2, Keys: storetest.Keys()})
	if err != nil {
		w.Fatalf("%v", err)
	}
	w.db = db
	w.Conductor = conductor.New(conductor.Config{DB: db, Log: slog.New(slog.DiscardHandler), Builtin: []pipeline.ActionType{{ID: source}, {ID: build}, {ID: deploy}}})
}

func (w *world) close() {
	if w.db != nil {
		if err := w.db.Close(); err != nil {
			w.Errorf("%v", err)
		}
	}
}

func (w *world) update(f func(tx *store.Tx) error) {
	w.Helper()
	if err := w.db.Update(w.ctx, f); err != nil {
		w.Fatalf("%v", err)
	}
}

func (w *world) state() (s *engine.State) {
	w.Helper()
	if err := w.db.View(w.ctx, func(tx *store.Tx) (err error) {
		s, err = tx.ViewState(w.ctx, "id")
		return err
	}); err != nil {
		w.Fatalf("%v", err)
	}
	return s
}

// past gives an execution as the database has it, nil if it has none.
func (w *world) past(id pipeline.ExecutionID) (e *engine.Execution) {
	w.Helper()
	err := w.db.View(w.ctx, func(tx *store.Tx) (err error) {
		e, err = tx.Execution(w.ctx, "id", id)
		return err
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		w.Fatalf("%v", err)
	}
	return e
}

// apply applies an event, which may be refused.
func (w *world) apply(ev engine.Event) bool {
	w.Helper()
	w.look() // some time may have passed
	_, err := w.Apply(w.ctx, "id", ev)
	w.look()
	return err == nil
}

// look takes note of executions that have come, and of copies that their actions make.
func (w *world) look() {
	s := w.state()
	for _, e := range s.Executions {
		if w.started[e.ID].IsZero() {
			w.known, w.started[e.ID] = append(w.known, e.ID), e.Started
			if e.RollbackTarget != "" {
				w.revisions[e.ID] = w.revisions[e.RollbackTarget]
			}
		}
		for _, run := range e.LatestRuns() {
			if run.Status != pipeline.InProgress {
				continue
			}
			for _, a := range slices.Concat(run.Inputs, run.Outputs) {
				w.busy[a.Key] = w.clock()
			}
			if run.Region == there {
				for _, in := range run.Inputs {
					w.write(in, run)
				}
			}
		}
	}
	slices.SortFunc(w.known, func(a, b pipeline.ExecutionID) int { return w.started[a].Compare(w.started[b]) })
}

func (w *world) write(a pipeline.Artifact, run *engine.ActionRun) {
	key := a.Bucket + "/" + a.Key
	w.objects[key] = append(w.objects[key], version{at: w.clock(), by: run.Execution})
}

// running are the runs in progress, in order.
func (w *world) running() (list []*engine.ActionRun) {
	for _, e := range w.state().Executions {
		for _, run := range e.LatestRuns() {
			if run.Status == pipeline.InProgress {
				list = append(list, run)
			}
		}
	}
	slices.SortFunc(list, func(a, b *engine.ActionRun) int { return int(a.Number - b.Number) })
	return list
}

// end reports that a run succeeded, having written its outputs, or that it failed.
func (w *world) end(run *engine.ActionRun, ok bool) {
	w.Helper()
	ref := engine.JobRef{ID: run.Job, Execution: run.Execution, Run: run.ID}
	if !ok {
		w.apply(engine.Fail{Job: ref, Error: pipeline.ErrorDetails{Code: pipeline.JobFailed}})
		return
	}
	for _, out := range run.Outputs {
		w.write(out, run)
		if out.Bucket != bucket(here) {
			out.Bucket = bucket(here)
			w.write(out, run)
		}
	}
	ev := engine.Succeed{Job: ref}
	if run.Type == source {
		ev.Revision = &pipeline.Revision{ID: fmt.Sprint("r", run.Number)}
		w.revisions[run.Execution] = ev.Revision.ID
	}
	if !w.apply(ev) {
		w.Fatalf("a report was refused")
	}
}

func bucket(region string) string { return "artifacts-" + region }

// declare makes a pipeline of three stages, of which the last deploys in two Regions.
func declare(mode pipeline.ExecutionMode, version int, rollback bool) *pipeline.Declaration {
	stores := map[string]pipeline.ArtifactStore{here: {Type: "S3", Location: bucket(here)}, there: {Type: "S3", Location: bucket(there)}}
	in, out := []pipeline.ArtifactName{{Name: "src"}}, []pipeline.OutputArtifact{{Name: "src"}}
	d := &pipeline.Declaration{Name: "p", RoleARN: "arn:aws:iam::111111111111:role/r", Version: version, PipelineType: pipeline.V2, ExecutionMode: mode, ArtifactStores: stores, Stages: []pipeline.Stage{
		{Name: "Source", Actions: []pipeline.Action{{Name: "get", ActionTypeID: source, RunOrder: 1, OutputArtifacts: out}}},
		{Name: "Build", Actions: []pipeline.Action{{Name: "make", ActionTypeID: build, RunOrder: 1, Region: there, InputArtifacts: in, OutputArtifacts: []pipeline.OutputArtifact{{Name: "bin"}}}}},
		{Name: "Deploy", Actions: []pipeline.Action{
			{Name: "near", ActionTypeID: deploy, RunOrder: 1, InputArtifacts: []pipeline.ArtifactName{{Name: "bin"}}},
			{Name: "far", ActionTypeID: deploy, RunOrder: 2, Region: there, InputArtifacts: []pipeline.ArtifactName{{Name: "bin"}}},
		}},
	}}
	if rollback {
		d.Stages[2].OnFailure = &pipeline.FailureConditions{Result: "ROLLBACK"}
	}
	return d
}

// keeper makes a Keeper that deletes as the S3 room does: the versions of the time that is meant.
func (w *world) keeper() *retention.Keeper {
	return w.keeperWith(func(_ context.Context, a store.StaleArtifact) error {
		if w.deletes++; w.refuse && w.deletes%2 == 0 {
			return errors.New("not now")
		}
		key := a.Bucket + "/" + a.Key
		w.objects[key] = slices.DeleteFunc(w.objects[key], func(v version) bool { return !v.at.Before(a.From) && !v.at.After(a.Until) })
		if w.refuse && w.deletes%3 == 0 {
			return errors.New("the answer was lost")
		}
		return nil
	})
}

func (w *world) keeperWith(remove func(context.Context, store.StaleArtifact) error) *retention.Keeper {
	return retention.New(retention.Config{DB: w.db, Log: slog.New(slog.DiscardHandler), Delete: remove})
}

// fuse is a context that ends when it has been looked at so many times.
type fuse struct {
	context.Context
	left int
}

func (f *fuse) Err() error {
	if f.left--; f.left < 0 {
		return context.Canceled
	}
	return f.Context.Err()
}

// rows is everything that a pipeline's state says, with its live executions.
func (w *world) rows() string {
	w.Helper()
	s := w.state()
	out, err := json.Marshal([]any{s, s.Executions})
	if err != nil {
		w.Fatalf("%v", err)
	}
	return string(out)
}

var errUndo = errors.New("undo")

// check looks at everything that a retry or a rollback would find now.
func (w *world) check() {
	w.Helper()
	s := w.state()
	for _, id := range w.known {
		e := w.past(id)
		if e == nil {
			if w.clock().Sub(w.started[id]) <= year {
				w.Fatalf("an execution of %v is gone at %v", w.started[id], w.clock())
			}
			continue
		}
		w.whole(e, "the history")
		for stage := range s.Stages {
			for _, ev := range []engine.Event{
				engine.Retry{Execution: id, Stage: stage, Mode: pipeline.AllActions},
				engine.Retry{Execution: id, Stage: stage, Mode: pipeline.FailedActions},
				engine.Rollback{Target: id, Stage: stage},
			} {
				w.attempt(id, ev)
			}
		}
	}
}

// attempt applies an event and undoes it.
func (w *world) attempt(id pipeline.ExecutionID, ev engine.Event) {
	w.Helper()
	err := w.db.Update(w.ctx, func(tx *store.Tx) error {
		s, err := w.ApplyTx(w.ctx, tx, "id", ev)
		if err != nil {
			return err
		}
		if _, ok := ev.(engine.Rollback); ok {
			id = s.Started
			e := s.Executions[id]
			w.revisions[id] = w.revisions[e.RollbackTarget]
		}
		w.whole(s.Executions[id], fmt.Sprintf("%T", ev))
		return errUndo
	})
	if err == nil {
		w.Fatalf("%T was not undone", ev)
	}
}

// whole says that the artifacts and revisions of an execution are all there.
func (w *world) whole(e *engine.Execution, what string) {
	w.Helper()
	for _, a := range e.Artifacts {
		if key := a.Bucket + "/" + a.Key; !slices.ContainsFunc(w.objects[key], func(v version) bool { return !v.user }) {
			w.Fatalf("%s of the execution of %v at %v does not find its artifact %s", what, e.Started, w.clock(), key)
		}
	}
	if _, ok := e.Artifacts["src"]; ok && (len(e.SourceRevisions) != 1 || e.SourceRevisions[0].RevisionID != w.revisions[e.ID]) {
		w.Fatalf("%s of the execution of %v has the revisions %v, want %s", what, e.Started, e.SourceRevisions, w.revisions[e.ID])
	}
}

// tidy says that what is left that is old is kept for a reason, and that no object is left of
// what is gone.
func (w *world) tidy() {
	w.Helper()
	s := w.state()
	reason := map[pipeline.ExecutionID]string{}
	var newest *engine.Execution
	for _, id := range w.known {
		if e := w.past(id); e != nil {
			if e.RollbackTarget != "" {
				reason[e.RollbackTarget] = "a rollback has its artifacts"
			}
			if newest == nil || e.Order > newest.Order {
				newest = e
			}
		}
	}
	reason[newest.ID] = "newest"
	for id := range s.Executions {
		reason[id] = "live"
	}
	for _, stage := range s.Stages {
		reason[stage.Target] = "target"
		for _, e := range []*engine.StageExecution{stage.Latest, stage.LastInbound} {
			if e != nil {
				reason[e.ID] = "shown"
			}
		}
		for _, run := range stage.Actions {
			reason[run.Execution] = "shown"
		}
	}
	for _, id := range w.known {
		if w.past(id) != nil && w.clock().Sub(w.started[id]) > year && reason[id] == "" {
			w.Fatalf("an execution of %v is still there at %v", w.started[id], w.clock())
		}
	}
	for key, list := range w.objects {
		for _, v := range list {
			if !v.user && w.past(v.by) == nil {
				w.Fatalf("%s is left of an execution that is gone", key)
			}
		}
	}
}

// change puts a new version of the pipeline in force.
func (w *world) change(d *pipeline.Declaration) {
	w.Helper()
	w.update(func(tx *store.Tx) error {
		s, err := tx.LoadState(w.ctx, "id")
		if err != nil {
			return err
		}
		_, err = w.UpdateTx(w.ctx, tx, "id", s, d)
		return err
	})
	w.look()
}
