// Package codecommit is the CodeCommit room: git repositories over smart HTTP (N-9) and the
// API's operations on them (N-8).
//
// What belongs to an account (names, descriptions, tags, the default branch) is in the store;
// the repositories themselves are bare folders named by their ids, which package git keeps.
package codecommit

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	api "penstock/internal/api/codecommit"
	"penstock/internal/arn"
	"penstock/internal/auth"
	"penstock/internal/courier"
	"penstock/internal/fault"
	"penstock/internal/store"
	"penstock/internal/svc/codecommit/git"
)

// RefUpdate is a branch or tag that was moved, made (Old is "") or deleted (New is "").
type RefUpdate struct {
	Account, Region string
	// Repository is the name, RepositoryARN the ARN.
	Repository, RepositoryARN string
	// Ref is the full name, such as refs/heads/main.
	Ref, Old, New string
	// CallerARN is who did it; "" when it was found at the start of the server.
	CallerARN string
}

// Deps is what the room needs. DB, BasicGit and Git.Dir must be set.
type Deps struct {
	DB *store.DB
	// BasicGit authenticates a git request for a repository by its Basic credentials and
	// gives a context with the caller; auth.Auth has it. The Regions are those with a
	// repository of the name, because git credentials need not name one.
	BasicGit func(r *http.Request, repository string, regions ...string) (context.Context, error)
	// Region is preferred when several have a repository of the name.
	Region string
	// Git says where the repositories are and how much work is allowed.
	Git git.Config
	// PublicURL gives the address of this server, without a slash at the end. It is asked at
	// each call, because the port may be known late.
	PublicURL func() string
	// AWS gives the configuration for calls on behalf of a caller: UploadArchive writes to
	// S3 with it. The context carries the caller, as do those of the calls made with it.
	AWS func(ctx context.Context, caller auth.Caller) (aws.Config, error)
	// TriggerAWS gives the configuration for telling the destination of a trigger, a topic or a
	// function, as this service.
	TriggerAWS func(account, region, repository, destination string) aws.Config
	// Notify tells that a repository changed. It must not block.
	Notify func(arn string)
	// RefsUpdated tells of the refs that moved together, after that is durable and before the mover
	// hears of its success: when RefsUpdated has kept it, an acknowledged push is not forgotten.
	// After a crash it may be told again. An error fails the push or call, though the ref
	// stays moved, and is told again at the next start.
	RefsUpdated func(ctx context.Context, list []RefUpdate) error
	// Record runs what a caller asks for and keeps a record of it, of the source codecommit; nil
	// keeps none. What run gives stands in the record as the answer.
	Record func(ctx context.Context, source, name string, request map[string]any, run func(context.Context) (map[string]any, error)) error
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	Log *slog.Logger
}

// Room answers the operations and the git requests. It is safe for concurrent use.
type Room struct {
	api.Unimplemented
	deps    Deps
	git     *git.Dir
	courier *courier.Courier
	uploads uploads
	work    sync.WaitGroup
	ctx     context.Context
	cancel  context.CancelFunc
}

var _ api.Service = (*Room)(nil)

// New opens the folder of repositories. Close gives it back.
func New(ctx context.Context, deps Deps) (*Room, error) {
	if deps.Log == nil {
		deps.Log = slog.Default()
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Notify == nil {
		deps.Notify = func(string) {}
	}
	if deps.RefsUpdated == nil {
		deps.RefsUpdated = func(context.Context, []RefUpdate) error { return nil }
	}
	if deps.Record == nil {
		deps.Record = func(ctx context.Context, _, _ string, _ map[string]any, run func(context.Context) (map[string]any, error)) error {
			_, err := run(ctx)
			return err
		}
	}
	if deps.PublicURL == nil {
		deps.PublicURL = func() string { return "" }
	}
	if deps.Git.Log == nil {
		deps.Git.Log = deps.Log
	}
	dir, err := git.Open(ctx, deps.Git)
	if err != nil {
		return nil, err
	}
	r := &Room{deps: deps, git: dir}
	r.courier = courier.New(courier.Config{DB: deps.DB, Queue: queue, Deliver: r.deliver, Deadline: triggerTime, Again: again, Log: deps.Log})
	r.uploads.all = map[string]*upload{}
	r.ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return r, nil
}

// Close ends the work in the background. Requests must have ended before.
func (r *Room) Close() error {
	r.cancel()
	r.work.Wait()
	return r.git.Close()
}

// A repository name is at most 100 of these, and neither a path step nor with ".git" at its
// end, which URLs may carry.
var nameForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[\w.-]{1,100}$`) })

func validName(name string) bool {
	return nameForm().MatchString(name) && strings.Trim(name, ".") != "" && !strings.HasSuffix(strings.ToLower(name), ".git")
}

func checkName(name string) error {
	switch {
	case name == "":
		return fault.New("RepositoryNameRequiredException", "A repository name is required.")
	case !validName(name):
		return fault.New("InvalidRepositoryNameException",
			"The repository name %q is not valid. A name has 1 to 100 letters, digits, periods, underscores and dashes, and does not end in .git.", name)
	}
	return nil
}

func arnOf(account, region, name string) string {
	return arn.New("codecommit", region, account, name)
}

// place is a repository as an operation works on it.
type place struct {
	store.CodeCommitRepository
	git *git.Repo
}

func (p *place) arn() string { return arnOf(p.Account, p.Region, p.Name) }

// open checks that the caller may do the action on a repository and finds it.
func (r *Room) open(ctx context.Context, action, name string) (*place, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	c := auth.From(ctx)
	if err := auth.Check(ctx, "codecommit:"+action, arnOf(c.Account, c.Region, name)); err != nil {
		return nil, err
	}
	return r.find(ctx, c.Account, c.Region, name)
}

func (r *Room) find(ctx context.Context, account, region, name string) (*place, error) {
	p := &place{}
	err := r.deps.DB.View(ctx, func(tx *store.Tx) (err error) {
		p.CodeCommitRepository, err = tx.GetCodeCommitRepository(ctx, account, region, name)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, absentRepository(name)
	}
	if err != nil {
		return nil, err
	}
	p.git, err = r.git.Repo(p.ID)
	return p, err
}

func absentRepository(name string) error {
	return fault.New("RepositoryDoesNotExistException", "%s does not exist", name)
}

// asFault turns what a client can mend of package git's errors into faults; others stay what
// they are.
func asFault(err error) error {
	switch {
	case errors.Is(err, git.ErrBusy):
		return fault.New("ThrottlingException", "Too many git processes are running. Try again in a moment.")
	case errors.Is(err, git.ErrGone):
		return fault.New("RepositoryDoesNotExistException", "The repository was deleted in the meantime.")
	}
	return err
}

// W-26: a page begins behind the last key of the one before, so that what is added or
// removed meanwhile neither repeats nor hides others.
func pageToken(kind, key string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(kind + "\x00" + key))
}

func parsePageToken(kind, token string) (key string, err error) {
	if token == "" {
		return "", nil
	}
	data, derr := base64.RawURLEncoding.DecodeString(token)
	k, key, ok := strings.Cut(string(data), "\x00")
	if derr != nil || !ok || k != kind || key == "" {
		return "", fault.New("InvalidContinuationTokenException", "The continuation token is not valid. Use the one of the answer before, with the same request.")
	}
	return key, nil
}
