// Package provider is the contract between the engine's jobs and the code that does them.
//
// A provider is an ordinary AWS SDK program: it is given a job, calls services through the
// configuration in its environment and says how it went. It cannot tell whether a service
// is one of this server's own or elsewhere.
package provider

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"penstock/internal/pipeline"
)

// Provider does the actions of its types.
type Provider interface {
	// Types are the action types this provider runs: what may be configured, how many
	// artifacts go in and out, how long it may take. The answer never changes.
	Types() []pipeline.ActionType

	// Run does one job and says how it ended. It is called from many goroutines at once,
	// for different jobs. After a crash of the server it is called again for a job that may
	// have been half done: the second run must find what the first left behind by
	// Job.ActionExecutionID and must not do the work twice where that can be told.
	//
	// When ctx ends, because the action was abandoned, timed out or the server stops, Run
	// stops what it started on this machine and returns soon; its result is then ignored.
	// What it started elsewhere it stops if the cause of ctx is ErrAborted; else the next
	// Run takes it up.
	// Failures are results, not panics. Whatever a service answered goes through Failed, so
	// that every failure names what was tried, on what, with which role, and what to do.
	Run(ctx context.Context, job Job) Result
}

// ErrAborted is the cause of a context that ends because nobody wants the work any more: the
// action was abandoned or timed out.
var ErrAborted = errors.New("the action was abandoned or timed out")

// Job is one unit of work for a provider.
type Job struct {
	ID                string
	ActionExecutionID string
	ExecutionID       string
	Type              pipeline.ActionTypeID
	Account, Region   string
	Pipeline          string
	PipelineARN       string
	Stage, Action     string
	// RoleARN is the role the work is done with; Env.AWS already uses it.
	RoleARN       string
	Configuration map[string]string
	// Commands is what a Commands action or rule runs, line by line in one shell, and is empty
	// for every other; Environment belongs to them (S-43, S-45).
	Commands    []string
	Environment []pipeline.EnvironmentVariable
	// Files are the patterns of what is kept of the work in the output, and OutputVariables
	// the names of the variables that are (S-44, S-46).
	Files, OutputVariables []string
	// Inputs exist; Outputs are the places the outputs must be written to (S-285).
	Inputs, Outputs []pipeline.Artifact
	// EncryptionKey encrypts outputs; nil means the store's own key (S-291).
	EncryptionKey *pipeline.EncryptionKey
	Overrides     []pipeline.SourceRevisionOverride
	// ApprovalToken is the token of a pending approval, whose request the job publishes (S-229).
	ApprovalToken string
	// Trigger is what started the execution; source actions only have it.
	Trigger pipeline.Trigger
	// ContinuationToken is what the job before this one gave to Continue (S-312).
	ContinuationToken string
	// Function is the ARN of the function that is the executor of the action type (S-321).
	Function string
	// Deadline is when the action times out.
	Deadline time.Time
	Env      Env
}

// Env is what a job may use of the server.
type Env struct {
	// AWS is the configuration for calls with the action's role, in the action's Region. It
	// works with every SDK client; S3 clients need UsePathStyle.
	AWS aws.Config
	// ArtifactAWS is the same for the artifact store, with the pipeline's role.
	ArtifactAWS aws.Config
	// Credentials makes credentials that read the job's inputs and write its outputs, and
	// nothing else, for whoever does the work elsewhere (S-310).
	Credentials func(ctx context.Context) (aws.Credentials, error)
	// Changed waits until the resource may have changed, at most for the given time, or
	// until ctx ends. It is only a hint: ask the service afterwards. Take the channel before
	// asking for the state, so that no change is missed in between:
	//
	//	for {
	//		changed := job.Env.Changed(arn)
	//		… ask; if done, return …
	//		provider.Wait(ctx, changed, 5*time.Second)
	//	}
	Changed func(arn string) <-chan struct{}
	// Progress shows news of the work at once; errors do not concern the provider.
	Progress func(Progress)
	// ConsoleURL is the address of this server for people, without a slash at the end.
	ConsoleURL string
	Log        *slog.Logger
}

// Progress is what users see of work in progress. Empty members change nothing.
type Progress struct {
	Summary      string
	ExternalID   string
	ExternalURL  string
	LogStreamARN string
	// Percent is 0 to 100.
	Percent *int
}

// Result is how a job ended: at most one of Error, Continue and Elsewhere is set, and none for
// success.
type Result struct {
	Progress
	// Elsewhere says that the job has not ended: it is done outside of this server, by somebody
	// who knows its id and reports with it (S-323).
	Elsewhere bool
	// Error says why the action failed.
	Error *pipeline.ErrorDetails
	// Continue is a token for the next job of the same action (S-312), due After from now; an
	// After that is not zero alone asks for a next job without a token.
	Continue string
	After    time.Duration
	// OutputVariables and Revision belong to success.
	OutputVariables map[string]string
	Revision        *pipeline.Revision
}

// Continues says whether another job of the same action comes after this one.
func (r Result) Continues() bool { return r.Continue != "" || r.After > 0 }

// Wait returns when the channel is closed, the time is over or ctx has ended.
func Wait(ctx context.Context, changed <-chan struct{}, max time.Duration) {
	t := time.NewTimer(max)
	defer t.Stop()
	select {
	case <-changed:
	case <-t.C:
	case <-ctx.Done():
	}
}
