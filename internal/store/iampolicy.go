package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"
)

// InlinePolicy is a policy written into a user or role.
type InlinePolicy struct{ Name, Document string }

// ManagedPolicy is a policy with a name of its own, which users and roles have attached.
type ManagedPolicy struct {
	Account, Name, Path, ARN, ID, Description string
	// Default is the version in force, Last the highest number ever given.
	Default, Last int64
	// Attached counts the users and roles that have it.
	Attached         int64
	Tags             map[string]string
	Created, Updated time.Time
}

// PolicyVersion is one version of a managed policy.
type PolicyVersion struct {
	Version  int64
	Document string
	Created  time.Time
}

// PutInlinePolicy keeps a policy of a holder, in place of an earlier one of that name.
func (tx *Tx) PutInlinePolicy(ctx context.Context, h Holder, p InlinePolicy) error {
	return tx.change(ctx, `INSERT INTO iam_inline (account, holder, holder_fold, name, document) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (account, holder, holder_fold, name) DO UPDATE SET document = excluded.document`,
		h.Account, h.Kind, fold(h.Name), p.Name, p.Document)
}

// InlinePolicies gives all policies written into a holder, by name.
func (tx *Tx) InlinePolicies(ctx context.Context, h Holder) ([]InlinePolicy, error) {
	return all(ctx, tx, `SELECT name, document FROM iam_inline WHERE account = $1 AND holder = $2 AND holder_fold = $3 ORDER BY name`,
		[]any{h.Account, h.Kind, fold(h.Name)}, func(rows *sql.Rows) (p InlinePolicy, err error) {
			err = rows.Scan(&p.Name, &p.Document)
			return p, err
		})
}

// DeleteInlinePolicy removes a policy of a holder; ErrNotFound if there is none.
func (tx *Tx) DeleteInlinePolicy(ctx context.Context, h Holder, name string) error {
	return tx.change(ctx, `DELETE FROM iam_inline WHERE account = $1 AND holder = $2 AND holder_fold = $3 AND name = $4`,
		h.Account, h.Kind, fold(h.Name), name)
}

// AttachPolicy attaches a managed policy to a holder; it does nothing if it is attached.
// The policy may be one that is built in and has no row.
func (tx *Tx) AttachPolicy(ctx context.Context, h Holder, arn string) error {
	tx.Wake(TopicIAM)
	_, err := tx.exec(ctx, `INSERT INTO iam_attachment (account, holder, holder_fold, arn) VALUES ($1, $2, $3, $4)
		ON CONFLICT DO NOTHING`, h.Account, h.Kind, fold(h.Name), arn)
	return err
}

// DetachPolicy undoes AttachPolicy; ErrNotFound if it is not attached.
func (tx *Tx) DetachPolicy(ctx context.Context, h Holder, arn string) error {
	return tx.change(ctx, `DELETE FROM iam_attachment WHERE account = $1 AND holder = $2 AND holder_fold = $3 AND arn = $4`,
		h.Account, h.Kind, fold(h.Name), arn)
}

// AttachedPolicies gives the ARNs of the managed policies of a holder, in order.
func (tx *Tx) AttachedPolicies(ctx context.Context, h Holder) ([]string, error) {
	return all(ctx, tx, `SELECT arn FROM iam_attachment WHERE account = $1 AND holder = $2 AND holder_fold = $3 ORDER BY arn`,
		[]any{h.Account, h.Kind, fold(h.Name)}, scanText)
}

func scanText(rows *sql.Rows) (s string, err error) {
	err = rows.Scan(&s)
	return s, err
}

// AttachmentCounts gives how many holders of an account have each managed policy.
func (tx *Tx) AttachmentCounts(ctx context.Context, account string) (map[string]int64, error) {
	type count struct {
		arn string
		n   int64
	}
	list, err := all(ctx, tx, `SELECT arn, count(*) FROM iam_attachment WHERE account = $1 GROUP BY arn`, []any{account},
		func(rows *sql.Rows) (c count, err error) {
			err = rows.Scan(&c.arn, &c.n)
			return c, err
		})
	counts := make(map[string]int64, len(list))
	for _, c := range list {
		counts[c.arn] = c.n
	}
	return counts, err
}

// HoldersOf gives who has a managed policy attached; the names are in lower case.
func (tx *Tx) HoldersOf(ctx context.Context, account, arn string) ([]Holder, error) {
	return all(ctx, tx, `SELECT account, holder, holder_fold FROM iam_attachment WHERE account = $1 AND arn = $2 ORDER BY holder, holder_fold`,
		[]any{account, arn}, func(rows *sql.Rows) (h Holder, err error) {
			err = rows.Scan(&h.Account, &h.Kind, &h.Name)
			return h, err
		})
}

// CreatePolicy keeps a new managed policy with its first version, created now; ErrExists if
// the name is taken in any case.
func (tx *Tx) CreatePolicy(ctx context.Context, p ManagedPolicy, document string) error {
	tags, err := tagsText(p.Tags)
	if err != nil {
		return err
	}
	now := tx.Now().UnixMicro()
	if err := tx.insert(ctx, `INSERT INTO iam_policy (account, fold, name, path, arn, id, description, default_version, last_version, tags, created, updated)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 1, 1, $8, $9, $9) ON CONFLICT DO NOTHING`,
		p.Account, fold(p.Name), p.Name, p.Path, p.ARN, p.ID, p.Description, tags, now); err != nil {
		return err
	}
	_, err = tx.exec(ctx, `INSERT INTO iam_policy_version (arn, version, document, created) VALUES ($1, 1, $2, $3)`, p.ARN, document, now)
	return err
}

const policyColumns = `SELECT account, name, path, arn, id, description, default_version, last_version, tags, created, updated,
	(SELECT count(*) FROM iam_attachment a WHERE a.account = p.account AND a.arn = p.arn) FROM iam_policy p`

func scanPolicy(rows *sql.Rows) (ManagedPolicy, error) {
	var p ManagedPolicy
	var tags string
	var created, updated int64
	if err := rows.Scan(&p.Account, &p.Name, &p.Path, &p.ARN, &p.ID, &p.Description, &p.Default, &p.Last, &tags, &created, &updated, &p.Attached); err != nil {
		return p, err
	}
	p.Created, p.Updated = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	return p, json.Unmarshal([]byte(tags), &p.Tags)
}

// GetPolicy gives a managed policy of an account by its ARN; ErrNotFound if there is none.
func (tx *Tx) GetPolicy(ctx context.Context, account, arn string) (ManagedPolicy, error) {
	return first(all(ctx, tx, policyColumns+` WHERE p.account = $1 AND p.arn = $2`, []any{account, arn}, scanPolicy))
}

// ListPolicies gives up to limit managed policies whose path begins with prefix, by name
// after a name.
func (tx *Tx) ListPolicies(ctx context.Context, account, prefix, after string, limit int) ([]ManagedPolicy, error) {
	return all(ctx, tx, policyColumns+` WHERE p.account = $1 AND substr(p.path, 1, length($2)) = $2 AND p.fold > $3 ORDER BY p.fold LIMIT $4`,
		[]any{account, prefix, fold(after), limit}, scanPolicy)
}

// SetPolicyTags replaces the tags of a managed policy.
func (tx *Tx) SetPolicyTags(ctx context.Context, arn string, tags map[string]string) error {
	text, err := tagsText(tags)
	if err != nil {
		return err
	}
	return tx.change(ctx, `UPDATE iam_policy SET tags = $2 WHERE arn = $1`, arn, text)
}

// DeletePolicy removes a managed policy and its versions; ErrNotFound if there is none. It
// must not be attached.
func (tx *Tx) DeletePolicy(ctx context.Context, arn string) error {
	if _, err := tx.exec(ctx, `DELETE FROM iam_policy_version WHERE arn = $1`, arn); err != nil {
		return err
	}
	return tx.change(ctx, `DELETE FROM iam_policy WHERE arn = $1`, arn)
}

// PolicyVersions gives the versions of a managed policy, newest first; they are few.
func (tx *Tx) PolicyVersions(ctx context.Context, arn string) ([]PolicyVersion, error) {
	return all(ctx, tx, `SELECT version, document, created FROM iam_policy_version WHERE arn = $1 ORDER BY version DESC`, []any{arn},
		func(rows *sql.Rows) (v PolicyVersion, err error) {
			var created int64
			err = rows.Scan(&v.Version, &v.Document, &created)
			v.Created = time.UnixMicro(created).UTC()
			return v, err
		})
}

// AddPolicyVersion gives a managed policy its next version, created now, and says its number.
func (tx *Tx) AddPolicyVersion(ctx context.Context, arn, document string) (int64, error) {
	var n int64
	if err := tx.one(ctx, `UPDATE iam_policy SET last_version = last_version + 1, updated = $2 WHERE arn = $1 RETURNING last_version`,
		[]any{arn, tx.Now().UnixMicro()}, &n); err != nil {
		return 0, err
	}
	_, err := tx.exec(ctx, `INSERT INTO iam_policy_version (arn, version, document, created) VALUES ($1, $2, $3, $4)`, arn, n, document, tx.Now().UnixMicro())
	return n, err
}

// SetDefaultPolicyVersion puts a version in force; the caller knows that it exists.
func (tx *Tx) SetDefaultPolicyVersion(ctx context.Context, arn string, version int64) error {
	return tx.change(ctx, `UPDATE iam_policy SET default_version = $2, updated = $3 WHERE arn = $1`, arn, version, tx.Now().UnixMicro())
}

// DeletePolicyVersion removes a version; ErrNotFound if there is none.
func (tx *Tx) DeletePolicyVersion(ctx context.Context, arn string, version int64) error {
	return tx.change(ctx, `DELETE FROM iam_policy_version WHERE arn = $1 AND version = $2`, arn, version)
}

// PolicyDocuments gives the documents in force for a holder: those written into it and
// the default versions of those attached. Attached policies without a row are given as
// ARNs: they are built in.
func (tx *Tx) PolicyDocuments(ctx context.Context, h Holder) (documents, builtin []string, err error) {
	inline, err := tx.InlinePolicies(ctx, h)
	if err != nil {
		return nil, nil, err
	}
	for _, p := range inline {
		documents = append(documents, p.Document)
	}
	type attached struct{ arn, document string }
	list, err := all(ctx, tx, `SELECT a.arn, COALESCE(v.document, '') FROM iam_attachment a
		LEFT JOIN iam_policy p ON p.arn = a.arn
		LEFT JOIN iam_policy_version v ON v.arn = p.arn AND v.version = p.default_version
		WHERE a.account = $1 AND a.holder = $2 AND a.holder_fold = $3 ORDER BY a.arn`,
		[]any{h.Account, h.Kind, fold(h.Name)}, func(rows *sql.Rows) (a attached, err error) {
			err = rows.Scan(&a.arn, &a.document)
			return a, err
		})
	for _, a := range list {
		if a.document == "" {
			builtin = append(builtin, a.arn)
		} else {
			documents = append(documents, a.document)
		}
	}
	return documents, builtin, err
}
