package pipeline

import (
	"slices"

	"penstock/internal/fault"
)

// Validate says whether the service would take a definition. It checks what the API model can
// not: roles, then the structure of the pipeline, then the stages, then the actions, each in
// declaration order; the first error wins and is spelled as AWS spells it. Whether the
// name is in use is the caller's to ask before. The work grows with the size of the definition.
func Validate(d *Declaration, env Env) error {
	v := &validator{d: d, env: env, limits: env.Limits.OrDefault()}
	for _, check := range []func() error{v.roles, v.size, v.structure, v.stages, v.actions} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// validator carries one validation. Everything that is looked up more than once is indexed,
// so that a huge definition costs no more per action than a small one.
type validator struct {
	d            *Declaration
	env          Env
	limits       Limits
	pipelineType string
	// types holds the type of each action by stage and action.
	types [][]known
	// outputs and namespaces hold the first action that declares a name; variables the
	// pipeline variables.
	outputs, namespaces map[string]place
	variables           map[string]bool
	secrets             secrets
	// seen names of the pipeline while the actions are walked.
	seenOutputs, seenNamespaces map[string]bool
}

type known struct {
	ActionType
	ok bool
}

// place is a point of an execution: a group of a stage.
type place struct{ stage, order int }

// before says whether what happens at p is certain to have finished at q (S-49, S-275).
func (p place) before(q place) bool {
	return p.stage < q.stage || p.stage == q.stage && p.order < q.order
}

// roles checks that the roles can be assumed (S-8, S-40: M-1, M-1b). Each is asked for once.
func (v *validator) roles() error {
	if v.env.MayAssume != nil && !v.env.MayAssume(v.d.RoleARN) {
		return fault.New(invalidStructure, "CodePipeline is not authorized to perform AssumeRole on role %s", v.d.RoleARN)
	}
	if v.env.MayAssumeFrom == nil {
		return nil
	}
	asked := map[string]bool{"": true}
	for role := range v.d.roleARNs {
		if asked[role] {
			continue
		}
		asked[role] = true
		if !v.env.MayAssumeFrom(v.d.RoleARN, role) {
			return fault.New(invalidStructure, "%s is not authorized to perform AssumeRole on role %s", v.d.RoleARN, role)
		}
	}
	return nil
}

// roleARNs yields the roles of actions and rules in declaration order.
func (d *Declaration) roleARNs(yield func(string) bool) {
	for i := range d.Stages {
		s := &d.Stages[i]
		for j := range s.Actions {
			if !yield(s.Actions[j].RoleARN) {
				return
			}
		}
		for _, gate := range s.gates() {
			for _, condition := range gate.conditions {
				for k := range condition.Rules {
					if !yield(condition.Rules[k].RoleARN) {
						return
					}
				}
			}
		}
	}
}

// size checks the quotas of stages and actions first, so that nothing after it has to
// expect more (S-13, S-23: M-4, M-5), and then builds the index.
func (v *validator) size() error {
	if n := len(v.d.Stages); n < 2 {
		return fault.New(invalidStructure, "Pipeline has only %d stage(s). There should be a minimum of 2 stages in a pipeline", n)
	} else if n > v.limits.Stages {
		return fault.New(invalidStructure, "Pipeline has too many stages. There can only be up to %d stages in a pipeline", v.limits.Stages)
	}
	actions := 0
	for i := range v.d.Stages {
		actions += len(v.d.Stages[i].Actions)
	}
	if actions > v.limits.Actions {
		return fault.New(invalidStructure, "Pipeline has too many actions. There can only be up to %d actions in a pipeline", v.limits.Actions)
	}
	v.index()
	return nil
}

func (v *validator) index() {
	catalogue := v.env.catalogue()
	v.outputs, v.namespaces, v.variables = map[string]place{}, map[string]place{}, map[string]bool{}
	v.seenOutputs, v.seenNamespaces = map[string]bool{}, map[string]bool{}
	v.types = make([][]known, len(v.d.Stages))
	for i := range v.d.Stages {
		s := &v.d.Stages[i]
		v.types[i] = make([]known, len(s.Actions))
		for j := range s.Actions {
			a := &s.Actions[j]
			t, ok := catalogue(a.ActionTypeID)
			v.types[i][j] = known{t, ok}
			at := place{i, a.Order()}
			for _, o := range a.OutputArtifacts {
				if _, ok := v.outputs[o.Name]; !ok {
					v.outputs[o.Name] = at
				}
			}
			if _, ok := v.namespaces[a.Namespace]; !ok && a.Namespace != "" {
				v.namespaces[a.Namespace] = at
			}
		}
	}
	for _, declared := range v.d.Variables {
		v.variables[declared.Name] = true
	}
	v.pipelineType = effectiveType(v.d, v.env)
	v.secrets = storedSecrets(v.env.Previous, catalogue)
}

// structure checks the pipeline as a whole.
func (v *validator) structure() error {
	for _, check := range []func() error{v.identity, v.sources, v.versionTwo, v.declaredVariables, v.triggers, v.stores} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// identity checks what an update can not change (S-7) and the words the engine relies on
// (S-15, S-16).
func (v *validator) identity() error {
	d := v.d
	if v.env.Previous != nil && v.env.Previous.Name != d.Name {
		return fault.New(invalidStructure, "The name of a pipeline cannot be changed: '%s' is not '%s'. Create a new pipeline instead", d.Name, v.env.Previous.Name)
	}
	if d.ExecutionMode != "" && !slices.Contains([]ExecutionMode{Superseded, Queued, Parallel}, d.ExecutionMode) {
		return violation("pipeline.executionMode", notIn, "QUEUED, SUPERSEDED, PARALLEL")
	}
	if d.PipelineType != "" && d.PipelineType != V1 && d.PipelineType != V2 {
		return violation("pipeline.pipelineType", notIn, "V1, V2")
	}
	return nil
}

// sources checks where source actions stand (S-24 to S-27: M-12, M-13, M-14).
func (v *validator) sources() error {
	first := v.d.Stages[0].Actions
	if len(first) == 0 || slices.ContainsFunc(first, func(a Action) bool { return a.ActionTypeID.Category != CategorySource }) {
		return fault.New(invalidStructure, "Pipeline should start with a stage that only contains source actions")
	}
	others := 0
	for _, s := range v.d.Stages[1:] {
		if slices.ContainsFunc(s.Actions, func(a Action) bool { return a.ActionTypeID.Category == CategorySource }) {
			return fault.New(invalidStructure, "Source actions can only be included in the first stage of the pipeline")
		}
		others += len(s.Actions)
	}
	if others == 0 {
		return fault.New(invalidStructure, "Pipeline should contain at least 1 action whose category is not Source")
	}
	return nil
}

// versionTwo refuses features of V2 on a V1 pipeline (S-16, S-17: M-6, M-7). Those of stages
// and actions are refused there.
func (v *validator) versionTwo() error {
	if v.pipelineType == V2 {
		return nil
	}
	switch d := v.d; {
	case d.ExecutionMode == Queued || d.ExecutionMode == Parallel:
		return fault.New(invalidStructure, "QUEUED or PARALLEL mode can only be used with V2 pipelines")
	case len(d.Variables) > 0:
		return fault.New(invalidStructure, "Pipeline variable can only be used with V2 pipelines")
	case len(d.Triggers) > 0:
		return fault.New(invalidStructure, "Triggers on tag can only be used with V2 pipelines")
	}
	return nil
}

// declaredVariables checks the pipeline variables (S-18: M-10).
func (v *validator) declaredVariables() error {
	if len(v.d.Variables) > v.limits.Variables {
		return violation("pipeline.variables", tooLong, v.limits.Variables)
	}
	seen := make(map[string]bool, len(v.d.Variables))
	for _, declared := range v.d.Variables {
		if seen[declared.Name] {
			return fault.New(invalidStructure, "Variable names must be unique. The following variable name is already in use: %s", declared.Name)
		}
		seen[declared.Name] = true
	}
	return nil
}

// stores checks the artifact stores (S-9, S-10: M-2, M-3).
func (v *validator) stores() error {
	d := v.d
	switch {
	case d.ArtifactStore != nil && len(d.ArtifactStores) > 0:
		return fault.New(invalidStructure, "Pipeline declares both 'artifactStore' and 'artifactStores'. Declare exactly one of them")
	case d.ArtifactStore == nil && len(d.ArtifactStores) == 0:
		return fault.New(invalidStructure, "Pipeline declares neither 'artifactStore' nor 'artifactStores'. Declare exactly one of them")
	}
	if err := v.storeOf(v.env.Region); err != nil {
		return err
	}
	for i := range d.Stages {
		for j := range d.Stages[i].Actions {
			if region := d.Stages[i].Actions[j].Region; region != "" {
				if err := v.storeOf(region); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (v *validator) storeOf(region string) error {
	if v.d.ArtifactStore != nil {
		if region == v.env.Region {
			return nil
		}
		return fault.New(invalidValue, "Your pipeline contains actions in more than one region. Use 'pipeline.artifactStores' instead of "+
			"'pipeline.artifactStore' to declare an artifact store, such as an artifact bucket, for each region where you have an action.")
	}
	if _, ok := v.d.ArtifactStores[region]; ok {
		return nil
	}
	return fault.New(invalidValue, "Your pipeline must have an artifact store, such as an artifact bucket, for each region where you have an action. "+
		"The following region is missing in 'pipeline.artifactStores': %s.", region)
}
