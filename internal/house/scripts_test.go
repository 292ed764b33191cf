package house

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestFuzzScript proves what scripts/fuzz takes for a failure, with a go command that says
// what the real one says: every complaint, but not that the time it was given is over.
func TestFuzzScript(t *testing.T) {
	t.Parallel()
	const failed = "--- FAIL: $target (11.02s)\n    "
	for _, tt := range []struct {
		name, says string
		exit       string
		ok         bool
	}{
		{"nothing found", "PASS\n", "0", true},
		{"the time is over", failed + "context deadline exceeded\n", "1", true},
		{"the time is over and a process is slow to end", "waiting for fuzzing process to terminate...\n" + failed + "context deadline exceeded\n", "1", true},
		{"an input fails", failed + "--- FAIL: $target (0.00s)\n        x_test.go:1: panic\n    \n    Failing input written to testdata/fuzz/x/1\n", "1", false},
		{"an input fails as the time ends", failed + "context deadline exceeded\n    Failing input written to testdata/fuzz/x/1\n", "1", false},
		{"a seed fails by its own deadline", failed + "--- FAIL: $target/seed#0 (0.00s)\n        x_test.go:1: context deadline exceeded\n", "1", false},
		{"hangs", failed + "fuzzing process hung or terminated unexpectedly: exit status 2\n", "1", false},
		{"does not build", "./x.go:1:1: syntax error\n", "1", false},
		{"says nothing", "", "1", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			// A function, as bash takes it from its environment: a file just written may still
			// be held open by another test's fork, and not run.
			fake := "() { target=$(echo \"$*\" | sed 's/.*-fuzz ^\\(Fuzz[A-Za-z0-9]*\\).*/\\1/')\n" +
				"echo 'fuzz: elapsed: 3s, execs: 16229 (0/sec)'\n" +
				"printf '%s' \"" + tt.says + "\"\n" +
				"[ " + tt.exit + " = 0 ] || printf 'FAIL\\nexit status 1\\nFAIL\\tpenstock/x\\t11.0s\\n'\n" +
				"return " + tt.exit + "\n}"
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, filepath.Join("..", "..", "scripts", "fuzz"), "10s")
			cmd.Env = append(os.Environ(), "BASH_FUNC_go%%="+fake)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if (err == nil) != tt.ok {
				t.Errorf("%v, want success %v:\n%s", err, tt.ok, out)
			}
			if tt.ok && strings.Contains(string(out), "FAIL") {
				t.Errorf("a run that went well says FAIL:\n%s", out)
			}
		})
	}
}
