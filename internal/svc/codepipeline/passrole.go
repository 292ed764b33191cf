package codepipeline

import (
	"context"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/auth"
)

// service is the principal to which the roles of a pipeline are handed.
const service = "codepipeline.amazonaws.com"

// mayPass says whether the caller may hand the roles of a definition to CodePipeline: without
// that, who may write a pipeline could do whatever any role may that the service can assume
// (W-44). Each role is asked for once, in the order of the definition. The pipeline's own is of
// its account; those of actions and rules may be others', whose trust policies then name it (S-40).
func mayPass(ctx context.Context, d *api.PipelineDeclaration) error {
	asked := map[string]bool{"": true} // no role of its own
	pass := func(role string) error {
		if asked[role] {
			return nil
		}
		asked[role] = true
		return auth.CheckWith(ctx, "iam:PassRole", role, auth.Attributes{"iam:PassedToService": {service}})
	}
	if err := auth.CheckPass(ctx, d.RoleArn, service); err != nil {
		return err
	}
	asked[d.RoleArn] = true
	for i := range d.Stages {
		s := &d.Stages[i]
		for j := range s.Actions {
			if err := pass(s.Actions[j].RoleArn); err != nil {
				return err
			}
		}
		for _, role := range ruleRoles(s) {
			if err := pass(role); err != nil {
				return err
			}
		}
	}
	return nil
}

// ruleRoles are the roles that the rules of a stage's conditions name.
func ruleRoles(s *api.StageDeclaration) (roles []string) {
	var conditions []api.Condition
	if s.BeforeEntry != nil {
		conditions = append(conditions, s.BeforeEntry.Conditions...)
	}
	if s.OnSuccess != nil {
		conditions = append(conditions, s.OnSuccess.Conditions...)
	}
	if s.OnFailure != nil {
		conditions = append(conditions, s.OnFailure.Conditions...)
	}
	for i := range conditions {
		for j := range conditions[i].Rules {
			roles = append(roles, conditions[i].Rules[j].RoleArn)
		}
	}
	return roles
}
