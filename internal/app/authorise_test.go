package app

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"penstock/internal/api"
)

const arns = "arn:aws:codepipeline:us-east-1:000000000000:"

// resources says, after the table of W-43 and not after the code, what each operation needs a
// permission on: %s is the name of the pipeline, webhook or provider that is asked for. An
// operation that is not here needs it on everything.
var resources = map[string][]string{
	"CreateCustomActionType": {"actiontype:Custom/Build/%s/1"}, "DeleteCustomActionType": {"actiontype:Custom/Build/%s/1"}, "PollForJobs": {"actiontype:Custom/Build/%s/1"},
	"UpdateActionType": {"actiontype:ThirdParty/Build/%s/1"},
	"CreatePipeline":   {"%s"}, "DeletePipeline": {"%s"}, "UpdatePipeline": {"%s"}, "GetPipeline": {"%s"}, "GetPipelineExecution": {"%s"}, "GetPipelineState": {"%s"},
	"ListActionExecutions": {"%s"}, "ListRuleExecutions": {"%s"}, "ListDeployActionExecutionTargets": {"%s"}, "ListPipelineExecutions": {"%s"},
	"StartPipelineExecution": {"%s"}, "StopPipelineExecution": {"%s"},
	"DisableStageTransition": {"%s/S"}, "EnableStageTransition": {"%s/S"}, "OverrideStageCondition": {"%s/S"}, "RetryStageExecution": {"%s/S"}, "RollbackStage": {"%s/S"},
	"PutActionRevision": {"%s/S/A"}, "PutApprovalResult": {"%s/S/A"},
	"DeleteWebhook": {"webhook:%s"}, "RegisterWebhookWithThirdParty": {"webhook:%s"}, "DeregisterWebhookWithThirdParty": {"webhook:%s"}, "PutWebhook": {"webhook:%s", "%s"},
	"ListTagsForResource": {"%s"}, "TagResource": {"%s"}, "UntagResource": {"%s"},
}

// about changes the least input of an operation so that it is about the named resource.
func about(in map[string]any, operation, name string) {
	for member, value := range map[string]any{"stageName": "S", "actionName": "A", "category": "Build", "version": "1", "pipelineName": name, "provider": name, "webhookName": name,
		"resourceArn": arns + name} {
		if _, there := in[member]; there || member == "webhookName" && strings.Contains(operation, "WithThirdParty") ||
			member == "pipelineName" && operation == "ListDeployActionExecutionTargets" {
			in[member] = value
		}
	}
	if operation == "GetPipeline" || operation == "GetPipelineState" || operation == "DeletePipeline" || operation == "StartPipelineExecution" || operation == "DeleteWebhook" {
		in["name"] = name
	}
	if p, ok := in["pipeline"].(map[string]any); ok {
		p["name"] = name
	}
	if w, ok := in["webhook"].(map[string]any); ok {
		w["name"], w["targetPipeline"] = name, name
	}
	id := map[string]any{"category": "Build", "owner": "Custom", "provider": name, "version": "1"}
	if operation == "PollForJobs" {
		in["actionTypeId"] = id
	}
	if t, ok := in["actionType"].(map[string]any); ok && operation == "UpdateActionType" {
		id["owner"] = "ThirdParty"
		t["id"] = id
	}
}

// W-43, W-45, S-365: who may do one thing on one resource may do just that: nothing else there,
// and the same nowhere else; a denial beats it. The oracle is the table above.
func TestAuthorisedOnTheResource(t *testing.T) {
	t.Parallel()
	a := start(t, t.TempDir(), "")
	keys := stranger(t, a, "narrow")
	users := iam.NewFromConfig(a.administrator())
	m := models(t)["codepipeline"]
	var room *api.Service
	for _, s := range a.rooms.services {
		if s.Name == "codepipeline" {
			room = s
		}
	}
	// allowed puts a policy of these statements in the place of the last.
	allowed := func(statements ...string) {
		text := `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
		if _, err := users.PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{UserName: aws.String("narrow"), PolicyName: aws.String("p"), PolicyDocument: &text}); err != nil {
			t.Fatal(err)
		}
	}
	statement := func(effect, operation string, on ...string) string {
		return fmt.Sprintf(`{"Effect":%q,"Action":"codepipeline:%s","Resource":["%s"]}`, effect, operation, strings.Join(on, `","`))
	}
	on := func(operation, name string) (out []string) {
		for _, r := range resources[operation] {
			out = append(out, arns+fmt.Sprintf(r, name))
		}
		if out == nil {
			return []string{"*"}
		}
		return out
	}
	denied := func(op modelled, name string) bool {
		in, _ := m.least(t, op.Input, 0).(map[string]any)
		about(in, op.Name, name)
		r, body := spell(t, room, m, op, in)
		w := a.ask(t, &keys, room.Scope, r, body)
		text := w.Body.String()
		if w.Code >= 500 || strings.Contains(text, "ValidationException") && strings.Contains(text, "validation error") {
			t.Errorf("%s: the request does not get as far as the permission: %d %s", op.Name, w.Code, text)
		}
		return w.Code == http.StatusBadRequest && strings.Contains(text, "AccessDeniedException") && strings.Contains(text, "codepipeline:"+op.Name)
	}
	seen := 0
	for i, op := range m.Operations {
		if op.Name == "ExplainPipeline" { // is about GetPipelineState's permission
			continue
		}
		seen++
		other := m.Operations[(i+1)%len(m.Operations)].Name
		narrow := resources[op.Name] != nil
		allowed(statement("Allow", op.Name, on(op.Name, "p")...))
		if denied(op, "p") {
			t.Errorf("%s is denied on %v, which is allowed", op.Name, on(op.Name, "p"))
		}
		if denied(op, "q") != narrow {
			t.Errorf("%s on q, with a permission on %v: denied is %t", op.Name, on(op.Name, "p"), !narrow)
		}
		if len(resources[op.Name]) > 1 { // one of two is not enough
			allowed(statement("Allow", op.Name, on(op.Name, "p")[0]))
			if !denied(op, "p") {
				t.Errorf("%s needs a permission on all of %v", op.Name, on(op.Name, "p"))
			}
		}
		allowed(statement("Allow", other, "*"))
		if !denied(op, "p") {
			t.Errorf("%s is allowed by a permission for %s", op.Name, other)
		}
		allowed(statement("Allow", "*", "*"), statement("Deny", op.Name, on(op.Name, "p")...))
		if !denied(op, "p") || denied(op, "q") == narrow {
			t.Errorf("%s: a denial on %v does not hold there, or holds elsewhere", op.Name, on(op.Name, "p"))
		}
	}
	if seen != 44 {
		t.Errorf("%d operations", seen)
	}
}
