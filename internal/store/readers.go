package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"runtime"
	"sync"
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
	// places has one for each View that may be under way.
	places chan struct{}

	mu sync.Mutex
	// idle are the open connections that no View uses. The one used last is used next: it has
	// its pages and statements at hand, and connections that only a crowd needs are not opened
	// for one who comes alone.
	idle []*liteConn
}

func newReaders(db *DB, dsn string, n int) (*readers, error) {
	pool, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	if n <= 0 {
		n = max(4, 2*runtime.GOMAXPROCS(0))
	}
	return &readers{db: db, pool: pool, places: make(chan struct{}, n)}, nil
}

// take gives an open connection, or a new one; put has to follow.
func (r *readers) take(ctx context.Context) (*liteConn, error) {
	r.mu.Lock()
	if last := len(r.idle) - 1; last >= 0 {
		defer r.mu.Unlock()
		c := r.idle[last]
		r.idle = r.idle[:last]
		return c, nil
	}
	r.mu.Unlock()
	return newLiteConn(context.WithoutCancel(ctx), r.pool)
}

func (r *readers) put(c *liteConn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.idle = append(r.idle, c)
}

func (r *readers) view(ctx context.Context, fn func(*Tx) error) (*Tx, error) {
	select {
	case r.places <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-r.places }()
	c, err := r.take(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if c != nil {
			r.put(c)
		}
	}()
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
	for range cap(r.places) {
		r.places <- struct{}{}
	}
	var errs []error
	for _, c := range r.idle {
		errs = append(errs, c.close())
	}
	return errors.Join(append(errs, r.pool.Close())...)
}
