package codeconnections

import (
	"context"
	"crypto/rand"

	api "penstock/internal/api/codeconnections"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/pipeline"
	"penstock/internal/store"
)

// CreateConnection makes a connection, which is PENDING until it is completed (N-13).
func (f *face) CreateConnection(ctx context.Context, in *api.CreateConnectionInput) (*api.CreateConnectionOutput, error) {
	c := auth.From(ctx)
	made := store.Connection{
		ARN: f.arn(c, "connection", auth.NewUUID()), Account: c.Account, Region: c.Region, Name: in.ConnectionName, ProviderType: in.ProviderType,
		HostARN: in.HostArn, Status: pending, Hook: rand.Text() + rand.Text(),
	}
	if _, err := allow(ctx, "CreateConnection", made.ARN); err != nil {
		return nil, err
	}
	if (in.ProviderType == "") == (in.HostArn == "") {
		return nil, fault.New("ValidationException", "Exactly one of ProviderType and HostArn must be given")
	}
	tags, err := readTags(in.Tags)
	if err != nil {
		return nil, err
	}
	return &api.CreateConnectionOutput{ConnectionArn: made.ARN, Tags: writeTags(tags)}, f.DB.Update(ctx, func(tx *store.Tx) error {
		if in.HostArn != "" {
			h, err := host(ctx, tx, c, in.HostArn)
			if err != nil {
				return err
			}
			made.ProviderType = h.ProviderType
		} else if in.ProviderType == "GitHubEnterpriseServer" || in.ProviderType == "GitLabSelfManaged" {
			return fault.New("ValidationException", "A connection to %s needs the HostArn of where it runs", in.ProviderType)
		}
		if err := tx.LockAccount(ctx, c.Account); err != nil {
			return err
		}
		list, err := tx.ListConnections(ctx, c.Account, c.Region)
		if err == nil && len(list) >= maxConnections {
			err = fault.New("LimitExceededException", "The account '%s' already has %d connections in the region %s, which is the limit", c.Account, len(list), c.Region)
		}
		if err != nil {
			return err
		}
		if err := tx.PutConnection(ctx, made); err != nil {
			return err
		}
		return putTags(ctx, tx, made.ARN, tags)
	})
}

func showConnection(c store.Connection) api.Connection {
	return api.Connection{ConnectionName: c.Name, ConnectionArn: c.ARN, ProviderType: c.ProviderType, OwnerAccountId: c.Account,
		ConnectionStatus: c.Status, HostArn: c.HostARN}
}

// GetConnection shows a connection.
func (f *face) GetConnection(ctx context.Context, in *api.GetConnectionInput) (*api.GetConnectionOutput, error) {
	c, err := allow(ctx, "GetConnection", in.ConnectionArn)
	if err != nil {
		return nil, err
	}
	var out api.Connection
	return &api.GetConnectionOutput{Connection: &out}, f.DB.View(ctx, func(tx *store.Tx) error {
		found, err := connection(ctx, tx, c, in.ConnectionArn)
		out = showConnection(found)
		return err
	})
}

// DeleteConnection removes a connection; the URL for its webhooks is dead at once.
func (f *face) DeleteConnection(ctx context.Context, in *api.DeleteConnectionInput) (*api.DeleteConnectionOutput, error) {
	c, err := allow(ctx, "DeleteConnection", in.ConnectionArn)
	if err != nil {
		return nil, err
	}
	return &api.DeleteConnectionOutput{}, f.DB.Update(ctx, func(tx *store.Tx) error {
		if _, err := connection(ctx, tx, c, in.ConnectionArn); err != nil {
			return err
		}
		_, err := tx.DeleteConnection(ctx, in.ConnectionArn)
		return err
	})
}

// ListConnections lists the caller's connections by ARN.
func (f *face) ListConnections(ctx context.Context, in *api.ListConnectionsInput) (*api.ListConnectionsOutput, error) {
	c, err := allow(ctx, "ListConnections", "*")
	if err != nil {
		return nil, err
	}
	out := &api.ListConnectionsOutput{Connections: []api.Connection{}}
	return out, f.DB.View(ctx, func(tx *store.Tx) error {
		list, err := tx.ListConnections(ctx, c.Account, c.Region)
		if err != nil {
			return err
		}
		for _, x := range list {
			if in.ProviderTypeFilter != "" && x.ProviderType != in.ProviderTypeFilter || in.HostArnFilter != "" && x.HostARN != in.HostArnFilter {
				continue
			}
			out.Connections = append(out.Connections, showConnection(x))
		}
		out.Connections, out.NextToken, err = page(out.Connections, in.MaxResults, in.NextToken, func(x api.Connection) string { return x.ConnectionArn })
		return err
	})
}

// page gives the part of a list that is asked for. The token is the key of the last element
// of the page before.
func page[T any](list []T, size *int32, token string, key func(T) string) ([]T, string, error) {
	start := 0
	for token != "" && start < len(list) && key(list[start]) <= token {
		start++
	}
	if token != "" && (start == 0 || key(list[start-1]) != token) {
		return nil, "", fault.New("ValidationException", "The next token is not one that this operation gave for the same request, or what it named is gone")
	}
	list = list[start:]
	limit := 100
	if size != nil && *size > 0 {
		limit = int(*size)
	}
	if len(list) > limit {
		return list[:limit], key(list[limit-1]), nil
	}
	return list, "", nil
}

func readTags(in []api.Tag) ([]pipeline.Tag, error) {
	tags := make([]pipeline.Tag, 0, len(in))
	for _, t := range in {
		tags = append(tags, pipeline.Tag{Key: t.Key, Value: t.Value})
	}
	if err := pipeline.ValidateTags(tags); err != nil {
		return nil, fault.New("ValidationException", "%s", err.Error())
	}
	return tags, nil
}

func writeTags(tags []pipeline.Tag) []api.Tag {
	out := make([]api.Tag, 0, len(tags))
	for _, t := range tags {
		out = append(out, api.Tag{Key: t.Key, Value: t.Value})
	}
	return out
}

func putTags(ctx context.Context, tx *store.Tx, arn string, tags []pipeline.Tag) error {
	for _, t := range tags {
		if err := tx.PutTag(ctx, arn, t); err != nil {
			return err
		}
	}
	all, err := tx.Tags(ctx, arn)
	if err == nil && len(all) > maxTags {
		err = fault.New("LimitExceededException", "The resource %s would have more than %d tags", arn, maxTags)
	}
	return err
}
