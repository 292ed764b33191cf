package s3_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// big is as small as a part that is not the last can be.
var big = bytes.Repeat([]byte("0123456789abcdef"), 5<<20/16)

// upload sends the parts, numbered by the map's keys, and gives what completes them.
func (s *server) upload(c *s3.Client, bucket, key string, algorithm types.ChecksumAlgorithm, numbers []int32, parts ...[]byte) *s3.CompleteMultipartUploadInput {
	s.t.Helper()
	ctx := s.t.Context()
	up := ok(c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key, ChecksumAlgorithm: algorithm,
		Metadata: map[string]string{"m": "v"}, Tagging: aws.String("t=1"), ContentType: aws.String("text/plain")}))(s.t)
	in := &s3.CompleteMultipartUploadInput{Bucket: &bucket, Key: &key, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{}}
	for i, part := range parts {
		out := ok(c.UploadPart(ctx, &s3.UploadPartInput{Bucket: &bucket, Key: &key, UploadId: up.UploadId, PartNumber: &numbers[i],
			Body: bytes.NewReader(part), ChecksumAlgorithm: algorithm}))(s.t)
		in.MultipartUpload.Parts = append(in.MultipartUpload.Parts, types.CompletedPart{PartNumber: &numbers[i], ETag: out.ETag,
			ChecksumCRC32: out.ChecksumCRC32, ChecksumCRC32C: out.ChecksumCRC32C, ChecksumCRC64NVME: out.ChecksumCRC64NVME,
			ChecksumSHA1: out.ChecksumSHA1, ChecksumSHA256: out.ChecksumSHA256})
	}
	return in
}

// N-3, N-4: the ETag is the MD5 of the MD5s with the number of parts, and the composite
// checksum likewise.
func TestMultipart(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := startOn(t, db)
		c, ctx, b, k := s.client(admin), t.Context(), aws.String("parts"), aws.String("dir/k")
		s.bucket(c, "parts", "Enabled")
		in := s.upload(c, *b, *k, "CRC32", []int32{1, 3, 7}, big, big, []byte("tail"))
		// A part that is not in the list is left out; one sent again replaces the first.
		must(t)(c.UploadPart(ctx, &s3.UploadPartInput{Bucket: b, Key: k, UploadId: in.UploadId, PartNumber: aws.Int32(5), Body: strings.NewReader("unused")}))
		must(t)(c.UploadPart(ctx, &s3.UploadPartInput{Bucket: b, Key: k, UploadId: in.UploadId, PartNumber: aws.Int32(5), Body: strings.NewReader("unused too")}))
		list := ok(c.ListParts(ctx, &s3.ListPartsInput{Bucket: b, Key: k, UploadId: in.UploadId, MaxParts: aws.Int32(3)}))(t)
		if len(list.Parts) != 3 || !*list.IsTruncated || *list.NextPartNumberMarker != "5" || *list.Parts[0].Size != 5<<20 || list.Parts[2].ChecksumCRC32 == nil || list.ChecksumAlgorithm != "CRC32" {
			t.Errorf("ListParts: %+v", list)
		}
		ups := ok(c.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: b, Delimiter: aws.String("/")}))(t)
		if len(ups.CommonPrefixes) != 1 || len(ups.Uploads) > 0 {
			t.Errorf("ListMultipartUploads: %+v", ups)
		}
		if n := s.blobCount(); n != 4 {
			t.Errorf("%d blobs", n)
		}
		done := ok(c.CompleteMultipartUpload(ctx, in))(t)
		one, tail := md5.Sum(big), md5.Sum([]byte("tail"))
		sum := md5.Sum(append(append(one[:], one[:]...), tail[:]...))
		etag := `"` + hex.EncodeToString(sum[:]) + `-3"`
		if *done.ETag != etag || aws.ToString(done.VersionId) == "" || !strings.HasSuffix(aws.ToString(done.ChecksumCRC32), "-3") || done.ChecksumType != "COMPOSITE" {
			t.Errorf("CompleteMultipartUpload: %+v, want ETag %s", done, etag)
		}
		if n := s.blobCount(); n != 3 {
			t.Errorf("%d blobs after completion, want 3", n)
		}
		// The answer may have been lost: again gives the same, and no second version.
		again := ok(c.CompleteMultipartUpload(ctx, in))(t)
		if *again.VersionId != *done.VersionId || len(s.versions(c, *b, *k)) != 1 || len(s.notified()) != 1 {
			t.Errorf("completed again: %+v", again)
		}
		if got := s.read(c, *b, *k, ""); got != string(big)+string(big)+"tail" {
			t.Errorf("%d bytes came back", len(got))
		}
		for text, want := range map[string]string{
			"bytes=5242878-5242882":   string(big[len(big)-2:]) + string(big[:3]),
			"bytes=10485758-10485761": string(big[len(big)-2:]) + "ta", "bytes=-3": "ail", "bytes=5242880-5242880": "0",
			"bytes=0-10485760": string(big) + string(big) + "t",
		} {
			out := ok(c.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: k, Range: &text}))(t)
			if got := body(t, out.Body); got != want {
				t.Errorf("%s: %d bytes, or others", text, len(got))
			}
		}
		part := ok(c.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: k, PartNumber: aws.Int32(7)}))(t)
		if got := body(t, part.Body); got != "tail" || *part.PartsCount != 3 || *part.ContentRange != "bytes 10485760-10485763/10485764" {
			t.Errorf("part 7: %q %+v", got, part)
		}
		head := ok(c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: b, Key: k, ChecksumMode: types.ChecksumModeEnabled}))(t)
		if *head.ETag != etag || head.Metadata["m"] != "v" || *head.ContentType != "text/plain" || *head.TagCount != 1 || *head.ContentLength != 10485764 || *head.ChecksumCRC32 != *done.ChecksumCRC32 {
			t.Errorf("HeadObject: %+v", head)
		}
		attr := ok(c.GetObjectAttributes(ctx, &s3.GetObjectAttributesInput{Bucket: b, Key: k, ObjectAttributes: []types.ObjectAttributes{"ObjectParts", "Checksum"}, MaxParts: aws.Int32(2)}))(t)
		if *attr.ObjectParts.TotalPartsCount != 3 || len(attr.ObjectParts.Parts) != 2 || !*attr.ObjectParts.IsTruncated || attr.Checksum.ChecksumType != "COMPOSITE" {
			t.Errorf("attributes: %+v", attr.ObjectParts)
		}
		// A copy is one piece.
		cp := ok(c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: b, Key: aws.String("copy"), CopySource: aws.String("parts/dir/k")}))(t)
		if strings.Contains(*cp.CopyObjectResult.ETag, "-") || s.read(c, *b, "copy", "") != string(big)+string(big)+"tail" {
			t.Errorf("copy: %+v", cp.CopyObjectResult)
		}
		must(t)(c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: b, Key: k, VersionId: done.VersionId}))
		if n := s.blobCount(); n != 1 {
			t.Errorf("%d blobs after deletion, want 1", n)
		}
	})
}

// N-4: the checksum of a whole follows from those of its parts.
func TestFullObjectChecksums(t *testing.T) {
	t.Parallel()
	s := start(t)
	c, ctx, b := s.client(admin), t.Context(), aws.String("full")
	s.bucket(c, "full", "")
	parts := [][]byte{big, append([]byte("x"), big...), []byte("end"), nil}
	whole := bytes.Join(parts, nil)
	for _, a := range []types.ChecksumAlgorithm{"CRC32", "CRC32C", "CRC64NVME"} {
		key := aws.String(string(a))
		up := ok(c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: b, Key: key, ChecksumAlgorithm: a, ChecksumType: types.ChecksumTypeFullObject}))(t)
		in := &s3.CompleteMultipartUploadInput{Bucket: b, Key: key, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{}, ChecksumType: types.ChecksumTypeFullObject}
		for i, part := range parts[:3] {
			out := ok(c.UploadPart(ctx, &s3.UploadPartInput{Bucket: b, Key: key, UploadId: up.UploadId, PartNumber: aws.Int32(int32(i + 1)), Body: bytes.NewReader(part), ChecksumAlgorithm: a}))(t)
			in.MultipartUpload.Parts = append(in.MultipartUpload.Parts, types.CompletedPart{PartNumber: aws.Int32(int32(i + 1)), ETag: out.ETag})
		}
		// The same bytes in one piece have the same checksum.
		must(t)(c.PutObject(ctx, &s3.PutObjectInput{Bucket: b, Key: aws.String("whole"), Body: bytes.NewReader(whole), ChecksumAlgorithm: a}))
		head := ok(c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: b, Key: aws.String("whole"), ChecksumMode: types.ChecksumModeEnabled}))(t)
		// A checksum beside the list of parts is that of the whole.
		wrong := *in
		wrong.ChecksumSHA1 = aws.String("2jmj7l5rSw0yVb/vlWAYkK/YBwk=")
		_, err := c.CompleteMultipartUpload(ctx, &wrong)
		refused(t, err, 400, "InvalidRequest")
		if wrong = *in; a == "CRC32" {
			wrong.ChecksumCRC32 = aws.String("AAAAAA==")
			_, err = c.CompleteMultipartUpload(ctx, &wrong)
			refused(t, err, 400, "BadDigest")
		}
		wrong.MultipartUpload = &types.CompletedMultipartUpload{Parts: append([]types.CompletedPart{}, in.MultipartUpload.Parts...)}
		wrong.ChecksumCRC32, wrong.MultipartUpload.Parts[2].ChecksumSHA1 = nil, aws.String("2jmj7l5rSw0yVb/vlWAYkK/YBwk=")
		_, err = c.CompleteMultipartUpload(ctx, &wrong)
		refused(t, err, 400, "InvalidPart")
		in.ChecksumCRC32, in.ChecksumCRC32C, in.ChecksumCRC64NVME = head.ChecksumCRC32, head.ChecksumCRC32C, head.ChecksumCRC64NVME
		done := ok(c.CompleteMultipartUpload(ctx, in))(t)
		want := aws.ToString(head.ChecksumCRC32) + aws.ToString(head.ChecksumCRC32C) + aws.ToString(head.ChecksumCRC64NVME)
		got := aws.ToString(done.ChecksumCRC32) + aws.ToString(done.ChecksumCRC32C) + aws.ToString(done.ChecksumCRC64NVME)
		if got != want || got == "" || done.ChecksumType != "FULL_OBJECT" {
			t.Errorf("%s: %q of %s, want %q", a, got, done.ChecksumType, want)
		}
		// The SDK verifies it while it reads.
		out := ok(c.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: key, ChecksumMode: types.ChecksumModeEnabled}))(t)
		h := crc32.NewIEEE()
		if _, err := io.Copy(h, out.Body); err != nil || h.Sum32() != crc32.ChecksumIEEE(whole) {
			t.Errorf("%s: reading: %v", a, err)
		}
		out.Body.Close()
	}
	for _, in := range []*s3.CreateMultipartUploadInput{
		{ChecksumAlgorithm: "SHA256", ChecksumType: "FULL_OBJECT"}, {ChecksumAlgorithm: "CRC64NVME", ChecksumType: "COMPOSITE"}, {ChecksumType: "COMPOSITE"},
	} {
		in.Bucket, in.Key = b, aws.String("k")
		_, err := s.client(admin, func(o *s3.Options) { o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired }).CreateMultipartUpload(ctx, in)
		refused(t, err, 400, "InvalidRequest")
	}
}

func TestMultipartRefusals(t *testing.T) {
	t.Parallel()
	s := start(t)
	c, ctx, b, k := s.client(admin), t.Context(), aws.String("parts"), aws.String("k")
	s.bucket(c, "parts", "")
	in := s.upload(c, "parts", "k", "", []int32{1, 2}, []byte("small"), []byte("last"))
	complete := func(numbers []int, etags ...string) error {
		var text strings.Builder
		for i, n := range numbers {
			fmt.Fprintf(&text, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", n, etags[i])
		}
		w := s.raw("POST", "/parts/k?uploadId="+*in.UploadId, []byte("<CompleteMultipartUpload>"+text.String()+"</CompleteMultipartUpload>"))
		return fmt.Errorf("%d %s", w.Code, code(w))
	}
	one, two := *in.MultipartUpload.Parts[0].ETag, *in.MultipartUpload.Parts[1].ETag
	for _, test := range []struct {
		numbers []int
		etags   []string
		want    string
	}{
		{[]int{1, 2}, []string{one, two}, "400 EntityTooSmall"},
		{[]int{2, 1}, []string{two, one}, "400 InvalidPartOrder"},
		{[]int{1, 1}, []string{one, one}, "400 InvalidPartOrder"},
		{[]int{1}, []string{two}, "400 InvalidPart"},
		{[]int{1, 9}, []string{one, two}, "400 EntityTooSmall"},
		{[]int{2, 9}, []string{two, two}, "400 EntityTooSmall"},
		{[]int{9}, []string{two}, "400 InvalidPart"},
		{[]int{0}, []string{two}, "400 InvalidArgument"},
		{[]int{10001}, []string{two}, "400 InvalidArgument"},
		{nil, nil, "400 MalformedXML"},
	} {
		if got := complete(test.numbers, test.etags...).Error(); got != test.want {
			t.Errorf("parts %v: %s, want %s", test.numbers, got, test.want)
		}
	}
	for _, n := range []string{"0", "10001", "x", "-1"} {
		if w := s.raw("PUT", "/parts/k?uploadId="+*in.UploadId+"&partNumber="+n, []byte("x")); w.Code != 400 || code(w) != "InvalidArgument" {
			t.Errorf("part %s: %d %s", n, w.Code, code(w))
		}
	}
	for _, id := range []string{"unknown", "%00", "a/b"} {
		if w := s.raw("PUT", "/parts/k?partNumber=1&uploadId="+id, []byte("x")); w.Code != 404 || code(w) != "NoSuchUpload" {
			t.Errorf("upload %s: %d %s", id, w.Code, code(w))
		}
	}
	// The upload belongs to its key.
	if w := s.raw("DELETE", "/parts/other?uploadId="+*in.UploadId, nil); w.Code != 404 {
		t.Errorf("another key: %d %s", w.Code, code(w))
	}
	must(t)(c.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: b, Key: k, UploadId: in.UploadId}))
	if n := s.blobCount(); n != 0 {
		t.Errorf("%d blobs after the abort", n)
	}
	_, err := c.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: b, Key: k, UploadId: in.UploadId})
	refused(t, err, 404, "NoSuchUpload")
	_, err = c.CompleteMultipartUpload(ctx, in)
	refused(t, err, 404, "NoSuchUpload")
}

// N-3.
func TestUploadPartCopy(t *testing.T) {
	t.Parallel()
	s := start(t)
	c, ctx, b, k := s.client(admin), t.Context(), aws.String("pcopy"), aws.String("k")
	s.bucket(c, "pcopy", "")
	s.put(c, "pcopy", "src", string(big)+"0123456789")
	up := ok(c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: b, Key: k, ChecksumAlgorithm: "SHA256"}))(t)
	in := &s3.CompleteMultipartUploadInput{Bucket: b, Key: k, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{}}
	for i, r := range []*string{nil, aws.String("bytes=5242882-5242884")} {
		out := ok(c.UploadPartCopy(ctx, &s3.UploadPartCopyInput{Bucket: b, Key: k, UploadId: up.UploadId, PartNumber: aws.Int32(int32(i + 1)), CopySource: aws.String("pcopy/src"), CopySourceRange: r}))(t)
		in.MultipartUpload.Parts = append(in.MultipartUpload.Parts, types.CompletedPart{PartNumber: aws.Int32(int32(i + 1)), ETag: out.CopyPartResult.ETag, ChecksumSHA256: out.CopyPartResult.ChecksumSHA256})
	}
	must(t)(c.CompleteMultipartUpload(ctx, in))
	if got := s.read(c, "pcopy", "k", ""); got != string(big)+"0123456789234" {
		t.Errorf("%d bytes", len(got))
	}
	_, err := c.UploadPartCopy(ctx, &s3.UploadPartCopyInput{Bucket: b, Key: k, UploadId: aws.String("none"), PartNumber: aws.Int32(1), CopySource: aws.String("pcopy/src")})
	refused(t, err, 404, "NoSuchUpload")
	up = ok(c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: b, Key: k}))(t)
	for _, r := range []string{"bytes=0-99999999", "bytes=5-", "5-6", "bytes=6-5"} {
		_, err := c.UploadPartCopy(ctx, &s3.UploadPartCopyInput{Bucket: b, Key: k, UploadId: up.UploadId, PartNumber: aws.Int32(1), CopySource: aws.String("pcopy/src"), CopySourceRange: &r})
		refused(t, err, 400, "InvalidArgument")
	}
}
