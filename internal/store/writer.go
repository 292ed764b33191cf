package store

import (
	"context"
	"database/sql"
	"fmt"
	"runtime"
	"time"

	"penstock/internal/mishap"
)

const (
	// maxBatch bounds the transactions that share a commit, maxBatchTime the time the
	// first of them may have to wait for the others: far more than the fsync it saves.
	maxBatch     = 128
	maxBatchTime = 5 * time.Millisecond
)

// writer runs all Updates on SQLite, one after the other on one connection, and commits
// those together that were waiting when one was done: one fsync for all of them. SQLite
// lets one connection write at a time, and its own queue for the others is unfair by
// seconds.
//
// A closure runs on its caller's goroutine, when its turn comes; so what it does to its
// goroutine (panic, FailNow) is its caller's business and the writer goes on.
type writer struct {
	db   *DB
	pool *sql.DB
	ctx  context.Context
	// conn is nil when the last one was discarded.
	conn *liteConn

	// queue is unbuffered: who is in it can still leave, being cancelled.
	queue   chan *request
	quit    chan struct{}
	stopped chan struct{}
}

// request is an Update: turn, then ran, then answer, each used once. If answer comes
// without a turn, the closure was not run.
type request struct {
	turn   chan *Tx
	ran    chan error
	answer chan error
}

func (w *writer) start() {
	w.queue, w.quit, w.stopped = make(chan *request), make(chan struct{}), make(chan struct{})
	go w.run()
}

func (w *writer) update(ctx context.Context, fn func(*Tx) error) (*Tx, error) {
	r := &request{turn: make(chan *Tx), ran: make(chan error), answer: make(chan error, 1)}
	select {
	case w.queue <- r:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	var tx *Tx
	select {
	case tx = <-r.turn:
	case err := <-r.answer:
		return nil, err
	}
	r.run(fn, tx)
	if err := <-r.answer; err != nil {
		return nil, err
	}
	return tx, nil
}

// run tells the writer what came of fn even if fn ends the goroutine.
func (r *request) run(fn func(*Tx) error, tx *Tx) {
	err := errAbandoned
	defer func() { r.ran <- err }()
	err = protect(fn, tx)
}

func (w *writer) run() {
	defer close(w.stopped)
	for {
		select {
		case r := <-w.queue:
			w.batch(r)
		case <-w.quit:
			return
		}
	}
}

// outcome is what a request in the batch is answered if the batch is committed.
type outcome struct {
	r   *request
	err error
}

// batch runs r and those waiting after it, commits once, and then answers them all:
// also those that failed, because what they saw may have been their neighbours' work.
func (w *writer) batch(r *request) {
	if err := w.begin(); err != nil {
		r.answer <- refine(err)
		return
	}
	err := w.turn(r)
	if err != nil { // nothing else is in the transaction
		w.rollback()
		r.answer <- err
		return
	}
	outcomes := []outcome{{r, nil}}
	for started := time.Now(); len(outcomes) < maxBatch && time.Since(started) < maxBatchTime; {
		if r = w.next(); r == nil {
			break
		}
		var lost error
		err, lost = w.nested(r)
		outcomes = append(outcomes, outcome{r, err})
		if lost != nil {
			w.abandon(outcomes, lost)
			return
		}
	}
	mishap.At(mishap.StoreCommit)
	if err := w.conn.do(w.ctx, "COMMIT"); err != nil {
		w.abandon(outcomes, err)
		return
	}
	mishap.At(mishap.StoreCommitted)
	w.db.stats.commits.Add(1)
	for _, o := range outcomes {
		o.r.answer <- o.err
	}
}

// next gives a request that is waiting now, or nil. It lets others run before it finds
// that nobody waits: those answered a moment ago may be about to ask again, and a third
// more of them in each commit was measured to be had for a microsecond.
func (w *writer) next() *request {
	for range 2 {
		select {
		case r := <-w.queue:
			return r
		default:
			runtime.Gosched()
		}
	}
	return nil
}

func (w *writer) begin() error {
	if w.conn == nil {
		conn, err := newLiteConn(w.ctx, w.pool)
		if err != nil {
			return err
		}
		w.conn = conn
	}
	return w.conn.do(w.ctx, "BEGIN IMMEDIATE")
}

// turn lets r's closure run and gives what came of it.
func (w *writer) turn(r *request) error {
	r.turn <- &Tx{db: w.db, conn: w.conn, ctx: w.ctx, now: w.db.now()}
	return <-r.ran
}

// nested is turn inside a savepoint, so that a failure undoes r's work alone; lost tells
// that this did not succeed and the batch is gone: a full disk, for one, makes SQLite
// undo everything.
func (w *writer) nested(r *request) (err, lost error) {
	if err := w.conn.do(w.ctx, "SAVEPOINT one"); err != nil {
		return nil, err
	}
	if err = w.turn(r); err != nil {
		if w.conn.do(w.ctx, "ROLLBACK TO one") != nil {
			return err, err
		}
	}
	return err, w.conn.do(w.ctx, "RELEASE one")
}

// abandon undoes the batch because of cause and tells everybody in it.
func (w *writer) abandon(outcomes []outcome, cause error) {
	w.rollback()
	err := fmt.Errorf("store: commit: %w", refine(cause))
	for _, o := range outcomes {
		o.r.answer <- err
	}
}

// rollback ends the transaction, with the connection if need be.
func (w *writer) rollback() {
	if w.conn.do(w.ctx, "ROLLBACK") != nil {
		w.conn.discard()
		w.conn = nil
	}
}

// close is called when no Update is under way.
func (w *writer) close() error {
	if w.quit != nil {
		close(w.quit)
		<-w.stopped
	}
	if w.conn != nil {
		_ = w.conn.close()
	}
	return w.pool.Close()
}
