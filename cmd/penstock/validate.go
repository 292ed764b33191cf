package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"penstock/internal/app"
	"penstock/internal/definition"
	"penstock/internal/watch"
)

// definitionHelp is what the commands that read definitions say of them.
const definitionHelp = `FILE is JSON or YAML: a declaration, one under "pipeline" as get-pipeline prints it, or a
CloudFormation template, also one that the CDK made. A file may hold several documents, and
- is standard input. A resource of a template has the name that the template gives it or, where
CloudFormation would make up one, its logical id in small letters.`

func newValidate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "validate FILE…",
		Short: "Say what the server would refuse of pipeline definitions, and what is doubtful",
		Long: `Check definitions as the server does, without a server. What only a server knows is not
looked at: whether roles, buckets and custom action types exist.

` + definitionHelp + `

Exit codes: 0 if nothing is refused, 1 if something is; with --strict also if something is doubtful.`,
		Args: cobra.MinimumNArgs(1),
	}
	origin := originFlags(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print the findings as a JSON array")
	strict := cmd.Flags().Bool("strict", false, "fail on warnings too")
	cmd.RunE = func(_ *cobra.Command, files []string) error {
		o, err := origin()
		if err != nil {
			return err
		}
		all, failed := []app.Finding{}, false
		for _, name := range files {
			_, findings, err := readDefinitions(name, o)
			if err != nil {
				return err
			}
			all = append(all, findings...)
			ok := true
			for _, f := range findings {
				ok = ok && f.Severity != app.SeverityError && (!*strict || f.Severity != app.SeverityWarning)
				if !*asJSON {
					fmt.Println(watch.Clean(f.String()))
				}
			}
			failed = failed || !ok
			if ok && !*asJSON {
				fmt.Println(watch.Clean(name) + ": ok (roles, buckets and what else only a server knows are not looked at)")
			}
		}
		if *asJSON {
			if err := (&client{out: os.Stdout}).print(all); err != nil {
				return err
			}
		}
		if failed {
			return exitCode(exitFailed)
		}
		return nil
	}
	return cmd
}

// originFlags gives a command the flags that say what definitions are for.
func originFlags(cmd *cobra.Command) func() (app.Origin, error) {
	d := app.Default()
	account := cmd.Flags().String("account", d.Account, "account the pipelines are for")
	stack := cmd.Flags().String("stack-name", "", "name of the stack of a template; that of the file if empty")
	parameters := cmd.Flags().StringArray("parameter", nil, "parameter of a template: NAME=VALUE")
	values := cmd.Flags().StringArray("value", nil, "what only those know who made a resource of a template: LOGICALID=VALUE, LOGICALID.ATTRIBUTE=VALUE, EXPORT=VALUE")
	if cmd.Flags().Lookup("region") == nil {
		cmd.Flags().String("region", d.Region, "Region the pipelines are for")
	}
	return func() (o app.Origin, err error) {
		o = app.Origin{Account: *account, Region: cmd.Flags().Lookup("region").Value.String(), StackName: *stack}
		if o.Parameters, err = pairs("parameter", *parameters); err != nil {
			return o, err
		}
		o.Values, err = pairs("value", *values)
		return o, err
	}
}

// pairs reads flags of the form NAME=VALUE. A name in braces may itself have an equals sign.
func pairs(flag string, list []string) (map[string]string, error) {
	out := map[string]string{}
	for _, text := range list {
		from := 0
		if strings.HasPrefix(text, "{{") {
			from = max(strings.Index(text, "}}"), 0)
		}
		name, value, ok := strings.Cut(text[from:], "=")
		if !ok || text[:from]+name == "" {
			return nil, usageError{fmt.Errorf("--%s %q: it is NAME=VALUE", flag, text)}
		}
		out[text[:from]+name] = value
	}
	return out, nil
}

// readDefinitions reads and validates a file, or standard input.
func readDefinitions(name string, o app.Origin) (definition.Set, []app.Finding, error) {
	var in io.Reader = os.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return definition.Set{}, nil, err
		}
		defer f.Close()
		in = f
	}
	return app.Validate(name, in, o)
}
