package process

import (
	"testing"

	"penstock/internal/runner"
	"penstock/internal/runner/runnertest"
)

// P-9, hostile: no session can take the users of those to come, whatever addresses it listens on.
func TestUsersCannotBeTaken(t *testing.T) {
	t.Parallel()
	r, err := New(Config{Confine: OwnUser})
	if err != nil {
		t.Logf("nothing is tested here: %v", err)
		return
	}
	out := runnertest.NewOutput()
	s := runnertest.Open(t, r, runner.Spec{Output: out})
	runnertest.Exec(t, s, 0, `ulimit -n 5000; python3 -c '
import socket, time
held = []
for i in range(4096):
    s = socket.socket(socket.AF_UNIX)
    try:
        s.bind("\0penstock/build-user/%d" % i)
        s.listen()
        held.append(s)
    except OSError:
        pass
print("taken", flush=True)
time.sleep(600)' &`)
	out.Await(t, "taken")
	runnertest.Exec(t, runnertest.Open(t, r, runner.Spec{}), 0, "true")
}
