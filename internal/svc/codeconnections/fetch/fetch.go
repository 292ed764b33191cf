// Package fetch gets commits from Git servers elsewhere with the git binary.
//
// It knows nothing of connections or the API. Where it may connect to is decided here:
// addresses that are private to the machine or its network only if the operator has named
// them, so that whoever may make a connection cannot look around in that network. Every
// process has a clean environment, a deadline and a size, and dies with its group;
// credentials are in no command line.
package fetch

import (
	"archive/zip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"penstock/internal/turn"
)

// Config says where to work and what is allowed. Zero values mean the defaults.
type Config struct {
	// Dir is the folder of repositories under way; it is made, and emptied by New.
	Dir string
	// Binary is the git program, "git" on the search path by default. 2.39 or later.
	Binary string
	// Hosts are host names, addresses and CIDR blocks that may be reached although they are
	// private, and over http. Public hosts are reached over https.
	Hosts []string
	// Files is the folder under which file:// URLs may be; none are allowed by default.
	Files string
	// MaxBytes bounds what one fetch may take on disk, and an archive; 1 GiB by default.
	MaxBytes int64
	// Limit bounds one fetch, 15 minutes by default.
	Limit time.Duration
	// MaxFetches is how many may run at one time, 4 by default, and three quarters of them of one
	// account. More wait.
	MaxFetches int
}

// Errors that callers tell apart; every other is the failure of a process or of the disk.
var (
	// ErrRefused says that the URL, or where it leads to, is not allowed.
	ErrRefused = errors.New("not allowed")
	// ErrNoBranch says that the repository does not have the branch.
	ErrNoBranch = errors.New("there is no such branch")
	// ErrNoCommit says that the repository does not have the commit.
	ErrNoCommit = errors.New("there is no such commit")
	// ErrTooLarge says that a fetch or an archive passes the limit.
	ErrTooLarge = errors.New("too large")
)

// Remote is where to fetch from.
type Remote struct {
	// URL has no user and no password in it.
	URL string
	// Username and Token log in, if Token is not empty.
	Username, Token string
	// Account is whose connection it is.
	Account string
}

// Fetcher fetches. It is safe for concurrent use.
type Fetcher struct {
	cfg   Config
	turns *turn.Turns
	guard guard
}

// New makes a Fetcher.
func New(cfg Config) (*Fetcher, error) {
	if cfg.Binary == "" {
		cfg.Binary = "git"
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 1 << 30
	}
	if cfg.Limit == 0 {
		cfg.Limit = 15 * time.Minute
	}
	if cfg.MaxFetches == 0 {
		cfg.MaxFetches = 4
	}
	var err error
	if cfg.Binary, err = exec.LookPath(cfg.Binary); err != nil {
		return nil, fmt.Errorf("fetch: the git program (2.39 or later) is needed for connections: %w", err)
	}
	if cfg.Dir, err = filepath.Abs(cfg.Dir); err != nil {
		return nil, err
	}
	// What a crash has left is of no use.
	if err := errors.Join(os.RemoveAll(cfg.Dir), os.MkdirAll(cfg.Dir, 0o700)); err != nil {
		return nil, err
	}
	g, err := newGuard(cfg.Hosts, cfg.Files)
	return &Fetcher{cfg: cfg, turns: turn.New(cfg.MaxFetches), guard: g}, err
}

// Close waits until nothing is being fetched and every Checkout is closed; there can be no Fetch
// afterwards. It fails with the error of ctx when that ends first.
func (f *Fetcher) Close(ctx context.Context) error {
	if err := f.turns.Close(ctx); err != nil {
		return fmt.Errorf("fetch: repositories are still being fetched: %w", err)
	}
	return nil
}

// Checkout is a commit that was fetched. Close removes it.
type Checkout struct {
	// ID is the commit.
	ID string
	// Message, AuthorName and AuthorEmail are valid UTF-8; the dates are in UTC.
	Message, AuthorName, AuthorEmail string
	AuthorDate, CommitterDate        time.Time

	run *run
}

// Close removes what was fetched.
func (c *Checkout) Close() error { return c.run.close() }

var (
	commitForm = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)
	branchForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[^\x00-\x20\x7f~^:?*\[\\]{1,255}$`) })
)

func validBranch(name string) bool {
	if !branchForm().MatchString(name) || !utf8.ValidString(name) || strings.Contains(name, "..") || strings.Contains(name, "@{") || strings.HasSuffix(name, ".") {
		return false
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part[0] == '.' || part[0] == '-' || strings.HasSuffix(part, ".lock") {
			return false
		}
	}
	return true
}

const local = "refs/heads/fetched"

// Fetch gets one commit with its tree: the one named, or if that is empty the one the branch
// is at. The caller closes the Checkout.
func (f *Fetcher) Fetch(ctx context.Context, from Remote, branch, commit string) (_ *Checkout, err error) {
	if !validBranch(branch) {
		return nil, fmt.Errorf("%w: %.300q", ErrNoBranch, branch)
	}
	if commit != "" && !commitForm.MatchString(commit) {
		return nil, fmt.Errorf("%w: %.300q", ErrNoCommit, commit)
	}
	r, err := f.begin(ctx, from)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	if commit == "" {
		err = r.fetch(ctx, "--depth=1", "+refs/heads/"+branch+":"+local)
		if said(err, "couldn't find remote ref") {
			err = fmt.Errorf("%w: '%s'", ErrNoBranch, branch)
		}
	} else if err = r.fetch(ctx, "--depth=1", "+"+commit+":"+local); said(err, "not our ref", "unadvertised object", "did not receive", "couldn't find remote ref", "no such ref", "bad object") {
		// Some servers only give what a branch leads to.
		if err = r.fetch(ctx, "+refs/heads/"+branch+":"+local); err == nil {
			_, err = r.output(ctx, maxText, "update-ref", local, commit)
		}
		if err != nil {
			err = fmt.Errorf("%w: '%s'", ErrNoCommit, commit)
		}
	}
	if err != nil {
		return nil, err
	}
	return r.commit(ctx)
}

// commit reads what was fetched.
func (r *run) commit(ctx context.Context) (*Checkout, error) {
	text, err := r.output(ctx, maxText, "show", "--no-patch", "--no-show-signature", "--format=%H%x00%an%x00%ae%x00%aI%x00%cI%x00%B", local+"^{commit}", "--")
	if err != nil {
		return nil, err
	}
	parts := strings.SplitN(strings.ToValidUTF8(text, "\uFFFD"), "\x00", 6)
	if len(parts) != 6 || !commitForm.MatchString(parts[0]) {
		return nil, errors.New("fetch: git shows the commit in a form that is not known")
	}
	c := &Checkout{ID: parts[0], AuthorName: parts[1], AuthorEmail: parts[2], Message: strings.ReplaceAll(strings.TrimSuffix(parts[5], "\n"), "\x00", ""), run: r}
	for i, at := range []*time.Time{&c.AuthorDate, &c.CommitterDate} {
		if *at, err = time.Parse(time.RFC3339, parts[3+i]); err == nil {
			*at = at.UTC()
		}
	}
	return c, nil // a date that is none stays zero
}

// Archive writes the files of the commit as a zip, byte for byte and without Git's own data
// (S-235).
func (c *Checkout) Archive(ctx context.Context, w io.Writer) error {
	limited := &limited{w: w, left: c.run.f.cfg.MaxBytes}
	err := c.run.git(ctx, nil, limited, "archive", "--format=zip", "-6", c.ID)
	switch {
	case limited.over:
		return ErrTooLarge
	case err == nil && limited.left == c.run.f.cfg.MaxBytes: // git writes nothing for a tree without files
		return zip.NewWriter(limited).Close()
	}
	return err
}

// Changed gives the files that differ between two commits, or, if sinceFork, between a
// commit and where it left the other's history; at most limit of them.
func (f *Fetcher) Changed(ctx context.Context, from Remote, before, after string, sinceFork bool, limit int) ([]string, error) {
	if !commitForm.MatchString(before) || !commitForm.MatchString(after) {
		return nil, ErrNoCommit
	}
	r, err := f.begin(ctx, from)
	if err != nil {
		return nil, err
	}
	defer r.close()
	args := []string{"--filter=blob:none"}
	if !sinceFork {
		args = append(args, "--depth=1")
	}
	if err := r.fetch(ctx, append(args, "+"+before+":refs/heads/before", "+"+after+":refs/heads/after")...); err != nil {
		return nil, err
	}
	between := "refs/heads/before..refs/heads/after"
	if sinceFork {
		between = "refs/heads/before...refs/heads/after"
	}
	text, err := r.output(ctx, 16<<20, "diff", "--no-renames", "--no-ext-diff", "--no-textconv", "--name-only", "-z", between, "--")
	if err != nil {
		return nil, err
	}
	var files []string
	for name := range strings.SplitSeq(text, "\x00") {
		if name != "" && len(files) < limit {
			files = append(files, strings.ToValidUTF8(name, "\uFFFD"))
		}
	}
	return files, nil
}

// Head gives the commit a branch is at.
func (f *Fetcher) Head(ctx context.Context, from Remote, branch string) (string, error) {
	if !validBranch(branch) {
		return "", fmt.Errorf("%w: %.300q", ErrNoBranch, branch)
	}
	r, err := f.begin(ctx, from)
	if err != nil {
		return "", err
	}
	defer r.close()
	text, err := r.output(ctx, maxText, "ls-remote", "--quiet", "--", r.url, "refs/heads/"+branch)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(text) {
		if id, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t"); name == "refs/heads/"+branch && commitForm.MatchString(id) {
			return id, nil
		}
	}
	return "", fmt.Errorf("%w: '%s'", ErrNoBranch, branch)
}

// maxRefs bounds the names of branches and tags that are read: some twelve thousand.
const maxRefs = 1 << 20

// Refs gives the commits that the branches and tags are at, by names such as refs/heads/main.
func (f *Fetcher) Refs(ctx context.Context, from Remote) (map[string]string, error) {
	r, err := f.begin(ctx, from)
	if err != nil {
		return nil, err
	}
	defer r.close()
	text, err := r.output(ctx, maxRefs, "ls-remote", "--quiet", "--heads", "--tags", "--", r.url)
	if errors.Is(err, ErrTooLarge) {
		return nil, fmt.Errorf("the list of branches and tags is %w: it may have %d bytes; webhooks need no list", err, maxRefs)
	}
	if err != nil {
		return nil, err
	}
	refs := map[string]string{}
	for line := range strings.Lines(text) {
		// A name may end with a space that git knows as none.
		id, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		// A tag with a text of its own is told twice: as it is, then with the commit it names.
		if name = strings.TrimSuffix(name, "^{}"); commitForm.MatchString(id) && utf8.ValidString(name) {
			refs[name] = id
		}
	}
	return refs, nil
}

// login is the header that logs in.
func (r Remote) login() string {
	user := r.Username
	if user == "" {
		user = "x-access-token"
	}
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+r.Token))
}
