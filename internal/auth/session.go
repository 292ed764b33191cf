package auth

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	"penstock/internal/arn"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// Credentials are the three texts a session signs with.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey store.Secret
	SessionToken    store.Secret
	Expires         time.Time
	// ARN and UserID are the principal of the session, as GetCallerIdentity will say.
	ARN, UserID string
}

// MintInput says whose session Mint makes: exactly one of RoleARN, User and
// Service, or what SameAs gave.
type MintInput struct {
	// RoleARN is the role that the session assumes.
	RoleARN string
	// From is the role through which the role is assumed: the pipeline's role for an
	// action's own role (S-40). Its right to do so is checked.
	From string
	// Account and User name the user of whom it is a session (GetSessionToken).
	Account, User string
	// Service is an internal service principal of Account, which may do everything in
	// S3; it must be narrowed by Policies. Artifact credentials are made so (S-310).
	Service string
	// SessionName is required for roles: 2 to 64 of letters, digits and _+=,.@-
	SessionName string
	// InvokedBy is the service for which the server itself acts. When a role is assumed
	// without From, its trust policy must name this service.
	InvokedBy string
	// Policies narrow the session: one of them must allow as well.
	Policies []string
	// Tags are the session's own; conditions see them as aws:PrincipalTag.
	Tags map[string]string
	// Source is the ARN of the resource for which the server assumes the role, such as
	// the pipeline; trust policies may ask for it as aws:SourceArn. The session shows it as
	// the caller's SourceARN.
	Source string
	// Duration is the session's life, one hour if zero, at most 36 hours.
	Duration time.Duration

	same *session // set by SameAs
}

// SameAs gives the input that mints a session with exactly the rights of the caller of a
// context, for what the server does on the caller's behalf: the same principal, narrowed
// by the same policies, ending no later. Only a caller who was authenticated has one.
func SameAs(ctx context.Context) (MintInput, error) {
	g := grantOf(ctx)
	switch {
	case g == nil || g.caller.AccessKeyID == "":
		return MintInput{}, errors.New("auth: the context has no authenticated caller")
	case g.minted != nil:
		return MintInput{same: g.minted}, nil
	}
	return MintInput{Account: g.caller.Account, User: g.caller.UserName}, nil
}

// Session kinds, as they stand in tokens.
const (
	kindRole    = "r"
	kindUser    = "u"
	kindService = "s"
)

// session is what a token seals.
type session struct {
	Kind      string            `json:"k"`
	Account   string            `json:"a"`
	Name      string            `json:"n"`
	Path      string            `json:"p,omitempty"`
	ID        string            `json:"i"`
	Session   string            `json:"s,omitempty"`
	InvokedBy string            `json:"b,omitempty"`
	Source    string            `json:"o,omitempty"`
	Policies  []string          `json:"d,omitempty"`
	Tags      map[string]string `json:"t,omitempty"`
	Expires   int64             `json:"e"`
}

// maxDuration is the longest life of any session.
const maxDuration = 36 * time.Hour

var sessionName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[\w+=,.@-]{2,64}$`) })

// Mint makes the credentials of a session. It writes nothing: every node that has the
// server's secret knows them. A role that does not exist, or that must not be assumed, is
// a fault AccessDenied.
func (a *Auth) Mint(ctx context.Context, in MintInput) (Credentials, error) {
	s := session{InvokedBy: in.InvokedBy, Source: in.Source, Session: in.SessionName, Policies: in.Policies, Tags: in.Tags}
	switch {
	case in.same != nil:
		s = *in.same
	case in.RoleARN != "":
		if !sessionName().MatchString(in.SessionName) {
			return Credentials{}, fault.New("ValidationError", "The session name must match %s", sessionName())
		}
		p, err := a.assumable(ctx, in)
		if err != nil {
			return Credentials{}, err
		}
		account, _, _ := splitRole(in.RoleARN)
		s.Kind, s.Account, s.Name, s.Path, s.ID = kindRole, account, p.name, p.path, p.id
	case in.User != "":
		p, err := a.principal(ctx, store.Holder{Account: in.Account, Kind: store.HolderUser, Name: in.User})
		if errors.Is(err, store.ErrNotFound) {
			return Credentials{}, fault.New("AccessDenied", "The user %s does not exist", in.User)
		}
		if err != nil {
			return Credentials{}, err
		}
		s.Kind, s.Account, s.Name, s.Path, s.ID = kindUser, in.Account, p.name, p.path, p.id
	case in.Service != "" && len(in.Policies) > 0:
		s.Kind, s.Account, s.Name, s.ID = kindService, in.Account, in.Service, in.Service
	default:
		return Credentials{}, errors.New("auth: a session needs a role, a user or a service with policies")
	}
	for _, text := range in.Policies {
		if err := CheckIdentityPolicy(text); err != nil {
			return Credentials{}, err
		}
	}
	if in.Duration == 0 {
		in.Duration = time.Hour
	}
	expires := a.now().Add(min(in.Duration, maxDuration)).UTC().Truncate(time.Second)
	if in.same != nil && expires.Unix() > s.Expires {
		expires = time.Unix(s.Expires, 0).UTC()
	}
	s.Expires = expires.Unix()
	id := NewID("ASIA")
	token, err := a.seal.seal(id, &s)
	if err != nil {
		return Credentials{}, err
	}
	c := s.caller(a.partition)
	return Credentials{AccessKeyID: id, SecretAccessKey: a.seal.secret(id), SessionToken: store.Secret(token), Expires: expires, ARN: c.ARN, UserID: c.UserID}, nil
}

// As gives a context whose caller is the session that in describes, for calls from a Region that
// never go over the wire: to ask what it may do. It is refused as Mint is, with the codes of
// services that speak JSON.
func (a *Auth) As(ctx context.Context, region string, in MintInput) (context.Context, error) {
	c, err := a.Mint(ctx, in)
	if err != nil {
		return nil, err
	}
	g, _, err := a.grantFor(ctx, c.AccessKeyID, string(c.SessionToken), "events")
	if err != nil {
		return nil, err
	}
	g.caller.Region, g.now = region, a.now
	return with(ctx, g), nil
}

// assumable gives the role to mint for, if it may be assumed as the input says.
func (a *Auth) assumable(ctx context.Context, in MintInput) (*principal, error) {
	who, ok, err := in.InvokedBy, true, error(nil)
	switch {
	case in.From != "":
		who = in.From
		ok, err = a.CanAssumeFrom(ctx, in.From, in.RoleARN)
	case in.InvokedBy != "":
		ok, err = a.CanAssumeFor(ctx, in.RoleARN, in.InvokedBy, in.Source)
	}
	if err != nil {
		return nil, err
	}
	p, err := a.role(ctx, in.RoleARN)
	if !ok || errors.Is(err, store.ErrNotFound) {
		return nil, fault.New("AccessDenied", "User: %s is not authorized to perform: sts:AssumeRole on resource: %s", who, in.RoleARN)
	}
	return p, err
}

// caller gives the caller that a session is.
func (s *session) caller(partition string) Caller {
	c := Caller{Account: s.Account, InvokedBy: s.InvokedBy, SourceARN: s.Source, SessionName: s.Session, Expires: time.Unix(s.Expires, 0).UTC()}
	switch s.Kind {
	case kindUser:
		c.UserName, c.UserID, c.ARN = s.Name, s.ID, UserARN(partition, s.Account, s.Path, s.Name)
	case kindRole:
		c.RoleARN = RoleARN(partition, s.Account, s.Path, s.Name)
		fallthrough
	default:
		if s.Kind == kindService {
			c.Service = s.Name
		}
		c.ARN = arn.ARN{Partition: partition, Service: "sts", Account: s.Account, Resource: "assumed-role/" + s.Name + "/" + s.Session}.String()
		c.UserID = s.ID + ":" + s.Session
	}
	return c
}

// sealer turns sessions into tokens and back, with keys derived from the server's secret.
type sealer struct {
	aead    cipher.AEAD
	secrets []byte
}

func newSealer(secret []byte) (*sealer, error) {
	block, err := aes.NewCipher(mac(secret, "penstock session token"))
	if err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	return &sealer{aead: aead, secrets: mac(secret, "penstock session secret")}, nil
}

// secret derives the secret access key of a session from its id.
func (s *sealer) secret(id string) store.Secret {
	return store.Secret(base64.StdEncoding.EncodeToString(mac(s.secrets, id)[:30]))
}

// tokenVersion lets the form of tokens change; older ones are then refused.
const tokenVersion = 1

// seal binds the session to its access key id: a token is worth nothing with another.
func (s *sealer) seal(id string, v *session) (string, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("auth: %w", err)
	}
	out := make([]byte, 1+s.aead.NonceSize(), 1+s.aead.NonceSize()+len(plain)+s.aead.Overhead())
	out[0] = tokenVersion
	if _, err := rand.Read(out[1:]); err != nil {
		return "", fmt.Errorf("auth: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(out, out[1:], plain, []byte(id))), nil
}

// maxToken is more than the longest session with all its policies takes.
const maxToken = 64 << 10

// open gives the session of a token, if it was sealed here for this id.
func (s *sealer) open(id, token string) (*session, bool) {
	if len(token) > maxToken {
		return nil, false
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) <= 1+s.aead.NonceSize() || raw[0] != tokenVersion {
		return nil, false
	}
	nonce, sealed := raw[1:1+s.aead.NonceSize()], raw[1+s.aead.NonceSize():]
	plain, err := s.aead.Open(nil, nonce, sealed, []byte(id))
	if err != nil {
		return nil, false
	}
	v := &session{}
	if err := json.Unmarshal(plain, v); err != nil {
		return nil, false
	}
	return v, true
}
