package e2e

import (
	"archive/zip"
	"bytes"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	buildtypes "github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
)

// foreign is a project that nobody here wrote.
const foreign = "github.com/google/uuid"

// foreignSpec is how it is built: nothing of it comes from the network.
const foreignSpec = `version: 0.2
env:
  variables:
    GOPROXY: "off"
    GOTOOLCHAIN: local
    GOFLAGS: -mod=mod
    CGO_ENABLED: "0"
  exported-variables:
    - FILES
phases:
  pre_build:
    commands:
      - go version
      - go vet ./...
  build:
    commands:
      - go test -vet=off -v ./...
      - go build -buildmode=archive -o uuid.a .
      - FILES=$(ls *.go | wc -l | tr -d ' ')
artifacts:
  files:
    - uuid.a
    - LICENSE
`

// module gives the folder in the module cache of a module that our own need, too.
func module(t *testing.T, path string) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", path).CombinedOutput()
	dir := strings.TrimSpace(string(out))
	if err != nil || dir == "" {
		t.Fatalf("%s is not in the module cache, and this test is about it: %v %s", path, err, out)
	}
	return dir
}

// copyTree copies files and makes them writable.
func (c *checkout) copyTree(from string) {
	c.t.Helper()
	err := filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(from, p)
		if err != nil {
			return err
		}
		c.write(name, readText(c.t, p))
		return nil
	})
	if err != nil {
		c.t.Fatal(err)
	}
}

// S-84 to S-127, P-2, P-9, N-8 to N-11: a real project is pushed, vetted,
// tested and built; a commit that breaks a test fails the release with JobFailed; a push of
// the mend releases again.
func TestRealProject(t *testing.T) {
	t.Parallel()
	from := module(t, foreign)
	s := newSite(t)
	s.repository("uuid")
	s.project("uuid", "")
	c := s.clone("uuid")
	c.copyTree(from)
	c.write("buildspec.yml", foreignSpec)
	first := c.commit("Import " + foreign)
	c.must("push", "-q", "origin", "main")
	s.pipeline("uuid",
		action("Repository", types.ActionCategorySource, "CodeCommit", "", "tree", "RepositoryName=uuid", "BranchName=main"),
		action("Test", types.ActionCategoryBuild, "CodeBuild", "tree", "library", "ProjectName=uuid"))

	e := s.ended("uuid", first)
	did := s.actions("uuid", e)
	log := s.logOf(did["Test"])
	if e.Status != types.PipelineExecutionStatusSucceeded {
		t.Fatalf("the release is %s:\n%s", e.Status, log)
	}
	for _, want := range []string{"Running command go vet ./...", "--- PASS: TestVersion7", "ok  \tgithub.com/google/uuid", "Running command go build -buildmode=archive -o uuid.a ."} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not say %q:\n%s", want, log)
		}
	}
	if n := did["Test"].Output.OutputVariables["FILES"]; n == "" || n == "0" {
		t.Errorf("the exported variable is %q", n)
	}
	where := did["Test"].Output.OutputArtifacts[0].S3location
	built := s.get(aws.ToString(where.Bucket), aws.ToString(where.Key))
	z, err := zip.NewReader(bytes.NewReader(built), int64(len(built)))
	if err != nil || len(z.File) != 2 {
		t.Errorf("the artifact: %v", err)
	}

	const test = "broken_test.go"
	c.write(test, "package uuid\n\nimport \"testing\"\n\nfunc TestBroken(t *testing.T) { t.Fatal(\"broken on purpose\") }\n")
	broken := c.commit("Break a test")
	c.must("push", "-q", "origin", "main")
	e = s.ended("uuid", broken)
	did = s.actions("uuid", e)
	if code, text := failure(did["Test"]); e.Status != types.PipelineExecutionStatusFailed || code != "JobFailed" || !strings.Contains(text, "Phase: BUILD, Code: COMMAND_EXECUTION_ERROR, Message: Error while executing command: go test") {
		t.Errorf("the broken release is %s with %s: %s", e.Status, code, text)
	}
	if log := s.logOf(did["Test"]); !strings.Contains(log, "broken on purpose") {
		t.Errorf("the log does not show the failure:\n%s", log)
	}

	c.write(test, "package uuid\n\nimport \"testing\"\n\nfunc TestMended(t *testing.T) {}\n")
	mended := c.commit("Mend it")
	c.must("push", "-q", "origin", "main")
	e = s.ended("uuid", mended)
	if log := s.logOf(s.actions("uuid", e)["Test"]); e.Status != types.PipelineExecutionStatusSucceeded || !strings.Contains(log, "--- PASS: TestMended") {
		t.Errorf("the mended release is %s:\n%s", e.Status, log)
	}
	if n := len(s.executions("uuid")); n != 3 {
		t.Errorf("%d executions of three commits", n)
	}
}

// S-163, S-164, S-165, S-169: RetryStageExecution goes on with the execution that failed, where it failed, with
// what its source has brought: the project is mended in between, the sources are not.
func TestRetryInPlace(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.repository("app")
	s.project("app", "", "READY=no")
	c := s.clone("app")
	c.write("buildspec.yml", "version: 0.2\nphases:\n  build:\n    commands:\n      - test $READY = yes\n")
	commit := c.commit("one")
	c.must("push", "-q", "origin", "main")
	s.pipeline("app",
		action("Repository", types.ActionCategorySource, "CodeCommit", "", "tree", "RepositoryName=app", "BranchName=main"),
		action("Build", types.ActionCategoryBuild, "CodeBuild", "tree", "", "ProjectName=app"),
		action("Check", types.ActionCategoryTest, "CodeBuild", "tree", "", "ProjectName=app", `EnvironmentVariables=[{"name":"READY","value":"yes"}]`))
	e := s.ended("app", commit)
	did := s.actions("app", e)
	if code, _ := failure(did["Build"]); code != "JobFailed" || did["Check"].Status != types.ActionExecutionStatusSucceeded {
		t.Fatalf("%+v", did)
	}
	environment := &buildtypes.ProjectEnvironment{Type: buildtypes.EnvironmentTypeLinuxContainer, Image: new("aws/codebuild/standard:7.0"),
		ComputeType: buildtypes.ComputeTypeBuildGeneral1Small, EnvironmentVariables: buildVariables([]string{"READY=yes"})}
	if _, err := s.codebuild.UpdateProject(t.Context(), &codebuild.UpdateProjectInput{Name: new("app"), Environment: environment}); err != nil {
		t.Fatal(err)
	}
	retry := &codepipeline.RetryStageExecutionInput{PipelineName: new("app"), StageName: new("Second"), PipelineExecutionId: e.PipelineExecutionId, RetryMode: types.StageRetryModeFailedActions}
	if _, err := s.pipelines.RetryStageExecution(t.Context(), retry); err != nil {
		t.Fatal(err)
	}
	again := s.ended("app", commit)
	after := s.actions("app", again)
	if again.Status != types.PipelineExecutionStatusSucceeded || *again.PipelineExecutionId != *e.PipelineExecutionId {
		t.Errorf("after the retry the newest execution is %s, %s; it was %s", *again.PipelineExecutionId, again.Status, *e.PipelineExecutionId)
	}
	if *after["Check"].ActionExecutionId != *did["Check"].ActionExecutionId || *after["Build"].ActionExecutionId == *did["Build"].ActionExecutionId {
		t.Error("other actions were retried than the one that failed")
	}
	_, err := s.pipelines.RetryStageExecution(t.Context(), retry)
	refused(t, err, "StageNotRetryableException", "")
}

// logOf gives the log of a build that an action ran.
func (s *site) logOf(d types.ActionExecutionDetail) string {
	s.t.Helper()
	if d.Output == nil || d.Output.ExecutionResult == nil {
		return ""
	}
	out, err := s.codebuild.BatchGetBuilds(s.t.Context(), &codebuild.BatchGetBuildsInput{Ids: []string{aws.ToString(d.Output.ExecutionResult.ExternalExecutionId)}})
	if err != nil || len(out.Builds) != 1 {
		s.t.Fatal(err, out)
	}
	return s.text(out.Builds[0].Logs)
}
