package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

func s3Update(t *testing.T, db *store.DB, fn func(tx *store.Tx) error) {
	t.Helper()
	if err := db.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func s3View(t *testing.T, db *store.DB, fn func(tx *store.Tx) error) {
	t.Helper()
	if err := db.View(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func putObject(t *testing.T, db *store.DB, o store.Object) (freed []string) {
	t.Helper()
	s3Update(t, db, func(tx *store.Tx) (err error) {
		if err := tx.LockObject(t.Context(), o.Bucket, o.Key); err != nil {
			return err
		}
		freed, err = tx.PutObject(t.Context(), &o)
		return err
	})
	return freed
}

func deleteObject(t *testing.T, db *store.DB, bucket, key, version string) (gone store.Object, freed []string, err error) {
	t.Helper()
	err = db.Update(t.Context(), func(tx *store.Tx) (err error) {
		gone, freed, err = tx.DeleteObject(t.Context(), bucket, key, version)
		return err
	})
	return gone, freed, err
}

func TestBuckets(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		b := store.Bucket{Name: "b", Account: "1", Region: "r"}
		for i, account := range []string{"1", "2"} {
			s3Update(t, db, func(tx *store.Tx) error {
				other := b
				other.Account = account
				made, err := tx.CreateBucket(ctx, other)
				if made != (i == 0) {
					t.Errorf("bucket made for account %s: %v; names are unique over accounts", account, made)
				}
				return err
			})
		}
		s3Update(t, db, func(tx *store.Tx) error {
			_, err := tx.CreateBucket(ctx, store.Bucket{Name: "a", Account: "1", Region: "r"})
			return errors.Join(err, tx.SetBucketVersioning(ctx, "b", "Enabled"),
				tx.PutBucketDocument(ctx, "b", "policy", "old"), tx.PutBucketDocument(ctx, "b", "policy", "new"))
		})
		s3View(t, db, func(tx *store.Tx) error {
			got, err := tx.Bucket(ctx, "b")
			if got.Versioning != "Enabled" || got.Account != "1" || got.Created.IsZero() {
				t.Errorf("Bucket: %+v", got)
			}
			list, err2 := tx.Buckets(ctx, "1", "", 10)
			if len(list) != 2 || list[0].Name != "a" {
				t.Errorf("Buckets: %+v", list)
			}
			text, err3 := tx.BucketDocument(ctx, "b", "policy")
			if text != "new" {
				t.Errorf("document: %q", text)
			}
			if _, err := tx.BucketDocument(ctx, "b", "cors"); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("a document never put: %v", err)
			}
			return errors.Join(err, err2, err3)
		})
		s3Update(t, db, func(tx *store.Tx) error {
			u := store.Upload{ID: "U", Bucket: "b", Key: "k"}
			if err := tx.CreateUpload(ctx, u); err != nil {
				return err
			}
			_, err := tx.PutPart(ctx, "U", store.Part{Number: 1, Blob: "blob"})
			return err
		})
		s3Update(t, db, func(tx *store.Tx) error {
			empty, err := tx.BucketEmpty(ctx, "b")
			if !empty {
				t.Error("a bucket with an upload only is not empty")
			}
			freed, err2 := tx.DeleteBucket(ctx, "b")
			if !slices.Equal(freed, []string{"blob"}) {
				t.Errorf("freed %q", freed)
			}
			return errors.Join(err, err2)
		})
		s3View(t, db, func(tx *store.Tx) error {
			if _, err := tx.Bucket(ctx, "b"); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("deleted: %v", err)
			}
			return nil
		})
	})
}

func TestObjectVersions(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		versions := func() (ids []string) {
			s3View(t, db, func(tx *store.Tx) error {
				p, err := tx.ListVersions(t.Context(), store.Listing{Bucket: "b", Max: 100})
				for i, o := range p.Rows {
					if o.Latest != (i == 0) {
						t.Errorf("%s: latest %v at place %d", o.Version, o.Latest, i)
					}
					ids = append(ids, o.Version)
				}
				return err
			})
			return ids
		}
		want := func(ids ...string) {
			t.Helper()
			if diff := cmp.Diff(ids, versions()); diff != "" {
				t.Errorf("versions (-want +got):\n%s", diff)
			}
		}
		full := store.Object{
			Bucket: "b", Key: "k\xff\x00", Version: store.NullVersion, Size: 5, ETag: "e", Blob: "B0", ACL: "private",
			Info: store.ObjectInfo{Headers: map[string]string{"content-type": "x"}, Meta: map[string]string{"m": "v"}, Algorithm: "CRC32", Type: "FULL_OBJECT", Checksum: "c"},
			Tags: []store.Tag{{Key: "t", Value: "v"}},
		}
		key := full.Key
		putObject(t, db, full)
		s3View(t, db, func(tx *store.Tx) error {
			got, err := tx.Object(t.Context(), "b", key, "")
			full.Latest, full.Modified = true, got.Modified
			if diff := cmp.Diff(full, got, cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".ord" }, cmp.Ignore())); diff != "" {
				t.Errorf("the object came back changed (-put +got):\n%s", diff)
			}
			return err
		})
		put := func(version, blob string) []string {
			return putObject(t, db, store.Object{Bucket: "b", Key: key, Version: version, Blob: blob})
		}
		if freed := put(store.NullVersion, "B1"); !slices.Equal(freed, []string{"B0"}) {
			t.Errorf("overwriting freed %q", freed)
		}
		want("null")
		put("v1", "B2")
		putObject(t, db, store.Object{Bucket: "b", Key: key, Version: "v2", DeleteMarker: true})
		want("v2", "v1", "null")
		if freed := put(store.NullVersion, "B3"); !slices.Equal(freed, []string{"B1"}) {
			t.Errorf("a new null version freed %q", freed)
		}
		want("null", "v2", "v1")
		// Without the latest the one before it is the latest.
		if gone, freed, err := deleteObject(t, db, "b", key, "null"); err != nil || gone.Blob != "B3" || !slices.Equal(freed, []string{"B3"}) {
			t.Errorf("deleted %+v, %q, %v", gone, freed, err)
		}
		want("v2", "v1")
		if _, _, err := deleteObject(t, db, "b", key, "null"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("deleted again: %v", err)
		}
		if gone, _, err := deleteObject(t, db, "b", key, "v2"); err != nil || !gone.DeleteMarker {
			t.Errorf("deleted %+v, %v", gone, err)
		}
		want("v1")
		s3View(t, db, func(tx *store.Tx) error {
			for blob, named := range map[string]bool{"B2": true, "B0": false, "": false} {
				if got, err := tx.BlobNamed(t.Context(), blob); got != named || err != nil {
					t.Errorf("blob %q named: %v, %v", blob, got, err)
				}
			}
			p, err := tx.ListObjects(t.Context(), store.Listing{Bucket: "b", Max: 100})
			if len(p.Rows) != 1 || p.Rows[0].Version != "v1" {
				t.Errorf("ListObjects: %+v", p.Rows)
			}
			return err
		})
		deleteObject(t, db, "b", key, "v1")
		want()
	})
}

func TestConcurrentPutsOfOneKey(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		const writers = 12
		freed := make(chan []string, writers)
		failed := make(chan error, writers)
		for i := range writers {
			go func() {
				var f []string
				err := db.Update(t.Context(), func(tx *store.Tx) (err error) {
					if err := tx.LockObject(t.Context(), "b", "k"); err != nil {
						return err
					}
					f, err = tx.PutObject(t.Context(), &store.Object{Bucket: "b", Key: "k", Version: store.NullVersion, Blob: fmt.Sprint(i)})
					return err
				})
				freed <- f
				failed <- err
			}()
		}
		n := 0
		for range writers {
			if err := <-failed; err != nil {
				t.Error(err)
			}
			n += len(<-freed)
		}
		// Every blob but the last one's was freed exactly once: none is lost, none leaks.
		if n != writers-1 {
			t.Errorf("%d blobs freed, want %d", n, writers-1)
		}
	})
}

func TestUploads(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		s3Update(t, db, func(tx *store.Tx) error {
			for _, id := range []string{"U2", "U1"} {
				if err := tx.CreateUpload(ctx, store.Upload{ID: id, Bucket: "b", Key: "k", ACL: "private", Tags: []store.Tag{{Key: "a", Value: "b"}}}); err != nil {
					return err
				}
			}
			for n, blob := range map[int]string{1: "P1", 2: "P2", 10: "P10"} {
				if _, err := tx.PutPart(ctx, "U1", store.Part{Number: n, Blob: blob, Size: int64(n), ETag: blob}); err != nil {
					return err
				}
			}
			freed, err := tx.PutPart(ctx, "U1", store.Part{Number: 2, Blob: "P2b"})
			if !slices.Equal(freed, []string{"P2"}) {
				t.Errorf("a part again freed %q", freed)
			}
			return err
		})
		s3View(t, db, func(tx *store.Tx) error {
			if u, err := tx.Upload(ctx, "b", "k", "U1"); err != nil || u.Tags[0].Key != "a" || u.Initiated.IsZero() {
				t.Errorf("Upload: %+v, %v", u, err)
			}
			if _, err := tx.Upload(ctx, "b", "other", "U1"); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("an upload of another key: %v", err)
			}
			parts, err := tx.Parts(ctx, "U1", 1, 10)
			if len(parts) != 2 || parts[0].Blob != "P2b" || parts[1].Number != 10 {
				t.Errorf("Parts: %+v", parts)
			}
			first, err2 := tx.ListUploads(ctx, store.Listing{Bucket: "b", Max: 1})
			if len(first.Rows) != 1 || first.Rows[0].ID != "U1" || !first.More {
				t.Errorf("ListUploads: %+v", first)
			}
			rest, err3 := tx.ListUploads(ctx, store.Listing{Bucket: "b", Max: 1, From: store.AfterUpload("k", "U1")})
			if len(rest.Rows) != 1 || rest.Rows[0].ID != "U2" || rest.More {
				t.Errorf("ListUploads, second page: %+v", rest)
			}
			return errors.Join(err, err2, err3)
		})
		s3Update(t, db, func(tx *store.Tx) error {
			_, err := tx.PutObject(ctx, &store.Object{Bucket: "b", Key: "k", Version: "v", Upload: "U1"})
			return errors.Join(err, tx.EndUpload(ctx, "U1"))
		})
		s3View(t, db, func(tx *store.Tx) error {
			o, err := tx.ObjectOfUpload(ctx, "U1")
			if o.Version != "v" {
				t.Errorf("ObjectOfUpload: %+v", o)
			}
			return err
		})
		if _, freed, err := deleteObject(t, db, "b", "k", "v"); err != nil || len(freed) != 3 {
			t.Errorf("deleting the object freed %q, %v", freed, err)
		}
	})
}

// TestListingsOnBothDatabases pages through listings, and compares the two databases with
// what a simple filter says.
func TestListingsOnBothDatabases(t *testing.T) {
	t.Parallel()
	keys := []string{"a", "a/", "a/1", "a/2", "a/2/x", "a0", "b//c", "b/c", "z", "é", "\U0010ffff", "Z", "a/\U0010ffff/q"}
	slices.Sort(keys)
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for _, k := range keys {
			putObject(t, db, store.Object{Bucket: "b", Key: k, Version: "1"})
			putObject(t, db, store.Object{Bucket: "b", Key: k, Version: "2"})
			putObject(t, db, store.Object{Bucket: "a", Key: k, Version: "other bucket"})
			putObject(t, db, store.Object{Bucket: "b", Key: k + "gone", Version: "1"})
			putObject(t, db, store.Object{Bucket: "b", Key: k + "gone", Version: "2", DeleteMarker: true})
		}
		for _, prefix := range []string{"", "a", "a/", "b/", "é", "nothing", "\U0010ffff"} {
			for _, delimiter := range []string{"", "/", "/c"} {
				for _, max := range []int{1, 2, 3, 100} {
					l := store.Listing{Bucket: "b", Prefix: prefix, Delimiter: delimiter, Max: max}
					var got, gotVersions []string
					s3View(t, db, func(tx *store.Tx) error {
						for l := l; ; {
							p, err := tx.ListObjects(t.Context(), l)
							if err != nil {
								return err
							}
							if n := len(p.Rows) + len(p.Prefixes); n > max {
								t.Errorf("%+v: %d entries", l, n)
							}
							for _, o := range p.Rows {
								got = append(got, o.Key)
							}
							got = append(got, p.Prefixes...)
							if l.From = p.Next; !p.More {
								return nil
							}
						}
					})
					s3View(t, db, func(tx *store.Tx) error {
						for l := l; ; {
							p, err := tx.ListVersions(t.Context(), l)
							if err != nil {
								return err
							}
							for _, o := range p.Rows {
								if !strings.HasSuffix(o.Key, "gone") {
									gotVersions = append(gotVersions, o.Key+" "+o.Version)
								}
							}
							if l.From = p.Next; !p.More {
								return nil
							}
						}
					})
					want, wantVersions := list(keys, prefix, delimiter), []string(nil)
					for _, k := range keys {
						rest, ok := strings.CutPrefix(k, prefix)
						if ok && (delimiter == "" || !strings.Contains(rest, delimiter)) {
							wantVersions = append(wantVersions, k+" 2", k+" 1")
						}
					}
					slices.Sort(got)
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("%+v (-want +got):\n%s", l, diff)
					}
					if diff := cmp.Diff(wantVersions, gotVersions); diff != "" {
						t.Errorf("versions, %+v (-want +got):\n%s", l, diff)
					}
				}
			}
		}
	})
}

// list is the listing as its definition says it: keys and common prefixes, sorted.
func list(keys []string, prefix, delimiter string) (entries []string) {
	for _, k := range keys {
		rest, ok := strings.CutPrefix(k, prefix)
		if !ok {
			continue
		}
		if head, _, cut := strings.Cut(rest, delimiter); cut && delimiter != "" {
			k = prefix + head + delimiter
		}
		if !slices.Contains(entries, k) {
			entries = append(entries, k)
		}
	}
	slices.Sort(entries)
	return entries
}

func TestPagesShowEverythingOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.SampledFrom([]rune("ab/é")), 0, 6, -1)
		keys := rapid.SliceOfNDistinct(text.Filter(func(s string) bool { return s != "" }), 0, 60, rapid.ID[string]).Draw(t, "keys")
		slices.Sort(keys)
		l := store.Listing{
			Prefix:    rapid.StringOfN(rapid.SampledFrom([]rune("ab/é")), 0, 2, -1).Draw(t, "prefix"),
			Delimiter: rapid.SampledFrom([]string{"", "/", "b", "/a"}).Draw(t, "delimiter"),
			Max:       rapid.IntRange(1, 20).Draw(t, "max"),
		}
		var got []string
		for page := l; ; {
			p, _ := store.PageOf(keys, page)
			entries := append(slices.Clone(p.Rows), p.Prefixes...)
			if len(entries) > l.Max || p.More && len(entries) != l.Max {
				t.Fatalf("a page of %d entries, more: %v", len(entries), p.More)
			}
			got = append(got, entries...)
			if page.From = p.Next; !p.More {
				break
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(list(keys, l.Prefix, l.Delimiter), got); diff != "" {
			t.Fatalf("%+v (-want +got):\n%s", l, diff)
		}
	})
}

func TestPageCostsWhatItShows(t *testing.T) {
	t.Parallel()
	var keys []string
	for folder := range 50 {
		for i := range 2000 {
			keys = append(keys, fmt.Sprintf("%02d/%04d", folder, i))
		}
	}
	p, read := store.PageOf(keys, store.Listing{Delimiter: "/", Max: 10})
	if len(p.Prefixes) != 10 || !p.More || read > 11*16 {
		t.Errorf("10 common prefixes over 2000 keys each: %d shown, %d rows read", len(p.Prefixes), read)
	}
	if p, read = store.PageOf(keys, store.Listing{Prefix: "07/", Delimiter: "/", Max: 1000}); len(p.Rows) != 1000 || read > 2500 {
		t.Errorf("1000 keys: %d shown, %d rows read", len(p.Rows), read)
	}
}
