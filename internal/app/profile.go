package app

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// errNoCredentials says where credentials for endpoints are looked for.
var errNoCredentials = errors.New("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE of the shared credentials file, in the environment of the server")

const (
	// maxCredentials bounds the shared credentials file.
	maxCredentials = 1 << 20
	// reread is how long credentials of the file are used before it is looked at again:
	// whoever rotates them writes it.
	reread = 5 * time.Minute
)

// operatorCredentials gives the credentials for endpoints: those of the configuration, of the
// environment, or of the profile in the shared credentials file.
func operatorCredentials(cfg *Config, getenv func(string) string) aws.CredentialsProvider {
	if cfg.EndpointCredentials != nil {
		return cfg.EndpointCredentials
	}
	return aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		c := aws.Credentials{AccessKeyID: getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: getenv("AWS_SESSION_TOKEN"), Source: "environment"}
		if c.HasKeys() {
			return c, nil
		}
		file := getenv("AWS_SHARED_CREDENTIALS_FILE")
		if file == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return aws.Credentials{}, errNoCredentials
			}
			file = filepath.Join(home, ".aws", "credentials")
		}
		return readProfile(file, cmp.Or(getenv("AWS_PROFILE"), "default"))
	}))
}

// readProfile reads the keys of a profile.
func readProfile(file, profile string) (aws.Credentials, error) {
	f, err := os.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		return aws.Credentials{}, errNoCredentials
	}
	if err != nil {
		return aws.Credentials{}, err
	}
	defer f.Close()
	c := aws.Credentials{Source: "profile " + profile, CanExpire: true, Expires: time.Now().Add(reread)}
	inside := false
	lines := bufio.NewScanner(io.LimitReader(f, maxCredentials))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if name, ok := strings.CutPrefix(line, "["); ok {
			name, _, _ = strings.Cut(name, "]")
			inside = strings.TrimSpace(name) == profile
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || !inside || strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue
		}
		value = strings.TrimSpace(value)
		switch strings.ToLower(strings.TrimSpace(key)) {
		case "aws_access_key_id":
			c.AccessKeyID = value
		case "aws_secret_access_key":
			c.SecretAccessKey = value
		case "aws_session_token":
			c.SessionToken = value
		}
	}
	if err := lines.Err(); err != nil {
		return aws.Credentials{}, err
	}
	if !c.HasKeys() {
		return aws.Credentials{}, fmt.Errorf("%s has no keys of the profile %s; %w", file, profile, errNoCredentials)
	}
	return c, nil
}
