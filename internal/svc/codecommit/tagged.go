package codecommit

import (
	"cmp"
	"context"
	"slices"

	"penstock/internal/store"
)

// Tagged gives a page of the repositories of an account in a Region with their tags.
func (r *Room) Tagged(ctx context.Context, account, region, after string, limit int) (list []store.Tagged, err error) {
	return list, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		list = nil
		rows, err := tx.ListCodeCommitRepositories(ctx, account, region)
		slices.SortFunc(rows, func(a, b store.CodeCommitRepository) int { return cmp.Compare(a.Name, b.Name) })
		for _, row := range rows {
			if row.Name > after && len(list) < limit {
				list = append(list, store.Tagged{Key: row.Name, ARN: arnOf(account, region, row.Name), Tags: row.Tags})
			}
		}
		return err
	})
}
