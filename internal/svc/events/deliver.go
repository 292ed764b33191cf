package events

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	buildtypes "github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"penstock/internal/courier"
	"penstock/internal/store"
)

const (
	// deadline bounds one call to a target.
	deadline = 30 * time.Second
	// The retries of a target that has no policy of its own.
	standardAttempts = 185
	standardAge      = 24 * time.Hour
	// The wait doubles from the first to the longest, less a random part.
	firstWait   = time.Second
	longestWait = 5 * time.Minute
)

// again waits longer each time, until the target's policy says that it is enough.
func again(d store.Delivery, err error) (time.Duration, bool) {
	var p parcel
	if err := json.Unmarshal([]byte(d.Doc), &p); err != nil {
		return 0, false
	}
	attempts, age := standardAttempts, standardAge
	if p.Attempts != nil {
		attempts = int(*p.Attempts)
	}
	if p.Age != nil {
		age = time.Duration(*p.Age) * time.Second
	}
	wait := min(firstWait<<min(d.Attempts, 20), longestWait)
	wait -= time.Duration(rand.Int64N(int64(wait) / 2))
	var asked later
	if errors.As(err, &asked) {
		wait = max(wait, asked.wait)
	}
	return wait, d.Attempts < attempts && wait < age-time.Since(d.Created) // a sum could be beyond all durations
}

// deliver hands an event to its target.
func (r *Room) deliver(ctx context.Context, d store.Delivery) error {
	var p parcel
	if err := json.Unmarshal([]byte(d.Doc), &p); err != nil {
		return courier.GiveUp(err)
	}
	to, err := parseTarget(p.Target)
	if err != nil {
		return courier.GiveUp(err)
	}
	call := Call{Account: to.account, Region: to.region, RoleARN: p.Role, Source: p.Rule, Resource: p.Target}
	switch to.kind {
	case toPipeline:
		call.Action = "codepipeline:StartPipelineExecution"
		if err = judge(r.startPipeline(ctx, call, to.name, d.ID, p.Input)); courier.Final(err) {
			r.notStarted(ctx, to, p.Rule, err)
		}
		return err
	case toBuild:
		call.Action = "codebuild:StartBuild"
		err = r.startBuild(ctx, call, to.name, d.ID, p.Input)
	case toFunction:
		call.Action = "lambda:InvokeFunction"
		_, err = lambda.NewFromConfig(r.deps.AWS(call)).Invoke(ctx, &lambda.InvokeInput{FunctionName: &p.Target, InvocationType: lambdatypes.InvocationTypeEvent, Payload: []byte(p.Input)})
	case toHTTP:
		call.Action = "events:InvokeApiDestination"
		return r.invoke(ctx, call, to.name, &p)
	default:
		call.Action = "sns:Publish"
		// Messages of one lane reach each subscriber in their order.
		_, err = sns.NewFromConfig(r.deps.AWS(call)).Publish(ctx, &sns.PublishInput{TopicArn: &p.Target, Message: &p.Input, MessageGroupId: &d.Lane})
	}
	return judge(err)
}

// notStarted keeps why a rule did not start a pipeline, for those who ask the pipeline.
func (r *Room) notStarted(ctx context.Context, to resource, rule string, why error) {
	text := why.Error()
	var api smithy.APIError
	if errors.As(why, &api) {
		text = api.ErrorCode() + ": " + api.ErrorMessage()
	}
	err := r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		p, err := tx.FindPipeline(ctx, to.account, to.region, to.name)
		if err != nil {
			return err
		}
		return tx.PutSourceEvent(ctx, p.ID, "an event of the rule "+rule, "not started: "+text)
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		r.deps.Log.Warn("events: why a pipeline was not started is not kept", "rule", rule, "pipeline", to.name, "error", err)
	}
}

// judge marks refusals that the target will repeat: it does not exist, may not be called, or
// cannot use what it gets.
func judge(err error) error {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return err
	}
	// Errors that a service's model does not have do not say whose fault they are.
	var answer *smithyhttp.ResponseError
	refused := errors.As(err, &answer) && answer.HTTPStatusCode() >= 400 && answer.HTTPStatusCode() < 500
	if !refused && api.ErrorFault() != smithy.FaultClient {
		return err
	}
	switch code := api.ErrorCode(); {
	case strings.Contains(code, "Throttl"), strings.HasPrefix(code, "TooManyRequests"), strings.Contains(code, "LimitExceeded"), strings.HasPrefix(code, "ExpiredToken"),
		strings.HasPrefix(code, "RequestExpired"), strings.HasPrefix(code, "ConcurrentModification"):
		return err
	}
	return courier.GiveUp(err)
}

// many reads a list, or one thing that stands for a list of it: a guide of AWS prints
// sourceRevisions so (S-247).
type many[T any] []T

// UnmarshalJSON reads either.
func (m *many[T]) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(text, []byte("{")) {
		*m = make([]T, 1)
		return json.Unmarshal(text, &(*m)[0])
	}
	return json.Unmarshal(text, (*[]T)(m))
}

// arguments reads the members of an input that concern a target, by their exact names. An
// input that is no object has none.
func arguments(input string, into map[string]any) error {
	var all map[string]json.RawMessage
	if json.Unmarshal([]byte(input), &all) != nil {
		return nil
	}
	for name, to := range into {
		if text, ok := all[name]; ok {
			if err := json.Unmarshal(text, to); err != nil {
				return courier.GiveUp(fmt.Errorf("the input's %s cannot be used: %w", name, err))
			}
		}
	}
	return nil
}

// startPipeline starts a pipeline, once per delivery however often it is called. The input may
// say which revisions and variables (S-94, S-247).
func (r *Room) startPipeline(ctx context.Context, call Call, name, token, input string) error {
	var revisions many[struct {
		ActionName    *string                  `json:"actionName"`
		RevisionType  types.SourceRevisionType `json:"revisionType"`
		RevisionValue *string                  `json:"revisionValue"`
	}]
	var variables many[struct {
		Name  *string `json:"name"`
		Value *string `json:"value"`
	}]
	if err := arguments(input, map[string]any{"sourceRevisions": &revisions, "variables": &variables}); err != nil {
		return err
	}
	in := &codepipeline.StartPipelineExecutionInput{Name: &name, ClientRequestToken: &token}
	for _, v := range revisions {
		in.SourceRevisions = append(in.SourceRevisions, types.SourceRevisionOverride{ActionName: v.ActionName, RevisionType: v.RevisionType, RevisionValue: v.RevisionValue})
	}
	for _, v := range variables {
		in.Variables = append(in.Variables, types.PipelineVariable{Name: v.Name, Value: v.Value})
	}
	_, err := codepipeline.NewFromConfig(r.deps.AWS(call)).StartPipelineExecution(ctx, in)
	return local(err)
}

// startBuild starts a build, once per delivery. The input may override as StartBuild does.
func (r *Room) startBuild(ctx context.Context, call Call, project, token, input string) error {
	in := &codebuild.StartBuildInput{ProjectName: &project, IdempotencyToken: &token}
	var variables many[struct {
		Name  *string                            `json:"name"`
		Value *string                            `json:"value"`
		Type  buildtypes.EnvironmentVariableType `json:"type"`
	}]
	if err := arguments(input, map[string]any{
		"sourceVersion": &in.SourceVersion, "buildspecOverride": &in.BuildspecOverride, "environmentVariablesOverride": &variables,
	}); err != nil {
		return err
	}
	for _, v := range variables {
		in.EnvironmentVariablesOverride = append(in.EnvironmentVariablesOverride, buildtypes.EnvironmentVariable{Name: v.Name, Value: v.Value, Type: v.Type})
	}
	_, err := codebuild.NewFromConfig(r.deps.AWS(call)).StartBuild(ctx, in)
	return local(err)
}

// local marks an input that the SDK itself refuses to send.
func local(err error) error {
	var bad *smithy.InvalidParamsError
	if errors.As(err, &bad) {
		return courier.GiveUp(err)
	}
	return err
}
