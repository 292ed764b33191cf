package worker_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"penstock/internal/engine"
	"penstock/internal/pipeline"
	"penstock/internal/provider"
	"penstock/internal/store/storetest"
	"penstock/internal/worker"
)

// pausedEnv tells a process of TestPausedServer which database it serves.
const pausedEnv = "PENSTOCK_TEST_PAUSED"

// patience is for what takes a moment on a busy machine.
const patience = 5 * time.Minute

// S-315, S-317: a server that stands still past its lease (SIGSTOP) loses its job to another
// server on the same database. What it reports when it goes on is refused, and the job counts
// once, as the other ended it.
func TestPausedServer(t *testing.T) {
	if url := os.Getenv(pausedEnv); url != "" {
		pausedServer(t, url)
		return
	}
	t.Parallel()
	url := storetest.PostgresURL(t)
	w := newWorld(t, storetest.Open(t, url))
	cmd := exec.Command(os.Args[0], "-test.run=^TestPausedServer$")
	cmd.Env = append(os.Environ(), pausedEnv+"="+url)
	says, tell := pipes(t, cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGKILL)
		cmd.Wait()
	})
	says("serving")
	w.create("p", []pipeline.Action{action("A", 1)})
	says("took")
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	later := newWorld(t, storetest.Open(t, url))
	took, end, ended := make(chan pipeline.JobID), make(chan bool), make(chan bool)
	other := worker.New(later.config("other", slog.New(slog.DiscardHandler), func(_ context.Context, job provider.Job) provider.Result {
		took <- pipeline.JobID(job.ID)
		<-end
		defer close(ended)
		return provider.Result{Progress: provider.Progress{Summary: "by the other"}}
	}))
	other.LookEvery(time.Second)
	later.start(other.Run)
	var id pipeline.JobID
	select {
	case id = <-took:
	case <-time.After(patience):
		t.Fatal("the job of the paused server was not taken over")
	}
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	tell("go")
	says("refused")
	if row := w.job(id); row.Status != engine.JobInProgress || row.Node != "other" || row.Fence != 2 {
		t.Errorf("after the late report the job is %s with %q, hand-out %d", row.Status, row.Node, row.Fence)
	}
	if w.status("p") != pipeline.InProgress {
		t.Errorf("a late report moved the pipeline: %s", w.status("p"))
	}
	close(end)
	<-ended
	deadline := time.After(patience)
	for again := time.NewTicker(10 * time.Millisecond); w.status("p") == pipeline.InProgress; {
		select {
		case <-again.C:
		case <-deadline:
			t.Fatal("the pipeline does not end")
		}
	}
	if runs := w.runs("p"); w.status("p") != pipeline.Succeeded || len(runs) != 1 || runs[0].Summary != "by the other" {
		t.Errorf("%s with %d runs, %+v", w.status("p"), len(runs), runs[0])
	}
	tell("end")
}

// pipes gives functions that wait for a line of a process and that write one to it.
func pipes(t *testing.T, cmd *exec.Cmd) (says, tell func(string)) {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for scan := bufio.NewScanner(out); scan.Scan(); {
			lines <- scan.Text()
		}
	}()
	says = func(what string) {
		t.Helper()
		deadline := time.After(patience)
		for {
			select {
			case line, more := <-lines:
				if !more {
					t.Fatalf("the process ended and never said %q", what)
				}
				if strings.Contains(line, what) {
					return
				}
			case <-deadline:
				t.Fatalf("the process never said %q", what)
			}
		}
	}
	return says, func(what string) {
		t.Helper()
		if _, err := fmt.Fprintln(in, what); err != nil {
			t.Fatal(err)
		}
	}
}

// pausedServer takes a job and does it when it is told to.
func pausedServer(t *testing.T, url string) {
	w := newWorld(t, storetest.Open(t, url))
	told, done := bufio.NewScanner(os.Stdin), make(chan bool)
	w.workWith("paused", slog.New(slog.NewTextHandler(refusals{}, nil)), func(ctx context.Context, job provider.Job) provider.Result {
		defer close(done)
		fmt.Println("took", job.ID)
		told.Scan()
		if ctx.Err() != nil { // it has seen that it lost the job before it could report
			fmt.Println("refused")
		}
		return provider.Result{Progress: provider.Progress{Summary: "by the paused"}}
	})
	fmt.Println("serving")
	<-done
	told.Scan()
}

// refusals says on standard output when the log tells of a refused result.
type refusals struct{}

func (refusals) Write(line []byte) (int, error) {
	if strings.Contains(string(line), "came too late") {
		fmt.Println("refused")
	}
	return len(line), nil
}
