package awswire_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
	sdkiam "github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	sdksts "github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"penstock/internal/api"
	"penstock/internal/api/codepipeline"
	"penstock/internal/api/iam"
	"penstock/internal/api/sts"
	"penstock/internal/awswire"
	"penstock/internal/fault"
)

// mirror answers with what it was given, so that the SDK's encoder and decoder meet ours.
type mirror struct {
	pipelines
	state codepipeline.GetPipelineStateOutput
}

func (mirror) CreatePipeline(_ context.Context, in *codepipeline.CreatePipelineInput) (*codepipeline.CreatePipelineOutput, error) {
	return &codepipeline.CreatePipelineOutput{Pipeline: in.Pipeline, Tags: in.Tags}, nil
}

func (m mirror) GetPipelineState(context.Context, *codepipeline.GetPipelineStateInput) (*codepipeline.GetPipelineStateOutput, error) {
	return &m.state, nil
}

func (mirror) ListPipelines(_ context.Context, in *codepipeline.ListPipelinesInput) (*codepipeline.ListPipelinesOutput, error) {
	if in.NextToken == "" {
		return &codepipeline.ListPipelinesOutput{Pipelines: []codepipeline.PipelineSummary{{Name: "a"}}, NextToken: "more"}, nil
	}
	return &codepipeline.ListPipelinesOutput{Pipelines: []codepipeline.PipelineSummary{{Name: "b"}}}, nil
}

func (mirror) PutApprovalResult(_ context.Context, in *codepipeline.PutApprovalResultInput) (*codepipeline.PutApprovalResultOutput, error) {
	return &codepipeline.PutApprovalResultOutput{ApprovedAt: new(time.UnixMilli(1496380678648))}, nil
}

func (mirror) PutJobSuccessResult(_ context.Context, in *codepipeline.PutJobSuccessResultInput) (*codepipeline.PutJobSuccessResultOutput, error) {
	if at := in.CurrentRevision.Created; at == nil || at.UnixMilli() != 1496380678648 {
		return nil, fault.New("InvalidJobStateException", "created is %v", at)
	}
	return nil, nil
}

func (mirror) StopPipelineExecution(context.Context, *codepipeline.StopPipelineExecutionInput) (*codepipeline.StopPipelineExecutionOutput, error) {
	return nil, fault.New("PipelineNotFoundException", "Account '000000000000' does not have a pipeline with name 'p'")
}

type roles struct{ iam.Unimplemented }

func (roles) CreateRole(_ context.Context, in *iam.CreateRoleInput) (*iam.CreateRoleOutput, error) {
	return &iam.CreateRoleOutput{Role: &iam.Role{
		Path: "/", RoleName: in.RoleName, RoleId: "AROA", Arn: "arn:aws:iam::000000000000:role/" + in.RoleName,
		CreateDate: new(time.UnixMilli(1496380678000)), AssumeRolePolicyDocument: in.AssumeRolePolicyDocument,
		MaxSessionDuration: in.MaxSessionDuration, Tags: in.Tags, Description: in.Description,
	}}, nil
}

func (roles) GetRole(context.Context, *iam.GetRoleInput) (*iam.GetRoleOutput, error) {
	return nil, fault.New("NoSuchEntityException", "The role with name r cannot be found.")
}

func (roles) DeleteRole(context.Context, *iam.DeleteRoleInput) (*iam.DeleteRoleOutput, error) {
	return nil, nil
}

func (roles) ListRoles(context.Context, *iam.ListRolesInput) (*iam.ListRolesOutput, error) {
	return nil, fault.New("AccessDeniedException", "User: x is not authorized")
}

func sdkConfig(t *testing.T, m mirror) aws.Config {
	t.Helper()
	srv := httptest.NewServer(awswire.New(awswire.Config{
		Authenticate: claims, Services: []*api.Service{codepipeline.New(m), iam.New(roles{}), sts.New(tokens{})},
	}))
	t.Cleanup(srv.Close)
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(srv.URL), HTTPClient: srv.Client(), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("AK", "secret", ""),
	}
}

// The AWS SDK is the oracle: what it sends is understood to the last member, what it
// gets it understands (W-1, W-11 to W-15).
func TestSDKRoundTrip(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	at := time.UnixMilli(1496380678648).UTC()
	client := sdk.NewFromConfig(sdkConfig(t, mirror{state: codepipeline.GetPipelineStateOutput{
		PipelineName: "p", PipelineVersion: new(int32(3)), Created: &at,
		StageStates: []codepipeline.StageState{{StageName: "S", InboundTransitionState: &codepipeline.TransitionState{Enabled: new(false), LastChangedAt: &at, DisabledReason: `a "b" <c>`}}},
	}}))
	in := &sdk.CreatePipelineInput{
		Pipeline: &types.PipelineDeclaration{
			Name: aws.String("p"), RoleArn: aws.String("arn:aws:iam::000000000000:role/r"), PipelineType: types.PipelineTypeV2,
			ArtifactStores: map[string]types.ArtifactStore{"us-east-1": {Type: types.ArtifactStoreTypeS3, Location: aws.String("bkt")}},
			Stages: []types.StageDeclaration{{
				Name: aws.String("Source"),
				Actions: []types.ActionDeclaration{{
					Name: aws.String("A"), RunOrder: aws.Int32(2), Configuration: map[string]string{"x": "<é>\n\"\\ \u2028"},
					ActionTypeId:    &types.ActionTypeId{Category: types.ActionCategorySource, Owner: types.ActionOwnerAws, Provider: aws.String("S3"), Version: aws.String("1")},
					OutputArtifacts: []types.OutputArtifact{{Name: aws.String("o"), Files: []string{"a", "b"}}}, InputArtifacts: []types.InputArtifact{},
					EnvironmentVariables: []types.EnvironmentVariable{{Name: aws.String("N"), Value: aws.String("v"), Type: types.EnvironmentVariableTypePlaintext}},
				}},
				OnFailure: &types.FailureConditions{Result: types.ResultRetry, RetryConfiguration: &types.RetryConfiguration{RetryMode: types.StageRetryModeAllActions}},
			}},
			Triggers: []types.PipelineTriggerDeclaration{{
				ProviderType: types.PipelineTriggerProviderTypeCodeStarSourceConnection,
				GitConfiguration: &types.GitConfiguration{SourceActionName: aws.String("A"), Push: []types.GitPushFilter{{
					Branches: &types.GitBranchFilterCriteria{Includes: []string{"main"}},
				}}},
			}},
		},
		Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("")}},
	}
	created, err := client.CreatePipeline(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(in.Pipeline, created.Pipeline, cmpopts.IgnoreUnexported(types.PipelineDeclaration{}, types.ArtifactStore{}, types.StageDeclaration{},
		types.ActionDeclaration{}, types.ActionTypeId{}, types.OutputArtifact{}, types.EnvironmentVariable{}, types.FailureConditions{}, types.RetryConfiguration{},
		types.PipelineTriggerDeclaration{}, types.GitConfiguration{}, types.GitPushFilter{}, types.GitBranchFilterCriteria{})); d != "" {
		t.Error(d)
	}
	if len(created.Tags) != 1 || *created.Tags[0].Value != "" {
		t.Errorf("tags %v", created.Tags)
	}
	state, err := client.GetPipelineState(ctx, &sdk.GetPipelineStateInput{Name: aws.String("p")})
	if err != nil {
		t.Fatal(err)
	}
	if s := state.StageStates[0].InboundTransitionState; !state.Created.Equal(at) || s.Enabled || *s.DisabledReason != `a "b" <c>` || !s.LastChangedAt.Equal(at) {
		t.Errorf("state %+v", s)
	}
	var names []string
	for p := sdk.NewListPipelinesPaginator(client, &sdk.ListPipelinesInput{}); p.HasMorePages(); {
		page, err := p.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range page.Pipelines {
			names = append(names, *s.Name)
		}
	}
	if strings.Join(names, "") != "ab" {
		t.Errorf("W-26: pages %v", names)
	}
	approved, err := client.PutApprovalResult(ctx, &sdk.PutApprovalResultInput{
		PipelineName: aws.String("p"), StageName: aws.String("s"), ActionName: aws.String("a"), Token: aws.String("1c54ad45-0a1c-4d2d-b3c4-0123456789ab"),
		Result: &types.ApprovalResult{Status: types.ApprovalStatusApproved, Summary: aws.String("")},
	})
	if err != nil || !approved.ApprovedAt.Equal(at) {
		t.Errorf("W-13: %v %v", approved, err)
	}
	if _, err := client.PutJobSuccessResult(ctx, &sdk.PutJobSuccessResultInput{
		JobId:           aws.String("1c54ad45-0a1c-4d2d-b3c4-0123456789ab"),
		CurrentRevision: &types.CurrentRevision{Revision: aws.String("r"), ChangeIdentifier: aws.String("c"), Created: &at},
	}); err != nil {
		t.Errorf("W-7 W-12: %v", err)
	}
	if _, err := client.DeletePipeline(ctx, &sdk.DeletePipelineInput{Name: aws.String("p")}); err != nil {
		t.Errorf("W-12: %v", err)
	}
}

// W-16, W-17: the SDK finds the class and the text.
func TestSDKErrors(t *testing.T) {
	t.Parallel()
	client := sdk.NewFromConfig(sdkConfig(t, mirror{}))
	_, err := client.StopPipelineExecution(t.Context(), &sdk.StopPipelineExecutionInput{PipelineName: aws.String("p"), PipelineExecutionId: aws.String("1c54ad45-0a1c-4d2d-b3c4-0123456789ab")})
	var gone *types.PipelineNotFoundException
	if !errors.As(err, &gone) || gone.ErrorMessage() != "Account '000000000000' does not have a pipeline with name 'p'" {
		t.Error(err)
	}
	_, err = client.GetPipelineState(t.Context(), &sdk.GetPipelineStateInput{Name: aws.String("a b")})
	var invalid *types.ValidationException
	if !errors.As(err, &invalid) || !strings.HasPrefix(invalid.ErrorMessage(), "1 validation error detected: Value at 'name'") {
		t.Error(err)
	}
}

func TestSDKQuery(t *testing.T) {
	t.Parallel()
	ctx, c := t.Context(), sdkConfig(t, mirror{})
	client := sdkiam.NewFromConfig(c)
	out, err := client.CreateRole(ctx, &sdkiam.CreateRoleInput{
		RoleName: aws.String("r"), AssumeRolePolicyDocument: aws.String("{\"a\": \"<&>\"}\r\n"), MaxSessionDuration: aws.Int32(3600), Description: aws.String("d"),
		Tags: []iamtypes.Tag{{Key: aws.String("k"), Value: aws.String("")}, {Key: aws.String("l"), Value: aws.String("é")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := out.Role
	if *r.AssumeRolePolicyDocument != "{\"a\": \"<&>\"}\r\n" || *r.MaxSessionDuration != 3600 || !r.CreateDate.Equal(time.Unix(1496380678, 0)) || len(r.Tags) != 2 || *r.Tags[1].Value != "é" || *r.Tags[0].Value != "" {
		t.Errorf("%+v", r)
	}
	_, err = client.GetRole(ctx, &sdkiam.GetRoleInput{RoleName: aws.String("r")})
	var none *iamtypes.NoSuchEntityException
	if !errors.As(err, &none) || none.ErrorMessage() != "The role with name r cannot be found." {
		t.Error(err)
	}
	if _, err := client.DeleteRole(ctx, &sdkiam.DeleteRoleInput{RoleName: aws.String("r")}); err != nil {
		t.Error(err)
	}
	// W-32: a class of the JSON services in the words of the query services.
	if _, err := client.ListRoles(ctx, &sdkiam.ListRolesInput{}); err == nil || !strings.Contains(err.Error(), "api error AccessDenied: User: x") {
		t.Error(err)
	}
	me, err := sdksts.NewFromConfig(c).GetCallerIdentity(ctx, &sdksts.GetCallerIdentityInput{})
	if err != nil || *me.UserId != "<me>" {
		t.Error(me, err)
	}
}

// unsteady refuses the first calls.
type unsteady struct {
	pipelines
	failures []error
	calls    int
}

func (u *unsteady) ListPipelines(context.Context, *codepipeline.ListPipelinesInput) (*codepipeline.ListPipelinesOutput, error) {
	if u.calls++; u.calls <= len(u.failures) {
		return nil, u.failures[u.calls-1]
	}
	return &codepipeline.ListPipelinesOutput{Pipelines: []codepipeline.PipelineSummary{}}, nil
}

// C-8, W-19: failures that pass by themselves are told so that clients try again by
// themselves, and what the caller must mend is not asked for twice.
func TestSDKTriesAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		failures []error
		calls    int
	}{
		"internal":    {[]error{errors.New("the database went away"), errors.New("again")}, 3},
		"throttled":   {[]error{fault.New("ThrottlingException", "Rate exceeded")}, 2},
		"unavailable": {[]error{fault.New("ServiceUnavailable", "The server is about to stop")}, 2},
		"denied":      {[]error{fault.New("AccessDeniedException", "no"), nil}, 1},
		"invalid":     {[]error{fault.New("ValidationException", "no"), nil}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			room := &unsteady{failures: c.failures}
			srv := httptest.NewServer(awswire.New(awswire.Config{Authenticate: claims, Services: []*api.Service{codepipeline.New(room)}}))
			t.Cleanup(srv.Close)
			client := sdk.NewFromConfig(aws.Config{Region: "us-east-1", BaseEndpoint: &srv.URL, HTTPClient: srv.Client(), Credentials: credentials.NewStaticCredentialsProvider("AK", "secret", ""),
				Retryer: func() aws.Retryer {
					return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = time.Millisecond })
				}})
			_, err := client.ListPipelines(t.Context(), &sdk.ListPipelinesInput{})
			if (err == nil) != (c.calls > 1) || room.calls != c.calls {
				t.Errorf("%d calls, %v; want %d", room.calls, err, c.calls)
			}
		})
	}
}
