package store

import (
	"context"
	"database/sql"
	"time"
)

// EventRule is a rule of EventBridge. Doc holds all of it, with its targets.
type EventRule struct {
	Account, Region, Bus, Name string
	// Next is when its schedule fires next; zero if it has none or is switched off.
	Next time.Time
	Doc  string
}

const eventRuleColumns = `account, region, bus, name, next, doc`

func scanEventRule(rows *sql.Rows) (EventRule, error) {
	var r EventRule
	var next int64
	err := rows.Scan(&r.Account, &r.Region, &r.Bus, &r.Name, &next, &r.Doc)
	r.Next = fromMicros(next)
	return r, err
}

// PutEventRule adds a rule or replaces it.
func (tx *Tx) PutEventRule(ctx context.Context, r EventRule) error {
	_, err := tx.exec(ctx, `INSERT INTO events_rule (`+eventRuleColumns+`) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (account, region, bus, name) DO UPDATE SET next = excluded.next, doc = excluded.doc`,
		r.Account, r.Region, r.Bus, r.Name, micros(r.Next), r.Doc)
	if !r.Next.IsZero() {
		tx.Wake(TopicEventRules)
	}
	return err
}

// TopicEventRules is woken when a rule may fire sooner than the others.
const TopicEventRules = "eventrules"

// GetEventRule finds a rule; ErrNotFound if there is none.
func (tx *Tx) GetEventRule(ctx context.Context, account, region, bus, name string) (EventRule, error) {
	return tx.oneEventRule(ctx, account, region, bus, name, "")
}

// LockEventRule is GetEventRule for a rule that the transaction is about to change.
func (tx *Tx) LockEventRule(ctx context.Context, account, region, bus, name string) (EventRule, error) {
	return tx.oneEventRule(ctx, account, region, bus, name, tx.forUpdate())
}

func (tx *Tx) oneEventRule(ctx context.Context, account, region, bus, name, lock string) (EventRule, error) {
	list, err := all(ctx, tx, `SELECT `+eventRuleColumns+` FROM events_rule WHERE account = $1 AND region = $2 AND bus = $3 AND name = $4`+lock,
		[]any{account, region, bus, name}, scanEventRule)
	if err == nil && len(list) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return EventRule{}, err
	}
	return list[0], nil
}

// ListEventRules gives a page of the rules of a bus whose names begin with the prefix, by name.
func (tx *Tx) ListEventRules(ctx context.Context, account, region, bus, prefix string, page Keyset) ([]EventRule, error) {
	return all(ctx, tx, `SELECT `+eventRuleColumns+` FROM events_rule WHERE account = $1 AND region = $2 AND bus = $3 AND name > $4
		AND name >= $5 AND name < $6 ORDER BY name LIMIT $7`,
		[]any{account, region, bus, page.After, prefix, prefix + "\U0010FFFF", page.Limit}, scanEventRule)
}

// DueEventRules gives the first rules with a schedule, due or not, in the order of their times.
func (tx *Tx) DueEventRules(ctx context.Context, limit int) ([]EventRule, error) {
	return all(ctx, tx, `SELECT `+eventRuleColumns+` FROM events_rule WHERE next > 0 ORDER BY next LIMIT $1`, []any{limit}, scanEventRule)
}

// DeleteEventRule removes a rule; ErrNotFound if there is none.
func (tx *Tx) DeleteEventRule(ctx context.Context, account, region, bus, name string) error {
	n, err := tx.exec(ctx, `DELETE FROM events_rule WHERE account = $1 AND region = $2 AND bus = $3 AND name = $4`, account, region, bus, name)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

// EventBus is a bus beside the default one, which every Region has.
type EventBus struct {
	Account, Region, Name string
	Created               time.Time
	Doc                   string
}

// AddEventBus adds a bus and tells whether its name was free.
func (tx *Tx) AddEventBus(ctx context.Context, b EventBus) (bool, error) {
	n, err := tx.exec(ctx, `INSERT INTO events_bus (account, region, name, created, doc) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (account, region, name) DO NOTHING`, b.Account, b.Region, b.Name, micros(tx.Now()), b.Doc)
	return n == 1, err
}

// SetEventBus replaces the document of a bus; ErrNotFound if there is none.
func (tx *Tx) SetEventBus(ctx context.Context, b EventBus) error {
	n, err := tx.exec(ctx, `UPDATE events_bus SET doc = $4 WHERE account = $1 AND region = $2 AND name = $3`, b.Account, b.Region, b.Name, b.Doc)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

// ListEventBuses gives a page of the buses of an account in a Region whose names begin with
// the prefix, by name.
func (tx *Tx) ListEventBuses(ctx context.Context, account, region, prefix string, page Keyset) ([]EventBus, error) {
	return all(ctx, tx, `SELECT account, region, name, created, doc FROM events_bus WHERE account = $1 AND region = $2 AND name > $3
		AND name >= $4 AND name < $5 ORDER BY name LIMIT $6`,
		[]any{account, region, page.After, prefix, prefix + "\U0010FFFF", page.Limit}, scanEventBus)
}

// GetEventBus finds a bus; ErrNotFound if there is none.
func (tx *Tx) GetEventBus(ctx context.Context, account, region, name string) (EventBus, error) {
	list, err := all(ctx, tx, `SELECT account, region, name, created, doc FROM events_bus WHERE account = $1 AND region = $2 AND name = $3`,
		[]any{account, region, name}, scanEventBus)
	if err == nil && len(list) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return EventBus{}, err
	}
	return list[0], nil
}

func scanEventBus(rows *sql.Rows) (EventBus, error) {
	var b EventBus
	var created int64
	err := rows.Scan(&b.Account, &b.Region, &b.Name, &created, &b.Doc)
	b.Created = fromMicros(created)
	return b, err
}

// DeleteEventBus removes a bus. That it has no rules is the caller's to see to.
func (tx *Tx) DeleteEventBus(ctx context.Context, account, region, name string) error {
	_, err := tx.exec(ctx, `DELETE FROM events_bus WHERE account = $1 AND region = $2 AND name = $3`, account, region, name)
	return err
}
