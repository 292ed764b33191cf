package app

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"penstock/internal/store/storetest"
)

// site is a system with a repository o/r behind a connection, and a pipeline that takes it.
type site struct {
	*testing.T
	a            *App
	pipelines    *codepipeline.Client
	root, work   string
	arn          string
	hook, secret string
}

func (s *site) git(args ...string) string {
	s.Helper()
	cmd := exec.CommandContext(s.Context(), "git", append([]string{"-C", s.work}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.root, "GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=a@x", "GIT_COMMITTER_NAME=C", "GIT_COMMITTER_EMAIL=c@x"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.Fatalf("git %q: %v %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit changes a file on a branch and pushes it.
func (s *site) commit(branch, file string) string {
	s.Helper()
	path := filepath.Join(s.work, file)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(file+time.Now().String()), 0o644)); err != nil {
		s.Fatal(err)
	}
	s.git("checkout", "-q", "-B", branch)
	s.git("add", "-A")
	s.git("commit", "-q", "-m", "change "+file)
	s.git("push", "-q", "-f", filepath.Join(s.root, "o", "r"), branch)
	return s.git("rev-parse", "HEAD")
}

func newSite(t *testing.T, database string) *site {
	t.Helper()
	s := &site{T: t, root: t.TempDir()}
	s.work = filepath.Join(s.root, "work")
	if err := errors.Join(os.MkdirAll(s.work, 0o755), os.MkdirAll(filepath.Join(s.root, "o"), 0o755)); err != nil {
		t.Fatal(err)
	}
	s.git("init", "-q", "-b", "main")
	s.git("init", "-q", "--bare", "-b", "main", filepath.Join(s.root, "o", "r"))
	s.commit("main", "first")
	cfg := Default()
	cfg.Data, cfg.Listen, cfg.Database, cfg.Log, cfg.ConnectionFiles, cfg.PollInterval = filepath.Join(t.TempDir(), "data"), "127.0.0.1:0", database, slog.New(slog.DiscardHandler), s.root, "0"
	a, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	s.a, s.pipelines = a, codepipeline.NewFromConfig(a.administrator())
	var made struct{ ConnectionArn string }
	s.call("CreateConnection", map[string]string{"ConnectionName": "c", "ProviderType": "GitHub"}, &made)
	var done struct{ WebhookUrl, WebhookSecret string }
	s.call("CompleteConnection", map[string]string{"ConnectionArn": made.ConnectionArn, "GitUrl": "file://" + s.root + "/{repository}"}, &done)
	s.arn, s.hook, s.secret = made.ConnectionArn, done.WebhookUrl, done.WebhookSecret
	objects := s3.NewFromConfig(a.administrator(), func(o *s3.Options) { o.UsePathStyle = true })
	if _, err := objects.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("bucket")}); err != nil {
		t.Fatal(err)
	}
	roles := iam.NewFromConfig(a.administrator())
	_, err = roles.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("release"), AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"codepipeline.amazonaws.com"}}]}`)})
	if err == nil {
		_, err = roles.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("release"), PolicyName: aws.String("p"), PolicyDocument: aws.String(
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*","codestar-connections:UseConnection"],"Resource":"*"}]}`)})
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *site) call(operation string, in, out any) {
	s.Helper()
	if err := CallConnections(s.Context(), s.a.administrator(), operation, in, out); err != nil {
		s.Fatal(err)
	}
}

// create makes a pipeline of the connection; push filters make it one of type V2.
func (s *site) create(name, detect string, push ...types.GitPushFilter) {
	s.Helper()
	d := &types.PipelineDeclaration{
		Name: &name, RoleArn: aws.String("arn:aws:iam::000000000000:role/release"), PipelineType: types.PipelineTypeV1,
		ArtifactStore: &types.ArtifactStore{Type: types.ArtifactStoreTypeS3, Location: aws.String("bucket")},
		Stages: []types.StageDeclaration{
			{Name: aws.String("Source"), Actions: []types.ActionDeclaration{{Name: aws.String("Git"), Namespace: aws.String("git"),
				Configuration:   map[string]string{"ConnectionArn": s.arn, "FullRepositoryId": "o/r", "BranchName": "main", "DetectChanges": detect},
				ActionTypeId:    &types.ActionTypeId{Category: types.ActionCategorySource, Owner: types.ActionOwnerAws, Provider: aws.String("CodeStarSourceConnection"), Version: aws.String("1")},
				OutputArtifacts: []types.OutputArtifact{{Name: aws.String("out")}}}}},
			{Name: aws.String("Approval"), Actions: []types.ActionDeclaration{{Name: aws.String("Look"),
				ActionTypeId: &types.ActionTypeId{Category: types.ActionCategoryApproval, Owner: types.ActionOwnerAws, Provider: aws.String("Manual"), Version: aws.String("1")}}}},
		},
	}
	if len(push) > 0 {
		d.PipelineType = types.PipelineTypeV2
		d.Triggers = []types.PipelineTriggerDeclaration{{ProviderType: types.PipelineTriggerProviderTypeCodeStarSourceConnection,
			GitConfiguration: &types.GitConfiguration{SourceActionName: aws.String("Git"), Push: push}}}
	}
	if _, err := s.pipelines.CreatePipeline(s.Context(), &codepipeline.CreatePipelineInput{Pipeline: d}); err != nil {
		s.Fatal(err)
	}
}

// deliver tells of a push as GitHub does.
func (s *site) deliver(id, ref, before, after string, commits ...string) string {
	s.Helper()
	var list []map[string]any
	for _, file := range commits {
		list = append(list, map[string]any{"id": after, "modified": []string{file}})
	}
	body, err := json.Marshal(map[string]any{"ref": ref, "before": before, "after": after, "commits": list, "repository": map[string]string{"full_name": "o/r"},
		"head_commit": map[string]any{"id": after, "message": "m", "timestamp": "2026-01-02T03:04:05+01:00", "author": map[string]string{"name": "Ann", "email": "a@x", "username": "ann"}}})
	if err != nil {
		s.Fatal(err)
	}
	mac := hmac.New(sha256.New, []byte(s.secret))
	mac.Write(body)
	req, err := http.NewRequestWithContext(s.Context(), http.MethodPost, s.hook, strings.NewReader(string(body)))
	if err != nil {
		s.Fatal(err)
	}
	req.Header.Set("X-GitHub-Event", "push")
	req.Header.Set("X-GitHub-Delivery", id)
	req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		s.Fatalf("%d %s %v", res.StatusCode, text, err)
	}
	return string(text)
}

// newest gives the newest execution of a pipeline and how many there are.
func (s *site) newest(name string) (types.PipelineExecutionSummary, int) {
	s.Helper()
	out, err := s.pipelines.ListPipelineExecutions(s.Context(), &codepipeline.ListPipelineExecutionsInput{PipelineName: &name})
	if err != nil {
		s.Fatal(err)
	}
	return out.PipelineExecutionSummaries[0], len(out.PipelineExecutionSummaries)
}

// sourced waits until the source action of an execution has ended, and gives it.
func (s *site) sourced(name string, id *string) types.ActionExecutionDetail {
	s.Helper()
	ctx, stop := context.WithTimeout(s.Context(), patience)
	defer stop()
	for ctx.Err() == nil {
		out, err := s.pipelines.ListActionExecutions(ctx, &codepipeline.ListActionExecutionsInput{PipelineName: &name, Filter: &types.ActionExecutionFilter{PipelineExecutionId: id}})
		if err != nil {
			s.Fatal(err)
		}
		for _, a := range out.ActionExecutionDetails {
			if *a.ActionName == "Git" && a.Status != types.ActionExecutionStatusInProgress {
				return a
			}
		}
	}
	s.Fatal("the source action does not end")
	return types.ActionExecutionDetail{}
}

// S-92, S-93, S-99, S-233, S-234, S-242, S-262, S-267, S-269, S-281, P-4: pushes through a
// connection start the pipelines that ask for them, once, with the commit of the push.
func TestConnectionStarts(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, database string) {
		s := newSite(t, database)
		s.create("every", "true")
		s.create("never", "false")
		s.create("filtered", "true", types.GitPushFilter{Branches: &types.GitBranchFilterCriteria{Includes: []string{"release/*"}},
			FilePaths: &types.GitFilePathFilterCriteria{Includes: []string{"src/**"}}})
		for _, name := range []string{"every", "never", "filtered"} { // S-59: the first execution takes the tip of the branch
			e, _ := s.newest(name)
			if a := s.sourced(name, e.PipelineExecutionId); a.Status != types.ActionExecutionStatusSucceeded {
				t.Fatalf("%s: %+v", name, a.Output)
			}
		}
		one, two := s.commit("release/1", "src/a"), s.commit("main", "docs/b")
		said := s.deliver("d1", "refs/heads/main", one, two, "docs/b")
		for _, want := range []string{"every: started ", "never: not started: action Git: DetectChanges is false", "filtered: not started: action Git: push filter 1: the branch 'main' matches none of 'release/*'"} {
			if !strings.Contains(said, want) {
				t.Errorf("%q is not in %s", want, said)
			}
		}
		if said := s.deliver("d1", "refs/heads/main", one, two, "docs/b"); !strings.Contains(said, "every: not started: this delivery has been acted on before") {
			t.Error(said)
		}
		e, n := s.newest("every")
		if n != 2 || e.Trigger.TriggerType != types.TriggerTypeWebhook || aws.ToString(e.Trigger.TriggerDetail) != s.arn {
			t.Errorf("%d, %+v", n, e.Trigger)
		}
		if a := s.sourced("every", e.PipelineExecutionId); a.Output.OutputVariables["CommitId"] != two {
			t.Errorf("%+v", a.Output)
		}
		// Another push has gone over this one; the commit of the event is taken all the same.
		s.commit("release/1", "src/later")
		if said := s.deliver("d2", "refs/heads/release/1", two, one, "src/a"); !strings.Contains(said, "filtered: started ") {
			t.Error(said)
		}
		e, n = s.newest("filtered")
		var detail map[string]string
		if err := json.Unmarshal([]byte(aws.ToString(e.Trigger.TriggerDetail)), &detail); n != 2 || err != nil || e.Trigger.TriggerType != types.TriggerTypeWebhookV2 ||
			detail["commit-id"] != one || detail["branch-name"] != "release/1" || detail["connection-arn"] != s.arn || detail["author-date"] != "2026-01-02T02:04:05Z" {
			t.Errorf("%d, %v, %v", n, e.Trigger, detail)
		}
		vars := s.sourced("filtered", e.PipelineExecutionId).Output.OutputVariables
		for key, want := range map[string]string{"CommitId": one, "BranchName": "release/1", "FullRepositoryName": "o/r", "ConnectionArn": s.arn, "ProviderType": "GitHub",
			"AuthorDisplayName": "Ann", "AuthorEmail": "a@x", "AuthorId": "ann", "CommitMessage": "change src/a\n"} {
			if vars[key] != want {
				t.Errorf("%s is %q, want %q", key, vars[key], want)
			}
		}
		// GitHub lists no commits of a forced push: the files are found by a fetch.
		three := s.commit("release/1", "src/c")
		if said := s.deliver("d3", "refs/heads/release/1", one, three); !strings.Contains(said, "filtered: started ") {
			t.Error(said)
		}
		var why struct {
			Facts        []string
			SourceEvents []struct{ Subject, Outcome string }
		}
		if err := CallPipelines(t.Context(), s.a.administrator(), "ExplainPipeline", map[string]string{"name": "filtered"}, &why); err != nil || len(why.SourceEvents) < 3 ||
			len(why.Facts) < 2 || !strings.HasPrefix(why.SourceEvents[0].Outcome, "started ") {
			t.Errorf("%+v %v", why, err)
		}
		if said := s.deliver("d5", "refs/heads/release/1", one, three, "docs/\x00\u0000"); !strings.Contains(said, "filtered: not started: ") || !strings.Contains(said, "src/**") {
			t.Error(said)
		}
		if said := s.deliver("d4", "refs/heads/release/1", three, strings.Repeat("0", 40)); !strings.Contains(said, "was deleted") {
			t.Error(said)
		}
	})
}
