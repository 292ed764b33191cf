// Package runner is the contract for running the commands of builds, and of whatever else
// works like a build: Commands actions and rules, functions, deploy scripts.
//
// A runner gives a build one session with one shell in it. Where the shell runs - a process
// of this machine, a container, another machine - is the runner's business.
package runner

import (
	"context"
	"errors"
	"io"
	"time"
)

// Runner makes sessions.
//
// Order of calls: Path, then Start, then any number of Run and Values on the session, then
// exactly one Close. Concurrency: a Runner may be used by many goroutines; a Session by one
// at a time, except that Drain and Close may be called while Run waits, which after Close
// returns ErrClosed. Idempotency: Start has effects each time it is called; Close may be repeated.
// Cleanup: a Start that fails leaves nothing behind; Close ends every process the session
// started, wherever that process has moved to, and after a crash of the server none
// outlives it. The workspace belongs to the caller, who removes it after Close. Errors: a
// command that ends with a non-zero status is a Result, not an error. An error means that
// the session is of no more use: ctx's error when ctx ended, *StartError when the sandbox
// or the shell could not be made, else a fault of the machinery.
type Runner interface {
	// Name is the runner's name in logs and in Provisioning contexts, such as "process".
	Name() string
	// Path gives the path under which commands will see the workspace.
	Path(workspace string) string
	// Start makes the session. ctx bounds only the start, not the session.
	Start(ctx context.Context, spec Spec) (Session, error)
}

// Session is one running sandbox.
type Session interface {
	// Run runs one command and waits for its end. All output the command wrote itself has
	// reached Spec.Output before Run returns; output of processes it left behind comes
	// later. When ctx ends the command gets Spec.Grace to finish after a polite signal,
	// then everything in the session is killed and Run returns ctx's cause.
	Run(ctx context.Context, cmd Command) (Result, error)
	// Values gives the values of the shell's variables; unset ones are not in the map.
	Values(ctx context.Context, names []string) (map[string]string, error)
	// Drain returns when all output that was written before the call has reached Spec.Output.
	Drain()
	// Close ends all processes of the session and returns when none is left and all output
	// has been written.
	Close() error
}

// Spec says what a session is like.
type Spec struct {
	// ID names the session in logs; it need not be unique.
	ID string
	// Workspace is an existing folder of this machine. The session may read and write all
	// of it, and it may change owners. The names home and tmp in it are the runner's.
	Workspace string
	// Shell is "bash", "sh" or a path of them; "" is sh.
	Shell string
	// Env is the whole environment, NAME=value, except that the runner adds PATH, HOME and
	// TMPDIR where they are missing. Nothing of the server's own environment is passed on.
	Env []string
	// Output gets stdout and stderr in the order written. Writes never overlap. A slow
	// writer slows the commands; a failing one loses output but does not fail commands.
	Output io.Writer
	// Grace is the time between the polite signal and the kill; 0 is two seconds.
	Grace time.Duration
	// Image, ComputeType and Privileged describe what a container would be; runners
	// without containers ignore them.
	Image, ComputeType string
	Privileged         bool
}

// Command is one command of a build.
type Command struct {
	// Script is shell text of one or more lines. Its stdin is empty.
	Script string
	// Dir is the folder a new shell starts in, relative to the workspace.
	Dir string
	// Env is exported into the shell before the command, NAME=value, and stays.
	Env []string
	// Fresh runs the command in a shell of its own that starts from Spec.Env in Dir; the
	// shell of the session, its variables and its folder are gone afterwards. (A.3, 0.1)
	Fresh bool
	// User is the user to run as; "" is the runner's default. A runner that cannot or may
	// not change users answers ErrUser.
	User string
}

// Result is how a command ended.
type Result struct {
	// ExitCode is 0 to 255; 128+n when signal n ended the command.
	ExitCode int
}

// StartError says why a sandbox could not be made, for the context of a phase.
type StartError struct{ Err error }

// Error gives the reason.
func (e *StartError) Error() string { return "cannot start the build environment: " + e.Err.Error() }

// Unwrap gives the reason as an error.
func (e *StartError) Unwrap() error { return e.Err }

// Errors of sessions.
var (
	// ErrUser means that the runner does not run commands as another user.
	ErrUser = errors.New("run-as is not supported by this runner")
	// ErrClosed means that the session was closed.
	ErrClosed = errors.New("runner: session is closed")
	// ErrTooMuch means that the values asked for are larger than a runner carries.
	ErrTooMuch = errors.New("runner: values are too large")
)

// MaxValues is the most bytes Values carries.
const MaxValues = 256 << 10
