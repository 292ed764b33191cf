package cloudwatch

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	wire "penstock/internal/api/cloudwatch"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// maxTags is how many tags an alarm may have.
const maxTags = 50

// addTags gives the tags of an alarm with others added.
func addTags(have map[string]string, added []wire.Tag) (map[string]string, error) {
	tags := map[string]string{}
	maps.Copy(tags, have)
	for i, t := range added {
		switch {
		case len(t.Key) >= 4 && strings.EqualFold(t.Key[:4], "aws:"):
			return nil, wrong("The tag key %s begins with aws:, which is for AWS's own.", t.Key)
		case slices.ContainsFunc(added[:i], func(other wire.Tag) bool { return other.Key == t.Key }):
			return nil, wrong("The tag key %s is there twice.", t.Key)
		}
		tags[t.Key] = t.Value
	}
	if len(tags) > maxTags {
		return nil, wrong("An alarm has at most %d tags.", maxTags)
	}
	return tags, nil
}

// tagged authorises an operation on the tags of an alarm, which alone have tags here.
func tagged(ctx context.Context, operation, resource string) (c auth.Caller, name string, err error) {
	c = auth.From(ctx)
	if err := auth.Check(ctx, "cloudwatch:"+operation, resource); err != nil {
		return c, "", err
	}
	name, ok := strings.CutPrefix(resource, alarmARN(c, ""))
	if !ok || name == "" {
		return c, "", wrong("The ResourceARN %s is not that of an alarm of the account %s in %s.", resource, c.Account, c.Region)
	}
	return c, name, nil
}

func (r *Room) retag(ctx context.Context, operation, resource string, change func(*alarmDoc) error) error {
	c, name, err := tagged(ctx, operation, resource)
	if err != nil {
		return err
	}
	return r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		row, d, err := opened(tx.LockMetricAlarm(ctx, c.Account, c.Region, name))
		if errors.Is(err, store.ErrNotFound) {
			return noTagged(name)
		}
		if err == nil {
			err = change(&d)
		}
		if err != nil {
			return err
		}
		return save(ctx, tx, row, d)
	})
}

// noTagged is noAlarm as the operations on tags spell it.
func noTagged(name string) error {
	return fault.New("ResourceNotFoundException", "There is no alarm %s.", name)
}

// TagResource adds tags to an alarm, or gives them other values.
func (r *Room) TagResource(ctx context.Context, in *wire.TagResourceInput) (*wire.TagResourceOutput, error) {
	return &wire.TagResourceOutput{}, r.retag(ctx, "TagResource", in.ResourceARN, func(d *alarmDoc) (err error) {
		d.Tags, err = addTags(d.Tags, in.Tags)
		return err
	})
}

// UntagResource removes tags of an alarm; those it does not have are no error.
func (r *Room) UntagResource(ctx context.Context, in *wire.UntagResourceInput) (*wire.UntagResourceOutput, error) {
	return &wire.UntagResourceOutput{}, r.retag(ctx, "UntagResource", in.ResourceARN, func(d *alarmDoc) error {
		for _, key := range in.TagKeys {
			delete(d.Tags, key)
		}
		return nil
	})
}

// ListTagsForResource gives the tags of an alarm by key.
func (r *Room) ListTagsForResource(ctx context.Context, in *wire.ListTagsForResourceInput) (*wire.ListTagsForResourceOutput, error) {
	c, name, err := tagged(ctx, "ListTagsForResource", in.ResourceARN)
	if err != nil {
		return nil, err
	}
	out := &wire.ListTagsForResourceOutput{Tags: []wire.Tag{}}
	return out, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		out.Tags = out.Tags[:0]
		rows, err := tx.MetricAlarmsNamed(ctx, c.Account, c.Region, []string{name})
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return noTagged(name)
		}
		_, d, err := opened(rows[0], nil)
		for _, key := range slices.Sorted(maps.Keys(d.Tags)) {
			out.Tags = append(out.Tags, wire.Tag{Key: key, Value: d.Tags[key]})
		}
		return err
	})
}
