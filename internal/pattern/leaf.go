package pattern

import (
	"encoding/json"
	"net/netip"
	"strconv"
	"strings"
)

// leaf is what is asked of a scalar: one of exact values, or what one of some tests says.
type leaf struct {
	exact map[any]bool
	tests []func(v any) bool
	// exists and absent are the two answers of {"exists": …}.
	exists, absent bool
}

func compileLeaf(list []any, path string) (*leaf, error) {
	if len(list) == 0 {
		return nil, invalid("Empty arrays are not allowed at %q", path)
	}
	l := &leaf{exact: map[any]bool{}}
	for _, v := range list {
		switch v := v.(type) {
		case string, json.Number, bool, nil:
			l.exact[v] = true
		case map[string]any:
			if len(v) != 1 {
				return nil, invalid("Only one key allowed in match expression at %q", path)
			}
			for key, argument := range v {
				if err := l.add(key, argument, path); err != nil {
					return nil, err
				}
			}
		default:
			return nil, invalid("Match value must be String, number, true, false, or null at %q", path)
		}
	}
	return l, nil
}

func (l *leaf) add(key string, argument any, path string) error {
	if key == "exists" {
		yes, ok := argument.(bool)
		if !ok {
			return invalid("exists match pattern must be either true or false at %q", path)
		}
		l.exists, l.absent = l.exists || yes, l.absent || !yes
		return nil
	}
	compile := matchers[key]
	if compile == nil {
		return invalid("Unrecognized match type %s at %q", key, path)
	}
	test, problem := compile(argument)
	if problem != "" {
		return invalid("%s: %s at %q", key, problem, path)
	}
	l.tests = append(l.tests, test)
	return nil
}

// match looks at a value: any of a list will do, and an object is none.
func (l *leaf) match(v any, present bool) bool {
	scalars := 0
	hit := present && l.walk(v, &scalars)
	return hit || l.absent && scalars == 0
}

func (l *leaf) walk(v any, scalars *int) bool {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if l.walk(e, scalars) {
				return true
			}
		}
		return false
	case map[string]any:
		return false
	}
	*scalars++
	if l.exists || l.exact[v] {
		return true
	}
	for _, test := range l.tests {
		if test(v) {
			return true
		}
	}
	return false
}

// matchers make a test of the argument of a match expression, or say what is wrong with it.
var matchers map[string]func(argument any) (test func(v any) bool, problem string)

func init() {
	matchers = map[string]func(any) (func(any) bool, string){
		"prefix":             edge(strings.HasPrefix, foldPrefix),
		"suffix":             edge(strings.HasSuffix, foldSuffix),
		"equals-ignore-case": onText(func(want string) (func(string) bool, string) { return equalFold(want), "" }),
		"wildcard":           onText(wildcard),
		"anything-but":       anythingBut,
		"numeric":            numeric,
		"cidr":               cidr,
		"exists":             func(any) (func(any) bool, string) { return nil, "it stands alone" },
	}
}

func equalFold(want string) func(string) bool {
	return func(have string) bool { return strings.EqualFold(want, have) }
}

// foldPrefix and foldSuffix compare as many characters as the edge has, whatever their case.
func foldPrefix(s, edge string) bool {
	n := len([]rune(edge))
	for i := range s {
		if n == 0 {
			return strings.EqualFold(s[:i], edge)
		}
		n--
	}
	return n == 0 && strings.EqualFold(s, edge)
}

func foldSuffix(s, edge string) bool {
	r, n := []rune(s), len([]rune(edge))
	return n <= len(r) && strings.EqualFold(string(r[len(r)-n:]), edge)
}

// onText makes a matcher of strings whose argument is a string.
func onText(compile func(want string) (func(have string) bool, string)) func(any) (func(any) bool, string) {
	return func(argument any) (func(any) bool, string) {
		want, ok := argument.(string)
		if !ok {
			return nil, "the value must be a string"
		}
		test, problem := compile(want)
		return func(v any) bool {
			have, ok := v.(string)
			return ok && test(have)
		}, problem
	}
}

// edge makes prefix and suffix, whose argument may ask to ignore the case.
func edge(plain, fold func(s, edge string) bool) func(any) (func(any) bool, string) {
	with := func(has func(s, edge string) bool) func(any) (func(any) bool, string) {
		return onText(func(want string) (func(string) bool, string) {
			return func(have string) bool { return has(have, want) }, ""
		})
	}
	return func(argument any) (func(any) bool, string) {
		if m, ok := argument.(map[string]any); ok {
			want, ok := m["equals-ignore-case"]
			if !ok || len(m) != 1 {
				return nil, "it may hold equals-ignore-case only"
			}
			return with(fold)(want)
		}
		return with(plain)(argument)
	}
}

// maxStars bounds the parts of a wildcard.
const maxStars = 100

// wildcard compiles a text in which * stands for any characters; \* and \\ are themselves.
// The parts between are found one after the other from the left, which never goes back.
func wildcard(want string) (func(string) bool, string) {
	var parts []string
	var part []byte
	for i := 0; i < len(want); i++ {
		switch c := want[i]; {
		case c == '\\':
			if i++; i == len(want) || want[i] != '*' && want[i] != '\\' {
				return nil, "a backslash stands before * or a backslash"
			}
			part = append(part, want[i])
		case c == '*':
			if i > 0 && len(part) == 0 && len(parts) > 0 {
				return nil, "consecutive wildcard characters"
			}
			parts = append(parts, string(part))
			part = part[:0]
		default:
			part = append(part, c)
		}
	}
	parts = append(parts, string(part))
	if len(parts) > maxStars {
		return nil, "too many wildcard characters"
	}
	return func(s string) bool {
		if len(parts) == 1 {
			return s == parts[0]
		}
		s, ok := strings.CutPrefix(s, parts[0])
		if !ok {
			return false
		}
		last := parts[len(parts)-1]
		for _, p := range parts[1 : len(parts)-1] {
			i := strings.Index(s, p)
			if i < 0 {
				return false
			}
			s = s[i+len(p):]
		}
		return strings.HasSuffix(s, last)
	}, ""
}

// anythingBut is true for what the argument is not: a value, a list of values, or what
// another matcher finds.
func anythingBut(argument any) (func(any) bool, string) {
	switch a := argument.(type) {
	case string, json.Number, bool, nil:
		return func(v any) bool { return v != a }, ""
	case []any:
		if len(a) == 0 {
			return nil, "the list is empty"
		}
		not := map[any]bool{}
		for _, v := range a {
			switch v.(type) {
			case string, json.Number:
				not[v] = true
			default:
				return nil, "the list holds strings or numbers"
			}
		}
		return func(v any) bool { return !not[v] }, ""
	case map[string]any:
		for key, inner := range a {
			if len(a) != 1 || key != "prefix" && key != "suffix" && key != "wildcard" && key != "equals-ignore-case" {
				break
			}
			return noneOf(key, inner)
		}
	}
	return nil, "it takes values, or one of prefix, suffix, wildcard and equals-ignore-case"
}

// noneOf is true for strings of which none of the matchers of a kind is.
func noneOf(kind string, argument any) (func(any) bool, string) {
	list, ok := argument.([]any)
	if !ok {
		list = []any{argument}
	}
	if len(list) == 0 {
		return nil, "the list is empty"
	}
	tests := make([]func(any) bool, len(list))
	for i, a := range list {
		var problem string
		if tests[i], problem = matchers[kind](a); problem != "" {
			return nil, problem
		}
	}
	return func(v any) bool {
		for _, test := range tests {
			if test(v) {
				return false
			}
		}
		return true
	}, ""
}

// maxNumber is the range of numbers that can be compared, in both directions.
const maxNumber = 5e9

// numeric takes one comparison or two: ["=", 5], [">", 0, "<=", 100].
func numeric(argument any) (func(any) bool, string) {
	list, ok := argument.([]any)
	if !ok || len(list) != 2 && len(list) != 4 {
		return nil, "it is like [\">\", 0, \"<=\", 5]"
	}
	type bound struct {
		op string
		n  float64
	}
	var bounds []bound
	for i := 0; i < len(list); i += 2 {
		op, ok1 := list[i].(string)
		text, ok2 := list[i+1].(json.Number)
		n, err := strconv.ParseFloat(string(text), 64)
		switch {
		case !ok1 || op != "=" && op != "<" && op != "<=" && op != ">" && op != ">=":
			return nil, "an operator is one of = < <= > >="
		case !ok2 || err != nil || n > maxNumber || n < -maxNumber:
			return nil, "a number is from -5000000000 to 5000000000"
		}
		bounds = append(bounds, bound{op, n})
	}
	if len(bounds) == 2 && (bounds[0].op[0] != '>' || bounds[1].op[0] != '<' || bounds[0].n >= bounds[1].n) {
		return nil, "of two bounds the first is the lower"
	}
	return func(v any) bool {
		text, ok := v.(json.Number)
		n, err := strconv.ParseFloat(string(text), 64)
		if !ok || err != nil {
			return false
		}
		for _, b := range bounds {
			holds := false
			switch b.op {
			case "=":
				holds = n == b.n
			case "<":
				holds = n < b.n
			case "<=":
				holds = n <= b.n
			case ">":
				holds = n > b.n
			case ">=":
				holds = n >= b.n
			}
			if !holds {
				return false
			}
		}
		return true
	}, ""
}

// cidr takes a block of addresses, or one address.
func cidr(argument any) (func(any) bool, string) {
	text, _ := argument.(string)
	block, err := netip.ParsePrefix(text)
	if err != nil {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return nil, "it is like 10.0.0.0/24"
		}
		block = netip.PrefixFrom(a, a.BitLen())
	}
	return func(v any) bool {
		s, _ := v.(string)
		a, err := netip.ParseAddr(s)
		return err == nil && block.Contains(a)
	}, ""
}
