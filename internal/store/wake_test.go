package store_test

import (
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
