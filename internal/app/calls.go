package app

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/auth"
	"penstock/internal/engine"
	"penstock/internal/fault"
	"penstock/internal/pipeline"
	"penstock/internal/provider"
	"penstock/internal/store"
	"penstock/internal/svc/cloudwatch"
	"penstock/internal/svc/codecommit"
	"penstock/internal/svc/events"
	"penstock/internal/svc/notifications"
	"penstock/internal/svc/sns"
)

// pipelineService is the principal that assumes pipelines' roles (S-8).
const pipelineService = "codepipeline.amazonaws.com"

// renewBefore is how long before its end a session is replaced by a new one.
const renewBefore = 5 * time.Minute

// calls makes the configurations with which this server's own parts call services: signed
// with a session of the role they act for, and carried to the door within the process.
type calls struct {
	auth      *auth.Auth
	partition string // of the account, and so of its buckets
	client    *http.Client
	url       func() string
}

// config gives a configuration for calls as the session that in describes. The session is
// made at the first call and renewed before it ends. Nothing is read from the environment,
// from files or from the network.
func (c *calls) config(region string, in auth.MintInput) aws.Config {
	mint := aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		got, err := c.auth.Mint(ctx, in)
		if err != nil {
			return aws.Credentials{}, asAnswer(err)
		}
		return aws.Credentials{AccessKeyID: got.AccessKeyID, SecretAccessKey: string(got.SecretAccessKey), SessionToken: string(got.SessionToken),
			CanExpire: true, Expires: got.Expires, Source: "penstock"}, nil
	})
	return aws.Config{
		Region: region, HTTPClient: c.client, BaseEndpoint: new(c.url()), RetryMode: aws.RetryModeStandard,
		Credentials: aws.NewCredentialsCache(mint, func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = renewBefore }),
	}
}

// asCaller is config for what a room does on behalf of its caller. The session is the
// caller's own, without more rights.
func (c *calls) asCaller(ctx context.Context, caller auth.Caller) (aws.Config, error) {
	in, err := auth.SameAs(ctx)
	if err != nil {
		return aws.Config{}, err
	}
	return c.config(caller.Region, in), nil
}

// forEvent is config for a call to the target of a rule: with the role that the target names,
// or as the service itself for the one thing that is to be done.
func (c *calls) forEvent(call events.Call) aws.Config {
	return c.config(call.Region, eventSession(call))
}

// allowed refuses a call that the role of a rule's target may not make. The refusal of a role
// that cannot be assumed is one too.
func (c *calls) allowed(ctx context.Context, call events.Call) error {
	as, err := c.auth.As(ctx, call.Region, eventSession(call))
	if err != nil {
		return err
	}
	return auth.Check(as, call.Action, call.Resource)
}

func eventSession(call events.Call) auth.MintInput {
	in := auth.MintInput{RoleARN: call.RoleARN, SessionName: "events", InvokedBy: events.Principal, Source: call.Source}
	if call.RoleARN == "" {
		in.Account, in.Service = call.Account, events.Principal
		in.Policies = []string{document([]statement{{"Allow", []string{call.Action}, []string{call.Resource}}})}
	}
	return in
}

// forNotification is config for publishing to the target of a notification rule, as the service
// itself: the topic's policy says whether it may.
func (c *calls) forNotification(account, region, rule, topic string) aws.Config {
	return c.config(region, auth.MintInput{Account: account, Service: notifications.Principal, SessionName: "notifications", InvokedBy: notifications.Principal,
		Source: rule, Policies: []string{document([]statement{{"Allow", []string{"sns:Publish"}, []string{topic}}})}})
}

// forAlarm is forNotification for the topic that an alarm tells.
func (c *calls) forAlarm(account, region, alarm, topic string) aws.Config {
	return c.config(region, auth.MintInput{Account: account, Service: cloudwatch.Principal, SessionName: "alarms", InvokedBy: cloudwatch.Principal,
		Source: alarm, Policies: []string{document([]statement{{"Allow", []string{"sns:Publish"}, []string{topic}}})}})
}

// forTopic is config for invoking a function that subscribes to a topic, as the service itself: the
// function's policy says whether it may.
func (c *calls) forTopic(account, region, topic, function string) aws.Config {
	return c.config(region, auth.MintInput{Account: account, Service: sns.Principal, SessionName: "topics", InvokedBy: sns.Principal,
		Source: topic, Policies: []string{document([]statement{{"Allow", []string{"lambda:InvokeFunction"}, []string{function}}})}})
}

// forTrigger is forNotification for the topic or the function that a repository tells.
func (c *calls) forTrigger(account, region, repository, destination string) aws.Config {
	return c.config(region, auth.MintInput{Account: account, Service: codecommit.Principal, SessionName: "triggers", InvokedBy: codecommit.Principal,
		Source: repository, Policies: []string{document([]statement{{"Allow", []string{"sns:Publish", "lambda:InvokeFunction"}, []string{destination}}})}})
}

// forJob makes what a provider may use for a job: the action's role, which is assumed
// through the pipeline's where it is another (S-40), and the pipeline's for artifacts.
func (c *calls) forJob(job *store.JobRow) provider.Env {
	artifacts := auth.MintInput{RoleARN: job.PipelineRoleARN, SessionName: string(job.Run), InvokedBy: pipelineService, Source: job.PipelineARN}
	action := artifacts
	if job.RoleARN != "" && job.RoleARN != job.PipelineRoleARN {
		action.RoleARN, action.From = job.RoleARN, job.PipelineRoleARN
	}
	return provider.Env{AWS: c.config(job.Region, action), ArtifactAWS: c.config(job.Region, artifacts)}
}

// forPoll is config for a look at a source of a pipeline, with the role its action has.
func (c *calls) forPoll(s *engine.State, a pipeline.Action) aws.Config {
	in := auth.MintInput{RoleARN: s.Current().RoleARN, SessionName: "polling", InvokedBy: pipelineService, Source: s.ARN()}
	if a.RoleARN != "" && a.RoleARN != in.RoleARN {
		in.RoleARN, in.From = a.RoleARN, in.RoleARN
	}
	return c.config(cmp.Or(a.Region, s.Region), in)
}

// forWorker makes the credentials that a worker elsewhere gets with a job: they read its
// inputs, write its outputs, and nothing else (S-310).
func (c *calls) forWorker(ctx context.Context, job engine.Job) (api.AWSSessionCredentials, error) {
	document, err := artifactPolicy(c.partition, job)
	if err != nil {
		return api.AWSSessionCredentials{}, err
	}
	got, err := c.auth.Mint(ctx, auth.MintInput{
		Account: job.Account, Service: pipelineService, SessionName: string(job.ID), Policies: []string{document}, Duration: time.Hour,
	})
	return api.AWSSessionCredentials{AccessKeyId: got.AccessKeyID, SecretAccessKey: string(got.SecretAccessKey), SessionToken: string(got.SessionToken)}, err
}

// asAnswer gives a fault the form of the SDK's errors, so that a provider tells a role that
// cannot be assumed as it tells any other refusal.
func asAnswer(err error) error {
	var f *fault.Error
	if errors.As(err, &f) {
		return &smithy.GenericAPIError{Code: f.Code, Message: f.Message, Fault: smithy.FaultClient}
	}
	return err
}
