// Package store is penstock's memory: every row it keeps, and all SQL that touches one.
//
// One SQL text serves SQLite and PostgreSQL. It uses $1..$N parameters, BIGINT
// microseconds for times (from [Tx.Now], never the database's clock), TEXT for ids and
// JSON (given as string: SQLite keeps []byte as bytes, which equal no text), BYTEA or BLOB
// for bytes, and no DEFERRABLE constraint, which would be checked when a batch of other
// people's transactions commits. The few real differences are methods in dialect.go.
//
// Work is done in closures. [DB.Update] runs one that writes: it is done entirely and
// durably, or not at all. [DB.View] runs one that reads a single snapshot. A closure may
// run more than once, so it must set results, not add to them; it must not block, do
// other I/O, or call the DB again.
package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"penstock/internal/pipeline"
	"penstock/internal/seal"
)

// Durability says when an Update is answered. It concerns SQLite only: PostgreSQL's
// administrator decides in the server's own settings.
type Durability string

const (
	// Full answers after the disk has the transaction: it survives a power cut.
	Full Durability = "full"
	// Normal answers after the operating system has it: it survives a crash of the
	// process, and a power cut may lose the last moments but never breaks the file.
	Normal Durability = "normal"
	// Off leaves all to the operating system: a power cut may break the file. For tests.
	Off Durability = "off"
)

// Config says which database to open and how.
type Config struct {
	// URL is "sqlite:PATH" or a "postgres://" or "postgresql://" URL.
	URL string
	// Clock gives the time that transactions see; nil is time.Now.
	Clock func() time.Time
	// Durability defaults to Full.
	Durability Durability
	// History is how far back history goes (S-78); 0 is the published quota.
	History time.Duration
	// MaxConns bounds the readers of SQLite or the connections to PostgreSQL; 0 chooses.
	MaxConns int
	// Keys seals what is secret. Without it such things can be neither kept nor read. Whether
	// they are the database's own is for [DB.TakeKeys] to find out.
	Keys *seal.Ring
	// Log gets the few things no caller can be told, such as a lost listening
	// connection; nil discards them.
	Log *slog.Logger
}

// DB is an open database. It is safe for concurrent use.
type DB struct {
	clock   func() time.Time
	history time.Duration
	log     *slog.Logger
	keys    *seal.Ring
	dialect dialect
	backend backend
	wakes   wakes
	stats   counters

	declarations declarationCache
	states       stateCache

	mu       sync.Mutex
	closed   bool
	inflight sync.WaitGroup
}

// backend is what differs between the two databases as a whole. Both contain a panic of
// fn as an error and finish what they began when ctx ends meanwhile.
type backend interface {
	// update runs fn in a read-write transaction and gives the Tx that was committed,
	// whose hooks the caller runs.
	update(ctx context.Context, fn func(*Tx) error) (*Tx, error)
	view(ctx context.Context, fn func(*Tx) error) (*Tx, error)
	// listen is called once, before the first subscription.
	listen()
	// full says that only what must be is to be stored.
	full() bool
	close() error
}

type counters struct{ updates, commits, retries, views atomic.Int64 }

// Stats counts what a DB has done since it was opened.
type Stats struct {
	// Updates counts Update calls that were committed, Commits the commits this took: on
	// SQLite many Updates share one.
	Updates, Commits int64
	// Retries counts transactions PostgreSQL asked to run again.
	Retries int64
	// Views counts View calls.
	Views int64
}

// Open opens the database named by cfg.URL, creating a SQLite file that is not there, and
// brings its tables up to date. It refuses a database that a newer penstock has opened,
// and a SQLite file that another process has open.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	db := &DB{clock: cfg.Clock, history: cmp.Or(cfg.History, pipeline.Limits{}.OrDefault().History), log: cfg.Log, keys: cfg.Keys}
	if db.clock == nil {
		db.clock = time.Now
	}
	if db.log == nil {
		db.log = slog.New(slog.DiscardHandler)
	}
	scheme, rest, _ := strings.Cut(cfg.URL, ":")
	var err error
	switch scheme {
	case "sqlite":
		db.dialect = sqliteDialect
		db.backend, err = openSQLite(ctx, db, rest, cfg)
	case "postgres", "postgresql":
		db.dialect = postgresDialect
		db.backend, err = openPostgres(ctx, db, cfg)
	default:
		err = errors.New(`a database is named "sqlite:PATH" or "postgres://…"`)
	}
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return db, nil
}

// Update runs fn in a transaction that may write, and answers once it is durable; then
// it has run the functions given to [Tx.AfterCommit], in their order, on the calling
// goroutine. If fn fails, its error is given back and nothing has happened. If ctx ends
// before the transaction's turn has come, fn is not run and ctx's error is given back;
// once begun, a transaction is finished whatever ctx does, so its outcome is always
// known. A panic in fn becomes a *[PanicError]. When the commit itself fails, whether it
// happened is unknown, as with every database.
func (db *DB) Update(ctx context.Context, fn func(tx *Tx) error) error {
	if err := db.enter(); err != nil {
		return err
	}
	defer db.inflight.Done()
	if err := ctx.Err(); err != nil {
		return err
	}
	tx, err := db.backend.update(ctx, intended(ctx, fn))
	if err != nil {
		return err
	}
	db.stats.updates.Add(1)
	tx.committed()
	return nil
}

// View runs fn on a read-only snapshot: everything it reads is of one moment, after every
// Update answered before View was called. It ends early when ctx does. A View inside a
// View can exhaust the connections and is a mistake.
func (db *DB) View(ctx context.Context, fn func(tx *Tx) error) error {
	if err := db.enter(); err != nil {
		return err
	}
	defer db.inflight.Done()
	if err := ctx.Err(); err != nil {
		return err
	}
	tx, err := db.backend.view(ctx, fn)
	if err != nil {
		return err
	}
	db.stats.views.Add(1)
	tx.committed()
	return nil
}

// Full says that the disk is full and that the room which is kept beside the database is in
// use: what can wait for space must be refused with [ErrFull], so that the room lasts for
// what cannot.
func (db *DB) Full() bool { return db.backend.full() }

// History is how far back history goes (S-78).
func (db *DB) History() time.Duration { return db.history }

// Stats gives the counts so far.
func (db *DB) Stats() Stats {
	return Stats{
		Updates: db.stats.updates.Load(),
		Commits: db.stats.commits.Load(),
		Retries: db.stats.retries.Load(),
		Views:   db.stats.views.Load(),
	}
}

// Close lets the transactions under way finish, refuses further ones with [ErrClosed],
// and gives back everything the DB holds. Later calls do nothing.
func (db *DB) Close() error {
	db.mu.Lock()
	was := db.closed
	db.closed = true
	db.mu.Unlock()
	if was {
		return nil
	}
	db.inflight.Wait()
	if err := db.backend.close(); err != nil {
		return fmt.Errorf("store: close: %w", err)
	}
	return nil
}

func (db *DB) enter() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return ErrClosed
	}
	db.inflight.Add(1)
	return nil
}

// now is the clock's time as the database keeps it: microseconds, UTC.
func (db *DB) now() time.Time { return time.UnixMicro(db.clock().UnixMicro()).UTC() }
