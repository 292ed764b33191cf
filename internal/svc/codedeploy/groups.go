package codedeploy

import (
	"context"
	"encoding/json"
	"errors"

	api "penstock/internal/api/codedeploy"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// service is the principal that assumes the roles of deployment groups.
const service = "codedeploy.amazonaws.com"

// group is a deployment group with its row. The names in Info are filled in when it is shown.
type group struct {
	row  store.CodeDeployGroup
	Info api.DeploymentGroupInfo
}

func openGroup(row store.CodeDeployGroup) (*group, error) {
	g := &group{row: row}
	return g, json.Unmarshal([]byte(row.Doc), &g.Info)
}

func (g *group) text() error {
	text, err := json.Marshal(g.Info)
	g.row.Doc = string(text)
	return err
}

func (g *group) save(ctx context.Context, tx *store.Tx) error {
	if err := g.text(); err != nil {
		return err
	}
	return tx.SetCodeDeployGroup(ctx, g.row)
}

// show gives the group as the API tells it.
func (g *group) show(application string) *api.DeploymentGroupInfo {
	i := g.Info
	i.ApplicationName, i.DeploymentGroupName, i.DeploymentGroupId, i.ComputePlatform = application, g.row.Name, g.row.ID, serverPlatform
	return &i
}

// nameOfGroup checks the names that a request is about and authorises the operation on the group.
func nameOfGroup(ctx context.Context, operation, application, name string) (auth.Caller, error) {
	switch {
	case application == "":
		return missing(ctx, operation, "ApplicationNameRequiredException", "applicationName is missing: name the application.")
	case name == "":
		return missing(ctx, operation, "DeploymentGroupNameRequiredException", "deploymentGroupName is missing: name the deployment group.")
	}
	c, err := check(ctx, operation, kindGroup, application+"/"+name)
	if err == nil {
		err = checkName("InvalidApplicationNameException", "applicationName", application)
	}
	if err == nil {
		err = checkName("InvalidDeploymentGroupNameException", "deploymentGroupName", name)
	}
	return c, err
}

func noGroup(err error, name string) error {
	return orMissing(err, "DeploymentGroupDoesNotExistException", "No Deployment Group found for name: %s", name)
}

// findGroup finds a group of an application, to change it if lock is set.
func findGroup(ctx context.Context, tx *store.Tx, a store.CodeDeployApplication, name string, lock bool) (*group, error) {
	get := tx.GetCodeDeployGroup
	if lock {
		get = tx.LockCodeDeployGroup
	}
	row, err := get(ctx, a.ID, name)
	if err != nil {
		return nil, noGroup(err, name)
	}
	return openGroup(row)
}

// settings are what CreateDeploymentGroup and UpdateDeploymentGroup have in common.
type settings struct {
	api.UpdateDeploymentGroupInput
}

// check refuses what this server does not do, and what means nothing. Nothing is taken that would
// then have no effect.
func (s *settings) check(ctx context.Context) error {
	wants := func(class, member, instead string) error {
		return fault.New(class, "%s: this server does not have that. %s", member, instead)
	}
	const onPremises = "Deployments go to registered on-premises instances: name them with onPremisesInstanceTagFilters or onPremisesTagSet."
	style := s.DeploymentStyle
	switch {
	case len(s.Ec2TagFilters) > 0:
		return wants("InvalidEC2TagException", "ec2TagFilters", onPremises)
	case s.Ec2TagSet != nil && len(s.Ec2TagSet.Ec2TagSetList) > 0:
		return wants("InvalidEC2TagException", "ec2TagSet", onPremises)
	case len(s.AutoScalingGroups) > 0:
		return wants("InvalidAutoScalingGroupException", "autoScalingGroups", onPremises)
	case s.TerminationHookEnabled != nil && *s.TerminationHookEnabled:
		return wants("InvalidInputException", "terminationHookEnabled", onPremises)
	case len(s.EcsServices) > 0:
		return wants("InvalidECSServiceException", "ecsServices", onPremises)
	case s.BlueGreenDeploymentConfiguration != nil:
		return wants("InvalidBlueGreenDeploymentConfigurationException", "blueGreenDeploymentConfiguration", "Deployments are made in place.")
	case style != nil && style.DeploymentType != "" && style.DeploymentType != inPlace:
		return wants("InvalidDeploymentStyleException", "deploymentType "+style.DeploymentType, "Deployments are made in place: use IN_PLACE.")
	case style != nil && style.DeploymentOption != "" && style.DeploymentOption != withoutTraffic:
		return wants("InvalidDeploymentStyleException", "deploymentOption "+style.DeploymentOption, "There are no load balancers: use WITHOUT_TRAFFIC_CONTROL.")
	case s.LoadBalancerInfo != nil && len(s.LoadBalancerInfo.ElbInfoList)+len(s.LoadBalancerInfo.TargetGroupInfoList)+len(s.LoadBalancerInfo.TargetGroupPairInfoList) > 0:
		return wants("InvalidLoadBalancerInfoException", "loadBalancerInfo", "Let the scripts of ApplicationStop and ApplicationStart take the instance out of service and back.")
	case len(s.TriggerConfigurations) > 0:
		return wants("InvalidTriggerConfigException", "triggerConfigurations", "Use a rule of EventBridge for the events of the source aws.codedeploy.")
	case s.AlarmConfiguration != nil && (len(s.AlarmConfiguration.Alarms) > 0 || s.AlarmConfiguration.Enabled != nil && *s.AlarmConfiguration.Enabled):
		return wants("InvalidAlarmConfigException", "alarmConfiguration", "Use the rule CloudWatchAlarm in a condition of the pipeline's stage.")
	case len(s.OnPremisesInstanceTagFilters) > 0 && s.OnPremisesTagSet != nil && len(s.OnPremisesTagSet.OnPremisesTagSetList) > 0:
		return fault.New("InvalidOnPremisesTagCombinationException", "onPremisesInstanceTagFilters and onPremisesTagSet are both there: use one of them.")
	}
	if err := checkRollback(s.AutoRollbackConfiguration); err != nil {
		return err
	}
	if err := checkFilters("InvalidTagException", "onPremisesInstanceTagFilters", s.OnPremisesInstanceTagFilters); err != nil {
		return err
	}
	if s.OnPremisesTagSet != nil {
		if len(s.OnPremisesTagSet.OnPremisesTagSetList) > maxSets {
			return fault.New("TagSetListLimitExceededException", "onPremisesTagSet has %d lists: at most %d are allowed.", len(s.OnPremisesTagSet.OnPremisesTagSetList), maxSets)
		}
		for _, filters := range s.OnPremisesTagSet.OnPremisesTagSetList {
			if err := checkFilters("InvalidTagException", "onPremisesTagSet", filters); err != nil {
				return err
			}
		}
	}
	if s.ServiceRoleArn == "" {
		return nil
	}
	if !roleForm().MatchString(s.ServiceRoleArn) {
		return fault.New("InvalidRoleException", "serviceRoleArn %q is not the ARN of a role: it is like arn:aws:iam::123456789012:role/name.", s.ServiceRoleArn)
	}
	return auth.CheckPass(ctx, s.ServiceRoleArn, service) // W-44
}

// maxEvents is how many events there are after which a deployment can be rolled back.
const maxEvents = 3

func checkRollback(c *api.AutoRollbackConfiguration) error {
	if c != nil && c.Enabled != nil && *c.Enabled && len(c.Events) == 0 {
		return fault.New("InvalidAutoRollbackConfigException", "autoRollbackConfiguration is enabled without events: name those after which a deployment is rolled back.")
	}
	if c != nil && len(c.Events) > maxEvents {
		return fault.New("InvalidAutoRollbackConfigException", "autoRollbackConfiguration has %d events: there are %d.", len(c.Events), maxEvents)
	}
	return nil
}

// apply puts into the group what is given.
func (s *settings) apply(g *group) {
	i := &g.Info
	if s.DeploymentConfigName != "" {
		i.DeploymentConfigName = s.DeploymentConfigName
	}
	if s.ServiceRoleArn != "" {
		i.ServiceRoleArn = s.ServiceRoleArn
	}
	if s.AutoRollbackConfiguration != nil {
		i.AutoRollbackConfiguration = s.AutoRollbackConfiguration
	}
	if s.OutdatedInstancesStrategy != "" {
		i.OutdatedInstancesStrategy = s.OutdatedInstancesStrategy
	}
	if s.OnPremisesInstanceTagFilters != nil {
		i.OnPremisesInstanceTagFilters, i.OnPremisesTagSet = s.OnPremisesInstanceTagFilters, nil
	}
	if s.OnPremisesTagSet != nil {
		i.OnPremisesTagSet = s.OnPremisesTagSet
		if len(s.OnPremisesTagSet.OnPremisesTagSetList) > 0 {
			i.OnPremisesInstanceTagFilters = nil
		} else {
			i.OnPremisesTagSet = nil
		}
	}
}

// CreateDeploymentGroup implements the API.
func (r *Room) CreateDeploymentGroup(ctx context.Context, in *api.CreateDeploymentGroupInput) (*api.CreateDeploymentGroupOutput, error) {
	c, err := nameOfGroup(ctx, "CreateDeploymentGroup", in.ApplicationName, in.DeploymentGroupName)
	if err != nil {
		return nil, err
	}
	if in.ServiceRoleArn == "" {
		return nil, fault.New("RoleRequiredException", "serviceRoleArn is missing: name the role of the deployment group.")
	}
	s := settings{api.UpdateDeploymentGroupInput{
		DeploymentConfigName: in.DeploymentConfigName, Ec2TagFilters: in.Ec2TagFilters, OnPremisesInstanceTagFilters: in.OnPremisesInstanceTagFilters,
		AutoScalingGroups: in.AutoScalingGroups, ServiceRoleArn: in.ServiceRoleArn, TriggerConfigurations: in.TriggerConfigurations, AlarmConfiguration: in.AlarmConfiguration,
		AutoRollbackConfiguration: in.AutoRollbackConfiguration, OutdatedInstancesStrategy: in.OutdatedInstancesStrategy, DeploymentStyle: in.DeploymentStyle,
		BlueGreenDeploymentConfiguration: in.BlueGreenDeploymentConfiguration, LoadBalancerInfo: in.LoadBalancerInfo, Ec2TagSet: in.Ec2TagSet, EcsServices: in.EcsServices,
		OnPremisesTagSet: in.OnPremisesTagSet, TerminationHookEnabled: in.TerminationHookEnabled,
	}}
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	if err := checkTags("InvalidTagsToAddException", in.Tags, maxTags); err != nil {
		return nil, err
	}
	g := &group{row: store.CodeDeployGroup{ID: newUUID(), Name: in.DeploymentGroupName}, Info: api.DeploymentGroupInfo{
		DeploymentConfigName: oneAtATime, OutdatedInstancesStrategy: "UPDATE", DeploymentStyle: &api.DeploymentStyle{DeploymentType: inPlace, DeploymentOption: withoutTraffic},
		AutoRollbackConfiguration: &api.AutoRollbackConfiguration{Enabled: new(false), Events: []string{}},
	}}
	s.apply(g)
	if err := g.text(); err != nil {
		return nil, err
	}
	err = r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		a, err := lockApplication(ctx, tx, c, in.ApplicationName)
		if err != nil {
			return err
		}
		g.row.Application = a.ID
		if g.row.Config, err = lockConfig(ctx, tx, c, g.Info.DeploymentConfigName); err != nil {
			return err
		}
		all, err := tx.ListCodeDeployGroups(ctx, a.ID, store.Keyset{Limit: maxGroups})
		if err != nil {
			return err
		}
		if len(all) == maxGroups {
			return fault.New("DeploymentGroupLimitExceededException", "An application has at most %d deployment groups.", maxGroups)
		}
		free, err := tx.AddCodeDeployGroup(ctx, g.row)
		if err == nil && !free {
			err = fault.New("DeploymentGroupAlreadyExistsException", "Deployment Group already exists: %s", g.row.Name)
		}
		if err != nil {
			return err
		}
		return putTags(ctx, tx, taggedGroup(g.row.ID), in.Tags)
	})
	return &api.CreateDeploymentGroupOutput{DeploymentGroupId: g.row.ID}, err
}

// UpdateDeploymentGroup implements the API. What is not given stays as it is.
func (r *Room) UpdateDeploymentGroup(ctx context.Context, in *api.UpdateDeploymentGroupInput) (*api.UpdateDeploymentGroupOutput, error) {
	c, err := nameOfGroup(ctx, "UpdateDeploymentGroup", in.ApplicationName, in.CurrentDeploymentGroupName)
	if err != nil {
		return nil, err
	}
	s := settings{*in}
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	name := in.NewDeploymentGroupName
	if name != "" {
		if err := checkName("InvalidDeploymentGroupNameException", "newDeploymentGroupName", name); err != nil {
			return nil, err
		}
	}
	return &api.UpdateDeploymentGroupOutput{HooksNotCleanedUp: []api.AutoScalingGroup{}}, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		a, err := lockApplication(ctx, tx, c, in.ApplicationName)
		if err != nil {
			return err
		}
		g, err := findGroup(ctx, tx, a, in.CurrentDeploymentGroupName, true)
		if err != nil {
			return err
		}
		s.apply(g)
		if g.row.Config, err = lockConfig(ctx, tx, c, g.Info.DeploymentConfigName); err != nil {
			return err
		}
		if name != "" && name != g.row.Name {
			_, err := tx.GetCodeDeployGroup(ctx, a.ID, name)
			if !errors.Is(err, store.ErrNotFound) {
				if err == nil {
					err = fault.New("DeploymentGroupAlreadyExistsException", "Deployment Group already exists: %s", name)
				}
				return err
			}
			g.row.Name = name
		}
		return g.save(ctx, tx)
	})
}

// GetDeploymentGroup implements the API.
func (r *Room) GetDeploymentGroup(ctx context.Context, in *api.GetDeploymentGroupInput) (*api.GetDeploymentGroupOutput, error) {
	c, err := nameOfGroup(ctx, "GetDeploymentGroup", in.ApplicationName, in.DeploymentGroupName)
	if err != nil {
		return nil, err
	}
	out := &api.GetDeploymentGroupOutput{}
	return out, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		a, err := application(ctx, tx, c, in.ApplicationName)
		if err != nil {
			return err
		}
		g, err := findGroup(ctx, tx, a, in.DeploymentGroupName, false)
		if err == nil {
			out.DeploymentGroupInfo = g.show(in.ApplicationName)
		}
		return err
	})
}

// BatchGetDeploymentGroups implements the API. What is not there is told in errorMessage.
func (r *Room) BatchGetDeploymentGroups(ctx context.Context, in *api.BatchGetDeploymentGroupsInput) (*api.BatchGetDeploymentGroupsOutput, error) {
	if err := tooMany(len(in.DeploymentGroupNames)); err != nil {
		return nil, err
	}
	c := auth.From(ctx)
	for _, name := range in.DeploymentGroupNames {
		if _, err := nameOfGroup(ctx, "BatchGetDeploymentGroups", in.ApplicationName, name); err != nil {
			return nil, err
		}
	}
	out := &api.BatchGetDeploymentGroupsOutput{}
	return out, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		out.DeploymentGroupsInfo, out.ErrorMessage = []api.DeploymentGroupInfo{}, ""
		a, err := application(ctx, tx, c, in.ApplicationName)
		if err != nil {
			return err
		}
		for _, name := range in.DeploymentGroupNames {
			g, err := findGroup(ctx, tx, a, name, false)
			if fault.Code(err) == "DeploymentGroupDoesNotExistException" {
				out.ErrorMessage = err.Error()
				continue
			}
			if err != nil {
				return err
			}
			out.DeploymentGroupsInfo = append(out.DeploymentGroupsInfo, *g.show(in.ApplicationName))
		}
		return nil
	})
}

// ListDeploymentGroups implements the API.
func (r *Room) ListDeploymentGroups(ctx context.Context, in *api.ListDeploymentGroupsInput) (*api.ListDeploymentGroupsOutput, error) {
	c, err := nameOfApplication(ctx, "ListDeploymentGroups", in.ApplicationName)
	if err != nil {
		return nil, err
	}
	key, err := parsePageToken(in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &api.ListDeploymentGroupsOutput{ApplicationName: in.ApplicationName}
	return out, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		out.DeploymentGroups, out.NextToken = []string{}, ""
		a, err := application(ctx, tx, c, in.ApplicationName)
		if err != nil {
			return err
		}
		list, err := tx.ListCodeDeployGroups(ctx, a.ID, store.Keyset{After: key.After, Limit: pageSize + 1})
		for i, g := range list {
			if i == pageSize {
				out.NextToken = pageToken(list[i-1].Name, key.Time)
				break
			}
			out.DeploymentGroups = append(out.DeploymentGroups, g.Name)
		}
		return err
	})
}

// DeleteDeploymentGroup implements the API. A group that is not there is no error; a deployment
// that is in progress is stopped.
func (r *Room) DeleteDeploymentGroup(ctx context.Context, in *api.DeleteDeploymentGroupInput) (*api.DeleteDeploymentGroupOutput, error) {
	c, err := nameOfGroup(ctx, "DeleteDeploymentGroup", in.ApplicationName, in.DeploymentGroupName)
	if err != nil {
		return nil, err
	}
	return &api.DeleteDeploymentGroupOutput{HooksNotCleanedUp: []api.AutoScalingGroup{}}, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		a, err := tx.LockCodeDeployApplication(ctx, c.Account, c.Region, in.ApplicationName)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		row, err := tx.GetCodeDeployGroup(ctx, a.ID, in.DeploymentGroupName)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return r.deleteGroup(ctx, tx, c, row)
	})
}

// deleteGroup removes a group whose application the transaction has locked. A deployment is locked
// before its group, as everywhere; another may be in progress when it is.
func (r *Room) deleteGroup(ctx context.Context, tx *store.Tx, c auth.Caller, row store.CodeDeployGroup) error {
	if err := tx.DeleteTags(ctx, taggedGroup(row.ID)); err != nil {
		return err
	}
	for row.Running != "" {
		x, err := r.open(ctx, tx, c.Account, c.Region, row.Running)
		if err != nil {
			return err
		}
		now, err := tx.LockCodeDeployGroupByID(ctx, row.ID)
		if err != nil {
			return err
		}
		if now.Running == row.Running {
			if err := tx.DeleteCodeDeployGroup(ctx, row.ID); err != nil {
				return err
			}
			x.Halted = manualStop
			return x.settle(ctx)
		}
		row = now
	}
	return tx.DeleteCodeDeployGroup(ctx, row.ID)
}
