package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// CodeCommitRepository is what is kept of a git repository beside its objects.
type CodeCommitRepository struct {
	// ID names the folder and never changes; Name is unique in account and Region.
	ID, Account, Region, Name  string
	Description, DefaultBranch string
	KMSKey                     string
	Tags                       map[string]string
	Created, Modified          time.Time
}

const codecommitColumns = `id, account, region, name, description, default_branch, kms_key, tags, created, modified`

func scanCodeCommitRepository(rows *sql.Rows) (CodeCommitRepository, error) {
	var r CodeCommitRepository
	var tags string
	var created, modified int64
	err := rows.Scan(&r.ID, &r.Account, &r.Region, &r.Name, &r.Description, &r.DefaultBranch, &r.KMSKey, &tags, &created, &modified)
	if err != nil {
		return r, err
	}
	r.Created, r.Modified = fromMicros(created), fromMicros(modified)
	if err := json.Unmarshal([]byte(tags), &r.Tags); err != nil {
		return r, fmt.Errorf("tags of repository %s: %w", r.ID, err)
	}
	return r, nil
}

// InsertCodeCommitRepository adds a repository; false if its name or id is in use.
func (tx *Tx) InsertCodeCommitRepository(ctx context.Context, r CodeCommitRepository) (bool, error) {
	tags, err := json.Marshal(r.Tags)
	if err != nil {
		return false, err
	}
	n, err := tx.exec(ctx, `INSERT INTO codecommit_repository (`+codecommitColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`,
		r.ID, r.Account, r.Region, r.Name, r.Description, r.DefaultBranch, r.KMSKey, string(tags), micros(r.Created), micros(r.Modified))
	return n == 1, err
}

// GetCodeCommitRepository finds a repository by name; ErrNotFound if there is none.
func (tx *Tx) GetCodeCommitRepository(ctx context.Context, account, region, name string) (CodeCommitRepository, error) {
	return tx.oneCodeCommitRepository(ctx, `account = $1 AND region = $2 AND name = $3`, account, region, name)
}

// GetCodeCommitRepositoryByID finds a repository by id; ErrNotFound if there is none.
func (tx *Tx) GetCodeCommitRepositoryByID(ctx context.Context, id string) (CodeCommitRepository, error) {
	return tx.oneCodeCommitRepository(ctx, `id = $1`, id)
}

func (tx *Tx) oneCodeCommitRepository(ctx context.Context, where string, args ...any) (CodeCommitRepository, error) {
	list, err := all(ctx, tx, `SELECT `+codecommitColumns+` FROM codecommit_repository WHERE `+where, args, scanCodeCommitRepository)
	switch {
	case err != nil:
		return CodeCommitRepository{}, err
	case len(list) == 0:
		return CodeCommitRepository{}, ErrNotFound
	}
	return list[0], nil
}

// ListCodeCommitRepositories gives the repositories of an account in a Region, in no
// particular order.
func (tx *Tx) ListCodeCommitRepositories(ctx context.Context, account, region string) ([]CodeCommitRepository, error) {
	return all(ctx, tx, `SELECT `+codecommitColumns+` FROM codecommit_repository WHERE account = $1 AND region = $2`,
		[]any{account, region}, scanCodeCommitRepository)
}

// CodeCommitRegions gives the Regions in which any account has a repository of a name, sorted.
func (tx *Tx) CodeCommitRegions(ctx context.Context, name string) ([]string, error) {
	list, err := all(ctx, tx, `SELECT DISTINCT region FROM codecommit_repository WHERE name = $1`, []any{name},
		func(rows *sql.Rows) (region string, err error) { return region, rows.Scan(&region) })
	slices.Sort(list)
	return list, err
}

// ListEveryCodeCommitRepository gives the repositories of all accounts and Regions.
func (tx *Tx) ListEveryCodeCommitRepository(ctx context.Context) ([]CodeCommitRepository, error) {
	return all(ctx, tx, `SELECT `+codecommitColumns+` FROM codecommit_repository`, nil, scanCodeCommitRepository)
}

// RepositoryTriggers gives the room's text about the triggers of a repository, "" for none;
// ErrNotFound if there is no repository of the id.
func (tx *Tx) RepositoryTriggers(ctx context.Context, id string) (text string, err error) {
	return text, tx.one(ctx, `SELECT triggers FROM codecommit_repository WHERE id = $1`, []any{id}, &text)
}

// SetRepositoryTriggers replaces that text; ErrNotFound if there is no repository of the id.
func (tx *Tx) SetRepositoryTriggers(ctx context.Context, id, text string) error {
	return found(tx.exec(ctx, `UPDATE codecommit_repository SET triggers = $2 WHERE id = $1`, id, text))
}

// UpdateCodeCommitRepository replaces everything that can change of a repository, found by
// its id. ErrExists if another one has the name, after which the transaction cannot go on.
func (tx *Tx) UpdateCodeCommitRepository(ctx context.Context, r CodeCommitRepository) error {
	tags, err := json.Marshal(r.Tags)
	if err != nil {
		return err
	}
	n, err := tx.exec(ctx, `UPDATE codecommit_repository
		SET name = $2, description = $3, default_branch = $4, kms_key = $5, tags = $6, modified = $7 WHERE id = $1`,
		r.ID, r.Name, r.Description, r.DefaultBranch, r.KMSKey, string(tags), micros(r.Modified))
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

// DeleteCodeCommitRepository removes a repository and what has been told of it.
func (tx *Tx) DeleteCodeCommitRepository(ctx context.Context, id string) error {
	for _, table := range []string{"codecommit_head", "codecommit_pusher"} {
		if _, err := tx.exec(ctx, `DELETE FROM `+table+` WHERE repository_id = $1`, id); err != nil {
			return err
		}
	}
	_, err := tx.exec(ctx, `DELETE FROM codecommit_repository WHERE id = $1`, id)
	return err
}

// PutCodeCommitHead keeps that a branch was told to be at a commit; "" is its deletion.
func (tx *Tx) PutCodeCommitHead(ctx context.Context, id, ref, commit string) error {
	if commit == "" {
		_, err := tx.exec(ctx, `DELETE FROM codecommit_head WHERE repository_id = $1 AND ref = $2`, id, ref)
		return err
	}
	_, err := tx.exec(ctx, `INSERT INTO codecommit_head (repository_id, ref, commit_id) VALUES ($1, $2, $3)
		ON CONFLICT (repository_id, ref) DO UPDATE SET commit_id = excluded.commit_id`, id, ref, commit)
	return err
}

// CodeCommitHeads gives what has been told of the branches of a repository.
func (tx *Tx) CodeCommitHeads(ctx context.Context, id string) (map[string]string, error) {
	type head struct{ ref, commit string }
	list, err := all(ctx, tx, `SELECT ref, commit_id FROM codecommit_head WHERE repository_id = $1`, []any{id},
		func(rows *sql.Rows) (h head, err error) { return h, rows.Scan(&h.ref, &h.commit) })
	heads := make(map[string]string, len(list))
	for _, h := range list {
		heads[h.ref] = h.commit
	}
	return heads, err
}

// PutCodeCommitPusher keeps who brought a commit. Who was first stays.
func (tx *Tx) PutCodeCommitPusher(ctx context.Context, id, commit, principal string) error {
	_, err := tx.exec(ctx, `INSERT INTO codecommit_pusher (repository_id, commit_id, principal) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, id, commit, principal)
	return err
}

// CodeCommitPusher gives the ARN of who brought a commit to a repository; ErrNotFound if that is
// not known.
func (tx *Tx) CodeCommitPusher(ctx context.Context, account, region, name, commit string) (string, error) {
	var principal string
	err := tx.one(ctx, `SELECT p.principal FROM codecommit_pusher p JOIN codecommit_repository r ON r.id = p.repository_id
		WHERE r.account = $1 AND r.region = $2 AND r.name = $3 AND p.commit_id = $4`, []any{account, region, name, commit}, &principal)
	return principal, err
}
