package pipeline

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"penstock/internal/fault"
)

func TestNormalise(t *testing.T) {
	t.Parallel()
	d := base()
	d.Version = 7
	d.Stages[1].Blockers = []Blocker{}
	action(d, "Compile").OutputVariables = []string{}
	untouched := base()
	untouched.Version = 7
	untouched.Stages[1].Blockers = []Blocker{}
	action(untouched, "Compile").OutputVariables = []string{}

	n := Normalise(d, env())
	if diff := cmp.Diff(untouched, d); diff != "" {
		t.Errorf("the argument was changed:\n%s", diff)
	}
	if n.Version != 1 {
		t.Errorf("S-14: version %d at creation", n.Version)
	}
	if n.ExecutionMode != Superseded || n.PipelineType != V2 {
		t.Errorf("S-15, S-16: mode %q, type %q", n.ExecutionMode, n.PipelineType)
	}
	if got := action(n, "Compile").RunOrder; got != 1 {
		t.Errorf("S-35, Q-31: run order %d", got)
	}
	if got := action(n, "Check").RunOrder; got != 2 {
		t.Errorf("S-35: declared run order became %d", got)
	}
	if n.Stages[1].Blockers != nil || action(n, "Compile").OutputVariables != nil {
		t.Error("empty lists are kept")
	}
	if a := action(n, "Publish"); a.Region != "" || a.RoleARN != "" || a.TimeoutInMinutes != 0 {
		t.Errorf("W-14: absent members appeared: %+v", a)
	}

	e := env()
	e.Previous = &Declaration{Name: d.Name, Version: 4}
	if got := Normalise(d, e).Version; got != 5 {
		t.Errorf("S-14, S-62: version %d after 4", got)
	}
}

func TestEffectiveType(t *testing.T) {
	t.Parallel()
	plain := func() *Declaration { d := base(); v1(d); d.PipelineType = ""; return d }
	for name, c := range map[string]struct {
		change func(*Declaration)
		want   string
	}{
		"S-16 Q-1 plain":       {func(*Declaration) {}, V1},
		"S-16 declared":        {func(d *Declaration) { d.PipelineType = V2 }, V2},
		"S-17 QUEUED":          {func(d *Declaration) { d.ExecutionMode = Queued }, V2},
		"S-15 SUPERSEDED":      {func(d *Declaration) { d.ExecutionMode = Superseded }, V1},
		"S-17 variables":       {func(d *Declaration) { d.Variables = []VariableDeclaration{{Name: "v"}} }, V2},
		"S-17 triggers":        {func(d *Declaration) { d.Triggers = trigger("Git") }, V2},
		"S-17 entry":           {func(d *Declaration) { d.Stages[1].BeforeEntry = &Conditions{} }, V2},
		"S-17 success":         {func(d *Declaration) { d.Stages[1].OnSuccess = &Conditions{} }, V2},
		"S-17 automatic retry": {func(d *Declaration) { d.Stages[1].OnFailure = &FailureConditions{Result: ResultRetry} }, V2},
		"S-17 provider":        {func(d *Declaration) { commandsAction(d) }, V2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := plain()
			c.change(d)
			if got := Normalise(d, env()).PipelineType; got != c.want {
				t.Errorf("type %q, want %q", got, c.want)
			}
			e := env()
			e.StrictPipelineType = true
			if got := Normalise(d, e).PipelineType; d.PipelineType == "" && got != V1 {
				t.Errorf("Q-1: strict type %q", got)
			}
		})
	}
}

func TestDefaultTrigger(t *testing.T) {
	t.Parallel()
	main := trigger("Git", GitPushFilter{Branches: &GitFilter{Includes: []string{"main"}}})
	own := trigger("Git", GitPushFilter{Tags: &GitFilter{Includes: []string{"v*"}}})
	for name, c := range map[string]struct {
		change func(*Declaration)
		want   []TriggerDeclaration
	}{
		"A-4 added":                        {func(*Declaration) {}, main},
		"A-4 not with own triggers":        {func(d *Declaration) { d.Triggers = own }, own},
		"A-4 not for V1":                   {v1, nil},
		"S-242 not with DetectChanges off": {func(d *Declaration) { set(d, "Git", "DetectChanges", "False") }, nil},
		"A-4 not without a connection":     {func(d *Declaration) { gitHub(d) }, nil},
		"S-258 not for a branch too long":  {func(d *Declaration) { set(d, "Git", "BranchName", strings.Repeat("b", 256)) }, nil},
		"S-270 braces are quoted": {func(d *Declaration) { set(d, "Git", "BranchName", "a{b}") },
			trigger("Git", GitPushFilter{Branches: &GitFilter{Includes: []string{`a\{b\}`}}})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := base()
			c.change(d)
			n := Normalise(d, env())
			if diff := cmp.Diff(c.want, n.Triggers); diff != "" {
				t.Error(diff)
			}
			if err := Validate(n, env()); err != nil {
				t.Error(err)
			}
		})
	}
}

// S-38, A-13: a shown definition hides exactly the secrets.
func TestMask(t *testing.T) {
	t.Parallel()
	d := base()
	gitHub(d)
	want := d.Clone()
	set(want, "Git", "OAuthToken", "****")
	if diff := cmp.Diff(want, Mask(d, builtin())); diff != "" {
		t.Error(diff)
	}
	if action(d, "Git").Configuration["OAuthToken"] != "s3cr3t" {
		t.Error("the argument was masked")
	}

	// The type may have been deleted since (S-300): nothing of it is known to be harmless.
	action(d, "Git").ActionTypeID.Version = "9"
	for key, value := range action(Mask(d, builtin()), "Git").Configuration {
		if value != SecretMask {
			t.Errorf("%s of an unknown type is shown", key)
		}
	}
	// A type with unpublished keys: those that sound like credentials are hidden.
	snyk := ActionTypeID{CategoryInvoke, OwnerThirdParty, "Snyk", "1"}
	got := MaskConfiguration(snyk, map[string]string{"SnykToken": "a", "Severity": "high", "Project": "p"}, builtin())
	if diff := cmp.Diff(map[string]string{"SnykToken": "****", "Severity": "high", "Project": "p"}, got); diff != "" {
		t.Error(diff)
	}
}

// S-38, A-44: sending the mask keeps the stored secret while the names stay.
func TestKeepSecrets(t *testing.T) {
	t.Parallel()
	stored := base()
	gitHub(stored)
	shown := Mask(stored, builtin())

	kept, err := KeepSecrets(shown, stored, builtin())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(stored.Clone(), kept); diff != "" {
		t.Error(diff)
	}
	if action(shown, "Git").Configuration["OAuthToken"] != SecretMask {
		t.Error("the argument was changed")
	}

	fresh := shown.Clone()
	set(fresh, "Git", "OAuthToken", "n3w")
	if kept, err := KeepSecrets(fresh, stored, builtin()); err != nil || action(kept, "Git").Configuration["OAuthToken"] != "n3w" {
		t.Errorf("a new secret was not taken: %v", err)
	}

	literal := shown.Clone()
	gitHub(literal)
	set(literal, "Publish", "CacheControl", SecretMask)
	if kept, err := KeepSecrets(literal, stored, builtin()); err != nil || action(kept, "Publish").Configuration["CacheControl"] != SecretMask {
		t.Errorf("four stars are a value like any other where nothing is secret: %v", err)
	}

	for name, change := range map[string]func(*Declaration){
		"renamed stage":  func(d *Declaration) { d.Stages[0].Name = "Input" },
		"renamed action": func(d *Declaration) { action(d, "Git").Name = "Hub" },
		"other provider": func(d *Declaration) { action(d, "Git").ActionTypeID.Provider = "Elsewhere" },
	} {
		d := shown.Clone()
		change(d)
		if _, err := KeepSecrets(d, stored, builtin()); fault.Code(err) != invalidAction || !strings.Contains(err.Error(), "OAuthToken") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := KeepSecrets(shown, nil, builtin()); fault.Code(err) != invalidAction {
		t.Errorf("mask at creation: %v", err)
	}
}
