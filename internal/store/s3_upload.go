package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"
)

// Upload is a multipart upload under way.
type Upload struct {
	ID, Bucket, Key string
	Initiated       time.Time
	// Info, ACL and Tags are those of the object to be.
	Info ObjectInfo
	ACL  string
	Tags []Tag
}

// Part is a part of an upload, or of the object an upload has become.
type Part struct {
	Number int
	Blob   string
	Size   int64
	// ETag is without quotes, Checksum is of the upload's algorithm or "".
	ETag, Checksum string
	Modified       time.Time
}

const uploadColumns = `id, bucket, key, initiated, info, acl, tags`

func scanUpload(rows *sql.Rows) (u Upload, err error) {
	var key []byte
	var initiated int64
	var info, tags string
	if err := rows.Scan(&u.ID, &u.Bucket, &key, &initiated, &info, &u.ACL, &tags); err != nil {
		return Upload{}, err
	}
	u.Key, u.Initiated = string(key), time.UnixMicro(initiated).UTC()
	return u, errors.Join(json.Unmarshal([]byte(info), &u.Info), json.Unmarshal([]byte(tags), &u.Tags))
}

// CreateUpload adds an upload, initiated now.
func (tx *Tx) CreateUpload(ctx context.Context, u Upload) error {
	info, err := json.Marshal(u.Info)
	if err != nil {
		return err
	}
	tags, err := json.Marshal(u.Tags)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, `INSERT INTO s3_uploads (`+uploadColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		u.ID, u.Bucket, []byte(u.Key), tx.Now().UnixMicro(), string(info), u.ACL, string(tags))
	return err
}

// Upload gives an upload under way; [ErrNotFound] if there is none for this key.
func (tx *Tx) Upload(ctx context.Context, bucket, key, id string) (Upload, error) {
	list, err := all(ctx, tx, `SELECT `+uploadColumns+` FROM s3_uploads WHERE id = $1 AND bucket = $2 AND key = $3`,
		[]any{id, bucket, []byte(key)}, scanUpload)
	if err == nil && len(list) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Upload{}, err
	}
	return list[0], nil
}

const partColumns = `part, blob, size, etag, checksum, modified`

func scanPart(rows *sql.Rows) (p Part, err error) {
	var modified int64
	err = rows.Scan(&p.Number, &p.Blob, &p.Size, &p.ETag, &p.Checksum, &modified)
	p.Modified = time.UnixMicro(modified).UTC()
	return p, err
}

// PutPart keeps a part of an upload in place of an earlier one with its number, modified
// now. It gives the blobs that nothing names any more once this is committed.
func (tx *Tx) PutPart(ctx context.Context, upload string, p Part) (freed []string, err error) {
	freed, err = all(ctx, tx, `SELECT blob FROM s3_parts WHERE upload = $1 AND part = $2`, []any{upload, p.Number}, scanText)
	if err != nil {
		return nil, err
	}
	_, err = tx.exec(ctx, `INSERT INTO s3_parts (upload, `+partColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (upload, part) DO UPDATE SET blob = excluded.blob, size = excluded.size, etag = excluded.etag,
			checksum = excluded.checksum, modified = excluded.modified`,
		upload, p.Number, p.Blob, p.Size, p.ETag, p.Checksum, tx.Now().UnixMicro())
	return freed, err
}

// Parts gives up to limit parts with a number above after, in order.
func (tx *Tx) Parts(ctx context.Context, upload string, after, limit int) ([]Part, error) {
	return all(ctx, tx, `SELECT `+partColumns+` FROM s3_parts WHERE upload = $1 AND part > $2 ORDER BY part LIMIT $3`,
		[]any{upload, after, limit}, scanPart)
}

// DeletePart removes one part. The caller frees its blob after the commit.
func (tx *Tx) DeletePart(ctx context.Context, upload string, number int) error {
	_, err := tx.exec(ctx, `DELETE FROM s3_parts WHERE upload = $1 AND part = $2`, upload, number)
	return err
}

func (tx *Tx) deleteParts(ctx context.Context, upload string) (freed []string, err error) {
	freed, err = all(ctx, tx, `SELECT blob FROM s3_parts WHERE upload = $1`, []any{upload}, scanText)
	if err != nil {
		return nil, err
	}
	_, err = tx.exec(ctx, `DELETE FROM s3_parts WHERE upload = $1`, upload)
	return freed, err
}

// DeleteUpload removes an upload with its parts. It gives the blobs that nothing names any
// more once this is committed.
func (tx *Tx) DeleteUpload(ctx context.Context, id string) (freed []string, err error) {
	if freed, err = tx.deleteParts(ctx, id); err != nil {
		return nil, err
	}
	return freed, tx.EndUpload(ctx, id)
}

// EndUpload removes an upload and leaves its parts to the object that has its id.
func (tx *Tx) EndUpload(ctx context.Context, id string) error {
	_, err := tx.exec(ctx, `DELETE FROM s3_uploads WHERE id = $1`, id)
	return err
}
