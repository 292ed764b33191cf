package app

import (
	"strings"

	"github.com/anishathalye/porcupine"
)

// call is what a client asked of one pipeline, or of one token of StartPipelineExecution.
type call struct {
	// what is start, state, approve, stop, retry, disable or enable.
	what string
	// of names the pipeline or, of a start, the token.
	of string
	// stage, token and rejected belong to an approval; stage also to a retry.
	stage, token string
	rejected     bool
}

// reply is what the server answered: an error's code, or what there is to see.
type reply struct {
	code string
	// id is the execution that a start gave.
	id   string
	seen view
}

// view is what GetPipelineState shows of a pipeline with one execution: the status of its visit
// to each stage, the tokens of pending approvals, and what stands in front of the last stage.
type view struct {
	gate, next           string
	gateToken, nextToken string
	inbound              string
	disabled             bool
}

// model is one pipeline of the stages Gate and Next, each an approval, with one execution, as
// one caller after the other would see it. Of a start it is the execution of the token.
type model struct {
	id string

	status   string // of the execution
	stage    string // it is at
	waiting  bool   // in front of Next
	disabled bool
	// token is the pending approval's once somebody has seen it, answered the last that was.
	token, answered string
}

// running says that the execution's approval of the stage is pending.
func (m model) running(stage string) bool {
	return m.status == "InProgress" && m.stage == stage && !m.waiting
}

// see says whether the view is one of the model's. A token that nobody saw yet is any new one.
func (m model) see(v view) (bool, model) {
	want := view{gate: "Succeeded", disabled: m.disabled}
	switch {
	case m.waiting:
		want.inbound = m.status // S-120
	case m.stage == "Gate":
		want.gate = m.status
	default:
		want.next = m.status
	}
	if token := v.gateToken + v.nextToken; m.running(m.stage) {
		if m.token == "" && token != m.answered {
			m.token = token
		}
		if m.stage == "Gate" {
			want.gateToken = m.token
		} else {
			want.nextToken = m.token
		}
		return token != "" && v == want, m
	}
	return v == want, m
}

// enter moves the execution past the gate in front of Next.
func (m model) enter() model {
	if m.waiting = m.disabled; !m.waiting {
		m.stage = "Next"
	}
	return m
}

// apply says whether a reply is the model's, and gives the model afterwards.
func (m model) apply(c call, r reply) (bool, model) {
	refused := func(codes ...string) (bool, model) {
		return r.code != "" && strings.Contains(strings.Join(codes, " "), r.code), m
	}
	switch c.what {
	case "start": // S-103
		if m.id == "" {
			m.id = r.id
		}
		return r.code == "" && r.id == m.id, m
	case "state":
		if r.code != "" {
			return false, m
		}
		return m.see(r.seen)
	case "approve": // S-223, S-227
		if !m.running(c.stage) || c.token != m.token {
			if c.token == m.answered && !m.running(c.stage) {
				return refused("ApprovalAlreadyCompletedException")
			}
			return refused("ApprovalAlreadyCompletedException", "InvalidApprovalTokenException")
		}
		m.answered, m.token = m.token, ""
		switch {
		case c.rejected:
			m.status = "Failed"
		case c.stage == "Next":
			m.status = "Succeeded"
		default:
			m = m.enter()
		}
	case "stop": // S-192, S-195; an approval that is abandoned ends at once
		if m.status != "InProgress" {
			return refused("PipelineExecutionNotStoppableException")
		}
		m.status, m.token = "Stopped", ""
	case "retry": // S-163, S-169; S-172 if it is a retry that is running
		if m.running(c.stage) {
			return refused("ConflictException", "StageNotRetryableException")
		}
		if m.status != "Failed" && m.status != "Stopped" || m.waiting || m.stage != c.stage {
			return refused("StageNotRetryableException", "NotLatestPipelineExecutionException")
		}
		m.status, m.answered = "InProgress", "" // it asks again, so the last answer is of an earlier request
	case "disable": // S-154
		m.disabled = true
	case "enable":
		if m.disabled = false; m.waiting && m.status == "InProgress" {
			m = m.enter()
		}
	default:
		return false, m
	}
	return r.code == "", m
}

// sequential is the model for porcupine.
var sequential = porcupine.Model{
	Init: func() any { return model{status: "InProgress", stage: "Gate"} },
	Step: func(state, input, output any) (bool, any) {
		return state.(model).apply(input.(call), output.(reply))
	},
}
