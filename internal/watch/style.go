package watch

import (
	"strings"
	"unicode/utf8"
)

// Style is how lines look: with colours or not, with signs of Unicode or of ASCII.
type Style struct{ Colour, Unicode bool }

type colour string

const (
	plain  colour = ""
	bold   colour = "1"
	dim    colour = "2"
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
	blue   colour = "36"
)

// span is text of one colour. Its text is clean, or a log line with colours of its own.
type span struct {
	text string
	colour
	raw bool
}

// line is one line of the terminal.
type line []span

// StyleFor chooses by the environment: NO_COLOR and TERM=dumb ask for no colours, and a
// locale without UTF-8 for ASCII.
func StyleFor(getenv func(string) string, terminal bool) Style {
	locale := getenv("LC_ALL")
	for _, name := range []string{"LC_CTYPE", "LANG"} {
		if locale == "" {
			locale = getenv(name)
		}
	}
	locale = strings.ToUpper(locale)
	return Style{
		Colour:  terminal && getenv("NO_COLOR") == "" && getenv("TERM") != "dumb",
		Unicode: strings.Contains(locale, "UTF-8") || strings.Contains(locale, "UTF8"),
	}
}

// render writes a line in at most width columns; 0 is no limit.
func (st Style) render(l line, width int) string {
	var b strings.Builder
	left := width
	for _, s := range l {
		text := s.text
		if width > 0 {
			if left <= 0 {
				break
			}
			text, left = cut(text, left, s.raw)
		}
		if s.raw && !st.Colour {
			text = Clean(text)
		}
		switch {
		case s.raw && st.Colour:
			b.WriteString(text + "\x1b[0m")
		case s.colour != plain && st.Colour && text != "":
			b.WriteString("\x1b[" + string(s.colour) + "m" + text + "\x1b[0m")
		default:
			b.WriteString(text)
		}
	}
	return b.String()
}

// cut gives what of text fits into width columns and how many are left. In raw text the
// escape sequences take none.
func cut(text string, width int, raw bool) (string, int) {
	for i := 0; i < len(text); {
		if raw && text[i] == '\x1b' {
			n, _ := sequence(text[i:])
			i += n
			continue
		}
		if width == 0 {
			return text[:i], 0
		}
		_, n := utf8.DecodeRuneInString(text[i:])
		i += n
		width--
	}
	return text, width
}

// pad fills text up to width columns.
func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
}

// sign is the sign and colour of a status; approve is for one that waits for a person.
func (st Style) sign(status string, approve bool) (string, colour) {
	pick := func(unicode, ascii string) string {
		if st.Unicode {
			return unicode
		}
		return ascii
	}
	switch {
	case approve:
		return "?", yellow
	case status == StatusSucceeded:
		return pick("✓", "+"), green
	case status == "Failed":
		return pick("✗", "x"), red
	case status == StatusInProgress:
		return pick("●", "*"), blue
	case status == StatusStopping, status == StatusWaiting:
		return pick("◌", "~"), yellow
	case status == "":
		return pick("·", "."), dim
	}
	return pick("■", "-"), dim // Stopped, Superseded, Cancelled, Abandoned, Skipped
}
