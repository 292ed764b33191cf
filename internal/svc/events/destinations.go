package events

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"net/url"
	"strings"

	api "penstock/internal/api/events"
	"penstock/internal/arn"
	"penstock/internal/auth"
	"penstock/internal/egress"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// maxRate is the highest rate of invocations per second, and the one of a destination that was
// given none.
const maxRate = 300

// destinationDoc is what a destination's row keeps beside its key and its connection.
type destinationDoc struct {
	Description string `json:"description,omitempty"`
	Endpoint    string `json:"endpoint"`
	Method      string `json:"method"`
	Rate        int32  `json:"rate"`
}

func destinationARN(account, region, name string) string {
	return arn.New("events", region, account, "api-destination/"+name)
}

func mayDestine(ctx context.Context, action, name string) (auth.Caller, error) {
	c := auth.From(ctx)
	return c, auth.Check(ctx, "events:"+action, destinationARN(c.Account, c.Region, name))
}

// openDestination reads the document of the destination of a name.
func openDestination(name string, row store.EventDestination, err error) (store.EventDestination, destinationDoc, error) {
	var doc destinationDoc
	if errors.Is(err, store.ErrNotFound) {
		err = fault.New("ResourceNotFoundException", "An api-destination '%s' does not exist.", name)
	}
	if err == nil {
		err = json.Unmarshal([]byte(row.Doc), &doc)
	}
	return row, doc, err
}

// stateOf tells whether a destination can be used: it cannot without its connection.
func stateOf(d *store.EventDestination) string {
	if d.Connected {
		return "ACTIVE"
	}
	return "INACTIVE"
}

func connectionOf(d *store.EventDestination) string {
	return connectionARN(d.Account, d.Region, d.Connection+"/"+d.ConnectionID)
}

// check says what is wrong with a destination.
func (r *Room) check(doc *destinationDoc) error {
	if err := r.checkURL("InvocationEndpoint", doc.Endpoint); err != nil {
		return err
	}
	if doc.Rate > maxRate {
		return invalid("InvocationRateLimitPerSecond must not be larger than %d.", maxRate)
	}
	return nil
}

// checkURL says what is wrong with an endpoint.
func (r *Room) checkURL(parameter, endpoint string) error {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || u.Hostname() == "" || u.Opaque != "" || u.User != nil || u.Fragment != "" || strings.Contains(u.Host, "*"):
		return invalid("Parameter %s is not valid. Reason: it is a URL with a host, and without user, password and fragment; * stands for values in its path and query only.", parameter)
	case u.Scheme != "https" && !(u.Scheme == "http" && r.deps.Private):
		return invalid("Parameter %s is not valid. Reason: the scheme must be https.", parameter)
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && !egress.Allowed(a, r.deps.Private) {
		return invalid("Parameter %s is not valid. Reason: %v.", parameter, egress.ErrPrivate)
	}
	return nil
}

// connect gives a destination its connection, which must be there.
func connect(ctx context.Context, tx *store.Tx, d *store.EventDestination, name, id string) error {
	c, err := tx.GetEventConnection(ctx, d.Account, d.Region, name)
	if errors.Is(err, store.ErrNotFound) || err == nil && c.ID != id {
		return noConnection(name)
	}
	d.Connection, d.ConnectionID, d.Connected = name, id, true
	return err
}

// CreateApiDestination makes an endpoint of HTTP that rules can have as a target (N-14).
func (r *Room) CreateApiDestination(ctx context.Context, in *api.CreateApiDestinationInput) (*api.CreateApiDestinationOutput, error) {
	c, err := mayDestine(ctx, "CreateApiDestination", in.Name)
	if err != nil {
		return nil, err
	}
	doc := destinationDoc{Description: in.Description, Endpoint: in.InvocationEndpoint, Method: in.HttpMethod, Rate: maxRate}
	if in.InvocationRateLimitPerSecond != nil {
		doc.Rate = *in.InvocationRateLimitPerSecond
	}
	if err := r.check(&doc); err != nil {
		return nil, err
	}
	connection, id, err := splitConnection(c, in.ConnectionArn)
	if err == nil {
		_, err = mayConnect(ctx, "CreateApiDestination", connection)
	}
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	row := store.EventDestination{Account: c.Account, Region: c.Region, Name: in.Name, ID: auth.NewUUID(), Doc: string(text)}
	out := &api.CreateApiDestinationOutput{ApiDestinationArn: destinationARN(c.Account, c.Region, row.Name+"/"+row.ID)}
	return out, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		if err := tx.LockAccount(ctx, c.Account); err != nil {
			return err
		}
		n, err := tx.CountEventDestinations(ctx, c.Account, c.Region)
		if err != nil {
			return err
		}
		if n >= maxConnections {
			return fault.New("LimitExceededException", "The requested resource exceeds the maximum number allowed: an account has at most %d API destinations.", maxConnections)
		}
		if err := connect(ctx, tx, &row, connection, id); err != nil {
			return err
		}
		out.ApiDestinationState, out.CreationTime, out.LastModifiedTime = stateOf(&row), new(tx.Now()), new(tx.Now())
		err = tx.AddEventDestination(ctx, row)
		if errors.Is(err, store.ErrExists) {
			err = fault.New("ResourceAlreadyExistsException", "An api-destination '%s' already exists.", in.Name)
		}
		return err
	})
}

// DescribeApiDestination shows a destination.
func (r *Room) DescribeApiDestination(ctx context.Context, in *api.DescribeApiDestinationInput) (*api.DescribeApiDestinationOutput, error) {
	c, err := mayDestine(ctx, "DescribeApiDestination", in.Name)
	if err != nil {
		return nil, err
	}
	var out *api.DescribeApiDestinationOutput
	err = r.deps.DB.View(ctx, func(tx *store.Tx) error {
		row, err := tx.GetEventDestination(ctx, c.Account, c.Region, in.Name)
		row, doc, err := openDestination(in.Name, row, err)
		if err != nil {
			return err
		}
		out = &api.DescribeApiDestinationOutput{
			ApiDestinationArn: destinationARN(c.Account, c.Region, row.Name+"/"+row.ID), Name: row.Name, Description: doc.Description, ApiDestinationState: stateOf(&row),
			ConnectionArn: connectionOf(&row), InvocationEndpoint: doc.Endpoint, HttpMethod: doc.Method, InvocationRateLimitPerSecond: &doc.Rate,
			CreationTime: &row.Created, LastModifiedTime: &row.Changed,
		}
		return nil
	})
	return out, err
}

// ListApiDestinations lists destinations by name.
func (r *Room) ListApiDestinations(ctx context.Context, in *api.ListApiDestinationsInput) (*api.ListApiDestinationsOutput, error) {
	if err := auth.Check(ctx, "events:ListApiDestinations", "*"); err != nil {
		return nil, err
	}
	after, err := parsePageToken(in.NextToken)
	if err != nil {
		return nil, err
	}
	c, limit, id := auth.From(ctx), limitOf(in.Limit), ""
	if in.ConnectionArn != "" {
		if _, id, err = splitConnection(c, in.ConnectionArn); err != nil {
			return nil, err
		}
	}
	out := &api.ListApiDestinationsOutput{ApiDestinations: []api.ApiDestination{}}
	return out, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		rows, err := tx.ListEventDestinations(ctx, c.Account, c.Region, in.NamePrefix, id, store.Keyset{After: after, Limit: limit + 1})
		if err != nil {
			return err
		}
		for _, row := range rows[:min(len(rows), limit)] {
			row, doc, err := openDestination(row.Name, row, nil)
			if err != nil {
				return err
			}
			out.ApiDestinations = append(out.ApiDestinations, api.ApiDestination{
				ApiDestinationArn: destinationARN(c.Account, c.Region, row.Name+"/"+row.ID), Name: row.Name, ApiDestinationState: stateOf(&row),
				ConnectionArn: connectionOf(&row), InvocationEndpoint: doc.Endpoint, HttpMethod: doc.Method, InvocationRateLimitPerSecond: &doc.Rate,
				CreationTime: &row.Created, LastModifiedTime: &row.Changed,
			})
		}
		if len(rows) > limit {
			out.NextToken = pageToken(rows[limit-1].Name)
		}
		return nil
	})
}

// UpdateApiDestination changes what it is given of a destination; the rest stays. What was
// matched before is sent as the destination says then.
func (r *Room) UpdateApiDestination(ctx context.Context, in *api.UpdateApiDestinationInput) (*api.UpdateApiDestinationOutput, error) {
	c, err := mayDestine(ctx, "UpdateApiDestination", in.Name)
	if err != nil {
		return nil, err
	}
	var connection, id string
	if in.ConnectionArn != "" {
		if connection, id, err = splitConnection(c, in.ConnectionArn); err != nil {
			return nil, err
		}
	}
	out := &api.UpdateApiDestinationOutput{}
	return out, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		row, err := tx.LockEventDestination(ctx, c.Account, c.Region, in.Name)
		row, doc, err := openDestination(in.Name, row, err)
		if err != nil {
			return err
		}
		if in.Description != nil {
			doc.Description = *in.Description
		}
		for to, value := range map[*string]string{&doc.Endpoint: in.InvocationEndpoint, &doc.Method: in.HttpMethod} {
			if value != "" {
				*to = value
			}
		}
		if in.InvocationRateLimitPerSecond != nil {
			doc.Rate = *in.InvocationRateLimitPerSecond
		}
		if err := r.check(&doc); err != nil {
			return err
		}
		if connection != "" || in.InvocationEndpoint != "" { // what the connection holds would go elsewhere
			if _, err := mayConnect(auth.Using(ctx, tx), "UpdateApiDestination", cmp.Or(connection, row.Connection)); err != nil {
				return err
			}
		}
		if connection != "" {
			if err := connect(ctx, tx, &row, connection, id); err != nil {
				return err
			}
		}
		text, err := json.Marshal(doc)
		if err != nil {
			return err
		}
		row.Doc = string(text)
		out.ApiDestinationArn, out.ApiDestinationState = destinationARN(c.Account, c.Region, row.Name+"/"+row.ID), stateOf(&row)
		out.CreationTime, out.LastModifiedTime = &row.Created, new(tx.Now())
		return tx.SetEventDestination(ctx, row)
	})
}

// DeleteApiDestination removes a destination. What is still to be sent to it is given up.
func (r *Room) DeleteApiDestination(ctx context.Context, in *api.DeleteApiDestinationInput) (*api.DeleteApiDestinationOutput, error) {
	c, err := mayDestine(ctx, "DeleteApiDestination", in.Name)
	if err != nil {
		return nil, err
	}
	return &api.DeleteApiDestinationOutput{}, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		row, err := tx.LockEventDestination(ctx, c.Account, c.Region, in.Name)
		if _, _, err := openDestination(in.Name, row, err); err != nil {
			return err
		}
		return tx.DeleteEventDestination(ctx, c.Account, c.Region, in.Name)
	})
}
