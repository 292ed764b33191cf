package codebuild

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	api "penstock/internal/api/codebuild"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// Tagged gives a page of the projects of an account in a Region with their tags.
func (r *Room) Tagged(ctx context.Context, account, region, after string, limit int) (list []store.Tagged, err error) {
	return list, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		list = nil
		rows, err := tx.CodeBuildProjectsAfter(ctx, account, region, after, limit)
		if err != nil {
			return err
		}
		for _, row := range rows {
			var p api.Project
			if err := json.Unmarshal([]byte(row.Doc), &p); err != nil {
				return err
			}
			tags := map[string]string{}
			for _, t := range p.Tags {
				tags[t.Key] = t.Value
			}
			list = append(list, store.Tagged{Key: row.Name, ARN: projectARN(account, region, row.Name), Tags: tags})
		}
		return nil
	})
}

// Retag changes the tags of the project of an ARN, which the caller must be allowed to read and
// to update.
func (r *Room) Retag(ctx context.Context, arn string, change func(map[string]string)) error {
	who := auth.From(ctx)
	name, ok := strings.CutPrefix(arn, projectARN(who.Account, who.Region, ""))
	if !ok {
		return fault.New("InvalidInputException", "%s is not the ARN of a project of the account %s in %s", arn, who.Account, who.Region)
	}
	c, err := check(ctx, "BatchGetProjects", name)
	if err != nil {
		return err
	}
	var p *api.Project
	if err := r.deps.DB.View(ctx, func(tx *store.Tx) error {
		p, err = project(ctx, tx, c, name)
		return err
	}); err != nil {
		return err
	}
	tags := map[string]string{}
	for _, t := range p.Tags {
		tags[t.Key] = t.Value
	}
	change(tags)
	in := &api.UpdateProjectInput{Name: name, Tags: []api.Tag{}}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		in.Tags = append(in.Tags, api.Tag{Key: key, Value: tags[key]})
	}
	_, err = r.UpdateProject(ctx, in)
	return err
}
