package process

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// mountPoints are folders that machines have and builds do not need; the first that exists
// is where OwnUser sessions see their workspace. An operator who wants AWS's path makes it.
var mountPoints = []string{"/codebuild", "/srv", "/mnt", "/media"}

// probe tells whether a confinement works here, and the path of workspaces in it.
func probe(c Confinement) (mount string, err error) {
	switch c {
	case OwnUser:
		if os.Geteuid() != 0 {
			return "", errors.New("the server does not run as root")
		}
		users, err := openUsers()
		if err != nil {
			return "", fmt.Errorf("no place for the locks of build users: %w", err)
		}
		users.Close()
		for _, m := range mountPoints {
			if fi, err := os.Lstat(m); err == nil && fi.IsDir() {
				mount = m
				break
			}
		}
		if mount == "" {
			return "", fmt.Errorf("none of %s exists", strings.Join(mountPoints, ", "))
		}
		done := make(chan error, 1)
		onThread(func() { done <- privateMounts() })
		if err := <-done; err != nil {
			return "", err
		}
		return mount, nil
	case Landlock:
		return "", landlockUsable()
	}
	return "", nil
}

// closeInherited marks the files this process was born with, beside its three standard
// ones, so that builds do not get them; files the server opens itself are marked already.
func closeInherited() {
	_ = unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC)
}

// privateMounts gives the thread a mount namespace of its own with a /proc that shows a
// user only its own processes.
func privateMounts() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "hidepid=2"); err != nil {
		return fmt.Errorf("own /proc: %w", err)
	}
	return nil
}

// enterMounts puts the calling thread into the session's view of the file system.
func (r *Runner) enterMounts(workspace string) error {
	if err := privateMounts(); err != nil {
		return err
	}
	tmp := filepath.Join(workspace, "tmp")
	type bind struct{ from, to string }
	// The workspace comes before what may hide it.
	for _, b := range []bind{{workspace, r.mount}, {tmp, "/var/tmp"}, {r.mount + "/tmp", "/tmp"}} {
		if err := unix.Mount(b.from, b.to, "", unix.MS_BIND, ""); err != nil {
			if b.to == "/var/tmp" && errors.Is(err, unix.ENOENT) {
				continue
			}
			return fmt.Errorf("bind %s: %w", b.to, err)
		}
		if err := unix.Mount("", b.to, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_NOSUID|unix.MS_NODEV, ""); err != nil {
			return fmt.Errorf("remount %s: %w", b.to, err)
		}
	}
	const quiet = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	// Shared memory that a build leaves behind goes with its session.
	_ = unix.Mount("tmpfs", "/dev/shm", "tmpfs", quiet, "size=256m,mode=1777")
	for _, h := range r.cfg.Hide {
		err := unix.Mount("tmpfs", h, "tmpfs", quiet|unix.MS_RDONLY, "size=4k,mode=555")
		if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENOTDIR) {
			return fmt.Errorf("hide %s: %w", h, err)
		}
	}
	return noNewPrivileges()
}

// noNewPrivileges makes set-user-id programs harmless.
func noNewPrivileges() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no new privileges: %w", err)
	}
	return nil
}
