package git

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// bench is a repository served over HTTP, and a record of what its pushes moved.
type bench struct {
	t    *testing.T
	dir  *Dir
	repo *Repo
	url  string

	mu    sync.Mutex
	moved []Change
}

func newBench(t *testing.T, cfg Config) *bench {
	t.Helper()
	cfg.Dir = filepath.Join(t.TempDir(), "repos")
	dir, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dir.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := dir.Create(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	repo, err := dir.Repo("one")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, dir: dir, repo: repo}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /r/info/refs", func(w http.ResponseWriter, r *http.Request) {
		repo.ServeRefs(w, r, r.URL.Query().Get("service"))
	})
	mux.HandleFunc("POST /r/git-upload-pack", repo.ServeUploadPack)
	mux.HandleFunc("POST /r/git-receive-pack", func(w http.ResponseWriter, r *http.Request) {
		repo.ServeReceivePack(w, r, func(_ context.Context, c []Change) error {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.moved = append(b.moved, c...)
			return nil
		})
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	b.url = srv.URL + "/r"
	return b
}

func (b *bench) changes() []Change {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.moved
}

// git runs the client of a user in a folder.
func (b *bench) try(dir string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(b.t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + b.t.TempDir(), "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.com",
		"LC_ALL=C",
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (b *bench) git(dir string, args ...string) string {
	b.t.Helper()
	out, err := b.try(dir, args...)
	if err != nil {
		b.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(out)
}

// work is a fresh clone with one more commit on main.
func (b *bench) work(files map[string]string) string {
	b.t.Helper()
	dir := b.t.TempDir()
	b.git(dir, "init", "-q", "-b", "main")
	b.git(dir, "remote", "add", "origin", b.url)
	b.commit(dir, "first", files)
	return dir
}

func (b *bench) commit(dir, message string, files map[string]string) string {
	b.t.Helper()
	for name, content := range files {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o700); err != nil {
			b.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			b.t.Fatal(err)
		}
	}
	b.git(dir, "add", "-A")
	b.git(dir, "commit", "-q", "--allow-empty", "-m", message)
	return b.git(dir, "rev-parse", "HEAD")
}

// N-9: protocol versions 0 to 2, whole and shallow clones.
func TestPushAndClone(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"0", "1", "2"} {
		t.Run("v"+version, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, Config{})
			dir := b.work(map[string]string{"a.txt": "one\n", "dir/b.txt": "two\n"})
			first := b.git(dir, "rev-parse", "HEAD")
			proto := "protocol.version=" + version
			b.git(dir, "-c", proto, "push", "origin", "main")
			second := b.commit(dir, "second", map[string]string{"a.txt": strings.Repeat("x\n", 5000)})
			// A chunked body: the client cannot say its length beforehand.
			b.git(dir, "-c", proto, "-c", "http.postBuffer=1000", "push", "origin", "main")
			want := []Change{{"refs/heads/main", "", first}, {"refs/heads/main", first, second}}
			if got := b.changes(); len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
				t.Errorf("moved %v, want %v", got, want)
			}
			out := t.TempDir()
			b.git(out, "-c", proto, "clone", "-q", b.url, "whole")
			if got := b.git(filepath.Join(out, "whole"), "rev-parse", "HEAD"); got != second {
				t.Errorf("clone is at %s, want %s", got, second)
			}
			b.git(out, "-c", proto, "clone", "-q", "--depth", "1", b.url, "shallow")
			if got := b.git(filepath.Join(out, "shallow"), "rev-list", "--count", "HEAD"); got != "1" {
				t.Errorf("shallow clone has %s commits", got)
			}
			b.git(filepath.Join(out, "shallow"), "-c", proto, "fetch", "-q", "--unshallow")
			// A build fetches one commit by its id.
			b.git(filepath.Join(out, "whole"), "init", "-q", "--bare", "../byid")
			b.git(filepath.Join(out, "byid"), "-c", proto, "fetch", "-q", "--depth", "1", b.url, first)
		})
	}
}

func TestPushDeleteAndForce(t *testing.T) {
	t.Parallel()
	b := newBench(t, Config{})
	dir := b.work(map[string]string{"a": "1"})
	first := b.git(dir, "rev-parse", "HEAD")
	b.git(dir, "push", "-q", "origin", "main", "main:refs/heads/other", "main:refs/tags/v1")
	b.git(dir, "commit", "-q", "--amend", "-m", "again")
	forced := b.git(dir, "rev-parse", "HEAD")
	if out, err := b.try(dir, "push", "origin", "main"); err == nil {
		t.Errorf("a push that is no fast-forward went through: %s", out)
	}
	b.git(dir, "push", "-q", "--force", "origin", "main")
	b.git(dir, "push", "-q", "origin", ":other")
	if out, err := b.try(dir, "push", "origin", ":main"); err == nil {
		t.Errorf("the default branch was deleted: %s", out)
	}
	got := b.changes()
	if len(got) != 5 || got[3] != (Change{"refs/heads/main", first, forced}) || got[4] != (Change{"refs/heads/other", first, ""}) {
		t.Errorf("moved %v", got)
	}
}

// N-9: a name must not read as an option.
func TestPushRefusesHostileRefs(t *testing.T) {
	t.Parallel()
	b := newBench(t, Config{})
	dir := b.work(map[string]string{"a": "1"})
	for _, ref := range []string{"refs/heads/--upload-pack=x", "refs/heads/-x", "refs/heads/a/-b"} {
		out, err := b.try(dir, "push", "origin", "HEAD:"+ref, "main")
		if err == nil || !strings.Contains(out, "the name is not allowed") {
			t.Errorf("%s: %v\n%s", ref, err, out)
		}
	}
	if len(b.changes()) != 0 {
		t.Errorf("moved %v", b.changes())
	}
}

func TestPushTooLarge(t *testing.T) {
	t.Parallel()
	b := newBench(t, Config{MaxPack: 100_000})
	big := make([]byte, 400_000)
	for i, x := 0, uint32(1); i < len(big); i++ {
		x = x*1664525 + 1013904223
		big[i] = byte(x >> 24)
	}
	dir := b.work(map[string]string{"big": string(big)})
	if out, err := b.try(dir, "push", "origin", "main"); err == nil || !strings.Contains(out, "413") {
		t.Errorf("a declared length over the limit: %v\n%s", err, out)
	}
	out, err := b.try(dir, "-c", "http.postBuffer=1000", "push", "origin", "main")
	if err == nil || !strings.Contains(out, "maximum allowed size") {
		t.Errorf("a pack over the limit: %v\n%s", err, out)
	}
	if len(b.changes()) != 0 {
		t.Errorf("moved %v", b.changes())
	}
}

// The environment must not run what a repository or a machine brings along.
func TestCreateHasNoHooks(t *testing.T) {
	t.Parallel()
	b := newBench(t, Config{})
	marker := filepath.Join(t.TempDir(), "ran")
	hooks := filepath.Join(b.repo.path, "hooks")
	if err := os.MkdirAll(hooks, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pre-receive", "update", "post-receive", "post-update", "reference-transaction", "proc-receive"} {
		if err := os.WriteFile(filepath.Join(hooks, name), []byte("#!/bin/sh\ntouch "+marker+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	dir := b.work(map[string]string{"a": "1"})
	b.git(dir, "push", "-q", "origin", "main")
	if _, err := os.Stat(marker); err == nil {
		t.Error("a hook ran")
	}
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	b := newBench(t, Config{})
	for name, c := range map[string]struct {
		path, body, encoding string
		status               int
	}{
		"no pkt-line":         {"/git-receive-pack", "hello", "", 400},
		"endless pkt-line":    {"/git-receive-pack", "ffff", "", 400},
		"no update":           {"/git-receive-pack", "0008oops", "", 400},
		"flush only":          {"/git-receive-pack", "0000", "", 200},
		"empty":               {"/git-receive-pack", "", "", 200},
		"not gzip":            {"/git-upload-pack", "0000", "gzip", 415},
		"unknown compression": {"/git-upload-pack", "0000", "br", 415},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Encoding", c.encoding)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != c.status {
			t.Errorf("%s: status %d, want %d", name, res.StatusCode, c.status)
		}
	}
}

func TestOpenSweeps(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	for _, name := range []string{"new_X", "old_X/objects", "keep/objects/incoming-abc", "keep/objects/pack"} {
		if err := os.MkdirAll(filepath.Join(path, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	d, err := Open(t.Context(), Config{Dir: path})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	for _, name := range []string{"new_X", "old_X", "keep/objects/incoming-abc"} {
		if _, err := os.Stat(filepath.Join(path, name)); err == nil {
			t.Errorf("%s is still there", name)
		}
	}
	if _, err := os.Stat(filepath.Join(path, "keep/objects/pack")); err != nil {
		t.Error(err)
	}
}

// N-8: whoever works on a repository that is removed learns that, and not that git failed.
func TestRemovedMeanwhile(t *testing.T) {
	t.Parallel()
	b := newBench(t, Config{})
	if err := b.dir.Remove("one"); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	for name, use := range map[string]func() error{
		"head":   func() error { _, err := b.repo.Head(); return err },
		"object": func() error { _, _, _, err := b.repo.Stat(ctx, "HEAD"); return err },
	} {
		if err := use(); !errors.Is(err, ErrGone) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
