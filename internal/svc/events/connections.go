package events

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"time"

	api "penstock/internal/api/events"
	"penstock/internal/arn"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

const (
	// maxConnections is how many connections an account may have in a Region, and as many API
	// destinations.
	maxConnections = 3000
	// maxAuth bounds what authorises, as JSON: the size of a secret.
	maxAuth = 64 << 10
)

// The ways of a connection to authorise, and its states.
const (
	byBasic      = "BASIC"
	byKey        = "API_KEY"
	byOAuth      = "OAUTH_CLIENT_CREDENTIALS"
	authorised   = "AUTHORIZED"
	authorising  = "AUTHORIZING"
	deauthorised = "DEAUTHORIZED"
)

// connectionDoc is what a connection's row keeps beside its key and its secrets. State, Reason
// and Authorised are of those that get a token: how that went the last time, why not, and when
// it went well.
type connectionDoc struct {
	Description string    `json:"description,omitempty"`
	Type        string    `json:"type"`
	State       string    `json:"state,omitempty"`
	Reason      string    `json:"reason,omitempty"`
	Authorised  time.Time `json:"authorised,omitzero"`
}

// state is that of a connection: one that asks nobody is authorised.
func (d *connectionDoc) state() string { return cmp.Or(d.State, authorised) }

func (d *connectionDoc) authorisedAt(row *store.EventConnection) *time.Time {
	if d.Type != byOAuth {
		return &row.Changed
	}
	if d.Authorised.IsZero() {
		return nil
	}
	return &d.Authorised
}

// settle says that a connection which gets tokens is about to get its first, and that others
// need none.
func (d *connectionDoc) settle() {
	d.State, d.Reason = "", ""
	if d.Type == byOAuth {
		d.State = authorising
	}
}

// authority is what a connection adds to requests. It is stored sealed.
type authority = api.CreateConnectionAuthRequestParameters

func connectionARN(account, region, name string) string {
	return arn.New("events", region, account, "connection/"+name)
}

// mayConnect checks an action on a connection of the caller. Policies name connections without
// the id that their ARNs end with.
func mayConnect(ctx context.Context, action, name string) (auth.Caller, error) {
	c := auth.From(ctx)
	return c, auth.Check(ctx, "events:"+action, connectionARN(c.Account, c.Region, name))
}

func noConnection(name string) error {
	return fault.New("ResourceNotFoundException", "Connection '%s' does not exist.", name)
}

// openConnection reads what stands in the row of a connection.
func openConnection(tx *store.Tx, row store.EventConnection, err error) (store.EventConnection, connectionDoc, authority, error) {
	var doc connectionDoc
	var with authority
	if errors.Is(err, store.ErrNotFound) {
		err = noConnection(row.Name)
	}
	if err != nil {
		return row, doc, with, err
	}
	text, err := tx.EventConnectionAuth(row)
	if err == nil {
		err = errors.Join(json.Unmarshal([]byte(row.Doc), &doc), json.Unmarshal([]byte(text), &with))
	}
	return row, doc, with, err
}

// unsupported refuses what a connection cannot have here (N-14).
func unsupported(private, kms bool) error {
	switch {
	case private:
		return invalid("This server has no VPC. Take InvocationConnectivityParameters and ConnectivityParameters out.")
	case kms:
		return invalid("This server seals the secrets of connections with its own key. Take KmsKeyIdentifier out.")
	}
	return nil
}

var headerForm = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

// checkHeader says what is wrong with the name of a header that requests are to have.
func checkHeader(name string) error {
	if !headerForm.MatchString(name) {
		return invalid("%q is not the name of a header.", name)
	}
	return nil
}

// checkParameters says what is wrong with what is added to requests.
func checkParameters(p *api.ConnectionHttpParameters) error {
	if p == nil {
		return nil
	}
	for i := range p.HeaderParameters {
		if err := checkHeader(p.HeaderParameters[i].Key); err != nil {
			return err
		}
	}
	for i := range p.QueryStringParameters {
		if p.QueryStringParameters[i].Key == "" {
			return invalid("A query string parameter has no Key.")
		}
	}
	for i := range p.BodyParameters {
		if p.BodyParameters[i].Key == "" {
			return invalid("A body parameter has no Key.")
		}
	}
	return nil
}

// checkAuthority says what is wrong with what authorises, and gives it as it is stored.
func (r *Room) checkAuthority(kind string, with *authority) (store.Secret, error) {
	switch {
	case (kind == byBasic) != (with.BasicAuthParameters != nil) || (kind == byKey) != (with.ApiKeyAuthParameters != nil) || (kind == byOAuth) != (with.OAuthParameters != nil):
		return "", invalid("The authorization type %s needs its own parameters in AuthParameters, and no others: BasicAuthParameters for BASIC, ApiKeyAuthParameters for API_KEY, OAuthParameters for OAUTH_CLIENT_CREDENTIALS.", kind)
	case kind == byBasic && (with.BasicAuthParameters.Username == "" || with.BasicAuthParameters.Password == ""):
		return "", invalid("BasicAuthParameters needs Username and Password.")
	case kind == byKey && (with.ApiKeyAuthParameters.ApiKeyName == "" || with.ApiKeyAuthParameters.ApiKeyValue == ""):
		return "", invalid("ApiKeyAuthParameters needs ApiKeyName and ApiKeyValue.")
	case kind == byKey:
		name := with.ApiKeyAuthParameters.ApiKeyName
		if err := checkHeader(name); err != nil {
			return "", err
		}
		if fixed[http.CanonicalHeaderKey(name)] {
			return "", invalid("The header %s cannot be an API key: it is taken out of requests.", name)
		}
	}
	if err := errors.Join(checkParameters(with.InvocationHttpParameters), r.checkOAuth(with)); err != nil {
		return "", err
	}
	text, err := json.Marshal(with)
	if err != nil {
		return "", err
	}
	if len(text) > maxAuth {
		return "", invalid("AuthParameters is larger than %d KiB.", maxAuth>>10)
	}
	return store.Secret(text), nil
}

// CreateConnection makes a connection. BASIC and API_KEY ask nobody; for the third a token is got
// before this answers (N-14).
func (r *Room) CreateConnection(ctx context.Context, in *api.CreateConnectionInput) (*api.CreateConnectionOutput, error) {
	c, err := mayConnect(ctx, "CreateConnection", in.Name)
	if err != nil {
		return nil, err
	}
	with := in.AuthParameters
	if err := unsupported(in.InvocationConnectivityParameters != nil || with.ConnectivityParameters != nil, in.KmsKeyIdentifier != ""); err != nil {
		return nil, err
	}
	secret, err := r.checkAuthority(in.AuthorizationType, with)
	if err != nil {
		return nil, err
	}
	about := connectionDoc{Description: in.Description, Type: in.AuthorizationType}
	about.settle()
	doc, err := json.Marshal(about)
	if err != nil {
		return nil, err
	}
	row := store.EventConnection{Account: c.Account, Region: c.Region, Name: in.Name, ID: auth.NewUUID(), Doc: string(doc)}
	out := &api.CreateConnectionOutput{ConnectionArn: connectionARN(c.Account, c.Region, row.Name+"/"+row.ID), ConnectionState: authorised}
	err = r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		if err := tx.LockAccount(ctx, c.Account); err != nil {
			return err
		}
		n, err := tx.CountEventConnections(ctx, c.Account, c.Region)
		if err != nil {
			return err
		}
		if n >= maxConnections {
			return fault.New("LimitExceededException", "The requested resource exceeds the maximum number allowed: an account has at most %d connections.", maxConnections)
		}
		out.CreationTime, out.LastModifiedTime = new(tx.Now()), new(tx.Now())
		err = tx.AddEventConnection(ctx, row, secret)
		if errors.Is(err, store.ErrExists) {
			err = fault.New("ResourceAlreadyExistsException", "Connection %s already exists.", in.Name)
		}
		return err
	})
	if err == nil && about.Type == byOAuth {
		out.ConnectionState, _, err = r.authorise(ctx, c.Account, c.Region, in.Name)
	}
	return out, err
}

// DescribeConnection shows a connection without its secrets (N-14).
func (r *Room) DescribeConnection(ctx context.Context, in *api.DescribeConnectionInput) (*api.DescribeConnectionOutput, error) {
	c, err := mayConnect(ctx, "DescribeConnection", in.Name)
	if err != nil {
		return nil, err
	}
	var out *api.DescribeConnectionOutput
	err = r.deps.DB.View(ctx, func(tx *store.Tx) error {
		row, err := tx.GetEventConnection(ctx, c.Account, c.Region, in.Name)
		row.Name = in.Name
		row, doc, with, err := openConnection(tx, row, err)
		if err != nil {
			return err
		}
		out = &api.DescribeConnectionOutput{
			ConnectionArn: connectionARN(c.Account, c.Region, row.Name+"/"+row.ID), Name: row.Name, Description: doc.Description, ConnectionState: doc.state(), StateReason: doc.Reason,
			AuthorizationType: doc.Type, AuthParameters: shown(&with), CreationTime: &row.Created, LastModifiedTime: &row.Changed, LastAuthorizedTime: doc.authorisedAt(&row),
		}
		return nil
	})
	return out, err
}

// shown is what may be seen of what authorises: names, and the values that were not called
// secret.
func shown(with *authority) *api.ConnectionAuthResponseParameters {
	out := &api.ConnectionAuthResponseParameters{}
	if b := with.BasicAuthParameters; b != nil {
		out.BasicAuthParameters = &api.ConnectionBasicAuthResponseParameters{Username: b.Username}
	}
	if k := with.ApiKeyAuthParameters; k != nil {
		out.ApiKeyAuthParameters = &api.ConnectionApiKeyAuthResponseParameters{ApiKeyName: k.ApiKeyName}
	}
	if o := with.OAuthParameters; o != nil {
		out.OAuthParameters = shownOAuth(o)
	}
	out.InvocationHttpParameters = openParameters(with.InvocationHttpParameters)
	return out
}

// openParameters are parameters without the values that were called secret.
func openParameters(p *api.ConnectionHttpParameters) *api.ConnectionHttpParameters {
	if p == nil {
		return nil
	}
	hide := func(secret *bool, value *string) {
		if secret != nil && *secret {
			*value = ""
		}
	}
	o := &api.ConnectionHttpParameters{}
	for _, v := range p.HeaderParameters {
		hide(v.IsValueSecret, &v.Value)
		o.HeaderParameters = append(o.HeaderParameters, v)
	}
	for _, v := range p.QueryStringParameters {
		hide(v.IsValueSecret, &v.Value)
		o.QueryStringParameters = append(o.QueryStringParameters, v)
	}
	for _, v := range p.BodyParameters {
		hide(v.IsValueSecret, &v.Value)
		o.BodyParameters = append(o.BodyParameters, v)
	}
	return o
}

// ListConnections lists connections by name.
func (r *Room) ListConnections(ctx context.Context, in *api.ListConnectionsInput) (*api.ListConnectionsOutput, error) {
	if err := auth.Check(ctx, "events:ListConnections", "*"); err != nil {
		return nil, err
	}
	after, err := parsePageToken(in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &api.ListConnectionsOutput{Connections: []api.Connection{}}
	c, limit := auth.From(ctx), limitOf(in.Limit)
	return out, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		rows, err := tx.ListEventConnections(ctx, c.Account, c.Region, in.NamePrefix, store.Keyset{After: after, Limit: limit + 1})
		if err != nil {
			return err
		}
		for _, row := range rows[:min(len(rows), limit)] {
			var doc connectionDoc
			if err := json.Unmarshal([]byte(row.Doc), &doc); err != nil {
				return err
			}
			if in.ConnectionState != "" && in.ConnectionState != doc.state() {
				continue // so a page may be short of its limit
			}
			out.Connections = append(out.Connections, api.Connection{
				ConnectionArn: connectionARN(c.Account, c.Region, row.Name+"/"+row.ID), Name: row.Name, ConnectionState: doc.state(), StateReason: doc.Reason, AuthorizationType: doc.Type,
				CreationTime: &row.Created, LastModifiedTime: &row.Changed, LastAuthorizedTime: doc.authorisedAt(&row),
			})
		}
		if len(rows) > limit {
			out.NextToken = pageToken(rows[limit-1].Name)
		}
		return nil
	})
}

// UpdateConnection changes what it is given of a connection; the rest stays.
func (r *Room) UpdateConnection(ctx context.Context, in *api.UpdateConnectionInput) (*api.UpdateConnectionOutput, error) {
	c, err := mayConnect(ctx, "UpdateConnection", in.Name)
	if err != nil {
		return nil, err
	}
	given := in.AuthParameters
	if given == nil {
		given = &api.UpdateConnectionAuthRequestParameters{}
	}
	if err := unsupported(in.InvocationConnectivityParameters != nil || given.ConnectivityParameters != nil, in.KmsKeyIdentifier != ""); err != nil {
		return nil, err
	}
	out := &api.UpdateConnectionOutput{ConnectionState: authorised}
	oauth := false
	err = r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		row, err := tx.LockEventConnection(ctx, c.Account, c.Region, in.Name)
		row.Name = in.Name
		row, doc, with, err := openConnection(tx, row, err)
		if err != nil {
			return err
		}
		if in.Description != nil {
			doc.Description = *in.Description
		}
		if in.AuthorizationType != "" && in.AuthorizationType != doc.Type {
			doc.Type, with.BasicAuthParameters, with.ApiKeyAuthParameters, with.OAuthParameters = in.AuthorizationType, nil, nil, nil
		}
		if err := replace(&with, given); err != nil {
			return err
		}
		secret, err := r.checkAuthority(doc.Type, &with)
		if err != nil {
			return err
		}
		doc.settle()
		oauth = doc.Type == byOAuth
		text, err := json.Marshal(doc)
		if err != nil {
			return err
		}
		row.Doc = string(text)
		out.ConnectionArn, out.CreationTime = connectionARN(c.Account, c.Region, row.Name+"/"+row.ID), &row.Created
		out.LastModifiedTime, out.LastAuthorizedTime = new(tx.Now()), new(tx.Now())
		return tx.SetEventConnection(ctx, row, secret)
	})
	if err == nil && oauth {
		out.ConnectionState, out.LastAuthorizedTime, err = r.authorise(ctx, c.Account, c.Region, in.Name)
	}
	return out, err
}

// replace puts what is given in the place of what was.
func replace(with *authority, given *api.UpdateConnectionAuthRequestParameters) error {
	set := func(to *string, value string) {
		if value != "" {
			*to = value
		}
	}
	if b := given.BasicAuthParameters; b != nil {
		if with.BasicAuthParameters == nil {
			with.BasicAuthParameters = &api.CreateConnectionBasicAuthRequestParameters{}
		}
		set(&with.BasicAuthParameters.Username, b.Username)
		set(&with.BasicAuthParameters.Password, b.Password)
	}
	if k := given.ApiKeyAuthParameters; k != nil {
		if with.ApiKeyAuthParameters == nil {
			with.ApiKeyAuthParameters = &api.CreateConnectionApiKeyAuthRequestParameters{}
		}
		set(&with.ApiKeyAuthParameters.ApiKeyName, k.ApiKeyName)
		set(&with.ApiKeyAuthParameters.ApiKeyValue, k.ApiKeyValue)
	}
	if p := given.InvocationHttpParameters; p != nil {
		with.InvocationHttpParameters = p
	}
	if o := given.OAuthParameters; o != nil {
		return replaceOAuth(with, o)
	}
	return nil
}

// DeleteConnection removes a connection with its secrets. Destinations that use it become
// INACTIVE.
func (r *Room) DeleteConnection(ctx context.Context, in *api.DeleteConnectionInput) (*api.DeleteConnectionOutput, error) {
	c, err := mayConnect(ctx, "DeleteConnection", in.Name)
	if err != nil {
		return nil, err
	}
	out := &api.DeleteConnectionOutput{ConnectionState: "DELETING"}
	return out, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		row, err := tx.LockEventConnection(ctx, c.Account, c.Region, in.Name)
		if errors.Is(err, store.ErrNotFound) {
			return noConnection(in.Name)
		}
		if err != nil {
			return err
		}
		out.ConnectionArn = connectionARN(c.Account, c.Region, row.Name+"/"+row.ID)
		out.CreationTime, out.LastModifiedTime, out.LastAuthorizedTime = &row.Created, &row.Changed, &row.Changed
		return tx.DeleteEventConnection(ctx, c.Account, c.Region, in.Name)
	})
}

// splitConnection takes the ARN of a connection of the caller's account and Region apart.
func splitConnection(c auth.Caller, arn string) (name, id string, err error) {
	rest, ok := strings.CutPrefix(arn, connectionARN(c.Account, c.Region, ""))
	name, id, two := strings.Cut(rest, "/")
	if !ok || !two {
		return "", "", fault.New("ResourceNotFoundException", "Connection '%s' does not exist.", arn)
	}
	return name, id, nil
}
