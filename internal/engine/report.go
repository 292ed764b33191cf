package engine

import (
	"fmt"
	"time"

	"penstock/internal/fault"
	"penstock/internal/pipeline"
)

// reported finds the run a job report is about. A report about a job that is not the
// current job of a run in progress is refused, so a late, repeated or forged report never
// changes anything (S-194, S-315).
func (st *step) reported(ref JobRef) (*Execution, *ActionRun, error) {
	if e := st.s.Executions[ref.Execution]; e != nil {
		for _, run := range e.Runs {
			for _, a := range run.Actions {
				if a.ID == ref.Run && a.Job == ref.ID && a.Status == pipeline.InProgress {
					return e, a, nil
				}
			}
		}
	}
	return nil, nil, fault.New("InvalidJobStateException", "The job %s is not in progress: it has ended, timed out or was abandoned", ref.ID)
}

// note records what a job tells of its work.
func (st *step) note(run *ActionRun, r Result) {
	if r.Summary != "" {
		run.Summary = r.Summary
	}
	if r.ExternalID != "" {
		run.ExternalID = r.ExternalID
		if typ, ok := st.s.Attached.Catalogue(run.Type); ok && typ.Settings.ExecutionURLTemplate != "" { // S-299
			run.ExternalURL = typ.ExecutionURL(run.Resolved, r.ExternalID)
		}
	}
	if r.ExternalURL != "" {
		run.ExternalURL = r.ExternalURL
	}
	if r.LogStreamARN != "" {
		run.LogStreamARN = r.LogStreamARN
	}
	if r.Percent != nil {
		run.Percent = r.Percent
	}
}

func (st *step) progress(ev Progress) error {
	e, run, err := st.reported(ev.Job)
	if err != nil {
		return err
	}
	st.note(run, ev.Result)
	st.touchRun(e, run)
	return nil
}

// succeed ends an action well: its outputs and variables become available (S-311, S-313).
func (st *step) succeed(ev Succeed) error {
	e, run, err := st.reported(ev.Job)
	if err != nil {
		return err
	}
	size := 0
	for k, v := range ev.Variables {
		size += len(k) + len(v)
	}
	if size > maxVariables { // S-79, S-279
		return fault.New("OutputVariablesSizeExceededException",
			"The output variables of action '%s' have %d bytes; at most %d are allowed", run.Action, size, maxVariables)
	}
	st.note(run, ev.Result)
	run.Variables, run.Revision = ev.Variables, ev.Revision
	revision := ""
	if ev.Revision != nil {
		revision = ev.Revision.ID
		st.revise(e, run)
	}
	for i := range run.Outputs {
		out := run.Outputs[i]
		out.Revision = revision
		e.Artifacts[out.Name] = out
	}
	def, _ := st.stageOf(e)
	for i := range def.Actions {
		if a := &def.Actions[i]; a.Name == run.Action && a.Namespace != "" { // S-273
			e.Outputs[a.Namespace] = ev.Variables
		}
	}
	st.endRun(e, run, pipeline.Succeeded)
	st.emitAction(e, run, "SUCCEEDED")
	st.advance(e)
	return nil
}

// revise records the revision a source action took, for the execution's summaries (S-125, S-126).
func (st *step) revise(e *Execution, run *ActionRun) {
	rev := *run.Revision
	src := pipeline.SourceRevision{ActionName: run.Action, RevisionID: rev.ID, RevisionSummary: rev.Summary, RevisionURL: rev.URL}
	replaceBy(&e.SourceRevisions, src, func(a, b pipeline.SourceRevision) bool { return a.ActionName == b.ActionName })
	for _, out := range run.Outputs {
		replaceBy(&e.ArtifactRevisions, ArtifactRevision{Name: out.Name, Revision: rev},
			func(a, b ArtifactRevision) bool { return a.Name == b.Name })
	}
}

// replaceBy puts v in the place of its equal, or at the end.
func replaceBy[T any](list *[]T, v T, same func(a, b T) bool) {
	for i := range *list {
		if same((*list)[i], v) {
			(*list)[i] = v
			return
		}
	}
	*list = append(*list, v)
}

// proceed ends a job and starts the next one of the same action with its token (S-312).
func (st *step) proceed(ev Continue) error {
	e, run, err := st.reported(ev.Job)
	if err != nil {
		return err
	}
	st.note(run, ev.Result)
	st.effect(EndJob{ID: run.Job, Status: JobSucceeded})
	after := ev.After
	if after == 0 {
		after = st.s.Attached.Limits.filled().Continuation
	}
	st.startJob(e, run, ev.Token, st.now.Add(after))
	st.touchRun(e, run)
	return nil
}

func (st *step) fail(ev Fail) error {
	e, run, err := st.reported(ev.Job)
	if err != nil {
		return err
	}
	st.note(run, ev.Result)
	st.failRun(e, run, ev.Error)
	st.advance(e)
	return nil
}

// wakeup ends an action whose time is over, whichever job is current (S-316, S-338), and a
// pending approval nobody answered (S-226). A wake-up that came too early or too late is
// not an error and changes nothing.
func (st *step) wakeup(ev Wakeup) {
	for _, e := range st.s.ordered() {
		for _, run := range e.running() {
			if run.ID == ev.Run && !st.now.Before(run.Deadline) {
				st.timeOut(e, run)
				return
			}
		}
	}
}

func (st *step) timeOut(e *Execution, run *ActionRun) {
	limit := run.Deadline.Sub(run.Started).Round(time.Second)
	why := pipeline.ErrorDetails{Code: pipeline.JobFailed,
		Message: fmt.Sprintf("The action '%s' did not finish within its time limit of %s. Work it started elsewhere was not cancelled.", run.Action, limit)}
	if run.Token != "" {
		why.Message = fmt.Sprintf("The approval request of action '%s' was not answered within %s", run.Action, limit)
	}
	if run.Job != "" {
		st.effect(EndJob{ID: run.Job, Status: JobTimedOut, Abort: true})
		run.Job = ""
	}
	st.failRun(e, run, why)
	st.advance(e)
}

// approve answers a pending approval (S-223 to S-227).
func (st *step) approve(ev Approve) error {
	d := st.s.Current()
	stage, err := st.knownStage(ev.Stage)
	if err != nil {
		return err
	}
	if !hasAction(d, ev.Stage, ev.Action) {
		return fault.New("ActionNotFoundException", "The stage '%s' of pipeline '%s' does not have an action with name '%s'", ev.Stage, st.s.Name, ev.Action)
	}
	for _, e := range st.s.Executions {
		visit := e.Runs[ev.Stage]
		if visit == nil {
			continue
		}
		run := visit.Actions[ev.Action]
		if run == nil || run.Token == "" || run.Token != ev.Token || run.Status != pipeline.InProgress {
			continue
		}
		run.Answered, run.Summary, run.UpdatedBy = true, ev.Summary, ev.By
		if ev.Status == "Approved" {
			st.endRun(e, run, pipeline.Succeeded)
			st.emitAction(e, run, "SUCCEEDED")
		} else {
			st.failRun(e, run, pipeline.ErrorDetails{Code: pipeline.JobFailed, Message: fmt.Sprintf("The action '%s' was rejected by %s", run.Action, ev.By)})
		}
		st.advance(e)
		return nil
	}
	if answered(st.s, stage, ev) {
		return fault.New("ApprovalAlreadyCompletedException", "The approval of action '%s' in stage '%s' has already been answered", ev.Action, ev.Stage)
	}
	return fault.New("InvalidApprovalTokenException", "The approval token is unknown, has expired or belongs to an earlier request of action '%s'", ev.Action)
}

// answered says whether the token belongs to a request that somebody answered.
func answered(s *State, stage *StageState, ev Approve) bool {
	if last := stage.Actions[ev.Action]; last != nil && last.Token == ev.Token && last.Answered {
		return true
	}
	for _, e := range s.Executions {
		if visit := e.Runs[ev.Stage]; visit != nil {
			if run := visit.Actions[ev.Action]; run != nil && run.Token == ev.Token && run.Answered {
				return true
			}
		}
	}
	return false
}

func hasAction(d *pipeline.Declaration, stage, action string) bool {
	for _, s := range d.Stages {
		for _, a := range s.Actions {
			if s.Name == stage && a.Name == action {
				return true
			}
		}
	}
	return false
}
