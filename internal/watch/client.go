package watch

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
	"golang.org/x/sync/errgroup"
)

// Client reads what there is to show. It is safe for concurrent use.
type Client struct {
	Pipelines *codepipeline.Client
	Builds    *codebuild.Client
	Logs      *cloudwatchlogs.Client

	mu       sync.Mutex
	versions map[string]*types.PipelineDeclaration
}

// NewClient makes a Client.
func NewClient(cfg aws.Config) *Client {
	return &Client{Pipelines: codepipeline.NewFromConfig(cfg), Builds: codebuild.NewFromConfig(cfg), Logs: cloudwatchlogs.NewFromConfig(cfg),
		versions: map[string]*types.PipelineDeclaration{}}
}

// Definition gives a version of a pipeline's definition; 0 is the current one. Versions do
// not change, so they are asked for once.
func (c *Client) Definition(ctx context.Context, name string, version int32) (*types.PipelineDeclaration, error) {
	key := fmt.Sprint(name, " ", version)
	c.mu.Lock()
	d := c.versions[key]
	c.mu.Unlock()
	if d != nil {
		return d, nil
	}
	in := &codepipeline.GetPipelineInput{Name: &name}
	if version != 0 {
		in.Version = &version
	}
	out, err := c.Pipelines.GetPipeline(ctx, in)
	if err != nil {
		return nil, err
	}
	if version != 0 {
		c.mu.Lock()
		c.versions[key] = out.Pipeline
		c.mu.Unlock()
	}
	return out.Pipeline, nil
}

// Latest gives the id of the newest execution, "" if there is none.
func (c *Client) Latest(ctx context.Context, name string) (string, error) {
	out, err := c.Pipelines.ListPipelineExecutions(ctx, &codepipeline.ListPipelineExecutionsInput{PipelineName: &name, MaxResults: aws.Int32(1)})
	if err != nil || len(out.PipelineExecutionSummaries) == 0 {
		return "", err
	}
	return aws.ToString(out.PipelineExecutionSummaries[0].PipelineExecutionId), nil
}

// Resolve gives the full id of an execution by its beginning.
func (c *Client) Resolve(ctx context.Context, name, begin string) (string, error) {
	if len(begin) >= 36 {
		return begin, nil
	}
	found := ""
	pages := codepipeline.NewListPipelineExecutionsPaginator(c.Pipelines, &codepipeline.ListPipelineExecutionsInput{PipelineName: &name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return "", err
		}
		for _, e := range page.PipelineExecutionSummaries {
			id := aws.ToString(e.PipelineExecutionId)
			switch {
			case !strings.HasPrefix(id, begin):
			case found != "":
				return "", fmt.Errorf("several executions of %s begin with %s", name, begin)
			default:
				found = id
			}
		}
	}
	if found == "" {
		return "", fmt.Errorf("no execution of %s begins with %s", name, begin)
	}
	return found, nil
}

// Execution gives one execution of a pipeline.
func (c *Client) Execution(ctx context.Context, name, execution string) (*Snapshot, error) {
	var state *codepipeline.GetPipelineStateOutput
	var about *types.PipelineExecution
	var definition *types.PipelineDeclaration
	var runs []types.ActionExecutionDetail
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		state, err = c.Pipelines.GetPipelineState(ctx, &codepipeline.GetPipelineStateInput{Name: &name})
		return err
	})
	g.Go(func() error {
		out, err := c.Pipelines.GetPipelineExecution(ctx, &codepipeline.GetPipelineExecutionInput{PipelineName: &name, PipelineExecutionId: &execution})
		if err != nil {
			return err
		}
		about = out.PipelineExecution
		definition, err = c.Definition(ctx, name, aws.ToInt32(about.PipelineVersion))
		return err
	})
	g.Go(func() (err error) {
		runs, err = c.runs(ctx, name, execution)
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	s := &Snapshot{Pipeline: name, Execution: execution, Status: string(about.Status), Summary: aws.ToString(about.StatusSummary)}
	if t := about.Trigger; t != nil {
		s.Trigger = strings.TrimSpace(string(t.TriggerType) + " " + aws.ToString(t.TriggerDetail))
	}
	s.Stages = stagesOf(definition)
	s.run(runs, about.ExecutionMode == types.ExecutionModeParallel)
	s.place(state, about.ExecutionMode == types.ExecutionModeParallel)
	return s, nil
}

// runs gives the action executions of an execution, or of all if it is "", newest first.
func (c *Client) runs(ctx context.Context, name, execution string) ([]types.ActionExecutionDetail, error) {
	in := &codepipeline.ListActionExecutionsInput{PipelineName: &name}
	if execution != "" {
		in.Filter = &types.ActionExecutionFilter{PipelineExecutionId: &execution}
	}
	var list []types.ActionExecutionDetail
	pages := codepipeline.NewListActionExecutionsPaginator(c.Pipelines, in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		list = append(list, page.ActionExecutionDetails...)
		if execution == "" {
			break // the newest page is enough to find what runs now
		}
	}
	return list, nil
}

// stagesOf gives the stages and actions of a definition, with nothing run yet.
func stagesOf(d *types.PipelineDeclaration) []Stage {
	var stages []Stage
	for _, ds := range d.Stages {
		st := Stage{Name: aws.ToString(ds.Name)}
		for _, da := range ds.Actions {
			a := Action{Name: aws.ToString(da.Name), RunOrder: int(cmp.Or(aws.ToInt32(da.RunOrder), 1)),
				Comment: da.Configuration["CustomData"], Link: da.Configuration["ExternalEntityLink"]}
			if t := da.ActionTypeId; t != nil {
				a.Category, a.Provider = string(t.Category), aws.ToString(t.Provider)
			}
			st.Actions = append(st.Actions, a)
		}
		stages = append(stages, st)
	}
	return stages
}

// run puts the newest run of each action into the stages.
func (s *Snapshot) run(runs []types.ActionExecutionDetail, parallel bool) {
	seen := map[[2]string]bool{}
	for _, r := range runs {
		key := [2]string{aws.ToString(r.StageName), aws.ToString(r.ActionName)}
		if r.StartTime != nil && (s.Started == nil || r.StartTime.Before(*s.Started)) {
			s.Started = r.StartTime
		}
		if r.LastUpdateTime != nil && (s.Updated == nil || r.LastUpdateTime.After(*s.Updated)) {
			s.Updated = r.LastUpdateTime
		}
		if seen[key] {
			continue
		}
		seen[key] = true
		st := s.stage(key[0])
		for i := range st.Actions {
			a := &st.Actions[i]
			if a.Name != key[1] {
				continue
			}
			a.ID, a.Execution, a.Status = aws.ToString(r.ActionExecutionId), aws.ToString(r.PipelineExecutionId), string(r.Status)
			a.Started, a.Updated = r.StartTime, r.LastUpdateTime
			a.told(r.Input)
			if r.Output == nil || r.Output.ExecutionResult == nil {
				continue
			}
			result := r.Output.ExecutionResult
			a.External, a.URL, a.Summary = aws.ToString(result.ExternalExecutionId), aws.ToString(result.ExternalExecutionUrl), aws.ToString(result.ExternalExecutionSummary)
			a.Error = failure(result.ErrorDetails)
			if parallel && a.Category == "Approval" && a.Status == StatusInProgress {
				a.Token = a.External // S-149
			}
		}
	}
}

func failure(e *types.ErrorDetails) string {
	if e == nil {
		return ""
	}
	return strings.TrimSpace(strings.TrimPrefix(aws.ToString(e.Code)+": "+aws.ToString(e.Message), ": "))
}
