package lambda_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	lambdaapi "penstock/internal/api/lambda"
	"penstock/internal/auth"
	"penstock/internal/fault"
)

// may is a caller with no policy of its own that allows to invoke.
func may(t *testing.T, c auth.Caller) context.Context {
	t.Helper()
	c.Account, c.Region = "000000000000", "us-east-1"
	ctx, err := auth.Limited(t.Context(), c, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"lambda:GetFunction","Resource":"*"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	return ctx
}

// N-16: the policy of a function lets in whom it names, for what it names, and services come in
// by no other way.
func TestPolicy(t *testing.T) {
	t.Parallel()
	s := open(t, everything)
	ctx := t.Context()
	s.create("f", "def handler(e, c): return 1")
	if _, err := s.PublishVersion(ctx, &sdk.PublishVersionInput{FunctionName: aws.String("f")}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateAlias(ctx, &sdk.CreateAliasInput{FunctionName: aws.String("f"), Name: aws.String("live"), FunctionVersion: aws.String("1")}); err != nil {
		t.Fatal(err)
	}
	rule := auth.Caller{Service: "events.amazonaws.com", SourceARN: "arn:aws:events:us-east-1:000000000000:rule/r", ARN: "arn:aws:sts::000000000000:assumed-role/events.amazonaws.com/events"}
	other := rule
	other.SourceARN = "arn:aws:events:us-east-1:000000000000:rule/other"
	ann := auth.Caller{ARN: "arn:aws:iam::000000000000:user/ann", UserName: "ann"}
	invoked := func(c auth.Caller, name string) string {
		t.Helper()
		_, err := s.room.Invoke(may(t, c), &lambdaapi.InvokeInput{FunctionName: name, InvocationType: "DryRun"})
		return fault.Code(err)
	}
	none := func(what string) {
		t.Helper()
		for _, c := range []auth.Caller{rule, other, ann} {
			for _, name := range []string{"f", "f:live", "f:1", "gone"} {
				if got := invoked(c, name); got != "AccessDeniedException" {
					t.Errorf("%s: %s%s invokes %s: %s", what, c.Service, c.UserName, name, got)
				}
			}
		}
	}
	none("at first")
	add := func(change func(*sdk.AddPermissionInput)) (*sdk.AddPermissionOutput, error) {
		in := &sdk.AddPermissionInput{FunctionName: aws.String("f"), StatementId: aws.String("rule"), Action: aws.String("lambda:InvokeFunction"),
			Principal: aws.String("events.amazonaws.com"), SourceArn: aws.String(rule.SourceARN), SourceAccount: aws.String("000000000000")}
		change(in)
		return s.AddPermission(ctx, in)
	}
	out, err := add(func(*sdk.AddPermissionInput) {})
	if err != nil || *out.Statement != `{"Sid":"rule","Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"arn:aws:lambda:us-east-1:000000000000:function:f",`+
		`"Condition":{"ArnLike":{"AWS:SourceArn":"arn:aws:events:us-east-1:000000000000:rule/r"},"StringEquals":{"AWS:SourceAccount":"000000000000"}}}` {
		t.Fatal(*out.Statement, err)
	}
	if _, err := add(func(in *sdk.AddPermissionInput) {
		in.StatementId, in.Principal, in.Qualifier, in.SourceArn, in.SourceAccount = aws.String("ann"), aws.String(ann.ARN), aws.String("live"), nil, nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		who  auth.Caller
		name string
		want string
	}{
		{rule, "f", ""}, {rule, "f:live", "AccessDeniedException"}, {rule, "f:1", "AccessDeniedException"}, {other, "f", "AccessDeniedException"},
		{ann, "f", "AccessDeniedException"}, {ann, "f:live", ""},
	} {
		if got := invoked(c.who, c.name); got != c.want {
			t.Errorf("%s%s invokes %s: %s", c.who.Service, c.who.UserName, c.name, got)
		}
	}
	for want, change := range map[string]func(*sdk.AddPermissionInput){
		"ResourceConflictException":   func(*sdk.AddPermissionInput) {},
		"ResourceNotFoundException":   func(in *sdk.AddPermissionInput) { in.Qualifier = aws.String("none") },
		"PreconditionFailedException": func(in *sdk.AddPermissionInput) { in.StatementId, in.RevisionId = aws.String("x"), aws.String("old") },
		"InvalidParameterValueException": func(in *sdk.AddPermissionInput) {
			in.StatementId, in.Principal = aws.String("x"), aws.String("nobody")
		},
		"PolicyLengthExceededException": func(in *sdk.AddPermissionInput) {
			in.StatementId, in.SourceArn = aws.String("x"), aws.String("arn:aws:s3:::"+strings.Repeat("x", 20<<10))
		},
	} {
		if _, err := add(change); code(err) != want {
			t.Errorf("%v, not %s", err, want)
		}
	}
	for what, change := range map[string]func(*sdk.AddPermissionInput){
		"an organisation": func(in *sdk.AddPermissionInput) { in.PrincipalOrgID = aws.String("o-a1b2c3d4e5") }, "a URL": func(in *sdk.AddPermissionInput) { in.FunctionUrlAuthType = types.FunctionUrlAuthTypeNone },
		"another action": func(in *sdk.AddPermissionInput) { in.Action = aws.String("lambda:GetFunction") },
		"$LATEST":        func(in *sdk.AddPermissionInput) { in.Qualifier = aws.String("$LATEST") }, "a token": func(in *sdk.AddPermissionInput) { in.EventSourceToken = aws.String("t") },
	} {
		if _, err := add(change); code(err) != "InvalidParameterValueException" {
			t.Errorf("%s: %v", what, err)
		}
	}
	shown, err := s.GetPolicy(ctx, &sdk.GetPolicyInput{FunctionName: aws.String("f")})
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Version, Id string
		Statement   []json.RawMessage
	}
	if err := json.Unmarshal([]byte(*shown.Policy), &document); err != nil || document.Version != "2012-10-17" || document.Id != "default" || len(document.Statement) != 1 || string(document.Statement[0]) != *out.Statement {
		t.Error(*shown.Policy, err)
	}
	// A new code and another version leave the policy alone.
	if _, err := s.UpdateFunctionConfiguration(ctx, &sdk.UpdateFunctionConfigurationInput{FunctionName: aws.String("f"), Description: aws.String("new")}); err != nil || invoked(rule, "f") != "" {
		t.Error(err, invoked(rule, "f"))
	}
	remove := func(id string, revision *string) string {
		_, err := s.RemovePermission(ctx, &sdk.RemovePermissionInput{FunctionName: aws.String("f"), StatementId: &id, RevisionId: revision})
		return code(err)
	}
	if got := remove("none", nil) + remove("rule", aws.String("old")) + remove("rule", shown.RevisionId); got != "ResourceNotFoundExceptionPreconditionFailedException" {
		t.Error(got)
	}
	if _, err := s.GetPolicy(ctx, &sdk.GetPolicyInput{FunctionName: aws.String("f")}); code(err) != "ResourceNotFoundException" {
		t.Error(err)
	}
	// The policy of an alias goes with it, and is not that of a later one.
	for range 2 {
		if _, err := s.DeleteAlias(ctx, &sdk.DeleteAliasInput{FunctionName: aws.String("f"), Name: aws.String("live")}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.CreateAlias(ctx, &sdk.CreateAliasInput{FunctionName: aws.String("f"), Name: aws.String("live"), FunctionVersion: aws.String("1")}); err != nil {
		t.Fatal(err)
	}
	none("in the end")
}
