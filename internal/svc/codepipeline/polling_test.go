package codepipeline

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/conductor"
	"penstock/internal/pipeline"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// S-246: a pipeline without an execution for more than 30 days says since when it is polled no
// longer; an update polls it again. One that is not polled says nothing.
func TestPollingDisabledAt(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	w := newWorld(t, storetest.SQLite(t, func(c *store.Config) {
		c.Clock = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	}))
	w.workerType()
	in := map[string]*api.PipelineDeclaration{}
	for name, poll := range map[string]string{"polled": "true", "silent": "false"} {
		d := definition(name)
		d.Stages[0].Actions[0] = api.ActionDeclaration{Name: "Get", ActionTypeId: &api.ActionTypeId{Category: "Source", Owner: "AWS", Provider: "S3", Version: "1"},
			Configuration: map[string]string{"S3Bucket": "b", "S3ObjectKey": "k", "PollForSourceChanges": poll}, OutputArtifacts: []api.OutputArtifact{{Name: "code"}}}
		d.Stages[2].Actions[0].Configuration = nil
		in[name] = d
		_, err := w.CreatePipeline(w.ctx, &api.CreatePipelineInput{Pipeline: d})
		must(w, 0, err)
	}
	disabled := func(name string) *time.Time {
		out, err := w.GetPipeline(w.ctx, &api.GetPipelineInput{Name: name})
		return must(w, out, err).Metadata.PollingDisabledAt
	}
	if at := disabled("polled"); at != nil {
		t.Errorf("a new pipeline: %v", at)
	}
	ahead.Store(int64(31 * 24 * time.Hour))
	if at := disabled("polled"); at == nil || time.Until(*at) < 29*24*time.Hour || time.Until(*at) > 30*24*time.Hour {
		t.Errorf("after 31 days: %v", at)
	}
	if at := disabled("silent"); at != nil {
		t.Errorf("one that is not polled: %v", at)
	}
	_, err := w.UpdatePipeline(w.ctx, &api.UpdatePipelineInput{Pipeline: in["polled"]})
	must(w, 0, err)
	if at := disabled("polled"); at != nil {
		t.Errorf("after an update: %v", at)
	}
}

// S-71: there may be more than 300 pipelines that are set to polling.
func TestManyPolledPipelines(t *testing.T) {
	t.Parallel()
	w := assemble(t, storetest.SQLite(t), conductor.Config{}, pipeline.Limits{})
	w.workerType()
	for n := range 301 {
		d := definition(fmt.Sprint("p", n))
		d.Stages[0].Actions[0] = api.ActionDeclaration{Name: "Get", ActionTypeId: &api.ActionTypeId{Category: "Source", Owner: "AWS", Provider: "S3", Version: "1"}, Namespace: "src",
			Configuration: map[string]string{"S3Bucket": "b", "S3ObjectKey": "k", "PollForSourceChanges": "true"}, OutputArtifacts: []api.OutputArtifact{{Name: "code"}}}
		must(w, 0, drop(w.CreatePipeline(w.ctx, &api.CreatePipelineInput{Pipeline: d})))
	}
}
