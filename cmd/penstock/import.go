package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"penstock/internal/app"
	"penstock/internal/definition"
	"penstock/internal/watch"
)

func newImport() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Turn a definition or a CloudFormation template into requests of the API",
		Long: `Print what CreatePipeline takes, for "aws codepipeline create-pipeline --cli-input-json". If the
file asks for more than one pipeline with its tags, a list of all requests is printed, each with
its operation. With --apply nothing is printed but what is done: see "penstock apply".

` + definitionHelp + `

What cannot be resolved is an error with its place and the flag that mends it. Other resources
of the template are not made; those that the pipeline refers to are listed.`,
		Args: cobra.ExactArgs(1),
	}
	c := newClient(cmd)
	origin := originFlags(cmd)
	apply := cmd.Flags().Bool("apply", false, "make the requests")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *apply {
			return c.apply(cmd, args[0], origin, false)
		}
		o, err := origin()
		if err != nil {
			return err
		}
		if o.Region == "" {
			o.Region = app.Default().Region
		}
		set, err := accepted(args[0], o)
		if err != nil {
			return err
		}
		if calls := app.Calls(set); len(calls) != 1 || calls[0].Operation != "CreatePipeline" {
			return c.print(calls)
		} else {
			return c.print(calls[0].Input)
		}
	}
	return cmd
}

func newApply() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "apply FILE",
		Short: "Create or change what a definition asks for",
		Long: `Create the pipelines of a file, or change those that are there, and say what changes. Tags
are added and changed, transitions disabled, webhooks and custom action types put; nothing is
removed.

` + definitionHelp,
		Args: cobra.ExactArgs(1),
	}
	c := newClient(cmd)
	origin := originFlags(cmd)
	dry := cmd.Flags().Bool("dry-run", false, "only say what would change")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return c.apply(cmd, args[0], origin, *dry) }
	return cmd
}

// accepted reads a file that nothing is wrong with. What there is to say goes to standard error.
func accepted(name string, o app.Origin) (definition.Set, error) {
	set, findings, err := readDefinitions(name, o)
	if err != nil {
		return set, err
	}
	refused := false
	for _, f := range findings {
		fmt.Fprintln(os.Stderr, watch.Clean(f.String()))
		refused = refused || f.Severity == app.SeverityError
	}
	if refused {
		return set, exitCode(exitFailed)
	}
	for _, e := range set.Expects {
		fmt.Fprintf(os.Stderr, "%s:%d: note: it expects the %s %s, which is not made here\n", watch.Clean(name), e.Line, watch.Clean(e.Type), watch.Clean(e.Name))
	}
	return set, nil
}

func (c *client) apply(cmd *cobra.Command, name string, origin func() (app.Origin, error), dry bool) error {
	cfg, err := c.config(cmd.Flags().Changed("data"))
	if err != nil {
		return err
	}
	o, err := origin()
	if err != nil {
		return err
	}
	if o.Region != "" {
		cfg.Region = o.Region
	}
	o.Region = cfg.Region
	if !cmd.Flags().Changed("account") {
		if o.Account, err = app.Account(cmd.Context(), cfg); err != nil {
			return err
		}
	}
	set, err := accepted(name, o)
	if err != nil {
		return err
	}
	done := []app.Applied{}
	err = app.Apply(cmd.Context(), cfg, set, dry, func(a app.Applied) {
		if done = append(done, a); !*c.json {
			fmt.Fprintf(c.out, "%s %s: %s\n", a.Kind, watch.Clean(a.Name), a.Action)
			for _, change := range a.Changes {
				fmt.Fprintln(c.out, "  "+watch.Clean(changed(change.Path, change.Old, change.New)))
			}
		}
	})
	if *c.json {
		err = errors.Join(c.print(done), err)
	}
	return err
}

// changed words a change of a definition.
func changed(path, from, to string) string {
	switch {
	case from == "":
		return "+ " + path + ": " + to
	case to == "":
		return "- " + path + ": " + from
	}
	return path + ": " + from + " → " + to
}

func newExport() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export NAME",
		Short: "Write a pipeline as JSON, CloudFormation or Terraform",
		Long: `Write the definition of a pipeline: json is what get-pipeline answers, cloudformation a template
(YAML, or JSON with --json), terraform resources of Terraform's AWS provider. Tags, disabled
transitions, webhooks and custom action types come along. Secrets, which the server keeps to
itself, become parameters or variables. What Terraform's provider has no argument for is a
comment at its place and a line on standard error.`,
		Args: cobra.ExactArgs(1),
	}
	c := newClient(cmd)
	format := cmd.Flags().String("format", "json", "json, cloudformation or terraform")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch *format {
		case "json", "cloudformation", "terraform":
		default:
			return usageError{fmt.Errorf("--format %q: it is json, cloudformation or terraform", *format)}
		}
		cfg, err := c.config(cmd.Flags().Changed("data"))
		if err != nil {
			return err
		}
		if *c.region != "" {
			cfg.Region = *c.region
		}
		text, notes, err := app.Export(cmd.Context(), cfg, args[0], *format, *c.json)
		if err != nil {
			return err
		}
		for _, note := range notes {
			fmt.Fprintln(os.Stderr, "penstock: "+watch.Clean(note))
		}
		if json.Valid(text) {
			_, err = spelled{os.Stdout}.Write(text)
		} else { // has control characters only where its form spells them
			_, err = os.Stdout.Write(text)
		}
		return err
	}
	return cmd
}
