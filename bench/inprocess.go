package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"penstock/internal/conductor"
	"penstock/internal/engine"
	"penstock/internal/pipeline"
	"penstock/internal/provider"
	"penstock/internal/seal"
	"penstock/internal/store"
	"penstock/internal/worker"
)

// noop is a provider whose work takes no time. It measures the time between its calls.
type noop struct {
	mu       sync.Mutex
	returned time.Time
	samples  []time.Duration
	calls    chan int
	n        int
}

var noopType = pipeline.ActionTypeID{Category: "Build", Owner: "AWS", Provider: "Noop", Version: "1"}

// Types is the one type.
func (p *noop) Types() []pipeline.ActionType {
	return []pipeline.ActionType{{ID: noopType, Timeout: time.Hour}}
}

// Run does nothing.
func (p *noop) Run(context.Context, provider.Job) provider.Result {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.returned.IsZero() {
		p.samples = append(p.samples, time.Since(p.returned))
	}
	p.n++
	p.calls <- p.n
	p.returned = time.Now()
	return provider.Result{}
}

// inProcessHandover measures the same way for a worker inside the server: from a provider's
// return to the call for the next action, with the commits of the result and of the claim
// between them.
func (b *bench) inProcessHandover() (err error) {
	keys, err := seal.Parse(seal.Fresh())
	if err != nil {
		return err
	}
	db, err := store.Open(b.ctx, store.Config{URL: "sqlite:" + filepath.Join(b.dir, "inprocess.db"), Keys: keys})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	log := slog.New(slog.DiscardHandler)
	c := conductor.New(conductor.Config{DB: db, Builtin: (&noop{}).Types(), Log: log,
		Deliver: func(context.Context, []store.Outgoing) error { return nil }})
	p := &noop{calls: make(chan int, 1)}
	w := worker.New(worker.Config{DB: db, Conductor: c, Providers: []provider.Provider{p}, Node: "bench", Log: log,
		Env: func(context.Context, *store.JobRow) provider.Env { return provider.Env{} }})
	ctx, stop := context.WithCancel(b.ctx)
	var loops sync.WaitGroup
	defer loops.Wait()
	defer stop()
	loops.Go(func() { _ = c.Run(ctx) })
	loops.Go(func() { _ = w.Run(ctx) })

	d := &pipeline.Declaration{Name: "inprocess", RoleARN: "arn:aws:iam::000000000000:role/bench", Version: 1, PipelineType: pipeline.V2, ExecutionMode: pipeline.Queued,
		ArtifactStore: &pipeline.ArtifactStore{Type: "S3", Location: bucket}}
	for i := range stages {
		s := pipeline.Stage{Name: fmt.Sprint("Stage", i)}
		for j := range inStage {
			s.Actions = append(s.Actions, pipeline.Action{Name: fmt.Sprintf("Action%d%d", i, j), ActionTypeID: noopType, RunOrder: j + 1})
		}
		d.Stages = append(d.Stages, s)
	}
	limit, err := b.newProbe()
	if err != nil {
		return err
	}
	defer limit.close()
	var samples []time.Duration
	for release := range b.count(25) + 2 {
		if err := limit.sample(10, 0); err != nil {
			return err
		}
		p.mu.Lock()
		p.returned, p.samples = time.Time{}, nil
		p.mu.Unlock()
		if release == 0 {
			err = db.Update(ctx, func(tx *store.Tx) error {
				_, err := c.CreateTx(ctx, tx, "bench", "000000000000", "us-east-1", "a seed for the ids", d, "bench")
				return err
			})
		} else {
			_, err = c.Apply(ctx, "bench", engine.Start{})
		}
		if err != nil {
			return err
		}
		for range stages * inStage {
			select {
			case <-p.calls:
			case <-time.After(30 * time.Second):
				return errors.New("the next action was not dispatched")
			}
		}
		p.mu.Lock()
		if release > 1 { // the first two releases warm up
			samples = append(samples, p.samples...)
		}
		p.mu.Unlock()
	}
	b.add("(a) provider returned → provider of the next action called", samples, limit.limit(2, 0), "2 fsyncs", "≤ 3×, p99 ≤ 25 ms")
	return nil
}
