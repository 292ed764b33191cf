package process

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// cell is the sandbox of one session: an operating-system thread that has given up what the
// session may not have, and that starts the session's processes. Restrictions of a thread
// are inherited by what it starts and touch no other thread; the thread ends with the cell.
type cell struct {
	confine Confinement
	uid     int      // the session's own user, OwnUser only
	claim   *os.File // holds uid for this server while it lives
	secret  string   // the mark in the environment of what the session starts
	scoped  bool     // signals of the thread reach what it has started, and nothing else
	work    chan func()

	mu     sync.Mutex
	shells []int       // pids of the living shells, which lead their groups and sessions
	guard  *os.Process // kills the session when the server dies
	guardW *os.File
}

const (
	firstUID = 1 << 30 // far from users and from the ranges of container engines
	uids     = 4096
	maxProcs = 8192
)

func newCell(r *Runner, workspace string) (*cell, error) {
	b := make([]byte, 12)
	rand.Read(b)
	c := &cell{confine: r.confine, secret: hex.EncodeToString(b), work: make(chan func())}
	var enter func() error
	switch c.confine {
	case OwnUser:
		if err := c.claimUser(); err != nil {
			return nil, err
		}
		if err := giveTo(workspace, c.uid); err != nil {
			c.claim.Close()
			return nil, fmt.Errorf("hand over the workspace: %w", err)
		}
		enter = func() error { return r.enterMounts(workspace) }
	case Landlock:
		enter = func() error {
			err := enterLandlock(workspace, r.cfg.Hide)
			c.scoped = err == nil && scoped()
			return err
		}
	default:
		enter = func() error { return nil }
	}
	ready := make(chan error, 1)
	onThread(func() {
		err := enter()
		ready <- err
		if err != nil {
			return
		}
		for f := range c.work {
			f()
		}
	})
	if err := <-ready; err != nil {
		if c.claim != nil {
			c.claim.Close()
		}
		return nil, err
	}
	return c, nil
}

// onThread runs f on a thread of its own, which ends with f. The process's first thread is
// left alone: it cannot end, and /proc/self speaks of it.
func onThread(f func()) {
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			f()
			return
		}
		locked := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			close(locked)
			f()
		}()
		<-locked
		runtime.UnlockOSThread()
	}()
}

// claimUser picks a user id that no other session on this machine uses. A lock on a byte of a file
// says so, which the kernel frees when the server dies, and which no session can take: the file is
// root's alone.
func (c *cell) claimUser() error {
	f, err := openUsers()
	if err != nil {
		return err
	}
	for i := range uids {
		lock := unix.Flock_t{Type: unix.F_WRLCK, Start: int64(i), Len: 1}
		switch err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock); {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EACCES):
			err = errors.New("all build users are in use")
			continue
		case err == nil:
			c.claim, c.uid = f, firstUID+i
			err = killUser(c.uid) // what a server that died may have left
		}
		break
	}
	if err != nil {
		f.Close()
	}
	return err
}

// openUsers opens the file on which all servers of this machine lock their build users, in the
// first folder of the system that takes it.
func openUsers() (*os.File, error) {
	var all []error
	for _, dir := range []string{"/run", "/var/lib", "/etc"} {
		f, err := os.OpenFile(dir+"/penstock-build-users", os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if err == nil {
			return f, nil
		}
		all = append(all, err)
	}
	return nil, errors.Join(all...)
}

// giveTo makes the user own the workspace, without following links.
func giveTo(workspace string, uid int) error {
	return filepath.WalkDir(workspace, func(p string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		// A second name may be one outside of the workspace, made by an earlier session.
		var st unix.Stat_t
		if err := unix.Lstat(p, &st); err != nil {
			return err
		}
		if st.Nlink > 1 && st.Mode&unix.S_IFMT != unix.S_IFDIR {
			return fmt.Errorf("%s has %d names", p, st.Nlink)
		}
		return os.Lchown(p, uid, uid)
	})
}

func (c *cell) mark() []string {
	if c.confine == OwnUser {
		return nil
	}
	return []string{"__SESSION=" + c.secret}
}

// start starts a shell on the cell's thread.
func (c *cell) start(argv []string, attr *os.ProcAttr) (*os.Process, error) {
	attr.Sys = c.sys()
	attr.Sys.Pdeathsig = unix.SIGKILL
	type result struct {
		p   *os.Process
		err error
	}
	got := make(chan result, 1)
	c.work <- func() {
		p, err := os.StartProcess(argv[0], argv, attr)
		if err == nil {
			c.limit(p.Pid)
			c.mu.Lock()
			c.shells = append(c.shells, p.Pid)
			c.mu.Unlock()
		}
		got <- result{p, err}
		if err == nil {
			c.startGuard(p.Pid)
		}
	}
	r := <-got
	return r.p, r.err
}

func (c *cell) sys() *syscall.SysProcAttr {
	sys := &syscall.SysProcAttr{Setsid: true}
	if c.confine == OwnUser {
		sys.Credential = credential(c.uid)
	}
	return sys
}

// limit caps what a fork bomb can do to the machine; the shell waits for its script, so
// nothing has run before. A limit the kernel refuses is not worth failing a build.
func (c *cell) limit(pid int) {
	_ = unix.Prlimit(pid, unix.RLIMIT_CORE, &unix.Rlimit{}, nil)
	if c.confine == OwnUser {
		_ = unix.Prlimit(pid, unix.RLIMIT_NPROC, &unix.Rlimit{Cur: maxProcs, Max: maxProcs}, nil)
	}
}

// startGuard starts a process that kills the session when the server's end of a pipe
// closes, which also a crash does. It runs on the cell's thread, after the answer to start
// so that the shell does not wait for it.
func (c *cell) startGuard(shell int) {
	r, w, err := os.Pipe()
	if err != nil {
		return
	}
	defer r.Close()
	script := "read _; kill -9 -- -" + strconv.Itoa(shell)
	if c.confine == OwnUser {
		script += "; kill -9 -1"
	}
	p, err := os.StartProcess("/bin/sh", []string{"sh", "-c", script}, &os.ProcAttr{Dir: "/", Files: []*os.File{r, nil, nil}, Sys: c.sys()})
	if err != nil {
		w.Close()
		return
	}
	go p.Wait()
	c.stopGuard()
	c.mu.Lock()
	c.guard, c.guardW = p, w
	c.mu.Unlock()
}

func (c *cell) stopGuard() {
	c.mu.Lock()
	p, w := c.guard, c.guardW
	c.guard, c.guardW = nil, nil
	c.mu.Unlock()
	if p != nil {
		p.Kill()
		w.Close()
	}
}

// forget drops a shell that has ended: its number may soon be somebody else's. What it left
// behind is found by user or by mark.
func (c *cell) forget(pid int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shells = slices.DeleteFunc(c.shells, func(p int) bool { return p == pid })
}

// signal asks the shell's group politely to end.
func (c *cell) signal(shell int) { _ = unix.Kill(-shell, unix.SIGTERM) }

// settle waits until the thread has started what it was asked to: a guard that comes to
// life after a kill would be taken for a survivor.
func (c *cell) settle() {
	done := make(chan struct{})
	c.work <- func() { close(done) }
	<-done
}

// killAll kills every process of the session.
func (c *cell) killAll() {
	c.settle()
	c.mu.Lock()
	shells := append([]int(nil), c.shells...)
	c.mu.Unlock()
	if c.confine == OwnUser {
		_ = killUser(c.uid)
		awaitUser(c.uid)
		return
	}
	done := make(chan struct{})
	c.work <- func() {
		killFamily(shells, "__SESSION="+c.secret, c.scoped)
		close(done)
	}
	<-done
}

// close ends the thread; killAll has been called.
func (c *cell) close() {
	c.settle()
	close(c.work)
	c.stopGuard()
	if c.claim != nil {
		c.claim.Close()
	}
}
