// Package sns is the SNS room (N-15): topics whose messages are posted to HTTP(S) endpoints,
// after these have confirmed that they want them, signed so that they can tell who sent them.
//
// A message that was published is a row for each subscriber until it is delivered or given
// up, so an answered Publish is not forgotten.
package sns

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"

	"penstock/internal/api"
	wire "penstock/internal/api/sns"
	"penstock/internal/arn"
	"penstock/internal/auth"
	"penstock/internal/courier"
	"penstock/internal/egress"
	"penstock/internal/fault"
	"penstock/internal/policy"
	"penstock/internal/store"
)

const (
	queue = "sns"
	page  = 100
	// maxTags is the number of tags of one topic.
	maxTags = 50
)

// Deps is what the room needs. DB and PublicURL must be set.
type Deps struct {
	DB *store.DB
	// PublicURL gives the address of this server, without a slash at the end. It is asked at
	// each message, because the port may be known late.
	PublicURL func() string
	// Private lets endpoints be on this machine and in private networks.
	Private bool
	// AWS gives the configuration for invoking a function as this service, for a topic.
	AWS func(account, region, topic, function string) aws.Config
	// Mail sends to mailboxes; nil refuses their subscriptions.
	Mail *Mailer
	Log  *slog.Logger
}

// Room answers the operations and delivers messages. It is safe for concurrent use.
type Room struct {
	wire.Unimplemented
	deps    Deps
	courier *courier.Courier
	client  *http.Client
	service *api.Service

	mu     sync.Mutex
	signer *signer
}

var _ wire.Service = (*Room)(nil)

// New makes the room. Run must be running for anything to be delivered.
func New(deps Deps) *Room {
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	r := &Room{deps: deps, client: egress.Client(deps.Private)}
	r.courier = courier.New(courier.Config{DB: deps.DB, Queue: queue, Deliver: r.deliver, Deadline: deadline, Again: again, Log: deps.Log})
	r.service = wire.New(r)
	return r
}

// Run delivers messages until ctx ends.
func (r *Room) Run(ctx context.Context) error {
	defer r.client.CloseIdleConnections()
	return r.courier.Run(ctx)
}

// topicDoc is what a topic's row keeps beside its key.
type topicDoc struct {
	Attributes map[string]string `json:"attributes,omitempty"`
	Tags       map[string]string `json:"tags,omitempty"`
}

var topicForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}$`) })

func invalid(format string, args ...any) error {
	return fault.New("InvalidParameterException", "Invalid parameter: "+format, args...)
}

func topicARN(account, region, name string) string {
	return arn.New("sns", region, account, name)
}

// topicName takes the name out of the ARN of a topic of the caller's account and Region.
func topicName(c auth.Caller, arn string) (string, error) {
	name, ok := strings.CutPrefix(arn, topicARN(c.Account, c.Region, ""))
	if !ok || !topicForm().MatchString(name) {
		return "", invalid("TopicArn")
	}
	return name, nil
}

// topic reads a topic and its document.
func topic(row store.Topic, err error) (store.Topic, topicDoc, error) {
	var doc topicDoc
	if errors.Is(err, store.ErrNotFound) {
		return row, doc, fault.New("NotFoundException", "Topic does not exist")
	}
	if err == nil {
		err = json.Unmarshal([]byte(row.Doc), &doc)
	}
	return row, doc, err
}

// inside are the services that come to a topic in the name of the account, so that the standard
// policy lets them in: CloudWatch's alarms and the triggers of repositories.
var inside = map[string]bool{"cloudwatch.amazonaws.com": true, "codecommit.amazonaws.com": true}

// check says whether the caller may do an action on a topic, by its own policies or the topic's.
func check(ctx context.Context, action, arn string, doc topicDoc) error {
	var own *policy.Document
	attrs := auth.Attributes{}
	text, c := doc.Attributes["Policy"], auth.From(ctx)
	if inside[c.Service] {
		attrs["aws:SourceOwner"] = []string{c.Account}
		if text == "" {
			text = standardPolicy(c.Account, arn)
		}
	}
	if text != "" {
		p, err := policy.Parse(text, policy.Resource)
		if err != nil {
			return fmt.Errorf("sns: the policy of %s: %w", arn, err)
		}
		own = p
	}
	return auth.CheckResource(ctx, "sns:"+action, arn, own, attrs)
}

// open finds a topic by its ARN and checks that the caller may do an action on it.
func (r *Room) open(ctx context.Context, action, arn string) (row store.Topic, doc topicDoc, err error) {
	c := auth.From(ctx)
	name, err := topicName(c, arn)
	if err != nil {
		return row, doc, err
	}
	verr := r.deps.DB.View(ctx, func(tx *store.Tx) error {
		row, doc, err = topic(tx.GetTopic(ctx, c.Account, c.Region, name))
		return err
	})
	if verr != nil && fault.Code(verr) == "" {
		return row, doc, verr
	}
	// Who may not know of a topic does not learn whether it is there.
	if err := check(ctx, action, arn, doc); err != nil {
		return row, doc, err
	}
	return row, doc, verr
}

// change rewrites the document of a topic.
func (r *Room) change(ctx context.Context, action, arn string, f func(*topicDoc) error) error {
	row, _, err := r.open(ctx, action, arn)
	if err != nil {
		return err
	}
	return r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		row, doc, err := topic(tx.LockTopic(ctx, row.Account, row.Region, row.Name))
		if err != nil {
			return err
		}
		if err := f(&doc); err != nil {
			return err
		}
		text, err := json.Marshal(doc)
		if err != nil {
			return err
		}
		row.Doc = string(text)
		return tx.SetTopic(ctx, row)
	})
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
		return "", invalid("NextToken")
	}
	return key, nil
}

// tagMap reads a list of tags.
func tagMap(list []wire.Tag) (map[string]string, error) {
	tags := map[string]string{}
	for _, t := range list {
		if strings.HasPrefix(strings.ToLower(t.Key), "aws:") {
			return nil, invalid("Tag keys that begin with aws: are reserved")
		}
		tags[t.Key] = t.Value
	}
	return tags, enough(tags)
}

func enough(tags map[string]string) error {
	if len(tags) > maxTags {
		return fault.New("TagLimitExceededException", "Could not complete request: tag quota of per resource exceeded")
	}
	return nil
}

// retag is change for tags; a topic that is not there has a fault of its own.
func (r *Room) retag(ctx context.Context, action, arn string, f func(map[string]string) error) error {
	err := r.change(ctx, action, arn, func(doc *topicDoc) error {
		if doc.Tags == nil {
			doc.Tags = map[string]string{}
		}
		return f(doc.Tags)
	})
	return tagged(err)
}

func tagged(err error) error {
	if fault.Code(err) == "NotFoundException" {
		return fault.New("ResourceNotFoundException", "Resource does not exist")
	}
	return err
}

// TagResource adds tags to a topic.
func (r *Room) TagResource(ctx context.Context, in *wire.TagResourceInput) (*wire.TagResourceOutput, error) {
	tags, err := tagMap(in.Tags)
	if err != nil {
		return nil, err
	}
	return &wire.TagResourceOutput{}, r.retag(ctx, "TagResource", in.ResourceArn, func(m map[string]string) error {
		maps.Copy(m, tags)
		return enough(m)
	})
}

// UntagResource removes tags from a topic.
func (r *Room) UntagResource(ctx context.Context, in *wire.UntagResourceInput) (*wire.UntagResourceOutput, error) {
	return &wire.UntagResourceOutput{}, r.retag(ctx, "UntagResource", in.ResourceArn, func(m map[string]string) error {
		for _, key := range in.TagKeys {
			delete(m, key)
		}
		return nil
	})
}

// ListTagsForResource gives the tags of a topic.
func (r *Room) ListTagsForResource(ctx context.Context, in *wire.ListTagsForResourceInput) (*wire.ListTagsForResourceOutput, error) {
	_, doc, err := r.open(ctx, "ListTagsForResource", in.ResourceArn)
	if err != nil {
		return nil, tagged(err)
	}
	out := &wire.ListTagsForResourceOutput{Tags: []wire.Tag{}}
	for _, key := range slices.Sorted(maps.Keys(doc.Tags)) {
		out.Tags = append(out.Tags, wire.Tag{Key: key, Value: doc.Tags[key]})
	}
	return out, nil
}
