package notifications

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	api "penstock/internal/api/codestarnotifications"
	"penstock/internal/arn"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

var topicForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}$`) })

// target reads a target: a topic of the caller's account and Region (S-354).
func target(c auth.Caller, t api.Target) (targetDoc, error) {
	kind := t.TargetType
	if kind == "" {
		kind = topicType
	}
	if kind != topicType {
		return targetDoc{}, invalid("The target type %s is not supported: this server notifies topics, of the type SNS.", kind)
	}
	name, ok := strings.CutPrefix(t.TargetAddress, arn.New("sns", c.Region, c.Account, ""))
	if !ok || !topicForm().MatchString(name) {
		return targetDoc{}, invalid("The target address %s is not the ARN of a topic of account %s in %s. Rules and their targets are in the same account and Region.", t.TargetAddress, c.Account, c.Region)
	}
	return targetDoc{Address: t.TargetAddress, Status: active}, nil
}

// targets reads a list of targets; those that were there already keep their state.
func targets(c auth.Caller, list []api.Target, before []targetDoc) ([]targetDoc, error) {
	out := []targetDoc{}
	for _, t := range list {
		read, err := target(c, t)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(out, func(o targetDoc) bool { return o.Address == read.Address }) {
			continue
		}
		if i := slices.IndexFunc(before, func(o targetDoc) bool { return o.Address == read.Address }); i >= 0 {
			read.Status = before[i].Status
		}
		out = append(out, read)
	}
	return out, nil
}

// events checks the ids of events that a rule for a resource names.
func events(resource string, ids []string) ([]string, error) {
	service, sort, _ := serviceOf(resource)
	out := []string{}
	if len(ids) == 0 {
		return nil, invalid("A notification rule names at least one event type.")
	}
	for _, id := range ids {
		k, ok := kindOf(id)
		switch {
		case !ok:
			return nil, invalid("The event type %s does not exist, or is of something that this server does not do. ListEventTypes lists those there are.", id)
		case k.service != service || k.resource != sort:
			return nil, invalid("The event type %s is of a %s of %s, and the resource of the rule is a %s of %s.", id, k.resource, k.service, sort, service)
		case !slices.Contains(out, id):
			out = append(out, id)
		}
	}
	return out, nil
}

// checkTags keeps to the limits of tags.
func checkTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return fault.New("LimitExceededException", "A notification rule has at most %d tags.", maxTags)
	}
	for key := range tags {
		if strings.HasPrefix(strings.ToLower(key), "aws:") {
			return invalid("Tag keys that begin with aws: are reserved.")
		}
	}
	return nil
}

// CreateNotificationRule makes a rule. The same request with the same token is the same rule.
func (r *Room) CreateNotificationRule(ctx context.Context, in *api.CreateNotificationRuleInput) (*api.CreateNotificationRuleOutput, error) {
	c := auth.From(ctx)
	token := in.ClientRequestToken
	if token == "" {
		token = rand.Text()
	}
	row := store.NotificationRule{Account: c.Account, Region: c.Region, ID: derived("rule", c.Account, c.Region, token), Name: in.Name, Resource: in.Resource}
	rule := ruleARN(c.Account, c.Region, row.ID)
	if err := auth.CheckWith(ctx, "codestar-notifications:CreateNotificationRule", rule, auth.Attributes{"codestar-notifications:NotificationsForResource": {in.Resource}}); err != nil {
		return nil, err
	}
	if a, ok := arn.Parse(in.Resource); !ok || a.Region != c.Region || a.Account != c.Account {
		return nil, invalid("The resource %s is not of account %s in %s. A rule is in the account and Region of its resource.", in.Resource, c.Account, c.Region)
	}
	if _, _, ok := serviceOf(in.Resource); !ok {
		return nil, invalid("The resource %s is no pipeline, build project or repository.", in.Resource)
	}
	doc := ruleDoc{DetailType: in.DetailType, Status: in.Status, CreatedBy: c.ARN, Tags: in.Tags}
	if doc.Status == "" {
		doc.Status = enabled
	}
	var err error
	if doc.Targets, err = targets(c, in.Targets, nil); err != nil {
		return nil, err
	}
	if doc.Events, err = events(in.Resource, in.EventTypeIds); err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	request, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	doc.Request = derived("request", string(request))
	return &api.CreateNotificationRuleOutput{Arn: rule}, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		_, before, err := opened(tx.GetNotificationRule(ctx, c.Account, c.Region, row.ID))
		switch {
		case err == nil && before.Request == doc.Request:
			return nil
		case err == nil:
			return fault.New("ConcurrentModificationException", "The clientRequestToken has made another notification rule.")
		case fault.Code(err) == "":
			return err
		}
		if err := enough(ctx, tx, c, in.Resource); err != nil {
			return err
		}
		doc.Created, doc.Modified = tx.Now(), tx.Now()
		text, err := json.Marshal(doc)
		if err != nil {
			return err
		}
		row.Doc = string(text)
		added, err := tx.AddNotificationRule(ctx, row)
		if err == nil && !added {
			err = taken(in.Name)
		}
		return err
	})
}

func taken(name string) error {
	return fault.New("ResourceAlreadyExistsException", "A notification rule with the name %s exists already.", name)
}

// enough keeps to the limits of rules (S-354), whoever else makes one at the same time.
func enough(ctx context.Context, tx *store.Tx, c auth.Caller, resource string) error {
	if err := tx.LockAccount(ctx, c.Account); err != nil {
		return err
	}
	of, err := tx.NotificationRulesOf(ctx, c.Account, c.Region, resource)
	if err != nil {
		return err
	}
	if len(of) >= maxOfResource {
		return fault.New("LimitExceededException", "A resource has at most %d notification rules.", maxOfResource)
	}
	all, err := tx.ListNotificationRules(ctx, c.Account, c.Region, store.Keyset{Limit: maxRules})
	if err == nil && len(all) >= maxRules {
		err = fault.New("LimitExceededException", "An account has at most %d notification rules in a Region.", maxRules)
	}
	return err
}

// DescribeNotificationRule shows a rule.
func (r *Room) DescribeNotificationRule(ctx context.Context, in *api.DescribeNotificationRuleInput) (*api.DescribeNotificationRuleOutput, error) {
	c, id, err := at(ctx, "DescribeNotificationRule", in.Arn)
	if err != nil {
		return nil, err
	}
	row, doc, err := r.get(ctx, c, id)
	if err != nil {
		return nil, err
	}
	out := &api.DescribeNotificationRuleOutput{
		Arn: in.Arn, Name: row.Name, Resource: row.Resource, DetailType: doc.DetailType, CreatedBy: doc.CreatedBy, Status: doc.Status,
		CreatedTimestamp: &doc.Created, LastModifiedTimestamp: &doc.Modified, Tags: shown(doc.Tags), EventTypes: []api.EventTypeSummary{}, Targets: []api.TargetSummary{},
	}
	for _, id := range doc.Events {
		if k, ok := kindOf(id); ok {
			out.EventTypes = append(out.EventTypes, k.summary())
		}
	}
	for _, t := range doc.Targets {
		out.Targets = append(out.Targets, t.summary())
	}
	return out, nil
}

func (t targetDoc) summary() api.TargetSummary {
	return api.TargetSummary{TargetAddress: t.Address, TargetType: topicType, TargetStatus: t.Status}
}

func shown(tags map[string]string) map[string]string {
	if tags == nil {
		return map[string]string{}
	}
	return tags
}

func (r *Room) get(ctx context.Context, c auth.Caller, id string) (row store.NotificationRule, doc ruleDoc, err error) {
	err = r.deps.DB.View(ctx, func(tx *store.Tx) (err error) {
		row, doc, err = opened(tx.GetNotificationRule(ctx, c.Account, c.Region, id))
		return err
	})
	return row, doc, err
}

// UpdateNotificationRule replaces what it is given of a rule.
func (r *Room) UpdateNotificationRule(ctx context.Context, in *api.UpdateNotificationRuleInput) (*api.UpdateNotificationRuleOutput, error) {
	c, id, err := at(ctx, "UpdateNotificationRule", in.Arn)
	if err != nil {
		return nil, err
	}
	return &api.UpdateNotificationRuleOutput{}, r.change(ctx, c, id, func(tx *store.Tx, row *store.NotificationRule, doc *ruleDoc) (err error) {
		if in.Name != "" && in.Name != row.Name {
			if _, err := tx.NotificationRuleNamed(ctx, c.Account, c.Region, in.Name); !errors.Is(err, store.ErrNotFound) {
				if err == nil {
					err = invalid("A notification rule with the name %s exists already.", in.Name)
				}
				return err
			}
			row.Name = in.Name
		}
		if in.Status != "" {
			doc.Status = in.Status
		}
		if in.DetailType != "" {
			doc.DetailType = in.DetailType
		}
		if in.EventTypeIds != nil {
			if doc.Events, err = events(row.Resource, in.EventTypeIds); err != nil {
				return err
			}
		}
		if in.Targets != nil {
			doc.Targets, err = targets(c, in.Targets, doc.Targets)
		}
		return err
	})
}

// DeleteNotificationRule removes a rule; one that is not there is no error. What it matched
// before is still delivered.
func (r *Room) DeleteNotificationRule(ctx context.Context, in *api.DeleteNotificationRuleInput) (*api.DeleteNotificationRuleOutput, error) {
	c, id, err := at(ctx, "DeleteNotificationRule", in.Arn)
	if err != nil {
		return nil, err
	}
	return &api.DeleteNotificationRuleOutput{Arn: in.Arn}, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		return tx.DeleteNotificationRule(ctx, c.Account, c.Region, id)
	})
}

// Subscribe adds a target to a rule.
func (r *Room) Subscribe(ctx context.Context, in *api.SubscribeInput) (*api.SubscribeOutput, error) {
	c, id, err := at(ctx, "Subscribe", in.Arn)
	if err != nil {
		return nil, err
	}
	if in.Target == nil {
		return nil, invalid("A subscription names a target.")
	}
	t, err := target(c, *in.Target)
	if err != nil {
		return nil, err
	}
	return &api.SubscribeOutput{Arn: in.Arn}, r.change(ctx, c, id, func(_ *store.Tx, _ *store.NotificationRule, doc *ruleDoc) error {
		if slices.ContainsFunc(doc.Targets, func(o targetDoc) bool { return o.Address == t.Address }) {
			return nil
		}
		if len(doc.Targets) >= maxTargets {
			return invalid("A notification rule has at most %d targets.", maxTargets)
		}
		doc.Targets = append(doc.Targets, t)
		return nil
	})
}

// Unsubscribe takes a target out of a rule.
func (r *Room) Unsubscribe(ctx context.Context, in *api.UnsubscribeInput) (*api.UnsubscribeOutput, error) {
	c, id, err := at(ctx, "Unsubscribe", in.Arn)
	if err != nil {
		return nil, err
	}
	err = r.change(ctx, c, id, func(_ *store.Tx, _ *store.NotificationRule, doc *ruleDoc) error {
		doc.Targets = slices.DeleteFunc(doc.Targets, func(t targetDoc) bool { return t.Address == in.TargetAddress })
		return nil
	})
	if fault.Code(err) == "ResourceNotFoundException" {
		err = invalid("The notification rule %s does not exist.", in.Arn) // the one error there is
	}
	return &api.UnsubscribeOutput{Arn: in.Arn}, err
}

// TagResource adds tags to a rule and gives all it then has.
func (r *Room) TagResource(ctx context.Context, in *api.TagResourceInput) (*api.TagResourceOutput, error) {
	c, id, err := at(ctx, "TagResource", in.Arn)
	if err != nil {
		return nil, err
	}
	out := &api.TagResourceOutput{}
	return out, r.change(ctx, c, id, func(_ *store.Tx, _ *store.NotificationRule, doc *ruleDoc) error {
		doc.Tags = shown(doc.Tags)
		maps.Copy(doc.Tags, in.Tags)
		out.Tags = doc.Tags
		return checkTags(doc.Tags)
	})
}

// UntagResource takes tags away from a rule.
func (r *Room) UntagResource(ctx context.Context, in *api.UntagResourceInput) (*api.UntagResourceOutput, error) {
	c, id, err := at(ctx, "UntagResource", in.Arn)
	if err != nil {
		return nil, err
	}
	return &api.UntagResourceOutput{}, r.change(ctx, c, id, func(_ *store.Tx, _ *store.NotificationRule, doc *ruleDoc) error {
		for _, key := range in.TagKeys {
			delete(doc.Tags, key)
		}
		return nil
	})
}

// ListTagsForResource gives the tags of a rule.
func (r *Room) ListTagsForResource(ctx context.Context, in *api.ListTagsForResourceInput) (*api.ListTagsForResourceOutput, error) {
	c, id, err := at(ctx, "ListTagsForResource", in.Arn)
	if err != nil {
		return nil, err
	}
	_, doc, err := r.get(ctx, c, id)
	return &api.ListTagsForResourceOutput{Tags: shown(doc.Tags)}, err
}
