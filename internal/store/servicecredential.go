package store

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"time"
)

// ServiceCredential is a pair of a name and a password by which one service knows a user of
// IAM (S-319). The password is not kept.
type ServiceCredential struct {
	ID, Account, User string
	// Service is the principal of the service, such as codepipeline.amazonaws.com.
	Service string
	// Client is the name of the pair.
	Client  string
	Active  bool
	Created time.Time
	digest  string
}

const serviceCredentialColumns = `id, account, user_name, service, client, digest, active, created`

func scanServiceCredential(rows *sql.Rows) (ServiceCredential, error) {
	var c ServiceCredential
	var active, created int64
	err := rows.Scan(&c.ID, &c.Account, &c.User, &c.Service, &c.Client, &c.digest, &active, &created)
	c.Active, c.Created = active != 0, time.UnixMicro(created).UTC()
	return c, err
}

// Is says whether a password is the pair's, in a time that tells nothing about it.
func (c ServiceCredential) Is(password string) bool {
	return subtle.ConstantTimeCompare([]byte(c.digest), []byte(digest(password))) == 1
}

// CreateServiceCredential keeps a new pair, created now.
func (tx *Tx) CreateServiceCredential(ctx context.Context, c ServiceCredential, password Secret) error {
	_, err := tx.exec(ctx, `INSERT INTO service_credential (id, account, user_fold, user_name, service, client, digest, active, created)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8)`, c.ID, c.Account, fold(c.User), c.User, c.Service, c.Client, digest(string(password)), micros(tx.Now()))
	return err
}

// ListServiceCredentials gives the pairs of a user, oldest first; they are few.
func (tx *Tx) ListServiceCredentials(ctx context.Context, account, user string) ([]ServiceCredential, error) {
	return all(ctx, tx, `SELECT `+serviceCredentialColumns+` FROM service_credential WHERE account = $1 AND user_fold = $2 ORDER BY created, id`,
		[]any{account, fold(user)}, scanServiceCredential)
}

// ServiceCredentialOf gives the pair of a service with a name; ErrNotFound if there is none.
func (tx *Tx) ServiceCredentialOf(ctx context.Context, account, service, client string) (ServiceCredential, error) {
	return first(all(ctx, tx, `SELECT `+serviceCredentialColumns+` FROM service_credential WHERE account = $1 AND client = $2 AND service = $3`,
		[]any{account, client, service}, scanServiceCredential))
}

// SetServiceCredentialActive turns a pair of a user on or off; ErrNotFound if there is none.
func (tx *Tx) SetServiceCredentialActive(ctx context.Context, account, user, id string, active bool) error {
	return tx.change(ctx, `UPDATE service_credential SET active = $4 WHERE id = $3 AND account = $1 AND user_fold = $2`, account, fold(user), id, number(active))
}

// SetServicePassword gives a pair of a user another password; ErrNotFound if there is none.
func (tx *Tx) SetServicePassword(ctx context.Context, account, user, id string, password Secret) error {
	return tx.change(ctx, `UPDATE service_credential SET digest = $4 WHERE id = $3 AND account = $1 AND user_fold = $2`, account, fold(user), id, digest(string(password)))
}

// DeleteServiceCredential removes a pair of a user; ErrNotFound if there is none.
func (tx *Tx) DeleteServiceCredential(ctx context.Context, account, user, id string) error {
	return tx.change(ctx, `DELETE FROM service_credential WHERE id = $3 AND account = $1 AND user_fold = $2`, account, fold(user), id)
}
