package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// S-248, S-251…S-253: webhooks by name and by token, and what happened to them.
func TestWebhooks(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := store.Webhook{Account: testAccount, Region: testRegion, Name: "b", Token: "T1", Definition: `{"é":1}`, Secret: "s3cret"}
		inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.PutWebhook(ctx, w), tx.PutWebhook(ctx, store.Webhook{Account: testAccount, Region: testRegion, Name: "A", Token: "T2"}),
				tx.PutWebhook(ctx, store.Webhook{Account: testAccount, Region: "other", Name: "b", Token: "T3"}))
		})
		inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
			got, err := tx.WebhookByToken(ctx, "T1")
			if err != nil || got != w || fmt.Sprint(got.Secret) == "s3cret" {
				t.Errorf("%+v %v", got, err)
			}
			if _, err := tx.WebhookByToken(ctx, "T9"); !errors.Is(err, store.ErrNotFound) {
				t.Error(err)
			}
			list, err := tx.ListWebhooks(ctx, testAccount, testRegion, "", 10)
			if err != nil || len(list) != 2 || list[0].Name != "A" {
				t.Errorf("%+v %v", list, err)
			}
			if n, err := tx.CountWebhooks(ctx, testAccount, testRegion); n != 2 || err != nil {
				t.Error(n, err)
			}
			return errors.Join(tx.WebhookFailed(ctx, "T1", "403", "no"), tx.WebhookFailed(ctx, "T2", "403", "no"), tx.WebhookTriggered(ctx, "T2"))
		})
		inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
			one, err := tx.Webhook(ctx, testAccount, testRegion, "b")
			two, err2 := tx.Webhook(ctx, testAccount, testRegion, "A")
			if err != nil || err2 != nil || one.ErrorCode != "403" || !one.LastTriggered.IsZero() || two.ErrorCode != "" || two.LastTriggered.IsZero() {
				t.Errorf("%+v %+v", one, two)
			}
			return tx.DeleteWebhook(ctx, one)
		})
		inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
			if _, err := tx.Webhook(ctx, testAccount, testRegion, "b"); !errors.Is(err, store.ErrNotFound) {
				t.Error(err)
			}
			return nil
		})
	})
}

// S-251: a delivery counts once for each hook, as long as it is remembered.
func TestTakeDelivery(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		take := func(hook, id string, keep time.Duration) (fresh bool) {
			inTx(t, db, func(ctx context.Context, tx *store.Tx) (err error) {
				fresh, err = tx.TakeDelivery(ctx, hook, id, keep)
				return err
			})
			return fresh
		}
		if !take("h", "1", time.Hour) || take("h", "1", time.Hour) || !take("h", "2", time.Hour) || !take("i", "1", time.Hour) {
			t.Error("a delivery was taken twice, or not at all")
		}
		if !take("h", "1", -time.Hour) {
			t.Error("an old delivery is remembered")
		}
	})
}
