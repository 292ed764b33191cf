package events

import (
	"context"
	"encoding/json"
	"strings"

	"penstock/internal/store"
)

// TaggedRules gives a page of the rules of an account in a Region, of all buses, with their tags.
func (r *Room) TaggedRules(ctx context.Context, account, region, after string, limit int) (list []store.Tagged, err error) {
	bus, name, _ := strings.Cut(after, " ")
	return list, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		list = nil
		rows, err := tx.EventRulesAfter(ctx, account, region, bus, name, limit)
		if err != nil {
			return err
		}
		for _, row := range rows {
			doc, err := docOf(row)
			if err != nil {
				return err
			}
			list = append(list, store.Tagged{Key: row.Bus + " " + row.Name, ARN: ruleARN(account, region, row.Bus, row.Name), Tags: doc.Tags})
		}
		return nil
	})
}

// TaggedBuses gives a page of the buses of an account in a Region with their tags.
func (r *Room) TaggedBuses(ctx context.Context, account, region, after string, limit int) (list []store.Tagged, err error) {
	return list, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		list = nil
		rows, err := tx.ListEventBuses(ctx, account, region, "", store.Keyset{After: after, Limit: limit})
		if err != nil {
			return err
		}
		for _, row := range rows {
			var doc busDoc
			if err := json.Unmarshal([]byte(row.Doc), &doc); err != nil {
				return err
			}
			list = append(list, store.Tagged{Key: row.Name, ARN: busARN(account, region, row.Name), Tags: doc.Tags})
		}
		return nil
	})
}
