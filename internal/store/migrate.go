package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

//go:embed migrations
var migrations embed.FS

// migrate brings the tables up to date. The caller keeps other processes out.
func migrate(ctx context.Context, conn *sql.DB, d dialect) error {
	dir, flavour := "migrations/sqlite", goose.DialectSQLite3
	if d == postgresDialect {
		dir, flavour = "migrations/postgres", goose.DialectPostgres
	}
	files, err := fs.Sub(migrations, dir)
	if err != nil {
		return err
	}
	// Each area numbers its migrations in a range of its own, so a lower number may come
	// after a higher one.
	up, err := goose.NewProvider(flavour, conn, files, goose.WithDisableGlobalRegistry(true),
		goose.WithAllowOutofOrder(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return err
	}
	if _, err := up.Up(ctx); err != nil {
		return fmt.Errorf("bring the tables up to date: %w", err)
	}
	return refuseNewer(ctx, conn, up.ListSources())
}

// refuseNewer finds a migration this program does not know: its author may have given a
// column another meaning.
func refuseNewer(ctx context.Context, conn *sql.DB, known []*goose.Source) error {
	versions := map[int64]bool{0: true} // goose's own first row
	for _, source := range known {
		versions[source.Version] = true
	}
	rows, err := conn.QueryContext(ctx, `SELECT version_id FROM goose_db_version`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var version int64
		if err := rows.Scan(&version); err != nil {
			return err
		}
		if !versions[version] {
			return fmt.Errorf("the database was used by a newer penstock (migration %05d is unknown here)", version)
		}
	}
	return rows.Err()
}
