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
	// MetricData are the data of metrics, by their minute.
	MetricData
	// SilentMetrics are metrics, by the newest minute they have data of.
	SilentMetrics
	// CompleteDeployments are deployments of CodeDeploy that are over, by when they ended.
	CompleteDeployments
	// CompleteTargets are the targets of such deployments.
	CompleteTargets
)

// String names the kind in logs.
func (p Perishable) String() string {
	return [...]string{"ended jobs", "start tokens", "webhook deliveries", "source revisions", "pending subscriptions", "builds", "metric data", "metrics", "deployments", "targets of deployments"}[p]
}

// Perish removes up to limit of the oldest rows of a kind that are from before the time, and
// says how many it did.
func (tx *Tx) Perish(ctx context.Context, kind Perishable, before time.Time, limit int) (int, error) {
	var query string
	from := micros(before)
	switch kind {
	case EndedJobs:
		query = `DELETE FROM job WHERE id IN (SELECT id FROM job WHERE ended > 0 AND ended < $1 ORDER BY ended LIMIT $2)`
	case StartTokens:
		query = `DELETE FROM start_token WHERE (pipeline_id, token) IN (SELECT pipeline_id, token FROM start_token WHERE at < $1 ORDER BY at LIMIT $2)`
	case Deliveries:
		query = `DELETE FROM webhook_delivery WHERE (hook, id) IN (SELECT hook, id FROM webhook_delivery WHERE at < $1 ORDER BY at LIMIT $2)`
	case Revisions:
		query = `DELETE FROM action_revision WHERE (pipeline_id, action, digest) IN (SELECT pipeline_id, action, digest FROM action_revision WHERE at < $1 ORDER BY at LIMIT $2)`
	case PendingSubscriptions:
		query = `DELETE FROM sns_subscription WHERE id IN (SELECT id FROM sns_subscription WHERE confirmed = 0 AND asked < $1 ORDER BY asked LIMIT $2)`
	case CompleteBuilds:
		query = `DELETE FROM codebuild_build WHERE (account, region, id) IN (SELECT account, region, id FROM codebuild_build WHERE complete = 1 AND started < $1 ORDER BY started LIMIT $2)`
	case MetricData:
		query, from = `DELETE FROM metric_minute WHERE (metric, minute, unit) IN (SELECT metric, minute, unit FROM metric_minute WHERE minute < $1 ORDER BY minute LIMIT $2)`, MinuteOf(before)
	case SilentMetrics:
		query, from = `DELETE FROM metric WHERE id IN (SELECT id FROM metric WHERE seen < $1 ORDER BY seen LIMIT $2)`, MinuteOf(before)
	case CompleteDeployments:
		query = `DELETE FROM codedeploy_deployment WHERE (account, region, id) IN (SELECT account, region, id FROM codedeploy_deployment WHERE completed > 0 AND completed < $1 ORDER BY completed LIMIT $2)`
	case CompleteTargets:
		query = `DELETE FROM codedeploy_target WHERE (account, region, deployment, instance) IN
			(SELECT account, region, deployment, instance FROM codedeploy_target WHERE completed > 0 AND completed < $1 ORDER BY completed LIMIT $2)`
	default:
		return 0, fmt.Errorf("store: unknown kind of rows %d", int(kind))
	}
	n, err := tx.exec(ctx, query, from, limit)
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
