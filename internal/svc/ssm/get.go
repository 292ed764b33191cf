package ssm

import (
	"context"
	"strconv"
	"strings"

	wire "penstock/internal/api/ssm"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// see authorises reading what a reference names, before anybody learns whether it is there.
func see(ctx context.Context, operation, text string) (auth.Caller, reference, error) {
	c := auth.From(ctx)
	ref := refer(c, text)
	resource := text
	if len(ref.names) > 0 {
		resource = parameterARN(c, ref.names[0])
	}
	return c, ref, auth.Check(ctx, "ssm:"+operation, resource)
}

// GetParameter gives a parameter, or with NAME:VERSION one version of it.
func (r *Room) GetParameter(ctx context.Context, in *wire.GetParameterInput) (*wire.GetParameterOutput, error) {
	c, ref, err := see(ctx, "GetParameter", in.Name)
	if err != nil {
		return nil, err
	}
	var found wire.Parameter
	err = r.deps.DB.View(ctx, func(tx *store.Tx) error {
		p, err := parameter(ctx, tx, c, in.Name, ref)
		if err != nil {
			return err
		}
		found, err = show(tx, c, p, ref.selector, in.WithDecryption)
		return err
	})
	return &wire.GetParameterOutput{Parameter: &found}, err
}

// GetParameters gives up to ten parameters, and tells which there are not.
func (r *Room) GetParameters(ctx context.Context, in *wire.GetParametersInput) (*wire.GetParametersOutput, error) {
	refs := make([]reference, len(in.Names))
	for i, name := range in.Names {
		var err error
		if _, refs[i], err = see(ctx, "GetParameters", name); err != nil {
			return nil, err
		}
	}
	c := auth.From(ctx)
	var out *wire.GetParametersOutput
	err := r.deps.DB.View(ctx, func(tx *store.Tx) error {
		out = &wire.GetParametersOutput{Parameters: []wire.Parameter{}, InvalidParameters: []string{}}
		for i, name := range in.Names {
			p, err := parameter(ctx, tx, c, name, refs[i])
			if fault.Code(err) != "" {
				out.InvalidParameters = append(out.InvalidParameters, name)
				continue
			}
			if err != nil {
				return err
			}
			shown, err := show(tx, c, p, refs[i].selector, in.WithDecryption)
			if err != nil {
				return err
			}
			out.Parameters = append(out.Parameters, shown)
		}
		return nil
	})
	return out, err
}

// GetParametersByPath gives the parameters below a path, of its next level or of all.
func (r *Room) GetParametersByPath(ctx context.Context, in *wire.GetParametersByPathInput) (*wire.GetParametersByPathOutput, error) {
	c, err := allow(ctx, "GetParametersByPath", in.Path)
	if err != nil {
		return nil, err
	}
	path, err := checkPath(in.Path)
	if err != nil {
		return nil, err
	}
	filters, err := readFilters(in.ParameterFilters, "Type", "KeyId", "Label")
	if err != nil {
		return nil, err
	}
	after, err := parsePageToken(in.NextToken)
	if err != nil {
		return nil, err
	}
	s := scan{c: c, prefix: path, deep: in.Recursive != nil && *in.Recursive, filters: filters, limit: 10}
	if in.MaxResults != nil {
		s.limit = int(*in.MaxResults)
	}
	var out *wire.GetParametersByPathOutput
	err = r.deps.DB.View(ctx, func(tx *store.Tx) error {
		out = &wire.GetParametersByPathOutput{Parameters: []wire.Parameter{}}
		list, next, err := s.page(ctx, tx, after)
		if err != nil {
			return err
		}
		out.NextToken = next
		for _, p := range list {
			shown, err := show(tx, c, p, "", in.WithDecryption)
			if err != nil {
				return err
			}
			out.Parameters = append(out.Parameters, shown)
		}
		return nil
	})
	return out, err
}

// checkPath gives a path with a slash at its end.
func checkPath(path string) (string, error) {
	levels := strings.Split(strings.Trim(path, "/"), "/")
	good := strings.HasPrefix(path, "/") && !strings.Contains(path, "//") && len(levels) <= maxLevels
	for _, level := range levels {
		good = good && (path == "/" || nameForm.MatchString(level))
	}
	if !good {
		return "", invalid("The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward slash \"/\". " +
			"It can't be prefixed with \"aws\" or \"ssm\" (case-insensitive). It must use only letters, numbers, or the following symbols: . (period), - (hyphen), _ (underscore). " +
			"Special characters are not allowed. All sub-paths, if specified, must use the forward slash symbol \"/\". Valid example: /get/parameters2-/by1./path0_.")
	}
	return strings.TrimSuffix(path, "/") + "/", nil
}

// GetParameterHistory gives the versions of a parameter, oldest first.
func (r *Room) GetParameterHistory(ctx context.Context, in *wire.GetParameterHistoryInput) (*wire.GetParameterHistoryOutput, error) {
	c, ref, err := see(ctx, "GetParameterHistory", in.Name)
	if err != nil {
		return nil, err
	}
	if ref.selector != "" {
		return nil, notFound(in.Name)
	}
	token, err := parsePageToken(in.NextToken)
	if err != nil {
		return nil, err
	}
	after, _ := strconv.ParseInt(token, 10, 64) // a token of another list begins at the beginning
	limit := 50
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	var out *wire.GetParameterHistoryOutput
	err = r.deps.DB.View(ctx, func(tx *store.Tx) error {
		out = &wire.GetParameterHistoryOutput{Parameters: []wire.ParameterHistory{}}
		newest, err := parameter(ctx, tx, c, in.Name, ref)
		if err != nil {
			return err
		}
		list, err := tx.ListParameterVersions(ctx, c.Account, c.Region, newest.Name, after, limit+1)
		if err != nil {
			return err
		}
		if len(list) > limit {
			list = list[:limit]
			out.NextToken = pageToken(strconv.FormatInt(list[limit-1].Version, 10))
		}
		for _, p := range list {
			var d doc
			if err := d.read(p); err != nil {
				return err
			}
			text, err := value(tx, p, in.WithDecryption)
			if err != nil {
				return err
			}
			out.Parameters = append(out.Parameters, wire.ParameterHistory{
				Name: p.Name, Type: p.Type, KeyId: d.KeyID, LastModifiedDate: &p.Created, LastModifiedUser: d.User, Description: d.Description, Value: text,
				AllowedPattern: d.AllowedPattern, Version: &p.Version, Labels: []string{}, Tier: d.Tier, Policies: []wire.ParameterInlinePolicy{}, DataType: "text",
			})
		}
		return nil
	})
	return out, err
}
