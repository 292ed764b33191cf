package storetest

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver named "pgx"
)

// Rows gives every row of every table of a database, in no order but the same for the same
// rows: "table: column, column". It reads beside whoever has the database open, what is
// committed.
func Rows(t testing.TB, url string) []string {
	t.Helper()
	driver, name, tables := "pgx", url, `SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'`
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		driver, name, tables = "sqlite", "file:"+path+"?mode=ro", `SELECT name FROM sqlite_schema WHERE type = 'table'`
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var all []string
	for _, table := range query(t, db, tables) {
		for _, row := range query(t, db, `SELECT * FROM "`+table+`"`) {
			all = append(all, table+": "+row)
		}
	}
	slices.Sort(all)
	return all
}

// query gives the rows of a query as text.
func query(t testing.TB, db *sql.DB, text string) (list []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	for err == nil && rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err = rows.Scan(into...); err != nil {
			break
		}
		var line []string
		for _, v := range values {
			if b, ok := v.([]byte); ok {
				v = string(b)
			}
			line = append(line, fmt.Sprint(v))
		}
		list = append(list, strings.Join(line, ", "))
	}
	if err = errors.Join(err, rows.Err()); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return list
}
