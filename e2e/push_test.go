package e2e

import (
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
)

// watching makes a repository with a first commit and a pipeline on it that waits for nobody
// and ends soon, and waits for the execution that its creation started.
func (s *site) watching(name string, configuration ...string) *checkout {
	s.t.Helper()
	s.repository(name)
	c := s.clone(name)
	c.write("file", "one")
	first := c.commit("one")
	c.must("push", "-q", "origin", "main")
	s.bucket("target-" + name)
	s.pipeline(name, action("Repository", types.ActionCategorySource, "CodeCommit", "", "tree", append(configuration, "RepositoryName="+name, "BranchName=main")...),
		action("Publish", types.ActionCategoryDeploy, "S3", "tree", "", "BucketName=target-"+name, "Extract=true"))
	if e := s.ended(name, first); e.Status != types.PipelineExecutionStatusSucceeded {
		s.t.Fatalf("the first execution is %s: %v", e.Status, s.actions(name, e))
	}
	return c
}

// started lists the executions of a commit.
func (s *site) started(pipeline, commit string) []types.PipelineExecutionSummary {
	s.t.Helper()
	var found []types.PipelineExecutionSummary
	for _, e := range s.executions(pipeline) {
		for _, r := range e.SourceRevisions {
			if aws.ToString(r.RevisionId) == commit {
				found = append(found, e)
			}
		}
	}
	return found
}

// S-237, S-245: a push starts the pipeline at once, for nothing but the push tells of the commit, and
// once, with what was pushed; a push of another branch does not.
func TestPushStartsPipeline(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.watching("app")
	c.write("file", "two")
	second := c.commit("two")
	c.must("push", "-q", "origin", "main:aside")
	before := len(s.executions("app"))
	began := time.Now()
	c.must("push", "-q", "origin", "main")
	pushed := time.Now()
	within(t, patience, "an execution of the push", func() bool { return len(s.executions("app")) > before })
	began, pushed = began.Round(0), pushed.Round(0)
	newest := s.executions("app")[0]
	t.Logf("the execution began %v after git push did and was to be seen %v after it had ended", newest.StartTime.Sub(began), time.Since(pushed))
	if newest.Trigger == nil || newest.Trigger.TriggerType != types.TriggerTypePollForSourceChanges && newest.Trigger.TriggerType != types.TriggerTypeCloudWatchEvent {
		t.Errorf("the trigger is %+v", newest.Trigger)
	}
	if e := s.ended("app", second); e.Status != types.PipelineExecutionStatusSucceeded {
		t.Errorf("the execution is %s", e.Status)
	}
	if n := len(s.executions("app")); n != before+1 {
		t.Errorf("%d executions of two pushes, one of them aside", n-before)
	}
	if got := string(s.get("target-app", "file")); got != "two" {
		t.Errorf("deployed: %q", got)
	}
}

// S-237: PollForSourceChanges=false switches detection off; the pipeline is started by hand.
func TestPushStartsNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	quiet := s.watching("quiet", "PollForSourceChanges=false")
	loud := s.watching("loud")
	for _, c := range []*checkout{quiet, loud} {
		c.write("file", "two")
		c.commit("two")
		c.must("push", "-q", "origin", "main")
	}
	// What the later push started is over, so the earlier one has had its time.
	s.ended("loud", loud.must("rev-parse", "HEAD"))
	if n := len(s.executions("quiet")); n != 1 {
		t.Errorf("%d executions, one of them by the creation", n)
	}
}

// S-237, S-245: a push that was acknowledged before the server was killed starts the pipeline
// exactly once, and so does one whose branch has moved although nobody was told.
func TestPushSurvivesKill(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.watching("app")
	again := func() {
		s.start()
		s.await()
		s.connect()
		c.must("remote", "set-url", "origin", s.remote("app"))
	}
	for i := range 4 {
		c.write("file", fmt.Sprint("acknowledged ", i))
		commit := c.commit("acknowledged")
		c.must("push", "-q", "origin", "main")
		s.kill()
		again()
		s.ended("app", commit)
		if n := len(s.started("app", commit)); n != 1 {
			t.Errorf("round %d: the acknowledged push started %d executions", i, n)
		}
	}
	for i := range 8 {
		c.write("file", fmt.Sprint("cut ", i))
		commit := c.commit("cut")
		ended := make(chan struct{})
		push := exec.Command("git", "push", "-q", "origin", "main")
		push.Dir, push.Env = c.dir, c.environment()
		if err := push.Start(); err != nil {
			t.Fatal(err)
		}
		go func() {
			defer close(ended)
			push.Wait()
		}()
		select {
		case <-ended:
		case <-time.After(time.Duration(i) * 12 * time.Millisecond):
		}
		s.kill()
		<-ended
		again()
		moved := c.must("ls-remote", "origin", "refs/heads/main")[:40] == commit
		t.Logf("killed after %d ms: acknowledged %v, moved %v", i*12, push.ProcessState.Success(), moved)
		if push.ProcessState.Success() && !moved {
			t.Fatalf("round %d: an acknowledged push is lost", i)
		}
		if !moved {
			c.must("push", "-q", "origin", "main")
		}
		s.ended("app", commit)
		if n := len(s.started("app", commit)); n != 1 {
			t.Errorf("round %d: the push started %d executions", i, n)
		}
	}
}
