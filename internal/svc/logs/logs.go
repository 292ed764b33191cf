// Package logs is the room of CloudWatch Logs: groups, streams and events, as much of them
// as builds write and people read (N-11).
//
// The events of one PutLogEvents call are one row, and reading is by keys, so a long log
// costs what is read of it and not what it is.
package logs

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	api "penstock/internal/api/logs"
	"penstock/internal/arn"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// Deps are what the room needs of the server.
type Deps struct {
	DB *store.DB
	// Notify is told the ARN of a stream that got events, after they are durable; may be nil.
	Notify func(arn string)
}

// Room answers the Logs API.
type Room struct {
	api.Unimplemented
	deps Deps
}

var _ api.Service = (*Room)(nil)

// New makes the room.
func New(deps Deps) *Room {
	if deps.Notify == nil {
		deps.Notify = func(string) {}
	}
	return &Room{deps: deps}
}

// groupDoc is what a group's row keeps beside its columns.
type groupDoc struct {
	Class     string            `json:"class,omitempty"`
	KmsKeyID  string            `json:"kmsKeyId,omitempty"`
	Tags      map[string]string `json:"tags,omitempty"`
	Protected bool              `json:"protected,omitempty"`
}

func groupARN(c auth.Caller, group string) string {
	return arn.New("logs", c.Region, c.Account, "log-group:"+group)
}

// check authorises an action on a group, or on one of its streams. AWS writes the empty
// stream name for a whole group, so that a policy's "log-group:NAME:*" holds for both.
func check(ctx context.Context, action, group, stream string) (auth.Caller, error) {
	c := auth.From(ctx)
	return c, auth.Check(ctx, "logs:"+action, groupARN(c, group)+":log-stream:"+stream)
}

// noGroup and noStream turn "not found" into AWS's words.
func noGroup(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return fault.New("ResourceNotFoundException", "The specified log group does not exist.")
	}
	return err
}

func noStream(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return fault.New("ResourceNotFoundException", "The specified log stream does not exist.")
	}
	return err
}

func invalid(format string, args ...any) error {
	return fault.New("InvalidParameterException", format, args...)
}

// identify gives the group's name from a name or an identifier, which may be an ARN.
func identify(name, identifier string) (string, error) {
	switch {
	case name != "" && identifier != "":
		return "", invalid("Only one of logGroupName and logGroupIdentifier can be specified.")
	case name != "":
		return name, nil
	case identifier == "":
		return "", invalid("Either logGroupName or logGroupIdentifier must be specified.")
	}
	return nameOf(identifier), nil
}

// nameOf takes the group's name out of an ARN.
func nameOf(arn string) string {
	if _, rest, ok := strings.Cut(arn, ":log-group:"); ok {
		return strings.TrimSuffix(rest, ":*")
	}
	return arn
}

func newID() string { return strings.ToLower(rand.Text()) }

// group reads a group and its document inside a transaction.
func group(ctx context.Context, tx *store.Tx, c auth.Caller, name string) (store.LogGroup, groupDoc, error) {
	g, err := tx.GetLogGroup(ctx, c.Account, c.Region, name)
	var doc groupDoc
	if err == nil {
		err = json.Unmarshal([]byte(g.Doc), &doc)
	}
	return g, doc, noGroup(err)
}

// CreateLogGroup implements the API.
func (r *Room) CreateLogGroup(ctx context.Context, in *api.CreateLogGroupInput) (*api.CreateLogGroupOutput, error) {
	c, err := check(ctx, "CreateLogGroup", in.LogGroupName, "")
	if err != nil {
		return nil, err
	}
	doc := groupDoc{Class: in.LogGroupClass, KmsKeyID: in.KmsKeyId, Tags: in.Tags, Protected: in.DeletionProtectionEnabled != nil && *in.DeletionProtectionEnabled}
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	return &api.CreateLogGroupOutput{}, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		added, err := tx.AddLogGroup(ctx, store.LogGroup{ID: newID(), Account: c.Account, Region: c.Region, Name: in.LogGroupName, Doc: string(text)})
		if err == nil && !added {
			err = fault.New("ResourceAlreadyExistsException", "The specified log group already exists")
		}
		return err
	})
}

// DeleteLogGroup implements the API.
func (r *Room) DeleteLogGroup(ctx context.Context, in *api.DeleteLogGroupInput) (*api.DeleteLogGroupOutput, error) {
	c, err := check(ctx, "DeleteLogGroup", in.LogGroupName, "")
	if err != nil {
		return nil, err
	}
	return &api.DeleteLogGroupOutput{}, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		g, doc, err := group(ctx, tx, c, in.LogGroupName)
		switch {
		case err != nil:
			return err
		case doc.Protected:
			return fault.New("ValidationException", "Deletion protection is enabled for the log group %s", in.LogGroupName)
		}
		return tx.DeleteLogGroup(ctx, g.ID)
	})
}

// DescribeLogGroups implements the API.
func (r *Room) DescribeLogGroups(ctx context.Context, in *api.DescribeLogGroupsInput) (*api.DescribeLogGroupsOutput, error) {
	c, err := check(ctx, "DescribeLogGroups", "", "")
	if err != nil {
		return nil, err
	}
	if in.LogGroupNamePrefix != "" && in.LogGroupNamePattern != "" {
		return nil, invalid("LogGroupNamePrefix and LogGroupNamePattern are mutually exclusive parameters.")
	}
	if len(in.LogGroupIdentifiers) > 0 || len(in.AccountIdentifiers) > 0 || in.IncludeLinkedAccounts != nil && *in.IncludeLinkedAccounts {
		return nil, invalid("logGroupIdentifiers, accountIdentifiers and includeLinkedAccounts are not offered by this server: log groups of the caller's account are found by name and class.")
	}
	after, err := openToken[string](in.NextToken)
	if err != nil {
		return nil, err
	}
	limit := limitOf(in.Limit, 50, 50)
	out := &api.DescribeLogGroupsOutput{LogGroups: []api.LogGroup{}}
	err = r.deps.DB.View(ctx, func(tx *store.Tx) error {
		for {
			page, err := tx.ListLogGroups(ctx, c.Account, c.Region, in.LogGroupNamePrefix, store.Keyset{After: after, Limit: limit + 1})
			if err != nil {
				return err
			}
			for _, g := range page {
				if len(out.LogGroups) == limit {
					out.NextToken = sealToken(after)
					return nil
				}
				after = g.Name
				// A pattern is a part of the name, whatever its case.
				d := describe(c, g)
				if strings.Contains(strings.ToLower(g.Name), strings.ToLower(in.LogGroupNamePattern)) && (in.LogGroupClass == "" || in.LogGroupClass == d.LogGroupClass) {
					out.LogGroups = append(out.LogGroups, d)
				}
			}
			if len(page) <= limit {
				return nil
			}
		}
	})
	return out, err
}

func describe(c auth.Caller, g store.LogGroup) api.LogGroup {
	var doc groupDoc
	_ = json.Unmarshal([]byte(g.Doc), &doc) // written by this room
	arn := groupARN(c, g.Name)
	d := api.LogGroup{
		LogGroupName: g.Name, CreationTime: new(g.Created.UnixMilli()), MetricFilterCount: new(int32(0)), StoredBytes: new(int64(0)),
		Arn: arn + ":*", LogGroupArn: arn, KmsKeyId: doc.KmsKeyID, LogGroupClass: doc.Class,
	}
	if d.LogGroupClass == "" {
		d.LogGroupClass = "STANDARD"
	}
	if g.Retention > 0 {
		d.RetentionInDays = new(int32(g.Retention))
	}
	return d
}

var retentions = []int32{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}

// PutRetentionPolicy implements the API.
func (r *Room) PutRetentionPolicy(ctx context.Context, in *api.PutRetentionPolicyInput) (*api.PutRetentionPolicyOutput, error) {
	if in.RetentionInDays == nil || !slices.Contains(retentions, *in.RetentionInDays) {
		return nil, invalid("1 validation error detected: Value at 'retentionInDays' failed to satisfy constraint: Member must satisfy enum value set: %v", retentions)
	}
	return &api.PutRetentionPolicyOutput{}, r.retain(ctx, "PutRetentionPolicy", in.LogGroupName, int(*in.RetentionInDays))
}

// DeleteRetentionPolicy implements the API.
func (r *Room) DeleteRetentionPolicy(ctx context.Context, in *api.DeleteRetentionPolicyInput) (*api.DeleteRetentionPolicyOutput, error) {
	return &api.DeleteRetentionPolicyOutput{}, r.retain(ctx, "DeleteRetentionPolicy", in.LogGroupName, 0)
}

func (r *Room) retain(ctx context.Context, action, name string, days int) error {
	c, err := check(ctx, action, name, "")
	if err != nil {
		return err
	}
	return r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		g, _, err := group(ctx, tx, c, name)
		if err != nil {
			return err
		}
		g.Retention = days
		return tx.SetLogGroup(ctx, g) // what is older is not shown; it goes when the server tidies up
	})
}

// TagResource implements the API; only groups have tags here.
func (r *Room) TagResource(ctx context.Context, in *api.TagResourceInput) (*api.TagResourceOutput, error) {
	return &api.TagResourceOutput{}, r.retag(ctx, "TagResource", nameOf(in.ResourceArn), func(m map[string]string) { maps.Copy(m, in.Tags) })
}

// UntagResource implements the API.
func (r *Room) UntagResource(ctx context.Context, in *api.UntagResourceInput) (*api.UntagResourceOutput, error) {
	return &api.UntagResourceOutput{}, r.retag(ctx, "UntagResource", nameOf(in.ResourceArn), func(m map[string]string) {
		maps.DeleteFunc(m, func(k, _ string) bool { return slices.Contains(in.TagKeys, k) })
	})
}

// TagLogGroup implements the older form of TagResource.
func (r *Room) TagLogGroup(ctx context.Context, in *api.TagLogGroupInput) (*api.TagLogGroupOutput, error) {
	return &api.TagLogGroupOutput{}, r.retag(ctx, "TagLogGroup", in.LogGroupName, func(m map[string]string) { maps.Copy(m, in.Tags) })
}

// UntagLogGroup implements the older form of UntagResource.
func (r *Room) UntagLogGroup(ctx context.Context, in *api.UntagLogGroupInput) (*api.UntagLogGroupOutput, error) {
	return &api.UntagLogGroupOutput{}, r.retag(ctx, "UntagLogGroup", in.LogGroupName, func(m map[string]string) {
		maps.DeleteFunc(m, func(k, _ string) bool { return slices.Contains(in.Tags, k) })
	})
}

func (r *Room) retag(ctx context.Context, action, name string, change func(map[string]string)) error {
	c, err := check(ctx, action, name, "")
	if err != nil {
		return err
	}
	return r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		g, doc, err := group(ctx, tx, c, name)
		if err != nil {
			return err
		}
		if doc.Tags == nil {
			doc.Tags = map[string]string{}
		}
		change(doc.Tags)
		if len(doc.Tags) > 50 {
			return fault.New("TooManyTagsException", "A resource can have no more than 50 tags.")
		}
		text, err := json.Marshal(doc)
		if err != nil {
			return err
		}
		g.Doc = string(text)
		return tx.SetLogGroup(ctx, g)
	})
}

// ListTagsForResource implements the API.
func (r *Room) ListTagsForResource(ctx context.Context, in *api.ListTagsForResourceInput) (*api.ListTagsForResourceOutput, error) {
	tags, err := r.tags(ctx, "ListTagsForResource", nameOf(in.ResourceArn))
	return &api.ListTagsForResourceOutput{Tags: tags}, err
}

// ListTagsLogGroup implements the older form of ListTagsForResource.
func (r *Room) ListTagsLogGroup(ctx context.Context, in *api.ListTagsLogGroupInput) (*api.ListTagsLogGroupOutput, error) {
	tags, err := r.tags(ctx, "ListTagsLogGroup", in.LogGroupName)
	return &api.ListTagsLogGroupOutput{Tags: tags}, err
}

func (r *Room) tags(ctx context.Context, action, name string) (map[string]string, error) {
	c, err := check(ctx, action, name, "")
	if err != nil {
		return nil, err
	}
	tags := map[string]string{}
	err = r.deps.DB.View(ctx, func(tx *store.Tx) error {
		_, doc, err := group(ctx, tx, c, name)
		maps.Copy(tags, doc.Tags)
		return err
	})
	return tags, err
}

func limitOf(asked *int32, standard, most int) int {
	if asked == nil || *asked < 1 {
		return standard
	}
	return min(int(*asked), most)
}

// sealToken and openToken make a place in a list opaque.
func sealToken[T any](v T) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("logs: %T is not a token: %v", v, err))
	}
	return encode(b)
}

func openToken[T any](token string) (v T, err error) {
	if token == "" {
		return v, nil
	}
	b, err := decode(token)
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	if err != nil {
		return v, invalid("The specified nextToken is invalid.")
	}
	return v, nil
}
