package sns

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"

	wire "penstock/internal/api/sns"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/pattern"
	"penstock/internal/store"
)

const (
	maxMessage    = 256 << 10
	maxSubject    = 100
	maxAttributes = 100
)

var (
	attributeForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_.-]{1,256}$`) })
	batchForm     = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`) })
	groupForm     = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[!-~]{1,128}$`) })
)

// Publish puts a message to all subscribers that are confirmed and whose filter lets it
// through. When it answers, the message is kept for each of them.
func (r *Room) Publish(ctx context.Context, in *wire.PublishInput) (*wire.PublishOutput, error) {
	arn := in.TopicArn
	switch {
	case in.PhoneNumber != "":
		return nil, invalid("PhoneNumber: this server sends no text messages")
	case arn != "" && in.TargetArn != "":
		return nil, invalid("TopicArn or TargetArn Reason: only one of them")
	case arn == "":
		arn = in.TargetArn
	}
	if arn == "" {
		return nil, invalid("TopicArn or TargetArn Reason: no value for required parameter")
	}
	row, _, err := r.open(ctx, "Publish", arn)
	if err != nil {
		return nil, err
	}
	m, err := newMessage(arn, in)
	if err != nil {
		return nil, err
	}
	err = r.deps.DB.Update(ctx, func(tx *store.Tx) error { return spread(ctx, tx, row, m) })
	return &wire.PublishOutput{MessageId: m.ID}, err
}

// PublishBatch publishes up to ten messages, each on its own.
func (r *Room) PublishBatch(ctx context.Context, in *wire.PublishBatchInput) (*wire.PublishBatchOutput, error) {
	entries := in.PublishBatchRequestEntries
	size, ids := 0, map[string]bool{}
	for i := range entries {
		e := &entries[i]
		size += len(e.Message)
		switch {
		case !batchForm().MatchString(e.Id):
			return nil, fault.New("InvalidBatchEntryIdException", "The batch entry id %q is not valid", e.Id)
		case ids[e.Id]:
			return nil, fault.New("BatchEntryIdsNotDistinctException", "Two or more batch entries in the request have the same Id")
		}
		ids[e.Id] = true
	}
	switch {
	case len(entries) == 0:
		return nil, fault.New("EmptyBatchRequestException", "The batch request doesn't contain any entries")
	case len(entries) > 10:
		return nil, fault.New("TooManyEntriesInBatchRequestException", "The batch request contains more entries than permissible (more than 10)")
	case size > maxMessage:
		return nil, fault.New("BatchRequestTooLongException", "The length of all the batch messages put together is more than the limit")
	}
	out := &wire.PublishBatchOutput{Successful: []wire.PublishBatchResultEntry{}, Failed: []wire.BatchResultErrorEntry{}}
	for i := range entries {
		e := &entries[i]
		done, err := r.Publish(ctx, &wire.PublishInput{TopicArn: in.TopicArn, Message: e.Message, Subject: e.Subject, MessageStructure: e.MessageStructure,
			MessageAttributes: e.MessageAttributes, MessageGroupId: e.MessageGroupId, MessageDeduplicationId: e.MessageDeduplicationId})
		switch code := fault.Code(err); {
		case err == nil:
			out.Successful = append(out.Successful, wire.PublishBatchResultEntry{Id: e.Id, MessageId: done.MessageId})
		case code == "InvalidParameterException":
			out.Failed = append(out.Failed, wire.BatchResultErrorEntry{Id: e.Id, Code: "InvalidParameter",
				Message: strings.TrimPrefix(err.Error(), code+": "), SenderFault: new(true)})
		default:
			return nil, err // of the topic, not of the entry
		}
	}
	return out, nil
}

// message is what is kept of a message for a subscriber.
type message struct {
	Type  string `json:"type"`
	ID    string `json:"id"`
	Topic string `json:"topic"`
	Time  string `json:"time"`
	// Subscription is the id of the one that gets it.
	Subscription string `json:"subscription"`
	Subject      string `json:"subject,omitempty"`
	Text         string `json:"text"`
	// Token confirms; it belongs to a confirmation.
	Token      string                                `json:"token,omitempty"`
	Attributes map[string]wire.MessageAttributeValue `json:"attributes,omitempty"`

	// group orders: messages of one reach a subscriber in their order.
	group string
	// by are the texts for protocols that have their own.
	by map[string]string
}

const (
	typeNotification = "Notification"
	typeConfirmation = "SubscriptionConfirmation"
)

// newMessage checks what is published.
func newMessage(arn string, in *wire.PublishInput) (*message, error) {
	m := &message{Type: typeNotification, ID: auth.NewUUID(), Topic: arn, Subject: in.Subject, Text: in.Message, Attributes: in.MessageAttributes, group: in.MessageGroupId}
	size := len(in.Message)
	switch {
	case in.Message == "":
		return nil, invalid("Empty message")
	case utf8.RuneCountInString(in.Subject) > maxSubject || strings.ContainsFunc(in.Subject, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return nil, invalid("Subject: at most %d characters, and no line breaks or other control characters", maxSubject)
	case in.MessageDeduplicationId != "":
		return nil, invalid("MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter that is not valid for this topic type")
	case in.MessageGroupId != "" && !groupForm().MatchString(in.MessageGroupId):
		return nil, invalid("MessageGroupId")
	case len(in.MessageAttributes) > maxAttributes:
		return nil, invalid("MessageAttributes: at most %d", maxAttributes)
	}
	for name, v := range in.MessageAttributes {
		size += len(name) + len(v.DataType) + len(v.StringValue) + len(v.BinaryValue)
		if _, err := attribute(name, v); err != nil {
			return nil, err
		}
	}
	if size > maxMessage {
		return nil, invalid("Message too long")
	}
	switch in.MessageStructure {
	case "":
	case "json":
		if json.Unmarshal([]byte(in.Message), &m.by) != nil {
			return nil, invalid("Message Structure - JSON message body failed to parse")
		}
		if _, ok := m.by["default"]; !ok {
			return nil, invalid("Message Structure - No default entry in JSON message body")
		}
	default:
		return nil, invalid("MessageStructure")
	}
	return m, nil
}

// attribute checks a message attribute and gives its value as a filter sees it.
func attribute(name string, v wire.MessageAttributeValue) (any, error) {
	kind, _, _ := strings.Cut(v.DataType, ".")
	if v.DataType == "String.Array" {
		kind = v.DataType
	}
	lower := strings.ToLower(name)
	switch {
	case !attributeForm().MatchString(name) || strings.HasPrefix(lower, "aws.") || strings.HasPrefix(lower, "amazon."):
		return nil, invalid("The message attribute name %q is not valid", name)
	case kind == "Binary" && len(v.BinaryValue) > 0:
		return base64.StdEncoding.EncodeToString(v.BinaryValue), nil
	case v.StringValue == "":
		return nil, invalid("The message attribute '%s' must contain non-empty message attribute value for message attribute type '%s'.", name, v.DataType)
	}
	decoded, err := pattern.Decode([]byte(v.StringValue))
	switch kind {
	case "String":
		return v.StringValue, nil
	case "Number":
		if n, ok := decoded.(json.Number); ok && err == nil {
			return n, nil
		}
	case "String.Array":
		if list, ok := decoded.([]any); ok && err == nil {
			return list, nil
		}
	default:
		return nil, invalid("The message attribute '%s' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.", name)
	}
	return nil, invalid("Could not cast message attribute '%s' value to %s.", name, strings.ToLower(kind))
}

// spread keeps a message for every subscriber who is to get it.
func spread(ctx context.Context, tx *store.Tx, row store.Topic, m *message) error {
	m.Time = tx.Now().Format("2006-01-02T15:04:05.000Z")
	byAttributes := map[string]any{}
	for name, v := range m.Attributes {
		value, err := attribute(name, v)
		if err != nil {
			return err
		}
		byAttributes[name] = value
	}
	body, bodyErr := pattern.Decode([]byte(m.Text))
	after := ""
	for {
		rows, err := tx.ListSubscriptions(ctx, row.Account, row.Region, row.Name, store.Keyset{After: after, Limit: page})
		if err != nil {
			return err
		}
		for _, found := range rows {
			after = found.ID
			s, doc, err := opened(found, nil)
			if err != nil {
				return err
			}
			if !s.Confirmed {
				continue
			}
			if text := doc.Attributes["FilterPolicy"]; text != "" {
				p, err := pattern.Compile(text)
				if err != nil {
					return err
				}
				of := any(byAttributes)
				if doc.Attributes["FilterPolicyScope"] == "MessageBody" {
					if of = body; bodyErr != nil {
						continue
					}
				}
				if !p.Match(of) {
					continue
				}
			}
			if err := tx.InsertDelivery(ctx, m.to(s, doc)); err != nil {
				return err
			}
		}
		if len(rows) < page {
			return nil
		}
	}
}

// to makes the delivery of a message to a subscriber.
func (m *message) to(s store.Subscription, doc subscriptionDoc) store.Delivery {
	own := *m
	own.Subscription = s.ID
	if m.by != nil {
		own.Text = m.by["default"]
		if special, ok := m.by[doc.Protocol]; ok {
			own.Text = special
		}
	}
	order := m.group
	if order == "" {
		order = m.ID
	}
	return store.Delivery{Queue: queue, ID: m.ID + "/" + s.ID, Lane: s.ID + "/" + order, Target: hostOf(doc.Protocol, s.Endpoint), Doc: text(own)}
}
