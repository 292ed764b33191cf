package codepipeline

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	api "penstock/internal/api/codepipeline"
)

const hookSecret = `p&ss "wörd"+%`

func hookDefinition(name, authentication string, config api.WebhookAuthConfiguration, filters ...api.WebhookFilterRule) *api.PutWebhookInput {
	return &api.PutWebhookInput{Webhook: &api.WebhookDefinition{Name: name, TargetPipeline: "p", TargetAction: "Get", Filters: filters,
		Authentication: authentication, AuthenticationConfiguration: &config}}
}

func (w *world) put(in *api.PutWebhookInput) *api.ListWebhookItem {
	w.Helper()
	out, err := w.PutWebhook(w.ctx, in)
	return must(w, out, err).Webhook
}

// deliver posts to a webhook's URL.
func (w *world) post(url, body string, header ...string) (int, string) {
	w.Helper()
	req := httptest.NewRequestWithContext(w.ctx, http.MethodPost, url, strings.NewReader(body))
	req.RemoteAddr = "192.0.2.7:1234"
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	w.ServeWebhook(rec, req)
	text, err := io.ReadAll(rec.Body)
	return rec.Code, must(w, string(text), err)
}

func signature256(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func signature1(secret, body string) string {
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write([]byte(body))
	return "sha1=" + hex.EncodeToString(mac.Sum(nil))
}

// starts lists the triggers of the executions of p, newest first, without the first.
func (w *world) starts() (list []string) {
	w.Helper()
	out, err := w.ListPipelineExecutions(w.ctx, &api.ListPipelineExecutionsInput{PipelineName: "p"})
	for _, e := range must(w, out, err).PipelineExecutionSummaries {
		if e.Trigger.TriggerType != "CreatePipeline" {
			list = append(list, e.Trigger.TriggerType+" "+e.Trigger.TriggerDetail)
		}
	}
	return list
}

func (w *world) listed() []api.ListWebhookItem {
	w.Helper()
	out, err := w.ListWebhooks(w.ctx, &api.ListWebhooksInput{})
	return must(w, out, err).Webhooks
}

// S-92, S-241, S-249…S-251: a genuine delivery whose filters match starts the pipeline, once.
func TestWebhookGitHub(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		w.create("p")
		hook := w.put(hookDefinition("h", "GITHUB_HMAC", api.WebhookAuthConfiguration{SecretToken: hookSecret},
			api.WebhookFilterRule{JsonPath: "$.ref", MatchEquals: "refs/heads/{job}"}, api.WebhookFilterRule{JsonPath: "$.commits[*].id"}))
		const body = `{"ref":"refs/heads/get","commits":[{"id":"1"}]}`
		form := "payload=" + url.QueryEscape(body)
		for name, c := range map[string]struct {
			status int
			text   string
			body   string
			header []string
		}{
			"unsigned":       {403, "signature", body, nil},
			"another secret": {403, "signature", body, []string{"X-Hub-Signature-256", signature256("x", body)}},
			"another body":   {403, "signature", body + " ", []string{"X-Hub-Signature-256", signature256(hookSecret, body)}},
			"downgraded":     {403, "signature", body, []string{"X-Hub-Signature-256", "sha256=00", "X-Hub-Signature", signature1(hookSecret, body)}},
			"no algorithm":   {403, "signature", body, []string{"X-Hub-Signature", signature256(hookSecret, body)}},
			"ping":           {200, "pong", body, []string{"X-Hub-Signature-256", signature256(hookSecret, body), "X-GitHub-Event", "ping"}},
			"another branch": {200, "ignored: $.ref", `{"ref":"refs/heads/x"}`, []string{"X-Hub-Signature-256", signature256(hookSecret, `{"ref":"refs/heads/x"}`)}},
			"no commits":     {200, "ignored: $.commits[*].id selects nothing", `{"ref":"refs/heads/get"}`, []string{"X-Hub-Signature-256", signature256(hookSecret, `{"ref":"refs/heads/get"}`)}},
			"no JSON":        {400, "neither JSON", `{`, []string{"X-Hub-Signature-256", signature256(hookSecret, `{`)}},
			"two documents":  {400, "neither JSON", body + "{}", []string{"X-Hub-Signature-256", signature256(hookSecret, body+"{}")}},
			"closed twice":   {400, "neither JSON", body + "}", []string{"X-Hub-Signature-256", signature256(hookSecret, body+"}")}},
		} {
			if status, text := w.post(hook.Url, c.body, c.header...); status != c.status || !strings.Contains(text, c.text) {
				w.Errorf("%s: %d %s", name, status, text)
			}
		}
		if got := w.starts(); got != nil {
			w.Fatalf("started by %q", got)
		}
		// What came of a genuine delivery is explained (S-259); what was refused is the webhook's error.
		why, err := w.ExplainPipeline(w.ctx, &api.ExplainPipelineInput{Name: "p"})
		told := must(w, why, err).SourceEvents
		if len(told) != 2 || told[0].Subject != "a delivery to the webhook h" || !strings.HasPrefix(told[0].Outcome, "ignored: $.") {
			w.Errorf("explained with %+v", told)
		}
		if got := w.listed()[0]; got.ErrorCode == "" || got.ErrorMessage == "" || got.LastTriggered != nil {
			w.Errorf("the problem was not kept: %+v", got)
		}
		for range 2 { // sent again by the sender
			if status, text := w.post(hook.Url, body, "X-Hub-Signature-256", signature256(hookSecret, body), "X-GitHub-Delivery", "d1"); status != 200 {
				w.Errorf("%d %s", status, text)
			}
		}
		if status, text := w.post(hook.Url, form, "X-Hub-Signature", signature1(hookSecret, form), "X-GitHub-Delivery", "d2",
			"Content-Type", "application/x-www-form-urlencoded"); status != 200 || !strings.Contains(text, "started the pipeline p: execution ") {
			w.Errorf("%d %s", status, text)
		}
		const start = "Webhook arn:aws:codepipeline:eu-west-1:111111111111:webhook:h"
		if got := strings.Join(w.starts(), ", "); got != start+", "+start {
			w.Errorf("started by %s", got)
		}
		if got := w.listed()[0]; got.ErrorCode != "" || got.LastTriggered == nil {
			w.Errorf("after a start: %+v", got)
		}
	})
}

// S-250: a filter may say what it likes; no database stumbles over why it did not match.
func TestWebhookFilterOfAnyText(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		w.create("p")
		hook := w.put(hookDefinition("h", "UNAUTHENTICATED", api.WebhookAuthConfiguration{}, api.WebhookFilterRule{JsonPath: "$.a", MatchEquals: "x\x00y"}))
		if status, text := w.post(hook.Url, `{"a":"b"}`); status != 200 || !strings.HasPrefix(text, "ignored: $.a") {
			w.Errorf("%d %s", status, text)
		}
	})
}

// S-249: who may deliver.
func TestWebhookIP(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		w.create("p")
		for block, want := range map[string]int{"192.0.2.0/24": 200, "192.0.2.7": 200, "192.0.2.8/32": 403, "::/0": 403, "0.0.0.0/0": 200} {
			hook := w.put(hookDefinition("h", "IP", api.WebhookAuthConfiguration{AllowedIPRange: block}))
			if status, text := w.post(hook.Url, `{}`); status != want {
				w.Errorf("%s: %d %s", block, status, text)
			}
		}
		hook := w.put(hookDefinition("u", "UNAUTHENTICATED", api.WebhookAuthConfiguration{}))
		if status, _ := w.post(hook.Url, ``); status != 200 {
			w.Error(status)
		}
		if n := len(w.starts()); n != 4 {
			w.Errorf("%d starts", n)
		}
	})
}

// S-248, S-252, S-253, A-25, A-35, C-17: the URL stays on an update and dies with the webhook;
// the secret is not told; tags are merged.
func TestPutWebhook(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		w.create("p")
		w.PublicURL = func() string { return "https://ci.example" }
		in := hookDefinition("h", "GITHUB_HMAC", api.WebhookAuthConfiguration{SecretToken: hookSecret})
		in.Tags = []api.Tag{{Key: "a", Value: "1"}}
		one := w.put(in)
		if !strings.HasPrefix(one.Url, "https://ci.example/webhooks/trigger?t=") || !strings.HasSuffix(one.Url, "&v=1") || len(one.Url) > 1000 ||
			one.Arn != "arn:aws:codepipeline:eu-west-1:111111111111:webhook:h" || one.Definition.AuthenticationConfiguration.SecretToken != "****" {
			w.Errorf("%+v %+v", one, one.Definition)
		}
		_, err := w.TagResource(w.ctx, &api.TagResourceInput{ResourceArn: one.Arn, Tags: []api.Tag{{Key: "b", Value: "2"}}})
		must(w, 0, err)
		in = hookDefinition("h", "GITHUB_HMAC", api.WebhookAuthConfiguration{SecretToken: "****"}, api.WebhookFilterRule{JsonPath: "ref"})
		in.Tags = []api.Tag{{Key: "a", Value: "3"}}
		two := w.put(in)
		if two.Url != one.Url || two.Arn != one.Arn || len(two.Tags) != 2 || two.Tags[0].Value != "3" || len(two.Definition.Filters) != 1 {
			w.Errorf("updated: %+v", two)
		}
		w.EchoSecrets = true
		if got := w.listed()[0]; got.Definition.AuthenticationConfiguration.SecretToken != hookSecret || got.Url != one.Url {
			w.Errorf("AQ-1: %+v", got.Definition.AuthenticationConfiguration)
		}
		for range 2 {
			_, err = w.DeleteWebhook(w.ctx, &api.DeleteWebhookInput{Name: "h"})
			must(w, 0, err)
		}
		if status, _ := w.post(one.Url, `{}`); status != 404 {
			w.Errorf("the old URL answers %d", status)
		}
		again := w.put(hookDefinition("h", "UNAUTHENTICATED", api.WebhookAuthConfiguration{}))
		if again.Url == one.Url || len(again.Tags) != 0 || again.Tags == nil {
			w.Errorf("made again: %+v", again)
		}
		_, err = w.ListTagsForResource(w.ctx, &api.ListTagsForResourceInput{ResourceArn: one.Arn + "x"})
		w.refused("ResourceNotFoundException", err)
		w.put(hookDefinition("A", "UNAUTHENTICATED", api.WebhookAuthConfiguration{}))
		page, err := w.ListWebhooks(w.ctx, &api.ListWebhooksInput{MaxResults: new(int32(1))})
		if must(w, page, err).Webhooks[0].Definition.Name != "A" || page.NextToken == "" {
			w.Errorf("first page %+v", page)
		}
		page, err = w.ListWebhooks(w.ctx, &api.ListWebhooksInput{MaxResults: new(int32(1)), NextToken: page.NextToken})
		if must(w, page, err).Webhooks[0].Definition.Name != "h" || page.NextToken != "" {
			w.Errorf("second page %+v", page)
		}
	})
}

// S-248…S-250, S-254, A-8, A-36: what is refused, and changes nothing.
func TestPutWebhookRefused(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		w.create("p")
		w.Limits.Webhooks = 1
		w.put(hookDefinition("other", "UNAUTHENTICATED", api.WebhookAuthConfiguration{}))
		both := api.WebhookAuthConfiguration{SecretToken: "x", AllowedIPRange: "10.0.0.0/8"}
		const parameters = "InvalidWebhookAuthenticationParametersException"
		for _, c := range []struct {
			class, text string
			in          *api.PutWebhookInput
		}{
			{parameters, "Optional['authenticationConfig' should contain only one property: 'SecretToken']", hookDefinition("h", "GITHUB_HMAC", both)},
			{parameters, "'SecretToken'", hookDefinition("h", "GITHUB_HMAC", api.WebhookAuthConfiguration{})},
			{parameters, "Optional['authenticationConfig' should contain only one property: 'AllowedIPRange']", hookDefinition("h", "IP", both)},
			{parameters, "should be empty", hookDefinition("h", "UNAUTHENTICATED", both)},
			{parameters, "CIDR", hookDefinition("h", "IP", api.WebhookAuthConfiguration{AllowedIPRange: "10.0.0.0/33"})},
			{parameters, "no secret is stored", hookDefinition("other", "GITHUB_HMAC", api.WebhookAuthConfiguration{SecretToken: "****"})},
			{"InvalidWebhookFilterPatternException", "$..ref", hookDefinition("h", "UNAUTHENTICATED", api.WebhookAuthConfiguration{}, api.WebhookFilterRule{JsonPath: "$..ref"})},
			{"LimitExceededException", "limit", hookDefinition("h", "UNAUTHENTICATED", api.WebhookAuthConfiguration{})},
		} {
			_, err := w.PutWebhook(w.ctx, c.in)
			if w.refused(c.class, err); !strings.Contains(err.Error(), c.text) {
				w.Errorf("%v", err)
			}
		}
		in := hookDefinition("other", "UNAUTHENTICATED", api.WebhookAuthConfiguration{})
		in.Webhook.TargetPipeline = "q"
		_, err := w.PutWebhook(w.ctx, in)
		w.refused("PipelineNotFoundException", err)
		in.Webhook.TargetPipeline, in.Webhook.TargetAction = "p", "Make"
		_, err = w.PutWebhook(w.ctx, in)
		w.refused("ValidationException", err)
		_, err = w.RegisterWebhookWithThirdParty(w.ctx, &api.RegisterWebhookWithThirdPartyInput{WebhookName: "h"})
		w.refused("WebhookNotFoundException", err)
		_, err = w.DeregisterWebhookWithThirdParty(w.ctx, &api.DeregisterWebhookWithThirdPartyInput{})
		w.refused("ValidationException", err)
		_, err = w.RegisterWebhookWithThirdParty(w.ctx, &api.RegisterWebhookWithThirdPartyInput{WebhookName: "other"})
		w.refused("ValidationException", err)
		_, err = w.DeregisterWebhookWithThirdParty(w.ctx, &api.DeregisterWebhookWithThirdPartyInput{WebhookName: "other"})
		must(w, 0, err)
		if list := w.listed(); len(list) != 1 || list[0].Definition.TargetAction != "Get" || list[0].ErrorCode != "" {
			w.Errorf("%+v", list)
		}
		_, err = w.ListWebhooks(t.Context(), &api.ListWebhooksInput{})
		w.refused("AccessDeniedException", err)
	})
}

// S-248, S-253, A-6: URLs that are none, senders that do not post, and a pipeline that is gone.
func TestWebhookHostile(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		w.create("p")
		hook := w.put(hookDefinition("h", "UNAUTHENTICATED", api.WebhookAuthConfiguration{}, api.WebhookFilterRule{JsonPath: "$.a", MatchEquals: "{nothing}"}))
		for _, token := range []string{"", "x", "%00", "%ff", strings.Repeat("A", 60000), "' OR 1=1 --"} {
			if status, _ := w.post("/webhooks/trigger?v=1&t="+url.QueryEscape(token), `{}`); status != 404 {
				w.Errorf("%.20q: %d", token, status)
			}
		}
		req := httptest.NewRequestWithContext(w.ctx, http.MethodGet, hook.Url, nil)
		rec := httptest.NewRecorder()
		if w.ServeWebhook(rec, req); rec.Code != 405 {
			w.Error(rec.Code)
		}
		for _, body := range []string{strings.Repeat("[", 1<<20), "\xff", `{"a":"\ud800"}`, `{"a":{"a":1}}`, `{"a":1e999}`} {
			if status, _ := w.post(hook.Url, body); status != 200 && status != 400 {
				w.Errorf("%.20q: %d", body, status)
			}
		}
		if status, _ := w.post(hook.Url, strings.Repeat(" ", maxDelivery+1)); status != 413 {
			w.Errorf("too large: %d", status)
		}
		if w.starts() != nil {
			w.Error("something was started")
		}
		_, err := w.DeletePipeline(w.ctx, &api.DeletePipelineInput{Name: "p"})
		must(w, 0, err)
		if status, text := w.post(hook.Url, `{"a":"{nothing}"}`); status != 404 || !strings.Contains(text, "no pipeline 'p'") {
			w.Errorf("%d %s", status, text)
		}
		if got := w.listed()[0]; got.ErrorCode != "404" {
			w.Errorf("%+v", got)
		}
	})
}

// S-254, A-36: a webhook of a GitHub source is installed at GitHub, and removed.
func TestRegisterWebhook(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		var calls []string
		answer := http.StatusUnauthorized
		github := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			calls = append(calls, r.Method+" "+r.URL.EscapedPath()+" "+r.Header.Get("Authorization")+" "+string(body))
			rw.WriteHeader(answer)
			_, _ = io.WriteString(rw, `{"id":4711}`)
		}))
		t.Cleanup(github.Close)
		w.GitHub.URL = github.URL
		d := definition("p")
		d.Stages[0].Actions[0] = api.ActionDeclaration{Name: "Get", ActionTypeId: &api.ActionTypeId{Category: "Source", Owner: "ThirdParty", Provider: "GitHub", Version: "1"},
			Configuration: map[string]string{"Owner": "o", "Repo": "r/../x", "Branch": "main", "OAuthToken": "t0ken", "PollForSourceChanges": "false"}, OutputArtifacts: []api.OutputArtifact{{Name: "code"}}}
		d.Stages[2].Actions[0].Configuration = nil
		_, err := w.CreatePipeline(w.ctx, &api.CreatePipelineInput{Pipeline: d})
		must(w, 0, err)
		w.put(hookDefinition("h", "GITHUB_HMAC", api.WebhookAuthConfiguration{SecretToken: "s"}))
		register := func() error {
			_, err := w.RegisterWebhookWithThirdParty(w.ctx, &api.RegisterWebhookWithThirdPartyInput{WebhookName: "h"})
			return err
		}
		w.refused("ValidationException", register())
		if got := w.listed()[0]; got.ErrorCode != "401" || !strings.Contains(got.ErrorMessage, "status 401") {
			w.Errorf("%+v", got)
		}
		answer = http.StatusCreated
		for range 2 {
			must(w, 0, register())
		}
		answer = http.StatusNoContent
		for range 2 {
			_, err := w.DeregisterWebhookWithThirdParty(w.ctx, &api.DeregisterWebhookWithThirdPartyInput{WebhookName: "h"})
			must(w, 0, err)
		}
		if len(calls) != 3 || !strings.HasPrefix(calls[1], "POST /repos/o/r%2F..%2Fx/hooks Bearer t0ken ") || !strings.Contains(calls[1], `"secret":"s"`) ||
			!strings.HasPrefix(calls[2], "DELETE /repos/o/r%2F..%2Fx/hooks/4711 ") {
			w.Errorf("%q", calls)
		}
		if got := w.listed()[0]; got.ErrorCode != "" {
			w.Errorf("%+v", got)
		}
	})
}

// S-254: a registration goes to the repository that is named at GitHub, and nowhere else: no name
// leaves the folder of repositories, and no redirection takes the secret along.
func TestRegisterWebhookStays(t *testing.T) {
	t.Parallel()
	var seen []string
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = append(seen, "other "+r.URL.Path) }))
	t.Cleanup(other.Close)
	github := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.URL.Path)
		if to := map[string]string{"/repos/o/moved/hooks": "/repositories/1/hooks", "/repos/o/away/hooks": other.URL, "/repos/o/loop/hooks": "/repos/o/loop/hooks"}[r.URL.Path]; to != "" {
			http.Redirect(w, r, to, http.StatusTemporaryRedirect)
		}
	}))
	t.Cleanup(github.Close)
	g := GitHub{URL: github.URL}
	call := func(owner, repo string) (int, error) {
		seen = nil
		return g.call(t.Context(), http.MethodPost, "/hooks", map[string]string{"Owner": owner, "Repo": repo, "OAuthToken": "t0ken"}, map[string]string{"secret": "s"}, nil)
	}
	if status, err := call("o", "moved"); status != http.StatusOK || err != nil || len(seen) != 2 {
		t.Errorf("a repository with a new name: %d %v %q", status, err, seen)
	}
	for _, repo := range []string{"away", "loop"} {
		if _, err := call("o", repo); err == nil || len(seen) > 10 || slices.ContainsFunc(seen, func(s string) bool { return strings.HasPrefix(s, "other") }) {
			t.Errorf("%s: %v %q", repo, err, seen)
		}
	}
	for _, name := range []string{"..", "."} {
		for _, c := range [][2]string{{name, "r"}, {"o", name}} {
			if _, err := call(c[0], c[1]); err == nil || seen != nil {
				t.Errorf("%q: %v %q", c, err, seen)
			}
		}
	}
}

// S-251: no payload panics; one that is no form is JSON and nothing else, or blank.
func FuzzPayload(f *testing.F) {
	for _, body := range []string{`{"ref":1}`, "payload=%7B%7D", "payload=%zz", "", "[[[", `{"a":"\u0000"}`, "\xff", `{"ref":[{"x":-1e1000}]}`, `{"ref":1}]`, `[]}`, "1 2", "\u00a0",
		"payload=%7B%7D%5D&payload=1"} {
		f.Add("application/json", body)
		f.Add("application/x-www-form-urlencoded", body)
		f.Add(`application/json; charset="`, body)
	}
	f.Fuzz(func(t *testing.T, contentType, body string) {
		v, err := payloadOf(contentType, []byte(body))
		if err == nil {
			filtered([]api.WebhookFilterRule{{JsonPath: "$.ref[*].x", MatchEquals: "{a}{b}"}, {JsonPath: "$"}}, map[string]string{"a": body}, v)
		}
		if _, err := payloadOf("", []byte(body)); (err == nil) != (json.Valid([]byte(body)) || strings.TrimSpace(body) == "") {
			t.Fatalf("%q as JSON: %v", body, err)
		}
	})
}
