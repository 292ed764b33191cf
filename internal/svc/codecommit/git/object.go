package git

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Bounds of what is held in memory for one answer.
const (
	maxRefList = 64 << 20
	maxCommit  = 4 << 20
	maxTree    = 32 << 20
	maxDiff    = 64 << 20
)

// Object is one object with its content.
type Object struct {
	ID, Type string
	Data     []byte
}

// Person is the author or committer of a commit.
type Person struct {
	Name, Email string
	// Unix and Zone are the moment in seconds and the offset as git writes it, "-0800".
	Unix int64
	Zone string
}

// Commit is a commit as the repository has it.
type Commit struct {
	ID, Tree          string
	Parents           []string
	Author, Committer Person
	Message           string
	// Extra is the text of the headers beyond the known ones, such as a signature.
	Extra string
}

// Entry is one name in a tree. Mode is "100644", "100755", "120000" (symbolic link),
// "160000" (submodule) or "40000" (folder).
type Entry struct{ Mode, Name, ID string }

// Delta is one path that differs between two trees. A side that does not exist is empty.
type Delta struct {
	Path             string
	OldMode, NewMode string
	OldID, NewID     string
}

// Refs gives the refs below a prefix such as "refs/heads/", with their object ids.
func (r *Repo) Refs(ctx context.Context, prefix string) (map[string]string, error) {
	out, err := r.dir.output(ctx, call{repo: r, args: []string{
		"for-each-ref", "--format=%(objectname) %(refname)", "--", prefix,
	}}, maxRefList)
	if err != nil {
		return nil, err
	}
	refs := map[string]string{}
	for line := range strings.Lines(string(out)) {
		id, ref, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if ok {
			refs[ref] = id
		}
	}
	return refs, nil
}

// Object reads what name stands for, at most limit bytes of it (ErrTooLarge). The name is
// one of git's revisions made of checked parts: an id or full ref, with "^{type}" or
// ":path" behind it.
func (r *Repo) Object(ctx context.Context, name string, limit int) (*Object, error) {
	head, data, err := r.catFile(ctx, "--batch", name, limit)
	if err != nil {
		return nil, err
	}
	if len(data) > 0 {
		data = data[:len(data)-1] // the line end behind the content
	}
	return &Object{ID: head[0], Type: head[1], Data: data}, nil
}

// Stat gives id, type and size of what name stands for, without its content.
func (r *Repo) Stat(ctx context.Context, name string) (id, kind string, size int64, err error) {
	head, _, err := r.catFile(ctx, "--batch-check", name, 0)
	if err != nil {
		return "", "", 0, err
	}
	size, err = strconv.ParseInt(head[2], 10, 64)
	return head[0], head[1], size, err
}

func (r *Repo) catFile(ctx context.Context, mode, name string, limit int) (head []string, data []byte, err error) {
	if strings.ContainsRune(name, 0) {
		return nil, nil, ErrNotFound
	}
	// The name goes in by the standard input and ends with a NUL: it can be no option, and
	// a path in it may hold any other byte.
	out, err := r.dir.output(ctx, call{
		repo: r, args: []string{"cat-file", mode, "-z"}, stdin: strings.NewReader(name + "\x00"),
	}, limit+len(name)+256)
	if err != nil {
		return nil, nil, err
	}
	line, data, _ := bytes.Cut(out, []byte("\n"))
	head = strings.Fields(string(line))
	if len(head) != 3 || !ValidID(head[0]) {
		return nil, nil, ErrNotFound
	}
	return head, data, nil
}

// Commit reads the commit that an id or a full ref name stands for; tags are followed.
func (r *Repo) Commit(ctx context.Context, rev string) (*Commit, error) {
	if !ValidID(rev) && !ValidRef(rev) {
		return nil, ErrNotFound
	}
	o, err := r.Object(ctx, rev+"^{commit}", maxCommit)
	if err != nil {
		return nil, err
	}
	return parseCommit(o)
}

func parseCommit(o *Object) (*Commit, error) {
	c := &Commit{ID: o.ID}
	head, message, _ := strings.Cut(string(o.Data), "\n\n")
	c.Message = message
	var extra []string
	for line := range strings.SplitSeq(head, "\n") {
		key, value, _ := strings.Cut(line, " ")
		switch {
		case key == "tree":
			c.Tree = value
		case key == "parent":
			c.Parents = append(c.Parents, value)
		case key == "author":
			c.Author = parsePerson(value)
		case key == "committer":
			c.Committer = parsePerson(value)
		default:
			extra = append(extra, line)
		}
	}
	c.Extra = strings.Join(extra, "\n")
	if !ValidID(c.Tree) {
		return nil, fmt.Errorf("git: commit %s has no tree", o.ID)
	}
	return c, nil
}

func parsePerson(s string) Person {
	var p Person
	name, rest, _ := strings.Cut(s, "<")
	email, when, _ := strings.Cut(rest, ">")
	p.Name, p.Email = strings.TrimSpace(name), email
	if f := strings.Fields(when); len(f) == 2 {
		p.Unix, _ = strconv.ParseInt(f[0], 10, 64)
		p.Zone = f[1]
	}
	return p
}

// Tree lists the folder at a path of a commit, one level deep, and gives its id.
func (r *Repo) Tree(ctx context.Context, commit, path string) (id string, entries []Entry, err error) {
	path, ok := CleanPath(path)
	if !ok || !ValidID(commit) {
		return "", nil, ErrNotFound
	}
	o, err := r.Object(ctx, commit+":"+path, maxTree)
	if err != nil {
		return "", nil, err
	}
	if o.Type != "tree" {
		return "", nil, ErrNotFound
	}
	for data := o.Data; len(data) > 0; {
		head, rest, ok := bytes.Cut(data, []byte{0})
		mode, name, ok2 := strings.Cut(string(head), " ")
		if !ok || !ok2 || len(rest) < 20 {
			return "", nil, fmt.Errorf("git: tree %s is malformed", o.ID)
		}
		entries = append(entries, Entry{Mode: mode, Name: name, ID: hex.EncodeToString(rest[:20])})
		data = rest[20:]
	}
	return o.ID, entries, nil
}

// Lookup gives the entry at a path of a commit: the mode needs the folder it is in.
func (r *Repo) Lookup(ctx context.Context, commit, path string) (Entry, error) {
	path, ok := CleanPath(path)
	if !ok || path == "" {
		return Entry{}, ErrNotFound
	}
	folder, name := "", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		folder, name = path[:i], path[i+1:]
	}
	_, entries, err := r.Tree(ctx, commit, folder)
	if err != nil {
		return Entry{}, err
	}
	for _, e := range entries {
		if e.Name == name {
			return e, nil
		}
	}
	return Entry{}, ErrNotFound
}

// emptyTree is the id of the tree without entries, which git knows without having it.
const emptyTree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

// Diff gives the paths that differ between two commits or trees, in the order of their
// names. Before may be "": then everything in after is new. Only paths at or below path
// are given when it is not empty.
func (r *Repo) Diff(ctx context.Context, before, after, path string) ([]Delta, error) {
	if before == "" {
		before = emptyTree
	}
	path, ok := CleanPath(path)
	if !ok || !ValidID(before) || !ValidID(after) {
		return nil, ErrNotFound
	}
	args := []string{"diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", "--end-of-options", before, after}
	if path != "" {
		args = append(args, "--", path)
	}
	out, err := r.dir.output(ctx, call{repo: r, args: args}, maxDiff)
	if err != nil {
		return nil, err
	}
	var deltas []Delta
	parts := strings.Split(string(out), "\x00")
	for i := 0; i+1 < len(parts); i += 2 {
		f := strings.Fields(strings.TrimPrefix(parts[i], ":"))
		if len(f) != 5 {
			return nil, errors.New("git: diff-tree gave a line that cannot be read")
		}
		d := Delta{Path: parts[i+1], OldID: absent(f[2]), NewID: absent(f[3])}
		if d.OldID != "" {
			d.OldMode = f[0]
		}
		if d.NewID != "" {
			d.NewMode = f[1]
		}
		deltas = append(deltas, d)
	}
	return deltas, nil
}

// IsAncestor says whether old is reachable from new.
func (r *Repo) IsAncestor(ctx context.Context, old, new string) (bool, error) {
	if !ValidID(old) || !ValidID(new) {
		return false, ErrNotFound
	}
	err := r.dir.quick(ctx, call{repo: r, args: []string{"merge-base", "--is-ancestor", "--end-of-options", old, new}})
	var exit *ExitError
	if errors.As(err, &exit) && exit.code() == 1 {
		return false, nil
	}
	return err == nil, err
}

// Archive writes the tree of a commit as a zip without a leading folder, S-235. More than
// limit bytes are ErrTooLarge.
func (r *Repo) Archive(ctx context.Context, w io.Writer, commit string, limit int64) error {
	if !ValidID(commit) {
		return ErrNotFound
	}
	l := &limited{w: w, left: limit}
	err := r.dir.background(ctx, call{
		repo: r, stdout: l, args: []string{"archive", "--format=zip", "-6", commit},
	})
	if l.over {
		return ErrTooLarge
	}
	return err
}
