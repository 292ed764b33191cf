package codebuild_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	api "penstock/internal/api/codebuild"
	"penstock/internal/runner/process"
	"penstock/internal/store/storetest"
)

// A.4, hostile: a build that puts a link in the place of its source folder uploads nothing that
// the link leads to.
func TestSourceFolderIsLink(t *testing.T) {
	t.Parallel()
	hidden := t.TempDir()
	if err := os.WriteFile(filepath.Join(hidden, "key"), []byte("of the server"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := process.New(process.Config{Hide: []string{hidden}})
	if err != nil {
		t.Fatal(err)
	}
	b := start(t, storetest.SQLite(t), r)
	b.project()
	for packaging, object := range map[string]string{"ZIP": "/artifacts/o", "NONE": "/artifacts/o/key"} {
		done := b.end(b.inline("version: 0.2\nphases: {build: {commands: ['cd .. && mv src was && ln -s "+hidden+" src']}}\nartifacts: {files: ['**/*']}",
			func(in *api.StartBuildInput) {
				in.ArtifactsOverride = &api.ProjectArtifacts{Type: "S3", Location: "artifacts", Name: "o", Packaging: packaging}
			}).Id)
		if done.BuildStatus != "FAILED" || !strings.Contains(phases(done), "UPLOAD_ARTIFACTS FAILED") {
			t.Errorf("%s: %s", packaging, phases(done))
		}
		if got := b.aws.object(object); got != nil {
			t.Errorf("%s: uploaded %q", packaging, got)
		}
	}
}

// A.3, hostile: what a build leaves running in the background writes while the end of the output
// is looked at.
func TestBackgroundOutput(t *testing.T) {
	t.Parallel()
	b := start(t, storetest.SQLite(t), real(t))
	b.project()
	done := b.end(b.inline("version: 0.2\nphases:\n" +
		"  build: {on-failure: RETRY-3-needle, commands: ['(while sleep 0.01; do echo noise; done) & echo needle; false']}\n" +
		"  post_build: {on-failure: RETRY-3-needle, commands: ['echo needle; false']}\n").Id)
	if log := b.aws.log(done); done.BuildStatus != "FAILED" || strings.Count(log, "Retrying phase BUILD") != 3 {
		t.Errorf("%s\n%.2000s", phases(done), log)
	}
}
