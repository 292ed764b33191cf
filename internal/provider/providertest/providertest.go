// Package providertest is the suite that every provider passes.
package providertest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"penstock/internal/pipeline"
	"penstock/internal/provider"
)

// Run checks what the contract asks of any provider: its types are described as the API can
// show them, and a job that ends before it began returns at once, says so and panics never,
// whatever its configuration.
func Run(t *testing.T, p provider.Provider) {
	t.Helper()
	types := p.Types()
	if len(types) == 0 {
		t.Fatal("the provider has no action type")
	}
	for _, typ := range types {
		id := typ.ID
		t.Run(id.Category+"-"+id.Provider, func(t *testing.T) {
			t.Parallel()
			describe(t, typ)
			ended(t, p, typ)
		})
	}
}

func describe(t *testing.T, typ pipeline.ActionType) {
	t.Helper()
	if typ.ID.Category == "" || typ.ID.Owner == "" || typ.ID.Provider == "" || typ.ID.Version == "" {
		t.Errorf("the id %+v is not complete (S-34)", typ.ID)
	}
	if typ.Unavailable != "" {
		t.Errorf("a type that a provider runs is available, but it says %q", typ.Unavailable)
	}
	if typ.Timeout <= 0 {
		t.Error("the type has no time limit (S-327 to S-337)")
	}
	if typ.Inputs.Min < 0 || typ.Inputs.Min > typ.Inputs.Max || typ.Outputs.Min < 0 || typ.Outputs.Min > typ.Outputs.Max {
		t.Errorf("artifact counts %+v, %+v (S-52)", typ.Inputs, typ.Outputs)
	}
	seen := map[string]bool{}
	for _, k := range typ.Properties {
		if k.Name == "" || len(k.Name) > 50 || seen[k.Name] {
			t.Errorf("the configuration key %q is empty, too long or there twice (S-36)", k.Name)
		}
		seen[k.Name] = true
		if k.Description == "" || len(k.Description) > 160 {
			t.Errorf("the key %s needs a description of 1 to 160 characters (S-298), not %d", k.Name, len(k.Description))
		}
	}
}

// ended runs a job whose context is over: no service may be asked, nothing may hang.
func ended(t *testing.T, p provider.Provider, typ pipeline.ActionType) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	done := make(chan provider.Result, 1)
	go func() { done <- p.Run(ctx, Job(typ)) }()
	select {
	case r := <-done:
		if r.Error == nil && r.Continue == "" {
			t.Error("a job that was over before it began cannot have succeeded")
		}
	case <-time.After(5 * time.Minute):
		t.Error("the provider does not return when its context ends")
	}
}

// Job is a job of a type with a value for every required configuration key and places for
// the smallest number of artifacts. Its services cannot be reached.
func Job(typ pipeline.ActionType) provider.Job {
	j := provider.Job{
		ID: "5a7b6c1e-0000-4000-8000-000000000001", ActionExecutionID: "5a7b6c1e-0000-4000-8000-000000000002",
		ExecutionID: "5a7b6c1e-0000-4000-8000-000000000003", Type: typ.ID, Account: "111111111111", Region: "eu-west-1",
		Pipeline: "release", PipelineARN: "arn:aws:codepipeline:eu-west-1:111111111111:release", Stage: "Stage", Action: "Action",
		RoleARN: "arn:aws:iam::111111111111:role/release", Configuration: map[string]string{},
		Env: provider.Env{
			AWS:      aws.Config{Region: "eu-west-1"},
			Changed:  func(string) <-chan struct{} { return make(chan struct{}) },
			Progress: func(provider.Progress) {},
			Log:      slog.New(slog.DiscardHandler),
		},
	}
	j.Env.ArtifactAWS = j.Env.AWS
	for _, k := range typ.Properties {
		if k.Required {
			j.Configuration[k.Name] = "value"
			if len(k.Values) > 0 {
				j.Configuration[k.Name] = k.Values[0]
			}
		}
	}
	for range typ.Inputs.Min {
		j.Inputs = append(j.Inputs, pipeline.Artifact{Name: "in", Bucket: "artifacts", Key: "release/in/abcdefg"})
	}
	for range typ.Outputs.Min {
		j.Outputs = append(j.Outputs, pipeline.Artifact{Name: "out", Bucket: "artifacts", Key: "release/out/abcdefg"})
	}
	return j
}
