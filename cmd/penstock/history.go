package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/spf13/cobra"

	"penstock/internal/watch"
)

// past is an execution in the output of history.
type past struct {
	ID      string    `json:"pipelineExecutionId"`
	Status  string    `json:"status"`
	Type    string    `json:"executionType"`
	Trigger string    `json:"trigger"`
	Started time.Time `json:"started"`
	Updated time.Time `json:"updated"`
}

func newHistory() *cobra.Command {
	cmd := &cobra.Command{Use: "history NAME", Short: "List the executions of a pipeline, the newest first", Args: cobra.ExactArgs(1)}
	c := newClient(cmd)
	limit := cmd.Flags().Int("limit", 20, "how many to list; 0 for all")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *limit < 0 {
			return usageError{fmt.Errorf("--limit %d: it is a number of executions, or 0 for all", *limit)}
		}
		api, err := c.connect(cmd)
		if err != nil {
			return err
		}
		list := []past{}
		pages := codepipeline.NewListPipelineExecutionsPaginator(api.Pipelines, &codepipeline.ListPipelineExecutionsInput{PipelineName: &args[0]})
		for pages.HasMorePages() && (*limit == 0 || len(list) < *limit) {
			page, err := pages.NextPage(cmd.Context())
			if err != nil {
				return err
			}
			for _, e := range page.PipelineExecutionSummaries {
				p := past{ID: aws.ToString(e.PipelineExecutionId), Status: string(e.Status), Type: string(e.ExecutionType),
					Started: aws.ToTime(e.StartTime), Updated: aws.ToTime(e.LastUpdateTime)}
				if e.Trigger != nil {
					p.Trigger = string(e.Trigger.TriggerType)
				}
				list = append(list, p)
			}
		}
		if *limit > 0 && len(list) > *limit {
			list = list[:*limit]
		}
		if *c.json {
			return c.print(list)
		}
		w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "EXECUTION\tSTATUS\tTYPE\tTRIGGER\tSTARTED\tUPDATED")
		for _, p := range list {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", p.ID, p.Status, p.Type, watch.Clean(p.Trigger), p.Started.Local().Format(time.DateTime), p.Updated.Local().Format(time.DateTime))
		}
		return w.Flush()
	}
	return cmd
}
