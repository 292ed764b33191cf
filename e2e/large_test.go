package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// S-13, S-18, S-22, S-74, S-81, W-20: definitions as large as they may be are taken, and larger
// ones are refused with the limit in words, through the door, and nothing is left of them.
func TestLargeDefinitions(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	w := s.wire(t)
	// define makes a definition of a source and further stages of so many approvals each.
	define := func(name, more string, stages ...int) string {
		var b strings.Builder
		fmt.Fprintf(&b, `{"pipeline":{"name":%q,"roleArn":%q,"pipelineType":"V2","artifactStore":{"type":"S3","location":"artifacts"}%s,"stages":[`, name, s.role, more)
		b.WriteString(`{"name":"Source","actions":[{"name":"Get","actionTypeId":{"category":"Source","owner":"AWS","provider":"S3","version":"1"},` +
			`"configuration":{"S3Bucket":"sources","S3ObjectKey":"none.zip","PollForSourceChanges":"false"},"outputArtifacts":[{"name":"tree"}]}]}`)
		for i, n := range stages {
			fmt.Fprintf(&b, `,{"name":"S%d","actions":[`, i)
			for j := range n {
				if j > 0 {
					b.WriteByte(',')
				}
				fmt.Fprintf(&b, `{"name":"A%d","actionTypeId":{"category":"Approval","owner":"AWS","provider":"Manual","version":"1"}}`, j)
			}
			b.WriteString(`]}`)
		}
		b.WriteString(`]}}`)
		return b.String()
	}
	of := func(stages, actions int) (list []int) {
		for range stages {
			list = append(list, actions)
		}
		return list
	}
	many := func(n int, each string) string { return strings.TrimSuffix(strings.Repeat(each+",", n), ",") }
	variables := func(n int, value string) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(`{"name":"v%d","defaultValue":%q}`, i, value))
		}
		return `,"variables":[` + strings.Join(list, ",") + `]`
	}
	want := ""
	for _, c := range []struct {
		name, body string
		// refusal are words of the answer; empty is for one that is taken.
		refusal string
	}{
		{"actions-1000", define("actions-1000", "", append(of(19, 50), 49)...), ""}, // and the source
		{"actions-1001", define("actions-1001", "", of(20, 50)...), "There can only be up to 1000 actions in a pipeline"},
		{"stages-50", define("stages-50", "", of(49, 1)...), ""},
		{"stages-51", define("stages-51", "", of(50, 1)...), "There can only be up to 50 stages in a pipeline"},
		{"stage-51", define("stage-51", "", 51), "50"},
		{"variables-50", define("variables-50", variables(50, strings.Repeat("x", 1000)), 1), ""},
		{"variables-51", define("variables-51", variables(51, "x"), 1), "less than or equal to 50"},
		{"variables-long", define("variables-long", variables(500, strings.Repeat("x", 1001)), 1), "Member must have length less than or equal to"},
		{"triggers", define("triggers", `,"triggers":[`+many(2000, `{"providerType":"CodeStarSourceConnection","gitConfiguration":{"sourceActionName":"Get","push":[{"tags":{"includes":["v"]}}]}}`)+`]`, 1),
			"length less than or equal to 50"},
		{"bytes", define("bytes", variables(2200, strings.Repeat("x", 1000)), 1), "large"},
	} {
		a := w.send(call{target: "CodePipeline_20150709.CreatePipeline", body: c.body})
		if c.refusal == "" {
			if want += "|" + c.name; a.status != 200 {
				t.Errorf("%s, %d bytes: %d %.300s", c.name, len(c.body), a.status, a.body)
			}
		} else if a.status/100 != 4 || !strings.Contains(a.body, c.refusal) {
			t.Errorf("%s, %d bytes: %d %.300s", c.name, len(c.body), a.status, a.body)
		}
		if a.header.Get("Connection") == "close" || c.name == "bytes" {
			w = s.wire(t)
		}
	}
	list := w.send(call{target: "CodePipeline_20150709.ListPipelines", body: "{}"})
	for name := range strings.SplitSeq(strings.TrimPrefix(want, "|"), "|") {
		if !strings.Contains(list.body, `"`+name+`"`) {
			t.Errorf("%s is not there", name)
		}
	}
	if n := strings.Count(list.body, `"name"`); n != strings.Count(want, "|") {
		t.Errorf("%d pipelines, not %s", n, want)
	}
}
