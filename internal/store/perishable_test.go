package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"penstock/internal/engine"
	"penstock/internal/pipeline"
	"penstock/internal/store"
)

// S-103, S-105, S-251, S-315: rows whose life is over are removed, the oldest first and no more
// than asked for; those that are younger, or live, stay.
func TestPerish(t *testing.T) {
	eachAt(t, func(t *testing.T, db *store.DB, c *clock) {
		begun := c.now
		kinds := map[store.Perishable]struct {
			table string
			add   func(ctx context.Context, tx *store.Tx, id string) error
		}{
			store.EndedJobs: {"job", func(ctx context.Context, tx *store.Tx, id string) error {
				j := engine.Job{ID: pipeline.JobID(id), Type: builtIn}
				return errors.Join(tx.InsertJob(ctx, "p", j, "", tx.Now()), tx.EndJob(ctx, j.ID, engine.JobSucceeded))
			}},
			store.StartTokens: {"start_token", func(ctx context.Context, tx *store.Tx, id string) error {
				return tx.PutStartToken(ctx, "p", store.StartToken{Token: id, Execution: "e", Arguments: "[]"}, 1000*time.Hour)
			}},
			store.Deliveries: {"webhook_delivery", func(ctx context.Context, tx *store.Tx, id string) error {
				_, err := tx.TakeDelivery(ctx, "h", id, 1000*time.Hour)
				return err
			}},
			store.Revisions: {"action_revision", func(ctx context.Context, tx *store.Tx, id string) error {
				return tx.PutRevision(ctx, "p", "a", id, "e", 1)
			}},
			store.PendingSubscriptions: {"sns_subscription", func(ctx context.Context, tx *store.Tx, id string) error {
				return tx.PutSubscription(ctx, store.Subscription{ID: id, Account: "1", Region: "r", Topic: "t", Asked: tx.Now(), Doc: "{}"})
			}},
			store.CompleteBuilds: {"codebuild_build", func(ctx context.Context, tx *store.Tx, id string) error {
				return tx.AddCodeBuildBuild(ctx, store.CodeBuildBuild{Account: "1", Region: "r", ID: id, Started: tx.Now(), Complete: true, Doc: "{}"})
			}},
			store.MetricData: {"metric_minute", func(ctx context.Context, tx *store.Tx, id string) error {
				return tx.AddMinute(ctx, id, store.Minute{Minute: store.MinuteOf(tx.Now()), Samples: 1})
			}},
			store.SilentMetrics: {"metric", func(ctx context.Context, tx *store.Tx, id string) error {
				_, err := tx.AddMetric(ctx, store.Metric{Name: id}, store.MinuteOf(tx.Now()))
				return err
			}},
			store.CompleteDeployments: {"codedeploy_deployment", func(ctx context.Context, tx *store.Tx, id string) error {
				_, err := tx.AddCodeDeployDeployment(ctx, store.CodeDeployDeployment{Account: "1", Region: "r", ID: id, Completed: tx.Now(), Doc: "{}"})
				return err
			}},
			store.CompleteTargets: {"codedeploy_target", func(ctx context.Context, tx *store.Tx, id string) error {
				return errors.Join(tx.AddCodeDeployTarget(ctx, store.CodeDeployTarget{Account: "1", Region: "r", Deployment: id, Instance: "i", Doc: "{}"}),
					tx.CompleteCodeDeployTargets(ctx, store.CodeDeployDeployment{Account: "1", Region: "r", ID: id}))
			}},
		}
		// What must stay whatever its age.
		inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.InsertJob(ctx, "p", engine.Job{ID: "waits", Type: builtIn}, "", tx.Now()),
				tx.PutSubscription(ctx, store.Subscription{ID: "wanted", Account: "1", Region: "r", Topic: "t", Asked: tx.Now(), Confirmed: true, Doc: "{}"}),
				tx.AddCodeBuildBuild(ctx, store.CodeBuildBuild{Account: "1", Region: "r", ID: "runs", Started: tx.Now(), Doc: "{}"}),
				tx.AddCodeDeployTarget(ctx, store.CodeDeployTarget{Account: "1", Region: "r", Deployment: "runs", Instance: "i", Doc: "{}"}))
		})
		stays := map[store.Perishable]int{store.EndedJobs: 1, store.PendingSubscriptions: 1, store.CompleteBuilds: 1, store.CompleteTargets: 1}
		for i := range 5 {
			inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
				for kind, k := range kinds {
					if err := k.add(ctx, tx, fmt.Sprint("x", i)); err != nil {
						t.Errorf("%v: %v", kind, err)
					}
				}
				return nil
			})
			c.pass(time.Hour)
		}
		for kind, k := range kinds {
			var got []int
			for range 3 { // of those of the hours 0 to 3, two at a time
				inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
					n, err := tx.Perish(ctx, kind, begun.Add(3*time.Hour), 2)
					got = append(got, n)
					return err
				})
			}
			if got[0] != 2 || got[1] != 1 || got[2] != 0 {
				t.Errorf("%v: removed %v", kind, got)
			}
			if n := count(t, db, `SELECT count(*) FROM `+k.table); n != 2+stays[kind] {
				t.Errorf("%v: %d rows are left", kind, n)
			}
		}
		inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
			if _, err := tx.Perish(ctx, 99, tx.Now(), 1); err == nil {
				t.Error("a kind that does not exist")
			}
			return nil
		})
	})
}

// Log events go when all of their batch are older than the group keeps them (N-11).
func TestExpireLogs(t *testing.T) {
	eachAt(t, func(t *testing.T, db *store.DB, c *clock) {
		inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
			for _, g := range []store.LogGroup{{ID: "week", Name: "w", Retention: 7}, {ID: "ever", Name: "e"}} {
				if _, err := tx.AddLogGroup(ctx, g); err != nil {
					return err
				}
				if _, err := tx.AddLogStream(ctx, store.LogStream{ID: "of " + g.ID, GroupID: g.ID, Name: "s"}); err != nil {
					return err
				}
				for day := range 10 {
					at := tx.Now().Add(time.Duration(day) * 24 * time.Hour).UnixMilli()
					if err := tx.AddLogBatch(ctx, store.LogBatch{StreamID: "of " + g.ID, GroupID: g.ID, FirstEvent: at, LastEvent: at + 1, Events: "[]"}, 2); err != nil {
						return err
					}
				}
			}
			return nil
		})
		c.pass(9*24*time.Hour + time.Second) // the first three are too old
		inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
			groups, err := tx.ExpiringLogGroups(ctx, "", 5)
			if err != nil || len(groups) != 1 || groups[0].ID != "week" {
				t.Fatalf("groups %v %v", groups, err)
			}
			for _, want := range []int{2, 1, 0} {
				if n, err := tx.ExpireLogs(ctx, groups[0], 2); n != want || err != nil {
					t.Errorf("%d batches removed, want %d: %v", n, want, err)
				}
			}
			more, err := tx.ExpiringLogGroups(ctx, groups[0].ID, 5)
			if len(more) > 0 || err != nil {
				t.Errorf("after the last: %v %v", more, err)
			}
			return nil
		})
		if n := count(t, db, `SELECT count(*) FROM log_batch`); n != 17 {
			t.Errorf("%d batches are left", n)
		}
	})
}

// A chore that is due goes to one of those who ask.
func TestTakeChore(t *testing.T) {
	eachAt(t, func(t *testing.T, db *store.DB, c *clock) {
		take := func() (mine bool, due time.Time) {
			inTx(t, db, func(ctx context.Context, tx *store.Tx) (err error) {
				mine, due, err = tx.TakeChore(ctx, "c", time.Hour)
				return err
			})
			return mine, due
		}
		for range 2 {
			due := c.now.Add(time.Hour)
			if mine, at := take(); !mine || !at.Equal(due) {
				t.Errorf("mine %v, due %v", mine, at)
			}
			if mine, at := take(); mine || !at.Equal(due) {
				t.Errorf("again: mine %v, due %v", mine, at)
			}
			c.pass(time.Hour)
		}
	})
}
