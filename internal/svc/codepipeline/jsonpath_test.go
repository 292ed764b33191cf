package codepipeline

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func decodeDoc(t *testing.T, text string) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var doc any
	if err := d.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// S-250: what a path selects.
func TestPath(t *testing.T) {
	t.Parallel()
	doc := decodeDoc(t, `{"ref":"refs/heads/main","n":12345678901234567890,"t":true,"z":null,"a b":{"x.y":1},"commits":[{"id":"1"},{"id":"2"},{}],"é":"é","*":9}`)
	for path, want := range map[string][]string{
		"$.ref": {"refs/heads/main"}, "ref": {"refs/heads/main"}, "$['ref']": {"refs/heads/main"}, `$["ref"]`: {"refs/heads/main"},
		"$.n": {"12345678901234567890"}, "$.t": {"true"}, "$.z": {"null"}, "$.none": nil, "$.ref.x": nil, "$.ref[0]": nil, "$.commits.id": nil,
		"$.commits[0].id": {"1"}, "$.commits[-2].id": {"2"}, "$.commits[3]": nil, "$.commits[-4]": nil, "$.commits[*].id": {"1", "2"}, "$.commits.*.id": {"1", "2"},
		"$['a b']['x.y']": {"1"}, "$.é": {"é"}, "$['*']": {"9"}, "commits[1].id": {"2"}, "$[0]": nil,
	} {
		p, err := parsePath(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		var got []string
		for _, v := range p.find(doc) {
			text, _ := scalar(v)
			got = append(got, text)
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s: %q", path, got)
		}
	}
	if p, err := parsePath("$"); err != nil || len(p.find(doc)) != 1 {
		t.Error("the whole document")
	}
}

// S-250: what is no path of this kind.
func TestPathRefused(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", "$.", "$..ref", "$ref", "$.a..b", "$[", "$[]", "$[1", "$['a", "$['a'", "$['a','b']", "$[1:2]", "$[1,2]", "$[?(@.a)]", "$[(1)]",
		"$.length()", "$.a b", "$[+1]", "$[99999999999]", "$[1.5]", `$['a\'b']`, "$.a[b]", "$.$", "\x00[", "$[*"} {
		if p, err := parsePath(path); err == nil {
			t.Errorf("%q is taken for %v", path, p)
		}
	}
}

// S-250: a path with many stars selects no more than is bounded.
func TestPathIsBounded(t *testing.T) {
	t.Parallel()
	p, err := parsePath("$" + strings.Repeat("[*]", 49))
	if err != nil {
		t.Fatal(err)
	}
	doc := any("x")
	for range 49 {
		doc = []any{doc, doc, doc, doc}
	}
	if n := len(p.find(doc)); n != maxSelected {
		t.Errorf("%d values", n)
	}
}

// descent is one step down into a document: a member of an object, or an element of an array.
type descent struct {
	name          string
	index, length int // of arrays, whose length is not 0
}

// everywhere visits each value of a document with the way to it.
func everywhere(way []descent, v any, visit func(way []descent, v any)) {
	visit(way, v)
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			everywhere(append(way, descent{name: name}), member, visit)
		}
	case []any:
		for i, element := range v {
			everywhere(append(way, descent{index: i, length: len(v)}), element, visit)
		}
	}
}

// leads says whether a path is one for a way.
func leads(p jsonPath, way []descent) bool {
	return slices.EqualFunc(p, way, func(s pathStep, t descent) bool {
		switch {
		case s.kind == stepAll:
			return true
		case t.length == 0:
			return s.kind == stepName && s.name == t.name
		}
		return s.kind == stepIndex && (s.index == t.index || s.index == t.index-t.length)
	})
}

// S-250: no path and no document panics; a path selects what it is one for, and each value has a
// path that selects it alone.
func FuzzPath(f *testing.F) {
	for _, path := range []string{"$.ref", "$['a'][0]", "$[*].x[-1]", "..", "$[", "$['", "\xff", "$['']", "*[-0].*", `$["a']"][007]`} {
		f.Add(path, `{"ref":["a",{"x":[1]}],"a":[null,{"*":"é"}]}`)
		f.Add(path, `{"":{"\ufffd":-1e1000,"`+"\xff"+`":-0,"a']":[[],{},[1,1]]},"'\"":[[0]],"\\":{"a":""},"a":1,"a":[[{"a":null}]]}]`)
	}
	f.Fuzz(func(t *testing.T, path, text string) {
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		var doc any
		if len(text) > 1000 || d.Decode(&doc) != nil {
			return
		}
		said := func(list []any) (out []string) {
			for _, v := range list {
				out = append(out, fmt.Sprint(v))
			}
			slices.Sort(out)
			return out
		}
		asked, err := parsePath(path)
		var want []any
		everywhere(nil, doc, func(way []descent, v any) {
			if leads(asked, way) {
				want = append(want, v)
			}
			own := "$"
			for _, step := range way {
				quote := "'"
				switch {
				case step.length > 0:
					own += fmt.Sprintf("[%d]", step.index)
					continue
				case strings.Contains(step.name, "'"):
					quote = `"`
				}
				if strings.ContainsAny(step.name, `\`+quote) {
					return // no path has such a name
				}
				own += "[" + quote + step.name + quote + "]"
			}
			if p, err := parsePath(own); err != nil || !leads(p, way) || !slices.Equal(said(p.find(doc)), said([]any{v})) {
				t.Fatalf("%q in %s: %v, not %v: %v", own, text, p.find(doc), v, err)
			}
		})
		if got := asked.find(doc); err == nil && !slices.Equal(said(got), said(want)) {
			t.Fatalf("%q in %s: %v, not %v", path, text, got, want)
		}
	})
}
