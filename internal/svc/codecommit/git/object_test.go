package git

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func person() Person {
	return Person{Name: "Ann", Email: "ann@example.com", Unix: 1572524665, Zone: "+0000"}
}

func (b *bench) write(parent string, edits ...Edit) *Made {
	b.t.Helper()
	m, err := b.repo.Write(b.t.Context(), NewCommit{
		Branch: "refs/heads/main", Parent: parent, Message: "change\n\nbody\n", Author: person(), Edits: edits,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return m
}

func TestWriteAndRead(t *testing.T) {
	t.Parallel()
	b := newBench(t, Config{})
	ctx := t.Context()
	odd := "dir/with space\nand line"
	one := b.write("",
		Edit{Path: "a.txt", Content: []byte("one\n")}, Edit{Path: odd, Content: []byte{}},
		Edit{Path: "run.sh", Mode: "100755", Content: []byte("#!/bin/sh\n")})
	two := b.write(one.ID, Edit{Path: "a.txt", Content: []byte("two\n")}, Edit{Path: "run.sh", Delete: true},
		Edit{Path: odd, Mode: "100755"})

	c, err := b.repo.Commit(ctx, "refs/heads/main")
	if err != nil {
		t.Fatal(err)
	}
	if c.ID != two.ID || c.Tree != two.Tree || !slices.Equal(c.Parents, []string{one.ID}) ||
		c.Message != "change\n\nbody\n" || c.Author != person() || c.Committer != person() {
		t.Errorf("commit %+v", c)
	}
	o, err := b.repo.Object(ctx, two.ID+":a.txt", 100)
	if err != nil || string(o.Data) != "two\n" || o.Type != "blob" {
		t.Errorf("object %+v, %v", o, err)
	}
	if _, err := b.repo.Object(ctx, two.ID+":a.txt", -300); !errors.Is(err, ErrTooLarge) {
		t.Errorf("over the limit: %v", err)
	}
	e, err := b.repo.Lookup(ctx, two.ID, odd)
	if err != nil || e.Mode != "100755" {
		t.Errorf("entry %+v, %v", e, err)
	}
	_, entries, err := b.repo.Tree(ctx, two.ID, "/")
	if err != nil || len(entries) != 2 || entries[1].Mode != "40000" {
		t.Errorf("tree %+v, %v", entries, err)
	}
	diff, err := b.repo.Diff(ctx, one.ID, two.ID, "")
	if err != nil || len(diff) != 3 || diff[2].Path != "run.sh" || diff[2].NewID != "" || diff[2].OldMode != "100755" {
		t.Errorf("diff %+v, %v", diff, err)
	}
	if diff, err = b.repo.Diff(ctx, "", two.ID, "dir"); err != nil || len(diff) != 1 || diff[0].Path != odd {
		t.Errorf("diff below a path %+v, %v", diff, err)
	}
	for _, name := range []string{"refs/heads/none^{commit}", two.ID + ":none", two.ID + ":", "x y z"} {
		if _, _, _, err := b.repo.Stat(ctx, name); name != two.ID+":" && !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: %v", name, err)
		}
	}
	yes, err := b.repo.IsAncestor(ctx, one.ID, two.ID)
	no, err2 := b.repo.IsAncestor(ctx, two.ID, one.ID)
	if !yes || no || err != nil || err2 != nil {
		t.Errorf("ancestor %v %v %v %v", yes, no, err, err2)
	}
}

func TestWriteRefuses(t *testing.T) {
	t.Parallel()
	b := newBench(t, Config{})
	one := b.write("", Edit{Path: "a", Content: []byte("1")}, Edit{Path: "d/f", Content: []byte("1")})
	for name, c := range map[string]struct {
		parent string
		edit   Edit
		want   error
	}{
		"stale":          {"", Edit{Path: "b", Content: []byte("1")}, ErrStale},
		"same content":   {one.ID, Edit{Path: "a", Content: []byte("1")}, ErrNoChange},
		"absent file":    {one.ID, Edit{Path: "none", Delete: true}, ErrNotFound},
		"up the tree":    {one.ID, Edit{Path: "../x", Content: []byte("1")}, ErrNotFound},
		"git's folder":   {one.ID, Edit{Path: "x/.GIT/config", Content: []byte("1")}, ErrNotFound},
		"root":           {one.ID, Edit{Path: "/", Content: []byte("1")}, ErrNotFound},
		"file is folder": {one.ID, Edit{Path: "d", Content: []byte("1")}, ErrConflict},
		"folder is file": {one.ID, Edit{Path: "a/b", Content: []byte("1")}, ErrConflict},
	} {
		_, err := b.repo.Write(t.Context(), NewCommit{
			Branch: "refs/heads/main", Parent: c.parent, Message: "m", Author: person(), Edits: []Edit{c.edit},
		})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	for ref, want := range map[string]error{
		"refs/heads/main/sub": ErrConflict, "refs/heads/-x": ErrNotFound, "refs/heads/main": ErrStale, "HEAD": ErrNotFound,
	} {
		if err := b.repo.Move(t.Context(), ref, "", one.ID); !errors.Is(err, want) {
			t.Errorf("move %s: %v, want %v", ref, err, want)
		}
	}
}

// Writers of one branch: each commit lands on the one before or is refused.
func TestWriteConcurrent(t *testing.T) {
	t.Parallel()
	b := newBench(t, Config{})
	one := b.write("", Edit{Path: "a", Content: []byte("1")})
	var wg sync.WaitGroup
	errs := make(chan error, 4)
	for i := range 4 {
		wg.Go(func() {
			_, err := b.repo.Write(t.Context(), NewCommit{
				Branch: "refs/heads/main", Parent: one.ID, Message: "m", Author: person(),
				Edits: []Edit{{Path: fmt.Sprint("f", i), Content: []byte("1")}},
			})
			errs <- err
		})
	}
	wg.Wait()
	close(errs)
	won := 0
	for err := range errs {
		if err == nil {
			won++
		} else if !errors.Is(err, ErrStale) {
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d writers won", won)
	}
}

// S-235: the zip is the tree, whatever .gitattributes says.
func TestArchive(t *testing.T) {
	t.Parallel()
	b := newBench(t, Config{})
	one := b.write("",
		Edit{Path: ".gitattributes", Content: []byte("*.txt export-ignore\nid export-subst ident text eol=crlf\n")},
		Edit{Path: "a.txt", Content: []byte("kept")}, Edit{Path: "id", Content: []byte("$Format:%H$ $Id$\n")},
		Edit{Path: "bin/run", Mode: "100755", Content: []byte("x")})
	var buf bytes.Buffer
	if err := b.repo.Archive(t.Context(), &buf, one.ID, 1<<20); err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range z.File {
		if strings.HasSuffix(f.Name, "/") {
			continue
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		got[f.Name] = string(data)
		if f.Name == "bin/run" && f.Mode().Perm()&0o111 == 0 {
			t.Error("the executable bit is lost")
		}
	}
	if len(got) != 4 || got["a.txt"] != "kept" || got["id"] != "$Format:%H$ $Id$\n" {
		t.Errorf("archive has %q", got)
	}
	if err := b.repo.Archive(t.Context(), io.Discard, one.ID, 10); !errors.Is(err, ErrTooLarge) {
		t.Errorf("over the limit: %v", err)
	}
}

func random(n int) []byte {
	data := make([]byte, n)
	src := rand.NewChaCha8([32]byte{1})
	_, _ = src.Read(data)
	return data
}

// A client that leaves takes its git process along: with one process allowed, the next
// request would otherwise wait for ever.
func TestDisconnectEndsProcess(t *testing.T) {
	t.Parallel()
	b := newBench(t, Config{MaxProcesses: 1, MaxWait: 30 * time.Second})
	b.write("", Edit{Path: "big", Content: random(24 << 20)})
	u, err := url.Parse(b.url)
	if err != nil {
		t.Fatal(err)
	}
	refs, err := b.repo.Refs(t.Context(), "refs/heads/")
	if err != nil {
		t.Fatal(err)
	}
	want := string(appendPkt(nil, []byte("want "+refs["refs/heads/main"]+" side-band-64k\n"))) + "0000" + string(appendPkt(nil, []byte("done\n")))
	half := string(appendPkt(nil, []byte(zero+" "+refs["refs/heads/main"]+" refs/heads/x\x00report-status side-band-64k"))) + "0000PACK"
	for name, raw := range map[string]string{
		"clone": fmt.Sprintf("POST /r/git-upload-pack HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(want), want),
		"push":  fmt.Sprintf("POST /r/git-receive-pack HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n%s", half),
	} {
		conn, err := net.Dial("tcp", u.Host)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, raw); err != nil {
			t.Fatal(err)
		}
		if name == "clone" {
			if _, err := io.ReadFull(conn, make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		if out, err := b.try(t.TempDir(), "ls-remote", b.url); err != nil {
			t.Errorf("after a broken %s: %v\n%s", name, err, out)
		}
	}
	if len(b.changes()) != 0 {
		t.Errorf("moved %v", b.changes())
	}
}

func TestBusy(t *testing.T) {
	t.Parallel()
	b := newBench(t, Config{MaxProcesses: 1, MaxWait: time.Millisecond})
	b.dir.transfers <- struct{}{}
	out, err := b.try(t.TempDir(), "ls-remote", b.url)
	<-b.dir.transfers
	if err == nil || !strings.Contains(out, "503") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"main": true, "feature/x-1": true, "ünïcode": true, "a.b": true, "a@b": true,
		"": false, "-x": false, "a/-x": false, "a..b": false, "a.lock": false, "a.lock/b": false, ".a": false, "a/.b": false,
		"a.": false, "/a": false, "a/": false, "a//b": false, "a b": false, "a~1": false, "a^": false, "a:b": false,
		"a?": false, "a*": false, "a[": false, "a\\b": false, "a@{1}": false, "@": false, "a\nb": false, "a\x7f": false,
		"HEAD": false, "\xff": false, strings.Repeat("a", 257): false,
	} {
		if got := ValidBranch(name); got != want {
			t.Errorf("ValidBranch(%q) = %v", name, got)
		}
	}
	for _, ref := range []string{"main", "HEAD", "refs/main", "refs/", "refs/heads/../../x", "../refs/heads/x", "refs/heads/-x", "refs/heads/HEAD", "refs/heads/" + strings.Repeat("a", 257)} {
		if ValidRef(ref) {
			t.Errorf("ValidRef(%q)", ref)
		}
	}
	for _, id := range []string{"", "../x", "-x", "a/b", "A", "new_x", strings.Repeat("a", 65)} {
		if _, err := (&Dir{}).Repo(id); err == nil {
			t.Errorf("Repo(%q)", id)
		}
	}
}

func TestTidyKeepsEverything(t *testing.T) {
	t.Parallel()
	b := newBench(t, Config{})
	dir := b.work(map[string]string{"a": "1"})
	for i := range 4 {
		b.commit(dir, "next", map[string]string{"a": strings.Repeat("y", i+2)})
		b.git(dir, "push", "-q", "origin", "main")
	}
	if err := b.dir.repack(b.repo); err != nil {
		t.Fatal(err)
	}
	b.git(t.TempDir(), "clone", "-q", b.url, "c")
	head := b.git(dir, "rev-parse", "HEAD")
	if c, err := b.repo.Commit(t.Context(), "refs/heads/main"); err != nil || c.ID != head {
		t.Errorf("%+v %v", c, err)
	}
}
