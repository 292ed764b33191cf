package codepipeline

import (
	"cmp"
	"context"
	"errors"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/auth"
	"penstock/internal/engine"
	"penstock/internal/fault"
	"penstock/internal/pipeline"
	"penstock/internal/store"
)

// ListActionExecutions lists action executions, newest first (A-17, S-124).
func (r *Room) ListActionExecutions(ctx context.Context, in *api.ListActionExecutionsInput) (*api.ListActionExecutionsOutput, error) {
	c, err := allow(ctx, "ListActionExecutions", in.PipelineName)
	if err != nil {
		return nil, err
	}
	h := history{operation: "ListActionExecutions", pipeline: in.PipelineName, token: in.NextToken, max: in.MaxResults, filter: in.Filter,
		list: (*store.Tx).ListActionRuns}
	out := &api.ListActionExecutionsOutput{ActionExecutionDetails: []api.ActionExecutionDetail{}}
	out.NextToken, err = r.page(ctx, c, h, func(tx *store.Tx, d *pipeline.Declaration, run *engine.ActionRun) {
		out.ActionExecutionDetails = append(out.ActionExecutionDetails, detail(d, run, r.Conductor.Catalogue(ctx, tx, c.Account, c.Region)))
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// history says which part of which history is asked for: that of actions or that of rules.
type history struct {
	operation, pipeline, token string
	max                        *int32
	filter                     *api.ActionExecutionFilter
	list                       runLister
}

// runLister is how a part of the history is read, as [store.Tx.ListActionRuns].
type runLister func(tx *store.Tx, ctx context.Context, id string, execution pipeline.ExecutionID, before int64, limit int) ([]*engine.ActionRun, error)

// page calls show for each run of a page, with the definition it ran under, and gives the token
// of the next page.
func (r *Room) page(ctx context.Context, c auth.Caller, h history, show func(*store.Tx, *pipeline.Declaration, *engine.ActionRun)) (next string, err error) {
	limit := 100
	if h.max != nil {
		limit = int(*h.max)
	}
	only, latest, err := narrow(h.filter)
	if err != nil {
		return "", err
	}
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		p, err := find(ctx, tx, c, h.pipeline)
		if err != nil {
			return err
		}
		parts := []string{h.operation, p.ID, only}
		if latest {
			parts = append(parts, "latest")
		}
		before, err := position[int64](h.token, parts...)
		if err != nil {
			return err
		}
		if only != "" {
			if _, err := execution(ctx, tx, p, only); err != nil {
				return err
			}
		}
		list := h.list
		if latest {
			list = h.list.latest
		}
		runs, err := list(tx, ctx, p.ID, pipeline.ExecutionID(only), before, limit+1)
		if err != nil {
			return err
		}
		for i, run := range runs {
			if i == limit {
				next = nextToken(runs[i-1].Number, parts...)
				break
			}
			d, err := tx.Declaration(ctx, p.ID, run.Version)
			if err != nil {
				return err
			}
			show(tx, d, run)
		}
		return nil
	})
	return next, err
}

// narrow reads the filter: the execution it names, and whether only each action's last run
// of it is asked for.
func narrow(f *api.ActionExecutionFilter) (execution string, latest bool, err error) {
	switch {
	case f == nil:
		return "", false, nil
	case f.LatestInPipelineExecution == nil:
		return f.PipelineExecutionId, false, nil
	case f.PipelineExecutionId != "":
		return "", false, fault.New("ValidationException", "The filter may have pipelineExecutionId or latestInPipelineExecution, not both")
	}
	l := f.LatestInPipelineExecution
	return l.PipelineExecutionId, l.StartTimeRange == "Latest", nil
}

// latest is list, with only the last run of each action or rule of the execution (S-124). The
// execution itself does not know that of an action which is to run again and has not begun to.
func (list runLister) latest(tx *store.Tx, ctx context.Context, id string, execution pipeline.ExecutionID, before int64, limit int) (out []*engine.ActionRun, err error) {
	type place struct {
		stage, action string
		condition     pipeline.Place
	}
	seen := map[place]bool{}
	for next := int64(0); ; {
		runs, err := list(tx, ctx, id, execution, next, 100)
		if err != nil || len(runs) == 0 {
			return out, err
		}
		for _, run := range runs {
			at := place{run.Stage, run.Action, run.Place}
			if !seen[at] && (before == 0 || run.Number < before) {
				if out = append(out, run); len(out) == limit {
					return out, nil
				}
			}
			seen[at], next = true, run.Number
		}
	}
}

// ListDeployActionExecutionTargets lists what a deploy action deploys to, machine by machine
// . Only the actions that deploy to instances and clusters have targets, and none of those
// runs on this server: every other action has an empty list.
func (r *Room) ListDeployActionExecutionTargets(ctx context.Context, in *api.ListDeployActionExecutionTargetsInput) (*api.ListDeployActionExecutionTargetsOutput, error) {
	c := auth.From(ctx)
	if in.PipelineName != "" {
		if _, err := allow(ctx, "ListDeployActionExecutionTargets", in.PipelineName); err != nil {
			return nil, err
		}
	}
	err := r.DB.View(ctx, func(tx *store.Tx) error {
		if in.PipelineName != "" {
			if _, err := find(ctx, tx, c, in.PipelineName); err != nil {
				return err
			}
		}
		name, err := tx.ActionRunPipeline(ctx, c.Account, c.Region, pipeline.ActionExecutionID(in.ActionExecutionId))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if in.PipelineName == "" { // who may not see the pipeline does not learn that it has this action execution
			if _, err := allow(ctx, "ListDeployActionExecutionTargets", cmp.Or(name, "*")); err != nil {
				return err
			}
		}
		if err != nil || in.PipelineName != "" && name != in.PipelineName {
			return fault.New("ActionExecutionNotFoundException", "Account '%s' does not have an action execution with id '%s'", c.Account, in.ActionExecutionId)
		}
		_, err = position[int64](in.NextToken, "ListDeployActionExecutionTargets", in.ActionExecutionId)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &api.ListDeployActionExecutionTargetsOutput{Targets: []api.DeployActionExecutionTarget{}}, nil
}

func detail(d *pipeline.Declaration, run *engine.ActionRun, catalogue pipeline.Catalogue) api.ActionExecutionDetail {
	in := &api.ActionExecutionInput{
		ActionTypeId:  &api.ActionTypeId{Category: run.Type.Category, Owner: run.Type.Owner, Provider: run.Type.Provider, Version: run.Type.Version},
		Configuration: map[string]string{}, ResolvedConfiguration: pipeline.MaskConfiguration(run.Type, run.Resolved, catalogue),
		RoleArn: run.RoleARN, Region: run.Region, InputArtifacts: artifactDetails(run.Inputs),
	}
	if in.ResolvedConfiguration == nil {
		in.ResolvedConfiguration = map[string]string{}
	}
	for i := range d.Stages {
		for _, a := range d.Stages[i].Actions {
			if d.Stages[i].Name == run.Stage && a.Name == run.Action {
				in.Namespace = a.Namespace
				if masked := pipeline.MaskConfiguration(run.Type, a.Configuration, catalogue); masked != nil {
					in.Configuration = masked
				}
			}
		}
	}
	out := &api.ActionExecutionOutput{OutputArtifacts: []api.ArtifactDetail{}, OutputVariables: map[string]string{}, ExecutionResult: &api.ActionExecutionResult{
		ExternalExecutionId: run.ExternalID, ExternalExecutionSummary: run.Summary, ExternalExecutionUrl: run.ExternalURL,
		ErrorDetails: errorDetails(run), LogStreamARN: run.LogStreamARN}}
	if run.Status == pipeline.Succeeded {
		out.OutputArtifacts = artifactDetails(run.Outputs)
		if run.Variables != nil {
			out.OutputVariables = run.Variables
		}
	}
	return api.ActionExecutionDetail{
		PipelineExecutionId: string(run.Execution), ActionExecutionId: string(run.ID), PipelineVersion: int32p(run.Version),
		StageName: run.Stage, ActionName: run.Action, StartTime: &run.Started, LastUpdateTime: &run.Updated, UpdatedBy: run.UpdatedBy,
		Status: string(run.Status), Input: in, Output: out,
	}
}

func artifactDetails(list []pipeline.Artifact) []api.ArtifactDetail {
	out := make([]api.ArtifactDetail, 0, len(list))
	for _, a := range list {
		out = append(out, api.ArtifactDetail{Name: a.Name, S3location: &api.S3Location{Bucket: a.Bucket, Key: a.Key}})
	}
	return out
}
