package git

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Edit is one change of a new commit.
type Edit struct {
	Path string
	// Delete removes the file; every other field is then ignored.
	Delete bool
	// Mode is the new mode; "" keeps that of the file there is, or makes a normal file.
	Mode string
	// Content is the new content; nil keeps the content that the file has.
	Content []byte
	// From takes content and mode from another file of the parent instead.
	From string
}

// NewCommit is a commit to be made on a branch.
type NewCommit struct {
	// Branch is the full ref; Parent is its present commit, or "" to make it.
	Branch, Parent string
	Message        string
	// Author is committer too.
	Author Person
	Edits  []Edit
}

// Made is a commit that was made.
type Made struct {
	ID, Tree string
	Deltas   []Delta
}

// Reasons for which a commit is not made.
var (
	// ErrConflict says that a file and a folder would have one name.
	ErrConflict = errors.New("git: a file and a folder would have the same name")
	// ErrNoChange says that the new tree is the parent's.
	ErrNoChange = errors.New("git: the commit would change nothing")
)

// Write makes a commit of edits to the parent's tree and moves the branch to it, if the
// branch is still at the parent (ErrStale). An edit that keeps or deletes a file which is
// not there is ErrNotFound with its path.
func (r *Repo) Write(ctx context.Context, n NewCommit) (*Made, error) {
	if !ValidRef(n.Branch) || n.Parent != "" && !ValidID(n.Parent) {
		return nil, ErrNotFound
	}
	if err := unequal(n.Edits); err != nil {
		return nil, err
	}
	var index strings.Builder
	for i := range n.Edits {
		if err := r.stage(ctx, n.Parent, &n.Edits[i], &index); err != nil {
			return nil, err
		}
	}
	tree, err := r.writeTree(ctx, n.Parent, index.String())
	if err != nil {
		return nil, err
	}
	made := &Made{Tree: tree}
	if made.Deltas, err = r.Diff(ctx, n.Parent, tree, ""); err != nil {
		return nil, err
	}
	if len(made.Deltas) == 0 && n.Parent != "" {
		return nil, ErrNoChange
	}
	for _, delta := range made.Deltas {
		// The index lets a new folder replace a file of its name; nobody asked for that.
		asked := func(e Edit) bool { path, _ := CleanPath(e.Path); return e.Delete && path == delta.Path }
		if delta.NewID == "" && !slices.ContainsFunc(n.Edits, asked) {
			return nil, fmt.Errorf("%w: %s", ErrConflict, delta.Path)
		}
	}
	if made.ID, err = r.commitTree(ctx, n, tree); err != nil {
		return nil, err
	}
	return made, r.Move(ctx, n.Branch, n.Parent, made.ID)
}

// unequal refuses edits of which one would be a folder to another, or that name one file twice.
func unequal(edits []Edit) error {
	seen := map[string]bool{}
	for _, e := range edits {
		path, _ := CleanPath(e.Path)
		if seen[path] {
			return fmt.Errorf("%w: %s", ErrConflict, path)
		}
		seen[path] = true
	}
	for _, e := range edits {
		path, _ := CleanPath(e.Path)
		for i := strings.LastIndexByte(path, '/'); i > 0 && !e.Delete; i = strings.LastIndexByte(path[:i], '/') {
			if seen[path[:i]] {
				return fmt.Errorf("%w: %s", ErrConflict, path[:i])
			}
		}
	}
	return nil
}

// stage writes the content of an edit and its line of the index.
func (r *Repo) stage(ctx context.Context, parent string, e *Edit, index *strings.Builder) error {
	path, ok := CleanPath(e.Path)
	if !ok || path == "" {
		return fmt.Errorf("%w: %s", ErrNotFound, e.Path)
	}
	var now Entry
	err := ErrNotFound
	if parent != "" {
		now, err = r.Lookup(ctx, parent, path)
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	there := err == nil && now.Mode != "40000"
	if e.From != "" && !e.Delete {
		if now, err = r.source(ctx, parent, e.From); err != nil {
			return err
		}
		there = true
	}
	if !there && (e.Delete || e.Content == nil) {
		return fmt.Errorf("%w: %s", ErrNotFound, path)
	}
	if err == nil && !there {
		return fmt.Errorf("%w: %s", ErrConflict, path)
	}
	if e.Delete {
		fmt.Fprintf(index, "0 %s\t%s\x00", zero, path)
		return nil
	}
	mode, id := e.Mode, now.ID
	if mode == "" {
		mode = "100644"
		if there {
			mode = now.Mode
		}
	}
	if e.Content != nil {
		out, err := r.dir.output(ctx, call{
			repo: r, args: []string{"hash-object", "-w", "--no-filters", "--stdin"},
			stdin: strings.NewReader(string(e.Content)),
		}, 64)
		if err != nil {
			return err
		}
		id = strings.TrimSpace(string(out))
	}
	fmt.Fprintf(index, "%s %s\t%s\x00", mode, id, path)
	return nil
}

// writeTree applies index lines to the parent's tree in an index file of its own.
func (r *Repo) writeTree(ctx context.Context, parent, lines string) (string, error) {
	name := "index_" + rand.Text()
	env := []string{"GIT_INDEX_FILE=" + filepath.Join(r.path, name)}
	defer func() {
		for _, n := range []string{name, name + ".lock"} {
			if err := r.dir.root.Remove(r.id + "/" + n); err != nil && !errors.Is(err, fs.ErrNotExist) {
				r.dir.cfg.Log.Warn("git: remove an index file", "repository", r.id, "error", err)
			}
		}
	}()
	if parent != "" {
		if err := r.dir.quick(ctx, call{repo: r, env: env, args: []string{"read-tree", parent}}); err != nil {
			return "", err
		}
	}
	err := r.dir.quick(ctx, call{
		repo: r, env: env, args: []string{"update-index", "-z", "--index-info"}, stdin: strings.NewReader(lines),
	})
	var exit *ExitError
	if errors.As(err, &exit) && exit.code() > 0 {
		// Everything else that update-index refuses was refused before it.
		return "", ErrConflict
	}
	if err != nil {
		return "", err
	}
	out, err := r.dir.output(ctx, call{repo: r, env: env, args: []string{"write-tree"}}, 64)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(out)), nil
}

// source gives the file that an edit takes its content from.
func (r *Repo) source(ctx context.Context, parent, path string) (Entry, error) {
	if parent == "" {
		return Entry{}, fmt.Errorf("%w: %s", ErrNotFound, path)
	}
	e, err := r.Lookup(ctx, parent, path)
	if err == nil && e.Mode == "40000" {
		err = ErrNotFound
	}
	if errors.Is(err, ErrNotFound) {
		return Entry{}, fmt.Errorf("%w: %s", ErrNotFound, path)
	}
	return e, err
}

func (r *Repo) commitTree(ctx context.Context, n NewCommit, tree string) (string, error) {
	args := []string{"commit-tree", tree}
	if n.Parent != "" {
		args = append(args, "-p", n.Parent)
	}
	args = append(args, "-F", "-")
	date := fmt.Sprintf("@%d %s", n.Author.Unix, n.Author.Zone)
	out, err := r.dir.output(ctx, call{repo: r, args: args, stdin: strings.NewReader(n.Message), env: []string{
		"GIT_AUTHOR_NAME=" + n.Author.Name, "GIT_AUTHOR_EMAIL=" + n.Author.Email, "GIT_AUTHOR_DATE=" + date,
		"GIT_COMMITTER_NAME=" + n.Author.Name, "GIT_COMMITTER_EMAIL=" + n.Author.Email, "GIT_COMMITTER_DATE=" + date,
	}}, 64)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(out)), nil
}

// Move moves a ref from old to new, where "" is its absence on either side. A ref that is
// not at old is ErrStale.
func (r *Repo) Move(ctx context.Context, ref, old, new string) error {
	if !ValidRef(ref) || old != "" && !ValidID(old) || new != "" && !ValidID(new) {
		return ErrNotFound
	}
	line := "update " + ref + "\x00" + present(new) + "\x00" + present(old) + "\x00"
	if new == "" {
		line = "delete " + ref + "\x00" + present(old) + "\x00"
	}
	err := r.dir.quick(ctx, call{repo: r, args: []string{"update-ref", "-z", "--stdin"}, stdin: strings.NewReader(line)})
	var exit *ExitError
	if !errors.As(err, &exit) || exit.code() <= 0 {
		return err
	}
	refs, err2 := r.Refs(ctx, ref)
	if err2 != nil {
		return errors.Join(err, err2)
	}
	if refs[ref] != old {
		return ErrStale
	}
	if strings.Contains(exit.Stderr, "cannot create") || strings.Contains(exit.Stderr, "exists") {
		return fmt.Errorf("%w: %s", ErrConflict, ref)
	}
	return err
}

// SetHead makes a branch the default one, which a clone checks out.
func (r *Repo) SetHead(ctx context.Context, branch string) error {
	if !ValidBranch(branch) {
		return ErrNotFound
	}
	return r.dir.quick(ctx, call{repo: r, args: []string{"symbolic-ref", "HEAD", "refs/heads/" + branch}})
}

// Head gives the default branch: "main" in a repository for which none was set.
func (r *Repo) Head() (string, error) {
	data, err := r.dir.root.ReadFile(r.id + "/HEAD")
	if err != nil {
		return "", r.gone(fmt.Errorf("git: %w", err))
	}
	branch, ok := strings.CutPrefix(strings.TrimSpace(string(data)), "ref: refs/heads/")
	if !ok {
		return "", fmt.Errorf("git: HEAD of %s is no branch", r.id)
	}
	return branch, nil
}

// code is the exit code of the process, or -1 when it was killed or never ran.
func (e *ExitError) code() int {
	var x *exec.ExitError
	if errors.As(e.err, &x) {
		return x.ExitCode()
	}
	return -1
}
