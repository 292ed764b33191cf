package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"

	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

func TestUpdatesOfOneRowLoseNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		if err := put(ctx, db, "n", "0"); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 25 {
					err := db.Update(ctx, func(tx *store.Tx) error {
						s, err := store.Lock(ctx, tx, "n")
						if err != nil {
							return err
						}
						n, err := strconv.Atoi(s)
						if err != nil {
							return err
						}
						return tx.PutSetting(ctx, "n", strconv.Itoa(n+1))
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		if got, err := get(ctx, db, "n"); err != nil || got != "200" {
			t.Fatalf("got %s, %v; want 200", got, err)
		}
	})
}

func TestEachRowIsClaimedOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		for i := range 50 {
			if err := put(ctx, db, fmt.Sprint(i), ""); err != nil {
				t.Fatal(err)
			}
		}
		var mu sync.Mutex
		var claimed []string
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				for {
					var key string
					err := db.Update(ctx, func(tx *store.Tx) (err error) {
						key, err = store.Claim(ctx, tx)
						return err
					})
					if errors.Is(err, store.ErrNotFound) {
						return
					}
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					claimed = append(claimed, key)
					mu.Unlock()
				}
			})
		}
		all.Wait()
		slices.Sort(claimed)
		if n := len(claimed); n != 50 || len(slices.Compact(claimed)) != 50 {
			t.Fatalf("%d claims: %v", n, claimed)
		}
	})
}

func TestADeadlockIsRunAgain(t *testing.T) {
	t.Parallel()
	db := storetest.Postgres(t)
	ctx := t.Context()
	for _, key := range []string{"a", "b"} {
		if err := put(ctx, db, key, ""); err != nil {
			t.Fatal(err)
		}
	}
	var both, all sync.WaitGroup
	both.Add(2)
	cross := func(mine, theirs string) {
		first := true
		err := db.Update(ctx, func(tx *store.Tx) error {
			if _, err := store.Lock(ctx, tx, mine); err != nil {
				return err
			}
			if first { // both hold one row and want the other
				first = false
				both.Done()
				both.Wait()
			}
			if _, err := store.Lock(ctx, tx, theirs); err != nil {
				return errors.New("a closure may hide what happened")
			}
			return tx.PutSetting(ctx, mine, "done")
		})
		if err != nil {
			t.Error(err)
		}
	}
	all.Go(func() { cross("a", "b") })
	all.Go(func() { cross("b", "a") })
	all.Wait()
	for _, key := range []string{"a", "b"} {
		if got, err := get(ctx, db, key); err != nil || got != "done" {
			t.Errorf("%s: %q, %v", key, got, err)
		}
	}
	if db.Stats().Retries == 0 {
		t.Error("nothing was retried")
	}
}

func TestNodesMayStartTogether(t *testing.T) {
	t.Parallel()
	url := storetest.EmptyPostgresURL(t)
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			db, err := store.Open(t.Context(), store.Config{URL: url})
			if err != nil {
				t.Error(err)
				return
			}
			if err := put(t.Context(), db, fmt.Sprint(i), "1"); err != nil {
				t.Error(err)
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// SQLite orders texts by their bytes, as the APIs promise; PostgreSQL does so only in
// columns that say COLLATE "C".
func TestTextsAreOrderedByTheirBytes(t *testing.T) {
	t.Parallel()
	db := storetest.Postgres(t)
	err := db.View(t.Context(), func(tx *store.Tx) error {
		found, err := store.Text(t.Context(), tx, `SELECT coalesce(string_agg(c.relname || '.' || a.attname, ', '), '')
			FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_collation l ON l.oid = a.attcollation
			WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND l.collname <> 'C'`)
		if found != "" {
			t.Errorf(`these columns need COLLATE "C": %s`, found)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What an index has no room for is the fault of the text, not of the database.
func TestAKeyThatIsTooLong(t *testing.T) {
	t.Parallel()
	if err := put(t.Context(), storetest.Postgres(t), unlike(3000), ""); !errors.Is(err, store.ErrText) {
		t.Errorf("got %v, want ErrText", err)
	}
}

func TestAStandbyIsReadAndRecognised(t *testing.T) {
	t.Parallel()
	url := storetest.PostgresURL(t)
	ctx := t.Context()
	err := storetest.Open(t, url).Update(ctx, func(tx *store.Tx) error {
		return store.Exec(ctx, tx, `DO $$ BEGIN
			EXECUTE 'ALTER DATABASE ' || current_database() || ' SET default_transaction_read_only = on';
		END $$`)
	})
	if err != nil {
		t.Fatal(err)
	}
	db := storetest.Open(t, url)
	if err := put(ctx, db, "a", "1"); !errors.Is(err, store.ErrFull) {
		t.Errorf("write: got %v, want ErrFull", err)
	}
	if _, err := get(ctx, db, "a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("read: got %v, want ErrNotFound", err)
	}
}

func TestInList(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		err := db.View(t.Context(), func(tx *store.Tx) error {
			for _, want := range [][]int64{nil, {7}, {3, 9}, {1, 2, 4, 8, 100}} {
				if got, err := store.InList(t.Context(), tx, want); err != nil || !slices.Equal(got, want) {
					t.Errorf("got %v, %v; want %v", got, err, want)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
