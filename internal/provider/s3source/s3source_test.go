package s3source

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"penstock/internal/auth"
	"penstock/internal/blob"
	"penstock/internal/pipeline"
	"penstock/internal/provider"
	"penstock/internal/provider/providertest"
	"penstock/internal/store/storetest"
	room "penstock/internal/svc/s3"
)

// fixture is a real S3 room and a job of the action in it.
type fixture struct {
	t      *testing.T
	client *s3.Client
	job    provider.Job
	poor   aws.Config // may look at buckets only
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	blobs, err := blob.OpenDisk(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := room.New(room.Deps{DB: storetest.SQLite(t), Blobs: blobs})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		scope := strings.Split(req.Header.Get("Authorization"), "/") // key, day, Region …
		caller := auth.Caller{Account: "111111111111", Region: scope[2]}
		ctx := auth.Trusted(req.Context(), caller)
		if strings.Contains(req.Header.Get("Authorization"), "Credential=POOR/") {
			ctx, err = auth.Limited(req.Context(), caller, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetBucket*","Resource":"*"}]}`)
			if err != nil {
				t.Error(err)
			}
		}
		r.ServeHTTP(w, req.WithContext(ctx))
	}))
	t.Cleanup(func() {
		srv.Close()
		blobs.Close()
	})
	config := func(key string) aws.Config {
		return aws.Config{
			Region: "eu-west-1", BaseEndpoint: &srv.URL, HTTPClient: srv.Client(), RetryMaxAttempts: 1,
			Credentials: credentials.NewStaticCredentialsProvider(key, "secret", ""),
		}
	}
	f := &fixture{t: t, job: providertest.Job(New().Types()[0]), poor: config("POOR")}
	f.job.Env.AWS, f.job.Env.ArtifactAWS, f.job.Env.ConsoleURL = config("id"), config("id"), "http://h"
	f.job.Configuration = map[string]string{"S3Bucket": "sources", "S3ObjectKey": "dir/app.zip"}
	f.client = provider.S3(f.job.Env.AWS)
	for bucket, versioned := range map[string]bool{"sources": true, "plain": false, "artifacts": true} {
		f.bucket(bucket, "eu-west-1", versioned)
	}
	return f
}

func (f *fixture) bucket(name, region string, versioned bool) {
	f.t.Helper()
	client := s3.New(f.client.Options(), func(o *s3.Options) { o.Region = region })
	in := &s3.CreateBucketInput{Bucket: &name, CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(region)}}
	if _, err := client.CreateBucket(f.t.Context(), in); err != nil {
		f.t.Fatal(err)
	}
	if !versioned {
		return
	}
	_, err := f.client.PutBucketVersioning(f.t.Context(), &s3.PutBucketVersioningInput{Bucket: &name, VersioningConfiguration: &types.VersioningConfiguration{Status: "Enabled"}})
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) put(key, body string, meta map[string]string) *s3.PutObjectOutput {
	f.t.Helper()
	out, err := f.client.PutObject(f.t.Context(), &s3.PutObjectInput{Bucket: aws.String("sources"), Key: &key, Body: strings.NewReader(body), Metadata: meta})
	if err != nil {
		f.t.Fatal(err)
	}
	return out
}

func (f *fixture) output() (string, *s3.GetObjectOutput) {
	f.t.Helper()
	out, err := f.client.GetObject(f.t.Context(), &s3.GetObjectInput{Bucket: &f.job.Outputs[0].Bucket, Key: &f.job.Outputs[0].Key})
	if err != nil {
		f.t.Fatal(err)
	}
	defer out.Body.Close()
	b, err := io.ReadAll(out.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return string(b), out
}

// P-1, S-232, S-236, S-281: the latest version as it is, with revision and variables.
func TestRun(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.put("dir/app.zip", "first", nil)
	put := f.put("dir/app.zip", "not even a zip", nil)
	f.job.EncryptionKey = &pipeline.EncryptionKey{ID: "alias/k", Type: "KMS"}
	r := New().Run(t.Context(), f.job)
	if r.Error != nil {
		t.Fatal(r.Error)
	}
	body, out := f.output()
	if body != "not even a zip" || aws.ToString(out.SSEKMSKeyId) != "alias/k" {
		t.Errorf("artifact %q, key %q", body, aws.ToString(out.SSEKMSKeyId))
	}
	id, etag := *put.VersionId, strings.Trim(*put.ETag, `"`)
	if want := map[string]string{"BucketName": "sources", "ETag": etag, "ObjectKey": "dir/app.zip", "VersionId": id}; !maps.Equal(r.OutputVariables, want) {
		t.Errorf("variables %q, want %q", r.OutputVariables, want)
	}
	if v := r.Revision; v.ID != id || v.ChangeIdentifier != etag || v.Summary != "Amazon S3 version id: "+id || v.Created.IsZero() ||
		r.ExternalID != id || r.Summary != v.Summary || r.ExternalURL != v.URL || !strings.HasPrefix(v.URL, "http://h/s3/object/sources?") {
		t.Errorf("result %+v, revision %+v", r.Progress, v)
	}
}

// P-1: the metadata that describes a revision to people.
func TestRunSummary(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.put("dir/app.zip", "x", map[string]string{"codepipeline-artifact-revision-summary": "Release 7"})
	if r := New().Run(t.Context(), f.job); r.Error != nil || r.Revision.Summary != "Release 7" {
		t.Errorf("%+v", r)
	}
}

// P-1: an object that does not fit into memory goes over in parts.
func TestRunLarge(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	large := string(bytes.Repeat([]byte("0123456789abcdef"), 20<<20/16)) + "end"
	f.put("dir/app.zip", large, nil)
	if r := New().Run(t.Context(), f.job); r.Error != nil {
		t.Fatal(r.Error)
	}
	if body, out := f.output(); body != large || !strings.HasSuffix(*out.ETag, `-2"`) {
		t.Errorf("%d bytes, ETag %s", len(body), *out.ETag)
	}
}

// S-99, P-1: a start may name a version, and a key where that is allowed.
func TestRunOverrides(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first := f.put("dir/app.zip", "first", nil)
	f.put("dir/app.zip", "second", nil)
	other := f.put("other", "other", nil)
	version := func(v string) pipeline.SourceRevisionOverride {
		return pipeline.SourceRevisionOverride{ActionName: f.job.Action, RevisionType: "S3_OBJECT_VERSION_ID", RevisionValue: v}
	}
	key := pipeline.SourceRevisionOverride{ActionName: f.job.Action, RevisionType: "S3_OBJECT_KEY", RevisionValue: "other"}
	run := func(overrides ...pipeline.SourceRevisionOverride) provider.Result {
		f.job.Overrides = overrides
		return New().Run(t.Context(), f.job)
	}
	if r := run(version(*first.VersionId)); r.Error != nil || r.Revision.ID != *first.VersionId {
		t.Errorf("version: %+v", r)
	}
	if body, _ := f.output(); body != "first" {
		t.Errorf("artifact %q", body)
	}
	if r := run(key); r.Error == nil || r.Error.Code != pipeline.ConfigurationError || !strings.Contains(r.Error.Message, "AllowOverrideForS3ObjectKey") {
		t.Errorf("a key that is not allowed: %+v", r)
	}
	f.job.Configuration["AllowOverrideForS3ObjectKey"] = "true"
	if r := run(key, version(*other.VersionId)); r.Error != nil || r.OutputVariables["ObjectKey"] != "other" || r.Revision.ID != *other.VersionId {
		t.Errorf("key and version: %+v", r)
	}
	foreign := version("none")
	foreign.ActionName = "Another"
	if r := run(foreign); r.Error != nil {
		t.Errorf("for another action: %+v", r)
	}
	if r := run(version("none")); r.Error == nil || r.Error.Code != pipeline.RevisionUnavailable {
		t.Errorf("no such version: %+v", r)
	}
}

// P-1: what is gone, what was never there, what is forbidden.
func TestRunFailures(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.put("dir/app.zip", "x", nil)
	deleted := f.put("deleted", "x", nil)
	if _, err := f.client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String("sources"), Key: aws.String("deleted")}); err != nil {
		t.Fatal(err)
	}
	f.bucket("abroad", "us-east-1", true)
	// A version behind a delete marker is still there.
	job := f.job
	job.Configuration = map[string]string{"S3Bucket": "sources", "S3ObjectKey": "deleted"}
	job.Overrides = []pipeline.SourceRevisionOverride{{RevisionType: "S3_OBJECT_VERSION_ID", RevisionValue: *deleted.VersionId}}
	if r := New().Run(t.Context(), job); r.Error != nil {
		t.Error(r.Error)
	}
	for name, c := range map[string]struct {
		change func(*provider.Job)
		code   string
		word   string
	}{
		"no object":    {func(j *provider.Job) { j.Configuration["S3ObjectKey"] = "none" }, pipeline.RevisionUnavailable, "s3://sources/none"},
		"deleted":      {func(j *provider.Job) { j.Configuration["S3ObjectKey"] = "deleted" }, pipeline.RevisionUnavailable, "NoSuchKey"},
		"no bucket":    {func(j *provider.Job) { j.Configuration["S3Bucket"] = "nowhere" }, pipeline.ConfigurationError, "nowhere"},
		"no versions":  {func(j *provider.Job) { j.Configuration["S3Bucket"] = "plain" }, pipeline.ConfigurationError, "not versioned"},
		"other Region": {func(j *provider.Job) { j.Configuration["S3Bucket"] = "abroad" }, pipeline.ConfigurationError, "us-east-1"},
		"forbidden":    {func(j *provider.Job) { j.Env.AWS = f.poor }, pipeline.PermissionError, j0.RoleARN},
		"store":        {func(j *provider.Job) { j.Env.ArtifactAWS = f.poor }, pipeline.PermissionError, "s3://artifacts/"},
		"no store":     {func(j *provider.Job) { j.Outputs = []pipeline.Artifact{{Bucket: "nowhere", Key: "k"}} }, pipeline.ConfigurationError, "s3://nowhere/k"},
		"no output":    {func(j *provider.Job) { j.Outputs = nil }, pipeline.ConfigurationError, "output"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job := f.job
			job.Configuration = maps.Clone(job.Configuration)
			c.change(&job)
			r := New().Run(context.WithoutCancel(t.Context()), job)
			if r.Error == nil || r.Error.Code != c.code || !strings.Contains(r.Error.Message, c.word) {
				t.Errorf("%+v, want %s with %q", r.Error, c.code, c.word)
			}
		})
	}
}

var j0 = providertest.Job(New().Types()[0])
