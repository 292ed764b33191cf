package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"

	"penstock/internal/app"
)

func newConnection() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "connection",
		Short: "Make and complete connections to Git providers",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newConnectionCreate(), newConnectionComplete(), newConnectionList())
	return cmd
}

// settings gives the configuration for a server in the Region of the command line.
func (c *client) settings(cmd *cobra.Command) (aws.Config, error) {
	cfg, err := c.config(cmd.Flags().Changed("data"))
	if *c.region != "" {
		cfg.Region = *c.region
	}
	return cfg, err
}

func newConnectionCreate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a connection, which is PENDING until it is completed",
		Args:  cobra.ExactArgs(1),
	}
	c := newClient(cmd)
	provider := cmd.Flags().String("provider", "GitHub", "GitHub, GitLab, Bitbucket or AzureDevOps; anything that speaks Git will do with complete --git-url")
	host := cmd.Flags().String("host", "", "ARN of the host of an installed provider, instead of --provider")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := c.settings(cmd)
		if err != nil {
			return err
		}
		in := map[string]string{"ConnectionName": args[0], "ProviderType": *provider}
		if *host != "" {
			in = map[string]string{"ConnectionName": args[0], "HostArn": *host}
		}
		var out struct{ ConnectionArn string }
		if err := app.CallConnections(cmd.Context(), cfg, "CreateConnection", in, &out); err != nil {
			return err
		}
		if *c.json {
			return c.print(out)
		}
		_, err = fmt.Fprintln(c.out, out.ConnectionArn)
		return err
	}
	return cmd
}

func newConnectionComplete() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "complete ARN",
		Short: "Say where the repositories of a connection are, which makes it AVAILABLE",
		Long: `Says where the repositories of a connection are and how to log in, which makes it
AVAILABLE, and prints the URL and the secret for the webhook at the provider.

Secrets are read from files, so that they stand in no history; - is standard input.`,
		Args: cobra.ExactArgs(1),
	}
	c := newClient(cmd)
	git := cmd.Flags().String("git-url", "", "URL of the repositories with {repository} for the full name; the provider's own if empty")
	user := cmd.Flags().String("username", "", "user name that goes with the token, if the provider wants a certain one")
	token := cmd.Flags().String("token-file", "", "file with the token or password; none if empty")
	secret := cmd.Flags().String("webhook-secret-file", "", "file with the secret of the webhook; kept or made up if empty")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := c.settings(cmd)
		if err != nil {
			return err
		}
		in := map[string]string{"ConnectionArn": args[0]}
		for name, value := range map[string]string{"GitUrl": *git, "Username": *user} {
			if value != "" {
				in[name] = value
			}
		}
		for name, file := range map[string]string{"Token": *token, "WebhookSecret": *secret} {
			if file == "" {
				continue
			}
			if in[name], err = readSecret(file); err != nil {
				return err
			}
		}
		var out struct{ ConnectionStatus, GitUrl, WebhookUrl, WebhookSecret string }
		if err := app.CallConnections(cmd.Context(), cfg, "CompleteConnection", in, &out); err != nil {
			return err
		}
		if *c.json {
			return c.print(out)
		}
		_, err = fmt.Fprintf(c.out, "status          %s\nrepositories    %s\nwebhook URL     %s\nwebhook secret  %s\n", out.ConnectionStatus, out.GitUrl, out.WebhookUrl, out.WebhookSecret)
		return err
	}
	return cmd
}

// maxSecret bounds a file of a secret.
const maxSecret = 64 << 10

// readSecret reads a secret from a file, or from standard input, without its last line end.
func readSecret(file string) (string, error) {
	in := io.Reader(os.Stdin)
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxSecret))
	return strings.TrimRight(string(text), "\r\n"), err
}

func newConnectionList() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List connections",
		Args:  cobra.NoArgs,
	}
	c := newClient(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := c.settings(cmd)
		if err != nil {
			return err
		}
		var all []connectionRow
		in := map[string]string{}
		for {
			var page struct {
				Connections []connectionRow
				NextToken   string
			}
			if err := app.CallConnections(cmd.Context(), cfg, "ListConnections", in, &page); err != nil {
				return err
			}
			if all = append(all, page.Connections...); page.NextToken == "" {
				break
			}
			in["NextToken"] = page.NextToken
		}
		if *c.json {
			return c.print(all)
		}
		for _, r := range all {
			if _, err := fmt.Fprintf(c.out, "%-9s  %-22s  %-32q  %s\n", r.ConnectionStatus, r.ProviderType, r.ConnectionName, r.ConnectionArn); err != nil {
				return err
			}
		}
		return nil
	}
	return cmd
}

type connectionRow struct{ ConnectionArn, ConnectionName, ConnectionStatus, ProviderType string }
