package cloudwatch

import (
	"context"

	"penstock/internal/auth"
	"penstock/internal/store"
)

// Tagged gives a page of the alarms of an account in a Region with their tags.
func (r *Room) Tagged(ctx context.Context, account, region, after string, limit int) (list []store.Tagged, err error) {
	return list, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		list = nil
		rows, err := tx.ListMetricAlarms(ctx, account, region, "", after, "", limit)
		if err != nil {
			return err
		}
		for _, row := range rows {
			_, d, err := opened(row, nil)
			if err != nil {
				return err
			}
			list = append(list, store.Tagged{Key: row.Name, ARN: alarmARN(auth.Caller{Account: account, Region: region}, row.Name), Tags: d.Tags})
		}
		return nil
	})
}
