package codepipeline

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"time"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/pipeline"
	"penstock/internal/store"
)

// declaredTimeout ends an action of a type that does not say its own limit (S-337).
const declaredTimeout = time.Hour

// UpdateActionType declares an action type of a third party, whose workers poll for its jobs
// or whose function does them, or changes it (A-43, S-301, S-321). In AWS the first declaration is made by its support; here
// nobody is to be asked.
func (r *Room) UpdateActionType(ctx context.Context, in *api.UpdateActionTypeInput) (*api.UpdateActionTypeOutput, error) {
	c, d := auth.From(ctx), in.ActionType
	t := pipeline.ActionType{
		ID:      pipeline.ActionTypeID{Category: d.Id.Category, Owner: d.Id.Owner, Provider: d.Id.Provider, Version: d.Id.Version},
		Inputs:  pipeline.Bounds{Min: int(value(d.InputArtifactDetails.MinimumCount)), Max: int(value(d.InputArtifactDetails.MaximumCount))},
		Outputs: pipeline.Bounds{Min: int(value(d.OutputArtifactDetails.MinimumCount)), Max: int(value(d.OutputArtifactDetails.MaximumCount))},
		Timeout: cmp.Or(time.Duration(value(d.Executor.JobTimeout))*time.Second, declaredTimeout),
	}
	if err := auth.Check(ctx, "codepipeline:UpdateActionType", pipeline.ActionTypeARN(c.Region, c.Account, t.ID)); err != nil {
		return nil, err
	}
	if err := ownOnly(d, c.Account); err != nil {
		return nil, err
	}
	if d.Executor.Type == "Lambda" { // S-321
		if d.Executor.Configuration == nil || d.Executor.Configuration.LambdaExecutorConfiguration == nil {
			return nil, fault.New("ValidationException", "An executor of the type Lambda needs 'executor.configuration.lambdaExecutorConfiguration' with the function's 'lambdaFunctionArn'")
		}
		t.Function = d.Executor.Configuration.LambdaExecutorConfiguration.LambdaFunctionArn
	}
	for _, p := range d.Properties {
		t.Properties = append(t.Properties, pipeline.Property{Name: p.Name, Required: !value(p.Optional), Key: value(p.Key), Secret: value(p.NoEcho),
			Queryable: value(p.Queryable), Description: p.Description})
	}
	if u := d.Urls; u != nil {
		t.Settings = pipeline.Settings{ThirdPartyConfigurationURL: u.ConfigurationUrl, EntityURLTemplate: u.EntityUrlTemplate,
			ExecutionURLTemplate: u.ExecutionUrlTemplate, RevisionURLTemplate: u.RevisionUrlTemplate}
	}
	if err := pipeline.ValidateDeclaredType(t); err != nil {
		return nil, err
	}
	text, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	return nil, r.DB.Update(ctx, func(tx *store.Tx) error {
		old, err := tx.DeclaredActionType(ctx, c.Account, c.Region, t.ID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		for _, p := range t.Properties { // definitions in use leave it out
			if was, ok := old.Property(p.Name); ok && !was.Required && p.Required {
				return fault.New("ValidationException", "The property '%s' is optional and cannot become required", p.Name)
			}
		}
		return tx.PutDeclaredActionType(ctx, c.Account, c.Region, store.DeclaredActionType{ActionType: t, Declaration: text})
	})
}

// ownOnly refuses a declaration that lets in whom this server would not let in: a type is of its
// account, and only workers of that account poll for its jobs (S-301).
func ownOnly(d *api.ActionTypeDeclaration, account string) error {
	others := func(member string, accounts []string) error {
		for _, a := range accounts {
			if a != account {
				return fault.New("ValidationException", "'%s' has '%s', but an action type of this server is for its own account only. "+
					"Leave it out, give '%s', or declare the type in the other account too", member, a, account)
			}
		}
		return nil
	}
	if p := d.Permissions; p != nil {
		if err := others("permissions.allowedAccounts", p.AllowedAccounts); err != nil {
			return err
		}
	}
	e := d.Executor.Configuration
	if e == nil {
		return nil
	}
	if e.LambdaExecutorConfiguration != nil && d.Executor.Type != "Lambda" || e.JobWorkerExecutorConfiguration != nil && d.Executor.Type == "Lambda" {
		return fault.New("ValidationException", "'executor.configuration' is for another type of executor than 'executor.type', which is %s", d.Executor.Type)
	}
	if w := e.JobWorkerExecutorConfiguration; w != nil {
		if len(w.PollingServicePrincipals) > 0 {
			return fault.New("ValidationException", "'executor.configuration.jobWorkerExecutorConfiguration.pollingServicePrincipals' has '%s', but no service polls for jobs of this server. "+
				"Leave it out: users of the account poll", w.PollingServicePrincipals[0])
		}
		return others("executor.configuration.jobWorkerExecutorConfiguration.pollingAccounts", w.PollingAccounts)
	}
	return nil
}

// GetActionType shows an action type as it was declared.
func (r *Room) GetActionType(ctx context.Context, in *api.GetActionTypeInput) (*api.GetActionTypeOutput, error) {
	c := auth.From(ctx)
	if err := auth.Check(ctx, "codepipeline:GetActionType", "*"); err != nil {
		return nil, err
	}
	id := pipeline.ActionTypeID{Category: in.Category, Owner: in.Owner, Provider: in.Provider, Version: in.Version}
	var t store.DeclaredActionType
	err := r.DB.View(ctx, func(tx *store.Tx) (err error) {
		t, err = tx.DeclaredActionType(ctx, c.Account, c.Region, id)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, noActionType(id)
	}
	if err != nil {
		return nil, err
	}
	out := &api.GetActionTypeOutput{ActionType: new(api.ActionTypeDeclaration)}
	return out, json.Unmarshal(t.Declaration, out.ActionType)
}
