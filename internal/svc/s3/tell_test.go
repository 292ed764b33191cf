package s3_test

import (
	"context"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"penstock/internal/store"
	"penstock/internal/store/storetest"
	room "penstock/internal/svc/s3"
)

// S-238, N-6: a bucket that sends its events to EventBridge tells of what is made and deleted, in
// the transaction of the change and in S3's shape; another bucket tells nothing.
func TestEvents(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		var mu sync.Mutex
		var told []store.Outgoing
		fail := false
		s := startOn(t, db, func(d *room.Deps) {
			d.Tell = func(_ context.Context, tx *store.Tx, o store.Outgoing) error {
				if fail {
					return context.DeadlineExceeded
				}
				tx.AfterCommit(func() {
					mu.Lock()
					defer mu.Unlock()
					told = append(told, o)
				})
				return nil
			}
		})
		c, ctx := s.client(admin), t.Context()
		bucket, plain := aws.String("loud"), aws.String("silent")
		for _, b := range []*string{bucket, plain} {
			must(t)(c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: b}))
		}
		must(t)(c.PutBucketNotificationConfiguration(ctx, &s3.PutBucketNotificationConfigurationInput{Bucket: bucket,
			NotificationConfiguration: &types.NotificationConfiguration{EventBridgeConfiguration: &types.EventBridgeConfiguration{}}}))
		s.put(c, "silent", "k", "x")
		s.put(c, "loud", "early", "12345")
		s.version(c, "loud", "Enabled")
		s.put(c, "loud", "k", "12345")
		must(t)(c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: bucket, Key: aws.String("a b"), CopySource: aws.String("loud/k")}))
		up := ok(c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: bucket, Key: aws.String("big")}))(t)
		part := ok(c.UploadPart(ctx, &s3.UploadPartInput{Bucket: bucket, Key: aws.String("big"), UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("x")}))(t)
		must(t)(c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: bucket, Key: aws.String("big"), UploadId: up.UploadId,
			MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{ETag: part.ETag, PartNumber: aws.Int32(1)}}}}))
		gone := ok(c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: aws.String("k")}))(t)
		must(t)(c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: bucket, Delete: &types.Delete{Objects: []types.ObjectIdentifier{
			{Key: aws.String("k"), VersionId: gone.VersionId}, {Key: aws.String("nothing"), VersionId: aws.String("none")}}}}))

		const id, etag = `[0-9A-Z]{26}`, `827ccb0eea8a706c4c34a16891f84e7b`
		want := []string{
			`Object Created {"version":"0","event-version":"1.0","bucket":{"name":"loud"},"object":{"key":"early","size":5,"etag":"` + etag + `","sequencer":"SEQ"},REQ"reason":"PutObject"}`,
			`Object Created {"version":"0","event-version":"1.0","bucket":{"name":"loud"},"object":{"key":"k","size":5,"etag":"` + etag + `","version-id":"` + id + `","sequencer":"SEQ"},REQ"reason":"PutObject"}`,
			`Object Created .*"object":{"key":"a b","size":5,"etag":"` + etag + `","version-id":"` + id + `","sequencer":"SEQ"},REQ"reason":"CopyObject"}`,
			`Object Created .*"object":{"key":"big","size":1,"etag":"[0-9a-f]{32}-1","version-id":"` + id + `","sequencer":"SEQ"},REQ"reason":"CompleteMultipartUpload"}`,
			`Object Deleted {"version":"0","event-version":"1.0","bucket":{"name":"loud"},"object":{"key":"k","etag":"d41d8cd98f00b204e9800998ecf8427e","version-id":"` +
				*gone.VersionId + `","sequencer":"SEQ"},REQ"reason":"DeleteObject","deletion-type":"Delete Marker Created"}`,
			`Object Deleted .*"object":{"key":"k",.*"version-id":"` + *gone.VersionId + `",.*"deletion-type":"Permanently Deleted"}`,
		}
		if len(told) != len(want) {
			t.Fatalf("%d events: %+v", len(told), told)
		}
		last := ""
		sequence := regexp.MustCompile(`"sequencer":"([0-9a-f]{16})"`)
		for i, o := range told {
			form := strings.NewReplacer("SEQ", `[0-9a-f]{16}`, "REQ", `"request-id":"[^"]*","requester":"111111111111","source-ip-address":"127\.0\.0\.1",`, "{\"", `\{"`).Replace(want[i])
			if !regexp.MustCompile("^" + form + "$").MatchString(o.DetailType + " " + o.Detail) {
				t.Errorf("got  %s %s\nwant %s", o.DetailType, o.Detail, form)
			}
			if o.Source != "aws.s3" || o.Account != "111111111111" || o.Region != "us-east-1" || o.Resource != "arn:aws:s3:::loud" || o.At.IsZero() {
				t.Errorf("%+v", o)
			}
			if m := sequence.FindStringSubmatch(o.Detail); m == nil || m[1] <= last {
				t.Errorf("the sequencer after %s: %s", last, o.Detail)
			} else {
				last = m[1]
			}
		}
		// What cannot be told has not happened.
		fail = true
		if _, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: aws.String("lost"), Body: strings.NewReader("x")},
			func(o *s3.Options) { o.RetryMaxAttempts = 1 }); err == nil {
			t.Error("an object was made whose event was not kept")
		}
		_, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: aws.String("lost")})
		refused(t, err, 404, "NotFound")
	})
}
