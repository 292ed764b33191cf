package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"penstock/internal/mishap"
)

const (
	// pgTimeout bounds a transaction: a server that has stopped answering must not hold
	// its callers for ever.
	pgTimeout = 30 * time.Second
	// pgAttempts bounds how often a transaction is run again that PostgreSQL undid for
	// the sake of another one.
	pgAttempts = 10
	// pgLock is the advisory lock under which one node brings the tables up to date.
	pgLock = 7_788_000_001
)

// pg is the PostgreSQL backend.
type pg struct {
	db     *DB
	config *pgx.ConnConfig
	// node marks this node's own notifications.
	node     string
	pool     *sql.DB
	listener *listener
}

func openPostgres(ctx context.Context, db *DB, cfg Config) (*pg, error) {
	config, err := pgx.ParseConfig(cfg.URL)
	if err != nil {
		return nil, err
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 10 * time.Second
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "penstock"
	}
	n := cfg.MaxConns
	if n <= 0 {
		n = 20
	}
	p := &pg{db: db, config: config, node: rand.Text(), pool: stdlib.OpenDB(*config, stdlib.OptionAfterConnect(bound))}
	p.pool.SetMaxOpenConns(n)
	p.pool.SetMaxIdleConns(n)
	p.pool.SetConnMaxIdleTime(5 * time.Minute)
	p.pool.SetConnMaxLifetime(time.Hour)
	if err := p.migrate(ctx); err != nil {
		return nil, errors.Join(err, p.pool.Close())
	}
	return p, nil
}

// bound has PostgreSQL give up a transaction whose node is cut off: its locks would be
// held until the network notices. (As a parameter of the connection, poolers refuse it.)
func bound(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, "SET idle_in_transaction_session_timeout = '60s'")
	return err
}

// migrate holds a lock of a transaction while other connections do the work: one of a
// session is lost behind a pooler.
func (p *pg) migrate(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, p.config.Copy())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	// It is idle for as long as the migrations take.
	for _, statement := range []string{
		"BEGIN", "SET LOCAL idle_in_transaction_session_timeout = 0",
		fmt.Sprintf("SELECT pg_advisory_xact_lock(%d)", int64(pgLock)),
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return migrate(ctx, p.pool, postgresDialect)
}

func (p *pg) update(ctx context.Context, fn func(*Tx) error) (*Tx, error) {
	for attempt := 1; ; attempt++ {
		tx, err := p.once(context.WithoutCancel(ctx), fn, nil)
		if err == nil {
			p.db.stats.commits.Add(1)
			return tx, nil
		}
		// What PostgreSQL said counts, whatever fn made of it.
		if attempt == pgAttempts || !mustRetry(err) && (tx == nil || !mustRetry(tx.failed)) {
			return nil, err
		}
		p.db.stats.retries.Add(1)
		// 1 ms, doubled up to 128 ms, less a random part so that two do not meet again.
		pause := time.NewTimer(time.Millisecond << min(attempt-1, 7) * time.Duration(1+mrand.IntN(100)) / 100)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return nil, ctx.Err()
		}
	}
}

func (p *pg) view(ctx context.Context, fn func(*Tx) error) (*Tx, error) {
	return p.once(ctx, fn, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
}

// once runs fn in a transaction, read committed unless options say otherwise: row locks
// give the order where order matters. The Tx comes also with an error.
func (p *pg) once(ctx context.Context, fn func(*Tx) error, options *sql.TxOptions) (*Tx, error) {
	ctx, cancel := context.WithTimeout(ctx, pgTimeout)
	defer cancel()
	conn, err := p.pool.BeginTx(ctx, options)
	if err != nil {
		return nil, refine(err)
	}
	defer conn.Rollback() // does nothing after a commit
	tx := &Tx{db: p.db, conn: conn, ctx: ctx, now: p.db.now()}
	if err := protect(fn, tx); err != nil {
		return tx, err
	}
	// In the transaction: nobody is woken for what does not happen.
	for _, topic := range tx.topics {
		if _, err := conn.ExecContext(ctx, "SELECT pg_notify($1, $2)", channel, p.node+" "+topic); err != nil {
			return tx, refine(err)
		}
	}
	if options == nil {
		mishap.At(mishap.StoreCommit)
	}
	if err := conn.Commit(); err != nil {
		return tx, fmt.Errorf("store: commit: %w", refine(err))
	}
	if options == nil {
		mishap.At(mishap.StoreCommitted)
	}
	return tx, nil
}

// listen starts listening in the background; until it does, and whenever it could have
// missed something, everybody is woken.
func (p *pg) listen() { p.listener = listen(p.db, p.config.Copy(), p.node) }

// full is for PostgreSQL's administrator to watch.
func (p *pg) full() bool { return false }

func (p *pg) close() error {
	if p.listener != nil {
		p.listener.close()
	}
	return p.pool.Close()
}
