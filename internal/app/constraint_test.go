package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// law is a shape of a model file with all that such a file may say of it: a key that is not
// here ends the test, so no kind of constraint is passed over.
type law struct {
	Type      string
	Members   []struct{ Name, Shape string }
	Required  []string
	Enum      []string
	Element   string
	Key       string
	Value     string
	Pattern   string
	Min, Max  *int
	Sensitive bool
	Exception bool
	Fault     bool
	Code      string
	Status    int
}

// laws reads the shapes of the API of CodePipeline as they are in force (W-24).
func laws(t *testing.T) (operations map[string]string, shapes map[string]*law) {
	t.Helper()
	read := func(name string, v any, strict bool) {
		text, err := os.ReadFile(filepath.Join("..", "api", "models", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		d := json.NewDecoder(bytes.NewReader(text))
		if strict {
			d.DisallowUnknownFields()
		}
		if err := d.Decode(v); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	var model struct {
		Origin, Service, ServiceId, ApiVersion, Protocol, JsonVersion, TargetPrefix, SigningName string
		Operations                                                                               []struct {
			Name, Input, Output string
			Errors              []string
		}
		Shapes map[string]*law
	}
	read("codepipeline", &model, true)
	var overrides map[string]struct {
		Shapes map[string]json.RawMessage
	}
	read("overrides", &overrides, false)
	for name, text := range overrides["codepipeline"].Shapes {
		var o struct {
			Min, Max     *int
			Pattern, Why string
		}
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(&o); err != nil {
			t.Fatalf("the override of %s: %v", name, err)
		}
		if o.Pattern != "" {
			model.Shapes[name].Pattern = o.Pattern
		}
		if o.Min != nil {
			model.Shapes[name].Min = o.Min
		}
		if o.Max != nil {
			model.Shapes[name].Max = o.Max
		}
	}
	operations = map[string]string{}
	for _, op := range model.Operations {
		operations[op.Name] = op.Input
	}
	return operations, model.Shapes
}

// breach is one input that breaks one rule, and what must be answered.
type breach struct {
	what, path string
	// set puts the wrong value into a full input.
	set     func(in map[string]any)
	phrases []string
}

// breaker finds every breach of a shape.
type breaker struct {
	t        *testing.T
	shapes   map[string]*law
	breaches []breach
}

// place reaches into an input: at gives the value there, put replaces it.
type place struct {
	at  func(in any) any
	put func(in, v any)
}

// full gives a value with every member in it, each as small as it may be.
func (b *breaker) full(name string) any {
	s := b.shapes[name]
	switch s.Type {
	case "structure":
		out := map[string]any{}
		for _, m := range s.Members {
			out[m.Name] = b.full(m.Shape)
		}
		return out
	case "list":
		list := []any{}
		for range max(value(s.Min), 1) {
			list = append(list, b.full(s.Element))
		}
		return list
	case "map":
		return map[string]any{fmt.Sprint(b.full(s.Key)): b.full(s.Value)}
	case "boolean":
		return false
	case "integer", "long", "timestamp":
		return max(value(s.Min), 1)
	case "blob":
		return "eA=="
	}
	return b.good(name, max(value(s.Min), 1))
}

func value(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}

// good gives a text of at least n characters that the shape allows.
func (b *breaker) good(name string, n int) string {
	s := b.shapes[name]
	if len(s.Enum) > 0 {
		return s.Enum[0]
	}
	for _, v := range append([]string{strings.Repeat("a", n), strings.Repeat("1", n), "arn:aws:lambda:us-east-1:000000000000:function:name"}, values...) {
		if utf8.RuneCountInString(v) >= n && (s.Max == nil || utf8.RuneCountInString(v) <= *s.Max) && b.matches(s, v) {
			return v
		}
	}
	b.t.Fatalf("no good value of %s is known", name)
	return ""
}

func (b *breaker) matches(s *law, v string) bool {
	re, err := regexp.Compile(`^(?:` + s.Pattern + `)$`)
	if err != nil {
		b.t.Fatal(err)
	}
	return s.Pattern == "" || re.MatchString(v)
}

const (
	short  = "Member must have length greater than or equal to %d"
	long   = "Member must have length less than or equal to %d"
	small  = "Member must have value greater than or equal to %d"
	great  = "Member must have value less than or equal to %d"
	formed = "Member must satisfy regular expression pattern: %s"
	among  = "Member must satisfy enum value set: [%s]"
)

// text gives what is wrong with a text (W-23).
func (b *breaker) text(s *law, v string) (phrases []string) {
	n := utf8.RuneCountInString(v)
	if s.Max != nil && n > *s.Max {
		phrases = append(phrases, fmt.Sprintf(long, *s.Max))
	}
	if s.Min != nil && n < *s.Min {
		phrases = append(phrases, fmt.Sprintf(short, *s.Min))
	}
	if !b.matches(s, v) {
		phrases = append(phrases, fmt.Sprintf(formed, s.Pattern))
	}
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, v) {
		phrases = append(phrases, fmt.Sprintf(among, strings.Join(s.Enum, ", ")))
	}
	return phrases
}

// bad gives a wrong value for each constraint of a scalar, with what is wrong with it.
func (b *breaker) bad(name string) map[string]struct {
	v       any
	phrases []string
} {
	s := b.shapes[name]
	out := map[string]struct {
		v       any
		phrases []string
	}{}
	add := func(what string, v any, phrases ...string) {
		if len(phrases) == 0 {
			b.t.Fatalf("%s: nothing is wrong with %.40v, which is to break %s", name, v, what)
		}
		out[what] = struct {
			v       any
			phrases []string
		}{v, phrases}
	}
	switch s.Type {
	case "integer", "long":
		if s.Min != nil {
			add("min", *s.Min-1, fmt.Sprintf(small, *s.Min))
		}
		if s.Max != nil {
			add("max", *s.Max+1, fmt.Sprintf(great, *s.Max))
		}
	case "string":
		if n := value(s.Min); n > 0 {
			v := strings.Repeat("a", n-1)
			add("min", v, b.text(s, v)...)
		}
		if s.Max != nil {
			v := strings.Repeat("a", *s.Max+1)
			add("max", v, b.text(s, v)...)
		}
		if s.Pattern != "" {
			v := strings.Repeat("\u2603", max(value(s.Min), 1))
			if b.matches(s, v) { // a dot lets everything through but the end of a line
				v = strings.Repeat("\n", max(value(s.Min), 1))
			}
			add("pattern", v, b.text(s, v)...)
		}
		if len(s.Enum) > 0 {
			v := strings.ToLower(s.Enum[0]) + "_"
			add("enum", v, b.text(s, v)...)
		}
	default:
		if s.Min != nil || s.Max != nil || s.Pattern != "" || len(s.Enum) > 0 {
			b.t.Fatalf("%s: a constraint of a %s is not looked at", name, s.Type)
		}
	}
	return out
}

// all spells the constraints of an element, key or value, which are told together.
func (b *breaker) all(s *law) string {
	var list []string
	if s.Max != nil {
		list = append(list, fmt.Sprintf(long, *s.Max))
	}
	if s.Min != nil {
		list = append(list, fmt.Sprintf(short, *s.Min))
	}
	if s.Pattern != "" {
		list = append(list, fmt.Sprintf(formed, s.Pattern))
	}
	if len(s.Enum) > 0 {
		list = append(list, fmt.Sprintf(among, strings.Join(s.Enum, ", ")))
	}
	return "[" + strings.Join(list, ", ") + "]"
}

func (b *breaker) add(what, path string, p place, v any, phrases ...string) {
	b.breaches = append(b.breaches, breach{what, path, func(in map[string]any) { p.put(in, v) }, phrases})
}

// structure walks the members of a structure.
func (b *breaker) structure(path string, s *law, p place) {
	for _, m := range s.Members {
		at := strings.TrimPrefix(path+"."+m.Name, ".")
		inner := place{
			at:  func(in any) any { return p.at(in).(map[string]any)[m.Name] },
			put: func(in, v any) { p.at(in).(map[string]any)[m.Name] = v },
		}
		if slices.Contains(s.Required, m.Name) {
			b.add("required", at, inner, nil, "")
		}
		for what, bad := range b.scalar(m.Shape) {
			b.add(what, at, inner, bad.v, bad.phrases...)
		}
		b.container(at, m.Shape, inner)
	}
}

// scalar is bad for shapes that are scalars.
func (b *breaker) scalar(name string) map[string]struct {
	v       any
	phrases []string
} {
	if kind := b.shapes[name].Type; kind == "list" || kind == "map" || kind == "structure" {
		return nil
	}
	return b.bad(name)
}

// container walks a structure, list or map that stands at a path.
func (b *breaker) container(path, name string, p place) {
	s := b.shapes[name]
	switch s.Type {
	case "structure":
		b.structure(path, s, p)
	case "list":
		one := b.full(s.Element)
		if n := value(s.Min); n > 0 {
			b.add("min", path, p, slices.Repeat([]any{one}, n-1), fmt.Sprintf(short, n))
		}
		if s.Max != nil {
			b.add("max", path, p, slices.Repeat([]any{one}, *s.Max+1), fmt.Sprintf(long, *s.Max))
		}
		element := b.shapes[s.Element]
		for what, bad := range b.scalar(s.Element) {
			list := slices.Repeat([]any{one}, max(value(s.Min), 1))
			list[len(list)-1] = bad.v
			b.add("element "+what, path, p, list, "Member must satisfy constraint: "+b.all(element))
		}
		b.container(path+".1.member", s.Element, place{
			at:  func(in any) any { return p.at(in).([]any)[0] },
			put: func(in, v any) { p.at(in).([]any)[0] = v },
		})
	case "map":
		key, one := fmt.Sprint(b.full(s.Key)), b.full(s.Value)
		if s.Max != nil {
			many := map[string]any{}
			for i := range *s.Max + 1 {
				many[fmt.Sprintf("k%d", i)] = one
			}
			b.add("max", path, p, many, fmt.Sprintf(long, *s.Max))
		}
		if value(s.Min) > 0 {
			b.t.Fatalf("%s: the least size of a map is not looked at", name)
		}
		for what, bad := range b.scalar(s.Key) {
			b.add("key "+what, path, p, map[string]any{fmt.Sprint(bad.v): one}, "Map keys must satisfy constraint: "+b.all(b.shapes[s.Key]))
		}
		for what, bad := range b.scalar(s.Value) {
			b.add("value "+what, path, p, map[string]any{key: bad.v}, "Map value must satisfy constraint: "+b.all(b.shapes[s.Value]))
		}
		b.container(path+"."+key+".member", s.Value, place{
			at:  func(in any) any { return p.at(in).(map[string]any)[key] },
			put: func(in, v any) { p.at(in).(map[string]any)[key] = v },
		})
	}
}

// want gives the whole message (W-21, W-22).
func (b breach) want() string {
	var list []string
	for _, phrase := range b.phrases {
		if b.what == "required" {
			list = append(list, fmt.Sprintf("Value null at '%s' failed to satisfy constraint: Member must not be null", b.path))
		} else {
			list = append(list, fmt.Sprintf("Value at '%s' failed to satisfy constraint: %s", b.path, phrase))
		}
	}
	plural := "s"
	if len(list) == 1 {
		plural = ""
	}
	return fmt.Sprintf("%d validation error%s detected: %s", len(list), plural, strings.Join(list, "; "))
}

// W-20 to W-24, M-18: every constraint of the model, at every place of the input of every
// operation, is broken once, and the answer is word for word the expected one. The caller may
// do nothing at all: constraints come before permissions.
func TestEveryConstraint(t *testing.T) {
	t.Parallel()
	a := start(t, t.TempDir(), "")
	keys := stranger(t, a, "nobody")
	operations, shapes := laws(t)
	if len(operations) != 44 {
		t.Fatalf("the model has %d operations", len(operations))
	}
	send := func(operation string, in map[string]any) (class, message string) {
		t.Helper()
		body, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://penstock.example/", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		r.Header.Set("X-Amz-Target", "CodePipeline_20150709."+operation)
		w := a.ask(t, &keys, "codepipeline", r, body)
		var out struct {
			Type    string `json:"__type"`
			Message string
		}
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			t.Fatalf("%s: %d %s", operation, w.Code, w.Body)
		}
		return out.Type, out.Message
	}
	total := 0
	for _, operation := range slices.Sorted(maps.Keys(operations)) {
		input := operations[operation]
		b := &breaker{t: t, shapes: shapes}
		whole := func() map[string]any { return b.full(input).(map[string]any) }
		class, message := send(operation, whole())
		if class == "UnknownOperationException" {
			t.Logf("%s is not offered: the route comes first", operation)
			continue
		}
		if class != "AccessDeniedException" {
			t.Errorf("%s, with nothing wrong: %s: %s", operation, class, message)
			continue
		}
		b.structure("", shapes[input], place{at: func(in any) any { return in }})
		for _, c := range b.breaches {
			in := whole()
			c.set(in)
			if class, message := send(operation, in); class != "ValidationException" || message != c.want() {
				t.Errorf("%s, %s of %s:\ngot  %s: %s\nwant %s", operation, c.what, c.path, class, message, c.want())
			}
		}
		total += len(b.breaches)
	}
	if total < 1000 {
		t.Errorf("only %d constraints were broken: the walk does not reach them", total)
	}
	t.Logf("%d constraints", total)
}
