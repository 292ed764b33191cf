package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"penstock/internal/engine"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

func load(t *testing.T, db *store.DB, id string) *engine.State {
	t.Helper()
	var s *engine.State
	inTx(t, db, func(ctx context.Context, tx *store.Tx) (err error) {
		s, err = tx.LoadState(ctx, id)
		return err
	})
	return s
}

// A state is never an old one: not after a transaction that was undone, not within the one
// that changed it, and not after another node has saved.
func TestStatesAreNeverOld(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		db := storetest.Open(t, url)
		j := newJourney(t, db, "id", newPipeline(t, db, "id", testRegion, "p"))
		j.step(engine.Start{})
		if n := len(load(t, db, "id").Executions); n != 1 {
			t.Fatalf("%d executions", n)
		}
		undone := errors.New("undone")
		step := func(db *store.DB, fail error) error {
			return db.Update(t.Context(), func(tx *store.Tx) error {
				s, err := tx.LoadState(t.Context(), "id")
				if err != nil {
					return err
				}
				s.Attached.Catalogue = anyType
				next, _, err := engine.Step(s, tx.Now(), engine.DisableTransition{Stage: "Two", Direction: "Inbound", Reason: fmt.Sprint("at ", s.Seq)})
				if err != nil {
					return err
				}
				if err := tx.SaveState(t.Context(), "id", next); err != nil {
					return err
				}
				again, err := tx.LoadState(t.Context(), "id")
				if err == nil && again.Seq != s.Seq+1 {
					t.Errorf("event %d after saving event %d", again.Seq, s.Seq+1)
				}
				return errors.Join(err, fail)
			})
		}
		if err := step(db, undone); !errors.Is(err, undone) {
			t.Fatal(err)
		}
		if s := load(t, db, "id"); s.Seq != 1 || s.Stages["Two"].Transition.Disabled {
			t.Errorf("after an undone transaction: event %d", s.Seq)
		}
		if strings.HasPrefix(url, "sqlite") {
			return
		}
		other := storetest.Open(t, url)
		for range 3 {
			if err := errors.Join(step(other, nil), step(db, nil)); err != nil {
				t.Fatal(err)
			}
		}
		if s := load(t, other, "id"); s.Seq != 7 || s.Stages["Two"].Transition.Reason != "at 6" {
			t.Errorf("event %d, %q", s.Seq, s.Stages["Two"].Transition.Reason)
		}
	})
}

// What a caller attaches to a state it was given is nobody else's.
func TestStatesAreTheirCallers(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		j := newJourney(t, db, "id", newPipeline(t, db, "id", testRegion, "p"))
		j.step(engine.Start{})
		first := load(t, db, "id")
		if first.Started != "" || first.Attached.Catalogue != nil || first.Current() == nil {
			t.Errorf("%q %v", first.Started, first.Attached)
		}
		first.Attached.Catalogue = anyType
		if load(t, db, "id").Attached.Catalogue != nil {
			t.Error("the catalogue of another")
		}
	})
}

// The cache is bounded by what its states weigh, not by their number alone, and forgets
// pipelines that are deleted.
func TestStatesAreBounded(t *testing.T) {
	t.Parallel()
	db := storetest.SQLite(t)
	most := 0
	for i := range 60 {
		id := fmt.Sprint("id", i)
		j := newJourney(t, db, id, newPipeline(t, db, id, testRegion, id))
		j.step(engine.Start{})
		j.step(engine.Progress{Job: ref(j.running("A")), Result: engine.Result{Summary: strings.Repeat("x", 200_000)}})
		n, weight := db.StatesKept()
		if most = max(most, n); weight > 8<<20 || n == 0 {
			t.Fatalf("%d states weigh %d", n, weight)
		}
	}
	if most < 10 || most >= 60 {
		t.Errorf("at most %d states were kept", most)
	}
	inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
		for i := range 60 {
			if err := tx.DeletePipeline(ctx, fmt.Sprint("id", i), ""); err != nil {
				return err
			}
		}
		return nil
	})
	if n, weight := db.StatesKept(); n != 0 || weight != 0 {
		t.Errorf("%d states that weigh %d are left", n, weight)
	}
}
