package lambda

import (
	"context"
	"maps"

	api "penstock/internal/api/lambda"
	"penstock/internal/store"
)

// maxTags is how many tags a function may have.
const maxTags = 50

// ListTags gives the tags of a function.
func (r *Room) ListTags(ctx context.Context, in *api.ListTagsInput) (*api.ListTagsOutput, error) {
	n, err := own(ctx, in.Resource, "ListTags")
	if err != nil {
		return nil, err
	}
	out := &api.ListTagsOutput{Tags: map[string]string{}}
	return out, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		v, err := n.resolve(ctx, tx)
		maps.Copy(out.Tags, v.Tags)
		return err
	})
}

// TagResource adds and replaces tags of a function.
func (r *Room) TagResource(ctx context.Context, in *api.TagResourceInput) (*api.TagResourceOutput, error) {
	return nil, r.retag(ctx, in.Resource, "TagResource", func(tags map[string]string) error {
		maps.Copy(tags, in.Tags)
		if len(tags) > maxTags {
			return invalid("A function has at most %d tags", maxTags)
		}
		return nil
	})
}

// UntagResource removes tags of a function.
func (r *Room) UntagResource(ctx context.Context, in *api.UntagResourceInput) (*api.UntagResourceOutput, error) {
	return nil, r.retag(ctx, in.Resource, "UntagResource", func(tags map[string]string) error {
		for _, k := range in.TagKeys {
			delete(tags, k)
		}
		return nil
	})
}

// retag changes the tags, which are no part of a revision.
func (r *Room) retag(ctx context.Context, resource, action string, f func(map[string]string) error) error {
	n, err := own(ctx, resource, action)
	if err != nil {
		return err
	}
	return r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		v, err := opened(tx.LockFunction(ctx, n.account, n.region, n.function, 0))
		if err != nil {
			return n.missing(err)
		}
		if v.Tags == nil {
			v.Tags = map[string]string{}
		}
		if err := f(v.Tags); err != nil {
			return err
		}
		row, err := v.row()
		if err != nil {
			return err
		}
		return tx.SetFunction(ctx, row)
	})
}
