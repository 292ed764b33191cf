package events

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	api "penstock/internal/api/events"
	"penstock/internal/courier"
	"penstock/internal/egress"
	"penstock/internal/fault"
	"penstock/internal/store"
)

const (
	// maxToken bounds the answer with a token.
	maxToken = 64 << 10
	// standardLife is how long a token is used whose life is not said, and spare how long before
	// its end another takes its place.
	standardLife = time.Hour
	spare        = 30 * time.Second
	// maxBearers is how many tokens are kept in memory.
	maxBearers = 10_000
)

// bearer is what a server of OAuth gave for a connection. It is nowhere but in memory.
type bearer struct {
	header string
	until  time.Time
}

// answered says that an endpoint answered, and what, if that is no success.
type answered int

func (r answered) Error() string { return fmt.Sprintf("the endpoint answered %d", int(r)) }

// checkOAuth says what is wrong with where a token is got and how.
func (r *Room) checkOAuth(with *authority) error {
	o := with.OAuthParameters
	if o == nil {
		return nil
	}
	if o.ClientParameters == nil || o.ClientParameters.ClientID == "" || o.ClientParameters.ClientSecret == "" || o.AuthorizationEndpoint == "" || o.HttpMethod == "" {
		return invalid("OAuthParameters needs ClientParameters with ClientID and ClientSecret, AuthorizationEndpoint and HttpMethod.")
	}
	if strings.Contains(o.AuthorizationEndpoint, "*") {
		return invalid("Parameter AuthorizationEndpoint is not valid. Reason: it has no place for values of a target.")
	}
	return errors.Join(r.checkURL("AuthorizationEndpoint", o.AuthorizationEndpoint), checkParameters(o.OAuthHttpParameters))
}

// replaceOAuth puts what is given in the place of what was. Another endpoint gets none of the
// secrets that the one before was sent.
func replaceOAuth(with *authority, given *api.UpdateConnectionOAuthRequestParameters) error {
	was := with.OAuthParameters
	if was == nil {
		was = &api.CreateConnectionOAuthRequestParameters{}
	}
	client := given.ClientParameters
	if client == nil {
		client = &api.UpdateConnectionOAuthClientRequestParameters{}
	}
	now := &api.CreateConnectionOAuthRequestParameters{
		AuthorizationEndpoint: cmp.Or(given.AuthorizationEndpoint, was.AuthorizationEndpoint), HttpMethod: cmp.Or(given.HttpMethod, was.HttpMethod),
		OAuthHttpParameters: given.OAuthHttpParameters,
		ClientParameters:    &api.CreateConnectionOAuthClientRequestParameters{ClientID: client.ClientID, ClientSecret: client.ClientSecret},
	}
	if now.AuthorizationEndpoint == was.AuthorizationEndpoint {
		if now.OAuthHttpParameters == nil {
			now.OAuthHttpParameters = was.OAuthHttpParameters
		}
		if was.ClientParameters != nil {
			now.ClientParameters.ClientID = cmp.Or(client.ClientID, was.ClientParameters.ClientID)
			now.ClientParameters.ClientSecret = cmp.Or(client.ClientSecret, was.ClientParameters.ClientSecret)
		}
	} else if client.ClientSecret == "" {
		return invalid("Another AuthorizationEndpoint needs the ClientID and the ClientSecret again, and the OAuthHttpParameters if there are to be any.")
	}
	with.OAuthParameters = now
	return nil
}

// shownOAuth is what may be seen of where a token is got.
func shownOAuth(o *api.CreateConnectionOAuthRequestParameters) *api.ConnectionOAuthResponseParameters {
	return &api.ConnectionOAuthResponseParameters{
		ClientParameters:      &api.ConnectionOAuthClientResponseParameters{ClientID: o.ClientParameters.ClientID},
		AuthorizationEndpoint: o.AuthorizationEndpoint, HttpMethod: o.HttpMethod, OAuthHttpParameters: openParameters(o.OAuthHttpParameters),
	}
}

// bearerKey names the tokens of a connection as it is now: one that was changed needs another.
func bearerKey(row *store.EventConnection) string {
	return row.ID + row.Changed.Format(time.RFC3339Nano)
}

// bearer gives the header with which requests of a connection authorise, empty if it does not
// authorise by OAuth. A token is got when there is none, or none for long any more (N-14).
func (r *Room) bearer(ctx context.Context, row *store.EventConnection, doc *connectionDoc, with *authority) (string, error) {
	if with.OAuthParameters == nil {
		return "", nil
	}
	key := bearerKey(row)
	r.mu.Lock()
	b, ok := r.bearers[key]
	r.mu.Unlock()
	if ok && time.Now().Before(b.until) {
		return b.header, nil
	}
	b, err := r.fetch(ctx, with.OAuthParameters)
	state, reason := authorised, ""
	if err != nil {
		err = fmt.Errorf("no token from the authorization endpoint: %w", err)
		state, reason = deauthorised, err.Error()
	} else {
		r.mu.Lock()
		if len(r.bearers) >= maxBearers {
			clear(r.bearers)
		}
		r.bearers[key] = b
		r.mu.Unlock()
	}
	if doc.State != state || doc.Reason != reason {
		doc.State, doc.Reason = state, reason
		if state == authorised {
			doc.Authorised = time.Now().UTC()
		}
		text, merr := json.Marshal(doc)
		if merr != nil {
			return "", merr
		}
		row.Doc = string(text)
		if merr := r.deps.DB.Update(ctx, func(tx *store.Tx) error { return tx.SetEventConnectionDoc(ctx, *row) }); merr != nil {
			r.deps.Log.Warn("events: the state of a connection is not kept", "connection", row.Name, "error", merr)
		}
	}
	return b.header, err
}

// forget has the next request get another token.
func (r *Room) forget(row *store.EventConnection) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.bearers, bearerKey(row))
}

// fetch asks a server of OAuth for a token with the credentials of a client (RFC 6749, 4.4). No
// error of it has a secret.
func (r *Room) fetch(ctx context.Context, o *api.CreateConnectionOAuthRequestParameters) (bearer, error) {
	ctx, stop := context.WithTimeout(ctx, answerTime)
	defer stop()
	req, err := tokenRequest(ctx, o)
	if err != nil {
		return bearer{}, err
	}
	asked := time.Now()
	answer, err := r.client.Do(req)
	if err != nil {
		var address *url.Error
		if errors.As(err, &address) {
			err = address.Err // without the URL, which may hold secrets
		}
		if errors.Is(err, egress.ErrPrivate) {
			err = courier.GiveUp(err)
		}
		return bearer{}, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxToken))
	if err != nil {
		return bearer{}, err
	}
	if answer.StatusCode != http.StatusOK {
		return bearer{}, fmt.Errorf("it answered %d", answer.StatusCode)
	}
	var got struct {
		Token string      `json:"access_token"`
		Kind  string      `json:"token_type"`
		Life  json.Number `json:"expires_in"`
	}
	if json.Unmarshal(body, &got) != nil || got.Token == "" || len(got.Kind) > 20 ||
		strings.ContainsFunc(got.Token+got.Kind, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return bearer{}, errors.New("its answer is not JSON with an access_token")
	}
	life := standardLife
	if seconds, err := got.Life.Float64(); err == nil && seconds >= 0 && seconds < standardLife.Seconds()*24*366 {
		life = time.Duration(seconds * float64(time.Second))
	}
	kind := got.Kind
	if kind == "" || strings.EqualFold(kind, "bearer") {
		kind = "Bearer"
	}
	return bearer{kind + " " + got.Token, asked.Add(life - min(spare, life/2))}, nil
}

// tokenRequest makes the request for a token: a form, or JSON if the parameters have that as the
// type of the content, or a query if the method is GET.
func tokenRequest(ctx context.Context, o *api.CreateConnectionOAuthRequestParameters) (*http.Request, error) {
	own := o.OAuthHttpParameters
	if own == nil {
		own = &api.ConnectionHttpParameters{}
	}
	values := map[string]string{"grant_type": "client_credentials", "client_id": o.ClientParameters.ClientID, "client_secret": o.ClientParameters.ClientSecret}
	for i := range own.BodyParameters {
		values[own.BodyParameters[i].Key] = own.BodyParameters[i].Value
	}
	form, h := url.Values{}, http.Header{}
	for key, v := range values {
		form.Set(key, v)
	}
	h.Set("Content-Type", "application/x-www-form-urlencoded")
	h.Set("Accept", "application/json")
	for i := range own.HeaderParameters {
		h.Set(own.HeaderParameters[i].Key, own.HeaderParameters[i].Value)
	}
	body := form.Encode()
	if strings.HasPrefix(h.Get("Content-Type"), "application/json") {
		body = string(encode(values))
	}
	get := o.HttpMethod == http.MethodGet
	if get {
		body = ""
		h.Del("Content-Type")
	}
	req, err := http.NewRequestWithContext(ctx, o.HttpMethod, o.AuthorizationEndpoint, strings.NewReader(body))
	if err != nil {
		return nil, errors.New("the endpoint is no valid URL") // which may hold secrets
	}
	q := req.URL.Query()
	if get {
		for key := range form {
			q.Set(key, form.Get(key))
		}
	}
	for i := range own.QueryStringParameters {
		q.Set(own.QueryStringParameters[i].Key, own.QueryStringParameters[i].Value)
	}
	req.URL.RawQuery = q.Encode()
	req.Header = h
	if err := tidy(h); err != nil {
		return nil, err
	}
	h.Set("User-Agent", "Amazon/EventBridge/ApiDestinations")
	return req, nil
}

// authorise gets the first token of a connection that was made or changed, and tells how it is
// then. That there is none is no error: the connection is there, and says why.
func (r *Room) authorise(ctx context.Context, account, region, name string) (state string, at *time.Time, err error) {
	var row store.EventConnection
	var doc connectionDoc
	var with authority
	err = r.deps.DB.View(ctx, func(tx *store.Tx) error {
		got, err := tx.GetEventConnection(ctx, account, region, name)
		got.Name = name
		row, doc, with, err = openConnection(tx, got, err)
		return err
	})
	if fault.Code(err) != "" {
		return "DELETING", nil, nil // meanwhile
	}
	if err != nil {
		return "", nil, err
	}
	_, _ = r.bearer(ctx, &row, &doc, &with) // what is wrong is in the state
	return doc.state(), doc.authorisedAt(&row), nil
}
