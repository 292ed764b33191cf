// Package events is the EventBridge room (N-14): rules with patterns and schedules, and the
// delivery of what they match to their targets.
//
// An event that came in is matched in the transaction that keeps it: what follows from it is
// rows of deliveries, which a courier hands over at least once. The events of one execution
// reach one target in their order (S-340, S-350).
package events

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	api "penstock/internal/api/events"
	"penstock/internal/arn"
	"penstock/internal/auth"
	"penstock/internal/courier"
	"penstock/internal/egress"
	"penstock/internal/fault"
	"penstock/internal/pattern"
	"penstock/internal/store"
)

// Principal is the service for which this room calls others.
const Principal = "events.amazonaws.com"

const (
	queue      = "events"
	defaultBus = "default"
	// maxRules is how many rules a bus may have, maxTargets a rule.
	maxRules   = 300
	maxTargets = 5
	maxTags    = 50
)

// Call says as whom a target is called: with a role, or where the target needs none as this
// service itself, for one action on one resource. Source is the rule's ARN.
type Call struct {
	Account, Region, RoleARN, Source string
	Action, Resource                 string
}

// Deps is what the room needs. DB, AWS and Allowed must be set.
type Deps struct {
	DB *store.DB
	// AWS gives the configuration for a call to a target.
	AWS func(Call) aws.Config
	// Allowed refuses, with a fault, a call whose role may not make it: for targets that are
	// no service, which would ask itself.
	Allowed func(context.Context, Call) error
	// Private lets API destinations be on this machine, in private networks, and without TLS.
	Private bool
	Log     *slog.Logger
}

// Room answers the operations and delivers events. It is safe for concurrent use.
type Room struct {
	api.Unimplemented
	deps    Deps
	courier *courier.Courier
	client  *http.Client

	mu       sync.Mutex
	compiled map[string]*pattern.Pattern
	paced    map[string]time.Time // when a destination may be called next
	bearers  map[string]bearer    // by connection and the time of its last change
}

var _ api.Service = (*Room)(nil)

// New makes the room. Run must be running for anything to be delivered.
func New(deps Deps) *Room {
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	r := &Room{deps: deps, client: egress.Client(deps.Private), compiled: map[string]*pattern.Pattern{}, paced: map[string]time.Time{}, bearers: map[string]bearer{}}
	r.courier = courier.New(courier.Config{DB: deps.DB, Queue: queue, Deliver: r.deliver, Deadline: deadline, Again: again, Log: deps.Log})
	return r
}

// ruleDoc is what a rule's row keeps beside its key.
type ruleDoc struct {
	Pattern     string            `json:"pattern,omitempty"`
	Schedule    string            `json:"schedule,omitempty"`
	State       string            `json:"state"`
	Description string            `json:"description,omitempty"`
	RoleARN     string            `json:"roleArn,omitempty"`
	CreatedBy   string            `json:"createdBy,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
	Targets     []api.Target      `json:"targets,omitempty"`
	// Began is when the schedule was set or switched on.
	Began time.Time `json:"began,omitzero"`
}

const (
	enabled    = "ENABLED"
	disabled   = "DISABLED"
	cloudTrail = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"
)

// on says whether a rule matches anything.
func (d *ruleDoc) on() bool { return d.State != disabled }

func ruleARN(account, region, bus, name string) string {
	if bus != defaultBus {
		name = bus + "/" + name
	}
	return arn.New("events", region, account, "rule/"+name)
}

func busARN(account, region, name string) string {
	return arn.New("events", region, account, "event-bus/"+name)
}

// busName gives the name of a bus from its name or ARN; it must be of the caller's account
// and Region.
func busName(c auth.Caller, text string) (string, error) {
	if text == "" {
		return defaultBus, nil
	}
	if !strings.HasPrefix(text, "arn:") {
		return text, nil
	}
	name, ok := strings.CutPrefix(text, busARN(c.Account, c.Region, ""))
	if !ok {
		return "", fault.New("ResourceNotFoundException", "Event bus %s does not exist.", text)
	}
	return name, nil
}

// place is a rule as an operation names it, after the caller was allowed the action on it.
type place struct {
	auth.Caller
	bus, name string
}

func (p place) arn() string { return ruleARN(p.Account, p.Region, p.bus, p.name) }

func at(ctx context.Context, action, bus, name string) (place, error) {
	p := place{Caller: auth.From(ctx), name: name}
	var err error
	if p.bus, err = busName(p.Caller, bus); err != nil {
		return p, err
	}
	return p, auth.Check(ctx, "events:"+action, p.arn())
}

func (p place) absent() error {
	return fault.New("ResourceNotFoundException", "Rule %s does not exist on EventBus %s.", p.name, p.bus)
}

// rule reads a rule and its document.
func (p place) rule(ctx context.Context, tx *store.Tx) (store.EventRule, ruleDoc, error) {
	return p.opened(tx.GetEventRule(ctx, p.Account, p.Region, p.bus, p.name))
}

// locked is rule for a change.
func (p place) locked(ctx context.Context, tx *store.Tx) (store.EventRule, ruleDoc, error) {
	return p.opened(tx.LockEventRule(ctx, p.Account, p.Region, p.bus, p.name))
}

func (p place) opened(row store.EventRule, err error) (store.EventRule, ruleDoc, error) {
	if errors.Is(err, store.ErrNotFound) {
		return row, ruleDoc{}, p.absent()
	}
	if err != nil {
		return row, ruleDoc{}, err
	}
	doc, err := docOf(row)
	return row, doc, err
}

func docOf(row store.EventRule) (ruleDoc, error) {
	var doc ruleDoc
	if err := json.Unmarshal([]byte(row.Doc), &doc); err != nil {
		return doc, fmt.Errorf("events: the rule %s: %w", row.Name, err)
	}
	return doc, nil
}

// hasBus refuses a bus that does not exist.
func hasBus(ctx context.Context, tx *store.Tx, c auth.Caller, bus string) error {
	if bus == defaultBus {
		return nil
	}
	_, err := tx.GetEventBus(ctx, c.Account, c.Region, bus)
	if errors.Is(err, store.ErrNotFound) {
		return fault.New("ResourceNotFoundException", "Event bus %s does not exist.", bus)
	}
	return err
}

func invalid(format string, args ...any) error {
	return fault.New("ValidationException", format, args...)
}

// derived is the same UUID for the same parts.
func derived(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return uuid([16]byte(sum[:16]))
}

func uuid(b [16]byte) string {
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// compile gives the compiled pattern of a text. What was compiled is kept, as long as there
// is not too much of it.
func (r *Room) compile(text string) (*pattern.Pattern, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.compiled[text]; p != nil {
		return p, nil
	}
	p, err := pattern.Compile(text)
	if err != nil {
		return nil, err
	}
	if len(r.compiled) >= 10_000 {
		clear(r.compiled)
	}
	r.compiled[text] = p
	return p, nil
}

// W-26: a page begins behind the last key of the one before.
func pageToken(key string) string { return base64.RawURLEncoding.EncodeToString([]byte("k" + key)) }

func parsePageToken(token string) (string, error) {
	data, err := base64.RawURLEncoding.DecodeString(token)
	key, ok := strings.CutPrefix(string(data), "k")
	switch {
	case token == "":
		return "", nil
	case err != nil || !ok:
		return "", invalid("The nextToken is not valid. Use the one of the answer before, with the same request.")
	}
	return key, nil
}

func limitOf(limit *int32) int {
	if limit == nil {
		return 100
	}
	return int(*limit)
}

var roleForm = regexp.MustCompile(`^arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+$`)

// mayPass checks that the caller may give a role to this service.
func mayPass(ctx context.Context, role string) error {
	if !roleForm.MatchString(role) {
		return invalid("Provided role '%s' is not the ARN of a role.", role)
	}
	return auth.CheckPass(ctx, role, Principal)
}
