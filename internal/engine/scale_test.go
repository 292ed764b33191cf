package engine

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"penstock/internal/pipeline"
)

// large is a pipeline of stages with so many actions each, started and with its sources done.
func large(t testing.TB, mode pipeline.ExecutionMode, stages, actions int, kind string) (*State, *pipeline.Declaration) {
	t.Helper()
	d := &pipeline.Declaration{Name: "large", RoleARN: "arn:role", Version: 1, PipelineType: pipeline.V2, ExecutionMode: mode,
		ArtifactStore: &pipeline.ArtifactStore{Type: "S3", Location: "bucket"},
		Stages:        []pipeline.Stage{{Name: "Source", Actions: []pipeline.Action{action("src>src", true)}}}}
	for i := 1; i < stages; i++ {
		s := pipeline.Stage{Name: fmt.Sprintf("S%d", i), OnFailure: &pipeline.FailureConditions{Result: "RETRY"}}
		for n := range actions {
			a := action("a"+strconv.Itoa(n)+kind+"<src", false)
			a.RunOrder = n%7 + 1
			s.Actions = append(s.Actions, a)
		}
		d.Stages = append(d.Stages, s)
	}
	s := New("111111111111", "eu-west-1", "seed", d, time.Unix(0, 0))
	s.Attached.Catalogue = catalogue
	return s, d
}

func must(t testing.TB, s *State, ev Event) (*State, []Effect) {
	t.Helper()
	next, effects, err := Step(s, time.Unix(0, 0), ev)
	if err != nil {
		t.Fatal(err)
	}
	return next, effects
}

// answer succeeds every job that was started, oldest first, until there is none, and counts.
func answer(t testing.TB, s *State, effects []Effect) (*State, int) {
	t.Helper()
	n := 0
	for i := 0; i < len(effects); i++ {
		if job, ok := effects[i].(StartJob); ok {
			var more []Effect
			s, more = must(t, s, Succeed{Job: JobRef{ID: job.ID, Execution: job.Execution, Run: job.Run}})
			effects = append(effects, more...)
			n++
		}
	}
	return s, n
}

// The largest pipeline (S-74, S-75) runs to its end, in one job an action.
func TestLargestPipeline(t *testing.T) {
	t.Parallel()
	s, _ := large(t, pipeline.Superseded, 50, 20, "")
	s, effects := must(t, s, Start{})
	started := s.Started
	s, n := answer(t, s, effects)
	if n != 1+49*20 || len(s.Executions) > 0 || s.Retired[0].ID != started || s.Retired[0].Status != pipeline.Succeeded {
		t.Fatalf("%d jobs; the execution is %s", n, s.Retired[0].Status)
	}
}

// One event may set off a long chain: fifty executions wait at a gate (S-142, S-144), behind which
// every action fails as it starts, twice (S-180).
func TestLongestChain(t *testing.T) {
	t.Parallel()
	s, d := large(t, pipeline.Queued, 2, 50, ":gone")
	gate := d.Stages[1].Name
	s, _ = must(t, s, DisableTransition{Stage: gate, Direction: "Inbound"})
	for range 50 {
		var effects []Effect
		s, effects = must(t, s, Start{})
		s, _ = answer(t, s, effects)
	}
	s, effects := must(t, s, EnableTransition{Stage: gate, Direction: "Inbound"})
	runs := 0
	for _, e := range effects {
		if emit, ok := e.(Emit); ok && emit.DetailType == actionChange {
			runs++
		}
	}
	group := 8 // of run order 1, in which all fail
	if len(s.Executions) != 1 || len(s.Retired) != 49 || runs != 50*2*2*group {
		t.Fatalf("%d live, %d ended, %d changes of actions", len(s.Executions), len(s.Retired), runs)
	}
	if err := Check(s); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkStep is one progress report in pipelines of growing size.
func BenchmarkStep(b *testing.B) {
	for _, stages := range []int{2, 11, 50} {
		b.Run(fmt.Sprintf("actions=%d", (stages-1)*20), func(b *testing.B) {
			s, _ := large(b, pipeline.Superseded, stages, 20, "")
			s, effects := must(b, s, Start{})
			s, _ = answer(b, s, effects) // every action has run once
			s, effects = must(b, s, Start{})
			job := effects[len(effects)-1].(StartJob)
			ev := Progress{Job: JobRef{ID: job.ID, Execution: job.Execution, Run: job.Run}, Result: Result{Percent: new(50)}}
			b.ReportAllocs()
			for b.Loop() {
				must(b, s, ev)
			}
		})
	}
	for _, executions := range []int{1, 50} {
		b.Run(fmt.Sprintf("parallel=%d", executions), func(b *testing.B) {
			s, _ := large(b, pipeline.Parallel, 11, 20, "")
			var ev Event
			for range executions {
				var effects []Effect
				s, effects = must(b, s, Start{})
				job := effects[len(effects)-1].(StartJob)
				ref := JobRef{ID: job.ID, Execution: job.Execution, Run: job.Run}
				s, effects = must(b, s, Succeed{Job: ref})
				for _, e := range effects {
					if job, ok := e.(StartJob); ok {
						ev = Progress{Job: JobRef{ID: job.ID, Execution: job.Execution, Run: job.Run}}
					}
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				must(b, s, ev)
			}
		})
	}
}
