package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"penstock/internal/blob"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// find gives the version the request is about. A caller who may not list the bucket is
// not told whether a key exists.
func (c *call) find() (store.Object, error) {
	o, err := c.lookup(c.name, c.key, c.version)
	if code := fault.Code(err); code == "NoSuchKey" || code == "NoSuchVersion" {
		if c.check("s3:ListBucket", c.name, "") != nil {
			c.w.Header().Del("x-amz-delete-marker")
			c.w.Header().Del("x-amz-version-id")
			return o, accessDenied()
		}
	}
	return o, err
}

func (c *call) lookup(bucket, key, version string) (store.Object, error) {
	var o store.Object
	err := c.db.View(c.ctx(), func(tx *store.Tx) (err error) {
		o, err = tx.Object(c.ctx(), bucket, key, version)
		return err
	})
	h := c.w.Header()
	switch {
	case errors.Is(err, store.ErrNotFound) && version != "":
		return o, noSuchVersion()
	case errors.Is(err, store.ErrNotFound):
		return o, noSuchKey()
	case err != nil:
		return o, err
	case o.DeleteMarker:
		h.Set("x-amz-delete-marker", "true")
		h.Set("x-amz-version-id", o.Version)
		if version != "" {
			h.Set("Allow", "DELETE")
			return o, methodNotAllowed()
		}
		return o, noSuchKey()
	}
	return o, nil
}

// getObject is GetObject and HeadObject.
func (c *call) getObject() error {
	// An object may be overwritten between the look at its row and at its blob; then the
	// row is another one now.
	for attempt := 0; ; attempt++ {
		err := c.tryGet()
		if attempt == 3 || !errors.Is(err, blob.ErrNotExist) {
			return err
		}
	}
}

// span is a part of an object's bytes.
type span struct {
	off, n  int64
	partial bool
}

func (c *call) tryGet() error {
	o, err := c.find()
	if err != nil {
		return err
	}
	h := c.w.Header()
	if err := preconditions(c.r.Header, "", o); err != nil {
		if fault.Code(err) == "NotModified" {
			h.Set("ETag", quote(o.ETag))
			h.Set("Last-Modified", o.Modified.Format(http.TimeFormat))
			c.showVersion(o)
		}
		return err
	}
	parts, err := c.parts(o)
	if err != nil {
		return err
	}
	s, checksum, err := c.span(o, parts)
	if err != nil {
		return err
	}
	var body io.ReadCloser
	if c.r.Method != http.MethodHead {
		if body, err = c.open(o, parts, s.off, s.n); err != nil {
			return err
		}
		defer body.Close()
	}
	if err := c.showObject(o); err != nil {
		return err
	}
	if strings.EqualFold(c.r.Header.Get("X-Amz-Checksum-Mode"), "ENABLED") {
		c.showChecksum(checksum)
	}
	requestID(h)
	h.Set("Content-Length", strconv.FormatInt(s.n, 10))
	status := http.StatusOK
	if s.partial {
		status = http.StatusPartialContent
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", s.off, s.off+s.n-1, o.Size))
	}
	c.w.WriteHeader(status)
	if body != nil {
		c.send(body, s.n)
	}
	return nil
}

// send writes the body. The time it may take grows with its length, as no deadline moves
// while the kernel sends a file.
func (c *call) send(body io.Reader, n int64) {
	const slowest = 32 << 10 // bytes in a second
	control := http.NewResponseController(c.w)
	if control.SetWriteDeadline(time.Now().Add(c.idle+time.Duration(n/slowest)*time.Second)) == nil {
		defer control.SetWriteDeadline(time.Time{})
	}
	if _, err := io.Copy(c.w, body); err != nil && c.ctx().Err() == nil {
		// The length is announced, so the caller notices that bytes are missing.
		c.log.WarnContext(c.ctx(), "s3: an object was not sent to its end", "bucket", c.name, "key", c.key, "error", err)
	}
}

// parts gives the parts of a multipart object, none of others.
func (c *call) parts(o store.Object) (parts []store.Part, err error) {
	if o.Upload == "" {
		return nil, nil
	}
	err = c.db.View(c.ctx(), func(tx *store.Tx) (err error) {
		parts, err = tx.Parts(c.ctx(), o.Upload, 0, maxParts)
		return err
	})
	if err == nil && len(parts) != o.Info.Parts {
		err = fmt.Errorf("s3: the parts of a version are gone: %w", blob.ErrNotExist)
	}
	return parts, err
}

// span finds the bytes that Range or partNumber ask for, and the checksum that goes with them.
func (c *call) span(o store.Object, parts []store.Part) (span, store.ObjectInfo, error) {
	whole := span{n: o.Size}
	number, err := c.partNumber()
	if err != nil {
		return span{}, o.Info, err
	}
	text := c.r.Header.Get("Range")
	if cond := c.r.Header.Get("If-Range"); cond != "" && !matches(cond, o.ETag) {
		text = ""
	}
	switch {
	case number > 0 && text != "":
		return span{}, o.Info, invalidRequest("Cannot specify both Range header and partNumber query parameter")
	case number > 0:
		return c.partSpan(o, parts, number)
	case text == "":
		return whole, o.Info, nil
	}
	s, ok, err := parseRange(text, o.Size)
	if err != nil {
		c.w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", o.Size))
		return span{}, o.Info, err
	}
	if !ok {
		return whole, o.Info, nil
	}
	return s, store.ObjectInfo{}, nil
}

func (c *call) partSpan(o store.Object, parts []store.Part, number int) (span, store.ObjectInfo, error) {
	bad := fault.New("InvalidPartNumber", "The requested partnumber is not satisfiable")
	if len(parts) == 0 {
		if number != 1 {
			return span{}, o.Info, bad
		}
		return span{n: o.Size, partial: o.Size > 0}, o.Info, nil
	}
	c.w.Header().Set("x-amz-mp-parts-count", strconv.Itoa(len(parts)))
	off := int64(0)
	for _, p := range parts {
		if p.Number == number {
			return span{off, p.Size, p.Size > 0}, store.ObjectInfo{Algorithm: o.Info.Algorithm, Type: o.Info.Type, Checksum: p.Checksum}, nil
		}
		off += p.Size
	}
	return span{}, o.Info, bad
}

// parseRange reads a Range header. What is no single range of bytes is ignored, as S3 does.
func parseRange(text string, size int64) (s span, ok bool, err error) {
	spec, found := strings.CutPrefix(text, "bytes=")
	first, last, dash := strings.Cut(strings.TrimSpace(spec), "-")
	if !found || !dash || strings.Contains(spec, ",") {
		return span{}, false, nil
	}
	unsatisfiable := fault.New("InvalidRange", "The requested range is not satisfiable")
	if first == "" {
		n, err := strconv.ParseUint(last, 10, 63)
		if err != nil {
			return span{}, false, nil
		}
		if n == 0 || size == 0 {
			return span{}, false, unsatisfiable
		}
		length := min(int64(n), size)
		return span{size - length, length, true}, true, nil
	}
	from, err := strconv.ParseUint(first, 10, 63)
	if err != nil {
		return span{}, false, nil
	}
	to := uint64(max(size-1, 0))
	if last != "" {
		n, err := strconv.ParseUint(last, 10, 63)
		if err != nil || n < from {
			return span{}, false, nil
		}
		to = min(to, n)
	}
	if int64(from) >= size {
		return span{}, false, unsatisfiable
	}
	return span{int64(from), int64(to-from) + 1, true}, true, nil
}

// open reads n bytes of an object from off on.
func (c *call) open(o store.Object, parts []store.Part, off, n int64) (io.ReadCloser, error) {
	if o.Upload == "" {
		return c.blobs.Get(c.ctx(), o.Blob, off, n)
	}
	r := &segments{ctx: c.ctx(), blobs: c.blobs, parts: parts, off: off, left: n}
	return r, r.next()
}

// segments reads through the blobs of a multipart object, one open at a time.
type segments struct {
	ctx       context.Context
	blobs     blob.Store
	parts     []store.Part
	off, left int64 // off counts from the first of parts
	current   io.ReadCloser
}

// next opens the part in which off lies, if anything is left to read.
func (s *segments) next() error {
	for len(s.parts) > 0 && s.off >= s.parts[0].Size {
		s.off -= s.parts[0].Size
		s.parts = s.parts[1:]
	}
	if s.left <= 0 || len(s.parts) == 0 {
		return nil
	}
	p := s.parts[0]
	n := min(s.left, p.Size-s.off)
	r, err := s.blobs.Get(s.ctx, p.Blob, s.off, n)
	if err != nil {
		return err
	}
	s.current = r
	s.off += n
	return nil
}

// Read implements [io.Reader].
func (s *segments) Read(p []byte) (int, error) {
	for s.left > 0 {
		if s.current == nil {
			if err := s.next(); err != nil {
				return 0, err
			}
			if s.current == nil {
				return 0, io.ErrUnexpectedEOF
			}
		}
		n, err := s.current.Read(p)
		s.left -= int64(n)
		if err != nil {
			s.current.Close()
			s.current = nil
		}
		if n > 0 || err != nil && err != io.EOF {
			if err == io.EOF {
				err = nil
			}
			return n, err
		}
	}
	return 0, io.EOF
}

// Close implements [io.Closer].
func (s *segments) Close() error {
	if s.current == nil {
		return nil
	}
	return s.current.Close()
}
