package codepipeline

import (
	"strings"
	"testing"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/auth"
)

// W-44: who writes a pipeline must be allowed to hand each of its roles to CodePipeline.
func TestPassRole(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		const other = "arn:aws:iam::111111111111:role/other"
		caller := auth.Caller{Account: account, Region: region, ARN: "arn:aws:iam::111111111111:user/writer"}
		as := func(statement string) *world {
			ctx, err := auth.Limited(w.ctx, caller, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"codepipeline:*","Resource":"*"}`+statement+`]}`)
			must(w, 0, err)
			return &world{T: w.T, Room: w.Room, ctx: ctx}
		}
		pass := func(role, to string) string {
			return `,{"Effect":"Allow","Action":"iam:PassRole","Resource":"` + role + `","Condition":{"StringEquals":{"iam:PassedToService":"` + to + `"}}}`
		}
		create := func(w *world, d *api.PipelineDeclaration) error {
			return drop(w.CreatePipeline(w.ctx, &api.CreatePipelineInput{Pipeline: d}))
		}
		err := create(as(""), definition("p"))
		w.refused("AccessDeniedException", err)
		if want := "User: arn:aws:iam::111111111111:user/writer is not authorized to perform: iam:PassRole on resource: " + role +
			" because no identity-based policy allows the iam:PassRole action"; !strings.HasSuffix(err.Error(), want) {
			w.Errorf("the refusal is %q", err)
		}
		w.refused("AccessDeniedException", create(as(pass(role, "codebuild.amazonaws.com")), definition("p")))
		w.refused("PipelineNotFoundException", drop(w.GetPipeline(w.ctx, &api.GetPipelineInput{Name: "p"}))) // nothing was made
		may := as(pass(role, "codepipeline.amazonaws.com"))
		must(w, 0, create(may, definition("p")))
		d := definition("p")
		must(w, 0, drop(may.UpdatePipeline(may.ctx, &api.UpdatePipelineInput{Pipeline: d})))
		w.refused("AccessDeniedException", drop(as("").UpdatePipeline(as("").ctx, &api.UpdatePipelineInput{Pipeline: d})))
		d.Stages[1].Actions[0].RoleArn = other
		w.refused("AccessDeniedException", drop(may.UpdatePipeline(may.ctx, &api.UpdatePipelineInput{Pipeline: d})))
		d = definition("p")
		d.Stages[1].BeforeEntry = &api.BeforeEntryConditions{Conditions: []api.Condition{{Rules: []api.RuleDeclaration{{Name: "r", RoleArn: other}}}}}
		w.refused("AccessDeniedException", drop(may.UpdatePipeline(may.ctx, &api.UpdatePipelineInput{Pipeline: d})))
	})
}
