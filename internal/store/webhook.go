package store

import (
	"context"
	"database/sql"
	"time"
)

// Webhook is a webhook of CodePipeline (S-248).
type Webhook struct {
	Account, Region, Name string
	// Token is what its URL is known by; a webhook that is made again has another (S-253).
	Token string
	// Definition is the JSON of the API's definition without the secret.
	Definition string
	Secret     Secret
	// HookID is the id of the hook at the third party; empty if it is not registered (S-254).
	HookID string
	// LastTriggered is zero if it never was.
	LastTriggered           time.Time
	ErrorCode, ErrorMessage string
}

const webhookColumns = `account, region, name, token, definition, secret, hook_id, last_triggered, error_code, error_message`

func (tx *Tx) scanWebhook(rows *sql.Rows) (Webhook, error) {
	var w Webhook
	var secret string
	var at int64
	err := rows.Scan(&w.Account, &w.Region, &w.Name, &w.Token, &w.Definition, &secret, &w.HookID, &at, &w.ErrorCode, &w.ErrorMessage)
	w.LastTriggered = fromMicros(at)
	if err == nil {
		w.Secret, err = tx.unsealOld(secret, "webhook", w.Account, w.Region, w.Name)
	}
	return w, err
}

// PutWebhook stores a webhook, in place of an earlier one of its name.
func (tx *Tx) PutWebhook(ctx context.Context, w Webhook) error {
	secret, err := tx.sealSome(w.Secret, "webhook", w.Account, w.Region, w.Name)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, `INSERT INTO webhook (`+webhookColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		ON CONFLICT (account, region, name) DO UPDATE SET token = excluded.token, definition = excluded.definition, secret = excluded.secret,
		hook_id = excluded.hook_id, last_triggered = excluded.last_triggered, error_code = excluded.error_code, error_message = excluded.error_message`,
		w.Account, w.Region, w.Name, w.Token, w.Definition, secret, w.HookID, micros(w.LastTriggered), w.ErrorCode, w.ErrorMessage)
	return err
}

// Webhook gives a webhook by its name; ErrNotFound if there is none.
func (tx *Tx) Webhook(ctx context.Context, account, region, name string) (Webhook, error) {
	return first(all(ctx, tx, `SELECT `+webhookColumns+` FROM webhook WHERE account = $1 AND region = $2 AND name = $3`,
		[]any{account, region, name}, tx.scanWebhook))
}

// WebhookByToken gives the webhook that a URL belongs to; ErrNotFound if there is none.
func (tx *Tx) WebhookByToken(ctx context.Context, token string) (Webhook, error) {
	return first(all(ctx, tx, `SELECT `+webhookColumns+` FROM webhook WHERE token = $1`, []any{token}, tx.scanWebhook))
}

// ListWebhooks gives up to limit webhooks by name, those after the name given.
func (tx *Tx) ListWebhooks(ctx context.Context, account, region, after string, limit int) ([]Webhook, error) {
	return all(ctx, tx, `SELECT `+webhookColumns+` FROM webhook WHERE account = $1 AND region = $2 AND name > $3 ORDER BY name LIMIT $4`,
		[]any{account, region, after, limit}, tx.scanWebhook)
}

// CountWebhooks counts the webhooks of an account and Region (S-72).
func (tx *Tx) CountWebhooks(ctx context.Context, account, region string) (int, error) {
	var n int
	err := tx.one(ctx, `SELECT count(*) FROM webhook WHERE account = $1 AND region = $2`, []any{account, region}, &n)
	return n, err
}

// DeleteWebhook removes a webhook and what was delivered to it, if it is there.
func (tx *Tx) DeleteWebhook(ctx context.Context, w Webhook) error {
	if _, err := tx.exec(ctx, `DELETE FROM webhook_delivery WHERE hook = $1`, w.Token); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `DELETE FROM webhook WHERE token = $1`, w.Token)
	return err
}

// WebhookTriggered records that a webhook has started its pipeline, and that all is well.
func (tx *Tx) WebhookTriggered(ctx context.Context, token string) error {
	_, err := tx.exec(ctx, `UPDATE webhook SET last_triggered = $2, error_code = '', error_message = '' WHERE token = $1`, token, micros(tx.Now()))
	return err
}

// WebhookFailed records why a webhook did not start its pipeline.
func (tx *Tx) WebhookFailed(ctx context.Context, token, code, message string) error {
	_, err := tx.exec(ctx, `UPDATE webhook SET error_code = $2, error_message = $3 WHERE token = $1`, token, code, message)
	return err
}

// TakeDelivery records a delivery to a hook and says whether it is new. Deliveries older
// than keep are forgotten.
func (tx *Tx) TakeDelivery(ctx context.Context, hook, id string, keep time.Duration) (bool, error) {
	if _, err := tx.exec(ctx, `DELETE FROM webhook_delivery WHERE hook = $1 AND at < $2`, hook, micros(tx.Now().Add(-keep))); err != nil {
		return false, err
	}
	n, err := tx.exec(ctx, `INSERT INTO webhook_delivery (hook, id, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, hook, id, micros(tx.Now()))
	return n > 0, err
}
