package secretsmanager

import (
	"context"
	"slices"
	"strings"

	wire "penstock/internal/api/secretsmanager"
	"penstock/internal/auth"
	"penstock/internal/store"
)

// A page looks at maxSeen secrets at most; one that finds too few gives what it has and says
// where to go on, as AWS does.
const (
	atOnce  = 200
	maxSeen = 2000
)

// ListSecrets lists secrets by name, without their values.
func (r *Room) ListSecrets(ctx context.Context, in *wire.ListSecretsInput) (*wire.ListSecretsOutput, error) {
	c := auth.From(ctx)
	if err := auth.Check(ctx, "secretsmanager:ListSecrets", "*"); err != nil {
		return nil, err
	}
	if in.SortBy != "" && in.SortBy != "name" {
		return nil, invalid("SortBy %s: this server lists secrets by name.", in.SortBy)
	}
	after, err := parsePageToken(in.NextToken)
	if err != nil {
		return nil, err
	}
	limit := 100
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	deleted := in.IncludePlannedDeletion != nil && *in.IncludePlannedDeletion
	var out *wire.ListSecretsOutput
	err = r.deps.DB.View(ctx, func(tx *store.Tx) error {
		out = &wire.ListSecretsOutput{SecretList: []wire.SecretListEntry{}}
		after := after
		for seen := 0; ; {
			rows, err := tx.ListSecrets(ctx, c.Account, c.Region, store.Keyset{After: after, Descending: in.SortOrder == "desc", Limit: atOnce})
			if err != nil {
				return err
			}
			entries, err := describe(ctx, tx, rows)
			if err != nil {
				return err
			}
			for i, e := range entries {
				if len(out.SecretList) == limit {
					out.NextToken = pageToken(after)
					return nil
				}
				after = e.Name
				if (deleted || rows[i].Deleted.IsZero()) && wanted(e, in.Filters) {
					out.SecretList = append(out.SecretList, e)
				}
			}
			if len(rows) < atOnce {
				return nil
			}
			if seen += len(rows); seen >= maxSeen {
				out.NextToken = pageToken(after)
				return nil
			}
		}
	})
	return out, err
}

func describe(ctx context.Context, tx *store.Tx, rows []store.StoredSecret) ([]wire.SecretListEntry, error) {
	arns := make([]string, len(rows))
	for i, s := range rows {
		arns[i] = s.ARN
	}
	tags, err := tx.TagsOf(ctx, arns)
	if err != nil {
		return nil, err
	}
	stages, err := tx.SecretStagesOf(ctx, arns)
	if err != nil {
		return nil, err
	}
	var list []wire.SecretListEntry
	for _, s := range rows {
		d, err := readDoc(s)
		if err != nil {
			return nil, err
		}
		e := wire.SecretListEntry{ARN: s.ARN, Name: s.Name, Description: d.Description, KmsKeyId: d.KmsKeyID, CreatedDate: &s.Created, LastChangedDate: &s.Changed,
			Tags: showTags(tags[s.ARN]), SecretVersionsToStages: byVersion(stages[s.ARN])}
		if !s.Deleted.IsZero() {
			e.DeletedDate = &s.Deleted
		}
		list = append(list, e)
	}
	return list, nil
}

// wanted says whether every filter has a value that the secret begins with; one with an
// exclamation mark wants the others.
func wanted(e wire.SecretListEntry, filters []wire.Filter) bool {
	for _, f := range filters {
		if !slices.ContainsFunc(f.Values, func(v string) bool {
			rest, not := strings.CutPrefix(v, "!")
			return has(e, f.Key, rest) != not
		}) {
			return false
		}
	}
	return true
}

func has(e wire.SecretListEntry, key, v string) bool {
	fold := func(text string) bool { return strings.HasPrefix(strings.ToLower(text), strings.ToLower(v)) }
	tag := func(f func(t wire.Tag) bool) bool { return slices.ContainsFunc(e.Tags, f) }
	switch key {
	case "name":
		return strings.HasPrefix(e.Name, v)
	case "description":
		return fold(e.Description)
	case "tag-key":
		return tag(func(t wire.Tag) bool { return strings.HasPrefix(t.Key, v) })
	case "tag-value":
		return tag(func(t wire.Tag) bool { return strings.HasPrefix(t.Value, v) })
	case "all":
		return fold(e.Name) || fold(e.Description) || tag(func(t wire.Tag) bool { return fold(t.Key) || fold(t.Value) })
	}
	return false // no secret has a primary Region or belongs to another service
}
