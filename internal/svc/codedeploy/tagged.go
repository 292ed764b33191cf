package codedeploy

import (
	"context"
	"errors"
	"strings"

	"penstock/internal/store"
)

func tagsByKey(list []store.Tag) map[string]string {
	tags := map[string]string{}
	for _, t := range list {
		tags[t.Key] = t.Value
	}
	return tags
}

// TaggedApplications gives a page of the applications of an account in a Region with their tags.
func (r *Room) TaggedApplications(ctx context.Context, account, region, after string, limit int) (list []store.Tagged, err error) {
	return list, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		list = nil
		rows, err := tx.ListCodeDeployApplications(ctx, account, region, store.Keyset{After: after, Limit: limit})
		if err != nil {
			return err
		}
		keys := make([]string, len(rows))
		for i, row := range rows {
			keys[i] = taggedApplication(row.ID)
		}
		tags, err := tx.TagsOf(ctx, keys)
		for i, row := range rows {
			list = append(list, store.Tagged{Key: row.Name, ARN: arnOf(account, region, kindApplication, row.Name), Tags: tagsByKey(tags[keys[i]])})
		}
		return err
	})
}

// TaggedGroups gives a page of the deployment groups of an account in a Region with their tags,
// application by application.
func (r *Room) TaggedGroups(ctx context.Context, account, region, after string, limit int) (list []store.Tagged, err error) {
	return list, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		list = nil
		name, group, _ := strings.Cut(after, "/")
		app, err := tx.GetCodeDeployApplication(ctx, account, region, name)
		apps := []store.CodeDeployApplication{app} // the rest of the groups of this one first
		if errors.Is(err, store.ErrNotFound) {
			apps, group = nil, ""
		} else if err != nil {
			return err
		}
		for {
			for _, app := range apps {
				groups, err := tx.ListCodeDeployGroups(ctx, app.ID, store.Keyset{After: group, Limit: limit - len(list)})
				if err != nil {
					return err
				}
				group = ""
				for _, g := range groups {
					tags, err := tx.Tags(ctx, taggedGroup(g.ID))
					if err != nil {
						return err
					}
					at := app.Name + "/" + g.Name
					list = append(list, store.Tagged{Key: at, ARN: arnOf(account, region, kindGroup, at), Tags: tagsByKey(tags)})
				}
				if name = app.Name; len(list) == limit {
					return nil
				}
			}
			if apps, err = tx.ListCodeDeployApplications(ctx, account, region, store.Keyset{After: name, Limit: 100}); err != nil || len(apps) == 0 {
				return err
			}
		}
	})
}
