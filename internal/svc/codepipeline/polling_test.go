package codepipeline

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/auth"
	"penstock/internal/conductor"
	"penstock/internal/fault"
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

// polling is a pipeline whose only source has PollForSourceChanges as given, or left out if it is "".
func polling(name, owner, provider, poll string) *api.PipelineDeclaration {
	d := definition(name)
	d.Stages = slices.Delete(d.Stages, 1, 2)
	d.Stages[1].Actions[0].Configuration = nil
	configuration := map[string]map[string]string{
		"S3": {"S3Bucket": "b", "S3ObjectKey": "k"}, "CodeCommit": {"RepositoryName": "r", "BranchName": "main"},
		"GitHub": {"Owner": "o", "Repo": "r", "Branch": "main", "OAuthToken": "secret"}}[provider]
	if poll != "" {
		configuration["PollForSourceChanges"] = poll
	}
	d.Stages[0].Actions[0] = api.ActionDeclaration{Name: "Get", ActionTypeId: &api.ActionTypeId{Category: "Source", Owner: owner, Provider: provider, Version: "1"},
		Configuration: configuration, OutputArtifacts: []api.OutputArtifact{{Name: "code"}}}
	return d
}

// S-61, S-71: no more pipelines of an account and Region are set to polling than there may be,
// whatever their sources are. An update that stops polling, or a deletion, frees a place.
func TestPollingPipelines(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := assemble(t, db, conductor.Config{}, pipeline.Limits{PollingPipelines: 3})
		w.BucketRegion = nil // the Regions share a bucket
		w.CanAssume = func(context.Context, string, string) bool { return true }
		create := func(w *world, d *api.PipelineDeclaration) error {
			return drop(w.CreatePipeline(w.ctx, &api.CreatePipelineInput{Pipeline: d}))
		}
		update := func(d *api.PipelineDeclaration) error {
			return drop(w.UpdatePipeline(w.ctx, &api.UpdatePipelineInput{Pipeline: d}))
		}
		const full = "LimitExceededException"
		must(w, 0, create(w, polling("a", "AWS", "S3", "true")))
		must(w, 0, create(w, polling("b", "AWS", "CodeCommit", "")))
		must(w, 0, create(w, polling("silent", "AWS", "S3", "false")))
		must(w, 0, create(w, polling("c", "ThirdParty", "GitHub", "")))
		for name, provider := range map[string]string{"S3": "AWS", "CodeCommit": "AWS", "GitHub": "ThirdParty"} {
			w.refused(full, create(w, polling("d", provider, name, "")))
			w.refused(full, create(w, polling("d", provider, name, "true")))
			w.refused(full, update(polling("silent", provider, name, "")))
		}
		must(w, 0, create(w, polling("mute", "AWS", "CodeCommit", "false")))
		must(w, 0, update(polling("silent", "AWS", "CodeCommit", "false")))
		must(w, 0, update(polling("a", "AWS", "CodeCommit", "")))            // polls already
		must(w, 0, create(w.in("us-east-1"), polling("a", "AWS", "S3", ""))) // another Region
		stranger := *w
		stranger.ctx = auth.Trusted(w.ctx, auth.Caller{Account: "222222222222", Region: region})
		theirs := polling("a", "AWS", "S3", "")
		theirs.RoleArn = "arn:aws:iam::222222222222:role/theirs"
		must(w, 0, create(&stranger, theirs))

		must(w, 0, update(polling("a", "AWS", "S3", "false")))
		must(w, 0, update(polling("silent", "AWS", "S3", "true")))
		w.refused(full, update(polling("a", "AWS", "S3", "true")))
		must(w, 0, drop(w.DeletePipeline(w.ctx, &api.DeletePipelineInput{Name: "b"})))
		must(w, 0, create(w, polling("b", "AWS", "S3", "true")))
		w.refused(full, create(w, polling("d", "AWS", "S3", "true")))
	})
}

// S-61, S-71, S-246: a pipeline that is idle for too long to be polled is set to polling still.
func TestIdlePipelinesCountAsPolling(t *testing.T) {
	t.Parallel()
	w := assemble(t, storetest.SQLite(t), conductor.Config{}, pipeline.Limits{PollingPipelines: 1, PollIdle: 1})
	must(w, 0, drop(w.CreatePipeline(w.ctx, &api.CreatePipelineInput{Pipeline: polling("idle", "AWS", "S3", "")})))
	out, err := w.GetPipeline(w.ctx, &api.GetPipelineInput{Name: "idle"})
	if must(w, out, err).Metadata.PollingDisabledAt == nil {
		t.Error("it is not idle")
	}
	w.refused("LimitExceededException", drop(w.CreatePipeline(w.ctx, &api.CreatePipelineInput{Pipeline: polling("q", "AWS", "S3", "")})))
}

// S-61, S-71: of many who set pipelines to polling at once, old ones and new ones, as many succeed
// as there may be.
func TestPollingRace(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		const most, each = 4, 8
		w := assemble(t, db, conductor.Config{}, pipeline.Limits{PollingPipelines: most})
		must(w, 0, db.Update(w.ctx, func(tx *store.Tx) error { return tx.PutAccount(w.ctx, account) }))
		for i := range each {
			must(w, 0, drop(w.CreatePipeline(w.ctx, &api.CreatePipelineInput{Pipeline: polling(fmt.Sprint("old", i), "AWS", "S3", "false")})))
		}
		var all sync.WaitGroup
		var polled atomic.Int32
		count := func(err error) {
			if err == nil {
				polled.Add(1)
			} else if fault.Code(err) != "LimitExceededException" {
				t.Error(err)
			}
		}
		for i := range each {
			all.Go(func() {
				count(drop(w.CreatePipeline(w.ctx, &api.CreatePipelineInput{Pipeline: polling(fmt.Sprint("new", i), "AWS", "S3", "")})))
			})
			all.Go(func() {
				count(drop(w.UpdatePipeline(w.ctx, &api.UpdatePipelineInput{Pipeline: polling(fmt.Sprint("old", i), "AWS", "S3", "")})))
			})
		}
		all.Wait()
		if n := polled.Load(); n != most {
			t.Errorf("%d pipelines were set to polling", n)
		}
	})
}
