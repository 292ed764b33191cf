package api

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"penstock/internal/fault"
)

// maxReported is how many violations a message spells out. All are counted; a hostile
// request could otherwise turn 2 MiB into a message of a hundred.
const maxReported = 100

// maxPathKey cuts map keys, which the caller chose, in paths.
const maxPathKey = 128

// checker collects the violations of one input in AWS's grammar (W-21 to W-23).
type checker struct {
	// lower writes member names with a small first letter, as the query services do.
	lower bool
	path  []byte
	count int
	found []violation
}

type violation struct{ path, phrase, value string }

// push adds a member name to the path and gives the mark for pop.
func (c *checker) push(name string) int {
	mark := len(c.path)
	if mark > 0 {
		c.path = append(c.path, '.')
	}
	start := len(c.path)
	c.path = append(c.path, name...)
	if c.lower && len(name) > 0 && name[0] >= 'A' && name[0] <= 'Z' {
		c.path[start] += 'a' - 'A'
	}
	return mark
}

// pushIndex adds a list element by its place, counted from 1 (W-22).
func (c *checker) pushIndex(i int) int {
	mark := len(c.path)
	c.path = append(c.path, '.')
	c.path = strconv.AppendInt(c.path, int64(i+1), 10)
	c.path = append(c.path, ".member"...)
	return mark
}

// pushKey adds a map value by its key.
func (c *checker) pushKey(key string) int {
	if len(key) > maxPathKey {
		key = strings.ToValidUTF8(key[:maxPathKey], "")
	}
	mark := len(c.path)
	c.path = append(c.path, '.')
	c.path = append(c.path, key...)
	c.path = append(c.path, ".member"...)
	return mark
}

func (c *checker) pop(mark int) { c.path = c.path[:mark] }

func (c *checker) add(phrase string) { c.report(string(c.path), "", phrase) }

func (c *checker) report(path, value, phrase string) {
	if c.count++; len(c.found) < maxReported {
		c.found = append(c.found, violation{path: path, phrase: phrase, value: value})
	}
}

// missing reports a required member that is absent.
func (c *checker) missing(name string) {
	mark := c.push(name)
	c.report(string(c.path), " null", "Member must not be null")
	c.pop(mark)
}

// forget drops the n violations below the current path, of which not all may have been kept: the
// JSON text repeats a member, and the last one counts.
func (c *checker) forget(n int) {
	at := string(c.path)
	c.found = slices.DeleteFunc(c.found, func(v violation) bool {
		return v.path == at || strings.HasPrefix(v.path, at+".")
	})
	c.count -= n
}

// err is nil, or the one ValidationException with all violations (W-21).
func (c *checker) err(code string) error {
	if c.count == 0 {
		return nil
	}
	var b strings.Builder
	plural := "s"
	if c.count == 1 {
		plural = ""
	}
	fmt.Fprintf(&b, "%d validation error%s detected: ", c.count, plural)
	for i, v := range c.found {
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "Value%s at '%s' failed to satisfy constraint: %s", v.value, v.path, v.phrase)
	}
	if code == "" {
		code = "ValidationException"
	}
	return &fault.Error{Code: code, Message: b.String()}
}

// The phrases of W-23.

func (p *plan) minLength() string {
	return "Member must have length greater than or equal to " + strconv.FormatInt(p.Min, 10)
}

func (p *plan) maxLength() string {
	return "Member must have length less than or equal to " + strconv.FormatInt(p.Max, 10)
}

func (p *plan) enumSet() string {
	return "Member must satisfy enum value set: [" + strings.Join(p.Enum, ", ") + "]"
}

func (p *plan) patternPhrase() string {
	return "Member must satisfy regular expression pattern: " + p.Pattern
}

func (p *plan) minValue() string {
	return "Member must have value greater than or equal to " + strconv.FormatInt(p.Min, 10)
}

func (p *plan) maxValue() string {
	return "Member must have value less than or equal to " + strconv.FormatInt(p.Max, 10)
}

// list spells all constraints of an element, key or map value in one bracket.
func (p *plan) list() string {
	var all []string
	length := p.Kind == String || p.Kind == Blob
	if p.HasMax && length {
		all = append(all, p.maxLength())
	} else if p.HasMax {
		all = append(all, p.maxValue())
	}
	if p.HasMin && length {
		all = append(all, p.minLength())
	} else if p.HasMin {
		all = append(all, p.minValue())
	}
	if p.Pattern != "" {
		all = append(all, p.patternPhrase())
	}
	if len(p.Enum) > 0 {
		all = append(all, p.enumSet())
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// The checks tell whether a value is wrong and spell out why to c, if c is not nil.

func (p *plan) checkLength(c *checker, n int) bool {
	return p.checkBounds(c, int64(n) > p.Max, int64(n) < p.Min, p.maxLength, p.minLength)
}

func (p *plan) checkNumber(c *checker, n float64) bool {
	return p.checkBounds(c, n > float64(p.Max), n < float64(p.Min), p.maxValue, p.minValue)
}

func (p *plan) checkBounds(c *checker, above, below bool, max, min func() string) bool {
	above, below = above && p.HasMax, below && p.HasMin
	if c != nil && above {
		c.add(max())
	}
	if c != nil && below {
		c.add(min())
	}
	return above || below
}

func (p *plan) checkString(c *checker, s string) bool {
	bad := false
	if p.HasMax || p.HasMin {
		bad = p.checkLength(c, utf8.RuneCountInString(s))
	}
	if p.Pattern != "" && !p.pattern().MatchString(s) {
		bad = true
		if c != nil {
			c.add(p.patternPhrase())
		}
	}
	if len(p.Enum) > 0 && !slices.Contains(p.Enum, s) {
		bad = true
		if c != nil {
			c.add(p.enumSet())
		}
	}
	return bad
}
