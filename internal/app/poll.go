package app

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"penstock/internal/pipeline"
	"penstock/internal/store"
	"penstock/internal/svc/codeconnections"
)

// lookTime is how often sources that have never been looked at are, so that nothing that
// happens soon after a pipeline was made is missed.
const lookTime = 5 * time.Second

// maxBackOff is the longest pause after failures.
const maxBackOff = time.Hour

// A poller asks repositories that cannot tell of a push themselves: those of connections to
// folders of this machine (S-245). All others tell: the embedded rooms at once, providers by
// webhooks.
type poller struct {
	every   time.Duration
	db      *store.DB
	changes *changes
	// look gives the commit a branch is at, and what finds the files that changed since.
	look func(ctx context.Context, c store.Connection, repository, branch, since string) (string, codeconnections.Files, error)
	log  *slog.Logger
	now  func() time.Time

	next map[target]turn
}

// target is one branch that is polled.
type target struct{ connection, repository, branch string }

// turn is when a target is asked next, and how often it has failed since it answered.
type turn struct {
	at     time.Time
	failed int
}

// run polls until ctx ends; not at all if the interval is zero.
func (p *poller) run(ctx context.Context) {
	if p.every == 0 {
		return
	}
	tick := time.NewTicker(min(lookTime, p.every))
	defer tick.Stop()
	for {
		if err := p.round(ctx); err != nil && ctx.Err() == nil {
			p.log.Error("polling: will try again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// round asks every target that is due.
func (p *poller) round(ctx context.Context) error {
	targets, conns, err := p.targets(ctx)
	if err != nil {
		return err
	}
	before := p.next
	p.next = map[target]turn{} // forgets those that are gone
	for t, rows := range targets {
		turn := before[t]
		fresh := false
		for _, s := range rows {
			fresh = fresh || s.Seen == ""
		}
		if p.now().Before(turn.at) && (turn.failed > 0 || !fresh) {
			p.next[t] = turn
			continue
		}
		if err := p.ask(ctx, conns[t.connection], t, rows); err == nil {
			turn.failed, turn.at = 0, p.now().Add(p.every)
		} else {
			turn.failed++
			turn.at = p.now().Add(backOff(p.every, turn.failed))
			p.log.Warn("polling: a branch cannot be asked", "repository", t.repository, "branch", t.branch, "again", turn.at, "error", err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		p.next[t] = turn
	}
	return nil
}

// backOff is the pause after a number of failures in a row: twice as long each time.
func backOff(every time.Duration, failed int) time.Duration {
	pause := every
	for range failed {
		if pause = 2 * pause; pause >= maxBackOff {
			return max(maxBackOff, every)
		}
	}
	return pause
}

// targets lists the branches to poll with the source actions that follow them.
func (p *poller) targets(ctx context.Context) (map[target][]store.Source, map[string]store.Connection, error) {
	found, conns := map[target][]store.Source{}, map[string]store.Connection{}
	err := p.db.View(ctx, func(tx *store.Tx) error {
		list, err := tx.LocalConnections(ctx)
		if err != nil {
			return err
		}
		for _, c := range list {
			conns[c.ARN] = c
			sources, err := tx.SourcesOf(ctx, c.ARN)
			if err != nil {
				return err
			}
			for _, s := range sources {
				state, err := tx.ViewState(ctx, s.PipelineID)
				if errors.Is(err, store.ErrNotFound) {
					continue
				}
				if err != nil {
					return err
				}
				if a, ok := state.Current().Stages[0].Action(s.Action); ok {
					t := target{c.ARN, s.Detail, a.Configuration["BranchName"]}
					found[t] = append(found[t], s)
				}
			}
		}
		return nil
	})
	return found, conns, err
}

// ask looks at a branch, and starts the pipelines that follow it if it is at another commit
// than the one seen last. The first look is only remembered.
func (p *poller) ask(ctx context.Context, c store.Connection, t target, rows []store.Source) error {
	since, moved := "", false
	for _, s := range rows {
		since = cmp.Or(since, s.Seen)
	}
	commit, files, err := p.look(ctx, c, t.repository, t.branch, since)
	if err != nil {
		return err
	}
	for _, s := range rows {
		moved = moved || s.Seen != "" && s.Seen != commit
	}
	if moved {
		claim := func(ctx context.Context, tx *store.Tx, pipelineID string) (fresh bool, err error) {
			for _, s := range rows {
				if s.PipelineID != pipelineID {
					continue
				}
				moved, err := tx.SetSeen(ctx, s, commit)
				if err != nil {
					return false, err
				}
				fresh = fresh || moved
			}
			return fresh, nil
		}
		if _, err := p.changes.happened(ctx, files, pipeline.GitEvent{Kind: pipeline.GitPush, Branch: t.branch, Commit: commit,
			Repository: t.repository, Connection: c.ARN, Provider: c.ProviderType}, claim); err != nil {
			return err
		}
	}
	return p.db.Update(ctx, func(tx *store.Tx) error {
		for _, s := range rows {
			if _, err := tx.SetSeen(ctx, s, commit); err != nil {
				return err
			}
		}
		return nil
	})
}
