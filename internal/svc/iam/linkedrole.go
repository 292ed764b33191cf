package iam

import (
	"context"
	"errors"
	"strings"
	"time"

	"penstock/internal/api/iam"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// linkedPath begins the paths of roles that are a service's own.
const linkedPath = "/aws-service-role/"

// linked are the services that have such a role, of those that are here, with what it is called.
// The rooms need no role to do their work: these are for definitions that make them.
var linked = map[string]string{
	"apidestinations.events.amazonaws.com": "AWSServiceRoleForAmazonEventBridgeApiDestinations",
	"cloudtrail.amazonaws.com":             "AWSServiceRoleForCloudTrail",
	"codestar-notifications.amazonaws.com": "AWSServiceRoleForCodeStarNotifications",
	"events.amazonaws.com":                 "AWSServiceRoleForCloudWatchEvents",
	"ssm.amazonaws.com":                    "AWSServiceRoleForAmazonSSM",
}

// isLinked says whether a role is a service's own.
func isLinked(path string) bool { return strings.HasPrefix(path, linkedPath) }

// unmodifiable are the changes that nobody makes to a service's own role.
var unmodifiable = map[string]bool{
	"AttachRolePolicy": true, "DeleteRole": true, "DeleteRolePolicy": true, "DetachRolePolicy": true, "PutRolePolicy": true, "UpdateAssumeRolePolicy": true,
}

// CreateServiceLinkedRole makes the role of a service, which only that service assumes (N-2).
func (m *Room) CreateServiceLinkedRole(ctx context.Context, in *iam.CreateServiceLinkedRoleInput) (*iam.CreateServiceLinkedRoleOutput, error) {
	service := in.AWSServiceName
	name := linked[service]
	r := store.Role{
		Account: auth.From(ctx).Account, Name: name, Path: linkedPath + service + "/", ID: auth.NewID("AROA"), Description: in.Description, MaxSession: shortSession * time.Second,
		Trust: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"` + service + `"},"Action":"sts:AssumeRole"}]}`,
	}
	arn := arnOf(ctx, role, r.Path, r.Name)
	if err := auth.CheckWith(ctx, "iam:CreateServiceLinkedRole", arn, auth.Attributes{"iam:AWSServiceName": {service}}); err != nil {
		return nil, err
	}
	switch {
	case name == "":
		return nil, fault.New("InvalidInput", "%s has no service-linked role on this server.", service)
	case in.CustomSuffix != "":
		return nil, fault.New("InvalidInput", "Custom suffix is not allowed for %s", service)
	}
	err := m.db.Update(ctx, func(tx *store.Tx) error {
		err := tx.CreateRole(ctx, r)
		if errors.Is(err, store.ErrExists) {
			return fault.New("InvalidInput", "Service role name %s has been taken in this account, please try a different suffix.", name)
		}
		r.Created = tx.Now()
		return err
	})
	if err != nil {
		return nil, err
	}
	return &iam.CreateServiceLinkedRoleOutput{Role: wireRole(ctx, r, true)}, nil
}

// DeleteServiceLinkedRole removes the role of a service. It is gone when this answers.
func (m *Room) DeleteServiceLinkedRole(ctx context.Context, in *iam.DeleteServiceLinkedRoleInput) (*iam.DeleteServiceLinkedRoleOutput, error) {
	out := &iam.DeleteServiceLinkedRoleOutput{}
	return out, m.change(ctx, role, in.RoleName, "DeleteServiceLinkedRole", func(tx *store.Tx, s subject) error {
		if !isLinked(s.path) {
			return notFound(role, in.RoleName)
		}
		out.DeletionTaskId = "task" + s.path + s.Name + "/" + auth.NewUUID()
		return tx.DeleteRole(ctx, s.Account, s.Name)
	})
}

// GetServiceLinkedRoleDeletionStatus tells that a role is gone.
func (m *Room) GetServiceLinkedRoleDeletionStatus(ctx context.Context, in *iam.GetServiceLinkedRoleDeletionStatusInput) (*iam.GetServiceLinkedRoleDeletionStatusOutput, error) {
	account := auth.From(ctx).Account
	parts := strings.Split(in.DeletionTaskId, "/")
	known := len(parts) == 5 && parts[0] == "task" && "/"+parts[1]+"/" == linkedPath && linked[parts[2]] != "" && linked[parts[2]] == parts[3]
	arn := arnOf(ctx, role, linkedPath, "*")
	if known {
		arn = arnOf(ctx, role, linkedPath+parts[2]+"/", parts[3])
	}
	if err := auth.Check(ctx, "iam:GetServiceLinkedRoleDeletionStatus", arn); err != nil {
		return nil, err
	}
	if !known {
		return nil, fault.New("InvalidInput", "The DeletionTaskId is not one that DeleteServiceLinkedRole gave.")
	}
	err := m.db.View(ctx, func(tx *store.Tx) error {
		_, err := tx.GetRole(ctx, account, parts[3])
		return err
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return &iam.GetServiceLinkedRoleDeletionStatusOutput{Status: "SUCCEEDED"}, nil
	case err == nil:
		err = fault.New("NoSuchEntity", "The role %s is there: no deletion of it is under way.", parts[3])
	}
	return nil, err
}
