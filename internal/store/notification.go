package store

import (
	"context"
	"database/sql"
)

// NotificationRule is a rule of CodeStar Notifications. Doc holds what is not searched for.
type NotificationRule struct {
	Account, Region string
	// ID is the last part of its ARN. Name is unique in the account and Region.
	ID, Name string
	// Resource is the ARN of what it tells of.
	Resource string
	Doc      string
}

const notificationColumns = `account, region, id, name, resource, doc`

func scanNotificationRule(rows *sql.Rows) (NotificationRule, error) {
	var r NotificationRule
	return r, rows.Scan(&r.Account, &r.Region, &r.ID, &r.Name, &r.Resource, &r.Doc)
}

// AddNotificationRule adds a rule and tells whether its id and name were free.
func (tx *Tx) AddNotificationRule(ctx context.Context, r NotificationRule) (bool, error) {
	n, err := tx.exec(ctx, `INSERT INTO notification_rule (`+notificationColumns+`) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
		r.Account, r.Region, r.ID, r.Name, r.Resource, r.Doc)
	return n == 1, err
}

// SetNotificationRule replaces name and document of a rule; ErrNotFound if there is none. That
// the name is free is the caller's to see to.
func (tx *Tx) SetNotificationRule(ctx context.Context, r NotificationRule) error {
	n, err := tx.exec(ctx, `UPDATE notification_rule SET name = $4, doc = $5 WHERE account = $1 AND region = $2 AND id = $3`, r.Account, r.Region, r.ID, r.Name, r.Doc)
	return found(n, err)
}

// GetNotificationRule finds a rule; ErrNotFound if there is none.
func (tx *Tx) GetNotificationRule(ctx context.Context, account, region, id string) (NotificationRule, error) {
	return first(all(ctx, tx, `SELECT `+notificationColumns+` FROM notification_rule WHERE account = $1 AND region = $2 AND id = $3`, []any{account, region, id}, scanNotificationRule))
}

// LockNotificationRule is GetNotificationRule for a rule that the transaction is about to change.
func (tx *Tx) LockNotificationRule(ctx context.Context, account, region, id string) (NotificationRule, error) {
	return first(all(ctx, tx, `SELECT `+notificationColumns+` FROM notification_rule WHERE account = $1 AND region = $2 AND id = $3`+tx.forUpdate(), []any{account, region, id}, scanNotificationRule))
}

// NotificationRuleNamed finds a rule by its name; ErrNotFound if there is none.
func (tx *Tx) NotificationRuleNamed(ctx context.Context, account, region, name string) (NotificationRule, error) {
	return first(all(ctx, tx, `SELECT `+notificationColumns+` FROM notification_rule WHERE account = $1 AND region = $2 AND name = $3`, []any{account, region, name}, scanNotificationRule))
}

// NotificationRulesOf lists the rules of a resource.
func (tx *Tx) NotificationRulesOf(ctx context.Context, account, region, resource string) ([]NotificationRule, error) {
	return all(ctx, tx, `SELECT `+notificationColumns+` FROM notification_rule WHERE account = $1 AND region = $2 AND resource = $3 ORDER BY id`,
		[]any{account, region, resource}, scanNotificationRule)
}

// ListNotificationRules gives a page of the rules of an account in a Region, by id.
func (tx *Tx) ListNotificationRules(ctx context.Context, account, region string, page Keyset) ([]NotificationRule, error) {
	return all(ctx, tx, `SELECT `+notificationColumns+` FROM notification_rule WHERE account = $1 AND region = $2 AND id > $3 ORDER BY id LIMIT $4`,
		[]any{account, region, page.After, page.Limit}, scanNotificationRule)
}

// DeleteNotificationRule removes a rule; it need not exist.
func (tx *Tx) DeleteNotificationRule(ctx context.Context, account, region, id string) error {
	_, err := tx.exec(ctx, `DELETE FROM notification_rule WHERE account = $1 AND region = $2 AND id = $3`, account, region, id)
	return err
}
