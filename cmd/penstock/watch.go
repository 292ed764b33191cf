package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"penstock/internal/watch"
)

func newWatch() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "watch NAME [EXECUTION]",
		Short: "Follow an execution until it ends",
		Long: `Follow an execution of a pipeline, the newest if none is named; the beginning of its id is
enough. In a terminal the stages and actions are drawn in place; the key l shows the log
of the running build, q leaves. Elsewhere every change is a line.

Exit codes: 0 if the execution succeeded, 1 if it ended otherwise, 130 if interrupted.`,
		Args: cobra.RangeArgs(1, 2),
	}
	c := newClient(cmd)
	logs := cmd.Flags().Bool("logs", false, "show the log of builds")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		api, err := c.connect(cmd)
		if err != nil {
			return err
		}
		id, err := execution(cmd.Context(), api, args[0], args[1:])
		if err != nil {
			return err
		}
		return c.follow(cmd.Context(), api, args[0], id, *logs)
	}
	return cmd
}

// follow shows an execution until it ends. The error is nil if it has succeeded.
func (c *client) follow(ctx context.Context, api *watch.Client, name, id string, logs bool) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	left := false
	show := func(s *watch.Snapshot) {}
	switch screen := watch.NewScreen(os.Stdout); {
	case *c.json:
		lines := json.NewEncoder(spelled{c.out})
		p := &watch.Plain{Print: func(change watch.Change) error { return lines.Encode(change) }}
		show = func(s *watch.Snapshot) { p.Show(ctx, s) }
	case screen == nil || os.Getenv("TERM") == "dumb":
		p := &watch.Plain{Out: c.out, Client: api, Log: logs}
		show = func(s *watch.Snapshot) { p.Show(ctx, s) }
	default:
		defer screen.Close()
		v := &watch.Live{Client: api, Screen: screen, Style: watch.StyleFor(os.Getenv, true), Hint: "penstock approve", Keys: true}
		if logs {
			v.ToggleLog()
		}
		screen.Keys(os.Stdin, func(key byte) {
			switch key {
			case 'l', 'L':
				v.ToggleLog()
				v.Redraw()
			case 'q', 'Q', 3, 4: // ^C and ^D come as keys here
				left = true
				stop()
			}
		})
		show = func(s *watch.Snapshot) { v.Show(ctx, s) }
	}
	read := func(ctx context.Context) (*watch.Snapshot, error) { return api.Execution(ctx, name, id) }
	last, err := watch.Follow(ctx, read, func(s *watch.Snapshot) bool {
		show(s)
		return s.Over()
	})
	switch {
	case left || err != nil && ctx.Err() != nil:
		return exitCode(exitInterrupted)
	case err != nil:
		return err
	case last.Status != watch.StatusSucceeded:
		return exitCode(exitFailed)
	}
	return nil
}

func newShow() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Show a pipeline: stages, actions, who waits where, closed transitions",
		Args:  cobra.ExactArgs(1),
	}
	c := newClient(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		api, err := c.connect(cmd)
		if err != nil {
			return err
		}
		s, err := api.State(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if *c.json {
			return c.print(s)
		}
		for _, line := range style().Lines(s, now(), width(), "penstock approve") {
			fmt.Fprintln(c.out, line)
		}
		return nil
	}
	return cmd
}
