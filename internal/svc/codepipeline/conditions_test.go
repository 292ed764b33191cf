package codepipeline

import (
	"strings"
	"testing"
	"time"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/engine"
	"penstock/internal/fault"
	"penstock/internal/pipeline"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// check is a rule that compares what the source said.
func check(name string) api.RuleDeclaration {
	return api.RuleDeclaration{Name: name, RuleTypeId: &api.RuleTypeId{Category: "Rule", Provider: "VariableCheck"},
		Configuration: map[string]string{"Variable": "#{src.commit}", "Operator": "EQ", "Value": "abc"}}
}

// judge ends the oldest rule that waits, as a worker inside would, and gives its job.
func (w *world) judge(holds bool) engine.Job {
	w.Helper()
	var rows []*store.JobRow
	if err := w.DB.Update(w.ctx, func(tx *store.Tx) (err error) {
		rows, err = tx.ClaimJobs(w.ctx, []string{store.Queue("", "", pipeline.RunnableRule("VariableCheck").ID)}, "here", 1, time.Minute, nil, nil)
		return err
	}); err != nil || len(rows) != 1 {
		w.Fatalf("%d rules wait: %v", len(rows), err)
	}
	err := w.Conductor.Report(w.ctx, rows[0].ID, func(*store.JobRow) error { return nil }, func(ref engine.JobRef) engine.Event {
		if holds {
			return engine.Succeed{Job: ref, Result: engine.Result{Summary: "it holds"}}
		}
		return engine.Fail{Job: ref, Error: pipeline.ErrorDetails{Code: pipeline.JobFailed, Message: "it does not hold"}}
	})
	must(w, 0, err)
	return rows[0].Job
}

// conditional is a pipeline whose second stage has an entry and a success condition.
func conditional() *api.PipelineDeclaration {
	d := definition("p")
	d.Stages, d.PipelineType = d.Stages[:2], "V2"
	d.Stages[1].BeforeEntry = &api.BeforeEntryConditions{Conditions: []api.Condition{{Result: "FAIL", Rules: []api.RuleDeclaration{check("first"), check("second")}}}}
	d.Stages[1].OnSuccess = &api.SuccessConditions{Conditions: []api.Condition{{Result: "FAIL", Rules: []api.RuleDeclaration{check("sane")}}}}
	return d
}

func (w *world) override(execution, place string) error {
	return drop(w.OverrideStageCondition(w.ctx, &api.OverrideStageConditionInput{PipelineName: "p", StageName: "Build", PipelineExecutionId: execution, ConditionType: place}))
}

// A-26, S-202, S-203, S-207…S-210, S-219: the conditions of a stage, as its state shows them.
func TestConditions(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		must(w, 0, drop(w.CreatePipeline(w.ctx, &api.CreatePipelineInput{Pipeline: conditional()})))
		stage := func() api.StageState { return w.state("p").StageStates[1] }
		if s := stage().BeforeEntryConditionState; s == nil || s.LatestExecution != nil || len(s.ConditionStates[0].RuleStates) != 2 || s.ConditionStates[0].RuleStates[1].RuleName != "second" {
			t.Errorf("before it was evaluated: %+v", s)
		}
		if s := w.state("p").StageStates[0]; s.BeforeEntryConditionState != nil || s.OnSuccessConditionState != nil || s.OnFailureConditionState != nil {
			t.Errorf("a stage without conditions: %+v", s)
		}
		w.work("Source", "get", map[string]string{"commit": "abc"})
		if w.poll("Build", "make") != nil {
			t.Fatal("an action runs before the entry condition was met")
		}
		if job := w.judge(true); job.Configuration["Variable"] != "abc" || job.Stage != "Build" {
			t.Errorf("rule %+v", job)
		}
		s := stage()
		if c := s.BeforeEntryConditionState; c.LatestExecution.Status != "InProgress" || c.ConditionStates[0].LatestExecution.Status != "InProgress" {
			t.Errorf("condition %+v", c)
		}
		id := s.LatestExecution.PipelineExecutionId
		w.judge(false)
		s = stage()
		c := s.BeforeEntryConditionState.ConditionStates[0]
		if s.LatestExecution.Status != "Failed" || c.LatestExecution.Status != "Failed" || c.LatestExecution.LastStatusChange == nil || c.LatestExecution.Summary == "" {
			t.Errorf("stage %+v condition %+v", s.LatestExecution, c.LatestExecution)
		}
		passed := 0
		for _, r := range c.RuleStates {
			switch e := r.LatestExecution; e.Status {
			case "Succeeded":
				passed++
			case "Failed":
				if e.ErrorDetails.Message != "it does not hold" {
					t.Errorf("rule %+v", e)
				}
			}
		}
		if passed != 1 {
			t.Errorf("rules %+v", c.RuleStates)
		}
		out, err := w.GetPipelineExecution(w.ctx, &api.GetPipelineExecutionInput{PipelineName: "p", PipelineExecutionId: id})
		if e := must(w, out, err).PipelineExecution; e.Status != "Failed" || e.StatusSummary == "" { // S-109
			t.Errorf("execution %+v", e)
		}
		// S-169: no action failed, so there is nothing to retry.
		w.refused("StageNotRetryableException", drop(w.RetryStageExecution(w.ctx, &api.RetryStageExecutionInput{PipelineName: "p", StageName: "Build", PipelineExecutionId: id, RetryMode: "FAILED_ACTIONS"})))
		if text := w.explained(id); strings.Contains(text, "can be retried") || !strings.Contains(text, "The entry condition of the stage 'Build' can be overridden") {
			t.Errorf("explained as %s", text)
		}

		w.refused("ConditionNotOverridableException", w.override(id, "ON_SUCCESS"))
		w.refused("NotLatestPipelineExecutionException", w.override("00000000-0000-4000-8000-000000000000", "BEFORE_ENTRY"))
		if s := stage(); s.LatestExecution.Status != "Failed" || w.poll("Build", "make") != nil {
			t.Error("a refused override did something")
		}
		must(w, 0, w.override(id, "BEFORE_ENTRY"))
		if s := stage(); s.BeforeEntryConditionState.LatestExecution.Status != "Overridden" || s.LatestExecution.Status != "InProgress" {
			t.Errorf("stage %+v", s)
		}
		w.work("Build", "make", nil)
		must(w, 0, w.override(id, "ON_SUCCESS"))
		s = stage()
		if r := s.OnSuccessConditionState.ConditionStates[0].RuleStates[0]; r.LatestExecution.Status != "Abandoned" || s.LatestExecution.Status != "Succeeded" {
			t.Errorf("stage %+v rule %+v", s.LatestExecution, r.LatestExecution)
		}
	})
}

// A-22, W-26: runs of rules are listed like those of actions, and apart from them.
func TestListRuleExecutions(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		must(w, 0, drop(w.CreatePipeline(w.ctx, &api.CreatePipelineInput{Pipeline: conditional()})))
		w.work("Source", "get", map[string]string{"commit": "abc"})
		id := w.state("p").StageStates[1].LatestExecution.PipelineExecutionId
		w.judge(true)
		// Stopped and retried, the entry condition is evaluated anew (S-168): four runs of two rules.
		must(w, 0, drop(w.StopPipelineExecution(w.ctx, &api.StopPipelineExecutionInput{PipelineName: "p", PipelineExecutionId: id})))
		must(w, 0, drop(w.RetryStageExecution(w.ctx, &api.RetryStageExecutionInput{PipelineName: "p", StageName: "Build", PipelineExecutionId: id, RetryMode: "FAILED_ACTIONS"})))
		list := func(f *api.RuleExecutionFilter, max int32) []api.RuleExecutionDetail {
			t.Helper()
			var all []api.RuleExecutionDetail
			for token := ""; ; {
				out, err := w.ListRuleExecutions(w.ctx, &api.ListRuleExecutionsInput{PipelineName: "p", Filter: f, MaxResults: &max, NextToken: token})
				all = append(all, must(w, out, err).RuleExecutionDetails...)
				if token = out.NextToken; token == "" {
					return all
				}
			}
		}
		details := list(nil, 3)
		if len(details) != 4 {
			t.Fatalf("%d runs", len(details))
		}
		statuses := map[string]int{}
		for i, d := range details {
			statuses[d.Status]++
			if i > 0 && d.StartTime.After(*details[i-1].StartTime) {
				t.Error("the newest come first")
			}
			if d.Input.Configuration["Variable"] != "#{src.commit}" || d.Input.ResolvedConfiguration["Variable"] != "abc" || d.Input.RuleTypeId.Provider != "VariableCheck" ||
				d.StageName != "Build" || d.Input.RoleArn != role || d.Input.Region != region || *d.PipelineVersion != 1 || d.PipelineExecutionId != id {
				t.Errorf("run %+v %+v", d, d.Input)
			}
		}
		if statuses["Succeeded"] != 1 || statuses["Abandoned"] != 1 || statuses["InProgress"] != 2 {
			t.Errorf("statuses %v", statuses)
		}
		if n := len(list(&api.RuleExecutionFilter{PipelineExecutionId: id}, 100)); n != 4 {
			t.Errorf("%d runs of the execution", n)
		}
		if n := len(list(&api.RuleExecutionFilter{LatestInPipelineExecution: &api.LatestInPipelineExecutionFilter{PipelineExecutionId: id, StartTimeRange: "Latest"}}, 1)); n != 2 {
			t.Errorf("%d latest runs", n)
		}
		_, err := w.ListRuleExecutions(w.ctx, &api.ListRuleExecutionsInput{PipelineName: "p", Filter: &api.RuleExecutionFilter{PipelineExecutionId: "00000000-0000-4000-8000-000000000000"}})
		w.refused("PipelineExecutionNotFoundException", err)
		actions, err := w.ListActionExecutions(w.ctx, &api.ListActionExecutionsInput{PipelineName: "p"})
		if n := len(must(w, actions, err).ActionExecutionDetails); n != 1 {
			t.Errorf("%d actions", n)
		}
		w.refused("AccessDeniedException", drop(w.ListRuleExecutions(t.Context(), &api.ListRuleExecutionsInput{PipelineName: "p"})))
		w.refused("AccessDeniedException", drop(w.OverrideStageCondition(t.Context(), &api.OverrideStageConditionInput{PipelineName: "p", StageName: "Build", PipelineExecutionId: id, ConditionType: "BEFORE_ENTRY"})))
	})
}

// the rule types are listed, and are no action types.
func TestListRuleTypes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	out, err := w.ListRuleTypes(w.ctx, &api.ListRuleTypesInput{})
	names := ""
	for _, r := range must(w, out, err).RuleTypes {
		names += r.Id.Provider + " "
		if r.Id.Category != "Rule" || r.Id.Owner != "AWS" || r.Id.Version != "1" || r.InputArtifactDetails == nil || r.RuleConfigurationProperties == nil {
			t.Errorf("type %+v", r)
		}
	}
	if names != "CloudWatchAlarm CodeBuild Commands DeploymentWindow LambdaInvoke VariableCheck " {
		t.Error(names)
	}
	if err := drop(w.ListRuleTypes(t.Context(), &api.ListRuleTypesInput{})); fault.Code(err) != "AccessDeniedException" {
		t.Error(err)
	}
}

// S-207, S-212, S-213: a rule whose type does not run here is taken in a definition, fails in its
// turn and says why; the gate stays shut.
func TestRulesThatDoNotRun(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		for provider, configuration := range map[string]map[string]string{
			"CloudWatchAlarm": {"AlarmName": "errors", "AlarmStates": "ALARM", "WaitTime": "5"}, "LambdaInvoke": {"FunctionName": "decide"},
		} {
			d := conditional()
			d.Name = provider
			d.Stages[1].BeforeEntry.Conditions[0].Rules = []api.RuleDeclaration{{Name: "r", RuleTypeId: &api.RuleTypeId{Category: "Rule", Provider: provider}, Configuration: configuration}}
			must(w, 0, drop(w.CreatePipeline(w.ctx, &api.CreatePipelineInput{Pipeline: d})))
			w.work("Source", "get", map[string]string{"commit": "abc"})
			s := w.state(provider).StageStates[1]
			c := s.BeforeEntryConditionState.ConditionStates[0]
			if e := c.RuleStates[0].LatestExecution; s.LatestExecution.Status != "Failed" || c.LatestExecution.Status != "Errored" || e.Status != "Failed" ||
				e.ErrorDetails.Code != pipeline.ConfigurationError || !strings.Contains(e.ErrorDetails.Message, "does not run the rule type "+provider) {
				t.Errorf("%s: %+v %+v %+v", provider, s.LatestExecution, c.LatestExecution, e)
			}
		}
	})
}
