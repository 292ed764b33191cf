package codebuild_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aws/aws-sdk-go-v2/aws"

	api "penstock/internal/api/codebuild"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/runner/fake"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
	"penstock/internal/svc/codebuild"
)

const allPhases = "SUBMITTED SUCCEEDED, QUEUED SUCCEEDED, PROVISIONING SUCCEEDED, DOWNLOAD_SOURCE SUCCEEDED, INSTALL SUCCEEDED, PRE_BUILD SUCCEEDED, " +
	"BUILD SUCCEEDED, POST_BUILD SUCCEEDED, UPLOAD_ARTIFACTS SUCCEEDED, FINALIZING SUCCEEDED, COMPLETED"

// P-9: a build as the pipeline's action starts it: artifacts in and out through S3.
func TestBuildFromS3(t *testing.T) {
	t.Parallel()
	b := start(t, storetest.SQLite(t), real(t))
	b.project()
	b.aws.objects["/artifacts/pipe/Source/abc"] = archive(t, map[string]string{"buildspec.yml": `
version: 0.2
env:
  variables: {FROM: file, OVER: file, ONLY: file}
  exported-variables: [VERSION, AWS_SECRET, NOT_SET]
phases:
  install: {runtime-versions: {nodejs: 20}}
  build:
    commands:
      - cd dir && export VERSION=1.2.3
      - test "$FROM/$OVER/$ONLY" = project/start/file
      - test "$CODEBUILD_INITIATOR" = codepipeline/deploy-it
      - test "$CODEBUILD_RESOLVED_SOURCE_VERSION" = commit1 && test "$CODEBUILD_BUILD_ID" && test "$CODEBUILD_CI" = true
      - test "$(cat "$CODEBUILD_SRC_DIR_my_lib/lib.txt")" = library
      - mkdir ../out && cat in.txt >../out/result.txt && printf two >../out/two.txt
  post_build:
    commands: ["echo $(basename $PWD) $AWS_CONTAINER_AUTHORIZATION_TOKEN"]
artifacts:
  files: ["**/*"]
  base-directory: out
  secondary-artifacts:
    second: {files: [two.txt], base-directory: $CODEBUILD_SRC_DIR/out}
`, "dir/in.txt": "hello"})
	b.aws.objects["/artifacts/pipe/Lib/def"] = archive(t, map[string]string{"lib.txt": "library"})
	ctx := auth.Trusted(t.Context(), auth.Caller{Account: "000000000000", Region: "us-east-1", ARN: "arn:aws:sts::000000000000:assumed-role/pipe/deploy-it", SessionName: "deploy-it", InvokedBy: "codepipeline.amazonaws.com"})
	in := &api.StartBuildInput{
		ProjectName: "p", IdempotencyToken: "action-1", SourceTypeOverride: "S3", SourceLocationOverride: "artifacts/pipe/Source/abc",
		SecondarySourcesOverride: []api.ProjectSource{{Type: "S3", SourceIdentifier: "my-lib", Location: "artifacts/pipe/Lib/def"}},
		ArtifactsOverride:        &api.ProjectArtifacts{Type: "S3", Location: "artifacts", Path: "pipe/Out", Name: "k1", Packaging: "ZIP", NamespaceType: "NONE"},
		SecondaryArtifactsOverride: []api.ProjectArtifacts{
			{Type: "S3", ArtifactIdentifier: "second", Location: "artifacts", Path: "pipe/Second", Name: "k2", Packaging: "ZIP"}},
		EnvironmentVariablesOverride: []api.EnvironmentVariable{{Name: "OVER", Value: "start"}, {Name: "CODEBUILD_RESOLVED_SOURCE_VERSION", Value: "commit1"}},
	}
	out, err := b.room.StartBuild(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	done := b.end(out.Build.Id)
	if done.BuildStatus != "SUCCEEDED" || phases(done) != allPhases {
		t.Fatalf("%s: %s\n%s", done.BuildStatus, phases(done), b.aws.log(done))
	}
	if diff := cmp.Diff(map[string]string{"result.txt": "hello", "two.txt": "two"}, content(t, b.aws.object("/artifacts/pipe/Out/k1"))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"two.txt": "two"}, content(t, b.aws.object("/artifacts/pipe/Second/k2"))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]api.ExportedEnvironmentVariable{{Name: "VERSION", Value: "1.2.3"}}, done.ExportedEnvironmentVariables); diff != "" {
		t.Error(diff)
	}
	if done.Artifacts.Location != "arn:aws:s3:::artifacts/pipe/Out/k1" || done.Artifacts.Sha256sum == "" || done.SecondaryArtifacts[0].ArtifactIdentifier != "second" {
		t.Errorf("artifacts %+v %+v", done.Artifacts, done.SecondaryArtifacts)
	}
	if done.ResolvedSourceVersion != "commit1" || done.Initiator != "codepipeline/deploy-it" || *done.BuildNumber != 1 || done.Logs.GroupName != "/aws/codebuild/p" {
		t.Errorf("build %+v", done)
	}
	log := b.aws.log(done)
	for _, want := range []string{"[Container] ", "Running command cd dir", "\ndir ***\n", "Skipping install of runtimes.", "Phase complete: BUILD State: SUCCEEDED"} {
		if !strings.Contains(log, want) {
			t.Errorf("log has no %q:\n%s", want, log)
		}
	}
	// The same token is the same build, however late. (P-9, idempotency)
	again, err := b.room.StartBuild(ctx, in)
	if err != nil || again.Build.Id != out.Build.Id || !*again.Build.BuildComplete {
		t.Errorf("%+v %v", again, err)
	}
}

// A.3, A.5: how builds fail, and what their phases and contexts say.
func TestBuildFailures(t *testing.T) {
	t.Parallel()
	b := start(t, storetest.SQLite(t), real(t))
	b.project()
	out := func(in *api.StartBuildInput) {
		in.ArtifactsOverride = &api.ProjectArtifacts{Type: "S3", Location: "artifacts", Name: "o", Packaging: "ZIP"}
	}
	for name, c := range map[string]struct {
		spec          string
		change        func(*api.StartBuildInput)
		phases        string // of those that did not succeed
		code, message string
	}{
		"command": {spec: "version: 0.2\nphases: {build: {commands: ['exit 3', 'echo unseen']}, post_build: {commands: ['test $CODEBUILD_BUILD_SUCCEEDING = 0']}}",
			phases: "BUILD FAILED", code: "COMMAND_EXECUTION_ERROR", message: "Error while executing command: exit 3. Reason: exit status 3"},
		"install": {spec: "version: 0.2\nphases: {install: {commands: ['false'], finally: ['echo finally']}, build: {commands: ['echo unseen']}}",
			phases: "INSTALL FAILED", code: "COMMAND_EXECUTION_ERROR", message: "Error while executing command: false. Reason: exit status 1"},
		"finally": {spec: "version: 0.2\nphases: {install: {commands: ['true'], finally: ['false']}}",
			phases: "INSTALL FAILED", code: "COMMAND_EXECUTION_ERROR", message: "Error while executing command: false. Reason: exit status 1"},
		"yaml": {spec: "version: 0.2\nphases:\n  build:\n    commands:\n      - echo a: b\n",
			phases: "DOWNLOAD_SOURCE FAILED", code: "YAML_FILE_ERROR",
			message: "Expected Commands[0] to be of string type: found subkeys instead at line 5, value of the key tag on line 5 might be empty"},
		"no artifacts": {spec: "version: 0.2\nphases: {build: {commands: ['true']}}\nartifacts: {files: [none]}", change: out,
			phases: "UPLOAD_ARTIFACTS FAILED", code: "CLIENT_ERROR", message: "no matching artifact paths found"},
		"run-as": {spec: "version: 0.2\nrun-as: somebody\nphases: {build: {commands: ['true']}}",
			phases: "BUILD FAILED", code: "CLIENT_ERROR", message: "run-as: somebody: run-as is not supported by this runner"},
		"role": {spec: "version: 0.2\nphases: {}", change: func(in *api.StartBuildInput) { in.ServiceRoleOverride = "arn:aws:iam::000000000000:role/none" },
			phases: "PROVISIONING FAILED", code: "CLIENT_ERROR",
			message: `CodeBuild is not authorized to perform: sts:AssumeRole on arn:aws:iam::000000000000:role/none: no role arn:aws:iam::000000000000:role/none in "us-east-1"`},
		"no object": {spec: "", change: func(in *api.StartBuildInput) { in.SourceTypeOverride, in.SourceLocationOverride = "S3", "b/none.zip" },
			phases: "DOWNLOAD_SOURCE FAILED", code: "CLIENT_ERROR", message: "cannot get s3://b/none.zip"},
		"evil archive": {spec: "", change: func(in *api.StartBuildInput) { in.SourceTypeOverride, in.SourceLocationOverride = "S3", "b/evil.zip" },
			phases: "DOWNLOAD_SOURCE FAILED", code: "CLIENT_ERROR", message: `cannot unpack s3://b/evil.zip: archive entry "../evil" leaves the archive`},
		"no spec": {spec: "", change: func(in *api.StartBuildInput) { in.SourceTypeOverride, in.SourceLocationOverride = "S3", "b/empty.zip" },
			phases: "DOWNLOAD_SOURCE FAILED", code: "YAML_FILE_ERROR", message: "YAML file does not exist"},
		"spec outside": {spec: "../../../etc/passwd", change: func(in *api.StartBuildInput) { in.SourceTypeOverride, in.SourceLocationOverride = "S3", "b/empty.zip" },
			phases: "DOWNLOAD_SOURCE FAILED", code: "YAML_FILE_ERROR", message: "path escapes"},
	} {
		t.Run(name, func(t *testing.T) {
			b := *b
			b.t = t
			b.aws.mu.Lock()
			b.aws.objects["/b/evil.zip"] = archive(t, map[string]string{"../evil": "x"})
			b.aws.objects["/b/empty.zip"] = archive(t, map[string]string{"readme": "x"})
			b.aws.mu.Unlock()
			change := c.change
			if change == nil {
				change = func(*api.StartBuildInput) {}
			}
			done := b.end(b.inline(c.spec, change).Id)
			var bad []string
			var context api.PhaseContext
			for _, p := range done.Phases {
				if p.PhaseStatus != "SUCCEEDED" && p.PhaseStatus != "" {
					bad = append(bad, p.PhaseType+" "+p.PhaseStatus)
					context = p.Contexts[0]
				}
			}
			if done.BuildStatus != "FAILED" || strings.Join(bad, ", ") != c.phases || context.StatusCode != c.code || !strings.Contains(context.Message, c.message) {
				t.Errorf("%s %q %+v\n%s", done.BuildStatus, bad, context, b.aws.log(done))
			}
			if strings.Contains(b.aws.log(done), "Running command echo unseen") {
				t.Error("ran on after a failure")
			}
		})
	}
}

// A.3: on-failure.
func TestOnFailure(t *testing.T) {
	t.Parallel()
	b := start(t, storetest.SQLite(t), real(t))
	b.project()
	done := b.end(b.inline("version: 0.2\nphases:\n" +
		"  install: {on-failure: CONTINUE, commands: ['false']}\n" +
		"  pre_build: {on-failure: RETRY-2-again, commands: ['echo again; n=$((n+1)); test $n = 3']}\n" +
		"  build: {on-failure: ABORT, commands: ['false']}\n" +
		"  post_build: {commands: ['echo unseen']}\n").Id)
	if want := "INSTALL FAILED, PRE_BUILD SUCCEEDED, BUILD FAILED, FINALIZING SUCCEEDED, COMPLETED"; done.BuildStatus != "FAILED" || !strings.HasSuffix(phases(done), want) {
		t.Errorf("%s\n%s", phases(done), b.aws.log(done))
	}
}

// A.1: version 0.1 gives each command a shell of its own.
func TestVersion01(t *testing.T) {
	t.Parallel()
	b := start(t, storetest.SQLite(t), real(t))
	b.project()
	done := b.end(b.inline("version: 0.1\nphases: {build: {commands: ['mkdir d && cd d && export A=1', 'test -d d && test -z \"$A\"']}}").Id)
	if done.BuildStatus != "SUCCEEDED" {
		t.Errorf("%s\n%s", phases(done), b.aws.log(done))
	}
}

// N-10: StopBuild ends a running and a queued build; the queue is first come, first served.
func TestStopAndQueue(t *testing.T) {
	t.Parallel()
	b := start(t, storetest.SQLite(t), fake.Runner{}, func(d *codebuild.Deps) { d.MaxBuilds = 1 })
	b.project()
	const long = "version: 0.2\nphases: {build: {commands: ['echo here', 'sleep 600']}}"
	first, second, third := b.inline(long), b.inline(long), b.inline("version: 0.2\nphases: {build: {commands: ['true']}}")
	b.until(first.Id, func(now *api.Build) bool { return now.CurrentPhase == "BUILD" })
	if now := b.get(second.Id); now.CurrentPhase != "QUEUED" || now.BuildStatus != "IN_PROGRESS" {
		t.Errorf("second: %+v", now)
	}
	for _, id := range []string{second.Arn, first.Id} {
		if _, err := b.room.StopBuild(b.ctx, &api.StopBuildInput{Id: id}); err != nil {
			t.Fatal(err)
		}
	}
	if done := b.end(first.Id); done.BuildStatus != "STOPPED" || !strings.HasSuffix(phases(done), "BUILD STOPPED, FINALIZING SUCCEEDED, COMPLETED") {
		t.Errorf("first: %s %s", done.BuildStatus, phases(done))
	}
	if done := b.end(second.Id); done.BuildStatus != "STOPPED" || phases(done) != "SUBMITTED SUCCEEDED, QUEUED STOPPED, COMPLETED" {
		t.Errorf("second: %s %s", done.BuildStatus, phases(done))
	}
	if done := b.end(third.Id); done.BuildStatus != "SUCCEEDED" {
		t.Errorf("third: %s", phases(done))
	}
	if out, err := b.room.StopBuild(b.ctx, &api.StopBuildInput{Id: first.Id}); err != nil || out.Build.BuildStatus != "STOPPED" {
		t.Errorf("a build that is over: %+v %v", out, err)
	}
}

// N-10: the builds of one account, however many and long, have those of another wait for one at most.
func TestAccountsTakeTurns(t *testing.T) {
	t.Parallel()
	b := start(t, storetest.SQLite(t), fake.Runner{}, func(d *codebuild.Deps) {
		d.MaxBuilds = 1
		d.AWS = func(context.Context, string, string) (aws.Config, error) { return aws.Config{Region: "us-east-1"}, nil }
	})
	silent := func(in *api.CreateProjectInput) {
		in.LogsConfig = &api.LogsConfig{CloudWatchLogs: &api.CloudWatchLogsConfig{Status: "DISABLED"}}
	}
	b.project(silent)
	const long = "version: 0.2\nphases: {build: {commands: ['sleep 600']}}"
	first := b.inline(long)
	b.until(first.Id, func(now *api.Build) bool { return now.CurrentPhase == "BUILD" }) // the room runs, and is full
	second := b.inline(long)
	other := *b
	other.ctx = auth.Trusted(t.Context(), auth.Caller{Account: "111111111111", Region: "us-east-1", ARN: "arn:aws:iam::111111111111:user/me", UserName: "me"})
	other.project(silent, func(in *api.CreateProjectInput) {
		in.ServiceRole = strings.Replace(role, "000000000000", "111111111111", 1)
	})
	late := other.inline("version: 0.2\nphases: {build: {commands: ['true']}}")
	if _, err := b.room.StopBuild(b.ctx, &api.StopBuildInput{Id: first.Id}); err != nil {
		t.Fatal(err)
	}
	b.end(first.Id)
	if done := other.end(late.Id); done.BuildStatus != "SUCCEEDED" {
		t.Errorf("%s", phases(done))
	}
	b.until(second.Id, func(now *api.Build) bool { return now.CurrentPhase == "BUILD" })
}

// N-10: a build whose server died is ended by the next start of the same node only.
func TestServerDied(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := start(t, db, fake.Runner{})
		b.project()
		token := func(in *api.StartBuildInput) { in.IdempotencyToken = "t" }
		run := b.inline("version: 0.2\nphases: {build: {commands: ['sleep 600']}}", token)
		b.until(run.Id, func(now *api.Build) bool { return now.CurrentPhase == "BUILD" })
		other := start(t, db, fake.Runner{}, func(d *codebuild.Deps) { d.Node = "n2" })
		other.end(other.inline("version: 0.2\nphases: {}").Id)
		if now := other.get(run.Id); *now.BuildComplete {
			t.Errorf("another node ended it: %+v", now)
		}
		// A second room with the node's name sees what a restart after a crash sees.
		next := start(t, db, fake.Runner{})
		if same := next.inline("version: 0.2\nphases: {}", token); same.Id != run.Id || !*same.BuildComplete {
			t.Errorf("the token's build: %+v", same)
		}
		done := next.end(run.Id)
		last := done.Phases[len(done.Phases)-2]
		if done.BuildStatus != "FAULT" || last.PhaseStatus != "FAULT" || !strings.Contains(last.Contexts[0].Message, "server that ran this build stopped") {
			t.Errorf("%+v", done)
		}
	})
}

// N-10: a server that is shut down ends its builds.
func TestShutdown(t *testing.T) {
	t.Parallel()
	b := start(t, storetest.SQLite(t), fake.Runner{})
	b.project()
	run := b.inline("version: 0.2\nphases: {build: {commands: ['sleep 600']}}")
	b.until(run.Id, func(now *api.Build) bool { return now.CurrentPhase == "BUILD" })
	b.stop()
	if now := b.get(run.Id); now.BuildStatus != "FAULT" || !*now.BuildComplete {
		t.Errorf("%+v", now)
	}
}

// N-10: projects and lists of builds.
func TestProjectsAndLists(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := start(t, db, fake.Runner{})
		b.project(func(in *api.CreateProjectInput) { in.ConcurrentBuildLimit = new(int32(1)) })
		again := &api.CreateProjectInput{Name: "p", ServiceRole: role, Source: &api.ProjectSource{Type: "NO_SOURCE"}, Artifacts: &api.ProjectArtifacts{Type: "NO_ARTIFACTS"}, Environment: &api.ProjectEnvironment{}}
		if _, err := b.room.CreateProject(b.ctx, again); fault.Code(err) != "ResourceAlreadyExistsException" {
			t.Error(err)
		}
		if _, err := b.room.StartBuild(b.ctx, &api.StartBuildInput{ProjectName: "p"}); fault.Code(err) != "InvalidInputException" {
			t.Error("CODEPIPELINE without overrides:", err)
		}
		if _, err := b.room.StartBuild(b.ctx, &api.StartBuildInput{ProjectName: "none"}); fault.Code(err) != "ResourceNotFoundException" {
			t.Error(err)
		}
		if out, err := b.room.UpdateProject(b.ctx, &api.UpdateProjectInput{Name: "p", Description: new("new"), TimeoutInMinutes: new(int32(7))}); err != nil ||
			out.Project.Description != "new" || *out.Project.TimeoutInMinutes != 7 || out.Project.Source.Type != "CODEPIPELINE" {
			t.Error(out, err)
		}
		first := b.inline("version: 0.2\nphases: {build: {commands: ['sleep 600']}}")
		b.until(first.Id, func(now *api.Build) bool { return now.CurrentPhase == "BUILD" })
		if _, err := b.room.StartBuild(b.ctx, &api.StartBuildInput{ProjectName: "p", SourceTypeOverride: "NO_SOURCE", BuildspecOverride: "version: 0.2\nphases: {}", ArtifactsOverride: &api.ProjectArtifacts{Type: "NO_ARTIFACTS"}}); fault.Code(err) != "AccountLimitExceededException" {
			t.Error(err)
		}
		b.room.StopBuild(b.ctx, &api.StopBuildInput{Id: first.Id})
		b.end(first.Id)
		b.room.UpdateProject(b.ctx, &api.UpdateProjectInput{Name: "p", ConcurrentBuildLimit: new(int32(-1))})
		retry, err := b.room.RetryBuild(b.ctx, &api.RetryBuildInput{Id: first.Id})
		if err != nil || retry.Build.Id == first.Id || *retry.Build.BuildNumber != 2 {
			t.Fatal(retry, err)
		}
		b.room.StopBuild(b.ctx, &api.StopBuildInput{Id: retry.Build.Id})
		b.end(retry.Build.Id)
		if out, err := b.room.ListBuildsForProject(b.ctx, &api.ListBuildsForProjectInput{ProjectName: "p"}); err != nil || !cmp.Equal(out.Ids, []string{retry.Build.Id, first.Id}) {
			t.Error(out, err)
		}
		if out, err := b.room.ListBuilds(b.ctx, &api.ListBuildsInput{SortOrder: "ASCENDING"}); err != nil || !cmp.Equal(out.Ids, []string{first.Id, retry.Build.Id}) {
			t.Error(out, err)
		}
		if out, err := b.room.BatchDeleteBuilds(b.ctx, &api.BatchDeleteBuildsInput{Ids: []string{first.Id, "p:none"}}); err != nil || len(out.BuildsDeleted) != 1 || out.BuildsNotDeleted[0].StatusCode != "BUILD_NOT_FOUND" {
			t.Error(out, err)
		}
		if out, err := b.room.BatchGetBuilds(b.ctx, &api.BatchGetBuildsInput{Ids: []string{first.Id}}); err != nil || len(out.BuildsNotFound) != 1 {
			t.Error(out, err)
		}
		for _, by := range []string{"NAME", "CREATED_TIME", "LAST_MODIFIED_TIME"} {
			if out, err := b.room.ListProjects(b.ctx, &api.ListProjectsInput{SortBy: by, SortOrder: "DESCENDING"}); err != nil || !cmp.Equal(out.Projects, []string{"p"}) {
				t.Error(out, err)
			}
		}
		if _, err := b.room.ListProjects(b.ctx, &api.ListProjectsInput{NextToken: "x"}); fault.Code(err) != "InvalidInputException" {
			t.Error(err)
		}
		if _, err := b.room.InvalidateProjectCache(b.ctx, &api.InvalidateProjectCacheInput{ProjectName: "p"}); err != nil {
			t.Error(err)
		}
		if _, err := b.room.InvalidateProjectCache(b.ctx, &api.InvalidateProjectCacheInput{ProjectName: "none"}); fault.Code(err) != "ResourceNotFoundException" {
			t.Error(err)
		}
		if out, err := b.room.ListCuratedEnvironmentImages(b.ctx, &api.ListCuratedEnvironmentImagesInput{}); err != nil || out.Platforms == nil || len(out.Platforms) > 0 {
			t.Error(out, err)
		}
		b.room.DeleteProject(b.ctx, &api.DeleteProjectInput{Name: "p"})
		if out, err := b.room.BatchGetProjects(b.ctx, &api.BatchGetProjectsInput{Names: []string{"p"}}); err != nil || len(out.ProjectsNotFound) != 1 {
			t.Error(out, err)
		}
	})
}

// W-32: builds ask for their project.
func TestDenied(t *testing.T) {
	t.Parallel()
	b := start(t, storetest.SQLite(t), fake.Runner{})
	b.project()
	ctx, err := auth.Limited(t.Context(), auth.Caller{Account: "000000000000", Region: "us-east-1", ARN: "arn:aws:iam::000000000000:user/u"},
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"codebuild:*","Resource":"arn:aws:codebuild:us-east-1:000000000000:project/mine"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	in := &api.StartBuildInput{ProjectName: "p"}
	for name, err := range map[string]error{
		"start": second(b.room.StartBuild(ctx, in)), "get": second(b.room.BatchGetBuilds(ctx, &api.BatchGetBuildsInput{Ids: []string{"p:x"}})),
		"stop": second(b.room.StopBuild(ctx, &api.StopBuildInput{Id: "p:x"})), "list": second(b.room.ListBuilds(ctx, &api.ListBuildsInput{})),
		"pass": second(b.room.StartBuild(ctx, &api.StartBuildInput{ProjectName: "mine", ServiceRoleOverride: role})),
	} {
		if fault.Code(err) != "AccessDeniedException" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// W-44: a role is handed to CodeBuild only by those who may pass it to that service.
func TestPassRole(t *testing.T) {
	t.Parallel()
	b := start(t, storetest.SQLite(t), fake.Runner{})
	b.project()
	as := func(to string) context.Context {
		ctx, err := auth.Limited(t.Context(), auth.Caller{Account: "000000000000", Region: "us-east-1", ARN: "arn:aws:iam::000000000000:user/u"},
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"codebuild:*","Resource":"*"},
			{"Effect":"Allow","Action":"iam:PassRole","Resource":"`+role+`","Condition":{"StringEquals":{"iam:PassedToService":"`+to+`"}}}]}`)
		if err != nil {
			t.Fatal(err)
		}
		return ctx
	}
	create := &api.CreateProjectInput{Name: "other", ServiceRole: role, Source: &api.ProjectSource{Type: "NO_SOURCE", Buildspec: "version: 0.2\n"},
		Artifacts: &api.ProjectArtifacts{Type: "NO_ARTIFACTS"}, Environment: &api.ProjectEnvironment{Type: "LINUX_CONTAINER", Image: "i", ComputeType: "BUILD_GENERAL1_SMALL"}}
	for to, want := range map[string]string{"codepipeline.amazonaws.com": "AccessDeniedException", "codebuild.amazonaws.com": ""} {
		for name, err := range map[string]error{
			"CreateProject": second(b.room.CreateProject(as(to), create)),
			"UpdateProject": second(b.room.UpdateProject(as(to), &api.UpdateProjectInput{Name: "p", ServiceRole: role})),
			"StartBuild": second(b.room.StartBuild(as(to), &api.StartBuildInput{ProjectName: "p", ServiceRoleOverride: role, SourceTypeOverride: "NO_SOURCE",
				BuildspecOverride: "version: 0.2\n", ArtifactsOverride: &api.ProjectArtifacts{Type: "NO_ARTIFACTS"}})),
		} {
			if fault.Code(err) != want || want == "" && err != nil {
				t.Errorf("%s with a role that may go to %s: %v", name, to, err)
			}
		}
	}
	if err := second(b.room.UpdateProject(as("nobody"), &api.UpdateProjectInput{Name: "p", Description: new("d")})); err != nil {
		t.Errorf("an update that names no role: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }
