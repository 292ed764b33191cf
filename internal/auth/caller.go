// Package auth knows who is calling and decides what they may do.
//
// The door calls [Auth.Authenticate] before it decodes anything; the rooms ask [Check] for
// the action and the resolved resource. Nothing is allowed by silence: a context without a
// caller may do nothing.
//
// Users have long-lived keys in the store. Everybody else (a role, a pipeline's own calls, a
// job worker with artifact credentials) has a session whose whole identity is sealed in
// its token, so that a session costs no row and works on every node.
package auth

import (
	"context"
	"strconv"
	"strings"
	"time"

	"penstock/internal/arn"
	"penstock/internal/fault"
	"penstock/internal/policy"
	"penstock/internal/sigv4"
)

// Caller is who makes a request.
type Caller struct {
	// Account owns the principal, and Region is the one of the request's credential
	// scope (W-31): together the namespace in which names are looked up.
	Account, Region string
	// ARN is the principal as AWS shows it: a user, the root, or a role session.
	ARN string
	// UserID is the unique id of the principal, for a session with its name after a colon.
	UserID string
	// AccessKeyID signed the request; empty for the server's own work.
	AccessKeyID string
	// UserName is the name of an IAM user; empty for all others.
	UserName string
	// RoleARN is the role of a session; empty for all others.
	RoleARN string
	// SessionName is the name of a role session.
	SessionName string
	// InvokedBy is the service for which the server itself made the call, such as
	// codepipeline.amazonaws.com; empty for everybody else.
	InvokedBy string
	// SourceARN is the resource for which it did, such as the rule of an event.
	SourceARN string
	// Service is the service principal of a session that belongs to no user and no role.
	Service string
	// Expires is the end of a session; zero for long-lived keys.
	Expires time.Time
}

// Partition gives the partition that the caller's account is in, which is that of what belongs to
// no Region: users, roles, policies and buckets.
func (c *Caller) Partition() string {
	if who, ok := arn.Parse(c.ARN); ok {
		return who.Partition
	}
	return arn.Partition(c.Region) // the server's own work
}

// Attributes are condition keys that only the room knows, such as the tags of the resource:
// "aws:ResourceTag/team". Keys are compared in lower case.
type Attributes map[string][]string

// grant is what a context may do.
type grant struct {
	caller  Caller
	service string // that was called; it decides how a refusal is spelled
	all     bool
	// identity gives the policies and tags of the principal. If the session was given
	// policies, one of those must allow as well; its tags win over the principal's.
	identity func(ctx context.Context) (rights, error)
	session  []*policy.Document
	minted   *session          // the session itself, nil for long-lived keys
	tags     map[string]string // of the session

	sourceIP, userAgent string
	secure              bool
	now                 func() time.Time
}

// rights are what a principal has.
type rights struct {
	docs []*policy.Document
	tags map[string]string
}

type contextKey struct{}

func grantOf(ctx context.Context) *grant {
	g, _ := ctx.Value(contextKey{}).(*grant)
	return g
}

func with(ctx context.Context, g *grant) context.Context {
	return context.WithValue(ctx, contextKey{}, g)
}

// From gives the caller of a context, or the zero Caller if there is none.
func From(ctx context.Context) Caller {
	if g := grantOf(ctx); g != nil {
		return g.caller
	}
	return Caller{}
}

// Trusted gives a context in which a caller may do everything: for the server's own work,
// never for a request from outside.
func Trusted(ctx context.Context, c Caller) context.Context {
	return with(ctx, &grant{caller: c, all: true, now: time.Now})
}

// Limited gives a context in which a caller may do what identity policies allow, without
// keys or store; with no policies it may do nothing. A policy that cannot be read is
// MalformedPolicyDocument.
func Limited(ctx context.Context, c Caller, policies ...string) (context.Context, error) {
	docs := make([]*policy.Document, len(policies))
	for i, text := range policies {
		d, err := policy.Parse(text, policy.Identity)
		if err != nil {
			return nil, fault.New("MalformedPolicyDocument", "%s", err)
		}
		docs[i] = d
	}
	g := &grant{caller: c, now: time.Now}
	g.identity = func(context.Context) (rights, error) { return rights{docs: docs}, nil }
	return with(ctx, g), nil
}

// Check says whether the caller of a context may do an action ("codepipeline:GetPipeline")
// on a resource (its ARN, or "*" for actions that have none). It gives nil, a
// fault with AWS's text (W-32), or an internal error if the policies could not be read.
func Check(ctx context.Context, action, resource string) error {
	return CheckWith(ctx, action, resource, nil)
}

// CheckWith is Check with condition keys that only the room knows.
func CheckWith(ctx context.Context, action, resource string, attrs Attributes) error {
	g := grantOf(ctx)
	if g == nil {
		return fault.New("AccessDeniedException", "User: anonymous is not authorized to perform: %s on resource: %s", action, resource)
	}
	if g.all {
		return nil
	}
	own, err := g.identity(ctx)
	if err != nil {
		return err
	}
	req := &policy.Request{Action: action, Resource: resource, Context: g.lookup(attrs, own.tags)}
	switch policy.Evaluate(req, own.docs...) {
	case policy.Deny:
		return g.deny(action, resource, "with an explicit deny in an identity-based policy")
	case policy.NoMatch:
		return g.deny(action, resource, "because no identity-based policy allows the "+action+" action")
	}
	return g.checkSession(req)
}

// CheckResource is CheckWith for a resource that has a policy of its own; nil is none. The
// resource's policy allows those it names, the caller's policies allow the caller, and a
// denial of either counts. A service's own session is allowed by the resource's policy only.
func CheckResource(ctx context.Context, action, resource string, own *policy.Document, attrs Attributes) error {
	g := grantOf(ctx)
	if g == nil || g.all || own == nil && g.caller.Service == "" {
		return CheckWith(ctx, action, resource, attrs)
	}
	identity, err := g.identity(ctx)
	if err != nil {
		return err
	}
	c := &g.caller
	req := &policy.Request{Action: action, Resource: resource, Context: g.lookup(attrs, identity.tags),
		Principal: policy.Principal{Service: c.Service, ARN: c.ARN, RoleARN: c.RoleARN, Account: c.Account}}
	if own.Evaluate(req) == policy.Deny {
		return g.deny(action, resource, "with an explicit deny in a resource-based policy")
	}
	// Who names the account leaves the decision to the account's own policies.
	direct := *req
	direct.Principal.Account = ""
	if own.Evaluate(&direct) != policy.Allow {
		if c.Service != "" {
			return g.deny(action, resource, "because no resource-based policy allows the "+action+" action")
		}
		return CheckWith(ctx, action, resource, attrs)
	}
	if policy.Evaluate(req, identity.docs...) == policy.Deny {
		return g.deny(action, resource, "with an explicit deny in an identity-based policy")
	}
	return g.checkSession(req)
}

// checkSession holds what the identity allows to the policies of the session.
func (g *grant) checkSession(req *policy.Request) error {
	if len(g.session) == 0 {
		return nil
	}
	// The policies given to one session count together.
	switch policy.Evaluate(req, g.session...) {
	case policy.Deny:
		return g.deny(req.Action, req.Resource, "with an explicit deny in a session policy")
	case policy.NoMatch:
		return g.deny(req.Action, req.Resource, "because no session policy allows the "+req.Action+" action")
	}
	return nil
}

// deny is the refusal, with the code of the protocol the caller speaks.
func (g *grant) deny(action, resource, reason string) error {
	code := "AccessDeniedException"
	if sigv4.FamilyOf(g.service) != sigv4.JSON {
		code = "AccessDenied"
	}
	return fault.New(code, "User: %s is not authorized to perform: %s on resource: %s %s", g.caller.ARN, action, resource, reason)
}

// lookup answers for the condition keys of a request; tags are the principal's.
func (g *grant) lookup(attrs Attributes, tags map[string]string) policy.Lookup {
	var low map[string][]string
	if len(attrs) > 0 {
		low = make(map[string][]string, len(attrs))
		for k, v := range attrs {
			low[strings.ToLower(k)] = v
		}
	}
	return func(key string) ([]string, bool) {
		if v, ok := low[key]; ok {
			return v, true
		}
		c := &g.caller
		var s string
		switch key {
		case "aws:username":
			s = c.UserName
		case "aws:userid":
			s = c.UserID
		case "aws:principalarn":
			// For a session this is the role, so that policies need not know the
			// names of sessions.
			if s = c.RoleARN; s == "" {
				s = c.ARN
			}
		case "aws:principalaccount":
			s = c.Account
		case "aws:principaltype":
			s = c.kind()
		case "aws:requestedregion":
			s = c.Region
		case "aws:sourceip":
			s = g.sourceIP
		case "aws:useragent":
			s = g.userAgent
		case "aws:securetransport":
			s = "false"
			if g.secure {
				s = "true"
			}
		case "aws:currenttime":
			s = g.now().UTC().Format(time.RFC3339)
		case "aws:epochtime":
			s = strconv.FormatInt(g.now().Unix(), 10)
		case "aws:viaawsservice", "aws:principalisawsservice":
			s = "false"
			if key == "aws:viaawsservice" && c.InvokedBy != "" {
				s = "true"
			}
		case "aws:sourcearn":
			s = c.SourceARN
		case "aws:sourceaccount":
			if c.SourceARN != "" {
				s = c.Account
			}
		case "aws:calledvia", "aws:calledviafirst", "aws:calledvialast":
			s = c.InvokedBy
		default:
			if name, ok := strings.CutPrefix(key, "aws:principaltag/"); ok {
				for _, set := range []map[string]string{g.tags, tags} {
					for k, v := range set {
						if strings.EqualFold(k, name) {
							return []string{v}, true
						}
					}
				}
			}
		}
		if s == "" {
			return nil, false
		}
		return []string{s}, true
	}
}

func (c *Caller) kind() string {
	switch {
	case c.UserName != "":
		return "User"
	case c.RoleARN != "" || c.SessionName != "":
		return "AssumedRole"
	}
	return "Account"
}

// Origin gives the address and the User-Agent that the request of a context came from.
func Origin(ctx context.Context) (address, userAgent string) {
	if g := grantOf(ctx); g != nil {
		return g.sourceIP, g.userAgent
	}
	return "", ""
}
