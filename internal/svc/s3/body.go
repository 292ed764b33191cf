package s3

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"penstock/internal/blob"
	"penstock/internal/fault"
	"penstock/internal/store"
)

const (
	maxPut    = 5 << 30 // the largest body of one request, and the largest source of a copy
	maxObject = 5 << 40
	minPart   = 5 << 20
	maxParts  = 10_000
)

// trailers gives what followed the body, once it was read to its end. The door has
// verified it where it was signed.
func trailers(r *http.Request) http.Header { return r.Trailer }

// receiver reads a request's body. It answers io.EOF only when the body is complete and
// every digest the request named holds, so that what fails a check is never kept.
type receiver struct {
	r        *http.Request
	control  *http.ResponseController
	idle     time.Duration
	extended time.Time

	left    int64 // of the announced length; -1 if it is not known
	max     int64
	claim   claim
	wantMD5 []byte
	md5     hash.Hash
	sum     hash.Hash // nil unless there is an algorithm
	size    int64
	end     error
}

// receiver begins the reading of a body of at most max bytes. algorithm, if not nil, is
// computed even if the request does not name it.
func (c *call) receiver(max int64, algorithm *algorithm) (*receiver, error) {
	h := c.r.Header
	in := &receiver{r: c.r, control: http.NewResponseController(c.w), idle: c.idle, left: c.r.ContentLength, max: max, md5: md5.New()}
	if text := h.Get("X-Amz-Decoded-Content-Length"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			return nil, invalidArgument("x-amz-decoded-content-length must be a number")
		}
		in.left = n
	}
	if in.left < 0 {
		return nil, fault.New("MissingContentLength", "You must provide the Content-Length HTTP header.")
	}
	if in.left > max {
		return nil, fault.New("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
	}
	if text := h.Get("Content-Md5"); text != "" {
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(b) != md5.Size {
			return nil, fault.New("InvalidDigest", "The Content-MD5 you specified was invalid.")
		}
		in.wantMD5 = b
	}
	var err error
	if c.op == "CompleteMultipartUpload" { // checksums of the whole, for checkWhole
		err = computable(h)
	} else {
		in.claim, err = readClaim(h)
	}
	if err != nil {
		return nil, err
	}
	switch {
	case algorithm == nil:
	case in.claim.algorithm == nil:
		in.claim.algorithm = algorithm
	case in.claim.algorithm != algorithm:
		return nil, invalidRequest("Checksum Type mismatch occurred, expected checksum Type: %s, actual checksum Type: %s", algorithm.name, in.claim.algorithm.name)
	}
	if in.claim.algorithm != nil {
		in.sum = in.claim.algorithm.make()
	}
	return in, nil
}

// Read implements [io.Reader]; it never answers bytes and an error together.
func (in *receiver) Read(p []byte) (int, error) {
	if in.end != nil {
		return 0, in.end
	}
	if now := time.Now(); now.Sub(in.extended) > in.idle/4 {
		// A deadline that moves along: a large body may take hours, a silent one not.
		// Not every transport has deadlines.
		in.control.SetReadDeadline(now.Add(in.idle))
		in.extended = now
	}
	n, err := in.r.Body.Read(p)
	if n > 0 {
		in.size += int64(n)
		if in.left -= int64(n); in.left < 0 {
			return 0, in.stop(fault.New("IncompleteBody", "The request body terminated unexpectedly"))
		}
		in.md5.Write(p[:n])
		if in.sum != nil {
			in.sum.Write(p[:n])
		}
		if err != nil && err != io.EOF {
			in.end = in.translate(err)
		}
		return n, nil
	}
	switch {
	case err == nil:
		return 0, nil
	case err != io.EOF:
		return 0, in.stop(in.translate(err))
	case in.left > 0:
		return 0, in.stop(fault.New("IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header"))
	}
	if err := in.verify(); err != nil {
		return 0, in.stop(err)
	}
	return 0, in.stop(io.EOF)
}

func (in *receiver) stop(err error) error {
	in.end = err
	return err
}

// translate makes the sender's failures the sender's; faults of the signature check pass.
func (in *receiver) translate(err error) error {
	var f *fault.Error
	switch {
	case errors.As(err, &f):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fault.New("RequestTimeout", "Your socket connection to the server was not read from or written to within the timeout period.")
	case errors.Is(err, context.Canceled):
		return err
	default:
		return fault.New("IncompleteBody", "The request body terminated unexpectedly")
	}
}

func (in *receiver) verify() error {
	if in.wantMD5 != nil && !bytes.Equal(in.md5.Sum(nil), in.wantMD5) {
		return fault.New("BadDigest", "The Content-MD5 you specified did not match what we received.")
	}
	want := in.claim.value
	if in.claim.trailer {
		text := trailers(in.r).Get(in.claim.algorithm.header())
		var err error
		if want, err = in.claim.algorithm.parse(text); err != nil {
			return fault.New("MalformedTrailerError", "The request contained trailing data that was not well-formed or did not conform to our published schema.")
		}
	}
	if want != nil && !bytes.Equal(in.sum.Sum(nil), want) {
		return fault.New("BadDigest", "The %s you specified did not match the calculated checksum.", in.claim.algorithm.name)
	}
	return nil
}

func (in *receiver) etag() string { return hex.EncodeToString(in.md5.Sum(nil)) }

// checksum gives the algorithm's name and value, empty if there is none.
func (in *receiver) checksum() (name, value string) {
	if in.sum == nil {
		return "", ""
	}
	return in.claim.algorithm.name, base64Of(in.sum.Sum(nil))
}

// roomForObjects refuses to store bytes while the disk is full: what room there is is not for them.
func (c *call) roomForObjects() error {
	if c.db.Full() {
		return store.ErrFull
	}
	return nil
}

// receive keeps the request's body as a new blob.
func (c *call) receive(algorithm *algorithm) (key string, in *receiver, err error) {
	if err := c.roomForObjects(); err != nil {
		return "", nil, err
	}
	if in, err = c.receiver(maxPut, algorithm); err != nil {
		return "", nil, err
	}
	key = blob.NewKey()
	if _, err := c.blobs.Put(c.ctx(), key, in); err != nil {
		return "", nil, err
	}
	return key, in, nil
}
