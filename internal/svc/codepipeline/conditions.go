package codepipeline

import (
	"cmp"
	"context"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/auth"
	"penstock/internal/engine"
	"penstock/internal/pipeline"
	"penstock/internal/store"
)

// OverrideStageCondition has an execution go on as if a condition had been met (A-26, S-208).
func (r *Room) OverrideStageCondition(ctx context.Context, in *api.OverrideStageConditionInput) (*api.OverrideStageConditionOutput, error) {
	c, err := allow(ctx, "OverrideStageCondition", in.PipelineName, in.StageName)
	if err != nil {
		return nil, err
	}
	_, err = r.apply(ctx, c, in.PipelineName, engine.OverrideCondition{Stage: in.StageName, Execution: pipeline.ExecutionID(in.PipelineExecutionId),
		Place: pipeline.Place(in.ConditionType), By: c.ARN})
	return nil, err
}

// conditionState shows the latest evaluation of the condition a stage has at a place (S-210);
// nil if it has none.
func conditionState(stage *engine.StageState, def *pipeline.Stage, place pipeline.Place) *api.StageConditionState {
	c := def.Condition(place)
	if c == nil {
		return nil
	}
	one := api.ConditionState{RuleStates: []api.RuleState{}}
	out := &api.StageConditionState{}
	run := stage.Conditions[place]
	if run != nil {
		out.LatestExecution = &api.StageConditionsExecution{Status: string(run.Status), Summary: run.Summary}
		one.LatestExecution = &api.ConditionExecution{Status: string(run.Status), Summary: run.Summary, LastStatusChange: &run.Updated}
	}
	for _, rule := range c.Rules {
		state := api.RuleState{RuleName: rule.Name}
		if run != nil && run.Rules[rule.Name] != nil {
			r := run.Rules[rule.Name]
			state.EntityUrl = r.EntityURL
			state.LatestExecution = &api.RuleExecution{RuleExecutionId: string(r.ID), Status: string(r.Status), Summary: r.Summary, LastStatusChange: changed(r),
				LastUpdatedBy: r.UpdatedBy, ExternalExecutionId: r.ExternalID, ExternalExecutionUrl: r.ExternalURL, ErrorDetails: errorDetails(r)}
		}
		one.RuleStates = append(one.RuleStates, state)
	}
	out.ConditionStates = []api.ConditionState{one}
	return out
}

// ListRuleExecutions lists runs of rules, newest first (A-22, S-210).
func (r *Room) ListRuleExecutions(ctx context.Context, in *api.ListRuleExecutionsInput) (*api.ListRuleExecutionsOutput, error) {
	c, err := allow(ctx, "ListRuleExecutions", in.PipelineName)
	if err != nil {
		return nil, err
	}
	var filter *api.ActionExecutionFilter
	if f := in.Filter; f != nil {
		filter = &api.ActionExecutionFilter{PipelineExecutionId: f.PipelineExecutionId, LatestInPipelineExecution: f.LatestInPipelineExecution}
	}
	h := history{operation: "ListRuleExecutions", pipeline: in.PipelineName, token: in.NextToken, max: in.MaxResults, filter: filter,
		list: (*store.Tx).ListRuleRuns}
	out := &api.ListRuleExecutionsOutput{RuleExecutionDetails: []api.RuleExecutionDetail{}}
	out.NextToken, err = r.page(ctx, c, h, func(tx *store.Tx, d *pipeline.Declaration, run *engine.ActionRun) {
		out.RuleExecutionDetails = append(out.RuleExecutionDetails, ruleDetail(d, run))
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func ruleDetail(d *pipeline.Declaration, run *engine.ActionRun) api.RuleExecutionDetail {
	in := &api.RuleExecutionInput{
		RuleTypeId:    &api.RuleTypeId{Category: run.Type.Category, Owner: run.Type.Owner, Provider: run.Type.Provider, Version: run.Type.Version},
		Configuration: map[string]string{}, ResolvedConfiguration: run.Resolved, RoleArn: run.RoleARN, Region: run.Region, InputArtifacts: artifactDetails(run.Inputs),
	}
	if in.ResolvedConfiguration == nil {
		in.ResolvedConfiguration = map[string]string{}
	}
	if def, _, ok := d.Stage(run.Stage); ok {
		if c := def.Condition(run.Place); c != nil {
			for _, rule := range c.Rules {
				if rule.Name == run.Action && rule.Configuration != nil {
					in.Configuration = rule.Configuration
				}
			}
		}
	}
	return api.RuleExecutionDetail{
		PipelineExecutionId: string(run.Execution), RuleExecutionId: string(run.ID), PipelineVersion: int32p(run.Version), StageName: run.Stage, RuleName: run.Action,
		StartTime: &run.Started, LastUpdateTime: &run.Updated, UpdatedBy: run.UpdatedBy, Status: string(run.Status), Input: in,
		Output: &api.RuleExecutionOutput{ExecutionResult: &api.RuleExecutionResult{ExternalExecutionId: run.ExternalID, ExternalExecutionSummary: run.Summary,
			ExternalExecutionUrl: run.ExternalURL, ErrorDetails: errorDetails(run)}},
	}
}

// ListRuleTypes lists the built-in rule types. They are the same in every Region.
func (r *Room) ListRuleTypes(ctx context.Context, in *api.ListRuleTypesInput) (*api.ListRuleTypesOutput, error) {
	if err := auth.Check(ctx, "codepipeline:ListRuleTypes", "*"); err != nil {
		return nil, err
	}
	out := &api.ListRuleTypesOutput{RuleTypes: []api.RuleType{}}
	for _, t := range pipeline.BuiltinRuleTypes() {
		if in.RuleOwnerFilter != "" && in.RuleOwnerFilter != t.ID.Owner {
			continue
		}
		one := api.RuleType{
			Id:                          &api.RuleTypeId{Category: t.ID.Category, Owner: t.ID.Owner, Provider: t.ID.Provider, Version: t.ID.Version},
			InputArtifactDetails:        &api.ArtifactDetails{MinimumCount: int32p(t.Inputs.Min), MaximumCount: int32p(t.Inputs.Max)},
			RuleConfigurationProperties: []api.RuleConfigurationProperty{},
		}
		for _, p := range t.Properties {
			one.RuleConfigurationProperties = append(one.RuleConfigurationProperties, api.RuleConfigurationProperty{Name: p.Name, Required: new(p.Required),
				Key: new(p.Key), Secret: new(p.Secret), Queryable: new(p.Queryable), Description: p.Description, Type: cmp.Or(p.Type, "String")})
		}
		out.RuleTypes = append(out.RuleTypes, one)
	}
	return out, nil
}
