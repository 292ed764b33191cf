package api_test

import (
	"fmt"
	"strings"
	"testing"

	"penstock/internal/api/codebuild"
	"penstock/internal/api/codepipeline"
	"penstock/internal/fault"
)

func f(format string, args ...any) string { return fmt.Sprintf(format, args...) }

func codebuildPercent(x float64) []byte {
	return codebuild.Shapes.Marshal(nil, &codebuild.CodeCoverage{LineCoveragePercentage: &x})
}

// The grammar of W-21 to W-24 and M-18, each row one input below a valid pipeline.
func TestConstraints(t *testing.T) {
	t.Parallel()
	const actionType = `"actionTypeId":{"category":"Build","owner":"AWS","provider":"P","version":"1"}`
	in := func(stage, rest string) string {
		return `{"pipeline":{"name":"p","roleArn":"arn:aws:iam::000000000000:role/r","stages":[{"name":"Source","actions":[]},` + stage + `]` + rest + `}}`
	}
	action := func(rest string) string {
		return in(`{"name":"Build","actions":[{"name":"A",`+actionType+rest+`}]}`, "")
	}
	const at = "pipeline.stages.2.member.actions.1.member."
	one := func(path, phrase string) string {
		return "1 validation error detected: Value at '" + path + "' failed to satisfy constraint: " + phrase
	}
	for name, c := range map[string]struct{ text, want string }{
		"valid":                         {action(`,"runOrder":999`), ""},
		"M-18 number below":             {action(`,"runOrder":0`), one(at+"runOrder", "Member must have value greater than or equal to 1")},
		"W-23 number above":             {action(`,"runOrder":1000`), one(at+"runOrder", "Member must have value less than or equal to 999")},
		"W-23 string too short":         {action(`,"namespace":""`), "2 validation errors detected: Value at '" + at + "namespace' failed to satisfy constraint: Member must have length greater than or equal to 1; Value at '" + at + "namespace' failed to satisfy constraint: Member must satisfy regular expression pattern: [A-Za-z0-9@\\-_]+"},
		"W-23 string too long":          {in(`{"name":"`+strings.Repeat("a", 101)+`","actions":[]}`, ""), one("pipeline.stages.2.member.name", "Member must have length less than or equal to 100")},
		"W-23 length is in characters":  {action(`,"configuration":{"k":"` + strings.Repeat("é", 50000) + `"}`), ""},
		"W-23 pattern":                  {in(`{"name":"a b","actions":[]}`, ""), one("pipeline.stages.2.member.name", `Member must satisfy regular expression pattern: [A-Za-z0-9.@\-_]+`)},
		"W-23 pattern is a full match":  {in(`{"name":"a\n","actions":[]}`, ""), one("pipeline.stages.2.member.name", `Member must satisfy regular expression pattern: [A-Za-z0-9.@\-_]+`)},
		"W-22 W-23 enum":                {in(`{"name":"B","actions":[]}`, `,"artifactStore":{"type":"S3","location":"bkt","encryptionKey":{"id":"k","type":"X"}}`), one("pipeline.artifactStore.encryptionKey.type", "Member must satisfy enum value set: [KMS]")},
		"W-23 W-24 map value too short": {action(`,"configuration":{"k":"","l":"v","m":""}`), one(at+"configuration", "Map value must satisfy constraint: [Member must have length less than or equal to 50000, Member must have length greater than or equal to 1]")},
		"W-24 map value too long":       {action(`,"configuration":{"k":"` + strings.Repeat("a", 50001) + `"}`), one(at+"configuration", "Map value must satisfy constraint: [Member must have length less than or equal to 50000, Member must have length greater than or equal to 1]")},
		"W-23 map key":                  {action(`,"configuration":{"":"v"}`), one(at+"configuration", "Map keys must satisfy constraint: [Member must have length less than or equal to 50, Member must have length greater than or equal to 1]")},
		"W-23 list of scalars":          {action(`,"commands":["ls",""]`), one(at+"commands", "Member must satisfy constraint: [Member must have length less than or equal to 1000, Member must have length greater than or equal to 1]")},
		"W-23 list length":              {action(`,"environmentVariables":[]`), one(at+"environmentVariables", "Member must have length greater than or equal to 1")},
		"W-21 required":                 {in(`{"actions":[]}`, ""), "1 validation error detected: Value null at 'pipeline.stages.2.member.name' failed to satisfy constraint: Member must not be null"},
		"W-6 W-21 required but null":    {`{"pipeline":null}`, "1 validation error detected: Value null at 'pipeline' failed to satisfy constraint: Member must not be null"},
		"W-22 value of a map":           {in(`{"name":"B","actions":[]}`, `,"artifactStores":{"us-east-1":{"type":"S3","location":"x"}}`), one("pipeline.artifactStores.us-east-1.member.location", "Member must have length greater than or equal to 3")},
		"W-21 all of them": {in(`{"actions":[{"runOrder":0,`+actionType+`}]}`, ""), "3 validation errors detected: " +
			"Value at '" + at + "runOrder' failed to satisfy constraint: Member must have value greater than or equal to 1; " +
			"Value null at '" + at + "name' failed to satisfy constraint: Member must not be null; " +
			"Value null at 'pipeline.stages.2.member.name' failed to satisfy constraint: Member must not be null"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := codepipeline.Shapes.Unmarshal([]byte(c.text), new(codepipeline.CreatePipelineInput))
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || err.Error() != "ValidationException: "+c.want {
				t.Errorf("got  %v\nwant ValidationException: %s", err, c.want)
			}
		})
	}
}

// W-4 before W-21: a wrong form is told alone, whatever else is wrong.
func TestFormBeforeConstraints(t *testing.T) {
	t.Parallel()
	err := codepipeline.Shapes.Unmarshal([]byte(`{"pipeline":{"name":"","version":"x"}}`), new(codepipeline.CreatePipelineInput))
	if fault.Code(err) != "SerializationException" {
		t.Error(err)
	}
}

func TestViolationsAreCountedButNotAllSpelled(t *testing.T) {
	t.Parallel()
	text := `{"pipeline":{"name":"p","roleArn":"arn:aws:iam::000000000000:role/r","stages":[` + strings.Repeat("{},", 9999) + "{}]}}"
	err := codepipeline.Shapes.Unmarshal([]byte(text), new(codepipeline.CreatePipelineInput))
	if err == nil || !strings.Contains(err.Error(), "20000 validation errors detected: ") || len(err.Error()) > 20_000 {
		t.Errorf("%.200v", err)
	}
	// Of a repeated member the last counts, however much was wrong with the first.
	in := new(codepipeline.CreatePipelineInput)
	text = strings.Replace(text, "]}}", `],"stages":[]}}`, 1)
	if err := codepipeline.Shapes.Unmarshal([]byte(text), in); err != nil || len(in.Pipeline.Stages) > 0 {
		t.Errorf("%.200v", err)
	}
	text = strings.Replace(text, `"stages":[]`, `"stages":[{"name":"A"}]`, 1)
	if err := codepipeline.Shapes.Unmarshal([]byte(text), in); err == nil || !strings.Contains(err.Error(), ": 1 validation error detected: Value null at 'pipeline.stages.1.member.actions' ") {
		t.Errorf("%.200v", err)
	}
}
