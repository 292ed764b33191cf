package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"penstock/internal/app"
)

func newServe() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server, with everything in one process",
		Long: `Run the server. With no flags it makes its data folder, database, keys and first
credentials, and prints "penstock: ready on URL" once requests are answered.

Every flag has an environment variable (--log-format is PENSTOCK_LOG_FORMAT) and a key in
the configuration file (log-format: json). A flag goes before the environment, and that
before the file.`,
		Args: cobra.NoArgs,
	}
	file := cmd.Flags().String("config", os.Getenv("PENSTOCK_CONFIG"), "YAML file of settings")
	config := settingFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := config(*file)
		if err != nil {
			return usageError{err}
		}
		a, err := app.Start(cmd.Context(), cfg)
		if err != nil {
			return err
		}
		fmt.Println("penstock: ready on " + a.URL())
		go func() {
			<-cmd.Context().Done()
			a.Close()
		}()
		if err := a.Wait(); err != nil {
			return err
		}
		return a.Close()
	}
	return cmd
}

// settingFlags gives a command a flag for each setting of a server, and a function that
// makes the configuration of them, the environment and a file.
func settingFlags(cmd *cobra.Command) func(file string) (app.Config, error) {
	values, lists := map[string]*string{}, map[string]*[]string{}
	for _, s := range app.Settings() {
		if s.List {
			lists[s.Name] = cmd.Flags().StringArray(s.Name, nil, s.Usage)
			continue
		}
		values[s.Name] = cmd.Flags().String(s.Name, s.Default, s.Usage)
		if s.Default == "false" { // --name alone is --name=true
			cmd.Flags().Lookup(s.Name).NoOptDefVal = "true"
		}
	}
	return func(file string) (app.Config, error) {
		given := map[string]string{}
		for name, value := range values {
			if cmd.Flags().Changed(name) {
				given[name] = *value
			}
		}
		for name, list := range lists {
			if cmd.Flags().Changed(name) {
				given[name] = strings.Join(*list, " ")
			}
		}
		return app.Load(given, os.Getenv, file)
	}
}
