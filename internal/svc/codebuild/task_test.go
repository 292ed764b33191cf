package codebuild_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"

	api "penstock/internal/api/codebuild"
	"penstock/internal/pipeline"
	"penstock/internal/provider"
	"penstock/internal/runner/fake"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
	"penstock/internal/svc/codebuild"
)

// commands is a job that runs commands.
func (b *bench) commands(lines ...string) provider.Job {
	cfg := aws.Config{
		Region: "us-east-1", HTTPClient: &http.Client{Transport: b.aws}, BaseEndpoint: new("http://penstock.test"),
		Credentials:                credentials.NewStaticCredentialsProvider("AKID", "secret", "token"),
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
	}
	return provider.Job{
		ActionExecutionID: "run-1", Account: "000000000000", Region: "us-east-1", Pipeline: "release", Action: "Make", RoleARN: role,
		Configuration: map[string]string{}, Commands: lines, Deadline: time.Now().Add(55 * time.Minute),
		Env: provider.Env{AWS: cfg, ArtifactAWS: cfg, Progress: func(provider.Progress) {}},
	}
}

const logPrefix = "arn:aws:logs:us-east-1:000000000000:log-group:/aws/codepipeline/release:log-stream:run-1/"

// logged is what a job's commands said.
func (b *bench) logged(r provider.Result) string {
	b.t.Helper()
	group, stream, ok := strings.Cut(strings.TrimPrefix(r.LogStreamARN, "arn:aws:logs:us-east-1:000000000000:log-group:"), ":log-stream:")
	if !ok {
		b.t.Fatalf("the log is %q", r.LogStreamARN)
	}
	b.aws.mu.Lock()
	defer b.aws.mu.Unlock()
	return b.aws.logs[group+" "+stream]
}

// P-16, S-282, W-39: inputs in their folders, one shell, files kept, variables given, a log of
// the pipeline's; and nothing of it in CodeBuild's lists.
func TestCommands(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := start(t, db, real(t))
		b.aws.objects["/artifacts/release/Source/abc"] = archive(t, map[string]string{"in.txt": "hello", "buildspec.yml": "not: read"})
		b.aws.objects["/artifacts/release/Lib/def"] = archive(t, map[string]string{"lib.txt": "library"})
		job := b.commands(
			"mkdir -p out/deep && cp in.txt out/deep",
			"cd out && export VERSION=1.$(cat $CODEBUILD_SRC_DIR_my_lib/lib.txt) NOT_ASKED=x",
			"test $(basename $PWD) = out && echo \"it is $NAME for $CODEBUILD_INITIATOR\" > said.txt",
			"test \"$CODEBUILD_RESOLVED_SOURCE_VERSION\" = commit1 && test \"$AWS_CONTAINER_CREDENTIALS_FULL_URI\"",
			"touch ../not-kept",
		)
		job.Inputs = []pipeline.Artifact{{Name: "Source", Bucket: "artifacts", Key: "release/Source/abc", Revision: "commit1"}, {Name: "my-lib", Bucket: "artifacts", Key: "release/Lib/def"}}
		job.Outputs = []pipeline.Artifact{{Name: "site", Bucket: "artifacts", Key: "release/site/k1"}}
		job.Files, job.OutputVariables = []string{"out/"}, []string{"VERSION", "NEVER_SET"}
		job.Environment = []pipeline.EnvironmentVariable{{Name: "NAME", Value: "a 'b' $C", Type: "PLAINTEXT"}}
		var seen provider.Progress
		job.Env.Progress = func(p provider.Progress) { seen = p }
		r := b.room.Commands(t.Context(), job)
		if r.Error != nil {
			t.Fatalf("%+v\n%s", r.Error, b.logged(r))
		}
		if !strings.HasPrefix(r.ExternalID, logPrefix) || r.ExternalID != r.LogStreamARN || seen.LogStreamARN != r.LogStreamARN {
			t.Errorf("%+v, shown %+v", r.Progress, seen)
		}
		if diff := cmp.Diff(map[string]string{"VERSION": "1.library"}, r.OutputVariables); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(map[string]string{"out/deep/in.txt": "hello", "out/said.txt": "it is a 'b' $C for codepipeline/release\n"}, content(t, b.aws.object("/artifacts/release/site/k1"))); diff != "" {
			t.Error(diff)
		}
		if log := b.logged(r); !strings.Contains(log, "Running command cd out") {
			t.Errorf("the log is\n%s", log)
		}
		list, err := b.room.ListBuilds(b.ctx, &api.ListBuildsInput{})
		if err != nil || len(list.Ids) != 0 {
			t.Errorf("builds %v, %v", list.Ids, err)
		}
	})
}

// P-16: the first command that fails is the last, and what it was is said.
func TestCommandsFail(t *testing.T) {
	t.Parallel()
	b := start(t, storetest.SQLite(t), real(t))
	r := b.room.Commands(t.Context(), b.commands("true", "sh -c 'exit 3'", "echo never"))
	want := "Build terminated with state: FAILED. Phase: BUILD, Code: COMMAND_EXECUTION_ERROR, Message: Error while executing command: sh -c 'exit 3'. Reason: exit status 3"
	if r.Error == nil || r.Error.Code != pipeline.JobFailed || r.Error.Message != want || !strings.HasPrefix(r.ExternalID, logPrefix) || strings.Contains(b.logged(r), "Running command echo never") {
		t.Errorf("%+v\n%s", r.Error, b.logged(r))
	}
	job := b.commands("true")
	job.Inputs = []pipeline.Artifact{{Name: "Source", Bucket: "artifacts", Key: "none"}}
	if r := b.room.Commands(t.Context(), job); r.Error == nil || !strings.Contains(r.Error.Message, "DOWNLOAD_SOURCE") || !strings.Contains(r.Error.Message, "s3://artifacts/none") {
		t.Errorf("%+v", r.Error)
	}
	job = b.commands("true")
	job.Outputs, job.Files = []pipeline.Artifact{{Name: "o", Bucket: "artifacts", Key: "k"}}, []string{"nothing/**/*"}
	if r := b.room.Commands(t.Context(), job); r.Error == nil || !strings.Contains(r.Error.Message, "no matching artifact paths found") {
		t.Errorf("%+v", r.Error)
	}
}

// P-16: commands end when their action does, whether they run or wait for their turn, and
// when the server does; they can be seen and stopped by nobody else.
func TestCommandsEnd(t *testing.T) {
	t.Parallel()
	b := start(t, storetest.SQLite(t), fake.Runner{}, func(d *codebuild.Deps) { d.MaxBuilds = 1 })
	run := func() (began chan string, stop context.CancelFunc, result chan provider.Result) {
		ctx, stop := context.WithCancel(t.Context())
		began, result = make(chan string, 1), make(chan provider.Result, 1)
		job := b.commands("sleep 100h")
		job.Env.Progress = func(p provider.Progress) { began <- p.LogStreamARN }
		go func() { result <- b.room.Commands(ctx, job) }()
		return began, stop, result
	}
	began, stopFirst, first := run()
	id := "AWSCodePipeline-release:" + strings.TrimPrefix(<-began, logPrefix)
	waits, stopSecond, second := run()
	<-waits
	out, err := b.room.BatchGetBuilds(b.ctx, &api.BatchGetBuildsInput{Ids: []string{id}})
	if err != nil || len(out.Builds) != 0 || len(out.BuildsNotFound) != 1 {
		t.Errorf("%+v %v", out, err)
	}
	if _, err := b.room.StopBuild(b.ctx, &api.StopBuildInput{Id: id}); err == nil {
		t.Error("anybody can stop commands")
	}
	for _, c := range []struct {
		stop   func()
		result chan provider.Result
	}{{stopSecond, second}, {stopFirst, first}} {
		c.stop()
		select {
		case r := <-c.result:
			if r.Error == nil || !strings.HasPrefix(r.Error.Message, "Build terminated with state: STOPPED") {
				t.Errorf("%+v", r.Error)
			}
		case <-time.After(5 * time.Minute):
			t.Fatal("the commands go on")
		}
	}
	began, _, last := run()
	<-began
	b.stop()
	if r := <-last; r.Error == nil {
		t.Error("commands outlived their server")
	}
	if r := b.room.Commands(t.Context(), b.commands("true")); r.Error == nil || r.Error.Code != pipeline.SystemUnavailable {
		t.Errorf("%+v", r.Error)
	}
}
