package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
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
	// refs gives the commits that branches and tags are at, between what finds the files that
	// changed from one commit to another.
	refs    func(ctx context.Context, c store.Connection, repository string) (map[string]string, error)
	between func(c store.Connection, repository, before, after string) codeconnections.Files
	// away are the sources at other endpoints; nil if there are none.
	away *away
	log  *slog.Logger
	now  func() time.Time

	next map[target]turn
}

// target is what is polled: one repository of a connection, or one source action of a pipeline
// whose service is at another endpoint.
type target struct{ connection, repository, branch string }

// follower is a source action that follows a repository of a connection.
type follower struct {
	store.Source
	// branch is the one it takes where no trigger says more.
	branch string
}

// seen gives the refs at which the follower saw the repository, nil if it never looked, beside
// what they are now.
func (f follower) seen(now map[string]string) (refs map[string]string) {
	if f.Seen == "" {
		return nil
	}
	if json.Unmarshal([]byte(f.Seen), &refs) != nil { // an earlier penstock noted the commit of its branch
		refs = maps.Clone(now)
		refs[heads+f.branch] = f.Seen
	}
	return refs
}

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

// targets lists the repositories to poll with the source actions that follow them.
func (p *poller) targets(ctx context.Context) (map[target][]follower, map[string]store.Connection, error) {
	found, conns := map[target][]follower{}, map[string]store.Connection{}
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
					t := target{connection: c.ARN, repository: s.Detail}
					found[t] = append(found[t], follower{s, a.Configuration["BranchName"]})
				}
			}
		}
		return nil
	})
	return found, conns, err
}

// ask looks at a repository, and tells the pipelines that follow it of each branch and tag that is
// not where they saw it last. The first look is only remembered.
func (p *poller) ask(ctx context.Context, c store.Connection, t target, followers []follower) error {
	now, err := p.refs(ctx, c, t.repository)
	if err != nil {
		return err
	}
	moved := map[string]string{} // with what they were at, "" for new ones
	for _, f := range followers {
		if seen := f.seen(now); seen != nil {
			for ref, commit := range now {
				if seen[ref] != commit {
					moved[ref] = cmp.Or(moved[ref], seen[ref])
				}
			}
		}
	}
	for _, ref := range slices.Sorted(maps.Keys(moved)) {
		before, commit := moved[ref], now[ref]
		e := pipeline.GitEvent{Kind: pipeline.GitPush, Commit: commit, Created: before == "",
			Repository: t.repository, Connection: c.ARN, Provider: c.ProviderType}
		if name, tag := strings.CutPrefix(ref, "refs/tags/"); tag {
			e.Kind, e.Tag = pipeline.GitTag, name
		} else {
			e.Branch = strings.TrimPrefix(ref, heads)
		}
		claim := func(ctx context.Context, tx *store.Tx, pipelineID string) (bool, error) {
			return p.claim(ctx, tx, pipelineID, followers, now, ref)
		}
		if _, err := p.changes.happened(ctx, p.between(c, t.repository, before, commit), e, claim); err != nil {
			return err
		}
	}
	all, err := json.Marshal(now)
	if err != nil {
		return err
	}
	return p.db.Update(ctx, func(tx *store.Tx) error {
		for _, f := range followers {
			if _, err := tx.SetSeen(ctx, f.Source, string(all)); err != nil {
				return err
			}
		}
		return nil
	})
}

// claim notes that the source actions of a pipeline saw where a ref is; it says whether one of
// them had seen it elsewhere until now.
func (p *poller) claim(ctx context.Context, tx *store.Tx, pipelineID string, followers []follower, now map[string]string, ref string) (fresh bool, err error) {
	for _, f := range followers {
		if f.PipelineID != pipelineID {
			continue
		}
		if f.Seen, err = tx.SeenAt(ctx, f.Source); errors.Is(err, store.ErrNotFound) {
			continue
		} else if err != nil {
			return false, err
		}
		seen := f.seen(now)
		if seen == nil || seen[ref] == now[ref] {
			continue
		}
		seen[ref], fresh = now[ref], true
		text, err := json.Marshal(seen)
		if err != nil {
			return false, err
		}
		if _, err := tx.SetSeen(ctx, f.Source, string(text)); err != nil {
			return false, err
		}
	}
	return fresh, nil
}
