package app

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/arn"
	"penstock/internal/definition"
	"penstock/internal/fault"
	"penstock/internal/pipeline"
	"penstock/internal/provider/all"
	"penstock/internal/svc/codepipeline"
	"penstock/internal/template"
)

// The severities of a Finding.
const (
	SeverityError   = "error"
	SeverityWarning = "warning"
	SeverityNote    = "note"
)

// Finding is what there is to say about a place of a definition. Rule is the class of the
// server's refusal, in the server's words, or the name of a doubt or a note.
type Finding struct {
	File     string `json:"file"`
	Line     int    `json:"line"`
	Column   int    `json:"column"`
	Severity string `json:"severity"`
	Rule     string `json:"rule"`
	Message  string `json:"message"`
}

// String gives the finding as compilers write theirs.
func (f Finding) String() string {
	return fmt.Sprintf("%s:%d:%d: %s: %s (%s)", f.File, f.Line, f.Column, f.Severity, f.Message, f.Rule)
}

// Origin is where the definitions of a file are for, and what their templates depend on.
type Origin struct {
	Account, Region string
	// StackName is the name of the file without its ending if it is empty.
	StackName          string
	Parameters, Values map[string]string
}

func (o Origin) inputs(file string) template.Inputs {
	base := path.Base(strings.ReplaceAll(file, `\`, "/"))
	base = strings.TrimSuffix(strings.TrimSuffix(base, path.Ext(base)), ".template")
	return template.Inputs{Region: o.Region, Account: o.Account, Partition: arn.Partition(o.Region), StackName: cmp.Or(o.StackName, base),
		Parameters: o.Parameters, Values: o.Values}
}

// Validate reads the definitions of a file, JSON, YAML or CloudFormation, and says what a
// server would refuse of them and what is doubtful, in the order of the text. It asks no
// server: whether roles and buckets exist is not looked at, and action types of owner Custom
// that the file does not define are taken as they are, with a note. Nothing of the set is to
// be used if a finding is an error.
func Validate(file string, r io.Reader, o Origin) (definition.Set, []Finding, error) {
	text, err := io.ReadAll(io.LimitReader(r, template.MaxText+1))
	if err != nil {
		return definition.Set{}, nil, err
	}
	v := &validation{file: file, origin: o, custom: map[pipeline.ActionTypeID]pipeline.ActionType{}, noted: map[pipeline.ActionTypeID]bool{}}
	set, bad := definition.Read(file, text, o.inputs(file))
	rule := "SerializationException"
	if set.Templates > 0 {
		rule = "template"
	}
	for _, e := range bad {
		v.add(&template.Node{Line: e.Line, Column: e.Column}, SeverityError, rule, e.Message)
	}
	if len(bad) > 0 {
		return set, v.findings, nil
	}
	for _, n := range set.ActionTypes {
		if err := v.actionType(n); err != nil {
			return set, nil, err
		}
	}
	for _, d := range set.Pipelines {
		if err := v.pipeline(d); err != nil {
			return set, nil, err
		}
	}
	for _, n := range set.Webhooks {
		if err := v.webhook(n); err != nil {
			return set, nil, err
		}
	}
	slices.SortStableFunc(v.findings, func(a, b Finding) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column, cmp.Compare(a.Rule, b.Rule)) })
	return set, v.findings, nil
}

// validation is that of one file.
type validation struct {
	file     string
	origin   Origin
	findings []Finding
	// custom are the action types that the file defines, noted those that it only uses.
	custom map[pipeline.ActionTypeID]pipeline.ActionType
	noted  map[pipeline.ActionTypeID]bool
}

func (v *validation) add(at *template.Node, severity, rule, message string) {
	v.findings = append(v.findings, Finding{v.file, max(at.Line, 1), max(at.Column, 1), severity, rule, message})
}

// violated takes apart what W-21 puts together.
var violated = regexp.MustCompile(`^Value(?: null)? at '([^']*)' failed to satisfy constraint: `)

// form decodes an input as the door does. What is wrong is told one by one, each at its place
// below n; under is the member of the input that n is.
func (v *validation) form(n *template.Node, under string, body []byte, in any) (ok bool, err error) {
	err = api.Shapes.Unmarshal(body, in)
	var f *fault.Error
	if err == nil || !errors.As(err, &f) {
		return err == nil, err
	}
	_, list, several := strings.Cut(f.Message, " detected: ")
	if f.Code != "ValidationException" || !several {
		at := n
		if found := definition.Misformed(n); under == "pipeline" && found != nil {
			at = found
		}
		v.add(at, SeverityError, f.Code, f.Message)
		return false, nil
	}
	for _, one := range strings.Split(list, "; Value") {
		if !strings.HasPrefix(one, "Value") {
			one = "Value" + one
		}
		at := n
		if m := violated.FindStringSubmatch(one); m != nil {
			if where := strings.TrimPrefix(strings.TrimPrefix(m[1], under), "."); where != "" {
				at, _ = n.Find(where)
			}
		}
		v.add(at, SeverityError, f.Code, one)
	}
	return false, nil
}

// refuse notes the fault of a rule; any other error is returned.
func (v *validation) refuse(err error, at func(message string) *template.Node) error {
	var f *fault.Error
	if errors.As(err, &f) {
		v.add(at(f.Message), SeverityError, f.Code, f.Message)
		return nil
	}
	return err
}

func input(parts ...any) []byte {
	var b []byte
	for i := 0; i+1 < len(parts); i += 2 {
		if n := parts[i+1].(*template.Node); n != nil {
			text, _ := n.MarshalJSON() // nodes always have a JSON form
			b = append(append(append(b, ',', '"'), parts[i].(string)...), '"', ':')
			b = append(b, text...)
		}
	}
	return append(append([]byte{'{'}, b[1:]...), '}')
}

func (v *validation) actionType(n *template.Node) error {
	text, err := n.MarshalJSON()
	if err != nil {
		return err
	}
	if ok, err := v.form(n, "", text, new(api.CreateCustomActionTypeInput)); err != nil || !ok {
		return err
	}
	var d definition.ActionType
	if err := json.Unmarshal(text, &d); err != nil {
		return err
	}
	t := pipeline.ActionType{ID: pipeline.ActionTypeID{Category: d.Category, Owner: pipeline.OwnerCustom, Provider: d.Provider, Version: d.Version},
		Inputs: d.InputArtifactDetails, Outputs: d.OutputArtifactDetails, Properties: d.ConfigurationProperties}
	if d.Settings != nil {
		t.Settings = *d.Settings
	}
	v.custom[t.ID] = t
	err = pipeline.ValidateCustomType(t)
	if err == nil {
		err = pipeline.ValidateTags(d.Tags)
	}
	return v.refuse(err, func(m string) *template.Node { return locate(n, "", m) })
}

func (v *validation) webhook(n *template.Node) error {
	in := new(api.PutWebhookInput)
	if ok, err := v.form(n, "webhook", input("webhook", n), in); err != nil || !ok {
		return err
	}
	return v.refuse(codepipeline.CheckWebhook(in.Webhook), func(m string) *template.Node { return locate(n, "", m) })
}

func (v *validation) pipeline(d definition.Definition) error {
	catalogue := v.catalogue(d.Declaration)
	for _, w := range definition.Lint(d, v.origin.Account, catalogue) {
		v.add(&template.Node{Line: w.Line, Column: w.Column}, SeverityWarning, w.Rule, w.Message)
	}
	in := new(api.CreatePipelineInput)
	if ok, err := v.form(d.Declaration, "pipeline", input("pipeline", d.Declaration, "tags", d.Tags), in); err != nil || !ok {
		return err
	}
	var tags []pipeline.Tag
	for _, t := range in.Tags {
		tags = append(tags, pipeline.Tag{Key: t.Key, Value: t.Value})
	}
	if err := v.refuse(pipeline.ValidateTags(tags), func(m string) *template.Node { return locate(d.Tags, "", m) }); err != nil {
		return err
	}
	place := ""
	err := codepipeline.Check(in.Pipeline, pipeline.Env{Account: v.origin.Account, Region: v.origin.Region, Catalogue: catalogue, At: &place})
	return v.refuse(err, func(m string) *template.Node { return locate(d.Declaration, place, m) })
}

// catalogue knows the types of AWS, those of the file and, with a note, all custom ones.
func (v *validation) catalogue(declaration *template.Node) pipeline.Catalogue {
	known := pipeline.NewCatalogue(actionTypes(all.Providers(nil))...)
	return func(id pipeline.ActionTypeID) (pipeline.ActionType, bool) {
		if t, ok := known(id); ok || id.Owner != pipeline.OwnerCustom {
			return t, ok
		}
		if t, ok := v.custom[id]; ok {
			return t, ok
		}
		if !v.noted[id] {
			v.noted[id] = true
			at := locate(declaration, "", "'"+id.Provider+"'")
			v.add(at, SeverityNote, "custom-type", fmt.Sprintf("the action type Custom/%s/%s/%s is taken as it is: only a server knows its configuration and its artifacts",
				id.Category, id.Provider, id.Version))
		}
		any := pipeline.Bounds{Max: 10}
		return pipeline.ActionType{ID: id, Inputs: any, Outputs: any, AnyKey: true}, true
	}
}
