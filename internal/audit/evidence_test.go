package audit

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// W-41: evidence is believed if its records are sealed, say what the file says they do, and have
// every approval; each thing that somebody may change in the file is found.
func TestEvidence(t *testing.T) {
	t.Parallel()
	text := func(who, status string) string {
		return fmt.Sprintf(`{"eventName":"PutApprovalResult","eventTime":"2026-01-02T03:04:05Z","userIdentity":{"arn":%q},"sourceIPAddress":"192.0.2.1",`+
			`"requestParameters":{"pipelineName":"p","stageName":"S","actionName":"A","result":{"status":%q,"summary":"fine"}},"additionalEventData":{"pipelineExecutionId":"e1"}}`, who, status)
	}
	made := func() *Evidence {
		var link Hash
		run := Run{Seal: Seal{Account: "111111111111", First: 1, Last: 2, At: time.UnixMicro(1)}}
		for i, s := range []string{text("arn:ann", "Approved"), text("arn:bob", "Approved")} {
			link = Link(link, Digest(s))
			run.Records = append(run.Records, Record{Seq: int64(i + 1), Hash: link, Text: s})
		}
		run.Hash = link
		run.Sign(key(1))
		e := &Evidence{Format: EvidenceFormat, Account: "111111111111", Pipeline: "p", Execution: "e1",
			History: History{Actions: []Result{{Stage: "S", Action: "A", Category: "Approval", Status: "Succeeded", By: "arn:bob"}}}}
		for _, r := range run.Records {
			p, err := Prove(run.Seal, run.Records, r.Seq)
			if err != nil {
				t.Fatal(err)
			}
			e.Records = append(e.Records, ProvedRecord{r.Text, p})
		}
		if err := e.Tell(); err != nil {
			t.Fatal(err)
		}
		return e
	}
	if d := made().Deeds[1]; d.By != "arn:bob" || d.Execution != "e1" || d.Stage != "S" || d.Status != "Approved" || d.Summary != "fine" || d.From != "192.0.2.1" || d.Seq != 2 {
		t.Errorf("%+v", d)
	}
	trusted := []string{PublicKey(key(1))}
	for _, c := range []struct {
		want   string
		change func(*Evidence)
	}{
		{"", func(*Evidence) {}},
		{"the format is", func(e *Evidence) { e.Format = "2" }},
		{"record 1 is one of account 111111111111", func(e *Evidence) { e.Account = "222222222222" }},
		{"deed 1 is not what", func(e *Evidence) { e.Deeds[0].Summary = "no" }},
		{"deed 2 is not what", func(e *Evidence) { e.Deeds = e.Deeds[:1] }},
		{"deed 2 is not what", func(e *Evidence) { e.Records = e.Records[:1] }},
		{"record 1 was changed", func(e *Evidence) { e.Records[0].Text = text("arn:eve", "Approved") }},
		{"record 1 is not in its place", func(e *Evidence) { e.Records[0], e.Records[1] = e.Records[1], e.Records[0] }},
		{"no record says that arn:bob approved", func(e *Evidence) { e.Records, e.Deeds = e.Records[:1], e.Deeds[:1] }},
		{"no record says that arn:eve approved", func(e *Evidence) { e.History.Actions[0].By = "arn:eve" }},
		{"no record says that arn:bob approved", func(e *Evidence) { e.Execution = "e2" }},
	} {
		e := made()
		c.change(e)
		if err := e.Check(trusted); c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
	e := made()
	e.History.Definition, e.History.Trigger = json.RawMessage(`{"name":"<p>"}`), "a & b\u2028"
	file, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	for _, same := range []string{string(file), strings.ReplaceAll(string(file), `\u003c`, "<"), strings.ReplaceAll(string(file), "  ", "\t") + "\n"} {
		if read, err := ReadEvidence([]byte(same)); err != nil || read.Check(trusted) != nil {
			t.Errorf("%v: %s", err, same)
		}
	}
	for _, forged := range []string{
		string(file) + `{"by":"arn:eve"}`, string(file) + "]",
		strings.Replace(string(file), `"deeds": [`, `"deeds": [{"by": "arn:eve"}], "DEEDS": [`, 1),
		strings.Replace(string(file), `"by": "arn:bob"`, `"by": "arn:eve", "by": "arn:bob"`, 1),
		strings.Replace(string(file), `"by": "arn:bob"`, `"by": "arn:bob", "approvedBy": "arn:eve"`, 1),
		strings.Replace(string(file), `"arn:bob"`, `"arn:\u0062ob"`, 1),
	} {
		if _, err := ReadEvidence([]byte(forged)); err == nil {
			t.Error("read", forged)
		}
	}
	if err := made().Check([]string{PublicKey(key(2))}); err == nil || !strings.Contains(err.Error(), "which is not trusted: it is none of those given with --key, nor") {
		t.Error(err)
	}
}
