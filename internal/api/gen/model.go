package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
)

const overridesFile = "overrides.json"

// model is one model file: the facts of one service's published API model.
type model struct {
	Origin       string
	Service      string
	ServiceID    string
	APIVersion   string
	Protocol     string // "json", "query", "rest-json" or "smithy-rpc-v2-cbor"
	JSONVersion  string
	TargetPrefix string
	SigningName  string
	XMLNamespace string
	Operations   []operation
	Shapes       map[string]*shape

	// From the overrides.
	validationCode string
	maxBody        int64
	maxBodies      map[string]int64
}

type operation struct {
	Name string `json:"name"`
	// Method, Path and Status are where a rest-json operation is and what its success is.
	Method string   `json:"method,omitempty"`
	Path   string   `json:"path,omitempty"`
	Status int      `json:"status,omitempty"`
	Input  string   `json:"input,omitempty"`
	Output string   `json:"output,omitempty"`
	Result string   `json:"resultWrapper,omitempty"`
	Errors []string `json:"errors,omitempty"`
}

type shape struct {
	Type      string   `json:"type"`
	Members   []member `json:"members,omitempty"`
	Required  []string `json:"required,omitempty"`
	Element   string   `json:"element,omitempty"`
	Key       string   `json:"key,omitempty"`
	Value     string   `json:"value,omitempty"`
	KeyName   string   `json:"keyName,omitempty"`
	ValueName string   `json:"valueName,omitempty"`
	Min       *int64   `json:"min,omitempty"`
	Max       *int64   `json:"max,omitempty"`
	Pattern   string   `json:"pattern,omitempty"`
	Enum      []string `json:"enum,omitempty"`
	Sensitive bool     `json:"sensitive,omitempty"`
	Exception bool     `json:"exception,omitempty"`
	Code      string   `json:"code,omitempty"`
	Status    int      `json:"status,omitempty"`
	Fault     bool     `json:"fault,omitempty"`
}

type member struct {
	Name  string `json:"name"`
	Shape string `json:"shape"`
	// In is uri, querystring, header, statusCode or payload, "" for the body; As is the name
	// there.
	In string `json:"in,omitempty"`
	As string `json:"as,omitempty"`
	// clears is from the overrides: a string of which "" is not absent.
	clears bool
}

// override is what penstock does differently from one service's published model.
type override struct {
	// ValidationCode is the error class of constraint violations, with the reason in Why.
	ValidationCode string `json:"validationCode"`
	// MaxBody is the largest request body in bytes, if it is not the door's default, and
	// MaxBodies the same of single operations.
	MaxBody   int64                    `json:"maxBody"`
	MaxBodies map[string]int64         `json:"maxBodies"`
	Why       string                   `json:"why"`
	Shapes    map[string]shapeOverride `json:"shapes"`
	// Only are the operations that an extraction keeps of the published model, with the
	// shapes they need; all if there are none here. The reason is in Why.
	Only []string `json:"only"`
	// Own are operations that the published model does not have, with their shapes.
	Own *ownOperations `json:"own"`
}

type ownOperations struct {
	Why        string            `json:"why"`
	Operations []operation       `json:"operations"`
	Shapes     map[string]*shape `json:"shapes"`
}

type shapeOverride struct {
	Min *int64 `json:"min"`
	Max *int64 `json:"max"`
	// Pattern, if not empty, takes the place of the published one.
	Pattern string `json:"pattern"`
	// Clears are members of a structure whose empty string takes an old value away; they are
	// pointers in Go.
	Clears []string `json:"clears"`
	Why    string   `json:"why"`
}

func readOverrides(path string) (map[string]*override, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var all map[string]*override
	if err := strict(data, &all); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return all, nil
}

func readModel(path string) (*model, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m := new(model)
	if err := strict(data, m); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

func strict(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// apply lays the overrides over the published facts; an override of a shape that the
// model does not have, or without a reason, is a mistake.
func (m *model) apply(o *override) error {
	if o == nil {
		return nil
	}
	if (o.ValidationCode != "" || o.MaxBody != 0 || o.MaxBodies != nil || o.Only != nil) && o.Why == "" {
		return fmt.Errorf("override without why")
	}
	m.validationCode, m.maxBody, m.maxBodies = o.ValidationCode, o.MaxBody, o.MaxBodies
	for name := range o.MaxBodies {
		if !slices.ContainsFunc(m.Operations, func(op operation) bool { return op.Name == name }) {
			return fmt.Errorf("override of %s: no such operation", name)
		}
	}
	for name, so := range o.Shapes {
		s := m.Shapes[name]
		if s == nil || so.Why == "" {
			return fmt.Errorf("override of %s: no such shape, or no why", name)
		}
		if so.Min != nil {
			s.Min = so.Min
		}
		if so.Max != nil {
			s.Max = so.Max
		}
		if so.Pattern != "" {
			s.Pattern = so.Pattern
		}
		for _, clears := range so.Clears {
			i := slices.IndexFunc(s.Members, func(has member) bool { return has.Name == clears && m.Shapes[has.Shape].Type == "string" })
			if i < 0 {
				return fmt.Errorf("override of %s: %s is no string of it", name, clears)
			}
			s.Members[i].clears = true
		}
	}
	if o.Own == nil {
		return nil
	}
	if o.Own.Why == "" {
		return fmt.Errorf("own operations without why")
	}
	for name, s := range o.Own.Shapes {
		if m.Shapes[name] != nil {
			return fmt.Errorf("own shape %s is one of the model", name)
		}
		m.Shapes[name] = s
	}
	m.Operations = append(m.Operations, o.Own.Operations...)
	return nil
}

// keep leaves the operations of these names, and the shapes that they need.
func (m *model) keep(only []string) error {
	m.Operations = slices.DeleteFunc(m.Operations, func(op operation) bool { return !slices.Contains(only, op.Name) })
	if len(m.Operations) != len(only) {
		return fmt.Errorf("of the operations %v the model has %d", only, len(m.Operations))
	}
	needed := map[string]*shape{}
	var need func(name string)
	need = func(name string) {
		s := m.Shapes[name]
		if s == nil || needed[name] != nil {
			return
		}
		needed[name] = s
		for _, part := range s.Members {
			need(part.Shape)
		}
		need(s.Element)
		need(s.Key)
		need(s.Value)
	}
	for _, op := range m.Operations {
		need(op.Input)
		need(op.Output)
		for _, e := range op.Errors {
			need(e)
		}
	}
	m.Shapes = needed
	return nil
}

// write gives the model file: one line per operation and shape, sorted, so that a new
// version of a model is a readable difference.
func (m *model) write() ([]byte, error) {
	var b bytes.Buffer
	line := func(v any) string {
		var l bytes.Buffer
		e := json.NewEncoder(&l)
		e.SetEscapeHTML(false)
		if err := e.Encode(v); err != nil {
			panic(err) // plain strings and numbers always encode
		}
		return string(bytes.TrimSuffix(l.Bytes(), []byte("\n")))
	}
	b.WriteString("{\n")
	for _, f := range []struct{ name, value string }{
		{"origin", m.Origin}, {"service", m.Service}, {"serviceId", m.ServiceID}, {"apiVersion", m.APIVersion},
		{"protocol", m.Protocol}, {"jsonVersion", m.JSONVersion}, {"targetPrefix", m.TargetPrefix},
		{"signingName", m.SigningName}, {"xmlNamespace", m.XMLNamespace},
	} {
		if f.value != "" {
			fmt.Fprintf(&b, " %s: %s,\n", line(f.name), line(f.value))
		}
	}
	b.WriteString(" \"operations\": [\n")
	for i, op := range m.Operations {
		fmt.Fprintf(&b, "  %s%s\n", line(op), comma(i, len(m.Operations)))
	}
	b.WriteString(" ],\n \"shapes\": {\n")
	names := slices.Sorted(maps.Keys(m.Shapes))
	for i, name := range names {
		fmt.Fprintf(&b, "  %s: %s%s\n", line(name), line(m.Shapes[name]), comma(i, len(names)))
	}
	b.WriteString(" }\n}\n")
	return b.Bytes(), nil
}

func comma(i, n int) string {
	if i == n-1 {
		return ""
	}
	return ","
}
