// Package engine decides what happens to a pipeline next.
//
// Step takes the live state of one pipeline, the time and one event, and gives the next
// state and the effects that must follow: jobs to start and to end, times to wake at and
// events to tell the world. It does no I/O, reads no clock, draws no random number and
// starts no goroutine, so the same events give the same bytes again. The caller saves the
// state, the history and the effects in one transaction and acts on the effects after it.
//
// A refused event is a *fault.Error and changes nothing.
package engine

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"time"

	"penstock/internal/pipeline"
)

// State is what must be known of a pipeline to decide its next step: its stages, the
// executions in progress, and of those that failed outside PARALLEL mode the last of each
// stage, which can be retried. Its size does not grow with the number of past executions.
// The zero value is not usable; New makes one.
type State struct {
	Account string `json:"account"`
	Region  string `json:"region"`
	Name    string `json:"name"`
	// Seed is secret and random; every id of this pipeline derives from it and Seq.
	Seed string `json:"seed"`
	// Seq counts the events applied. A record whose Touched equals Seq changed last.
	Seq int64 `json:"seq"`
	// NextOrder is the start order of the next execution (S-85); NextRun that of the next
	// action execution.
	NextOrder int64     `json:"nextOrder"`
	NextRun   int64     `json:"nextRun"`
	Version   int       `json:"version"`
	Created   time.Time `json:"created"`
	Updated   time.Time `json:"updated"`

	// Stages are the stages of the current version by name (S-67).
	Stages map[string]*StageState `json:"stages"`

	// Executions are the live ones. They are stored in rows of their own.
	Executions map[pipeline.ExecutionID]*Execution `json:"-"`
	// Started is the execution that the last event asked for, if it asked for one.
	Started pipeline.ExecutionID `json:"-"`
	// Retired are executions that stopped being live in the last step: they are history.
	Retired []*Execution `json:"-"`
	// Ended are action executions that were replaced by a retry in the last step and are
	// therefore no longer reachable from an execution.
	Ended []*ActionRun `json:"-"`

	Attached Attached `json:"-"`
}

// Attached is knowledge the caller puts beside a state before a step. It is not saved.
type Attached struct {
	// Definitions holds the current version and the version of every live execution.
	Definitions map[int]*pipeline.Declaration
	Catalogue   pipeline.Catalogue
	Limits      pipeline.Limits
	// Past holds the executions of history that a step said it is Missing; nil is one that
	// history does not have. A step that succeeds forgets them.
	Past map[pipeline.ExecutionID]*Execution
}

// StageState is the part of a stage that outlives its executions.
type StageState struct {
	Transition Transition `json:"transition"`
	// Holder is the execution inside, which locks the stage (S-128); empty when unlocked.
	// Executions in PARALLEL mode take no lock.
	Holder pipeline.ExecutionID `json:"holder,omitempty"`
	// Waiting is the line in front of the stage, head first (S-131).
	Waiting []pipeline.ExecutionID `json:"waiting,omitempty"`
	// LastInbound is a stopped execution that waited here and is shown until another comes (S-120).
	LastInbound *StageExecution `json:"lastInbound,omitempty"`
	// Latest is the execution that entered most recently (S-119).
	Latest *StageExecution `json:"latest,omitempty"`
	// Retry counts the retries of Latest; nil before the first (S-176).
	Retry *RetryMetadata `json:"retry,omitempty"`
	// Target is the newest execution of the present version that succeeded here, to which an
	// automatic rollback goes back (S-188).
	Target pipeline.ExecutionID `json:"target,omitempty"`
	// Actions holds the latest run of each action in any execution (S-121).
	Actions map[string]*ActionRun `json:"actions,omitempty"`
	// Conditions holds the latest evaluation of each condition in any execution (S-210).
	Conditions map[pipeline.Place]*ConditionRun `json:"conditions,omitempty"`
	// Answered are the approvals that were answered here last, to tell a second answer from
	// a wrong token (S-227).
	Answered []Answer `json:"answered,omitempty"`
}

// Transition is the gate in front of a stage (S-153, S-160). Disabled is false for a gate
// that was never touched.
type Transition struct {
	Disabled      bool      `json:"disabled,omitempty"`
	Reason        string    `json:"reason,omitempty"`
	LastChangedBy string    `json:"lastChangedBy,omitempty"`
	LastChangedAt time.Time `json:"lastChangedAt,omitzero"`
	// DisabledAt is when the gate closed; repeating a disable does not move it (S-159).
	DisabledAt time.Time `json:"disabledAt,omitzero"`
}

// Answer is an approval that was answered and not asked for again.
type Answer struct {
	Execution pipeline.ExecutionID `json:"execution"`
	Action    string               `json:"action"`
	Token     string               `json:"token"`
}

// StageExecution is what a stage shows of one execution.
type StageExecution struct {
	ID     pipeline.ExecutionID `json:"id"`
	Status pipeline.Status      `json:"status"`
	Type   string               `json:"type,omitempty"`
}

// RetryMetadata counts the retries of a stage's latest execution (S-176).
type RetryMetadata struct {
	Manual    int    `json:"manual,omitempty"`
	Automatic int    `json:"automatic,omitempty"`
	Latest    string `json:"latest"`
}

// Position says where an execution is relative to its stage.
type Position string

// The positions of an execution. Left means that it is in no stage and waits for none: it
// has ended, or failed and may be retried.
const (
	Waiting Position = "waiting"
	Inside  Position = "inside"
	Left    Position = "left"
)

// Execution is one traversal of the pipeline (S-3).
type Execution struct {
	ID    pipeline.ExecutionID   `json:"id"`
	Order int64                  `json:"order"`
	Mode  pipeline.ExecutionMode `json:"mode"`
	// Version is the pipeline version it started with and keeps (S-66).
	Version int `json:"version"`
	// Type is STANDARD or ROLLBACK; RollbackTarget belongs to the latter (S-182).
	Type           string               `json:"type"`
	RollbackTarget pipeline.ExecutionID `json:"rollbackTarget,omitempty"`

	Status        pipeline.Status  `json:"status"`
	StatusSummary string           `json:"statusSummary,omitempty"`
	Started       time.Time        `json:"started"`
	Updated       time.Time        `json:"updated"`
	Trigger       pipeline.Trigger `json:"trigger"`
	// Attempt counts from 1 and grows with each retry (S-177).
	Attempt int `json:"attempt"`

	Variables         []pipeline.Variable               `json:"variables,omitempty"`
	Overrides         []pipeline.SourceRevisionOverride `json:"overrides,omitempty"`
	Reported          *Reported                         `json:"reported,omitempty"`
	SourceRevisions   []pipeline.SourceRevision         `json:"sourceRevisions,omitempty"`
	ArtifactRevisions []ArtifactRevision                `json:"artifactRevisions,omitempty"`

	Stop *StopRequest `json:"stop,omitempty"`
	// Cancelling is set when the pipeline was updated: running actions end, nothing starts (S-64).
	Cancelling bool `json:"cancelling,omitempty"`

	// Stage is the stage it is in, waits for, or left last.
	Stage    string   `json:"stage"`
	Position Position `json:"position"`
	// Runs are its visits to stages by stage name.
	Runs map[string]*StageRun `json:"runs,omitempty"`
	// Artifacts are the outputs of its succeeded actions by name, the latest of each (S-289).
	Artifacts map[string]pipeline.Artifact `json:"artifacts,omitempty"`
	// Outputs are the output variables by namespace and key (S-272).
	Outputs map[string]map[string]string `json:"outputs,omitempty"`

	Touched int64 `json:"touched"`
}

// ArtifactRevision is the revision behind one source artifact (S-125).
type ArtifactRevision struct {
	Name string `json:"name"`
	pipeline.Revision
}

// StopRequest is the last accepted request to stop (S-192).
type StopRequest struct {
	Abandon bool   `json:"abandon"`
	Reason  string `json:"reason,omitempty"`
}

// StageRun is one execution's visit to one stage.
type StageRun struct {
	Status  pipeline.Status `json:"status"`
	Entered time.Time       `json:"entered"`
	// Actions are the latest runs of the stage's actions in this execution. An action that
	// did not run yet, or is to run again, has none.
	Actions map[string]*ActionRun `json:"actions,omitempty"`
	// Conditions are the conditions evaluated in this visit.
	Conditions map[pipeline.Place]*ConditionRun `json:"conditions,omitempty"`
	// Retried is when the stage was last retried; zero if never (S-348).
	Retried   time.Time `json:"retried,omitzero"`
	Manual    int       `json:"manual,omitempty"`
	Automatic int       `json:"automatic,omitempty"`

	Touched int64 `json:"touched"`
}

// ConditionRun is one evaluation of a condition (S-200, S-207).
type ConditionRun struct {
	Status  pipeline.Status `json:"status"`
	Summary string          `json:"summary,omitempty"`
	Updated time.Time       `json:"updated"`
	// Rules are the runs of its rules by name.
	Rules map[string]*ActionRun `json:"rules,omitempty"`
}

// ActionRun is one run of one action (S-115), or of one rule of a condition: to workers they
// are the same.
type ActionRun struct {
	ID        pipeline.ActionExecutionID `json:"id"`
	Execution pipeline.ExecutionID       `json:"execution"`
	// Number orders the runs of a pipeline by their start.
	Number  int64  `json:"number"`
	Version int    `json:"version"`
	Stage   string `json:"stage"`
	Action  string `json:"action"`
	// Place is where the condition is whose rule this is a run of, Action being the name of the
	// rule; it is empty for an action.
	Place pipeline.Place        `json:"place,omitempty"`
	Type  pipeline.ActionTypeID `json:"type"`

	Status  pipeline.Status `json:"status"`
	Started time.Time       `json:"started"`
	Updated time.Time       `json:"updated"`

	// Job is the current job while the action runs, and of a pending approval the one that
	// publishes its request; JobNumber counts its jobs (S-303).
	Job       pipeline.JobID `json:"job,omitempty"`
	JobNumber int            `json:"jobNumber,omitempty"`
	// Token answers an approval while it is pending (S-222).
	Token    string    `json:"token,omitempty"`
	Deadline time.Time `json:"deadline,omitzero"`
	// ReportBy is when the run times out if its job has not reported before, for types that
	// have to (S-325).
	ReportBy time.Time `json:"reportBy,omitzero"`
	// Approvals are those who have said yes, in their order. The list is replaced, not changed.
	Approvals []Approval `json:"approvals,omitempty"`

	RoleARN  string              `json:"roleArn,omitempty"`
	Region   string              `json:"region,omitempty"`
	Resolved map[string]string   `json:"resolved,omitempty"`
	Script   *Script             `json:"script,omitempty"`
	Inputs   []pipeline.Artifact `json:"inputs,omitempty"`
	Outputs  []pipeline.Artifact `json:"outputs,omitempty"`

	Summary      string                 `json:"summary,omitempty"`
	ExternalID   string                 `json:"externalId,omitempty"`
	ExternalURL  string                 `json:"externalUrl,omitempty"`
	EntityURL    string                 `json:"entityUrl,omitempty"`
	LogStreamARN string                 `json:"logStreamArn,omitempty"`
	Percent      *int                   `json:"percent,omitempty"`
	Error        *pipeline.ErrorDetails `json:"error,omitempty"`
	UpdatedBy    string                 `json:"updatedBy,omitempty"`
	Variables    map[string]string      `json:"variables,omitempty"`
	Revision     *pipeline.Revision     `json:"revision,omitempty"`

	Touched int64 `json:"touched"`
}

// ARN is the pipeline's ARN (S-356).
func (s *State) ARN() string { return pipeline.PipelineARN(s.Region, s.Account, s.Name) }

// Current is the current definition. It must be attached.
func (s *State) Current() *pipeline.Declaration { return s.Attached.Definitions[s.Version] }

// LatestRuns are the last runs of the execution's actions, newest first. An action that is to run
// again has none.
func (e *Execution) LatestRuns() []*ActionRun {
	var out []*ActionRun
	for _, visit := range e.Runs {
		out = slices.AppendSeq(out, maps.Values(visit.Actions))
	}
	slices.SortFunc(out, func(a, b *ActionRun) int { return cmp.Compare(b.Number, a.Number) })
	return out
}

// All gives the latest runs of the visit's actions and rules, in no order.
func (v *StageRun) All() iter.Seq[*ActionRun] {
	return func(yield func(*ActionRun) bool) {
		for _, run := range v.Actions {
			if !yield(run) {
				return
			}
		}
		for _, c := range v.Conditions {
			for _, run := range c.Rules {
				if !yield(run) {
					return
				}
			}
		}
	}
}

// New is the state of a pipeline just created (S-14, S-153). The declaration must be
// normalised and valid; seed is at least 16 random bytes in any text form.
func New(account, region, seed string, d *pipeline.Declaration, now time.Time) *State {
	s := &State{
		Account: account, Region: region, Name: d.Name, Seed: seed,
		NextOrder: 1, NextRun: 1, Version: 1, Created: now, Updated: now,
		Stages:     map[string]*StageState{},
		Executions: map[pipeline.ExecutionID]*Execution{},
		Attached:   Attached{Definitions: map[int]*pipeline.Declaration{1: d}},
	}
	for _, st := range d.Stages {
		s.Stages[st.Name] = &StageState{}
	}
	return s
}
