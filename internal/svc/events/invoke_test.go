package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	api "penstock/internal/api/events"
	"penstock/internal/auth"
	"penstock/internal/courier"
	"penstock/internal/egress"
	"penstock/internal/fault"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// received is what a peer got.
type received struct {
	*http.Request
	body string
}

// peer is an HTTPS server that answers as it is told, first come first, and 200 after that.
func (b *bench) peer(t *testing.T, answers ...http.HandlerFunc) (url string, got <-chan received) {
	t.Helper()
	told, next := make(chan received, 100), make(chan http.HandlerFunc, len(answers))
	for _, a := range answers {
		next <- a
	}
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		told <- received{r, string(body)}
		select {
		case answer := <-next:
			answer(w, r)
		default:
		}
	}))
	t.Cleanup(srv.Close)
	b.client.Transport.(*http.Transport).TLSClientConfig = srv.Client().Transport.(*http.Transport).TLSClientConfig
	return srv.URL, told
}

func take(t *testing.T, got <-chan received) received {
	t.Helper()
	select {
	case r := <-got:
		return r
	case <-time.After(patience):
		t.Fatal("nothing is received")
		panic("not reached")
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func (b *bench) connection(t *testing.T, in *api.CreateConnectionInput) string {
	t.Helper()
	out, err := b.CreateConnection(b.ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	if out.ConnectionState != "AUTHORIZED" || out.CreationTime == nil {
		t.Errorf("%+v", out)
	}
	return out.ConnectionArn
}

func basic() *api.CreateConnectionInput {
	return &api.CreateConnectionInput{Name: "basic", AuthorizationType: "BASIC", AuthParameters: &api.CreateConnectionAuthRequestParameters{
		BasicAuthParameters: &api.CreateConnectionBasicAuthRequestParameters{Username: "ann", Password: "pa55word"}}}
}

func (b *bench) destination(t *testing.T, name, connection, endpoint, method string) string {
	t.Helper()
	out, err := b.CreateApiDestination(b.ctx, &api.CreateApiDestinationInput{Name: name, ConnectionArn: connection, InvocationEndpoint: endpoint, HttpMethod: method})
	if err != nil {
		t.Fatal(err)
	}
	if out.ApiDestinationState != "ACTIVE" || out.CreationTime == nil {
		t.Errorf("%+v", out)
	}
	return out.ApiDestinationArn
}

func (b *bench) tell(t *testing.T, detail string) {
	t.Helper()
	out, err := b.PutEvents(b.ctx, &api.PutEventsInput{Entries: []api.PutEventsRequestEntry{{Source: "my.app", DetailType: "d", Detail: detail}}})
	if err != nil || *out.FailedEntryCount != 0 {
		t.Fatal(out, err)
	}
}

// N-14: an API destination gets what matches, authorised by its connection, with the values of
// the target and of the connection, which win.
func TestDestination(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db)
		url, got := b.peer(t)
		secret := true
		key := b.connection(t, &api.CreateConnectionInput{Name: "key", AuthorizationType: "API_KEY", AuthParameters: &api.CreateConnectionAuthRequestParameters{
			ApiKeyAuthParameters: &api.CreateConnectionApiKeyAuthRequestParameters{ApiKeyName: "x-api-key", ApiKeyValue: "k3y"},
			InvocationHttpParameters: &api.ConnectionHttpParameters{
				HeaderParameters:      []api.ConnectionHeaderParameter{{Key: "X-Own", Value: "connection", IsValueSecret: &secret}, {Key: "User-Agent", Value: "me"}},
				QueryStringParameters: []api.ConnectionQueryStringParameter{{Key: "q", Value: "connection"}},
				BodyParameters:        []api.ConnectionBodyParameter{{Key: "team", Value: "a&b", IsValueSecret: &secret}},
			}}})
		arn := b.destination(t, "hook", key, url+"/items/*/a?x=1&y=*", "PUT")
		if !strings.HasPrefix(arn, "arn:aws:events:us-east-1:000000000000:api-destination/hook/") {
			t.Error(arn)
		}
		b.rule(t, &api.PutRuleInput{Name: "r", EventPattern: `{"source":["my.app"]}`}, api.Target{Id: "t", Arn: arn, RoleArn: role,
			InputPath: "$.detail",
			HttpParameters: &api.HttpParameters{
				PathParameterValues:   []string{"$.detail.path", "$.detail.n"},
				HeaderParameters:      map[string]string{"X-Own": "target", "X-Target": "$.source", "Host": "elsewhere"},
				QueryStringParameters: map[string]string{"q": "target", "none": "$.detail.none"},
			}})
		b.run(t)
		b.tell(t, `{"path":"a/b ?","n":7}`)
		r := take(t, got)
		if r.Method != "PUT" || r.URL.EscapedPath() != "/items/a%2Fb%20%3F/a" || r.URL.Query().Encode() != "none=&q=connection&x=1&y=7" {
			t.Error(r.Method, r.URL)
		}
		if r.body != `{"n":7,"path":"a/b ?","team":"a&b"}` {
			t.Error(r.body)
		}
		for name, want := range map[string]string{"X-Api-Key": "k3y", "X-Own": "connection", "X-Target": "my.app", "User-Agent": "Amazon/EventBridge/ApiDestinations",
			"Content-Type": "application/json; charset=utf-8", "Range": "bytes=0-1048575", "Authorization": ""} {
			if r.Header.Get(name) != want {
				t.Errorf("%s is %q", name, r.Header.Get(name))
			}
		}
		if r.Host != strings.TrimPrefix(url, "https://") {
			t.Error(r.Host)
		}
		b.mu.Lock()
		if want := (Call{Account: account, Region: region, RoleARN: role, Source: ruleARN(account, region, defaultBus, "r"),
			Action: "events:InvokeApiDestination", Resource: arn}); !slices.Equal(b.asked, []Call{want}) {
			t.Errorf("%+v", b.asked)
		}
		b.mu.Unlock()

		// From now on with another connection, and what the event has must not leave its place.
		other := b.connection(t, basic())
		if _, err := b.UpdateApiDestination(b.ctx, &api.UpdateApiDestinationInput{Name: "hook", ConnectionArn: other, HttpMethod: "POST"}); err != nil {
			t.Fatal(err)
		}
		b.tell(t, `{"path":"..","n":1}`)
		b.tell(t, `{"path":"ok","n":1}`)
		r = take(t, got)
		if user, password, _ := r.BasicAuth(); r.Method != "POST" || r.URL.Path != "/items/ok/a" || user != "ann" || password != "pa55word" || r.Header.Get("X-Own") != "target" {
			t.Error(r.Method, r.URL, user, r.Header)
		}
	})
}

// N-14: an endpoint is called again, in order, after what may pass, and not after what will not.
func TestDestinationRetries(t *testing.T) {
	t.Parallel()
	b := newBench(t, storetest.SQLite(t))
	url, got := b.peer(t, status(429), status(503), status(200), status(404))
	arn := b.destination(t, "hook", b.connection(t, basic()), url, "POST")
	b.rule(t, &api.PutRuleInput{Name: "r", EventPattern: `{"source":["aws.codepipeline"]}`}, api.Target{Id: "t", Arn: arn, RoleArn: role, InputPath: "$.detail.n"})
	var list []store.Outgoing
	for n := range 3 {
		list = append(list, store.Outgoing{Seq: int64(n + 1), Account: account, Region: region, Source: "aws.codepipeline", DetailType: "d", Resource: pipeline,
			Detail: fmt.Sprintf(`{"execution-id":"e","n":%d}`, n+1)})
	}
	if err := b.Take(b.ctx, list); err != nil {
		t.Fatal(err)
	}
	b.run(t)
	var bodies []string
	for range 5 {
		bodies = append(bodies, take(t, got).body)
	}
	if want := []string{"1", "1", "1", "2", "3"}; !slices.Equal(bodies, want) {
		t.Error(bodies)
	}
}

// N-14: which answers of an endpoint are tried again, and when.
func TestDestinationAnswers(t *testing.T) {
	t.Parallel()
	b := newBench(t, storetest.SQLite(t))
	after := func(code int, when string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", when)
			w.Header().Set("Location", "/other")
			w.WriteHeader(code)
		}
	}
	cases := []struct {
		answer http.HandlerFunc
		more   bool
		wait   time.Duration
	}{
		{status(401), true, 0}, {status(407), true, 0}, {status(409), true, 0}, {status(429), true, 0}, {status(500), true, 0}, {status(503), true, 0},
		{status(400), false, 0}, {status(403), false, 0}, {status(404), false, 0}, {after(307, ""), false, 0},
		{after(429, "3600"), true, time.Hour}, {after(503, "-1"), false, 0},
		{after(503, time.Now().Add(2*time.Hour).UTC().Format(http.TimeFormat)), true, time.Hour},
	}
	var answers []http.HandlerFunc
	for _, c := range cases {
		answers = append(answers, c.answer)
	}
	url, got := b.peer(t, answers...)
	arn := b.destination(t, "hook", b.connection(t, basic()), url, "POST")
	for i, c := range cases {
		err := b.invoke(t.Context(), Call{Account: account, Region: region, Resource: arn}, strings.TrimPrefix(arn, destinationARN(account, region, "")), &parcel{Input: "{}"})
		if take(t, got); err == nil || givenUp(err) == c.more {
			t.Errorf("%d: %v", i, err)
		}
		if wait, _ := again(store.Delivery{Doc: `{}`, Created: time.Now()}, err); wait < c.wait {
			t.Errorf("%d: again in %v", i, wait)
		}
	}
	// One that asks for more time than there is gets none.
	if wait, more := again(store.Delivery{Doc: `{}`, Created: time.Now()}, later{errors.New(""), math.MaxInt64}); more {
		t.Errorf("again in %v", wait)
	}
}

// N-14: whose role may not invoke a destination, what has none any more, and what has lost its
// connection, sends nothing.
func TestDestinationRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t, storetest.SQLite(t))
	url, got := b.peer(t)
	arn := b.destination(t, "hook", b.connection(t, basic()), url, "POST")
	call := Call{Account: account, Region: region, Action: "events:InvokeApiDestination", Resource: arn}
	name := strings.TrimPrefix(arn, destinationARN(account, region, ""))
	invoke := func() error { return b.invoke(t.Context(), call, name, &parcel{Input: "{}"}) }
	if err := invoke(); err != nil {
		t.Fatal(err)
	}
	take(t, got)
	b.deny[call.Action] = 400
	if err := invoke(); fault.Code(err) != "AccessDeniedException" || !givenUp(err) {
		t.Error(err)
	}
	clear(b.deny)
	if _, err := b.DeleteConnection(b.ctx, &api.DeleteConnectionInput{Name: "basic"}); err != nil {
		t.Fatal(err)
	}
	if out, err := b.DescribeApiDestination(b.ctx, &api.DescribeApiDestinationInput{Name: "hook"}); err != nil || out.ApiDestinationState != "INACTIVE" {
		t.Error(out, err)
	}
	b.connection(t, basic()) // another one of the same name
	if err := invoke(); err == nil || givenUp(err) || !strings.Contains(err.Error(), "INACTIVE") {
		t.Error(err)
	}
	if _, err := b.DeleteApiDestination(b.ctx, &api.DeleteApiDestinationInput{Name: "hook"}); err != nil {
		t.Fatal(err)
	}
	if err := invoke(); !givenUp(err) {
		t.Error(err)
	}
	select {
	case r := <-got:
		t.Error("it is sent", r.URL)
	default:
	}
}

func givenUp(err error) bool {
	return err != nil && fmt.Sprintf("%T", err) == fmt.Sprintf("%T", courier.GiveUp(errors.New("x")))
}

// N-14: without --allow-private-targets, endpoints are https and of the internet, whatever name
// they have.
func TestPrivateDestinations(t *testing.T) {
	t.Parallel()
	b := newBench(t, storetest.SQLite(t))
	b.Room = New(Deps{DB: b.db, Allowed: func(context.Context, Call) error { return nil }})
	_, got := b.peer(t)
	connection := b.connection(t, basic())
	for _, endpoint := range []string{"http://example.org/", "https://127.0.0.1/", "https://10.1.2.3/x", "https://169.254.169.254/latest", "https://*/", "https://a:b@example.org/",
		"https:///x", "example.org", "file:///etc/passwd"} {
		if _, err := b.CreateApiDestination(b.ctx, &api.CreateApiDestinationInput{Name: "x", ConnectionArn: connection, InvocationEndpoint: endpoint, HttpMethod: "POST"}); fault.Code(err) != "ValidationException" {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
	arn := b.destination(t, "hook", connection, "https://localhost:1/", "POST")
	name := strings.TrimPrefix(arn, destinationARN(account, region, ""))
	if err := b.invoke(t.Context(), Call{Account: account, Region: region, Resource: arn}, name, &parcel{Input: "{}"}); !errors.Is(err, egress.ErrPrivate) || !givenUp(err) {
		t.Error(err)
	}
	if len(got) != 0 {
		t.Error("it is sent")
	}
}

// N-14: no answer has a secret of a connection, and neither has the database.
func TestConnections(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db)
		var said strings.Builder
		say := func(v any, err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			said.Write(text)
		}
		yes := true
		in := basic()
		in.Description = "first"
		in.AuthParameters.InvocationHttpParameters = &api.ConnectionHttpParameters{
			HeaderParameters:      []api.ConnectionHeaderParameter{{Key: "X-A", Value: "hidden-1", IsValueSecret: &yes}, {Key: "X-B", Value: "open-1"}},
			QueryStringParameters: []api.ConnectionQueryStringParameter{{Key: "q", Value: "hidden-2", IsValueSecret: &yes}},
			BodyParameters:        []api.ConnectionBodyParameter{{Key: "b", Value: "hidden-3", IsValueSecret: &yes}},
		}
		made, err := b.CreateConnection(b.ctx, in)
		say(made, err)
		for _, name := range []string{"c1", "c2"} {
			other := basic()
			other.Name = name
			b.connection(t, other)
		}
		say(b.DescribeConnection(b.ctx, &api.DescribeConnectionInput{Name: "basic"}))
		say(b.ListConnections(b.ctx, &api.ListConnectionsInput{}))
		out, err := b.DescribeConnection(b.ctx, &api.DescribeConnectionInput{Name: "basic"})
		if err != nil || out.Description != "first" || out.ConnectionArn != made.ConnectionArn || out.AuthParameters.BasicAuthParameters.Username != "ann" ||
			out.AuthParameters.InvocationHttpParameters.HeaderParameters[1].Value != "open-1" {
			t.Errorf("%+v %v", out, err)
		}
		// A password alone changes, then the type.
		say(b.UpdateConnection(b.ctx, &api.UpdateConnectionInput{Name: "basic", AuthParameters: &api.UpdateConnectionAuthRequestParameters{
			BasicAuthParameters: &api.UpdateConnectionBasicAuthRequestParameters{Password: "hidden-4"}}}))
		if with := b.secrets(t, "basic"); with.BasicAuthParameters.Username != "ann" || with.BasicAuthParameters.Password != "hidden-4" || with.InvocationHttpParameters == nil {
			t.Error("the password is not changed, or something else is")
		}
		if _, err := b.UpdateConnection(b.ctx, &api.UpdateConnectionInput{Name: "basic", AuthorizationType: "API_KEY"}); fault.Code(err) != "ValidationException" {
			t.Error(err)
		}
		say(b.UpdateConnection(b.ctx, &api.UpdateConnectionInput{Name: "basic", AuthorizationType: "API_KEY", AuthParameters: &api.UpdateConnectionAuthRequestParameters{
			ApiKeyAuthParameters: &api.UpdateConnectionApiKeyAuthRequestParameters{ApiKeyName: "x-key", ApiKeyValue: "hidden-5"}}}))
		say(b.DescribeConnection(b.ctx, &api.DescribeConnectionInput{Name: "basic"}))
		if with := b.secrets(t, "basic"); with.BasicAuthParameters != nil || with.ApiKeyAuthParameters.ApiKeyValue != "hidden-5" {
			t.Error("the type is not changed")
		}

		page, err := b.ListConnections(b.ctx, &api.ListConnectionsInput{NamePrefix: "c", Limit: new(int32(1))})
		if err != nil || len(page.Connections) != 1 || page.Connections[0].Name != "c1" || page.NextToken == "" {
			t.Fatal(page, err)
		}
		if page, err = b.ListConnections(b.ctx, &api.ListConnectionsInput{NamePrefix: "c", NextToken: page.NextToken}); err != nil || len(page.Connections) != 1 || page.Connections[0].Name != "c2" || page.NextToken != "" {
			t.Error(page, err)
		}
		b.destination(t, "d1", page.Connections[0].ConnectionArn, "https://example.org/", "POST")
		b.destination(t, "d2", made.ConnectionArn, "https://example.org/", "POST")
		for arn, want := range map[string]int{"": 2, made.ConnectionArn: 1} {
			if list, err := b.ListApiDestinations(b.ctx, &api.ListApiDestinationsInput{ConnectionArn: arn}); err != nil || len(list.ApiDestinations) != want || list.ApiDestinations[want-1].Name != "d2" {
				t.Error(list, err)
			}
		}
		say(b.DeleteConnection(b.ctx, &api.DeleteConnectionInput{Name: "basic"}))
		rows := b.row(t, "c1")
		said.WriteString(rows.Doc + rows.Sealed)
		for _, secret := range []string{"hidden", "pa55word"} {
			if strings.Contains(said.String(), secret) {
				t.Errorf("%s is shown: %s", secret, said.String())
			}
		}
	})
}

func (b *bench) row(t *testing.T, name string) (row store.EventConnection) {
	t.Helper()
	if err := b.db.View(b.ctx, func(tx *store.Tx) (err error) {
		row, err = tx.GetEventConnection(b.ctx, account, region, name)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return row
}

func (b *bench) secrets(t *testing.T, name string) (with authority) {
	t.Helper()
	row := b.row(t, name)
	if err := b.db.View(b.ctx, func(tx *store.Tx) (err error) {
		_, _, with, err = openConnection(tx, row, nil)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return with
}

// N-14: what a connection or a destination cannot have here is refused when it is said.
func TestConnectionRefusals(t *testing.T) {
	t.Parallel()
	b := newBench(t, storetest.SQLite(t))
	arn := b.connection(t, basic())
	for code, ins := range map[string][]func(*api.CreateConnectionInput){
		"ResourceAlreadyExistsException": {func(*api.CreateConnectionInput) {}},
		"ValidationException": {
			func(in *api.CreateConnectionInput) { in.AuthorizationType = "OAUTH_CLIENT_CREDENTIALS" },
			func(in *api.CreateConnectionInput) { in.AuthorizationType = "API_KEY" },
			func(in *api.CreateConnectionInput) { in.KmsKeyIdentifier = "alias/x" },
			func(in *api.CreateConnectionInput) {
				in.InvocationConnectivityParameters = &api.ConnectivityResourceParameters{}
			},
			func(in *api.CreateConnectionInput) {
				in.AuthParameters.ApiKeyAuthParameters = &api.CreateConnectionApiKeyAuthRequestParameters{ApiKeyName: "x", ApiKeyValue: "y"}
			},
			func(in *api.CreateConnectionInput) {
				in.AuthorizationType, in.AuthParameters = "API_KEY", &authority{ApiKeyAuthParameters: &api.CreateConnectionApiKeyAuthRequestParameters{ApiKeyName: "a b", ApiKeyValue: "y"}}
			},
			func(in *api.CreateConnectionInput) {
				in.AuthorizationType, in.AuthParameters = "API_KEY", &authority{ApiKeyAuthParameters: &api.CreateConnectionApiKeyAuthRequestParameters{ApiKeyName: "host", ApiKeyValue: "y"}}
			},
			func(in *api.CreateConnectionInput) {
				in.AuthParameters.InvocationHttpParameters = &api.ConnectionHttpParameters{BodyParameters: []api.ConnectionBodyParameter{{Key: "k", Value: strings.Repeat("x", maxAuth)}}}
			},
		},
	} {
		for i, change := range ins {
			in := basic()
			change(in)
			if _, err := b.CreateConnection(b.ctx, in); fault.Code(err) != code {
				t.Errorf("%s %d: %v", code, i, err)
			}
		}
	}
	good := api.CreateApiDestinationInput{Name: "hook", ConnectionArn: arn, InvocationEndpoint: "https://example.org/", HttpMethod: "POST"}
	if _, err := b.CreateApiDestination(b.ctx, &good); err != nil {
		t.Fatal(err)
	}
	if out, err := b.DescribeApiDestination(b.ctx, &api.DescribeApiDestinationInput{Name: "hook"}); err != nil || *out.InvocationRateLimitPerSecond != 300 || out.ConnectionArn != arn || out.HttpMethod != "POST" {
		t.Error(out, err)
	}
	again, fast, foreign := good, good, good
	fast.Name, fast.InvocationRateLimitPerSecond = "fast", new(int32(301))
	foreign.Name, foreign.ConnectionArn = "foreign", strings.Replace(arn, account, "111111111111", 1)
	stale := foreign
	stale.ConnectionArn = connectionARN(account, region, "basic/1")
	for code, list := range map[string][]*api.CreateApiDestinationInput{"ResourceAlreadyExistsException": {&again}, "ValidationException": {&fast}, "ResourceNotFoundException": {&foreign, &stale}} {
		for _, in := range list {
			if _, err := b.CreateApiDestination(b.ctx, in); fault.Code(err) != code {
				t.Errorf("%s: %v", in.Name, err)
			}
		}
	}
	// Without a permission nothing is told, and what is not there is not found.
	stranger, err := auth.Limited(t.Context(), auth.From(b.ctx))
	if err != nil {
		t.Fatal(err)
	}
	for ctx, code := range map[context.Context]string{stranger: "AccessDeniedException", b.ctx: "ResourceNotFoundException"} {
		for what, err := range map[string]error{
			"describe": second(b.DescribeConnection(ctx, &api.DescribeConnectionInput{Name: "none"})),
			"update":   second(b.UpdateConnection(ctx, &api.UpdateConnectionInput{Name: "none"})),
			"delete":   second(b.DeleteConnection(ctx, &api.DeleteConnectionInput{Name: "none"})),
			"show":     second(b.DescribeApiDestination(ctx, &api.DescribeApiDestinationInput{Name: "none"})),
			"change":   second(b.UpdateApiDestination(ctx, &api.UpdateApiDestinationInput{Name: "none"})),
			"remove":   second(b.DeleteApiDestination(ctx, &api.DeleteApiDestinationInput{Name: "none"})),
		} {
			if fault.Code(err) != code {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

// Whoever makes a destination, or has it call elsewhere, uses a connection: without the permission
// on that connection its secrets go nowhere they did not go before. N-14
func TestConnectionsAreNotAnybodys(t *testing.T) {
	t.Parallel()
	b := newBench(t, storetest.SQLite(t))
	mine := basic()
	mine.Name = "mine"
	basicARN, mineARN := b.connection(t, basic()), b.connection(t, mine)
	b.destination(t, "hook", basicARN, "https://example.org/", "POST")
	ctx, err := auth.Limited(t.Context(), auth.From(b.ctx), `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"events:*","Resource":["arn:aws:events:us-east-1:000000000000:api-destination/*",
		"arn:aws:events:us-east-1:000000000000:connection/mine"]}]}`)
	if err != nil {
		t.Fatal(err)
	}
	create := func(name, connection string) error {
		return second(b.CreateApiDestination(ctx, &api.CreateApiDestinationInput{Name: name, ConnectionArn: connection, InvocationEndpoint: "https://thief.example/", HttpMethod: "POST"}))
	}
	update := func(in api.UpdateApiDestinationInput) error { return second(b.UpdateApiDestination(ctx, &in)) }
	for what, c := range map[string]struct {
		err    error
		denied string
	}{
		"create with another's":    {create("a", basicARN), "events:CreateApiDestination"},
		"create with one's own":    {create("b", mineARN), ""},
		"take another's":           {update(api.UpdateApiDestinationInput{Name: "b", ConnectionArn: basicARN}), "events:UpdateApiDestination"},
		"lead another's elsewhere": {update(api.UpdateApiDestinationInput{Name: "hook", InvocationEndpoint: "https://thief.example/"}), "events:UpdateApiDestination"},
		"describe it otherwise":    {update(api.UpdateApiDestinationInput{Name: "hook", Description: new("calls example.org")}), ""},
		"lead one's own elsewhere": {update(api.UpdateApiDestinationInput{Name: "b", InvocationEndpoint: "https://example.com/"}), ""},
	} {
		if c.denied == "" && c.err != nil || c.denied != "" && (fault.Code(c.err) != "AccessDeniedException" || !strings.Contains(c.err.Error(), c.denied+" on resource: arn:aws:events:us-east-1:000000000000:connection/basic")) {
			t.Errorf("%s: %v", what, c.err)
		}
	}
	if out, err := b.DescribeApiDestination(b.ctx, &api.DescribeApiDestinationInput{Name: "hook"}); err != nil || out.InvocationEndpoint != "https://example.org/" || out.Description != "calls example.org" {
		t.Errorf("%+v %v", out, err)
	}
}

func second[T any](_ T, err error) error { return err }

// The rate of a destination spaces its calls, and those of no other.
func TestPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &Room{paced: map[string]time.Time{}}
		began := time.Now()
		for range 3 {
			if err := r.pace(t.Context(), "slow", 10); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.pace(t.Context(), "other", 1); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 200*time.Millisecond {
			t.Error(took)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.pace(ended, "slow", 1); err == nil {
			t.Error("it does not end with its context")
		}
	})
}
