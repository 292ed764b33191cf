package codepipeline

import (
	"encoding/json"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/pipeline"
)

// declared reads a definition from a request. Wire and domain have the same JSON form.
func declared(in *api.PipelineDeclaration) (*pipeline.Declaration, error) {
	d := new(pipeline.Declaration)
	return d, recode(in, d)
}

// Check says whether a definition that has the form of the model would be taken, as far as
// env can tell: what only a running server knows (buckets, names in use) is not asked for.
func Check(in *api.PipelineDeclaration, env pipeline.Env) error {
	d, err := declared(in)
	if err != nil {
		return err
	}
	return pipeline.Validate(d, env)
}

// shown writes a stored definition, masked, for an answer: with the members that AWS always
// fills in (W-14).
func shown(d *pipeline.Declaration) (*api.PipelineDeclaration, error) {
	out := new(api.PipelineDeclaration)
	if err := recode(d, out); err != nil {
		return nil, err
	}
	for i := range out.Stages {
		for j := range out.Stages[i].Actions {
			a := &out.Stages[i].Actions[j]
			if a.Configuration == nil {
				a.Configuration = map[string]string{}
			}
			if a.InputArtifacts == nil {
				a.InputArtifacts = []api.InputArtifact{}
			}
			if a.OutputArtifacts == nil {
				a.OutputArtifacts = []api.OutputArtifact{}
			}
		}
	}
	return out, nil
}

func recode(from, to any) error {
	text, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, to)
}
