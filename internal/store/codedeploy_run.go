package store

import (
	"context"
	"database/sql"
	"time"
)

// CodeDeployInstance is an on-premises instance. Doc is the room's.
type CodeDeployInstance struct {
	Account, Region, Name string
	// ARN is that of the IAM user or session that the host calls with, and no other registered
	// instance's; "" once it is deregistered.
	ARN string
	Doc string
}

const instanceColumns = `account, region, name, arn, doc`

func scanInstance(rows *sql.Rows) (CodeDeployInstance, error) {
	var i CodeDeployInstance
	return i, rows.Scan(&i.Account, &i.Region, &i.Name, &i.ARN, &i.Doc)
}

// AddCodeDeployInstance adds an instance and tells whether its name and ARN were free.
func (tx *Tx) AddCodeDeployInstance(ctx context.Context, i CodeDeployInstance) (bool, error) {
	n, err := tx.exec(ctx, `INSERT INTO codedeploy_instance (`+instanceColumns+`) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
		i.Account, i.Region, i.Name, i.ARN, i.Doc)
	return n == 1, err
}

// GetCodeDeployInstance finds an instance; ErrNotFound if there is none.
func (tx *Tx) GetCodeDeployInstance(ctx context.Context, account, region, name string) (CodeDeployInstance, error) {
	return first(all(ctx, tx, `SELECT `+instanceColumns+` FROM codedeploy_instance WHERE account = $1 AND region = $2 AND name = $3`,
		[]any{account, region, name}, scanInstance))
}

// LockCodeDeployInstance is GetCodeDeployInstance for one that the transaction is about to change.
func (tx *Tx) LockCodeDeployInstance(ctx context.Context, account, region, name string) (CodeDeployInstance, error) {
	return first(all(ctx, tx, `SELECT `+instanceColumns+` FROM codedeploy_instance WHERE account = $1 AND region = $2 AND name = $3`+tx.forUpdate(),
		[]any{account, region, name}, scanInstance))
}

// CodeDeployInstanceOf finds the registered instance that calls with an ARN; ErrNotFound if there
// is none.
func (tx *Tx) CodeDeployInstanceOf(ctx context.Context, account, region, arn string) (CodeDeployInstance, error) {
	return first(all(ctx, tx, `SELECT `+instanceColumns+` FROM codedeploy_instance WHERE account = $1 AND region = $2 AND arn = $3 AND arn <> ''`,
		[]any{account, region, arn}, scanInstance))
}

// SetCodeDeployInstance replaces ARN and document of an instance; that a new ARN is free is the
// caller's to see to.
func (tx *Tx) SetCodeDeployInstance(ctx context.Context, i CodeDeployInstance) error {
	n, err := tx.exec(ctx, `UPDATE codedeploy_instance SET arn = $4, doc = $5 WHERE account = $1 AND region = $2 AND name = $3`, i.Account, i.Region, i.Name, i.ARN, i.Doc)
	return found(n, err)
}

// ListCodeDeployInstances gives a page of the instances of an account by name.
func (tx *Tx) ListCodeDeployInstances(ctx context.Context, account, region string, page Keyset) ([]CodeDeployInstance, error) {
	return all(ctx, tx, `SELECT `+instanceColumns+` FROM codedeploy_instance WHERE account = $1 AND region = $2 AND name > $3 ORDER BY name LIMIT $4`,
		[]any{account, region, page.After, page.Limit}, scanInstance)
}

// RegisteredCodeDeployInstances gives up to limit of the registered instances of an account, by ARN.
func (tx *Tx) RegisteredCodeDeployInstances(ctx context.Context, account, region string, limit int) ([]CodeDeployInstance, error) {
	return all(ctx, tx, `SELECT `+instanceColumns+` FROM codedeploy_instance WHERE account = $1 AND region = $2 AND arn <> '' ORDER BY arn LIMIT $3`,
		[]any{account, region, limit}, scanInstance)
}

// CodeDeployHealth is how the last deployment of a group to an instance ended.
type CodeDeployHealth struct {
	Instance string
	Healthy  bool
	// Deployed is when one succeeded last; zero for never.
	Deployed time.Time
}

// SetCodeDeployHealth notes that a deployment of a group to an instance has ended now.
func (tx *Tx) SetCodeDeployHealth(ctx context.Context, group, instance string, healthy bool) error {
	deployed := int64(0)
	if healthy {
		deployed = micros(tx.Now())
	}
	_, err := tx.exec(ctx, `INSERT INTO codedeploy_health (deployment_group, instance, healthy, deployed) VALUES ($1, $2, $3, $4)
		ON CONFLICT (deployment_group, instance) DO UPDATE SET healthy = excluded.healthy,
		deployed = CASE WHEN excluded.deployed > 0 THEN excluded.deployed ELSE codedeploy_health.deployed END`, group, instance, flag(healthy), deployed)
	return err
}

// CodeDeployHealthOf gives what is known of the instances of a group.
func (tx *Tx) CodeDeployHealthOf(ctx context.Context, group string) ([]CodeDeployHealth, error) {
	return all(ctx, tx, `SELECT instance, healthy, deployed FROM codedeploy_health WHERE deployment_group = $1 ORDER BY instance`, []any{group},
		func(rows *sql.Rows) (CodeDeployHealth, error) {
			var h CodeDeployHealth
			var healthy, deployed int64
			err := rows.Scan(&h.Instance, &healthy, &deployed)
			h.Healthy, h.Deployed = healthy == 1, fromMicros(deployed)
			return h, err
		})
}

// CodeDeployDeployment is a deployment. Doc is the room's.
type CodeDeployDeployment struct {
	Account, Region, ID string
	// Group is the id of its deployment group.
	Group, Status string
	// Completed is zero as long as it is in progress.
	Created, Completed time.Time
	Doc                string
}

const deploymentColumns = `account, region, id, deployment_group, status, created, completed, doc`

func scanDeployment(rows *sql.Rows) (CodeDeployDeployment, error) {
	var d CodeDeployDeployment
	var created, completed int64
	err := rows.Scan(&d.Account, &d.Region, &d.ID, &d.Group, &d.Status, &created, &completed, &d.Doc)
	d.Created, d.Completed = fromMicros(created), fromMicros(completed)
	return d, err
}

// AddCodeDeployDeployment adds a deployment and tells whether its id was free.
func (tx *Tx) AddCodeDeployDeployment(ctx context.Context, d CodeDeployDeployment) (bool, error) {
	n, err := tx.exec(ctx, `INSERT INTO codedeploy_deployment (`+deploymentColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`,
		d.Account, d.Region, d.ID, d.Group, d.Status, micros(d.Created), micros(d.Completed), d.Doc)
	return n == 1, err
}

// GetCodeDeployDeployment finds a deployment; ErrNotFound if there is none.
func (tx *Tx) GetCodeDeployDeployment(ctx context.Context, account, region, id string) (CodeDeployDeployment, error) {
	return first(all(ctx, tx, `SELECT `+deploymentColumns+` FROM codedeploy_deployment WHERE account = $1 AND region = $2 AND id = $3`,
		[]any{account, region, id}, scanDeployment))
}

// LockCodeDeployDeployment is GetCodeDeployDeployment for one that, or a target of which, the
// transaction is about to change.
func (tx *Tx) LockCodeDeployDeployment(ctx context.Context, account, region, id string) (CodeDeployDeployment, error) {
	return first(all(ctx, tx, `SELECT `+deploymentColumns+` FROM codedeploy_deployment WHERE account = $1 AND region = $2 AND id = $3`+tx.forUpdate(),
		[]any{account, region, id}, scanDeployment))
}

// SetCodeDeployDeployment replaces what changes of a deployment.
func (tx *Tx) SetCodeDeployDeployment(ctx context.Context, d CodeDeployDeployment) error {
	n, err := tx.exec(ctx, `UPDATE codedeploy_deployment SET status = $4, completed = $5, doc = $6 WHERE account = $1 AND region = $2 AND id = $3`,
		d.Account, d.Region, d.ID, d.Status, micros(d.Completed), d.Doc)
	return found(n, err)
}

// ListCodeDeployDeployments gives a page of the deployments of an account, newest first. The
// first page begins at a time that is yet to come.
func (tx *Tx) ListCodeDeployDeployments(ctx context.Context, account, region string, page Keyset) ([]CodeDeployDeployment, error) {
	return all(ctx, tx, `SELECT `+deploymentColumns+` FROM codedeploy_deployment WHERE account = $1 AND region = $2 AND (created, id) < ($3, $4)
		ORDER BY created DESC, id DESC LIMIT $5`, []any{account, region, micros(page.AfterTime), page.After, page.Limit}, scanDeployment)
}

// ListCodeDeployDeploymentsOf is ListCodeDeployDeployments for those of one group.
func (tx *Tx) ListCodeDeployDeploymentsOf(ctx context.Context, group string, page Keyset) ([]CodeDeployDeployment, error) {
	return all(ctx, tx, `SELECT `+deploymentColumns+` FROM codedeploy_deployment WHERE deployment_group = $1 AND (created, id) < ($2, $3)
		ORDER BY created DESC, id DESC LIMIT $4`, []any{group, micros(page.AfterTime), page.After, page.Limit}, scanDeployment)
}

// CodeDeployTarget is an instance of a deployment. Doc is the room's.
type CodeDeployTarget struct {
	Account, Region, Deployment, Instance string
	Status                                string
	// Offer is when the instance may be given its command, Due when something has to be done
	// if it says nothing; zero for never.
	Offer, Due time.Time
	Doc        string
}

// TopicCommands is woken when an instance may be given a command; only then is something due
// earlier than it was.
const TopicCommands = "codedeploy"

const targetColumns = `account, region, deployment, instance, status, offer, due, doc`

func scanTarget(rows *sql.Rows) (CodeDeployTarget, error) {
	var t CodeDeployTarget
	var offer, due int64
	err := rows.Scan(&t.Account, &t.Region, &t.Deployment, &t.Instance, &t.Status, &offer, &due, &t.Doc)
	t.Offer, t.Due = fromMicros(offer), fromMicros(due)
	return t, err
}

// AddCodeDeployTarget adds a target of a new deployment, which is offered nothing yet.
func (tx *Tx) AddCodeDeployTarget(ctx context.Context, t CodeDeployTarget) error {
	_, err := tx.exec(ctx, `INSERT INTO codedeploy_target (`+targetColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		t.Account, t.Region, t.Deployment, t.Instance, t.Status, micros(t.Offer), micros(t.Due), t.Doc)
	return err
}

// SetCodeDeployTarget replaces what changes of a target.
func (tx *Tx) SetCodeDeployTarget(ctx context.Context, t CodeDeployTarget) error {
	if !t.Offer.IsZero() {
		tx.Wake(TopicCommands)
	}
	n, err := tx.exec(ctx, `UPDATE codedeploy_target SET status = $5, offer = $6, due = $7, doc = $8
		WHERE account = $1 AND region = $2 AND deployment = $3 AND instance = $4`,
		t.Account, t.Region, t.Deployment, t.Instance, t.Status, micros(t.Offer), micros(t.Due), t.Doc)
	return found(n, err)
}

// CompleteCodeDeployTargets notes that the deployment of targets has ended now.
func (tx *Tx) CompleteCodeDeployTargets(ctx context.Context, d CodeDeployDeployment) error {
	_, err := tx.exec(ctx, `UPDATE codedeploy_target SET completed = $4 WHERE account = $1 AND region = $2 AND deployment = $3`, d.Account, d.Region, d.ID, micros(tx.Now()))
	return err
}

// GetCodeDeployTarget finds a target; ErrNotFound if there is none.
func (tx *Tx) GetCodeDeployTarget(ctx context.Context, account, region, deployment, instance string) (CodeDeployTarget, error) {
	return first(all(ctx, tx, `SELECT `+targetColumns+` FROM codedeploy_target WHERE account = $1 AND region = $2 AND deployment = $3 AND instance = $4`,
		[]any{account, region, deployment, instance}, scanTarget))
}

// CodeDeployTargets gives a page of the targets of a deployment by instance.
func (tx *Tx) CodeDeployTargets(ctx context.Context, account, region, deployment string, page Keyset) ([]CodeDeployTarget, error) {
	return all(ctx, tx, `SELECT `+targetColumns+` FROM codedeploy_target WHERE account = $1 AND region = $2 AND deployment = $3 AND instance > $4
		ORDER BY instance LIMIT $5`, []any{account, region, deployment, page.After, page.Limit}, scanTarget)
}

// OfferedCodeDeployTarget gives the target of an instance whose command may be, or was, offered
// first; ErrNotFound if there is none.
func (tx *Tx) OfferedCodeDeployTarget(ctx context.Context, account, region, instance string) (CodeDeployTarget, error) {
	return first(all(ctx, tx, `SELECT `+targetColumns+` FROM codedeploy_target WHERE account = $1 AND region = $2 AND instance = $3 AND offer > 0
		ORDER BY offer LIMIT 1`, []any{account, region, instance}, scanTarget))
}

// OfferedCodeDeployInstances gives the targets, at most limit, that wait for their instance to take
// a command, those longest first.
func (tx *Tx) OfferedCodeDeployInstances(ctx context.Context, limit int) ([]CodeDeployTarget, error) {
	return all(ctx, tx, `SELECT `+targetColumns+` FROM codedeploy_target WHERE offer > 0 ORDER BY offer LIMIT $1`, []any{limit}, scanTarget)
}

// DueCodeDeployTargets gives the targets, at most limit, that are due next or already.
func (tx *Tx) DueCodeDeployTargets(ctx context.Context, limit int) ([]CodeDeployTarget, error) {
	return all(ctx, tx, `SELECT `+targetColumns+` FROM codedeploy_target WHERE due > 0 ORDER BY due LIMIT $1`, []any{limit}, scanTarget)
}
