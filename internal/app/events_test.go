package app

import (
	"context"
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

// ruled makes pipelines whose source stage begins with an action that a worker elsewhere ends,
// so that a test decides when the source after it runs.
type ruled struct {
	*testing.T
	cfg       aws.Config
	pipelines *codepipeline.Client
}

func newRuled(t *testing.T, a *App) *ruled {
	t.Helper()
	ctx, cfg := t.Context(), a.administrator()
	g := &ruled{T: t, cfg: cfg, pipelines: codepipeline.NewFromConfig(cfg)}
	roles := iam.NewFromConfig(cfg)
	for name, service := range map[string]string{"release": "codepipeline", "starter": "events"} {
		if _, err := roles.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: aws.String(
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"` + service + `.amazonaws.com"}}]}`)}); err != nil {
			t.Fatal(err)
		}
		if _, err := roles.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String("all"), PolicyDocument: aws.String(
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*","codecommit:*","codepipeline:StartPipelineExecution"],"Resource":"*"}]}`)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true }).CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("artifacts")}); err != nil {
		t.Fatal(err)
	}
	none := &types.ArtifactDetails{MinimumCount: 0, MaximumCount: 0}
	if _, err := g.pipelines.CreateCustomActionType(ctx, &codepipeline.CreateCustomActionTypeInput{Category: types.ActionCategorySource, Provider: aws.String("Gate"),
		Version: aws.String("1"), InputArtifactDetails: none, OutputArtifactDetails: none}); err != nil {
		t.Fatal(err)
	}
	return g
}

// pipeline makes one with a rule that starts it, and stops its first execution.
func (g *ruled) pipeline(name, provider string, configuration map[string]string, pattern string, transform map[string]any) {
	g.Helper()
	ctx := g.Context()
	configuration["PollForSourceChanges"] = "false"
	id := func(category types.ActionCategory, owner types.ActionOwner, provider string) *types.ActionTypeId {
		return &types.ActionTypeId{Category: category, Owner: owner, Provider: &provider, Version: aws.String("1")}
	}
	made, err := g.pipelines.CreatePipeline(ctx, &codepipeline.CreatePipelineInput{Pipeline: &types.PipelineDeclaration{
		Name: &name, RoleArn: aws.String("arn:aws:iam::000000000000:role/release"), PipelineType: types.PipelineTypeV2, ExecutionMode: types.ExecutionModeQueued,
		ArtifactStore: &types.ArtifactStore{Type: types.ArtifactStoreTypeS3, Location: aws.String("artifacts")},
		Stages: []types.StageDeclaration{
			{Name: aws.String("Source"), Actions: []types.ActionDeclaration{
				{Name: aws.String("Gate"), RunOrder: aws.Int32(1), ActionTypeId: id(types.ActionCategorySource, types.ActionOwnerCustom, "Gate")},
				{Name: aws.String("Take"), RunOrder: aws.Int32(2), ActionTypeId: id(types.ActionCategorySource, types.ActionOwnerAws, provider),
					Configuration: configuration, OutputArtifacts: []types.OutputArtifact{{Name: aws.String("out")}}}}},
			{Name: aws.String("Ask"), Actions: []types.ActionDeclaration{{Name: aws.String("Ask"), ActionTypeId: id(types.ActionCategoryApproval, types.ActionOwnerAws, "Manual")}}},
		},
	}})
	if err != nil {
		g.Fatal(err)
	}
	first := g.execution(name, func(types.PipelineExecutionSummary) bool { return true })
	if _, err := g.pipelines.StopPipelineExecution(ctx, &codepipeline.StopPipelineExecutionInput{PipelineName: made.Pipeline.Name, PipelineExecutionId: &first, Abandon: true}); err != nil {
		g.Fatal(err)
	}
	g.rules("PutRule", map[string]any{"Name": name, "EventPattern": pattern})
	target := map[string]any{"Id": "p", "Arn": "arn:aws:codepipeline:us-east-1:000000000000:" + name, "RoleArn": "arn:aws:iam::000000000000:role/starter"}
	if transform != nil {
		target["InputTransformer"] = transform
	}
	g.rules("PutTargets", map[string]any{"Rule": name, "Targets": []any{target}})
}

// rules calls EventBridge.
func (g *ruled) rules(operation string, in map[string]any) {
	g.Helper()
	if err := callService(g.Context(), g.cfg, "events", "AWSEvents."+operation, "application/x-amz-json-1.1", in, &struct{}{}); err != nil {
		g.Fatal(err)
	}
}

// until asks again until it is answered.
func (g *ruled) until(what string, answered func(ctx context.Context) bool) {
	g.Helper()
	ctx, stop := context.WithTimeout(g.Context(), patience)
	defer stop()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for !answered(ctx) {
		select {
		case <-ctx.Done():
			g.Fatal(what)
		case <-again.C:
		}
	}
}

// execution waits for an execution and gives its id.
func (g *ruled) execution(name string, is func(types.PipelineExecutionSummary) bool) (id string) {
	g.Helper()
	g.until("no such execution of "+name, func(ctx context.Context) bool {
		out, err := g.pipelines.ListPipelineExecutions(ctx, &codepipeline.ListPipelineExecutionsInput{PipelineName: &name})
		if err != nil {
			g.Fatal(err)
		}
		for _, e := range out.PipelineExecutionSummaries {
			if is(e) {
				id = *e.PipelineExecutionId
			}
		}
		return id != ""
	})
	return id
}

// started waits for the first execution that the rule of the pipeline's name has started.
func (g *ruled) started(name string) string {
	g.Helper()
	return g.execution(name, func(e types.PipelineExecutionSummary) bool {
		return e.Trigger.TriggerType == types.TriggerTypeCloudWatchEvent && aws.ToString(e.Trigger.TriggerDetail) == "arn:aws:events:us-east-1:000000000000:rule/"+name
	})
}

// open lets every execution that waits at its gate pass, until the one has taken its source,
// and gives the revision.
func (g *ruled) open(name, execution string) (revision string) {
	g.Helper()
	gate := &types.ActionTypeId{Category: types.ActionCategorySource, Owner: types.ActionOwnerCustom, Provider: aws.String("Gate"), Version: aws.String("1")}
	g.until("the source of "+name+" took nothing", func(ctx context.Context) bool {
		jobs, err := g.pipelines.PollForJobs(ctx, &codepipeline.PollForJobsInput{ActionTypeId: gate, MaxBatchSize: aws.Int32(10)})
		if err != nil {
			g.Fatal(err)
		}
		for _, j := range jobs.Jobs {
			if _, err := g.pipelines.AcknowledgeJob(ctx, &codepipeline.AcknowledgeJobInput{JobId: j.Id, Nonce: j.Nonce}); err != nil {
				continue // of an execution that was stopped
			}
			if _, err := g.pipelines.PutJobSuccessResult(ctx, &codepipeline.PutJobSuccessResultInput{JobId: j.Id,
				CurrentRevision: &types.CurrentRevision{Revision: aws.String("1"), ChangeIdentifier: aws.String("1")}}); err != nil {
				g.Fatal(err)
			}
		}
		out, err := g.pipelines.GetPipelineExecution(ctx, &codepipeline.GetPipelineExecutionInput{PipelineName: &name, PipelineExecutionId: &execution})
		if err != nil {
			g.Fatal(err)
		}
		for _, r := range out.PipelineExecution.ArtifactRevisions {
			if aws.ToString(r.Name) == "out" {
				revision = aws.ToString(r.RevisionId)
			}
		}
		return revision != ""
	})
	return revision
}

// S-150, S-234, S-238, N-14: a rule on the event of a new object starts a pipeline. Its source
// takes what is there when it runs, which may be newer than the event, or exactly the version
// of the event where the rule's transformer names it.
func TestObjectEvent(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		a := start(t, t.TempDir(), url)
		g := newRuled(t, a)
		ctx, bucket := t.Context(), aws.String("sources")
		objects := s3.NewFromConfig(g.cfg, func(o *s3.Options) { o.UsePathStyle = true })
		if _, err := objects.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket}); err != nil {
			t.Fatal(err)
		}
		if _, err := objects.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: bucket,
			VersioningConfiguration: &s3types.VersioningConfiguration{Status: s3types.BucketVersioningStatusEnabled}}); err != nil {
			t.Fatal(err)
		}
		if _, err := objects.PutBucketNotificationConfiguration(ctx, &s3.PutBucketNotificationConfigurationInput{Bucket: bucket,
			NotificationConfiguration: &s3types.NotificationConfiguration{EventBridgeConfiguration: &s3types.EventBridgeConfiguration{}}}); err != nil {
			t.Fatal(err)
		}
		put := func(text string) string {
			out, err := objects.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: aws.String("app.zip"), Body: strings.NewReader(text)})
			if err != nil {
				t.Fatal(err)
			}
			return *out.VersionId
		}
		const pattern = `{"source":["aws.s3"],"detail-type":["Object Created"],"detail":{"bucket":{"name":["sources"]},"object":{"key":["app.zip"]}}}`
		source := map[string]string{"S3Bucket": "sources", "S3ObjectKey": "app.zip"}
		g.pipeline("latest", "S3", source, pattern, nil)
		g.pipeline("exact", "S3", source, pattern, map[string]any{"InputPathsMap": map[string]string{"v": "$.detail.object.version-id"},
			"InputTemplate": `{"sourceRevisions":[{"actionName":"Take","revisionType":"S3_OBJECT_VERSION_ID","revisionValue":<v>}]}`})
		first := put("one")
		latest, exact := g.started("latest"), g.started("exact")
		second := put("two")
		if got := g.open("latest", latest); got != second {
			t.Errorf("took %s; the event was of %s, and %s is the latest", got, first, second)
		}
		if got := g.open("exact", exact); got != first {
			t.Errorf("took %s instead of the event's %s", got, first)
		}
	})
}

// S-150, S-234, S-238: so it is with the event of a push.
func TestPushEvent(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		a := start(t, t.TempDir(), url)
		g := newRuled(t, a)
		ctx, name := t.Context(), aws.String("app")
		repositories := codecommit.NewFromConfig(g.cfg)
		if _, err := repositories.CreateRepository(ctx, &codecommit.CreateRepositoryInput{RepositoryName: name}); err != nil {
			t.Fatal(err)
		}
		parent := (*string)(nil)
		put := func(text string) string {
			out, err := repositories.PutFile(ctx, &codecommit.PutFileInput{RepositoryName: name, BranchName: aws.String("main"), FilePath: aws.String("a"),
				FileContent: []byte(text), ParentCommitId: parent})
			if err != nil {
				t.Fatal(err)
			}
			parent = out.CommitId
			return *parent
		}
		put("zero")
		const pattern = `{"source":["aws.codecommit"],"detail-type":["CodeCommit Repository State Change"],"resources":["arn:aws:codecommit:us-east-1:000000000000:app"],` +
			`"detail":{"event":["referenceUpdated"],"referenceType":["branch"],"referenceName":["main"]}}`
		source := map[string]string{"RepositoryName": "app", "BranchName": "main"}
		g.pipeline("latest", "CodeCommit", source, pattern, nil)
		g.pipeline("exact", "CodeCommit", source, pattern, map[string]any{"InputPathsMap": map[string]string{"c": "$.detail.commitId"},
			"InputTemplate": `{"sourceRevisions":[{"actionName":"Take","revisionType":"COMMIT_ID","revisionValue":"<c>"}]}`})
		first := put("one")
		latest, exact := g.started("latest"), g.started("exact")
		second := put("two")
		if got := g.open("latest", latest); got != second {
			t.Errorf("took %s; the event was of %s, and %s is the head", got, first, second)
		}
		if got := g.open("exact", exact); got != first {
			t.Errorf("took %s instead of the event's %s", got, first)
		}
	})
}

// S-238, S-259: that a rule could not start its pipeline, and why, is explained at the pipeline.
func TestRuleMayNotStart(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		a := start(t, t.TempDir(), url)
		g := newRuled(t, a)
		g.pipeline("mine", "S3", map[string]string{"S3Bucket": "artifacts", "S3ObjectKey": "app.zip"}, `{"source":["my.app"]}`, nil)
		if _, err := iam.NewFromConfig(g.cfg).DeleteRolePolicy(t.Context(), &iam.DeleteRolePolicyInput{RoleName: aws.String("starter"), PolicyName: aws.String("all")}); err != nil {
			t.Fatal(err)
		}
		g.rules("PutEvents", map[string]any{"Entries": []any{map[string]any{"Source": "my.app", "DetailType": "x", "Detail": "{}"}}})
		var why struct {
			SourceEvents []struct{ Subject, Outcome string }
		}
		g.until("nothing is said of the rule", func(ctx context.Context) bool {
			if err := CallPipelines(ctx, g.cfg, "ExplainPipeline", map[string]string{"name": "mine"}, &why); err != nil {
				t.Fatal(err)
			}
			return len(why.SourceEvents) > 0
		})
		if e := why.SourceEvents[0]; e.Subject != "an event of the rule arn:aws:events:us-east-1:000000000000:rule/mine" ||
			!strings.HasPrefix(e.Outcome, "not started: AccessDeniedException: ") || !strings.Contains(e.Outcome, "starter") {
			t.Errorf("%+v", e)
		}
	})
}
