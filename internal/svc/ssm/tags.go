package ssm

import (
	"context"
	"errors"
	"strings"

	wire "penstock/internal/api/ssm"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

func checkTags(tags []wire.Tag) error {
	if len(tags) > maxTags {
		return tooMany()
	}
	seen := map[string]bool{}
	for _, t := range tags {
		switch {
		case strings.HasPrefix(strings.ToLower(t.Key), "aws:"):
			return invalid("The tag key %s is reserved: keys do not begin with aws:.", t.Key)
		case seen[t.Key]:
			return invalid("The tag key %s is there twice.", t.Key)
		}
		seen[t.Key] = true
	}
	return nil
}

func tooMany() error {
	return fault.New("TooManyTagsError", "The Targets parameter includes too many tags: a parameter has at most %d.", maxTags)
}

// resource authorises an operation on the tags of a parameter.
func resource(ctx context.Context, operation, kind, id string) (auth.Caller, error) {
	c, err := allow(ctx, operation, id)
	if err == nil && kind != "Parameter" {
		err = fault.New("InvalidResourceType", "ResourceType %s: this server has resources of the type Parameter only.", kind)
	}
	return c, err
}

// exists refuses what is no parameter.
func exists(ctx context.Context, tx *store.Tx, c auth.Caller, name string) error {
	err := store.ErrNotFound
	if anyName.MatchString(name) {
		_, err = tx.Parameter(ctx, c.Account, c.Region, name)
	}
	if errors.Is(err, store.ErrNotFound) {
		err = fault.New("InvalidResourceId", "The resource ID isn't valid: there is no parameter %s.", name)
	}
	return err
}

// AddTagsToResource adds tags to a parameter, or gives them other values.
func (r *Room) AddTagsToResource(ctx context.Context, in *wire.AddTagsToResourceInput) (*wire.AddTagsToResourceOutput, error) {
	c, err := resource(ctx, "AddTagsToResource", in.ResourceType, in.ResourceId)
	if err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	return &wire.AddTagsToResourceOutput{}, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		if err := exists(ctx, tx, c, in.ResourceId); err != nil {
			return err
		}
		for _, t := range in.Tags {
			if err := tx.PutTag(ctx, tagged(c, in.ResourceId), store.Tag{Key: t.Key, Value: t.Value}); err != nil {
				return err
			}
		}
		all, err := tx.Tags(ctx, tagged(c, in.ResourceId))
		if err == nil && len(all) > maxTags {
			err = tooMany()
		}
		return err
	})
}

// RemoveTagsFromResource removes tags from a parameter; those it does not have are no error.
func (r *Room) RemoveTagsFromResource(ctx context.Context, in *wire.RemoveTagsFromResourceInput) (*wire.RemoveTagsFromResourceOutput, error) {
	c, err := resource(ctx, "RemoveTagsFromResource", in.ResourceType, in.ResourceId)
	if err != nil {
		return nil, err
	}
	if len(in.TagKeys) > maxTags {
		return nil, tooMany()
	}
	return &wire.RemoveTagsFromResourceOutput{}, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		if err := exists(ctx, tx, c, in.ResourceId); err != nil {
			return err
		}
		for _, key := range in.TagKeys {
			if err := tx.DeleteTag(ctx, tagged(c, in.ResourceId), key); err != nil {
				return err
			}
		}
		return nil
	})
}

// ListTagsForResource gives the tags of a parameter by key.
func (r *Room) ListTagsForResource(ctx context.Context, in *wire.ListTagsForResourceInput) (*wire.ListTagsForResourceOutput, error) {
	c, err := resource(ctx, "ListTagsForResource", in.ResourceType, in.ResourceId)
	if err != nil {
		return nil, err
	}
	var out *wire.ListTagsForResourceOutput
	err = r.deps.DB.View(ctx, func(tx *store.Tx) error {
		out = &wire.ListTagsForResourceOutput{TagList: []wire.Tag{}}
		if err := exists(ctx, tx, c, in.ResourceId); err != nil {
			return err
		}
		tags, err := tx.Tags(ctx, tagged(c, in.ResourceId))
		for _, t := range tags {
			out.TagList = append(out.TagList, wire.Tag{Key: t.Key, Value: t.Value})
		}
		return err
	})
	return out, err
}
