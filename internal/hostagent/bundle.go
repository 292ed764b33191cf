package hostagent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"penstock/internal/artifact"
)

const (
	// maxBundle is the largest bundle: AWS's limit for artifacts.
	maxBundle = 5 << 30
	// downloadTime is how long the service lets a lifecycle event take.
	downloadTime = time.Hour
	// revisions is how many deployments of a group are kept.
	revisions = 5
)

// download brings the bundle of a deployment and unpacks it: the event DownloadBundle.
func (a *agent) download(ctx context.Context, d *deployment) error {
	ctx, cancel := context.WithTimeoutCause(ctx, downloadTime, errors.New("the download took longer than an hour"))
	defer cancel()
	if err := a.removeOld(d); err != nil {
		return err
	}
	bundle, err := os.OpenFile(filepath.Join(a.dir(d), bundleFile), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer bundle.Close()
	size, err := a.fetch(ctx, d.revision, bundle)
	if err != nil {
		return err
	}
	unpacked := a.archive(d) + "-temp"
	for _, dir := range []string{unpacked, a.archive(d)} {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	if err := artifact.UnpackBundle(ctx, d.revision.BundleType, bundle, size, unpacked, artifact.DefaultLimits); err != nil {
		return fmt.Errorf("the bundle s3://%s/%s cannot be unpacked: %w", d.revision.Bucket, d.revision.Key, err)
	}
	top, err := flattened(unpacked)
	if err != nil {
		return err
	}
	if err := os.Rename(top, a.archive(d)); err != nil {
		return err
	}
	if top != unpacked {
		if err := os.Remove(unpacked); err != nil {
			return err
		}
	}
	return replace(a.mostRecent(d), []byte(a.dir(d)))
}

// fetch writes the bundle to a file and compares what was got with what was asked for.
func (a *agent) fetch(ctx context.Context, r s3Revision, to io.Writer) (int64, error) {
	in := &s3.GetObjectInput{Bucket: &r.Bucket, Key: &r.Key}
	if r.Version != "" {
		in.VersionId = &r.Version
	}
	out, err := s3.NewFromConfig(a.cfg.AWS, func(o *s3.Options) { o.UsePathStyle = true }).GetObject(ctx, in)
	if err != nil {
		return 0, fmt.Errorf("the bundle s3://%s/%s cannot be read: %w", r.Bucket, r.Key, err)
	}
	defer out.Body.Close()
	etag, version := strings.Trim(aws.ToString(out.ETag), `"`), aws.ToString(out.VersionId)
	switch {
	case r.ETag != "" && strings.Trim(r.ETag, `"`) != etag:
		return 0, sentence("Expected deployment artifact bundle etag %s but was actually %s", r.ETag, etag)
	case r.Version != "" && version != "" && r.Version != version:
		return 0, sentence("Expected deployment artifact bundle version %s but was actually %s", r.Version, version)
	}
	n, err := io.Copy(to, io.LimitReader(out.Body, maxBundle+1))
	switch {
	case err != nil:
		return 0, fmt.Errorf("the bundle s3://%s/%s cannot be read: %w", r.Bucket, r.Key, err)
	case n > maxBundle:
		return 0, fmt.Errorf("the bundle s3://%s/%s has more than %d bytes", r.Bucket, r.Key, maxBundle)
	}
	return n, nil
}

// flattened gives the folder that is the bundle: what was unpacked, or the one folder in it
// that has the AppSpec file. (C.1)
func flattened(unpacked string) (string, error) {
	entries, err := os.ReadDir(unpacked)
	if err != nil || len(entries) != 1 || !entries[0].IsDir() {
		return unpacked, err
	}
	top := filepath.Join(unpacked, entries[0].Name())
	inside, err := os.ReadDir(top)
	if err != nil || !slices.ContainsFunc(inside, func(e os.DirEntry) bool { return strings.Contains(strings.ToLower(e.Name()), "appspec") }) {
		return unpacked, err
	}
	return top, nil
}

// removeOld makes room for the deployment among those that are kept. The last that was
// installed stays, however old it is. (D.4)
func (a *agent) removeOld(d *deployment) error {
	group := filepath.Join(a.cfg.Root, d.group)
	entries, err := os.ReadDir(group)
	if err != nil {
		return err
	}
	last, err := a.marked(d, a.lastSuccessful(d))
	if err != nil {
		return err
	}
	type old struct {
		dir   string
		since time.Time
	}
	var others []old
	for _, e := range entries {
		if dir := filepath.Join(group, e.Name()); dir != a.dir(d) {
			if info, err := e.Info(); err == nil {
				others = append(others, old{dir, info.ModTime()})
			}
		}
	}
	extra := len(others) - revisions + 1
	others = slices.DeleteFunc(others, func(o old) bool { return o.dir == last })
	slices.SortFunc(others, func(a, b old) int { return a.since.Compare(b.since) })
	for _, o := range others[:max(0, min(extra, len(others)))] {
		if err := os.RemoveAll(o.dir); err != nil {
			return err
		}
	}
	return nil
}
