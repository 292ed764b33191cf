// Package fake is a runner for tests that starts no process. The commands steer it: each
// line of a script is one of
//
//	echo TEXT            write a line of output
//	exit N               end the command with a status
//	export NAME=VALUE    set a variable of the session
//	sleep DURATION       wait, as time.ParseDuration reads it or in seconds
//	write FILE TEXT      write a file, relative to the folder of the session
//	true, false          end with 0, with 1
//
// Every other line ends the command with status 127. The variable FAKE_START=fail in the
// environment makes Start fail.
package fake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"penstock/internal/runner"
)

// Runner is the fake; the zero value is ready.
type Runner struct{}

var _ runner.Runner = Runner{}

// Name is "fake".
func (Runner) Name() string { return "fake" }

// Path is the workspace itself.
func (Runner) Path(workspace string) string { return workspace }

// Start makes a session without a process.
func (Runner) Start(ctx context.Context, spec runner.Spec) (runner.Session, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if slices.Contains(spec.Env, "FAKE_START=fail") {
		return nil, &runner.StartError{Err: errors.New("asked to fail")}
	}
	if fi, err := os.Stat(spec.Workspace); err != nil || !fi.IsDir() {
		return nil, &runner.StartError{Err: fmt.Errorf("workspace %q is not a folder", spec.Workspace)}
	}
	if spec.Output == nil {
		spec.Output = io.Discard
	}
	s := &session{spec: spec, dir: spec.Workspace, closing: make(chan struct{})}
	s.vars = vars(spec.Env)
	return s, nil
}

func vars(env []string) map[string]string {
	m := map[string]string{}
	for _, kv := range env {
		k, v, _ := strings.Cut(kv, "=")
		m[k] = v
	}
	return m
}

type session struct {
	spec    runner.Spec
	dir     string
	vars    map[string]string
	closing chan struct{}
	once    sync.Once
}

// Run interprets the script.
func (s *session) Run(ctx context.Context, cmd runner.Command) (runner.Result, error) {
	if cmd.User != "" {
		return runner.Result{}, runner.ErrUser
	}
	select {
	case <-s.closing:
		return runner.Result{}, runner.ErrClosed
	default:
	}
	if cmd.Fresh {
		s.vars = vars(s.spec.Env)
	}
	maps.Copy(s.vars, vars(cmd.Env))
	for line := range strings.Lines(cmd.Script) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		code, done, err := s.line(ctx, cmd, word, rest)
		if err != nil || done {
			return runner.Result{ExitCode: code}, err
		}
	}
	return runner.Result{}, nil
}

func (s *session) line(ctx context.Context, cmd runner.Command, word, rest string) (code int, done bool, err error) {
	switch word {
	case "", "true":
	case "false":
		return 1, true, nil
	case "echo":
		fmt.Fprintln(s.spec.Output, strings.Trim(rest, `"'`))
	case "export":
		maps.Copy(s.vars, vars([]string{rest}))
	case "exit":
		n, err := strconv.Atoi(rest)
		return n, true, err
	case "write":
		name, text, _ := strings.Cut(rest, " ")
		root, err := os.OpenRoot(filepath.Join(s.dir, cmd.Dir))
		if err != nil {
			return 0, true, err
		}
		defer root.Close()
		return 0, false, root.WriteFile(name, []byte(text), 0o600)
	case "sleep":
		d, err := time.ParseDuration(rest)
		if err != nil {
			d, err = time.ParseDuration(rest + "s")
		}
		if err != nil {
			return 2, true, nil
		}
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return 0, true, context.Cause(ctx)
		case <-s.closing:
			return 0, true, runner.ErrClosed
		}
	default:
		fmt.Fprintf(s.spec.Output, "%s: not found\n", word)
		return 127, true, nil
	}
	return 0, false, nil
}

// Values gives the variables set so far.
func (s *session) Values(_ context.Context, names []string) (map[string]string, error) {
	out := map[string]string{}
	for _, n := range names {
		if v, ok := s.vars[n]; ok {
			out[n] = v
		}
	}
	return out, nil
}

// Drain has nothing to wait for: output is written at once.
func (s *session) Drain() {}

// Close ends a waiting Run.
func (s *session) Close() error {
	s.once.Do(func() { close(s.closing) })
	return nil
}
