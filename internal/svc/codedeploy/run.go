package codedeploy

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	api "penstock/internal/api/codedeploy"
	"penstock/internal/arn"
	"penstock/internal/store"
)

// deployment is what a deployment's row keeps.
type deployment struct {
	Info    api.DeploymentInfo `json:"info"`
	GroupID string             `json:"groupId"`
	// Config is what its configuration said when it was made, Minimum how many instances are to
	// stay healthy by that.
	Config  api.MinimumHealthyHosts `json:"config"`
	Minimum int                     `json:"minimum"`
	// Halted is why nothing more is begun: MANUAL_STOP or TIMEOUT. Undo is what whoever stopped
	// it said of a rollback; nil if nothing.
	Halted string `json:"halted,omitempty"`
	Undo   *bool  `json:"undo,omitempty"`
}

// run is a deployment in a transaction that has locked it.
type run struct {
	*Room
	tx  *store.Tx
	row store.CodeDeployDeployment
	deployment
}

// open locks a deployment; ErrNotFound if there is none.
func (r *Room) open(ctx context.Context, tx *store.Tx, account, region, id string) (*run, error) {
	row, err := tx.LockCodeDeployDeployment(ctx, account, region, id)
	if err != nil {
		return nil, err
	}
	x := &run{Room: r, tx: tx, row: row}
	return x, json.Unmarshal([]byte(row.Doc), &x.deployment)
}

// over says whether the deployment has ended.
func (x *run) over() bool { return !x.row.Completed.IsZero() }

// openTarget reads a target's row.
func openTarget(row store.CodeDeployTarget) (*target, error) {
	t := &target{offer: row.Offer, due: row.Due}
	return t, json.Unmarshal([]byte(row.Doc), t)
}

// keep saves a target; how one has ended is the health of its instance from then on.
func (x *run) keep(ctx context.Context, row store.CodeDeployTarget, t *target) error {
	text, err := json.Marshal(t)
	if err != nil {
		return err
	}
	row.Status, row.Offer, row.Due, row.Doc = t.Status, t.offer, t.due, string(text)
	if err := x.tx.SetCodeDeployTarget(ctx, row); err != nil {
		return err
	}
	if !t.offer.IsZero() {
		x.tx.AfterCommit(func() { x.waiting.wake(row.Account, row.Region, row.Instance) })
	}
	if t.Touched && t.ended() {
		return x.tx.SetCodeDeployHealth(ctx, x.GroupID, row.Instance, t.Status == succeeded)
	}
	return nil
}

// host is a target with its row.
type host struct {
	row store.CodeDeployTarget
	*target
}

// hosts gives the targets in the order in which they are deployed to: those that are not healthy
// first, then those that were deployed to longest ago (E.1).
func (x *run) hosts(ctx context.Context) ([]host, error) {
	rows, err := x.tx.CodeDeployTargets(ctx, x.row.Account, x.row.Region, x.row.ID, store.Keyset{Limit: maxRegistered})
	if err != nil {
		return nil, err
	}
	list := make([]host, len(rows))
	for i, row := range rows {
		t, err := openTarget(row)
		if err != nil {
			return nil, err
		}
		list[i] = host{row, t}
	}
	slices.SortStableFunc(list, func(a, b host) int {
		if a.Healthy != b.Healthy {
			if a.Healthy {
				return 1
			}
			return -1
		}
		return cmp.Or(a.Deployed.Compare(b.Deployed), strings.Compare(a.row.Instance, b.row.Instance))
	})
	return list, nil
}

// settle goes on with the deployment after one of its targets has ended, and at its beginning and
// when it is stopped: it begins further targets or ends the deployment.
func (x *run) settle(ctx context.Context) error {
	now := x.tx.Now()
	list, err := x.hosts(ctx)
	if err != nil {
		return err
	}
	if x.Halted == "" && now.Sub(x.row.Created) >= wholeTime {
		x.Halted = tooLong
	}
	var d decision
	change := func(i int, f func(now time.Time)) error {
		f(now)
		return x.keep(ctx, list[i].row, list[i].target)
	}
	if x.Halted != "" {
		d = decision{skip: true, code: x.Halted}
		for i := range list {
			if !list[i].ended() && !list[i].Last {
				if err := change(i, list[i].halt); err != nil {
					return err
				}
			}
		}
		if !slices.ContainsFunc(list, func(h host) bool { return h.Status == inProgress }) {
			d.end = stopped
			if x.Halted == tooLong {
				d.end = failed
			}
		}
	} else {
		members := make([]member, len(list))
		for i, h := range list {
			members[i] = member{h.Status, h.Healthy}
		}
		d = decide(members, x.Minimum)
		for _, i := range d.begin {
			if err := change(i, list[i].begin); err != nil {
				return err
			}
		}
	}
	if d.skip {
		for i := range list {
			if list[i].Status == pending {
				if err := change(i, list[i].halt); err != nil {
					return err
				}
			}
		}
	}
	x.Info.DeploymentOverview = overview(list)
	if d.end != "" {
		return x.finish(ctx, d, list)
	}
	return x.save(ctx)
}

func overview(list []host) *api.DeploymentOverview {
	count := map[string]*int64{}
	for _, s := range []string{pending, inProgress, succeeded, failed, skipped} {
		count[s] = new(int64)
	}
	for _, h := range list {
		*count[h.Status]++
	}
	return &api.DeploymentOverview{Pending: count[pending], InProgress: count[inProgress], Succeeded: count[succeeded], Failed: count[failed], Skipped: count[skipped], Ready: new(int64)}
}

func (x *run) save(ctx context.Context) error {
	text, err := json.Marshal(x.deployment)
	if err != nil {
		return err
	}
	x.row.Status, x.row.Doc = x.Info.Status, string(text)
	arn := DeploymentARN(x.row.Account, x.row.Region, x.row.ID)
	x.tx.AfterCommit(func() { x.deps.Notify(arn) })
	return x.tx.SetCodeDeployDeployment(ctx, x.row)
}

// DeploymentARN names a deployment to whoever waits for it.
func DeploymentARN(account, region, id string) string {
	return arn.New("codedeploy", region, account, "deployment/"+id)
}

// finish ends the deployment, and begins the rollback if there is to be one, in the same
// transaction: nothing can come between them.
func (x *run) finish(ctx context.Context, d decision, list []host) error {
	now := x.tx.Now()
	x.Info.Status, x.Info.CompleteTime, x.row.Completed = d.end, &now, now
	if d.code != "" {
		x.Info.ErrorInformation = x.reason(d, list)
	}
	if err := x.tx.CompleteCodeDeployTargets(ctx, x.row); err != nil {
		return err
	}
	row, err := x.tx.LockCodeDeployGroupByID(ctx, x.GroupID)
	if errors.Is(err, store.ErrNotFound) { // deleted meanwhile
		return cmp.Or(x.save(ctx), x.tell(ctx))
	}
	if err != nil {
		return err
	}
	g, err := openGroup(row)
	if err != nil {
		return err
	}
	g.row.Running = ""
	g.Info.LastAttemptedDeployment = x.last()
	target := g.Info.TargetRevision
	if d.end == succeeded {
		g.Info.LastSuccessfulDeployment, g.Info.TargetRevision = x.last(), x.Info.Revision
	}
	if err := g.save(ctx, x.tx); err != nil {
		return err
	}
	if err := x.tell(ctx); err != nil {
		return err
	}
	if x.undone() {
		if err := x.rollBack(ctx, g, target); err != nil {
			return err
		}
	}
	return x.save(ctx)
}

func (x *run) last() *api.LastDeploymentInfo {
	return &api.LastDeploymentInfo{DeploymentId: x.row.ID, Status: x.Info.Status, CreateTime: x.Info.CreateTime, EndTime: x.Info.CompleteTime}
}

// reason says why the deployment has ended as it has.
func (x *run) reason(d decision, list []host) *api.ErrorInformation {
	e := &api.ErrorInformation{Code: d.code}
	switch d.code {
	case manualStop:
		e.Message = "The deployment was stopped on request."
	case tooLong:
		e.Message = "The deployment has taken more than 8 hours."
	case noInstances:
		e.Message = "No registered on-premises instance has the tags that the deployment group " + x.Info.DeploymentGroupName + " asks for."
	case healthImpossible:
		e.Message = fmt.Sprintf("The deployment configuration %s keeps %d of %d instances healthy: there is none left that could be deployed to.", x.Info.DeploymentConfigName, x.Minimum, len(list))
	default:
		silent, first := true, ""
		for _, h := range list {
			if h.Status != failed {
				continue
			}
			silent = silent && h.Silent
			if first == "" {
				first = fmt.Sprintf(" Deployment to the instance %s failed", h.row.Instance)
				for _, e := range h.Events {
					if e.Status == failed && e.Diagnostics != nil {
						first += fmt.Sprintf(" at the lifecycle event %s: %s: %s", e.LifecycleEventName, e.Diagnostics.ErrorCode, e.Diagnostics.Message)
					}
				}
			}
		}
		e.Message = fmt.Sprintf("Too many instances failed, or too few are healthy: %d of %d are to stay healthy, %d failed.%s", x.Minimum, len(list), *x.Info.DeploymentOverview.Failed, first)
		if silent && first != "" {
			e.Code = agentIssue
		}
	}
	return e
}

// undone says whether a rollback follows (E.2). One that fails is not rolled back again.
func (x *run) undone() bool {
	if x.Info.Creator == rollbackCreator || x.Info.Status == succeeded {
		return false
	}
	event := onFailure
	if x.Info.Status == stopped {
		if x.Undo != nil {
			return *x.Undo
		}
		event = onStop
	}
	c := x.Info.AutoRollbackConfiguration
	return c != nil && c.Enabled != nil && *c.Enabled && slices.Contains(c.Events, event)
}

// rollBack deploys the revision that was deployed last with success to the group once more.
func (x *run) rollBack(ctx context.Context, g *group, revision *api.RevisionLocation) error {
	if revision == nil {
		x.Info.RollbackInfo = &api.RollbackInfo{RollbackMessage: "There is nothing to roll back to: no deployment of the group has succeeded yet."}
		return nil
	}
	back := deployment{GroupID: x.GroupID, Config: x.Config, Info: api.DeploymentInfo{
		ApplicationName: x.Info.ApplicationName, DeploymentGroupName: g.row.Name, DeploymentConfigName: x.Info.DeploymentConfigName, Revision: revision,
		Description: "Rolls back the deployment " + x.row.ID + ".", Creator: rollbackCreator, AutoRollbackConfiguration: x.Info.AutoRollbackConfiguration,
		IgnoreApplicationStopFailures: x.Info.IgnoreApplicationStopFailures, FileExistsBehavior: x.Info.FileExistsBehavior,
		RollbackInfo: &api.RollbackInfo{RollbackTriggeringDeploymentId: x.row.ID},
	}}
	id, err := x.start(ctx, x.tx, x.row.Account, x.row.Region, g, back)
	x.Info.RollbackInfo = &api.RollbackInfo{RollbackDeploymentId: id, RollbackMessage: "The deployment " + id + " rolls back to the revision that was deployed last with success."}
	return err
}

// start begins a deployment of a group that the transaction has locked, and that has none in
// progress.
func (r *Room) start(ctx context.Context, tx *store.Tx, account, region string, g *group, d deployment) (string, error) {
	now := tx.Now()
	i := &d.Info
	i.CreateTime, i.StartTime, i.Status, i.ComputePlatform = &now, &now, inProgress, serverPlatform
	i.PreviousRevision, i.DeploymentStyle = g.Info.TargetRevision, &api.DeploymentStyle{DeploymentType: inPlace, DeploymentOption: withoutTraffic}
	names, err := g.instances(ctx, tx, account, region)
	if err != nil {
		return "", err
	}
	d.Minimum = minimumOf(d.Config.Type, int(*d.Config.Value), len(names))
	x := &run{Room: r, tx: tx, deployment: d, row: store.CodeDeployDeployment{Account: account, Region: region, Group: g.row.ID, Created: now, Status: inProgress}}
	for free := false; !free; {
		x.row.ID = newDeploymentID()
		x.Info.DeploymentId = x.row.ID
		if free, err = tx.AddCodeDeployDeployment(ctx, x.row); err != nil {
			return "", err
		}
	}
	if err := r.addTargets(ctx, tx, x.row, names); err != nil {
		return "", err
	}
	revision, err := revisionRow(g.row.Application, i.Revision, "")
	if err != nil {
		return "", err
	}
	if err := tx.UseCodeDeployRevision(ctx, revision); err != nil {
		return "", err
	}
	g.row.Running = x.row.ID
	g.Info.LastAttemptedDeployment = x.last()
	if err := g.save(ctx, tx); err != nil {
		return "", err
	}
	if err := x.tell(ctx); err != nil {
		return "", err
	}
	return x.row.ID, x.settle(ctx)
}

func (r *Room) addTargets(ctx context.Context, tx *store.Tx, d store.CodeDeployDeployment, names []string) error {
	known, err := tx.CodeDeployHealthOf(ctx, d.Group)
	if err != nil {
		return err
	}
	for _, name := range names {
		t := target{Status: pending, Events: []api.LifecycleEvent{}, Updated: tx.Now()}
		if i := slices.IndexFunc(known, func(h store.CodeDeployHealth) bool { return h.Instance == name }); i >= 0 {
			t.Healthy, t.Deployed = known[i].Healthy, known[i].Deployed
		}
		text, err := json.Marshal(t)
		if err != nil {
			return err
		}
		if err := tx.AddCodeDeployTarget(ctx, store.CodeDeployTarget{Account: d.Account, Region: d.Region, Deployment: d.ID, Instance: name, Status: pending, Doc: string(text)}); err != nil {
			return err
		}
	}
	return nil
}

func newDeploymentID() string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	var b strings.Builder
	b.WriteString("d-")
	for range 9 {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(letters))))
		if err != nil {
			panic("codedeploy: " + err.Error()) // rand.Reader never fails
		}
		b.WriteByte(letters[n.Int64()])
	}
	return b.String()
}

// stateChange is the detail of the events that a deployment has begun or ended (S-238).
type stateChange struct {
	Region      string `json:"region"`
	Deployment  string `json:"deploymentId"`
	GroupID     string `json:"instanceGroupId"`
	Group       string `json:"deploymentGroup"`
	State       string `json:"state"`
	Application string `json:"application"`
}

func (x *run) tell(ctx context.Context) error {
	state := map[string]string{inProgress: "START", succeeded: "SUCCESS", failed: "FAILURE", stopped: "STOP"}[x.Info.Status]
	text, err := json.Marshal(stateChange{x.row.Region, x.row.ID, x.GroupID, x.Info.DeploymentGroupName, state, x.Info.ApplicationName})
	if err != nil {
		return err
	}
	return x.deps.Tell(ctx, x.tx, store.Outgoing{
		Source: "aws.codedeploy", Account: x.row.Account, Region: x.row.Region, At: x.tx.Now(), DetailType: "CodeDeploy Deployment State-change Notification",
		Resource: arnOf(x.row.Account, x.row.Region, kindGroup, x.Info.ApplicationName+"/"+x.Info.DeploymentGroupName), Detail: string(text),
	})
}
