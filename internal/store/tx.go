package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Tx is a transaction, valid until the closure it was given to returns. It is used by one
// goroutine at a time. Its methods, one file per area, are the only SQL there is; once
// one of them has failed with anything but [ErrNotFound] the transaction cannot be saved,
// and Update undoes it even if the closure ignores the error: insert what may be there
// already with ON CONFLICT.
type Tx struct {
	db   *DB
	conn querier
	// ctx is what statements run under. The one a method is given has done its work
	// before the transaction began: a statement cut short would take the whole batch
	// with it on SQLite.
	ctx    context.Context
	now    time.Time
	hooks  []func()
	topics []string
	// facts are what Note was told.
	facts  map[string]any
	failed error
	over   bool
}

// querier is *sql.Tx, or a SQLite connection with its prepared statements.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Now is the time of this transaction in UTC with microseconds: the same at every call.
func (tx *Tx) Now() time.Time { return tx.now }

// AfterCommit has f called once the transaction is durable, before Update returns and on
// its goroutine; in the order of the calls. If the transaction is undone, f is forgotten.
func (tx *Tx) AfterCommit(f func()) { tx.hooks = append(tx.hooks, f) }

// Wake wakes the subscribers of topic, on every node, once the transaction is durable. A
// topic is a short constant word, such as "jobs".
func (tx *Tx) Wake(topic string) {
	if !slices.Contains(tx.topics, topic) {
		tx.topics = append(tx.topics, topic)
	}
}

func (tx *Tx) committed() {
	for _, topic := range tx.topics {
		tx.db.wakes.wake(topic)
	}
	for _, f := range tx.hooks {
		f()
	}
}

// exec runs a statement and gives the number of rows it changed.
func (tx *Tx) exec(_ context.Context, query string, args ...any) (int64, error) {
	if err := tx.ready(args); err != nil {
		return 0, err
	}
	res, err := tx.conn.ExecContext(tx.ctx, query, args...)
	if err != nil {
		return 0, tx.fail(query, err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return 0, tx.fail(query, err)
	}
	return n, nil
}

// one runs a query for at most one row and scans it into dest; ErrNotFound if there is
// none. Further rows are ignored.
func (tx *Tx) one(ctx context.Context, query string, args []any, dest ...any) error {
	rows, err := tx.query(ctx, query, args)
	if err != nil {
		return err
	}
	defer rows.Close()
	found := rows.Next()
	if found {
		err = rows.Scan(dest...)
	}
	// What a statement with RETURNING violates may show only at its end.
	if err := cmp.Or(err, rows.Close(), rows.Err()); err != nil {
		return tx.fail(query, err)
	}
	if !found {
		return ErrNotFound
	}
	return nil
}

// all runs a query and gives what scan makes of each row. The rows are read to their end
// before it returns: a connection can do one thing at a time.
func all[T any](ctx context.Context, tx *Tx, query string, args []any, scan func(rows *sql.Rows) (T, error)) ([]T, error) {
	rows, err := tx.query(ctx, query, args)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, tx.fail(query, err)
		}
		list = append(list, v)
	}
	if err := rows.Err(); err != nil {
		return nil, tx.fail(query, err)
	}
	return list, nil
}

func (tx *Tx) query(_ context.Context, query string, args []any) (*sql.Rows, error) {
	if err := tx.ready(args); err != nil {
		return nil, err
	}
	rows, err := tx.conn.QueryContext(tx.ctx, query, args...)
	if err != nil {
		return nil, tx.fail(query, err)
	}
	return rows, nil
}

// ready refuses a statement that cannot work.
func (tx *Tx) ready(args []any) error {
	switch {
	case tx.over:
		return errors.New("store: the transaction is over")
	case tx.failed != nil:
		return tx.failed
	case tx.ctx.Err() != nil:
		return tx.ctx.Err()
	}
	for _, arg := range args {
		var s string
		switch v := arg.(type) {
		case string:
			s = v
		case *string:
			if v != nil {
				s = *v
			}
		}
		if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
			return ErrText
		}
	}
	return nil
}

// longestKey leaves room beside it in the row of an index, which has at most 2704 bytes in PostgreSQL.
const longestKey = 2048

// fits refuses a key that the API does not bound and an index may have no room for.
func fits(key string) error {
	if len(key) > longestKey {
		return ErrText
	}
	return nil
}

// fail remembers the first error of a statement, with the statement's first line.
func (tx *Tx) fail(query string, err error) error {
	line, _, _ := strings.Cut(strings.TrimSpace(query), "\n")
	tx.failed = fmt.Errorf("store: %s: %w", line, refine(err))
	return tx.failed
}
