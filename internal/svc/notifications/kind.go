package notifications

import (
	"encoding/json"
	"slices"
	"strings"

	api "penstock/internal/api/codestarnotifications"
	"penstock/internal/arn"
	"penstock/internal/store"
)

// kind is a sort of event that rules may name (S-354).
type kind struct{ id, service, name, resource string }

// kinds are all that can happen here, in the order of their ids.
var kinds = makeKinds()

func makeKinds() []kind {
	var list []kind
	add := func(service, resource, prefix, group string, states ...string) {
		for _, state := range states {
			word := strings.ReplaceAll(state, "-", " ")
			list = append(list, kind{prefix + state, service, group + ": " + strings.ToUpper(word[:1]) + word[1:], resource})
		}
	}
	const pipeline = "codepipeline-pipeline-"
	add("CodePipeline", "Pipeline", pipeline+"action-execution-", "Action execution", "succeeded", "failed", "canceled", "started")
	add("CodePipeline", "Pipeline", pipeline+"stage-execution-", "Stage execution", "started", "succeeded", "resumed", "canceled", "failed")
	add("CodePipeline", "Pipeline", pipeline+"pipeline-execution-", "Pipeline execution", "failed", "canceled", "started", "resumed", "succeeded", "superseded")
	add("CodePipeline", "Pipeline", pipeline+"manual-approval-", "Manual approval", "failed", "needed", "succeeded")
	add("CodeBuild", "Project", "codebuild-project-build-state-", "Build state", "failed", "succeeded", "in-progress", "stopped")
	add("CodeBuild", "Project", "codebuild-project-build-phase-", "Build phase", "failure", "success")
	add("CodeCommit", "Repository", "codecommit-repository-branches-and-tags-", "Branches and tags", "created", "deleted", "updated")
	slices.SortFunc(list, func(a, b kind) int { return strings.Compare(a.id, b.id) })
	return list
}

func (k kind) summary() api.EventTypeSummary {
	return api.EventTypeSummary{EventTypeId: k.id, ServiceName: k.service, EventTypeName: k.name, ResourceType: k.resource}
}

func kindOf(id string) (kind, bool) {
	i, ok := slices.BinarySearchFunc(kinds, id, func(k kind, id string) int { return strings.Compare(k.id, id) })
	if !ok {
		return kind{}, false
	}
	return kinds[i], true
}

// serviceOf gives the service and the sort of resource that an ARN names; ok says that it is
// one of those that rules can be for.
func serviceOf(text string) (service, resource string, ok bool) {
	a, _ := arn.Parse(text)
	if a.Resource == "" {
		return "", "", false
	}
	switch {
	case a.Service == "codepipeline" && !strings.ContainsAny(a.Resource, ":/"):
		return "CodePipeline", "Pipeline", true
	case a.Service == "codebuild" && strings.HasPrefix(a.Resource, "project/"):
		return "CodeBuild", "Project", true
	case a.Service == "codecommit" && !strings.ContainsAny(a.Resource, ":/"):
		return "CodeCommit", "Repository", true
	}
	return "", "", false
}

// happening is an event as rules see it.
type happening struct {
	store.Outgoing
	// ids are what rules may call it; resource is what they are for.
	ids      []string
	resource string
	// lane orders: what has the same one is told in its order.
	lane   string
	detail eventDetail
}

// eventDetail are the members of details that matter here.
type eventDetail struct {
	Execution string `json:"execution-id"`
	Pipeline  string `json:"pipeline"`
	State     string `json:"state"`
	Stage     string `json:"stage"`
	Action    string `json:"action"`
	Run       string `json:"action-execution-id"`
	Type      struct {
		Category string `json:"category"`
	} `json:"type"`
	Result struct {
		Summary string `json:"external-execution-summary"`
	} `json:"execution-result"`

	Project string `json:"project-name"`
	Build   string `json:"build-status"`
	Phase   string `json:"completed-phase-status"`

	Reference string `json:"event"`
}

// seen says what rules may call an event; false if no rule can be for it.
func seen(o store.Outgoing) (*happening, bool) {
	h := &happening{Outgoing: o, resource: o.Resource, lane: o.Resource}
	if json.Unmarshal([]byte(o.Detail), &h.detail) != nil {
		return nil, false
	}
	d, name := &h.detail, ""
	switch o.Source + " " + o.DetailType {
	case "aws.codepipeline CodePipeline Pipeline Execution State Change":
		name, h.lane = "codepipeline-pipeline-pipeline-execution-"+strings.ToLower(d.State), d.Execution
	case "aws.codepipeline CodePipeline Stage Execution State Change":
		name, h.lane = "codepipeline-pipeline-stage-execution-"+strings.ToLower(d.State), d.Execution
	case "aws.codepipeline CodePipeline Action Execution State Change":
		name, h.lane = "codepipeline-pipeline-action-execution-"+strings.ToLower(d.State), d.Execution
		if state, ok := map[string]string{"STARTED": "needed", "SUCCEEDED": "succeeded", "FAILED": "failed"}[d.State]; ok && d.Type.Category == "Approval" {
			h.ids = []string{"codepipeline-pipeline-manual-approval-" + state}
		}
	case "aws.codebuild CodeBuild Build State Change":
		name, h.resource = "codebuild-project-build-state-"+strings.ToLower(strings.ReplaceAll(d.Build, "_", "-")), project(o, d.Project)
		if d.Build == "FAULT" || d.Build == "TIMED_OUT" {
			name = "codebuild-project-build-state-failed"
		}
	case "aws.codebuild CodeBuild Build Phase Change":
		name, h.resource = "codebuild-project-build-phase-failure", project(o, d.Project)
		if d.Phase == "SUCCEEDED" {
			name = "codebuild-project-build-phase-success"
		}
	case "aws.codecommit CodeCommit Repository State Change":
		name = "codecommit-repository-branches-and-tags-" + strings.ToLower(strings.TrimPrefix(d.Reference, "reference"))
	}
	if _, ok := kindOf(name); ok {
		h.ids = append(h.ids, name)
	}
	return h, len(h.ids) > 0
}

func project(o store.Outgoing, name string) string {
	return arn.New("codebuild", o.Region, o.Account, "project/"+name)
}
