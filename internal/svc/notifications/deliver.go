package notifications

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"penstock/internal/arn"
	"penstock/internal/courier"
	"penstock/internal/fault"
	"penstock/internal/store"
)

const (
	// deadline bounds one call to a target.
	deadline = 30 * time.Second
	// The wait doubles from the first to the longest, less a random part, for a day.
	firstWait   = time.Second
	longestWait = 5 * time.Minute
	longestAge  = 24 * time.Hour
)

func again(d store.Delivery, _ error) (time.Duration, bool) {
	wait := min(firstWait<<min(d.Attempts, 20), longestWait)
	wait -= time.Duration(rand.Int64N(int64(wait) / 2))
	return wait, time.Since(d.Created)+wait < longestAge
}

// parcel is what is kept of a delivery.
type parcel struct {
	Rule   string `json:"rule"`
	Target string `json:"target"`
	Text   string `json:"text"`
}

// Take matches the events of the outbox (S-353, S-354). When it returns nil, what follows from
// them is kept; taken twice they follow once, as long as the first is not yet delivered.
func (r *Room) Take(ctx context.Context, out []store.Outgoing) error {
	var due []store.Delivery
	err := r.deps.DB.View(ctx, func(tx *store.Tx) error {
		due = nil
		type where struct{ account, region, resource string }
		rules := map[where][]store.NotificationRule{}
		for _, o := range out {
			h, ok := seen(o)
			if !ok {
				continue
			}
			at := where{h.Account, h.Region, h.resource}
			rows, ok := rules[at]
			if !ok {
				var err error
				if rows, err = tx.NotificationRulesOf(ctx, at.account, at.region, at.resource); err != nil {
					return err
				}
				rules[at] = rows
			}
			list, err := h.deliveries(ctx, tx, rows)
			if err != nil {
				return err
			}
			due = append(due, list...)
		}
		return nil
	})
	if err != nil || len(due) == 0 {
		return err
	}
	return r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		for _, d := range due {
			if err := tx.InsertDelivery(ctx, d); err != nil {
				return err
			}
		}
		return nil
	})
}

// deliveries makes what goes to the targets of the rules that name an event.
func (h *happening) deliveries(ctx context.Context, tx *store.Tx, rows []store.NotificationRule) ([]store.Delivery, error) {
	var list []store.Delivery
	var additional any
	looked := false
	for _, row := range rows {
		_, doc, err := opened(row, nil)
		if err != nil {
			return nil, err
		}
		if doc.Status == disabled || !doc.names(h.ids) || len(doc.Targets) == 0 {
			continue
		}
		if !looked {
			if additional, err = h.additional(ctx, tx); err != nil {
				return nil, err
			}
			looked = true
		}
		arn := ruleARN(row.Account, row.Region, row.ID)
		text, err := h.message(arn, &doc, additional)
		if err != nil {
			return nil, err
		}
		for _, t := range doc.Targets {
			p, err := json.Marshal(parcel{arn, t.Address, text})
			if err != nil {
				return nil, err
			}
			list = append(list, store.Delivery{
				Queue: queue, ID: derived("outbox", strconv.FormatInt(h.Seq, 10), h.Resource, h.At.String(), arn, t.Address),
				Lane: derived(arn, t.Address, h.lane), Target: t.Address, Doc: string(p),
			})
		}
	}
	return list, nil
}

// names says whether a rule names one of the ids.
func (d *ruleDoc) names(ids []string) bool {
	for _, id := range ids {
		for _, e := range d.Events {
			if e == id {
				return true
			}
		}
	}
	return false
}

// deliver publishes a notification. A target that refuses is shown as unreachable until one
// arrives again.
func (r *Room) deliver(ctx context.Context, d store.Delivery) error {
	var p parcel
	if err := json.Unmarshal([]byte(d.Doc), &p); err != nil {
		return courier.GiveUp(err)
	}
	rule, _ := arn.Parse(p.Rule) // its Region and account are the topic's
	// Messages of one lane reach each subscriber in their order.
	_, err := sns.NewFromConfig(r.deps.AWS(rule.Account, rule.Region, p.Rule, p.Target)).Publish(ctx, &sns.PublishInput{TopicArn: &p.Target, Message: &p.Text, MessageGroupId: &d.Lane})
	status := active
	if refused(err) {
		status, err = unreachable, courier.GiveUp(err)
	} else if err != nil {
		return err
	}
	if merr := r.mark(ctx, rule.Account, rule.Region, strings.TrimPrefix(rule.Resource, "notificationrule/"), p.Target, status); merr != nil {
		r.deps.Log.Warn("notifications: the state of a target is not kept", "rule", p.Rule, "target", p.Target, "error", merr)
	}
	return err
}

// refused says that a target will answer the same again: it is not there, or lets nobody in.
func refused(err error) bool {
	var api smithy.APIError
	var answer *smithyhttp.ResponseError
	if !errors.As(err, &api) || !errors.As(err, &answer) {
		return false
	}
	code := api.ErrorCode()
	return answer.HTTPStatusCode() >= 400 && answer.HTTPStatusCode() < 500 &&
		!strings.Contains(code, "Throttl") && !strings.HasPrefix(code, "ExpiredToken") && !strings.HasPrefix(code, "RequestExpired")
}

// mark records the state of a target, if it is another than before.
func (r *Room) mark(ctx context.Context, account, region, id, target, status string) error {
	differs := func(doc *ruleDoc) *targetDoc {
		for i := range doc.Targets {
			if t := &doc.Targets[i]; t.Address == target && t.Status != status {
				return t
			}
		}
		return nil
	}
	other := false
	err := r.deps.DB.View(ctx, func(tx *store.Tx) error {
		_, doc, err := opened(tx.GetNotificationRule(ctx, account, region, id))
		other = err == nil && differs(&doc) != nil
		return err
	})
	if err == nil && other {
		err = r.deps.DB.Update(ctx, func(tx *store.Tx) error {
			row, doc, err := opened(tx.LockNotificationRule(ctx, account, region, id))
			if err != nil {
				return err
			}
			if t := differs(&doc); t != nil {
				t.Status = status
				return put(ctx, tx, row, doc)
			}
			return nil
		})
	}
	if fault.Code(err) != "" {
		return nil // the rule is gone
	}
	return err
}
