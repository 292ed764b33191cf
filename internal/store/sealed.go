package store

import (
	"context"
	"errors"
	"fmt"
)

// ErrForeignKey says that the secrets of a database are sealed with a master key that was not
// given.
var ErrForeignKey = errors.New("store: the database is sealed with another master key")

var errNoKeys = errors.New("store: there is no master key")

// TakeKeys makes sure that the keys are the database's: it gives [ErrForeignKey] if the secrets
// are sealed with a key which is not among them. It is called before anything secret is kept.
func (db *DB) TakeKeys(ctx context.Context) error {
	if db.keys == nil {
		return errNoKeys
	}
	return db.Update(ctx, func(tx *Tx) error {
		if _, err := tx.exec(ctx, `INSERT INTO master_key (one, id) VALUES (1, $1) ON CONFLICT (one) DO NOTHING`, db.keys.ID()); err != nil {
			return err
		}
		var id string
		if err := tx.one(ctx, `SELECT id FROM master_key WHERE one = 1`, nil, &id); err != nil {
			return err
		}
		if !db.keys.Has(id) {
			return fmt.Errorf("%w: its id is %s", ErrForeignKey, id)
		}
		return nil
	})
}

// seal makes a secret fit to be stored in the place that the parts name.
func (tx *Tx) seal(s Secret, place ...string) (string, error) {
	if tx.db.keys == nil {
		return "", errNoKeys
	}
	return tx.db.keys.Seal(string(s), place...), nil
}

// unseal reads what seal has made for the place.
func (tx *Tx) unseal(text string, place ...string) (Secret, error) {
	if tx.db.keys == nil {
		return "", errNoKeys
	}
	plain, err := tx.db.keys.Open(text, place...)
	if err != nil {
		return "", fmt.Errorf("store: a secret of %q: %w", place, err)
	}
	return Secret(plain), nil
}
