package secretsmanager

import (
	"context"
	"errors"
	"time"

	wire "penstock/internal/api/secretsmanager"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// CreateSecret makes a secret, with its first version if it comes with a value. Sent again with
// the token and the value of that version, it gives the same answer.
func (r *Room) CreateSecret(ctx context.Context, in *wire.CreateSecretInput) (*wire.CreateSecretOutput, error) {
	c := auth.From(ctx)
	arn := newARN(c, in.Name)
	if err := auth.Check(ctx, "secretsmanager:CreateSecret", arn); err != nil {
		return nil, err
	}
	if len(in.Tags) > 0 {
		if err := auth.Check(ctx, "secretsmanager:TagResource", arn); err != nil {
			return nil, err
		}
	}
	switch {
	case !nameForm().MatchString(in.Name):
		return nil, invalid("Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!")
	case len(in.AddReplicaRegions) > 0:
		return nil, invalid("AddReplicaRegions: this server does not copy secrets to other Regions.")
	case in.Type != "":
		return nil, invalid("Type: this server has no managed external secrets.")
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	v, err := readValue(in.ClientRequestToken, in.SecretString, in.SecretBinary)
	if err != nil {
		return nil, err
	}
	text, err := doc{Description: in.Description, KmsKeyID: in.KmsKeyId}.text()
	if err != nil {
		return nil, err
	}
	var out *wire.CreateSecretOutput
	err = r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		out = &wire.CreateSecretOutput{ARN: arn, Name: in.Name}
		if err := tx.EndSecrets(ctx, 100); err != nil {
			return err
		}
		s := store.StoredSecret{ARN: arn, Account: c.Account, Region: c.Region, Name: in.Name, Doc: text}
		err := tx.AddSecret(ctx, s)
		if errors.Is(err, store.ErrExists) {
			out.ARN, out.VersionId, err = same(ctx, tx, c, in.Name, v)
			return err
		}
		if err != nil {
			return err
		}
		if n, err := tx.CountSecrets(ctx, c.Account, c.Region); err != nil || n > maxSecrets {
			if err == nil {
				err = fault.New("LimitExceededException", "You have reached the number of secrets of this account in this Region: %d.", maxSecrets)
			}
			return err
		}
		for _, t := range in.Tags {
			if err := tx.PutTag(ctx, arn, store.Tag{Key: t.Key, Value: t.Value}); err != nil {
				return err
			}
		}
		if !v.given {
			return nil
		}
		out.VersionId = v.id
		_, err = add(ctx, tx, s, v, nil)
		return err
	})
	return out, err
}

// same tells whether a secret that is there already is what the caller wanted to make.
func same(ctx context.Context, tx *store.Tx, c auth.Caller, name string, v value) (arn, version string, err error) {
	s, err := tx.LockSecret(ctx, c.Account, c.Region, name)
	if err != nil {
		return "", "", err
	}
	if !s.Deleted.IsZero() {
		return "", "", badState("You can't create this secret because a secret with this name is already scheduled for deletion.")
	}
	if v.given && v.token != "" {
		if ok, err := v.isThere(ctx, tx, s); err != nil || ok {
			return s.ARN, v.id, err
		}
	}
	return "", "", fault.New("ResourceExistsException", "The operation failed because the secret %s already exists.", name)
}

// UpdateSecret changes the description and the key of a secret, and gives it a new value if it
// comes with one.
func (r *Room) UpdateSecret(ctx context.Context, in *wire.UpdateSecretInput) (*wire.UpdateSecretOutput, error) {
	if in.Type != "" {
		return nil, invalid("Type: this server has no managed external secrets.")
	}
	v, err := readValue(in.ClientRequestToken, in.SecretString, in.SecretBinary)
	if err != nil {
		return nil, err
	}
	var out *wire.UpdateSecretOutput
	err = r.update(ctx, "UpdateSecret", in.SecretId, func(tx *store.Tx, s store.StoredSecret) error {
		if err := alive(s); err != nil {
			return err
		}
		d, err := readDoc(s)
		if err != nil {
			return err
		}
		if in.Description != nil {
			d.Description = *in.Description
		}
		if in.KmsKeyId != nil { // "" is the service's own key, which DescribeSecret does not name
			d.KmsKeyID = *in.KmsKeyId
		}
		if s.Doc, err = d.text(); err != nil {
			return err
		}
		if err := tx.SetSecret(ctx, s); err != nil {
			return err
		}
		out = &wire.UpdateSecretOutput{ARN: s.ARN, Name: s.Name}
		if !v.given {
			return nil
		}
		out.VersionId = v.id
		_, err = add(ctx, tx, s, v, nil)
		return err
	})
	return out, err
}

// The recovery window, in days.
const (
	minWindow     = 7
	maxWindow     = 30
	defaultWindow = 30
)

// DeleteSecret marks a secret for deletion at the end of a recovery window, or deletes it at
// once.
func (r *Room) DeleteSecret(ctx context.Context, in *wire.DeleteSecretInput) (*wire.DeleteSecretOutput, error) {
	force := in.ForceDeleteWithoutRecovery != nil && *in.ForceDeleteWithoutRecovery
	days := int64(defaultWindow)
	if in.RecoveryWindowInDays != nil {
		days = *in.RecoveryWindowInDays
	}
	var out *wire.DeleteSecretOutput
	err := r.update(ctx, "DeleteSecret", in.SecretId, func(tx *store.Tx, s store.StoredSecret) error {
		switch {
		case force && in.RecoveryWindowInDays != nil:
			return invalid("You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.")
		case days < minWindow || days > maxWindow:
			return invalid("The RecoveryWindowInDays value must be between %d and %d days (inclusive).", minWindow, maxWindow)
		case !force && !s.Deleted.IsZero():
			return badState("You can't perform this operation on the secret because it was already scheduled for deletion.")
		}
		if err := tx.EndSecrets(ctx, 100); err != nil {
			return err
		}
		now := tx.Now()
		out = &wire.DeleteSecretOutput{ARN: s.ARN, Name: s.Name, DeletionDate: &now}
		if force {
			return tx.DeleteSecret(ctx, s.ARN)
		}
		s.Deleted = now.Add(time.Duration(days) * 24 * time.Hour)
		out.DeletionDate = &s.Deleted
		return tx.SetSecret(ctx, s)
	})
	if force && fault.Code(err) == "ResourceNotFoundException" { // as AWS has it, what is not there has been deleted
		now := time.Now()
		return &wire.DeleteSecretOutput{ARN: in.SecretId, Name: in.SecretId, DeletionDate: &now}, nil
	}
	return out, err
}

// RestoreSecret takes the mark of DeleteSecret away.
func (r *Room) RestoreSecret(ctx context.Context, in *wire.RestoreSecretInput) (*wire.RestoreSecretOutput, error) {
	var out *wire.RestoreSecretOutput
	err := r.update(ctx, "RestoreSecret", in.SecretId, func(tx *store.Tx, s store.StoredSecret) error {
		out, s.Deleted = &wire.RestoreSecretOutput{ARN: s.ARN, Name: s.Name}, time.Time{}
		return tx.SetSecret(ctx, s)
	})
	return out, err
}

// DescribeSecret tells of a secret without its value.
func (r *Room) DescribeSecret(ctx context.Context, in *wire.DescribeSecretInput) (*wire.DescribeSecretOutput, error) {
	var out *wire.DescribeSecretOutput
	err := r.view(ctx, "DescribeSecret", in.SecretId, func(tx *store.Tx, s store.StoredSecret) error {
		d, err := readDoc(s)
		if err != nil {
			return err
		}
		stages, err := tx.SecretStages(ctx, s.ARN)
		if err != nil {
			return err
		}
		tags, err := tx.Tags(ctx, s.ARN)
		out = &wire.DescribeSecretOutput{ARN: s.ARN, Name: s.Name, Description: d.Description, KmsKeyId: d.KmsKeyID, CreatedDate: &s.Created,
			LastChangedDate: &s.Changed, Tags: showTags(tags), VersionIdsToStages: byVersion(stages)}
		if !s.Deleted.IsZero() {
			out.DeletedDate = &s.Deleted
		}
		return err
	})
	return out, err
}

// GetResourcePolicy tells that a secret has no policy of its own: none can be put.
func (r *Room) GetResourcePolicy(ctx context.Context, in *wire.GetResourcePolicyInput) (*wire.GetResourcePolicyOutput, error) {
	var out *wire.GetResourcePolicyOutput
	return out, r.view(ctx, "GetResourcePolicy", in.SecretId, func(_ *store.Tx, s store.StoredSecret) error {
		out = &wire.GetResourcePolicyOutput{ARN: s.ARN, Name: s.Name}
		return alive(s)
	})
}

func showTags(tags []store.Tag) []wire.Tag {
	list := []wire.Tag{}
	for _, t := range tags {
		list = append(list, wire.Tag{Key: t.Key, Value: t.Value})
	}
	return list
}

// TagResource adds tags to a secret, or gives them other values.
func (r *Room) TagResource(ctx context.Context, in *wire.TagResourceInput) (*wire.TagResourceOutput, error) {
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	return &wire.TagResourceOutput{}, r.update(ctx, "TagResource", in.SecretId, func(tx *store.Tx, s store.StoredSecret) error {
		if err := alive(s); err != nil {
			return err
		}
		for _, t := range in.Tags {
			if err := tx.PutTag(ctx, s.ARN, store.Tag{Key: t.Key, Value: t.Value}); err != nil {
				return err
			}
		}
		tags, err := tx.Tags(ctx, s.ARN)
		if err == nil && len(tags) > maxTags {
			err = tooMany()
		}
		return err
	})
}

// UntagResource removes tags from a secret; those it does not have are no error.
func (r *Room) UntagResource(ctx context.Context, in *wire.UntagResourceInput) (*wire.UntagResourceOutput, error) {
	if len(in.TagKeys) > maxTags {
		return nil, tooMany()
	}
	return &wire.UntagResourceOutput{}, r.update(ctx, "UntagResource", in.SecretId, func(tx *store.Tx, s store.StoredSecret) error {
		if err := alive(s); err != nil {
			return err
		}
		for _, key := range in.TagKeys {
			if err := checkTags([]wire.Tag{{Key: key}}); err != nil {
				return err
			}
			if err := tx.DeleteTag(ctx, s.ARN, key); err != nil {
				return err
			}
		}
		return nil
	})
}
