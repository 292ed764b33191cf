package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// Delivery is something that waits to be handed to somebody outside: an event for a rule's
// target, a message for a subscriber.
type Delivery struct {
	// Queue names those who deliver it.
	Queue string
	// ID tells it from all others of its queue: what is put in twice is delivered once, as
	// long as it waits.
	ID string
	// Lane orders: of a lane one after the other is delivered, in the order they were put in.
	Lane string
	// Target is who gets it. All lanes of a target are held back together when it is slow.
	Target string
	// Created is when it was put in. Doc is what the queue keeps of it.
	Created time.Time
	Doc     string

	// Seq, Fence and Attempts belong to a claimed delivery: Attempts counts the failed ones.
	Seq, Fence int64
	Attempts   int
}

// TopicDelivery is woken when a queue has something new.
func TopicDelivery(queue string) string { return "delivery." + queue }

// InsertDelivery puts a delivery at the end of its lane.
func (tx *Tx) InsertDelivery(ctx context.Context, d Delivery) error {
	n, err := tx.exec(ctx, `INSERT INTO delivery (queue, lane, id, created, doc) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (queue, id) DO NOTHING`,
		d.Queue, d.Lane, d.ID, micros(tx.Now()), d.Doc)
	if err != nil || n == 0 {
		return err
	}
	tx.Wake(TopicDelivery(d.Queue))
	// The lane's row is what all who change a lane lock.
	_, err = tx.exec(ctx, `INSERT INTO delivery_lane (queue, lane, target, due, held, fence, attempts, pending) VALUES ($1, $2, $3, $4, 0, 0, 0, 1)
		ON CONFLICT (queue, lane) DO UPDATE SET pending = delivery_lane.pending + 1`, d.Queue, d.Lane, d.Target, micros(tx.Now()))
	return err
}

// isFresh is a lane that nobody tried and nobody holds, and so is due, and that is not due yet:
// the clock was set back.
const isFresh = `due > $2 AND attempts = 0 AND held = 0`

// ClaimDeliveries takes the first of each lane that is due, at most limit, but none for the
// busy targets. A lane that is neither finished nor put off is due again after the lease.
func (tx *Tx) ClaimDeliveries(ctx context.Context, queue string, busy []string, limit int, lease time.Duration) ([]Delivery, error) {
	now := tx.Now()
	except, args := "", []any{queue, micros(now), limit}
	if len(busy) > 0 {
		var names string
		names, args = inList(args, busy)
		except = ` AND target NOT IN ` + names
	}
	var lanes []Delivery
	for _, when := range []string{`due <= $2`, isFresh} {
		args[2] = limit - len(lanes)
		found, err := all(ctx, tx, `SELECT lane, target, fence, attempts FROM delivery_lane WHERE queue = $1 AND `+when+except+`
			ORDER BY due LIMIT $3`+tx.skipLocked(), args, func(rows *sql.Rows) (d Delivery, err error) {
			return d, rows.Scan(&d.Lane, &d.Target, &d.Fence, &d.Attempts)
		})
		if err != nil {
			return nil, err
		}
		if lanes = append(lanes, found...); len(lanes) == limit {
			break
		}
	}
	for i := range lanes {
		d := &lanes[i]
		d.Queue, d.Fence = queue, d.Fence+1
		if _, err := tx.exec(ctx, `UPDATE delivery_lane SET due = $3, held = 1, fence = $4 WHERE queue = $1 AND lane = $2`,
			queue, d.Lane, micros(now.Add(lease)), d.Fence); err != nil {
			return nil, err
		}
		var created int64
		if err := tx.one(ctx, `SELECT seq, id, created, doc FROM delivery WHERE queue = $1 AND lane = $2 ORDER BY seq LIMIT 1`,
			[]any{queue, d.Lane}, &d.Seq, &d.ID, &created, &d.Doc); err != nil {
			return nil, err
		}
		d.Created = fromMicros(created)
	}
	return lanes, nil
}

// NextDeliveryAt gives when the first lane of a queue is due that is not for a busy target;
// the zero time if none is.
func (tx *Tx) NextDeliveryAt(ctx context.Context, queue string, busy []string) (time.Time, error) {
	except, args := "", []any{queue}
	if len(busy) > 0 {
		var names string
		names, args = inList(args, busy)
		except = ` AND target NOT IN ` + names
	}
	var at int64
	if err := tx.one(ctx, `SELECT COALESCE(MIN(due), 0) FROM delivery_lane WHERE queue = $1`+except, args, &at); err != nil || at <= micros(tx.Now()) {
		return fromMicros(at), err
	}
	except, args = "", []any{queue, micros(tx.Now())}
	if len(busy) > 0 {
		var names string
		names, args = inList(args, busy)
		except = ` AND target NOT IN ` + names
	}
	var one int
	err := tx.one(ctx, `SELECT 1 FROM delivery_lane WHERE queue = $1 AND `+isFresh+except+` LIMIT 1`, args, &one)
	if errors.Is(err, ErrNotFound) {
		return fromMicros(at), nil
	}
	return tx.Now(), err
}

// FinishDelivery removes a claimed delivery, done or given up; the next of its lane is due.
// Nothing happens if somebody else has claimed the lane since.
func (tx *Tx) FinishDelivery(ctx context.Context, d Delivery) error {
	n, err := tx.exec(ctx, `UPDATE delivery_lane SET pending = pending - 1, attempts = 0, held = 0, due = $4 WHERE queue = $1 AND lane = $2 AND fence = $3`,
		d.Queue, d.Lane, d.Fence, micros(tx.Now()))
	if err != nil || n == 0 {
		return err
	}
	if _, err := tx.exec(ctx, `DELETE FROM delivery WHERE seq = $1`, d.Seq); err != nil {
		return err
	}
	_, err = tx.exec(ctx, `DELETE FROM delivery_lane WHERE queue = $1 AND lane = $2 AND pending <= 0`, d.Queue, d.Lane)
	return err
}

// DeferDelivery puts a claimed delivery off after a failed attempt. Nothing happens if
// somebody else has claimed the lane since.
func (tx *Tx) DeferDelivery(ctx context.Context, d Delivery, until time.Time) error {
	_, err := tx.exec(ctx, `UPDATE delivery_lane SET attempts = attempts + 1, held = 0, due = $4 WHERE queue = $1 AND lane = $2 AND fence = $3`,
		d.Queue, d.Lane, d.Fence, micros(until))
	return err
}

// ReleaseDeliveries makes what is claimed due at once. It is for the start of the only server
// of a database: whoever held something then is gone.
func (tx *Tx) ReleaseDeliveries(ctx context.Context) error {
	_, err := tx.exec(ctx, `UPDATE delivery_lane SET due = $1, held = 0 WHERE held = 1`, micros(tx.Now()))
	return err
}
