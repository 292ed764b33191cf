package store

import (
	"context"
	"database/sql"
)

// Connection is a connection to a Git provider (N-13).
type Connection struct {
	ARN, Account, Region, Name, ProviderType string
	// HostARN is the host of an installed provider; empty for one in the cloud.
	HostARN string
	// Status is PENDING, AVAILABLE or ERROR.
	Status string
	// GitURL is where repositories are, with {repository} for the full name; Username and
	// Token are what to log in with, if anything.
	GitURL, Username string
	Token            Secret
	// Hook is what the URL for its webhooks is known by; HookSecret verifies them.
	Hook       string
	HookSecret Secret
}

// Host is where an installed Git provider runs.
type Host struct {
	ARN, Account, Region, Name, ProviderType, Endpoint, Status string
	// VPC is the JSON of its VPC configuration, which is kept and has no effect; empty if
	// there is none.
	VPC string
}

const connectionColumns = `arn, account, region, name, provider_type, host_arn, status, git_url, username, token, hook, hook_secret`

func (tx *Tx) scanConnection(rows *sql.Rows) (Connection, error) {
	var c Connection
	var token, secret string
	err := rows.Scan(&c.ARN, &c.Account, &c.Region, &c.Name, &c.ProviderType, &c.HostARN, &c.Status, &c.GitURL, &c.Username, &token, &c.Hook, &secret)
	if err == nil {
		c.Token, err = tx.unsealOld(token, "connection token", c.ARN)
	}
	if err == nil {
		c.HookSecret, err = tx.unsealOld(secret, "connection hook", c.ARN)
	}
	return c, err
}

// PutConnection stores a connection, in place of an earlier one of its ARN.
func (tx *Tx) PutConnection(ctx context.Context, c Connection) error {
	token, err := tx.sealSome(c.Token, "connection token", c.ARN)
	if err != nil {
		return err
	}
	secret, err := tx.sealSome(c.HookSecret, "connection hook", c.ARN)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, `INSERT INTO connection (`+connectionColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
		ON CONFLICT (arn) DO UPDATE SET status = excluded.status, git_url = excluded.git_url, username = excluded.username,
		token = excluded.token, hook = excluded.hook, hook_secret = excluded.hook_secret`,
		c.ARN, c.Account, c.Region, c.Name, c.ProviderType, c.HostARN, c.Status, c.GitURL, c.Username, token, c.Hook, secret)
	return err
}

// Connection gives a connection by its ARN; ErrNotFound if there is none.
func (tx *Tx) Connection(ctx context.Context, arn string) (Connection, error) {
	return first(all(ctx, tx, `SELECT `+connectionColumns+` FROM connection WHERE arn = $1`, []any{arn}, tx.scanConnection))
}

// ConnectionByHook gives the connection that a URL for webhooks belongs to; ErrNotFound if
// there is none.
func (tx *Tx) ConnectionByHook(ctx context.Context, hook string) (Connection, error) {
	return first(all(ctx, tx, `SELECT `+connectionColumns+` FROM connection WHERE hook = $1`, []any{hook}, tx.scanConnection))
}

// ListConnections gives all connections of an account and Region by ARN; their number is
// bounded when they are made.
func (tx *Tx) ListConnections(ctx context.Context, account, region string) ([]Connection, error) {
	return all(ctx, tx, `SELECT `+connectionColumns+` FROM connection WHERE account = $1 AND region = $2 ORDER BY arn`,
		[]any{account, region}, tx.scanConnection)
}

// LocalConnections lists the AVAILABLE connections to folders of this machine, of all
// accounts.
func (tx *Tx) LocalConnections(ctx context.Context) ([]Connection, error) {
	return all(ctx, tx, `SELECT `+connectionColumns+` FROM connection WHERE substr(git_url, 1, 5) = 'file:' AND status = 'AVAILABLE' ORDER BY arn`,
		nil, tx.scanConnection)
}

// DeleteConnection removes a connection with its tags, and says whether it was there.
func (tx *Tx) DeleteConnection(ctx context.Context, arn string) (bool, error) {
	if err := tx.DeleteTags(ctx, arn); err != nil {
		return false, err
	}
	n, err := tx.exec(ctx, `DELETE FROM connection WHERE arn = $1`, arn)
	return n > 0, err
}

const hostColumns = `arn, account, region, name, provider_type, endpoint, vpc, status`

func scanHost(rows *sql.Rows) (Host, error) {
	var h Host
	return h, rows.Scan(&h.ARN, &h.Account, &h.Region, &h.Name, &h.ProviderType, &h.Endpoint, &h.VPC, &h.Status)
}

// PutHost stores a host, in place of an earlier one of its ARN.
func (tx *Tx) PutHost(ctx context.Context, h Host) error {
	_, err := tx.exec(ctx, `INSERT INTO connection_host (`+hostColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (arn) DO UPDATE SET endpoint = excluded.endpoint, vpc = excluded.vpc, status = excluded.status`,
		h.ARN, h.Account, h.Region, h.Name, h.ProviderType, h.Endpoint, h.VPC, h.Status)
	return err
}

// Host gives a host by its ARN; ErrNotFound if there is none.
func (tx *Tx) Host(ctx context.Context, arn string) (Host, error) {
	return first(all(ctx, tx, `SELECT `+hostColumns+` FROM connection_host WHERE arn = $1`, []any{arn}, scanHost))
}

// ListHosts gives all hosts of an account and Region by ARN.
func (tx *Tx) ListHosts(ctx context.Context, account, region string) ([]Host, error) {
	return all(ctx, tx, `SELECT `+hostColumns+` FROM connection_host WHERE account = $1 AND region = $2 ORDER BY arn`, []any{account, region}, scanHost)
}

// DeleteHost removes a host with its tags, and says whether it was there.
func (tx *Tx) DeleteHost(ctx context.Context, arn string) (bool, error) {
	if err := tx.DeleteTags(ctx, arn); err != nil {
		return false, err
	}
	n, err := tx.exec(ctx, `DELETE FROM connection_host WHERE arn = $1`, arn)
	return n > 0, err
}
