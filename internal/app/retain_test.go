package app

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"penstock/internal/blob"
	"penstock/internal/store"
)

// S-295: of a stale artifact the versions are deleted that were written when its action ran, in
// buckets with and without versions, and what was left of an upload; everything else stays.
func TestDeleteArtifact(t *testing.T) {
	t.Parallel()
	a := start(t, t.TempDir(), "")
	client := s3.NewFromConfig(a.administrator(), func(o *s3.Options) { o.UsePathStyle = true })
	ctx := t.Context()
	const key, longer = "p/out/Ab$*12?", "p/out/Ab$*12?x"
	now := time.Now()
	meant := func(bucket string) store.StaleArtifact {
		return store.StaleArtifact{Bucket: bucket, Key: key, From: now.Add(-time.Hour), Until: now.Add(time.Hour), Account: a.cfg.Account, Region: a.cfg.Region}
	}
	left := func(bucket string) (versions, uploads int) {
		t.Helper()
		v, err := client.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: &bucket})
		if err != nil {
			t.Fatal(err)
		}
		u, err := client.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: &bucket})
		if err != nil {
			t.Fatal(err)
		}
		return len(v.Versions), len(u.Uploads)
	}
	for _, bucket := range []string{"plain-artifacts", "versioned-artifacts"} {
		if _, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
			t.Fatal(err)
		}
		written := 2
		if bucket == "versioned-artifacts" {
			written = 3
			if _, err := client.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: &bucket,
				VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}}); err != nil {
				t.Fatal(err)
			}
		}
		for _, k := range []string{key, key, longer} {
			if _, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: aws.String(k), Body: strings.NewReader(bucket)}); err != nil {
				t.Fatal(err)
			}
			if k == longer {
				continue
			}
			if _, err := client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: aws.String(k)}); err != nil {
				t.Fatal(err)
			}
		}
		// What came before the action or after it is somebody else's.
		early, late := meant(bucket), meant(bucket)
		early.Until, late.From = now.Add(-time.Minute), now.Add(time.Minute)
		for _, s := range []store.StaleArtifact{early, late} {
			if err := a.deleteArtifact(ctx, s); err != nil {
				t.Error(err)
			}
		}
		if versions, uploads := left(bucket); versions != written || uploads != 2 {
			t.Errorf("%s has %d versions and %d uploads", bucket, versions, uploads)
		}
		for range 2 { // again does no harm
			if err := a.deleteArtifact(ctx, meant(bucket)); err != nil {
				t.Error(err)
			}
			if versions, uploads := left(bucket); versions != 1 || uploads != 0 {
				t.Errorf("%s has %d versions and %d uploads left", bucket, versions, uploads)
			}
		}
		if _, err := client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: aws.String(longer)}); err != nil {
			t.Errorf("%s: %v", longer, err)
		}
	}
	blobs := 0
	if err := a.blobs.Walk(ctx, func(blob.Entry) error { blobs++; return nil }); err != nil || blobs != 2 {
		t.Errorf("%d blobs are left: %v", blobs, err)
	}
	if err := a.deleteArtifact(ctx, meant("no-such-bucket")); err != nil {
		t.Errorf("a bucket that is gone: %v", err)
	}
	other := meant("plain-artifacts")
	other.Account, other.Key = "999999999999", longer
	if err := a.deleteArtifact(ctx, other); err == nil {
		t.Error("an artifact was deleted from a bucket of another account")
	}
	// Buckets at another endpoint are their owner's to tidy.
	a.endpoints = &endpoints{account: a.cfg.Account, region: a.cfg.Region, urls: map[string]string{"s3": "http://127.0.0.1:1"}}
	other.Account = a.cfg.Account
	if err := a.deleteArtifact(ctx, other); err != nil {
		t.Error(err)
	}
	a.endpoints = &endpoints{}
	if versions, _ := left("plain-artifacts"); versions != 1 {
		t.Error("an artifact elsewhere was deleted here")
	}
}

// S3 tells whole seconds, cut off.
func TestOurs(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 1, 0, 0, 0, 900e6, time.UTC)
	s := store.StaleArtifact{Key: "k", From: at, Until: at.Add(time.Minute)}
	for _, c := range []struct {
		key  string
		at   time.Time
		want bool
	}{{"k", at.Truncate(time.Second), true}, {"k", at.Add(-time.Second), false}, {"k", at.Add(time.Minute), true}, {"k", at.Add(time.Minute + 1), false}, {"kk", at, false}} {
		if got := ours(s, &c.key, &c.at); got != c.want {
			t.Errorf("%s at %v: %v", c.key, c.at, got)
		}
	}
	if ours(s, nil, nil) {
		t.Error("nothing is ours")
	}
}
