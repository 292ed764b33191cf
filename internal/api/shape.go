package api

import (
	"cmp"
	"reflect"
	"regexp"
	"sync"
)

//go:generate go run ./gen

// Kind is what a shape is on the wire.
type Kind uint8

// The kinds and the Go types they have in generated structures: String string, or *string if
// "" says something that absence does not, Boolean *bool, Integer *int32, Long *int64, Double
// *float64, Timestamp *time.Time, Blob []byte, List a slice, Map a map with string keys,
// Structure a pointer. As elements of lists and maps all of them are plain values.
const (
	String Kind = iota + 1
	Boolean
	Integer
	Long
	Double
	Timestamp
	Blob
	List
	Map
	Structure
)

// Shape is one shape of a model with its constraints.
type Shape struct {
	Kind Kind
	// Name is the Go type of a structure.
	Name string
	// Sensitive marks values that never go to a log.
	Sensitive bool
	// Min and Max bound a length or a number.
	HasMin, HasMax bool
	Min, Max       int64
	// Pattern is the model's expression as messages show it, RE2 the same for Go where
	// it has to be written differently. It matches the whole value.
	Pattern, RE2 string
	Enum         []string
	// Key and Elem are places in the table.
	Key, Elem int
	// KeyName and ValueName are what the query protocol calls the parts of a map's entry if
	// they are not key and value.
	KeyName, ValueName string
	// Members stand in the order of the structure's fields.
	Members []Member
}

// Member is one member of a structure. In is where it stands in a request or an answer of
// the rest-json protocol, and As its name there.
type Member struct {
	Name     string
	Shape    int
	Required bool
	In       Place
	As       string
}

// Place is a part of a request or answer.
type Place uint8

// The places: InBody is a member of the JSON object, InPayload the whole body.
const (
	InBody Place = iota
	InUri
	InQuerystring
	InHeader
	InStatusCode
	InPayload
)

// Table is the shapes of one service. It is safe for concurrent use.
type Table struct {
	shapes []Shape
	byName map[string]int

	mu    sync.Mutex
	plans map[planKey]*plan
}

type planKey struct {
	shape int
	typ   reflect.Type
}

// NewTable makes a table of a generated list of shapes.
func NewTable(shapes []Shape) *Table {
	t := &Table{shapes: shapes, byName: map[string]int{}, plans: map[planKey]*plan{}}
	for i := range shapes {
		if shapes[i].Kind == Structure {
			t.byName[shapes[i].Name] = i
		}
	}
	return t
}

// plan is a shape bound to the Go type that holds it.
type plan struct {
	*Shape
	typ     reflect.Type // without the pointer
	pointer bool         // the value is held as *typ
	fields  []field
	byName  map[string]int
	key     *plan
	elem    *plan

	once sync.Once
	re   *regexp.Regexp
}

type field struct {
	*plan
	name     string
	required bool
	in       Place
	as       string
}

// entryNames gives what the query protocol calls the parts of a map's entry.
func (p *plan) entryNames() (key, value string) {
	return cmp.Or(p.KeyName, "key"), cmp.Or(p.ValueName, "value")
}

// pattern gives the compiled expression. It is compiled on first use: a server starts
// with some hundred expressions and uses few.
func (p *plan) pattern() *regexp.Regexp {
	p.once.Do(func() {
		re := p.RE2
		if re == "" {
			re = p.Pattern
		}
		// The generator has compiled the same text.
		p.re = regexp.MustCompile("^(?:" + re + ")$")
	})
	return p.re
}

// planFor gives the plan of a pointer to a generated structure of this table. Any other
// type is a programming mistake.
func (t *Table) planFor(typ reflect.Type) *plan {
	shape, ok := t.byName[typ.Elem().Name()]
	if !ok {
		panic("api: " + typ.String() + " is not of this table")
	}
	return t.plan(shape, typ)
}

// plan gives the plan of a shape held in typ, which may be a pointer.
func (t *Table) plan(shape int, typ reflect.Type) *plan {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.build(shape, typ)
}

func (t *Table) build(shape int, typ reflect.Type) *plan {
	key := planKey{shape, typ}
	if p := t.plans[key]; p != nil {
		return p
	}
	p := &plan{Shape: &t.shapes[shape], typ: typ}
	// Known before its parts are built, because structures may contain themselves.
	t.plans[key] = p
	if typ.Kind() == reflect.Pointer {
		p.pointer, p.typ = true, typ.Elem()
	}
	switch p.Kind {
	case List:
		p.elem = t.build(p.Elem, p.typ.Elem())
	case Map:
		p.key = t.build(p.Key, p.typ.Key())
		p.elem = t.build(p.Elem, p.typ.Elem())
	case Structure:
		p.byName = make(map[string]int, len(p.Members))
		p.fields = make([]field, len(p.Members))
		for i, m := range p.Members {
			if m.In == InBody {
				p.byName[m.Name] = i
			}
			p.fields[i] = field{plan: t.build(m.Shape, p.typ.Field(i).Type), name: m.Name, required: m.Required, in: m.In, as: m.As}
		}
	}
	return p
}
