package pipeline

import (
	"cmp"
	"time"
)

// Limits are the quotas of the service. A zero field means the default, which is the quota
// AWS publishes (S-70 to S-83).
type Limits struct {
	// Pipelines, those of them that are set to polling, Webhooks and CustomActionTypes count
	// per Region and account.
	Pipelines, PollingPipelines, Webhooks, CustomActionTypes int
	// Stages, ActionsPerStage and Actions bound one pipeline (S-74, S-75).
	Stages, ActionsPerStage, Actions int
	// Variables and Triggers bound one pipeline (S-18, S-81); TriggersBytes is the size of
	// the whole trigger list as JSON.
	Variables, Triggers, TriggersBytes int
	// ConfigurationValue is the length of one configuration value as written. The service
	// takes more than its own model says (W-24), and so does the default.
	ConfigurationValue int
	// QueryableValue is the length of the value of a queryable property (S-298).
	QueryableValue int
	// ConcurrentExecutions bounds QUEUED and PARALLEL pipelines (S-76), ParallelActions one
	// execution in PARALLEL mode (S-57, S-77).
	ConcurrentExecutions, ParallelActions int
	// Continuation is how long a continued action rests before its next job (S-312, Q-34).
	Continuation time.Duration
	// PollIdle is how long a pipeline may be without an execution before it is polled no
	// longer (S-246).
	PollIdle time.Duration
	// History is how long executions stay in the history, from their start (S-78). Twelve
	// months are 366 days, lest they be too short.
	History time.Duration
	// OutputVariablesBytes and ResolvedConfigurationBytes bound one action (S-79, S-80).
	OutputVariablesBytes, ResolvedConfigurationBytes int
	// S3SourceBytes and GitSourceBytes bound a source artifact, DeployFiles the files of an
	// artifact that is unpacked into a bucket (S-82).
	S3SourceBytes, GitSourceBytes int64
	DeployFiles                   int
	// Tags counts per resource (S-83).
	Tags int
}

// OrDefault gives the limits with every zero field replaced by the published quota.
func (l Limits) OrDefault() Limits {
	l.Pipelines = cmp.Or(l.Pipelines, 1000)
	l.PollingPipelines = cmp.Or(l.PollingPipelines, 300)
	l.Webhooks = cmp.Or(l.Webhooks, 300)
	l.CustomActionTypes = cmp.Or(l.CustomActionTypes, 50)
	l.Stages = cmp.Or(l.Stages, 50)
	l.ActionsPerStage = cmp.Or(l.ActionsPerStage, 50)
	l.Actions = cmp.Or(l.Actions, 1000)
	l.Variables = cmp.Or(l.Variables, 50)
	l.Triggers = cmp.Or(l.Triggers, 50)
	l.TriggersBytes = cmp.Or(l.TriggersBytes, 200<<10)
	l.ConfigurationValue = cmp.Or(l.ConfigurationValue, 50000)
	l.QueryableValue = cmp.Or(l.QueryableValue, 20)
	l.ConcurrentExecutions = cmp.Or(l.ConcurrentExecutions, 50)
	l.ParallelActions = cmp.Or(l.ParallelActions, 5)
	l.Continuation = cmp.Or(l.Continuation, 30*time.Second)
	l.PollIdle = cmp.Or(l.PollIdle, 30*24*time.Hour)
	l.History = cmp.Or(l.History, 366*24*time.Hour)
	l.OutputVariablesBytes = cmp.Or(l.OutputVariablesBytes, 122880)
	l.ResolvedConfigurationBytes = cmp.Or(l.ResolvedConfigurationBytes, 100<<10)
	l.S3SourceBytes = cmp.Or(l.S3SourceBytes, 7<<30)
	l.GitSourceBytes = cmp.Or(l.GitSourceBytes, 1<<30)
	l.DeployFiles = cmp.Or(l.DeployFiles, 100000)
	l.Tags = cmp.Or(l.Tags, 50)
	return l
}
