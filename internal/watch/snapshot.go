// Package watch shows pipelines in a terminal. It is a client of the API like any other:
// what it shows comes through the SDK with the credentials of whoever looks.
//
// A Snapshot is what is known at a moment; what is drawn, printed or counted as a change is
// a function of snapshots.
package watch

import (
	"slices"
	"time"
)

// Snapshot is a pipeline at a moment: one execution of it, or, if Execution is empty, its
// stages with whatever execution each one has.
type Snapshot struct {
	Pipeline  string     `json:"pipeline"`
	Execution string     `json:"execution,omitempty"`
	Status    string     `json:"status,omitempty"`
	Summary   string     `json:"summary,omitempty"`
	Trigger   string     `json:"trigger,omitempty"`
	Started   *time.Time `json:"started,omitempty"`
	Updated   *time.Time `json:"updated,omitempty"`
	Stages    []Stage    `json:"stages"`
}

// Stage is a stage. Status is "" while nothing has entered it, and Waiting while the execution
// stands in front of it.
type Stage struct {
	Name   string `json:"name"`
	Status string `json:"status,omitempty"`
	// Execution is the one that entered last, Waiting those in front, first in line first.
	Execution string   `json:"execution,omitempty"`
	Waiting   []string `json:"waiting,omitempty"`
	// Disabled says that the transition into the stage is closed.
	Disabled bool   `json:"disabled,omitempty"`
	Reason   string `json:"reason,omitempty"`
	// Conditions are those that were evaluated for Execution, in the order of the evaluation.
	Conditions []Condition `json:"conditions,omitempty"`
	Actions    []Action    `json:"actions"`
}

// Action is an action with its last run; Status is "" while there is none.
type Action struct {
	Name      string     `json:"name"`
	Category  string     `json:"category,omitempty"`
	Provider  string     `json:"provider,omitempty"`
	RunOrder  int        `json:"runOrder,omitempty"`
	ID        string     `json:"actionExecutionId,omitempty"`
	Execution string     `json:"execution,omitempty"`
	Status    string     `json:"status,omitempty"`
	Started   *time.Time `json:"started,omitempty"`
	Updated   *time.Time `json:"updated,omitempty"`
	Summary   string     `json:"summary,omitempty"`
	Error     string     `json:"error,omitempty"`
	External  string     `json:"externalExecutionId,omitempty"`
	URL       string     `json:"url,omitempty"`
	// Token answers a pending approval; Comment and Link are for whoever decides.
	Token   string `json:"-"`
	Comment string `json:"comment,omitempty"`
	Link    string `json:"link,omitempty"`
}

// The statuses with a meaning here. StatusWaiting is ours: an execution in front of a stage.
const (
	StatusInProgress = "InProgress"
	StatusStopping   = "Stopping"
	StatusSucceeded  = "Succeeded"
	StatusWaiting    = "Waiting"
)

// Over says whether the execution has ended.
func (s *Snapshot) Over() bool {
	return s.Execution != "" && s.Status != "" && s.Status != StatusInProgress && s.Status != StatusStopping
}

// Pending are the approvals that wait for an answer, as STAGE/ACTION.
func (s *Snapshot) Pending() []Approval {
	var list []Approval
	for _, st := range s.Stages {
		for _, a := range st.Actions {
			if a.Status == StatusInProgress && a.Token != "" {
				list = append(list, Approval{Stage: st.Name, Action: a.Name, Token: a.Token, Execution: a.Execution, Comment: a.Comment, Link: a.Link})
			}
		}
	}
	return list
}

// Approval is a pending request for a decision.
type Approval struct {
	Stage     string `json:"stage"`
	Action    string `json:"action"`
	Execution string `json:"execution"`
	Comment   string `json:"comment,omitempty"`
	Link      string `json:"link,omitempty"`
	// Token is what the decision is given with.
	Token string `json:"-"`
}

// Building is the newest CodeBuild action that runs, or nil.
func (s *Snapshot) Building() *Action {
	var found *Action
	for i := range s.Stages {
		for j := range s.Stages[i].Actions {
			a := &s.Stages[i].Actions[j]
			if a.Provider == "CodeBuild" && a.Status == StatusInProgress && a.External != "" &&
				(found == nil || a.Started != nil && found.Started != nil && a.Started.After(*found.Started)) {
				found = a
			}
		}
	}
	return found
}

// Change is news between two snapshots. Stage, Action and Condition are empty where it concerns
// the whole.
type Change struct {
	Time      time.Time `json:"time"`
	Pipeline  string    `json:"pipeline"`
	Execution string    `json:"execution"`
	Stage     string    `json:"stage,omitempty"`
	Action    string    `json:"action,omitempty"`
	Condition string    `json:"condition,omitempty"`
	Status    string    `json:"status"`
	Summary   string    `json:"summary,omitempty"`
	Error     string    `json:"error,omitempty"`
	// Approve says that the action waits for a decision.
	Approve bool `json:"approve,omitempty"`
}

// Changes gives what is new in next, in the order of the pipeline: actions, conditions, then
// their stage, and the execution last. The first snapshot is compared with an empty one.
func Changes(last, next *Snapshot, now time.Time) []Change {
	var list []Change
	add := func(c Change) {
		c.Time, c.Pipeline = now, next.Pipeline
		if c.Execution == "" {
			c.Execution = next.Execution
		}
		list = append(list, c)
	}
	for i := range next.Stages {
		s := &next.Stages[i]
		old := last.stage(s.Name)
		entered := s.Status != old.Status && s.Status != "" || s.Execution != old.Execution
		if entered && (s.Status == StatusInProgress || s.Status == StatusWaiting) {
			add(Change{Stage: s.Name, Execution: s.Execution, Status: s.Status, Summary: waitingFor(s)})
		}
		for _, a := range s.Actions {
			o := old.action(a.Name)
			approve := a.Status == StatusInProgress && a.Token != ""
			if a.Status != "" && (a.Status != o.Status || a.ID != o.ID || approve && o.Token != a.Token) {
				add(Change{Stage: s.Name, Action: a.Name, Execution: a.Execution, Status: a.Status, Summary: a.Summary, Error: a.Error, Approve: approve})
			}
		}
		for _, c := range s.Conditions {
			if s.Execution != old.Execution || c.Status != old.condition(c.Name).Status {
				add(Change{Stage: s.Name, Condition: c.Name, Execution: s.Execution, Status: c.Status, Summary: c.Summary})
			}
		}
		if entered && s.Status != StatusInProgress && s.Status != StatusWaiting && s.Status != "" {
			add(Change{Stage: s.Name, Execution: s.Execution, Status: s.Status})
		}
	}
	if next.Status != last.Status && next.Status != "" {
		add(Change{Status: next.Status, Summary: next.Summary})
	}
	return list
}

func waitingFor(s *Stage) string {
	switch {
	case s.Status != StatusWaiting:
		return ""
	case s.Disabled:
		return "the transition is disabled: " + s.Reason
	}
	return "another execution is in the stage"
}

func (s *Snapshot) stage(name string) *Stage {
	if i := slices.IndexFunc(s.Stages, func(s Stage) bool { return s.Name == name }); i >= 0 {
		return &s.Stages[i]
	}
	return &Stage{}
}

func (s *Stage) action(name string) Action {
	if i := slices.IndexFunc(s.Actions, func(a Action) bool { return a.Name == name }); i >= 0 {
		return s.Actions[i]
	}
	return Action{}
}
