package codecommit_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/codecommit"
	"github.com/aws/aws-sdk-go-v2/service/codecommit/types"

	"penstock/internal/api"
	codecommitapi "penstock/internal/api/codecommit"
	"penstock/internal/auth"
	"penstock/internal/awswire"
	"penstock/internal/pipeline"
	"penstock/internal/provider"
	source "penstock/internal/provider/codecommit"
	"penstock/internal/store/storetest"
	"penstock/internal/svc/codecommit"
	"penstock/internal/svc/codecommit/git"
)

// N-8, N-9: the SDK and git of a user against the door, with the key of the administrator.
func TestThroughTheDoor(t *testing.T) {
	t.Parallel()
	const region = "eu-west-1"
	ctx := t.Context()
	db := storetest.SQLite(t)
	id, secret, err := auth.Bootstrap(ctx, db, "us-east-1", "123456789012")
	if err != nil {
		t.Fatal(err)
	}
	a, err := auth.New(ctx, auth.Config{DB: db, Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	var url string
	objects := make(chan string, 10)
	s3 := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		objects <- r.URL.Path + " " + string(data[:min(4, len(data))])
	}))
	t.Cleanup(s3.Close)
	told := make(chan codecommit.RefUpdate, 10)
	room, err := codecommit.New(ctx, codecommit.Deps{
		DB: db, BasicGit: a.BasicGit, Region: "us-east-1", Git: git.Config{Dir: filepath.Join(t.TempDir(), "git")},
		PublicURL: func() string { return url },
		RefsUpdated: func(_ context.Context, list []codecommit.RefUpdate) error {
			for _, u := range list {
				told <- u
			}
			return nil
		},
		AWS: func(ctx context.Context, c auth.Caller) (aws.Config, error) {
			if auth.From(ctx) != c || c.AccessKeyID != id {
				t.Errorf("the archive is put on behalf of %+v", c)
			}
			return aws.Config{Region: region, BaseEndpoint: &s3.URL, Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(awswire.New(awswire.Config{
		Authenticate: a.Authenticate, Services: []*api.Service{codecommitapi.New(room)}, Git: http.HandlerFunc(room.ServeGit),
	}))
	url = srv.URL
	t.Cleanup(func() {
		srv.Close()
		if err := room.Close(); err != nil {
			t.Error(err)
		}
		a.Close()
	})
	cfg := aws.Config{
		Region: region, BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider(id, string(secret), ""),
	}
	client := sdk.NewFromConfig(cfg)
	out, err := client.CreateRepository(ctx, &sdk.CreateRepositoryInput{
		RepositoryName: new("web"), RepositoryDescription: new("d"), Tags: map[string]string{"k": "v"},
	})
	if err != nil {
		t.Fatal(err)
	}
	clone := *out.RepositoryMetadata.CloneUrlHttp
	run := func(dir string, args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, "git", args...)
		cmd.Dir = dir
		cmd.Env = []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C",
			"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@x", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@x",
		}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	// The repository is in another Region than the server's own; git does not say in which.
	helper := "!f() { echo username=" + id + "; echo 'password=" + string(secret) + "'; }; f"
	w := t.TempDir()
	run(w, "init", "-q", "-b", "main")
	run(w, "commit", "-q", "--allow-empty", "-m", "one")
	run(w, "-c", "credential.helper="+helper, "push", "-q", clone, "main")
	head := run(w, "rev-parse", "HEAD")
	if u := <-told; u.New != head || u.Region != region || u.RepositoryARN != "arn:aws:codecommit:eu-west-1:123456789012:web" {
		t.Errorf("told %+v", u)
	}
	branch, err := client.GetBranch(ctx, &sdk.GetBranchInput{RepositoryName: new("web"), BranchName: new("main")})
	if err != nil || *branch.Branch.CommitId != head {
		t.Errorf("branch %+v, %v", branch, err)
	}
	_, err = client.PutFile(ctx, &sdk.PutFileInput{
		RepositoryName: new("web"), BranchName: new("main"), ParentCommitId: &head, FilePath: new("a.txt"), FileContent: []byte("hello"),
	})
	if err != nil {
		t.Fatal(err)
	}
	file, err := client.GetFile(ctx, &sdk.GetFileInput{RepositoryName: new("web"), FilePath: new("a.txt")})
	if err != nil || string(file.FileContent) != "hello" || file.FileMode != types.FileModeTypeEnumNormal {
		t.Errorf("file %+v, %v", file, err)
	}
	_, err = client.GetBranch(ctx, &sdk.GetBranchInput{RepositoryName: new("none"), BranchName: new("main")})
	var absent *types.RepositoryDoesNotExistException
	if !errors.As(err, &absent) {
		t.Errorf("an absent repository: %v", err)
	}

	// P-2: the source action is a client like any other.
	result := source.New().Run(ctx, provider.Job{
		Account: "123456789012", Region: region, Action: "Source",
		Configuration: map[string]string{"RepositoryName": "web", "BranchName": "main"},
		Outputs:       []pipeline.Artifact{{Name: "out", Bucket: "store", Key: "p/out/k"}},
		Env:           provider.Env{AWS: cfg, ArtifactAWS: cfg, Changed: func(string) <-chan struct{} { return nil }},
	})
	if result.Error != nil || result.Revision.Summary != "Put a.txt\n" {
		t.Fatalf("source action %+v", result)
	}
	if object := <-objects; object != "/store/p/out/k PK\x03\x04" {
		t.Errorf("artifact %q", object)
	}
}
