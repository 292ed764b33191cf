package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"runtime"
)

// maxStatements bounds the statements a connection keeps prepared: more than the program
// has, so it matters only if somebody builds them from values, which inList does.
const maxStatements = 512

// liteConn is one connection and the statements prepared on it. Parsing costs more than
// most of our statements' work.
type liteConn struct {
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
}

func newLiteConn(ctx context.Context, pool *sql.DB) (*liteConn, error) {
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &liteConn{conn: conn, stmts: map[string]*sql.Stmt{}}, nil
}

func (c *liteConn) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := c.stmts[query]; ok {
		return s, nil
	}
	s, err := c.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if len(c.stmts) >= maxStatements {
		for q, old := range c.stmts { // any one
			_ = old.Close()
			delete(c.stmts, q)
			break
		}
	}
	c.stmts[query] = s
	return s, nil
}

// ExecContext is sql.Conn's, with the statement kept prepared and never interrupted: an
// interrupted write would undo the whole batch, and watching ctx costs a goroutine for
// each statement. The Tx looks at ctx between statements, which are short.
func (c *liteConn) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	ctx = context.WithoutCancel(ctx)
	s, err := c.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}

// QueryContext is to sql.Conn's what ExecContext is.
func (c *liteConn) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	ctx = context.WithoutCancel(ctx)
	s, err := c.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

func (c *liteConn) do(ctx context.Context, statement string) error {
	_, err := c.ExecContext(ctx, statement)
	return err
}

// discard closes a connection whose state is not known.
func (c *liteConn) discard() {
	c.finish()
	_ = c.conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = c.conn.Close()
}

// close gives the connection back to its pool, which is to be closed.
func (c *liteConn) close() error {
	c.finish()
	return c.conn.Close()
}

// finish closes the statements: nobody else knows of those that were prepared on a connection, and
// SQLite keeps one with its files open until its statements are.
func (c *liteConn) finish() {
	for _, s := range c.stmts {
		_ = s.Close()
	}
	clear(c.stmts)
}

// readers runs Views on SQLite, on connections that cannot write.
type readers struct {
	db   *DB
	pool *sql.DB
	// slots has a nil for each connection that may still be opened.
	slots chan *liteConn
}

func newReaders(db *DB, dsn string, n int) (*readers, error) {
	pool, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	if n <= 0 {
		n = max(4, 2*runtime.GOMAXPROCS(0))
	}
	r := &readers{db: db, pool: pool, slots: make(chan *liteConn, n)}
	for range n {
		r.slots <- nil
	}
	return r, nil
}

func (r *readers) view(ctx context.Context, fn func(*Tx) error) (_ *Tx, err error) {
	var c *liteConn
	select {
	case c = <-r.slots:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { r.slots <- c }()
	if c == nil {
		if c, err = newLiteConn(context.WithoutCancel(ctx), r.pool); err != nil {
			return nil, err
		}
	}
	if err := c.do(ctx, "BEGIN"); err != nil {
		return nil, refine(err)
	}
	defer func() {
		if c.do(ctx, "ROLLBACK") != nil {
			c.discard()
			c = nil
		}
	}()
	tx := &Tx{db: r.db, conn: c, ctx: ctx, now: r.db.now()}
	return tx, protect(fn, tx)
}

// close waits for the views under way.
func (r *readers) close() error {
	var errs []error
	for range cap(r.slots) {
		if c := <-r.slots; c != nil {
			errs = append(errs, c.close())
		}
	}
	return errors.Join(append(errs, r.pool.Close())...)
}
