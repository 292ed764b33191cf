package watch

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
	"golang.org/x/sync/errgroup"
)

// place adds what only the pipeline's state knows: gates, who waits where, tokens, and what
// became of the execution in each stage.
func (s *Snapshot) place(state *codepipeline.GetPipelineStateOutput, parallel bool) {
	for i := range s.Stages {
		st := &s.Stages[i]
		for _, now := range state.StageStates {
			if aws.ToString(now.StageName) != st.Name || parallel {
				continue
			}
			st.gate(now)
			for _, in := range now.InboundExecutions {
				if aws.ToString(in.PipelineExecutionId) == s.Execution && !s.Over() {
					st.Status = StatusWaiting
				}
			}
			if l := now.LatestExecution; l != nil && aws.ToString(l.PipelineExecutionId) == s.Execution {
				st.Status = string(l.Status)
				st.tokens(now)
				st.judge(now)
			}
		}
		if st.Status == "" {
			st.Status = passed(st.Actions)
		}
		if st.Status != "" {
			st.Execution = s.Execution
		}
	}
}

// gate reads the transition and the line in front of a stage.
func (st *Stage) gate(now types.StageState) {
	if t := now.InboundTransitionState; t != nil && !t.Enabled {
		st.Disabled, st.Reason = true, aws.ToString(t.DisabledReason)
	}
	for _, in := range now.InboundExecutions {
		if in.Status == types.StageExecutionStatusInProgress {
			st.Waiting = append(st.Waiting, aws.ToString(in.PipelineExecutionId))
		}
	}
}

// tokens puts the tokens of pending approvals to the runs they belong to.
func (st *Stage) tokens(now types.StageState) {
	for _, state := range now.ActionStates {
		for i := range st.Actions {
			a, e := &st.Actions[i], state.LatestExecution
			if e != nil && a.Name == aws.ToString(state.ActionName) && e.Status == types.ActionExecutionStatusInProgress {
				a.Token = cmp.Or(aws.ToString(e.Token), a.Token)
			}
		}
	}
}

// passed tells what became of an execution in a stage from its actions alone: the stage has
// had others since, or shares no state.
func passed(actions []Action) string {
	done := 0
	for _, a := range actions {
		switch a.Status {
		case StatusInProgress:
			return StatusInProgress
		case "Failed":
			return "Failed"
		case "Abandoned":
			return "Stopped"
		case StatusSucceeded:
			done++
		}
	}
	switch done {
	case 0:
		return ""
	case len(actions):
		return StatusSucceeded
	}
	return StatusInProgress
}

// State gives a pipeline's stages with the execution each one had last.
func (c *Client) State(ctx context.Context, name string) (*Snapshot, error) {
	var state *codepipeline.GetPipelineStateOutput
	var definition *types.PipelineDeclaration
	g, both := errgroup.WithContext(ctx) // which is over when both have ended
	g.Go(func() (err error) {
		state, err = c.Pipelines.GetPipelineState(both, &codepipeline.GetPipelineStateInput{Name: &name})
		return err
	})
	g.Go(func() (err error) {
		definition, err = c.Definition(both, name, 0)
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	s := &Snapshot{Pipeline: name, Stages: stagesOf(definition)}
	if definition.ExecutionMode == types.ExecutionModeParallel {
		// Executions share no stages; what runs now is the history's to tell.
		runs, err := c.runs(ctx, name, "")
		if err != nil {
			return nil, err
		}
		s.run(runs, true)
		return s, nil
	}
	for i := range s.Stages {
		st := &s.Stages[i]
		for _, now := range state.StageStates {
			if aws.ToString(now.StageName) == st.Name {
				st.gate(now)
				st.show(now)
				st.judge(now)
			}
		}
	}
	return s, c.words(ctx, s)
}

// words puts the values of variables into what pending approvals say. The state knows only the
// definition; what an action was told is in its run (S-229).
func (c *Client) words(ctx context.Context, s *Snapshot) error {
	for _, p := range s.Pending() {
		if !strings.Contains(p.Comment+p.Link, "#{") {
			continue
		}
		runs, err := c.runs(ctx, s.Pipeline, p.Execution)
		if err != nil {
			return err
		}
		for _, r := range runs {
			st := s.stage(aws.ToString(r.StageName))
			for i := range st.Actions {
				if a := &st.Actions[i]; a.Token != "" && a.ID == aws.ToString(r.ActionExecutionId) {
					a.told(r.Input)
				}
			}
		}
	}
	return nil
}

// told takes over what an approval was told, with the values of its variables.
func (a *Action) told(in *types.ActionExecutionInput) {
	if in != nil && a.Category == "Approval" {
		a.Comment = cmp.Or(in.ResolvedConfiguration["CustomData"], a.Comment)
		a.Link = cmp.Or(in.ResolvedConfiguration["ExternalEntityLink"], a.Link)
	}
}

// show takes over the last execution of a stage and its actions' last runs.
func (st *Stage) show(now types.StageState) {
	if l := now.LatestExecution; l != nil {
		st.Execution, st.Status = aws.ToString(l.PipelineExecutionId), string(l.Status)
	}
	for _, state := range now.ActionStates {
		e := state.LatestExecution
		for i := range st.Actions {
			a := &st.Actions[i]
			if e == nil || a.Name != aws.ToString(state.ActionName) {
				continue
			}
			a.ID, a.Execution, a.Status = aws.ToString(e.ActionExecutionId), st.Execution, string(e.Status)
			a.Updated, a.Summary, a.Error = e.LastStatusChange, aws.ToString(e.Summary), failure(e.ErrorDetails)
			a.External, a.URL, a.Token = aws.ToString(e.ExternalExecutionId), aws.ToString(e.ExternalExecutionUrl), aws.ToString(e.Token)
		}
	}
}

// Pending gives the approvals of a pipeline that wait for an answer.
func (c *Client) Pending(ctx context.Context, name string) ([]Approval, error) {
	definition, err := c.Definition(ctx, name, 0)
	if err != nil {
		return nil, err
	}
	if definition.ExecutionMode != types.ExecutionModeParallel {
		s, err := c.State(ctx, name)
		if err != nil {
			return nil, err
		}
		return s.Pending(), nil
	}
	runs, err := c.runs(ctx, name, "")
	if err != nil {
		return nil, err
	}
	var list []Approval
	for _, r := range runs { // S-149: each execution has its own
		if r.Status != types.ActionExecutionStatusInProgress || r.Input == nil || r.Input.ActionTypeId == nil || r.Input.ActionTypeId.Category != types.ActionCategoryApproval {
			continue
		}
		a := Approval{Stage: aws.ToString(r.StageName), Action: aws.ToString(r.ActionName), Execution: aws.ToString(r.PipelineExecutionId),
			Comment: r.Input.ResolvedConfiguration["CustomData"], Link: r.Input.ResolvedConfiguration["ExternalEntityLink"]}
		if r.Output != nil && r.Output.ExecutionResult != nil {
			a.Token = aws.ToString(r.Output.ExecutionResult.ExternalExecutionId)
		}
		list = append(list, a)
	}
	return list, nil
}

// InStage gives the execution that entered a stage last.
func (c *Client) InStage(ctx context.Context, name, stage string) (string, error) {
	state, err := c.Pipelines.GetPipelineState(ctx, &codepipeline.GetPipelineStateInput{Name: &name})
	if err != nil {
		return "", err
	}
	for _, s := range state.StageStates {
		if aws.ToString(s.StageName) != stage {
			continue
		}
		if s.LatestExecution == nil {
			return "", fmt.Errorf("no execution has entered the stage %s of %s; in PARALLEL mode name the execution", stage, name)
		}
		return aws.ToString(s.LatestExecution.PipelineExecutionId), nil
	}
	return "", fmt.Errorf("the pipeline %s has no stage %s", name, stage)
}

// Before gives the newest execution that succeeded in a stage, except the one that is in it and
// rollbacks: what the stage can be rolled back to (S-185, S-191).
func (c *Client) Before(ctx context.Context, name, stage string) (string, error) {
	now, err := c.InStage(ctx, name, stage)
	if err != nil {
		return "", err
	}
	pages := codepipeline.NewListPipelineExecutionsPaginator(c.Pipelines, &codepipeline.ListPipelineExecutionsInput{
		PipelineName: &name, Filter: &types.PipelineExecutionFilter{SucceededInStage: &types.SucceededInStageFilter{StageName: &stage}}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return "", err
		}
		for _, e := range page.PipelineExecutionSummaries {
			if id := aws.ToString(e.PipelineExecutionId); id != now && e.ExecutionType != types.ExecutionTypeRollback {
				return id, nil
			}
		}
	}
	return "", fmt.Errorf("no execution of the present version of %s succeeded in the stage %s before the one in it", name, stage)
}

// Run gives the newest run of an action, in an execution if one is named by the beginning of
// its id.
func (c *Client) Run(ctx context.Context, name, execution, stage, action string) (*Action, error) {
	if execution != "" {
		var err error
		if execution, err = c.Resolve(ctx, name, execution); err != nil {
			return nil, err
		}
	}
	definition, err := c.Definition(ctx, name, 0)
	if err != nil {
		return nil, err
	}
	runs, err := c.runs(ctx, name, execution)
	if err != nil {
		return nil, err
	}
	s := &Snapshot{Pipeline: name, Stages: stagesOf(definition)}
	s.run(runs, false)
	a := s.stage(stage).action(action)
	switch {
	case a.Name == "":
		return nil, fmt.Errorf("the pipeline %s has no action %s/%s", name, stage, action)
	case a.Status == "":
		return nil, fmt.Errorf("the action %s/%s of %s has not run yet", stage, action, name)
	}
	return &a, nil
}
