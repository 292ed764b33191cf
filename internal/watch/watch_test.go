package watch

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
	"github.com/google/go-cmp/cmp"
)

func TestClean(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][2]string{
		"plain é":                            {"plain é", "plain é"},
		"a\tb\r\nc":                          {"a b  c", "a b  c"},
		"\x1b[31mred\x1b[0m":                 {"red", "\x1b[31mred\x1b[0m"},
		"\x1b[1;31;40mx":                     {"x", "\x1b[1;31;40mx"},
		"\x1b[2J\x1b[Hgone":                  {"gone", "gone"},
		"\x1b[?1049h\x1b[>4mx":               {"x", "x"},
		"\x1b]0;title\ax\x1b]52;c;AA\x1b\\y": {"xy", "xy"},
		"\x1bcreset":                         {"reset", "reset"},
		"\x1bP+q\x1b\\x":                     {"x", "x"},
		"\u009b31mx\u0085":                   {"31mx", "31mx"},
		"a\u202eb\u2066c\u2028d":             {"abcd", "abcd"},
		"\xffx":                              {"\ufffdx", "\ufffdx"},
		"cut \x1b[31":                        {"cut", "cut "},
		"\x1b":                               {"", ""},
		"bell\a back\b":                      {"bell back", "bell back"},
		"\x1b[" + strings.Repeat("1;", 40) + "mx": {"x", "x"},
	} {
		if got := Clean(in); got != want[0] {
			t.Errorf("Clean(%q) = %q, want %q", in, got, want[0])
		}
		if got := CleanLog(in); got != want[1] {
			t.Errorf("CleanLog(%q) = %q, want %q", in, got, want[1])
		}
	}
}

// Nothing that a terminal acts on, or that turns the direction of writing, is left but colours in
// a log, and these change nothing else.
func FuzzClean(f *testing.F) {
	for _, s := range []string{"a\x1b[31mb\x1b]0;t\ac", "\x1b\x1b[[1m\x1b[0m1m\x1bP\x1b[m\x1b\\", "\x1b[1\u009b;\xc2\x9bm\xe2\x80\x1bc\xae", "a \u061c\u2029\t\x1b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for i, r := range Clean(s) {
			if r < ' ' || r >= 0x7f && r < 0xa0 || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
				t.Fatalf("%q at %d of Clean(%q)", r, i, s)
			}
		}
		if once := CleanLog(s); CleanLog(once) != once || Clean(once) != Clean(s) || !utf8.ValidString(once) {
			t.Fatalf("%q is not clean after once", s)
		}
	})
}

var began = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

func at(d time.Duration) *time.Time { return new(began.Add(d)) }

// sample is an execution that waits for approval, with another one behind it.
func sample() *Snapshot {
	return &Snapshot{
		Pipeline: "hello", Execution: "1a2b3c4d-0000", Status: StatusInProgress, Trigger: "PollForSourceChanges Repository", Started: at(0), Updated: at(9 * time.Second),
		Stages: []Stage{
			{Name: "Source", Status: StatusSucceeded, Execution: "1a2b3c4d-0000", Actions: []Action{
				{Name: "Repository", Provider: "CodeCommit", ID: "a1", Status: StatusSucceeded, Started: at(0), Updated: at(time.Second), Summary: "Say \x1b[2Jhello"}}},
			{Name: "Build", Status: StatusSucceeded, Execution: "1a2b3c4d-0000", Actions: []Action{
				{Name: "Go", Provider: "CodeBuild", ID: "a2", Status: StatusSucceeded, Started: at(time.Second), Updated: at(9 * time.Second)}}},
			{Name: "Approval", Status: StatusInProgress, Execution: "1a2b3c4d-0000", Waiting: []string{"99999999-0000"}, Actions: []Action{
				{Name: "Ship", Provider: "Manual", Category: "Approval", ID: "a3", Execution: "1a2b3c4d-0000", Status: StatusInProgress, Started: at(9 * time.Second), Token: "t", Comment: "Well?"}}},
			{Name: "Deploy", Disabled: true, Reason: "not now", Actions: []Action{{Name: "Publish", Provider: "S3"}}},
		},
	}
}

func TestLines(t *testing.T) {
	t.Parallel()
	got := strings.Join(Style{Unicode: true}.Lines(sample(), began.Add(75*time.Second), 0, "penstock approve"), "\n")
	want := `hello  1a2b3c4d  ● InProgress  1m15s
  PollForSourceChanges Repository
  ✓ Source  1s
      ✓ Repository  CodeCommit      1s  Say hello
  ✓ Build  8s
      ✓ Go          CodeBuild       8s
  ? Approval  1m6s  in front: 99999999
      ? Ship        Manual        1m6s
  · Deploy  transition disabled: not now
      · Publish     S3
  Approval/Ship waits for a decision: Well?  penstock approve hello Approval/Ship`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// S-207, S-219: why a stage does not begin, or has failed with none of its actions, is to be seen.
func TestConditions(t *testing.T) {
	t.Parallel()
	state := func(status types.ConditionExecutionStatus, summary string, rule types.RuleExecutionStatus) types.StageState {
		return types.StageState{StageName: new("Deploy"), BeforeEntryConditionState: &types.StageConditionState{
			LatestExecution: &types.StageConditionsExecution{Status: status, Summary: &summary},
			ConditionStates: []types.ConditionState{{RuleStates: []types.RuleState{
				{RuleName: new("Hours"), LatestExecution: &types.RuleExecution{Status: types.RuleExecutionStatusSucceeded}},
				{RuleName: new("Gate"), LatestExecution: &types.RuleExecution{Status: rule}}}}}},
			// of an execution before
			OnSuccessConditionState: &types.StageConditionState{LatestExecution: &types.StageConditionsExecution{Status: types.ConditionExecutionStatusSucceeded}},
			OnFailureConditionState: &types.StageConditionState{LatestExecution: &types.StageConditionsExecution{Status: types.ConditionExecutionStatusFailed}}}
	}
	at := func(stage string, now types.StageState) *Snapshot {
		s := &Snapshot{Pipeline: "hello", Execution: "1a2b3c4d-0000", Status: stage, Stages: []Stage{
			{Name: "Deploy", Status: stage, Execution: "1a2b3c4d-0000", Actions: []Action{{Name: "Publish", Provider: "S3"}}}}}
		s.Stages[0].judge(now)
		return s
	}
	drawn := func(s *Snapshot) string {
		return strings.Join(Style{Unicode: true}.Lines(s, began, 0, ""), "\n")
	}
	first := at(StatusInProgress, state(types.ConditionExecutionStatusInProgress, "", types.RuleExecutionStatusInProgress))
	want := `hello  1a2b3c4d  ● InProgress
  ● Deploy
      · Publish   S3
      ● entry condition  waits for Gate`
	if diff := cmp.Diff(want, drawn(first)); diff != "" {
		t.Error(diff)
	}
	second := at("Failed", state(types.ConditionExecutionStatusFailed, "The rule 'Gate' failed: no", types.RuleExecutionStatusFailed))
	want = `hello  1a2b3c4d  ✗ Failed
  ✗ Deploy
      · Publish   S3
      ✗ entry condition  The rule 'Gate' failed: no`
	if diff := cmp.Diff(want, drawn(second)); diff != "" {
		t.Error(diff)
	}
	third := at(StatusSucceeded, state(types.ConditionExecutionStatusOverridden, "Overridden by me", types.RuleExecutionStatusAbandoned))
	third.Stages[0].Conditions, third.Stages[0].Actions[0].Status = nil, StatusSucceeded
	third.Stages[0].judge(state(types.ConditionExecutionStatusOverridden, "Overridden by me", types.RuleExecutionStatusAbandoned))
	want = `hello  1a2b3c4d  ✓ Succeeded
  ✓ Deploy
      ✓ Publish   S3
      ■ entry condition  Overridden by me
      ✓ success condition`
	if diff := cmp.Diff(want, drawn(third)); diff != "" {
		t.Error(diff)
	}
	var lines []string
	for _, c := range Changes(first, second, began) {
		lines = append(lines, c.Line()[len("03:04:05.000 hello "):])
	}
	want = `1a2b3c4d Deploy entry condition Failed: The rule 'Gate' failed: no
1a2b3c4d Deploy Failed
1a2b3c4d Failed`
	if diff := cmp.Diff(want, strings.Join(lines, "\n")); diff != "" {
		t.Error(diff)
	}
}

// Whatever the width, no line is longer, and no colour is left on.
func TestLinesFit(t *testing.T) {
	t.Parallel()
	st := Style{Unicode: true, Colour: true}
	for width := 1; width < 100; width++ {
		for _, l := range st.Lines(sample(), began, width, "penstock approve") {
			if n := len([]rune(Clean(l))); n > width {
				t.Fatalf("%d columns for %d: %q", n, width, l)
			}
			if strings.Contains(l, "\x1b[") && !strings.HasSuffix(strings.TrimRight(l, " "), "\x1b[0m") && strings.LastIndex(l, "\x1b[0m") < strings.LastIndex(l, "\x1b[3") {
				t.Fatalf("the colour stays on: %q", l)
			}
		}
	}
	log := st.render(line{{text: "\x1b[31mred text", raw: true}}, 3)
	if log != "\x1b[31mred\x1b[0m" {
		t.Errorf("%q", log)
	}
}

func TestStyleFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		env      map[string]string
		terminal bool
		want     Style
	}{
		{map[string]string{"LANG": "de_DE.UTF-8"}, true, Style{Colour: true, Unicode: true}},
		{map[string]string{"LANG": "de_DE.UTF-8", "LC_ALL": "C"}, true, Style{Colour: true}},
		{map[string]string{"NO_COLOR": "1", "LC_CTYPE": "C.utf8"}, true, Style{Unicode: true}},
		{map[string]string{"TERM": "dumb"}, true, Style{}},
		{map[string]string{"LANG": "C.UTF-8"}, false, Style{Unicode: true}},
	} {
		if got := StyleFor(func(name string) string { return c.env[name] }, c.terminal); got != c.want {
			t.Errorf("%v: %+v, want %+v", c.env, got, c.want)
		}
	}
}

func TestChanges(t *testing.T) {
	t.Parallel()
	lines := func(changes []Change) string {
		var out []string
		for _, c := range changes {
			out = append(out, strings.TrimPrefix(c.Line(), began.Format("15:04:05.000")+" hello "))
		}
		return strings.Join(out, "\n")
	}
	first := sample()
	want := `1a2b3c4d Source/Repository Succeeded: Say hello
1a2b3c4d Source Succeeded
1a2b3c4d Build/Go Succeeded
1a2b3c4d Build Succeeded
1a2b3c4d Approval InProgress
1a2b3c4d Approval/Ship InProgress: waits for a decision
1a2b3c4d InProgress`
	if diff := cmp.Diff(want, lines(Changes(&Snapshot{}, first, began))); diff != "" {
		t.Error(diff)
	}
	if got := Changes(first, sample(), began); len(got) != 0 {
		t.Errorf("news of nothing: %v", got)
	}
	second := sample()
	ship := &second.Stages[2].Actions[0]
	ship.Status, ship.Token, ship.Error, second.Stages[2].Status, second.Status = "Failed", "", "JobFailed: rejected", "Failed", "Failed"
	want = `1a2b3c4d Approval/Ship Failed: JobFailed: rejected
1a2b3c4d Approval Failed
1a2b3c4d Failed`
	if diff := cmp.Diff(want, lines(Changes(first, second, began))); diff != "" {
		t.Error(diff)
	}
	retried := sample()
	retried.Stages[2].Actions[0].ID = "a4" // the status is what it was two looks ago
	want = `1a2b3c4d Approval/Ship InProgress: waits for a decision`
	if diff := cmp.Diff(want, lines(Changes(first, retried, began))); diff != "" {
		t.Error(diff)
	}
}

func TestElapsed(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 40 * time.Millisecond: "0s", 1234 * time.Millisecond: "1.2s", 75 * time.Second: "1m15s", 90 * time.Minute: "1h30m",
	} {
		if got := Elapsed(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

// A screen goes back to where it began, draws at most its height, and shows the cursor again.
func TestScreen(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	restored := 0
	s := &Screen{out: &out, eol: "\r\n", size: func() (int, int) { return 80, 4 }, restore: func() { restored++ }}
	s.Draw([]string{"one", "two", "three", "four"})
	s.Draw([]string{"uno"})
	s.Print("kept")
	s.Close()
	s.Close()
	want := "\x1b[?25l\rone\x1b[K\r\ntwo\x1b[K\r\nthree\x1b[K\r\n\x1b[J" +
		"\r\x1b[A\x1b[A\x1b[Auno\x1b[K\r\n\x1b[J" + "\r\x1b[Akept\x1b[K\r\n\x1b[J" + "\x1b[0m\x1b[?25h"
	if out.String() != want || restored != 1 {
		t.Errorf("%q, restored %d times", out.String(), restored)
	}
}

func TestPassed(t *testing.T) {
	t.Parallel()
	actions := func(statuses ...string) (list []Action) {
		for _, s := range statuses {
			list = append(list, Action{Status: s})
		}
		return list
	}
	for _, c := range []struct {
		actions []Action
		want    string
	}{
		{actions("", ""), ""}, {actions("Succeeded", ""), "InProgress"}, {actions("Succeeded", "Succeeded"), "Succeeded"},
		{actions("Succeeded", "Failed"), "Failed"}, {actions("Abandoned"), "Stopped"}, {actions("InProgress", "Succeeded"), "InProgress"},
	} {
		if got := passed(c.actions); got != c.want {
			t.Errorf("%v: %q, want %q", c.actions, got, c.want)
		}
	}
}
