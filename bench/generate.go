package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"penstock/internal/app"
	"penstock/internal/conductor"
	"penstock/internal/engine"
	"penstock/internal/pipeline"
	"penstock/internal/store"
)

// crowd is what a database is filled with: pipelines that have run for months.
type crowd struct {
	pipelines, executions int
	// region is where they are; empty is that of a server without settings.
	region string
	// waiting has one more execution of each pipeline wait, at its approval.
	waiting bool
}

// of says how many executions have ended of a pipeline: the first has a tenth of all, the
// others share the rest.
func (c crowd) of(i int) int {
	first := c.executions / 10
	if c.pipelines == 1 {
		return c.executions
	}
	if i == 0 {
		return first
	}
	rest, others := c.executions-first, c.pipelines-1
	n := rest / others
	if i <= rest%others {
		n++
	}
	return n
}

// generate fills the database of a data folder, or the one at a URL if there is one, in which no
// server has run before. What is secret is sealed with the master key of the folder, which need
// not have one yet, or with that in the file that PENSTOCK_MASTER_KEY names.
func generate(ctx context.Context, folder, url string, c crowd) (err error) {
	cfg := app.Config{Data: folder, MasterKey: os.Getenv("PENSTOCK_MASTER_KEY")}
	if folder != "" {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return err
		}
	} else if cfg.MasterKey == "" {
		return errors.New("PENSTOCK_MASTER_KEY must name the file of the server's master key")
	}
	url = cmp.Or(url, "sqlite:"+filepath.Join(folder, "penstock.db"))
	keys, err := cfg.MasterKeys()
	if err != nil {
		return err
	}
	// Who loses power now begins again.
	db, err := store.Open(ctx, store.Config{URL: url, Durability: store.Off, Keys: keys})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	// As a server does first: what is stored is sealed from the beginning, and no start has to look.
	if err := db.TakeKeys(ctx); err != nil {
		return err
	}
	return fill(ctx, db, c)
}

// members of the crowd are in the account and Region that a server has without settings.
var home = app.Default()

func memberName(i int) string { return fmt.Sprintf("crowd-%05d", i) }

const (
	// atOnce is how many executions are saved in one transaction.
	atOnce = 1000
	// lifetime is how long ago the first of them began.
	lifetime = 330 * 24 * time.Hour
)

// fill lives the lives of a crowd and saves what they leave. Every execution is stepped
// through by the engine, four actions and in some pipelines a rule each; only the saving of
// the steps between is left out.
func fill(ctx context.Context, db *store.DB, c crowd) error {
	catalogue := pipeline.NewCatalogue(builtin()...)
	mover := conductor.New(conductor.Config{DB: db, Builtin: builtin()})
	// What is older than a year is not shown.
	born := time.Now().UTC().Add(-lifetime).Truncate(time.Microsecond)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4) // some compute while one writes
	for i := range c.pipelines {
		g.Go(func() error {
			m, err := newMember(i, cmp.Or(c.region, home.Region), catalogue, born)
			if err != nil {
				return err
			}
			if err := m.live(ctx, db, c.of(i)); err != nil {
				return fmt.Errorf("%s: %w", m.s.Name, err)
			}
			if c.waiting {
				return m.wait(ctx, db, mover)
			}
			return nil
		})
	}
	return g.Wait()
}

// builtin are the action types of the crowd, and the type of its rule.
func builtin() []pipeline.ActionType {
	return append(pipeline.BuiltinTypes(), pipeline.RunnableRule("VariableCheck"))
}

// member is one pipeline of the crowd.
type member struct {
	id        string
	s         *engine.State
	d         *pipeline.Declaration
	catalogue pipeline.Catalogue
	number    int
	// now is the time in its life, keep since when jobs that have ended are still there.
	now, keep time.Time
	// jobs are those of executions that have not ended.
	jobs []store.PastJob
	// stepped, if not nil, sees the state after each step with what follows from it.
	stepped func(*engine.State, []engine.Effect) error
}

func newMember(i int, region string, catalogue pipeline.Catalogue, born time.Time) (*member, error) {
	aws := func(category, provider string) pipeline.ActionTypeID {
		return pipeline.ActionTypeID{Category: category, Owner: pipeline.OwnerAWS, Provider: provider, Version: "1"}
	}
	in := []pipeline.ArtifactName{{Name: "source"}}
	d := &pipeline.Declaration{Name: memberName(i), RoleARN: "arn:aws:iam::" + home.Account + ":role/bench", PipelineType: pipeline.V2,
		ArtifactStore: &pipeline.ArtifactStore{Type: "S3", Location: bucket},
		Stages: []pipeline.Stage{
			{Name: "Source", Actions: []pipeline.Action{{Name: "Source", ActionTypeID: aws("Source", "S3"), Namespace: "SourceVariables",
				Configuration:   map[string]string{"S3Bucket": "bench-source", "S3ObjectKey": memberName(i) + ".zip", "PollForSourceChanges": "false"},
				OutputArtifacts: []pipeline.OutputArtifact{{Name: "source"}}}}},
			{Name: "Build", Actions: []pipeline.Action{{Name: "Build", ActionTypeID: aws("Build", "CodeBuild"), InputArtifacts: in,
				Configuration:   map[string]string{"ProjectName": "bench", "EnvironmentVariables": `[{"name":"VERSION","value":"#{SourceVariables.VersionId}"}]`},
				OutputArtifacts: []pipeline.OutputArtifact{{Name: "built"}}}}},
			{Name: "Approve", Actions: []pipeline.Action{{Name: "Approve", ActionTypeID: aws("Approval", "Manual"),
				Configuration: map[string]string{"CustomData": "Release #{SourceVariables.VersionId}?"}}}},
			{Name: "Deploy", Actions: []pipeline.Action{{Name: "Deploy", ActionTypeID: aws("Deploy", "S3"), InputArtifacts: []pipeline.ArtifactName{{Name: "built"}},
				Configuration: map[string]string{"BucketName": "bench-site", "Extract": "true"}}}},
		}}
	if i%10 == 0 {
		d.Stages[3].BeforeEntry = &pipeline.Conditions{Conditions: []pipeline.Condition{{Result: "FAIL", Rules: []pipeline.Rule{{Name: "Released",
			RuleTypeID:    pipeline.RuleTypeID{Category: "Rule", Owner: "AWS", Provider: "VariableCheck", Version: "1"},
			Configuration: map[string]string{"Variable": "#{SourceVariables.VersionId}", "Value": "v", "Operator": "CONTAINS"}}}}}}
	}
	env := pipeline.Env{Region: region, Account: home.Account, Catalogue: catalogue}
	if err := pipeline.Validate(d, env); err != nil {
		return nil, err
	}
	m := &member{id: memberName(i) + strings.Repeat("X", 26-len(memberName(i))), d: pipeline.Normalise(d, env), catalogue: catalogue, number: i}
	m.now, m.keep = born, born.Add(lifetime-conductor.KeepJobs)
	m.s = engine.New(home.Account, region, "a seed of "+m.id, m.d, m.now)
	return m, nil
}

// live lives so many executions to their ends and saves them with the pipeline.
func (m *member) live(ctx context.Context, db *store.DB, executions int) error {
	pause := lifetime / time.Duration(executions+1)
	var past []store.Past
	save := func(last bool) error {
		defer func() { past = nil }()
		return db.Update(ctx, func(tx *store.Tx) error {
			if err := tx.InsertPast(ctx, m.id, past); err != nil || !last {
				return err
			}
			if err := tx.InsertPipeline(ctx, m.id, m.s, m.d); err != nil {
				return err
			}
			if err := tx.PutTag(ctx, m.s.ARN(), store.Tag{Key: "team", Value: fmt.Sprint(m.number % 50)}); err != nil {
				return err
			}
			return tx.PutSources(ctx, m.id, []store.Source{{Action: "Source", Resource: "arn:aws:s3:::bench-source/" + m.s.Name + ".zip"}})
		})
	}
	for n := range executions {
		begun := m.now
		left, err := m.execution(n, n%10 == 4 && n < executions-1)
		if err != nil {
			return err
		}
		past = append(past, left...)
		if m.now = begun.Add(pause).Truncate(time.Microsecond); len(past) >= atOnce {
			if err := save(false); err != nil {
				return err
			}
		}
	}
	if len(m.s.Executions) > 0 {
		return errors.New("an execution has not ended")
	}
	return save(true)
}

// execution lives one execution and gives those that have ended with it: one that fails can
// be retried until the next comes.
func (m *member) execution(n int, fails bool) (past []store.Past, err error) {
	effects, err := m.step(engine.Start{Trigger: pipeline.Trigger{Type: pipeline.TriggerStartPipelineExecution, Detail: "arn:aws:iam::" + home.Account + ":user/bench"}}, &past)
	started := m.s.Started
	for err == nil {
		if ev := next(m.s, started, effects, n, fails); ev != nil {
			effects, err = m.step(ev, &past)
			continue
		}
		return past, nil
	}
	return nil, err
}

// next is what happens to an execution after a step: its job, if one was started, ends, or its
// approval is answered.
func next(s *engine.State, execution pipeline.ExecutionID, effects []engine.Effect, n int, fails bool) engine.Event {
	for _, effect := range effects {
		if job, ok := effect.(engine.StartJob); ok {
			return result(job.Job, n, fails)
		}
	}
	if e := s.Executions[execution]; e != nil && e.Runs["Approve"] != nil {
		if run := e.Runs["Approve"].Actions["Approve"]; run != nil && run.Token != "" && run.Status == pipeline.InProgress {
			return engine.Approve{Stage: "Approve", Action: "Approve", Token: run.Token, Status: "Approved", Summary: "looks good",
				By: "arn:aws:iam::" + home.Account + ":user/bench"}
		}
	}
	return nil
}

// result is how a job ends, with what its provider would tell.
func result(job engine.Job, n int, fails bool) engine.Event {
	ref := engine.JobRef{ID: job.ID, Execution: job.Execution, Run: job.Run}
	version := fmt.Sprintf("v%031d", n)
	switch job.Type.Provider + job.Type.Category {
	case "S3Source":
		return engine.Succeed{Job: ref, Result: engine.Result{Summary: "Amazon S3 version id: " + version, ExternalID: version},
			Revision:  &pipeline.Revision{ID: version, Summary: "Amazon S3 version id: " + version},
			Variables: map[string]string{"BucketName": "bench-source", "ETag": version, "ObjectKey": job.Configuration["S3ObjectKey"], "VersionId": version}}
	case "CodeBuildBuild":
		build := engine.Result{ExternalID: "bench:" + string(job.ID), LogStreamARN: "arn:aws:logs:us-east-1:000000000000:log-group:/aws/codebuild/bench:log-stream:" + string(job.ID)}
		if fails {
			return engine.Fail{Job: ref, Result: build, Error: pipeline.ErrorDetails{Code: "JobFailed", Message: "Build terminated with state: FAILED"}}
		}
		return engine.Succeed{Job: ref, Result: build}
	}
	return engine.Succeed{Job: ref, Result: engine.Result{Summary: "Done", ExternalID: string(job.ID)}}
}

// step applies an event, some seconds after the last, and notes what ended with it.
func (m *member) step(ev engine.Event, past *[]store.Past) ([]engine.Effect, error) {
	m.now = m.now.Add(7 * time.Second)
	m.s.Attached.Catalogue = m.catalogue
	next, effects, err := engine.Step(m.s, m.now, ev)
	if err != nil {
		return nil, err
	}
	m.s = next
	if m.stepped != nil {
		if err := m.stepped(next, effects); err != nil {
			return nil, err
		}
	}
	for _, effect := range effects {
		switch effect := effect.(type) {
		case engine.StartJob:
			m.jobs = append(m.jobs, store.PastJob{JobRow: store.JobRow{Job: effect.Job, PipelineID: m.id, Fence: 1}, NotBefore: effect.NotBefore})
		case engine.EndJob:
			for i := range m.jobs {
				if m.jobs[i].ID == effect.ID {
					m.jobs[i].Status, m.jobs[i].Ended = effect.Status, m.now
				}
			}
		}
	}
	for _, e := range m.s.Retired {
		left := store.Past{Execution: e}
		var others []store.PastJob
		for _, job := range m.jobs {
			if job.Execution != e.ID {
				others = append(others, job)
			} else if job.Ended.After(m.keep) {
				left.Jobs = append(left.Jobs, job)
			}
		}
		m.jobs = others
		*past = append(*past, left)
	}
	return effects, nil
}

// wait has the conductor start one more execution and take it to its approval.
func (m *member) wait(ctx context.Context, db *store.DB, mover *conductor.Conductor) error {
	return db.Update(ctx, func(tx *store.Tx) error {
		s, err := mover.ApplyTx(ctx, tx, m.id, engine.Start{Trigger: pipeline.Trigger{Type: pipeline.TriggerStartPipelineExecution, Detail: "bench"}})
		for err == nil {
			var open *engine.ActionRun
			for _, run := range s.Executions[s.Started].LatestRuns() {
				if run.Status == pipeline.InProgress && run.Token == "" {
					open = run
				}
			}
			if open == nil {
				return nil
			}
			job, found := tx.Job(ctx, open.Job)
			if found != nil {
				return found
			}
			started := s.Started
			if s, err = mover.ApplyTx(ctx, tx, m.id, result(job.Job, 0, false)); err == nil {
				s.Started = started
			}
		}
		return err
	})
}
