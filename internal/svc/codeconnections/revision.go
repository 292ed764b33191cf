package codeconnections

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	api "penstock/internal/api/codeconnections"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
	"penstock/internal/svc/codeconnections/fetch"
)

// maxMessage is what is told of a commit message (S-283).
const maxMessage = 100 << 10

// UploadRevision fetches a commit through a connection and puts it into S3 on behalf of the
// caller, as a zip of its files or as a reference that a build clones by (P-4, S-235). It
// answers when the object is there. The permission is UseConnection.
func (f *face) UploadRevision(ctx context.Context, in *api.UploadRevisionInput) (*api.UploadRevisionOutput, error) {
	c, err := allow(ctx, "UseConnection", in.ConnectionArn)
	if err != nil {
		return nil, err
	}
	var conn store.Connection
	if err := f.DB.View(ctx, func(tx *store.Tx) (err error) {
		conn, err = connection(ctx, tx, c, in.ConnectionArn)
		return err
	}); err != nil {
		return nil, err
	}
	from, err := remote(conn, in.FullRepositoryId)
	if err != nil {
		return nil, err
	}
	got, err := f.Fetch.Fetch(ctx, from, in.BranchName, in.CommitId)
	if err != nil {
		return nil, f.unreachable(ctx, conn, in.FullRepositoryId, err)
	}
	defer got.Close()
	if in.Format == "CODEBUILD_CLONE_REF" {
		err = f.putReference(ctx, c, in, got, from)
	} else {
		err = f.putArchive(ctx, c, in, got)
	}
	if err != nil {
		return nil, err
	}
	stamp := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.Format(time.RFC3339)
	}
	return &api.UploadRevisionOutput{CommitId: got.ID, CommitMessage: cut(got.Message, maxMessage), AuthorName: got.AuthorName, AuthorEmail: got.AuthorEmail,
		AuthorDate: stamp(got.AuthorDate), CommitterDate: stamp(got.CommitterDate), ProviderType: conn.ProviderType}, nil
}

// unreachable words why a repository could not be fetched. What the server of the provider
// said is told, because only that helps; it never holds the credentials.
func (r *Room) unreachable(ctx context.Context, c store.Connection, repository string, err error) error {
	var exit *fetch.ExitError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, fetch.ErrNoBranch):
		return fault.New("BranchDoesNotExistException", "The repository '%s' of the connection '%s': %v", repository, c.Name, err)
	case errors.Is(err, fetch.ErrNoCommit):
		return fault.New("CommitDoesNotExistException", "The repository '%s' of the connection '%s': %v", repository, c.Name, err)
	case errors.Is(err, fetch.ErrTooLarge):
		return fault.New("RepositoryNotReachableException", "The revision of the repository '%s' is larger than this server takes", repository)
	case errors.Is(err, fetch.ErrRefused):
		return fault.New("RepositoryNotReachableException", "The connection '%s' does not lead to the repository '%s': %v", c.Name, repository, err)
	case errors.As(err, &exit), errors.Is(err, context.DeadlineExceeded):
		return fault.New("RepositoryNotReachableException", "The repository '%s' of the connection '%s' could not be fetched: %s", repository, c.Name, cut(err.Error(), 1000))
	}
	return err
}

func cut(s string, n int) string {
	if len(s) > n {
		for n > 0 && s[n]&0xc0 == 0x80 {
			n--
		}
		s = s[:n]
	}
	return s
}

// putArchive makes the zip in a file, because S3 wants to know length and hash beforehand.
func (r *Room) putArchive(ctx context.Context, c auth.Caller, in *api.UploadRevisionInput, got *fetch.Checkout) (err error) {
	file, err := os.CreateTemp("", "penstock-revision-*.zip")
	if err != nil {
		return err
	}
	// The name goes at once: whatever dies, nothing is left behind.
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := os.Remove(file.Name()); err != nil {
		return err
	}
	if err := got.Archive(ctx, file); errors.Is(err, fetch.ErrTooLarge) {
		return fault.New("RepositoryNotReachableException", "The archive of the commit %s is larger than this server takes", got.ID)
	} else if err != nil {
		return err
	}
	size, err := file.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return err
	}
	return r.put(ctx, c, in, &s3.PutObjectInput{Body: file, ContentLength: &size, ContentType: new("application/zip")})
}

// reference is the artifact of the format CODEBUILD_CLONE_REF (P-2).
type reference struct {
	Version    int    `json:"version"`
	Type       string `json:"type"`
	URL        string `json:"url"`
	Commit     string `json:"commit"`
	Branch     string `json:"branch"`
	Credential struct {
		Kind string `json:"kind"`
		Ref  string `json:"ref,omitempty"`
	} `json:"credential"`
}

func (r *Room) putReference(ctx context.Context, c auth.Caller, in *api.UploadRevisionInput, got *fetch.Checkout, from fetch.Remote) error {
	ref := reference{Version: 1, Type: "git", URL: from.URL, Commit: got.ID, Branch: in.BranchName}
	ref.Credential.Kind, ref.Credential.Ref = "connection", in.ConnectionArn
	text, err := json.Marshal(ref)
	if err != nil {
		return err
	}
	return r.put(ctx, c, in, &s3.PutObjectInput{Body: bytes.NewReader(text), ContentType: new("application/json")})
}

// put writes the object as the caller, who may be refused by S3.
func (r *Room) put(ctx context.Context, c auth.Caller, in *api.UploadRevisionInput, put *s3.PutObjectInput) error {
	cfg, err := r.AWS(ctx, c)
	if err != nil {
		return err
	}
	put.Bucket, put.Key = &in.S3Bucket, &in.S3Key
	if in.KmsKeyId != "" {
		put.ServerSideEncryption, put.SSEKMSKeyId = types.ServerSideEncryptionAwsKms, &in.KmsKeyId
	}
	_, err = s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true }).PutObject(ctx, put)
	var answer smithy.APIError
	if errors.As(err, &answer) {
		return fault.New(answer.ErrorCode(), "s3://%s/%s: %s", in.S3Bucket, in.S3Key, answer.ErrorMessage())
	}
	return err
}
