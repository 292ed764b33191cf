package app

import (
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"

	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// S-245: a poll that finds another revision than the last one seen starts one execution of each
// pipeline that follows the branch; the first look, and one that finds nothing new, start none.
func TestPoll(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, database string) {
		s := newSite(t, database)
		s.create("one", "true")
		s.create("two", "true", types.GitPushFilter{FilePaths: &types.GitFilePathFilterCriteria{Includes: []string{"src/**"}}})
		s.create("never", "false")
		at := time.Now()
		p := &poller{every: time.Minute, db: s.a.db, changes: s.a.rooms.changes, refs: s.a.rooms.poller.refs, between: s.a.rooms.poller.between, log: s.a.log, now: func() time.Time { return at }}
		round := func(after time.Duration) (counts []int) {
			t.Helper()
			at = at.Add(after)
			if err := p.round(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"one", "two", "never"} {
				_, n := s.newest(name)
				counts = append(counts, n)
			}
			return counts
		}
		if got := round(0); !slices.Equal(got, []int{1, 1, 1}) {
			t.Errorf("the first look: %v", got)
		}
		id := s.commit("main", "docs/x")
		if got := round(59 * time.Second); !slices.Equal(got, []int{1, 1, 1}) {
			t.Errorf("before the time: %v", got)
		}
		if got := round(time.Second); !slices.Equal(got, []int{2, 1, 1}) {
			t.Errorf("a push: %v", got)
		}
		e, _ := s.newest("one")
		if a := s.sourced("one", e.PipelineExecutionId); e.Trigger.TriggerType != types.TriggerTypeWebhook || aws.ToString(e.Trigger.TriggerDetail) != s.arn || a.Output.OutputVariables["CommitId"] != id {
			t.Errorf("%+v %+v", e.Trigger, a.Output)
		}
		if got := round(time.Minute); !slices.Equal(got, []int{2, 1, 1}) {
			t.Errorf("nothing new: %v", got)
		}
		s.commit("main", "src/x")
		if got := round(time.Minute); !slices.Equal(got, []int{3, 2, 1}) {
			t.Errorf("a push that two want: %v", got)
		}
		s.git("reset", "-q", "--hard", id) // back and forth counts each time
		s.git("push", "-q", "-f", s.root+"/o/r", "main")
		if got := round(time.Minute); !slices.Equal(got, []int{4, 3, 1}) {
			t.Errorf("a push back: %v", got)
		}
	})
}

// S-245, S-256, S-259: a poll tells triggers of every branch and tag that moved or is new, each once;
// what an earlier penstock remembered, the commit of one branch, goes on to count.
func TestPollTriggers(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, database string) {
		s := newSite(t, database)
		s.create("main", "true")
		s.create("releases", "true", types.GitPushFilter{Branches: &types.GitBranchFilterCriteria{Includes: []string{"release/*"}}})
		s.create("tags", "true", types.GitPushFilter{Tags: &types.GitTagFilterCriteria{Includes: []string{"v*"}}})
		at := time.Now()
		p := &poller{every: time.Minute, db: s.a.db, changes: s.a.rooms.changes, refs: s.a.rooms.poller.refs, between: s.a.rooms.poller.between, log: s.a.log, now: func() time.Time { return at }}
		want := func(what string, want ...int) {
			t.Helper()
			at = at.Add(time.Minute)
			if err := p.round(t.Context()); err != nil {
				t.Fatal(err)
			}
			var counts []int
			for _, name := range []string{"main", "releases", "tags"} {
				_, n := s.newest(name)
				counts = append(counts, n)
			}
			if !slices.Equal(counts, want) {
				t.Errorf("%s: %v, want %v", what, counts, want)
			}
		}
		origin := s.root + "/o/r"
		s.git("tag", "v0")
		s.git("push", "-q", origin, "v0")
		want("the first look", 1, 1, 1)
		s.git("branch", "release/1")
		s.git("branch", "other")
		s.git("push", "-q", origin, "release/1", "other")
		want("a new branch", 1, 2, 1)
		s.git("-c", "user.name=a", "-c", "user.email=a@x", "tag", "-a", "-m", "one", "v1")
		s.git("push", "-q", origin, "v1")
		want("a new tag with a text of its own", 1, 2, 2)
		e, _ := s.newest("tags")
		if a := s.sourced("tags", e.PipelineExecutionId); e.Trigger.TriggerType != types.TriggerTypeWebhookV2 || a.Output.OutputVariables["CommitId"] != s.git("rev-parse", "HEAD") {
			t.Errorf("S-264: %+v %+v", e.Trigger, a.Output)
		}
		want("nothing new", 1, 2, 2)
		s.git("push", "-q", origin, ":other", ":v0")
		want("a branch and a tag are gone", 1, 2, 2)
		s.git("push", "-q", origin, "other")
		old := s.git("rev-parse", "HEAD")
		s.commit("main", "x")
		s.git("push", "-q", origin, "HEAD:release/1", "HEAD:refs/tags/v2")
		want("all of them", 2, 3, 3)

		s.commit("main", "y")
		s.git("push", "-q", origin, "HEAD:release/1")
		if err := s.a.db.Update(t.Context(), func(tx *store.Tx) error {
			rows, err := tx.SourcesOf(t.Context(), s.arn)
			for _, row := range rows {
				if _, err := tx.SetSeen(t.Context(), row, old); err != nil {
					return err
				}
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		want("after an upgrade", 3, 3, 3)
	})
}

// S-245, Q-34: a source that cannot be asked is asked less and less often, and as often as
// before once it answers.
func TestPollBackOff(t *testing.T) {
	t.Parallel()
	for failed, want := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute, 32 * time.Minute, time.Hour, time.Hour} {
		if got := backOff(time.Minute, failed); got != want {
			t.Errorf("after %d failures: %v", failed, got)
		}
	}
	if got := backOff(2*time.Hour, 1000); got != 2*time.Hour {
		t.Errorf("a long interval: %v", got)
	}
}
