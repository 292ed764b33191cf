package store_test

import (
	"errors"
	"strings"
	"testing"

	"penstock/internal/pipeline"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// S-105: a revision is known by its whole text, for each pipeline and action of its own, with
// the latest execution that used it.
func TestRevisions(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		long := strings.Repeat("界", 1499)
		put := func(owner, action, revision, execution string, order int64) {
			t.Helper()
			if err := db.Update(t.Context(), func(tx *store.Tx) error {
				return tx.PutRevision(t.Context(), owner, action, revision, pipeline.ExecutionID(execution), order)
			}); err != nil {
				t.Fatal(err)
			}
		}
		want := func(owner, action, revision, execution string) {
			t.Helper()
			err := db.View(t.Context(), func(tx *store.Tx) error {
				got, err := tx.RevisionExecution(t.Context(), owner, action, revision)
				if string(got) != execution || (execution == "") != errors.Is(err, store.ErrNotFound) {
					t.Errorf("%s %s: %s, %v; want %q", owner, action, got, err, execution)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		put("p", "a", long+"x", "e2", 2)
		put("p", "a", long+"x", "e1", 1) // an older execution that came to it later
		want("p", "a", long+"x", "e2")
		want("p", "a", long+"y", "")
		want("p", "b", long+"x", "")
		want("q", "a", long+"x", "")
		put("p", "a", long+"x", "e3", 3)
		want("p", "a", long+"x", "e3")
		if err := db.Update(t.Context(), func(tx *store.Tx) error { return tx.DeletePipeline(t.Context(), "p", "arn") }); err != nil {
			t.Fatal(err)
		}
		want("p", "a", long+"x", "")
	})
}
