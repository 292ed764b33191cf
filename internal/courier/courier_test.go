package courier_test

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"time"

	"penstock/internal/courier"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// patience is how long a test waits for what must come.
const patience = 5 * time.Minute

func put(t *testing.T, db *store.DB, id, lane, target string) {
	t.Helper()
	if err := db.Update(t.Context(), func(tx *store.Tx) error {
		return tx.InsertDelivery(t.Context(), store.Delivery{Queue: "q", ID: id, Lane: lane, Target: target, Doc: "{}"})
	}); err != nil {
		t.Fatal(err)
	}
}

// run starts a courier and gives what it hands over; stop ends it.
func run(t *testing.T, db *store.DB, answer func(ctx context.Context, d store.Delivery) error) (seen <-chan store.Delivery, stop func()) {
	t.Helper()
	told := make(chan store.Delivery, 1000)
	c := courier.New(courier.Config{
		DB: db, Queue: "q", Deadline: 20 * time.Second, Log: slog.New(slog.DiscardHandler),
		Deliver: func(ctx context.Context, d store.Delivery) error {
			told <- d
			return answer(ctx, d)
		},
		Again: func(d store.Delivery, _ error) (time.Duration, bool) { return time.Millisecond, d.Attempts < 3 },
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return told, stop
}

func next(t *testing.T, seen <-chan store.Delivery) store.Delivery {
	t.Helper()
	select {
	case d := <-seen:
		return d
	case <-time.After(patience):
		t.Fatal("nothing is delivered")
		panic("not reached")
	}
}

// S-340, S-350: each is handed over, in the order of its lane, again after a failure, and not
// any more when that is of no use.
func TestOrderAndRetries(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for i := range 5 {
			put(t, db, strconv.Itoa(i), "lane", "target")
		}
		seen, _ := run(t, db, func(_ context.Context, d store.Delivery) error {
			switch {
			case d.ID == "1" && d.Attempts < 2:
				return errors.New("not now")
			case d.ID == "2":
				return courier.GiveUp(errors.New("never"))
			case d.ID == "3" && d.Attempts == 0:
				panic("a mistake")
			case d.ID == "3":
				return errors.New("always")
			}
			return nil
		})
		for _, want := range []string{"0", "1", "1", "1", "2", "3", "3", "3", "3", "4"} {
			if d := next(t, seen); d.ID != want {
				t.Fatalf("%s, not %s", d.ID, want)
			}
		}
		put(t, db, "later", "lane", "target")
		if d := next(t, seen); d.ID != "later" {
			t.Fatal(d.ID)
		}
	})
}

// A target that does not answer holds up its own lanes only (S-340).
func TestDeadTarget(t *testing.T) {
	t.Parallel()
	db := storetest.SQLite(t)
	for i := range 100 {
		put(t, db, "dead"+strconv.Itoa(i), "dead"+strconv.Itoa(i), "dead")
	}
	put(t, db, "alive", "alive", "alive")
	seen, _ := run(t, db, func(ctx context.Context, d store.Delivery) error {
		if d.Target == "dead" {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	})
	for n := 0; ; n++ {
		d := next(t, seen)
		if d.ID == "alive" {
			break
		}
		if n > 20 {
			t.Fatal("too many for one target")
		}
	}
}

// What was cut short by the end of a server comes again at the next start.
func TestRestart(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		put(t, db, "one", "lane", "target")
		seen, stop := run(t, db, func(ctx context.Context, _ store.Delivery) error {
			<-ctx.Done()
			return ctx.Err()
		})
		next(t, seen)
		stop()
		if err := db.Update(t.Context(), func(tx *store.Tx) error { return tx.ReleaseDeliveries(t.Context()) }); err != nil {
			t.Fatal(err)
		}
		seen, _ = run(t, db, func(context.Context, store.Delivery) error { return nil })
		if d := next(t, seen); d.ID != "one" {
			t.Fatal(d.ID)
		}
	})
}
