package app

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"penstock/internal/arn"
	"penstock/internal/auth"
	"penstock/internal/conductor"
	"penstock/internal/provider"
	"penstock/internal/retention"
	"penstock/internal/store"
	"penstock/internal/svc/cloudwatch"
	"penstock/internal/svc/codebuild"
	"penstock/internal/svc/codedeploy"
	"penstock/internal/svc/codepipeline"
	"penstock/internal/svc/sns"
)

// newKeeper makes what removes old history with its artifacts, and the rows that the rooms keep
// for a time only.
func (a *App) newKeeper() *retention.Keeper {
	remove := a.deleteArtifact
	if a.cfg.ArtifactRetention == "forever" {
		remove = nil
	}
	return retention.New(retention.Config{DB: a.db, Log: a.log, Delete: remove, Lives: []retention.Life{
		{Kind: store.EndedJobs, Keep: conductor.KeepJobs},
		{Kind: store.StartTokens, Keep: codepipeline.TokenWindow},
		{Kind: store.Deliveries, Keep: codepipeline.KeepDeliveries},
		{Kind: store.Revisions, Keep: a.db.History()},
		{Kind: store.PendingSubscriptions, Keep: sns.ConfirmTime},
		{Kind: store.CompleteBuilds, Keep: codebuild.KeepBuilds},
		{Kind: store.MetricData, Keep: cloudwatch.KeepData},
		{Kind: store.SilentMetrics, Keep: cloudwatch.KeepData},
		{Kind: store.CompleteTargets, Keep: codedeploy.KeepDeployments},
		{Kind: store.CompleteDeployments, Keep: codedeploy.KeepDeployments},
	}})
}

// deleteArtifact deletes the versions of an artifact that were written when its action ran, and
// uploads under its key that were left; all else under that key is somebody else's. Buckets
// that are elsewhere are left to the lifecycle rules of their owner (S-295).
func (a *App) deleteArtifact(ctx context.Context, s store.StaleArtifact) error {
	if _, away := a.endpoints.of("s3", s.Account, s.Region); away {
		return nil
	}
	bucket := arn.S3(a.calls.partition, s.Bucket)
	client := provider.S3(a.calls.config(s.Region, auth.MintInput{
		Account: s.Account, Service: pipelineService, SessionName: "retention", Policies: []string{document([]statement{
			{"Allow", []string{"s3:ListBucketVersions", "s3:ListBucketMultipartUploads"}, []string{bucket}},
			{"Allow", []string{"s3:DeleteObjectVersion", "s3:AbortMultipartUpload"}, []string{bucket + "/" + escaped(s.Key)}},
		})},
	}))
	err := errors.Join(deleteVersions(ctx, client, s), abortUploads(ctx, client, s))
	var refused smithy.APIError
	if errors.As(err, &refused) && refused.ErrorCode() == "NoSuchBucket" {
		return nil
	}
	return err
}

// ours says whether a thing in the bucket is what the action wrote. S3 tells whole seconds.
func ours(s store.StaleArtifact, key *string, at *time.Time) bool {
	return aws.ToString(key) == s.Key && at != nil && !at.Before(s.From.Truncate(time.Second)) && !at.After(s.Until)
}

func deleteVersions(ctx context.Context, client *s3.Client, s store.StaleArtifact) error {
	// The versions of the key itself come before those of longer ones.
	pages := s3.NewListObjectVersionsPaginator(client, &s3.ListObjectVersionsInput{Bucket: &s.Bucket, Prefix: &s.Key})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, v := range page.Versions {
			if !ours(s, v.Key, v.LastModified) {
				continue
			}
			if _, err := client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.Bucket, Key: &s.Key, VersionId: v.VersionId}); err != nil {
				return err
			}
		}
		if aws.ToString(page.NextKeyMarker) != s.Key {
			return nil
		}
	}
	return nil
}

func abortUploads(ctx context.Context, client *s3.Client, s store.StaleArtifact) error {
	// There are few: an upload that is left is one that a crash has cut off.
	page, err := client.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: &s.Bucket, Prefix: &s.Key})
	if err != nil {
		return err
	}
	for _, u := range page.Uploads {
		if !ours(s, u.Key, u.Initiated) {
			continue
		}
		if _, err := client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &s.Bucket, Key: &s.Key, UploadId: u.UploadId}); err != nil {
			return err
		}
	}
	return nil
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
