// Package retention removes what nobody may need any more: history that is older than it goes
// back, the artifacts that went with it, and rows whose documented life is over.
//
// What is removed is found in rows, in the order of its age and some at a time, each in a
// transaction of its own. So a pass can be broken off anywhere and the next one goes on, and
// two at once do no harm.
package retention

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"penstock/internal/store"
)

const (
	// settle is how long a server has been up before it tidies up: those who wait for its
	// start come first.
	settle = time.Minute
	// every is how often a pass is made, by whichever server comes first.
	every = time.Hour
	// page is how many rows or pipelines are taken at a time. It bounds how long others wait
	// for their turn to write.
	page = 100
	// chore is the name of the row that says when the next pass is due.
	chore = "retention"
)

// Life says how long rows of a kind are kept.
type Life struct {
	Kind store.Perishable
	Keep time.Duration
}

// Config says what a Keeper keeps, and for how long. History goes back as far as the database
// shows it.
type Config struct {
	DB    *store.DB
	Lives []Life
	// Delete deletes an artifact from its bucket; nil keeps artifacts for ever. One that is
	// not there any more is no error. It may be called again for one that it has deleted.
	Delete func(ctx context.Context, a store.StaleArtifact) error
	Log    *slog.Logger
}

// Keeper removes what is not kept. It is safe for concurrent use.
type Keeper struct {
	cfg Config
	// runs is maxRuns; tests have no history as long.
	runs int
}

// New makes a Keeper.
func New(cfg Config) *Keeper { return &Keeper{cfg, maxRuns} }

// Removed counts what a pass has removed.
type Removed struct {
	// Executions are those of pipelines, Runs those of their actions and rules.
	Executions, Runs int
	// Artifacts were deleted, Refused could not be and are tried again later.
	Artifacts, Refused int
	// Rows are those whose life is over, by the name of their kind.
	Rows map[string]int
}

// attributes are the counts that are not zero, for the log.
func (r *Removed) attributes() []any {
	counts := maps.Clone(r.Rows)
	counts["executions"], counts["action and rule executions"], counts["artifacts"] = r.Executions, r.Runs, r.Artifacts
	counts["artifacts that could not be deleted"] = r.Refused
	var out []any
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		if counts[name] > 0 {
			out = append(out, slog.Int(name, counts[name]))
		}
	}
	return out
}

// Run makes passes until ctx ends, of all servers on a database one at a time.
func (k *Keeper) Run(ctx context.Context) error {
	for wait := settle; ; {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		wait = k.turn(ctx)
	}
}

// turn makes a pass if one is due and says when to look again.
func (k *Keeper) turn(ctx context.Context) time.Duration {
	mine, wait := false, every
	err := k.cfg.DB.Update(ctx, func(tx *store.Tx) error {
		var due time.Time
		var err error
		mine, due, err = tx.TakeChore(ctx, chore, every)
		wait = due.Sub(tx.Now())
		return err
	})
	if err == nil && mine {
		var removed Removed
		removed, err = k.Collect(ctx)
		if some := removed.attributes(); len(some) > 0 {
			k.cfg.Log.Info("retention: removed what is kept no longer", some...)
		}
	}
	if err != nil && ctx.Err() == nil {
		k.cfg.Log.Error("retention: will go on later", "error", err)
	}
	return min(max(wait, time.Second), every)
}

// Collect makes one pass, whether one is due or not. What it could not do in spite of an
// error it leaves to the next; Removed says what it did.
func (k *Keeper) Collect(ctx context.Context) (Removed, error) {
	removed := Removed{Rows: map[string]int{}}
	err := errors.Join(k.history(ctx, &removed), k.removals(ctx, &removed), k.artifacts(ctx, &removed), k.rows(ctx, &removed), k.logs(ctx, &removed))
	return removed, err
}

// rows removes rows whose life is over.
func (k *Keeper) rows(ctx context.Context, removed *Removed) error {
	for _, life := range k.cfg.Lives {
		if err := k.batches(ctx, life.Kind.String(), removed, func(tx *store.Tx) (int, error) {
			return tx.Perish(ctx, life.Kind, tx.Now().Add(-life.Keep), page)
		}); err != nil {
			return err
		}
	}
	return nil
}

// logs removes the events that their groups keep no longer.
func (k *Keeper) logs(ctx context.Context, removed *Removed) error {
	for after := ""; ; {
		var groups []store.LogGroup
		if err := k.cfg.DB.View(ctx, func(tx *store.Tx) (err error) {
			groups, err = tx.ExpiringLogGroups(ctx, after, page)
			return err
		}); err != nil {
			return err
		}
		for _, g := range groups {
			after = g.ID
			if err := k.batches(ctx, "log batches", removed, func(tx *store.Tx) (int, error) { return tx.ExpireLogs(ctx, g, page) }); err != nil {
				return err
			}
		}
		if len(groups) < page {
			return nil
		}
	}
}

// batches removes rows some at a time until there are no more, and counts them.
func (k *Keeper) batches(ctx context.Context, what string, removed *Removed, remove func(tx *store.Tx) (int, error)) error {
	for {
		n := 0
		if err := k.cfg.DB.Update(ctx, func(tx *store.Tx) (err error) {
			n, err = remove(tx)
			return err
		}); err != nil {
			return err
		}
		if n > 0 {
			removed.Rows[what] += n
		}
		if n < page {
			return nil
		}
	}
}
