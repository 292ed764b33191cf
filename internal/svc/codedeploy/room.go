// Package codedeploy is the room of CodeDeploy (N-12): applications, deployment groups and
// deployments to on-premises instances, whose agents fetch their commands here.
//
// A deployment is driven by what its instances report. Whatever follows from a report is decided
// and stored in the transaction that stores the report; nothing about a deployment is in memory but
// who waits for a command.
package codedeploy

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	api "penstock/internal/api/codedeploy"
	commands "penstock/internal/api/codedeploycommands"
	"penstock/internal/arn"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// KeepDeployments is how long a deployment is kept that is over: a year.
const KeepDeployments = 366 * 24 * time.Hour

// The limits of the service.
const (
	maxApplications = 1000 // of an account and Region
	maxGroups       = 1000 // of an application
	maxConfigs      = 200  // of an account and Region
	maxRegistered   = 1000 // instances of an account and Region, and so of a deployment
	maxBatch        = 100  // things that are asked for at once
	maxTargets      = 25   // targets that are asked for at once
	maxTags         = 50   // of a resource; of an instance it is 10
	maxDescription  = 256
	pageSize        = 100
)

// Deps are what the room needs of the server.
type Deps struct {
	DB *store.DB
	// Notify is told the DeploymentARN of a deployment that changed; may be nil.
	Notify func(arn string)
	// Tell keeps an event for EventBridge in the transaction of what it tells of; may be nil.
	Tell func(ctx context.Context, tx *store.Tx, o store.Outgoing) error
}

// Room answers the CodeDeploy API and the agents of the instances. It is safe for concurrent use.
type Room struct {
	api.Unimplemented
	deps    Deps
	signer  *signer
	waiting waiting
}

var (
	_ api.Service      = (*Room)(nil)
	_ commands.Service = (*Room)(nil)
)

// New makes the room. Run must be running for silent instances to be noticed.
func New(ctx context.Context, deps Deps) (*Room, error) {
	if deps.Notify == nil {
		deps.Notify = func(string) {}
	}
	if deps.Tell == nil {
		deps.Tell = func(context.Context, *store.Tx, store.Outgoing) error { return nil }
	}
	s, err := newSigner(ctx, deps.DB)
	if err != nil {
		return nil, fmt.Errorf("codedeploy: %w", err)
	}
	return &Room{deps: deps, signer: s}, nil
}

// batch is how many rows are looked at at a time.
const batch = 100

// Run wakes the agents that wait here for commands that another node has made, and fails targets
// whose instance is silent, until ctx ends; then it ends all waiting.
func (r *Room) Run(ctx context.Context) error {
	defer r.EndPolls()
	r.deps.DB.Look(ctx, store.TopicCommands, r.look)
	return nil
}

// look does what is due and says when something is due next.
func (r *Room) look(ctx context.Context) (time.Duration, error) {
	var offered, due []store.CodeDeployTarget
	var now time.Time
	if err := r.deps.DB.View(ctx, func(tx *store.Tx) (err error) {
		now = tx.Now()
		if offered, err = tx.OfferedCodeDeployInstances(ctx, maxRegistered); err == nil {
			due, err = tx.DueCodeDeployTargets(ctx, batch)
		}
		return err
	}); err != nil {
		return 0, err
	}
	for _, t := range offered {
		if !t.Offer.After(now) {
			r.waiting.wake(t.Account, t.Region, t.Instance)
		}
	}
	for _, row := range due {
		if wait := row.Due.Sub(now); wait > 0 {
			return wait, nil
		}
		if err := r.deps.DB.Update(ctx, func(tx *store.Tx) error { return r.expire(ctx, tx, row) }); err != nil {
			return 0, err
		}
	}
	if len(due) == batch {
		return 0, nil
	}
	return store.Nap, nil
}

// expire fails the event of a target that is due.
func (r *Room) expire(ctx context.Context, tx *store.Tx, seen store.CodeDeployTarget) error {
	x, err := r.open(ctx, tx, seen.Account, seen.Region, seen.Deployment)
	if err != nil {
		return err
	}
	row, err := tx.GetCodeDeployTarget(ctx, seen.Account, seen.Region, seen.Deployment, seen.Instance)
	if err != nil || row.Due.IsZero() || row.Due.After(tx.Now()) { // it has been heard of meanwhile
		return err
	}
	t, err := openTarget(row)
	if err != nil {
		return err
	}
	t.expire(tx.Now())
	if err := x.keep(ctx, row, t); err != nil {
		return err
	}
	return x.settle(ctx)
}

// The kinds of resources in ARNs.
const (
	kindApplication = "application"
	kindGroup       = "deploymentgroup"
	kindConfig      = "deploymentconfig"
	kindInstance    = "instance"
)

func arnOf(account, region, kind, name string) string {
	return arn.New("codedeploy", region, account, kind+":"+name)
}

// check authorises an operation on a resource.
func check(ctx context.Context, operation, kind, name string) (auth.Caller, error) {
	c := auth.From(ctx)
	return c, auth.Check(ctx, "codedeploy:"+operation, arnOf(c.Account, c.Region, kind, name))
}

// everything authorises an operation that is about no resource.
func everything(ctx context.Context, operation string) (auth.Caller, error) {
	return auth.From(ctx), auth.Check(ctx, "codedeploy:"+operation, "*")
}

// nameForm is what the names of applications, groups, configurations and instances are made of.
var nameForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9._+=,@-]{1,100}$`) })

// checkName refuses what is no name; member is the one it was given as, and class the fault's.
func checkName(class, member, name string) error {
	if !nameForm().MatchString(name) {
		return fault.New(class, "%s %q is not valid: it has 1 to 100 letters, digits and the characters . _ + = , @ -", member, name)
	}
	return nil
}

// W-26: a page begins behind the last key of the one before.
type pageKey struct {
	After string    `json:"a"`
	Time  time.Time `json:"t,omitzero"`
}

func pageToken(after string, at time.Time) string {
	text, err := json.Marshal(pageKey{after, at})
	if err != nil { // a text and a time have a JSON form
		panic("codedeploy: " + err.Error())
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

var pageForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[ -~]{1,200}$`) })

func parsePageToken(token string) (k pageKey, err error) {
	if token == "" {
		return k, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || json.Unmarshal(text, &k) != nil || !pageForm().MatchString(k.After) {
		return k, fault.New("InvalidNextTokenException", "The next token is not valid. Use the one of the answer before, with the same request.")
	}
	return k, nil
}

// orMissing turns ErrNotFound into a fault.
func orMissing(err error, class, format string, args ...any) error {
	if errors.Is(err, store.ErrNotFound) {
		return fault.New(class, format, args...)
	}
	return err
}

func tooMany(n int) error {
	if n > maxBatch {
		return fault.New("BatchLimitExceededException", "At most %d can be asked for at once, not %d.", maxBatch, n)
	}
	return nil
}

func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
