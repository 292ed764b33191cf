// Package template reads JSON and YAML in which every value knows its place, and evaluates
// CloudFormation templates.
//
// A document becomes a tree of nodes. What evaluation gives are nodes again, at the places of
// what they came from, so that whatever is said of a value can name its line. The package is
// pure, and its work is bounded by the limits below, whatever the text says.
package template

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// The limits of a document.
const (
	// MaxText is its size in bytes, and that of its texts, each repeated as often as its value.
	MaxText = 2 << 20
	// MaxDepth is how deep its values are nested.
	MaxDepth = 100
	// MaxNodes counts its values, each repeated wherever an alias repeats it.
	MaxNodes = 200_000
)

// Kind is what a node is.
type Kind uint8

// The kinds are those of JSON.
const (
	Null Kind = iota
	Bool
	Number
	String
	List
	Map
)

// Node is a value and its place. It is for one goroutine, and not changed once it is made.
type Node struct {
	Kind Kind
	// Text is a scalar as it was written, without quotes and escapes.
	Text string
	// Items are the elements of a list or the values of a map, and Keys the keys of a map,
	// in the order of the text.
	Keys, Items []*Node
	// Line and Column count from 1, in characters; 0 is a place nobody wrote.
	Line, Column int

	// index finds the keys of a large map, once it has been asked for one.
	index map[string]int
}

// Error is what is wrong with a document, and where.
type Error struct {
	Line, Column int
	Message      string
}

// Error gives "LINE:COLUMN: message".
func (e *Error) Error() string { return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Message) }

func (n *Node) fail(format string, args ...any) *Error {
	return &Error{n.Line, n.Column, fmt.Sprintf(format, args...)}
}

// Scalar says whether the node is a text, a number or a truth value.
func (n *Node) Scalar() bool { return n.Kind == String || n.Kind == Number || n.Kind == Bool }

// Get gives the value of a map under a key; nil if there is none, or no map.
func (n *Node) Get(key string) *Node {
	_, v := n.entry(key)
	return v
}

func (n *Node) entry(key string) (k, v *Node) {
	if n == nil || n.Kind != Map {
		return nil, nil
	}
	if len(n.Keys) > 16 {
		if n.index == nil {
			n.index = make(map[string]int, len(n.Keys))
			for i, k := range n.Keys {
				n.index[k.Text] = i
			}
		}
		if i, ok := n.index[key]; ok {
			return n.Keys[i], n.Items[i]
		}
		return nil, nil
	}
	for i, k := range n.Keys {
		if k.Text == key {
			return k, n.Items[i]
		}
	}
	return nil, nil
}

// Find gives the value that a path of a constraint names, such as
// "stages.1.member.actions.2.member.name" (W-22) with or without ".member", or the nearest
// above it, and its place: that of a scalar is its own, that of a list or a map is where its
// name stands.
func (n *Node) Find(path string) (at, value *Node) {
	at = n
	for _, step := range strings.Split(path, ".") {
		if i, err := strconv.Atoi(step); err == nil && n.Kind == List {
			if i < 1 || i > len(n.Items) {
				return at, n
			}
			n = n.Items[i-1]
			at = n
			continue
		}
		k, v := n.entry(step)
		if k == nil {
			if step == "member" {
				continue
			}
			return at, n
		}
		at, n = k, v
		if v.Scalar() {
			at = v
		}
	}
	return at, n
}

// text makes a text that stands where another node does.
func (n *Node) text(s string) *Node {
	return &Node{Kind: String, Text: s, Line: n.Line, Column: n.Column}
}

// Str makes a text.
func Str(s string) *Node { return &Node{Kind: String, Text: s} }

// Num makes a number.
func Num(n int) *Node { return &Node{Kind: Number, Text: strconv.Itoa(n)} }

// Truth makes a truth value.
func Truth(b bool) *Node { return &Node{Kind: Bool, Text: strconv.FormatBool(b)} }

// Arr makes a list.
func Arr(items ...*Node) *Node { return &Node{Kind: List, Items: items} }

// Put adds an entry to a map that is being made, and gives the map.
func (n *Node) Put(key string, v *Node) *Node { return n.PutAt(Str(key), v) }

// PutAt is Put with a key that has a place.
func (n *Node) PutAt(key, v *Node) *Node {
	n.Kind, n.index = Map, nil
	n.Keys, n.Items = append(n.Keys, key), append(n.Items, v)
	return n
}

// MarshalJSON writes the value, with keys in the order of the text. A number of YAML that JSON
// does not know, such as 0x10, is written as JSON writes it.
func (n *Node) MarshalJSON() ([]byte, error) { return n.append(nil), nil }

func (n *Node) append(b []byte) []byte {
	switch n.Kind {
	case Null:
		return append(b, "null"...)
	case Bool:
		return strconv.AppendBool(b, strings.EqualFold(n.Text, "true"))
	case Number:
		if text := n.number(); text != "" {
			return append(b, text...)
		}
		return appendText(b, n.Text)
	case String:
		return appendText(b, n.Text)
	case List:
		b = append(b, '[')
		for i, v := range n.Items {
			if i > 0 {
				b = append(b, ',')
			}
			b = v.append(b)
		}
		return append(b, ']')
	}
	b = append(b, '{')
	for i, v := range n.Items {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendText(b, n.Keys[i].Text), ':')
		b = v.append(b)
	}
	return append(b, '}')
}

func appendText(b []byte, s string) []byte {
	text, _ := json.Marshal(s) // a string has always a JSON form
	return append(b, text...)
}

var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// number gives a number as JSON writes it, or "" where the text is none.
func (n *Node) number() string {
	if jsonNumber.MatchString(n.Text) {
		return n.Text
	}
	plain := strings.ReplaceAll(n.Text, "_", "")
	if i, err := strconv.ParseInt(plain, 0, 64); err == nil {
		return strconv.FormatInt(i, 10)
	}
	if f, err := strconv.ParseFloat(plain, 64); err == nil {
		if text, err := json.Marshal(f); err == nil {
			return string(text)
		}
	}
	return ""
}
