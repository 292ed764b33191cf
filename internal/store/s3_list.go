package store

import (
	"context"
	"math"
	"strings"
)

// Listing asks for a page of keys in byte order.
type Listing struct {
	Bucket string
	// Prefix is what every key begins with. Keys that have Delimiter after it are shown
	// as one common prefix, which ends with the delimiter; "" shows every key.
	Prefix, Delimiter string
	// From is where the page begins.
	From Position
	// Max is the number of entries, rows and common prefixes together.
	Max int
}

// Position is a place in a listing, before the first entry that is not less. The zero
// Position is before everything.
type Position struct {
	Key string
	// Version, of versions, is the place among those of the key.
	Version int64
	// Upload, of uploads, is the place among those of the key.
	Upload string
}

// Page is an answer to a Listing.
type Page[R any] struct {
	Rows     []R
	Prefixes []string
	// More tells that entries follow, from Next on.
	More bool
	Next Position
}

// AtKey is the Position of the first entry with the key.
func AtKey(key string) Position { return Position{Key: key, Version: math.MinInt64} }

// AfterKey is the Position behind every entry with the key.
func AfterKey(key string) Position { return AtKey(key + "\x00") }

// AfterPrefix is the Position behind every key that begins with prefix; false if nothing
// can be there.
func AfterPrefix(prefix string) (Position, bool) {
	b := []byte(prefix)
	for len(b) > 0 {
		if last := len(b) - 1; b[last] < 0xff {
			b[last]++
			return AtKey(string(b)), true
		}
		b = b[:len(b)-1]
	}
	return Position{}, false
}

// AfterVersion is the Position behind the version o in a listing of versions.
func AfterVersion(o Object) Position { return Position{Key: o.Key, Version: o.ord + 1} }

// AfterUpload is the Position behind the upload id of the key in a listing of uploads.
// All ids have the same length, so nothing is between id and id with one more character.
func AfterUpload(key, id string) Position { return Position{Key: key, Upload: id + "0"} }

// ListObjects lists the objects there are: latest versions that are no delete marker.
func (tx *Tx) ListObjects(ctx context.Context, l Listing) (Page[Object], error) {
	return page(l, func(from Position, end []byte, limit int) ([]Object, error) {
		return all(ctx, tx, `SELECT `+objectColumns+` FROM s3_objects
			WHERE bucket = $1 AND key >= $2 AND key < $3 AND is_latest = 1 AND delete_marker = 0
			ORDER BY key LIMIT $4`, []any{l.Bucket, []byte(from.Key), end, limit}, scanObject)
	}, func(o Object) (string, Position, Position) {
		return o.Key, AtKey(o.Key), AfterKey(o.Key)
	})
}

// ListVersions lists all versions and delete markers, of each key the latest first.
func (tx *Tx) ListVersions(ctx context.Context, l Listing) (Page[Object], error) {
	return page(l, func(from Position, end []byte, limit int) ([]Object, error) {
		return all(ctx, tx, `SELECT `+objectColumns+` FROM s3_objects
			WHERE bucket = $1 AND (key, ord) >= ($2, $3) AND key < $4
			ORDER BY key, ord LIMIT $5`, []any{l.Bucket, []byte(from.Key), from.Version, end, limit}, scanObject)
	}, func(o Object) (string, Position, Position) {
		return o.Key, Position{Key: o.Key, Version: o.ord}, AfterVersion(o)
	})
}

// ListUploads lists the uploads under way, of each key in order of id.
func (tx *Tx) ListUploads(ctx context.Context, l Listing) (Page[Upload], error) {
	return page(l, func(from Position, end []byte, limit int) ([]Upload, error) {
		return all(ctx, tx, `SELECT `+uploadColumns+` FROM s3_uploads
			WHERE bucket = $1 AND (key, id) >= ($2, $3) AND key < $4
			ORDER BY key, id LIMIT $5`, []any{l.Bucket, []byte(from.Key), from.Upload, end, limit}, scanUpload)
	}, func(u Upload) (string, Position, Position) {
		return u.Key, Position{Key: u.Key, Upload: u.ID}, AfterUpload(u.Key, u.ID)
	})
}

// farEnd is above every key: no UTF-8 text holds the byte.
const farEnd = "\xff"

// smallBatch is read where a common prefix may cover everything that follows: the rows it
// covers are skipped by seeking behind it, so a page costs what it shows, not what it
// hides.
const smallBatch = 16

func page[R any](
	l Listing,
	fetch func(from Position, end []byte, limit int) ([]R, error),
	place func(R) (key string, at, after Position),
) (p Page[R], err error) {
	if l.Max <= 0 {
		return p, nil
	}
	pos, end := l.From, []byte(farEnd)
	if pos.Key < l.Prefix {
		pos = AtKey(l.Prefix)
	} else if pos == (Position{}) {
		pos = AtKey("")
	}
	if after, ok := AfterPrefix(l.Prefix); ok {
		end = []byte(after.Key)
	}
	batch := l.Max + 1
	if l.Delimiter != "" {
		batch = min(batch, smallBatch)
	}
	count, common := 0, ""
	for {
		rows, err := fetch(pos, end, batch)
		if err != nil {
			return Page[R]{}, err
		}
		for _, r := range rows {
			key, at, after := place(r)
			if l.Delimiter != "" {
				if head, _, ok := strings.Cut(key[len(l.Prefix):], l.Delimiter); ok {
					group := l.Prefix + head + l.Delimiter
					if count > 0 && group == common {
						continue
					}
					if count == l.Max {
						p.More, p.Next = true, AtKey(group)
						return p, nil
					}
					p.Prefixes = append(p.Prefixes, group)
					common = group
					count++
					continue
				}
			}
			if count == l.Max {
				p.More, p.Next = true, at
				return p, nil
			}
			p.Rows = append(p.Rows, r)
			common, pos = "", after
			count++
		}
		switch {
		case len(rows) < batch:
			return p, nil
		case common == "":
			batch = min(4*batch, l.Max+1)
		default:
			var ok bool
			if pos, ok = AfterPrefix(common); !ok {
				return p, nil
			}
			batch = min(smallBatch, l.Max+1)
		}
	}
}
