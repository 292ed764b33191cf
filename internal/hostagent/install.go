package hostagent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"penstock/internal/runner/script"
)

// toolTime is how long a tool of the system may take for one object.
const toolTime = time.Minute

// install puts the files of a deployment in place: the event Install. From then on the
// deployment is the last that succeeded, whatever its scripts make of it. (D.4)
func (a *agent) install(ctx context.Context, d *deployment) error {
	s, err := readAppSpec(a.archive(d), d)
	if err != nil {
		return err
	}
	for event := range s.Hooks {
		if d.events != nil && !isHook(event) && !slices.Contains(d.events, event) {
			return fmt.Errorf("%s file contains unknown lifecycle events: [%q]", d.appSpec, clip(event))
		}
	}
	root, err := os.OpenRoot(a.archive(d))
	if err != nil {
		return err
	}
	defer root.Close()
	cleanup := a.instructions(d.group + "-cleanup")
	if err := a.cleanUp(ctx, cleanup); err != nil {
		return err
	}
	p, err := newPlan(root, a.archive(d), d.fileExists, s)
	if err != nil {
		return err
	}
	text, err := p.text()
	if err != nil {
		return err
	}
	if err := replace(a.instructions(d.group+"-install.json"), text); err != nil {
		return err
	}
	file, err := os.Create(cleanup)
	if err != nil {
		return err
	}
	defer file.Close()
	for _, i := range p.Instructions {
		if err := a.follow(ctx, root, i, file); err != nil {
			return err
		}
	}
	if err := file.Close(); err != nil {
		return err
	}
	return replace(a.lastSuccessful(d), []byte(a.dir(d)))
}

// semanageLine begins the lines of a cleanup file that are about SELinux; the others are paths.
const semanageLine = "semanage\x00"

// cleanUp removes what the deployment before has put on the host: files, and folders that are
// empty then. What is not there any more is no matter. (D.4)
func (a *agent) cleanUp(ctx context.Context, file string) error {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	lines := strings.Split(string(text), "\n")
	// What follows the last line break is empty, or was not finished.
	for _, line := range slices.Backward(lines[:len(lines)-1]) {
		if object, ok := strings.CutPrefix(line, semanageLine); ok {
			// It may have been taken away already.
			_ = tool(ctx, "semanage", "fcontext", "-d", "--", object)
			continue
		}
		if line == "" {
			continue
		}
		err := os.Remove(line)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTEMPTY) && !errors.Is(err, syscall.EEXIST) && !errors.Is(err, syscall.ENOTDIR) {
			return fmt.Errorf("a file of the deployment before cannot be removed: %w", err)
		}
	}
	return os.Remove(file)
}

// follow does one step of a plan. It notes before what the next deployment will have to undo:
// an agent may be killed at any time.
func (a *agent) follow(ctx context.Context, root *os.Root, i instruction, cleanup *os.File) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	note := func(line string) error {
		_, err := cleanup.WriteString(line + "\n")
		return err
	}
	switch i.Type {
	case "mkdir":
		if err := note(i.Directory); err != nil {
			return err
		}
		if err := os.Mkdir(i.Directory, 0o755); err != nil {
			return err
		}
		return os.Chmod(i.Directory, 0o755) // whatever the umask of this process takes away
	case "copy":
		if err := note(i.Destination); err != nil {
			return err
		}
		return copyFile(root, i.bundle, i.Destination, note)
	case "chown":
		return chown(i.File, i.Owner, i.Group)
	case "chmod":
		mode, err := strconv.ParseUint(i.Mode, 8, 12)
		if err != nil {
			return err
		}
		if isLink(i.File) {
			return nil // its mode means nothing, and that of what it leads to is not asked for
		}
		return syscall.Chmod(i.File, uint32(mode))
	case "setfacl":
		info, err := os.Stat(i.File)
		if err != nil {
			return err
		}
		return tool(ctx, "setfacl", "--set", i.ACL.Full(info.Mode()), "--", i.File)
	case "semanage":
		return selinux(ctx, i, note)
	}
	return fmt.Errorf("unknown instruction %q", i.Type)
}

// copyFile puts a file or a link of the bundle at a place, with its mode and its time. What
// is there already is replaced in one step, and not written through.
func copyFile(root *os.Root, source, destination string, note func(line string) error) (err error) {
	at := destination
	if _, err := os.Lstat(destination); err == nil {
		at = filepath.Join(filepath.Dir(destination), ".penstock-"+rand.Text())
		if err := note(at); err != nil {
			return err
		}
	}
	info, err := root.Lstat(source)
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		target, err := root.Readlink(source)
		if err == nil {
			err = os.Symlink(target, at)
		}
		if err != nil {
			return err
		}
	} else if err := copyData(root, source, info, at); err != nil {
		return err
	}
	if at != destination {
		return os.Rename(at, destination)
	}
	return nil
}

func copyData(root *os.Root, source string, info fs.FileInfo, destination string) error {
	from, err := root.Open(source)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(destination, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	if err = errors.Join(err, to.Chmod(info.Mode().Perm()), to.Close()); err != nil {
		return err
	}
	return os.Chtimes(destination, info.ModTime(), info.ModTime())
}

func isLink(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&fs.ModeSymlink != 0
}

// chown gives a file, or the link itself, to a user and a group of this host.
func chown(file, owner, group string) error {
	uid, gid := -1, -1
	if owner != "" {
		u, err := user.Lookup(owner)
		if err != nil {
			return sentence("The deployment failed because %s cannot be given to the owner %s: %w", file, owner, err)
		}
		if uid, err = strconv.Atoi(u.Uid); err != nil {
			return err
		}
	}
	if group != "" {
		g, err := user.LookupGroup(group)
		if err != nil {
			return sentence("The deployment failed because %s cannot be given to the group %s: %w", file, group, err)
		}
		if gid, err = strconv.Atoi(g.Gid); err != nil {
			return err
		}
	}
	return os.Lchown(file, uid, gid)
}

// selinux gives a file a context, and notes that the rule has to go.
func selinux(ctx context.Context, i instruction, note func(line string) error) error {
	object, err := filepath.EvalSymlinks(i.File)
	if err != nil {
		return err
	}
	args := []string{"fcontext", "-a", "-t", i.Context.Type}
	if i.Context.User != "" {
		args = append(args, "-s", i.Context.User)
	}
	if i.Context.Range != "" {
		args = append(args, "-r", i.Context.Range)
	}
	if err := tool(ctx, "semanage", append(args, "--", object)...); err != nil {
		return err
	}
	if err := note(semanageLine + object); err != nil {
		return err
	}
	return tool(ctx, "restorecon", "-v", "--", object)
}

// tool runs a program of the system.
func tool(ctx context.Context, name string, args ...string) error {
	var said tail
	err := script.Run(ctx, script.Script{
		Argv: append([]string{name}, args...), Env: []string{"PATH=" + os.Getenv("PATH")}, Timeout: toolTime,
		Output: func(_, line string) { said.add(line + "\n") },
	})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, script.ErrNotFound):
		return sentence("The deployment failed because the application specification file asks for %s, which this host does not have. Install it, or update the permissions section of the AppSpec file, and then try again.", name)
	}
	return sentence("The deployment failed because of a problem with the permission settings in the application specification file. Failed command: %s %s: %w: %s", name, clip(strings.Join(args, " ")), err, clip(strings.TrimSpace(string(said.text))))
}
