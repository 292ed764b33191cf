package s3

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"penstock/internal/arn"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// bucketARN names a bucket, or with a key an object, in the partition of the caller of a context.
func bucketARN(ctx context.Context, name string) string {
	c := auth.From(ctx)
	return arn.S3(c.Partition(), name)
}

func tagsByKey(list []store.Tag) map[string]string {
	tags := map[string]string{}
	for _, t := range list {
		tags[t.Key] = t.Value
	}
	return tags
}

// Tagged gives a page of the buckets of an account with their tags; those of another Region are
// without.
func (r *Room) Tagged(ctx context.Context, account, region, after string, limit int) (list []store.Tagged, err error) {
	if after != "" {
		after += " " // is before whatever may go on in a bucket's name
	}
	return list, r.db.View(ctx, func(tx *store.Tx) error {
		list = nil
		rows, err := tx.Buckets(ctx, account, after, limit)
		if err != nil {
			return err
		}
		for _, row := range rows {
			one := store.Tagged{Key: row.Name, ARN: bucketARN(ctx, row.Name)}
			if row.Region == region {
				tags, err := readBucketTags(ctx, tx, row.Name)
				if err != nil {
					return err
				}
				one.Tags = tagsByKey(tags)
			}
			list = append(list, one)
		}
		return nil
	})
}

// Retag changes the tags of the bucket that an ARN names, which the caller of the context must be
// allowed to read and to put.
func (r *Room) Retag(ctx context.Context, resource string, change func(map[string]string)) error {
	name, ok := strings.CutPrefix(resource, bucketARN(ctx, ""))
	if !ok || strings.Contains(name, "/") {
		return fault.New("InvalidRequest", "The ARN %s is not that of a bucket", resource)
	}
	for _, action := range []string{"s3:GetBucketTagging", "s3:PutBucketTagging"} {
		if err := auth.Check(ctx, action, resource); err != nil {
			return err
		}
	}
	c := auth.From(ctx)
	return r.db.Update(ctx, func(tx *store.Tx) error {
		b, err := tx.Bucket(ctx, name)
		if errors.Is(err, store.ErrNotFound) || err == nil && (b.Account != c.Account || b.Region != c.Region) {
			return noSuchBucket()
		}
		if err != nil {
			return err
		}
		if err := tx.LockBucket(ctx, name); err != nil {
			return err
		}
		have, err := readBucketTags(ctx, tx, name)
		if err != nil {
			return err
		}
		tags := tagsByKey(have)
		change(tags)
		var list []tagElement
		for _, key := range slices.Sorted(maps.Keys(tags)) {
			list = append(list, tagElement{key, tags[key]})
		}
		checked, err := readTags(list, maxBucketTags)
		if err != nil {
			return err
		}
		if len(checked) == 0 {
			return tx.DeleteBucketDocument(ctx, name, "tagging")
		}
		text, err := json.Marshal(checked)
		if err != nil {
			return err
		}
		return tx.PutBucketDocument(ctx, name, "tagging", string(text))
	})
}
