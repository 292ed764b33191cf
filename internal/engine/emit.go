package engine

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"penstock/internal/pipeline"
)

// The detail types of S-342 to S-344.
const (
	pipelineChange = "CodePipeline Pipeline Execution State Change"
	stageChange    = "CodePipeline Stage Execution State Change"
	actionChange   = "CodePipeline Action Execution State Change"
)

// number is written with one decimal, as the service writes versions and attempts (W-38).
type number int

// MarshalJSON writes 3 as 3.0.
func (n number) MarshalJSON() ([]byte, error) { return []byte(strconv.Itoa(int(n)) + ".0"), nil }

// detail is the body of an event; members that do not belong to its level are absent (S-346).
type detail struct {
	Pipeline     string `json:"pipeline"`
	ExecutionID  string `json:"execution-id"`
	StartTime    string `json:"start-time"`
	State        string `json:"state"`
	Version      number `json:"version"`
	Attempt      number `json:"pipeline-execution-attempt"`
	Trigger      any    `json:"execution-trigger,omitempty"`
	StopComments string `json:"stop-execution-comments,omitempty"`

	Stage     string `json:"stage,omitempty"`
	LastRetry string `json:"stage-last-retry-attempt-time,omitempty"`

	Action  string                 `json:"action,omitempty"`
	Run     string                 `json:"action-execution-id,omitempty"`
	Region  string                 `json:"region,omitempty"`
	Type    *pipeline.ActionTypeID `json:"type,omitempty"`
	Inputs  []eventArtifact        `json:"input-artifacts,omitempty"`
	Outputs []eventArtifact        `json:"output-artifacts,omitempty"`
	Result  *eventResult           `json:"execution-result,omitempty"`
}

type eventArtifact struct {
	Name     string `json:"name"`
	Location struct {
		Bucket string `json:"bucket"`
		Key    string `json:"key"`
	} `json:"s3location"`
}

type eventResult struct {
	URL       string `json:"external-execution-url,omitempty"`
	Summary   string `json:"external-execution-summary,omitempty"`
	ID        string `json:"external-execution-id,omitempty"`
	ErrorCode string `json:"error-code,omitempty"`
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func (st *step) emit(kind string, d detail) {
	text, err := json.Marshal(d)
	if err != nil {
		panic("engine: an event has no JSON form: " + err.Error()) // strings and numbers only
	}
	st.effect(Emit{DetailType: kind, Detail: text})
}

func (st *step) common(e *Execution, state string) detail {
	return detail{Pipeline: st.s.Name, ExecutionID: string(e.ID), StartTime: stamp(e.Started), State: state,
		Version: number(e.Version), Attempt: number(e.Attempt)}
}

// emitPipeline tells of a change of the pipeline execution (S-347).
func (st *step) emitPipeline(e *Execution, state string) {
	d := st.common(e, state)
	d.Trigger = st.trigger(e, state)
	if e.Stop != nil && (state == "STOPPING" || state == "STOPPED") {
		d.StopComments = e.Stop.Reason
	}
	st.emit(pipelineChange, d)
}

// trigger says what started the execution: when it starts, and if that was a Git event also
// when it ends, unless it failed in the source stage. The detail of a Git event is an object
// of its own (S-347, S-93).
func (st *step) trigger(e *Execution, state string) any {
	git := e.Trigger.Type == pipeline.TriggerWebhookV2 && strings.HasPrefix(e.Trigger.Detail, "{") && json.Valid([]byte(e.Trigger.Detail))
	_, i := st.stageOf(e)
	switch {
	case git && (state == "STARTED" || state == "SUCCEEDED" || state == "FAILED" && i > 0):
		return json.RawMessage(e.Trigger.Detail)
	case !git && state == "STARTED":
		return map[string]string{"trigger-type": e.Trigger.Type, "trigger-detail": e.Trigger.Detail}
	}
	return nil
}

// emitStage tells of a change of the stage an execution is in (S-348).
func (st *step) emitStage(e *Execution, state string) {
	d := st.common(e, state)
	d.Stage = e.Stage
	if at := e.Runs[e.Stage].Retried; !at.IsZero() {
		d.LastRetry = stamp(at)
	}
	st.emit(stageChange, d)
}

// emitAction tells of a change of an action execution (S-349).
func (st *step) emitAction(e *Execution, run *ActionRun, state string) {
	if run.Place != "" { // S-352
		return
	}
	d := st.common(e, state)
	d.StartTime = stamp(run.Started)
	typ := run.Type
	d.Stage, d.Action, d.Run, d.Region, d.Type = run.Stage, run.Action, string(run.ID), run.Region, &typ
	switch state {
	case "STARTED":
		d.Inputs = artifacts(run.Inputs)
	case "SUCCEEDED", "FAILED":
		d.Result = &eventResult{URL: run.ExternalURL, Summary: run.Summary, ID: run.ExternalID}
		if run.Error != nil {
			d.Result.ErrorCode = run.Error.Code
			if d.Result.Summary == "" {
				d.Result.Summary = run.Error.Message
			}
		}
		if state == "SUCCEEDED" {
			d.Outputs = artifacts(run.Outputs)
		}
	}
	st.emit(actionChange, d)
}

func artifacts(list []pipeline.Artifact) []eventArtifact {
	out := slices.Grow([]eventArtifact(nil), len(list))
	for _, a := range list {
		ev := eventArtifact{Name: a.Name}
		ev.Location.Bucket, ev.Location.Key = a.Bucket, a.Key
		out = append(out, ev)
	}
	return out
}
