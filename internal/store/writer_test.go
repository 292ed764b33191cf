package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// behind starts an Update that holds the writer, then the others, which wait for it in a
// bubble where "all wait" can be observed, and gives their outcomes once all have ended.
func behind(t *testing.T, db *store.DB, waiting func(), others ...func() error) []error {
	t.Helper()
	inside, release := make(chan struct{}), make(chan struct{})
	errs := make([]error, len(others)+1)
	var all sync.WaitGroup
	all.Go(func() {
		errs[len(others)] = db.Update(t.Context(), func(tx *store.Tx) error {
			close(inside)
			<-release
			return tx.PutSetting(t.Context(), "first", "1")
		})
	})
	<-inside
	for i, other := range others {
		all.Go(func() { errs[i] = other() })
	}
	synctest.Wait()
	waiting()
	synctest.Wait()
	close(release)
	all.Wait()
	return errs
}

func TestWaitingUpdatesShareOneCommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := storetest.SQLite(t)
		var others []func() error
		for i := range 100 {
			others = append(others, func() error { return put(t.Context(), db, fmt.Sprint(i), "1") })
		}
		for _, err := range behind(t, db, func() {}, others...) {
			if err != nil {
				t.Fatal(err)
			}
		}
		if got := db.Stats(); got.Commits != 1 || got.Updates != 101 {
			t.Fatalf("got %+v, want 101 updates in 1 commit", got)
		}
		for i := range 100 {
			if _, err := get(t.Context(), db, fmt.Sprint(i)); err != nil {
				t.Fatalf("update %d: %v", i, err)
			}
		}
	})
}

func TestABatchIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := storetest.SQLite(t)
		var others []func() error
		for i := range 300 {
			others = append(others, func() error { return put(t.Context(), db, fmt.Sprint(i), "1") })
		}
		behind(t, db, func() {}, others...)
		if got := db.Stats(); got.Commits != 3 || got.Updates != 301 {
			t.Fatalf("got %+v, want 301 updates in 3 commits of at most 128", got)
		}
	})
}

func TestAFailureInABatchLeavesTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := storetest.SQLite(t)
		ctx := t.Context()
		mine := errors.New("mine")
		hooks := 0
		failing := func(end func(tx *store.Tx) error) func() error {
			return func() error {
				return db.Update(ctx, func(tx *store.Tx) error {
					tx.AfterCommit(func() { hooks++ })
					if err := tx.PutSetting(ctx, "bad", "1"); err != nil {
						return err
					}
					return end(tx)
				})
			}
		}
		errs := behind(t, db, func() {},
			func() error { return put(ctx, db, "a", "1") },
			failing(func(*store.Tx) error { return mine }),
			func() error { return put(ctx, db, "b", "1") },
			failing(func(*store.Tx) error { panic("ouch") }),
			failing(func(tx *store.Tx) error {
				return store.Exec(ctx, tx, `INSERT INTO setting (key, value) VALUES ('bad', '2')`)
			}),
			func() error { return put(ctx, db, "c", "1") },
		)
		var p *store.PanicError
		if !errors.Is(errs[1], mine) || !errors.As(errs[3], &p) || !errors.Is(errs[4], store.ErrExists) {
			t.Fatalf("got %v", errs)
		}
		if got := db.Stats(); got.Commits != 1 || got.Updates != 4 || hooks != 0 {
			t.Fatalf("got %+v and %d hooks, want 4 updates in 1 commit and no hooks", got, hooks)
		}
		for _, key := range []string{"first", "a", "b", "c"} {
			if _, err := get(ctx, db, key); err != nil {
				t.Errorf("%s: %v", key, err)
			}
		}
		if _, err := get(ctx, db, "bad"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("bad: %v, want ErrNotFound", err)
		}
	})
}

func TestCancelledBeforeItsTurnIsNotRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := storetest.SQLite(t)
		ctx, cancel := context.WithCancel(t.Context())
		ran := false
		errs := behind(t, db, cancel, func() error {
			return db.Update(ctx, func(*store.Tx) error { ran = true; return nil })
		})
		if !errors.Is(errs[0], context.Canceled) || ran {
			t.Fatalf("got %v, ran %v", errs[0], ran)
		}
	})
}

// A driver once lost the transaction when its context ended in the middle; ours also
// carries the batch.
func TestCancelledInTheMiddleIsFinished(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, cancel := context.WithCancel(t.Context())
		err := db.Update(ctx, func(tx *store.Tx) error {
			if err := tx.PutSetting(ctx, "a", "1"); err != nil {
				return err
			}
			cancel()
			if _, err := tx.GetSetting(ctx, "a"); err != nil {
				return err
			}
			return tx.PutSetting(ctx, "b", "1")
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"a", "b"} {
			if _, err := get(t.Context(), db, key); err != nil {
				t.Errorf("%s: %v", key, err)
			}
		}
		if err := put(ctx, db, "c", "1"); !errors.Is(err, context.Canceled) {
			t.Fatalf("already cancelled: %v", err)
		}
	})
}

func TestACancelledViewStops(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, cancel := context.WithCancel(t.Context())
		err := db.View(ctx, func(tx *store.Tx) error {
			cancel()
			_, err := tx.GetSetting(ctx, "a")
			return err
		})
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
		if err := put(t.Context(), db, "a", "1"); err != nil {
			t.Fatal(err)
		}
		if _, err := get(t.Context(), db, "a"); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAFullDiskIsRecognisedAndPasses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := storetest.SQLite(t)
		ctx := t.Context()
		limit := func(pages int) error {
			return db.Update(ctx, func(tx *store.Tx) error {
				_, err := store.Text(ctx, tx, fmt.Sprintf(`PRAGMA max_page_count = %d`, pages))
				return err
			})
		}
		if err := limit(1); err != nil { // which is then what there is
			t.Fatal(err)
		}
		big := fmt.Sprintf("%0100000d", 1)
		if err := put(ctx, db, "big", big); !errors.Is(err, store.ErrFull) {
			t.Fatalf("alone: got %v, want ErrFull", err)
		}
		if err := limit(1); err != nil { // the connection is another one
			t.Fatal(err)
		}
		// SQLite undoes the whole transaction, so everybody in it must be told.
		errs := behind(t, db, func() {}, func() error { return put(ctx, db, "big", big) })
		for _, err := range errs {
			if !errors.Is(err, store.ErrFull) {
				t.Fatalf("in a batch: got %v, want ErrFull", errs)
			}
		}
		if _, err := get(ctx, db, "first"); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("first: %v, want ErrNotFound", err)
		}
		if err := limit(1 << 30); err != nil {
			t.Fatal(err)
		}
		if err := put(ctx, db, "big", big); err != nil {
			t.Fatalf("with room again: %v", err)
		}
	})
}
