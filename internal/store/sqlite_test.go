package store_test

import (
	"bufio"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

func TestASQLiteFileIsOpenOnce(t *testing.T) {
	t.Parallel()
	url := storetest.SQLiteURL(t)
	first, err := store.Open(t.Context(), store.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	if db, err := store.Open(t.Context(), store.Config{URL: url}); err == nil {
		_ = db.Close()
		t.Error("opened twice")
	} else if !strings.Contains(err.Error(), fmt.Sprintf("open in another penstock (process %d)", os.Getpid())) {
		t.Errorf("unclear: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	storetest.Open(t, url)
}

// The last connection to a SQLite file removes the files beside it: if one stays open they stay, and
// with each of them its descriptors.
func TestNoConnectionIsLeftOpen(t *testing.T) {
	t.Parallel()
	url := storetest.SQLiteURL(t)
	db, err := store.Open(t.Context(), store.Config{URL: url, MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	broken := func(tx *store.Tx) error { // the transaction is over behind our back, so the connection is given up
		return errors.Join(store.Exec(t.Context(), tx, "ROLLBACK"), errors.New("undo"))
	}
	put := func(tx *store.Tx) error { return tx.PutSetting(t.Context(), "k", "v") }
	get := func(tx *store.Tx) error {
		_, err := tx.GetSetting(t.Context(), "k")
		return err
	}
	for _, update := range []func(*store.Tx) error{put, broken, put} {
		_ = db.Update(t.Context(), update)
		_ = db.View(t.Context(), broken)
		if err := errors.Join(db.View(t.Context(), get), db.View(t.Context(), get)); err != nil {
			t.Error(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		if _, err := os.Stat(strings.TrimPrefix(url, "sqlite:") + suffix); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the file %s is still there: %v", suffix, err)
		}
	}
}

// Connections cost memory, so there are as many as Views were under way at once.
func TestOneReaderNeedsOneConnection(t *testing.T) {
	t.Parallel()
	db := storetest.SQLite(t)
	get := func(tx *store.Tx) error {
		_, err := tx.CountPipelines(t.Context(), "111111111111", "eu-west-1")
		return err
	}
	for range 10 {
		if err := db.View(t.Context(), get); err != nil {
			t.Fatal(err)
		}
	}
	if n := store.Readers(db); n != 1 {
		t.Errorf("%d connections after one View after the other", n)
	}
	// Three at once, each of which waits until all have begun.
	var begun, ended sync.WaitGroup
	begun.Add(3)
	for range 3 {
		ended.Go(func() {
			if err := db.View(t.Context(), func(tx *store.Tx) error {
				begun.Done()
				begun.Wait()
				return get(tx)
			}); err != nil {
				t.Error(err)
			}
		})
	}
	ended.Wait()
	if n := store.Readers(db); n != 3 {
		t.Errorf("%d connections after three Views at once", n)
	}
}

func TestAFreshSQLiteFileIsPrivateAndMayHaveAnyName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "a b?mode=memory&x#%41;'☃.db")
	db := storetest.Open(t, "sqlite:"+path)
	if err := put(t.Context(), db, "a", "1"); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil || info.Mode().Perm() != 0o600 || !strings.HasPrefix(f.Name(), filepath.Base(path)) {
			t.Errorf("%s: %v, %v; want mode 0600 and the database's name", f.Name(), info.Mode(), err)
		}
	}
	if len(files) != 4 {
		t.Errorf("got %v; want the database, its log, its index and its lock", files)
	}
}

func TestAHalfMadeSQLiteFileIsMadeAnew(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "penstock.db")
	for _, suffix := range []string{".new", ".new-wal", ".new-shm"} {
		if err := os.WriteFile(path+suffix, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	db := storetest.Open(t, "sqlite:"+path)
	if err := put(t.Context(), db, "a", "1"); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(path + ".new*"); err != nil || len(left) != 0 {
		t.Fatalf("left: %v, %v", left, err)
	}
}

func TestSQLiteKeepsItsPromises(t *testing.T) {
	t.Parallel()
	db := storetest.SQLite(t, durable)
	ctx := t.Context()
	check := func(tx *store.Tx) error {
		for name, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"} {
			if got, err := store.Text(ctx, tx, "PRAGMA "+name); err != nil || got != want {
				t.Errorf("%s is %q, %v; want %q", name, got, err, want)
			}
		}
		return nil
	}
	if err := db.Update(ctx, check); err != nil {
		t.Fatal(err)
	}
	if err := db.View(ctx, check); err != nil {
		t.Fatal(err)
	}
}

func TestADatabaseOfANewerProgramIsRefused(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		db, err := store.Open(t.Context(), store.Config{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		err = db.Update(t.Context(), func(tx *store.Tx) error {
			return store.Exec(t.Context(), tx, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, TRUE)`)
		})
		if err := cmpErr(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		if db, err := store.Open(t.Context(), store.Config{URL: url}); err == nil {
			_ = db.Close()
			t.Fatal("opened")
		} else if !strings.Contains(err.Error(), "newer penstock (migration 99999") {
			t.Fatalf("unclear: %v", err)
		}
	})
}

func cmpErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// TestKilledWriterLosesNothingItAcknowledged kills a process that writes from several
// goroutines, some rounds on the same file: what was acknowledged is there, and the file
// is sound.
func TestKilledWriterLosesNothingItAcknowledged(t *testing.T) {
	t.Parallel()
	url := storetest.SQLiteURL(t)
	acknowledged := map[string]bool{}
	for round := range 5 {
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env = append(os.Environ(), writeTo+"="+url, writeRound+"="+strconv.Itoa(round))
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(out)
		for n := 0; ; n++ {
			line, err := lines.ReadString('\n')
			if err == io.EOF {
				break // a line without its end was not acknowledged
			}
			if err != nil {
				t.Fatal(err)
			}
			if key, ok := strings.CutPrefix(strings.TrimSpace(line), "wrote "); ok {
				acknowledged[key] = true
			}
			if n == 200+50*round {
				if err := child.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = child.Wait() // killed
		db, err := store.Open(t.Context(), store.Config{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		err = db.View(t.Context(), func(tx *store.Tx) error {
			for key := range acknowledged {
				if _, err := tx.GetSetting(t.Context(), key); err != nil {
					t.Errorf("round %d: %s: %v", round, key, err)
				}
			}
			if sound, err := store.Text(t.Context(), tx, "PRAGMA integrity_check"); err != nil || sound != "ok" {
				t.Errorf("round %d: %s, %v", round, sound, err)
			}
			return nil
		})
		if err := cmpErr(err, db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if len(acknowledged) < 1000 {
		t.Fatalf("only %d writes: the child does not write", len(acknowledged))
	}
}

// One text for two databases rests on the driver's numbering parameters as PostgreSQL
// does, and on values coming back as they went in.
func TestValuesComeBackAsTheyWentIn(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		blob := map[string]string{"sqlite": "BLOB", "postgres": "BYTEA"}[filepath.Base(t.Name())]
		err := db.Update(ctx, func(tx *store.Tx) error {
			err := store.Exec(ctx, tx, `CREATE TABLE kinds (id BIGINT PRIMARY KEY, t TEXT, n BIGINT, b `+blob+`, f BOOLEAN)`)
			if err != nil {
				return err
			}
			text, number := "z", int64(1)<<62+1
			for id, row := range [][]any{
				{"", int64(-1), []byte{}, true},
				{"a'☃", number, []byte{0, 255}, false},
				{nil, nil, nil, nil},
				{&text, &number, []byte(nil), new(true)},
				{(*string)(nil), (*int64)(nil), []byte("x"), (*bool)(nil)},
			} {
				args := append(row, int64(id))
				if err := store.Exec(ctx, tx, `INSERT INTO kinds (id, t, n, b, f) VALUES ($5, $1, $2, $3, $4)`, args...); err != nil {
					return err
				}
			}
			for id, want := range []string{
				`"" true -1 "" false true`, `"a'☃" true 4611686018427387905 "\x00\xff" false false`, `"" false 0 "" true false`,
				`"z" true 4611686018427387905 "" true true`, `"" false 0 "x" false false`,
			} {
				var s sql.NullString
				var n sql.NullInt64
				var b []byte
				var none bool // scanned into []byte, empty and NULL are the same on SQLite
				var f sql.NullBool
				err := store.One(ctx, tx, `SELECT t, n, b, b IS NULL, f FROM kinds WHERE id = $1`, []any{int64(id)}, &s, &n, &b, &none, &f)
				got := fmt.Sprintf("%q %v %d %q %v %v", s.String, s.Valid, n.Int64, b, none, f.Bool)
				if err != nil || got != want {
					t.Errorf("row %d: %s, %v; want %s", id, got, err, want)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
