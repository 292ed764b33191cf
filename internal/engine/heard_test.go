package engine

import (
	"encoding/json"
	"fmt"
	"maps"

	"penstock/internal/pipeline"
)

// news is what was told of one execution.
type news struct {
	pipeline string
	stage    string
	stages   string
	actions  map[string]bool
}

// heard is what was told of each execution.
type heard map[pipeline.ExecutionID]*news

func (h heard) clone() heard {
	c := maps.Clone(h)
	for id, n := range c {
		c[id] = copied(n)
		c[id].actions = maps.Clone(n.actions)
	}
	return c
}

// hear checks the order of events of an execution (S-350): actions within an open stage, stages
// within an open execution, and nothing after the end but RESUMED (S-178). It gives
// the id of an action execution that begins.
func (h heard) hear(e Emit) (begun string, err error) {
	var d struct {
		ID                   pipeline.ExecutionID `json:"execution-id"`
		State, Stage, Action string
		Run                  string `json:"action-execution-id"`
	}
	if err := json.Unmarshal(e.Detail, &d); err != nil {
		return "", err
	}
	n := h[d.ID]
	if n == nil {
		n = &news{actions: map[string]bool{}}
		h[d.ID] = n
	}
	bad := func(why string) { err = fmt.Errorf("%s %s %s %s: %s", d.ID, d.Stage, d.Action, d.State, why) }
	open := n.pipeline == "STARTED" || n.pipeline == "RESUMED" || n.pipeline == "STOPPING"
	inStage := n.stages == "STARTED" || n.stages == "RESUMED" || n.stages == "STOPPING"
	switch {
	case e.DetailType == pipelineChange:
		switch d.State {
		case "STARTED":
			if n.pipeline != "" {
				bad("started twice")
			}
		case "RESUMED":
			if !open && n.pipeline != "FAILED" && n.pipeline != "STOPPED" {
				bad("resumed after " + n.pipeline)
			}
		default:
			if !open || d.State != "STOPPING" && inStage {
				bad("after " + n.pipeline + " while a stage is " + n.stages)
			}
		}
		n.pipeline = d.State
	case e.DetailType == stageChange:
		switch d.State {
		case "STARTED", "RESUMED":
			if !open || d.State == "STARTED" && inStage {
				bad("the execution is " + n.pipeline + ", the last stage " + n.stages)
			}
			n.stage = d.Stage
		default:
			if !inStage || n.stage != d.Stage || d.State != "STOPPING" && len(n.actions) > 0 {
				bad(fmt.Sprintf("the stage is %s, %d actions run", n.stages, len(n.actions)))
			}
		}
		n.stages = d.State
	default:
		if !inStage || n.stage != d.Stage || n.actions[d.Run] == (d.State == "STARTED") {
			bad("the stage " + n.stage + " is " + n.stages)
		}
		if d.State == "STARTED" {
			n.actions[d.Run], begun = true, d.Run
		} else {
			delete(n.actions, d.Run)
		}
	}
	return begun, err
}
