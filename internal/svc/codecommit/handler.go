package codecommit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
	"penstock/internal/svc/codecommit/git"
)

// gitPrefix is where the repositories are (N-9).
const gitPrefix = "/v1/repos/"

// actions are what a git service needs of the caller's policies.
var actions = map[string]string{
	git.UploadPack:  "codecommit:GitPull",
	git.ReceivePack: "codecommit:GitPush",
}

// gitRequest is what a URL below the prefix asks for.
type gitRequest struct {
	name    string
	service string
	refs    bool
}

// parseGit reads a URL. A status other than 0 says why it is none, with a text.
func parseGit(req *http.Request) (g gitRequest, status int, text string) {
	rest, ok := strings.CutPrefix(req.URL.Path, gitPrefix)
	name, what, _ := strings.Cut(rest, "/")
	g.name = strings.TrimSuffix(name, ".git")
	if !ok || !validName(g.name) {
		return g, http.StatusNotFound, "There is no such repository."
	}
	switch {
	case what == "info/refs":
		g.service, g.refs = req.URL.Query().Get("service"), true
		if actions[g.service] == "" {
			return g, http.StatusForbidden, "Only the smart HTTP protocol of git is spoken here (git 1.6.6 or later)."
		}
		if req.Method != http.MethodGet {
			return g, http.StatusMethodNotAllowed, "This address is read with GET."
		}
	case actions[what] != "":
		g.service = what
		if req.Method != http.MethodPost {
			return g, http.StatusMethodNotAllowed, "This address takes POST."
		}
		if req.Header.Get("Content-Type") != "application/x-"+what+"-request" {
			return g, http.StatusUnsupportedMediaType, "The content type must be application/x-" + what + "-request."
		}
	default:
		return g, http.StatusNotFound, "This address is for git. Clone it: git clone URL/v1/repos/" + g.name
	}
	return g, 0, ""
}

// ServeGit answers the requests of git clients below /v1/repos/.
func (r *Room) ServeGit(w http.ResponseWriter, req *http.Request) {
	g, status, text := parseGit(req)
	if status != 0 {
		refuse(w, status, "%s", text)
		return
	}
	if req.Header.Get("Authorization") == "" {
		unauthorized(w, "Credentials are needed: an access key id and its secret key, or those of the aws codecommit credential-helper.")
		return
	}
	regions, err := r.regions(req.Context(), g.name)
	if err != nil {
		r.fail(w, req, err, false)
		return
	}
	ctx, err := r.deps.BasicGit(req, g.name, regions...)
	if err != nil {
		r.fail(w, req, err, true)
		return
	}
	req = req.WithContext(ctx)
	c := auth.From(ctx)
	if err := auth.Check(ctx, actions[g.service], arnOf(c.Account, c.Region, g.name)); err != nil {
		if g.service == git.ReceivePack {
			_ = r.record(ctx, g.name, func(context.Context) (map[string]any, error) { return nil, err })
		}
		r.fail(w, req, err, false)
		return
	}
	p, err := r.find(ctx, c.Account, c.Region, g.name)
	if err != nil {
		r.fail(w, req, err, false)
		return
	}
	if g.service == git.ReceivePack && r.deps.DB.Full() {
		// What is pushed would take the room that is kept for what cannot wait. git shows the text.
		refuse(w, http.StatusServiceUnavailable, "The disk of the server is full. Push again when there is space.")
		return
	}
	switch {
	case g.refs:
		p.git.ServeRefs(w, req, g.service)
	case g.service == git.UploadPack:
		p.git.ServeUploadPack(w, req)
	default:
		r.receive(ctx, w, req, p)
	}
}

// receive takes a push. Its record is durable before git moves anything, because git moves refs
// in files (W-41).
func (r *Room) receive(ctx context.Context, w http.ResponseWriter, req *http.Request, p *place) {
	begun := false
	err := r.record(ctx, p.Name, func(ctx context.Context) (map[string]any, error) {
		if err := r.deps.DB.Intend(ctx); err != nil {
			return nil, err
		}
		begun = true
		references := []any{}
		p.git.ServeReceivePack(w, req.WithContext(ctx), func(ctx context.Context, changes []git.Change) error {
			for _, c := range changes {
				references = append(references, map[string]any{"ref": c.Ref, "commit": c.New, "previousCommit": c.Old})
			}
			return r.moved(ctx, p, changes)
		})
		return map[string]any{"references": references}, nil
	})
	switch {
	case err == nil:
	case begun: // git has answered
		r.deps.Log.ErrorContext(ctx, "codecommit: a push is not recorded", "error", err)
	default:
		r.fail(w, req, err, false)
	}
}

func (r *Room) record(ctx context.Context, repository string, run func(context.Context) (map[string]any, error)) error {
	return r.deps.Record(ctx, "codecommit", "GitPush", map[string]any{"repositoryName": repository}, run)
}

// regions lists where there are repositories of a name, the preferred Region first.
func (r *Room) regions(ctx context.Context, name string) (regions []string, err error) {
	err = r.deps.DB.View(ctx, func(tx *store.Tx) (err error) {
		regions, err = tx.CodeCommitRegions(ctx, name)
		return err
	})
	if i := slices.Index(regions, r.deps.Region); i > 0 {
		regions[0], regions[i] = regions[i], regions[0]
	}
	return regions, err
}

// fail answers with a line that git shows. identity says that it is not known who is
// calling: git then asks for other credentials.
func (r *Room) fail(w http.ResponseWriter, req *http.Request, err error, identity bool) {
	var f *fault.Error
	if !errors.As(err, &f) {
		r.deps.Log.ErrorContext(req.Context(), "codecommit: git request", "error", err)
		refuse(w, http.StatusInternalServerError, "The request failed inside the server.")
		return
	}
	switch {
	case identity:
		unauthorized(w, f.Message)
	case f.Code == "RepositoryDoesNotExistException":
		refuse(w, http.StatusNotFound, "The repository %s", f.Message)
	default:
		refuse(w, http.StatusForbidden, "%s", f.Message)
	}
}

func unauthorized(w http.ResponseWriter, text string) {
	w.Header().Set("WWW-Authenticate", `Basic realm="CodeCommit"`)
	refuse(w, http.StatusUnauthorized, "%s", text)
}

func refuse(w http.ResponseWriter, status int, format string, args ...any) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, format+"\n", args...)
}
