package api

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The major types of CBOR (RFC 8949).
const (
	cborUint byte = iota
	cborNegative
	cborBytes
	cborText
	cborArray
	cborMap
	cborTag
	cborSimple
)

// cborBreak ends what has no length of its own.
const cborBreak = 0xff

// epochTag marks seconds since 1970, the one tag that the protocol knows.
const epochTag = 1

// ServeCBOR is ServeJSON for a request and an answer in CBOR (W-36).
func (s *Service) ServeCBOR(ctx context.Context, op *Operation, body, dst []byte) ([]byte, error) {
	in := reflect.New(op.inType.Elem())
	if op.in >= 0 {
		text := []byte("{}")
		if len(body) > 0 {
			var err error
			if text, err = jsonOfCBOR(body); err != nil {
				return dst, err
			}
		}
		if err := s.Shapes.unmarshal(text, s.planOf(&op.inPlan, op.in, op.inType), in.Elem(), s.ValidationCode); err != nil {
			return dst, err
		}
	}
	out, err := s.answer(ctx, op, in)
	if err != nil || op.out < 0 {
		return dst, err // no output is an empty body
	}
	return appendCBORStructure(dst, s.planOf(&op.outPlan, op.out, op.outType), out), nil
}

// cborReader writes a CBOR item as the JSON that means the same to the decoder: times as their
// seconds and bytes in base64. It never makes more than a small multiple of what it reads, so
// a body's limit bounds it too, and what the decoder bounds is bounded there.
type cborReader struct {
	in    []byte
	pos   int
	depth int
	out   []byte
}

func jsonOfCBOR(in []byte) ([]byte, error) {
	r := cborReader{in: in, out: make([]byte, 0, len(in)+len(in)/2)}
	if err := r.item(); err != nil {
		return nil, err
	}
	if r.pos < len(r.in) {
		return nil, r.bad("more than one item")
	}
	return r.out, nil
}

func (r *cborReader) bad(what string) error {
	return serialization("The request body is not valid CBOR: %s at offset %d", what, r.pos)
}

// head reads the first bytes of an item: its major type, the five bits beside it, and the
// number they lead to. Where endless is true the item has no length but ends with a break.
func (r *cborReader) head() (major, info byte, n uint64, endless bool, err error) {
	if r.pos >= len(r.in) {
		return 0, 0, 0, false, r.bad("unexpected end")
	}
	major, info = r.in[r.pos]>>5, r.in[r.pos]&31
	r.pos++
	switch {
	case info < 24:
		return major, info, uint64(info), false, nil
	case info == 31 && major >= cborBytes && major <= cborMap:
		return major, info, 0, true, nil
	case info > 27:
		return 0, 0, 0, false, r.bad("an unknown form")
	}
	size := 1 << (info - 24)
	if len(r.in)-r.pos < size {
		return 0, 0, 0, false, r.bad("unexpected end")
	}
	for _, c := range r.in[r.pos : r.pos+size] {
		n = n<<8 | uint64(c)
	}
	r.pos += size
	return major, info, n, false, nil
}

func (r *cborReader) item() error {
	major, info, n, endless, err := r.head()
	if err != nil {
		return err
	}
	switch major {
	case cborUint:
		r.out = strconv.AppendUint(r.out, n, 10)
	case cborNegative:
		if n > math.MaxInt64 {
			return r.bad("a number that is too small")
		}
		r.out = strconv.AppendInt(r.out, -1-int64(n), 10)
	case cborBytes:
		b, err := r.bytes(major, n, endless)
		if err != nil {
			return err
		}
		r.out = append(base64.StdEncoding.AppendEncode(append(r.out, '"'), b), '"')
	case cborText:
		return r.text(n, endless)
	case cborArray, cborMap:
		return r.container(major, n, endless)
	case cborTag:
		if n != epochTag {
			return r.bad("an unknown tag")
		}
		if r.pos >= len(r.in) || r.in[r.pos]>>5 > cborNegative && (r.in[r.pos] < 0xf9 || r.in[r.pos] > 0xfb) {
			return r.bad("a time that is no number")
		}
		return r.item()
	default:
		return r.simple(info, n)
	}
	return nil
}

// bytes reads the content of a string of bytes or text, which may be in pieces.
func (r *cborReader) bytes(major byte, n uint64, endless bool) ([]byte, error) {
	if !endless {
		if n > uint64(len(r.in)-r.pos) {
			return nil, r.bad("unexpected end")
		}
		r.pos += int(n)
		return r.in[r.pos-int(n) : r.pos], nil
	}
	var all []byte
	for !r.broken() {
		m, _, n, endless, err := r.head()
		if err != nil {
			return nil, err
		}
		if m != major || endless {
			return nil, r.bad("a piece of another kind")
		}
		piece, err := r.bytes(major, n, false)
		if err != nil {
			return nil, err
		}
		all = append(all, piece...)
	}
	return all, nil
}

func (r *cborReader) text(n uint64, endless bool) error {
	b, err := r.bytes(cborText, n, endless)
	if err != nil {
		return err
	}
	if !utf8.Valid(b) {
		return r.bad("a text that is not UTF-8")
	}
	r.out = appendString(r.out, string(b))
	return nil
}

// broken consumes a break if there is one.
func (r *cborReader) broken() bool {
	if r.pos < len(r.in) && r.in[r.pos] == cborBreak {
		r.pos++
		return true
	}
	return false
}

func (r *cborReader) container(major byte, n uint64, endless bool) error {
	if r.depth++; r.depth > maxDepth {
		return serialization("The request body nests deeper than %d levels", maxDepth)
	}
	open, end := byte('['), byte(']')
	if major == cborMap {
		open, end = '{', '}'
	}
	r.out = append(r.out, open)
	for i := uint64(0); endless && !r.broken() || !endless && i < n; i++ {
		if i > 0 {
			r.out = append(r.out, ',')
		}
		if major == cborMap {
			kind, _, size, pieces, err := r.head()
			if err != nil {
				return err
			}
			if kind != cborText {
				return r.bad("a key that is no text")
			}
			if err := r.text(size, pieces); err != nil {
				return err
			}
			r.out = append(r.out, ':')
		}
		if err := r.item(); err != nil {
			return err
		}
	}
	r.depth--
	r.out = append(r.out, end)
	return nil
}

func (r *cborReader) simple(info byte, n uint64) error {
	var f float64
	switch info {
	case 20:
		r.out = append(r.out, "false"...)
		return nil
	case 21:
		r.out = append(r.out, "true"...)
		return nil
	case 22, 23: // null and undefined
		r.out = append(r.out, "null"...)
		return nil
	case 25:
		f = half(uint16(n))
	case 26:
		f = float64(math.Float32frombits(uint32(n)))
	case 27:
		f = math.Float64frombits(n)
	default:
		return r.bad("an unknown value")
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return r.bad("a number that is not finite")
	}
	r.out = appendFloat(r.out, f)
	return nil
}

// half gives the value of a float of sixteen bits.
func half(h uint16) float64 {
	exponent, fraction := int(h>>10&31), float64(h&1023)
	f := math.Ldexp(fraction, -24)
	switch {
	case exponent == 31 && fraction == 0:
		f = math.Inf(1)
	case exponent == 31:
		f = math.NaN()
	case exponent > 0:
		f = math.Ldexp(1024+fraction, exponent-25)
	}
	if h>>15 == 1 {
		return -f
	}
	return f
}

func appendCBORHead(b []byte, major byte, n uint64) []byte {
	major <<= 5
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= math.MaxUint8:
		return append(b, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}

// AppendCBORText appends s as a text of CBOR. Invalid UTF-8 becomes U+FFFD.
func AppendCBORText(b []byte, s string) []byte {
	s = strings.ToValidUTF8(s, "\uFFFD")
	return append(appendCBORHead(b, cborText, uint64(len(s))), s...)
}

// AppendCBORMap appends the head of a map; n keys, each with its value, have to follow.
func AppendCBORMap(b []byte, n int) []byte { return appendCBORHead(b, cborMap, uint64(n)) }

func appendCBORInt(b []byte, n int64) []byte {
	if n < 0 {
		return appendCBORHead(b, cborNegative, uint64(-1-n))
	}
	return appendCBORHead(b, cborUint, uint64(n))
}

func appendCBORFloat(b []byte, f float64) []byte {
	return binary.BigEndian.AppendUint64(append(b, 0xfb), math.Float64bits(f))
}

func appendCBORValue(b []byte, p *plan, v reflect.Value) []byte {
	if p.pointer {
		v = v.Elem()
	}
	switch p.Kind {
	case String:
		return AppendCBORText(b, v.String())
	case Boolean:
		if v.Bool() {
			return append(b, 0xf5)
		}
		return append(b, 0xf4)
	case Integer, Long:
		return appendCBORInt(b, v.Int())
	case Double:
		return appendCBORFloat(b, v.Float())
	case Timestamp:
		// Milliseconds, as in JSON (W-13).
		b = appendCBORHead(b, cborTag, epochTag)
		ms := v.Interface().(time.Time).UnixMilli()
		if ms%1000 == 0 {
			return appendCBORInt(b, ms/1000)
		}
		return appendCBORFloat(b, float64(ms)/1000)
	case Blob:
		return append(appendCBORHead(b, cborBytes, uint64(v.Len())), v.Bytes()...)
	case List:
		b = appendCBORHead(b, cborArray, uint64(v.Len()))
		for i := range v.Len() {
			b = appendCBORValue(b, p.elem, v.Index(i))
		}
		return b
	case Map:
		b = AppendCBORMap(b, v.Len())
		for _, key := range sortedKeys(v) {
			b = appendCBORValue(AppendCBORText(b, key.String()), p.elem, v.MapIndex(key))
		}
		return b
	}
	return appendCBORStructure(b, p, v)
}

func appendCBORStructure(b []byte, p *plan, v reflect.Value) []byte {
	n := 0
	for i := range p.fields {
		if f := &p.fields[i]; f.in == InBody && !f.absent(v.Field(i)) {
			n++
		}
	}
	b = AppendCBORMap(b, n)
	for i := range p.fields {
		if f, fv := &p.fields[i], v.Field(i); f.in == InBody && !f.absent(fv) {
			b = appendCBORValue(AppendCBORText(b, f.name), f.plan, fv)
		}
	}
	return b
}
