package codecommit

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	api "penstock/internal/api/codecommit"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// N-9, S-238: a push with the access key makes the default branch and is told of at once.
func TestGitPushIsTold(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db)
		meta := b.create("web")
		dir := t.TempDir()
		b.run(dir, "clone", "-q", b.remote("web"), "w")
		w := filepath.Join(dir, "w")
		b.run(w, "checkout", "-q", "-b", "trunk")
		b.run(w, "commit", "-q", "--allow-empty", "-m", "one")
		b.run(w, "push", "-q", "origin", "trunk")
		id := b.run(w, "rev-parse", "HEAD")

		want := RefUpdate{
			Account: admin.Account, Region: admin.Region, Repository: "web", RepositoryARN: meta.Arn,
			Ref: "refs/heads/trunk", New: id, CallerARN: admin.ARN,
		}
		if got := b.updates(); len(got) != 1 || got[0] != want {
			t.Errorf("told %+v, want %+v", got, want)
		}
		got, err := b.GetRepository(b.ctx, &api.GetRepositoryInput{RepositoryName: "web"})
		if err != nil || got.RepositoryMetadata.DefaultBranch != "trunk" {
			t.Errorf("repository %+v, %v", got, err)
		}
		// A clone checks the default branch out, also by the name with .git.
		b.run(dir, "clone", "-q", "--depth", "1", b.remote("web")+".git", "c")
		if head := b.run(filepath.Join(dir, "c"), "rev-parse", "--abbrev-ref", "HEAD"); head != "trunk" {
			t.Errorf("a clone is on %s", head)
		}
		if out, err := b.try(w, "push", "origin", ":trunk"); err == nil {
			t.Errorf("the default branch was deleted: %s", out)
		}
		// What a crash left half-done: HEAD is put right, and nothing is told again.
		repo, err := b.git.Repo(meta.RepositoryId)
		if err != nil {
			t.Fatal(err)
		}
		if err := repo.SetHead(t.Context(), "other"); err != nil {
			t.Fatal(err)
		}
		if err := b.Reconcile(t.Context()); err != nil || len(b.updates()) != 1 {
			t.Errorf("told again: %v %v", b.updates(), err)
		}
		if head, err := repo.Head(); err != nil || head != "trunk" {
			t.Errorf("HEAD is %s, %v", head, err)
		}
	})
}

// untold makes a repository to which w was pushed when nothing could be told.
func untold(t *testing.T) (b *bench, w string) {
	t.Helper()
	b = newBench(t, storetest.SQLite(t))
	b.create("web")
	w = t.TempDir()
	b.run(w, "init", "-q", "-b", "main")
	b.run(w, "commit", "-q", "--allow-empty", "-m", "one")
	b.set(func() { b.refuse = errors.New("the disk is full") })
	if out, err := b.try(w, "push", b.remote("web"), "main"); err == nil {
		t.Errorf("the push went through: %s", out)
	}
	return b, w
}

// A push that could not be told of fails, and is told of at the next start.
func TestPushNotTold(t *testing.T) {
	t.Parallel()
	b, w := untold(t)
	b.set(func() { b.refuse = nil })
	if err := b.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	id := b.run(w, "rev-parse", "HEAD")
	if got := b.updates(); len(got) != 1 || got[0].New != id || got[0].Old != "" || got[0].CallerARN != "" {
		t.Errorf("told %+v", got)
	}
	got, err := b.GetRepository(b.ctx, &api.GetRepositoryInput{RepositoryName: "web"})
	if err != nil || got.RepositoryMetadata.DefaultBranch != "main" {
		t.Errorf("repository %+v, %v", got, err)
	}
}

// What could not be told of a repository is not told of for ever once the repository is deleted.
func TestPushNotToldAndDeleted(t *testing.T) {
	t.Parallel()
	b, _ := untold(t)
	if _, err := b.DeleteRepository(b.ctx, &api.DeleteRepositoryInput{RepositoryName: "web"}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		b.work.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("it is still tried")
	}
}

// N-9: the password of the credential helper, which signs the URL's path and host.
func TestGitCredentialHelper(t *testing.T) {
	t.Parallel()
	b := newBench(t, storetest.SQLite(t))
	b.create("web")
	b.put("web", "main", "", "a.txt", "one")
	// No file: one just written may still be held open by another test's fork, and not run.
	helper := fmt.Sprintf("!f() { echo username=%s; echo password=%s; }; f", keyID, gitPassword("/v1/repos/web", "127.0.0.1"))
	config := []string{"-c", "credential.helper=" + helper, "-c", "credential.useHttpPath=true"}
	b.run(t.TempDir(), append(config, "clone", "-q", b.url+"/v1/repos/web", "w")...)
	b.create("other")
	if out, err := b.try(t.TempDir(), append(config, "clone", "-q", b.url+"/v1/repos/other", "w")...); err == nil {
		t.Errorf("the password of one repository opened another: %s", out)
	}
}

// Policies decide over pulling and pushing apart.
func TestGitAuthorisation(t *testing.T) {
	t.Parallel()
	b := newBench(t, storetest.SQLite(t))
	b.create("web")
	b.put("web", "main", "", "a.txt", "one")
	b.set(func() {
		b.policy = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"codecommit:GitPull","Resource":"arn:aws:codecommit:us-east-1:000000000000:web"}}`
	})
	w := t.TempDir()
	b.run(w, "clone", "-q", b.remote("web"), ".")
	b.run(w, "commit", "-q", "--allow-empty", "-m", "two")
	if out, err := b.try(w, "push", "origin", "main"); err == nil || !strings.Contains(out, "403") {
		t.Errorf("push: %v\n%s", err, out)
	}
	b.set(func() {
		b.policy = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"codecommit:*","Resource":"arn:aws:codecommit:us-east-1:000000000000:other"}}`
	})
	if out, err := b.try(w, "fetch"); err == nil || !strings.Contains(out, "403") {
		t.Errorf("fetch: %v\n%s", err, out)
	}
}

func TestGitRefuses(t *testing.T) {
	t.Parallel()
	b := newBench(t, storetest.SQLite(t))
	b.create("web")
	const pack = "application/x-git-upload-pack-request"
	for _, c := range []struct {
		method, path, kind string
		key                bool
		status             int
	}{
		{"GET", "/v1/repos/web/info/refs?service=git-upload-pack", "", true, 200},
		{"GET", "/v1/repos/web/info/refs?service=git-upload-pack", "", false, 401},
		{"GET", "/v1/repos/web/info/refs", "", true, 403},
		{"GET", "/v1/repos/web/info/refs?service=git-upload-archive", "", true, 403},
		{"POST", "/v1/repos/web/info/refs?service=git-upload-pack", "", true, 405},
		{"GET", "/v1/repos/web/git-upload-pack", "", true, 405},
		{"POST", "/v1/repos/web/git-upload-pack", "text/plain", true, 415},
		{"POST", "/v1/repos/web/git-upload-pack", pack, false, 401},
		{"GET", "/v1/repos/web/HEAD", "", true, 404},
		{"GET", "/v1/repos/web/objects/info/packs", "", true, 404},
		{"GET", "/v1/repos/none/info/refs?service=git-upload-pack", "", true, 404},
		{"GET", "/v1/repos/-x/info/refs?service=git-upload-pack", "", true, 404},
		{"GET", "/v1/repos/..%2Fx/info/refs?service=git-upload-pack", "", true, 404},
		{"GET", "/v1/repos/../x/info/refs?service=git-upload-pack", "", true, 404},
		{"GET", "/v1/repos/a%2Fb/info/refs?service=git-upload-pack", "", true, 404},
		{"GET", "/v1/repos/.git/info/refs?service=git-upload-pack", "", true, 404},
		{"GET", "/v1/repos/", "", true, 404},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, b.url+c.path, strings.NewReader("0000"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", c.kind)
		if c.key {
			req.SetBasicAuth(keyID, secret)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != c.status {
			t.Errorf("%s %s: status %d, want %d", c.method, c.path, res.StatusCode, c.status)
		}
		if (res.StatusCode == 401) != (res.Header.Get("WWW-Authenticate") != "") {
			t.Errorf("%s %s: WWW-Authenticate %q", c.method, c.path, res.Header.Get("WWW-Authenticate"))
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", b.url+"/v1/repos/web/info/refs?service=git-upload-pack", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(keyID, "wrong")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != 401 {
		t.Errorf("a wrong secret: status %d", res.StatusCode)
	}
}
