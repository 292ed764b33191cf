package app

import (
	"context"
	"encoding/json"
	"time"

	"penstock/internal/engine"
	"penstock/internal/pipeline"
	"penstock/internal/store"
	"penstock/internal/svc/cloudwatch"
)

// measure keeps what CloudWatch shows of a pipeline of type V2 when one of its executions has
// ended: how long it took, and that it failed. A retry that fails counts again. (W-42)
func (r *rooms) measure(ctx context.Context, tx *store.Tx, s *engine.State, event store.Outgoing) error {
	if event.DetailType != "CodePipeline Pipeline Execution State Change" {
		return nil
	}
	var d struct {
		State     string    `json:"state"`
		StartTime time.Time `json:"start-time"`
		Version   float64   `json:"version"`
	}
	if err := json.Unmarshal([]byte(event.Detail), &d); err != nil {
		return err
	}
	definition := s.Attached.Definitions[int(d.Version)]
	if definition == nil || definition.PipelineType != pipeline.V2 || d.State != "SUCCEEDED" && d.State != "FAILED" && d.State != "STOPPED" {
		return nil
	}
	datum := func(name, unit string, value float64, dimensions ...[2]string) cloudwatch.Datum {
		return cloudwatch.Datum{Account: s.Account, Region: s.Region, Namespace: "AWS/CodePipeline", Name: name, Dimensions: dimensions, Unit: unit, Value: value}
	}
	of := [2]string{"PipelineName", s.Name}
	data := []cloudwatch.Datum{datum("PipelineDuration", "Seconds", event.At.Sub(d.StartTime).Seconds(), of)}
	if d.State == "FAILED" {
		data = append(data, datum("FailedPipelineExecutions", "Count", 1, of), datum("FailedPipelineExecutions", "Count", 1))
	}
	return r.cloudwatch.Record(ctx, tx, data...)
}
