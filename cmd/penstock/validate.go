package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"penstock/internal/app"
	"penstock/internal/watch"
)

func newValidate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "validate FILE…",
		Short: "Say what the server would refuse of pipeline definitions",
		Long: `Check definitions as the server does, without a server: JSON or YAML, a declaration or a
map with the declaration under "pipeline". What only a server knows is not looked at:
whether roles, buckets and custom action types exist.

Exit codes: 0 if nothing is wrong, 1 if something is.`,
		Args: cobra.MinimumNArgs(1),
	}
	d := app.Default()
	region := cmd.Flags().String("region", d.Region, "Region the pipelines are for")
	account := cmd.Flags().String("account", d.Account, "account the pipelines are for")
	asJSON := cmd.Flags().Bool("json", false, "print the findings as a JSON array")
	cmd.RunE = func(_ *cobra.Command, files []string) error {
		findings := []app.Finding{}
		for _, name := range files {
			found, err := validate(name, *account, *region)
			if err != nil {
				return err
			}
			if found != nil {
				findings = append(findings, *found)
			}
			switch {
			case *asJSON:
			case found == nil:
				fmt.Println(watch.Clean(name) + ": ok")
			case found.Line > 0:
				fmt.Printf("%s:%d: %s: %s\n", watch.Clean(name), found.Line, found.Code, watch.Clean(found.Message))
			default:
				fmt.Printf("%s: %s: %s\n", watch.Clean(name), found.Code, watch.Clean(found.Message))
			}
		}
		if *asJSON {
			if err := (&client{out: os.Stdout}).print(findings); err != nil {
				return err
			}
		}
		if len(findings) > 0 {
			return exitCode(exitFailed)
		}
		return nil
	}
	return cmd
}

func validate(name, account, region string) (*app.Finding, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return app.Validate(name, f, account, region)
}
