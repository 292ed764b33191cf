package lambda

import (
	"context"

	"penstock/internal/store"
)

// Tagged gives a page of the functions of an account in a Region with their tags.
func (r *Room) Tagged(ctx context.Context, account, region, after string, limit int) (list []store.Tagged, err error) {
	return list, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		list = nil
		rows, err := tx.ListFunctions(ctx, account, region, store.Keyset{After: after, Limit: limit})
		if err != nil {
			return err
		}
		for _, row := range rows {
			v, err := opened(row, nil)
			if err != nil {
				return err
			}
			list = append(list, store.Tagged{Key: row.Name, ARN: v.name().bare(), Tags: v.Tags})
		}
		return nil
	})
}
