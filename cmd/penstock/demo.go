package main

import (
	"os"

	"github.com/spf13/cobra"

	"penstock/internal/demo"
	"penstock/internal/watch"
)

func newDemo() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole thing at work, from a push to a deployed release",
		Long: `Start a server on a throw-away folder, push a small Go program to a repository on it, let a
pipeline vet, test and build it, approve the release, deploy it, and fetch the deployed
program back. Then push faster than releases are approved, and see superseding.

It needs go and git, and nothing else.`,
		Args: cobra.NoArgs,
	}
	keep := cmd.Flags().Bool("keep", false, "leave the server running in the end, and print its address")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		screen := watch.NewScreen(os.Stdout)
		if os.Getenv("TERM") == "dumb" {
			screen = nil
		}
		if screen != nil {
			defer screen.Close()
		}
		return demo.Run(cmd.Context(), demo.Options{
			Out: os.Stdout, Screen: screen, Style: watch.StyleFor(os.Getenv, screen != nil), Keep: *keep, Client: configFor,
		})
	}
	return cmd
}
