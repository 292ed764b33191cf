package process

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"penstock/internal/runner"
)

// session is one sandbox with at most one shell in it.
type session struct {
	spec  runner.Spec
	cell  *cell
	view  string // the workspace as commands see it
	argv  []string
	env   []string
	nonce string // marks the shell's answers; commands never get to see it
	out   *output
	outW  *os.File
	shell *shell // nil after a shell ended
	saved bool   // a shell that ended left its state behind

	closing   chan struct{} // closed by the first Close
	closeOnce sync.Once
	busy      sync.Mutex // held by Run, Values and the end of Close
}

func newSession(spec runner.Spec, c *cell, view string, argv, env []string) (*session, error) {
	b := make([]byte, 16)
	rand.Read(b)
	s := &session{spec: spec, cell: c, view: view, argv: argv, env: env, nonce: hex.EncodeToString(b), closing: make(chan struct{})}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s.outW, s.out = w, newOutput(r, spec.Output)
	if err := s.begin(""); err != nil {
		w.Close()
		s.out.finish()
		return nil, err
	}
	return s, nil
}

// begin starts a shell in the folder; one that follows a shell which ended by itself takes
// over its exported variables and folder.
func (s *session) begin(dir string) error {
	if !filepath.IsLocal(filepath.Join(".", dir)) {
		return fmt.Errorf("folder %q is outside of the workspace", dir)
	}
	sh, err := startShell(s.cell, s.argv, append(s.env, s.cell.mark()...), filepath.Join(s.view, dir), s.outW)
	if err != nil {
		return err
	}
	state := quote(s.stateFile())
	// The state is written where a shell ends by itself: exit, set -e, exec.
	first := "trap " + quote("umask 077; __pwd=$PWD; export __pwd; export -p >"+state+" 2>/dev/null") + " EXIT\n"
	if s.saved {
		// A shell that was killed has left none, and one that reads a file that is not there ends.
		first = "{ [ -r " + state + " ] && { . " + state + "; cd -- \"$__pwd\"; }; unset __pwd; } 2>/dev/null\n" + first
		sh.fresh, s.saved = false, false
	}
	s.shell = sh
	return sh.feed(first)
}

func (s *session) stateFile() string { return filepath.Join(s.view, "tmp", ".state-"+s.nonce[:8]) }

// Run implements runner.Session.
func (s *session) Run(ctx context.Context, cmd runner.Command) (runner.Result, error) {
	if cmd.User != "" {
		return runner.Result{}, runner.ErrUser
	}
	if !s.busy.TryLock() {
		return runner.Result{}, errors.New("runner: session is in use")
	}
	defer s.busy.Unlock()
	if cmd.Fresh && s.shell != nil {
		s.shell.kill()
		s.shell = nil
	}
	if s.shell == nil {
		if cmd.Fresh {
			s.saved = false
		}
		if err := s.begin(cmd.Dir); err != nil {
			return runner.Result{}, err
		}
	}
	var text strings.Builder
	if f := s.shell.flags; f != "" {
		text.WriteString("set -" + f + "\n")
	}
	text.WriteString(cmd.Script)
	var line strings.Builder
	for _, kv := range cmd.Env {
		name, value, _ := strings.Cut(kv, "=")
		line.WriteString("export " + name + "=" + quote(value) + "\n")
	}
	if s.shell.fresh && cmd.Dir != "" && !cmd.Fresh {
		line.WriteString("cd -- " + quote(filepath.Join(s.view, cmd.Dir)) + "\n")
	}
	s.shell.fresh = false
	// stdin and the answer's descriptor are closed to the command and all it starts; the
	// options that would disturb these lines are put back into the next command.
	line.WriteString("command eval " + quote(text.String()) + " </dev/null 3>&-\n")
	line.WriteString("{ command printf '" + s.nonce + "\\0%d\\0%s\\0' \"$?\" \"$-\" >&3; set +exuv; } 2>/dev/null\n")
	fields, err := s.ask(ctx, line.String(), 2)
	switch {
	case errors.Is(err, errShellEnded):
		// The command ended the shell: its exit status is the command's.
		code := s.shell.wait()
		s.shell, s.saved = nil, true
		s.out.drain()
		return runner.Result{ExitCode: code}, nil
	case err != nil:
		return runner.Result{}, err
	}
	s.out.drain()
	var code int
	if _, err := fmt.Sscanf(fields[0], "%d", &code); err != nil {
		return runner.Result{}, fmt.Errorf("runner: shell answered %q", fields[0])
	}
	s.shell.flags = keep(fields[1], "exuv")
	return runner.Result{ExitCode: code}, nil
}

// ask feeds text to the shell and waits for an answer of n fields.
func (s *session) ask(ctx context.Context, text string, n int) ([]string, error) {
	type answer struct {
		fields []string
		err    error
	}
	got := make(chan answer, 1)
	sh := s.shell
	go func() {
		if err := sh.feed(text); err != nil {
			// A shell that has ended cannot be fed; its answer pipe says so too.
			_ = err
		}
		f, err := sh.answer(s.nonce, n)
		got <- answer{f, err}
	}()
	var cause error
	select {
	case a := <-got:
		if !errors.Is(a.err, errShellEnded) {
			return a.fields, a.err
		}
		// The answer's pipe is closed; where the shell became another program (exec), that
		// still runs.
		select {
		case <-sh.done:
			return a.fields, a.err
		case <-ctx.Done():
			cause = context.Cause(ctx)
		case <-s.closing:
			cause = runner.ErrClosed
		}
	case <-ctx.Done():
		cause = context.Cause(ctx)
	case <-s.closing:
		cause = runner.ErrClosed
	}
	s.cell.signal(sh.pid())
	grace := time.NewTimer(s.spec.Grace)
	defer grace.Stop()
	select {
	case <-got:
	case <-sh.done:
	case <-grace.C:
	}
	s.cell.killAll()
	sh.kill()
	s.shell = nil
	s.out.drain()
	return nil, cause
}

// Values implements runner.Session.
func (s *session) Values(ctx context.Context, names []string) (map[string]string, error) {
	if !s.busy.TryLock() {
		return nil, errors.New("runner: session is in use")
	}
	defer s.busy.Unlock()
	if s.shell == nil {
		if err := s.begin(""); err != nil {
			return nil, err
		}
	}
	out := map[string]string{}
	if len(names) == 0 {
		return out, nil
	}
	var line strings.Builder
	line.WriteString("{ command printf '" + s.nonce + "\\0' >&3\n")
	for _, n := range names {
		if !isName(n) {
			return nil, fmt.Errorf("runner: %q is not a variable name", n)
		}
		fmt.Fprintf(&line, "command printf '%%s%%s\\0' \"${%s+=}\" \"${%s-}\" >&3\n", n, n)
	}
	line.WriteString("} 2>/dev/null\n")
	fields, err := s.ask(ctx, line.String(), len(names))
	if err != nil {
		return nil, err
	}
	for i, n := range names {
		if v, set := strings.CutPrefix(fields[i], "="); set {
			out[n] = v
		}
	}
	return out, nil
}

// Drain implements runner.Session.
func (s *session) Drain() { s.out.drain() }

// Close implements runner.Session.
func (s *session) Close() error {
	s.closeOnce.Do(func() {
		close(s.closing)
		s.busy.Lock() // never unlocked: the session is over
		s.cell.killAll()
		if s.shell != nil {
			s.shell.kill()
			s.shell = nil
		}
		s.outW.Close()
		s.out.finish()
		s.cell.close()
	})
	return nil
}

func keep(flags, wanted string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(wanted, r) {
			return r
		}
		return -1
	}, flags)
}

func isName(s string) bool {
	for i, r := range s {
		if r != '_' && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

// quote makes one shell word of any text without NUL.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
