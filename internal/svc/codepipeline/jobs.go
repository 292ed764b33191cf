package codepipeline

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strings"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/auth"
	"penstock/internal/conductor"
	"penstock/internal/engine"
	"penstock/internal/fault"
	"penstock/internal/pipeline"
	"penstock/internal/store"
)

// maxPoll bounds the jobs one poll hands out.
const maxPoll = 50

// PollForJobs hands out jobs of a custom action type (A-27, S-304, S-305). It answers at once.
func (r *Room) PollForJobs(ctx context.Context, in *api.PollForJobsInput) (*api.PollForJobsOutput, error) {
	c := auth.From(ctx)
	id := pipeline.ActionTypeID{Category: in.ActionTypeId.Category, Owner: in.ActionTypeId.Owner, Provider: in.ActionTypeId.Provider, Version: in.ActionTypeId.Version}
	if err := auth.Check(ctx, "codepipeline:PollForJobs", pipeline.ActionTypeARN(c.Region, c.Account, id)); err != nil {
		return nil, err
	}
	if id.Owner != pipeline.OwnerCustom {
		return nil, fault.New("ValidationException", "Jobs can only be polled for action types with owner Custom, not '%s'", id.Owner)
	}
	limit := 1
	if in.MaxBatchSize != nil {
		limit = min(int(*in.MaxBatchSize), maxPoll)
	}
	queue := store.Queue(c.Account, c.Region, id)
	query, waiting := "", false
	if err := r.DB.View(ctx, func(tx *store.Tx) error {
		t, err := tx.CustomActionType(ctx, c.Account, c.Region, id)
		if errors.Is(err, store.ErrNotFound) || t.Deleted {
			return noActionType(id)
		}
		if err != nil {
			return err
		}
		if query, err = queryValue(t.ActionType, in.QueryParam); err != nil {
			return err
		}
		waiting, err = tx.JobsWaiting(ctx, queue, query)
		return err
	}); err != nil {
		return nil, err
	}
	out := &api.PollForJobsOutput{Jobs: []api.Job{}}
	if !waiting {
		return out, nil
	}
	var rows []*store.JobRow
	if err := r.DB.Update(ctx, func(tx *store.Tx) (err error) {
		rows, err = tx.DispatchJobs(ctx, queue, query, limit, conductor.AckWindow)
		return err
	}); err != nil {
		return nil, err
	}
	for _, row := range rows {
		data, err := r.jobData(ctx, row)
		if err != nil {
			if err := r.withhold(ctx, row, err); err != nil {
				return nil, err
			}
			continue
		}
		out.Jobs = append(out.Jobs, api.Job{Id: string(row.ID), Nonce: row.Nonce, AccountId: row.Account, Data: data})
	}
	return out, nil
}

// withhold keeps a job that was handed out from a worker, because no credentials could be made for
// it: the others of the poll are delivered. What was refused would be again, so the action fails
// with the reason; a job for which something failed here comes again by itself (S-306).
func (r *Room) withhold(ctx context.Context, row *store.JobRow, err error) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		if r.Log != nil && ctx.Err() == nil {
			r.Log.ErrorContext(ctx, "codepipeline: a job is withheld from its worker for now", "job", string(row.ID), "action", row.Action, "pipeline", row.PipelineARN, "error", err)
		}
		return nil
	}
	code, mend := pipeline.ConfigurationError, "Check the artifact store of the pipeline"
	if strings.HasPrefix(f.Code, "AccessDenied") {
		code, mend = pipeline.PermissionError, "Allow it in a policy of that role"
	}
	bucket := slices.Concat(row.Inputs, row.Outputs)[0].Bucket // one without artifacts needs no credentials
	problem := pipeline.ErrorDetails{Code: code, Message: fmt.Sprintf("No credentials could be made for the artifacts of action '%s' in the bucket %s of the pipeline with the role %s: %s: %s. %s, then retry the stage.",
		row.Action, bucket, row.PipelineRoleARN, f.Code, strings.TrimRight(f.Message, ". "), mend)}
	err = r.Conductor.Report(ctx, row.ID, func(now *store.JobRow) error {
		if now.Nonce != row.Nonce {
			return fault.New("InvalidJobStateException", "The job %s was handed to another worker", row.ID)
		}
		return nil
	}, func(ref engine.JobRef) engine.Event { return engine.Fail{Job: ref, Error: problem} })
	if errors.As(err, &f) { // it ended meanwhile
		return nil
	}
	return err
}

// queryValue is the value of the queryable property that the poll asks for (S-305).
func queryValue(t pipeline.ActionType, param map[string]string) (string, error) {
	for _, p := range t.Properties {
		if !p.Queryable {
			continue
		}
		v, ok := param[p.Name]
		if !ok || len(param) != 1 {
			return "", fault.New("ValidationException", "The queryParam must give the queryable property '%s' of the action type", p.Name)
		}
		return v, nil
	}
	if len(param) > 0 {
		return "", fault.New("ValidationException", "The action type has no queryable property, so queryParam must be left out")
	}
	return "", nil
}

// jobData is what a worker elsewhere is told of a job (S-309).
func (r *Room) jobData(ctx context.Context, row *store.JobRow) (*api.JobData, error) {
	d := &api.JobData{
		ActionTypeId:        &api.ActionTypeId{Category: row.Type.Category, Owner: row.Type.Owner, Provider: row.Type.Provider, Version: row.Type.Version},
		ActionConfiguration: &api.ActionConfiguration{Configuration: row.Configuration},
		PipelineContext: &api.PipelineContext{PipelineName: row.Pipeline, PipelineArn: row.PipelineARN, PipelineExecutionId: string(row.Execution),
			Stage: &api.StageContext{Name: row.Stage}, Action: &api.ActionContext{Name: row.Action, ActionExecutionId: string(row.Run)}},
		InputArtifacts: artifacts(row.Inputs), OutputArtifacts: artifacts(row.Outputs), ContinuationToken: row.Token,
	}
	if d.ActionConfiguration.Configuration == nil {
		d.ActionConfiguration.Configuration = map[string]string{}
	}
	if k := row.EncryptionKey; k != nil {
		d.EncryptionKey = &api.EncryptionKey{Id: k.ID, Type: k.Type}
	}
	if len(row.Inputs)+len(row.Outputs) > 0 { // S-310
		creds, err := r.ArtifactCredentials(ctx, row.Job)
		if err != nil {
			return nil, err
		}
		d.ArtifactCredentials = &creds
	}
	return d, nil
}

func artifacts(list []pipeline.Artifact) []api.Artifact {
	out := make([]api.Artifact, 0, len(list))
	for _, a := range list {
		out = append(out, api.Artifact{Name: a.Name, Revision: a.Revision,
			Location: &api.ArtifactLocation{Type: "S3", S3Location: &api.S3ArtifactLocation{BucketName: a.Bucket, ObjectKey: a.Key}}})
	}
	return out
}

// owned says whether a job is of the caller's account and Region and of a type of the owner;
// every other job does not exist for workers elsewhere.
func owned(c auth.Caller, row *store.JobRow, owner string) bool {
	res, err := pipeline.ParseARN(row.PipelineARN)
	return err == nil && res.Account == c.Account && res.Region == c.Region && row.Type.Owner == owner
}

func jobNotFound(id string) error {
	return fault.New("JobNotFoundException", "There is no job with id '%s'", id)
}

// AcknowledgeJob makes a job the caller's (A-1, S-307): of several workers one wins.
func (r *Room) AcknowledgeJob(ctx context.Context, in *api.AcknowledgeJobInput) (*api.AcknowledgeJobOutput, error) {
	c := auth.From(ctx)
	if err := auth.Check(ctx, "codepipeline:AcknowledgeJob", "*"); err != nil {
		return nil, err
	}
	status, err := r.acknowledge(ctx, in.JobId, in.Nonce, func(row *store.JobRow) error {
		if !owned(c, row, pipeline.OwnerCustom) {
			return jobNotFound(in.JobId)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.AcknowledgeJobOutput{Status: string(status)}, nil
}

// acknowledge makes a job the caller's if mine finds nothing against it.
func (r *Room) acknowledge(ctx context.Context, id, nonce string, mine func(*store.JobRow) error) (engine.JobStatus, error) {
	status := engine.JobInProgress
	err := r.DB.Update(ctx, func(tx *store.Tx) error {
		row, err := tx.LockJob(ctx, pipeline.JobID(id))
		if errors.Is(err, store.ErrNotFound) {
			return jobNotFound(id)
		}
		if err != nil {
			return err
		}
		if err := mine(row); err != nil {
			return err
		}
		switch row.Status {
		case engine.JobSucceeded, engine.JobEndFailed, engine.JobTimedOut:
			status = row.Status
			return nil
		case engine.JobDispatched:
			if subtle.ConstantTimeCompare([]byte(row.Nonce), []byte(nonce)) == 1 {
				return tx.AcknowledgeJob(ctx, row.ID)
			}
		}
		return fault.New("InvalidNonceException", "The nonce is not the one the job %s was last handed out with, or the job was claimed already", id)
	})
	return status, err
}

// GetJobDetails shows a job with fresh credentials, before and after it ended (A-12, S-308).
func (r *Room) GetJobDetails(ctx context.Context, in *api.GetJobDetailsInput) (*api.GetJobDetailsOutput, error) {
	c := auth.From(ctx)
	if err := auth.Check(ctx, "codepipeline:GetJobDetails", "*"); err != nil {
		return nil, err
	}
	var row *store.JobRow
	err := r.DB.View(ctx, func(tx *store.Tx) (err error) {
		row, err = tx.Job(ctx, pipeline.JobID(in.JobId))
		if errors.Is(err, store.ErrNotFound) || err == nil && !owned(c, row, pipeline.OwnerCustom) {
			return jobNotFound(in.JobId)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	data, err := r.jobData(ctx, row)
	if err != nil {
		return nil, err
	}
	return &api.GetJobDetailsOutput{JobDetails: &api.JobDetails{Id: string(row.ID), AccountId: row.Account, Data: data}}, nil
}

// PutJobSuccessResult ends a job well, or continues its action with another (A-32, S-311, S-312).
func (r *Room) PutJobSuccessResult(ctx context.Context, in *api.PutJobSuccessResultInput) (*api.PutJobSuccessResultOutput, error) {
	if err := auth.Check(ctx, "codepipeline:PutJobSuccessResult", "*"); err != nil {
		return nil, err
	}
	if in.ContinuationToken != "" && in.OutputVariables != nil {
		return nil, fault.New("ValidationException", "outputVariables can only be given with the last job of an action, not together with a continuationToken")
	}
	return nil, r.reportCustom(ctx, in.JobId, succeeded(in))
}

// succeeded is the event that a good result means, or one that is to be continued.
func succeeded(in *api.PutJobSuccessResultInput) func(engine.JobRef) engine.Event {
	var result engine.Result
	if d := in.ExecutionDetails; d != nil {
		result = engine.Result{Summary: d.Summary, ExternalID: d.ExternalExecutionId}
		if d.PercentComplete != nil {
			result.Percent = new(int(*d.PercentComplete))
		}
	}
	var revision *pipeline.Revision
	if v := in.CurrentRevision; v != nil { // S-313
		revision = &pipeline.Revision{ID: v.Revision, ChangeIdentifier: v.ChangeIdentifier, Summary: v.RevisionSummary, Created: value(v.Created)}
	}
	return func(ref engine.JobRef) engine.Event {
		if in.ContinuationToken != "" {
			return engine.Continue{Job: ref, Result: result, Token: in.ContinuationToken, Revision: revision}
		}
		return engine.Succeed{Job: ref, Result: result, Variables: in.OutputVariables, Revision: revision}
	}
}

// PutJobFailureResult ends a job badly (A-31, S-314).
func (r *Room) PutJobFailureResult(ctx context.Context, in *api.PutJobFailureResultInput) (*api.PutJobFailureResultOutput, error) {
	if err := auth.Check(ctx, "codepipeline:PutJobFailureResult", "*"); err != nil {
		return nil, err
	}
	return nil, r.reportCustom(ctx, in.JobId, failed(in.FailureDetails))
}

// failed is the event that a bad result means.
func failed(d *api.FailureDetails) func(engine.JobRef) engine.Event {
	return func(ref engine.JobRef) engine.Event {
		return engine.Fail{Job: ref, Result: engine.Result{ExternalID: d.ExternalExecutionId},
			Error: pipeline.ErrorDetails{Code: d.Type, Message: d.Message}}
	}
}

// byFunction are the types whose jobs are done by functions, which report with the job's id and
// have not acknowledged it (S-323).
var byFunction = map[pipeline.ActionTypeID]bool{
	{Category: pipeline.CategoryInvoke, Owner: pipeline.OwnerAWS, Provider: "Lambda", Version: "1"}:     true,
	{Category: pipeline.CategoryRule, Owner: pipeline.OwnerAWS, Provider: "LambdaInvoke", Version: "1"}: true,
}

// reportCustom applies a result that came from the caller's own worker or function.
func (r *Room) reportCustom(ctx context.Context, id string, event func(engine.JobRef) engine.Event) error {
	c := auth.From(ctx)
	return r.report(ctx, id, func(row *store.JobRow) error {
		if !owned(c, row, pipeline.OwnerCustom) && !(byFunction[row.Type] && owned(c, row, pipeline.OwnerAWS)) {
			return jobNotFound(id)
		}
		return nil
	}, event)
}

// report applies a result if mine finds nothing against the job, and if the job was
// acknowledged and is in progress (S-315).
func (r *Room) report(ctx context.Context, id string, mine func(*store.JobRow) error, event func(engine.JobRef) engine.Event) error {
	return r.Conductor.Report(ctx, pipeline.JobID(id), func(row *store.JobRow) error {
		if err := mine(row); err != nil {
			return err
		}
		if row.Status != engine.JobInProgress {
			return fault.New("InvalidJobStateException", "The job %s is %s; a result is taken only from a job that was acknowledged and is in progress", id, row.Status)
		}
		return nil
	}, event)
}
