package engine

import (
	"fmt"
	"maps"
	"slices"

	"penstock/internal/fault"
	"penstock/internal/pipeline"
)

// placeNames are the words for the places of conditions in texts for people.
var placeNames = map[pipeline.Place]string{pipeline.BeforeEntry: "entry", pipeline.OnSuccess: "success", pipeline.OnFailure: "failure"}

// verdict gives the status of the condition that the stage has at a place, which it begins to
// evaluate if that was not done yet: all rules start at once (S-200). It is empty if the stage
// has none there.
func (st *step) verdict(e *Execution, def *pipeline.Stage, place pipeline.Place) pipeline.Status {
	c := def.Condition(place)
	if c == nil {
		return ""
	}
	visit := e.Runs[e.Stage]
	if visit.Conditions[place] == nil {
		if visit.Conditions == nil {
			visit.Conditions = map[pipeline.Place]*ConditionRun{}
		}
		visit.Conditions[place] = &ConditionRun{Status: pipeline.InProgress, Updated: st.now, Rules: map[string]*ActionRun{}}
		for i := range c.Rules {
			st.startRule(e, place, &c.Rules[i])
		}
	}
	if visit.Conditions[place].Status == pipeline.InProgress {
		st.judge(e, place, c)
	}
	return visit.Conditions[place].Status
}

// startRule starts a rule as the action that it is to workers.
func (st *step) startRule(e *Execution, place pipeline.Place, r *pipeline.Rule) {
	st.startRun(e, place, &pipeline.Action{
		Name: r.Name, ActionTypeID: r.RuleTypeID.ActionType(), Configuration: r.Configuration, Commands: r.Commands,
		InputArtifacts: r.InputArtifacts, RoleARN: r.RoleARN, Region: r.Region, TimeoutInMinutes: r.TimeoutInMinutes,
	})
}

// judge concludes a condition when all its rules succeeded, and as soon as one failed (S-200).
// If none said no and one could not tell, it is Errored, which counts as Failed (S-207).
func (st *step) judge(e *Execution, place pipeline.Place, c *pipeline.Condition) {
	run := e.Runs[e.Stage].Conditions[place]
	var failed *ActionRun
	waiting := false
	for _, r := range c.Rules {
		rule := run.Rules[r.Name]
		waiting = waiting || rule.Status == pipeline.InProgress
		if rule.Status == pipeline.Failed && (failed == nil || failed.Error.Code != pipeline.JobFailed && rule.Error.Code == pipeline.JobFailed) {
			failed = rule
		}
	}
	switch {
	case failed != nil:
		status := pipeline.Failed
		if failed.Error.Code != pipeline.JobFailed {
			status = pipeline.Errored
		}
		st.conclude(e, place, status, fmt.Sprintf("The rule '%s' failed: %s", failed.Action, failed.Error.Message))
	case !waiting:
		st.conclude(e, place, pipeline.Succeeded, "")
	}
}

// conclude gives a condition its status; rules that still run do not matter any more.
func (st *step) conclude(e *Execution, place pipeline.Place, status pipeline.Status, summary string) {
	run := e.Runs[e.Stage].Conditions[place]
	for _, name := range slices.Sorted(maps.Keys(run.Rules)) {
		if run.Rules[name].Status == pipeline.InProgress {
			st.abandonRun(e, run.Rules[name])
		}
	}
	run.Status, run.Summary, run.Updated = status, summary, st.now
	st.touch(e)
	st.showCondition(e, place)
}

// dropConditions ends the condition that an execution waits for, if it does: the execution was
// stopped, or its pipeline updated (S-193, S-207).
func (st *step) dropConditions(e *Execution, status pipeline.Status, summary string) {
	if visit := e.Runs[e.Stage]; visit != nil && e.Position == Inside {
		for _, place := range pipeline.Places {
			if run := visit.Conditions[place]; run != nil && run.Status == pipeline.InProgress {
				st.conclude(e, place, status, summary)
			}
		}
	}
}

// forget takes away what a retry is to evaluate again: all but an entry condition that let the
// execution in (S-163).
func (st *step) forget(visit *StageRun) {
	for _, place := range pipeline.Places {
		run := visit.Conditions[place]
		if run == nil || place == pipeline.BeforeEntry && run.passed() {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(run.Rules)) {
			st.s.Ended = append(st.s.Ended, run.Rules[name])
		}
		delete(visit.Conditions, place)
	}
}

// showCondition has the stage show the latest evaluation of a condition (S-210), as long as the
// present version has it and the mode shows anything (S-122).
func (st *step) showCondition(e *Execution, place pipeline.Place) {
	stage := st.s.Stages[e.Stage]
	if stage == nil || e.Mode == pipeline.Parallel || !hasCondition(st.s.Current(), e.Stage, place) {
		return
	}
	if stage.Conditions == nil {
		stage.Conditions = map[pipeline.Place]*ConditionRun{}
	}
	stage.Conditions[place] = e.Runs[e.Stage].Conditions[place].clone()
}

func hasCondition(d *pipeline.Declaration, stage string, place pipeline.Place) bool {
	def, _, ok := d.Stage(stage)
	return ok && def.Condition(place) != nil
}

// unmet says why a condition ended an execution (S-109).
func unmet(e *Execution, place pipeline.Place) string {
	return fmt.Sprintf("The %s condition of stage '%s' was not met. %s", placeNames[place], e.Stage, e.Runs[e.Stage].Conditions[place].Summary)
}

// judging says whether a condition of the visit is being evaluated.
func (v *StageRun) judging() bool {
	for _, c := range v.Conditions {
		if c.Status == pipeline.InProgress {
			return true
		}
	}
	return false
}

// passed says whether the condition lets the execution go on.
func (c *ConditionRun) passed() bool {
	return c.Status == pipeline.Succeeded || c.Status == pipeline.Overridden
}

// override has an execution go on as if a condition had been met (S-208, S-209).
func (st *step) override(ev OverrideCondition) error {
	stage, err := st.knownStage(ev.Stage)
	if err != nil {
		return err
	}
	refuse := func(why string) error {
		return fault.New("ConditionNotOverridableException", "The %s condition of stage '%s' cannot be overridden for execution '%s': %s",
			placeNames[ev.Place], ev.Stage, ev.Execution, why)
	}
	e := st.find(ev.Execution)
	if e == nil || e.Mode != pipeline.Parallel && (stage.Latest == nil || stage.Latest.ID != e.ID) {
		return st.notLatest(ev.Execution, ev.Stage)
	}
	visit := e.Runs[ev.Stage]
	if visit == nil || e.Stage != ev.Stage || e.Version != st.s.Version {
		return refuse("the execution is not in this stage of the present structure")
	}
	def, _ := st.stageOf(e)
	c, run := def.Condition(ev.Place), visit.Conditions[ev.Place]
	switch {
	case c == nil:
		return refuse("the stage has no such condition")
	case c.Result == pipeline.ResultSkip || ev.Place == pipeline.OnFailure:
		return refuse("its result is " + c.Result)
	case run == nil:
		return refuse("it has not been evaluated")
	case run.Status == pipeline.InProgress:
	case (run.Status == pipeline.Failed || run.Status == pipeline.Errored) && visit.Status == pipeline.Failed:
		if full := st.full(e.Mode); full != nil {
			return full
		}
		st.s.Executions[e.ID] = e
		st.resume(e)
	default:
		return refuse("it is " + string(run.Status))
	}
	st.conclude(e, ev.Place, pipeline.Overridden, "Overridden by "+ev.By)
	st.advance(e)
	return nil
}
