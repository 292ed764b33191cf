package app

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"penstock/internal/arn"
	"penstock/internal/pipeline"
	"penstock/internal/store"
)

const (
	// objectARN begins the names under which objects are watched, in every partition.
	objectARN = "arn:aws:s3:::"
	heads     = "refs/heads/"
)

// sources lists what is watched for the sources of a definition: the branches and objects
// whose action does not switch PollForSourceChanges off (S-237). What is there already
// counts as seen: creating or updating a pipeline is no change of its sources. Connections
// tell of events themselves; what is at another endpoint is seen by the first look.
func (e *endpoints) sources(ctx context.Context, tx *store.Tx, account, region string, d *pipeline.Declaration) ([]store.Source, error) {
	var list []store.Source
	for i := range d.Stages {
		for _, a := range d.Stages[i].Actions {
			id := a.ActionTypeID
			if pipeline.IsConnection(id) { // watched in any case: triggers decide (S-242)
				list = append(list, store.Source{Action: a.Name, Resource: a.Configuration["ConnectionArn"], Detail: a.Configuration["FullRepositoryId"]})
				continue
			}
			if !a.Polled() {
				continue
			}
			s := store.Source{Action: a.Name}
			where := cmp.Or(a.Region, region)
			switch id.Provider {
			case "CodeCommit":
				s.Resource = arn.New("codecommit", where, account, a.Configuration["RepositoryName"])
				s.Detail = a.Configuration["BranchName"]
			case "S3":
				s.Resource = objectARN + a.Configuration["S3Bucket"] + "/" + a.Configuration["S3ObjectKey"]
			default:
				continue
			}
			if _, away := e.of(serviceOf(s), account, where); !away {
				var err error
				if s.Seen, err = revision(ctx, tx, s); err != nil {
					return nil, err
				}
			}
			list = append(list, s)
		}
	}
	return list, nil
}

// revision gives what is at a source now: a commit or an object version; "" if nothing is.
func revision(ctx context.Context, tx *store.Tx, s store.Source) (string, error) {
	found, err := "", error(nil)
	if object, ok := strings.CutPrefix(s.Resource, objectARN); ok {
		bucket, key, _ := strings.Cut(object, "/")
		var o store.Object
		if o, err = tx.Object(ctx, bucket, key, ""); err == nil && !o.DeleteMarker {
			found = o.Version
			if found == store.NullVersion { // the one id that is used again
				found += " " + o.ETag
			}
		}
	} else if a, ok := arn.Parse(s.Resource); ok {
		var repository store.CodeCommitRepository
		if repository, err = tx.GetCodeCommitRepository(ctx, a.Account, a.Region, a.Resource); err == nil {
			var told map[string]string
			told, err = tx.CodeCommitHeads(ctx, repository.ID)
			found = told[heads+s.Detail]
		}
	}
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	return found, err
}
