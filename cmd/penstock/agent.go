package main

import (
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"penstock/internal/hostagent"
)

func newAgent() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Carry out CodeDeploy deployments on this host",
		Long: `Poll the server for the commands of CodeDeploy deployments to this host, and carry them
out: fetch the bundle, run the scripts of the AppSpec file, put the files in place.

The address and the keys of the host come from the environment of the AWS tools
(AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), or from the data
folder of a server on this machine. The address must begin with https:// unless it is
of this machine. The agent does what a deployment says with the rights of who starts it.

It runs until it is interrupted, and then finishes the commands that have begun. A second
interrupt ends it at once; the next agent reports what that cut short.`,
		Args: cobra.NoArgs,
	}
	c := &client{data: dataFlag(cmd), region: cmd.Flags().String("region", "", "AWS Region, if it is another than the server's or the environment's")}
	root := cmd.Flags().String("root", hostagent.DefaultRoot, "deployment root: where bundles and logs are kept")
	host := cmd.Flags().String("host", "", "identifier of this host on the server (the ARN of whom the keys belong to)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := c.settings(cmd)
		if err != nil {
			return err
		}
		return hostagent.Run(cmd.Context(), hostagent.Config{AWS: cfg, Root: *root, Host: *host, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	}
	return cmd
}
