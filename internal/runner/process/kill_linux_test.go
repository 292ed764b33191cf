package process

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"penstock/internal/runner"
	"penstock/internal/runner/runnertest"
)

// P-9, hostile: a close kills also what has dropped its mark, its parents and its session. Without
// an own user the kernel's Landlock must tell whose signals reach whom for that, from version 6 on.
func TestKillUnmarked(t *testing.T) {
	t.Parallel()
	for _, c := range []Confinement{OwnUser, Landlock} {
		r, err := New(Config{Confine: c})
		if err != nil || c == Landlock && landlockABI() < signalABI {
			t.Logf("%s: %v", c, err)
			continue
		}
		bystander := runnertest.Open(t, r, runner.Spec{})
		runnertest.Exec(t, bystander, 0, "sleep 605 & other=$!")
		ws := t.TempDir()
		s := runnertest.Open(t, r, runner.Spec{Workspace: ws})
		runnertest.Exec(t, s, 0, `
			(env -i PATH="$PATH" setsid sh -c 'sleep 606 & echo $! >away' &)
			while ! [ -s away ]; do sleep 0.01; done`)
		b, err := os.ReadFile(filepath.Join(ws, "away"))
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := readProc(pid); !ok {
			t.Fatalf("%s: process %d has not begun", c, pid)
		}
		s.Close()
		if _, ok := readProc(pid); ok {
			t.Errorf("%s: process %d survived", c, pid)
		}
		runnertest.Exec(t, bystander, 0, "kill -0 $other")
	}
}
