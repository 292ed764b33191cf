package codeconnections

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"penstock/internal/pipeline"
)

const (
	one  = "1111111111111111111111111111111111111111"
	two  = "2222222222222222222222222222222222222222"
	nil0 = "0000000000000000000000000000000000000000"
)

// S-262, S-263, S-266: what the providers send, in one form.
func TestPayloads(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		d           dialect
		event, body string
		want        string
	}{
		{"push", githubDialect, "push", `{"ref":"refs/heads/a/b","before":"` + two + `","after":"` + one + `","repository":{"full_name":"o/r"},"head_commit":{"id":"` + one +
			`","message":"m","timestamp":"2026-01-02T03:04:05+01:00","author":{"name":"N","email":"e","username":"u"}},"commits":[{"added":["x"],"modified":["y"]},{"modified":["x"],"removed":["z"]}]}`,
			"1 a/b  " + one + " false [x y z] true o/r m N e u 2026-01-02T02:04:05Z"},
		{"new branch", githubDialect, "push", `{"ref":"refs/heads/a","before":"` + nil0 + `","after":"` + one + `","repository":{"full_name":"o/r"}}`, "1 a  " + one + " true [] false o/r     -"},
		{"deleted", githubDialect, "push", `{"ref":"refs/heads/a","before":"` + one + `","after":"` + nil0 + `","repository":{"full_name":"o/r"}}`, "1 a   false [] false o/r     -"},
		{"forced", githubDialect, "push", `{"ref":"refs/heads/a","forced":true,"before":"` + two + `","after":"` + one + `","repository":{"full_name":"o/r"},"commits":[{"added":["x"]}]}`, "1 a  " + one + " false [] false o/r     -"},
		{"annotated tag", githubDialect, "push", `{"ref":"refs/tags/v1","before":"` + nil0 + `","after":"` + two + `","repository":{"full_name":"o/r"},"head_commit":{"id":"` + one + `"}}`, "2  v1 " + one + " true [] false o/r     -"},
		{"request", githubDialect, "pull_request", `{"action":"opened","number":7,"pull_request":{"title":"T","head":{"ref":"f","sha":"` + one + `"},"base":{"ref":"main","sha":"` + two + `"},"user":{"login":"u"}},"repository":{"full_name":"o/r"}}`,
			"OPEN 7 f main " + one + " T o/r u"},
		{"request updated", githubDialect, "pull_request", `{"action":"synchronize","number":7}`, "UPDATED 7     "},
		{"request closed", githubDialect, "pull_request", `{"action":"closed","number":7}`, "CLOSED 7     "},
		{"request labelled", githubDialect, "pull_request", `{"action":"labeled","number":7}`, ""},
		{"star", githubDialect, "star", `{}`, ""},
		{"gitlab push", gitlabDialect, "Push Hook", `{"ref":"refs/heads/a","before":"` + two + `","after":"` + one + `","checkout_sha":"` + one + `","total_commits_count":1,"user_username":"u","project":{"path_with_namespace":"g/s/p"},"commits":[{"id":"` + one +
			`","message":"m","timestamp":"2026-01-02T03:04:05+01:00","author":{"name":"N","email":"e"},"added":["x"]}]}`, "1 a  " + one + " false [x] true g/s/p m N e u 2026-01-02T02:04:05Z"},
		{"gitlab long push", gitlabDialect, "Push Hook", `{"ref":"refs/heads/a","before":"` + two + `","after":"` + one + `","total_commits_count":21,"project":{"path_with_namespace":"p"},"commits":[{"added":["x"]}]}`, "1 a  " + one + " false [x] false p     -"},
		{"gitlab tag", gitlabDialect, "Tag Push Hook", `{"ref":"refs/tags/v1","before":"` + nil0 + `","after":"` + two + `","checkout_sha":"` + one + `","project":{"path_with_namespace":"p"}}`, "2  v1 " + one + " true [] false p     -"},
		{"gitlab request", gitlabDialect, "Merge Request Hook", `{"user":{"username":"u"},"project":{"path_with_namespace":"p"},"object_attributes":{"iid":3,"title":"T","action":"merge","source_branch":"f","target_branch":"main","last_commit":{"id":"` + one + `","author":{"name":"u"}}}}`,
			"CLOSED 3 f main " + one + " T p u"},
		{"gitlab request relabelled", gitlabDialect, "Merge Request Hook", `{"object_attributes":{"iid":3,"action":"update"}}`, ""},
		{"gitlab request updated", gitlabDialect, "Merge Request Hook", `{"object_attributes":{"iid":3,"action":"update","oldrev":"` + two + `"}}`, "UPDATED 3     "},
		{"bitbucket push", dialects["Bitbucket"], "repo:push", `{"repository":{"full_name":"o/r"},"push":{"changes":[{"old":{"type":"branch","name":"a","target":{"hash":"` + two + `"}},"new":{"type":"branch","name":"a","target":{"hash":"` + one +
			`","message":"m","date":"2026-01-02T03:04:05+01:00","author":{"raw":"N <e>"}}}},{"new":null,"old":{"type":"tag","name":"v1","target":{"hash":"` + one + `"}}},{},{"new":{"type":"bookmark","name":"x"}}]}}`,
			"1 a  " + one + " false [] false o/r m N e  2026-01-02T02:04:05Z|2  v1  false [] false o/r     -"},
		{"bitbucket merged", dialects["Bitbucket"], "pullrequest:fulfilled", `{"repository":{"full_name":"o/r"},"pullrequest":{"id":5,"title":"T","source":{"branch":{"name":"f"},"commit":{"hash":"` + one + `"}},"destination":{"branch":{"name":"main"}},"author":{"display_name":"u"}}}`,
			"CLOSED 5 f main " + one + " T o/r u"},
		{"bitbucket declined", dialects["Bitbucket"], "pullrequest:rejected", `{"pullrequest":{"id":5}}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			list, err := c.d.read(c.event, []byte(c.body))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range list {
				if e.Kind == pipeline.GitPullRequest {
					got = append(got, fmt.Sprintln(e.Action, e.Number, e.SourceBranch, e.Branch, e.Commit, e.Title, e.Repository, e.AuthorName))
					continue
				}
				when := "-"
				if !e.AuthorDate.IsZero() {
					when = e.AuthorDate.UTC().Format("2006-01-02T15:04:05Z")
				}
				got = append(got, fmt.Sprintln(int(e.Kind), e.Branch, e.Tag, e.Commit, e.Created, e.Files, e.FilesKnown, e.Repository, e.Message, e.AuthorName, e.AuthorEmail, e.AuthorID, when))
			}
			if text := strings.TrimRight(strings.ReplaceAll(strings.Join(got, "|"), "\n", ""), " "); text != strings.TrimRight(c.want, " ") {
				t.Errorf("\ngot  %s\nwant %s", text, c.want)
			}
		})
	}
}

// S-263: no more files are kept than are looked at.
func TestPayloadFilesBounded(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&b, `"f%d",`, i)
	}
	list, err := github("push", []byte(`{"ref":"refs/heads/a","after":"`+one+`","before":"`+two+`","commits":[{"added":[`+b.String()+`"x"]}]}`))
	if err != nil || len(list[0].Files) != maxFiles {
		t.Errorf("%d files, %v", len(list[0].Files), err)
	}
}

// S-266: of any payload, whoever sent it, come texts that can be stored and told.
func FuzzPayloads(f *testing.F) {
	for _, body := range []string{`{}`, `[]`, `{"ref":"refs/heads/"}`, `{"push":{"changes":[null,{"new":{}}]}}`, `{"pull_request":null,"action":"opened"}`,
		`{"object_attributes":{"action":"open","iid":-1}}`, `{"commits":[{"added":["\u0000","\ud800"]}],"ref":"refs/heads/x"}`, "\xff",
		`{"ref":"refs/heads/a\u0000","REF":"refs/tags/\ud800","after":"` + one + `","repository":{"full_name":"o/r"},"project":{"path_with_namespace":"o/r"},"head_commit":{"message":"` + "\xff" + `","timestamp":"9999-12-31T23:59:59-23:59"}}`,
		`{"repository":{"full_name":"o/r"},"push":{"changes":[{"new":{"type":"tag","name":"\u0000","target":{"hash":"` + two + `","date":"0000-01-01T00:00:00+23:59"}}}]},"pullrequest":{"id":9223372036854775807}}`,
		`{"number":1e1000}`, `{"number":-0,"action":"closed","x":1e1000,"repository":{"full_name":"o/r"}}`} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		for event, d := range map[string]dialect{"push": githubDialect, "pull_request": githubDialect, "Push Hook": gitlabDialect, "Merge Request Hook": gitlabDialect,
			"repo:push": dialects["Bitbucket"], "pullrequest:created": dialects["Bitbucket"]} {
			list, err := d.read(event, []byte(body))
			if err != nil {
				continue
			}
			if len(list) > maxChanges {
				t.Errorf("%s: %d events", event, len(list))
			}
			for _, h := range list {
				if len(h.Files) > maxFiles {
					t.Errorf("%s: %d files", event, len(h.Files))
				}
				if !valid(&h.GitEvent) {
					continue
				}
				for _, text := range []string{h.Branch, h.Tag, h.SourceBranch, h.Title, h.Message, h.AuthorName, h.AuthorEmail, h.AuthorID, h.Repository, h.Commit, h.Number, h.Action} {
					if strings.Contains(text, "\x00") || !utf8.ValidString(text) {
						t.Errorf("%s: %q", event, text)
					}
				}
				var told map[string]string
				if err := json.Unmarshal([]byte(h.Detail()), &told); err != nil || told["commit-id"] != h.Commit {
					t.Errorf("%s: %v in %s", event, err, h.Detail())
				}
			}
		}
	})
}
