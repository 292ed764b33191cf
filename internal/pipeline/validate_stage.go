package pipeline

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"penstock/internal/fault"
)

// stages checks each stage apart from what its actions say.
func (v *validator) stages() error {
	seen := make(map[string]bool, len(v.d.Stages))
	for i := range v.d.Stages {
		s := &v.d.Stages[i]
		if seen[s.Name] {
			return v.at(fault.New(invalidStage, "Stage name '%s' is used more than once", s.Name), "pipeline.stages.%d.member", i+1)
		}
		seen[s.Name] = true
		if err := v.stage(i, s); err != nil {
			return v.at(err, "pipeline.stages.%d.member", i+1)
		}
	}
	return nil
}

func (v *validator) stage(i int, s *Stage) error {
	if len(s.Actions) == 0 {
		return fault.New(invalidStage, "Stage '%s' has no actions. There should be a minimum of 1 action in a stage", s.Name)
	}
	if len(s.Actions) > v.limits.ActionsPerStage {
		return fault.New(invalidStage, "Stage '%s' has too many actions. There can only be up to %d actions in a stage", s.Name, v.limits.ActionsPerStage)
	}
	if err := checkBlockers(s); err != nil {
		return err
	}
	names := make(map[string]bool, len(s.Actions))
	for j := range s.Actions {
		if name := s.Actions[j].Name; names[name] {
			return v.at(fault.New(invalidStage, "Action name '%s' is used more than once in stage '%s'", name, s.Name),
				"pipeline.stages.%d.member.actions.%d.member", i+1, j+1)
		}
		names[s.Actions[j].Name] = true
	}
	return v.conditions(i, s)
}

// checkBlockers takes well-formed blockers, which have no effect (S-28).
func checkBlockers(s *Stage) error {
	seen := map[string]bool{}
	for _, b := range s.Blockers {
		switch {
		case b.Name == "":
			return fault.New(invalidBlocker, "A blocker of stage '%s' has no name", s.Name)
		case b.Type != "Schedule":
			return fault.New(invalidBlocker, "Blocker '%s' of stage '%s' has the type '%s'. The only type is Schedule", b.Name, s.Name, b.Type)
		case seen[b.Name]:
			return fault.New(invalidBlocker, "Blocker name '%s' is used more than once in stage '%s'", b.Name, s.Name)
		}
		seen[b.Name] = true
	}
	return nil
}

// The results of conditions (S-199).
const (
	ResultFail     = "FAIL"
	ResultSkip     = "SKIP"
	ResultRollback = "ROLLBACK"
	ResultRetry    = "RETRY"
)

// gate is one of the three places of a stage that hold conditions.
type gate struct {
	name       string
	title      string
	results    []string
	conditions []Condition
	// last says that the rules run after the actions of the stage.
	last bool
}

func (s *Stage) gates() []gate {
	var out []gate
	if s.BeforeEntry != nil {
		out = append(out, gate{"beforeEntry", "Entry", []string{ResultFail, ResultSkip}, s.BeforeEntry.Conditions, false})
	}
	if s.OnSuccess != nil {
		out = append(out, gate{"onSuccess", "Success", []string{ResultRollback, ResultFail}, s.OnSuccess.Conditions, true})
	}
	if s.OnFailure != nil {
		out = append(out, gate{"onFailure", "Failure", []string{ResultRollback}, s.OnFailure.Conditions, true})
	}
	return out
}

// conditions checks the conditions of a stage (S-29 to S-31, S-199).
func (v *validator) conditions(i int, s *Stage) error {
	gates := s.gates()
	if len(gates) > 0 && v.pipelineType != V2 {
		return fault.New(invalidStage, "Stage level conditions can only be used with V2 pipelines.")
	}
	for _, g := range gates {
		if g.name == "onFailure" {
			if err := v.failure(s); err != nil {
				return err
			}
			if len(g.conditions) == 0 {
				continue
			}
		}
		if err := v.gate(i, s, g); err != nil {
			return err
		}
	}
	return nil
}

// failure checks the part of onFailure that is not a condition (S-30, S-179: M-15).
func (v *validator) failure(s *Stage) error {
	f := s.OnFailure
	switch {
	case f.Result != "" && len(f.Conditions) > 0:
		return fault.New(invalidStage, "The following stage cannot have a failure exit gate configured with both top level result and conditions: '%s'", s.Name)
	case f.Result == "" && len(f.Conditions) == 0:
		return fault.New(invalidStage, "'onFailure' of stage '%s' has neither a result nor conditions. Give it exactly one of them", s.Name)
	case f.Result != "" && f.Result != ResultRollback && f.Result != ResultRetry:
		return fault.New(invalidStage, "The result '%s' cannot be used in 'onFailure' of stage '%s'. Use one of: ROLLBACK, RETRY", f.Result, s.Name)
	case f.RetryConfiguration != nil && f.Result != ResultRetry:
		return fault.New(invalidStage, "'onFailure' of stage '%s' has a 'retryConfiguration', which needs the result RETRY", s.Name)
	case f.RetryConfiguration != nil && !slices.Contains([]RetryMode{"", FailedActions, AllActions}, f.RetryConfiguration.RetryMode):
		return fault.New(invalidStage, "The retry mode '%s' of stage '%s' is not known. Use one of: FAILED_ACTIONS, ALL_ACTIONS", f.RetryConfiguration.RetryMode, s.Name)
	case f.Result == ResultRollback:
		return v.rollback("Failure")
	}
	return nil
}

// rollback refuses ROLLBACK in PARALLEL mode (S-31: M-16).
func (v *validator) rollback(title string) error {
	if v.d.ExecutionMode == Parallel {
		return fault.New(invalidStage, "%s conditions with rollback result type cannot be added to a PARALLEL pipeline.", title)
	}
	return nil
}

func (v *validator) gate(i int, s *Stage, g gate) error {
	if len(g.conditions) != 1 {
		return fault.New(invalidStage, "'%s' of stage '%s' has %d conditions. It must have exactly 1", g.name, s.Name, len(g.conditions))
	}
	c := &g.conditions[0]
	if !slices.Contains(g.results, c.Result) {
		return fault.New(invalidStage, "The result '%s' cannot be used in a condition in '%s' of stage '%s'. Use one of: %s",
			c.Result, g.name, s.Name, strings.Join(g.results, ", "))
	}
	if c.Result == ResultRollback {
		if err := v.rollback(g.title); err != nil {
			return err
		}
	}
	if n := len(c.Rules); n == 0 || n > maxRules {
		return fault.New(invalidStage, "The condition in '%s' of stage '%s' has %d rules. It must have from 1 to %d", g.name, s.Name, n, maxRules)
	}
	at := place{stage: i}
	if g.last {
		at.order = math.MaxInt
	}
	seen := map[string]bool{}
	for k := range c.Rules {
		r := &c.Rules[k]
		if seen[r.Name] {
			return fault.New(invalidStage, "Rule name '%s' is used more than once in '%s' of stage '%s'", r.Name, g.name, s.Name)
		}
		seen[r.Name] = true
		path := fmt.Sprintf("pipeline.stages.%d.member.%s.conditions.1.member.rules.%d.member", i+1, g.name, k+1)
		if err := v.rule(path, s, r, c.Result, at); err != nil {
			return v.at(err, "%s", path)
		}
	}
	return nil
}

// rule checks one rule of a condition (S-32, S-205).
func (v *validator) rule(path string, s *Stage, r *Rule, result string, at place) error {
	id := RuleTypeID{r.RuleTypeID.Category, cmp.Or(r.RuleTypeID.Owner, OwnerAWS), r.RuleTypeID.Provider, cmp.Or(r.RuleTypeID.Version, "1")}
	t, ok := ruleTypes()[id]
	if !ok {
		return fault.New(invalidStage, "RuleType (Category: '%s', Provider: '%s', Owner: '%s', Version: '%s') in rule '%s' is not available in region '%s'",
			id.Category, id.Provider, id.Owner, id.Version, r.Name, shout(cmp.Or(r.Region, v.env.Region)))
	}
	if result == ResultSkip && id.Provider != "LambdaInvoke" && id.Provider != "VariableCheck" {
		return fault.New(invalidStage, "Rule '%s' of stage '%s' cannot be used with the result SKIP. Only the rules LambdaInvoke and VariableCheck can", r.Name, s.Name)
	}
	if r.TimeoutInMinutes != 0 && (r.TimeoutInMinutes < minTimeout || r.TimeoutInMinutes > maxTimeout) {
		return timeoutViolation(path+".timeoutInMinutes", r.TimeoutInMinutes)
	}
	if err := checkCount(invalidStage, "Rule", r.Name, "input", len(r.InputArtifacts), t.Inputs); err != nil {
		return err
	}
	for _, input := range r.InputArtifacts {
		if from, ok := v.outputs[input.Name]; !ok || !from.before(at) {
			return fault.New(invalidAction, "Input Artifact Bundle %s in rule %s is not declared as Output Artifact Bundle in any of the preceding actions", input.Name, r.Name)
		}
	}
	if err := checkCommands(invalidStage, "Rule", r.Name, r.Commands, id.Provider == commandsProvider); err != nil {
		return err
	}
	c := configuration{
		code: invalidStage, kind: "rule", name: r.Name, path: path + ".configuration",
		typeName: id.Provider, properties: t.Properties, values: r.Configuration,
	}
	if err := c.check(v.limits); err != nil {
		return err
	}
	user := referrer{stage: s.Name, kind: "Rule", name: r.Name, at: at}
	return v.references(user, r.texts)
}
