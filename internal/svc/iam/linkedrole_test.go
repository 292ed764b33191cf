package iam_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// N-2: a service's own role is made and deleted by operations of its own, and changed by none.
func TestServiceLinkedRoles(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c, ctx := client(t, db), t.Context()
		in := &sdk.CreateServiceLinkedRoleInput{AWSServiceName: aws.String("codestar-notifications.amazonaws.com"), Description: aws.String("d")}
		r := must[*sdk.CreateServiceLinkedRoleOutput](t)(c.CreateServiceLinkedRole(ctx, in)).Role
		if *r.Arn != "arn:aws:iam::000000000000:role/aws-service-role/codestar-notifications.amazonaws.com/AWSServiceRoleForCodeStarNotifications" || *r.Description != "d" {
			t.Errorf("%+v", r)
		}
		_, err := c.CreateServiceLinkedRole(ctx, in)
		wantCode(t, "twice", err, "InvalidInput")
		_, err = c.CreateServiceLinkedRole(ctx, &sdk.CreateServiceLinkedRoleInput{AWSServiceName: aws.String("ecs.amazonaws.com")})
		wantCode(t, "a service that is not here", err, "InvalidInput")
		_, err = c.CreateServiceLinkedRole(ctx, &sdk.CreateServiceLinkedRoleInput{AWSServiceName: aws.String("ssm.amazonaws.com"), CustomSuffix: aws.String("x")})
		wantCode(t, "a suffix", err, "InvalidInput")
		_, err = c.CreateRole(ctx, &sdk.CreateRoleInput{RoleName: aws.String("x"), Path: aws.String("/aws-service-role/x/"), AssumeRolePolicyDocument: aws.String(trust)})
		wantCode(t, "its path", err, "ValidationError")

		_, err = c.DeleteRole(ctx, &sdk.DeleteRoleInput{RoleName: r.RoleName})
		wantCode(t, "delete", err, "UnmodifiableEntity")
		_, err = c.PutRolePolicy(ctx, &sdk.PutRolePolicyInput{RoleName: r.RoleName, PolicyName: aws.String("p"), PolicyDocument: aws.String(doc)})
		wantCode(t, "put a policy", err, "UnmodifiableEntity")
		_, err = c.UpdateAssumeRolePolicy(ctx, &sdk.UpdateAssumeRolePolicyInput{RoleName: r.RoleName, PolicyDocument: aws.String(trust)})
		wantCode(t, "trust others", err, "UnmodifiableEntity")
		must[*sdk.TagRoleOutput](t)(c.TagRole(ctx, &sdk.TagRoleInput{RoleName: r.RoleName, Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}}))

		must[*sdk.CreateRoleOutput](t)(c.CreateRole(ctx, &sdk.CreateRoleInput{RoleName: aws.String("mine"), AssumeRolePolicyDocument: aws.String(trust)}))
		_, err = c.DeleteServiceLinkedRole(ctx, &sdk.DeleteServiceLinkedRoleInput{RoleName: aws.String("mine")})
		wantCode(t, "a role that is no service's", err, "NoSuchEntity")
		task := must[*sdk.DeleteServiceLinkedRoleOutput](t)(c.DeleteServiceLinkedRole(ctx, &sdk.DeleteServiceLinkedRoleInput{RoleName: r.RoleName})).DeletionTaskId
		status := func() (*sdk.GetServiceLinkedRoleDeletionStatusOutput, error) {
			return c.GetServiceLinkedRoleDeletionStatus(ctx, &sdk.GetServiceLinkedRoleDeletionStatusInput{DeletionTaskId: task})
		}
		if got := must[*sdk.GetServiceLinkedRoleDeletionStatusOutput](t)(status()); got.Status != types.DeletionTaskStatusTypeSucceeded {
			t.Error(got.Status)
		}
		must[*sdk.CreateServiceLinkedRoleOutput](t)(c.CreateServiceLinkedRole(ctx, in))
		_, err = status()
		wantCode(t, "of one that is there", err, "NoSuchEntity")
		task = aws.String("task/x")
		_, err = status()
		wantCode(t, "no task", err, "InvalidInput")
	})
}
