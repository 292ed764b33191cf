package codecommit

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	api "penstock/internal/api/codecommit"
	"penstock/internal/auth"
	"penstock/internal/store/storetest"
)

func TestFiles(t *testing.T) {
	t.Parallel()
	b := newBench(t, storetest.SQLite(t))
	b.create("one")
	first := b.put("one", "main", "", "/dir/a.txt", "1")
	out, err := b.CreateCommit(b.ctx, &api.CreateCommitInput{
		RepositoryName: "one", BranchName: "main", ParentCommitId: first, AuthorName: "Ann", Email: "ann@example.com", CommitMessage: "two\n",
		PutFiles: []api.PutFileEntry{
			{FilePath: "run.sh", FileMode: "EXECUTABLE", FileContent: []byte("#!")},
			{FilePath: "copy.txt", SourceFile: &api.SourceFileSpecifier{FilePath: "dir/a.txt", IsMove: new(true)}},
			{FilePath: "link", FileMode: "SYMLINK", FileContent: []byte("run.sh")},
		},
		KeepEmptyFolders: new(true),
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.FilesAdded) != 4 || len(out.FilesDeleted) != 1 || out.FilesDeleted[0].AbsolutePath != "dir/a.txt" {
		t.Errorf("commit %+v", out)
	}
	c, err := b.GetCommit(b.ctx, &api.GetCommitInput{RepositoryName: "one", CommitId: out.CommitId})
	if err != nil || c.Commit.Message != "two\n" || c.Commit.Author.Name != "Ann" || c.Commit.Parents[0] != first || !strings.HasSuffix(c.Commit.Author.Date, " +0000") {
		t.Errorf("commit %+v, %v", c, err)
	}
	for _, specifier := range []string{"", "HEAD", "main", "refs/heads/main", out.CommitId} {
		f, err := b.GetFile(b.ctx, &api.GetFileInput{RepositoryName: "one", CommitSpecifier: specifier, FilePath: "run.sh"})
		if err != nil || string(f.FileContent) != "#!" || f.FileMode != "EXECUTABLE" || f.CommitId != out.CommitId || *f.FileSize != 2 {
			t.Errorf("file at %q: %+v, %v", specifier, f, err)
		}
	}
	blob, err := b.GetBlob(b.ctx, &api.GetBlobInput{RepositoryName: "one", BlobId: out.FilesDeleted[0].BlobId})
	if err != nil || string(blob.Content) != "1" {
		t.Errorf("blob %+v, %v", blob, err)
	}
	folder, err := b.GetFolder(b.ctx, &api.GetFolderInput{RepositoryName: "one", FolderPath: "/"})
	if err != nil || len(folder.Files) != 2 || len(folder.SubFolders) != 1 || len(folder.SymbolicLinks) != 1 {
		t.Errorf("folder %+v, %v", folder, err)
	}
	folder, err = b.GetFolder(b.ctx, &api.GetFolderInput{RepositoryName: "one", FolderPath: "dir"})
	if err != nil || len(folder.Files) != 1 || folder.Files[0].AbsolutePath != "dir/.gitkeep" {
		t.Errorf("kept folder %+v, %v", folder, err)
	}
	var paths []string
	for token := ""; ; {
		diff, err := b.GetDifferences(b.ctx, &api.GetDifferencesInput{
			RepositoryName: "one", BeforeCommitSpecifier: first, AfterCommitSpecifier: "main", MaxResults: new(int32(2)), NextToken: token,
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range diff.Differences {
			p := d.ChangeType + " "
			if d.AfterBlob != nil {
				p += d.AfterBlob.Path
			} else {
				p += d.BeforeBlob.Path
			}
			paths = append(paths, p)
		}
		if token = diff.NextToken; token == "" {
			break
		}
	}
	if got := strings.Join(paths, ","); got != "A copy.txt,A dir/.gitkeep,D dir/a.txt,A link,A run.sh" {
		t.Errorf("differences %s", got)
	}
	diff, err := b.GetDifferences(b.ctx, &api.GetDifferencesInput{RepositoryName: "one", AfterCommitSpecifier: "main", AfterPath: "dir"})
	if err != nil || len(diff.Differences) != 1 {
		t.Errorf("differences below a path %+v, %v", diff, err)
	}
	del, err := b.DeleteFile(b.ctx, &api.DeleteFileInput{RepositoryName: "one", BranchName: "main", ParentCommitId: out.CommitId, FilePath: "link"})
	if err != nil || del.BlobId == "" {
		t.Errorf("delete %+v, %v", del, err)
	}
}

func TestFilesRefuse(t *testing.T) {
	t.Parallel()
	b := newBench(t, storetest.SQLite(t))
	b.create("one")
	_, err := b.GetFile(b.ctx, &api.GetFileInput{RepositoryName: "one", FilePath: "a"})
	wantCode(t, "empty repository", err, "CommitDoesNotExistException")
	none := strings.Repeat("0", 39) + "1"
	put := func(branch, parent, path, content string) error {
		_, err := b.PutFile(b.ctx, &api.PutFileInput{RepositoryName: "one", BranchName: branch, ParentCommitId: parent, FilePath: path, FileContent: []byte(content)})
		return err
	}
	wantCode(t, "parent of nothing", put("main", none, "a", "1"), "ParentCommitDoesNotExistException")
	first := b.put("one", "main", "", "d/a", "1")
	second := b.put("one", "main", first, "b", "1")
	for name, c := range map[string][5]string{
		"no parent":         {"main", "", "a", "1", "ParentCommitIdRequiredException"},
		"old parent":        {"main", first, "a", "1", "ParentCommitIdOutdatedException"},
		"absent parent":     {"main", none, "a", "1", "ParentCommitDoesNotExistException"},
		"bad parent":        {"main", "-x", "a", "1", "InvalidParentCommitIdException"},
		"absent branch":     {"x", second, "a", "1", "BranchDoesNotExistException"},
		"bad branch":        {"-x", second, "a", "1", "InvalidBranchNameException"},
		"same":              {"main", second, "b", "1", "SameFileContentException"},
		"up":                {"main", second, "../a", "1", "InvalidPathException"},
		"git":               {"main", second, ".git/config", "1", "InvalidPathException"},
		"root":              {"main", second, "/", "1", "InvalidPathException"},
		"no path":           {"main", second, "", "1", "PathRequiredException"},
		"folder is a file":  {"main", second, "b/c", "1", "FileNameConflictsWithDirectoryNameException"},
		"file is a folder":  {"main", second, "d", "1", "FileNameConflictsWithDirectoryNameException"},
		"file is too large": {"main", second, "big", strings.Repeat("x", maxFile+1), "FileContentSizeLimitExceededException"},
	} {
		wantCode(t, name, put(c[0], c[1], c[2], c[3]), c[4])
	}
	for path, code := range map[string]string{"none": "FileDoesNotExistException", "d": "FileDoesNotExistException", "../d": "InvalidPathException", "": "PathRequiredException"} {
		_, err := b.GetFile(b.ctx, &api.GetFileInput{RepositoryName: "one", FilePath: path})
		wantCode(t, path, err, code)
	}
	for specifier, code := range map[string]string{"none": "CommitDoesNotExistException", "--all": "InvalidCommitException", "main^{tree}": "InvalidCommitException", "a\nb": "InvalidCommitException"} {
		_, err := b.GetFile(b.ctx, &api.GetFileInput{RepositoryName: "one", FilePath: "b", CommitSpecifier: specifier})
		wantCode(t, specifier, err, code)
	}
	_, err = b.GetBlob(b.ctx, &api.GetBlobInput{RepositoryName: "one", BlobId: second})
	wantCode(t, "a commit is no blob", err, "BlobIdDoesNotExistException")
	_, err = b.CreateCommit(b.ctx, &api.CreateCommitInput{RepositoryName: "one", BranchName: "main", ParentCommitId: second})
	wantCode(t, "no entries", err, "FileEntryRequiredException")
	_, err = b.CreateCommit(b.ctx, &api.CreateCommitInput{RepositoryName: "one", BranchName: "main", ParentCommitId: second,
		DeleteFiles: []api.DeleteFileEntry{{FilePath: "none"}}})
	wantCode(t, "delete of nothing", err, "FileDoesNotExistException")
}

// sink is an S3 endpoint that keeps what is put, or refuses it.
type sink struct {
	mu     sync.Mutex
	paths  map[string][]byte
	refuse bool
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || s.refuse {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "<Error><Code>AccessDenied</Code><Message>no</Message></Error>")
		return
	}
	s.paths[r.URL.Path] = data
}

// P-2, S-235: the trio that the source action calls.
func TestUploadArchive(t *testing.T) {
	t.Parallel()
	s := &sink{paths: map[string][]byte{}}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	done := make(chan struct{}, 100)
	b := newBench(t, storetest.SQLite(t), func(d *Deps) {
		d.AWS = func(_ context.Context, c auth.Caller) (aws.Config, error) {
			if c != admin {
				return aws.Config{}, errors.New("not on behalf of the caller")
			}
			return aws.Config{Region: c.Region, BaseEndpoint: &srv.URL, Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")}, nil
		}
		d.Notify = func(string) { done <- struct{}{} }
	})
	b.create("one")
	id := b.put("one", "main", "", "a", "1")
	upload := func() *api.GetUploadArchiveStatusOutput {
		t.Helper()
		out, err := b.UploadArchive(b.ctx, &api.UploadArchiveInput{RepositoryName: "one", CommitId: id, S3Bucket: "artifacts", S3Key: "p/a/k.zip"})
		if err != nil {
			t.Fatal(err)
		}
		deadline := time.After(5 * time.Minute)
		for {
			got, err := b.GetUploadArchiveStatus(b.ctx, &api.GetUploadArchiveStatusInput{RepositoryName: "one", UploadId: out.UploadId})
			if err != nil {
				t.Fatal(err)
			}
			if got.Status != uploading {
				return got
			}
			select {
			case <-done:
			case <-deadline:
				t.Fatal("the upload does not end")
			}
		}
	}
	if got := upload(); got.Status != uploaded {
		t.Errorf("status %+v", got)
	}
	s.mu.Lock()
	if data := s.paths["/artifacts/p/a/k.zip"]; !strings.HasPrefix(string(data), "PK\x03\x04") {
		t.Errorf("put %q", data)
	}
	s.refuse = true
	s.mu.Unlock()
	if got := upload(); got.Status != failed || got.ErrorCode != "AccessDenied" {
		t.Errorf("status %+v", got)
	}
	_, err := b.GetUploadArchiveStatus(b.ctx, &api.GetUploadArchiveStatusInput{RepositoryName: "one", UploadId: "x"})
	wantCode(t, "unknown", err, "UploadDoesNotExistException")
	_, err = b.UploadArchive(b.ctx, &api.UploadArchiveInput{RepositoryName: "one", CommitId: strings.Repeat("0", 39) + "1", S3Bucket: "b", S3Key: "k"})
	wantCode(t, "no commit", err, "CommitDoesNotExistException")
}
