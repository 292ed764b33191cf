package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// woken waits for a wake-up.
func woken(t *testing.T, wake <-chan struct{}) {
	t.Helper()
	select {
	case <-wake:
	case <-time.After(5 * time.Minute):
		t.Fatal("not woken")
	}
}

func TestWakeReachesItsTopicAfterTheCommitOnly(t *testing.T) {
	t.Parallel()
	db := storetest.SQLite(t)
	jobs, stop := db.Subscribe("jobs")
	timers, _ := db.Subscribe("timers")
	wake := func(end error) error {
		return db.Update(t.Context(), func(tx *store.Tx) error {
			tx.Wake("jobs")
			tx.Wake("jobs")
			if len(jobs) != 0 {
				t.Error("woken before the commit")
			}
			return end
		})
	}
	if err := wake(errors.New("no")); err == nil || len(jobs) != 0 {
		t.Fatalf("%v: woken for nothing", err)
	}
	if err := wake(nil); err != nil {
		t.Fatal(err)
	}
	if len(jobs) != 1 || len(timers) != 0 {
		t.Fatalf("jobs %d, timers %d; want 1, 0", len(jobs), len(timers))
	}
	<-jobs
	stop()
	if err := wake(nil); err != nil || len(jobs) != 0 {
		t.Fatalf("%v: woken after stop", err)
	}
}

// Look looks at once, again after an error, after a wake-up and when its time has come, and ends.
func TestLook(t *testing.T) {
	t.Parallel()
	db := storetest.SQLite(t)
	ctx, cancel := context.WithCancel(t.Context())
	looks, ended := make(chan int, 8), make(chan struct{})
	go func() {
		defer close(ended)
		n := 0
		db.Look(ctx, "timers", func(context.Context) (time.Duration, error) {
			n++
			looks <- n
			switch n {
			case 1:
				return 0, errors.New("the disk is away")
			case 2:
				return time.Millisecond, nil
			}
			return time.Hour, nil
		})
	}()
	for want := range 4 {
		select {
		case <-looks:
		case <-time.After(5 * time.Minute):
			t.Fatal("no look", want+1)
		}
		if want == 2 { // the third waits an hour, and no longer than Nap
			if err := db.Update(t.Context(), func(tx *store.Tx) error { tx.Wake("timers"); return nil }); err != nil {
				t.Fatal(err)
			}
		}
	}
	cancel()
	<-ended
}

func TestWakeReachesOtherNodes(t *testing.T) {
	t.Parallel()
	url := storetest.PostgresURL(t)
	here, there := storetest.Open(t, url), storetest.Open(t, url)
	wake, stop := there.Subscribe("jobs")
	defer stop()
	woken(t, wake) // it listens from here on
	other, stop := there.Subscribe("timers")
	defer stop()
	for range 3 {
		err := here.Update(t.Context(), func(tx *store.Tx) error { tx.Wake("jobs"); return nil })
		if err != nil {
			t.Fatal(err)
		}
		woken(t, wake)
	}
	if len(other) != 0 {
		t.Fatal("another topic was woken")
	}
}

func TestALostListenerWakesEverybodyWhenItIsBack(t *testing.T) {
	t.Parallel()
	db := storetest.Postgres(t)
	jobs, _ := db.Subscribe("jobs")
	timers, _ := db.Subscribe("timers")
	woken(t, jobs)
	select { // it may have subscribed before or after the listener's first round
	case <-timers:
	default:
	}
	err := db.Update(t.Context(), func(tx *store.Tx) error {
		_, err := store.Text(t.Context(), tx, `SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity
			WHERE datname = current_database() AND query LIKE 'LISTEN%'`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	woken(t, jobs)
	woken(t, timers)
}
