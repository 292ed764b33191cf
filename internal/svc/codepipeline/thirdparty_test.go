package codepipeline

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/auth"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// scanner is the type of a third party that the tests declare.
func scanner() *api.ActionTypeDeclaration {
	return &api.ActionTypeDeclaration{
		Description:          "Scans what was built.",
		Executor:             &api.ActionTypeExecutor{Type: "JobWorker", JobTimeout: new(int32(600)), Configuration: &api.ExecutorConfiguration{JobWorkerExecutorConfiguration: &api.JobWorkerExecutorConfiguration{PollingAccounts: []string{account}}}},
		Id:                   &api.ActionTypeIdentifier{Category: "Test", Owner: "ThirdParty", Provider: "Scanner", Version: "1"},
		InputArtifactDetails: &api.ActionTypeArtifactDetails{MinimumCount: new(int32(0)), MaximumCount: new(int32(10))}, OutputArtifactDetails: &api.ActionTypeArtifactDetails{MinimumCount: new(int32(0)), MaximumCount: new(int32(0))},
		Properties: []api.ActionTypeProperty{{Name: "Project", Optional: new(false), Key: new(true), NoEcho: new(false), Queryable: new(true)},
			{Name: "Token", Optional: new(true), Key: new(false), NoEcho: new(true)}},
		Urls: &api.ActionTypeUrls{ExecutionUrlTemplate: "https://scanner.example/{Config:Project}/{ExternalExecutionId}"},
	}
}

const secretToken = "the token of the scanner"

const clientOfScanner = "11111111-2222-4333-8444-555555555555"

// thirdParty declares the type, gives user "scanner" a pair, and starts a pipeline whose second
// stage is of the type. It gives the context of the user.
func (w *world) thirdParty() context.Context {
	w.Helper()
	w.workerType()
	must(w, 0, drop(w.UpdateActionType(w.ctx, &api.UpdateActionTypeInput{ActionType: scanner()})))
	must(w, 0, w.DB.Update(w.ctx, func(tx *store.Tx) error {
		return tx.CreateServiceCredential(w.ctx, store.ServiceCredential{ID: "ACCA1", Account: account, User: "scanner", Service: "codepipeline.amazonaws.com", Client: clientOfScanner}, secretToken)
	}))
	d := definition("p")
	d.Stages[1].Actions[0] = api.ActionDeclaration{Name: "Scan", ActionTypeId: &api.ActionTypeId{Category: "Test", Owner: "ThirdParty", Provider: "Scanner", Version: "1"},
		Configuration: map[string]string{"Project": "app", "Token": "hunter2"}, InputArtifacts: []api.InputArtifact{{Name: "code"}}}
	must(w, 0, drop(w.CreatePipeline(w.ctx, &api.CreatePipelineInput{Pipeline: d})))
	w.work("Source", "get", nil)
	return auth.Trusted(w.ctx, auth.Caller{Account: account, Region: region, ARN: "arn:aws:iam::111111111111:user/scanner", UserName: "scanner"})
}

func (w *world) pollThirdParty(ctx context.Context) []api.ThirdPartyJob {
	w.Helper()
	out, err := w.PollForThirdPartyJobs(ctx, &api.PollForThirdPartyJobsInput{ActionTypeId: &api.ActionTypeId{Category: "Test", Owner: "ThirdParty", Provider: "Scanner", Version: "1"}})
	return must(w, out, err).Jobs
}

// S-318, S-319, S-320, A-2, A-16, A-28, A-33, A-34: a partner finds a job, learns of it by its
// token, acknowledges, continues and ends it.
func TestThirdPartyJobs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, storetest.SQLite(t))
		ctx := w.thirdParty()
		jobs := w.pollThirdParty(ctx)
		if len(jobs) != 1 || jobs[0].ClientId != clientOfScanner {
			t.Fatalf("%+v", jobs)
		}
		if again := w.pollThirdParty(ctx); len(again) != 0 {
			t.Errorf("handed out twice: %+v", again)
		}
		id := jobs[0].JobId
		details, err := w.GetThirdPartyJobDetails(ctx, &api.GetThirdPartyJobDetailsInput{JobId: id, ClientToken: secretToken})
		job := must(w, details, err).JobDetails
		c := job.Data.PipelineContext
		if job.Id != id || job.Nonce == "" || c.PipelineName != "p" || c.Stage.Name != "Build" || c.Action.Name != "Scan" || c.PipelineArn != "" || c.PipelineExecutionId != "" {
			t.Errorf("%+v in %+v", job, c)
		}
		if job.Data.ActionConfiguration.Configuration["Token"] != "hunter2" || job.Data.InputArtifacts[0].Revision != "r1" || job.Data.ArtifactCredentials == nil {
			t.Errorf("data %+v", job.Data)
		}
		w.refused("InvalidClientTokenException", drop(w.GetThirdPartyJobDetails(ctx, &api.GetThirdPartyJobDetailsInput{JobId: id, ClientToken: "guess"})))
		w.refused("InvalidClientTokenException", drop(w.AcknowledgeThirdPartyJob(ctx, &api.AcknowledgeThirdPartyJobInput{JobId: id, Nonce: job.Nonce, ClientToken: "guess"})))
		w.refused("InvalidNonceException", drop(w.AcknowledgeThirdPartyJob(ctx, &api.AcknowledgeThirdPartyJobInput{JobId: id, Nonce: "guess", ClientToken: secretToken})))
		w.refused("InvalidJobStateException", drop(w.PutThirdPartyJobSuccessResult(ctx, &api.PutThirdPartyJobSuccessResultInput{JobId: id, ClientToken: secretToken})))
		w.refused("JobNotFoundException", drop(w.GetJobDetails(ctx, &api.GetJobDetailsInput{JobId: id}))) // it is none of a custom type
		w.refused("JobNotFoundException", drop(w.PutJobSuccessResult(ctx, &api.PutJobSuccessResultInput{JobId: id})))
		ack, err := w.AcknowledgeThirdPartyJob(ctx, &api.AcknowledgeThirdPartyJobInput{JobId: id, Nonce: job.Nonce, ClientToken: secretToken})
		if must(w, ack, err).Status != "InProgress" {
			t.Errorf("status %s", ack.Status)
		}
		must(w, 0, drop(w.PutThirdPartyJobSuccessResult(ctx, &api.PutThirdPartyJobSuccessResultInput{JobId: id, ClientToken: secretToken, ContinuationToken: "half",
			ExecutionDetails: &api.ExecutionDetails{ExternalExecutionId: "scan-1", PercentComplete: new(int32(50))}})))
		time.Sleep(31 * time.Second) // S-312, in the bubble's time
		next := w.pollThirdParty(ctx)
		if len(next) != 1 || next[0].JobId == id {
			t.Fatalf("continued by %+v", next)
		}
		id = next[0].JobId
		details, err = w.GetThirdPartyJobDetails(ctx, &api.GetThirdPartyJobDetailsInput{JobId: id, ClientToken: secretToken})
		if job = must(w, details, err).JobDetails; job.Data.ContinuationToken != "half" {
			t.Errorf("%+v", job.Data)
		}
		must(w, 0, drop(w.AcknowledgeThirdPartyJob(ctx, &api.AcknowledgeThirdPartyJobInput{JobId: id, Nonce: job.Nonce, ClientToken: secretToken})))
		w.refused("InvalidClientTokenException", drop(w.PutThirdPartyJobFailureResult(ctx, &api.PutThirdPartyJobFailureResultInput{JobId: id, ClientToken: "guess",
			FailureDetails: &api.FailureDetails{Type: "JobFailed", Message: "no"}})))
		must(w, 0, drop(w.PutThirdPartyJobFailureResult(ctx, &api.PutThirdPartyJobFailureResultInput{JobId: id, ClientToken: secretToken,
			FailureDetails: &api.FailureDetails{Type: "JobFailed", Message: "two findings"}})))
		run := w.state("p").StageStates[1].ActionStates[0].LatestExecution
		if run.Status != "Failed" || run.ErrorDetails.Message != "two findings" || run.ExternalExecutionUrl != "https://scanner.example/app/scan-1" {
			t.Errorf("%+v", run)
		}
	})
}

// S-319: a job belongs to the client it was handed to last, as long as that one is active.
func TestThirdPartyClients(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.thirdParty()
		stranger := auth.Trusted(w.ctx, auth.Caller{Account: account, Region: region, UserName: "stranger"})
		poll := &api.PollForThirdPartyJobsInput{ActionTypeId: &api.ActionTypeId{Category: "Test", Owner: "ThirdParty", Provider: "Scanner", Version: "1"}, MaxBatchSize: new(int32(1000))}
		w.refused("ValidationException", drop(w.PollForThirdPartyJobs(stranger, poll)))
		w.refused("AccessDeniedException", drop(w.PollForThirdPartyJobs(w.Context(), poll)))
		for owner, class := range map[string]string{"Custom": "ValidationException", "AWS": "ValidationException", "ThirdParty": "ActionTypeNotFoundException"} {
			w.refused(class, drop(w.PollForThirdPartyJobs(ctx, &api.PollForThirdPartyJobsInput{ActionTypeId: &api.ActionTypeId{Category: "Invoke", Owner: owner, Provider: "Snyk", Version: "1"}})))
		}
		w.refused("JobNotFoundException", drop(w.GetThirdPartyJobDetails(ctx, &api.GetThirdPartyJobDetailsInput{JobId: "none", ClientToken: secretToken})))
		id := w.pollThirdParty(ctx)[0].JobId
		elsewhere := auth.Trusted(w.ctx, auth.Caller{Account: account, Region: "us-east-1", UserName: "scanner"})
		w.refused("JobNotFoundException", drop(w.GetThirdPartyJobDetails(elsewhere, &api.GetThirdPartyJobDetailsInput{JobId: id, ClientToken: secretToken})))
		must(w, 0, w.DB.Update(w.ctx, func(tx *store.Tx) error {
			return tx.SetServiceCredentialActive(w.ctx, account, "scanner", "ACCA1", false)
		}))
		w.refused("InvalidClientTokenException", drop(w.GetThirdPartyJobDetails(ctx, &api.GetThirdPartyJobDetailsInput{JobId: id, ClientToken: secretToken})))
		w.refused("ValidationException", drop(w.PollForThirdPartyJobs(ctx, poll)))
	})
}

// S-301, P-46, P-47: types of third parties are declared, shown, listed and kept safe.
func TestDeclaredActionTypes(t *testing.T) {
	each(t, func(w *world) {
		update := func(change func(d *api.ActionTypeDeclaration)) error {
			d := scanner()
			change(d)
			return drop(w.UpdateActionType(w.ctx, &api.UpdateActionTypeInput{ActionType: d}))
		}
		get := &api.GetActionTypeInput{Category: "Test", Owner: "ThirdParty", Provider: "Scanner", Version: "1"}
		w.refused("ActionTypeNotFoundException", drop(w.GetActionType(w.ctx, get)))
		must(w, 0, update(func(*api.ActionTypeDeclaration) {}))
		out, err := w.GetActionType(w.ctx, get)
		if d := must(w, out, err).ActionType; d.Description != "Scans what was built." || *d.Executor.JobTimeout != 600 || len(d.Properties) != 2 ||
			d.Executor.Configuration.JobWorkerExecutorConfiguration.PollingAccounts[0] != account {
			w.Errorf("%+v", d)
		}
		w.refused("ValidationException", update(func(d *api.ActionTypeDeclaration) { d.Properties[1].Optional = new(false) }))
		w.refused("ValidationException", update(func(d *api.ActionTypeDeclaration) { d.Executor.Type = "Lambda" }))
		w.refused("ValidationException", update(func(d *api.ActionTypeDeclaration) { d.Executor.Type, d.Executor.Configuration = "Lambda", nil }))
		// A type is of its account: nobody else can be let in, and no service polls.
		worker := func(d *api.ActionTypeDeclaration) *api.JobWorkerExecutorConfiguration {
			return d.Executor.Configuration.JobWorkerExecutorConfiguration
		}
		must(w, 0, update(func(d *api.ActionTypeDeclaration) {
			d.Permissions = &api.ActionTypePermissions{AllowedAccounts: []string{account}}
		}))
		for _, other := range []string{"*", "222222222222"} {
			w.refused("ValidationException", update(func(d *api.ActionTypeDeclaration) {
				d.Permissions = &api.ActionTypePermissions{AllowedAccounts: []string{account, other}}
			}))
		}
		w.refused("ValidationException", update(func(d *api.ActionTypeDeclaration) { worker(d).PollingAccounts = []string{"222222222222"} }))
		w.refused("ValidationException", update(func(d *api.ActionTypeDeclaration) {
			worker(d).PollingServicePrincipals = []string{"scanner.amazonaws.com"}
		}))
		lambda := &api.LambdaExecutorConfiguration{LambdaFunctionArn: "arn:aws:lambda:eu-west-1:111111111111:function:f"}
		w.refused("ValidationException", update(func(d *api.ActionTypeDeclaration) { d.Executor.Configuration.LambdaExecutorConfiguration = lambda }))
		w.refused("ValidationException", update(func(d *api.ActionTypeDeclaration) {
			d.Executor.Type, d.Executor.Configuration.LambdaExecutorConfiguration = "Lambda", lambda
		}))
		w.refused("ValidationException", update(func(d *api.ActionTypeDeclaration) { d.Id.Owner = "AWS" }))
		w.refused("ValidationException", update(func(d *api.ActionTypeDeclaration) { d.Id.Category = "Compute" }))
		w.refused("ValidationException", update(func(d *api.ActionTypeDeclaration) { d.InputArtifactDetails.MaximumCount = new(int32(11)) }))
		w.refused("ValidationException", update(func(d *api.ActionTypeDeclaration) { d.Urls.EntityUrlTemplate = "https://x/{Config:Token}" }))
		// A type that the server knows and does not run can be run by its vendor's workers.
		must(w, 0, update(func(d *api.ActionTypeDeclaration) { d.Id.Category, d.Id.Provider = "Invoke", "Snyk" }))
		list, err := w.ListActionTypes(w.ctx, &api.ListActionTypesInput{ActionOwnerFilter: "ThirdParty"})
		n := map[string]int{}
		for _, typ := range must(w, list, err).ActionTypes {
			n[typ.Id.Provider]++
		}
		if n["Scanner"] != 1 || n["Snyk"] != 1 || n["GitHub"] != 1 {
			w.Errorf("listed %v", n)
		}
		ctx, err := auth.Limited(w.ctx, auth.From(w.ctx), `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"codepipeline:GetActionType","Resource":"*"}]}`)
		must(w, 0, err)
		must(w, 0, drop(w.GetActionType(ctx, get)))
		w.refused("AccessDeniedException", drop(w.UpdateActionType(ctx, &api.UpdateActionTypeInput{ActionType: scanner()})))
	})
}

// S-321, P-47: the executor of a type can be a function, which GetActionType shows. Its jobs are
// not handed to workers elsewhere, and nobody reports on them but the server that invoked it.
func TestFunctionExecutor(t *testing.T) {
	each(t, func(w *world) {
		const function = "arn:aws:lambda:eu-west-1:111111111111:function:scan"
		ctx := w.thirdParty()
		before := w.pollThirdParty(ctx)[0].JobId
		d := scanner()
		d.Executor = &api.ActionTypeExecutor{Type: "Lambda", JobTimeout: new(int32(600)), Configuration: &api.ExecutorConfiguration{
			LambdaExecutorConfiguration: &api.LambdaExecutorConfiguration{LambdaFunctionArn: function}}}
		must(w, 0, drop(w.UpdateActionType(w.ctx, &api.UpdateActionTypeInput{ActionType: d})))
		out, err := w.GetActionType(w.ctx, &api.GetActionTypeInput{Category: "Test", Owner: "ThirdParty", Provider: "Scanner", Version: "1"})
		if e := must(w, out, err).ActionType.Executor; e.Type != "Lambda" || *e.JobTimeout != 600 || e.Configuration.LambdaExecutorConfiguration.LambdaFunctionArn != function {
			w.Errorf("%+v", e)
		}
		// What a worker has in hand it may end; the next run is the function's.
		details, err := w.GetThirdPartyJobDetails(ctx, &api.GetThirdPartyJobDetailsInput{JobId: before, ClientToken: secretToken})
		must(w, 0, drop(w.AcknowledgeThirdPartyJob(ctx, &api.AcknowledgeThirdPartyJobInput{JobId: before, ClientToken: secretToken, Nonce: must(w, details, err).JobDetails.Nonce})))
		must(w, 0, drop(w.PutThirdPartyJobFailureResult(ctx, &api.PutThirdPartyJobFailureResultInput{JobId: before, ClientToken: secretToken,
			FailureDetails: &api.FailureDetails{Type: "JobFailed", Message: "two findings"}})))
		must(w, 0, drop(w.RetryStageExecution(w.ctx, &api.RetryStageExecutionInput{PipelineName: "p", StageName: "Build", RetryMode: "FAILED_ACTIONS",
			PipelineExecutionId: w.state("p").StageStates[1].LatestExecution.PipelineExecutionId})))
		if jobs := w.pollThirdParty(ctx); len(jobs) != 0 {
			w.Errorf("handed out: %+v", jobs)
		}
		var rows []*store.JobRow
		var now time.Time
		must(w, 0, w.DB.Update(w.ctx, func(tx *store.Tx) (err error) {
			now = tx.Now()
			rows, err = tx.ClaimJobs(w.ctx, []string{store.FunctionQueue}, "here", 9, time.Minute, nil, nil)
			return err
		}))
		if len(rows) != 1 || rows[0].Function != function || rows[0].Deadline.Sub(now) > 10*time.Minute {
			w.Fatalf("%+v", rows)
		}
		id := string(rows[0].ID)
		w.refused("InvalidClientTokenException", drop(w.PutThirdPartyJobSuccessResult(ctx, &api.PutThirdPartyJobSuccessResultInput{JobId: id, ClientToken: secretToken})))
		w.refused("JobNotFoundException", drop(w.PutJobSuccessResult(ctx, &api.PutJobSuccessResultInput{JobId: id})))
	})
}
