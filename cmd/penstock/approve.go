package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"penstock/internal/watch"
)

func newApprove() *cobra.Command {
	return newDecision("approve", "Approve what waits for a decision", types.ApprovalStatusApproved)
}

func newReject() *cobra.Command {
	return newDecision("reject", "Reject what waits for a decision", types.ApprovalStatusRejected)
}

func newDecision(verb, short string, status types.ApprovalStatus) *cobra.Command {
	cmd := &cobra.Command{
		Use:   verb + " NAME [STAGE/ACTION]",
		Short: short,
		Long: short + `. If several approvals of the pipeline wait, name the action, and in
PARALLEL mode the execution; in a terminal you are asked.`,
		Args: cobra.RangeArgs(1, 2),
	}
	c := newClient(cmd)
	summary := cmd.Flags().String("summary", "", "what to record with the decision, at most 512 characters")
	in := cmd.Flags().String("execution", "", "execution that is meant; the beginning of its id is enough")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		api, err := c.connect(cmd)
		if err != nil {
			return err
		}
		pending, err := api.Pending(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if len(args) == 2 {
			stage, action, err := place(args[1])
			if err != nil {
				return err
			}
			pending = only(pending, func(a watch.Approval) bool { return a.Stage == stage && a.Action == action })
		}
		pending = only(pending, func(a watch.Approval) bool { return strings.HasPrefix(a.Execution, *in) })
		a, err := choose(pending, strings.Join(args, " "))
		if err != nil {
			return err
		}
		out, err := api.Pipelines.PutApprovalResult(cmd.Context(), &codepipeline.PutApprovalResultInput{
			PipelineName: &args[0], StageName: &a.Stage, ActionName: &a.Action, Token: &a.Token,
			Result: &types.ApprovalResult{Status: status, Summary: summary},
		})
		if err != nil {
			return err
		}
		tally := waiting(cmd.Context(), api, args[0], a)
		if *c.json {
			return c.print(map[string]any{"tally": tally, "stage": a.Stage, "action": a.Action, "execution": a.Execution, "status": status, "approvedAt": out.ApprovedAt})
		}
		fmt.Fprintf(c.out, "%s %s/%s of %s\n", status, watch.Clean(a.Stage), watch.Clean(a.Action), watch.Short(a.Execution))
		if tally != "" {
			fmt.Fprintln(c.out, watch.Clean(tally))
		}
		return nil
	}
	return cmd
}

// waiting gives what an approval tells that waits for others still; "" for one that does not.
func waiting(ctx context.Context, api *watch.Client, name string, a watch.Approval) string {
	runs, err := api.Pipelines.ListActionExecutions(ctx, &codepipeline.ListActionExecutionsInput{PipelineName: &name, Filter: &types.ActionExecutionFilter{PipelineExecutionId: &a.Execution}})
	if err != nil {
		return "" // the answer was taken
	}
	for _, r := range runs.ActionExecutionDetails {
		if aws.ToString(r.StageName) == a.Stage && aws.ToString(r.ActionName) == a.Action && r.Status == types.ActionExecutionStatusInProgress &&
			r.Output != nil && r.Output.ExecutionResult != nil {
			return aws.ToString(r.Output.ExecutionResult.ExternalExecutionSummary)
		}
	}
	return ""
}

func only(list []watch.Approval, keep func(watch.Approval) bool) []watch.Approval {
	var kept []watch.Approval
	for _, a := range list {
		if keep(a) {
			kept = append(kept, a)
		}
	}
	return kept
}

// choose gives the one approval there is, or asks which.
func choose(pending []watch.Approval, what string) (watch.Approval, error) {
	switch len(pending) {
	case 0:
		return watch.Approval{}, fmt.Errorf("nothing of %s waits for a decision", what)
	case 1:
		return pending[0], nil
	}
	var names []string
	for i, a := range pending {
		names = append(names, fmt.Sprintf("%d: %s/%s of execution %s", i+1, watch.Clean(a.Stage), watch.Clean(a.Action), watch.Short(a.Execution)))
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return watch.Approval{}, fmt.Errorf("several approvals wait, name the action or --execution: %s", strings.Join(names, "; "))
	}
	fmt.Fprintf(os.Stderr, "%s\nWhich one? ", strings.Join(names, "\n"))
	answer, err := bufio.NewReader(io.LimitReader(os.Stdin, 100)).ReadString('\n')
	n, nerr := strconv.Atoi(strings.TrimSpace(answer))
	if err != nil || nerr != nil || n < 1 || n > len(pending) {
		return watch.Approval{}, fmt.Errorf("that is none of 1 to %d", len(pending))
	}
	return pending[n-1], nil
}
