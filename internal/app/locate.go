package app

import (
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

var (
	atPath = regexp.MustCompile(`at 'pipeline\.([^']+)' failed`)
	quotes = regexp.MustCompile(`'([^']{1,300})'|role (arn:\S+)`)
)

// locate gives the line of a definition that a message speaks of, 0 if it cannot be told.
// JSON is read as the YAML that it is.
func locate(text []byte, message string) int {
	var doc yaml.Node
	if yaml.Unmarshal(text, &doc) != nil || len(doc.Content) == 0 {
		return 0
	}
	root := doc.Content[0]
	if _, inner := member(root, "pipeline"); inner != nil {
		root = inner
	}
	if m := atPath.FindStringSubmatch(message); m != nil { // W-22
		return follow(root, strings.Split(m[1], "."))
	}
	return search(root, message)
}

// member gives the key and value of a map's member, nil if it has none.
func member(n *yaml.Node, name string) (key, value *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i], n.Content[i+1]
		}
	}
	return nil, nil
}

// follow walks a path such as stages.1.member.name as far as it is there.
func follow(n *yaml.Node, path []string) int {
	line := n.Line
	for _, step := range path {
		if i, err := strconv.Atoi(step); err == nil && n.Kind == yaml.SequenceNode {
			if i < 1 || i > len(n.Content) {
				return line
			}
			n = n.Content[i-1]
			line = n.Line
			continue
		}
		key, value := member(n, step)
		if key == nil {
			if step == "member" {
				continue
			}
			return line
		}
		line, n = key.Line, value
	}
	return line
}

// search looks for what a message names: names of stages and actions narrow the place, other
// words are looked for inside of it. Some messages quote what they name and some do not.
func search(root *yaml.Node, message string) int {
	var words []string
	for _, m := range quotes.FindAllStringSubmatch(message, -1) {
		words = append(words, strings.TrimSuffix(m[1]+m[2], "."))
	}
	quoted := len(words) > 0
	if !quoted {
		words = strings.Fields(message)
	}
	scope, line := root, root.Line
	var others []string
	for _, word := range words {
		inner := named(scope, word)
		if inner == nil {
			if len(word) > 1 { // numbers are everywhere
				others = append(others, word)
			}
			continue
		}
		key, _ := member(inner, "name")
		scope, line = inner, key.Line
	}
	if !quoted && scope == root {
		return line
	}
	for _, w := range others {
		if n := scalar(scope, w); n != nil {
			return n.Line
		}
	}
	return line
}

// named finds the first map below n, not n itself, whose name is as given. Nodes that stand
// for others are not followed, so the work is bounded by the text.
func named(n *yaml.Node, name string) *yaml.Node {
	for _, c := range n.Content {
		if _, v := member(c, "name"); v != nil && v.Value == name {
			if _, actions := member(c, "actions"); actions != nil {
				return c
			}
			if _, id := member(c, "actionTypeId"); id != nil {
				return c
			}
		}
		if found := named(c, name); found != nil {
			return found
		}
	}
	return nil
}

// scalar finds the first key or value below n that is the word.
func scalar(n *yaml.Node, word string) *yaml.Node {
	for _, c := range n.Content {
		if c.Kind == yaml.ScalarNode && c.Value == word {
			return c
		}
		if found := scalar(c, word); found != nil {
			return found
		}
	}
	return nil
}
