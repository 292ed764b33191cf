package pipeline

import "time"

// invokeTypes are the approval and invoke actions.
func invokeTypes() []ActionType {
	snyk := builtinType(CategoryInvoke, OwnerThirdParty, "Snyk", one, one, time.Hour,
		optional("Token", "Token of the Snyk account.").hidden(),
		optional("Organisation", "Snyk organisation the results belong to."),
		optional("Severity", "Severity from which a finding fails the action."),
		optional("Monitor", "Whether the project is monitored from now on."),
		optional("FailOnIssues", "Whether findings fail the action."),
	).notRun()
	snyk.AnyKey = true // the real keys are set on the vendor's page and published nowhere
	return []ActionType{
		builtinType(CategoryApproval, OwnerAWS, "Manual", none, none, 7*day, // S-331
			optional("NotificationArn", "SNS topic that is told of the pending approval, in the region of the pipeline."),
			optional("ExternalEntityLink", "Address of what is to be reviewed."),
			optional("CustomData", "Note to the reviewer."),
			number(RequiredApprovals, "How many people must approve, 1 to 10; 1 if left out. Not in AWS."),
			optional(Approvers, "ARNs of those who may approve, with * and ?, separated by spaces; everyone who is allowed to if left out. Not in AWS."),
			flag(ForbidStarter, "Whether who started the execution may not approve it. Not in AWS."),
			flag(ForbidAuthor, "Whether who brought a source revision of the execution may not approve it. Not in AWS."),
		),
		builtinType(CategoryInvoke, OwnerAWS, "Lambda", upTo(5), upTo(5), day, // S-329
			required("FunctionName", "Function that is invoked, in the region of the action.").identity(),
			optional("UserParameters", "Text that is handed to the function."),
		).notRun(),
		builtinType(CategoryInvoke, OwnerAWS, "StepFunctions", upTo(1), upTo(1), 7*day, // S-334
			required("StateMachineArn", "State machine that is started.").identity(),
			optional("ExecutionNamePrefix", "Start of the name of the state machine execution."),
			choice("InputType", "Whether Input is the input or names a file of the artifact; Literal if left out.", "Literal", "FilePath"),
			optional("Input", "Input as JSON text, or the file that holds it."),
		).notRun(),
		builtinType(CategoryInvoke, OwnerAWS, "CodePipeline", none, none, time.Hour,
			required("PipelineName", "Pipeline that is started.").identity(),
			optional("SourceRevisions", "JSON list of source revisions the pipeline is started with."),
			optional("Variables", "JSON list of variables the pipeline is started with."),
		).v2Only(),
		builtinType(CategoryInvoke, OwnerAWS, "InspectorScan", upTo(1), one, time.Hour,
			choice("InspectorRunMode", "Whether source code or an image is scanned.", "SourceCodeScan", "ECRImageScan").must(),
			optional("ECRRepositoryName", "Repository of the image."),
			optional("ImageTag", "Tag of the image."),
			number("CriticalThreshold", "Number of critical findings above which the action fails."),
			number("HighThreshold", "Number of findings of high severity above which the action fails."),
			number("MediumThreshold", "Number of findings of medium severity above which the action fails."),
			number("LowThreshold", "Number of findings of low severity above which the action fails."),
		).notRun(),
		snyk,
	}
}
