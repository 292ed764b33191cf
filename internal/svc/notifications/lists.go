package notifications

import (
	"cmp"
	"context"
	"slices"
	"strings"

	api "penstock/internal/api/codestarnotifications"
	"penstock/internal/auth"
	"penstock/internal/store"
)

// ListEventTypes lists the sorts of events that rules may name.
func (r *Room) ListEventTypes(ctx context.Context, in *api.ListEventTypesInput) (*api.ListEventTypesOutput, error) {
	if err := auth.Check(ctx, "codestar-notifications:ListEventTypes", "*"); err != nil {
		return nil, err
	}
	var list []kind
	for _, k := range kinds {
		wanted := true
		for _, f := range in.Filters {
			is := k.service
			if f.Name == "RESOURCE_TYPE" {
				is = k.resource
			}
			wanted = wanted && strings.EqualFold(is, f.Value)
		}
		if wanted {
			list = append(list, k)
		}
	}
	out := &api.ListEventTypesOutput{EventTypes: []api.EventTypeSummary{}}
	list, next, err := paged(list, in.NextToken, in.MaxResults, func(k kind) string { return k.id })
	for _, k := range list {
		out.EventTypes = append(out.EventTypes, k.summary())
	}
	out.NextToken = next
	return out, err
}

// rule is a rule with its document.
type rule struct {
	store.NotificationRule
	doc ruleDoc
}

// all reads the rules of an account in a Region, which are not more than maxRules.
func (r *Room) all(ctx context.Context, c auth.Caller) ([]rule, error) {
	var list []rule
	return list, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		list = nil
		rows, err := tx.ListNotificationRules(ctx, c.Account, c.Region, store.Keyset{Limit: maxRules})
		if err != nil {
			return err
		}
		for _, row := range rows {
			_, doc, err := opened(row, nil)
			if err != nil {
				return err
			}
			list = append(list, rule{row, doc})
		}
		return nil
	})
}

// is says whether a rule meets a filter.
func (r *rule) is(f api.ListNotificationRulesFilter) bool {
	switch f.Name {
	case "EVENT_TYPE_ID":
		return slices.Contains(r.doc.Events, f.Value)
	case "CREATED_BY":
		return r.doc.CreatedBy == f.Value
	case "RESOURCE":
		return r.Resource == f.Value
	default: // TARGET_ADDRESS
		return slices.ContainsFunc(r.doc.Targets, func(t targetDoc) bool { return t.Address == f.Value })
	}
}

// ListNotificationRules lists the rules of the account in the Region that meet all filters.
func (r *Room) ListNotificationRules(ctx context.Context, in *api.ListNotificationRulesInput) (*api.ListNotificationRulesOutput, error) {
	c := auth.From(ctx)
	if err := auth.Check(ctx, "codestar-notifications:ListNotificationRules", "*"); err != nil {
		return nil, err
	}
	list, err := r.all(ctx, c)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(one rule) bool {
		return slices.ContainsFunc(in.Filters, func(f api.ListNotificationRulesFilter) bool { return !one.is(f) })
	})
	list, next, err := paged(list, in.NextToken, in.MaxResults, func(one rule) string { return one.ID })
	out := &api.ListNotificationRulesOutput{NotificationRules: []api.NotificationRuleSummary{}, NextToken: next}
	for _, one := range list {
		out.NotificationRules = append(out.NotificationRules, api.NotificationRuleSummary{Id: one.ID, Arn: ruleARN(one.Account, one.Region, one.ID)})
	}
	return out, err
}

// ListTargets lists the targets of all rules of the account in the Region, each once.
func (r *Room) ListTargets(ctx context.Context, in *api.ListTargetsInput) (*api.ListTargetsOutput, error) {
	c := auth.From(ctx)
	if err := auth.Check(ctx, "codestar-notifications:ListTargets", "*"); err != nil {
		return nil, err
	}
	rules, err := r.all(ctx, c)
	if err != nil {
		return nil, err
	}
	var list []targetDoc
	for _, one := range rules {
		list = append(list, one.doc.Targets...)
	}
	// Of one that one rule reaches and another does not, the worse is told.
	slices.SortFunc(list, func(a, b targetDoc) int {
		return cmp.Or(strings.Compare(a.Address, b.Address), strings.Compare(b.Status, a.Status))
	})
	list = slices.CompactFunc(list, func(a, b targetDoc) bool { return a.Address == b.Address })
	list = slices.DeleteFunc(list, func(t targetDoc) bool {
		return slices.ContainsFunc(in.Filters, func(f api.ListTargetsFilter) bool {
			return f.Value != map[string]string{"TARGET_TYPE": topicType, "TARGET_ADDRESS": t.Address, "TARGET_STATUS": t.Status}[f.Name]
		})
	})
	list, next, err := paged(list, in.NextToken, in.MaxResults, func(t targetDoc) string { return t.Address })
	out := &api.ListTargetsOutput{Targets: []api.TargetSummary{}, NextToken: next}
	for _, t := range list {
		out.Targets = append(out.Targets, t.summary())
	}
	return out, err
}

// DeleteTarget takes a target out of all rules, if that is asked for, or tells that rules have it.
func (r *Room) DeleteTarget(ctx context.Context, in *api.DeleteTargetInput) (*api.DeleteTargetOutput, error) {
	c := auth.From(ctx)
	if err := auth.Check(ctx, "codestar-notifications:DeleteTarget", "*"); err != nil {
		return nil, err
	}
	rules, err := r.all(ctx, c)
	if err != nil {
		return nil, err
	}
	has := func(t targetDoc) bool { return t.Address == in.TargetAddress }
	rules = slices.DeleteFunc(rules, func(one rule) bool { return !slices.ContainsFunc(one.doc.Targets, has) })
	if len(rules) > 0 && (in.ForceUnsubscribeAll == nil || !*in.ForceUnsubscribeAll) {
		return nil, invalid("%d notification rules have the target %s. Unsubscribe it from them, or set ForceUnsubscribeAll.", len(rules), in.TargetAddress)
	}
	for _, one := range rules {
		if err := r.change(ctx, c, one.ID, func(_ *store.Tx, _ *store.NotificationRule, doc *ruleDoc) error {
			doc.Targets = slices.DeleteFunc(doc.Targets, has)
			return nil
		}); err != nil {
			return nil, err
		}
	}
	return &api.DeleteTargetOutput{}, nil
}
