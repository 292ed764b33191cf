package demo

import (
	"context"
	"embed"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	buildtypes "github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/codecommit"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// program is the Go program that is released. Its go.mod is called go.mod.txt, because a
// folder with a go.mod is not part of this module.
//
//go:embed testdata/program
var program embed.FS

const (
	name      = "hello"
	artifacts = "demo-artifacts"
	releases  = "demo-releases"

	trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole",
		"Principal":{"Service":["codepipeline.amazonaws.com","codebuild.amazonaws.com"]}}]}`
	permissions = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Resource":"*",
		"Action":["s3:*","codecommit:*","codebuild:*","logs:*"]}]}`
)

// prepare makes everything around the pipeline, and pushes the first commit.
func (d *demo) prepare(ctx context.Context) error {
	roles := iam.NewFromConfig(d.cfg)
	role, err := roles.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("release"), AssumeRolePolicyDocument: aws.String(trust)})
	if err != nil {
		return err
	}
	if _, err := roles.PutRolePolicy(ctx, &iam.PutRolePolicyInput{
		RoleName: aws.String("release"), PolicyName: aws.String("release"), PolicyDocument: aws.String(permissions)}); err != nil {
		return err
	}
	for _, bucket := range []string{artifacts, releases} {
		if _, err := d.s3.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(bucket)}); err != nil {
			return err
		}
	}
	if err := d.project(ctx, *role.Role.Arn); err != nil {
		return err
	}
	repository, err := codecommit.NewFromConfig(d.cfg).CreateRepository(ctx, &codecommit.CreateRepositoryInput{RepositoryName: aws.String(name)})
	if err != nil {
		return err
	}
	d.say("A role, two buckets, a build project and a repository, made with the AWS SDK")
	if err := d.clone(ctx, *repository.RepositoryMetadata.CloneUrlHttp); err != nil {
		return err
	}
	if _, err := d.push(ctx, "Say hello", 1); err != nil {
		return err
	}
	return d.pipeline(ctx, *role.Role.Arn)
}

func (d *demo) project(ctx context.Context, role string) error {
	// Builds have nothing of the server's environment. What they share is a build cache.
	var env []buildtypes.EnvironmentVariable
	for _, v := range [][2]string{
		{"GOCACHE", filepath.Join(d.dir, "cache")}, {"GOPROXY", "off"}, {"GOTOOLCHAIN", "local"}, {"GOFLAGS", "-trimpath -buildvcs=false"}, {"CGO_ENABLED", "0"},
	} {
		env = append(env, buildtypes.EnvironmentVariable{Name: aws.String(v[0]), Value: aws.String(v[1])})
	}
	_, err := codebuild.NewFromConfig(d.cfg).CreateProject(ctx, &codebuild.CreateProjectInput{
		Name: aws.String(name), ServiceRole: &role,
		Source:    &buildtypes.ProjectSource{Type: buildtypes.SourceTypeCodepipeline},
		Artifacts: &buildtypes.ProjectArtifacts{Type: buildtypes.ArtifactsTypeCodepipeline},
		Environment: &buildtypes.ProjectEnvironment{Type: buildtypes.EnvironmentTypeLinuxContainer, Image: aws.String("aws/codebuild/standard:7.0"),
			ComputeType: buildtypes.ComputeTypeBuildGeneral1Small, EnvironmentVariables: env},
	})
	return err
}

func (d *demo) pipeline(ctx context.Context, role string) error {
	action := func(name string, category types.ActionCategory, provider, in, out string, configuration map[string]string) types.ActionDeclaration {
		a := types.ActionDeclaration{Name: &name, Configuration: configuration, ActionTypeId: &types.ActionTypeId{
			Category: category, Owner: types.ActionOwnerAws, Provider: &provider, Version: aws.String("1")}}
		if in != "" {
			a.InputArtifacts = []types.InputArtifact{{Name: &in}}
		}
		if out != "" {
			a.OutputArtifacts = []types.OutputArtifact{{Name: &out}}
		}
		return a
	}
	stage := func(name string, actions ...types.ActionDeclaration) types.StageDeclaration {
		return types.StageDeclaration{Name: &name, Actions: actions}
	}
	_, err := codepipeline.NewFromConfig(d.cfg).CreatePipeline(ctx, &codepipeline.CreatePipelineInput{Pipeline: &types.PipelineDeclaration{
		Name: aws.String(name), RoleArn: &role,
		ArtifactStore: &types.ArtifactStore{Type: types.ArtifactStoreTypeS3, Location: aws.String(artifacts)},
		Stages: []types.StageDeclaration{
			stage("Source", action("Repository", types.ActionCategorySource, "CodeCommit", "", "source",
				map[string]string{"RepositoryName": name, "BranchName": "main"})),
			stage("BuildAndTest", action("Go", types.ActionCategoryBuild, "CodeBuild", "source", "program",
				map[string]string{"ProjectName": name})),
			stage("Approval", action("Ship", types.ActionCategoryApproval, "Manual", "", "",
				map[string]string{"CustomData": "Shall everybody have it?"})),
			stage("Deploy", action("Publish", types.ActionCategoryDeploy, "S3", "program", "",
				map[string]string{"BucketName": releases, "Extract": "true"})),
		},
	}})
	if err == nil {
		d.say("A pipeline: Source, BuildAndTest, Approval, Deploy. It starts as soon as it is there:\n")
	}
	return err
}

// clone makes the work tree with the program in it.
func (d *demo) clone(ctx context.Context, remote string) error {
	d.repo = filepath.Join(d.dir, "work")
	files, err := fs.Sub(program, "testdata/program")
	if err != nil {
		return err
	}
	if err := os.CopyFS(d.repo, files); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(d.repo, "go.mod.txt"), filepath.Join(d.repo, "go.mod")); err != nil {
		return err
	}
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"remote", "add", "origin", remote}} {
		if _, err := d.git(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// push commits a change and pushes it. It gives the commit's id.
func (d *demo) push(ctx context.Context, message string, serial int) (string, error) {
	notes := filepath.Join(d.repo, "NOTES")
	if err := os.WriteFile(notes, []byte(strings.Repeat("one more\n", serial)), 0o644); err != nil {
		return "", err
	}
	for _, args := range [][]string{{"add", "."}, {"commit", "-q", "-m", message}, {"push", "-q", "origin", "main"}} {
		if _, err := d.git(ctx, args...); err != nil {
			return "", err
		}
	}
	out, err := d.git(ctx, "rev-parse", "HEAD")
	commit := strings.TrimSpace(out)
	if err == nil {
		d.say("$ git push origin main    # %.10s %q", commit, message)
	}
	return commit, err
}

// gitError is a git command that failed, with what it said.
type gitError struct {
	args []string
	out  string
	error
}

func (e *gitError) Error() string {
	return "git " + strings.Join(e.args, " ") + ": " + e.error.Error() + ": " + strings.TrimSpace(e.out)
}

// git runs the real git in the work tree, with nothing of the user's configuration. The
// credentials are those `penstock env` prints; they stand in the environment only.
func (d *demo) git(ctx context.Context, args ...string) (string, error) {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	c := d.app.Credentials()
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir, cmd.WaitDelay = d.repo, 10*time.Second
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + d.dir, "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Demo", "GIT_AUTHOR_EMAIL=demo@example.org", "GIT_COMMITTER_NAME=Demo", "GIT_COMMITTER_EMAIL=demo@example.org",
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=credential.helper",
		`GIT_CONFIG_VALUE_0=!f() { echo "username=$DEMO_KEY"; echo "password=$DEMO_SECRET"; }; f`,
		"DEMO_KEY=" + c.AccessKeyID, "DEMO_SECRET=" + c.SecretAccessKey,
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", &gitError{args, string(out), err}
	}
	return string(out), nil
}
