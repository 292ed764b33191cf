package codedeploy

import (
	"fmt"
	"strings"
	"testing"

	api "penstock/internal/api/codedeploy"
	"penstock/internal/auth"
	"penstock/internal/fault"
)

// N-12: what this server does not do is refused with the service's own faults, and never taken
// without effect.
func TestWhatIsNotThereIsRefused(t *testing.T) {
	t.Parallel()
	each(t, func(b *bench) {
		for platform, code := range map[string]string{"Lambda": "InvalidComputePlatformException", "ECS": "InvalidComputePlatformException", "Server": ""} {
			_, err := b.CreateApplication(b.ctx, &api.CreateApplicationInput{ApplicationName: "x" + platform, ComputePlatform: platform})
			b.code(platform, err, code)
			_, err = b.CreateDeploymentConfig(b.ctx, &api.CreateDeploymentConfigInput{DeploymentConfigName: platform, ComputePlatform: platform,
				MinimumHealthyHosts: &api.MinimumHealthyHosts{Type: hostCount, Value: new(int32(1))}})
			b.code(platform, err, code)
		}
		b.group("other", "")
		for code, change := range map[string]func(in *api.UpdateDeploymentGroupInput){
			"InvalidEC2TagException":           func(in *api.UpdateDeploymentGroupInput) { in.Ec2TagFilters = []api.EC2TagFilter{{Key: "a"}} },
			"InvalidAutoScalingGroupException": func(in *api.UpdateDeploymentGroupInput) { in.AutoScalingGroups = []string{"a"} },
			"InvalidInputException":            func(in *api.UpdateDeploymentGroupInput) { in.TerminationHookEnabled = new(true) },
			"InvalidECSServiceException":       func(in *api.UpdateDeploymentGroupInput) { in.EcsServices = []api.ECSService{{ServiceName: "a"}} },
			"InvalidBlueGreenDeploymentConfigurationException": func(in *api.UpdateDeploymentGroupInput) {
				in.BlueGreenDeploymentConfiguration = &api.BlueGreenDeploymentConfiguration{}
			},
			"InvalidDeploymentStyleException": func(in *api.UpdateDeploymentGroupInput) {
				in.DeploymentStyle = &api.DeploymentStyle{DeploymentType: "BLUE_GREEN"}
			},
			"InvalidLoadBalancerInfoException": func(in *api.UpdateDeploymentGroupInput) {
				in.LoadBalancerInfo = &api.LoadBalancerInfo{ElbInfoList: []api.ELBInfo{{Name: "a"}}}
			},
			"InvalidTriggerConfigException": func(in *api.UpdateDeploymentGroupInput) {
				in.TriggerConfigurations = []api.TriggerConfig{{TriggerName: "a"}}
			},
			"InvalidAlarmConfigException": func(in *api.UpdateDeploymentGroupInput) {
				in.AlarmConfiguration = &api.AlarmConfiguration{Enabled: new(true), Alarms: []api.Alarm{{Name: "a"}}}
			},
			"InvalidAutoRollbackConfigException": func(in *api.UpdateDeploymentGroupInput) {
				in.AutoRollbackConfiguration = &api.AutoRollbackConfiguration{Enabled: new(true)}
			},
			"InvalidOnPremisesTagCombinationException": func(in *api.UpdateDeploymentGroupInput) {
				in.OnPremisesInstanceTagFilters, in.OnPremisesTagSet = roleTag, &api.OnPremisesTagSet{OnPremisesTagSetList: [][]api.TagFilter{roleTag}}
			},
			"TagSetListLimitExceededException": func(in *api.UpdateDeploymentGroupInput) {
				in.OnPremisesTagSet = &api.OnPremisesTagSet{OnPremisesTagSetList: [][]api.TagFilter{roleTag, roleTag, roleTag, roleTag}}
			},
			"InvalidTagException": func(in *api.UpdateDeploymentGroupInput) {
				in.OnPremisesInstanceTagFilters = []api.TagFilter{{Key: "a"}}
			},
			"InvalidRoleException":                  func(in *api.UpdateDeploymentGroupInput) { in.ServiceRoleArn = "deploy" },
			"DeploymentConfigDoesNotExistException": func(in *api.UpdateDeploymentGroupInput) { in.DeploymentConfigName = "CodeDeployDefault.Slowly" },
			"InvalidDeploymentGroupNameException":   func(in *api.UpdateDeploymentGroupInput) { in.NewDeploymentGroupName = "a/b" },
			"DeploymentGroupAlreadyExistsException": func(in *api.UpdateDeploymentGroupInput) { in.NewDeploymentGroupName = "other" },
			"DeploymentGroupDoesNotExistException":  func(in *api.UpdateDeploymentGroupInput) { in.CurrentDeploymentGroupName = "none" },
			"ApplicationDoesNotExistException":      func(in *api.UpdateDeploymentGroupInput) { in.ApplicationName = "none" },
		} {
			in := &api.UpdateDeploymentGroupInput{ApplicationName: "app", CurrentDeploymentGroupName: "all"}
			change(in)
			_, err := b.UpdateDeploymentGroup(b.ctx, in)
			b.code(code, err, code)
		}
		b.refusedDeployments()
		for name, c := range map[string]struct {
			in   api.CreateDeploymentConfigInput
			code string
		}{
			"traffic":    {api.CreateDeploymentConfigInput{TrafficRoutingConfig: &api.TrafficRoutingConfig{}}, "InvalidTrafficRoutingConfigurationException"},
			"zones":      {api.CreateDeploymentConfigInput{ZonalConfig: &api.ZonalConfig{}}, "InvalidZonalDeploymentConfigurationException"},
			"no minimum": {api.CreateDeploymentConfigInput{}, "InvalidMinimumHealthyHostValueException"},
			"percent":    {api.CreateDeploymentConfigInput{MinimumHealthyHosts: &api.MinimumHealthyHosts{Type: fleetPercent, Value: new(int32(101))}}, "InvalidMinimumHealthyHostValueException"},
			"negative":   {api.CreateDeploymentConfigInput{MinimumHealthyHosts: &api.MinimumHealthyHosts{Type: hostCount, Value: new(int32(-1))}}, "InvalidMinimumHealthyHostValueException"},
			"reserved":   {api.CreateDeploymentConfigInput{DeploymentConfigName: "CodeDeployDefault.Mine"}, "InvalidDeploymentConfigNameException"},
		} {
			if c.in.DeploymentConfigName == "" {
				c.in.DeploymentConfigName = "mine"
			}
			_, err := b.CreateDeploymentConfig(b.ctx, &c.in)
			b.code(name, err, c.code)
		}
	})
}

// refusedDeployments are deployments that this server does not make.
func (b *bench) refusedDeployments() {
	b.Helper()
	for name, c := range map[string]struct {
		change func(in *api.CreateDeploymentInput)
		code   string
	}{
		"GitHub": {func(in *api.CreateDeploymentInput) {
			in.Revision = &api.RevisionLocation{RevisionType: "GitHub", GitHubLocation: &api.GitHubLocation{Repository: "a/b", CommitId: "c"}}
		}, "InvalidRevisionException"},
		"AppSpec": {func(in *api.CreateDeploymentInput) {
			in.Revision = &api.RevisionLocation{RevisionType: "AppSpecContent", AppSpecContent: &api.AppSpecContent{Content: "{}"}}
		}, "InvalidRevisionException"},
		"a file":      {func(in *api.CreateDeploymentInput) { in.Revision.S3Location.BundleType = "YAML" }, "InvalidRevisionException"},
		"no key":      {func(in *api.CreateDeploymentInput) { in.Revision.S3Location.Key = "" }, "InvalidRevisionException"},
		"two places":  {func(in *api.CreateDeploymentInput) { in.Revision.GitHubLocation = &api.GitHubLocation{} }, "InvalidRevisionException"},
		"no revision": {func(in *api.CreateDeploymentInput) { in.Revision = nil }, "RevisionRequiredException"},
		"no group":    {func(in *api.CreateDeploymentInput) { in.DeploymentGroupName = "" }, "DeploymentGroupNameRequiredException"},
		"instances": {func(in *api.CreateDeploymentInput) {
			in.TargetInstances = &api.TargetInstances{AutoScalingGroups: []string{"a"}}
		}, "InvalidTargetInstancesException"},
		"outdated":     {func(in *api.CreateDeploymentInput) { in.UpdateOutdatedInstancesOnly = new(true) }, "InvalidUpdateOutdatedInstancesOnlyValueException"},
		"alarms":       {func(in *api.CreateDeploymentInput) { in.OverrideAlarmConfiguration = &api.AlarmConfiguration{} }, "InvalidAlarmConfigException"},
		"a long story": {func(in *api.CreateDeploymentInput) { in.Description = strings.Repeat("a", 257) }, "DescriptionTooLongException"},
		"no config":    {func(in *api.CreateDeploymentInput) { in.DeploymentConfigName = "none" }, "DeploymentConfigDoesNotExistException"},
	} {
		in := &api.CreateDeploymentInput{ApplicationName: "app", DeploymentGroupName: "all", Revision: revision("v1")}
		c.change(in)
		_, err := b.CreateDeployment(b.ctx, in)
		b.code(name, err, c.code)
	}
	// Nobody is there to deploy to.
	b.want("no instances", b.brief(b.deploy("v1")), "Failed NO_INSTANCES")
}

// N-12: instances are known by one IAM ARN each, and chosen by their tags.
func TestInstances(t *testing.T) {
	t.Parallel()
	each(t, func(b *bench) {
		b.register("a", "b", "c")
		const session = "arn:aws:sts::000000000000:assumed-role/hosts/d"
		for name, c := range map[string]struct {
			in   api.RegisterOnPremisesInstanceInput
			code string
		}{
			"no ARN":       {api.RegisterOnPremisesInstanceInput{InstanceName: "d"}, "IamArnRequiredException"},
			"both":         {api.RegisterOnPremisesInstanceInput{InstanceName: "d", IamUserArn: userOf("d"), IamSessionArn: session}, "MultipleIamArnsProvidedException"},
			"no user":      {api.RegisterOnPremisesInstanceInput{InstanceName: "d", IamUserArn: session}, "InvalidIamUserArnException"},
			"other's user": {api.RegisterOnPremisesInstanceInput{InstanceName: "d", IamUserArn: "arn:aws:iam::111111111111:user/d"}, "InvalidIamUserArnException"},
			"no session":   {api.RegisterOnPremisesInstanceInput{InstanceName: "d", IamSessionArn: userOf("d")}, "InvalidIamSessionArnException"},
			"name":         {api.RegisterOnPremisesInstanceInput{InstanceName: "a", IamUserArn: userOf("d")}, "InstanceNameAlreadyRegisteredException"},
			"ARN":          {api.RegisterOnPremisesInstanceInput{InstanceName: "d", IamUserArn: userOf("a")}, "IamUserArnAlreadyRegisteredException"},
			"odd name":     {api.RegisterOnPremisesInstanceInput{InstanceName: "d/e", IamUserArn: userOf("d")}, "InvalidInstanceNameException"},
			"none":         {api.RegisterOnPremisesInstanceInput{IamUserArn: userOf("d")}, "InstanceNameRequiredException"},
		} {
			_, err := b.RegisterOnPremisesInstance(b.ctx, &c.in)
			b.code(name, err, c.code)
		}
		_, err := b.RegisterOnPremisesInstance(b.ctx, &api.RegisterOnPremisesInstanceInput{InstanceName: "d", IamSessionArn: session})
		b.code("session", err, "")
		_, err = b.RegisterOnPremisesInstance(b.ctx, &api.RegisterOnPremisesInstanceInput{InstanceName: "e", IamSessionArn: session})
		b.code("session again", err, "IamSessionArnAlreadyRegisteredException")

		tag := func(name, key, value string) {
			b.Helper()
			_, err := b.AddTagsToOnPremisesInstances(b.ctx, &api.AddTagsToOnPremisesInstancesInput{InstanceNames: []string{name}, Tags: []api.Tag{{Key: key, Value: value}}})
			b.code("tag", err, "")
		}
		tag("a", "zone", "1")
		tag("b", "zone", "2")
		tag("d", "zone", "1")
		tag("a", "zone", "3")
		tag("a", "zone", "1")
		list := func(filters ...api.TagFilter) string {
			b.Helper()
			out, err := b.ListOnPremisesInstances(b.ctx, &api.ListOnPremisesInstancesInput{RegistrationStatus: "Registered", TagFilters: filters})
			b.code("list", err, "")
			return strings.Join(out.InstanceNames, "")
		}
		b.want("all", list(), "abcd")
		b.want("key and value", list(api.TagFilter{Key: "zone", Value: "1", Type: "KEY_AND_VALUE"}), "ad")
		b.want("key", list(api.TagFilter{Key: "zone", Type: "KEY_ONLY"}), "abd")
		b.want("value", list(api.TagFilter{Value: "web", Type: "VALUE_ONLY"}), "abc")
		b.want("one of them", list(api.TagFilter{Key: "zone", Value: "2", Type: "KEY_AND_VALUE"}, api.TagFilter{Key: "zone", Value: "1", Type: "KEY_AND_VALUE"}), "abd")
		_, err = b.UpdateDeploymentGroup(b.ctx, &api.UpdateDeploymentGroupInput{ApplicationName: "app", CurrentDeploymentGroupName: "all",
			OnPremisesTagSet: &api.OnPremisesTagSet{OnPremisesTagSetList: [][]api.TagFilter{roleTag, {{Key: "zone", Type: "KEY_ONLY"}}}}})
		b.code("set", err, "")
		b.want("one of each list", b.brief(b.deploy("v1")), "InProgress a:InProgress b:Pending")

		_, err = b.RemoveTagsFromOnPremisesInstances(b.ctx, &api.RemoveTagsFromOnPremisesInstancesInput{InstanceNames: []string{"a", "b"}, Tags: []api.Tag{{Key: "zone", Value: "2"}}})
		b.code("remove", err, "")
		b.want("removed", list(api.TagFilter{Key: "zone", Type: "KEY_ONLY"}), "ad")
		_, err = b.AddTagsToOnPremisesInstances(b.ctx, &api.AddTagsToOnPremisesInstancesInput{InstanceNames: []string{"b", "none"}, Tags: []api.Tag{{Key: "zone", Value: "2"}}})
		b.code("one is not there", err, "InstanceNotRegisteredException")
		b.want("none has it", list(api.TagFilter{Key: "zone", Type: "KEY_ONLY"}), "ad")
		var many []api.Tag
		for i := range maxInstanceTags {
			many = append(many, api.Tag{Key: fmt.Sprint(i)})
		}
		_, err = b.AddTagsToOnPremisesInstances(b.ctx, &api.AddTagsToOnPremisesInstancesInput{InstanceNames: []string{"a"}, Tags: many})
		b.code("too many", err, "TagLimitExceededException")

		for range 2 {
			_, err = b.DeregisterOnPremisesInstance(b.ctx, &api.DeregisterOnPremisesInstanceInput{InstanceName: "d"})
			b.code("deregister", err, "")
		}
		b.want("gone", list(), "abc")
		got, err := b.GetOnPremisesInstance(b.ctx, &api.GetOnPremisesInstanceInput{InstanceName: "d"})
		b.code("still known", err, "")
		if got.InstanceInfo.DeregisterTime == nil {
			b.Errorf("%+v", got.InstanceInfo)
		}
		_, err = b.RegisterOnPremisesInstance(b.ctx, &api.RegisterOnPremisesInstanceInput{InstanceName: "d", IamSessionArn: session})
		b.code("anew", err, "")
		b.want("anew, without tags", list(api.TagFilter{Key: "zone", Type: "KEY_ONLY"}), "a")
	})
}

// N-12: lists are paged, names change, what is deleted is gone and stops what it was doing.
func TestApplicationsAndGroups(t *testing.T) {
	t.Parallel()
	each(t, func(b *bench) {
		for i := range pageSize {
			_, err := b.CreateApplication(b.ctx, &api.CreateApplicationInput{ApplicationName: fmt.Sprintf("n%03d", i)})
			b.code("create", err, "")
		}
		var names []string
		token := ""
		for pages := 0; pages == 0 || token != ""; pages++ {
			out, err := b.ListApplications(b.ctx, &api.ListApplicationsInput{NextToken: token})
			b.code("list", err, "")
			names, token = append(names, out.Applications...), out.NextToken
		}
		if len(names) != pageSize+1 || names[0] != "app" || names[pageSize] != "n099" {
			b.Error(names)
		}
		_, err := b.ListApplications(b.ctx, &api.ListApplicationsInput{NextToken: "?"})
		b.code("token", err, "InvalidNextTokenException")
		_, err = b.CreateApplication(b.ctx, &api.CreateApplicationInput{ApplicationName: "app"})
		b.code("again", err, "ApplicationAlreadyExistsException")
		_, err = b.UpdateApplication(b.ctx, &api.UpdateApplicationInput{ApplicationName: "app", NewApplicationName: "n000"})
		b.code("taken", err, "ApplicationAlreadyExistsException")

		res := "arn:aws:codedeploy:us-east-1:000000000000:deploymentgroup:app/all"
		_, err = b.TagResource(b.ctx, &api.TagResourceInput{ResourceArn: res, Tags: []api.Tag{{Key: "team", Value: "a"}}})
		b.code("tag", err, "")
		b.register("a")
		_, err = b.CreateDeploymentConfig(b.ctx, &api.CreateDeploymentConfigInput{DeploymentConfigName: "mine", MinimumHealthyHosts: &api.MinimumHealthyHosts{Type: hostCount, Value: new(int32(0))}})
		b.code("config", err, "")
		b.set("mine", onFailure, onStop)
		_, err = b.DeleteDeploymentConfig(b.ctx, &api.DeleteDeploymentConfigInput{DeploymentConfigName: "mine"})
		b.code("in use", err, "DeploymentConfigInUseException")
		first := b.deploy("v1")
		b.agent("a").work()
		_, err = b.UpdateApplication(b.ctx, &api.UpdateApplicationInput{ApplicationName: "app", NewApplicationName: "new"})
		b.code("rename", err, "")
		tags, err := b.ListTagsForResource(b.ctx, &api.ListTagsForResourceInput{ResourceArn: strings.Replace(res, "app/", "new/", 1)})
		b.code("tags", err, "")
		if len(tags.Tags) != 1 {
			b.Errorf("%+v", tags)
		}
		_, err = b.RegisterApplicationRevision(b.ctx, &api.RegisterApplicationRevisionInput{ApplicationName: "new", Revision: revision("v2"), Description: "two"})
		b.code("register", err, "")
		for want, in := range map[string]api.ListApplicationRevisionsInput{
			"v1 v2": {SortBy: "registerTime"}, "v2 v1": {SortBy: "lastUsedTime"}, "v1": {Deployed: "include"}, "v2": {Deployed: "exclude"}, "": {S3Bucket: "other"}, "v2 v1 ": {SortBy: "registerTime", SortOrder: "descending", S3Bucket: "bundles", S3KeyPrefix: "v"},
		} {
			in.ApplicationName = "new"
			out, err := b.ListApplicationRevisions(b.ctx, &in)
			b.code("revisions", err, "")
			var keys []string
			for _, r := range out.Revisions {
				keys = append(keys, r.S3Location.Key)
			}
			b.want("revisions", strings.Join(keys, " "), strings.TrimSpace(want))
		}

		out, err := b.CreateDeployment(b.ctx, &api.CreateDeploymentInput{ApplicationName: "new", DeploymentGroupName: "all", Revision: revision("v2")})
		b.code("deploy", err, "")
		_, err = b.DeleteApplication(b.ctx, &api.DeleteApplicationInput{ApplicationName: "new"})
		b.code("delete", err, "")
		b.want("stopped and not rolled back", b.brief(out.DeploymentId), "Stopped MANUAL_STOP a:Skipped")
		if i := b.info(out.DeploymentId); i.RollbackInfo != nil {
			b.Errorf("%+v", i)
		}
		all, err := b.ListDeployments(b.ctx, &api.ListDeploymentsInput{IncludeOnlyStatuses: []string{stopped, succeeded}})
		b.code("deployments", err, "")
		b.want("deployments", strings.Join(all.Deployments, " "), out.DeploymentId+" "+first)
		_, err = b.DeleteDeploymentConfig(b.ctx, &api.DeleteDeploymentConfigInput{DeploymentConfigName: "mine"})
		b.code("not in use", err, "")
		_, err = b.GetDeploymentConfig(b.ctx, &api.GetDeploymentConfigInput{DeploymentConfigName: "mine"})
		b.code("gone", err, "DeploymentConfigDoesNotExistException")
		_, err = b.DeleteDeploymentConfig(b.ctx, &api.DeleteDeploymentConfigInput{DeploymentConfigName: oneAtATime})
		b.code("predefined", err, "InvalidOperationException")
		got, err := b.GetDeploymentConfig(b.ctx, &api.GetDeploymentConfigInput{DeploymentConfigName: oneAtATime})
		b.code("predefined", err, "")
		if m := got.DeploymentConfigInfo.MinimumHealthyHosts; m.Type != "MOST_CONCURRENCY" || *m.Value != 1 {
			b.Errorf("%+v", m)
		}
	})
}

// W-43: permissions are on deployment groups, of a deployment too; who may see one group's sees no
// other's, and is not told whether a deployment exists.
func TestPermissions(t *testing.T) {
	t.Parallel()
	each(t, func(b *bench) {
		b.register("a")
		id := b.deploy("v1")
		limited := func(group string) *bench {
			ctx, err := auth.Limited(b.Context(), auth.From(b.ctx),
				fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"codedeploy:*","Resource":"arn:aws:codedeploy:us-east-1:000000000000:deploymentgroup:app/%s"}]}`, group))
			if err != nil {
				b.Fatal(err)
			}
			return &bench{Room: b.Room, T: b.T, ctx: ctx}
		}
		for _, c := range []struct{ group, id, code string }{{"all", id, ""}, {"other", id, "AccessDeniedException"}, {"all", "d-ABCDEFGHI", "AccessDeniedException"}} {
			l := limited(c.group)
			_, err := l.GetDeployment(l.ctx, &api.GetDeploymentInput{DeploymentId: c.id})
			b.code("get as "+c.group, err, c.code)
			_, err = l.ListDeploymentTargets(l.ctx, &api.ListDeploymentTargetsInput{DeploymentId: c.id})
			b.code("targets as "+c.group, err, c.code)
			_, err = l.StopDeployment(l.ctx, &api.StopDeploymentInput{DeploymentId: c.id})
			if fault.Code(err) != c.code {
				b.Errorf("stop as %s: %v", c.group, err)
			}
		}
		l := limited("*")
		_, err := l.UpdateDeploymentGroup(l.ctx, &api.UpdateDeploymentGroupInput{ApplicationName: "app", CurrentDeploymentGroupName: "all", ServiceRoleArn: groupARN})
		b.code("W-44: the role may not be passed", err, "AccessDeniedException")
		_, err = b.CreateDeploymentGroup(b.ctx, &api.CreateDeploymentGroupInput{ApplicationName: "app", DeploymentGroupName: "none"})
		b.code("no role", err, "RoleRequiredException")
	})
}
