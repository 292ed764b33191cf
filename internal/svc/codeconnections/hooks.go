package codeconnections

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"penstock/internal/pipeline"
	"penstock/internal/store"
)

const (
	// maxDelivery is what GitHub sends at most.
	maxDelivery = 25 << 20
	// maxReading bounds the deliveries that are read at one time, three quarters of them of one account.
	maxReading = 8
	// turnTime is how long a delivery waits for others, readTime how long a sender may take
	// for its body, and workTime how long the starts may take; the sender may leave before.
	turnTime = 10 * time.Second
	readTime = 30 * time.Second
	workTime = 5 * time.Minute
)

// HookPath is where providers deliver events; the rest of the path names a connection.
const HookPath = "/webhooks/connections/"

func (r *Room) hookURL(c store.Connection) string {
	base := ""
	if r.PublicURL != nil {
		base = r.PublicURL()
	}
	return base + HookPath + c.Hook
}

// A dialect is how a provider delivers.
type dialect struct {
	event, delivery string // headers
	genuine         func(secret string, h http.Header, body []byte) bool
	read            func(event string, body []byte) ([]happening, error)
}

var (
	githubDialect = dialect{"X-Github-Event", "X-Github-Delivery", signedBy("X-Hub-Signature-256"), github}
	gitlabDialect = dialect{"X-Gitlab-Event", "X-Gitlab-Event-Uuid", hasToken, gitlab}
	dialects      = map[string]dialect{
		"GitHub": githubDialect, "GitHubEnterpriseServer": githubDialect, "GitLab": gitlabDialect, "GitLabSelfManaged": gitlabDialect,
		"Bitbucket": {"X-Event-Key", "X-Request-Uuid", signedBy("X-Hub-Signature"), bitbucket},
	}
)

// signedBy verifies a SHA-256 signature of the body in a header.
func signedBy(header string) func(string, http.Header, []byte) bool {
	return func(secret string, h http.Header, body []byte) bool {
		text, ok := strings.CutPrefix(h.Get(header), "sha256=")
		got, err := hex.DecodeString(text)
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		return ok && err == nil && hmac.Equal(got, mac.Sum(nil))
	}
}

// hasToken verifies that the sender knows the secret.
func hasToken(secret string, h http.Header, _ []byte) bool {
	return subtle.ConstantTimeCompare([]byte(secret), []byte(h.Get("X-Gitlab-Token"))) == 1
}

var hookForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Z0-9]{1,100}$`) })

// ServeHook takes deliveries of Git providers: 200 with a line for each pipeline and event,
// 403 if the delivery is not genuine, 404 if there is no such connection.
func (r *Room) ServeHook(w http.ResponseWriter, req *http.Request) {
	status, text, err := r.take(w, req)
	if err != nil {
		r.Log.ErrorContext(req.Context(), "connections: a delivery failed", slog.Any("error", err))
		status, text = http.StatusInternalServerError, "The delivery failed inside the server; send it again."
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n")
}

func (r *Room) take(w http.ResponseWriter, req *http.Request) (int, string, error) {
	if req.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return http.StatusMethodNotAllowed, "Webhooks take POST only.", nil
	}
	var c store.Connection
	name := strings.TrimPrefix(req.URL.Path, HookPath)
	err := r.DB.View(req.Context(), func(tx *store.Tx) (err error) {
		if !hookForm().MatchString(name) {
			return store.ErrNotFound
		}
		c, err = tx.ConnectionByHook(req.Context(), name)
		return err
	})
	if errors.Is(err, store.ErrNotFound) || err == nil && c.Status != available {
		return http.StatusNotFound, "There is no such webhook.", nil
	}
	if err != nil {
		return 0, "", err
	}
	d, ok := dialects[c.ProviderType]
	if !ok {
		return http.StatusNotFound, "Deliveries of " + c.ProviderType + " are not understood.", nil
	}
	waiting, stop := context.WithTimeout(req.Context(), turnTime)
	defer stop()
	leave, err := r.reading.Take(waiting, c.Account)
	if err != nil {
		w.Header().Set("Retry-After", "5")
		return http.StatusServiceUnavailable, "Too many deliveries at once; send it again.", nil
	}
	defer leave()
	// Not every connection has a deadline; the size is bounded in any case.
	wire := http.NewResponseController(w)
	_ = wire.SetReadDeadline(time.Now().Add(readTime))
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxDelivery))
	_ = wire.SetReadDeadline(time.Time{})
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return http.StatusRequestEntityTooLarge, "The delivery is too large.", nil
	}
	if err != nil {
		return http.StatusBadRequest, "The delivery could not be read.", nil
	}
	if c.HookSecret == "" || !d.genuine(string(c.HookSecret), req.Header, body) {
		return http.StatusForbidden, "The delivery is not signed with the webhook secret of the connection.", nil
	}
	return r.act(req, c, d, body)
}

// act hands on what a genuine delivery tells.
func (r *Room) act(req *http.Request, c store.Connection, d dialect, body []byte) (int, string, error) {
	event := req.Header.Get(d.event)
	if kind, _, err := mime.ParseMediaType(req.Header.Get("Content-Type")); err == nil && kind == "application/x-www-form-urlencoded" {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return http.StatusBadRequest, "The form of the delivery could not be read.", nil
		}
		body = []byte(form.Get("payload"))
	}
	if event == "ping" {
		return http.StatusOK, "pong", nil
	}
	list, err := d.read(event, body)
	if err != nil {
		return http.StatusBadRequest, "The delivery is not what " + c.ProviderType + " sends.", nil
	}
	if len(list) == 0 {
		return http.StatusOK, fmt.Sprintf("ignored: the event '%.100s' starts nothing", event), nil
	}
	// The sender may not wait for the end; what it has told must not be lost for that.
	ctx, stop := context.WithTimeout(context.WithoutCancel(req.Context()), workTime)
	defer stop()
	var lines []string
	for i, h := range list {
		h.Connection, h.Provider = c.ARN, c.ProviderType
		if !valid(&h.GitEvent) {
			return http.StatusBadRequest, "The delivery names no repository, or a commit that is none.", nil
		}
		delivery := req.Header.Get(d.delivery)
		if delivery != "" {
			delivery += "/" + strconv.Itoa(i)
		}
		said, err := r.Event(ctx, delivery, r.files(c, h), h.GitEvent)
		if err != nil {
			return 0, "", err
		}
		if len(said) == 0 {
			said = []string{"no pipeline has a source action for the repository '" + h.Repository + "' with this connection"}
		}
		lines = append(lines, said...)
	}
	return http.StatusOK, strings.Join(lines, "\n"), nil
}

var commitForm = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)

// valid bounds what an event tells and makes its texts storable.
func valid(e *pipeline.GitEvent) bool {
	for _, text := range []*string{&e.Branch, &e.Tag, &e.SourceBranch, &e.Title, &e.Message, &e.AuthorName, &e.AuthorEmail, &e.AuthorID} {
		*text = strings.ReplaceAll(strings.ToValidUTF8(*text, "\uFFFD"), "\x00", "")
	}
	return e.Repository != "" && len(e.Repository) <= 256 && len(e.Branch) <= 1024 && len(e.Tag) <= 1024 && len(e.SourceBranch) <= 1024 &&
		repositoryForm.MatchString(e.Repository) && (e.Commit == "" || commitForm.MatchString(e.Commit))
}

// Refs gives the commits that the branches and tags of a repository are at, by their full names.
func (r *Room) Refs(ctx context.Context, c store.Connection, repository string) (map[string]string, error) {
	from, err := remote(c, repository)
	if err != nil {
		return nil, err
	}
	return r.Fetch.Refs(ctx, from)
}

// Between finds the files that changed from one commit to another.
func (r *Room) Between(c store.Connection, repository, before, after string) Files {
	h := happening{before: before, after: after}
	h.Repository = repository
	return r.files(c, h)
}

// files finds the changed files of an event by fetching, where the provider does not tell
// them.
func (r *Room) files(c store.Connection, h happening) Files {
	return func(ctx context.Context) ([]string, error) {
		from, err := remote(c, h.Repository)
		if err != nil {
			return nil, err
		}
		before := h.before
		if before == "" && h.sinceFork { // GitLab does not say what the destination is at
			if before, err = r.Fetch.Head(ctx, from, h.Branch); err != nil {
				return nil, err
			}
		}
		return r.Fetch.Changed(ctx, from, before, h.after, h.sinceFork, maxFiles)
	}
}
