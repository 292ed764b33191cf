package store

import (
	"context"
	"database/sql"
	"time"
)

// Topic is a topic of SNS. Doc holds its attributes and tags.
type Topic struct {
	Account, Region, Name string
	Created               time.Time
	Doc                   string
}

func scanTopic(rows *sql.Rows) (Topic, error) {
	var t Topic
	var created int64
	err := rows.Scan(&t.Account, &t.Region, &t.Name, &created, &t.Doc)
	t.Created = fromMicros(created)
	return t, err
}

// AddTopic adds a topic and tells whether its name was free.
func (tx *Tx) AddTopic(ctx context.Context, t Topic) (bool, error) {
	n, err := tx.exec(ctx, `INSERT INTO sns_topic (account, region, name, created, doc) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (account, region, name) DO NOTHING`, t.Account, t.Region, t.Name, micros(tx.Now()), t.Doc)
	return n == 1, err
}

// GetTopic finds a topic; ErrNotFound if there is none.
func (tx *Tx) GetTopic(ctx context.Context, account, region, name string) (Topic, error) {
	return tx.oneTopic(ctx, account, region, name, "")
}

// LockTopic is GetTopic for a topic that the transaction is about to change.
func (tx *Tx) LockTopic(ctx context.Context, account, region, name string) (Topic, error) {
	return tx.oneTopic(ctx, account, region, name, tx.forUpdate())
}

func (tx *Tx) oneTopic(ctx context.Context, account, region, name, lock string) (Topic, error) {
	list, err := all(ctx, tx, `SELECT account, region, name, created, doc FROM sns_topic WHERE account = $1 AND region = $2 AND name = $3`+lock,
		[]any{account, region, name}, scanTopic)
	if err == nil && len(list) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Topic{}, err
	}
	return list[0], nil
}

// SetTopic replaces the document of a topic; ErrNotFound if there is none.
func (tx *Tx) SetTopic(ctx context.Context, t Topic) error {
	n, err := tx.exec(ctx, `UPDATE sns_topic SET doc = $4 WHERE account = $1 AND region = $2 AND name = $3`, t.Account, t.Region, t.Name, t.Doc)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

// ListTopics gives a page of the topics of an account in a Region, by name.
func (tx *Tx) ListTopics(ctx context.Context, account, region string, page Keyset) ([]Topic, error) {
	return all(ctx, tx, `SELECT account, region, name, created, doc FROM sns_topic WHERE account = $1 AND region = $2 AND name > $3 ORDER BY name LIMIT $4`,
		[]any{account, region, page.After, page.Limit}, scanTopic)
}

// DeleteTopic removes a topic and its subscriptions.
func (tx *Tx) DeleteTopic(ctx context.Context, account, region, name string) error {
	if _, err := tx.exec(ctx, `DELETE FROM sns_subscription WHERE account = $1 AND region = $2 AND topic = $3`, account, region, name); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `DELETE FROM sns_topic WHERE account = $1 AND region = $2 AND name = $3`, account, region, name)
	return err
}

// Subscription is somebody who gets the messages of a topic.
type Subscription struct {
	// ID is the last part of its ARN.
	ID                     string
	Account, Region, Topic string
	Endpoint               string
	Confirmed              bool
	// Asked is when it was last asked to be confirmed.
	Asked time.Time
	Doc   string
}

const subscriptionColumns = `id, account, region, topic, endpoint, confirmed, asked, doc`

func scanSubscription(rows *sql.Rows) (Subscription, error) {
	var s Subscription
	var confirmed, asked int64
	err := rows.Scan(&s.ID, &s.Account, &s.Region, &s.Topic, &s.Endpoint, &confirmed, &asked, &s.Doc)
	s.Confirmed, s.Asked = confirmed == 1, fromMicros(asked)
	return s, err
}

// PutSubscription adds a subscription or replaces it.
func (tx *Tx) PutSubscription(ctx context.Context, s Subscription) error {
	confirmed := 0
	if s.Confirmed {
		confirmed = 1
	}
	_, err := tx.exec(ctx, `INSERT INTO sns_subscription (`+subscriptionColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (id) DO UPDATE SET confirmed = excluded.confirmed, asked = excluded.asked, doc = excluded.doc`,
		s.ID, s.Account, s.Region, s.Topic, s.Endpoint, confirmed, micros(s.Asked), s.Doc)
	return err
}

// GetSubscription finds a subscription; ErrNotFound if there is none.
func (tx *Tx) GetSubscription(ctx context.Context, id string) (Subscription, error) {
	return tx.oneSubscription(ctx, id, "")
}

// LockSubscription is GetSubscription for one that the transaction is about to change.
func (tx *Tx) LockSubscription(ctx context.Context, id string) (Subscription, error) {
	return tx.oneSubscription(ctx, id, tx.forUpdate())
}

func (tx *Tx) oneSubscription(ctx context.Context, id, lock string) (Subscription, error) {
	list, err := all(ctx, tx, `SELECT `+subscriptionColumns+` FROM sns_subscription WHERE id = $1`+lock, []any{id}, scanSubscription)
	if err == nil && len(list) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Subscription{}, err
	}
	return list[0], nil
}

// ListSubscriptions gives a page of the subscriptions of an account in a Region, by id; of one
// topic if it is named.
func (tx *Tx) ListSubscriptions(ctx context.Context, account, region, topic string, page Keyset) ([]Subscription, error) {
	where, args := "", []any{account, region, page.After, page.Limit}
	if topic != "" {
		where, args = " AND topic = $5", append(args, topic)
	}
	return all(ctx, tx, `SELECT `+subscriptionColumns+` FROM sns_subscription WHERE account = $1 AND region = $2 AND id > $3`+where+` ORDER BY id LIMIT $4`,
		args, scanSubscription)
}

// FindSubscription finds the subscription of an endpoint to a topic; ErrNotFound if there is none.
func (tx *Tx) FindSubscription(ctx context.Context, account, region, topic, endpoint string) (Subscription, error) {
	list, err := all(ctx, tx, `SELECT `+subscriptionColumns+` FROM sns_subscription WHERE account = $1 AND region = $2 AND topic = $3 AND endpoint = $4`,
		[]any{account, region, topic, endpoint}, scanSubscription)
	if err == nil && len(list) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Subscription{}, err
	}
	return list[0], nil
}

// CountSubscriptions counts the subscriptions of a topic.
func (tx *Tx) CountSubscriptions(ctx context.Context, account, region, topic string) (confirmed, pending int, err error) {
	err = tx.one(ctx, `SELECT CAST(COALESCE(SUM(confirmed), 0) AS BIGINT), CAST(COALESCE(SUM(1 - confirmed), 0) AS BIGINT) FROM sns_subscription WHERE account = $1 AND region = $2 AND topic = $3`,
		[]any{account, region, topic}, &confirmed, &pending)
	return confirmed, pending, err
}

// DeleteSubscription removes a subscription.
func (tx *Tx) DeleteSubscription(ctx context.Context, id string) error {
	_, err := tx.exec(ctx, `DELETE FROM sns_subscription WHERE id = $1`, id)
	return err
}
