// Package definition reads the definitions of pipelines that files hold, in every form they
// have, says what is doubtful in them, and writes them in other forms.
//
// A file is a declaration of the API, bare or as get-pipeline and create-pipeline have it, or
// a CloudFormation template, written by hand or synthesised by the CDK. The package is pure.
package definition

import (
	"reflect"
	"slices"
	"strings"

	"penstock/internal/pipeline"
	"penstock/internal/template"
)

// Definition is one pipeline of a file.
type Definition struct {
	// Declaration has the form of the API, each value with its place. It need not be valid.
	Declaration *template.Node
	// Tags is the list of key and value that CreatePipeline takes; nil if there is none.
	Tags *template.Node
	// Disabled are the transitions that are to be disabled, in order.
	Disabled []Transition
	// Restart asks for an execution after an update (C-23).
	Restart bool
}

// Transition is a disabled inbound transition.
type Transition struct {
	Stage, Reason string
	Line, Column  int
}

// Set is all that one document asks for, in the form of the API.
type Set struct {
	// Templates counts the documents that are templates.
	Templates             int
	Pipelines             []Definition
	Webhooks, ActionTypes []*template.Node
	// Register are the names of webhooks to register with the third party.
	Register []string
	// Expects are the resources that the pipelines of a template refer to and that are not of
	// CodePipeline.
	Expects []template.Use
}

// Read reads all documents of a file. Nothing of the set is to be used where there are
// errors; they are in the order of the text.
func Read(file string, text []byte, in template.Inputs) (Set, []*template.Error) {
	docs, err := template.Read(file, text)
	if e, ok := err.(*template.Error); ok {
		return Set{}, []*template.Error{e}
	} else if err != nil {
		return Set{}, []*template.Error{{Line: 1, Column: 1, Message: err.Error()}}
	}
	if len(docs) == 0 {
		return Set{}, []*template.Error{{Line: 1, Column: 1, Message: "there is nothing in it"}}
	}
	var set Set
	var errors []*template.Error
	for _, doc := range docs {
		if template.Is(doc) {
			errors = append(errors, set.template(doc, in)...)
		} else if err := set.plain(doc); err != nil {
			errors = append(errors, err)
		}
	}
	return set, errors
}

// plain reads a document that is a declaration, or has one under "pipeline".
func (s *Set) plain(doc *template.Node) *template.Error {
	if doc.Kind != template.Map {
		return &template.Error{Line: doc.Line, Column: doc.Column, Message: "it is not a definition: a map of names to values, such as name, roleArn and stages"}
	}
	d := Definition{Declaration: doc}
	if inner := doc.Get("pipeline"); inner != nil {
		d.Declaration = inner
		if tags := doc.Get("tags"); tags != nil && tags.Kind == template.List {
			d.Tags = tags
		}
	}
	s.Pipelines = append(s.Pipelines, d)
	return nil
}

// template reads the resources of a template (C-23, C-24).
func (s *Set) template(doc *template.Node, in template.Inputs) []*template.Error {
	t := template.New(doc, in)
	s.Templates++
	found := 0
	var errors []*template.Error
	for _, r := range t.Resources("AWS::CodePipeline::CustomActionType") {
		found++
		errors = append(errors, s.add(&s.ActionTypes, r, r.Properties, reflect.TypeFor[ActionType]())...)
	}
	for _, r := range t.Resources("AWS::CodePipeline::Pipeline") {
		found++
		errors = append(errors, s.pipeline(t, r)...)
	}
	for _, r := range t.Resources("AWS::CodePipeline::Webhook") {
		found++
		// TargetPipelineVersion has no meaning for the API, RegisterWithThirdParty is an
		// operation of its own there.
		properties := without(r.Properties, "TargetPipelineVersion", "RegisterWithThirdParty")
		errors = append(errors, s.add(&s.Webhooks, r, named(t, r, properties), reflect.TypeFor[Webhook]())...)
		if on := r.Properties.Get("RegisterWithThirdParty"); on != nil && on.Text == "true" {
			s.Register = append(s.Register, t.Name(r))
		}
		if w := s.Webhooks[len(s.Webhooks)-1]; w.Get("authenticationConfiguration") == nil && w.Kind == template.Map {
			w.Put("authenticationConfiguration", &template.Node{Kind: template.Map})
		}
	}
	if found == 0 {
		errors = append(errors, &template.Error{Line: doc.Line, Column: doc.Column, Message: "the template has no resource of type AWS::CodePipeline::Pipeline, or its condition does not hold"})
	}
	for _, use := range t.Uses() {
		if !strings.HasPrefix(use.Type, "AWS::CodePipeline::") {
			s.Expects = append(s.Expects, use)
		}
	}
	if told := t.Errors(); len(told) > 0 { // what comes of them need not be told as well
		return told
	}
	return errors
}

func (s *Set) add(to *[]*template.Node, r template.Resource, properties *template.Node, t reflect.Type) []*template.Error {
	shaper := shaper{path: "Resources." + r.ID + ".Properties"}
	*to = append(*to, shaper.shape(properties, t, shaper.path))
	return shaper.errors
}

// named gives the properties with the name the resource has here.
func named(t *template.Template, r template.Resource, properties *template.Node) *template.Node {
	name := &template.Node{Kind: template.String, Text: t.Name(r), Line: r.Place.Line, Column: r.Place.Column}
	if given := properties.Get("Name"); given != nil {
		name.Line, name.Column = given.Line, given.Column
	}
	out := without(properties, "Name")
	key := &template.Node{Kind: template.String, Text: "Name", Line: name.Line, Column: name.Column}
	out.Keys, out.Items = slices.Insert(out.Keys, 0, key), slices.Insert(out.Items, 0, name)
	return out
}

func without(n *template.Node, names ...string) *template.Node {
	out := &template.Node{Kind: template.Map, Line: n.Line, Column: n.Column}
	for i, k := range n.Keys {
		if !slices.Contains(names, k.Text) {
			out.PutAt(k, n.Items[i])
		}
	}
	return out
}

// pipeline reads an AWS::CodePipeline::Pipeline (C-23).
func (s *Set) pipeline(t *template.Template, r template.Resource) []*template.Error {
	shaper := shaper{path: "Resources." + r.ID + ".Properties"}
	var d Definition
	if tags := r.Properties.Get("Tags"); tags != nil {
		d.Tags = shaper.shape(tags, reflect.TypeFor[[]pipeline.Tag](), shaper.path+".Tags")
	}
	if v := r.Properties.Get("RestartExecutionOnUpdate"); v != nil {
		d.Restart = strings.EqualFold(v.Text, "true")
	}
	if list := r.Properties.Get("DisableInboundStageTransitions"); list != nil {
		path := shaper.path + ".DisableInboundStageTransitions"
		if list.Kind != template.List {
			shaper.fail(list, path, "it must be a list")
		}
		for _, item := range list.Items {
			stage, reason := item.Get("StageName"), item.Get("Reason")
			if stage == nil || !stage.Scalar() || reason == nil || !reason.Scalar() {
				shaper.fail(item, path, "an element has a StageName and a Reason")
				continue
			}
			d.Disabled = append(d.Disabled, Transition{stage.Text, reason.Text, stage.Line, stage.Column})
		}
	}
	rest := without(r.Properties, "Tags", "RestartExecutionOnUpdate", "DisableInboundStageTransitions")
	d.Declaration = shaper.shape(named(t, r, rest), declarationType, shaper.path)
	s.Pipelines = append(s.Pipelines, d)
	return shaper.errors
}
