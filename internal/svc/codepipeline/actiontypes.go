package codepipeline

import (
	"cmp"
	"context"
	"errors"
	"reflect"
	"slices"
	"time"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/pipeline"
	"penstock/internal/store"
)

// customTimeout ends an action of a custom type (S-333).
const customTimeout = 24 * time.Hour

// CreateCustomActionType registers a type of the caller's account and Region (A-3, S-296).
func (r *Room) CreateCustomActionType(ctx context.Context, in *api.CreateCustomActionTypeInput) (*api.CreateCustomActionTypeOutput, error) {
	c := auth.From(ctx)
	t := pipeline.ActionType{
		ID:      pipeline.ActionTypeID{Category: in.Category, Owner: pipeline.OwnerCustom, Provider: in.Provider, Version: in.Version},
		Inputs:  pipeline.Bounds{Min: int(value(in.InputArtifactDetails.MinimumCount)), Max: int(value(in.InputArtifactDetails.MaximumCount))},
		Outputs: pipeline.Bounds{Min: int(value(in.OutputArtifactDetails.MinimumCount)), Max: int(value(in.OutputArtifactDetails.MaximumCount))},
		Timeout: customTimeout,
	}
	arn := pipeline.ActionTypeARN(c.Region, c.Account, t.ID)
	if err := auth.Check(ctx, "codepipeline:CreateCustomActionType", arn); err != nil {
		return nil, err
	}
	for _, p := range in.ConfigurationProperties {
		t.Properties = append(t.Properties, pipeline.Property{Name: p.Name, Required: value(p.Required), Key: value(p.Key), Secret: value(p.Secret),
			Queryable: value(p.Queryable), Description: p.Description, Type: p.Type})
	}
	if s := in.Settings; s != nil {
		t.Settings = pipeline.Settings{ThirdPartyConfigurationURL: s.ThirdPartyConfigurationUrl, EntityURLTemplate: s.EntityUrlTemplate,
			ExecutionURLTemplate: s.ExecutionUrlTemplate, RevisionURLTemplate: s.RevisionUrlTemplate}
	}
	tags, err := r.readTags(in.Tags, arn)
	if err != nil {
		return nil, err
	}
	if err := pipeline.ValidateCustomType(t); err != nil {
		return nil, err
	}
	err = r.DB.Update(ctx, func(tx *store.Tx) error {
		old, err := tx.CustomActionType(ctx, c.Account, c.Region, t.ID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err == nil && !reflect.DeepEqual(old.ActionType, t) { // S-300
			return fault.New("ActionTypeAlreadyExistsException", "The action type %s has been defined before in another way. Use a version that was never used.", arn)
		}
		if err != nil || old.Deleted {
			if err := tx.LockAccount(ctx, c.Account); err != nil {
				return err
			}
			list, err := tx.ListCustomActionTypes(ctx, c.Account, c.Region)
			if err != nil {
				return err
			}
			if len(list) >= r.Limits.CustomActionTypes { // S-61
				return fault.New("LimitExceededException", "The account '%s' already has %d custom action types in the region %s, which is the limit", c.Account, len(list), c.Region)
			}
			if err := tx.PutCustomActionType(ctx, c.Account, c.Region, store.CustomActionType{ActionType: t}); err != nil {
				return err
			}
		}
		for _, tag := range tags {
			if err := tx.PutTag(ctx, arn, tag); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.CreateCustomActionTypeOutput{ActionType: new(actionType(t)), Tags: writeTags(tags)}, nil
}

// DeleteCustomActionType marks a type as deleted; an unknown one is fine (A-5, S-300).
func (r *Room) DeleteCustomActionType(ctx context.Context, in *api.DeleteCustomActionTypeInput) (*api.DeleteCustomActionTypeOutput, error) {
	c := auth.From(ctx)
	id := pipeline.ActionTypeID{Category: in.Category, Owner: pipeline.OwnerCustom, Provider: in.Provider, Version: in.Version}
	arn := pipeline.ActionTypeARN(c.Region, c.Account, id)
	if err := auth.Check(ctx, "codepipeline:DeleteCustomActionType", arn); err != nil {
		return nil, err
	}
	return nil, r.DB.Update(ctx, func(tx *store.Tx) error {
		t, err := tx.CustomActionType(ctx, c.Account, c.Region, id)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		t.Deleted = true
		if err := tx.PutCustomActionType(ctx, c.Account, c.Region, t); err != nil {
			return err
		}
		return tx.DeleteTags(ctx, arn)
	})
}

// ListActionTypes lists built-in and custom types (A-18, S-301). Everything fits one page.
func (r *Room) ListActionTypes(ctx context.Context, in *api.ListActionTypesInput) (*api.ListActionTypesOutput, error) {
	c := auth.From(ctx)
	if err := auth.Check(ctx, "codepipeline:ListActionTypes", "*"); err != nil {
		return nil, err
	}
	if in.NextToken != "" {
		return nil, fault.New("InvalidNextTokenException", "ListActionTypes answers everything on one page and gives no token")
	}
	region := cmp.Or(in.RegionFilter, c.Region)
	types := slices.DeleteFunc(r.Conductor.Builtin(), func(t pipeline.ActionType) bool { return t.ID.Category == pipeline.CategoryRule })
	if err := r.DB.View(ctx, func(tx *store.Tx) error {
		list, err := tx.ListCustomActionTypes(ctx, c.Account, region)
		for _, t := range list {
			types = append(types, t.ActionType)
		}
		if err != nil {
			return err
		}
		declared, err := tx.ListDeclaredActionTypes(ctx, c.Account, region)
		for _, t := range declared {
			types = append(slices.DeleteFunc(types, func(o pipeline.ActionType) bool { return o.ID == t.ID }), t.ActionType)
		}
		return err
	}); err != nil {
		return nil, err
	}
	slices.SortFunc(types, func(a, b pipeline.ActionType) int {
		return cmp.Or(cmp.Compare(a.ID.Owner, b.ID.Owner), cmp.Compare(a.ID.Category, b.ID.Category),
			cmp.Compare(a.ID.Provider, b.ID.Provider), cmp.Compare(a.ID.Version, b.ID.Version))
	})
	out := &api.ListActionTypesOutput{ActionTypes: []api.ActionType{}}
	for _, t := range types {
		if in.ActionOwnerFilter == "" || in.ActionOwnerFilter == t.ID.Owner {
			out.ActionTypes = append(out.ActionTypes, actionType(t))
		}
	}
	return out, nil
}

func actionType(t pipeline.ActionType) api.ActionType {
	out := api.ActionType{
		Id:                            &api.ActionTypeId{Category: t.ID.Category, Owner: t.ID.Owner, Provider: t.ID.Provider, Version: t.ID.Version},
		InputArtifactDetails:          &api.ArtifactDetails{MinimumCount: int32p(t.Inputs.Min), MaximumCount: int32p(t.Inputs.Max)},
		OutputArtifactDetails:         &api.ArtifactDetails{MinimumCount: int32p(t.Outputs.Min), MaximumCount: int32p(t.Outputs.Max)},
		ActionConfigurationProperties: []api.ActionConfigurationProperty{},
	}
	if s := t.Settings; s != (pipeline.Settings{}) {
		out.Settings = &api.ActionTypeSettings{ThirdPartyConfigurationUrl: s.ThirdPartyConfigurationURL, EntityUrlTemplate: s.EntityURLTemplate,
			ExecutionUrlTemplate: s.ExecutionURLTemplate, RevisionUrlTemplate: s.RevisionURLTemplate}
	}
	for _, p := range t.Properties { // the type of a property is stored and not shown
		out.ActionConfigurationProperties = append(out.ActionConfigurationProperties, api.ActionConfigurationProperty{Name: p.Name, Required: new(p.Required),
			Key: new(p.Key), Secret: new(p.Secret), Queryable: new(p.Queryable), Description: p.Description})
	}
	return out
}
