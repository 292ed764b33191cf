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

func intent(id string) *store.Intent {
	return &store.Intent{Record: func(facts map[string]any) store.AuditRecord {
		return store.AuditRecord{ID: id, Account: "1", Region: "r", At: time.Now(), Source: "s", Name: "n", Doc: fmt.Sprint(facts)}
	}}
}

func audited(t *testing.T, db *store.DB) (list []store.AuditRecord) {
	t.Helper()
	err := db.View(t.Context(), func(tx *store.Tx) (err error) {
		list, err = tx.LookupAudit(t.Context(), store.AuditQuery{Account: "1", Region: "r", To: time.Now().Add(time.Hour), Limit: 100})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// W-41: a change and its record are both there or neither is; the record is there once, with what
// the transaction noted.
func TestIntent(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		put := func(ctx context.Context, account string, fail error) error {
			return db.Update(ctx, func(tx *store.Tx) error {
				tx.Note("account", account)
				return errors.Join(tx.PutAccount(ctx, account), fail)
			})
		}
		has := func(account string) (yes bool) {
			_ = db.View(t.Context(), func(tx *store.Tx) (err error) {
				yes, err = tx.HasAccount(t.Context(), account)
				return err
			})
			return yes
		}
		i := intent("a")
		ctx := store.WithIntent(t.Context(), i)
		if err := put(ctx, "111111111111", errors.New("no")); err == nil || len(audited(t, db)) != 0 || has("111111111111") {
			t.Fatal("a change that was undone left its record, or itself", err)
		}
		for _, account := range []string{"111111111111", "222222222222"} {
			if err := put(ctx, account, nil); err != nil {
				t.Fatal(err)
			}
		}
		if list := audited(t, db); len(list) != 1 || list[0].Doc != "map[account:111111111111]" {
			t.Errorf("%+v", list)
		}
		if stored, facts := i.End(); !stored || facts["account"] != "111111111111" {
			t.Error(stored, facts)
		}
		// What goes on in the background after its call has ended is not the call's any more.
		late := intent("b")
		late.End()
		if err := put(store.WithIntent(t.Context(), late), "333333333333", nil); err != nil || len(audited(t, db)) != 1 {
			t.Error(err, audited(t, db))
		}
		if err := db.Intend(store.WithIntent(t.Context(), intent("c"))); err != nil || len(audited(t, db)) != 2 {
			t.Error(err)
		}
		if err := db.Intend(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// W-41: a record is durable with its change: whoever was answered before a crash is on record.
func TestIntentSurvives(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		db, err := store.Open(t.Context(), store.Config{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		ctx := store.WithIntent(t.Context(), intent("a"))
		if err := db.Update(ctx, func(tx *store.Tx) error { return tx.PutAccount(ctx, "111111111111") }); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil { // nothing else was done about the record
			t.Fatal(err)
		}
		if list := audited(t, storetest.Open(t, url)); len(list) != 1 || list[0].Seq != 0 {
			t.Errorf("%+v", list)
		}
	})
}
