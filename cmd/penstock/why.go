package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"penstock/internal/app"
	"penstock/internal/watch"
)

func newExplain() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "explain NAME [EXECUTION]",
		Short: "Say why an execution waits, failed or was superseded, and why pushes did not start one",
		Args:  cobra.RangeArgs(1, 2),
	}
	c := newClient(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := c.settings(cmd)
		if err != nil {
			return err
		}
		in := map[string]string{"name": args[0]}
		if len(args) > 1 {
			api, err := c.connect(cmd)
			if err != nil {
				return err
			}
			if in["pipelineExecutionId"], err = api.Resolve(cmd.Context(), args[0], args[1]); err != nil {
				return err
			}
		}
		var out explanation
		if err := app.CallPipelines(cmd.Context(), cfg, "ExplainPipeline", in, &out); err != nil {
			return err
		}
		if *c.json {
			return c.print(out)
		}
		for _, fact := range out.Facts {
			if _, err := fmt.Fprintln(c.out, watch.Clean(fact)); err != nil {
				return err
			}
		}
		for i, e := range out.SourceEvents {
			if i == 0 {
				if _, err := fmt.Fprintln(c.out, "\nThe last changes in the sources:"); err != nil {
					return err
				}
			}
			at := time.UnixMilli(int64(e.At * 1000)).UTC().Format(time.RFC3339)
			if _, err := fmt.Fprintf(c.out, "%s  %q: %q\n", at, e.Subject, e.Outcome); err != nil {
				return err
			}
		}
		return nil
	}
	return cmd
}

// explanation is the answer of ExplainPipeline.
type explanation struct {
	PipelineExecutionID string   `json:"pipelineExecutionId"`
	Facts               []string `json:"facts"`
	SourceEvents        []struct {
		// At is in seconds since 1970.
		At      float64 `json:"at"`
		Subject string  `json:"subject"`
		Outcome string  `json:"outcome"`
	} `json:"sourceEvents"`
}
