package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
	"github.com/aws/smithy-go"
)

// ledger is what the clients know: the truth that every restart of the server must keep.
type ledger struct {
	mu        sync.Mutex
	problems  []string
	jobs      map[string]*jobEntry
	actions   map[string][]*jobEntry     // by action execution, in the order of their jobs
	started   map[string]map[string]bool // executions by pipeline
	approvals map[string]string          // answers by token
	retries   map[string]int             // of executions, accepted or perhaps accepted
	lost      int                        // calls whose answer was lost
	answered  int
	// outages says that an error of a server is an answer that was lost.
	outages bool
}

// jobEntry is one job as its workers know it.
type jobEntry struct {
	id, action string
	owned      bool
	// answer is what was acknowledged: succeeded, failed or continued.
	answer string
}

func newLedger() *ledger {
	return &ledger{jobs: map[string]*jobEntry{}, actions: map[string][]*jobEntry{}, started: map[string]map[string]bool{},
		approvals: map[string]string{}, retries: map[string]int{}}
}

func (l *ledger) problem(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.problems = append(l.problems, fmt.Sprintf(format, args...))
}

// client makes one actor's calls.
type client struct {
	*codepipeline.Client
	ledger *ledger
	chance *rand.Rand
}

// persist makes a call again until the server has answered it. lost says that an answer was
// lost on the way, so the call may have been done before. Only ctx ends it without an answer.
func (c *client) persist(ctx context.Context, call func(context.Context) error) (lost bool, err error) {
	for {
		once, cancel := context.WithTimeout(ctx, 10*time.Second)
		err = call(once)
		cancel()
		var api smithy.APIError
		if err == nil || ctx.Err() != nil {
			return lost, err
		}
		if errors.As(err, &api) {
			if failed := api.ErrorFault() == smithy.FaultServer || api.ErrorCode() == "InternalFailure" || api.ErrorCode() == "InternalError"; !failed {
				return lost, err
			}
			if !c.ledger.outages {
				c.ledger.problem("the server failed: %v", err)
				return lost, err
			}
		}
		// A refused connection has carried nothing.
		if !strings.Contains(err.Error(), "connection refused") {
			lost = true
			c.ledger.mu.Lock()
			c.ledger.lost++
			c.ledger.mu.Unlock()
		}
		pause(ctx, time.Duration(5+c.chance.IntN(20))*time.Millisecond)
	}
}

func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// worker does jobs until ctx ends.
func (c *client) worker(ctx context.Context, categories []types.ActionCategory) {
	for ctx.Err() == nil {
		found := false
		for _, category := range categories {
			var out *codepipeline.PollForJobsOutput
			asked := time.Now()
			if _, err := c.persist(ctx, func(ctx context.Context) (err error) {
				asked = time.Now()
				out, err = c.PollForJobs(ctx, &codepipeline.PollForJobsInput{MaxBatchSize: new(int32(2)),
					ActionTypeId: &types.ActionTypeId{Category: category, Owner: types.ActionOwnerCustom, Provider: aws.String("Killtest"), Version: aws.String("1")}})
				return err
			}); err != nil {
				if ctx.Err() == nil {
					c.ledger.problem("PollForJobs: %v", err)
				}
				continue
			}
			for _, job := range out.Jobs {
				found = true
				c.do(ctx, job, asked)
			}
		}
		if !found {
			pause(ctx, time.Duration(2+c.chance.IntN(15))*time.Millisecond)
		}
	}
}

// do acknowledges and answers one job. asked is before it was handed out.
func (c *client) do(ctx context.Context, job types.Job, asked time.Time) {
	l, id := c.ledger, aws.ToString(job.Id)
	action := aws.ToString(job.Data.PipelineContext.Action.ActionExecutionId)
	l.mu.Lock()
	entry := l.jobs[id]
	if entry == nil {
		entry = &jobEntry{id: id, action: action}
		l.jobs[id] = entry
		l.actions[action] = append(l.actions[action], entry)
	}
	owned := entry.owned
	l.mu.Unlock()
	if owned {
		l.problem("job %s was handed out again after it was acknowledged", id) // S-317
		return
	}
	var status types.JobStatus
	lost, err := c.persist(ctx, func(ctx context.Context) error {
		out, err := c.AcknowledgeJob(ctx, &codepipeline.AcknowledgeJobInput{JobId: job.Id, Nonce: job.Nonce})
		if err == nil {
			status = out.Status
		}
		return err
	})
	switch {
	case ctx.Err() != nil:
		return
	case err == nil && status == types.JobStatusInProgress:
	case code(err) == "InvalidNonceException" && lost && time.Since(asked) < 50*time.Second: // S-306: nobody else can have it yet
	case code(err) == "InvalidNonceException" && time.Since(asked) > 50*time.Second:
		return
	default:
		l.problem("AcknowledgeJob of %s: %v %v", id, status, err)
		return
	}
	l.mu.Lock()
	if entry.owned {
		l.problems = append(l.problems, "job "+id+" has two owners")
	}
	entry.owned = true
	l.mu.Unlock()
	if c.chance.IntN(3) == 0 {
		pause(ctx, time.Duration(c.chance.IntN(60))*time.Millisecond)
	}
	c.answer(ctx, job, entry)
}

// answer reports on a job that is this worker's.
func (c *client) answer(ctx context.Context, job types.Job, entry *jobEntry) {
	kind := "succeeded"
	if n := c.chance.IntN(100); n < 8 {
		kind = "failed"
	} else if n < 14 && job.Data.ContinuationToken == nil {
		kind = "continued"
	}
	lost, err := c.persist(ctx, func(ctx context.Context) error {
		if kind == "failed" {
			_, err := c.PutJobFailureResult(ctx, &codepipeline.PutJobFailureResultInput{JobId: job.Id,
				FailureDetails: &types.FailureDetails{Type: types.FailureTypeJobFailed, Message: new("failure of " + entry.id)}})
			return err
		}
		in := &codepipeline.PutJobSuccessResultInput{JobId: job.Id, ExecutionDetails: &types.ExecutionDetails{Summary: new("done by " + entry.id)}}
		if kind == "continued" {
			in.ContinuationToken = new("after " + entry.id)
		}
		_, err := c.PutJobSuccessResult(ctx, in)
		return err
	})
	switch {
	case ctx.Err() != nil:
		return
	case err == nil:
	case code(err) == "InvalidJobStateException" && lost: // it was taken before
	default:
		c.ledger.problem("the answer to job %s (%s): %v", entry.id, kind, err)
		return
	}
	c.ledger.mu.Lock()
	defer c.ledger.mu.Unlock()
	entry.answer = kind
	c.ledger.answered++
}

// drive starts executions of a pipeline, answers its approvals and retries its failures,
// until ctx ends. After quiet is closed it starts and retries nothing more, and says on
// rest when all executions have ended.
func (c *client) drive(ctx context.Context, name string, quiet <-chan struct{}, rest func()) {
	for ctx.Err() == nil {
		calm := false
		select {
		case <-quiet:
			calm = true
		default:
		}
		open := c.unfinished(ctx, name)
		if open == 0 && calm {
			rest()
			return
		}
		c.approve(ctx, name)
		if !calm {
			if c.chance.IntN(3) == 0 {
				c.retry(ctx, name)
			}
			if open < 4 {
				c.start(ctx, name)
			}
		}
		pause(ctx, time.Duration(10+c.chance.IntN(60))*time.Millisecond)
	}
}

// executions lists all executions of a pipeline.
func (c *client) executions(ctx context.Context, name string) (list []types.PipelineExecutionSummary, err error) {
	for in := (&codepipeline.ListPipelineExecutionsInput{PipelineName: &name}); ; {
		var page *codepipeline.ListPipelineExecutionsOutput
		if _, err := c.persist(ctx, func(ctx context.Context) (err error) {
			page, err = c.ListPipelineExecutions(ctx, in)
			return err
		}); err != nil {
			return nil, err
		}
		list = append(list, page.PipelineExecutionSummaries...)
		if in.NextToken = page.NextToken; in.NextToken == nil {
			return list, nil
		}
	}
}

// unfinished counts the executions that have not ended. An old one may be among them.
func (c *client) unfinished(ctx context.Context, name string) int {
	list, err := c.executions(ctx, name)
	if err != nil {
		if ctx.Err() == nil {
			c.ledger.problem("ListPipelineExecutions of %s: %v", name, err)
		}
		return 1
	}
	return len(slices.DeleteFunc(list, func(e types.PipelineExecutionSummary) bool {
		return e.Status != types.PipelineExecutionStatusInProgress && e.Status != types.PipelineExecutionStatusStopping
	}))
}

func (c *client) start(ctx context.Context, name string) {
	token := fmt.Sprintf("%s-%d", name, c.chance.Uint64())
	var out *codepipeline.StartPipelineExecutionOutput
	if _, err := c.persist(ctx, func(ctx context.Context) (err error) {
		out, err = c.StartPipelineExecution(ctx, &codepipeline.StartPipelineExecutionInput{Name: &name, ClientRequestToken: &token})
		return err
	}); err != nil {
		if ctx.Err() == nil {
			c.ledger.problem("StartPipelineExecution of %s: %v", name, err)
		}
		return
	}
	c.ledger.mu.Lock()
	defer c.ledger.mu.Unlock()
	if c.ledger.started[name] == nil {
		c.ledger.started[name] = map[string]bool{}
	}
	c.ledger.started[name][aws.ToString(out.PipelineExecutionId)] = true
}

func (c *client) state(ctx context.Context, name string) (out *codepipeline.GetPipelineStateOutput) {
	if _, err := c.persist(ctx, func(ctx context.Context) (err error) {
		out, err = c.GetPipelineState(ctx, &codepipeline.GetPipelineStateInput{Name: &name})
		return err
	}); err != nil {
		if ctx.Err() == nil {
			c.ledger.problem("GetPipelineState of %s: %v", name, err)
		}
		return &codepipeline.GetPipelineStateOutput{}
	}
	return out
}

func (c *client) approve(ctx context.Context, name string) {
	for _, stage := range c.state(ctx, name).StageStates {
		for _, action := range stage.ActionStates {
			if action.LatestExecution == nil || action.LatestExecution.Token == nil || action.LatestExecution.Status != types.ActionExecutionStatusInProgress {
				continue
			}
			token, answer := aws.ToString(action.LatestExecution.Token), types.ApprovalStatusApproved
			if c.chance.IntN(8) == 0 {
				answer = types.ApprovalStatusRejected
			}
			lost, err := c.persist(ctx, func(ctx context.Context) error {
				_, err := c.PutApprovalResult(ctx, &codepipeline.PutApprovalResultInput{PipelineName: &name, StageName: stage.StageName,
					ActionName: action.ActionName, Token: &token, Result: &types.ApprovalResult{Status: answer, Summary: new("answer to " + token)}})
				return err
			})
			if ctx.Err() != nil {
				return
			}
			if err != nil && !(lost && code(err) == "ApprovalAlreadyCompletedException") {
				c.ledger.problem("PutApprovalResult on %s: %v", name, err)
				continue
			}
			c.ledger.mu.Lock()
			c.ledger.approvals[aws.ToString(action.LatestExecution.ActionExecutionId)] = string(answer) + " answer to " + token
			c.ledger.mu.Unlock()
		}
	}
}

func (c *client) retry(ctx context.Context, name string) {
	for _, stage := range c.state(ctx, name).StageStates {
		if stage.LatestExecution == nil || stage.LatestExecution.Status != types.StageExecutionStatusFailed {
			continue
		}
		id := aws.ToString(stage.LatestExecution.PipelineExecutionId)
		lost, err := c.persist(ctx, func(ctx context.Context) error {
			_, err := c.RetryStageExecution(ctx, &codepipeline.RetryStageExecutionInput{PipelineName: &name, StageName: stage.StageName,
				PipelineExecutionId: &id, RetryMode: types.StageRetryModeFailedActions})
			return err
		})
		c.ledger.mu.Lock()
		if err == nil || lost {
			c.ledger.retries[id]++
		}
		c.ledger.mu.Unlock()
	}
}
