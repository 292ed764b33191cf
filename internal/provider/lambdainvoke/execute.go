package lambdainvoke

import (
	"context"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"penstock/internal/arn"
	"penstock/internal/pipeline"
	"penstock/internal/provider"
)

const (
	// again is how long after Continue the function is invoked once more (S-321).
	again = 30 * time.Second
	// maxToken is that of a continuation token of PutJobSuccessResult.
	maxToken = 2048
	// quoted is how much of an answer, in bytes, is shown to people.
	quoted = 500
)

// The event of a function that is the executor of an action type (S-321).
type (
	executorEvent struct {
		JobID     string       `json:"jobId"`
		AccountID string       `json:"accountId"`
		Data      executorData `json:"data"`
	}
	executorData struct {
		ActionConfiguration configuration  `json:"actionConfiguration"`
		EncryptionKey       *encryptionKey `json:"encryptionKey,omitempty"`
		InputArtifacts      []artifact     `json:"inputArtifacts"`
		OutputArtifacts     []artifact     `json:"outputArtifacts"`
		ActionCredentials   *credentials   `json:"actionCredentials,omitempty"`
		ActionExecutionID   string         `json:"actionExecutionId"`
		ContinuationToken   string         `json:"continuationToken,omitempty"`
	}
)

// answer is what the function returns (S-321).
type answer struct {
	Result       string `json:"result"`
	FailureType  string `json:"failureType"`
	Continuation string `json:"continuation"`
	Status       struct {
		ExternalExecutionID string `json:"externalExecutionId"`
		Summary             string `json:"summary"`
	} `json:"status"`
	OutputVariables map[string]string `json:"outputVariables"`
}

// failureTypes are those of S-117 that a function may give.
var failureTypes = []string{pipeline.JobFailed, pipeline.ConfigurationError, pipeline.PermissionError, pipeline.RevisionOutOfSync,
	pipeline.RevisionUnavailable, pipeline.SystemUnavailable}

// variableName is the name of an output variable, as in PutJobSuccessResult.
var variableName = regexp.MustCompile(`^[A-Za-z0-9@\-_]+$`)

// Execute invokes the function that is the executor of the job's action type, with the role of
// the action, and waits for what it returns (S-321, P-47). A second run after a crash invokes it
// again, with the same job.
func Execute(ctx context.Context, j provider.Job) provider.Result {
	e := executorEvent{j.ID, j.Account, executorData{ActionConfiguration: configuration{j.Configuration}, ActionExecutionID: j.ActionExecutionID,
		InputArtifacts: artifacts(j.Inputs), OutputArtifacts: artifacts(j.Outputs), ContinuationToken: j.ContinuationToken}}
	var failed *provider.Result
	if e.Data.ActionCredentials, failed = keys(ctx, j); failed != nil {
		return *failed
	}
	if k := j.EncryptionKey; k != nil && k.ID != "" {
		e.Data.EncryptionKey = &encryptionKey{k.ID, k.Type}
	}
	payload, err := json.Marshal(e)
	if err != nil {
		return provider.Failed(pipeline.ConfigurationError, "The event of '%s' is not JSON: %v", j.Action, err)
	}
	out, err := lambda.NewFromConfig(j.Env.AWS, forFunction(j.Function)).Invoke(ctx,
		&lambda.InvokeInput{FunctionName: &j.Function, InvocationType: types.InvocationTypeRequestResponse, Payload: payload})
	if err != nil {
		return j.CallFailed(err, "invoke the function "+j.Function, "ResourceNotFoundException")
	}
	if out.FunctionError != nil {
		return provider.Failed(pipeline.JobFailed, "The function %s ended with the error %s: %s", j.Function, *out.FunctionError, quote(out.Payload))
	}
	return read(j.Function, out.Payload)
}

// forFunction has the client ask in the Region of the function, and again only when it was
// told to come later: what was cut off may be at work, and a second one would be beside it.
func forFunction(function string) func(*lambda.Options) {
	return func(o *lambda.Options) {
		if a, ok := arn.Parse(function); ok {
			o.Region = a.Region
		}
		o.Retryer = retry.NewStandard(func(s *retry.StandardOptions) {
			s.Retryables = []retry.IsErrorRetryable{retry.RetryableErrorCode{Codes: retry.DefaultThrottleErrorCodes}}
		})
	}
}

// read gives the result that an answer means (S-321). One that says what cannot be fails the
// action: the executor of its type is not made for it.
func read(function string, payload []byte) provider.Result {
	wrong := func(why string) provider.Result {
		return provider.Failed(pipeline.ConfigurationError, "The function %s has to return a JSON object with a 'result' of Success, Continue or Fail; %s. It returned: %s",
			function, why, quote(payload))
	}
	var a answer
	if err := json.Unmarshal(payload, &a); err != nil {
		return wrong("what it returned cannot be read as one (" + err.Error() + ")")
	}
	result := strings.ToLower(a.Result)
	switch {
	case result != "success" && result != "continue" && result != "fail":
		return wrong("its 'result' is none of them")
	case a.FailureType != "" && result != "fail":
		return wrong("'failureType' can only be given with Fail")
	case a.Continuation != "" && result != "continue":
		return wrong("'continuation' can only be given with Continue")
	case len(a.OutputVariables) > 0 && result != "success":
		return wrong("'outputVariables' can only be given with Success")
	case a.FailureType != "" && !slices.Contains(failureTypes, a.FailureType):
		return wrong("'failureType' is one of " + strings.Join(failureTypes, ", "))
	case len(a.Continuation) > maxToken:
		return wrong("'continuation' has at most 2048 bytes")
	}
	for _, name := range slices.Sorted(maps.Keys(a.OutputVariables)) {
		if !variableName.MatchString(name) {
			return wrong("the names of 'outputVariables' consist of letters, digits, @, - and _")
		}
	}
	told := provider.Progress{Summary: a.Status.Summary, ExternalID: a.Status.ExternalExecutionID}
	switch result {
	case "continue":
		return provider.Result{Progress: told, Continue: a.Continuation, After: again}
	case "fail":
		message := "The function " + function + " returned Fail"
		if a.Status.Summary != "" {
			message += ": " + quote([]byte(a.Status.Summary))
		}
		failed := provider.Failed(pipeline.JobFailed, "%s", message)
		if a.FailureType != "" {
			failed.Error.Code = a.FailureType
		}
		failed.Progress = told
		return failed
	}
	return provider.Result{Progress: told, OutputVariables: a.OutputVariables}
}

// quote cuts what a function returned to what people need to see of it.
func quote(text []byte) string {
	if len(text) > quoted {
		return strings.ToValidUTF8(string(text[:quoted]), "") + "…"
	}
	return strings.ToValidUTF8(string(text), "")
}
