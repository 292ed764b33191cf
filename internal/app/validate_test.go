package app

import (
	"strings"
	"testing"
)

const definition = `pipeline:
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
		if strings.Count(definition, from) != 1 {
			t.Fatalf("%q is not there once", from)
		}
		return strings.Replace(definition, from, to, 1)
	}
	for name, c := range map[string]struct {
		file, text, code string
		line             int
	}{
		"good":                 {"f.yaml", definition, "", 0},
		"good, bare":           {"f.yml", strings.ReplaceAll(strings.TrimPrefix(definition, "pipeline:\n"), "\n  ", "\n")[2:], "", 0},
		"custom types":         {"f.yaml", edit("owner: AWS, provider: Manual", "owner: Custom, provider: Mine"), "", 0},
		"W-22 a bad name":      {"f.yaml", edit("name: Look", "name: L ook"), "ValidationException", 17},
		"W-21 a missing role":  {"f.yaml", edit("  roleArn: arn:aws:iam::000000000000:role/r\n", ""), "ValidationException", 2},
		"S-29 conditions":      {"f.yaml", definition + gates, "", 0},
		"S-205 a wrong result": {"f.yaml", definition + strings.Replace(gates, "FAIL", "SKIP", 1), "InvalidStageDeclarationException", 15},
		"S-36 an unknown key":  {"f.yaml", edit("S3ObjectKey: key", "S3ObjectKey: key\n            Nonsense: x"), "InvalidActionDeclarationException", 13},
		"S-23 one stage":       {"f.yaml", definition[:strings.Index(definition, "    - name: Approval")], "InvalidStructureException", 2},
		"no type of AWS":       {"f.yaml", edit("provider: S3", "provider: S33"), "InvalidActionDeclarationException", 9},
		"no YAML":              {"f.yaml", "a: [", "SerializationException", 0},
		"a list":               {"f.yaml", "- a", "SerializationException", 1},
		"no JSON":              {"f.json", "{\n\"a\": x}", "SerializationException", 2},
		"JSON by its look":     {"-", "{\"name\": \"p\"}", "ValidationException", 1},
		"a number for a text":  {"f.yaml", edit("S3Bucket: bucket", "S3Bucket: 7"), "SerializationException", 0},
		"S-49 an unknown name": {"f.yaml", definition + "          inputArtifacts: [{name: nowhere}]\n", "InvalidActionDeclarationException", 17},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := Validate(c.file, strings.NewReader(c.text), "000000000000", "us-east-1")
			if err != nil {
				t.Fatal(err)
			}
			if c.code == "" {
				if f != nil {
					t.Fatalf("refused: %+v", *f)
				}
				return
			}
			if f == nil || f.Code != c.code || f.Line != c.line && c.line != 0 || f.Message == "" {
				t.Fatalf("got %+v, want %s at line %d", f, c.code, c.line)
			}
		})
	}
}

func TestValidateIsBounded(t *testing.T) {
	t.Parallel()
	f, err := Validate("f.json", strings.NewReader("{"+strings.Repeat(" ", 3<<20)), "000000000000", "us-east-1")
	if err != nil || f == nil || f.Code != "RequestEntityTooLargeException" {
		t.Errorf("%+v, %v", f, err)
	}
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		p := string(c - 1)
		bomb += string(c) + ": &" + string(c) + " [" + strings.TrimSuffix(strings.Repeat("*"+p+",", 9), ",") + "]\n"
	}
	if f, err := Validate("f.yaml", strings.NewReader(bomb), "000000000000", "us-east-1"); err != nil || f == nil {
		t.Errorf("%+v, %v", f, err)
	}
}
