package iam

import (
	"context"
	"errors"
	"slices"
	"strings"

	"penstock/internal/api/iam"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// policyName is the last part of a policy's ARN.
func policyName(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

// policyPath is what stands between the name and the word policy.
func policyPath(arn string) string {
	if _, rest, ok := strings.Cut(arn, ":policy/"); ok {
		if i := strings.LastIndexByte(rest, '/'); i >= 0 {
			return "/" + rest[:i+1]
		}
	}
	return "/"
}

// attach gives a user or role a managed policy.
func (m *Room) attach(ctx context.Context, kind, holder, arn, action string) error {
	return m.change(ctx, kind, holder, action, func(tx *store.Tx, s subject) error {
		if _, builtin := auth.FindManagedPolicy(ctx, arn); !builtin {
			_, err := tx.GetPolicy(ctx, s.Account, arn)
			if errors.Is(err, store.ErrNotFound) {
				return fault.New("NoSuchEntity", "Policy %s does not exist or is not attachable.", arn)
			}
			if err != nil {
				return err
			}
		}
		have, err := tx.AttachedPolicies(ctx, s.Holder)
		if err != nil {
			return err
		}
		if len(have) >= maxAttached && !slices.Contains(have, arn) {
			return fault.New("LimitExceeded", "Cannot exceed quota for PoliciesPer%s: %d", kindName(kind), maxAttached)
		}
		return tx.AttachPolicy(ctx, s.Holder, arn)
	})
}

func (m *Room) detach(ctx context.Context, kind, holder, arn, action string) error {
	return m.change(ctx, kind, holder, action, func(tx *store.Tx, s subject) error {
		err := tx.DetachPolicy(ctx, s.Holder, arn)
		if errors.Is(err, store.ErrNotFound) {
			return fault.New("NoSuchEntity", "Policy %s was not found.", arn)
		}
		return err
	})
}

func (m *Room) attached(ctx context.Context, kind, holder, action, prefix, marker string, max *int32) ([]iam.AttachedPolicy, *bool, string, error) {
	var list []iam.AttachedPolicy
	err := m.read(ctx, kind, holder, action, func(tx *store.Tx, s subject) error {
		arns, err := tx.AttachedPolicies(ctx, s.Holder)
		list = nil
		for _, arn := range arns {
			if strings.HasPrefix(policyPath(arn), prefix) {
				list = append(list, iam.AttachedPolicy{PolicyName: policyName(arn), PolicyArn: arn})
			}
		}
		return err
	})
	if err != nil {
		return nil, nil, "", err
	}
	// Two policies may have one name, so pages are cut by ARN.
	byARN := func(p iam.AttachedPolicy) string { return p.PolicyArn }
	return page(folded(list, byARN), byARN, marker, max)
}

// AttachRolePolicy attaches a managed policy to a role.
func (m *Room) AttachRolePolicy(ctx context.Context, in *iam.AttachRolePolicyInput) (*iam.AttachRolePolicyOutput, error) {
	return &iam.AttachRolePolicyOutput{}, m.attach(ctx, role, in.RoleName, in.PolicyArn, "AttachRolePolicy")
}

// DetachRolePolicy takes a managed policy from a role.
func (m *Room) DetachRolePolicy(ctx context.Context, in *iam.DetachRolePolicyInput) (*iam.DetachRolePolicyOutput, error) {
	return &iam.DetachRolePolicyOutput{}, m.detach(ctx, role, in.RoleName, in.PolicyArn, "DetachRolePolicy")
}

// ListAttachedRolePolicies gives the managed policies of a role.
func (m *Room) ListAttachedRolePolicies(ctx context.Context, in *iam.ListAttachedRolePoliciesInput) (out *iam.ListAttachedRolePoliciesOutput, err error) {
	out = &iam.ListAttachedRolePoliciesOutput{}
	out.AttachedPolicies, out.IsTruncated, out.Marker, err = m.attached(ctx, role, in.RoleName, "ListAttachedRolePolicies", in.PathPrefix, in.Marker, in.MaxItems)
	return out, err
}

// AttachUserPolicy attaches a managed policy to a user.
func (m *Room) AttachUserPolicy(ctx context.Context, in *iam.AttachUserPolicyInput) (*iam.AttachUserPolicyOutput, error) {
	return &iam.AttachUserPolicyOutput{}, m.attach(ctx, user, in.UserName, in.PolicyArn, "AttachUserPolicy")
}

// DetachUserPolicy takes a managed policy from a user.
func (m *Room) DetachUserPolicy(ctx context.Context, in *iam.DetachUserPolicyInput) (*iam.DetachUserPolicyOutput, error) {
	return &iam.DetachUserPolicyOutput{}, m.detach(ctx, user, in.UserName, in.PolicyArn, "DetachUserPolicy")
}

// ListAttachedUserPolicies gives the managed policies of a user.
func (m *Room) ListAttachedUserPolicies(ctx context.Context, in *iam.ListAttachedUserPoliciesInput) (out *iam.ListAttachedUserPoliciesOutput, err error) {
	out = &iam.ListAttachedUserPoliciesOutput{}
	out.AttachedPolicies, out.IsTruncated, out.Marker, err = m.attached(ctx, user, in.UserName, "ListAttachedUserPolicies", in.PathPrefix, in.Marker, in.MaxItems)
	return out, err
}
