package pipeline

import (
	"cmp"
	"strings"
	"unicode/utf8"
)

// Normalise gives the form in which a valid definition is stored and shown: defaults filled
// in, empty lists dropped, the version counted on from env.Previous, and the trigger AWS
// adds to connections (S-14 to S-16, S-35, A-4, Q-31). The argument is left alone. What is
// absent and has no echoed default, such as an action's region, stays absent (W-14).
func Normalise(d *Declaration, env Env) *Declaration {
	c := d.Clone()
	c.Version = 1
	if env.Previous != nil {
		c.Version = env.Previous.Version + 1
	}
	c.ExecutionMode = cmp.Or(c.ExecutionMode, Superseded)
	c.PipelineType = effectiveType(d, env)
	for i := range c.Stages {
		for j := range c.Stages[i].Actions {
			a := &c.Stages[i].Actions[j]
			a.RunOrder = a.Order()
		}
	}
	if c.PipelineType == V2 && len(c.Triggers) == 0 {
		c.Triggers = defaultTriggers(c, env.Limits.OrDefault())
	}
	return c
}

// effectiveType is the declared type or, if there is none, V2 for a definition that uses what
// only V2 has (S-16, Q-1).
func effectiveType(d *Declaration, env Env) string {
	switch {
	case d.PipelineType != "":
		return d.PipelineType
	case !env.StrictPipelineType && usesV2(d, env.catalogue()):
		return V2
	}
	return V1
}

// usesV2 looks for the features of S-17 that stand in a definition.
func usesV2(d *Declaration, catalogue Catalogue) bool {
	if d.ExecutionMode == Queued || d.ExecutionMode == Parallel || len(d.Variables) > 0 || len(d.Triggers) > 0 {
		return true
	}
	for i := range d.Stages {
		s := &d.Stages[i]
		if s.BeforeEntry != nil || s.OnSuccess != nil || s.OnFailure != nil {
			return true
		}
		for j := range s.Actions {
			if t, ok := catalogue(s.Actions[j].ActionTypeID); ok && t.V2Only {
				return true
			}
		}
	}
	return false
}

// globLiteral quotes what a branch name may hold and a pattern would read as syntax (S-270).
var globLiteral = strings.NewReplacer(`{`, `\{`, `}`, `\}`)

// defaultTriggers are what AWS stores for a V2 pipeline that declares none: pushes to the
// configured branch start it, unless DetectChanges says otherwise.
func defaultTriggers(d *Declaration, limits Limits) []TriggerDeclaration {
	var out []TriggerDeclaration
	if len(d.Stages) == 0 {
		return nil
	}
	for i := range d.Stages[0].Actions {
		a := &d.Stages[0].Actions[i]
		branch := globLiteral.Replace(a.Configuration["BranchName"])
		if !IsConnection(a.ActionTypeID) || !a.Flag("DetectChanges", true) || branch == "" ||
			utf8.RuneCountInString(branch) > maxPattern || len(out) == limits.Triggers {
			continue
		}
		out = append(out, TriggerDeclaration{
			ProviderType: connectionProvider,
			GitConfiguration: GitConfiguration{
				SourceActionName: a.Name,
				Push:             []GitPushFilter{{Branches: &GitFilter{Includes: []string{branch}}}},
			},
		})
	}
	return out
}

// connectionProvider is the source provider that triggers belong to (S-255).
const connectionProvider = "CodeStarSourceConnection"

// IsConnection says whether an action type is the source action of connections (S-255).
func IsConnection(id ActionTypeID) bool {
	return id.Category == CategorySource && id.Owner == OwnerAWS && id.Provider == connectionProvider
}
