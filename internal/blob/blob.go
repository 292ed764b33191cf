// Package blob keeps bytes under opaque keys.
//
// A blob is written once, read any number of times and deleted once; what it means, who
// owns it and when it may go is known only to the rows that name it. Writers commit such a
// row after Put has returned, and delete a blob only after the row that named it is gone,
// so a crash can leave a blob that nobody names, and never a name without its bytes.
package blob

import (
	"context"
	"crypto/rand"
	"errors"
	"hash"
	"io"
	"io/fs"
	"time"
)

// MaxKey is the longest key in bytes. It is what the file systems of all platforms can
// carry in one name after encoding.
const MaxKey = 120

// ErrNotExist is answered, possibly wrapped, for a key that holds nothing.
var ErrNotExist = fs.ErrNotExist

// ErrKey is answered, possibly wrapped, for an empty key and one longer than [MaxKey].
var ErrKey = errors.New("blob: the key must have 1 to 120 bytes")

// ErrRange is answered, possibly wrapped, for a range that does not begin inside the blob.
var ErrRange = errors.New("blob: the range does not begin inside the blob")

// Entry is one blob as [Store.Walk] shows it.
type Entry struct {
	// Key is the key the blob was put under.
	Key string
	// Size is the length in bytes.
	Size int64
	// Modified is when the blob was written, by the clock of the store.
	Modified time.Time
}

// Store keeps blobs. All methods may be called at the same time, for one key too.
//
// A key is any string of 1 to [MaxKey] bytes; it is compared byte by byte and has no
// structure. Every method answers the context's error when that ends first.
type Store interface {
	// Put reads r to its end and keeps what it gave under key, replacing what was there.
	// When it returns nil the bytes survive a loss of power; when it returns an error the
	// key holds what it held before. The bytes read are also written to each of sums. An
	// error of r is answered so that errors.Is and errors.As find it.
	Put(ctx context.Context, key string, r io.Reader, sums ...hash.Hash) (size int64, err error)

	// Get opens n bytes of the blob from offset off on; with n < 0, or beyond the end, all
	// the rest. Offset 0 of an empty blob is inside. The caller closes the reader, which
	// keeps giving the bytes of that moment if the key is replaced or deleted meanwhile.
	Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error)

	// Size tells the length of the blob.
	Size(ctx context.Context, key string) (int64, error)

	// Delete removes the blob. A key that holds nothing is no error.
	Delete(ctx context.Context, key string) error

	// Walk calls f for every blob, in no order; those put or deleted meanwhile may be left
	// out. It stops at f's first error and answers it.
	Walk(ctx context.Context, f func(Entry) error) error
}

// NewKey makes a key that was never used.
func NewKey() string { return rand.Text() }

// CheckKey answers [ErrKey] unless key can be a key.
func CheckKey(key string) error {
	if len(key) == 0 || len(key) > MaxKey {
		return ErrKey
	}
	return nil
}
