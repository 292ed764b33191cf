// Package git keeps bare repositories in one folder and works on them with the git binary.
//
// It knows nothing of accounts, policies or the API: a repository is a folder named by an
// opaque id that the caller made. Everything that comes from a user (ref names, paths,
// revisions, packs) is checked here before a process sees it, and every process runs with a
// clean environment, a deadline, and a process group that dies with it.
package git

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Config says where repositories live and how much work is allowed. Zero values mean the
// defaults named in each comment.
type Config struct {
	// Dir is the folder of all repositories; it is made when missing.
	Dir string
	// Binary is the git program, "git" on the search path by default. 2.39 or later.
	Binary string
	// MaxPack bounds the bytes of one push, 2 GiB by default.
	MaxPack int64
	// MaxProcesses bounds the transfers that run at one time, and likewise the short
	// commands of the API; four per CPU and at least eight by default. Work beyond waits
	// for MaxWait.
	MaxProcesses int
	// MaxWait bounds the wait for a free process, 30 s by default; then ErrBusy.
	MaxWait time.Duration
	// Transfer bounds one clone, fetch, push or archive, one hour by default.
	Transfer time.Duration
	// Idle bounds the silence of a peer within a transfer, two minutes by default.
	Idle time.Duration
	// Log receives what no caller sees, slog.Default by default.
	Log *slog.Logger
}

// Errors of the folder; every other error is the failure of a process or of the disk.
var (
	// ErrBusy says that no process came free within Config.MaxWait.
	ErrBusy = errors.New("git: too many processes are running")
	// ErrGone says that the repository was removed while it was worked on.
	ErrGone = errors.New("git: the repository is gone")
	// ErrNotFound says that the object, path or ref is not in the repository.
	ErrNotFound = errors.New("git: not found")
	// ErrTooLarge says that what was asked for passes a limit.
	ErrTooLarge = errors.New("git: too large")
	// ErrStale says that a ref was not at the value the caller expected.
	ErrStale = errors.New("git: the ref moved meanwhile")
)

// Dir is the folder of repositories. Its methods may be called concurrently.
type Dir struct {
	cfg  Config
	root *os.Root
	path string
	env  []string

	transfers, commands pool

	mu     sync.Mutex
	closed bool
	tidy   map[string]bool
	work   sync.WaitGroup
	ctx    context.Context
	cancel context.CancelFunc
}

var idForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9a-z][0-9a-z-]{0,63}$`) })

// Open makes the folder when it is missing, looks at the version of git, and sweeps what a
// crash left half-made.
func Open(ctx context.Context, cfg Config) (*Dir, error) {
	cfg = cfg.withDefaults()
	path, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("git: folder: %w", err)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("git: folder: %w", err)
	}
	bin, err := exec.LookPath(cfg.Binary)
	if err != nil {
		return nil, fmt.Errorf("git: the git program (2.39 or later) is needed for repositories: %w", err)
	}
	if bin, err = filepath.Abs(bin); err != nil {
		return nil, fmt.Errorf("git: %w", err)
	}
	cfg.Binary = bin
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("git: folder: %w", err)
	}
	d := &Dir{
		cfg: cfg, root: root, path: path, env: environment(cfg),
		transfers: make(pool, cfg.MaxProcesses), commands: make(pool, cfg.MaxProcesses), tidy: map[string]bool{},
	}
	d.ctx, d.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := d.checkVersion(ctx); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	if err := d.sweep(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (c Config) withDefaults() Config {
	if c.Binary == "" {
		c.Binary = "git"
	}
	if c.MaxPack <= 0 {
		c.MaxPack = 2 << 30
	}
	if c.MaxProcesses <= 0 {
		c.MaxProcesses = max(8, 4*runtime.NumCPU())
	}
	if c.MaxWait <= 0 {
		c.MaxWait = 30 * time.Second
	}
	if c.Transfer <= 0 {
		c.Transfer = time.Hour
	}
	if c.Idle <= 0 {
		c.Idle = 2 * time.Minute
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

// Close waits for housekeeping and gives the folder back. Requests must have ended before.
func (d *Dir) Close() error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.cancel()
	d.work.Wait()
	return d.root.Close()
}

// Create makes an empty bare repository. It appears whole or not at all.
func (d *Dir) Create(ctx context.Context, id string) error {
	if !idForm().MatchString(id) {
		return fmt.Errorf("git: %q is no repository id", id)
	}
	tmp := "new_" + rand.Text()
	path := filepath.Join(d.path, tmp)
	err := d.quick(ctx, call{args: []string{
		"init", "--quiet", "--bare", "--template=", "--object-format=sha1",
		"--initial-branch=main", "--", path,
	}})
	if err == nil {
		err = d.seed(tmp)
	}
	if err == nil {
		err = d.root.Rename(tmp, id)
	}
	if err == nil {
		err = syncDir(d.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("git: create repository: %w", err), d.root.RemoveAll(tmp))
	}
	return nil
}

// seed writes the attributes that keep an archive byte for byte what was committed: a
// .gitattributes in the tree must not drop files (export-ignore), rewrite them
// (export-subst, ident) or convert their line ends. S-235: the zip is the tree.
func (d *Dir) seed(name string) error {
	if err := d.root.MkdirAll(name+"/info", 0o700); err != nil {
		return err
	}
	f, err := d.root.OpenFile(name+"/info/attributes", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString("* -export-ignore -export-subst -ident -text -eol -filter -working-tree-encoding\n")
	return errors.Join(err, f.Sync(), f.Close())
}

// Remove deletes a repository; an absent one is no error.
func (d *Dir) Remove(id string) error {
	if !idForm().MatchString(id) {
		return fmt.Errorf("git: %q is no repository id", id)
	}
	// The rename ends the repository at once; what is left of it cannot be seen half-gone.
	gone := "old_" + rand.Text()
	if err := d.root.Rename(id, gone); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("git: remove repository: %w", err)
	}
	if err := d.root.RemoveAll(gone); err != nil {
		return fmt.Errorf("git: remove repository: %w", err)
	}
	return nil
}

// Ids lists the repositories in the folder.
func (d *Dir) Ids() ([]string, error) {
	entries, err := fs.ReadDir(d.root.FS(), ".")
	if err != nil {
		return nil, fmt.Errorf("git: list: %w", err)
	}
	var ids []string
	for _, e := range entries {
		if e.IsDir() && idForm().MatchString(e.Name()) {
			ids = append(ids, e.Name())
		}
	}
	return ids, nil
}

// Repo gives the repository of an id. It does not look whether the folder exists: the
// first use says so.
func (d *Dir) Repo(id string) (*Repo, error) {
	if !idForm().MatchString(id) {
		return nil, fmt.Errorf("git: %q is no repository id", id)
	}
	return &Repo{dir: d, id: id, path: filepath.Join(d.path, id)}, nil
}

// Repo is one bare repository.
type Repo struct {
	dir  *Dir
	id   string
	path string
}

// sweep removes what a killed process left: half-made and half-removed repositories and
// the quarantine of pushes that never finished.
func (d *Dir) sweep() error {
	entries, err := fs.ReadDir(d.root.FS(), ".")
	if err != nil {
		return fmt.Errorf("git: sweep: %w", err)
	}
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, "new_") || strings.HasPrefix(name, "old_") {
			if err := d.root.RemoveAll(name); err != nil {
				return fmt.Errorf("git: sweep: %w", err)
			}
			continue
		}
		if !e.IsDir() || !idForm().MatchString(name) {
			continue
		}
		objects, err := fs.ReadDir(d.root.FS(), name+"/objects")
		if err != nil {
			d.cfg.Log.Warn("git: a repository folder without objects", "id", name, "error", err)
			continue
		}
		for _, o := range objects {
			stale := strings.HasPrefix(o.Name(), "incoming-") || strings.HasPrefix(o.Name(), "tmp_objdir-")
			if !stale {
				continue
			}
			if err := d.root.RemoveAll(name + "/objects/" + o.Name()); err != nil {
				return fmt.Errorf("git: sweep: %w", err)
			}
		}
	}
	return nil
}

func (d *Dir) checkVersion(ctx context.Context) error {
	out, err := d.output(ctx, call{args: []string{"version"}}, 1<<10)
	if err != nil {
		return fmt.Errorf("git: version: %w", err)
	}
	fields := strings.Fields(string(out))
	if len(fields) < 3 {
		return fmt.Errorf("git: %s does not say its version", d.cfg.Binary)
	}
	parts := strings.SplitN(fields[2], ".", 3)
	major, err1 := strconv.Atoi(parts[0])
	minor := 0
	var err2 error
	if len(parts) > 1 {
		minor, err2 = strconv.Atoi(parts[1])
	}
	if err1 != nil || err2 != nil {
		return fmt.Errorf("git: %s has version %q, which cannot be read", d.cfg.Binary, fields[2])
	}
	if major < 2 || major == 2 && minor < 39 {
		return fmt.Errorf("git: %s has version %s; 2.39 or later is needed", d.cfg.Binary, fields[2])
	}
	return nil
}

func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
