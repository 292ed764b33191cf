package app

import (
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"

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
		p := &poller{every: time.Minute, db: s.a.db, changes: s.a.rooms.changes, look: s.a.rooms.poller.look, log: s.a.log, now: func() time.Time { return at }}
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
