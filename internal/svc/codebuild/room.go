// Package codebuild is the room of CodeBuild (N-10): projects, and builds that really run.
//
// A build lives on one node. While it runs, its state is in that node's memory and follows
// into the store a moment later; how it ended is in the store before anybody is told. A
// node that died finds its own unfinished builds at its next start and ends them.
package codebuild

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	api "penstock/internal/api/codebuild"
	"penstock/internal/arn"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/runner"
	"penstock/internal/store"
)

// KeepBuilds is how long the history of a build is kept: a year.
const KeepBuilds = 366 * 24 * time.Hour

// Deps are what the room needs of the server.
type Deps struct {
	DB     *store.DB
	Runner runner.Runner
	// AWS gives the configuration of a role's session for calls to S3, Logs and whatever
	// the build calls itself. The context carries the caller whose account and Region count.
	AWS func(ctx context.Context, roleARN, sessionName string) (aws.Config, error)
	// Notify is told the ARN of a build that changed; may be nil.
	Notify func(arn string)
	// Tell keeps an event for EventBridge in the transaction of what it tells of; may be nil.
	Tell func(ctx context.Context, tx *store.Tx, o store.Outgoing) error
	// Work is a folder of the room's own; Run empties it at the start.
	Work string
	// Node names this server among those that share the store; it must survive a restart.
	Node string
	// MaxBuilds is how many builds run at once; 0 is max(4, 2 × cores).
	MaxBuilds int
	// Endpoint becomes AWS_ENDPOINT_URL in builds; "" leaves it out.
	Endpoint string
	// ConsoleURL is this server's address for people, without a slash at the end.
	ConsoleURL string
	Log        *slog.Logger
}

// Room answers the CodeBuild API. Builds run while Run does.
type Room struct {
	api.Unimplemented
	deps  Deps
	creds *credentialServer

	mu      sync.Mutex
	live    map[string]*build // by ARN, until their end is in the store
	queue   []*build          // first come, first served among those of an account
	running int
	turns   map[string]turn // of accounts
	ctx     context.Context // of Run; nil before
	born    time.Time       // no build of this life is older
	buried  chan struct{}   // closed when the builds of the node's last life are ended
	builds  sync.WaitGroup
}

var _ api.Service = (*Room)(nil)

// New makes the room.
func New(deps Deps) *Room {
	if deps.Notify == nil {
		deps.Notify = func(string) {}
	}
	if deps.Tell == nil {
		deps.Tell = func(context.Context, *store.Tx, store.Outgoing) error { return nil }
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	deps.MaxBuilds = cmp.Or(deps.MaxBuilds, max(4, 2*runtime.NumCPU()))
	return &Room{deps: deps, live: map[string]*build{}, turns: map[string]turn{}, creds: newCredentialServer(), buried: make(chan struct{}), born: time.Now().Truncate(time.Microsecond)}
}

var (
	errStopped  = errors.New("the build was stopped")
	errTimeout  = errors.New("the build timed out")
	errQueued   = errors.New("the build timed out in the queue")
	errShutdown = errors.New("the server that ran the build was shut down")
)

// Run ends the builds this node left unfinished, then runs builds until ctx ends; then it
// stops the running ones and returns when none is left. It is called once.
func (r *Room) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer func() {
		stop()
		r.end(ctx)
		r.creds.stop()
	}()
	if err := r.clear(); err != nil {
		return fmt.Errorf("codebuild: %w", err)
	}
	if err := r.bury(ctx); ctx.Err() != nil {
		return nil
	} else if err != nil {
		return fmt.Errorf("codebuild: %w", err)
	}
	close(r.buried)
	r.mu.Lock()
	r.ctx = ctx
	r.dispatch()
	r.mu.Unlock()
	<-ctx.Done()
	return nil
}

// ended says whether Run was told to end.
func (r *Room) ended() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ctx != nil && r.ctx.Err() != nil
}

// end ends what runs and what waits, and has the room take nothing more, as ctx has ended.
func (r *Room) end(ctx context.Context) {
	r.mu.Lock()
	r.ctx = ctx
	for _, b := range r.live {
		b.cancel(errShutdown)
	}
	r.mu.Unlock()
	r.builds.Wait()
}

// clear removes workspaces of builds that are long over.
func (r *Room) clear() error {
	if err := os.MkdirAll(r.deps.Work, 0o711); err != nil {
		return err
	}
	entries, err := os.ReadDir(r.deps.Work)
	if err != nil {
		return err
	}
	for _, e := range entries {
		remove := runner.Remove
		if !e.IsDir() {
			remove = os.Remove
		}
		// What cannot be removed must not keep the server from building.
		if err := remove(filepath.Join(r.deps.Work, e.Name())); err != nil {
			r.deps.Log.Warn("codebuild: left-over not removed", "name", e.Name(), "error", err)
		}
	}
	return nil
}

// bury ends the builds that were running when this node died.
func (r *Room) bury(ctx context.Context) error {
	var dead []store.CodeBuildBuild
	err := r.deps.DB.View(ctx, func(tx *store.Tx) (err error) {
		dead, err = tx.OpenCodeBuildBuilds(ctx, r.deps.Node)
		return err
	})
	if err != nil {
		return err
	}
	for _, row := range dead {
		if !row.Started.Before(r.born) {
			continue // started by a request that was faster than Run
		}
		doc, err := openDoc(row)
		if err != nil {
			return err
		}
		now := time.Now()
		doc.Build.endPhase(now, "FAULT", "INTERNAL_ERROR", "The server that ran this build stopped while the build was in progress. Start the build again.")
		doc.Build.complete(now, "FAULT")
		if err := r.save(ctx, row, doc, true); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		r.deps.Notify(doc.Build.Arn)
	}
	return nil
}

// save keeps a build, and the events of what has changed since it was kept last.
func (r *Room) save(ctx context.Context, row store.CodeBuildBuild, doc *buildDoc, complete bool) error {
	from := doc.Told
	doc.Told = doc.Build.ended()
	text, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	row.Doc, row.Complete = string(text), complete
	return r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		if err := tx.SetCodeBuildBuild(ctx, row); err != nil {
			return err
		}
		return r.tell(ctx, tx, doc, from, complete)
	})
}

func (r *Room) find(arn string) *build {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b := r.live[arn]; b != nil && b.task == nil {
		return b
	}
	return nil
}

// enqueue takes a build that is in the store, or a task, unless the room is about to end.
func (r *Room) enqueue(b *build) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx != nil && r.ctx.Err() != nil {
		return false // the next start of the node ends it
	}
	r.live[b.arn] = b
	r.queue = append(r.queue, b)
	r.builds.Add(1)
	queued := time.Duration(*b.doc.Build.QueuedTimeoutInMinutes) * time.Minute
	b.queueTimer = time.AfterFunc(queued, func() { b.cancel(errQueued) })
	// A build that ends before it started leaves the queue.
	context.AfterFunc(b.ctx, func() { r.unqueue(b) })
	r.dispatch()
	return true
}

// turn is how many builds of an account run, and when the last of them began or ended, so that an
// account with many and long builds does not keep the others waiting.
type turn struct {
	running int
	last    time.Time
}

// turn notes that a build of an account begins or ends; the caller holds mu.
func (r *Room) turn(account string, change int) {
	r.turns[account] = turn{r.turns[account].running + change, time.Now()}
}

// dispatch starts queued builds while there is room, in turn of the accounts that have the fewest
// running; the caller holds mu.
func (r *Room) dispatch() {
	for r.ctx != nil && r.ctx.Err() == nil && r.running < r.deps.MaxBuilds && len(r.queue) > 0 {
		b := slices.MinFunc(r.queue, func(a, b *build) int { // the first of several
			of, other := r.turns[a.row.Account], r.turns[b.row.Account]
			return cmp.Or(cmp.Compare(of.running, other.running), of.last.Compare(other.last))
		})
		r.queue = slices.DeleteFunc(r.queue, func(other *build) bool { return other == b })
		b.queueTimer.Stop()
		r.running++
		r.turn(b.row.Account, 1)
		go func() {
			b.run()
			r.mu.Lock()
			r.running--
			r.turn(b.row.Account, -1)
			r.dispatch()
			r.mu.Unlock()
			r.builds.Done()
		}()
	}
}

// unqueue ends a build that never started.
func (r *Room) unqueue(b *build) {
	r.mu.Lock()
	waiting := false
	for i, q := range r.queue {
		if q == b {
			r.queue = append(r.queue[:i:i], r.queue[i+1:]...)
			waiting = true
			break
		}
	}
	r.mu.Unlock()
	if !waiting {
		return
	}
	b.queueTimer.Stop()
	b.finish()
	r.builds.Done()
}

func projectARN(account, region, name string) string {
	return arn.New("codebuild", region, account, "project/"+name)
}

func buildARN(account, region, id string) string {
	return arn.New("codebuild", region, account, "build/"+id)
}

// check authorises an action on a project; the action on a build asks for its project, as
// in AWS.
func check(ctx context.Context, action, project string) (auth.Caller, error) {
	c := auth.From(ctx)
	return c, auth.Check(ctx, "codebuild:"+action, projectARN(c.Account, c.Region, project))
}

// mayPass says whether the caller may hand a role to CodeBuild (W-44).
func mayPass(ctx context.Context, role string) error {
	return auth.CheckPass(ctx, role, service)
}

// service is the principal that assumes the roles of projects and builds.
const service = "codebuild.amazonaws.com"

func invalid(format string, args ...any) error {
	return fault.New("InvalidInputException", format, args...)
}

func noProject(err error, c auth.Caller, name string) error {
	if errors.Is(err, store.ErrNotFound) {
		return fault.New("ResourceNotFoundException", "Project cannot be found: %s", projectARN(c.Account, c.Region, name))
	}
	return err
}
