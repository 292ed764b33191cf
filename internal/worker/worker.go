// Package worker does jobs of built-in action types, and those that name a function, inside the server: it claims them, runs
// their provider and reports how it went, over the same protocol as workers elsewhere.
package worker

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"penstock/internal/conductor"
	"penstock/internal/engine"
	"penstock/internal/fault"
	"penstock/internal/mishap"
	"penstock/internal/pipeline"
	"penstock/internal/provider"
	"penstock/internal/store"
)

const (
	// lease is how long a node holds a job without renewing it.
	lease = 60 * time.Second
	// looks is how often a lease must have been found as it was before it has lapsed.
	looks = 3
	// nap is the longest wait for a wake-up; leases are renewed, and those of others looked
	// at, as often.
	nap = lease / looks
	// pause follows a failure of the database.
	pause = time.Second
	// farewell bounds letting go of jobs at the end.
	farewell = 5 * time.Second
)

// Config says what a Worker works with.
type Config struct {
	DB        *store.DB
	Conductor *conductor.Conductor
	Providers []provider.Provider
	// Execute does the jobs that name a function (S-321); nil leaves them to others.
	Execute func(ctx context.Context, job provider.Job) provider.Result
	// Env makes what a job may use; it must not fail, calls made with it may.
	Env func(ctx context.Context, job *store.JobRow) provider.Env
	// Node names this run of the server among all that share the database: it is new at
	// every start, or else what an earlier run held would look like this one's.
	Node string
	// Concurrency is how many jobs run at once; 0 means 1000: most of them wait for others.
	Concurrency int
	Log         *slog.Logger
}

// Worker runs providers. Make one with New and call Run once.
type Worker struct {
	cfg    Config
	byType map[pipeline.ActionTypeID]provider.Provider
	queues []string
	slots  chan struct{}

	mu sync.Mutex
	// tasks are the jobs this worker is at work on.
	tasks map[pipeline.JobID]*task

	// What follows belongs to claim.
	looked time.Time
	leases map[pipeline.JobID]sight
	lapsed []store.Lease
	// every is nap; tests cannot wait for so long.
	every time.Duration
}

// sight is how often a lease was found as it had been before.
type sight struct {
	store.Lease
	again int
}

// task is a job that this worker holds.
type task struct {
	row *store.JobRow
	// ctx ends when the job is aborted, times out or is lost to another server.
	ctx context.Context
	// abort ends ctx because nobody wants the work any more, stop for another reason.
	abort, stop context.CancelFunc
	forget      func()
}

// newTask makes a task whose work ends with ctx, or after a time.
func newTask(ctx context.Context, row *store.JobRow, limit time.Duration) *task {
	ctx, cancel := context.WithCancelCause(ctx)
	ctx, stop := context.WithTimeoutCause(ctx, limit, provider.ErrAborted)
	return &task{row: row, ctx: ctx, stop: stop, abort: func() { cancel(provider.ErrAborted) }}
}

func (t *task) drop() {
	t.forget()
	t.stop()
	t.abort()
}

// New makes a Worker for all types of the providers.
func New(cfg Config) *Worker {
	if cfg.Concurrency == 0 {
		cfg.Concurrency = 1000
	}
	w := &Worker{cfg: cfg, byType: map[pipeline.ActionTypeID]provider.Provider{}, slots: make(chan struct{}, cfg.Concurrency),
		tasks: map[pipeline.JobID]*task{}, leases: map[pipeline.JobID]sight{}, every: nap}
	for _, p := range cfg.Providers {
		for _, t := range p.Types() {
			w.byType[t.ID] = p
			w.queues = append(w.queues, store.Queue("", "", t.ID))
		}
	}
	if cfg.Execute != nil {
		w.queues = append(w.queues, store.FunctionQueue)
	}
	return w
}

// Run does jobs until ctx ends, then waits for the providers to return. Jobs cut short by
// the end are let go and are done again by whoever serves next.
func (w *Worker) Run(ctx context.Context) error {
	if len(w.queues) == 0 {
		<-ctx.Done()
		return nil
	}
	g, serving := errgroup.WithContext(ctx)
	g.Go(func() error { w.renew(serving); return nil })
	g.Go(func() error { w.claim(serving); return nil })
	_ = g.Wait() // neither fails
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if err := w.cfg.Conductor.Release(ctx, w.cfg.Node); err != nil {
		w.cfg.Log.Warn("worker: jobs were not let go; others wait until the leases have lapsed", "error", err)
	}
	return nil
}

// claim takes jobs as they become available and as slots are free.
func (w *Worker) claim(ctx context.Context) {
	wake, stop := w.cfg.Conductor.Jobs()
	defer stop()
	freed := make(chan struct{}, 1)
	var running sync.WaitGroup
	defer running.Wait()
	for woken := false; ; {
		tasks, next, err := w.take(ctx, woken)
		if ctx.Err() != nil {
			for _, t := range tasks {
				w.done(t)
			}
			return
		}
		if err != nil {
			w.cfg.Log.Error("worker: cannot claim jobs, will try again", "error", err)
			next = pause
		}
		for _, t := range tasks {
			w.slots <- struct{}{} // take asked for no more than are free
			running.Go(func() {
				w.do(ctx, t)
				w.done(t)
				<-w.slots
				select {
				case freed <- struct{}{}:
				default:
				}
			})
		}
		if woken = false; len(tasks) > 0 {
			continue
		}
		timer := time.NewTimer(min(next, w.every))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-wake:
			woken = true
		case <-freed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// take claims what is available, if there is a free slot, and says when the next job is due.
// Unless it was woken it looks before it claims.
func (w *Worker) take(ctx context.Context, woken bool) (tasks []*task, next time.Duration, err error) {
	free := cap(w.slots) - len(w.slots)
	if free == 0 {
		return nil, nap, nil
	}
	if woken {
		if tasks, err = w.acquire(ctx, free); err != nil || len(tasks) > 0 {
			return tasks, nap, err
		}
	}
	due, next := false, nap
	var leases []store.Lease
	look := time.Since(w.looked) >= w.every
	if err := w.cfg.DB.View(ctx, func(tx *store.Tx) error {
		if due, err = tx.ClaimableJobs(ctx, w.queues); err != nil {
			return err
		}
		if look {
			if leases, err = tx.Leases(ctx, w.queues); err != nil {
				return err
			}
		}
		if due {
			return nil
		}
		at, err := tx.NextJobAt(ctx, w.queues)
		if !at.IsZero() {
			next = at.Sub(tx.Now())
		}
		return err
	}); err != nil {
		return nil, next, err
	}
	if look {
		w.see(leases)
	}
	if !due && len(w.lapsed) == 0 {
		return nil, next, nil
	}
	tasks, err = w.acquire(ctx, free)
	w.lapsed = nil
	return tasks, next, err
}

// see keeps how often each lease was found unchanged, and which have lapsed. No clock but
// this process's own way of telling how much time passes has a say in that: a clock that is
// set, here or on another node, makes nobody lose a job, and none wait for longer.
func (w *Worker) see(leases []store.Lease) {
	w.looked, w.lapsed = time.Now(), nil
	before := w.leases
	w.leases = make(map[pipeline.JobID]sight, len(leases))
	for _, l := range leases {
		s := sight{Lease: l}
		if was, ok := before[l.Job]; ok && was.Lease == l {
			s.again = was.again + 1
		}
		if w.leases[l.Job] = s; s.again >= looks {
			w.lapsed = append(w.lapsed, l)
		}
	}
}

// acquire claims up to limit jobs.
func (w *Worker) acquire(ctx context.Context, limit int) (tasks []*task, err error) {
	busy := w.busy()
	err = w.cfg.DB.Update(ctx, func(tx *store.Tx) error {
		for _, t := range tasks { // of an attempt that was undone
			t.drop()
		}
		tasks = nil
		jobs, err := tx.ClaimJobs(ctx, w.queues, w.cfg.Node, limit, lease, busy, w.lapsed)
		for _, row := range jobs {
			t := newTask(ctx, row, row.Deadline.Sub(tx.Now()))
			t.forget = w.cfg.Conductor.OnAbort(row.ID, t.abort)
			tasks = append(tasks, t)
		}
		return err
	})
	if err != nil {
		for _, t := range tasks {
			t.drop()
		}
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range tasks {
		w.tasks[t.row.ID] = t
	}
	return tasks, nil
}

// busy gives the jobs this worker is at work on.
func (w *Worker) busy() map[pipeline.JobID]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	ids := make(map[pipeline.JobID]bool, len(w.tasks))
	for id := range w.tasks {
		ids[id] = true
	}
	return ids
}

// done forgets a task whose provider has returned.
func (w *Worker) done(t *task) {
	t.drop()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.tasks, t.row.ID)
}

// renew keeps the leases of the jobs this worker is doing, and stops those that are not its
// own any more: they were aborted on another server, or taken over by one after this one
// could not renew in time.
func (w *Worker) renew(ctx context.Context) {
	aborted, stop := w.cfg.Conductor.Aborts()
	defer stop()
	tick := time.NewTicker(nap)
	defer tick.Stop()
	for {
		renewal := true
		select {
		case <-ctx.Done():
			return
		case <-aborted:
			renewal = false
		case <-tick.C:
		}
		held := map[pipeline.JobID]int64{}
		w.mu.Lock()
		for id, t := range w.tasks {
			held[id] = t.row.Fence
		}
		w.mu.Unlock()
		if len(held) == 0 {
			continue
		}
		lost, over, err := w.held(ctx, held, renewal)
		if err != nil {
			if ctx.Err() == nil {
				w.cfg.Log.Error("worker: cannot see to the leases", "error", err)
			}
			continue
		}
		w.mu.Lock()
		for _, id := range lost {
			if t := w.tasks[id]; t != nil && t.row.Fence == held[id] {
				if over[id] {
					t.abort()
				}
				t.stop()
			}
		}
		w.mu.Unlock()
	}
}

// held gives which of the jobs this worker does not hold any more, and which of those are over
// instead of somebody else's; it renews the others' leases if it shall.
func (w *Worker) held(ctx context.Context, jobs map[pipeline.JobID]int64, renewal bool) (lost []pipeline.JobID, over map[pipeline.JobID]bool, err error) {
	look := func(tx *store.Tx) error {
		over = map[pipeline.JobID]bool{}
		for _, id := range lost {
			row, err := tx.Job(ctx, id)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			over[id] = err != nil || row.Status == engine.JobTimedOut || row.Status == engine.JobEndFailed
		}
		return nil
	}
	if !renewal {
		err = w.cfg.DB.View(ctx, func(tx *store.Tx) (err error) {
			if lost, err = tx.LostLeases(ctx, w.cfg.Node, jobs); err != nil {
				return err
			}
			return look(tx)
		})
		return lost, over, err
	}
	err = w.cfg.DB.Update(ctx, func(tx *store.Tx) (err error) {
		if lost, err = tx.RenewLeases(ctx, w.cfg.Node, jobs, lease); err != nil {
			return err
		}
		return look(tx)
	})
	return lost, over, err
}

// do runs one job to its end and reports it.
func (w *Worker) do(ctx context.Context, t *task) {
	row, jobCtx := t.row, t.ctx
	if jobCtx.Err() != nil {
		return
	}
	mishap.At(mishap.JobClaimed)
	log := w.cfg.Log.With("pipeline", row.Pipeline, "stage", row.Stage, "action", row.Action, "job", row.ID)
	env := w.cfg.Env(jobCtx, row)
	env.Log = log
	env.Progress = func(p provider.Progress) {
		err := w.report(jobCtx, row, func(ref engine.JobRef) engine.Event { return engine.Progress{Job: ref, Result: said(p)} })
		if err != nil && jobCtx.Err() == nil {
			log.Warn("worker: progress was not recorded", "error", err)
		}
	}
	result := w.run(jobCtx, row, env)
	if jobCtx.Err() != nil {
		return // aborted, timed out, or the server ends: the result does not count
	}
	mishap.At(mishap.JobDone)
	w.finish(ctx, log, row, result)
	mishap.At(mishap.JobReported)
}

// run calls the provider; a panic fails the action and no other.
func (w *Worker) run(ctx context.Context, row *store.JobRow, env provider.Env) (result provider.Result) {
	defer func() {
		if r := recover(); r != nil {
			env.Log.Error("worker: the provider panicked", "panic", r, "stack", string(debug.Stack()))
			result = provider.Failed(pipeline.SystemUnavailable, "The action '%s' ended with an internal error of the server; its log has the details under job %s", row.Action, row.ID)
		}
	}()
	var script engine.Script
	if row.Script != nil {
		script = *row.Script
	}
	if failed := fetchInputs(ctx, row, env); failed != nil {
		return *failed
	}
	do := w.cfg.Execute
	if row.Function == "" {
		do = w.byType[row.Type].Run
	}
	result = do(ctx, provider.Job{
		Commands: script.Commands, Environment: script.Environment, Files: script.Files, OutputVariables: script.Variables,
		ID: string(row.ID), ActionExecutionID: string(row.Run), ExecutionID: string(row.Execution), Type: row.Type,
		Account: row.Account, Region: row.Region, Pipeline: row.Pipeline, PipelineARN: row.PipelineARN, Stage: row.Stage, Action: row.Action,
		RoleARN: row.RoleARN, Configuration: row.Configuration, Inputs: row.Inputs, Outputs: row.Outputs, EncryptionKey: row.EncryptionKey,
		Overrides: row.Overrides, Trigger: row.Trigger, ContinuationToken: row.Token, ApprovalToken: row.Approval, Function: row.Function, Deadline: row.Deadline, Env: env,
	})
	if result.Error == nil && !result.Continues() && !result.Elsewhere {
		if failed := returnOutputs(ctx, row, env); failed != nil {
			return *failed
		}
	}
	return result
}

// finish reports a result until the database took it or refused it.
func (w *Worker) finish(ctx context.Context, log *slog.Logger, row *store.JobRow, r provider.Result) {
	event := func(ref engine.JobRef) engine.Event {
		switch {
		case r.Error != nil:
			return engine.Fail{Job: ref, Result: said(r.Progress), Error: *r.Error}
		case r.Continues():
			return engine.Continue{Job: ref, Result: said(r.Progress), Token: r.Continue, After: r.After}
		}
		return engine.Succeed{Job: ref, Result: said(r.Progress), Variables: r.OutputVariables, Revision: dated(r.Revision)}
	}
	for {
		var err error
		if r.Elsewhere {
			err = w.cfg.DB.Update(ctx, func(tx *store.Tx) error { return tx.LeaveJob(ctx, row.ID, w.cfg.Node, row.Fence) })
		} else {
			err = w.report(ctx, row, event)
		}
		switch code := fault.Code(err); {
		case err == nil:
			return
		case code == "OutputVariablesSizeExceededException":
			r = provider.Failed(pipeline.JobFailed, "%s", err.(*fault.Error).Message)
			continue
		case code != "":
			log.Info("worker: the result came too late", "error", err)
			return
		case ctx.Err() != nil:
			return
		}
		log.Error("worker: the result is not recorded yet, will try again", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// report applies a report if this node still holds the job under the same fencing number.
func (w *Worker) report(ctx context.Context, row *store.JobRow, event func(engine.JobRef) engine.Event) error {
	return w.cfg.Conductor.Report(ctx, row.ID, func(now *store.JobRow) error {
		if now.Status != engine.JobInProgress || now.Node != w.cfg.Node || now.Fence != row.Fence {
			return fault.New("InvalidJobStateException", "The job %s is not held by this server any more: status %s, hand-out %d", row.ID, now.Status, now.Fence)
		}
		return nil
	}, event)
}

func said(p provider.Progress) engine.Result {
	return engine.Result{Summary: limit(p.Summary, 2048), ExternalID: limit(p.ExternalID, 1500), ExternalURL: limit(p.ExternalURL, 2048),
		LogStreamARN: p.LogStreamARN, Percent: p.Percent}
}

// dated makes the time of a revision one that can be stored, or none: who makes a commit dates it as
// they like.
func dated(r *pipeline.Revision) *pipeline.Revision {
	if r == nil {
		return nil
	}
	clean := *r
	if clean.Created = r.Created.UTC(); clean.Created.Year() < 0 || clean.Created.Year() > 9999 {
		clean.Created = time.Time{}
	}
	return &clean
}

// limit cuts text to what the API may show, at a character's end.
func limit(s string, n int) string {
	if len(s) <= n {
		return s
	}
	r := []rune(s)
	if len(r) > n {
		r = r[:n]
	}
	return string(r)
}
