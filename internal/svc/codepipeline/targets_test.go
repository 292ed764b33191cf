package codepipeline

import (
	"testing"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/auth"
)

// an action that deploys to no machines has no targets; an action execution is found with
// and without its pipeline's name, and only where it is.
func TestDeployTargets(t *testing.T) {
	each(t, func(w *world) {
		w.workerType()
		w.create("p")
		w.create("q")
		w.work("Source", "get", nil)
		list, err := w.ListActionExecutions(w.ctx, &api.ListActionExecutionsInput{PipelineName: "p"})
		run := must(w, list, err).ActionExecutionDetails[0].ActionExecutionId
		for _, name := range []string{"p", ""} {
			out, err := w.ListDeployActionExecutionTargets(w.ctx, &api.ListDeployActionExecutionTargetsInput{PipelineName: name, ActionExecutionId: run})
			if o := must(w, out, err); o.Targets == nil || len(o.Targets) != 0 || o.NextToken != "" {
				w.Errorf("with the name %q: %+v", name, o)
			}
		}
		ask := func(w *world, name, run, token string) error {
			return drop(w.ListDeployActionExecutionTargets(w.ctx, &api.ListDeployActionExecutionTargetsInput{PipelineName: name, ActionExecutionId: run, NextToken: token}))
		}
		w.refused("ActionExecutionNotFoundException", ask(w, "q", run, ""))
		w.refused("ActionExecutionNotFoundException", ask(w, "", "00000000-0000-4000-8000-000000000000", ""))
		w.refused("PipelineNotFoundException", ask(w, "nobody", run, ""))
		w.refused("InvalidNextTokenException", ask(w, "p", run, "x"))
		elsewhere := w.in("us-west-2")
		w.refused("ActionExecutionNotFoundException", ask(elsewhere, "", run, ""))
		stranger := *w
		stranger.ctx = auth.Trusted(w.ctx, auth.Caller{Account: "222222222222", Region: region})
		w.refused("ActionExecutionNotFoundException", ask(&stranger, "", run, ""))
	})
}
