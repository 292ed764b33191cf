package engine

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"penstock/internal/pipeline"
)

// learn names what a step brought and remembers what stories refer to.
func (p *player) learn() {
	for _, e := range slices.Concat(slices.Collect(maps.Values(p.s.Executions)), p.s.Retired) {
		p.names[e.ID] = "e" + strconv.FormatInt(e.Order, 10)
		delete(p.past, e.ID)
		for _, visit := range e.Runs {
			for r := range visit.All() {
				name := p.names[e.ID] + " " + what(r.Stage, r.Action, r.Type)
				p.runs[r.ID] = name
				if r.Token != "" && r.Status == pipeline.InProgress {
					p.tokens[name] = r.Token
				}
			}
		}
	}
	for _, r := range p.s.Ended {
		p.runs[r.ID] = p.names[r.Execution] + " " + what(r.Stage, r.Action, r.Type)
	}
	for _, e := range p.s.Retired {
		p.past[e.ID] = new(Execution)
		reread(p.t, e, p.past[e.ID])
	}
}

// what names an action or a rule.
func what(stage, name string, typ pipeline.ActionTypeID) string {
	if typ.Category == pipeline.CategoryRule {
		return stage + "?" + name
	}
	return stage + "/" + name
}

// effect describes an effect in one line, if it is to be shown.
func (p *player) effect(e Effect) string {
	switch e := e.(type) {
	case StartJob:
		return p.startedJob(e)
	case EndJob:
		line := "end-job " + p.work[e.ID] + " " + string(e.Status)
		if e.Abort {
			return line + " abort\n"
		}
		if p.show["jobs"] {
			return line + "\n"
		}
	case Wake:
		switch {
		case !p.show["timers"]:
		case e.At.IsZero():
			return "no-wake " + p.runs[e.Run] + "\n"
		default:
			return "wake " + p.runs[e.Run] + " in " + e.At.Sub(p.now).String() + "\n"
		}
	case Emit:
		if p.show["events"] {
			return "emit " + p.emitted(e) + "\n"
		}
	}
	return ""
}

func (p *player) startedJob(e StartJob) string {
	name := p.names[e.Execution] + " " + what(e.Stage, e.Action, e.Type)
	p.jobs[name] = JobRef{ID: e.ID, Execution: e.Execution, Run: e.Run}
	p.jobs[name+" "+strconv.Itoa(e.Number)] = p.jobs[name]
	p.work[e.ID] = fmt.Sprintf("%s #%d", name, e.Number)
	line := "job " + p.work[e.ID]
	if e.Token != "" {
		line += " token=" + e.Token
	}
	if d := e.NotBefore.Sub(p.now); d > 0 {
		line += " after=" + d.String()
	}
	if e.Function != "" {
		line += " by " + e.Function
	}
	for _, k := range slices.Sorted(maps.Keys(e.Configuration)) {
		value := strings.ReplaceAll(e.Configuration[k], string(e.Execution), "ID-OF-"+p.names[e.Execution])
		if len(value) > 100 {
			value = fmt.Sprintf("(%d bytes)", len(value))
		}
		line += " " + k + "=" + value
	}
	if s := e.Script; s != nil {
		line += fmt.Sprintf(" run=%q env=%v files=%q export=%q", s.Commands, s.Environment, s.Files, s.Variables)
	}
	for _, in := range e.Inputs {
		line += " <" + in.Name + p.place(in)
	}
	if p.show["keys"] {
		for _, out := range e.Outputs {
			line += " >" + out.Name + p.place(out)
		}
	}
	for _, o := range e.Overrides {
		line += " override=" + o.RevisionType + ":" + o.RevisionValue
	}
	return line + "\n"
}

// place says who made an artifact, and with "keys" where it lies.
func (p *player) place(a pipeline.Artifact) string {
	by := " from " + p.runs[a.Producer]
	if a.Revision != "" {
		by += " revision " + a.Revision
	}
	if p.show["keys"] {
		by += " at " + a.Bucket + ":" + a.Key
	}
	return by
}

func (p *player) emitted(e Emit) string {
	var raw struct {
		ExecutionID   string `json:"execution-id"`
		State         string
		Stage, Action string
		Comments      string            `json:"stop-execution-comments"`
		Trigger       map[string]string `json:"execution-trigger"`
		Attempts      float64           `json:"pipeline-execution-attempt"`
		Retried       string            `json:"stage-last-retry-attempt-time"`
		Result        struct {
			Code string `json:"error-code"`
		} `json:"execution-result"`
	}
	if err := json.Unmarshal(e.Detail, &raw); err != nil {
		p.t.Fatal(err)
	}
	level := map[string]string{pipelineChange: "pipeline", stageChange: "stage", actionChange: "action"}[e.DetailType]
	what := []string{level, p.names[pipeline.ExecutionID(raw.ExecutionID)]}
	if raw.Stage != "" {
		what = append(what, strings.Trim(raw.Stage+"/"+raw.Action, "/"))
	}
	what = append(what, raw.State)
	if raw.Attempts > 1 {
		what = append(what, fmt.Sprintf("attempt=%g", raw.Attempts))
	}
	for _, more := range [][2]string{{"trigger", raw.Trigger["trigger-type"]}, {"comment", raw.Comments}, {"error", raw.Result.Code}, {"retried", raw.Retried}} {
		if more[1] != "" {
			what = append(what, more[0]+"="+more[1])
		}
	}
	return strings.Join(what, " ")
}

// state gives the lines about stages and executions that are not as they were shown last.
func (p *player) state() string {
	var out strings.Builder
	say := func(subject, line string) {
		line = strings.TrimRight(line, " ")
		if p.shown[subject] != line && (line != "" || p.shown[subject] != "") {
			fmt.Fprintf(&out, "  %s: %s\n", subject, line)
		}
		p.shown[subject] = line
	}
	for _, def := range p.s.Current().Stages {
		if stage := p.s.Stages[def.Name]; stage != nil {
			say(def.Name, p.stage(stage))
			for _, a := range def.Actions {
				if p.show["runs"] {
					say(def.Name+"/"+a.Name, p.run(stage.Actions[a.Name]))
				}
			}
		}
	}
	all := slices.Concat(slices.Collect(maps.Values(p.s.Executions)), p.s.Retired)
	slices.SortFunc(all, func(a, b *Execution) int { return int(a.Order - b.Order) })
	for _, e := range all {
		say(p.names[e.ID], p.told(e))
	}
	return out.String()
}

func (p *player) stage(st *StageState) string {
	var parts []string
	t := st.Transition
	gate := ""
	if t.Disabled {
		gate = "closed (" + t.Reason + ")"
	}
	if p.show["gates"] {
		gate = fmt.Sprintf("enabled=%t", !t.Disabled)
		if t.LastChangedBy != "" {
			gate += " by " + t.LastChangedBy + " after " + t.LastChangedAt.Sub(p.begin).String()
		}
		if t.Reason != "" {
			gate += " reason " + t.Reason
		}
	}
	if gate != "" {
		parts = append(parts, gate)
	}
	for _, id := range st.Waiting {
		parts = append(parts, p.names[id]+" waits")
	}
	if x := st.LastInbound; x != nil {
		parts = append(parts, p.names[x.ID]+" waited and is "+string(x.Status))
	}
	if x := st.Latest; x != nil {
		parts = append(parts, strings.TrimSpace("latest "+p.names[x.ID]+" "+string(x.Status)+" "+strings.TrimPrefix(x.Type, pipeline.ExecutionStandard)))
	}
	if st.Holder != "" {
		parts = append(parts, "locked by "+p.names[st.Holder])
	}
	for _, place := range pipeline.Places {
		if c := st.Conditions[place]; c != nil && p.show["conditions"] {
			parts = append(parts, conditionText(place, c))
			if c.Summary != "" {
				parts[len(parts)-1] += " " + c.Summary
			}
		}
	}
	if m := st.Retry; m != nil {
		parts = append(parts, fmt.Sprintf("retries manual=%d automatic=%d %s", m.Manual, m.Automatic, m.Latest))
	}
	if len(parts) == 0 {
		return "empty"
	}
	return strings.Join(parts, ", ")
}

// run describes the latest run of an action in any execution.
func (p *player) run(r *ActionRun) string {
	if r == nil {
		return ""
	}
	line := fmt.Sprintf("%s %s", p.names[r.Execution], r.Status)
	if r.Summary != "" {
		line += " summary=" + r.Summary
	}
	if r.ExternalID != "" {
		line += " id=" + r.ExternalID
	}
	if r.ExternalURL != "" {
		line += " url=" + r.ExternalURL
	}
	if r.EntityURL != "" {
		line += " entity=" + r.EntityURL
	}
	if r.Percent != nil {
		line += fmt.Sprintf(" %d%%", *r.Percent)
	}
	if r.UpdatedBy != "" {
		line += " by=" + r.UpdatedBy
	}
	if r.Revision != nil {
		line += " revision=" + r.Revision.ID
	}
	if r.Token != "" {
		line += " pending"
	}
	if r.Error != nil {
		line += " " + r.Error.Code + ": " + r.Error.Message
	}
	return line
}

// told describes an execution and its visit to the stage it is at.
func (p *player) told(e *Execution) string {
	line := string(e.Status)
	if e.Version > 1 {
		line = fmt.Sprintf("v%d %s", e.Version, line)
	}
	if e.RollbackTarget != "" {
		line = string(e.Type) + " to " + p.names[e.RollbackTarget] + " " + line
	}
	if e.Attempt > 1 {
		line += fmt.Sprintf(" attempt %d", e.Attempt)
	}
	if e.StatusSummary != "" {
		line += " (" + p.named(e.StatusSummary) + ")"
	}
	if e.Position == Waiting {
		return line + ", waits for " + e.Stage
	}
	if p.show["variables"] && e.Position == Inside {
		for _, v := range e.Variables {
			line += " " + v.Name + "=" + v.ResolvedValue
		}
		for _, r := range e.SourceRevisions {
			line += " " + r.ActionName + "@" + r.RevisionID
		}
	}
	visit := e.Runs[e.Stage]
	if visit == nil {
		return line
	}
	line += ", " + e.Stage
	if e.Position == Left {
		line += " was " + string(visit.Status)
	}
	for _, place := range pipeline.Places {
		if c := visit.Conditions[place]; c != nil {
			line += " " + conditionText(place, c)
		}
	}
	runs := slices.SortedFunc(maps.Values(visit.Actions), func(a, b *ActionRun) int { return int(a.Number - b.Number) })
	for _, r := range runs {
		line += " " + r.Action + "=" + string(r.Status)
		if r.Error != nil && r.Touched == p.s.Seq && !p.show["runs"] {
			line += " [" + r.Error.Code + ": " + r.Error.Message + "]"
		}
	}
	return line
}

// conditionText describes an evaluation and its rules by their names.
func conditionText(place pipeline.Place, c *ConditionRun) string {
	text := placeNames[place] + "=" + string(c.Status) + "("
	for i, name := range slices.Sorted(maps.Keys(c.Rules)) {
		text += strings.Repeat(" ", min(i, 1)) + name + "=" + string(c.Rules[name].Status)
	}
	return text + ")"
}
