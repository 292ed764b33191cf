// Package courier hands committed deliveries to others outside: events to the targets of
// rules, messages to the subscribers of topics.
//
// A delivery is a row until it has succeeded or is given up, so a crash loses none and may
// repeat one. Of a lane one is under way at a time, in the order they were put in. A target
// that is slow or dead holds up its own lanes only.
package courier

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"penstock/internal/mishap"
	"penstock/internal/store"
)

const (
	// perTarget is how many deliveries to one target are under way at once, and perCourier
	// how many in all: thirty-two dead targets leave room for the others.
	perTarget  = 8
	perCourier = 256
	// nap is the longest wait without a look: rows of other nodes wake this one, and the nap
	// covers a lost wake-up.
	nap = 20 * time.Second
	// pause follows a failure of the database.
	pause = time.Second
	// grace is how much longer than a delivery's deadline its claim lasts.
	grace = 15 * time.Second
)

// Config says what a Courier delivers and how.
type Config struct {
	DB *store.DB
	// Queue is the queue of store's deliveries.
	Queue string
	// Deliver hands one over. It is called from many goroutines, never twice at once for one
	// lane, and must return when ctx ends, which it does after Deadline. What it returns:
	// nil when it is done, an error made by GiveUp when trying again is of no use, and any
	// other error to be called again later. It may have been called before for the same
	// delivery by somebody who died meanwhile.
	Deliver func(ctx context.Context, d store.Delivery) error
	// Deadline bounds one call of Deliver.
	Deadline time.Duration
	// Again says how long to wait before the next attempt after d.Attempts+1 failed ones, the
	// last of them with err, and false to give up.
	Again func(d store.Delivery, err error) (time.Duration, bool)
	Log   *slog.Logger
}

// Courier delivers one queue. Make one with New and call Run once.
type Courier struct {
	cfg Config

	mu       sync.Mutex
	underway map[string]int // by target
	total    int
	freed    chan struct{}
}

// New makes a Courier.
func New(cfg Config) *Courier {
	return &Courier{cfg: cfg, underway: map[string]int{}, freed: make(chan struct{}, 1)}
}

// final is an error that trying again does not mend.
type final struct{ error }

// Unwrap gives the reason.
func (f final) Unwrap() error { return f.error }

// GiveUp marks an error as one that trying again does not mend.
func GiveUp(err error) error { return final{err} }

// Final says whether an error was made by GiveUp.
func Final(err error) bool {
	_, is := errors.AsType[final](err)
	return is
}

// Run delivers until ctx ends, then waits for what is under way. What is cut short is
// delivered again by whoever runs next.
func (c *Courier) Run(ctx context.Context) error {
	wake, stop := c.cfg.DB.Subscribe(store.TopicDelivery(c.cfg.Queue))
	defer stop()
	var running sync.WaitGroup
	defer running.Wait()
	for {
		list, next, err := c.claim(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			c.cfg.Log.Error("courier: cannot look for deliveries, will try again", "queue", c.cfg.Queue, "error", err)
			next = pause
		}
		for _, d := range list {
			c.begin(d.Target)
			running.Go(func() {
				defer c.end(d.Target)
				c.do(ctx, d)
			})
		}
		if len(list) > 0 {
			continue
		}
		timer := time.NewTimer(min(next, nap))
		select {
		case <-ctx.Done():
		case <-wake:
		case <-c.freed:
		case <-timer.C:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return nil
		}
	}
}

// claim takes what is due for targets that have room, or says when to look again.
func (c *Courier) claim(ctx context.Context) (list []store.Delivery, next time.Duration, err error) {
	busy, free := c.busy()
	if free == 0 {
		return nil, nap, nil
	}
	due := false
	err = c.cfg.DB.View(ctx, func(tx *store.Tx) error {
		at, err := tx.NextDeliveryAt(ctx, c.cfg.Queue, busy)
		due = !at.IsZero() && !at.After(tx.Now())
		if next = nap; !at.IsZero() {
			next = at.Sub(tx.Now())
		}
		return err
	})
	if err != nil || !due {
		return nil, next, err
	}
	var all []store.Delivery
	err = c.cfg.DB.Update(ctx, func(tx *store.Tx) (err error) {
		// A few at a time: more than perTarget of them may be for one target.
		all, err = tx.ClaimDeliveries(ctx, c.cfg.Queue, busy, min(free, perTarget), c.cfg.Deadline+grace)
		return err
	})
	return all, 0, err
}

func (c *Courier) busy() (targets []string, free int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for t, n := range c.underway {
		if n >= perTarget {
			targets = append(targets, t)
		}
	}
	return targets, perCourier - c.total
}

func (c *Courier) begin(target string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.underway[target]++
	c.total++
}

func (c *Courier) end(target string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total--
	if c.underway[target]--; c.underway[target] == 0 {
		delete(c.underway, target)
	}
	select {
	case c.freed <- struct{}{}:
	default:
	}
}

// do delivers one and records how it went.
func (c *Courier) do(ctx context.Context, d store.Delivery) {
	mishap.At(mishap.DeliveryClaimed)
	err := c.deliver(ctx, d)
	mishap.At(mishap.DeliveryDone)
	if ctx.Err() != nil && err != nil {
		return // cut short: its claim ends
	}
	log := c.cfg.Log.With("queue", c.cfg.Queue, "target", d.Target, "delivery", d.ID, "attempt", d.Attempts+1)
	record := func(tx *store.Tx) error { return tx.FinishDelivery(ctx, d) }
	if Final(err) {
		log.Warn("courier: the delivery is given up", "error", err)
	} else if err != nil {
		wait, again := c.cfg.Again(d, err)
		if again {
			log.Info("courier: the delivery failed and is tried again", "in", wait, "error", err)
			record = func(tx *store.Tx) error { return tx.DeferDelivery(ctx, d, tx.Now().Add(wait)) }
		} else {
			log.Warn("courier: the delivery is given up after its last attempt", "error", err)
		}
	}
	if err := c.cfg.DB.Update(context.WithoutCancel(ctx), record); err != nil {
		log.Error("courier: cannot record a delivery; it will come again", "error", err)
	}
}

// deliver calls Deliver within its deadline; a panic is a failed attempt.
func (c *Courier) deliver(ctx context.Context, d store.Delivery) (err error) {
	ctx, stop := context.WithTimeout(ctx, c.cfg.Deadline)
	defer stop()
	defer func() {
		if r := recover(); r != nil {
			c.cfg.Log.Error("courier: a delivery panicked", "panic", r, "stack", string(debug.Stack()))
			err = errors.New("internal error")
		}
	}()
	return c.cfg.Deliver(ctx, d)
}
