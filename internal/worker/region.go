package worker

import (
	"context"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"penstock/internal/pipeline"
	"penstock/internal/provider"
	"penstock/internal/store"
)

// fetchInputs copies the inputs of an action that runs in another Region than its pipeline
// into the store of that Region; of everything in the pipeline's store only those (S-292).
// It gives the failure, if there is one.
func fetchInputs(ctx context.Context, row *store.JobRow, env provider.Env) *provider.Result {
	if row.Home == nil {
		return nil
	}
	for _, in := range row.Inputs {
		if failed := copyArtifact(ctx, row, env, row.Home.Location, in.Bucket, in.Key, row.EncryptionKey); failed != nil {
			return failed
		}
	}
	return nil
}

// returnOutputs copies the outputs of such an action back when it has succeeded.
func returnOutputs(ctx context.Context, row *store.JobRow, env provider.Env) *provider.Result {
	if row.Home == nil {
		return nil
	}
	for _, out := range row.Outputs {
		if failed := copyArtifact(ctx, row, env, out.Bucket, row.Home.Location, out.Key, row.Home.EncryptionKey); failed != nil {
			return failed
		}
	}
	return nil
}

// copyArtifact copies an object under its own key with the pipeline's role. Doing it again
// after a crash does no harm: an artifact's key is written by one action execution only.
func copyArtifact(ctx context.Context, row *store.JobRow, env provider.Env, from, to, key string, encrypt *pipeline.EncryptionKey) *provider.Result {
	in := &s3.CopyObjectInput{Bucket: &to, Key: &key, CopySource: new(url.PathEscape(from + "/" + key))}
	if encrypt != nil { // S-291
		in.ServerSideEncryption, in.SSEKMSKeyId = types.ServerSideEncryptionAwsKms, &encrypt.ID
	}
	if _, err := provider.S3(env.ArtifactAWS).CopyObject(ctx, in); err != nil {
		job := provider.Job{Action: row.Action, RoleARN: row.PipelineRoleARN}
		return new(job.CallFailed(err, "copy the artifact s3://"+from+"/"+key+" to the bucket "+to+" of the region "+row.Region, "NoSuchKey", "NoSuchBucket"))
	}
	return nil
}
