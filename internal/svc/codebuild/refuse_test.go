package codebuild_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	api "penstock/internal/api/codebuild"
	"penstock/internal/fault"
	"penstock/internal/runner/fake"
	"penstock/internal/store/storetest"
)

// N-10: what a build would expect to find, and would not, is refused when it is asked for.
func TestNotOffered(t *testing.T) {
	t.Parallel()
	b := start(t, storetest.SQLite(t), fake.Runner{})
	b.project()
	create := func(change func(*api.CreateProjectInput)) error {
		in := &api.CreateProjectInput{Name: "other", ServiceRole: role, Source: &api.ProjectSource{Type: "CODECOMMIT", Location: "https://example.org/v1/repos/r"},
			Artifacts: &api.ProjectArtifacts{Type: "NO_ARTIFACTS"}, Environment: &api.ProjectEnvironment{Type: "LINUX_CONTAINER", Image: "i", ComputeType: "BUILD_GENERAL1_SMALL"}}
		change(in)
		return second(b.room.CreateProject(b.ctx, in))
	}
	inline := func(change func(*api.StartBuildInput)) error {
		in := &api.StartBuildInput{ProjectName: "p", SourceTypeOverride: "NO_SOURCE", BuildspecOverride: "version: 0.2\nphases: {}", ArtifactsOverride: &api.ProjectArtifacts{Type: "NO_ARTIFACTS"}}
		change(in)
		return second(b.room.StartBuild(b.ctx, in))
	}
	logs := &api.LogsConfig{S3Logs: &api.S3LogsConfig{Status: "ENABLED", Location: "bucket/logs"}}
	with := &api.GitSubmodulesConfig{FetchSubmodules: new(true)}
	for text, errs := range map[string][]error{
		"logs in S3": {
			create(func(in *api.CreateProjectInput) { in.LogsConfig = logs }),
			second(b.room.UpdateProject(b.ctx, &api.UpdateProjectInput{Name: "p", LogsConfig: logs})),
			inline(func(in *api.StartBuildInput) { in.LogsConfigOverride = logs }),
		},
		"submodules": {
			create(func(in *api.CreateProjectInput) { in.Source.GitSubmodulesConfig = with }),
			inline(func(in *api.StartBuildInput) {
				in.SourceTypeOverride, in.SourceLocationOverride, in.GitSubmodulesConfigOverride = "CODECOMMIT", "https://example.org/v1/repos/r", with
			}),
		},
		"retries": {
			create(func(in *api.CreateProjectInput) { in.AutoRetryLimit = new(int32(2)) }),
			inline(func(in *api.StartBuildInput) { in.AutoRetryLimitOverride = new(int32(2)) }),
		},
		"file systems": {create(func(in *api.CreateProjectInput) {
			in.FileSystemLocations = []api.ProjectFileSystemLocation{{Type: "EFS", Location: "fs-1:/", MountPoint: "/mnt", Identifier: "data"}}
		})},
		"badges":   {create(func(in *api.CreateProjectInput) { in.BadgeEnabled = new(true) })},
		"sessions": {inline(func(in *api.StartBuildInput) { in.DebugSessionEnabled = new(true) })},
	} {
		for i, err := range errs {
			if fault.Code(err) != "InvalidInputException" || !strings.Contains(err.Error(), text) {
				t.Errorf("%s, %d: %v", text, i, err)
			}
		}
	}
	// What says no to all that is what many definitions have.
	if err := create(func(in *api.CreateProjectInput) {
		in.BadgeEnabled, in.AutoRetryLimit, in.FileSystemLocations = new(false), new(int32(0)), []api.ProjectFileSystemLocation{}
		in.Source.GitSubmodulesConfig = &api.GitSubmodulesConfig{FetchSubmodules: new(false)}
		in.LogsConfig = &api.LogsConfig{S3Logs: &api.S3LogsConfig{Status: "DISABLED"}}
	}); err != nil {
		t.Error(err)
	}
}

// N-10: a build shows what it was started with, also what has no effect here.
func TestOverrides(t *testing.T) {
	t.Parallel()
	b := start(t, storetest.SQLite(t), fake.Runner{})
	b.project()
	out, err := b.room.StartBuild(b.ctx, &api.StartBuildInput{
		ProjectName: "p", SourceTypeOverride: "NO_SOURCE", BuildspecOverride: "version: 0.2\nphases: {}", ArtifactsOverride: &api.ProjectArtifacts{Type: "NO_ARTIFACTS"},
		SourceAuthOverride: &api.SourceAuth{Type: "OAUTH"}, GitCloneDepthOverride: new(int32(3)), InsecureSslOverride: new(true), ReportBuildStatusOverride: new(true),
		GitSubmodulesConfigOverride: &api.GitSubmodulesConfig{FetchSubmodules: new(false)}, BuildStatusConfigOverride: &api.BuildStatusConfig{Context: "c"},
		EnvironmentTypeOverride: "ARM_CONTAINER", ImageOverride: "other", ComputeTypeOverride: "BUILD_GENERAL1_LARGE", CertificateOverride: "bucket/cert", PrivilegedModeOverride: new(true),
		RegistryCredentialOverride: &api.RegistryCredential{Credential: "c", CredentialProvider: "SECRETS_MANAGER"}, ImagePullCredentialsTypeOverride: "SERVICE_ROLE",
		FleetOverride: &api.ProjectFleet{FleetArn: "arn:aws:codebuild:us-east-1:000000000000:fleet/f"},
	})
	if err != nil {
		t.Fatal(err)
	}
	wantSource := &api.ProjectSource{
		Type: "NO_SOURCE", Buildspec: "version: 0.2\nphases: {}", Auth: &api.SourceAuth{Type: "OAUTH"}, GitCloneDepth: new(int32(3)), InsecureSsl: new(true), ReportBuildStatus: new(true),
		GitSubmodulesConfig: &api.GitSubmodulesConfig{FetchSubmodules: new(false)}, BuildStatusConfig: &api.BuildStatusConfig{Context: "c"},
	}
	wantEnvironment := &api.ProjectEnvironment{
		Type: "ARM_CONTAINER", Image: "other", ComputeType: "BUILD_GENERAL1_LARGE", Certificate: "bucket/cert", PrivilegedMode: new(true), ImagePullCredentialsType: "SERVICE_ROLE",
		RegistryCredential: &api.RegistryCredential{Credential: "c", CredentialProvider: "SECRETS_MANAGER"}, Fleet: &api.ProjectFleet{FleetArn: "arn:aws:codebuild:us-east-1:000000000000:fleet/f"},
		EnvironmentVariables: []api.EnvironmentVariable{{Name: "FROM", Value: "project"}, {Name: "OVER", Value: "project"}},
	}
	if d := cmp.Diff(wantSource, out.Build.Source) + cmp.Diff(wantEnvironment, out.Build.Environment); d != "" {
		t.Error(d)
	}
	b.end(out.Build.Id)
}
