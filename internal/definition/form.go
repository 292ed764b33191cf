package definition

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v4"

	"penstock/internal/pipeline"
	"penstock/internal/template"
)

// Form is one pipeline with what belongs to it, as it is to be written in another form.
type Form struct {
	Declaration *pipeline.Declaration
	Tags        []pipeline.Tag
	Disabled    []Transition
	Webhooks    []Webhook
	// WebhookTags are the tags of webhooks by their names; a template has no place for them.
	WebhookTags map[string][]pipeline.Tag
	ActionTypes []ActionType
}

// secret is a value that the server keeps to itself: a parameter of what is written.
type secret struct{ name, about string }

// vault gives each secret a name of its own.
type vault struct {
	secrets []secret
	taken   map[string]string
}

func (v *vault) name(s secret) string {
	base := s.name
	for n := 2; v.taken[s.name] != "" && v.taken[s.name] != s.about; n++ {
		s.name = fmt.Sprint(base, n)
	}
	if v.taken[s.name] == "" {
		if v.taken == nil {
			v.taken = map[string]string{}
		}
		v.taken[s.name] = s.about
		v.secrets = append(v.secrets, s)
	}
	return s.name
}

// parameter makes the name of a parameter out of the names that lead to it.
func parameter(names ...string) string {
	var b strings.Builder
	for _, name := range names {
		up := true
		for _, c := range name {
			if c < 128 && (unicode.IsLetter(c) || unicode.IsDigit(c)) {
				if up {
					c = unicode.ToUpper(c)
				}
				b.WriteRune(c)
				up = false
			} else {
				up = true
			}
		}
	}
	return b.String()
}

// capital gives the form that CloudFormation has for a value of the API: names begin with a
// capital letter (C-23).
func capital(v reflect.Value) *template.Node {
	switch v.Kind() {
	case reflect.Pointer:
		return capital(v.Elem())
	case reflect.Bool:
		return template.Truth(v.Bool())
	case reflect.Int:
		return template.Num(int(v.Int()))
	case reflect.Slice:
		out := template.Arr()
		for i := range v.Len() {
			out.Items = append(out.Items, capital(v.Index(i)))
		}
		return out
	case reflect.Map:
		keys := slices.Sorted(maps.Keys(mapKeys(v)))
		if v.Type().Elem() == reflect.TypeFor[pipeline.ArtifactStore]() {
			out := template.Arr()
			for _, k := range keys {
				one := &template.Node{Kind: template.Map}
				out.Items = append(out.Items, one.Put("Region", template.Str(k)).Put("ArtifactStore", capital(v.MapIndex(reflect.ValueOf(k)))))
			}
			return out
		}
		out := &template.Node{Kind: template.Map}
		for _, k := range keys {
			out.Put(k, capital(v.MapIndex(reflect.ValueOf(k))))
		}
		return out
	case reflect.Struct:
		out := &template.Node{Kind: template.Map}
		for i := range v.NumField() {
			tag, options, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			if f := v.Field(i); !f.IsZero() || !strings.HasPrefix(options, "omit") {
				out.Put(strings.ToUpper(tag[:1])+tag[1:], capital(f))
			}
		}
		return out
	}
	return template.Str(v.String())
}

func mapKeys(v reflect.Value) map[string]bool {
	out := map[string]bool{}
	for _, k := range v.MapKeys() {
		out[k.String()] = true
	}
	return out
}

// CloudFormation writes a template that makes the pipeline (C-23, C-24). A secret, which the
// server does not tell, becomes a parameter of the template.
func CloudFormation(f Form) *template.Node {
	d := f.Declaration.Clone()
	d.Version = 0
	object := func() *template.Node { return &template.Node{Kind: template.Map} }
	resources, secrets := object(), &vault{}
	properties := capital(reflect.ValueOf(d))
	hide := func(at *template.Node, i int, s secret) {
		at.Items[i] = object().Put("Ref", template.Str(secrets.name(s)))
	}
	for i, stage := range d.Stages {
		for j, action := range stage.Actions {
			configuration := properties.Get("Stages").Items[i].Get("Actions").Items[j].Get("Configuration")
			hidden := secretsOf(stage.Name, &action)
			for _, k := range slices.Sorted(maps.Keys(hidden)) {
				hide(configuration, slices.IndexFunc(configuration.Keys, func(n *template.Node) bool { return n.Text == k }), hidden[k])
			}
		}
	}
	if len(f.Tags) > 0 {
		properties.Put("Tags", capital(reflect.ValueOf(f.Tags)))
	}
	if len(f.Disabled) > 0 {
		list := template.Arr()
		for _, t := range f.Disabled {
			list.Items = append(list.Items, object().Put("StageName", template.Str(t.Stage)).Put("Reason", template.Str(t.Reason)))
		}
		properties.Put("DisableInboundStageTransitions", list)
	}
	add := func(id, kind string, properties *template.Node) {
		for base, n := id, 2; resources.Get(id) != nil; n++ {
			id = fmt.Sprint(base, n)
		}
		resources.Put(id, object().Put("Type", template.Str(kind)).Put("Properties", properties))
	}
	for _, t := range f.ActionTypes {
		add(parameter(t.Category, t.Provider, t.Version, "Type"), "AWS::CodePipeline::CustomActionType", capital(reflect.ValueOf(t)))
	}
	add("Pipeline", "AWS::CodePipeline::Pipeline", properties)
	for _, w := range f.Webhooks {
		p := capital(reflect.ValueOf(w))
		if w.AuthenticationConfiguration.SecretToken == pipeline.SecretMask {
			hide(p.Get("AuthenticationConfiguration"), 0, webhookSecret(w))
		}
		p.Put("TargetPipelineVersion", template.Num(max(f.Declaration.Version, 1))) // required there, unknown to the API
		add(parameter("Webhook", w.Name), "AWS::CodePipeline::Webhook", p)
	}
	out := object().Put("AWSTemplateFormatVersion", template.Str("2010-09-09"))
	slices.SortFunc(secrets.secrets, func(a, b secret) int { return strings.Compare(a.name, b.name) })
	if len(secrets.secrets) > 0 {
		parameters := object()
		for _, s := range secrets.secrets {
			parameters.Put(s.name, object().Put("Type", template.Str("String")).Put("NoEcho", template.Truth(true)).Put("Description", template.Str(s.about)))
		}
		out.Put("Parameters", parameters)
	}
	return out.Put("Resources", resources)
}

// secretsOf gives the masked values of an action by their keys.
func secretsOf(stage string, a *pipeline.Action) map[string]secret {
	out := map[string]secret{}
	for k, v := range a.Configuration {
		if v == pipeline.SecretMask {
			out[k] = secret{parameter(stage, a.Name, k), k + " of the action " + a.Name + " in stage " + stage}
		}
	}
	return out
}

func webhookSecret(w Webhook) secret {
	return secret{parameter("Webhook", w.Name, "Secret"), "the secret of the webhook " + w.Name}
}

// YAML writes a value as YAML.
func YAML(n *template.Node) ([]byte, error) { return yaml.Dump(asYAML(n), yaml.WithIndent(2)) }

func asYAML(n *template.Node) *yaml.Node {
	switch n.Kind {
	case template.Map:
		out := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		for i, k := range n.Keys {
			out.Content = append(out.Content, asYAML(k), asYAML(n.Items[i]))
		}
		return out
	case template.List:
		out := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for _, item := range n.Items {
			out.Content = append(out.Content, asYAML(item))
		}
		return out
	case template.String:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: n.Text}
	case template.Null:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Value: n.Text} // a number, true or false stands for itself
}
