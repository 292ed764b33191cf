package codedeploy

import (
	"context"
	"encoding/json"
	"slices"

	api "penstock/internal/api/codedeploy"
	"penstock/internal/fault"
	"penstock/internal/store"
)

const (
	maxFilters = 10 // of a list
	maxSets    = 3  // lists of a set
	// maxKey and maxValue are how long the key and the value of a tag are.
	maxKey   = 128
	maxValue = 256
)

// checkFilters refuses tag filters that mean nothing; class is the fault's.
func checkFilters(class, member string, filters []api.TagFilter) error {
	if len(filters) > maxFilters {
		return fault.New(class, "%s has %d tag filters: at most %d are allowed.", member, len(filters), maxFilters)
	}
	for i, f := range filters {
		if len(f.Key) > maxKey || len(f.Value) > maxValue {
			return fault.New(class, "%s[%d]: a Key has at most %d characters, a Value %d.", member, i, maxKey, maxValue)
		}
		ok := false
		switch f.Type {
		case "KEY_ONLY":
			ok = f.Key != "" && f.Value == ""
		case "VALUE_ONLY":
			ok = f.Key == "" && f.Value != ""
		case "KEY_AND_VALUE":
			ok = f.Key != ""
		}
		if !ok {
			return fault.New(class, "%s[%d]: a tag filter of the Type KEY_ONLY has a Key, of VALUE_ONLY a Value, of KEY_AND_VALUE both; this one has the Type %q, the Key %q and the Value %q.",
				member, i, f.Type, f.Key, f.Value)
		}
	}
	return nil
}

// anyMatches says whether tags satisfy one of the filters.
func anyMatches(filters []api.TagFilter, tags []api.Tag) bool {
	return slices.ContainsFunc(filters, func(f api.TagFilter) bool {
		return slices.ContainsFunc(tags, func(t api.Tag) bool {
			return (f.Type == "VALUE_ONLY" || f.Key == t.Key) && (f.Type == "KEY_ONLY" || f.Value == t.Value)
		})
	})
}

// selects says whether an instance with these tags belongs to the group: it satisfies one of the
// filters, or one of each list of the set.
func (g *group) selects(tags []api.Tag) bool {
	if set := g.Info.OnPremisesTagSet; set != nil {
		for _, filters := range set.OnPremisesTagSetList {
			if !anyMatches(filters, tags) {
				return false
			}
		}
		return len(set.OnPremisesTagSetList) > 0
	}
	return anyMatches(g.Info.OnPremisesInstanceTagFilters, tags)
}

// instances gives the names of the registered instances of the group.
func (g *group) instances(ctx context.Context, tx *store.Tx, account, region string) ([]string, error) {
	rows, err := tx.RegisteredCodeDeployInstances(ctx, account, region, maxRegistered)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, row := range rows {
		var i api.InstanceInfo
		if err := json.Unmarshal([]byte(row.Doc), &i); err != nil {
			return nil, err
		}
		if g.selects(i.Tags) {
			names = append(names, row.Name)
		}
	}
	return names, nil
}
