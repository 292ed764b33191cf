package app

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"penstock/internal/api"
	"penstock/internal/arn"
	"penstock/internal/fault"
	"penstock/internal/store"
	"penstock/internal/svc/logs"
	"penstock/internal/svc/ssm"
	"penstock/internal/svc/tagging"
)

// retaggers are the services that have operations for tags: by the name in ARNs that of the room,
// the member with the resource, and whether tags are a map there.
var retaggers = map[string]struct {
	room, member string
	mapped       bool
}{
	"cloudwatch":             {"cloudwatch", "ResourceARN", false},
	"codecommit":             {"codecommit", "resourceArn", true},
	"codeconnections":        {"codeconnections", "ResourceArn", false},
	"codedeploy":             {"codedeploy", "ResourceArn", false},
	"codepipeline":           {"codepipeline", "resourceArn", false},
	"codestar-connections":   {"codestarconnections", "ResourceArn", false},
	"codestar-notifications": {"codestarnotifications", "Arn", true},
	"events":                 {"events", "ResourceARN", false},
	"lambda":                 {"lambda", "Resource", true},
	"logs":                   {"logs", "resourceArn", true},
	"secretsmanager":         {"secretsmanager", "SecretId", false},
	"sns":                    {"sns", "ResourceArn", false},
}

// fromTable lists what a service has in the table of tags.
func (a *App) fromTable(service, plain string) tagging.Source {
	return tagging.Source{Name: service, Service: service, Plain: plain, List: func(ctx context.Context, account, region, after string, limit int) (list []store.Tagged, err error) {
		return list, a.db.View(ctx, func(tx *store.Tx) error {
			list, err = tx.TaggedResources(ctx, arn.New(service, region, account, ""), after, limit)
			return err
		})
	}}
}

// changed makes of tags that are kept whole what an addition or a removal makes of them.
func changed(add map[string]string, remove []string) func(map[string]string) {
	return func(tags map[string]string) {
		maps.Copy(tags, add)
		for _, key := range remove {
			delete(tags, key)
		}
	}
}

// tag is one of a list.
type tag struct{ Key, Value string }

// newTagging makes the room that sees the tags of all others. Tags are changed by the operations
// of their services, as the caller.
func (a *App) newTagging(r *rooms, l *logs.Room, parameters *ssm.Room) *tagging.Room {
	sources := []tagging.Source{
		a.fromTable("codepipeline", "pipeline"), a.fromTable("codeconnections", ""), a.fromTable("codestar-connections", ""), a.fromTable("secretsmanager", ""),
		{Name: "cloudwatch", Service: "cloudwatch", List: r.cloudwatch.Tagged},
		{Name: "codebuild", Service: "codebuild", List: r.codebuild.Tagged},
		{Name: "codecommit", Service: "codecommit", Plain: "repository", List: r.codecommit.Tagged},
		{Name: "codedeploy", Service: "codedeploy", List: r.codedeploy.TaggedApplications},
		{Name: "codedeploy groups", Service: "codedeploy", List: r.codedeploy.TaggedGroups},
		{Name: "codestar-notifications", Service: "codestar-notifications", List: r.notifications.Tagged},
		{Name: "events", Service: "events", List: r.events.TaggedRules},
		{Name: "events buses", Service: "events", List: r.events.TaggedBuses},
		{Name: "lambda", Service: "lambda", List: r.lambda.Tagged},
		{Name: "logs", Service: "logs", List: l.Tagged},
		{Name: "s3", Service: "s3", Plain: "bucket", List: r.s3.Tagged},
		{Name: "sns", Service: "sns", Plain: "topic", List: r.sns.Tagged},
		{Name: "ssm", Service: "ssm", List: parameters.Tagged},
	}
	changes := map[string]tagging.Change{
		"codebuild": func(ctx context.Context, arn string, add map[string]string, remove []string) error {
			return r.codebuild.Retag(ctx, arn, changed(add, remove))
		},
		"s3": func(ctx context.Context, arn string, add map[string]string, remove []string) error {
			return r.s3.Retag(ctx, arn, changed(add, remove))
		},
		"ssm": func(ctx context.Context, arn string, add map[string]string, remove []string) error {
			return ofParameter(arn, func(name string) error {
				in := map[string]any{"ResourceType": "Parameter", "ResourceId": name}
				return a.retag(ctx, "ssm", "AddTagsToResource", "RemoveTagsFromResource", in, add, remove, false)
			})
		},
	}
	for service, how := range retaggers {
		changes[service] = func(ctx context.Context, arn string, add map[string]string, remove []string) error {
			return a.retag(ctx, how.room, "TagResource", "UntagResource", map[string]any{how.member: arn}, add, remove, how.mapped)
		}
	}
	return tagging.New(tagging.Deps{Sources: sources, Changes: changes})
}

// retag calls the operation of a room that adds tags, or the one that removes them.
func (a *App) retag(ctx context.Context, room, adds, removes string, in map[string]any, add map[string]string, remove []string, mapped bool) error {
	operation := adds
	switch {
	case add == nil:
		operation, in["TagKeys"] = removes, remove
	case mapped:
		in["Tags"] = add
	default:
		var list []tag
		for _, key := range slices.Sorted(maps.Keys(add)) {
			list = append(list, tag{key, add[key]})
		}
		in["Tags"] = list
	}
	text, err := json.Marshal(in)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(a.rooms.services, func(s *api.Service) bool { return s.Name == room })
	return a.rooms.services[i].Perform(ctx, operation, text)
}

// ofParameter calls with the name of the parameter of an ARN, which writes /a like a.
func ofParameter(arn string, f func(name string) error) error {
	_, name, ok := strings.Cut(arn, ":parameter/")
	if !ok {
		return fault.New("InvalidResourceId", "%s is not the ARN of a parameter.", arn)
	}
	if strings.Contains(name, "/") {
		return f("/" + name)
	}
	err := f(name)
	if fault.Code(err) == "InvalidResourceId" {
		err = f("/" + name)
	}
	return err
}
