package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	api "penstock/internal/api/lambda"
	"penstock/internal/arn"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/policy"
	"penstock/internal/store"
)

// maxPolicy is the most bytes of a policy.
const maxPolicy = 20 << 10

var accountForm = regexp.MustCompile(`^\d{12}$`)

// permission is one statement of a policy, in the order in which AWS writes it.
type permission struct {
	Sid       string
	Effect    string
	Principal any
	Action    string
	Resource  string
	Condition map[string]map[string]string `json:",omitempty"`
}

// policyDoc is the policy of a function, or of one of its versions or aliases.
type policyDoc struct {
	Revision   string       `json:"revision"`
	Statements []permission `json:"statements"`
}

// text is the policy as a document.
func (p *policyDoc) text() (string, error) {
	text, err := json.Marshal(struct {
		Version, Id string
		Statement   []permission
	}{"2012-10-17", "default", p.Statements})
	return string(text), err
}

// mayInvoke says whether the caller may invoke a function, by its own policies or that of the
// function: services come by the latter only.
func (r *Room) mayInvoke(ctx context.Context, n name) error {
	var own *policy.Document
	err := r.deps.DB.View(ctx, func(tx *store.Tx) error {
		v, err := opened(tx.GetFunction(ctx, n.account, n.region, n.function, 0))
		if errors.Is(err, store.ErrNotFound) {
			return nil // who may not know of a function does not learn whether it is there
		}
		if err != nil {
			return err
		}
		p, ok := v.Policies[n.qualifier]
		if !ok {
			return nil
		}
		text, err := p.text()
		if err == nil {
			own, err = policy.Parse(text, policy.Resource)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("lambda: the policy of %s: %w", n.arn(), err)
	}
	return auth.CheckResource(ctx, "lambda:InvokeFunction", n.arn(), own, nil)
}

// permit makes the statement that AddPermission asks for.
func permit(c auth.Caller, n name, in *api.AddPermissionInput) (permission, error) {
	p := permission{Sid: in.StatementId, Effect: "Allow", Action: in.Action, Resource: n.arn()}
	switch {
	case in.Action != "*" && in.Action != "lambda:*" && in.Action != "lambda:InvokeFunction":
		return p, invalid("The Action %.100s is not offered by this server: the policy of a function decides who may invoke it. Use lambda:InvokeFunction.", in.Action)
	case in.PrincipalOrgID != "":
		return p, unsupported("PrincipalOrgID")
	case in.FunctionUrlAuthType != "" || in.InvokedViaFunctionUrl != nil:
		return p, unsupported("FunctionUrlAuthType")
	case in.EventSourceToken != "":
		return p, unsupported("EventSourceToken")
	case in.Principal == "*":
		p.Principal = "*"
	case accountForm.MatchString(in.Principal):
		p.Principal = map[string]string{"AWS": arn.ARN{Partition: c.Partition(), Service: "iam", Account: in.Principal, Resource: "root"}.String()}
	case strings.HasPrefix(in.Principal, "arn:"):
		p.Principal = map[string]string{"AWS": in.Principal}
	default:
		p.Principal = map[string]string{"Service": in.Principal}
	}
	condition := func(operator, key, value string) {
		if value != "" {
			if p.Condition == nil {
				p.Condition = map[string]map[string]string{}
			}
			p.Condition[operator] = map[string]string{key: value}
		}
	}
	condition("StringEquals", "AWS:SourceAccount", in.SourceAccount)
	condition("ArnLike", "AWS:SourceArn", in.SourceArn)
	return p, nil
}

// AddPermission adds a statement to the policy of a function, or of one of its versions or
// aliases (N-16).
func (r *Room) AddPermission(ctx context.Context, in *api.AddPermissionInput) (*api.AddPermissionOutput, error) {
	out := &api.AddPermissionOutput{}
	return out, r.changePolicy(ctx, "AddPermission", in.FunctionName, in.Qualifier, in.RevisionId, func(n name, p *policyDoc) error {
		added, err := permit(auth.From(ctx), n, in)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(p.Statements, func(s permission) bool { return s.Sid == in.StatementId }) {
			return fault.New("ResourceConflictException", "The statement id (%s) provided already exists. Please provide a new statement id, or remove the existing statement.", in.StatementId)
		}
		p.Statements = append(p.Statements, added)
		text, err := p.text()
		if err != nil {
			return err
		}
		if len(text) > maxPolicy {
			return fault.New("PolicyLengthExceededException", "The final policy size (%d) is bigger than the limit (%d).", len(text), maxPolicy)
		}
		if _, err := policy.Parse(text, policy.Resource); err != nil {
			return invalid("The provided principal was invalid. Please check the principal and try again.")
		}
		one, err := json.Marshal(added)
		out.Statement = string(one)
		return err
	})
}

// RemovePermission takes a statement out of a policy.
func (r *Room) RemovePermission(ctx context.Context, in *api.RemovePermissionInput) (*api.RemovePermissionOutput, error) {
	return nil, r.changePolicy(ctx, "RemovePermission", in.FunctionName, in.Qualifier, in.RevisionId, func(_ name, p *policyDoc) error {
		i := slices.IndexFunc(p.Statements, func(s permission) bool { return s.Sid == in.StatementId })
		if i < 0 {
			return noPolicy()
		}
		p.Statements = slices.Delete(p.Statements, i, i+1)
		return nil
	})
}

func noPolicy() error {
	return fault.New("ResourceNotFoundException", "The resource you requested does not exist.")
}

// GetPolicy shows the policy of a function, or of one of its versions or aliases.
func (r *Room) GetPolicy(ctx context.Context, in *api.GetPolicyInput) (*api.GetPolicyOutput, error) {
	n, err := named(ctx, in.FunctionName, in.Qualifier)
	if err == nil {
		err = n.check(ctx, "GetPolicy")
	}
	if err != nil {
		return nil, err
	}
	out := &api.GetPolicyOutput{}
	return out, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		v, err := opened(tx.GetFunction(ctx, n.account, n.region, n.function, 0))
		if err != nil {
			return n.missing(err)
		}
		p, ok := v.Policies[n.qualifier]
		if !ok {
			return noPolicy()
		}
		out.RevisionId = p.Revision
		out.Policy, err = p.text()
		return err
	})
}

// changePolicy changes the policy of what a request names. A policy without statements is none.
func (r *Room) changePolicy(ctx context.Context, action, text, qualifier, revision string, change func(name, *policyDoc) error) error {
	n, err := named(ctx, text, qualifier)
	if err == nil {
		err = n.check(ctx, action)
	}
	if err != nil {
		return err
	}
	if n.qualifier == latest {
		return invalid("We currently do not support adding policies for $LATEST.")
	}
	return r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		if _, err := n.resolve(ctx, tx); err != nil {
			return err
		}
		v, err := opened(tx.LockFunction(ctx, n.account, n.region, n.function, 0))
		if err != nil {
			return n.missing(err)
		}
		p := v.Policies[n.qualifier]
		if revision != "" && revision != p.Revision {
			return fault.New("PreconditionFailedException", "The Revision Id provided does not match the latest Revision Id. Call the GetPolicy API to retrieve the latest Revision Id")
		}
		if err := change(n, &p); err != nil {
			return err
		}
		p.Revision = auth.NewUUID()
		return v.setPolicy(ctx, tx, n.qualifier, p)
	})
}

// setPolicy keeps a policy in the row of the function.
func (v *version) setPolicy(ctx context.Context, tx *store.Tx, qualifier string, p policyDoc) error {
	if len(p.Statements) == 0 {
		delete(v.Policies, qualifier)
	} else {
		if v.Policies == nil {
			v.Policies = map[string]policyDoc{}
		}
		v.Policies[qualifier] = p
	}
	row, err := v.row()
	if err != nil {
		return err
	}
	return tx.SetFunction(ctx, row)
}

// dropPolicy forgets the policy of a version or an alias that is deleted.
func (n name) dropPolicy(ctx context.Context, tx *store.Tx, qualifier string) error {
	v, err := opened(tx.LockFunction(ctx, n.account, n.region, n.function, 0))
	if err != nil {
		return n.missing(err)
	}
	if _, ok := v.Policies[qualifier]; !ok {
		return nil
	}
	return v.setPolicy(ctx, tx, qualifier, policyDoc{})
}
