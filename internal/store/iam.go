package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// TopicIAM wakes whoever keeps copies of users, keys, roles or policies.
const TopicIAM = "iam"

// The two kinds of holders of policies.
const (
	HolderUser = "user"
	HolderRole = "role"
)

// Holder is a user or role of an account, which holds policies.
type Holder struct{ Account, Kind, Name string }

// User is an IAM user.
type User struct {
	Account, Name, Path, ID string
	Tags                    map[string]string
	Created                 time.Time
}

// AccessKey is a long-lived key of a user.
type AccessKey struct {
	ID, Account string
	// User is the user's name as it was created.
	User    string
	Secret  Secret
	Active  bool
	Created time.Time
}

// Role is an IAM role; Trust is its trust policy.
type Role struct {
	Account, Name, Path, ID string
	Description, Trust      string
	// MaxSession is the longest session, in whole seconds.
	MaxSession time.Duration
	Tags       map[string]string
	Created    time.Time
}

// fold is the form in which names of IAM are compared.
func fold(name string) string { return strings.ToLower(name) }

// PutAccount keeps an account; it does nothing if it is there.
func (tx *Tx) PutAccount(ctx context.Context, id string) error {
	_, err := tx.exec(ctx, `INSERT INTO account (id, created) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`, id, tx.Now().UnixMicro())
	return err
}

// HasAccount says whether an account exists.
func (tx *Tx) HasAccount(ctx context.Context, id string) (bool, error) {
	var one int64
	err := tx.one(ctx, `SELECT 1 FROM account WHERE id = $1`, []any{id}, &one)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// LockAccount keeps others who call it from going on until the transaction ends. Who is about to
// add to what an account may have so many of calls it before counting: of two who would both add
// the last, one counts the other's. It does nothing for an account that does not exist.
func (tx *Tx) LockAccount(ctx context.Context, id string) error {
	var one int64
	if err := tx.one(ctx, `SELECT 1 FROM account WHERE id = $1`+tx.forUpdate(), []any{id}, &one); !errors.Is(err, ErrNotFound) {
		return err
	}
	return nil
}

// ServerSecret gives the server's secret of a name, and keeps fresh as it if there is none
// yet: every node gets the same.
func (tx *Tx) ServerSecret(ctx context.Context, name string, fresh []byte) ([]byte, error) {
	sealed, err := tx.seal(Secret(fresh), "server secret", name)
	if err != nil {
		return nil, err
	}
	if _, err := tx.exec(ctx, `INSERT INTO server_secret (name, secret) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`, name, []byte(sealed)); err != nil {
		return nil, err
	}
	var kept []byte
	if err := tx.one(ctx, `SELECT secret FROM server_secret WHERE name = $1`, []any{name}, &kept); err != nil {
		return nil, err
	}
	secret, err := tx.unsealOld(string(kept), "server secret", name)
	return []byte(secret), err
}

// insert runs an INSERT … ON CONFLICT DO NOTHING and gives ErrExists if the row was there.
func (tx *Tx) insert(ctx context.Context, query string, args ...any) error {
	n, err := tx.exec(ctx, query, args...)
	if err == nil && n == 0 {
		err = ErrExists
	}
	return err
}

// change runs a statement that must hit a row, or gives ErrNotFound, and wakes TopicIAM.
func (tx *Tx) change(ctx context.Context, query string, args ...any) error {
	n, err := tx.exec(ctx, query, args...)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	tx.Wake(TopicIAM)
	return err
}

func tagsText(tags map[string]string) (string, error) {
	if tags == nil {
		tags = map[string]string{}
	}
	raw, err := json.Marshal(tags)
	return string(raw), err
}

// CreateUser keeps a new user, created now; ErrExists if the name is taken in any case.
func (tx *Tx) CreateUser(ctx context.Context, u User) error {
	tags, err := tagsText(u.Tags)
	if err != nil {
		return err
	}
	return tx.insert(ctx, `INSERT INTO iam_user (account, fold, name, path, id, tags, created) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT DO NOTHING`, u.Account, fold(u.Name), u.Name, u.Path, u.ID, tags, tx.Now().UnixMicro())
}

const userColumns = `SELECT account, name, path, id, tags, created FROM iam_user`

func scanUser(rows *sql.Rows) (User, error) {
	var u User
	var tags string
	var created int64
	if err := rows.Scan(&u.Account, &u.Name, &u.Path, &u.ID, &tags, &created); err != nil {
		return u, err
	}
	u.Created = time.UnixMicro(created).UTC()
	return u, json.Unmarshal([]byte(tags), &u.Tags)
}

// GetUser gives a user by name; ErrNotFound if there is none.
func (tx *Tx) GetUser(ctx context.Context, account, name string) (User, error) {
	return first(all(ctx, tx, userColumns+` WHERE account = $1 AND fold = $2`, []any{account, fold(name)}, scanUser))
}

// ListUsers gives up to limit users whose path begins with prefix, by name after a name.
func (tx *Tx) ListUsers(ctx context.Context, account, prefix, after string, limit int) ([]User, error) {
	return all(ctx, tx, userColumns+` WHERE account = $1 AND substr(path, 1, length($2)) = $2 AND fold > $3 ORDER BY fold LIMIT $4`,
		[]any{account, prefix, fold(after), limit}, scanUser)
}

// SetUserTags replaces the tags of a user.
func (tx *Tx) SetUserTags(ctx context.Context, account, name string, tags map[string]string) error {
	text, err := tagsText(tags)
	if err != nil {
		return err
	}
	return tx.change(ctx, `UPDATE iam_user SET tags = $3 WHERE account = $1 AND fold = $2`, account, fold(name), text)
}

// DeleteUser removes a user; ErrNotFound if there is none. What it holds must be gone.
func (tx *Tx) DeleteUser(ctx context.Context, account, name string) error {
	return tx.change(ctx, `DELETE FROM iam_user WHERE account = $1 AND fold = $2`, account, fold(name))
}

// CreateAccessKey keeps a new key, created now.
func (tx *Tx) CreateAccessKey(ctx context.Context, k AccessKey) error {
	secret, err := tx.seal(k.Secret, "access key", k.ID)
	if err != nil {
		return err
	}
	return tx.insert(ctx, `INSERT INTO access_key (id, account, user_fold, secret, active, created) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT DO NOTHING`, k.ID, k.Account, fold(k.User), secret, number(k.Active), tx.Now().UnixMicro())
}

func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

const keyColumns = `SELECT k.id, k.account, u.name, k.secret, k.active, k.created FROM access_key k
	JOIN iam_user u ON u.account = k.account AND u.fold = k.user_fold`

func (tx *Tx) scanKey(rows *sql.Rows) (AccessKey, error) {
	var k AccessKey
	var secret string
	var active, created int64
	err := rows.Scan(&k.ID, &k.Account, &k.User, &secret, &active, &created)
	k.Active, k.Created = active == 1, time.UnixMicro(created).UTC()
	if err == nil {
		k.Secret, err = tx.unsealOld(secret, "access key", k.ID)
	}
	return k, err
}

// GetAccessKey gives a key by its id; ErrNotFound if there is none.
func (tx *Tx) GetAccessKey(ctx context.Context, id string) (AccessKey, error) {
	return first(all(ctx, tx, keyColumns+` WHERE k.id = $1`, []any{id}, tx.scanKey))
}

// ListAccessKeys gives the keys of a user, oldest first; they are few.
func (tx *Tx) ListAccessKeys(ctx context.Context, account, user string) ([]AccessKey, error) {
	return all(ctx, tx, keyColumns+` WHERE k.account = $1 AND k.user_fold = $2 ORDER BY k.created, k.id`, []any{account, fold(user)}, tx.scanKey)
}

// SetAccessKeyActive turns a key of a user on or off; ErrNotFound if there is none.
func (tx *Tx) SetAccessKeyActive(ctx context.Context, account, user, id string, active bool) error {
	return tx.change(ctx, `UPDATE access_key SET active = $4 WHERE account = $1 AND user_fold = $2 AND id = $3`, account, fold(user), id, number(active))
}

// DeleteAccessKey removes a key of a user; ErrNotFound if there is none.
func (tx *Tx) DeleteAccessKey(ctx context.Context, account, user, id string) error {
	return tx.change(ctx, `DELETE FROM access_key WHERE account = $1 AND user_fold = $2 AND id = $3`, account, fold(user), id)
}

// CreateRole keeps a new role, created now; ErrExists if the name is taken in any case.
func (tx *Tx) CreateRole(ctx context.Context, r Role) error {
	tags, err := tagsText(r.Tags)
	if err != nil {
		return err
	}
	return tx.insert(ctx, `INSERT INTO iam_role (account, fold, name, path, id, description, trust, max_session, tags, created)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`,
		r.Account, fold(r.Name), r.Name, r.Path, r.ID, r.Description, r.Trust, int64(r.MaxSession/time.Second), tags, tx.Now().UnixMicro())
}

const roleColumns = `SELECT account, name, path, id, description, trust, max_session, tags, created FROM iam_role`

func scanRole(rows *sql.Rows) (Role, error) {
	var r Role
	var tags string
	var session, created int64
	if err := rows.Scan(&r.Account, &r.Name, &r.Path, &r.ID, &r.Description, &r.Trust, &session, &tags, &created); err != nil {
		return r, err
	}
	r.MaxSession, r.Created = time.Duration(session)*time.Second, time.UnixMicro(created).UTC()
	return r, json.Unmarshal([]byte(tags), &r.Tags)
}

// GetRole gives a role by name; ErrNotFound if there is none.
func (tx *Tx) GetRole(ctx context.Context, account, name string) (Role, error) {
	return first(all(ctx, tx, roleColumns+` WHERE account = $1 AND fold = $2`, []any{account, fold(name)}, scanRole))
}

// ListRoles gives up to limit roles whose path begins with prefix, by name after a name.
func (tx *Tx) ListRoles(ctx context.Context, account, prefix, after string, limit int) ([]Role, error) {
	return all(ctx, tx, roleColumns+` WHERE account = $1 AND substr(path, 1, length($2)) = $2 AND fold > $3 ORDER BY fold LIMIT $4`,
		[]any{account, prefix, fold(after), limit}, scanRole)
}

// UpdateRole replaces what may change of a role: description, trust policy, longest
// session and tags; ErrNotFound if there is none.
func (tx *Tx) UpdateRole(ctx context.Context, r Role) error {
	tags, err := tagsText(r.Tags)
	if err != nil {
		return err
	}
	return tx.change(ctx, `UPDATE iam_role SET description = $3, trust = $4, max_session = $5, tags = $6 WHERE account = $1 AND fold = $2`,
		r.Account, fold(r.Name), r.Description, r.Trust, int64(r.MaxSession/time.Second), tags)
}

// DeleteRole removes a role; ErrNotFound if there is none. What it holds must be gone.
func (tx *Tx) DeleteRole(ctx context.Context, account, name string) error {
	return tx.change(ctx, `DELETE FROM iam_role WHERE account = $1 AND fold = $2`, account, fold(name))
}
