package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"penstock/internal/pipeline"
)

// Explain says why an execution of the pipeline stands where it does, as a chain of facts:
// what started it, what it waits for and who stands in its way, or how it ended and why. The
// execution may be one of history.
func Explain(s *State, e *Execution) []string {
	by := e.Trigger.Type
	if e.Trigger.Detail != "" {
		by += " (" + e.Trigger.Detail + ")"
	}
	facts := []string{fmt.Sprintf("Execution %s was started at %s by %s, with version %d of the pipeline.", e.ID, e.Started.UTC().Format(time.RFC3339), by, e.Version)}
	if e.RollbackTarget != "" {
		facts = append(facts, fmt.Sprintf("It rolls the stage '%s' back to what execution %s had there.", e.Stage, e.RollbackTarget))
	}
	if e.Stop != nil {
		facts = append(facts, "Somebody has asked to stop it"+reason(e.Stop.Reason))
	}
	if e.Cancelling || e.Status == pipeline.Cancelled {
		facts = append(facts, "The pipeline was updated meanwhile: what runs ends, and nothing more starts.")
	}
	live := !e.Status.Terminal()
	switch {
	case live && e.Position == Waiting:
		facts = append(facts, s.inFront(e)...)
	case live:
		facts = append(facts, fmt.Sprintf("It is in the stage '%s'.", e.Stage))
	case e.Runs[e.Stage] != nil:
		facts = append(facts, fmt.Sprintf("It has ended as %s, in the stage '%s'%s", e.Status, e.Stage, reason(e.StatusSummary)))
	case e.Status == pipeline.Failed && e.StatusSummary == "": // S-104
		facts = append(facts, fmt.Sprintf("It has ended as Failed before it entered the stage '%s': there were as many executions in progress as the mode %s allows.", e.Stage, e.Mode))
	default:
		facts = append(facts, fmt.Sprintf("It has ended as %s before it entered the stage '%s'%s", e.Status, e.Stage, reason(e.StatusSummary)))
	}
	visit := e.Runs[e.Stage]
	if visit != nil && (e.Position == Inside || !live) {
		facts = append(facts, visit.explain(live)...)
	}
	if visit != nil && !live && (s.Executions[e.ID] != nil || s.retriable(e, visit)) {
		facts = append(facts, visit.ways(e.Stage))
	}
	return facts
}

// retriable says whether a past execution in PARALLEL mode can go on, which the state does not keep.
func (s *State) retriable(e *Execution, visit *StageRun) bool {
	return e.Mode == pipeline.Parallel && e.Version == s.Version && (visit.Status == pipeline.Failed || visit.Status == pipeline.Stopped)
}

// ways says how an execution that ended in the visit can go on: a retry is for what failed or was
// stopped, and not for a condition that was not met (S-168, S-169, S-208).
func (v *StageRun) ways(stage string) string {
	for place, c := range v.Conditions {
		if place != pipeline.OnFailure && v.Status == pipeline.Failed && !c.passed() {
			return fmt.Sprintf("The %s condition of the stage '%s' can be overridden for this execution.", placeNames[place], stage)
		}
	}
	return fmt.Sprintf("The stage '%s' can be retried with this execution.", stage)
}

func reason(text string) string {
	if text == "" {
		return "."
	}
	return ": " + text
}

// inFront says what keeps an execution in front of its stage (S-128, S-131, S-153): in PARALLEL
// mode the gate alone (S-151).
func (s *State) inFront(e *Execution) []string {
	facts := []string{fmt.Sprintf("It waits in front of the stage '%s'.", e.Stage)}
	stage := s.Stages[e.Stage]
	if stage == nil {
		return facts
	}
	if t := stage.Transition; t.Disabled {
		facts = append(facts, fmt.Sprintf("The transition into the stage was disabled by %s at %s%s", t.LastChangedBy, t.LastChangedAt.UTC().Format(time.RFC3339), reason(t.Reason)))
	}
	if e.Mode == pipeline.Parallel {
		return facts
	}
	if stage.Holder != "" && stage.Holder != e.ID {
		facts = append(facts, fmt.Sprintf("The stage is locked by execution %s, which is in it; one execution is in a stage at a time.", stage.Holder))
		if h := s.Executions[stage.Holder]; h != nil && h.Runs[h.Stage] != nil {
			for _, fact := range h.Runs[h.Stage].explain(true) {
				facts = append(facts, "There: "+fact)
			}
		}
	}
	if n := slices.Index(stage.Waiting, e.ID); n > 0 {
		facts = append(facts, fmt.Sprintf("It is number %d in the line, after execution %s.", n+1, stage.Waiting[n-1]))
	}
	return facts
}

// explain says what goes on in a visit, or what went wrong in it.
func (v *StageRun) explain(live bool) (facts []string) {
	for _, place := range slices.Sorted(maps.Keys(v.Conditions)) {
		c := v.Conditions[place]
		if c.Status != pipeline.Succeeded {
			facts = append(facts, fmt.Sprintf("The condition %s is %s%s", place, c.Status, reason(c.Summary)))
		}
		for _, name := range slices.Sorted(maps.Keys(c.Rules)) {
			facts = append(facts, c.Rules[name].explain(live)...)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v.Actions)) {
		facts = append(facts, v.Actions[name].explain(live)...)
	}
	return facts
}

// explain says why a run has not succeeded; nothing if it has.
func (run *ActionRun) explain(live bool) []string {
	label := run.label()
	label = strings.ToUpper(label[:1]) + label[1:]
	switch {
	case run.Status == pipeline.InProgress && !live, run.Status == pipeline.Succeeded:
		return nil
	case run.Status == pipeline.InProgress && run.Token != "":
		facts := []string{fmt.Sprintf("%s waits for somebody to approve or reject it, until %s.", label, run.Deadline.UTC().Format(time.RFC3339))}
		if need := Needed(run); need > 1 {
			facts = append(facts, fmt.Sprintf("%s has %d of %d approvals.", label, len(run.Approvals), need))
		}
		return facts
	case run.Status == pipeline.InProgress:
		return []string{fmt.Sprintf("%s of provider %s has been in progress since %s%s", label, run.Type.Provider, run.Started.UTC().Format(time.RFC3339), reason(run.Summary))}
	case run.Error != nil:
		return []string{fmt.Sprintf("%s is %s, with %s: %s", label, run.Status, run.Error.Code, run.Error.Message)}
	}
	return []string{fmt.Sprintf("%s is %s%s", label, run.Status, reason(run.Summary))}
}
