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

// A poller asks sources that cannot tell of a change themselves: repositories of connections to
// folders of this machine, and the branches and objects of other endpoints (S-245). All others
// tell: the embedded rooms at once, providers by webhooks.
type poller struct {
	every   time.Duration
	db      *store.DB
	changes *changes
	// look gives the commit a branch is at, and what finds the files that changed since.
	look func(ctx context.Context, c store.Connection, repository, branch, since string) (string, codeconnections.Files, error)
	// away are the sources at other endpoints; nil if there are none.
	away *away
	log  *slog.Logger
	now  func() time.Time

	next map[target]turn
}

// target is what is polled: one branch of a connection, or one source action of a pipeline
// whose service is at another endpoint.
type target struct{ connection, repository, branch string }

// question is a target that may be due, and how it is asked.
type question struct {
	target
	// fresh says that it has never been looked at.
	fresh bool
	ask   func(ctx context.Context) error
}

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
	questions, err := p.questions(ctx)
	if err != nil {
		return err
	}
	before := p.next
	p.next = map[target]turn{} // forgets those that are gone
	for _, q := range questions {
		turn := before[q.target]
		if p.now().Before(turn.at) && (turn.failed > 0 || !q.fresh) {
			p.next[q.target] = turn
			continue
		}
		if err := q.ask(ctx); err == nil {
			turn.failed, turn.at = 0, p.now().Add(p.every)
		} else {
			turn.failed++
			turn.at = p.now().Add(backOff(p.every, turn.failed))
			p.log.Warn("polling: a source cannot be asked", "source", q.repository, "detail", q.branch, "again", turn.at, "error", err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		p.next[q.target] = turn
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

// questions lists what is polled.
func (p *poller) questions(ctx context.Context) ([]question, error) {
	targets, conns, err := p.targets(ctx)
	if err != nil {
		return nil, err
	}
	var list []question
	for t, rows := range targets {
		q := question{target: t, ask: func(ctx context.Context) error { return p.ask(ctx, conns[t.connection], t, rows) }}
		for _, s := range rows {
			q.fresh = q.fresh || s.Seen == ""
		}
		list = append(list, q)
	}
	if p.away == nil {
		return list, nil
	}
	others, err := p.away.questions(ctx)
	return append(list, others...), err
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
