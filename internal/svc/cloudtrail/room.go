// Package cloudtrail is the room of the audit log (W-41): it writes down who did what, from
// where and with what result, in CloudTrail's form, chains and seals it, and answers
// LookupEvents.
//
// The record of a call that changes the database is stored by the transaction that changes it.
// What was answered is added a moment later, and then the record is sealed: one node at a
// time links the finished records of an account and signs the end of the chain. So those who
// write do not wait for each other because of the chain.
package cloudtrail

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"sync"
	"time"

	api "penstock/internal/api/cloudtrail"
	"penstock/internal/audit"
	"penstock/internal/store"
)

// Deps are what the room needs. DB, Key and Account must be set.
type Deps struct {
	DB *store.DB
	// Key signs seals.
	Key ed25519.PrivateKey
	// Account and Region get the records of callers that are not known.
	Account, Region string
	// Sealed is told of each new end of a chain, after it is durable; may be nil.
	Sealed func(account string, head audit.Head)
	// Log gets what no caller can be told; nil is silence.
	Log *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Room keeps the audit log. It is safe for concurrent use.
type Room struct {
	api.Unimplemented
	deps Deps

	mu sync.Mutex
	// done are records that are finished and not yet written, ready that there are some.
	done  []finished
	ready chan struct{}
	limit limiter
}

var _ api.Service = (*Room)(nil)

// finished is a record with its last text.
type finished struct {
	store.AuditRecord
	// stored says that the record is there without what was answered.
	stored bool
}

// New makes the room. Run must be running for records to be finished and sealed.
func New(deps Deps) *Room {
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Sealed == nil {
		deps.Sealed = func(string, audit.Head) {}
	}
	return &Room{deps: deps, ready: make(chan struct{}, 1)}
}

// maxDone bounds the records that wait to be written: who comes then writes them himself.
const maxDone = 1024

// put has a record written soon.
func (r *Room) put(ctx context.Context, f finished) {
	r.mu.Lock()
	r.done = append(r.done, f)
	full := len(r.done) >= maxDone
	r.mu.Unlock()
	select {
	case r.ready <- struct{}{}:
	default:
	}
	if full {
		if err := r.write(context.WithoutCancel(ctx)); err != nil {
			r.deps.Log.ErrorContext(ctx, "audit: records cannot be written", "error", err)
		}
	}
}
