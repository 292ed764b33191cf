package template

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"path"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// Read gives the documents of a text. It is JSON if the name of the file ends so or, for a
// name that ends otherwise, if the text begins as JSON does; else it is YAML. Both may hold
// several documents. The error is an [*Error].
func Read(file string, text []byte) ([]*Node, error) {
	if len(text) > MaxText {
		return nil, &Error{1, 1, "the text has more than " + strconv.Itoa(MaxText) + " bytes"}
	}
	if !utf8.Valid(text) {
		return nil, &Error{1, 1, "the text is not UTF-8"}
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if isJSON(file, text) {
		return readJSON(text)
	}
	return readYAML(text)
}

func isJSON(file string, text []byte) bool {
	switch strings.ToLower(path.Ext(file)) {
	case ".json":
		return true
	case ".yaml", ".yml":
		return false
	}
	return bytes.HasPrefix(bytes.TrimSpace(text), []byte("{"))
}

// reader counts what has been read.
type reader struct{ nodes int }

func (r *reader) count(at *Node, depth int) *Error {
	if r.nodes++; r.nodes > MaxNodes {
		return at.fail("the text has more than %d values, with those that aliases repeat", MaxNodes)
	}
	if depth > MaxDepth {
		return at.fail("the values are nested more than %d deep", MaxDepth)
	}
	return nil
}

// jsonReader reads tokens and follows their places.
type jsonReader struct {
	reader
	text         []byte
	tokens       *json.Decoder
	at           int
	line, column int
}

func readJSON(text []byte) ([]*Node, error) {
	r := &jsonReader{text: text, tokens: json.NewDecoder(bytes.NewReader(text)), line: 1, column: 1}
	r.tokens.UseNumber()
	var docs []*Node
	for {
		n, end, err := r.value(0)
		if err != nil {
			return nil, err
		}
		if end {
			return docs, nil
		}
		docs = append(docs, n)
	}
}

// move goes on to a place of the text.
func (r *jsonReader) move(to int) {
	for r.at < to && r.at < len(r.text) {
		c, size := utf8.DecodeRune(r.text[r.at:])
		r.at += size
		if r.column++; c == '\n' {
			r.line, r.column = r.line+1, 1
		}
	}
}

// token gives the next token and, in a node, its place.
func (r *jsonReader) token() (json.Token, *Node, error) {
	start := int(r.tokens.InputOffset())
	for start < len(r.text) && strings.IndexByte(" \t\r\n,:", r.text[start]) >= 0 {
		start++
	}
	r.move(start)
	at := &Node{Line: r.line, Column: r.column}
	t, err := r.tokens.Token()
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		r.move(int(syntax.Offset) - 1)
		return nil, at, &Error{r.line, r.column, "it is not JSON: " + syntax.Error()}
	case errors.Is(err, io.EOF):
		return nil, at, io.EOF
	case err != nil:
		return nil, at, at.fail("it is not JSON: %v", err)
	}
	return t, at, nil
}

// value reads a value; end says that the text ends, or the list or map around.
func (r *jsonReader) value(depth int) (n *Node, end bool, err error) {
	t, n, err := r.token()
	if errors.Is(err, io.EOF) {
		if depth > 0 {
			return nil, false, n.fail("it is not JSON: it ends too early")
		}
		return nil, true, nil
	}
	if err != nil {
		return nil, false, err
	}
	if t == json.Delim(']') || t == json.Delim('}') {
		return n, true, nil
	}
	if err := r.count(n, depth); err != nil {
		return nil, false, err
	}
	switch t := t.(type) {
	case nil:
		return n, false, nil
	case bool:
		n.Kind, n.Text = Bool, strconv.FormatBool(t)
	case json.Number:
		n.Kind, n.Text = Number, t.String()
	case string:
		n.Kind, n.Text = String, t
	case json.Delim:
		if t == '[' {
			n.Kind = List
			return n, false, r.list(n, depth+1)
		}
		n.Kind = Map
		return n, false, r.members(n, depth+1)
	}
	return n, false, nil
}

func (r *jsonReader) list(n *Node, depth int) error {
	for {
		v, end, err := r.value(depth)
		if err != nil || end {
			return err
		}
		n.Items = append(n.Items, v)
	}
}

// members reads the entries of a map. Of a repeated key the last one counts, as at the door.
func (r *jsonReader) members(n *Node, depth int) error {
	places := map[string]int{}
	for {
		k, end, err := r.value(depth)
		if err != nil || end {
			return err
		}
		r.nodes-- // a key is no value
		v, _, err := r.value(depth)
		if err != nil {
			return err
		}
		if i, ok := places[k.Text]; ok {
			n.Keys[i], n.Items[i] = k, v
			continue
		}
		places[k.Text] = len(n.Keys)
		n.PutAt(k, v)
	}
}

var yamlPlace = regexp.MustCompile(`^.*at L(\d+)\.C(\d+)[^:]*: *`)

func readYAML(text []byte) ([]*Node, error) {
	loader, err := yaml.NewLoader(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	r := &yamlReader{}
	var docs []*Node
	for {
		var doc yaml.Node
		if err := loader.Load(&doc); errors.Is(err, io.EOF) {
			return docs, nil
		} else if err != nil {
			return nil, yamlError(err)
		}
		if doc.Kind == 0 || len(doc.Content) == 0 {
			continue
		}
		n, err := r.node(doc.Content[0], 0)
		if err != nil {
			return nil, err
		}
		if n.Kind != Null { // between two lines of ---
			docs = append(docs, n)
		}
	}
}

// yamlError takes the place out of a message.
func yamlError(err error) *Error {
	text, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "yaml: "), "\n")
	out := &Error{1, 1, "it is not YAML: " + text}
	if m := yamlPlace.FindStringSubmatch(text); m != nil {
		out.Line, _ = strconv.Atoi(m[1])
		out.Column, _ = strconv.Atoi(m[2])
		out.Message = "it is not YAML: " + strings.TrimPrefix(text, m[0])
	}
	return out
}
