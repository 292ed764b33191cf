package e2e

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

// life is the SDK for Go at work on one pipeline.
type life struct {
	*testing.T
	*codepipeline.Client
	site *site
}

// ok gives the output of a call that must succeed.
func ok[T any](l *life, out T, err error) T {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
	return out
}

func kind(category types.ActionCategory, owner types.ActionOwner, provider string) *types.ActionTypeId {
	return &types.ActionTypeId{Category: category, Owner: owner, Provider: &provider, Version: new("1")}
}

// take waits for the next job of a queue and acknowledges it.
func (l *life) take(category types.ActionCategory) types.Job {
	l.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-time.After(20 * time.Millisecond) {
		out, err := l.PollForJobs(l.Context(), &codepipeline.PollForJobsInput{ActionTypeId: kind(category, types.ActionOwnerCustom, "Go"), QueryParam: map[string]string{"Project": "go"}})
		if jobs := ok(l, out, err).Jobs; len(jobs) == 1 {
			a, err := l.AcknowledgeJob(l.Context(), &codepipeline.AcknowledgeJobInput{JobId: jobs[0].Id, Nonce: jobs[0].Nonce})
			if ok(l, a, err).Status != types.JobStatusInProgress {
				l.Fatalf("acknowledged: %s", a.Status)
			}
			return jobs[0]
		}
	}
	l.Fatalf("no %s job", category)
	return types.Job{}
}

// storage is S3 with the credentials of a job, and place where one of its artifacts is.
func (l *life) storage(j types.Job) *s3.Client {
	cfg := l.site.config()
	k := j.Data.ArtifactCredentials
	cfg.Credentials = credentials.NewStaticCredentialsProvider(*k.AccessKeyId, *k.SecretAccessKey, *k.SessionToken)
	return s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
}

func (l *life) stage(name string) types.StageState {
	l.Helper()
	out, err := l.GetPipelineState(l.Context(), &codepipeline.GetPipelineStateInput{Name: new("go")})
	for _, s := range ok(l, out, err).StageStates {
		if *s.StageName == name {
			return s
		}
	}
	l.Fatalf("no stage %s", name)
	return types.StageState{}
}

func refusedWith[E error](l *life, err error) {
	l.Helper()
	var e E
	var api smithy.APIError
	if !errors.As(err, &e) || !errors.As(err, &api) || api.ErrorMessage() == "" {
		l.Errorf("got %v, want a %T with a message", err, e)
	}
}

// C-26: the SDK for Go, unmodified, through the life of a pipeline: the same one that
// js/lifecycle.mjs leads.
func TestGo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	l := &life{t, s.pipelines, s}
	bounds := func(n int32) *types.ArtifactDetails {
		return &types.ArtifactDetails{MinimumCount: 0, MaximumCount: n}
	}
	for category, n := range map[types.ActionCategory]int32{types.ActionCategorySource: 0, types.ActionCategoryDeploy: 1} {
		out, err := l.CreateCustomActionType(t.Context(), &codepipeline.CreateCustomActionTypeInput{Category: category, Provider: new("Go"), Version: new("1"),
			InputArtifactDetails: bounds(n), OutputArtifactDetails: bounds(1 - n),
			ConfigurationProperties: []types.ActionConfigurationProperty{{Name: new("Project"), Required: true, Key: true, Queryable: true}}})
		ok(l, out, err)
	}
	project := map[string]string{"Project": "go"}
	d := &types.PipelineDeclaration{Name: new("go"), RoleArn: &s.role, PipelineType: types.PipelineTypeV2, ArtifactStore: &types.ArtifactStore{Type: types.ArtifactStoreTypeS3, Location: new("artifacts")},
		Variables: []types.PipelineVariableDeclaration{{Name: new("color"), DefaultValue: new("red")}},
		Stages: []types.StageDeclaration{
			{Name: new("Source"), Actions: []types.ActionDeclaration{{Name: new("Fetch"), ActionTypeId: kind(types.ActionCategorySource, types.ActionOwnerCustom, "Go"), Configuration: project,
				OutputArtifacts: []types.OutputArtifact{{Name: new("tree")}}}}},
			{Name: new("Release"), Actions: []types.ActionDeclaration{
				{Name: new("Approve"), ActionTypeId: kind(types.ActionCategoryApproval, types.ActionOwnerAws, "Manual")},
				{Name: new("Publish"), RunOrder: new(int32(2)), ActionTypeId: kind(types.ActionCategoryDeploy, types.ActionOwnerCustom, "Go"), Configuration: project,
					InputArtifacts: []types.InputArtifact{{Name: new("tree")}}}}},
		}}
	made, err := l.CreatePipeline(t.Context(), &codepipeline.CreatePipelineInput{Pipeline: d, Tags: []types.Tag{{Key: new("team"), Value: new("green")}}})
	if *ok(l, made, err).Pipeline.Version != 1 {
		t.Errorf("made %+v", made.Pipeline)
	}
	_, err = l.CreatePipeline(t.Context(), &codepipeline.CreatePipelineInput{Pipeline: d})
	refusedWith[*types.PipelineNameInUseException](l, err)
	got, err := l.GetPipeline(t.Context(), &codepipeline.GetPipelineInput{Name: new("go")})
	if c := ok(l, got, err).Metadata.Created; time.Since(*c).Abs() > 5*time.Minute {
		t.Errorf("created at %s", c)
	}

	job := l.take(types.ActionCategorySource)
	at := job.Data.OutputArtifacts[0].Location.S3Location
	put, err := l.storage(job).PutObject(t.Context(), &s3.PutObjectInput{Bucket: at.BucketName, Key: at.ObjectKey, Body: strings.NewReader("built by Go")})
	ok(l, put, err)
	done, err := l.PutJobSuccessResult(t.Context(), &codepipeline.PutJobSuccessResultInput{JobId: job.Id,
		CurrentRevision:  &types.CurrentRevision{Revision: new("r1"), ChangeIdentifier: new("c1"), Created: new(time.Now())},
		ExecutionDetails: &types.ExecutionDetails{Summary: new("Finished"), PercentComplete: new(int32(100))}})
	ok(l, done, err)
	release := l.stage("Release")
	answer, err := l.PutApprovalResult(t.Context(), &codepipeline.PutApprovalResultInput{PipelineName: new("go"), StageName: new("Release"), ActionName: new("Approve"),
		Token: release.ActionStates[0].LatestExecution.Token, Result: &types.ApprovalResult{Summary: new("read it"), Status: types.ApprovalStatusApproved}})
	ok(l, answer, err)
	job = l.take(types.ActionCategoryDeploy)
	at = job.Data.InputArtifacts[0].Location.S3Location
	if got := string(s.get(*at.BucketName, *at.ObjectKey)); got != "built by Go" {
		t.Errorf("the artifact is %q", got)
	}
	done, err = l.PutJobSuccessResult(t.Context(), &codepipeline.PutJobSuccessResultInput{JobId: job.Id})
	ok(l, done, err)
	first, err := l.GetPipelineExecution(t.Context(), &codepipeline.GetPipelineExecutionInput{PipelineName: new("go"), PipelineExecutionId: release.LatestExecution.PipelineExecutionId})
	if e := ok(l, first, err).PipelineExecution; e.Status != types.PipelineExecutionStatusSucceeded || *e.Variables[0].ResolvedValue != "red" || e.Trigger.TriggerType != types.TriggerTypeCreatePipeline {
		t.Errorf("execution %+v", e)
	}

	shut, err := l.DisableStageTransition(t.Context(), &codepipeline.DisableStageTransitionInput{PipelineName: new("go"), StageName: new("Release"), TransitionType: types.StageTransitionTypeInbound, Reason: new("freeze")})
	ok(l, shut, err)
	started, err := l.StartPipelineExecution(t.Context(), &codepipeline.StartPipelineExecutionInput{Name: new("go"), Variables: []types.PipelineVariable{{Name: new("color"), Value: new("blue")}}})
	second := ok(l, started, err).PipelineExecutionId
	failed, err := l.PutJobFailureResult(t.Context(), &codepipeline.PutJobFailureResultInput{JobId: l.take(types.ActionCategorySource).Id, FailureDetails: &types.FailureDetails{Type: types.FailureTypeJobFailed, Message: new("no such branch")}})
	ok(l, failed, err)
	again, err := l.RetryStageExecution(t.Context(), &codepipeline.RetryStageExecutionInput{PipelineName: new("go"), StageName: new("Source"), PipelineExecutionId: second, RetryMode: types.StageRetryModeFailedActions})
	if *ok(l, again, err).PipelineExecutionId != *second {
		t.Errorf("the retry of %s is %s", *second, *again.PipelineExecutionId)
	}
	done, err = l.PutJobSuccessResult(t.Context(), &codepipeline.PutJobSuccessResultInput{JobId: l.take(types.ActionCategorySource).Id})
	ok(l, done, err)
	if in := l.stage("Release").InboundExecution; in == nil || *in.PipelineExecutionId != *second {
		t.Errorf("at the gate: %+v", in)
	}
	stopped, err := l.StopPipelineExecution(t.Context(), &codepipeline.StopPipelineExecutionInput{PipelineName: new("go"), PipelineExecutionId: second, Reason: new("enough")})
	ok(l, stopped, err)

	var statuses []types.PipelineExecutionStatus
	for p := codepipeline.NewListPipelineExecutionsPaginator(l, &codepipeline.ListPipelineExecutionsInput{PipelineName: new("go"), MaxResults: new(int32(1))}); p.HasMorePages(); {
		page, err := p.NextPage(t.Context())
		for _, e := range ok(l, page, err).PipelineExecutionSummaries {
			statuses = append(statuses, e.Status)
		}
	}
	if len(statuses) != 2 || statuses[0] != types.PipelineExecutionStatusStopped || statuses[1] != types.PipelineExecutionStatusSucceeded {
		t.Errorf("executions %v", statuses)
	}
	hook, err := l.PutWebhook(t.Context(), &codepipeline.PutWebhookInput{Webhook: &types.WebhookDefinition{Name: new("go"), TargetPipeline: new("go"), TargetAction: new("Fetch"),
		Filters: []types.WebhookFilterRule{}, Authentication: types.WebhookAuthenticationTypeUnauthenticated, AuthenticationConfiguration: &types.WebhookAuthConfiguration{}}})
	if *ok(l, hook, err).Webhook.Url == "" {
		t.Error("the webhook has no URL")
	}
	tagged, err := l.TagResource(t.Context(), &codepipeline.TagResourceInput{ResourceArn: got.Metadata.PipelineArn, Tags: []types.Tag{{Key: new("stage"), Value: new("one")}}})
	ok(l, tagged, err)
	tags, err := l.ListTagsForResource(t.Context(), &codepipeline.ListTagsForResourceInput{ResourceArn: got.Metadata.PipelineArn})
	if len(ok(l, tags, err).Tags) != 2 {
		t.Errorf("tags %v", tags.Tags)
	}
	updated, err := l.UpdatePipeline(t.Context(), &codepipeline.UpdatePipelineInput{Pipeline: got.Pipeline})
	if *ok(l, updated, err).Pipeline.Version != 2 {
		t.Errorf("updated to %d", *updated.Pipeline.Version)
	}
	gone, err := l.DeletePipeline(t.Context(), &codepipeline.DeletePipelineInput{Name: new("go")})
	ok(l, gone, err)
	_, err = l.GetPipelineState(t.Context(), &codepipeline.GetPipelineStateInput{Name: new("go")})
	refusedWith[*types.PipelineNotFoundException](l, err)
}
