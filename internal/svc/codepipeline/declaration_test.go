package codepipeline

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/pipeline"
	"penstock/internal/store/storetest"
)

// fill gives everything below v a value of its own: lists and maps have two elements.
func fill(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprint("text", *n))
	case reflect.Int:
		v.SetInt(int64(*n))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 2 {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(key, n)
			fill(value, n)
			v.SetMapIndex(key, value)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	default:
		panic(v.Type())
	}
}

// the API's form has every member of the stored form, under the same name.
func TestShownHasEveryMember(t *testing.T) {
	t.Parallel()
	d, n := new(pipeline.Declaration), 0
	fill(reflect.ValueOf(d).Elem(), &n)
	harmless := func(id pipeline.ActionTypeID) (pipeline.ActionType, bool) {
		return pipeline.ActionType{ID: id, AnyKey: true}, true
	}
	if diff := cmp.Diff(members(t, d), members(t, shown(d, harmless))); diff != "" {
		t.Error(diff)
	}
	// Nothing that is not there is made up, but for what AWS fills in (W-14).
	d = &pipeline.Declaration{Name: "p", RoleARN: "r", Stages: []pipeline.Stage{{Name: "s", Actions: []pipeline.Action{{Name: "a"}}}}}
	want := members(t, d)
	action := want["stages"].([]any)[0].(map[string]any)["actions"].([]any)[0].(map[string]any)
	action["configuration"], action["inputArtifacts"], action["outputArtifacts"] = map[string]any{}, []any{}, []any{}
	action["actionTypeId"] = map[string]any{}
	if diff := cmp.Diff(want, members(t, shown(d, harmless))); diff != "" {
		t.Error(diff)
	}
}

func members(t *testing.T, v any) (m map[string]any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// once an update is answered, every node shows the new definition and no other,
// and hides what the types that are there now call secret.
func TestEveryNodeShowsTheDefinitionInForce(t *testing.T) {
	t.Parallel()
	url := storetest.PostgresURL(t)
	nodes := []*world{newWorld(t, storetest.Open(t, url)), newWorld(t, storetest.Open(t, url))}
	check := func(version int32, job string) {
		t.Helper()
		for i, w := range nodes {
			out, err := w.GetPipeline(w.ctx, &api.GetPipelineInput{Name: "p"})
			p := must(w, out, err).Pipeline
			if got := p.Stages[1].Actions[0].Configuration["job"]; *p.Version != version || got != job {
				t.Errorf("node %d shows version %d with the job %s, want version %d with %s", i, *p.Version, got, version, job)
			}
		}
	}
	nodes[0].workerType()
	for round := range 2 { // the second pipeline has the name of the first
		nodes[round].create("p")
		check(1, "make")
		for i := range int32(6) {
			d := definition("p")
			d.Stages[1].Actions[0].Configuration["job"] = fmt.Sprint(round, "-", i)
			w := nodes[i%2]
			must(w, 0, drop(w.UpdatePipeline(w.ctx, &api.UpdatePipelineInput{Pipeline: d})))
			check(i+2, fmt.Sprint(round, "-", i))
		}
		if round == 0 {
			must(nodes[1], 0, drop(nodes[1].DeletePipeline(nodes[1].ctx, &api.DeletePipelineInput{Name: "p"})))
			for _, w := range nodes {
				w.refused("PipelineNotFoundException", drop(w.GetPipeline(w.ctx, &api.GetPipelineInput{Name: "p"})))
			}
		}
	}
	must(nodes[0], 0, drop(nodes[0].DeleteCustomActionType(nodes[0].ctx, &api.DeleteCustomActionTypeInput{Category: "Build", Provider: "Worker", Version: "1"})))
	check(7, pipeline.SecretMask)
}
