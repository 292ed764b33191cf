package app

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"penstock/internal/engine"
	"penstock/internal/pipeline"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// start starts a system on a folder and a database, which ends with the test at the latest.
func start(t *testing.T, data, database string) *App {
	t.Helper()
	cfg := Default()
	cfg.Data, cfg.Listen, cfg.Database, cfg.Log = data, "127.0.0.1:0", database, slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	a, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func (a *App) administrator() aws.Config {
	c := a.Credentials()
	return aws.Config{Region: c.Region, BaseEndpoint: &c.URL, Credentials: credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, "")}
}

func TestStartAndClose(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "deep", "data")
	a := start(t, data, "")
	for path, mode := range map[string]os.FileMode{".": 0o700, credentialsFile: 0o600, "penstock.db": 0o600, "node": 0o600} {
		info, err := os.Stat(filepath.Join(data, path))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v; want %v", path, info.Mode(), err, mode)
		}
	}
	read, err := ReadCredentials(data)
	if err != nil || read != a.Credentials() || read.URL != a.URL() || read.AccessKeyID == "" || read.SecretAccessKey == "" {
		t.Errorf("%+v, %v", read, err)
	}
	cfg := Default()
	cfg.Data, cfg.Listen = data, "127.0.0.1:0"
	if _, err := Start(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "in use by another penstock server") {
		t.Errorf("a second server on the folder: %v", err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := a.Wait(); err != nil {
		t.Error(err)
	}
	b := start(t, data, "")
	if b.Credentials().AccessKeyID != read.AccessKeyID || b.Credentials().SecretAccessKey != read.SecretAccessKey {
		t.Error("the credentials do not last")
	}
}

// watched makes a pipeline that an object starts, with its first execution failed for want of
// the object.
func watched(t *testing.T, a *App, poll string) *codepipeline.Client {
	t.Helper()
	ctx, cfg := t.Context(), a.administrator()
	roles := iam.NewFromConfig(cfg)
	if _, err := roles.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("release"), AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"codepipeline.amazonaws.com"}}]}`)}); err != nil {
		t.Fatal(err)
	}
	objects := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
	if _, err := objects.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("bucket")}); err != nil {
		t.Fatal(err)
	}
	if _, err := objects.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: aws.String("bucket"),
		VersioningConfiguration: &s3types.VersioningConfiguration{Status: s3types.BucketVersioningStatusEnabled}}); err != nil {
		t.Fatal(err)
	}
	configuration := map[string]string{"S3Bucket": "bucket", "S3ObjectKey": "a/b"}
	if poll != "" {
		configuration["PollForSourceChanges"] = poll
	}
	pipelines := codepipeline.NewFromConfig(cfg)
	if _, err := pipelines.CreatePipeline(ctx, &codepipeline.CreatePipelineInput{Pipeline: &types.PipelineDeclaration{
		Name: aws.String("p"), RoleArn: aws.String("arn:aws:iam::000000000000:role/release"),
		ArtifactStore: &types.ArtifactStore{Type: types.ArtifactStoreTypeS3, Location: aws.String("bucket")},
		Stages: []types.StageDeclaration{
			{Name: aws.String("Source"), Actions: []types.ActionDeclaration{{Name: aws.String("Object"), Configuration: configuration,
				ActionTypeId:    &types.ActionTypeId{Category: types.ActionCategorySource, Owner: types.ActionOwnerAws, Provider: aws.String("S3"), Version: aws.String("1")},
				OutputArtifacts: []types.OutputArtifact{{Name: aws.String("out")}}}}},
			{Name: aws.String("Approval"), Actions: []types.ActionDeclaration{{Name: aws.String("Look"),
				ActionTypeId: &types.ActionTypeId{Category: types.ActionCategoryApproval, Owner: types.ActionOwnerAws, Provider: aws.String("Manual"), Version: aws.String("1")}}}},
		},
	}}); err != nil {
		t.Fatal(err)
	}
	return pipelines
}

// patience is how long a test waits for what must come: only one that fails waits so long.
const patience = 5 * time.Minute

// triggers gives what started the executions, the newest first, once there are n.
func triggers(t *testing.T, pipelines *codepipeline.Client, n int) string {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		out, err := pipelines.ListPipelineExecutions(ctx, &codepipeline.ListPipelineExecutionsInput{PipelineName: aws.String("p")})
		if err != nil {
			t.Fatal(err)
		}
		if len(out.PipelineExecutionSummaries) >= n {
			var list []string
			for _, e := range out.PipelineExecutionSummaries {
				list = append(list, fmt.Sprint(e.Trigger.TriggerType, " ", aws.ToString(e.Trigger.TriggerDetail)))
			}
			return strings.Join(list, ", ")
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%d executions, want %d", len(out.PipelineExecutionSummaries), n)
		case <-again.C:
		}
	}
}

const byCaller = "CreatePipeline arn:aws:iam::000000000000:user/administrator"

// S-86, S-91, S-237, S-245: an object starts the pipeline once for what is new, a pipeline's creation is
// no change, and false switches it off.
func TestObjectStartsPipeline(t *testing.T) {
	t.Parallel()
	for poll, want := range map[string]string{
		"":      "PollForSourceChanges Object, " + byCaller,
		"true":  "PollForSourceChanges Object, " + byCaller,
		"False": "StartPipelineExecution arn:aws:iam::000000000000:user/administrator, " + byCaller,
	} {
		t.Run("PollForSourceChanges="+poll, func(t *testing.T) {
			t.Parallel()
			storetest.EachURL(t, func(t *testing.T, url string) {
				a := start(t, t.TempDir(), url)
				pipelines := watched(t, a, poll)
				objects := s3.NewFromConfig(a.administrator(), func(o *s3.Options) { o.UsePathStyle = true })
				if _, err := objects.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("bucket"), Key: aws.String("a/b"), Body: strings.NewReader("1")}); err != nil {
					t.Fatal(err)
				}
				if poll == "False" { // something else must come next then
					if _, err := pipelines.StartPipelineExecution(t.Context(), &codepipeline.StartPipelineExecutionInput{Name: aws.String("p")}); err != nil {
						t.Fatal(err)
					}
				}
				if got := triggers(t, pipelines, 2); got != want {
					t.Errorf("started by %s, want %s", got, want)
				}
				a.rooms.changes.object("arn:aws:s3:::bucket/a/b") // told twice
				if err := a.rooms.changes.changed(t.Context(), "arn:aws:s3:::bucket/a/b", revision); err != nil {
					t.Fatal(err)
				}
				if got := triggers(t, pipelines, 2); got != want {
					t.Errorf("started by %s, want %s", got, want)
				}
			})
		})
	}
}

// A write that was acknowledged right before a crash still starts the pipeline (S-245).
func TestLostNoticeStartsPipeline(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		data := t.TempDir()
		a := start(t, data, url)
		watched(t, a, "")
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		db := storetest.Open(t, url)
		err := db.Update(t.Context(), func(tx *store.Tx) error {
			_, err := tx.PutObject(t.Context(), &store.Object{Bucket: "bucket", Key: "a/b", Version: "v1", ETag: "e"})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		b := start(t, data, url)
		if got, want := triggers(t, codepipeline.NewFromConfig(b.administrator()), 2), "PollForSourceChanges Object, "+byCaller; got != want {
			t.Errorf("started by %s, want %s", got, want)
		}
	})
}

// S-310: the policy names the job's objects and nothing else, whatever their names mean in
// IAM.
func TestArtifactPolicy(t *testing.T) {
	t.Parallel()
	text, err := artifactPolicy("aws", engine.Job{Inputs: []pipeline.Artifact{{Bucket: "b", Key: "p/in*/${aws:x}?"}}, Outputs: []pipeline.Artifact{{Bucket: "b", Key: "p/out/1"}}})
	if err != nil {
		t.Fatal(err)
	}
	var doc struct{ Statement []statement }
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Statement) != 2 || doc.Statement[0].Resource[0] != "arn:aws:s3:::b/p/in${*}/${$}{aws:x}${?}" || doc.Statement[1].Resource[0] != "arn:aws:s3:::b/p/out/1" {
		t.Errorf("%s", text)
	}
}
