package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// quickLimit bounds a command that answers an API call.
const quickLimit = time.Minute

// grace is what a process gets between the polite signal, on which git removes its
// temporary files, and the kill.
const grace = 3 * time.Second

// call is one run of git.
type call struct {
	repo   *Repo // nil: outside any repository
	args   []string
	stdin  io.Reader
	stdout io.Writer
	env    []string
}

// ExitError is a git process that ended badly.
type ExitError struct {
	// Command is the sub-command, such as "upload-pack".
	Command string
	// Stderr is the end of what it said.
	Stderr string
	err    error
}

// Error names the command, its exit and what it said.
func (e *ExitError) Error() string {
	return fmt.Sprintf("git %s: %v: %s", e.Command, e.err, strings.TrimSpace(e.Stderr))
}

// Unwrap gives the error of the process.
func (e *ExitError) Unwrap() error { return e.err }

// environment is all that a git process sees. Nothing of the server's own environment and
// no configuration of the machine or of a user reaches it; hooks do not exist; no transport
// may be opened by a server-side command.
func environment(cfg Config) []string {
	config := [][2]string{
		{"safe.directory", "*"},
		{"core.hooksPath", os.DevNull},
		{"core.quotePath", "false"},
		{"protocol.allow", "never"},
		// Durability: what is acknowledged is on the disk, whatever dies next.
		{"core.fsync", "all"},
		{"core.fsyncMethod", "fsync"},
		// Housekeeping is ours (tidy.go): git's own would outlive the request in the background.
		{"gc.auto", "0"},
		{"maintenance.auto", "false"},
		{"receive.autogc", "false"},
		// One pack and one index reach the disk instead of a file and an fsync per object.
		{"receive.unpackLimit", "1"},
		{"receive.fsckObjects", "true"},
		{"receive.maxInputSize", strconv.FormatInt(cfg.MaxPack, 10)},
		// As in CodeCommit: branches may be rewritten and deleted, the default branch not deleted.
		{"receive.denyNonFastForwards", "false"},
		{"receive.denyDeletes", "false"},
		{"receive.denyDeleteCurrent", "refuse"},
		{"receive.denyCurrentBranch", "ignore"},
		{"receive.advertisePushOptions", "false"},
		{"uploadpack.allowFilter", "true"},
		// Builds fetch the commit of an execution, which the branch may have left behind.
		{"uploadpack.allowReachableSHA1InWant", "true"},
		{"transfer.unpackLimit", "1"},
		{"pack.threads", "2"},
		{"diff.renames", "false"},
		{"commit.gpgSign", "false"},
		{"tar.umask", "0022"},
	}
	env := []string{
		"PATH=" + filepath.Dir(cfg.Binary) + ":/usr/local/bin:/usr/bin:/bin",
		"HOME=/nonexistent", "XDG_CONFIG_HOME=/nonexistent", "LC_ALL=C", "TZ=UTC",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_SYSTEM=" + os.DevNull, "GIT_CONFIG_GLOBAL=" + os.DevNull,
		"GIT_ATTR_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=false", "GIT_PAGER=cat",
		"GIT_ALLOW_PROTOCOL=none", "GIT_NO_LAZY_FETCH=1", "GIT_NO_REPLACE_OBJECTS=1",
		"GIT_LITERAL_PATHSPECS=1", "GIT_OPTIONAL_LOCKS=0",
	}
	for n, kv := range config {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", n, kv[0]), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", n, kv[1]))
	}
	return append(env, fmt.Sprintf("GIT_CONFIG_COUNT=%d", len(config)))
}

// pool bounds the processes of one kind. Transfers and the commands of the API have pools of
// their own: a few clients that read slowly must not stop every source action.
type pool chan struct{}

// acquire waits for a free process, at most for the given time.
func (p pool) acquire(ctx context.Context, wait time.Duration) error {
	select {
	case p <- struct{}{}:
		return nil
	default:
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case p <- struct{}{}:
		return nil
	case <-t.C:
		return ErrBusy
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p pool) release() { <-p }

// process is a started git command.
type process struct {
	cmd    *exec.Cmd
	repo   *Repo
	name   string
	stderr *tail
	kill   *time.Timer
}

// start runs git with the clean environment in its own process group. The caller holds a
// place in a pool. When ctx ends the whole group is told to end, and killed after the grace.
func (d *Dir) start(ctx context.Context, c call, prepare func(*exec.Cmd) error) (*process, error) {
	cmd := exec.CommandContext(ctx, d.cfg.Binary, c.args...)
	p := &process{cmd: cmd, repo: c.repo, name: c.args[0], stderr: &tail{max: 8 << 10}}
	cmd.Dir = d.path
	cmd.Env = append(append([]string{}, d.env...), c.env...)
	if c.repo != nil {
		cmd.Dir = c.repo.path
		cmd.Env = append(cmd.Env, "GIT_DIR="+c.repo.path)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.stdin, c.stdout, p.stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 2 * grace
	// Cancel runs at most once, before the process is waited for: the group id is still ours.
	cmd.Cancel = func() error {
		pid := cmd.Process.Pid
		err := syscall.Kill(-pid, syscall.SIGTERM)
		p.kill = time.AfterFunc(grace, func() { _ = syscall.Kill(-pid, syscall.SIGKILL) })
		return err
	}
	if prepare != nil {
		if err := prepare(cmd); err != nil {
			return nil, fmt.Errorf("git %s: %w", p.name, err)
		}
	}
	if err := cmd.Start(); err != nil {
		return nil, c.repo.gone(fmt.Errorf("git %s: %w", p.name, err))
	}
	return p, nil
}

// gone adds ErrGone to an error that came after the repository was removed.
func (r *Repo) gone(err error) error {
	if r == nil {
		return err
	}
	if _, e := os.Stat(r.path); errors.Is(e, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	return err
}

// wait ends the process; a bad exit is an *ExitError.
func (p *process) wait(ctx context.Context) error {
	err := p.cmd.Wait()
	if p.kill != nil {
		// A child of git may outlive it by ignoring the polite signal: the timer is let run
		// only as long as somebody of the group is left.
		if syscall.Kill(-p.cmd.Process.Pid, 0) != nil {
			p.kill.Stop()
		}
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = errors.Join(context.Cause(ctx), err)
	}
	return p.repo.gone(&ExitError{Command: p.name, Stderr: p.stderr.String(), err: err})
}

// quick runs a command of an API call to its end.
func (d *Dir) quick(ctx context.Context, c call) error {
	if err := d.commands.acquire(ctx, d.cfg.MaxWait); err != nil {
		return err
	}
	defer d.commands.release()
	return d.within(ctx, quickLimit, c)
}

// transfer runs a command whose peer decides how long it takes.
func (d *Dir) transfer(ctx context.Context, limit time.Duration, c call) error {
	if err := d.transfers.acquire(ctx, d.cfg.MaxWait); err != nil {
		return err
	}
	defer d.transfers.release()
	return d.within(ctx, limit, c)
}

// background runs a long command that nobody watches: it waits for its turn as long as it
// may run.
func (d *Dir) background(ctx context.Context, c call) error {
	if err := d.transfers.acquire(ctx, d.cfg.Transfer); err != nil {
		return err
	}
	defer d.transfers.release()
	return d.within(ctx, d.cfg.Transfer, c)
}

// within runs a command of which the caller holds a place in a pool.
func (d *Dir) within(ctx context.Context, limit time.Duration, c call) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	p, err := d.start(ctx, c, nil)
	if err != nil {
		return err
	}
	return p.wait(ctx)
}

// output runs a quick command and gives what it wrote, at most limit bytes (ErrTooLarge).
func (d *Dir) output(ctx context.Context, c call, limit int) ([]byte, error) {
	var buf bytes.Buffer
	w := &limited{w: &buf, left: int64(limit)}
	c.stdout = w
	err := d.quick(ctx, c)
	if w.over {
		return nil, ErrTooLarge
	}
	if err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// limited passes on at most left bytes and then fails, which closes git's pipe.
type limited struct {
	w    io.Writer
	left int64
	over bool
}

func (l *limited) Write(p []byte) (int, error) {
	if int64(len(p)) > l.left {
		l.over = true
		return 0, ErrTooLarge
	}
	l.left -= int64(len(p))
	return l.w.Write(p)
}

// tail keeps the last bytes written to it.
type tail struct {
	max int
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - t.max; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.buf) }
