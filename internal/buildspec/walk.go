package buildspec

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

// walker reads YAML nodes with a budget, so that aliases of aliases cost no more than a
// plain document of the same budget.
type walker struct {
	left  int
	depth int
}

// resolve follows an alias and takes one node off the budget.
func (w *walker) resolve(n *yaml.Node) (*yaml.Node, error) {
	for n.Kind == yaml.AliasNode {
		if w.left--; w.left < 0 {
			return nil, errorf(n.Line, "YAML file uses too many aliases")
		}
		n = n.Alias
	}
	if w.left--; w.left < 0 {
		return nil, errorf(n.Line, "YAML file has too many values")
	}
	return n, nil
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// mapping calls each for every pair; a key may stand once. Merge keys (<<) are followed,
// a key written beside them wins.
func (w *walker) mapping(n *yaml.Node, what string, each func(key string, k, v *yaml.Node) error) error {
	return w.merged(n, what, map[string]bool{}, each)
}

func (w *walker) merged(n *yaml.Node, what string, seen map[string]bool, each func(key string, k, v *yaml.Node) error) error {
	if w.depth++; w.depth > maxDepth {
		return errorf(n.Line, "YAML file is nested too deeply")
	}
	defer func() { w.depth-- }()
	n, err := w.resolve(n)
	if err != nil {
		return err
	}
	if n.Kind != yaml.MappingNode {
		return errorf(n.Line, "Expected %s to be a map: found %s", what, kind(n))
	}
	here := map[string]bool{}
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, err := w.resolve(n.Content[i])
		if err != nil {
			return err
		}
		if k.Kind != yaml.ScalarNode {
			return errorf(k.Line, "Expected a key of %s to be of string type", what)
		}
		if k.Tag == "!!merge" {
			merges = append(merges, n.Content[i+1])
			continue
		}
		if here[k.Value] {
			return errorf(k.Line, "Duplicate key %q in %s", clip(k.Value), what)
		}
		here[k.Value] = true
		if seen[k.Value] {
			continue
		}
		seen[k.Value] = true
		if err := each(k.Value, k, n.Content[i+1]); err != nil {
			return err
		}
	}
	for _, m := range merges {
		t, err := w.resolve(m)
		if err != nil {
			return err
		}
		parts := []*yaml.Node{t}
		if t.Kind == yaml.SequenceNode {
			parts = t.Content
		}
		for _, p := range parts {
			if err := w.merged(p, what, seen, each); err != nil {
				return err
			}
		}
	}
	return nil
}

// text reads a scalar exactly as written: 0123 and 1.10 stay so.
func (w *walker) text(n *yaml.Node, what string) (string, error) {
	n, err := w.resolve(n)
	if err != nil {
		return "", err
	}
	if n.Kind != yaml.ScalarNode {
		return "", errorf(n.Line, "Expected %s to be of string type: found %s", what, kind(n))
	}
	if isNull(n) {
		return "", nil
	}
	return n.Value, nil
}

// yes reads the file's yes and no.
func (w *walker) yes(n *yaml.Node, what string) (bool, error) {
	v, err := w.text(n, what)
	if err != nil {
		return false, err
	}
	switch strings.ToLower(v) {
	case "yes", "true", "on":
		return true, nil
	case "no", "false", "off", "":
		return false, nil
	}
	return false, errorf(n.Line, "Expected %s to be yes or no: found %q", what, clip(v))
}

// items gives the entries of a list; a single string is a list of one, and nothing is none.
func (w *walker) items(n *yaml.Node, what string) ([]*yaml.Node, error) {
	n, err := w.resolve(n)
	switch {
	case err != nil || isNull(n):
		return nil, err
	case n.Kind == yaml.ScalarNode:
		return []*yaml.Node{n}, nil
	case n.Kind != yaml.SequenceNode:
		return nil, errorf(n.Line, "Expected %s to be a list: found %s", what, kind(n))
	}
	return n.Content, nil
}

// list reads a list of strings.
func (w *walker) list(n *yaml.Node, what string) ([]string, error) {
	items, err := w.items(n, what)
	if err != nil || items == nil {
		return nil, err
	}
	out := make([]string, 0, len(items))
	for _, item := range items {
		v, err := w.text(item, "an entry of "+what)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// commands reads a command list with CodeBuild's own words for the usual mistake,
// - echo "a: b" without quotes around the whole, which YAML reads as a map.
func (w *walker) commands(n *yaml.Node, what string) ([]string, error) {
	items, err := w.items(n, what)
	if err != nil || items == nil {
		return nil, err
	}
	out := make([]string, 0, len(items))
	for i, item := range items {
		c, err := w.resolve(item)
		if err != nil {
			return nil, err
		}
		switch {
		case c.Kind == yaml.MappingNode && len(c.Content) > 0:
			return nil, &Error{Line: c.Line, Message: fmt.Sprintf(
				"Expected %s[%d] to be of string type: found subkeys instead at line %d, value of the key tag on line %d might be empty",
				what, i, c.Line, c.Content[0].Line)}
		case c.Kind != yaml.ScalarNode:
			return nil, errorf(c.Line, "Expected %s[%d] to be of string type: found %s", what, i, kind(c))
		case strings.ContainsRune(c.Value, 0):
			return nil, errorf(c.Line, "Expected %s[%d] to be of string type: found a NUL character", what, i)
		case isNull(c):
			out = append(out, "")
		default:
			out = append(out, c.Value)
		}
	}
	return out, nil
}

func kind(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a map"
	case yaml.SequenceNode:
		return "a list"
	}
	if isNull(n) {
		return "nothing"
	}
	return "the text " + clip(n.Value)
}

// clip keeps a quoted piece of somebody's text short.
func clip(s string) string {
	if len(s) > 60 {
		return strings.ToValidUTF8(s[:60], "") + "…"
	}
	return s
}
