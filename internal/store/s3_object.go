package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"
)

// NullVersion is the version id of what is written while versioning is not enabled. At
// most one version of a key has it.
const NullVersion = "null"

// Object is one version of an S3 object, or a delete marker.
type Object struct {
	Bucket, Key string
	// Version is the version id: [NullVersion], or an id that is never used again.
	Version              string
	Latest, DeleteMarker bool
	Size                 int64
	// ETag is without quotes.
	ETag     string
	Modified time.Time
	// Blob names the bytes. It is empty for a delete marker, and for an object made by a
	// multipart upload: that has Upload, whose parts name them.
	Blob, Upload string
	Info         ObjectInfo
	// ACL is the canned ACL; "" is private.
	ACL  string
	Tags []Tag

	ord int64
}

// ObjectInfo is what is kept with an object and never searched for.
type ObjectInfo struct {
	// Headers are answered with the object as they were given: lower-case name to value.
	Headers map[string]string `json:"headers,omitempty"`
	// Meta is the user metadata: lower-case name, without x-amz-meta-, to value.
	Meta map[string]string `json:"meta,omitempty"`
	// Algorithm is CRC32, CRC32C, CRC64NVME, SHA1, SHA256 or "" for none, Type is
	// FULL_OBJECT or COMPOSITE, Checksum the value as it is answered.
	Algorithm string `json:"algorithm,omitempty"`
	Type      string `json:"type,omitempty"`
	Checksum  string `json:"checksum,omitempty"`
	// Parts is the number of parts of a multipart object.
	Parts int `json:"parts,omitempty"`
}

const objectColumns = `bucket, key, ord, version, is_latest, delete_marker, size, etag, modified, blob, upload, info, acl, tags`

func scanObject(rows *sql.Rows) (Object, error) {
	var o Object
	var key []byte
	var latest, marker, modified int64
	var info, tags string
	err := rows.Scan(&o.Bucket, &key, &o.ord, &o.Version, &latest, &marker, &o.Size, &o.ETag, &modified,
		&o.Blob, &o.Upload, &info, &o.ACL, &tags)
	if err != nil {
		return Object{}, err
	}
	o.Key, o.Latest, o.DeleteMarker, o.Modified = string(key), latest == 1, marker == 1, time.UnixMicro(modified).UTC()
	return o, errors.Join(json.Unmarshal([]byte(info), &o.Info), json.Unmarshal([]byte(tags), &o.Tags))
}

func (tx *Tx) object(ctx context.Context, where string, args ...any) (Object, error) {
	list, err := all(ctx, tx, `SELECT `+objectColumns+` FROM s3_objects WHERE `+where, args, scanObject)
	if err == nil && len(list) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Object{}, err
	}
	return list[0], nil
}

// Object gives a version of an object, the latest if version is empty. It may be a delete
// marker. [ErrNotFound] if there is none.
func (tx *Tx) Object(ctx context.Context, bucket, key, version string) (Object, error) {
	if version == "" {
		return tx.object(ctx, `bucket = $1 AND key = $2 ORDER BY ord LIMIT 1`, bucket, []byte(key))
	}
	return tx.object(ctx, `bucket = $1 AND key = $2 AND version = $3`, bucket, []byte(key), version)
}

// ObjectOfUpload gives the object that a multipart upload has become.
func (tx *Tx) ObjectOfUpload(ctx context.Context, upload string) (Object, error) {
	return tx.object(ctx, `upload = $1 AND upload <> ''`, upload)
}

// PutObject adds a version as the latest, modified now; it sets Latest and Modified in o.
// A null version takes the place of the null version there was; freed are the blobs that
// nothing names any more once this is committed. The key is locked.
func (tx *Tx) PutObject(ctx context.Context, o *Object) (freed []string, err error) {
	info, err := json.Marshal(o.Info)
	if err != nil {
		return nil, err
	}
	tags, err := json.Marshal(o.Tags)
	if err != nil {
		return nil, err
	}
	before, err := tx.Object(ctx, o.Bucket, o.Key, "")
	switch {
	case err == nil:
		o.ord = before.ord - 1
		if err := tx.setLatest(ctx, before, 0); err != nil {
			return nil, err
		}
	case err != ErrNotFound:
		return nil, err
	}
	if o.Version == NullVersion {
		null, err := tx.Object(ctx, o.Bucket, o.Key, NullVersion)
		if err == nil {
			freed, err = tx.removeObject(ctx, null)
		}
		if err != nil && err != ErrNotFound {
			return nil, err
		}
	}
	o.Latest, o.Modified = true, tx.Now()
	marker := 0
	if o.DeleteMarker {
		marker = 1
	}
	_, err = tx.exec(ctx, `INSERT INTO s3_objects (`+objectColumns+`)
		VALUES ($1, $2, $3, $4, 1, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		o.Bucket, []byte(o.Key), o.ord, o.Version, marker, o.Size, o.ETag, o.Modified.UnixMicro(),
		o.Blob, o.Upload, string(info), o.ACL, string(tags))
	return freed, err
}

func (tx *Tx) setLatest(ctx context.Context, o Object, latest int) error {
	_, err := tx.exec(ctx, `UPDATE s3_objects SET is_latest = $4 WHERE bucket = $1 AND key = $2 AND ord = $3`,
		o.Bucket, []byte(o.Key), o.ord, latest)
	return err
}

// removeObject removes the row and the parts it has, and gives their blobs.
func (tx *Tx) removeObject(ctx context.Context, o Object) (freed []string, err error) {
	if o.Blob != "" {
		freed = append(freed, o.Blob)
	}
	if o.Upload != "" {
		if freed, err = tx.deleteParts(ctx, o.Upload); err != nil {
			return nil, err
		}
	}
	_, err = tx.exec(ctx, `DELETE FROM s3_objects WHERE bucket = $1 AND key = $2 AND ord = $3`,
		o.Bucket, []byte(o.Key), o.ord)
	return freed, err
}

// DeleteObject removes one version for good and makes the one before it the latest. It
// gives what was removed and the blobs that nothing names any more once this is
// committed; [ErrNotFound] if there is no such version. The key is locked.
func (tx *Tx) DeleteObject(ctx context.Context, bucket, key, version string) (gone Object, freed []string, err error) {
	if gone, err = tx.Object(ctx, bucket, key, version); err != nil {
		return Object{}, nil, err
	}
	if freed, err = tx.removeObject(ctx, gone); err != nil {
		return Object{}, nil, err
	}
	if gone.Latest {
		next, err := tx.Object(ctx, bucket, key, "")
		if err == nil {
			err = tx.setLatest(ctx, next, 1)
		}
		if err != nil && err != ErrNotFound {
			return Object{}, nil, err
		}
	}
	return gone, freed, nil
}

// SetObjectTags replaces the tags of the version o.
func (tx *Tx) SetObjectTags(ctx context.Context, o Object, tags []Tag) error {
	text, err := json.Marshal(tags)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, `UPDATE s3_objects SET tags = $4 WHERE bucket = $1 AND key = $2 AND version = $3`,
		o.Bucket, []byte(o.Key), o.Version, string(text))
	return err
}

// SetObjectACL replaces the canned ACL of the version o.
func (tx *Tx) SetObjectACL(ctx context.Context, o Object, acl string) error {
	_, err := tx.exec(ctx, `UPDATE s3_objects SET acl = $4 WHERE bucket = $1 AND key = $2 AND version = $3`,
		o.Bucket, []byte(o.Key), o.Version, acl)
	return err
}

// BlobNamed tells whether an object, a part or a function names the blob.
func (tx *Tx) BlobNamed(ctx context.Context, blob string) (bool, error) {
	for _, query := range []string{
		`SELECT 1 FROM s3_objects WHERE blob = $1 AND blob <> '' LIMIT 1`,
		`SELECT 1 FROM s3_parts WHERE blob = $1 LIMIT 1`,
		`SELECT 1 FROM lambda_function WHERE code = $1 LIMIT 1`,
	} {
		var one int64
		if err := tx.one(ctx, query, []any{blob}, &one); err != ErrNotFound {
			return err == nil, err
		}
	}
	return false, nil
}
