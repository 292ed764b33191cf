package app

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// functionEvent is what a function is told of its job (S-322).
type functionEvent struct {
	Job struct {
		ID        string
		AccountID string
		Data      struct {
			ActionConfiguration struct{ Configuration map[string]string }
			InputArtifacts      []struct {
				Name     string
				Location struct {
					Type       string
					S3Location struct{ BucketName, ObjectKey string }
				}
			}
			OutputArtifacts     []any
			ArtifactCredentials struct{ AccessKeyID, SecretAccessKey, SessionToken string }
			ContinuationToken   string
		}
	} `json:"CodePipeline.job"`
}

// S-322, S-323, S-324, S-326, P-40, P-48: a function gets the event of its job, an action and a rule wait for
// the report that names the job, a continuation invokes it again, the output variables are the
// next action's, and a function that is not there fails the action.
func TestInvokeActions(t *testing.T) {
	t.Parallel()
	a := start(t, t.TempDir(), "")
	ctx, cfg := t.Context(), a.administrator()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	events := make(chan functionEvent, 10)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var e functionEvent
		if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&e); err != nil {
			t.Error(err)
		}
		events <- e
	}))
	t.Cleanup(srv.Close)

	users := iam.NewFromConfig(cfg)
	for role, service := range map[string]string{"pipeline": "codepipeline", "function": "lambda"} {
		_, err := users.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &role, AssumeRolePolicyDocument: aws.String(
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"` + service + `.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)})
		must(err)
		_, err = users.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &role, PolicyName: aws.String("p"), PolicyDocument: aws.String(
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*","lambda:InvokeFunction","logs:*"],"Resource":"*"}]}`)})
		must(err)
	}
	var code bytes.Buffer
	z := zip.NewWriter(&code)
	w, err := z.Create("app.py")
	must(err)
	w.Write([]byte("import json, urllib.request\ndef handler(event, context):\n  urllib.request.urlopen('" + srv.URL + "', json.dumps(event).encode())\n"))
	must(z.Close())
	_, err = lambda.NewFromConfig(cfg).CreateFunction(ctx, &lambda.CreateFunctionInput{FunctionName: aws.String("f"), Runtime: lambdatypes.RuntimePython312, Handler: aws.String("app.handler"),
		Role: aws.String("arn:aws:iam::000000000000:role/function"), Timeout: aws.Int32(60), Code: &lambdatypes.FunctionCode{ZipFile: code.Bytes()}})
	must(err)
	objects := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
	_, err = objects.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("store")})
	must(err)
	_, err = objects.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: aws.String("store"), VersioningConfiguration: &s3types.VersioningConfiguration{Status: s3types.BucketVersioningStatusEnabled}})
	must(err)
	_, err = objects.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("store"), Key: aws.String("in.zip"), Body: bytes.NewReader(code.Bytes())})
	must(err)

	action := func(name, category, provider string, configuration map[string]string) types.ActionDeclaration {
		return types.ActionDeclaration{Name: &name, ActionTypeId: &types.ActionTypeId{Category: types.ActionCategory(category), Owner: types.ActionOwnerAws, Provider: &provider, Version: aws.String("1")},
			Configuration: configuration}
	}
	source := action("src", "Source", "S3", map[string]string{"S3Bucket": "store", "S3ObjectKey": "in.zip", "PollForSourceChanges": "false"})
	source.OutputArtifacts = []types.OutputArtifact{{Name: aws.String("In")}}
	first := action("first", "Invoke", "Lambda", map[string]string{"FunctionName": "f", "UserParameters": "hello"})
	first.InputArtifacts, first.Namespace = []types.InputArtifact{{Name: aws.String("In")}}, aws.String("first")
	second := action("second", "Invoke", "Lambda", map[string]string{"FunctionName": "f", "UserParameters": "#{first.word}"})
	none := action("none", "Invoke", "Lambda", map[string]string{"FunctionName": "nothing"})
	rule := types.Condition{Result: types.ResultFail, Rules: []types.RuleDeclaration{{Name: aws.String("gate"), Configuration: map[string]string{"FunctionName": "f", "UserParameters": "gate"},
		RuleTypeId: &types.RuleTypeId{Category: types.RuleCategoryRule, Owner: types.RuleOwnerAws, Provider: aws.String("LambdaInvoke"), Version: aws.String("1")}}}}
	stage := func(name string, actions ...types.ActionDeclaration) types.StageDeclaration {
		return types.StageDeclaration{Name: &name, Actions: actions}
	}
	one := stage("One", first)
	one.BeforeEntry = &types.BeforeEntryConditions{Conditions: []types.Condition{rule}}
	pipelines := codepipeline.NewFromConfig(cfg)
	_, err = pipelines.CreatePipeline(ctx, &codepipeline.CreatePipelineInput{Pipeline: &types.PipelineDeclaration{Name: aws.String("p"), RoleArn: aws.String("arn:aws:iam::000000000000:role/pipeline"),
		PipelineType: types.PipelineTypeV2, ArtifactStore: &types.ArtifactStore{Type: types.ArtifactStoreTypeS3, Location: aws.String("store")},
		Stages: []types.StageDeclaration{stage("Source", source), one, stage("Two", second), stage("Three", none)}}})
	must(err)

	next := func(parameters string) functionEvent {
		t.Helper()
		select {
		case e := <-events:
			c := e.Job.Data.ActionConfiguration.Configuration
			if c["UserParameters"] != parameters || c["FunctionName"] != "f" || e.Job.AccountID != "000000000000" || (e.Job.Data.ArtifactCredentials.SessionToken == "") != (len(e.Job.Data.InputArtifacts) == 0) {
				t.Fatalf("%+v, want %s", e, parameters)
			}
			return e
		case <-time.After(patience):
			state, err := pipelines.GetPipelineState(ctx, &codepipeline.GetPipelineStateInput{Name: aws.String("p")})
			must(err)
			text, _ := json.Marshal(state.StageStates)
			t.Fatalf("the function was not invoked: %s", text)
		}
		return functionEvent{}
	}
	succeed := func(in *codepipeline.PutJobSuccessResultInput, id string) {
		t.Helper()
		in.JobId = &id
		_, err := pipelines.PutJobSuccessResult(ctx, in)
		must(err)
	}
	succeed(&codepipeline.PutJobSuccessResultInput{}, next("gate").Job.ID)
	e := next("hello")
	if in := e.Job.Data.InputArtifacts; len(in) != 1 || in[0].Name != "In" || in[0].Location.Type != "S3" || in[0].Location.S3Location.BucketName != "store" || e.Job.Data.ContinuationToken != "" {
		t.Errorf("%+v", e)
	}
	succeed(&codepipeline.PutJobSuccessResultInput{ContinuationToken: aws.String("more")}, e.Job.ID)
	again := next("hello")
	if again.Job.Data.ContinuationToken != "more" || again.Job.ID == e.Job.ID {
		t.Errorf("%+v", again)
	}
	if _, err := pipelines.PutJobSuccessResult(ctx, &codepipeline.PutJobSuccessResultInput{JobId: &e.Job.ID}); err == nil {
		t.Error("the job before was reported twice")
	}
	succeed(&codepipeline.PutJobSuccessResultInput{OutputVariables: map[string]string{"word": "passed on"}}, again.Job.ID)
	_, err = pipelines.PutJobFailureResult(ctx, &codepipeline.PutJobFailureResultInput{JobId: aws.String(next("passed on").Job.ID),
		FailureDetails: &types.FailureDetails{Type: types.FailureTypeJobFailed, Message: aws.String("not today")}})
	must(err)
	failure := func(name string) *types.ErrorDetails {
		t.Helper()
		for end := time.Now().Add(patience); time.Now().Before(end); <-time.After(20 * time.Millisecond) {
			out, err := pipelines.ListActionExecutions(ctx, &codepipeline.ListActionExecutionsInput{PipelineName: aws.String("p")})
			must(err)
			i := slices.IndexFunc(out.ActionExecutionDetails, func(d types.ActionExecutionDetail) bool {
				return *d.ActionName == name && d.Status == types.ActionExecutionStatusFailed
			})
			if i >= 0 {
				return out.ActionExecutionDetails[i].Output.ExecutionResult.ErrorDetails
			}
		}
		t.Fatalf("%s did not fail", name)
		return nil
	}
	if d := failure("second"); *d.Code != "JobFailed" || *d.Message != "not today" {
		t.Errorf("%+v", d)
	}
	execution, err := pipelines.ListPipelineExecutions(ctx, &codepipeline.ListPipelineExecutionsInput{PipelineName: aws.String("p")})
	must(err)
	_, err = pipelines.RetryStageExecution(ctx, &codepipeline.RetryStageExecutionInput{PipelineName: aws.String("p"), StageName: aws.String("Two"),
		PipelineExecutionId: execution.PipelineExecutionSummaries[0].PipelineExecutionId, RetryMode: types.StageRetryModeFailedActions})
	must(err)
	succeed(&codepipeline.PutJobSuccessResultInput{}, next("passed on").Job.ID)
	if d := failure("none"); *d.Code != "ConfigurationError" {
		t.Errorf("%+v", d)
	}
}
