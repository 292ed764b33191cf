package pipeline

import (
	"regexp"
	"slices"
	"strings"
	"sync"

	"penstock/internal/arn"
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
	name := r.Pipeline
	switch r.Kind {
	case StageResource:
		name += "/" + r.Stage
	case ActionResource:
		name += "/" + r.Stage + "/" + r.Action
	case ActionTypeResource:
		t := r.ActionType
		name = "actiontype:" + t.Owner + "/" + t.Category + "/" + t.Provider + "/" + t.Version
	case WebhookResource:
		name = "webhook:" + r.Webhook
	}
	return arn.ARN{Partition: r.Partition, Service: "codepipeline", Region: r.Region, Account: r.Account, Resource: name}.String()
}

// PipelineARN names a pipeline (S-356).
func PipelineARN(region, account, pipeline string) string {
	return arn.New("codepipeline", region, account, pipeline)
}

// StageARN names a stage (S-357).
func StageARN(region, account, pipeline, stage string) string {
	return PipelineARN(region, account, pipeline) + "/" + stage
}

// ActionTypeARN names an action type (S-359).
func ActionTypeARN(region, account string, id ActionTypeID) string {
	return Resource{Kind: ActionTypeResource, Partition: arn.Partition(region), Region: region, Account: account, ActionType: id}.ARN()
}

// WebhookARN names a webhook (S-360).
func WebhookARN(region, account, name string) string {
	return Resource{Kind: WebhookResource, Partition: arn.Partition(region), Region: region, Account: account, Webhook: name}.ARN()
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
func ParseARN(text string) (Resource, error) {
	invalid := fault.New("InvalidArnException", "The ARN '%s' is not one of a pipeline, stage, action, action type or webhook", cut(text, 300))
	a, ok := arn.Parse(text)
	if !ok || a.Service != "codepipeline" || !partitionName.MatchString(a.Partition) || !regionName().MatchString(a.Region) {
		return Resource{}, invalid
	}
	r := Resource{Partition: a.Partition, Region: a.Region, Account: a.Account}
	kind, name, typed := strings.Cut(a.Resource, ":")
	ok = false
	switch {
	case !typed:
		ok = r.parsePath(a.Resource)
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
