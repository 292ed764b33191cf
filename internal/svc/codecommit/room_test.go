package codecommit

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	api "penstock/internal/api/codecommit"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/sigv4"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
	"penstock/internal/svc/codecommit/git"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// The key of the sample user.
const (
	keyID  = "AKIDEXAMPLE"
	secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

var admin = auth.Caller{Account: "000000000000", Region: "us-east-1", ARN: "arn:aws:iam::000000000000:user/ann", UserName: "ann", AccessKeyID: keyID}

// bench is a room with its git door, and what it told.
type bench struct {
	*Room
	t   *testing.T
	db  *store.DB
	ctx context.Context
	url string

	mu       sync.Mutex
	policy   string // what git users may do; "" is everything
	told     []RefUpdate
	notified []string
	refuse   error // of RefsUpdated
}

func newBench(t *testing.T, db *store.DB, change ...func(*Deps)) *bench {
	t.Helper()
	b := &bench{t: t, db: db, ctx: auth.Trusted(t.Context(), admin)}
	deps := Deps{
		DB: db, Git: git.Config{Dir: filepath.Join(t.TempDir(), "git")}, BasicGit: b.basic,
		PublicURL: func() string { return b.url },
		Notify: func(arn string) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.notified = append(b.notified, arn)
		},
		RefsUpdated: func(_ context.Context, list []RefUpdate) error {
			b.mu.Lock()
			defer b.mu.Unlock()
			if b.refuse == nil {
				b.told = append(b.told, list...)
			}
			return b.refuse
		},
	}
	for _, f := range change {
		f(&deps)
	}
	room, err := New(t.Context(), deps)
	if err != nil {
		t.Fatal(err)
	}
	b.Room = room
	srv := httptest.NewServer(http.HandlerFunc(room.ServeGit))
	b.url = srv.URL
	t.Cleanup(func() {
		srv.Close()
		if err := room.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// basic takes the key of the sample user in both forms of N-9.
func (b *bench) basic(r *http.Request, _ string, _ ...string) (context.Context, error) {
	name, password, _ := r.BasicAuth()
	ok := name == keyID && password == secret
	if p, is := sigv4.ParseGitPassword(password); is && name == keyID {
		path, _, _ := strings.Cut(r.URL.Path, "/info/")
		path = strings.TrimSuffix(strings.TrimSuffix(path, "/git-upload-pack"), "/git-receive-pack")
		ok = p.Verify(secret, admin.Region, r.Host, path, p.Date, time.Minute) == nil
	}
	if !ok {
		return nil, fault.New("UnrecognizedClientException", "The security token included in the request is invalid.")
	}
	b.mu.Lock()
	policy := b.policy
	b.mu.Unlock()
	if policy != "" {
		return auth.Limited(r.Context(), admin, policy)
	}
	return auth.Trusted(r.Context(), admin), nil
}

// set changes the bench between requests.
func (b *bench) set(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

func (b *bench) updates() []RefUpdate {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]RefUpdate(nil), b.told...)
}

func (b *bench) create(name string) *api.RepositoryMetadata {
	b.t.Helper()
	out, err := b.CreateRepository(b.ctx, &api.CreateRepositoryInput{RepositoryName: name})
	if err != nil {
		b.t.Fatal(err)
	}
	return out.RepositoryMetadata
}

func (b *bench) put(name, branch, parent, path, content string) string {
	b.t.Helper()
	out, err := b.PutFile(b.ctx, &api.PutFileInput{
		RepositoryName: name, BranchName: branch, ParentCommitId: parent, FilePath: path, FileContent: []byte(content),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return out.CommitId
}

// try runs the git client of a user who has the sample key.
func (b *bench) try(dir string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(b.t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + b.t.TempDir(), "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.com",
	}
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (b *bench) run(dir string, args ...string) string {
	b.t.Helper()
	out, err := b.try(dir, args...)
	if err != nil {
		b.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// remote is the URL of a repository with the sample key in it.
func (b *bench) remote(name string) string {
	esc := strings.ReplaceAll(strings.ReplaceAll(secret, "/", "%2F"), "+", "%2B")
	return strings.Replace(b.url, "http://", "http://"+keyID+":"+esc+"@", 1) + "/v1/repos/" + name
}

func wantCode(t *testing.T, what string, err error, code string) {
	t.Helper()
	if fault.Code(err) != code {
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}
