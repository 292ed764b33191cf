package main

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
	"github.com/spf13/cobra"
)

func newRetry() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "retry NAME STAGE",
		Short: "Run a failed stage again, with the same revisions",
		Args:  cobra.ExactArgs(2),
	}
	c := newClient(cmd)
	all := cmd.Flags().Bool("all", false, "run all actions of the stage, not only those that failed")
	in := cmd.Flags().String("execution", "", "execution that is meant; the one in the stage if empty")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		api, err := c.connect(cmd)
		if err != nil {
			return err
		}
		id := *in
		if id != "" {
			id, err = api.Resolve(cmd.Context(), args[0], id)
		} else {
			id, err = api.InStage(cmd.Context(), args[0], args[1])
		}
		if err != nil {
			return err
		}
		mode := types.StageRetryModeFailedActions
		if *all {
			mode = types.StageRetryModeAllActions
		}
		out, err := api.Pipelines.RetryStageExecution(cmd.Context(), &codepipeline.RetryStageExecutionInput{
			PipelineName: &args[0], StageName: &args[1], PipelineExecutionId: &id, RetryMode: mode})
		if err != nil {
			return err
		}
		return c.id(aws.ToString(out.PipelineExecutionId))
	}
	return cmd
}

func newRollback() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rollback NAME STAGE [EXECUTION]",
		Short: "Run a stage with what an earlier execution had there",
		Long: `Run a stage again with the source revisions, artifacts and variables of an execution that
succeeded there. Without EXECUTION that is the newest but the one that is in the stage.`,
		Args: cobra.RangeArgs(2, 3),
	}
	c := newClient(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		api, err := c.connect(cmd)
		if err != nil {
			return err
		}
		var target string
		if len(args) > 2 {
			target, err = api.Resolve(cmd.Context(), args[0], args[2])
		} else {
			target, err = api.Before(cmd.Context(), args[0], args[1])
		}
		if err != nil {
			return err
		}
		out, err := api.Pipelines.RollbackStage(cmd.Context(), &codepipeline.RollbackStageInput{
			PipelineName: &args[0], StageName: &args[1], TargetPipelineExecutionId: &target})
		if err != nil {
			return err
		}
		return c.id(aws.ToString(out.PipelineExecutionId))
	}
	return cmd
}

func newStop() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "stop NAME EXECUTION",
		Short: "Stop an execution, after the actions that run have ended",
		Args:  cobra.ExactArgs(2),
	}
	c := newClient(cmd)
	abandon := cmd.Flags().Bool("abandon", false, "do not wait for the actions that run")
	reason := cmd.Flags().String("reason", "", "what to record, at most 200 characters")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		api, err := c.connect(cmd)
		if err != nil {
			return err
		}
		id, err := api.Resolve(cmd.Context(), args[0], args[1])
		if err != nil {
			return err
		}
		in := &codepipeline.StopPipelineExecutionInput{PipelineName: &args[0], PipelineExecutionId: &id, Abandon: *abandon}
		if *reason != "" {
			in.Reason = reason
		}
		out, err := api.Pipelines.StopPipelineExecution(cmd.Context(), in)
		if err != nil {
			return err
		}
		return c.id(aws.ToString(out.PipelineExecutionId))
	}
	return cmd
}

// id prints the id of an execution.
func (c *client) id(id string) error {
	if *c.json {
		return c.print(map[string]string{"pipelineExecutionId": id})
	}
	_, err := fmt.Fprintln(c.out, id)
	return err
}

func newTransition() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "transition",
		Short: "Open or close the transition into a stage",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	enable := &cobra.Command{Use: "enable NAME STAGE", Short: "Let executions into the stage", Args: cobra.ExactArgs(2)}
	e := newClient(enable)
	enable.RunE = func(cmd *cobra.Command, args []string) error {
		api, err := e.connect(cmd)
		if err != nil {
			return err
		}
		_, err = api.Pipelines.EnableStageTransition(cmd.Context(), &codepipeline.EnableStageTransitionInput{
			PipelineName: &args[0], StageName: &args[1], TransitionType: types.StageTransitionTypeInbound})
		return err
	}
	disable := &cobra.Command{Use: "disable NAME STAGE", Short: "Keep executions in front of the stage", Args: cobra.ExactArgs(2)}
	d := newClient(disable)
	reason := disable.Flags().String("reason", "disabled with penstock", "why, at most 300 characters")
	disable.RunE = func(cmd *cobra.Command, args []string) error {
		api, err := d.connect(cmd)
		if err != nil {
			return err
		}
		_, err = api.Pipelines.DisableStageTransition(cmd.Context(), &codepipeline.DisableStageTransitionInput{
			PipelineName: &args[0], StageName: &args[1], TransitionType: types.StageTransitionTypeInbound, Reason: reason})
		return err
	}
	cmd.AddCommand(enable, disable)
	return cmd
}
