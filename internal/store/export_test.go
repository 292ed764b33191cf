package store

import "context"

// Exec runs one statement in tx.
func Exec(ctx context.Context, tx *Tx, query string, args ...any) error {
	_, err := tx.exec(ctx, query, args...)
	return err
}
