package codeconnections

import (
	"cmp"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"penstock/internal/pipeline"
)

// happening is an event with what finds its files where the provider does not tell them.
type happening struct {
	pipeline.GitEvent
	// before and after are the commits between which files changed; sinceFork says that
	// those count which after changed since it left before's history.
	before, after string
	sinceFork     bool
}

// maxFiles is how many changed files are kept of an event: more than are looked at (S-263).
const maxFiles = 101

// maxChanges bounds the events that are taken from one delivery.
const maxChanges = 20

// names cuts a full ref name; the kind is 0 if it is neither a branch nor a tag.
func names(ref string) (kind pipeline.GitEventKind, name string) {
	if name, ok := strings.CutPrefix(ref, "refs/heads/"); ok {
		return pipeline.GitPush, name
	}
	if name, ok := strings.CutPrefix(ref, "refs/tags/"); ok {
		return pipeline.GitTag, name
	}
	return 0, ""
}

// nothing says whether an id is how Git writes the id of nothing.
func nothing(id string) bool { return strings.Trim(id, "0") == "" }

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t, _ = time.Parse("2006-01-02 15:04:05 MST", text)
	}
	return t
}

// pushed makes the event of a push to a ref.
func pushed(ref, before, after string) (happening, bool) {
	kind, name := names(ref)
	h := happening{GitEvent: pipeline.GitEvent{Kind: kind, Created: nothing(before)}, before: before, after: after}
	if kind == pipeline.GitTag {
		h.Tag = name
	} else {
		h.Branch = name
	}
	if !nothing(after) {
		h.Commit = after
	}
	return h, kind != 0 && name != ""
}

// commit is how GitHub and GitLab tell of a commit.
type commit struct {
	ID        string `json:"id"`
	Message   string `json:"message"`
	Timestamp string `json:"timestamp"`
	Author    struct {
		Name     string `json:"name"`
		Email    string `json:"email"`
		Username string `json:"username"`
	} `json:"author"`
	Added    []string `json:"added"`
	Modified []string `json:"modified"`
	Removed  []string `json:"removed"`
}

// describe takes what a commit tells.
func (h *happening) describe(c commit) {
	h.Message, h.AuthorName, h.AuthorEmail, h.AuthorID, h.AuthorDate = c.Message, c.Author.Name, c.Author.Email, c.Author.Username, at(c.Timestamp)
}

// collect takes the files of all commits of a push, if they are all there (S-262, S-263).
func (h *happening) collect(commits []commit, total int) {
	seen := map[string]bool{}
	for _, c := range commits {
		for _, list := range [][]string{c.Added, c.Modified, c.Removed} {
			for _, file := range list {
				if !seen[file] && len(h.Files) < maxFiles {
					seen[file] = true
					h.Files = append(h.Files, file)
				}
			}
		}
	}
	h.FilesKnown = len(commits) == total
}

// github reads what GitHub, GitHub Enterprise Server and those that imitate them send.
func github(event string, body []byte) ([]happening, error) {
	switch event {
	case "push":
		var p struct {
			Ref, Before, After string
			Forced             bool
			Commits            []commit
			HeadCommit         *commit `json:"head_commit"`
			Repository         struct {
				FullName string `json:"full_name"`
			}
		}
		if err := json.Unmarshal(body, &p); err != nil {
			return nil, err
		}
		h, ok := pushed(p.Ref, p.Before, p.After)
		if !ok {
			return nil, nil
		}
		h.Repository = p.Repository.FullName
		if p.HeadCommit != nil {
			h.describe(*p.HeadCommit)
			if h.Kind == pipeline.GitTag && p.HeadCommit.ID != "" { // after is the id of an annotated tag
				h.Commit = p.HeadCommit.ID
			}
		}
		if !p.Forced { // a branch that was turned back has changes in no commit
			h.collect(p.Commits, len(p.Commits))
			h.FilesKnown = len(p.Commits) > 0 && len(p.Commits) < 20
		}
		return []happening{h}, nil
	case "pull_request":
		var p struct {
			Action      string
			Number      int64
			PullRequest struct {
				Title string
				Head  struct{ Ref, SHA string }
				Base  struct{ Ref, SHA string }
				User  struct {
					Login string
					ID    int64
				}
			} `json:"pull_request"`
			Repository struct {
				FullName string `json:"full_name"`
			}
		}
		if err := json.Unmarshal(body, &p); err != nil {
			return nil, err
		}
		action := map[string]string{"opened": pipeline.PullRequestOpen, "reopened": pipeline.PullRequestOpen, "synchronize": pipeline.PullRequestUpdated,
			"synchronized": pipeline.PullRequestUpdated, "closed": pipeline.PullRequestClosed}[p.Action]
		r := p.PullRequest
		return request(action, p.Repository.FullName, strconv.FormatInt(p.Number, 10), r.Title, r.Head.Ref, r.Head.SHA, r.Base.Ref, r.Base.SHA, r.User.Login), nil
	}
	return nil, nil
}

// request makes the event of a pull request, none if its action is not one of S-266.
func request(action, repository, number, title, source, head, destination, base, author string) []happening {
	if action == "" {
		return nil
	}
	return []happening{{GitEvent: pipeline.GitEvent{Kind: pipeline.GitPullRequest, Action: action, Repository: repository, Number: number, Title: title,
		SourceBranch: source, Branch: destination, Commit: head, AuthorName: author, AuthorID: author}, before: base, after: head, sinceFork: true}}
}

// gitlab reads what GitLab sends.
func gitlab(event string, body []byte) ([]happening, error) {
	switch event {
	case "Push Hook", "Tag Push Hook":
		var p struct {
			Ref, Before, After string
			Commits            []commit
			Total              int    `json:"total_commits_count"`
			Checkout           string `json:"checkout_sha"`
			UserUsername       string `json:"user_username"`
			Project            struct {
				Path string `json:"path_with_namespace"`
			}
		}
		if err := json.Unmarshal(body, &p); err != nil {
			return nil, err
		}
		h, ok := pushed(p.Ref, p.Before, p.After)
		if !ok {
			return nil, nil
		}
		h.Repository = p.Project.Path
		if h.Commit != "" && p.Checkout != "" { // after is the id of an annotated tag
			h.Commit = p.Checkout
		}
		for _, c := range p.Commits {
			if c.ID == h.Commit {
				h.describe(c)
			}
		}
		h.AuthorID = cmp.Or(h.AuthorID, p.UserUsername)
		h.collect(p.Commits, p.Total)
		h.FilesKnown = h.FilesKnown && p.Total > 0
		return []happening{h}, nil
	case "Merge Request Hook":
		var p struct {
			User    struct{ Username string }
			Project struct {
				Path string `json:"path_with_namespace"`
			}
			Attributes struct {
				IID        int64
				Title      string
				Action     string
				OldRev     string `json:"oldrev"`
				Source     string `json:"source_branch"`
				Target     string `json:"target_branch"`
				LastCommit commit `json:"last_commit"`
			} `json:"object_attributes"`
		}
		if err := json.Unmarshal(body, &p); err != nil {
			return nil, err
		}
		a := p.Attributes
		action := map[string]string{"open": pipeline.PullRequestOpen, "reopen": pipeline.PullRequestOpen, "close": pipeline.PullRequestClosed,
			"merge": pipeline.PullRequestClosed}[a.Action]
		if a.Action == "update" && a.OldRev != "" { // other updates are of labels and texts
			action = pipeline.PullRequestUpdated
		}
		list := request(action, p.Project.Path, strconv.FormatInt(a.IID, 10), a.Title, a.Source, a.LastCommit.ID, a.Target, "", p.User.Username)
		for i := range list {
			list[i].describe(a.LastCommit)
		}
		return list, nil
	}
	return nil, nil
}

// bitbucketRef is a branch or tag with what it is at.
type bitbucketRef struct {
	Type, Name string
	Target     struct {
		Hash, Message, Date string
		Author              struct {
			Raw  string
			User struct {
				DisplayName string `json:"display_name"`
				UUID        string
			}
		}
	}
}

// bitbucket reads what Bitbucket Cloud sends.
func bitbucket(event string, body []byte) ([]happening, error) {
	var p struct {
		Repository struct {
			FullName string `json:"full_name"`
		}
		Push struct {
			Changes []struct{ Old, New *bitbucketRef }
		}
		PullRequest struct {
			ID                  int64
			Title               string
			Source, Destination struct {
				Branch struct{ Name string }
				Commit struct{ Hash string }
			}
			Author struct {
				DisplayName string `json:"display_name"`
			}
		} `json:"pullrequest"`
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return nil, err
	}
	if event == "repo:push" {
		var list []happening
		for _, c := range p.Push.Changes[:min(len(p.Push.Changes), maxChanges)] {
			ref, before, after := c.New, "", ""
			if c.Old != nil {
				before = c.Old.Target.Hash
			}
			if c.New != nil {
				after = c.New.Target.Hash
			} else if ref = c.Old; ref == nil {
				continue
			}
			h, ok := pushed(map[string]string{"branch": "refs/heads/", "tag": "refs/tags/"}[ref.Type]+ref.Name, before, after)
			if !ok {
				continue
			}
			t := ref.Target
			h.Repository, h.Message, h.AuthorDate, h.AuthorID = p.Repository.FullName, t.Message, at(t.Date), t.Author.User.UUID
			name, email, _ := strings.Cut(strings.TrimSuffix(t.Author.Raw, ">"), " <")
			h.AuthorName, h.AuthorEmail = cmp.Or(t.Author.User.DisplayName, name), email
			list = append(list, h)
		}
		return list, nil
	}
	r := p.PullRequest
	action := map[string]string{"pullrequest:created": pipeline.PullRequestOpen, "pullrequest:updated": pipeline.PullRequestUpdated,
		"pullrequest:fulfilled": pipeline.PullRequestClosed}[event] // S-266: CLOSED is merged only
	return request(action, p.Repository.FullName, strconv.FormatInt(r.ID, 10), r.Title, r.Source.Branch.Name, r.Source.Commit.Hash,
		r.Destination.Branch.Name, r.Destination.Commit.Hash, r.Author.DisplayName), nil
}
