package pipeline

import (
	"fmt"
	"strings"
	"testing"
)

func TestRoles(t *testing.T) {
	t.Parallel()
	const role = "arn:aws:iam::111122223333:role/deploy"
	runRefusals(t, []refusal{
		{"S-8 M-1 pipeline role", func(_ *Declaration, e *Env) { e.MayAssume = func(string) bool { return false } },
			invalidStructure, "CodePipeline is not authorized to perform AssumeRole on role arn:aws:iam::111122223333:role/pipeline"},
		{"S-40 M-1 action role", func(d *Declaration, e *Env) {
			action(d, "Publish").RoleARN = role
			e.MayAssumeFrom = func(from, to string) bool { return from != d.RoleARN || to != role }
		}, invalidStructure, "arn:aws:iam::111122223333:role/pipeline is not authorized to perform AssumeRole on role " + role},
		{"S-40 rule role", func(d *Declaration, e *Env) {
			r := varCheck("r")
			r.RoleARN = role
			d.Stages[1].OnSuccess = &Conditions{condition(ResultFail, r)}
			e.MayAssumeFrom = func(_, to string) bool { return to != role }
		}, invalidStructure, "arn:aws:iam::111122223333:role/pipeline is not authorized to perform AssumeRole on role " + role},
		{"Q-30 roles come before structure", func(d *Declaration, e *Env) {
			d.Stages = nil
			e.MayAssume = func(string) bool { return false }
		}, invalidStructure, "CodePipeline is not authorized to perform AssumeRole on role arn:aws:iam::111122223333:role/pipeline"},
		{"roles that may be assumed", func(d *Declaration, e *Env) {
			action(d, "Publish").RoleARN = role
			e.MayAssume = func(arn string) bool { return arn == d.RoleARN }
			e.MayAssumeFrom = func(from, to string) bool { return from == d.RoleARN && to == role }
		}, "", ""},
	})
}

func TestPipelineStructure(t *testing.T) {
	t.Parallel()
	runRefusals(t, []refusal{
		{"S-7 the name is the identity", func(d *Declaration, e *Env) { e.Previous = base(); d.Name = "other" },
			invalidStructure, "The name of a pipeline cannot be changed: 'other' is not 'release'. Create a new pipeline instead"},
		{"S-9 both stores", func(d *Declaration, _ *Env) { d.ArtifactStores = map[string]ArtifactStore{region: {}} },
			invalidStructure, "Pipeline declares both 'artifactStore' and 'artifactStores'. Declare exactly one of them"},
		{"S-9 no store", func(d *Declaration, _ *Env) { d.ArtifactStore = nil },
			invalidStructure, "Pipeline declares neither 'artifactStore' nor 'artifactStores'. Declare exactly one of them"},
		{"S-10 M-2 more than one Region", func(d *Declaration, _ *Env) { action(d, "Publish").Region = "eu-west-1" },
			invalidValue, "Your pipeline contains actions in more than one region. Use 'pipeline.artifactStores' instead of 'pipeline.artifactStore' to declare an artifact store, such as an artifact bucket, for each region where you have an action."},
		{"S-10 M-3 store of a Region missing", func(d *Declaration, _ *Env) {
			d.ArtifactStore, d.ArtifactStores = nil, map[string]ArtifactStore{region: {}}
			action(d, "Publish").Region = "eu-west-1"
		}, invalidValue, "Your pipeline must have an artifact store, such as an artifact bucket, for each region where you have an action. The following region is missing in 'pipeline.artifactStores': eu-west-1."},
		{"S-10 M-3 store of the pipeline's own Region missing", func(d *Declaration, _ *Env) {
			d.ArtifactStore, d.ArtifactStores = nil, map[string]ArtifactStore{"eu-west-1": {}}
		}, invalidValue, "Your pipeline must have an artifact store, such as an artifact bucket, for each region where you have an action. The following region is missing in 'pipeline.artifactStores': us-east-1."},
		{"S-10 a store for each Region", func(d *Declaration, _ *Env) {
			d.ArtifactStore, d.ArtifactStores = nil, map[string]ArtifactStore{region: {}, "eu-west-1": {}}
			action(d, "Publish").Region = "eu-west-1"
		}, "", ""},
		{"S-13 M-4 one stage", func(d *Declaration, _ *Env) { d.Stages = d.Stages[:1] },
			invalidStructure, "Pipeline has only 1 stage(s). There should be a minimum of 2 stages in a pipeline"},
		{"S-13 M-4 no stage", func(d *Declaration, _ *Env) { d.Stages = nil },
			invalidStructure, "Pipeline has only 0 stage(s). There should be a minimum of 2 stages in a pipeline"},
		{"S-13 S-74 M-5 too many stages", func(d *Declaration, _ *Env) { grow(d, 51) },
			invalidStructure, "Pipeline has too many stages. There can only be up to 50 stages in a pipeline"},
		{"S-13 S-74 fifty stages", func(d *Declaration, _ *Env) { grow(d, 50) }, "", ""},
		{"S-74 the quota is a setting", func(_ *Declaration, e *Env) { e.Limits.Stages = 2 },
			invalidStructure, "Pipeline has too many stages. There can only be up to 2 stages in a pipeline"},
		{"S-15 unknown mode", func(d *Declaration, _ *Env) { d.ExecutionMode = "SOMETIMES" },
			invalidValue, "1 validation error detected: Value at 'pipeline.executionMode' failed to satisfy constraint: Member must satisfy enum value set: [QUEUED, SUPERSEDED, PARALLEL]"},
		{"S-16 unknown type", func(d *Declaration, _ *Env) { d.PipelineType = "V3" },
			invalidValue, "1 validation error detected: Value at 'pipeline.pipelineType' failed to satisfy constraint: Member must satisfy enum value set: [V1, V2]"},
		{"S-15 S-16 M-6 QUEUED on V1", func(d *Declaration, _ *Env) { v1(d); d.ExecutionMode = Queued },
			invalidStructure, "QUEUED or PARALLEL mode can only be used with V2 pipelines"},
		{"S-15 M-6 PARALLEL on V1", func(d *Declaration, _ *Env) { v1(d); d.ExecutionMode = Parallel },
			invalidStructure, "QUEUED or PARALLEL mode can only be used with V2 pipelines"},
		{"S-17 M-7 variables on V1", func(d *Declaration, _ *Env) { d.PipelineType = V1 },
			invalidStructure, "Pipeline variable can only be used with V2 pipelines"},
		{"S-17 M-7 triggers on V1", func(d *Declaration, _ *Env) { v1(d); d.Triggers = trigger("Git") },
			invalidStructure, "Triggers on tag can only be used with V2 pipelines"},
		{"S-17 action variables on V1", func(d *Declaration, _ *Env) { v1(d) }, "", ""},
		{"S-16 Q-1 V2 is inferred", func(d *Declaration, _ *Env) { d.PipelineType = "" }, "", ""},
		{"Q-1 strict: absent is V1", func(d *Declaration, e *Env) { d.PipelineType = ""; e.StrictPipelineType = true },
			invalidStructure, "Pipeline variable can only be used with V2 pipelines"},
		{"S-18 M-10 variable twice", func(d *Declaration, _ *Env) { d.Variables = append(d.Variables, VariableDeclaration{Name: "color"}) },
			invalidStructure, "Variable names must be unique. The following variable name is already in use: color"},
		{"S-18 names are case-sensitive", func(d *Declaration, _ *Env) { d.Variables = append(d.Variables, VariableDeclaration{Name: "Color"}) }, "", ""},
		{"S-18 too many variables", func(d *Declaration, _ *Env) {
			for i := range 50 {
				d.Variables = append(d.Variables, VariableDeclaration{Name: fmt.Sprint("v", i)})
			}
		}, invalidValue, "1 validation error detected: Value at 'pipeline.variables' failed to satisfy constraint: Member must have length less than or equal to 50"},
		{"S-23 S-75 too many actions", func(d *Declaration, _ *Env) {
			grow(d, 22)
			for i := 2; i < 22; i++ {
				approvals(&d.Stages[i], 50)
			}
		}, invalidStructure, "Pipeline has too many actions. There can only be up to 1000 actions in a pipeline"},
		{"S-24 S-27 M-12 approval in the source stage", func(d *Declaration, _ *Env) {
			d.Stages[0].Actions = append(d.Stages[0].Actions, *action(d, "Approve"))
		}, invalidStructure, "Pipeline should start with a stage that only contains source actions"},
		{"S-24 M-12 empty first stage", func(d *Declaration, _ *Env) { d.Stages[0].Actions = nil },
			invalidStructure, "Pipeline should start with a stage that only contains source actions"},
		{"S-25 M-13 source in a later stage", func(d *Declaration, _ *Env) {
			d.Stages[2].Actions = append(d.Stages[2].Actions, *action(d, "Git"))
		}, invalidStructure, "Source actions can only be included in the first stage of the pipeline"},
		{"S-26 M-14 nothing but sources", func(d *Declaration, _ *Env) { d.Stages[1].Actions, d.Stages[2].Actions = nil, nil },
			invalidStructure, "Pipeline should contain at least 1 action whose category is not Source"},
	})
}

// v1 takes everything away that only V2 has.
func v1(d *Declaration) {
	d.PipelineType, d.Variables = V1, nil
	set(d, "Check", "EnvironmentVariables", "[#{build.VERSION}]")
}

// grow adds stages with one approval each until there are n.
func grow(d *Declaration, n int) {
	for len(d.Stages) < n {
		s := Stage{Name: fmt.Sprint("Stage", len(d.Stages))}
		approvals(&s, 1)
		d.Stages = append(d.Stages, s)
	}
}

func approvals(s *Stage, n int) {
	s.Actions = nil
	for i := range n {
		s.Actions = append(s.Actions, Action{Name: fmt.Sprint("Gate", i), ActionTypeID: aws(CategoryApproval, "Manual")})
	}
}

func trigger(source string, push ...GitPushFilter) []TriggerDeclaration {
	return []TriggerDeclaration{{ProviderType: connectionProvider, GitConfiguration: GitConfiguration{SourceActionName: source, Push: push}}}
}

func pull(f GitPullRequestFilter) []TriggerDeclaration {
	t := trigger("Git")
	t[0].GitConfiguration.PullRequest = []GitPullRequestFilter{f}
	return t
}

func TestTriggers(t *testing.T) {
	t.Parallel()
	const path = "1 validation error detected: Value at 'pipeline.triggers.1.member.gitConfiguration"
	many := func(n int) *GitFilter { return &GitFilter{Includes: make([]string, n)} }
	fill := func(f *GitFilter, pattern string) *GitFilter {
		for i := range f.Includes {
			f.Includes[i] = pattern
		}
		return f
	}
	runRefusals(t, []refusal{
		{"S-255 a trigger", func(d *Declaration, _ *Env) {
			d.Triggers = trigger("Git", GitPushFilter{Branches: &GitFilter{Includes: []string{"main"}}})
		}, "", ""},
		{"S-255 M-26 unknown action", func(d *Declaration, _ *Env) { d.Triggers = trigger("Nobody") },
			invalidStructure, "Triggers for connections must reference a CodeStarSourceConnection action."},
		{"S-255 M-26 another provider", func(d *Declaration, _ *Env) { d.Triggers = trigger("Object") },
			invalidStructure, "Triggers for connections must reference a CodeStarSourceConnection action."},
		{"S-255 M-26 provider type", func(d *Declaration, _ *Env) { d.Triggers = trigger("Git"); d.Triggers[0].ProviderType = "GitHub" },
			invalidStructure, "Triggers for connections must reference a CodeStarSourceConnection action."},
		{"S-19 S-255 one entry per source action", func(d *Declaration, _ *Env) { d.Triggers = append(trigger("Git"), trigger("Git")...) },
			invalidStructure, "Source action 'Git' has more than one trigger. Put the filters of a source action into one trigger"},
		{"S-19 S-81 too many triggers", func(d *Declaration, _ *Env) { d.Triggers = make([]TriggerDeclaration, 51) },
			invalidValue, "1 validation error detected: Value at 'pipeline.triggers' failed to satisfy constraint: Member must have length less than or equal to 50"},
		{"S-258 push filters", func(d *Declaration, _ *Env) { d.Triggers = trigger("Git", make([]GitPushFilter, 4)...) },
			invalidValue, path + ".push' failed to satisfy constraint: Member must have length less than or equal to 3"},
		{"S-258 pull request filters", func(d *Declaration, _ *Env) {
			d.Triggers = trigger("Git")
			d.Triggers[0].GitConfiguration.PullRequest = make([]GitPullRequestFilter, 4)
		}, invalidValue, path + ".pullRequest' failed to satisfy constraint: Member must have length less than or equal to 3"},
		{"S-256 S-258 patterns", func(d *Declaration, _ *Env) { d.Triggers = trigger("Git", GitPushFilter{Tags: fill(many(9), "v*")}) },
			invalidValue, path + ".push.1.member.tags.includes' failed to satisfy constraint: Member must have length less than or equal to 8"},
		{"S-258 long pattern", func(d *Declaration, _ *Env) {
			d.Triggers = trigger("Git", GitPushFilter{Branches: fill(many(1), strings.Repeat("ä", 256))})
		}, invalidValue, path + ".push.1.member.branches.includes' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 255]"},
		{"S-258 empty pattern", func(d *Declaration, _ *Env) {
			d.Triggers = trigger("Git", GitPushFilter{FilePaths: &GitFilter{Excludes: []string{""}}})
		}, invalidValue, path + ".push.1.member.filePaths.excludes' failed to satisfy constraint: Member must satisfy constraint: [Member must have length greater than or equal to 1]"},
		{"S-258 full lists", func(d *Declaration, _ *Env) {
			f := GitPushFilter{Branches: fill(many(8), strings.Repeat("ä", 255)), FilePaths: fill(many(8), "**")}
			d.Triggers = trigger("Git", f, f, f)
		}, "", ""},
		{"S-19 S-81 size of the list", func(d *Declaration, e *Env) {
			e.Limits.TriggersBytes = 200
			d.Triggers = trigger("Git", GitPushFilter{Branches: fill(many(8), strings.Repeat("x", 30))})
		}, invalidStructure, "The triggers of the pipeline are larger than 200 bytes"},
		{"S-257 pull request", func(d *Declaration, _ *Env) {
			d.Triggers = pull(GitPullRequestFilter{Events: []string{"OPEN", "UPDATED", "CLOSED"}, Branches: fill(many(1), "main")})
		}, "", ""},
		{"S-257 unknown event", func(d *Declaration, _ *Env) { d.Triggers = pull(GitPullRequestFilter{Events: []string{"MERGED"}}) },
			invalidValue, path + ".pullRequest.1.member.events' failed to satisfy constraint: Member must satisfy enum value set: [OPEN, UPDATED, CLOSED]"},
		{"S-257 event twice", func(d *Declaration, _ *Env) {
			d.Triggers = pull(GitPullRequestFilter{Events: []string{"OPEN", "OPEN"}})
		},
			invalidStructure, "The pull request event OPEN is given more than once in one filter"},
		{"S-257 pull request patterns", func(d *Declaration, _ *Env) { d.Triggers = pull(GitPullRequestFilter{FilePaths: fill(many(9), "a")}) },
			invalidValue, path + ".pullRequest.1.member.filePaths.includes' failed to satisfy constraint: Member must have length less than or equal to 8"},
		{"S-256 Q-23 tags with branches", func(d *Declaration, _ *Env) {
			d.Triggers = trigger("Git", GitPushFilter{Tags: fill(many(1), "v*"), Branches: fill(many(1), "main")})
		}, "", ""},
		{"S-256 Q-23 tags with branches, strict", func(d *Declaration, e *Env) {
			e.StrictTriggers = true
			d.Triggers = trigger("Git", GitPushFilter{Tags: fill(many(1), "v*"), Branches: fill(many(1), "main")})
		}, invalidStructure, "The trigger configuration for the source action is not valid. Make sure to choose valid filter combinations."},
		{"S-256 files without branches, strict", func(d *Declaration, e *Env) {
			e.StrictTriggers = true
			d.Triggers = trigger("Git", GitPushFilter{FilePaths: fill(many(1), "src/**")})
		}, invalidStructure, "The trigger configuration for the source action is not valid. Make sure to choose valid filter combinations."},
		{"S-256 branches and files, strict", func(d *Declaration, e *Env) {
			e.StrictTriggers = true
			d.Triggers = trigger("Git", GitPushFilter{Branches: fill(many(1), "main"), FilePaths: fill(many(1), "src/**")})
		}, "", ""},
	})
}
