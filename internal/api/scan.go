package api

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"penstock/internal/fault"
)

// maxDepth bounds how deep a request may nest; the deepest modelled input has 14 levels.
const maxDepth = 64

// scanner walks one JSON text. It is strict (RFC 8259) except that a lone surrogate
// escape becomes U+FFFD, as it does in encoding/json.
type scanner struct {
	buf   []byte
	pos   int
	depth int
	// text holds strings with escapes while they are built.
	text []byte
}

// serialization is the refusal of a body whose form is wrong (W-4).
func serialization(format string, args ...any) error {
	return fault.New("SerializationException", format, args...)
}

func (s *scanner) bad() error {
	if s.pos >= len(s.buf) {
		return serialization("The request body is not valid JSON: unexpected end at offset %d", s.pos)
	}
	return serialization("The request body is not valid JSON: unexpected %q at offset %d", rune(s.buf[s.pos]), s.pos)
}

// peek skips white space and gives the next byte, 0 at the end.
func (s *scanner) peek() byte {
	for s.pos < len(s.buf) {
		switch c := s.buf[s.pos]; c {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// take consumes c, which may follow white space.
func (s *scanner) take(c byte) error {
	if s.peek() != c || s.pos >= len(s.buf) {
		return s.bad()
	}
	s.pos++
	return nil
}

func (s *scanner) literal(word string) error {
	if len(s.buf)-s.pos < len(word) || string(s.buf[s.pos:s.pos+len(word)]) != word {
		return s.bad()
	}
	s.pos += len(word)
	return nil
}

// null consumes a null if there is one.
func (s *scanner) null() (bool, error) {
	if s.peek() != 'n' {
		return false, nil
	}
	return true, s.literal("null")
}

func (s *scanner) enter() error {
	s.pos++
	if s.depth++; s.depth > maxDepth {
		return serialization("The request body nests deeper than %d levels", maxDepth)
	}
	return nil
}

// more consumes what stands between the parts of a list or object, or its end. first
// tells that no part has been read.
func (s *scanner) more(end byte, first bool) (bool, error) {
	c := s.peek()
	switch {
	case c == end:
		s.pos++
		s.depth--
		return false, nil
	case first:
		return true, nil
	case c == ',':
		s.pos++
		return true, nil
	}
	return false, s.bad()
}

// str reads a string; the result is only good until the next read.
func (s *scanner) str() ([]byte, error) {
	if err := s.take('"'); err != nil {
		return nil, err
	}
	start := s.pos
	for ; s.pos < len(s.buf); s.pos++ {
		switch c := s.buf[s.pos]; {
		case c == '"':
			text := s.buf[start:s.pos]
			s.pos++
			if !utf8.Valid(text) {
				return nil, serialization("The request body is not valid UTF-8")
			}
			return text, nil
		case c == '\\':
			return s.escaped(start)
		case c < ' ':
			return nil, s.bad()
		}
	}
	return nil, s.bad()
}

// escaped goes on with a string that has an escape at the current place.
func (s *scanner) escaped(start int) ([]byte, error) {
	b := append(s.text[:0], s.buf[start:s.pos]...)
	for s.pos < len(s.buf) {
		c := s.buf[s.pos]
		switch {
		case c == '"':
			s.pos++
			s.text = b
			if !utf8.Valid(b) {
				return nil, serialization("The request body is not valid UTF-8")
			}
			return b, nil
		case c < ' ':
			return nil, s.bad()
		case c != '\\':
			b = append(b, c)
			s.pos++
			continue
		}
		s.pos++
		if s.pos == len(s.buf) {
			return nil, s.bad()
		}
		c = s.buf[s.pos]
		switch c {
		case '"', '\\', '/':
			b = append(b, c)
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'u':
			r, err := s.hex4()
			if err != nil {
				return nil, err
			}
			if utf16.IsSurrogate(r) && s.pos+2 < len(s.buf) && s.buf[s.pos+1] == '\\' && s.buf[s.pos+2] == 'u' {
				before := s.pos
				s.pos += 2
				low, err := s.hex4()
				if err != nil {
					return nil, err
				}
				if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
					s.pos = before // the second escape stands for itself
				}
			}
			b = utf8.AppendRune(b, r)
		default:
			return nil, s.bad()
		}
		s.pos++
	}
	return nil, s.bad()
}

// hex4 reads the four digits after the u at the current place and stops on the last.
func (s *scanner) hex4() (rune, error) {
	var r rune
	for range 4 {
		s.pos++
		if s.pos >= len(s.buf) {
			return 0, s.bad()
		}
		c := s.buf[s.pos]
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, s.bad()
		}
		r = r<<4 | rune(c)
	}
	return r, nil
}

// number reads a number in JSON's grammar and gives its text.
func (s *scanner) number() (text []byte, integer bool, err error) {
	s.peek()
	start := s.pos
	digits := func() bool {
		from := s.pos
		for s.pos < len(s.buf) && s.buf[s.pos] >= '0' && s.buf[s.pos] <= '9' {
			s.pos++
		}
		return s.pos > from
	}
	at := func(set string) bool {
		for i := range len(set) {
			if s.pos < len(s.buf) && s.buf[s.pos] == set[i] {
				s.pos++
				return true
			}
		}
		return false
	}
	at("-")
	if !at("0") && !digits() {
		return nil, false, s.bad()
	}
	integer = true
	if at(".") {
		if integer = false; !digits() {
			return nil, false, s.bad()
		}
	}
	if at("eE") {
		integer = false
		at("+-")
		if !digits() {
			return nil, false, s.bad()
		}
	}
	return s.buf[start:s.pos], integer, nil
}

// skip reads over one value of any form.
func (s *scanner) skip() error {
	switch c := s.peek(); {
	case c == '"':
		_, err := s.str()
		return err
	case c == '{' || c == '[':
		end := byte(c + 2) // '{' and '}', '[' and ']' are two apart
		if err := s.enter(); err != nil {
			return err
		}
		for first := true; ; first = false {
			more, err := s.more(end, first)
			if err != nil || !more {
				return err
			}
			if c == '{' {
				if _, err := s.str(); err != nil {
					return err
				}
				if err := s.take(':'); err != nil {
					return err
				}
			}
			if err := s.skip(); err != nil {
				return err
			}
		}
	case c == 't':
		return s.literal("true")
	case c == 'f':
		return s.literal("false")
	case c == 'n':
		return s.literal("null")
	case c == '-' || c >= '0' && c <= '9':
		_, _, err := s.number()
		return err
	}
	return s.bad()
}

// wrongType is the refusal of a value whose JSON type is not want, in the words of the
// AWS services (W-4).
func (s *scanner) wrongType(want Kind) error {
	switch c := s.peek(); {
	case c == '{':
		return serialization("Start of structure or map found where not expected.")
	case c == '[':
		return serialization("Start of list found where not expected")
	case c == '"':
		if want >= List {
			return serialization("Unexpected field type")
		}
		return serialization("STRING_VALUE can not be converted to %s", want)
	case c == 't':
		return serialization("TRUE_VALUE can not be converted to %s", want)
	case c == 'f':
		return serialization("FALSE_VALUE can not be converted to %s", want)
	case c == '-' || c >= '0' && c <= '9':
		return serialization("NUMBER_VALUE can not be converted to %s", want)
	}
	return s.bad()
}

// String names the kind with its article, as AWS's messages do.
func (k Kind) String() string {
	names := [...]string{"", "a String", "a Boolean", "an Integer", "a Long", "a Double", "a Timestamp", "a Blob", "a List", "a Map", "a Structure"}
	if int(k) < len(names) {
		return names[k]
	}
	return "Kind " + strconv.Itoa(int(k))
}
