package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"time"
)

// Bucket is an S3 bucket. Its name is unique over all accounts and Regions.
type Bucket struct {
	Name, Account, Region string
	// Versioning is "", "Enabled" or "Suspended"; never "" again once it was not.
	Versioning string
	Created    time.Time
}

// LockBucket keeps every other transaction that locks the bucket or one of its keys
// waiting until this one ends. It comes before the transaction reads what it depends on.
func (tx *Tx) LockBucket(ctx context.Context, bucket string) error {
	return tx.lock(ctx, "pg_advisory_xact_lock", bucket, "")
}

// LockObject keeps others from the key, and from changing or deleting the bucket, as
// LockBucket does. Row locks cannot: a key may have no row yet.
func (tx *Tx) LockObject(ctx context.Context, bucket, key string) error {
	if err := tx.lock(ctx, "pg_advisory_xact_lock_shared", bucket, ""); err != nil {
		return err
	}
	return tx.lock(ctx, "pg_advisory_xact_lock", bucket, "/"+key)
}

// lock takes an advisory lock of PostgreSQL; SQLite has one writer. Two names that share
// a number wait for each other without need, and that is all.
func (tx *Tx) lock(ctx context.Context, function, bucket, key string) error {
	if tx.db.dialect != postgresDialect {
		return nil
	}
	sum := sha256.Sum256([]byte("s3:" + bucket + key))
	_, err := tx.exec(ctx, `SELECT `+function+`($1)`, int64(binary.BigEndian.Uint64(sum[:])))
	return err
}

const bucketColumns = `name, account, region, versioning, created`

func scanBucket(rows *sql.Rows) (b Bucket, err error) {
	var created int64
	err = rows.Scan(&b.Name, &b.Account, &b.Region, &b.Versioning, &created)
	b.Created = time.UnixMicro(created).UTC()
	return b, err
}

// CreateBucket adds a bucket, created now. It tells whether it did: the name may be taken.
func (tx *Tx) CreateBucket(ctx context.Context, b Bucket) (bool, error) {
	n, err := tx.exec(ctx, `INSERT INTO s3_buckets (`+bucketColumns+`) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT DO NOTHING`, b.Name, b.Account, b.Region, b.Versioning, tx.Now().UnixMicro())
	return n == 1, err
}

// Bucket gives a bucket of whatever account; [ErrNotFound] if there is none of the name.
func (tx *Tx) Bucket(ctx context.Context, name string) (Bucket, error) {
	list, err := all(ctx, tx, `SELECT `+bucketColumns+` FROM s3_buckets WHERE name = $1`, []any{name}, scanBucket)
	if err == nil && len(list) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Bucket{}, err
	}
	return list[0], nil
}

// Buckets gives up to limit buckets of the account in order of name, beginning at the
// name from.
func (tx *Tx) Buckets(ctx context.Context, account, from string, limit int) ([]Bucket, error) {
	return all(ctx, tx, `SELECT `+bucketColumns+` FROM s3_buckets WHERE account = $1 AND name >= $2
		ORDER BY name LIMIT $3`, []any{account, from, limit}, scanBucket)
}

// SetBucketVersioning changes the versioning state.
func (tx *Tx) SetBucketVersioning(ctx context.Context, name, state string) error {
	_, err := tx.exec(ctx, `UPDATE s3_buckets SET versioning = $2 WHERE name = $1`, name, state)
	return err
}

// BucketEmpty tells whether no version and no delete marker is left.
func (tx *Tx) BucketEmpty(ctx context.Context, name string) (bool, error) {
	var one int64
	err := tx.one(ctx, `SELECT 1 FROM s3_objects WHERE bucket = $1 LIMIT 1`, []any{name}, &one)
	if err == ErrNotFound {
		return true, nil
	}
	return false, err
}

// DeleteBucket removes an empty bucket with its documents and the uploads under way in
// it. It gives the blobs that nothing names any more once this is committed.
func (tx *Tx) DeleteBucket(ctx context.Context, name string) (freed []string, err error) {
	ids, err := all(ctx, tx, `SELECT id FROM s3_uploads WHERE bucket = $1`, []any{name}, scanText)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		blobs, err := tx.DeleteUpload(ctx, id)
		if err != nil {
			return nil, err
		}
		freed = append(freed, blobs...)
	}
	if _, err := tx.exec(ctx, `DELETE FROM s3_bucket_documents WHERE bucket = $1`, name); err != nil {
		return nil, err
	}
	_, err = tx.exec(ctx, `DELETE FROM s3_buckets WHERE name = $1`, name)
	return freed, err
}

// BucketDocument gives the text kept for a sub-resource of a bucket, such as its policy;
// [ErrNotFound] if it has none.
func (tx *Tx) BucketDocument(ctx context.Context, bucket, kind string) (string, error) {
	var body string
	err := tx.one(ctx, `SELECT body FROM s3_bucket_documents WHERE bucket = $1 AND kind = $2`, []any{bucket, kind}, &body)
	return body, err
}

// PutBucketDocument keeps the text of a sub-resource, in place of an earlier one.
func (tx *Tx) PutBucketDocument(ctx context.Context, bucket, kind, body string) error {
	_, err := tx.exec(ctx, `INSERT INTO s3_bucket_documents (bucket, kind, body) VALUES ($1, $2, $3)
		ON CONFLICT (bucket, kind) DO UPDATE SET body = excluded.body`, bucket, kind, body)
	return err
}

// DeleteBucketDocument removes a sub-resource; it need not exist.
func (tx *Tx) DeleteBucketDocument(ctx context.Context, bucket, kind string) error {
	_, err := tx.exec(ctx, `DELETE FROM s3_bucket_documents WHERE bucket = $1 AND kind = $2`, bucket, kind)
	return err
}
