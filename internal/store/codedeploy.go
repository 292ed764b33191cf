package store

import (
	"context"
	"database/sql"
	"time"
)

// CodeDeployApplication is an application of CodeDeploy. What it has hangs on its ID: its name
// can change.
type CodeDeployApplication struct {
	Account, Region, Name, ID string
	Created                   time.Time
}

const applicationColumns = `account, region, name, id, created`

func scanApplication(rows *sql.Rows) (CodeDeployApplication, error) {
	var a CodeDeployApplication
	var created int64
	err := rows.Scan(&a.Account, &a.Region, &a.Name, &a.ID, &created)
	a.Created = fromMicros(created)
	return a, err
}

// AddCodeDeployApplication adds an application, created now, and tells whether its name was free.
func (tx *Tx) AddCodeDeployApplication(ctx context.Context, a CodeDeployApplication) (bool, error) {
	n, err := tx.exec(ctx, `INSERT INTO codedeploy_application (`+applicationColumns+`) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
		a.Account, a.Region, a.Name, a.ID, micros(tx.Now()))
	return n == 1, err
}

// GetCodeDeployApplication finds an application; ErrNotFound if there is none.
func (tx *Tx) GetCodeDeployApplication(ctx context.Context, account, region, name string) (CodeDeployApplication, error) {
	return first(all(ctx, tx, `SELECT `+applicationColumns+` FROM codedeploy_application WHERE account = $1 AND region = $2 AND name = $3`,
		[]any{account, region, name}, scanApplication))
}

// LockCodeDeployApplication is GetCodeDeployApplication for one that the transaction is about to
// change, or to add a deployment group to.
func (tx *Tx) LockCodeDeployApplication(ctx context.Context, account, region, name string) (CodeDeployApplication, error) {
	return first(all(ctx, tx, `SELECT `+applicationColumns+` FROM codedeploy_application WHERE account = $1 AND region = $2 AND name = $3`+tx.forUpdate(),
		[]any{account, region, name}, scanApplication))
}

// ListCodeDeployApplications gives a page of applications by name.
func (tx *Tx) ListCodeDeployApplications(ctx context.Context, account, region string, page Keyset) ([]CodeDeployApplication, error) {
	return all(ctx, tx, `SELECT `+applicationColumns+` FROM codedeploy_application WHERE account = $1 AND region = $2 AND name > $3 ORDER BY name LIMIT $4`,
		[]any{account, region, page.After, page.Limit}, scanApplication)
}

// RenameCodeDeployApplication gives an application another name, of which the caller has seen that
// it is free.
func (tx *Tx) RenameCodeDeployApplication(ctx context.Context, a CodeDeployApplication, name string) error {
	_, err := tx.exec(ctx, `UPDATE codedeploy_application SET name = $4 WHERE account = $1 AND region = $2 AND name = $3`, a.Account, a.Region, a.Name, name)
	return err
}

// DeleteCodeDeployApplication removes an application with its revisions. Its groups are gone
// before.
func (tx *Tx) DeleteCodeDeployApplication(ctx context.Context, a CodeDeployApplication) error {
	if _, err := tx.exec(ctx, `DELETE FROM codedeploy_revision WHERE application = $1`, a.ID); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `DELETE FROM codedeploy_application WHERE account = $1 AND region = $2 AND name = $3`, a.Account, a.Region, a.Name)
	return err
}

// CodeDeployGroup is a deployment group. Doc is the room's.
type CodeDeployGroup struct {
	ID, Application, Name string
	// Config is the id of its configuration, "" for one that nobody has made.
	Config string
	// Running is the id of its deployment in progress, "" for none.
	Running string
	Doc     string
}

const deploymentGroupColumns = `id, application, name, config, running, doc`

func scanDeploymentGroup(rows *sql.Rows) (CodeDeployGroup, error) {
	var g CodeDeployGroup
	return g, rows.Scan(&g.ID, &g.Application, &g.Name, &g.Config, &g.Running, &g.Doc)
}

// AddCodeDeployGroup adds a group and tells whether its name was free.
func (tx *Tx) AddCodeDeployGroup(ctx context.Context, g CodeDeployGroup) (bool, error) {
	n, err := tx.exec(ctx, `INSERT INTO codedeploy_group (`+deploymentGroupColumns+`) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
		g.ID, g.Application, g.Name, g.Config, g.Running, g.Doc)
	return n == 1, err
}

// GetCodeDeployGroup finds a group of an application; ErrNotFound if there is none.
func (tx *Tx) GetCodeDeployGroup(ctx context.Context, application, name string) (CodeDeployGroup, error) {
	return first(all(ctx, tx, `SELECT `+deploymentGroupColumns+` FROM codedeploy_group WHERE application = $1 AND name = $2`,
		[]any{application, name}, scanDeploymentGroup))
}

// LockCodeDeployGroup is GetCodeDeployGroup for one that the transaction is about to change.
func (tx *Tx) LockCodeDeployGroup(ctx context.Context, application, name string) (CodeDeployGroup, error) {
	return first(all(ctx, tx, `SELECT `+deploymentGroupColumns+` FROM codedeploy_group WHERE application = $1 AND name = $2`+tx.forUpdate(),
		[]any{application, name}, scanDeploymentGroup))
}

// LockCodeDeployGroupByID is LockCodeDeployGroup by the group's id.
func (tx *Tx) LockCodeDeployGroupByID(ctx context.Context, id string) (CodeDeployGroup, error) {
	return first(all(ctx, tx, `SELECT `+deploymentGroupColumns+` FROM codedeploy_group WHERE id = $1`+tx.forUpdate(), []any{id}, scanDeploymentGroup))
}

// SetCodeDeployGroup replaces what changes of a group; that a new name is free is the caller's to
// see to.
func (tx *Tx) SetCodeDeployGroup(ctx context.Context, g CodeDeployGroup) error {
	n, err := tx.exec(ctx, `UPDATE codedeploy_group SET name = $2, config = $3, running = $4, doc = $5 WHERE id = $1`, g.ID, g.Name, g.Config, g.Running, g.Doc)
	return found(n, err)
}

// ListCodeDeployGroups gives a page of the groups of an application by name.
func (tx *Tx) ListCodeDeployGroups(ctx context.Context, application string, page Keyset) ([]CodeDeployGroup, error) {
	return all(ctx, tx, `SELECT `+deploymentGroupColumns+` FROM codedeploy_group WHERE application = $1 AND name > $2 ORDER BY name LIMIT $3`,
		[]any{application, page.After, page.Limit}, scanDeploymentGroup)
}

// CodeDeployConfigUsed says whether a group has the configuration of an id.
func (tx *Tx) CodeDeployConfigUsed(ctx context.Context, id string) (bool, error) {
	groups, err := all(ctx, tx, `SELECT `+deploymentGroupColumns+` FROM codedeploy_group WHERE config = $1 LIMIT 1`, []any{id}, scanDeploymentGroup)
	return len(groups) > 0, err
}

// DeleteCodeDeployGroup removes a group and what is known of the health of its instances. Its
// deployments stay.
func (tx *Tx) DeleteCodeDeployGroup(ctx context.Context, id string) error {
	if _, err := tx.exec(ctx, `DELETE FROM codedeploy_health WHERE deployment_group = $1`, id); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `DELETE FROM codedeploy_group WHERE id = $1`, id)
	return err
}

// CodeDeployRevision is a revision that an application knows. Doc is the room's.
type CodeDeployRevision struct {
	Application, Digest             string
	Registered, FirstUsed, LastUsed time.Time
	Doc                             string
}

const applicationRevisionColumns = `application, digest, registered, first_used, last_used, doc`

func scanApplicationRevision(rows *sql.Rows) (CodeDeployRevision, error) {
	var r CodeDeployRevision
	var registered, firstUsed, lastUsed int64
	err := rows.Scan(&r.Application, &r.Digest, &registered, &firstUsed, &lastUsed, &r.Doc)
	r.Registered, r.FirstUsed, r.LastUsed = fromMicros(registered), fromMicros(firstUsed), fromMicros(lastUsed)
	return r, err
}

// PutCodeDeployRevision adds a revision, registered now; the document of one that is there is
// replaced.
func (tx *Tx) PutCodeDeployRevision(ctx context.Context, r CodeDeployRevision) error {
	_, err := tx.exec(ctx, `INSERT INTO codedeploy_revision (`+applicationRevisionColumns+`) VALUES ($1, $2, $3, 0, 0, $4)
		ON CONFLICT (application, digest) DO UPDATE SET doc = excluded.doc`, r.Application, r.Digest, micros(tx.Now()), r.Doc)
	return err
}

// UseCodeDeployRevision adds a revision if it is not there, and notes that it is deployed now.
func (tx *Tx) UseCodeDeployRevision(ctx context.Context, r CodeDeployRevision) error {
	_, err := tx.exec(ctx, `INSERT INTO codedeploy_revision (`+applicationRevisionColumns+`) VALUES ($1, $2, $3, $3, $3, $4)
		ON CONFLICT (application, digest) DO UPDATE SET last_used = excluded.last_used,
		first_used = CASE WHEN codedeploy_revision.first_used = 0 THEN excluded.first_used ELSE codedeploy_revision.first_used END`,
		r.Application, r.Digest, micros(tx.Now()), r.Doc)
	return err
}

// GetCodeDeployRevision finds a revision; ErrNotFound if there is none.
func (tx *Tx) GetCodeDeployRevision(ctx context.Context, application, digest string) (CodeDeployRevision, error) {
	return first(all(ctx, tx, `SELECT `+applicationRevisionColumns+` FROM codedeploy_revision WHERE application = $1 AND digest = $2`,
		[]any{application, digest}, scanApplicationRevision))
}

// ListCodeDeployRevisions gives a page of the revisions of an application in the order of a time:
// "registered", "first_used" or "last_used". A first page in descending order begins at a time
// that is yet to come.
func (tx *Tx) ListCodeDeployRevisions(ctx context.Context, application, by string, page Keyset) ([]CodeDeployRevision, error) {
	compare, order := page.direction()
	query := `SELECT ` + applicationRevisionColumns + ` FROM codedeploy_revision WHERE application = $1 AND (registered, digest) ` + compare + ` ($2, $3)
		ORDER BY registered ` + order + `, digest ` + order + ` LIMIT $4`
	switch by {
	case "first_used":
		query = `SELECT ` + applicationRevisionColumns + ` FROM codedeploy_revision WHERE application = $1 AND (first_used, digest) ` + compare + ` ($2, $3)
			ORDER BY first_used ` + order + `, digest ` + order + ` LIMIT $4`
	case "last_used":
		query = `SELECT ` + applicationRevisionColumns + ` FROM codedeploy_revision WHERE application = $1 AND (last_used, digest) ` + compare + ` ($2, $3)
			ORDER BY last_used ` + order + `, digest ` + order + ` LIMIT $4`
	}
	return all(ctx, tx, query, []any{application, micros(page.AfterTime), page.After, page.Limit}, scanApplicationRevision)
}

// CodeDeployConfig is a deployment configuration that somebody has made. Doc is the room's.
type CodeDeployConfig struct{ Account, Region, Name, ID, Doc string }

const deploymentConfigColumns = `account, region, name, id, doc`

func scanDeploymentConfig(rows *sql.Rows) (CodeDeployConfig, error) {
	var c CodeDeployConfig
	return c, rows.Scan(&c.Account, &c.Region, &c.Name, &c.ID, &c.Doc)
}

// AddCodeDeployConfig adds a configuration and tells whether its name was free.
func (tx *Tx) AddCodeDeployConfig(ctx context.Context, c CodeDeployConfig) (bool, error) {
	n, err := tx.exec(ctx, `INSERT INTO codedeploy_config (`+deploymentConfigColumns+`) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
		c.Account, c.Region, c.Name, c.ID, c.Doc)
	return n == 1, err
}

// GetCodeDeployConfig finds a configuration; ErrNotFound if there is none.
func (tx *Tx) GetCodeDeployConfig(ctx context.Context, account, region, name string) (CodeDeployConfig, error) {
	return first(all(ctx, tx, `SELECT `+deploymentConfigColumns+` FROM codedeploy_config WHERE account = $1 AND region = $2 AND name = $3`,
		[]any{account, region, name}, scanDeploymentConfig))
}

// LockCodeDeployConfig is GetCodeDeployConfig for one that must stay until the transaction's end.
func (tx *Tx) LockCodeDeployConfig(ctx context.Context, account, region, name string) (CodeDeployConfig, error) {
	return first(all(ctx, tx, `SELECT `+deploymentConfigColumns+` FROM codedeploy_config WHERE account = $1 AND region = $2 AND name = $3`+tx.forUpdate(),
		[]any{account, region, name}, scanDeploymentConfig))
}

// ListCodeDeployConfigs gives a page of the configurations of an account by name.
func (tx *Tx) ListCodeDeployConfigs(ctx context.Context, account, region string, page Keyset) ([]CodeDeployConfig, error) {
	return all(ctx, tx, `SELECT `+deploymentConfigColumns+` FROM codedeploy_config WHERE account = $1 AND region = $2 AND name > $3 ORDER BY name LIMIT $4`,
		[]any{account, region, page.After, page.Limit}, scanDeploymentConfig)
}

// DeleteCodeDeployConfig removes a configuration; it need not exist.
func (tx *Tx) DeleteCodeDeployConfig(ctx context.Context, account, region, name string) error {
	_, err := tx.exec(ctx, `DELETE FROM codedeploy_config WHERE account = $1 AND region = $2 AND name = $3`, account, region, name)
	return err
}
