// Package notifications is the room of CodeStar Notifications: rules that tell topics of what
// happens to a pipeline, a build project or a repository.
//
// An event that came in is matched in the transaction that keeps what follows from it: a row
// for each target, which a courier hands over at least once, the events of one execution in
// their order (S-340, S-350, S-353).
package notifications

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	api "penstock/internal/api/codestarnotifications"
	"penstock/internal/arn"
	"penstock/internal/auth"
	"penstock/internal/courier"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// Principal is the service for which this room publishes; the policies of topics name it.
const Principal = "codestar-notifications.amazonaws.com"

const (
	queue = "notifications"
	// maxRules is how many rules an account has in a Region, maxOfResource how many a
	// resource has, maxTargets how many topics a rule has (S-354).
	maxRules      = 1000
	maxOfResource = 10
	maxTargets    = 10
	maxTags       = 50
	page          = 100
)

// Deps is what the room needs. DB and AWS must be set.
type Deps struct {
	DB *store.DB
	// AWS gives the configuration for publishing to a topic as this service, for a rule.
	AWS func(account, region, rule, topic string) aws.Config
	Log *slog.Logger
}

// Room answers the operations and delivers notifications. It is safe for concurrent use.
type Room struct {
	api.Unimplemented
	deps    Deps
	courier *courier.Courier
}

var _ api.Service = (*Room)(nil)

// New makes the room. Run must be running for anything to be delivered.
func New(deps Deps) *Room {
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	r := &Room{deps: deps}
	r.courier = courier.New(courier.Config{DB: deps.DB, Queue: queue, Deliver: r.deliver, Deadline: deadline, Again: again, Log: deps.Log})
	return r
}

// Run delivers notifications until ctx ends.
func (r *Room) Run(ctx context.Context) error { return r.courier.Run(ctx) }

// ruleDoc is what a rule's row keeps beside its columns.
type ruleDoc struct {
	Events     []string          `json:"events"`
	Targets    []targetDoc       `json:"targets"`
	DetailType string            `json:"detailType"`
	Status     string            `json:"status"`
	CreatedBy  string            `json:"createdBy"`
	Tags       map[string]string `json:"tags,omitempty"`
	Created    time.Time         `json:"created"`
	Modified   time.Time         `json:"modified"`
	// Request is the hash of what made the rule: the same again is the same rule.
	Request string `json:"request"`
}

type targetDoc struct {
	Address string `json:"address"`
	Status  string `json:"status"`
}

const (
	enabled  = "ENABLED"
	disabled = "DISABLED"
	full     = "FULL"
	// The states of a target: its last notification arrived, or could not be delivered.
	active      = "ACTIVE"
	unreachable = "UNREACHABLE"
	// topicType is the type of the targets there are here.
	topicType = "SNS"
)

func ruleARN(account, region, id string) string {
	return arn.New("codestar-notifications", region, account, "notificationrule/"+id)
}

func invalid(format string, args ...any) error {
	return fault.New("ValidationException", format, args...)
}

// at checks that the caller may do an action on the rule of an ARN, and gives the rule's id.
func at(ctx context.Context, action, arn string) (c auth.Caller, id string, err error) {
	c = auth.From(ctx)
	id, ok := strings.CutPrefix(arn, ruleARN(c.Account, c.Region, ""))
	if !ok || id == "" {
		return c, "", invalid("The ARN %s is not that of a notification rule of account %s in %s.", arn, c.Account, c.Region)
	}
	return c, id, auth.Check(ctx, "codestar-notifications:"+action, arn)
}

func opened(row store.NotificationRule, err error) (store.NotificationRule, ruleDoc, error) {
	var doc ruleDoc
	if errors.Is(err, store.ErrNotFound) {
		return row, doc, fault.New("ResourceNotFoundException", "The notification rule does not exist.")
	}
	if err == nil {
		if err = json.Unmarshal([]byte(row.Doc), &doc); err != nil {
			err = fmt.Errorf("notifications: the rule %s: %w", row.ID, err)
		}
	}
	return row, doc, err
}

// change rewrites a rule.
func (r *Room) change(ctx context.Context, c auth.Caller, id string, f func(tx *store.Tx, row *store.NotificationRule, doc *ruleDoc) error) error {
	return r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		row, doc, err := opened(tx.LockNotificationRule(ctx, c.Account, c.Region, id))
		if err != nil {
			return err
		}
		if err := f(tx, &row, &doc); err != nil {
			return err
		}
		doc.Modified = tx.Now()
		return put(ctx, tx, row, doc)
	})
}

func put(ctx context.Context, tx *store.Tx, row store.NotificationRule, doc ruleDoc) error {
	text, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	row.Doc = string(text)
	return tx.SetNotificationRule(ctx, row)
}

// derived is the same id for the same parts.
func derived(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:20])
}

// W-26: a page begins behind the last key of the one before. Tokens here may have letters,
// digits, underscores and /+= only.
func pageToken(key string) string { return base64.StdEncoding.EncodeToString([]byte("k" + key)) }

func parsePageToken(token string) (string, error) {
	data, err := base64.StdEncoding.DecodeString(token)
	key, ok := strings.CutPrefix(string(data), "k")
	switch {
	case token == "":
		return "", nil
	case err != nil || !ok:
		return "", fault.New("InvalidNextTokenException", "The nextToken is not valid. Use the one of the answer before, with the same request.")
	}
	return key, nil
}

// paged gives the part of a list that an answer has; key gives what a list is ordered by.
func paged[T any](list []T, token string, limit *int32, key func(T) string) ([]T, string, error) {
	after, err := parsePageToken(token)
	if err != nil {
		return nil, "", err
	}
	n := page
	if limit != nil {
		n = int(*limit)
	}
	out := []T{}
	for _, v := range list {
		if after != "" && key(v) <= after {
			continue
		}
		if len(out) == n {
			return out, pageToken(key(out[n-1])), nil
		}
		out = append(out, v)
	}
	return out, "", nil
}
