package pipeline

import (
	"fmt"
	"slices"

	"pgregory.net/rapid"
)

// generator draws definitions that are valid by construction: it knows what is certain to
// have happened before an action, and uses nothing else.
type generator struct {
	t       *rapid.T
	d       *Declaration
	v2      bool
	types   []ActionType
	n       int
	outputs []produced
	spaces  []produced
	secrets []string
}

type produced struct {
	name string
	at   place
}

func drawDefinition(t *rapid.T) (d *Declaration, secretValues []string) {
	g := &generator{t: t, d: &Declaration{Name: "p", RoleARN: "arn:aws:iam::111122223333:role/p"}}
	g.d.PipelineType = rapid.SampledFrom([]string{"", V1, V2}).Draw(t, "type")
	g.v2 = g.d.PipelineType != V1
	for _, typ := range BuiltinTypes() {
		if typ.ID.Category != CategorySource && (g.v2 || !typ.V2Only) {
			g.types = append(g.types, typ)
		}
	}
	if rapid.Bool().Draw(t, "stores") {
		g.d.ArtifactStores = map[string]ArtifactStore{region: {Type: "S3", Location: "here"}, "eu-west-1": {Type: "S3", Location: "there"}}
	} else {
		g.d.ArtifactStore = &ArtifactStore{Type: "S3", Location: "here", EncryptionKey: &EncryptionKey{"k", "KMS"}}
	}
	if g.v2 {
		g.d.ExecutionMode = rapid.SampledFrom([]ExecutionMode{"", Superseded, Queued, Parallel}).Draw(t, "mode")
		for i := range rapid.IntRange(0, 3).Draw(t, "variables") {
			g.d.Variables = append(g.d.Variables, VariableDeclaration{Name: fmt.Sprint("var", i)})
		}
	}
	for i := range rapid.IntRange(2, 6).Draw(t, "stages") {
		g.d.Stages = append(g.d.Stages, Stage{})
		g.stage(i)
	}
	g.triggers()
	return g.d, g.secrets
}

func (g *generator) id(kind string) string { g.n++; return fmt.Sprint(kind, g.n) }

func (g *generator) stage(i int) {
	s := Stage{Name: g.id("stage")}
	for range rapid.IntRange(1, 5).Draw(g.t, "actions") {
		types := g.types
		if i == 0 {
			types = sourceTypes()
		}
		s.Actions = append(s.Actions, g.action(i, rapid.SampledFrom(types).Draw(g.t, "type")))
	}
	if g.v2 {
		g.conditions(i, &s)
	}
	g.d.Stages[i] = s
}

func (g *generator) action(stage int, typ ActionType) Action {
	a := Action{Name: g.id("action"), ActionTypeID: typ.ID, RunOrder: rapid.IntRange(0, 4).Draw(g.t, "order"), Configuration: map[string]string{}}
	at := place{stage, a.Order()}
	if usable := before(g.outputs, at); len(usable) > 0 {
		for range rapid.IntRange(typ.Inputs.Min, typ.Inputs.Max).Draw(g.t, "inputs") {
			a.InputArtifacts = append(a.InputArtifacts, ArtifactName{rapid.SampledFrom(usable).Draw(g.t, "input")})
		}
	}
	for _, p := range typ.Properties {
		if p.Required || rapid.IntRange(0, 3).Draw(g.t, "given") == 0 {
			a.Configuration[p.Name] = g.value(at, p)
		}
	}
	switch typ.ID.Provider {
	case "CodeBuild":
		delete(a.Configuration, "PrimarySource")
		if len(a.InputArtifacts) > 1 {
			a.Configuration["PrimarySource"] = a.InputArtifacts[0].Name
		}
	case "S3":
		if stage > 0 {
			a.Configuration["ObjectKey"] = "key"
		}
	case "Manual":
		for _, key := range []string{"NotificationArn", RequiredApprovals, Approvers, ForbidStarter, ForbidAuthor} {
			delete(a.Configuration, key)
		}
		a.TimeoutInMinutes = rapid.SampledFrom([]int{0, 5, 86400}).Draw(g.t, "timeout")
	case "Commands":
		a.Commands = []string{"make " + g.value(at, Property{})}
		a.EnvironmentVariables = []EnvironmentVariable{{"E", g.value(at, Property{}), "SECRETS_MANAGER"}}
		a.OutputVariables = []string{"V"}
	}
	for range rapid.IntRange(typ.Outputs.Min, typ.Outputs.Max).Draw(g.t, "outputs") {
		name := g.id("artifact")
		a.OutputArtifacts = append(a.OutputArtifacts, OutputArtifact{Name: name})
		g.outputs = append(g.outputs, produced{name, at})
	}
	if rapid.Bool().Draw(g.t, "named") {
		a.Namespace = g.id("space")
		g.spaces = append(g.spaces, produced{a.Namespace, at})
	}
	if stage > 0 && typ.ID.Owner == OwnerAWS && len(g.d.ArtifactStores) > 0 {
		a.Region = rapid.SampledFrom([]string{"", region, "eu-west-1"}).Draw(g.t, "region")
	}
	return a
}

func before(list []produced, at place) []string {
	var names []string
	for _, p := range list {
		if p.at.before(at) {
			names = append(names, p.name)
		}
	}
	return names
}

// value draws a value that a property takes, often one with references.
func (g *generator) value(at place, p Property) string {
	if p.Secret {
		secret := fmt.Sprintf("secret-%d-%s", g.n, rapid.StringMatching(`[a-z0-9]{8}`).Draw(g.t, "secret"))
		g.secrets = append(g.secrets, secret)
		return secret
	}
	text := "text"
	switch {
	case len(p.Values) > 0:
		text = rapid.SampledFrom(p.Values).Draw(g.t, "value")
	case p.Type == PropertyBoolean:
		text = rapid.SampledFrom([]string{"true", "false", "True"}).Draw(g.t, "flag")
	case p.Type == PropertyNumber:
		text = "7"
	}
	var references []string
	if at.stage > 0 {
		references = before(g.spaces, at)
		for i := range references {
			references[i] += ".Key"
		}
		for _, v := range g.d.Variables {
			references = append(references, "variables."+v.Name)
		}
	}
	references = append(references, "codepipeline.PipelineExecutionId")
	if rapid.IntRange(0, 2).Draw(g.t, "refer") == 0 {
		text += "-#{" + rapid.SampledFrom(references).Draw(g.t, "reference") + "}"
	}
	return text
}

func (g *generator) conditions(i int, s *Stage) {
	check := func(at place) Rule {
		return Rule{Name: g.id("rule"), RuleTypeID: RuleTypeID{Category: CategoryRule, Provider: "VariableCheck"},
			Configuration: map[string]string{"Variable": g.value(at, Property{}), "Value": "x", "Operator": "EQ"}}
	}
	if rapid.IntRange(0, 3).Draw(g.t, "entry") == 0 {
		s.BeforeEntry = &Conditions{condition(rapid.SampledFrom([]string{ResultFail, ResultSkip}).Draw(g.t, "result"), check(place{stage: i}), check(place{stage: i}))}
	}
	if rapid.IntRange(0, 3).Draw(g.t, "success") == 0 {
		s.OnSuccess = &Conditions{condition(ResultFail, check(place{i, 1000}))}
	}
	switch rapid.IntRange(0, 4).Draw(g.t, "failure") {
	case 0:
		s.OnFailure = &FailureConditions{Result: ResultRetry}
	case 1:
		if g.d.ExecutionMode != Parallel {
			s.OnFailure = &FailureConditions{Conditions: condition(ResultRollback, check(place{i, 1000}))}
		}
	}
}

func (g *generator) triggers() {
	if !g.v2 {
		return
	}
	for _, a := range g.d.Stages[0].Actions {
		if IsConnection(a.ActionTypeID) && rapid.IntRange(0, 3).Draw(g.t, "trigger") == 0 {
			f := GitPushFilter{Branches: &GitFilter{Includes: slices.Repeat([]string{"main/**"}, rapid.IntRange(1, 8).Draw(g.t, "patterns"))}}
			g.d.Triggers = append(g.d.Triggers, trigger(a.Name, f)...)
		}
	}
}
