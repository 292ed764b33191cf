package codepipeline

import (
	"context"
	"errors"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/pipeline"
	"penstock/internal/store"
)

// readTags checks the tags of one request for the resource of an ARN (S-362).
func (r *Room) readTags(in []api.Tag, arn string) ([]pipeline.Tag, error) {
	tags := make([]pipeline.Tag, 0, len(in))
	for _, t := range in {
		tags = append(tags, pipeline.Tag{Key: t.Key, Value: t.Value})
	}
	if err := pipeline.ValidateTags(tags); err != nil {
		return nil, err
	}
	return tags, pipeline.CheckTagCount(len(tags), arn, r.Limits)
}

func writeTags(tags []pipeline.Tag) []api.Tag {
	out := make([]api.Tag, 0, len(tags))
	for _, t := range tags {
		out = append(out, api.Tag{Key: t.Key, Value: t.Value})
	}
	return out
}

// tagged authorises an operation on a resource that can have tags and gives its ARN in the
// form tags are kept under (S-361, S-363).
func tagged(ctx context.Context, operation, arn string) (auth.Caller, pipeline.Resource, error) {
	c := auth.From(ctx)
	res, err := pipeline.ParseARN(arn)
	if err != nil {
		return c, res, err
	}
	if !res.Taggable() {
		return c, res, fault.New("InvalidArnException", "The resource '%s' cannot have tags: give the ARN of a pipeline, a custom action type or a webhook", arn)
	}
	if res.Account == "" { // C-21
		res.Account = c.Account
	}
	if res.Kind == pipeline.ActionTypeResource {
		res.ActionType.Owner = pipeline.OwnerCustom
	}
	if res.Account != c.Account || res.Region != c.Region {
		return c, res, fault.New("InvalidArnException", "The resource '%s' does not belong to account '%s' and region %s", arn, c.Account, c.Region)
	}
	return c, res, auth.Check(ctx, "codepipeline:"+operation, res.ARN())
}

// exists refuses a resource that is not there (M-35).
func exists(ctx context.Context, tx *store.Tx, c auth.Caller, res pipeline.Resource) error {
	var err error
	what, name := "pipeline", res.Pipeline
	switch res.Kind {
	case pipeline.PipelineResource:
		_, err = tx.FindPipeline(ctx, c.Account, c.Region, res.Pipeline)
	case pipeline.ActionTypeResource:
		what, name = "custom action type", res.ActionType.Provider
		var t store.CustomActionType
		if t, err = tx.CustomActionType(ctx, c.Account, c.Region, res.ActionType); err == nil && t.Deleted {
			err = store.ErrNotFound
		}
	default:
		what, name = "webhook", res.Webhook
		_, err = tx.Webhook(ctx, c.Account, c.Region, res.Webhook)
	}
	if errors.Is(err, store.ErrNotFound) {
		return fault.New("ResourceNotFoundException", "The account with id '%s' does not include a %s with the name '%s'", c.Account, what, name)
	}
	return err
}

// ListTagsForResource lists all tags of a resource by key, on one page.
func (r *Room) ListTagsForResource(ctx context.Context, in *api.ListTagsForResourceInput) (*api.ListTagsForResourceOutput, error) {
	c, res, err := tagged(ctx, "ListTagsForResource", in.ResourceArn)
	if err != nil {
		return nil, err
	}
	if in.NextToken != "" {
		return nil, fault.New("InvalidNextTokenException", "ListTagsForResource answers everything on one page and gives no token")
	}
	var tags []pipeline.Tag
	err = r.DB.View(ctx, func(tx *store.Tx) (err error) {
		if err := exists(ctx, tx, c, res); err != nil {
			return err
		}
		tags, err = tx.Tags(ctx, res.ARN())
		return err
	})
	if err != nil {
		return nil, err
	}
	return &api.ListTagsForResourceOutput{Tags: writeTags(tags)}, nil
}

// TagResource adds or overwrites tags.
func (r *Room) TagResource(ctx context.Context, in *api.TagResourceInput) (*api.TagResourceOutput, error) {
	c, res, err := tagged(ctx, "TagResource", in.ResourceArn)
	if err != nil {
		return nil, err
	}
	tags, err := r.readTags(in.Tags, in.ResourceArn)
	if err != nil {
		return nil, err
	}
	return &api.TagResourceOutput{}, r.DB.Update(ctx, func(tx *store.Tx) error {
		if err := exists(ctx, tx, c, res); err != nil {
			return err
		}
		for _, t := range tags {
			if err := tx.PutTag(ctx, res.ARN(), t); err != nil {
				return err
			}
		}
		all, err := tx.Tags(ctx, res.ARN())
		if err != nil {
			return err
		}
		return pipeline.CheckTagCount(len(all), res.ARN(), r.Limits)
	})
}

// UntagResource removes tags; missing keys are ignored.
func (r *Room) UntagResource(ctx context.Context, in *api.UntagResourceInput) (*api.UntagResourceOutput, error) {
	c, res, err := tagged(ctx, "UntagResource", in.ResourceArn)
	if err != nil {
		return nil, err
	}
	if err := pipeline.ValidateTagKeys(in.TagKeys); err != nil {
		return nil, err
	}
	return &api.UntagResourceOutput{}, r.DB.Update(ctx, func(tx *store.Tx) error {
		if err := exists(ctx, tx, c, res); err != nil {
			return err
		}
		for _, key := range in.TagKeys {
			if err := tx.DeleteTag(ctx, res.ARN(), key); err != nil {
				return err
			}
		}
		return nil
	})
}
