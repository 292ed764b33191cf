package policy

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Within a compiled pattern these stand for the wildcards, so that a star that a policy
// variable brings in is only a star. Neither can occur in a document or in a value.
const (
	anyText = "\x00" // *
	anyChar = '\x01' // ?
)

// pattern is a text with wildcards. A text with variables is compiled for each request.
type pattern struct {
	text     string
	variable bool
	parts    []string // what stands between the stars
}

func compilePattern(text string, variables bool) pattern {
	p := pattern{text: text}
	if variables && strings.Contains(text, "${") {
		p.variable = true
		return p
	}
	p.parts = strings.Split(mark(text), anyText)
	return p
}

var marker = strings.NewReplacer("*", anyText, "?", string(anyChar))

// mark replaces the wildcards of a policy's own text.
func mark(text string) string { return marker.Replace(text) }

// matchParts matches s with parts joined by stars. Taking the leftmost place for each part
// is enough, so there is no backtracking: the time is linear for parts without question
// marks and at worst the product of one part's length and s.
func matchParts(parts []string, s string) bool {
	if !ascii(s) && slices.ContainsFunc(parts, func(part string) bool { return strings.IndexByte(part, anyChar) >= 0 }) {
		return matchCharacters(characters(strings.Join(parts, anyText)), characters(s))
	}
	first, last := parts[0], parts[len(parts)-1]
	if len(parts) == 1 {
		return len(s) == len(first) && prefix(first, s)
	}
	if len(s) < len(first)+len(last) || !prefix(first, s) || !prefix(last, s[len(s)-len(last):]) {
		return false
	}
	s = s[len(first) : len(s)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		i := index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return true
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// characters gives those of a text. A byte that is in none becomes a number of its own, so that
// it is not taken for U+FFFD, which a policy may have.
func characters(s string) []rune {
	out := make([]rune, 0, len(s))
	for i, c := range s {
		if _, width := utf8.DecodeRuneInString(s[i:]); c == utf8.RuneError && width == 1 {
			c = -rune(s[i])
		}
		out = append(out, c)
	}
	return out
}

// matchCharacters matches where a question mark may stand for several bytes. Only the last star
// met is tried anew, so the time is at worst the product of the lengths.
func matchCharacters(p, s []rune) bool {
	i, j, star, from := 0, 0, -1, 0
	for j < len(s) {
		switch {
		case i < len(p) && p[i] == rune(anyText[0]):
			star, from = i, j
			i++
		case i < len(p) && (p[i] == rune(anyChar) || p[i] == s[j]):
			i, j = i+1, j+1
		case star >= 0:
			from++
			i, j = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(string(p[i:]), anyText) == ""
}

// prefix reports whether s begins with part.
func prefix(part, s string) bool {
	if len(s) < len(part) {
		return false
	}
	for i := range len(part) {
		if part[i] != anyChar && part[i] != s[i] {
			return false
		}
	}
	return true
}

// index finds the leftmost place of part in s.
func index(s, part string) int {
	if strings.IndexByte(part, anyChar) < 0 {
		return strings.Index(s, part)
	}
	for i := 0; i+len(part) <= len(s); i++ {
		if prefix(part, s[i:]) {
			return i
		}
	}
	return -1
}

// expand puts the values of policy variables into a text: ${aws:username},
// ${aws:username, 'nobody'}, and ${*}, ${?}, ${$} for the characters themselves. With
// wild, the stars and question marks of the text (not of the values) become marks. It is
// false if a variable has no single value.
func expand(text string, wild bool, lookup Lookup) (string, bool) {
	own := func(s string) string {
		if wild {
			return mark(s)
		}
		return s
	}
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${")
		b.WriteString(own(before))
		if !found {
			return b.String(), true
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			b.WriteString(own("${" + rest))
			return b.String(), true
		}
		text = after
		switch name {
		case "*", "?", "$":
			b.WriteString(name)
			continue
		}
		name, fallback, hasFallback := strings.Cut(name, ",")
		values, ok := lookup(strings.ToLower(strings.TrimSpace(name)))
		fallback = strings.TrimSpace(fallback)
		switch {
		case ok && len(values) == 1 && !strings.ContainsAny(values[0], "\x00\x01"):
			b.WriteString(values[0])
		case !ok && hasFallback && len(fallback) >= 2 && fallback[0] == '\'' && fallback[len(fallback)-1] == '\'':
			b.WriteString(fallback[1 : len(fallback)-1])
		default:
			return "", false
		}
	}
}

// matchARN compares two ARNs part by part, as the Arn operators do: a star does not reach
// over a colon, except in the last of the six parts.
func matchARN(parts []string, arn string) bool {
	have := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || len(have) != 6 {
		return false
	}
	for i := range parts {
		if !matchParts(strings.Split(parts[i], anyText), have[i]) {
			return false
		}
	}
	return true
}

// isActionType reports whether an ARN names a CodePipeline action type; old policies spell
// those in other cases, with a final slash and without account (W-45).
func isActionType(arn string) bool {
	p := strings.SplitN(arn, ":", 6)
	return len(p) == 6 && p[2] == "codepipeline" && len(p[5]) >= 11 && strings.EqualFold(p[5][:11], "actiontype:")
}

// actionTypePattern gives the form in which a pattern is compared with an action type.
func actionTypePattern(text string) string {
	text = strings.TrimSuffix(strings.ToLower(text), "/")
	if p := strings.SplitN(text, ":", 6); len(p) == 6 && p[4] == "" {
		p[4] = anyText
		return strings.Join(p, ":")
	}
	return text
}
