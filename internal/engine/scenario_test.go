package engine

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"penstock/internal/fault"
	"penstock/internal/pipeline"
)

var rewrite = flag.Bool("rewrite", false, "write what happened into testdata/*.txt; only commit what you can explain")

// TestScenarios plays the stories of testdata/*.txt. A story is a list of commands, each
// followed by ---- and what came of it: the effects in order, then the state. Blank lines
// separate; # begins a comment. The commands are those of (*player).do.
func TestScenarios(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want) {
				t.Errorf("%s plays otherwise; run go test ./internal/engine -rewrite and look at the difference:\n%s", file, difference(string(want), got))
			}
		})
	}
}

func difference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		a, b := "", ""
		if i < len(w) {
			a = w[i]
		}
		if i < len(g) {
			b = g[i]
		}
		if a != b {
			return fmt.Sprintf("line %d\nwant %s\ngot  %s", i+1, a, b)
		}
	}
	return ""
}

// play runs a story and gives it back with what happened in place of what was expected.
func play(t *testing.T, text string) string {
	p := &player{t: t, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	var out strings.Builder
	for block := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n\n") {
		var input []string
		for line := range strings.SplitSeq(block, "\n") {
			if line == "----" {
				break
			}
			input = append(input, line)
		}
		if out.Len() > 0 {
			out.WriteString("\n")
		}
		out.WriteString(strings.Join(input, "\n") + "\n")
		commands := slices.DeleteFunc(slices.Clone(input), func(l string) bool { return strings.HasPrefix(l, "#") || l == "" })
		if len(commands) > 0 {
			out.WriteString("----\n" + p.do(commands))
		}
	}
	return out.String()
}

// player holds the one pipeline of a story.
type player struct {
	t       *testing.T
	s       *State
	now     time.Time
	effects []Effect
	// tokens remembers approval tokens by run, as users do who wrote them down.
	tokens map[string]string
	jobs   map[string]JobRef
}

// do runs one command, which may have further lines of input:
//
//	pipeline [mode=QUEUED] [type=V2] [var=NAME[:DEFAULT]]…   defines; then one line a stage
//	update  [mode=…]                                         puts a new version in force
//	    STAGE: action[:kind][@order][>artifact][<artifact][=key:value] … [!retry[:ALL_ACTIONS]]
//	start [NAME=VALUE…] [override=ACTION:TYPE:VALUE] [detected]
//	succeed|fail|continue|progress eN STAGE/ACTION [NAME=VALUE…]
//	approve|reject eN STAGE/ACTION [token=…]
//	retry eN STAGE MODE · stop eN [abandon] · disable|enable STAGE [Outbound]
//	wait DURATION                                            and fires what is due
//	delete
func (p *player) do(lines []string) string {
	words := strings.Fields(lines[0])
	verb, args := words[0], words[1:]
	var ev Event
	switch verb {
	case "pipeline":
		p.s = New("111111111111", "eu-west-1", "seed", p.define(args, lines[1:], 1), p.now)
		p.s.Attached.Catalogue = catalogue
		p.tokens, p.jobs = map[string]string{}, map[string]JobRef{}
		return p.state()
	case "update":
		ev = Update{Definition: p.define(args, lines[1:], p.s.Version+1)}
	case "start":
		ev = p.start(args)
	case "succeed", "fail", "continue", "progress":
		ev = p.report(verb, args)
	case "approve", "reject":
		stage, action, _ := strings.Cut(args[1], "/")
		a := Approve{Stage: stage, Action: action, Status: "Approved", Summary: "looks good", By: "arn:reviewer", Token: p.tokens[args[0]+" "+args[1]]}
		if verb == "reject" {
			a.Status = "Rejected"
		}
		if len(args) > 2 {
			a.Token = strings.TrimPrefix(args[2], "token=")
		}
		ev = a
	case "retry":
		ev = Retry{Execution: p.execution(args[0]), Stage: args[1], Mode: pipeline.RetryMode(args[2])}
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
		return p.wait(args[0])
	case "delete":
		ev = Delete{}
	default:
		p.t.Fatalf("unknown command %q", lines[0])
	}
	return p.step(ev) + p.state()
}

func (p *player) step(ev Event) string {
	before, err := json.Marshal([]any{p.s, p.s.Executions})
	if err != nil {
		p.t.Fatal(err)
	}
	next, effects, err := Step(p.s, p.now, ev)
	if after, _ := json.Marshal([]any{p.s, p.s.Executions}); !bytes.Equal(before, after) {
		p.t.Errorf("%T changed the state it was given", ev)
	}
	if code := fault.Code(err); code != "" {
		return "refused " + err.Error() + "\n"
	} else if err != nil {
		p.t.Fatal(err)
	}
	again, effects2, err := Step(p.s, p.now, ev)
	if a, b := dump(p.t, next, effects), dump(p.t, again, effects2); err != nil || a != b {
		p.t.Errorf("%T gives another outcome when it is played again (%v):\n%s\n%s", ev, err, a, b)
	}
	if _, deleted := ev.(Delete); !deleted {
		if err := Check(next); err != nil {
			p.t.Errorf("after %T: %v", ev, err)
		}
	}
	p.s = next
	var out strings.Builder
	for _, e := range effects {
		out.WriteString(p.effect(e) + "\n")
	}
	return out.String()
}

func dump(t *testing.T, s *State, effects []Effect) string {
	text, err := json.Marshal([]any{s, s.Executions, s.Retired, s.Ended, effects})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (p *player) wait(d string) string {
	dur, err := time.ParseDuration(d)
	if err != nil {
		p.t.Fatal(err)
	}
	p.now = p.now.Add(dur)
	var out strings.Builder
	for _, e := range p.s.ordered() {
		for _, run := range e.running() {
			if !run.Deadline.After(p.now) {
				out.WriteString(p.step(Wakeup{Run: run.ID}))
			}
		}
	}
	return out.String() + p.state()
}

func (p *player) start(args []string) Event {
	ev := Start{Trigger: pipeline.Trigger{Type: pipeline.TriggerStartPipelineExecution, Detail: "arn:starter"}}
	for _, a := range args {
		name, value, ok := strings.Cut(a, "=")
		switch {
		case a == "detected":
			ev.Detected = true
		case name == "override":
			f := strings.SplitN(value, ":", 3)
			ev.Overrides = append(ev.Overrides, pipeline.SourceRevisionOverride{ActionName: f[0], RevisionType: f[1], RevisionValue: f[2]})
		case ok:
			ev.Variables = append(ev.Variables, pipeline.Variable{Name: name, ResolvedValue: value})
		}
	}
	return ev
}

func (p *player) report(verb string, args []string) Event {
	ref := p.jobs[args[0]+" "+args[1]]
	r := Result{}
	vars := map[string]string{}
	var revision *pipeline.Revision
	for _, a := range args[2:] {
		name, value, _ := strings.Cut(a, "=")
		switch name {
		case "job": // a job remembered by its number
			ref = p.jobs[args[0]+" "+args[1]+" "+value]
		case "summary":
			r.Summary = value
		case "id":
			r.ExternalID = value
		case "percent":
			n, _ := strconv.Atoi(value)
			r.Percent = &n
		case "revision":
			revision = &pipeline.Revision{ID: value, Summary: "commit " + value}
		case "big":
			n, _ := strconv.Atoi(value)
			vars["big"] = strings.Repeat("x", n)
		default:
			vars[name] = value
		}
	}
	switch verb {
	case "succeed":
		return Succeed{Job: ref, Result: r, Variables: vars, Revision: revision}
	case "fail":
		return Fail{Job: ref, Result: r, Error: pipeline.ErrorDetails{Code: "JobFailed", Message: "it said no"}}
	case "continue":
		return Continue{Job: ref, Result: r, Token: "token-1"}
	}
	return Progress{Job: ref, Result: r}
}

// execution translates e3 into the id of the third execution.
func (p *player) execution(name string) pipeline.ExecutionID {
	for id, n := range p.names() {
		if n == name {
			return id
		}
	}
	return "00000000-0000-4000-8000-000000000000"
}
