package store_test

import (
	"database/sql"
	"errors"
	"strings"
	"testing"

	"penstock/internal/seal"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// raw runs statements beside the store, as whoever has the database could.
func raw(t *testing.T, url string, statements ...string) {
	t.Helper()
	driver, name := "pgx", url
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		driver, name = "sqlite", path
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatal(s, err)
		}
	}
}

// column gives the texts of a query, with which TakeKeys has to do.
func column(t *testing.T, url, query string) string {
	t.Helper()
	driver, name := "pgx", url
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		driver, name = "sqlite", path
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(query, err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var v []byte
		if err := rows.Scan(&v); err != nil {
			t.Fatal(err)
		}
		all = append(all, string(v))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, "\n")
}

var sealedColumns = []string{
	`SELECT secret FROM access_key`, `SELECT secret FROM server_secret`, `SELECT secret FROM webhook`, `SELECT token FROM connection`, `SELECT hook_secret FROM connection`,
	`SELECT declaration FROM pipeline_version`, `SELECT doc FROM job`, `SELECT doc FROM action_execution`, `SELECT doc FROM rule_execution`,
	`SELECT sealed FROM parameter_version`, `SELECT sealed FROM secret_version`,
}

// open opens a database with keys, for as long as f runs.
func open(t *testing.T, url string, keys string, f func(db *store.DB)) {
	t.Helper()
	ring, err := seal.Parse([]byte(keys))
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), store.Config{URL: url, Durability: store.Off, MaxConns: 4, Keys: ring})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	f(db)
}

// S-38, S-252: what stood in clear is sealed by the first start that has a key, a new key seals
// all again, and what was read before is read after; then the old key is not needed.
func TestTakeKeys(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		const bare = "canary-in-clear"
		raw(t, url,
			`INSERT INTO iam_user (account, fold, name, path, id, tags, created) VALUES ('1', 'ann', 'ann', '/', 'AIDA', '{}', 1)`,
			`INSERT INTO access_key (id, account, user_fold, secret, active, created) VALUES ('AKIA', '1', 'ann', '`+bare+`', 1, 1)`,
			`INSERT INTO server_secret (name, secret) VALUES ('session', '`+bare+`')`,
			`INSERT INTO webhook (account, region, name, token, definition, secret, hook_id, last_triggered, error_code, error_message) VALUES ('1', 'r', 'h', 't', '{}', '`+bare+`', '', 0, '', '')`,
			`INSERT INTO connection (arn, account, region, name, provider_type, host_arn, status, git_url, username, token, hook, hook_secret)
				VALUES ('a', '1', 'r', 'c', 'GitHub', '', 'AVAILABLE', '', '', '`+bare+`', 'h', '`+bare+`')`,
			`INSERT INTO pipeline_version (pipeline_id, version, declaration) VALUES ('p', 1, '{"name":"`+bare+`"}')`,
			`INSERT INTO execution (pipeline_id, id, start_order, version, status, live, started, updated, doc) VALUES ('p', 'e', 1, 1, 'Succeeded', 0, 1, 1, '{}')`,
			`INSERT INTO rule_execution (pipeline_id, id, execution_id, number, started, doc) VALUES ('p', 'r1', 'e', 1, 99999999999999999, '{"id":"r1","number":1,"resolved":{"Password":"`+bare+`"}}')`)
		for _, n := range []string{"1", "2", "3"} { // one has been sealed already when the step is interrupted
			raw(t, url, `INSERT INTO action_execution (pipeline_id, number, execution_id, started, doc)
				VALUES ('p', `+n+`, 'e', 99999999999999999, '{"id":"x`+n+`","number":`+n+`,"resolved":{"Password":"`+bare+`"}}')`)
		}
		check := func(db *store.DB) {
			t.Helper()
			err := db.View(t.Context(), func(tx *store.Tx) error {
				k, err := tx.GetAccessKey(t.Context(), "AKIA")
				if err != nil || string(k.Secret) != bare {
					t.Error(string(k.Secret), err)
				}
				h, err := tx.Webhook(t.Context(), "1", "r", "h")
				if err != nil || string(h.Secret) != bare {
					t.Error(string(h.Secret), err)
				}
				c, err := tx.Connection(t.Context(), "a")
				if err != nil || string(c.Token) != bare || string(c.HookSecret) != bare {
					t.Error(string(c.Token), err)
				}
				d, err := tx.Declaration(t.Context(), "p", 1)
				if err != nil || d.Name != bare {
					t.Error(d, err)
				}
				runs, err := tx.ListActionRuns(t.Context(), "p", "", 0, 10)
				if err != nil || len(runs) != 3 || runs[0].Resolved["Password"] != bare || runs[0].Number != 3 {
					t.Error(runs, err)
				}
				rules, err := tx.ListRuleRuns(t.Context(), "p", "", 0, 10)
				if err != nil || len(rules) != 1 || rules[0].Resolved["Password"] != bare {
					t.Error(rules, err)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			if err := db.Update(t.Context(), func(tx *store.Tx) error {
				s, err := tx.ServerSecret(t.Context(), "session", []byte("fresh"))
				if string(s) != bare {
					t.Errorf("%q", s)
				}
				return err
			}); err != nil {
				t.Error(err)
			}
		}
		one, two := string(seal.Fresh()), string(seal.Fresh())
		open(t, url, one, check) // it is read before it is sealed
		for _, keys := range []string{one, one, two + one, two} {
			open(t, url, keys, func(db *store.DB) {
				if err := db.TakeKeys(t.Context()); err != nil {
					t.Fatal(err)
				}
				check(db)
			})
			ring, _ := seal.Parse([]byte(keys))
			for _, query := range sealedColumns {
				text := column(t, url, query)
				if strings.Contains(text, bare) || text != "" && strings.Count(text, "sealed.1."+ring.ID()) != strings.Count(text, "\n")+1 {
					t.Errorf("%s: %s", query, text)
				}
			}
		}
		open(t, url, one, func(db *store.DB) {
			if err := db.TakeKeys(t.Context()); !errors.Is(err, store.ErrForeignKey) {
				t.Error(err)
			}
		})
	})
}

// A sealed value that is copied to another row does not open there.
func TestSealedRowsCannotBeSwapped(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		key := string(seal.Fresh())
		open(t, url, key, func(db *store.DB) {
			err := db.Update(t.Context(), func(tx *store.Tx) error {
				for _, name := range []string{"/mine", "/yours"} {
					version, err := tx.NextParameter(t.Context(), "1", "r", name)
					if err != nil {
						return err
					}
					p := store.Parameter{Account: "1", Region: "r", Name: name, Version: version, Type: "SecureString", Doc: "{}"}
					if err := tx.PutParameter(t.Context(), p, store.Secret("value of "+name), 100); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
		raw(t, url, `UPDATE parameter_version SET sealed = (SELECT sealed FROM parameter_version WHERE name = '/yours') WHERE name = '/mine'`)
		open(t, url, key, func(db *store.DB) {
			err := db.View(t.Context(), func(tx *store.Tx) error {
				yours, err := tx.Parameter(t.Context(), "1", "r", "/yours")
				if err != nil {
					return err
				}
				if v, err := tx.ParameterValue(yours); string(v) != "value of /yours" || err != nil {
					t.Error(string(v), err)
				}
				mine, err := tx.Parameter(t.Context(), "1", "r", "/mine")
				if err != nil {
					return err
				}
				v, err := tx.ParameterValue(mine)
				if !errors.Is(err, seal.ErrBroken) || v != "" {
					t.Error("the value of another parameter opened")
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	})
}
