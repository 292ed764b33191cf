package app

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"penstock/internal/store/storetest"
)

// S-103, S-154, S-163, S-192, S-227: sixteen clients at once start with tokens, approve what others
// approve, retry while others stop and close a gate while others let an execution through it.
// All they were answered is what one client after the other would have been answered.
func TestLinearizable(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		a := start(t, t.TempDir(), url)
		names := []string{"one", "two", "three"}
		pipelines := gated(t, a, append(names, "starts")...)
		h := &history{begun: time.Now(), Client: pipelines, executions: map[string]string{}}
		for _, name := range names {
			h.executions[name] = pending(t, pipelines, name)
		}
		seed := uint64(time.Now().UnixNano())
		var clients sync.WaitGroup
		for n := range 16 {
			clients.Go(func() {
				chance := rand.New(rand.NewPCG(seed, uint64(n)))
				tokens := map[string]call{}
				for range 25 {
					h.do(t.Context(), n, draw(chance, names, tokens), tokens)
				}
			})
		}
		clients.Wait()
		ids := map[string]string{}
		for _, op := range h.operations {
			in, out := op.Input.(call), op.Output.(reply)
			if other, ok := ids[out.id]; ok && other != in.of {
				t.Errorf("the tokens %s and %s have the same execution", other, in.of)
			}
			if in.what == "start" {
				ids[out.id] = in.of
			}
		}
		delete(ids, "")
		list, err := pipelines.ListPipelineExecutions(t.Context(), &codepipeline.ListPipelineExecutionsInput{PipelineName: aws.String("starts")})
		if err != nil || len(list.PipelineExecutionSummaries) != len(ids)+1 {
			t.Errorf("%d tokens started %d executions beside the first: %v", len(ids), len(list.PipelineExecutionSummaries)-1, err)
		}
		// What is said of one pipeline or token does not depend on what is said of another.
		parts := map[string][]porcupine.Operation{}
		for _, op := range h.operations {
			of := op.Input.(call).of
			parts[of] = append(parts[of], op)
		}
		for of, part := range parts {
			if result, info := porcupine.CheckOperationsVerbose(sequential, part, patience); result != porcupine.Ok {
				t.Errorf("%s, seed %d: %s\n%s", of, seed, result, explained(part, info))
			}
		}
		done := map[string]int{}
		for _, op := range h.operations {
			if op.Output.(reply).code == "" {
				done[op.Input.(call).what]++
			}
		}
		t.Logf("accepted: %v", done)
	})
}

// draw chooses what a client asks next, knowing the tokens it has seen.
func draw(chance *rand.Rand, names []string, tokens map[string]call) call {
	name := names[chance.IntN(len(names))]
	stage := []string{"Gate", "Next"}[chance.IntN(2)]
	switch p := chance.IntN(100); {
	case p < 10:
		return call{what: "start", of: fmt.Sprintf("token-%d", chance.IntN(8))}
	case p < 42:
		if c, ok := tokens[name]; ok {
			c.rejected = chance.IntN(4) == 0
			if c.stage == "Next" { // or else it is over soon
				c.rejected = chance.IntN(20) > 0
			}
			return c
		}
	case p < 48:
		return call{what: "stop", of: name}
	case p < 66:
		return call{what: "retry", of: name, stage: stage}
	case p < 72:
		return call{what: "disable", of: name}
	case p < 80:
		return call{what: "enable", of: name}
	}
	return call{what: "state", of: name}
}

// history is what all clients did, with the times.
type history struct {
	*codepipeline.Client
	begun      time.Time
	executions map[string]string // of the pipelines

	mu         sync.Mutex
	operations []porcupine.Operation
}

// explained shows the longest part of a history that is in order, by client and with the
// microseconds of each begin and end, then what could not come next.
func explained(operations []porcupine.Operation, info porcupine.LinearizationInfo) string {
	var b strings.Builder
	line := func(op porcupine.Operation) {
		fmt.Fprintf(&b, "%2d %7d %7d %+v: %+v\n", op.ClientId, op.Call/1000, op.Return/1000, op.Input, op.Output)
	}
	var longest []porcupine.Operation
	for _, partition := range info.PartialLinearizationsOperations() {
		for _, part := range partition {
			if len(part) > len(longest) {
				longest = part
			}
		}
	}
	state, in := sequential.Init(), map[string]bool{}
	key := func(op porcupine.Operation) string { return fmt.Sprint(op.ClientId, " ", op.Call) }
	for _, op := range longest {
		line(op)
		_, state = sequential.Step(state, op.Input, op.Output)
		in[key(op)] = true
	}
	fmt.Fprintf(&b, "is in order and gives %+v, but then:\n", state)
	for _, op := range operations {
		if !in[key(op)] {
			line(op)
		}
	}
	return b.String()
}

// do makes a call and records it.
func (h *history) do(ctx context.Context, client int, c call, tokens map[string]call) {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	from := time.Since(h.begun)
	r, err := h.ask(ctx, c)
	to := time.Since(h.begun)
	if err != nil {
		r.code = err.Error()
		var api smithy.APIError
		if errors.As(err, &api) {
			r.code = api.ErrorCode()
		}
	}
	if v := r.seen; v.gateToken != "" {
		tokens[c.of] = call{what: "approve", of: c.of, stage: "Gate", token: v.gateToken}
	} else if v.nextToken != "" {
		tokens[c.of] = call{what: "approve", of: c.of, stage: "Next", token: v.nextToken}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.operations = append(h.operations, porcupine.Operation{ClientId: client, Input: c, Call: from.Nanoseconds(), Output: r, Return: to.Nanoseconds()})
}

// ask makes a call.
func (h *history) ask(ctx context.Context, c call) (r reply, err error) {
	name, execution := &c.of, aws.String(h.executions[c.of])
	switch c.what {
	case "start":
		out, err := h.StartPipelineExecution(ctx, &codepipeline.StartPipelineExecutionInput{Name: aws.String("starts"), ClientRequestToken: name})
		if err == nil {
			r.id = aws.ToString(out.PipelineExecutionId)
		}
		return r, err
	case "state":
		out, err := h.GetPipelineState(ctx, &codepipeline.GetPipelineStateInput{Name: name})
		if err == nil {
			r.seen = look(out)
		}
		return r, err
	case "approve":
		status := types.ApprovalStatusApproved
		if c.rejected {
			status = types.ApprovalStatusRejected
		}
		_, err = h.PutApprovalResult(ctx, &codepipeline.PutApprovalResultInput{PipelineName: name, StageName: &c.stage, ActionName: aws.String("Ask"),
			Token: &c.token, Result: &types.ApprovalResult{Status: status, Summary: aws.String("said")}})
	case "stop":
		_, err = h.StopPipelineExecution(ctx, &codepipeline.StopPipelineExecutionInput{PipelineName: name, PipelineExecutionId: execution, Abandon: true})
	case "retry":
		_, err = h.RetryStageExecution(ctx, &codepipeline.RetryStageExecutionInput{PipelineName: name, StageName: &c.stage,
			PipelineExecutionId: execution, RetryMode: types.StageRetryModeFailedActions})
	case "disable":
		_, err = h.DisableStageTransition(ctx, &codepipeline.DisableStageTransitionInput{PipelineName: name, StageName: aws.String("Next"),
			TransitionType: types.StageTransitionTypeInbound, Reason: aws.String("a race")})
	case "enable":
		_, err = h.EnableStageTransition(ctx, &codepipeline.EnableStageTransitionInput{PipelineName: name, StageName: aws.String("Next"),
			TransitionType: types.StageTransitionTypeInbound})
	}
	return r, err
}

// look takes from a state what the model knows.
func look(out *codepipeline.GetPipelineStateOutput) (v view) {
	for _, stage := range out.StageStates {
		status, token := "", ""
		if e := stage.LatestExecution; e != nil {
			status = string(e.Status)
		}
		for _, action := range stage.ActionStates {
			if e := action.LatestExecution; e != nil && e.Status == types.ActionExecutionStatusInProgress {
				token = aws.ToString(e.Token)
			}
		}
		switch aws.ToString(stage.StageName) {
		case "Gate":
			v.gate, v.gateToken = status, token
		case "Next":
			v.next, v.nextToken = status, token
			if e := stage.InboundExecution; e != nil {
				v.inbound = string(e.Status)
			}
			v.disabled = stage.InboundTransitionState != nil && !stage.InboundTransitionState.Enabled
		}
	}
	return v
}

// gated makes pipelines of an object and two stages that ask for approval.
func gated(t *testing.T, a *App, names ...string) *codepipeline.Client {
	t.Helper()
	ctx, cfg := t.Context(), a.administrator()
	if _, err := iam.NewFromConfig(cfg).CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("release"), AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"codepipeline.amazonaws.com"}}]}`)}); err != nil {
		t.Fatal(err)
	}
	if _, err := iam.NewFromConfig(cfg).PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: aws.String("release"), PolicyName: aws.String("objects"),
		PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`)}); err != nil {
		t.Fatal(err)
	}
	objects := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
	_, err := objects.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("bucket")})
	if err == nil {
		_, err = objects.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: aws.String("bucket"),
			VersioningConfiguration: &s3types.VersioningConfiguration{Status: s3types.BucketVersioningStatusEnabled}})
	}
	if err == nil {
		_, err = objects.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("bucket"), Key: aws.String("object"), Body: strings.NewReader("content")})
	}
	if err != nil {
		t.Fatal(err)
	}
	approval := func(stage string) types.StageDeclaration {
		return types.StageDeclaration{Name: &stage, Actions: []types.ActionDeclaration{{Name: aws.String("Ask"),
			ActionTypeId: &types.ActionTypeId{Category: types.ActionCategoryApproval, Owner: types.ActionOwnerAws, Provider: aws.String("Manual"), Version: aws.String("1")}}}}
	}
	pipelines := codepipeline.NewFromConfig(cfg)
	for _, name := range names {
		if _, err := pipelines.CreatePipeline(ctx, &codepipeline.CreatePipelineInput{Pipeline: &types.PipelineDeclaration{
			Name: &name, RoleArn: aws.String("arn:aws:iam::000000000000:role/release"),
			ArtifactStore: &types.ArtifactStore{Type: types.ArtifactStoreTypeS3, Location: aws.String("bucket")},
			Stages: []types.StageDeclaration{{Name: aws.String("Source"), Actions: []types.ActionDeclaration{{Name: aws.String("Object"),
				Configuration:   map[string]string{"S3Bucket": "bucket", "S3ObjectKey": "object", "PollForSourceChanges": "false"},
				ActionTypeId:    &types.ActionTypeId{Category: types.ActionCategorySource, Owner: types.ActionOwnerAws, Provider: aws.String("S3"), Version: aws.String("1")},
				OutputArtifacts: []types.OutputArtifact{{Name: aws.String("out")}}}}}, approval("Gate"), approval("Next")},
		}}); err != nil {
			t.Fatal(err)
		}
	}
	return pipelines
}

// pending waits until the only execution of a pipeline asks for its first approval, and gives
// its id.
func pending(t *testing.T, pipelines *codepipeline.Client, name string) string {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		out, err := pipelines.GetPipelineState(ctx, &codepipeline.GetPipelineStateInput{Name: &name})
		if err != nil {
			t.Fatal(err)
		}
		if look(out).gateToken != "" {
			return aws.ToString(out.StageStates[1].LatestExecution.PipelineExecutionId)
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s does not ask: %+v", name, out.StageStates)
		case <-again.C:
		}
	}
}
