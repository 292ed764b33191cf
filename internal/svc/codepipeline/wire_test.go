package codepipeline

import (
	"encoding/json"
	"strings"
	"testing"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/fault"
	"penstock/internal/pipeline"
)

// request is definition("p") as the JSON text of CreatePipeline after one value was changed.
func request(w *world, change func(p map[string]any)) []byte {
	w.Helper()
	text, err := json.Marshal(map[string]any{"pipeline": definition("p")})
	if err != nil {
		w.Fatal(err)
	}
	var all map[string]map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		w.Fatal(err)
	}
	change(all["pipeline"])
	if text, err = json.Marshal(all); err != nil {
		w.Fatal(err)
	}
	return text
}

// S-6, S-12, S-47, W-22: names and keys outside their bounds are refused with their place,
// and nothing is stored.
func TestConstraintsOfDefinitions(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		service := api.New(w.Room)
		action := func(p map[string]any, stage int) map[string]any {
			return p["stages"].([]any)[stage].(map[string]any)["actions"].([]any)[0].(map[string]any)
		}
		for name, c := range map[string]struct {
			change func(p map[string]any)
			want   string
		}{
			"S-6 no name": {func(p map[string]any) { p["name"] = "" }, "Value at 'pipeline.name' failed to satisfy constraint: Member must have length greater than or equal to 1"},
			"S-6 length":  {func(p map[string]any) { p["name"] = strings.Repeat("p", 101) }, "Value at 'pipeline.name' failed to satisfy constraint: Member must have length less than or equal to 100"},
			"S-6 pattern": {func(p map[string]any) { p["name"] = "a/b" }, `Value at 'pipeline.name' failed to satisfy constraint: Member must satisfy regular expression pattern: [A-Za-z0-9.@\-_]+`},
			"S-12 key type": {func(p map[string]any) {
				p["artifactStore"].(map[string]any)["encryptionKey"] = map[string]any{"id": "k", "type": "AES"}
			}, "Value at 'pipeline.artifactStore.encryptionKey.type' failed to satisfy constraint: Member must satisfy enum value set: [KMS]"},
			"S-12 key id": {func(p map[string]any) {
				p["artifactStore"].(map[string]any)["encryptionKey"] = map[string]any{"id": strings.Repeat("k", 401), "type": "KMS"}
			}, "Value at 'pipeline.artifactStore.encryptionKey.id' failed to satisfy constraint: Member must have length less than or equal to 400"},
			"S-47 artifact": {func(p map[string]any) {
				action(p, 0)["outputArtifacts"] = []any{map[string]any{"name": "a b"}}
			}, `Value at 'pipeline.stages.1.member.actions.1.member.outputArtifacts.1.member.name' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_\-]+`},
		} {
			_, err := service.ServeJSON(w.ctx, service.Operations["CreatePipeline"], request(w, c.change), nil)
			if fault.Code(err) != "ValidationException" || !strings.Contains(err.Error(), c.want) {
				w.Errorf("%s: got %v, want %s", name, err, c.want)
			}
		}
		list, err := w.ListPipelines(w.ctx, &api.ListPipelinesInput{})
		if len(must(w, list, err).Pipelines) != 0 {
			w.Error("something was stored")
		}
	})
}

// S-6: the same name may exist in another Region, as another pipeline.
func TestNamesAreOfARegion(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		w.create("p")
		out, err := w.in("us-west-2").ListPipelines(w.in("us-west-2").ctx, &api.ListPipelinesInput{})
		if len(must(w, out, err).Pipelines) != 0 {
			w.Error("the pipeline shows in another Region")
		}
	})
}

// S-20, C-4, W-5: what get-pipeline printed, metadata and all, is taken back; members that
// cannot be written are not.
func TestRoundTrip(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		w.create("p")
		service := api.New(w.Room)
		text, err := service.ServeJSON(w.ctx, service.Operations["GetPipeline"], []byte(`{"name":"p"}`), nil)
		must(w, text, err)
		var got map[string]map[string]any
		if err := json.Unmarshal(text, &got); err != nil {
			w.Fatal(err)
		}
		if got["metadata"]["pipelineArn"] == nil || got["metadata"]["created"] == nil || got["pipeline"]["created"] != nil {
			w.Errorf("metadata stands beside the structure: %s", text)
		}
		got["pipeline"]["version"] = 41
		got["pipeline"]["updated"] = "never"
		back, err := json.Marshal(got)
		must(w, back, err)
		text, err = service.ServeJSON(w.ctx, service.Operations["UpdatePipeline"], back, nil)
		if out := string(must(w, text, err)); !strings.Contains(out, `"version":2`) || strings.Contains(out, "never") {
			w.Errorf("update answered %s", out)
		}
	})
}

// S-95, S-105 are TestPutActionRevision's. S-127: the reason of a stop is repeated.
func TestStopReason(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		w.create("p")
		id := w.state("p").StageStates[0].LatestExecution.PipelineExecutionId
		out, err := w.StopPipelineExecution(w.ctx, &api.StopPipelineExecutionInput{PipelineName: "p", PipelineExecutionId: id, Abandon: new(true), Reason: "wrong branch"})
		if must(w, out, err).PipelineExecutionId != id {
			w.Errorf("stopped %v", out)
		}
		summary := func() api.PipelineExecutionSummary {
			w.Helper()
			list, err := w.ListPipelineExecutions(w.ctx, &api.ListPipelineExecutionsInput{PipelineName: "p"})
			return must(w, list, err).PipelineExecutionSummaries[0]
		}
		if s := summary(); s.Status != "Stopped" || s.StopTrigger == nil || s.StopTrigger.Reason != "wrong branch" {
			w.Errorf("summary %+v", s)
		}
		w.refused("PipelineExecutionNotStoppableException", drop(w.StopPipelineExecution(w.ctx, &api.StopPipelineExecutionInput{PipelineName: "p", PipelineExecutionId: id})))
		if text := w.explained(id); !strings.Contains(text, "wrong branch") || !strings.Contains(text, "can be retried") {
			w.Errorf("explained as %s", text)
		}
		// S-168: what is retried is not stopped any more.
		must(w, 0, drop(w.RetryStageExecution(w.ctx, &api.RetryStageExecutionInput{PipelineName: "p", StageName: "Source", PipelineExecutionId: id, RetryMode: "FAILED_ACTIONS"})))
		if s := summary(); s.Status != "InProgress" || s.StopTrigger != nil || strings.Contains(w.explained(id), "stop") {
			w.Errorf("summary %+v, explained as %s", s, w.explained(id))
		}
	})
}

// M-24, M-35, S-290, W-25: refusals by what is there say so in the service's words. The API
// makes no bucket.
func TestRefusalTexts(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		w.create("p")
		for _, c := range []struct {
			err  error
			want string
		}{
			{drop(w.CreatePipeline(w.ctx, &api.CreatePipelineInput{Pipeline: definition("p")})),
				"PipelineNameInUseException: A pipeline with the name 'p' already exists in account '111111111111'"}, // M-24
			{drop(w.GetPipeline(w.ctx, &api.GetPipelineInput{Name: "q"})),
				"PipelineNotFoundException: Account '111111111111' does not have a pipeline with name 'q'"}, // M-35
			{drop(w.ListTagsForResource(w.ctx, &api.ListTagsForResourceInput{ResourceArn: pipeline.PipelineARN(region, account, "q")})),
				"ResourceNotFoundException: The account with id '111111111111' does not include a pipeline with the name 'q'"}, // M-35
			{drop(w.PollForJobs(w.ctx, &api.PollForJobsInput{ActionTypeId: &api.ActionTypeId{Category: "Build", Owner: "AWS", Provider: "CodeBuild", Version: "1"}})),
				"ValidationException: Jobs can only be polled for action types with owner Custom, not 'AWS'"}, // W-25
		} {
			if c.err == nil || c.err.Error() != c.want {
				w.Errorf("got  %v\nwant %s", c.err, c.want)
			}
		}
		d := definition("q")
		d.ArtifactStore.Location = "codepipeline-eu-west-1-123456789012"
		err := drop(w.CreatePipeline(w.ctx, &api.CreatePipelineInput{Pipeline: d})) // S-290
		w.refused("InvalidStructureException", err)
		if !strings.Contains(err.Error(), "does not exist") {
			w.Errorf("the missing bucket is said as %v", err)
		}
	})
}
