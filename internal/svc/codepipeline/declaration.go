package codepipeline

import (
	"encoding/json"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/pipeline"
)

// declared reads a definition from a request. Wire and domain have the same JSON form.
func declared(in *api.PipelineDeclaration) (*pipeline.Declaration, error) {
	d := new(pipeline.Declaration)
	return d, recode(in, d)
}

// Check says whether a definition that has the form of the model would be taken, as far as
// env can tell: what only a running server knows (buckets, names in use) is not asked for.
func Check(in *api.PipelineDeclaration, env pipeline.Env) error {
	d, err := declared(in)
	if err != nil {
		return err
	}
	return pipeline.Validate(d, env)
}

// shown writes a stored definition for an answer: its secrets masked (S-38), and with the members
// that AWS always fills in (W-14). It is one pass over the structure and shares with d what need
// not be copied, because GetPipeline makes it anew for each answer: nothing is kept that could
// be old, or hold a secret.
func shown(d *pipeline.Declaration, catalogue pipeline.Catalogue) *api.PipelineDeclaration {
	out := &api.PipelineDeclaration{
		Name: d.Name, RoleArn: d.RoleARN, Version: nonzero(d.Version), ExecutionMode: string(d.ExecutionMode), PipelineType: d.PipelineType,
		Stages: shownAll(d.Stages, func(s *pipeline.Stage) api.StageDeclaration { return shownStage(s, catalogue) }),
		Variables: shownAll(d.Variables, func(v *pipeline.VariableDeclaration) api.PipelineVariableDeclaration {
			return api.PipelineVariableDeclaration{Name: v.Name, DefaultValue: value(v.DefaultValue), Description: v.Description}
		}),
		Triggers: shownAll(d.Triggers, shownTrigger),
	}
	if d.ArtifactStore != nil {
		out.ArtifactStore = new(shownStore(*d.ArtifactStore))
	}
	for region, store := range d.ArtifactStores {
		if out.ArtifactStores == nil {
			out.ArtifactStores = make(map[string]api.ArtifactStore, len(d.ArtifactStores))
		}
		out.ArtifactStores[region] = shownStore(store)
	}
	return out
}

func shownStore(s pipeline.ArtifactStore) api.ArtifactStore {
	out := api.ArtifactStore{Type: s.Type, Location: s.Location}
	if k := s.EncryptionKey; k != nil {
		out.EncryptionKey = &api.EncryptionKey{Id: k.ID, Type: k.Type}
	}
	return out
}

func shownStage(s *pipeline.Stage, catalogue pipeline.Catalogue) api.StageDeclaration {
	out := api.StageDeclaration{Name: s.Name,
		Actions:  shownAll(s.Actions, func(a *pipeline.Action) api.ActionDeclaration { return shownAction(a, catalogue) }),
		Blockers: shownAll(s.Blockers, func(b *pipeline.Blocker) api.BlockerDeclaration { return api.BlockerDeclaration(*b) })}
	if c := s.BeforeEntry; c != nil {
		out.BeforeEntry = &api.BeforeEntryConditions{Conditions: shownAll(c.Conditions, shownCondition)}
	}
	if c := s.OnSuccess; c != nil {
		out.OnSuccess = &api.SuccessConditions{Conditions: shownAll(c.Conditions, shownCondition)}
	}
	if c := s.OnFailure; c != nil {
		out.OnFailure = &api.FailureConditions{Result: c.Result, Conditions: shownAll(c.Conditions, shownCondition)}
		if r := c.RetryConfiguration; r != nil {
			out.OnFailure.RetryConfiguration = &api.RetryConfiguration{RetryMode: string(r.RetryMode)}
		}
	}
	return out
}

func shownAction(a *pipeline.Action, catalogue pipeline.Catalogue) api.ActionDeclaration {
	out := api.ActionDeclaration{
		Name: a.Name, ActionTypeId: new(api.ActionTypeId(a.ActionTypeID)), RunOrder: nonzero(a.RunOrder),
		Configuration: pipeline.MaskConfiguration(a.ActionTypeID, a.Configuration, catalogue), Commands: a.Commands,
		InputArtifacts: shownAll(a.InputArtifacts, shownInput), OutputVariables: a.OutputVariables,
		OutputArtifacts: shownAll(a.OutputArtifacts, func(o *pipeline.OutputArtifact) api.OutputArtifact { return api.OutputArtifact(*o) }),
		RoleArn:         a.RoleARN, Region: a.Region, Namespace: a.Namespace, TimeoutInMinutes: nonzero(a.TimeoutInMinutes),
		EnvironmentVariables: shownAll(a.EnvironmentVariables, func(v *pipeline.EnvironmentVariable) api.EnvironmentVariable { return api.EnvironmentVariable(*v) }),
	}
	if out.Configuration == nil {
		out.Configuration = map[string]string{}
	}
	if out.InputArtifacts == nil {
		out.InputArtifacts = []api.InputArtifact{}
	}
	if out.OutputArtifacts == nil {
		out.OutputArtifacts = []api.OutputArtifact{}
	}
	return out
}

func shownInput(a *pipeline.ArtifactName) api.InputArtifact { return api.InputArtifact(*a) }

func shownCondition(c *pipeline.Condition) api.Condition {
	return api.Condition{Result: c.Result, Rules: shownAll(c.Rules, func(r *pipeline.Rule) api.RuleDeclaration {
		return api.RuleDeclaration{Name: r.Name, RuleTypeId: new(api.RuleTypeId(r.RuleTypeID)), Configuration: r.Configuration, Commands: r.Commands,
			InputArtifacts: shownAll(r.InputArtifacts, shownInput), RoleArn: r.RoleARN, Region: r.Region, TimeoutInMinutes: nonzero(r.TimeoutInMinutes)}
	})}
}

func shownTrigger(t *pipeline.TriggerDeclaration) api.PipelineTriggerDeclaration {
	return api.PipelineTriggerDeclaration{ProviderType: t.ProviderType, GitConfiguration: &api.GitConfiguration{
		SourceActionName: t.GitConfiguration.SourceActionName,
		Push: shownAll(t.GitConfiguration.Push, func(f *pipeline.GitPushFilter) api.GitPushFilter {
			return api.GitPushFilter{Tags: (*api.GitTagFilterCriteria)(f.Tags), Branches: (*api.GitBranchFilterCriteria)(f.Branches),
				FilePaths: (*api.GitFilePathFilterCriteria)(f.FilePaths)}
		}),
		PullRequest: shownAll(t.GitConfiguration.PullRequest, func(f *pipeline.GitPullRequestFilter) api.GitPullRequestFilter {
			return api.GitPullRequestFilter{Events: f.Events, Branches: (*api.GitBranchFilterCriteria)(f.Branches), FilePaths: (*api.GitFilePathFilterCriteria)(f.FilePaths)}
		}),
	}}
}

// shownAll converts a list; none stays none.
func shownAll[A, B any](in []A, convert func(*A) B) []B {
	if len(in) == 0 {
		return nil
	}
	out := make([]B, len(in))
	for i := range in {
		out[i] = convert(&in[i])
	}
	return out
}

// nonzero gives nil for 0, which stands for a number that nobody gave.
func nonzero(n int) *int32 {
	if n == 0 {
		return nil
	}
	return int32p(n)
}

func recode(from, to any) error {
	text, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, to)
}
