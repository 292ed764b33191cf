package iam

import (
	"context"
	"errors"
	"time"

	"penstock/internal/api/iam"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

const role = store.HolderRole

// CreateRole makes a role.
func (m *Room) CreateRole(ctx context.Context, in *iam.CreateRoleInput) (*iam.CreateRoleOutput, error) {
	r := store.Role{
		Account: auth.From(ctx).Account, Name: in.RoleName, Path: orRoot(in.Path), ID: auth.NewID("AROA"),
		Description: in.Description, Trust: in.AssumeRolePolicyDocument, MaxSession: shortSession * time.Second,
	}
	if err := auth.Check(ctx, "iam:CreateRole", arnOf(ctx, role, r.Path, r.Name)); err != nil {
		return nil, err
	}
	if in.MaxSessionDuration != nil {
		r.MaxSession = time.Duration(*in.MaxSessionDuration) * time.Second
	}
	var err error
	if r.Tags, err = tagMap(nil, in.Tags, "Role"); err != nil {
		return nil, err
	}
	if err := noBoundary(in.PermissionsBoundary); err != nil {
		return nil, err
	}
	if isLinked(r.Path) {
		return nil, fault.New("ValidationError", "The path %s is for the roles that CreateServiceLinkedRole makes.", linkedPath)
	}
	if err := checkTrust(r.Trust); err != nil {
		return nil, err
	}
	err = m.db.Update(ctx, func(tx *store.Tx) error {
		err := tx.CreateRole(ctx, r)
		if errors.Is(err, store.ErrExists) {
			return fault.New("EntityAlreadyExists", "Role with name %s already exists.", r.Name)
		}
		r.Created = tx.Now()
		return err
	})
	if err != nil {
		return nil, err
	}
	return &iam.CreateRoleOutput{Role: wireRole(ctx, r, true)}, nil
}

func checkTrust(document string) error {
	if size(document) > maxTrust {
		return fault.New("LimitExceeded", "Cannot exceed quota for ACLSizePerRole: %d", maxTrust)
	}
	return auth.CheckTrustPolicy(document)
}

// wireRole gives a role as it is answered; lists leave the tags out.
func wireRole(ctx context.Context, r store.Role, tags bool) *iam.Role {
	out := &iam.Role{
		Path: r.Path, RoleName: r.Name, RoleId: r.ID, Arn: arnOf(ctx, role, r.Path, r.Name), CreateDate: date(r.Created),
		AssumeRolePolicyDocument: encoded(r.Trust), Description: r.Description, MaxSessionDuration: new(int32(r.MaxSession / time.Second)),
	}
	if tags {
		out.RoleLastUsed = &iam.RoleLastUsed{}
		if len(r.Tags) > 0 {
			out.Tags = tagList(r.Tags)
		}
	}
	return out
}

// readRole gives the whole role that a request names.
func (m *Room) readRole(ctx context.Context, name, action string) (r store.Role, err error) {
	err = m.read(ctx, role, name, action, func(tx *store.Tx, s subject) error {
		r, err = tx.GetRole(ctx, s.Account, s.Name)
		if errors.Is(err, store.ErrNotFound) {
			return notFound(role, name)
		}
		return err
	})
	return r, err
}

// updateRole changes the role that a request names.
func (m *Room) updateRole(ctx context.Context, name, action string, f func(r *store.Role) error) (r store.Role, err error) {
	err = m.change(ctx, role, name, action, func(tx *store.Tx, s subject) error {
		if r, err = tx.GetRole(ctx, s.Account, s.Name); err != nil {
			return err
		}
		if err := f(&r); err != nil {
			return err
		}
		return tx.UpdateRole(ctx, r)
	})
	return r, err
}

// GetRole gives a role.
func (m *Room) GetRole(ctx context.Context, in *iam.GetRoleInput) (*iam.GetRoleOutput, error) {
	r, err := m.readRole(ctx, in.RoleName, "GetRole")
	if err != nil {
		return nil, err
	}
	return &iam.GetRoleOutput{Role: wireRole(ctx, r, true)}, nil
}

// ListRoles gives the roles of the account, by name.
func (m *Room) ListRoles(ctx context.Context, in *iam.ListRolesInput) (*iam.ListRolesOutput, error) {
	account := auth.From(ctx).Account
	if err := auth.Check(ctx, "iam:ListRoles", arnOf(ctx, role, orRoot(in.PathPrefix), "")); err != nil {
		return nil, err
	}
	from, err := after(in.Marker)
	if err != nil {
		return nil, err
	}
	var list []store.Role
	err = m.db.View(ctx, func(tx *store.Tx) error {
		list, err = tx.ListRoles(ctx, account, in.PathPrefix, from, pageSize(in.MaxItems)+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &iam.ListRolesOutput{Roles: []iam.Role{}}
	list, out.IsTruncated, out.Marker = more(list, func(r store.Role) string { return r.Name }, in.MaxItems)
	for _, r := range list {
		out.Roles = append(out.Roles, *wireRole(ctx, r, false))
	}
	return out, nil
}

// DeleteRole removes a role that holds no policies.
func (m *Room) DeleteRole(ctx context.Context, in *iam.DeleteRoleInput) (*iam.DeleteRoleOutput, error) {
	err := m.change(ctx, role, in.RoleName, "DeleteRole", func(tx *store.Tx, s subject) error {
		if err := holdsNothing(ctx, tx, s.Holder); err != nil {
			return err
		}
		return tx.DeleteRole(ctx, s.Account, s.Name)
	})
	return &iam.DeleteRoleOutput{}, err
}

// holdsNothing refuses to remove a user or role that still has policies.
func holdsNothing(ctx context.Context, tx *store.Tx, h store.Holder) error {
	attached, err := tx.AttachedPolicies(ctx, h)
	if err != nil {
		return err
	}
	if len(attached) > 0 {
		return fault.New("DeleteConflict", "Cannot delete entity, must detach all policies first.")
	}
	inline, err := tx.InlinePolicies(ctx, h)
	if err != nil {
		return err
	}
	if len(inline) > 0 {
		return fault.New("DeleteConflict", "Cannot delete entity, must delete policies first.")
	}
	return nil
}

// UpdateAssumeRolePolicy replaces the trust policy of a role.
func (m *Room) UpdateAssumeRolePolicy(ctx context.Context, in *iam.UpdateAssumeRolePolicyInput) (*iam.UpdateAssumeRolePolicyOutput, error) {
	_, err := m.updateRole(ctx, in.RoleName, "UpdateAssumeRolePolicy", func(r *store.Role) error {
		r.Trust = in.PolicyDocument
		return checkTrust(r.Trust)
	})
	return &iam.UpdateAssumeRolePolicyOutput{}, err
}

// UpdateRole changes the description and the longest session of a role.
func (m *Room) UpdateRole(ctx context.Context, in *iam.UpdateRoleInput) (*iam.UpdateRoleOutput, error) {
	_, err := m.updateRole(ctx, in.RoleName, "UpdateRole", func(r *store.Role) error {
		if in.Description != nil {
			r.Description = *in.Description
		}
		if in.MaxSessionDuration != nil {
			r.MaxSession = time.Duration(*in.MaxSessionDuration) * time.Second
		}
		return nil
	})
	return &iam.UpdateRoleOutput{}, err
}

// UpdateRoleDescription changes the description of a role.
func (m *Room) UpdateRoleDescription(ctx context.Context, in *iam.UpdateRoleDescriptionInput) (*iam.UpdateRoleDescriptionOutput, error) {
	r, err := m.updateRole(ctx, in.RoleName, "UpdateRoleDescription", func(r *store.Role) error {
		r.Description = in.Description
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &iam.UpdateRoleDescriptionOutput{Role: wireRole(ctx, r, false)}, nil
}

// TagRole adds tags to a role or replaces their values.
func (m *Room) TagRole(ctx context.Context, in *iam.TagRoleInput) (*iam.TagRoleOutput, error) {
	_, err := m.updateRole(ctx, in.RoleName, "TagRole", func(r *store.Role) (err error) {
		r.Tags, err = tagMap(r.Tags, in.Tags, "Role")
		return err
	})
	return &iam.TagRoleOutput{}, err
}

// UntagRole removes tags from a role.
func (m *Room) UntagRole(ctx context.Context, in *iam.UntagRoleInput) (*iam.UntagRoleOutput, error) {
	_, err := m.updateRole(ctx, in.RoleName, "UntagRole", func(r *store.Role) error {
		for _, k := range in.TagKeys {
			delete(r.Tags, k)
		}
		return nil
	})
	return &iam.UntagRoleOutput{}, err
}

// ListRoleTags gives the tags of a role.
func (m *Room) ListRoleTags(ctx context.Context, in *iam.ListRoleTagsInput) (*iam.ListRoleTagsOutput, error) {
	r, err := m.readRole(ctx, in.RoleName, "ListRoleTags")
	if err != nil {
		return nil, err
	}
	out := &iam.ListRoleTagsOutput{}
	out.Tags, out.IsTruncated, out.Marker, err = page(tagList(r.Tags), tagKey, in.Marker, in.MaxItems)
	return out, err
}

// ListInstanceProfilesForRole says that a role has none: there are no instances here, but
// clients ask before they remove a role.
func (m *Room) ListInstanceProfilesForRole(ctx context.Context, in *iam.ListInstanceProfilesForRoleInput) (*iam.ListInstanceProfilesForRoleOutput, error) {
	if _, err := m.find(ctx, role, in.RoleName, "ListInstanceProfilesForRole"); err != nil {
		return nil, err
	}
	return &iam.ListInstanceProfilesForRoleOutput{InstanceProfiles: []iam.InstanceProfile{}, IsTruncated: new(false)}, nil
}
