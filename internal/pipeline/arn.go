package pipeline

import (
	"regexp"
	"slices"
	"strings"
	"sync"

	"penstock/internal/fault"
)

// ResourceKind says what an ARN names.
type ResourceKind int

// The kinds of resources (S-356 to S-360).
const (
	PipelineResource ResourceKind = iota + 1
	StageResource
	ActionResource
	ActionTypeResource
	WebhookResource
)

// Resource is what an ARN of the service names. Of the names only those of its kind are set.
type Resource struct {
	Kind                       ResourceKind
	Partition, Region, Account string
	Pipeline, Stage, Action    string
	ActionType                 ActionTypeID
	Webhook                    string
}

// Taggable says whether the resource can have tags (S-361).
func (r Resource) Taggable() bool {
	return r.Kind == PipelineResource || r.Kind == ActionTypeResource || r.Kind == WebhookResource
}

// ARN gives the ARN of the resource.
func (r Resource) ARN() string {
	head := "arn:" + r.Partition + ":codepipeline:" + r.Region + ":" + r.Account + ":"
	switch r.Kind {
	case StageResource:
		return head + r.Pipeline + "/" + r.Stage
	case ActionResource:
		return head + r.Pipeline + "/" + r.Stage + "/" + r.Action
	case ActionTypeResource:
		t := r.ActionType
		return head + "actiontype:" + t.Owner + "/" + t.Category + "/" + t.Provider + "/" + t.Version
	case WebhookResource:
		return head + "webhook:" + r.Webhook
	}
	return head + r.Pipeline
}

// Partition gives the partition a Region belongs to, the second part of an ARN.
func Partition(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

// PipelineARN names a pipeline (S-356).
func PipelineARN(region, account, pipeline string) string {
	return Resource{Kind: PipelineResource, Partition: Partition(region), Region: region, Account: account, Pipeline: pipeline}.ARN()
}

// StageARN names a stage (S-357).
func StageARN(region, account, pipeline, stage string) string {
	return PipelineARN(region, account, pipeline) + "/" + stage
}

// ActionTypeARN names an action type (S-359).
func ActionTypeARN(region, account string, id ActionTypeID) string {
	return Resource{Kind: ActionTypeResource, Partition: Partition(region), Region: region, Account: account, ActionType: id}.ARN()
}

// WebhookARN names a webhook (S-360).
func WebhookARN(region, account, name string) string {
	return Resource{Kind: WebhookResource, Partition: Partition(region), Region: region, Account: account, Webhook: name}.ARN()
}

var (
	partitionName = regexp.MustCompile(`^aws(-\w+)*$`)
	regionName    = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9-]{1,30}$`) })
	accountID     = regexp.MustCompile(`^[0-9]{12}$`)
	resourceName  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9.@_-]{1,100}$`) })
	typePart      = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9A-Za-z_-]{1,35}$`) })
)

// ParseARN reads an ARN of the service; anything else is an InvalidArnException (S-363). Of
// action types it takes the spellings that are about: actionType, an owner in lower case, and
// no account (S-359, A-24). Whether Region and account are the caller's is not its business.
func ParseARN(arn string) (Resource, error) {
	invalid := fault.New("InvalidArnException", "The ARN '%s' is not one of a pipeline, stage, action, action type or webhook", cut(arn, 300))
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[2] != "codepipeline" ||
		!partitionName.MatchString(parts[1]) || !regionName().MatchString(parts[3]) {
		return Resource{}, invalid
	}
	r := Resource{Partition: parts[1], Region: parts[3], Account: parts[4]}
	kind, name, typed := strings.Cut(parts[5], ":")
	ok := false
	switch {
	case !typed:
		ok = r.parsePath(parts[5])
	case strings.EqualFold(kind, "actiontype"):
		ok = r.parseActionType(name)
	case kind == "webhook":
		r.Kind, r.Webhook = WebhookResource, name
		ok = resourceName().MatchString(name)
	}
	if !ok || !accountID.MatchString(r.Account) && (r.Kind != ActionTypeResource || r.Account != "") {
		return Resource{}, invalid
	}
	return r, nil
}

func (r *Resource) parsePath(path string) bool {
	names := strings.Split(path, "/")
	if len(names) > 3 || slices.ContainsFunc(names, func(name string) bool { return !resourceName().MatchString(name) }) {
		return false
	}
	for i, to := range []*string{&r.Pipeline, &r.Stage, &r.Action}[:len(names)] {
		*to = names[i]
	}
	r.Kind = PipelineResource + ResourceKind(len(names)-1)
	return true
}

func (r *Resource) parseActionType(path string) bool {
	names := strings.Split(path, "/")
	if len(names) != 4 || slices.ContainsFunc(names, func(name string) bool { return !typePart().MatchString(name) }) {
		return false
	}
	r.Kind = ActionTypeResource
	r.ActionType = ActionTypeID{Category: names[1], Owner: names[0], Provider: names[2], Version: names[3]}
	for _, owner := range []string{OwnerAWS, OwnerThirdParty, OwnerCustom} {
		if strings.EqualFold(names[0], owner) {
			r.ActionType.Owner = owner
			return true
		}
	}
	return false
}
