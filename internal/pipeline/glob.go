package pipeline

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Glob is a compiled pattern of a trigger filter (S-270).
type Glob struct{ re *regexp.Regexp }

// CompileGlob reads a pattern as the glob syntax of Java's file systems, whose text the
// reference repeats. It becomes an expression that is matched in time linear in the name,
// whatever the pattern. What that syntax refuses is an error, and so is a pattern longer
// than a definition may have (S-258).
func CompileGlob(pattern string) (Glob, error) {
	if utf8.RuneCountInString(pattern) > maxPattern {
		return Glob{}, fmt.Errorf("the pattern is longer than %d characters", maxPattern)
	}
	p := globParser{in: []rune(pattern)}
	p.out.WriteString(`(?s)\A`)
	if err := p.parse(); err != nil {
		return Glob{}, fmt.Errorf("the pattern '%s' is not valid: %w", pattern, err)
	}
	p.out.WriteString(`\z`)
	re, err := regexp.Compile(p.out.String())
	return Glob{re}, err
}

// Match says whether the whole name matches.
func (g Glob) Match(name string) bool { return g.re.MatchString(name) }

// globParser translates a pattern from the left to the right.
type globParser struct {
	in      []rune
	at      int
	inGroup bool
	out     strings.Builder
}

// take gives the next character if it is the one wanted.
func (p *globParser) take(c rune) bool {
	if p.at < len(p.in) && p.in[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *globParser) literal(c rune) { p.out.WriteString(regexp.QuoteMeta(string(c))) }

func (p *globParser) parse() error {
	for p.at < len(p.in) {
		c := p.in[p.at]
		p.at++
		switch {
		case c == '\\':
			if p.at == len(p.in) {
				return errors.New("there is nothing after the last backslash")
			}
			p.literal(p.in[p.at])
			p.at++
		case c == '[':
			if err := p.class(); err != nil {
				return err
			}
		case c == '{':
			if p.inGroup {
				return errors.New("groups in braces cannot be nested")
			}
			p.inGroup = true
			p.out.WriteString("(?:(?:")
		case c == '}' && p.inGroup:
			p.inGroup = false
			p.out.WriteString("))")
		case c == ',' && p.inGroup:
			p.out.WriteString(")|(?:")
		case c == '*' && p.take('*'):
			p.out.WriteString(".*")
		case c == '*':
			p.out.WriteString("[^/]*")
		case c == '?':
			p.out.WriteString("[^/]")
		default:
			p.literal(c)
		}
	}
	if p.inGroup {
		return errors.New("a group has no closing brace")
	}
	return nil
}

// class translates one bracket expression, whose opening bracket has been read. It never
// matches a slash.
func (p *globParser) class() error {
	var set strings.Builder
	add := func(from, to rune) {
		if from <= '/' && '/' <= to { // leave the slash out
			if from < '/' {
				fmt.Fprintf(&set, `\x{%x}-\x{%x}`, from, '/'-1)
			}
			if to == '/' {
				return
			}
			from = '/' + 1
		}
		fmt.Fprintf(&set, `\x{%x}-\x{%x}`, from, to)
	}
	negated := false
	if p.take('^') { // no negation here, and no beginning of a range
		add('^', '^')
	} else {
		negated = p.take('!')
		if p.take('-') { // a hyphen that stands first is one
			add('-', '-')
		}
	}
	start, closed := rune(-1), false
	for p.at < len(p.in) && !closed {
		c := p.in[p.at]
		p.at++
		switch {
		case c == ']':
			closed = true
		case c == '/':
			return errors.New("a set in brackets cannot have a slash")
		case c == '-' && start < 0:
			return errors.New("a range in brackets has no beginning")
		case c == '-' && p.at == len(p.in):
		case c == '-' && p.take(']'):
			add('-', '-')
			closed = true
		case c == '-':
			end := p.in[p.at]
			p.at++
			if end < start {
				return errors.New("a range in brackets ends before it begins")
			}
			add(start, end)
			start = -1
		default:
			add(c, c)
			start = c
		}
	}
	switch {
	case !closed:
		return errors.New("a set has no closing bracket")
	case set.Len() == 0:
		return errors.New("a set in brackets is empty")
	case negated:
		p.out.WriteString("[^/" + set.String() + "]")
	default:
		p.out.WriteString("[" + set.String() + "]")
	}
	return nil
}
