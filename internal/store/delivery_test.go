package store_test

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"time"

	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// S-350: of a lane one delivery is out at a time, in the order they came; lanes and targets do
// not wait for each other, and what nobody finishes comes again.
func TestDeliveries(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		update := func(f func(tx *store.Tx) error) {
			t.Helper()
			if err := db.Update(ctx, f); err != nil {
				t.Fatal(err)
			}
		}
		put := func(id, lane, target string) {
			update(func(tx *store.Tx) error {
				return tx.InsertDelivery(ctx, store.Delivery{Queue: "q", ID: id, Lane: lane, Target: target, Doc: "doc " + id})
			})
		}
		claim := func(busy ...string) (list []store.Delivery) {
			update(func(tx *store.Tx) (err error) {
				list, err = tx.ClaimDeliveries(ctx, "q", busy, 10, time.Minute)
				return err
			})
			slices.SortFunc(list, func(a, b store.Delivery) int { return int(a.Seq - b.Seq) })
			return list
		}
		ids := func(list []store.Delivery) (ids []string) {
			for _, d := range list {
				if d.Doc != "doc "+d.ID {
					t.Errorf("%+v", d)
				}
				ids = append(ids, d.ID)
			}
			return ids
		}
		put("a1", "a", "x")
		put("a2", "a", "x")
		put("a1", "a", "x") // told twice
		put("b1", "b", "y")
		first := claim()
		if got := ids(first); !slices.Equal(got, []string{"a1", "b1"}) {
			t.Fatal(got)
		}
		if got := claim(); len(got) > 0 {
			t.Fatalf("handed out twice: %v", got)
		}
		update(func(tx *store.Tx) error { return tx.FinishDelivery(ctx, first[0]) })
		update(func(tx *store.Tx) error { return tx.DeferDelivery(ctx, first[1], tx.Now().Add(-time.Second)) })
		if got := ids(claim("x")); !slices.Equal(got, []string{"b1"}) {
			t.Fatalf("with x busy: %v", got)
		}
		second := claim()
		if got := ids(second); !slices.Equal(got, []string{"a2"}) {
			t.Fatal(got)
		}
		// Whoever lost a claim changes nothing.
		update(func(tx *store.Tx) error { return tx.ReleaseDeliveries(ctx) })
		third := claim()
		if got := ids(third); !slices.Equal(got, []string{"a2", "b1"}) || third[1].Attempts != 1 {
			t.Fatalf("%v %+v", got, third)
		}
		update(func(tx *store.Tx) error { return tx.FinishDelivery(ctx, second[0]) })
		update(func(tx *store.Tx) error { return tx.FinishDelivery(ctx, third[0]) })
		update(func(tx *store.Tx) error { return tx.FinishDelivery(ctx, third[1]) })
		if err := db.View(ctx, func(tx *store.Tx) error {
			at, err := tx.NextDeliveryAt(ctx, "q", []string{"x"})
			if !at.IsZero() {
				t.Errorf("something is left: %s", at)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		put("a1", "a", "x") // what was delivered may be told again
		if got := ids(claim()); !slices.Equal(got, []string{"a1"}) {
			t.Fatal(got)
		}
	})
}

// Several nodes finish and fill the same lane at once: nothing is stuck or lost. S-340
func TestDeliveriesConcurrently(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
		defer stop()
		const n = 60
		filled := make(chan error, 1)
		go func() {
			for i := range n {
				if err := db.Update(ctx, func(tx *store.Tx) error {
					return tx.InsertDelivery(ctx, store.Delivery{Queue: "q", ID: strconv.Itoa(i), Lane: "l" + strconv.Itoa(i%2), Target: "t"})
				}); err != nil {
					filled <- err
					return
				}
			}
			filled <- nil
		}()
		last := map[string]int{"l0": -2, "l1": -1}
		for done := 0; done < n; {
			var list []store.Delivery
			if err := db.Update(ctx, func(tx *store.Tx) (err error) {
				list, err = tx.ClaimDeliveries(ctx, "q", nil, 10, time.Minute)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			for _, d := range list {
				i, err := strconv.Atoi(d.ID)
				if err != nil || i != last[d.Lane]+2 {
					t.Fatalf("%s after %d (%v)", d.ID, last[d.Lane], err)
				}
				last[d.Lane] = i
				done++
				if err := db.Update(ctx, func(tx *store.Tx) error { return tx.FinishDelivery(ctx, d) }); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := <-filled; err != nil {
			t.Fatal(err)
		}
	})
}

// N-14, N-15: rules, buses, topics and subscriptions are found by what belongs to them only.
func TestEventsAndTopics(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		err := db.Update(ctx, func(tx *store.Tx) error {
			for _, r := range []store.EventRule{
				{Account: "1", Region: "r", Bus: "default", Name: "b", Doc: "{}"}, {Account: "1", Region: "r", Bus: "default", Name: "a", Next: at, Doc: "{}"},
				{Account: "1", Region: "r", Bus: "own", Name: "c", Doc: "{}"}, {Account: "2", Region: "r", Bus: "default", Name: "d", Doc: "{}"},
			} {
				if err := tx.PutEventRule(ctx, r); err != nil {
					return err
				}
			}
			list, err := tx.ListEventRules(ctx, "1", "r", "default", "", store.Keyset{Limit: 10})
			if err != nil || len(list) != 2 || list[0].Name != "a" || !list[0].Next.Equal(at) {
				t.Errorf("%v %v", list, err)
			}
			due, err := tx.DueEventRules(ctx, 10)
			if err != nil || len(due) != 1 || due[0].Name != "a" {
				t.Errorf("%v %v", due, err)
			}
			for range 2 {
				if _, err := tx.AddEventBus(ctx, store.EventBus{Account: "1", Region: "r", Name: "own", Doc: "{}"}); err != nil {
					return err
				}
				if _, err := tx.AddTopic(ctx, store.Topic{Account: "1", Region: "r", Name: "t", Doc: "{}"}); err != nil {
					return err
				}
			}
			for i, confirmed := range []bool{true, false, true} {
				s := store.Subscription{ID: strconv.Itoa(i), Account: "1", Region: "r", Topic: "t", Endpoint: "e" + strconv.Itoa(i), Confirmed: confirmed, Doc: "{}"}
				if err := tx.PutSubscription(ctx, s); err != nil {
					return err
				}
			}
			yes, no, err := tx.CountSubscriptions(ctx, "1", "r", "t")
			if err != nil || yes != 2 || no != 1 {
				t.Errorf("%d %d %v", yes, no, err)
			}
			if s, err := tx.FindSubscription(ctx, "1", "r", "t", "e1"); err != nil || s.ID != "1" || s.Confirmed {
				t.Errorf("%+v %v", s, err)
			}
			if list, err := tx.ListSubscriptions(ctx, "1", "r", "t", store.Keyset{After: "0", Limit: 1}); err != nil || len(list) != 1 || list[0].ID != "1" {
				t.Errorf("%v %v", list, err)
			}
			if list, err := tx.ListSubscriptions(ctx, "1", "s", "", store.Keyset{Limit: 10}); err != nil || len(list) != 0 {
				t.Errorf("%v %v", list, err)
			}
			return tx.DeleteTopic(ctx, "1", "r", "t")
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.View(ctx, func(tx *store.Tx) error {
			_, err := tx.GetSubscription(ctx, "0")
			_, err2 := tx.GetEventRule(ctx, "1", "r", "own", "a")
			if err != store.ErrNotFound || err2 != store.ErrNotFound {
				t.Errorf("%v %v", err, err2)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
}

// After the clock was set back, what waited for nothing but its turn is due, and what was put
// off or is held is not.
func TestDeliveriesWhenTheClockIsSetBack(t *testing.T) {
	eachAt(t, func(t *testing.T, db *store.DB, c *clock) {
		ctx := t.Context()
		claim := func() (ids []string) {
			t.Helper()
			var at time.Time
			if err := db.View(ctx, func(tx *store.Tx) (err error) {
				at, err = tx.NextDeliveryAt(ctx, "q", []string{"busy"})
				return err
			}); err != nil {
				t.Fatal(err)
			}
			now := c.now
			inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
				list, err := tx.ClaimDeliveries(ctx, "q", []string{"busy"}, 10, time.Minute)
				for _, d := range list {
					ids = append(ids, d.ID)
					if d.ID == "off" && d.Attempts == 0 {
						if err := tx.DeferDelivery(ctx, d, now.Add(time.Minute)); err != nil {
							return err
						}
					}
				}
				return err
			})
			if due := !at.IsZero() && !at.After(now); due != (len(ids) > 0) {
				t.Errorf("%v due at %s, now %s", ids, at, now)
			}
			return ids
		}
		for _, lane := range []string{"off", "held", "fresh", "busy"} {
			inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
				return tx.InsertDelivery(ctx, store.Delivery{Queue: "q", ID: lane, Lane: lane, Target: lane})
			})
			if lane == "held" {
				if got := claim(); !slices.Equal(got, []string{"off", "held"}) {
					t.Fatal(got)
				}
				c.pass(time.Second)
			}
		}
		c.pass(-time.Hour)
		if got := claim(); !slices.Equal(got, []string{"fresh"}) {
			t.Errorf("after the clock was set back: %v", got)
		}
		if got := claim(); got != nil {
			t.Errorf("then %v", got)
		}
		c.pass(2 * time.Hour)
		if got := claim(); !slices.Equal(slices.Sorted(slices.Values(got)), []string{"fresh", "held", "off"}) {
			t.Errorf("in the end %v", got)
		}
	})
}
