package store

import (
	"context"
	"database/sql"
	"encoding/json"

	"penstock/internal/pipeline"
)

// CustomActionType is a registered custom action type (S-296). Deleted types keep their row:
// their version may only be used again for the same definition (S-300).
type CustomActionType struct {
	pipeline.ActionType
	Deleted bool
}

func scanCustomActionType(rows *sql.Rows) (CustomActionType, error) {
	var t CustomActionType
	var doc []byte
	var deleted int
	if err := rows.Scan(&deleted, &doc); err != nil {
		return t, err
	}
	t.Deleted = deleted != 0
	return t, json.Unmarshal(doc, &t.ActionType)
}

// CustomActionType finds a type, deleted or not; ErrNotFound if it never existed.
func (tx *Tx) CustomActionType(ctx context.Context, account, region string, id pipeline.ActionTypeID) (CustomActionType, error) {
	return first(all(ctx, tx, `SELECT deleted, doc FROM custom_action_type
		WHERE account = $1 AND region = $2 AND category = $3 AND provider = $4 AND version = $5`,
		[]any{account, region, id.Category, id.Provider, id.Version}, scanCustomActionType))
}

// ListCustomActionTypes gives the types that are not deleted by category, provider and version.
func (tx *Tx) ListCustomActionTypes(ctx context.Context, account, region string) ([]CustomActionType, error) {
	return all(ctx, tx, `SELECT deleted, doc FROM custom_action_type WHERE account = $1 AND region = $2 AND deleted = 0
		ORDER BY category, provider, version`, []any{account, region}, scanCustomActionType)
}

// PutCustomActionType stores a type in place of an earlier row.
func (tx *Tx) PutCustomActionType(ctx context.Context, account, region string, t CustomActionType) error {
	doc, err := json.Marshal(t.ActionType)
	if err != nil {
		return err
	}
	deleted := 0
	if t.Deleted {
		deleted = 1
	}
	_, err = tx.exec(ctx, `INSERT INTO custom_action_type (account, region, category, provider, version, deleted, doc) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (account, region, category, provider, version) DO UPDATE SET deleted = excluded.deleted, doc = excluded.doc`,
		account, region, t.ID.Category, t.ID.Provider, t.ID.Version, deleted, string(doc))
	return err
}

// DeclaredActionType is an action type that was declared whole, with who does its work
// (S-301). Declaration is the JSON text it was declared with.
type DeclaredActionType struct {
	pipeline.ActionType
	Declaration json.RawMessage
}

func scanDeclaredActionType(rows *sql.Rows) (DeclaredActionType, error) {
	var t DeclaredActionType
	var doc []byte
	if err := rows.Scan(&doc); err != nil {
		return t, err
	}
	return t, json.Unmarshal(doc, &t)
}

// DeclaredActionType finds a declared type; ErrNotFound if there is none.
func (tx *Tx) DeclaredActionType(ctx context.Context, account, region string, id pipeline.ActionTypeID) (DeclaredActionType, error) {
	return first(all(ctx, tx, `SELECT doc FROM action_type WHERE account = $1 AND region = $2 AND owner = $3 AND category = $4 AND provider = $5 AND version = $6`,
		[]any{account, region, id.Owner, id.Category, id.Provider, id.Version}, scanDeclaredActionType))
}

// ListDeclaredActionTypes gives the declared types by owner, category, provider and version.
func (tx *Tx) ListDeclaredActionTypes(ctx context.Context, account, region string) ([]DeclaredActionType, error) {
	return all(ctx, tx, `SELECT doc FROM action_type WHERE account = $1 AND region = $2 ORDER BY owner, category, provider, version`,
		[]any{account, region}, scanDeclaredActionType)
}

// PutDeclaredActionType stores a declared type in place of an earlier one.
func (tx *Tx) PutDeclaredActionType(ctx context.Context, account, region string, t DeclaredActionType) error {
	doc, err := json.Marshal(t)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, `INSERT INTO action_type (account, region, owner, category, provider, version, doc) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (account, region, owner, category, provider, version) DO UPDATE SET doc = excluded.doc`,
		account, region, t.ID.Owner, t.ID.Category, t.ID.Provider, t.ID.Version, string(doc))
	return err
}

// Tag is a tag of a resource, of whatever service.
type Tag = pipeline.Tag

// Tags gives the tags of a resource by key.
func (tx *Tx) Tags(ctx context.Context, resource string) ([]pipeline.Tag, error) {
	return all(ctx, tx, `SELECT key, value FROM tag WHERE resource = $1 ORDER BY key`, []any{resource}, func(rows *sql.Rows) (pipeline.Tag, error) {
		var t pipeline.Tag
		return t, rows.Scan(&t.Key, &t.Value)
	})
}

// TagsOf gives the tags of several resources, each by key.
func (tx *Tx) TagsOf(ctx context.Context, resources []string) (map[string][]pipeline.Tag, error) {
	found := map[string][]pipeline.Tag{}
	if len(resources) == 0 {
		return found, nil
	}
	type owned struct {
		resource string
		pipeline.Tag
	}
	names, args := inList(nil, resources)
	list, err := all(ctx, tx, `SELECT resource, key, value FROM tag WHERE resource IN `+names+` ORDER BY resource, key`, args, func(rows *sql.Rows) (t owned, err error) {
		return t, rows.Scan(&t.resource, &t.Key, &t.Value)
	})
	for _, t := range list {
		found[t.resource] = append(found[t.resource], t.Tag)
	}
	return found, err
}

// PutTag adds or overwrites a tag.
func (tx *Tx) PutTag(ctx context.Context, resource string, t pipeline.Tag) error {
	_, err := tx.exec(ctx, `INSERT INTO tag (resource, key, value) VALUES ($1, $2, $3)
		ON CONFLICT (resource, key) DO UPDATE SET value = excluded.value`, resource, t.Key, t.Value)
	return err
}

// DeleteTag removes a tag, if it is there.
func (tx *Tx) DeleteTag(ctx context.Context, resource, key string) error {
	_, err := tx.exec(ctx, `DELETE FROM tag WHERE resource = $1 AND key = $2`, resource, key)
	return err
}

// DeleteTags removes all tags of a resource (S-364).
func (tx *Tx) DeleteTags(ctx context.Context, resource string) error {
	_, err := tx.exec(ctx, `DELETE FROM tag WHERE resource = $1`, resource)
	return err
}
