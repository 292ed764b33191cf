package iam

import (
	"maps"

	"penstock/internal/api/iam"
	"penstock/internal/fault"
)

// tagMap joins tags to those that are there.
func tagMap(have map[string]string, tags []iam.Tag, what string) (map[string]string, error) {
	out := maps.Clone(have)
	if out == nil {
		out = make(map[string]string)
	}
	seen := make(map[string]bool)
	for _, t := range tags {
		if seen[t.Key] {
			return nil, fault.New("InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		seen[t.Key] = true
		out[t.Key] = t.Value
	}
	if len(out) > maxTags {
		return nil, fault.New("LimitExceeded", "Cannot exceed quota for TagsPer%s: %d", what, maxTags)
	}
	return out, nil
}

// tagList gives tags in the order of their keys.
func tagList(tags map[string]string) []iam.Tag {
	list := make([]iam.Tag, 0, len(tags))
	for k, v := range tags {
		list = append(list, iam.Tag{Key: k, Value: v})
	}
	return folded(list, tagKey)
}

func tagKey(t iam.Tag) string { return t.Key }
