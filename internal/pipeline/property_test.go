package pipeline

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"penstock/internal/fault"
)

// Whatever is valid stays so in its stored form, storing it again changes nothing, and the
// stored form survives the way through JSON.
func TestStoredFormIsStable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d, _ := drawDefinition(t)
		if err := Validate(d, env()); err != nil {
			t.Fatalf("drawn definition: %v", err)
		}
		n := Normalise(d, env())
		if err := Validate(n, env()); err != nil {
			t.Fatalf("stored form: %v", err)
		}
		if diff := cmp.Diff(n, Normalise(n, env())); diff != "" {
			t.Fatalf("not idempotent:\n%s", diff)
		}
		text, err := json.Marshal(n)
		if err != nil {
			t.Fatal(err)
		}
		back := &Declaration{}
		if err := json.Unmarshal(text, back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(n, back.Clone()); diff != "" {
			t.Fatalf("JSON:\n%s", diff)
		}
	})
}

// S-38: no secret can be read from what Mask gives, and sending it back restores them all.
func TestMaskNeverLeaks(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d, values := drawDefinition(t)
		n := Normalise(d, env())
		masked := Mask(n, builtin())
		text, err := json.Marshal(masked)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range values {
			if strings.Contains(string(text), secret) {
				t.Fatalf("%s is shown", secret)
			}
		}
		kept, err := KeepSecrets(masked, n, builtin())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(n, kept); diff != "" {
			t.Fatal(diff)
		}
		e := env()
		e.Previous = n
		if err := Validate(masked, e); err != nil {
			t.Fatalf("update with what was shown: %v", err)
		}
	})
}

// S-55: groups hold every action once, by ascending run order.
func TestGroupsAreAPartition(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var s Stage
		for _, order := range rapid.SliceOfN(rapid.IntRange(0, 9), 0, 30).Draw(t, "orders") {
			s.Actions = append(s.Actions, Action{RunOrder: order})
		}
		seen, last := 0, 0
		for _, group := range Groups(&s) {
			if group[0].Order() <= last {
				t.Fatal("groups do not ascend")
			}
			last = group[0].Order()
			for _, a := range group {
				if a.Order() != last {
					t.Fatal("a group mixes run orders")
				}
				seen++
			}
		}
		if seen != len(s.Actions) {
			t.Fatalf("%d of %d actions", seen, len(s.Actions))
		}
	})
}

// Every refusal is one of the classes that CreatePipeline declares, whatever was sent, and
// nothing panics. The seeds are near misses of a valid definition.
func FuzzValidate(f *testing.F) {
	text, err := json.Marshal(base())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	for _, c := range [][2]string{
		{`"Sources"`, `"Binary"`}, {`#{build.VERSION}`, `#{`}, {`#{build.VERSION}`, `#{}#{.}#{a.}`}, {`"AWS"`, `""`}, {`"runOrder":2`, `"runOrder":-2`},
		{`"stages":[`, `"stages":[{},`}, {`"Source"`, `""`}, {`"V2"`, `"V1"`}, {`"name":"Build"`, `"name":"Build","onFailure":{},"beforeEntry":{"conditions":[{}]}`},
		{`"artifactStore":`, `"artifactStores":{"x":{}},"store":`}, {`"name":"release"`, `"name":"release","triggers":[{}]`},
		{`"main"`, `"a{b"`}, {`"V2"`, `""`}, {`"artifactStore":`, `"artifactStores":{"us-east-1":null},"store":`}, {`"name":"Build"`, `"name":"Build","onFailure":{"result":"RETRY","retryConfiguration":null,"conditions":[]}`},
	} {
		f.Add([]byte(strings.ReplaceAll(string(text), c[0], c[1])))
	}
	f.Add([]byte(`null`))
	f.Add([]byte(`{"stages":[{"actions":[{}]},{}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		d := &Declaration{}
		if len(text) > 20_000 || json.Unmarshal(text, d) != nil { // names alone could be more than triggers may have
			return
		}
		err := Validate(d, env())
		switch fault.Code(err) {
		case invalidValue, invalidStructure, invalidStage, invalidAction, invalidBlocker:
		default:
			if err != nil {
				t.Fatalf("refused with %v", err)
			}
		}
		n := Normalise(d, env())
		if again := Normalise(n, env()); !reflect.DeepEqual(n, again) { // cmp takes too long
			t.Fatalf("not idempotent:\n%s", cmp.Diff(n, again))
		}
		if err == nil {
			if err := Validate(n, env()); err != nil {
				t.Fatalf("stored form: %v", err)
			}
		}
		Mask(d, builtin())
	})
}

// huge makes a valid definition of fifty stages with n actions, each with an input, an
// output, a namespace and references, as entangled as the rules allow.
func huge(n int) *Declaration {
	d := base()
	d.Stages = d.Stages[:1]
	last := "Sources"
	for i := range n {
		if i%(n/49) == 0 && len(d.Stages) < 50 {
			d.Stages = append(d.Stages, Stage{Name: fmt.Sprint("stage", i)})
		}
		s := &d.Stages[len(d.Stages)-1]
		out := fmt.Sprint("out", i)
		s.Actions = append(s.Actions, Action{
			Name: fmt.Sprint("action", i), ActionTypeID: aws(CategoryBuild, "CodeBuild"), RunOrder: len(s.Actions) + 1,
			Namespace: fmt.Sprint("ns", i), RoleARN: "arn:aws:iam::111122223333:role/shared",
			InputArtifacts: []ArtifactName{{last}}, OutputArtifacts: []OutputArtifact{{Name: out}},
			Configuration: map[string]string{"ProjectName": "p", "EnvironmentVariables": strings.Repeat("#{object.ETag}", 5)},
		})
		last = out
	}
	return d
}

// A definition of 1000 actions costs one look at the catalogue per action and one question
// per role (S-23).
func TestLargestDefinitionAsksOnce(t *testing.T) {
	t.Parallel()
	d := huge(998)
	e := env()
	looks, roles := 0, 0
	e.Catalogue = func(id ActionTypeID) (ActionType, bool) { looks++; return builtin()(id) }
	e.MayAssumeFrom = func(string, string) bool { roles++; return true }
	if err := Validate(d, e); err != nil {
		t.Fatal(err)
	}
	if looks != 1000 || roles != 1 {
		t.Errorf("%d looks at the catalogue, %d questions about roles", looks, roles)
	}
}

// Hostile sizes are answered, not choked on: too many of everything is refused by its count.
func TestHugeValues(t *testing.T) {
	t.Parallel()
	d := base()
	config := action(d, "Compile").Configuration
	for i := range 100000 {
		config[fmt.Sprint("key", i)] = "v"
	}
	err := Validate(d, env())
	if fault.Code(err) != invalidAction || len(err.Error()) > 1000 {
		t.Errorf("a configuration of 100000 keys: %.200v", err)
	}

	d = base()
	set(d, "Approve", "CustomData", strings.Repeat("#{", 20000))
	if err := Validate(d, env()); err != nil {
		t.Errorf("no reference at all: %v", err)
	}
	set(d, "Approve", "CustomData", strings.Repeat("#{object.K}", 4000))
	if err := Validate(d, env()); err != nil {
		t.Errorf("4000 references: %v", err)
	}

	d = base()
	d.Stages[1].Actions = make([]Action, 1000000)
	if err := Validate(d, env()); fault.Code(err) != invalidStructure {
		t.Errorf("a million actions: %v", err)
	}
}
