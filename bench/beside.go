package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"penstock/internal/pipeline"
	"penstock/internal/store/storetest"
)

// settle is how long the servers are left alone after their start.
const settle = 10 * time.Second

// besidePostgres is beside on a PostgreSQL server of its own, which keeps its promises.
func (b *bench) besidePostgres(c crowd) error {
	url, stop, err := storetest.Launch("shared_buffers=256MB", "autovacuum=on", "max_wal_size=4GB")
	if err != nil {
		return err
	}
	return errors.Join(b.beside("PostgreSQL", url, c), stop())
}

// beside measures how requests fare beside a crowd: on a server with all of it and on one with
// a single pipeline, in turns, so that both meet the same machine.
func (b *bench) beside(what, database string, c crowd) (err error) {
	small, large := filepath.Join(b.dir, what+"-one"), filepath.Join(b.dir, what+"-all")
	begun := time.Now()
	if err := generate(b.ctx, large, database, c); err != nil {
		return err
	}
	b.rows = append(b.rows, row{what: fmt.Sprintf("%s: %d pipelines lived through %d executions in %s", what, c.pipelines, c.executions, short(time.Since(begun)))})
	other, stop, err := b.single(database, small)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	var servers [2]*server
	for i, at := range []struct{ name, database string }{{what + "-one", other}, {what + "-all", database}} {
		var urls []string
		if at.database != "" {
			urls = []string{at.database}
		}
		if servers[i], err = b.serve(at.name, urls...); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, servers[i].stop()) }()
	}
	b.rows = append(b.rows, row{what: what + ": start to ready beside all of it", p50: short(servers[1].ready), limit: "with one pipeline = " + short(servers[0].ready), target: "≤ 1 s"})
	// A server begins with a look at every source that is watched.
	select {
	case <-time.After(settle):
	case <-b.ctx.Done():
		return b.ctx.Err()
	}
	if servers[1].process != nil {
		idle, err := residentKiB(servers[1].process.Process.Pid)
		if err != nil {
			return err
		}
		b.rows = append(b.rows, row{what: fmt.Sprintf("%s: resident memory when idle beside all of it: %.1f MiB", what, float64(idle)/1024), target: "bounded"})
	}
	if err := b.compare(what, servers); err != nil {
		return err
	}
	return b.memory(what, servers[1])
}

// single makes the database of one pipeline with a few executions.
func (b *bench) single(database, folder string) (url string, stop func() error, err error) {
	stop = func() error { return nil }
	if database != "" {
		if url, stop, err = storetest.Launch("shared_buffers=256MB"); err != nil {
			return "", nil, err
		}
	}
	return url, stop, generate(b.ctx, folder, url, crowd{pipelines: 1, executions: 5})
}

// compare asks both servers the same, in turns.
func (b *bench) compare(what string, servers [2]*server) error {
	var clients [2]*light
	var executions [2]string
	name := memberName(0) // the one with the longest history
	for i, s := range servers {
		var err error
		if clients[i], err = newLight(b.ctx, s.cfg); err != nil {
			return err
		}
		var out struct {
			PipelineExecutionSummaries []struct{ PipelineExecutionID string }
		}
		if err := clients[i].call(b.ctx, "ListPipelineExecutions", map[string]any{"pipelineName": name}, &out); err != nil {
			return err
		}
		executions[i] = out.PipelineExecutionSummaries[len(out.PipelineExecutionSummaries)-1].PipelineExecutionID
	}
	arn := pipeline.PipelineARN(home.Region, home.Account, name)
	of := func(execution string) map[string]any { return map[string]any{"pipelineExecutionId": execution} }
	for _, q := range []struct {
		operation, note string
		in              func(execution string) map[string]any
	}{
		{"GetPipeline", "", func(string) map[string]any { return map[string]any{"name": name} }},
		{"GetPipelineState", "", func(string) map[string]any { return map[string]any{"name": name} }},
		{"GetPipelineExecution", "", func(e string) map[string]any { return map[string]any{"pipelineName": name, "pipelineExecutionId": e} }},
		{"ListPipelines", " of 1", func(string) map[string]any { return map[string]any{"maxResults": 1} }},
		{"ListPipelineExecutions", " of 5", func(string) map[string]any { return map[string]any{"pipelineName": name, "maxResults": 5} }},
		{"ListPipelineExecutions", " of 5 that passed a stage", func(string) map[string]any {
			return map[string]any{"pipelineName": name, "maxResults": 4, "filter": map[string]any{"succeededInStage": map[string]any{"stageName": "Deploy"}}}
		}},
		{"ListActionExecutions", " of 10", func(string) map[string]any { return map[string]any{"pipelineName": name, "maxResults": 10} }},
		{"ListActionExecutions", " of one execution", func(e string) map[string]any { return map[string]any{"pipelineName": name, "filter": of(e)} }},
		{"ListRuleExecutions", " of 4", func(string) map[string]any { return map[string]any{"pipelineName": name, "maxResults": 4} }},
		{"ListTagsForResource", "", func(string) map[string]any { return map[string]any{"resourceArn": arn} }},
		{"ListWebhooks", "", func(string) map[string]any { return map[string]any{} }},
		{"ListActionTypes", "", func(string) map[string]any { return map[string]any{} }},
	} {
		var samples [2][]time.Duration
		for n := range b.count(200) + 20 {
			for i, c := range clients {
				asked := time.Now()
				if err := c.call(b.ctx, q.operation, q.in(executions[i]), nil); err != nil {
					return fmt.Errorf("%s: %w", q.operation, err)
				}
				if n >= 20 { // the first warm up
					samples[i] = append(samples[i], time.Since(asked))
				}
			}
		}
		b.add(what+": "+q.operation+q.note, samples[1], percentile(samples[0], 50), "with one pipeline", "≤ 2×")
	}
	for _, c := range clients {
		c.http.CloseIdleConnections()
	}
	return nil
}

// memory tells what a server holds after those requests, and after every page of the longest
// history was read.
func (b *bench) memory(what string, s *server) error {
	if s.app != nil {
		return nil
	}
	before, err := residentKiB(s.process.Process.Pid)
	if err != nil {
		return err
	}
	l, err := newLight(b.ctx, s.cfg)
	if err != nil {
		return err
	}
	defer l.http.CloseIdleConnections()
	n, begun := 0, time.Now()
	for token := ""; ; {
		in := map[string]any{"pipelineName": memberName(0)}
		if token != "" {
			in["nextToken"] = token
		}
		var out struct {
			PipelineExecutionSummaries []json.RawMessage
			NextToken                  string
		}
		if err := l.call(b.ctx, "ListPipelineExecutions", in, &out); err != nil {
			return err
		}
		n += len(out.PipelineExecutionSummaries)
		if token = out.NextToken; token == "" {
			break
		}
	}
	took := time.Since(begun)
	after, err := residentKiB(s.process.Process.Pid)
	b.rows = append(b.rows, row{what: fmt.Sprintf("%s: resident memory after these requests: %.1f MiB; after all pages of %d executions, read in %s: %.1f MiB",
		what, float64(before)/1024, n, short(took), float64(after)/1024), target: "bounded"})
	return err
}
