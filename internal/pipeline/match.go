package pipeline

import (
	"fmt"
	"slices"
	"strings"
)

// maxExamined is how many changed files are looked at (S-263).
const maxExamined = 100

// Matches says whether a Git event starts the pipeline by a trigger, and why: what matched,
// or for every filter of the event's kind what kept it from matching. branch is the
// BranchName of the trigger's source action. The event is one of the action's repository.
func Matches(t TriggerDeclaration, branch string, e GitEvent) (bool, string) {
	git := &t.GitConfiguration
	if e.Commit == "" {
		return false, "the " + e.Subject() + " was deleted, and there is nothing to take"
	}
	if len(git.Push) == 0 && len(git.PullRequest) == 0 { // S-268
		return MatchesBranch(branch, e)
	}
	var reasons []string
	try := func(name string, number int, problem string) bool {
		if problem != "" {
			reasons = append(reasons, fmt.Sprintf("%s filter %d: %s", name, number+1, problem))
		}
		return problem == ""
	}
	if e.Kind == GitPullRequest { // S-259: any filter of the event's kind
		for i, f := range git.PullRequest {
			if try("pull request", i, f.refuses(e)) {
				return true, fmt.Sprintf("pull request filter %d matches the %s", i+1, e.Subject())
			}
		}
		if len(git.PullRequest) == 0 {
			return false, "the trigger has no filter for pull requests"
		}
		return false, strings.Join(reasons, "; ")
	}
	for i, f := range git.Push {
		if try("push", i, f.refuses(e)) {
			return true, fmt.Sprintf("push filter %d matches the %s", i+1, e.Subject())
		}
	}
	if len(git.Push) == 0 {
		return false, "the trigger has no filter for pushes"
	}
	return false, strings.Join(reasons, "; ")
}

// MatchesBranch is Matches without a trigger: every push to the branch starts the pipeline
// (S-242, S-268).
func MatchesBranch(branch string, e GitEvent) (bool, string) {
	switch {
	case e.Commit == "":
		return false, "the " + e.Subject() + " was deleted, and there is nothing to take"
	case e.Kind != GitPush:
		return false, "without filters only pushes to a branch start the pipeline, and this was the " + e.Subject()
	case e.Branch != branch:
		return false, fmt.Sprintf("the push was to the branch '%s', and the source action follows '%s'", e.Branch, branch)
	}
	return true, fmt.Sprintf("a push to the branch '%s'", branch)
}

// Subject names the event in a sentence, such as "branch 'main'".
func (e GitEvent) Subject() string {
	switch e.Kind {
	case GitTag:
		return "tag '" + e.Tag + "'"
	case GitPullRequest:
		return "pull request " + e.Number + " (" + e.Action + ") to the branch '" + e.Branch + "'"
	}
	return "branch '" + e.Branch + "'"
}

// refuses says why a push or a tag does not match; "" if it does. All criteria must hold
// (S-260).
func (f GitPushFilter) refuses(e GitEvent) string {
	switch { // S-264, Q-23
	case f.Tags != nil && e.Kind != GitTag:
		return "it filters tags, and this was a push to a branch"
	case f.Tags == nil && e.Kind == GitTag:
		return "it does not filter tags, so it reacts to pushes to branches only"
	case f.Tags != nil && f.Branches != nil:
		return "it filters both tags and branches, and no push is both"
	case f.Tags != nil:
		if problem := f.Tags.refuses("tag", e.Tag); problem != "" {
			return problem
		}
		return f.FilePaths.refusesFiles(e)
	}
	if problem := f.Branches.refuses("branch", e.Branch); problem != "" {
		return problem
	}
	return f.FilePaths.refusesFiles(e)
}

// refuses says why a pull request does not match (S-257, S-260, S-265); "" if it does.
func (f GitPullRequestFilter) refuses(e GitEvent) string {
	if len(f.Events) > 0 && !slices.Contains(f.Events, e.Action) {
		return fmt.Sprintf("the event %s is none of %s", e.Action, strings.Join(f.Events, ", "))
	}
	if problem := f.Branches.refuses("destination branch", e.Branch); problem != "" {
		return problem
	}
	return f.FilePaths.refusesFiles(e)
}

// sieve is a criterion with its patterns compiled.
type sieve struct {
	includes, excludes []Glob
	f                  *GitFilter
}

func (f *GitFilter) compile() (s sieve, problem string) {
	s.f = f
	for _, side := range []struct {
		patterns []string
		to       *[]Glob
	}{{f.Includes, &s.includes}, {f.Excludes, &s.excludes}} {
		for _, pattern := range side.patterns {
			g, err := CompileGlob(pattern)
			if err != nil {
				return s, err.Error()
			}
			*side.to = append(*side.to, g)
		}
	}
	return s, ""
}

// refuses says why a name does not pass: it must match an include, if there are any, and
// no exclude (S-261).
func (s sieve) refuses(what, name string) string {
	for i, g := range s.excludes {
		if g.Match(name) {
			return fmt.Sprintf("the %s '%s' is excluded by '%s'", what, name, s.f.Excludes[i])
		}
	}
	if len(s.includes) == 0 || slices.ContainsFunc(s.includes, func(g Glob) bool { return g.Match(name) }) {
		return ""
	}
	return fmt.Sprintf("the %s '%s' matches none of '%s'", what, name, strings.Join(s.f.Includes, "', '"))
}

// refuses is a nil criterion's too: it lets everything pass.
func (f *GitFilter) refuses(what, name string) string {
	if f == nil {
		return ""
	}
	s, problem := f.compile()
	if problem != "" {
		return problem
	}
	return s.refuses(what, name)
}

// refusesFiles judges each changed file alone; one that passes is enough (S-262, S-263).
func (f *GitFilter) refusesFiles(e GitEvent) string {
	if f == nil {
		return ""
	}
	s, problem := f.compile()
	switch {
	case problem != "":
		return problem
	case e.Kind != GitPullRequest && e.Created:
		return "the push created the " + e.Subject() + ", so it is not known which files changed, and the filter has file paths"
	case !e.FilesKnown:
		return "it is not known which files changed, and the filter has file paths"
	case len(e.Files) == 0:
		return "no file changed, and the filter has file paths"
	}
	first := ""
	for _, file := range e.Files[:min(len(e.Files), maxExamined)] {
		problem := s.refuses("file", file)
		if problem == "" {
			return ""
		}
		if first == "" {
			first = problem
		}
	}
	switch n := len(e.Files); {
	case n > maxExamined:
		return fmt.Sprintf("none of the first %d of %d changed files passes: %s, …", maxExamined, n, first)
	case n > 1:
		return fmt.Sprintf("none of the %d changed files passes: %s, …", n, first)
	}
	return first
}
