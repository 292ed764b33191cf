package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"penstock/internal/seal"
)

// TakeKeys makes sure that the keys are the database's: it gives [ErrForeignKey] if the secrets
// are sealed with a key which is not among them. Then it seals with the first of the keys what
// stands in clear or is sealed with another, which takes one reading of the tables and comes to
// an end, however often it is interrupted. It is called before anything secret is kept.
func (db *DB) TakeKeys(ctx context.Context) error {
	if db.keys == nil {
		return errNoKeys
	}
	var sealed string
	err := db.Update(ctx, func(tx *Tx) error {
		if _, err := tx.exec(ctx, `INSERT INTO master_key (one, id, sealed) VALUES (1, $1, '') ON CONFLICT (one) DO NOTHING`, db.keys.ID()); err != nil {
			return err
		}
		var id string
		if err := tx.one(ctx, `SELECT id, sealed FROM master_key WHERE one = 1`, nil, &id, &sealed); err != nil {
			return err
		}
		if !db.keys.Has(id) {
			return fmt.Errorf("%w: its id is %s", ErrForeignKey, id)
		}
		return nil
	})
	if err != nil || sealed == db.keys.ID() {
		return err
	}
	if err := db.sealAll(ctx); err != nil {
		return fmt.Errorf("store: seal the secrets with another key: %w", err)
	}
	return db.Update(ctx, func(tx *Tx) error {
		_, err := tx.exec(ctx, `UPDATE master_key SET id = $1, sealed = $1 WHERE one = 1`, db.keys.ID())
		return err
	})
}

// sealing makes the new text of a row from its key and its old one; "" leaves it as it is.
type sealing func(tx *Tx, key []any, old string) (string, error)

// asText seals a column that is one secret of a kind.
func asText(kind string) sealing {
	return func(tx *Tx, key []any, old string) (string, error) {
		if id, ok := seal.KeyOf(old); old == "" || ok && id == tx.db.keys.ID() {
			return "", nil
		}
		place := []string{kind}
		for _, k := range key {
			place = append(place, fmt.Sprint(k))
		}
		plain, err := tx.unsealOld(old, place...)
		if err != nil {
			return "", err
		}
		return tx.seal(plain, place...)
	}
}

// asPart seals a member of a column that is JSON.
func asPart(kind, member string) sealing {
	return func(tx *Tx, _ []any, old string) (string, error) { return tx.sealAgain(old, kind, member) }
}

// asVersion seals the value of a secret's version, whose kind is part of its place.
func asVersion(tx *Tx, key []any, old string) (string, error) {
	text, err := asText("secret")(tx, append(slices.Clone(key), "string"), old)
	if errors.Is(err, seal.ErrBroken) {
		text, err = asText("secret")(tx, append(slices.Clone(key), "binary"), old)
	}
	return text, err
}

// sealAll seals every secret that is not sealed with the present key.
func (db *DB) sealAll(ctx context.Context) error {
	return errors.Join(
		db.sealRows(ctx, `SELECT id, secret FROM access_key WHERE id > $1 ORDER BY id LIMIT $2`,
			`UPDATE access_key SET secret = $2 WHERE id = $1`, []any{""}, asText("access key")),
		db.sealRows(ctx, `SELECT account, region, name, secret FROM webhook WHERE (account, region, name) > ($1, $2, $3) ORDER BY account, region, name LIMIT $4`,
			`UPDATE webhook SET secret = $4 WHERE account = $1 AND region = $2 AND name = $3`, []any{"", "", ""}, asText("webhook")),
		db.sealRows(ctx, `SELECT arn, token FROM connection WHERE arn > $1 ORDER BY arn LIMIT $2`,
			`UPDATE connection SET token = $2 WHERE arn = $1`, []any{""}, asText("connection token")),
		db.sealRows(ctx, `SELECT arn, hook_secret FROM connection WHERE arn > $1 ORDER BY arn LIMIT $2`,
			`UPDATE connection SET hook_secret = $2 WHERE arn = $1`, []any{""}, asText("connection hook")),
		db.sealRows(ctx, `SELECT pipeline_id, version, declaration FROM pipeline_version WHERE (pipeline_id, version) > ($1, $2) ORDER BY pipeline_id, version LIMIT $3`,
			`UPDATE pipeline_version SET declaration = $3 WHERE pipeline_id = $1 AND version = $2`, []any{"", int64(0)}, asText("declaration")),
		db.sealRows(ctx, `SELECT id, doc FROM job WHERE id > $1 ORDER BY id LIMIT $2`,
			`UPDATE job SET doc = $2 WHERE id = $1`, []any{""}, asPart("job", "configuration")),
		db.sealRows(ctx, `SELECT pipeline_id, number, doc FROM action_execution WHERE (pipeline_id, number) > ($1, $2) ORDER BY pipeline_id, number LIMIT $3`,
			`UPDATE action_execution SET doc = $3 WHERE pipeline_id = $1 AND number = $2`, []any{"", int64(-1)}, asPart("run", "resolved")),
		db.sealRows(ctx, `SELECT pipeline_id, id, doc FROM rule_execution WHERE (pipeline_id, id) > ($1, $2) ORDER BY pipeline_id, id LIMIT $3`,
			`UPDATE rule_execution SET doc = $3 WHERE pipeline_id = $1 AND id = $2`, []any{"", ""}, asPart("run", "resolved")),
		db.sealRows(ctx, `SELECT account, region, name, version, sealed FROM parameter_version WHERE (account, region, name, version) > ($1, $2, $3, $4)
			ORDER BY account, region, name, version LIMIT $5`,
			`UPDATE parameter_version SET sealed = $5 WHERE account = $1 AND region = $2 AND name = $3 AND version = $4`, []any{"", "", "", int64(0)}, asText("parameter")),
		db.sealRows(ctx, `SELECT arn, id, sealed FROM secret_version WHERE (arn, id) > ($1, $2) ORDER BY arn, id LIMIT $3`,
			`UPDATE secret_version SET sealed = $3 WHERE arn = $1 AND id = $2`, []any{"", ""}, asVersion),
		db.sealServerSecrets(ctx),
	)
}

// sealBatch is how many rows one transaction seals.
const sealBatch = 200

// sealRows reads the rows of a table behind a key, some at a time, and writes those that change.
func (db *DB) sealRows(ctx context.Context, read, write string, after []any, again sealing) error {
	for more := true; more; {
		var last []any
		err := db.Update(ctx, func(tx *Tx) error {
			last = nil
			type row struct {
				key []any
				old string
			}
			rows, err := all(ctx, tx, read, append(slices.Clone(after), sealBatch), func(rows *sql.Rows) (row, error) {
				r := row{key: slices.Clone(after)}
				dest := make([]any, len(after)+1)
				for i, k := range after {
					dest[i] = new(string)
					if _, ok := k.(int64); ok {
						dest[i] = new(int64)
					}
				}
				dest[len(after)] = &r.old
				err := rows.Scan(dest...)
				for i := range r.key {
					switch v := dest[i].(type) {
					case *string:
						r.key[i] = *v
					case *int64:
						r.key[i] = *v
					}
				}
				return r, err
			})
			if err != nil {
				return err
			}
			for _, r := range rows {
				text, err := again(tx, r.key, r.old)
				if err != nil {
					return err
				}
				if text != "" {
					if _, err := tx.exec(ctx, write, append(slices.Clone(r.key), text)...); err != nil {
						return err
					}
				}
				last = r.key
			}
			more = len(rows) == sealBatch
			return nil
		})
		if err != nil {
			return err
		}
		after = last
	}
	return nil
}

// sealServerSecrets seals the few secrets of the server itself, whose column is bytes.
func (db *DB) sealServerSecrets(ctx context.Context) error {
	return db.Update(ctx, func(tx *Tx) error {
		type row struct {
			name string
			old  []byte
		}
		rows, err := all(ctx, tx, `SELECT name, secret FROM server_secret ORDER BY name LIMIT 1000`, nil, func(rows *sql.Rows) (r row, err error) {
			return r, rows.Scan(&r.name, &r.old)
		})
		if err != nil {
			return err
		}
		for _, r := range rows {
			text, err := asText("server secret")(tx, []any{r.name}, string(r.old))
			if err != nil {
				return err
			}
			if text == "" {
				continue
			}
			if _, err := tx.exec(ctx, `UPDATE server_secret SET secret = $2 WHERE name = $1`, r.name, []byte(text)); err != nil {
				return err
			}
		}
		return nil
	})
}
