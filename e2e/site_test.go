package e2e

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	buildtypes "github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/codecommit"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// site is a server with what pipelines need, and clients for it.
type site struct {
	*mortal
	role string

	s3         *s3.Client
	pipelines  *codepipeline.Client
	codecommit *codecommit.Client
	codebuild  *codebuild.Client
	logs       *cloudwatchlogs.Client
}

// newSite starts a server and makes the role "release" and the buckets "artifacts" and "sources".
func newSite(t *testing.T) *site {
	t.Helper()
	return newSiteOn(t, newMortal(t))
}

// newSiteOn is newSite on a server that was made, and not started.
func newSiteOn(t *testing.T, m *mortal) *site {
	t.Helper()
	s := &site{mortal: m, role: "arn:aws:iam::000000000000:role/release"}
	s.start()
	s.await()
	s.connect()
	client := iam.NewFromConfig(s.config())
	trust, permissions := readText(t, "../docs/first/trust.json"), readText(t, "../docs/first/permissions.json")
	if _, err := client.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: new("release"), AssumeRolePolicyDocument: &trust}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: new("release"), PolicyName: new("all"), PolicyDocument: &permissions}); err != nil {
		t.Fatal(err)
	}
	s.bucket("artifacts")
	s.bucket("sources")
	return s
}

// connect makes the clients; it is needed again after a restart.
func (s *site) connect() {
	s.t.Helper()
	cfg := s.config()
	// The SDK breaks the connection of an answer that comes while it still closes the request,
	// and tries again.
	cfg.Retryer = nil
	s.s3 = s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
	s.pipelines, s.codecommit = codepipeline.NewFromConfig(cfg), codecommit.NewFromConfig(cfg)
	s.codebuild, s.logs = codebuild.NewFromConfig(cfg), cloudwatchlogs.NewFromConfig(cfg)
}

func readText(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (s *site) bucket(name string) {
	s.t.Helper()
	if _, err := s.s3.CreateBucket(s.t.Context(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
		s.t.Fatal(err)
	}
	if name != "sources" {
		return
	}
	// An S3 source needs a versioned bucket.
	if _, err := s.s3.PutBucketVersioning(s.t.Context(), &s3.PutBucketVersioningInput{Bucket: &name, VersioningConfiguration: &s3types.VersioningConfiguration{Status: s3types.BucketVersioningStatusEnabled}}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) put(bucket, key string, body []byte) {
	s.t.Helper()
	if _, err := s.s3.PutObject(s.t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(body)}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) get(bucket, key string) []byte {
	s.t.Helper()
	out, err := s.s3.GetObject(s.t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Body.Close()
	body, err := io.ReadAll(out.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return body
}

// repository makes one and gives its address, with the credentials in it.
func (s *site) repository(name string) {
	s.t.Helper()
	if _, err := s.codecommit.CreateRepository(s.t.Context(), &codecommit.CreateRepositoryInput{RepositoryName: &name}); err != nil {
		s.t.Fatal(err)
	}
}

// remote gives the address of a repository, with the credentials in it.
func (s *site) remote(name string) string {
	s.t.Helper()
	cfg := s.config()
	keys, err := cfg.Credentials.Retrieve(s.t.Context())
	u, parse := url.Parse(*cfg.BaseEndpoint)
	if err := errors.Join(err, parse); err != nil {
		s.t.Fatal(err)
	}
	u.User = url.UserPassword(keys.AccessKeyID, keys.SecretAccessKey)
	return u.String() + "/v1/repos/" + name
}

// clone makes an empty working copy with the branch main and the remote origin.
func (s *site) clone(repository string) *checkout {
	s.t.Helper()
	c := &checkout{t: s.t, dir: filepath.Join(s.t.TempDir(), repository), home: s.t.TempDir()}
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	c.must("init", "-q", "-b", "main")
	c.must("remote", "add", "origin", s.remote(repository))
	return c
}

// checkout is a working copy.
type checkout struct {
	t         *testing.T
	dir, home string
}

// git runs git as a user without a configuration does.
func (c *checkout) git(args ...string) (string, error) {
	c.t.Helper()
	ctx, stop := context.WithTimeout(c.t.Context(), patience)
	defer stop()
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir, cmd.Env = c.dir, c.environment()
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (c *checkout) environment() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.home, "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.org"}
}

func (c *checkout) must(args ...string) string {
	c.t.Helper()
	out, err := c.git(args...)
	if err != nil {
		c.t.Fatalf("git %s: %v\n%s", args, err, out)
	}
	return out
}

func (c *checkout) write(name, text string) {
	c.t.Helper()
	file := filepath.Join(c.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
		c.t.Fatal(err)
	}
}

// commit commits everything and gives the commit's id.
func (c *checkout) commit(message string) string {
	c.t.Helper()
	c.must("add", "-A")
	c.must("commit", "-q", "--allow-empty", "-m", message)
	return c.must("rev-parse", "HEAD")
}

// project makes a build project whose source and artifacts are a pipeline's, or with spec one
// without either.
func (s *site) project(name, spec string, variables ...string) {
	s.t.Helper()
	in := &codebuild.CreateProjectInput{
		Name: &name, ServiceRole: &s.role,
		Source:    &buildtypes.ProjectSource{Type: buildtypes.SourceTypeCodepipeline},
		Artifacts: &buildtypes.ProjectArtifacts{Type: buildtypes.ArtifactsTypeCodepipeline},
		Environment: &buildtypes.ProjectEnvironment{Type: buildtypes.EnvironmentTypeLinuxContainer,
			Image: new("aws/codebuild/standard:7.0"), ComputeType: buildtypes.ComputeTypeBuildGeneral1Small},
	}
	if spec != "" {
		in.Source = &buildtypes.ProjectSource{Type: buildtypes.SourceTypeNoSource, Buildspec: &spec}
		in.Artifacts = &buildtypes.ProjectArtifacts{Type: buildtypes.ArtifactsTypeNoArtifacts}
	}
	in.Environment.EnvironmentVariables = buildVariables(variables)
	if _, err := s.codebuild.CreateProject(s.t.Context(), in); err != nil {
		s.t.Fatal(err)
	}
}

// buildVariables makes variables of "NAME=value" texts.
func buildVariables(texts []string) []buildtypes.EnvironmentVariable {
	var list []buildtypes.EnvironmentVariable
	for _, text := range texts {
		name, value, _ := strings.Cut(text, "=")
		list = append(list, buildtypes.EnvironmentVariable{Name: &name, Value: &value})
	}
	return list
}

// action describes an action of AWS.
func action(name string, category types.ActionCategory, provider, in, out string, configuration ...string) types.ActionDeclaration {
	a := types.ActionDeclaration{Name: &name, Configuration: map[string]string{},
		ActionTypeId: &types.ActionTypeId{Category: category, Owner: types.ActionOwnerAws, Provider: &provider, Version: new("1")}}
	for _, c := range configuration {
		key, value, _ := strings.Cut(c, "=")
		a.Configuration[key] = value
	}
	if in != "" {
		a.InputArtifacts = []types.InputArtifact{{Name: &in}}
	}
	if out != "" {
		a.OutputArtifacts = []types.OutputArtifact{{Name: &out}}
	}
	return a
}

// pipeline makes one of a source and a second stage; creating it starts it.
func (s *site) pipeline(name string, source types.ActionDeclaration, second ...types.ActionDeclaration) {
	s.t.Helper()
	_, err := s.pipelines.CreatePipeline(s.t.Context(), &codepipeline.CreatePipelineInput{Pipeline: &types.PipelineDeclaration{
		Name: &name, RoleArn: &s.role, ArtifactStore: &types.ArtifactStore{Type: types.ArtifactStoreTypeS3, Location: new("artifacts")},
		Stages: []types.StageDeclaration{
			{Name: new("Source"), Actions: []types.ActionDeclaration{source}},
			{Name: new("Second"), Actions: second},
		},
	}})
	if err != nil {
		s.t.Fatal(err)
	}
}

// within asks again and again until done says yes, and fails the test after a time.
func within(t *testing.T, limit time.Duration, what string, done func() bool) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), limit)
	defer stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for !done() {
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("not within %s: %s", limit, what)
		}
	}
}

// executions lists a pipeline's, newest first.
func (s *site) executions(pipeline string) []types.PipelineExecutionSummary {
	s.t.Helper()
	out, err := s.pipelines.ListPipelineExecutions(s.t.Context(), &codepipeline.ListPipelineExecutionsInput{PipelineName: &pipeline})
	if err != nil {
		s.t.Fatal(err)
	}
	return out.PipelineExecutionSummaries
}

// ended waits for the end of the newest execution, which must be of the revision if one is
// given, and gives it.
func (s *site) ended(pipeline, revision string) types.PipelineExecutionSummary {
	s.t.Helper()
	var e types.PipelineExecutionSummary
	within(s.t, patience, "an ended execution of "+pipeline, func() bool {
		list := s.executions(pipeline)
		if len(list) == 0 {
			return false
		}
		e = list[0]
		of := revision == ""
		for _, r := range e.SourceRevisions {
			of = of || aws.ToString(r.RevisionId) == revision
		}
		return of && e.Status != types.PipelineExecutionStatusInProgress
	})
	return e
}

// actions gives what the actions of an execution came to, by name; of one that ran twice the
// last.
func (s *site) actions(pipeline string, e types.PipelineExecutionSummary) map[string]types.ActionExecutionDetail {
	s.t.Helper()
	out, err := s.pipelines.ListActionExecutions(s.t.Context(), &codepipeline.ListActionExecutionsInput{
		PipelineName: &pipeline, Filter: &types.ActionExecutionFilter{PipelineExecutionId: e.PipelineExecutionId}})
	if err != nil {
		s.t.Fatal(err)
	}
	found := map[string]types.ActionExecutionDetail{}
	for _, d := range out.ActionExecutionDetails { // newest first
		if _, there := found[*d.ActionName]; !there {
			found[*d.ActionName] = d
		}
	}
	return found
}

// failure gives code and message of an action that failed.
func failure(d types.ActionExecutionDetail) (code, message string) {
	if d.Output == nil || d.Output.ExecutionResult == nil || d.Output.ExecutionResult.ErrorDetails == nil {
		return "", ""
	}
	e := d.Output.ExecutionResult.ErrorDetails
	return aws.ToString(e.Code), aws.ToString(e.Message)
}

// refused checks class and text of an answer.
func refused(t *testing.T, err error, code, text string) {
	t.Helper()
	var e smithy.APIError
	if !errors.As(err, &e) || e.ErrorCode() != code || !strings.Contains(e.ErrorMessage(), text) {
		t.Errorf("got %v\nwant %s: %s", err, code, text)
	}
}

// built waits for the end of a build and gives it with its log.
func (s *site) built(id string) (buildtypes.Build, string) {
	s.t.Helper()
	var b buildtypes.Build
	within(s.t, patience, "an end of the build "+id, func() bool {
		out, err := s.codebuild.BatchGetBuilds(s.t.Context(), &codebuild.BatchGetBuildsInput{Ids: []string{id}})
		if err != nil || len(out.Builds) != 1 {
			s.t.Fatal(err, out)
		}
		b = out.Builds[0]
		return b.BuildComplete
	})
	return b, s.text(b.Logs)
}

// text gives the whole log of a build.
func (s *site) text(l *buildtypes.LogsLocation) string {
	s.t.Helper()
	var all strings.Builder
	in := &cloudwatchlogs.GetLogEventsInput{LogGroupName: l.GroupName, LogStreamName: l.StreamName, StartFromHead: new(true)}
	for {
		out, err := s.logs.GetLogEvents(s.t.Context(), in)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, e := range out.Events {
			all.WriteString(*e.Message)
		}
		if len(out.Events) == 0 {
			return all.String()
		}
		in.NextToken = out.NextForwardToken
	}
}

// in gives the same site to another test.
func (s *site) in(t *testing.T) *site {
	m := *s.mortal
	m.t = t
	c := *s
	c.mortal = &m
	return &c
}

// keys lists the objects of a bucket.
func (s *site) keys(bucket string) []string {
	s.t.Helper()
	out, err := s.s3.ListObjectsV2(s.t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket})
	if err != nil {
		s.t.Fatal(err)
	}
	var keys []string
	for _, o := range out.Contents {
		keys = append(keys, *o.Key)
	}
	return keys
}
