package codedeploy

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"slices"

	api "penstock/internal/api/codedeploy"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// CreateDeployment implements the API. The deployment is in progress when it is answered.
func (r *Room) CreateDeployment(ctx context.Context, in *api.CreateDeploymentInput) (*api.CreateDeploymentOutput, error) {
	c, err := nameOfGroup(ctx, "CreateDeployment", in.ApplicationName, in.DeploymentGroupName)
	if err != nil {
		return nil, err
	}
	switch t := in.TargetInstances; {
	case t != nil && len(t.TagFilters)+len(t.AutoScalingGroups) > 0 || t != nil && t.Ec2TagSet != nil:
		return nil, fault.New("InvalidTargetInstancesException", "targetInstances: they belong to blue/green deployments; deployments of this server are made in place.")
	case in.UpdateOutdatedInstancesOnly != nil && *in.UpdateOutdatedInstancesOnly:
		return nil, fault.New("InvalidUpdateOutdatedInstancesOnlyValueException", "updateOutdatedInstancesOnly: this server deploys to all instances of the group; leave it out.")
	case in.OverrideAlarmConfiguration != nil:
		return nil, fault.New("InvalidAlarmConfigException", "overrideAlarmConfiguration: this server does not have that. Use the rule CloudWatchAlarm in a condition of the pipeline's stage.")
	}
	if err := checkRevision(in.Revision); err != nil {
		return nil, err
	}
	if err := checkDescription(in.Description); err != nil {
		return nil, err
	}
	if err := checkRollback(in.AutoRollbackConfiguration); err != nil {
		return nil, err
	}
	if r.deps.DB.Full() {
		return nil, store.ErrFull // it would take the room that is kept for what cannot wait
	}
	out := &api.CreateDeploymentOutput{}
	return out, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		a, err := lockApplication(ctx, tx, c, in.ApplicationName)
		if err != nil {
			return err
		}
		g, err := findGroup(ctx, tx, a, in.DeploymentGroupName, true)
		if err != nil {
			return err
		}
		if g.row.Running != "" {
			return fault.New("DeploymentLimitExceededException", "The Deployment Group '%s' already has an active Deployment '%s'", g.row.Name, g.row.Running)
		}
		d := deployment{GroupID: g.row.ID, Info: api.DeploymentInfo{
			ApplicationName: in.ApplicationName, DeploymentGroupName: in.DeploymentGroupName, DeploymentConfigName: g.Info.DeploymentConfigName, Description: in.Description,
			Revision: &api.RevisionLocation{RevisionType: revisionS3, S3Location: in.Revision.S3Location}, Creator: userCreator, IgnoreApplicationStopFailures: new(false),
			AutoRollbackConfiguration: g.Info.AutoRollbackConfiguration, UpdateOutdatedInstancesOnly: new(false), FileExistsBehavior: defaultFileExists,
		}}
		if in.DeploymentConfigName != "" {
			d.Info.DeploymentConfigName = in.DeploymentConfigName
		}
		if in.IgnoreApplicationStopFailures != nil {
			d.Info.IgnoreApplicationStopFailures = in.IgnoreApplicationStopFailures
		}
		if in.AutoRollbackConfiguration != nil {
			d.Info.AutoRollbackConfiguration = in.AutoRollbackConfiguration
		}
		if in.FileExistsBehavior != "" {
			d.Info.FileExistsBehavior = in.FileExistsBehavior
		}
		config, err := config(ctx, tx, c.Account, c.Region, d.Info.DeploymentConfigName)
		if err != nil {
			return err
		}
		d.Config = *config.MinimumHealthyHosts
		out.DeploymentId, err = r.start(ctx, tx, c.Account, c.Region, g, d)
		return err
	})
}

var deploymentForm = regexp.MustCompile(`^d-[A-Z0-9]{9}$`)

// readDeployment finds a deployment and authorises the operation on its group. One that is not
// there needs the permission on everything.
func readDeployment(ctx context.Context, tx *store.Tx, operation, id string) (store.CodeDeployDeployment, *deployment, error) {
	c := auth.From(ctx)
	row, d := store.CodeDeployDeployment{}, &deployment{}
	err := store.ErrNotFound
	if deploymentForm.MatchString(id) {
		row, err = tx.GetCodeDeployDeployment(ctx, c.Account, c.Region, id)
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		if _, err := everything(auth.Using(ctx, tx), operation); err != nil {
			return row, nil, err
		}
		switch {
		case id == "":
			return row, nil, fault.New("DeploymentIdRequiredException", "deploymentId is missing: name the deployment.")
		case !deploymentForm.MatchString(id):
			return row, nil, fault.New("InvalidDeploymentIdException", "deploymentId %q is not valid: it is like d-ABCDEF123.", id)
		}
		return row, nil, fault.New("DeploymentDoesNotExistException", "The deployment %s could not be found", id)
	case err != nil:
		return row, nil, err
	}
	if err := json.Unmarshal([]byte(row.Doc), d); err != nil {
		return row, nil, err
	}
	_, err = check(auth.Using(ctx, tx), operation, kindGroup, d.Info.ApplicationName+"/"+d.Info.DeploymentGroupName)
	return row, d, err
}

// GetDeployment implements the API.
func (r *Room) GetDeployment(ctx context.Context, in *api.GetDeploymentInput) (*api.GetDeploymentOutput, error) {
	out := &api.GetDeploymentOutput{}
	return out, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		_, d, err := readDeployment(ctx, tx, "GetDeployment", in.DeploymentId)
		if err == nil {
			out.DeploymentInfo = &d.Info
		}
		return err
	})
}

// BatchGetDeployments implements the API; deployments that are not there are left out.
func (r *Room) BatchGetDeployments(ctx context.Context, in *api.BatchGetDeploymentsInput) (*api.BatchGetDeploymentsOutput, error) {
	if err := tooMany(len(in.DeploymentIds)); err != nil {
		return nil, err
	}
	out := &api.BatchGetDeploymentsOutput{}
	return out, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		out.DeploymentsInfo = []api.DeploymentInfo{}
		for _, id := range in.DeploymentIds {
			_, d, err := readDeployment(ctx, tx, "BatchGetDeployments", id)
			if fault.Code(err) == "DeploymentDoesNotExistException" {
				continue
			}
			if err != nil {
				return err
			}
			out.DeploymentsInfo = append(out.DeploymentsInfo, d.Info)
		}
		return nil
	})
}

// ListDeployments implements the API: those of a group, or all, newest first. A page that filters
// leave little of says where to go on.
func (r *Room) ListDeployments(ctx context.Context, in *api.ListDeploymentsInput) (*api.ListDeploymentsOutput, error) {
	c := auth.From(ctx)
	var err error
	switch {
	case in.ApplicationName == "" && in.DeploymentGroupName == "":
		_, err = everything(ctx, "ListDeployments")
	default:
		_, err = nameOfGroup(ctx, "ListDeployments", in.ApplicationName, in.DeploymentGroupName)
	}
	if err != nil {
		return nil, err
	}
	if in.ExternalId != "" {
		return nil, fault.New("InvalidExternalIdException", "externalId: deployments of this server have none.")
	}
	page := store.Keyset{AfterTime: yetToCome, Limit: pageSize}
	t := in.CreateTimeRange
	if t != nil && t.Start != nil && t.End != nil && t.End.Before(*t.Start) {
		return nil, fault.New("InvalidTimeRangeException", "createTimeRange ends before it starts.")
	}
	if t != nil && t.End != nil && t.End.Before(yetToCome) {
		page.AfterTime = *t.End
	}
	key, err := parsePageToken(in.NextToken)
	if err != nil {
		return nil, err
	}
	if key.After != "" {
		page.After, page.AfterTime = key.After, key.Time
	}
	out := &api.ListDeploymentsOutput{}
	return out, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		out.Deployments, out.NextToken = []string{}, ""
		rows, err := r.deploymentsOf(ctx, tx, c, in, page)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if t != nil && t.Start != nil && row.Created.Before(*t.Start) {
				return nil
			}
			if len(in.IncludeOnlyStatuses) == 0 || slices.Contains(in.IncludeOnlyStatuses, row.Status) {
				out.Deployments = append(out.Deployments, row.ID)
			}
		}
		if len(rows) == pageSize {
			last := rows[len(rows)-1]
			out.NextToken = pageToken(last.ID, last.Created)
		}
		return nil
	})
}

func (r *Room) deploymentsOf(ctx context.Context, tx *store.Tx, c auth.Caller, in *api.ListDeploymentsInput, page store.Keyset) ([]store.CodeDeployDeployment, error) {
	if in.ApplicationName == "" {
		return tx.ListCodeDeployDeployments(ctx, c.Account, c.Region, page)
	}
	a, err := application(ctx, tx, c, in.ApplicationName)
	if err != nil {
		return nil, err
	}
	g, err := findGroup(ctx, tx, a, in.DeploymentGroupName, false)
	if err != nil {
		return nil, err
	}
	return tx.ListCodeDeployDeploymentsOf(ctx, g.row.ID, page)
}

// StopDeployment implements the API. Instances finish the lifecycle event that they are busy with;
// until then the answer is Pending and the deployment in progress.
func (r *Room) StopDeployment(ctx context.Context, in *api.StopDeploymentInput) (*api.StopDeploymentOutput, error) {
	c := auth.From(ctx)
	if err := r.deps.DB.View(ctx, func(tx *store.Tx) error {
		_, _, err := readDeployment(ctx, tx, "StopDeployment", in.DeploymentId)
		return err
	}); err != nil {
		return nil, err
	}
	out := &api.StopDeploymentOutput{}
	return out, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		x, err := r.open(ctx, tx, c.Account, c.Region, in.DeploymentId)
		if err != nil {
			return err
		}
		if x.over() {
			return fault.New("DeploymentAlreadyCompletedException", "The deployment %s is already completed", in.DeploymentId)
		}
		switch {
		case x.Halted == "":
			x.Halted, x.Undo = manualStop, in.AutoRollbackEnabled
		case x.Halted == manualStop && in.AutoRollbackEnabled != nil:
			x.Undo = in.AutoRollbackEnabled // who stops it again has the last word
		}
		if err := x.settle(ctx); err != nil {
			return err
		}
		*out = api.StopDeploymentOutput{Status: "Pending", StatusMessage: "The instances that are busy with a lifecycle event finish it."}
		if x.over() {
			*out = api.StopDeploymentOutput{Status: "Succeeded", StatusMessage: "No more commands will be scheduled for execution in the deployment instances"}
		}
		return nil
	})
}
