// Package codepipeline answers the CodePipeline API: it checks, authorises and turns
// requests into events for the conductor and states into answers.
package codepipeline

import (
	"context"
	"errors"
	"log/slog"
	"time"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/auth"
	"penstock/internal/conductor"
	"penstock/internal/engine"
	"penstock/internal/fault"
	"penstock/internal/pipeline"
	"penstock/internal/store"
	"penstock/internal/turn"
)

// Deps is what the room works with.
type Deps struct {
	DB        *store.DB
	Conductor *conductor.Conductor
	Limits    pipeline.Limits
	// CanAssume says whether CodePipeline may assume a role for a pipeline's ARN (S-8).
	CanAssume func(ctx context.Context, roleARN, source string) bool
	// CanAssumeFrom says whether one role may assume another (S-40).
	CanAssumeFrom func(ctx context.Context, from, to string) bool
	// ArtifactCredentials makes credentials that can read the inputs and write the outputs
	// of one job and nothing else (S-310).
	ArtifactCredentials func(ctx context.Context, job engine.Job) (api.AWSSessionCredentials, error)
	// BucketRegion gives the Region of an artifact bucket the account can use, which is
	// declared for one, or false (S-11). Nil skips the check.
	BucketRegion func(ctx context.Context, account, declared, bucket string) (region string, ok bool)
	// Sources lists what to watch for the sources of a definition, with what is there now
	// as seen (S-237).
	Sources func(ctx context.Context, tx *store.Tx, account, region string, d *pipeline.Declaration) ([]store.Source, error)
	// PublicURL is the address under which others reach the server, without a slash at the
	// end; webhooks have it in their URLs.
	PublicURL func() string
	// EchoSecrets shows the secrets of webhooks instead of a mask (AQ-1).
	EchoSecrets bool
	GitHub      GitHub
	// Log gets what no caller sees; nil is silence.
	Log *slog.Logger
}

// Room implements the CodePipeline API. It is safe for concurrent use.
type Room struct {
	api.Unimplemented
	Deps
	// deliveries has a place for each delivery to a webhook that is read.
	deliveries *turn.Turns
}

// New makes the room.
func New(d Deps) *Room {
	d.Limits = d.Limits.OrDefault()
	return &Room{Deps: d, deliveries: turn.New(maxDeliveries)}
}

// pipelineARN names a pipeline of the caller's account and Region.
func pipelineARN(c auth.Caller, name string) string {
	return pipeline.PipelineARN(c.Region, c.Account, name)
}

// allow authorises an operation on a pipeline, or on a stage or action of it (S-365).
func allow(ctx context.Context, operation, name string, path ...string) (auth.Caller, error) {
	c := auth.From(ctx)
	arn := pipelineARN(c, name)
	for _, p := range path {
		arn += "/" + p
	}
	return c, auth.Check(ctx, "codepipeline:"+operation, arn)
}

// find gives a pipeline of the caller by name.
func find(ctx context.Context, tx *store.Tx, c auth.Caller, name string) (store.Pipeline, error) {
	p, err := tx.FindPipeline(ctx, c.Account, c.Region, name)
	if errors.Is(err, store.ErrNotFound) {
		return p, notFound(c, name)
	}
	return p, err
}

func notFound(c auth.Caller, name string) error { // M-35
	return fault.New("PipelineNotFoundException", "Account '%s' does not have a pipeline with name '%s'", c.Account, name)
}

// apply applies an event to a pipeline by name.
func (r *Room) apply(ctx context.Context, c auth.Caller, name string, ev engine.Event) (*engine.State, error) {
	var after *engine.State
	err := r.DB.Update(ctx, func(tx *store.Tx) error {
		p, err := find(ctx, tx, c, name)
		if err != nil {
			return err
		}
		after, err = r.Conductor.ApplyTx(ctx, tx, p.ID, ev)
		return err
	})
	return after, err
}

func int32p[T ~int | ~int64](n T) *int32 { return new(int32(n)) }

// timep gives nil for the zero time.
func timep(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
