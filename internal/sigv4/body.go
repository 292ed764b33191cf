package sigv4

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const (
	maxChunkLine   = 256
	maxTrailerLine = 4 << 10
	maxTrailers    = 16
)

// Body reads the body of a verified S3 request: it checks the signed hash or the chunk
// signatures and takes the aws-chunked framing off (N-4). What it has yielded may be
// trusted only when Read has returned io.EOF: until then nothing may be kept. Any other
// error is a *Failure or an error of the underlying reader, and stays.
//
// A Body is for one goroutine.
type Body struct {
	read func([]byte) (int, error)
	err  error
	// Length is the number of bytes the body will yield, or -1 if it is not known.
	Length  int64
	trailer http.Header
}

// Read yields the next decoded bytes.
func (b *Body) Read(p []byte) (int, error) {
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	n, err := b.read(p)
	b.err = err
	return n, err
}

// Trailer gives the trailer fields of a streaming body, such as X-Amz-Checksum-Crc32. It is
// complete only after Read has returned io.EOF.
func (b *Body) Trailer() http.Header { return b.trailer }

// Body gives the reader for the body of the S3 request that Verify accepted. It returns a
// *Failure if the body is a stream without the headers it needs.
func (s *Signature) Body(r *http.Request) (*Body, error) {
	claim, err := s.claimedHash(r)
	if err != nil {
		return nil, err
	}
	src := io.Reader(http.NoBody)
	if r.Body != nil {
		src = r.Body
	}
	b := &Body{Length: r.ContentLength, trailer: http.Header{}}
	if claim == unsigned {
		b.read = src.Read
		return b, nil
	}
	if !strings.HasPrefix(claim, "STREAMING-") {
		want, err := hex.DecodeString(claim)
		if err != nil {
			return nil, &Failure{Kind: BadContentHash}
		}
		b.read = (&hashed{src: src, sum: sha256.New(), want: want, left: r.ContentLength}).Read
		return b, nil
	}
	b.Length, err = strconv.ParseInt(r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 64)
	if err != nil || b.Length < 0 {
		return nil, &Failure{Kind: NoLength}
	}
	c := &chunked{src: bufio.NewReaderSize(src, 8<<10), left: b.Length, trailer: b.trailer}
	if claim != streamSigned {
		c.declared = declared(r.Header.Values("X-Amz-Trailer"))
		if len(c.declared) > maxTrailers {
			return nil, &Failure{Kind: BadTrailer, Detail: "too many trailers are declared"}
		}
	}
	if claim != streamUnsigned {
		if s.key == nil {
			return nil, errors.New("sigv4: the body was asked for before the signature was verified")
		}
		c.key = s.key
		c.prefix = "\n" + s.dateText + "\n" + s.scope() + "\n"
		c.previous = hex.EncodeToString(s.signature)
		c.sum = sha256.New()
		c.signedTrailer = claim == streamSignedTrl
	}
	b.read = c.Read
	return b, nil
}

func declared(values []string) []string {
	var out []string
	for _, v := range values {
		for name := range strings.SplitSeq(v, ",") {
			if name = strings.TrimSpace(name); name != "" {
				out = append(out, http.CanonicalHeaderKey(name))
			}
		}
	}
	return out
}

// hashed compares the SHA-256 of a body with the signed one. It compares as soon as the
// announced length is read, because a reader may stop there without asking for the EOF.
type hashed struct {
	src  io.Reader
	sum  hash.Hash
	want []byte
	left int64
	done bool
}

func (h *hashed) Read(p []byte) (int, error) {
	n, err := h.src.Read(p)
	h.sum.Write(p[:n])
	h.left -= int64(n)
	if (err == io.EOF || err == nil && h.left == 0) && !h.done {
		h.done = true
		if !hmac.Equal(h.sum.Sum(nil), h.want) {
			return n, &Failure{Kind: HashMismatch}
		}
	}
	return n, err
}

// chunked decodes aws-chunked framing:
//
//	hex-size[;chunk-signature=…]\r\n data \r\n … 0[;chunk-signature=…]\r\n [trailers] \r\n
type chunked struct {
	src      *bufio.Reader
	left     int64 // of the declared decoded length
	inChunk  int64 // of the present chunk
	trailer  http.Header
	declared []string

	// The rest is for signed chunks; key is nil for unsigned ones.
	key           []byte
	prefix        string
	previous      string
	sum           hash.Hash
	claim         []byte
	signedTrailer bool
	open          bool // a chunk was begun and its signature not yet checked
}

func (c *chunked) Read(p []byte) (int, error) {
	for c.inChunk == 0 {
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	n, err := c.src.Read(p[:min(int64(len(p)), c.inChunk)])
	c.inChunk -= int64(n)
	c.left -= int64(n)
	if c.sum != nil {
		c.sum.Write(p[:n])
	}
	if err != nil {
		return n, short(err)
	}
	// At the end of what was declared the rest is checked at once: a reader may stop
	// there without asking for the EOF.
	for c.inChunk == 0 && c.left == 0 {
		if err := c.next(); err != nil {
			return n, err
		}
	}
	return n, nil
}

// short makes a stream that ends too early a failure of its framing.
func short(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return broken("it ends within a chunk")
	}
	return err
}

func broken(why string) error { return &Failure{Kind: BadChunk, Detail: why} }

// next ends the present chunk and begins the next; after the last it gives io.EOF.
func (c *chunked) next() error {
	if c.open {
		if err := c.crlf(); err != nil {
			return err
		}
		if err := c.checkChunk(); err != nil {
			return err
		}
		c.open = false
	}
	line, err := c.line(maxChunkLine)
	if err != nil {
		return err
	}
	size, ext, _ := strings.Cut(line, ";")
	if size == "" || strings.Trim(size, "0123456789abcdefABCDEF") != "" {
		return broken("a chunk has no valid size")
	}
	n, err := strconv.ParseInt(size, 16, 64)
	if err != nil || n > c.left {
		return broken("it is longer than x-amz-decoded-content-length")
	}
	if c.key != nil {
		sig, ok := strings.CutPrefix(ext, "chunk-signature=")
		if c.claim, err = hex.DecodeString(sig); !ok || err != nil || len(c.claim) != sha256.Size {
			return broken("a chunk has no valid signature")
		}
	}
	if n > 0 {
		c.inChunk, c.open = n, true
		return nil
	}
	if c.left > 0 {
		return broken("it is shorter than x-amz-decoded-content-length")
	}
	if err := c.checkChunk(); err != nil {
		return err
	}
	if err := c.trailers(); err != nil {
		return err
	}
	if _, err := c.src.ReadByte(); err != io.EOF {
		if err == nil {
			err = broken("there are bytes after its end")
		}
		return err
	}
	return io.EOF
}

// checkChunk compares the signature of the chunk that has just ended.
func (c *chunked) checkChunk() error {
	if c.key == nil {
		return nil
	}
	text := algorithm + "-PAYLOAD" + c.prefix + c.previous + "\n" + emptyHash + "\n" + hex.EncodeToString(c.sum.Sum(nil))
	want := mac(c.key, text)
	if !hmac.Equal(want, c.claim) {
		return &Failure{Kind: BadSignature}
	}
	c.previous = hex.EncodeToString(want)
	c.sum.Reset()
	return nil
}

// trailers reads the fields after the last chunk and the empty line that ends them.
func (c *chunked) trailers() error {
	var signed bytes.Buffer
	var claim string
	for range maxTrailers + 2 {
		line, err := c.line(maxTrailerLine)
		if err != nil {
			return err
		}
		if line == "" {
			return c.checkTrailers(signed.Bytes(), claim)
		}
		name, value, ok := strings.Cut(line, ":")
		// Only ASCII has two cases here: a Kelvin sign is no k.
		key, value := http.CanonicalHeaderKey(strings.TrimSpace(name)), strings.TrimSpace(value)
		switch {
		case !ok || key == "" || claim != "":
			return &Failure{Kind: BadTrailer, Detail: "a field cannot be read"}
		case key == "X-Amz-Trailer-Signature" && c.signedTrailer:
			claim = value
		case !slices.Contains(c.declared, key) || c.trailer[key] != nil:
			return &Failure{Kind: BadTrailer, Detail: "a field was not declared in x-amz-trailer"}
		default:
			c.trailer.Set(key, value)
			signed.WriteString(strings.ToLower(key) + ":" + value + "\n")
		}
	}
	return &Failure{Kind: BadTrailer, Detail: "it has too many fields"}
}

func (c *chunked) checkTrailers(signed []byte, claim string) error {
	for _, name := range c.declared {
		if c.trailer[name] == nil {
			return &Failure{Kind: BadTrailer, Detail: "a field declared in x-amz-trailer is missing"}
		}
	}
	if !c.signedTrailer {
		return nil
	}
	sum := sha256.Sum256(signed)
	text := algorithm + "-TRAILER" + c.prefix + c.previous + "\n" + hex.EncodeToString(sum[:])
	got, err := hex.DecodeString(claim)
	if err != nil || !hmac.Equal(mac(c.key, text), got) {
		return &Failure{Kind: BadSignature}
	}
	return nil
}

// line reads one line that ends in CR LF, at most limit bytes long.
func (c *chunked) line(limit int) (string, error) {
	var out []byte
	for {
		part, err := c.src.ReadSlice('\n')
		if len(out)+len(part) > limit {
			return "", broken("a line is too long")
		}
		out = append(out, part...)
		if err == nil {
			break
		}
		if err != bufio.ErrBufferFull {
			return "", short(err)
		}
	}
	text, ok := strings.CutSuffix(string(out), "\r\n")
	if !ok {
		return "", broken("a line does not end in CR LF")
	}
	return text, nil
}

// crlf reads the end of a chunk's data.
func (c *chunked) crlf() error {
	var two [2]byte
	if _, err := io.ReadFull(c.src, two[:]); err != nil {
		return short(err)
	}
	if two != [2]byte{'\r', '\n'} {
		return broken("a chunk is not followed by CR LF")
	}
	return nil
}
