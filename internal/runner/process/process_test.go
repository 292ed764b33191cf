package process_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"penstock/internal/runner"
	"penstock/internal/runner/process"
	"penstock/internal/runner/runnertest"
)

// each runs a test in every confinement this machine has; hidden is the server's folder.
func each(t *testing.T, test func(t *testing.T, r *process.Runner, hidden string)) {
	t.Parallel()
	for _, c := range []process.Confinement{process.OwnUser, process.Landlock, process.None} {
		hidden := t.TempDir()
		r, err := process.New(process.Config{Hide: []string{hidden}, Confine: c})
		if err != nil {
			t.Logf("%s: %v", c, err)
			continue
		}
		t.Run(string(c), func(t *testing.T) {
			t.Parallel()
			test(t, r, hidden)
		})
	}
}

// P-9: the contract of runners.
func TestConformance(t *testing.T) {
	each(t, func(t *testing.T, r *process.Runner, _ string) {
		runnertest.Run(t, func(*testing.T) runner.Runner { return r })
	})
}

// A.3: one shell for all commands of version 0.2, whatever they do to it.
func TestOneShell(t *testing.T) {
	each(t, func(t *testing.T, r *process.Runner, _ string) {
		for _, shell := range []string{"sh", "bash"} {
			out := runnertest.NewOutput()
			s := runnertest.Open(t, r, runner.Spec{Shell: shell, Output: out})
			runnertest.Exec(t, s, 0, "mkdir -p 'a b' && cd 'a b'; x=1; f() { echo f$x; }; export E='it'\"'\"'s\ntwo'")
			runnertest.Exec(t, s, 0, `f; basename "$PWD"; set -e`)
			runnertest.Exec(t, s, 1, "false; echo unseen")
			runnertest.Exec(t, s, 0, `basename "$PWD"; echo "$E"`)
			runnertest.Exec(t, s, 2, "(exit 2)")
			runnertest.Exec(t, s, 0, "set -x")
			runnertest.Exec(t, s, 0, "true traced")
			runnertest.Exec(t, s, 0, "set +x; read x || echo no stdin")
			runnertest.Exec(t, s, 0, "exec 3>&- 2>/dev/null || true")
			runnertest.Exec(t, s, 0, "echo 'quote' \"$(printf %s \"it's\")\"\n# comment\n")
			want := "f1\na b\na b\nit's\ntwo\n+ true traced\n+ set +x\nno stdin\nquote it's\n"
			got := strings.ReplaceAll(out.String(), "++ ", "+ ")
			got = strings.ReplaceAll(got, "+ read x\n", "")
			if got != want {
				t.Errorf("%s:\n%s\nwant\n%s", shell, got, want)
			}
			if res, err := s.Run(t.Context(), runner.Command{Script: "if"}); err != nil || res.ExitCode == 0 {
				t.Errorf("syntax error: %v %v", res, err)
			}
			runnertest.Exec(t, s, 0, "true")
			s.Close()
		}
	})
}

// A.3: output cannot be taken for the shell's answer, and large output passes in order.
func TestOutput(t *testing.T) {
	each(t, func(t *testing.T, r *process.Runner, _ string) {
		out := runnertest.NewOutput()
		s := runnertest.Open(t, r, runner.Spec{Output: out})
		runnertest.Exec(t, s, 4, `i=0; while [ $i -lt 20000 ]; do echo "line $i"; i=$((i+1)); done; printf 'x\0000\0000'; echo err >&2; (exit 4)`)
		got := out.String()
		if !strings.HasPrefix(got, "line 0\nline 1\n") || !strings.HasSuffix(got, "line 19999\nx\x000\x000err\n") && !strings.HasSuffix(got, "err\n") {
			t.Errorf("output of %d bytes: …%q", len(got), got[max(0, len(got)-60):])
		}
		if n := strings.Count(got, "\n"); n != 20001 {
			t.Errorf("%d lines", n)
		}
	})
}

// B: the environment starts empty and holds nothing of the server's.
func TestCleanEnvironment(t *testing.T) {
	each(t, func(t *testing.T, r *process.Runner, _ string) {
		out := runnertest.NewOutput()
		ws := t.TempDir()
		s := runnertest.Open(t, r, runner.Spec{Workspace: ws, Output: out, Env: []string{"A=1"}})
		runnertest.Exec(t, s, 0, "env | cut -d= -f1 | sort; ls /proc/self/fd | tr '\n' ' '; [ -w \"$HOME\" ] && [ -w \"$TMPDIR\" ]")
		for line := range strings.Lines(out.String()) {
			switch name := strings.TrimSpace(line); name {
			case "A", "HOME", "PATH", "PWD", "OLDPWD", "TMPDIR", "SHLVL", "_", "__SESSION", "0 1 2 3":
			default:
				t.Errorf("unexpected %q", name)
			}
		}
		if !strings.HasPrefix(r.Path(ws), "/") {
			t.Error(r.Path(ws))
		}
	})
}

// P-9: no build reads the server's folder or the server's memory, or stops the server.
func TestHiddenFolder(t *testing.T) {
	each(t, func(t *testing.T, r *process.Runner, hidden string) {
		if r.Confinement() == process.None {
			return
		}
		if err := os.WriteFile(filepath.Join(hidden, "key"), []byte("secret"), 0o644); err != nil {
			t.Fatal(err)
		}
		// The server's folders may hold the workspace.
		ws := filepath.Join(hidden, "builds", "1")
		if err := os.MkdirAll(filepath.Join(ws, "src"), 0o700); err != nil {
			t.Fatal(err)
		}
		os.Symlink(hidden, filepath.Join(ws, "src", "link"))
		out := runnertest.NewOutput()
		s := runnertest.Open(t, r, runner.Spec{Workspace: ws, Output: out})
		pid := os.Getpid()
		for _, script := range []string{
			"cat " + hidden + "/key",
			"cat src/link/key",
			fmt.Sprintf("cat /proc/%d/root%s/key", pid, hidden),
			fmt.Sprintf("cat /proc/%d/environ", pid),
			fmt.Sprintf("kill -0 %d", pid),
			"echo x >" + hidden + "/new",
			"echo x >/etc/penstock-test",
			"mknod disk b 254 0 && head -c 1 disk",
		} {
			res, err := s.Run(t.Context(), runner.Command{Script: "(" + script + ") 2>/dev/null"})
			if err != nil || res.ExitCode == 0 {
				t.Errorf("%s: %v %v", script, res, err)
			}
		}
		if out.String() != "" {
			t.Errorf("output %q", out)
		}
		runnertest.Exec(t, s, 0, "echo ok >src/file && ls / >/dev/null && cat /etc/passwd >/dev/null && echo t >$TMPDIR/t")
		s.Close()
		if b, err := os.ReadFile(filepath.Join(ws, "src", "file")); err != nil || string(b) != "ok\n" {
			t.Errorf("workspace: %q %v", b, err)
		}
	})
}

// P-9: a stop and a close kill the whole tree, also what left its group and session.
func TestKillTree(t *testing.T) {
	each(t, func(t *testing.T, r *process.Runner, _ string) {
		ws := t.TempDir()
		out := runnertest.NewOutput()
		s := runnertest.Open(t, r, runner.Spec{Workspace: ws, Output: out, Grace: 50 * time.Millisecond})
		runnertest.Exec(t, s, 0, `
			sleep 601 &
			echo $! >plain
			nohup setsid sh -c 'trap "" TERM HUP; echo $$ >away; while :; do sleep 602; done' >/dev/null 2>&1 &
			(setsid sh -c 'sleep 603 & echo $! >orphan' &)
			while ! [ -s away ] || ! [ -s orphan ]; do sleep 0.01; done`)
		var pids []int
		for _, f := range []string{"plain", "away", "orphan"} {
			b, err := os.ReadFile(filepath.Join(ws, f))
			if err != nil {
				t.Fatal(err)
			}
			pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
			if err != nil || syscall.Kill(pid, 0) != nil {
				t.Fatalf("%s: %q %v", f, b, err)
			}
			pids = append(pids, pid)
		}
		s.Close()
		for _, pid := range pids {
			if alive(pid) {
				t.Errorf("process %d survived", pid)
			}
		}
	})
}

func alive(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	i := strings.LastIndexByte(string(b), ')')
	return !strings.HasPrefix(string(b[i+1:]), " Z")
}

// P-9: what cannot be a session is refused.
func TestRefuses(t *testing.T) {
	t.Parallel()
	r, err := process.New(process.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range []runner.Spec{
		{Workspace: "relative"},
		{Workspace: t.TempDir(), Shell: "/bin/evil"},
		{Workspace: t.TempDir(), Env: []string{"BIG=" + strings.Repeat("x", 1<<20)}},
	} {
		if s, err := r.Start(t.Context(), spec); err == nil {
			s.Close()
			t.Errorf("%.40v started", spec)
		}
	}
	s := runnertest.Open(t, r, runner.Spec{})
	if _, err := s.Run(t.Context(), runner.Command{Script: "pwd", Dir: "../..", Fresh: true}); err == nil {
		t.Error("left the workspace")
	}
	if _, err := s.Values(t.Context(), []string{"A; touch x"}); err == nil {
		t.Error("odd name accepted")
	}
}

func BenchmarkBuild(b *testing.B) {
	r, err := process.New(process.Config{})
	if err != nil {
		b.Fatal(err)
	}
	ws := b.TempDir()
	for b.Loop() {
		s, err := r.Start(b.Context(), runner.Spec{Workspace: ws})
		if err != nil {
			b.Fatal(err)
		}
		for range 3 {
			if _, err := s.Run(b.Context(), runner.Command{Script: "true"}); err != nil {
				b.Fatal(err)
			}
		}
		s.Close()
	}
}

// A command that makes another program of the shell has ended when that has, and is stopped like
// any other.
func TestExec(t *testing.T) {
	each(t, func(t *testing.T, r *process.Runner, _ string) {
		for _, how := range []string{"close", "cancel", "end"} {
			out := runnertest.NewOutput()
			s := runnertest.Open(t, r, runner.Spec{Output: out, Grace: 50 * time.Millisecond})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			script := "exec sh -c 'echo began; sleep 604; echo survived'"
			if how == "end" {
				script = "exec sh -c 'echo began; exit 9'"
			}
			type end struct {
				res runner.Result
				err error
			}
			got := make(chan end, 1)
			go func() {
				res, err := s.Run(ctx, runner.Command{Script: script})
				got <- end{res, err}
			}()
			out.Await(t, "began")
			switch how {
			case "close":
				s.Close()
			case "cancel":
				cancel()
			}
			select {
			case e := <-got:
				if how == "end" && (e.err != nil || e.res.ExitCode != 9) || how != "end" && e.err == nil {
					t.Errorf("%s: %+v", how, e)
				}
			case <-time.After(5 * time.Minute):
				t.Fatalf("%s: the command goes on", how)
			}
		}
	})
}

// A.3: after a command that killed the shell the session has another, in the folder of a new one.
func TestKilledShell(t *testing.T) {
	each(t, func(t *testing.T, r *process.Runner, _ string) {
		for _, shell := range []string{"sh", "bash"} {
			s := runnertest.Open(t, r, runner.Spec{Shell: shell, Env: []string{"A=1"}})
			runnertest.Exec(t, s, 137, "kill -9 $$")
			runnertest.Exec(t, s, 0, "B=2")
			if got, err := s.Values(t.Context(), []string{"A", "B"}); err != nil || got["A"] != "1" || got["B"] != "2" {
				t.Errorf("%s: %v %v", shell, got, err)
			}
		}
	})
}
