package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"penstock/internal/pipeline"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

func timers(t *testing.T, db *store.DB, limit int) (out []string) {
	t.Helper()
	if err := db.View(t.Context(), func(tx *store.Tx) error {
		list, err := tx.NextTimers(t.Context(), limit)
		out = nil
		for _, m := range list {
			out = append(out, fmt.Sprint(m.Run, " ", m.PipelineID, " ", m.At.Sub(newClock().now)))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// A run has one wake-up; it is taken once, and only when it is due.
func TestTimers(t *testing.T) {
	eachAt(t, func(t *testing.T, db *store.DB, c *clock) {
		set := func(run string, after time.Duration) {
			inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
				return tx.SetTimer(ctx, store.Timer{Run: pipeline.ActionExecutionID(run), PipelineID: "p", At: newClock().now.Add(after)})
			})
		}
		take := func(run string) (taken bool) {
			inTx(t, db, func(ctx context.Context, tx *store.Tx) (err error) {
				taken, err = tx.TakeTimer(ctx, pipeline.ActionExecutionID(run))
				return err
			})
			return taken
		}
		set("a", 3*time.Second)
		set("b", time.Second)
		set("c", 2*time.Second)
		set("b", 4*time.Second) // in place of the earlier
		if got := timers(t, db, 2); fmt.Sprint(got) != "[c p 2s a p 3s]" {
			t.Errorf("first two %v", got)
		}
		c.pass(3 * time.Second)
		if take("b") || !take("a") || take("a") || take("nothing") {
			t.Error("taken wrongly")
		}
		inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.ClearTimer(ctx, "c"), tx.ClearTimer(ctx, "nothing"))
		})
		if got := timers(t, db, 9); fmt.Sprint(got) != "[b p 4s]" {
			t.Errorf("left %v", got)
		}
		c.pass(-time.Hour) // the clock is set back
		if take("b") {
			t.Error("taken before its time")
		}
		c.pass(2 * time.Hour)
		if !take("b") {
			t.Error("not taken")
		}
	})
}

// S-340: events leave in the order in which they were written, and only when they are removed.
func TestOutbox(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		list := func(limit int) (out []store.Outgoing) {
			if err := db.View(t.Context(), func(tx *store.Tx) (err error) {
				out, err = tx.ListOutgoing(t.Context(), limit)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			return out
		}
		for i := range 5 {
			inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
				return tx.InsertOutgoing(ctx, store.Outgoing{Account: testAccount, Region: testRegion, Resource: "arn", At: tx.Now(),
					DetailType: "type", Detail: fmt.Sprintf(`{"n":%d}`, i)})
			})
		}
		first := list(3)
		if len(first) != 3 || first[0].Detail != `{"n":0}` || first[2].Detail != `{"n":2}` || first[0].Seq >= first[1].Seq ||
			first[0].Account != testAccount || first[0].Region != testRegion || first[0].Resource != "arn" || first[0].DetailType != "type" || first[0].At.IsZero() {
			t.Fatalf("first %+v", first)
		}
		inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.DeleteOutgoing(ctx, []int64{first[0].Seq, first[1].Seq, first[2].Seq}), tx.DeleteOutgoing(ctx, nil))
		})
		rest := list(10)
		if len(rest) != 2 || rest[0].Detail != `{"n":3}` {
			t.Fatalf("rest %+v", rest)
		}
		inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.DeleteOutgoing(ctx, []int64{rest[0].Seq, rest[1].Seq})
		})
		inTx(t, db, func(ctx context.Context, tx *store.Tx) error { // a number is never used again
			return tx.InsertOutgoing(ctx, store.Outgoing{DetailType: "late", Detail: `{}`})
		})
		if last := list(10); len(last) != 1 || last[0].Seq <= rest[1].Seq {
			t.Errorf("last %+v", last)
		}
	})
}
