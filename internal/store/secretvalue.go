package store

import (
	"context"
	"database/sql"
	"time"
)

// StoredSecret is a secret of Secrets Manager, without its values.
type StoredSecret struct {
	ARN, Account, Region, Name string
	Created, Changed           time.Time
	// Deleted is when the secret ends, zero if nobody has deleted it.
	Deleted time.Time
	// Doc is the room's.
	Doc string
}

const secretColumns = `arn, account, region, name, created, changed, deleted, doc`

func scanSecret(rows *sql.Rows) (StoredSecret, error) {
	var s StoredSecret
	var created, changed, deleted int64
	err := rows.Scan(&s.ARN, &s.Account, &s.Region, &s.Name, &created, &changed, &deleted, &s.Doc)
	s.Created, s.Changed, s.Deleted = fromMicros(created), fromMicros(changed), fromMicros(deleted)
	return s, err
}

// AddSecret keeps a new secret, created now; ErrExists if the name is taken. The transaction is
// then still usable.
func (tx *Tx) AddSecret(ctx context.Context, s StoredSecret) error {
	now := micros(tx.Now())
	return tx.insert(ctx, `INSERT INTO secret (`+secretColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`,
		s.ARN, s.Account, s.Region, s.Name, now, now, 0, s.Doc)
}

// SetSecret replaces what can change of a secret that LockSecret has given; it was changed now.
func (tx *Tx) SetSecret(ctx context.Context, s StoredSecret) error {
	_, err := tx.exec(ctx, `UPDATE secret SET changed = $2, deleted = $3, doc = $4 WHERE arn = $1`, s.ARN, micros(tx.Now()), micros(s.Deleted), s.Doc)
	return err
}

// FindSecret gives a secret of an account and Region by its name or its ARN; ErrNotFound if
// there is none.
func (tx *Tx) FindSecret(ctx context.Context, account, region, nameOrARN string) (StoredSecret, error) {
	return tx.findSecret(ctx, account, region, nameOrARN, "")
}

// LockSecret is FindSecret for a transaction that changes the secret or its versions: others
// who do the same wait.
func (tx *Tx) LockSecret(ctx context.Context, account, region, nameOrARN string) (StoredSecret, error) {
	return tx.findSecret(ctx, account, region, nameOrARN, tx.forUpdate())
}

func (tx *Tx) findSecret(ctx context.Context, account, region, nameOrARN, lock string) (StoredSecret, error) {
	return first(all(ctx, tx, `SELECT `+secretColumns+` FROM secret WHERE account = $1 AND region = $2 AND (name = $3 OR arn = $3)
		AND (deleted = 0 OR deleted > $4)`+lock, []any{account, region, nameOrARN, micros(tx.Now())}, scanSecret))
}

// ListSecrets gives a page of the secrets of an account and Region by name.
func (tx *Tx) ListSecrets(ctx context.Context, account, region string, page Keyset) ([]StoredSecret, error) {
	compare, order := page.direction()
	return all(ctx, tx, `SELECT `+secretColumns+` FROM secret WHERE account = $1 AND region = $2 AND ($3 = '' OR name `+compare+` $3)
		AND (deleted = 0 OR deleted > $4) ORDER BY name `+order+` LIMIT $5`,
		[]any{account, region, page.After, micros(tx.Now()), page.Limit}, scanSecret)
}

// CountSecrets counts the secrets of an account and Region.
func (tx *Tx) CountSecrets(ctx context.Context, account, region string) (int, error) {
	var n int
	err := tx.one(ctx, `SELECT count(*) FROM secret WHERE account = $1 AND region = $2`, []any{account, region}, &n)
	return n, err
}

// DeleteSecret removes a secret with its versions and tags.
func (tx *Tx) DeleteSecret(ctx context.Context, arn string) error {
	for _, statement := range []string{
		`DELETE FROM secret_stage WHERE arn = $1`, `DELETE FROM secret_version WHERE arn = $1`, `DELETE FROM tag WHERE resource = $1`, `DELETE FROM secret WHERE arn = $1`,
	} {
		if _, err := tx.exec(ctx, statement, arn); err != nil {
			return err
		}
	}
	return nil
}

// EndSecrets removes up to limit secrets whose end has come.
func (tx *Tx) EndSecrets(ctx context.Context, limit int) error {
	ended, err := all(ctx, tx, `SELECT arn FROM secret WHERE deleted > 0 AND deleted <= $1 ORDER BY deleted LIMIT $2`, []any{micros(tx.Now()), limit},
		func(rows *sql.Rows) (arn string, err error) { return arn, rows.Scan(&arn) })
	if err != nil {
		return err
	}
	for _, arn := range ended {
		if err := tx.DeleteSecret(ctx, arn); err != nil {
			return err
		}
	}
	return nil
}

// SecretVersion is one version of a secret. Its value is sealed: [Tx.SecretValue] opens it.
type SecretVersion struct {
	ARN, ID string
	Created time.Time
	// Kind is string or binary.
	Kind   string
	sealed string
}

func (v *SecretVersion) place() []string { return []string{"secret", v.ARN, v.ID, v.Kind} }

const secretVersion = `SELECT v.arn, v.id, v.created, v.kind, v.sealed FROM secret_version v`

func scanSecretVersion(rows *sql.Rows) (SecretVersion, error) {
	var v SecretVersion
	var created int64
	err := rows.Scan(&v.ARN, &v.ID, &created, &v.Kind, &v.sealed)
	v.Created = fromMicros(created)
	return v, err
}

// AddSecretVersion keeps a new version, created now, with its value; there is none of that id.
func (tx *Tx) AddSecretVersion(ctx context.Context, v SecretVersion, value Secret) error {
	sealed, err := tx.seal(value, v.place()...)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, `INSERT INTO secret_version (arn, id, created, kind, sealed) VALUES ($1, $2, $3, $4, $5)`,
		v.ARN, v.ID, micros(tx.Now()), v.Kind, sealed)
	return err
}

// SecretValue opens the value of a version.
func (tx *Tx) SecretValue(v SecretVersion) (Secret, error) { return tx.unseal(v.sealed, v.place()...) }

// SecretVersion gives a version by its id; ErrNotFound if there is none.
func (tx *Tx) SecretVersion(ctx context.Context, arn, id string) (SecretVersion, error) {
	return first(all(ctx, tx, secretVersion+` WHERE v.arn = $1 AND v.id = $2`, []any{arn, id}, scanSecretVersion))
}

// SecretVersionAt gives the version that a stage is at; ErrNotFound if there is none.
func (tx *Tx) SecretVersionAt(ctx context.Context, arn, stage string) (SecretVersion, error) {
	return first(all(ctx, tx, secretVersion+` JOIN secret_stage s ON s.arn = v.arn AND s.id = v.id WHERE s.arn = $1 AND s.stage = $2`,
		[]any{arn, stage}, scanSecretVersion))
}

// ListSecretVersions gives up to limit versions of a secret by id, those after an id. Without
// deprecated they are those that a stage is at.
func (tx *Tx) ListSecretVersions(ctx context.Context, arn, after string, deprecated bool, limit int) ([]SecretVersion, error) {
	return all(ctx, tx, secretVersion+` WHERE v.arn = $1 AND v.id > $2 AND ($3 = 1 OR EXISTS (SELECT 1 FROM secret_stage s WHERE s.arn = v.arn AND s.id = v.id))
		ORDER BY v.id LIMIT $4`, []any{arn, after, number(deprecated), limit}, scanSecretVersion)
}

// SecretStages gives the stages of a secret with the ids of the versions they are at.
func (tx *Tx) SecretStages(ctx context.Context, arn string) (map[string]string, error) {
	found, err := tx.SecretStagesOf(ctx, []string{arn})
	if found[arn] == nil {
		return map[string]string{}, err
	}
	return found[arn], err
}

// SecretStagesOf is SecretStages for several secrets.
func (tx *Tx) SecretStagesOf(ctx context.Context, arns []string) (map[string]map[string]string, error) {
	found := map[string]map[string]string{}
	if len(arns) == 0 {
		return found, nil
	}
	type at struct{ arn, stage, id string }
	names, args := inList(nil, arns)
	list, err := all(ctx, tx, `SELECT arn, stage, id FROM secret_stage WHERE arn IN `+names, args, func(rows *sql.Rows) (s at, err error) {
		return s, rows.Scan(&s.arn, &s.stage, &s.id)
	})
	for _, s := range list {
		if found[s.arn] == nil {
			found[s.arn] = map[string]string{}
		}
		found[s.arn][s.stage] = s.id
	}
	return found, err
}

// SetSecretStage moves a stage to a version, or away if the id is empty.
func (tx *Tx) SetSecretStage(ctx context.Context, arn, stage, id string) error {
	if id == "" {
		_, err := tx.exec(ctx, `DELETE FROM secret_stage WHERE arn = $1 AND stage = $2`, arn, stage)
		return err
	}
	_, err := tx.exec(ctx, `INSERT INTO secret_stage (arn, stage, id) VALUES ($1, $2, $3) ON CONFLICT (arn, stage) DO UPDATE SET id = excluded.id`, arn, stage, id)
	return err
}

// PruneSecretVersions forgets the versions that no stage is at, but for the newest ones.
func (tx *Tx) PruneSecretVersions(ctx context.Context, arn string, keep int) error {
	_, err := tx.exec(ctx, `DELETE FROM secret_version WHERE arn = $1 AND id IN (
		SELECT v.id FROM secret_version v WHERE v.arn = $1 AND NOT EXISTS (SELECT 1 FROM secret_stage s WHERE s.arn = v.arn AND s.id = v.id)
		ORDER BY v.created DESC, v.id DESC LIMIT 1000000 OFFSET $2)`, arn, keep)
	return err
}
