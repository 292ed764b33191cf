package events

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	api "penstock/internal/api/events"
	"penstock/internal/fault"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// oauth is a connection that gets its tokens at an endpoint.
func oauth(endpoint string) *api.CreateConnectionInput {
	return &api.CreateConnectionInput{Name: "oauth", AuthorizationType: "OAUTH_CLIENT_CREDENTIALS", AuthParameters: &authority{OAuthParameters: &api.CreateConnectionOAuthRequestParameters{
		AuthorizationEndpoint: endpoint, HttpMethod: "POST",
		ClientParameters: &api.CreateConnectionOAuthClientRequestParameters{ClientID: "me", ClientSecret: "s3cret"},
		OAuthHttpParameters: &api.ConnectionHttpParameters{
			BodyParameters:        []api.ConnectionBodyParameter{{Key: "audience", Value: "hidden", IsValueSecret: new(true)}},
			HeaderParameters:      []api.ConnectionHeaderParameter{{Key: "X-Tenant", Value: "t"}, {Key: "Via", Value: "not taken"}},
			QueryStringParameters: []api.ConnectionQueryStringParameter{{Key: "q", Value: "1"}},
		},
	}}}
}

// N-14: requests of a connection that authorises by OAuth have a token, which is got with the
// client's credentials, kept as long as it lives, and replaced when an endpoint refuses it.
func TestOAuth(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db)
		var tokens, refusals atomic.Int32
		var life atomic.Value
		life.Store(`"3600"`)
		got := make(chan string, 100)
		srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if r.URL.Path == "/token" {
				if want := "audience=hidden&client_id=me&client_secret=s3cret&grant_type=client_credentials"; string(body) != want || r.URL.RawQuery != "q=1" ||
					r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || r.Header.Get("X-Tenant") != "t" || r.Header.Get("Via") != "" || r.Method != "POST" {
					t.Errorf("%s %s %s %v", r.Method, r.URL, body, r.Header)
				}
				fmt.Fprintf(w, `{"access_token":"t%d","token_type":"bearer","expires_in":%s}`, tokens.Add(1), life.Load())
				return
			}
			got <- r.Header.Get("Authorization") + " " + string(body)
			if refusals.Add(-1) >= 0 {
				w.WriteHeader(http.StatusUnauthorized)
			}
		}))
		t.Cleanup(srv.Close)
		b.client.Transport.(*http.Transport).TLSClientConfig = srv.Client().Transport.(*http.Transport).TLSClientConfig
		next := func(want string) {
			t.Helper()
			select {
			case text := <-got:
				if text != want {
					t.Errorf("%s, not %s", text, want)
				}
			case <-time.After(patience):
				t.Fatal("nothing is received")
			}
		}
		arn := b.destination(t, "hook", b.connection(t, oauth(srv.URL+"/token")), srv.URL+"/hook", "POST")
		b.rule(t, &api.PutRuleInput{Name: "r", EventPattern: `{"source":["my.app"]}`}, api.Target{Id: "t", Arn: arn, RoleArn: role, InputPath: "$.detail.n"})
		b.run(t)
		for n := range 2 { // with one token
			b.tell(t, fmt.Sprintf(`{"n":%d}`, n))
			next(fmt.Sprintf("Bearer t1 %d", n))
		}
		refusals.Store(1)
		b.tell(t, `{"n":3}`)
		next("Bearer t1 3")
		next("Bearer t2 3")
		if b.row(t, "oauth").Doc == "" || tokens.Load() != 2 {
			t.Error(tokens.Load())
		}
		life.Store("0")
		if _, err := b.UpdateConnection(b.ctx, &api.UpdateConnectionInput{Name: "oauth", Description: new("short")}); err != nil {
			t.Fatal(err)
		}
		b.tell(t, `{"n":4}`) // with another token than the one of the update, which is over
		next("Bearer t4 4")
	})
}

// N-14: what came of getting a token is the state of the connection; no answer, document or error
// has a secret.
func TestOAuthStates(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db)
		var answer atomic.Value
		answer.Store(`{"access_token":"t0ken"}`)
		srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if text := answer.Load().(string); text != "" {
				fmt.Fprint(w, text)
				return
			}
			http.Error(w, "no s3cret", http.StatusForbidden)
		}))
		t.Cleanup(srv.Close)
		b.client.Transport.(*http.Transport).TLSClientConfig = srv.Client().Transport.(*http.Transport).TLSClientConfig
		b.connection(t, oauth(srv.URL+"/token"))
		var said strings.Builder
		state := func() string {
			t.Helper()
			out, err := b.DescribeConnection(b.ctx, &api.DescribeConnectionInput{Name: "oauth"})
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(out)
			if err != nil {
				t.Fatal(err)
			}
			said.Write(text)
			list, err := b.ListConnections(b.ctx, &api.ListConnectionsInput{ConnectionState: out.ConnectionState})
			if err != nil || len(list.Connections) != 1 || list.Connections[0].StateReason != out.StateReason {
				t.Error(list, err)
			}
			return out.ConnectionState + " " + out.StateReason
		}
		change := func(o *api.UpdateConnectionOAuthRequestParameters) (*api.UpdateConnectionOutput, error) {
			return b.UpdateConnection(b.ctx, &api.UpdateConnectionInput{Name: "oauth", AuthParameters: &api.UpdateConnectionAuthRequestParameters{OAuthParameters: o}})
		}
		if got := state(); got != "AUTHORIZED " {
			t.Error(got)
		}
		for bad, why := range map[string]string{"": "it answered 403", "{}": "its answer is not JSON with an access_token", `{"access_token":"a\r\nb"}`: "its answer is not JSON with an access_token",
			"[": "its answer is not JSON with an access_token", `{"access_token":"a","token_type":"` + strings.Repeat("x", 21) + `"}`: "its answer is not JSON with an access_token"} {
			answer.Store(bad)
			out, err := change(nil)
			if err != nil || out.ConnectionState != "DEAUTHORIZED" {
				t.Errorf("%s: %+v %v", bad, out, err)
			}
			if got := state(); got != "DEAUTHORIZED no token from the authorization endpoint: "+why {
				t.Errorf("%s: %s", bad, got)
			}
		}
		answer.Store(`{"access_token":"t0ken"}`)
		if out, err := change(&api.UpdateConnectionOAuthRequestParameters{HttpMethod: "GET"}); err != nil || out.ConnectionState != "AUTHORIZED" || out.LastAuthorizedTime == nil {
			t.Error(out, err)
		}
		if got := state(); got != "AUTHORIZED " {
			t.Error(got)
		}
		// Another endpoint is told none of the old secrets.
		if _, err := change(&api.UpdateConnectionOAuthRequestParameters{AuthorizationEndpoint: srv.URL + "/other", ClientParameters: &api.UpdateConnectionOAuthClientRequestParameters{ClientID: "me"}}); fault.Code(err) != "ValidationException" {
			t.Error(err)
		}
		if _, err := change(&api.UpdateConnectionOAuthRequestParameters{AuthorizationEndpoint: srv.URL + "/other",
			ClientParameters: &api.UpdateConnectionOAuthClientRequestParameters{ClientID: "me", ClientSecret: "n3w"}}); err != nil {
			t.Error(err)
		}
		if o := b.secrets(t, "oauth").OAuthParameters; o.OAuthHttpParameters != nil || o.ClientParameters.ClientSecret != "n3w" || o.HttpMethod != "GET" {
			t.Errorf("%+v", o)
		}
		row := b.row(t, "oauth")
		said.WriteString(row.Doc + row.Sealed)
		for _, secret := range []string{"s3cret", "hidden", "t0ken", "n3w"} {
			if strings.Contains(said.String(), secret) {
				t.Errorf("%s is shown: %s", secret, said.String())
			}
		}
		for name, do := range map[string]func(*api.CreateConnectionOAuthRequestParameters){
			"no secret": func(o *api.CreateConnectionOAuthRequestParameters) { o.ClientParameters.ClientSecret = "" }, "no method": func(o *api.CreateConnectionOAuthRequestParameters) { o.HttpMethod = "" },
			"http": func(o *api.CreateConnectionOAuthRequestParameters) { o.AuthorizationEndpoint = "http://example.org/" }, "private": func(o *api.CreateConnectionOAuthRequestParameters) { o.AuthorizationEndpoint = "https://127.0.0.1/" },
			"a place": func(o *api.CreateConnectionOAuthRequestParameters) { o.AuthorizationEndpoint = "https://example.org/*" },
			"a header": func(o *api.CreateConnectionOAuthRequestParameters) {
				o.OAuthHttpParameters.HeaderParameters[0].Key = "a b"
			},
		} {
			in := oauth("https://example.org/token")
			in.Name = "bad"
			do(in.AuthParameters.OAuthParameters)
			guarded := New(Deps{DB: db})
			if _, err := guarded.CreateConnection(b.ctx, in); fault.Code(err) != "ValidationException" {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// N-14: the forms of the request for a token.
func TestTokenRequest(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	o := oauth("https://example.org/token?a=b").AuthParameters.OAuthParameters
	o.HttpMethod = "GET"
	req, err := tokenRequest(ctx, o)
	if err != nil || req.URL.RawQuery != "a=b&audience=hidden&client_id=me&client_secret=s3cret&grant_type=client_credentials&q=1" || req.ContentLength != 0 {
		t.Error(req, err)
	}
	o.HttpMethod = "PUT"
	o.OAuthHttpParameters.HeaderParameters = []api.ConnectionHeaderParameter{{Key: "content-type", Value: "application/json"}}
	o.OAuthHttpParameters.BodyParameters = append(o.OAuthHttpParameters.BodyParameters, api.ConnectionBodyParameter{Key: "grant_type", Value: "own"})
	if req, err = tokenRequest(ctx, o); err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil || string(body) != `{"audience":"hidden","client_id":"me","client_secret":"s3cret","grant_type":"own"}` || req.Method != "PUT" {
		t.Error(string(body), err)
	}
	o.OAuthHttpParameters.HeaderParameters[0].Value = "a\x00b"
	if _, err := tokenRequest(ctx, o); err == nil {
		t.Error("a header with a zero")
	}
}
