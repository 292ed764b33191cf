package store_test

import (
	"database/sql"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"penstock/internal/store/storetest"
)

// wholeReads are the statements that may read a whole table or sort what they read, by their
// beginning (a semicolon is the end), and why each may.
var wholeReads = map[string]string{
	"SELECT DISTINCT account FROM audit_record WHERE seq IS NULL": "the records that are not sealed yet, by an index of nothing else",
	"SELECT id, account, region, at, source, name, username, access_key, resource, read_only, coalesce(seq, 0), coalesce(hash, ''), doc FROM audit_record WHERE account = $1 AND seq IS NULL": "sorts the records that are not sealed yet",
	"UPDATE audit_record SET":                                "an empty PostgreSQL prefers the index of what is not sealed to that of the id",
	"SELECT account FROM audit_head ORDER BY account":        "the accounts that have sealed records",
	"UPDATE delivery_lane SET due = $1, held = 0 WHERE held": "once a start: every lane that waits",
	"UPDATE job SET lease_until = 0 WHERE status":            "once a start: the jobs that a server holds, by an index of nothing else",
	"SELECT id, account, region, name, description, default_branch, kms_key, tags, created, modified FROM codecommit_repository;": "once a start: every repository",
	"SELECT arn, account, region, name, provider_type, host_arn, status, git_url":                                                 "every few seconds: the connections, of which an account may have few",
	"DELETE FROM timer WHERE pipeline_id":                       "when a pipeline is deleted: the timers of what is under way; an index would cost every action",
	"SELECT name, created, modified FROM codebuild_project":     "sorts the projects of an account by a time, of which it may have few",
	"SELECT account, region, id, project, started, complete":    "sorts the builds that a server runs now",
	"SELECT DISTINCT region FROM codecommit_repository WHERE":   "sorts the repositories of one name",
	"SELECT k.id, k.account, u.name, k.secret, k.active":        "sorts the keys of a user, who has two",
	"SELECT period, unit, SUM(samples), SUM(total), MIN(least)": "groups what one metric has in a time, of which 15 days are kept",
	"SELECT id, account, user_name, service, client, digest":    "sorts the credentials of a user, who has few",
}

// Every statement finds its rows by an index and has them in the order it needs, on both
// databases: what one costs does not grow with what the others have stored.
func TestEveryStatementUsesAnIndex(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	check := func(t *testing.T, explain func(statement string, parameters int) (problem string, err error)) {
		for _, s := range statements(t) {
			problem, err := explain(s.text, s.parameters)
			if err != nil {
				t.Errorf("%s: %v\n%s", s.at, err, s.text)
				continue
			}
			excused := false
			for prefix := range wholeReads {
				if strings.HasPrefix(s.text+";", prefix) {
					excused, used[prefix] = true, true
				}
			}
			if problem != "" && !excused {
				t.Errorf("%s: %s\n%s", s.at, problem, s.text)
			}
		}
	}
	t.Run("sqlite", func(t *testing.T) {
		path := strings.TrimPrefix(storetest.SQLiteURL(t), "sqlite:")
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		check(t, func(statement string, parameters int) (string, error) {
			return planOfSQLite(t, db, statement, parameters)
		})
	})
	for prefix := range wholeReads {
		if !used[prefix] {
			t.Errorf("no statement begins with %q any more", prefix)
		}
	}
	t.Run("postgres", func(t *testing.T) {
		conn, err := pgx.Connect(t.Context(), storetest.PostgresURL(t))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		// Of what these forbid, only what cannot be avoided is left.
		for _, setting := range []string{"enable_seqscan = off", "enable_sort = off", "enable_incremental_sort = off", "plan_cache_mode = force_generic_plan"} {
			if _, err := conn.Exec(t.Context(), "SET "+setting); err != nil {
				t.Fatal(err)
			}
		}
		check(t, func(statement string, parameters int) (string, error) {
			return planOfPostgres(t, conn, statement, parameters)
		})
	})
}

// limited says that a statement stops after a few rows of those it reads in order.
func limited(statement string) bool {
	return strings.Contains(statement, " LIMIT ") && !strings.Contains(statement, " WHERE ")
}

func planOfSQLite(t *testing.T, db *sql.DB, statement string, parameters int) (problem string, err error) {
	rows, err := db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+statement, make([]any, parameters)...)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			return "", err
		}
		if strings.HasPrefix(detail, "SCAN ") && !strings.HasPrefix(detail, "SCAN CONSTANT") && !limited(statement) ||
			strings.Contains(detail, "TEMP B-TREE") {
			problem = detail
		}
	}
	return problem, rows.Err()
}

// node is a line of PostgreSQL's plan that reads a table or sorts.
var node = regexp.MustCompile(`^\s*(?:->)?\s*(Seq Scan|Sort|Incremental Sort|Index Scan|Index Only Scan|Bitmap Index Scan)\b`)

func planOfPostgres(t *testing.T, conn *pgx.Conn, statement string, parameters int) (problem string, err error) {
	if _, err := conn.Exec(t.Context(), "PREPARE statement AS "+statement); err != nil {
		return "", err
	}
	defer conn.Exec(t.Context(), "DEALLOCATE statement")
	execute := "EXPLAIN (COSTS OFF) EXECUTE statement"
	if parameters > 0 {
		execute += "(" + strings.TrimSuffix(strings.Repeat("NULL, ", parameters), ", ") + ")"
	}
	rows, err := conn.Query(t.Context(), execute)
	if err != nil {
		return "", err
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return "", err
	}
	for i, line := range lines {
		m := node.FindStringSubmatch(line)
		switch {
		case m == nil:
		case !strings.HasPrefix(m[1], "Index") && !strings.HasPrefix(m[1], "Bitmap"):
			problem = strings.TrimSpace(line)
		default:
			under := append(lines[i+1:], "")[0] // what the node is held to, if anything
			stops := strings.Contains(statement, " LIMIT ") && !strings.Contains(under, "Filter:")
			if !strings.Contains(under, "Index Cond:") && !stops {
				problem = strings.TrimSpace(line) + " without a condition"
			}
		}
	}
	return problem, nil
}
