package pipeline

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// S-271, S-279: references may stand anywhere and several times; namespace and key have
// their alphabets.
func TestReferences(t *testing.T) {
	t.Parallel()
	for value, want := range map[string][]Reference{
		"":                     nil,
		"plain #{ text ${a.b}": nil,
		"x#{build.A}y#{s.B}":   {{"build.A", "build", "A", true}, {"s.B", "s", "B", true}},
		"#{a@-_1.k^[*]$}":      {{"a@-_1.k^[*]$", "a@-_1", "k^[*]$", true}},
		"#{build}":             {{Text: "build"}},
		"#{}":                  {{}},
		"#{a.b.c}":             {{Text: "a.b.c"}},
		"#{ a.b }":             {{Text: " a.b "}},
		"#{a#{b.c}}":           {{"b.c", "b", "c", true}},
	} {
		if diff := cmp.Diff(want, References(value)); diff != "" {
			t.Errorf("%q:\n%s", value, diff)
		}
	}
}

// S-274, S-278: a value is resolved in one pass, and a missing key is no empty string.
func TestExpand(t *testing.T) {
	t.Parallel()
	lookup := func(r Reference) (string, bool) {
		v, ok := map[string]string{"a.one": "1", "a.empty": "", "a.nested": "#{a.one}"}[r.Text]
		return v, ok
	}
	for value, want := range map[string]string{
		"":                     "",
		"plain":                "plain",
		"<#{a.one}#{a.one}> é": "<11> é",
		"#{a.empty}":           "",
		"#{a.nested}":          "#{a.one}",
	} {
		if got, _, ok := Expand(value, lookup); !ok || got != want {
			t.Errorf("%q gives %q, %v", value, got, ok)
		}
	}
	for _, value := range []string{"x#{a.two}#{b.c}", "#{a.One}#{a.two}", "#{a}"} {
		want := References(value)[0]
		if _, missing, ok := Expand(value, lookup); ok || missing != want {
			t.Errorf("%q: missing %+v, %v", value, missing, ok)
		}
	}
}

// S-37, S-80: many references to large variables stop at a bound instead of filling memory.
func TestExpandIsBounded(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 122880) // S-79
	got, _, ok := Expand(strings.Repeat("#{a.b}", 5000), func(Reference) (string, bool) { return large, true })
	if !ok || len(got) <= MaxExpanded || len(got) > MaxExpanded+len(large) {
		t.Errorf("%d bytes, %v", len(got), ok)
	}
}
