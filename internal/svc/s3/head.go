package s3

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"penstock/internal/fault"
	"penstock/internal/store"
)

const maxMeta = 2 << 10

// kept are the headers of a PUT that GET and HEAD answer.
var kept = []string{
	"content-type", "cache-control", "content-disposition", "content-encoding", "content-language", "expires",
	"x-amz-website-redirect-location", "x-amz-storage-class",
}

// encryption are the headers of server-side encryption. Bytes are kept as they are, so
// these are a promise of the operator's disk; they are accepted and echoed (N-5).
var encryption = []string{
	"x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id",
	"x-amz-server-side-encryption-bucket-key-enabled",
}

var storageClasses = []string{"STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"}

// readInfo takes from a PUT what is kept with the object.
func (c *call) readInfo() (store.ObjectInfo, error) {
	info := store.ObjectInfo{Headers: map[string]string{}}
	h := c.r.Header
	for _, name := range kept {
		if v := h.Get(name); v != "" {
			info.Headers[name] = v
		}
	}
	if v := withoutChunked(h.Get("Content-Encoding")); v != "" {
		info.Headers["content-encoding"] = v
	} else {
		delete(info.Headers, "content-encoding")
	}
	if info.Headers["content-type"] == "" {
		info.Headers["content-type"] = "binary/octet-stream"
	}
	if class, ok := info.Headers["x-amz-storage-class"]; ok {
		if !slices.Contains(storageClasses, class) {
			return info, fault.New("InvalidStorageClass", "The storage class you specified is not valid")
		}
		if class == "STANDARD" {
			delete(info.Headers, "x-amz-storage-class")
		}
	}
	if err := readMeta(h, &info); err != nil {
		return info, err
	}
	return info, c.readEncryption(&info)
}

// withoutChunked removes the transfer's own coding, which is not the object's (N-4).
func withoutChunked(v string) string {
	var list []string
	for e := range strings.SplitSeq(v, ",") {
		if e = strings.TrimSpace(e); e != "" && !strings.EqualFold(e, "aws-chunked") {
			list = append(list, e)
		}
	}
	return strings.Join(list, ",")
}

func readMeta(h http.Header, info *store.ObjectInfo) error {
	size := 0
	for name, values := range h {
		name, ok := strings.CutPrefix(strings.ToLower(name), "x-amz-meta-")
		if !ok {
			continue
		}
		value := strings.Join(values, ",")
		if size += len(name) + len(value); size > maxMeta {
			return fault.New("MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size")
		}
		if info.Meta == nil {
			info.Meta = map[string]string{}
		}
		info.Meta[name] = strings.ToValidUTF8(value, "?")
	}
	return nil
}

func (c *call) readEncryption(info *store.ObjectInfo) error {
	h := c.r.Header
	for _, name := range []string{"X-Amz-Object-Lock-Mode", "X-Amz-Object-Lock-Legal-Hold", "X-Amz-Object-Lock-Retain-Until-Date"} {
		if h.Get(name) != "" {
			return invalidRequest("Bucket is missing Object Lock Configuration")
		}
	}
	for _, name := range encryption {
		if v := h.Get(name); v != "" {
			info.Headers[name] = v
		}
	}
	switch method := h.Get(encryption[0]); method {
	case "":
		if h.Get(encryption[1]) != "" {
			return invalidArgument("The request specifies a KMS key without x-amz-server-side-encryption: aws:kms")
		}
		text, err := c.document("encryption")
		if err != nil || text == "" {
			return err
		}
		rule, err := parseEncryption([]byte(text))
		if err != nil {
			return err
		}
		info.Headers[encryption[0]] = rule.Default.Algorithm
		if rule.Default.KeyID != "" {
			info.Headers[encryption[1]] = rule.Default.KeyID
		}
		if rule.BucketKey {
			info.Headers[encryption[2]] = "true"
		}
	case "AES256":
		if h.Get(encryption[1]) != "" {
			return invalidArgument("The encryption method specified is not supported with a KMS key")
		}
	case "aws:kms", "aws:kms:dsse":
	default:
		return fault.New("InvalidEncryptionAlgorithmError", "The encryption request you specified is not valid. Supported value: AES256, aws:kms, aws:kms:dsse.")
	}
	return nil
}

// echoEncryption answers the encryption headers of the object.
func (c *call) echoEncryption(info store.ObjectInfo) {
	for _, name := range encryption {
		if v := info.Headers[name]; v != "" {
			c.w.Header().Set(name, v)
		}
	}
}

// showVersion answers the version id where the bucket has versions.
func (c *call) showVersion(o store.Object) {
	if c.bucket.Versioning != "" {
		c.w.Header().Set("x-amz-version-id", o.Version)
	}
}

// showObject answers everything GET and HEAD tell of an object, with the response-
// parameters in the place of what was kept.
func (c *call) showObject(o store.Object) error {
	h := c.w.Header()
	c.showVersion(o)
	h.Set("ETag", quote(o.ETag))
	h.Set("Last-Modified", o.Modified.Format(http.TimeFormat))
	h.Set("Accept-Ranges", "bytes")
	for _, name := range slices.Sorted(maps.Keys(o.Info.Headers)) {
		h.Set(name, o.Info.Headers[name])
	}
	for name, value := range o.Info.Meta {
		// Set would change the case, and botocore shows names as they were written.
		h["x-amz-meta-"+name] = []string{value}
	}
	if len(o.Tags) > 0 {
		h.Set("x-amz-tagging-count", strconv.Itoa(len(o.Tags)))
	}
	for _, name := range []string{"Content-Type", "Content-Language", "Expires", "Cache-Control", "Content-Disposition", "Content-Encoding"} {
		v := c.query.Get("response-" + strings.ToLower(name))
		if v == "" {
			continue
		}
		if !headerSafe(v) {
			return invalidArgument("response-%s is not valid", strings.ToLower(name))
		}
		h.Set(name, v)
	}
	return nil
}

func (c *call) showChecksum(info store.ObjectInfo) {
	if info.Checksum != "" {
		c.w.Header().Set("x-amz-checksum-"+strings.ToLower(info.Algorithm), info.Checksum)
		c.w.Header().Set("x-amz-checksum-type", info.Type)
	}
}

// preconditions judges the If- headers, whose names have the given prefix, against an
// object: nil, NotModified, or PreconditionFailed. An ETag decides over a time.
func preconditions(h http.Header, prefix string, o store.Object) error {
	match, none := h.Get(prefix+"If-Match"), h.Get(prefix+"If-None-Match")
	switch {
	case match != "":
		if !matches(match, o.ETag) {
			return preconditionFailed()
		}
	case changedSince(h.Get(prefix+"If-Unmodified-Since"), o.Modified):
		return preconditionFailed()
	}
	unmodified := none != "" && matches(none, o.ETag)
	if none == "" {
		since := h.Get(prefix + "If-Modified-Since")
		unmodified = since != "" && !changedSince(since, o.Modified) && validTime(since)
	}
	switch {
	case !unmodified:
		return nil
	case prefix != "":
		return preconditionFailed()
	default:
		return fault.New("NotModified", "Not Modified")
	}
}

func matches(list, etag string) bool {
	for e := range strings.SplitSeq(list, ",") {
		e = strings.TrimPrefix(strings.TrimSpace(e), "W/")
		if e == "*" || strings.Trim(e, `"`) == etag {
			return true
		}
	}
	return false
}

func validTime(text string) bool {
	_, err := http.ParseTime(text)
	return err == nil
}

// changedSince compares in seconds, which is what the header has.
func changedSince(text string, modified time.Time) bool {
	t, err := http.ParseTime(text)
	return err == nil && modified.Truncate(time.Second).After(t)
}

// conditional tells whether a write depends on what is there.
func (c *call) conditional() bool {
	return c.r.Header.Get("If-Match") != "" || c.r.Header.Get("If-None-Match") != ""
}

// writable judges the conditions of a write against the version it would follow.
func (c *call) writable(tx *store.Tx, key string) error {
	match, none := c.r.Header.Get("If-Match"), c.r.Header.Get("If-None-Match")
	if match == "" && none == "" {
		return nil
	}
	if none != "" && none != "*" || match != "" && none != "" {
		return notImplemented("If-None-Match with an ETag")
	}
	o, err := tx.Object(c.ctx(), c.name, key, "")
	found := err == nil && !o.DeleteMarker
	switch {
	case err != nil && err != store.ErrNotFound:
		return err
	case none != "" && found:
		return preconditionFailed()
	case match != "" && !found:
		return noSuchKey()
	case match != "" && !matches(match, o.ETag):
		return preconditionFailed()
	}
	return nil
}

// number reads a numeric parameter within bounds.
func (c *call) number(name string, preset, low, high int) (int, error) {
	text := c.query.Get(name)
	if text == "" {
		return preset, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 0, invalidArgument("Provided %s not an integer or within integer range", name)
	}
	if n < int64(low) {
		return 0, invalidArgument("Argument %s must be an integer between %d and 2147483647", name, low)
	}
	return min(int(n), high), nil
}

// partNumber reads the number of a part; 0 if the request has none.
func (c *call) partNumber() (int, error) {
	text := c.query.Get("partNumber")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxParts {
		return 0, invalidArgument("Part number must be an integer between 1 and 10000, inclusive")
	}
	return n, nil
}
