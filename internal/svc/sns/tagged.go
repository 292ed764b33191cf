package sns

import (
	"context"

	"penstock/internal/store"
)

// Tagged gives a page of the topics of an account in a Region with their tags.
func (r *Room) Tagged(ctx context.Context, account, region, after string, limit int) (list []store.Tagged, err error) {
	return list, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		list = nil
		rows, err := tx.ListTopics(ctx, account, region, store.Keyset{After: after, Limit: limit})
		if err != nil {
			return err
		}
		for _, row := range rows {
			_, doc, err := topic(row, nil)
			if err != nil {
				return err
			}
			list = append(list, store.Tagged{Key: row.Name, ARN: topicARN(account, region, row.Name), Tags: doc.Tags})
		}
		return nil
	})
}
