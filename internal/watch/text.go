package watch

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Clean makes text of others fit for one line of a terminal: control characters, which could
// move the cursor or worse, and characters that turn the direction of writing are gone.
func Clean(s string) string { return strings.TrimRight(clean(s, false), " ") }

// CleanLog is Clean for a line of a log: its colours stay.
func CleanLog(s string) string { return clean(s, true) }

func clean(s string, colours bool) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == '\x1b' {
			end, colour := sequence(s[i:])
			if colours && colour {
				b.WriteString(s[i : i+end])
			}
			i += end
			continue
		}
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			b.WriteByte(' ')
		case r == utf8.RuneError && n == 1:
			b.WriteRune(utf8.RuneError)
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029':
		default:
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// sequence gives the length of the escape sequence at the start of s, and whether it is one
// that only sets colours.
func sequence(s string) (length int, colour bool) {
	if len(s) < 2 {
		return len(s), false
	}
	switch s[1] {
	case '[': // CSI: parameters up to a final byte
		plain := true
		for i := 2; i < len(s); i++ {
			switch c := s[i]; {
			case c >= '0' && c <= '9' || c == ';':
			case c >= 0x40 && c <= 0x7e:
				return i + 1, c == 'm' && plain && i < 32
			case c >= 0x20 && c <= 0x3f:
				plain = false
			default:
				return i, false
			}
		}
		return len(s), false
	case ']', 'P', 'X', '^', '_': // strings up to BEL or ESC \
		for i := 2; i < len(s); i++ {
			if s[i] == '\a' {
				return i + 1, false
			}
			if s[i] == '\x1b' && i+1 < len(s) && s[i+1] == '\\' {
				return i + 2, false
			}
		}
		return len(s), false
	}
	return 2, false
}

// Short is how an execution is called in a line: its id up to the first dash.
func Short(id string) string {
	head, _, _ := strings.Cut(id, "-")
	return Clean(head)
}

// Elapsed writes a duration as people say it.
func Elapsed(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	}
	d = d.Round(time.Minute)
	return strings.TrimSuffix(d.String(), "0s")
}
