package codedeploy

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	api "penstock/internal/api/codedeploy"
	commands "penstock/internal/api/codedeploycommands"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

const (
	account  = "000000000000"
	region   = "us-east-1"
	groupARN = "arn:aws:iam::000000000000:role/deploy"
	patience = 5 * time.Minute
)

// bench is a room with an application "app" that has the group "all", at a time that the test sets.
// Every call of a host is to a room of its own: a server that has just started.
type bench struct {
	*Room
	*testing.T
	ctx   context.Context
	db    *store.DB
	later *atomic.Int64

	mu     sync.Mutex
	states []string // that were told
}

func each(t *testing.T, f func(b *bench)) {
	t.Helper()
	storetest.EachURL(t, func(t *testing.T, url string) {
		b := &bench{T: t, later: &atomic.Int64{}}
		b.db = storetest.Open(t, url, func(c *store.Config) {
			c.Clock = func() time.Time { return time.Now().Add(time.Duration(b.later.Load())) }
		})
		b.ctx = auth.Trusted(t.Context(), auth.Caller{Account: account, Region: region, ARN: "arn:aws:iam::000000000000:user/ann"})
		b.Room = b.another()
		_, err := b.CreateApplication(b.ctx, &api.CreateApplicationInput{ApplicationName: "app"})
		b.code("application", err, "")
		b.group("all", oneAtATime)
		f(b)
	})
}

// another makes a room on the same database.
func (b *bench) another() *Room {
	b.Helper()
	r, err := New(b.Context(), Deps{DB: b.db, Tell: func(_ context.Context, _ *store.Tx, o store.Outgoing) error {
		var d stateChange
		err := json.Unmarshal([]byte(o.Detail), &d)
		b.mu.Lock()
		defer b.mu.Unlock()
		b.states = append(b.states, d.State)
		if o.Source != "aws.codedeploy" || o.DetailType != "CodeDeploy Deployment State-change Notification" || o.Resource != "arn:aws:codedeploy:us-east-1:000000000000:deploymentgroup:"+d.Application+"/all" ||
			d.Application == "" || d.Group != "all" || d.Region != region || d.GroupID == "" || d.Deployment == "" {
			b.Errorf("told %+v", o)
		}
		return err
	}})
	if err != nil {
		b.Fatal(err)
	}
	return r
}

// told gives the states that were told since it was asked last.
func (b *bench) told() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.states
	b.states = nil
	return strings.Join(list, " ")
}

func (b *bench) code(what string, err error, code string) {
	b.Helper()
	if fault.Code(err) != code || err != nil && code == "" {
		b.Errorf("%.80s: %v, want %q", what, err, code)
	}
}

var roleTag = []api.TagFilter{{Key: "role", Value: "web", Type: "KEY_AND_VALUE"}}

func (b *bench) group(name, config string, rollback ...string) {
	b.Helper()
	_, err := b.CreateDeploymentGroup(b.ctx, &api.CreateDeploymentGroupInput{
		ApplicationName: "app", DeploymentGroupName: name, DeploymentConfigName: config, ServiceRoleArn: groupARN, OnPremisesInstanceTagFilters: roleTag,
		AutoRollbackConfiguration: &api.AutoRollbackConfiguration{Enabled: new(len(rollback) > 0), Events: rollback},
	})
	b.code("group", err, "")
}

// set changes the group "all".
func (b *bench) set(config string, rollback ...string) {
	b.Helper()
	_, err := b.UpdateDeploymentGroup(b.ctx, &api.UpdateDeploymentGroupInput{
		ApplicationName: "app", CurrentDeploymentGroupName: "all", DeploymentConfigName: config,
		AutoRollbackConfiguration: &api.AutoRollbackConfiguration{Enabled: new(len(rollback) > 0), Events: rollback},
	})
	b.code("update group", err, "")
}

func userOf(host string) string { return "arn:aws:iam::000000000000:user/" + host }

func (b *bench) register(names ...string) {
	b.Helper()
	for _, name := range names {
		_, err := b.RegisterOnPremisesInstance(b.ctx, &api.RegisterOnPremisesInstanceInput{InstanceName: name, IamUserArn: userOf(name)})
		b.code("register "+name, err, "")
		_, err = b.AddTagsToOnPremisesInstances(b.ctx, &api.AddTagsToOnPremisesInstancesInput{InstanceNames: []string{name}, Tags: []api.Tag{{Key: "role", Value: "web"}}})
		b.code("tag "+name, err, "")
	}
}

func revision(key string) *api.RevisionLocation {
	return &api.RevisionLocation{RevisionType: "S3", S3Location: &api.S3Location{Bucket: "bundles", Key: key, BundleType: "zip"}}
}

func (b *bench) deploy(key string) string {
	b.Helper()
	out, err := b.CreateDeployment(b.ctx, &api.CreateDeploymentInput{ApplicationName: "app", DeploymentGroupName: "all", Revision: revision(key)})
	b.code("deploy", err, "")
	return out.DeploymentId
}

func (b *bench) info(id string) *api.DeploymentInfo {
	b.Helper()
	out, err := b.GetDeployment(b.ctx, &api.GetDeploymentInput{DeploymentId: id})
	if err != nil {
		b.Fatal(err)
	}
	return out.DeploymentInfo
}

// brief is the state of a deployment with its error code, and those of its targets by name.
func (b *bench) brief(id string) string {
	b.Helper()
	i := b.info(id)
	text := i.Status
	if i.ErrorInformation != nil {
		text += " " + i.ErrorInformation.Code
	}
	list, err := b.ListDeploymentTargets(b.ctx, &api.ListDeploymentTargetsInput{DeploymentId: id})
	b.code("targets", err, "")
	count := map[string]int64{}
	for _, name := range list.TargetIds {
		out, err := b.GetDeploymentTarget(b.ctx, &api.GetDeploymentTargetInput{DeploymentId: id, TargetId: name})
		b.code("target", err, "")
		t := out.DeploymentTarget.InstanceTarget
		count[t.Status]++
		text += " " + name + ":" + t.Status
	}
	o := i.DeploymentOverview
	if *o.Pending != count[pending] || *o.InProgress != count[inProgress] || *o.Succeeded != count[succeeded] || *o.Failed != count[failed] || *o.Skipped != count[skipped] {
		b.Errorf("the overview of %s is not what its targets are: %v", id, count)
	}
	return text
}

// events are the lifecycle events of a target with their states.
func (b *bench) events(id, name string) string {
	b.Helper()
	out, err := b.GetDeploymentTarget(b.ctx, &api.GetDeploymentTargetInput{DeploymentId: id, TargetId: name})
	b.code("target", err, "")
	var list []string
	for _, e := range out.DeploymentTarget.InstanceTarget.LifecycleEvents {
		list = append(list, e.LifecycleEventName+":"+e.Status)
	}
	return strings.Join(list, " ")
}

func (b *bench) want(what, got, want string) {
	b.Helper()
	if got != want {
		b.Errorf("%s:\n%s\nwant\n%s", what, got, want)
	}
}

// agent is a host that asks its own room.
type agent struct {
	*bench
	name string
	ctx  context.Context
}

func (b *bench) agent(name string) *agent {
	return &agent{b, name, auth.Trusted(b.Context(), auth.Caller{Account: account, Region: region, ARN: userOf(name)})}
}

// poll gives a command, or nil if there is none now.
func (a *agent) poll() *commands.HostCommandInstance {
	a.Helper()
	r := a.another()
	r.EndPolls() // so that it is answered at once
	out, err := r.PollHostCommand(a.ctx, &commands.PollHostCommandInput{HostIdentifier: userOf(a.name)})
	a.code("poll", err, "")
	return out.HostCommand
}

func (a *agent) acknowledge(id string, noop bool) string {
	a.Helper()
	out, err := a.another().PutHostCommandAcknowledgement(a.ctx, &commands.PutHostCommandAcknowledgementInput{HostCommandIdentifier: id,
		Diagnostics: &commands.Envelope{Format: "JSON", Payload: fmt.Sprintf(`{"IsCommandNoop":%t}`, noop)}})
	a.code("acknowledge", err, "")
	return out.CommandStatus
}

func (a *agent) complete(id, status, payload string) {
	a.Helper()
	_, err := a.another().PutHostCommandComplete(a.ctx, &commands.PutHostCommandCompleteInput{HostCommandIdentifier: id, CommandStatus: status,
		Diagnostics: &commands.Envelope{Format: "JSON", Payload: payload}})
	a.code("complete", err, "")
}

// work does all commands that there are; those that are named fail. It gives the commands.
func (a *agent) work(fail ...string) string {
	a.Helper()
	var did []string
	for c := a.poll(); c != nil; c = a.poll() {
		did = append(did, c.CommandName)
		if got := a.acknowledge(c.HostCommandIdentifier, false); got != inProgress {
			a.Fatalf("%s: %s", c.CommandName, got)
		}
		if slices.Contains(fail, c.CommandName) {
			a.complete(c.HostCommandIdentifier, failed, `{"error_code":4,"script_name":"check.sh","message":"exit code 1","log":"[stderr]no"}`)
			continue
		}
		a.complete(c.HostCommandIdentifier, succeeded, `{"error_code":0,"script_name":"","message":"Succeeded: ","log":""}`)
	}
	return strings.Join(did, " ")
}

const allEvents = "ApplicationStop DownloadBundle BeforeInstall Install AfterInstall ApplicationStart ValidateService"

// background runs a room until the test ends.
func (b *bench) background(r *Room) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
}

// waits returns when so many requests wait for a command.
func (b *bench) waits(r *Room, n int) {
	b.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.After(patience); ; {
		r.waiting.mu.Lock()
		count := 0
		for _, polls := range r.waiting.polls {
			count += len(polls)
		}
		r.waiting.mu.Unlock()
		if count == n {
			return
		}
		select {
		case <-tick.C:
		case <-end:
			b.Fatalf("%d requests wait, want %d", count, n)
		}
	}
}
