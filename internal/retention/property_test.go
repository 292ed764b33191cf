package retention_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"penstock/internal/engine"
	"penstock/internal/pipeline"
	"penstock/internal/store/storetest"
)

// Whatever has happened to a pipeline, and wherever a pass was cut off: every retry and every
// rollback that is accepted afterwards finds its artifacts and revisions, nothing live or shown
// has changed, nothing a user has written is touched; and when nothing is in the way everything
// else that is old goes, with its artifacts (S-5, S-78, S-163, S-182, S-295).
func TestNothingNeededGoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		mode := rapid.SampledFrom([]pipeline.ExecutionMode{pipeline.Superseded, pipeline.Queued, pipeline.Parallel}).Draw(r, "mode")
		rollback := mode != pipeline.Parallel && rapid.Bool().Draw(r, "rollback")
		w := newWorld(r, t.Context(), storetest.SQLiteURL(t), declare(mode, 1, rollback))
		defer w.close()
		stages := []string{"Source", "Build", "Deploy"}
		users := map[string]int{}
		for range rapid.IntRange(10, 60).Draw(r, "events") {
			execution := rapid.SampledFrom(w.known).Draw(r, "execution")
			stage := rapid.SampledFrom(stages).Draw(r, "stage")
			switch what := rapid.IntRange(0, 19).Draw(r, "what"); {
			case what < 3:
				w.apply(engine.Start{})
			case what < 11:
				if list := w.running(); len(list) > 0 {
					w.end(rapid.SampledFrom(list).Draw(r, "run"), rapid.IntRange(0, 3).Draw(r, "fails") > 0)
				}
			case what == 11:
				w.apply(engine.Retry{Execution: execution, Stage: stage, Mode: rapid.SampledFrom([]pipeline.RetryMode{pipeline.AllActions, pipeline.FailedActions}).Draw(r, "mode")})
			case what == 12:
				w.apply(engine.Rollback{Target: execution, Stage: stage})
			case what == 13:
				w.apply(engine.Stop{Execution: execution, Abandon: rapid.Bool().Draw(r, "abandon")})
			case what == 14 && rapid.IntRange(0, 3).Draw(r, "changes") == 0:
				w.version++
				w.change(declare(mode, w.version, rollback))
			case what == 15: // somebody puts something in the place of an artifact, long after it
				keys := []string{}
				w.look()
				for key := range w.objects {
					_, name, _ := strings.Cut(key, "/")
					if w.clock().Sub(w.busy[name]) > 2*time.Hour {
						keys = append(keys, key)
					}
				}
				if slices.Sort(keys); len(keys) > 0 {
					key := rapid.SampledFrom(keys).Draw(r, "key")
					w.objects[key] = append(w.objects[key], version{at: w.clock(), user: true})
					users[key]++
					w.pass(2 * time.Hour)
				}
			case what < 18:
				w.pass(time.Duration(rapid.IntRange(1, 400*24).Draw(r, "hours")) * time.Hour)
			default:
				before := w.rows()
				w.refuse = rapid.Bool().Draw(r, "refuse")
				f := &fuse{t.Context(), 1 << 30}
				if rapid.Bool().Draw(r, "crash") {
					f.left = rapid.IntRange(0, 60).Draw(r, "after")
				}
				_, err := w.keeper().Take(rapid.SampledFrom([]int{1, 2, 5, 200}).Draw(r, "runs")).Collect(f)
				if err != nil && f.left >= 0 {
					r.Fatal(err)
				}
				w.open()
				if after := w.rows(); after != before {
					r.Fatalf("the state was\n%s\nand is\n%s", before, after)
				}
				w.check()
			}
		}
		// What was put off comes again in time.
		w.refuse = false
		w.pass(31 * 24 * time.Hour)
		for range 3 { // a rollback goes, then its target, then the artifacts of both
			if _, err := w.keeper().Collect(t.Context()); err != nil {
				r.Fatal(err)
			}
		}
		w.open()
		w.check()
		w.tidy()
		for key, n := range users {
			if list := w.objects[key]; len(slices.DeleteFunc(slices.Clone(list), func(v version) bool { return !v.user })) != n {
				r.Fatalf("of %d objects that were put at %s there are %v", n, key, list)
			}
		}
	})
}
