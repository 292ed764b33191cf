package s3

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"hash"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"penstock/internal/blob"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// source is what x-amz-copy-source names, found and allowed.
type source struct {
	store.Object
	parts     []store.Part
	versioned bool
	bucket    store.Bucket
}

// source finds the object to copy from. It must be in a bucket of the caller's account.
func (c *call) source() (source, error) {
	bad := invalidArgument("Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
	text := c.r.Header.Get("X-Amz-Copy-Source")
	path, query, versioned := strings.Cut(text, "?versionId=")
	path, err := url.PathUnescape(strings.TrimPrefix(path, "/"))
	if err != nil || !utf8.ValidString(path) || strings.IndexByte(path, 0) >= 0 {
		return source{}, bad
	}
	// SDKs that encode the whole header make the first slash %2F too.
	name, key, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	version, err := url.QueryUnescape(query)
	if !ok || name == "" || key == "" || err != nil || versioned && (version == "" || !printable(version)) {
		return source{}, bad
	}
	if len(key) > 1024 {
		return source{}, fault.New("KeyTooLongError", "Your key is too long")
	}
	s := source{versioned: versioned}
	if s.bucket, err = c.findBucket(name); err != nil {
		return source{}, err
	}
	if owner := c.r.Header.Get("X-Amz-Source-Expected-Bucket-Owner"); owner != "" && owner != s.bucket.Account {
		return source{}, accessDenied()
	}
	action := "s3:GetObject"
	if versioned {
		action = "s3:GetObjectVersion"
	}
	if err := c.check(action, name, key); err != nil {
		return source{}, err
	}
	if s.Object, err = c.lookup(name, key, version); err != nil {
		c.w.Header().Del("x-amz-delete-marker")
		c.w.Header().Del("x-amz-version-id")
		if fault.Code(err) == "MethodNotAllowed" {
			err = invalidRequest("The source of a copy request may not specifically refer to a delete marker by version id.")
		}
		return source{}, err
	}
	if err := preconditions(c.r.Header, "X-Amz-Copy-Source-", s.Object); err != nil {
		return source{}, err
	}
	if s.parts, err = c.parts(s.Object); err != nil {
		return source{}, err
	}
	return s, nil
}

// copied are the sums of bytes copied into a new blob.
type copied struct {
	blob, etag, checksum string
	size                 int64
}

func (c *call) copyBytes(s source, off, n int64, a *algorithm) (copied, error) {
	if err := c.roomForObjects(); err != nil {
		return copied{}, err
	}
	r, err := c.open(s.Object, s.parts, off, n)
	if err != nil {
		return copied{}, err
	}
	defer r.Close()
	out := copied{blob: blob.NewKey()}
	sums := []hash.Hash{md5.New()}
	if a != nil {
		sums = append(sums, a.make())
	}
	if out.size, err = c.blobs.Put(c.ctx(), out.blob, io.LimitReader(r, n), sums...); err != nil {
		return copied{}, err
	}
	if out.size != n {
		c.free([]string{out.blob})
		return copied{}, errors.New("s3: the source of a copy is shorter than its row says")
	}
	out.etag = hex.EncodeToString(sums[0].Sum(nil))
	if a != nil {
		out.checksum = base64Of(sums[1].Sum(nil))
	}
	return out, nil
}

// checksums are the elements that answers show a checksum in, one of them filled.
type checksums struct {
	CRC32     string `xml:"ChecksumCRC32,omitempty"`
	CRC32C    string `xml:"ChecksumCRC32C,omitempty"`
	CRC64NVME string `xml:"ChecksumCRC64NVME,omitempty"`
	SHA1      string `xml:"ChecksumSHA1,omitempty"`
	SHA256    string `xml:"ChecksumSHA256,omitempty"`
}

func (k *checksums) field(algorithm string) *string {
	switch algorithm {
	case "CRC32":
		return &k.CRC32
	case "CRC32C":
		return &k.CRC32C
	case "CRC64NVME":
		return &k.CRC64NVME
	case "SHA1":
		return &k.SHA1
	case "SHA256":
		return &k.SHA256
	default:
		return new("")
	}
}

func checksumOf(algorithm, value string) (k checksums) {
	*k.field(algorithm) = value
	return k
}

func directive(h http.Header, name string) (replace bool, err error) {
	switch v := h.Get(name); v {
	case "", "COPY":
		return false, nil
	case "REPLACE":
		return true, nil
	default:
		return false, invalidArgument("Unknown %s directive.", strings.ToLower(name))
	}
}

func (c *call) copyObject() error {
	s, err := c.source()
	if err != nil {
		return err
	}
	o, a, err := c.copyTarget(s)
	if err != nil {
		return err
	}
	if s.Size > maxPut {
		return invalidRequest("The specified copy source is larger than the maximum allowable size for a copy source: %d", int64(maxPut))
	}
	sums, err := c.copyBytes(s, 0, s.Size, a)
	if err != nil {
		return err
	}
	o.Blob, o.Size, o.ETag = sums.blob, sums.size, sums.etag
	if a != nil {
		o.Info.Algorithm, o.Info.Type, o.Info.Checksum = a.name, fullObject, sums.checksum
	}
	if err := c.keep(&o, nil); err != nil {
		return err
	}
	c.showVersion(o)
	c.showSource(s)
	c.echoEncryption(o.Info)
	c.writeXML(http.StatusOK, struct {
		XMLName            xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CopyObjectResult"`
		LastModified, ETag string
		ChecksumType       string `xml:",omitempty"`
		checksums
	}{LastModified: stamp(o.Modified), ETag: quote(o.ETag), ChecksumType: o.Info.Type, checksums: checksumOf(o.Info.Algorithm, o.Info.Checksum)})
	return nil
}

func (c *call) showSource(s source) {
	if s.bucket.Versioning != "" {
		c.w.Header().Set("x-amz-copy-source-version-id", s.Version)
	}
}

// copyTarget makes the object that a copy becomes, without its bytes: what the directives
// say is the request's, the rest the source's.
func (c *call) copyTarget(s source) (o store.Object, a *algorithm, err error) {
	h := c.r.Header
	replaceMeta, err := directive(h, "X-Amz-Metadata-Directive")
	if err != nil {
		return o, nil, err
	}
	replaceTags, err := directive(h, "X-Amz-Tagging-Directive")
	if err != nil {
		return o, nil, err
	}
	if o, err = c.newObject(); err != nil {
		return o, nil, err
	}
	same := s.Bucket == c.name && s.Key == c.key && !s.versioned
	if same && !replaceMeta && h.Get("X-Amz-Storage-Class") == "" && h.Get("X-Amz-Website-Redirect-Location") == "" && h.Get("X-Amz-Server-Side-Encryption") == "" {
		return o, nil, invalidRequest("This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.")
	}
	if !replaceMeta {
		o.Info.Meta = s.Info.Meta
		for _, name := range kept {
			if strings.HasPrefix(name, "x-amz-") {
				continue // never copied
			}
			if v, ok := s.Info.Headers[name]; ok {
				o.Info.Headers[name] = v
			} else {
				delete(o.Info.Headers, name)
			}
		}
	}
	if !replaceTags {
		o.Tags = s.Tags
	}
	name := h.Get("X-Amz-Checksum-Algorithm")
	if name == "" {
		name = s.Info.Algorithm
	}
	a, err = findAlgorithm(name)
	return o, a, err
}

// uploadPartCopy is UploadPartCopy: a part from a range of another object.
func (c *call) uploadPartCopy() error {
	number, u, a, err := c.partTarget()
	if err != nil {
		return err
	}
	s, err := c.source()
	if err != nil {
		return err
	}
	from, n := int64(0), s.Size
	if text := c.r.Header.Get("X-Amz-Copy-Source-Range"); text != "" {
		if from, n, err = copyRange(text, s.Size); err != nil {
			return err
		}
	}
	if n > maxPut {
		return invalidRequest("The specified copy source is larger than the maximum allowable size for a copy source: %d", int64(maxPut))
	}
	sums, err := c.copyBytes(s, from, n, a)
	if err != nil {
		return err
	}
	p := store.Part{Number: number, Blob: sums.blob, Size: sums.size, ETag: sums.etag, Checksum: sums.checksum}
	modified, err := c.keepPart(u, p)
	if err != nil {
		return err
	}
	c.showSource(s)
	c.echoEncryption(u.Info)
	c.writeXML(http.StatusOK, struct {
		XMLName            xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CopyPartResult"`
		LastModified, ETag string
		checksums
	}{LastModified: stamp(modified), ETag: quote(p.ETag), checksums: checksumOf(u.Info.Algorithm, p.Checksum)})
	return nil
}

// copyRange reads x-amz-copy-source-range, which unlike Range must be exact.
func copyRange(text string, size int64) (from, n int64, err error) {
	spec, ok := strings.CutPrefix(text, "bytes=")
	first, last, dash := strings.Cut(spec, "-")
	a, err1 := strconv.ParseUint(first, 10, 63)
	b, err2 := strconv.ParseUint(last, 10, 63)
	switch {
	case !ok || !dash || err1 != nil || err2 != nil || b < a:
		return 0, 0, invalidArgument("The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy")
	case int64(b) >= size:
		return 0, 0, invalidArgument("Range specified is not valid for source object of size: %d", size)
	}
	return int64(a), int64(b-a) + 1, nil
}
