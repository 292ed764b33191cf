package store

import (
	"context"
	"database/sql"
)

// Exec runs one statement in tx.
func Exec(ctx context.Context, tx *Tx, query string, args ...any) error {
	_, err := tx.exec(ctx, query, args...)
	return err
}

// Text runs a query for one text in tx.
func Text(ctx context.Context, tx *Tx, query string, args ...any) (s string, err error) {
	err = tx.one(ctx, query, args, &s)
	return s, err
}

// One is tx.one.
func One(ctx context.Context, tx *Tx, query string, args []any, dest ...any) error {
	return tx.one(ctx, query, args, dest...)
}

// InList asks which of the numbers 1 to 100 are among values.
func InList(ctx context.Context, tx *Tx, values []int64) ([]int64, error) {
	list, args := inList([]any{int64(100)}, values)
	return all(ctx, tx, `WITH RECURSIVE n (i) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < $1)
		SELECT i FROM n WHERE i IN `+list+` ORDER BY i`, args, func(rows *sql.Rows) (i int64, err error) {
		return i, rows.Scan(&i)
	})
}

// Lock reads a setting that the transaction is about to change.
func Lock(ctx context.Context, tx *Tx, key string) (value string, err error) {
	err = tx.one(ctx, `SELECT value FROM setting WHERE key = $1`+tx.forUpdate(), []any{key}, &value)
	return value, err
}

// Claim takes away a setting that nobody else is taking, ErrNotFound if there is none.
func Claim(ctx context.Context, tx *Tx) (key string, err error) {
	err = tx.one(ctx, `DELETE FROM setting WHERE key IN (SELECT key FROM setting ORDER BY key LIMIT 1`+
		tx.skipLocked()+`) RETURNING key`, nil, &key)
	return key, err
}

// SQLite says which of the two databases this is.
func (db *DB) SQLite() bool { return db.dialect == sqliteDialect }

// ForgetStates empties the cache, so that the next state comes from its rows.
func (db *DB) ForgetStates() {
	db.states.mu.Lock()
	defer db.states.mu.Unlock()
	db.states.m, db.states.size = nil, 0
}

// StatesKept counts the states in the cache and their weight.
func (db *DB) StatesKept() (n, weight int) {
	db.states.mu.Lock()
	defer db.states.mu.Unlock()
	return len(db.states.m), db.states.size
}

// Readers counts the open connections of a SQLite database that only read.
func Readers(db *DB) int { return db.backend.(*lite).views.pool.Stats().OpenConnections }
