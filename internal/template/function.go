package template

import (
	"encoding/base64"
	"strconv"
	"strings"
)

// args gives the arguments of a function, from min to max of them.
func (t *Template) args(n *Node, name string, min, max int) ([]*Node, bool) {
	if n.Kind != List || len(n.Items) < min || len(n.Items) > max {
		want := strconv.Itoa(min)
		if min != max {
			want += " to " + strconv.Itoa(max)
		}
		t.fail(n, "%s takes a list of %s", name, want)
		return nil, false
	}
	return n.Items, true
}

// scalar evaluates to a text.
func (t *Template) scalar(n *Node, name string) (string, bool) {
	v := t.Evaluate(n)
	if v == nil || !v.Scalar() {
		t.fail(n, "%s takes texts here", name)
		return "", false
	}
	return v.Text, true
}

// list evaluates to a list.
func (t *Template) list(n *Node, name string) ([]*Node, bool) {
	v := t.Evaluate(n)
	if v == nil || v.Kind != List {
		t.fail(n, "%s takes a list here", name)
		return nil, false
	}
	return v.Items, true
}

// function evaluates a call; nil is no value. A call that is wrong has been told.
func (t *Template) function(n *Node, name string, in *Node) *Node {
	wrong := n.text("")
	switch name {
	case "Ref":
		if in.Kind != String {
			t.fail(in, "Ref takes a name")
			return wrong
		}
		return t.ref(n, in.Text)
	case "Fn::GetAtt":
		id, attribute, ok := getAtt(in)
		if !ok {
			t.fail(in, "Fn::GetAtt takes a logical id and an attribute")
			return wrong
		}
		return n.text(t.attribute(n, id, attribute))
	case "Fn::Sub":
		return t.sub(n, in)
	case "Fn::Join":
		return t.join(n, in)
	case "Fn::Split":
		a, ok := t.args(in, name, 2, 2)
		if !ok {
			return wrong
		}
		by, ok1 := t.scalar(a[0], name)
		text, ok2 := t.scalar(a[1], name)
		if !ok1 || !ok2 || by == "" || !t.spend(n, len(text)) {
			return wrong
		}
		return t.texts(n, strings.Split(text, by))
	case "Fn::Select":
		a, ok := t.args(in, name, 2, 2)
		if !ok {
			return wrong
		}
		index, ok1 := t.scalar(a[0], name)
		list, ok2 := t.list(a[1], name)
		i, err := strconv.Atoi(index)
		if !ok1 || !ok2 {
			return wrong
		}
		if err != nil || i < 0 || i >= len(list) {
			t.fail(n, "Fn::Select has no element %s in a list of %d", index, len(list))
			return wrong
		}
		return list[i]
	case "Fn::FindInMap":
		return t.findInMap(n, in)
	case "Fn::If":
		a, ok := t.args(in, name, 3, 3)
		if !ok {
			return wrong
		}
		if t.condition(a[0]) {
			return t.Evaluate(a[1])
		}
		return t.Evaluate(a[2])
	case "Fn::Base64":
		if text, ok := t.scalar(in, name); ok && t.spend(n, 2*len(text)) {
			return n.text(base64.StdEncoding.EncodeToString([]byte(text)))
		}
		return wrong
	case "Fn::ToJsonString":
		v := t.Evaluate(in)
		if v == nil {
			return wrong
		}
		text := string(v.append(nil))
		t.spend(n, len(text))
		return n.text(text)
	case "Fn::ImportValue":
		if export, ok := t.scalar(in, name); ok {
			return n.text(t.given(n, export, "what the stack that exports "+export+" gives is not known here"))
		}
		return wrong
	}
	t.fail(n, "%s is not evaluated here; write what it gives in its place", name)
	return wrong
}

func getAtt(in *Node) (id, attribute string, ok bool) {
	if in.Kind == String {
		id, attribute, ok = strings.Cut(in.Text, ".")
		return id, attribute, ok
	}
	if in.Kind != List || len(in.Items) != 2 || in.Items[0].Kind != String || in.Items[1].Kind != String {
		return "", "", false
	}
	return in.Items[0].Text, in.Items[1].Text, true
}

func (t *Template) texts(n *Node, list []string) *Node {
	out := &Node{Kind: List, Line: n.Line, Column: n.Column}
	for _, s := range list {
		if !t.spend(n, len(s)) {
			break
		}
		out.Items = append(out.Items, n.text(s))
	}
	return out
}

// given gives a value that the caller was told, or says how to tell it.
func (t *Template) given(n *Node, key, why string) string {
	v, ok := t.in.Values[key]
	if !ok {
		t.fail(n, "%s; give it with --value '%s=…'", why, key)
	}
	return v
}

func (t *Template) join(n, in *Node) *Node {
	a, ok := t.args(in, "Fn::Join", 2, 2)
	if !ok {
		return n.text("")
	}
	by, ok1 := t.scalar(a[0], "Fn::Join")
	list, ok2 := t.list(a[1], "Fn::Join")
	if !ok1 || !ok2 {
		return n.text("")
	}
	var out strings.Builder
	for i, v := range list {
		if !v.Scalar() {
			t.fail(v, "Fn::Join joins texts")
			return n.text("")
		}
		if i > 0 {
			out.WriteString(by)
		}
		out.WriteString(v.Text)
		if out.Len() > maxResult {
			break
		}
	}
	t.spend(n, out.Len())
	return n.text(out.String())
}

func (t *Template) findInMap(n, in *Node) *Node {
	a, ok := t.args(in, "Fn::FindInMap", 3, 3)
	if !ok {
		return n.text("")
	}
	at, path := t.root.Get("Mappings"), ""
	for _, step := range a {
		key, ok := t.scalar(step, "Fn::FindInMap")
		if !ok {
			return n.text("")
		}
		path = strings.TrimPrefix(path+"."+key, ".")
		if at = at.Get(key); at == nil {
			t.fail(n, "Mappings has no %s", path)
			return n.text("")
		}
	}
	if !t.spendAll(n, at) {
		return n.text("")
	}
	return at
}

// spendAll spends a value that is given as it stands, with all that is in it.
func (t *Template) spendAll(n, v *Node) bool {
	ok := t.spend(n, len(v.Text))
	for i := 0; ok && i < len(v.Items); i++ {
		if v.Kind == Map {
			ok = t.spend(n, len(v.Keys[i].Text))
		}
		ok = ok && t.spendAll(n, v.Items[i])
	}
	return ok
}

// sub is Fn::Sub: a text, or a text and a map of names.
func (t *Template) sub(n, in *Node) *Node {
	text, vars := in, (*Node)(nil)
	if in.Kind == List && len(in.Items) == 2 && in.Items[1].Kind == Map {
		text, vars = in.Items[0], in.Items[1]
	}
	if text.Kind != String {
		t.fail(in, "Fn::Sub takes a text, or a list of a text and a map")
		return n.text("")
	}
	var out strings.Builder
	rest := text.Text
	for {
		before, after, ok := strings.Cut(rest, "${")
		out.WriteString(before)
		if !ok {
			break
		}
		name, behind, closed := strings.Cut(after, "}")
		if !closed {
			t.fail(n, "Fn::Sub: ${ is never closed")
			break
		}
		rest = behind
		if literal, ok := strings.CutPrefix(name, "!"); ok {
			out.WriteString("${" + literal + "}")
			continue
		}
		out.WriteString(t.substitute(n, strings.TrimSpace(name), vars))
		if !t.spend(n, out.Len()) {
			break
		}
	}
	result := n.text(out.String())
	if strings.Contains(result.Text, "{{resolve:") {
		return n.text(t.dynamic(result))
	}
	return result
}

func (t *Template) substitute(n *Node, name string, vars *Node) string {
	if v := vars.Get(name); v != nil {
		s, _ := t.scalar(v, "Fn::Sub")
		return s
	}
	if id, attribute, ok := strings.Cut(name, "."); ok {
		return t.attribute(n, id, attribute)
	}
	v := t.ref(n, name)
	if v == nil || !v.Scalar() {
		t.fail(n, "Fn::Sub: ${%s} is no text", name)
		return ""
	}
	return v.Text
}
