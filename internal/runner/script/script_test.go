package script_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"penstock/internal/runner/script"
)

// program writes an executable file.
func program(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "run")
	if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

// lines collects what a script writes and tells of each line.
type lines struct {
	all  []string
	came chan string
}

func (l *lines) output(stream, line string) {
	l.all = append(l.all, stream+": "+line)
	l.came <- line
}

func run(t *testing.T, ctx context.Context, s script.Script) ([]string, error) {
	t.Helper()
	l := &lines{came: make(chan string, 1000)}
	s.Output = l.output
	if s.Timeout == 0 {
		s.Timeout = 5 * time.Minute
	}
	err := script.Run(ctx, s)
	return l.all, err
}

// inTime runs a script whose time is to be over, with more time again and again until it came so far
// before, as a busy machine may not even start it in a moment.
func inTime(t *testing.T, path string, far func(got []string, err error) bool) {
	t.Helper()
	for limit := 300 * time.Millisecond; limit < 5*time.Minute; limit *= 2 {
		if far(run(t, t.Context(), script.Script{Argv: []string{path}, Timeout: limit, Grace: limit, Env: os.Environ()})) {
			return
		}
	}
	t.Fatal("however long it has, it does not come so far")
}

// gone waits until no process of this id is left.
func gone(t *testing.T, pid string) {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(pid))
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); <-time.After(time.Millisecond) {
		if err := syscall.Kill(n, 0); errors.Is(err, syscall.ESRCH) {
			return
		}
		if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n)); err == nil && strings.Contains(string(stat), ") Z ") {
			return // nobody has asked for its status yet
		}
	}
	t.Errorf("process %d is still there", n)
}

// D.4, P-26: how a script ends, and what it says.
func TestRun(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		want []string
		code int
	}{
		"success":      {"#!/bin/sh\necho one; echo two >&2; sleep 0.1; printf three", []string{"stdout: one", "stderr: two", "stdout: three"}, 0},
		"failure":      {"#!/bin/sh\nexit 3", nil, 3},
		"signal":       {"#!/bin/sh\nkill -9 $$", nil, 137},
		"no #!":        {"echo plain", []string{"stdout: plain"}, 0},
		"empty":        {"#!/bin/sh\n/usr/bin/env | sort; cat", []string{"stdout: A=1"}, 0},
		"a long line":  {"#!/bin/sh\nhead -c 40000 /dev/zero | tr '\\0' x", []string{"stdout: " + strings.Repeat("x", 32<<10), "stdout: " + strings.Repeat("x", 40000-32<<10)}, 0},
		"a background": {"#!/bin/sh\nsleep 1000 >/dev/null 2>&1 &\necho $! >$0.pid", nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := program(t, c.text)
			got, err := run(t, t.Context(), script.Script{Argv: []string{path}, Env: []string{"A=1"}})
			got = slices.DeleteFunc(got, func(l string) bool { return strings.HasPrefix(l, "stdout: PWD=") || strings.HasPrefix(l, "stdout: _=") })
			slices.Sort(got)
			slices.Sort(c.want)
			if !slices.Equal(got, c.want) {
				t.Errorf("%.200q", got)
			}
			var exit *script.ExitError
			if errors.As(err, &exit); (err == nil) != (c.code == 0) || exit != nil && exit.Code != c.code {
				t.Error(err)
			}
			if pid, err := os.ReadFile(path + ".pid"); err == nil {
				n, _ := strconv.Atoi(strings.TrimSpace(string(pid)))
				if err := syscall.Kill(n, syscall.SIGKILL); err != nil {
					t.Error("what runs in the background has ended:", err)
				}
			}
		})
	}
	if _, err := run(t, t.Context(), script.Script{Argv: []string{"no-such-program-anywhere"}}); !errors.Is(err, script.ErrNotFound) {
		t.Error(err)
	}
	if _, err := run(t, t.Context(), script.Script{Argv: []string{"/no/such/file"}}); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// D.4, P-26: when the time is over the whole group ends, also what hears no polite signal.
func TestTimeout(t *testing.T) {
	t.Parallel()
	path := program(t, "#!/bin/sh\n(trap '' TERM; echo $$ >/dev/null; exec sleep 1000) &\necho $! >$0.pid\ntrap 'echo heard' TERM\nwhile :; do sleep 0.05; done")
	inTime(t, path, func(got []string, err error) bool {
		if !errors.Is(err, script.ErrTimeout) {
			t.Fatalf("%v\n%q", err, got)
		}
		return slices.Contains(got, "stdout: heard")
	})
	pid, err := os.ReadFile(path + ".pid")
	if err != nil {
		t.Fatal(err)
	}
	gone(t, string(pid))
}

// D.4, P-26: who leaves an output open is told so, and what holds it is left alone.
func TestOpen(t *testing.T) {
	t.Parallel()
	for stream, to := range map[string]string{"stdout": "2>/dev/null", "stderr": ">/dev/null"} {
		path := program(t, "#!/bin/sh\nsleep 1000 "+to+" &\necho $! >$0.pid")
		inTime(t, path, func(_ []string, err error) bool {
			if errors.Is(err, script.ErrTimeout) { // before it had ended
				return false
			}
			var open *script.OpenError
			if !errors.As(err, &open) || open.Stream != stream {
				t.Fatalf("%s: %v", stream, err)
			}
			return true
		})
		pid, _ := os.ReadFile(path + ".pid")
		n, _ := strconv.Atoi(strings.TrimSpace(string(pid)))
		if err := syscall.Kill(n, syscall.SIGKILL); err != nil {
			t.Error("it has ended:", err)
		}
	}
}

// P-26: who asks for the end gets it, while the script runs and while its output is open.
func TestCancel(t *testing.T) {
	t.Parallel()
	why := errors.New("stopped by the test")
	for _, text := range []string{"#!/bin/sh\necho here\nsleep 1000", "#!/bin/sh\necho here\nsleep 1000 &"} {
		ctx, cancel := context.WithCancelCause(t.Context())
		l := &lines{came: make(chan string, 10)}
		go func() {
			<-l.came
			cancel(why)
		}()
		if err := script.Run(ctx, script.Script{Argv: []string{program(t, text)}, Env: os.Environ(), Timeout: 5 * time.Minute, Output: l.output}); !errors.Is(err, why) {
			t.Error(err)
		}
	}
}

// D.4, hostile: a script that leaves its process group ends in time too. The test itself is the
// script, as a shell cannot do that.
func TestLeavesGroup(t *testing.T) {
	t.Parallel()
	if group := os.Getenv("PENSTOCK_TEST_GROUP"); group != "" {
		n, err := strconv.Atoi(group)
		if err == nil {
			err = syscall.Setpgid(0, n)
		}
		fmt.Println("moved:", os.Getpid(), err)
		<-time.After(5 * time.Minute)
		return
	}
	argv := []string{os.Args[0], "-test.run=^TestLeavesGroup$", "-test.v"}
	env := append(os.Environ(), "PENSTOCK_TEST_GROUP="+strconv.Itoa(syscall.Getpgrp()))
	began := time.Now()
	for limit := 300 * time.Millisecond; limit < time.Minute; limit *= 2 {
		got, err := run(t, t.Context(), script.Script{Argv: argv, Timeout: limit, Grace: limit, Env: env})
		if !errors.Is(err, script.ErrTimeout) || time.Since(began) > 4*time.Minute {
			t.Fatalf("%v after %v: %q", err, time.Since(began), got)
		}
		for _, line := range got {
			if _, pid, ok := strings.Cut(strings.TrimSuffix(line, " <nil>"), "moved: "); ok {
				gone(t, pid)
				return
			}
		}
	}
	t.Fatal("however long it has, it does not come so far")
}
