package pipeline

import (
	"fmt"
	"strings"
	"testing"

	"penstock/internal/fault"
)

// teamCity is the type a well-known worker registers.
func teamCity() ActionType {
	return ActionType{
		ID:      ActionTypeID{CategoryBuild, OwnerCustom, "TeamCity", "1"},
		Inputs:  Bounds{0, 5},
		Outputs: Bounds{0, 5},
		Properties: []Property{
			{Name: "TeamCityServerURL", Required: true, Key: true},
			{Name: "BuildConfigurationID", Required: true, Key: true},
			{Name: "ActionID", Required: true, Key: true, Queryable: true},
			{Name: "Note"},
			{Name: "Token", Required: true, Secret: true},
		},
		Settings: Settings{
			EntityURLTemplate:    "{Config:TeamCityServerURL}/viewType.html?buildTypeId={Config:BuildConfigurationID}",
			ExecutionURLTemplate: "{Config:TeamCityServerURL}/viewLog.html?buildId={ExternalExecutionId}&tab=buildResultsDiv",
		},
	}
}

func TestValidateCustomType(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*ActionType)
		text   string
	}{
		"S-296 valid":                     {func(*ActionType) {}, ""},
		"S-296 custom source":             {func(a *ActionType) { a.ID.Category = CategorySource }, ""},
		"S-296 no compute":                {func(a *ActionType) { a.ID.Category = CategoryCompute }, "The category 'Compute' cannot be used for a custom action type. Use one of: Source, Build, Deploy, Test, Invoke, Approval"},
		"S-296 owner":                     {func(a *ActionType) { a.ID.Owner = OwnerAWS }, "The owner of a custom action type is Custom, not 'AWS'"},
		"S-297 M-30 inputs":               {func(a *ActionType) { a.Inputs = Bounds{3, 1} }, "Maximum Number of Artifacts (1) has to be greater than or equal to minimum (3)."},
		"S-297 M-30 outputs":              {func(a *ActionType) { a.Outputs = Bounds{1, 0} }, "Maximum Number of Artifacts (0) has to be greater than or equal to minimum (1)."},
		"S-297 more than five":            {func(a *ActionType) { a.Inputs = Bounds{0, 6} }, "The numbers of artifacts of a custom action type range from 0 to 5, not from 0 to 6"},
		"S-298 M-31 two queryable":        {func(a *ActionType) { a.Properties[0].Queryable = true }, "Multiple queryable configuration properties found with names 'TeamCityServerURL, ActionID'. Up to one queryable property may be specified."},
		"S-298 M-32 optional queryable":   {func(a *ActionType) { a.Properties[2].Required = false }, "Invalid queryable property 'ActionID'. Queryable configuration properties must be required and non-secret."},
		"S-298 M-32 secret queryable":     {func(a *ActionType) { a.Properties[2].Secret = true }, "Invalid queryable property 'ActionID'. Queryable configuration properties must be required and non-secret."},
		"S-298 property twice":            {func(a *ActionType) { a.Properties[3].Name = "Token" }, "The configuration property 'Token' is declared more than once"},
		"S-299 optional property in URL":  {func(a *ActionType) { a.Settings.EntityURLTemplate = "https://h/{Config:Note}" }, "'entityUrlTemplate' refers to the configuration property 'Note'. Templates can refer to required properties that are not secret"},
		"S-299 secret property in URL":    {func(a *ActionType) { a.Settings.ExecutionURLTemplate = "https://h/{Config:Token}" }, "'executionUrlTemplate' refers to the configuration property 'Token'. Templates can refer to required properties that are not secret"},
		"S-299 unknown property in URL":   {func(a *ActionType) { a.Settings.EntityURLTemplate = "https://h/{Config:}" }, "'entityUrlTemplate' refers to the configuration property ''. Templates can refer to required properties that are not secret"},
		"S-299 execution id of an entity": {func(a *ActionType) { a.Settings.EntityURLTemplate = "https://h/{ExternalExecutionId}" }, "'entityUrlTemplate' contains {ExternalExecutionId}, which is known only in 'executionUrlTemplate'"},
		"script address":                  {func(a *ActionType) { a.Settings.EntityURLTemplate = "javascript:alert(1)" }, "'entityUrlTemplate' is not an http or https address"},
		"script configuration address":    {func(a *ActionType) { a.Settings.ThirdPartyConfigurationURL = " data:text/html,x" }, "'thirdPartyConfigurationUrl' is not an http or https address"},
		"port from the configuration":     {func(a *ActionType) { a.Settings.EntityURLTemplate = "http://ci:{Config:BuildConfigurationID}/" }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := teamCity()
			c.change(&a)
			err := ValidateCustomType(a)
			if c.text == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if want := fault.New("ValidationException", "%s", c.text).Error(); err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
	many := teamCity()
	for i := range 10 {
		many.Properties = append(many.Properties, Property{Name: fmt.Sprint("p", i)})
	}
	if err := ValidateCustomType(many); fault.Code(err) != "ValidationException" {
		t.Errorf("S-298: %d properties: %v", len(many.Properties), err)
	}
}

// S-299: addresses are filled from the configuration and become links, so only complete http
// addresses come out, and never a secret.
func TestURLTemplates(t *testing.T) {
	t.Parallel()
	typ := teamCity()
	config := map[string]string{"TeamCityServerURL": "https://ci.example.com", "BuildConfigurationID": "app", "Token": "s3cr3t"}
	if got, want := typ.EntityURL(config), "https://ci.example.com/viewType.html?buildTypeId=app"; got != want {
		t.Errorf("entity %q, want %q", got, want)
	}
	if got, want := typ.ExecutionURL(config, "42"), "https://ci.example.com/viewLog.html?buildId=42&tab=buildResultsDiv"; got != want {
		t.Errorf("execution %q, want %q", got, want)
	}
	if got := typ.ExecutionURL(config, ""); got != "" {
		t.Errorf("execution without an id: %q", got)
	}
	if got := typ.EntityURL(nil); got != "" {
		t.Errorf("entity without a configuration: %q", got)
	}
	if got := (ActionType{}).EntityURL(config); got != "" {
		t.Errorf("no template: %q", got)
	}
	config["TeamCityServerURL"] = "javascript:alert(1)//"
	if got := typ.EntityURL(config); got != "" {
		t.Errorf("script address %q", got)
	}
	leak := teamCity()
	leak.Settings.EntityURLTemplate = "https://h/{Config:Token}"
	if got := leak.EntityURL(config); strings.Contains(got, "s3cr3t") || got != "" {
		t.Errorf("secret in an address: %q", got)
	}
	spaces := ActionType{Properties: []Property{{Name: "Job", Required: true}}, Settings: Settings{EntityURLTemplate: "http://ci/job/{Config:Job}/"}}
	if got, want := spaces.EntityURL(map[string]string{"Job": "a b/{Config:Job}"}), "http://ci/job/a%20b/%7BConfig:Job%7D/"; got != want {
		t.Errorf("values are text: %q, want %q", got, want)
	}
}
