package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/spf13/cobra"

	"penstock/internal/app"
	"penstock/internal/watch"
)

// answerTime is how long a server may take to begin its answer.
const answerTime = 30 * time.Second

// client is what commands that talk to a server have in common.
type client struct {
	data   *string
	region *string
	json   *bool
	out    io.Writer
}

// newClient gives a command the flags of a client.
func newClient(cmd *cobra.Command) *client {
	return &client{
		data:   dataFlag(cmd),
		region: cmd.Flags().String("region", "", "AWS Region, if it is another than the server's or the environment's"),
		json:   cmd.Flags().Bool("json", false, "print JSON"),
		out:    plain{os.Stdout},
	}
}

// connect makes the API clients. The environment of the AWS tools goes first
// (AWS_ENDPOINT_URL and the keys); without it the server's data folder has all that is
// needed.
func (c *client) connect(cmd *cobra.Command) (*watch.Client, error) {
	cfg, err := c.config(cmd.Flags().Changed("data"))
	if err != nil {
		return nil, err
	}
	if *c.region != "" {
		cfg.Region = *c.region
	}
	return watch.NewClient(cfg), nil
}

func (c *client) config(dataGiven bool) (aws.Config, error) {
	endpoint := os.Getenv("AWS_ENDPOINT_URL")
	if endpoint == "" || dataGiven {
		found, err := app.ReadCredentials(*c.data)
		if err != nil {
			return aws.Config{}, err
		}
		return configFor(found), nil
	}
	if u, err := url.Parse(endpoint); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return aws.Config{}, fmt.Errorf("AWS_ENDPOINT_URL is %q: it is http://HOST:PORT or https://HOST; use eval \"$(penstock env)\"", endpoint)
	}
	key, secret := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
	if key == "" || secret == "" {
		return aws.Config{}, errors.New("AWS_ENDPOINT_URL is set, but AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY is not; use eval \"$(penstock env)\"")
	}
	region := os.Getenv("AWS_REGION")
	if region == "" {
		region = os.Getenv("AWS_DEFAULT_REGION")
	}
	if region == "" {
		region = app.Default().Region
	}
	cfg := configFor(app.Credentials{URL: strings.TrimRight(endpoint, "/"), AccessKeyID: key, SecretAccessKey: secret, Region: region})
	cfg.Credentials = credentials.NewStaticCredentialsProvider(key, secret, os.Getenv("AWS_SESSION_TOKEN"))
	return cfg, nil
}

// configFor makes the SDK's configuration for a server.
func configFor(c app.Credentials) aws.Config {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = answerTime
	transport.MaxIdleConnsPerHost = 8
	return aws.Config{
		Region: c.Region, BaseEndpoint: aws.String(c.URL), HTTPClient: &http.Client{Transport: transport},
		Credentials: credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, ""), RetryMaxAttempts: 2,
	}
}

// print writes a value as JSON.
func (c *client) print(v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(spelled{c.out}, string(text))
	return err
}

// place splits STAGE/ACTION.
func place(s string) (stage, action string, err error) {
	stage, action, ok := strings.Cut(s, "/")
	if !ok || stage == "" || action == "" {
		return "", "", usageError{fmt.Errorf("%q: an action is named STAGE/ACTION", s)}
	}
	return stage, action, nil
}

// execution gives the id of an execution: the one whose id begins as given, or the newest.
func execution(ctx context.Context, api *watch.Client, name string, args []string) (string, error) {
	if len(args) > 0 {
		return api.Resolve(ctx, name, args[0])
	}
	id, err := api.Latest(ctx, name)
	if err == nil && id == "" {
		err = fmt.Errorf("the pipeline %s has no execution yet", name)
	}
	return id, err
}
