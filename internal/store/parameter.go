package store

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
	"time"
)

// Parameter is one version of a parameter of Parameter Store. Its value is sealed:
// [Tx.ParameterValue] opens it.
type Parameter struct {
	Account, Region, Name string
	// Version counts from 1.
	Version int64
	Created time.Time
	// Type is String, StringList or SecureString; Doc is the room's.
	Type, Doc string
	// Sealed is the encrypted value, which tells nothing.
	Sealed string
}

func (p *Parameter) place() []string {
	return []string{"parameter", p.Account, p.Region, p.Name, strconv.FormatInt(p.Version, 10)}
}

const parameterColumns = `v.account, v.region, v.name, v.version, v.created, v.type, v.doc, v.sealed`

// newestParameter joins a parameter with its newest version.
const newestParameter = `SELECT ` + parameterColumns + ` FROM parameter p JOIN parameter_version v
	ON v.account = p.account AND v.region = p.region AND v.name = p.name AND v.version = p.version`

func scanParameter(rows *sql.Rows) (Parameter, error) {
	var p Parameter
	var created int64
	err := rows.Scan(&p.Account, &p.Region, &p.Name, &p.Version, &created, &p.Type, &p.Doc, &p.Sealed)
	p.Created = fromMicros(created)
	return p, err
}

// NextParameter counts a new version of a parameter, the first if there is none, and gives its
// number. Others who do the same wait until the transaction ends, which has to end with
// PutParameter for that version or fail.
func (tx *Tx) NextParameter(ctx context.Context, account, region, name string) (version int64, err error) {
	parent := name[:max(0, strings.LastIndexByte(name, '/'))]
	if parent == "" {
		parent = "/"
	}
	err = tx.one(ctx, `INSERT INTO parameter (account, region, name, parent, version) VALUES ($1, $2, $3, $4, 1)
		ON CONFLICT (account, region, name) DO UPDATE SET version = parameter.version + 1 RETURNING version`,
		[]any{account, region, name, parent}, &version)
	return version, err
}

// PutParameter keeps a version that NextParameter has counted, made now, with its value.
// Versions that are keep or more behind it are forgotten.
func (tx *Tx) PutParameter(ctx context.Context, p Parameter, value Secret, keep int64) error {
	sealed, err := tx.seal(value, p.place()...)
	if err != nil {
		return err
	}
	if _, err := tx.exec(ctx, `INSERT INTO parameter_version (account, region, name, version, created, type, doc, sealed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		p.Account, p.Region, p.Name, p.Version, micros(tx.Now()), p.Type, p.Doc, sealed); err != nil {
		return err
	}
	_, err = tx.exec(ctx, `DELETE FROM parameter_version WHERE account = $1 AND region = $2 AND name = $3 AND version <= $4`,
		p.Account, p.Region, p.Name, p.Version-keep)
	return err
}

// ParameterValue opens the value of a version.
func (tx *Tx) ParameterValue(p Parameter) (Secret, error) { return tx.unseal(p.Sealed, p.place()...) }

// Parameter gives the newest version of a parameter; ErrNotFound if there is no such parameter.
func (tx *Tx) Parameter(ctx context.Context, account, region, name string) (Parameter, error) {
	return first(all(ctx, tx, newestParameter+` WHERE p.account = $1 AND p.region = $2 AND p.name = $3`, []any{account, region, name}, scanParameter))
}

// ParameterVersion gives one version of a parameter; ErrNotFound if there is none.
func (tx *Tx) ParameterVersion(ctx context.Context, account, region, name string, version int64) (Parameter, error) {
	return first(all(ctx, tx, `SELECT `+parameterColumns+` FROM parameter_version v WHERE account = $1 AND region = $2 AND name = $3 AND version = $4`,
		[]any{account, region, name, version}, scanParameter))
}

// ListParameterVersions gives up to limit versions of a parameter, oldest first, those after a
// version.
func (tx *Tx) ListParameterVersions(ctx context.Context, account, region, name string, after int64, limit int) ([]Parameter, error) {
	return all(ctx, tx, `SELECT `+parameterColumns+` FROM parameter_version v WHERE account = $1 AND region = $2 AND name = $3 AND version > $4
		ORDER BY version LIMIT $5`, []any{account, region, name, after, limit}, scanParameter)
}

// ListParameters gives the newest versions of up to limit parameters by name, those whose name
// begins with prefix and is after a name. Names are printable ASCII.
func (tx *Tx) ListParameters(ctx context.Context, account, region, prefix, after string, limit int) ([]Parameter, error) {
	return all(ctx, tx, newestParameter+` WHERE p.account = $1 AND p.region = $2 AND p.name > $3 AND p.name >= $4 AND p.name < $5
		ORDER BY p.name LIMIT $6`, []any{account, region, after, prefix, prefix + "\x7f", limit}, scanParameter)
}

// ListParametersIn is ListParameters for those whose name has exactly one more level than
// parent, which ends in no slash unless it is "/".
func (tx *Tx) ListParametersIn(ctx context.Context, account, region, parent, after string, limit int) ([]Parameter, error) {
	return all(ctx, tx, newestParameter+` WHERE p.account = $1 AND p.region = $2 AND p.parent = $3 AND p.name > $4
		ORDER BY p.name LIMIT $5`, []any{account, region, parent, after, limit}, scanParameter)
}

// CountParameters counts the parameters of an account and Region.
func (tx *Tx) CountParameters(ctx context.Context, account, region string) (int, error) {
	var n int
	err := tx.one(ctx, `SELECT count(*) FROM parameter WHERE account = $1 AND region = $2`, []any{account, region}, &n)
	return n, err
}

// DeleteParameter removes a parameter with its versions, and says whether it was there.
func (tx *Tx) DeleteParameter(ctx context.Context, account, region, name string) (bool, error) {
	n, err := tx.exec(ctx, `DELETE FROM parameter WHERE account = $1 AND region = $2 AND name = $3`, account, region, name)
	if err != nil || n == 0 {
		return false, err
	}
	_, err = tx.exec(ctx, `DELETE FROM parameter_version WHERE account = $1 AND region = $2 AND name = $3`, account, region, name)
	return true, err
}
