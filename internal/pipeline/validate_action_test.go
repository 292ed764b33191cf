package pipeline

import (
	"strings"
	"testing"
)

func TestActions(t *testing.T) {
	t.Parallel()
	runRefusals(t, []refusal{
		{"S-34 M-17 unknown type", func(d *Declaration, _ *Env) { action(d, "Publish").ActionTypeID.Provider = "Moon" }, invalidAction,
			"ActionType (Category: 'Deploy', Provider: 'Moon', Owner: 'AWS', Version: '1') in action 'Publish' is not available in region 'US_EAST_1'"},
		{"S-34 M-17 provider under another category", func(d *Declaration, _ *Env) { action(d, "Publish").ActionTypeID.Category = CategoryTest }, invalidAction,
			"ActionType (Category: 'Test', Provider: 'S3', Owner: 'AWS', Version: '1') in action 'Publish' is not available in region 'US_EAST_1'"},
		{"S-34 M-17 version", func(d *Declaration, _ *Env) { action(d, "Publish").ActionTypeID.Version = "2" }, invalidAction,
			"ActionType (Category: 'Deploy', Provider: 'S3', Owner: 'AWS', Version: '2') in action 'Publish' is not available in region 'US_EAST_1'"},
		{"S-34 a rule type is no action type", func(d *Declaration, e *Env) {
			known := NewCatalogue(BuiltinTypes()...)
			e.Catalogue = func(id ActionTypeID) (ActionType, bool) {
				if id.Category == CategoryRule {
					return RunnableRule(id.Provider), true
				}
				return known(id)
			}
			action(d, "Publish").ActionTypeID = aws(CategoryRule, "VariableCheck")
		}, invalidAction,
			"ActionType (Category: 'Rule', Provider: 'VariableCheck', Owner: 'AWS', Version: '1') in action 'Publish' is not available in region 'US_EAST_1'"},
		{"S-17 M-9 V2 provider on V1", func(d *Declaration, _ *Env) { commandsAction(d); d.PipelineType, d.Variables = V1, nil }, invalidAction,
			"Commands Action can only be used with V2 pipelines."},
		{"S-17 Q-1 V2 provider infers V2", func(d *Declaration, _ *Env) { commandsAction(d); d.PipelineType, d.Variables = "", nil }, "", ""},
		{"S-35 M-18 run order", func(d *Declaration, _ *Env) { action(d, "Compile").RunOrder = -1 }, invalidValue,
			"1 validation error detected: Value at 'pipeline.stages.2.member.actions.1.member.runOrder' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		{"S-35 M-18 large run order", func(d *Declaration, _ *Env) { action(d, "Check").RunOrder = 1000 }, invalidValue,
			"1 validation error detected: Value at 'pipeline.stages.2.member.actions.2.member.runOrder' failed to satisfy constraint: Member must have value less than or equal to 999"},
		{"S-39 cross-Region source", func(d *Declaration, _ *Env) { twoRegions(d); action(d, "Object").Region = "eu-west-1" }, invalidAction,
			"Action 'Object' cannot run in region 'eu-west-1'. Source, ThirdParty and Custom actions run only in the region of the pipeline, 'us-east-1'"},
		{"S-39 cross-Region build", func(d *Declaration, _ *Env) { twoRegions(d); action(d, "Compile").Region = "eu-west-1" }, "", ""},
		{"S-39 own Region named", func(d *Declaration, _ *Env) { action(d, "Object").Region = region }, "", ""},
		{"S-42 Q-3 time-out of a build", func(d *Declaration, _ *Env) { action(d, "Compile").TimeoutInMinutes = 60 }, invalidAction,
			"Action 'Compile' has timeoutInMinutes, which only manual approval actions can have"},
		{"S-42 short time-out", func(d *Declaration, _ *Env) { action(d, "Approve").TimeoutInMinutes = 4 }, invalidValue,
			"1 validation error detected: Value at 'pipeline.stages.3.member.actions.1.member.timeoutInMinutes' failed to satisfy constraint: Member must have value greater than or equal to 5"},
		{"S-43 M-20 no commands", func(d *Declaration, _ *Env) { commandsAction(d).Commands = nil }, invalidAction,
			"Action Check must have a non-empty commands field"},
		{"S-43 commands", func(d *Declaration, _ *Env) { commandsAction(d) }, "", ""},
		{"S-43 C-30 commands under Build", func(d *Declaration, _ *Env) { commandsAction(d).ActionTypeID.Category = CategoryBuild }, "", ""},
		{"S-43 commands elsewhere", func(d *Declaration, _ *Env) { action(d, "Compile").Commands = []string{"make"} }, invalidAction,
			"Action Compile has commands, which only the provider Commands can have"},
		{"S-43 two lines", func(d *Declaration, _ *Env) { commandsAction(d).Commands = []string{"make", "a\nb"} }, invalidAction,
			"Command 2 of action Check has more than one line. Give each line as a command of its own"},
		{"S-44 output variables", func(d *Declaration, _ *Env) { commandsAction(d).OutputVariables = []string{"VERSION"} }, "", ""},
		{"S-44 output variables elsewhere", func(d *Declaration, _ *Env) { action(d, "Compile").OutputVariables = []string{"VERSION"} }, invalidAction,
			"Action 'Compile' has outputVariables, which only compute actions such as Commands can have"},
		{"S-45 secret variable", func(d *Declaration, _ *Env) {
			commandsAction(d).EnvironmentVariables = []EnvironmentVariable{{"A", "x", "SECRETS_MANAGER"}, {"B", "#{build.V}", ""}}
		}, "", ""},
		{"S-45 variable elsewhere", func(d *Declaration, _ *Env) {
			action(d, "Compile").EnvironmentVariables = []EnvironmentVariable{{"A", "x", ""}}
		}, invalidAction, "Action 'Compile' has environmentVariables, which only compute actions such as Commands can have. CodeBuild actions take the configuration key EnvironmentVariables"},
		{"S-45 type", func(d *Declaration, _ *Env) {
			commandsAction(d).EnvironmentVariables = []EnvironmentVariable{{"A", "x", "PARAMETER_STORE"}}
		}, invalidValue, "1 validation error detected: Value at 'pipeline.stages.2.member.actions.2.member.environmentVariables' failed to satisfy constraint: Member must satisfy enum value set: [PLAINTEXT, SECRETS_MANAGER]"},
		{"S-46 files", func(d *Declaration, _ *Env) {
			commandsAction(d).OutputArtifacts = []OutputArtifact{{Name: "Report", Files: []string{"**/*.xml"}}}
		}, "", ""},
		{"S-46 files elsewhere", func(d *Declaration, _ *Env) { action(d, "Compile").OutputArtifacts[0].Files = []string{"bin"} }, invalidAction,
			"Output artifact 'Binary' of action 'Compile' has files, which only compute actions such as Commands can have"},
		{"Q-30 the first action in declaration order is named", func(d *Declaration, _ *Env) {
			action(d, "Publish").ActionTypeID.Provider = "Moon"
			action(d, "Compile").InputArtifacts = nil
		}, invalidAction, "Action Compile declares 0 input artifacts which is less than the minimum count (1)"},
	})
}

func twoRegions(d *Declaration) {
	d.ArtifactStore, d.ArtifactStores = nil, map[string]ArtifactStore{region: {}, "eu-west-1": {}}
}

func TestArtifacts(t *testing.T) {
	t.Parallel()
	runRefusals(t, []refusal{
		{"S-48 M-21 output twice", func(d *Declaration, _ *Env) { action(d, "Git").OutputArtifacts[0].Name = "Sources" }, invalidAction,
			"Output Artifact Bundle name must be unique within the pipeline. Sources has been used more than once."},
		{"S-49 M-22 unknown input", func(d *Declaration, _ *Env) { action(d, "Publish").InputArtifacts[0].Name = "Nothing" }, invalidAction,
			"Input Artifact Bundle Nothing in action Publish is not declared as Output Artifact Bundle in any of the preceding actions"},
		{"S-49 M-22 input of the same group", func(d *Declaration, _ *Env) { action(d, "Check").RunOrder = 1 }, invalidAction,
			"Input Artifact Bundle Binary in action Check is not declared as Output Artifact Bundle in any of the preceding actions"},
		{"S-49 M-22 input of a later group", func(d *Declaration, _ *Env) { action(d, "Compile").RunOrder = 3 }, invalidAction,
			"Input Artifact Bundle Binary in action Check is not declared as Output Artifact Bundle in any of the preceding actions"},
		{"S-49 M-22 input of a later stage", func(d *Declaration, _ *Env) { d.Stages[1], d.Stages[2] = d.Stages[2], d.Stages[1] }, invalidAction,
			"Input Artifact Bundle Binary in action Publish is not declared as Output Artifact Bundle in any of the preceding actions"},
		{"S-49 M-22 own output", func(d *Declaration, _ *Env) { action(d, "Compile").InputArtifacts[0].Name = "Binary" }, invalidAction,
			"Input Artifact Bundle Binary in action Compile is not declared as Output Artifact Bundle in any of the preceding actions"},
		{"S-49 the order of declaration does not matter", func(d *Declaration, _ *Env) {
			a := d.Stages[1].Actions
			a[0], a[1] = a[1], a[0]
		}, "", ""},
		{"S-49 S-50 an input of two stages before, used again", func(d *Declaration, _ *Env) { action(d, "Publish").InputArtifacts[0].Name = "Sources" }, "", ""},
		{"S-51 M-23 too few inputs", func(d *Declaration, _ *Env) { action(d, "Publish").InputArtifacts = nil }, invalidAction,
			"Action Publish declares 0 input artifacts which is less than the minimum count (1)"},
		{"S-51 M-23 too many inputs", func(d *Declaration, _ *Env) {
			action(d, "Publish").InputArtifacts = []ArtifactName{{"Sources"}, {"Tree"}}
		}, invalidAction, "Action Publish declares 2 input artifacts which is more than the maximum count (1)"},
		{"S-51 M-23 too few outputs", func(d *Declaration, _ *Env) { action(d, "Object").OutputArtifacts = nil }, invalidAction,
			"Action Object declares 0 output artifacts which is less than the minimum count (1)"},
		{"S-51 M-23 too many outputs", func(d *Declaration, _ *Env) { action(d, "Approve").OutputArtifacts = []OutputArtifact{{Name: "A"}} }, invalidAction,
			"Action Approve declares 1 output artifacts which is more than the maximum count (0)"},
	})
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	remove := func(name, key string) func(*Declaration, *Env) {
		return func(d *Declaration, _ *Env) { delete(action(d, name).Configuration, key) }
	}
	put := func(name, key, value string) func(*Declaration, *Env) {
		return func(d *Declaration, _ *Env) { set(d, name, key, value) }
	}
	const topic = "arn:aws:sns:us-east-1:111122223333:approvals"
	worker := ActionType{ID: ActionTypeID{CategoryDeploy, OwnerCustom, "Worker", "1"}, Inputs: one,
		Properties: []Property{{Name: "Project", Required: true, Queryable: true}, {Name: "Token", Secret: true, Values: []string{"a"}}}}
	custom := func(project string) func(*Declaration, *Env) {
		return func(d *Declaration, e *Env) {
			e.Catalogue = NewCatalogue(append(BuiltinTypes(), worker)...)
			a := action(d, "Publish")
			a.ActionTypeID, a.Configuration = worker.ID, map[string]string{"Project": project}
		}
	}
	runRefusals(t, []refusal{
		{"S-36 S-53 M-19 missing key", remove("Object", "S3Bucket"), invalidAction,
			"Action configuration for action 'Object' is missing required configuration 'S3Bucket'"},
		{"S-53 M-19 empty key", put("Compile", "ProjectName", ""), invalidAction,
			"Action configuration for action 'Compile' is missing required configuration 'ProjectName'"},
		{"S-36 unknown key", put("Compile", "Project", "x"), invalidAction,
			"Action configuration for action 'Compile' contains unknown configuration 'Project'. The configuration of CodeBuild is: ProjectName, PrimarySource, BatchEnabled, CombineArtifacts, BuildspecOverride, EnvironmentVariables, ServiceRoleArnOverride"},
		{"S-36 key in another case", put("Object", "s3bucket", "x"), invalidAction,
			"Action configuration for action 'Object' contains unknown configuration 's3bucket'. Did you mean 'S3Bucket'? The configuration of S3 is: S3Bucket, S3ObjectKey, AllowOverrideForS3ObjectKey, PollForSourceChanges"},
		{"S-36 W-24 empty value", put("Object", "PollForSourceChanges", ""), invalidValue,
			"1 validation error detected: Value at 'pipeline.stages.1.member.actions.1.member.configuration' failed to satisfy constraint: Map value must satisfy constraint: [Member must have length less than or equal to 50000, Member must have length greater than or equal to 1]"},
		{"S-36 W-24 long value", put("Approve", "CustomData", strings.Repeat("ä", 50000)), "", ""},
		{"S-36 W-24 too long value", put("Approve", "CustomData", strings.Repeat("ä", 50001)), invalidValue,
			"1 validation error detected: Value at 'pipeline.stages.3.member.actions.1.member.configuration' failed to satisfy constraint: Map value must satisfy constraint: [Member must have length less than or equal to 50000, Member must have length greater than or equal to 1]"},
		{"S-36 no boolean", put("Object", "PollForSourceChanges", "maybe"), invalidAction,
			"The value 'maybe' of configuration 'PollForSourceChanges' for action 'Object' is not valid. It must be true or false"},
		{"S-36 boolean in another case", put("Object", "PollForSourceChanges", "False"), "", ""},
		{"S-36 value out of a set", put("Publish", "CannedACL", strings.Repeat("x", 70)), invalidAction,
			"The value '" + strings.Repeat("x", 60) + "…' of configuration 'CannedACL' for action 'Publish' is not valid. It must be one of: private, public-read, public-read-write, authenticated-read, bucket-owner-read, bucket-owner-full-control, aws-exec-read"},
		{"S-277 a reference can be any value", put("Publish", "Extract", "#{build.EXTRACT}"), "", ""},
		{"S-53 M-19 archive without a name", put("Publish", "Extract", "false"), invalidAction,
			"Action configuration for action 'Publish' is missing required configuration 'ObjectKey'"},
		{"S-53 archive with a name", func(d *Declaration, _ *Env) {
			set(d, "Publish", "Extract", "false")
			set(d, "Publish", "ObjectKey", "a.zip")
		}, "", ""},
		{"S-52 M-19 several inputs without a primary", func(d *Declaration, _ *Env) {
			action(d, "Compile").InputArtifacts = []ArtifactName{{"Sources"}, {"Tree"}}
		}, invalidAction, "Action configuration for action 'Compile' is missing required configuration 'PrimarySource'"},
		{"S-52 primary that is no input", put("Compile", "PrimarySource", "Tree"), invalidAction,
			"The value 'Tree' of configuration 'PrimarySource' for action 'Compile' is not valid. It must be the name of an input artifact of the action"},
		{"S-220 topic", put("Approve", "NotificationArn", topic), "", ""},
		{"S-228 two of these", func(d *Declaration, _ *Env) {
			c := action(d, "Approve").Configuration
			c[RequiredApprovals], c[Approvers] = "2", "arn:aws:iam::111122223333:user/ann arn:aws:iam::111122223333:user/bob"
			c[ForbidStarter], c[ForbidAuthor] = "true", "false"
		}, "", ""},
		{"S-228 two of any in a group", func(d *Declaration, _ *Env) {
			c := action(d, "Approve").Configuration
			c[RequiredApprovals], c[Approvers] = "2", "arn:aws:iam::111122223333:user/leads/*"
		}, "", ""},
		{"S-228 none", put("Approve", RequiredApprovals, "0"), invalidAction,
			"The value '0' of configuration 'RequiredApprovals' for action 'Approve' is not valid. It must be a whole number from 1 to 10"},
		{"S-228 half", put("Approve", RequiredApprovals, "1.5"), invalidAction,
			"The value '1.5' of configuration 'RequiredApprovals' for action 'Approve' is not valid. It must be a whole number from 1 to 10"},
		{"S-228 not of somebody's choice", put("Approve", RequiredApprovals, "#{variables.n}"), invalidAction,
			"The value '#{variables.n}' of configuration 'RequiredApprovals' for action 'Approve' is not valid. It must be written out, without variables"},
		{"S-228 a name", put("Approve", Approvers, "ann"), invalidAction,
			"The value 'ann' of configuration 'Approvers' for action 'Approve' is not valid. It must be ARNs or patterns of ARNs, such as arn:aws:iam::123456789012:user/*, separated by spaces"},
		{"S-228 too few", func(d *Declaration, _ *Env) {
			c := action(d, "Approve").Configuration
			c[RequiredApprovals], c[Approvers] = "2", "arn:aws:sts::1:assumed-role/lead/a arn:aws:sts::1:assumed-role/lead/b"
		}, invalidAction,
			"The value 'arn:aws:sts::1:assumed-role/lead/a arn:aws:sts::1:assumed-ro…' of configuration 'Approvers' for action 'Approve' is not valid. It must be at least as many people as RequiredApprovals, 2; all sessions of a role count as one"},
		{"S-228 perhaps", put("Approve", ForbidStarter, "perhaps"), invalidAction,
			"The value 'perhaps' of configuration 'ForbidStarter' for action 'Approve' is not valid. It must be true or false"},
		{"S-220 M-25 no ARN", put("Approve", "NotificationArn", "approvals"), invalidAction,
			"The ARN approvals you specified for sending notifications for the approval action Approve contains a format error."},
		{"S-220 M-25 account", put("Approve", "NotificationArn", "arn:aws:sns:us-east-1:me:approvals"), invalidAction,
			"The ARN arn:aws:sns:us-east-1:me:approvals you specified for sending notifications for the approval action Approve contains a format error."},
		{"S-220 M-25 other service", put("Approve", "NotificationArn", "arn:aws:sqs:us-east-1:111122223333:q"), invalidAction,
			"The ARN arn:aws:sqs:us-east-1:111122223333:q has been specified for sending notifications for the approval action Approve, but the AWS service for this ARN cannot be used to send approval requests."},
		{"S-220 M-25 other Region", put("Approve", "NotificationArn", "arn:aws:sns:eu-west-1:111122223333:a"), invalidAction,
			"The ARN arn:aws:sns:eu-west-1:111122223333:a has been specified for sending notifications for the approval action Approve, but the ARN is not in the same region as the pipeline."},
		{"S-298 queryable value", custom("app-1"), "", ""},
		{"S-298 queryable value with a space", custom("my app"), invalidAction,
			"The value 'my app' of configuration 'Project' for action 'Publish' is not valid. It must be at most 20 characters of A-Z, a-z, 0-9, _ and -, because job workers are asked by it"},
		{"S-298 long queryable value", custom("x23456789012345678901"), invalidAction,
			"The value 'x23456789012345678901' of configuration 'Project' for action 'Publish' is not valid. It must be at most 20 characters of A-Z, a-z, 0-9, _ and -, because job workers are asked by it"},
		{"S-38 a secret is not quoted", func(d *Declaration, e *Env) { custom("p")(d, e); set(d, "Publish", "Token", "s3cr3t") }, invalidAction,
			"The value '****' of configuration 'Token' for action 'Publish' is not valid. It must be one of: a"},
		{"S-38 mask at creation", func(d *Declaration, _ *Env) { gitHub(d).Configuration["OAuthToken"] = SecretMask }, invalidAction,
			"Action configuration for action 'Git' has '****' in place of the secret 'OAuthToken', but no secret is stored under stage 'Source' and action 'Git'. Renaming a stage or an action drops its secrets: supply the value again."},
		{"S-38 mask at update", func(d *Declaration, e *Env) {
			gitHub(d)
			e.Previous = d.Clone()
			set(d, "Git", "OAuthToken", SecretMask)
		}, "", ""},
		{"S-39 custom action elsewhere", func(d *Declaration, e *Env) {
			custom("p")(d, e)
			twoRegions(d)
			action(d, "Publish").Region = "eu-west-1"
		}, invalidAction,
			"Action 'Publish' cannot run in region 'eu-west-1'. Source, ThirdParty and Custom actions run only in the region of the pipeline, 'us-east-1'"},
	})
}

func TestNamespacesAndReferences(t *testing.T) {
	t.Parallel()
	const format = "Valid format for a pipeline execution variable reference is a namespace and a key separated by a period (.). "
	const unknown = format + "The following pipeline execution variables are referencing a namespace that does not exist."
	note := func(text string) func(*Declaration, *Env) {
		return func(d *Declaration, _ *Env) { set(d, "Approve", "CustomData", text) }
	}
	name := func(of, namespace string) func(*Declaration, *Env) {
		return func(d *Declaration, _ *Env) { action(d, of).Namespace = namespace }
	}
	at := func(text string) string {
		return "\nStageName=[Deploy], ActionName=[Approve], ActionConfigurationKey=[CustomData], VariableReferenceText=[" + text + "]"
	}
	runRefusals(t, []refusal{
		{"S-41 namespace twice", name("Publish", "build"), invalidAction,
			"Namespaces must be unique across the pipeline definition. The following occur more than once in the pipeline.\nStageName=[Deploy], ActionName=[Publish], Namespace=[build]"},
		{"S-41 namespace of the service", name("Publish", "codepipeline"), invalidAction, "Namespace 'codepipeline' of action 'Publish' is reserved. Choose another one"},
		{"S-41 namespace of the pipeline variables", name("Publish", "variables"), invalidAction, "Namespace 'variables' of action 'Publish' is reserved. Choose another one"},
		{"S-41 variables without pipeline variables", func(d *Declaration, _ *Env) {
			v1(d)
			action(d, "Compile").Namespace = "variables"
			set(d, "Check", "EnvironmentVariables", "#{variables.anything}")
		}, "", ""},
		{"S-41 namespace of an artifact", name("Publish", "Tree"), invalidAction, "Namespace 'Tree' of action 'Publish' is the name of an artifact. Choose another one"},
		{"S-271 several references in a value", note("a #{build.A}#{object.ETag} b #{variables.color}"), "", ""},
		{"S-271 M-27 no period", note("#{build}"), invalidAction, format + "The following pipeline execution variables do not have a valid format." + at("build")},
		{"S-272 execution id", note("#{codepipeline.PipelineExecutionId}"), "", ""},
		{"S-272 no other key", note("#{codepipeline.Name}"), invalidAction, "The namespace codepipeline has no key but PipelineExecutionId." + at("codepipeline.Name")},
		{"S-275 M-27 unknown namespace", note("#{nobody.X}"), invalidAction, unknown + at("nobody.X")},
		{"S-272 namespaces are case-sensitive", note("#{Build.X}"), invalidAction, unknown + at("Build.X")},
		{"S-273 M-27 action without a namespace", func(d *Declaration, e *Env) { action(d, "Compile").Namespace = ""; v1(d) }, invalidAction,
			unknown + "\nStageName=[Build], ActionName=[Check], ActionConfigurationKey=[EnvironmentVariables], VariableReferenceText=[build.VERSION]"},
		{"S-275 M-27 namespace of the same group", func(d *Declaration, _ *Env) {
			action(d, "Publish").Namespace = "out"
			action(d, "Publish").RunOrder = 1
			set(d, "Approve", "CustomData", "#{out.X}")
		},
			invalidAction, unknown + at("out.X")},
		{"S-276 M-28 pipeline variable in a source action", func(d *Declaration, _ *Env) { set(d, "Object", "S3ObjectKey", "#{variables.color}.zip") }, invalidStructure,
			"Variables at the pipeline level cannot be used in source actions.\nStageName=[Source], ActionName=[Object], ActionConfigurationKey=[S3ObjectKey], VariableReferenceText=[variables.color]"},
		{"S-276 output variable in a source action", func(d *Declaration, _ *Env) {
			action(d, "Git").RunOrder = 2
			set(d, "Git", "BranchName", "#{object.ETag}")
		}, invalidAction,
			unknown + "\nStageName=[Source], ActionName=[Git], ActionConfigurationKey=[BranchName], VariableReferenceText=[object.ETag]"},
		{"S-276 execution id in a source action", func(d *Declaration, _ *Env) {
			set(d, "Object", "S3ObjectKey", "#{codepipeline.PipelineExecutionId}.zip")
		}, "", ""},
		{"S-276 M-29 undeclared variable", note("#{variables.size}"), invalidStructure, "The referenced variables haven't been declared." + at("variables.size")},
		{"S-276 M-29 no variable declared", func(d *Declaration, e *Env) { v1(d); note("#{variables.size}")(d, e) }, invalidStructure, "The referenced variables haven't been declared." + at("variables.size")},
		{"S-277 M-27 in commands", func(d *Declaration, _ *Env) { commandsAction(d).Commands = []string{"true", "echo #{nobody.X}"} }, invalidAction,
			unknown + "\nStageName=[Build], ActionName=[Check], ActionConfigurationKey=[commands], VariableReferenceText=[nobody.X]"},
		{"S-277 M-27 in environment variables", func(d *Declaration, _ *Env) {
			commandsAction(d).EnvironmentVariables = []EnvironmentVariable{{Name: "MODE", Value: "#{nobody.X}"}}
		}, invalidAction, unknown + "\nStageName=[Build], ActionName=[Check], ActionConfigurationKey=[MODE], VariableReferenceText=[nobody.X]"},
		{"S-277 not in names and roles", func(d *Declaration, _ *Env) { action(d, "Publish").RoleARN = "#{nobody.X}" }, "", ""},
		{"S-278 the key is not known before the run", note("#{build.NEVER}"), "", ""},
		{"S-38 a reference inside a secret is not quoted", func(d *Declaration, _ *Env) { gitHub(d).Configuration["OAuthToken"] = "abc#{def}" }, invalidAction,
			format + "The following pipeline execution variables do not have a valid format.\nStageName=[Source], ActionName=[Git], ActionConfigurationKey=[OAuthToken], VariableReferenceText=[****]"},
	})
}
