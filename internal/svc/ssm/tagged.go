package ssm

import (
	"context"
	"strings"

	"penstock/internal/auth"
	"penstock/internal/store"
)

// Tagged gives a page of the parameters of an account in a Region that have tags.
func (r *Room) Tagged(ctx context.Context, account, region, after string, limit int) (list []store.Tagged, err error) {
	c := auth.Caller{Account: account, Region: region}
	return list, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		list, err = tx.TaggedResources(ctx, tagged(c, ""), after, limit)
		for i := range list {
			list[i].ARN = parameterARN(c, strings.TrimPrefix(list[i].Key, tagged(c, "")))
		}
		return err
	})
}
