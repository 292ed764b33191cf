package engine

import (
	"encoding/json"
	"fmt"
	"strings"

	"penstock/internal/fault"
	"penstock/internal/pipeline"
)

// checkViews says what the stages show that their executions are not, or what an execution says of
// itself that does not agree. All are the executions there are and were.
func checkViews(s *State, all map[pipeline.ExecutionID]*Execution) error {
	for i, def := range s.Current().Stages {
		if err := checkStage(s, i, def.Name, all); err != nil {
			return fmt.Errorf("stage %s: %w", def.Name, err)
		}
	}
	for id, e := range all {
		if err := checkRecord(s, e); err != nil {
			return fmt.Errorf("execution %s: %w", id, err)
		}
	}
	return nil
}

func checkStage(s *State, i int, name string, all map[pipeline.ExecutionID]*Execution) error {
	stage := s.Stages[name]
	if x := stage.LastInbound; x != nil && (x.Status != pipeline.Stopped || all[x.ID].Status != pipeline.Stopped || all[x.ID].Runs[name] != nil) { // S-120
		return fmt.Errorf("%s is said to have waited here, and is %s", x.ID, all[x.ID].Status)
	}
	last := int64(0)
	for _, id := range stage.Waiting { // S-142
		if e := s.Executions[id]; e.Mode != pipeline.Parallel && e.Order < last {
			return fmt.Errorf("the execution %d waits behind %d", e.Order, last)
		} else if e.Mode != pipeline.Parallel {
			last = e.Order
		}
	}
	var target pipeline.ExecutionID
	newest := int64(0)
	for _, e := range all { // S-185, S-188
		v := e.Runs[name]
		if i > 0 && v != nil && v.Status == pipeline.Succeeded && e.Version == s.Version && e.Type == pipeline.ExecutionStandard && e.Mode != pipeline.Parallel && e.Order > newest {
			target, newest = e.ID, e.Order
		}
	}
	if stage.Target != target {
		return fmt.Errorf("it would be rolled back to %q, and %q succeeded last", stage.Target, target)
	}
	if stage.Latest == nil {
		return nil
	}
	e := all[stage.Latest.ID]
	visit := e.Runs[name]
	if visit == nil || stage.Latest.Status != visit.Status || stage.Latest.Type != e.Type || e.Mode == pipeline.Parallel { // S-119
		return fmt.Errorf("it shows %+v", *stage.Latest)
	}
	for _, other := range all { // who was started later comes later; a rollback enters past who waits (S-142, S-187)
		if other.Runs[name] != nil && other.Mode != pipeline.Parallel && other.Version == e.Version && other.Type == e.Type && other.Order > e.Order {
			return fmt.Errorf("it shows execution %d, and %d has been in it", e.Order, other.Order)
		}
	}
	shown := RetryMetadata{}
	if stage.Retry != nil {
		shown = *stage.Retry
	}
	if (stage.Retry != nil) != (visit.Manual+visit.Automatic > 0) || shown.Manual != visit.Manual || shown.Automatic != visit.Automatic { // S-176
		return fmt.Errorf("it shows the retries %+v of %d and %d", shown, visit.Manual, visit.Automatic)
	}
	if e.Version != s.Version {
		return nil // what the new version does not have is not shown
	}
	for action, run := range visit.Actions { // S-121
		if !same(stage.Actions[action], run) {
			return fmt.Errorf("it shows another run of action %s than the last", action)
		}
	}
	for place, c := range visit.Conditions { // S-210
		if !same(stage.Conditions[place], c) {
			return fmt.Errorf("it shows another evaluation of the condition %s than the last", place)
		}
	}
	return nil
}

func same(a, b any) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

func checkRecord(s *State, e *Execution) error {
	attempts := 1
	for name, v := range e.Runs {
		attempts += v.Manual + v.Automatic
		if name != e.Stage && v.Status != pipeline.Succeeded && v.Status != pipeline.Skipped { // S-110
			return fmt.Errorf("it went on from stage %s, which is %s", name, v.Status)
		}
		for run := range v.All() {
			if over := run.Status != pipeline.InProgress; over && (run.Job != "" || run.Token != "") || (run.Status == pipeline.Failed) != (run.Error != nil) {
				return fmt.Errorf("the run of %s is %s and has job %q, token %q, error %v", run.Action, run.Status, run.Job, run.Token, run.Error)
			}
		}
	}
	stopped := e.Status == pipeline.Stopping || e.Status == pipeline.Stopped
	switch visit := e.Runs[e.Stage]; {
	case attempts != e.Attempt: // S-177
		return fmt.Errorf("it is at attempt %d after %d", e.Attempt, attempts)
	case (e.Stop != nil) != stopped && e.Status != pipeline.Cancelled: // S-127; a pipeline may be deleted under one that is stopping
		return fmt.Errorf("it is %s, the stop is %+v", e.Status, e.Stop)
	case e.StatusSummary != "" && e.Status != pipeline.Failed && e.Status != pipeline.StatusSuperseded: // S-109
		return fmt.Errorf("it is %s: %s", e.Status, e.StatusSummary)
	case visit != nil && e.Position == Left && e.Status != visit.Status && !(e.Status == pipeline.Succeeded && visit.Status == pipeline.Skipped): // S-111
		return fmt.Errorf("it is %s and its stage %s", e.Status, visit.Status)
	case e.Mode == pipeline.Parallel && e.Position == Waiting && len(s.inFront(e)) != 2: // S-146, S-151
		return fmt.Errorf("it waits for a gate alone, and is explained as %q", s.inFront(e))
	case e.Position != Left || s.Executions[e.ID] == nil:
		return nil
	}
	// What is kept can go on, and is told how (S-168, S-169, S-208).
	facts := strings.Join(Explain(s, e), "\n")
	_, _, err := Step(s, e.Updated, Retry{Stage: e.Stage, Execution: e.ID, Mode: pipeline.FailedActions})
	if code := fault.Code(err); (err == nil || code == "ConcurrentPipelineExecutionsLimitExceededException") != strings.Contains(facts, "can be retried") {
		return fmt.Errorf("it is explained as %s\nand a retry says %v", facts, err)
	}
	for _, place := range []pipeline.Place{pipeline.BeforeEntry, pipeline.OnSuccess} {
		_, _, err := Step(s, e.Updated, OverrideCondition{Stage: e.Stage, Execution: e.ID, Place: place})
		code := fault.Code(err)
		if (err == nil || code == "ConcurrentPipelineExecutionsLimitExceededException") != strings.Contains(facts, placeNames[place]+" condition of the stage '"+e.Stage+"' can be overridden") {
			return fmt.Errorf("it is explained as %s\nand an override of %s says %v", facts, place, err)
		}
	}
	return nil
}

// declared are the refusals that the operations declare, as far as the engine can give them.
var declared = map[string]string{
	"engine.Start":    "ConcurrentPipelineExecutionsLimitExceededException ValidationException",
	"engine.Stop":     "PipelineExecutionNotStoppableException DuplicatedStopRequestException",
	"engine.Retry":    "StageNotFoundException StageNotRetryableException NotLatestPipelineExecutionException ConflictException ConcurrentPipelineExecutionsLimitExceededException",
	"engine.Rollback": "StageNotFoundException PipelineExecutionNotFoundException PipelineExecutionOutdatedException UnableToRollbackStageException",
	"engine.OverrideCondition": "StageNotFoundException NotLatestPipelineExecutionException ConditionNotOverridableException " +
		"ConcurrentPipelineExecutionsLimitExceededException",
	"engine.Approve":           "StageNotFoundException ActionNotFoundException InvalidApprovalTokenException ApprovalAlreadyCompletedException",
	"engine.DisableTransition": "StageNotFoundException ValidationException",
	"engine.EnableTransition":  "StageNotFoundException ValidationException",
	"engine.Succeed":           "InvalidJobStateException OutputVariablesSizeExceededException",
	"engine.Continue":          "InvalidJobStateException",
	"engine.Fail":              "InvalidJobStateException",
	"engine.Progress":          "InvalidJobStateException",
}

// declares says whether an operation may be refused so (S-169 to S-175, S-186, S-195, S-209, S-227).
func declares(ev Event, err error) bool {
	code := fault.Code(err)
	return code != "" && strings.Contains(" "+declared[fmt.Sprintf("%T", ev)]+" ", " "+code+" ")
}
