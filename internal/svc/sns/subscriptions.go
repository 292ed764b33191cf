package sns

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	wire "penstock/internal/api/sns"
	"penstock/internal/auth"
	"penstock/internal/egress"
	"penstock/internal/fault"
	"penstock/internal/pattern"
	"penstock/internal/store"
)

const (
	// ConfirmTime is how long a subscription may wait to be confirmed; then it is removed.
	ConfirmTime = 48 * time.Hour
	// maxSubscriptions is how many a topic has.
	maxSubscriptions = 10_000
	maxEndpoint      = 2048
	maxMailbox       = 254
	// pending stands for the ARN of a subscription that is not confirmed.
	pending = "PendingConfirmation"
)

// subscriptionDoc is what a subscription's row keeps beside its columns.
type subscriptionDoc struct {
	Protocol   string            `json:"protocol"`
	Principal  string            `json:"principal"`
	Token      string            `json:"token,omitempty"`
	Asked      time.Time         `json:"asked"`
	Attributes map[string]string `json:"attributes,omitempty"`
	// Authenticated says that a caller with credentials has confirmed it; Locked that only
	// such a caller may end it.
	Authenticated bool `json:"authenticated,omitempty"`
	Locked        bool `json:"locked,omitempty"`
}

func subscriptionARN(s store.Subscription) string {
	return topicARN(s.Account, s.Region, s.Topic) + ":" + s.ID
}

// parseSubscription takes the topic and the id out of a subscription's ARN.
func parseSubscription(c auth.Caller, arn string) (topic, id string, err error) {
	rest, ok := strings.CutPrefix(arn, topicARN(c.Account, c.Region, ""))
	topic, id, two := strings.Cut(rest, ":")
	if !ok || !two || !topicForm().MatchString(topic) || len(id) != 36 {
		return "", "", invalid("SubscriptionArn")
	}
	return topic, id, nil
}

func put(ctx context.Context, tx *store.Tx, s store.Subscription, doc subscriptionDoc) error {
	text, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	s.Doc, s.Asked = string(text), doc.Asked
	return tx.PutSubscription(ctx, s)
}

func opened(s store.Subscription, err error) (store.Subscription, subscriptionDoc, error) {
	var doc subscriptionDoc
	if errors.Is(err, store.ErrNotFound) {
		return s, doc, fault.New("NotFoundException", "Subscription does not exist")
	}
	if err == nil {
		err = json.Unmarshal([]byte(s.Doc), &doc)
	}
	return s, doc, err
}

// checkEndpoint looks at an endpoint: a URL of the protocol.
func (r *Room) checkEndpoint(c auth.Caller, protocol, endpoint string) error {
	switch protocol {
	case "http", "https":
	case "email", "email-json":
		switch {
		case r.deps.Mail == nil:
			return invalid("Protocol: this server sends no mail; it delivers to http and https, and to mailboxes when it runs with --smtp")
		case !mailForm().MatchString(endpoint) || len(endpoint) > maxMailbox:
			return invalid("Email address")
		}
		return nil
	case toFunction:
		if of := functionForm().FindStringSubmatch(endpoint); of == nil || of[1] != c.Region || of[2] != c.Account {
			return invalid("Endpoint: it is not the ARN of a function of the account %s in %s", c.Account, c.Region)
		}
		return nil
	case "sqs", "sms", "application", "firehose":
		return invalid("Protocol: this server does not deliver to %s; it delivers to http, https and lambda", protocol)
	default:
		return invalid("Amazon SNS does not support this protocol string: %s", protocol)
	}
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || len(endpoint) > maxEndpoint || u.Hostname() == "" || u.Fragment != "" || u.Opaque != "":
		return invalid("Endpoint")
	case u.Scheme != protocol:
		return invalid("Endpoint must match the specified protocol")
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && !egress.Allowed(a, r.deps.Private) {
		return invalid("Endpoint: %v", egress.ErrPrivate)
	}
	return nil
}

// masked hides the password of an endpoint.
func masked(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil || u.User == nil {
		return endpoint
	}
	u.User = nil
	return strings.Replace(u.String(), "://", "://****:****@", 1)
}

// setSubscription checks an attribute of a subscription and sets it.
func setSubscription(attributes map[string]string, name, value string) error {
	switch name {
	case "RawMessageDelivery":
		if value != "" {
			on, err := strconv.ParseBool(strings.ToLower(value))
			if err != nil {
				return invalid("Attributes Reason: RawMessageDelivery: Invalid value [%s]. Must be true or false.", value)
			}
			value = strconv.FormatBool(on)
		}
	case "FilterPolicyScope":
		if value != "" && value != "MessageAttributes" && value != "MessageBody" {
			return invalid("FilterPolicyScope: Invalid value [%s]. Please use either MessageBody or MessageAttributes", value)
		}
	case "FilterPolicy":
		if strings.TrimSpace(value) == "{}" {
			value = ""
		}
		if value != "" {
			if _, err := pattern.Compile(value); err != nil {
				return invalid("FilterPolicy: %s", strings.TrimPrefix(err.Error(), "InvalidEventPatternException: Event pattern is not valid. Reason: "))
			}
		}
	case "DeliveryPolicy":
		if _, err := parseDelivery(value); err != nil {
			return invalid("DeliveryPolicy: %v", err)
		}
	default:
		return invalid("AttributeName: %s is no attribute that can be set on this server", name)
	}
	if value == "" {
		delete(attributes, name)
		return nil
	}
	attributes[name] = value
	// By attributes a policy asks for the first level only.
	if attributes["FilterPolicyScope"] != "MessageBody" && attributes["FilterPolicy"] != "" {
		var flat map[string][]any
		if json.Unmarshal([]byte(attributes["FilterPolicy"]), &flat) != nil {
			return invalid("FilterPolicy: Filter policy scope MessageAttributes does not support nested filter policy")
		}
	}
	return nil
}

// Subscribe asks an endpoint whether it wants the messages of a topic (N-15).
func (r *Room) Subscribe(ctx context.Context, in *wire.SubscribeInput) (*wire.SubscribeOutput, error) {
	row, _, err := r.open(ctx, "Subscribe", in.TopicArn)
	if err != nil {
		return nil, err
	}
	c := auth.From(ctx)
	if err := r.checkEndpoint(c, in.Protocol, in.Endpoint); err != nil {
		return nil, err
	}
	for _, name := range []string{"RawMessageDelivery", "DeliveryPolicy"} {
		if isHTTP := !isMail(in.Protocol) && in.Protocol != toFunction; !isHTTP && in.Attributes[name] != "" && in.Attributes[name] != "false" {
			return nil, invalid("Attributes Reason: Delivery protocol [%s] does not support %s.", in.Protocol, name)
		}
	}
	attributes := map[string]string{}
	// The scope decides what a filter policy may say.
	for _, name := range []string{"FilterPolicyScope", "FilterPolicy"} {
		if value, ok := in.Attributes[name]; ok {
			if err := setSubscription(attributes, name, value); err != nil {
				return nil, err
			}
		}
	}
	for name, value := range in.Attributes {
		if err := setSubscription(attributes, name, value); err != nil {
			return nil, err
		}
	}
	answer := ""
	err = r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		answer = "pending confirmation"
		if _, _, err := topic(tx.LockTopic(ctx, row.Account, row.Region, row.Name)); err != nil {
			return err
		}
		s, doc, err := opened(tx.FindSubscription(ctx, row.Account, row.Region, row.Name, in.Endpoint))
		switch {
		case fault.Code(err) != "":
			confirmed, waiting, err := tx.CountSubscriptions(ctx, row.Account, row.Region, row.Name)
			if err != nil {
				return err
			}
			if confirmed+waiting >= maxSubscriptions {
				return fault.New("SubscriptionLimitExceededException", "A topic has at most %d subscriptions", maxSubscriptions)
			}
			s = store.Subscription{ID: auth.NewUUID(), Account: row.Account, Region: row.Region, Topic: row.Name, Endpoint: in.Endpoint}
		case err != nil:
			return err
		case s.Confirmed:
			if len(in.Attributes) > 0 && !maps.Equal(attributes, doc.Attributes) {
				return invalid("Attributes Reason: Subscription already exists with different attributes")
			}
			answer = subscriptionARN(s)
			return nil
		}
		if isMail(in.Protocol) && doc.Protocol == in.Protocol && tx.Now().Sub(doc.Asked) < askAgain {
			if in.ReturnSubscriptionArn != nil && *in.ReturnSubscriptionArn {
				answer = subscriptionARN(s)
			}
			return nil // a mailbox is not filled with questions
		}
		if in.Protocol == toFunction { // its policy says whether it wants them, each time
			s.Confirmed = true
			answer = subscriptionARN(s)
			return put(ctx, tx, s, subscriptionDoc{Protocol: in.Protocol, Principal: c.ARN, Asked: tx.Now(), Attributes: attributes, Authenticated: true, Locked: true})
		}
		doc = subscriptionDoc{Protocol: in.Protocol, Principal: c.ARN, Token: newToken(s.ID), Asked: tx.Now(), Attributes: attributes}
		if in.ReturnSubscriptionArn != nil && *in.ReturnSubscriptionArn {
			answer = subscriptionARN(s)
		}
		if err := put(ctx, tx, s, doc); err != nil {
			return err
		}
		return tx.InsertDelivery(ctx, r.confirmation(tx, s, doc))
	})
	return &wire.SubscribeOutput{SubscriptionArn: answer}, err
}

// newToken makes the token that confirms a subscription; it begins with the id.
func newToken(id string) string {
	var b [48]byte
	_, _ = rand.Read(b[:]) // it does not fail
	return strings.ReplaceAll(id, "-", "") + hex.EncodeToString(b[:])
}

// idOf gives the id that a token begins with.
func idOf(token string) string {
	if len(token) != 32+96 {
		return ""
	}
	return strings.Join([]string{token[:8], token[8:12], token[12:16], token[16:20], token[20:32]}, "-")
}

// ConfirmSubscription is the endpoint's yes. Whoever has the token may say it.
func (r *Room) ConfirmSubscription(ctx context.Context, in *wire.ConfirmSubscriptionInput) (*wire.ConfirmSubscriptionOutput, error) {
	c := auth.From(ctx)
	name, err := topicName(c, in.TopicArn)
	if err != nil {
		return nil, err
	}
	if err := auth.Check(ctx, "sns:ConfirmSubscription", in.TopicArn); err != nil {
		return nil, err
	}
	out := &wire.ConfirmSubscriptionOutput{}
	return out, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		s, doc, err := opened(tx.LockSubscription(ctx, idOf(in.Token)))
		known := err == nil && s.Account == c.Account && s.Region == c.Region && s.Topic == name &&
			subtle.ConstantTimeCompare([]byte(doc.Token), []byte(in.Token)) == 1
		switch {
		case err != nil && fault.Code(err) == "":
			return err
		case !known:
			return invalid("Token")
		case s.Confirmed:
			out.SubscriptionArn = subscriptionARN(s)
			return nil
		case tx.Now().Sub(doc.Asked) > ConfirmTime:
			return invalid("Token: it has expired; subscribe again")
		}
		signed := c.AccessKeyID != ""
		s.Confirmed, doc.Authenticated = true, signed
		doc.Locked = signed && strings.EqualFold(in.AuthenticateOnUnsubscribe, "true")
		out.SubscriptionArn = subscriptionARN(s)
		return put(ctx, tx, s, doc)
	})
}

// Unsubscribe ends a subscription; one that is not there is no error.
func (r *Room) Unsubscribe(ctx context.Context, in *wire.UnsubscribeInput) (*wire.UnsubscribeOutput, error) {
	c := auth.From(ctx)
	topic, id, err := parseSubscription(c, in.SubscriptionArn)
	if err != nil {
		return nil, err
	}
	if err := auth.Check(ctx, "sns:Unsubscribe", topicARN(c.Account, c.Region, topic)); err != nil {
		return nil, err
	}
	return &wire.UnsubscribeOutput{}, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		s, doc, err := opened(tx.LockSubscription(ctx, id))
		switch {
		case fault.Code(err) != "" || err == nil && (s.Account != c.Account || s.Region != c.Region || s.Topic != topic):
			return nil
		case err != nil:
			return err
		case doc.Locked && c.AccessKeyID == "":
			return fault.New("AuthorizationErrorException", "This subscription is ended with credentials only")
		}
		return tx.DeleteSubscription(ctx, id)
	})
}

// ListSubscriptions lists the subscriptions of the account in the Region.
func (r *Room) ListSubscriptions(ctx context.Context, in *wire.ListSubscriptionsInput) (*wire.ListSubscriptionsOutput, error) {
	c := auth.From(ctx)
	if err := auth.Check(ctx, "sns:ListSubscriptions", topicARN(c.Account, c.Region, "*")); err != nil {
		return nil, err
	}
	list, next, err := r.list(ctx, c, "", in.NextToken)
	return &wire.ListSubscriptionsOutput{Subscriptions: list, NextToken: next}, err
}

// ListSubscriptionsByTopic lists the subscriptions of a topic.
func (r *Room) ListSubscriptionsByTopic(ctx context.Context, in *wire.ListSubscriptionsByTopicInput) (*wire.ListSubscriptionsByTopicOutput, error) {
	row, _, err := r.open(ctx, "ListSubscriptionsByTopic", in.TopicArn)
	if err != nil {
		return nil, err
	}
	list, next, err := r.list(ctx, auth.From(ctx), row.Name, in.NextToken)
	return &wire.ListSubscriptionsByTopicOutput{Subscriptions: list, NextToken: next}, err
}

func (r *Room) list(ctx context.Context, c auth.Caller, topic, token string) (list []wire.Subscription, next string, err error) {
	after, err := parsePageToken(token)
	if err != nil {
		return nil, "", err
	}
	err = r.deps.DB.View(ctx, func(tx *store.Tx) error {
		list, next = []wire.Subscription{}, ""
		rows, err := tx.ListSubscriptions(ctx, c.Account, c.Region, topic, store.Keyset{After: after, Limit: page + 1})
		if len(rows) > page {
			rows = rows[:page]
			next = pageToken(rows[page-1].ID)
		}
		for _, row := range rows {
			s, doc, err := opened(row, nil)
			if err != nil {
				return err
			}
			arn := pending
			if s.Confirmed {
				arn = subscriptionARN(s)
			}
			list = append(list, wire.Subscription{SubscriptionArn: arn, Owner: s.Account, Protocol: doc.Protocol, Endpoint: masked(s.Endpoint),
				TopicArn: topicARN(s.Account, s.Region, s.Topic)})
		}
		return err
	})
	return list, next, err
}

// mine finds a subscription and checks that the caller may do an action on its topic.
func (r *Room) mine(ctx context.Context, action, arn string) (store.Subscription, subscriptionDoc, error) {
	c := auth.From(ctx)
	name, id, err := parseSubscription(c, arn)
	if err != nil {
		return store.Subscription{}, subscriptionDoc{}, err
	}
	if err := auth.Check(ctx, "sns:"+action, topicARN(c.Account, c.Region, name)); err != nil {
		return store.Subscription{}, subscriptionDoc{}, err
	}
	var s store.Subscription
	err = r.deps.DB.View(ctx, func(tx *store.Tx) (err error) {
		s, err = tx.GetSubscription(ctx, id)
		if err == nil && subscriptionARN(s) != arn {
			err = store.ErrNotFound
		}
		return err
	})
	return opened(s, err)
}

// GetSubscriptionAttributes shows a subscription.
func (r *Room) GetSubscriptionAttributes(ctx context.Context, in *wire.GetSubscriptionAttributesInput) (*wire.GetSubscriptionAttributesOutput, error) {
	s, doc, err := r.mine(ctx, "GetSubscriptionAttributes", in.SubscriptionArn)
	if err != nil {
		return nil, err
	}
	out := map[string]string{
		"SubscriptionArn": subscriptionARN(s), "TopicArn": topicARN(s.Account, s.Region, s.Topic), "Owner": s.Account, "Protocol": doc.Protocol,
		"Endpoint": masked(s.Endpoint), "SubscriptionPrincipal": doc.Principal, "RawMessageDelivery": "false",
		"PendingConfirmation": strconv.FormatBool(!s.Confirmed), "ConfirmationWasAuthenticated": strconv.FormatBool(doc.Authenticated),
	}
	if doc.Attributes["FilterPolicy"] != "" {
		out["FilterPolicyScope"] = "MessageAttributes"
	}
	maps.Copy(out, doc.Attributes)
	p, err := parseDelivery(doc.Attributes["DeliveryPolicy"])
	out["EffectiveDeliveryPolicy"] = p.subscriptionText()
	return &wire.GetSubscriptionAttributesOutput{Attributes: out}, err
}

// SetSubscriptionAttributes sets one attribute.
func (r *Room) SetSubscriptionAttributes(ctx context.Context, in *wire.SetSubscriptionAttributesInput) (*wire.SetSubscriptionAttributesOutput, error) {
	found, _, err := r.mine(ctx, "SetSubscriptionAttributes", in.SubscriptionArn)
	if err != nil {
		return nil, err
	}
	return &wire.SetSubscriptionAttributesOutput{}, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		s, doc, err := opened(tx.LockSubscription(ctx, found.ID))
		if err != nil {
			return err
		}
		if name := in.AttributeName; (isMail(doc.Protocol) || doc.Protocol == toFunction) && (name == "DeliveryPolicy" || name == "RawMessageDelivery") && in.AttributeValue != "" && in.AttributeValue != "false" {
			return invalid("Attributes Reason: Delivery protocol [%s] does not support %s.", doc.Protocol, name)
		}
		if doc.Attributes == nil {
			doc.Attributes = map[string]string{}
		}
		if err := setSubscription(doc.Attributes, in.AttributeName, in.AttributeValue); err != nil {
			return err
		}
		return put(ctx, tx, s, doc)
	})
}
