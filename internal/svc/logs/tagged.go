package logs

import (
	"context"
	"encoding/json"

	"penstock/internal/auth"
	"penstock/internal/store"
)

// Tagged gives a page of the groups of an account in a Region with their tags.
func (r *Room) Tagged(ctx context.Context, account, region, after string, limit int) (list []store.Tagged, err error) {
	return list, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		list = nil
		rows, err := tx.ListLogGroups(ctx, account, region, "", store.Keyset{After: after, Limit: limit})
		if err != nil {
			return err
		}
		for _, row := range rows {
			var doc groupDoc
			if err := json.Unmarshal([]byte(row.Doc), &doc); err != nil {
				return err
			}
			list = append(list, store.Tagged{Key: row.Name, ARN: groupARN(auth.Caller{Account: account, Region: region}, row.Name), Tags: doc.Tags})
		}
		return nil
	})
}
