package codeconnections

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strings"

	api "penstock/internal/api/codeconnections"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// CreateHost tells where an installed provider runs. It is PENDING until a connection to it
// is completed.
func (f *face) CreateHost(ctx context.Context, in *api.CreateHostInput) (*api.CreateHostOutput, error) {
	c := auth.From(ctx)
	made := store.Host{ARN: f.arn(c, "host", in.Name+"-"+auth.NewUUID()[:8]), Account: c.Account, Region: c.Region, Name: in.Name,
		ProviderType: in.ProviderType, Endpoint: in.ProviderEndpoint, Status: pending}
	if _, err := allow(ctx, "CreateHost", made.ARN); err != nil {
		return nil, err
	}
	if err := checkEndpoint(in.ProviderEndpoint); err != nil {
		return nil, err
	}
	if in.ProviderType != "GitHubEnterpriseServer" && in.ProviderType != "GitLabSelfManaged" {
		return nil, fault.New("ValidationException", "The provider type %s has no hosts: use GitHubEnterpriseServer or GitLabSelfManaged", in.ProviderType)
	}
	var err error
	if made.VPC, err = writeVPC(in.VpcConfiguration); err != nil {
		return nil, err
	}
	tags, err := readTags(in.Tags)
	if err != nil {
		return nil, err
	}
	return &api.CreateHostOutput{HostArn: made.ARN, Tags: writeTags(tags)}, f.DB.Update(ctx, func(tx *store.Tx) error {
		if err := tx.LockAccount(ctx, c.Account); err != nil {
			return err
		}
		list, err := tx.ListHosts(ctx, c.Account, c.Region)
		if err == nil && len(list) >= maxHosts {
			err = fault.New("LimitExceededException", "The account '%s' already has %d hosts in the region %s, which is the limit", c.Account, len(list), c.Region)
		}
		if err != nil {
			return err
		}
		if err := tx.PutHost(ctx, made); err != nil {
			return err
		}
		return putTags(ctx, tx, made.ARN, tags)
	})
}

func checkEndpoint(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fault.New("ValidationException", "The ProviderEndpoint '%s' is not like https://git.example.org", text)
	}
	return nil
}

func writeVPC(v *api.VpcConfiguration) (string, error) {
	if v == nil {
		return "", nil
	}
	text, err := json.Marshal(v)
	return string(text), err
}

func readVPC(text string) (*api.VpcConfiguration, error) {
	if text == "" {
		return nil, nil
	}
	v := new(api.VpcConfiguration)
	return v, json.Unmarshal([]byte(text), v)
}

// GetHost shows a host.
func (f *face) GetHost(ctx context.Context, in *api.GetHostInput) (*api.GetHostOutput, error) {
	c, err := allow(ctx, "GetHost", in.HostArn)
	if err != nil {
		return nil, err
	}
	out := &api.GetHostOutput{}
	return out, f.DB.View(ctx, func(tx *store.Tx) error {
		h, err := host(ctx, tx, c, in.HostArn)
		if err != nil {
			return err
		}
		out.Name, out.Status, out.ProviderType, out.ProviderEndpoint = h.Name, h.Status, h.ProviderType, h.Endpoint
		out.VpcConfiguration, err = readVPC(h.VPC)
		return err
	})
}

// ListHosts lists the caller's hosts by ARN.
func (f *face) ListHosts(ctx context.Context, in *api.ListHostsInput) (*api.ListHostsOutput, error) {
	c, err := allow(ctx, "ListHosts", "*")
	if err != nil {
		return nil, err
	}
	out := &api.ListHostsOutput{Hosts: []api.Host{}}
	return out, f.DB.View(ctx, func(tx *store.Tx) error {
		list, err := tx.ListHosts(ctx, c.Account, c.Region)
		if err != nil {
			return err
		}
		for _, h := range list {
			vpc, err := readVPC(h.VPC)
			if err != nil {
				return err
			}
			out.Hosts = append(out.Hosts, api.Host{Name: h.Name, HostArn: h.ARN, ProviderType: h.ProviderType, ProviderEndpoint: h.Endpoint,
				VpcConfiguration: vpc, Status: h.Status})
		}
		out.Hosts, out.NextToken, err = page(out.Hosts, in.MaxResults, in.NextToken, func(h api.Host) string { return h.HostArn })
		return err
	})
}

// UpdateHost changes where a host is.
func (f *face) UpdateHost(ctx context.Context, in *api.UpdateHostInput) (*api.UpdateHostOutput, error) {
	c, err := allow(ctx, "UpdateHost", in.HostArn)
	if err != nil {
		return nil, err
	}
	if in.ProviderEndpoint != "" {
		if err := checkEndpoint(in.ProviderEndpoint); err != nil {
			return nil, err
		}
	}
	return &api.UpdateHostOutput{}, f.DB.Update(ctx, func(tx *store.Tx) error {
		h, err := host(ctx, tx, c, in.HostArn)
		if err != nil {
			return err
		}
		if in.ProviderEndpoint != "" {
			h.Endpoint = in.ProviderEndpoint
		}
		if in.VpcConfiguration != nil {
			if h.VPC, err = writeVPC(in.VpcConfiguration); err != nil {
				return err
			}
		}
		return tx.PutHost(ctx, h)
	})
}

// DeleteHost removes a host that no connection uses.
func (f *face) DeleteHost(ctx context.Context, in *api.DeleteHostInput) (*api.DeleteHostOutput, error) {
	c, err := allow(ctx, "DeleteHost", in.HostArn)
	if err != nil {
		return nil, err
	}
	return &api.DeleteHostOutput{}, f.DB.Update(ctx, func(tx *store.Tx) error {
		if _, err := host(ctx, tx, c, in.HostArn); err != nil {
			return err
		}
		list, err := tx.ListConnections(ctx, c.Account, c.Region)
		if err != nil {
			return err
		}
		for _, x := range list {
			if x.HostARN == in.HostArn {
				return fault.New("ResourceUnavailableException", "The host %s has connections. Delete them first", in.HostArn)
			}
		}
		_, err = tx.DeleteHost(ctx, in.HostArn)
		return err
	})
}

// exists refuses an ARN of neither a connection nor a host of the caller.
func exists(ctx context.Context, tx *store.Tx, c auth.Caller, arn string) error {
	_, err := connection(ctx, tx, c, arn)
	if strings.Contains(arn, ":host/") {
		_, err = host(ctx, tx, c, arn)
	}
	return err
}

// ListTagsForResource lists the tags of a connection or host.
func (f *face) ListTagsForResource(ctx context.Context, in *api.ListTagsForResourceInput) (*api.ListTagsForResourceOutput, error) {
	c, err := allow(ctx, "ListTagsForResource", in.ResourceArn)
	if err != nil {
		return nil, err
	}
	out := &api.ListTagsForResourceOutput{}
	return out, f.DB.View(ctx, func(tx *store.Tx) error {
		tags, err := tx.Tags(ctx, in.ResourceArn)
		out.Tags = writeTags(tags)
		return errors.Join(exists(ctx, tx, c, in.ResourceArn), err)
	})
}

// TagResource adds or overwrites tags.
func (f *face) TagResource(ctx context.Context, in *api.TagResourceInput) (*api.TagResourceOutput, error) {
	c, err := allow(ctx, "TagResource", in.ResourceArn)
	if err != nil {
		return nil, err
	}
	tags, err := readTags(in.Tags)
	if err != nil {
		return nil, err
	}
	return &api.TagResourceOutput{}, f.DB.Update(ctx, func(tx *store.Tx) error {
		if err := exists(ctx, tx, c, in.ResourceArn); err != nil {
			return err
		}
		return putTags(ctx, tx, in.ResourceArn, tags)
	})
}

// UntagResource removes tags; those that are not there are ignored.
func (f *face) UntagResource(ctx context.Context, in *api.UntagResourceInput) (*api.UntagResourceOutput, error) {
	c, err := allow(ctx, "UntagResource", in.ResourceArn)
	if err != nil {
		return nil, err
	}
	return &api.UntagResourceOutput{}, f.DB.Update(ctx, func(tx *store.Tx) error {
		if err := exists(ctx, tx, c, in.ResourceArn); err != nil {
			return err
		}
		for _, key := range in.TagKeys {
			if err := tx.DeleteTag(ctx, in.ResourceArn, key); err != nil {
				return err
			}
		}
		return nil
	})
}
