package pipeline

import (
	"encoding/json"
	"slices"
	"strconv"
)

// Change is a place at which two definitions differ. Path leads there by the names of stages
// and actions. Old or New is empty if the value is in one of them only; else they are JSON.
type Change struct {
	Path     string
	Old, New string
}

// Diff gives the changes from one definition to another, in the order of the paths of their
// members. It compares what they say, so both are best normalised and masked.
func Diff(from, to *Declaration) []Change {
	var out []Change
	diff("", tree(from), tree(to), &out)
	return out
}

func tree(d *Declaration) any {
	var v any
	text, err := json.Marshal(d.Clone())
	if err == nil {
		err = json.Unmarshal(text, &v)
	}
	if err != nil {
		panic(err) // a declaration always has a JSON form
	}
	return v
}

func diff(path string, from, to any, out *[]Change) {
	a, ok1 := from.(map[string]any)
	b, ok2 := to.(map[string]any)
	if l, ok := from.([]any); ok {
		if m, ok := to.([]any); ok {
			a, ok1 = byName(l)
			b, ok2 = byName(m)
			if ok1 && ok2 {
				order(path, l, m, out)
			}
		}
	}
	if ok1 && ok2 {
		keys := sortedKeys(a)
		for _, k := range sortedKeys(b) {
			if _, ok := a[k]; !ok {
				keys = append(keys, k)
			}
		}
		slices.Sort(keys)
		for _, k := range keys {
			at := k
			if path != "" {
				at = path + "." + k
			}
			diff(at, a[k], b[k], out)
		}
		return
	}
	if x, y := asJSON(from), asJSON(to); x != y {
		*out = append(*out, Change{path, x, y})
	}
}

// order tells that elements which both lists have stand in another order.
func order(path string, from, to []any, out *[]Change) {
	names := func(list, other []any) (kept []string) {
		in, _ := byName(other)
		for _, v := range list {
			if name := v.(map[string]any)["name"].(string); in[name] != nil {
				kept = append(kept, name)
			}
		}
		return kept
	}
	if x, y := names(from, to), names(to, from); !slices.Equal(x, y) {
		*out = append(*out, Change{path, asJSON(x), asJSON(y)})
	}
}

// byName gives the elements of a list under their names. Lists whose elements have none, or
// not each its own, are compared as wholes.
func byName(list []any) (map[string]any, bool) {
	out := make(map[string]any, len(list))
	for _, v := range list {
		m, _ := v.(map[string]any)
		name, ok := m["name"].(string)
		if !ok || out[name] != nil {
			return nil, false
		}
		out[name] = v
	}
	return out, true
}

func asJSON(v any) string {
	if v == nil {
		return ""
	}
	text, err := json.Marshal(v)
	if err != nil {
		return strconv.Quote(err.Error())
	}
	return string(text)
}
