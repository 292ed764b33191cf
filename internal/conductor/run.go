package conductor

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"penstock/internal/engine"
	"penstock/internal/mishap"
	"penstock/internal/store"
)

const (
	// nap is the longest a loop sleeps without looking; rows of other nodes on a shared
	// database wake this one by notification, and the nap covers a lost one.
	nap = time.Minute
	// batch is how many timers or events are taken at a time.
	batch = 100
	// gather is how long the outbox collects events before it delivers them, so that
	// delivery does not compete with the step that made them.
	gather = 20 * time.Millisecond
	// pause follows a failure of the database or of delivery.
	pause = time.Second
)

// Run fires timers and delivers events until ctx ends.
func (c *Conductor) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { c.loop(ctx, topicTimers, c.timers); return nil })
	if c.deliver != nil {
		g.Go(func() error { c.loop(ctx, topicOutbox, c.outbox); return nil })
	}
	return g.Wait()
}

// loop calls work at once, whenever the topic is woken, and when work asked to be called again.
func (c *Conductor) loop(ctx context.Context, topic string, work func(context.Context) (time.Duration, error)) {
	wake, stop := c.db.Subscribe(topic)
	defer stop()
	for {
		again, err := work(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			c.log.Error("conductor: will try again", "what", topic, "error", err)
			again = pause
		}
		timer := time.NewTimer(min(again, nap))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// timers fires what is due and says when to look again.
func (c *Conductor) timers(ctx context.Context) (time.Duration, error) {
	for {
		var due []store.Timer
		var now time.Time
		if err := c.db.View(ctx, func(tx *store.Tx) (err error) {
			now = tx.Now()
			due, err = tx.NextTimers(ctx, batch)
			return err
		}); err != nil {
			return 0, err
		}
		for _, t := range due {
			if wait := t.At.Sub(now); wait > 0 {
				return wait, nil
			}
			if err := c.fire(ctx, t); err != nil {
				if ctx.Err() != nil {
					return 0, err
				}
				// One pipeline that cannot be moved must not hold up the others.
				c.log.Error("conductor: a timer could not be fired, will try again", "pipeline", t.PipelineID, "actionExecution", t.Run, "error", err)
				if err := c.postpone(ctx, t); err != nil {
					return 0, err
				}
			}
		}
		if len(due) < batch {
			return nap, nil
		}
	}
}

// fire wakes a pipeline. The timer is removed with the event: a wake-up that changes
// nothing is over as well.
func (c *Conductor) fire(ctx context.Context, t store.Timer) error {
	return c.db.Update(ctx, func(tx *store.Tx) error {
		// The pipeline's row is locked before the timer's, in the order of every other event.
		s, err := tx.LoadState(ctx, t.PipelineID)
		if errors.Is(err, store.ErrNotFound) {
			return tx.ClearTimer(ctx, t.Run)
		}
		if err != nil {
			return err
		}
		if due, err := tx.TakeTimer(ctx, t.Run); err != nil || !due {
			return err
		}
		_, err = c.StepTx(ctx, tx, t.PipelineID, s, engine.Wakeup{Run: t.Run})
		return err
	})
}

// postpone has a timer that could not be fired come again later.
func (c *Conductor) postpone(ctx context.Context, t store.Timer) error {
	return c.db.Update(ctx, func(tx *store.Tx) error {
		due, err := tx.TakeTimer(ctx, t.Run)
		if err != nil || !due {
			return err
		}
		t.At = tx.Now().Add(nap)
		return tx.SetTimer(ctx, t)
	})
}

// outbox delivers what has been committed, oldest first.
func (c *Conductor) outbox(ctx context.Context) (time.Duration, error) {
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(gather):
	}
	for {
		var events []store.Outgoing
		if err := c.db.View(ctx, func(tx *store.Tx) (err error) {
			events, err = tx.ListOutgoing(ctx, batch)
			return err
		}); err != nil {
			return 0, err
		}
		if len(events) == 0 {
			return nap, nil
		}
		if err := c.deliver(ctx, events); err != nil {
			return 0, err
		}
		mishap.At(mishap.EventsDelivered)
		seqs := make([]int64, len(events))
		for i, e := range events {
			seqs[i] = e.Seq
		}
		if err := c.db.Update(ctx, func(tx *store.Tx) error { return tx.DeleteOutgoing(ctx, seqs) }); err != nil {
			return 0, err
		}
	}
}
