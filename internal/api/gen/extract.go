package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// published is the part of a service-2.json that is read.
type published struct {
	Metadata struct {
		APIVersion     string `json:"apiVersion"`
		EndpointPrefix string `json:"endpointPrefix"`
		SigningName    string `json:"signingName"`
		JSONVersion    string `json:"jsonVersion"`
		Protocol       string `json:"protocol"`
		ServiceID      string `json:"serviceId"`
		TargetPrefix   string `json:"targetPrefix"`
		XMLNamespace   string `json:"xmlNamespace"`
	} `json:"metadata"`
	Operations map[string]struct {
		HTTP struct {
			Method       string `json:"method"`
			RequestURI   string `json:"requestUri"`
			ResponseCode int    `json:"responseCode"`
		} `json:"http"`
		Input  *shapeRef  `json:"input"`
		Output *shapeRef  `json:"output"`
		Errors []shapeRef `json:"errors"`
	} `json:"operations"`
	Shapes map[string]publishedShape `json:"shapes"`
}

type publishedShape struct {
	Type      string          `json:"type"`
	Members   json.RawMessage `json:"members"`
	Required  []string        `json:"required"`
	Member    *shapeRef       `json:"member"`
	Key       *shapeRef       `json:"key"`
	Value     *shapeRef       `json:"value"`
	Min       *bound          `json:"min"`
	Max       *bound          `json:"max"`
	Pattern   string          `json:"pattern"`
	Enum      []string        `json:"enum"`
	Sensitive bool            `json:"sensitive"`
	Exception bool            `json:"exception"`
	Fault     bool            `json:"fault"`
	Flattened bool            `json:"flattened"`
	Payload   string          `json:"payload"`
	Error     *struct {
		Code           string `json:"code"`
		HTTPStatusCode int    `json:"httpStatusCode"`
		SenderFault    bool   `json:"senderFault"`
	} `json:"error"`
}

// bound is a whole number, which some models write with a fraction of nothing.
type bound float64

func (b *bound) whole() *int64 {
	if b == nil {
		return nil
	}
	n := int64(*b)
	return &n
}

type shapeRef struct {
	Shape           string `json:"shape"`
	ResultWrapper   string `json:"resultWrapper"`
	Location        string `json:"location"`
	LocationName    string `json:"locationName"`
	QueryName       string `json:"queryName"`
	TimestampFormat string `json:"timestampFormat"`
	Flattened       bool   `json:"flattened"`
	XMLAttribute    bool   `json:"xmlAttribute"`
}

// extractModel writes the model file of the service whose published model stands at
// path. The folder name above the version folder is the service's name.
func extractModel(path, origin, models string) error {
	data, err := readMaybeCompressed(path)
	if err != nil {
		return err
	}
	var p published
	if err := json.Unmarshal(data, &p); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	service := strings.ReplaceAll(filepath.Base(filepath.Dir(filepath.Dir(abs))), "-", "")
	m := &model{
		Origin: origin, Service: service, ServiceID: p.Metadata.ServiceID, APIVersion: p.Metadata.APIVersion,
		Protocol: p.Metadata.Protocol, JSONVersion: p.Metadata.JSONVersion, TargetPrefix: p.Metadata.TargetPrefix,
		SigningName: p.Metadata.SigningName, XMLNamespace: p.Metadata.XMLNamespace, Shapes: map[string]*shape{},
	}
	if m.SigningName == "" {
		m.SigningName = p.Metadata.EndpointPrefix
	}
	for _, name := range slices.Sorted(maps.Keys(p.Operations)) {
		o := p.Operations[name]
		op := operation{Name: name}
		if m.Protocol == "rest-json" {
			op.Method, op.Path, op.Status = o.HTTP.Method, o.HTTP.RequestURI, o.HTTP.ResponseCode
		}
		if o.Input != nil {
			op.Input = o.Input.Shape
		}
		if o.Output != nil {
			op.Output, op.Result = o.Output.Shape, o.Output.ResultWrapper
		}
		for _, e := range o.Errors {
			op.Errors = append(op.Errors, e.Shape)
		}
		m.Operations = append(m.Operations, op)
	}
	for name, ps := range p.Shapes {
		s, err := ps.facts(p.kindOf)
		if err != nil {
			return fmt.Errorf("%s: shape %s: %w", service, name, err)
		}
		m.Shapes[name] = s
	}
	overrides, err := readOverrides(filepath.Join(models, overridesFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if o := overrides[service]; o != nil && o.Only != nil {
		if err := m.keep(o.Only); err != nil {
			return err
		}
	}
	out, err := m.write()
	if err != nil {
		return err
	}
	return writeChanged(filepath.Join(models, service+".json"), out)
}

// kindOf gives the type of a shape; the rest-json services have members outside the body,
// for which not every type has a form.
func (p *published) kindOf(shape string) string {
	if p.Metadata.Protocol != "rest-json" {
		return ""
	}
	return p.Shapes[shape].Type
}

// facts keeps what the server needs and refuses what the runtime does not know.
func (ps *publishedShape) facts(kindOf func(string) string) (*shape, error) {
	s := &shape{
		Type: ps.Type, Required: ps.Required, Min: ps.Min.whole(), Max: ps.Max.whole(), Pattern: ps.Pattern, Enum: ps.Enum,
		Sensitive: ps.Sensitive, Exception: ps.Exception, Fault: ps.Fault,
	}
	if ps.Error != nil {
		s.Code, s.Status = ps.Error.Code, ps.Error.HTTPStatusCode
	}
	for _, r := range []struct {
		ref *shapeRef
		to  *string
	}{{ps.Member, &s.Element}, {ps.Key, &s.Key}, {ps.Value, &s.Value}} {
		if r.ref == nil {
			continue
		}
		if ps.Type == "map" { // the one trait that is read: how the query protocol names the parts of an entry
			if r.to == &s.Key {
				s.KeyName = r.ref.LocationName
			} else {
				s.ValueName = r.ref.LocationName
			}
			r.ref.LocationName = ""
		}
		if err := r.ref.plain(); err != nil {
			return nil, err
		}
		*r.to = r.ref.Shape
	}
	if ps.Flattened {
		return nil, fmt.Errorf("flattened is not supported")
	}
	members, err := inOrder(ps.Members)
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		kind := kindOf(m.ref.Shape)
		in, as, err := m.ref.place(kind)
		if err != nil {
			return nil, fmt.Errorf("member %s: %w", m.name, err)
		}
		if m.name == ps.Payload {
			if kind != "blob" && kind != "structure" {
				return nil, fmt.Errorf("member %s: a payload of type %s is not supported", m.name, kind)
			}
			in = "payload"
		}
		s.Members = append(s.Members, member{Name: m.name, Shape: m.ref.Shape, In: in, As: as})
	}
	return s, nil
}

// places are the parts of a request or answer that a member can stand in beside the body,
// with the types that it may have there.
var places = map[string][]string{
	"uri":         {"string", "integer", "long"},
	"querystring": {"string", "integer", "long", "boolean", "timestamp", "list"},
	"header":      {"string", "integer", "long", "boolean"},
	"statusCode":  {"integer"},
}

// place gives where a member of type kind stands and under which name, "" for the body and
// for its own name.
func (r *shapeRef) place(kind string) (in, as string, err error) {
	if r.Location != "" {
		if !slices.Contains(places[r.Location], kind) {
			return "", "", fmt.Errorf("a %s in the %s is not supported", kind, r.Location)
		}
		in, as = r.Location, r.LocationName
		r.LocationName = ""
	}
	return in, as, r.plain()
}

// plain refuses the serialisation traits that none of our services uses, so that a new
// model cannot be misread in silence.
func (r *shapeRef) plain() error {
	if r.LocationName != "" || r.QueryName != "" || r.TimestampFormat != "" || r.Flattened || r.XMLAttribute {
		return fmt.Errorf("serialisation trait on %s is not supported", r.Shape)
	}
	return nil
}

type namedRef struct {
	name string
	ref  shapeRef
}

// inOrder reads a JSON object of references keeping the order of its keys.
func inOrder(raw json.RawMessage) ([]namedRef, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	var all []namedRef
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		r := namedRef{name: t.(string)}
		if err := d.Decode(&r.ref); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

func readMaybeCompressed(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil || !bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		return data, err
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}
