package events

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"sync"

	api "penstock/internal/api/events"
	"penstock/internal/arn"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// The kinds of target.
const (
	toPipeline = "codepipeline"
	toTopic    = "sns"
	toBuild    = "codebuild"
	toHTTP     = "events"
	toFunction = "lambda"
)

var (
	topicForm   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}$`) })
	projectForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^project/[A-Za-z0-9][A-Za-z0-9_-]{1,254}$`) })
	httpForm    = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^api-destination/[.A-Za-z0-9_-]{1,64}/[A-Za-z0-9-]{1,64}$`)
	})
	codeForm = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^function:[a-zA-Z0-9_-]{1,64}(:(\$LATEST|[a-zA-Z0-9_-]{1,128}))?$`)
	})
	nameForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9.@_-]{1,100}$`) })
)

// resource is the ARN of a target, taken apart.
type resource struct{ kind, region, account, name string }

// parseTarget reads the ARN of a target of one of the services that can be one here.
func parseTarget(text string) (resource, error) {
	a, _ := arn.Parse(text)
	if a.Resource == "" {
		return resource{}, invalid("Parameter %s is not valid. Reason: Provided Arn is not in correct format.", text)
	}
	t := resource{kind: a.Service, region: a.Region, account: a.Account, name: a.Resource}
	ok := true
	switch t.kind {
	case toPipeline:
		ok = nameForm().MatchString(t.name)
	case toTopic:
		ok = topicForm().MatchString(t.name)
	case toBuild:
		ok = projectForm().MatchString(t.name)
		t.name = strings.TrimPrefix(t.name, "project/")
	case toHTTP:
		ok = httpForm().MatchString(t.name)
		t.name = strings.TrimPrefix(t.name, "api-destination/")
	case toFunction:
		ok = codeForm().MatchString(t.name)
	default:
		return t, invalid("%s is not a supported service for a target of this server. It delivers to pipelines of codepipeline, topics of sns, projects of codebuild, functions of lambda and API destinations of events.", t.kind)
	}
	if !ok || t.region == "" || len(t.account) != 12 {
		return t, invalid("Parameter %s is not valid. Reason: Provided Arn is not in correct format.", text)
	}
	return t, nil
}

// checkTarget says what is wrong with a target.
func checkTarget(ctx context.Context, p place, t *api.Target) error {
	to, err := parseTarget(t.Arn)
	if err != nil {
		return err
	}
	other := t.KinesisParameters != nil || t.RunCommandParameters != nil || t.EcsParameters != nil || t.BatchParameters != nil ||
		t.SqsParameters != nil || t.HttpParameters != nil && to.kind != toHTTP || t.RedshiftDataParameters != nil || t.SageMakerPipelineParameters != nil || t.AppSyncParameters != nil
	switch {
	case to.account != p.Account:
		return invalid("Target %s is of another account. This server delivers within an account.", t.Id)
	case other:
		return invalid("Target %s has parameters of another kind of target than %s.", t.Id, to.kind)
	case t.DeadLetterConfig != nil && t.DeadLetterConfig.Arn != "":
		return invalid("Target %s names a dead-letter queue; this server has no queues. Take DeadLetterConfig out.", t.Id)
	case t.RoleArn == "" && to.kind != toTopic && to.kind != toFunction:
		return invalid("RoleArn is required for target %s.", t.Arn)
	}
	if t.RoleArn != "" {
		if err := mayPass(ctx, t.RoleArn); err != nil {
			return err
		}
	}
	if err := checkHTTP(t.HttpParameters); err != nil {
		return err
	}
	return checkInput(t)
}

// PutTargets adds targets to a rule, or replaces those with the same id (N-14).
func (r *Room) PutTargets(ctx context.Context, in *api.PutTargetsInput) (*api.PutTargetsOutput, error) {
	p, err := at(ctx, "PutTargets", in.EventBusName, in.Rule)
	if err != nil {
		return nil, err
	}
	for i := range in.Targets {
		if err := checkTarget(ctx, p, &in.Targets[i]); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(in.Targets[:i], func(t api.Target) bool { return t.Id == in.Targets[i].Id }) {
			return nil, invalid("The target id %s is there twice.", in.Targets[i].Id)
		}
	}
	err = r.change(ctx, p, func(_ *store.Tx, doc *ruleDoc) error {
		for _, t := range in.Targets {
			i := slices.IndexFunc(doc.Targets, func(old api.Target) bool { return old.Id == t.Id })
			if i >= 0 {
				doc.Targets[i] = t
			} else {
				doc.Targets = append(doc.Targets, t)
			}
		}
		if len(doc.Targets) > maxTargets {
			return fault.New("LimitExceededException", "The requested resource exceeds the maximum number allowed: a rule has at most %d targets.", maxTargets)
		}
		return nil
	})
	return &api.PutTargetsOutput{FailedEntryCount: new(int32(0)), FailedEntries: []api.PutTargetsResultEntry{}}, err
}

// RemoveTargets takes targets out of a rule. What was matched before is still delivered.
func (r *Room) RemoveTargets(ctx context.Context, in *api.RemoveTargetsInput) (*api.RemoveTargetsOutput, error) {
	p, err := at(ctx, "RemoveTargets", in.EventBusName, in.Rule)
	if err != nil {
		return nil, err
	}
	out := &api.RemoveTargetsOutput{}
	err = r.change(ctx, p, func(_ *store.Tx, doc *ruleDoc) error {
		failed := []api.RemoveTargetsResultEntry{}
		for _, id := range in.Ids {
			n := len(doc.Targets)
			doc.Targets = slices.DeleteFunc(doc.Targets, func(t api.Target) bool { return t.Id == id })
			if len(doc.Targets) == n {
				failed = append(failed, api.RemoveTargetsResultEntry{TargetId: id, ErrorCode: "ResourceNotFoundException",
					ErrorMessage: "Rule " + p.name + " does not have a target " + id + "."})
			}
		}
		out.FailedEntries, out.FailedEntryCount = failed, new(int32(len(failed)))
		return nil
	})
	return out, err
}

// ListTargetsByRule lists the targets of a rule.
func (r *Room) ListTargetsByRule(ctx context.Context, in *api.ListTargetsByRuleInput) (*api.ListTargetsByRuleOutput, error) {
	p, err := at(ctx, "ListTargetsByRule", in.EventBusName, in.Rule)
	if err != nil {
		return nil, err
	}
	after, err := parsePageToken(in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &api.ListTargetsByRuleOutput{Targets: []api.Target{}}
	err = r.deps.DB.View(ctx, func(tx *store.Tx) error {
		_, doc, err := p.rule(ctx, tx)
		if err != nil {
			return err
		}
		list := doc.Targets
		if after != "" {
			i := slices.IndexFunc(list, func(t api.Target) bool { return t.Id == after })
			list = list[i+1:]
		}
		if n := limitOf(in.Limit); len(list) > n {
			list = list[:n]
			out.NextToken = pageToken(list[n-1].Id)
		}
		out.Targets = append(out.Targets, list...)
		return nil
	})
	return out, err
}
