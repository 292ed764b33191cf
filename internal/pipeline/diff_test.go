package pipeline

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDiff(t *testing.T) {
	t.Parallel()
	from := &Declaration{Name: "p", Stages: []Stage{
		{Name: "A", Actions: []Action{{Name: "x", Configuration: map[string]string{"k": "1", "gone": "v"}, RunOrder: 1}, {Name: "y"}}},
		{Name: "B", Actions: []Action{{Name: "x", Commands: []string{"a", "b"}}}},
		{Name: "C"},
	}}
	if got := Diff(from, from.Clone()); got != nil {
		t.Errorf("the same: %v", got)
	}
	to := from.Clone()
	to.ExecutionMode = Queued
	to.Stages[0].Actions[0].Configuration = map[string]string{"k": "2", "new": "n"}
	to.Stages[0].Actions = to.Stages[0].Actions[:1]
	to.Stages[1].Actions[0].Commands = []string{"b"}
	to.Stages[1], to.Stages[2] = to.Stages[2], to.Stages[1]
	want := []Change{
		{"executionMode", "", `"QUEUED"`},
		{"stages", `["A","B","C"]`, `["A","C","B"]`},
		{"stages.A.actions.x.configuration.gone", `"v"`, ""},
		{"stages.A.actions.x.configuration.k", `"1"`, `"2"`},
		{"stages.A.actions.x.configuration.new", "", `"n"`},
		{"stages.A.actions.y", `{"actionTypeId":{"category":"","owner":"","provider":"","version":""},"name":"y"}`, ""},
		{"stages.B.actions.x.commands", `["a","b"]`, `["b"]`},
	}
	if diff := cmp.Diff(want, Diff(from, to)); diff != "" {
		t.Error(diff)
	}
}
