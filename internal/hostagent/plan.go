package hostagent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"penstock/internal/appspec"
	"penstock/internal/artifact"
)

// instruction is one step of an installation, as install.json has it (D.4).
type instruction struct {
	Type        string           `json:"type"` // copy, mkdir, chown, chmod, setfacl or semanage
	Source      string           `json:"source,omitempty"`
	Destination string           `json:"destination,omitempty"`
	Directory   string           `json:"directory,omitempty"`
	File        string           `json:"file,omitempty"`
	Owner       string           `json:"owner,omitempty"`
	Group       string           `json:"group,omitempty"`
	Mode        string           `json:"mode,omitempty"`
	ACL         appspec.ACL      `json:"acl,omitempty"`
	Context     *appspec.Context `json:"context,omitempty"`

	bundle string // Source inside the bundle
}

// plan is what an installation will do, in order. It is made before anything is done.
type plan struct {
	Instructions []instruction `json:"instructions"`

	archive    string
	root       *os.Root
	fileExists string
	copies     map[string]string // destination → source
	mkdirs     map[string]bool
	allowed    map[string]bool // objects whose permissions are set
	targets    []string        // of copies, in order
	folders    []string
	bytes      int64
}

// newPlan reads the bundle and the host, and changes neither.
func newPlan(root *os.Root, archive, fileExists string, s *appspec.Spec) (*plan, error) {
	p := &plan{archive: archive, root: root, fileExists: or(s.FileExistsBehavior, fileExists), copies: map[string]string{}, mkdirs: map[string]bool{}, allowed: map[string]bool{}}
	if !slices.Contains([]string{appspec.Disallow, appspec.Overwrite, appspec.Retain}, p.fileExists) {
		return nil, sentence("The deployment failed because an invalid option was specified for fileExistsBehavior: %s. Valid options include OVERWRITE, RETAIN, and DISALLOW.", clip(p.fileExists))
	}
	for _, f := range s.Files {
		info, err := root.Stat(f.Source)
		switch {
		case err != nil:
			return nil, sentence("The deployment failed because the source %s of the application specification file is not in the bundle: %w", f.Source, err)
		case info.IsDir():
			err = p.ancestors(f.Destination)
			if err == nil {
				err = p.folder(f.Source, f.Destination)
			}
		default:
			destination := path.Join(f.Destination, path.Base(f.Source))
			err = p.ancestors(destination)
			if err == nil {
				err = p.file(f.Source, destination)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	for _, perm := range s.Permissions {
		if err := p.permission(perm); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// ancestors makes the folders above a path that are missing.
func (p *plan) ancestors(file string) error {
	var missing []string
	for dir := path.Dir(file); dir != "/"; dir = path.Dir(dir) {
		if isDir(dir) {
			break
		}
		missing = append(missing, dir)
	}
	for _, dir := range slices.Backward(missing) {
		if err := p.mkdir(dir); err != nil {
			return err
		}
	}
	return nil
}

// folder copies what is in a folder of the bundle.
func (p *plan) folder(source, destination string) error {
	if !isDir(destination) {
		if err := p.mkdir(destination); err != nil {
			return err
		}
	}
	entries, err := fs.ReadDir(p.root.FS(), source)
	if err != nil {
		return err
	}
	for _, e := range entries {
		from, to := path.Join(source, e.Name()), path.Join(destination, e.Name())
		// A link to a folder gives its contents, as with AWS's agent; a root follows only a
		// few, one behind the other.
		info, err := p.root.Stat(from)
		switch {
		case errors.Is(err, syscall.ELOOP):
			err = fmt.Errorf("the link %s leads in a circle, or to too many others", clip(from))
		case err != nil || !info.IsDir():
			err = p.file(from, to)
		default:
			err = p.folder(from, to)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *plan) file(source, destination string) error {
	info, err := p.root.Lstat(source)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(destination); err == nil {
		switch p.fileExists {
		case appspec.Disallow:
			return sentence("The deployment failed because a specified file already exists at this location: %s", destination)
		case appspec.Retain:
			return nil
		}
	}
	full := filepath.Join(p.archive, source)
	if other, ok := p.copies[destination]; ok {
		return sentence("The deployment failed because the application specification file specifies two source files named %s and %s for the same destination (%s). Remove one of the source file paths from the AppSpec file, and then try again.", full, other, destination)
	}
	if p.mkdirs[destination] {
		return sentence("The deployment failed because the application specification file calls for installing the file %s, but a file with that name already exists at the location (%s). Update your AppSpec file or directory structure, and then try again.", full, destination)
	}
	if p.bytes += info.Size(); p.bytes > artifact.DefaultLimits.Bytes {
		return fmt.Errorf("the files to install have more than %d bytes", artifact.DefaultLimits.Bytes)
	}
	p.copies[destination] = full
	p.targets = append(p.targets, destination)
	return p.add(instruction{Type: "copy", Source: full, Destination: destination, bundle: source})
}

func (p *plan) mkdir(dir string) error {
	if _, ok := p.copies[dir]; ok {
		return sentence("The deployment failed because the application specification file includes an mkdir command more than once for the same destination path (%s) from (%s). Update the files section of the AppSpec file, and then try again.", dir, p.copies[dir])
	}
	if p.mkdirs[dir] {
		return nil
	}
	if _, err := os.Lstat(dir); err == nil { // and is no folder
		return sentence("The deployment failed because a specified file already exists at this location: %s", dir)
	}
	p.mkdirs[dir] = true
	p.folders = append(p.folders, dir)
	return p.add(instruction{Type: "mkdir", Directory: dir})
}

func (p *plan) add(i instruction) error {
	if len(p.Instructions) >= artifact.DefaultLimits.Entries {
		return fmt.Errorf("the installation has more than %d steps", artifact.DefaultLimits.Entries)
	}
	p.Instructions = append(p.Instructions, i)
	return nil
}

// permission sets a permission on a file of this installation, or on what this installation
// puts into a folder. (C.1)
func (p *plan) permission(perm appspec.Permission) error {
	if _, ok := p.copies[perm.Object]; ok {
		if !perm.Files {
			return nil
		}
		if why := perm.OnFile(); why != "" {
			return sentence("The deployment failed because %s", why)
		}
		return p.set(perm.Object, perm, true)
	}
	if !p.mkdirs[perm.Object] && !isDir(perm.Object) {
		return nil
	}
	inside := strings.TrimSuffix(perm.Object, "/") + "/"
	if perm.Files {
		for _, target := range p.targets {
			if name, ok := strings.CutPrefix(target, inside); ok && perm.Matches(name) {
				if err := p.set(target, perm, true); err != nil {
					return err
				}
			}
		}
	}
	if perm.Directories {
		for _, dir := range p.folders {
			if name, ok := strings.CutPrefix(dir, inside); ok && perm.Matches(name) {
				if err := p.set(dir, perm, false); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// set plans the steps of a permission. The owner comes first: changing it takes away the bits
// of set-user-id and set-group-id.
func (p *plan) set(object string, perm appspec.Permission, file bool) error {
	if file && perm.ACLs.HasDefault() {
		return sentence("The deployment failed because the -d parameter has been specified to apply an acl setting to a file (%s). This parameter is supported for directories only. Update the AppSpec file, and then try again.", object)
	}
	if p.allowed[object] {
		return sentence("The deployment failed because the permissions setting for (%s) is specified more than once in the application specification file. Update the files section of the AppSpec file, and then try again.", object)
	}
	p.allowed[object] = true
	var steps []instruction
	if perm.Owner != "" || perm.Group != "" {
		steps = append(steps, instruction{Type: "chown", File: object, Owner: perm.Owner, Group: perm.Group})
	}
	if perm.Mode != "" {
		steps = append(steps, instruction{Type: "chmod", File: object, Mode: perm.Mode})
	}
	if perm.ACLs != nil {
		steps = append(steps, instruction{Type: "setfacl", File: object, ACL: perm.ACLs})
	}
	if perm.Context != nil {
		steps = append(steps, instruction{Type: "semanage", File: object, Context: perm.Context})
	}
	for _, s := range steps {
		if err := p.add(s); err != nil {
			return err
		}
	}
	return nil
}

// text is the plan as install.json keeps it.
func (p *plan) text() ([]byte, error) { return json.Marshal(p) }
