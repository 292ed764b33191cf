// Package process runs sessions as processes of this machine.
//
// What holds a build in, on Linux:
//
//   - Server runs as root and may make mount namespaces: each session has a user id of its
//     own, sees a private /tmp and a private /proc with only its own processes, sees its
//     workspace at one fixed path, and does not see the server's folders at all. Everything
//     running under the user id is killed at the end, whatever it did to hide.
//   - Otherwise: Landlock keeps the session out of the contents of the server's folders,
//     lets it write only in its workspace and in temporary folders, and keeps it from
//     signalling or tracing what is outside. Processes are found by parentage, session,
//     group and a mark in their environment, and all of them where Landlock knows whose
//     signals reach whom (version 6).
//
// In both cases: a clean environment, no inherited files, no new privileges, a process
// group of its own, death with the server. What cannot be enforced on a machine is said in
// one log line by New. Nothing here limits memory, processor time or the network.
package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"penstock/internal/runner"
)

// Config says how sessions run.
type Config struct {
	// Hide are the server's own folders, which no session may read.
	Hide []string
	// Path is the PATH of sessions whose environment has none.
	Path string
	// Log gets one line about what is not enforced; nil discards it.
	Log *slog.Logger
	// Confine picks how sessions are held; "" picks the best this machine can.
	Confine Confinement
}

// Confinement is a way to hold a session.
type Confinement string

// The confinements, best first.
const (
	// Best picks the first that works.
	Best Confinement = ""
	// OwnUser needs root and mount namespaces.
	OwnUser Confinement = "own-user"
	// Landlock needs a kernel with Landlock, and no privilege.
	Landlock Confinement = "landlock"
	// None only groups processes.
	None Confinement = "none"
)

const (
	defaultPath  = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	defaultGrace = 2 * time.Second
)

// Runner runs sessions as processes; make it with New.
type Runner struct {
	cfg     Config
	confine Confinement
	mount   string // where OwnUser sessions see their workspace
}

var _ runner.Runner = (*Runner)(nil)

// New looks at what the machine can enforce and gives a runner. It fails only when a
// confinement asked for by name is not to be had.
func New(cfg Config) (*Runner, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Path == "" {
		cfg.Path = defaultPath
	}
	for i, h := range cfg.Hide {
		abs, err := filepath.Abs(h)
		if err != nil {
			return nil, fmt.Errorf("process: hidden folder: %w", err)
		}
		// The kernel compares real places, not names.
		if real, err := filepath.EvalSymlinks(abs); err == nil {
			abs = real
		}
		cfg.Hide[i] = abs
	}
	closeInherited()
	r := &Runner{cfg: cfg}
	if err := r.choose(); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Runner) choose() error {
	var lacking []string
	for _, c := range []Confinement{OwnUser, Landlock, None} {
		if r.cfg.Confine != Best && r.cfg.Confine != c {
			continue
		}
		mount, err := probe(c)
		if err == nil {
			r.confine, r.mount = c, mount
			switch c {
			case Landlock:
				r.cfg.Log.Info("process runner: builds share the server's user id; not enforced: unseen file names in the server's folders, an own view of processes", "because", strings.Join(lacking, "; "))
			case None:
				r.cfg.Log.Warn("process runner: builds can read what the server can read; not enforced: hidden server folders, write limits, signal limits", "because", strings.Join(lacking, "; "))
			}
			return nil
		}
		lacking = append(lacking, string(c)+": "+err.Error())
	}
	return fmt.Errorf("process: confinement %q is not possible here: %s", r.cfg.Confine, strings.Join(lacking, "; "))
}

// Name is "process".
func (r *Runner) Name() string { return "process" }

// Confinement tells how sessions are held.
func (r *Runner) Confinement() Confinement { return r.confine }

// Path gives the workspace as commands see it.
func (r *Runner) Path(workspace string) string {
	if r.mount != "" {
		return r.mount
	}
	return workspace
}

// Start makes the sandbox and a shell in it.
func (r *Runner) Start(ctx context.Context, spec runner.Spec) (runner.Session, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	s, err := r.start(spec)
	if err != nil {
		return nil, &runner.StartError{Err: err}
	}
	return s, nil
}

func (r *Runner) start(spec runner.Spec) (*session, error) {
	if !filepath.IsAbs(spec.Workspace) {
		return nil, errors.New("workspace is not an absolute path")
	}
	argv, err := shellArgs(spec.Shell)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(spec.Workspace)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	for _, d := range []string{"home", "tmp"} {
		if err := root.Mkdir(d, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, err
		}
	}
	if spec.Grace == 0 {
		spec.Grace = defaultGrace
	}
	view := r.Path(spec.Workspace)
	env := withDefaults(spec.Env, map[string]string{
		"PATH":   r.cfg.Path,
		"HOME":   view + "/home",
		"TMPDIR": r.tmp(view),
	})
	c, err := newCell(r, spec.Workspace)
	if err != nil {
		return nil, err
	}
	s, err := newSession(spec, c, view, argv, env)
	if err != nil {
		c.close()
		return nil, err
	}
	return s, nil
}

// tmp is private in an OwnUser session anyway, and the short name breaks fewer programs.
func (r *Runner) tmp(view string) string {
	if r.confine == OwnUser {
		return "/tmp"
	}
	return view + "/tmp"
}

func withDefaults(env []string, defaults map[string]string) []string {
	out := append([]string(nil), env...)
	for _, name := range []string{"PATH", "HOME", "TMPDIR"} {
		set := false
		for _, kv := range env {
			set = set || strings.HasPrefix(kv, name+"=")
		}
		if !set {
			out = append(out, name+"="+defaults[name])
		}
	}
	return out
}

// shellArgs gives the command line of a shell that reads its script from stdin.
func shellArgs(name string) ([]string, error) {
	var places []string
	switch name {
	case "", "sh", "/bin/sh":
		places = []string{"/bin/sh", "/usr/bin/sh"}
	case "bash", "/bin/bash":
		places = []string{"/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash"}
	default:
		return nil, fmt.Errorf("shell %q is not supported", name)
	}
	for _, p := range places {
		if _, err := os.Stat(p); err == nil {
			if len(places) == 3 {
				return []string{p, "--noprofile", "--norc", "-s"}, nil
			}
			return []string{p, "-s"}, nil
		}
	}
	return nil, fmt.Errorf("shell %s is not on this machine", places[0])
}
