package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	api "penstock/internal/api/events"
	"penstock/internal/courier"
	"penstock/internal/egress"
	"penstock/internal/fault"
	"penstock/internal/store"
)

const (
	// answerTime is how long an endpoint may take to answer.
	answerTime = 5 * time.Second
	// maxAnswer is how much of an answer is read.
	maxAnswer = 4 << 10
)

// fixed are headers that EventBridge sets itself or takes out of requests.
var fixed = func() map[string]bool {
	set := map[string]bool{}
	for _, name := range strings.Fields(`A-Im Accept-Charset Accept-Datetime Accept-Encoding Cache-Control Connection Content-Encoding Content-Length Content-Md5
		Date Expect Forwarded From Host Http2-Settings If-Match If-Modified-Since If-None-Match If-Range If-Unmodified-Since Max-Forwards Origin Pragma
		Proxy-Authorization Range Referer Te Trailer Transfer-Encoding Upgrade User-Agent Via Warning`) {
		set[name] = true
	}
	return set
}()

// checkHTTP says what is wrong with the parameters of a target that is a destination.
func checkHTTP(p *api.HttpParameters) error {
	if p == nil {
		return nil
	}
	for _, name := range sortedKeys(p.HeaderParameters) {
		if err := checkHeader(name); err != nil {
			return err
		}
	}
	return nil
}

// resolved gives the parameters of a target for an event: values that are paths into it become
// what stands there, and nothing if nothing does.
func resolved(p *api.HttpParameters, o *occurrence) *api.HttpParameters {
	if p == nil {
		return nil
	}
	value := func(text string) string {
		at, ok := parsePath(text)
		if !ok || !strings.HasPrefix(text, "$.") {
			return text
		}
		switch v, _ := at.find(o.decoded); v := v.(type) {
		case nil:
			return ""
		case string:
			return v
		default:
			return string(encode(v))
		}
	}
	all := func(m map[string]string) map[string]string {
		out := make(map[string]string, len(m))
		for key, text := range m {
			out[key] = value(text)
		}
		return out
	}
	out := &api.HttpParameters{HeaderParameters: all(p.HeaderParameters), QueryStringParameters: all(p.QueryStringParameters)}
	for _, text := range p.PathParameterValues {
		out.PathParameterValues = append(out.PathParameterValues, value(text))
	}
	return out
}

// fillEndpoint puts values in the place of an endpoint's asterisks, so that none leaves its place.
func fillEndpoint(endpoint string, values []string) (string, error) {
	var b strings.Builder
	query := false
	for i := range len(endpoint) {
		c := endpoint[i]
		query = query || c == '?'
		if c != '*' {
			b.WriteByte(c)
			continue
		}
		if len(values) == 0 {
			return "", errors.New("the target's PathParameterValues are fewer than the asterisks of the endpoint")
		}
		v := values[0]
		values = values[1:]
		switch {
		case query:
			b.WriteString(url.QueryEscape(v))
		case v == "" || v == "." || v == "..":
			return "", fmt.Errorf("the path parameter value %q would make another path", v)
		default:
			b.WriteString(url.PathEscape(v))
		}
	}
	return b.String(), nil
}

// later is a failure after which the endpoint itself says how long to wait at least.
type later struct {
	error
	wait time.Duration
}

// invoke sends an event to an API destination, as its connection authorises (N-14). The role of
// the target must be allowed events:InvokeApiDestination.
func (r *Room) invoke(ctx context.Context, call Call, name string, p *parcel) error {
	switch err := r.deps.Allowed(ctx, call); {
	case fault.Code(err) != "":
		return courier.GiveUp(err)
	case err != nil:
		return err
	}
	var row store.EventDestination
	var doc destinationDoc
	var with authority
	var connection store.EventConnection
	var about connectionDoc
	name, id, _ := strings.Cut(name, "/")
	gone := false
	err := r.deps.DB.View(ctx, func(tx *store.Tx) error {
		got, err := tx.GetEventDestination(ctx, call.Account, call.Region, name)
		row, doc, err = openDestination(name, got, err)
		if gone = fault.Code(err) != "" || err == nil && row.ID != id; gone || err != nil {
			return err
		}
		c, err := tx.GetEventConnection(ctx, row.Account, row.Region, row.Connection)
		if errors.Is(err, store.ErrNotFound) || err == nil && c.ID != row.ConnectionID {
			return errors.New("the API destination is INACTIVE: its connection does not exist")
		}
		connection, about, with, err = openConnection(tx, c, err)
		return err
	})
	switch {
	case gone:
		return courier.GiveUp(errors.New("the API destination does not exist"))
	case err != nil:
		return err
	}
	if err := r.pace(ctx, call.Resource, doc.Rate); err != nil {
		return err
	}
	token, err := r.bearer(ctx, &connection, &about, &with)
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, answerTime)
	defer stop()
	req, err := request(ctx, &doc, &with, p, token)
	if err != nil {
		return courier.GiveUp(err)
	}
	err = r.send(req)
	if code := answered(0); errors.As(err, &code) && (code == http.StatusUnauthorized || code == http.StatusProxyAuthRequired) {
		r.forget(&connection) // the next attempt gets another
	}
	return err
}

// pace waits so that this server calls a destination no more often than its rate says.
func (r *Room) pace(ctx context.Context, arn string, rate int32) error {
	r.mu.Lock()
	if len(r.paced) >= 10_000 {
		clear(r.paced)
	}
	now := time.Now()
	at := r.paced[arn]
	if at.Before(now) {
		at = now
	}
	r.paced[arn] = at.Add(time.Second / time.Duration(max(rate, 1)))
	r.mu.Unlock()
	timer := time.NewTimer(at.Sub(now))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// request makes the request. What the connection says wins over what the target says.
func request(ctx context.Context, doc *destinationDoc, with *authority, p *parcel, token string) (*http.Request, error) {
	target, own := p.HTTP, with.InvocationHttpParameters
	if target == nil {
		target = &api.HttpParameters{}
	}
	if own == nil {
		own = &api.ConnectionHttpParameters{}
	}
	address, err := fillEndpoint(doc.Endpoint, target.PathParameterValues)
	if err != nil {
		return nil, err
	}
	body := p.Input
	if len(own.BodyParameters) > 0 {
		if body, err = merged(body, own.BodyParameters); err != nil {
			return nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, doc.Method, address, strings.NewReader(body))
	if err != nil {
		return nil, errors.New("the endpoint is no valid URL") // which may hold secrets
	}
	if len(target.QueryStringParameters)+len(own.QueryStringParameters) > 0 {
		q := req.URL.Query()
		for key, v := range target.QueryStringParameters {
			q.Set(key, v)
		}
		for i := range own.QueryStringParameters {
			q.Set(own.QueryStringParameters[i].Key, own.QueryStringParameters[i].Value)
		}
		req.URL.RawQuery = q.Encode()
	}
	h := req.Header
	h.Set("Content-Type", "application/json; charset=utf-8")
	for key, v := range target.HeaderParameters {
		h.Set(key, v)
	}
	for i := range own.HeaderParameters {
		h.Set(own.HeaderParameters[i].Key, own.HeaderParameters[i].Value)
	}
	if b := with.BasicAuthParameters; b != nil {
		req.SetBasicAuth(b.Username, b.Password)
	}
	if k := with.ApiKeyAuthParameters; k != nil {
		h.Set(k.ApiKeyName, k.ApiKeyValue)
	}
	if token != "" {
		h.Set("Authorization", token)
	}
	if err := tidy(h); err != nil {
		return nil, err
	}
	h.Set("User-Agent", "Amazon/EventBridge/ApiDestinations")
	h.Set("Range", "bytes=0-1048575")
	return req, nil
}

// tidy takes headers out that are not the user's to set, and refuses values that are none.
func tidy(h http.Header) error {
	for name, values := range h {
		if fixed[name] {
			delete(h, name)
		} else if strings.ContainsFunc(values[0], func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
			return fmt.Errorf("the value of the header %s has control characters", name)
		}
	}
	return nil
}

// merged adds members to a body, which must be an object for that.
func merged(body string, add []api.ConnectionBodyParameter) (string, error) {
	var object map[string]json.RawMessage
	if json.Unmarshal([]byte(body), &object) != nil || object == nil {
		return "", errors.New("the connection has body parameters, and what the target gets is not a JSON object")
	}
	for i := range add {
		object[add[i].Key] = encode(add[i].Value)
	}
	return string(encode(object)), nil
}

// send makes the call and judges the answer: 401, 407, 409, 429 and 5xx are tried again, and
// what else is no success is not.
func (r *Room) send(req *http.Request) error {
	answer, err := r.client.Do(req)
	if err != nil {
		var address *url.Error
		if errors.As(err, &address) {
			err = address.Err // without the URL, which may hold secrets
		}
		if errors.Is(err, egress.ErrPrivate) {
			return courier.GiveUp(err)
		}
		return err
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, maxAnswer)
	code := answer.StatusCode
	if code >= 200 && code < 300 {
		return nil
	}
	err = answered(code)
	switch {
	case code == http.StatusUnauthorized, code == http.StatusProxyAuthRequired, code == http.StatusConflict, code == http.StatusTooManyRequests, code >= 500:
	default:
		return courier.GiveUp(fmt.Errorf("%w, which is not tried again", err))
	}
	text := answer.Header.Get("Retry-After")
	if seconds, bad := strconv.ParseInt(text, 10, 32); bad == nil {
		if seconds < 0 {
			return courier.GiveUp(fmt.Errorf("%w and wants no other attempt", err))
		}
		return later{err, time.Duration(seconds) * time.Second}
	}
	if at, bad := http.ParseTime(text); bad == nil {
		return later{err, time.Until(at)}
	}
	return err
}
