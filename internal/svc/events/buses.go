package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	api "penstock/internal/api/events"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// maxBuses is how many buses an account may have in a Region.
const maxBuses = 100

// busDoc is what a bus's row keeps beside its key.
type busDoc struct {
	Description string            `json:"description,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
}

// CreateEventBus makes a bus for an application's own events.
func (r *Room) CreateEventBus(ctx context.Context, in *api.CreateEventBusInput) (*api.CreateEventBusOutput, error) {
	c := auth.From(ctx)
	arn := busARN(c.Account, c.Region, in.Name)
	if err := auth.Check(ctx, "events:CreateEventBus", arn); err != nil {
		return nil, err
	}
	switch {
	case strings.HasPrefix(in.Name, "aws.") || strings.Contains(in.Name, "/"):
		return nil, invalid("Event bus name %s is not valid. It does not begin with aws. and has no slash.", in.Name)
	case in.EventSourceName != "" || in.KmsKeyIdentifier != "" || in.DeadLetterConfig != nil || in.LogConfig != nil && in.LogConfig.Level != "OFF":
		return nil, invalid("This server's buses have no partner source, no key of KMS, no dead-letter queue and no logs. Take them out.")
	}
	tags, err := tagMap(in.Tags)
	if err != nil {
		return nil, err
	}
	doc, err := json.Marshal(busDoc{Description: in.Description, Tags: tags})
	if err != nil {
		return nil, err
	}
	err = r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		if err := tx.LockAccount(ctx, c.Account); err != nil {
			return err
		}
		there, err := tx.ListEventBuses(ctx, c.Account, c.Region, "", store.Keyset{Limit: maxBuses})
		if err != nil {
			return err
		}
		if len(there) >= maxBuses {
			return fault.New("LimitExceededException", "The requested resource exceeds the maximum number allowed: an account has at most %d event buses.", maxBuses)
		}
		added := false
		if in.Name != defaultBus {
			added, err = tx.AddEventBus(ctx, store.EventBus{Account: c.Account, Region: c.Region, Name: in.Name, Doc: string(doc)})
		}
		if err == nil && !added {
			err = fault.New("ResourceAlreadyExistsException", "Event bus %s already exists.", in.Name)
		}
		return err
	})
	return &api.CreateEventBusOutput{EventBusArn: arn, Description: in.Description}, err
}

// bus reads a bus; the default one is always there.
func bus(ctx context.Context, tx *store.Tx, c auth.Caller, name string) (store.EventBus, busDoc, error) {
	b, err := tx.GetEventBus(ctx, c.Account, c.Region, name)
	if errors.Is(err, store.ErrNotFound) {
		if name != defaultBus {
			return b, busDoc{}, fault.New("ResourceNotFoundException", "Event bus %s does not exist.", name)
		}
		return store.EventBus{Account: c.Account, Region: c.Region, Name: name, Doc: "{}"}, busDoc{}, nil
	}
	var doc busDoc
	if err == nil {
		err = json.Unmarshal([]byte(b.Doc), &doc)
	}
	return b, doc, err
}

// DescribeEventBus shows a bus.
func (r *Room) DescribeEventBus(ctx context.Context, in *api.DescribeEventBusInput) (*api.DescribeEventBusOutput, error) {
	c := auth.From(ctx)
	name, err := busName(c, in.Name)
	if err != nil {
		return nil, err
	}
	if err := auth.Check(ctx, "events:DescribeEventBus", busARN(c.Account, c.Region, name)); err != nil {
		return nil, err
	}
	out := &api.DescribeEventBusOutput{Name: name, Arn: busARN(c.Account, c.Region, name)}
	return out, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		b, doc, err := bus(ctx, tx, c, name)
		out.Description = doc.Description
		if !b.Created.IsZero() {
			out.CreationTime, out.LastModifiedTime = &b.Created, &b.Created
		}
		return err
	})
}

// ListEventBuses lists the buses, the default one among them.
func (r *Room) ListEventBuses(ctx context.Context, in *api.ListEventBusesInput) (*api.ListEventBusesOutput, error) {
	if err := auth.Check(ctx, "events:ListEventBuses", "*"); err != nil {
		return nil, err
	}
	after, err := parsePageToken(in.NextToken)
	if err != nil {
		return nil, err
	}
	c := auth.From(ctx)
	out := &api.ListEventBusesOutput{EventBuses: []api.EventBus{}}
	err = r.deps.DB.View(ctx, func(tx *store.Tx) error {
		list, err := tx.ListEventBuses(ctx, c.Account, c.Region, in.NamePrefix, store.Keyset{Limit: maxBuses})
		if err != nil {
			return err
		}
		if strings.HasPrefix(defaultBus, in.NamePrefix) {
			list = append(list, store.EventBus{Name: defaultBus, Doc: "{}"})
		}
		slices.SortFunc(list, func(a, b store.EventBus) int { return strings.Compare(a.Name, b.Name) })
		list = slices.DeleteFunc(list, func(b store.EventBus) bool { return after != "" && b.Name <= after })
		if n := limitOf(in.Limit); len(list) > n {
			list = list[:n]
			out.NextToken = pageToken(list[n-1].Name)
		}
		for _, b := range list {
			var doc busDoc
			if err := json.Unmarshal([]byte(b.Doc), &doc); err != nil {
				return fmt.Errorf("events: the bus %s: %w", b.Name, err)
			}
			e := api.EventBus{Name: b.Name, Arn: busARN(c.Account, c.Region, b.Name), Description: doc.Description}
			if !b.Created.IsZero() {
				e.CreationTime, e.LastModifiedTime = &b.Created, &b.Created
			}
			out.EventBuses = append(out.EventBuses, e)
		}
		return nil
	})
	return out, err
}

// DeleteEventBus removes a bus that has no rules.
func (r *Room) DeleteEventBus(ctx context.Context, in *api.DeleteEventBusInput) (*api.DeleteEventBusOutput, error) {
	c := auth.From(ctx)
	name, err := busName(c, in.Name)
	if err != nil {
		return nil, err
	}
	if err := auth.Check(ctx, "events:DeleteEventBus", busARN(c.Account, c.Region, name)); err != nil {
		return nil, err
	}
	if name == defaultBus {
		return nil, invalid("Cannot delete event bus default.")
	}
	return &api.DeleteEventBusOutput{}, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		rules, err := tx.ListEventRules(ctx, c.Account, c.Region, name, "", store.Keyset{Limit: 1})
		if err != nil {
			return err
		}
		if len(rules) > 0 {
			return invalid("Event bus %s can't be deleted since it has rules.", name)
		}
		return tx.DeleteEventBus(ctx, c.Account, c.Region, name)
	})
}

// retag changes the tags of the rule or bus that an ARN names.
func (r *Room) retag(ctx context.Context, action, arn string, change func(map[string]string) error) error {
	c := auth.From(ctx)
	if err := auth.Check(ctx, "events:"+action, arn); err != nil {
		return err
	}
	apply := func(tags *map[string]string) error {
		if *tags == nil {
			*tags = map[string]string{}
		}
		if err := change(*tags); err != nil {
			return err
		}
		if len(*tags) > maxTags {
			return invalid("A resource has at most %d tags.", maxTags)
		}
		return nil
	}
	if name, ok := strings.CutPrefix(arn, busARN(c.Account, c.Region, "")); ok {
		return r.deps.DB.Update(ctx, func(tx *store.Tx) error {
			b, doc, err := bus(ctx, tx, c, name)
			if err != nil {
				return err
			}
			if err := apply(&doc.Tags); err != nil {
				return err
			}
			text, err := json.Marshal(doc)
			if err != nil {
				return err
			}
			b.Doc = string(text)
			if b.Created.IsZero() { // the default bus gets a row with its first tag
				_, err := tx.AddEventBus(ctx, b)
				return err
			}
			return tx.SetEventBus(ctx, b)
		})
	}
	p, err := named(c, arn)
	if err != nil {
		return err
	}
	return r.change(ctx, p, func(_ *store.Tx, doc *ruleDoc) error { return apply(&doc.Tags) })
}

// named gives the rule that an ARN names.
func named(c auth.Caller, arn string) (place, error) {
	path, ok := strings.CutPrefix(arn, ruleARN(c.Account, c.Region, defaultBus, ""))
	p := place{Caller: c, bus: defaultBus, name: path}
	if bus, name, two := strings.Cut(path, "/"); two {
		p.bus, p.name = bus, name
	}
	if !ok || p.name == "" {
		return p, fault.New("ResourceNotFoundException", "%s is neither a rule nor an event bus of this account and Region.", arn)
	}
	return p, nil
}

// TagResource adds tags to a rule or a bus.
func (r *Room) TagResource(ctx context.Context, in *api.TagResourceInput) (*api.TagResourceOutput, error) {
	tags, err := tagMap(in.Tags)
	if err != nil {
		return nil, err
	}
	return &api.TagResourceOutput{}, r.retag(ctx, "TagResource", in.ResourceARN, func(m map[string]string) error {
		maps.Copy(m, tags)
		return nil
	})
}

// UntagResource removes tags from a rule or a bus.
func (r *Room) UntagResource(ctx context.Context, in *api.UntagResourceInput) (*api.UntagResourceOutput, error) {
	return &api.UntagResourceOutput{}, r.retag(ctx, "UntagResource", in.ResourceARN, func(m map[string]string) error {
		for _, key := range in.TagKeys {
			delete(m, key)
		}
		return nil
	})
}

// ListTagsForResource gives the tags of a rule or a bus.
func (r *Room) ListTagsForResource(ctx context.Context, in *api.ListTagsForResourceInput) (*api.ListTagsForResourceOutput, error) {
	c := auth.From(ctx)
	if err := auth.Check(ctx, "events:ListTagsForResource", in.ResourceARN); err != nil {
		return nil, err
	}
	out := &api.ListTagsForResourceOutput{Tags: []api.Tag{}}
	return out, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		var tags map[string]string
		if name, ok := strings.CutPrefix(in.ResourceARN, busARN(c.Account, c.Region, "")); ok {
			_, doc, err := bus(ctx, tx, c, name)
			if err != nil {
				return err
			}
			tags = doc.Tags
		} else {
			p, err := named(c, in.ResourceARN)
			if err != nil {
				return err
			}
			_, doc, err := p.rule(ctx, tx)
			if err != nil {
				return err
			}
			tags = doc.Tags
		}
		for _, key := range sortedKeys(tags) {
			out.Tags = append(out.Tags, api.Tag{Key: key, Value: tags[key]})
		}
		return nil
	})
}
