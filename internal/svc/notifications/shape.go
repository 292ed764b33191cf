package notifications

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"penstock/internal/pipeline"
	"penstock/internal/store"
)

// notification is an event as it is told: re-shaped, with what was looked up (S-353).
type notification struct {
	Account    string          `json:"account"`
	DetailType string          `json:"detailType"`
	Region     string          `json:"region"`
	Source     string          `json:"source"`
	Time       string          `json:"time"`
	Rule       string          `json:"notificationRuleArn"`
	Detail     json.RawMessage `json:"detail"`
	Resources  []string        `json:"resources"`
	Additional any             `json:"additionalAttributes"`
}

type nothing struct{}

// The additional attributes (S-353).
type failedPipeline struct {
	Count   int            `json:"failedActionCount"`
	Actions []failedAction `json:"failedActions"`
	Stage   string         `json:"failedStage"`
}

type failedAction struct {
	Action      string `json:"action"`
	Information string `json:"additionalInformation"`
}

type information struct {
	Information string `json:"additionalInformation"`
}

type sourceStage struct {
	Actions []sourceAction `json:"sourceActions"`
}

type sourceAction struct {
	Name      string            `json:"sourceActionName"`
	Provider  string            `json:"sourceActionProvider"`
	Variables map[string]string `json:"sourceActionVariables"`
}

type approval struct {
	Custom string `json:"customData,omitempty"`
	Link   string `json:"externalEntityLink,omitempty"`
}

// message writes what a rule tells of an event. additional is left out of what is BASIC.
func (h *happening) message(rule string, doc *ruleDoc, additional any) (string, error) {
	n := notification{
		Account: h.Account, DetailType: h.DetailType, Region: h.Region, Source: h.Source, Time: h.At.UTC().Format(time.RFC3339), Rule: rule,
		Detail: json.RawMessage(h.Outgoing.Detail), Resources: []string{h.Resource}, Additional: additional,
	}
	if doc.DetailType != full || additional == nil {
		n.Additional = nothing{}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(n)
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), err
}

// known gives an error that is not about something that is gone.
func known(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// additional looks up what a full notification of an event has beside it; nil if nothing.
func (h *happening) additional(ctx context.Context, tx *store.Tx) (any, error) {
	d := &h.detail
	switch h.DetailType {
	case "CodePipeline Pipeline Execution State Change":
		if d.State == "FAILED" {
			return h.failures(ctx, tx)
		}
	case "CodePipeline Stage Execution State Change":
		if d.State == "STARTED" {
			return h.sources(ctx, tx)
		}
	case "CodePipeline Action Execution State Change":
		switch {
		case d.State == "FAILED":
			return information{d.Result.Summary}, nil
		case d.State == "STARTED" && d.Type.Category == pipeline.CategoryApproval:
			return h.asked(ctx, tx)
		}
	}
	return nil, nil
}

// failures are the actions that made an execution fail.
func (h *happening) failures(ctx context.Context, tx *store.Tx) (any, error) {
	p, err := tx.FindPipeline(ctx, h.Account, h.Region, h.detail.Pipeline)
	if err != nil {
		return nil, known(err)
	}
	e, err := tx.Execution(ctx, p.ID, pipeline.ExecutionID(h.detail.Execution))
	if err != nil {
		return nil, known(err)
	}
	out := failedPipeline{Actions: []failedAction{}, Stage: e.Stage}
	for _, run := range e.LatestRuns() {
		if run.Stage != e.Stage || run.Status != pipeline.Failed {
			continue
		}
		f := failedAction{Action: run.Action, Information: run.Summary}
		if f.Information == "" && run.Error != nil {
			f.Information = run.Error.Message
		}
		out.Actions = append(out.Actions, f)
	}
	out.Count = len(out.Actions)
	return out, nil
}

// sources are the actions of the source stage that has begun. Variables are those the actions
// have, and before that what their configuration says of them.
func (h *happening) sources(ctx context.Context, tx *store.Tx) (any, error) {
	p, err := tx.FindPipeline(ctx, h.Account, h.Region, h.detail.Pipeline)
	if err != nil {
		return nil, known(err)
	}
	e, err := tx.Execution(ctx, p.ID, pipeline.ExecutionID(h.detail.Execution))
	if err != nil {
		return nil, known(err)
	}
	def, err := tx.Declaration(ctx, p.ID, e.Version)
	if err != nil {
		return nil, known(err)
	}
	if len(def.Stages) == 0 || def.Stages[0].Name != h.detail.Stage {
		return nil, nil
	}
	taken := map[string]map[string]string{}
	for _, run := range e.LatestRuns() {
		taken[run.Action] = run.Variables
	}
	out := sourceStage{Actions: []sourceAction{}}
	for _, a := range def.Stages[0].Actions {
		variables := taken[a.Name]
		if len(variables) == 0 {
			variables = map[string]string{}
			for key, name := range configured[a.ActionTypeID.Provider] {
				if v := a.Configuration[key]; v != "" {
					variables[name] = v
				}
			}
		}
		out.Actions = append(out.Actions, sourceAction{a.Name, a.ActionTypeID.Provider, variables})
	}
	return out, nil
}

// configured are the variables of source actions that stand in their configuration.
var configured = map[string]map[string]string{
	"CodeCommit":               {"BranchName": "BranchName", "RepositoryName": "RepositoryName"},
	"CodeStarSourceConnection": {"BranchName": "BranchName", "FullRepositoryId": "FullRepositoryName", "ConnectionArn": "ConnectionArn"},
	"S3":                       {"S3Bucket": "BucketName", "S3ObjectKey": "ObjectKey"},
}

// asked is what an approval says to those who are to give it.
func (h *happening) asked(ctx context.Context, tx *store.Tx) (any, error) {
	p, err := tx.FindPipeline(ctx, h.Account, h.Region, h.detail.Pipeline)
	if err != nil {
		return nil, known(err)
	}
	e, err := tx.Execution(ctx, p.ID, pipeline.ExecutionID(h.detail.Execution))
	if err != nil {
		return nil, known(err)
	}
	for _, run := range e.LatestRuns() {
		if string(run.ID) == h.detail.Run {
			return approval{run.Resolved["CustomData"], run.Resolved["ExternalEntityLink"]}, nil
		}
	}
	return nil, nil
}
