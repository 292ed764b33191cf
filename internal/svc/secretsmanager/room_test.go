package secretsmanager_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	wire "penstock/internal/api/secretsmanager"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
	"penstock/internal/svc/secretsmanager"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var ann = auth.Caller{Account: "000000000000", Region: "us-east-1", ARN: "arn:aws:iam::000000000000:user/ann"}

const prefix = "arn:aws:secretsmanager:us-east-1:000000000000:secret:"

// bench is a room and a caller who may do everything, at a time that the test sets.
type bench struct {
	*secretsmanager.Room
	*testing.T
	ctx   context.Context
	later *atomic.Int64
}

func each(t *testing.T, f func(b *bench)) {
	t.Helper()
	storetest.EachURL(t, func(t *testing.T, url string) {
		later := &atomic.Int64{}
		db := storetest.Open(t, url, func(c *store.Config) {
			c.Clock = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
		})
		f(&bench{secretsmanager.New(secretsmanager.Deps{DB: db}), t, auth.Trusted(t.Context(), ann), later})
	})
}

func token(n int) string { return fmt.Sprintf("%032d", n) }

func (b *bench) create(in wire.CreateSecretInput, code string) *wire.CreateSecretOutput {
	b.Helper()
	out, err := b.CreateSecret(b.ctx, &in)
	b.code("create "+in.Name, err, code)
	return out
}

func (b *bench) put(in wire.PutSecretValueInput, code string) *wire.PutSecretValueOutput {
	b.Helper()
	out, err := b.PutSecretValue(b.ctx, &in)
	b.code("put "+in.SecretId, err, code)
	return out
}

func (b *bench) code(what string, err error, code string) {
	b.Helper()
	if fault.Code(err) != code || err != nil && code == "" {
		b.Errorf("%.60s: %v, want %q", what, err, code)
	}
}

// get gives the value with the stages it is at, or the code of the refusal.
func (b *bench) get(id, version, stage string) string {
	b.Helper()
	out, err := b.GetSecretValue(b.ctx, &wire.GetSecretValueInput{SecretId: id, VersionId: version, VersionStage: stage})
	if err != nil {
		return fault.Code(err)
	}
	return fmt.Sprint(out.SecretString, string(out.SecretBinary), out.VersionStages)
}

func (b *bench) want(what, got, want string) {
	b.Helper()
	if got != want {
		b.Errorf("%s: %q, want %q", what, got, want)
	}
}

// N-17: versions of a secret and the stages they are at; a token makes one version, however
// often it is sent.
func TestVersions(t *testing.T) {
	t.Parallel()
	each(t, func(b *bench) {
		made := b.create(wire.CreateSecretInput{Name: "prod/db", SecretString: "one", ClientRequestToken: token(1), Description: "d"}, "")
		if !regexp.MustCompile(`^`+prefix+`prod/db-[A-Za-z0-9]{6}$`).MatchString(made.ARN) || made.VersionId != token(1) {
			t.Fatalf("%+v", made)
		}
		if again := b.create(wire.CreateSecretInput{Name: "prod/db", SecretString: "one", ClientRequestToken: token(1)}, ""); again.ARN != made.ARN || again.VersionId != token(1) {
			t.Errorf("%+v", again)
		}
		b.create(wire.CreateSecretInput{Name: "prod/db", SecretString: "two", ClientRequestToken: token(1)}, "ResourceExistsException")
		b.create(wire.CreateSecretInput{Name: "prod/db", SecretString: "one", ClientRequestToken: token(2)}, "ResourceExistsException")
		b.create(wire.CreateSecretInput{Name: "prod/db"}, "ResourceExistsException")

		for _, id := range []string{"prod/db", made.ARN, prefix + "prod/db"} {
			b.want(id, b.get(id, "", ""), "one[AWSCURRENT]")
		}
		for _, id := range []string{"prod/d", made.ARN[:len(made.ARN)-1], strings.Replace(made.ARN, "us-east-1", "eu-west-1", 1), strings.Replace(made.ARN, "000000000000", "111111111111", 1), "prod/db\x00"} {
			b.want(id, b.get(id, "", ""), "ResourceNotFoundException")
		}
		if out := b.put(wire.PutSecretValueInput{SecretId: "prod/db", SecretString: "two", ClientRequestToken: token(2)}, ""); fmt.Sprint(out.VersionStages) != "[AWSCURRENT]" {
			t.Errorf("%+v", out)
		}
		b.put(wire.PutSecretValueInput{SecretId: "prod/db", SecretString: "two", ClientRequestToken: token(2)}, "")
		b.put(wire.PutSecretValueInput{SecretId: "prod/db", SecretString: "other", ClientRequestToken: token(2)}, "ResourceExistsException")
		b.put(wire.PutSecretValueInput{SecretId: "prod/db", SecretBinary: []byte("two"), ClientRequestToken: token(2)}, "ResourceExistsException")
		b.put(wire.PutSecretValueInput{SecretId: "prod/db"}, "InvalidRequestException")
		b.put(wire.PutSecretValueInput{SecretId: "prod/db", SecretString: "x", SecretBinary: []byte("x")}, "InvalidParameterException")
		b.want("current", b.get("prod/db", "", "AWSCURRENT"), "two[AWSCURRENT]")
		b.want("previous", b.get("prod/db", "", "AWSPREVIOUS"), "one[AWSPREVIOUS]")
		b.want("by id", b.get("prod/db", token(1), ""), "one[AWSPREVIOUS]")
		b.want("both", b.get("prod/db", token(1), "AWSPREVIOUS"), "one[AWSPREVIOUS]")
		b.want("not both", b.get("prod/db", token(1), "AWSCURRENT"), "InvalidRequestException")
		b.want("no stage", b.get("prod/db", "", "AWSPENDING"), "ResourceNotFoundException")
		b.want("no version", b.get("prod/db", token(9), ""), "ResourceNotFoundException")

		b.put(wire.PutSecretValueInput{SecretId: "prod/db", SecretBinary: []byte("\x00\xff"), ClientRequestToken: token(3), VersionStages: []string{"AWSPENDING"}}, "")
		b.want("pending", b.get("prod/db", "", "AWSPENDING"), "\x00\xff[AWSPENDING]")
		b.want("still current", b.get("prod/db", "", ""), "two[AWSCURRENT]")

		move := func(stage, from, to, code string) {
			t.Helper()
			_, err := b.UpdateSecretVersionStage(b.ctx, &wire.UpdateSecretVersionStageInput{SecretId: "prod/db", VersionStage: stage, RemoveFromVersionId: from, MoveToVersionId: to})
			b.code("move "+stage, err, code)
		}
		move("AWSCURRENT", "", token(3), "InvalidParameterException")
		move("AWSCURRENT", token(1), token(3), "InvalidParameterException")
		move("AWSCURRENT", token(2), "", "InvalidParameterException")
		move("AWSCURRENT", token(2), token(9), "ResourceNotFoundException")
		move("AWSCURRENT", "", "", "InvalidParameterException")
		move("AWSCURRENT", token(2), token(3), "")
		move("AWSPENDING", token(3), "", "")
		move("AWSPENDING", token(3), "", "InvalidParameterException")
		b.want("moved", b.get("prod/db", "", ""), "\x00\xff[AWSCURRENT]")
		b.want("left", b.get("prod/db", "", "AWSPREVIOUS"), "two[AWSPREVIOUS]")
		b.want("without a stage", b.get("prod/db", token(1), ""), "one[]")

		list := func(deprecated bool) int {
			t.Helper()
			n, next := 0, ""
			for {
				out, err := b.ListSecretVersionIds(b.ctx, &wire.ListSecretVersionIdsInput{SecretId: "prod/db", IncludeDeprecated: &deprecated, MaxResults: new(int32(2)), NextToken: next})
				if err != nil {
					t.Fatal(err)
				}
				if n, next = n+len(out.Versions), out.NextToken; next == "" {
					return n
				}
			}
		}
		if a, all := list(false), list(true); a != 2 || all != 3 {
			t.Error(a, all)
		}
		for i := range 120 {
			b.put(wire.PutSecretValueInput{SecretId: "prod/db", SecretString: "x", ClientRequestToken: token(1000 + i)}, "")
		}
		if all := list(true); all != 102 {
			t.Errorf("%d versions are kept", all)
		}
		if out, err := b.UpdateSecret(b.ctx, &wire.UpdateSecretInput{SecretId: "prod/db", Description: new("new"), KmsKeyId: new("alias/mine")}); err != nil || out.VersionId != "" {
			t.Error(out, err)
		}
		if out, err := b.UpdateSecret(b.ctx, &wire.UpdateSecretInput{SecretId: "prod/db", SecretString: "last"}); err != nil || len(out.VersionId) != 36 {
			t.Error(out, err)
		}
		b.want("updated", b.get("prod/db", "", ""), "last[AWSCURRENT]")
		out, err := b.DescribeSecret(b.ctx, &wire.DescribeSecretInput{SecretId: "prod/db"})
		if err != nil || out.Description != "new" || out.KmsKeyId != "alias/mine" || len(out.VersionIdsToStages) != 2 || out.DeletedDate != nil || out.RotationEnabled != nil {
			t.Errorf("%+v %v", out, err)
		}
		if _, err := b.UpdateSecret(b.ctx, &wire.UpdateSecretInput{SecretId: "prod/db", KmsKeyId: new("")}); err != nil {
			t.Error(err)
		}
		if out, err := b.DescribeSecret(b.ctx, &wire.DescribeSecretInput{SecretId: "prod/db"}); err != nil || out.Description != "new" || out.KmsKeyId != "" {
			t.Errorf("%+v %v", out, err)
		}
		for i := range 18 { // and the two that are there
			b.put(wire.PutSecretValueInput{SecretId: "prod/db", SecretString: "x", VersionStages: []string{fmt.Sprint("s", i)}}, "")
		}
		b.put(wire.PutSecretValueInput{SecretId: "prod/db", SecretString: "x", VersionStages: []string{"more"}}, "LimitExceededException")
	})
}

// N-17: versions that are made at once each are one version, and exactly one is current.
func TestConcurrentVersions(t *testing.T) {
	t.Parallel()
	each(t, func(b *bench) {
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				_, err := b.CreateSecret(b.ctx, &wire.CreateSecretInput{Name: "s", SecretString: "v", ClientRequestToken: token(0)})
				b.code("create", err, "")
				b.put(wire.PutSecretValueInput{SecretId: "s", SecretString: fmt.Sprint(i), ClientRequestToken: token(i + 1)}, "")
				b.put(wire.PutSecretValueInput{SecretId: "s", SecretString: "same", ClientRequestToken: token(100)}, "")
			})
		}
		all.Wait()
		out, err := b.DescribeSecret(b.ctx, &wire.DescribeSecretInput{SecretId: "s"})
		if err != nil {
			t.Fatal(err)
		}
		stages := []string{}
		for _, s := range out.VersionIdsToStages {
			stages = append(stages, s...)
		}
		if slices.Sort(stages); fmt.Sprint(stages) != "[AWSCURRENT AWSPREVIOUS]" {
			t.Error(out.VersionIdsToStages)
		}
		list, err := b.ListSecretVersionIds(b.ctx, &wire.ListSecretVersionIdsInput{SecretId: "s", IncludeDeprecated: new(true)})
		if err != nil || len(list.Versions) != 10 {
			t.Error(len(list.Versions), err)
		}
	})
}

// N-17: a deleted secret can be had back until its window ends; then its name is free.
func TestDeletion(t *testing.T) {
	t.Parallel()
	each(t, func(b *bench) {
		first := b.create(wire.CreateSecretInput{Name: "s", SecretString: "one", Tags: []wire.Tag{{Key: "a", Value: "b"}}}, "")
		remove := func(days *int64, force bool, code string) *wire.DeleteSecretOutput {
			t.Helper()
			out, err := b.DeleteSecret(b.ctx, &wire.DeleteSecretInput{SecretId: "s", RecoveryWindowInDays: days, ForceDeleteWithoutRecovery: &force})
			b.code("delete", err, code)
			return out
		}
		remove(new(int64(6)), false, "InvalidParameterException")
		remove(new(int64(31)), false, "InvalidParameterException")
		remove(new(int64(7)), true, "InvalidParameterException")
		if out := remove(new(int64(7)), false, ""); time.Until(*out.DeletionDate) < 167*time.Hour || out.ARN != first.ARN {
			t.Errorf("%+v", out)
		}
		remove(nil, false, "InvalidRequestException")
		b.want("deleted", b.get("s", "", ""), "InvalidRequestException")
		b.put(wire.PutSecretValueInput{SecretId: "s", SecretString: "x"}, "InvalidRequestException")
		b.create(wire.CreateSecretInput{Name: "s"}, "InvalidRequestException")
		if out, err := b.DescribeSecret(b.ctx, &wire.DescribeSecretInput{SecretId: "s"}); err != nil || out.DeletedDate == nil {
			t.Error(out, err)
		}
		if out, err := b.RestoreSecret(b.ctx, &wire.RestoreSecretInput{SecretId: "s"}); err != nil || out.ARN != first.ARN {
			t.Error(out, err)
		}
		b.want("restored", b.get("s", "", ""), "one[AWSCURRENT]")

		remove(nil, false, "")
		b.later.Add(int64(30*24*time.Hour + time.Hour))
		b.want("gone", b.get("s", "", ""), "ResourceNotFoundException")
		if _, err := b.RestoreSecret(b.ctx, &wire.RestoreSecretInput{SecretId: "s"}); fault.Code(err) != "ResourceNotFoundException" {
			t.Error(err)
		}
		second := b.create(wire.CreateSecretInput{Name: "s"}, "")
		if second.ARN == first.ARN || second.VersionId != "" {
			t.Errorf("%+v", second)
		}
		b.want("the first", b.get(first.ARN, "", ""), "ResourceNotFoundException")
		b.want("without a value", b.get("s", "", ""), "ResourceNotFoundException")
		if out, err := b.DescribeSecret(b.ctx, &wire.DescribeSecretInput{SecretId: "s"}); err != nil || len(out.Tags) != 0 {
			t.Error(out, err)
		}
		remove(nil, true, "")
		remove(nil, true, "") // what is not there has been deleted
		remove(nil, false, "ResourceNotFoundException")
		b.create(wire.CreateSecretInput{Name: "s"}, "")
	})
}

// N-17: lists, filters, tags, and what is refused.
func TestListsAndRefusals(t *testing.T) {
	t.Parallel()
	each(t, func(b *bench) {
		for i := range 12 {
			b.create(wire.CreateSecretInput{Name: fmt.Sprintf("app/%02d", i), SecretString: "v", Description: "Number"}, "")
		}
		b.create(wire.CreateSecretInput{Name: "db", Tags: []wire.Tag{{Key: "team", Value: "red"}}}, "")
		b.create(wire.CreateSecretInput{Name: "gone"}, "")
		if _, err := b.DeleteSecret(b.ctx, &wire.DeleteSecretInput{SecretId: "gone"}); err != nil {
			t.Fatal(err)
		}
		list := func(in wire.ListSecretsInput) string {
			t.Helper()
			var names []string
			in.MaxResults = new(int32(5))
			for {
				out, err := b.ListSecrets(b.ctx, &in)
				if err != nil {
					return fault.Code(err)
				}
				for _, s := range out.SecretList {
					names = append(names, s.Name)
				}
				if in.NextToken = out.NextToken; in.NextToken == "" {
					break
				}
			}
			if len(names) > 3 {
				return fmt.Sprint(len(names), " ", names[0])
			}
			return strings.Join(names, " ")
		}
		f := func(key string, values ...string) wire.ListSecretsInput {
			return wire.ListSecretsInput{Filters: []wire.Filter{{Key: key, Values: values}}}
		}
		b.want("all", list(wire.ListSecretsInput{}), "13 app/00")
		b.want("the other way", list(wire.ListSecretsInput{SortOrder: "desc", SortBy: "name"}), "13 db")
		b.want("deleted ones too", list(wire.ListSecretsInput{IncludePlannedDeletion: new(true), SortOrder: "desc"}), "14 gone")
		b.want("names", list(f("name", "app/1")), "app/10 app/11")
		b.want("not those", list(f("name", "!app")), "db")
		b.want("descriptions", list(f("description", "num")), "12 app/00")
		b.want("tags", list(f("tag-key", "te")), "db")
		b.want("values of tags", list(f("tag-value", "blue", "re")), "db")
		b.want("anything", list(f("all", "RED")), "db")
		b.want("none", list(f("owning-service", "x")), "")
		b.want("order", list(wire.ListSecretsInput{SortBy: "created-date"}), "InvalidParameterException")
		for _, token := range []string{"x", base64.RawURLEncoding.EncodeToString([]byte("s\x00"))} {
			_, err := b.ListSecrets(b.ctx, &wire.ListSecretsInput{NextToken: token})
			b.code("token", err, "InvalidNextTokenException")
		}

		for _, name := range []string{"", "a b", "ä", "a:b", "a\x00", "a'; DROP TABLE secret; --", strings.Repeat("a", 513), "*", prefix + "x"} {
			b.create(wire.CreateSecretInput{Name: name, SecretString: "x"}, "InvalidParameterException")
			b.want(name, b.get(name, "", ""), "ResourceNotFoundException")
		}
		b.create(wire.CreateSecretInput{Name: "x", SecretString: "x", ClientRequestToken: strings.Repeat("\x00", 32)}, "InvalidParameterException")
		b.create(wire.CreateSecretInput{Name: "x", SecretString: strings.Repeat("ä", 40_000)}, "InvalidParameterException")
		b.create(wire.CreateSecretInput{Name: "x", AddReplicaRegions: []wire.ReplicaRegionType{{Region: "eu-west-1"}}}, "InvalidParameterException")
		b.create(wire.CreateSecretInput{Name: "x", Tags: []wire.Tag{{Key: "aws:x"}}}, "InvalidParameterException")
		b.create(wire.CreateSecretInput{Name: "x", Tags: []wire.Tag{{Key: "a\x00"}}}, "InvalidParameterException")
		b.put(wire.PutSecretValueInput{SecretId: "db", SecretString: "x", VersionStages: []string{"a\x00"}}, "InvalidParameterException")
		b.want("hostile stage", b.get("db", "", "a\x00"), "ResourceNotFoundException")
		b.want("hostile version", b.get("db", "a\x00", ""), "ResourceNotFoundException")
		_, err := b.RotateSecret(b.ctx, &wire.RotateSecretInput{SecretId: "db"})
		b.code("rotation", err, "UnknownOperationException")
		_, err = b.PutResourcePolicy(b.ctx, &wire.PutResourcePolicyInput{SecretId: "db", ResourcePolicy: "{}"})
		b.code("policies", err, "UnknownOperationException")
		if out, err := b.GetResourcePolicy(b.ctx, &wire.GetResourcePolicyInput{SecretId: "db"}); err != nil || out.Name != "db" || out.ResourcePolicy != "" {
			t.Error(out, err)
		}
		for i := range 49 {
			_, err := b.TagResource(b.ctx, &wire.TagResourceInput{SecretId: "db", Tags: []wire.Tag{{Key: fmt.Sprint(i)}}})
			b.code("tag", err, "")
		}
		_, err = b.TagResource(b.ctx, &wire.TagResourceInput{SecretId: "db", Tags: []wire.Tag{{Key: "more"}}})
		b.code("too many tags", err, "LimitExceededException")
		_, err = b.UntagResource(b.ctx, &wire.UntagResourceInput{SecretId: "db", TagKeys: []string{"team", "none"}})
		b.code("untag", err, "")
		if out, err := b.DescribeSecret(b.ctx, &wire.DescribeSecretInput{SecretId: "db"}); err != nil || len(out.Tags) != 49 {
			t.Error(out, err)
		}
	})
}

// N-17: who may use a secret is decided by its whole ARN; whoever may not does not learn
// whether it is there.
func TestPermissions(t *testing.T) {
	t.Parallel()
	each(t, func(b *bench) {
		red := b.create(wire.CreateSecretInput{Name: "red", SecretString: "v"}, "")
		b.create(wire.CreateSecretInput{Name: "blue", SecretString: "v"}, "")
		var err error
		if b.ctx, err = auth.Limited(t.Context(), ann, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["secretsmanager:Get*","secretsmanager:CreateSecret"],"Resource":["`+
			red.ARN+`","`+prefix+`mine/*"]}]}`); err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"red", red.ARN, prefix + "red"} {
			b.want(id, b.get(id, "", ""), "v[AWSCURRENT]")
		}
		for _, id := range []string{"blue", "none", prefix + "blue", prefix + "none-abcdef", "arn:aws:secretsmanager:eu-west-1:000000000000:secret:red"} {
			b.want(id, b.get(id, "", ""), "AccessDeniedException")
		}
		b.create(wire.CreateSecretInput{Name: "mine/a", SecretString: "v"}, "")
		b.create(wire.CreateSecretInput{Name: "mine/b", Tags: []wire.Tag{{Key: "a"}}}, "AccessDeniedException")
		b.create(wire.CreateSecretInput{Name: "yours/a"}, "AccessDeniedException")
		b.put(wire.PutSecretValueInput{SecretId: "red", SecretString: "x"}, "AccessDeniedException")
		_, err = b.DeleteSecret(b.ctx, &wire.DeleteSecretInput{SecretId: "none", ForceDeleteWithoutRecovery: new(true)})
		b.code("delete", err, "AccessDeniedException")
		_, err = b.ListSecrets(b.ctx, &wire.ListSecretsInput{})
		b.code("list", err, "AccessDeniedException")
	})
}

// N-17: random passwords are as they are asked for.
func TestRandomPassword(t *testing.T) {
	t.Parallel()
	r := secretsmanager.New(secretsmanager.Deps{})
	ctx := auth.Trusted(t.Context(), ann)
	for name, c := range map[string]struct {
		in    wire.GetRandomPasswordInput
		shape string
	}{
		"by default": {wire.GetRandomPasswordInput{}, `^[!-~]{32}$`},
		"digits":     {wire.GetRandomPasswordInput{PasswordLength: new(int64(900)), ExcludeLowercase: new(true), ExcludeUppercase: new(true), ExcludePunctuation: new(true)}, `^[0-9]{900}$`},
		"without":    {wire.GetRandomPasswordInput{ExcludePunctuation: new(true), ExcludeCharacters: "abcABC0"}, `^[d-zD-Z1-9]{32}$`},
		"each":       {wire.GetRandomPasswordInput{PasswordLength: new(int64(4)), ExcludeCharacters: ""}, `^.{4}$`},
		"too short":  {wire.GetRandomPasswordInput{PasswordLength: new(int64(4)), IncludeSpace: new(true)}, ``},
		"short":      {wire.GetRandomPasswordInput{PasswordLength: new(int64(1)), RequireEachIncludedType: new(false)}, `^.$`},
		"nothing":    {wire.GetRandomPasswordInput{ExcludeLowercase: new(true), ExcludeUppercase: new(true), ExcludePunctuation: new(true), ExcludeCharacters: "0123456789"}, ``},
	} {
		out, err := r.GetRandomPassword(ctx, &c.in)
		switch {
		case c.shape == "":
			if fault.Code(err) != "InvalidParameterException" {
				t.Error(name, out, err)
			}
		case err != nil || !regexp.MustCompile(c.shape).MatchString(out.RandomPassword):
			t.Error(name, out, err)
		case name == "each" && !(strings.ContainsAny(out.RandomPassword, "0123456789") && strings.ContainsAny(out.RandomPassword, "abcdefghijklmnopqrstuvwxyz")):
			t.Error(out)
		}
	}
}
