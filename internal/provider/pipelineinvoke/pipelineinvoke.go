// Package pipelineinvoke is the action that starts another pipeline (P-43).
//
// The action succeeds when the start was accepted: what becomes of the other pipeline is not
// waited for (S-339, Q-28). Pipelines that start each other in a circle, or themselves, are
// taken as they are, as in AWS, and go on until somebody stops one. A circle cannot grow: an
// action starts one execution however often it is tried, and a pipeline has one execution to
// a stage, or as many as its mode allows (S-104); a start beyond that fails the action.
package pipelineinvoke

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"

	"penstock/internal/pipeline"
	"penstock/internal/provider"
)

// Configuration keys of the action.
const (
	keyPipeline  = "PipelineName"
	keyRevisions = "SourceRevisions"
	keyVariables = "Variables"
)

// Provider runs Invoke/AWS/CodePipeline/1. The zero value is ready.
type Provider struct{}

// New gives the provider.
func New() provider.Provider { return Provider{} }

// Types is the one action type, as the catalogue has it.
func (Provider) Types() []pipeline.ActionType {
	return slices.DeleteFunc(pipeline.BuiltinTypes(), func(t pipeline.ActionType) bool {
		return t.ID.Provider != "CodePipeline" || t.ID.Category != pipeline.CategoryInvoke
	})
}

// Run starts the pipeline. The token is the action execution, so that a second run after a
// crash finds the execution that the first one started.
func (Provider) Run(ctx context.Context, job provider.Job) provider.Result {
	name := job.Configuration[keyPipeline]
	in := &codepipeline.StartPipelineExecutionInput{Name: &name, ClientRequestToken: &job.ActionExecutionID}
	var err error
	if in.SourceRevisions, err = revisions(job.Configuration[keyRevisions]); err != nil {
		return wrong(job, keyRevisions, "objects with actionName, revisionType and revisionValue", err)
	}
	if in.Variables, err = variables(job.Configuration[keyVariables]); err != nil {
		return wrong(job, keyVariables, "objects with name and value", err)
	}
	out, err := codepipeline.NewFromConfig(job.Env.AWS).StartPipelineExecution(ctx, in)
	var full *types.ConcurrentPipelineExecutionsLimitExceededException
	switch {
	case errors.As(err, &full):
		return provider.Failed(pipeline.JobFailed, "Could not start the pipeline %s: %s. Retry the stage when fewer of its executions are in progress.", name, full.ErrorMessage())
	case err != nil:
		return job.CallFailed(err, "start the pipeline "+name, "PipelineNotFoundException")
	case aws.ToString(out.PipelineExecutionId) == "":
		return provider.Failed(pipeline.SystemUnavailable, "Could not start the pipeline %s: the answer names no execution", name)
	}
	page := job.Env.ConsoleURL + "/codesuite/codepipeline/pipelines/" + url.PathEscape(name) + "/executions/" + *out.PipelineExecutionId +
		"/timeline?region=" + url.QueryEscape(job.Region)
	return provider.Result{Progress: provider.Progress{ExternalID: *out.PipelineExecutionId, ExternalURL: page}}
}

func wrong(job provider.Job, key, what string, err error) provider.Result {
	return provider.Failed(pipeline.ConfigurationError, "%s of action '%s' is not a JSON array of %s: %v", key, job.Action, what, err)
}

func revisions(text string) (out []types.SourceRevisionOverride, err error) {
	var list []struct{ ActionName, RevisionType, RevisionValue string }
	err = decode(text, &list)
	for _, r := range list {
		out = append(out, types.SourceRevisionOverride{ActionName: &r.ActionName, RevisionType: types.SourceRevisionType(r.RevisionType), RevisionValue: &r.RevisionValue})
	}
	return out, err
}

func variables(text string) (out []types.PipelineVariable, err error) {
	var list []struct{ Name, Value string }
	err = decode(text, &list)
	for _, v := range list {
		out = append(out, types.PipelineVariable{Name: &v.Name, Value: &v.Value})
	}
	return out, err
}

// decode reads one JSON value and nothing after it; no text is no value. A member that is
// spelled wrong is an error, or else the pipeline would start without what it says.
func decode(text string, to any) error {
	if text == "" {
		return nil
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("there is more after the array")
	}
	return nil
}
