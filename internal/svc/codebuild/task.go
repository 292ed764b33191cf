package codebuild

import (
	"cmp"
	"context"
	"path"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	api "penstock/internal/api/codebuild"
	"penstock/internal/arn"
	"penstock/internal/auth"
	"penstock/internal/buildspec"
	"penstock/internal/pipeline"
	"penstock/internal/provider"
	"penstock/internal/store"
)

// task makes a build of no project: the commands of a pipeline's action or rule (P-16). It is
// in no list and in no row; its job is what survives a crash.
type task struct {
	job provider.Job
	// done is closed at the end.
	done chan struct{}
}

// commandsImage is the image that AWS runs commands in.
const commandsImage = "aws/codebuild/amazonlinux2-x86_64-standard:5.0"

// Commands runs the commands of a job like the build phase of a build, in turn with the builds
// of projects, and gives the job's result when they have ended. When ctx ends they are
// stopped. Names of variables in the job must be such that a shell takes them.
func (r *Room) Commands(ctx context.Context, job provider.Job) provider.Result {
	b := r.newTask(job)
	at := provider.Progress{ExternalID: b.doc.Build.Logs.CloudWatchLogsArn, LogStreamARN: b.doc.Build.Logs.CloudWatchLogsArn} // W-39
	if !r.enqueue(b) {
		return provider.Failed(pipeline.SystemUnavailable, "The commands of action '%s' were not run: the server is being shut down", job.Action)
	}
	job.Env.Progress(at)
	select {
	case <-b.task.done:
	case <-ctx.Done():
		b.cancel(errStopped)
		<-b.task.done
	}
	end := b.snapshot()
	if end.BuildStatus != "SUCCEEDED" {
		r := provider.Failed(pipeline.JobFailed, "%s", reason(end))
		r.Progress = at
		return r
	}
	variables := map[string]string{}
	for _, v := range end.ExportedEnvironmentVariables { // S-282
		variables[v.Name] = v.Value
	}
	return provider.Result{Progress: at, OutputVariables: variables}
}

// newTask makes the build: what a project and its start would say comes from the job.
func (r *Room) newTask(job provider.Job) *build {
	now, id := time.Now(), auth.NewUUID()
	name := "AWSCodePipeline-" + job.Pipeline
	caller := auth.Caller{Account: job.Account, Region: job.Region, ARN: job.RoleARN}
	limit := int32(max(1, time.Until(job.Deadline)/time.Minute+1)) // the job's own deadline comes first
	doc := &buildDoc{Account: job.Account, Region: job.Region, CallerARN: job.RoleARN, Given: map[string]string{}}
	b := api.Build{
		Id: name + ":" + id, Arn: buildARN(job.Account, job.Region, name+":"+id), BuildNumber: new(int64(1)), StartTime: &now, ProjectName: name,
		BuildStatus: "IN_PROGRESS", BuildComplete: new(false), ServiceRole: job.RoleARN, TimeoutInMinutes: &limit, QueuedTimeoutInMinutes: &limit,
		Initiator: "codepipeline/" + job.Pipeline, EncryptionKey: arn.New("kms", job.Region, job.Account, "alias/aws/s3"),
		Environment: &api.ProjectEnvironment{Type: "LINUX_CONTAINER", Image: commandsImage,
			ComputeType: cmp.Or(job.Configuration["ComputeType"], "BUILD_GENERAL1_SMALL")},
		Source: &api.ProjectSource{Type: "NO_SOURCE"},
		Logs: logsOf(&api.LogsConfig{CloudWatchLogs: &api.CloudWatchLogsConfig{Status: "ENABLED",
			GroupName: "/aws/codepipeline/" + job.Pipeline, StreamName: job.ActionExecutionID}}, name, id, caller),
	}
	for _, v := range job.Environment {
		b.Environment.EnvironmentVariables = append(b.Environment.EnvironmentVariables, api.EnvironmentVariable{Name: v.Name, Value: v.Value, Type: cmp.Or(v.Type, "PLAINTEXT")})
	}
	for i, in := range job.Inputs {
		source := api.ProjectSource{Type: "S3", Location: in.Bucket + "/" + in.Key, SourceIdentifier: in.Name}
		if i > 0 {
			b.SecondarySources = append(b.SecondarySources, source)
			continue
		}
		source.SourceIdentifier = ""
		b.Source, doc.Given["CODEBUILD_SOURCE_VERSION"] = &source, arn.S3(arn.Partition(job.Region), source.Location)
		if in.Revision != "" {
			doc.Given["CODEBUILD_RESOLVED_SOURCE_VERSION"] = in.Revision
		}
	}
	if k := job.EncryptionKey; k != nil && k.ID != "" {
		b.EncryptionKey = k.ID
	}
	spec := &buildspec.Spec{Version: "0.2", Env: buildspec.Env{Exported: job.OutputVariables},
		Phases: map[buildspec.PhaseName]buildspec.Phase{buildspec.Build: {Commands: job.Commands}}}
	primary := api.ProjectArtifacts{Type: "NO_ARTIFACTS"}
	if len(job.Outputs) > 0 {
		dir, file := path.Split(job.Outputs[0].Key)
		primary = api.ProjectArtifacts{Type: "S3", Location: job.Outputs[0].Bucket, Path: dir, Name: file, Packaging: "ZIP", NamespaceType: "NONE"}
		spec.Artifacts = &buildspec.Artifacts{Primary: buildspec.ArtifactSet{Files: folders(job.Files)}}
	}
	doc.Artifacts = []api.ProjectArtifacts{primary}
	doc.Build = record{b}
	doc.Build.beginPhase(now, buildspec.Queued)
	made := r.newBuild(store.CodeBuildBuild{Account: job.Account, Region: job.Region, ID: b.Id, Project: name, Started: now}, doc)
	made.task, made.spec = &task{job: job, done: make(chan struct{})}, spec
	return made
}

// folders has a pattern that ends in a slash mean all that is in the folder. (P-16)
func folders(patterns []string) []string {
	var out []string
	for _, p := range patterns {
		if strings.HasSuffix(p, "/") {
			p += "**/*"
		}
		out = append(out, p)
	}
	return out
}

// role gives the configurations with which a build works: as its role, and for the artifact
// store.
func (b *build) role(ctx context.Context) (cfg, artifacts aws.Config, err error) {
	if b.task != nil {
		return b.task.job.Env.AWS, b.task.job.Env.ArtifactAWS, nil
	}
	id := b.row.ID
	cfg, err = b.room.deps.AWS(ctx, b.doc.Build.ServiceRole, "AWSCodeBuild-"+id[strings.LastIndexByte(id, ':')+1:])
	return cfg, cfg, err
}

// reason is the text with which AWS ends an action whose build failed, with what the first
// phase that did not succeed said of itself.
func reason(b *api.Build) string {
	text := "Build terminated with state: " + b.BuildStatus
	for _, p := range b.Phases {
		if p.PhaseStatus == "" || p.PhaseStatus == "SUCCEEDED" {
			continue
		}
		text += ". Phase: " + p.PhaseType
		for _, c := range p.Contexts {
			if c.StatusCode != "" {
				text += ", Code: " + c.StatusCode
			}
			if c.Message != "" {
				text += ", Message: " + c.Message
			}
		}
		break
	}
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "…"
	}
	return text
}

// maxReason keeps a reason within what the API shows.
const maxReason = 4500
