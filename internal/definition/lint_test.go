package definition_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"penstock/internal/definition"
	"penstock/internal/pipeline"
)

const sound = `{"name":"p","roleArn":"arn:aws:iam::000000000000:role/r","pipelineType":"V2","artifactStore":{"type":"S3","location":"bucket"},
"variables":[{"name":"Env"}],
"stages":[
{"name":"Source","actions":[{"name":"Object","actionTypeId":{"category":"Source","owner":"AWS","provider":"S3","version":"1"},
"configuration":{"S3Bucket":"in","S3ObjectKey":"k"},
"outputArtifacts":[{"name":"src"}]}]},
{"name":"Build","actions":[{"name":"Run","actionTypeId":{"category":"Compute","owner":"AWS","provider":"Commands","version":"1"},"namespace":"run",
"commands":["make #{variables.Env}"],"outputVariables":["V"],
"environmentVariables":[{"name":"MODE","value":"fast"}],
"inputArtifacts":[{"name":"src"}]}]},
{"name":"Deploy","actions":[{"name":"Ask","actionTypeId":{"category":"Approval","owner":"AWS","provider":"Manual","version":"1"},
"configuration":{"CustomData":"#{run.V}"}},
{"name":"Call","actionTypeId":{"category":"Invoke","owner":"AWS","provider":"Lambda","version":"1"},"runOrder":2,
"configuration":{"FunctionName":"f"}}]}]}`

func TestLint(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		from, to string
		want     []string
	}{
		"nothing":             {"", "", nil},
		"unused artifact":     {`"inputArtifacts":[{"name":"src"}]`, `"runOrder":1`, []string{"6:28 unused-artifact"}},
		"approval last":       {`"runOrder":2`, `"runOrder":1`, []string{"11:37 approval-last"}},
		"unused variable":     {`make #{variables.Env}`, `make`, []string{"2:22 unused-variable"}},
		"unknown variable":    {`#{run.V}`, `#{run.W}`, []string{"12:31 unknown-variable"}},
		"pipeline type":       {`"pipelineType":"V2",`, ``, []string{"1:9 pipeline-type"}},
		"unknown member":      {`"runOrder":2`, `"runOrder":2,"runorder":2`, []string{"13:114 unknown-member"}},
		"metadata is known":   {`{"name":"p"`, `{"metadata":{},"name":"p"`, nil},
		"cross account":       {`"FunctionName":"f"`, `"FunctionName":"arn:aws:lambda:us-east-1:111122223333:function:f"`, []string{"14:33 cross-account"}},
		"same account":        {`"FunctionName":"f"`, `"FunctionName":"arn:aws:lambda:us-east-1:000000000000:function:f"`, nil},
		"secret in variable":  {`"name":"MODE","value":"fast"`, `"name":"DB_PASSWORD","value":"fast"`, []string{"9:55 plain-secret"}},
		"secret by its look":  {`"name":"MODE","value":"fast"`, `"name":"MODE","value":"AKIAIOSFODNN7EXAMPLE"`, []string{"9:48 plain-secret"}},
		"secret kept apart":   {`"name":"MODE","value":"fast"`, `"name":"DB_PASSWORD","value":"name","type":"SECRETS_MANAGER"`, nil},
		"secret in CodeBuild": {`"FunctionName":"f"`, `"FunctionName":"f","EnvironmentVariables":"[{\"name\":\"API_KEY\",\"value\":\"x\"},{\"name\":\"TOKEN\",\"value\":\"x\",\"type\":\"PARAMETER_STORE\"}]"`, []string{"14:60 plain-secret"}},
		"secret in a mask":    {`"FunctionName":"f"`, `"FunctionName":"f","AuthToken":"****"`, nil},
		"secret of a type":    {`"category":"Source","owner":"AWS","provider":"S3"`, `"category":"Source","owner":"ThirdParty","provider":"GitHub"`, nil},
		"secret configured":   {`"S3ObjectKey":"k"`, `"OAuthToken":"abc"`, []string{"5:47 plain-secret"}},
	} {
		text := sound
		if c.from != "" {
			if strings.Count(text, c.from) != 1 {
				t.Fatalf("%s: %q is not there once", name, c.from)
			}
			text = strings.Replace(text, c.from, c.to, 1)
		}
		set, bad := definition.Read("f.json", []byte(text), inputs)
		if len(bad) > 0 {
			t.Fatal(bad)
		}
		var got []string
		for _, w := range definition.Lint(set.Pipelines[0], "000000000000", pipeline.NewCatalogue(pipeline.BuiltinTypes()...)) {
			got = append(got, fmt.Sprintf("%d:%d %s", w.Line, w.Column, w.Rule))
			if strings.Contains(w.Message, "AKIA") || strings.Contains(w.Message, "abc") {
				t.Errorf("%s: the secret is told: %s", name, w.Message)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// C-23: what CloudFormation takes and the API does not, and the reverse.
func TestTemplateShapes(t *testing.T) {
	t.Parallel()
	const head = "Resources:\n  P:\n    Type: AWS::CodePipeline::Pipeline\n    Properties:\n      "
	for in, want := range map[string]string{
		"Name: n\n      RestartExecutionOnUpdate: true": `{"name":"n"}`,
		"PipelineType: V2": `{"name":"p","pipelineType":"V2"}`,
		"ArtifactStores: [{Region: eu-west-1, ArtifactStore: {Type: S3, Location: b}}]":                 `{"name":"p","artifactStores":{"eu-west-1":{"type":"S3","location":"b"}}}`,
		`Stages: [{Name: S, Actions: [{Name: A, RunOrder: "2", Configuration: {N: 1, B: true}}]}]`:      `{"name":"p","stages":[{"name":"S","actions":[{"name":"A","runOrder":2,"configuration":{"N":"1","B":"true"}}]}]}`,
		"Stages: [{Name: S, OnFailure: {Result: RETRY, RetryConfiguration: {RetryMode: ALL_ACTIONS}}}]": `{"name":"p","stages":[{"name":"S","onFailure":{"result":"RETRY","retryConfiguration":{"retryMode":"ALL_ACTIONS"}}}]}`,
		"Stagess: []":                          "5:7 Resources.P.Properties: CloudFormation knows no property Stagess here",
		"Version: 1":                           "5:7 Resources.P.Properties: CloudFormation knows no property Version here",
		"Stages: [{Actions: [{runOrder: 1}]}]": "5:28 Resources.P.Properties.Stages.Actions: CloudFormation knows no property runOrder here",
		"Stages: x":                            "5:15 Resources.P.Properties.Stages: it must be a list",
		"Stages: [{Actions: [{Configuration: {A: [b]}}]}]": "5:47 Resources.P.Properties.Stages.Actions.Configuration.A: it must be a text",
		"ArtifactStores: [{Region: r}]":                    "5:24 Resources.P.Properties.ArtifactStores: an element has exactly a Region and an ArtifactStore",
		"DisableInboundStageTransitions: [{A: b}]":         "5:40 Resources.P.Properties.DisableInboundStageTransitions: an element has a StageName and a Reason",
	} {
		set, bad := definition.Read("t.yaml", []byte(head+in+"\n"), inputs)
		got := ""
		if len(bad) > 0 {
			got = fmt.Sprintf("%d:%d %s", bad[0].Line, bad[0].Column, bad[0].Message)
		} else {
			text, err := set.Pipelines[0].Declaration.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			got = string(text)
			if set.Pipelines[0].Restart != strings.Contains(in, "Restart") {
				t.Error("RestartExecutionOnUpdate is lost")
			}
		}
		if got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", in, got, want)
		}
	}
}
