// Package s3source is the S3 source action (P-1): the latest version of an object, or the one a
// start names, becomes the action's output artifact as it is.
package s3source

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"penstock/internal/pipeline"
	"penstock/internal/provider"
)

// Configuration keys of the action, and the revision types a start may name (S-99).
const (
	keyBucket   = "S3Bucket"
	keyObject   = "S3ObjectKey"
	keyOverride = "AllowOverrideForS3ObjectKey"

	versionOverride = "S3_OBJECT_VERSION_ID"
	objectOverride  = "S3_OBJECT_KEY"
)

const (
	// summaryMeta is the user metadata that describes a revision to people.
	summaryMeta = "codepipeline-artifact-revision-summary"
	// maxSummary is the longest summary the API shows.
	maxSummary = 2048
)

// Provider runs Source/AWS/S3/1. The zero value is ready.
type Provider struct{}

// New gives the provider.
func New() provider.Provider { return Provider{} }

// Types is the one action type, as the catalogue has it.
func (Provider) Types() []pipeline.ActionType {
	return slices.DeleteFunc(pipeline.BuiltinTypes(), func(t pipeline.ActionType) bool {
		return t.ID.Provider != "S3" || t.ID.Category != pipeline.CategorySource
	})
}

// Run takes the revision, copies it into the artifact store and reports it (S-232, S-236).
// Done twice, it puts the version it then finds in the same place.
func (Provider) Run(ctx context.Context, job provider.Job) provider.Result {
	s := &source{Job: job, client: provider.S3(job.Env.AWS), bucket: job.Configuration[keyBucket], key: job.Configuration[keyObject]}
	if len(job.Outputs) != 1 {
		return provider.Failed(pipeline.ConfigurationError, "The source action '%s' needs exactly one output artifact; it has %d.", job.Action, len(job.Outputs))
	}
	for _, step := range []func(context.Context) *provider.Result{s.override, s.checkBucket} {
		if failure := step(ctx); failure != nil {
			return *failure
		}
	}
	return s.take(ctx)
}

// source is one run of the action.
type source struct {
	provider.Job
	client      *s3.Client
	bucket, key string
	version     string // "" is the latest
}

func (s *source) object() string {
	name := "s3://" + s.bucket + "/" + s.key
	if s.version != "" {
		name += " (version " + s.version + ")"
	}
	return name
}

func (s *source) failed(code, format string, args ...any) *provider.Result {
	r := provider.Failed(code, format, args...)
	return &r
}

// override takes what the start named. Another key must have been allowed (P-1).
func (s *source) override(context.Context) *provider.Result {
	for _, o := range s.Overrides {
		if o.ActionName != "" && o.ActionName != s.Action {
			continue
		}
		switch o.RevisionType {
		case versionOverride:
			s.version = o.RevisionValue
		case objectOverride:
			if !strings.EqualFold(s.Configuration[keyOverride], "true") {
				return s.failed(pipeline.ConfigurationError, "The start names the object key '%s' for the action '%s', whose configuration does not allow it. Set %s to true.", o.RevisionValue, s.Action, keyOverride)
			}
			s.key = o.RevisionValue
		}
	}
	return nil
}

// checkBucket wants a versioned bucket in the Region of the pipeline: a revision must be one
// that cannot change (S-236).
func (s *source) checkBucket(ctx context.Context) *provider.Result {
	tried := "get the versioning of the bucket " + s.bucket
	v, err := s.client.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &s.bucket})
	if err != nil {
		return s.fail(err, tried)
	}
	if v.Status != types.BucketVersioningStatusEnabled {
		return s.failed(pipeline.ConfigurationError, "The bucket '%s' of the action '%s' is not versioned. Enable versioning of the bucket and release the change again.", s.bucket, s.Action)
	}
	tried = "get the Region of the bucket " + s.bucket
	l, err := s.client.GetBucketLocation(ctx, &s3.GetBucketLocationInput{Bucket: &s.bucket})
	if err != nil {
		return s.fail(err, tried)
	}
	if region := regionOf(l.LocationConstraint); region != s.Region {
		return s.failed(pipeline.ConfigurationError, "The bucket '%s' of the action '%s' is in the Region %s. A source must be in the Region of the pipeline, %s.", s.bucket, s.Action, region, s.Region)
	}
	return nil
}

// regionOf reads a location as old as S3 has them.
func regionOf(l types.BucketLocationConstraint) string {
	switch l {
	case "":
		return "us-east-1"
	case types.BucketLocationConstraintEu:
		return "eu-west-1"
	default:
		return string(l)
	}
}

// fail turns the failure of a call on the source into a result. The bucket is named by the
// configuration; the object or its version may have gone since.
func (s *source) fail(err error, tried string) *provider.Result {
	r := s.CallFailed(err, tried, "NoSuchBucket", "InvalidBucketName")
	var api smithy.APIError
	if errors.As(err, &api) && slices.Contains([]string{"NoSuchKey", "NoSuchVersion", "NotFound", "MethodNotAllowed", "InvalidArgument"}, api.ErrorCode()) {
		r.Error.Code = pipeline.RevisionUnavailable
	}
	return &r
}

// take opens the object, so that it cannot change any more, copies it and reports it.
func (s *source) take(ctx context.Context) provider.Result {
	tried := "read the object " + s.object()
	in := &s3.GetObjectInput{Bucket: &s.bucket, Key: &s.key}
	if s.version != "" {
		in.VersionId = &s.version
	}
	o, err := s.client.GetObject(ctx, in)
	if err != nil {
		return *s.fail(err, tried)
	}
	defer o.Body.Close()
	if o.VersionId == nil || o.ContentLength == nil {
		return *s.fail(errors.New("the answer has no version id or no length"), tried)
	}
	s.version = *o.VersionId
	if most := (pipeline.Limits{}).OrDefault().S3SourceBytes; *o.ContentLength > most {
		return provider.Failed(pipeline.ConfigurationError, "The object %s has %d bytes, more than the %d that a source artifact may have.", s.object(), *o.ContentLength, most)
	}
	if failure := s.copy(ctx, o); failure != nil {
		return *failure
	}
	return s.result(o)
}

// copy writes the object to the place of the output artifact, as it is (P-1).
func (s *source) copy(ctx context.Context, o *s3.GetObjectOutput) *provider.Result {
	out := s.Outputs[0]
	put := &s3.PutObjectInput{Bucket: &out.Bucket, Key: &out.Key, ContentType: o.ContentType, Metadata: o.Metadata}
	if s.EncryptionKey != nil { // S-291
		put.ServerSideEncryption, put.SSEKMSKeyId = types.ServerSideEncryptionAwsKms, &s.EncryptionKey.ID
	}
	if err := provider.Upload(ctx, provider.S3(s.Env.ArtifactAWS), put, o.Body, *o.ContentLength); err != nil {
		r := s.CallFailed(err, "copy the object "+s.object()+" to s3://"+out.Bucket+"/"+out.Key, "NoSuchBucket")
		return &r
	}
	return nil
}

// result reports revision and variables (S-236, S-281).
func (s *source) result(o *s3.GetObjectOutput) provider.Result {
	summary := cut(o.Metadata[summaryMeta], maxSummary)
	if summary == "" {
		summary = "Amazon S3 version id: " + s.version
	}
	etag := strings.Trim(aws.ToString(o.ETag), `"`)
	query := url.Values{"region": {s.Region}, "prefix": {s.key}, "versionId": {s.version}}
	page := s.Env.ConsoleURL + "/s3/object/" + url.PathEscape(s.bucket) + "?" + query.Encode()
	created := time.Time{}
	if o.LastModified != nil {
		created = o.LastModified.UTC()
	}
	return provider.Result{
		Progress: provider.Progress{Summary: summary, ExternalID: s.version, ExternalURL: page},
		Revision: &pipeline.Revision{ID: s.version, ChangeIdentifier: etag, Summary: summary, Created: created, URL: page},
		OutputVariables: map[string]string{
			"BucketName": s.bucket, "ETag": etag, "ObjectKey": s.key, "VersionId": s.version,
		},
	}
}

// cut gives at most n bytes of s, ending with a whole character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
