package app

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"penstock/internal/store"
	"penstock/internal/svc/codecommit"
)

// repositoryChange is the detail of the event by which rules start pipelines on a push (S-238).
type repositoryChange struct {
	Caller   string `json:"callerUserArn,omitempty"`
	Commit   string `json:"commitId,omitempty"`
	Event    string `json:"event"`
	Old      string `json:"oldCommitId,omitempty"`
	FullName string `json:"referenceFullName"`
	Name     string `json:"referenceName"`
	Type     string `json:"referenceType"`
	ID       string `json:"repositoryId"`
	Repo     string `json:"repositoryName"`
}

const tags = "refs/tags/"

// tell keeps the event of a branch or tag that was moved, made or deleted.
func (c *changes) tell(ctx context.Context, u codecommit.RefUpdate) error {
	d := repositoryChange{Caller: u.CallerARN, Commit: u.New, Old: u.Old, FullName: u.Ref, Repo: u.Repository, Event: "referenceUpdated"}
	if name, ok := strings.CutPrefix(u.Ref, heads); ok {
		d.Name, d.Type = name, "branch"
	} else if name, ok := strings.CutPrefix(u.Ref, tags); ok {
		d.Name, d.Type = name, "tag"
	} else {
		return nil
	}
	switch {
	case u.Old == "":
		d.Event = "referenceCreated"
	case u.New == "":
		d.Event, d.Commit, d.Old = "referenceDeleted", u.Old, ""
	}
	return c.db.Update(ctx, func(tx *store.Tx) error {
		repository, err := tx.GetCodeCommitRepository(ctx, u.Account, u.Region, u.Repository)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		d.ID = repository.ID
		text, err := json.Marshal(d)
		if err != nil {
			return err
		}
		return c.conductor.TellTx(ctx, tx, store.Outgoing{
			Source: "aws.codecommit", Account: u.Account, Region: u.Region, Resource: u.RepositoryARN, At: tx.Now(),
			DetailType: "CodeCommit Repository State Change", Detail: string(text),
		})
	})
}
