package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
)

const (
	// stages and inStage are the measured pipeline: that many stages of that many actions,
	// one after the other, behind a source.
	stages  = 3
	inStage = 4
)

// handover measures the way from one action to the next through the API: from
// PutJobSuccessResult sent, to the next job received by a client that polls back to back.
// On that way are two durable commits, the result's and the hand-out's, and two round
// trips.
func (b *bench) handover() error {
	for _, waiting := range []int{1, 100, 10_000} {
		if err := b.handoverBeside(waiting); err != nil {
			return err
		}
	}
	return nil
}

// handoverBeside measures it where so many pipelines have an execution in progress: the
// measured one, and others that wait for their approvals.
func (b *bench) handoverBeside(live int) error {
	name := fmt.Sprint("handover", live)
	if live > 1 { // in another Region: an account may have a thousand in one
		if err := generate(b.ctx, filepath.Join(b.dir, name), "", crowd{pipelines: live - 1, executions: live - 1, waiting: true, region: "us-west-2"}); err != nil {
			return err
		}
	}
	s, err := b.serve(name)
	if err != nil {
		return err
	}
	p, err := b.newProbe()
	if err != nil {
		return errors.Join(err, s.stop())
	}
	defer p.close()
	samples, err := b.measureHandover(s, p, live == 1)
	if err := errors.Join(err, s.stop()); err != nil {
		return err
	}
	b.add(fmt.Sprintf("(a) result sent → next job received by a poller, %d live pipelines", live), samples, p.limit(2, 2), "2 fsyncs + 2 round trips", "≤ 3×, p99 ≤ 25 ms")
	return nil
}

func (b *bench) measureHandover(s *server, p *probe, calls bool) ([]time.Duration, error) {
	ctx, stop := context.WithCancel(b.ctx)
	defer stop()
	role, err := s.furnish(ctx)
	if err != nil {
		return nil, err
	}
	c := codepipeline.NewFromConfig(s.cfg)
	typ := func(category types.ActionCategory) *types.ActionTypeId {
		return &types.ActionTypeId{Category: category, Owner: types.ActionOwnerCustom, Provider: aws.String("Bench"), Version: aws.String("1")}
	}
	for _, category := range []types.ActionCategory{types.ActionCategorySource, types.ActionCategoryBuild} {
		some := &types.ArtifactDetails{MaximumCount: 1}
		in := &codepipeline.CreateCustomActionTypeInput{Category: category, Provider: typ(category).Provider, Version: typ(category).Version,
			InputArtifactDetails: some, OutputArtifactDetails: some}
		if category == types.ActionCategorySource {
			in.InputArtifactDetails = &types.ArtifactDetails{}
		}
		if _, err := c.CreateCustomActionType(ctx, in); err != nil {
			return nil, err
		}
	}
	d := declare("handover", role, typ(types.ActionCategorySource), func(name string, order int32) types.ActionDeclaration {
		return types.ActionDeclaration{Name: &name, RunOrder: &order, ActionTypeId: typ(types.ActionCategoryBuild), InputArtifacts: []types.InputArtifact{{Name: aws.String("source")}}}
	})
	if _, err := c.CreatePipeline(ctx, &codepipeline.CreatePipelineInput{Pipeline: d}); err != nil {
		return nil, err
	}
	l, err := newLight(ctx, s.cfg)
	if err != nil {
		return nil, err
	}
	defer l.http.CloseIdleConnections()
	type job struct {
		ID    string `json:"id"`
		Nonce string `json:"nonce"`
	}
	type received struct {
		job job
		at  time.Time
	}
	jobs, failed := make(chan received, 1), make(chan error, 1)
	var category atomic.Value
	category.Store(string(types.ActionCategorySource))
	var empty, full, acknowledged, answered series
	go func() { // the poller
		for ctx.Err() == nil {
			asked := time.Now()
			var out struct {
				Jobs []job `json:"jobs"`
			}
			if err := l.call(ctx, "PollForJobs", map[string]any{"actionTypeId": map[string]any{
				"category": category.Load(), "owner": "Custom", "provider": "Bench", "version": "1"}}, &out); err != nil {
				failed <- err
				return
			}
			if len(out.Jobs) == 0 {
				empty.add(time.Since(asked))
			} else {
				full.add(time.Since(asked))
			}
			for _, job := range out.Jobs {
				jobs <- received{job, time.Now()}
			}
		}
	}()
	var samples []time.Duration
	for release := range b.count(25) + 2 {
		if err := p.sample(10, 10); err != nil {
			return nil, err
		}
		if release > 0 {
			if _, err := c.StartPipelineExecution(ctx, &codepipeline.StartPipelineExecutionInput{Name: d.Name}); err != nil {
				return nil, err
			}
		}
		var sent time.Time
		for n := range 1 + stages*inStage {
			var r received
			select {
			case r = <-jobs:
			case err := <-failed:
				return nil, err
			case <-time.After(30 * time.Second):
				return nil, errors.New("the next job did not come")
			}
			if n > 1 && release > 1 { // the first two releases warm up
				samples = append(samples, r.at.Sub(sent))
			}
			asked := time.Now()
			if err := l.call(ctx, "AcknowledgeJob", map[string]any{"jobId": r.job.ID, "nonce": r.job.Nonce}, nil); err != nil {
				return nil, err
			}
			acknowledged.add(time.Since(asked))
			category.Store(string(types.ActionCategoryBuild))
			if n == stages*inStage {
				category.Store(string(types.ActionCategorySource))
			}
			sent = time.Now()
			if err := l.call(ctx, "PutJobSuccessResult", map[string]any{"jobId": r.job.ID}, nil); err != nil {
				return nil, err
			}
			answered.add(time.Since(sent))
		}
	}
	stop()
	if !calls {
		return samples, nil
	}
	b.add("PollForJobs that finds nothing", empty.list(), 0, "", "")
	b.add("PollForJobs that hands out a job", full.list(), 0, "", "")
	b.add("AcknowledgeJob", acknowledged.list(), 0, "", "")
	b.add("PutJobSuccessResult", answered.list(), 0, "", "")
	return samples, nil
}

// series collects times from several goroutines.
type series struct {
	mu    sync.Mutex
	times []time.Duration
}

func (s *series) add(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.times = append(s.times, d)
}

func (s *series) list() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.times)
}

// declare is the measured pipeline.
func declare(name, role string, source *types.ActionTypeId, action func(name string, order int32) types.ActionDeclaration) *types.PipelineDeclaration {
	d := &types.PipelineDeclaration{Name: &name, RoleArn: &role, PipelineType: types.PipelineTypeV2,
		ArtifactStore: &types.ArtifactStore{Type: types.ArtifactStoreTypeS3, Location: aws.String(bucket)},
		Stages: []types.StageDeclaration{{Name: aws.String("Source"), Actions: []types.ActionDeclaration{{Name: aws.String("Source"),
			ActionTypeId: source, OutputArtifacts: []types.OutputArtifact{{Name: aws.String("source")}}}}}}}
	for i := range stages {
		stage := types.StageDeclaration{Name: aws.String(fmt.Sprint("Stage", i))}
		for j := range inStage {
			stage.Actions = append(stage.Actions, action(fmt.Sprintf("Action%d%d", i, j), int32(j+1)))
		}
		d.Stages = append(d.Stages, stage)
	}
	return d
}
