package app

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const declaration = `pipeline:
  name: p
  roleArn: arn:aws:iam::000000000000:role/r
  artifactStore: {type: S3, location: bucket}
  stages:
    - name: Source
      actions:
        - name: Object
          actionTypeId: {category: Source, owner: AWS, provider: S3, version: "1"}
          configuration:
            S3Bucket: bucket
            S3ObjectKey: key
          outputArtifacts:
            - name: out
    - name: Approval
      actions:
        - name: Look
          actionTypeId: {category: Approval, owner: AWS, provider: Manual, version: "1"}
`

// gates are conditions of the last stage.
const gates = `      beforeEntry:
        conditions:
          - result: FAIL
            rules:
              - {name: r, ruleTypeId: {category: Rule, provider: DeploymentWindow}, configuration: {Cron: "0 * * ? * * *"}}
      onFailure:
        result: ROLLBACK
`

func TestValidate(t *testing.T) {
	t.Parallel()
	edit := func(from, to string) string {
		if strings.Count(declaration, from) != 1 {
			t.Fatalf("%q is not there once", from)
		}
		return strings.Replace(declaration, from, to, 1)
	}
	const (
		serialization = "error SerializationException"
		validation    = "error ValidationException"
		action        = "error InvalidActionDeclarationException"
		stage         = "error InvalidStageDeclarationException"
		last          = "17:17 warning approval-last"
	)
	for name, c := range map[string]struct {
		file, text string
		want       []string
	}{
		"good":                 {"f.yaml", declaration, []string{last}},
		"good, bare":           {"f.yml", strings.ReplaceAll(strings.TrimPrefix(declaration, "pipeline:\n"), "\n  ", "\n")[2:], []string{"16:15 warning approval-last"}},
		"several":              {"f.yaml", declaration + "---\n" + declaration + "...\n---\n", []string{last, "36:17 warning approval-last"}},
		"custom types":         {"f.yaml", edit("owner: AWS, provider: Manual", "owner: Custom, provider: Mine"), []string{last, "18:71 note custom-type"}},
		"W-22 a bad name":      {"f.yaml", edit("name: Look", "name: L ook"), []string{last, "17:17 " + validation}},
		"W-21 a missing role":  {"f.yaml", edit("  roleArn: arn:aws:iam::000000000000:role/r\n", ""), []string{"2:3 " + validation, "16:17 warning approval-last"}},
		"W-21 several":         {"f.yaml", strings.Replace(edit("name: Look", "name: L ook"), "name: out", "name: o ut", 1), []string{"14:21 " + validation, last, "17:17 " + validation}},
		"S-29 conditions":      {"f.yaml", declaration + gates, []string{"2:9 warning pipeline-type", last}},
		"S-205 a wrong result": {"f.yaml", declaration + strings.Replace(gates, "FAIL", "SKIP", 1), []string{"2:9 warning pipeline-type", last, "23:24 " + stage}},
		"S-36 an unknown key":  {"f.yaml", edit("S3ObjectKey: key", "S3ObjectKey: key\n            Nonsense: x"), []string{"13:13 " + action, "18:17 warning approval-last"}},
		"S-53 a missing key":   {"f.yaml", edit("            S3ObjectKey: key\n", ""), []string{"8:17 " + action, "16:17 warning approval-last"}},
		"S-23 one stage":       {"f.yaml", declaration[:strings.Index(declaration, "    - name: Approval")], []string{"2:3 error InvalidStructureException"}},
		"no type of AWS":       {"f.yaml", edit("provider: S3", "provider: S33"), []string{"9:36 " + action, last}},
		"no YAML":              {"f.yaml", "a: b\nc: [", []string{"3:1 " + serialization}},
		"a key twice":          {"f.yaml", "a: b\na: c", []string{"2:1 " + serialization}},
		"a list":               {"f.yaml", "- a", []string{"1:1 " + serialization}},
		"nothing":              {"f.yaml", "# nothing", []string{"1:1 " + serialization}},
		"no JSON":              {"f.json", "{\n\"a\": x}", []string{"2:6 " + serialization}},
		"JSON that ends":       {"f.json", "{\n\"a\": [", []string{"2:7 " + serialization}},
		"JSON by its look":     {"-", "{\"name\": \"p\", \"stages\": [],\n \"roleArn\": \"no\", \"rolearn\": 1}", []string{"2:13 " + validation, "2:19 warning unknown-member"}},
		"a number for a text":  {"f.yaml", edit("S3Bucket: bucket", "S3Bucket: 7"), []string{"11:13 " + serialization}},
		"S-49 an unknown name": {"f.yaml", declaration + "          inputArtifacts: [{name: nowhere}]\n", []string{"17:17 " + action, last}},
		"S-48 in which stage":  {"f.yaml", declaration + "    - name: Again\n      actions:\n        - name: Object\n          actionTypeId: {category: Build, owner: AWS, provider: CodeBuild, version: \"1\"}\n", []string{"21:17 " + action}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, findings, err := Validate(c.file, strings.NewReader(c.text), Origin{Account: "000000000000", Region: "us-east-1"})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range findings {
				if f.Rule != "unused-artifact" { // the approval takes nothing
					got = append(got, fmt.Sprintf("%d:%d %s %s", f.Line, f.Column, f.Severity, f.Rule))
				}
			}
			slices.Sort(got)
			slices.Sort(c.want)
			if !slices.Equal(got, c.want) {
				t.Fatalf("got  %q\nwant %q\n%v", got, c.want, findings)
			}
		})
	}
}

// A text that would fill memory or time is refused in no time.
func TestValidateIsBounded(t *testing.T) {
	t.Parallel()
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		p := string(c - 1)
		bomb += string(c) + ": &" + string(c) + " [" + strings.TrimSuffix(strings.Repeat("*"+p+",", 9), ",") + "]\n"
	}
	mapping := "Resources: {P: {Type: AWS::CodePipeline::Pipeline, Properties: {Name: !Sub '" + strings.Repeat("${V}", 2000) + "', RoleArn: !Ref A}}}\n" +
		"Parameters: {V: {Type: String, Default: " + strings.Repeat("v", 1<<19) + "}}\n"
	for name, c := range map[string]struct{ file, text, want string }{
		"size":            {"f.json", "{" + strings.Repeat(" ", 3<<20), "bytes"},
		"aliases":         {"f.yaml", bomb, "values"},
		"a cycle":         {"f.yaml", "a: &a [*a]", "deep"},
		"deep JSON":       {"f.json", strings.Repeat("[", 1<<20), "deep"},
		"deep YAML":       {"f.yaml", strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "deep"},
		"long texts":      {"f.yaml", mapping, "too much"},
		"names in a ring": {"f.yaml", "Resources: {P: {Type: AWS::CodePipeline::Pipeline, Properties: {Name: !Ref P}}}", "depends on itself"},
		"conditions":      {"f.yaml", "Conditions: {A: !Not [Condition: A]}\nResources: {P: {Type: AWS::CodePipeline::Pipeline, Condition: A}}", "depends on itself"},
	} {
		_, findings, err := Validate(c.file, strings.NewReader(c.text), Origin{Account: "000000000000", Region: "us-east-1"})
		if err != nil || len(findings) == 0 || findings[0].Severity != SeverityError || !strings.Contains(findings[0].Message, c.want) {
			t.Errorf("%s: %.300v, %v", name, findings, err)
		}
	}
}
