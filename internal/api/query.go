package api

import (
	"encoding/base64"
	"maps"
	"math"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"penstock/internal/fault"
)

// maxFormDepth bounds the dots in a parameter's name; the deepest modelled input has 5.
const maxFormDepth = 16

// node is one step of the parameter names, such as Tags, member, 1, Key.
type node struct {
	value    string
	set      bool
	children map[string]*node
}

// tree turns Tags.member.1.Key=v into nodes. Of a repeated parameter the first counts.
func tree(form url.Values) (*node, error) {
	root := new(node)
	for _, name := range slices.Sorted(maps.Keys(form)) {
		parts := strings.SplitN(name, ".", maxFormDepth+1)
		if len(parts) > maxFormDepth {
			return nil, malformed("The parameter name nests deeper than %d levels", maxFormDepth)
		}
		n := root
		for _, part := range parts {
			next := n.children[part]
			if next == nil {
				next = new(node)
				if n.children == nil {
					n.children = map[string]*node{}
				}
				n.children[part] = next
			}
			n = next
		}
		n.value, n.set = form[name][0], true
	}
	return root, nil
}

// malformed is the query protocol's SerializationException.
func malformed(format string, args ...any) error {
	return fault.New("MalformedInput", format, args...)
}

// formDecoder reads one query-protocol input and checks it on the way.
type formDecoder struct{ checker }

func (t *Table) unmarshalForm(form url.Values, p *plan, v reflect.Value, code string) error {
	root, err := tree(form)
	if err != nil {
		return err
	}
	d := formDecoder{checker{lower: true}}
	if err := d.structure(p, v, root); err != nil {
		return err
	}
	return d.err(code)
}

func (d *formDecoder) structure(p *plan, v reflect.Value, n *node) error {
	for i := range p.fields {
		f := &p.fields[i]
		child := n.children[f.name]
		if child == nil {
			if f.required {
				d.missing(f.name)
			}
			continue
		}
		mark := d.push(f.name)
		_, err := d.value(f.plan, v.Field(i), child, true)
		d.pop(mark)
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *formDecoder) value(p *plan, v reflect.Value, n *node, report bool) (bad bool, err error) {
	if p.pointer {
		nv := reflect.New(p.typ)
		v.Set(nv)
		v = nv.Elem()
	}
	switch p.Kind {
	case List:
		return false, d.list(p, v, n)
	case Map:
		return false, d.mapping(p, v, n)
	case Structure:
		return false, d.structure(p, v, n)
	}
	if !n.set {
		return false, malformed("Unexpected complex element termination")
	}
	var c *checker
	if report {
		c = &d.checker
	}
	return d.scalar(p, v, n.value, c)
}

// checkText refuses what neither XML nor PostgreSQL can hold.
func checkText(text string) error {
	if !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0 {
		return malformed("A parameter is not valid UTF-8 or contains the character U+0000")
	}
	return nil
}

func (d *formDecoder) scalar(p *plan, v reflect.Value, text string, c *checker) (bad bool, err error) {
	if err := checkText(text); err != nil {
		return false, err
	}
	switch p.Kind {
	case String:
		v.SetString(text)
		return p.checkString(c, text), nil
	case Boolean:
		b := strings.EqualFold(text, "true")
		if !b && !strings.EqualFold(text, "false") {
			return false, malformed("A parameter can not be converted to a Boolean")
		}
		v.SetBool(b)
		return false, nil
	case Integer, Long:
		bits := 64
		if p.Kind == Integer {
			bits = 32
		}
		i, err := strconv.ParseInt(text, 10, bits)
		if err != nil {
			return false, malformed("A parameter can not be converted to %s", p.Kind)
		}
		v.SetInt(i)
		return p.checkNumber(c, float64(i)), nil
	case Double:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return false, malformed("A parameter can not be converted to a Double")
		}
		v.SetFloat(f)
		return p.checkNumber(c, f), nil
	case Timestamp:
		t, ok := instant(text)
		if !ok {
			return false, malformed("A parameter can not be converted to a Timestamp")
		}
		v.Set(reflect.ValueOf(t))
		return false, nil
	}
	b, err := base64.StdEncoding.DecodeString(text) // Blob
	if err != nil {
		return false, malformed("A parameter is not base64")
	}
	v.SetBytes(b)
	return p.checkLength(c, len(b)), nil
}

// numbered gives the children of a list in the order of their numbers; gaps are closed,
// as the services do.
func numbered(n *node) ([]*node, error) {
	type place struct {
		i int
		n *node
	}
	var all []place
	for name, child := range n.children {
		i, err := strconv.Atoi(name)
		if err != nil || i < 1 || name != strconv.Itoa(i) { // 01 would be a second 1
			return nil, malformed("Start of list found where not expected")
		}
		all = append(all, place{i, child})
	}
	slices.SortFunc(all, func(a, b place) int { return a.i - b.i })
	nodes := make([]*node, len(all))
	for i := range all {
		nodes[i] = all[i].n
	}
	return nodes, nil
}

// list reads Name.member.1…; a bare Name= is how clients send an empty list.
func (d *formDecoder) list(p *plan, v reflect.Value, n *node) error {
	var elements []*node
	if m := n.children["member"]; m != nil {
		var err error
		if elements, err = numbered(m); err != nil {
			return err
		}
	}
	v.Set(reflect.MakeSlice(p.typ, len(elements), len(elements)))
	anyBad := false
	for i, e := range elements {
		mark := d.pushIndex(i)
		bad, err := d.value(p.elem, v.Index(i), e, false)
		d.pop(mark)
		if err != nil {
			return err
		}
		anyBad = anyBad || bad
	}
	d.checkList(p, len(elements), anyBad)
	return nil
}

// mapping reads Name.entry.1.key and Name.entry.1.value, or what the model calls them.
func (d *formDecoder) mapping(p *plan, v reflect.Value, n *node) error {
	v.Set(reflect.MakeMap(p.typ))
	var entries []*node
	if m := n.children["entry"]; m != nil {
		var err error
		if entries, err = numbered(m); err != nil {
			return err
		}
	}
	badKey, badValue := false, false
	keyName, valueName := p.entryNames()
	for _, e := range entries {
		k, val := e.children[keyName], e.children[valueName]
		if k == nil || val == nil || !k.set {
			return malformed("A map entry needs a key and a value")
		}
		if err := checkText(k.value); err != nil {
			return err
		}
		mark := d.pushKey(k.value)
		ev := reflect.New(p.elem.typ).Elem()
		bad, err := d.value(p.elem, ev, val, false)
		d.pop(mark)
		if err != nil {
			return err
		}
		v.SetMapIndex(reflect.ValueOf(k.value).Convert(p.typ.Key()), ev)
		badKey = p.key.checkString(nil, k.value) || badKey
		badValue = badValue || bad
	}
	d.checkMap(p, v.Len(), badKey, badValue)
	return nil
}
