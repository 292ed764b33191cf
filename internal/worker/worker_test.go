package worker_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"penstock/internal/engine"
	"penstock/internal/pipeline"
	"penstock/internal/provider"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// An action that ends has the next dispatched at once: a release takes no time where time
// passes only when everybody waits for it. So nothing on the way is a poll.
func TestActionsFollowWithoutPolling(t *testing.T) {
	bubble(t, func(w *world) {
		begun := time.Now()
		var mu sync.Mutex
		var order []string
		w.work("n", func(_ context.Context, job provider.Job) provider.Result {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, job.Action)
			return provider.Result{Progress: provider.Progress{Summary: "did " + job.Action}, OutputVariables: map[string]string{"by": job.Action}}
		})
		synctest.Wait() // the worker has looked and found nothing
		w.create("p", []pipeline.Action{action("A", 1)}, []pipeline.Action{action("B", 1), action("C", 2), action("D", 2)}, []pipeline.Action{action("E", 1)})
		synctest.Wait()
		if w.status("p") != pipeline.Succeeded || len(order) != 5 || order[0] != "A" || order[1] != "B" || order[4] != "E" {
			t.Fatalf("%s after %v", w.status("p"), order)
		}
		for _, run := range w.runs("p") {
			if run.Summary != "did "+run.Action || run.Variables["by"] != run.Action || !run.Updated.Equal(begun) {
				t.Errorf("%s ended at %v: %+v", run.Action, run.Updated.Sub(begun), run)
			}
		}
	})
}

func TestJobSaysWhatToDo(t *testing.T) {
	bubble(t, func(w *world) {
		jobs := make(chan provider.Job, 1)
		w.work("n", func(ctx context.Context, job provider.Job) provider.Result {
			if d, ok := ctx.Deadline(); !ok || !d.Equal(job.Deadline) {
				t.Errorf("the context's deadline is %v", d)
			}
			jobs <- job
			return provider.Result{}
		})
		a := action("A", 1)
		a.Configuration = map[string]string{"k": "v"}
		a.OutputArtifacts = []pipeline.OutputArtifact{{Name: "out", Files: []string{"**/"}}}
		a.Commands, a.OutputVariables = []string{"make"}, []string{"VERSION"} // S-43, S-44
		a.EnvironmentVariables = []pipeline.EnvironmentVariable{{Name: "N", Value: "v"}}
		begun := time.Now()
		w.create("p", []pipeline.Action{a}, []pipeline.Action{action("M", 1)})
		job := once(w, jobs)
		run := w.runs("p")[0]
		if job.ActionExecutionID != string(run.ID) || job.ExecutionID != string(run.Execution) || job.Type != built || job.Account != "1" || job.Region != "r" ||
			job.Pipeline != "p" || job.PipelineARN != "arn:aws:codepipeline:r:1:p" || job.Stage != "S1" || job.Action != "A" || job.RoleARN != "arn:role" ||
			job.Configuration["k"] != "v" || len(job.Outputs) != 1 || job.Outputs[0].Bucket != "b" || !job.Deadline.Equal(begun.Add(timeout)) || job.Env.Log == nil {
			t.Errorf("job %+v", job)
		}
		if !slices.Equal(job.Commands, a.Commands) || !slices.Equal(job.Environment, a.EnvironmentVariables) ||
			!slices.Equal(job.OutputVariables, a.OutputVariables) || !slices.Equal(job.Files, a.OutputArtifacts[0].Files) {
			t.Errorf("what to run: %q with %v, keep %q and %q", job.Commands, job.Environment, job.Files, job.OutputVariables)
		}
	})
}

// What a provider says of its work is seen while it works.
func TestProgressIsVisible(t *testing.T) {
	bubble(t, func(w *world) {
		end := make(chan bool)
		w.work("n", func(_ context.Context, job provider.Job) provider.Result {
			job.Env.Progress(provider.Progress{ExternalID: "b:7", ExternalURL: "http://b/7", LogStreamARN: "arn:log", Percent: new(40)})
			job.Env.Progress(provider.Progress{Summary: strings.Repeat("é", 3000)})
			<-end
			return provider.Result{Progress: provider.Progress{Percent: new(100)}}
		})
		w.create("p", []pipeline.Action{action("A", 1)}, []pipeline.Action{action("M", 1)})
		synctest.Wait()
		if run := w.runs("p")[0]; run.Status != pipeline.InProgress || run.ExternalID != "b:7" || run.ExternalURL != "http://b/7" || run.LogStreamARN != "arn:log" ||
			*run.Percent != 40 || run.Summary != strings.Repeat("é", 2048) { // S-311
			t.Errorf("in progress: %+v", run)
		}
		close(end)
		synctest.Wait()
		if run := w.runs("p")[0]; run.Status != pipeline.Succeeded || run.ExternalID != "b:7" || *run.Percent != 100 {
			t.Errorf("at the end: %+v", run)
		}
	})
}

// S-113, S-314: a failure, and a panic, fails its action and no other.
func TestFailureAndPanic(t *testing.T) {
	bubble(t, func(w *world) {
		w.work("n", func(_ context.Context, job provider.Job) provider.Result {
			switch job.Action {
			case "Bad":
				return failed("the tests failed")
			case "Panic":
				panic("ouch")
			}
			return provider.Result{}
		})
		w.create("p", []pipeline.Action{action("Bad", 1), action("Good", 1), action("Later", 2)})
		w.create("q", []pipeline.Action{action("Panic", 1), action("Good", 1)})
		synctest.Wait()
		for name, want := range map[string]string{
			"p": "Bad=Failed[JobFailed: the tests failed] Good=Succeeded",
			"q": "Panic=Failed[SystemUnavailable: The action 'Panic' ended with an internal error of the server; its log has the details under job X] Good=Succeeded",
		} {
			var got []string
			for _, run := range w.runs(name) {
				text := run.Action + "=" + string(run.Status)
				if run.Error != nil {
					message, _, _ := strings.Cut(run.Error.Message, "under job ")
					if message != run.Error.Message {
						message += "under job X"
					}
					text += "[" + run.Error.Code + ": " + message + "]"
				}
				got = append(got, text)
			}
			if strings.Join(got, " ") != want || w.status(name) != pipeline.Failed {
				t.Errorf("%s %s:\n%s\nwant\n%s", name, w.status(name), got, want)
			}
		}
		w.apply("p", engine.Retry{Stage: "S1", Execution: w.execution("p").ID, Mode: pipeline.FailedActions}) // the worker lives
		synctest.Wait()
		if n := len(w.runs("p")); n != 3 {
			t.Errorf("%d runs after a retry", n)
		}
	})
}

// S-79: a provider that says too much fails its action instead of holding it for ever.
func TestTooManyVariablesFailTheAction(t *testing.T) {
	bubble(t, func(w *world) {
		w.work("n", func(context.Context, provider.Job) provider.Result {
			return provider.Result{OutputVariables: map[string]string{"v": strings.Repeat("x", 200_000)}}
		})
		w.create("p", []pipeline.Action{action("A", 1)})
		synctest.Wait()
		if run := w.runs("p")[0]; run.Status != pipeline.Failed || run.Error.Code != pipeline.JobFailed {
			t.Errorf("%+v %+v", run, run.Error)
		}
	})
}

// A commit far in the future neither holds its action nor fails it: it has no time.
func TestRevisionBeyondTheCalendar(t *testing.T) {
	bubble(t, func(w *world) {
		w.work("n", func(context.Context, provider.Job) provider.Result {
			return provider.Result{Revision: &pipeline.Revision{ID: "r", Created: time.Unix(1<<50, 0)}}
		})
		w.create("p", []pipeline.Action{action("A", 1)})
		synctest.Wait()
		if run := w.runs("p")[0]; run.Status != pipeline.Succeeded || run.Revision.ID != "r" || !run.Revision.Created.IsZero() {
			t.Errorf("%+v %+v", run, run.Revision)
		}
	})
}

// A commit in a time zone that is none has its time in UTC, and holds no action.
func TestRevisionInNoTimeZone(t *testing.T) {
	bubble(t, func(w *world) {
		at := time.Unix(1<<30, 0)
		w.work("n", func(context.Context, provider.Job) provider.Result {
			return provider.Result{Revision: &pipeline.Revision{ID: "r", Created: at.In(time.FixedZone("", 24*60*60))}}
		})
		w.create("p", []pipeline.Action{action("A", 1)})
		synctest.Wait()
		if run := w.runs("p")[0]; run.Status != pipeline.Succeeded || !run.Revision.Created.Equal(at) {
			t.Errorf("%+v %+v", run, run.Revision)
		}
	})
}

// S-312: an action goes on in another job with the token, after the rest it asked for.
func TestContinue(t *testing.T) {
	bubble(t, func(w *world) {
		begun := time.Now()
		type call struct {
			after       time.Duration
			token       string
			job, action string
		}
		var calls []call
		w.work("n", func(_ context.Context, job provider.Job) provider.Result {
			calls = append(calls, call{time.Since(begun), job.ContinuationToken, job.ID, job.ActionExecutionID})
			switch job.ContinuationToken {
			case "":
				return provider.Result{Continue: "one"}
			case "one":
				return provider.Result{Continue: "two", After: 5 * time.Minute, Progress: provider.Progress{Summary: "half"}}
			}
			return provider.Result{}
		})
		w.create("p", []pipeline.Action{action("A", 1)})
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if len(calls) != 3 || calls[1].after != 30*time.Second || calls[2].after != 5*time.Minute+30*time.Second || calls[2].token != "two" {
			t.Fatalf("%+v", calls)
		}
		if calls[0].action != calls[2].action || calls[0].job == calls[1].job || calls[1].job == calls[2].job {
			t.Errorf("one action has a chain of jobs (S-303): %+v", calls)
		}
		if run := w.runs("p")[0]; run.Status != pipeline.Succeeded || run.Summary != "half" || run.JobNumber != 3 {
			t.Errorf("%+v", run)
		}
	})
}

// lost is what a stubborn provider tells of a job that is somebody else's.
const lost = "lost"

// stubborn is a provider that goes on after its context has ended, and then says that all
// is well. It tells the job that nobody wants any more.
func stubborn(stopped chan<- string, end <-chan bool) fake {
	return func(ctx context.Context, job provider.Job) provider.Result {
		<-ctx.Done()
		if context.Cause(ctx) == provider.ErrAborted {
			stopped <- job.ID
		} else {
			stopped <- lost
		}
		<-end
		return provider.Result{Progress: provider.Progress{Summary: "too late"}}
	}
}

// S-194: an abandoned action's provider is told at once, and what it says afterwards does
// not count.
func TestAbandon(t *testing.T) {
	bubble(t, func(w *world) {
		stopped, end := make(chan string, 1), make(chan bool)
		w.work("n", stubborn(stopped, end))
		w.create("p", []pipeline.Action{action("A", 1)})
		synctest.Wait()
		w.apply("p", engine.Stop{Execution: w.execution("p").ID, Abandon: true})
		id := once(w, stopped)
		close(end)
		synctest.Wait()
		if run := w.runs("p")[0]; run.Status != pipeline.Abandoned || run.Summary != "" || w.status("p") != pipeline.Stopped {
			t.Errorf("%+v", run)
		}
		if job := w.job(pipeline.JobID(id)); job.Status != engine.JobEndFailed {
			t.Errorf("job %s", job.Status)
		}
	})
}

// S-69: deleting the pipeline does the same, and leaves nothing to report on.
func TestDeleteEndsTheWork(t *testing.T) {
	bubble(t, func(w *world) {
		stopped, end := make(chan string, 1), make(chan bool)
		w.work("n", stubborn(stopped, end))
		w.create("p", []pipeline.Action{action("A", 1)})
		synctest.Wait()
		w.update(func(ctx context.Context, tx *store.Tx) error { return w.c.DeleteTx(ctx, tx, "id of p") })
		if once(w, stopped) == lost {
			t.Error("somebody seems to want the work still")
		}
		close(end)
		synctest.Wait()
	})
}

// S-316, S-338: an action's time is over although its provider hears nothing.
func TestTimeOut(t *testing.T) {
	bubble(t, func(w *world) {
		begun := time.Now()
		stopped, end := make(chan string, 1), make(chan bool)
		w.work("n", stubborn(stopped, end))
		w.create("p", []pipeline.Action{action("A", 1)})
		time.Sleep(timeout - time.Microsecond)
		synctest.Wait()
		if w.status("p") != pipeline.InProgress {
			t.Fatal("too early")
		}
		time.Sleep(time.Microsecond)
		id := once(w, stopped)
		close(end)
		synctest.Wait()
		run := w.runs("p")[0]
		if run.Status != pipeline.Failed || !strings.Contains(run.Error.Message, "time limit of 1h0m0s") || !run.Updated.Equal(begun.Add(timeout)) || run.Summary != "" {
			t.Errorf("%+v %+v", run, run.Error)
		}
		if job := w.job(pipeline.JobID(id)); job.Status != engine.JobTimedOut {
			t.Errorf("job %s", job.Status)
		}
	})
}

// S-315: who lost the lease of a job is stopped, and its report is refused by the fencing
// number; the new holder's counts.
func TestLeaseLost(t *testing.T) {
	bubble(t, func(w *world) {
		stopped, end := make(chan string, 1), make(chan bool)
		w.work("first", stubborn(stopped, end))
		w.create("p", []pipeline.Action{action("A", 1)})
		synctest.Wait()
		// As if the first could not renew for a minute.
		w.update(func(ctx context.Context, tx *store.Tx) error { return tx.DropLeases(ctx) })
		second, finish := make(chan provider.Job, 1), make(chan bool)
		time.Sleep(time.Microsecond)
		w.work("second", func(_ context.Context, job provider.Job) provider.Result {
			second <- job
			<-finish
			return provider.Result{Progress: provider.Progress{Summary: "second"}}
		})
		job := once(w, second)
		if row := w.job(pipeline.JobID(job.ID)); row.Node != "second" || row.Fence != 2 {
			t.Fatalf("held by %s, fence %d", row.Node, row.Fence)
		}
		time.Sleep(30 * time.Second) // the first finds that it does not hold the job any more
		if once(w, stopped) != lost {
			t.Error("the first takes the work for unwanted, which is the second's now")
		}
		close(end)
		synctest.Wait()
		if run := w.runs("p")[0]; run.Status != pipeline.InProgress || run.Summary != "" {
			t.Errorf("the first's report counted: %+v", run)
		}
		close(finish)
		synctest.Wait()
		if run := w.runs("p")[0]; run.Status != pipeline.Succeeded || run.Summary != "second" {
			t.Errorf("the second's report did not count: %+v", run)
		}
	})
}

// A report that comes between the loss and its discovery is refused as well (S-315), also where
// the number of the hand-out is all that tells the two holders apart.
func TestFencedReport(t *testing.T) {
	for _, node := range []string{"first", "second"} {
		t.Run(node, func(t *testing.T) {
			bubble(t, func(w *world) {
				end := make(chan bool)
				w.work("first", func(_ context.Context, job provider.Job) provider.Result {
					<-end
					job.Env.Progress(provider.Progress{Summary: "stale"})
					return failed("stale")
				})
				w.create("p", []pipeline.Action{action("A", 1)})
				synctest.Wait()
				w.update(func(ctx context.Context, tx *store.Tx) error { return tx.DropLeases(ctx) })
				time.Sleep(time.Microsecond)
				w.update(func(ctx context.Context, tx *store.Tx) error {
					rows, err := tx.ClaimJobs(ctx, []string{store.Queue("", "", built)}, node, 1, time.Hour, nil, nil)
					if len(rows) != 1 {
						t.Error("not claimed")
					}
					return err
				})
				close(end)
				synctest.Wait()
				if run := w.runs("p")[0]; run.Status != pipeline.InProgress || run.Summary != "" {
					t.Errorf("%+v", run)
				}
			})
		})
	}
}

// A worker that could not renew its lease in time but is still at work does not begin anew.
func TestOwnLapsedLease(t *testing.T) {
	bubble(t, func(w *world) {
		var calls atomic.Int32
		end := make(chan bool)
		w.work("n", func(context.Context, provider.Job) provider.Result {
			calls.Add(1)
			<-end
			return provider.Result{}
		})
		w.create("p", []pipeline.Action{action("A", 1)})
		synctest.Wait()
		w.update(func(ctx context.Context, tx *store.Tx) error { return tx.DropLeases(ctx) })
		time.Sleep(time.Microsecond)
		w.create("q", []pipeline.Action{action("M", 1)}, []pipeline.Action{action("A", 1)}) // makes the worker look
		w.apply("q", engine.Approve{Stage: "S1", Action: "M", Token: w.runs("q")[0].Token, Status: "Approved"})
		synctest.Wait()
		if n := calls.Load(); n != 2 {
			t.Errorf("%d runs of two jobs", n)
		}
		time.Sleep(2 * time.Minute) // renewed again
		close(end)
		synctest.Wait()
		if w.status("p") != pipeline.Succeeded || w.status("q") != pipeline.Succeeded || calls.Load() != 2 {
			t.Errorf("%s %s after %d runs", w.status("p"), w.status("q"), calls.Load())
		}
	})
}

// After a restart an unfinished job is done again under the same ids, and what a worker
// elsewhere has acknowledged is not handed out again (S-317).
func TestRestart(t *testing.T) {
	bubble(t, func(w *world) {
		jobs := make(chan provider.Job, 1)
		stop := w.work("before", func(ctx context.Context, job provider.Job) provider.Result {
			jobs <- job
			<-ctx.Done()
			return failed("cut short")
		})
		w.create("p", []pipeline.Action{action("A", 1), action("X", 1)})
		before := once(w, jobs)
		outside := store.Queue("1", "r", custom)
		poll := func() (rows []*store.JobRow) {
			w.update(func(ctx context.Context, tx *store.Tx) (err error) {
				rows, err = tx.DispatchJobs(ctx, outside, "", 9, time.Minute)
				return err
			})
			return rows
		}
		acknowledged := poll()[0].ID
		w.update(func(ctx context.Context, tx *store.Tx) error { return tx.AcknowledgeJob(ctx, acknowledged) })
		stop()
		if run := w.runs("p")[0]; run.Status != pipeline.InProgress {
			t.Fatalf("a job cut short by the end counted: %+v", run)
		}
		w.update(func(ctx context.Context, tx *store.Tx) error { return tx.DropLeases(ctx) })
		time.Sleep(time.Second)
		w.work("after", func(_ context.Context, job provider.Job) provider.Result {
			jobs <- job
			return provider.Result{}
		})
		if after := once(w, jobs); after.ID != before.ID || after.ActionExecutionID != before.ActionExecutionID || !after.Deadline.Equal(before.Deadline) {
			t.Errorf("before %+v\nafter %+v", before, after)
		}
		time.Sleep(10 * time.Minute)
		if again := poll(); again != nil {
			t.Errorf("an acknowledged job was handed out again")
		}
		if err := w.c.Report(w.Context(), acknowledged, func(row *store.JobRow) error {
			if row.Status != engine.JobInProgress {
				t.Errorf("the acknowledged job is %s", row.Status)
			}
			return nil
		}, func(ref engine.JobRef) engine.Event { return engine.Succeed{Job: ref} }); err != nil {
			t.Fatal(err)
		}
		if w.status("p") != pipeline.Succeeded {
			t.Error(w.status("p"))
		}
	})
}

// No more jobs run at once than there are slots, and a slot that is freed is used at once.
func TestConcurrency(t *testing.T) {
	bubble(t, func(w *world) {
		var now, most atomic.Int32
		step := make(chan bool)
		w.work("n", func(context.Context, provider.Job) provider.Result {
			most.Store(max(most.Load(), now.Add(1)))
			<-step
			now.Add(-1)
			return provider.Result{}
		})
		var actions []pipeline.Action
		for i := range 10 {
			actions = append(actions, action(fmt.Sprint("A", i), 1))
		}
		w.create("p", actions)
		for range 10 {
			synctest.Wait()
			step <- true
		}
		synctest.Wait()
		if w.status("p") != pipeline.Succeeded || most.Load() != 4 {
			t.Errorf("%s with at most %d at once", w.status("p"), most.Load())
		}
	})
}

// However an abandonment races with the claim of the job, the provider is not left running.
func TestAbandonRacesWithClaim(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		var begun, returned atomic.Int32
		done := make(chan bool, 1000)
		stop := w.work("n", func(ctx context.Context, _ provider.Job) provider.Result {
			begun.Add(1)
			<-ctx.Done()
			returned.Add(1)
			done <- true
			return provider.Result{}
		})
		for i := range 40 {
			name := fmt.Sprint("p", i)
			w.create(name, []pipeline.Action{action("A", 1), action("B", 1)})
			w.apply(name, engine.Stop{Execution: w.execution(name).ID, Abandon: true})
		}
		for limit := time.After(patience); returned.Load() < begun.Load(); {
			select {
			case <-done:
			case <-limit:
				t.Fatal("a provider was not told that its job was abandoned")
			}
		}
		stop()
		var statuses []pipeline.Status
		for i := range 40 {
			statuses = append(statuses, w.status(fmt.Sprint("p", i)))
		}
		if s := slices.Compact(statuses); len(s) != 1 || s[0] != pipeline.Stopped {
			t.Errorf("executions are %v", s)
		}
	})
}
