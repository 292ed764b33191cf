package provider

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

const (
	// uploadPart is the size of the parts that larger objects are sent in, and so what a
	// stream holds in memory. Ten thousand of them are 160 GB.
	uploadPart = 16 << 20
	// uploadWhole is the most that is sent in one piece from where it can be read again.
	uploadWhole = 128 << 20
	abortTime   = 10 * time.Second
)

// S3 gives the client for a configuration of a job.
func S3(cfg aws.Config) *s3.Client {
	return s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
}

// Upload puts size bytes of r as the object that in describes. in.Body is not used. What
// is large is sent in parts, and an upload that fails is aborted; if r can seek it begins
// where r stands, and what is not large is not held in memory. When r gives another number
// of bytes than size nothing is put.
func Upload(ctx context.Context, client *s3.Client, in *s3.PutObjectInput, r io.Reader, size int64) error {
	if _, ok := r.(io.Seeker); ok && size <= uploadWhole {
		put := *in
		put.Body, put.ContentLength = r, &size
		_, err := client.PutObject(ctx, &put)
		return err
	}
	if size <= uploadPart {
		body, err := piece(r, size)
		if err != nil {
			return err
		}
		put := *in
		put.Body = bytes.NewReader(body)
		_, err = client.PutObject(ctx, &put)
		return err
	}
	up, err := client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: in.Bucket, Key: in.Key, ACL: in.ACL, CacheControl: in.CacheControl, ContentType: in.ContentType,
		ContentDisposition: in.ContentDisposition, ContentEncoding: in.ContentEncoding, ContentLanguage: in.ContentLanguage,
		Metadata: in.Metadata, Tagging: in.Tagging, ServerSideEncryption: in.ServerSideEncryption, SSEKMSKeyId: in.SSEKMSKeyId,
	})
	if err != nil {
		return err
	}
	if err = uploadParts(ctx, client, in, up.UploadId, r, size); err != nil {
		// The caller may have gone; the parts must not stay for that.
		ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
		defer stop()
		_, e := client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: in.Bucket, Key: in.Key, UploadId: up.UploadId})
		if e != nil {
			err = fmt.Errorf("%w (and the upload could not be aborted: %v)", err, e)
		}
	}
	return err
}

func uploadParts(ctx context.Context, client *s3.Client, in *s3.PutObjectInput, id *string, r io.Reader, size int64) error {
	var done []types.CompletedPart
	for left := size; left > 0; left -= uploadPart {
		n := min(left, uploadPart)
		body, err := piece(r, n)
		if err != nil {
			return err
		}
		number := int32(len(done) + 1)
		out, err := client.UploadPart(ctx, &s3.UploadPartInput{Bucket: in.Bucket, Key: in.Key, UploadId: id, PartNumber: &number, Body: bytes.NewReader(body)})
		if err != nil {
			return err
		}
		done = append(done, types.CompletedPart{
			PartNumber: &number, ETag: out.ETag, ChecksumCRC32: out.ChecksumCRC32, ChecksumCRC32C: out.ChecksumCRC32C,
			ChecksumCRC64NVME: out.ChecksumCRC64NVME, ChecksumSHA1: out.ChecksumSHA1, ChecksumSHA256: out.ChecksumSHA256,
		})
	}
	_, err := client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: in.Bucket, Key: in.Key, UploadId: id, MultipartUpload: &types.CompletedMultipartUpload{Parts: done},
	})
	return err
}

func piece(r io.Reader, n int64) ([]byte, error) {
	body := make([]byte, n)
	_, err := io.ReadFull(r, body)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return body, err
}
