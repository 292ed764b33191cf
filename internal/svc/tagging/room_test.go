package tagging

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	api "penstock/internal/api/resourcegroupstaggingapi"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

var ann = auth.Caller{Account: "000000000000", Region: "us-east-1", ARN: "arn:aws:iam::000000000000:user/ann"}

// many is a source of n topics, each tenth of which has two tags.
func many(t *testing.T, name string, n int) Source {
	return Source{Name: name, Service: name, Plain: "thing", List: func(_ context.Context, account, region, after string, limit int) (list []store.Tagged, err error) {
		if account != ann.Account || region != ann.Region || limit > chunk {
			t.Error(account, region, limit)
		}
		for i := range n {
			key := fmt.Sprintf("%06d", i)
			if key <= after || len(list) == limit {
				continue
			}
			one := store.Tagged{Key: key, ARN: "arn:aws:" + name + ":us-east-1:000000000000:" + key}
			if i%10 == 0 {
				one.Tags = map[string]string{"ten": "yes", "n": fmt.Sprint(i % 1000)}
			}
			list = append(list, one)
		}
		return list, nil
	}}
}

// N-17: pages hold what they should, and their tokens lead to the rest, once each.
func TestPages(t *testing.T) {
	t.Parallel()
	r := New(Deps{Sources: []Source{many(t, "b", 1200), many(t, "a", 3), many(t, "c", 12_000)}})
	ctx := auth.Trusted(t.Context(), ann)
	all := func(in *api.GetResourcesInput) (resources, pages int, first string) {
		t.Helper()
		seen := map[string]bool{}
		for {
			out, err := r.GetResources(ctx, in)
			if err != nil {
				t.Fatal(err)
			}
			pages++
			for _, m := range out.ResourceTagMappingList {
				if first == "" {
					first = m.ResourceARN
				}
				if seen[m.ResourceARN] || len(m.Tags) != 2 || m.Tags[0].Key != "n" {
					t.Errorf("%+v", m)
				}
				seen[m.ResourceARN] = true
			}
			if in.PaginationToken = out.PaginationToken; in.PaginationToken == "" {
				return len(seen), pages, first
			}
		}
	}
	for _, c := range []struct {
		in               api.GetResourcesInput
		resources, pages int
		first            string
	}{
		{api.GetResourcesInput{}, 1 + 120 + 1200, 27, "a:us-east-1:000000000000:000000"},
		{api.GetResourcesInput{ResourcesPerPage: new(int32(100))}, 1321, 14, "a:us-east-1:000000000000:000000"},
		{api.GetResourcesInput{ResourcesPerPage: new(int32(100)), TagsPerPage: new(int32(100))}, 1321, 27, "a:us-east-1:000000000000:000000"},
		{api.GetResourcesInput{ResourceTypeFilters: []string{"b:thing"}}, 120, 3, "b:us-east-1:000000000000:000000"},
		{api.GetResourcesInput{ResourceTypeFilters: []string{"b:other", "x"}}, 0, 1, ""},
		{api.GetResourcesInput{TagFilters: []api.TagFilter{{Key: "n", Values: []string{"990"}}, {Key: "ten"}}}, 1 + 12, 2, "b:us-east-1:000000000000:000990"}, // more than are looked at in one call
		{api.GetResourcesInput{TagFilters: []api.TagFilter{{Key: "n", Values: []string{"990"}}, {Key: "ten", Values: []string{"no"}}}}, 0, 2, ""},
		{api.GetResourcesInput{ResourceARNList: []string{"arn:aws:c:us-east-1:000000000000:011990", "arn:aws:c:us-east-1:000000000000:000001"}}, 1, 1, "c:us-east-1:000000000000:011990"},
	} {
		resources, pages, first := all(&c.in)
		if resources != c.resources || pages != c.pages || strings.TrimPrefix(first, "arn:aws:") != c.first {
			t.Errorf("%+v: %d in %d pages from %s", c, resources, pages, first)
		}
	}

	var values []string
	in := &api.GetTagValuesInput{Key: "n"}
	for {
		out, err := r.GetTagValues(ctx, in)
		if err != nil || len(out.TagValues) > page {
			t.Fatal(err)
		}
		values = append(values, out.TagValues...)
		if in.PaginationToken = out.PaginationToken; in.PaginationToken == "" {
			break
		}
	}
	keys, err := r.GetTagKeys(ctx, &api.GetTagKeysInput{})
	if err != nil || len(values) != 100 || fmt.Sprint(keys.TagKeys) != "[n ten]" {
		t.Error(len(values), keys, err)
	}
}

// N-17: the last resource that one call looks at is given once, though it is the one that the next call
// goes on behind.
func TestLastLookedAt(t *testing.T) {
	t.Parallel()
	r := New(Deps{Sources: []Source{many(t, "a", 9), many(t, "b", 12_000)}})
	in := &api.GetResourcesInput{TagFilters: []api.TagFilter{{Key: "n", Values: []string{"990"}}}}
	var given []string
	for {
		out, err := r.GetResources(auth.Trusted(t.Context(), ann), in)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range out.ResourceTagMappingList {
			given = append(given, strings.TrimPrefix(m.ResourceARN, "arn:aws:b:us-east-1:000000000000:"))
		}
		if in.PaginationToken = out.PaginationToken; in.PaginationToken == "" {
			break
		}
	}
	want := "000990 001990 002990 003990 004990 005990 006990 007990 008990 009990 010990 011990"
	if got := strings.Join(given, " "); got != want {
		t.Errorf("%s, not %s", got, want)
	}
}

// N-17: what makes no sense is refused.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	r := New(Deps{})
	ctx := auth.Trusted(t.Context(), ann)
	for what, in := range map[string]*api.GetResourcesInput{
		"a page of none": {ResourcesPerPage: new(int32(0))}, "a large page": {ResourcesPerPage: new(int32(101))}, "tags": {TagsPerPage: new(int32(150))}, "few tags": {TagsPerPage: new(int32(0))},
		"compliance": {IncludeComplianceDetails: new(true)}, "both": {ResourceARNList: []string{"arn"}, TagFilters: []api.TagFilter{{Key: "k"}}}, "no ARN": {ResourceARNList: []string{"arn:aws:sns:us-east-1:000000000000:t", "topic"}}, "no key": {TagFilters: []api.TagFilter{{}}},
		"a token": {PaginationToken: "!"}, "a token with a zero": {PaginationToken: "eyJzIjoiXHUwMDAwIn0"},
	} {
		if _, err := r.GetResources(ctx, in); fault.Code(err) != "InvalidParameterException" {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// N-17: each resource succeeds or fails by itself, with what its service says.
func TestChanges(t *testing.T) {
	t.Parallel()
	answers := map[string]error{"a:b:c:d:e:fine": nil, "a:b:c:d:e:gone": fault.New("NotFound", "it is gone"), "a:b:c:d:e:denied": fault.New("AccessDeniedException", "you may not")}
	r := New(Deps{Changes: map[string]Change{"c": func(_ context.Context, arn string, add map[string]string, remove []string) error {
		if add["k"] != "v" && remove[0] != "k" {
			t.Error(add, remove)
		}
		return answers[strings.Replace(arn, "arn", "a", 1)]
	}, "broken": func(context.Context, string, map[string]string, []string) error {
		return errors.New("the disk is gone")
	}}})
	ctx := auth.Trusted(t.Context(), ann)
	arns := []string{"arn:b:c:d:e:fine", "arn:b:c:d:e:gone", "arn:b:c:d:e:denied", "arn:b:x:d:e:f", "none"}
	tag, err := r.TagResources(ctx, &api.TagResourcesInput{ResourceARNList: arns, Tags: map[string]string{"k": "v"}})
	if err != nil {
		t.Fatal(err)
	}
	untag, err := r.UntagResources(ctx, &api.UntagResourcesInput{ResourceARNList: arns, TagKeys: []string{"k"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, failed := range []map[string]api.FailureInfo{tag.FailedResourcesMap, untag.FailedResourcesMap} {
		text := ""
		for _, arn := range arns {
			if f, ok := failed[arn]; ok {
				text += fmt.Sprintln(*f.StatusCode, f.ErrorCode, f.ErrorMessage)
			}
		}
		const other = "400 InvalidParameterException The ARN is not that of a resource that can be tagged on this server.\n"
		if want := "400 InvalidParameterException NotFound: it is gone\n403 AccessDeniedException you may not\n" + other + other; text != want {
			t.Errorf("%s, not %s", text, want)
		}
	}
	if _, err := r.TagResources(ctx, &api.TagResourcesInput{ResourceARNList: []string{"arn:b:broken:d:e:f"}, Tags: map[string]string{"k": "v"}}); err == nil || fault.Code(err) != "" {
		t.Error(err)
	}
}
