package pipeline

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"penstock/internal/fault"
)

// configuration is the configuration of an action or a rule under validation.
type configuration struct {
	code, kind, name string
	path             string
	// typeName names the type in messages.
	typeName   string
	properties []Property
	anyKey     bool
	values     map[string]string
}

// The types of a configuration value (S-298).
const (
	PropertyString  = "String"
	PropertyNumber  = "Number"
	PropertyBoolean = "Boolean"
)

var queryableValue = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// configuration checks the configuration of an action (S-36, S-53).
func (v *validator) configuration(a subject) error {
	c := configuration{
		code: invalidAction, kind: "action", name: a.Name, path: a.path + ".configuration",
		typeName: a.t.ID.Provider, properties: a.t.Properties, anyKey: a.t.AnyKey, values: a.Configuration,
	}
	if err := c.check(v.limits); err != nil {
		return err
	}
	for _, key := range sortedKeys(a.Configuration) {
		if a.Configuration[key] != SecretMask || !a.t.IsSecret(key) {
			continue
		}
		if _, ok := v.secrets.find(a.stage, a.Action, key); !ok {
			return lostSecret(a.stage, a.Action, key)
		}
	}
	if check, ok := builtinRules[builtinRule{a.t.ID.Owner, a.t.ID.Category, a.t.ID.Provider}]; ok {
		return check(v, c, a)
	}
	return nil
}

// check holds keys and values against the properties of the type. Values are looked at as
// written, so one that holds a reference can be anything (S-277).
func (c configuration) check(limits Limits) error {
	properties := make(map[string]*Property, len(c.properties))
	for i := range c.properties {
		p := &c.properties[i]
		properties[p.Name] = p
		if p.Required && c.values[p.Name] == "" {
			return c.missing(p.Name)
		}
	}
	for _, key := range sortedKeys(c.values) {
		value := c.values[key]
		if value == "" || utf8.RuneCountInString(value) > limits.ConfigurationValue {
			return violation(c.path, "Map value must satisfy constraint: ["+tooLong+", "+tooShort+"]", limits.ConfigurationValue, 1)
		}
		p, ok := properties[key]
		if !ok && !c.anyKey {
			return c.unknown(key)
		}
		if ok && !reference.MatchString(value) {
			if err := c.value(p, value, limits); err != nil {
				return err
			}
		}
	}
	return nil
}

// title is the kind at the start of a sentence.
func (c configuration) title() string { return strings.ToUpper(c.kind[:1]) + c.kind[1:] }

// missing is M-19.
func (c configuration) missing(key string) error {
	return fault.New(c.code, "%s configuration for %s '%s' is missing required configuration '%s'", c.title(), c.kind, c.name, key)
}

func (c configuration) unknown(key string) error {
	var names []string
	near := ""
	for _, p := range c.properties {
		names = append(names, p.Name)
		if strings.EqualFold(p.Name, key) {
			near = " Did you mean '" + p.Name + "'?"
		}
	}
	known := c.typeName + " takes no configuration"
	if len(names) > 0 {
		known = "The configuration of " + c.typeName + " is: " + strings.Join(names, ", ")
	}
	return fault.New(c.code, "%s configuration for %s '%s' contains unknown configuration '%s'.%s %s", c.title(), c.kind, c.name, key, near, known)
}

func (c configuration) value(p *Property, value string, limits Limits) error {
	ok, want := true, ""
	switch {
	case len(p.Values) > 0:
		ok, want = false, "one of: "+strings.Join(p.Values, ", ")
		for _, allowed := range p.Values {
			ok = ok || value == allowed
		}
	case p.Type == PropertyBoolean:
		ok, want = strings.EqualFold(value, "true") || strings.EqualFold(value, "false"), "true or false"
	case p.Type == PropertyNumber:
		_, err := strconv.ParseFloat(value, 64)
		ok, want = err == nil, "a number"
	}
	if ok && p.Queryable {
		ok = limits.Queryable(value)
		want = "at most " + strconv.Itoa(limits.QueryableValue) + " characters of A-Z, a-z, 0-9, _ and -, because job workers are asked by it"
	}
	if ok || p.Secret && value == SecretMask {
		return nil
	}
	if p.Secret {
		value = SecretMask
	}
	return fault.New(c.code, "The value '%s' of configuration '%s' for %s '%s' is not valid. It must be %s", excerpt(value), p.Name, c.kind, c.name, want)
}

// excerpt keeps a quoted value short.
func excerpt(value string) string {
	if short := cut(value, 60); short != value {
		return short + "…"
	}
	return value
}

// builtinRule names the types that have rules of their own beyond their properties.
type builtinRule struct{ owner, category, provider string }

var builtinRules = map[builtinRule]func(*validator, configuration, subject) error{
	{OwnerAWS, CategoryDeploy, "S3"}:       s3Deploy,
	{OwnerAWS, CategoryBuild, "CodeBuild"}: primarySource,
	{OwnerAWS, CategoryTest, "CodeBuild"}:  primarySource,
	{OwnerAWS, CategoryApproval, "Manual"}: manualApproval,
}

func isManualApproval(id ActionTypeID) bool {
	return id.Owner == OwnerAWS && id.Category == CategoryApproval && id.Provider == "Manual"
}

// s3Deploy: an archive that is not unpacked needs a name (S-53).
func s3Deploy(_ *validator, c configuration, a subject) error {
	if strings.EqualFold(a.Configuration["Extract"], "false") && a.Configuration["ObjectKey"] == "" {
		return c.missing("ObjectKey")
	}
	return nil
}

// primarySource: of several inputs one holds the buildspec (S-52).
func primarySource(_ *validator, c configuration, a subject) error {
	primary := a.Configuration["PrimarySource"]
	if primary == "" {
		if len(a.InputArtifacts) > 1 {
			return c.missing("PrimarySource")
		}
		return nil
	}
	for _, input := range a.InputArtifacts {
		if input.Name == primary {
			return nil
		}
	}
	if reference.MatchString(primary) {
		return nil
	}
	return fault.New(invalidAction, "The value '%s' of configuration 'PrimarySource' for action '%s' is not valid. It must be the name of an input artifact of the action", excerpt(primary), a.Name)
}

func manualApproval(v *validator, c configuration, a subject) error {
	if err := notification(v, c, a); err != nil {
		return err
	}
	return approvers(v, c, a)
}

// notification checks the topic of a manual approval (S-220: M-25).
func notification(v *validator, _ configuration, a subject) error {
	arn := a.Configuration["NotificationArn"]
	if arn == "" || reference.MatchString(arn) {
		return nil
	}
	parts := strings.Split(arn, ":")
	switch {
	case len(parts) < 6 || parts[0] != "arn" || !strings.HasPrefix(parts[1], "aws") || parts[2] == "" || parts[5] == "":
		return fault.New(invalidAction, "The ARN %s you specified for sending notifications for the approval action %s contains a format error.", arn, a.Name)
	case parts[2] != "sns":
		return fault.New(invalidAction, "The ARN %s has been specified for sending notifications for the approval action %s, "+
			"but the AWS service for this ARN cannot be used to send approval requests.", arn, a.Name)
	case len(parts) != 6 || parts[3] == "" || !accountID.MatchString(parts[4]):
		return fault.New(invalidAction, "The ARN %s you specified for sending notifications for the approval action %s contains a format error.", arn, a.Name)
	case parts[3] != v.env.Region:
		return fault.New(invalidAction, "The ARN %s has been specified for sending notifications for the approval action %s, "+
			"but the ARN is not in the same region as the pipeline.", arn, a.Name)
	}
	return nil
}
