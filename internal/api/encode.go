package api

import (
	"encoding/base64"
	"math"
	"reflect"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// Marshal encodes v, a pointer to a generated structure of this table, as an answer is
// encoded: never null, absent members left out (W-14), times as numbers (W-13), no
// escaping for HTML. It appends to dst.
func (t *Table) Marshal(dst []byte, v any) []byte {
	rv := reflect.ValueOf(v)
	p := t.planFor(rv.Type())
	return appendStructure(dst, p, rv.Elem())
}

// absent tells whether a member is left out. A required string that may be empty is
// written empty: the service's contract has the member, and "" is a value of it.
func (f *field) absent(v reflect.Value) bool {
	switch {
	case f.Kind == String && !f.pointer:
		return v.Len() == 0 && !(f.required && (!f.HasMin || f.Min == 0) && len(f.Enum) == 0)
	default: // pointers, slices and maps
		return v.IsNil()
	}
}

func appendValue(b []byte, p *plan, v reflect.Value) []byte {
	if p.pointer {
		v = v.Elem()
	}
	switch p.Kind {
	case String:
		return appendString(b, v.String())
	case Boolean:
		return strconv.AppendBool(b, v.Bool())
	case Integer, Long:
		return strconv.AppendInt(b, v.Int(), 10)
	case Double:
		return appendFloat(b, v.Float())
	case Timestamp:
		return appendTime(b, v.Interface().(time.Time))
	case Blob:
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, v.Bytes())
		return append(b, '"')
	case List:
		b = append(b, '[')
		for i := range v.Len() {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendValue(b, p.elem, v.Index(i))
		}
		return append(b, ']')
	case Map:
		return appendMap(b, p, v)
	}
	return appendStructure(b, p, v)
}

func appendStructure(b []byte, p *plan, v reflect.Value) []byte {
	b = append(b, '{')
	first := true
	for i := range p.fields {
		f, fv := &p.fields[i], v.Field(i)
		if f.in != InBody || f.absent(fv) {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, '"')
		b = append(b, f.name...) // letters and digits only
		b = append(b, '"', ':')
		b = appendValue(b, f.plan, fv)
	}
	return append(b, '}')
}

// appendMap writes the keys sorted, so that equal answers are equal bytes.
func appendMap(b []byte, p *plan, v reflect.Value) []byte {
	b = append(b, '{')
	for i, key := range sortedKeys(v) {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, key.String())
		b = append(b, ':')
		b = appendValue(b, p.elem, v.MapIndex(key))
	}
	return append(b, '}')
}

func sortedKeys(v reflect.Value) []reflect.Value {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int {
		switch as, bs := a.String(), b.String(); {
		case as < bs:
			return -1
		case as > bs:
			return 1
		}
		return 0
	})
	return keys
}

// appendTime writes epoch seconds with at most three decimals (W-13).
func appendTime(b []byte, t time.Time) []byte {
	ms := t.UnixMilli()
	if ms < 0 {
		b = append(b, '-')
		ms = -ms
	}
	b = strconv.AppendInt(b, ms/1000, 10)
	if ms %= 1000; ms == 0 {
		return b
	}
	b = append(b, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
	for b[len(b)-1] == '0' {
		b = b[:len(b)-1]
	}
	return b
}

// appendFloat writes a finite number; JSON has no others, and 0 is the least harm.
func appendFloat(b []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		f = 0
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(b, f, format, -1, 64)
}

// AppendString appends s as a JSON string. Invalid UTF-8 becomes U+FFFD.
func AppendString(b []byte, s string) []byte { return appendString(b, s) }

func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				b = append(b, s[start:i]...)
				b = append(b, "\uFFFD"...)
				start = i + 1
			}
			i += size
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		b = append(b, s[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		start = i
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}
