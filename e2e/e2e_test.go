package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// binary is the folder of the penstock under test: what PENSTOCK_BIN names, or one that is
// built here.
var binary string

func TestMain(m *testing.M) { os.Exit(withBinary(m)) }

func withBinary(m *testing.M) int {
	dir, err := os.MkdirTemp("", "penstock-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = dir
	penstock := filepath.Join(dir, "penstock")
	if given := os.Getenv("PENSTOCK_BIN"); given != "" {
		err = os.Symlink(given, penstock)
	} else {
		var out []byte
		if out, err = exec.Command("go", "build", "-o", penstock, "../cmd/penstock").CombinedOutput(); err != nil {
			err = fmt.Errorf("%w\n%s", err, out)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// TestScripts runs the scripts in testdata. Beside testscript's own commands they have
//
//	serve [FLAG…]        start a server on $WORK/data and put its environment into the script's
//	crash                kill -9 the server
//	stop                 end the server politely; it must exit with 0
//	wait-for RE CMD…     repeat a command until its output matches
//	capture VAR CMD…     keep the output of a command in a variable
//	listener VAR FILE   start an endpoint of topics that writes what it gets to a file
//
// and penstock, git and the aws CLI on their path.
func TestScripts(t *testing.T) {
	t.Parallel()
	runScripts(t, "testdata", func(*testscript.Env) {})
}

func runScripts(t *testing.T, dir string, more func(*testscript.Env)) {
	t.Helper()
	testscript.Run(t, testscript.Params{
		Dir: dir, RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			path := binary
			if venv, err := filepath.Abs(filepath.Join("..", ".venv", "bin")); err == nil {
				path += string(os.PathListSeparator) + venv
			}
			home := filepath.Join(env.WorkDir, "home")
			env.Setenv("PATH", path+string(os.PathListSeparator)+os.Getenv("PATH"))
			env.Setenv("HOME", home)
			env.Setenv("PENSTOCK_DATA", filepath.Join(env.WorkDir, "data"))
			for _, v := range []string{
				"LC_ALL=C.UTF-8", "AWS_PAGER=", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
				"GIT_AUTHOR_NAME=Writer", "GIT_AUTHOR_EMAIL=writer@example.org", "GIT_COMMITTER_NAME=Writer", "GIT_COMMITTER_EMAIL=writer@example.org",
			} {
				name, value, _ := strings.Cut(v, "=")
				env.Setenv(name, value)
			}
			more(env)
			s := &server{}
			env.Values[serverKey{}] = s
			env.Defer(s.kill)
			return os.Mkdir(home, 0o755)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": serve, "crash": crash, "stop": stop, "wait-for": waitFor, "wait-for-minute": waitForMinute, "capture": capture, "listener": listener,
		},
	})
}

type serverKey struct{}

// server is the server of a script, if one runs.
type server struct {
	cmd *exec.Cmd
	log *lockedBuffer
	err chan error
}

// lockedBuffer keeps what the server logs.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func of(ts *testscript.TestScript) *server { return ts.Value(serverKey{}).(*server) }

func (s *server) kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		<-s.err
		s.cmd = nil
	}
}

// drain is how long what a command has said may take to be read after its end: without a bound one
// that leaves something in the background is waited for until that has ended too.
const drain = 30 * time.Second

// command makes a command in the script's folder and environment.
func command(ctx context.Context, ts *testscript.TestScript, args []string) *exec.Cmd {
	name := args[0]
	for dir := range strings.SplitSeq(ts.Getenv("PATH"), string(os.PathListSeparator)) {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && !info.IsDir() {
			name = filepath.Join(dir, name)
			break
		}
	}
	cmd := exec.CommandContext(ctx, name, args[1:]...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = ts.MkAbs("."), environ(ts), drain
	return cmd
}

// passed are the variables that scripts may set and commands need.
var passed = []string{
	"PATH", "HOME", "TMPDIR", "WORK", "LC_ALL", "PENSTOCK_DATA", "AWS_PAGER", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION",
	"AWS_DEFAULT_REGION", "AWS_EC2_METADATA_DISABLED", "GIT_CONFIG_NOSYSTEM", "GIT_TERMINAL_PROMPT", "GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL",
	"GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL",
}

func environ(ts *testscript.TestScript) []string {
	var env []string
	for _, name := range passed {
		if v := ts.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

func serve(ts *testscript.TestScript, neg bool, args []string) {
	s := of(ts)
	if neg || s.cmd != nil {
		ts.Fatalf("usage: serve [FLAG…], once at a time")
	}
	cmd := command(context.Background(), ts, append([]string{"penstock", "serve", "--listen", "127.0.0.1:0"}, args...))
	s.log = &lockedBuffer{}
	cmd.Stderr = s.log
	stdout, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	s.cmd, s.err = cmd, make(chan error, 1)
	ready := make(chan bool, 1)
	go func() {
		lines := bufio.NewScanner(stdout)
		ready <- lines.Scan() && strings.HasPrefix(lines.Text(), "penstock: ready on http://127.0.0.1:")
		_, _ = io.Copy(io.Discard, stdout)
		s.err <- cmd.Wait()
	}()
	select {
	case ok := <-ready:
		if !ok {
			ts.Fatalf("the server is not ready:\n%s", s.log)
		}
	case <-time.After(patience):
		ts.Fatalf("the server is not ready in time:\n%s", s.log)
	}
	out, err := command(context.Background(), ts, []string{"penstock", "env", "--json"}).Output()
	ts.Check(err)
	vars := map[string]string{}
	ts.Check(json.Unmarshal(out, &vars))
	for name, value := range vars {
		ts.Setenv(name, value)
	}
	ts.Setenv("HOSTPORT", strings.TrimPrefix(vars["AWS_ENDPOINT_URL"], "http://"))
}

func crash(ts *testscript.TestScript, _ bool, _ []string) { of(ts).kill() }

func stop(ts *testscript.TestScript, _ bool, _ []string) {
	s := of(ts)
	ts.Check(s.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-s.err:
		s.cmd = nil
		if err != nil {
			ts.Fatalf("the server ended with %v:\n%s", err, s.log)
		}
	case <-time.After(patience):
		ts.Fatalf("the server does not end:\n%s", s.log)
	}
}

// waitFor is for what takes a moment: it fails when that is too long.
func waitFor(ts *testscript.TestScript, neg bool, args []string) { waitUpTo(patience, ts, neg, args) }

// waitForMinute is waitFor for what comes with the next minute.
func waitForMinute(ts *testscript.TestScript, neg bool, args []string) {
	waitUpTo(patience+time.Minute, ts, neg, args)
}

func waitUpTo(patience time.Duration, ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: wait-for RE CMD…")
	}
	want, err := regexp.Compile(args[0])
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		out, err := command(ctx, ts, args[1:]).CombinedOutput()
		if err == nil && want.Match(out) {
			ts.Logf("%s", out)
			return
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			log := ""
			if s := of(ts); s.log != nil {
				log = s.log.String()
			}
			ts.Fatalf("%q never said %s; at last %v:\n%s\nthe server said:\n%s", args[1:], want, err, out, log)
		}
	}
}

func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: capture VAR CMD…")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := command(ctx, ts, args[1:]).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		ts.Fatalf("%q: %v\n%s", args[1:], err, exit.Stderr)
	}
	ts.Check(err)
	ts.Setenv(args[0], strings.TrimSpace(string(out)))
}
