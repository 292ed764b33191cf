package store_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// put keeps a setting in a transaction of its own.
func put(ctx context.Context, db *store.DB, key, value string) error {
	return db.Update(ctx, func(tx *store.Tx) error { return tx.PutSetting(ctx, key, value) })
}

// get reads a setting in a view of its own.
func get(ctx context.Context, db *store.DB, key string) (value string, err error) {
	err = db.View(ctx, func(tx *store.Tx) error {
		value, err = tx.GetSetting(ctx, key)
		return err
	})
	return value, err
}

func TestSettingsAreKeptAndReplaced(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		if _, err := get(ctx, db, "colour"); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("before: %v, want ErrNotFound", err)
		}
		for _, value := range []string{"red", "", "blue ☃"} {
			if err := put(ctx, db, "colour", value); err != nil {
				t.Fatal(err)
			}
			if got, err := get(ctx, db, "colour"); err != nil || got != value {
				t.Fatalf("got %q, %v; want %q", got, err, value)
			}
		}
	})
}

func TestAFailedUpdateLeavesNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		mine := errors.New("mine")
		hooked := false
		err := db.Update(ctx, func(tx *store.Tx) error {
			tx.AfterCommit(func() { hooked = true })
			return errors.Join(tx.PutSetting(ctx, "a", "1"), mine)
		})
		if !errors.Is(err, mine) {
			t.Fatalf("got %v, want the closure's own error", err)
		}
		if _, err := get(ctx, db, "a"); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("after: %v, want ErrNotFound", err)
		}
		if hooked {
			t.Fatal("AfterCommit was called without a commit")
		}
	})
}

func TestAPanicIsAnErrorOfItsCaller(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		err := db.Update(ctx, func(tx *store.Tx) error {
			if err := tx.PutSetting(ctx, "a", "1"); err != nil {
				return err
			}
			panic("ouch")
		})
		var p *store.PanicError
		if !errors.As(err, &p) || p.Value != "ouch" || !strings.Contains(err.Error(), "store_test.go") {
			t.Fatalf("got %v, want the panic with its place", err)
		}
		if err := db.View(ctx, func(*store.Tx) error { panic(1) }); !errors.As(err, &p) {
			t.Fatalf("view: got %v, want the panic", err)
		}
		if _, err := get(ctx, db, "a"); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("after: %v, want ErrNotFound", err)
		}
		if err := put(ctx, db, "b", "2"); err != nil {
			t.Fatalf("the next update: %v", err)
		}
	})
}

func TestAClosureMayEndItsGoroutine(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = db.Update(ctx, func(tx *store.Tx) error {
				_ = tx.PutSetting(ctx, "a", "1")
				runtime.Goexit()
				return nil
			})
		}()
		<-done
		if err := put(ctx, db, "b", "2"); err != nil {
			t.Fatal(err)
		}
		if _, err := get(ctx, db, "a"); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("after: %v, want ErrNotFound", err)
		}
	})
}

func TestAViewCannotWrite(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		err := db.View(ctx, func(tx *store.Tx) error { return tx.PutSetting(ctx, "a", "1") })
		if err == nil {
			t.Fatal("a view wrote")
		}
	})
}

func TestAViewIsOfOneMoment(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		if err := put(ctx, db, "a", "old"); err != nil {
			t.Fatal(err)
		}
		err := db.View(ctx, func(tx *store.Tx) error {
			for range 2 {
				if got, err := tx.GetSetting(ctx, "a"); err != nil || got != "old" {
					t.Errorf("in the view: %q, %v; want old", got, err)
				}
				if err := put(ctx, db, "a", "new"); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := get(ctx, db, "a"); err != nil || got != "new" {
			t.Fatalf("after the view: %q, %v; want new", got, err)
		}
	})
}

func TestHooksRunInOrderAfterTheCommit(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		var order []int
		err := db.Update(ctx, func(tx *store.Tx) error {
			order = nil
			for i := range 5 {
				tx.AfterCommit(func() {
					order = append(order, i)
					if _, err := get(ctx, db, "a"); err != nil {
						t.Errorf("hook %d ran before the commit: %v", i, err)
					}
				})
			}
			return tx.PutSetting(ctx, "a", "1")
		})
		if err != nil || !slices.Equal(order, []int{0, 1, 2, 3, 4}) {
			t.Fatalf("order %v, %v", order, err)
		}
	})
}

func TestTimeStandsStillInATransaction(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 2, 3, 4, 5, 678901234, time.FixedZone("", 3600))
	clock := func() time.Time { now = now.Add(time.Second); return now }
	db := storetest.SQLite(t, func(c *store.Config) { c.Clock = clock })
	err := db.Update(t.Context(), func(tx *store.Tx) error {
		want := time.Date(2030, 1, 2, 2, 4, 6, 678901000, time.UTC)
		for range 2 {
			if got := tx.Now(); got != want {
				t.Errorf("got %v, want %v", got, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAnIgnoredFailureUndoesTheTransaction(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		err := db.Update(ctx, func(tx *store.Tx) error {
			_ = tx.PutSetting(ctx, "a", "1")
			_ = store.Exec(ctx, tx, `INSERT INTO setting (key, value) VALUES ($1, $2)`, "a", "2")
			_ = tx.PutSetting(ctx, "b", "1")
			return nil
		})
		if !errors.Is(err, store.ErrExists) {
			t.Fatalf("got %v, want ErrExists", err)
		}
		if _, err := get(ctx, db, "a"); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("after: %v, want ErrNotFound", err)
		}
	})
}

// unlike is a text of n characters that no database can shorten.
func unlike(n int) string {
	random := rand.New(rand.NewPCG(1, 2))
	text := make([]byte, n)
	for i := range text {
		text[i] = byte('0' + random.IntN(64))
	}
	return string(text)
}

func TestTextThatOnlyOneDatabaseCouldKeepIsRefused(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for _, text := range []string{"a\x00b", "\xff"} {
			if err := put(t.Context(), db, "k", text); !errors.Is(err, store.ErrText) {
				t.Errorf("%q: got %v, want ErrText", text, err)
			}
		}
		// A key that PostgreSQL's indexes have no room for.
		long := unlike(3000)
		for what, add := range map[string]func(tx *store.Tx) error{
			"source": func(tx *store.Tx) error {
				return tx.PutSources(t.Context(), "p", []store.Source{{PipelineID: "p", Action: "a", Resource: "arn:aws:s3:::bucket/" + long}})
			},
			"build": func(tx *store.Tx) error {
				return tx.AddCodeBuildBuild(t.Context(), store.CodeBuildBuild{Account: "1", Region: "r", ID: "b", Token: long, Doc: "{}"})
			},
		} {
			if err := db.Update(t.Context(), add); !errors.Is(err, store.ErrText) {
				t.Errorf("%s: got %v, want ErrText", what, err)
			}
		}
	})
}

func TestATransactionThatIsOverRefuses(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		var kept *store.Tx
		if err := db.Update(t.Context(), func(tx *store.Tx) error { kept = tx; return nil }); err != nil {
			t.Fatal(err)
		}
		if err := kept.PutSetting(t.Context(), "a", "1"); err == nil {
			t.Fatal("it wrote")
		}
	})
}

func TestCloseWaitsAndThenRefuses(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		ctx := t.Context()
		db, err := store.Open(ctx, store.Config{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		inside, outcome := make(chan struct{}), make(chan error, 1)
		go func() {
			outcome <- db.Update(ctx, func(tx *store.Tx) error {
				close(inside)
				return tx.PutSetting(ctx, "a", "1")
			})
		}()
		<-inside
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-outcome; err != nil {
			t.Fatalf("the update under way: %v", err)
		}
		if err := put(ctx, db, "b", "1"); !errors.Is(err, store.ErrClosed) {
			t.Fatalf("after: %v, want ErrClosed", err)
		}
		if err := db.Close(); err != nil {
			t.Fatalf("again: %v", err)
		}
		if got, err := get(ctx, storetest.Open(t, url), "a"); err != nil || got != "1" {
			t.Fatalf("opened again: %q, %v", got, err)
		}
	})
}

func TestOpenRefusals(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, url := range map[string]string{
		"no scheme": "penstock.db", "no path": "sqlite:", "memory": "sqlite::memory:", "another kind": "mysql://x",
		"no folder": "sqlite:" + filepath.Join(dir, "none", "x.db"), "a folder": "sqlite:" + dir,
		"nobody there": "postgres://user:hush@127.0.0.1:1/x", "not a URL": "postgres://user:hush@%/",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, err := store.Open(t.Context(), store.Config{URL: url})
			if err == nil {
				_ = db.Close()
				t.Fatal("opened")
			}
			if strings.Contains(err.Error(), "hush") {
				t.Fatalf("the password is shown: %v", err)
			}
		})
	}
}
