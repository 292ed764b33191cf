package lambda

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	api "penstock/internal/api/lambda"
	"penstock/internal/artifact"
	"penstock/internal/auth"
	"penstock/internal/blob"
	"penstock/internal/fault"
	"penstock/internal/store"
)

const (
	// maxZip is the most bytes of a ZIP file within a request, maxUnzipped of its files.
	maxZip      = 50 << 20
	maxUnzipped = 250 << 20
)

// limits are those of a ZIP file with code.
var limits = artifact.Limits{Entries: 100_000, Bytes: maxUnzipped, Ratio: 1000}

// code is where the code of a function comes from: the bytes themselves, or an object.
type code struct {
	zip                           []byte
	bucket, key, objectVersion, k string
}

func codeOf(c *api.FunctionCode) code {
	if c == nil {
		return code{}
	}
	return code{c.ZipFile, c.S3Bucket, c.S3Key, c.S3ObjectVersion, c.SourceKMSKeyArn}
}

// take fetches code, unpacks it once to see that it can be, and keeps it as that of v.
func (r *Room) take(ctx context.Context, v *version, c code) error {
	switch {
	case c.k != "":
		return unsupported("SourceKMSKeyArn")
	case len(c.zip) > 0 && c.bucket+c.key != "", len(c.zip) == 0 && (c.bucket == "" || c.key == ""):
		return invalid("Please provide a source for function code: either ZipFile, or S3Bucket with S3Key.")
	case len(c.zip) > maxZip:
		return fault.New("RequestTooLargeException", "The ZIP file has %d bytes; in a request at most %d are allowed. Put it into a bucket and name it by S3Bucket and S3Key.", len(c.zip), maxZip)
	}
	if r.deps.DB.Full() {
		return store.ErrFull // it would take the room that is kept for what cannot wait
	}
	dir, err := r.folder(ctx)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file, err := os.OpenFile(filepath.Join(dir, "code.zip"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	from := io.Reader(bytes.NewReader(c.zip))
	if c.bucket != "" {
		body, err := r.object(ctx, c)
		if err != nil {
			return err
		}
		defer body.Close()
		from = body
	}
	sum := sha256.New()
	size, err := io.Copy(io.MultiWriter(file, sum), io.LimitReader(from, maxUnzipped+1))
	if err != nil {
		return fmt.Errorf("the code of a function: %w", err)
	}
	if size > maxUnzipped {
		return invalid("Unzipped size must be smaller than %d bytes", maxUnzipped)
	}
	if err := artifact.Unpack(ctx, file, size, filepath.Join(dir, "task"), limits); err != nil {
		if ctx.Err() != nil {
			return err
		}
		return invalid("Could not unzip uploaded file. Please check your file, then try to upload again. (%v)", err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	v.Code = blob.NewKey()
	v.CodeSize, v.CodeSHA256 = size, base64.StdEncoding.EncodeToString(sum.Sum(nil))
	_, err = r.deps.Blobs.Put(ctx, v.Code, file)
	return err
}

// object opens the ZIP file in a bucket, as the caller.
func (r *Room) object(ctx context.Context, c code) (io.ReadCloser, error) {
	cfg, err := r.deps.CallerAWS(ctx, auth.From(ctx))
	if err != nil {
		return nil, err
	}
	in := &s3.GetObjectInput{Bucket: &c.bucket, Key: &c.key}
	if c.objectVersion != "" {
		in.VersionId = &c.objectVersion
	}
	out, err := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true }).GetObject(ctx, in)
	var said smithy.APIError
	if errors.As(err, &said) {
		if said.ErrorCode() == "AccessDenied" {
			return nil, fault.New("AccessDeniedException", "Your access has been denied by S3, please make sure your request credentials have permission to GetObject for %s/%s. S3 Error Code: %s. S3 Error Message: %s",
				c.bucket, c.key, said.ErrorCode(), said.ErrorMessage())
		}
		return nil, invalid("Error occurred while GetObject. S3 Error Code: %s. S3 Error Message: %s", said.ErrorCode(), said.ErrorMessage())
	}
	if err != nil {
		return nil, fmt.Errorf("the code of a function: %w", err)
	}
	return out.Body, nil
}

// folder makes a folder of work, once what the last life left is cleared away.
func (r *Room) folder(ctx context.Context) (string, error) {
	select {
	case <-r.ready:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if err := os.MkdirAll(r.deps.Work, 0o711); err != nil {
		return "", err
	}
	return os.MkdirTemp(r.deps.Work, "f-")
}

// unpack writes the code of a version into dir, which does not exist.
func (r *Room) unpack(ctx context.Context, v *version, dir string) error {
	body, err := r.deps.Blobs.Get(ctx, v.Code, 0, -1)
	if err != nil {
		return err
	}
	defer body.Close()
	file, err := os.OpenFile(dir+".zip", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	size, err := io.Copy(file, body)
	if err != nil {
		return err
	}
	return artifact.Unpack(ctx, file, size, dir, limits)
}

// discard deletes code that no version names any more. What cannot be deleted now is found by
// the sweep of the blobs.
func (r *Room) discard(ctx context.Context, key string) {
	if key == "" {
		return
	}
	ctx = context.WithoutCancel(ctx)
	named := false
	err := r.deps.DB.View(ctx, func(tx *store.Tx) (err error) {
		named, err = tx.BlobNamed(ctx, key)
		return err
	})
	if err == nil && !named {
		err = r.deps.Blobs.Delete(ctx, key)
	}
	if err != nil {
		r.deps.Log.Warn("lambda: code not deleted", "blob", key, "error", err)
	}
}
