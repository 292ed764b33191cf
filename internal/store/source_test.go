package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"penstock/internal/pipeline"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// S-237: what is watched follows the definition; what was seen survives where the source stays.
func TestSources(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		src := func(action, resource, detail, seen string) store.Source {
			return store.Source{PipelineID: "p", Action: action, Resource: resource, Detail: detail, Seen: seen}
		}
		inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.PutSources(ctx, "p", []store.Source{src("A", "r1", "main", "1"), src("B", "r1", "dev", "1"), src("C", "r2", "", "1")}); err != nil {
				return err
			}
			if err := tx.PutSources(ctx, "other", []store.Source{{PipelineID: "other", Action: "A", Resource: "r1"}}); err != nil {
				return err
			}
			for _, want := range []bool{true, false} { // a revision that comes twice is new once
				if fresh, err := tx.SetSeen(ctx, src("A", "r1", "main", ""), "2"); fresh != want || err != nil {
					t.Errorf("seen: %v %v, want %v", fresh, err, want)
				}
			}
			if seen, err := tx.SeenAt(ctx, src("A", "r1", "main", "")); seen != "2" || err != nil {
				t.Errorf("seen: %q %v", seen, err)
			}
			for _, none := range []store.Source{src("nobody", "", "", ""), src("A", "r2", "main", ""), src("A", "r1", "dev", "")} {
				if fresh, err := tx.SetSeen(ctx, none, "3"); fresh || err != nil {
					t.Errorf("no source, or one that watches something else by now: %v %v", fresh, err)
				}
				if seen, err := tx.SeenAt(ctx, none); !errors.Is(err, store.ErrNotFound) {
					t.Errorf("no source: %q %v", seen, err)
				}
			}
			// A stays, B watches another branch, C is gone, D is new.
			return tx.PutSources(ctx, "p", []store.Source{src("A", "r1", "main", "9"), src("B", "r1", "rel", "9"), src("D", "r2", "", "9")})
		})
		inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
			list, err := tx.SourcesOf(ctx, "r1")
			if got := fmt.Sprint(list); got != "[{other A r1  } {p A r1 main 2} {p B r1 rel 9}]" {
				t.Errorf("sources %s", got)
			}
			return err
		})
	})
}

// S-103: a token counts once, for as long as it is remembered.
func TestStartTokens(t *testing.T) {
	eachAt(t, func(t *testing.T, db *store.DB, c *clock) {
		put := func(token string) error {
			return db.Update(t.Context(), func(tx *store.Tx) error {
				return tx.PutStartToken(t.Context(), "p", store.StartToken{Token: token, Execution: pipeline.ExecutionID("of " + token), Arguments: "[]"}, 24*time.Hour)
			})
		}
		find := func(token string) (found store.StartToken, err error) {
			err = db.View(t.Context(), func(tx *store.Tx) error {
				found, err = tx.FindStartToken(t.Context(), "p", token)
				return err
			})
			return found, err
		}
		if err := put("a"); err != nil {
			t.Fatal(err)
		}
		if err := put("a"); err == nil {
			t.Error("a token was remembered twice")
		}
		c.pass(24 * time.Hour)
		if err := put("b"); err != nil {
			t.Fatal(err)
		}
		if got, err := find("a"); err != nil || got != (store.StartToken{Token: "a", Execution: "of a", Arguments: "[]", At: c.now.Add(-24 * time.Hour)}) {
			t.Errorf("after a day: %+v %v", got, err)
		}
		c.pass(time.Second)
		if err := put("c"); err != nil {
			t.Fatal(err)
		}
		if _, err := find("a"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("later: %v, want ErrNotFound", err)
		}
		if _, err := find("b"); err != nil {
			t.Error(err)
		}
	})
}

// S-300: a deleted type keeps its row and is not listed.
func TestCustomActionTypes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		typ := func(category, version string) store.CustomActionType {
			return store.CustomActionType{ActionType: pipeline.ActionType{Timeout: time.Hour, Inputs: pipeline.Bounds{Max: 5},
				ID: pipeline.ActionTypeID{Category: category, Owner: "Custom", Provider: "W", Version: version}}}
		}
		inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
			for _, x := range []store.CustomActionType{typ("Test", "1"), typ("Build", "2"), typ("Build", "1")} {
				if err := tx.PutCustomActionType(ctx, testAccount, testRegion, x); err != nil {
					return err
				}
			}
			gone := typ("Build", "2")
			gone.Deleted = true
			if err := tx.PutCustomActionType(ctx, testAccount, testRegion, gone); err != nil {
				return err
			}
			if got, err := tx.CustomActionType(ctx, testAccount, testRegion, gone.ID); err != nil || !got.Deleted || got.Timeout != time.Hour {
				t.Errorf("deleted: %+v %v", got, err)
			}
			if _, err := tx.CustomActionType(ctx, testAccount, "us-east-1", gone.ID); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("elsewhere: %v", err)
			}
			list, err := tx.ListCustomActionTypes(ctx, testAccount, testRegion)
			if len(list) != 2 || list[0].ID.Category != "Build" || list[0].ID.Version != "1" || list[1].ID.Category != "Test" || list[1].Inputs.Max != 5 {
				t.Errorf("listed %+v", list)
			}
			return err
		})
	})
}

// S-359, S-364: tags of a resource, by key.
func TestTags(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
			for _, tag := range []store.Tag{{Key: "b", Value: "1"}, {Key: "B", Value: "2"}, {Key: "a", Value: "3"}, {Key: "b", Value: "4"}, {Key: "c"}} {
				if err := tx.PutTag(ctx, "r", tag); err != nil {
					return err
				}
			}
			if err := errors.Join(tx.PutTag(ctx, "other", store.Tag{Key: "x"}), tx.DeleteTag(ctx, "r", "c"), tx.DeleteTag(ctx, "r", "nothing")); err != nil {
				return err
			}
			if got, err := tx.Tags(ctx, "r"); err != nil || fmt.Sprint(got) != "[{B 2} {a 3} {b 4}]" {
				t.Errorf("tags %v %v", got, err)
			}
			if err := tx.DeleteTags(ctx, "r"); err != nil {
				return err
			}
			if got, err := tx.Tags(ctx, "r"); err != nil || len(got) != 0 {
				t.Errorf("deleted: %v %v", got, err)
			}
			if got, err := tx.Tags(ctx, "other"); len(got) != 1 || err != nil {
				t.Errorf("the other's: %v %v", got, err)
			}
			return nil
		})
	})
}
