package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"penstock/internal/watch"
)

// plain writes lines for people. What a server answers was written by many: of control characters
// none but those of colours and ends of lines get to the terminal.
type plain struct{ to io.Writer }

func (p plain) Write(b []byte) (int, error) {
	lines := strings.Split(string(b), "\n")
	for i := range lines {
		lines[i] = watch.CleanLog(lines[i])
	}
	if _, err := io.WriteString(p.to, strings.Join(lines, "\n")); err != nil {
		return 0, err
	}
	return len(b), nil
}

// spelled writes JSON in which all that plain would leave out is spelled as an escape, so that it
// says the same.
type spelled struct{ to io.Writer }

func (s spelled) Write(b []byte) (int, error) {
	var out bytes.Buffer
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
			fmt.Fprintf(&out, `\u%04x`, r)
		} else {
			out.Write(b[i : i+n])
		}
		i += n
	}
	if _, err := s.to.Write(out.Bytes()); err != nil {
		return 0, err
	}
	return len(b), nil
}
