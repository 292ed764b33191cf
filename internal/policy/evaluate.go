package policy

import "strings"

// Answer is what a document says about a request.
type Answer int

// The answers; NoMatch means no statement concerns the request, so the default stands.
const (
	NoMatch Answer = iota
	Allow
	Deny
)

// Lookup gives the values of a condition key of the request, such as aws:username. Keys
// are asked for in lower case. A key that the request does not have is not ok; a Lookup
// must be safe for use while Evaluate runs and answer the same each time.
type Lookup func(key string) (values []string, ok bool)

// Request is what somebody wants to do.
type Request struct {
	// Action is the service prefix and the operation, such as codepipeline:GetPipeline.
	Action string
	// Resource is the ARN of the resource, or "*" for operations that have none.
	Resource string
	// Principal is compared with trust and resource documents only.
	Principal Principal
	// Context answers for condition keys and policy variables; nil is a request with none.
	Context Lookup
}

// Principal is who wants to assume a role.
type Principal struct {
	// Service is the service principal, such as codepipeline.amazonaws.com.
	Service string
	// ARN is the user, role session or root that asks; RoleARN the role of a session.
	ARN, RoleARN string
	// Account is what a document that trusts a whole account is compared with. Leave it
	// empty to ask only about principals that are named themselves.
	Account string
}

// Evaluate joins the answers of several documents: a Deny of any wins, then an Allow of any.
func Evaluate(req *Request, docs ...*Document) Answer {
	out := NoMatch
	for _, d := range docs {
		switch d.Evaluate(req) {
		case Deny:
			return Deny
		case Allow:
			out = Allow
		}
	}
	return out
}

// Evaluate gives the answer of one document. A nil document does not match.
func (d *Document) Evaluate(req *Request) Answer {
	if d == nil {
		return NoMatch
	}
	m := matcher{req: req, action: strings.ToLower(req.Action), lookup: req.Context}
	if m.lookup == nil {
		m.lookup = func(string) ([]string, bool) { return nil, false }
	}
	if isActionType(req.Resource) {
		m.actionType = actionTypeName(req.Resource)
	}
	out := NoMatch
	for i := range d.statements {
		st := &d.statements[i]
		if out == Allow && !st.deny || !m.matches(st) {
			continue
		}
		if st.deny {
			return Deny
		}
		out = Allow
	}
	return out
}

func actionTypeName(arn string) string { return strings.TrimSuffix(strings.ToLower(arn), "/") }

// matcher compares one request with statements.
type matcher struct {
	req        *Request
	action     string // in lower case
	actionType string // the resource in its comparable form, if it is an action type
	lookup     Lookup
}

func (m *matcher) matches(st *statement) bool {
	hit := false
	for i := range st.actions {
		if matchParts(st.actions[i].parts, m.action) {
			hit = true
			break
		}
	}
	if hit == st.notAction {
		return false
	}
	if !st.anyResource && !m.resource(st) {
		return false
	}
	if st.principals != nil && !st.principals.match(&m.req.Principal) {
		return false
	}
	for i := range st.conditions {
		if !m.condition(st, &st.conditions[i]) {
			return false
		}
	}
	return true
}

func (m *matcher) resource(st *statement) bool {
	hit := false
	for i := range st.resources {
		p := &st.resources[i]
		parts, text := p.parts, p.text
		if p.variable {
			var ok bool
			if text, ok = expand(p.text, true, m.lookup); !ok {
				if st.notResource && !st.deny {
					// Nobody knows what was excepted, so nothing is allowed.
					return false
				}
				continue
			}
			parts = strings.Split(text, anyText)
		}
		if m.actionType != "" {
			if !p.variable {
				text = mark(text)
			}
			hit = matchParts(strings.Split(actionTypePattern(text), anyText), m.actionType)
		} else {
			hit = matchParts(parts, m.req.Resource)
		}
		if hit {
			break
		}
	}
	return hit != st.notResource
}

func (p *principals) match(who *Principal) bool {
	if p.any {
		return true
	}
	if who.Service != "" {
		for _, s := range p.svc {
			if s == who.Service {
				return true
			}
		}
	}
	for _, a := range p.aws {
		switch {
		case a == who.ARN && a != "", a == who.RoleARN && a != "":
			return true
		case who.Account != "" && (a == who.Account || isRoot(a, who.Account)):
			return true
		}
	}
	return false
}

// isRoot reports whether an ARN is the root of an account, which stands for all of it.
func isRoot(arn, account string) bool {
	p := strings.SplitN(arn, ":", 6)
	return len(p) == 6 && p[2] == "iam" && p[4] == account && p[5] == "root"
}
