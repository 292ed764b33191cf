package sns

import (
	"context"
	"encoding/json"
	"maps"
	"strconv"
	"strings"
	"unicode/utf8"

	wire "penstock/internal/api/sns"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/policy"
	"penstock/internal/store"
)

// maxPolicy is the size of a topic's policy.
const maxPolicy = 30 << 10

// CreateTopic makes a topic, or gives the one of that name (N-15).
func (r *Room) CreateTopic(ctx context.Context, in *wire.CreateTopicInput) (*wire.CreateTopicOutput, error) {
	c := auth.From(ctx)
	switch {
	case strings.HasSuffix(in.Name, ".fifo"):
		return nil, invalid("Name: this server has no FIFO topics")
	case !topicForm().MatchString(in.Name):
		return nil, invalid("Topic Name")
	case in.DataProtectionPolicy != "":
		return nil, invalid("DataProtectionPolicy: this server has no data protection policies")
	}
	arn := topicARN(c.Account, c.Region, in.Name)
	if err := auth.Check(ctx, "sns:CreateTopic", arn); err != nil {
		return nil, err
	}
	tags, err := tagMap(in.Tags)
	if err != nil {
		return nil, err
	}
	if len(tags) > 0 {
		if err := auth.Check(ctx, "sns:TagResource", arn); err != nil {
			return nil, err
		}
	}
	doc := topicDoc{Attributes: map[string]string{}, Tags: tags}
	for name, value := range in.Attributes {
		if err := setAttribute(doc.Attributes, name, value); err != nil {
			return nil, err
		}
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	return &wire.CreateTopicOutput{TopicArn: arn}, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		added, err := tx.AddTopic(ctx, store.Topic{Account: c.Account, Region: c.Region, Name: in.Name, Doc: string(text)})
		if err != nil || added {
			return err
		}
		_, old, err := topic(tx.GetTopic(ctx, c.Account, c.Region, in.Name))
		if err != nil {
			return err
		}
		for name, value := range doc.Attributes {
			if old.Attributes[name] != value {
				return invalid("Attributes Reason: Topic already exists with different attributes")
			}
		}
		if len(in.Tags) > 0 && !maps.Equal(old.Tags, tags) {
			return invalid("Tags Reason: Topic already exists with different tags")
		}
		return nil
	})
}

// setAttribute checks an attribute of a topic and sets it; an empty value takes it away.
func setAttribute(attributes map[string]string, name, value string) error {
	var err error
	switch name {
	case "DisplayName":
		if utf8.RuneCountInString(value) > 100 {
			err = invalid("DisplayName: at most 100 characters")
		}
	case "Policy":
		if len(value) > maxPolicy {
			err = invalid("Policy: at most %d bytes", maxPolicy)
		} else if _, perr := policy.Parse(value, policy.Resource); perr != nil {
			err = invalid("Policy Error: %v", perr)
		}
	case "DeliveryPolicy":
		if _, perr := parseDelivery(value); perr != nil {
			err = invalid("DeliveryPolicy: %v", perr)
		}
	case "SignatureVersion":
		if value != "1" && value != "2" {
			err = invalid("SignatureVersion: it is 1 or 2")
		}
	case "FifoTopic", "ContentBasedDeduplication":
		if value != "" && value != "false" {
			return invalid("%s: this server has no FIFO topics", name)
		}
		return nil // what every topic is
	case "TracingConfig":
		if value != "PassThrough" {
			err = invalid("TracingConfig: this server traces nothing; it is PassThrough")
		}
	case "KmsMasterKeyId":
		if value != "" {
			err = invalid("KmsMasterKeyId: this server does not encrypt topics with keys of KMS")
		}
	default:
		return invalid("AttributeName: %s is no attribute that can be set on this server", name)
	}
	if value == "" {
		delete(attributes, name)
		return nil
	}
	if err == nil {
		attributes[name] = value
	}
	return err
}

// SetTopicAttributes sets one attribute.
func (r *Room) SetTopicAttributes(ctx context.Context, in *wire.SetTopicAttributesInput) (*wire.SetTopicAttributesOutput, error) {
	return &wire.SetTopicAttributesOutput{}, r.change(ctx, "SetTopicAttributes", in.TopicArn, func(doc *topicDoc) error {
		if doc.Attributes == nil {
			doc.Attributes = map[string]string{}
		}
		return setAttribute(doc.Attributes, in.AttributeName, in.AttributeValue)
	})
}

// GetTopicAttributes shows a topic.
func (r *Room) GetTopicAttributes(ctx context.Context, in *wire.GetTopicAttributesInput) (*wire.GetTopicAttributesOutput, error) {
	row, doc, err := r.open(ctx, "GetTopicAttributes", in.TopicArn)
	if err != nil {
		return nil, err
	}
	out := map[string]string{
		"TopicArn": in.TopicArn, "Owner": row.Account, "DisplayName": "", "Policy": standardPolicy(row.Account, in.TopicArn), "SubscriptionsDeleted": "0",
	}
	maps.Copy(out, doc.Attributes)
	p, err := parseDelivery(doc.Attributes["DeliveryPolicy"])
	if err != nil {
		return nil, err
	}
	out["EffectiveDeliveryPolicy"] = p.topicText()
	err = r.deps.DB.View(ctx, func(tx *store.Tx) error {
		confirmed, pending, err := tx.CountSubscriptions(ctx, row.Account, row.Region, row.Name)
		out["SubscriptionsConfirmed"], out["SubscriptionsPending"] = strconv.Itoa(confirmed), strconv.Itoa(pending)
		return err
	})
	return &wire.GetTopicAttributesOutput{Attributes: out}, err
}

// standardPolicy is what AWS shows of a topic whose policy nobody has set. It lets in nobody
// whom the account's own policies do not.
func standardPolicy(account, arn string) string {
	return `{"Version":"2008-10-17","Id":"__default_policy_ID","Statement":[{"Sid":"__default_statement_ID","Effect":"Allow","Principal":{"AWS":"*"},` +
		`"Action":["SNS:GetTopicAttributes","SNS:SetTopicAttributes","SNS:AddPermission","SNS:RemovePermission","SNS:DeleteTopic","SNS:Subscribe",` +
		`"SNS:ListSubscriptionsByTopic","SNS:Publish"],"Resource":"` + arn + `","Condition":{"StringEquals":{"AWS:SourceOwner":"` + account + `"}}}]}`
}

// ListTopics lists the topics of the account in the Region.
func (r *Room) ListTopics(ctx context.Context, in *wire.ListTopicsInput) (*wire.ListTopicsOutput, error) {
	c := auth.From(ctx)
	if err := auth.Check(ctx, "sns:ListTopics", topicARN(c.Account, c.Region, "*")); err != nil {
		return nil, err
	}
	after, err := parsePageToken(in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &wire.ListTopicsOutput{Topics: []wire.Topic{}}
	return out, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		rows, err := tx.ListTopics(ctx, c.Account, c.Region, store.Keyset{After: after, Limit: page + 1})
		if len(rows) > page {
			rows = rows[:page]
			out.NextToken = pageToken(rows[page-1].Name)
		}
		for _, row := range rows {
			out.Topics = append(out.Topics, wire.Topic{TopicArn: topicARN(c.Account, c.Region, row.Name)})
		}
		return err
	})
}

// DeleteTopic removes a topic with its subscriptions; one that is not there is no error.
// Messages that were not delivered yet are not delivered any more.
func (r *Room) DeleteTopic(ctx context.Context, in *wire.DeleteTopicInput) (*wire.DeleteTopicOutput, error) {
	c := auth.From(ctx)
	name, err := topicName(c, in.TopicArn)
	if err != nil {
		return nil, err
	}
	if _, _, err := r.open(ctx, "DeleteTopic", in.TopicArn); err != nil {
		if fault.Code(err) == "NotFoundException" {
			err = nil
		}
		return &wire.DeleteTopicOutput{}, err
	}
	return &wire.DeleteTopicOutput{}, r.deps.DB.Update(ctx, func(tx *store.Tx) error { return tx.DeleteTopic(ctx, c.Account, c.Region, name) })
}
