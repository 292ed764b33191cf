package auth_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/policy"
	"penstock/internal/sigv4"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// S-310: artifact credentials read and write the given objects and nothing else.
func TestArtifactCredentials(t *testing.T) {
	t.Parallel()
	g := newRig(t, storetest.SQLite(t))
	c, err := g.auth.Mint(t.Context(), auth.MintInput{
		Service: "codepipeline.amazonaws.com", Account: acct, SessionName: "job", InvokedBy: "codepipeline.amazonaws.com",
		Policies: []string{allow(`"s3:GetObject"`, "arn:aws:s3:::b/in"), allow(`"s3:PutObject"`, "arn:aws:s3:::b/out")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := g.now.Add(time.Hour); !c.Expires.Equal(want) {
		t.Errorf("expires %v, want %v", c.Expires, want)
	}
	ctx, err := g.auth.Authenticate(g.signed(creds(c), "s3", "GET", "http://127.0.0.1/b/in", ""), "s3", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []struct {
		action, resource string
		ok               bool
	}{
		{"s3:GetObject", "arn:aws:s3:::b/in", true},
		{"s3:PutObject", "arn:aws:s3:::b/out", true},
		{"s3:PutObject", "arn:aws:s3:::b/in", false},
		{"s3:GetObject", "arn:aws:s3:::b/other", false},
		{"s3:ListBucket", "arn:aws:s3:::b", false},
	} {
		if err := auth.Check(ctx, q.action, q.resource); (err == nil) != q.ok {
			t.Errorf("%s on %s: %v", q.action, q.resource, err)
		}
	}
	// The principal itself is allowed nothing outside S3, whatever the policy says.
	c, err = g.auth.Mint(t.Context(), auth.MintInput{Service: "codepipeline.amazonaws.com", Account: acct, SessionName: "job", Policies: []string{allow(`"*"`, "*")}})
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, "outside S3", auth.Check(g.mustCall(creds(c)), "codepipeline:GetPipeline", "*"), "AccessDeniedException")
	if _, err := g.auth.Mint(t.Context(), auth.MintInput{Service: "codepipeline.amazonaws.com", Account: acct}); err == nil {
		t.Error("a service session without a policy")
	}
}

// M-1, S-8: a service may assume a role that exists and names it.
func TestCanAssume(t *testing.T) {
	t.Parallel()
	g := newRig(t, storetest.SQLite(t))
	good := g.role("Good", trusts(`{"Service":["codebuild.amazonaws.com","codepipeline.amazonaws.com"]}`), "")
	other := g.role("other", trusts(`{"Service":"lambda.amazonaws.com"}`), "")
	for arn, want := range map[string]bool{
		good: true, other: false,
		auth.RoleARN("aws", acct, "/", "nobody"):         false,
		auth.RoleARN("aws", acct, "/", "good"):           false,
		auth.RoleARN("aws", acct, "/path/", "Good"):      false,
		auth.RoleARN("aws", "111111111111", "/", "Good"): false,
		"nonsense": false,
	} {
		got, err := g.auth.CanAssume(t.Context(), arn, "codepipeline.amazonaws.com")
		if err != nil || got != want {
			t.Errorf("%s: %v, %v", arn, got, err)
		}
		_, err = g.auth.Mint(t.Context(), auth.MintInput{RoleARN: arn, SessionName: "se", InvokedBy: "codepipeline.amazonaws.com"})
		if (err == nil) != want {
			t.Errorf("mint %s: %v", arn, err)
		}
		if !want {
			wantCode(t, arn, err, "AccessDenied")
		}
	}
}

// S-40, M-1b: an action's role is assumed through the pipeline's role.
func TestCanAssumeFrom(t *testing.T) {
	t.Parallel()
	g := newRig(t, storetest.SQLite(t))
	service := trusts(`{"Service":"codepipeline.amazonaws.com"}`)
	plain := g.role("plain", service, "")
	able := g.role("able", service, allow(`"sts:AssumeRole"`, "*"))
	barred := g.role("barred", service, `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"sts:*","Resource":"*"}}`)
	named := g.role("named", trusts(`{"AWS":["`+plain+`","`+barred+`"]}`), "")
	account := g.role("account", trusts(`{"AWS":"`+acct+`"}`), "")
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{plain, named, true}, {able, named, false}, {barred, named, false},
		{plain, account, false}, {able, account, true}, {barred, account, false},
		{able, plain, false}, {"nonsense", named, false}, {able, "nonsense", false},
	} {
		got, err := g.auth.CanAssumeFrom(t.Context(), c.from, c.to)
		if err != nil || got != c.want {
			t.Errorf("%s from %s: %v, %v", c.to, c.from, got, err)
		}
		_, err = g.auth.Mint(t.Context(), auth.MintInput{RoleARN: c.to, From: c.from, SessionName: "se", InvokedBy: "codepipeline.amazonaws.com"})
		if (err == nil) != c.want {
			t.Errorf("mint %s from %s: %v", c.to, c.from, err)
		}
	}
}

// N-14: what the server does as a role without a call is asked of the role's policies.
func TestAs(t *testing.T) {
	t.Parallel()
	g := newRig(t, storetest.SQLite(t))
	trust := trusts(`{"Service":"events.amazonaws.com"}`)
	const arn = "arn:aws:events:us-east-1:000000000000:api-destination/a/1"
	able := g.role("able", trust, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"events:InvokeApiDestination","Resource":"`+arn+`",`+
		`"Condition":{"StringEquals":{"aws:RequestedRegion":"us-east-1"},"DateGreaterThan":{"aws:CurrentTime":"2000-01-01T00:00:00Z"}}}}`)
	unable, foreign := g.role("unable", trust, ""), g.role("foreign", trusts(`{"Service":"codepipeline.amazonaws.com"}`), allow(`"*"`, "*"))
	as := func(role, region, on string) error {
		ctx, err := g.auth.As(t.Context(), region, auth.MintInput{RoleARN: role, SessionName: "events", InvokedBy: "events.amazonaws.com"})
		if err != nil {
			return err
		}
		return auth.Check(ctx, "events:InvokeApiDestination", on)
	}
	if err := as(able, "us-east-1", arn); err != nil {
		t.Error(err)
	}
	for code, errs := range map[string][]error{
		"AccessDeniedException": {as(able, "us-east-1", arn+"2"), as(able, "eu-west-3", arn), as(unable, "us-east-1", arn)},
		"AccessDenied":          {as(foreign, "us-east-1", arn), as(auth.RoleARN("aws", acct, "/", "none"), "us-east-1", arn)},
	} {
		for i, err := range errs {
			if fault.Code(err) != code {
				t.Errorf("%s %d: %v", code, i, err)
			}
		}
	}
}

// A trust policy may ask on whose behalf the service comes.
func TestCanAssumeForSource(t *testing.T) {
	t.Parallel()
	g := newRig(t, storetest.SQLite(t))
	trust := func(condition string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"codepipeline.amazonaws.com"},"Condition":` + condition + `}]}`
	}
	account := g.role("account", trust(`{"StringEquals":{"aws:SourceAccount":"`+acct+`"}}`), "")
	source := g.role("source", trust(`{"ArnLike":{"aws:SourceArn":"arn:aws:codepipeline:*:`+acct+`:release-*"}}`), "")
	const good, other = "arn:aws:codepipeline:eu-west-3:000000000000:release-1", "arn:aws:codepipeline:eu-west-3:111111111111:release-1"
	for _, c := range []struct {
		role, source string
		want         bool
	}{
		{account, "", true}, {account, good, true}, {account, other, false},
		{source, "", false}, {source, good, true}, {source, other, false},
	} {
		got, err := g.auth.CanAssumeFor(t.Context(), c.role, "codepipeline.amazonaws.com", c.source)
		if err != nil || got != c.want {
			t.Errorf("%s for %q: %v, %v", c.role, c.source, got, err)
		}
		_, err = g.auth.Mint(t.Context(), auth.MintInput{RoleARN: c.role, SessionName: "se", InvokedBy: "codepipeline.amazonaws.com", Source: c.source})
		if (err == nil) != c.want {
			t.Errorf("mint %s for %q: %v", c.role, c.source, err)
		}
	}
	// Inside a transaction it sees what the transaction sees, and reads through it.
	g.tx(func(ctx context.Context, tx *store.Tx) error {
		for role, want := range map[string]bool{account: true, auth.RoleARN("aws", acct, "/", "none"): false} {
			if got, err := g.auth.CanAssume(auth.Using(ctx, tx), role, "codepipeline.amazonaws.com"); err != nil || got != want {
				t.Errorf("%s in a transaction: %v, %v", role, got, err)
			}
		}
		return nil
	})
	// W-44: without any condition, a role is for what belongs to its own account only.
	open := g.role("open", trusts(`{"Service":"codepipeline.amazonaws.com"}`), "")
	for who, want := range map[string]bool{good: true, other: false} {
		if got, err := g.auth.CanAssumeFor(t.Context(), open, "codepipeline.amazonaws.com", who); got != want || err != nil {
			t.Errorf("an open role for %s: %v, %v", who, got, err)
		}
	}
	passing := g.mustCall(g.user("passing", allow(`"iam:PassRole"`, "*")))
	if err := auth.CheckPass(passing, open, "codepipeline.amazonaws.com"); err != nil {
		t.Error(err)
	}
	err := auth.CheckPass(passing, auth.RoleARN("aws", "111111111111", "/", "open"), "codepipeline.amazonaws.com")
	if wantCode(t, "a role of another account", err, "AccessDeniedException"); err != nil && err.Error() != "AccessDeniedException: Cross-account pass role is not allowed." {
		t.Error(err)
	}
	wantCode(t, "who may not pass roles", auth.CheckPass(g.mustCall(g.user("not", allow(`"iam:GetRole"`, "*"))), open, "codepipeline.amazonaws.com"), "AccessDeniedException")
	stranger := auth.Trusted(t.Context(), auth.Caller{Account: "111111111111"})
	if got, err := g.auth.CanAssume(stranger, open, "codepipeline.amazonaws.com"); got || err != nil {
		t.Errorf("an open role for a stranger: %v, %v", got, err)
	}
	if got, err := g.auth.CanAssume(stranger, account, "codepipeline.amazonaws.com"); got || err != nil {
		t.Errorf("for a stranger: %v, %v", got, err)
	}
}

// What the server does on a caller's behalf has the caller's rights: no policy is lost, and
// it ends when the caller's session does.
func TestSameAs(t *testing.T) {
	t.Parallel()
	g := newRig(t, storetest.SQLite(t))
	pipe := g.role("pipe", trusts(`{"Service":"codepipeline.amazonaws.com"}`), allow(`"sts:AssumeRole"`, "*"))
	// This role trusts no service, so it could not be assumed again in the plain way.
	action := g.role("action", trusts(`{"AWS":"`+pipe+`"}`), allow(`"*"`, "*"))
	mint := func(in auth.MintInput) aws.Credentials {
		t.Helper()
		c, err := g.auth.Mint(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		return creds(c)
	}
	narrow := []string{allow(`"s3:GetObject"`, "*")}
	for what, c := range map[string]aws.Credentials{
		"role":    mint(auth.MintInput{RoleARN: action, From: pipe, SessionName: "se", InvokedBy: "codepipeline.amazonaws.com", Policies: narrow, Duration: 10 * time.Minute}),
		"service": mint(auth.MintInput{Service: "codepipeline.amazonaws.com", Account: acct, SessionName: "job", Policies: narrow, Duration: 10 * time.Minute}),
		"user":    mint(auth.MintInput{Account: acct, User: auth.Administrator, Policies: narrow, Duration: 10 * time.Minute}),
		"key":     g.admin(),
	} {
		ctx := g.mustCall(c)
		in, err := auth.SameAs(ctx)
		if err != nil {
			t.Fatal(err)
		}
		again, err := g.auth.Mint(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		before, after := auth.From(ctx), auth.From(g.mustCall(creds(again)))
		if after.ARN != before.ARN || after.InvokedBy != before.InvokedBy || after.UserID != before.UserID {
			t.Errorf("%s: %+v became %+v", what, before, after)
		}
		if !before.Expires.IsZero() && after.Expires.After(before.Expires) {
			t.Errorf("%s: lives longer", what)
		}
		if err := auth.Check(g.mustCall(creds(again)), "s3:DeleteObject", "*"); (err == nil) != (what == "key") {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, ctx := range map[string]context.Context{"nobody": t.Context(), "trusted": auth.Trusted(t.Context(), auth.Caller{UserName: "x"})} {
		if _, err := auth.SameAs(ctx); err == nil {
			t.Errorf("%s has a session", what)
		}
	}
}

// W-31: a token cannot be made, changed, moved to another key or opened by another server.
func TestTokens(t *testing.T) {
	t.Parallel()
	g, other := newRig(t, storetest.SQLite(t)), newRig(t, storetest.SQLite(t))
	c, err := g.auth.Mint(t.Context(), auth.MintInput{Account: acct, User: auth.Administrator})
	if err != nil {
		t.Fatal(err)
	}
	who := auth.From(g.mustCall(creds(c)))
	if who.UserName != auth.Administrator || who.ARN != "arn:aws:iam::000000000000:user/administrator" || !who.Expires.Equal(c.Expires) {
		t.Errorf("%+v", who)
	}
	if _, err := other.call(creds(c)); err == nil {
		t.Error("another server took the token")
	}
	raw, err := base64.RawURLEncoding.DecodeString(string(c.SessionToken))
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		bad := append([]byte(nil), raw...)
		bad[i] ^= 1
		forged := creds(c)
		forged.SessionToken = base64.RawURLEncoding.EncodeToString(bad)
		_, err := g.call(forged)
		wantCode(t, fmt.Sprintf("byte %d", i), err, "UnrecognizedClientException")
	}
	for _, text := range []string{"x", "!!", strings.Repeat("A", 100000)} {
		forged := creds(c)
		forged.SessionToken = text
		_, err := g.call(forged)
		wantCode(t, "text", err, "UnrecognizedClientException")
	}
	all := fmt.Sprintf("%v %+v %#v", c, c, &c)
	if strings.Contains(all, string(c.SecretAccessKey)) || strings.Contains(all, string(c.SessionToken)) {
		t.Error("credentials print their secrets")
	}
}

// gitRequest is a git client's request with Basic credentials.
func gitRequest(t *testing.T, user, password string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://127.0.0.1:7788/v1/repos/app/info/refs?service=git-upload-pack", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(user, password)
	return r
}

// helperPassword signs as the credential helper does; its golden values are tested in sigv4.
func helperPassword(c aws.Credentials, region, host, path string, at time.Time) string {
	stamp := at.UTC().Format("20060102T150405")
	key := sigv4.SigningKey(c.SecretAccessKey, stamp[:8], region, "codecommit")
	text := "AWS4-HMAC-SHA256\n" + stamp + "\n" + stamp[:8] + "/" + region + "/codecommit/aws4_request\n" +
		hashOf("GIT\n"+path+"\n\nhost:"+host+"\n\nhost\n")
	return stamp + "Z" + fmt.Sprintf("%x", macOf(key, text))
}

// N-9: both forms of git credentials, for long-lived keys and sessions.
func TestBasicGit(t *testing.T) {
	t.Parallel()
	g := newRig(t, storetest.SQLite(t))
	session, err := g.auth.Mint(t.Context(), auth.MintInput{Account: acct, User: auth.Administrator})
	if err != nil {
		t.Fatal(err)
	}
	users := map[string]aws.Credentials{g.id: g.admin(), session.AccessKeyID + "%" + string(session.SessionToken): creds(session)}
	for user, c := range users {
		for _, k := range []struct{ password, region string }{
			{c.SecretAccessKey, "us-east-1"},
			{helperPassword(c, "us-east-1", "127.0.0.1", "/v1/repos/app", g.now), "us-east-1"},
			{helperPassword(c, "ap-south-1", "127.0.0.1", "/v1/repos/app", g.now), "ap-south-1"},
			{helperPassword(c, "moon-1", "127.0.0.1", "/v1/repos/app.git", g.now), "moon-1"},
		} {
			var regions []string
			if k.region == "moon-1" {
				regions = []string{"moon-1"}
			}
			ctx, err := g.auth.BasicGit(gitRequest(t, user, k.password), "app", regions...)
			if err != nil {
				t.Errorf("%s: %v", k.region, err)
				continue
			}
			if who := auth.From(ctx); who.Region != k.region || who.UserName != auth.Administrator || auth.Check(ctx, "codecommit:GitPull", "*") != nil {
				t.Errorf("%s: %+v", k.region, who)
			}
		}
		for what, password := range map[string]string{
			"secret": c.SecretAccessKey + "x", "nothing": "", "other repository": helperPassword(c, "us-east-1", "127.0.0.1", "/v1/repos/other", g.now),
			"other host": helperPassword(c, "us-east-1", "evil.test", "/v1/repos/app", g.now), "old": helperPassword(c, "us-east-1", "127.0.0.1", "/v1/repos/app", g.now.Add(-time.Hour)),
		} {
			_, err := g.auth.BasicGit(gitRequest(t, user, password), "app")
			wantCode(t, what, err, "InvalidSignatureException")
		}
	}
	_, err = g.auth.BasicGit(gitRequest(t, "AKIANOBODY", "x"), "app")
	wantCode(t, "unknown", err, "UnrecognizedClientException")
	r := gitRequest(t, "", "")
	r.Header.Del("Authorization")
	_, err = g.auth.BasicGit(r, "app")
	wantCode(t, "none", err, "MissingAuthenticationTokenException")
}

// Every built-in policy can be read, and the administrator's allows.
func TestManagedPolicies(t *testing.T) {
	t.Parallel()
	list := auth.ManagedPolicies(t.Context())
	if len(list) != 10 {
		t.Errorf("%d policies", len(list))
	}
	for _, p := range list {
		if _, err := policy.Parse(p.Document, policy.Identity); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		if again, ok := auth.FindManagedPolicy(t.Context(), p.ARN); !ok || again.Name != p.Name || len(p.ID) != 20 {
			t.Errorf("%+v", p)
		}
	}
}

// S-366: CodePipeline's managed policies allow what their names say and no more.
func TestCodePipelinePolicies(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:codepipeline:eu-west-1:111111111111:p/Stage/Action"
	for name, want := range map[string]struct{ may, mayNot string }{
		"AWSCodePipeline_FullAccess":        {"CreatePipeline DeletePipeline StartPipelineExecution PutApprovalResult PollForJobs", ""},
		"AWSCodePipeline_ReadOnlyAccess":    {"GetPipeline GetPipelineState ListPipelineExecutions ListPipelines", "StartPipelineExecution UpdatePipeline PutApprovalResult PollForJobs"},
		"AWSCodePipelineApproverAccess":     {"PutApprovalResult GetPipeline GetPipelineState GetPipelineExecution ListPipelines", "StartPipelineExecution UpdatePipeline AcknowledgeJob"},
		"AWSCodePipelineCustomActionAccess": {"AcknowledgeJob GetJobDetails PollForJobs PutJobFailureResult PutJobSuccessResult", "GetPipeline StartPipelineExecution PutApprovalResult"},
	} {
		p, ok := auth.FindManagedPolicy(t.Context(), "arn:aws:iam::aws:policy/"+name)
		if !ok {
			t.Errorf("there is no %s", name)
			continue
		}
		ctx, err := auth.Limited(t.Context(), auth.Caller{Account: "111111111111", Region: "eu-west-1", ARN: "arn:aws:iam::111111111111:user/u"}, p.Document)
		if err != nil {
			t.Fatal(err)
		}
		for action := range strings.FieldsSeq(want.may) {
			if err := auth.Check(ctx, "codepipeline:"+action, arn); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for action := range strings.FieldsSeq(want.mayNot) {
			wantCode(t, name+" "+action, auth.Check(ctx, "codepipeline:"+action, arn), "AccessDeniedException")
		}
	}
}

func macOf(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
