package pipeline

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// S-52, S-53, C-30: bounds, required keys and pipeline types of every built-in type.
// S-327..S-337: their time-outs.
func TestBuiltinTypes(t *testing.T) {
	t.Parallel()
	const hour = time.Hour
	want := []struct {
		id                       string
		inMin, inMax, oMin, oMax int
		v2                       bool
		timeout                  time.Duration
		required                 string
	}{
		{"AWS/Approval/Manual", 0, 0, 0, 0, false, 7 * day, ""},
		{"AWS/Build/CodeBuild", 1, 5, 0, 5, false, 36 * hour, "ProjectName"},
		{"AWS/Build/Commands", 1, 10, 0, 1, true, 55 * time.Minute, ""},
		{"AWS/Build/ECRBuildAndPublish", 1, 1, 0, 0, true, hour, "ECRRepositoryName"},
		{"AWS/Compute/Commands", 1, 10, 0, 1, true, 55 * time.Minute, ""},
		{"AWS/Deploy/AppConfig", 1, 1, 0, 0, false, hour, "Application Environment ConfigurationProfile InputArtifactConfigurationPath"},
		{"AWS/Deploy/CloudFormation", 0, 10, 0, 1, false, 3 * day, "ActionMode StackName"},
		{"AWS/Deploy/CloudFormationStackInstances", 0, 2, 0, 0, false, hour, "StackSetName Regions"},
		{"AWS/Deploy/CloudFormationStackSet", 1, 3, 0, 0, false, hour, "StackSetName TemplatePath"},
		{"AWS/Deploy/CodeDeploy", 1, 1, 0, 0, false, 5 * day, "ApplicationName DeploymentGroupName"},
		{"AWS/Deploy/CodeDeployToECS", 1, 5, 0, 0, false, 5 * day, "ApplicationName DeploymentGroupName TaskDefinitionTemplateArtifact AppSpecTemplateArtifact"},
		{"AWS/Deploy/EC2", 1, 1, 0, 0, true, hour, "InstanceTagKey InstanceType"},
		{"AWS/Deploy/ECS", 1, 1, 0, 0, false, hour, "ClusterName ServiceName"},
		{"AWS/Deploy/EKS", 1, 1, 0, 0, true, hour, "ClusterName"},
		{"AWS/Deploy/ElasticBeanstalk", 1, 1, 0, 0, false, hour, "ApplicationName EnvironmentName"},
		{"AWS/Deploy/Lambda", 0, 1, 0, 0, false, hour, "FunctionName"},
		{"AWS/Deploy/OpsWorks", 1, 1, 0, 0, false, hour, "Stack App"},
		{"AWS/Deploy/S3", 1, 1, 0, 0, false, 90 * time.Minute, "BucketName Extract"},
		{"AWS/Deploy/ServiceCatalog", 1, 1, 0, 0, false, hour, "ProductId"},
		{"AWS/Invoke/CodePipeline", 0, 0, 0, 0, true, hour, "PipelineName"},
		{"AWS/Invoke/InspectorScan", 0, 1, 1, 1, false, hour, "InspectorRunMode"},
		{"AWS/Invoke/Lambda", 0, 5, 0, 5, false, day, "FunctionName"},
		{"AWS/Invoke/StepFunctions", 0, 1, 0, 1, false, 7 * day, "StateMachineArn"},
		{"AWS/Source/CodeCommit", 0, 0, 1, 1, false, hour, "RepositoryName BranchName"},
		{"AWS/Source/CodeStarSourceConnection", 0, 0, 1, 1, false, hour, "ConnectionArn FullRepositoryId BranchName"},
		{"AWS/Source/ECR", 0, 0, 1, 1, false, hour, "RepositoryName"},
		{"AWS/Source/S3", 0, 0, 1, 1, false, hour, "S3Bucket S3ObjectKey"},
		{"AWS/Test/CodeBuild", 1, 5, 0, 5, false, 8 * hour, "ProjectName"},
		{"AWS/Test/DeviceFarm", 1, 1, 0, 0, false, hour, "AppType ProjectId DevicePoolArn TestType"},
		{"ThirdParty/Deploy/AlexaSkillsKit", 1, 2, 0, 0, false, hour, "ClientId ClientSecret RefreshToken SkillId"},
		{"ThirdParty/Invoke/Snyk", 1, 1, 1, 1, false, hour, ""},
		{"ThirdParty/Source/GitHub", 0, 0, 1, 1, false, hour, "Owner Repo Branch OAuthToken"},
	}
	types := BuiltinTypes()
	if len(types) != len(want) {
		t.Fatalf("%d types, want %d", len(types), len(want))
	}
	for i, w := range want {
		typ := types[i]
		if id := typ.ID.Owner + "/" + typ.ID.Category + "/" + typ.ID.Provider; id != w.id || typ.ID.Version != "1" {
			t.Errorf("type %d is %s version %s, want %s version 1", i, id, typ.ID.Version, w.id)
			continue
		}
		if (typ.Inputs != Bounds{w.inMin, w.inMax}) || (typ.Outputs != Bounds{w.oMin, w.oMax}) {
			t.Errorf("S-52: %s takes %v, gives %v", w.id, typ.Inputs, typ.Outputs)
		}
		if typ.V2Only != w.v2 {
			t.Errorf("S-17: %s is V2 only: %v", w.id, typ.V2Only)
		}
		if typ.Timeout != w.timeout {
			t.Errorf("%s times out after %v, want %v", w.id, typ.Timeout, w.timeout)
		}
		var required []string
		for _, p := range typ.Properties {
			if p.Required {
				required = append(required, p.Name)
			}
		}
		wantKeys := strings.Fields(w.required)
		slices.Sort(required)
		slices.Sort(wantKeys)
		if !slices.Equal(required, wantKeys) {
			t.Errorf("S-53, C-30: %s requires %v, want %v", w.id, required, wantKeys)
		}
	}
}

// S-298, S-36: what is listed keeps to the model, whoever declared it.
func TestBuiltinPropertiesFitTheModel(t *testing.T) {
	t.Parallel()
	check := func(owner string, properties []Property) {
		seen := map[string]bool{}
		for _, p := range properties {
			name := owner + "." + p.Name
			if n := utf8.RuneCountInString(p.Description); n < 1 || n > 160 {
				t.Errorf("%s: description of %d characters", name, n)
			}
			if n := len(p.Name); n < 1 || n > 50 || seen[p.Name] {
				t.Errorf("%s: bad or doubled name", name)
			}
			seen[p.Name] = true
			if !slices.Contains([]string{PropertyString, PropertyNumber, PropertyBoolean}, p.Type) {
				t.Errorf("%s: type %q", name, p.Type)
			}
		}
	}
	for _, typ := range BuiltinTypes() {
		check(typ.ID.Category+"/"+typ.ID.Provider, typ.Properties)
	}
	for _, r := range BuiltinRuleTypes() {
		check("Rule/"+r.ID.Provider, r.Properties)
	}
}

// P-1, P-2, P-4, P-9, P-10, P-32, P-16, P-26, P-39, P-43 run here; every other type says that it does not.
func TestUnavailableTypes(t *testing.T) {
	t.Parallel()
	runs := map[ActionTypeID]bool{
		aws(CategorySource, "S3"): true, aws(CategorySource, "CodeCommit"): true, aws(CategorySource, connectionProvider): true, aws(CategoryBuild, "CodeBuild"): true,
		aws(CategoryTest, "CodeBuild"): true, aws(CategoryApproval, "Manual"): true, aws(CategoryDeploy, "S3"): true, aws(CategoryDeploy, "CodeDeploy"): true,
		aws(CategoryInvoke, "CodePipeline"): true, aws(CategoryCompute, "Commands"): true, aws(CategoryBuild, "Commands"): true,
	}
	for _, typ := range BuiltinTypes() {
		if runs[typ.ID] != (typ.Unavailable == "") {
			t.Errorf("%v: unavailable %q", typ.ID, typ.Unavailable)
		}
	}
}

// S-38: the secrets of built-in types.
func TestBuiltinSecrets(t *testing.T) {
	t.Parallel()
	var secret []string
	for _, typ := range BuiltinTypes() {
		for _, p := range typ.Properties {
			if p.Secret {
				secret = append(secret, typ.ID.Provider+"."+p.Name)
			}
		}
	}
	want := []string{"AlexaSkillsKit.ClientSecret", "AlexaSkillsKit.RefreshToken", "Snyk.Token", "GitHub.OAuthToken"}
	if !slices.Equal(secret, want) {
		t.Errorf("secrets %v, want %v", secret, want)
	}
}

// S-211..S-217: rule types, their inputs and time-outs.
func TestBuiltinRuleTypes(t *testing.T) {
	t.Parallel()
	var names []string
	for _, r := range BuiltinRuleTypes() {
		names = append(names, r.ID.Provider)
		if want := map[bool]time.Duration{true: 55 * time.Minute, false: time.Hour}[r.ID.Provider == "Commands"]; r.Timeout != want {
			t.Errorf("S-211: %s times out after %v", r.ID.Provider, r.Timeout)
		}
		if (r.ID != RuleTypeID{"Rule", "AWS", r.ID.Provider, "1"}) {
			t.Errorf("id %v", r.ID)
		}
	}
	if want := []string{"CloudWatchAlarm", "CodeBuild", "Commands", "DeploymentWindow", "LambdaInvoke", "VariableCheck"}; !slices.Equal(names, want) {
		t.Errorf("rules %v, want %v", names, want)
	}
}

// A catalogue lets a later description win, and hands out what nobody else can change.
func TestCatalogue(t *testing.T) {
	t.Parallel()
	own := ActionType{ID: aws(CategorySource, "S3"), Timeout: time.Minute}
	c := NewCatalogue(append(BuiltinTypes(), own)...)
	if got, ok := c(own.ID); !ok || got.Timeout != time.Minute {
		t.Errorf("%v %v", got, ok)
	}
	if _, ok := c(ActionTypeID{}); ok {
		t.Error("found a type without an id")
	}
	BuiltinTypes()[0].Properties[0].Name = "changed"
	if BuiltinTypes()[0].Properties[0].Name == "changed" {
		t.Error("the table is shared")
	}
}
