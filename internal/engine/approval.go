package engine

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"penstock/internal/fault"
	"penstock/internal/pipeline"
)

// Approval is one person's yes to a request that needs several (S-224).
type Approval struct {
	By      string    `json:"by"`
	Summary string    `json:"summary,omitempty"`
	At      time.Time `json:"at"`
}

// maxAnswered is how many answered approvals a stage remembers. It is for the second of two
// answers, which comes soon after the first.
const maxAnswered = 64

// approve answers a pending approval (S-223 to S-227). The request is looked for first: it
// may be one of an older version, whose stage or action has another name by now. A token is
// that of one request of one execution, so an answer is for the revisions of that one. A
// rejection counts at once, whoever may give it; an approval is held to the action's own rules.
func (st *step) approve(ev Approve) error {
	e, run := st.s.Pending(ev.Stage, ev.Action, ev.Token)
	if run == nil || !st.now.Before(run.Deadline) { // S-226: also if its wake-up is late
		return st.notPending(ev)
	}
	if ev.Status == "Approved" {
		if err := allowed(e, run, ev); err != nil {
			return err
		}
		yes := append(slices.Clip(run.Approvals), Approval{By: ev.By, Summary: ev.Summary, At: st.now})
		run.Approvals, run.UpdatedBy = yes, ev.By
		if need := Needed(run); len(yes) < need {
			run.Summary = fmt.Sprintf("%d of %d approvals; %s: %s", len(yes), need, ev.By, ev.Summary)
			st.touchRun(e, run)
			return nil
		}
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

// Needed is how many people have to approve a request.
func Needed(run *ActionRun) int {
	n, _ := strconv.Atoi(run.Resolved[pipeline.RequiredApprovals])
	return max(n, 1)
}

// allowed holds who approves to the rules of the action (S-228 is the door's).
func allowed(e *Execution, run *ActionRun, ev Approve) error {
	no := func(format string, args ...any) error {
		return fault.New("AccessDeniedException", "%s may not approve the action '%s': %s", ev.By, run.Action, fmt.Sprintf(format, args...))
	}
	if list := strings.Fields(run.Resolved[pipeline.Approvers]); len(list) > 0 &&
		!slices.ContainsFunc(list, func(pattern string) bool { return pipeline.MatchARN(pattern, ev.By) }) {
		return no("its configuration Approvers names others")
	}
	me := pipeline.Person(ev.By)
	if slices.ContainsFunc(run.Approvals, func(a Approval) bool { return pipeline.Person(a.By) == me }) {
		return fault.New("ApprovalAlreadyCompletedException", "%s has approved the action '%s' already; %d of %d approvals are there, and the others must come from others",
			me, run.Action, len(run.Approvals), Needed(run))
	}
	if is(run, pipeline.ForbidStarter) && pipeline.Person(e.Trigger.Detail) == me {
		return no("they started the execution, and its configuration ForbidStarter is true")
	}
	if !is(run, pipeline.ForbidAuthor) {
		return nil
	}
	for _, r := range e.SourceRevisions {
		switch author := ev.Authors[r.ActionName]; {
		case author == "":
			return no("its configuration ForbidAuthor is true, and who brought the revision %s of the source action '%s' is not known", r.RevisionID, r.ActionName)
		case pipeline.Person(author) == me:
			return no("they brought the revision %s of the source action '%s', and its configuration ForbidAuthor is true", r.RevisionID, r.ActionName)
		}
	}
	return nil
}

func is(run *ActionRun, key string) bool { return strings.EqualFold(run.Resolved[key], "true") }

// askAgain forgets the answer to an earlier request of the same execution: its token is now
// one of an earlier request, which is invalid (S-227).
func (st *step) askAgain(e *Execution, action string) {
	if stage := st.s.Stages[e.Stage]; stage != nil {
		stage.Answered = slices.DeleteFunc(stage.Answered, func(a Answer) bool { return a.Execution == e.ID && a.Action == action })
	}
}

// Pending finds the run that waits for an answer with a token, and its execution; nil if there
// is none. They must not be changed.
func (s *State) Pending(stage, action, token string) (*Execution, *ActionRun) {
	for _, e := range s.Executions {
		if visit := e.Runs[stage]; visit != nil {
			if run := visit.Actions[action]; run != nil && run.Status == pipeline.InProgress && run.Token != "" && run.Token == token {
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
