package template

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Inputs are what a template depends on besides its text.
type Inputs struct {
	Region, Account, Partition, StackName string
	// Parameters are the values of its parameters.
	Parameters map[string]string
	// Values are what only those know who made a resource: by LOGICALID what Ref gives, by
	// LOGICALID.ATTRIBUTE what Fn::GetAtt gives, by name what another stack exports, and by
	// its whole text what a dynamic reference {{resolve:…}} stands for.
	Values map[string]string
}

// The bounds of one evaluation: of a text, of all texts together, and of the values looked at.
const (
	maxResult  = 256 << 10
	maxResults = 16 << 20
	maxSteps   = 500_000
)

// Template is a CloudFormation template under evaluation. It is for one goroutine.
type Template struct {
	root   *Node
	in     Inputs
	errors []*Error
	// path is where the evaluation stands, for messages.
	path []string

	conditions, names map[string]*progress
	// owner holds the resource that has a name, by type and name.
	owner map[string]string
	uses  []Use

	bytes, steps int
	spent        bool
}

// progress of a condition or a name: one that is begun and not done refers to itself.
type progress struct {
	done  bool
	truth bool
	text  string
}

// Resource is a resource of a template.
type Resource struct {
	ID, Type string
	// Properties are evaluated.
	Properties *Node
	// Place is that of its name.
	Place *Node
}

// Use is a resource that an evaluated value refers to.
type Use struct {
	ID, Type, Name string
	Line           int
}

// Is says whether a document is a template: it has resources.
func Is(n *Node) bool {
	resources := n.Get("Resources")
	if resources == nil || resources.Kind != Map {
		return false
	}
	return n.Get("AWSTemplateFormatVersion") != nil || slices.ContainsFunc(resources.Items, func(r *Node) bool { return r.Get("Type") != nil })
}

// New begins the evaluation of a document that is a template.
func New(root *Node, in Inputs) *Template {
	t := &Template{root: root, in: in, conditions: map[string]*progress{}, names: map[string]*progress{}, owner: map[string]string{}}
	declared := root.Get("Parameters")
	for _, name := range slices.Sorted(maps.Keys(in.Parameters)) {
		switch {
		case declared.Get(name) != nil:
		case declared == nil || len(declared.Keys) == 0:
			t.errors = append(t.errors, root.fail("the template has no parameter %s, and no others", name))
		default:
			t.errors = append(t.errors, root.fail("the template has no parameter %s; it has %s", name, several(declared.Keys)))
		}
	}
	return t
}

// Errors gives what could not be evaluated, each place once, in the order of the text.
func (t *Template) Errors() []*Error {
	slices.SortStableFunc(t.errors, func(a, b *Error) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return slices.CompactFunc(t.errors, func(a, b *Error) bool { return *a == *b })
}

// Uses gives the resources that what was evaluated refers to, in the order of the template.
func (t *Template) Uses() []Use { return t.uses }

// Resources gives the resources of a type whose condition holds, in the order of the text.
func (t *Template) Resources(kind string) []Resource {
	var out []Resource
	all := t.root.Get("Resources")
	for i, k := range all.Keys {
		if r := all.Items[i]; r.Get("Type").is(kind) && t.made(k.Text) {
			t.path = []string{"Resources", k.Text, "Properties"}
			properties := &Node{Kind: Map, Line: k.Line, Column: k.Column}
			if p := r.Get("Properties"); p != nil {
				if v := t.Evaluate(p); v != nil {
					properties = v
				}
			}
			t.path = nil
			out = append(out, Resource{ID: k.Text, Type: kind, Properties: properties, Place: k})
		}
	}
	return out
}

func (n *Node) is(text string) bool { return n != nil && n.Kind == String && n.Text == text }

// made says whether a resource is there: it has no condition, or one that holds.
func (t *Template) made(id string) bool {
	c := t.root.Get("Resources").Get(id).Get("Condition")
	return c == nil || t.condition(c)
}

// fail notes an error at a node, with the path to it.
func (t *Template) fail(n *Node, format string, args ...any) {
	if t.spent || len(t.errors) >= 100 {
		return
	}
	message := fmt.Sprintf(format, args...)
	if len(t.path) > 0 {
		message = strings.Join(t.path, ".") + ": " + message
	}
	t.errors = append(t.errors, n.fail("%s", message))
}

// spend counts work, and says whether there may be more.
func (t *Template) spend(n *Node, bytes int) bool {
	t.bytes += bytes
	t.steps++
	if !t.spent && (t.bytes > maxResults || t.steps > maxSteps || bytes > maxResult) {
		t.fail(n, "the functions of the template give too much: a text may have %d bytes, and all of them %d", maxResult, maxResults)
		t.spent = true
	}
	return !t.spent
}

func (t *Template) enter(step string) func() {
	t.path = append(t.path, step)
	return func() { t.path = t.path[:len(t.path)-1] }
}

// Evaluate gives a value with all functions replaced by what they give; nil is no value
// (AWS::NoValue). What cannot be evaluated is noted in Errors and becomes an empty text.
func (t *Template) Evaluate(n *Node) *Node {
	if !t.spend(n, 0) {
		return n.text("")
	}
	switch n.Kind {
	case List:
		out := &Node{Kind: List, Line: n.Line, Column: n.Column}
		for i, item := range n.Items {
			leave := t.enter(fmt.Sprint(i))
			if v := t.Evaluate(item); v != nil {
				out.Items = append(out.Items, v)
			}
			leave()
		}
		return out
	case Map:
		if len(n.Keys) == 1 {
			if name := n.Keys[0].Text; name == "Ref" || strings.HasPrefix(name, "Fn::") {
				return t.function(n, name, n.Items[0])
			}
		}
		out := &Node{Kind: Map, Line: n.Line, Column: n.Column}
		for i, k := range n.Keys {
			leave := t.enter(k.Text)
			if v := t.Evaluate(n.Items[i]); v != nil {
				out.PutAt(k, v)
			}
			leave()
		}
		return out
	case String:
		if strings.Contains(n.Text, "{{resolve:") {
			return n.text(t.dynamic(n))
		}
	}
	return n
}

// dynamic replaces the dynamic references of a text.
func (t *Template) dynamic(n *Node) string {
	var out strings.Builder
	rest := n.Text
	for {
		before, after, ok := strings.Cut(rest, "{{resolve:")
		out.WriteString(before)
		if !ok {
			break
		}
		reference, behind, closed := strings.Cut(after, "}}")
		if !closed {
			out.WriteString("{{resolve:" + after)
			break
		}
		reference = "{{resolve:" + reference + "}}"
		v, known := t.in.Values[reference]
		if !known {
			t.fail(n, "%s is not looked up here; give its value with --value '%s=…'", reference, reference)
		}
		out.WriteString(v)
		rest = behind
	}
	t.spend(n, out.Len())
	return out.String()
}

// condition evaluates the name of a condition.
func (t *Template) condition(n *Node) bool {
	p := t.conditions[n.Text]
	if p == nil {
		p = &progress{}
		t.conditions[n.Text] = p
		body := t.root.Get("Conditions").Get(n.Text)
		if body == nil || n.Kind != String {
			t.fail(n, "the template has no condition %q", n.Text)
		} else {
			path := t.path
			t.path = []string{"Conditions", n.Text}
			p.truth = t.holds(body)
			t.path = path
		}
		p.done = true
	} else if !p.done {
		t.fail(n, "the condition %s depends on itself", n.Text)
	}
	return p.truth
}

// holds evaluates the body of a condition.
func (t *Template) holds(n *Node) bool {
	if !t.spend(n, 0) {
		return false
	}
	if n.Kind == Map && len(n.Keys) == 1 {
		in := n.Items[0]
		switch name := n.Keys[0].Text; name {
		case "Condition":
			return t.condition(in)
		case "Fn::Equals":
			if a, ok := t.args(in, name, 2, 2); ok {
				x, y := t.Evaluate(a[0]), t.Evaluate(a[1])
				return x != nil && y != nil && x.same(y)
			}
			return false
		case "Fn::Not":
			if a, ok := t.args(in, name, 1, 1); ok {
				return !t.holds(a[0])
			}
			return false
		case "Fn::And", "Fn::Or":
			a, ok := t.args(in, name, 2, 10)
			for _, c := range a {
				if t.holds(c) == (name == "Fn::Or") {
					return name == "Fn::Or"
				}
			}
			return ok && name == "Fn::And"
		}
	}
	t.fail(n, "a condition is Fn::Equals, Fn::And, Fn::Or, Fn::Not or Condition")
	return false
}

// same compares what two nodes say: a number is the same as the text of it.
func (n *Node) same(m *Node) bool {
	if n.Scalar() && m.Scalar() {
		return n.Text == m.Text
	}
	return n.Kind == m.Kind && string(n.append(nil)) == string(m.append(nil))
}
