// Package turn shares few places among accounts, so that none of them keeps all the others waiting.
package turn

import (
	"context"
	"sync"
)

// Turns has places for work. An account has three quarters of them at most: one whose work takes long
// leaves room for the others. It is safe for concurrent use.
type Turns struct {
	all chan struct{}

	mu sync.Mutex
	of map[string]*share
}

// share is what an account has of the places, while it has or wants any.
type share struct {
	places chan struct{}
	users  int
}

// New makes Turns with n places.
func New(n int) *Turns { return &Turns{all: make(chan struct{}, n), of: map[string]*share{}} }

// Take waits for a place for an account's work, which leave gives back; it fails with the error of
// ctx when that ends first.
func (t *Turns) Take(ctx context.Context, account string) (leave func(), err error) {
	t.mu.Lock()
	s := t.of[account]
	if s == nil {
		s = &share{places: make(chan struct{}, max(1, cap(t.all)*3/4))}
		t.of[account] = s
	}
	s.users++
	t.mu.Unlock()
	var taken []chan struct{}
	leave = func() {
		for _, places := range taken {
			<-places
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		if s.users--; s.users == 0 {
			delete(t.of, account)
		}
	}
	for _, places := range []chan struct{}{s.places, t.all} {
		select {
		case places <- struct{}{}:
			taken = append(taken, places)
		case <-ctx.Done():
			leave()
			return nil, ctx.Err()
		}
	}
	return leave, nil
}

// Close takes all places for good, once each was given back; it fails with the error of ctx when
// that ends first.
func (t *Turns) Close(ctx context.Context) error {
	for range cap(t.all) {
		select {
		case t.all <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
