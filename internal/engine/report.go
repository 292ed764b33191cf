package engine

import (
	"cmp"
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
	run.Revision = cmp.Or(ev.Revision, run.Revision)
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
			case st.now.Before(run.due()):
				st.effect(Wake{Run: run.ID, At: run.due()})
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
	if st.now.Before(run.Deadline) { // S-325
		typ, _ := st.s.Attached.Catalogue(run.Type)
		why.Message = fmt.Sprintf("The %s was not heard of for %s: the function that does its work has to report with PutJobSuccessResult or PutJobFailureResult, or to ask for more time with a continuation token",
			run.label(), typ.Silence)
	}
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
