package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"

	"penstock/internal/app"
	"penstock/internal/engine"
	"penstock/internal/pipeline"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// What is generated is listed by a server as what has really run.
func TestGeneratedCrowdIsServed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key := filepath.Join(dir, "master.key")
	if _, err := (&app.Config{Data: dir}).MasterKeys(); err != nil {
		t.Fatal(err)
	}
	serve := func(t *testing.T, database string, c crowd) {
		cfg := app.Default()
		cfg.Data, cfg.Listen, cfg.Log, cfg.Database, cfg.MasterKey = t.TempDir(), "127.0.0.1:0", slog.New(slog.DiscardHandler), database, key
		a, err := app.Start(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := a.Close(); err != nil {
				t.Error(err)
			}
		}()
		checkCrowd(t, codepipeline.NewFromConfig(config(a.Credentials())), c)
	}
	storetest.EachURL(t, func(t *testing.T, url string) {
		c := crowd{pipelines: 200, executions: 5000, waiting: true}
		if !strings.HasPrefix(url, "sqlite:") {
			c.pipelines, c.executions = 30, 600
		}
		if err := generate(t.Context(), dir, url, c); err != nil {
			t.Fatal(err)
		}
		serve(t, url, c)
	})
}

func checkCrowd(t *testing.T, c *codepipeline.Client, want crowd) {
	ctx := t.Context()
	n := 0
	for p := codepipeline.NewListPipelinesPaginator(c, &codepipeline.ListPipelinesInput{MaxResults: aws.Int32(7)}); p.HasMorePages(); {
		page, err := p.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range page.Pipelines {
			if *s.Name != memberName(n) {
				t.Fatalf("pipeline %d is %s", n, *s.Name)
			}
			n++
		}
	}
	if n != want.pipelines {
		t.Errorf("%d pipelines are listed, %d were made", n, want.pipelines)
	}
	for _, i := range []int{0, 1, 10, want.pipelines - 1} {
		checkMember(t, c, i, want.of(i))
	}
}

// checkMember looks at one pipeline, of which so many executions have ended and one waits.
func checkMember(t *testing.T, c *codepipeline.Client, i, ended int) {
	ctx, name := t.Context(), memberName(i)
	statuses := map[types.PipelineExecutionStatus]int{}
	var last time.Time
	var failed, succeeded string
	for p := codepipeline.NewListPipelineExecutionsPaginator(c, &codepipeline.ListPipelineExecutionsInput{PipelineName: &name, MaxResults: aws.Int32(33)}); p.HasMorePages(); {
		page, err := p.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.PipelineExecutionSummaries {
			if !last.IsZero() && !e.StartTime.Before(last) {
				t.Errorf("%s: an execution of %v comes after one of %v", name, e.StartTime, last)
			}
			last = *e.StartTime
			statuses[e.Status]++
			switch e.Status {
			case types.PipelineExecutionStatusFailed:
				failed = *e.PipelineExecutionId
			case types.PipelineExecutionStatusSucceeded:
				succeeded = *e.PipelineExecutionId
			}
		}
	}
	wantFailed := 0
	for n := range ended {
		if n%10 == 4 && n < ended-1 {
			wantFailed++
		}
	}
	if statuses["InProgress"] != 1 || statuses["Failed"] != wantFailed || statuses["Succeeded"] != ended-wantFailed {
		t.Errorf("%s: %v are listed, of %d of which %d failed", name, statuses, ended, wantFailed)
	}
	rules := 0
	if i%10 == 0 {
		rules = 1
	}
	for execution, actions := range map[string]int{failed: 2, succeeded: 4} {
		if execution == "" {
			continue
		}
		runs, err := c.ListActionExecutions(ctx, &codepipeline.ListActionExecutionsInput{PipelineName: &name, Filter: &types.ActionExecutionFilter{PipelineExecutionId: &execution}})
		if err != nil {
			t.Fatal(err)
		}
		ruled, err := c.ListRuleExecutions(ctx, &codepipeline.ListRuleExecutionsInput{PipelineName: &name, Filter: &types.RuleExecutionFilter{PipelineExecutionId: &execution}})
		if err != nil {
			t.Fatal(err)
		}
		if len(runs.ActionExecutionDetails) != actions || len(ruled.RuleExecutionDetails) != rules*(actions-2)/2 {
			t.Errorf("%s %s: %d actions and %d rules have run", name, execution, len(runs.ActionExecutionDetails), len(ruled.RuleExecutionDetails))
		}
	}
	// The one that waits can go on.
	s, err := c.GetPipelineState(ctx, &codepipeline.GetPipelineStateInput{Name: &name})
	if err != nil {
		t.Fatal(err)
	}
	run := s.StageStates[2].ActionStates[0].LatestExecution
	if run == nil || run.Token == nil {
		t.Fatalf("%s waits for no approval", name)
	}
	if _, err := c.PutApprovalResult(ctx, &codepipeline.PutApprovalResultInput{PipelineName: &name, StageName: aws.String("Approve"), ActionName: aws.String("Approve"), Token: run.Token,
		Result: &types.ApprovalResult{Status: types.ApprovalStatusApproved, Summary: aws.String("go")}}); err != nil {
		t.Error(err)
	}
}

// What is saved at once is what saving every step leaves.
func TestGeneratedHistoryIsThatOfEveryStep(t *testing.T) {
	t.Parallel()
	const executions = 12
	ctx, born := t.Context(), time.Now().UTC().Add(-lifetime).Truncate(time.Microsecond)
	atOnce, stepwise := storetest.SQLite(t), storetest.SQLite(t)
	m, err := newMember(0, home.Region, pipeline.NewCatalogue(builtin()...), born)
	if err == nil {
		m.keep = born // every job
		err = m.live(ctx, atOnce, executions)
	}
	if err != nil {
		t.Fatal(err)
	}
	twin, err := newMember(0, home.Region, pipeline.NewCatalogue(builtin()...), born)
	if err != nil {
		t.Fatal(err)
	}
	if err := stepwise.Update(ctx, func(tx *store.Tx) error { return tx.InsertPipeline(ctx, twin.id, twin.s, twin.d) }); err != nil {
		t.Fatal(err)
	}
	var jobs []pipeline.JobID
	twin.stepped = func(s *engine.State, effects []engine.Effect) error {
		return stepwise.Update(ctx, func(tx *store.Tx) error {
			err := tx.SaveState(ctx, twin.id, s)
			for _, effect := range effects {
				switch effect := effect.(type) {
				case engine.StartJob:
					jobs = append(jobs, effect.ID)
					err = errors.Join(err, tx.InsertJob(ctx, twin.id, effect.Job, "", effect.NotBefore))
				case engine.EndJob:
					err = errors.Join(err, tx.EndJob(ctx, effect.ID, effect.Status))
				}
			}
			return err
		})
	}
	for n := range executions {
		begun := twin.now
		if _, err := twin.execution(n, n%10 == 4); err != nil {
			t.Fatal(err)
		}
		twin.now = begun.Add(lifetime / (executions + 1)).Truncate(time.Microsecond)
	}
	a, b := history(t, atOnce, m.id, jobs), history(t, stepwise, m.id, jobs)
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range max(len(x), len(y)) {
		if i >= len(x) || i >= len(y) || x[i] != y[i] {
			t.Fatalf("at once %d and step by step %d lines are left; the first that differ:\n%s\n%s", len(x), len(y), append(x, "")[min(i, len(x))], append(y, "")[min(i, len(y))])
		}
	}
	if lines := strings.Count(a, "\n"); lines < executions*8 {
		t.Errorf("there is too little of it: %d lines", lines)
	}
}

// history is everything that is stored of a pipeline, a line each.
func history(t *testing.T, db *store.DB, id string, jobs []pipeline.JobID) string {
	t.Helper()
	var out strings.Builder
	line := func(what string, v any) {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "%s %s\n", what, text)
	}
	if err := db.View(t.Context(), func(tx *store.Tx) error {
		ctx := context.WithoutCancel(t.Context())
		s, err := tx.ViewState(ctx, id)
		if err != nil {
			return err
		}
		line("state", s)
		passed, err := tx.ListExecutions(ctx, id, 0, "Deploy", 1, 1000)
		if err != nil {
			return err
		}
		line("passed", passed)
		list, err := tx.ListExecutions(ctx, id, 0, "", 0, 1000)
		if err != nil {
			return err
		}
		for _, e := range list {
			full, err := tx.Execution(ctx, id, e.ID)
			if err != nil {
				return err
			}
			line("execution", full)
		}
		runs, err := tx.ListActionRuns(ctx, id, "", 0, 1000)
		if err != nil {
			return err
		}
		rules, err := tx.ListRuleRuns(ctx, id, "", 0, 1000)
		if err != nil {
			return err
		}
		for _, run := range append(runs, rules...) {
			line("run", run)
		}
		for _, job := range jobs {
			row, err := tx.Job(ctx, job)
			if err != nil {
				return err
			}
			row.Fence = 0 // nobody has claimed them here
			line("job", row)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
