package codecommit

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	api "penstock/internal/api/codecommit"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/svc/codecommit/git"
)

// Limits of archives: 1 GB is that of git sources (actions 0.2).
const (
	maxArchive = 1 << 30
	maxUploads = 1000
	uploadLife = time.Hour
)

// The states of an archive's upload.
const (
	uploading = "InProgress"
	uploaded  = "Completed"
	failed    = "Failed"
	cancelled = "Cancelled"
)

// upload is an archive on its way to S3. It lives in memory: after a restart it is unknown
// and the source action asks for it again.
type upload struct {
	repository string // id
	cancel     context.CancelFunc
	status     string
	code, text string
	ended      time.Time
}

type uploads struct {
	mu  sync.Mutex
	all map[string]*upload
}

// add registers an upload and forgets those that ended long ago.
func (u *uploads) add(id string, x *upload, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	for id, old := range u.all {
		if old.status != uploading && now.Sub(old.ended) > uploadLife {
			delete(u.all, id)
		}
	}
	if len(u.all) >= maxUploads {
		return false
	}
	u.all[id] = x
	return true
}

// end sets the final state once.
func (u *uploads) end(x *upload, status, code, text string, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if x.status == uploading {
		x.status, x.code, x.text, x.ended = status, code, text, now
	}
}

// get gives a copy of the upload of a repository.
func (u *uploads) get(id, repository string) (upload, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	x := u.all[id]
	if x == nil || x.repository != repository {
		return upload{}, false
	}
	return *x, true
}

// UploadArchive begins to put the tree of a commit as a zip into S3, on behalf of the
// caller: who may not write the object is refused by S3. P-2, S-235.
func (r *Room) UploadArchive(ctx context.Context, in *api.UploadArchiveInput) (*api.UploadArchiveOutput, error) {
	p, err := r.open(ctx, "UploadArchive", in.RepositoryName)
	if err == nil {
		err = checkCommitID(in.CommitId)
	}
	if err != nil {
		return nil, err
	}
	c, err := p.commit(ctx, in.CommitId)
	if err != nil {
		return nil, err
	}
	if r.deps.AWS == nil {
		return nil, errors.New("codecommit: archives need S3, which this room was not given")
	}
	caller := auth.From(ctx)
	id := auth.NewUUID()
	// The work outlives the request, keeps its caller, and ends with the room.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	x := &upload{repository: p.ID, cancel: cancel, status: uploading}
	if !r.uploads.add(id, x, r.deps.Now()) {
		cancel()
		return nil, fault.New("ThrottlingException", "Too many archives are being made. Try again in a moment.")
	}
	r.work.Go(func() {
		defer cancel()
		defer context.AfterFunc(r.ctx, cancel)()
		err := r.archive(work, p, c.ID, caller, in)
		switch {
		case err == nil:
			r.uploads.end(x, uploaded, "", "", r.deps.Now())
		case work.Err() != nil:
			r.uploads.end(x, cancelled, "", "", r.deps.Now())
		default:
			code, text := r.archiveFailure(work, err)
			r.uploads.end(x, failed, code, text, r.deps.Now())
		}
		r.deps.Notify(p.arn())
	})
	return &api.UploadArchiveOutput{UploadId: id}, nil
}

// archive makes the zip in a file, because S3 wants to know length and hash beforehand.
func (r *Room) archive(ctx context.Context, p *place, commit string, caller auth.Caller, in *api.UploadArchiveInput) (err error) {
	f, err := os.CreateTemp("", "penstock-archive-*.zip")
	if err != nil {
		return err
	}
	// The name goes at once: whatever dies, nothing is left behind.
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := os.Remove(f.Name()); err != nil {
		return err
	}
	if err := p.git.Archive(ctx, f, commit, maxArchive); err != nil {
		return err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return err
	}
	cfg, err := r.deps.AWS(ctx, caller)
	if err != nil {
		return err
	}
	put := &s3.PutObjectInput{
		Bucket: &in.S3Bucket, Key: &in.S3Key, Body: f, ContentLength: &size, ContentType: new("application/zip"),
	}
	if in.KmsKeyId != "" {
		put.ServerSideEncryption, put.SSEKMSKeyId = types.ServerSideEncryptionAwsKms, &in.KmsKeyId
	}
	_, err = s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true }).PutObject(ctx, put)
	return err
}

// archiveFailure gives the code and text that the caller is shown.
func (r *Room) archiveFailure(ctx context.Context, err error) (code, text string) {
	var api interface {
		error
		ErrorCode() string
		ErrorMessage() string
	}
	switch {
	case errors.As(err, &api):
		return api.ErrorCode(), api.ErrorMessage()
	case errors.Is(err, git.ErrTooLarge):
		return "FolderContentSizeLimitExceededException", "The archive of the commit has more than 1 GB."
	case errors.Is(err, git.ErrBusy):
		return "ThrottlingException", "Too many git processes are running. Try again in a moment."
	}
	r.deps.Log.ErrorContext(ctx, "codecommit: make an archive", "error", err)
	return "InternalFailure", "The archive could not be made inside the server."
}

// GetUploadArchiveStatus says how an upload goes.
func (r *Room) GetUploadArchiveStatus(ctx context.Context, in *api.GetUploadArchiveStatusInput) (*api.GetUploadArchiveStatusOutput, error) {
	p, err := r.open(ctx, "GetUploadArchiveStatus", in.RepositoryName)
	if err != nil {
		return nil, err
	}
	x, ok := r.uploads.get(in.UploadId, p.ID)
	if !ok {
		return nil, absentUpload(in.UploadId)
	}
	return &api.GetUploadArchiveStatusOutput{Status: x.status, ErrorCode: x.code, ErrorMessage: x.text}, nil
}

func absentUpload(id string) error {
	return fault.New("UploadDoesNotExistException", "There is no upload %s. It ended long ago, or the server was started anew; begin another one.", id)
}

// CancelUploadArchive ends an upload that is in progress.
func (r *Room) CancelUploadArchive(ctx context.Context, in *api.CancelUploadArchiveInput) (*api.CancelUploadArchiveOutput, error) {
	p, err := r.open(ctx, "CancelUploadArchive", in.RepositoryName)
	if err != nil {
		return nil, err
	}
	x, ok := r.uploads.get(in.UploadId, p.ID)
	if !ok {
		return nil, absentUpload(in.UploadId)
	}
	x.cancel()
	return &api.CancelUploadArchiveOutput{}, nil
}
