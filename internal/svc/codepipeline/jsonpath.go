package codepipeline

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
)

// A jsonPath selects values of a JSON document. It is the part of JSONPath that webhook
// filters use (S-250):
//
//	$                 the document; a path may begin without "$."
//	.name  ['name']   a member of an object, also with double quotes
//	[2]  [-1]         an element of an array, from the end if negative
//	.*  [*]           all members or elements
//
// Searches at any depth (..), slices, lists of names and expressions in brackets are
// refused: they could take much longer than the document is large.
type jsonPath []pathStep

// pathStep is one step: a name, an index, or all.
type pathStep struct {
	name  string
	index int
	kind  stepKind
}

type stepKind uint8

const (
	stepName stepKind = iota
	stepIndex
	stepAll
)

// maxSelected bounds the values that a path with * selects.
const maxSelected = 10000

var errPath = errors.New("only $, .name, ['name'], [0], [*] and .* can be used in a path")

// parsePath reads a path.
func parsePath(text string) (jsonPath, error) {
	rest, ok := strings.CutPrefix(text, "$")
	if !ok {
		rest = "." + text
	}
	var p jsonPath
	for rest != "" {
		var step pathStep
		var err error
		if rest[0] == '[' {
			step, rest, err = parseBracket(rest[1:])
		} else {
			step, rest, err = parseDot(rest)
		}
		if err != nil {
			return nil, err
		}
		p = append(p, step)
	}
	return p, nil
}

// parseDot reads a step that begins with a dot.
func parseDot(text string) (pathStep, string, error) {
	rest, ok := strings.CutPrefix(text, ".")
	n := strings.IndexAny(rest, ".[")
	if n < 0 {
		n = len(rest)
	}
	name := rest[:n]
	switch {
	case !ok, name == "", strings.ContainsAny(name, " \t\r\n()'\"?@,:$]"):
		return pathStep{}, "", errPath
	case name == "*":
		return pathStep{kind: stepAll}, rest[n:], nil
	}
	return pathStep{name: name}, rest[n:], nil
}

// parseBracket reads a step whose opening bracket has been read.
func parseBracket(text string) (pathStep, string, error) {
	if text != "" && (text[0] == '\'' || text[0] == '"') {
		name, rest, ok := strings.Cut(text[1:], text[:1])
		if rest, closed := strings.CutPrefix(rest, "]"); ok && closed && !strings.Contains(name, `\`) {
			return pathStep{name: name}, rest, nil
		}
		return pathStep{}, "", errPath
	}
	inside, rest, ok := strings.Cut(text, "]")
	if !ok {
		return pathStep{}, "", errPath
	}
	if inside == "*" {
		return pathStep{kind: stepAll}, rest, nil
	}
	n, err := strconv.ParseInt(inside, 10, 32)
	if err != nil || inside[0] == '+' {
		return pathStep{}, "", errPath
	}
	return pathStep{kind: stepIndex, index: int(n)}, rest, nil
}

// find gives the values that the path selects in a document, in no order. The document is
// what encoding/json decodes.
func (p jsonPath) find(doc any) []any {
	found := []any{doc}
	for _, step := range p {
		var next []any
		for _, v := range found {
			next = step.take(v, next)
		}
		if found = next; len(found) == 0 {
			return nil
		}
	}
	return found
}

// take adds what the step selects in v.
func (s pathStep) take(v any, to []any) []any {
	switch v := v.(type) {
	case map[string]any:
		if s.kind == stepAll {
			for _, member := range v {
				to = add(to, member)
			}
		} else if member, ok := v[s.name]; ok && s.kind == stepName {
			to = add(to, member)
		}
	case []any:
		at := s.index
		if at < 0 {
			at += len(v)
		}
		if s.kind == stepAll {
			for _, element := range v {
				to = add(to, element)
			}
		} else if s.kind == stepIndex && at >= 0 && at < len(v) {
			to = add(to, v[at])
		}
	}
	return to
}

func add(to []any, v any) []any {
	if len(to) < maxSelected {
		to = append(to, v)
	}
	return to
}

// scalar gives the text of a value that is no object or array, as it stands in the document.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	case nil:
		return "null", true
	}
	return "", false
}
