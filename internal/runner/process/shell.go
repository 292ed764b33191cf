package process

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"penstock/internal/runner"
)

// errShellEnded means that the shell went away instead of answering.
var errShellEnded = errors.New("runner: the shell ended")

// shell is a shell process that reads its script from a pipe and answers on another.
type shell struct {
	proc    *os.Process
	script  *os.File
	answers *bufio.Reader
	answerR *os.File
	flags   string // options of the build's, put back for each command
	fresh   bool   // no command has run yet
	done    chan struct{}
	code    int // valid after done
	once    sync.Once
}

func startShell(c *cell, argv, env []string, dir string, out *os.File) (*shell, error) {
	scriptR, scriptW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer scriptR.Close()
	answerR, answerW, err := os.Pipe()
	if err != nil {
		scriptW.Close()
		return nil, err
	}
	defer answerW.Close()
	proc, err := c.start(argv, &os.ProcAttr{Dir: dir, Env: env, Files: []*os.File{scriptR, out, out, answerW}})
	if err != nil {
		scriptW.Close()
		answerR.Close()
		return nil, err
	}
	s := &shell{proc: proc, script: scriptW, answerR: answerR, answers: bufio.NewReader(answerR), fresh: true, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		state, err := proc.Wait()
		c.forget(proc.Pid)
		if err != nil {
			s.code = 255
			return
		}
		s.code = exitCode(state)
		// The answer pipe ends with the shell, unless a stray child kept it.
		answerR.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	}()
	return s, nil
}

func exitCode(state *os.ProcessState) int {
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return state.ExitCode()
}

func (s *shell) pid() int { return s.proc.Pid }

func (s *shell) feed(text string) error {
	_, err := io.WriteString(s.script, text)
	return err
}

// answer reads the shell's next answer: the nonce, then n fields, each ended by a NUL.
func (s *shell) answer(nonce string, n int) ([]string, error) {
	left := runner.MaxValues
	field := func() (string, error) {
		var b []byte
		for {
			part, err := s.answers.ReadSlice(0)
			if left -= len(part); left < 0 {
				return "", runner.ErrTooMuch
			}
			b = append(b, part...)
			switch {
			case err == nil:
				return string(b[:len(b)-1]), nil
			case errors.Is(err, bufio.ErrBufferFull):
			default:
				return "", errShellEnded
			}
		}
	}
	first, err := field()
	if err != nil {
		return nil, err
	}
	if first != nonce {
		return nil, fmt.Errorf("runner: something else than the shell answered")
	}
	out := make([]string, n)
	for i := range out {
		if out[i], err = field(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// wait gives the shell's exit status and frees its pipes.
func (s *shell) wait() int {
	<-s.done
	s.once.Do(func() { s.script.Close(); s.answerR.Close() })
	return s.code
}

// kill ends the shell at once and waits for it.
func (s *shell) kill() {
	s.proc.Kill()
	s.wait()
}
