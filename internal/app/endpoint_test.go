package app

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codecommit"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"penstock/internal/store/storetest"
)

// afar is a server whose S3 and CodeCommit are those of another server.
type afar struct {
	*testing.T
	there, here aws.Config
	a           *App
	pipelines   *codepipeline.Client
	at          time.Time
	poller      *poller
}

func newAfar(t *testing.T, database string) *afar {
	t.Helper()
	there := start(t, t.TempDir(), "")
	f := &afar{T: t, there: there.administrator(), at: time.Now()}
	cfg := Default()
	cfg.Data, cfg.Listen, cfg.Database, cfg.Log, cfg.PollInterval = filepath.Join(t.TempDir(), "data"), "127.0.0.1:0", database, slog.New(slog.DiscardHandler), "0"
	cfg.Account, cfg.Endpoint, cfg.EndpointCredentials = "111111111111", "s3="+there.URL()+" codecommit="+there.URL()+"/", f.there.Credentials
	a, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	f.a, f.here = a, a.administrator()
	f.pipelines = codepipeline.NewFromConfig(f.here)
	f.poller = &poller{every: time.Minute, db: a.db, changes: a.rooms.changes, refs: a.rooms.poller.refs, between: a.rooms.poller.between, away: a.rooms.poller.away, log: a.log, now: func() time.Time { return f.at }}
	for _, name := range []string{"bucket", "artifacts"} {
		f.bucket(f.there, name)
	}
	f.role("release", `["s3:*","codecommit:*","penstock:UseEndpoint"]`)
	f.role("weak", `["s3:*","codecommit:*"]`)
	return f
}

func objectsOf(cfg aws.Config) *s3.Client {
	return s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
}

func (f *afar) bucket(cfg aws.Config, name string) {
	f.Helper()
	_, err := objectsOf(cfg).CreateBucket(f.Context(), &s3.CreateBucketInput{Bucket: &name})
	if err == nil {
		_, err = objectsOf(cfg).PutBucketVersioning(f.Context(), &s3.PutBucketVersioningInput{Bucket: &name,
			VersioningConfiguration: &s3types.VersioningConfiguration{Status: s3types.BucketVersioningStatusEnabled}})
	}
	if err != nil {
		f.Fatal(err)
	}
}

func (f *afar) put(cfg aws.Config, text string) string {
	f.Helper()
	out, err := objectsOf(cfg).PutObject(f.Context(), &s3.PutObjectInput{Bucket: aws.String("bucket"), Key: aws.String("a/b"), Body: strings.NewReader(text)})
	if err != nil {
		f.Fatal(err)
	}
	return aws.ToString(out.VersionId)
}

func (f *afar) role(name, actions string) {
	f.Helper()
	roles := iam.NewFromConfig(f.here)
	_, err := roles.CreateRole(f.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"codepipeline.amazonaws.com"}}]}`)})
	if err == nil {
		_, err = roles.PutRolePolicy(f.Context(), &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String("p"), PolicyDocument: aws.String(
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":` + actions + `,"Resource":"*"}]}`)})
	}
	if err != nil {
		f.Fatal(err)
	}
}

// pipeline makes one of a source and an approval.
func (f *afar) pipeline(pipelines *codepipeline.Client, name, role, provider string, configuration map[string]string) {
	f.Helper()
	if _, err := pipelines.CreatePipeline(f.Context(), &codepipeline.CreatePipelineInput{Pipeline: &types.PipelineDeclaration{
		Name: &name, RoleArn: aws.String("arn:aws:iam::111111111111:role/" + role), ExecutionMode: types.ExecutionModeQueued, PipelineType: types.PipelineTypeV2,
		ArtifactStore: &types.ArtifactStore{Type: types.ArtifactStoreTypeS3, Location: aws.String("artifacts")},
		Stages: []types.StageDeclaration{
			{Name: aws.String("Source"), Actions: []types.ActionDeclaration{{Name: aws.String("Take"), Configuration: configuration,
				ActionTypeId:    &types.ActionTypeId{Category: types.ActionCategorySource, Owner: types.ActionOwnerAws, Provider: &provider, Version: aws.String("1")},
				OutputArtifacts: []types.OutputArtifact{{Name: aws.String("out")}}}}},
			{Name: aws.String("Ask"), Actions: []types.ActionDeclaration{{Name: aws.String("Ask"),
				ActionTypeId: &types.ActionTypeId{Category: types.ActionCategoryApproval, Owner: types.ActionOwnerAws, Provider: aws.String("Manual"), Version: aws.String("1")}}}},
		},
	}}); err != nil {
		f.Fatal(err)
	}
}

// taken waits for the nth execution of a pipeline to have run its source and says what came of it.
func (f *afar) taken(pipelines *codepipeline.Client, name string, n int) (trigger, status, what string, bucket string) {
	f.Helper()
	ctx, stop := context.WithTimeout(f.Context(), patience)
	defer stop()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		list, err := pipelines.ListPipelineExecutions(ctx, &codepipeline.ListPipelineExecutionsInput{PipelineName: &name})
		if err != nil {
			f.Fatal(err)
		}
		if len(list.PipelineExecutionSummaries) > n {
			f.Fatalf("%d executions of %s, want %d", len(list.PipelineExecutionSummaries), name, n)
		}
		if len(list.PipelineExecutionSummaries) == n {
			e := list.PipelineExecutionSummaries[0]
			runs, err := pipelines.ListActionExecutions(ctx, &codepipeline.ListActionExecutionsInput{PipelineName: &name,
				Filter: &types.ActionExecutionFilter{PipelineExecutionId: e.PipelineExecutionId}})
			if err != nil {
				f.Fatal(err)
			}
			for _, r := range runs.ActionExecutionDetails {
				if aws.ToString(r.ActionName) != "Take" || r.Status == types.ActionExecutionStatusInProgress {
					continue
				}
				what = aws.ToString(r.Output.ExecutionResult.ExternalExecutionId)
				if d := r.Output.ExecutionResult.ErrorDetails; d != nil {
					what = aws.ToString(d.Code) + " " + aws.ToString(d.Message)
				}
				for _, o := range r.Output.OutputArtifacts {
					bucket = aws.ToString(o.S3location.Bucket) + "/" + aws.ToString(o.S3location.Key)
				}
				return string(e.Trigger.TriggerType) + " " + aws.ToString(e.Trigger.TriggerDetail), string(r.Status), what, bucket
			}
		}
		select {
		case <-ctx.Done():
			f.Fatalf("%s has %d executions, and the last did not take its source", name, len(list.PipelineExecutionSummaries))
		case <-again.C:
		}
	}
}

func (f *afar) round(after time.Duration) {
	f.Helper()
	f.at = f.at.Add(after)
	if err := f.poller.round(f.Context()); err != nil {
		f.Fatal(err)
	}
}

// S-91, S-236, S-237, S-245, P-1: an object at another endpoint is the source of a pipeline, is
// polled with the role of its action, and what is in the bucket of that name here is not it.
func TestObjectAfar(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, database string) {
		f := newAfar(t, database)
		f.bucket(f.here, "bucket")
		first := f.put(f.there, "one")
		f.pipeline(f.pipelines, "p", "release", "S3", map[string]string{"S3Bucket": "bucket", "S3ObjectKey": "a/b"})
		if trigger, status, what, artifact := f.taken(f.pipelines, "p", 1); status != "Succeeded" || what != first || !strings.HasPrefix(artifact, "artifacts/p/") {
			t.Fatalf("%s %s %s %s, want %s", trigger, status, what, artifact, first)
		} else if out, err := objectsOf(f.there).GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("artifacts"), Key: aws.String(strings.TrimPrefix(artifact, "artifacts/"))}); err != nil {
			t.Error(err)
		} else if text, err := io.ReadAll(out.Body); err != nil || string(text) != "one" {
			t.Errorf("%q %v", text, err)
		}
		f.round(0) // the first look
		f.put(f.here, "here")
		if err := f.a.rooms.changes.changed(t.Context(), "arn:aws:s3:::bucket/a/b", revision); err != nil {
			t.Fatal(err)
		}
		second := f.put(f.there, "two")
		f.round(59 * time.Second)
		f.taken(f.pipelines, "p", 1)
		f.round(time.Second)
		if trigger, status, what, _ := f.taken(f.pipelines, "p", 2); trigger != "PollForSourceChanges Take" || status != "Succeeded" || what != second {
			t.Errorf("%s %s %s, want %s", trigger, status, what, second)
		}
		f.round(time.Minute)
		f.taken(f.pipelines, "p", 2)
		f.a.rooms.changes.limits.PollIdle = time.Nanosecond // S-246
		f.put(f.there, "three")
		f.round(time.Minute)
		f.taken(f.pipelines, "p", 2)
	})
}

// S-237, S-245, P-2: so it is with a branch, which may be made after the pipeline.
func TestBranchAfar(t *testing.T) {
	t.Parallel()
	f := newAfar(t, "")
	repositories := codecommit.NewFromConfig(f.there)
	if _, err := repositories.CreateRepository(t.Context(), &codecommit.CreateRepositoryInput{RepositoryName: aws.String("app")}); err != nil {
		t.Fatal(err)
	}
	f.pipeline(f.pipelines, "p", "release", "CodeCommit", map[string]string{"RepositoryName": "app", "BranchName": "main"})
	if _, status, what, _ := f.taken(f.pipelines, "p", 1); status != "Failed" {
		t.Fatalf("%s %s", status, what)
	}
	f.round(0)
	out, err := repositories.PutFile(t.Context(), &codecommit.PutFileInput{RepositoryName: aws.String("app"), BranchName: aws.String("main"), FilePath: aws.String("a"), FileContent: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	f.round(time.Minute)
	if trigger, status, what, _ := f.taken(f.pipelines, "p", 2); trigger != "PollForSourceChanges Take" || status != "Succeeded" || what != *out.CommitId {
		t.Errorf("%s %s %s, want %s", trigger, status, what, *out.CommitId)
	}
}

// P-1: who may use the operator's credentials: the configured account in the configured Region, with
// a role that is allowed to. Others have the rooms of the server.
func TestEndpointIsGuarded(t *testing.T) {
	t.Parallel()
	f := newAfar(t, "")
	f.put(f.there, "one")
	configuration := map[string]string{"S3Bucket": "bucket", "S3ObjectKey": "a/b"}
	f.pipeline(f.pipelines, "weak", "weak", "S3", configuration)
	if _, status, what, _ := f.taken(f.pipelines, "weak", 1); status != "Failed" || !strings.Contains(what, "penstock:UseEndpoint") || !strings.HasPrefix(what, "PermissionError") {
		t.Errorf("%s %s", status, what)
	}
	other := f.here.Copy()
	other.Region = "eu-west-1"
	f.bucket(other, "bucket")
	f.bucket(other, "artifacts")
	here := f.put(other, "here")
	elsewhere := codepipeline.NewFromConfig(other)
	f.pipeline(elsewhere, "other", "weak", "S3", configuration)
	if _, status, what, _ := f.taken(elsewhere, "other", 1); status != "Succeeded" || what != here {
		t.Errorf("%s %s, want %s", status, what, here)
	}
	// A failure to ask puts the next question off.
	for range 2 {
		f.round(time.Minute)
		failed := 0
		for q, turn := range f.poller.next {
			failed += turn.failed
			if turn.failed > 0 && turn.at.Before(f.at) {
				t.Errorf("%+v: %+v", q, turn)
			}
		}
		if failed != 1 {
			t.Errorf("failed %d times: %+v", failed, f.poller.next)
		}
	}
}

func TestParseEndpoints(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"s3": "it is like", "s3=ftp://x": "it is like", "s4=http://x": "are codebuild, codecommit,", "S3=http://x": "it is like", "s3=http://u:p@x": "no user", "s3=http://x?q": "no user", "s3=http://x s3=http://y": "twice",
	} {
		c := Default()
		c.Endpoint = text
		if err := c.check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	c := Default()
	c.Endpoint = "s3=https://s3.{region}.amazonaws.com/ codecommit=https://cc.example/base"
	e, err := parseEndpoints(&c)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ service, account, region, want string }{
		{"s3", c.Account, "us-east-1", "https://s3.us-east-1.amazonaws.com"}, {"s3", c.Account, "eu-west-1", "https://s3.eu-west-1.amazonaws.com"},
		{"s3", "999999999999", "us-east-1", ""}, {"codecommit", c.Account, "us-east-1", "https://cc.example/base"}, {"codecommit", c.Account, "eu-west-1", ""}, {"sns", c.Account, "us-east-1", ""},
	} {
		u, ok := e.of(x.service, x.account, x.region)
		if ok != (x.want != "") || ok && u.String() != x.want {
			t.Errorf("%+v: %v", x, u)
		}
	}
}

// The operator's credentials are those of the environment, else of a profile.
func TestOperatorCredentials(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(file, []byte("[default]\naws_access_key_id=D\naws_secret_access_key=ds\n# no\n[ci]\naws_access_key_id = C\naws_secret_access_key = cs=\naws_session_token = t\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		env  map[string]string
		want string
	}{
		{map[string]string{"AWS_ACCESS_KEY_ID": "E", "AWS_SECRET_ACCESS_KEY": "es", "AWS_PROFILE": "ci"}, "E es "},
		{map[string]string{}, "D ds "}, {map[string]string{"AWS_PROFILE": "ci"}, "C cs= t"}, {map[string]string{"AWS_PROFILE": "none"}, ""},
		{map[string]string{"AWS_SHARED_CREDENTIALS_FILE": file + ".none"}, ""},
	} {
		got, err := operatorCredentials(&Config{}, func(name string) string {
			if name == "AWS_SHARED_CREDENTIALS_FILE" && x.env[name] == "" {
				return file
			}
			return x.env[name]
		}).Retrieve(t.Context())
		if x.want == "" {
			if !errors.Is(err, errNoCredentials) {
				t.Errorf("%v: %v", x.env, err)
			}
			continue
		}
		if text := got.AccessKeyID + " " + got.SecretAccessKey + " " + got.SessionToken; err != nil || text != x.want {
			t.Errorf("%v: %s %v", x.env, text, err)
		}
	}
}
