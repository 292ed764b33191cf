package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

const acct = "000000000000"

// inTx runs steps in one transaction and fails the test on an error.
func inTx(t *testing.T, db *store.DB, f func(ctx context.Context, tx *store.Tx) error) {
	t.Helper()
	if err := db.Update(t.Context(), func(tx *store.Tx) error { return f(t.Context(), tx) }); err != nil {
		t.Fatal(err)
	}
}

// N-2: users, roles and keys are kept, found without regard to case, paged and removed.
func TestUsersRolesAndKeys(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
			u := store.User{Account: acct, Name: "Ann", Path: "/team/", ID: "AIDA1", Tags: map[string]string{"k": "v"}}
			k := store.AccessKey{ID: "AKIA1", Account: acct, User: "ann", Secret: "s3cret", Active: true}
			r := store.Role{Account: acct, Name: "Deploy", Path: "/", ID: "AROA1", Description: "d", Trust: "{}", MaxSession: time.Hour}
			if err := errors.Join(tx.CreateUser(ctx, u), tx.CreateAccessKey(ctx, k), tx.CreateRole(ctx, r)); err != nil {
				return err
			}
			u.Name, r.Name = "ANN", "DEPLOY"
			if err := tx.CreateUser(ctx, u); !errors.Is(err, store.ErrExists) {
				t.Errorf("second user: %v", err)
			}
			if err := tx.CreateRole(ctx, r); !errors.Is(err, store.ErrExists) {
				t.Errorf("second role: %v", err)
			}
			got, err := tx.GetUser(ctx, acct, "aNN")
			u.Name, u.Created = "Ann", tx.Now()
			if err != nil || !reflect.DeepEqual(got, u) {
				t.Errorf("user %+v, %v", got, err)
			}
			key, err := tx.GetAccessKey(ctx, "AKIA1")
			if err != nil || key.User != "Ann" || key.Secret != "s3cret" || !key.Active {
				t.Errorf("key %+v, %v", key, err)
			}
			if err := tx.SetAccessKeyActive(ctx, acct, "Ann", "AKIA1", false); err != nil {
				return err
			}
			if keys, err := tx.ListAccessKeys(ctx, acct, "Ann"); err != nil || len(keys) != 1 || keys[0].Active {
				t.Errorf("keys %+v, %v", keys, err)
			}
			role, err := tx.GetRole(ctx, acct, "Deploy")
			if err != nil || role.MaxSession != time.Hour || role.Name != "Deploy" || role.Trust != "{}" {
				t.Errorf("role %+v, %v", role, err)
			}
			role.Trust, role.Tags = `{"a":1}`, map[string]string{"x": "y"}
			if err := tx.UpdateRole(ctx, role); err != nil {
				return err
			}
			if again, err := tx.GetRole(ctx, acct, "deploy"); err != nil || !reflect.DeepEqual(again, role) {
				t.Errorf("role %+v, %v", again, err)
			}
			if err := errors.Join(tx.DeleteAccessKey(ctx, acct, "Ann", "AKIA1"), tx.DeleteUser(ctx, acct, "ann"), tx.DeleteRole(ctx, acct, "deploy")); err != nil {
				return err
			}
			for _, err := range []error{tx.DeleteUser(ctx, acct, "ann"), tx.DeleteRole(ctx, acct, "deploy"), tx.UpdateRole(ctx, role), tx.DeleteAccessKey(ctx, acct, "Ann", "AKIA1")} {
				if !errors.Is(err, store.ErrNotFound) {
					t.Errorf("%v, want ErrNotFound", err)
				}
			}
			return nil
		})
		inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
			for _, n := range []string{"c", "A", "b"} {
				for _, path := range []string{"/x/", "/"} {
					if err := tx.CreateRole(ctx, store.Role{Account: acct, Name: n + path[:len(path)-1], Path: path}); err != nil {
						return err
					}
				}
			}
			var names []string
			after := ""
			for {
				page, err := tx.ListRoles(ctx, acct, "/x/", after, 2)
				if err != nil {
					return err
				}
				for _, r := range page {
					names, after = append(names, r.Name), r.Name
				}
				if len(page) < 2 {
					break
				}
			}
			if got := strings.Join(names, " "); got != "A/x b/x c/x" {
				t.Errorf("pages: %s", got)
			}
			return nil
		})
	})
}

// N-2: inline and managed policies, their versions, and what is in force for a holder.
func TestPolicies(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
			h := store.Holder{Account: acct, Kind: store.HolderRole, Name: "R"}
			arn := "arn:aws:iam::000000000000:policy/P"
			if err := errors.Join(
				tx.PutInlinePolicy(ctx, h, store.InlinePolicy{Name: "a", Document: "old"}),
				tx.PutInlinePolicy(ctx, h, store.InlinePolicy{Name: "a", Document: "inline"}),
				tx.CreatePolicy(ctx, store.ManagedPolicy{Account: acct, Name: "P", Path: "/", ARN: arn, ID: "ANPA1"}, "one"),
				tx.AttachPolicy(ctx, h, arn), tx.AttachPolicy(ctx, h, arn),
				tx.AttachPolicy(ctx, h, "arn:aws:iam::aws:policy/AdministratorAccess")); err != nil {
				return err
			}
			if err := tx.CreatePolicy(ctx, store.ManagedPolicy{Account: acct, Name: "p", Path: "/", ARN: arn + "2"}, "x"); !errors.Is(err, store.ErrExists) {
				t.Errorf("second policy: %v", err)
			}
			inForce := func(want string) {
				t.Helper()
				docs, builtin, err := tx.PolicyDocuments(ctx, h)
				if got := strings.Join(docs, " "); err != nil || got != want || len(builtin) != 1 {
					t.Errorf("in force: %q %q %v", docs, builtin, err)
				}
			}
			inForce("inline one")
			n, err := tx.AddPolicyVersion(ctx, arn, "two")
			if err != nil || n != 2 {
				t.Errorf("version %d, %v", n, err)
			}
			inForce("inline one")
			if err := tx.SetDefaultPolicyVersion(ctx, arn, 2); err != nil {
				return err
			}
			inForce("inline two")
			p, err := tx.GetPolicy(ctx, acct, arn)
			if err != nil || p.Attached != 1 || p.Default != 2 || p.Last != 2 {
				t.Errorf("policy %+v, %v", p, err)
			}
			if holders, err := tx.HoldersOf(ctx, acct, arn); err != nil || len(holders) != 1 || holders[0].Name != "r" {
				t.Errorf("holders %v, %v", holders, err)
			}
			if err := errors.Join(tx.DeletePolicyVersion(ctx, arn, 1), tx.DetachPolicy(ctx, h, arn), tx.DeleteInlinePolicy(ctx, h, "a"), tx.DeletePolicy(ctx, arn)); err != nil {
				return err
			}
			inForce("")
			for _, err := range []error{tx.DeletePolicyVersion(ctx, arn, 1), tx.DetachPolicy(ctx, h, arn), tx.DeleteInlinePolicy(ctx, h, "a"), tx.DeletePolicy(ctx, arn)} {
				if !errors.Is(err, store.ErrNotFound) {
					t.Errorf("%v, want ErrNotFound", err)
				}
			}
			return nil
		})
	})
}

// The first secret of a name stays, whoever asks later.
func TestServerSecretStays(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
			for _, fresh := range []string{"first", "second"} {
				if got, err := tx.ServerSecret(ctx, "session", []byte(fresh)); err != nil || string(got) != "first" {
					t.Errorf("%q, %v", got, err)
				}
			}
			return tx.PutAccount(ctx, acct)
		})
	})
}

// No way of printing, logging or encoding shows a secret.
func TestSecretsNeverPrint(t *testing.T) {
	t.Parallel()
	const hidden = "wJalrXUtnFEMI"
	k := store.AccessKey{ID: "AKIA", Secret: hidden}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", k, "secret", k.Secret)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", k, "secret", k.Secret)
	raw, err := json.Marshal([]any{k, k.Secret, &k.Secret})
	if err != nil {
		t.Fatal(err)
	}
	all := log.String() + string(raw) + k.Secret.String()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		all += fmt.Sprintf(verb, k) + fmt.Sprintf(verb, &k) + fmt.Sprintf(verb, k.Secret) + fmt.Sprintf(verb, []store.Secret{k.Secret})
	}
	for _, form := range []string{hidden, fmt.Sprintf("%x", hidden), fmt.Sprintf("%X", hidden)} {
		if strings.Contains(all, form) {
			t.Errorf("the secret was printed: %s", all)
		}
	}
}
