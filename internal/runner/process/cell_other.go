//go:build !linux

package process

import (
	"errors"
	"os"
	"sync"
	"syscall"
)

// cell is the sandbox of one session; outside of Linux it only groups processes.
type cell struct {
	mu     sync.Mutex
	shells []int
}

func probe(c Confinement) (string, error) {
	if c == None {
		return "", nil
	}
	return "", errors.New("only on Linux")
}

func closeInherited() {}

func newCell(*Runner, string) (*cell, error) { return &cell{}, nil }

func (c *cell) mark() []string { return nil }

func (c *cell) start(argv []string, attr *os.ProcAttr) (*os.Process, error) {
	attr.Sys = &syscall.SysProcAttr{Setpgid: true}
	p, err := os.StartProcess(argv[0], argv, attr)
	if err == nil {
		c.mu.Lock()
		c.shells = append(c.shells, p.Pid)
		c.mu.Unlock()
	}
	return p, err
}

// forget keeps the number: without another way to find what a shell left behind, its group
// is all there is.
func (c *cell) forget(int) {}

func (c *cell) signal(shell int) { _ = syscall.Kill(-shell, syscall.SIGTERM) }

func (c *cell) killAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, pid := range c.shells {
		_ = syscall.Kill(-pid, syscall.SIGKILL)
	}
}

func (c *cell) close() {}
