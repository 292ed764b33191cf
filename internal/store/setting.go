package store

import "context"

// GetSetting gives the value kept under key; ErrNotFound if there is none.
func (tx *Tx) GetSetting(ctx context.Context, key string) (string, error) {
	var value string
	err := tx.one(ctx, `SELECT value FROM setting WHERE key = $1`, []any{key}, &value)
	return value, err
}

// PutSetting keeps value under key, in place of an earlier one.
func (tx *Tx) PutSetting(ctx context.Context, key, value string) error {
	_, err := tx.exec(ctx, `INSERT INTO setting (key, value) VALUES ($1, $2)
		ON CONFLICT (key) DO UPDATE SET value = excluded.value`, key, value)
	return err
}
