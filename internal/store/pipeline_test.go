package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"penstock/internal/engine"
	"penstock/internal/pipeline"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

const (
	testAccount = "111111111111"
	testRegion  = "eu-west-1"
)

// workType is the one action type of the tests' pipelines.
var workType = pipeline.ActionTypeID{Category: "Build", Owner: "Custom", Provider: "Worker", Version: "1"}

// release is a definition of three stages: one action, three actions in two groups behind a
// condition, and an approval.
func release(name string, mode pipeline.ExecutionMode) *pipeline.Declaration {
	act := func(name string, order int) pipeline.Action {
		return pipeline.Action{Name: name, ActionTypeID: workType, RunOrder: order, Namespace: "ns" + name,
			OutputArtifacts: []pipeline.OutputArtifact{{Name: "of" + name}}, Configuration: map[string]string{"job": name}}
	}
	approve := pipeline.Action{Name: "Ask", RunOrder: 1, ActionTypeID: pipeline.ActionTypeID{Category: "Approval", Owner: "AWS", Provider: "Manual", Version: "1"}}
	return &pipeline.Declaration{Name: name, RoleARN: "arn:role", Version: 1, PipelineType: pipeline.V2, ExecutionMode: mode,
		ArtifactStore: &pipeline.ArtifactStore{Type: "S3", Location: "bucket"},
		Stages: []pipeline.Stage{
			{Name: "One", Actions: []pipeline.Action{act("A", 1)}},
			{Name: "Two", BeforeEntry: &pipeline.Conditions{Conditions: []pipeline.Condition{{Result: "FAIL",
				Rules: []pipeline.Rule{{Name: "R", RuleTypeID: pipeline.RuleTypeID{Category: "Rule", Provider: "VariableCheck"}}}}}}, Actions: []pipeline.Action{act("B", 1), act("C", 1), act("D", 2)}},
			{Name: "Three", Actions: []pipeline.Action{approve}},
		}}
}

func anyType(id pipeline.ActionTypeID) (pipeline.ActionType, bool) {
	return pipeline.ActionType{ID: id, Timeout: time.Hour}, true
}

// newPipeline stores a pipeline that has had no execution.
func newPipeline(t *testing.T, db *store.DB, id, region, name string) *engine.State {
	t.Helper()
	d := release(name, pipeline.Superseded)
	var s *engine.State
	inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
		s = engine.New(testAccount, region, "seed of "+id, d, tx.Now())
		return tx.InsertPipeline(ctx, id, s, d)
	})
	return s
}

// S-60, S-61: names are unique in an account and Region, and listed in order of their bytes.
func TestPipelinesByName(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		for i, name := range []string{"b", "B", "a", "c"} {
			newPipeline(t, db, fmt.Sprint("id", i), testRegion, name)
		}
		newPipeline(t, db, "elsewhere", "us-east-1", "a")
		inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
			d := release("a", pipeline.Superseded)
			if err := tx.InsertPipeline(ctx, "again", engine.New(testAccount, testRegion, "s", d, tx.Now()), d); !errors.Is(err, store.ErrExists) {
				t.Errorf("a second pipeline of the name: %v, want ErrExists", err)
			}
			return tx.PutSetting(ctx, "still", "usable") // the transaction is
		})
		if v, err := get(ctx, db, "still"); v != "usable" || err != nil {
			t.Errorf("after ErrExists: %q %v", v, err)
		}
		var names []string
		err := db.View(ctx, func(tx *store.Tx) error {
			if n, err := tx.CountPipelines(ctx, testAccount, testRegion); n != 4 || err != nil {
				t.Errorf("counted %d %v", n, err)
			}
			if p, err := tx.FindPipeline(ctx, testAccount, "us-east-1", "a"); err != nil || p.ID != "elsewhere" || p.Mode != pipeline.Superseded || p.Type != "V2" || p.Version != 1 || p.Created.IsZero() {
				t.Errorf("found %+v %v", p, err)
			}
			if _, err := tx.FindPipeline(ctx, "222222222222", testRegion, "a"); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("another account's: %v", err)
			}
			names = nil
			for after := ""; ; {
				page, err := tx.ListPipelines(ctx, testAccount, testRegion, after, 3)
				for _, p := range page {
					names = append(names, p.Name)
				}
				if err != nil || len(page) < 3 {
					return err
				}
				after = page[2].Name
			}
		})
		if err != nil || !slices.Equal(names, []string{"B", "a", "b", "c"}) {
			t.Errorf("listed %v %v", names, err)
		}
	})
}

// S-61, S-71: a pipeline counts as polled by the version in force, in its account and Region; those
// of a database that did not count yet count by their sources.
func TestPolledPipelines(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		db := storetest.Open(t, url)
		version := func(n int, poll string) *pipeline.Declaration {
			d := release("a", pipeline.Superseded)
			d.Version = n
			d.Stages[0].Actions[0].ActionTypeID = pipeline.ActionTypeID{Category: "Source", Owner: "AWS", Provider: "S3", Version: "1"}
			d.Stages[0].Actions[0].Configuration = map[string]string{"PollForSourceChanges": poll}
			return d
		}
		count := func(tx *store.Tx, account, region string, want int) {
			t.Helper()
			if n, err := tx.CountPolledPipelines(t.Context(), account, region); n != want || err != nil {
				t.Errorf("counted %d %v, want %d", n, err, want)
			}
		}
		newPipeline(t, db, "custom", testRegion, "custom")
		inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
			for i, where := range [][2]string{{testAccount, testRegion}, {testAccount, "us-east-1"}, {"222222222222", testRegion}} {
				d := version(1, "true")
				if err := tx.InsertPipeline(ctx, fmt.Sprint("id", i), engine.New(where[0], where[1], "s", d, tx.Now()), d); err != nil {
					return err
				}
				count(tx, where[0], where[1], 1)
			}
			if err := tx.InsertVersion(ctx, "id0", version(2, "false")); err != nil {
				return err
			}
			count(tx, testAccount, testRegion, 0)
			count(tx, testAccount, "us-east-1", 1)
			if err := tx.InsertVersion(ctx, "id0", version(3, "")); err != nil {
				return err
			}
			count(tx, testAccount, testRegion, 1)
			err := tx.DeletePipeline(ctx, "id1", "arn")
			count(tx, testAccount, "us-east-1", 0)
			return err
		})
		inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
			for id, resource := range map[string]string{"id0": "arn:aws:codecommit:eu-west-1:111111111111:r", "id2": "arn:aws:s3:::b/k", "custom": "arn:aws:codeconnections:eu-west-1:111111111111:connection/c"} {
				if err := tx.PutSources(ctx, id, []store.Source{{Action: "A", Resource: resource}}); err != nil {
					return err
				}
			}
			for _, undo := range []string{`DROP INDEX pipeline_polled`, `ALTER TABLE pipeline DROP COLUMN polled`, `DELETE FROM goose_db_version WHERE version_id = 190`} {
				if err := store.Exec(ctx, tx, undo); err != nil {
					return err
				}
			}
			return nil
		})
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		inTx(t, storetest.Open(t, url), func(ctx context.Context, tx *store.Tx) error {
			count(tx, testAccount, testRegion, 1)
			count(tx, "222222222222", testRegion, 1)
			return nil
		})
	})
}

func TestDeclarationsByVersion(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		newPipeline(t, db, "id", testRegion, "p")
		second := release("p", pipeline.Queued)
		second.Version = 2
		undone := errors.New("undone")
		if err := db.Update(ctx, func(tx *store.Tx) error {
			if err := tx.InsertVersion(ctx, "id", second); err != nil {
				return err
			}
			if _, err := tx.Declaration(ctx, "id", 2); err != nil {
				return err
			}
			return undone
		}); !errors.Is(err, undone) {
			t.Fatal(err)
		}
		if err := db.View(ctx, func(tx *store.Tx) error {
			_, err := tx.Declaration(ctx, "id", 2)
			return err
		}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a version of an undone transaction: %v, want ErrNotFound", err)
		}
		inTx(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertVersion(ctx, "id", second) })
		for range 2 { // from the row, and from the cache
			if err := db.View(ctx, func(tx *store.Tx) error {
				first, err := tx.Declaration(ctx, "id", 1)
				if err != nil {
					return err
				}
				got, err := tx.Declaration(ctx, "id", 2)
				if err == nil && (first.ExecutionMode != pipeline.Superseded || got.ExecutionMode != pipeline.Queued || len(got.Stages) != 3) {
					t.Errorf("%+v %+v", first, got)
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestStatesThatAreNotThere(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
			_, loaded := tx.LoadState(ctx, "nobody")
			_, viewed := tx.ViewState(ctx, "nobody")
			_, execution := tx.Execution(ctx, "nobody", "e")
			for _, err := range []error{loaded, viewed, execution} {
				if !errors.Is(err, store.ErrNotFound) {
					t.Errorf("%v, want ErrNotFound", err)
				}
			}
			return nil
		})
	})
}

// S-68: nothing is left of a deleted pipeline, in whatever table, and its neighbour keeps all.
func TestDeletePipelineLeavesNoRow(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		for _, id := range []string{"gone", "kept"} {
			s := newPipeline(t, db, id, testRegion, id)
			j := newJourney(t, db, id, s)
			j.step(engine.Start{})
			j.step(j.succeed("A"))
			j.step(engine.Start{})
			inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
				_, err := tx.TakeDelivery(ctx, id, "d", time.Hour)
				return errors.Join(err, store.Exec(ctx, tx, `INSERT INTO removal (pipeline_id, execution_id) VALUES ($1, 'an older one')`, id),
					tx.PutSourceEvent(ctx, id, "push", "started"),
					tx.PutSources(ctx, id, []store.Source{{PipelineID: id, Action: "A", Resource: "arn:r", Detail: "main"}}),
					tx.PutStartToken(ctx, id, store.StartToken{Token: "t", Execution: "e", Arguments: "[]"}, time.Hour),
					tx.PutRevision(ctx, id, "A", "r1", "e", 1),
					tx.SetTimer(ctx, store.Timer{Run: pipeline.ActionExecutionID("run of " + id), PipelineID: id, At: tx.Now()}),
					tx.InsertJob(ctx, id, engine.Job{ID: pipeline.JobID("job of " + id), Type: workType}, "", tx.Now()),
					tx.PutTag(ctx, s.ARN(), pipeline.Tag{Key: "k", Value: "v"}))
			})
		}
		// A table that gets a pipeline_id is covered by this test from then on.
		tables := tablesWith(t, db, "pipeline_id")
		if len(tables) < 8 {
			t.Fatalf("tables of pipelines: %v", tables)
		}
		rows := func(id string) map[string]int {
			out := map[string]int{}
			for _, table := range tables {
				out[table] = count(t, db, `SELECT count(*) FROM `+table+` WHERE pipeline_id = $1`, id)
			}
			out["pipeline"] = count(t, db, `SELECT count(*) FROM pipeline WHERE id = $1`, id)
			out["webhook_delivery"] = count(t, db, `SELECT count(*) FROM webhook_delivery WHERE hook = $1`, id)
			out["tag"] = count(t, db, `SELECT count(*) FROM tag WHERE resource = $1`, "arn:aws:codepipeline:"+testRegion+":"+testAccount+":"+id)
			return out
		}
		before := rows("gone")
		for table, n := range before {
			if n == 0 {
				t.Errorf("the test has no row in %s", table)
			}
		}
		inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.DeletePipeline(ctx, "gone", "arn:aws:codepipeline:"+testRegion+":"+testAccount+":gone")
		})
		for table, n := range rows("gone") {
			if n != 0 {
				t.Errorf("%d rows are left in %s", n, table)
			}
		}
		if kept := rows("kept"); !maps.Equal(kept, before) {
			t.Errorf("the other pipeline has %v, had %v", kept, before)
		}
		newPipeline(t, db, "new", testRegion, "gone") // the name is free
		if err := db.View(ctx, func(tx *store.Tx) error {
			_, err := tx.ViewState(ctx, "new")
			return err
		}); err != nil {
			t.Error(err)
		}
	})
}

// tablesWith lists the tables that have a column.
func tablesWith(t *testing.T, db *store.DB, column string) []string {
	t.Helper()
	query := `SELECT coalesce(string_agg(table_name, ' '), '') FROM information_schema.columns WHERE table_schema = 'public' AND column_name = $1`
	if db.SQLite() {
		query = `SELECT coalesce(group_concat(m.name, ' '), '') FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND c.name = $1`
	}
	var names string
	if err := db.View(t.Context(), func(tx *store.Tx) error { return store.One(t.Context(), tx, query, []any{column}, &names) }); err != nil {
		t.Fatal(err)
	}
	return strings.Fields(names)
}

func count(t *testing.T, db *store.DB, query string, args ...any) int {
	t.Helper()
	n := 0
	if err := db.View(t.Context(), func(tx *store.Tx) error { return store.One(t.Context(), tx, query, args, &n) }); err != nil {
		t.Fatal(err)
	}
	return n
}

// text is a value's JSON, for comparing what was stored with what is in memory.
func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
