package fetch

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// origin is a repository with two commits on main, as somebody's server has it.
type origin struct {
	t          *testing.T
	root, path string
	first, tip string
}

func (o *origin) git(args ...string) string {
	o.t.Helper()
	cmd := exec.CommandContext(o.t.Context(), "git", args...)
	cmd.Dir = o.path
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + o.root, "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=Ann Äuthor", "GIT_AUTHOR_EMAIL=a@example.org",
		"GIT_AUTHOR_DATE=2020-01-02T03:04:05+01:00", "GIT_COMMITTER_NAME=C", "GIT_COMMITTER_EMAIL=c@example.org", "GIT_COMMITTER_DATE=2020-01-02T03:04:06Z"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		o.t.Fatalf("git %q: %v %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (o *origin) commit(message string, files map[string]string) string {
	o.t.Helper()
	for name, text := range files {
		path := filepath.Join(o.path, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			o.t.Fatal(err)
		}
	}
	o.git("add", "-A")
	o.git("commit", "-q", "-m", message)
	return o.git("rev-parse", "HEAD")
}

func newOrigin(t *testing.T) *origin {
	t.Helper()
	o := &origin{t: t, root: t.TempDir()}
	o.path = filepath.Join(o.root, "owner", "app")
	if err := os.MkdirAll(o.path, 0o755); err != nil {
		t.Fatal(err)
	}
	o.git("init", "-q", "-b", "main")
	o.first = o.commit("one", map[string]string{"a.txt": "a\r\n$Id$\n", ".gitattributes": "*.txt text export-ignore ident\n"})
	o.tip = o.commit("two\n\nbody", map[string]string{"src/b": "b"})
	return o
}

func newFetcher(t *testing.T, cfg Config) *Fetcher {
	t.Helper()
	cfg.Dir = filepath.Join(t.TempDir(), "fetch")
	f, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if left, err := os.ReadDir(cfg.Dir); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v %v", left, err)
		}
	})
	return f
}

func (o *origin) remote() Remote { return Remote{URL: "file://" + o.path} }

// P-4, S-235: the tip of a branch, or the commit that is named, as a zip of its tree.
func TestFetch(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	f := newFetcher(t, Config{Files: o.root})
	for _, commit := range []string{"", o.first} {
		c, err := f.Fetch(t.Context(), o.remote(), "main", commit)
		if err != nil {
			t.Fatal(err)
		}
		want, message := o.tip, "two\n\nbody\n"
		if commit != "" {
			want, message = o.first, "one\n"
		}
		if c.ID != want || c.Message != message || c.AuthorName != "Ann Äuthor" || c.AuthorEmail != "a@example.org" ||
			!c.AuthorDate.Equal(time.Date(2020, 1, 2, 2, 4, 5, 0, time.UTC)) || c.CommitterDate.Second() != 6 {
			t.Errorf("%+v", c)
		}
		var b bytes.Buffer
		if err := errors.Join(c.Archive(t.Context(), &b), c.Close()); err != nil {
			t.Fatal(err)
		}
		z, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
		if err != nil {
			t.Fatal(err)
		}
		file, err := z.Open("a.txt")
		if err != nil {
			t.Fatal(err)
		}
		if text, _ := io.ReadAll(file); !strings.HasPrefix(string(text), "a") || !strings.Contains(string(text), "$Id$\n") {
			t.Errorf("a.txt is %q", text)
		}
		if n := len(z.File); commit == "" && n < 3 || commit != "" && n != 2 {
			t.Errorf("%d files", n)
		}
	}
	if id, err := f.Head(t.Context(), o.remote(), "main"); err != nil || id != o.tip {
		t.Error(id, err)
	}
}

// S-245: what a repository is at is read as far as a list may be long.
func TestRefs(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	f := newFetcher(t, Config{Files: o.root})
	o.git("tag", "v1", o.first)
	o.git("branch", "main\u00a0", o.first) // another branch than main
	o.git("tag", "-a", "-m", "text", "v2", o.first)
	refs, err := f.Refs(t.Context(), o.remote())
	if want := map[string]string{"refs/heads/main": o.tip, "refs/heads/main\u00a0": o.first, "refs/tags/v1": o.first, "refs/tags/v2": o.first}; err != nil || !maps.Equal(refs, want) {
		t.Errorf("%v %v, want %v", refs, err, want)
	}
	var many strings.Builder
	for i := range 1 << 20 / len(o.tip+"\trefs/tags/000000\n") {
		fmt.Fprintf(&many, "%s refs/tags/%06d\n", o.first, i)
	}
	if err := os.WriteFile(filepath.Join(o.path, ".git", "packed-refs"), []byte(many.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if refs, err := f.Refs(t.Context(), o.remote()); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%d refs, %v", len(refs), err)
	}
}

// P-4: what is not there is told apart, whatever names are asked for.
func TestFetchMissing(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	f := newFetcher(t, Config{Files: o.root})
	for _, branch := range []string{"gone", "--upload-pack=touch x", "-x", "a..b", "", "main\nx", "main:refs/heads/x", "*", "ma in", "\xff", strings.Repeat("x", 300)} {
		if _, err := f.Fetch(t.Context(), o.remote(), branch, ""); !errors.Is(err, ErrNoBranch) {
			t.Errorf("%q: %v", branch, err)
		}
		if _, err := f.Head(t.Context(), o.remote(), branch); !errors.Is(err, ErrNoBranch) {
			t.Errorf("%q: %v", branch, err)
		}
	}
	for _, commit := range []string{strings.Repeat("0", 39) + "1", "HEAD", "--all", "main", o.tip[:7], o.tip + "\n"} {
		if _, err := f.Fetch(t.Context(), o.remote(), "main", commit); !errors.Is(err, ErrNoCommit) {
			t.Errorf("%q: %v", commit, err)
		}
	}
	if _, err := f.Fetch(t.Context(), Remote{URL: "file://" + o.root}, "main", ""); err == nil || errors.Is(err, ErrNoBranch) {
		t.Errorf("a folder that is no repository: %v", err)
	}
}

// P-4: the files of a push and of a pull request.
func TestChanged(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.git("checkout", "-q", "-b", "feature", o.first)
	head := o.commit("feature", map[string]string{"docs/ü": "1"})
	f := newFetcher(t, Config{Files: o.root})
	for _, c := range []struct {
		before, after string
		fork          bool
		want          []string
	}{{o.first, o.tip, false, []string{"src/b"}}, {o.tip, head, true, []string{"docs/ü"}}, {o.tip, head, false, []string{"docs/ü", "src/b"}}} {
		got, err := f.Changed(t.Context(), o.remote(), c.before, c.after, c.fork, 10)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%v: %q %v", c, got, err)
		}
	}
	if got, err := f.Changed(t.Context(), o.remote(), o.tip, head, false, 1); err != nil || len(got) != 1 {
		t.Error(got, err)
	}
	if _, err := f.Changed(t.Context(), o.remote(), "--output=x", head, false, 1); !errors.Is(err, ErrNoCommit) {
		t.Error(err)
	}
}

// P-4: a server that wants a login gets it, no other does, and no error shows it.
func TestFetchHTTP(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	path, err := exec.CommandContext(t.Context(), "git", "--exec-path").Output()
	if err != nil {
		t.Fatal(err)
	}
	backend := &cgi.Handler{Path: filepath.Join(strings.TrimSpace(string(path)), "git-http-backend"), Root: "/",
		Env: []string{"GIT_PROJECT_ROOT=" + o.root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"}, Stderr: io.Discard}
	var elsewhere []string
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { elsewhere = append(elsewhere, r.URL.Path) }))
	t.Cleanup(other.Close)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "bot" || password != "t0ken" {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			http.Error(w, "token "+password, http.StatusUnauthorized)
		} else if strings.HasPrefix(r.URL.Path, "/moved/") {
			http.Redirect(w, r, other.URL+r.URL.Path, http.StatusFound)
		} else {
			backend.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	f := newFetcher(t, Config{Hosts: []string{"127.0.0.0/8"}})
	from := Remote{URL: server.URL + "/owner/app/.git", Username: "bot", Token: "t0ken"}
	for _, commit := range []string{"", o.first} {
		c, err := f.Fetch(t.Context(), from, "main", commit)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	from.Token = "wr0ng"
	if _, err := f.Fetch(t.Context(), from, "main", ""); err == nil || strings.Contains(err.Error(), "wr0ng") {
		t.Errorf("a wrong token: %v", err)
	}
	from.Token, from.URL = "t0ken", server.URL+"/moved/app"
	if _, err := f.Fetch(t.Context(), from, "main", ""); err == nil || elsewhere != nil {
		t.Errorf("a redirection: %v, asked for %q", err, elsewhere)
	}
}

// P-4: a fetch ends with its context and at its limits.
func TestFetchBounded(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	noise := make([]byte, 1<<20)
	if _, err := rand.NewChaCha8([32]byte{}).Read(noise); err != nil {
		t.Fatal(err)
	}
	f := newFetcher(t, Config{Files: o.root, MaxBytes: 100 << 10})
	o.commit("large", map[string]string{"noise": string(noise)})
	if _, err := f.Fetch(t.Context(), o.remote(), "main", ""); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	asked := make(chan struct{}, 1)
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(silent.Close)
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		<-asked
		stop()
	}()
	f = newFetcher(t, Config{Hosts: []string{"127.0.0.1"}})
	if _, err := f.Fetch(ctx, Remote{URL: silent.URL + "/x"}, "main", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("left alone: %v", err)
	}
	// An account whose servers are silent does not keep the others waiting.
	f = newFetcher(t, Config{Hosts: []string{"127.0.0.1"}, Files: o.root})
	ctx, stop = context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	for range 4 {
		waiting.Go(func() {
			if _, err := f.Fetch(ctx, Remote{URL: silent.URL + "/x", Account: "a"}, "main", ""); !errors.Is(err, context.Canceled) {
				t.Errorf("left alone: %v", err)
			}
		})
	}
	for range 3 {
		<-asked
	}
	from := o.remote()
	from.Account = "b"
	if got, err := f.Fetch(t.Context(), from, "main", o.tip); err != nil {
		t.Error(err)
	} else if err := got.Close(); err != nil {
		t.Error(err)
	}
	stop()
	waiting.Wait()
}

// P-4: where a connection may lead.
func TestGuard(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	outside := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	g, err := newGuard([]string{"10.1.0.0/16", "git.corp.example"}, root)
	if err != nil {
		t.Fatal(err)
	}
	g.lookup = func(_ context.Context, host string) ([]netip.Addr, error) {
		text, ok := map[string]string{"public.example": "93.184.216.34", "rebound.example": "127.0.0.1", "2130706433": "93.184.216.34", "0x7f.1": "93.184.216.34", "0177.0.0.1": "93.184.216.34", "git.corp.example": "192.168.3.4",
			"both.example": "93.184.216.34 169.254.169.254", "mapped.example": "::ffff:10.0.0.1"}[host]
		if !ok {
			return nil, errors.New("no such host")
		}
		var list []netip.Addr
		for a := range strings.FieldsSeq(text) {
			list = append(list, netip.MustParseAddr(a))
		}
		return list, nil
	}
	for text, pin := range map[string]string{
		"https://public.example/o/r.git": "public.example:443:93.184.216.34", "https://public.example:8443/x": "public.example:8443:93.184.216.34",
		"https://both.example/x": "both.example:443:93.184.216.34", "http://git.corp.example/x": "git.corp.example:80:192.168.3.4",
		"https://GIT.corp.example/x": "GIT.corp.example:443:192.168.3.4", "http://10.1.2.3/x": "", "https://[2606:2800:220:1::1]/x": "", "file://" + root: "",
		"https://public.example./x": "public.example:443:93.184.216.34",
	} {
		if p, err := g.judge(t.Context(), text); err != nil || p.pin != pin {
			t.Errorf("%s: %+v %v", text, p, err)
		}
	}
	for _, text := range []string{
		"https://127.0.0.1/x", "https://[::1]/x", "https://169.254.169.254/latest", "https://10.0.0.1/x", "https://192.168.1.1/x", "https://0.0.0.0/x",
		"https://[::ffff:127.0.0.1]/x", "https://[64:ff9b::7f00:1]/x", "https://[fe80::1]/x", "https://100.64.0.1/x", "https://rebound.example/x", "https://mapped.example/x",
		"http://public.example/x", "ssh://public.example/x", "git://public.example/x", "ext::sh -c id", "git@public.example:o/r", "/etc", "--upload-pack=x", "",
		"https://user:pass@public.example/x", "https://public.example/x?y", "https://public.example/x#y", "https://public.example/a b", "https:///x",
		"file://" + outside, "file://" + root + "/../x", "file://" + root + "/link", "file://host" + root, "file:" + "relative", "https://2130706433/x", "https://0x7f.1/x", "https://0177.0.0.1/x", "https://127.0.0.1./x", "https://rebound.example./x", "https://[::1%25lo]/x", "https://[fe80::1%25eth0]/x",
		"https://[::ffff:10.0.0.1%25eth0]/x", "https://[::127.0.0.1]/x", "https://[64:ff9b:1::a00:1]/x", "https://[2002:7f00:1::]/x", "https://[2001::1]/x", "https://[100::1]/x", "https://[4000::1]/x",
		"https://[5f00::1]/x", "https://[3fff::1]/x", "https://[2001:db8::1]/x", "https://192.88.99.1/x", "https://192.0.2.1/x", "https://203.0.113.5/x", "https://127%2e0%2e0%2e1/x",
		`https://public.example\@127.0.0.1/x`, "https://①②⑦.0.0.1/x",
	} {
		if p, err := g.judge(t.Context(), text); err == nil {
			t.Errorf("%s is taken for %+v", text, p)
		}
	}
	for _, host := range []string{"", "a b", "http://x", "10.0.0.0/99"} {
		if _, err := newGuard([]string{host}, ""); err == nil {
			t.Errorf("the host %q is taken", host)
		}
	}
}
