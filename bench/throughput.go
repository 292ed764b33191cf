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
	"penstock/internal/store/storetest"
	"penstock/internal/worker"
)

const (
	// lanes is how many pipelines run at once, inLane how many actions each has.
	lanes  = 16
	inLane = 5
)

// relay is a provider whose work takes no time. It measures, for each execution, the time from
// its return to its call for the next action, and tells of the last.
type relay struct {
	mu       sync.Mutex
	returned map[string]time.Time
	waits    []time.Duration
	ended    chan string
}

// Types is the one type.
func (p *relay) Types() []pipeline.ActionType {
	return []pipeline.ActionType{{ID: noopType, Timeout: time.Hour}}
}

// Run does nothing.
func (p *relay) Run(_ context.Context, job provider.Job) provider.Result {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at, ok := p.returned[job.ExecutionID]; ok {
		p.waits = append(p.waits, time.Since(at))
	}
	p.returned[job.ExecutionID] = time.Now()
	if job.Action == fmt.Sprint("Action", inLane-1) {
		delete(p.returned, job.ExecutionID)
		p.ended <- job.Pipeline
	}
	return provider.Result{}
}

// take gives the waits that were measured since it was called last.
func (p *relay) take() []time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	waits := p.waits
	p.waits = nil
	return waits
}

// throughput measures how many executions a second go through pipelines of a few actions, on
// either database, and how long each action waits for its turn at half that rate.
func (b *bench) throughput() error {
	if err := b.throughputOn("SQLite", "sqlite:"+filepath.Join(b.dir, "throughput.db")); err != nil {
		return err
	}
	url, stop, err := storetest.Launch("shared_buffers=256MB")
	if err != nil {
		return err
	}
	return errors.Join(b.throughputOn("PostgreSQL", url), stop())
}

func (b *bench) throughputOn(what, url string) (err error) {
	keys, err := seal.Parse(seal.Fresh())
	if err != nil {
		return err
	}
	db, err := store.Open(b.ctx, store.Config{URL: url, Keys: keys})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	log := slog.New(slog.DiscardHandler)
	p := &relay{returned: map[string]time.Time{}, ended: make(chan string, 4*lanes)}
	c := conductor.New(conductor.Config{DB: db, Builtin: p.Types(), Log: log,
		Deliver: func(context.Context, []store.Outgoing) error { return nil }})
	w := worker.New(worker.Config{DB: db, Conductor: c, Providers: []provider.Provider{p}, Node: "bench", Log: log,
		Env: func(context.Context, *store.JobRow) provider.Env { return provider.Env{} }})
	ctx, stop := context.WithCancel(b.ctx)
	var loops sync.WaitGroup
	defer loops.Wait()
	defer stop()
	loops.Go(func() { _ = c.Run(ctx) })
	loops.Go(func() { _ = w.Run(ctx) })
	probe, err := b.newProbe()
	if err != nil {
		return err
	}
	defer probe.close()

	for i := range lanes {
		d := &pipeline.Declaration{Name: fmt.Sprint("lane", i), RoleARN: "arn:aws:iam::000000000000:role/bench", Version: 1, PipelineType: pipeline.V2,
			ExecutionMode: pipeline.Parallel, ArtifactStore: &pipeline.ArtifactStore{Type: "S3", Location: bucket}, Stages: []pipeline.Stage{{Name: "One"}, {Name: "Two"}}}
		for n := range inLane {
			s := &d.Stages[n*2/inLane]
			s.Actions = append(s.Actions, pipeline.Action{Name: fmt.Sprint("Action", n), ActionTypeID: noopType, RunOrder: n + 1})
		}
		if err := db.Update(ctx, func(tx *store.Tx) error {
			_, err := c.CreateTx(ctx, tx, d.Name, "000000000000", "us-east-1", "a seed for "+d.Name, d, "bench")
			return err
		}); err != nil {
			return err
		}
	}
	before := db.Stats()
	rate, err := b.closed(ctx, c, p, probe)
	if err != nil {
		return err
	}
	after := db.Stats()
	fsync := percentile(probe.fsyncs, 50)
	b.rows = append(b.rows, row{what: fmt.Sprintf("(e) %s: %.0f executions per second of %d actions, %d at a time", what, rate, inLane, lanes),
		limit:  fmt.Sprintf("fsyncs one after the other = %.0f per second; %d transactions in %d commits", 1/fsync.Seconds(), after.Updates-before.Updates, after.Commits-before.Commits),
		ratio:  fmt.Sprintf("%.1f fsyncs an execution", 1/(rate*fsync.Seconds())),
		target: "≥ 50 per second on SQLite"})
	waits, err := b.paced(ctx, c, p, rate/2)
	if err != nil {
		return err
	}
	b.add(fmt.Sprintf("(e) %s: provider returned → provider of the next action called, at half that rate", what), waits, 2*fsync, "2 fsyncs", "p99 ≤ 50 ms")
	return nil
}

// closed keeps one execution in each lane for some seconds, and gives how many a second end.
func (b *bench) closed(ctx context.Context, c *conductor.Conductor, p *relay, probe *probe) (rate float64, err error) {
	length := time.Duration(b.count(4000)) * time.Millisecond
	const warm = lanes * 4
	var begun time.Time
	ended, errs := 0, make(chan error, 1)
	for n := 0; ; n++ {
		select {
		case lane := <-p.ended:
			if n == warm {
				begun = time.Now()
			}
			if n > warm {
				ended++
				if took := time.Since(begun); took > length {
					for range lanes - 1 { // those under way
						<-p.ended
					}
					p.take()
					return float64(ended) / took.Seconds(), probe.sample(100, 0)
				}
			}
			go func() {
				if _, err := c.Apply(ctx, lane, engine.Start{}); err != nil {
					select {
					case errs <- err:
					default:
					}
				}
			}()
		case err := <-errs:
			return 0, err
		case <-time.After(30 * time.Second):
			return 0, errors.New("no execution ends any more")
		}
	}
}

// paced starts so many executions a second for some seconds, whatever becomes of them, and
// gives how long their actions waited.
func (b *bench) paced(ctx context.Context, c *conductor.Conductor, p *relay, rate float64) ([]time.Duration, error) {
	length := time.Duration(b.count(4000)) * time.Millisecond
	tick := time.NewTicker(time.Duration(float64(time.Second) / rate))
	defer tick.Stop()
	errs := make(chan error, 1)
	started, ended := 0, 0
	for end := time.After(length); end != nil || ended < started; {
		select {
		case <-tick.C:
			if end == nil {
				continue
			}
			lane := fmt.Sprint("lane", started%lanes)
			started++
			go func() {
				if _, err := c.Apply(ctx, lane, engine.Start{}); err != nil {
					select {
					case errs <- err:
					default:
					}
				}
			}()
		case <-p.ended:
			ended++
		case err := <-errs:
			return nil, err
		case <-end:
			end = nil
		}
	}
	return p.take(), nil
}
