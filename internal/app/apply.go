package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"penstock/internal/definition"
	"penstock/internal/pipeline"
	"penstock/internal/template"
)

// Call is a request for an operation of CodePipeline.
type Call struct {
	Operation string `json:"operation"`
	Input     any    `json:"input"`
}

// transition is the input of DisableStageTransition.
type transition struct {
	PipelineName   string `json:"pipelineName"`
	StageName      string `json:"stageName"`
	TransitionType string `json:"transitionType"`
	Reason         string `json:"reason"`
}

// Calls gives the requests that make what a set asks for, in their order.
func Calls(set definition.Set) []Call {
	var out []Call
	for _, n := range set.ActionTypes {
		out = append(out, Call{"CreateCustomActionType", n})
	}
	for _, d := range set.Pipelines {
		out = append(out, Call{"CreatePipeline", json.RawMessage(input("pipeline", d.Declaration, "tags", d.Tags))})
		for _, t := range d.Disabled {
			out = append(out, Call{"DisableStageTransition", transition{nameOf(d.Declaration), t.Stage, "Inbound", t.Reason}})
		}
	}
	for _, n := range set.Webhooks {
		out = append(out, Call{"PutWebhook", map[string]any{"webhook": n}})
	}
	for _, name := range set.Register {
		out = append(out, Call{"RegisterWebhookWithThirdParty", map[string]string{"webhookName": name}})
	}
	return out
}

func nameOf(n *template.Node) string {
	if name := n.Get("name"); name != nil {
		return name.Text
	}
	return ""
}

// Applied is what has been done, or would be, for one thing a set asks for.
type Applied struct {
	// Kind and Name tell what it is: a pipeline, a webhook, a custom action type or a
	// transition, which is named PIPELINE/STAGE.
	Kind string `json:"kind"`
	Name string `json:"name"`
	// Action is create, update, disable, register or unchanged.
	Action string `json:"action"`
	// Changes of an update, with secrets masked.
	Changes []pipeline.Change `json:"changes,omitempty"`
}

// applier works off a set.
type applier struct {
	ctx  context.Context
	cfg  aws.Config
	dry  bool
	tell func(Applied)
}

// Apply makes or changes what a validated set asks for, through the API and with the
// caller's own credentials. It removes nothing: neither tags, nor webhooks, nor the stops of
// transitions that somebody closed. tell is called after each step; where dry is true no
// step is taken. It ends with the first refusal, and may be called again.
func Apply(ctx context.Context, cfg aws.Config, set definition.Set, dry bool, tell func(Applied)) error {
	a := &applier{ctx, cfg, dry, tell}
	types := pipeline.BuiltinTypes()
	for _, n := range set.ActionTypes {
		name := "Custom/" + n.Get("category").Text + "/" + n.Get("provider").Text + "/" + n.Get("version").Text
		if err := a.change(Applied{Kind: "custom action type", Name: name, Action: "create"}, "CreateCustomActionType", n); err != nil {
			return err
		}
	}
	for _, d := range set.Pipelines {
		if err := a.pipeline(d, types); err != nil {
			return fmt.Errorf("pipeline %s: %w", nameOf(d.Declaration), err)
		}
	}
	for _, n := range set.Webhooks {
		if err := a.change(Applied{Kind: "webhook", Name: nameOf(n), Action: "update"}, "PutWebhook", map[string]any{"webhook": n}); err != nil {
			return fmt.Errorf("webhook %s: %w", nameOf(n), err)
		}
	}
	for _, name := range set.Register {
		if err := a.change(Applied{Kind: "webhook", Name: name, Action: "register"}, "RegisterWebhookWithThirdParty", map[string]string{"webhookName": name}); err != nil {
			return fmt.Errorf("webhook %s: %w", name, err)
		}
	}
	return nil
}

// change makes a request that changes something, and tells of it.
func (a *applier) change(step Applied, operation string, in any) error {
	if !a.dry {
		var out json.RawMessage
		if err := CallPipelines(a.ctx, a.cfg, operation, in, &out); err != nil {
			return err
		}
	}
	a.tell(step)
	return nil
}

type tagged struct {
	Tags []pipeline.Tag `json:"tags"`
}

// stored is the answer of GetPipeline as far as it is needed here.
type stored struct {
	Pipeline pipeline.Declaration `json:"pipeline"`
	Metadata struct {
		PipelineARN string `json:"pipelineArn"`
	} `json:"metadata"`
}

func (a *applier) pipeline(d definition.Definition, types []pipeline.ActionType) error {
	name := nameOf(d.Declaration)
	var old stored
	err := CallPipelines(a.ctx, a.cfg, "GetPipeline", map[string]string{"name": name}, &old)
	var refusal smithy.APIError
	if errors.As(err, &refusal) && refusal.ErrorCode() == "PipelineNotFoundException" {
		if err := a.change(Applied{Kind: "pipeline", Name: name, Action: "create"}, "CreatePipeline",
			json.RawMessage(input("pipeline", d.Declaration, "tags", d.Tags))); err != nil {
			return err
		}
		return a.transitions(name, d.Disabled, nil)
	}
	if err != nil {
		return err
	}
	changes, secrets, err := differences(d.Declaration, &old.Pipeline, types)
	if err != nil {
		return err
	}
	if len(changes) == 0 && !secrets {
		a.tell(Applied{Kind: "pipeline", Name: name, Action: "unchanged"})
	} else {
		if err := a.change(Applied{Kind: "pipeline", Name: name, Action: "update", Changes: changes}, "UpdatePipeline",
			json.RawMessage(input("pipeline", d.Declaration))); err != nil {
			return err
		}
		if d.Restart {
			if err := a.change(Applied{Kind: "execution", Name: name, Action: "create"}, "StartPipelineExecution", map[string]string{"name": name}); err != nil {
				return err
			}
		}
	}
	if err := a.tags(name, old.Metadata.PipelineARN, d.Tags); err != nil {
		return err
	}
	return a.stops(name, d.Disabled)
}

// differences compares a definition with the stored one, as the server would store it.
// secrets says that it has secrets, which the server does not tell: they may be others.
func differences(n *template.Node, old *pipeline.Declaration, types []pipeline.ActionType) ([]pipeline.Change, bool, error) {
	text, err := n.MarshalJSON()
	if err != nil {
		return nil, false, err
	}
	d := new(pipeline.Declaration)
	if err := json.Unmarshal(text, d); err != nil {
		return nil, false, err
	}
	known := pipeline.NewCatalogue(types...)
	catalogue := func(id pipeline.ActionTypeID) (pipeline.ActionType, bool) {
		t, ok := known(id)
		if !ok { // what looks like a secret is one
			t = pipeline.ActionType{ID: id, AnyKey: true}
		}
		return t, true
	}
	d = pipeline.Normalise(d, pipeline.Env{Catalogue: catalogue, Previous: old})
	d.Version = old.Version
	masked, before := pipeline.Mask(d, catalogue), pipeline.Mask(old, catalogue)
	return pipeline.Diff(before, masked), len(pipeline.Diff(d, masked)) > 0, nil
}

// tags puts those tags that a pipeline does not have.
func (a *applier) tags(name, arn string, given *template.Node) error {
	if given == nil || arn == "" {
		return nil
	}
	var has tagged
	if err := CallPipelines(a.ctx, a.cfg, "ListTagsForResource", map[string]string{"resourceArn": arn}, &has); err != nil {
		return err
	}
	var want []pipeline.Tag
	text, err := given.MarshalJSON()
	if err == nil {
		err = json.Unmarshal(text, &want)
	}
	if err != nil {
		return err
	}
	want = slices.DeleteFunc(want, func(t pipeline.Tag) bool { return slices.Contains(has.Tags, t) })
	if len(want) == 0 {
		return nil
	}
	return a.change(Applied{Kind: "tags", Name: name, Action: "update"}, "TagResource", map[string]any{"resourceArn": arn, "tags": want})
}

// transitionsOf is the answer of GetPipelineState as far as it is needed here.
type transitionsOf struct {
	StageStates []struct {
		StageName              string `json:"stageName"`
		InboundTransitionState struct {
			Enabled        *bool  `json:"enabled"`
			DisabledReason string `json:"disabledReason"`
		} `json:"inboundTransitionState"`
	} `json:"stageStates"`
}

// disabled gives the reasons of the disabled transitions by stage, in the order of the stages.
func disabled(ctx context.Context, cfg aws.Config, name string) ([]definition.Transition, error) {
	var s transitionsOf
	if err := CallPipelines(ctx, cfg, "GetPipelineState", map[string]string{"name": name}, &s); err != nil {
		return nil, err
	}
	var out []definition.Transition
	for _, stage := range s.StageStates {
		if on := stage.InboundTransitionState.Enabled; on != nil && !*on {
			out = append(out, definition.Transition{Stage: stage.StageName, Reason: stage.InboundTransitionState.DisabledReason})
		}
	}
	return out, nil
}

// stops disables the transitions that are open and should not be (C-23).
func (a *applier) stops(name string, want []definition.Transition) error {
	if len(want) == 0 {
		return nil
	}
	has, err := disabled(a.ctx, a.cfg, name)
	if err != nil {
		return err
	}
	return a.transitions(name, want, has)
}

func (a *applier) transitions(name string, want, has []definition.Transition) error {
	for _, t := range want {
		if slices.ContainsFunc(has, func(h definition.Transition) bool { return h.Stage == t.Stage && h.Reason == t.Reason }) {
			continue
		}
		if err := a.change(Applied{Kind: "transition", Name: name + "/" + t.Stage, Action: "disable"}, "DisableStageTransition",
			transition{name, t.Stage, "Inbound", t.Reason}); err != nil {
			return err
		}
	}
	return nil
}

// Account gives the account of the caller.
func Account(ctx context.Context, cfg aws.Config) (string, error) {
	out, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", err
	}
	return aws.ToString(out.Account), nil
}
