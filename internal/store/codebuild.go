package store

import (
	"context"
	"database/sql"
	"time"
)

// CodeBuildProject is a row of a build project; Doc is the room's own.
type CodeBuildProject struct {
	Account, Region, Name string
	Created, Modified     time.Time
	Doc                   string
}

// CodeBuildBuild is a row of a build; Doc is the room's own.
type CodeBuildBuild struct {
	Account, Region string
	// ID is "project:uuid".
	ID, Project string
	Started     time.Time
	Complete    bool
	// Node is the server that runs the build.
	Node string
	// Token is the caller's idempotency token, unique in the project; "" for none.
	Token string
	Doc   string
}

// Keyset says where a list goes on and how long a page is.
type Keyset struct {
	// After is the key of the last row of the page before; "" for the first page.
	After string
	// AfterTime goes with After where a list is ordered by time.
	AfterTime time.Time
	// Descending turns the order around.
	Descending bool
	// Limit is the most rows.
	Limit int
}

// direction gives the comparison and the order of a keyset page.
func (p Keyset) direction() (compare, order string) {
	if p.Descending {
		return "<", "DESC"
	}
	return ">", "ASC"
}

// AddCodeBuildProject adds a project and tells whether its name was free.
func (tx *Tx) AddCodeBuildProject(ctx context.Context, p CodeBuildProject) (bool, error) {
	n, err := tx.exec(ctx, `INSERT INTO codebuild_project (account, region, name, created, modified, builds, doc)
		VALUES ($1, $2, $3, $4, $4, 0, $5) ON CONFLICT (account, region, name) DO NOTHING`,
		p.Account, p.Region, p.Name, micros(tx.Now()), p.Doc)
	return n == 1, err
}

// SetCodeBuildProject replaces the document of a project; ErrNotFound if there is none.
func (tx *Tx) SetCodeBuildProject(ctx context.Context, p CodeBuildProject) error {
	n, err := tx.exec(ctx, `UPDATE codebuild_project SET doc = $4, modified = $5 WHERE account = $1 AND region = $2 AND name = $3`,
		p.Account, p.Region, p.Name, p.Doc, micros(tx.Now()))
	return found(n, err)
}

func found(n int64, err error) error {
	if err == nil && n == 0 {
		return ErrNotFound
	}
	return err
}

// GetCodeBuildProject reads a project; ErrNotFound if there is none.
func (tx *Tx) GetCodeBuildProject(ctx context.Context, account, region, name string) (CodeBuildProject, error) {
	p := CodeBuildProject{Account: account, Region: region, Name: name}
	var created, modified int64
	err := tx.one(ctx, `SELECT created, modified, doc FROM codebuild_project WHERE account = $1 AND region = $2 AND name = $3`,
		[]any{account, region, name}, &created, &modified, &p.Doc)
	p.Created, p.Modified = time.UnixMicro(created).UTC(), time.UnixMicro(modified).UTC()
	return p, err
}

// DeleteCodeBuildProject removes a project; its builds stay, as in AWS.
func (tx *Tx) DeleteCodeBuildProject(ctx context.Context, account, region, name string) error {
	_, err := tx.exec(ctx, `DELETE FROM codebuild_project WHERE account = $1 AND region = $2 AND name = $3`, account, region, name)
	return err
}

// ListCodeBuildProjects gives a page of projects without documents, ordered by name, or by
// a time: "created" or "modified".
func (tx *Tx) ListCodeBuildProjects(ctx context.Context, account, region, by string, page Keyset) ([]CodeBuildProject, error) {
	compare, order := page.direction()
	column := "created"
	if by == "modified" {
		column = "modified"
	}
	where, sorted := `name `+compare+` $3`, `name `+order
	args := []any{account, region, page.After, page.Limit}
	if by != "name" {
		where, sorted = `(`+column+`, name) `+compare+` ($5, $3)`, column+` `+order+`, name `+order
		args = append(args, micros(page.AfterTime))
	}
	if page.After == "" {
		where = `($3 = '')`
		args = args[:4]
	}
	return all(ctx, tx, `SELECT name, created, modified FROM codebuild_project WHERE account = $1 AND region = $2 AND `+where+`
		ORDER BY `+sorted+` LIMIT $4`, args, func(rows *sql.Rows) (CodeBuildProject, error) {
		p := CodeBuildProject{Account: account, Region: region}
		var created, modified int64
		err := rows.Scan(&p.Name, &created, &modified)
		p.Created, p.Modified = time.UnixMicro(created).UTC(), time.UnixMicro(modified).UTC()
		return p, err
	})
}

// NextCodeBuildNumber counts a project's builds; ErrNotFound if there is no project.
func (tx *Tx) NextCodeBuildNumber(ctx context.Context, account, region, project string) (int64, error) {
	var n int64
	err := tx.one(ctx, `UPDATE codebuild_project SET builds = builds + 1 WHERE account = $1 AND region = $2 AND name = $3 RETURNING builds`,
		[]any{account, region, project}, &n)
	return n, err
}

// AddCodeBuildBuild adds a build.
func (tx *Tx) AddCodeBuildBuild(ctx context.Context, b CodeBuildBuild) error {
	var token *string
	if b.Token != "" {
		token = &b.Token
	}
	if err := fits(b.Token); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `INSERT INTO codebuild_build (account, region, id, project, started, complete, node, token, doc)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		b.Account, b.Region, b.ID, b.Project, micros(b.Started), flag(b.Complete), b.Node, token, b.Doc)
	return err
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// SetCodeBuildBuild replaces what changes of a build: document and completeness. A complete
// build does not change any more; ErrNotFound if it is complete or not there.
func (tx *Tx) SetCodeBuildBuild(ctx context.Context, b CodeBuildBuild) error {
	n, err := tx.exec(ctx, `UPDATE codebuild_build SET doc = $4, complete = $5 WHERE account = $1 AND region = $2 AND id = $3 AND complete = 0`,
		b.Account, b.Region, b.ID, b.Doc, flag(b.Complete))
	return found(n, err)
}

const buildColumns = `account, region, id, project, started, complete, node, COALESCE(token, ''), doc`

func (b *CodeBuildBuild) dest(started, complete *int64) []any {
	return []any{&b.Account, &b.Region, &b.ID, &b.Project, started, complete, &b.Node, &b.Token, &b.Doc}
}

func (tx *Tx) oneBuild(ctx context.Context, where string, args ...any) (CodeBuildBuild, error) {
	var b CodeBuildBuild
	var started, complete int64
	err := tx.one(ctx, `SELECT `+buildColumns+` FROM codebuild_build WHERE `+where, args, b.dest(&started, &complete)...)
	b.Started, b.Complete = time.UnixMicro(started).UTC(), complete == 1
	return b, err
}

// GetCodeBuildBuild reads a build; ErrNotFound if there is none.
func (tx *Tx) GetCodeBuildBuild(ctx context.Context, account, region, id string) (CodeBuildBuild, error) {
	return tx.oneBuild(ctx, `account = $1 AND region = $2 AND id = $3`, account, region, id)
}

// CodeBuildBuildByToken reads the build a token started; ErrNotFound if there is none.
func (tx *Tx) CodeBuildBuildByToken(ctx context.Context, account, region, project, token string) (CodeBuildBuild, error) {
	return tx.oneBuild(ctx, `account = $1 AND region = $2 AND project = $3 AND token = $4`, account, region, project, token)
}

// DeleteCodeBuildBuild removes a complete build and tells whether it did.
func (tx *Tx) DeleteCodeBuildBuild(ctx context.Context, account, region, id string) (bool, error) {
	n, err := tx.exec(ctx, `DELETE FROM codebuild_build WHERE account = $1 AND region = $2 AND id = $3 AND complete = 1`, account, region, id)
	return n == 1, err
}

// ListCodeBuildBuilds gives a page of builds without documents in order of their start; of
// one project, or of all when project is "".
func (tx *Tx) ListCodeBuildBuilds(ctx context.Context, account, region, project string, page Keyset) ([]CodeBuildBuild, error) {
	compare, order := page.direction()
	where := `account = $1 AND region = $2`
	args := []any{account, region, page.Limit}
	if project != "" {
		args = append(args, project)
		where += ` AND project = $4`
	}
	if page.After != "" {
		n := len(args)
		args = append(args, micros(page.AfterTime), page.After)
		where += ` AND (started, id) ` + compare + ` (` + placeholder(n+1) + `, ` + placeholder(n+2) + `)`
	}
	return all(ctx, tx, `SELECT id, project, started FROM codebuild_build WHERE `+where+`
		ORDER BY started `+order+`, id `+order+` LIMIT $3`, args, func(rows *sql.Rows) (CodeBuildBuild, error) {
		b := CodeBuildBuild{Account: account, Region: region}
		var started int64
		err := rows.Scan(&b.ID, &b.Project, &started)
		b.Started = time.UnixMicro(started).UTC()
		return b, err
	})
}

func placeholder(n int) string { return "$" + string(rune('0'+n)) }

// OpenCodeBuildBuilds gives the builds of a node that are not complete.
func (tx *Tx) OpenCodeBuildBuilds(ctx context.Context, node string) ([]CodeBuildBuild, error) {
	return all(ctx, tx, `SELECT `+buildColumns+` FROM codebuild_build WHERE node = $1 AND complete = 0 ORDER BY started, id`,
		[]any{node}, func(rows *sql.Rows) (CodeBuildBuild, error) {
			var b CodeBuildBuild
			var started, complete int64
			err := rows.Scan(b.dest(&started, &complete)...)
			b.Started, b.Complete = time.UnixMicro(started).UTC(), complete == 1
			return b, err
		})
}
