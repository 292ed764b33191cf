package definition

import (
	"reflect"
	"strings"

	"penstock/internal/pipeline"
	"penstock/internal/template"
)

// Webhook is a webhook as PutWebhook and AWS::CodePipeline::Webhook define it (C-24).
type Webhook struct {
	Name                        string          `json:"name"`
	TargetPipeline              string          `json:"targetPipeline"`
	TargetAction                string          `json:"targetAction"`
	Filters                     []WebhookFilter `json:"filters"`
	Authentication              string          `json:"authentication"`
	AuthenticationConfiguration WebhookSecret   `json:"authenticationConfiguration"`
}

// WebhookFilter is a condition on the body of a delivery.
type WebhookFilter struct {
	JSONPath    string `json:"jsonPath"`
	MatchEquals string `json:"matchEquals,omitempty"`
}

// WebhookSecret is what a delivery is recognised by.
type WebhookSecret struct {
	AllowedIPRange string `json:"AllowedIPRange,omitempty"`
	SecretToken    string `json:"SecretToken,omitempty"`
}

// ActionType is a custom action type as CreateCustomActionType and
// AWS::CodePipeline::CustomActionType define it (C-24).
type ActionType struct {
	Category                string              `json:"category"`
	Provider                string              `json:"provider"`
	Version                 string              `json:"version"`
	Settings                *pipeline.Settings  `json:"settings,omitempty"`
	ConfigurationProperties []pipeline.Property `json:"configurationProperties,omitempty"`
	InputArtifactDetails    pipeline.Bounds     `json:"inputArtifactDetails"`
	OutputArtifactDetails   pipeline.Bounds     `json:"outputArtifactDetails"`
	Tags                    []pipeline.Tag      `json:"tags,omitempty"`
}

// shaper turns the properties of resources into the members of the API: the names begin with
// a small letter, and scalars become what the API takes (C-23).
type shaper struct {
	// path leads to the properties, for messages.
	path   string
	errors []*template.Error
}

func (s *shaper) fail(n *template.Node, path, text string) {
	s.errors = append(s.errors, &template.Error{Line: n.Line, Column: n.Column, Message: path + ": " + text})
}

// member finds the field of a structure that a property or a member of the API is.
func member(t reflect.Type, name string, capital bool) (reflect.StructField, string, bool) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		as := tag
		if capital {
			as = strings.ToUpper(tag[:1]) + tag[1:]
		}
		if as == name {
			return f, tag, true
		}
	}
	return reflect.StructField{}, "", false
}

var declarationType = reflect.TypeFor[pipeline.Declaration]()

// shape gives the API's form of a value of a template.
func (s *shaper) shape(n *template.Node, t reflect.Type, path string) *template.Node {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	like := func(kind template.Kind, text string) *template.Node {
		return &template.Node{Kind: kind, Text: text, Line: n.Line, Column: n.Column}
	}
	switch t.Kind() {
	case reflect.String:
		if n.Scalar() {
			return like(template.String, n.Text)
		}
		s.fail(n, path, "it must be a text")
	case reflect.Int:
		if n.Kind == template.String { // CloudFormation takes "1" for 1
			return like(template.Number, n.Text)
		}
	case reflect.Bool:
		if n.Kind == template.String && (strings.EqualFold(n.Text, "true") || strings.EqualFold(n.Text, "false")) {
			return like(template.Bool, n.Text)
		}
	case reflect.Slice:
		if n.Kind != template.List {
			s.fail(n, path, "it must be a list")
			break
		}
		out := like(template.List, "")
		for _, item := range n.Items {
			out.Items = append(out.Items, s.shape(item, t.Elem(), path))
		}
		return out
	case reflect.Map:
		if n.Kind == template.List && t.Elem() == reflect.TypeFor[pipeline.ArtifactStore]() {
			return s.stores(n, t.Elem(), path)
		}
		if n.Kind != template.Map {
			s.fail(n, path, "it must be a map")
			break
		}
		out := like(template.Map, "")
		for i, k := range n.Keys {
			out.PutAt(k, s.shape(n.Items[i], t.Elem(), path+"."+k.Text))
		}
		return out
	case reflect.Struct:
		return s.structure(n, t, path)
	}
	return n
}

func (s *shaper) structure(n *template.Node, t reflect.Type, path string) *template.Node {
	if n.Kind != template.Map {
		s.fail(n, path, "it must be a map")
		return n
	}
	out := &template.Node{Kind: template.Map, Line: n.Line, Column: n.Column}
	for i, k := range n.Keys {
		f, name, ok := member(t, k.Text, true)
		if !ok || t == declarationType && name == "version" {
			s.fail(k, path, "CloudFormation knows no property "+k.Text+" here")
			continue
		}
		key := &template.Node{Kind: template.String, Text: name, Line: k.Line, Column: k.Column}
		out.PutAt(key, s.shape(n.Items[i], f.Type, path+"."+k.Text))
	}
	return out
}

// stores turns the list of artifact stores into the map by Region that the API has.
func (s *shaper) stores(n *template.Node, t reflect.Type, path string) *template.Node {
	out := &template.Node{Kind: template.Map, Line: n.Line, Column: n.Column}
	for _, item := range n.Items {
		region, store := item.Get("Region"), item.Get("ArtifactStore")
		switch {
		case region == nil || !region.Scalar() || store == nil || len(item.Keys) != 2:
			s.fail(item, path, "an element has exactly a Region and an ArtifactStore")
		case out.Get(region.Text) != nil:
			s.fail(region, path, "the Region "+region.Text+" has two artifact stores")
		default:
			out.PutAt(region, s.shape(store, t, path+"."+region.Text))
		}
	}
	return out
}

// strangers finds members of a definition that the API does not know and reads over (W-5).
func strangers(n *template.Node, t reflect.Type, tell func(key *template.Node)) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t.Kind() == reflect.Slice && n.Kind == template.List:
		for _, item := range n.Items {
			strangers(item, t.Elem(), tell)
		}
	case t.Kind() == reflect.Map && n.Kind == template.Map:
		for _, item := range n.Items {
			strangers(item, t.Elem(), tell)
		}
	case t.Kind() == reflect.Struct && n.Kind == template.Map:
		for i, k := range n.Keys {
			if f, _, ok := member(t, k.Text, false); ok {
				strangers(n.Items[i], f.Type, tell)
			} else {
				tell(k)
			}
		}
	}
}

// Misformed finds the first value of a declaration that is not of the kind the API has there,
// such as a number for a text; nil if there is none.
func Misformed(declaration *template.Node) *template.Node {
	return misformed(declaration, declaration, declarationType)
}

// misformed looks at n, whose name stands at.
func misformed(at, n *template.Node, t reflect.Type) *template.Node {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	want := map[reflect.Kind]template.Kind{reflect.String: template.String, reflect.Int: template.Number, reflect.Slice: template.List,
		reflect.Map: template.Map, reflect.Struct: template.Map}[t.Kind()]
	if n.Kind == template.Null {
		return nil
	}
	if n.Kind != want {
		return at
	}
	for i, item := range n.Items {
		place, inner := item, t
		if n.Kind == template.Map {
			place = n.Keys[i]
		}
		if t.Kind() == reflect.Struct {
			f, _, ok := member(t, n.Keys[i].Text, false)
			if !ok {
				continue
			}
			inner = f.Type
		} else {
			inner = t.Elem()
		}
		if found := misformed(place, item, inner); found != nil {
			return found
		}
	}
	return nil
}
