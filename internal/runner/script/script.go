// Package script runs one program of a deployment on this machine: without a sandbox, in a
// process group of its own, with a time in which it and its outputs must end. That is what
// the scripts of CodeDeploy ask for, which change the host they run on (D.4). What a script
// leaves running in the background goes on.
package script

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// DefaultGrace is the time between the polite signal and the kill.
const DefaultGrace = 10 * time.Second

// maxLine is the longest line that is given in one piece.
const maxLine = 32 << 10

// Script is what to run.
type Script struct {
	// Argv is the program, looked up in this process's PATH if it has no slash, and its
	// arguments. A file that begins with no #! is given to sh.
	Argv []string
	// Env is the whole environment, NAME=value. The input is empty; the folder is this
	// process's own.
	Env []string
	// Timeout is the time from the start until the program has ended and its outputs are closed.
	Timeout time.Duration
	// Grace is the time from the signal TERM to KILL; 0 is DefaultGrace.
	Grace time.Duration
	// Output gets every line of the outputs "stdout" and "stderr", without its end. Calls
	// do not overlap, none comes after Run has returned, and a slow one slows the script.
	Output func(stream, line string)
}

// Errors of scripts.
var (
	// ErrTimeout means that the program was still running when its time was over. Its
	// process group has been killed.
	ErrTimeout = errors.New("the time is over")
	// ErrNotFound means that there is no such program.
	ErrNotFound = exec.ErrNotFound
)

// ExitError means that the program ended with a status other than 0; 128+n when signal n
// ended it.
type ExitError struct{ Code int }

// Error gives the status.
func (e *ExitError) Error() string { return fmt.Sprintf("exit code %d", e.Code) }

// OpenError means that the program has ended and something it started still had the output
// open when the time was over. It is left alone.
type OpenError struct{ Stream string }

// Error names the output.
func (e *OpenError) Error() string { return e.Stream + " is still open" }

// Run runs a script and waits for its end. The error is nil for the status 0, and else one of
// those above, ctx's cause when ctx ended, which kills the process group too, or what
// prevented the start.
func Run(ctx context.Context, s Script) error {
	if s.Grace == 0 {
		s.Grace = DefaultGrace
	}
	run := &running{script: s}
	defer run.close()
	cmd, err := run.start()
	if err != nil {
		return err
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	deadline := time.NewTimer(s.Timeout)
	defer deadline.Stop()
	select {
	case err = <-exited:
	case <-deadline.C:
		run.end(cmd.Process, exited)
		return ErrTimeout
	case <-ctx.Done():
		run.end(cmd.Process, exited)
		return context.Cause(ctx)
	}
	for _, o := range run.outputs {
		select {
		case <-o.done:
		case <-deadline.C:
			return &OpenError{o.name}
		case <-ctx.Done():
			run.end(cmd.Process, nil)
			return context.Cause(ctx)
		}
	}
	var status *exec.ExitError
	if errors.As(err, &status) {
		code := status.ExitCode()
		if ws, ok := status.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			code = 128 + int(ws.Signal())
		}
		return &ExitError{code}
	}
	return err
}

// running is a script with its outputs.
type running struct {
	script  Script
	mu      sync.Mutex // serialises Output
	outputs []output
}

type output struct {
	name string
	r    *os.File
	done chan struct{}
}

// start starts the program. The kernel refuses a file that another process still has open for
// writing, as a child of a program beside this one may for a moment.
func (r *running) start() (*exec.Cmd, error) {
	ends := [2]*os.File{}
	for i, name := range []string{"stdout", "stderr"} {
		in, out, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		defer out.Close()
		ends[i] = out
		o := output{name, in, make(chan struct{})}
		r.outputs = append(r.outputs, o)
		go r.copy(o)
	}
	argv := r.script.Argv
	for tries := 0; ; tries++ {
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Env, cmd.Stdout, cmd.Stderr = r.script.Env, ends[0], ends[1]
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		err := cmd.Start()
		switch {
		case errors.Is(err, syscall.ENOEXEC) && argv[0] != "/bin/sh":
			argv = append([]string{"/bin/sh"}, argv...)
		case errors.Is(err, syscall.ETXTBSY) && tries < 100:
			time.Sleep(10 * time.Millisecond)
		default:
			return cmd, err
		}
	}
}

func (r *running) copy(o output) {
	defer close(o.done)
	lines := bufio.NewReaderSize(o.r, maxLine)
	for {
		line, err := lines.ReadSlice('\n')
		if len(line) > 0 {
			if line[len(line)-1] == '\n' {
				line = line[:len(line)-1]
			}
			r.mu.Lock()
			r.script.Output(o.name, string(line))
			r.mu.Unlock()
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// end ends the process group: politely, then at once. With a nil exited the program itself has
// ended; else it is told too where it has gone to another group.
func (r *running) end(program *os.Process, exited <-chan error) {
	kill := func(s syscall.Signal) {
		_ = syscall.Kill(-program.Pid, s)
		if group, err := syscall.Getpgid(program.Pid); exited != nil && err == nil && group != program.Pid {
			_ = program.Signal(s)
		}
	}
	kill(syscall.SIGTERM)
	grace := time.NewTimer(r.script.Grace)
	defer grace.Stop()
	over := make(chan struct{})
	go func() {
		defer close(over)
		if exited != nil {
			<-exited
		}
		for _, o := range r.outputs {
			<-o.done
		}
	}()
	select {
	case <-over:
	case <-grace.C:
	}
	kill(syscall.SIGKILL)
	r.close()
	<-over
}

// close ends the copying, also when a process elsewhere still holds an output.
func (r *running) close() {
	for _, o := range r.outputs {
		o.r.Close()
		<-o.done
	}
}
