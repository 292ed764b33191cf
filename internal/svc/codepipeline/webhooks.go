package codepipeline

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/netip"
	"net/url"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/pipeline"
	"penstock/internal/store"
)

// The ways a webhook is authenticated (S-249).
const (
	githubHMAC      = "GITHUB_HMAC"
	allowedIP       = "IP"
	unauthenticated = "UNAUTHENTICATED"
)

// allowWebhook authorises an operation on a webhook and gives its ARN.
func allowWebhook(ctx context.Context, operation, name string) (auth.Caller, string, error) {
	c := auth.From(ctx)
	arn := pipeline.WebhookARN(c.Region, c.Account, name)
	return c, arn, auth.Check(ctx, "codepipeline:"+operation, arn)
}

// PutWebhook makes a webhook, or replaces the definition of the one with this name, which
// keeps its URL (A-35, S-248).
func (r *Room) PutWebhook(ctx context.Context, in *api.PutWebhookInput) (*api.PutWebhookOutput, error) {
	d := *in.Webhook
	c, arn, err := allowWebhook(ctx, "PutWebhook", d.Name)
	if err == nil {
		_, err = allow(ctx, "PutWebhook", d.TargetPipeline)
	}
	if err != nil {
		return nil, err
	}
	if err := CheckWebhook(&d); err != nil {
		return nil, err
	}
	given, err := r.readTags(in.Tags, arn)
	if err != nil {
		return nil, err
	}
	var item api.ListWebhookItem
	err = r.DB.Update(ctx, func(tx *store.Tx) error {
		p, err := find(ctx, tx, c, d.TargetPipeline)
		if err != nil {
			return err
		}
		current, err := tx.Declaration(ctx, p.ID, p.Version)
		if err != nil {
			return err
		}
		if a, ok := current.Stages[0].Action(d.TargetAction); !ok || a.ActionTypeID.Category != pipeline.CategorySource {
			return fault.New("ValidationException", "The pipeline '%s' does not have a source action with name '%s'", d.TargetPipeline, d.TargetAction)
		}
		w, err := tx.Webhook(ctx, c.Account, c.Region, d.Name)
		if errors.Is(err, store.ErrNotFound) {
			w = store.Webhook{Account: c.Account, Region: c.Region, Name: d.Name, Token: rand.Text() + rand.Text()}
			if err := tx.LockAccount(ctx, c.Account); err != nil {
				return err
			}
			var n int
			if n, err = tx.CountWebhooks(ctx, c.Account, c.Region); err == nil && n >= r.Limits.Webhooks { // S-72
				err = fault.New("LimitExceededException", "The account '%s' already has %d webhooks in the region %s, which is the limit", c.Account, n, c.Region)
			}
		}
		if err != nil {
			return err
		}
		if err := define(&w, d); err != nil {
			return err
		}
		if err := tx.PutWebhook(ctx, w); err != nil {
			return err
		}
		for _, t := range given { // merged with those it has
			if err := tx.PutTag(ctx, arn, t); err != nil {
				return err
			}
		}
		if item, err = r.showWebhook(ctx, tx, w); err != nil {
			return err
		}
		return pipeline.CheckTagCount(len(item.Tags), arn, r.Limits)
	})
	if err != nil {
		return nil, err
	}
	return &api.PutWebhookOutput{Webhook: &item}, nil
}

// CheckWebhook holds a definition that has the form of the model to S-249 and S-250.
func CheckWebhook(d *api.WebhookDefinition) error {
	given := api.WebhookAuthConfiguration{}
	if d.AuthenticationConfiguration != nil {
		given = *d.AuthenticationConfiguration
	}
	refuse := func(text string) error {
		return fault.New("InvalidWebhookAuthenticationParametersException", "Optional['authenticationConfig' should %s]", text)
	}
	switch d.Authentication {
	case githubHMAC:
		if given.SecretToken == "" || given.AllowedIPRange != "" {
			return refuse("contain only one property: 'SecretToken'")
		}
	case allowedIP:
		if given.AllowedIPRange == "" || given.SecretToken != "" {
			return refuse("contain only one property: 'AllowedIPRange'")
		}
		if _, err := parseRange(given.AllowedIPRange); err != nil {
			return fault.New("InvalidWebhookAuthenticationParametersException", "The AllowedIPRange '%s' is not a CIDR block", given.AllowedIPRange)
		}
	default:
		if given != (api.WebhookAuthConfiguration{}) {
			return refuse("be empty")
		}
	}
	for _, f := range d.Filters {
		if _, err := parsePath(f.JsonPath); err != nil {
			return fault.New("InvalidWebhookFilterPatternException", "The JSON path '%s' is not valid: %v", f.JsonPath, err)
		}
	}
	return nil
}

// parseRange reads a CIDR block, or a single address.
func parseRange(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return netip.ParsePrefix(text)
}

// define puts a definition into a webhook. The secret stands apart; the mask keeps the one
// that is there.
func define(w *store.Webhook, d api.WebhookDefinition) error {
	var config api.WebhookAuthConfiguration
	if d.AuthenticationConfiguration != nil {
		config = *d.AuthenticationConfiguration
	}
	switch {
	case config.SecretToken != pipeline.SecretMask:
		w.Secret = store.Secret(config.SecretToken)
	case w.Secret == "":
		return fault.New("InvalidWebhookAuthenticationParametersException",
			"The SecretToken is the mask '%s', but no secret is stored for the webhook '%s'. Supply the value.", pipeline.SecretMask, d.Name)
	}
	config.SecretToken = ""
	d.AuthenticationConfiguration = &config
	text, err := json.Marshal(d)
	w.Definition = string(text)
	return err
}

// definition reads a stored definition, without its secret.
func webhookDefinition(w store.Webhook) (*api.WebhookDefinition, error) {
	d := new(api.WebhookDefinition)
	return d, json.Unmarshal([]byte(w.Definition), d)
}

// showWebhook gives a webhook as the API tells it: with the secret masked (S-252) unless the
// server is told to show it (AQ-1).
func (r *Room) showWebhook(ctx context.Context, tx *store.Tx, w store.Webhook) (api.ListWebhookItem, error) {
	arn := pipeline.WebhookARN(w.Region, w.Account, w.Name)
	d, err := webhookDefinition(w)
	if err != nil {
		return api.ListWebhookItem{}, err
	}
	tags, err := tx.Tags(ctx, arn)
	if w.Secret != "" {
		d.AuthenticationConfiguration.SecretToken = pipeline.SecretMask
		if r.EchoSecrets {
			d.AuthenticationConfiguration.SecretToken = string(w.Secret)
		}
	}
	if d.Filters == nil {
		d.Filters = []api.WebhookFilterRule{}
	}
	return api.ListWebhookItem{Definition: d, Url: r.webhookURL(w), Arn: arn, Tags: writeTags(tags), LastTriggered: timep(w.LastTriggered),
		ErrorCode: w.ErrorCode, ErrorMessage: w.ErrorMessage}, err
}

// WebhookPath is where deliveries to webhooks arrive; the token is the parameter t.
const WebhookPath = "/webhooks/trigger"

func (r *Room) webhookURL(w store.Webhook) string {
	base := ""
	if r.PublicURL != nil {
		base = r.PublicURL()
	}
	return base + WebhookPath + "?t=" + url.QueryEscape(w.Token) + "&v=1"
}

// ListWebhooks lists the webhooks of the caller by name.
func (r *Room) ListWebhooks(ctx context.Context, in *api.ListWebhooksInput) (*api.ListWebhooksOutput, error) {
	c, _, err := allowWebhook(ctx, "ListWebhooks", "*")
	if err != nil {
		return nil, err
	}
	limit := int(cmp.Or(value(in.MaxResults), 100)) // AQ-8
	after, err := position[string](in.NextToken, "ListWebhooks", c.Account, c.Region)
	if err != nil {
		return nil, err
	}
	out := &api.ListWebhooksOutput{Webhooks: []api.ListWebhookItem{}}
	return out, r.DB.View(ctx, func(tx *store.Tx) error {
		list, err := tx.ListWebhooks(ctx, c.Account, c.Region, after, limit+1)
		if err != nil {
			return err
		}
		for i, w := range list {
			if i == limit {
				out.NextToken = nextToken(list[i-1].Name, "ListWebhooks", c.Account, c.Region)
				break
			}
			item, err := r.showWebhook(ctx, tx, w)
			if err != nil {
				return err
			}
			out.Webhooks = append(out.Webhooks, item)
		}
		return nil
	})
}

// DeleteWebhook removes a webhook; its URL is dead at once. An unknown name is fine (A-7,
// S-253).
func (r *Room) DeleteWebhook(ctx context.Context, in *api.DeleteWebhookInput) (*api.DeleteWebhookOutput, error) {
	c, arn, err := allowWebhook(ctx, "DeleteWebhook", in.Name)
	if err != nil {
		return nil, err
	}
	return &api.DeleteWebhookOutput{}, r.DB.Update(ctx, func(tx *store.Tx) error {
		w, err := tx.Webhook(ctx, c.Account, c.Region, in.Name)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := tx.DeleteTags(ctx, arn); err != nil {
			return err
		}
		return tx.DeleteWebhook(ctx, w)
	})
}
