package store

import (
	"context"
	"fmt"
	"time"
)

// Perishable is a kind of rows that nobody asks for any more when they have reached an age.
type Perishable int

// The kinds of perishable rows.
const (
	// EndedJobs are jobs, by when they ended.
	EndedJobs Perishable = iota
	// StartTokens are remembered idempotency tokens, by when they were used first (S-103).
	StartTokens
	// Deliveries are the remembered ids of what was delivered to hooks.
	Deliveries
	// Revisions are revisions that source actions have seen, by when they did last (S-105).
	Revisions
	// PendingSubscriptions are those nobody has confirmed, by when they were asked for.
	PendingSubscriptions
	// CompleteBuilds are builds that are over, by when they started.
	CompleteBuilds
)

// perishable says where the rows are: the table and its key, the column of their age, and
// which rows of the table are of the kind. The column has an index.
var perishable = map[Perishable]struct{ name, table, key, at, which string }{
	EndedJobs:            {"ended jobs", "job", "id", "ended", "ended > 0"},
	StartTokens:          {"start tokens", "start_token", "pipeline_id, token", "at", "at > 0"},
	Deliveries:           {"webhook deliveries", "webhook_delivery", "hook, id", "at", "at > 0"},
	Revisions:            {"source revisions", "action_revision", "pipeline_id, action, digest", "at", "at > 0"},
	PendingSubscriptions: {"pending subscriptions", "sns_subscription", "id", "asked", "confirmed = 0"},
	CompleteBuilds:       {"builds", "codebuild_build", "account, region, id", "started", "complete = 1"},
}

// String names the kind in logs.
func (p Perishable) String() string { return perishable[p].name }

// Perish removes up to limit of the oldest rows of a kind that are from before the time, and
// says how many it did.
func (tx *Tx) Perish(ctx context.Context, kind Perishable, before time.Time, limit int) (int, error) {
	k, ok := perishable[kind]
	if !ok {
		return 0, fmt.Errorf("store: unknown kind of rows %d", kind)
	}
	n, err := tx.exec(ctx, `DELETE FROM `+k.table+` WHERE (`+k.key+`) IN (SELECT `+k.key+` FROM `+k.table+`
		WHERE `+k.which+` AND `+k.at+` < $1 ORDER BY `+k.at+` LIMIT $2)`, micros(before), limit)
	return int(n), err
}

// TakeChore says whether a chore is due. It is then the caller's, and due again after every;
// if it is not, the time is when it will be.
func (tx *Tx) TakeChore(ctx context.Context, name string, every time.Duration) (mine bool, due time.Time, err error) {
	n, err := tx.exec(ctx, `INSERT INTO chore (name, due) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET due = excluded.due WHERE chore.due <= $3`,
		name, micros(tx.Now().Add(every)), micros(tx.Now()))
	if err != nil {
		return false, time.Time{}, err
	}
	var at int64
	err = tx.one(ctx, `SELECT due FROM chore WHERE name = $1`, []any{name}, &at)
	return n > 0, fromMicros(at), err
}
