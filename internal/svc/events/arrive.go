package events

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	api "penstock/internal/api/events"
	"penstock/internal/auth"
	"penstock/internal/pattern"
	"penstock/internal/store"
)

// envelope is an event as it is told (S-341).
type envelope struct {
	Version    string          `json:"version"`
	ID         string          `json:"id"`
	DetailType string          `json:"detail-type"`
	Source     string          `json:"source"`
	Account    string          `json:"account"`
	Time       string          `json:"time"`
	Region     string          `json:"region"`
	Resources  []string        `json:"resources"`
	Detail     json.RawMessage `json:"detail"`
}

// stamp writes times as events do: seconds, UTC.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// decodeEvent reads an event, which is an object.
func decodeEvent(text []byte) (map[string]any, error) {
	v, err := pattern.Decode(text)
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("it is not a JSON object")
	}
	return m, nil
}

// arrival is an event with where it arrived and what orders it.
type arrival struct {
	envelope
	bus string
	// lane orders the arrivals that have the same one.
	lane string
	seen *occurrence
}

// occurred writes and reads the event once, for all rules.
func (a *arrival) occurred(now time.Time) (*occurrence, error) {
	if a.seen == nil {
		o := &occurrence{text: encode(a.envelope), time: stamp(now)}
		decoded, err := decodeEvent(o.text)
		if err != nil {
			return nil, err
		}
		o.decoded, a.seen = decoded, o
	}
	return a.seen, nil
}

// Take matches the events of the outbox (S-340). When it returns nil, what follows from them
// is kept; taken twice they follow once, as long as the first is not yet delivered.
func (r *Room) Take(ctx context.Context, out []store.Outgoing) error {
	list := make([]arrival, len(out))
	for i, o := range out {
		seq := strconv.FormatInt(o.Seq, 10)
		a := &list[i]
		a.envelope = envelope{
			Version: "0", ID: derived("outbox", seq, o.Resource, o.At.Format(time.RFC3339Nano), o.DetailType, o.Detail), DetailType: o.DetailType, Source: o.Source,
			Account: o.Account, Time: stamp(o.At), Region: o.Region, Resources: []string{o.Resource}, Detail: json.RawMessage(o.Detail),
		}
		a.bus = defaultBus
		// S-350: of one execution in order, and so the changes of one object.
		var detail struct {
			Execution string `json:"execution-id"`
			Object    struct {
				Key string `json:"key"`
			} `json:"object"`
		}
		if err := json.Unmarshal(a.Detail, &detail); err != nil {
			r.deps.Log.Error("events: an event of the outbox has no JSON detail", "resource", o.Resource, "error", err)
			a.Detail = json.RawMessage("{}")
		}
		if a.lane = detail.Execution; a.lane == "" {
			a.lane = o.Resource + "/" + detail.Object.Key
		}
	}
	return r.arrive(ctx, list)
}

// arrive keeps a delivery for each target of each rule that matches an event. Nothing is
// written when none does, which is the rule.
func (r *Room) arrive(ctx context.Context, list []arrival) error {
	var due []store.Delivery
	if err := r.deps.DB.View(ctx, func(tx *store.Tx) error {
		due = nil
		type where struct{ account, region, bus string }
		known := map[where][]matching{}
		for i := range list {
			a := &list[i]
			at := where{a.Account, a.Region, a.bus}
			rules, ok := known[at]
			if !ok {
				var err error
				if rules, err = r.rulesOf(ctx, tx, a.Account, a.Region, a.bus); err != nil {
					return err
				}
				known[at] = rules
			}
			for _, m := range rules {
				o, err := a.occurred(tx.Now())
				if err != nil {
					return err
				}
				if m.pattern.Match(o.decoded) {
					due = append(due, r.deliveries(a, m.arn, m.name, m.targets)...)
				}
			}
		}
		return nil
	}); err != nil || len(due) == 0 {
		return err
	}
	return r.deps.DB.Update(ctx, func(tx *store.Tx) error { return keep(ctx, tx, due) })
}

func keep(ctx context.Context, tx *store.Tx, due []store.Delivery) error {
	for _, d := range due {
		if err := tx.InsertDelivery(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// matching is a rule that is on and has a pattern and targets.
type matching struct {
	arn, name string
	pattern   *pattern.Pattern
	targets   []api.Target
}

func (r *Room) rulesOf(ctx context.Context, tx *store.Tx, account, region, bus string) ([]matching, error) {
	rows, err := tx.ListEventRules(ctx, account, region, bus, "", store.Keyset{Limit: maxRules})
	if err != nil {
		return nil, err
	}
	list := []matching{}
	for _, row := range rows {
		doc, err := docOf(row)
		if err != nil {
			return nil, err
		}
		if !doc.on() || doc.Pattern == "" || len(doc.Targets) == 0 {
			continue
		}
		p, err := r.compile(doc.Pattern)
		if err != nil { // an earlier penstock took it
			r.deps.Log.Error("events: a rule matches nothing", "rule", ruleARN(account, region, bus, row.Name), "error", err)
			continue
		}
		list = append(list, matching{arn: ruleARN(account, region, bus, row.Name), name: row.Name, pattern: p, targets: doc.Targets})
	}
	return list, nil
}

// parcel is what is kept of a delivery.
type parcel struct {
	Rule   string `json:"rule"`
	Target string `json:"target"`
	Role   string `json:"role,omitempty"`
	Input  string `json:"input"`
	// HTTP is what a destination gets beside the input.
	HTTP     *api.HttpParameters `json:"http,omitempty"`
	Attempts *int32              `json:"attempts,omitempty"`
	Age      *int32              `json:"age,omitempty"`
}

// deliveries makes what goes to the targets of a rule. A target whose input cannot be made of
// this event is left out, and told to the log.
func (r *Room) deliveries(a *arrival, arn, name string, targets []api.Target) []store.Delivery {
	var list []store.Delivery
	for i := range targets {
		t := &targets[i]
		text, err := input(t, a.seen, arn, name)
		if err != nil {
			r.deps.Log.Warn("events: a target gets nothing of an event", "rule", arn, "target", t.Id, "event", a.ID, "error", err)
			continue
		}
		p := parcel{Rule: arn, Target: t.Arn, Role: t.RoleArn, Input: text, HTTP: resolved(t.HttpParameters, a.seen)}
		if t.RetryPolicy != nil {
			p.Attempts, p.Age = t.RetryPolicy.MaximumRetryAttempts, t.RetryPolicy.MaximumEventAgeInSeconds
		}
		list = append(list, store.Delivery{
			Queue: queue, ID: derived(a.ID, arn, t.Id), Lane: derived(arn, t.Id, a.lane), Target: t.Arn, Doc: string(encode(p)),
		})
	}
	return list
}

// maxEntries is the size of one PutEvents call.
const maxEntries = 256 << 10

// PutEvents takes an application's own events. What follows from them is kept when it answers.
func (r *Room) PutEvents(ctx context.Context, in *api.PutEventsInput) (*api.PutEventsOutput, error) {
	c := auth.From(ctx)
	if in.EndpointId != "" {
		return nil, invalid("This server has no global endpoints. Take EndpointId out.")
	}
	size := 0
	var list []arrival
	out := &api.PutEventsOutput{FailedEntryCount: new(int32(0)), Entries: make([]api.PutEventsResultEntry, len(in.Entries))}
	buses := map[string]error{}
	for i := range in.Entries {
		e := &in.Entries[i]
		size += len(e.Source) + len(e.DetailType) + len(e.Detail) + 14
		for _, resource := range e.Resources {
			size += len(resource)
		}
		bus, err := busName(c, e.EventBusName)
		if err != nil {
			return nil, err
		}
		checked, ok := buses[bus]
		if !ok {
			if err := auth.Check(ctx, "events:PutEvents", busARN(c.Account, c.Region, bus)); err != nil {
				return nil, err
			}
			checked = r.deps.DB.View(ctx, func(tx *store.Tx) error { return hasBus(ctx, tx, c, bus) })
			buses[bus] = checked
		}
		code, why := refused(e, checked)
		if code != "" {
			out.Entries[i] = api.PutEventsResultEntry{ErrorCode: code, ErrorMessage: why}
			*out.FailedEntryCount++
			continue
		}
		now := time.Now()
		if e.Time != nil {
			now = *e.Time
		}
		id := auth.NewUUID()
		resources := e.Resources
		if resources == nil {
			resources = []string{}
		}
		out.Entries[i].EventId = id
		list = append(list, arrival{bus: bus, lane: id, envelope: envelope{
			Version: "0", ID: id, DetailType: e.DetailType, Source: e.Source, Account: c.Account, Time: stamp(now), Region: c.Region,
			Resources: resources, Detail: json.RawMessage(e.Detail),
		}})
	}
	if size > maxEntries {
		return nil, invalid("Total size of the entries in the request is over the limit.")
	}
	return out, r.arrive(ctx, list)
}

// refused says why an entry is not taken.
func refused(e *api.PutEventsRequestEntry, bus error) (code, why string) {
	missing := func(name string) (string, string) {
		return "InvalidArgument", "Parameter " + name + " is not valid. Reason: " + name + " is a required argument."
	}
	switch {
	case bus != nil:
		return "InvalidArgument", bus.Error()
	case e.Source == "":
		return missing("Source")
	case e.DetailType == "":
		return missing("DetailType")
	case e.Detail == "":
		return missing("Detail")
	case strings.HasPrefix(strings.ToLower(e.Source), "aws."):
		return "NotAuthorizedForSource", "Not authorized for the source."
	}
	// In a list it is as deep as in its event, and what is JSON alone can be too deep there.
	decoded, err := pattern.Decode([]byte("[" + e.Detail + "]"))
	if list, _ := decoded.([]any); err == nil && len(list) == 1 {
		if _, ok := list[0].(map[string]any); ok {
			return "", ""
		}
	}
	return "MalformedDetail", "Detail is malformed."
}
