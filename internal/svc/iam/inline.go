package iam

import (
	"context"
	"errors"

	"penstock/internal/api/iam"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// putInline writes a policy into a user or role.
func (m *Room) putInline(ctx context.Context, kind, holder, name, document, action string) error {
	return m.change(ctx, kind, holder, action, func(tx *store.Tx, s subject) error {
		if err := auth.CheckIdentityPolicy(document); err != nil {
			return err
		}
		limit := maxRoleText
		if kind == store.HolderUser {
			limit = maxUserText
		}
		have, err := tx.InlinePolicies(ctx, s.Holder)
		if err != nil {
			return err
		}
		// The quota counts all policies of the holder together.
		sum := size(document)
		for _, p := range have {
			if p.Name != name {
				sum += size(p.Document)
			}
		}
		if sum > limit {
			return fault.New("LimitExceeded", "Maximum policy size of %d bytes exceeded for %s %s", limit, kind, s.Name)
		}
		return tx.PutInlinePolicy(ctx, s.Holder, store.InlinePolicy{Name: name, Document: document})
	})
}

func noInline(kind, name string) error {
	return fault.New("NoSuchEntity", "The %s policy with name %s cannot be found.", kind, name)
}

// getInline gives the holder's name and the encoded document of a policy written into it.
func (m *Room) getInline(ctx context.Context, kind, holder, name, action string) (owner, document string, err error) {
	err = m.read(ctx, kind, holder, action, func(tx *store.Tx, s subject) error {
		list, err := tx.InlinePolicies(ctx, s.Holder)
		if err != nil {
			return err
		}
		for _, p := range list {
			if p.Name == name {
				owner, document = s.Name, encoded(p.Document)
				return nil
			}
		}
		return noInline(kind, name)
	})
	return owner, document, err
}

func (m *Room) deleteInline(ctx context.Context, kind, holder, name, action string) error {
	return m.change(ctx, kind, holder, action, func(tx *store.Tx, s subject) error {
		err := tx.DeleteInlinePolicy(ctx, s.Holder, name)
		if errors.Is(err, store.ErrNotFound) {
			return noInline(kind, name)
		}
		return err
	})
}

func (m *Room) listInline(ctx context.Context, kind, holder, action, marker string, max *int32) (names []string, truncated *bool, next string, err error) {
	var all []string
	err = m.read(ctx, kind, holder, action, func(tx *store.Tx, s subject) error {
		list, err := tx.InlinePolicies(ctx, s.Holder)
		all = nil
		for _, p := range list {
			all = append(all, p.Name)
		}
		return err
	})
	if err != nil {
		return nil, nil, "", err
	}
	return page(folded(all, itself), itself, marker, max)
}

func itself(s string) string { return s }

// PutRolePolicy writes a policy into a role.
func (m *Room) PutRolePolicy(ctx context.Context, in *iam.PutRolePolicyInput) (*iam.PutRolePolicyOutput, error) {
	return &iam.PutRolePolicyOutput{}, m.putInline(ctx, role, in.RoleName, in.PolicyName, in.PolicyDocument, "PutRolePolicy")
}

// GetRolePolicy gives a policy written into a role.
func (m *Room) GetRolePolicy(ctx context.Context, in *iam.GetRolePolicyInput) (*iam.GetRolePolicyOutput, error) {
	owner, document, err := m.getInline(ctx, role, in.RoleName, in.PolicyName, "GetRolePolicy")
	return &iam.GetRolePolicyOutput{RoleName: owner, PolicyName: in.PolicyName, PolicyDocument: document}, err
}

// DeleteRolePolicy removes a policy written into a role.
func (m *Room) DeleteRolePolicy(ctx context.Context, in *iam.DeleteRolePolicyInput) (*iam.DeleteRolePolicyOutput, error) {
	return &iam.DeleteRolePolicyOutput{}, m.deleteInline(ctx, role, in.RoleName, in.PolicyName, "DeleteRolePolicy")
}

// ListRolePolicies gives the names of the policies written into a role.
func (m *Room) ListRolePolicies(ctx context.Context, in *iam.ListRolePoliciesInput) (out *iam.ListRolePoliciesOutput, err error) {
	out = &iam.ListRolePoliciesOutput{}
	out.PolicyNames, out.IsTruncated, out.Marker, err = m.listInline(ctx, role, in.RoleName, "ListRolePolicies", in.Marker, in.MaxItems)
	return out, err
}

// PutUserPolicy writes a policy into a user.
func (m *Room) PutUserPolicy(ctx context.Context, in *iam.PutUserPolicyInput) (*iam.PutUserPolicyOutput, error) {
	return &iam.PutUserPolicyOutput{}, m.putInline(ctx, user, in.UserName, in.PolicyName, in.PolicyDocument, "PutUserPolicy")
}

// GetUserPolicy gives a policy written into a user.
func (m *Room) GetUserPolicy(ctx context.Context, in *iam.GetUserPolicyInput) (*iam.GetUserPolicyOutput, error) {
	owner, document, err := m.getInline(ctx, user, in.UserName, in.PolicyName, "GetUserPolicy")
	return &iam.GetUserPolicyOutput{UserName: owner, PolicyName: in.PolicyName, PolicyDocument: document}, err
}

// DeleteUserPolicy removes a policy written into a user.
func (m *Room) DeleteUserPolicy(ctx context.Context, in *iam.DeleteUserPolicyInput) (*iam.DeleteUserPolicyOutput, error) {
	return &iam.DeleteUserPolicyOutput{}, m.deleteInline(ctx, user, in.UserName, in.PolicyName, "DeleteUserPolicy")
}

// ListUserPolicies gives the names of the policies written into a user.
func (m *Room) ListUserPolicies(ctx context.Context, in *iam.ListUserPoliciesInput) (out *iam.ListUserPoliciesOutput, err error) {
	out = &iam.ListUserPoliciesOutput{}
	out.PolicyNames, out.IsTruncated, out.Marker, err = m.listInline(ctx, user, in.UserName, "ListUserPolicies", in.Marker, in.MaxItems)
	return out, err
}
