package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func credential(uid int) *syscall.Credential {
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid), Groups: []uint32{}}
}

// killUser kills every process of a build user. A thread becomes that user, so the kernel
// itself picks the processes, in one step that no fork can slip through.
func killUser(uid int) error {
	if uid < firstUID || uid >= firstUID+uids {
		return fmt.Errorf("%d is not a build user", uid)
	}
	done := make(chan error, 1)
	onThread(func() {
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); errno != 0 {
			done <- errno
			return
		}
		// kill(-1) as root would end the machine: look twice.
		if r, e, s := unix.Getresuid(); r != uid || e != uid || s != uid {
			done <- errors.New("could not become the build user")
			return
		}
		_ = unix.Kill(-1, unix.SIGKILL)
		done <- nil
	})
	return <-done
}

// awaitUser waits a little until no process of a build user is left. All have been killed;
// what they were doing in the kernel may take a moment.
func awaitUser(uid int) {
	for range 10_000 {
		// A user without processes has no priority, and looking is one call.
		if _, err := unix.Getpriority(unix.PRIO_USER, uid); errors.Is(err, unix.ESRCH) {
			return
		}
		time.Sleep(200 * time.Microsecond)
	}
}

// killFamily kills what belongs to the shells by parentage, group, session or mark, until
// a look at all processes finds nothing more. Where the thread is scoped, whatever its signals
// reach belongs to them, and the kernel picks it in one step that no fork can slip through.
func killFamily(shells []int, mark string, scoped bool) {
	// What has been killed may take a moment, and a machine with much to do some more.
	for range 500 {
		if scoped {
			_ = unix.Kill(-1, unix.SIGKILL)
		}
		found := family(shells, mark, scoped)
		if len(found) == 0 {
			return
		}
		for _, pid := range found {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		time.Sleep(time.Millisecond)
	}
}

type proc struct{ pid, parent, group, session int }

func family(shells []int, mark string, scoped bool) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	self := os.Getpid()
	var all []proc
	member := map[int]bool{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == self {
			continue
		}
		p, ok := readProc(pid)
		if !ok {
			continue
		}
		all = append(all, p)
		if slices.Contains(shells, p.group) || slices.Contains(shells, p.session) || marked(pid, mark) || scoped && unix.Kill(pid, 0) == nil {
			member[pid] = true
		}
	}
	for grew := true; grew; {
		grew = false
		for _, p := range all {
			if !member[p.pid] && member[p.parent] {
				member[p.pid], grew = true, true
			}
		}
	}
	out := make([]int, 0, len(member))
	for pid := range member {
		out = append(out, pid)
	}
	return out
}

// readProc reads /proc/PID/stat; a zombie is no process any more.
func readProc(pid int) (proc, bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return proc{}, false
	}
	// The name in parentheses may hold anything; the fields follow the last one.
	i := bytes.LastIndexByte(b, ')')
	f := strings.Fields(string(b[i+1:]))
	if len(f) < 4 || f[0] == "Z" || f[0] == "X" {
		return proc{}, false
	}
	var n [3]int
	for i := range n {
		if n[i], err = strconv.Atoi(f[i+1]); err != nil {
			return proc{}, false
		}
	}
	return proc{pid, n[0], n[1], n[2]}, true
}

func marked(pid int, mark string) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	return err == nil && bytes.Contains(b, []byte(mark))
}
