// Package runnertest is the conformance suite of runners. Its commands are plain enough for
// every runner, also for one that starts no shell.
package runnertest

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"penstock/internal/runner"
)

// Output collects what a session writes and can wait for a text.
type Output struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	wrote chan struct{}
}

// NewOutput makes an empty collection.
func NewOutput() *Output { return &Output{wrote: make(chan struct{}, 1)} }

// Write appends.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.wrote <- struct{}{}:
	default:
	}
	return o.buf.Write(p)
}

// String gives everything so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// Await fails the test unless the text appears in time.
func (o *Output) Await(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(5 * time.Minute)
	for !strings.Contains(o.String(), text) {
		select {
		case <-o.wrote:
		case <-deadline:
			t.Fatalf("no %q in output:\n%s", text, o)
		}
	}
}

// Open starts a session that the test closes at its end.
func Open(t *testing.T, r runner.Runner, spec runner.Spec) runner.Session {
	t.Helper()
	if spec.Workspace == "" {
		spec.Workspace = t.TempDir()
	}
	s, err := r.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// Exec runs a script and checks its status.
func Exec(t *testing.T, s runner.Session, want int, script string) {
	t.Helper()
	res, err := s.Run(t.Context(), runner.Command{Script: script})
	if err != nil || res.ExitCode != want {
		t.Fatalf("%s: status %d, %v; want %d", script, res.ExitCode, err, want)
	}
}

// Run holds a runner to its contract.
func Run(t *testing.T, open func(t *testing.T) runner.Runner) {
	for name, test := range map[string]func(t *testing.T, r runner.Runner){
		"output and status": func(t *testing.T, r runner.Runner) {
			out := NewOutput()
			s := Open(t, r, runner.Spec{Output: out})
			Exec(t, s, 0, "echo one")
			if got := out.String(); got != "one\n" {
				t.Errorf("output at the end of a command: %q", got)
			}
			Exec(t, s, 1, "false")
			Exec(t, s, 3, "exit 3")
			Exec(t, s, 0, "echo two\necho three")
			if got := out.String(); got != "one\ntwo\nthree\n" {
				t.Errorf("output: %q", got)
			}
			Exec(t, s, 127, "no-such-program-anywhere")
		},
		"variables": func(t *testing.T, r runner.Runner) {
			s := Open(t, r, runner.Spec{Env: []string{"A=1", "B=2"}})
			Exec(t, s, 0, "export B=3")
			if _, err := s.Run(t.Context(), runner.Command{Script: "true", Env: []string{"C=4"}}); err != nil {
				t.Fatal(err)
			}
			Exec(t, s, 5, "exit 5")
			v, err := s.Values(t.Context(), []string{"A", "B", "C", "NONE"})
			if err != nil || len(v) != 3 || v["A"] != "1" || v["B"] != "3" || v["C"] != "4" {
				t.Errorf("values %v, %v", v, err)
			}
		},
		"fresh": func(t *testing.T, r runner.Runner) {
			s := Open(t, r, runner.Spec{Env: []string{"A=1"}})
			Exec(t, s, 0, "export A=2")
			if _, err := s.Run(t.Context(), runner.Command{Script: "true", Fresh: true}); err != nil {
				t.Fatal(err)
			}
			if v, err := s.Values(t.Context(), []string{"A"}); err != nil || v["A"] != "1" {
				t.Errorf("values %v, %v", v, err)
			}
		},
		"stop": func(t *testing.T, r runner.Runner) {
			out := NewOutput()
			s := Open(t, r, runner.Spec{Output: out, Grace: time.Second})
			why := errors.New("stopped by the test")
			ctx, cancel := context.WithCancelCause(t.Context())
			go func() {
				out.Await(t, "waiting")
				cancel(why)
			}()
			if _, err := s.Run(ctx, runner.Command{Script: "echo waiting\nsleep 600"}); !errors.Is(err, why) {
				t.Errorf("got %v, want the cause", err)
			}
		},
		"close ends run": func(t *testing.T, r runner.Runner) {
			out := NewOutput()
			s := Open(t, r, runner.Spec{Output: out, Grace: time.Second})
			go func() {
				out.Await(t, "waiting")
				s.Close()
			}()
			if _, err := s.Run(t.Context(), runner.Command{Script: "echo waiting\nsleep 600"}); !errors.Is(err, runner.ErrClosed) {
				t.Errorf("got %v, want ErrClosed", err)
			}
			if err := s.Close(); err != nil {
				t.Errorf("second close: %v", err)
			}
		},
		"start after the end": func(t *testing.T, r runner.Runner) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := r.Start(ctx, runner.Spec{Workspace: t.TempDir()}); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		},
		"no workspace": func(t *testing.T, r runner.Runner) {
			var bad *runner.StartError
			if _, err := r.Start(t.Context(), runner.Spec{Workspace: t.TempDir() + "/none"}); !errors.As(err, &bad) {
				t.Errorf("got %v, want a StartError", err)
			}
		},
		"other user": func(t *testing.T, r runner.Runner) {
			s := Open(t, r, runner.Spec{})
			if _, err := s.Run(t.Context(), runner.Command{Script: "true", User: "somebody"}); !errors.Is(err, runner.ErrUser) {
				t.Errorf("got %v", err)
			}
		},
		"many at once": func(t *testing.T, r runner.Runner) {
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					out := NewOutput()
					s, err := r.Start(t.Context(), runner.Spec{Workspace: t.TempDir(), Output: out})
					if err != nil {
						t.Error(err)
						return
					}
					defer s.Close()
					if res, err := s.Run(t.Context(), runner.Command{Script: "echo mine"}); err != nil || res.ExitCode != 0 || out.String() != "mine\n" {
						t.Errorf("%v %v %q", res, err, out)
					}
				})
			}
			wg.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}
