// Package s3deploy is the S3 deploy action (P-32): the files of the input artifact, or the
// artifact as it is, are written to a bucket. Nothing is ever deleted there.
package s3deploy

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"penstock/internal/artifact"
	"penstock/internal/pipeline"
	"penstock/internal/provider"
)

// Configuration keys of the action.
const (
	keyBucket  = "BucketName"
	keyExtract = "Extract"
	keyObject  = "ObjectKey"
	keyKMS     = "KMSEncryptionKeyARN"
	keyACL     = "CannedACL"
	keyCache   = "CacheControl"
)

const (
	// uploads is how many files are on their way at once.
	uploads = 8
	// maxKey is the longest object key in bytes.
	maxKey = 1024
)

// Provider runs Deploy/AWS/S3/1. The zero value is ready.
type Provider struct {
	// Dir is where artifacts stand while they are deployed; "" is the system's folder for
	// temporary files.
	Dir string
}

// New gives the provider.
func New() provider.Provider { return Provider{} }

// Types is the one action type, as the catalogue has it.
func (Provider) Types() []pipeline.ActionType {
	return slices.DeleteFunc(pipeline.BuiltinTypes(), func(t pipeline.ActionType) bool {
		return t.ID.Provider != "S3" || t.ID.Category != pipeline.CategoryDeploy
	})
}

// Run writes the objects. Done twice, it writes the same objects again; only a key with
// {datetime} is a new one then. The first object that cannot be written ends it; those
// written before stay.
func (p Provider) Run(ctx context.Context, job provider.Job) provider.Result {
	if len(job.Inputs) != 1 {
		return provider.Failed(pipeline.ConfigurationError, "The action '%s' needs exactly one input artifact; it has %d.", job.Action, len(job.Inputs))
	}
	d := &deploy{
		Job: job, client: provider.S3(job.Env.AWS), bucket: job.Configuration[keyBucket],
		key: placeholders(job.Configuration[keyObject], job.ActionExecutionID, time.Now()),
	}
	if failure := d.checkBucket(ctx); failure != nil {
		return *failure
	}
	dir, err := os.MkdirTemp(p.Dir, "penstock-s3deploy-")
	if err != nil {
		return provider.Failed(pipeline.SystemUnavailable, "Could not make a folder for the artifact '%s': %v", job.Inputs[0].Name, err)
	}
	defer os.RemoveAll(dir)
	archive := filepath.Join(dir, "artifact")
	size, failure := d.download(ctx, archive)
	if failure != nil {
		return *failure
	}
	if strings.EqualFold(job.Configuration[keyExtract], "true") {
		return d.extract(ctx, archive, size, filepath.Join(dir, "files"))
	}
	return d.whole(ctx, archive)
}

// placeholders fills in what an object key may hold (S-284). The UUID follows from the
// action execution, so that a second run writes to the same place.
func placeholders(key, id string, now time.Time) string {
	sum := sha256.Sum256([]byte("s3 deploy " + id))
	sum[6], sum[8] = sum[6]&0x0f|0x40, sum[8]&0x3f|0x80
	uuid := fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
	return strings.NewReplacer("{datetime}", now.UTC().Format("2006-01-02_15-04-05"), "{uuid}", uuid).Replace(key)
}

// deploy is one run of the action.
type deploy struct {
	provider.Job
	client      *s3.Client
	bucket, key string
}

func (d *deploy) failed(code, format string, args ...any) *provider.Result {
	r := provider.Failed(code, format, args...)
	return &r
}

// checkBucket wants the bucket in the Region of the action (P-32).
func (d *deploy) checkBucket(ctx context.Context) *provider.Result {
	l, err := d.client.GetBucketLocation(ctx, &s3.GetBucketLocationInput{Bucket: &d.bucket})
	if err != nil {
		r := d.CallFailed(err, "get the Region of the bucket "+d.bucket, "NoSuchBucket", "InvalidBucketName")
		return &r
	}
	region := string(l.LocationConstraint)
	switch region {
	case "":
		region = "us-east-1"
	case "EU":
		region = "eu-west-1"
	}
	if region != d.Region {
		return d.failed(pipeline.ConfigurationError, "The bucket '%s' of the action '%s' is in the Region %s. It must be in the Region of the action, %s.", d.bucket, d.Action, region, d.Region)
	}
	return nil
}

// download copies the input artifact to a file of this machine.
func (d *deploy) download(ctx context.Context, name string) (int64, *provider.Result) {
	in := d.Inputs[0]
	tried := "read the artifact '" + in.Name + "' from s3://" + in.Bucket + "/" + in.Key
	o, err := provider.S3(d.Env.ArtifactAWS).GetObject(ctx, &s3.GetObjectInput{Bucket: &in.Bucket, Key: &in.Key})
	if err != nil {
		r := d.CallFailed(err, tried, "NoSuchKey", "NoSuchBucket")
		return 0, &r
	}
	defer o.Body.Close()
	if most := artifact.DefaultLimits.Bytes; o.ContentLength == nil || *o.ContentLength > most {
		return 0, d.failed(pipeline.ConfigurationError, "The artifact '%s' has more than %d bytes.", in.Name, most)
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	var n int64
	if err == nil {
		n, err = f.ReadFrom(o.Body)
		err = errors.Join(err, f.Close())
	}
	if err == nil && n != *o.ContentLength {
		err = fmt.Errorf("%d of %d bytes arrived", n, *o.ContentLength)
	}
	if err != nil {
		r := d.CallFailed(err, tried)
		return 0, &r
	}
	return n, nil
}

// object describes the object for a key.
func (d *deploy) object(key string) *s3.PutObjectInput {
	in := &s3.PutObjectInput{Bucket: &d.bucket, Key: &key, ContentType: new(contentType(key)), ACL: types.ObjectCannedACL(d.Configuration[keyACL])}
	if v := d.Configuration[keyCache]; v != "" {
		in.CacheControl = &v
	}
	if v := d.Configuration[keyKMS]; v != "" {
		in.ServerSideEncryption, in.SSEKMSKeyId = types.ServerSideEncryptionAwsKms, &v
	}
	return in
}

// put writes one file as the object of a key.
func (d *deploy) put(ctx context.Context, root *os.Root, name, key string) *provider.Result {
	if len(key) > maxKey {
		return d.failed(pipeline.ConfigurationError, "The object key '%.100s…' has %d bytes; the most is %d.", key, len(key), maxKey)
	}
	f, err := root.Open(name)
	if link, _ := root.Readlink(name); err != nil && link != "" {
		return d.failed(pipeline.ConfigurationError, "The link '%s' of the artifact '%s' leads to '%.100s', which cannot be read: %v", name, d.Inputs[0].Name, link, err)
	}
	if err != nil {
		return d.failed(pipeline.SystemUnavailable, "Could not read the file '%s' of the artifact '%s': %v", name, d.Inputs[0].Name, err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return d.failed(pipeline.SystemUnavailable, "Could not read the file '%s' of the artifact '%s': %v", name, d.Inputs[0].Name, err)
	case info.IsDir():
		return nil // a link to a folder, whose files stand in the archive themselves
	}
	if err := provider.Upload(ctx, d.client, d.object(key), f, info.Size()); err != nil {
		r := d.CallFailed(err, "write the object s3://"+d.bucket+"/"+key, "NoSuchBucket")
		return &r
	}
	return nil
}

// whole writes the artifact as it is.
func (d *deploy) whole(ctx context.Context, archive string) provider.Result {
	if d.key == "" {
		return provider.Failed(pipeline.ConfigurationError, "The action '%s' does not extract the artifact, so it needs an %s.", d.Action, keyObject)
	}
	root, err := os.OpenRoot(filepath.Dir(archive))
	if err != nil {
		return provider.Failed(pipeline.SystemUnavailable, "Could not read the artifact '%s': %v", d.Inputs[0].Name, err)
	}
	defer root.Close()
	if failure := d.put(ctx, root, filepath.Base(archive), d.key); failure != nil {
		return *failure
	}
	return d.done(1)
}

// extract writes every file of the artifact, below the key as a prefix.
func (d *deploy) extract(ctx context.Context, archive string, size int64, dir string) provider.Result {
	bad := func(err error) provider.Result {
		if ctx.Err() != nil {
			return d.CallFailed(ctx.Err(), "unpack the artifact '"+d.Inputs[0].Name+"'")
		}
		// What is wrong with the archive concerns its maker, a full disk this machine.
		code := pipeline.ConfigurationError
		var entry *artifact.EntryError
		var file *fs.PathError
		if errors.As(err, &file) && !errors.As(err, &entry) {
			code = pipeline.SystemUnavailable
		}
		return provider.Failed(code, "Could not unpack the artifact '%s': %v", d.Inputs[0].Name, err)
	}
	f, err := os.Open(archive)
	if err != nil {
		return bad(err)
	}
	defer f.Close()
	if err := artifact.Unpack(ctx, f, size, dir, artifact.DefaultLimits); err != nil {
		return bad(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return bad(err)
	}
	defer root.Close()
	names, err := artifact.List(ctx, root)
	if err != nil {
		return bad(err)
	}
	if most := (pipeline.Limits{}).OrDefault().DeployFiles; len(names) > most { // S-82
		return provider.Failed(pipeline.ConfigurationError, "The artifact '%s' has %d files, more than the %d that can be deployed to a bucket.", d.Inputs[0].Name, len(names), most)
	}
	if failure := d.putAll(ctx, root, names); failure != nil {
		return *failure
	}
	return d.done(len(names))
}

// putAll writes the files, some at a time, and stops at the first failure.
func (d *deploy) putAll(ctx context.Context, root *os.Root, names []string) *provider.Result {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	prefix := d.key
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	work := make(chan string)
	var mu sync.Mutex
	var failure *provider.Result
	var written int
	var wg sync.WaitGroup
	for range min(uploads, len(names)) {
		wg.Go(func() {
			for name := range work {
				f := d.put(ctx, root, name, prefix+name)
				mu.Lock()
				if written++; f != nil && failure == nil {
					failure = f
					stop()
				} else if written%1000 == 0 {
					d.Env.Progress(provider.Progress{Summary: strconv.Itoa(written) + " objects uploaded", Percent: new(written * 100 / len(names))})
				}
				mu.Unlock()
			}
		})
	}
	for _, name := range names {
		if ctx.Err() != nil {
			break
		}
		work <- name
	}
	close(work)
	wg.Wait()
	if failure == nil && ctx.Err() != nil {
		r := d.CallFailed(ctx.Err(), "write the objects to the bucket "+d.bucket)
		return &r
	}
	return failure
}

// done reports how many objects there are now, and where.
func (d *deploy) done(n int) provider.Result {
	summary := strconv.Itoa(n) + " objects uploaded"
	if n == 1 {
		summary = "1 object uploaded"
	}
	query := url.Values{"region": {d.Region}, "prefix": {d.key}}
	return provider.Result{Progress: provider.Progress{
		Summary: summary, ExternalURL: d.Env.ConsoleURL + "/s3/buckets/" + url.PathEscape(d.bucket) + "?" + query.Encode(),
	}}
}
