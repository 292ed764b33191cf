package codecommit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"penstock/internal/auth"
	"penstock/internal/mishap"
	"penstock/internal/store"
	"penstock/internal/svc/codecommit/git"
)

// announceLimit bounds the announcement of what moved, which outlives the mover's request.
const announceLimit = time.Minute

// retell is how often it is tried to tell of what moved and could not be told.
const retell = time.Second

// moved tells of refs that moved and are durable, and keeps that it was told. It goes on
// when the caller leaves: the refs have moved. What cannot be told, because nothing can be
// stored for instance, is told later.
func (r *Room) moved(ctx context.Context, p *place, changes []git.Change) error {
	err := r.announce(ctx, p, changes, auth.From(ctx).ARN)
	if err != nil {
		r.work.Go(func() { r.later(p) })
	}
	return err
}

// later tells of what moved in a repository once that is possible.
func (r *Room) later(p *place) {
	again := time.NewTicker(retell)
	defer again.Stop()
	for {
		select {
		case <-r.ctx.Done():
			return // the next start tells
		case <-again.C:
		}
		err := r.reconcile(r.ctx, p.CodeCommitRepository)
		if err == nil || errors.Is(err, store.ErrNotFound) || errors.Is(err, git.ErrGone) {
			return
		}
		r.deps.Log.Warn("codecommit: what moved is not told yet", "repository", p.Name, "error", err)
	}
}

func (r *Room) announce(ctx context.Context, p *place, changes []git.Change, caller string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), announceLimit)
	defer cancel()
	mishap.At(mishap.RefsMoved)
	list := make([]RefUpdate, len(changes))
	for i, c := range changes {
		list[i] = RefUpdate{
			Account: p.Account, Region: p.Region, Repository: p.Name, RepositoryARN: p.arn(),
			Ref: c.Ref, Old: c.Old, New: c.New, CallerARN: caller,
		}
	}
	if err := r.deps.RefsUpdated(ctx, list); err != nil {
		return fmt.Errorf("codecommit: tell of %d refs: %w", len(list), err)
	}
	for _, c := range changes {
		if err := r.fire(ctx, p, c, caller); err != nil {
			return fmt.Errorf("codecommit: the triggers for %s: %w", c.Ref, err)
		}
	}
	mishap.At(mishap.RefsTold)
	branch := ""
	err := r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		row, err := tx.GetCodeCommitRepositoryByID(ctx, p.ID)
		if err != nil {
			return err
		}
		if row.DefaultBranch == "" {
			row.DefaultBranch = firstBranch(changes)
		}
		branch = row.DefaultBranch
		row.Modified = tx.Now()
		if err := tx.UpdateCodeCommitRepository(ctx, row); err != nil {
			return err
		}
		for _, c := range changes {
			if !strings.HasPrefix(c.Ref, heads) {
				continue
			}
			if c.New != "" && caller != "" {
				if err := tx.PutCodeCommitPusher(ctx, p.ID, c.New, caller); err != nil {
					return err
				}
			}
			if err := tx.PutCodeCommitHead(ctx, p.ID, c.Ref, c.New); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = p.follow(ctx, branch)
	} else if errors.Is(err, store.ErrNotFound) {
		return nil // deleted meanwhile
	}
	r.deps.Notify(p.arn())
	return err
}

// follow makes the default branch of the row the one that a clone checks out. The row
// decides, also among several first pushes at one time.
func (p *place) follow(ctx context.Context, branch string) error {
	if branch == "" {
		return nil
	}
	now, err := p.git.Head()
	if err != nil || now == branch {
		return err
	}
	return p.git.SetHead(ctx, branch)
}

// firstBranch chooses the default branch among those of the first push: as CodeCommit the
// one pushed, and of several the one with a usual name.
func firstBranch(changes []git.Change) string {
	var made []string
	for _, c := range changes {
		if name, ok := strings.CutPrefix(c.Ref, heads); ok && c.New != "" {
			made = append(made, name)
		}
	}
	for _, usual := range []string{"main", "master"} {
		if slices.Contains(made, usual) {
			return usual
		}
	}
	if len(made) == 0 {
		return ""
	}
	return made[0]
}

// Reconcile tells of branches that moved without being told of, because the process died in
// between. It is called once at the start, and may run beside requests: a push that is being
// told of is then told twice at worst.
func (r *Room) Reconcile(ctx context.Context) error {
	var all []store.CodeCommitRepository
	err := r.deps.DB.View(ctx, func(tx *store.Tx) (err error) {
		all, err = tx.ListEveryCodeCommitRepository(ctx)
		return err
	})
	if err != nil {
		return err
	}
	var failed []error
	for _, row := range all {
		if err := r.reconcile(ctx, row); err != nil {
			failed = append(failed, fmt.Errorf("codecommit: look at %s: %w", row.Name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failed...)
}

func (r *Room) reconcile(ctx context.Context, row store.CodeCommitRepository) error {
	repo, err := r.git.Repo(row.ID)
	if err != nil {
		return err
	}
	refs, err := repo.Refs(ctx, heads)
	if err != nil {
		return err
	}
	var told map[string]string
	err = r.deps.DB.View(ctx, func(tx *store.Tx) (err error) {
		told, err = tx.CodeCommitHeads(ctx, row.ID)
		return err
	})
	if err != nil {
		return err
	}
	var changes []git.Change
	for _, ref := range slices.Sorted(maps.Keys(refs)) {
		if told[ref] != refs[ref] {
			changes = append(changes, git.Change{Ref: ref, Old: told[ref], New: refs[ref]})
		}
	}
	for _, ref := range slices.Sorted(maps.Keys(told)) {
		if refs[ref] == "" {
			changes = append(changes, git.Change{Ref: ref, Old: told[ref]})
		}
	}
	p := &place{CodeCommitRepository: row, git: repo}
	if len(changes) == 0 {
		return p.follow(ctx, row.DefaultBranch)
	}
	return r.announce(ctx, p, changes, "")
}
