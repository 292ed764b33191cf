package pipeline

import "time"

// The execution statuses of S-106, S-111 and S-115. A pipeline execution knows all but
// Skipped and Abandoned, an action execution InProgress, Succeeded, Failed and Abandoned.
const (
	InProgress       Status = "InProgress"
	Succeeded        Status = "Succeeded"
	Failed           Status = "Failed"
	StatusSuperseded Status = "Superseded"
	Cancelled        Status = "Cancelled"
	Stopping         Status = "Stopping"
	Stopped          Status = "Stopped"
	Skipped          Status = "Skipped"
	Abandoned        Status = "Abandoned"
	// Errored and Overridden are for conditions only (S-207).
	Errored           Status = "Errored"
	Overridden        Status = "Overridden"
	ExecutionStandard        = "STANDARD"
	ExecutionRollback        = "ROLLBACK"
)

// Status is the status of a pipeline, stage or action execution.
type Status string

// Terminal says whether the status ends a pipeline, stage or action execution. Failed and
// Stopped executions can be resumed by a retry only (S-107).
func (s Status) Terminal() bool { return s != InProgress && s != Stopping && s != "" }

// RetryMode selects what a stage retry runs again (S-163).
type RetryMode string

// The retry modes of S-163.
const (
	FailedActions RetryMode = "FAILED_ACTIONS"
	AllActions    RetryMode = "ALL_ACTIONS"
)

// Trigger says what started an execution (S-89 to S-97).
type Trigger struct {
	Type   string `json:"triggerType"`
	Detail string `json:"triggerDetail,omitempty"`
}

// The trigger types of S-89 to S-97.
const (
	TriggerCreatePipeline         = "CreatePipeline"
	TriggerStartPipelineExecution = "StartPipelineExecution"
	TriggerPollForSourceChanges   = "PollForSourceChanges"
	TriggerWebhook                = "Webhook"
	TriggerWebhookV2              = "WebhookV2"
	TriggerCloudWatchEvent        = "CloudWatchEvent"
	TriggerPutActionRevision      = "PutActionRevision"
	TriggerManualRollback         = "ManualRollback"
	TriggerAutomatedRollback      = "AutomatedRollback"
)

// Variable is a resolved pipeline variable (S-280).
type Variable struct {
	Name          string `json:"name"`
	ResolvedValue string `json:"resolvedValue"`
}

// SourceRevisionOverride fixes the revision a source action takes (S-98).
type SourceRevisionOverride struct {
	ActionName    string `json:"actionName"`
	RevisionType  string `json:"revisionType"`
	RevisionValue string `json:"revisionValue"`
}

// SourceRevision is the version a source action took (S-126).
type SourceRevision struct {
	ActionName      string `json:"actionName"`
	RevisionID      string `json:"revisionId,omitempty"`
	RevisionSummary string `json:"revisionSummary,omitempty"`
	RevisionURL     string `json:"revisionUrl,omitempty"`
}

// Revision describes what a source action produced (S-125, S-313).
type Revision struct {
	ID               string    `json:"revisionId,omitempty"`
	ChangeIdentifier string    `json:"revisionChangeIdentifier,omitempty"`
	Summary          string    `json:"revisionSummary,omitempty"`
	Created          time.Time `json:"created,omitzero"`
	URL              string    `json:"revisionUrl,omitempty"`
}

// Artifact is an artifact of one execution at its place in the store (S-285, S-288).
type Artifact struct {
	Name     string `json:"name"`
	Bucket   string `json:"bucket"`
	Key      string `json:"key"`
	Revision string `json:"revision,omitempty"`
	// Producer is the action execution that wrote it, Account the one of its role.
	Producer ActionExecutionID `json:"producer,omitempty"`
	Account  string            `json:"account,omitempty"`
}

// ErrorDetails say why an action failed (S-117).
type ErrorDetails struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// The failure types of S-117.
const (
	JobFailed           = "JobFailed"
	ConfigurationError  = "ConfigurationError"
	PermissionError     = "PermissionError"
	RevisionOutOfSync   = "RevisionOutOfSync"
	RevisionUnavailable = "RevisionUnavailable"
	SystemUnavailable   = "SystemUnavailable"
)
