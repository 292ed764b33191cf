package iam

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"penstock/internal/api/iam"
	"penstock/internal/arn"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// builtinDate is when the built-in policies say they were made.
var builtinDate = time.Date(2015, 2, 6, 18, 39, 46, 0, time.UTC)

// found is a managed policy with its versions, newest first.
type found struct {
	store.ManagedPolicy
	versions []store.PolicyVersion
	builtin  bool
}

func noPolicy(arn string) error {
	return fault.New("NoSuchEntity", "Policy %s was not found.", arn)
}

// loadPolicy reads a managed policy of an account, or a built-in one.
func loadPolicy(ctx context.Context, tx *store.Tx, account, policyARN string) (f found, err error) {
	if b, ok := auth.FindManagedPolicy(ctx, policyARN); ok {
		counts, err := tx.AttachmentCounts(ctx, account)
		f.ManagedPolicy = builtin(b, counts[policyARN])
		f.versions, f.builtin = []store.PolicyVersion{{Version: 1, Document: b.Document, Created: builtinDate}}, true
		return f, err
	}
	if f.ManagedPolicy, err = tx.GetPolicy(ctx, account, policyARN); err != nil {
		if errors.Is(err, store.ErrNotFound) {
			err = noPolicy(policyARN)
		}
		return f, err
	}
	f.versions, err = tx.PolicyVersions(ctx, policyARN)
	return f, err
}

func builtin(b *auth.ManagedPolicy, attached int64) store.ManagedPolicy {
	return store.ManagedPolicy{Name: b.Name, Path: "/", ARN: b.ARN, ID: b.ID, Default: 1, Last: 1, Attached: attached, Created: builtinDate, Updated: builtinDate}
}

// readPolicy checks the action on a policy and reads it.
func (m *Room) readPolicy(ctx context.Context, arn, action string) (f found, err error) {
	if err := auth.Check(ctx, "iam:"+action, arn); err != nil {
		return f, err
	}
	err = m.db.View(ctx, func(tx *store.Tx) error {
		f, err = loadPolicy(ctx, tx, auth.From(ctx).Account, arn)
		return err
	})
	return f, err
}

// changePolicy checks the action on a policy and changes it. Built-in ones cannot be.
func (m *Room) changePolicy(ctx context.Context, arn, action string, do func(tx *store.Tx, f found) error) error {
	if err := auth.Check(ctx, "iam:"+action, arn); err != nil {
		return err
	}
	return m.db.Update(ctx, func(tx *store.Tx) error {
		if err := tx.LockAccount(ctx, auth.From(ctx).Account); err != nil {
			return err
		}
		f, err := loadPolicy(ctx, tx, auth.From(ctx).Account, arn)
		if err != nil {
			return err
		}
		if f.builtin {
			return fault.New("InvalidInput", "Policy %s is managed by AWS and cannot be changed.", arn)
		}
		return do(tx, f)
	})
}

func versionID(n int64) string { return "v" + strconv.FormatInt(n, 10) }

// version finds a version by its id.
func (f *found) version(id string) (store.PolicyVersion, error) {
	for _, v := range f.versions {
		if versionID(v.Version) == id {
			return v, nil
		}
	}
	return store.PolicyVersion{}, fault.New("NoSuchEntity", "Policy %s version %s does not exist or is not attachable.", f.ARN, id)
}

func (f *found) wire(v store.PolicyVersion, document bool) iam.PolicyVersion {
	out := iam.PolicyVersion{VersionId: versionID(v.Version), IsDefaultVersion: new(v.Version == f.Default), CreateDate: date(v.Created)}
	if document {
		out.Document = encoded(v.Document)
	}
	return out
}

func wirePolicy(p store.ManagedPolicy, details bool) *iam.Policy {
	out := &iam.Policy{
		PolicyName: p.Name, PolicyId: p.ID, Arn: p.ARN, Path: p.Path, DefaultVersionId: versionID(p.Default), AttachmentCount: new(int32(p.Attached)),
		PermissionsBoundaryUsageCount: new(int32(0)), IsAttachable: new(true), CreateDate: date(p.Created), UpdateDate: date(p.Updated),
	}
	if details {
		out.Description = p.Description
		if len(p.Tags) > 0 {
			out.Tags = tagList(p.Tags)
		}
	}
	return out
}

func checkManaged(document string) error {
	if size(document) > maxManaged {
		return fault.New("LimitExceeded", "Cannot exceed quota for PolicySize: %d", maxManaged)
	}
	return auth.CheckIdentityPolicy(document)
}

// CreatePolicy makes a managed policy.
func (m *Room) CreatePolicy(ctx context.Context, in *iam.CreatePolicyInput) (*iam.CreatePolicyOutput, error) {
	c := auth.From(ctx)
	p := store.ManagedPolicy{
		Account: c.Account, Name: in.PolicyName, Path: orRoot(in.Path), ID: auth.NewID("ANPA"), Description: in.Description, Default: 1, Last: 1,
	}
	p.ARN = arn.ARN{Partition: c.Partition(), Service: "iam", Account: p.Account, Resource: "policy" + p.Path + p.Name}.String()
	if err := auth.Check(ctx, "iam:CreatePolicy", p.ARN); err != nil {
		return nil, err
	}
	var err error
	if p.Tags, err = tagMap(nil, in.Tags, "Policy"); err != nil {
		return nil, err
	}
	if err := checkManaged(in.PolicyDocument); err != nil {
		return nil, err
	}
	err = m.db.Update(ctx, func(tx *store.Tx) error {
		err := tx.CreatePolicy(ctx, p, in.PolicyDocument)
		if errors.Is(err, store.ErrExists) {
			return fault.New("EntityAlreadyExists", "A policy called %s already exists. Duplicate names are not allowed.", p.Name)
		}
		p.Created, p.Updated = tx.Now(), tx.Now()
		return err
	})
	if err != nil {
		return nil, err
	}
	return &iam.CreatePolicyOutput{Policy: wirePolicy(p, true)}, nil
}

// GetPolicy gives a managed policy.
func (m *Room) GetPolicy(ctx context.Context, in *iam.GetPolicyInput) (*iam.GetPolicyOutput, error) {
	f, err := m.readPolicy(ctx, in.PolicyArn, "GetPolicy")
	if err != nil {
		return nil, err
	}
	return &iam.GetPolicyOutput{Policy: wirePolicy(f.ManagedPolicy, true)}, nil
}

// GetPolicyVersion gives a version of a managed policy with its document.
func (m *Room) GetPolicyVersion(ctx context.Context, in *iam.GetPolicyVersionInput) (*iam.GetPolicyVersionOutput, error) {
	f, err := m.readPolicy(ctx, in.PolicyArn, "GetPolicyVersion")
	if err != nil {
		return nil, err
	}
	v, err := f.version(in.VersionId)
	return &iam.GetPolicyVersionOutput{PolicyVersion: new(f.wire(v, true))}, err
}

// ListPolicyVersions gives the versions of a managed policy, newest first.
func (m *Room) ListPolicyVersions(ctx context.Context, in *iam.ListPolicyVersionsInput) (*iam.ListPolicyVersionsOutput, error) {
	f, err := m.readPolicy(ctx, in.PolicyArn, "ListPolicyVersions")
	if err != nil {
		return nil, err
	}
	out := &iam.ListPolicyVersionsOutput{Versions: []iam.PolicyVersion{}}
	var list []store.PolicyVersion
	newest := func(v store.PolicyVersion) string { return fmt.Sprintf("%020d", math.MaxInt64-v.Version) }
	list, out.IsTruncated, out.Marker, err = page(f.versions, newest, in.Marker, in.MaxItems)
	for _, v := range list {
		out.Versions = append(out.Versions, f.wire(v, false))
	}
	return out, err
}

// CreatePolicyVersion gives a managed policy another version.
func (m *Room) CreatePolicyVersion(ctx context.Context, in *iam.CreatePolicyVersionInput) (*iam.CreatePolicyVersionOutput, error) {
	out := &iam.CreatePolicyVersionOutput{}
	err := m.changePolicy(ctx, in.PolicyArn, "CreatePolicyVersion", func(tx *store.Tx, f found) error {
		if err := checkManaged(in.PolicyDocument); err != nil {
			return err
		}
		if len(f.versions) >= maxVersions {
			return fault.New("LimitExceeded", "A managed policy can have up to %d versions. Before you create a new version, you must delete an existing version.", maxVersions)
		}
		n, err := tx.AddPolicyVersion(ctx, f.ARN, in.PolicyDocument)
		if err != nil {
			return err
		}
		if in.SetAsDefault != nil && *in.SetAsDefault {
			f.Default = n
			if err := tx.SetDefaultPolicyVersion(ctx, f.ARN, n); err != nil {
				return err
			}
		}
		out.PolicyVersion = new(f.wire(store.PolicyVersion{Version: n, Created: tx.Now()}, false))
		return nil
	})
	return out, err
}

// SetDefaultPolicyVersion puts a version in force.
func (m *Room) SetDefaultPolicyVersion(ctx context.Context, in *iam.SetDefaultPolicyVersionInput) (*iam.SetDefaultPolicyVersionOutput, error) {
	return &iam.SetDefaultPolicyVersionOutput{}, m.changePolicy(ctx, in.PolicyArn, "SetDefaultPolicyVersion", func(tx *store.Tx, f found) error {
		v, err := f.version(in.VersionId)
		if err != nil {
			return err
		}
		return tx.SetDefaultPolicyVersion(ctx, f.ARN, v.Version)
	})
}

// DeletePolicyVersion removes a version that is not in force.
func (m *Room) DeletePolicyVersion(ctx context.Context, in *iam.DeletePolicyVersionInput) (*iam.DeletePolicyVersionOutput, error) {
	return &iam.DeletePolicyVersionOutput{}, m.changePolicy(ctx, in.PolicyArn, "DeletePolicyVersion", func(tx *store.Tx, f found) error {
		v, err := f.version(in.VersionId)
		if err != nil {
			return err
		}
		if v.Version == f.Default {
			return fault.New("DeleteConflict", "Cannot delete the default version of a policy.")
		}
		return tx.DeletePolicyVersion(ctx, f.ARN, v.Version)
	})
}

// DeletePolicy removes a managed policy that nobody has attached.
func (m *Room) DeletePolicy(ctx context.Context, in *iam.DeletePolicyInput) (*iam.DeletePolicyOutput, error) {
	return &iam.DeletePolicyOutput{}, m.changePolicy(ctx, in.PolicyArn, "DeletePolicy", func(tx *store.Tx, f found) error {
		if f.Attached > 0 {
			return fault.New("DeleteConflict", "Cannot delete a policy attached to entities.")
		}
		if len(f.versions) > 1 {
			return fault.New("DeleteConflict", "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.")
		}
		return tx.DeletePolicy(ctx, f.ARN)
	})
}

// ListPolicies gives managed policies: the account's, AWS's, or both.
func (m *Room) ListPolicies(ctx context.Context, in *iam.ListPoliciesInput) (*iam.ListPoliciesOutput, error) {
	account := auth.From(ctx).Account
	if err := auth.Check(ctx, "iam:ListPolicies", "*"); err != nil {
		return nil, err
	}
	if in.PolicyUsageFilter == "PermissionsBoundary" {
		return &iam.ListPoliciesOutput{Policies: []iam.Policy{}, IsTruncated: new(false)}, nil
	}
	from, err := after(in.Marker)
	if err != nil {
		return nil, err
	}
	only := in.OnlyAttached != nil && *in.OnlyAttached
	var list []store.ManagedPolicy
	err = m.db.View(ctx, func(tx *store.Tx) error {
		list, err = m.policiesAfter(ctx, tx, account, in.Scope, in.PathPrefix, from, only, pageSize(in.MaxItems)+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &iam.ListPoliciesOutput{Policies: []iam.Policy{}}
	list, out.IsTruncated, out.Marker = more(list, sortName, in.MaxItems)
	for _, p := range list {
		out.Policies = append(out.Policies, *wirePolicy(p, false))
	}
	return out, nil
}

// sortName orders policies by name, AWS's before the account's of the same name.
func sortName(p store.ManagedPolicy) string {
	if p.Account == "" {
		return strings.ToLower(p.Name)
	}
	return strings.ToLower(p.Name) + "!" // sorts before every character a name may have
}

// policiesAfter merges the account's policies and the built-in ones and gives up to limit
// after a place in that order.
func (m *Room) policiesAfter(ctx context.Context, tx *store.Tx, account, scope, prefix, from string, only bool, limit int) ([]store.ManagedPolicy, error) {
	counts, err := tx.AttachmentCounts(ctx, account)
	if err != nil {
		return nil, err
	}
	var list []store.ManagedPolicy
	if scope != "Local" && strings.HasPrefix("/", prefix) {
		for _, b := range auth.ManagedPolicies(ctx) {
			if p := builtin(b, counts[b.ARN]); sortName(p) > from && (!only || p.Attached > 0) {
				list = append(list, p)
			}
		}
	}
	if scope != "AWS" {
		last := ""
		if strings.HasSuffix(from, "!") {
			last = strings.TrimSuffix(from, "!")
		}
		for kept := 0; kept < limit; {
			rows, err := tx.ListPolicies(ctx, account, prefix, last, limit)
			if err != nil {
				return nil, err
			}
			for _, p := range rows {
				last = p.Name
				if sortName(p) > from && (!only || p.Attached > 0) {
					list = append(list, p)
					kept++
				}
			}
			if len(rows) < limit {
				break
			}
		}
	}
	folded(list, sortName)
	return list[:min(len(list), limit)], nil
}

// ListEntitiesForPolicy gives who has a managed policy attached.
func (m *Room) ListEntitiesForPolicy(ctx context.Context, in *iam.ListEntitiesForPolicyInput) (*iam.ListEntitiesForPolicyOutput, error) {
	if _, err := m.readPolicy(ctx, in.PolicyArn, "ListEntitiesForPolicy"); err != nil {
		return nil, err
	}
	account := auth.From(ctx).Account
	var list []subject
	err := m.db.View(ctx, func(tx *store.Tx) error {
		list = nil
		holders, err := tx.HoldersOf(ctx, account, in.PolicyArn)
		if err != nil {
			return err
		}
		for _, h := range holders {
			if in.EntityFilter != "" && in.EntityFilter != kindName(h.Kind) || in.PolicyUsageFilter == "PermissionsBoundary" { // which nobody has here
				continue
			}
			s, err := load(ctx, tx, h.Kind, account, h.Name)
			if err != nil {
				return err
			}
			if strings.HasPrefix(s.path, in.PathPrefix) {
				list = append(list, s)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	key := func(s subject) string { return s.Kind + "/" + s.Name }
	out := &iam.ListEntitiesForPolicyOutput{PolicyGroups: []iam.PolicyGroup{}, PolicyUsers: []iam.PolicyUser{}, PolicyRoles: []iam.PolicyRole{}}
	list, out.IsTruncated, out.Marker, err = page(folded(list, key), key, in.Marker, in.MaxItems)
	for _, s := range list {
		if s.Kind == user {
			out.PolicyUsers = append(out.PolicyUsers, iam.PolicyUser{UserName: s.Name, UserId: s.id})
		} else {
			out.PolicyRoles = append(out.PolicyRoles, iam.PolicyRole{RoleName: s.Name, RoleId: s.id})
		}
	}
	return out, err
}

// TagPolicy adds tags to a managed policy or replaces their values.
func (m *Room) TagPolicy(ctx context.Context, in *iam.TagPolicyInput) (*iam.TagPolicyOutput, error) {
	return &iam.TagPolicyOutput{}, m.changePolicy(ctx, in.PolicyArn, "TagPolicy", func(tx *store.Tx, f found) error {
		tags, err := tagMap(f.Tags, in.Tags, "Policy")
		if err != nil {
			return err
		}
		return tx.SetPolicyTags(ctx, f.ARN, tags)
	})
}

// UntagPolicy removes tags from a managed policy.
func (m *Room) UntagPolicy(ctx context.Context, in *iam.UntagPolicyInput) (*iam.UntagPolicyOutput, error) {
	return &iam.UntagPolicyOutput{}, m.changePolicy(ctx, in.PolicyArn, "UntagPolicy", func(tx *store.Tx, f found) error {
		for _, k := range in.TagKeys {
			delete(f.Tags, k)
		}
		return tx.SetPolicyTags(ctx, f.ARN, f.Tags)
	})
}

// ListPolicyTags gives the tags of a managed policy.
func (m *Room) ListPolicyTags(ctx context.Context, in *iam.ListPolicyTagsInput) (*iam.ListPolicyTagsOutput, error) {
	f, err := m.readPolicy(ctx, in.PolicyArn, "ListPolicyTags")
	if err != nil {
		return nil, err
	}
	out := &iam.ListPolicyTagsOutput{}
	out.Tags, out.IsTruncated, out.Marker, err = page(tagList(f.Tags), tagKey, in.Marker, in.MaxItems)
	return out, err
}
