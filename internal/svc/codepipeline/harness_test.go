package codepipeline

import (
	"context"
	"log/slog"
	"testing"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/auth"
	"penstock/internal/conductor"
	"penstock/internal/engine"
	"penstock/internal/fault"
	"penstock/internal/pipeline"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

const (
	account = "111111111111"
	region  = "eu-west-1"
	role    = "arn:aws:iam::111111111111:role/pipeline"
)

// world is a room on a database, called by an administrator.
type world struct {
	*testing.T
	*Room
	ctx context.Context
}

// each runs a test in a world on either database.
func each(t *testing.T, f func(w *world)) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) { f(newWorld(t, db)) })
}

// newWorld is a world whose timers fire.
func newWorld(t *testing.T, db *store.DB) *world {
	w := assemble(t, db, conductor.Config{}, pipeline.Limits{})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Conductor.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	return w
}

// assemble is a world in which nothing moves by itself.
func assemble(t *testing.T, db *store.DB, cfg conductor.Config, limits pipeline.Limits) *world {
	types := pipeline.BuiltinTypes()
	for _, rule := range pipeline.BuiltinRuleTypes() {
		types = append(types, rule.ActionType())
	}
	cfg.DB, cfg.Builtin, cfg.Limits, cfg.Log = db, append(types, pipeline.RunnableRule("VariableCheck")), limits, slog.New(slog.DiscardHandler)
	w := &world{T: t, ctx: auth.Trusted(t.Context(), auth.Caller{Account: account, Region: region, ARN: "arn:aws:iam::111111111111:user/admin"})}
	w.Room = New(Deps{
		DB: db, Conductor: conductor.New(cfg), Limits: limits,
		CanAssume:     func(_ context.Context, arn, _ string) bool { return arn == role },
		CanAssumeFrom: func(_ context.Context, _, to string) bool { return to == role },
		ArtifactCredentials: func(_ context.Context, j engine.Job) (api.AWSSessionCredentials, error) {
			return api.AWSSessionCredentials{AccessKeyId: "ASIA" + string(j.ID), SecretAccessKey: "s", SessionToken: "t"}, nil
		},
		BucketRegion: func(_ context.Context, _, _, bucket string) (string, bool) { return region, bucket == "artifacts" },
		Sources: func(context.Context, *store.Tx, string, string, *pipeline.Declaration) ([]store.Source, error) {
			return nil, nil
		},
	})
	return w
}

// must gives v, or ends the test.
func must[T any](w *world, v T, err error) T {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
	return v
}

// refused wants a fault of a class.
func (w *world) refused(class string, err error) {
	w.Helper()
	if fault.Code(err) != class {
		w.Fatalf("got %v, want %s", err, class)
	}
}

// workerType registers the custom types all stages of the test pipelines consist of.
func (w *world) workerType() {
	w.Helper()
	for _, category := range []string{"Source", "Build", "Deploy"} {
		out := int32(0)
		if category == "Source" {
			out = 1
		}
		in := 1 - out
		_, err := w.CreateCustomActionType(w.ctx, &api.CreateCustomActionTypeInput{Category: category, Provider: "Worker", Version: "1",
			InputArtifactDetails: &api.ArtifactDetails{MinimumCount: new(int32(0)), MaximumCount: &in}, OutputArtifactDetails: &api.ArtifactDetails{MinimumCount: new(int32(0)), MaximumCount: &out},
			Settings: &api.ActionTypeSettings{EntityUrlTemplate: "https://ci.example/{Config:job}", ExecutionUrlTemplate: "https://ci.example/{Config:job}/{ExternalExecutionId}"},
			ConfigurationProperties: []api.ActionConfigurationProperty{
				{Name: "job", Required: new(true), Key: new(true), Secret: new(false), Queryable: new(true)},
				{Name: "password", Required: new(false), Key: new(false), Secret: new(true)}}})
		if err != nil {
			w.Fatal(err)
		}
	}
}

// definition is a pipeline of one custom source and one build that takes its artifact, with
// an approval in a third stage.
func definition(name string) *api.PipelineDeclaration {
	id := func(category, owner, provider string) *api.ActionTypeId {
		return &api.ActionTypeId{Category: category, Owner: owner, Provider: provider, Version: "1"}
	}
	return &api.PipelineDeclaration{Name: name, RoleArn: role, ArtifactStore: &api.ArtifactStore{Type: "S3", Location: "artifacts"},
		Stages: []api.StageDeclaration{
			{Name: "Source", Actions: []api.ActionDeclaration{{Name: "Get", ActionTypeId: id("Source", "Custom", "Worker"),
				Configuration: map[string]string{"job": "get", "password": "hunter2"}, OutputArtifacts: []api.OutputArtifact{{Name: "code"}}, Namespace: "src"}}},
			{Name: "Build", Actions: []api.ActionDeclaration{{Name: "Make", ActionTypeId: id("Build", "Custom", "Worker"),
				Configuration: map[string]string{"job": "make"}, InputArtifacts: []api.InputArtifact{{Name: "code"}}}}},
			{Name: "Release", Actions: []api.ActionDeclaration{{Name: "Approve", ActionTypeId: id("Approval", "AWS", "Manual"),
				Configuration: map[string]string{"CustomData": "release #{src.commit}?"}}}},
		}}
}

func (w *world) create(name string) {
	w.Helper()
	_, err := w.CreatePipeline(w.ctx, &api.CreatePipelineInput{Pipeline: definition(name)})
	if err != nil {
		w.Fatal(err)
	}
}

// poll takes the next job of a queue; nil if there is none.
func (w *world) poll(category, job string) *api.Job {
	w.Helper()
	out, err := w.PollForJobs(w.ctx, &api.PollForJobsInput{ActionTypeId: &api.ActionTypeId{Category: category, Owner: "Custom", Provider: "Worker", Version: "1"},
		QueryParam: map[string]string{"job": job}})
	if err != nil {
		w.Fatal(err)
	}
	if len(out.Jobs) == 0 {
		return nil
	}
	return &out.Jobs[0]
}

// work takes, acknowledges and ends the next job of a queue well.
func (w *world) work(category, job string, vars map[string]string) *api.Job {
	w.Helper()
	j := w.poll(category, job)
	if j == nil {
		w.Fatalf("no job for %s %s", category, job)
	}
	w.acknowledge(j)
	in := &api.PutJobSuccessResultInput{JobId: j.Id, OutputVariables: vars, ExecutionDetails: &api.ExecutionDetails{Summary: "done", ExternalExecutionId: "run-7", PercentComplete: new(int32(100))}}
	if category == "Source" {
		in.CurrentRevision = &api.CurrentRevision{Revision: "r1", ChangeIdentifier: "c1", RevisionSummary: "first"}
	}
	if _, err := w.PutJobSuccessResult(w.ctx, in); err != nil {
		w.Fatal(err)
	}
	return j
}

func (w *world) acknowledge(j *api.Job) {
	w.Helper()
	out, err := w.AcknowledgeJob(w.ctx, &api.AcknowledgeJobInput{JobId: j.Id, Nonce: j.Nonce})
	if err != nil || out.Status != "InProgress" {
		w.Fatalf("acknowledge: %v %v", out, err)
	}
}

func (w *world) state(name string) *api.GetPipelineStateOutput {
	w.Helper()
	out, err := w.GetPipelineState(w.ctx, &api.GetPipelineStateInput{Name: name})
	if err != nil {
		w.Fatal(err)
	}
	return out
}

// in is the same room for a caller whose request is for another Region.
func (w *world) in(region string) *world {
	c := *w
	c.ctx = auth.Trusted(w.ctx, auth.Caller{Account: account, Region: region, ARN: "arn:aws:iam::111111111111:user/admin"})
	return &c
}
