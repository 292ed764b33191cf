// Package tagging is the Resource Groups Tagging API: the tags of what all rooms have, in one
// place.
//
// It keeps nothing. Rooms list what they have with its tags, and change tags as the caller may.
package tagging

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	api "penstock/internal/api/resourcegroupstaggingapi"
	"penstock/internal/arn"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

const (
	// chunk is how many resources a room lists at a time, most how many one GetResources looks at
	// before it answers with what it has found.
	chunk = 500
	most  = 10_000
	// page is how many keys or values of tags there are on a page.
	page = 100
	// The sizes of pages of GetResources.
	standardResources, maxResources = 50, 100
	maxTags                         = 500
)

// Source is one kind of resources.
type Source struct {
	// Name orders the sources and is part of tokens. Service is the one in the ARNs.
	Name, Service string
	// Plain is the type of those resources whose ARNs name none, such as topic.
	Plain string
	// List gives a page of the resources of an account in a Region, after a key.
	List func(ctx context.Context, account, region, after string, limit int) ([]store.Tagged, error)
}

// Change changes the tags of one resource as the caller of the context may, or gives the fault of
// its service. Exactly one of add and remove is there.
type Change func(ctx context.Context, arn string, add map[string]string, remove []string) error

// Deps is what the room works with.
type Deps struct {
	Sources []Source
	// Changes are by the service in the ARN.
	Changes map[string]Change
}

// Room answers the operations. It is safe for concurrent use.
type Room struct {
	api.Unimplemented
	deps Deps
}

var _ api.Service = (*Room)(nil)

// New makes the room.
func New(deps Deps) *Room {
	slices.SortFunc(deps.Sources, func(a, b Source) int { return strings.Compare(a.Name, b.Name) })
	return &Room{deps: deps}
}

func invalid(format string, args ...any) error {
	return fault.New("InvalidParameterException", format, args...)
}

// place is where a listing goes on: at a source, behind a key.
type place struct {
	Source string `json:"s"`
	After  string `json:"a,omitempty"`
}

// W-26: tokens are positions.
func token(v any) (string, error) {
	text, err := json.Marshal(v)
	return base64.RawURLEncoding.EncodeToString(text), err
}

func readToken(text string, v any) error {
	if text == "" {
		return nil
	}
	plain, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || bytes.Contains(plain, []byte(`\u0000`)) || json.Unmarshal(plain, v) != nil {
		return invalid("The PaginationToken is not one that this operation gave.")
	}
	return nil
}

// kind gives the service of an ARN and its type, such as codebuild and project.
func (s *Source) kind(text string) (service, kind string) {
	a, _ := arn.Parse(text)
	if i := strings.IndexAny(a.Resource, ":/"); i >= 0 {
		return s.Service, a.Resource[:i]
	}
	return s.Service, s.Plain
}

// wanted says what GetResources asks for.
type wanted struct {
	types []string
	tags  []api.TagFilter
	arns  []string
}

// service says whether anything of a service is asked for.
func (w *wanted) service(name string) bool {
	return len(w.types) == 0 || slices.ContainsFunc(w.types, func(t string) bool {
		t, _, _ = strings.Cut(t, ":")
		return t == name
	})
}

func (w *wanted) match(s *Source, t *store.Tagged) bool {
	if len(t.Tags) == 0 || len(w.arns) > 0 && !slices.Contains(w.arns, t.ARN) {
		return false
	}
	service, kind := s.kind(t.ARN)
	if len(w.types) > 0 && !slices.Contains(w.types, service) && !slices.Contains(w.types, service+":"+kind) {
		return false
	}
	for _, f := range w.tags {
		value, ok := t.Tags[f.Key]
		if !ok || len(f.Values) > 0 && !slices.Contains(f.Values, value) {
			return false
		}
	}
	return true
}

// read checks the request and says what it asks for and how much at a time.
func read(in *api.GetResourcesInput) (w wanted, resources, tags int, err error) {
	w, resources, tags = wanted{types: in.ResourceTypeFilters, tags: in.TagFilters, arns: in.ResourceARNList}, standardResources, 0
	yes := func(b *bool) bool { return b != nil && *b }
	switch {
	case yes(in.IncludeComplianceDetails) || yes(in.ExcludeCompliantResources):
		return w, 0, 0, invalid("IncludeComplianceDetails and ExcludeCompliantResources are not offered by this server: it has no tag policies.")
	case len(w.arns) > 0 && (len(w.types) > 0 || len(w.tags) > 0 || in.ResourcesPerPage != nil || in.TagsPerPage != nil || in.PaginationToken != ""):
		return w, 0, 0, invalid("ResourceARNList cannot be there beside ResourceTypeFilters, TagFilters, ResourcesPerPage, TagsPerPage or PaginationToken.")
	case in.ResourcesPerPage != nil && (*in.ResourcesPerPage < 1 || *in.ResourcesPerPage > maxResources):
		return w, 0, 0, invalid("ResourcesPerPage %d must be from 1 to %d.", *in.ResourcesPerPage, maxResources)
	case in.TagsPerPage != nil && (*in.TagsPerPage < 100 || *in.TagsPerPage > maxTags || *in.TagsPerPage%100 != 0):
		return w, 0, 0, invalid("TagsPerPage %d must be a multiple of 100 from 100 to %d.", *in.TagsPerPage, maxTags)
	}
	for _, text := range w.arns {
		if _, ok := arn.Parse(text); !ok {
			return w, 0, 0, invalid("ResourceARNList has %.300s, which is no ARN.", text)
		}
	}
	for _, f := range w.tags {
		if f.Key == "" {
			return w, 0, 0, invalid("A filter in TagFilters has no Key.")
		}
	}
	if len(w.arns) > 0 {
		resources = len(w.arns)
	}
	if in.ResourcesPerPage != nil {
		resources = int(*in.ResourcesPerPage)
	}
	if in.TagsPerPage != nil {
		tags = int(*in.TagsPerPage)
	}
	return w, resources, tags, nil
}

// GetResources gives what has tags, page by page. As in AWS, a page may have fewer resources than
// fit, or none, and a token nevertheless.
func (r *Room) GetResources(ctx context.Context, in *api.GetResourcesInput) (*api.GetResourcesOutput, error) {
	if err := auth.Check(ctx, "tag:GetResources", "*"); err != nil {
		return nil, err
	}
	w, resources, tags, err := read(in)
	if err != nil {
		return nil, err
	}
	var from place
	if err := readToken(in.PaginationToken, &from); err != nil {
		return nil, err
	}
	out := &api.GetResourcesOutput{ResourceTagMappingList: []api.ResourceTagMapping{}}
	held, seen := 0, 0
	last, err := r.walk(ctx, from, w.service, func(s *Source, t *store.Tagged) bool {
		if seen == most && len(w.arns) == 0 {
			return false
		}
		if w.match(s, t) {
			held += len(t.Tags)
			if len(out.ResourceTagMappingList) == resources || tags > 0 && held > tags && len(out.ResourceTagMappingList) > 0 {
				return false
			}
			m := api.ResourceTagMapping{ResourceARN: t.ARN}
			for _, key := range slices.Sorted(maps.Keys(t.Tags)) {
				m.Tags = append(m.Tags, api.Tag{Key: key, Value: t.Tags[key]})
			}
			out.ResourceTagMappingList = append(out.ResourceTagMappingList, m)
		}
		seen++
		return true
	})
	if err == nil && last != nil && len(w.arns) == 0 {
		out.PaginationToken, err = token(last)
	}
	return out, err
}

// walk shows resources from a place on, until visit gives false. Then it gives the place of the
// last one that visit gave true for, and nil when there are no more.
func (r *Room) walk(ctx context.Context, from place, service func(string) bool, visit func(*Source, *store.Tagged) bool) (*place, error) {
	c := auth.From(ctx)
	for i := range r.deps.Sources {
		s := &r.deps.Sources[i]
		if s.Name < from.Source || !service(s.Service) {
			continue
		}
		at := place{Source: s.Name}
		if s.Name == from.Source {
			at = from
		}
		for {
			list, err := s.List(ctx, c.Account, c.Region, at.After, chunk)
			if err != nil {
				return nil, err
			}
			for j := range list {
				if !visit(s, &list[j]) {
					return &at, nil
				}
				at.After = list[j].Key
			}
			if len(list) < chunk {
				break
			}
		}
	}
	return nil, nil
}

// texts gives a page of the texts that are found in the tags of all resources, in their order.
func (r *Room) texts(ctx context.Context, operation, after string, of func(map[string]string, func(string))) (list []string, next string, err error) {
	if err := auth.Check(ctx, "tag:"+operation, "*"); err != nil {
		return nil, "", err
	}
	var last string
	if err := readToken(after, &last); err != nil {
		return nil, "", err
	}
	found := map[string]bool{}
	_, err = r.walk(ctx, place{}, func(string) bool { return true }, func(_ *Source, t *store.Tagged) bool {
		of(t.Tags, func(text string) { found[text] = true })
		return true
	})
	list = []string{}
	for _, text := range slices.Sorted(maps.Keys(found)) {
		switch {
		case after != "" && text <= last:
		case len(list) == page:
			next, err = token(list[page-1])
			return list, next, err
		default:
			list = append(list, text)
		}
	}
	return list, "", err
}

// GetTagKeys gives the keys of all tags.
func (r *Room) GetTagKeys(ctx context.Context, in *api.GetTagKeysInput) (*api.GetTagKeysOutput, error) {
	list, next, err := r.texts(ctx, "GetTagKeys", in.PaginationToken, func(tags map[string]string, add func(string)) {
		for key := range tags {
			add(key)
		}
	})
	return &api.GetTagKeysOutput{TagKeys: list, PaginationToken: next}, err
}

// GetTagValues gives the values that tags of a key have.
func (r *Room) GetTagValues(ctx context.Context, in *api.GetTagValuesInput) (*api.GetTagValuesOutput, error) {
	list, next, err := r.texts(ctx, "GetTagValues", in.PaginationToken, func(tags map[string]string, add func(string)) {
		if value, ok := tags[in.Key]; ok {
			add(value)
		}
	})
	return &api.GetTagValuesOutput{TagValues: list, PaginationToken: next}, err
}

// TagResources adds tags to resources of any services. Each succeeds or fails by itself: the
// caller needs the permission of its service beside tag:TagResources.
func (r *Room) TagResources(ctx context.Context, in *api.TagResourcesInput) (*api.TagResourcesOutput, error) {
	failed, err := r.change(ctx, "TagResources", in.ResourceARNList, in.Tags, nil)
	return &api.TagResourcesOutput{FailedResourcesMap: failed}, err
}

// UntagResources removes tags of resources of any services, as TagResources adds them.
func (r *Room) UntagResources(ctx context.Context, in *api.UntagResourcesInput) (*api.UntagResourcesOutput, error) {
	failed, err := r.change(ctx, "UntagResources", in.ResourceARNList, nil, in.TagKeys)
	return &api.UntagResourcesOutput{FailedResourcesMap: failed}, err
}

func (r *Room) change(ctx context.Context, operation string, arns []string, add map[string]string, remove []string) (map[string]api.FailureInfo, error) {
	if err := auth.Check(ctx, "tag:"+operation, "*"); err != nil {
		return nil, err
	}
	failed := map[string]api.FailureInfo{}
	fail := func(resource string, status int32, code, message string) {
		failed[resource] = api.FailureInfo{StatusCode: &status, ErrorCode: code, ErrorMessage: message}
	}
	for _, resource := range arns {
		a, _ := arn.Parse(resource)
		change := r.deps.Changes[a.Service]
		if change == nil {
			fail(resource, 400, "InvalidParameterException", "The ARN is not that of a resource that can be tagged on this server.")
			continue
		}
		err := change(ctx, resource, add, remove)
		switch code := fault.Code(err); {
		case err == nil:
		case strings.HasPrefix(code, "AccessDenied"):
			fail(resource, 403, code, strings.TrimPrefix(err.Error(), code+": "))
		case code != "":
			fail(resource, 400, "InvalidParameterException", err.Error())
		default:
			return nil, err
		}
	}
	return failed, nil
}
