package e2e

import (
	"archive/zip"
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
)

// N-10, P-9: the server collects the artifacts of a build, and the build cannot make it read
// anything but the build's own files: not through links of any kind, not through names that
// climb, not with a base directory elsewhere.
func TestBuildArtifactsAreItsOwn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.bucket("target")
	keys, err := s.config().Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const nothing, leaves = "no matching artifact paths found", "path escapes from parent"
	for name, c := range map[string]struct{ artifacts, want string }{
		"mine":     {"files: [mine]", ""},
		"hard":     {"files: [mine, hard]", ""},
		"pipe":     {"files: [mine, pipe]", ""},
		"links":    {"files: ['**/*']", leaves},
		"named":    {"files: [soft, folder/credentials.json, ../../credentials.json, up/credentials.json]", leaves},
		"climbing": {"files: ['../../../**/credentials.json', /etc/hostname, '" + s.data + "/credentials.json']", nothing},
		"base":     {"base-directory: folder, files: ['**/*']", nothing},
		"above":    {"base-directory: ../.., files: ['**/*']", nothing},
		"rooted":   {"base-directory: '" + s.data + "', files: ['**/*']", "is outside of the source folder"},
		"flat":     {"discard-paths: yes, files: ['**/*']", leaves},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := s.in(t)
			spec := `version: 0.2
phases:
  build:
    commands:
      - echo mine > mine
      - ln -s "$DATA/credentials.json" soft
      - ln "$DATA/credentials.json" hard 2>/dev/null || true
      - ln -s "$DATA" folder
      - ln -s ../../.. up
      - ln -s / root
      - ln -s soft chain
      - mkfifo pipe
      - mkdir deep && ln -s .. deep/loop
artifacts: {` + c.artifacts + "}\n"
			s.project(name, spec, "DATA="+s.data)
			out, err := s.codebuild.StartBuild(t.Context(), &codebuild.StartBuildInput{ProjectName: &name, ArtifactsOverride: &types.ProjectArtifacts{
				Type: types.ArtifactsTypeS3, Location: new("target"), Name: new(name + ".zip"), Packaging: types.ArtifactPackagingZip,
				NamespaceType: types.ArtifactNamespaceNone, Path: new("")}})
			if err != nil {
				t.Fatal(err)
			}
			b, log := s.built(*out.Build.Id)
			if !strings.Contains(log, c.want) || (c.want == "") != (b.BuildStatus == types.StatusTypeSucceeded) {
				t.Errorf("the build is %s, for %q:\n%s", b.BuildStatus, c.want, log)
			}
			if strings.Contains(log, keys.SecretAccessKey) {
				t.Errorf("the log holds the secret:\n%s", log)
			}
			if b.BuildStatus != types.StatusTypeSucceeded {
				return
			}
			body := s.get("target", name+".zip")
			z, err := zip.NewReader(bytes.NewReader(body), int64(len(body)))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range z.File {
				r, err := f.Open()
				if err != nil {
					t.Fatal(err)
				}
				text, err := io.ReadAll(io.LimitReader(r, 1<<20))
				if err != nil {
					t.Fatal(err)
				}
				if bytes.Contains(text, []byte(keys.SecretAccessKey)) || bytes.Contains(text, []byte("SQLite format")) || bytes.Contains(text, []byte("root:")) {
					t.Errorf("the artifact holds the server's %s", f.Name)
				}
				if string(text) != "mine\n" && f.Mode().IsRegular() && f.UncompressedSize64 > 0 {
					t.Errorf("%s is none of the build's: %.100q", f.Name, text)
				}
			}
		})
	}
	s.alive()
}
