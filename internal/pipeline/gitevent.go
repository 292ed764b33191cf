package pipeline

import (
	"encoding/json"
	"time"
)

// GitEventKind says what happened in a Git repository.
type GitEventKind int

// The kinds of Git events.
const (
	GitPush GitEventKind = iota + 1
	GitTag
	GitPullRequest
)

// The events of a pull request (S-266).
const (
	PullRequestOpen    = "OPEN"
	PullRequestUpdated = "UPDATED"
	PullRequestClosed  = "CLOSED"
)

// GitEvent is something that happened in a repository behind a connection.
type GitEvent struct {
	Kind GitEventKind
	// Branch is the branch that was pushed, or the destination of a pull request; Tag the
	// tag that was pushed. Both without refs/heads/ and refs/tags/.
	Branch, Tag string
	// Commit is what the branch, the tag or the source of the pull request is at; empty if
	// the branch or tag was deleted.
	Commit string
	// Created says that the push made the branch: what it changed is then not known (S-263).
	Created bool
	// Files are the files that changed in all commits of the push or in the pull request,
	// if FilesKnown.
	Files      []string
	FilesKnown bool
	// Action, SourceBranch, Number and Title belong to a pull request; Action is OPEN,
	// UPDATED or CLOSED.
	Action, SourceBranch, Number, Title string
	// Repository is the full name, such as owner/name; Provider and Connection are where.
	Repository, Provider, Connection string
	// Message and Author… describe the commit as far as the event tells.
	Message, AuthorName, AuthorEmail, AuthorID string
	AuthorDate                                 time.Time
}

// gitDetail is what the trigger of an execution tells of a Git event (S-347).
type gitDetail struct {
	AuthorName  string `json:"author-display-name,omitempty"`
	Repository  string `json:"full-repository-name"`
	Provider    string `json:"provider-type"`
	AuthorEmail string `json:"author-email,omitempty"`
	Message     string `json:"commit-message,omitempty"`
	AuthorDate  string `json:"author-date,omitempty"`
	Tag         string `json:"tag-name,omitempty"`
	Branch      string `json:"branch-name,omitempty"`
	Destination string `json:"destination-branch-name,omitempty"`
	Source      string `json:"source-branch-name,omitempty"`
	Number      string `json:"pull-request-id,omitempty"`
	Title       string `json:"pull-request-title,omitempty"`
	Event       string `json:"pull-request-event,omitempty"`
	Commit      string `json:"commit-id"`
	Connection  string `json:"connection-arn"`
	AuthorID    string `json:"author-id,omitempty"`
}

// maxTold bounds what a trigger repeats of each text of an event.
const maxTold = 1000

// Detail is the trigger detail of an execution that the event starts: JSON with the keys of
// S-347 (S-93). Long texts are cut.
func (e GitEvent) Detail() string {
	d := gitDetail{
		AuthorName: cut(e.AuthorName, maxTold), AuthorEmail: cut(e.AuthorEmail, maxTold), AuthorID: cut(e.AuthorID, maxTold),
		Message: cut(e.Message, maxTold), Commit: e.Commit, Repository: e.Repository, Provider: e.Provider, Connection: e.Connection,
	}
	if !e.AuthorDate.IsZero() {
		d.AuthorDate = e.AuthorDate.UTC().Format(time.RFC3339)
	}
	switch e.Kind {
	case GitTag:
		d.Tag = e.Tag
	case GitPullRequest:
		d.Destination, d.Source, d.Number, d.Title, d.Event = e.Branch, e.SourceBranch, e.Number, cut(e.Title, maxTold), e.Action
	default:
		d.Branch = e.Branch
	}
	text, err := json.Marshal(d)
	if err != nil {
		panic("pipeline: a Git event has no JSON form: " + err.Error()) // it is made of strings
	}
	return string(text)
}
