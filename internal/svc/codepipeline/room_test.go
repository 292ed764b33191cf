package codepipeline

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/auth"
	"penstock/internal/conductor"
	"penstock/internal/fault"
	"penstock/internal/pipeline"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// S-2, S-5, S-59, S-88…S-90, S-118…S-126, S-222…S-224, S-299, S-302…S-311, S-313: a release by a worker elsewhere.
func TestRelease(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		w.create("p")
		job := w.work("Source", "get", map[string]string{"commit": "abc"})
		if c := job.Data.ActionConfiguration.Configuration; c["password"] != "hunter2" {
			w.Errorf("the worker must get secrets in clear (S-309), got %v", c)
		}
		if p := job.Data.PipelineContext; p.PipelineName != "p" || p.Stage.Name != "Source" || p.Action.Name != "Get" || p.PipelineArn != "arn:aws:codepipeline:eu-west-1:111111111111:p" {
			w.Errorf("context %+v", p)
		}
		out := job.Data.OutputArtifacts[0]
		if l := out.Location.S3Location; l.BucketName != "artifacts" || !strings.HasPrefix(l.ObjectKey, "p/code/") || len(l.ObjectKey) != len("p/code/")+7 { // S-287
			w.Errorf("output at %+v", l)
		}
		if !strings.HasPrefix(job.Data.ArtifactCredentials.AccessKeyId, "ASIA") { // S-310
			w.Error("no credentials")
		}
		make := w.work("Build", "make", nil)
		if in := make.Data.InputArtifacts[0]; in.Revision != "r1" || in.Location.S3Location.ObjectKey != out.Location.S3Location.ObjectKey {
			w.Errorf("input %+v", in)
		}
		s := w.state("p")
		if got := s.StageStates[0].ActionStates[0]; got.CurrentRevision.RevisionId != "r1" || got.CurrentRevision.Created == nil || got.EntityUrl != "https://ci.example/get" ||
			got.LatestExecution.ExternalExecutionUrl != "https://ci.example/get/run-7" || got.LatestExecution.Token != "" {
			w.Errorf("source state %+v %+v", got, got.LatestExecution)
		}
		approval := s.StageStates[2].ActionStates[0].LatestExecution
		if approval.Status != "InProgress" || approval.Token == "" || !*s.StageStates[2].InboundTransitionState.Enabled {
			w.Fatalf("approval %+v", approval)
		}
		id := s.StageStates[2].LatestExecution.PipelineExecutionId
		answer := func(token string) error {
			_, err := w.PutApprovalResult(w.ctx, &api.PutApprovalResultInput{PipelineName: "p", StageName: "Release", ActionName: "Approve",
				Token: token, Result: &api.ApprovalResult{Summary: "fine", Status: "Approved"}})
			return err
		}
		w.refused("InvalidApprovalTokenException", answer("00000000-0000-4000-8000-000000000000")) // S-227
		if err := answer(approval.Token); err != nil {
			w.Fatal(err)
		}
		w.refused("ApprovalAlreadyCompletedException", answer(approval.Token))
		e, err := w.GetPipelineExecution(w.ctx, &api.GetPipelineExecutionInput{PipelineName: "p", PipelineExecutionId: id})
		if x := must(w, e, err).PipelineExecution; x.Status != "Succeeded" || x.Trigger.TriggerType != "CreatePipeline" || x.ArtifactRevisions[0].RevisionId != "r1" ||
			x.ArtifactRevisions[0].RevisionSummary != "first" || x.ExecutionMode != "SUPERSEDED" || x.ExecutionType != "STANDARD" {
			w.Errorf("execution %+v", x)
		}
		list, err := w.ListActionExecutions(w.ctx, &api.ListActionExecutionsInput{PipelineName: "p"})
		details := must(w, list, err).ActionExecutionDetails
		if len(details) != 3 || details[0].ActionName != "Approve" || details[0].UpdatedBy != "arn:aws:iam::111111111111:user/admin" || details[0].Output.ExecutionResult.ExternalExecutionSummary != "fine" {
			w.Errorf("actions %+v", details)
		}
		if got := details[0].Input.ResolvedConfiguration["CustomData"]; got != "release abc?" { // S-231, S-274
			w.Errorf("resolved %q", got)
		}
		text, _ := json.Marshal(details)
		if strings.Contains(string(text), "hunter2") || !strings.Contains(string(text), `"password":"****"`) { // S-38
			w.Errorf("secrets in %s", text)
		}
		if details[2].Output.OutputVariables["commit"] != "abc" || details[2].Input.Namespace != "src" { // S-124
			w.Errorf("source detail %+v", details[2].Output)
		}
		all, err := w.ListPipelineExecutions(w.ctx, &api.ListPipelineExecutionsInput{PipelineName: "p"})
		if x := must(w, all, err).PipelineExecutionSummaries; len(x) != 1 || x[0].SourceRevisions[0].RevisionSummary != "first" || x[0].LastUpdateTime.Before(*x[0].StartTime) {
			w.Errorf("executions %+v", x)
		}
	})
}

// S-306, S-307, S-315, S-317: a job has one owner, and its result counts once.
func TestJobOwnership(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		w.create("p")
		j := w.poll("Source", "get")
		if again := w.poll("Source", "get"); again != nil {
			w.Fatal("the job was handed out twice")
		}
		put := func() error {
			_, err := w.PutJobSuccessResult(w.ctx, &api.PutJobSuccessResultInput{JobId: j.Id})
			return err
		}
		w.refused("InvalidJobStateException", put()) // not acknowledged
		_, err := w.AcknowledgeJob(w.ctx, &api.AcknowledgeJobInput{JobId: j.Id, Nonce: "x"})
		w.refused("InvalidNonceException", err)
		w.acknowledge(j)
		_, err = w.AcknowledgeJob(w.ctx, &api.AcknowledgeJobInput{JobId: j.Id, Nonce: j.Nonce})
		w.refused("InvalidNonceException", err)
		if err := put(); err != nil {
			w.Fatal(err)
		}
		w.refused("InvalidJobStateException", put())
		_, err = w.PutJobFailureResult(w.ctx, &api.PutJobFailureResultInput{JobId: j.Id, FailureDetails: &api.FailureDetails{Type: "JobFailed", Message: "no"}})
		w.refused("InvalidJobStateException", err)
		out, err := w.AcknowledgeJob(w.ctx, &api.AcknowledgeJobInput{JobId: j.Id, Nonce: j.Nonce})
		if must(w, out, err).Status != "Succeeded" {
			w.Errorf("a finished job answers with its status, got %v", out)
		}
		other := auth.Trusted(w.ctx, auth.Caller{Account: "222222222222", Region: region})
		_, err = w.GetJobDetails(other, &api.GetJobDetailsInput{JobId: j.Id})
		w.refused("JobNotFoundException", err)
		d, err := w.GetJobDetails(w.ctx, &api.GetJobDetailsInput{JobId: j.Id})
		if must(w, d, err).JobDetails.Data.ActionConfiguration.Configuration["job"] != "get" { // S-308
			w.Error("details")
		}
	})
}

// S-304, S-305: polling refuses what is not a custom type's.
func TestPollRefusals(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		poll := func(owner, provider string, query map[string]string) error {
			_, err := w.PollForJobs(w.ctx, &api.PollForJobsInput{QueryParam: query,
				ActionTypeId: &api.ActionTypeId{Category: "Build", Owner: owner, Provider: provider, Version: "1"}})
			return err
		}
		w.refused("ValidationException", poll("AWS", "CodeBuild", nil))
		w.refused("ActionTypeNotFoundException", poll("Custom", "Nobody", nil))
		w.refused("ValidationException", poll("Custom", "Worker", nil))
		w.refused("ValidationException", poll("Custom", "Worker", map[string]string{"other": "x"}))
		_, err := w.DeleteCustomActionType(w.ctx, &api.DeleteCustomActionTypeInput{Category: "Build", Provider: "Worker", Version: "1"}) // S-300
		must(w, 0, err)
		w.refused("ActionTypeNotFoundException", poll("Custom", "Worker", map[string]string{"job": "x"}))
		w.workerType() // the same definition restores it
		if err := poll("Custom", "Worker", map[string]string{"job": "x"}); err != nil {
			w.Error(err)
		}
	})
}

// S-103: a clientRequestToken counts once.
func TestStartToken(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		w.create("p")
		start := func(token string) (*api.StartPipelineExecutionOutput, error) {
			return w.StartPipelineExecution(w.ctx, &api.StartPipelineExecutionInput{Name: "p", ClientRequestToken: token})
		}
		first, err := start("one")
		must(w, first, err)
		again, err := start("one")
		if must(w, again, err).PipelineExecutionId != first.PipelineExecutionId {
			w.Error("the token started two executions")
		}
		next, err := start("two")
		if must(w, next, err).PipelineExecutionId == first.PipelineExecutionId {
			w.Error("another token must start another execution")
		}
		_, err = w.StartPipelineExecution(w.ctx, &api.StartPipelineExecutionInput{Name: "p", ClientRequestToken: "one",
			SourceRevisions: []api.SourceRevisionOverride{{ActionName: "Get", RevisionType: "COMMIT_ID", RevisionValue: "x"}}})
		w.refused("ConflictException", err)
	})
}

// S-7, S-14, S-38, S-60, S-62, S-66, S-68, S-364: create, read, replace, delete.
func TestVersions(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		d := definition("p")
		made, err := w.CreatePipeline(w.ctx, &api.CreatePipelineInput{Pipeline: d, Tags: []api.Tag{{Key: "team", Value: "a"}}})
		must(w, made, err)
		if p := made.Pipeline; *p.Version != 1 || p.PipelineType != "V1" || p.Stages[0].Actions[0].Configuration["password"] != "****" ||
			*p.Stages[0].Actions[0].RunOrder != 1 || p.Stages[0].Actions[0].InputArtifacts == nil || made.Tags[0].Key != "team" { // W-14
			w.Errorf("created %+v", p)
		}
		_, err = w.CreatePipeline(w.ctx, &api.CreatePipelineInput{Pipeline: d})
		w.refused("PipelineNameInUseException", err)
		changed := made.Pipeline
		changed.Stages[2].Actions[0].Name = "Ask"
		up, err := w.UpdatePipeline(w.ctx, &api.UpdatePipelineInput{Pipeline: changed})
		if *must(w, up, err).Pipeline.Version != 2 {
			w.Error("version")
		}
		got, err := w.GetPipeline(w.ctx, &api.GetPipelineInput{Name: "p", Version: new(int32(1))})
		if must(w, got, err).Pipeline.Stages[2].Actions[0].Name != "Approve" || got.Metadata.PipelineArn != "arn:aws:codepipeline:eu-west-1:111111111111:p" {
			w.Error("old version")
		}
		_, err = w.GetPipeline(w.ctx, &api.GetPipelineInput{Name: "p", Version: new(int32(3))})
		w.refused("PipelineVersionNotFoundException", err)
		if j := w.poll("Source", "get"); j == nil || j.Data.ActionConfiguration.Configuration["password"] != "hunter2" {
			w.Error("the running action keeps going and the mask kept the secret")
		}
		must(w, 0, drop(w.DeletePipeline(w.ctx, &api.DeletePipelineInput{Name: "p"})))
		must(w, 0, drop(w.DeletePipeline(w.ctx, &api.DeletePipelineInput{Name: "p"})))
		_, err = w.GetPipelineState(w.ctx, &api.GetPipelineStateInput{Name: "p"})
		w.refused("PipelineNotFoundException", err)
		w.create("p")
		tags, err := w.ListTagsForResource(w.ctx, &api.ListTagsForResourceInput{ResourceArn: "arn:aws:codepipeline:eu-west-1:111111111111:p"})
		if len(must(w, tags, err).Tags) != 0 {
			w.Error("tags vanish with their resource")
		}
	})
}

func drop[T any](_ T, err error) error { return err }

// S-61: of many who create pipelines, webhooks and action types at once, as many succeed as there
// may be.
func TestQuotasRace(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		const most = 4
		w := assemble(t, db, conductor.Config{}, pipeline.Limits{Pipelines: most, Webhooks: most, CustomActionTypes: 3 + most})
		must(w, 0, db.Update(w.ctx, func(tx *store.Tx) error { return tx.PutAccount(w.ctx, account) }))
		w.workerType()
		w.create("p")
		for what, make := range map[string]func(name string) error{
			"pipelines": func(name string) error {
				return drop(w.CreatePipeline(w.ctx, &api.CreatePipelineInput{Pipeline: definition(name)}))
			},
			"webhooks": func(name string) error {
				return drop(w.PutWebhook(w.ctx, hookDefinition(name, "UNAUTHENTICATED", api.WebhookAuthConfiguration{})))
			},
			"action types": func(name string) error {
				none := &api.ArtifactDetails{MinimumCount: new(int32(0)), MaximumCount: new(int32(0))}
				return drop(w.CreateCustomActionType(w.ctx, &api.CreateCustomActionTypeInput{Category: "Build", Provider: name, Version: "1", InputArtifactDetails: none, OutputArtifactDetails: none}))
			},
		} {
			var all sync.WaitGroup
			var made atomic.Int32
			for i := range 4 * most {
				all.Go(func() {
					if err := make(fmt.Sprint("n", i)); err == nil {
						made.Add(1)
					} else if fault.Code(err) != "LimitExceededException" {
						t.Errorf("%s: %v", what, err)
					}
				})
			}
			all.Wait()
			want := int32(most)
			if what == "pipelines" {
				want-- // beside p
			}
			if n := made.Load(); n != want {
				t.Errorf("%d %s were made", n, what)
			}
		}
	})
}

// S-8, S-11, S-199: nothing is stored.
func TestRefusedDefinitions(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		for class, spoil := range map[string]func(*api.PipelineDeclaration){
			"InvalidStructureException": func(d *api.PipelineDeclaration) { d.RoleArn = "arn:aws:iam::111111111111:role/nobody" },
			"InvalidStageDeclarationException": func(d *api.PipelineDeclaration) {
				d.Stages[1].OnFailure = &api.FailureConditions{Result: "SKIP"}
				d.PipelineType = "V2"
			},
			"InvalidActionDeclarationException": func(d *api.PipelineDeclaration) { d.Stages[1].Actions[0].ActionTypeId.Provider = "Nobody" },
		} {
			d := definition("p")
			spoil(d)
			_, err := w.CreatePipeline(w.ctx, &api.CreatePipelineInput{Pipeline: d})
			w.refused(class, err)
		}
		d := definition("p")
		d.ArtifactStore.Location = "missing"
		_, err := w.CreatePipeline(w.ctx, &api.CreatePipelineInput{Pipeline: d})
		w.refused("InvalidStructureException", err)
		list, err := w.ListPipelines(w.ctx, &api.ListPipelinesInput{})
		if len(must(w, list, err).Pipelines) != 0 {
			w.Error("something was stored")
		}
	})
}

// W-26, S-123, S-124: pages neither skip nor repeat while new executions start.
func TestPages(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		w.create("p")
		w.create("q")
		start := func() { must(w, 0, drop(w.StartPipelineExecution(w.ctx, &api.StartPipelineExecutionInput{Name: "p"}))) }
		for range 6 {
			start()
		}
		seen, token := map[string]bool{}, ""
		for range 7 {
			out, err := w.ListPipelineExecutions(w.ctx, &api.ListPipelineExecutionsInput{PipelineName: "p", MaxResults: new(int32(2)), NextToken: token})
			must(w, out, err)
			for _, s := range out.PipelineExecutionSummaries {
				if seen[s.PipelineExecutionId] {
					w.Errorf("%s came twice", s.PipelineExecutionId)
				}
				seen[s.PipelineExecutionId] = true
			}
			start()
			if token = out.NextToken; token == "" {
				break
			}
			_, err = w.ListPipelineExecutions(w.ctx, &api.ListPipelineExecutionsInput{PipelineName: "q", NextToken: token})
			w.refused("InvalidNextTokenException", err)
		}
		if len(seen) != 7 {
			w.Errorf("%d of 7 executions", len(seen))
		}
		_, err := w.ListPipelines(w.ctx, &api.ListPipelinesInput{NextToken: "junk"})
		w.refused("InvalidNextTokenException", err)
		first, err := w.ListPipelines(w.ctx, &api.ListPipelinesInput{MaxResults: new(int32(1))})
		must(w, first, err)
		second, err := w.ListPipelines(w.ctx, &api.ListPipelinesInput{MaxResults: new(int32(1)), NextToken: first.NextToken})
		if must(w, second, err).Pipelines[0].Name != "q" || second.NextToken != "" {
			w.Errorf("second page %+v", second)
		}
	})
}

// W-43, S-228, S-365: nothing is allowed that no policy allows, and an approver may only approve.
func TestAuthorisation(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		w.create("p")
		caller := auth.Caller{Account: account, Region: region, ARN: "arn:aws:iam::111111111111:user/approver"}
		text := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"codepipeline:PutApprovalResult","Resource":"arn:aws:codepipeline:eu-west-1:111111111111:p/Release/*"}]}`
		ctx, err := auth.Limited(w.ctx, caller, text)
		must(w, 0, err)
		approve := func(stage string) error {
			return drop(w.PutApprovalResult(ctx, &api.PutApprovalResultInput{PipelineName: "p", StageName: stage, ActionName: "Approve",
				Token: "00000000-0000-4000-8000-000000000000", Result: &api.ApprovalResult{Status: "Approved"}}))
		}
		w.refused("InvalidApprovalTokenException", approve("Release"))
		w.refused("AccessDeniedException", approve("Build"))
		w.refused("AccessDeniedException", drop(w.StartPipelineExecution(ctx, &api.StartPipelineExecutionInput{Name: "p"})))
		w.refused("AccessDeniedException", drop(w.GetPipeline(ctx, &api.GetPipelineInput{Name: "p"})))
		w.refused("AccessDeniedException", drop(w.ListPipelines(ctx, &api.ListPipelinesInput{})))
		w.refused("AccessDeniedException", drop(w.GetPipelineState(t.Context(), &api.GetPipelineStateInput{Name: "p"})))
	})
}

// S-361…S-363, A-24, A-41, A-42.
func TestTags(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		w.create("p")
		arn := "arn:aws:codepipeline:eu-west-1:111111111111:p"
		must(w, 0, drop(w.TagResource(w.ctx, &api.TagResourceInput{ResourceArn: arn, Tags: []api.Tag{{Key: "b", Value: "1"}, {Key: "a", Value: ""}}})))
		must(w, 0, drop(w.TagResource(w.ctx, &api.TagResourceInput{ResourceArn: arn, Tags: []api.Tag{{Key: "b", Value: "2"}}})))
		must(w, 0, drop(w.UntagResource(w.ctx, &api.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"a", "never"}})))
		out, err := w.ListTagsForResource(w.ctx, &api.ListTagsForResourceInput{ResourceArn: arn})
		if tags := must(w, out, err).Tags; len(tags) != 1 || tags[0] != (api.Tag{Key: "b", Value: "2"}) {
			w.Errorf("tags %v", tags)
		}
		w.refused("InvalidTagsException", drop(w.TagResource(w.ctx, &api.TagResourceInput{ResourceArn: arn, Tags: []api.Tag{{Key: "aws:x", Value: "1"}}})))
		var many []api.Tag
		for i := range 50 {
			many = append(many, api.Tag{Key: strings.Repeat("k", i+2), Value: "v"})
		}
		w.refused("TooManyTagsException", drop(w.TagResource(w.ctx, &api.TagResourceInput{ResourceArn: arn, Tags: many})))
		w.refused("ResourceNotFoundException", drop(w.ListTagsForResource(w.ctx, &api.ListTagsForResourceInput{ResourceArn: arn + "q"})))
		w.refused("InvalidArnException", drop(w.ListTagsForResource(w.ctx, &api.ListTagsForResourceInput{ResourceArn: arn + "/Source"})))
		w.refused("InvalidArnException", drop(w.ListTagsForResource(w.ctx, &api.ListTagsForResourceInput{ResourceArn: "junk"})))
		custom := "arn:aws:codepipeline:eu-west-1:111111111111:actiontype:Custom/Build/Worker/1"
		must(w, 0, drop(w.TagResource(w.ctx, &api.TagResourceInput{ResourceArn: custom, Tags: []api.Tag{{Key: "k", Value: "v"}}})))
	})
}
