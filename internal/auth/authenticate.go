package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"

	"penstock/internal/fault"
	"penstock/internal/policy"
	"penstock/internal/sigv4"
	"penstock/internal/store"
)

// Authenticate verifies who signed a request for a service (its credential scope name) and
// gives a context that carries the caller. The refusal is a fault, spelled for the
// service's protocol (W-32). Any other error is internal.
//
// body is the whole body, except for S3: there r.Body is replaced by a reader that holds
// the bytes to the signed hash or chunk signatures and takes the aws-chunked framing off;
// r.ContentLength becomes the decoded length (-1 if unknown), and r.Trailer has the
// trailer fields once Read has returned io.EOF. What it yields may be kept only after
// io.EOF; a refusal is again a fault.
func (a *Auth) Authenticate(r *http.Request, service string, body []byte) (context.Context, error) {
	ctx := r.Context()
	sig, err := sigv4.Parse(r)
	if err != nil {
		return nil, refuse(service, err)
	}
	g, secret, err := a.grantFor(ctx, sig.AccessKeyID, sig.Token, service)
	if err != nil {
		return nil, err
	}
	opt := sigv4.Options{Service: service, Now: a.now(), Skew: sigv4.FamilyOf(service).Skew(), Body: body}
	if sig.Form == sigv4.QueryV2Form {
		opt.Bucket = a.cfg.Bucket(r.Host)
	}
	scope := signingScope{sha256.Sum256([]byte(secret)), sig.Day, sig.Region, sig.Service}
	opt.Key = a.cache.signingKey(scope)
	if err := sig.Verify(r, string(secret), opt); err != nil {
		return nil, refuse(service, err)
	}
	if opt.Key == nil {
		a.cache.keepSigningKey(scope, sig.Key())
	}
	if service == "s3" {
		if err := wrapBody(r, sig); err != nil {
			return nil, refuse(service, err)
		}
	}
	g.caller.Region = sig.Region
	if g.caller.Region == "" {
		g.caller.Region = a.cfg.Region
	}
	a.describe(g, r)
	return with(ctx, g), nil
}

// Plausible says what is wrong with who claims to have signed a request, before its body is read:
// the key, the time, the scope, and the signature itself if the request tells the hash of its
// body. It refuses as Authenticate does, which is still to be called.
func (a *Auth) Plausible(r *http.Request, service string) error {
	sig, err := sigv4.Parse(r)
	if err != nil {
		return refuse(service, err)
	}
	_, secret, err := a.grantFor(r.Context(), sig.AccessKeyID, sig.Token, service)
	if err != nil {
		return err
	}
	return refuse(service, sig.Plausible(r, string(secret), sigv4.Options{Service: service, Now: a.now(), Skew: sigv4.FamilyOf(service).Skew()}))
}

// refuse turns a failure into the fault of the service's protocol.
func refuse(service string, err error) error {
	var f *sigv4.Failure
	if !errors.As(err, &f) {
		return err
	}
	a := f.Answer(sigv4.FamilyOf(service))
	return fault.New(a.Code, "%s", a.Message)
}

// describe notes what conditions may ask about a request.
func (a *Auth) describe(g *grant, r *http.Request) {
	g.now = a.now
	g.secure = r.TLS != nil
	g.userAgent = r.UserAgent()
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		g.sourceIP = host
	}
}

// grantFor gives what the owner of a key may do, and the secret to verify it with.
func (a *Auth) grantFor(ctx context.Context, id, token, service string) (*grant, store.Secret, error) {
	unknown := func() (*grant, store.Secret, error) {
		return nil, "", refuse(service, &sigv4.Failure{Kind: sigv4.UnknownKey})
	}
	if len(id) > 128 {
		return unknown()
	}
	if strings.HasPrefix(id, "ASIA") {
		s, ok := a.seal.open(id, token)
		if !ok {
			return unknown()
		}
		if a.now().Unix() >= s.Expires {
			return nil, "", refuse(service, &sigv4.Failure{Kind: sigv4.ExpiredSession})
		}
		g, err := a.sessionGrant(s)
		if err != nil {
			return nil, "", err
		}
		g.service, g.caller.AccessKeyID = service, id
		return g, a.seal.secret(id), nil
	}
	if token != "" {
		return unknown()
	}
	k, err := a.key(ctx, id)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrText) || err == nil && !k.Active {
		return unknown()
	}
	if err != nil {
		return nil, "", fmt.Errorf("auth: read an access key: %w", err)
	}
	holder := store.Holder{Account: k.Account, Kind: store.HolderUser, Name: k.User}
	p, err := a.principal(ctx, holder)
	if errors.Is(err, store.ErrNotFound) {
		return unknown()
	}
	if err != nil {
		return nil, "", err
	}
	g := &grant{
		caller:   Caller{Account: k.Account, ARN: p.arn, UserID: p.id, UserName: p.name, AccessKeyID: id},
		service:  service,
		identity: func(context.Context) (rights, error) { return p.rights, nil },
	}
	return g, k.Secret, nil
}

// sessionGrant gives what a session may do.
func (a *Auth) sessionGrant(s *session) (*grant, error) {
	g := &grant{caller: s.caller(a.partition), tags: s.Tags, minted: s}
	for _, text := range s.Policies {
		d, err := policy.Parse(text, policy.Identity)
		if err != nil {
			return nil, fmt.Errorf("auth: a session's policy: %w", err)
		}
		g.session = append(g.session, d)
	}
	if s.Kind == kindService {
		g.identity = func(context.Context) (rights, error) {
			return rights{docs: []*policy.Document{builtins(a.partition)["AmazonS3FullAccess"].parsed}}, nil
		}
		return g, nil
	}
	kind := store.HolderRole
	if s.Kind == kindUser {
		kind = store.HolderUser
	}
	holder := store.Holder{Account: s.Account, Kind: kind, Name: s.Name}
	g.identity = func(ctx context.Context) (rights, error) {
		p, err := a.principal(ctx, holder)
		if errors.Is(err, store.ErrNotFound) || err == nil && p.id != s.ID {
			// The role was removed, or another one has its name now.
			return rights{}, nil
		}
		if err != nil {
			return rights{}, err
		}
		return p.rights, nil
	}
	return g, nil
}

// body is the verified body of an S3 request.
type body struct {
	io.Closer
	b *sigv4.Body
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.b.Read(p)
	if err != nil && err != io.EOF {
		err = refuse("s3", err)
	}
	return n, err
}

// wrapBody puts the verifying reader in the place of the request's body.
func wrapBody(r *http.Request, sig *sigv4.Signature) error {
	b, err := sig.Body(r)
	if err != nil {
		return err
	}
	closer := io.Closer(http.NoBody)
	if r.Body != nil {
		closer = r.Body
	}
	r.Body = &body{closer, b}
	r.ContentLength, r.Trailer = b.Length, b.Trailer()
	if coding := r.Header.Values("Content-Encoding"); len(coding) > 0 {
		// aws-chunked is a way of sending, not a property of the object.
		var kept []string
		for _, c := range strings.Split(strings.Join(coding, ","), ",") {
			if c = strings.TrimSpace(c); c != "" && !strings.EqualFold(c, "aws-chunked") {
				kept = append(kept, c)
			}
		}
		r.Header.Del("Content-Encoding")
		if len(kept) > 0 {
			r.Header.Set("Content-Encoding", strings.Join(slices.Clip(kept), ","))
		}
	}
	return nil
}

// ClaimedKey gives the access key id that a request says it was signed with, or its user of
// HTTP Basic, whether or not that is true; empty if it names none.
func ClaimedKey(r *http.Request) string {
	if user, _, ok := r.BasicAuth(); ok {
		id, _, _ := strings.Cut(user, "%")
		return id
	}
	credential := r.URL.Query().Get("X-Amz-Credential")
	if _, found, ok := strings.Cut(r.Header.Get("Authorization"), "Credential="); ok {
		credential = found
	}
	id, _, _ := strings.Cut(credential, "/")
	return id
}
