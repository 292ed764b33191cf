// Command penstock is AWS CodePipeline in one binary: the server, and the commands with which
// people use it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"penstock/internal/watch"
)

// version is stamped by the build.
var version = "devel"

// The exit codes of all commands.
const (
	exitFailed      = 1 // what was asked for did not succeed
	exitUsage       = 2 // the command line is wrong
	exitInterrupted = 130
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // who asks twice does not want to wait
	os.Exit(run(ctx, os.Args[1:]))
}

// run runs one command line and gives its exit code.
func run(ctx context.Context, args []string) int {
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var code exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	case ctx.Err() != nil:
		return exitInterrupted
	}
	fmt.Fprintln(os.Stderr, "penstock: "+watch.Clean(explain(err)))
	var usage usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}

// exitCode is the error of a command that has already said what there is to say.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// usageError is a command line that cannot be understood.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "penstock",
		Short: "AWS CodePipeline that you own",
		Long: `penstock speaks the API of AWS CodePipeline and runs the pipelines, with repositories,
builds, deployments to hosts, functions, buckets, logs and roles in the same binary.

Start with "penstock demo", or with "penstock serve" and, in another terminal,
eval "$(penstock env)".

Exit codes: 0 success; 1 what was asked for did not succeed; 2 the command line is wrong;
130 interrupted.`,
		SilenceErrors: true, SilenceUsage: true, Version: version,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetHelpCommand(newHelp())
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(newServe(), newEnv(), newDemo(), newValidate(), newList(), newShow(), newStart(), newWatch(), newLogs(), newApprove(), newReject(),
		newRetry(), newRollback(), newStop(), newTransition(), newConnection(), newExplain(), newApply(), newImport(), newExport(), newHistory(), newAudit(), newAgent(), newVersion())
	checkArgs(root)
	return root
}

// newHelp is cobra's help command, but for names that are none: those are wrong here as anywhere.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Help about any command", DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usageError{unknown(found, rest[0])}
			}
			return found.Help()
		},
	}
}

// checkArgs makes a wrong number of arguments a wrong command line, here and below.
func checkArgs(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			err := check(cmd, args)
			switch {
			case err == nil:
				return nil
			case cmd.HasSubCommands() && len(args) > 0:
				return usageError{unknown(cmd, args[0])}
			}
			return usageError{fmt.Errorf("%w; usage: %s", err, cmd.UseLine())}
		}
	}
	for _, sub := range c.Commands() {
		checkArgs(sub)
	}
}

// unknown says that a command has no such command, and which one may be meant.
func unknown(c *cobra.Command, name string) error {
	c.SuggestionsMinimumDistance = 2
	text := fmt.Sprintf("unknown command %q for %q", name, c.CommandPath())
	if like := c.SuggestionsFor(name); len(like) > 0 {
		text += "; did you mean " + strings.Join(like, " or ") + "?"
	}
	return fmt.Errorf("%s; %s --help lists the commands", text, c.CommandPath())
}
