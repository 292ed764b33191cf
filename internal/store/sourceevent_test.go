package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// S-259…S-263: what came of the last changes is kept, newest first, and no more than that.
func TestSourceEvents(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for i := range 55 {
			inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
				return tx.PutSourceEvent(ctx, "p", fmt.Sprint("push ", i), "not started: because")
			})
		}
		inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
			list, err := tx.SourceEvents(ctx, "p")
			if err != nil || len(list) != 50 || list[0].Subject != "push 54" || list[49].Subject != "push 5" || list[0].Outcome != "not started: because" || time.Since(list[0].At) > time.Hour {
				t.Errorf("%d %+v %v", len(list), list[:min(1, len(list))], err)
			}
			if list, err := tx.SourceEvents(ctx, "q"); err != nil || list != nil {
				t.Errorf("%+v %v", list, err)
			}
			return nil
		})
	})
}
