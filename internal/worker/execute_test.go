package worker_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"penstock/internal/pipeline"
	"penstock/internal/provider"
	"penstock/internal/store"
	"penstock/internal/worker"
)

// S-321, P-47: jobs of a type whose executor is a function are done here by what executes
// functions, are continued after 30 seconds, with a token or without one, and end in time.
func TestExecute(t *testing.T) {
	bubble(t, func(w *world) {
		jobs := make(chan provider.Job, 1)
		answers := make(chan provider.Result, 1)
		cfg := w.config("n", slog.New(slog.DiscardHandler), func(context.Context, provider.Job) provider.Result { return failed("it is no job of a provider") })
		cfg.Execute = func(ctx context.Context, job provider.Job) provider.Result {
			jobs <- job
			select {
			case r := <-answers:
				return r
			case <-ctx.Done():
				return provider.Result{}
			}
		}
		w.start(worker.New(cfg).Run)
		w.create("p", []pipeline.Action{action("F", 1)}, []pipeline.Action{action("Fast", 1)})
		first := once(w, jobs)
		if first.Function != "arn:function" || first.Type != byFunc || first.ContinuationToken != "" {
			t.Errorf("%+v", first)
		}
		var outside []*store.JobRow
		w.update(func(ctx context.Context, tx *store.Tx) (err error) {
			outside, err = tx.DispatchJobs(ctx, store.Queue("1", "r", byFunc), "", 9, time.Minute)
			return err
		})
		if len(outside) != 0 {
			t.Errorf("handed out to workers elsewhere: %+v", outside)
		}
		last := first.ID
		for _, token := range []string{"half", ""} {
			answers <- provider.Result{Continue: token, After: 30 * time.Second}
			begun := time.Now()
			job := <-jobs
			if job.ContinuationToken != token || job.ID == last || job.Function != "arn:function" || time.Since(begun) != 30*time.Second {
				t.Errorf("after %v %+v", time.Since(begun), job)
			}
			last = job.ID
		}
		answers <- provider.Result{OutputVariables: map[string]string{"a": "b"}}
		if second := once(w, jobs); second.Action != "Fast" {
			t.Errorf("%+v", second)
		}
		begun := time.Now()
		for w.status("p") == pipeline.InProgress {
			<-time.After(time.Minute)
		}
		if d := time.Since(begun); d < 10*time.Minute || d > 12*time.Minute {
			t.Errorf("timed out after %v", d)
		}
		runs := w.runs("p")
		if runs[0].Status != pipeline.Succeeded || runs[0].Variables["a"] != "b" || runs[1].Status != pipeline.Failed || w.status("p") != pipeline.Failed {
			t.Errorf("%+v\n%+v", runs[0], runs[1])
		}
	})
}
