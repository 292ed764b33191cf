package e2e

import (
	"crypto/rand"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	buildtypes "github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
)

// onSmallDisk has the server started with its data folder on a file system of its own, in a
// namespace of its own. It says why where that cannot be had.
func (m *mortal) onSmallDisk(size string) error {
	namespace := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}}
	mount := `mount -t tmpfs -o size=` + size + ` tmpfs "$0" && `
	if err := os.MkdirAll(m.data, 0o700); err != nil {
		return err
	}
	try := exec.Command("/bin/sh", "-c", mount+"true", m.data)
	try.SysProcAttr = namespace
	if out, err := try.CombinedOutput(); err != nil {
		return errors.Join(err, errors.New(string(out)))
	}
	m.prepare = func(cmd *exec.Cmd) {
		cmd.Args = append([]string{"/bin/sh", "-c", mount + `exec "$@"`, m.data}, cmd.Args...)
		cmd.Path, cmd.SysProcAttr = "/bin/sh", namespace
	}
	return nil
}

// folder is the data folder as it is seen from here.
func (m *mortal) folder() string {
	if m.prepare == nil {
		return m.data
	}
	return filepath.Join("/proc", strconv.Itoa(m.process.Process.Pid), "root", m.data)
}

// fill writes until there is no room, and gives what makes room again.
func (m *mortal) fill() (free func()) {
	m.t.Helper()
	name := filepath.Join(m.folder(), "filler")
	f, err := os.Create(name)
	if err != nil {
		m.t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; size /= 2 {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			m.t.Fatal(err)
		}
	}
	return func() {
		if err := os.Remove(name); err != nil {
			m.t.Fatal(err)
		}
	}
}

// S-86, S-192, S-223: while the disk is full a push, a start and a build fail with words that
// say why, and leave nothing half done; executions can be read and stopped, and approvals
// answered. With space again work goes on by itself.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	m := newMortal(t)
	if err := m.onSmallDisk("64m"); err != nil {
		t.Logf("nothing is tested here: this user may not mount a file system: %v", err)
		return
	}
	s := newSiteOn(t, m)
	s.repository("app")
	s.bucket("target")
	c := s.clone("app")
	c.write("file", "one")
	c.commit("one")
	c.must("push", "-q", "origin", "main")
	source := action("Source", types.ActionCategorySource, "CodeCommit", "", "tree", "RepositoryName=app", "BranchName=main")
	ask := action("Ask", types.ActionCategoryApproval, "Manual", "", "")
	ask.RunOrder = new(int32(1))
	publish := action("Publish", types.ActionCategoryDeploy, "S3", "tree", "", "BucketName=target", "Extract=true")
	publish.RunOrder = new(int32(2))
	s.pipeline("one", source, ask, publish)
	s.pipeline("two", source, ask, publish)
	s.project("idle", "version: 0.2\nphases:\n  build:\n    commands:\n      - echo well\n")
	token := func(name string) (token string) {
		within(t, patience, "a request for an approval of "+name, func() bool {
			out, err := s.pipelines.GetPipelineState(t.Context(), &codepipeline.GetPipelineStateInput{Name: &name})
			if err != nil {
				t.Fatal(err)
			}
			if a := out.StageStates[1].ActionStates[0].LatestExecution; a != nil {
				token = aws.ToString(a.Token)
			}
			return token != ""
		})
		return token
	}
	yes, _ := token("one"), token("two")
	s.pipelines = codepipeline.NewFromConfig(s.config()) // which does not try again
	begin := func() error {
		_, err := s.pipelines.StartPipelineExecution(t.Context(), &codepipeline.StartPipelineExecutionInput{Name: new("one")})
		return err
	}
	before := len(s.executions("one"))

	c.write("file", "two")
	c.write("large", strings.Repeat("0123456789abcdef", 1<<16)+rand.Text())
	c.commit("two")
	push := func(want string) {
		t.Helper()
		out, err := c.git("push", "-q", "origin", "main")
		if err == nil || !strings.Contains(out, want) {
			t.Errorf("a push to a full disk: %v: %s", err, out)
		}
	}
	free := s.fill()
	push("") // git finds no room, or its news cannot be kept: it is told later
	started := 0
	err := begin()
	for ; err == nil && started < 5000; err = begin() {
		started++
	}
	if code(err) != "ServiceUnavailable" && code(err) != "ServiceUnavailableException" || !strings.Contains(err.Error(), "disk is full") {
		t.Errorf("a start on a full disk: %v", err)
	}
	c.write("file", "three")
	third := c.commit("three")
	push("disk of the server is full")
	_, err = s.codebuild.StartBuild(t.Context(), &codebuild.StartBuildInput{ProjectName: new("idle")})
	if err == nil || !strings.Contains(err.Error(), "disk is full") {
		t.Errorf("a build on a full disk: %v", err)
	}
	if _, err := s.pipelines.PutApprovalResult(t.Context(), &codepipeline.PutApprovalResultInput{PipelineName: new("one"), StageName: new("Second"), ActionName: new("Ask"),
		Token: &yes, Result: &types.ApprovalResult{Status: types.ApprovalStatusApproved, Summary: new("yes")}}); err != nil {
		t.Errorf("an approval on a full disk: %v", err)
	}
	two := s.executions("two")[0].PipelineExecutionId
	if _, err := s.pipelines.StopPipelineExecution(t.Context(), &codepipeline.StopPipelineExecutionInput{PipelineName: new("two"), PipelineExecutionId: two, Abandon: true}); err != nil {
		t.Errorf("a stop on a full disk: %v", err)
	}
	if e := s.ended("two", ""); e.Status != types.PipelineExecutionStatusStopped {
		t.Errorf("stopped on a full disk: %s", e.Status)
	}

	free()
	s.connect()
	within(t, patience, "a push with space again", func() bool {
		_, err := c.git("push", "-q", "origin", "main")
		return err == nil
	})
	within(t, patience, "a start with space again", func() bool { return begin() == nil })
	// The push that could not be kept may have come through before the last one: its execution is
	// asked about first.
	for _, name := range []string{"one", "two"} {
		var e types.PipelineExecutionSummary
		within(t, patience, "a release of "+name+" with space again", func() bool {
			out, err := s.pipelines.GetPipelineState(t.Context(), &codepipeline.GetPipelineStateInput{Name: &name})
			if err != nil {
				t.Fatal(err)
			}
			if a := out.StageStates[1].ActionStates[0].LatestExecution; a != nil && aws.ToString(a.Token) != "" {
				if _, err := s.pipelines.PutApprovalResult(t.Context(), &codepipeline.PutApprovalResultInput{PipelineName: &name, StageName: new("Second"), ActionName: new("Ask"),
					Token: a.Token, Result: &types.ApprovalResult{Status: types.ApprovalStatusApproved, Summary: new("yes")}}); err != nil {
					t.Error(err)
				}
			}
			e = s.executions(name)[0]
			return e.Status != types.PipelineExecutionStatusInProgress && slices.ContainsFunc(e.SourceRevisions, func(r types.SourceRevision) bool { return aws.ToString(r.RevisionId) == third })
		})
		if e.Status != types.PipelineExecutionStatusSucceeded {
			t.Errorf("with space again the execution of %s is %s: %v", name, e.Status, s.actions(name, e))
		}
	}
	if n := len(s.executions("one")); n < min(before+started+1, 100) {
		t.Errorf("%d executions, %d were there and %d were started", n, before, started+1)
	}
	b, err := s.codebuild.StartBuild(t.Context(), &codebuild.StartBuildInput{ProjectName: new("idle")})
	if err != nil {
		t.Fatal(err)
	}
	if ended, log := s.built(*b.Build.Id); ended.BuildStatus != buildtypes.StatusTypeSucceeded {
		t.Errorf("a build with space again is %s:\n%s", ended.BuildStatus, log)
	}
}
