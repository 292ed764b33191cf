package pipeline

import (
	"cmp"
	"sync"
	"time"
)

// RuleType describes a type of rule of stage conditions (S-212 to S-217).
type RuleType struct {
	ID RuleTypeID `json:"id"`
	// Inputs bound the number of input artifacts.
	Inputs     Bounds     `json:"inputArtifactDetails"`
	Properties []Property `json:"ruleConfigurationProperties,omitempty"`
	Settings   Settings   `json:"settings,omitzero"`
	// Timeout ends a rule as Failed unless the rule declares its own (S-211).
	Timeout time.Duration `json:"timeout,omitempty"`
	// Unavailable says why no rule of this type can run on this server yet.
	Unavailable string `json:"unavailable,omitempty"`
}

// BuiltinRuleTypes are the rule types every server knows, ordered by provider. The result is
// a fresh copy.
func BuiltinRuleTypes() []RuleType {
	codeBuild := codeBuildKeys()[:4:4]
	for _, key := range codeBuildKeys() {
		if key.Name == "EnvironmentVariables" {
			codeBuild = append(codeBuild, key)
		}
	}
	return []RuleType{
		rule("CloudWatchAlarm", none, time.Hour,
			required("AlarmName", "Alarm that is looked at.").identity(),
			optional("AlarmStates", "States that fail the rule, separated by commas: ALARM, OK, INSUFFICIENT_DATA; ALARM if left out."),
			number("WaitTime", "Minutes the alarm is given to leave these states."),
		),
		rule("CodeBuild", between(1, 5), time.Hour, codeBuild...),
		rule(commandsProvider, upTo(10), 55*time.Minute),
		rule("DeploymentWindow", none, time.Hour,
			required("Cron", "Times at which the stage may go on: seconds, minutes, hours, day of month, month, day of week and maybe year."),
			optional("TimeZone", "Time zone of the expression, such as Europe/Berlin or UTC+02:00; UTC if left out."),
		),
		rule("LambdaInvoke", upTo(5), time.Hour,
			required("FunctionName", "Function that decides.").identity(),
			optional("UserParameters", "Text that is handed to the function."),
		),
		rule("VariableCheck", none, time.Hour,
			required("Variable", "Reference to the variable that is compared."),
			required("Value", "Value the variable is compared with."),
			choice("Operator", "How they are compared: equal, not equal, part of it, or a regular expression.", "EQ", "NE", "CONTAINS", "MATCHES").must(),
		),
	}
}

func rule(provider string, inputs Bounds, timeout time.Duration, properties ...Property) RuleType {
	return RuleType{
		ID:         RuleTypeID{Category: CategoryRule, Owner: OwnerAWS, Provider: provider, Version: "1"},
		Inputs:     inputs,
		Properties: properties,
		Timeout:    timeout,
		Unavailable: "This server does not run the rule type " + provider +
			" yet: definitions may use it, but a rule of this type fails when its turn comes.",
	}
}

// ActionType is the id under which workers do rules of the type: a rule is a job like an action.
func (id RuleTypeID) ActionType() ActionTypeID {
	return ActionTypeID{Category: CategoryRule, Owner: cmp.Or(id.Owner, OwnerAWS), Provider: id.Provider, Version: cmp.Or(id.Version, "1")}
}

// ActionType describes the type to workers.
func (t RuleType) ActionType() ActionType {
	return ActionType{ID: t.ID.ActionType(), Inputs: t.Inputs, Properties: t.Properties, Settings: t.Settings, Timeout: t.Timeout,
		V2Only: true, Unavailable: t.Unavailable}
}

// RunnableRule is the built-in rule type of a provider as one that runs it describes it. The
// type must exist.
func RunnableRule(provider string) ActionType {
	t := ruleTypes()[RuleTypeID{Category: CategoryRule, Owner: OwnerAWS, Provider: provider, Version: "1"}].ActionType()
	if t.Timeout == 0 {
		panic("pipeline: there is no rule type " + provider)
	}
	t.Unavailable = ""
	return t
}

// Place is where a stage has a condition (S-199).
type Place string

// The places of conditions.
const (
	BeforeEntry Place = "BEFORE_ENTRY"
	OnSuccess   Place = "ON_SUCCESS"
	OnFailure   Place = "ON_FAILURE"
)

// Places are all places, in the order of their turn.
var Places = [...]Place{BeforeEntry, OnSuccess, OnFailure}

// Condition gives the condition the stage has at a place, or nil. There is at most one (S-29).
func (s *Stage) Condition(p Place) *Condition {
	var list []Condition
	switch {
	case p == BeforeEntry && s.BeforeEntry != nil:
		list = s.BeforeEntry.Conditions
	case p == OnSuccess && s.OnSuccess != nil:
		list = s.OnSuccess.Conditions
	case p == OnFailure && s.OnFailure != nil:
		list = s.OnFailure.Conditions
	}
	if len(list) == 0 {
		return nil
	}
	return &list[0]
}

// ruleTypes finds the built-in rule types by id.
var ruleTypes = sync.OnceValue(func() map[RuleTypeID]RuleType {
	byID := map[RuleTypeID]RuleType{}
	for _, t := range BuiltinRuleTypes() {
		byID[t.ID] = t
	}
	return byID
})
