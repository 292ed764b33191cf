// Package storetest gives tests the real databases: SQLite in a file of the test's own,
// and a database of the test's own on a PostgreSQL server that the test process starts.
//
// A package that uses it for PostgreSQL has
//
//	func TestMain(m *testing.M) { storetest.Main(m) }
//
// which stops the server at the end; if the process is killed, the server goes with it.
// Without PostgreSQL on the host the tests fail, unless PENSTOCK_TEST_SQLITE_ONLY=1 says
// that SQLite is enough.
package storetest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"penstock/internal/seal"
	"penstock/internal/store"
)

// Option changes how a database is opened.
type Option func(*store.Config)

// Each runs f as two parallel subtests, "sqlite" and "postgres", each with an empty
// database that is closed when the subtest ends.
func Each(t *testing.T, f func(t *testing.T, db *store.DB), options ...Option) {
	t.Helper()
	EachURL(t, func(t *testing.T, url string) { f(t, Open(t, url, options...)) })
}

// EachURL is Each for tests that open the database themselves, perhaps several times; it
// gives them the URL of one that has its tables. SQLite can be open once at a time.
func EachURL(t *testing.T, f func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		f(t, SQLiteURL(t))
	})
	if sqliteOnly() {
		return
	}
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		f(t, PostgresURL(t))
	})
}

// SQLite gives an empty SQLite database that is closed when the test ends. It may be
// called inside a testing/synctest bubble.
func SQLite(t testing.TB, options ...Option) *store.DB {
	t.Helper()
	return Open(t, SQLiteURL(t), options...)
}

// Full opens a SQLite database, which is not open, as one whose disk is full: it takes what there is
// room for, and tells those who ask to leave that room alone.
func Full(t testing.TB, url string) *store.DB {
	t.Helper()
	// A folder in the place of the room that is kept is no such room, and stays.
	err := os.Mkdir(strings.TrimPrefix(url, "sqlite:")+".reserve", 0o700)
	if err != nil {
		t.Fatal(err)
	}
	db := Open(t, url, func(c *store.Config) { c.Durability = store.Full })
	if !db.Full() {
		t.Fatal("storetest: the database is not full")
	}
	return db
}

// Postgres gives an empty PostgreSQL database that is closed when the test ends.
func Postgres(t testing.TB, options ...Option) *store.DB {
	t.Helper()
	return Open(t, PostgresURL(t), options...)
}

// Keys are the master keys of tests' databases: the same for all.
var Keys = sync.OnceValue(func() *seal.Ring {
	ring, err := seal.Parse([]byte("cGVuc3RvY2sncyB0ZXN0cyBrZWVwIG5vIHNlY3JldHM="))
	if err != nil {
		panic(err)
	}
	return ring
})

// Open opens url for the length of the test.
func Open(t testing.TB, url string, options ...Option) *store.DB {
	t.Helper()
	// The disk's promise is for tests about it; the others need not wait for it.
	cfg := store.Config{URL: url, Durability: store.Off, MaxConns: 8, Keys: Keys()}
	for _, option := range options {
		option(&cfg)
	}
	db, err := store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// SQLiteURL names a SQLite file with all tables, in a folder of the test's own.
func SQLiteURL(t testing.TB) string {
	t.Helper()
	empty, err := template()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "penstock.db")
	if err := os.WriteFile(path, empty, 0o600); err != nil {
		t.Fatal(err)
	}
	return "sqlite:" + path
}

// template is the content of an empty SQLite database, made once.
var template = sync.OnceValues(func() (_ []byte, err error) {
	dir, err := os.MkdirTemp("", "penstock-sqlite-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "template.db")
	db, err := store.Open(context.Background(), store.Config{URL: "sqlite:" + path})
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil { // all is in the one file then
		return nil, err
	}
	return os.ReadFile(path)
})

func sqliteOnly() bool { return os.Getenv("PENSTOCK_TEST_SQLITE_ONLY") == "1" }

// Main runs a package's tests, then stops the PostgreSQL server if they started one, runs
// the checks, and exits. It is called by TestMain.
func Main(m *testing.M, checks ...func() error) {
	if sqliteOnly() {
		fmt.Println("storetest: PENSTOCK_TEST_SQLITE_ONLY=1: nothing is tested on PostgreSQL")
	}
	code := m.Run()
	for _, check := range append([]func() error{stop}, checks...) {
		if err := check(); err != nil {
			fmt.Fprintln(os.Stderr, "storetest:", err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}
