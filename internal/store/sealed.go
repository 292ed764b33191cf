package store

import (
	"errors"
	"fmt"

	"penstock/internal/seal"
)

// ErrForeignKey says that the secrets of a database are sealed with a master key that was not
// given.
var ErrForeignKey = errors.New("store: the database is sealed with another master key")

var errNoKeys = errors.New("store: there is no master key")

// sealSome is seal for a secret that may be missing: none stays none.
func (tx *Tx) sealSome(s Secret, place ...string) (string, error) {
	if s == "" {
		return "", nil
	}
	return tx.seal(s, place...)
}

// unsealOld is unseal for what stood in clear before there was a master key, and does so until
// TakeKeys has seen it.
func (tx *Tx) unsealOld(text string, place ...string) (Secret, error) {
	if _, ok := seal.KeyOf(text); !ok {
		return Secret(text), nil
	}
	return tx.unseal(text, place...)
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
