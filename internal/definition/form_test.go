package definition_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"pgregory.net/rapid"

	"penstock/internal/definition"
	"penstock/internal/pipeline"
	"penstock/internal/template"
)

// text draws texts that mean something to YAML, CloudFormation or HCL.
func text() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"true", "null", "~", "1", "0x1F", "2012-10-17", "- a", "a: b", "#{ns.key}", "${x}", "%{ if }", "$${x}", "!Ref x", "<<", "*", "a\nb\n", " a ", "é", "\u2028", "'", `"`}),
		rapid.StringOfN(rapid.RuneFrom([]rune("ab$%{}\"'\\\n\t~#: -&*!|>\x01é\U0001f600")), 1, 12, -1))
}

// draw draws a value of a type: what the types of a declaration can say, not only what is valid.
func draw(t *rapid.T, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if rapid.Bool().Draw(t, "given") {
			v.Set(reflect.New(v.Type().Elem()))
			draw(t, v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			draw(t, v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		for range rapid.IntRange(0, 2).Draw(t, "items") {
			e := reflect.New(v.Type().Elem()).Elem()
			draw(t, e)
			v.Set(reflect.Append(v, e))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range rapid.IntRange(0, 2).Draw(t, "entries") {
			e := reflect.New(v.Type().Elem()).Elem()
			draw(t, e)
			v.SetMapIndex(reflect.ValueOf(text().Draw(t, "key")), e)
		}
	case reflect.Int:
		v.SetInt(int64(rapid.IntRange(0, 1000).Draw(t, "number")))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "flag"))
	default:
		v.SetString(text().Draw(t, "text"))
	}
}

func declaration(t *rapid.T) *pipeline.Declaration {
	d := new(pipeline.Declaration)
	draw(t, reflect.ValueOf(d).Elem())
	d.Version = 0
	return d.Clone()
}

var inputs = template.Inputs{Region: "us-east-1", Account: "000000000000", Partition: "aws", StackName: "stack"}

// C-23, C-25: what a template that was made of a definition is read as is that definition, in
// YAML and in JSON.
func TestTemplateRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		form := definition.Form{Declaration: declaration(t)}
		for range rapid.IntRange(0, 2).Draw(t, "tags") {
			form.Tags = append(form.Tags, pipeline.Tag{Key: text().Draw(t, "key"), Value: text().Draw(t, "value")})
		}
		for range rapid.IntRange(0, 2).Draw(t, "transitions") {
			form.Disabled = append(form.Disabled, definition.Transition{Stage: text().Draw(t, "stage"), Reason: text().Draw(t, "reason")})
		}
		tree := definition.CloudFormation(form)
		asJSON, err := tree.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		asYAML, err := definition.YAML(tree)
		if err != nil {
			t.Fatal(err)
		}
		for file, written := range map[string][]byte{"t.json": asJSON, "t.yaml": asYAML} {
			set, bad := definition.Read(file, written, inputs)
			if len(bad) > 0 || len(set.Pipelines) != 1 {
				t.Fatalf("%v\n%s", bad, written)
			}
			read := set.Pipelines[0]
			back, err := read.Declaration.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			got := new(pipeline.Declaration)
			if err := json.Unmarshal(back, got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(form.Declaration, got.Clone()); diff != "" {
				t.Fatalf("%s\n%s", diff, written)
			}
			var tags []pipeline.Tag
			if read.Tags != nil {
				back, _ = read.Tags.MarshalJSON()
				if err := json.Unmarshal(back, &tags); err != nil {
					t.Fatal(err)
				}
			}
			for i := range read.Disabled {
				read.Disabled[i].Line, read.Disabled[i].Column = 0, 0
			}
			if !slices.Equal(tags, form.Tags) || !slices.Equal(read.Disabled, form.Disabled) {
				t.Fatalf("%v, %v\n%s", tags, read.Disabled, written)
			}
		}
	})
}

// said gives the values of all attributes of a file, by the path of the blocks they are in.
func said(t interface{ Fatal(...any) }, body *hclsyntax.Body, path string, out map[string][]string) {
	for name, a := range body.Attributes {
		v, diagnostics := a.Expr.Value(nil)
		if diagnostics.HasErrors() {
			continue // a reference to another resource or to a variable
		}
		switch {
		case v.Type().FriendlyName() == "string":
			out[path+name] = append(out[path+name], v.AsString())
		case v.CanIterateElements():
			for k, e := range v.Elements() {
				key := path + name
				if k.Type().FriendlyName() == "string" {
					key += "." + k.AsString()
				}
				out[key] = append(out[key], e.AsString())
			}
		}
	}
	for _, b := range body.Blocks {
		said(t, b.Body, path+b.Type+".", out)
	}
}

// C-14: Terraform's own parser reads what is written, each text means itself, and terraform fmt
// would change nothing.
func TestTerraformIsRead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := declaration(t)
		text, _ := definition.Terraform(definition.Form{Declaration: d})
		file, diagnostics := hclsyntax.ParseConfig([]byte(text), "t.tf", hcl.InitialPos)
		if diagnostics.HasErrors() {
			t.Fatalf("%v\n%s", diagnostics, text)
		}
		if diff := cmp.Diff(text, string(hclwrite.Format([]byte(text)))); diff != "" {
			t.Fatal("terraform fmt would change it: " + diff)
		}
		got := map[string][]string{}
		said(t, file.Body.(*hclsyntax.Body), "", got)
		want := map[string][]string{}
		keep := func(path, v string) {
			if v != "" {
				want[path] = append(want[path], v)
			}
		}
		keep("resource.name", d.Name)
		for _, s := range d.Stages {
			keep("resource.stage.name", s.Name)
			for _, a := range s.Actions {
				keep("resource.stage.action.name", a.Name)
				keep("resource.stage.action.role_arn", a.RoleARN)
				for k, v := range a.Configuration {
					keep("resource.stage.action.configuration."+k, v)
				}
				for _, in := range a.InputArtifacts {
					keep("resource.stage.action.input_artifacts", in.Name)
				}
			}
		}
		for path, values := range want {
			if has := slices.Sorted(slices.Values(got[path])); !slices.Equal(has, slices.Sorted(slices.Values(values))) {
				t.Fatalf("%s: %q, want %q\n%s", path, has, values, text)
			}
		}
	})
}

// C-15, C-16: what the provider cannot express is told and stands as a comment; a secret is a
// variable, never the mask.
func TestTerraformTellsWhatItCannot(t *testing.T) {
	t.Parallel()
	d := &pipeline.Declaration{Name: "1 p", Stages: []pipeline.Stage{
		{Name: "Source", Actions: []pipeline.Action{{Name: "Git", Configuration: map[string]string{"OAuthToken": pipeline.SecretMask, "Repo": "r"}}}},
		{Name: "Build", Blockers: []pipeline.Blocker{{Name: "b", Type: "Schedule"}}, Actions: []pipeline.Action{{
			Name: "Run", Commands: []string{"make\x00 all"}, OutputVariables: []string{"V"}, OutputArtifacts: []pipeline.OutputArtifact{{Name: "o", Files: []string{"f"}}},
			EnvironmentVariables: []pipeline.EnvironmentVariable{{Name: "E", Value: "v"}},
		}}},
	}}
	form := definition.Form{
		Declaration: d, Disabled: []definition.Transition{{Stage: "Build", Reason: "r"}}, Tags: []pipeline.Tag{{Key: "team", Value: "one"}},
		Webhooks: []definition.Webhook{{Name: "hook", TargetPipeline: "1 p", TargetAction: "Git", Authentication: "GITHUB_HMAC",
			Filters: []definition.WebhookFilter{{JSONPath: "$.ref"}}, AuthenticationConfiguration: definition.WebhookSecret{SecretToken: pipeline.SecretMask}}},
		ActionTypes: []definition.ActionType{{Category: "Build", Provider: "Mine", Version: "1", Settings: &pipeline.Settings{EntityURLTemplate: "https://example.org/"},
			ConfigurationProperties: []pipeline.Property{{Name: "Key", Required: true}}}},
	}
	text, notes := definition.Terraform(form)
	if _, diagnostics := hclsyntax.ParseConfig([]byte(text), "t.tf", hcl.InitialPos); diagnostics.HasErrors() {
		t.Fatalf("%v\n%s", diagnostics, text)
	}
	if diff := cmp.Diff(text, string(hclwrite.Format([]byte(text)))); diff != "" {
		t.Error("terraform fmt would change it: " + diff)
	}
	for _, want := range []string{"blockers", "commands", "outputVariables", "environmentVariables", "files of an output artifact", "disabled inbound transition"} {
		if !slices.ContainsFunc(notes, func(n string) bool { return strings.Contains(n, want) }) || !strings.Contains(text, want) {
			t.Errorf("nothing is said of %s: %q", want, notes)
		}
	}
	for _, want := range []string{`"OAuthToken" = var.SourceGitOAuthToken`, `variable "SourceGitOAuthToken"`, `resource "aws_codepipeline" "_1_p"`, `resource "aws_codepipeline_webhook" "hook"`,
		"secret_token = var.WebhookHookSecret", "target_pipeline = aws_codepipeline._1_p.name", `resource "aws_codepipeline_custom_action_type" "Build_Mine_1"`, `"team" = "one"`, "sensitive   = true"} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %s in\n%s", want, text)
		}
	}
	if strings.Contains(text, pipeline.SecretMask) {
		t.Error("the mask is written as if it were the secret")
	}
	tree := definition.CloudFormation(form)
	written, err := definition.YAML(tree)
	if err != nil || strings.Contains(string(written), pipeline.SecretMask) {
		t.Fatalf("%v\n%s", err, written)
	}
	in := inputs
	in.Parameters = map[string]string{"SourceGitOAuthToken": "one", "WebhookHookSecret": "two"}
	set, bad := definition.Read("t.yaml", written, in)
	if len(bad) > 0 || len(set.Webhooks) != 1 || len(set.ActionTypes) != 1 {
		t.Fatalf("%v\n%s", bad, written)
	}
	hook, _ := set.Webhooks[0].MarshalJSON() // C-24
	if want := `{"name":"hook","targetPipeline":"1 p","targetAction":"Git","filters":[{"jsonPath":"$.ref"}],"authentication":"GITHUB_HMAC","authenticationConfiguration":{"SecretToken":"two"}}`; string(hook) != want {
		t.Errorf("%s", hook)
	}
	kind, _ := set.ActionTypes[0].MarshalJSON()
	if want := `"provider":"Mine"`; !strings.Contains(string(kind), want) || !strings.Contains(string(kind), `"configurationProperties":[{"name":"Key","required":true,`) {
		t.Errorf("%s", kind)
	}
}
