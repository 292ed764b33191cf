package pipeline

import (
	"cmp"
	"fmt"
	"strings"

	"penstock/internal/fault"
)

// actions checks the actions in declaration order.
func (v *validator) actions() error {
	for i := range v.d.Stages {
		for j := range v.d.Stages[i].Actions {
			if err := v.action(i, j); err != nil {
				return v.at(err, "pipeline.stages.%d.member.actions.%d.member", i+1, j+1)
			}
		}
	}
	return nil
}

// subject is an action under validation.
type subject struct {
	*Action
	stage *Stage
	t     ActionType
	path  string
	at    place
}

func (v *validator) action(i, j int) error {
	s := &v.d.Stages[i]
	a := &s.Actions[j]
	id, t := a.ActionTypeID, v.types[i][j]
	path := fmt.Sprintf("pipeline.stages.%d.member.actions.%d.member", i+1, j+1)
	if a.RunOrder < 0 {
		return violation(path+".runOrder", tooFew, 1)
	} else if a.RunOrder > maxRunOrder {
		return violation(path+".runOrder", tooMuch, maxRunOrder)
	}
	if !t.ok || id.Category == CategoryRule {
		return fault.New(invalidAction, "ActionType (Category: '%s', Provider: '%s', Owner: '%s', Version: '%s') in action '%s' is not available in region '%s'",
			id.Category, id.Provider, id.Owner, id.Version, a.Name, shout(cmp.Or(a.Region, v.env.Region)))
	}
	if t.V2Only && v.pipelineType != V2 {
		return fault.New(invalidAction, "%s Action can only be used with V2 pipelines.", id.Provider)
	}
	of := subject{a, s, t.ActionType, path, place{i, a.Order()}}
	for _, check := range []func(subject) error{
		v.region, v.artifacts, v.configuration, v.fields, v.namespace, v.actionReferences,
	} {
		if err := check(of); err != nil {
			return err
		}
	}
	return nil
}

// shout writes a Region as the service does in its messages.
func shout(region string) string { return strings.ToUpper(strings.ReplaceAll(region, "-", "_")) }

// region refuses cross-Region actions that have no worker elsewhere (S-39).
func (v *validator) region(a subject) error {
	if a.Region == "" || a.Region == v.env.Region || a.t.ID.Owner == OwnerAWS && a.t.ID.Category != CategorySource {
		return nil
	}
	return fault.New(invalidAction, "Action '%s' cannot run in region '%s'. Source, ThirdParty and Custom actions run only in the region of the pipeline, '%s'",
		a.Name, a.Region, v.env.Region)
}

// artifacts checks number, names and origin of artifacts (S-48, S-49, S-51: M-21 to M-23).
func (v *validator) artifacts(a subject) error {
	if err := checkCount(invalidAction, "Action", a.Name, "input", len(a.InputArtifacts), a.t.Inputs); err != nil {
		return err
	}
	if err := checkCount(invalidAction, "Action", a.Name, "output", len(a.OutputArtifacts), a.t.Outputs); err != nil {
		return err
	}
	for _, output := range a.OutputArtifacts {
		if v.seenOutputs[output.Name] {
			return fault.New(invalidAction, "Output Artifact Bundle name must be unique within the pipeline. %s has been used more than once.", output.Name)
		}
		v.seenOutputs[output.Name] = true
	}
	for _, input := range a.InputArtifacts {
		if from, ok := v.outputs[input.Name]; !ok || !from.before(a.at) {
			return fault.New(invalidAction, "Input Artifact Bundle %s in action %s is not declared as Output Artifact Bundle in any of the preceding actions", input.Name, a.Name)
		}
	}
	return nil
}

func checkCount(code, kind, name, side string, n int, bounds Bounds) error {
	switch {
	case n < bounds.Min:
		return fault.New(code, "%s %s declares %d %s artifacts which is less than the minimum count (%d)", kind, name, n, side, bounds.Min)
	case n > bounds.Max:
		return fault.New(code, "%s %s declares %d %s artifacts which is more than the maximum count (%d)", kind, name, n, side, bounds.Max)
	}
	return nil
}

// commandsProvider is the provider that runs commands, as an action and as a rule.
const commandsProvider = "Commands"

// fields checks the fields that only some types may carry (S-42 to S-46).
func (v *validator) fields(a subject) error {
	id := a.t.ID
	isCommands := id.Owner == OwnerAWS && id.Provider == commandsProvider
	compute := isCommands || id.Category == CategoryCompute
	if err := checkCommands(invalidAction, "Action", a.Name, a.Commands, isCommands); err != nil {
		return err
	}
	if len(a.OutputVariables) > 0 && !compute {
		return fault.New(invalidAction, "Action '%s' has outputVariables, which only compute actions such as Commands can have", a.Name)
	}
	for _, output := range a.OutputArtifacts {
		if len(output.Files) > 0 && !compute {
			return fault.New(invalidAction, "Output artifact '%s' of action '%s' has files, which only compute actions such as Commands can have", output.Name, a.Name)
		}
	}
	// What does not run here may have some; its actions fail and say why (S-52).
	if len(a.EnvironmentVariables) > 0 && !compute && a.t.Unavailable == "" {
		return fault.New(invalidAction, "Action '%s' has environmentVariables, which only compute actions such as Commands can have. "+
			"CodeBuild actions take the configuration key EnvironmentVariables", a.Name)
	}
	for _, e := range a.EnvironmentVariables {
		if e.Type != "" && e.Type != "PLAINTEXT" && e.Type != "SECRETS_MANAGER" {
			return violation(a.path+".environmentVariables", notIn, "PLAINTEXT, SECRETS_MANAGER")
		}
	}
	if a.TimeoutInMinutes == 0 {
		return nil
	}
	if !isManualApproval(id) {
		return fault.New(invalidAction, "Action '%s' has timeoutInMinutes, which only manual approval actions can have", a.Name)
	}
	if a.TimeoutInMinutes < minTimeout || a.TimeoutInMinutes > maxTimeout {
		return timeoutViolation(a.path+".timeoutInMinutes", a.TimeoutInMinutes)
	}
	return nil
}

func timeoutViolation(path string, minutes int) error {
	if minutes < minTimeout {
		return violation(path, tooFew, minTimeout)
	}
	return violation(path, tooMuch, maxTimeout)
}

// checkCommands: commands are required where they are the work, and each is one line (S-43,
// S-216: M-20).
func checkCommands(code, kind, name string, commands []string, runs bool) error {
	if !runs {
		if len(commands) > 0 {
			return fault.New(code, "%s %s has commands, which only the provider Commands can have", kind, name)
		}
		return nil
	}
	if len(commands) == 0 {
		return fault.New(code, "%s %s must have a non-empty commands field", kind, name)
	}
	for k, command := range commands {
		if strings.ContainsAny(command, "\r\n") {
			return fault.New(code, "Command %d of %s %s has more than one line. Give each line as a command of its own", k+1, strings.ToLower(kind), name)
		}
	}
	return nil
}

// namespace checks the namespace of an action's variables (S-41).
func (v *validator) namespace(a subject) error {
	name := a.Namespace
	if name == "" {
		return nil
	}
	if v.seenNamespaces[name] {
		return fault.New(invalidAction, "Namespaces must be unique across the pipeline definition. The following occur more than once in the pipeline.\n"+
			"StageName=[%s], ActionName=[%s], Namespace=[%s]", a.stage.Name, a.Name, name)
	}
	v.seenNamespaces[name] = true
	if name == systemNamespace || name == variablesNamespace && len(v.variables) > 0 {
		return fault.New(invalidAction, "Namespace '%s' of action '%s' is reserved. Choose another one", name, a.Name)
	}
	if _, ok := v.outputs[name]; ok {
		return fault.New(invalidAction, "Namespace '%s' of action '%s' is the name of an artifact. Choose another one", name, a.Name)
	}
	return nil
}
