package pipeline

import (
	"strings"
	"time"
)

// Polled says whether the source of an action is polled for changes: those of S3, CodeCommit
// and GitHub (version 1), unless PollForSourceChanges switches it off (S-237, S-240).
func (a *Action) Polled() bool {
	id := a.ActionTypeID
	switch id.Owner + "/" + id.Provider {
	case OwnerAWS + "/S3", OwnerAWS + "/CodeCommit", OwnerThirdParty + "/GitHub":
		return id.Category == CategorySource && !strings.EqualFold(a.Configuration["PollForSourceChanges"], "false")
	}
	return false
}

// Polled says whether any source of the pipeline is polled.
func (d *Declaration) Polled() bool {
	for i := range d.Stages {
		for j := range d.Stages[i].Actions {
			if d.Stages[i].Actions[j].Polled() {
				return true
			}
		}
	}
	return false
}

// PollingEnds says when polling ends if nothing happens: some time after the last start, or
// after the last update if that is later (S-246).
func PollingEnds(lastStart, updated time.Time, limits Limits) time.Time {
	if updated.After(lastStart) {
		lastStart = updated
	}
	return lastStart.Add(limits.OrDefault().PollIdle)
}
