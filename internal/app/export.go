package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"

	"penstock/internal/definition"
	"penstock/internal/pipeline"
)

// Export writes a pipeline of a server in another form: json is the answer of get-pipeline,
// cloudformation a template in YAML, or in JSON if asJSON is true, terraform resources of
// Terraform's provider. notes tell what the form cannot express.
func Export(ctx context.Context, cfg aws.Config, name, format string, asJSON bool) (text []byte, notes []string, err error) {
	var raw json.RawMessage
	if err := CallPipelines(ctx, cfg, "GetPipeline", map[string]string{"name": name}, &raw); err != nil {
		return nil, nil, err
	}
	switch format {
	case "json":
		text, err = indented(raw)
		return text, nil, err
	case "cloudformation", "terraform":
	default:
		return nil, nil, fmt.Errorf("there is no format %q: it is json, cloudformation or terraform", format)
	}
	form, err := formOf(ctx, cfg, raw)
	if err != nil {
		return nil, nil, err
	}
	for _, t := range form.ActionTypes {
		if len(t.ConfigurationProperties) > 0 {
			notes = append(notes, fmt.Sprintf("the types of the properties of %s/%s/%s are missing: the API does not tell them", t.Category, t.Provider, t.Version))
		}
	}
	if format == "terraform" {
		hcl, more := definition.Terraform(form)
		return []byte(hcl), append(notes, more...), nil
	}
	for _, name := range slices.Sorted(maps.Keys(form.WebhookTags)) {
		notes = append(notes, fmt.Sprintf("the tags of the webhook %s are missing: AWS::CodePipeline::Webhook has none", name))
	}
	template := definition.CloudFormation(form)
	if asJSON {
		if raw, err = template.MarshalJSON(); err == nil {
			text, err = indented(raw)
		}
		return text, notes, err
	}
	text, err = definition.YAML(template)
	return text, notes, err
}

func indented(raw []byte) ([]byte, error) {
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// formOf collects what belongs to a pipeline: its tags, the transitions that are disabled, the
// webhooks that start it and the custom types of its actions.
func formOf(ctx context.Context, cfg aws.Config, raw []byte) (definition.Form, error) {
	var p stored
	if err := json.Unmarshal(raw, &p); err != nil {
		return definition.Form{}, err
	}
	f := definition.Form{Declaration: p.Pipeline.Clone(), WebhookTags: map[string][]pipeline.Tag{}}
	at, err := pipeline.ParseARN(p.Metadata.PipelineARN)
	if err != nil {
		return f, err
	}
	var has tagged
	if err := CallPipelines(ctx, cfg, "ListTagsForResource", map[string]string{"resourceArn": p.Metadata.PipelineARN}, &has); err != nil {
		return f, err
	}
	f.Tags = has.Tags
	if f.Disabled, err = disabled(ctx, cfg, p.Pipeline.Name); err != nil {
		return f, err
	}
	for token := ""; ; {
		var page struct {
			Webhooks []struct {
				Definition definition.Webhook `json:"definition"`
				tagged
			} `json:"webhooks"`
			NextToken string
		}
		in := map[string]string{}
		if token != "" {
			in["NextToken"] = token
		}
		if err := CallPipelines(ctx, cfg, "ListWebhooks", in, &page); err != nil {
			return f, err
		}
		for _, w := range page.Webhooks {
			if w.Definition.TargetPipeline == p.Pipeline.Name {
				f.Webhooks = append(f.Webhooks, w.Definition)
				if len(w.Tags) > 0 {
					f.WebhookTags[w.Definition.Name] = w.Tags
				}
			}
		}
		if token = page.NextToken; token == "" {
			break
		}
	}
	err = customTypes(ctx, cfg, at, &f)
	return f, err
}

// customTypes collects the custom types of the actions, which are where the pipeline is.
func customTypes(ctx context.Context, cfg aws.Config, at pipeline.Resource, f *definition.Form) error {
	used := map[pipeline.ActionTypeID]bool{}
	for _, s := range f.Declaration.Stages {
		for _, a := range s.Actions {
			used[a.ActionTypeID] = a.ActionTypeID.Owner == pipeline.OwnerCustom
		}
	}
	for token := ""; ; {
		var page struct {
			ActionTypes []struct {
				ID         pipeline.ActionTypeID `json:"id"`
				Settings   *pipeline.Settings    `json:"settings"`
				Properties []pipeline.Property   `json:"actionConfigurationProperties"`
				Inputs     pipeline.Bounds       `json:"inputArtifactDetails"`
				Outputs    pipeline.Bounds       `json:"outputArtifactDetails"`
			} `json:"actionTypes"`
			NextToken string `json:"nextToken"`
		}
		in := map[string]string{"actionOwnerFilter": pipeline.OwnerCustom}
		if token != "" {
			in["nextToken"] = token
		}
		if err := CallPipelines(ctx, cfg, "ListActionTypes", in, &page); err != nil {
			return err
		}
		for _, t := range page.ActionTypes {
			if !used[t.ID] {
				continue
			}
			if t.Settings != nil && *t.Settings == (pipeline.Settings{}) {
				t.Settings = nil
			}
			var has tagged
			if err := CallPipelines(ctx, cfg, "ListTagsForResource", map[string]string{"resourceArn": pipeline.ActionTypeARN(at.Region, at.Account, t.ID)}, &has); err != nil {
				return err
			}
			f.ActionTypes = append(f.ActionTypes, definition.ActionType{Category: t.ID.Category, Provider: t.ID.Provider, Version: t.ID.Version,
				Settings: t.Settings, ConfigurationProperties: t.Properties, InputArtifactDetails: t.Inputs, OutputArtifactDetails: t.Outputs, Tags: has.Tags})
		}
		if token = page.NextToken; token == "" {
			return nil
		}
	}
}
