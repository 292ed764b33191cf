package pipeline

import (
	"testing"
	"time"
)

// S-237, S-240, S-244: which sources are polled. Images and connections tell of changes, and so
// does who has a source of their own.
func TestPolled(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		category, owner, provider, poll string
		want                            bool
	}{
		{"Source", "AWS", "S3", "", true},
		{"Source", "AWS", "S3", "true", true},
		{"Source", "AWS", "S3", "false", false},
		{"Source", "AWS", "CodeCommit", "", true},
		{"Source", "AWS", "CodeCommit", "False", false},
		{"Source", "ThirdParty", "GitHub", "", true},
		{"Source", "AWS", "ECR", "true", false},
		{"Source", "AWS", connectionProvider, "true", false},
		{"Source", "Custom", "S3", "true", false},
		{"Deploy", "AWS", "S3", "", false},
	} {
		a := Action{ActionTypeID: ActionTypeID{Category: c.category, Owner: c.owner, Provider: c.provider, Version: "1"}, Configuration: map[string]string{}}
		if c.poll != "" {
			a.Configuration["PollForSourceChanges"] = c.poll
		}
		d := Declaration{Stages: []Stage{{}, {Actions: []Action{a}}}}
		if a.Polled() != c.want || d.Polled() != c.want {
			t.Errorf("%+v: %v %v", c, a.Polled(), d.Polled())
		}
	}
}

// S-246: the later of the last start and the last update counts.
func TestPollingEnds(t *testing.T) {
	t.Parallel()
	early, late := time.Unix(0, 0), time.Unix(1000, 0)
	for _, got := range []time.Time{PollingEnds(early, late, Limits{}), PollingEnds(late, early, Limits{}), PollingEnds(time.Time{}, late, Limits{})} {
		if !got.Equal(late.Add(30 * 24 * time.Hour)) {
			t.Error(got)
		}
	}
}
