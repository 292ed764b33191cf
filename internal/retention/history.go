package retention

import (
	"context"
	"time"

	"penstock/internal/store"
)

const (
	// few is how many executions are looked at in one transaction.
	few = 20
	// maxRuns is how many rows of a history one transaction removes.
	maxRuns = 200
)

// removals goes on with what was too large to be removed in one transaction.
func (k *Keeper) removals(ctx context.Context, removed *Removed) error {
	for {
		var list []store.Removal
		if err := k.cfg.DB.View(ctx, func(tx *store.Tx) (err error) {
			list, err = tx.Removals(ctx, page)
			return err
		}); err != nil || len(list) == 0 {
			return err
		}
		for _, r := range list {
			for batch := (store.HistoryBatch{More: true}); batch.More; {
				if err := k.cfg.DB.Update(ctx, func(tx *store.Tx) (err error) {
					batch, err = tx.Remove(ctx, r, k.runs, k.cfg.Delete != nil)
					return err
				}); err != nil {
					return err
				}
				removed.Runs += batch.Runs
			}
		}
	}
}

// history removes what is older than history goes back, pipeline by pipeline (S-78).
func (k *Keeper) history(ctx context.Context, removed *Removed) error {
	for after := ""; ; {
		var ids []string
		if err := k.cfg.DB.View(ctx, func(tx *store.Tx) (err error) {
			ids, err = tx.PipelinesWithOldHistory(ctx, after, page)
			return err
		}); err != nil {
			return err
		}
		for _, id := range ids {
			after = id
			if err := k.pipeline(ctx, id, removed); err != nil {
				return err
			}
		}
		if len(ids) < page {
			return nil
		}
	}
}

func (k *Keeper) pipeline(ctx context.Context, id string, removed *Removed) error {
	for batch := (store.HistoryBatch{More: true}); batch.More; {
		after := batch.Next
		if err := k.cfg.DB.Update(ctx, func(tx *store.Tx) (err error) {
			batch, err = tx.RemoveHistory(ctx, id, after, few, k.runs, k.cfg.Delete != nil)
			return err
		}); err != nil {
			return err
		}
		removed.Executions += batch.Executions
		removed.Runs += batch.Runs
	}
	return nil
}

const (
	// deleteTime is how long the deletion of one artifact may take.
	deleteTime = time.Minute
	// firstWait is how long one that could not be deleted waits to be tried again. The wait
	// doubles each time, up to longestWait.
	firstWait   = time.Hour
	longestWait = 30 * 24 * time.Hour
)

// artifacts deletes the artifacts of what has been removed. Each stays remembered until it is
// deleted, so a crash in between has it deleted twice.
func (k *Keeper) artifacts(ctx context.Context, removed *Removed) error {
	if k.cfg.Delete == nil {
		return nil
	}
	for {
		var list []store.StaleArtifact
		if err := k.cfg.DB.View(ctx, func(tx *store.Tx) (err error) {
			list, err = tx.StaleArtifacts(ctx, page)
			return err
		}); err != nil {
			return err
		}
		if len(list) == 0 {
			return nil
		}
		refused := make([]bool, len(list))
		gone := 0
		for i, a := range list {
			err := k.delete(ctx, a)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if refused[i] = err != nil; err == nil {
				gone++
				continue
			}
			k.cfg.Log.Warn("retention: an artifact could not be deleted", "bucket", a.Bucket, "key", a.Key, "tries", a.Tries+1, "error", err)
		}
		if err := k.cfg.DB.Update(ctx, func(tx *store.Tx) error {
			for i, a := range list {
				err := error(nil)
				if refused[i] {
					err = tx.PostponeStaleArtifact(ctx, a, min(firstWait<<min(a.Tries, 20), longestWait))
				} else {
					err = tx.ForgetStaleArtifact(ctx, a)
				}
				if err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
		removed.Artifacts += gone
		removed.Refused += len(list) - gone
		if len(list) < page {
			return nil
		}
	}
}

func (k *Keeper) delete(ctx context.Context, a store.StaleArtifact) error {
	ctx, stop := context.WithTimeout(ctx, deleteTime)
	defer stop()
	return k.cfg.Delete(ctx, a)
}
