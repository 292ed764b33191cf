package watch

import (
	"strings"
	"time"
	"unicode/utf8"
)

// Lines draws a snapshot at a moment, each line at most width columns; width 0 is no limit.
// hint is how to approve: the command before STAGE/ACTION, or "" to say nothing.
func (st Style) Lines(s *Snapshot, now time.Time, width int, hint string) []string {
	var out []string
	add := func(l ...span) { out = append(out, st.render(l, width)) }
	add(st.title(s, now)...)
	if s.Trigger != "" {
		add(span{text: "  " + Clean(s.Trigger), colour: dim})
	}
	if s.Summary != "" {
		add(span{text: "  " + Clean(s.Summary)})
	}
	names := nameWidth(s)
	for i := range s.Stages {
		stage := &s.Stages[i]
		add(st.stageLine(s, stage, now)...)
		for _, a := range stage.Actions {
			add(st.actionLine(a, now, names)...)
			if a.Error != "" && a.Status != StatusSucceeded {
				add(span{text: "        " + Clean(a.Error), colour: red})
			}
		}
		for _, c := range stage.Conditions {
			add(st.conditionLine(c)...)
		}
	}
	for _, p := range s.Pending() {
		add(st.approval(s, p, hint)...)
	}
	return out
}

func (st Style) title(s *Snapshot, now time.Time) line {
	l := line{{text: Clean(s.Pipeline), colour: bold}}
	if s.Execution == "" {
		return l
	}
	sign, colour := st.sign(s.Status, false)
	l = append(l, span{text: "  " + Short(s.Execution), colour: dim}, span{text: "  " + sign + " " + Clean(s.Status), colour: colour})
	if s.Started != nil {
		end := now
		if s.Over() && s.Updated != nil {
			end = *s.Updated
		}
		l = append(l, span{text: "  " + Elapsed(end.Sub(*s.Started)), colour: dim})
	}
	return l
}

func (st Style) stageLine(s *Snapshot, stage *Stage, now time.Time) line {
	sign, colour := st.sign(stage.Status, len((&Snapshot{Stages: []Stage{*stage}}).Pending()) > 0)
	name := span{text: Clean(stage.Name), colour: bold}
	if stage.Status == "" {
		name.colour = dim
	}
	l := line{{text: "  " + sign + " ", colour: colour}, name}
	if from, to := times(stage, now); !from.IsZero() {
		l = append(l, span{text: "  " + Elapsed(to.Sub(from)), colour: dim})
	}
	if s.Execution == "" && stage.Execution != "" {
		l = append(l, span{text: "  " + Short(stage.Execution), colour: dim})
	}
	if stage.Status == StatusWaiting {
		l = append(l, span{text: "  waits: " + Clean(waitingFor(stage)), colour: yellow})
	} else if stage.Disabled {
		l = append(l, span{text: "  transition disabled: " + Clean(stage.Reason), colour: yellow})
	}
	var others []string
	for _, id := range stage.Waiting {
		if id != s.Execution {
			others = append(others, Short(id))
		}
	}
	if len(others) > 0 {
		l = append(l, span{text: "  in front: " + strings.Join(others, ", "), colour: yellow})
	}
	return l
}

// times gives when a stage's actions began and how long they are at it.
func times(stage *Stage, now time.Time) (from, to time.Time) {
	for _, a := range stage.Actions {
		if a.Started != nil && (from.IsZero() || a.Started.Before(from)) {
			from = *a.Started
		}
		if a.Updated != nil && a.Updated.After(to) {
			to = *a.Updated
		}
	}
	if stage.Status == StatusInProgress {
		to = now
	}
	return from, to
}

func (st Style) actionLine(a Action, now time.Time, names int) line {
	sign, colour := st.sign(a.Status, a.Status == StatusInProgress && a.Token != "")
	name := span{text: pad(Clean(a.Name), names)}
	if a.Status == "" {
		name.colour = dim
	}
	took := ""
	switch {
	case a.Started == nil || a.Status == "":
	case a.Status == StatusInProgress:
		took = Elapsed(now.Sub(*a.Started))
	case a.Updated != nil:
		took = Elapsed(a.Updated.Sub(*a.Started))
	}
	l := line{{text: "      " + sign + " ", colour: colour}, name, {text: "  " + pad(Clean(a.Provider), 10), colour: dim},
		{text: "  " + strings.Repeat(" ", max(0, 6-len(took))) + took, colour: dim}}
	if a.Summary != "" {
		return append(l, span{text: "  " + Clean(a.Summary)})
	}
	for i := len(l) - 1; took == "" && i >= 2; i-- { // nothing stands behind the provider
		l[i].text = strings.TrimRight(l[i].text, " ")
	}
	return l
}

func (st Style) approval(s *Snapshot, p Approval, hint string) line {
	l := line{{text: "  " + Clean(p.Stage+"/"+p.Action) + " waits for a decision", colour: yellow}}
	if p.Comment != "" {
		l = append(l, span{text: ": " + Clean(p.Comment)})
	}
	if p.Link != "" {
		l = append(l, span{text: " " + Clean(p.Link), colour: dim})
	}
	if hint != "" {
		l = append(l, span{text: "  " + hint + " " + Clean(s.Pipeline) + " " + Clean(p.Stage+"/"+p.Action), colour: bold})
	}
	return l
}

func nameWidth(s *Snapshot) int {
	width := 8
	for _, stage := range s.Stages {
		for _, a := range stage.Actions {
			width = max(width, utf8.RuneCountInString(Clean(a.Name)))
		}
	}
	return min(width, 40)
}

// Line prints a change in one line of plain text.
func (c Change) Line() string {
	var b strings.Builder
	b.WriteString(c.Time.Format("15:04:05.000") + " " + Clean(c.Pipeline) + " " + Short(c.Execution))
	switch {
	case c.Action != "":
		b.WriteString(" " + Clean(c.Stage+"/"+c.Action))
	case c.Condition != "":
		b.WriteString(" " + Clean(c.Stage) + " " + c.Condition + " condition")
	case c.Stage != "":
		b.WriteString(" " + Clean(c.Stage))
	}
	b.WriteString(" " + Clean(c.Status))
	for _, s := range []string{c.Summary, c.Error} {
		if s != "" {
			b.WriteString(": " + Clean(s))
		}
	}
	if c.Approve {
		b.WriteString(": waits for a decision")
	}
	return b.String()
}
