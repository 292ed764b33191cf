// Package app is the composition root: it makes a running system of a Config, with every
// room, provider and loop in it, and takes it down again in order.
package app

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"penstock/internal/svc/sns"
)

// Config is everything that can be chosen about a server. A field with a setting tag has a
// flag of that name, an environment variable PENSTOCK_NAME and a key in the configuration
// file; the usage tag is its help.
type Config struct {
	// Data is the folder of everything that is kept, made when missing.
	Data string `setting:"data" usage:"folder of the database, repositories, objects and credentials"`
	// Listen is the address and port; port 0 takes a free one.
	Listen string `setting:"listen" usage:"address to answer on; port 0 takes a free one"`
	// Region and Account are those of the first credentials.
	Region  string `setting:"region" usage:"AWS Region of the printed environment; every Region name works"`
	Account string `setting:"account" usage:"AWS account id of the first administrator"`
	// Database is "" for a SQLite file in Data, "sqlite:PATH" or "postgres://…".
	Database string `setting:"database" usage:"sqlite:PATH or postgres://…; a SQLite file in the data folder if empty"`
	// MasterKey is the file of the keys that seal secrets; empty is master.key in Data.
	MasterKey string `setting:"master-key" usage:"file with the key that encrypts secrets in the database, 32 bytes in base64 (first line: the key in use; others: earlier ones); made in the data folder if empty"`
	// PublicURL is the address under which clients reach the server, if it is not Listen.
	PublicURL string `setting:"public-url" usage:"address under which clients reach this server, if it is another than where it listens"`
	// TLSCert and TLSKey are PEM files; both or none.
	TLSCert string `setting:"tls-cert" usage:"PEM file of the certificate chain; with it the server speaks TLS only"`
	TLSKey  string `setting:"tls-key" usage:"PEM file of the certificate's key"`
	// WebhookSecrets is mask or echo: what stands in place of the secrets of webhooks.
	WebhookSecrets string `setting:"webhook-secrets" usage:"mask or echo: whether ListWebhooks shows secrets, which Terraform wants to see"`
	// GitHubURL is the REST API that webhooks are registered at.
	GitHubURL string `setting:"github-url" usage:"address of GitHub's REST API, where webhooks of GitHub version 1 sources are registered"`
	// AllowPrivateTargets is true or false.
	AllowPrivateTargets string `setting:"allow-private-targets" usage:"let topics and API destinations post to endpoints on this machine and in private networks, never to link-local addresses: true or false"`
	// SMTP is the server that takes mail, SMTPFrom the address that mail is from.
	SMTP     string `setting:"smtp" usage:"smtp://user:password@host:port or smtps://…: the server that mail of topics is handed to; none is sent if empty (better in the environment than in a flag)"`
	SMTPFrom string `setting:"smtp-from" usage:"address that mail of topics is from, like penstock@example.org"`
	// ConnectionHosts and ConnectionFiles are what connections may reach beside public hosts.
	ConnectionHosts string `setting:"connection-hosts" usage:"host names, addresses and CIDR blocks, separated by commas, that connections may reach although they are private, and over http"`
	ConnectionFiles string `setting:"connection-files" usage:"folder under which connections may fetch file:// repositories; none if empty"`
	// PollInterval is how often repositories that cannot tell of a push are asked.
	PollInterval string `setting:"poll-interval" usage:"how often repositories in folders of this machine are asked for new commits, like 60s; 0 is never"`
	// Endpoint is a list of SERVICE=URL, separated by spaces.
	Endpoint string `setting:"endpoint" list:"true" usage:"SERVICE=URL: send this server's own calls to a service, such as s3, for its account and Region (for every Region if the URL has {region}) to another endpoint, with the credentials of the server's AWS environment or profile; several times for several"`
	// ArtifactRetention is history or forever.
	ArtifactRetention string `setting:"artifact-retention" usage:"history or forever: whether the artifacts of executions are deleted from the buckets of this server when the executions are removed from the history, after 12 months"`
	// LogFormat is text or json, LogLevel a name of log/slog.
	LogFormat string `setting:"log-format" usage:"text or json, on standard error"`
	LogLevel  string `setting:"log-level" usage:"debug, info, warn or error"`

	// Log gets the log; nil makes one on standard error of LogFormat and LogLevel.
	Log *slog.Logger
	// BuildPath is the PATH of builds that set none; empty is the server's own.
	BuildPath string
	// ShareTemp lets builds see the machine's temporary folders, in which they can share
	// caches; otherwise each has its own where that is possible.
	ShareTemp bool
	// EndpointCredentials are for Endpoint; nil takes those of the server's environment, or of
	// the profile in its shared credentials file.
	EndpointCredentials aws.CredentialsProvider
}

// Default is what a server has that nobody configured. Data is empty where the user has no
// home.
func Default() Config {
	return Config{
		Data: defaultData(), Listen: "127.0.0.1:7788", Region: "us-east-1", Account: "000000000000",
		AllowPrivateTargets: "false", ArtifactRetention: "history", LogFormat: "text", LogLevel: "info", WebhookSecrets: "mask", PollInterval: "60s", GitHubURL: "https://api.github.com",
	}
}

// defaultData is where programs of this user keep their data.
func defaultData() string {
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "penstock")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	if runtime.GOOS == "darwin" {
		return filepath.Join(home, "Library", "Application Support", "penstock")
	}
	return filepath.Join(home, ".local", "share", "penstock")
}

var (
	accountForm = regexp.MustCompile(`^[0-9]{12}$`)
	regionForm  = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,62}$`)
)

// check says what is wrong with a configuration, by the names of its settings.
func (c *Config) check() error {
	var level slog.Level
	public, err := url.Parse(c.PublicURL)
	every, everyErr := time.ParseDuration(c.PollInterval)
	github, githubErr := url.Parse(c.GitHubURL)
	switch {
	case c.Data == "":
		return errors.New("--data is needed: there is no home folder to choose one in")
	case !accountForm.MatchString(c.Account):
		return fmt.Errorf("--account %q: an account id has 12 digits", c.Account)
	case !regionForm.MatchString(c.Region):
		return fmt.Errorf("--region %q: a Region is like us-east-1", c.Region)
	case c.LogFormat != "text" && c.LogFormat != "json":
		return fmt.Errorf("--log-format %q: text or json", c.LogFormat)
	case level.UnmarshalText([]byte(c.LogLevel)) != nil:
		return fmt.Errorf("--log-level %q: debug, info, warn or error", c.LogLevel)
	case c.WebhookSecrets != "mask" && c.WebhookSecrets != "echo":
		return fmt.Errorf("--webhook-secrets %q: mask or echo", c.WebhookSecrets)
	case githubErr != nil || github.Scheme != "http" && github.Scheme != "https" || github.Host == "" || github.User != nil:
		return fmt.Errorf("--github-url %q: it is like https://api.github.com", c.GitHubURL)
	case c.AllowPrivateTargets != "" && c.AllowPrivateTargets != "true" && c.AllowPrivateTargets != "false":
		return fmt.Errorf("--allow-private-targets %q: true or false", c.AllowPrivateTargets)
	case everyErr != nil || every != 0 && (every < time.Second || every > 24*time.Hour):
		return fmt.Errorf("--poll-interval %q: a time between 1s and 24h, like 60s, or 0", c.PollInterval)
	case c.ArtifactRetention != "" && c.ArtifactRetention != "history" && c.ArtifactRetention != "forever":
		return fmt.Errorf("--artifact-retention %q: history or forever", c.ArtifactRetention)
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return errors.New("--tls-cert and --tls-key are given together or not at all")
	case c.PublicURL != "" && (err != nil || public.Scheme != "http" && public.Scheme != "https" || public.Host == "" ||
		strings.Trim(public.Path, "/") != "" || public.RawQuery != "" || public.User != nil):
		return fmt.Errorf("--public-url %q: it is like https://penstock.example.org", c.PublicURL)
	}
	if _, err := parseEndpoints(c); err != nil {
		return err
	}
	if _, err := c.mailer(); err != nil {
		return err
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return fmt.Errorf("--listen %q: it is like 127.0.0.1:7788: %w", c.Listen, err)
	}
	if c.Data, err = filepath.Abs(c.Data); err != nil {
		return fmt.Errorf("--data: %w", err)
	}
	c.PublicURL = strings.TrimRight(c.PublicURL, "/")
	return nil
}

// mailer makes what sends mail; nil if nothing does.
func (c *Config) mailer() (*sns.Mailer, error) {
	if c.SMTP == "" && c.SMTPFrom == "" {
		return nil, nil
	}
	m, err := sns.NewMailer(c.SMTP, c.SMTPFrom)
	if err != nil {
		return nil, fmt.Errorf("--smtp and --smtp-from: %w", err)
	}
	return m, nil
}

// logger makes the log that the configuration asks for.
func (c *Config) logger() *slog.Logger {
	if c.Log != nil {
		return c.Log
	}
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.LogLevel)) // check has seen it
	options := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, options))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, options))
}
