package pattern_test

import (
	"encoding/json"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"penstock/internal/pattern"
)

// The twin is the language as the guide puts it: a pattern is walked as the JSON it is, each time
// anew, and wildcards and cases are left to regular expressions.

func twinObject(p map[string]any, event any) bool {
	if list, ok := event.([]any); ok && len(list) > 0 {
		for _, e := range list {
			if twinObject(p, e) {
				return true
			}
		}
		return false
	}
	m, _ := event.(map[string]any)
	for key, want := range p {
		have, present := m[key]
		switch want := want.(type) {
		case map[string]any:
			if !twinObject(want, have) {
				return false
			}
		case []any:
			if key == "$or" && twinAlternatives(want) {
				hit := false
				for _, a := range want {
					hit = hit || twinObject(a.(map[string]any), event)
				}
				if !hit {
					return false
				}
				continue
			}
			var leaves []any
			if present {
				leaves = twinLeaves(have)
			}
			if !twinList(want, leaves) {
				return false
			}
		}
	}
	return true
}

var twinKinds = []string{"prefix", "suffix", "equals-ignore-case", "wildcard", "anything-but", "numeric", "cidr", "exists"}

// twinAlternatives says whether the list of $or is one of patterns, not of matchers.
func twinAlternatives(list []any) bool {
	for _, v := range list {
		m, ok := v.(map[string]any)
		if !ok {
			return false
		}
		for key := range m {
			if len(m) == 1 && slices.Contains(twinKinds, key) {
				return false
			}
		}
	}
	return len(list) > 1
}

// twinLeaves gives the scalars of a value, through all of its lists.
func twinLeaves(v any) []any {
	switch v := v.(type) {
	case []any:
		var out []any
		for _, e := range v {
			out = append(out, twinLeaves(e)...)
		}
		return out
	case map[string]any:
		return nil
	}
	return []any{v}
}

func twinList(want, leaves []any) bool {
	for _, w := range want {
		m, ok := w.(map[string]any)
		if ok && m["exists"] == false && len(leaves) == 0 {
			return true
		}
		for _, have := range leaves {
			if !ok && w == have || ok && twinMatcher(m, have) {
				return true
			}
		}
	}
	return false
}

func twinMatcher(m map[string]any, have any) bool {
	text, isText := have.(string)
	for kind, argument := range m {
		flags := "(?s)"
		if fold, ok := argument.(map[string]any); ok && (kind == "prefix" || kind == "suffix") {
			flags, argument = "(?si)", fold["equals-ignore-case"]
		}
		want, _ := argument.(string)
		expression := func(inside string) bool { return isText && regexp.MustCompile(flags+inside).MatchString(text) }
		switch kind {
		case "exists":
			return argument == true
		case "prefix":
			return expression(`\A` + regexp.QuoteMeta(want))
		case "suffix":
			return expression(regexp.QuoteMeta(want) + `\z`)
		case "equals-ignore-case":
			return expression(`(?i)\A` + regexp.QuoteMeta(want) + `\z`)
		case "wildcard":
			star := regexp.MustCompile(`(?s)\\.|\*|[^\\*]+`).ReplaceAllStringFunc(want, func(s string) string {
				if s == "*" {
					return ".*"
				}
				return regexp.QuoteMeta(strings.TrimPrefix(s, `\`))
			})
			return expression(`\A` + star + `\z`)
		case "cidr":
			a, err := netip.ParseAddr(text)
			if one, alone := netip.ParseAddr(want); alone == nil {
				return isText && err == nil && a == one
			}
			return isText && err == nil && netip.MustParsePrefix(want).Contains(a)
		case "numeric":
			return twinNumeric(argument.([]any), have)
		case "anything-but":
			return twinBut(argument, have)
		}
	}
	return false
}

func twinNumeric(list []any, have any) bool {
	number, ok := have.(json.Number)
	h, err := strconv.ParseFloat(number.String(), 64)
	if !ok || err != nil {
		return false
	}
	for i := 0; i < len(list); i += 2 {
		n, _ := list[i+1].(json.Number).Float64()
		op := list[i].(string)
		if !(h < n && op[0] == '<' || h > n && op[0] == '>' || h == n && strings.Contains(op, "=")) {
			return false
		}
	}
	return true
}

func twinBut(argument, have any) bool {
	if m, ok := argument.(map[string]any); ok {
		for kind, inner := range m {
			list, ok := inner.([]any)
			if !ok {
				list = []any{inner}
			}
			for _, a := range list {
				if twinMatcher(map[string]any{kind: a}, have) {
					return false
				}
			}
		}
		return true
	}
	list, ok := argument.([]any)
	if !ok {
		list = []any{argument}
	}
	for _, a := range list {
		if a == have {
			return false
		}
	}
	return true
}

// FuzzCompile: no pattern and no event crashes, and who is matched is who the twin matches. N-14
func FuzzCompile(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"a":[{"wildcard":"x*y"}]}`, `{"a":"xzy"}`},
		{`{"$or":[{"a":[{"exists":false}]},{"b":{"c":[1]}}]}`, `{"b":[{"c":1}]}`},
		{`{"a":[{"prefix":{"equals-ignore-case":"é"}},{"suffix":"\\"},{"anything-but":{"suffix":["x","y"]}}],"b":[{"numeric":[">",0,"<=",1.5e3]},null]}`, `{"a":["Éx",[1]],"b":[15e2]}`},
		{`{"$or":[{"prefix suffix":["x"]},{"a":["b"]}]}`, `{"prefix suffix":"x"}`},
		{`{"a":[{"cidr":"::ffff:1.2.3.4"},{"numeric":["=",-0]}],"$or":[{"exists":false},null]}`, `{"a":[1e1000,"1.2.3.4","\ud800"],"$or":[[]]}`},
		{`{"a":{"b":[{"cidr":"10.0.0.0/8"},{"anything-but":["x",1]},{"wildcard":"*a\\**b"}]},"$or":[{"c":[true]},{"d":[{"equals-ignore-case":"k"}]}]}`, `{"a":[{"b":"10.1.1.1"},{"b":"za*b"}],"d":"\u212a"}`},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, text, event string) {
		p, err := pattern.Compile(text)
		if err != nil || len(event) > 10_000 {
			return
		}
		v, err := pattern.Decode([]byte(event))
		if err != nil {
			return
		}
		got := p.Match(v)
		if len(event) > 2000 || len(text)*len(event) > 500_000 { // the twin would take too long
			return
		}
		asked, err := pattern.Decode([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if want := twinObject(asked.(map[string]any), v); got != want {
			t.Fatalf("%s on %s: %v, twin %v", text, event, got, want)
		}
	})
}
