package events

import (
	"context"
	"errors"
	"sync"
	"time"

	"penstock/internal/store"
)

// batch is how many rules are looked at at a time.
const batch = 100

// Run fires schedules and delivers until ctx ends.
func (r *Room) Run(ctx context.Context) error {
	defer r.client.CloseIdleConnections()
	var both sync.WaitGroup
	both.Go(func() { r.deps.DB.Look(ctx, store.TopicEventRules, r.due) })
	err := r.courier.Run(ctx)
	both.Wait()
	return err
}

// due fires the rules whose time has come and says when to look again. What became due while no
// server ran fires once, at the start.
func (r *Room) due(ctx context.Context) (time.Duration, error) {
	for {
		var rows []store.EventRule
		var now time.Time
		if err := r.deps.DB.View(ctx, func(tx *store.Tx) (err error) {
			now = tx.Now()
			rows, err = tx.DueEventRules(ctx, batch)
			return err
		}); err != nil {
			return 0, err
		}
		for _, row := range rows {
			if wait := row.Next.Sub(now); wait > 0 {
				return wait, nil
			}
			if err := r.deps.DB.Update(ctx, func(tx *store.Tx) error { return r.fire(ctx, tx, row) }); err != nil {
				return 0, err
			}
		}
		if len(rows) < batch {
			return store.Nap, nil
		}
	}
}

// fire keeps what follows from one moment of a schedule, and sets the next, in one
// transaction: no moment is lost or comes twice.
func (r *Room) fire(ctx context.Context, tx *store.Tx, seen store.EventRule) error {
	row, err := tx.LockEventRule(ctx, seen.Account, seen.Region, seen.Bus, seen.Name)
	if errors.Is(err, store.ErrNotFound) || err == nil && !row.Next.Equal(seen.Next) {
		return nil // somebody else has fired, changed or removed it
	}
	if err != nil {
		return err
	}
	doc, err := docOf(row)
	if err != nil {
		return err
	}
	arn := ruleARN(row.Account, row.Region, row.Bus, row.Name)
	id := derived("schedule", arn, row.Next.Format(time.RFC3339))
	a := arrival{bus: row.Bus, lane: id, envelope: envelope{
		Version: "0", ID: id, DetailType: "Scheduled Event", Source: "aws.events", Account: row.Account, Time: stamp(row.Next), Region: row.Region,
		Resources: []string{arn}, Detail: []byte("{}"),
	}}
	if _, err := a.occurred(tx.Now()); err != nil {
		return err
	}
	if err := keep(ctx, tx, r.deliveries(&a, arn, row.Name, doc.Targets)); err != nil {
		return err
	}
	return put(ctx, tx, row, doc)
}
