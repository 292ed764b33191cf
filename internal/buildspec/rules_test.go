package buildspec_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"penstock/internal/buildspec"
)

// A.3: what follows a phase.
func TestNext(t *testing.T) {
	t.Parallel()
	const (
		passed, failed, ended = buildspec.Passed, buildspec.Failed, buildspec.Ended
	)
	for _, c := range []struct {
		phase buildspec.PhaseName
		out   buildspec.Outcome
		on    buildspec.Action
		want  buildspec.PhaseName
	}{
		{buildspec.Submitted, passed, "", buildspec.Queued},
		{buildspec.Queued, passed, "", buildspec.Provisioning},
		{buildspec.Queued, ended, "", buildspec.Finalizing},
		{buildspec.Provisioning, passed, "", buildspec.DownloadSource},
		{buildspec.DownloadSource, passed, "", buildspec.Install},
		{buildspec.DownloadSource, failed, "", buildspec.Finalizing},
		{buildspec.Install, passed, "", buildspec.PreBuild},
		{buildspec.Install, failed, "", buildspec.Finalizing},
		{buildspec.Install, failed, buildspec.Retry, buildspec.Finalizing},
		{buildspec.Install, failed, buildspec.Continue, buildspec.PreBuild},
		{buildspec.PreBuild, failed, "", buildspec.Finalizing},
		{buildspec.PreBuild, failed, buildspec.Continue, buildspec.Build},
		{buildspec.Build, failed, "", buildspec.PostBuild},
		{buildspec.Build, failed, buildspec.Retry, buildspec.PostBuild},
		{buildspec.Build, failed, buildspec.Abort, buildspec.Finalizing},
		{buildspec.Build, ended, buildspec.Continue, buildspec.Finalizing},
		{buildspec.PostBuild, failed, "", buildspec.UploadArtifacts},
		{buildspec.PostBuild, failed, buildspec.Abort, buildspec.Finalizing},
		{buildspec.UploadArtifacts, failed, "", buildspec.Finalizing},
		{buildspec.Finalizing, failed, "", buildspec.Completed},
		{buildspec.Completed, passed, "", buildspec.Completed},
	} {
		if got := buildspec.Next(c.phase, c.out, c.on); got != c.want {
			t.Errorf("Next(%s, %v, %q) = %s, want %s", c.phase, c.out, c.on, got, c.want)
		}
	}
}

// A.4: CodeBuild's own dialect of globs.
func TestSelect(t *testing.T) {
	t.Parallel()
	files := []string{"a.txt", "b.js", "dir/a.txt", "dir/sub/c.js", ".hidden/x", "my-build1/o.bin", "my-build2/o.bin", "my-build2/deep/p.bin", "w[1].txt"}
	all := strings.Join([]string{".hidden/x", "a.txt", "b.js", "dir/a.txt", "dir/sub/c.js", "my-build1/o.bin", "my-build2/deep/p.bin", "my-build2/o.bin", "w[1].txt"}, " ")
	for name, c := range map[string]struct {
		set  buildspec.ArtifactSet
		want string
	}{
		"everything":            {buildspec.ArtifactSet{Files: []string{"**/*"}}, all},
		"short everything":      {buildspec.ArtifactSet{Files: []string{"**/"}}, all},
		"one file":              {buildspec.ArtifactSet{Files: []string{"a.txt"}}, "a.txt"},
		"dot slash":             {buildspec.ArtifactSet{Files: []string{"./a.txt"}}, "a.txt"},
		"star stays in folder":  {buildspec.ArtifactSet{Files: []string{"*.txt"}}, "a.txt w[1].txt"},
		"folder is not deep":    {buildspec.ArtifactSet{Files: []string{"dir"}}, ""},
		"folder star":           {buildspec.ArtifactSet{Files: []string{"dir/*"}}, "dir/a.txt"},
		"folder deep":           {buildspec.ArtifactSet{Files: []string{"dir/**/*"}}, "dir/a.txt dir/sub/c.js"},
		"zero folders":          {buildspec.ArtifactSet{Files: []string{"**/*.js"}}, "b.js dir/sub/c.js"},
		"brackets by name":      {buildspec.ArtifactSet{Files: []string{"w[1].txt"}}, "w[1].txt"},
		"excluded":              {buildspec.ArtifactSet{Files: []string{"dir/**/*"}, ExcludePaths: []string{"**/*.js"}}, "dir/a.txt"},
		"base":                  {buildspec.ArtifactSet{Files: []string{"**/*"}, BaseDirectory: "dir"}, "a.txt sub/c.js"},
		"base glob":             {buildspec.ArtifactSet{Files: []string{"**/*"}, BaseDirectory: "my-build*"}, "deep/p.bin o.bin"},
		"flat":                  {buildspec.ArtifactSet{Files: []string{"dir/**/*"}, DiscardPaths: true}, "a.txt c.js"},
		"outside never matches": {buildspec.ArtifactSet{Files: []string{"../a.txt", "/etc/passwd"}}, ""},
		"bad pattern":           {buildspec.ArtifactSet{Files: []string{"[a"}}, ""},
		"nothing":               {buildspec.ArtifactSet{}, ""},
	} {
		var got []string
		for _, p := range c.set.Select(files) {
			got = append(got, p.Name)
		}
		if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	// The last in path order wins a name clash.
	flat := buildspec.ArtifactSet{Files: []string{"**/a.txt"}, DiscardPaths: true}.Select(files)
	if diff := cmp.Diff([]buildspec.Picked{{Source: "dir/a.txt", Name: "a.txt"}}, flat); diff != "" {
		t.Error(diff)
	}
}

// A.4, hostile: a pattern of many ** on a deep path stays cheap.
func TestSelectHostilePattern(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("a/", 500) + "a"
	glob := strings.Repeat("**/a/", 200) + "b"
	if got := (buildspec.ArtifactSet{Files: []string{glob}}).Select([]string{deep}); len(got) != 0 {
		t.Error(got)
	}
}
