package fetch

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
	"strings"
	"syscall"
	"time"
)

// maxText bounds the answers of git that are held in memory.
const maxText = 1 << 20

// grace is what a process gets between the polite signal and the kill.
const grace = 3 * time.Second

// run is a repository that lives for one fetch.
type run struct {
	f    *Fetcher
	dir  string
	url  string
	env  []string
	hide []string
	// leave gives the turn back.
	leave func()
}

// begin waits for a turn and makes an empty repository. The caller closes the run.
func (f *Fetcher) begin(ctx context.Context, from Remote) (_ *run, err error) {
	p, err := f.guard.judge(ctx, from.URL)
	if err != nil {
		return nil, err
	}
	if strings.ContainsAny(from.Username+from.Token, "\r\n\x00") {
		return nil, refused("a credential with a line break")
	}
	leave, err := f.turns.Take(ctx, from.Account)
	if err != nil {
		return nil, err
	}
	r := &run{f: f, url: p.url, leave: leave}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	if r.dir, err = os.MkdirTemp(f.cfg.Dir, "fetch-"); err != nil {
		return nil, err
	}
	config := [][2]string{
		{"core.hooksPath", os.DevNull}, {"core.quotePath", "false"}, {"safe.directory", "*"}, {"gc.auto", "0"}, {"maintenance.auto", "false"},
		{"protocol.allow", "never"}, {"protocol." + p.protocol + ".allow", "always"}, {"http.followRedirects", "false"},
		{"http.lowSpeedLimit", "1"}, {"http.lowSpeedTime", "60"}, {"credential.helper", ""}, {"fetch.recurseSubmodules", "false"},
		{"fetch.unpackLimit", "1"}, {"fetch.fsckObjects", "true"}, {"fetch.fsck.zeroPaddedFilemode", "ignore"},
		{"fetch.fsck.missingSpaceBeforeDate", "ignore"}, {"fetch.fsck.badTimezone", "ignore"}, {"diff.renames", "false"},
		{"i18n.logOutputEncoding", "UTF-8"}, {"pack.threads", "2"}, {"tar.umask", "0022"}, {"core.attributesFile", os.DevNull},
	}
	if p.pin != "" {
		config = append(config, [2]string{"http.curloptResolve", p.pin})
	}
	if from.Token != "" {
		config = append(config, [2]string{"http.extraHeader", from.login()})
		r.hide = []string{from.Token, strings.TrimPrefix(from.login(), "Authorization: Basic ")}
	}
	r.env = []string{
		"PATH=" + filepath.Dir(f.cfg.Binary) + ":/usr/local/bin:/usr/bin:/bin", "HOME=/nonexistent", "XDG_CONFIG_HOME=/nonexistent",
		"LC_ALL=C", "TZ=UTC", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_SYSTEM=" + os.DevNull, "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_ATTR_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=false", "GIT_PAGER=cat", "GIT_ALLOW_PROTOCOL=" + p.protocol, "GIT_NO_LAZY_FETCH=1",
		"GIT_NO_REPLACE_OBJECTS=1", "GIT_LITERAL_PATHSPECS=1", "GIT_DIR=" + r.dir,
	}
	for n, kv := range config {
		r.env = append(r.env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", n, kv[0]), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", n, kv[1]))
	}
	r.env = append(r.env, fmt.Sprintf("GIT_CONFIG_COUNT=%d", len(config)))
	if err := r.git(ctx, nil, io.Discard, "init", "--quiet", "--bare", "--template="); err != nil {
		return nil, err
	}
	// An archive is byte for byte what was committed, whatever its attributes say.
	if err := os.MkdirAll(filepath.Join(r.dir, "info"), 0o700); err != nil {
		return nil, err
	}
	return r, os.WriteFile(filepath.Join(r.dir, "info", "attributes"), []byte("* -export-ignore -export-subst -ident -text -eol -filter -working-tree-encoding\n"), 0o600)
}

func (r *run) close() error {
	defer r.leave()
	if r.dir == "" {
		return nil
	}
	err := os.RemoveAll(r.dir)
	// A process that is being killed may write one file more.
	for n := 0; err != nil && n < 50; n++ {
		time.Sleep(20 * time.Millisecond)
		err = os.RemoveAll(r.dir)
	}
	return err
}

// fetch fetches refs from the remote, within the limits of time and size.
func (r *run) fetch(ctx context.Context, args ...string) error {
	ctx, stop := context.WithTimeout(ctx, r.f.cfg.Limit)
	defer stop()
	ctx, cut := context.WithCancelCause(ctx)
	defer cut(nil)
	done := make(chan struct{})
	defer close(done)
	go r.watch(cut, done)
	head := []string{"fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"}
	var refs []string
	for _, a := range args {
		if strings.HasPrefix(a, "+") {
			refs = append(refs, a)
		} else {
			head = append(head, a)
		}
	}
	err := r.git(ctx, nil, io.Discard, append(append(head, "--", r.url), refs...)...)
	if err == nil && r.size() > r.f.cfg.MaxBytes {
		return ErrTooLarge
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}

// watch ends a fetch that takes more than it may.
func (r *run) watch(cut context.CancelCauseFunc, done <-chan struct{}) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			if r.size() > r.f.cfg.MaxBytes {
				cut(ErrTooLarge)
				return
			}
		}
	}
}

// size is what the repository takes on disk now. Files that go meanwhile do not count.
func (r *run) size() (n int64) {
	_ = filepath.WalkDir(r.dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil
	})
	return n
}

// output runs git and gives what it wrote.
func (r *run) output(ctx context.Context, limit int64, args ...string) (string, error) {
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	var b bytes.Buffer
	w := &limited{w: &b, left: limit}
	err := r.git(ctx, nil, w, args...)
	if w.over {
		return "", ErrTooLarge
	}
	return b.String(), err
}

// ExitError is a git process that ended badly; its text never has the credentials in it.
type ExitError struct{ Command, Said string }

// Error names the command and what it said.
func (e *ExitError) Error() string { return "git " + e.Command + ": " + e.Said }

// said says whether git ended with one of the texts.
func said(err error, texts ...string) bool {
	exit, ok := errors.AsType[*ExitError](err)
	for _, t := range texts {
		if ok && strings.Contains(exit.Said, t) {
			return true
		}
	}
	return false
}

// git runs git in its own process group until it ends or ctx does.
func (r *run) git(ctx context.Context, stdin io.Reader, stdout io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, r.f.cfg.Binary, args...)
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout = r.f.cfg.Dir, r.env, stdin, stdout
	errs := &tail{max: 4 << 10}
	cmd.Stderr = errs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 2 * grace
	var kill *time.Timer
	cmd.Cancel = func() error {
		pid := cmd.Process.Pid
		err := syscall.Kill(-pid, syscall.SIGTERM)
		kill = time.AfterFunc(grace, func() { _ = syscall.Kill(-pid, syscall.SIGKILL) })
		return err
	}
	err := cmd.Run()
	if kill != nil { // git is gone, and its children have nothing left to tidy up
		kill.Stop()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		// They still write until they are gone, where the folder is about to be removed.
		for end := time.Now().Add(grace); syscall.Kill(-cmd.Process.Pid, 0) == nil && time.Now().Before(end); {
			time.Sleep(5 * time.Millisecond)
		}
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	text := strings.TrimSpace(string(errs.buf))
	if text == "" {
		text = err.Error()
	}
	for _, secret := range r.hide {
		text = strings.ReplaceAll(text, secret, "***")
	}
	return &ExitError{Command: args[0], Said: strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), "\uFFFD")}
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
