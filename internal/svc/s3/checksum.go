package s3

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"net/http"
	"strings"
)

// algorithm is a checksum that clients can ask S3 to verify and keep (N-4).
type algorithm struct {
	// name is as in x-amz-checksum-algorithm; the header is x-amz-checksum- and its lower case.
	name string
	size int
	make func() hash.Hash
	// reflected is the polynomial of a CRC, 0 otherwise: the CRC of a whole follows from
	// those of its parts, so only these can be FULL_OBJECT of a multipart object.
	reflected uint64
	composite bool
}

const crc64NVME = 0x9a6c9329ac4bc9b5

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	nvme       = crc64.MakeTable(crc64NVME)
	algorithms = []*algorithm{
		{"CRC32", 4, func() hash.Hash { return crc32.NewIEEE() }, crc32.IEEE, true},
		{"CRC32C", 4, func() hash.Hash { return crc32.New(castagnoli) }, crc32.Castagnoli, true},
		{"CRC64NVME", 8, func() hash.Hash { return crc64.New(nvme) }, crc64NVME, false},
		{"SHA1", sha1.Size, sha1.New, 0, true},
		{"SHA256", sha256.Size, sha256.New, 0, true},
	}
)

const (
	fullObject = "FULL_OBJECT"
	composite  = "COMPOSITE"
)

// findAlgorithm gives the algorithm of a name as clients write it, nil for "".
func findAlgorithm(name string) (*algorithm, error) {
	if name == "" {
		return nil, nil
	}
	for _, a := range algorithms {
		if strings.EqualFold(a.name, name) {
			return a, nil
		}
	}
	return nil, invalidRequest("Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]")
}

func (a *algorithm) header() string { return "x-amz-checksum-" + strings.ToLower(a.name) }

// parse reads a checksum as clients send it.
func (a *algorithm) parse(text string) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) != a.size {
		return nil, invalidRequest("Value for %s header is invalid.", a.header())
	}
	return b, nil
}

func base64Of(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// claim is what a request says about the checksum of its body.
type claim struct {
	algorithm *algorithm // nil: nothing
	value     []byte     // nil: in the trailer, or only to be computed
	trailer   bool
}

// computable refuses a checksum of an algorithm that is not computed here.
func computable(h http.Header) error {
	for name := range h {
		switch rest, ok := strings.CutPrefix(strings.ToLower(name), "x-amz-checksum-"); {
		case !ok, rest == "algorithm", rest == "type", rest == "mode":
		default:
			if _, err := findAlgorithm(rest); err != nil {
				return err
			}
		}
	}
	return nil
}

// readClaim finds the one checksum a request carries, announces in its trailer, or asks
// to have computed.
func readClaim(h http.Header) (claim, error) {
	var c claim
	if err := computable(h); err != nil {
		return c, err
	}
	for _, a := range algorithms {
		text := h.Get(a.header())
		if text == "" {
			continue
		}
		if c.algorithm != nil {
			return claim{}, invalidRequest("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
		}
		value, err := a.parse(text)
		if err != nil {
			return claim{}, err
		}
		c = claim{algorithm: a, value: value}
	}
	for name := range strings.SplitSeq(h.Get("X-Amz-Trailer"), ",") {
		name, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(name)), "x-amz-checksum-")
		if !ok {
			continue
		}
		a, err := findAlgorithm(name)
		if err != nil {
			return claim{}, err
		}
		if a == nil || c.algorithm != nil {
			return claim{}, invalidRequest("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
		}
		c = claim{algorithm: a, trailer: true}
	}
	wanted, err := findAlgorithm(h.Get("X-Amz-Sdk-Checksum-Algorithm"))
	switch {
	case err != nil:
		return claim{}, err
	case wanted != nil && c.algorithm == nil:
		c.algorithm = wanted
	case wanted != nil && c.algorithm != wanted:
		return claim{}, invalidRequest("Value for x-amz-sdk-checksum-algorithm header is invalid.")
	}
	return c, nil
}

// combine gives the CRC of two byte strings, one after the other, from theirs and the
// length of the second one. Appending a zero bit is a linear map of the register, and so
// is appending 2^n of them.
func (a *algorithm) combine(first, second []byte, length int64) []byte {
	width := a.size * 8
	x, y := bigEndian(first), bigEndian(second)
	var step [64]uint64 // the images of the single bits when one zero bit is appended
	step[0] = a.reflected
	for i := 1; i < width; i++ {
		step[i] = 1 << (i - 1)
	}
	for range 3 { // from bits to bytes
		step = square(step, width)
	}
	for ; length > 0; length >>= 1 {
		if length&1 == 1 {
			x = apply(&step, x)
		}
		step = square(step, width)
	}
	out := make([]byte, 8)
	binary.BigEndian.PutUint64(out, x^y)
	return out[8-a.size:]
}

func bigEndian(b []byte) (v uint64) {
	for _, x := range b {
		v = v<<8 | uint64(x)
	}
	return v
}

func apply(m *[64]uint64, v uint64) (out uint64) {
	for i := 0; v != 0; i, v = i+1, v>>1 {
		if v&1 == 1 {
			out ^= m[i]
		}
	}
	return out
}

func square(m [64]uint64, width int) (out [64]uint64) {
	for i := range width {
		out[i] = apply(&m, m[i])
	}
	return out
}
