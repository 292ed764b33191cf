package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Rights of Landlock. Reading a folder's names is left alone, because a right on a folder
// holds for all below it and "/" must stay listable.
const (
	readRights = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE
	fileRights = readRights | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE
	allRights  = fileRights | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
		unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG |
		unix.LANDLOCK_ACCESS_FS_MAKE_SOCK | unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK |
		unix.LANDLOCK_ACCESS_FS_MAKE_SYM | unix.LANDLOCK_ACCESS_FS_REFER
	scopeSignal = 1 << 1
	minABI      = 3 // truncate is a way to write
	signalABI   = 6
)

// devices are the device files a build needs.
var devices = []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx", "/dev/pts", "/dev/fd"}

func landlockABI() int {
	v, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(v)
}

func landlockUsable() error {
	if v := landlockABI(); v < minABI {
		return fmt.Errorf("the kernel's Landlock is version %d, needed is %d", v, minABI)
	}
	return nil
}

// ruleset is a Landlock rule set being made.
type ruleset struct {
	fd     int
	hidden []string
}

// enterLandlock restricts the calling thread to what a session may touch.
func enterLandlock(workspace string, hidden []string) error {
	attr := struct{ fs, net, scoped uint64 }{fs: allRights}
	size := unsafe.Sizeof(attr)
	switch v := landlockABI(); {
	case v >= signalABI:
		attr.scoped = scopeSignal
	case v >= 4:
		size = 16
	default:
		size = 8
	}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), size, 0)
	if errno != 0 {
		return fmt.Errorf("landlock: %w", errno)
	}
	defer unix.Close(int(fd))
	set := &ruleset{fd: int(fd), hidden: append([]string{"/dev"}, hidden...)}
	if err := set.allow("/", readRights); err != nil {
		return err
	}
	for _, p := range []string{"/tmp", "/var/tmp", "/dev/shm"} {
		if err := set.allow(p, allRights); err != nil {
			return err
		}
	}
	for _, p := range append([]string{"/proc"}, devices...) {
		if err := set.add(p, fileRights); err != nil {
			return err
		}
	}
	if err := set.add(workspace, allRights); err != nil {
		return err
	}
	if err := noNewPrivileges(); err != nil {
		return err
	}
	dropCapabilities()
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); errno != 0 {
		return fmt.Errorf("landlock: %w", errno)
	}
	return nil
}

// scoped says whether signals of the calling thread, which has entered Landlock, reach nothing but
// what it has started. Where they do not, killing all that they reach would end the server's
// parent first: look twice.
func scoped() bool {
	if landlockABI() < signalABI {
		return false
	}
	parent := os.Getppid() // 0 where it is in another namespace
	return parent == 0 || unix.Kill(parent, 0) != nil
}

// allow grants rights on a place but not on hidden ones below it: where there are some,
// every other entry is granted by itself.
func (s *ruleset) allow(place string, rights uint64) error {
	inside := false
	for _, h := range s.hidden {
		if h == place && place != "/dev/shm" {
			return nil
		}
		inside = inside || strings.HasPrefix(h, strings.TrimSuffix(place, "/")+"/")
	}
	if !inside {
		return s.add(place, rights)
	}
	entries, err := os.ReadDir(place)
	if err != nil {
		return nil // what the server cannot list the build does not get
	}
	for _, e := range entries {
		// The target of a link is granted, or not, where it lies.
		if e.Type()&os.ModeSymlink == 0 {
			if err := s.allow(filepath.Join(place, e.Name()), rights); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *ruleset) add(place string, rights uint64) error {
	fd, err := unix.Open(place, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil // not there, or not for the server either
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
	case unix.S_IFLNK:
		return nil
	default:
		rights &= fileRights
	}
	rule := unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(fd)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(s.fd), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	if errno != 0 && !errors.Is(errno, unix.EBADFD) {
		return fmt.Errorf("landlock: %s: %w", place, errno)
	}
	return nil
}

// kept are the capabilities a build of a root server keeps where it cannot have a user of
// its own; each of the others is a way around Landlock, CAP_PERFMON for one, which reads
// the environment of any process.
var kept = []uintptr{unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, unix.CAP_FSETID, unix.CAP_SETGID, unix.CAP_SETUID, unix.CAP_NET_BIND_SERVICE}

// dropCapabilities limits what programs started by the thread can hold. Without privilege
// the thread has none to drop, and the kernel refuses: that is as good.
func dropCapabilities() {
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if !slices.Contains(kept, c) {
			_ = unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
		}
	}
}
