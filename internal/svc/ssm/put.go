package ssm

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"strings"

	wire "penstock/internal/api/ssm"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

const (
	standard    = "Standard"
	advanced    = "Advanced"
	intelligent = "Intelligent-Tiering"

	maxStandard = 4096
	maxAdvanced = 8192

	defaultKey = "alias/aws/ssm"
)

// PutParameter makes a parameter, or with Overwrite a new version of one.
func (r *Room) PutParameter(ctx context.Context, in *wire.PutParameterInput) (*wire.PutParameterOutput, error) {
	c, err := allow(ctx, "PutParameter", in.Name)
	if err != nil {
		return nil, err
	}
	if len(in.Tags) > 0 {
		if err := auth.Check(ctx, "ssm:AddTagsToResource", parameterARN(c, in.Name)); err != nil {
			return nil, err
		}
	}
	if err := checkPut(c, in); err != nil {
		return nil, err
	}
	overwrite := in.Overwrite != nil && *in.Overwrite
	out := &wire.PutParameterOutput{}
	err = r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		version, err := tx.NextParameter(ctx, c.Account, c.Region, in.Name)
		if err != nil {
			return err
		}
		var d doc
		p := store.Parameter{Account: c.Account, Region: c.Region, Name: in.Name, Version: version, Type: in.Type}
		switch {
		case version > 1 && !overwrite:
			return fault.New("ParameterAlreadyExists", "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.")
		case version > 1:
			err = inherit(ctx, tx, &p, &d)
		case in.Type == "":
			err = invalid("A parameter type is required when you create a parameter.")
		default:
			err = room(ctx, tx, c)
		}
		if err != nil {
			return err
		}
		if err := change(&p, &d, in, c); err != nil {
			return err
		}
		for _, t := range in.Tags {
			if err := tx.PutTag(ctx, tagged(c, in.Name), store.Tag{Key: t.Key, Value: t.Value}); err != nil {
				return err
			}
		}
		out.Version, out.Tier = &p.Version, d.Tier
		return tx.PutParameter(ctx, p, store.Secret(in.Value), maxVersions)
	})
	return out, err
}

// checkPut refuses what is wrong with an input whatever there is already.
func checkPut(c auth.Caller, in *wire.PutParameterInput) error {
	if err := checkName(c, in.Name); err != nil {
		return err
	}
	if err := checkTags(in.Tags); err != nil {
		return err
	}
	switch {
	case in.Value == "":
		return invalid("1 validation error detected: Value at 'value' failed to satisfy constraint: Member must have length greater than or equal to 1.")
	case len(in.Tags) > 0 && in.Overwrite != nil && *in.Overwrite:
		return invalid("Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please remove overwrite flag. " +
			"To update tags for an existing parameter, please use AddTagsToResource or RemoveTagsFromResource.")
	case strings.Trim(in.Policies, " \t\r\n") != "" && strings.Trim(in.Policies, " \t\r\n[]{}") != "":
		return invalid("Policies: this server has no parameter policies; nothing would end or announce the parameter.")
	case in.DataType != "" && in.DataType != "text":
		return invalid("DataType %q: this server has parameters of the data type text only.", in.DataType)
	case len(in.Value) > maxAdvanced:
		return invalid("Advanced tier parameters support a maximum parameter value of %d characters.", maxAdvanced)
	case in.Tier == standard && len(in.Value) > maxStandard:
		return tooLarge()
	}
	return nil
}

func tooLarge() error {
	return invalid("Standard tier parameters support a maximum parameter value of %d characters. To create a larger parameter value, upgrade the parameter to use the advanced-parameter tier.", maxStandard)
}

// room refuses a new parameter over the limit. The one that is being made is counted already.
func room(ctx context.Context, tx *store.Tx, c auth.Caller) error {
	n, err := tx.CountParameters(ctx, c.Account, c.Region)
	if err == nil && n > maxParameters {
		err = fault.New("ParameterLimitExceeded", "You have exceeded the number of parameters for this AWS account: %d. Delete one or more parameters and try again.", maxParameters)
	}
	return err
}

// inherit starts a version with what the one before has.
func inherit(ctx context.Context, tx *store.Tx, p *store.Parameter, d *doc) error {
	old, err := tx.ParameterVersion(ctx, p.Account, p.Region, p.Name, p.Version-1)
	if err != nil {
		if errors.Is(err, store.ErrNotFound) {
			err = errors.New("ssm: the newest version of a parameter is missing")
		}
		return err
	}
	if p.Type != "" && p.Type != old.Type {
		return fault.New("HierarchyTypeMismatchException", "Parameter Store does not support changing a parameter type: %s is a %s. You must create a new, unique parameter.", p.Name, old.Type)
	}
	p.Type = old.Type
	return d.read(old)
}

// change puts what the input says into a version and its document.
func change(p *store.Parameter, d *doc, in *wire.PutParameterInput, c auth.Caller) error {
	d.User = c.ARN
	if in.Description != nil {
		d.Description = *in.Description
	}
	// A pattern holds for the version it was given with.
	d.AllowedPattern = in.AllowedPattern
	switch {
	case in.KeyId != "" && p.Type != secure:
		return invalid("KeyId: only parameters of the type SecureString are encrypted with a key of yours.")
	case in.KeyId != "":
		d.KeyID = in.KeyId
	case p.Type == secure && d.KeyID == "":
		d.KeyID = defaultKey
	}
	if err := d.raise(in); err != nil {
		return err
	}
	if in.AllowedPattern != "" {
		pattern, err := regexp.Compile("^(?:" + in.AllowedPattern + ")$")
		if err != nil {
			return fault.New("InvalidAllowedPatternException", "The allowed pattern is not a valid regular expression: %s", in.AllowedPattern)
		}
		if !pattern.MatchString(in.Value) {
			return fault.New("ParameterPatternMismatchException", "Parameter value, cannot be validated against allowedPattern: %s", in.AllowedPattern)
		}
	}
	text, err := json.Marshal(d)
	p.Doc = string(text)
	return err
}

// raise sets the tier. It never becomes a lower one: the value could be cut.
func (d *doc) raise(in *wire.PutParameterInput) error {
	switch {
	case d.Tier == advanced && in.Tier == standard:
		return invalid("This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the advanced-parameter tier to the standard-parameter tier. " +
			"If necessary, you can delete the advanced parameter and recreate it as a standard parameter.")
	case in.Tier == advanced || in.Tier == intelligent && len(in.Value) > maxStandard:
		d.Tier = advanced
	case d.Tier == "":
		d.Tier = standard
	}
	if d.Tier == standard && len(in.Value) > maxStandard {
		return tooLarge()
	}
	return nil
}

// DeleteParameter removes a parameter.
func (r *Room) DeleteParameter(ctx context.Context, in *wire.DeleteParameterInput) (*wire.DeleteParameterOutput, error) {
	found, err := r.remove(ctx, "DeleteParameter", []string{in.Name})
	if err == nil && len(found) == 0 {
		err = notFound(in.Name)
	}
	return &wire.DeleteParameterOutput{}, err
}

// DeleteParameters removes up to ten parameters, and tells which there were not.
func (r *Room) DeleteParameters(ctx context.Context, in *wire.DeleteParametersInput) (*wire.DeleteParametersOutput, error) {
	found, err := r.remove(ctx, "DeleteParameters", in.Names)
	if err != nil {
		return nil, err
	}
	out := &wire.DeleteParametersOutput{DeletedParameters: []string{}, InvalidParameters: []string{}}
	for _, name := range in.Names {
		if found[name] {
			out.DeletedParameters = append(out.DeletedParameters, name)
		} else {
			out.InvalidParameters = append(out.InvalidParameters, name)
		}
	}
	return out, nil
}

func (r *Room) remove(ctx context.Context, operation string, names []string) (found map[string]bool, err error) {
	for _, name := range names {
		if _, err := allow(ctx, operation, name); err != nil {
			return nil, err
		}
	}
	c := auth.From(ctx)
	err = r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		found = map[string]bool{}
		for _, name := range names {
			if !anyName.MatchString(name) {
				continue
			}
			ok, err := tx.DeleteParameter(ctx, c.Account, c.Region, name)
			if err != nil {
				return err
			}
			if ok {
				found[name] = true
				if err := tx.DeleteTags(ctx, tagged(c, name)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return found, err
}
