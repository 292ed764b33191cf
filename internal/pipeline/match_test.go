package pipeline

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

func push(branch string, files ...string) GitEvent {
	return GitEvent{Kind: GitPush, Branch: branch, Commit: "c1", Files: files, FilesKnown: true}
}

func tag(name string) GitEvent { return GitEvent{Kind: GitTag, Tag: name, Commit: "c1"} }

func request(action, source, destination string, files ...string) GitEvent {
	return GitEvent{Kind: GitPullRequest, Action: action, SourceBranch: source, Branch: destination, Number: "7", Commit: "c1", Files: files, FilesKnown: true}
}

func lists(patterns ...string) *GitFilter {
	f := &GitFilter{}
	for _, p := range patterns {
		if rest, ok := strings.CutPrefix(p, "not "); ok {
			f.Excludes = append(f.Excludes, rest)
		} else {
			f.Includes = append(f.Includes, p)
		}
	}
	return f
}

// S-255…S-268: which events start a pipeline; the reason names what decided.
func TestMatches(t *testing.T) {
	t.Parallel()
	pushes := func(f ...GitPushFilter) GitConfiguration { return GitConfiguration{Push: f} }
	requests := func(f ...GitPullRequestFilter) GitConfiguration { return GitConfiguration{PullRequest: f} }
	many := make([]string, 101)
	for i := range many {
		many[i] = fmt.Sprintf("docs/%d.md", i)
	}
	many[100] = "src/main.go"
	created := push("main", "src/a")
	created.Created = true
	unknown := push("main")
	unknown.FilesKnown = false
	deleted := push("main")
	deleted.Commit = ""
	for _, c := range []struct {
		rule   string
		git    GitConfiguration
		event  GitEvent
		want   bool
		reason string
	}{
		{"S-268 any push to BranchName", GitConfiguration{}, push("main"), true, "'main'"},
		{"S-268 another branch", GitConfiguration{}, push("dev"), false, "follows 'main'"},
		{"S-268 a tag", GitConfiguration{}, tag("v1"), false, "only pushes to a branch"},
		{"S-261 includes", pushes(GitPushFilter{Branches: lists("main", "release/*")}), push("release/1"), true, "push filter 1"},
		{"S-261 no include", pushes(GitPushFilter{Branches: lists("main", "release/*")}), push("release/a/b"), false, "push filter 1: the branch 'release/a/b' matches none of 'main', 'release/*'"},
		{"S-261 excludes win", pushes(GitPushFilter{Branches: lists("**", "not feature/**")}), push("feature/x"), false, "the branch 'feature/x' is excluded by 'feature/**'"},
		{"S-261 excludes alone", pushes(GitPushFilter{Branches: lists("not feature/**")}), push("main"), true, ""},
		{"S-259 filters are alternatives", pushes(GitPushFilter{Branches: lists("a")}, GitPushFilter{Branches: lists("b")}), push("b"), true, "push filter 2"},
		{"S-259 every reason is told", pushes(GitPushFilter{Branches: lists("a")}, GitPushFilter{Tags: lists("*")}), push("b"), false, "push filter 1: the branch 'b' matches none of 'a'; push filter 2: it filters tags"},
		{"S-260 criteria are conjunctive", pushes(GitPushFilter{Branches: lists("main"), FilePaths: lists("src/**")}), push("dev", "src/a"), false, "the branch 'dev'"},
		{"S-262 one passing file suffices", pushes(GitPushFilter{FilePaths: lists("**", "not docs/**")}), push("main", "docs/a", "src/a"), true, ""},
		{"S-262 each file alone", pushes(GitPushFilter{FilePaths: lists("src/**", "not **.md")}), push("main", "src/a.md", "docs/b"), false, "none of the 2 changed files passes: the file 'src/a.md' is excluded by '**.md'"},
		{"S-262 one file", pushes(GitPushFilter{FilePaths: lists("src/**")}), push("main", "x"), false, "the file 'x' matches none of 'src/**'"},
		{"S-262 no file", pushes(GitPushFilter{FilePaths: lists("**")}), push("main"), false, "no file changed"},
		{"S-263 the first hundred", pushes(GitPushFilter{FilePaths: lists("src/**")}), push("main", many...), false, "first 100 of 101"},
		{"S-263 within the first hundred", pushes(GitPushFilter{FilePaths: lists("src/**")}), push("main", many[1:]...), true, ""},
		{"S-263 a new branch", pushes(GitPushFilter{FilePaths: lists("src/**")}), created, false, "created the branch 'main'"},
		{"S-263 a new branch without paths", pushes(GitPushFilter{Branches: lists("main")}), created, true, ""},
		{"S-263 files not known", pushes(GitPushFilter{FilePaths: lists("src/**")}), unknown, false, "not known which files"},
		{"S-264 tags", pushes(GitPushFilter{Tags: lists("v*")}), tag("v1"), true, "tag 'v1'"},
		{"S-264 another tag", pushes(GitPushFilter{Tags: lists("v*")}), tag("x"), false, "the tag 'x' matches none of 'v*'"},
		{"S-264 no branch for tags", pushes(GitPushFilter{Tags: lists("*")}), push("v1"), false, "it filters tags"},
		{"S-264 no tag for branches", pushes(GitPushFilter{Branches: lists("**")}), tag("v1"), false, "does not filter tags"},
		{"S-264 no tag for an empty filter", pushes(GitPushFilter{}), tag("v1"), false, "does not filter tags"},
		{"S-256 an empty filter", pushes(GitPushFilter{}), push("any/branch"), true, ""},
		{"Q-23 tags and branches", pushes(GitPushFilter{Tags: lists("*"), Branches: lists("*")}), tag("v1"), false, "no push is both"},
		{"S-257 events", requests(GitPullRequestFilter{Events: []string{"OPEN", "UPDATED"}}), request("CLOSED", "f", "main"), false, "the event CLOSED is none of OPEN, UPDATED"},
		{"S-257 no events are all", requests(GitPullRequestFilter{}), request("CLOSED", "f", "main"), true, ""},
		{"S-265 the destination", requests(GitPullRequestFilter{Branches: lists("main")}), request("OPEN", "f", "main"), true, "pull request 7 (OPEN)"},
		{"S-265 not the source", requests(GitPullRequestFilter{Branches: lists("f")}), request("OPEN", "f", "main"), false, "the destination branch 'main'"},
		{"S-257 files of a request", requests(GitPullRequestFilter{FilePaths: lists("src/**")}), request("OPEN", "f", "main", "src/x"), true, ""},
		{"S-267 a push is no request", requests(GitPullRequestFilter{}), push("main"), false, "no filter for pushes"},
		{"S-267 a request is no push", pushes(GitPushFilter{}), request("OPEN", "f", "main"), false, "no filter for pull requests"},
		{"S-93 a deleted branch", pushes(GitPushFilter{}), deleted, false, "was deleted"},
		{"S-270 a pattern that is none", pushes(GitPushFilter{Branches: lists("**", "not [a")}), push("main"), false, "no closing bracket"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			got, reason := Matches(TriggerDeclaration{GitConfiguration: c.git}, "main", c.event)
			if got != c.want || !strings.Contains(reason, c.reason) {
				t.Errorf("%v: %s", got, reason)
			}
		})
	}
}

// S-93, S-347: the detail of a trigger is JSON with the keys of the pipeline's events.
func TestGitEventDetail(t *testing.T) {
	t.Parallel()
	e := push("main")
	e.Repository, e.Provider, e.Connection, e.Message = "o/r", "GitHub", "arn:aws:codeconnections:us-east-1:111111111111:connection/x", "a\"b"+strings.Repeat("é", 5000)
	e.AuthorName, e.AuthorEmail, e.AuthorID, e.AuthorDate = "A", "a@x", "1", time.Unix(0, 0)
	var d map[string]string
	if err := json.Unmarshal([]byte(e.Detail()), &d); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"author-display-name": "A", "full-repository-name": "o/r", "provider-type": "GitHub", "author-email": "a@x",
		"author-date": "1970-01-01T00:00:00Z", "branch-name": "main", "commit-id": "c1", "connection-arn": e.Connection, "author-id": "1"} {
		if d[key] != want {
			t.Errorf("%s is %q", key, d[key])
		}
	}
	if n := len([]rune(d["commit-message"])); n != maxTold || len(d) != 10 {
		t.Errorf("%d characters of message, %d keys", n, len(d))
	}
	if d := tag("v1").Detail(); !strings.Contains(d, `"tag-name":"v1"`) || strings.Contains(d, "branch-name") {
		t.Error(d)
	}
	if d := request("OPEN", "f", "main").Detail(); !strings.Contains(d, `"destination-branch-name":"main","source-branch-name":"f","pull-request-id":"7"`) {
		t.Error(d)
	}
}
