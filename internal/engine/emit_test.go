package engine

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"penstock/internal/pipeline"
)

// TestEventDetails holds what is told to the templates (S-346 to S-349, S-351), for the states
// of the three levels (S-342, S-343, S-344).
func TestEventDetails(t *testing.T) {
	t.Parallel()
	p := newPlayer(t)
	p.do([]string{"pipeline", "A: a>src", "B: b:worker>bin<src=job:j"})
	now := p.begin.Add(1500 * time.Millisecond)
	var got []string
	apply := func(ev Event) []Effect {
		next, effects, err := Step(p.s, now, ev)
		if err != nil {
			t.Fatal(err)
		}
		p.s = next
		for _, e := range effects {
			if e, ok := e.(Emit); ok {
				got = append(got, strings.Fields(e.DetailType)[1]+" "+string(e.Detail))
			}
		}
		return effects
	}
	job := func(effects []Effect) JobRef {
		i := slices.IndexFunc(effects, func(e Effect) bool { _, ok := e.(StartJob); return ok })
		j := effects[i].(StartJob)
		return JobRef{ID: j.ID, Execution: j.Execution, Run: j.Run}
	}
	a := job(apply(Start{Trigger: pipeline.Trigger{Type: pipeline.TriggerStartPipelineExecution, Detail: "arn:aws:iam::111111111111:user/u"}}))
	b := job(apply(Succeed{Job: a, Result: Result{ExternalID: "c0ffee", Summary: "a commit"}}))
	apply(Fail{Job: b, Result: Result{ExternalID: "7"}, Error: pipeline.ErrorDetails{Code: pipeline.JobFailed, Message: "it broke"}})
	now = now.Add(time.Second)
	apply(Retry{Execution: a.Execution, Stage: "B", Mode: pipeline.FailedActions})
	apply(Stop{Execution: a.Execution, Abandon: true, Reason: "enough"})

	common := func(start, attempt string) string {
		return `"pipeline":"the-pipeline-of-stories","execution-id":"E","start-time":"2026-01-01T00:00:` + start + `Z","version":1.0,"pipeline-execution-attempt":` + attempt
	}
	first, second := common("01.500", "1.0"), common("01.500", "2.0")
	stageB := `,"stage":"B","stage-last-retry-attempt-time":"2026-01-01T00:00:02.500Z"`
	actionA := `,"stage":"A","action":"a","action-execution-id":"R1","region":"eu-west-1","type":{"owner":"AWS","category":"Source","provider":"CodeCommit","version":"1"}`
	actionB := `,"stage":"B","action":"b","action-execution-id":"R2","region":"eu-west-1","type":{"owner":"Custom","category":"Build","provider":"worker","version":"1"}`
	again := strings.Replace(actionB, "R2", "R3", 1)
	src := `[{"name":"src","s3location":{"bucket":"bucket","key":"the-pipeline-of-stor/src/KEY"}}]`
	want := []string{
		`Pipeline {` + first + `,"state":"STARTED","execution-trigger":{"trigger-type":"StartPipelineExecution","trigger-detail":"arn:aws:iam::111111111111:user/u"}}`,
		`Stage {` + first + `,"state":"STARTED","stage":"A"}`,
		`Action {` + first + `,"state":"STARTED"` + actionA + `}`,
		`Action {` + first + `,"state":"SUCCEEDED"` + actionA + `,"execution-result":{"external-execution-summary":"a commit","external-execution-id":"c0ffee"},"output-artifacts":` + src + `}`,
		`Stage {` + first + `,"state":"SUCCEEDED","stage":"A"}`,
		`Stage {` + first + `,"state":"STARTED","stage":"B"}`,
		`Action {` + first + `,"state":"STARTED"` + actionB + `,"input-artifacts":` + src + `}`,
		`Action {` + first + `,"state":"FAILED"` + actionB + `,"execution-result":{"external-execution-url":"https://ci/j/7","external-execution-summary":"it broke","external-execution-id":"7","error-code":"JobFailed"}}`,
		`Stage {` + first + `,"state":"FAILED","stage":"B"}`,
		`Pipeline {` + first + `,"state":"FAILED"}`,
		`Pipeline {` + second + `,"state":"RESUMED"}`,
		`Stage {` + second + `,"state":"RESUMED"` + stageB + `}`,
		`Action {` + common("02.500", "2.0") + `,"state":"STARTED"` + again + `,"input-artifacts":` + src + `}`,
		`Pipeline {` + second + `,"state":"STOPPING","stop-execution-comments":"enough"}`,
		`Stage {` + second + `,"state":"STOPPING"` + stageB + `}`,
		`Action {` + common("02.500", "2.0") + `,"state":"ABANDONED"` + again + `}`,
		`Stage {` + second + `,"state":"STOPPED"` + stageB + `}`,
		`Pipeline {` + second + `,"state":"STOPPED","stop-execution-comments":"enough"}`,
	}
	runs := map[string]string{string(a.Run): "R1", string(b.Run): "R2"}
	for i := range got {
		got[i] = normal(t, got[i], string(a.Execution), runs)
		want[i] = normal(t, want[i], "", nil)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// normal sorts the keys and puts names in the place of ids.
func normal(t *testing.T, event, execution string, runs map[string]string) string {
	t.Helper()
	level, detail, _ := strings.Cut(event, " ")
	if strings.Contains(detail, `.0,`) == false {
		t.Fatalf("numbers are written with one decimal (S-346): %s", detail)
	}
	var v map[string]any
	if err := json.Unmarshal([]byte(detail), &v); err != nil {
		t.Fatal(err)
	}
	if v["execution-id"] == execution {
		v["execution-id"] = "E"
	}
	if id, ok := v["action-execution-id"].(string); ok && len(id) > 2 {
		v["action-execution-id"] = "R3"
		if name := runs[id]; name != "" {
			v["action-execution-id"] = name
		}
	}
	for _, list := range []string{"input-artifacts", "output-artifacts"} {
		if artifacts, ok := v[list].([]any); ok {
			place := artifacts[0].(map[string]any)["s3location"].(map[string]any)
			key := place["key"].(string)
			place["key"] = key[:strings.LastIndex(key, "/")] + "/KEY"
		}
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return level + " " + string(out)
}

// TestGitTriggerDetails: a Git event that started the execution is told as its own object, again
// at the end, but not by what failed in the source stage (S-347, S-93).
func TestGitTriggerDetails(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]string{"SUCCEEDED": "succeed e1 B/b", "FAILED": "fail e1 B/b", "": "fail e1 A/a"} {
		p := newPlayer(t)
		p.do([]string{"pipeline", "A: a", "B: b"})
		p.step(Start{Trigger: pipeline.Trigger{Type: pipeline.TriggerWebhookV2, Detail: `{"commit-id":"c0ffee","branch-name":"main"}`}})
		if name != "" {
			p.do([]string{"succeed e1 A/a"})
		}
		_, effects, err := Step(p.s, p.now, p.report(strings.Fields(end)[0], strings.Fields(end)[1:]))
		if err != nil {
			t.Fatal(err)
		}
		told := string(effects[len(effects)-1].(Emit).Detail)
		if strings.Contains(told, `"execution-trigger":{"commit-id":"c0ffee","branch-name":"main"}`) != (name != "") {
			t.Errorf("%s: %s", end, told)
		}
	}
}
