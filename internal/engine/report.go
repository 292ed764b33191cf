package engine

import (
	"cmp"
	"fmt"
	"slices"
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
			for a := range run.All() {
				if a.ID == ref.Run && a.Job == ref.ID && a.Status == pipeline.InProgress {
					return e, a, nil
				}
			}
		}
	}
	return nil, nil, fault.New("InvalidJobStateException", "The job %s is not in progress: it has ended, timed out or was abandoned", ref.ID)
}

// note records what a job tells of its work. What an approval shows is the approver's, so the
// job that publishes its request tells nothing.
func (st *step) note(run *ActionRun, r Result) {
	if run.Token != "" {
		return
	}
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
	if run.Token != "" { // the request is published, and waits for its answer (S-229)
		st.effect(EndJob{ID: run.Job, Status: JobSucceeded})
		run.Job = ""
		st.touchRun(e, run)
		return nil
	}
	size := 0
	for k, v := range ev.Variables {
		size += len(k) + len(v)
	}
	if limit := st.limits.OutputVariablesBytes; size > limit { // S-79, S-279
		return fault.New("OutputVariablesSizeExceededException",
			"The output variables of %s have %d bytes; at most %d are allowed", run.label(), size, limit)
	}
	st.note(run, ev.Result)
	run.Variables, run.Revision = ev.Variables, cmp.Or(ev.Revision, run.Revision)
	revision := ""
	if run.Revision != nil {
		revision = run.Revision.ID
		if run.Type.Category == pipeline.CategorySource {
			revise(e, run)
		}
	}
	if run.Place != "" { // a rule gives nothing to others
		st.endRun(e, run, pipeline.Succeeded)
		st.advance(e)
		return nil
	}
	home, _ := pipeline.ArtifactBucket(st.s.Attached.Definitions[e.Version], st.s.Region)
	for i := range run.Outputs {
		out := run.Outputs[i]
		out.Revision = revision
		out.Bucket = home.Location // S-292: copied back
		e.Artifacts[out.Name] = out
	}
	def, _ := st.stageOf(e)
	if a, ok := def.Action(run.Action); ok && a.Namespace != "" { // S-273
		e.Outputs[a.Namespace] = ev.Variables
	}
	st.endRun(e, run, pipeline.Succeeded)
	st.emitAction(e, run, "SUCCEEDED")
	st.advance(e)
	return nil
}

// revise records the revision a source action took, for the execution's summaries (S-125, S-126).
func revise(e *Execution, run *ActionRun) {
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
	st.startJob(e, run, ev.Token, st.now.Add(cmp.Or(ev.After, st.limits.Continuation)))
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
// pending approval nobody answered (S-226). A wake-up that came too early is asked for
// again, as it is spent; one that came too late is not an error and changes nothing.
func (st *step) wakeup(ev Wakeup) {
	for _, e := range st.s.Executions {
		for _, run := range e.running() {
			switch {
			case run.ID != ev.Run:
			case st.now.Before(run.Deadline):
				st.effect(Wake{Run: run.ID, At: run.Deadline})
				return
			default:
				st.timeOut(e, run)
				return
			}
		}
	}
}

func (st *step) timeOut(e *Execution, run *ActionRun) {
	limit := run.Deadline.Sub(run.Started).Round(time.Second)
	why := pipeline.ErrorDetails{Code: pipeline.JobFailed,
		Message: fmt.Sprintf("The %s did not finish within its time limit of %s. Work it started elsewhere was not cancelled.", run.label(), limit)}
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

// approve answers a pending approval (S-223 to S-227). The request is looked for first: it
// may be one of an older version, whose stage or action has another name by now.
func (st *step) approve(ev Approve) error {
	e, run := st.pending(ev)
	if run == nil {
		return st.notPending(ev)
	}
	run.Summary, run.UpdatedBy = ev.Summary, ev.By
	if stage := st.s.Stages[ev.Stage]; stage != nil {
		stage.Answered = append(stage.Answered, Answer{Execution: e.ID, Action: run.Action, Token: run.Token})
		stage.Answered = stage.Answered[max(0, len(stage.Answered)-maxAnswered):]
	}
	if ev.Status == "Approved" {
		st.endRun(e, run, pipeline.Succeeded)
		st.emitAction(e, run, "SUCCEEDED")
	} else {
		st.failRun(e, run, pipeline.ErrorDetails{Code: pipeline.JobFailed, Message: fmt.Sprintf("The action '%s' was rejected by %s", run.Action, ev.By)})
	}
	st.advance(e)
	return nil
}

// maxAnswered is how many answered approvals a stage remembers. It is for the second of two
// answers, which comes soon after the first.
const maxAnswered = 64

// askAgain forgets the answer to an earlier request of the same execution: its token is now
// one of an earlier request, which is invalid (S-227).
func (st *step) askAgain(e *Execution, action string) {
	if stage := st.s.Stages[e.Stage]; stage != nil {
		stage.Answered = slices.DeleteFunc(stage.Answered, func(a Answer) bool { return a.Execution == e.ID && a.Action == action })
	}
}

// pending finds the run that waits for an answer.
func (st *step) pending(ev Approve) (*Execution, *ActionRun) {
	for _, e := range st.s.Executions {
		if visit := e.Runs[ev.Stage]; visit != nil {
			if run := visit.Actions[ev.Action]; run != nil && run.Status == pipeline.InProgress && run.Token != "" && run.Token == ev.Token {
				return e, run
			}
		}
	}
	return nil, nil
}

// notPending says why an answer is refused (S-227).
func (st *step) notPending(ev Approve) error {
	stage, err := st.knownStage(ev.Stage)
	if err != nil {
		return err
	}
	if !hasAction(st.s.Current(), ev.Stage, ev.Action) {
		return fault.New("ActionNotFoundException", "The stage '%s' of pipeline '%s' does not have an action with name '%s'", ev.Stage, st.s.Name, ev.Action)
	}
	if slices.ContainsFunc(stage.Answered, func(a Answer) bool { return a.Action == ev.Action && a.Token == ev.Token }) {
		return fault.New("ApprovalAlreadyCompletedException", "The approval of action '%s' in stage '%s' has already been answered", ev.Action, ev.Stage)
	}
	return fault.New("InvalidApprovalTokenException", "The approval token is unknown, has expired or belongs to an earlier request of action '%s'", ev.Action)
}

func hasAction(d *pipeline.Declaration, stage, action string) bool {
	def, _, ok := d.Stage(stage)
	if ok {
		_, ok = def.Action(action)
	}
	return ok
}
