package codecommit

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"penstock/internal/pipeline"
	"penstock/internal/provider"
)

const commitID = "0123456789abcdef0123456789abcdef01234567"

// cloud answers CodeCommit operations by name and keeps what is put to S3.
type cloud struct {
	t       *testing.T
	mu      sync.Mutex
	answers map[string][]string // JSON; "Code: text" is an error; the last one stays
	calls   []string
	bodies  map[string]string
	signed  bool
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		c.t.Error(err)
	}
	c.signed = strings.Contains(r.Header.Get("Authorization"), "/us-east-1/codecommit/aws4_request") || r.Method == http.MethodPut
	name := r.Method + " " + r.URL.Path
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		name = strings.TrimPrefix(target, "CodeCommit_20150413.")
	}
	c.calls = append(c.calls, name)
	c.bodies[name] = string(body)
	list := c.answers[name]
	if len(list) == 0 {
		if r.Method != http.MethodPut {
			c.t.Errorf("unexpected call %s", name)
		}
		return
	}
	answer := list[0]
	if len(list) > 1 {
		c.answers[name] = list[1:]
	}
	if !strings.HasPrefix(answer, "{") {
		code, text, _ := strings.Cut(answer, ": ")
		w.WriteHeader(http.StatusBadRequest)
		answer = `{"__type":"` + code + `","message":"` + text + `"}`
	}
	_, _ = io.WriteString(w, answer)
}

func newCloud(t *testing.T, change map[string][]string) (*cloud, provider.Job) {
	t.Helper()
	c := &cloud{t: t, bodies: map[string]string{}, answers: map[string][]string{
		"GetBranch": {`{"branch":{"branchName":"main","commitId":"` + commitID + `"}}`},
		"GetCommit": {`{"commit":{"commitId":"` + commitID + `","treeId":"t","message":"Subject\n\nBody\n",` +
			`"author":{"name":"A","email":"a@x","date":"1572524665 +0100"},"committer":{"name":"C","email":"c@x","date":"1572524666 -0800"}}}`},
		"UploadArchive":          {`{"uploadId":"u1"}`},
		"GetUploadArchiveStatus": {`{"status":"InProgress"}`, `{"status":"Completed"}`},
		"CancelUploadArchive":    {`{}`},
		"GetRepository":          {`{"repositoryMetadata":{"cloneUrlHttp":"http://h/v1/repos/web","Arn":"arn:aws:codecommit:us-east-1:000000000000:web"}}`},
	}}
	maps.Copy(c.answers, change)
	srv := httptest.NewServer(c)
	t.Cleanup(srv.Close)
	cfg := aws.Config{
		Region: "us-east-1", BaseEndpoint: &srv.URL, HTTPClient: srv.Client(),
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	}
	told := make(chan struct{})
	close(told)
	return c, provider.Job{
		ID: "j", Account: "000000000000", Region: "us-east-1", Action: "Source", RoleARN: "arn:aws:iam::000000000000:role/p",
		Configuration: map[string]string{"RepositoryName": "web", "BranchName": "main"},
		Outputs:       []pipeline.Artifact{{Name: "out", Bucket: "store", Key: "p/out/k"}},
		Env: provider.Env{
			AWS: cfg, ArtifactAWS: cfg, ConsoleURL: "http://h", Changed: func(string) <-chan struct{} { return told },
			Progress: func(provider.Progress) {},
		},
	}
}

// P-2, S-232, S-235, S-281: the tip of the branch as a zip, with revision and variables.
func TestRunZip(t *testing.T) {
	t.Parallel()
	c, job := newCloud(t, nil)
	job.EncryptionKey = &pipeline.EncryptionKey{ID: "alias/k", Type: "KMS"}
	r := New().Run(t.Context(), job)
	if r.Error != nil {
		t.Fatal(r.Error)
	}
	want := []string{"GetBranch", "GetCommit", "UploadArchive", "GetUploadArchiveStatus", "GetUploadArchiveStatus"}
	if !slices.Equal(c.calls, want) || !c.signed {
		t.Errorf("calls %q, signed %v", c.calls, c.signed)
	}
	var in uploadInput
	if err := json.Unmarshal([]byte(c.bodies["UploadArchive"]), &in); err != nil || in != (uploadInput{"web", commitID, "store", "p/out/k", "alias/k"}) {
		t.Errorf("UploadArchive %+v, %v", in, err)
	}
	const date = "2019-10-31T12:24:26Z"
	vars := map[string]string{
		"AuthorDate": "2019-10-31T12:24:25Z", "CommitterDate": date, "BranchName": "main", "CommitId": commitID,
		"CommitMessage": "Subject\n\nBody\n", "RepositoryName": "web",
	}
	if !maps.Equal(r.OutputVariables, vars) {
		t.Errorf("variables %q", r.OutputVariables)
	}
	at, err := time.Parse(time.RFC3339, date)
	if err != nil {
		t.Fatal(err)
	}
	rev := pipeline.Revision{
		ID: commitID, ChangeIdentifier: date, Summary: "Subject\n\nBody\n", Created: at,
		URL: "http://h/codesuite/codecommit/repositories/web/commit/" + commitID + "?region=us-east-1",
	}
	if *r.Revision != rev || r.ExternalID != commitID || r.ExternalURL != rev.URL || r.Summary != rev.Summary {
		t.Errorf("result %+v, revision %+v", r.Progress, *r.Revision)
	}
}

// S-99: a named commit is taken whatever the branch is at.
func TestRunOverride(t *testing.T) {
	t.Parallel()
	other := strings.Repeat("a", 40)
	c, job := newCloud(t, nil)
	job.Overrides = []pipeline.SourceRevisionOverride{{ActionName: "Source", RevisionType: "COMMIT_ID", RevisionValue: other}}
	r := New().Run(t.Context(), job)
	if r.Error != nil || r.Revision.ID != other || slices.Contains(c.calls, "GetBranch") || !strings.Contains(c.bodies["UploadArchive"], other) {
		t.Errorf("result %+v, calls %q", r, c.calls)
	}
}

// P-2: the artifact is the reference itself, not a zip.
func TestRunCloneReference(t *testing.T) {
	t.Parallel()
	c, job := newCloud(t, nil)
	job.Configuration["OutputArtifactFormat"] = "CODEBUILD_CLONE_REF"
	if r := New().Run(t.Context(), job); r.Error != nil {
		t.Fatal(r.Error)
	}
	const want = `{"version":1,"type":"git","url":"http://h/v1/repos/web","commit":"` + commitID +
		`","branch":"main","credential":{"kind":"codecommit","ref":"arn:aws:codecommit:us-east-1:000000000000:web"}}`
	if got := c.bodies["PUT /store/p/out/k"]; !strings.Contains(got, want) {
		t.Errorf("object %q", got)
	}
}

// P-2: what is gone, what was never there, what is forbidden, what is down.
func TestRunFailures(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ operation, answer, code, word string }{
		"branch":     {"GetBranch", "BranchDoesNotExistException: gone", pipeline.RevisionUnavailable, "main"},
		"repository": {"GetBranch", "RepositoryDoesNotExistException: web does not exist", pipeline.ConfigurationError, "web"},
		"commit":     {"GetCommit", "CommitIdDoesNotExistException: gone", pipeline.RevisionUnavailable, commitID},
		"forbidden":  {"GetBranch", "AccessDeniedException: no", pipeline.PermissionError, "role/p"},
		"archive":    {"GetUploadArchiveStatus", `{"status":"Failed","errorCode":"AccessDenied","errorMessage":"no"}`, pipeline.PermissionError, "s3://store/p/out/k"},
		"bucket":     {"GetUploadArchiveStatus", `{"status":"Failed","errorCode":"NoSuchBucket","errorMessage":"no"}`, pipeline.ConfigurationError, "s3://store/p/out/k"},
		"inside":     {"GetUploadArchiveStatus", `{"status":"Failed","errorCode":"InternalFailure","errorMessage":"no"}`, pipeline.SystemUnavailable, "s3://store/p/out/k"},
		"forgotten":  {"GetUploadArchiveStatus", "UploadDoesNotExistException: no", pipeline.SystemUnavailable, "s3://store/p/out/k"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, job := newCloud(t, map[string][]string{c.operation: {c.answer}})
			r := New().Run(t.Context(), job)
			if r.Error == nil || r.Error.Code != c.code || !strings.Contains(r.Error.Message, c.word) {
				t.Errorf("result %+v, want %s with %q", r.Error, c.code, c.word)
			}
		})
	}
}

// The service was started anew in the middle: the archive is begun again.
func TestRunBeginsAgain(t *testing.T) {
	t.Parallel()
	c, job := newCloud(t, map[string][]string{"GetUploadArchiveStatus": {"UploadDoesNotExistException: no", `{"status":"Completed"}`}})
	if r := New().Run(t.Context(), job); r.Error != nil {
		t.Fatal(r.Error)
	}
	if n := strings.Count(strings.Join(c.calls, " "), " UploadArchive"); n != 2 {
		t.Errorf("the archive was begun %d times", n)
	}
}

// P-2: stopping cancels the archive.
func TestRunStopped(t *testing.T) {
	t.Parallel()
	c, job := newCloud(t, map[string][]string{"GetUploadArchiveStatus": {`{"status":"InProgress"}`}})
	ctx, stop := context.WithCancel(t.Context())
	job.Env.Changed = func(string) <-chan struct{} {
		stop()
		return nil
	}
	if r := New().Run(ctx, job); r.Error == nil {
		t.Error("a stopped run succeeded")
	}
	if !slices.Contains(c.calls, "CancelUploadArchive") {
		t.Errorf("calls %q", c.calls)
	}
}

func TestTypes(t *testing.T) {
	t.Parallel()
	types := New().Types()
	if len(types) != 1 || types[0].ID != (pipeline.ActionTypeID{Category: "Source", Owner: "AWS", Provider: "CodeCommit", Version: "1"}) || types[0].Unavailable != "" {
		t.Errorf("types %+v", types)
	}
}

// S-283: the message is cut at 100 KB, and never within a character.
func TestCut(t *testing.T) {
	t.Parallel()
	if got := cut(strings.Repeat("é", maxMessage), maxMessage+1); len(got) != maxMessage {
		t.Errorf("cut to %d bytes", len(got))
	}
	if got := cut("short", 10); got != "short" {
		t.Errorf("cut %q", got)
	}
}
