package codebuild_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	api "penstock/internal/api/codebuild"
	"penstock/internal/store/storetest"
	"penstock/internal/svc/codebuild"
)

// P-2, P-9: a clone reference and a CodeCommit source are cloned with the role's credentials;
// other servers never see them.
func TestClone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", filepath.Join(dir, "work"), "-c", "user.name=a", "-c", "user.email=a@b"}, args...)...)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	os.Mkdir(filepath.Join(dir, "work"), 0o755)
	git("init", "-q", "-b", "main")
	commit := func(text string) string {
		os.WriteFile(filepath.Join(dir, "work", "buildspec.yml"), []byte("version: 0.2\nphases: {build: {commands: ['echo "+text+" $(git log --oneline | wc -l); test -z \"$(git config http.extraHeader)\"']}}"), 0o644)
		git("add", "-A")
		git("commit", "-q", "-m", text)
		return git("rev-parse", "HEAD")
	}
	first := commit("first")
	second := commit("second")
	git("clone", "-q", "--bare", ".", filepath.Join(dir, "v1", "repos", "app"))
	git("--git-dir", filepath.Join(dir, "v1", "repos", "app"), "update-server-info")

	var user string
	files := http.FileServer(http.Dir(dir))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, password, ok := r.BasicAuth()
		if !ok || password != "secret" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		user = name
		files.ServeHTTP(w, r)
	}))
	defer srv.Close()
	stranger := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a stranger was asked") }))
	defer stranger.Close()

	b := start(t, storetest.SQLite(t), real(t), func(d *codebuild.Deps) { d.Endpoint = srv.URL })
	b.project()
	source := func(kind, location, version string) *api.Build {
		return b.end(b.inline("", func(in *api.StartBuildInput) {
			in.SourceTypeOverride, in.SourceLocationOverride, in.SourceVersion = kind, location, version
		}).Id)
	}
	b.aws.mu.Lock()
	b.aws.objects["/art/ref"] = []byte(`{"version":1,"type":"git","url":"` + srv.URL + `/v1/repos/app","commit":"` + first + `","branch":"main"}`)
	b.aws.objects["/art/stranger"] = []byte(`{"version":1,"type":"git","url":"` + stranger.URL + `/v1/repos/app","commit":"` + first + `"}`)
	b.aws.objects["/art/option"] = []byte(`{"version":1,"type":"git","url":"` + srv.URL + `/v1/repos/app","commit":"--upload-pack=evil"}`)
	b.aws.mu.Unlock()

	if done := source("S3", "art/ref", ""); done.BuildStatus != "SUCCEEDED" || done.ResolvedSourceVersion != first || !strings.Contains(b.aws.log(done), "\nfirst 1\n") {
		t.Errorf("%s %s\n%s", phases(done), done.ResolvedSourceVersion, b.aws.log(done))
	}
	if user != "AKID%token" {
		t.Errorf("user %q", user)
	}
	if done := source("CODECOMMIT", srv.URL+"/v1/repos/app", "main"); done.BuildStatus != "SUCCEEDED" || done.ResolvedSourceVersion != second || !strings.Contains(b.aws.log(done), "\nsecond 2\n") {
		t.Errorf("%s %s\n%s", phases(done), done.ResolvedSourceVersion, b.aws.log(done))
	}
	for location, want := range map[string]string{"art/stranger": "not a repository of this server", "art/option": "is not a revision"} {
		if done := source("S3", location, ""); done.BuildStatus != "FAILED" || !strings.Contains(b.aws.log(done), want) {
			t.Errorf("%s: %s\n%s", location, phases(done), b.aws.log(done))
		}
	}
	if done := source("CODECOMMIT", srv.URL+"/v1/repos/none", ""); done.BuildStatus != "FAILED" || !strings.Contains(b.aws.log(done), "cannot clone") {
		t.Errorf("%s\n%s", phases(done), b.aws.log(done))
	}
}
