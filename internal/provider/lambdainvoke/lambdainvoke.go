// Package lambdainvoke is the action and the rule that have a function of Lambda do their work
// (P-40, P-48).
//
// The function is invoked and not waited for. It, or whoever it tells, reports how the work went
// with the id of the job that is in its event; what the function returns counts for nothing.
package lambdainvoke

import (
	"context"
	"encoding/json"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"penstock/internal/pipeline"
	"penstock/internal/provider"
)

// silence is how long a function may take to report, from each invocation on (S-325).
const silence = 20 * time.Minute

// Provider runs Invoke/AWS/Lambda/1 and Rule/AWS/LambdaInvoke/1. The zero value is ready.
type Provider struct{}

// New gives the provider.
func New() provider.Provider { return Provider{} }

// Types are the action type and the rule type, as the catalogue has them.
func (Provider) Types() []pipeline.ActionType {
	all := []pipeline.ActionType{pipeline.RunnableRule("LambdaInvoke")}
	for _, t := range pipeline.BuiltinTypes() {
		if t.ID.Provider == "Lambda" && t.ID.Category == pipeline.CategoryInvoke {
			all = append(all, t)
		}
	}
	for i := range all {
		all[i].Silence, all[i].Unavailable = silence, ""
	}
	return all
}

// The event of a function (S-322).
type (
	event struct {
		Job job `json:"CodePipeline.job"`
	}
	job struct {
		ID        string `json:"id"`
		AccountID string `json:"accountId"`
		Data      data   `json:"data"`
	}
	data struct {
		ActionConfiguration configuration  `json:"actionConfiguration"`
		InputArtifacts      []artifact     `json:"inputArtifacts"`
		OutputArtifacts     []artifact     `json:"outputArtifacts"`
		ArtifactCredentials *credentials   `json:"artifactCredentials,omitempty"`
		ContinuationToken   string         `json:"continuationToken,omitempty"`
		EncryptionKey       *encryptionKey `json:"encryptionKey,omitempty"`
	}
	configuration struct {
		Configuration map[string]string `json:"configuration"`
	}
	artifact struct {
		Location location `json:"location"`
		Revision *string  `json:"revision"`
		Name     string   `json:"name"`
	}
	location struct {
		S3Location s3Location `json:"s3Location"`
		Type       string     `json:"type"`
	}
	s3Location struct {
		BucketName string `json:"bucketName"`
		ObjectKey  string `json:"objectKey"`
	}
	credentials struct {
		SecretAccessKey string `json:"secretAccessKey"`
		SessionToken    string `json:"sessionToken"`
		AccessKeyID     string `json:"accessKeyId"`
	}
	encryptionKey struct {
		ID   string `json:"id"`
		Type string `json:"type"`
	}
)

// Run invokes the function. A second run after a crash invokes it again, with the same job.
func (Provider) Run(ctx context.Context, j provider.Job) provider.Result {
	name := j.Configuration["FunctionName"]
	e := event{job{ID: j.ID, AccountID: j.Account, Data: data{
		InputArtifacts: artifacts(j.Inputs), OutputArtifacts: artifacts(j.Outputs), ContinuationToken: j.ContinuationToken,
	}}}
	var failed *provider.Result
	if e.Job.Data.ArtifactCredentials, failed = keys(ctx, j); failed != nil {
		return *failed
	}
	e.Job.Data.ActionConfiguration.Configuration = j.Configuration
	if k := j.EncryptionKey; k != nil && k.ID != "" {
		e.Job.Data.EncryptionKey = &encryptionKey{k.ID, k.Type}
	}
	payload, err := json.Marshal(e)
	if err != nil {
		return provider.Failed(pipeline.ConfigurationError, "The event of '%s' is not JSON: %v", j.Action, err)
	}
	// S-326: with the role of the action.
	_, err = lambda.NewFromConfig(j.Env.AWS).Invoke(ctx, &lambda.InvokeInput{FunctionName: &name, InvocationType: types.InvocationTypeEvent, Payload: payload})
	if err != nil {
		return j.CallFailed(err, "invoke the function "+name, "ResourceNotFoundException")
	}
	return provider.Result{Elsewhere: true}
}

func artifacts(list []pipeline.Artifact) []artifact {
	out := make([]artifact, 0, len(list))
	for _, a := range list {
		one := artifact{Name: a.Name, Location: location{s3Location{a.Bucket, a.Key}, "S3"}}
		if a.Revision != "" {
			one.Revision = &a.Revision
		}
		out = append(out, one)
	}
	return out
}

// keys makes the credentials for the artifacts of a job, or gives the failure; nil if the job
// has no artifacts (S-310).
func keys(ctx context.Context, j provider.Job) (*credentials, *provider.Result) {
	if len(j.Inputs)+len(j.Outputs) == 0 {
		return nil, nil
	}
	k, err := j.Env.Credentials(ctx)
	if err != nil {
		return nil, new(provider.Failed(pipeline.SystemUnavailable, "Could not make the credentials for the artifacts of '%s': %v", j.Action, err))
	}
	return &credentials{k.SecretAccessKey, k.SessionToken, k.AccessKeyID}, nil
}
