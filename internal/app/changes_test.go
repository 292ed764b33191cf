package app

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"penstock/internal/conductor"
	"penstock/internal/engine"
	"penstock/internal/pipeline"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
	"penstock/internal/svc/codecommit"
)

// S-91, S-245, S-246: a change starts a pipeline once, with the name of the source action, and
// not if the pipeline has been idle for more than 30 days.
func TestChanges(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		c := conductor.New(conductor.Config{DB: db, Builtin: pipeline.BuiltinTypes(), Log: slog.New(slog.DiscardHandler)})
		action := func(name, category, provider string) pipeline.Action {
			return pipeline.Action{Name: name, RunOrder: 1, ActionTypeID: pipeline.ActionTypeID{Category: category, Owner: "AWS", Provider: provider, Version: "1"}}
		}
		d := &pipeline.Declaration{Name: "p", Version: 1, PipelineType: pipeline.V1, ExecutionMode: pipeline.Superseded, ArtifactStore: &pipeline.ArtifactStore{Type: "S3", Location: "b"},
			Stages: []pipeline.Stage{{Name: "Source", Actions: []pipeline.Action{action("Object", "Source", "S3")}}, {Name: "Ask", Actions: []pipeline.Action{action("Look", "Approval", "Manual")}}}}
		if err := db.Update(ctx, func(tx *store.Tx) error {
			if err := tx.PutSources(ctx, "id", []store.Source{{Action: "Object", Resource: objectARN + "b/k", Seen: "v1"}}); err != nil {
				return err
			}
			_, err := c.CreateTx(ctx, tx, "id", "111111111111", "eu-west-1", "seed", d, "me")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		changes := newChanges(db, c, &endpoints{}, slog.New(slog.DiscardHandler))
		change := func(revision string) string {
			if err := changes.changed(ctx, objectARN+"b/k", func(context.Context, *store.Tx, store.Source) (string, error) { return revision, nil }); err != nil {
				t.Fatal(err)
			}
			s, err := c.Apply(ctx, "id", engine.Wakeup{})
			if err != nil {
				t.Fatal(err)
			}
			e := &engine.Execution{}
			for _, x := range s.Executions {
				if x.Order >= e.Order {
					e = x
				}
			}
			return e.Trigger.Type + " " + e.Trigger.Detail
		}
		before := db.Stats().Updates
		if got := change("v1"); got != "CreatePipeline me" {
			t.Errorf("nothing has changed: %s", got)
		}
		if n := db.Stats().Updates - before; n != 1 { // that of Wakeup
			t.Errorf("looking at what has not changed took %d transactions that write", n-1)
		}
		if got := change("v2"); got != "PollForSourceChanges Object" {
			t.Errorf("a change: %s", got)
		}
		// S-239: a rule that tells of the same change starts the pipeline once more.
		if _, err := c.Apply(ctx, "id", engine.Start{Trigger: pipeline.Trigger{Type: pipeline.TriggerCloudWatchEvent, Detail: "rule"}, Detected: true}); err != nil {
			t.Fatal(err)
		}
		if got := change("v2"); got != "CloudWatchEvent rule" {
			t.Errorf("a rule: %s", got)
		}
		changes.limits.PollIdle = time.Nanosecond
		if _, err := c.Apply(ctx, "id", engine.Start{Trigger: pipeline.Trigger{Type: "StartPipelineExecution"}}); err != nil {
			t.Fatal(err)
		}
		if got := change("v3"); got != "StartPipelineExecution " {
			t.Errorf("idle for too long: %s", got)
		}
		changes.limits.PollIdle = time.Hour
		if got := change("v3"); got != "PollForSourceChanges Object" {
			t.Errorf("polled again: %s", got)
		}
	})
}

// S-87, S-245: a push that moves several branches starts a pipeline that follows them once, and the
// next push to any of them again.
func TestPushOfSeveralBranches(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		c := conductor.New(conductor.Config{DB: db, Builtin: pipeline.BuiltinTypes(), Log: slog.New(slog.DiscardHandler)})
		const arn = "arn:aws:codecommit:eu-west-1:111111111111:app"
		action := func(name, category, provider string) pipeline.Action {
			return pipeline.Action{Name: name, RunOrder: 1, ActionTypeID: pipeline.ActionTypeID{Category: category, Owner: "AWS", Provider: provider, Version: "1"}}
		}
		d := &pipeline.Declaration{Name: "p", Version: 1, PipelineType: pipeline.V2, ExecutionMode: pipeline.Queued, ArtifactStore: &pipeline.ArtifactStore{Type: "S3", Location: "b"},
			Stages: []pipeline.Stage{{Name: "Source", Actions: []pipeline.Action{action("Main", "Source", "CodeCommit"), action("Rel", "Source", "CodeCommit")}},
				{Name: "Ask", Actions: []pipeline.Action{action("Look", "Approval", "Manual")}}}}
		if err := db.Update(ctx, func(tx *store.Tx) error {
			if err := tx.PutSources(ctx, "id", []store.Source{{Action: "Main", Resource: arn, Detail: "main"}, {Action: "Rel", Resource: arn, Detail: "rel"}}); err != nil {
				return err
			}
			_, err := c.CreateTx(ctx, tx, "id", "111111111111", "eu-west-1", "seed", d, "me")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		changes := newChanges(db, c, &endpoints{}, slog.New(slog.DiscardHandler))
		push := func(news ...string) int {
			var list []codecommit.RefUpdate
			for i := 0; i < len(news); i += 2 {
				list = append(list, codecommit.RefUpdate{Account: "111111111111", Region: "eu-west-1", Repository: "app", RepositoryARN: arn, Ref: news[i], Old: "0", New: news[i+1]})
			}
			if err := changes.refsUpdated(ctx, list); err != nil {
				t.Fatal(err)
			}
			s, err := c.Apply(ctx, "id", engine.Wakeup{})
			if err != nil {
				t.Fatal(err)
			}
			return len(s.Executions)
		}
		for i, step := range []struct {
			push []string
			want int
		}{
			{[]string{"refs/heads/rel", "1", "refs/heads/main", "1", "refs/heads/else", "1", "refs/tags/t", "1"}, 2},
			{[]string{"refs/heads/rel", "1", "refs/heads/main", "1"}, 2}, // told again
			{[]string{"refs/heads/rel", "2", "refs/heads/main", ""}, 3},  // one deleted
			{[]string{"refs/heads/else", "2", "refs/tags/main", "2"}, 3},
			{[]string{"refs/heads/main", "1", "refs/heads/rel", "1"}, 4}, // one turned back, one made again as it was
		} {
			if got := push(step.push...); got != step.want {
				t.Errorf("after push %d there are %d executions, want %d", i+1, got, step.want)
			}
		}
	})
}

// S-242, S-243, S-267, S-269: several source actions of one repository. All whose branch was
// pushed take the commit, in one execution; what names the action in a trigger decides alone.
func TestAsks(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:codeconnections:eu-west-1:111111111111:connection/x"
	source := func(name, repository, branch, detect string) pipeline.Action {
		return pipeline.Action{Name: name, ActionTypeID: pipeline.ActionTypeID{Category: "Source", Owner: "AWS", Provider: "CodeStarSourceConnection", Version: "1"},
			Configuration: map[string]string{"ConnectionArn": arn, "FullRepositoryId": repository, "BranchName": branch, "DetectChanges": detect}}
	}
	d := &pipeline.Declaration{
		Stages: []pipeline.Stage{{Name: "Source", Actions: []pipeline.Action{source("Main", "o/r", "main", "true"), source("Dev", "o/r", "dev", "true"), source("Same", "o/r", "dev", "true"),
			source("Off", "o/r", "dev", "false"), source("Other", "o/other", "dev", "true"), source("Filtered", "o/r", "dev", "true")}}},
		Triggers: []pipeline.TriggerDeclaration{{GitConfiguration: pipeline.GitConfiguration{SourceActionName: "Filtered", Push: []pipeline.GitPushFilter{{Tags: &pipeline.GitFilter{}}}}}},
	}
	event := pipeline.GitEvent{Kind: pipeline.GitPush, Branch: "dev", Commit: "c1", Repository: "o/r", Connection: arn}
	start, reasons := asks(d, event)
	if start == nil || start.Trigger != (pipeline.Trigger{Type: "Webhook", Detail: arn}) || len(start.Overrides) != 2 || start.Overrides[0].ActionName != "Dev" ||
		start.Overrides[1] != (pipeline.SourceRevisionOverride{ActionName: "Same", RevisionType: "COMMIT_ID", RevisionValue: "c1"}) || len(reasons) != 2 {
		t.Errorf("%+v %q", start, reasons)
	}
	event.Kind, event.Branch, event.Tag = pipeline.GitTag, "", "v1"
	if start, reasons = asks(d, event); start == nil || start.Trigger.Type != "WebhookV2" || len(start.Overrides) != 1 || start.Overrides[0].ActionName != "Filtered" {
		t.Errorf("%+v %q", start, reasons)
	}
	event.Kind, event.Branch = pipeline.GitPush, "none"
	if start, reasons = asks(d, event); start != nil || len(reasons) != 5 {
		t.Errorf("%+v %q", start, reasons)
	}
	event.Repository = "O/R"
	if start, reasons = asks(d, event); start != nil || reasons != nil { // P-4: case counts
		t.Errorf("%+v %q", start, reasons)
	}
}
