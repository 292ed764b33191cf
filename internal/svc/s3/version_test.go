package s3_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"

	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// versions lists a key's versions, the latest first: the id, or "marker" and the id.
func (s *server) versions(c *s3.Client, bucket, key string) (ids []string) {
	s.t.Helper()
	out := ok(c.ListObjectVersions(s.t.Context(), &s3.ListObjectVersionsInput{Bucket: &bucket, Prefix: &key}))(s.t)
	latest := 0
	for _, v := range out.Versions {
		ids = append(ids, *v.VersionId)
		if *v.IsLatest {
			latest++
		}
	}
	for _, v := range out.DeleteMarkers {
		ids = append(ids, "marker "+*v.VersionId)
		if *v.IsLatest {
			latest++
		}
	}
	if len(ids) > 0 && latest != 1 {
		s.t.Errorf("%s: %d versions are the latest", key, latest)
	}
	return ids
}

// N-3, N-4, P-1: revision ids of S3 sources are version ids.
func TestVersioning(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := startOn(t, db)
		c, ctx, b, k := s.client(admin), t.Context(), aws.String("vers"), aws.String("k")
		s.bucket(c, "vers", "")
		if out := ok(c.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: b}))(t); out.Status != "" {
			t.Errorf("versioning of a new bucket: %q", out.Status)
		}
		if out := s.put(c, "vers", "k", "zero"); out.VersionId != nil {
			t.Errorf("a version id without versioning: %q", *out.VersionId)
		}
		s.version(c, "vers", "Enabled")
		v1, v2 := s.put(c, "vers", "k", "one"), s.put(c, "vers", "k", "two")
		if *v1.VersionId == *v2.VersionId || *v1.VersionId == "null" {
			t.Fatalf("version ids %q, %q", *v1.VersionId, *v2.VersionId)
		}
		for version, want := range map[string]string{"": "two", *v1.VersionId: "one", *v2.VersionId: "two", "null": "zero"} {
			if got := s.read(c, "vers", "k", version); got != want {
				t.Errorf("version %q: %q, want %q", version, got, want)
			}
		}
		head := ok(c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: b, Key: k}))(t)
		if aws.ToString(head.VersionId) != *v2.VersionId {
			t.Errorf("HEAD: version %q", aws.ToString(head.VersionId))
		}
		// A delete marker hides, and deleting it brings back.
		gone := ok(c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: b, Key: k}))(t)
		if !*gone.DeleteMarker || *gone.VersionId == "" {
			t.Errorf("DeleteObject: %+v", gone)
		}
		w := s.raw("GET", "/vers/k", nil)
		if w.Code != 404 || code(w) != "NoSuchKey" || w.Header().Get("x-amz-delete-marker") != "true" || w.Header().Get("x-amz-version-id") != *gone.VersionId {
			t.Errorf("behind a delete marker: %d %s %v", w.Code, code(w), w.Header())
		}
		w = s.raw("GET", "/vers/k?versionId="+*gone.VersionId, nil)
		if w.Code != 405 || code(w) != "MethodNotAllowed" || w.Header().Get("x-amz-delete-marker") != "true" {
			t.Errorf("a delete marker itself: %d %s %v", w.Code, code(w), w.Header())
		}
		_, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: k, VersionId: aws.String("unknown")})
		refused(t, err, 404, "NoSuchVersion")
		must(t)(c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: b, Key: k, VersionId: gone.VersionId}))
		if got := s.read(c, "vers", "k", ""); got != "two" {
			t.Errorf("after the marker: %q", got)
		}
		// Suspended: null takes the place of null, the others stay.
		s.version(c, "vers", "Suspended")
		if out := s.put(c, "vers", "k", "three"); aws.ToString(out.VersionId) != "null" {
			t.Errorf("suspended: version %q", aws.ToString(out.VersionId))
		}
		if got := s.versions(c, "vers", "k"); !slices.Equal(got, []string{"null", *v2.VersionId, *v1.VersionId}) {
			t.Errorf("versions %q", got)
		}
		marker := ok(c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: b, Key: k}))(t)
		if aws.ToString(marker.VersionId) != "null" || !*marker.DeleteMarker || s.blobCount() != 2 {
			t.Errorf("suspended delete: %+v, %d blobs", marker, s.blobCount())
		}
		if got := s.versions(c, "vers", "k"); !slices.Equal(got, []string{*v2.VersionId, *v1.VersionId, "marker null"}) {
			t.Errorf("versions %q", got)
		}
		for _, v := range []string{"null", *v1.VersionId, *v2.VersionId, *v2.VersionId} {
			must(t)(c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: b, Key: k, VersionId: &v}))
		}
		if got := s.versions(c, "vers", "k"); len(got) > 0 || s.blobCount() > 0 {
			t.Errorf("left: %q, %d blobs", got, s.blobCount())
		}
		must(t)(c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: b}))
	})
}

// N-3.
func TestDeleteObjects(t *testing.T) {
	t.Parallel()
	s := start(t)
	c, ctx, b := s.client(admin), t.Context(), aws.String("many")
	s.bucket(c, "many", "Enabled")
	v := s.put(c, "many", "a", "1")
	s.put(c, "many", "b<&>", "2")
	out := ok(c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: b, Delete: &types.Delete{Objects: []types.ObjectIdentifier{
		{Key: aws.String("a"), VersionId: v.VersionId}, {Key: aws.String("b<&>")}, {Key: aws.String("never there")},
	}}}))(t)
	if len(out.Deleted) != 3 || len(out.Errors) > 0 || *out.Deleted[0].VersionId != *v.VersionId || out.Deleted[0].DeleteMarker != nil ||
		!*out.Deleted[1].DeleteMarker || aws.ToString(out.Deleted[1].DeleteMarkerVersionId) == "" || out.Deleted[1].VersionId != nil {
		t.Errorf("DeleteObjects: %+v", out)
	}
	quiet := ok(c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: b, Delete: &types.Delete{Quiet: aws.Bool(true), Objects: []types.ObjectIdentifier{{Key: aws.String("a")}}}}))(t)
	if len(quiet.Deleted) > 0 {
		t.Errorf("quiet: %+v", quiet)
	}
	for n, status := range map[int]int{0: 400, 1000: 200, 1001: 400} {
		text := "<Delete>" + strings.Repeat("<Object><Key>"+strings.Repeat("k", 1000)+"</Key></Object>", n) + "</Delete>"
		if w := s.raw("POST", "/many?delete", []byte(text)); w.Code != status {
			t.Errorf("%d keys: %d %s", n, w.Code, code(w))
		}
	}
	if w := s.raw("POST", "/many?delete", []byte("<Delete><Object><Key>k</Key></Object></Delete>"), "Content-Md5", "AAAAAAAAAAAAAAAAAAAAAA=="); code(w) != "BadDigest" {
		t.Errorf("a wrong digest: %d %s", w.Code, code(w))
	}
}

// N-3: pages of both listings, with encoding-type=url as the CLI asks for.
func TestListings(t *testing.T) {
	t.Parallel()
	s := start(t)
	c, ctx, b := s.client(admin), t.Context(), aws.String("lists")
	s.bucket(c, "lists", "Enabled")
	keys := []string{"a/1", "a/2", "b", "c d+é", "d//e", "f/g/h", "z"}
	for _, k := range keys {
		s.put(c, "lists", k, k)
	}
	var got []string
	pages := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: b, MaxKeys: aws.Int32(2), FetchOwner: aws.Bool(true)})
	for pages.HasMorePages() {
		p := ok(pages.NextPage(ctx))(t)
		for _, o := range p.Contents {
			got = append(got, *o.Key)
			if *o.Size != int64(len(*o.Key)) || *o.ETag == "" || o.Owner == nil || o.StorageClass != "STANDARD" || o.LastModified.IsZero() {
				t.Errorf("%+v", o)
			}
		}
		if int(*p.KeyCount) != len(p.Contents) {
			t.Errorf("KeyCount %d", *p.KeyCount)
		}
	}
	if diff := cmp.Diff(keys, got); diff != "" {
		t.Errorf("V2 (-want +got):\n%s", diff)
	}
	// Folders, page by page, in both versions of the operation.
	want := []string{"a/", "b", "c d+é", "d/", "f/", "z"}
	for max := range int32(4) {
		got = nil
		pages := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: b, MaxKeys: aws.Int32(max + 1), Delimiter: aws.String("/")})
		for pages.HasMorePages() {
			p := ok(pages.NextPage(ctx))(t)
			got = append(got, entries(p.Contents, p.CommonPrefixes)...)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("V2, folders, %d (-want +got):\n%s", max+1, diff)
		}
		got = nil
		for marker := ""; ; {
			p := ok(c.ListObjects(ctx, &s3.ListObjectsInput{Bucket: b, MaxKeys: aws.Int32(max + 1), Delimiter: aws.String("/"), Marker: &marker}))(t)
			got = append(got, entries(p.Contents, p.CommonPrefixes)...)
			if marker = aws.ToString(p.NextMarker); !*p.IsTruncated {
				break
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("V1, folders, %d (-want +got):\n%s", max+1, diff)
		}
	}
	after := ok(c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: b, StartAfter: aws.String("a/1"), Delimiter: aws.String("/")}))(t)
	if got := entries(after.Contents, after.CommonPrefixes); got[0] != "a/" { // a/2 is still to come
		t.Errorf("after a/1: %q", got)
	}
	w := s.raw("GET", "/lists?list-type=2&encoding-type=url&prefix=c+d", nil)
	if !strings.Contains(w.Body.String(), "<Key>c%20d%2B%C3%A9</Key>") || !strings.Contains(w.Body.String(), "<Prefix>c%20d</Prefix>") {
		t.Errorf("encoded: %s", w.Body)
	}
	if none := ok(c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: b, MaxKeys: aws.Int32(0)}))(t); len(none.Contents) > 0 || *none.IsTruncated {
		t.Errorf("max-keys=0: %+v", none)
	}
	for _, query := range []string{"list-type=2&max-keys=-1", "max-keys=x", "list-type=2&continuation-token=%25", "encoding-type=base64", "versions&version-id-marker=x", "versions&key-marker=k&version-id-marker=%00"} {
		if w := s.raw("GET", "/lists?"+query, nil); w.Code != 400 || code(w) != "InvalidArgument" {
			t.Errorf("?%s: %d %s", query, w.Code, code(w))
		}
	}
}

func entries(objects []types.Object, prefixes []types.CommonPrefix) (list []string) {
	for _, o := range objects {
		list = append(list, *o.Key)
	}
	for _, p := range prefixes {
		list = append(list, *p.Prefix)
	}
	slices.Sort(list)
	return list
}

// A tool that empties a bucket deletes each page before it asks for the next one.
func TestEmptyBucketWhileListing(t *testing.T) {
	t.Parallel()
	s := start(t)
	c, ctx, b := s.client(admin), t.Context(), aws.String("empty-me")
	s.bucket(c, "empty-me", "Enabled")
	for i := range 3 {
		for v := range 3 {
			s.put(c, "empty-me", fmt.Sprint("k", i), fmt.Sprint(v))
		}
		must(t)(c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: b, Key: aws.String(fmt.Sprint("k", i))}))
	}
	pages := s3.NewListObjectVersionsPaginator(c, &s3.ListObjectVersionsInput{Bucket: b, MaxKeys: aws.Int32(2)})
	seen := 0
	for pages.HasMorePages() {
		p := ok(pages.NextPage(ctx))(t)
		for _, v := range p.Versions {
			must(t)(c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: b, Key: v.Key, VersionId: v.VersionId}))
			seen++
		}
		for _, v := range p.DeleteMarkers {
			must(t)(c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: b, Key: v.Key, VersionId: v.VersionId}))
			seen++
		}
	}
	if seen != 12 {
		t.Errorf("%d versions seen, want 12", seen)
	}
	must(t)(c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: b}))
}

// N-3: every element of a listing is in the namespace of S3; parsers that look at it find nothing else.
func TestNamespace(t *testing.T) {
	t.Parallel()
	s := start(t)
	c, b, k := s.client(admin), aws.String("named"), aws.String("k")
	s.bucket(c, *b, "")
	s.version(c, *b, "Enabled")
	s.put(c, *b, *k, "one")
	must(t)(c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: b, Key: k}))
	s.put(c, *b, "folder/k", "two")
	must(t)(c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: b, Key: k}))
	for _, path := range []string{"/", "/named?versions&delimiter=/", "/named?versions", "/named?delimiter=/", "/named?list-type=2&fetch-owner=true", "/named?uploads", "/named?acl"} {
		d, elements := xml.NewDecoder(s.raw("GET", path, nil).Body), 0
		for {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			if e, ok := token.(xml.StartElement); ok {
				if elements++; e.Name.Space != "http://s3.amazonaws.com/doc/2006-03-01/" {
					t.Errorf("%s: %s is in the namespace %q", path, e.Name.Local, e.Name.Space)
				}
			}
		}
		if elements < 4 {
			t.Errorf("%s: %d elements", path, elements)
		}
	}
}
