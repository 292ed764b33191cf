package engine

import (
	"fmt"
	"slices"

	"penstock/internal/pipeline"
)

// Check says which invariant a state breaks, or nil. A state made by New and Step never
// breaks one; the caller may use it to find damage.
func Check(s *State) error {
	for name, stage := range s.Stages {
		if stage.Holder != "" {
			e := s.Executions[stage.Holder]
			if e == nil || e.Position != Inside || e.Stage != name {
				return fmt.Errorf("stage %s is locked by %s, which is not in it", name, stage.Holder)
			}
		}
		waiting := 0
		for _, id := range stage.Waiting {
			e := s.Executions[id]
			if e == nil || e.Position != Waiting || e.Stage != name || e.Status != pipeline.InProgress {
				return fmt.Errorf("stage %s has %s in line, which does not wait there", name, id)
			}
			if e.Mode == pipeline.Superseded {
				waiting++
			}
			if !stage.Transition.Disabled && (stage.Holder == "" || e.Mode == pipeline.Parallel) {
				return fmt.Errorf("%s waits in front of stage %s for nothing", id, name) // S-132
			}
		}
		if waiting > 1 { // S-135
			return fmt.Errorf("%d executions wait in front of stage %s", waiting, name)
		}
	}
	for id, e := range s.Executions {
		if err := checkExecution(s, e); err != nil {
			return fmt.Errorf("execution %s: %w", id, err)
		}
	}
	return nil
}

func checkExecution(s *State, e *Execution) error {
	running := e.running()
	live := !e.Status.Terminal()
	if live != (e.Position != Left) {
		return fmt.Errorf("status %s at position %s", e.Status, e.Position)
	}
	if live && e.Mode != pipeline.Parallel && e.Version != s.Version && !e.Cancelling { // S-64
		return fmt.Errorf("goes on in version %d, and the pipeline is in version %d", e.Version, s.Version)
	}
	stage := s.Stages[e.Stage]
	switch e.Position {
	case Waiting:
		if stage == nil || !slices.Contains(stage.Waiting, e.ID) {
			return fmt.Errorf("waits for stage %s without a place in its line", e.Stage)
		}
		if len(running) > 0 {
			return fmt.Errorf("waits while an action runs")
		}
	case Inside:
		if stage != nil && e.Mode != pipeline.Parallel && stage.Holder != e.ID { // S-128
			return fmt.Errorf("is in stage %s, which is locked by %q", e.Stage, stage.Holder)
		}
		if len(running) == 0 {
			return fmt.Errorf("is in stage %s and nothing can move it on", e.Stage)
		}
	case Left:
		if len(running) > 0 {
			return fmt.Errorf("ended while action %s runs", running[0].Action)
		}
		if e.Mode == pipeline.Parallel || stage == nil || stage.Latest == nil || stage.Latest.ID != e.ID || stage.Latest.Status != e.Status {
			return fmt.Errorf("ended as %s in stage %s and is kept without need", e.Status, e.Stage)
		}
	}
	def, _, _ := s.Attached.Definitions[e.Version].Stage(e.Stage)
	if err := checkConditions(e, def); err != nil {
		return err
	}
	for _, run := range running {
		if run.Stage != e.Stage {
			return fmt.Errorf("action %s runs in stage %s, the execution is in %s", run.Action, run.Stage, e.Stage)
		}
		// An approval has a token, and a job beside it only while its request is published (S-229).
		if run.Job == "" && run.Token == "" || run.Job != "" && run.Token != "" && run.Resolved[notificationKey] == "" {
			return fmt.Errorf("action %s has job %q and approval token %q", run.Action, run.Job, run.Token)
		}
		if run.Token != "" && e.Cancelling { // S-65
			return fmt.Errorf("action %s asks for approval while the execution is cancelled", run.Action)
		}
		if run.Deadline.IsZero() {
			return fmt.Errorf("action %s has no time limit", run.Action)
		}
	}
	return nil
}

// checkConditions says whether the conditions of the stage an execution is at fit what it did.
func checkConditions(e *Execution, def *pipeline.Stage) error {
	visit := e.Runs[e.Stage]
	if visit == nil {
		return nil
	}
	if entry := visit.Conditions[pipeline.BeforeEntry]; def.Condition(pipeline.BeforeEntry) != nil && len(visit.Actions) > 0 && (entry == nil || !entry.passed()) {
		return fmt.Errorf("actions of stage %s ran before its entry condition was met", e.Stage) // S-202
	}
	if visit.Status == pipeline.Skipped && len(visit.Actions) > 0 {
		return fmt.Errorf("stage %s is skipped and has actions that ran", e.Stage)
	}
	for place, c := range visit.Conditions {
		running := 0
		for _, rule := range c.Rules {
			if rule.Status == pipeline.InProgress {
				running++
			}
		}
		if judging := c.Status == pipeline.InProgress; judging != (running > 0) || judging && e.Position != Inside {
			return fmt.Errorf("the condition %s is %s and %d of its rules run", place, c.Status, running)
		}
		for _, a := range visit.Actions {
			if c.Status == pipeline.InProgress && a.Status == pipeline.InProgress {
				return fmt.Errorf("action %s runs while the condition %s is evaluated", a.Action, place)
			}
		}
	}
	return nil
}
