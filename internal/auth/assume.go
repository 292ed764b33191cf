package auth

import (
	"context"
	"errors"
	"time"

	"penstock/internal/arn"
	"penstock/internal/fault"
	"penstock/internal/policy"
	"penstock/internal/store"
)

const assumeRole = "sts:AssumeRole"

// CanAssume says whether a service may assume a role: whether the role exists and its trust
// policy names the service (S-8, M-1).
func (a *Auth) CanAssume(ctx context.Context, roleARN, servicePrincipal string) (bool, error) {
	return a.CanAssumeFor(ctx, roleARN, servicePrincipal, "")
}

// CanAssumeFor is CanAssume on behalf of a resource, such as a pipeline's ARN. A service uses a
// role for resources of the role's own account only; trust policies may demand more with
// aws:SourceArn and aws:SourceAccount, lest the service be talked into using the role for
// somebody else.
func (a *Auth) CanAssumeFor(ctx context.Context, roleARN, servicePrincipal, source string) (bool, error) {
	p, err := a.role(ctx, roleARN)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	// What the server does for a resource it does for the account of the resource; when it
	// is not told of one, for the caller's or, in its own work, for the role's.
	owner, _, _ := splitRole(roleARN)
	account := owner
	if c := From(ctx); c.Account != "" {
		account = c.Account
	}
	attrs := Attributes{}
	if a, ok := arn.Parse(source); ok {
		attrs["aws:SourceArn"] = []string{source}
		if a.Account != "" {
			account = a.Account
		}
	}
	if account != owner { // W-44: nobody passes the roles of others
		return false, nil
	}
	attrs["aws:SourceAccount"] = []string{account}
	g := &grant{caller: Caller{InvokedBy: servicePrincipal}, now: a.now}
	req := &policy.Request{Action: assumeRole, Resource: roleARN, Principal: policy.Principal{Service: servicePrincipal}, Context: g.lookup(attrs, nil)}
	return p.trust.Evaluate(req) == policy.Allow, nil
}

// CanAssumeFrom says whether one role may assume another, as an action's own role is
// assumed through the pipeline's (S-40, M-1b).
func (a *Auth) CanAssumeFrom(ctx context.Context, fromRoleARN, roleARN string) (bool, error) {
	from, err := a.role(ctx, fromRoleARN)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	account, _, _ := splitRole(fromRoleARN)
	g := &grant{
		caller:   Caller{Account: account, ARN: fromRoleARN, RoleARN: fromRoleARN},
		now:      a.now,
		identity: func(context.Context) (rights, error) { return from.rights, nil },
	}
	return a.mayAssume(ctx, g, assumeRole, roleARN, nil)
}

// CheckPass says whether the caller of a context may hand a role to a service (W-44), as Check
// does. A role is handed on within its account only, whatever its trust policy says.
func CheckPass(ctx context.Context, roleARN, servicePrincipal string) error {
	if owner, _, ok := splitRole(roleARN); ok && owner != From(ctx).Account {
		return fault.New("AccessDeniedException", "Cross-account pass role is not allowed.")
	}
	return CheckWith(ctx, "iam:PassRole", roleARN, Attributes{"iam:PassedToService": {servicePrincipal}})
}

// CheckAssume says whether the caller of a context may do an action on a role that needs
// the role's trust: sts:AssumeRole or sts:TagSession. It gives nil or a fault AccessDenied
// that does not say whether the role exists.
func (a *Auth) CheckAssume(ctx context.Context, action, roleARN string, attrs Attributes) error {
	g := grantOf(ctx)
	if g == nil {
		return CheckWith(ctx, action, roleARN, attrs)
	}
	ok, err := a.mayAssume(ctx, g, action, roleARN, attrs)
	if err != nil || ok {
		return err
	}
	return g.deny(action, roleARN, "because the caller's policies and the role's trust policy together do not allow the "+action+" action")
}

// mayAssume joins the trust policy and the caller's own policies. A trust policy that names
// the caller is enough within an account, unless the caller's policies deny; one that only
// trusts the account leaves the decision to the caller's policies.
func (a *Auth) mayAssume(ctx context.Context, g *grant, action, roleARN string, attrs Attributes) (bool, error) {
	p, err := a.role(ctx, roleARN)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var own rights
	if !g.all {
		if own, err = g.identity(ctx); err != nil {
			return false, err
		}
	}
	c := &g.caller
	req := &policy.Request{
		Action: action, Resource: roleARN, Context: g.lookup(attrs, own.tags),
		Principal: policy.Principal{ARN: c.ARN, RoleARN: c.RoleARN, Account: c.Account},
	}
	trusted := p.trust.Evaluate(req)
	if trusted != policy.Allow {
		return false, nil
	}
	if g.all {
		return true, nil
	}
	answer := policy.Evaluate(req, own.docs...)
	if answer == policy.Deny {
		return false, nil
	}
	if len(g.session) > 0 && policy.Evaluate(req, g.session...) != policy.Allow {
		return false, nil
	}
	if answer == policy.Allow {
		return true, nil
	}
	account, _, _ := splitRole(roleARN)
	direct := *req
	direct.Principal.Account = ""
	return account == c.Account && p.trust.Evaluate(&direct) == policy.Allow, nil
}

// MaxSession gives the longest session a role allows; ok is false if there is no such role.
func (a *Auth) MaxSession(ctx context.Context, roleARN string) (longest time.Duration, ok bool, err error) {
	p, err := a.role(ctx, roleARN)
	if errors.Is(err, store.ErrNotFound) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	return p.maxSession, true, nil
}
