package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/codecommit"
)

// N-8, N-9: repository names are no paths; what is not a plain name is refused by the API and
// leads nowhere through git, also where the client escapes it.
func TestHostileRepositoryNames(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	around := filepath.Dir(s.data)
	before := files(t, around, s.data)
	s.repository("real")
	const pattern = `Value at '%s' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w\.-]+`
	for name, class := range map[string]string{
		"a/b": "pattern", "../real": "pattern", "real/..": "pattern", "/real": "pattern", `a\b`: "pattern", "a b": "pattern", "a\nb": "pattern", "é": "pattern", "$(id)": "pattern", "a;b": "pattern",
		"..": "name", ".": "name", "...": "name", "real.git": "name", "real.GIT": "name", "a\x00b": "form", strings.Repeat("x", 101): "length",
	} {
		code, text := "InvalidRepositoryNameException", "The repository name "
		switch class {
		case "pattern":
			code, text = "ValidationException", pattern
		case "length":
			code, text = "ValidationException", "Value at '%s' failed to satisfy constraint: Member must have length less than or equal to 100"
		case "form":
			code, text = "SerializationException", "A string must not contain the character U+0000"
		}
		_, err := s.codecommit.CreateRepository(t.Context(), &codecommit.CreateRepositoryInput{RepositoryName: &name})
		refused(t, err, code, strings.ReplaceAll(text, "%s", "repositoryName"))
		_, err = s.codecommit.UpdateRepositoryName(t.Context(), &codecommit.UpdateRepositoryNameInput{OldName: new("real"), NewName: &name})
		refused(t, err, code, strings.ReplaceAll(text, "%s", "newName"))
	}
	c := s.clone("real")
	for _, path := range []string{"../../penstock.db", "..%2f..%2fpenstock.db", "real%2f..%2freal", "real/../real/x", "%2e%2e", "real%00", "-real", "--upload-pack=touch%20evil", "nobody"} {
		if out, err := c.git("clone", "-q", strings.TrimSuffix(s.remote("real"), "real")+path, "copy"); err == nil {
			t.Errorf("cloned %s: %s", path, out)
		}
		if _, err := os.Stat(filepath.Join(c.dir, "copy")); err == nil {
			t.Errorf("%s: there is a copy", path)
		}
	}
	// Clients tidy paths up; a connection does not.
	cfg := s.config()
	for _, path := range []string{"/v1/repos/../../data/penstock.db", "/v1/repos/real/../../../etc/passwd", "/v1/repos/real/config", "/v1/repos/real/HEAD", "/v1/repos/real/objects/info/packs", "/v1/repos//real/info/refs?service=git-upload-pack"} {
		u := *cfg.BaseEndpoint + "/x"
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, u, nil)
		if err != nil {
			t.Fatal(err)
		}
		keys, err := cfg.Credentials.Retrieve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth(keys.AccessKeyID, keys.SecretAccessKey)
		r.URL.Opaque = path
		a := s.wire(t).exchange(r)
		if a.status < 400 || a.status >= 500 {
			t.Errorf("%s: %d %.100s", path, a.status, a.body)
		}
	}
	out, err := s.codecommit.ListRepositories(t.Context(), &codecommit.ListRepositoriesInput{})
	if err != nil || len(out.Repositories) != 1 {
		t.Errorf("%v %+v", err, out)
	}
	if after := files(t, around, s.data); !slices.Equal(after, before) {
		t.Errorf("around the data folder there is now\n%s", strings.Join(after, "\n"))
	}
}

// N-8, N-9: names that read as options or are no refs are refused by the API, and by git's own
// protocol for a client that does not check them.
func TestHostileRefs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.repository("app")
	c := s.clone("app")
	c.write("file", "one")
	commit := c.commit("one")
	c.must("push", "-q", "origin", "main")
	for _, name := range []string{"-x", "--upload-pack=id", "a/-b", "..", "a..b", "a/../b", "/a", "a/", "a//b", ".a", "a.lock", "a b", "a~1", "a^", "a:b", "a?", "a*", "a[", `a\b`, "a\nb", "@", "a@{1}", "HEAD", "a."} {
		_, err := s.codecommit.CreateBranch(t.Context(), &codecommit.CreateBranchInput{RepositoryName: new("app"), BranchName: &name, CommitId: &commit})
		refused(t, err, "InvalidBranchNameException", "is not valid")
		_, err = s.codecommit.GetBranch(t.Context(), &codecommit.GetBranchInput{RepositoryName: new("app"), BranchName: &name})
		refused(t, err, "InvalidBranchNameException", "is not valid")
		_, err = s.codecommit.UpdateDefaultBranch(t.Context(), &codecommit.UpdateDefaultBranchInput{RepositoryName: new("app"), DefaultBranchName: &name})
		refused(t, err, "InvalidBranchNameException", "is not valid")
	}
	for _, specifier := range []string{"--help", "-h", "../../HEAD", "refs/heads/../../config", "a b", "a:b", "@{-1}", "HEAD^{/x}"} {
		if out, err := s.codecommit.GetFile(t.Context(), &codecommit.GetFileInput{RepositoryName: new("app"), FilePath: new("file"), CommitSpecifier: &specifier}); err == nil {
			t.Errorf("%q names %s", specifier, *out.CommitId)
		}
	}
	for _, path := range []string{"../file", "../../../../etc/passwd", "/../file", ".git/config", "a\x00b", ":(top)file"} {
		if out, err := s.codecommit.GetFile(t.Context(), &codecommit.GetFileInput{RepositoryName: new("app"), FilePath: &path}); err == nil {
			t.Errorf("%q is a file: %q", path, out.FileContent)
		}
	}
	// git itself takes this name, penstock does not.
	if out, err := c.git("push", "origin", "HEAD:refs/heads/-x"); err == nil || !strings.Contains(out, "-x") {
		t.Errorf("%v: %s", err, out)
	}
	for _, ref := range []string{"refs/heads/-x", "refs/heads/--upload-pack=id", "refs/heads/a..b", "refs/heads/../../config", "refs/../HEAD", "HEAD", "config", "../objects/x", "refs/heads/a\x01b", "refs/heads/x.lock", "refs/heads/" + strings.Repeat("x", 600)} {
		if text := s.pushRaw(t, "app", commit, ref); !strings.Contains(text, "ng "+ref+" the name is not allowed\n") {
			t.Errorf("%q: %q", ref, text)
		}
	}
	if got := c.must("ls-remote", "origin"); got != commit+"\tHEAD\n"+commit+"\trefs/heads/main" {
		t.Errorf("the refs are now\n%s", got)
	}
	out, err := s.codecommit.ListBranches(t.Context(), &codecommit.ListBranchesInput{RepositoryName: new("app")})
	if err != nil || !slices.Equal(out.Branches, []string{"main"}) {
		t.Errorf("%v %+v", err, out)
	}
}

// pushRaw sends the command to make a ref, as no git client would, and gives the answer.
func (s *site) pushRaw(t *testing.T, repository, commit, ref string) string {
	t.Helper()
	line := strings.Repeat("0", 40) + " " + commit + " " + ref + "\x00 report-status\n"
	body := fmt.Sprintf("%04x%s0000", len(line)+4, line)
	// An empty pack: the commit is there already.
	body += "PACK\x00\x00\x00\x02\x00\x00\x00\x00\x02\x9d\x08\x82\x3b\xd8\xa8\xea\xb5\x10\xad\x6a\xc7\x5c\x82\x3c\xfd\x3e\xd3\x1e"
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.remote(repository)+"/git-receive-pack", bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-git-receive-pack-request")
	res, err := s.config().HTTPClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
