package codepipeline

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	api "penstock/internal/api/codepipeline"
)

// a batch of jobs is handed out, and what workers rely on holds
// from the poll to the result.
func TestJobOperations(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		for _, name := range []string{"p", "q", "r"} {
			w.create(name)
		}
		poll := func(max *int32) []api.Job {
			out, err := w.PollForJobs(w.ctx, &api.PollForJobsInput{ActionTypeId: &api.ActionTypeId{Category: "Source", Owner: "Custom", Provider: "Worker", Version: "1"},
				QueryParam: map[string]string{"job": "get"}, MaxBatchSize: max})
			return must(w, out, err).Jobs
		}
		one := poll(nil)
		if len(one) != 1 || one[0].AccountId != account {
			w.Fatalf("without maxBatchSize %+v", one)
		}
		two := poll(new(int32(2)))
		if len(two) != 2 || two[0].Id == two[1].Id {
			w.Fatalf("two at once %+v", two)
		}
		if none := poll(new(int32(50))); none == nil || len(none) != 0 {
			w.Errorf("an empty list is there, got %v", none)
		}
		unknown := "00000000-0000-4000-8000-000000000000"
		w.refused("JobNotFoundException", drop(w.AcknowledgeJob(w.ctx, &api.AcknowledgeJobInput{JobId: unknown, Nonce: "1"})))
		w.refused("JobNotFoundException", drop(w.GetJobDetails(w.ctx, &api.GetJobDetailsInput{JobId: unknown})))
		w.refused("JobNotFoundException", drop(w.PutJobSuccessResult(w.ctx, &api.PutJobSuccessResultInput{JobId: unknown})))
		w.refused("JobNotFoundException", drop(w.PutJobFailureResult(w.ctx, &api.PutJobFailureResultInput{JobId: unknown,
			FailureDetails: &api.FailureDetails{Type: "JobFailed", Message: "no"}})))
		w.acknowledge(&one[0])
		details := func() *api.JobDetails {
			out, err := w.GetJobDetails(w.ctx, &api.GetJobDetailsInput{JobId: one[0].Id})
			return must(w, out, err).JobDetails
		}
		if d := details(); d.AccountId != account || d.Data.ArtifactCredentials == nil || d.Data.ActionConfiguration.Configuration["password"] != "hunter2" {
			w.Errorf("details %+v", d)
		}
		w.refused("ValidationException", drop(w.PutJobSuccessResult(w.ctx, &api.PutJobSuccessResultInput{JobId: one[0].Id, ContinuationToken: "more",
			OutputVariables: map[string]string{"a": "b"}})))
		must(w, 0, drop(w.PutJobFailureResult(w.ctx, &api.PutJobFailureResultInput{JobId: one[0].Id,
			FailureDetails: &api.FailureDetails{Type: "ConfigurationError", Message: "the folder is missing", ExternalExecutionId: "run-1"}})))
		details() // TeamCity asks once the build has ended
		out, err := w.AcknowledgeJob(w.ctx, &api.AcknowledgeJobInput{JobId: one[0].Id, Nonce: one[0].Nonce})
		if must(w, out, err).Status != "Failed" {
			w.Errorf("a job that ended answers with its status, got %+v", out)
		}
		w.refused("InvalidJobStateException", drop(w.PutJobSuccessResult(w.ctx, &api.PutJobSuccessResultInput{JobId: one[0].Id})))
		failed := ""
		for _, name := range []string{"p", "q", "r"} {
			list, err := w.ListActionExecutions(w.ctx, &api.ListActionExecutionsInput{PipelineName: name})
			if r := must(w, list, err).ActionExecutionDetails[0].Output.ExecutionResult; r.ErrorDetails != nil {
				failed += r.ErrorDetails.Code + ": " + r.ErrorDetails.Message + " " + r.ExternalExecutionId
			}
		}
		if failed != "ConfigurationError: the folder is missing run-1" {
			w.Errorf("the failure reads %q", failed)
		}
	})
}

// custom types are made once, told as they are, listed in order and forgotten
// without complaint.
func TestCustomTypeOperations(t *testing.T) {
	each(t, func(w *world) {
		def := func() *api.CreateCustomActionTypeInput {
			return &api.CreateCustomActionTypeInput{Category: "Test", Provider: "Farm", Version: "1",
				InputArtifactDetails:  &api.ArtifactDetails{MinimumCount: new(int32(0)), MaximumCount: new(int32(1))},
				OutputArtifactDetails: &api.ArtifactDetails{MinimumCount: new(int32(0)), MaximumCount: new(int32(0))},
				ConfigurationProperties: []api.ActionConfigurationProperty{
					{Name: "project", Required: new(true), Key: new(true), Secret: new(false), Queryable: new(true), Type: "String"}}}
		}
		made, err := w.CreateCustomActionType(w.ctx, def())
		if a := must(w, made, err).ActionType; a.Id.Owner != "Custom" || a.ActionConfigurationProperties[0].Type != "" || made.Tags == nil {
			w.Errorf("made %+v with tags %v", a, made.Tags)
		}
		must(w, 0, drop(w.CreateCustomActionType(w.ctx, def()))) // the same again
		other := def()
		other.InputArtifactDetails.MaximumCount = new(int32(2))
		w.refused("ActionTypeAlreadyExistsException", drop(w.CreateCustomActionType(w.ctx, other)))
		for want, spoil := range map[string]func(*api.CreateCustomActionTypeInput){
			"Maximum Number of Artifacts (1) has to be greater than or equal to minimum (2).": func(in *api.CreateCustomActionTypeInput) { in.InputArtifactDetails.MinimumCount = new(int32(2)) },
			"Multiple queryable configuration properties found with names 'project, team'. Up to one queryable property may be specified.": func(in *api.CreateCustomActionTypeInput) {
				in.ConfigurationProperties = append(in.ConfigurationProperties, api.ActionConfigurationProperty{Name: "team", Required: new(true), Key: new(false), Secret: new(false), Queryable: new(true)})
			},
			"Invalid queryable property 'project'. Queryable configuration properties must be required and non-secret.": func(in *api.CreateCustomActionTypeInput) { in.ConfigurationProperties[0].Secret = new(true) },
		} {
			in := def()
			in.Version = "2"
			spoil(in)
			if err := drop(w.CreateCustomActionType(w.ctx, in)); err == nil || err.Error() != "ValidationException: "+want {
				w.Errorf("got %v, want %q", err, want)
			}
		}
		list := func(owner, region string) []api.ActionType {
			out, err := w.ListActionTypes(w.ctx, &api.ListActionTypesInput{ActionOwnerFilter: owner, RegionFilter: region})
			return must(w, out, err).ActionTypes
		}
		all := list("", "")
		key := func(a api.ActionType) string {
			return strings.Join([]string{a.Id.Owner, a.Id.Category, a.Id.Provider, a.Id.Version}, " ")
		}
		if !slices.IsSortedFunc(all, func(a, b api.ActionType) int { return strings.Compare(key(a), key(b)) }) || !slices.ContainsFunc(all, func(a api.ActionType) bool { return key(a) == "AWS Approval Manual 1" }) {
			w.Error("the list is not in the order of owner, category, provider, version, or not whole")
		}
		if c := list("Custom", ""); len(c) != 1 || key(c[0]) != "Custom Test Farm 1" {
			w.Errorf("custom types %+v", c)
		}
		if c := list("Custom", "us-west-2"); c == nil || len(c) != 0 {
			w.Errorf("in another Region %v", c)
		}
		w.refused("InvalidNextTokenException", drop(w.ListActionTypes(w.ctx, &api.ListActionTypesInput{NextToken: "x"})))
		for range 2 { // the second time it is unknown
			must(w, 0, drop(w.DeleteCustomActionType(w.ctx, &api.DeleteCustomActionTypeInput{Category: "Test", Provider: "Farm", Version: "1"})))
		}
		if c := list("Custom", ""); len(c) != 0 {
			w.Errorf("a deleted type is listed: %+v", c)
		}
	})
}

// a gate is shut with a reason, shut again with another, opened, and opened again.
func TestTransitionOperations(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		w.create("p")
		disable := func(stage, reason string) error {
			return drop(w.DisableStageTransition(w.ctx, &api.DisableStageTransitionInput{PipelineName: "p", StageName: stage, TransitionType: "Inbound", Reason: reason}))
		}
		enable := func(stage string) error {
			return drop(w.EnableStageTransition(w.ctx, &api.EnableStageTransitionInput{PipelineName: "p", StageName: stage, TransitionType: "Inbound"}))
		}
		gate := func() *api.TransitionState { return w.state("p").StageStates[1].InboundTransitionState }
		must(w, 0, disable("Build", "freeze"))
		must(w, 0, disable("Build", "still frozen"))
		if g := gate(); *g.Enabled || g.DisabledReason != "still frozen" || g.LastChangedBy != "arn:aws:iam::111111111111:user/admin" || g.LastChangedAt == nil {
			w.Errorf("shut %+v", g)
		}
		for range 2 {
			must(w, 0, enable("Build"))
		}
		if g := gate(); !*g.Enabled || g.DisabledReason != "" {
			w.Errorf("open %+v", g)
		}
		w.refused("StageNotFoundException", disable("Nowhere", "x"))
		w.refused("StageNotFoundException", enable("Nowhere"))
		w.refused("PipelineNotFoundException", drop(w.EnableStageTransition(w.ctx, &api.EnableStageTransitionInput{PipelineName: "q", StageName: "Build", TransitionType: "Inbound"})))
		service := api.New(w.Room)
		_, err := service.ServeJSON(w.ctx, service.Operations["DisableStageTransition"],
			[]byte(`{"pipelineName":"p","stageName":"Build","transitionType":"Inbound","reason":"see: the page"}`), nil)
		w.refused("ValidationException", err) // a colon is not in the pattern
	})
}

// what is shown of pipelines and executions, in which order, and
// how it is narrowed.
func TestReadingOperations(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		w.create("q")
		w.create("p")
		list, err := w.ListPipelines(w.ctx, &api.ListPipelinesInput{})
		if l := must(w, list, err).Pipelines; len(l) != 2 || l[0].Name != "p" || *l[0].Version != 1 || l[0].PipelineType != "V1" || l[0].ExecutionMode != "SUPERSEDED" || l[0].Created == nil || l[0].Updated == nil {
			w.Errorf("pipelines %+v", l)
		}
		w.work("Source", "get", nil) // of q, which was there first
		w.work("Source", "get", nil)
		state := w.state("p")
		for i, s := range definition("p").Stages { // those that never ran are shown in their place, without a half-filled execution
			if got := state.StageStates[i]; got.StageName != s.Name || got.ActionStates[0].ActionName != s.Actions[0].Name || got.LatestExecution != nil && got.LatestExecution.Status == "" {
				w.Errorf("stage %d is %+v", i, got)
			}
		}
		if state.StageStates[2].LatestExecution != nil {
			w.Errorf("the last stage never ran: %+v", state.StageStates[2].LatestExecution)
		}
		first := state.StageStates[1].LatestExecution.PipelineExecutionId
		started, err := w.StartPipelineExecution(w.ctx, &api.StartPipelineExecutionInput{Name: "p"})
		second := must(w, started, err).PipelineExecutionId

		foreign, err := w.ListPipelineExecutions(w.ctx, &api.ListPipelineExecutionsInput{PipelineName: "q"})
		other := must(w, foreign, err).PipelineExecutionSummaries[0].PipelineExecutionId
		for _, id := range []string{other, "00000000-0000-4000-8000-000000000000"} {
			w.refused("PipelineExecutionNotFoundException", drop(w.GetPipelineExecution(w.ctx, &api.GetPipelineExecutionInput{PipelineName: "p", PipelineExecutionId: id})))
			w.refused("PipelineExecutionNotFoundException", drop(w.ListActionExecutions(w.ctx, &api.ListActionExecutionsInput{PipelineName: "p", Filter: &api.ActionExecutionFilter{PipelineExecutionId: id}})))
		}
		actions := func(f *api.ActionExecutionFilter) (out []string) {
			list, err := w.ListActionExecutions(w.ctx, &api.ListActionExecutionsInput{PipelineName: "p", Filter: f})
			for _, d := range must(w, list, err).ActionExecutionDetails {
				which := "second"
				if d.PipelineExecutionId == first {
					which = "first"
				}
				out = append(out, which+" "+d.ActionName)
			}
			return out
		}
		if got := actions(nil); !slices.Equal(got, []string{"second Get", "first Make", "first Get"}) {
			w.Errorf("all actions, newest first: %v", got)
		}
		if got := actions(&api.ActionExecutionFilter{PipelineExecutionId: first}); !slices.Equal(got, []string{"first Make", "first Get"}) {
			w.Errorf("of one execution: %v", got)
		}
		latest := &api.LatestInPipelineExecutionFilter{PipelineExecutionId: first, StartTimeRange: "Latest"}
		if got := actions(&api.ActionExecutionFilter{LatestInPipelineExecution: latest}); !slices.Equal(got, []string{"first Make", "first Get"}) {
			w.Errorf("latest of one execution: %v", got)
		}
		w.refused("ValidationException", drop(w.ListActionExecutions(w.ctx, &api.ListActionExecutionsInput{PipelineName: "p",
			Filter: &api.ActionExecutionFilter{PipelineExecutionId: first, LatestInPipelineExecution: latest}})))

		executions := func(stage string) (out []string, err error) {
			in := &api.ListPipelineExecutionsInput{PipelineName: "p"}
			if stage != "" {
				in.Filter = &api.PipelineExecutionFilter{SucceededInStage: &api.SucceededInStageFilter{StageName: stage}}
			}
			list, err := w.ListPipelineExecutions(w.ctx, in)
			if err != nil {
				return nil, err
			}
			for _, s := range list.PipelineExecutionSummaries {
				out = append(out, s.PipelineExecutionId)
			}
			return out, nil
		}
		if got, err := executions(""); err != nil || !slices.Equal(got, []string{second, first}) {
			w.Errorf("newest first: %v %v", got, err)
		}
		if got, err := executions("Source"); err != nil || !slices.Equal(got, []string{first}) {
			w.Errorf("succeeded in Source: %v %v", got, err)
		}
		_, err = executions("Nowhere")
		w.refused("ValidationException", err)
		d := definition("p")
		d.Stages[1].Actions[0].Name = "Compile"
		must(w, 0, drop(w.UpdatePipeline(w.ctx, &api.UpdatePipelineInput{Pipeline: d})))
		if got, err := executions("Source"); err != nil || len(got) != 0 {
			w.Errorf("those of an earlier version are not meant: %v %v", got, err)
		}
	})
}

// an answer counts for the request it was asked for, a retry keeps its
// execution, and a start and a stop tell which.
func TestControlOperations(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		w.create("p")
		w.work("Source", "get", map[string]string{"commit": "abc"})
		w.work("Build", "make", nil)
		stage := func(i int) api.StageState { return w.state("p").StageStates[i] }
		id := stage(2).LatestExecution.PipelineExecutionId
		answer := func(token, status string) (*api.PutApprovalResultOutput, error) {
			return w.PutApprovalResult(w.ctx, &api.PutApprovalResultInput{PipelineName: "p", StageName: "Release", ActionName: "Approve", Token: token,
				Result: &api.ApprovalResult{Summary: "", Status: status}})
		}
		old := stage(2).ActionStates[0].LatestExecution.Token
		out, err := answer(old, "Rejected")
		if must(w, out, err).ApprovedAt == nil {
			w.Error("the time of a rejection is told too")
		}
		retry := func(execution string) (*api.RetryStageExecutionOutput, error) {
			return w.RetryStageExecution(w.ctx, &api.RetryStageExecutionInput{PipelineName: "p", StageName: "Release", PipelineExecutionId: execution, RetryMode: "FAILED_ACTIONS"})
		}
		again, err := retry(id)
		if must(w, again, err).PipelineExecutionId != id {
			w.Errorf("the retry of %s is %s", id, again.PipelineExecutionId)
		}
		w.refused("InvalidApprovalTokenException", drop(answer(old, "Approved"))) // of the earlier request
		if s := stage(2); s.LatestExecution.PipelineExecutionId != id || s.LatestExecution.Status != "InProgress" {
			w.Errorf("retried %+v", s.LatestExecution)
		}
		must(w, 0, drop(answer(stage(2).ActionStates[0].LatestExecution.Token, "Approved")))
		for _, in := range []*api.PutApprovalResultInput{{PipelineName: "q", StageName: "Release", ActionName: "Approve"}, {PipelineName: "p", StageName: "Nowhere", ActionName: "Approve"}, {PipelineName: "p", StageName: "Release", ActionName: "Nothing"}} {
			in.Token, in.Result = old, &api.ApprovalResult{Status: "Approved"}
			if err := drop(w.PutApprovalResult(w.ctx, in)); err == nil || !strings.Contains(err.Error(), "NotFoundException") {
				w.Errorf("%s/%s/%s: %v", in.PipelineName, in.StageName, in.ActionName, err)
			}
		}
		// A-39, as the wire gives it: the member is called name, an empty list of variables is refused.
		service := api.New(w.Room)
		start := func(body string) (string, error) {
			text, err := service.ServeJSON(w.ctx, service.Operations["StartPipelineExecution"], []byte(body), nil)
			if err != nil {
				return "", err
			}
			var got struct{ PipelineExecutionId string }
			return got.PipelineExecutionId, json.Unmarshal(text, &got)
		}
		_, err = start(`{"pipelineName":"p"}`)
		w.refused("ValidationException", err)
		_, err = start(`{"name":"p","variables":[]}`)
		w.refused("ValidationException", err)
		_, err = start(`{"name":"p","variables":[{"name":"undeclared","value":"x"}]}`)
		w.refused("ValidationException", err)
		a, err := start(`{"name":"p","clientRequestToken":"t-1"}`)
		must(w, a, err)
		b, err := start(`{"name":"p","clientRequestToken":"t-1"}`)
		if must(w, b, err) != a {
			w.Errorf("one token started %s and %s", a, b)
		}
		stop := func(execution string) (*api.StopPipelineExecutionOutput, error) {
			return w.StopPipelineExecution(w.ctx, &api.StopPipelineExecutionInput{PipelineName: "p", PipelineExecutionId: execution})
		}
		w.refused("PipelineExecutionNotStoppableException", drop(stop("00000000-0000-4000-8000-000000000000")))
		stopped, err := stop(a)
		if must(w, stopped, err).PipelineExecutionId != a {
			w.Errorf("stopped %+v", stopped)
		}
		w.refused("DuplicatedStopRequestException", drop(stop(a)))
	})
}

// deleting a webhook that is not there is fine.
func TestDeleteWebhookTwice(t *testing.T) {
	each(t, func(w *world) {
		must(w, 0, drop(w.DeleteWebhook(w.ctx, &api.DeleteWebhookInput{Name: "never"})))
	})
}

// S-124: Latest is the last run of each action, also of one that is to run again and has not begun
// to, page by page.
func TestLatestActionExecutions(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		d := definition("p")
		d.Stages = d.Stages[:2]
		ship := d.Stages[1].Actions[0]
		ship.Name, ship.RunOrder, ship.Configuration = "Ship", new(int32(2)), map[string]string{"job": "ship"}
		d.Stages[1].Actions = append(d.Stages[1].Actions, ship)
		must(w, 0, drop(w.CreatePipeline(w.ctx, &api.CreatePipelineInput{Pipeline: d})))
		w.work("Source", "get", nil)
		w.work("Build", "make", nil)
		w.fail("Build", "ship")
		id := w.state("p").StageStates[1].LatestExecution.PipelineExecutionId
		must(w, 0, drop(w.RetryStageExecution(w.ctx, &api.RetryStageExecutionInput{PipelineName: "p", StageName: "Build", PipelineExecutionId: id, RetryMode: "ALL_ACTIONS"})))
		list := func(which string) (out []string) {
			in := &api.ListActionExecutionsInput{PipelineName: "p", MaxResults: new(int32(1)),
				Filter: &api.ActionExecutionFilter{LatestInPipelineExecution: &api.LatestInPipelineExecutionFilter{PipelineExecutionId: id, StartTimeRange: which}}}
			for {
				page, err := w.ListActionExecutions(w.ctx, in)
				for _, run := range must(w, page, err).ActionExecutionDetails {
					out = append(out, run.ActionName+" "+run.Status)
				}
				if in.NextToken = page.NextToken; in.NextToken == "" {
					return out
				}
			}
		}
		if got := list("Latest"); !slices.Equal(got, []string{"Make InProgress", "Ship Failed", "Get Succeeded"}) {
			w.Errorf("the last runs are %v", got)
		}
		if got := list("All"); !slices.Equal(got, []string{"Make InProgress", "Ship Failed", "Make Succeeded", "Get Succeeded"}) {
			w.Errorf("all runs are %v", got)
		}
	})
}

// S-121: news of an action in progress is no change of its status; its end is.
func TestLastStatusChange(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		w.create("p")
		look := func() (changed, started, updated time.Time) {
			w.Helper()
			out, err := w.ListActionExecutions(w.ctx, &api.ListActionExecutionsInput{PipelineName: "p"})
			runs := must(w, out, err).ActionExecutionDetails
			get := runs[len(runs)-1]
			return *w.state("p").StageStates[0].ActionStates[0].LatestExecution.LastStatusChange, *get.StartTime, *get.LastUpdateTime
		}
		j := w.poll("Source", "get")
		w.acknowledge(j)
		must(w, 0, drop(w.PutJobSuccessResult(w.ctx, &api.PutJobSuccessResultInput{JobId: j.Id, ContinuationToken: "more", ExecutionDetails: &api.ExecutionDetails{PercentComplete: new(int32(50))}})))
		if changed, started, updated := look(); !changed.Equal(started) || !updated.After(started) {
			w.Errorf("started at %s, updated at %s, and the status changed at %s", started, updated, changed)
		}
		id := w.state("p").StageStates[0].LatestExecution.PipelineExecutionId
		must(w, 0, drop(w.StopPipelineExecution(w.ctx, &api.StopPipelineExecutionInput{PipelineName: "p", PipelineExecutionId: id, Abandon: new(true)})))
		if changed, started, updated := look(); !changed.Equal(updated) || !updated.After(started) {
			w.Errorf("started at %s, updated at %s, and the status changed at %s", started, updated, changed)
		}
	})
}
