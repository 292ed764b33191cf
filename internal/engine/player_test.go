package engine

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"penstock/internal/pipeline"
)

// names gives executions the names e1, e2, … in the order they started. Executions keep
// their name for the whole story.
func (p *player) names() map[pipeline.ExecutionID]string {
	out := map[pipeline.ExecutionID]string{}
	for id, e := range p.s.Executions {
		out[id] = "e" + strconv.FormatInt(e.Order, 10)
	}
	for _, e := range p.s.Retired {
		out[e.ID] = "e" + strconv.FormatInt(e.Order, 10)
	}
	for _, stage := range p.s.Stages {
		for _, x := range []*StageExecution{stage.Latest, stage.LastInbound} {
			if x != nil && out[x.ID] == "" {
				out[x.ID] = p.tokens["name "+string(x.ID)]
			}
		}
	}
	for id, n := range out {
		p.tokens["name "+string(id)] = n
	}
	return out
}

func (p *player) find(run pipeline.ActionExecutionID) string {
	lists := [][]*Execution{slices.Collect(maps.Values(p.s.Executions)), p.s.Retired}
	for _, e := range slices.Concat(lists...) {
		for _, visit := range e.Runs {
			for _, r := range visit.Actions {
				if r.ID == run {
					return p.names()[e.ID] + " " + r.Stage + "/" + r.Action
				}
			}
		}
	}
	for _, r := range p.s.Ended {
		if r.ID == run {
			return p.names()[r.Execution] + " " + r.Stage + "/" + r.Action
		}
	}
	return "?"
}

// effect describes an effect in one line.
func (p *player) effect(e Effect) string {
	switch e := e.(type) {
	case StartJob:
		name := p.names()[e.Execution] + " " + e.Stage + "/" + e.Action
		p.jobs[name] = JobRef{ID: e.ID, Execution: e.Execution, Run: e.Run}
		p.jobs[name+" "+strconv.Itoa(e.Number)] = p.jobs[name]
		p.tokens["job "+string(e.ID)] = name
		line := fmt.Sprintf("job %s #%d", name, e.Number)
		if e.Token != "" {
			line += " token=" + e.Token
		}
		if d := e.NotBefore.Sub(p.now); d > 0 {
			line += " after=" + d.String()
		}
		for _, k := range slices.Sorted(maps.Keys(e.Configuration)) {
			line += " " + k + "=" + e.Configuration[k]
		}
		for _, in := range e.Inputs {
			line += " <" + in.Name + "@" + p.find(in.Producer)
		}
		for _, o := range e.Overrides {
			line += " override=" + o.RevisionType + ":" + o.RevisionValue
		}
		return line
	case EndJob:
		line := "end-job " + p.tokens["job "+string(e.ID)] + " " + string(e.Status)
		if e.Abort {
			line += " abort"
		}
		return line
	case Wake:
		if e.At.IsZero() {
			return "no-wake " + p.find(e.Run)
		}
		return "wake " + p.find(e.Run) + " in " + e.At.Sub(p.now).String()
	case Emit:
		return "emit " + p.emitted(e)
	}
	return fmt.Sprintf("%T", e)
}

func (p *player) emitted(e Emit) string {
	var raw struct {
		ExecutionID   string `json:"execution-id"`
		State         string
		Stage, Action string
		Comments      string            `json:"stop-execution-comments"`
		Trigger       map[string]string `json:"execution-trigger"`
		Attempts      float64           `json:"pipeline-execution-attempt"`
	}
	if err := json.Unmarshal(e.Detail, &raw); err != nil {
		p.t.Fatal(err)
	}
	what := []string{p.names()[pipeline.ExecutionID(raw.ExecutionID)]}
	if raw.Stage != "" {
		what = append(what, strings.Trim(raw.Stage+"/"+raw.Action, "/"))
	}
	what = append(what, raw.State)
	if raw.Attempts > 1 {
		what = append(what, fmt.Sprintf("attempt=%g", raw.Attempts))
	}
	if t := raw.Trigger["trigger-type"]; t != "" {
		what = append(what, "trigger="+t)
	}
	if raw.Comments != "" {
		what = append(what, "comment="+raw.Comments)
	}
	return strings.Join(what, " ")
}

// state describes the stages and the executions that are live or just ended.
func (p *player) state() string {
	var out strings.Builder
	names := p.names()
	for _, def := range p.s.Current().Stages {
		st := p.s.Stages[def.Name]
		fmt.Fprintf(&out, "  %s:", def.Name)
		if st.Transition.Disabled {
			fmt.Fprintf(&out, " (closed: %s)", st.Transition.Reason)
		}
		for _, id := range st.Waiting {
			fmt.Fprintf(&out, " %s waits;", names[id])
		}
		if st.LastInbound != nil {
			fmt.Fprintf(&out, " %s waited, %s;", names[st.LastInbound.ID], st.LastInbound.Status)
		}
		if st.Latest != nil {
			fmt.Fprintf(&out, " %s %s", names[st.Latest.ID], st.Latest.Status)
			if st.Holder != "" {
				out.WriteString(" locked")
			}
		}
		if m := st.Retry; m != nil {
			fmt.Fprintf(&out, " retries manual=%d automatic=%d", m.Manual, m.Automatic)
		}
		out.WriteString("\n")
	}
	all := slices.Concat(slices.Collect(maps.Values(p.s.Executions)), p.s.Retired)
	slices.SortFunc(all, func(a, b *Execution) int { return int(a.Order - b.Order) })
	for _, e := range all {
		fmt.Fprintf(&out, "  %s v%d %s", names[e.ID], e.Version, e.Status)
		if e.Position != Left {
			fmt.Fprintf(&out, " %s %s", e.Position, e.Stage)
		}
		if e.StatusSummary != "" {
			fmt.Fprintf(&out, " (%s)", e.StatusSummary)
		}
		runs := e.LatestRuns()
		slices.Reverse(runs)
		for _, r := range runs {
			fmt.Fprintf(&out, " %s/%s=%s", r.Stage, r.Action, r.Status)
			if r.Error != nil && r.Touched == p.s.Seq {
				fmt.Fprintf(&out, "[%s: %s]", r.Error.Code, r.Error.Message)
			}
			if r.Token != "" && r.Status == pipeline.InProgress {
				p.tokens[names[e.ID]+" "+r.Stage+"/"+r.Action] = r.Token
			}
		}
		out.WriteString("\n")
	}
	return out.String()
}

// catalogue knows the action types of the stories: their provider is the kind.
func catalogue(id pipeline.ActionTypeID) (pipeline.ActionType, bool) {
	t := pipeline.ActionType{ID: id, Timeout: time.Hour}
	switch id.Provider {
	case "gone":
		return t, false
	case "off":
		t.Unavailable = "this server does not run it"
	case "worker":
		t.Timeout = 24 * time.Hour
		t.Properties = []pipeline.Property{{Name: "job", Required: true}}
		t.Settings = pipeline.Settings{EntityURLTemplate: "https://ci/{Config:job}", ExecutionURLTemplate: "https://ci/{Config:job}/{ExternalExecutionId}"}
	}
	return t, true
}

// define reads a pipeline's stages, one a line.
func (p *player) define(args, lines []string, version int) *pipeline.Declaration {
	d := &pipeline.Declaration{Name: "a-pipeline-with-a-long-name", RoleARN: "arn:role", Version: version, ExecutionMode: pipeline.Superseded, PipelineType: pipeline.V2,
		ArtifactStore: &pipeline.ArtifactStore{Type: "S3", Location: "bucket"}}
	for _, a := range args {
		k, v, _ := strings.Cut(a, "=")
		switch k {
		case "mode":
			d.ExecutionMode = pipeline.ExecutionMode(v)
		case "type":
			d.PipelineType = v
		case "var":
			name, value, ok := strings.Cut(v, ":")
			decl := pipeline.VariableDeclaration{Name: name}
			if ok {
				decl.DefaultValue = &value
			}
			d.Variables = append(d.Variables, decl)
		}
	}
	for i, line := range lines {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		s := pipeline.Stage{Name: name}
		for word := range strings.FieldsSeq(rest) {
			if mode, ok := strings.CutPrefix(word, "!retry"); ok {
				s.OnFailure = &pipeline.FailureConditions{Result: "RETRY"}
				if mode != "" {
					s.OnFailure.RetryConfiguration = &pipeline.RetryConfiguration{RetryMode: pipeline.RetryMode(mode[1:])}
				}
				continue
			}
			s.Actions = append(s.Actions, action(word, i == 0))
		}
		d.Stages = append(d.Stages, s)
	}
	return d
}

// action reads name[:kind][@order][>output][<input][=key:value][/namespace][~minutes].
func action(word string, source bool) pipeline.Action {
	a := pipeline.Action{RunOrder: 1, ActionTypeID: pipeline.ActionTypeID{Category: "Build", Owner: "AWS", Provider: "CodeBuild", Version: "1"}, Configuration: map[string]string{}}
	if source {
		a.ActionTypeID = pipeline.ActionTypeID{Category: "Source", Owner: "AWS", Provider: "CodeCommit", Version: "1"}
	}
	for len(word) > 0 {
		end := strings.IndexAny(word[1:], ":@><=/~") + 1
		if end == 0 {
			end = len(word)
		}
		part := word[:end]
		if strings.HasPrefix(word, "=") { // key:value reaches to the end
			k, v, _ := strings.Cut(word[1:], ":")
			a.Configuration[k] = v
			break
		}
		word = word[end:]
		switch part[0] {
		case ':':
			a.ActionTypeID.Provider = part[1:]
			switch part[1:] {
			case "Manual":
				a.ActionTypeID.Category = "Approval"
			case "worker", "gone":
				a.ActionTypeID.Owner = "Custom"
			}
		case '@':
			a.RunOrder, _ = strconv.Atoi(part[1:])
		case '>':
			a.OutputArtifacts = append(a.OutputArtifacts, pipeline.OutputArtifact{Name: part[1:]})
		case '<':
			a.InputArtifacts = append(a.InputArtifacts, pipeline.ArtifactName{Name: part[1:]})
		case '/':
			a.Namespace = part[1:]
		case '~':
			a.TimeoutInMinutes, _ = strconv.Atoi(part[1:])
		default:
			a.Name = part
		}
	}
	return a
}
