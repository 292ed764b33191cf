package codedeploy

import (
	"context"
	"strings"

	api "penstock/internal/api/codedeploy"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// taggedApplication and taggedGroup are the keys of tags: not the ARN, which changes with the name.
func taggedApplication(id string) string { return "codedeploy:application:" + id }
func taggedGroup(id string) string       { return "codedeploy:deploymentgroup:" + id }

// checkTags refuses tags that mean nothing; class is the fault's.
func checkTags(class string, tags []api.Tag, limit int) error {
	if len(tags) > limit {
		return fault.New(class, "There are %d tags: at most %d are allowed.", len(tags), limit)
	}
	seen := map[string]bool{}
	for _, t := range tags {
		switch {
		case t.Key == "" || len(t.Key) > maxKey || len(t.Value) > maxValue:
			return fault.New(class, "The tag key %.200q: a key has 1 to %d characters, its value at most %d.", t.Key, maxKey, maxValue)
		case strings.HasPrefix(strings.ToLower(t.Key), "aws:"):
			return fault.New(class, "The tag key %s is reserved: keys do not begin with aws:.", t.Key)
		case seen[t.Key]:
			return fault.New(class, "The tag key %s is there twice.", t.Key)
		}
		seen[t.Key] = true
	}
	return nil
}

func putTags(ctx context.Context, tx *store.Tx, key string, tags []api.Tag) error {
	for _, t := range tags {
		if err := tx.PutTag(ctx, key, store.Tag{Key: t.Key, Value: t.Value}); err != nil {
			return err
		}
	}
	return nil
}

// resource is an application or a deployment group that a request names by its ARN.
type resource struct {
	application, group string
}

// parseARN authorises an operation on the tags of a resource and says what it is.
func parseARN(ctx context.Context, operation, text string) (c auth.Caller, res resource, err error) {
	c = auth.From(ctx)
	if err := auth.Check(ctx, "codedeploy:"+operation, text); err != nil {
		return c, res, err
	}
	switch name, ok := strings.CutPrefix(text, arnOf(c.Account, c.Region, kindApplication, "")); {
	case ok:
		return c, resource{application: name}, nil
	}
	if name, ok := strings.CutPrefix(text, arnOf(c.Account, c.Region, kindGroup, "")); ok {
		if app, group, ok := strings.Cut(name, "/"); ok {
			return c, resource{app, group}, nil
		}
	}
	if !strings.HasPrefix(text, "arn:") {
		return c, res, fault.New("InvalidArnException", "ResourceArn %q is no ARN.", text)
	}
	return c, res, fault.New("ArnNotSupportedException", "ResourceArn %s: applications and deployment groups of the caller's account and Region have tags.", text)
}

// key finds the resource and gives the key of its tags.
func (res resource) key(ctx context.Context, tx *store.Tx, c auth.Caller) (string, error) {
	a, err := application(ctx, tx, c, res.application)
	if err != nil || res.group == "" {
		return taggedApplication(a.ID), err
	}
	g, err := findGroup(ctx, tx, a, res.group, false)
	if err != nil {
		return "", err
	}
	return taggedGroup(g.row.ID), nil
}

// TagResource implements the API.
func (r *Room) TagResource(ctx context.Context, in *api.TagResourceInput) (*api.TagResourceOutput, error) {
	c, res, err := parseARN(ctx, "TagResource", in.ResourceArn)
	if err != nil {
		return nil, err
	}
	if err := checkTags("InvalidTagsToAddException", in.Tags, maxTags); err != nil {
		return nil, err
	}
	return &api.TagResourceOutput{}, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		key, err := res.key(ctx, tx, c)
		if err != nil {
			return err
		}
		if err := putTags(ctx, tx, key, in.Tags); err != nil {
			return err
		}
		all, err := tx.Tags(ctx, key)
		if err == nil && len(all) > maxTags {
			err = fault.New("InvalidTagsToAddException", "A resource has at most %d tags.", maxTags)
		}
		return err
	})
}

// UntagResource implements the API; keys that are not there are no error.
func (r *Room) UntagResource(ctx context.Context, in *api.UntagResourceInput) (*api.UntagResourceOutput, error) {
	c, res, err := parseARN(ctx, "UntagResource", in.ResourceArn)
	if err != nil {
		return nil, err
	}
	if len(in.TagKeys) > maxTags {
		return nil, fault.New("InvalidTagsToAddException", "There are %d keys: at most %d are allowed.", len(in.TagKeys), maxTags)
	}
	return &api.UntagResourceOutput{}, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		key, err := res.key(ctx, tx, c)
		if err != nil {
			return err
		}
		for _, k := range in.TagKeys {
			if err := tx.DeleteTag(ctx, key, k); err != nil {
				return err
			}
		}
		return nil
	})
}

// ListTagsForResource implements the API: all tags are on one page.
func (r *Room) ListTagsForResource(ctx context.Context, in *api.ListTagsForResourceInput) (*api.ListTagsForResourceOutput, error) {
	c, res, err := parseARN(ctx, "ListTagsForResource", in.ResourceArn)
	if err != nil {
		return nil, err
	}
	if _, err := parsePageToken(in.NextToken); err != nil {
		return nil, err
	}
	out := &api.ListTagsForResourceOutput{}
	return out, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		out.Tags = []api.Tag{}
		key, err := res.key(ctx, tx, c)
		if err != nil {
			return err
		}
		tags, err := tx.Tags(ctx, key)
		for _, t := range tags {
			out.Tags = append(out.Tags, api.Tag{Key: t.Key, Value: t.Value})
		}
		return err
	})
}
