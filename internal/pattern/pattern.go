// Package pattern decides whether a JSON event has what an EventBridge event pattern asks
// for. SNS's filter policies are the same language.
//
// It is pure. Patterns and events come from users and may be hostile: a pattern's size is
// limited, nothing backtracks, and matching takes time in proportion to the event for each
// matcher of the pattern. Keys and ARNs are compared literally (S-355).
package pattern

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"

	"penstock/internal/fault"
)

// MaxSize is the most bytes of a pattern.
const MaxSize = 4096

// maxDepth bounds the objects within objects of a pattern.
const maxDepth = 100

// Pattern is a compiled pattern. It is immutable and may be used by many goroutines.
type Pattern struct{ root *object }

// object asks for all of its fields, and for one of each list of alternatives.
type object struct {
	fields []field
	either [][]*object
}

// field asks of the values under a key: that they be one of a leaf's, or have what an object
// asks for.
type field struct {
	key    string
	leaf   *leaf
	inside *object
}

// Compile reads a pattern. The error is a *fault.Error InvalidEventPatternException.
func Compile(text string) (*Pattern, error) {
	if len(text) > MaxSize {
		return nil, invalid("it is longer than %d characters", MaxSize)
	}
	v, err := Decode([]byte(text))
	if err != nil {
		return nil, invalid("%v", err)
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, invalid("Filter is not an object")
	}
	root, err := compileObject(m, "", 1)
	if err != nil {
		return nil, err
	}
	return &Pattern{root: root}, nil
}

// Decode reads one JSON value as Match wants it: numbers stay texts.
func Decode(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, errors.New("it is not valid JSON")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something follows the JSON value")
	}
	return v, nil
}

func invalid(format string, args ...any) error {
	return fault.New("InvalidEventPatternException", "Event pattern is not valid. Reason: "+format, args...)
}

func compileObject(m map[string]any, path string, depth int) (*object, error) {
	if depth > maxDepth {
		return nil, invalid("it nests deeper than %d objects", maxDepth)
	}
	if len(m) == 0 {
		return nil, invalid("Empty objects are not allowed at %q", path)
	}
	o := &object{}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		at := key
		if path != "" {
			at = path + "." + key
		}
		switch v := m[key].(type) {
		case map[string]any:
			inside, err := compileObject(v, at, depth+1)
			if err != nil {
				return nil, err
			}
			o.fields = append(o.fields, field{key: key, inside: inside})
		case []any:
			if alternatives, ok := objects(v); ok && key == "$or" {
				list := make([]*object, len(v))
				for i, a := range alternatives {
					var err error
					if list[i], err = compileObject(a, path, depth+1); err != nil {
						return nil, err
					}
				}
				o.either = append(o.either, list)
				continue
			}
			l, err := compileLeaf(v, at)
			if err != nil {
				return nil, err
			}
			o.fields = append(o.fields, field{key: key, leaf: l})
		default:
			return nil, invalid("%q must be an object or an array", at)
		}
	}
	return o, nil
}

// objects says whether a list can be the alternatives of $or: two objects or more, none of
// which is a matcher.
func objects(list []any) ([]map[string]any, bool) {
	out := make([]map[string]any, 0, len(list))
	for _, v := range list {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, false
		}
		for key := range m {
			if len(m) == 1 && matchers[key] != nil {
				return nil, false
			}
		}
		out = append(out, m)
	}
	return out, len(out) >= 2
}

// Match says whether an event, as Decode gives it, has what the pattern asks for.
func (p *Pattern) Match(event any) bool { return p.root.match(event) }

// match takes a value that may be absent; what is no object has no keys.
func (o *object) match(v any) bool {
	if list, ok := v.([]any); ok && len(list) > 0 {
		// What is asked of one element is asked of the same element.
		return slices.ContainsFunc(list, o.match)
	}
	m, _ := v.(map[string]any)
	for i := range o.fields {
		f := &o.fields[i]
		value, present := m[f.key]
		switch {
		case f.inside != nil && !f.inside.match(value), f.leaf != nil && !f.leaf.match(value, present):
			return false
		}
	}
	for _, alternatives := range o.either {
		if !slices.ContainsFunc(alternatives, func(a *object) bool { return a.match(v) }) {
			return false
		}
	}
	return true
}
