package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
)

// connections is how many clients ask at once.
const connections = 8

// api measures requests per second. The requests are signed once, so that the client's own
// work is small; each is verified by the server as any other.
func (b *bench) api() error {
	s, err := b.serve("api")
	if err != nil {
		return err
	}
	err = b.measureAPI(s)
	return errors.Join(err, s.stop())
}

func (b *bench) measureAPI(s *server) (err error) {
	role, err := s.furnish(b.ctx)
	if err != nil {
		return err
	}
	c := codepipeline.NewFromConfig(s.cfg)
	manual := func(name string, order int32) types.ActionDeclaration {
		return types.ActionDeclaration{Name: &name, RunOrder: &order,
			ActionTypeId: &types.ActionTypeId{Category: types.ActionCategoryApproval, Owner: types.ActionOwnerAws, Provider: aws.String("Manual"), Version: aws.String("1")}}
	}
	some := &types.ArtifactDetails{MaximumCount: 1}
	source := &types.ActionTypeId{Category: types.ActionCategorySource, Owner: types.ActionOwnerCustom, Provider: aws.String("Bench"), Version: aws.String("1")}
	if _, err := c.CreateCustomActionType(b.ctx, &codepipeline.CreateCustomActionTypeInput{Category: source.Category, Provider: source.Provider, Version: source.Version,
		InputArtifactDetails: &types.ArtifactDetails{}, OutputArtifactDetails: some}); err != nil {
		return err
	}
	if _, err := c.CreatePipeline(b.ctx, &codepipeline.CreatePipelineInput{Pipeline: declare("api", role, source, manual)}); err != nil {
		return err
	}
	echo, err := b.echo()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, echo.stop()) }()
	bare := s.cfg
	bare.BaseEndpoint = &echo.url
	for _, operation := range []string{"GetPipeline", "GetPipelineState", "StartPipelineExecution"} {
		var samples, echoes []time.Duration
		var took, echoTook time.Duration
		for range 3 { // in turns, so that both meet the same machine
			some, t, err := b.hammer(s.cfg, operation, `{"name":"api"}`)
			if err != nil {
				return err
			}
			samples, took = append(samples, some...), took+t
			if some, t, err = b.hammer(bare, operation, `{"name":"api"}`); err != nil {
				return err
			}
			echoes, echoTook = append(echoes, some...), echoTook+t
		}
		rate, bareRate := float64(len(samples))/took.Seconds(), float64(len(echoes))/echoTook.Seconds()
		r := row{what: fmt.Sprintf("(c) %s, %d connections: %.0f requests per second", operation, connections, rate),
			p50: short(percentile(samples, 50)), p99: short(percentile(samples, 99)),
			limit: fmt.Sprintf("a bare JSON echo = %.0f per second, p50 %s, p99 %s", bareRate, short(percentile(echoes, 50)), short(percentile(echoes, 99))),
			ratio: fmt.Sprintf("%.1f", bareRate/rate)}
		if operation == "GetPipeline" {
			r.target = "≤ 3×"
		}
		b.rows = append(b.rows, r)
	}
	return nil
}

// hammer makes one signed request again and again on all connections.
func (b *bench) hammer(cfg aws.Config, operation, body string) (samples []time.Duration, took time.Duration, err error) {
	l, err := newLight(b.ctx, cfg)
	if err != nil {
		return nil, 0, err
	}
	signed, err := l.request(b.ctx, operation, []byte(body))
	if err != nil {
		return nil, 0, err
	}
	defer l.http.CloseIdleConnections()
	lists, errs := make([][]time.Duration, connections), make([]error, connections)
	var all sync.WaitGroup
	begun := time.Now()
	until := begun.Add(time.Duration(b.count(1000)) * time.Millisecond)
	for i := range connections {
		all.Go(func() {
			for errs[i] == nil && time.Now().Before(until) {
				asked := time.Now()
				r := signed.Clone(b.ctx)
				r.Body = io.NopCloser(strings.NewReader(body))
				_, errs[i] = l.send(r)
				lists[i] = append(lists[i], time.Since(asked))
			}
		})
	}
	all.Wait()
	took = time.Since(begun)
	for _, list := range lists {
		samples = append(samples, list...)
	}
	return samples, took, errors.Join(errs...)
}
