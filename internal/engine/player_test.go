package engine

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"penstock/internal/fault"
	"penstock/internal/pipeline"
)

// player holds the one pipeline of a story. It keeps the state as the store does: between
// two steps there is only its text.
type player struct {
	t     *testing.T
	s     *State
	begin time.Time
	now   time.Time
	show  map[string]bool
	// names are the names of executions, by id, as told in stories: e1, e2, … by start.
	names map[pipeline.ExecutionID]string
	// runs names action executions: "e1 Build/compile".
	runs map[pipeline.ActionExecutionID]string
	// jobs finds jobs by what they are for, and by that and their number.
	jobs map[string]JobRef
	work map[pipeline.JobID]string
	// tokens remembers approval tokens as users do who wrote them down.
	tokens map[string]string
	// past are the executions that are history.
	past map[pipeline.ExecutionID]*Execution
	// shown is the state as last shown.
	shown map[string]string
	// limits are set by the word limit=N of a definition.
	limits pipeline.Limits
}

func newPlayer(t *testing.T) *player {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	return &player{t: t, begin: begin, now: begin, show: map[string]bool{},
		names: map[pipeline.ExecutionID]string{}, runs: map[pipeline.ActionExecutionID]string{},
		jobs: map[string]JobRef{}, work: map[pipeline.JobID]string{}, tokens: map[string]string{},
		past: map[pipeline.ExecutionID]*Execution{}, shown: map[string]string{}}
}

// do runs one command, which may have further lines of input:
//
//	pipeline [mode=QUEUED] [type=V1] [var=NAME[:DEFAULT]]… [stores=REGION,…] [limit=N]
//	                                                         defines; then one line a stage
//	update  [mode=…] …                                       puts a new version in force
//	    STAGE: action[:kind][@order][>artifact][<artifact][/namespace][~minutes][^region][=key:value] … [!retry[:ALL_ACTIONS]|!rollback]
//	           [?entry|success|failure:RESULT=RULE[,RULE]…]   where rules are like actions
//	start [by=ARN] [NAME=VALUE…] [override=ACTION:TYPE:VALUE] [reported=STAGE/ACTION:REVISION] [detected]
//	succeed|fail|continue|progress eN STAGE/ACTION [job=NUMBER] [NAME=VALUE…]  (a rule is STAGE?RULE)
//	approve|reject eN STAGE/ACTION [token=…] [by=…] [author=ACTION:…]
//	retry eN STAGE MODE · rollback STAGE eN · stop eN [abandon] · disable|enable STAGE [Outbound]
//	override eN STAGE BEFORE_ENTRY|ON_SUCCESS
//	note eN STAGE/ACTION NAME                                keeps the present token under a name
//	wait DURATION [late]                                     and fires what is due, unless late
//	wake eN STAGE/ACTION                                     fires too early or too late
//	delete
//	explain eN                                               why it stands where it does
//	show [events] [jobs] [timers] [gates] [runs] [keys] [variables] [conditions]
//	                                                         says what else to show
func (p *player) do(lines []string) string {
	words := strings.Fields(lines[0])
	verb, args := words[0], words[1:]
	var ev Event
	switch verb {
	case "show":
		for _, what := range args {
			p.show[what] = true
		}
		return ""
	case "pipeline":
		p.s = New("111111111111", "eu-west-1", "seed", p.define(args, lines[1:], 1), p.now)
		p.s.Attached.Catalogue = catalogue
		return p.state()
	case "update":
		ev = Update{Definition: p.define(args, lines[1:], p.s.Version+1)}
	case "start":
		ev = p.start(args)
	case "succeed", "fail", "continue", "progress":
		ev = p.report(verb, args)
	case "approve", "reject":
		ev = p.approval(verb, args)
	case "retry":
		ev = Retry{Execution: p.execution(args[0]), Stage: args[1], Mode: pipeline.RetryMode(args[2])}
	case "rollback":
		ev = Rollback{Stage: args[0], Target: p.execution(args[1]), By: "arn:operator"}
	case "override":
		ev = OverrideCondition{Execution: p.execution(args[0]), Stage: args[1], Place: pipeline.Place(args[2]), By: "arn:operator"}
	case "stop":
		ev = Stop{Execution: p.execution(args[0]), Abandon: len(args) > 1, Reason: "because"}
	case "disable", "enable":
		direction := "Inbound"
		if len(args) > 1 {
			direction = args[1]
		}
		ev = DisableTransition{Stage: args[0], Direction: direction, Reason: "frozen", By: "arn:operator"}
		if verb == "enable" {
			ev = EnableTransition{Stage: args[0], Direction: direction, By: "arn:operator"}
		}
	case "wait":
		return p.wait(args[0], len(args) > 1)
	case "note":
		p.tokens[args[2]] = p.tokens[args[0]+" "+args[1]]
		return ""
	case "wake":
		ev = Wakeup{Run: p.jobs[args[0]+" "+args[1]].Run}
	case "explain":
		return p.explain(p.execution(args[0]))
	case "delete":
		ev = Delete{}
	default:
		p.t.Fatalf("unknown command %q", lines[0])
	}
	if out := p.step(ev) + p.state(); out != "" {
		return out
	}
	return "nothing\n"
}

// step applies an event to the state as the store gives it back, and shows the effects.
func (p *player) step(ev Event) string {
	s := saved(p.t, p.s)
	s.Attached.Limits = p.limits
	before := dump(p.t, s, nil)
	next, effects, err := Step(s, p.now, ev)
	for missing := new(Missing); errors.As(err, &missing); {
		if next != s || effects != nil {
			p.t.Errorf("%T misses something and gave a state or effects", ev)
		}
		s.Attached.Past = map[pipeline.ExecutionID]*Execution{missing.Execution: p.past[missing.Execution]}
		next, effects, err = Step(s, p.now, ev)
	}
	if dump(p.t, s, nil) != before {
		p.t.Errorf("%T changed the state it was given", ev)
	}
	if code := fault.Code(err); code != "" {
		if next != s || effects != nil {
			p.t.Errorf("%T was refused and gave a state or effects", ev)
		}
		return "refused " + p.named(err.Error()) + "\n"
	} else if err != nil {
		p.t.Fatal(err)
	}
	again, effects2, err := Step(s, p.now, ev)
	if a, b := dump(p.t, next, effects), dump(p.t, again, effects2); err != nil || a != b {
		p.t.Errorf("%T gives another outcome when it is played again (%v):\n%s\n%s", ev, err, a, b)
	}
	if err := Check(next); err != nil {
		p.t.Errorf("after %T: %v", ev, err)
	}
	p.s = next
	p.learn()
	var out strings.Builder
	for _, e := range effects {
		out.WriteString(p.effect(e))
	}
	return out.String()
}

// named puts the names of executions and jobs in the place of their ids.
func (p *player) named(text string) string {
	for id, name := range p.names {
		text = strings.ReplaceAll(text, string(id), name)
	}
	for id, name := range p.work {
		text = strings.ReplaceAll(text, string(id), name)
	}
	return text
}

// saved gives a state as the store gives it back: from its text and that of its executions.
func saved(t rapid.TB, s *State) *State {
	t.Helper()
	fresh := &State{Executions: map[pipeline.ExecutionID]*Execution{}, Attached: s.Attached}
	reread(t, s, fresh)
	for id, e := range s.Executions {
		fresh.Executions[id] = new(Execution)
		reread(t, e, fresh.Executions[id])
	}
	return fresh
}

func reread(t rapid.TB, from, to any) {
	t.Helper()
	text, err := json.Marshal(from)
	if err == nil {
		err = json.Unmarshal(text, to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func dump(t rapid.TB, s *State, effects []Effect) string {
	t.Helper()
	text, err := json.Marshal([]any{s, s.Executions, s.Retired, s.Ended, s.Started, effects})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// explain asks for the facts of an execution, live or past.
func (p *player) explain(id pipeline.ExecutionID) string {
	e := p.s.Executions[id]
	if e == nil {
		e = p.past[id]
	}
	return p.named(strings.Join(Explain(p.s, e), "\n")) + "\n"
}

func (p *player) wait(d string, late bool) string {
	dur, err := time.ParseDuration(d)
	if err != nil {
		p.t.Fatal(err)
	}
	p.now = p.now.Add(dur)
	var out strings.Builder
	for _, e := range p.s.ordered() {
		for _, run := range e.running() {
			if !late && !run.Deadline.After(p.now) {
				out.WriteString(p.step(Wakeup{Run: run.ID}))
			}
		}
	}
	out.WriteString(p.state())
	if out.Len() == 0 {
		return "nothing\n"
	}
	return out.String()
}

func (p *player) start(args []string) Event {
	ev := Start{Trigger: pipeline.Trigger{Type: pipeline.TriggerStartPipelineExecution, Detail: "arn:starter"}}
	for _, a := range args {
		name, value, ok := strings.Cut(a, "=")
		switch {
		case a == "detected":
			ev.Detected = true
			ev.Trigger = pipeline.Trigger{Type: pipeline.TriggerPollForSourceChanges}
		case name == "by":
			ev.Trigger.Detail = value
		case name == "reported":
			where, id, _ := strings.Cut(value, ":")
			stage, action, _ := strings.Cut(where, "/")
			ev.Trigger.Type = pipeline.TriggerPutActionRevision
			ev.Reported = &Reported{Stage: stage, Action: action, Revision: pipeline.Revision{ID: id}}
		case name == "override":
			f := strings.SplitN(value, ":", 3)
			ev.Overrides = append(ev.Overrides, pipeline.SourceRevisionOverride{ActionName: f[0], RevisionType: f[1], RevisionValue: f[2]})
		case ok:
			ev.Variables = append(ev.Variables, pipeline.Variable{Name: name, ResolvedValue: value})
		}
	}
	return ev
}

func (p *player) approval(verb string, args []string) Event {
	stage, action, _ := strings.Cut(args[1], "/")
	a := Approve{Stage: stage, Action: action, Status: "Approved", Summary: "looks good", By: "arn:reviewer", Token: p.tokens[args[0]+" "+args[1]]}
	if verb == "reject" {
		a.Status, a.Summary = "Rejected", "not yet"
	}
	for _, arg := range args[2:] {
		if by, ok := strings.CutPrefix(arg, "by="); ok {
			a.By = by
			continue
		}
		if author, ok := strings.CutPrefix(arg, "author="); ok {
			action, who, _ := strings.Cut(author, ":")
			a.Authors = map[string]string{action: who}
			continue
		}
		a.Token = strings.TrimPrefix(arg, "token=")
		if known, ok := p.tokens[strings.ReplaceAll(a.Token, ",", " ")]; ok { // token=e1,Stage/action: another one's
			a.Token = known
		}
	}
	return a
}

func (p *player) report(verb string, args []string) Event {
	ref := p.jobs[args[0]+" "+args[1]]
	r := Result{}
	vars, code := map[string]string{}, pipeline.JobFailed
	var revision *pipeline.Revision
	for _, a := range args[2:] {
		name, value, _ := strings.Cut(a, "=")
		switch name {
		case "job": // the job with this number
			ref = p.jobs[args[0]+" "+args[1]+" "+value]
		case "code":
			code = value
		case "summary":
			r.Summary = value
		case "id":
			r.ExternalID = value
		case "log":
			r.LogStreamARN = value
		case "percent":
			n, _ := strconv.Atoi(value)
			r.Percent = &n
		case "revision":
			revision = &pipeline.Revision{ID: value, Summary: "commit-" + value}
		case "big": // a variable of this size with its name
			n, _ := strconv.Atoi(value)
			vars["big"] = strings.Repeat("x", n-len("big"))
		default:
			vars[name] = value
		}
	}
	switch verb {
	case "succeed":
		return Succeed{Job: ref, Result: r, Variables: vars, Revision: revision}
	case "fail":
		return Fail{Job: ref, Result: r, Error: pipeline.ErrorDetails{Code: code, Message: "it said no"}}
	case "continue":
		return Continue{Job: ref, Result: r, Token: "token-1"}
	}
	return Progress{Job: ref, Result: r}
}

// execution translates e3 into the id of the third execution.
func (p *player) execution(name string) pipeline.ExecutionID {
	for id, n := range p.names {
		if n == name {
			return id
		}
	}
	return "00000000-0000-4000-8000-000000000000"
}
