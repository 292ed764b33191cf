package store

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"penstock/internal/fault"
)

var (
	// ErrNotFound says that the row asked for does not exist.
	ErrNotFound = errors.New("store: not found")
	// ErrExists says that a row with the same key exists already.
	ErrExists = errors.New("store: exists already")
	// ErrFull says that the database cannot take writes now, because its disk is full or
	// it is read-only; reads still work.
	ErrFull = fmt.Errorf("store: the database cannot be written to: %w", fault.ErrFull)
	// ErrText says that a text holds a NUL, is not UTF-8 or is too long a key, which PostgreSQL
	// cannot keep; SQLite could, and must not differ.
	ErrText = fmt.Errorf("store: %w", fault.ErrText)
	// ErrClosed says that the DB was closed.
	ErrClosed = errors.New("store: closed")
)

// errAbandoned is the outcome of a closure that ended its goroutine (as testing's FailNow
// does) instead of returning.
var errAbandoned = errors.New("store: the transaction's goroutine ended")

// PanicError is the outcome of an Update or View whose closure panicked.
type PanicError struct {
	// Value is what was given to panic.
	Value any
	// Stack is where, as runtime/debug.Stack writes it.
	Stack []byte
}

// Error shows the value and the stack.
func (e *PanicError) Error() string {
	return fmt.Sprintf("store: panic in a transaction: %v\n%s", e.Value, e.Stack)
}

// protect runs fn and gives a panic back as an error. A statement that failed decides
// whatever fn says: PostgreSQL would refuse to commit, so SQLite does too.
func protect(fn func(*Tx) error, tx *Tx) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
		tx.over = true
	}()
	if err = fn(tx); err == nil {
		err = tx.failed
	}
	return err
}

// refine adds the sentinel that callers look for to a database's error.
func refine(err error) error {
	var kind error
	var lite *sqlite.Error
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &lite):
		switch {
		case lite.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE, lite.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY,
			lite.Code() == sqlite3.SQLITE_CONSTRAINT_ROWID:
			kind = ErrExists
		case lite.Code()&0xff == sqlite3.SQLITE_FULL, lite.Code()&0xff == sqlite3.SQLITE_READONLY,
			// A quota, and no room for the index of the write-ahead log.
			lite.Code() == sqlite3.SQLITE_IOERR_WRITE, lite.Code() == sqlite3.SQLITE_IOERR_SHMSIZE:
			kind = ErrFull
		}
	case errors.As(err, &pg):
		switch pg.Code {
		case "23505": // unique_violation
			kind = ErrExists
		case "54000": // program_limit_exceeded: an index has no room for the key
			kind = ErrText
		case "53100", "25006": // disk_full; read_only_sql_transaction: a standby
			kind = ErrFull
		}
	}
	if kind == nil {
		return err
	}
	return fmt.Errorf("%w: %w", kind, err)
}

// mustRetry says that PostgreSQL undid a transaction for the sake of another one:
// serialization_failure, deadlock_detected.
func mustRetry(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01")
}
