// Package conductor moves pipelines: it applies events to their states, delivers what was
// committed and fires timers.
//
// Every event is one transaction: load, engine.Step, save the state with the history, the
// jobs, the timers and the events for the world. What must happen next is found in
// committed rows, so there is nothing to recover after a crash.
package conductor

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"penstock/internal/engine"
	"penstock/internal/fault"
	"penstock/internal/pipeline"
	"penstock/internal/store"
)

// The topics under which committed work wakes those who do it.
const (
	topicJobs   = "jobs"
	topicTimers = "timers"
	topicOutbox = "outbox"
	topicAborts = "aborts"
)

// AckWindow is how long a worker elsewhere may take to acknowledge a job (S-306, Q-27).
const AckWindow = 60 * time.Second

// KeepJobs is how long a job that ended is known. Whoever reports on it later than that is
// told that there is none, instead of that it has ended (S-315): a worker that was cut off for
// a weekend is told why its result does not count.
const KeepJobs = 72 * time.Hour

// Config says what a Conductor works with.
type Config struct {
	DB *store.DB
	// Builtin are the action types every account has.
	Builtin []pipeline.ActionType
	Limits  pipeline.Limits
	// Deliver tells events to the world, in order; an event is gone once Deliver returned
	// nil and may come again otherwise (S-340). It must not block for long.
	Deliver func(ctx context.Context, events []store.Outgoing) error
	// Measure sees each event of a pipeline once, in the transaction that keeps it; it may be
	// nil. An error undoes the step.
	Measure func(ctx context.Context, tx *store.Tx, s *engine.State, event store.Outgoing) error
	Log     *slog.Logger
}

// Conductor applies events. It is safe for concurrent use.
type Conductor struct {
	db      *store.DB
	builtin map[pipeline.ActionTypeID]pipeline.ActionType
	limits  pipeline.Limits
	deliver func(ctx context.Context, events []store.Outgoing) error
	measure func(ctx context.Context, tx *store.Tx, s *engine.State, event store.Outgoing) error
	log     *slog.Logger

	mu     sync.Mutex
	aborts map[pipeline.JobID]*watch
}

// New makes a Conductor. Run must be running for timers and events.
func New(cfg Config) *Conductor {
	c := &Conductor{db: cfg.DB, builtin: map[pipeline.ActionTypeID]pipeline.ActionType{}, limits: cfg.Limits,
		deliver: cfg.Deliver, measure: cfg.Measure, log: cfg.Log, aborts: map[pipeline.JobID]*watch{}}
	for _, t := range cfg.Builtin {
		c.builtin[t.ID] = t
	}
	return c
}

// Builtin lists the action types every account has, in no order.
func (c *Conductor) Builtin() []pipeline.ActionType {
	out := make([]pipeline.ActionType, 0, len(c.builtin))
	for _, t := range c.builtin {
		out = append(out, t)
	}
	return out
}

// Catalogue answers which action types exist for an account and Region, as tx sees them. It
// is valid as long as tx.
func (c *Conductor) Catalogue(ctx context.Context, tx *store.Tx, account, region string) pipeline.Catalogue {
	known := map[pipeline.ActionTypeID]*pipeline.ActionType{}
	return func(id pipeline.ActionTypeID) (pipeline.ActionType, bool) {
		if id.Owner == pipeline.OwnerAWS {
			t, ok := c.builtin[id]
			return t, ok
		}
		t, ok := known[id]
		if !ok && id.Owner == pipeline.OwnerThirdParty {
			if found, err := tx.DeclaredActionType(ctx, account, region, id); err == nil {
				t = &found.ActionType
			} else if builtin, ok := c.builtin[id]; ok {
				t = &builtin
			}
			known[id] = t
		} else if !ok {
			if found, err := tx.CustomActionType(ctx, account, region, id); err == nil && !found.Deleted {
				t = &found.ActionType
			}
			known[id] = t
		}
		if t == nil {
			return pipeline.ActionType{}, false
		}
		return *t, true
	}
}

// Apply applies one event to a pipeline and gives its state afterwards. It fails with the
// engine's *fault.Error if the event is refused, and with store.ErrNotFound if there is no
// such pipeline.
func (c *Conductor) Apply(ctx context.Context, pipelineID string, ev engine.Event) (*engine.State, error) {
	var after *engine.State
	err := c.db.Update(ctx, func(tx *store.Tx) (err error) {
		after, err = c.ApplyTx(ctx, tx, pipelineID, ev)
		return err
	})
	return after, err
}

// ApplyTx is Apply inside the caller's transaction, for callers that save more with it.
func (c *Conductor) ApplyTx(ctx context.Context, tx *store.Tx, pipelineID string, ev engine.Event) (*engine.State, error) {
	s, err := tx.LoadState(ctx, pipelineID)
	if err != nil {
		return nil, err
	}
	return c.StepTx(ctx, tx, pipelineID, s, ev)
}

// CreateTx stores a new pipeline and starts its first execution (S-59). The declaration is
// normalised and valid, pipelineID and seed are new and random. store.ErrExists if the
// name is in use.
func (c *Conductor) CreateTx(ctx context.Context, tx *store.Tx, pipelineID, account, region, seed string, d *pipeline.Declaration, caller string) (*engine.State, error) {
	s := engine.New(account, region, seed, d, tx.Now())
	if err := tx.InsertPipeline(ctx, pipelineID, s, d); err != nil {
		return nil, err
	}
	return c.StepTx(ctx, tx, pipelineID, s, engine.Start{
		Trigger: pipeline.Trigger{Type: pipeline.TriggerCreatePipeline, Detail: caller}, Detected: true})
}

// UpdateTx puts a new version in force (S-62). The declaration carries the new version.
func (c *Conductor) UpdateTx(ctx context.Context, tx *store.Tx, pipelineID string, s *engine.State, d *pipeline.Declaration) (*engine.State, error) {
	if err := tx.InsertVersion(ctx, pipelineID, d); err != nil {
		return nil, err
	}
	return c.StepTx(ctx, tx, pipelineID, s, engine.Update{Definition: d})
}

// DeleteTx ends all work of a pipeline and removes it with its history (S-68, S-69).
func (c *Conductor) DeleteTx(ctx context.Context, tx *store.Tx, pipelineID string) error {
	s, err := c.ApplyTx(ctx, tx, pipelineID, engine.Delete{})
	if err != nil {
		return err
	}
	return tx.DeletePipeline(ctx, pipelineID, s.ARN())
}

// StepTx is ApplyTx on a state that tx has loaded.
func (c *Conductor) StepTx(ctx context.Context, tx *store.Tx, pipelineID string, s *engine.State, ev engine.Event) (*engine.State, error) {
	if _, start := ev.(engine.Start); start && c.db.Full() {
		return nil, store.ErrFull // what runs must be able to end
	}
	s.Attached.Catalogue = c.Catalogue(ctx, tx, s.Account, s.Region)
	s.Attached.Limits = c.limits
	next, effects, err := engine.Step(s, tx.Now(), ev)
	for missing := new(engine.Missing); errors.As(err, &missing); {
		past, found := tx.Execution(ctx, pipelineID, missing.Execution)
		if found != nil && !errors.Is(found, store.ErrNotFound) {
			return nil, found
		}
		if s.Attached.Past == nil {
			s.Attached.Past = map[pipeline.ExecutionID]*engine.Execution{}
		}
		s.Attached.Past[missing.Execution] = past // nil if there is none
		next, effects, err = engine.Step(s, tx.Now(), ev)
	}
	if err != nil {
		return nil, err
	}
	if err := tx.SaveState(ctx, pipelineID, next); err != nil {
		return nil, err
	}
	if err := remember(ctx, tx, pipelineID, next, ev); err != nil {
		return nil, err
	}
	for _, effect := range effects {
		if err := c.perform(ctx, tx, pipelineID, next, effect); err != nil {
			return nil, err
		}
	}
	return next, nil
}

// perform writes one effect into the transaction; whoever acts on it is woken after the commit.
func (c *Conductor) perform(ctx context.Context, tx *store.Tx, pipelineID string, s *engine.State, effect engine.Effect) error {
	switch effect := effect.(type) {
	case engine.StartJob:
		if effect.Type.Owner != pipeline.OwnerCustom { // workers elsewhere come by themselves
			tx.Wake(topicJobs)
		}
		query := ""
		if t, ok := s.Attached.Catalogue(effect.Type); ok && effect.Type.Owner == pipeline.OwnerCustom {
			_, query, _ = t.QueryableValue(effect.Configuration) // S-305
		}
		return tx.InsertJob(ctx, pipelineID, effect.Job, query, effect.NotBefore)
	case engine.EndJob:
		if effect.Abort {
			tx.AfterCommit(func() { c.abort(effect.ID) })
			tx.Wake(topicAborts)
		}
		return tx.EndJob(ctx, effect.ID, effect.Status)
	case engine.Wake:
		if effect.At.IsZero() {
			return tx.ClearTimer(ctx, effect.Run)
		}
		if effect.At.Sub(tx.Now()) <= nap { // later ones are found when the loop looks next
			tx.Wake(topicTimers)
		}
		return tx.SetTimer(ctx, store.Timer{Run: effect.Run, PipelineID: pipelineID, At: effect.At})
	case engine.Emit:
		o := store.Outgoing{Account: s.Account, Region: s.Region, Resource: s.ARN(), At: tx.Now(), DetailType: effect.DetailType, Detail: string(effect.Detail)}
		if c.measure != nil {
			if err := c.measure(ctx, tx, s, o); err != nil {
				return err
			}
		}
		return c.TellTx(ctx, tx, o)
	}
	return errors.New("conductor: unknown effect")
}

// TellTx has an event told to the world once the transaction is durable, after those that
// were put in before.
func (c *Conductor) TellTx(ctx context.Context, tx *store.Tx, o store.Outgoing) error {
	if c.deliver == nil {
		return nil
	}
	tx.Wake(topicOutbox)
	return tx.InsertOutgoing(ctx, o)
}

// abort tells the in-process worker of a job, if it is here, to stop.
func (c *Conductor) abort(id pipeline.JobID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w := c.aborts[id]; w != nil {
		w.stop()
	}
}

// watch is what OnAbort was asked for.
type watch struct{ stop context.CancelFunc }

// OnAbort has stop called when the job is aborted, until the returned function is called.
// There is one stop for a job, the last that was given. A worker that asks inside the
// transaction in which it claims the job misses no abort: those that follow the claim are
// committed after it.
func (c *Conductor) OnAbort(id pipeline.JobID, stop context.CancelFunc) (forget func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := &watch{stop}
	c.aborts[id] = w
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.aborts[id] == w {
			delete(c.aborts, id)
		}
	}
}

// Jobs gives a channel that is signalled when jobs may have become available.
func (c *Conductor) Jobs() (wake <-chan struct{}, stop func()) { return c.db.Subscribe(topicJobs) }

// Aborts gives a channel that is signalled when jobs may have been aborted, here or on another
// node.
func (c *Conductor) Aborts() (wake <-chan struct{}, stop func()) {
	return c.db.Subscribe(topicAborts)
}

// Release lets the jobs go that a node holds which ends, so that another need not wait.
func (c *Conductor) Release(ctx context.Context, node string) error {
	return c.db.Update(ctx, func(tx *store.Tx) error {
		tx.Wake(topicJobs)
		return tx.ReleaseLeases(ctx, node)
	})
}

// Report applies a report on a job by the worker that holds it. mine says, from the job as
// stored, whether the reporter still holds it; if it does not, the report is refused (S-315).
func (c *Conductor) Report(ctx context.Context, id pipeline.JobID, mine func(*store.JobRow) error, event func(engine.JobRef) engine.Event) error {
	return c.db.Update(ctx, func(tx *store.Tx) error {
		found, err := tx.Job(ctx, id)
		if err != nil {
			return unknownJob(id, err)
		}
		// The pipeline's row is locked before the job's, in the order of every other event.
		s, err := tx.LoadState(ctx, found.PipelineID)
		if err != nil {
			return unknownJob(id, err) // deleted meanwhile
		}
		job, err := tx.LockJob(ctx, id)
		if err != nil {
			return unknownJob(id, err)
		}
		if err := mine(job); err != nil {
			return err
		}
		_, err = c.StepTx(ctx, tx, job.PipelineID, s, event(engine.JobRef{ID: job.ID, Execution: job.Execution, Run: job.Run}))
		return err
	})
}

func unknownJob(id pipeline.JobID, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return fault.New("JobNotFoundException", "There is no job with id '%s'", id)
	}
	return err
}
