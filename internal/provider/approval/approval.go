// Package approval publishes the requests of manual approvals to their topics (P-39). The
// approval itself waits for its answer beside this; nothing waits where no topic is named.
package approval

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/smithy-go"

	"penstock/internal/pipeline"
	"penstock/internal/provider"
)

// Configuration keys of the action.
const (
	keyTopic = "NotificationArn"
	keyLink  = "ExternalEntityLink"
	keyData  = "CustomData"
)

// callTime bounds the call with its retries.
const callTime = time.Minute

// maxSubject is the longest subject a topic takes.
const maxSubject = 100

// Provider runs Approval/AWS/Manual/1. The zero value is ready.
type Provider struct{}

// New gives the provider.
func New() provider.Provider { return Provider{} }

// Types is the one action type, as the catalogue has it.
func (Provider) Types() []pipeline.ActionType {
	return slices.DeleteFunc(pipeline.BuiltinTypes(), func(t pipeline.ActionType) bool {
		return t.ID.Provider != "Manual" || t.ID.Category != pipeline.CategoryApproval
	})
}

// request is the message of S-229 and W-40.
type request struct {
	Region      string `json:"region"`
	ConsoleLink string `json:"consoleLink"`
	Approval    struct {
		Pipeline   string  `json:"pipelineName"`
		Stage      string  `json:"stageName"`
		Action     string  `json:"actionName"`
		Token      string  `json:"token"`
		Expires    string  `json:"expires"`
		Link       *string `json:"externalEntityLink"`
		ReviewLink string  `json:"approvalReviewLink"`
		Data       *string `json:"customData"`
	} `json:"approval"`
}

// Run publishes the request. Success leaves the action pending; a failure fails it (S-230).
// Done twice, as after a crash, it publishes the same request twice.
func (Provider) Run(ctx context.Context, job provider.Job) provider.Result {
	topic := job.Configuration[keyTopic]
	if topic == "" || job.ApprovalToken == "" {
		return provider.Failed(pipeline.ConfigurationError, "The approval action '%s' has no topic to publish to, or no pending request.", job.Action)
	}
	message := text(job)
	subject := shortened("APPROVAL NEEDED: AWS CodePipeline " + job.Pipeline + " for action " + job.Action)
	// The action waits for days; the call must not.
	ctx, stop := context.WithTimeout(ctx, callTime)
	defer stop()
	_, err := sns.NewFromConfig(job.Env.AWS).Publish(ctx, &sns.PublishInput{TopicArn: &topic, Subject: &subject, Message: &message})
	if err == nil {
		return provider.Result{}
	}
	r := job.CallFailed(err, "publish the approval request to "+topic, "NotFound", "InvalidParameter")
	var api smithy.APIError
	if errors.As(err, &api) && api.ErrorCode() == "AuthorizationError" { // how SNS says it
		r.Error.Code = pipeline.PermissionError
	}
	return r
}

// text writes the request. Its links lead to this server.
func text(job provider.Job) string {
	base := job.Env.ConsoleURL
	if base == "" {
		base = "https://console.aws.amazon.com"
	}
	r := request{Region: job.Region, ConsoleLink: base + "/codepipeline/home?region=" + job.Region + "#/view/" + job.Pipeline}
	a := &r.Approval
	a.Pipeline, a.Stage, a.Action, a.Token = job.Pipeline, job.Stage, job.Action, job.ApprovalToken
	a.Expires = job.Deadline.UTC().Format("2006-01-02T15:04Z")
	a.ReviewLink = strings.Join([]string{r.ConsoleLink, job.Stage, job.Action, "approve", job.ApprovalToken}, "/")
	if v := job.Configuration[keyLink]; v != "" {
		a.Link = &v
	}
	if v := job.Configuration[keyData]; v != "" {
		a.Data = &v
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // links keep their ampersands
	if err := e.Encode(r); err != nil {
		panic("approval: " + err.Error()) // texts only
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// shortened cuts a subject to what a topic takes. Names of pipelines and actions are ASCII.
func shortened(s string) string { return s[:min(len(s), maxSubject)] }
