package engine

import (
	"time"

	"penstock/internal/pipeline"
)

// Event is something that happened to a pipeline. The kinds are those of this file.
type Event interface{ event() }

// Start asks for a new execution (S-86).
type Start struct {
	Trigger   pipeline.Trigger
	Variables []pipeline.Variable
	Overrides []pipeline.SourceRevisionOverride
	// Reported is the revision that a source action was told of (S-105).
	Reported *Reported
	// Detected marks a start that no caller waits for: where an API call would be refused,
	// an execution is recorded that failed (S-104).
	Detected bool
}

// Reported is a revision of a source that somebody told of instead of having it looked for.
type Reported struct {
	Stage  string `json:"stage"`
	Action string `json:"action"`
	pipeline.Revision
}

// Update replaces the structure (S-62). Definition is normalised, valid and carries the
// new version.
type Update struct{ Definition *pipeline.Declaration }

// Delete ends everything before the pipeline is removed (S-69).
type Delete struct{}

// DisableTransition closes the gate in front of Stage (S-154).
type DisableTransition struct{ Stage, Direction, Reason, By string }

// EnableTransition opens the gate in front of Stage (S-154).
type EnableTransition struct{ Stage, Direction, By string }

// Stop asks an execution to stop (S-192).
type Stop struct {
	Execution pipeline.ExecutionID
	Abandon   bool
	Reason    string
}

// Retry runs a failed or stopped stage again in place (S-163).
type Retry struct {
	Stage     string
	Execution pipeline.ExecutionID
	Mode      pipeline.RetryMode
}

// Rollback starts an execution that runs Stage with the source revisions, artifacts and
// variables of Target (S-182).
type Rollback struct {
	Stage  string
	Target pipeline.ExecutionID
	By     string
}

// OverrideCondition has an execution go on as if a condition of the stage had been met (S-208).
type OverrideCondition struct {
	Stage     string
	Execution pipeline.ExecutionID
	Place     pipeline.Place
	By        string
}

// Approve answers a pending approval (S-223). Status is Approved or Rejected.
type Approve struct {
	Stage, Action, Token, Status, Summary, By string
	// Authors are the ARNs of who brought the revisions, by source action; who is not in it is
	// not known.
	Authors map[string]string
}

// Progress is news of a running job: whatever is set replaces what was known.
type Progress struct {
	Job JobRef
	Result
}

// Succeed ends a job and its action well (S-311).
type Succeed struct {
	Job JobRef
	Result
	Variables map[string]string
	Revision  *pipeline.Revision
}

// Continue ends a job whose action goes on in another job that carries Token (S-312).
type Continue struct {
	Job JobRef
	Result
	Token string
	// Revision, if set, is the action's, unless a later job gives another (S-313).
	Revision *pipeline.Revision
	// After is how long the next job rests; zero means pipeline.Limits.Continuation.
	After time.Duration
}

// Fail ends a job and its action badly (S-314).
type Fail struct {
	Job JobRef
	Result
	Error pipeline.ErrorDetails
}

// Wakeup says that a time asked for by Wake has come.
type Wakeup struct{ Run pipeline.ActionExecutionID }

// JobRef names a job and the execution and action execution it works for.
type JobRef struct {
	ID        pipeline.JobID
	Execution pipeline.ExecutionID
	Run       pipeline.ActionExecutionID
}

// Result is what a job tells about its work beside the verdict. Empty members say nothing.
type Result struct {
	Summary      string
	ExternalID   string
	ExternalURL  string
	LogStreamARN string
	Percent      *int
}

func (Start) event()             {}
func (Update) event()            {}
func (Delete) event()            {}
func (DisableTransition) event() {}
func (EnableTransition) event()  {}
func (Stop) event()              {}
func (Retry) event()             {}
func (Rollback) event()          {}
func (OverrideCondition) event() {}
func (Approve) event()           {}
func (Progress) event()          {}
func (Succeed) event()           {}
func (Continue) event()          {}
func (Fail) event()              {}
func (Wakeup) event()            {}

// Effect is something that must follow a step, after its commit. The kinds are StartJob,
// EndJob, Wake and Emit.
type Effect interface{ effect() }

// StartJob makes a job available to the workers of its action type, from NotBefore on.
type StartJob struct {
	Job
	NotBefore time.Time
}

// EndJob records the final status of a job. Abort tells an in-process worker to stop
// working on it; its late report will be refused (S-194, S-315).
type EndJob struct {
	ID     pipeline.JobID
	Status JobStatus
	Abort  bool
}

// Wake asks for a Wakeup of the action execution at a time; a zero At cancels the request.
// There is at most one per action execution.
type Wake struct {
	Run pipeline.ActionExecutionID
	At  time.Time
}

// Emit tells the world of a change of state, in EventBridge's shape (S-340).
type Emit struct {
	DetailType string
	// Detail is the JSON text of the event's detail (S-346).
	Detail []byte
}

func (StartJob) effect() {}
func (EndJob) effect()   {}
func (Wake) effect()     {}
func (Emit) effect()     {}

// JobStatus is the status of a job (S-302).
type JobStatus string

// The job statuses of S-302.
const (
	JobCreated    JobStatus = "Created"
	JobQueued     JobStatus = "Queued"
	JobDispatched JobStatus = "Dispatched"
	JobInProgress JobStatus = "InProgress"
	JobSucceeded  JobStatus = "Succeeded"
	JobEndFailed  JobStatus = "Failed"
	JobTimedOut   JobStatus = "TimedOut"
)

// Script is what an action runs as commands, with references resolved (S-43 to S-46, S-277).
type Script struct {
	Commands    []string                       `json:"commands"`
	Environment []pipeline.EnvironmentVariable `json:"environment,omitempty"`
	// Files are the patterns of what becomes the output artifact.
	Files []string `json:"files,omitempty"`
	// Variables are the names of the variables that become output variables.
	Variables []string `json:"variables,omitempty"`
}

// Job is all that a worker needs to do one job (S-309).
type Job struct {
	ID          pipeline.JobID             `json:"id"`
	Run         pipeline.ActionExecutionID `json:"run"`
	Execution   pipeline.ExecutionID       `json:"execution"`
	Number      int                        `json:"number"`
	Type        pipeline.ActionTypeID      `json:"type"`
	PipelineARN string                     `json:"pipelineArn"`
	Pipeline    string                     `json:"pipeline"`
	Version     int                        `json:"version"`
	Stage       string                     `json:"stage"`
	Action      string                     `json:"action"`
	Account     string                     `json:"account"`
	Region      string                     `json:"region"`
	RoleARN     string                     `json:"roleArn"`
	// PipelineRoleARN is the role through which RoleARN is assumed (S-40).
	PipelineRoleARN string                  `json:"pipelineRoleArn"`
	Configuration   map[string]string       `json:"configuration,omitempty"`
	Inputs          []pipeline.Artifact     `json:"inputs,omitempty"`
	Outputs         []pipeline.Artifact     `json:"outputs,omitempty"`
	EncryptionKey   *pipeline.EncryptionKey `json:"encryptionKey,omitempty"`
	// Home is the store of the pipeline's Region if the action runs in another: inputs are
	// copied from there, and outputs back to it, under the same keys (S-292).
	Home      *pipeline.ArtifactStore           `json:"home,omitempty"`
	Script    *Script                           `json:"script,omitempty"`
	Overrides []pipeline.SourceRevisionOverride `json:"overrides,omitempty"`
	// Trigger is what started the execution, for source actions only.
	Trigger pipeline.Trigger `json:"trigger,omitzero"`
	Token   string           `json:"continuationToken,omitempty"`
	// Approval is the token of the request that the job is to publish (S-229).
	Approval string `json:"approvalToken,omitempty"`
	// Function is the ARN of the function that does the job, if its type has one (S-321).
	Function string `json:"function,omitempty"`
	// Deadline is when the whole action times out (S-316).
	Deadline time.Time `json:"deadline"`
}
