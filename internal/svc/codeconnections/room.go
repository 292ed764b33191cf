// Package codeconnections answers for connections to Git providers: the API under both of
// its names, the handshake that makes a connection usable, the fetching of revisions for
// source actions, and the webhooks of the providers.
package codeconnections

import (
	"context"
	"errors"
	"log/slog"

	"github.com/aws/aws-sdk-go-v2/aws"

	"penstock/internal/api"
	codeconnectionsapi "penstock/internal/api/codeconnections"
	"penstock/internal/arn"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/pipeline"
	"penstock/internal/store"
	"penstock/internal/svc/codeconnections/fetch"
	"penstock/internal/turn"
)

// The names of the service. ARNs keep the one through which they were made (N-13).
const (
	newName = "codeconnections"
	oldName = "codestar-connections"
)

// Deps is what the room works with.
type Deps struct {
	DB *store.DB
	// Fetch gets revisions from providers.
	Fetch *fetch.Fetcher
	// AWS gives a configuration that acts as the caller and has no more rights.
	AWS func(ctx context.Context, caller auth.Caller) (aws.Config, error)
	// PublicURL is the address of the server for others, without a slash at the end.
	PublicURL func() string
	// Event tells of what happened in a repository behind a connection; delivery names the
	// message it came with. When it returns nil, whatever it starts has started; the lines
	// say what that is, and for everything else why not.
	Event func(ctx context.Context, delivery string, files Files, e pipeline.GitEvent) (lines []string, err error)
	Log   *slog.Logger
}

// Files finds the files that changed by an event which does not tell them.
type Files func(ctx context.Context) ([]string, error)

// Room has the connections. It is safe for concurrent use.
type Room struct {
	Deps
	// reading has a place for each delivery that is read.
	reading *turn.Turns
}

// New makes the room.
func New(d Deps) *Room {
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	return &Room{Deps: d, reading: turn.New(maxReading)}
}

// Services are the two names under which the room is called; they have one model.
func (r *Room) Services() []*api.Service {
	now := codeconnectionsapi.New(&face{Room: r, name: newName})
	old := codeconnectionsapi.New(&face{Room: r, name: oldName})
	old.Name, old.ID, old.Version = "codestarconnections", "CodeStar connections", "2019-12-01"
	old.Scope, old.Target = oldName, "CodeStar_connections_20191201"
	return []*api.Service{now, old}
}

// face is the room under one of its names.
type face struct {
	codeconnectionsapi.Unimplemented
	*Room
	name string
}

// Limits of the service for an account and Region.
const (
	maxConnections = 250
	maxHosts       = 50
	maxTags        = 200
)

// The states of connections and hosts.
const (
	pending   = "PENDING"
	available = "AVAILABLE"
)

func (f *face) arn(c auth.Caller, kind, id string) string {
	return arn.New(f.name, c.Region, c.Account, kind+"/"+id)
}

// allow authorises an operation on a resource. A policy may name it by either name of the
// service; old ones only know the old one.
func allow(ctx context.Context, operation, arn string) (auth.Caller, error) {
	c := auth.From(ctx)
	err := auth.Check(ctx, newName+":"+operation, arn)
	if err != nil && auth.Check(ctx, oldName+":"+operation, arn) == nil {
		err = nil
	}
	return c, err
}

// own says whether the caller's account and Region have the resource, if it exists.
func own(c auth.Caller, text string) bool {
	a, _ := arn.Parse(text)
	return (a.Service == newName || a.Service == oldName) && a.Region == c.Region && a.Account == c.Account
}

func notFound(arn string) error {
	return fault.New("ResourceNotFoundException", "Resource %s not found", arn)
}

// connection gives a connection of the caller.
func connection(ctx context.Context, tx *store.Tx, c auth.Caller, arn string) (store.Connection, error) {
	found, err := store.Connection{}, store.ErrNotFound
	if own(c, arn) {
		found, err = tx.Connection(ctx, arn)
	}
	if errors.Is(err, store.ErrNotFound) {
		err = notFound(arn)
	}
	return found, err
}

// host gives a host of the caller.
func host(ctx context.Context, tx *store.Tx, c auth.Caller, arn string) (store.Host, error) {
	found, err := store.Host{}, store.ErrNotFound
	if own(c, arn) {
		found, err = tx.Host(ctx, arn)
	}
	if errors.Is(err, store.ErrNotFound) {
		err = notFound(arn)
	}
	return found, err
}
