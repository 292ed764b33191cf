// Package lambda is the room of AWS Lambda (N-16): functions with versions and aliases, and
// invocations that really run them, as processes of this machine over the Runtime API.
//
// A process runs one invocation at a time and is kept for a while for the next one. What is to
// be run later is a row before the caller is told so, and a courier sees to it.
package lambda

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	api "penstock/internal/api/lambda"
	"penstock/internal/arn"
	"penstock/internal/auth"
	"penstock/internal/blob"
	"penstock/internal/courier"
	"penstock/internal/fault"
	"penstock/internal/runner"
	"penstock/internal/store"
)

// Principal is the service that assumes the roles of functions.
const Principal = "lambda.amazonaws.com"

// Deps are what the room needs of the server. All but Log, MaxRunning and KeepIdle are needed.
type Deps struct {
	DB     *store.DB
	Blobs  blob.Store
	Runner runner.Runner
	// RoleAWS gives the configuration of a role's session, for logs and for the function itself,
	// or an error when the role cannot be assumed. The context carries the caller whose account
	// and Region count.
	RoleAWS func(ctx context.Context, roleARN, sessionName string) (aws.Config, error)
	// CallerAWS gives the configuration for calls on behalf of the caller in ctx.
	CallerAWS func(ctx context.Context, caller auth.Caller) (aws.Config, error)
	// CanAssume says whether this service may assume the role for the function source.
	CanAssume func(ctx context.Context, roleARN, source string) bool
	// Work is a folder of the room's own; Run empties it at the start.
	Work string
	// Path are the folders in which interpreters are looked for.
	Path string
	// Endpoint becomes AWS_ENDPOINT_URL in functions. It is asked at each start of one.
	Endpoint func() string
	// MaxRunning is how many invocations run at once; 0 is max(16, 8 × cores).
	MaxRunning int
	// KeepIdle is how long a process without work is kept; 0 is five minutes.
	KeepIdle time.Duration
	Log      *slog.Logger
}

// Room answers the Lambda API. Functions run while Run does. It is safe for concurrent use.
type Room struct {
	api.Unimplemented
	deps    Deps
	courier *courier.Courier
	slots   chan struct{}
	ready   chan struct{} // closed when Run has begun

	mu     sync.Mutex
	live   map[*instance]bool
	idle   map[string][]*instance // by the key of what they run
	closed bool
	ends   sync.WaitGroup // of instances
}

var _ api.Service = (*Room)(nil)

// New makes the room.
func New(deps Deps) *Room {
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	deps.MaxRunning = cmp.Or(deps.MaxRunning, max(16, 8*runtime.NumCPU()))
	deps.KeepIdle = cmp.Or(deps.KeepIdle, 5*time.Minute)
	r := &Room{deps: deps, slots: make(chan struct{}, deps.MaxRunning), ready: make(chan struct{}),
		live: map[*instance]bool{}, idle: map[string][]*instance{}}
	r.courier = courier.New(courier.Config{DB: deps.DB, Queue: queue, Deliver: r.deliver, Deadline: longest, Again: again, Log: deps.Log})
	return r
}

// Run runs functions until ctx ends; then it ends those that run and returns when no process
// is left. It is called once.
func (r *Room) Run(ctx context.Context) error {
	defer r.end()
	if err := r.clear(); err != nil {
		return fmt.Errorf("lambda: %w", err)
	}
	close(r.ready)
	return r.courier.Run(ctx)
}

// clear removes what processes of the last life have left.
func (r *Room) clear() error {
	if err := os.MkdirAll(r.deps.Work, 0o711); err != nil {
		return err
	}
	entries, err := os.ReadDir(r.deps.Work)
	if err != nil {
		return err
	}
	for _, e := range entries {
		// What cannot be removed must not keep the server from running functions.
		if err := runner.Remove(filepath.Join(r.deps.Work, e.Name())); err != nil {
			r.deps.Log.Warn("lambda: left-over not removed", "name", e.Name(), "error", err)
		}
	}
	return nil
}

// end ends every process and has the room start none any more.
func (r *Room) end() {
	r.mu.Lock()
	r.closed = true
	var all []*instance
	for i := range r.live {
		all = append(all, i)
	}
	r.mu.Unlock()
	for _, i := range all {
		go i.close()
	}
	r.ends.Wait()
}

// name is a function as a request names it.
type name struct {
	account, region, function string
	// qualifier is a version, an alias, $LATEST or "".
	qualifier string
}

var nameForm = regexp.MustCompile(`^(?:arn:aws[a-zA-Z-]*:lambda:([^:]+):)?(?:(\d{12}):)?(?:function:)?([a-zA-Z0-9-_]+)(?::(\$LATEST|[a-zA-Z0-9-_]+))?$`)

// named reads the name of a function: a name, a part of an ARN or an ARN, with a qualifier in
// it or beside it. Functions of other accounts and Regions do not exist.
func named(ctx context.Context, text, qualifier string) (name, error) {
	c := auth.From(ctx)
	n := name{account: c.Account, region: c.Region, qualifier: qualifier}
	m := nameForm.FindStringSubmatch(text)
	if m == nil {
		return n, invalid("The function name '%s' is neither a name nor an ARN of a function", text)
	}
	n.function = m[3]
	if m[1] != "" && m[1] != c.Region || m[2] != "" && m[2] != c.Account {
		return n, fault.New("ResourceNotFoundException", "Function not found: %s", text)
	}
	if m[4] != "" {
		if qualifier != "" && qualifier != m[4] {
			return n, invalid("The derived qualifier from the function name does not match the specified qualifier.")
		}
		n.qualifier = m[4]
	}
	return n, nil
}

// bare is the ARN of the function itself, arn that with the qualifier.
func (n name) bare() string {
	return arn.New("lambda", n.region, n.account, "function:"+n.function)
}

func (n name) arn() string {
	if n.qualifier == "" {
		return n.bare()
	}
	return n.bare() + ":" + n.qualifier
}

// check authorises an action on the function.
func (n name) check(ctx context.Context, action string) error {
	return auth.Check(ctx, "lambda:"+action, n.arn())
}

func (n name) notFound() error {
	return fault.New("ResourceNotFoundException", "Function not found: %s", n.arn())
}

// missing gives the refusal in place of store's ErrNotFound.
func (n name) missing(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return n.notFound()
	}
	return err
}

// number gives the version that a qualifier names, false for an alias.
func number(qualifier string) (int64, bool) {
	if qualifier == "" || qualifier == latest {
		return 0, true
	}
	n, err := strconv.ParseInt(qualifier, 10, 64)
	return n, err == nil && n > 0
}

const latest = "$LATEST"

func versionText(number int64) string {
	if number == 0 {
		return latest
	}
	return strconv.FormatInt(number, 10)
}

func invalid(format string, args ...any) error {
	return fault.New("InvalidParameterValueException", format, args...)
}

// pageSize is how many of a list are given when the caller does not say.
func pageSize(asked *int32) int {
	if asked == nil || *asked > 50 {
		return 50
	}
	return int(*asked)
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// unsupported refuses an option that would have to do something.
func unsupported(what string) error {
	return invalid("%s is not offered by this penstock server: leave it out", strings.TrimSpace(what))
}
