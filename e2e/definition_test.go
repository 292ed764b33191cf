package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iam"
)

// sound is a definition that is taken as it stands; each case breaks it in one place.
const sound = `{
  "name": "release", "roleArn": "arn:aws:iam::000000000000:role/release", "pipelineType": "V2",
  "artifactStore": {"type": "S3", "location": "artifacts"},
  "variables": [{"name": "color", "defaultValue": "red"}],
  "stages": [
    {"name": "Source", "actions": [
      {"name": "Object", "namespace": "object", "actionTypeId": {"category": "Source", "owner": "AWS", "provider": "S3", "version": "1"},
       "configuration": {"S3Bucket": "sources", "S3ObjectKey": "a.zip"}, "outputArtifacts": [{"name": "Tree"}]},
      {"name": "Git", "actionTypeId": {"category": "Source", "owner": "AWS", "provider": "CodeStarSourceConnection", "version": "1"},
       "configuration": {"ConnectionArn": "arn:aws:codeconnections:us-east-1:000000000000:connection/x", "FullRepositoryId": "team/app", "BranchName": "main"},
       "outputArtifacts": [{"name": "Other"}]}]},
    {"name": "Build", "actions": [
      {"name": "Compile", "namespace": "build", "actionTypeId": {"category": "Build", "owner": "AWS", "provider": "CodeBuild", "version": "1"},
       "configuration": {"ProjectName": "app"}, "inputArtifacts": [{"name": "Tree"}], "outputArtifacts": [{"name": "Binary"}]},
      {"name": "Check", "runOrder": 2, "actionTypeId": {"category": "Test", "owner": "AWS", "provider": "CodeBuild", "version": "1"},
       "configuration": {"ProjectName": "check"}, "inputArtifacts": [{"name": "Binary"}]}]},
    {"name": "Deploy", "actions": [
      {"name": "Approve", "actionTypeId": {"category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1"},
       "configuration": {"CustomData": "#{variables.color} #{build.VERSION}"}},
      {"name": "Publish", "runOrder": 2, "actionTypeId": {"category": "Deploy", "owner": "AWS", "provider": "S3", "version": "1"},
       "configuration": {"BucketName": "artifacts", "Extract": "true"}, "inputArtifacts": [{"name": "Binary"}]}]}
  ]
}`

// tree is a definition on its way to the wire.
type tree map[string]any

func soundTree(t *testing.T) tree {
	t.Helper()
	var d tree
	if err := json.Unmarshal([]byte(sound), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d tree) list(name string) []any { return d[name].([]any) }

func (d tree) stage(i int) tree { return d.list("stages")[i].(map[string]any) }

// action finds an action by its name.
func (d tree) action(name string) tree {
	for i := range d.list("stages") {
		for _, a := range d.stage(i).list("actions") {
			if a.(map[string]any)["name"] == name {
				return a.(map[string]any)
			}
		}
	}
	panic("no action " + name)
}

func (d tree) typed(name, key, value string) {
	d.action(name)["actionTypeId"].(map[string]any)[key] = value
}

func (d tree) set(name, key, value string) {
	d.action(name)["configuration"].(map[string]any)[key] = value
}

// condition is an entry or success condition of one rule.
func condition(result string) tree {
	return tree{"conditions": []any{tree{"result": result, "rules": []any{tree{
		"name": "r", "ruleTypeId": tree{"category": "Rule", "provider": "VariableCheck"},
		"configuration": tree{"Variable": "#{object.ETag}", "Value": "x", "Operator": "NE"}}}}}}
}

// v1 takes away what only V2 has.
func (d tree) v1() tree {
	d["pipelineType"] = "V1"
	delete(d, "variables")
	d.set("Approve", "CustomData", "x")
	return d
}

const (
	structure = "InvalidStructureException"
	stage     = "InvalidStageDeclarationException"
	declared  = "InvalidActionDeclarationException"
	value     = "ValidationException"

	oneError   = "1 validation error detected: Value at 'pipeline."
	notThere   = "Valid format for a pipeline execution variable reference is a namespace and a key separated by a period (.). The following pipeline execution variables are referencing a namespace that does not exist.\n"
	inApproval = "StageName=[Deploy], ActionName=[Approve], ActionConfigurationKey=[CustomData], VariableReferenceText="
)

// definitions are what the structure rules refuse, over the wire (S-8 to S-57; M-1 to M-29).
var definitions = []struct {
	name       string
	edit       func(tree)
	code, text string
}{
	{"M-1 S-8 role that is not there", func(d tree) { d["roleArn"] = "arn:aws:iam::000000000000:role/nobody" }, structure,
		"CodePipeline is not authorized to perform AssumeRole on role arn:aws:iam::000000000000:role/nobody"},
	{"M-1 S-8 role of another service", func(d tree) { d["roleArn"] = "arn:aws:iam::000000000000:role/other" }, structure,
		"CodePipeline is not authorized to perform AssumeRole on role arn:aws:iam::000000000000:role/other"},
	{"M-1b S-40 action role", func(d tree) { d.action("Publish")["roleArn"] = "arn:aws:iam::000000000000:role/nobody" }, structure,
		"arn:aws:iam::000000000000:role/release is not authorized to perform AssumeRole on role arn:aws:iam::000000000000:role/nobody"},
	{"M-2 S-10 more Regions", func(d tree) { d.action("Publish")["region"] = "eu-west-1" }, value,
		"Your pipeline contains actions in more than one region. Use 'pipeline.artifactStores' instead of 'pipeline.artifactStore' to declare an artifact store, such as an artifact bucket, for each region where you have an action."},
	{"M-3 S-10 Region without a store", func(d tree) {
		d["artifactStores"] = tree{"us-east-1": d["artifactStore"]}
		delete(d, "artifactStore")
		d.action("Publish")["region"] = "eu-west-1"
	}, value, "Your pipeline must have an artifact store, such as an artifact bucket, for each region where you have an action. The following region is missing in 'pipeline.artifactStores': eu-west-1."},
	{"S-9 both stores", func(d tree) { d["artifactStores"] = tree{"us-east-1": d["artifactStore"]} }, structure,
		"Pipeline declares both 'artifactStore' and 'artifactStores'. Declare exactly one of them"},
	{"M-4 S-13 one stage", func(d tree) { d["stages"] = d.list("stages")[:1] }, structure,
		"Pipeline has only 1 stage(s). There should be a minimum of 2 stages in a pipeline"},
	{"M-4 S-13 no stage", func(d tree) { d["stages"] = []any{} }, structure,
		"Pipeline has only 0 stage(s). There should be a minimum of 2 stages in a pipeline"},
	{"M-5 S-13 too many stages", func(d tree) {
		for i := range 48 {
			d["stages"] = append(d.list("stages"), tree{"name": fmt.Sprint("More", i), "actions": []any{d.action("Approve")}})
		}
	}, structure, "Pipeline has too many stages. There can only be up to 50 stages in a pipeline"},
	{"M-6 S-15 QUEUED on V1", func(d tree) { d.v1()["executionMode"] = "QUEUED" }, structure, "QUEUED or PARALLEL mode can only be used with V2 pipelines"},
	{"M-6 S-15 PARALLEL on V1", func(d tree) { d.v1()["executionMode"] = "PARALLEL" }, structure, "QUEUED or PARALLEL mode can only be used with V2 pipelines"},
	{"M-7 S-17 variables on V1", func(d tree) { d["pipelineType"] = "V1" }, structure, "Pipeline variable can only be used with V2 pipelines"},
	{"M-7 S-17 triggers on V1", func(d tree) { d.v1()["triggers"] = triggers("Git") }, structure, "Triggers on tag can only be used with V2 pipelines"},
	{"M-8 S-29 condition on V1", func(d tree) { d.v1().stage(1)["beforeEntry"] = condition("FAIL") }, stage, "Stage level conditions can only be used with V2 pipelines."},
	{"M-9 S-17 provider on V1", func(d tree) { commands(d.v1(), "make") }, declared, "Commands Action can only be used with V2 pipelines."},
	{"M-10 S-18 variable twice", func(d tree) { d["variables"] = append(d.list("variables"), tree{"name": "color"}) }, structure,
		"Variable names must be unique. The following variable name is already in use: color"},
	{"M-11 S-21 stage twice", func(d tree) { d.stage(2)["name"] = "Build" }, stage, "Stage name 'Build' is used more than once"},
	{"M-12 S-24 approval among the sources", func(d tree) { d.stage(0)["actions"] = append(d.stage(0).list("actions"), d.action("Approve")) }, structure,
		"Pipeline should start with a stage that only contains source actions"},
	{"M-13 S-25 source in a later stage", func(d tree) { d.stage(2)["actions"] = append(d.stage(2).list("actions"), d.action("Git")) }, structure,
		"Source actions can only be included in the first stage of the pipeline"},
	{"M-14 S-26 nothing but sources", func(d tree) { d.stage(1)["actions"], d.stage(2)["actions"] = []any{}, []any{} }, structure,
		"Pipeline should contain at least 1 action whose category is not Source"},
	{"M-15 S-30 result and conditions", func(d tree) {
		c := condition("ROLLBACK")
		c["result"] = "RETRY"
		d.stage(1)["onFailure"] = c
	}, stage, "The following stage cannot have a failure exit gate configured with both top level result and conditions: 'Build'"},
	{"M-16 S-31 rollback in PARALLEL mode", func(d tree) {
		d["executionMode"] = "PARALLEL"
		d.stage(1)["onFailure"] = tree{"result": "ROLLBACK"}
	}, stage, "Failure conditions with rollback result type cannot be added to a PARALLEL pipeline."},
	{"M-17 S-34 unknown provider", func(d tree) { d.typed("Publish", "provider", "Moon") }, declared,
		"ActionType (Category: 'Deploy', Provider: 'Moon', Owner: 'AWS', Version: '1') in action 'Publish' is not available in region 'US_EAST_1'"},
	{"M-18 S-35 run order 0", func(d tree) { d.action("Compile")["runOrder"] = 0 }, value,
		oneError + "stages.2.member.actions.1.member.runOrder' failed to satisfy constraint: Member must have value greater than or equal to 1"},
	{"M-18 S-35 run order 1000", func(d tree) { d.action("Check")["runOrder"] = 1000 }, value,
		oneError + "stages.2.member.actions.2.member.runOrder' failed to satisfy constraint: Member must have value less than or equal to 999"},
	{"M-18 W-24 empty value", func(d tree) { d.set("Object", "PollForSourceChanges", "") }, value,
		oneError + "stages.1.member.actions.1.member.configuration' failed to satisfy constraint: Map value must satisfy constraint: [Member must have length less than or equal to 50000, Member must have length greater than or equal to 1]"},
	{"M-18 S-7 name", func(d tree) { d["name"] = "../release" }, value,
		oneError + "name' failed to satisfy constraint: Member must satisfy regular expression pattern: [A-Za-z0-9.@\\-_]+"},
	{"M-19 S-36 missing key", func(d tree) { delete(d.action("Object")["configuration"].(map[string]any), "S3Bucket") }, declared,
		"Action configuration for action 'Object' is missing required configuration 'S3Bucket'"},
	{"M-19 S-36 unknown key", func(d tree) { d.set("Object", "s3bucket", "x") }, declared,
		"Action configuration for action 'Object' contains unknown configuration 's3bucket'. Did you mean 'S3Bucket'? The configuration of S3 is: S3Bucket, S3ObjectKey, AllowOverrideForS3ObjectKey, PollForSourceChanges"},
	{"M-20 S-43 no commands", func(d tree) { commands(d) }, declared, "Action Check must have a non-empty commands field"},
	{"M-21 S-48 output twice", func(d tree) { d.action("Git")["outputArtifacts"] = []any{tree{"name": "Tree"}} }, declared,
		"Output Artifact Bundle name must be unique within the pipeline. Tree has been used more than once."},
	{"M-22 S-49 input of nobody", func(d tree) { d.action("Publish")["inputArtifacts"] = []any{tree{"name": "Nothing"}} }, declared,
		"Input Artifact Bundle Nothing in action Publish is not declared as Output Artifact Bundle in any of the preceding actions"},
	{"M-22 S-49 input of the same group", func(d tree) { d.action("Check")["runOrder"] = 1 }, declared,
		"Input Artifact Bundle Binary in action Check is not declared as Output Artifact Bundle in any of the preceding actions"},
	{"M-23 S-51 too few inputs", func(d tree) { delete(d.action("Publish"), "inputArtifacts") }, declared,
		"Action Publish declares 0 input artifacts which is less than the minimum count (1)"},
	{"M-23 S-51 too many outputs", func(d tree) { d.action("Approve")["outputArtifacts"] = []any{tree{"name": "A"}} }, declared,
		"Action Approve declares 1 output artifacts which is more than the maximum count (0)"},
	{"M-25 S-220 no ARN", func(d tree) { d.set("Approve", "NotificationArn", "approvals") }, declared,
		"The ARN approvals you specified for sending notifications for the approval action Approve contains a format error."},
	{"M-25 S-220 other service", func(d tree) { d.set("Approve", "NotificationArn", "arn:aws:sqs:us-east-1:000000000000:q") }, declared,
		"The ARN arn:aws:sqs:us-east-1:000000000000:q has been specified for sending notifications for the approval action Approve, but the AWS service for this ARN cannot be used to send approval requests."},
	{"M-25 S-220 other Region", func(d tree) { d.set("Approve", "NotificationArn", "arn:aws:sns:eu-west-1:000000000000:a") }, declared,
		"The ARN arn:aws:sns:eu-west-1:000000000000:a has been specified for sending notifications for the approval action Approve, but the ARN is not in the same region as the pipeline."},
	{"M-26 S-255 trigger of another source", func(d tree) { d["triggers"] = triggers("Object") }, structure,
		"Triggers for connections must reference a CodeStarSourceConnection action."},
	{"M-27 S-275 unknown namespace", func(d tree) { d.set("Approve", "CustomData", "#{nobody.X}") }, declared, notThere + inApproval + "[nobody.X]"},
	{"M-28 S-276 variable in a source", func(d tree) { d.set("Object", "S3ObjectKey", "#{variables.color}.zip") }, structure,
		"Variables at the pipeline level cannot be used in source actions.\nStageName=[Source], ActionName=[Object], ActionConfigurationKey=[S3ObjectKey], VariableReferenceText=[variables.color]"},
	{"M-29 S-276 undeclared variable", func(d tree) { d.set("Approve", "CustomData", "#{variables.size}") }, structure,
		"The referenced variables haven't been declared.\n" + inApproval + "[variables.size]"},
}

func triggers(source string) []any {
	return []any{tree{"providerType": "CodeStarSourceConnection", "gitConfiguration": tree{"sourceActionName": source, "push": []any{tree{"tags": tree{"includes": []any{"v*"}}}}}}}
}

// commands turns the test action into one that runs commands.
func commands(d tree, list ...string) {
	a := d.action("Check")
	a["actionTypeId"] = tree{"category": "Compute", "owner": "AWS", "provider": "Commands", "version": "1"}
	delete(a, "configuration")
	if len(list) > 0 {
		a["commands"] = list
	}
}

// S-8 to S-57, W-20: a definition that breaks a rule is refused with the class and the text of
// the service, the connection goes on to serve, and nothing is stored. M-24: what is there
// already is not made again.
func TestBadDefinitions(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	trust := strings.ReplaceAll(readText(t, "../docs/first/trust.json"), "codepipeline.", "lambda.")
	client := iam.NewFromConfig(s.config())
	if _, err := client.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: new("other"), AssumeRolePolicyDocument: &trust}); err != nil {
		t.Fatal(err)
	}
	create := func(w *wire, d tree) answer {
		body, err := json.Marshal(tree{"pipeline": d})
		if err != nil {
			t.Fatal(err)
		}
		return w.send(call{target: "CodePipeline_20150709.CreatePipeline", body: string(body)})
	}
	for _, c := range definitions {
		t.Run(c.name, func(t *testing.T) {
			d, w := soundTree(t), s.wire(t)
			c.edit(d)
			if a := create(w, d); a.status != 400 || a.Code != c.code || a.Message != c.text {
				t.Errorf("got  %d %s: %s\nwant 400 %s: %s", a.status, a.Code, a.Message, c.code, c.text)
			}
			w.usable()
		})
	}
	w := s.wire(t)
	if a := create(w, soundTree(t)); a.status != 200 {
		t.Fatalf("the sound definition: %s", a.body)
	}
	if a := create(w, soundTree(t)); a.Code != "PipelineNameInUseException" || a.Message != "A pipeline with the name 'release' already exists in account '000000000000'" {
		t.Errorf("M-24: %d %s", a.status, a.body)
	}
}
