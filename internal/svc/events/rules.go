package events

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	api "penstock/internal/api/events"
	"penstock/internal/auth"
	"penstock/internal/cron"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// PutRule makes a rule or replaces what it matches; its targets and tags stay (N-14).
func (r *Room) PutRule(ctx context.Context, in *api.PutRuleInput) (*api.PutRuleOutput, error) {
	p, err := at(ctx, "PutRule", in.EventBusName, in.Name)
	if err != nil {
		return nil, err
	}
	switch {
	case in.EventPattern == "" && in.ScheduleExpression == "":
		return nil, invalid("Parameter(s) EventPattern or ScheduleExpression must be specified.")
	case in.ScheduleExpression != "" && p.bus != defaultBus:
		return nil, invalid("ScheduleExpression is supported only on the default event bus.")
	}
	if in.RoleArn != "" {
		if err := mayPass(ctx, in.RoleArn); err != nil {
			return nil, err
		}
	}
	if in.EventPattern != "" {
		if _, err := r.compile(in.EventPattern); err != nil {
			return nil, err
		}
	}
	if in.ScheduleExpression != "" {
		if _, err := cron.ParseSchedule(in.ScheduleExpression); err != nil {
			return nil, err
		}
	}
	tags, err := tagMap(in.Tags)
	if err != nil {
		return nil, err
	}
	if len(tags) > 0 {
		if err := auth.Check(ctx, "events:TagResource", p.arn()); err != nil {
			return nil, err
		}
	}
	return &api.PutRuleOutput{RuleArn: p.arn()}, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		if err := hasBus(ctx, tx, p.Caller, p.bus); err != nil {
			return err
		}
		row, doc, err := p.locked(ctx, tx)
		if fault.Code(err) != "" {
			if err := tx.LockAccount(ctx, p.Account); err != nil {
				return err
			}
			there, err := tx.ListEventRules(ctx, p.Account, p.Region, p.bus, "", store.Keyset{Limit: maxRules})
			if err != nil {
				return err
			}
			if len(there) == maxRules {
				return fault.New("LimitExceededException", "The requested resource exceeds the maximum number allowed: an event bus has at most %d rules.", maxRules)
			}
			row = store.EventRule{Account: p.Account, Region: p.Region, Bus: p.bus, Name: p.name}
			doc = ruleDoc{Tags: tags, CreatedBy: p.Account}
		} else if err != nil {
			return err
		}
		before, was := doc.Schedule, doc.on()
		doc.Pattern, doc.Schedule, doc.Description, doc.RoleARN = in.EventPattern, in.ScheduleExpression, in.Description, in.RoleArn
		if doc.State = in.State; doc.State == "" {
			doc.State = enabled
		}
		if doc.Schedule != before || !was {
			doc.Began = tx.Now()
		}
		return put(ctx, tx, row, doc)
	})
}

// put keeps a rule, with the next time of its schedule.
func put(ctx context.Context, tx *store.Tx, row store.EventRule, doc ruleDoc) error {
	row.Next = time.Time{}
	if doc.Schedule != "" && doc.on() {
		// It was checked when it was given, maybe by an earlier penstock that took more: such a one never fires.
		if s, err := cron.ParseSchedule(doc.Schedule); err == nil {
			row.Next, _ = s.Next(doc.Began, tx.Now())
		}
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	row.Doc = string(text)
	return tx.PutEventRule(ctx, row)
}

// change rewrites a rule.
func (r *Room) change(ctx context.Context, p place, f func(tx *store.Tx, doc *ruleDoc) error) error {
	return r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		row, doc, err := p.locked(ctx, tx)
		if err != nil {
			return err
		}
		next := row.Next
		if err := f(tx, &doc); err != nil {
			return err
		}
		text, err := json.Marshal(doc)
		if err != nil {
			return err
		}
		row.Doc, row.Next = string(text), next
		return tx.PutEventRule(ctx, row)
	})
}

// DescribeRule shows a rule.
func (r *Room) DescribeRule(ctx context.Context, in *api.DescribeRuleInput) (*api.DescribeRuleOutput, error) {
	p, err := at(ctx, "DescribeRule", in.EventBusName, in.Name)
	if err != nil {
		return nil, err
	}
	var doc ruleDoc
	err = r.deps.DB.View(ctx, func(tx *store.Tx) error {
		_, doc, err = p.rule(ctx, tx)
		return err
	})
	return &api.DescribeRuleOutput{
		Name: p.name, Arn: p.arn(), EventPattern: doc.Pattern, ScheduleExpression: doc.Schedule, State: doc.State,
		Description: doc.Description, RoleArn: doc.RoleARN, EventBusName: p.bus, CreatedBy: doc.CreatedBy,
	}, err
}

// DeleteRule removes a rule that has no targets. What it has matched is still delivered.
func (r *Room) DeleteRule(ctx context.Context, in *api.DeleteRuleInput) (*api.DeleteRuleOutput, error) {
	p, err := at(ctx, "DeleteRule", in.EventBusName, in.Name)
	if err != nil {
		return nil, err
	}
	return &api.DeleteRuleOutput{}, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		_, doc, err := p.locked(ctx, tx)
		switch {
		case fault.Code(err) == "ResourceNotFoundException":
			return nil // deleting what is not there succeeds
		case err != nil:
			return err
		case len(doc.Targets) > 0:
			return invalid("Rule can't be deleted since it has targets.")
		}
		return tx.DeleteEventRule(ctx, p.Account, p.Region, p.bus, p.name)
	})
}

// EnableRule switches a rule on.
func (r *Room) EnableRule(ctx context.Context, in *api.EnableRuleInput) (*api.EnableRuleOutput, error) {
	return &api.EnableRuleOutput{}, r.switchTo(ctx, "EnableRule", in.EventBusName, in.Name, enabled)
}

// DisableRule switches a rule off: it matches nothing, and its schedule does not run.
func (r *Room) DisableRule(ctx context.Context, in *api.DisableRuleInput) (*api.DisableRuleOutput, error) {
	return &api.DisableRuleOutput{}, r.switchTo(ctx, "DisableRule", in.EventBusName, in.Name, disabled)
}

func (r *Room) switchTo(ctx context.Context, action, bus, name, state string) error {
	p, err := at(ctx, action, bus, name)
	if err != nil {
		return err
	}
	return r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		row, doc, err := p.locked(ctx, tx)
		if err != nil {
			return err
		}
		if !doc.on() && state == enabled {
			doc.Began = tx.Now()
		}
		if doc.on() && state == enabled {
			return nil
		}
		doc.State = state
		return put(ctx, tx, row, doc)
	})
}

// ListRules lists the rules of a bus.
func (r *Room) ListRules(ctx context.Context, in *api.ListRulesInput) (*api.ListRulesOutput, error) {
	p, err := at(ctx, "ListRules", in.EventBusName, "*")
	if err != nil {
		return nil, err
	}
	after, err := parsePageToken(in.NextToken)
	if err != nil {
		return nil, err
	}
	limit := limitOf(in.Limit)
	out := &api.ListRulesOutput{Rules: []api.Rule{}}
	err = r.deps.DB.View(ctx, func(tx *store.Tx) error {
		if err := hasBus(ctx, tx, p.Caller, p.bus); err != nil {
			return err
		}
		rows, err := tx.ListEventRules(ctx, p.Account, p.Region, p.bus, in.NamePrefix, store.Keyset{After: after, Limit: limit + 1})
		if err != nil {
			return err
		}
		for _, row := range rows[:min(len(rows), limit)] {
			doc, err := docOf(row)
			if err != nil {
				return err
			}
			out.Rules = append(out.Rules, api.Rule{
				Name: row.Name, Arn: ruleARN(row.Account, row.Region, row.Bus, row.Name), EventPattern: doc.Pattern, ScheduleExpression: doc.Schedule,
				State: doc.State, Description: doc.Description, RoleArn: doc.RoleARN, EventBusName: row.Bus,
			})
		}
		if len(rows) > limit {
			out.NextToken = pageToken(rows[limit-1].Name)
		}
		return nil
	})
	return out, err
}

// ListRuleNamesByTarget lists the rules of a bus that have a target.
func (r *Room) ListRuleNamesByTarget(ctx context.Context, in *api.ListRuleNamesByTargetInput) (*api.ListRuleNamesByTargetOutput, error) {
	p, err := at(ctx, "ListRuleNamesByTarget", in.EventBusName, "*")
	if err != nil {
		return nil, err
	}
	after, err := parsePageToken(in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &api.ListRuleNamesByTargetOutput{RuleNames: []string{}}
	err = r.deps.DB.View(ctx, func(tx *store.Tx) error {
		if err := hasBus(ctx, tx, p.Caller, p.bus); err != nil {
			return err
		}
		rows, err := tx.ListEventRules(ctx, p.Account, p.Region, p.bus, "", store.Keyset{After: after, Limit: maxRules})
		if err != nil {
			return err
		}
		for _, row := range rows {
			doc, err := docOf(row)
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(doc.Targets, func(t api.Target) bool { return t.Arn == in.TargetArn }) {
				continue
			}
			if len(out.RuleNames) == limitOf(in.Limit) {
				out.NextToken = pageToken(out.RuleNames[len(out.RuleNames)-1])
				return nil
			}
			out.RuleNames = append(out.RuleNames, row.Name)
		}
		return nil
	})
	return out, err
}

// TestEventPattern says whether an event would match a pattern.
func (r *Room) TestEventPattern(ctx context.Context, in *api.TestEventPatternInput) (*api.TestEventPatternOutput, error) {
	if err := auth.Check(ctx, "events:TestEventPattern", "*"); err != nil {
		return nil, err
	}
	p, err := r.compile(in.EventPattern)
	if err != nil {
		return nil, err
	}
	v, err := decodeEvent([]byte(in.Event))
	if err != nil {
		return nil, invalid("Parameter Event is not valid. Reason: %v.", err)
	}
	for _, key := range []string{"id", "account", "source", "time", "region", "resources", "detail-type"} {
		if _, ok := v[key]; !ok {
			return nil, invalid("Parameter Event is not valid. Reason: it has no %q. An event has id, account, source, time, region, resources and detail-type.", key)
		}
	}
	return &api.TestEventPatternOutput{Result: new(p.Match(v))}, nil
}

// tagMap reads a list of tags.
func tagMap(list []api.Tag) (map[string]string, error) {
	tags := map[string]string{}
	for _, t := range list {
		if strings.HasPrefix(strings.ToLower(t.Key), "aws:") {
			return nil, invalid("Tag keys that begin with aws: are reserved.")
		}
		if _, twice := tags[t.Key]; twice {
			return nil, invalid("The tag key %q is there twice.", t.Key)
		}
		tags[t.Key] = t.Value
	}
	if len(tags) > maxTags {
		return nil, invalid("A resource has at most %d tags.", maxTags)
	}
	return tags, nil
}
