package iam_test

import (
	"regexp"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// S-319, N-2: an administrator issues the client id and token of a partner's user with the
// unmodified SDK; the token is told once and not kept.
func TestServiceSpecificCredentials(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c, ctx, name := client(t, db), t.Context(), aws.String("partner")
		service := aws.String("codepipeline.amazonaws.com")
		must[*sdk.CreateUserOutput](t)(c.CreateUser(ctx, &sdk.CreateUserInput{UserName: name}))
		create := func() (*types.ServiceSpecificCredential, error) {
			out, err := c.CreateServiceSpecificCredential(ctx, &sdk.CreateServiceSpecificCredentialInput{UserName: name, ServiceName: service})
			if err != nil {
				return nil, err
			}
			return out.ServiceSpecificCredential, nil
		}
		made := must[*types.ServiceSpecificCredential](t)(create())
		if !regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`).MatchString(aws.ToString(made.ServiceUserName)) || len(aws.ToString(made.ServicePassword)) != 40 || made.Status != types.StatusTypeActive {
			t.Errorf("%+v", made)
		}
		is := func(password string) (good, active bool) {
			inTx := func(tx *store.Tx) error {
				p, err := tx.ServiceCredentialOf(ctx, acct, *service, *made.ServiceUserName)
				good, active = p.Is(password), p.Active
				return err
			}
			if err := db.View(ctx, inTx); err != nil {
				t.Fatal(err)
			}
			return good, active
		}
		if good, active := is(*made.ServicePassword); !good || !active {
			t.Errorf("the password is right: %v, active: %v", good, active)
		}
		if good, _ := is("another"); good {
			t.Error("any password will do")
		}
		must[*types.ServiceSpecificCredential](t)(create())
		_, err := create()
		wantCode(t, "third", err, "LimitExceeded")
		list := must[*sdk.ListServiceSpecificCredentialsOutput](t)(c.ListServiceSpecificCredentials(ctx, &sdk.ListServiceSpecificCredentialsInput{UserName: name})).ServiceSpecificCredentials
		if len(list) != 2 || aws.ToString(list[0].ServiceUserName) != *made.ServiceUserName {
			t.Errorf("%+v", list)
		}
		reset := must[*sdk.ResetServiceSpecificCredentialOutput](t)(c.ResetServiceSpecificCredential(ctx, &sdk.ResetServiceSpecificCredentialInput{UserName: name, ServiceSpecificCredentialId: made.ServiceSpecificCredentialId}))
		if good, _ := is(*made.ServicePassword); good {
			t.Error("the old password is still good")
		}
		if good, _ := is(*reset.ServiceSpecificCredential.ServicePassword); !good {
			t.Error("the new password is not good")
		}
		must[*sdk.UpdateServiceSpecificCredentialOutput](t)(c.UpdateServiceSpecificCredential(ctx, &sdk.UpdateServiceSpecificCredentialInput{UserName: name,
			ServiceSpecificCredentialId: made.ServiceSpecificCredentialId, Status: types.StatusTypeInactive}))
		if _, active := is("x"); active {
			t.Error("it is still active")
		}
		_, err = c.DeleteUser(ctx, &sdk.DeleteUserInput{UserName: name})
		wantCode(t, "a user with pairs", err, "DeleteConflict")
		for _, p := range list {
			must[*sdk.DeleteServiceSpecificCredentialOutput](t)(c.DeleteServiceSpecificCredential(ctx, &sdk.DeleteServiceSpecificCredentialInput{UserName: name, ServiceSpecificCredentialId: p.ServiceSpecificCredentialId}))
		}
		_, err = c.DeleteServiceSpecificCredential(ctx, &sdk.DeleteServiceSpecificCredentialInput{UserName: name, ServiceSpecificCredentialId: made.ServiceSpecificCredentialId})
		wantCode(t, "deleted twice", err, "NoSuchEntity")
		_, err = c.CreateServiceSpecificCredential(ctx, &sdk.CreateServiceSpecificCredentialInput{UserName: name, ServiceName: aws.String("codecommit.amazonaws.com")})
		wantCode(t, "another service", err, "NotSupportedService")
		must[*sdk.DeleteUserOutput](t)(c.DeleteUser(ctx, &sdk.DeleteUserInput{UserName: name}))
	})
}
