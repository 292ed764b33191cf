package pipeline

import (
	"maps"
	"slices"
)

// Clone gives a deep copy. Empty lists and maps become nil, so that two definitions that say
// the same have one stored form.
func (d *Declaration) Clone() *Declaration {
	c := *d
	if d.ArtifactStore != nil {
		c.ArtifactStore = new(d.ArtifactStore.clone())
	}
	c.ArtifactStores = nil
	for region, store := range d.ArtifactStores {
		if c.ArtifactStores == nil {
			c.ArtifactStores = make(map[string]ArtifactStore, len(d.ArtifactStores))
		}
		c.ArtifactStores[region] = store.clone()
	}
	c.Stages = each(d.Stages, Stage.clone)
	c.Variables = each(d.Variables, func(v VariableDeclaration) VariableDeclaration {
		v.DefaultValue = pointer(v.DefaultValue)
		return v
	})
	c.Triggers = each(d.Triggers, TriggerDeclaration.clone)
	return &c
}

func (s ArtifactStore) clone() ArtifactStore {
	s.EncryptionKey = pointer(s.EncryptionKey)
	return s
}

func (s Stage) clone() Stage {
	s.Blockers = list(s.Blockers)
	s.Actions = each(s.Actions, Action.clone)
	if s.BeforeEntry != nil {
		s.BeforeEntry = &Conditions{Conditions: each(s.BeforeEntry.Conditions, Condition.clone)}
	}
	if s.OnSuccess != nil {
		s.OnSuccess = &Conditions{Conditions: each(s.OnSuccess.Conditions, Condition.clone)}
	}
	if s.OnFailure != nil {
		s.OnFailure = &FailureConditions{
			Result:             s.OnFailure.Result,
			RetryConfiguration: pointer(s.OnFailure.RetryConfiguration),
			Conditions:         each(s.OnFailure.Conditions, Condition.clone),
		}
	}
	return s
}

func (c Condition) clone() Condition {
	c.Rules = each(c.Rules, func(r Rule) Rule {
		r.Configuration = dict(r.Configuration)
		r.Commands = list(r.Commands)
		r.InputArtifacts = list(r.InputArtifacts)
		return r
	})
	return c
}

func (a Action) clone() Action {
	a.Configuration = dict(a.Configuration)
	a.Commands = list(a.Commands)
	a.OutputArtifacts = each(a.OutputArtifacts, func(o OutputArtifact) OutputArtifact {
		o.Files = list(o.Files)
		return o
	})
	a.InputArtifacts = list(a.InputArtifacts)
	a.OutputVariables = list(a.OutputVariables)
	a.EnvironmentVariables = list(a.EnvironmentVariables)
	return a
}

func (t TriggerDeclaration) clone() TriggerDeclaration {
	git := &t.GitConfiguration
	git.Push = each(git.Push, func(f GitPushFilter) GitPushFilter {
		return GitPushFilter{Tags: f.Tags.clone(), Branches: f.Branches.clone(), FilePaths: f.FilePaths.clone()}
	})
	git.PullRequest = each(git.PullRequest, func(f GitPullRequestFilter) GitPullRequestFilter {
		return GitPullRequestFilter{Events: list(f.Events), Branches: f.Branches.clone(), FilePaths: f.FilePaths.clone()}
	})
	return t
}

func (f *GitFilter) clone() *GitFilter {
	if f == nil {
		return nil
	}
	return &GitFilter{Includes: list(f.Includes), Excludes: list(f.Excludes)}
}

func each[T any](in []T, clone func(T) T) []T {
	if len(in) == 0 {
		return nil
	}
	out := make([]T, len(in))
	for i, v := range in {
		out[i] = clone(v)
	}
	return out
}

func list[T any](in []T) []T {
	if len(in) == 0 {
		return nil
	}
	return slices.Clone(in)
}

func dict(in map[string]string) map[string]string {
	if len(in) == 0 {
		return nil
	}
	return maps.Clone(in)
}

func pointer[T any](p *T) *T {
	if p == nil {
		return nil
	}
	return new(*p)
}
