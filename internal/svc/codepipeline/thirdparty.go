package codepipeline

import (
	"context"
	"errors"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/auth"
	"penstock/internal/conductor"
	"penstock/internal/fault"
	"penstock/internal/pipeline"
	"penstock/internal/store"
)

// PollForThirdPartyJobs hands out jobs of a third party's action type (A-28, S-318). It answers
// at once and says only which jobs: what is in them is told to whoever knows the client's
// token. The client is the newest pair for this service of the user who asks (S-319).
func (r *Room) PollForThirdPartyJobs(ctx context.Context, in *api.PollForThirdPartyJobsInput) (*api.PollForThirdPartyJobsOutput, error) {
	c := auth.From(ctx)
	if err := auth.Check(ctx, "codepipeline:PollForThirdPartyJobs", "*"); err != nil {
		return nil, err
	}
	id := pipeline.ActionTypeID{Category: in.ActionTypeId.Category, Owner: in.ActionTypeId.Owner, Provider: in.ActionTypeId.Provider, Version: in.ActionTypeId.Version}
	if id.Owner != pipeline.OwnerThirdParty {
		return nil, fault.New("ValidationException", "Jobs of third parties can only be polled for action types with owner ThirdParty, not '%s'", id.Owner)
	}
	limit := 1
	if in.MaxBatchSize != nil {
		limit = min(int(*in.MaxBatchSize), maxPoll)
	}
	queue, client, waiting := store.Queue(c.Account, c.Region, id), "", false
	if err := r.DB.View(ctx, func(tx *store.Tx) error {
		if t, ok := r.Conductor.Catalogue(ctx, tx, c.Account, c.Region)(id); !ok || t.Unavailable != "" {
			return noActionType(id)
		}
		pairs, err := tx.ListServiceCredentials(ctx, c.Account, c.UserName)
		if err != nil {
			return err
		}
		for _, p := range pairs {
			if p.Active && p.Service == service {
				client = p.Client
			}
		}
		if client == "" {
			return fault.New("ValidationException", "Jobs of third parties are handed to users with a client id and token. Make a pair for this user: aws iam create-service-specific-credential --service-name %s --user-name NAME", service)
		}
		waiting, err = tx.JobsWaiting(ctx, queue, "")
		return err
	}); err != nil {
		return nil, err
	}
	out := &api.PollForThirdPartyJobsOutput{Jobs: []api.ThirdPartyJob{}}
	if !waiting {
		return out, nil
	}
	err := r.DB.Update(ctx, func(tx *store.Tx) error {
		out.Jobs = []api.ThirdPartyJob{}
		rows, err := tx.DispatchJobs(ctx, queue, "", limit, conductor.AckWindow)
		for _, row := range rows {
			if err := tx.SetJobClient(ctx, row.ID, client); err != nil {
				return err
			}
			out.Jobs = append(out.Jobs, api.ThirdPartyJob{ClientId: client, JobId: string(row.ID)})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func noActionType(id pipeline.ActionTypeID) error {
	return fault.New("ActionTypeNotFoundException", "The action type (Category: '%s', Provider: '%s', Owner: '%s', Version: '%s') does not exist",
		id.Category, id.Provider, id.Owner, id.Version)
}

// client authorises an operation on a job by the token of the client it was handed to (S-319),
// and gives a check that it is still that client's.
func (r *Room) client(ctx context.Context, operation, id, token string) (*store.JobRow, func(*store.JobRow) error, error) {
	c := auth.From(ctx)
	if err := auth.Check(ctx, "codepipeline:"+operation, "*"); err != nil {
		return nil, nil, err
	}
	stranger := fault.New("InvalidClientTokenException", "The client token is not that of the client to which the job %s was handed", id)
	var row *store.JobRow
	err := r.DB.View(ctx, func(tx *store.Tx) (err error) {
		row, err = tx.Job(ctx, pipeline.JobID(id))
		if errors.Is(err, store.ErrNotFound) || err == nil && !owned(c, row, pipeline.OwnerThirdParty) {
			return jobNotFound(id)
		}
		if err != nil {
			return err
		}
		pair, err := tx.ServiceCredentialOf(ctx, c.Account, service, row.Client)
		if errors.Is(err, store.ErrNotFound) || err == nil && (!pair.Active || !pair.Is(token)) {
			return stranger
		}
		return err
	})
	return row, func(now *store.JobRow) error {
		if now.Client != row.Client {
			return stranger
		}
		return nil
	}, err
}

// GetThirdPartyJobDetails tells the client of a job what to do, with the nonce to acknowledge
// it with and fresh credentials (A-16, S-318, S-320).
func (r *Room) GetThirdPartyJobDetails(ctx context.Context, in *api.GetThirdPartyJobDetailsInput) (*api.GetThirdPartyJobDetailsOutput, error) {
	row, _, err := r.client(ctx, "GetThirdPartyJobDetails", in.JobId, in.ClientToken)
	if err != nil {
		return nil, err
	}
	d, err := r.jobData(ctx, row)
	if err != nil {
		return nil, err
	}
	d.PipelineContext.PipelineArn, d.PipelineContext.PipelineExecutionId = "", ""
	return &api.GetThirdPartyJobDetailsOutput{JobDetails: &api.ThirdPartyJobDetails{Id: string(row.ID), Nonce: row.Nonce, Data: &api.ThirdPartyJobData{
		ActionTypeId: d.ActionTypeId, ActionConfiguration: d.ActionConfiguration, PipelineContext: d.PipelineContext,
		InputArtifacts: d.InputArtifacts, OutputArtifacts: d.OutputArtifacts, ArtifactCredentials: d.ArtifactCredentials,
		ContinuationToken: d.ContinuationToken, EncryptionKey: d.EncryptionKey}}}, nil
}

// AcknowledgeThirdPartyJob makes a job the client's (A-2, S-307).
func (r *Room) AcknowledgeThirdPartyJob(ctx context.Context, in *api.AcknowledgeThirdPartyJobInput) (*api.AcknowledgeThirdPartyJobOutput, error) {
	_, mine, err := r.client(ctx, "AcknowledgeThirdPartyJob", in.JobId, in.ClientToken)
	if err != nil {
		return nil, err
	}
	status, err := r.acknowledge(ctx, in.JobId, in.Nonce, mine)
	if err != nil {
		return nil, err
	}
	return &api.AcknowledgeThirdPartyJobOutput{Status: string(status)}, nil
}

// PutThirdPartyJobSuccessResult ends a job well, or continues its action with another.
func (r *Room) PutThirdPartyJobSuccessResult(ctx context.Context, in *api.PutThirdPartyJobSuccessResultInput) (*api.PutThirdPartyJobSuccessResultOutput, error) {
	_, mine, err := r.client(ctx, "PutThirdPartyJobSuccessResult", in.JobId, in.ClientToken)
	if err != nil {
		return nil, err
	}
	return nil, r.report(ctx, in.JobId, mine, succeeded(&api.PutJobSuccessResultInput{
		CurrentRevision: in.CurrentRevision, ContinuationToken: in.ContinuationToken, ExecutionDetails: in.ExecutionDetails}))
}

// PutThirdPartyJobFailureResult ends a job badly.
func (r *Room) PutThirdPartyJobFailureResult(ctx context.Context, in *api.PutThirdPartyJobFailureResultInput) (*api.PutThirdPartyJobFailureResultOutput, error) {
	_, mine, err := r.client(ctx, "PutThirdPartyJobFailureResult", in.JobId, in.ClientToken)
	if err != nil {
		return nil, err
	}
	return nil, r.report(ctx, in.JobId, mine, failed(in.FailureDetails))
}
