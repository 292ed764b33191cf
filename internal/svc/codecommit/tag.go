package codecommit

import (
	"context"
	"maps"
	"strings"
	"unicode/utf8"

	api "penstock/internal/api/codecommit"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// maxTags is the number of tags of one repository.
const maxTags = 50

// checkTags looks at tags that are added to those there are.
func checkTags(have, added map[string]string) error {
	for k, v := range added {
		switch {
		case k == "" || utf8.RuneCountInString(k) > 128:
			return fault.New("InvalidTagsMapException", "The tag key %q is not valid. A key has 1 to 128 characters.", k)
		case utf8.RuneCountInString(v) > 256:
			return fault.New("InvalidTagsMapException", "The value of the tag %q is not valid. A value has at most 256 characters.", k)
		case strings.HasPrefix(strings.ToLower(k), "aws:"):
			return fault.New("InvalidSystemTagUsageException", "The tag key %q is not valid. Keys that begin with aws: are reserved.", k)
		}
	}
	all := maps.Clone(have)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, added)
	if len(all) > maxTags {
		return fault.New("TooManyTagsException", "A repository has at most %d tags.", maxTags)
	}
	return nil
}

// openARN finds the repository of an ARN.
func (r *Room) openARN(ctx context.Context, action, arn string) (*place, error) {
	if arn == "" {
		return nil, fault.New("ResourceArnRequiredException", "The ARN of a repository is required.")
	}
	c := auth.From(ctx)
	name, ok := strings.CutPrefix(arn, arnOf(c.Account, c.Region, ""))
	if !ok || !validName(name) {
		return nil, fault.New("InvalidResourceArnException",
			"%q is not the ARN of a repository of this account and Region, which would be %s.", arn, arnOf(c.Account, c.Region, "NAME"))
	}
	return r.open(ctx, action, name)
}

// TagResource adds tags to a repository.
func (r *Room) TagResource(ctx context.Context, in *api.TagResourceInput) (*api.TagResourceOutput, error) {
	p, err := r.openARN(ctx, "TagResource", in.ResourceArn)
	if err != nil {
		return nil, err
	}
	if len(in.Tags) == 0 {
		return nil, fault.New("TagsMapRequiredException", "At least one tag is required.")
	}
	err = r.change(ctx, p, func(row *store.CodeCommitRepository) error {
		if err := checkTags(row.Tags, in.Tags); err != nil {
			return err
		}
		if row.Tags == nil {
			row.Tags = map[string]string{}
		}
		maps.Copy(row.Tags, in.Tags)
		return nil
	})
	return &api.TagResourceOutput{}, err
}

// UntagResource removes tags from a repository.
func (r *Room) UntagResource(ctx context.Context, in *api.UntagResourceInput) (*api.UntagResourceOutput, error) {
	p, err := r.openARN(ctx, "UntagResource", in.ResourceArn)
	if err != nil {
		return nil, err
	}
	if len(in.TagKeys) == 0 {
		return nil, fault.New("TagKeysListRequiredException", "At least one tag key is required.")
	}
	err = r.change(ctx, p, func(row *store.CodeCommitRepository) error {
		for _, k := range in.TagKeys {
			delete(row.Tags, k)
		}
		return nil
	})
	return &api.UntagResourceOutput{}, err
}

// ListTagsForResource gives the tags of a repository.
func (r *Room) ListTagsForResource(ctx context.Context, in *api.ListTagsForResourceInput) (*api.ListTagsForResourceOutput, error) {
	p, err := r.openARN(ctx, "ListTagsForResource", in.ResourceArn)
	if err != nil {
		return nil, err
	}
	tags := p.Tags
	if tags == nil {
		tags = map[string]string{}
	}
	return &api.ListTagsForResourceOutput{Tags: tags}, nil
}
