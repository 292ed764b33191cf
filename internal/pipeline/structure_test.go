package pipeline

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFindStageAndAction(t *testing.T) {
	t.Parallel()
	d := base()
	s, i, ok := d.Stage("Build")
	if !ok || i != 1 || s != &d.Stages[1] {
		t.Fatalf("stage %v at %d", s, i)
	}
	if a, ok := s.Action("Check"); !ok || a != &d.Stages[1].Actions[1] {
		t.Errorf("action %v", a)
	}
	if _, ok := s.Action("check"); ok {
		t.Error("names are case-sensitive")
	}
	if _, i, ok := d.Stage("Nowhere"); ok || i != -1 {
		t.Error("found a stage that is not there")
	}
}

// S-55, S-56: groups ascend whatever the gaps; a group keeps the declared order.
func TestGroups(t *testing.T) {
	t.Parallel()
	s := &Stage{Actions: []Action{{Name: "c", RunOrder: 7}, {Name: "a"}, {Name: "d", RunOrder: 999}, {Name: "b", RunOrder: 1}, {Name: "e", RunOrder: 7}}}
	var got [][]string
	for _, group := range Groups(s) {
		var names []string
		for _, a := range group {
			names = append(names, a.Name)
		}
		got = append(got, names)
	}
	if diff := cmp.Diff([][]string{{"a", "b"}, {"c", "e"}, {"d"}}, got); diff != "" {
		t.Error(diff)
	}
	if Groups(s)[0][0] != &s.Actions[1] {
		t.Error("a group holds copies")
	}
	if Groups(&Stage{}) != nil {
		t.Error("an empty stage has groups")
	}
}

// S-10: one store serves every Region, several serve their own.
func TestArtifactBucket(t *testing.T) {
	t.Parallel()
	d := base()
	if s, ok := ArtifactBucket(d, region); !ok || s.Location != "artifacts" {
		t.Errorf("single store: %v %v", s, ok)
	}
	twoRegions(d)
	d.ArtifactStores["eu-west-1"] = ArtifactStore{Location: "west"}
	if s, ok := ArtifactBucket(d, "eu-west-1"); !ok || s.Location != "west" {
		t.Errorf("store of a Region: %v %v", s, ok)
	}
	if _, ok := ArtifactBucket(d, "eu-east-1"); ok {
		t.Error("found the store of an unknown Region")
	}
}

// S-287: the names are cut, the random part is not.
func TestArtifactKey(t *testing.T) {
	t.Parallel()
	for _, c := range [][4]string{
		{"myPipeline", "SourceArtifact", "KEYEXAMPLE", "myPipeline/SourceArti/KEYEXAMPLE"},
		{"a-pipeline-with-a-long-name", "Out", "x1", "a-pipeline-with-a-lo/Out/x1"},
		{"ä", "öööööööööööö", "r", "ä/öööööööööö/r"},
	} {
		if got := ArtifactKey(c[0], c[1], c[2]); got != c[3] {
			t.Errorf("key %q, want %q", got, c[3])
		}
	}
}

func TestFlag(t *testing.T) {
	t.Parallel()
	a := Action{Configuration: map[string]string{"T": "TRUE", "F": "false", "X": "yes"}}
	if !a.Flag("T", false) || a.Flag("F", true) || !a.Flag("X", true) || a.Flag("absent", false) {
		t.Error("flags are misread")
	}
}

// S-305: workers are told apart by the one queryable property.
func TestQueryableValue(t *testing.T) {
	t.Parallel()
	typ := ActionType{Properties: []Property{{Name: "URL"}, {Name: "Project", Queryable: true}}}
	if name, value, ok := typ.QueryableValue(map[string]string{"Project": "app"}); !ok || name != "Project" || value != "app" {
		t.Errorf("%q %q %v", name, value, ok)
	}
	if _, _, ok := (ActionType{}).QueryableValue(nil); ok {
		t.Error("a type without properties is queryable")
	}
}

// S-70..S-83: the published quotas are the defaults, and each can be set.
func TestLimits(t *testing.T) {
	t.Parallel()
	want := Limits{
		Pipelines: 1000, PollingPipelines: 300, Webhooks: 300, CustomActionTypes: 50,
		Stages: 50, ActionsPerStage: 50, Actions: 1000, Variables: 50, Triggers: 50, TriggersBytes: 204800,
		ConfigurationValue: 50000, QueryableValue: 20, ConcurrentExecutions: 50, ParallelActions: 5,
		Continuation: 30 * time.Second, PollIdle: 30 * 24 * time.Hour, History: 366 * 24 * time.Hour, OutputVariablesBytes: 122880, ResolvedConfigurationBytes: 102400,
		S3SourceBytes: 7 << 30, GitSourceBytes: 1 << 30, DeployFiles: 100000, Tags: 50,
	}
	if diff := cmp.Diff(want, Limits{}.OrDefault()); diff != "" {
		t.Error(diff)
	}
	if got := (Limits{Stages: 3}).OrDefault(); got.Stages != 3 || got.Tags != 50 {
		t.Errorf("a set limit: %+v", got)
	}
}
