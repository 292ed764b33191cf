package store

import (
	"context"
	"database/sql"
)

// Function is one version of a function of Lambda. Number 0 is $LATEST, the one that can be
// changed.
type Function struct {
	Account, Region, Name string
	Number                int64
	// Code is the blob of its ZIP file, which versions may share.
	Code string
	Doc  string
}

const functionColumns = `account, region, name, number, code, doc`

func scanFunction(rows *sql.Rows) (Function, error) {
	var f Function
	err := rows.Scan(&f.Account, &f.Region, &f.Name, &f.Number, &f.Code, &f.Doc)
	return f, err
}

// AddFunction adds a version of a function and tells whether it was not there.
func (tx *Tx) AddFunction(ctx context.Context, f Function) (bool, error) {
	n, err := tx.exec(ctx, `INSERT INTO lambda_function (`+functionColumns+`) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (account, region, name, number) DO NOTHING`, f.Account, f.Region, f.Name, f.Number, f.Code, f.Doc)
	return n == 1, err
}

// GetFunction finds a version of a function; ErrNotFound if there is none.
func (tx *Tx) GetFunction(ctx context.Context, account, region, name string, number int64) (Function, error) {
	return tx.oneFunction(ctx, account, region, name, number, "")
}

// LockFunction is GetFunction for one that the transaction is about to change.
func (tx *Tx) LockFunction(ctx context.Context, account, region, name string, number int64) (Function, error) {
	return tx.oneFunction(ctx, account, region, name, number, tx.forUpdate())
}

func (tx *Tx) oneFunction(ctx context.Context, account, region, name string, number int64, lock string) (Function, error) {
	list, err := all(ctx, tx, `SELECT `+functionColumns+` FROM lambda_function WHERE account = $1 AND region = $2 AND name = $3 AND number = $4`+lock,
		[]any{account, region, name, number}, scanFunction)
	if err == nil && len(list) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Function{}, err
	}
	return list[0], nil
}

// SetFunction replaces the code and the document of a version; ErrNotFound if there is none.
func (tx *Tx) SetFunction(ctx context.Context, f Function) error {
	n, err := tx.exec(ctx, `UPDATE lambda_function SET code = $5, doc = $6 WHERE account = $1 AND region = $2 AND name = $3 AND number = $4`,
		f.Account, f.Region, f.Name, f.Number, f.Code, f.Doc)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

// ListFunctions gives a page of the functions of an account in a Region, by name.
func (tx *Tx) ListFunctions(ctx context.Context, account, region string, page Keyset) ([]Function, error) {
	return all(ctx, tx, `SELECT `+functionColumns+` FROM lambda_function WHERE account = $1 AND region = $2 AND name > $3 AND number = 0 ORDER BY name LIMIT $4`,
		[]any{account, region, page.After, page.Limit}, scanFunction)
}

// ListFunctionVersions gives a page of the versions of a function after the given number, by
// number.
func (tx *Tx) ListFunctionVersions(ctx context.Context, account, region, name string, after int64, limit int) ([]Function, error) {
	return all(ctx, tx, `SELECT `+functionColumns+` FROM lambda_function WHERE account = $1 AND region = $2 AND name = $3 AND number > $4 ORDER BY number LIMIT $5`,
		[]any{account, region, name, after, limit}, scanFunction)
}

// DeleteFunctionVersion removes one version of a function.
func (tx *Tx) DeleteFunctionVersion(ctx context.Context, account, region, name string, number int64) error {
	_, err := tx.exec(ctx, `DELETE FROM lambda_function WHERE account = $1 AND region = $2 AND name = $3 AND number = $4`, account, region, name, number)
	return err
}

// DeleteFunction removes a function with its versions and aliases.
func (tx *Tx) DeleteFunction(ctx context.Context, account, region, name string) error {
	if _, err := tx.exec(ctx, `DELETE FROM lambda_alias WHERE account = $1 AND region = $2 AND function = $3`, account, region, name); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `DELETE FROM lambda_function WHERE account = $1 AND region = $2 AND name = $3`, account, region, name)
	return err
}

// FunctionAlias is a name for versions of a function.
type FunctionAlias struct {
	Account, Region, Function, Name string
	Doc                             string
}

const aliasColumns = `account, region, function, name, doc`

func scanAlias(rows *sql.Rows) (FunctionAlias, error) {
	var a FunctionAlias
	err := rows.Scan(&a.Account, &a.Region, &a.Function, &a.Name, &a.Doc)
	return a, err
}

// AddFunctionAlias adds an alias and tells whether its name was free.
func (tx *Tx) AddFunctionAlias(ctx context.Context, a FunctionAlias) (bool, error) {
	n, err := tx.exec(ctx, `INSERT INTO lambda_alias (`+aliasColumns+`) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (account, region, function, name) DO NOTHING`,
		a.Account, a.Region, a.Function, a.Name, a.Doc)
	return n == 1, err
}

// GetFunctionAlias finds an alias; ErrNotFound if there is none.
func (tx *Tx) GetFunctionAlias(ctx context.Context, account, region, function, name string) (FunctionAlias, error) {
	list, err := all(ctx, tx, `SELECT `+aliasColumns+` FROM lambda_alias WHERE account = $1 AND region = $2 AND function = $3 AND name = $4`,
		[]any{account, region, function, name}, scanAlias)
	if err == nil && len(list) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return FunctionAlias{}, err
	}
	return list[0], nil
}

// SetFunctionAlias replaces the document of an alias; ErrNotFound if there is none.
func (tx *Tx) SetFunctionAlias(ctx context.Context, a FunctionAlias) error {
	n, err := tx.exec(ctx, `UPDATE lambda_alias SET doc = $5 WHERE account = $1 AND region = $2 AND function = $3 AND name = $4`,
		a.Account, a.Region, a.Function, a.Name, a.Doc)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

// ListFunctionAliases gives a page of the aliases of a function, by name.
func (tx *Tx) ListFunctionAliases(ctx context.Context, account, region, function string, page Keyset) ([]FunctionAlias, error) {
	return all(ctx, tx, `SELECT `+aliasColumns+` FROM lambda_alias WHERE account = $1 AND region = $2 AND function = $3 AND name > $4 ORDER BY name LIMIT $5`,
		[]any{account, region, function, page.After, page.Limit}, scanAlias)
}

// DeleteFunctionAlias removes an alias.
func (tx *Tx) DeleteFunctionAlias(ctx context.Context, account, region, function, name string) error {
	_, err := tx.exec(ctx, `DELETE FROM lambda_alias WHERE account = $1 AND region = $2 AND function = $3 AND name = $4`, account, region, function, name)
	return err
}
