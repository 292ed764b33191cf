package auth_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

const acct = "000000000000"

func TestMain(m *testing.M) { storetest.Main(m) }

// rig is an Auth on a database of its own with its administrator.
type rig struct {
	t      *testing.T
	db     *store.DB
	auth   *auth.Auth
	id     string
	secret store.Secret
	now    time.Time
}

func newRig(t *testing.T, db *store.DB) *rig {
	t.Helper()
	g := &rig{t: t, db: db, now: time.Date(2026, 9, 21, 13, 33, 20, 0, time.UTC)}
	var err error
	if g.id, g.secret, err = auth.Bootstrap(t.Context(), db, "us-east-1", acct); err != nil {
		t.Fatal(err)
	}
	g.auth, err = auth.New(t.Context(), auth.Config{DB: db, Region: "us-east-1", Now: func() time.Time { return g.now },
		Bucket: func(host string) string {
			b, _, _ := strings.Cut(host, ".s3.localhost")
			return strings.TrimSuffix(b, host)
		}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.auth.Close)
	return g
}

// tx changes the database.
func (g *rig) tx(f func(ctx context.Context, tx *store.Tx) error) {
	g.t.Helper()
	if err := g.db.Update(g.t.Context(), func(tx *store.Tx) error { return f(g.t.Context(), tx) }); err != nil {
		g.t.Fatal(err)
	}
}

// user makes a user with an inline policy and gives its key.
func (g *rig) user(name, policy string) aws.Credentials {
	k := store.AccessKey{ID: auth.NewID("AKIA"), Account: acct, User: name, Secret: auth.NewSecret(), Active: true}
	g.tx(func(ctx context.Context, tx *store.Tx) error {
		return errors.Join(tx.CreateUser(ctx, store.User{Account: acct, Name: name, Path: "/", ID: auth.NewID("AIDA")}), tx.CreateAccessKey(ctx, k),
			tx.PutInlinePolicy(ctx, store.Holder{Account: acct, Kind: store.HolderUser, Name: name}, store.InlinePolicy{Name: "p", Document: policy}))
	})
	return aws.Credentials{AccessKeyID: k.ID, SecretAccessKey: string(k.Secret)}
}

// role makes a role with a trust policy and an inline policy, if that is not empty.
func (g *rig) role(name, trust, policy string) string {
	g.tx(func(ctx context.Context, tx *store.Tx) error {
		err := tx.CreateRole(ctx, store.Role{Account: acct, Name: name, Path: "/", ID: auth.NewID("AROA"), Trust: trust, MaxSession: time.Hour})
		if err == nil && policy != "" {
			err = tx.PutInlinePolicy(ctx, store.Holder{Account: acct, Kind: store.HolderRole, Name: name}, store.InlinePolicy{Name: "p", Document: policy})
		}
		return err
	})
	return auth.RoleARN("aws", acct, "/", name)
}

func (g *rig) admin() aws.Credentials {
	return aws.Credentials{AccessKeyID: g.id, SecretAccessKey: string(g.secret)}
}

func creds(c auth.Credentials) aws.Credentials {
	return aws.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: string(c.SecretAccessKey), SessionToken: string(c.SessionToken)}
}

func allow(actions, resource string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[` + actions + `],"Resource":"` + resource + `"}]}`
}

func trusts(principal string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":` + principal + `}]}`
}

func hashOf(b string) string {
	sum := sha256.Sum256([]byte(b))
	return hex.EncodeToString(sum[:])
}

// signed makes a request signed by the SDK's signer.
func (g *rig) signed(c aws.Credentials, service, method, target, body string, header ...string) *http.Request {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	hash := hashOf(body)
	if service == "s3" {
		r.Header.Set("X-Amz-Content-Sha256", hash)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	if h := r.Header.Get("X-Amz-Content-Sha256"); h != "" {
		hash = h
	}
	err = v4.NewSigner().SignHTTP(g.t.Context(), c, r, hash, service, "eu-west-3", g.now, func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == "s3" })
	if err != nil {
		g.t.Fatal(err)
	}
	return r
}

// call authenticates a request to CodePipeline and gives its context.
func (g *rig) call(c aws.Credentials) (context.Context, error) {
	g.t.Helper()
	return g.auth.Authenticate(g.signed(c, "codepipeline", "POST", "http://127.0.0.1/", "{}"), "codepipeline", []byte("{}"))
}

func (g *rig) mustCall(c aws.Credentials) context.Context {
	g.t.Helper()
	ctx, err := g.call(c)
	if err != nil {
		g.t.Fatal(err)
	}
	return ctx
}

func wantCode(t *testing.T, what string, err error, code string) {
	t.Helper()
	if fault.Code(err) != code {
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}

// The first start makes an account and one key, later ones and other nodes find them.
func TestBootstrap(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		g := newRig(t, db)
		id, secret, err := auth.Bootstrap(t.Context(), db, "us-east-1", acct)
		if err != nil || id != g.id || secret != g.secret || !strings.HasPrefix(id, "AKIA") || len(secret) != 40 || len(id) != 20 {
			t.Errorf("%s %d, %v", id, len(secret), err)
		}
		if other, _, err := auth.Bootstrap(t.Context(), db, "us-east-1", "111111111111"); err != nil || other == id {
			t.Errorf("another account: %s, %v", other, err)
		}
		if _, _, err := auth.Bootstrap(t.Context(), db, "us-east-1", "12"); err == nil {
			t.Error("an account of two digits")
		}
		g.tx(func(ctx context.Context, tx *store.Tx) error {
			return tx.DeleteAccessKey(ctx, acct, auth.Administrator, g.id)
		})
		if id, _, err := auth.Bootstrap(t.Context(), db, "us-east-1", acct); err != nil || id != "" {
			t.Errorf("a removed key came back: %s, %v", id, err)
		}
	})
}

// W-31: the caller is the key's owner, in the Region of the credential scope.
func TestCaller(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		g := newRig(t, db)
		c := auth.From(g.mustCall(g.admin()))
		if c.Account != acct || c.Region != "eu-west-3" || c.ARN != "arn:aws:iam::000000000000:user/administrator" ||
			c.AccessKeyID != g.id || c.UserName != "administrator" || !strings.HasPrefix(c.UserID, "AIDA") {
			t.Errorf("%+v", c)
		}
		if err := auth.Check(g.mustCall(g.admin()), "codepipeline:DeletePipeline", "*"); err != nil {
			t.Errorf("the administrator may not: %v", err)
		}
	})
}

// W-32: each failure, in the spelling of each protocol family.
func TestRefusals(t *testing.T) {
	t.Parallel()
	g := newRig(t, storetest.SQLite(t))
	role := g.role("r", trusts(`{"Service":"codepipeline.amazonaws.com"}`), "")
	session, err := g.auth.Mint(t.Context(), auth.MintInput{RoleARN: role, SessionName: "se", Duration: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	stolen := creds(session)
	stolen.AccessKeyID = auth.NewID("ASIA")
	bare := creds(session)
	bare.SessionToken = ""
	strange := g.admin()
	strange.SessionToken = "x"
	inactive := g.user("off", allow(`"*"`, "*"))
	g.tx(func(ctx context.Context, tx *store.Tx) error {
		return tx.SetAccessKeyActive(ctx, acct, "off", inactive.AccessKeyID, false)
	})
	wrong := g.admin()
	wrong.SecretAccessKey += "x"
	for _, c := range []struct {
		name             string
		creds            aws.Credentials
		after            time.Duration
		change           func(*http.Request)
		json, query, s3c string
	}{
		{"no credentials (W-33)", g.admin(), 0, func(r *http.Request) { r.Header.Del("Authorization") }, "MissingAuthenticationTokenException", "MissingAuthenticationToken", "AccessDenied"},
		{"malformed", g.admin(), 0, func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256 x=y") }, "IncompleteSignatureException", "IncompleteSignature", "AuthorizationHeaderMalformed"},
		{"unknown key", aws.Credentials{AccessKeyID: "AKIANOBODY", SecretAccessKey: "s"}, 0, nil, "UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId"},
		{"inactive key", inactive, 0, nil, "UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId"},
		{"token of another session", stolen, 0, nil, "UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId"},
		{"session without token", bare, 0, nil, "UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId"},
		{"token with a long-lived key", strange, 0, nil, "UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId"},
		{"wrong secret", wrong, 0, nil, "InvalidSignatureException", "SignatureDoesNotMatch", "SignatureDoesNotMatch"},
		{"too old", g.admin(), time.Hour, nil, "InvalidSignatureException", "SignatureDoesNotMatch", "RequestTimeTooSkewed"},
		{"from the future", g.admin(), -time.Hour, nil, "InvalidSignatureException", "SignatureDoesNotMatch", "RequestTimeTooSkewed"},
		{"expired session", creds(session), 61 * time.Second, nil, "ExpiredTokenException", "ExpiredToken", "ExpiredToken"},
	} {
		start := g.now
		for service, want := range map[string]string{"codepipeline": c.json, "sts": c.query, "s3": c.s3c} {
			r := g.signed(c.creds, service, "POST", "http://127.0.0.1/b/k", "{}")
			if c.change != nil {
				c.change(r)
			}
			g.now = start.Add(c.after)
			_, err := g.auth.Authenticate(r, service, []byte("{}"))
			g.now = start
			wantCode(t, c.name+" "+service, err, want)
			if strings.Contains(fmt.Sprint(err), c.creds.SecretAccessKey) && c.creds.SecretAccessKey != "s" {
				t.Errorf("%s: the refusal holds a secret", c.name)
			}
		}
		if _, err := g.call(g.admin()); err != nil {
			t.Fatalf("after %s: %v", c.name, err)
		}
	}
	r := g.signed(g.admin(), "codebuild", "POST", "http://127.0.0.1/", "{}")
	_, err = g.auth.Authenticate(r, "codepipeline", []byte("{}"))
	if err == nil || err.Error() != "InvalidSignatureException: Credential should be scoped to correct service: 'codepipeline'." {
		t.Errorf("wrong service: %v", err)
	}
}

// Nothing is allowed by silence: no caller, a caller without policies, a removed role.
func TestDenyByDefault(t *testing.T) {
	t.Parallel()
	g := newRig(t, storetest.SQLite(t))
	const what, on = "codepipeline:ListPipelines", "arn:aws:codepipeline:eu-west-3:000000000000:*"
	wantCode(t, "no caller", auth.Check(t.Context(), what, on), "AccessDeniedException")
	empty, err := auth.Limited(t.Context(), auth.Caller{ARN: "x"})
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, "no policies", auth.Check(empty, what, on), "AccessDeniedException")
	role := g.role("r", trusts(`{"Service":"codepipeline.amazonaws.com"}`), allow(`"*"`, "*"))
	session, err := g.auth.Mint(t.Context(), auth.MintInput{RoleARN: role, SessionName: "se", InvokedBy: "codepipeline.amazonaws.com"})
	if err != nil {
		t.Fatal(err)
	}
	ctx := g.mustCall(creds(session))
	if err := auth.Check(ctx, what, on); err != nil {
		t.Errorf("the role may not: %v", err)
	}
	if c := auth.From(ctx); c.InvokedBy != "codepipeline.amazonaws.com" || c.ARN != "arn:aws:sts::000000000000:assumed-role/r/se" || c.RoleARN != role || c.SessionName != "se" {
		t.Errorf("%+v", c)
	}
	g.tx(func(ctx context.Context, tx *store.Tx) error { return tx.DeleteRole(ctx, acct, "r") })
	wantCode(t, "removed role", auth.Check(g.mustCall(creds(session)), what, on), "AccessDeniedException")
	g.role("r", trusts(`{"Service":"codepipeline.amazonaws.com"}`), allow(`"*"`, "*"))
	wantCode(t, "another role of that name", auth.Check(g.mustCall(creds(session)), what, on), "AccessDeniedException")
}

// W-32: the text of a refusal, with each reason and in each family.
func TestAccessDeniedText(t *testing.T) {
	t.Parallel()
	g := newRig(t, storetest.SQLite(t))
	user := g.user("ann", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"codepipeline:Get*","Resource":"*"},{"Effect":"Deny","Action":"codepipeline:GetPipeline","Resource":"*"}]}`)
	ctx := g.mustCall(user)
	for action, want := range map[string]string{
		"codepipeline:GetPipelineState": "",
		"codepipeline:ListPipelines":    "AccessDeniedException: User: arn:aws:iam::000000000000:user/ann is not authorized to perform: codepipeline:ListPipelines on resource: arn:x because no identity-based policy allows the codepipeline:ListPipelines action",
		"codepipeline:GetPipeline":      "AccessDeniedException: User: arn:aws:iam::000000000000:user/ann is not authorized to perform: codepipeline:GetPipeline on resource: arn:x with an explicit deny in an identity-based policy",
	} {
		if err := auth.Check(ctx, action, "arn:x"); (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("%s: %v", action, err)
		}
	}
	for _, service := range []string{"sts", "s3"} {
		ctx, err := g.auth.Authenticate(g.signed(user, service, "GET", "http://127.0.0.1/", ""), service, nil)
		if err != nil {
			t.Fatal(err)
		}
		wantCode(t, service, auth.Check(ctx, service+":Any", "*"), "AccessDenied")
	}
}

// A change in IAM is seen by the very next request, whatever was remembered.
func TestChangesAreSeenAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		g := newRig(t, db)
		user := g.user("ann", allow(`"codepipeline:*"`, "*"))
		holder := store.Holder{Account: acct, Kind: store.HolderUser, Name: "ann"}
		for range 3 {
			if err := auth.Check(g.mustCall(user), "codepipeline:GetPipeline", "*"); err != nil {
				t.Fatal(err)
			}
			g.tx(func(ctx context.Context, tx *store.Tx) error { return tx.DeleteInlinePolicy(ctx, holder, "p") })
			wantCode(t, "after", auth.Check(g.mustCall(user), "codepipeline:GetPipeline", "*"), "AccessDeniedException")
			g.tx(func(ctx context.Context, tx *store.Tx) error {
				return tx.PutInlinePolicy(ctx, holder, store.InlinePolicy{Name: "p", Document: allow(`"codepipeline:*"`, "*")})
			})
		}
		before := g.db.Stats().Views
		for range 10 {
			g.mustCall(user)
		}
		if n := g.db.Stats().Views - before; n > 2 {
			t.Errorf("ten requests read the database %d times", n)
		}
		g.tx(func(ctx context.Context, tx *store.Tx) error {
			return tx.DeleteAccessKey(ctx, acct, "ann", user.AccessKeyID)
		})
		_, err := g.call(user)
		wantCode(t, "removed key", err, "UnrecognizedClientException")
	})
}

// N-4: an S3 body is held to its hash and freed of its framing; other bodies are not touched.
func TestS3Body(t *testing.T) {
	t.Parallel()
	g := newRig(t, storetest.SQLite(t))
	r := g.signed(g.admin(), "s3", "PUT", "http://127.0.0.1/b/k", "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n",
		"X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "X-Amz-Decoded-Content-Length", "5",
		"X-Amz-Trailer", "x-amz-checksum-crc32", "Content-Encoding", "aws-chunked, gzip")
	ctx, err := g.auth.Authenticate(r, "s3", nil)
	if err != nil {
		t.Fatal(err)
	}
	r = r.WithContext(ctx)
	got, err := io.ReadAll(r.Body)
	if err != nil || string(got) != "hello" || r.ContentLength != 5 || r.Trailer.Get("x-amz-checksum-crc32") != "NhCmhg==" || r.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("%q %v %d %v %v", got, err, r.ContentLength, r.Trailer, r.Header)
	}
	r = g.signed(g.admin(), "s3", "PUT", "http://127.0.0.1/b/k", "hello")
	r.Body = io.NopCloser(bytes.NewReader([]byte("jello")))
	if _, err := g.auth.Authenticate(r, "s3", nil); err != nil {
		t.Fatal(err)
	}
	_, err = io.ReadAll(r.Body)
	wantCode(t, "changed body", err, "XAmzContentSHA256Mismatch")
}

// Many requests at once, while users and keys change, see either the old or the new state.
func TestConcurrentRequests(t *testing.T) {
	t.Parallel()
	g := newRig(t, storetest.SQLite(t))
	user := g.user("ann", allow(`"codepipeline:*"`, "*"))
	r := g.signed(user, "codepipeline", "POST", "http://127.0.0.1/", "{}")
	holder := store.Holder{Account: acct, Kind: store.HolderUser, Name: "ann"}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				ctx, err := g.auth.Authenticate(r, "codepipeline", []byte("{}"))
				if err != nil {
					t.Error(err)
					return
				}
				if err := auth.Check(ctx, "codepipeline:GetPipeline", "*"); err != nil && fault.Code(err) != "AccessDeniedException" {
					t.Error(err)
				}
			}
		})
	}
	for range 20 {
		g.tx(func(ctx context.Context, tx *store.Tx) error { return tx.DeleteInlinePolicy(ctx, holder, "p") })
		wantCode(t, "after", auth.Check(g.mustCall(user), "codepipeline:GetPipeline", "*"), "AccessDeniedException")
		g.tx(func(ctx context.Context, tx *store.Tx) error {
			return tx.PutInlinePolicy(ctx, holder, store.InlinePolicy{Name: "p", Document: allow(`"codepipeline:*"`, "*")})
		})
	}
	wg.Wait()
}

// W-28: what was derived for one request serves no other secret, body, day, Region or service.
func TestEachSignatureIsChecked(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		g := newRig(t, db)
		user := g.user("ann", allow(`"*"`, "*"))
		for range 3 {
			forged := user
			forged.SecretAccessKey = string(auth.NewSecret())
			for range 2 {
				g.mustCall(user)
				_, err := g.call(forged)
				wantCode(t, "another secret", err, "InvalidSignatureException")
			}
			r := g.signed(user, "codepipeline", "POST", "http://127.0.0.1/", "{}")
			_, err := g.auth.Authenticate(r, "codepipeline", []byte(`{"name":"p"}`))
			wantCode(t, "another body", err, "InvalidSignatureException")
			signature := g.signed(user, "codepipeline", "POST", "http://127.0.0.1/", "{}").Header.Get("Authorization")
			for _, other := range []struct{ region, service string }{{"eu-west-1", "codepipeline"}, {"eu-west-3", "codebuild"}} {
				r.Header.Set("Authorization", strings.Replace(signature, "/eu-west-3/codepipeline/", "/"+other.region+"/"+other.service+"/", 1))
				_, err := g.auth.Authenticate(r, other.service, []byte("{}"))
				wantCode(t, other.region+" "+other.service, err, "InvalidSignatureException")
			}
			// The same access key with another secret.
			k := store.AccessKey{ID: user.AccessKeyID, Account: acct, User: "ann", Secret: auth.NewSecret(), Active: true}
			g.tx(func(ctx context.Context, tx *store.Tx) error {
				return errors.Join(tx.DeleteAccessKey(ctx, acct, "ann", k.ID), tx.CreateAccessKey(ctx, k))
			})
			_, err = g.call(user)
			wantCode(t, "the old secret", err, "InvalidSignatureException")
			user.SecretAccessKey = string(k.Secret)
			g.now = g.now.Add(24 * time.Hour)
		}
	})
}

// However many keys exist, the copies of them stay bounded and right.
func TestManyKeys(t *testing.T) {
	t.Parallel()
	g := newRig(t, storetest.SQLite(t))
	user := g.user("ann", allow(`"*"`, "*"))
	for i := range 3 {
		g.now = g.now.Add(time.Duration(i) * time.Minute) // longer than copies are kept
		for range 20 {
			nobody := aws.Credentials{AccessKeyID: auth.NewID("AKIA"), SecretAccessKey: "x"}
			_, err := g.call(nobody)
			wantCode(t, "made-up key", err, "UnrecognizedClientException")
		}
		g.mustCall(user)
	}
	for _, id := range []string{"AKIA\x00", "AKIA\xff", strings.Repeat("A", 5000), "' OR 1=1 --"} {
		r := g.signed(g.admin(), "codepipeline", "POST", "http://127.0.0.1/", "{}")
		r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), g.id, id, 1))
		_, err := g.auth.Authenticate(r, "codepipeline", []byte("{}"))
		wantCode(t, "hostile id", err, "UnrecognizedClientException")
	}
}

// Tags of principals and sessions answer for aws:PrincipalTag, the session's first.
func TestPrincipalTags(t *testing.T) {
	t.Parallel()
	g := newRig(t, storetest.SQLite(t))
	doc := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"codepipeline:*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/Team":"blue"}}}}`
	role := g.role("r", trusts(`{"Service":"codepipeline.amazonaws.com"}`), doc)
	ask := func(tags map[string]string) error {
		t.Helper()
		c, err := g.auth.Mint(t.Context(), auth.MintInput{RoleARN: role, SessionName: "se", Tags: tags})
		if err != nil {
			t.Fatal(err)
		}
		return auth.Check(g.mustCall(creds(c)), "codepipeline:GetPipeline", "*")
	}
	wantCode(t, "no tags", ask(nil), "AccessDeniedException")
	if err := ask(map[string]string{"team": "blue"}); err != nil {
		t.Errorf("session's tag: %v", err)
	}
	g.tx(func(ctx context.Context, tx *store.Tx) error {
		r, err := tx.GetRole(ctx, acct, "r")
		if err != nil {
			return err
		}
		r.Tags = map[string]string{"Team": "blue"}
		return tx.UpdateRole(ctx, r)
	})
	if err := ask(nil); err != nil {
		t.Errorf("role's tag: %v", err)
	}
	wantCode(t, "session's tag first", ask(map[string]string{"Team": "red"}), "AccessDeniedException")
}

// A key that does not exist is refused before a body is there, in the words of the service, and one
// that does is not believed before it is proven.
func TestPlausible(t *testing.T) {
	t.Parallel()
	g := newRig(t, storetest.SQLite(t))
	ask := func(c aws.Credentials) error {
		r := g.signed(c, "lambda", "POST", "http://127.0.0.1/2015-03-31/functions", "{}")
		r.Body = io.NopCloser(iotest.ErrReader(errors.New("the body was read")))
		return g.auth.Plausible(r, "lambda")
	}
	wrong := g.admin()
	wrong.SecretAccessKey = "guess"
	for what, c := range map[string]aws.Credentials{"the administrator": g.admin(), "one who guesses the secret": wrong} {
		if err := ask(c); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	wantCode(t, "no such key", ask(aws.Credentials{AccessKeyID: "AKIANOBODY", SecretAccessKey: "x"}), "UnrecognizedClientException")
	wantCode(t, "no such session", ask(aws.Credentials{AccessKeyID: "ASIANOBODY", SecretAccessKey: "x", SessionToken: "x"}), "UnrecognizedClientException")
	wantCode(t, "no signature", g.auth.Plausible(httptest.NewRequest("POST", "/2015-03-31/functions", nil), "lambda"), "MissingAuthenticationTokenException")
}
