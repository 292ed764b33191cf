package engine

import (
	"strings"
	"testing"
	"time"

	"penstock/internal/pipeline"
)

// abroad is a pipeline whose build runs in another Region, with a role of an account, and
// whose last action takes what the build made, with a role of another.
func abroad(buildRole, lastRole string) *State {
	action := func(name, category, region, role, in, out string) pipeline.Action {
		a := pipeline.Action{Name: name, RunOrder: 1, Region: region, RoleARN: role,
			ActionTypeID: pipeline.ActionTypeID{Category: category, Owner: "AWS", Provider: "CodeBuild", Version: "1"}}
		if in != "" {
			a.InputArtifacts = []pipeline.ArtifactName{{Name: in}}
		}
		if out != "" {
			a.OutputArtifacts = []pipeline.OutputArtifact{{Name: out}}
		}
		return a
	}
	d := &pipeline.Declaration{Name: "p", RoleARN: "arn:aws:iam::111111111111:role/p", Version: 1, ExecutionMode: pipeline.Superseded, PipelineType: pipeline.V2,
		ArtifactStores: map[string]pipeline.ArtifactStore{
			"eu-west-1": {Type: "S3", Location: "home", EncryptionKey: &pipeline.EncryptionKey{ID: "home-key", Type: "KMS"}},
			"us-east-1": {Type: "S3", Location: "away", EncryptionKey: &pipeline.EncryptionKey{ID: "away-key", Type: "KMS"}},
		},
		Stages: []pipeline.Stage{
			{Name: "Source", Actions: []pipeline.Action{action("Get", "Source", "", "", "", "code")}},
			{Name: "Build", Actions: []pipeline.Action{action("Make", "Build", "us-east-1", buildRole, "code", "made")}},
			{Name: "Ship", Actions: []pipeline.Action{action("Put", "Deploy", "", lastRole, "made", "")}},
		}}
	s := New("111111111111", "eu-west-1", "seed", d, time.Unix(0, 0).UTC())
	s.Attached.Catalogue = catalogue
	return s
}

// drive starts an execution and has every job succeed; it gives the jobs in their order.
func drive(t *testing.T, s *State) (*State, []Job) {
	t.Helper()
	var jobs []Job
	events := []Event{Start{}}
	for len(events) > 0 {
		next, effects, err := Step(s, time.Unix(0, 0).UTC(), events[0])
		if err != nil {
			t.Fatal(err)
		}
		s, events = next, events[1:]
		for _, e := range effects {
			if j, ok := e.(StartJob); ok {
				jobs = append(jobs, j.Job)
				events = append(events, Succeed{Job: JobRef{ID: j.ID, Execution: j.Execution, Run: j.Run}})
			}
		}
	}
	return s, jobs
}

// S-292: an action in another Region finds its inputs in that Region's store and leaves its
// outputs there; the actions after it find them at home, under the same key. S-291: each
// store has its own key.
func TestArtifactsAbroad(t *testing.T) {
	t.Parallel()
	_, jobs := drive(t, abroad("", ""))
	if len(jobs) != 3 {
		t.Fatalf("%d jobs", len(jobs))
	}
	get, made, put := jobs[0], jobs[1], jobs[2]
	if get.Home != nil || get.Outputs[0].Bucket != "home" || get.EncryptionKey.ID != "home-key" {
		t.Errorf("at home: %+v", get)
	}
	if made.Home == nil || made.Home.Location != "home" || made.Home.EncryptionKey.ID != "home-key" || made.EncryptionKey.ID != "away-key" ||
		made.Inputs[0].Bucket != "away" || made.Inputs[0].Key != get.Outputs[0].Key || made.Outputs[0].Bucket != "away" {
		t.Errorf("abroad: %+v", made)
	}
	if put.Home != nil || put.Inputs[0].Bucket != "home" || put.Inputs[0].Key != made.Outputs[0].Key {
		t.Errorf("back at home: %+v", put)
	}
}

// S-293: an artifact of a foreign account goes to that account and to the pipeline's own.
func TestArtifactsBetweenAccounts(t *testing.T) {
	t.Parallel()
	role := func(account string) string { return "arn:aws:iam::" + account + ":role/r" }
	for _, c := range []struct {
		maker, taker string
		passes       bool
	}{
		{"111111111111", "111111111111", true},
		{"111111111111", "222222222222", true},
		{"222222222222", "111111111111", true},
		{"222222222222", "222222222222", true},
		{"222222222222", "333333333333", false},
	} {
		s, _ := drive(t, abroad(role(c.maker), role(c.taker)))
		var last *ActionRun
		for _, e := range append(s.Retired, s.ordered()...) {
			last = e.Runs["Ship"].Actions["Put"]
		}
		if (last.Status == pipeline.Succeeded) != c.passes {
			t.Errorf("from %s to %s: %s %+v", c.maker, c.taker, last.Status, last.Error)
		}
		if !c.passes && (last.Error.Code != pipeline.ConfigurationError || !strings.Contains(last.Error.Message, c.maker)) {
			t.Errorf("the refusal says %+v", last.Error)
		}
	}
}
