// Package codedeploy is the CodeDeploy action (P-26): the input artifact becomes a revision of an
// application, which is deployed to a deployment group.
package codedeploy

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"penstock/internal/arn"
	"penstock/internal/pipeline"
	"penstock/internal/provider"
)

// Configuration keys of the action.
const (
	keyApplication = "ApplicationName"
	keyGroup       = "DeploymentGroupName"
)

const (
	// look is how often a deployment is asked for that no news comes of, and how often another
	// deployment of the group is waited for.
	look = 5 * time.Second
	// patience is how long the service may be away while a deployment is in progress. (0.1)
	patience   = 10 * time.Minute
	stopTime   = 5 * time.Second
	maxMessage = 4500
)

// Provider runs Deploy/AWS/CodeDeploy/1. The zero value is ready.
type Provider struct{}

// New gives the provider.
func New() provider.Provider { return Provider{} }

// Types is the one action type, as the catalogue has it.
func (Provider) Types() []pipeline.ActionType {
	return slices.DeleteFunc(pipeline.BuiltinTypes(), func(t pipeline.ActionType) bool { return t.ID.Provider != "CodeDeploy" })
}

// Run makes the deployment, and in a job that follows at once waits for its end: from then on
// nothing can forget which deployment it is. Run again after a crash in between, it finds the
// deployment by its description, as long as that is in progress.
func (Provider) Run(ctx context.Context, job provider.Job) provider.Result {
	a := &action{Job: job, client: codedeploy.NewFromConfig(job.Env.AWS), application: job.Configuration[keyApplication], group: job.Configuration[keyGroup]}
	if id := job.ContinuationToken; id != "" {
		return a.wait(ctx, id)
	}
	if failure := a.check(ctx); failure != nil {
		return *failure
	}
	revision, failure := a.register(ctx)
	if failure != nil {
		return *failure
	}
	return a.create(ctx, revision)
}

// action is one run of the action.
type action struct {
	provider.Job
	client             *codedeploy.Client
	application, group string
}

func (a *action) failed(err error, tried string, missing ...string) *provider.Result {
	return new(a.CallFailed(err, tried, missing...))
}

// check looks for what the configuration names, so that what is wrong with it is said before
// anything is done.
func (a *action) check(ctx context.Context) *provider.Result {
	if _, err := a.client.GetApplication(ctx, &codedeploy.GetApplicationInput{ApplicationName: &a.application}); err != nil {
		return a.failed(err, "get the application "+a.application, "ApplicationDoesNotExistException")
	}
	tried := "get the deployment group " + a.group + " of the application " + a.application
	out, err := a.client.GetDeploymentGroup(ctx, &codedeploy.GetDeploymentGroupInput{ApplicationName: &a.application, DeploymentGroupName: &a.group})
	if err != nil {
		return a.failed(err, tried, "DeploymentGroupDoesNotExistException")
	}
	if out.DeploymentGroupInfo == nil || aws.ToString(out.DeploymentGroupInfo.DeploymentConfigName) == "" {
		return new(provider.Failed(pipeline.SystemUnavailable, "Could not %s: the answer names no deployment configuration", tried))
	}
	config := out.DeploymentGroupInfo.DeploymentConfigName
	if _, err := a.client.GetDeploymentConfig(ctx, &codedeploy.GetDeploymentConfigInput{DeploymentConfigName: config}); err != nil {
		return a.failed(err, "get the deployment configuration "+*config, "DeploymentConfigDoesNotExistException")
	}
	return nil
}

// register makes a revision of the input artifact. The instances fetch that object and no other.
func (a *action) register(ctx context.Context) (*types.RevisionLocation, *provider.Result) {
	if len(a.Inputs) != 1 {
		return nil, new(provider.Failed(pipeline.ConfigurationError, "The action '%s' needs one input artifact.", a.Action))
	}
	in := a.Inputs[0]
	where := "s3://" + in.Bucket + "/" + in.Key
	object, err := provider.S3(a.Env.ArtifactAWS).HeadObject(ctx, &s3.HeadObjectInput{Bucket: &in.Bucket, Key: &in.Key})
	if err != nil {
		return nil, a.failed(err, "look at the input artifact "+where)
	}
	at := &types.S3Location{Bucket: &in.Bucket, Key: &in.Key, BundleType: types.BundleTypeZip, ETag: new(strings.Trim(aws.ToString(object.ETag), `"`))}
	if v := aws.ToString(object.VersionId); v != "" && v != "null" {
		at.Version = &v
	}
	revision := &types.RevisionLocation{RevisionType: types.RevisionLocationTypeS3, S3Location: at}
	_, err = a.client.RegisterApplicationRevision(ctx, &codedeploy.RegisterApplicationRevisionInput{
		ApplicationName: &a.application, Revision: revision, Description: new(fmt.Sprintf("Input of the action %s of the pipeline %s", a.Action, a.Pipeline)),
	})
	if err != nil {
		return nil, a.failed(err, "register the revision "+where+" of the application "+a.application, "ApplicationDoesNotExistException")
	}
	return revision, nil
}

// description tells the deployment of this action from all others.
func (a *action) description() string {
	return fmt.Sprintf("Execution %s of the pipeline %s, action execution %s", a.ExecutionID, a.Pipeline, a.ActionExecutionID)
}

var deploymentForm = regexp.MustCompile(`\bd-[A-Z0-9]{5,30}\b`)

// create begins the deployment. While another of the group is in progress it waits, for as long as
// the action may take.
func (a *action) create(ctx context.Context, revision *types.RevisionLocation) provider.Result {
	in := &codedeploy.CreateDeploymentInput{ApplicationName: &a.application, DeploymentGroupName: &a.group, Revision: revision, Description: new(a.description())}
	said := ""
	for {
		out, err := a.client.CreateDeployment(ctx, in)
		var busy *types.DeploymentLimitExceededException
		switch {
		case errors.As(err, &busy):
			if id := deploymentForm.FindString(busy.ErrorMessage()); id != "" && a.own(ctx, id) {
				return a.begun(id)
			}
			if said != busy.ErrorMessage() {
				said = busy.ErrorMessage()
				a.Env.Progress(provider.Progress{Summary: "Waiting: " + said})
			}
			provider.Wait(ctx, nil, look)
		case err != nil:
			return a.CallFailed(err, "deploy to the group "+a.group+" of the application "+a.application, "ApplicationDoesNotExistException", "DeploymentGroupDoesNotExistException")
		case aws.ToString(out.DeploymentId) == "":
			return provider.Failed(pipeline.SystemUnavailable, "Could not deploy to the group %s: the answer names no deployment", a.group)
		default:
			return a.begun(*out.DeploymentId)
		}
		if ctx.Err() != nil {
			return a.CallFailed(ctx.Err(), "wait for another deployment of the group "+a.group)
		}
	}
}

// own says whether a deployment is one that this action began before a crash.
func (a *action) own(ctx context.Context, id string) bool {
	out, err := a.client.GetDeployment(ctx, &codedeploy.GetDeploymentInput{DeploymentId: &id})
	return err == nil && out.DeploymentInfo != nil && aws.ToString(out.DeploymentInfo.Description) == a.description()
}

func (a *action) progress(id, summary string) provider.Progress {
	return provider.Progress{ExternalID: id, ExternalURL: a.Env.ConsoleURL + "/codedeploy/" + a.Region + "/deployments/" + id, Summary: summary}
}

// begun has the next job wait for the deployment.
func (a *action) begun(id string) provider.Result {
	return provider.Result{Progress: a.progress(id, "Deployment "+id+" in progress"), Continue: id, After: time.Millisecond}
}

// wait waits for the end of the deployment and stops it when nobody wants it any more.
func (a *action) wait(ctx context.Context, id string) provider.Result {
	well := time.Now()
	arn := arn.New("codedeploy", a.Region, a.Account, "deployment/"+id)
	for {
		changed := a.Env.Changed(arn)
		out, err := a.client.GetDeployment(ctx, &codedeploy.GetDeploymentInput{DeploymentId: &id})
		switch {
		case ctx.Err() != nil:
			if context.Cause(ctx) == provider.ErrAborted {
				a.stop(ctx, id)
			}
			return a.CallFailed(ctx.Err(), "wait for the deployment "+id)
		case err != nil:
			r := a.CallFailed(err, "get the deployment "+id)
			if r.Error.Code != pipeline.SystemUnavailable || time.Since(well) > patience {
				return r
			}
		case out.DeploymentInfo == nil:
			return provider.Failed(pipeline.SystemUnavailable, "Could not get the deployment %s: the answer has no deployment", id)
		default:
			well = time.Now()
			if r, over := a.ended(id, out.DeploymentInfo); over {
				return r
			}
		}
		provider.Wait(ctx, changed, look)
	}
}

// ended turns the end of the deployment into the action's. A rollback leaves the action failed.
func (a *action) ended(id string, d *types.DeploymentInfo) (r provider.Result, over bool) {
	switch d.Status {
	case types.DeploymentStatusSucceeded:
		return provider.Result{Progress: a.progress(id, "Deployment Succeeded")}, true
	case types.DeploymentStatusFailed, types.DeploymentStatusStopped:
	default:
		return r, false
	}
	reason := "The deployment " + id + " has the status " + string(d.Status)
	if e := d.ErrorInformation; e != nil {
		reason = string(e.Code) + ": " + aws.ToString(e.Message)
	}
	if len(reason) > maxMessage {
		reason = strings.ToValidUTF8(reason[:maxMessage], "") + "…"
	}
	r = provider.Failed(pipeline.JobFailed, "%s", reason)
	r.Progress = a.progress(id, "Deployment "+id+" failed")
	return r, true
}

func (a *action) stop(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	_, err := a.client.StopDeployment(ctx, &codedeploy.StopDeploymentInput{DeploymentId: &id})
	var over *types.DeploymentAlreadyCompletedException
	if err != nil && !errors.As(err, &over) {
		a.Env.Log.Warn("codedeploy: deployment not stopped", "deployment", id, "error", err)
	}
}
