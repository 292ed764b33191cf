package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"penstock/internal/app"
)

func newEnv() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "env",
		Short: "Print the environment in which AWS clients find the server",
		Long: `Print shell commands that set the address and the administrator's credentials of the
server that runs, or ran last, on the data folder:

    eval "$(penstock env)"

From then on the aws CLI and every AWS SDK talk to it.`,
		Args: cobra.NoArgs,
	}
	data := dataFlag(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print one JSON object instead")
	cmd.RunE = func(*cobra.Command, []string) error {
		c, err := app.ReadCredentials(*data)
		if err != nil {
			return err
		}
		vars := environment(c)
		if *asJSON {
			m := map[string]string{}
			for _, v := range vars {
				m[v.name] = v.value
			}
			text, err := json.MarshalIndent(m, "", "  ")
			fmt.Println(string(text))
			return err
		}
		fmt.Println("unset AWS_SESSION_TOKEN") // one of another account would go with this key
		for _, v := range vars {
			fmt.Printf("export %s=%s\n", v.name, quoted(v.value))
		}
		return nil
	}
	return cmd
}

// dataFlag gives a command the flag that names the data folder.
func dataFlag(cmd *cobra.Command) *string {
	data := os.Getenv("PENSTOCK_DATA")
	if data == "" {
		data = app.Default().Data
	}
	return cmd.Flags().String("data", data, "data folder of the server")
}

type variable struct{ name, value string }

// environment is what every AWS client needs (C-1, C-2).
func environment(c app.Credentials) []variable {
	return []variable{
		{"AWS_ENDPOINT_URL", c.URL},
		{"AWS_ACCESS_KEY_ID", c.AccessKeyID},
		{"AWS_SECRET_ACCESS_KEY", c.SecretAccessKey},
		{"AWS_REGION", c.Region},
		{"AWS_DEFAULT_REGION", c.Region},
		{"AWS_EC2_METADATA_DISABLED", "true"},
	}
}

// quoted writes a value for a shell.
func quoted(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
