package codedeploy

import (
	"context"
	"slices"
	"strings"

	api "penstock/internal/api/codedeploy"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// show gives a target as the API tells it.
func (t *target) show(row store.CodeDeployTarget) api.DeploymentTarget {
	return api.DeploymentTarget{DeploymentTargetType: instanceTargetType, InstanceTarget: &api.InstanceTarget{
		DeploymentId: row.Deployment, TargetId: row.Instance, TargetArn: arnOf(row.Account, row.Region, kindInstance, row.Instance),
		Status: t.Status, LastUpdatedAt: &t.Updated, LifecycleEvents: t.Events,
	}}
}

// summary is show in the form of the older operations.
func (t *target) summary(row store.CodeDeployTarget) *api.InstanceSummary {
	return &api.InstanceSummary{
		DeploymentId: row.Deployment, InstanceId: arnOf(row.Account, row.Region, kindInstance, row.Instance), Status: t.Status, LastUpdatedAt: &t.Updated,
		LifecycleEvents: t.Events,
	}
}

// targetNamed finds a target of a deployment by the instance's name or ARN.
func targetNamed(ctx context.Context, tx *store.Tx, d store.CodeDeployDeployment, class, id string) (store.CodeDeployTarget, *target, error) {
	name := strings.TrimPrefix(id, arnOf(d.Account, d.Region, kindInstance, ""))
	err := store.ErrNotFound
	var row store.CodeDeployTarget
	if nameForm().MatchString(name) {
		row, err = tx.GetCodeDeployTarget(ctx, d.Account, d.Region, d.ID, name)
	}
	if err != nil {
		return row, nil, orMissing(err, class, "The deployment %s has no instance %q.", d.ID, id)
	}
	t, err := openTarget(row)
	return row, t, err
}

// GetDeploymentTarget implements the API.
func (r *Room) GetDeploymentTarget(ctx context.Context, in *api.GetDeploymentTargetInput) (*api.GetDeploymentTargetOutput, error) {
	out := &api.GetDeploymentTargetOutput{}
	return out, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		d, _, err := readDeployment(ctx, tx, "GetDeploymentTarget", in.DeploymentId)
		if err != nil {
			return err
		}
		row, t, err := targetNamed(ctx, tx, d, "DeploymentTargetDoesNotExistException", in.TargetId)
		if err == nil {
			out.DeploymentTarget = new(t.show(row))
		}
		return err
	})
}

// BatchGetDeploymentTargets implements the API.
func (r *Room) BatchGetDeploymentTargets(ctx context.Context, in *api.BatchGetDeploymentTargetsInput) (*api.BatchGetDeploymentTargetsOutput, error) {
	out := &api.BatchGetDeploymentTargetsOutput{}
	return out, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		out.DeploymentTargets = []api.DeploymentTarget{}
		d, _, err := readDeployment(ctx, tx, "BatchGetDeploymentTargets", in.DeploymentId)
		switch {
		case err != nil:
			return err
		case len(in.TargetIds) == 0:
			return fault.New("DeploymentTargetIdRequiredException", "targetIds is empty: name the targets.")
		case len(in.TargetIds) > maxTargets:
			return fault.New("DeploymentTargetListSizeExceededException", "At most %d targets can be asked for at once, not %d.", maxTargets, len(in.TargetIds))
		}
		for _, id := range in.TargetIds {
			row, t, err := targetNamed(ctx, tx, d, "DeploymentTargetDoesNotExistException", id)
			if err != nil {
				return err
			}
			out.DeploymentTargets = append(out.DeploymentTargets, t.show(row))
		}
		return nil
	})
}

// list gives a page of the names of a deployment's instances that have one of the states; all if
// none is given.
func (r *Room) list(ctx context.Context, operation, id, token string, states, types []string) (names []string, next string, err error) {
	key, err := parsePageToken(token)
	if err != nil {
		return nil, "", err
	}
	err = r.deps.DB.View(ctx, func(tx *store.Tx) error {
		names, next = []string{}, ""
		d, _, err := readDeployment(ctx, tx, operation, id)
		if err != nil {
			return err
		}
		if len(types) > 0 { // blue or green, which instances of a deployment in place are not
			return nil
		}
		rows, err := tx.CodeDeployTargets(ctx, d.Account, d.Region, d.ID, store.Keyset{After: key.After, Limit: pageSize})
		for _, row := range rows {
			if len(states) == 0 || slices.Contains(states, row.Status) {
				names = append(names, row.Instance)
			}
		}
		if len(rows) == pageSize {
			next = pageToken(rows[len(rows)-1].Instance, key.Time)
		}
		return err
	})
	return names, next, err
}

// checkFilter refuses values of a filter of targets that no target can have; class is the fault's.
func checkFilter(class, filter string, values []string, known ...string) error {
	for _, v := range values {
		if !slices.Contains(known, v) {
			return fault.New(class, "targetFilters: the %s %.100q is not one of %s.", filter, v, strings.Join(known, ", "))
		}
	}
	return nil
}

// ListDeploymentTargets implements the API.
func (r *Room) ListDeploymentTargets(ctx context.Context, in *api.ListDeploymentTargetsInput) (*api.ListDeploymentTargetsOutput, error) {
	states, labels := in.TargetFilters["TargetStatus"], in.TargetFilters["ServerInstanceLabel"]
	if err := checkFilter("InvalidInstanceStatusException", "TargetStatus", states, "Pending", "InProgress", "Succeeded", "Failed", "Skipped", "Unknown", "Ready"); err != nil {
		return nil, err
	}
	if err := checkFilter("InvalidInstanceTypeException", "ServerInstanceLabel", labels, "Blue", "Green"); err != nil {
		return nil, err
	}
	names, next, err := r.list(ctx, "ListDeploymentTargets", in.DeploymentId, in.NextToken, states, labels)
	return &api.ListDeploymentTargetsOutput{TargetIds: names, NextToken: next}, err
}

// ListDeploymentInstances implements the API.
func (r *Room) ListDeploymentInstances(ctx context.Context, in *api.ListDeploymentInstancesInput) (*api.ListDeploymentInstancesOutput, error) {
	names, next, err := r.list(ctx, "ListDeploymentInstances", in.DeploymentId, in.NextToken, in.InstanceStatusFilter, in.InstanceTypeFilter)
	return &api.ListDeploymentInstancesOutput{InstancesList: names, NextToken: next}, err
}

// GetDeploymentInstance implements the API.
func (r *Room) GetDeploymentInstance(ctx context.Context, in *api.GetDeploymentInstanceInput) (*api.GetDeploymentInstanceOutput, error) {
	out := &api.GetDeploymentInstanceOutput{}
	return out, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		d, _, err := readDeployment(ctx, tx, "GetDeploymentInstance", in.DeploymentId)
		if err != nil {
			return err
		}
		row, t, err := targetNamed(ctx, tx, d, "InstanceDoesNotExistException", in.InstanceId)
		if err == nil {
			out.InstanceSummary = t.summary(row)
		}
		return err
	})
}

// BatchGetDeploymentInstances implements the API. What is not there is told in errorMessage.
func (r *Room) BatchGetDeploymentInstances(ctx context.Context, in *api.BatchGetDeploymentInstancesInput) (*api.BatchGetDeploymentInstancesOutput, error) {
	out := &api.BatchGetDeploymentInstancesOutput{}
	return out, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		out.InstancesSummary, out.ErrorMessage = []api.InstanceSummary{}, ""
		d, _, err := readDeployment(ctx, tx, "BatchGetDeploymentInstances", in.DeploymentId)
		if err == nil {
			err = tooMany(len(in.InstanceIds))
		}
		if err != nil {
			return err
		}
		for _, id := range in.InstanceIds {
			row, t, err := targetNamed(ctx, tx, d, "InstanceDoesNotExistException", id)
			if fault.Code(err) != "" {
				out.ErrorMessage = err.Error()
				continue
			}
			if err != nil {
				return err
			}
			out.InstancesSummary = append(out.InstancesSummary, *t.summary(row))
		}
		return nil
	})
}
