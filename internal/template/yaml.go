package template

import (
	"strings"

	"go.yaml.in/yaml/v4"
)

// yamlReader makes nodes of those of YAML: aliases become what they stand for, and the short
// forms of functions the long ones.
type yamlReader struct {
	reader
	bytes int
}

func (r *yamlReader) node(y *yaml.Node, depth int) (*Node, error) {
	n := &Node{Line: y.Line, Column: y.Column}
	if err := r.count(n, depth); err != nil {
		return nil, err
	}
	if y.Kind == yaml.AliasNode {
		return r.node(y.Alias, depth+1) // a cycle ends at the depth
	}
	if name, ok := function(y.Tag); ok {
		bare := *y
		bare.Tag = ""
		if y.Kind == yaml.ScalarNode { // what follows a short form is a text, whatever it looks like
			bare.Tag = "!!str"
		}
		in, err := r.node(&bare, depth+1)
		if err != nil {
			return nil, err
		}
		if id, attribute, ok := strings.Cut(in.Text, "."); name == "Fn::GetAtt" && in.Kind == String && ok {
			in = &Node{Kind: List, Items: []*Node{in.text(id), in.text(attribute)}, Line: in.Line, Column: in.Column}
			for _, item := range in.Items {
				if err := r.count(item, depth+2); err != nil {
					return nil, err
				}
			}
		}
		return n.PutAt(n.text(name), in), nil
	}
	switch y.Kind {
	case yaml.SequenceNode:
		n.Kind = List
		for _, c := range y.Content {
			v, err := r.node(c, depth+1)
			if err != nil {
				return nil, err
			}
			n.Items = append(n.Items, v)
		}
	case yaml.MappingNode:
		n.Kind = Map
		return n, r.members(n, y, depth+1)
	default:
		n.Text, n.Kind = y.Value, String
		switch y.ShortTag() {
		case "!!null":
			n.Kind = Null
		case "!!bool":
			if strings.EqualFold(n.Text, "true") || strings.EqualFold(n.Text, "false") { // not !!bool maybe
				n.Kind = Bool
			}
		case "!!int", "!!float":
			if n.number() != "" { // not .inf, .nan and !!int x
				n.Kind = Number
			}
		}
		return n, r.measure(n)
	}
	return n, nil
}

// measure counts what a text adds to the size of the document.
func (r *yamlReader) measure(n *Node) error {
	if r.bytes += len(n.Text); r.bytes > MaxText {
		return n.fail("the texts have more than %d bytes, with those that aliases repeat", MaxText)
	}
	return nil
}

func (r *yamlReader) members(n *Node, y *yaml.Node, depth int) error {
	seen := map[string]*Node{}
	var merged []*Node
	for i := 0; i+1 < len(y.Content); i += 2 {
		k, v := y.Content[i], y.Content[i+1]
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		key := &Node{Kind: String, Text: k.Value, Line: k.Line, Column: k.Column}
		if k.Kind != yaml.ScalarNode {
			return key.fail("the key of a map must be a text")
		}
		if err := r.measure(key); err != nil {
			return err
		}
		value, err := r.node(v, depth)
		if err != nil {
			return err
		}
		if k.ShortTag() == "!!merge" {
			switch value.Kind {
			case Map:
				merged = append(merged, value)
			case List:
				merged = append(merged, value.Items...)
			}
			continue
		}
		if first := seen[key.Text]; first != nil {
			return key.fail("the key %q stands here a second time; the first is in line %d", key.Text, first.Line)
		}
		seen[key.Text] = key
		n.PutAt(key, value)
	}
	for _, m := range merged { // what is written goes before what is merged in
		for i, k := range m.Keys {
			if seen[k.Text] == nil {
				seen[k.Text] = k
				n.PutAt(k, m.Items[i])
			}
		}
	}
	return nil
}

// function gives the long form of a short tag of CloudFormation.
func function(tag string) (string, bool) {
	name, ok := strings.CutPrefix(tag, "!")
	if !ok || name == "" || name[0] < 'A' || name[0] > 'Z' {
		return "", false
	}
	if name == "Ref" || name == "Condition" {
		return name, true
	}
	return "Fn::" + name, true
}
