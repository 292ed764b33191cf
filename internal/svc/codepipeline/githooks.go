package codepipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/pipeline"
	"penstock/internal/store"
)

// GitHub is where hooks of GitHub (version 1) sources are installed.
type GitHub struct {
	// URL is the address of the REST API, https://api.github.com if empty.
	URL string
}

// githubClient goes after repositories that have got another name, and not to other hosts.
var githubClient = &http.Client{CheckRedirect: func(to *http.Request, via []*http.Request) error {
	if len(via) > 3 || to.URL.Host != via[0].URL.Host || to.URL.Scheme != via[0].URL.Scheme {
		return errors.New("GitHub sends on to another place")
	}
	return nil
}}

const (
	githubURL  = "https://api.github.com"
	githubTime = 20 * time.Second
)

// RegisterWebhookWithThirdParty installs a webhook at GitHub with the token of its target
// (A-36, S-254). One that is installed stays as it is.
func (r *Room) RegisterWebhookWithThirdParty(ctx context.Context, in *api.RegisterWebhookWithThirdPartyInput) (*api.RegisterWebhookWithThirdPartyOutput, error) {
	hook, target, err := r.thirdParty(ctx, "RegisterWebhookWithThirdParty", in.WebhookName)
	if err != nil {
		return nil, err
	}
	if !isGitHub(target.ActionTypeID) {
		return nil, fault.New("ValidationException", "The webhook '%s' does not target a source action of GitHub (version 1), so there is nowhere to register it", hook.Name)
	}
	if hook.HookID != "" {
		return &api.RegisterWebhookWithThirdPartyOutput{}, nil
	}
	config := map[string]string{"url": r.webhookURL(hook), "content_type": "json", "insecure_ssl": "0"}
	if hook.Secret != "" {
		config["secret"] = string(hook.Secret)
	}
	var made struct {
		ID int64 `json:"id"`
	}
	status, err := r.GitHub.call(ctx, http.MethodPost, "/hooks", target.Configuration,
		map[string]any{"name": "web", "active": true, "events": []string{"push"}, "config": config}, &made)
	if err == nil && status != http.StatusCreated {
		err = fmt.Errorf("GitHub answered with status %d", status)
	}
	if err != nil {
		text := "The webhook could not be registered at GitHub: " + err.Error()
		return nil, errors.Join(fault.New("ValidationException", "%s", text),
			r.DB.Update(ctx, func(tx *store.Tx) error { return tx.WebhookFailed(ctx, hook.Token, strconv.Itoa(status), text) }))
	}
	return &api.RegisterWebhookWithThirdPartyOutput{}, r.setHookID(ctx, hook, strconv.FormatInt(made.ID, 10))
}

// DeregisterWebhookWithThirdParty removes a webhook from GitHub; one that is not installed
// there is fine.
func (r *Room) DeregisterWebhookWithThirdParty(ctx context.Context, in *api.DeregisterWebhookWithThirdPartyInput) (*api.DeregisterWebhookWithThirdPartyOutput, error) {
	hook, target, err := r.thirdParty(ctx, "DeregisterWebhookWithThirdParty", in.WebhookName)
	out := &api.DeregisterWebhookWithThirdPartyOutput{}
	if err != nil || hook.HookID == "" || !isGitHub(target.ActionTypeID) {
		return out, err
	}
	status, err := r.GitHub.call(ctx, http.MethodDelete, "/hooks/"+hook.HookID, target.Configuration, nil, nil)
	if err == nil && status != http.StatusNoContent && status != http.StatusNotFound {
		err = fmt.Errorf("GitHub answered with status %d", status)
	}
	if err != nil {
		return nil, fault.New("ValidationException", "The webhook could not be removed from GitHub: %v", err)
	}
	return out, r.setHookID(ctx, hook, "")
}

func isGitHub(id pipeline.ActionTypeID) bool {
	return id.Category == pipeline.CategorySource && id.Owner == pipeline.OwnerThirdParty && id.Provider == "GitHub"
}

// thirdParty authorises, and gives a webhook with its target; the target is empty if it is
// gone.
func (r *Room) thirdParty(ctx context.Context, operation, name string) (hook store.Webhook, target pipeline.Action, err error) {
	if name == "" {
		return hook, target, fault.New("ValidationException",
			"1 validation error detected: Value null at 'webhookName' failed to satisfy constraint: Member must not be null")
	}
	var c auth.Caller
	if c, _, err = allowWebhook(ctx, operation, name); err != nil {
		return hook, target, err
	}
	return hook, target, r.DB.View(ctx, func(tx *store.Tx) error {
		hook, err = tx.Webhook(ctx, c.Account, c.Region, name)
		if errors.Is(err, store.ErrNotFound) {
			return fault.New("WebhookNotFoundException", "Account '%s' does not have a webhook with name '%s'", c.Account, name)
		}
		if err != nil {
			return err
		}
		d, err := webhookDefinition(hook)
		if err != nil {
			return err
		}
		p, err := tx.FindPipeline(ctx, c.Account, c.Region, d.TargetPipeline)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		current, err := tx.Declaration(ctx, p.ID, p.Version)
		if err == nil {
			if a, ok := current.Stages[0].Action(d.TargetAction); ok {
				target = *a
			}
		}
		return err
	})
}

func (r *Room) setHookID(ctx context.Context, hook store.Webhook, id string) error {
	return r.DB.Update(ctx, func(tx *store.Tx) error {
		now, err := tx.Webhook(ctx, hook.Account, hook.Region, hook.Name)
		if errors.Is(err, store.ErrNotFound) || err == nil && now.Token != hook.Token {
			return nil // deleted meanwhile
		}
		if err != nil {
			return err
		}
		now.HookID, now.ErrorCode, now.ErrorMessage = id, "", ""
		return tx.PutWebhook(ctx, now)
	})
}

// call makes a request about the repository of a source action. The error never holds the
// token.
func (g GitHub) call(ctx context.Context, method, path string, target map[string]string, in, out any) (int, error) {
	ctx, stop := context.WithTimeout(ctx, githubTime)
	defer stop()
	base := g.URL
	if base == "" {
		base = githubURL
	}
	for _, name := range []string{target["Owner"], target["Repo"]} {
		if name == "." || name == ".." { // which no escape keeps from being a folder
			return 0, fmt.Errorf("there is no repository '%s/%s'", target["Owner"], target["Repo"])
		}
	}
	var body io.Reader = http.NoBody
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return 0, err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, base+"/repos/"+url.PathEscape(target["Owner"])+"/"+url.PathEscape(target["Repo"])+path, body)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+target["OAuthToken"])
	req.Header.Set("Accept", "application/vnd.github+json")
	req.Header.Set("Content-Type", "application/json")
	res, err := githubClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err == nil && out != nil && res.StatusCode < 300 {
		err = json.Unmarshal(text, out)
	}
	return res.StatusCode, err
}
