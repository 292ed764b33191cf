package pipeline

import "time"

// stackTypes are the deploy actions of CloudFormation.
func stackTypes() []ActionType {
	capabilities := optional("Capabilities", "Capabilities the template needs, such as CAPABILITY_IAM, separated by commas.")
	targets := optional("DeploymentTargets", "Accounts or organisational units, separated by commas, or Artifact::file with a JSON list.")
	spread := []Property{
		number("FailureTolerancePercentage", "Share of accounts per region that may fail."),
		number("MaxConcurrentPercentage", "Share of accounts that are deployed to at a time."),
		choice("RegionConcurrencyType", "Whether regions are deployed to one after another or at the same time.", "Sequential", "SEQUENTIAL", "Parallel", "PARALLEL"),
		choice("ConcurrencyMode", "Whether concurrency goes down with failures.", "STRICT_FAILURE_TOLERANCE", "SOFT_FAILURE_TOLERANCE"),
		choice("CallAs", "Whether the account acts for itself or as a delegated administrator.", "SELF", "DELEGATED_ADMIN"),
	}
	return []ActionType{
		builtinType(CategoryDeploy, OwnerAWS, "CloudFormation", upTo(10), upTo(1), 3*day, // S-327
			choice("ActionMode", "What is done with the stack or change set.",
				"CREATE_UPDATE", "REPLACE_ON_FAILURE", "DELETE_ONLY", "CHANGE_SET_REPLACE", "CHANGE_SET_EXECUTE").must(),
			required("StackName", "Stack that is worked on.").identity(),
			optional("ChangeSetName", "Change set that is worked on; needed for the modes of change sets."),
			optional("TemplatePath", "Template, as Artifact::file."),
			optional("RoleArn", "Role CloudFormation works with."),
			capabilities,
			optional("TemplateConfiguration", "File with parameters, tags and stack policy, as Artifact::file."),
			optional("ParameterOverrides", "JSON object with parameters that win over the template configuration."),
			optional("OutputFileName", "File of the output artifact the stack outputs are written to."),
		).notRun(),
		builtinType(CategoryDeploy, OwnerAWS, "CloudFormationStackSet", between(1, 3), none, time.Hour, append([]Property{
			required("StackSetName", "Stack set that is created or updated.").identity(),
			required("TemplatePath", "Template, as Artifact::file."),
			optional("Description", "Description of the stack set."),
			optional("Parameters", "Parameters of the template in shorthand, or Artifact::file with a JSON list."),
			capabilities,
			choice("PermissionModel", "Who creates the roles; SELF_MANAGED if left out.", "SELF_MANAGED", "SERVICE_MANAGED"),
			optional("AdministrationRoleArn", "Role the stack set is administered with."),
			optional("ExecutionRoleName", "Role in the target accounts the stacks are deployed with."),
			choice("OrganizationsAutoDeployment", "Whether new accounts of the organisation are deployed to; Disabled if left out.",
				"Enabled", "Disabled", "EnabledWithStackRetention"),
			targets,
			optional("Regions", "Regions of the targets, separated by commas."),
		}, spread...)...).notRun(),
		builtinType(CategoryDeploy, OwnerAWS, "CloudFormationStackInstances", upTo(2), none, time.Hour, append([]Property{
			required("StackSetName", "Stack set the instances belong to.").identity(),
			required("Regions", "Regions of the instances, separated by commas."),
			targets,
			optional("ParameterOverrides", "Parameters of these instances in shorthand, or Artifact::file with a JSON list."),
		}, spread...)...).notRun(),
	}
}
