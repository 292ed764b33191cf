package store

import (
	"context"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// channel is the one notifications go through; their payload is the
	// sending node and the topic.
	channel = "penstock"
	// listenIdle is how long a quiet connection is believed to be alive.
	listenIdle = 30 * time.Second
)

// listener hears on one connection what other nodes' transactions wake.
type listener struct {
	db     *DB
	config *pgx.ConnConfig
	node   string
	cancel context.CancelFunc
	done   chan struct{}
}

func listen(db *DB, config *pgx.ConnConfig, node string) *listener {
	ctx, cancel := context.WithCancel(context.Background())
	l := &listener{db: db, config: config, node: node, cancel: cancel, done: make(chan struct{})}
	go l.run(ctx)
	return l
}

func (l *listener) run(ctx context.Context) {
	defer close(l.done)
	for pause := time.Duration(0); ; {
		began := time.Now()
		err := l.session(ctx)
		if ctx.Err() != nil {
			return
		}
		l.db.log.Warn("store: the connection that listens was lost", "err", err)
		if time.Since(began) > time.Minute {
			pause = 0
		}
		pause = min(5*time.Second, max(100*time.Millisecond, 2*pause))
		timer := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// session listens until the connection fails.
func (l *listener) session(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, l.config)
	if err != nil {
		return err
	}
	defer func() {
		bye, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = conn.Close(bye)
	}()
	if err := within(ctx, pgTimeout, func(ctx context.Context) error {
		_, err := conn.Exec(ctx, "LISTEN "+channel)
		return err
	}); err != nil {
		return err
	}
	l.db.wakes.wakeAll()
	for {
		var payload string
		err := within(ctx, listenIdle, func(ctx context.Context) error {
			n, err := conn.WaitForNotification(ctx)
			if err == nil {
				payload = n.Payload
			}
			return err
		})
		switch {
		case err == nil:
			// Those of this node were woken at the commit.
			if node, topic, _ := strings.Cut(payload, " "); node != l.node {
				l.db.wakes.wake(topic)
			}
		case ctx.Err() != nil || conn.IsClosed():
			return err
		default:
			if err := within(ctx, pgTimeout, conn.Ping); err != nil {
				return err
			}
		}
	}
}

func within(ctx context.Context, d time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return f(ctx)
}

func (l *listener) close() {
	l.cancel()
	<-l.done
}
