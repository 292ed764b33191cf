package cloudtrail

import (
	"context"
	"fmt"
	"time"

	"penstock/internal/audit"
	"penstock/internal/auth"
	"penstock/internal/store"
)

const (
	// every is how long finished records wait to be sealed, so that those of a moment share
	// a seal; idle how often records that another node has left are looked for.
	every = 500 * time.Millisecond
	idle  = time.Minute
	// abandoned is how long after its beginning a record that was never finished is sealed as
	// it is: its node died, or its call takes longer than calls do.
	abandoned = 10 * time.Minute
	// A run of records that one seal is over, and that one transaction writes.
	maxRun      = 200
	maxRunBytes = 1 << 20
)

// Run finishes and seals records until ctx ends; what is left then is for a last Flush. It gives
// nil.
func (r *Room) Run(ctx context.Context) error {
	for {
		again := time.NewTimer(idle)
		select {
		case <-r.ready:
			again.Reset(every)
			select {
			case <-again.C:
			case <-ctx.Done():
			}
		case <-again.C:
		case <-ctx.Done():
		}
		again.Stop()
		if ctx.Err() != nil {
			return nil
		}
		if n := r.limit.left(r.deps.Now()); n > 0 {
			e := r.blank("cloudtrail", "RefusedCallsOmitted", r.deps.Account, r.deps.Region)
			e.EventType, e.AdditionalEventData = "AwsServiceEvent", map[string]any{"omitted": n}
			r.put(ctx, finished{e.row(), false})
		}
		if err := r.Flush(ctx); err != nil && ctx.Err() == nil {
			r.deps.Log.ErrorContext(ctx, "audit: records cannot be sealed yet", "error", err)
		}
	}
}

// Flush writes the records that are finished and seals all that can be.
func (r *Room) Flush(ctx context.Context) error {
	if err := r.write(ctx); err != nil {
		return err
	}
	var accounts []string
	before := r.deps.Now().Add(-abandoned)
	err := r.deps.DB.View(ctx, func(tx *store.Tx) (err error) {
		accounts, err = tx.AuditAccounts(ctx, before)
		return err
	})
	for _, account := range accounts {
		for more := true; more && err == nil; {
			more, err = r.seal(ctx, account, before)
		}
	}
	return err
}

// write stores the last texts of the records that are finished. What cannot be written waits
// for the next time, up to a bound; the calls themselves are on record already.
func (r *Room) write(ctx context.Context) error {
	r.mu.Lock()
	list := r.done
	r.done = nil
	r.mu.Unlock()
	for len(list) > 0 {
		n := min(len(list), maxRun)
		if err := r.deps.DB.Update(ctx, func(tx *store.Tx) error { return finish(ctx, tx, list[:n]) }); err != nil {
			r.mu.Lock()
			r.done = append(list, r.done...)
			r.done = r.done[:min(len(r.done), 4*maxDone)]
			r.mu.Unlock()
			return err
		}
		list = list[n:]
	}
	return nil
}

func finish(ctx context.Context, tx *store.Tx, list []finished) error {
	for _, f := range list {
		if !f.stored {
			if err := tx.PutAudit(ctx, f.AuditRecord, false); err != nil {
				return err
			}
			continue
		}
		open, err := tx.FinishAudit(ctx, f.ID, f.Doc)
		if err != nil {
			return err
		}
		if !open { // sealed meanwhile, because the call took so long: what came of it is another record
			late := f.AuditRecord
			late.ID = auth.NewUUID()
			if late.Doc, err = later(f.Doc, f.ID, late.ID); err != nil {
				return err
			}
			if err := tx.PutAudit(ctx, late, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// seal links and signs a run of an account's records and says whether there may be more.
func (r *Room) seal(ctx context.Context, account string, before time.Time) (more bool, err error) {
	var s audit.Seal
	err = r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		more, s = false, audit.Seal{Account: account}
		seq, hash, err := tx.LockAuditHead(ctx, account)
		if err != nil {
			return err
		}
		if seq > 0 {
			if s.Prev, err = audit.ParseHash(hash); err != nil {
				return fmt.Errorf("the end of the audit log of %s: %w", account, err)
			}
		}
		list, err := tx.UnsealedAudit(ctx, account, before, maxRun)
		if err != nil || len(list) == 0 {
			return err
		}
		more = len(list) == maxRun
		s.First, s.Hash = seq+1, s.Prev
		size := 0
		for i := range list {
			if size += len(list[i].Doc); size > maxRunBytes && i > 0 {
				list, more = list[:i], true
				break
			}
			s.Hash = audit.Link(s.Hash, audit.Digest(list[i].Doc))
			list[i].Seq, list[i].Hash = s.First+int64(i), s.Hash.String()
		}
		s.Last, s.At = seq+int64(len(list)), tx.Now()
		s.Sign(r.deps.Key)
		return tx.SealAudit(ctx, store.AuditSeal{Account: account, First: s.First, Last: s.Last, Prev: s.Prev.String(), Hash: s.Hash.String(),
			At: s.At, Key: s.Key, Signature: s.Signature}, list)
	})
	if err == nil && s.Last > 0 {
		r.deps.Sealed(account, audit.Head{Seq: s.Last, Hash: s.Hash, At: s.At})
	}
	return more, err
}
