package codepipeline

import (
	"context"

	api "penstock/internal/api/codepipeline"
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
	limit := 100
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	only, latest, err := narrow(in.Filter)
	if err != nil {
		return nil, err
	}
	var runs []*engine.ActionRun
	var out = &api.ListActionExecutionsOutput{ActionExecutionDetails: []api.ActionExecutionDetail{}}
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		p, err := find(ctx, tx, c, in.PipelineName)
		if err != nil {
			return err
		}
		parts := []string{"ListActionExecutions", p.ID, only}
		if latest {
			parts = append(parts, "latest")
		}
		before, err := position[int64](in.NextToken, parts...)
		if err != nil {
			return err
		}
		if only != "" {
			e, err := execution(ctx, tx, p, only)
			if err != nil {
				return err
			}
			if latest {
				runs = latestRuns(e, before, limit+1)
			}
		}
		if !latest {
			if runs, err = tx.ListActionRuns(ctx, p.ID, pipeline.ExecutionID(only), before, limit+1); err != nil {
				return err
			}
		}
		catalogue := r.Conductor.Catalogue(ctx, tx, c.Account, c.Region)
		for i, run := range runs {
			if i == limit {
				out.NextToken = nextToken(runs[i-1].Number, parts...)
				break
			}
			d, err := tx.Declaration(ctx, p.ID, run.Version)
			if err != nil {
				return err
			}
			out.ActionExecutionDetails = append(out.ActionExecutionDetails, detail(d, run, catalogue))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
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

// latestRuns are the last runs of an execution's actions, newest first, before a number.
func latestRuns(e *engine.Execution, before int64, limit int) []*engine.ActionRun {
	var out []*engine.ActionRun
	for _, run := range e.LatestRuns() {
		if (before == 0 || run.Number < before) && len(out) < limit {
			out = append(out, run)
		}
	}
	return out
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
