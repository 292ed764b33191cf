package app

import (
	"context"
	"time"

	"penstock/internal/conductor"
	"penstock/internal/retention"
	"penstock/internal/store"
	"penstock/internal/svc/codebuild"
	"penstock/internal/svc/codepipeline"
	"penstock/internal/svc/sns"
)

// newKeeper makes what removes the rows that the rooms keep for a time only.
func (a *App) newKeeper() *retention.Keeper {
	return retention.New(retention.Config{DB: a.db, Log: a.log, Lives: []retention.Life{
		{Kind: store.EndedJobs, Keep: conductor.KeepJobs},
		{Kind: store.StartTokens, Keep: codepipeline.TokenWindow},
		{Kind: store.Deliveries, Keep: codepipeline.KeepDeliveries},
		{Kind: store.Revisions, Keep: a.db.History()},
		{Kind: store.PendingSubscriptions, Keep: sns.ConfirmTime},
		{Kind: store.CompleteBuilds, Keep: codebuild.KeepBuilds},
	}})
}

const (
	// sweepAge is longer than any upload takes from its last byte to its commit.
	sweepAge = 6 * time.Hour
	// settle is how long the server has been up before it looks for what a crash left, and
	// sweepEvery how often it looks afterwards for what could not be deleted in its turn.
	settle     = time.Minute
	sweepEvery = 24 * time.Hour
)

// sweep deletes bytes that belong to no object: a crash came between them and their row, or
// between the end of the row and theirs.
func (a *App) sweep(ctx context.Context) error {
	for wait := settle; ; wait = sweepEvery {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		n, err := a.rooms.s3.Sweep(ctx, sweepAge)
		if n > 0 {
			a.log.Info("s3: deleted bytes that belonged to nothing", "blobs", n)
		}
		if err != nil && ctx.Err() == nil {
			a.log.Error("s3: sweep", "error", err)
		}
	}
}
