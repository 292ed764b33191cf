package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"penstock/internal/auth"
	"penstock/internal/runner"
	"penstock/internal/runner/process"
	"penstock/internal/store"
	"penstock/internal/svc/codebuild"
	"penstock/internal/svc/lambda"
)

// buildService is the principal that assumes the service roles of build projects.
const buildService = "codebuild.amazonaws.com"

// newRunner makes what runs builds and functions: processes that cannot see the data folder.
func (a *App) newRunner() (runner.Runner, error) {
	cfg := process.Config{Hide: []string{a.cfg.Data}, Path: buildPath(a.cfg.BuildPath), Log: a.log}
	if a.cfg.ShareTemp {
		cfg.Confine = process.Landlock
	}
	run, err := process.New(cfg)
	if err != nil && a.cfg.ShareTemp {
		cfg.Confine = process.Best
		run, err = process.New(cfg)
	}
	return run, err
}

// newCodeBuild makes the room that runs builds.
func (a *App) newCodeBuild(run runner.Runner, tell func(context.Context, *store.Tx, store.Outgoing) error) (*codebuild.Room, error) {
	name, err := a.lastingNode()
	if err != nil {
		return nil, err
	}
	return codebuild.New(codebuild.Deps{
		DB: a.db, Runner: run, AWS: a.calls.forBuild, Notify: a.hub.Notify, Tell: tell, Work: filepath.Join(a.cfg.Data, "builds"),
		Node: name, Endpoint: a.URL(), ConsoleURL: a.URL(), Log: a.log,
	}), nil
}

// newLambda makes the room that runs functions.
func (a *App) newLambda(run runner.Runner) *lambda.Room {
	return lambda.New(lambda.Deps{
		DB: a.db, Blobs: a.blobs, Runner: run, Work: filepath.Join(a.cfg.Data, "functions"), Path: buildPath(a.cfg.BuildPath),
		RoleAWS: func(ctx context.Context, role, session string) (aws.Config, error) {
			return a.calls.forRole(ctx, role, session, lambda.Principal)
		},
		CallerAWS: a.calls.asCaller, Endpoint: a.URL, Log: a.log,
		CanAssume: func(ctx context.Context, role, source string) bool {
			ok, err := a.auth.CanAssumeFor(ctx, role, lambda.Principal, source)
			if err != nil {
				a.log.Error("iam: cannot tell whether a role may be assumed", "error", err)
			}
			return ok && err == nil
		},
	})
}

// usualPath are the folders of programs on most machines.
const usualPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// buildPath is where builds look for programs: where the server does, and the usual folders.
func buildPath(path string) string {
	if path == "" {
		path = os.Getenv("PATH")
	}
	var list []string
	for _, dir := range append(filepath.SplitList(path), filepath.SplitList(usualPath)...) {
		if filepath.IsAbs(dir) && !slices.Contains(list, dir) {
			list = append(list, dir)
		}
	}
	return strings.Join(list, string(os.PathListSeparator))
}

// forBuild makes the configuration with which a build's role is used, by the room and by the
// build itself. It fails when the role cannot be assumed.
func (c *calls) forBuild(ctx context.Context, roleARN, sessionName string) (aws.Config, error) {
	return c.forRole(ctx, roleARN, sessionName, buildService)
}

// forRole is forBuild for what another service runs.
func (c *calls) forRole(ctx context.Context, roleARN, sessionName, service string) (aws.Config, error) {
	cfg := c.config(auth.From(ctx).Region, auth.MintInput{RoleARN: roleARN, SessionName: sessionName, InvokedBy: service})
	_, err := cfg.Credentials.Retrieve(ctx)
	return cfg, err
}

// lastingNode names this server across restarts: builds that were running when it died are
// found by the name.
func (a *App) lastingNode() (string, error) {
	file := filepath.Join(a.cfg.Data, "node")
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		text = []byte(rand.Text() + "\n")
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("the name of this server: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}
