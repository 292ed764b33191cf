package pipeline

import (
	"net/url"
	"regexp"
	"strings"

	"penstock/internal/fault"
)

// Bounds of a custom action type (S-297, S-298).
const (
	maxCustomArtifacts = 5
	// maxDeclaredArtifacts is that of a type that is declared whole (S-301).
	maxDeclaredArtifacts = 10
	maxCustomProperties  = 10
)

// placeholder is a field of a URL template: {Config:name} or {ExternalExecutionId} (S-299).
var placeholder = regexp.MustCompile(`\{(Config:[^{}]*|ExternalExecutionId)\}`)

// ValidateCustomType says whether the service would take a custom action type (S-296 to
// S-299, A-3: M-30 to M-32). Lengths and patterns are the wire's to check.
func ValidateCustomType(t ActionType) error {
	switch t.ID.Category {
	case CategorySource, CategoryBuild, CategoryDeploy, CategoryTest, CategoryInvoke, CategoryApproval:
	default:
		return fault.New(invalidValue, "The category '%s' cannot be used for a custom action type. "+
			"Use one of: Source, Build, Deploy, Test, Invoke, Approval", t.ID.Category)
	}
	if t.ID.Owner != OwnerCustom {
		return fault.New(invalidValue, "The owner of a custom action type is Custom, not '%s'", t.ID.Owner)
	}
	return t.check(maxCustomArtifacts)
}

// ValidateDeclaredType says whether the service would take an action type of a third party
// that is declared whole (S-301, A-43). Lengths and patterns are the wire's to check.
func ValidateDeclaredType(t ActionType) error {
	if t.ID.Owner != OwnerThirdParty {
		return fault.New(invalidValue, "Only action types of the owner ThirdParty can be declared on this server, not of '%s'", t.ID.Owner)
	}
	if t.ID.Category == CategoryApproval || t.ID.Category == CategoryCompute {
		return fault.New(invalidValue, "The category '%s' cannot be used for an action type of a third party", t.ID.Category)
	}
	return t.check(maxDeclaredArtifacts)
}

// check holds what both kinds of types keep to.
func (t ActionType) check(artifacts int) error {
	for _, bounds := range []Bounds{t.Inputs, t.Outputs} {
		if bounds.Min < 0 || bounds.Max > artifacts {
			return fault.New(invalidValue, "The numbers of artifacts of a custom action type range from 0 to %d, not from %d to %d", artifacts, bounds.Min, bounds.Max)
		}
		if bounds.Min > bounds.Max {
			return fault.New(invalidValue, "Maximum Number of Artifacts (%d) has to be greater than or equal to minimum (%d).", bounds.Max, bounds.Min)
		}
	}
	if err := checkProperties(t.Properties); err != nil {
		return err
	}
	for _, template := range []struct {
		name, text string
		perRun     bool
	}{
		{"entityUrlTemplate", t.Settings.EntityURLTemplate, false},
		{"executionUrlTemplate", t.Settings.ExecutionURLTemplate, true},
		{"revisionUrlTemplate", t.Settings.RevisionURLTemplate, true},
		{"thirdPartyConfigurationUrl", t.Settings.ThirdPartyConfigurationURL, false},
	} {
		if err := t.checkTemplate(template.name, template.text, template.perRun); err != nil {
			return err
		}
	}
	return nil
}

func checkProperties(properties []Property) error {
	if len(properties) > maxCustomProperties {
		return violation("configurationProperties", tooLong, maxCustomProperties)
	}
	seen := map[string]bool{}
	var queryable []string
	for _, p := range properties {
		if seen[p.Name] {
			return fault.New(invalidValue, "The configuration property '%s' is declared more than once", p.Name)
		}
		seen[p.Name] = true
		if p.Queryable {
			queryable = append(queryable, p.Name)
		}
	}
	if len(queryable) > 1 {
		return fault.New(invalidValue, "Multiple queryable configuration properties found with names '%s'. Up to one queryable property may be specified.",
			strings.Join(queryable, ", "))
	}
	for _, p := range properties {
		if p.Queryable && (!p.Required || p.Secret) {
			return fault.New(invalidValue, "Invalid queryable property '%s'. Queryable configuration properties must be required and non-secret.", p.Name)
		}
	}
	return nil
}

// checkTemplate refuses what could not be filled, and addresses a browser would run as code.
func (t ActionType) checkTemplate(name, text string, perRun bool) error {
	for _, m := range placeholder.FindAllStringSubmatch(text, -1) {
		key, isConfig := strings.CutPrefix(m[1], "Config:")
		if !isConfig && !perRun {
			return fault.New(invalidValue, "'%s' contains %s, which is known only in 'executionUrlTemplate'", name, m[0])
		}
		if isConfig && !t.linkable(key) {
			return fault.New(invalidValue, "'%s' refers to the configuration property '%s'. Templates can refer to required properties that are not secret", name, key)
		}
	}
	if text != "" && !strings.HasPrefix(text, "{Config:") && webAddress(placeholder.ReplaceAllLiteralString(text, "1")) == "" {
		return fault.New(invalidValue, "'%s' is not an http or https address", name)
	}
	return nil
}

// linkable says whether a property may appear in an address.
func (t ActionType) linkable(name string) bool {
	p, ok := t.Property(name)
	return ok && p.Required && !p.Secret
}

// EntityURL gives the address of what an action works on, or "" if the type has none or it
// can not be filled (S-299).
func (t ActionType) EntityURL(configuration map[string]string) string {
	return t.fill(t.Settings.EntityURLTemplate, configuration, "")
}

// ExecutionURL gives the address of one run, or "" if the type has none or the external id
// it needs is not known yet (S-299).
func (t ActionType) ExecutionURL(configuration map[string]string, externalID string) string {
	return t.fill(t.Settings.ExecutionURLTemplate, configuration, externalID)
}

func (t ActionType) fill(template string, configuration map[string]string, externalID string) string {
	complete := true
	text := placeholder.ReplaceAllStringFunc(template, func(field string) string {
		name := field[1 : len(field)-1]
		value := externalID
		if key, ok := strings.CutPrefix(name, "Config:"); ok {
			value = ""
			if t.linkable(key) {
				value = configuration[key]
			}
		}
		complete = complete && value != ""
		return value
	})
	if !complete {
		return ""
	}
	return webAddress(text)
}

// webAddress gives the address if it is an absolute http or https one, else "". Values come
// from users and the result becomes a link, so nothing else may pass.
func webAddress(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return ""
	}
	return u.String()
}
