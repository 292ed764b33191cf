package ssm

import (
	"context"
	"slices"
	"strings"

	wire "penstock/internal/api/ssm"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// A page looks at maxSeen parameters at most; one that finds too few gives what it has and says
// where to go on, as AWS does.
const (
	atOnce  = 200
	maxSeen = 2000
)

// scan is a list of parameters that is being paged through.
type scan struct {
	c auth.Caller
	// prefix begins the names; deep is whether those of further levels count.
	prefix  string
	deep    bool
	filters []wire.ParameterStringFilter
	limit   int
}

// page gives the parameters after a name, and the token of the next page.
func (s *scan) page(ctx context.Context, tx *store.Tx, after string) (list []store.Parameter, next string, err error) {
	for seen := 0; ; {
		rows, err := s.rows(ctx, tx, after)
		if err != nil {
			return nil, "", err
		}
		var tags map[string][]store.Tag
		if slices.ContainsFunc(s.filters, func(f wire.ParameterStringFilter) bool { return strings.HasPrefix(f.Key, "tag:") }) {
			names := make([]string, len(rows))
			for i, p := range rows {
				names[i] = tagged(s.c, p.Name)
			}
			if tags, err = tx.TagsOf(ctx, names); err != nil {
				return nil, "", err
			}
		}
		for _, p := range rows {
			if len(list) == s.limit {
				return list, pageToken(after), nil
			}
			ok, err := s.match(p, tags[tagged(s.c, p.Name)])
			if err != nil {
				return nil, "", err
			}
			if ok {
				list = append(list, p)
			}
			after = p.Name
		}
		if len(rows) < atOnce {
			return list, "", nil
		}
		if seen += len(rows); seen >= maxSeen {
			return list, pageToken(after), nil
		}
	}
}

func (s *scan) rows(ctx context.Context, tx *store.Tx, after string) ([]store.Parameter, error) {
	if !s.deep {
		parent := strings.TrimSuffix(s.prefix, "/")
		if parent == "" {
			parent = "/"
		}
		return tx.ListParametersIn(ctx, s.c.Account, s.c.Region, parent, after, atOnce)
	}
	prefix := s.prefix
	if prefix == "/" { // names without a slash are below it too
		prefix = ""
	}
	return tx.ListParameters(ctx, s.c.Account, s.c.Region, prefix, after, atOnce)
}

func (s *scan) match(p store.Parameter, tags []store.Tag) (bool, error) {
	if len(s.filters) == 0 {
		return true, nil
	}
	var d doc
	if err := d.read(p); err != nil {
		return false, err
	}
	for _, f := range s.filters {
		ok := false
		switch f.Key {
		case "Name":
			ok = slices.ContainsFunc(f.Values, func(v string) bool { return compare(f.Option, p.Name, v) })
		case "Type":
			ok = slices.Contains(f.Values, p.Type)
		case "KeyId":
			ok = slices.ContainsFunc(f.Values, func(v string) bool { return d.KeyID != "" && compare(f.Option, d.KeyID, v) })
		case "Tier":
			ok = slices.Contains(f.Values, d.Tier)
		case "DataType":
			ok = slices.Contains(f.Values, "text")
		case "Path":
			ok = slices.ContainsFunc(f.Values, func(v string) bool { return below(p.Name, v, f.Option == "Recursive") })
		case "Label": // nothing has one
		default:
			ok = slices.ContainsFunc(tags, func(t store.Tag) bool {
				return t.Key == strings.TrimPrefix(f.Key, "tag:") && (len(f.Values) == 0 || slices.Contains(f.Values, t.Value))
			})
		}
		if !ok {
			return false, nil
		}
	}
	return true, nil
}

func compare(option, text, v string) bool {
	switch option {
	case "BeginsWith":
		return strings.HasPrefix(text, v)
	case "Contains":
		return strings.Contains(text, v)
	}
	return text == v
}

// below says whether a name is below a path.
func below(name, path string, deep bool) bool {
	rest, ok := strings.CutPrefix("/"+strings.TrimPrefix(name, "/"), strings.TrimSuffix(path, "/")+"/")
	return ok && (deep || !strings.Contains(rest, "/"))
}

// readFilters checks filters, whose keys must be among those given; "tag:" stands for all tags.
func readFilters(filters []wire.ParameterStringFilter, keys ...string) ([]wire.ParameterStringFilter, error) {
	var seen []string
	for _, f := range filters {
		key := f.Key
		if strings.HasPrefix(key, "tag:") {
			key = "tag:"
		}
		if !slices.Contains(keys, key) {
			return nil, fault.New("InvalidFilterKey", "The following filter key is not valid: %s. Valid filter keys include: [%s].", f.Key, strings.Join(keys, ", "))
		}
		if slices.Contains(seen, f.Key) {
			return nil, invalid("The following filter is duplicated in the request: %s. A request can contain only one occurrence of a specific filter.", f.Key)
		}
		seen = append(seen, f.Key)
		options := []string{"", "Equals"}
		switch key {
		case "Name":
			options = []string{"", "Equals", "BeginsWith", "Contains"}
		case "KeyId":
			options = []string{"", "Equals", "BeginsWith"}
		case "Path":
			options = []string{"", "OneLevel", "Recursive"}
		}
		if !slices.Contains(options, f.Option) {
			return nil, fault.New("InvalidFilterOption", "The following filter option is not valid: %s. Valid options include: [%s].", f.Option, strings.Join(options[1:], ", "))
		}
		if len(f.Values) == 0 && key != "tag:" {
			return nil, fault.New("InvalidFilterValue", "The filter %s needs a value.", f.Key)
		}
		if key == "Path" {
			for _, v := range f.Values {
				if _, err := checkPath(v); err != nil {
					return nil, err
				}
			}
		}
	}
	return filters, nil
}

// DescribeParameters tells of parameters without their values.
func (r *Room) DescribeParameters(ctx context.Context, in *wire.DescribeParametersInput) (*wire.DescribeParametersOutput, error) {
	c := auth.From(ctx)
	if err := auth.Check(ctx, "ssm:DescribeParameters", arnPrefix(c)+"*"); err != nil {
		return nil, err
	}
	if len(in.Filters) > 0 && len(in.ParameterFilters) > 0 {
		return nil, invalid("You can use either Filters or ParameterFilters in a single request.")
	}
	given := in.ParameterFilters
	for _, f := range in.Filters { // the older form, in which names are beginnings
		option := ""
		if f.Key == "Name" {
			option = "BeginsWith"
		}
		given = append(given, wire.ParameterStringFilter{Key: f.Key, Option: option, Values: f.Values})
	}
	filters, err := readFilters(given, "Name", "Type", "KeyId", "Path", "Label", "Tier", "DataType", "tag:")
	if err != nil {
		return nil, err
	}
	after, err := parsePageToken(in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeParametersOutput{Parameters: []wire.ParameterMetadata{}}
	if in.Shared != nil && *in.Shared { // no account shares anything with another here
		return out, nil
	}
	s := scan{c: c, deep: true, filters: filters, limit: 50}
	if in.MaxResults != nil {
		s.limit = int(*in.MaxResults)
	}
	for _, f := range filters {
		if len(f.Values) == 1 && anyName.MatchString(f.Values[0]) && (f.Key == "Name" && f.Option != "Contains" || f.Key == "Path" && f.Values[0] != "/") {
			s.prefix = f.Values[0]
		}
	}
	err = r.deps.DB.View(ctx, func(tx *store.Tx) error {
		out.Parameters = []wire.ParameterMetadata{}
		list, next, err := s.page(ctx, tx, after)
		if err != nil {
			return err
		}
		out.NextToken = next
		for _, p := range list {
			var d doc
			if err := d.read(p); err != nil {
				return err
			}
			out.Parameters = append(out.Parameters, wire.ParameterMetadata{
				Name: p.Name, ARN: parameterARN(c, p.Name), Type: p.Type, KeyId: d.KeyID, LastModifiedDate: &p.Created, LastModifiedUser: d.User, Description: d.Description,
				AllowedPattern: d.AllowedPattern, Version: &p.Version, Tier: d.Tier, Policies: []wire.ParameterInlinePolicy{}, DataType: "text",
			})
		}
		return nil
	})
	return out, err
}
