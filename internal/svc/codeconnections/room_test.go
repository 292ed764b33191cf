package codeconnections

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	api "penstock/internal/api/codeconnections"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/pipeline"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
	"penstock/internal/svc/codeconnections/fetch"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// world is a room on a database, called by an administrator under both names.
type world struct {
	*testing.T
	*face
	old     *face
	ctx     context.Context
	events  []pipeline.GitEvent
	fail    error
	objects map[string]string
}

func each(t *testing.T, f func(w *world)) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) { f(newWorld(t, db, fetch.Config{})) })
}

func newWorld(t *testing.T, db *store.DB, cfg fetch.Config) *world {
	t.Helper()
	cfg.Dir = filepath.Join(t.TempDir(), "fetch")
	f, err := fetch.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, objects: map[string]string{}, ctx: auth.Trusted(t.Context(), auth.Caller{Account: "111111111111", Region: "eu-west-1", ARN: "arn:aws:iam::111111111111:user/admin"})}
	s3 := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.HasPrefix(r.URL.Path, "/forbidden/") {
			rw.WriteHeader(403)
			_, _ = io.WriteString(rw, `<Error><Code>AccessDenied</Code><Message>no</Message></Error>`)
			return
		}
		w.objects[r.URL.Path] = string(body)
	}))
	t.Cleanup(s3.Close)
	room := New(Deps{DB: db, Fetch: f, PublicURL: func() string { return "https://ci.example" },
		AWS: func(context.Context, auth.Caller) (aws.Config, error) {
			return aws.Config{Region: "eu-west-1", BaseEndpoint: &s3.URL, Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
				RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired}, nil
		},
		Event: func(_ context.Context, delivery string, _ Files, e pipeline.GitEvent) ([]string, error) {
			w.events = append(w.events, e)
			return []string{"p: started by " + delivery}, w.fail
		}})
	w.face, w.old = &face{Room: room, name: newName}, &face{Room: room, name: oldName}
	return w
}

func must[T any](w *world, v T, err error) T {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
	return v
}

func (w *world) refused(class string, err error) {
	w.Helper()
	if fault.Code(err) != class {
		w.Errorf("got %v, want %s", err, class)
	}
}

func (w *world) connect(provider string) string {
	w.Helper()
	out, err := w.CreateConnection(w.ctx, &api.CreateConnectionInput{ConnectionName: "c", ProviderType: provider})
	return must(w, out, err).ConnectionArn
}

// N-13: a connection is PENDING, keeps the name of the service it was made through, and is
// known under both.
func TestConnections(t *testing.T) {
	each(t, func(w *world) {
		arn := w.connect("GitHub")
		out, err := w.old.CreateConnection(w.ctx, &api.CreateConnectionInput{ConnectionName: "old", ProviderType: "Bitbucket", Tags: []api.Tag{{Key: "a", Value: "1"}}})
		old := must(w, out, err).ConnectionArn
		if !strings.HasPrefix(arn, "arn:aws:codeconnections:eu-west-1:111111111111:connection/") || !strings.HasPrefix(old, "arn:aws:codestar-connections:eu-west-1:111111111111:connection/") {
			w.Errorf("%s %s", arn, old)
		}
		got, err := w.GetConnection(w.ctx, &api.GetConnectionInput{ConnectionArn: old})
		if c := must(w, got, err).Connection; c.ConnectionStatus != "PENDING" || c.ConnectionName != "old" || c.ProviderType != "Bitbucket" || c.OwnerAccountId != "111111111111" {
			w.Errorf("%+v", c)
		}
		_, err = w.TagResource(w.ctx, &api.TagResourceInput{ResourceArn: old, Tags: []api.Tag{{Key: "b", Value: "2"}}})
		must(w, 0, err)
		_, err = w.UntagResource(w.ctx, &api.UntagResourceInput{ResourceArn: old, TagKeys: []string{"a", "none"}})
		must(w, 0, err)
		tags, err := w.old.ListTagsForResource(w.ctx, &api.ListTagsForResourceInput{ResourceArn: old})
		if got := must(w, tags, err).Tags; len(got) != 1 || got[0].Key != "b" {
			w.Errorf("%+v", got)
		}
		page, err := w.old.ListConnections(w.ctx, &api.ListConnectionsInput{MaxResults: new(int32(1))})
		if must(w, page, err).NextToken == "" || len(page.Connections) != 1 {
			w.Errorf("%+v", page)
		}
		page, err = w.old.ListConnections(w.ctx, &api.ListConnectionsInput{MaxResults: new(int32(1)), NextToken: page.NextToken})
		if must(w, page, err).NextToken != "" || page.Connections[0].ConnectionArn != old {
			w.Errorf("%+v", page)
		}
		page, err = w.ListConnections(w.ctx, &api.ListConnectionsInput{ProviderTypeFilter: "GitHub"})
		if len(must(w, page, err).Connections) != 1 {
			w.Errorf("%+v", page)
		}
		_, err = w.DeleteConnection(w.ctx, &api.DeleteConnectionInput{ConnectionArn: old})
		must(w, 0, err)
		for _, gone := range []string{old, arn + "x", strings.Replace(arn, "eu-west-1", "us-east-1", 1), strings.Replace(arn, "111111111111", "222222222222", 1), "arn:aws:s3:::x", ""} {
			_, err = w.GetConnection(w.ctx, &api.GetConnectionInput{ConnectionArn: gone})
			w.refused("ResourceNotFoundException", err)
			_, err = w.ListTagsForResource(w.ctx, &api.ListTagsForResourceInput{ResourceArn: gone})
			w.refused("ResourceNotFoundException", err)
		}
		_, err = w.CreateConnection(w.ctx, &api.CreateConnectionInput{ConnectionName: "x"})
		w.refused("ValidationException", err)
		_, err = w.CreateConnection(w.ctx, &api.CreateConnectionInput{ConnectionName: "x", ProviderType: "GitLabSelfManaged"})
		w.refused("ValidationException", err)
		_, err = w.ListConnections(t.Context(), &api.ListConnectionsInput{})
		w.refused("AccessDeniedException", err)
	})
}

// N-13: an address that nothing can be fetched from is refused when it is given, with the reason.
func TestCompleteConnectionRefuses(t *testing.T) {
	each(t, func(w *world) {
		out, err := w.CreateConnection(w.ctx, &api.CreateConnectionInput{ConnectionName: "c", ProviderType: "GitHub"})
		arn := must(w, out, err).ConnectionArn
		for url, want := range map[string]string{
			"ftp://git.example/{repository}":           "the scheme 'ftp' is none of https, http and file",
			"git@git.example:{repository}.git":         "it is not a URL",
			"https://{repository}":                     "",
			"https:///{repository}":                    "the URL has no host",
			"https://me:word@git.example/{repository}": "give them apart",
			"https://git.example/one.git":              "it has no {repository}",
			"file://{repository}":                      "file:///folder/repository",
		} {
			_, err := w.CompleteConnection(w.ctx, &api.CompleteConnectionInput{ConnectionArn: arn, GitUrl: url})
			if want == "" {
				must(w, 0, err)
				continue
			}
			w.refused("ValidationException", err)
			if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "It is like https://git.example.org/{repository}.git") {
				w.Errorf("%s: %v", url, err)
			}
		}
	})
}

// N-13, P-6: hosts, which a connection uses and whose address it takes.
func TestHosts(t *testing.T) {
	each(t, func(w *world) {
		made, err := w.CreateHost(w.ctx, &api.CreateHostInput{Name: "h", ProviderType: "GitHubEnterpriseServer", ProviderEndpoint: "https://git.corp.example/",
			VpcConfiguration: &api.VpcConfiguration{VpcId: "vpc-1", SubnetIds: []string{"s"}, SecurityGroupIds: []string{"g"}}})
		arn := must(w, made, err).HostArn
		out, err := w.CreateConnection(w.ctx, &api.CreateConnectionInput{ConnectionName: "c", HostArn: arn})
		conn := must(w, out, err).ConnectionArn
		done, err := w.CompleteConnection(w.ctx, &api.CompleteConnectionInput{ConnectionArn: conn, Token: "t0ken"})
		if must(w, done, err).GitUrl != "https://git.corp.example/{repository}.git" || done.ConnectionStatus != "AVAILABLE" {
			w.Errorf("%+v", done)
		}
		got, err := w.GetHost(w.ctx, &api.GetHostInput{HostArn: arn})
		if must(w, got, err).Status != "AVAILABLE" || got.VpcConfiguration.VpcId != "vpc-1" || got.ProviderType != "GitHubEnterpriseServer" {
			w.Errorf("%+v", got)
		}
		_, err = w.UpdateHost(w.ctx, &api.UpdateHostInput{HostArn: arn, ProviderEndpoint: "http://other.example"})
		must(w, 0, err)
		list, err := w.ListHosts(w.ctx, &api.ListHostsInput{})
		if l := must(w, list, err).Hosts; len(l) != 1 || l[0].ProviderEndpoint != "http://other.example" {
			w.Errorf("%+v", l)
		}
		_, err = w.DeleteHost(w.ctx, &api.DeleteHostInput{HostArn: arn})
		w.refused("ResourceUnavailableException", err)
		_, err = w.DeleteConnection(w.ctx, &api.DeleteConnectionInput{ConnectionArn: conn})
		must(w, 0, err)
		_, err = w.DeleteHost(w.ctx, &api.DeleteHostInput{HostArn: arn})
		must(w, 0, err)
		_, err = w.GetHost(w.ctx, &api.GetHostInput{HostArn: arn})
		w.refused("ResourceNotFoundException", err)
		for _, endpoint := range []string{"ftp://x", "x", "https://u@x", "https://x?y"} {
			_, err = w.CreateHost(w.ctx, &api.CreateHostInput{Name: "h", ProviderType: "GitHubEnterpriseServer", ProviderEndpoint: endpoint})
			w.refused("ValidationException", err)
		}
	})
}

// repository makes a repository root/owner/app with one commit and gives its id.
func repository(t *testing.T, root string) string {
	t.Helper()
	path := filepath.Join(root, "owner", "app.git")
	work := filepath.Join(root, "work")
	if err := errors.Join(os.MkdirAll(path, 0o755), os.MkdirAll(work, 0o755), os.WriteFile(filepath.Join(work, "f"), []byte("x"), 0o644)); err != nil {
		t.Fatal(err)
	}
	git := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + root, "GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=a@x", "GIT_COMMITTER_NAME=C", "GIT_COMMITTER_EMAIL=c@x"}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %q: %v %s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "-q", "--bare", "-b", "main", path)
	git("-C", work, "init", "-q", "-b", "main")
	git("-C", work, "add", "f")
	git("-C", work, "commit", "-q", "-m", "one")
	git("-C", work, "push", "-q", path, "main")
	return git("-C", work, "rev-parse", "HEAD")
}

// P-4, S-235: a revision through a connection, which must be completed first.
func TestUploadRevision(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	id := repository(t, root)
	w := newWorld(t, storetest.SQLite(t), fetch.Config{Files: root})
	arn := w.connect("GitHub")
	in := &api.UploadRevisionInput{ConnectionArn: arn, FullRepositoryId: "owner/app", BranchName: "main", S3Bucket: "b", S3Key: "k"}
	_, err := w.UploadRevision(w.ctx, in)
	w.refused("ResourceUnavailableException", err)
	done, err := w.CompleteConnection(w.ctx, &api.CompleteConnectionInput{ConnectionArn: arn, GitUrl: "file://" + root + "/{repository}.git"})
	if must(w, done, err).WebhookSecret == "" || !strings.HasPrefix(done.WebhookUrl, "https://ci.example/webhooks/connections/") {
		t.Errorf("%+v", done)
	}
	out, err := w.UploadRevision(w.ctx, in)
	if must(w, out, err).CommitId != id || out.CommitMessage != "one\n" || out.AuthorName != "Ann" || out.ProviderType != "GitHub" || out.AuthorDate == "" {
		t.Errorf("%+v", out)
	}
	if !strings.HasPrefix(w.objects["/b/k"], "PK") {
		t.Errorf("objects %q", w.objects)
	}
	in.Format, in.CommitId = "CODEBUILD_CLONE_REF", id
	_, err = w.UploadRevision(w.ctx, in)
	must(w, 0, err)
	var ref reference
	if err := json.Unmarshal([]byte(w.objects["/b/k"]), &ref); err != nil || ref.Commit != id || ref.URL != "file://"+root+"/owner/app.git" || ref.Credential.Ref != arn {
		t.Errorf("%+v %v", ref, err)
	}
	for class, change := range map[string]func(*api.UploadRevisionInput){
		"BranchDoesNotExistException":     func(in *api.UploadRevisionInput) { in.BranchName, in.CommitId = "gone", "" },
		"CommitDoesNotExistException":     func(in *api.UploadRevisionInput) { in.CommitId = strings.Repeat("1", 40) },
		"RepositoryNotReachableException": func(in *api.UploadRevisionInput) { in.FullRepositoryId = "owner/none" },
		"ValidationException":             func(in *api.UploadRevisionInput) { in.FullRepositoryId = "../../etc" },
		"ResourceNotFoundException":       func(in *api.UploadRevisionInput) { in.ConnectionArn += "x" },
		"AccessDenied":                    func(in *api.UploadRevisionInput) { in.S3Bucket = "forbidden" },
	} {
		bad := *in
		change(&bad)
		_, err := w.UploadRevision(w.ctx, &bad)
		w.refused(class, err)
	}
	poor, err := auth.Limited(t.Context(), auth.From(w.ctx), `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"codestar-connections:UseConnection","Resource":"*"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.UploadRevision(poor, in); err != nil { // old policies know the old name only
		t.Error(err)
	}
	_, err = w.GetConnection(poor, &api.GetConnectionInput{ConnectionArn: arn})
	w.refused("AccessDeniedException", err)
	_, err = w.CompleteConnection(w.ctx, &api.CompleteConnectionInput{ConnectionArn: w.connect("AzureDevOps")})
	w.refused("ValidationException", err)
}

func sign(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func (w *world) deliver(url, body string, header ...string) (int, string) {
	req := httptest.NewRequestWithContext(w.ctx, http.MethodPost, strings.TrimPrefix(url, "https://ci.example"), bytes.NewReader([]byte(body)))
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	w.ServeHook(rec, req)
	return rec.Code, rec.Body.String()
}

const secret = "a secret of the team"

func (w *world) hook(provider string) string {
	w.Helper()
	arn := w.connect(provider)
	out, err := w.CompleteConnection(w.ctx, &api.CompleteConnectionInput{ConnectionArn: arn, GitUrl: "https://git.example/{repository}", WebhookSecret: secret})
	return must(w, out, err).WebhookUrl
}

// P-4…P-7, S-93: who may deliver to a connection, and what comes of it.
func TestServeHook(t *testing.T) {
	each(t, func(w *world) {
		const push = `{"ref":"refs/heads/main","before":"2222222222222222222222222222222222222222","after":"1111111111111111111111111111111111111111","repository":{"full_name":"o/r"},"project":{"path_with_namespace":"o/r"},"push":{"changes":[{"new":{"type":"branch","name":"main","target":{"hash":"1111111111111111111111111111111111111111"}}}]}}`
		for _, c := range []struct {
			provider string
			genuine  []string
			forged   [][]string
		}{
			{"GitHub", []string{"X-GitHub-Event", "push", "X-GitHub-Delivery", "d", "X-Hub-Signature-256", sign(secret, push)},
				[][]string{{"X-GitHub-Event", "push"}, {"X-GitHub-Event", "push", "X-Hub-Signature-256", sign("x", push)}, {"X-GitHub-Event", "push", "X-Hub-Signature-256", "sha256="},
					{"X-GitHub-Event", "push", "X-Hub-Signature", sign(secret, push)}, {"X-GitHub-Event", "push", "X-Gitlab-Token", secret}}},
			{"GitLab", []string{"X-Gitlab-Event", "Push Hook", "X-Gitlab-Event-UUID", "d", "X-Gitlab-Token", secret}, [][]string{{"X-Gitlab-Token", secret + " "}, {}}},
			{"Bitbucket", []string{"X-Event-Key", "repo:push", "X-Request-UUID", "d", "X-Hub-Signature", sign(secret, push)},
				[][]string{{"X-Event-Key", "repo:push", "X-Hub-Signature-256", sign(secret, push)}, {}}},
		} {
			url := w.hook(c.provider)
			for _, forged := range c.forged {
				if status, text := w.deliver(url, push, forged...); status != 403 {
					w.Errorf("%s %q: %d %s", c.provider, forged, status, text)
				}
			}
			if len(w.events) != 0 {
				w.Fatalf("%s: a forged delivery was taken", c.provider)
			}
			if status, text := w.deliver(url, push, c.genuine...); status != 200 || text != "p: started by d/0\n" {
				w.Errorf("%s: %d %s", c.provider, status, text)
			}
			if len(w.events) != 1 || w.events[0].Branch != "main" || w.events[0].Provider != c.provider || w.events[0].Commit != strings.Repeat("1", 40) {
				w.Errorf("%s: %+v", c.provider, w.events)
			}
			w.events = nil
			w.fail = errors.New("the disk is full")
			if status, text := w.deliver(url, push, c.genuine...); status != 500 || strings.Contains(text, "disk") {
				w.Errorf("%d %s", status, text)
			}
			w.fail, w.events = nil, nil
		}
		url := w.hook("GitHub")
		signed := func(body string) []string {
			return []string{"X-GitHub-Event", "push", "X-Hub-Signature-256", sign(secret, body)}
		}
		for body, want := range map[string]int{"": 400, "{": 400, "[]": 400, "{}": 200, `{"ref":"refs/notes/x"}`: 200, `{"ref":5}`: 400,
			`{"ref":"refs/heads/x","after":"--all","repository":{"full_name":"o/r"}}`: 400, `{"ref":"refs/heads/x","after":"0","repository":{"full_name":"../x"}}`: 400,
			`{"ref":"refs/heads/x","after":"0","repository":{"full_name":""}}`: 400, strings.Repeat("[", 100000): 400} {
			if status, text := w.deliver(url, body, signed(body)...); status != want {
				w.Errorf("%.40q: %d %s", body, status, text)
			}
		}
		if len(w.events) != 0 {
			w.Errorf("%+v", w.events)
		}
		for _, path := range []string{"/webhooks/connections/", "/webhooks/connections/x", "/webhooks/connections/%00", url + "x", "/webhooks/connections/" + strings.Repeat("A", 5000)} {
			if status, _ := w.deliver(path, "{}"); status != 404 {
				w.Errorf("%.60s: %d", path, status)
			}
		}
		// An account whose senders are slow does not keep the others waiting.
		for range maxReading * 3 / 4 {
			leave, err := w.reading.Take(w.ctx, "111111111111")
			defer must(w, leave, err)()
		}
		other := *w
		other.ctx = auth.Trusted(w.Context(), auth.Caller{Account: "222222222222", Region: "eu-west-1", ARN: "arn:aws:iam::222222222222:user/admin"})
		if status, text := other.deliver(other.hook("GitHub"), "{}", signed("{}")...); status != 200 {
			w.Errorf("%d %s", status, text)
		}
		w.ctx = other.ctx
		if status, _ := w.deliver(w.hook("GitHub"), strings.Repeat(" ", maxDelivery+1)); status != 413 {
			w.Error(status)
		}
		if status, _ := w.deliver(w.hook("AzureDevOps"), "{}"); status != 404 {
			w.Error(status)
		}
		req := httptest.NewRequestWithContext(w.ctx, http.MethodGet, strings.TrimPrefix(url, "https://ci.example"), nil)
		rec := httptest.NewRecorder()
		if w.ServeHook(rec, req); rec.Code != 405 {
			w.Error(rec.Code)
		}
	})
}
