package iam

import (
	"context"
	"errors"

	"penstock/internal/api/iam"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// pairService is the one service that knows users by pairs of their own: its client ids and
// client tokens are issued here (S-319).
const pairService = "codepipeline.amazonaws.com"

// maxPairs is how many pairs a user can have for a service.
const maxPairs = 2

// CreateServiceSpecificCredential makes a pair for a user; its password is told only now.
func (m *Room) CreateServiceSpecificCredential(ctx context.Context, in *iam.CreateServiceSpecificCredentialInput) (*iam.CreateServiceSpecificCredentialOutput, error) {
	if in.ServiceName != pairService {
		return nil, fault.New("NotSupportedService", "The service %s does not have service specific credentials on this server, only %s does.", in.ServiceName, pairService)
	}
	if in.CredentialAgeDays != nil {
		return nil, fault.New("InvalidInput", "Credentials for %s do not expire: leave CredentialAgeDays out.", pairService)
	}
	c := store.ServiceCredential{ID: auth.NewID("ACCA"), Service: pairService, Client: auth.NewUUID(), Active: true}
	password := auth.NewSecret()
	err := m.change(ctx, user, in.UserName, "CreateServiceSpecificCredential", func(tx *store.Tx, s subject) error {
		pairs, err := tx.ListServiceCredentials(ctx, s.Account, s.Name)
		if err != nil {
			return err
		}
		if len(pairs) >= maxPairs {
			return fault.New("LimitExceeded", "Cannot exceed quota for ServiceSpecificCredentialsPerUser: %d", maxPairs)
		}
		c.Account, c.User, c.Created = s.Account, s.Name, tx.Now()
		return tx.CreateServiceCredential(ctx, c, password)
	})
	if err != nil {
		return nil, err
	}
	return &iam.CreateServiceSpecificCredentialOutput{ServiceSpecificCredential: wirePair(c, password)}, nil
}

func wirePair(c store.ServiceCredential, password store.Secret) *iam.ServiceSpecificCredential {
	return &iam.ServiceSpecificCredential{UserName: c.User, ServiceName: c.Service, ServiceSpecificCredentialId: c.ID, ServiceUserName: c.Client,
		ServicePassword: string(password), Status: pairStatus(c), CreateDate: date(c.Created)}
}

func pairStatus(c store.ServiceCredential) string {
	if c.Active {
		return "Active"
	}
	return "Inactive"
}

func noPair(err error, id string) error {
	if errors.Is(err, store.ErrNotFound) {
		return fault.New("NoSuchEntity", "No such credential %s exists", id)
	}
	return err
}

// ListServiceSpecificCredentials gives the pairs of a user, or of the caller, without their
// passwords; they are few and fit one page.
func (m *Room) ListServiceSpecificCredentials(ctx context.Context, in *iam.ListServiceSpecificCredentialsInput) (*iam.ListServiceSpecificCredentialsOutput, error) {
	if in.AllUsers != nil && *in.AllUsers {
		return nil, fault.New("InvalidInput", "This server lists the credentials of one user at a time: give UserName instead of AllUsers.")
	}
	name, err := orSelf(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	out := &iam.ListServiceSpecificCredentialsOutput{}
	err = m.read(ctx, user, name, "ListServiceSpecificCredentials", func(tx *store.Tx, s subject) error {
		pairs, err := tx.ListServiceCredentials(ctx, s.Account, s.Name)
		out.ServiceSpecificCredentials = []iam.ServiceSpecificCredentialMetadata{}
		for _, c := range pairs {
			if in.ServiceName == "" || in.ServiceName == c.Service {
				out.ServiceSpecificCredentials = append(out.ServiceSpecificCredentials, iam.ServiceSpecificCredentialMetadata{UserName: c.User,
					ServiceName: c.Service, ServiceSpecificCredentialId: c.ID, ServiceUserName: c.Client, Status: pairStatus(c), CreateDate: date(c.Created)})
			}
		}
		return err
	})
	return out, err
}

// ResetServiceSpecificCredential gives a pair another password, which is told only now.
func (m *Room) ResetServiceSpecificCredential(ctx context.Context, in *iam.ResetServiceSpecificCredentialInput) (*iam.ResetServiceSpecificCredentialOutput, error) {
	name, err := orSelf(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	var c store.ServiceCredential
	password := auth.NewSecret()
	err = m.change(ctx, user, name, "ResetServiceSpecificCredential", func(tx *store.Tx, s subject) error {
		if err := tx.SetServicePassword(ctx, s.Account, s.Name, in.ServiceSpecificCredentialId, password); err != nil {
			return noPair(err, in.ServiceSpecificCredentialId)
		}
		pairs, err := tx.ListServiceCredentials(ctx, s.Account, s.Name)
		for _, p := range pairs {
			if p.ID == in.ServiceSpecificCredentialId {
				c = p
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &iam.ResetServiceSpecificCredentialOutput{ServiceSpecificCredential: wirePair(c, password)}, nil
}

// UpdateServiceSpecificCredential turns a pair on or off.
func (m *Room) UpdateServiceSpecificCredential(ctx context.Context, in *iam.UpdateServiceSpecificCredentialInput) (*iam.UpdateServiceSpecificCredentialOutput, error) {
	name, err := orSelf(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	if in.Status != "Active" && in.Status != "Inactive" {
		return nil, fault.New("ValidationError", "The status of a service specific credential can be Active or Inactive.")
	}
	return &iam.UpdateServiceSpecificCredentialOutput{}, m.change(ctx, user, name, "UpdateServiceSpecificCredential", func(tx *store.Tx, s subject) error {
		return noPair(tx.SetServiceCredentialActive(ctx, s.Account, s.Name, in.ServiceSpecificCredentialId, in.Status == "Active"), in.ServiceSpecificCredentialId)
	})
}

// DeleteServiceSpecificCredential removes a pair.
func (m *Room) DeleteServiceSpecificCredential(ctx context.Context, in *iam.DeleteServiceSpecificCredentialInput) (*iam.DeleteServiceSpecificCredentialOutput, error) {
	name, err := orSelf(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	return &iam.DeleteServiceSpecificCredentialOutput{}, m.change(ctx, user, name, "DeleteServiceSpecificCredential", func(tx *store.Tx, s subject) error {
		return noPair(tx.DeleteServiceCredential(ctx, s.Account, s.Name, in.ServiceSpecificCredentialId), in.ServiceSpecificCredentialId)
	})
}
