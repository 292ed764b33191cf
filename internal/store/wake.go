package store

import (
	"context"
	"sync"
	"time"
)

// Nap is the longest time [DB.Look] lets pass without a look.
const Nap = time.Minute

// wakes are the subscribers of this process.
type wakes struct {
	mu     sync.Mutex
	listen sync.Once
	topics map[string]map[chan struct{}]bool
}

// Subscribe gives a channel that receives after a transaction that called [Tx.Wake] with
// this topic, here or on another node; several wake-ups may come as one. A wake-up says
// "look", not "something is there", and one from another node can be late or lost with
// that node's connection: look now and then anyway. Stop ends the subscription; the
// channel is never closed.
func (db *DB) Subscribe(topic string) (wake <-chan struct{}, stop func()) {
	w := &db.wakes
	ch := make(chan struct{}, 1)
	w.mu.Lock()
	if w.topics == nil {
		w.topics = map[string]map[chan struct{}]bool{}
	}
	if w.topics[topic] == nil {
		w.topics[topic] = map[chan struct{}]bool{}
	}
	w.topics[topic][ch] = true
	w.mu.Unlock()
	if db.enter() == nil { // or there is nobody left to hear
		w.listen.Do(db.backend.listen)
		db.inflight.Done()
	}
	return ch, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.topics[topic], ch)
	}
}

// Look calls look at once, after each wake-up of the topic, and when the time that look gave has
// passed, until ctx ends. What look cannot do is logged and done again a second later.
func (db *DB) Look(ctx context.Context, topic string, look func(context.Context) (time.Duration, error)) {
	wake, stop := db.Subscribe(topic)
	defer stop()
	for ctx.Err() == nil {
		wait, err := look(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			db.log.Error("cannot look at what is due, will try again", "topic", topic, "error", err)
			wait = time.Second
		}
		timer := time.NewTimer(min(wait, Nap))
		select {
		case <-ctx.Done():
		case <-wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (w *wakes) wake(topic string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ch := range w.topics[topic] {
		nudge(ch)
	}
}

// wakeAll is for when wake-ups may have been missed.
func (w *wakes) wakeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, subscribers := range w.topics {
		for ch := range subscribers {
			nudge(ch)
		}
	}
}

func nudge(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default: // it has one waiting
	}
}
