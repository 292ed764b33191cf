package store_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"

	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// N-8: repositories are found by name within account and Region, and by their id for ever.
func TestCodeCommitRepository(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		one := store.CodeCommitRepository{
			ID: "id-1", Account: "1", Region: "r", Name: "one", Description: "d", Tags: map[string]string{"k": "v"},
		}
		update := func(f func(ctx context.Context, tx *store.Tx) error) error {
			return db.Update(ctx, func(tx *store.Tx) error { return f(ctx, tx) })
		}
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(update(func(ctx context.Context, tx *store.Tx) error {
			one.Created, one.Modified = tx.Now(), tx.Now()
			for _, c := range []struct {
				id, region string
				want       bool
			}{{"id-1", "r", true}, {"id-2", "r", false}, {"id-1", "s", false}, {"id-3", "s", true}} {
				r := one
				r.ID, r.Region = c.id, c.region
				made, err := tx.InsertCodeCommitRepository(ctx, r)
				if err != nil || made != c.want {
					t.Errorf("insert %v: %v, %v", c, made, err)
				}
			}
			return nil
		}))
		must(update(func(ctx context.Context, tx *store.Tx) error {
			got, err := tx.GetCodeCommitRepository(ctx, "1", "r", "one")
			if err != nil || got.ID != "id-1" || !maps.Equal(got.Tags, one.Tags) || !got.Created.Equal(one.Created) {
				t.Errorf("get %+v, %v", got, err)
			}
			got.Name, got.DefaultBranch = "two", "main"
			if err := tx.UpdateCodeCommitRepository(ctx, got); err != nil {
				return err
			}
			for ref, id := range map[string]string{"refs/heads/a": "1", "refs/heads/b": "2", "refs/heads/c": ""} {
				if err := tx.PutCodeCommitHead(ctx, "id-1", ref, id); err != nil {
					return err
				}
			}
			if err := tx.PutCodeCommitHead(ctx, "id-1", "refs/heads/a", "3"); err != nil {
				return err
			}
			return tx.PutCodeCommitHead(ctx, "id-1", "refs/heads/b", "")
		}))
		must(db.View(ctx, func(tx *store.Tx) error {
			if _, err := tx.GetCodeCommitRepository(ctx, "1", "r", "one"); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("the old name: %v", err)
			}
			got, err := tx.GetCodeCommitRepositoryByID(ctx, "id-1")
			if err != nil || got.Name != "two" || got.DefaultBranch != "main" {
				t.Errorf("by id %+v, %v", got, err)
			}
			heads, err := tx.CodeCommitHeads(ctx, "id-1")
			if err != nil || !maps.Equal(heads, map[string]string{"refs/heads/a": "3"}) {
				t.Errorf("heads %v, %v", heads, err)
			}
			if regions, err := tx.CodeCommitRegions(ctx, "one"); err != nil || !slices.Equal(regions, []string{"s"}) {
				t.Errorf("regions %v, %v", regions, err)
			}
			list, err := tx.ListCodeCommitRepositories(ctx, "1", "s")
			every, err2 := tx.ListEveryCodeCommitRepository(ctx)
			if err != nil || err2 != nil || len(list) != 1 || len(every) != 2 {
				t.Errorf("lists %v %v %v %v", list, err, every, err2)
			}
			return nil
		}))
		err := update(func(ctx context.Context, tx *store.Tx) error {
			if made, err := tx.InsertCodeCommitRepository(ctx, store.CodeCommitRepository{ID: "id-4", Account: "1", Region: "r", Name: "one"}); err != nil || !made {
				t.Errorf("insert: %v %v", made, err)
			}
			return tx.UpdateCodeCommitRepository(ctx, store.CodeCommitRepository{ID: "id-4", Name: "two"})
		})
		if !errors.Is(err, store.ErrExists) {
			t.Errorf("a name in use: %v", err)
		}
		must(update(func(ctx context.Context, tx *store.Tx) error { return tx.DeleteCodeCommitRepository(ctx, "id-1") }))
		must(db.View(ctx, func(tx *store.Tx) error {
			heads, err := tx.CodeCommitHeads(ctx, "id-1")
			if err != nil || len(heads) != 0 {
				t.Errorf("heads of a deleted repository %v, %v", heads, err)
			}
			return nil
		}))
		err = update(func(ctx context.Context, tx *store.Tx) error { return tx.UpdateCodeCommitRepository(ctx, one) })
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("update of a deleted repository: %v", err)
		}
	})
}
