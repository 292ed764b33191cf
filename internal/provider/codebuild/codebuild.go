// Package codebuild is the CodeBuild action, in a build stage and as a test (P-9, P-10): a
// project is built with the input artifacts as its sources, and what the build makes becomes
// the output artifacts. It is also the rule of a condition that such a build decides (P-50).
package codebuild

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"

	"penstock/internal/arn"
	"penstock/internal/pipeline"
	"penstock/internal/provider"
)

// Configuration keys of the action.
const (
	keyProject   = "ProjectName"
	keyPrimary   = "PrimarySource"
	keyBatch     = "BatchEnabled"
	keyBuildspec = "BuildspecOverride"
	keyVariables = "EnvironmentVariables"
	keyRole      = "ServiceRoleArnOverride"
)

const (
	// look is how often a build is asked for that no news comes of.
	look = 5 * time.Second
	// patience is how long the service may be away while a build runs. (0.1)
	patience = 10 * time.Minute
	// maxStarts is how often a build that the server itself lost is started anew.
	maxStarts  = 10
	maxMessage = 4500
)

// Provider runs Build/AWS/CodeBuild/1, Test/AWS/CodeBuild/1 and Rule/AWS/CodeBuild/1. The zero value is ready.
type Provider struct{}

// New gives the provider.
func New() provider.Provider { return Provider{} }

// Types are the two action types and the rule type, as the catalogue has them.
func (Provider) Types() []pipeline.ActionType {
	types := slices.DeleteFunc(pipeline.BuiltinTypes(), func(t pipeline.ActionType) bool {
		return t.ID.Provider != "CodeBuild" || t.ID.Category != pipeline.CategoryBuild && t.ID.Category != pipeline.CategoryTest
	})
	return append(types, pipeline.RunnableRule("CodeBuild"))
}

// Run starts the build and waits for its end. Run again after a crash, it finds the build by
// its token; a build that the crash or a stop of the server ended is started anew.
func (Provider) Run(ctx context.Context, job provider.Job) provider.Result {
	a := &action{Job: job, client: codebuild.NewFromConfig(job.Env.AWS), project: job.Configuration[keyProject]}
	in, failure := a.input()
	if failure != nil {
		return *failure
	}
	build, failure := a.start(ctx, in)
	if failure != nil {
		return *failure
	}
	build, failure = a.wait(ctx, build)
	if failure != nil {
		return *failure
	}
	return a.result(build)
}

// action is one run of the action.
type action struct {
	provider.Job
	client  *codebuild.Client
	project string
}

func (a *action) wrong(format string, args ...any) *provider.Result {
	return new(provider.Failed(pipeline.ConfigurationError, format, args...))
}

// input makes the request: the pipeline dictates sources, artifacts and packaging, the
// project says the rest. (P-9)
func (a *action) input() (*codebuild.StartBuildInput, *provider.Result) {
	primary, failure := a.primary()
	if failure != nil {
		return nil, failure
	}
	if strings.EqualFold(a.Configuration[keyBatch], "true") {
		return nil, a.wrong("Batch builds are not offered by this server. Take %s out of action '%s'.", keyBatch, a.Action)
	}
	in := &codebuild.StartBuildInput{
		ProjectName: &a.project, SourceTypeOverride: types.SourceTypeS3, SourceLocationOverride: new(primary.Bucket + "/" + primary.Key),
		ArtifactsOverride:        &types.ProjectArtifacts{Type: types.ArtifactsTypeNoArtifacts},
		SecondarySourcesOverride: []types.ProjectSource{}, SecondaryArtifactsOverride: []types.ProjectArtifacts{},
	}
	set := func(name, value string) {
		if value != "" {
			in.EnvironmentVariablesOverride = append(in.EnvironmentVariablesOverride, types.EnvironmentVariable{Name: &name, Value: &value, Type: types.EnvironmentVariableTypePlaintext})
		}
	}
	set("CODEBUILD_INITIATOR", "codepipeline/"+a.Pipeline)
	set("CODEBUILD_RESOLVED_SOURCE_VERSION", primary.Revision)
	set("CODEBUILD_SOURCE_VERSION", arn.S3(arn.Partition(a.Region), primary.Bucket+"/"+primary.Key))
	for _, art := range a.Inputs {
		if art.Name != primary.Name {
			in.SecondarySourcesOverride = append(in.SecondarySourcesOverride, types.ProjectSource{
				Type: types.SourceTypeS3, SourceIdentifier: new(art.Name), Location: new(art.Bucket + "/" + art.Key)})
			set("CODEBUILD_RESOLVED_SOURCE_VERSION_"+art.Name, art.Revision)
		}
	}
	variables, failure := a.variables()
	if failure != nil {
		return nil, failure
	}
	in.EnvironmentVariablesOverride = append(in.EnvironmentVariablesOverride, variables...)
	if text := a.Configuration[keyBuildspec]; text != "" {
		in.BuildspecOverride = &text
	}
	if role := a.Configuration[keyRole]; role != "" {
		in.ServiceRoleOverride = &role
	}
	if a.EncryptionKey != nil && a.EncryptionKey.ID != "" {
		in.EncryptionKeyOverride = &a.EncryptionKey.ID
	}
	// One output is the primary artifact, whatever it is called; of several, each is the
	// secondary artifact of its name.
	if len(a.Outputs) == 1 {
		in.ArtifactsOverride = place(a.Outputs[0])
		return in, nil
	}
	for _, out := range a.Outputs {
		p := place(out)
		p.ArtifactIdentifier = new(out.Name)
		in.SecondaryArtifactsOverride = append(in.SecondaryArtifactsOverride, *p)
	}
	return in, nil
}

func place(a pipeline.Artifact) *types.ProjectArtifacts {
	dir, name := path.Split(a.Key)
	return &types.ProjectArtifacts{
		Type: types.ArtifactsTypeS3, Location: new(a.Bucket), Path: &dir, Name: &name,
		Packaging: types.ArtifactPackagingZip, NamespaceType: types.ArtifactNamespaceNone, OverrideArtifactName: new(false),
	}
}

func (a *action) primary() (pipeline.Artifact, *provider.Result) {
	name := a.Configuration[keyPrimary]
	switch {
	case len(a.Inputs) == 0:
		return pipeline.Artifact{}, a.wrong("The action '%s' needs an input artifact.", a.Action)
	case name == "" && len(a.Inputs) > 1:
		return pipeline.Artifact{}, a.wrong("The action '%s' has %d input artifacts: name the one with the buildspec in %s.", a.Action, len(a.Inputs), keyPrimary)
	case name == "":
		return a.Inputs[0], nil
	}
	for _, in := range a.Inputs {
		if in.Name == name {
			return in, nil
		}
	}
	return pipeline.Artifact{}, a.wrong("The %s '%s' is not an input artifact of action '%s'.", keyPrimary, name, a.Action)
}

func (a *action) variables() ([]types.EnvironmentVariable, *provider.Result) {
	text := a.Configuration[keyVariables]
	if text == "" {
		return nil, nil
	}
	var list []struct{ Name, Value, Type string }
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, a.wrong("%s of action '%s' is not a JSON array of objects with name, value and type: %v", keyVariables, a.Action, err)
	}
	var out []types.EnvironmentVariable
	for _, v := range list {
		kind := types.EnvironmentVariableType(v.Type)
		switch {
		case v.Name == "":
			return nil, a.wrong("%s of action '%s' holds a variable without a name.", keyVariables, a.Action)
		case strings.HasPrefix(v.Name, "CODEBUILD_"):
			return nil, a.wrong("%s of action '%s' sets %s: names that begin with CODEBUILD_ are reserved.", keyVariables, a.Action, v.Name)
		case v.Type == "":
			kind = types.EnvironmentVariableTypePlaintext
		case !slices.Contains(kind.Values(), kind):
			return nil, a.wrong("%s of action '%s' gives %s the type '%s': it can be PLAINTEXT, PARAMETER_STORE or SECRETS_MANAGER.", keyVariables, a.Action, v.Name, v.Type)
		}
		out = append(out, types.EnvironmentVariable{Name: new(v.Name), Value: new(v.Value), Type: kind})
	}
	return out, nil
}

// start starts the build, or finds the one an earlier run has started.
func (a *action) start(ctx context.Context, in *codebuild.StartBuildInput) (*types.Build, *provider.Result) {
	for n := 0; ; n++ {
		in.IdempotencyToken = new(a.ActionExecutionID)
		if n > 0 {
			in.IdempotencyToken = new(fmt.Sprintf("%s-%d", a.ActionExecutionID, n))
		}
		out, err := a.client.StartBuild(ctx, in)
		if err != nil {
			return nil, new(a.CallFailed(err, "start a build of the project "+a.project, "ResourceNotFoundException"))
		}
		b := out.Build
		if b == nil || b.Id == nil {
			return nil, new(provider.Failed(pipeline.SystemUnavailable, "Could not start a build of the project %s: the answer has no build", a.project))
		}
		// Over at the start means over before this run: the server went away with it.
		lost := b.BuildComplete && (b.BuildStatus == types.StatusTypeFault || b.BuildStatus == types.StatusTypeStopped)
		if !lost || n+1 == maxStarts {
			a.Env.Progress(progress(b))
			return b, nil
		}
	}
}

func progress(b *types.Build) provider.Progress {
	p := provider.Progress{ExternalID: aws.ToString(b.Id)}
	if b.Logs != nil {
		p.ExternalURL, p.LogStreamARN = aws.ToString(b.Logs.DeepLink), aws.ToString(b.Logs.CloudWatchLogsArn)
	}
	return p
}

// wait waits for the end of the build and stops it when nobody wants it any more.
func (a *action) wait(ctx context.Context, b *types.Build) (*types.Build, *provider.Result) {
	id, well := *b.Id, time.Now()
	for !b.BuildComplete {
		changed := a.Env.Changed(aws.ToString(b.Arn))
		out, err := a.client.BatchGetBuilds(ctx, &codebuild.BatchGetBuildsInput{Ids: []string{id}})
		switch {
		case ctx.Err() != nil:
			a.stop(ctx, id)
			return nil, new(a.CallFailed(ctx.Err(), "wait for the build "+id))
		case err != nil:
			r := a.CallFailed(err, "get the build "+id)
			if r.Error.Code != pipeline.SystemUnavailable || time.Since(well) > patience {
				return nil, &r
			}
		case len(out.Builds) == 0:
			return nil, new(provider.Failed(pipeline.JobFailed, "The build %s is gone: somebody deleted it.", id))
		default:
			b, well = &out.Builds[0], time.Now()
			if b.BuildComplete {
				return b, nil
			}
		}
		provider.Wait(ctx, changed, look)
	}
	return b, nil
}

func (a *action) stop(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if _, err := a.client.StopBuild(ctx, &codebuild.StopBuildInput{Id: &id}); err != nil && a.Env.Log != nil {
		a.Env.Log.Warn("codebuild: build not stopped", "build", id, "error", err)
	}
}

// result turns the end of the build into the action's.
func (a *action) result(b *types.Build) provider.Result {
	p := progress(b)
	if b.BuildStatus != types.StatusTypeSucceeded {
		code := pipeline.JobFailed
		if first := firstFailed(b); first != nil && first.PhaseType == types.BuildPhaseTypeDownloadSource && said(first, "CLIENT_ERROR") {
			// Nothing has run: an input artifact cannot be had, or not be unpacked.
			code = pipeline.ConfigurationError
		}
		r := provider.Failed(code, "%s", reason(b))
		r.Progress = p
		return r
	}
	if missing := a.missing(b); missing != "" {
		r := *a.wrong("The build %s made no artifact for the output '%s': its buildspec has no files in the artifacts section.", *b.Id, missing)
		r.Progress = p
		return r
	}
	variables := map[string]string{}
	for _, v := range b.ExportedEnvironmentVariables {
		variables[aws.ToString(v.Name)] = aws.ToString(v.Value)
	}
	return provider.Result{Progress: p, OutputVariables: variables}
}

// missing names an output that the build did not make.
func (a *action) missing(b *types.Build) string {
	made := map[string]bool{}
	if b.Artifacts != nil {
		made[aws.ToString(b.Artifacts.Location)] = true
	}
	for _, s := range b.SecondaryArtifacts {
		made[aws.ToString(s.Location)] = true
	}
	for _, out := range a.Outputs {
		if !made[arn.S3(arn.Partition(a.Region), out.Bucket+"/"+out.Key)] {
			return out.Name
		}
	}
	return ""
}

// firstFailed gives the phase that ended the build; nil if none says so.
func firstFailed(b *types.Build) *types.BuildPhase {
	for i, p := range b.Phases {
		if p.PhaseStatus != "" && p.PhaseStatus != types.StatusTypeSucceeded && p.PhaseStatus != types.StatusTypeInProgress {
			return &b.Phases[i]
		}
	}
	return nil
}

// said tells whether a phase gives a status code as its reason.
func said(p *types.BuildPhase, code string) bool {
	return slices.ContainsFunc(p.Contexts, func(c types.PhaseContext) bool { return aws.ToString(c.StatusCode) == code })
}

// reason is AWS's text, with what the first failed phase said of itself.
func reason(b *types.Build) string {
	text := "Build terminated with state: " + string(b.BuildStatus)
	if p := firstFailed(b); p != nil {
		text += ". Phase: " + string(p.PhaseType)
		for _, c := range p.Contexts {
			if code := aws.ToString(c.StatusCode); code != "" {
				text += ", Code: " + code
			}
			if m := aws.ToString(c.Message); m != "" {
				text += ", Message: " + m
			}
		}
	}
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage], "") + "…"
	}
	return text
}
