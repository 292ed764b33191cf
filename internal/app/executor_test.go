package app

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"slices"
	"strings"
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

// S-321, P-47: an action of a type whose executor is a function of this server has the function
// do its work, with the role of the action, and ends as the function returns.
func TestExecutorActions(t *testing.T) {
	t.Parallel()
	a := start(t, t.TempDir(), "")
	ctx, cfg := t.Context(), a.administrator()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
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
	w.Write([]byte(`
def handler(event, context):
    data = event["data"]
    what = data["actionConfiguration"]["configuration"]["What"]
    if what == "raise":
        raise ValueError("no such thing")
    seen = [a["name"] for a in data["inputArtifacts"]]
    keys = sorted(data.get("actionCredentials", {}))
    return {"result": "success", "status": {"externalExecutionId": event["jobId"], "summary": what},
            "outputVariables": {"seen": ",".join(seen), "keys": ",".join(keys), "run": data["actionExecutionId"]}}
`))
	must(z.Close())
	function, err := lambda.NewFromConfig(cfg).CreateFunction(ctx, &lambda.CreateFunctionInput{FunctionName: aws.String("f"), Runtime: lambdatypes.RuntimePython312, Handler: aws.String("app.handler"),
		Role: aws.String("arn:aws:iam::000000000000:role/function"), Timeout: aws.Int32(60), Code: &lambdatypes.FunctionCode{ZipFile: code.Bytes()}})
	must(err)
	objects := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
	_, err = objects.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("store")})
	must(err)
	_, err = objects.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: aws.String("store"), VersioningConfiguration: &s3types.VersioningConfiguration{Status: s3types.BucketVersioningStatusEnabled}})
	must(err)
	_, err = objects.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("store"), Key: aws.String("in.zip"), Body: bytes.NewReader(code.Bytes())})
	must(err)

	pipelines := codepipeline.NewFromConfig(cfg)
	_, err = pipelines.UpdateActionType(ctx, &codepipeline.UpdateActionTypeInput{ActionType: &types.ActionTypeDeclaration{
		Id: &types.ActionTypeIdentifier{Category: types.ActionCategoryTest, Owner: aws.String("ThirdParty"), Provider: aws.String("Scanner"), Version: aws.String("1")},
		Executor: &types.ActionTypeExecutor{Type: types.ExecutorTypeLambda, JobTimeout: aws.Int32(600), Configuration: &types.ExecutorConfiguration{
			LambdaExecutorConfiguration: &types.LambdaExecutorConfiguration{LambdaFunctionArn: function.FunctionArn}}},
		InputArtifactDetails:  &types.ActionTypeArtifactDetails{MinimumCount: 0, MaximumCount: 1},
		OutputArtifactDetails: &types.ActionTypeArtifactDetails{MinimumCount: 0, MaximumCount: 0},
		Properties:            []types.ActionTypeProperty{{Name: aws.String("What"), Key: true}},
	}})
	must(err)
	scan := func(name, what string) types.ActionDeclaration {
		return types.ActionDeclaration{Name: &name, Configuration: map[string]string{"What": what}, InputArtifacts: []types.InputArtifact{{Name: aws.String("In")}},
			ActionTypeId: &types.ActionTypeId{Category: types.ActionCategoryTest, Owner: types.ActionOwnerThirdParty, Provider: aws.String("Scanner"), Version: aws.String("1")}}
	}
	first := scan("first", "scan")
	first.Namespace = aws.String("first")
	second := scan("second", "#{first.seen} #{first.keys}")
	second.InputArtifacts = nil
	source := types.ActionDeclaration{Name: aws.String("src"), OutputArtifacts: []types.OutputArtifact{{Name: aws.String("In")}},
		ActionTypeId:  &types.ActionTypeId{Category: types.ActionCategorySource, Owner: types.ActionOwnerAws, Provider: aws.String("S3"), Version: aws.String("1")},
		Configuration: map[string]string{"S3Bucket": "store", "S3ObjectKey": "in.zip", "PollForSourceChanges": "false"}}
	stage := func(name string, action types.ActionDeclaration) types.StageDeclaration {
		return types.StageDeclaration{Name: &name, Actions: []types.ActionDeclaration{action}}
	}
	_, err = pipelines.CreatePipeline(ctx, &codepipeline.CreatePipelineInput{Pipeline: &types.PipelineDeclaration{Name: aws.String("p"), RoleArn: aws.String("arn:aws:iam::000000000000:role/pipeline"),
		PipelineType: types.PipelineTypeV2, ArtifactStore: &types.ArtifactStore{Type: types.ArtifactStoreTypeS3, Location: aws.String("store")},
		Stages: []types.StageDeclaration{stage("Source", source), stage("One", first), stage("Two", second), stage("Three", scan("third", "raise"))}}})
	must(err)

	var runs []types.ActionExecutionDetail
	run := func(name string) *types.ActionExecutionOutput {
		i := slices.IndexFunc(runs, func(d types.ActionExecutionDetail) bool { return *d.ActionName == name })
		if i < 0 || runs[i].Output == nil || runs[i].Output.ExecutionResult == nil {
			text, _ := json.Marshal(runs)
			t.Fatalf("%s has no result: %s", name, text)
		}
		return runs[i].Output
	}
	for end := time.Now().Add(patience); time.Now().Before(end); <-time.After(20 * time.Millisecond) {
		out, err := pipelines.ListActionExecutions(ctx, &codepipeline.ListActionExecutionsInput{PipelineName: aws.String("p")})
		must(err)
		if runs = out.ActionExecutionDetails; slices.ContainsFunc(runs, func(d types.ActionExecutionDetail) bool { return d.Status == types.ActionExecutionStatusFailed }) {
			break
		}
	}
	if v := run("first").OutputVariables; v["seen"] != "In" || v["keys"] != "accessKeyId,secretAccessKey,sessionToken" || v["run"] == "" {
		t.Errorf("%v", v)
	}
	if r := run("second").ExecutionResult; aws.ToString(r.ExternalExecutionSummary) != "In accessKeyId,secretAccessKey,sessionToken" || aws.ToString(r.ExternalExecutionId) == "" {
		t.Errorf("%+v", r)
	}
	if v := run("second").OutputVariables; v["seen"] != "" || v["keys"] != "" {
		t.Errorf("without artifacts %v", v)
	}
	if d := run("third").ExecutionResult.ErrorDetails; d == nil || *d.Code != "JobFailed" || !strings.Contains(*d.Message, *function.FunctionArn) || !strings.Contains(*d.Message, "no such thing") {
		t.Errorf("%+v", d)
	}
}
