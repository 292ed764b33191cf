package iam

import (
	"context"
	"errors"

	"penstock/internal/api/iam"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

const user = store.HolderUser

// CreateUser makes a user, who may do nothing yet.
func (m *Room) CreateUser(ctx context.Context, in *iam.CreateUserInput) (*iam.CreateUserOutput, error) {
	u := store.User{Account: auth.From(ctx).Account, Name: in.UserName, Path: orRoot(in.Path), ID: auth.NewID("AIDA")}
	if err := auth.Check(ctx, "iam:CreateUser", arnOf(ctx, user, u.Path, u.Name)); err != nil {
		return nil, err
	}
	var err error
	if u.Tags, err = tagMap(nil, in.Tags, "User"); err != nil {
		return nil, err
	}
	if err := noBoundary(in.PermissionsBoundary); err != nil {
		return nil, err
	}
	err = m.db.Update(ctx, func(tx *store.Tx) error {
		err := tx.CreateUser(ctx, u)
		if errors.Is(err, store.ErrExists) {
			return fault.New("EntityAlreadyExists", "User with name %s already exists.", u.Name)
		}
		u.Created = tx.Now()
		return err
	})
	if err != nil {
		return nil, err
	}
	return &iam.CreateUserOutput{User: wireUser(ctx, u)}, nil
}

func wireUser(ctx context.Context, u store.User) *iam.User {
	out := &iam.User{Path: u.Path, UserName: u.Name, UserId: u.ID, Arn: arnOf(ctx, user, u.Path, u.Name), CreateDate: date(u.Created)}
	if len(u.Tags) > 0 {
		out.Tags = tagList(u.Tags)
	}
	return out
}

// orSelf gives the named user, or the caller if no name was given.
func orSelf(ctx context.Context, name string) (string, error) {
	if name != "" {
		return name, nil
	}
	if name = auth.From(ctx).UserName; name == "" {
		return "", fault.New("ValidationError", "Must specify userName when calling with non-User credentials")
	}
	return name, nil
}

// GetUser gives a user, or the caller.
func (m *Room) GetUser(ctx context.Context, in *iam.GetUserInput) (*iam.GetUserOutput, error) {
	name, err := orSelf(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	var u store.User
	err = m.read(ctx, user, name, "GetUser", func(tx *store.Tx, s subject) error {
		u, err = tx.GetUser(ctx, s.Account, s.Name)
		if errors.Is(err, store.ErrNotFound) {
			return notFound(user, name)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &iam.GetUserOutput{User: wireUser(ctx, u)}, nil
}

// ListUsers gives the users of the account, by name.
func (m *Room) ListUsers(ctx context.Context, in *iam.ListUsersInput) (*iam.ListUsersOutput, error) {
	account := auth.From(ctx).Account
	if err := auth.Check(ctx, "iam:ListUsers", arnOf(ctx, user, orRoot(in.PathPrefix), "")); err != nil {
		return nil, err
	}
	from, err := after(in.Marker)
	if err != nil {
		return nil, err
	}
	var list []store.User
	err = m.db.View(ctx, func(tx *store.Tx) error {
		list, err = tx.ListUsers(ctx, account, in.PathPrefix, from, pageSize(in.MaxItems)+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &iam.ListUsersOutput{Users: []iam.User{}}
	list, out.IsTruncated, out.Marker = more(list, func(u store.User) string { return u.Name }, in.MaxItems)
	for _, u := range list {
		u.Tags = nil // lists leave them out
		out.Users = append(out.Users, *wireUser(ctx, u))
	}
	return out, nil
}

// DeleteUser removes a user who has neither keys nor policies.
func (m *Room) DeleteUser(ctx context.Context, in *iam.DeleteUserInput) (*iam.DeleteUserOutput, error) {
	err := m.change(ctx, user, in.UserName, "DeleteUser", func(tx *store.Tx, s subject) error {
		keys, err := tx.ListAccessKeys(ctx, s.Account, s.Name)
		if err != nil {
			return err
		}
		if len(keys) > 0 {
			return fault.New("DeleteConflict", "Cannot delete entity, must delete access keys first.")
		}
		pairs, err := tx.ListServiceCredentials(ctx, s.Account, s.Name)
		if err != nil {
			return err
		}
		if len(pairs) > 0 {
			return fault.New("DeleteConflict", "Cannot delete entity, must remove service specific credentials first.")
		}
		if err := holdsNothing(ctx, tx, s.Holder); err != nil {
			return err
		}
		return tx.DeleteUser(ctx, s.Account, s.Name)
	})
	return &iam.DeleteUserOutput{}, err
}

// tagUser changes the tags of a user.
func (m *Room) tagUser(ctx context.Context, name, action string, f func(map[string]string) (map[string]string, error)) error {
	return m.change(ctx, user, name, action, func(tx *store.Tx, s subject) error {
		u, err := tx.GetUser(ctx, s.Account, s.Name)
		if err != nil {
			return err
		}
		tags, err := f(u.Tags)
		if err != nil {
			return err
		}
		return tx.SetUserTags(ctx, s.Account, s.Name, tags)
	})
}

// TagUser adds tags to a user or replaces their values.
func (m *Room) TagUser(ctx context.Context, in *iam.TagUserInput) (*iam.TagUserOutput, error) {
	return &iam.TagUserOutput{}, m.tagUser(ctx, in.UserName, "TagUser", func(have map[string]string) (map[string]string, error) {
		return tagMap(have, in.Tags, "User")
	})
}

// UntagUser removes tags from a user.
func (m *Room) UntagUser(ctx context.Context, in *iam.UntagUserInput) (*iam.UntagUserOutput, error) {
	return &iam.UntagUserOutput{}, m.tagUser(ctx, in.UserName, "UntagUser", func(have map[string]string) (map[string]string, error) {
		for _, k := range in.TagKeys {
			delete(have, k)
		}
		return have, nil
	})
}

// ListUserTags gives the tags of a user.
func (m *Room) ListUserTags(ctx context.Context, in *iam.ListUserTagsInput) (*iam.ListUserTagsOutput, error) {
	var tags []iam.Tag
	err := m.read(ctx, user, in.UserName, "ListUserTags", func(tx *store.Tx, s subject) error {
		u, err := tx.GetUser(ctx, s.Account, s.Name)
		tags = tagList(u.Tags)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &iam.ListUserTagsOutput{}
	out.Tags, out.IsTruncated, out.Marker, err = page(tags, tagKey, in.Marker, in.MaxItems)
	return out, err
}

// CreateAccessKey makes a key for a user, or for the caller; its secret is told only now.
func (m *Room) CreateAccessKey(ctx context.Context, in *iam.CreateAccessKeyInput) (*iam.CreateAccessKeyOutput, error) {
	name, err := orSelf(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	k := store.AccessKey{ID: auth.NewID("AKIA"), Secret: auth.NewSecret(), Active: true}
	err = m.change(ctx, user, name, "CreateAccessKey", func(tx *store.Tx, s subject) error {
		keys, err := tx.ListAccessKeys(ctx, s.Account, s.Name)
		if err != nil {
			return err
		}
		if len(keys) >= maxKeys {
			return fault.New("LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: %d", maxKeys)
		}
		k.Account, k.User, k.Created = s.Account, s.Name, tx.Now()
		return tx.CreateAccessKey(ctx, k)
	})
	if err != nil {
		return nil, err
	}
	return &iam.CreateAccessKeyOutput{AccessKey: &iam.AccessKey{
		UserName: k.User, AccessKeyId: k.ID, Status: "Active", SecretAccessKey: string(k.Secret), CreateDate: date(k.Created),
	}}, nil
}

func noKey(err error, id string) error {
	if errors.Is(err, store.ErrNotFound) {
		return fault.New("NoSuchEntity", "The Access Key with id %s cannot be found.", id)
	}
	return err
}

// DeleteAccessKey removes a key of a user, or of the caller.
func (m *Room) DeleteAccessKey(ctx context.Context, in *iam.DeleteAccessKeyInput) (*iam.DeleteAccessKeyOutput, error) {
	name, err := orSelf(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	return &iam.DeleteAccessKeyOutput{}, m.change(ctx, user, name, "DeleteAccessKey", func(tx *store.Tx, s subject) error {
		return noKey(tx.DeleteAccessKey(ctx, s.Account, s.Name, in.AccessKeyId), in.AccessKeyId)
	})
}

// UpdateAccessKey turns a key on or off.
func (m *Room) UpdateAccessKey(ctx context.Context, in *iam.UpdateAccessKeyInput) (*iam.UpdateAccessKeyOutput, error) {
	name, err := orSelf(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	if in.Status != "Active" && in.Status != "Inactive" {
		return nil, fault.New("ValidationError", "The status of an access key can be Active or Inactive.")
	}
	return &iam.UpdateAccessKeyOutput{}, m.change(ctx, user, name, "UpdateAccessKey", func(tx *store.Tx, s subject) error {
		return noKey(tx.SetAccessKeyActive(ctx, s.Account, s.Name, in.AccessKeyId, in.Status == "Active"), in.AccessKeyId)
	})
}

// ListAccessKeys gives the keys of a user, or of the caller, without their secrets.
func (m *Room) ListAccessKeys(ctx context.Context, in *iam.ListAccessKeysInput) (*iam.ListAccessKeysOutput, error) {
	name, err := orSelf(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	var list []iam.AccessKeyMetadata
	err = m.read(ctx, user, name, "ListAccessKeys", func(tx *store.Tx, s subject) error {
		keys, err := tx.ListAccessKeys(ctx, s.Account, s.Name)
		list = nil
		for _, k := range keys {
			status := "Inactive"
			if k.Active {
				status = "Active"
			}
			list = append(list, iam.AccessKeyMetadata{UserName: k.User, AccessKeyId: k.ID, Status: status, CreateDate: date(k.Created)})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	id := func(k iam.AccessKeyMetadata) string { return k.AccessKeyId }
	out := &iam.ListAccessKeysOutput{}
	out.AccessKeyMetadata, out.IsTruncated, out.Marker, err = page(folded(list, id), id, in.Marker, in.MaxItems)
	return out, err
}
