package iam_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/smithy-go"

	api "penstock/internal/api/iam"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
	"penstock/internal/svc/iam"
)

const (
	acct  = "000000000000"
	trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"codepipeline.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	doc   = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:Get*","Resource":"arn:aws:s3:::b/k k"}]}`
)

func TestMain(m *testing.M) { storetest.Main(m) }

// client gives the real SDK client of the administrator, before a door of a few lines.
func client(t *testing.T, db *store.DB) *sdk.Client {
	t.Helper()
	id, secret, err := auth.Bootstrap(t.Context(), db, "us-east-1", acct)
	if err != nil {
		t.Fatal(err)
	}
	a, err := auth.New(t.Context(), auth.Config{DB: db, Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	svc := api.New(iam.New(iam.Deps{DB: db}))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		ctx, err := a.Authenticate(r, "iam", body)
		var out []byte
		if err == nil {
			form, _ := url.ParseQuery(string(body))
			out, err = svc.ServeQuery(ctx, svc.Operations[form.Get("Action")], form, "id", nil)
		}
		var f *fault.Error
		switch {
		case errors.As(err, &f):
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprintf(w, "<ErrorResponse><Error><Code>%s</Code><Message>%s</Message></Error></ErrorResponse>", f.Code, f.Message)
		case err != nil:
			t.Error(err)
			w.WriteHeader(http.StatusInternalServerError)
		default:
			_, _ = w.Write(out)
		}
	}))
	t.Cleanup(srv.Close)
	return sdk.New(sdk.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(srv.URL), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(id, string(secret), ""), HTTPClient: srv.Client(),
	})
}

func wantCode(t *testing.T, what string, err error, code string) {
	t.Helper()
	var e smithy.APIError
	if !errors.As(err, &e) || e.ErrorCode() != code {
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// N-2: the life of a role as Terraform's aws_iam_role and aws_iam_role_policy lead it, by
// the real SDK.
func TestRoleLife(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c, ctx, name := client(t, db), t.Context(), aws.String("Release-Role")
		made := must[*sdk.CreateRoleOutput](t)(c.CreateRole(ctx, &sdk.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: aws.String(trust),
			Path: aws.String("/ci/"), Description: aws.String("d"), Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}})).Role
		if aws.ToString(made.Arn) != "arn:aws:iam::000000000000:role/ci/Release-Role" || !strings.HasPrefix(aws.ToString(made.RoleId), "AROA") || made.CreateDate == nil {
			t.Errorf("%+v", made)
		}
		got := must[*sdk.GetRoleOutput](t)(c.GetRole(ctx, &sdk.GetRoleInput{RoleName: name})).Role
		if text, err := url.QueryUnescape(aws.ToString(got.AssumeRolePolicyDocument)); err != nil || text != trust || strings.Contains(*got.AssumeRolePolicyDocument, "{") {
			t.Errorf("trust policy %q", aws.ToString(got.AssumeRolePolicyDocument))
		}
		if aws.ToInt32(got.MaxSessionDuration) != 3600 || len(got.Tags) != 1 || aws.ToString(got.Description) != "d" {
			t.Errorf("%+v", got)
		}
		_, err := c.CreateRole(ctx, &sdk.CreateRoleInput{RoleName: aws.String("release-ROLE"), AssumeRolePolicyDocument: aws.String(trust)})
		wantCode(t, "second", err, "EntityAlreadyExists")

		_, err = c.PutRolePolicy(ctx, &sdk.PutRolePolicyInput{RoleName: name, PolicyName: aws.String("p"), PolicyDocument: aws.String(doc)})
		if err != nil {
			t.Fatal(err)
		}
		p := must[*sdk.GetRolePolicyOutput](t)(c.GetRolePolicy(ctx, &sdk.GetRolePolicyInput{RoleName: name, PolicyName: aws.String("p")}))
		if text, err := url.PathUnescape(aws.ToString(p.PolicyDocument)); err != nil || text != doc {
			t.Errorf("policy %q", aws.ToString(p.PolicyDocument))
		}
		if l := must[*sdk.ListRolePoliciesOutput](t)(c.ListRolePolicies(ctx, &sdk.ListRolePoliciesInput{RoleName: name})); len(l.PolicyNames) != 1 || l.IsTruncated {
			t.Errorf("%+v", l)
		}
		admin := aws.String("arn:aws:iam::aws:policy/AdministratorAccess")
		if _, err = c.AttachRolePolicy(ctx, &sdk.AttachRolePolicyInput{RoleName: name, PolicyArn: admin}); err != nil {
			t.Fatal(err)
		}
		if l := must[*sdk.ListAttachedRolePoliciesOutput](t)(c.ListAttachedRolePolicies(ctx, &sdk.ListAttachedRolePoliciesInput{RoleName: name})); len(l.AttachedPolicies) != 1 || *l.AttachedPolicies[0].PolicyName != "AdministratorAccess" {
			t.Errorf("%+v", l)
		}
		must[*sdk.ListInstanceProfilesForRoleOutput](t)(c.ListInstanceProfilesForRole(ctx, &sdk.ListInstanceProfilesForRoleInput{RoleName: name}))
		must[*sdk.TagRoleOutput](t)(c.TagRole(ctx, &sdk.TagRoleInput{RoleName: name, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}}))
		must[*sdk.UntagRoleOutput](t)(c.UntagRole(ctx, &sdk.UntagRoleInput{RoleName: name, TagKeys: []string{"k"}}))
		if l := must[*sdk.ListRoleTagsOutput](t)(c.ListRoleTags(ctx, &sdk.ListRoleTagsInput{RoleName: name})); len(l.Tags) != 1 || *l.Tags[0].Key != "a" {
			t.Errorf("%+v", l.Tags)
		}
		must[*sdk.UpdateRoleOutput](t)(c.UpdateRole(ctx, &sdk.UpdateRoleInput{RoleName: name, Description: aws.String("new")}))
		must[*sdk.UpdateRoleOutput](t)(c.UpdateRole(ctx, &sdk.UpdateRoleInput{RoleName: name, MaxSessionDuration: aws.Int32(7200)}))
		newTrust := strings.Replace(trust, "codepipeline", "codebuild", 1)
		must[*sdk.UpdateAssumeRolePolicyOutput](t)(c.UpdateAssumeRolePolicy(ctx, &sdk.UpdateAssumeRolePolicyInput{RoleName: name, PolicyDocument: aws.String(newTrust)}))
		got = must[*sdk.GetRoleOutput](t)(c.GetRole(ctx, &sdk.GetRoleInput{RoleName: name})).Role
		if text, _ := url.QueryUnescape(aws.ToString(got.AssumeRolePolicyDocument)); text != newTrust || aws.ToInt32(got.MaxSessionDuration) != 7200 || *got.Description != "new" {
			t.Errorf("%+v", got)
		}

		_, err = c.DeleteRole(ctx, &sdk.DeleteRoleInput{RoleName: name})
		wantCode(t, "attached", err, "DeleteConflict")
		must[*sdk.DetachRolePolicyOutput](t)(c.DetachRolePolicy(ctx, &sdk.DetachRolePolicyInput{RoleName: name, PolicyArn: admin}))
		_, err = c.DeleteRole(ctx, &sdk.DeleteRoleInput{RoleName: name})
		wantCode(t, "inline", err, "DeleteConflict")
		must[*sdk.DeleteRolePolicyOutput](t)(c.DeleteRolePolicy(ctx, &sdk.DeleteRolePolicyInput{RoleName: name, PolicyName: aws.String("p")}))
		must[*sdk.DeleteRoleOutput](t)(c.DeleteRole(ctx, &sdk.DeleteRoleInput{RoleName: name}))
		_, err = c.GetRole(ctx, &sdk.GetRoleInput{RoleName: name})
		wantCode(t, "gone", err, "NoSuchEntity")
		if want := "The role with name Release-Role cannot be found."; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v", err)
		}
	})
}

// N-2: users and their keys; a key works at once and stops at once.
func TestUserLife(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c, ctx, name := client(t, db), t.Context(), aws.String("ann")
		if u := must[*sdk.GetUserOutput](t)(c.GetUser(ctx, &sdk.GetUserInput{})).User; *u.UserName != auth.Administrator {
			t.Errorf("self is %s", *u.UserName)
		}
		must[*sdk.CreateUserOutput](t)(c.CreateUser(ctx, &sdk.CreateUserInput{UserName: name}))
		must[*sdk.TagUserOutput](t)(c.TagUser(ctx, &sdk.TagUserInput{UserName: name, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("1")}, {Key: aws.String("b"), Value: aws.String("2")}}}))
		must[*sdk.UntagUserOutput](t)(c.UntagUser(ctx, &sdk.UntagUserInput{UserName: name, TagKeys: []string{"a"}}))
		if l := must[*sdk.ListUserTagsOutput](t)(c.ListUserTags(ctx, &sdk.ListUserTagsInput{UserName: name})).Tags; len(l) != 1 || *l[0].Key != "b" {
			t.Errorf("%v", l)
		}
		_, err := c.CreateUser(ctx, &sdk.CreateUserInput{UserName: aws.String("ANN")})
		wantCode(t, "second", err, "EntityAlreadyExists")
		k := must[*sdk.CreateAccessKeyOutput](t)(c.CreateAccessKey(ctx, &sdk.CreateAccessKeyInput{UserName: name})).AccessKey
		ann := sdk.New(c.Options(), func(o *sdk.Options) {
			o.Credentials = credentials.NewStaticCredentialsProvider(*k.AccessKeyId, *k.SecretAccessKey, "")
		})
		_, err = ann.ListRoles(ctx, &sdk.ListRolesInput{})
		wantCode(t, "without policies", err, "AccessDenied")
		must[*sdk.PutUserPolicyOutput](t)(c.PutUserPolicy(ctx, &sdk.PutUserPolicyInput{UserName: name, PolicyName: aws.String("p"),
			PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:*","Resource":"arn:aws:iam::*:user/${aws:username}"}}`)}))
		if u := must[*sdk.GetUserOutput](t)(ann.GetUser(ctx, &sdk.GetUserInput{})).User; *u.UserName != "ann" {
			t.Errorf("self is %s", *u.UserName)
		}
		_, err = ann.GetUser(ctx, &sdk.GetUserInput{UserName: aws.String(auth.Administrator)})
		wantCode(t, "another user", err, "AccessDenied")
		_, err = ann.GetUser(ctx, &sdk.GetUserInput{UserName: aws.String("nobody")})
		wantCode(t, "whether somebody exists", err, "AccessDenied")
		must[*sdk.CreateAccessKeyOutput](t)(ann.CreateAccessKey(ctx, &sdk.CreateAccessKeyInput{}))
		_, err = c.CreateAccessKey(ctx, &sdk.CreateAccessKeyInput{UserName: name})
		wantCode(t, "third key", err, "LimitExceeded")
		list := must[*sdk.ListAccessKeysOutput](t)(c.ListAccessKeys(ctx, &sdk.ListAccessKeysInput{UserName: name})).AccessKeyMetadata
		if len(list) != 2 {
			t.Errorf("%d keys", len(list))
		}
		must[*sdk.UpdateAccessKeyOutput](t)(c.UpdateAccessKey(ctx, &sdk.UpdateAccessKeyInput{UserName: name, AccessKeyId: k.AccessKeyId, Status: types.StatusTypeInactive}))
		_, err = ann.GetUser(ctx, &sdk.GetUserInput{})
		wantCode(t, "inactive key", err, "InvalidClientTokenId")
		_, err = c.DeleteUser(ctx, &sdk.DeleteUserInput{UserName: name})
		wantCode(t, "keys", err, "DeleteConflict")
		for _, k := range list {
			must[*sdk.DeleteAccessKeyOutput](t)(c.DeleteAccessKey(ctx, &sdk.DeleteAccessKeyInput{UserName: name, AccessKeyId: k.AccessKeyId}))
		}
		_, err = c.DeleteAccessKey(ctx, &sdk.DeleteAccessKeyInput{UserName: name, AccessKeyId: k.AccessKeyId})
		wantCode(t, "no key", err, "NoSuchEntity")
		if l := must[*sdk.ListUserPoliciesOutput](t)(c.ListUserPolicies(ctx, &sdk.ListUserPoliciesInput{UserName: name})); len(l.PolicyNames) != 1 {
			t.Errorf("%v", l.PolicyNames)
		}
		must[*sdk.GetUserPolicyOutput](t)(c.GetUserPolicy(ctx, &sdk.GetUserPolicyInput{UserName: name, PolicyName: aws.String("p")}))
		must[*sdk.DeleteUserPolicyOutput](t)(c.DeleteUserPolicy(ctx, &sdk.DeleteUserPolicyInput{UserName: name, PolicyName: aws.String("p")}))
		must[*sdk.DeleteUserOutput](t)(c.DeleteUser(ctx, &sdk.DeleteUserInput{UserName: name}))
		if l := must[*sdk.ListUsersOutput](t)(c.ListUsers(ctx, &sdk.ListUsersInput{})).Users; len(l) != 1 {
			t.Errorf("%d users", len(l))
		}
	})
}

// N-2: managed policies, their versions and who has them.
func TestPolicyLife(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c, ctx := client(t, db), t.Context()
		p := must[*sdk.CreatePolicyOutput](t)(c.CreatePolicy(ctx, &sdk.CreatePolicyInput{PolicyName: aws.String("Reader"), PolicyDocument: aws.String(doc)})).Policy
		_, err := c.CreatePolicy(ctx, &sdk.CreatePolicyInput{PolicyName: aws.String("Reader"), PolicyDocument: aws.String(doc)})
		wantCode(t, "second", err, "EntityAlreadyExists")
		for range 4 {
			must[*sdk.CreatePolicyVersionOutput](t)(c.CreatePolicyVersion(ctx, &sdk.CreatePolicyVersionInput{PolicyArn: p.Arn, PolicyDocument: aws.String(doc), SetAsDefault: true}))
		}
		_, err = c.CreatePolicyVersion(ctx, &sdk.CreatePolicyVersionInput{PolicyArn: p.Arn, PolicyDocument: aws.String(doc)})
		wantCode(t, "sixth version", err, "LimitExceeded")
		got := must[*sdk.GetPolicyOutput](t)(c.GetPolicy(ctx, &sdk.GetPolicyInput{PolicyArn: p.Arn})).Policy
		if *got.DefaultVersionId != "v5" || *got.AttachmentCount != 0 {
			t.Errorf("%+v", got)
		}
		v := must[*sdk.GetPolicyVersionOutput](t)(c.GetPolicyVersion(ctx, &sdk.GetPolicyVersionInput{PolicyArn: p.Arn, VersionId: aws.String("v1")})).PolicyVersion
		if text, _ := url.QueryUnescape(*v.Document); text != doc || v.IsDefaultVersion {
			t.Errorf("%+v", v)
		}
		_, err = c.GetPolicyVersion(ctx, &sdk.GetPolicyVersionInput{PolicyArn: p.Arn, VersionId: aws.String("v9")})
		wantCode(t, "no version", err, "NoSuchEntity")
		marker := (*string)(nil)
		for _, want := range []string{"v5", "v4", "v3", "v2", "v1"} {
			p := must[*sdk.ListPolicyVersionsOutput](t)(c.ListPolicyVersions(ctx, &sdk.ListPolicyVersionsInput{PolicyArn: p.Arn, MaxItems: aws.Int32(1), Marker: marker}))
			if marker = p.Marker; len(p.Versions) != 1 || *p.Versions[0].VersionId != want || p.IsTruncated != (want != "v1") {
				t.Error(p, want)
			}
		}
		if l := must[*sdk.ListPolicyVersionsOutput](t)(c.ListPolicyVersions(ctx, &sdk.ListPolicyVersionsInput{PolicyArn: p.Arn})).Versions; len(l) != 5 || *l[0].VersionId != "v5" {
			t.Errorf("%+v", l)
		}
		self := aws.String(auth.Administrator)
		must[*sdk.AttachUserPolicyOutput](t)(c.AttachUserPolicy(ctx, &sdk.AttachUserPolicyInput{UserName: self, PolicyArn: p.Arn}))
		if l := must[*sdk.ListEntitiesForPolicyOutput](t)(c.ListEntitiesForPolicy(ctx, &sdk.ListEntitiesForPolicyInput{PolicyArn: p.Arn, PolicyUsageFilter: "PermissionsBoundary"})); len(l.PolicyUsers) != 0 {
			t.Errorf("%+v", l)
		}
		if l := must[*sdk.ListEntitiesForPolicyOutput](t)(c.ListEntitiesForPolicy(ctx, &sdk.ListEntitiesForPolicyInput{PolicyArn: p.Arn})); len(l.PolicyUsers) != 1 || len(l.PolicyRoles) != 0 {
			t.Errorf("%+v", l)
		}
		_, err = c.DeletePolicy(ctx, &sdk.DeletePolicyInput{PolicyArn: p.Arn})
		wantCode(t, "attached", err, "DeleteConflict")
		must[*sdk.DetachUserPolicyOutput](t)(c.DetachUserPolicy(ctx, &sdk.DetachUserPolicyInput{UserName: self, PolicyArn: p.Arn}))
		_, err = c.DeletePolicyVersion(ctx, &sdk.DeletePolicyVersionInput{PolicyArn: p.Arn, VersionId: aws.String("v5")})
		wantCode(t, "default version", err, "DeleteConflict")
		must[*sdk.SetDefaultPolicyVersionOutput](t)(c.SetDefaultPolicyVersion(ctx, &sdk.SetDefaultPolicyVersionInput{PolicyArn: p.Arn, VersionId: aws.String("v1")}))
		_, err = c.DeletePolicy(ctx, &sdk.DeletePolicyInput{PolicyArn: p.Arn})
		wantCode(t, "versions", err, "DeleteConflict")
		for _, id := range []string{"v2", "v3", "v4", "v5"} {
			must[*sdk.DeletePolicyVersionOutput](t)(c.DeletePolicyVersion(ctx, &sdk.DeletePolicyVersionInput{PolicyArn: p.Arn, VersionId: aws.String(id)}))
		}
		must[*sdk.DeletePolicyOutput](t)(c.DeletePolicy(ctx, &sdk.DeletePolicyInput{PolicyArn: p.Arn}))
		_, err = c.GetPolicy(ctx, &sdk.GetPolicyInput{PolicyArn: p.Arn})
		wantCode(t, "gone", err, "NoSuchEntity")

		builtin := aws.String("arn:aws:iam::aws:policy/AWSCodePipelineApproverAccess")
		must[*sdk.GetPolicyVersionOutput](t)(c.GetPolicyVersion(ctx, &sdk.GetPolicyVersionInput{PolicyArn: builtin, VersionId: aws.String("v1")}))
		_, err = c.DeletePolicy(ctx, &sdk.DeletePolicyInput{PolicyArn: builtin})
		wantCode(t, "built in", err, "InvalidInput")
	})
}

// N-2: pages of policies hold each of AWS's and the account's once, in one order.
func TestPages(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c, ctx := client(t, db), t.Context()
		for _, name := range []string{"amazons3fullaccess", "AmazonS3FullAccess-2", "a", "zz", "Administrator"} {
			must[*sdk.CreatePolicyOutput](t)(c.CreatePolicy(ctx, &sdk.CreatePolicyInput{PolicyName: aws.String(name), PolicyDocument: aws.String(doc)}))
			must[*sdk.CreateRoleOutput](t)(c.CreateRole(ctx, &sdk.CreateRoleInput{RoleName: aws.String(name), AssumeRolePolicyDocument: aws.String(trust)}))
		}
		for _, size := range []int32{1, 2, 4, 100} {
			seen := map[string]int{}
			for pages := sdk.NewListPoliciesPaginator(c, &sdk.ListPoliciesInput{MaxItems: aws.Int32(size)}); pages.HasMorePages(); {
				for _, p := range must[*sdk.ListPoliciesOutput](t)(pages.NextPage(ctx)).Policies {
					seen[*p.Arn]++
				}
			}
			roles := 0
			for pages := sdk.NewListRolesPaginator(c, &sdk.ListRolesInput{MaxItems: aws.Int32(size)}); pages.HasMorePages(); {
				roles += len(must[*sdk.ListRolesOutput](t)(pages.NextPage(ctx)).Roles)
			}
			if len(seen) != 15 || roles != 5 {
				t.Errorf("size %d: %d policies, %d roles", size, len(seen), roles)
			}
			for arn, n := range seen {
				if n != 1 {
					t.Errorf("size %d: %s %d times", size, arn, n)
				}
			}
		}
		only := must[*sdk.ListPoliciesOutput](t)(c.ListPolicies(ctx, &sdk.ListPoliciesInput{OnlyAttached: true})).Policies
		local := must[*sdk.ListPoliciesOutput](t)(c.ListPolicies(ctx, &sdk.ListPoliciesInput{Scope: types.PolicyScopeTypeLocal})).Policies
		if len(only) != 1 || len(local) != 5 {
			t.Errorf("%d attached, %d local", len(only), len(local))
		}
		_, err := c.ListRoles(ctx, &sdk.ListRolesInput{Marker: aws.String("nonsense")})
		wantCode(t, "marker", err, "ValidationError")
	})
}

// Documents and names that IAM refuses, with its codes; nothing is stored.
func TestRefused(t *testing.T) {
	t.Parallel()
	db := storetest.SQLite(t)
	c, ctx, name := client(t, db), t.Context(), aws.String("r")
	_, err := c.CreateRole(ctx, &sdk.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: aws.String("{")})
	wantCode(t, "broken trust", err, "MalformedPolicyDocument")
	_, err = c.CreateRole(ctx, &sdk.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: aws.String(doc)})
	wantCode(t, "trust without principal", err, "MalformedPolicyDocument")
	_, err = c.CreateRole(ctx, &sdk.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: aws.String(trust), PermissionsBoundary: aws.String("arn:aws:iam::aws:policy/AdministratorAccess")})
	wantCode(t, "boundary", err, "InvalidInput")
	_, err = c.CreateRole(ctx, &sdk.CreateRoleInput{RoleName: aws.String("a b"), AssumeRolePolicyDocument: aws.String(trust)})
	wantCode(t, "name", err, "ValidationError")
	_, err = c.GetRole(ctx, &sdk.GetRoleInput{RoleName: name})
	wantCode(t, "nothing was stored", err, "NoSuchEntity")
	must[*sdk.CreateRoleOutput](t)(c.CreateRole(ctx, &sdk.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: aws.String(trust)}))
	_, err = c.PutRolePolicy(ctx, &sdk.PutRolePolicyInput{RoleName: name, PolicyName: aws.String("p"), PolicyDocument: aws.String(trust)})
	wantCode(t, "principal in a policy", err, "MalformedPolicyDocument")
	long := strings.Replace(doc, "k k", strings.Repeat("k", 11000), 1)
	_, err = c.PutRolePolicy(ctx, &sdk.PutRolePolicyInput{RoleName: name, PolicyName: aws.String("p"), PolicyDocument: aws.String(long)})
	wantCode(t, "long", err, "LimitExceeded")
	_, err = c.CreatePolicy(ctx, &sdk.CreatePolicyInput{PolicyName: name, PolicyDocument: aws.String(long)})
	wantCode(t, "long managed", err, "LimitExceeded")
	_, err = c.AttachRolePolicy(ctx, &sdk.AttachRolePolicyInput{RoleName: name, PolicyArn: aws.String("arn:aws:iam::aws:policy/Imagined")})
	wantCode(t, "no policy", err, "NoSuchEntity")
	_, err = c.DetachRolePolicy(ctx, &sdk.DetachRolePolicyInput{RoleName: name, PolicyArn: aws.String("arn:aws:iam::aws:policy/AdministratorAccess")})
	wantCode(t, "not attached", err, "NoSuchEntity")
	_, err = c.GetRolePolicy(ctx, &sdk.GetRolePolicyInput{RoleName: name, PolicyName: aws.String("none")})
	wantCode(t, "no inline policy", err, "NoSuchEntity")
}

// Every operation is refused to a caller who may do nothing.
func TestEveryOperationAsks(t *testing.T) {
	t.Parallel()
	db := storetest.SQLite(t)
	if _, _, err := auth.Bootstrap(t.Context(), db, "us-east-1", acct); err != nil {
		t.Fatal(err)
	}
	ctx, err := auth.Limited(t.Context(), auth.Caller{Account: acct, UserName: auth.Administrator, ARN: "arn:x"})
	if err != nil {
		t.Fatal(err)
	}
	svc := api.New(iam.New(iam.Deps{DB: db}))
	form := url.Values{
		"RoleName": {"r"}, "UserName": {"administrator"}, "PolicyName": {"p"}, "PolicyArn": {"arn:aws:iam::aws:policy/AdministratorAccess"}, "VersionId": {"v1"},
		"PolicyDocument": {doc}, "AssumeRolePolicyDocument": {trust}, "AccessKeyId": {"AKIAAAAAAAAAAAAAAAAA"}, "Status": {"Active"}, "Description": {"d"},
		"Tags.member.1.Key": {"k"}, "Tags.member.1.Value": {"v"}, "TagKeys.member.1": {"k"},
		"ServiceName": {"codepipeline.amazonaws.com"}, "ServiceSpecificCredentialId": {"ACCAAAAAAAAAAAAAAAAA"},
		"AWSServiceName": {"ssm.amazonaws.com"}, "DeletionTaskId": {"task/aws-service-role/ssm.amazonaws.com/AWSServiceRoleForAmazonSSM/x"},
	}
	asked := 0
	for name, op := range svc.Operations {
		_, err := svc.ServeQuery(ctx, op, form, "id", nil)
		switch fault.Code(err) {
		case "AccessDeniedException":
			asked++
		case "UnknownOperationException", "ValidationError": // not offered (N-18)
		default:
			t.Errorf("%s: %v", name, err)
		}
	}
	if asked != 57 {
		t.Errorf("%d operations asked", asked)
	}
}

// Of many who make the last thing there may be at once one succeeds, and what is made for a user who
// is being removed is not left for the next of that name.
func TestLimitsRace(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c, ctx := client(t, db), t.Context()
		must[*sdk.CreateUserOutput](t)(c.CreateUser(ctx, &sdk.CreateUserInput{UserName: aws.String("ann")}))
		p := must[*sdk.CreatePolicyOutput](t)(c.CreatePolicy(ctx, &sdk.CreatePolicyInput{PolicyName: aws.String("p"), PolicyDocument: aws.String(doc)})).Policy
		race := func(what string, want int32, f func() error) {
			t.Helper()
			var all sync.WaitGroup
			var made atomic.Int32
			for range 8 {
				all.Go(func() {
					var refused smithy.APIError
					if err := f(); err == nil {
						made.Add(1)
					} else if !errors.As(err, &refused) || refused.ErrorCode() != "LimitExceeded" {
						t.Errorf("%s: %v", what, err)
					}
				})
			}
			all.Wait()
			if made.Load() != want {
				t.Errorf("%d %s", made.Load(), what)
			}
		}
		race("keys", 2, func() error {
			_, err := c.CreateAccessKey(ctx, &sdk.CreateAccessKeyInput{UserName: aws.String("ann")})
			return err
		})
		race("versions beside the first", 4, func() error {
			_, err := c.CreatePolicyVersion(ctx, &sdk.CreatePolicyVersionInput{PolicyArn: p.Arn, PolicyDocument: aws.String(doc)})
			return err
		})
		for n := range 20 {
			name := aws.String(fmt.Sprint("bob", n))
			must[*sdk.CreateUserOutput](t)(c.CreateUser(ctx, &sdk.CreateUserInput{UserName: name}))
			var all sync.WaitGroup
			var gone, made error
			all.Go(func() { _, gone = c.DeleteUser(ctx, &sdk.DeleteUserInput{UserName: name}) })
			all.Go(func() { _, made = c.CreateAccessKey(ctx, &sdk.CreateAccessKeyInput{UserName: name}) })
			all.Wait()
			if (gone == nil) == (made == nil) {
				t.Errorf("removed: %v, got a key: %v", gone, made)
			}
		}
	})
}
