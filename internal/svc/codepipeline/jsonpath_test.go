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

// S-250: no path and no document panics.
func FuzzPath(f *testing.F) {
	for _, path := range []string{"$.ref", "$['a'][0]", "$[*].x[-1]", "..", "$[", "$['", "\xff"} {
		f.Add(path, `{"ref":["a",{"x":[1]}]}`)
	}
	f.Fuzz(func(_ *testing.T, path, text string) {
		p, err := parsePath(path)
		if err != nil {
			return
		}
		var doc any
		_ = json.Unmarshal([]byte(text), &doc)
		for _, v := range p.find(doc) {
			scalar(v)
		}
		_ = fmt.Sprint(p)
	})
}
