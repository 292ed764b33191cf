package codepipeline

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/conductor"
	"penstock/internal/fault"
	"penstock/internal/pipeline"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// scene is a world in some state, and what it refuses.
type scene struct {
	*world
	url string
	// ids are what messages call by a name here, because it is another each time.
	ids map[string]string
}

// refusal is a request that a scene refuses, with exactly this class and message.
type refusal struct {
	rule           string
	ask            func(s *scene) error
	class, message string
}

// all is everything there is: every row of the database, be it of the state of a pipeline, its
// history, jobs, timers, events to tell, tokens or tags, and the state as memory has it.
func (s *scene) all() []string {
	s.Helper()
	shown, err := json.Marshal(s.state("p"))
	return append(storetest.Rows(s.T, s.url), must(s.world, string(shown), err))
}

// refuse makes the requests one after the other, and wants everything to be afterwards what it
// was before.
func (s *scene) refuse(refusals ...refusal) {
	s.Helper()
	before := s.all()
	for _, r := range refusals {
		err := r.ask(s)
		after := s.all()
		f, ok := errors.AsType[*fault.Error](err)
		if !ok {
			s.Errorf("%s: got %v, want %s", r.rule, err, r.class)
			continue
		}
		said := f.Message
		for name, id := range s.ids {
			said = strings.ReplaceAll(said, id, name)
		}
		if f.Code != r.class || said != r.message {
			s.Errorf("%s: got\n%s: %s\nwant\n%s: %s", r.rule, f.Code, said, r.class, r.message)
		}
		if !slices.Equal(before, after) {
			s.Errorf("%s was refused and changed something: it was\n%s\nand is\n%s", r.rule,
				strings.Join(without(before, after), "\n"), strings.Join(without(after, before), "\n"))
		}
		before = after
	}
}

// without is what only the first list has.
func without(list, other []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(line string) bool { return slices.Contains(other, line) })
}

// play runs a scene on both databases. Events are kept, as nobody is there to be told.
func play(t *testing.T, strict pipeline.Limits, f func(s *scene)) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		told := func(context.Context, []store.Outgoing) error { return nil }
		s := &scene{url: url, ids: map[string]string{}}
		s.world = assemble(t, storetest.Open(t, url), conductor.Config{Deliver: told}, strict)
		s.workerType()
		f(s)
		if rows := strings.Join(storetest.Rows(t, url), "\n"); !strings.Contains(rows, "\noutbox: ") || !strings.Contains(rows, "\njob: ") || !strings.Contains(rows, "\nexecution: ") {
			t.Errorf("the scene has no events, jobs or history that could change:\n%s", rows)
		}
	})
}

// two is a pipeline of a source and a build, changed by edit.
func (s *scene) two(edit func(d *api.PipelineDeclaration)) *api.PipelineDeclaration {
	s.Helper()
	d := definition("p")
	d.Stages, d.PipelineType = d.Stages[:2], "V2"
	if edit != nil {
		edit(d)
	}
	must(s.world, 0, drop(s.CreatePipeline(s.ctx, &api.CreatePipelineInput{Pipeline: d})))
	out, err := s.ListPipelineExecutions(s.ctx, &api.ListPipelineExecutionsInput{PipelineName: "p"})
	s.ids["e1"] = must(s.world, out, err).PipelineExecutionSummaries[0].PipelineExecutionId
	return d
}

// begin starts another execution.
func (s *scene) begin(name string) {
	s.Helper()
	s.ids[name] = s.execute("p")
}

const nobody = "00000000-0000-4000-8000-000000000000"

// id is that of a named execution, or of none.
func (s *scene) id(name string) string {
	if id, ok := s.ids[name]; ok {
		return id
	}
	return nobody
}

func retry(name, stage, execution, mode string) func(*scene) error {
	return func(s *scene) error {
		return drop(s.RetryStageExecution(s.ctx, &api.RetryStageExecutionInput{PipelineName: name, StageName: stage, PipelineExecutionId: s.id(execution), RetryMode: mode}))
	}
}

func stop(name, execution string, abandon bool) func(*scene) error {
	return func(s *scene) error {
		return drop(s.StopPipelineExecution(s.ctx, &api.StopPipelineExecutionInput{PipelineName: name, PipelineExecutionId: s.id(execution), Abandon: &abandon, Reason: "why"}))
	}
}

func goBack(name, stage, target string) func(*scene) error {
	return func(s *scene) error {
		return drop(s.RollbackStage(s.ctx, &api.RollbackStageInput{PipelineName: name, StageName: stage, TargetPipelineExecutionId: s.id(target)}))
	}
}

func override(name, stage, execution, place string) func(*scene) error {
	return func(s *scene) error {
		return drop(s.OverrideStageCondition(s.ctx, &api.OverrideStageConditionInput{PipelineName: name, StageName: stage, PipelineExecutionId: s.id(execution), ConditionType: place}))
	}
}

func run(in *api.StartPipelineExecutionInput) func(*scene) error {
	return func(s *scene) error { return drop(s.StartPipelineExecution(s.ctx, in)) }
}

const (
	noPipeline = "Account '111111111111' does not have a pipeline with name 'q'"
	noStage    = "The pipeline 'p' does not have a stage with name 'X'"
	notBuilt   = "The stage 'Build' cannot be retried for execution 'e1': "
)

// S-169…S-175, S-167: no retry that is refused leaves a trace.
func TestRefusedRetries(t *testing.T) {
	t.Parallel()
	t.Run("nothing failed", func(t *testing.T) {
		play(t, pipeline.Limits{}, func(s *scene) {
			s.two(nil)
			s.refuse(
				refusal{"S-175 pipeline", retry("q", "Build", "e1", "ALL_ACTIONS"), "PipelineNotFoundException", noPipeline},
				refusal{"S-175 stage", retry("p", "X", "e1", "ALL_ACTIONS"), "StageNotFoundException", noStage},
				refusal{"S-175 execution", retry("p", "Source", "", "ALL_ACTIONS"), "NotLatestPipelineExecutionException",
					"The execution '" + nobody + "' is not the latest execution that entered the stage 'Source'"},
				refusal{"S-169 runs", retry("p", "Source", "e1", "FAILED_ACTIONS"), "StageNotRetryableException", "The stage 'Source' cannot be retried for execution 'e1': it has no failed action"},
				refusal{"S-169 never run", retry("p", "Build", "e1", "FAILED_ACTIONS"), "StageNotRetryableException", notBuilt + "it has no failed action"},
			)
			s.work("Source", "get", nil)
			s.work("Build", "make", nil)
			s.refuse(
				refusal{"S-169 succeeded", retry("p", "Build", "e1", "ALL_ACTIONS"), "StageNotRetryableException", notBuilt + "it has no failed action"},
				refusal{"S-169 a stage before", retry("p", "Source", "e1", "ALL_ACTIONS"), "StageNotRetryableException", "The stage 'Source' cannot be retried for execution 'e1': it has no failed action"},
			)
		})
	})
	t.Run("skipped", func(t *testing.T) {
		play(t, pipeline.Limits{}, func(s *scene) {
			s.two(func(d *api.PipelineDeclaration) {
				d.Stages[1].BeforeEntry = &api.BeforeEntryConditions{Conditions: []api.Condition{{Result: "SKIP", Rules: []api.RuleDeclaration{check("r")}}}}
			})
			s.work("Source", "get", map[string]string{"commit": "x"})
			s.judge(false)
			s.refuse(
				refusal{"S-169 S-206 skipped", retry("p", "Build", "e1", "ALL_ACTIONS"), "StageNotRetryableException", notBuilt + "it has no failed action"},
				refusal{"S-185 S-206 skipped", goBack("p", "Build", "e1"), "UnableToRollbackStageException", "The stage 'Build' cannot be rolled back to execution 'e1': it did not succeed in this stage"},
				refusal{"S-206 S-208 skipped", override("p", "Build", "e1", "BEFORE_ENTRY"), "ConditionNotOverridableException", "The entry condition of stage 'Build' cannot be overridden for execution 'e1': its result is SKIP"},
			)
		})
	})
	t.Run("in progress", func(t *testing.T) {
		play(t, pipeline.Limits{}, func(s *scene) {
			s.two(func(d *api.PipelineDeclaration) {
				other := d.Stages[1].Actions[0]
				other.Name, other.Configuration = "Other", map[string]string{"job": "other"}
				d.Stages[1].Actions = append(d.Stages[1].Actions, other)
			})
			s.work("Source", "get", nil)
			s.fail("Build", "make")
			s.refuse(refusal{"S-167", retry("p", "Build", "e1", "ALL_ACTIONS"), "StageNotRetryableException", notBuilt + "actions of the stage are still running; wait for them, or use FAILED_ACTIONS"})
			must(s.world, 0, retry("p", "Build", "e1", "FAILED_ACTIONS")(s))
			s.refuse(refusal{"S-172 retry", retry("p", "Build", "e1", "FAILED_ACTIONS"), "ConflictException", "A retry of the stage 'Build' is already in progress"})
			must(s.world, 0, stop("p", "e1", false)(s))
			s.refuse(refusal{"S-172 stopping", retry("p", "Build", "e1", "FAILED_ACTIONS"), "ConflictException", "The execution 'e1' is stopping; retry the stage 'Build' when it has stopped"})
		})
	})
	t.Run("overtaken, then updated", func(t *testing.T) {
		play(t, pipeline.Limits{}, func(s *scene) {
			d := s.two(nil)
			s.work("Source", "get", nil)
			s.fail("Build", "make")
			s.begin("e2")
			s.work("Source", "get", nil)
			s.refuse(refusal{"S-171 S-174", retry("p", "Build", "e1", "FAILED_ACTIONS"), "NotLatestPipelineExecutionException",
				"The execution 'e1' is not the latest execution that entered the stage 'Build'"})
			s.begin("e3")
			s.work("Source", "get", nil) // it waits for Build
			s.begin("e4")
			s.work("Source", "get", nil) // and is superseded
			must(s.world, 0, stop("p", "e4", false)(s))
			const no = "The stage 'Build' cannot be retried for execution "
			s.refuse(
				refusal{"S-173 superseded", retry("p", "Build", "e3", "FAILED_ACTIONS"), "StageNotRetryableException", no + "'e3': it ended as Superseded and cannot be resumed"},
				refusal{"S-173 stopped while waiting", retry("p", "Build", "e4", "FAILED_ACTIONS"), "StageNotRetryableException", no + "'e4': it ended as Stopped and cannot be resumed"},
			)
			s.fail("Build", "make")
			s.begin("e5")
			d.Version = nil
			must(s.world, 0, drop(s.UpdatePipeline(s.ctx, &api.UpdatePipelineInput{Pipeline: d})))
			s.work("Source", "get", nil)
			s.refuse(
				refusal{"S-170", retry("p", "Build", "e2", "FAILED_ACTIONS"), "StageNotRetryableException", no + "'e2': the structure of the pipeline has changed since"},
				refusal{"S-173 cancelled", retry("p", "Source", "e5", "FAILED_ACTIONS"), "StageNotRetryableException", "The stage 'Source' cannot be retried for execution 'e5': it ended as Cancelled and cannot be resumed"},
			)
		})
	})
}

// S-76, S-104, S-174, S-209: beyond the limit of executions nothing begins and nothing resumes.
func TestRefusedBeyondTheLimit(t *testing.T) {
	play(t, pipeline.Limits{ConcurrentExecutions: 2}, func(s *scene) {
		s.two(func(d *api.PipelineDeclaration) {
			d.ExecutionMode = "QUEUED"
			d.Stages[1].OnSuccess = &api.SuccessConditions{Conditions: []api.Condition{{Result: "FAIL", Rules: []api.RuleDeclaration{check("r")}}}}
		})
		s.work("Source", "get", map[string]string{"commit": "x"})
		s.work("Build", "make", nil)
		s.judge(false)
		s.begin("e2")
		s.begin("e3")
		const full = "ConcurrentPipelineExecutionsLimitExceededException"
		const says = "The pipeline 'p' has reached the limit of 2 concurrent executions"
		s.refuse(
			refusal{"S-104 start", run(&api.StartPipelineExecutionInput{Name: "p", ClientRequestToken: "t"}), full, says},
			refusal{"S-104 revision", func(s *scene) error {
				return drop(s.PutActionRevision(s.ctx, &api.PutActionRevisionInput{PipelineName: "p", StageName: "Source", ActionName: "Get", ActionRevision: &api.ActionRevision{RevisionId: "new", RevisionChangeId: "c"}}))
			}, full, says},
			refusal{"S-209 override", override("p", "Build", "e1", "ON_SUCCESS"), full, says},
		)
		must(s.world, 0, stop("p", "e3", false)(s))
		must(s.world, 0, override("p", "Build", "e1", "ON_SUCCESS")(s))
		s.work("Source", "get", map[string]string{"commit": "x"})
		s.fail("Build", "make")
		s.begin("e4")
		s.begin("e5")
		s.refuse(refusal{"S-174 retry", retry("p", "Build", "e2", "FAILED_ACTIONS"), full, says})
	})
}

// S-61, S-71: a pipeline that may not be set to polling is not stored, and one that may not become so
// stays what it is.
func TestRefusedPolling(t *testing.T) {
	play(t, pipeline.Limits{PollingPipelines: 1}, func(s *scene) {
		s.two(nil)
		must(s.world, 0, drop(s.CreatePipeline(s.ctx, &api.CreatePipelineInput{Pipeline: polling("polled", "AWS", "S3", "")})))
		says := func(name string) string {
			return "The account '111111111111' already has 1 pipelines that are set to polling in the region eu-west-1, which is the limit. " +
				"Set PollForSourceChanges to 'false' in the source actions of the pipeline '" + name + "' and start it by an event rule or a webhook."
		}
		s.refuse(
			refusal{"S-61 S-71 create", func(s *scene) error {
				return drop(s.CreatePipeline(s.ctx, &api.CreatePipelineInput{Pipeline: polling("q", "AWS", "CodeCommit", ""), Tags: []api.Tag{{Key: "k"}}}))
			}, "LimitExceededException", says("q")},
			refusal{"S-61 S-71 update", func(s *scene) error {
				return drop(s.UpdatePipeline(s.ctx, &api.UpdatePipelineInput{Pipeline: polling("p", "AWS", "S3", "true")}))
			}, "LimitExceededException", says("p")},
		)
	})
}

// S-185, S-186: no rollback that is refused leaves a trace.
func TestRefusedRollbacks(t *testing.T) {
	play(t, pipeline.Limits{}, func(s *scene) {
		d := s.two(nil)
		const unable, no = "UnableToRollbackStageException", "The stage 'Build' cannot be rolled back to execution "
		s.refuse(
			refusal{"S-186 pipeline", goBack("q", "Build", "e1"), "PipelineNotFoundException", noPipeline},
			refusal{"S-186 stage", goBack("p", "X", "e1"), "StageNotFoundException", noStage},
			refusal{"S-186 target", goBack("p", "Build", ""), "PipelineExecutionNotFoundException", "The pipeline 'p' does not have an execution with id '" + nobody + "'"},
			refusal{"S-185 source", goBack("p", "Source", "e1"), unable, "The stage 'Source' cannot be rolled back to execution 'e1': it is the source stage"},
			refusal{"S-185 never there", goBack("p", "Build", "e1"), unable, no + "'e1': it did not succeed in this stage"},
		)
		s.work("Source", "get", nil)
		s.work("Build", "make", nil)
		s.begin("e2")
		s.work("Source", "get", nil)
		s.refuse(refusal{"S-185 S-186 runs", goBack("p", "Build", "e1"), unable, no + "'e1': another execution is in the stage"})
		s.fail("Build", "make")
		s.refuse(refusal{"S-185 failed", goBack("p", "Build", "e2"), unable, no + "'e2': it did not succeed in this stage"})
		back, err := s.rollback("Build", s.ids["e1"])
		s.ids["back"] = must(s.world, back, err)
		s.work("Build", "make", nil)
		s.refuse(refusal{"S-185 of a rollback", goBack("p", "Build", "back"), unable, no + "'back': it is a rollback itself"})
		d.Version = nil
		must(s.world, 0, drop(s.UpdatePipeline(s.ctx, &api.UpdatePipelineInput{Pipeline: d})))
		s.refuse(refusal{"S-186 outdated", goBack("p", "Build", "e1"), "PipelineExecutionOutdatedException", "The execution 'e1' was started in version 1 of the pipeline 'p', which is now in version 2"})
		d.ExecutionMode = "PARALLEL"
		must(s.world, 0, drop(s.UpdatePipeline(s.ctx, &api.UpdatePipelineInput{Pipeline: d})))
		s.refuse(refusal{"S-148", goBack("p", "Build", "e1"), unable, no + "'e1': the pipeline is in PARALLEL mode"})
	})
}

// S-195, S-196: no stop that is refused leaves a trace, not even its reason.
func TestRefusedStops(t *testing.T) {
	play(t, pipeline.Limits{}, func(s *scene) {
		s.two(nil)
		const cannot = "PipelineExecutionNotStoppableException"
		s.refuse(
			refusal{"S-196 pipeline", stop("q", "e1", false), "PipelineNotFoundException", noPipeline},
			refusal{"S-196 execution", stop("p", "", false), cannot, "The execution '" + nobody + "' of pipeline 'p' is not in progress"},
		)
		s.acknowledge(s.poll("Source", "get"))
		must(s.world, 0, stop("p", "e1", false)(s))
		s.refuse(refusal{"S-195 wait after wait", stop("p", "e1", false), "DuplicatedStopRequestException", "The execution 'e1' is already stopping"})
		must(s.world, 0, stop("p", "e1", true)(s))
		s.refuse(
			refusal{"S-195 S-196 wait after abandon", stop("p", "e1", false), cannot, "The execution 'e1' of pipeline 'p' is not in progress"},
			refusal{"S-195 S-196 abandon after abandon", stop("p", "e1", true), cannot, "The execution 'e1' of pipeline 'p' is not in progress"},
		)
		s.begin("e2")
		s.work("Source", "get", nil)
		s.work("Build", "make", nil)
		s.begin("e3")
		s.fail("Source", "get")
		s.refuse(
			refusal{"S-196 succeeded", stop("p", "e2", false), cannot, "The execution 'e2' of pipeline 'p' is not in progress"},
			refusal{"S-196 failed", stop("p", "e3", true), cannot, "The execution 'e3' of pipeline 'p' is not in progress"},
		)
	})
}

// S-208, S-209: no override that is refused leaves a trace.
func TestRefusedOverrides(t *testing.T) {
	play(t, pipeline.Limits{}, func(s *scene) {
		d := s.two(func(d *api.PipelineDeclaration) {
			rule := func(name string) []api.Condition {
				return []api.Condition{{Result: "FAIL", Rules: []api.RuleDeclaration{check(name)}}}
			}
			d.Stages[1].BeforeEntry = &api.BeforeEntryConditions{Conditions: rule("in")}
			d.Stages[1].OnSuccess = &api.SuccessConditions{Conditions: rule("out")}
		})
		const cannot, entry, success = "ConditionNotOverridableException", "The entry condition of stage 'Build' cannot be overridden for execution 'e1': ",
			"The success condition of stage 'Build' cannot be overridden for execution 'e1': "
		const notLatest = "The execution 'e1' is not the latest execution that entered the stage 'Build'"
		s.refuse(
			refusal{"S-209 pipeline", override("q", "Build", "e1", "BEFORE_ENTRY"), "PipelineNotFoundException", noPipeline},
			refusal{"S-209 stage", override("p", "X", "e1", "BEFORE_ENTRY"), "StageNotFoundException", noStage},
			refusal{"S-209 execution", override("p", "Build", "", "BEFORE_ENTRY"), "NotLatestPipelineExecutionException", strings.Replace(notLatest, "e1", nobody, 1)},
			refusal{"S-209 not there yet", override("p", "Build", "e1", "BEFORE_ENTRY"), "NotLatestPipelineExecutionException", notLatest},
			refusal{"S-209 no condition", override("p", "Source", "e1", "BEFORE_ENTRY"), cannot, strings.Replace(entry, "Build", "Source", 1) + "the stage has no such condition"},
		)
		s.work("Source", "get", map[string]string{"commit": "abc"})
		s.refuse(refusal{"S-209 not evaluated", override("p", "Build", "e1", "ON_SUCCESS"), cannot, success + "it has not been evaluated"})
		s.judge(true)
		s.refuse(refusal{"S-209 met", override("p", "Build", "e1", "BEFORE_ENTRY"), cannot, entry + "it is Succeeded"})
		s.work("Build", "make", nil)
		s.judge(false)
		s.begin("e2")
		s.work("Source", "get", map[string]string{"commit": "abc"})
		s.refuse(refusal{"S-209 overtaken", override("p", "Build", "e1", "ON_SUCCESS"), "NotLatestPipelineExecutionException", notLatest})
		s.judge(false)
		d.Version = nil
		must(s.world, 0, drop(s.UpdatePipeline(s.ctx, &api.UpdatePipelineInput{Pipeline: d})))
		s.refuse(refusal{"S-209 another version", override("p", "Build", "e2", "BEFORE_ENTRY"), cannot,
			strings.Replace(entry, "e1", "e2", 1) + "the execution is not in this stage of the present structure"})
	})
}
