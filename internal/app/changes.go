package app

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"penstock/internal/conductor"
	"penstock/internal/engine"
	"penstock/internal/fault"
	"penstock/internal/pipeline"
	"penstock/internal/store"
	"penstock/internal/svc/codecommit"
)

// changes starts pipelines when their sources change (S-237, S-245). What has started a
// pipeline is recorded in the transaction that starts it, so one change starts it once,
// however often it is told.
type changes struct {
	db        *store.DB
	conductor *conductor.Conductor
	log       *slog.Logger
	limits    pipeline.Limits
	// elsewhere are the services whose sources are polled instead of telling of changes.
	elsewhere *endpoints

	mu      sync.Mutex
	objects map[string]bool // ARNs of objects to look at
	wake    chan struct{}
}

func newChanges(db *store.DB, c *conductor.Conductor, elsewhere *endpoints, log *slog.Logger) *changes {
	return &changes{db: db, conductor: c, elsewhere: elsewhere, log: log, limits: pipeline.Limits{}.OrDefault(), objects: map[string]bool{}, wake: make(chan struct{}, 1)}
}

// refsUpdated starts the pipelines that watch the branches of a push, each of them once (S-245),
// and tells the rules of the account. When it returns nil both are kept, so an acknowledged push is
// never forgotten.
func (c *changes) refsUpdated(ctx context.Context, list []codecommit.RefUpdate) error {
	moved := map[string]string{}
	for _, u := range list {
		if err := c.tell(ctx, u); err != nil {
			return err
		}
		if branch, ok := strings.CutPrefix(u.Ref, heads); ok && u.New != "" {
			moved[branch] = u.New
		}
	}
	if len(moved) == 0 {
		return nil
	}
	return c.changed(ctx, list[0].RepositoryARN, func(_ context.Context, _ *store.Tx, s store.Source) (string, error) { return moved[s.Detail], nil })
}

// object has the pipelines that watch an object started soon. It does not block.
func (c *changes) object(arn string) {
	c.mu.Lock()
	c.objects[arn] = true
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// run starts pipelines for objects until ctx ends. It begins with every object that is
// watched: a crash may have come between a write and its notice.
func (c *changes) run(ctx context.Context) {
	if err := c.watched(ctx); err != nil && ctx.Err() == nil {
		c.log.Error("sources: cannot look at all of them", "error", err)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		}
		c.mu.Lock()
		objects := c.objects
		c.objects = map[string]bool{}
		c.mu.Unlock()
		for arn := range objects {
			err := c.changed(ctx, arn, revision)
			if err == nil || ctx.Err() != nil {
				continue
			}
			c.log.Error("sources: will look again", "resource", arn, "error", err)
			time.AfterFunc(time.Second, func() { c.object(arn) })
		}
	}
}

// watched asks for a look at every object that a pipeline watches.
func (c *changes) watched(ctx context.Context) error {
	var list []store.Source
	if err := c.db.View(ctx, func(tx *store.Tx) (err error) {
		list, err = tx.SourcesUnder(ctx, objectARN)
		return err
	}); err != nil {
		return err
	}
	for _, s := range list {
		c.object(s.Resource)
	}
	return nil
}

// changed starts each pipeline that watches something of the resource whose revision is another
// than the one seen last; now gives "" for what is not to be looked at.
func (c *changes) changed(ctx context.Context, resource string, now func(context.Context, *store.Tx, store.Source) (string, error)) error {
	// Most looks end in this read: there is one at every object after a start, and they must
	// not hold up those who write.
	watching, err := c.pipelines(ctx, resource, func(tx *store.Tx, s store.Source) (bool, error) {
		found, err := now(ctx, tx, s)
		return found != "" && found != s.Seen, err
	})
	if err != nil {
		return err
	}
	for _, id := range watching {
		here := func(ctx context.Context, tx *store.Tx, at *engine.State, s store.Source) (string, error) {
			if c.elsewhere.has(at, s) {
				return "", nil // what is here has the name by chance
			}
			return now(ctx, tx, s)
		}
		if err := c.db.Update(ctx, func(tx *store.Tx) error { return c.start(ctx, tx, id, resource, here) }); err != nil {
			return err
		}
	}
	return nil
}

// pipelines lists those with a source action that watches the resource and is wanted.
func (c *changes) pipelines(ctx context.Context, resource string, wanted func(*store.Tx, store.Source) (bool, error)) (ids []string, err error) {
	err = c.db.View(ctx, func(tx *store.Tx) error {
		ids = nil
		list, err := tx.SourcesOf(ctx, resource)
		if err != nil {
			return err
		}
		for _, s := range list { // in order of the pipeline
			if len(ids) > 0 && ids[len(ids)-1] == s.PipelineID {
				continue
			}
			if ok, err := wanted(tx, s); err != nil {
				return err
			} else if ok {
				ids = append(ids, s.PipelineID)
			}
		}
		return nil
	})
	return ids, err
}

// start starts one pipeline once, also when several of its sources watch the same thing.
func (c *changes) start(ctx context.Context, tx *store.Tx, id, resource string, now func(context.Context, *store.Tx, *engine.State, store.Source) (string, error)) error {
	st, err := tx.LoadState(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	last, err := tx.LastStart(ctx, id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	ends := pipeline.PollingEnds(last, st.Updated, c.limits)
	list, err := tx.SourcesOf(ctx, resource)
	if err != nil {
		return err
	}
	var first store.Source
	for _, s := range list {
		if s.PipelineID != id {
			continue
		}
		found, err := now(ctx, tx, st, s)
		if err != nil {
			return err
		}
		if found == "" || found == s.Seen {
			continue
		}
		if tx.Now().After(ends) { // S-246
			return c.idle(ctx, tx, id, resource+" "+s.Detail, ends)
		}
		moved, err := tx.SetSeen(ctx, s, found)
		if err != nil {
			return err
		}
		if moved && first.Action == "" {
			first = s
		}
	}
	if first.Action == "" {
		return nil
	}
	_, err = c.conductor.StepTx(ctx, tx, id, st, engine.Start{
		Trigger: pipeline.Trigger{Type: pipeline.TriggerPollForSourceChanges, Detail: first.Action}, Detected: true})
	if fault.Code(err) != "" {
		c.log.Warn("sources: a change did not start the pipeline", "pipeline", id, "action", first.Action, "error", err)
		return tx.PutSourceEvent(ctx, id, "a change of "+strings.TrimSpace(resource+" "+first.Detail), "not started: "+err.Error())
	}
	return err
}

// idle records that a change does not start a pipeline which is polled no longer.
func (c *changes) idle(ctx context.Context, tx *store.Tx, id, what string, since time.Time) error {
	c.log.Info("sources: a change does not start a pipeline that has been idle for too long", "pipeline", id, "source", what, "pollingDisabledAt", since)
	return tx.PutSourceEvent(ctx, id, "a change of "+strings.TrimSpace(what), "not started: there was no execution for so long that its sources are polled no longer since "+
		since.Format(time.RFC3339)+"; start it once, or update it")
}
