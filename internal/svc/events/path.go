package events

import (
	"strconv"
	"strings"
)

// path is a JSON path of the kind that rules use: $, then .name, ['name'], [0] and wildcards.
type path []step

// step is a name, an index, or all of them.
type step struct {
	name  string
	index int // -1 is no index
	all   bool
}

// maxSteps bounds a path; events do not nest deeper in earnest.
const maxSteps = 64

// parsePath reads a path, or says false.
func parsePath(text string) (path, bool) {
	rest, ok := strings.CutPrefix(text, "$")
	if !ok {
		return nil, false
	}
	p := path{}
	for rest != "" {
		if len(p) == maxSteps {
			return nil, false
		}
		s := step{index: -1}
		if rest[0] == '.' {
			end := strings.IndexAny(rest[1:], ".[") + 1
			if end == 0 {
				end = len(rest)
			}
			s.name, rest = rest[1:end], rest[end:]
			s.all = s.name == "*"
			if s.name == "" || strings.ContainsAny(s.name, " '\"]()@?") {
				return nil, false
			}
		} else {
			inside, after, ok := strings.Cut(rest, "]")
			if !ok || !strings.HasPrefix(inside, "[") {
				return nil, false
			}
			inside, rest = inside[1:], after
			switch n, err := strconv.ParseUint(inside, 10, 31); {
			case inside == "*":
				s.all = true
			case err == nil:
				s.index = int(n)
			case len(inside) > 2 && (inside[0] == '\'' || inside[0] == '"') && inside[len(inside)-1] == inside[0]:
				s.name = inside[1 : len(inside)-1]
			default:
				return nil, false
			}
		}
		p = append(p, s)
	}
	return p, true
}

// find gives what stands at a path; false if nothing does. A wildcard gives a list.
func (p path) find(v any) (any, bool) {
	for i, s := range p {
		if s.all {
			var list []any
			switch v := v.(type) {
			case []any:
				list = v
			case map[string]any:
				for _, key := range sortedKeys(v) {
					list = append(list, v[key])
				}
			default:
				return nil, false
			}
			found := []any{}
			for _, e := range list {
				if f, ok := p[i+1:].find(e); ok {
					found = append(found, f)
				}
			}
			return found, true
		}
		switch in := v.(type) {
		case []any:
			if s.index < 0 || s.index >= len(in) {
				return nil, false
			}
			v = in[s.index]
		case map[string]any:
			var ok bool
			if v, ok = in[s.name]; !ok || s.index >= 0 {
				return nil, false
			}
		default:
			return nil, false
		}
	}
	return v, true
}
