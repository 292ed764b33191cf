package app

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"

	"penstock/internal/store/storetest"
)

// S-86, S-103: PostgreSQL is restarted under load, in both ways, and the server goes on by itself:
// what it acknowledged has happened, once, and executions reach their approval.
func TestDatabaseRestarts(t *testing.T) {
	t.Parallel()
	url, restart := storetest.RestartablePostgres(t)
	a := start(t, t.TempDir(), url)
	names := []string{"one", "two", "three"}
	gated(t, a, names...)
	cfg := a.administrator()
	cfg.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	pipelines := codepipeline.NewFromConfig(cfg)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	// persist asks again until it is answered, and counts how often that failed.
	persist := func(call func(context.Context) error) (failures int, err error) {
		again := time.NewTicker(20 * time.Millisecond)
		defer again.Stop()
		for {
			once, stop := context.WithTimeout(ctx, time.Minute)
			err = call(once)
			stop()
			if err == nil {
				return failures, nil
			}
			failures++
			select {
			case <-again.C:
			case <-ctx.Done():
				return failures, err
			}
		}
	}
	var mu sync.Mutex
	started, failures := map[string]map[string]string{}, 0
	quiet := make(chan bool)
	progress := make(chan bool)
	var clients sync.WaitGroup
	for n, name := range names {
		started[name] = map[string]string{}
		for c := range 2 {
			clients.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-quiet:
						return
					case progress <- true:
					default:
					}
					token, id := fmt.Sprintf("token-%d-%d-%d", n, c, i), ""
					failed, err := persist(func(ctx context.Context) error {
						out, err := pipelines.StartPipelineExecution(ctx, &codepipeline.StartPipelineExecutionInput{Name: &name, ClientRequestToken: &token})
						if err == nil {
							id = aws.ToString(out.PipelineExecutionId)
						}
						return err
					})
					mu.Lock()
					failures += failed
					if err != nil {
						t.Errorf("%s was never started: %v", token, err)
					}
					started[name][id] = token
					mu.Unlock()
				}
			})
		}
	}
	more := func() {
		for range 20 {
			select {
			case <-progress:
			case <-ctx.Done():
				t.Fatal("the server does not go on")
			}
		}
	}
	for _, immediately := range []bool{true, false, true} {
		more()
		restart(immediately)
	}
	more()
	close(quiet)
	clients.Wait()
	total := 0
	for _, name := range names {
		seen := map[string]bool{}
		settled := func(ctx context.Context) error {
			clear(seen)
			for pages := codepipeline.NewListPipelineExecutionsPaginator(pipelines, &codepipeline.ListPipelineExecutionsInput{PipelineName: &name}); pages.HasMorePages(); {
				page, err := pages.NextPage(ctx)
				if err != nil {
					return err
				}
				for _, e := range page.PipelineExecutionSummaries {
					seen[aws.ToString(e.PipelineExecutionId)] = true
				}
			}
			out, err := pipelines.GetPipelineState(ctx, &codepipeline.GetPipelineStateInput{Name: &name})
			if err == nil && look(out).gateToken == "" {
				err = fmt.Errorf("%s is not at its approval", name)
			}
			return err
		}
		if _, err := persist(settled); err != nil {
			t.Error(err)
		}
		for id, token := range started[name] {
			if !seen[id] {
				t.Errorf("%s: execution %s of %s was acknowledged and is not there", name, id, token)
			}
		}
		if len(seen) != len(started[name])+1 {
			t.Errorf("%s: %d executions, %d were started", name, len(seen), len(started[name]))
		}
		total += len(seen)
	}
	t.Logf("%d executions; %d calls failed meanwhile", total, failures)
}
