package sts_test

import (
	"context"
	"errors"
	"testing"
	"time"

	api "penstock/internal/api/sts"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
	"penstock/internal/svc/sts"
)

const acct = "000000000000"

func TestMain(m *testing.M) { storetest.Main(m) }

type rig struct {
	t    *testing.T
	db   *store.DB
	room *sts.Room
}

func newRig(t *testing.T) *rig {
	t.Helper()
	db := storetest.SQLite(t)
	if _, _, err := auth.Bootstrap(t.Context(), db, "us-east-1", acct); err != nil {
		t.Fatal(err)
	}
	a, err := auth.New(t.Context(), auth.Config{DB: db, Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return &rig{t, db, sts.New(sts.Deps{DB: db, Auth: a})}
}

func (g *rig) role(name, principal, condition string) string {
	g.t.Helper()
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:*","Principal":` + principal + condition + `}]}`
	err := g.db.Update(g.t.Context(), func(tx *store.Tx) error {
		return tx.CreateRole(g.t.Context(), store.Role{Account: acct, Name: name, Path: "/", ID: "AROA" + name, Trust: trust, MaxSession: 2 * time.Hour})
	})
	if err != nil {
		g.t.Fatal(err)
	}
	return auth.RoleARN("aws", acct, "/", name)
}

// as gives a context of a user with policies.
func (g *rig) as(policies ...string) context.Context {
	g.t.Helper()
	ctx, err := auth.Limited(g.t.Context(), auth.Caller{Account: acct, ARN: auth.UserARN("aws", acct, "/", auth.Administrator), UserID: "AIDA", UserName: auth.Administrator}, policies...)
	if err != nil {
		g.t.Fatal(err)
	}
	return ctx
}

const all = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`

func wantCode(t *testing.T, what string, err error, code string) {
	t.Helper()
	if fault.Code(err) != code {
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}

// N-1: anybody may ask who they are.
func TestGetCallerIdentity(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	out, err := g.room.GetCallerIdentity(g.as(), nil)
	if err != nil || out.Account != acct || out.Arn != "arn:aws:iam::000000000000:user/administrator" || out.UserId != "AIDA" {
		t.Errorf("%+v, %v", out, err)
	}
}

// N-1: a role is assumed when its trust policy and the caller's policies let it.
func TestAssumeRole(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	account := g.role("account", `{"AWS":"`+acct+`"}`, "")
	named := g.role("named", `{"AWS":"arn:aws:iam::000000000000:user/administrator"}`, "")
	service := g.role("service", `{"Service":"codepipeline.amazonaws.com"}`, "")
	external := g.role("external", `{"AWS":"`+acct+`"}`, `,"Condition":{"StringEquals":{"sts:ExternalId":"secret"}}`)
	in := func(arn string) *api.AssumeRoleInput {
		return &api.AssumeRoleInput{RoleArn: arn, RoleSessionName: "se"}
	}
	out, err := g.room.AssumeRole(g.as(all), in(account))
	if err != nil {
		t.Fatal(err)
	}
	if out.AssumedRoleUser.Arn != "arn:aws:sts::000000000000:assumed-role/account/se" || out.AssumedRoleUser.AssumedRoleId != "AROAaccount:se" ||
		out.Credentials.SessionToken == "" || time.Until(*out.Credentials.Expiration) > time.Hour {
		t.Errorf("%+v", out)
	}
	deny := `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"sts:*","Resource":"*"}}`
	for what, c := range map[string]struct {
		ctx context.Context
		arn string
		ok  bool
	}{
		"account without own policy": {g.as(), account, false},
		"named without own policy":   {g.as(), named, true},
		"named but denied":           {g.as(deny), named, false},
		"service":                    {g.as(all), service, false},
		"condition":                  {g.as(all), external, false},
		"no such role":               {g.as(all), auth.RoleARN("aws", acct, "/", "none"), false},
		"nobody":                     {t.Context(), named, false},
	} {
		if _, err := g.room.AssumeRole(c.ctx, in(c.arn)); (err == nil) != c.ok {
			t.Errorf("%s: %v", what, err)
		} else if !c.ok {
			wantCode(t, what, err, "AccessDeniedException")
		}
	}
	x := in(external)
	x.ExternalId = "secret"
	if _, err := g.room.AssumeRole(g.as(all), x); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		what, code string
		change     func(*api.AssumeRoleInput)
	}{
		{"too long", "ValidationError", func(i *api.AssumeRoleInput) { i.DurationSeconds = new(int32(7201)) }},
		{"broken policy", "MalformedPolicyDocument", func(i *api.AssumeRoleInput) { i.Policy = "{" }},
		{"no managed policy", "ValidationError", func(i *api.AssumeRoleInput) {
			i.PolicyArns = []api.PolicyDescriptorType{{Arn: "arn:aws:iam::aws:policy/None"}}
		}},
		{"MFA", "AccessDenied", func(i *api.AssumeRoleInput) { i.TokenCode = "123456" }},
		{"identity", "ValidationError", func(i *api.AssumeRoleInput) { i.SourceIdentity = "x" }},
		{"tag twice", "InvalidParameterValue", func(i *api.AssumeRoleInput) { i.Tags = []api.Tag{{Key: "a"}, {Key: "A"}} }},
	} {
		i := in(account)
		c.change(i)
		_, err := g.room.AssumeRole(g.as(all), i)
		wantCode(t, c.what, err, c.code)
	}
	i := in(account)
	i.DurationSeconds, i.Policy, i.Tags = new(int32(7200)), all, []api.Tag{{Key: "team", Value: "x"}}
	i.PolicyArns = []api.PolicyDescriptorType{{Arn: "arn:aws:iam::aws:policy/AmazonS3FullAccess"}}
	if out, err := g.room.AssumeRole(g.as(all), i); err != nil || out.PackedPolicySize == nil {
		t.Errorf("%+v, %v", out, err)
	}
}

// N-1: sessions of users, and which account a key belongs to.
func TestSessionTokenAndKeyInfo(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	out, err := g.room.GetSessionToken(g.as(), &api.GetSessionTokenInput{})
	if err != nil || out.Credentials.AccessKeyId[:4] != "ASIA" || time.Until(*out.Credentials.Expiration) < 11*time.Hour {
		t.Errorf("%+v, %v", out, err)
	}
	_, err = g.room.GetSessionToken(auth.Trusted(t.Context(), auth.Caller{UserName: "x", Expires: time.Now()}), &api.GetSessionTokenInput{})
	wantCode(t, "from a session", err, "AccessDenied")
	var keys []store.AccessKey
	if err := g.db.View(t.Context(), func(tx *store.Tx) (err error) {
		keys, err = tx.ListAccessKeys(t.Context(), acct, auth.Administrator)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	info, err := g.room.GetAccessKeyInfo(g.as(all), &api.GetAccessKeyInfoInput{AccessKeyId: keys[0].ID})
	if err != nil || info.Account != acct {
		t.Errorf("%+v, %v", info, err)
	}
	_, err = g.room.GetAccessKeyInfo(g.as(), &api.GetAccessKeyInfoInput{AccessKeyId: keys[0].ID})
	wantCode(t, "not allowed", err, "AccessDeniedException")
	_, err = g.room.GetAccessKeyInfo(g.as(all), &api.GetAccessKeyInfoInput{AccessKeyId: "AKIANOBODY"})
	if wantCode(t, "unknown", err, "ValidationError"); errors.Is(err, store.ErrNotFound) {
		t.Error("the store's error came out")
	}
}
