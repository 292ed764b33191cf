package api

import (
	"encoding/base64"
	"reflect"
	"strconv"
	"time"
	"unicode/utf8"
)

// appendXMLMembers writes the present members of a structure as elements.
func appendXMLMembers(b []byte, p *plan, v reflect.Value) []byte {
	for i := range p.fields {
		f, fv := &p.fields[i], v.Field(i)
		if !f.absent(fv) {
			b = appendElement(b, f.name, f.plan, fv)
		}
	}
	return b
}

func appendElement(b []byte, name string, p *plan, v reflect.Value) []byte {
	b = appendTag(b, "<", name)
	b = appendXML(b, p, v)
	return appendTag(b, "</", name)
}

func appendTag(b []byte, open, name string) []byte {
	b = append(b, open...)
	b = append(b, name...)
	return append(b, '>')
}

// appendXML writes a value's content. Lists and maps are wrapped, never flattened: none
// of our services has it otherwise, and the generator refuses one that has.
func appendXML(b []byte, p *plan, v reflect.Value) []byte {
	if p.pointer {
		v = v.Elem()
	}
	switch p.Kind {
	case String:
		return AppendXMLText(b, v.String())
	case Boolean:
		return strconv.AppendBool(b, v.Bool())
	case Integer, Long:
		return strconv.AppendInt(b, v.Int(), 10)
	case Double:
		return appendFloat(b, v.Float())
	case Timestamp:
		return appendXMLTime(b, v.Interface().(time.Time))
	case Blob:
		return base64.StdEncoding.AppendEncode(b, v.Bytes())
	case List:
		for i := range v.Len() {
			b = appendElement(b, "member", p.elem, v.Index(i))
		}
		return b
	case Map:
		keyName, valueName := p.entryNames()
		for _, key := range sortedKeys(v) {
			b = append(b, "<entry>"...)
			b = appendElement(b, keyName, p.key, key)
			b = appendElement(b, valueName, p.elem, v.MapIndex(key))
			b = append(b, "</entry>"...)
		}
		return b
	}
	return appendXMLMembers(b, p, v)
}

// appendXMLTime writes whole seconds as IAM does, and milliseconds only where there are any.
func appendXMLTime(b []byte, t time.Time) []byte {
	t = t.UTC().Truncate(time.Millisecond)
	if t.Nanosecond() == 0 {
		return t.AppendFormat(b, "2006-01-02T15:04:05Z")
	}
	return t.AppendFormat(b, "2006-01-02T15:04:05.000Z")
}

// AppendXMLText appends s escaped for element content. Characters that XML 1.0 cannot
// hold become U+FFFD; a carriage return is written as a reference, or a reader would
// turn it into a line feed.
func AppendXMLText(b []byte, s string) []byte {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '&':
			b = append(b, "&amp;"...)
		case r == '<':
			b = append(b, "&lt;"...)
		case r == '>':
			b = append(b, "&gt;"...)
		case r == '"':
			b = append(b, "&quot;"...)
		case r == '\r':
			b = append(b, "&#xD;"...)
		case r < ' ' && r != '\t' && r != '\n', r == 0xFFFE, r == 0xFFFF, r == utf8.RuneError && size == 1:
			b = append(b, "\uFFFD"...)
		default:
			b = append(b, s[i:i+size]...)
		}
		i += size
	}
	return b
}
