package ssm_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"

	wire "penstock/internal/api/ssm"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
	"penstock/internal/svc/ssm"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var ann = auth.Caller{Account: "000000000000", Region: "us-east-1", ARN: "arn:aws:iam::000000000000:user/ann"}

// bench is a room and a caller who may do everything.
type bench struct {
	*ssm.Room
	*testing.T
	ctx context.Context
}

func each(t *testing.T, f func(b *bench, db *store.DB)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f(&bench{ssm.New(ssm.Deps{DB: db}), t, auth.Trusted(t.Context(), ann)}, db)
	})
}

func (b *bench) put(in wire.PutParameterInput, code string) *wire.PutParameterOutput {
	b.Helper()
	out, err := b.PutParameter(b.ctx, &in)
	if fault.Code(err) != code || err != nil && code == "" {
		b.Errorf("put %.60q: %v, want %q", in.Name, err, code)
	}
	return out
}

// get gives "value version selector", or the code of the refusal.
func (b *bench) get(name string, decrypt bool) string {
	b.Helper()
	out, err := b.GetParameter(b.ctx, &wire.GetParameterInput{Name: name, WithDecryption: &decrypt})
	if err != nil {
		return fault.Code(err)
	}
	return fmt.Sprintf("%s %d%s", out.Parameter.Value, *out.Parameter.Version, out.Parameter.Selector)
}

func want(t testing.TB, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// N-17: versions, types, tiers and patterns of parameters.
func TestPutAndGet(t *testing.T) {
	t.Parallel()
	each(t, func(b *bench, _ *store.DB) {
		b.put(wire.PutParameterInput{Name: "/web/url", Value: "one"}, "ValidationException") // no type
		if out := b.put(wire.PutParameterInput{Name: "/web/url", Value: "one", Type: "String", Tags: []wire.Tag{{Key: "team", Value: "red"}}}, ""); *out.Version != 1 || out.Tier != "Standard" {
			t.Errorf("%+v", out)
		}
		b.put(wire.PutParameterInput{Name: "/web/url", Value: "two", Type: "String"}, "ParameterAlreadyExists")
		if out := b.put(wire.PutParameterInput{Name: "/web/url", Value: "two", Overwrite: new(true)}, ""); *out.Version != 2 {
			t.Errorf("%+v", out)
		}
		b.put(wire.PutParameterInput{Name: "/web/url", Value: "x", Overwrite: new(true), Type: "SecureString"}, "HierarchyTypeMismatchException")
		b.put(wire.PutParameterInput{Name: "/web/url", Value: "x", Overwrite: new(true), Tags: []wire.Tag{{Key: "a"}}}, "ValidationException")
		want(t, "newest", b.get("/web/url", false), "two 2")
		want(t, "a version", b.get("/web/url:1", false), "one 1:1")
		want(t, "by ARN", b.get("arn:aws:ssm:us-east-1:000000000000:parameter/web/url:2", false), "two 2:2")
		want(t, "no version", b.get("/web/url:3", false), "ParameterVersionNotFound")
		want(t, "a label", b.get("/web/url:prod", false), "ParameterVersionNotFound")
		want(t, "elsewhere", b.get("arn:aws:ssm:eu-west-1:000000000000:parameter/web/url", false), "ParameterNotFound")
		want(t, "none", b.get("/web", false), "ParameterNotFound")

		// /a and a are two parameters with one ARN.
		b.put(wire.PutParameterInput{Name: "/a", Value: "rooted", Type: "String"}, "")
		want(t, "by ARN", b.get("arn:aws:ssm:us-east-1:000000000000:parameter/a", false), "rooted 1")
		b.put(wire.PutParameterInput{Name: "a", Value: "1,2,3", Type: "StringList"}, "")
		want(t, "a list", b.get("a", false), "1,2,3 1")

		// A SecureString is shown to those who ask for it.
		b.put(wire.PutParameterInput{Name: "/web/password", Value: "hunter2", Type: "SecureString", KeyId: "alias/mine"}, "")
		want(t, "decrypted", b.get("/web/password", true), "hunter2 1")
		hidden := b.get("/web/password", false)
		if text, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(hidden, " 1")); err != nil || strings.Contains(string(text), "hunter2") {
			t.Errorf("%q %v", hidden, err)
		}
		b.put(wire.PutParameterInput{Name: "/web/none", Value: "x", Type: "String", KeyId: "alias/mine"}, "ValidationException")

		// Sizes and tiers.
		large := strings.Repeat("x", 4097)
		b.put(wire.PutParameterInput{Name: "/l", Value: large, Type: "String"}, "ValidationException")
		b.put(wire.PutParameterInput{Name: "/l", Value: large, Type: "String", Tier: "Standard"}, "ValidationException")
		if out := b.put(wire.PutParameterInput{Name: "/l", Value: large, Type: "String", Tier: "Intelligent-Tiering"}, ""); out != nil && out.Tier != "Advanced" {
			t.Errorf("%+v", out)
		}
		b.put(wire.PutParameterInput{Name: "/l", Value: "x", Overwrite: new(true), Tier: "Standard"}, "ValidationException")
		b.put(wire.PutParameterInput{Name: "/l", Value: large, Overwrite: new(true)}, "")
		b.put(wire.PutParameterInput{Name: "/l", Value: large + large, Overwrite: new(true)}, "ValidationException")

		b.put(wire.PutParameterInput{Name: "/n", Value: "12a", Type: "String", AllowedPattern: `\d+`}, "ParameterPatternMismatchException")
		b.put(wire.PutParameterInput{Name: "/n", Value: "12", Type: "String", AllowedPattern: `(`}, "InvalidAllowedPatternException")
		b.put(wire.PutParameterInput{Name: "/n", Value: "12", Type: "String", AllowedPattern: `^\d+$`}, "")
		// What cannot be kept is refused.
		b.put(wire.PutParameterInput{Name: "/p", Value: "x", Type: "String", Policies: `[{"Type":"Expiration"}]`}, "ValidationException")
		b.put(wire.PutParameterInput{Name: "/p", Value: "x", Type: "String", DataType: "aws:ec2:image"}, "ValidationException")
		b.put(wire.PutParameterInput{Name: "/p", Value: "", Type: "String"}, "ValidationException")

		out, err := b.GetParameters(b.ctx, &wire.GetParametersInput{Names: []string{"/web/url", "/web/nowhere", "a:1", "/web/url:9"}})
		if err != nil || len(out.Parameters) != 2 || fmt.Sprint(out.InvalidParameters) != "[/web/nowhere /web/url:9]" || out.Parameters[1].Selector != ":1" {
			t.Errorf("%+v %v", out, err)
		}
		deleted, err := b.DeleteParameters(b.ctx, &wire.DeleteParametersInput{Names: []string{"/web/url", "/web/nowhere"}})
		if err != nil || fmt.Sprint(*deleted) != "{[/web/url] [/web/nowhere]}" {
			t.Errorf("%+v %v", deleted, err)
		}
		if _, err := b.DeleteParameter(b.ctx, &wire.DeleteParameterInput{Name: "/web/url"}); fault.Code(err) != "ParameterNotFound" {
			t.Error(err)
		}
		b.put(wire.PutParameterInput{Name: "/web/url", Value: "again", Type: "String"}, "")
		want(t, "made again", b.get("/web/url", false), "again 1")
		if tags, err := b.ListTagsForResource(b.ctx, &wire.ListTagsForResourceInput{ResourceType: "Parameter", ResourceId: "/web/url"}); err != nil || len(tags.TagList) != 0 {
			t.Error("the tags of the deleted one came back", tags, err)
		}
	})
}

// N-17: names that are none, or are the service's own.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	each(t, func(b *bench, _ *store.DB) {
		for name, code := range map[string]string{
			"a/b": "ValidationException", "//a": "ValidationException", "/a/": "ValidationException", "/a//b": "ValidationException", "": "ValidationException",
			"/": "ValidationException", "/a b": "ValidationException", "/ä": "ValidationException", "/a\x00b": "ValidationException", "a\xffb": "ValidationException",
			"ssm-x": "ValidationException", "/SSM/x": "ValidationException", "aws": "AccessDeniedException", "/aws/service/x": "AccessDeniedException",
			"/a:1": "ValidationException", "/../../etc/passwd": "", "/%2e%2e/x": "ValidationException", "/a'; DROP TABLE parameter; --": "ValidationException",
			strings.Repeat("/a", 15): "", strings.Repeat("/a", 16): "HierarchyLevelLimitExceededException", "/" + strings.Repeat("a", 1000): "ValidationException",
			"arn:aws:ssm:us-east-1:000000000000:parameter/x": "ValidationException", "*": "ValidationException",
		} {
			b.put(wire.PutParameterInput{Name: name, Value: "x", Type: "String"}, code)
			if code == "" {
				continue
			}
			if got := b.get(name, true); got != "ParameterNotFound" && got != "ParameterVersionNotFound" {
				t.Errorf("get %q: %s", name, got)
			}
			if _, err := b.DeleteParameter(b.ctx, &wire.DeleteParameterInput{Name: name}); fault.Code(err) != "ParameterNotFound" {
				t.Errorf("delete %q: %v", name, err)
			}
			if _, err := b.ListTagsForResource(b.ctx, &wire.ListTagsForResourceInput{ResourceType: "Parameter", ResourceId: name}); fault.Code(err) != "InvalidResourceId" {
				t.Errorf("tags of %q: %v", name, err)
			}
			filter := []wire.ParameterStringFilter{{Key: "Name", Option: "Equals", Values: []string{name}}}
			if out, err := b.DescribeParameters(b.ctx, &wire.DescribeParametersInput{ParameterFilters: filter}); err != nil || len(out.Parameters) > 0 {
				t.Errorf("describe %q: %v %v", name, out, err)
			}
			if _, err := b.GetParametersByPath(b.ctx, &wire.GetParametersByPathInput{Path: name + "/"}); err != nil && fault.Code(err) == "" {
				t.Errorf("path %q: %v", name, err)
			}
		}
		for _, token := range []string{"x", "cGEAYg", base64.RawURLEncoding.EncodeToString([]byte("p\x00"))} {
			if _, err := b.DescribeParameters(b.ctx, &wire.DescribeParametersInput{NextToken: token}); fault.Code(err) != "InvalidNextToken" {
				t.Errorf("token %q: %v", token, err)
			}
		}
	})
}

// N-17: paths, filters and pages.
func TestLists(t *testing.T) {
	t.Parallel()
	each(t, func(b *bench, _ *store.DB) {
		for i := range 25 {
			b.put(wire.PutParameterInput{Name: fmt.Sprintf("/app/p%02d", i), Value: "v", Type: "String"}, "")
		}
		b.put(wire.PutParameterInput{Name: "/app/db/password", Value: "v", Type: "SecureString", Tags: []wire.Tag{{Key: "team", Value: "red"}}}, "")
		b.put(wire.PutParameterInput{Name: "/apple", Value: "v", Type: "StringList"}, "")
		b.put(wire.PutParameterInput{Name: "plain", Value: "v", Type: "String", Tier: "Advanced"}, "")
		path := func(path string, deep bool) int {
			t.Helper()
			n, token := 0, ""
			for {
				out, err := b.GetParametersByPath(b.ctx, &wire.GetParametersByPathInput{Path: path, Recursive: &deep, NextToken: token})
				if err != nil {
					t.Fatal(err)
				}
				if n += len(out.Parameters); out.NextToken == "" {
					return n
				}
				token = out.NextToken
			}
		}
		for _, c := range []struct {
			path string
			deep bool
			n    int
		}{
			{"/app", false, 25}, {"/app/", false, 25}, {"/app", true, 26}, {"/", false, 2}, {"/", true, 28}, {"/app/db", false, 1}, {"/none", true, 0}, {"/apple", true, 0},
		} {
			if n := path(c.path, c.deep); n != c.n {
				t.Errorf("%s, recursive %v: %d, want %d", c.path, c.deep, n, c.n)
			}
		}
		for _, bad := range []string{"app", "//", "/a b", "/app//x"} {
			if _, err := b.GetParametersByPath(b.ctx, &wire.GetParametersByPathInput{Path: bad}); fault.Code(err) != "ValidationException" {
				t.Errorf("%q: %v", bad, err)
			}
		}
		describe := func(filters ...wire.ParameterStringFilter) string {
			t.Helper()
			n, token, names := 0, "", ""
			for {
				out, err := b.DescribeParameters(b.ctx, &wire.DescribeParametersInput{ParameterFilters: filters, MaxResults: new(int32(7)), NextToken: token})
				if err != nil {
					return fault.Code(err)
				}
				for _, p := range out.Parameters {
					n++
					names += " " + p.Name
				}
				if token = out.NextToken; token == "" {
					break
				}
			}
			if n > 3 {
				return fmt.Sprint(n)
			}
			return strings.TrimSpace(names)
		}
		f := func(key, option string, values ...string) wire.ParameterStringFilter {
			return wire.ParameterStringFilter{Key: key, Option: option, Values: values}
		}
		want(t, "all", describe(), "28")
		want(t, "a name", describe(f("Name", "", "plain")), "plain")
		want(t, "beginnings", describe(f("Name", "BeginsWith", "/appl")), "/apple")
		want(t, "parts", describe(f("Name", "Contains", "db/")), "/app/db/password")
		want(t, "several", describe(f("Name", "BeginsWith", "/appl", "pla")), "/apple plain")
		want(t, "types", describe(f("Type", "", "SecureString", "StringList")), "/app/db/password /apple")
		want(t, "both", describe(f("Type", "", "SecureString"), f("Path", "Recursive", "/app")), "/app/db/password")
		want(t, "level", describe(f("Path", "OneLevel", "/app/db")), "/app/db/password")
		want(t, "tiers", describe(f("Tier", "", "Advanced")), "plain")
		want(t, "keys", describe(f("KeyId", "", "alias/aws/ssm")), "/app/db/password")
		want(t, "tags", describe(f("tag:team", "", "red", "blue")), "/app/db/password")
		want(t, "other tags", describe(f("tag:team", "Equals", "blue")), "")
		want(t, "labels", describe(f("Label", "", "x")), "")
		want(t, "twice", describe(f("Type", "", "String"), f("Type", "", "String")), "ValidationException")
		want(t, "no option", describe(f("Type", "Contains", "String")), "InvalidFilterOption")
		want(t, "no value", describe(f("Type", "")), "InvalidFilterValue")
		if _, err := b.GetParametersByPath(b.ctx, &wire.GetParametersByPathInput{Path: "/", ParameterFilters: []wire.ParameterStringFilter{f("Name", "", "x")}}); fault.Code(err) != "InvalidFilterKey" {
			t.Error(err)
		}
		old, err := b.DescribeParameters(b.ctx, &wire.DescribeParametersInput{Filters: []wire.ParametersFilter{{Key: "Name", Values: []string{"/app/db"}}}})
		if err != nil || len(old.Parameters) != 1 || old.Parameters[0].KeyId != "alias/aws/ssm" || old.Parameters[0].LastModifiedUser != ann.ARN {
			t.Errorf("%+v %v", old, err)
		}
	})
}

// N-17: the history of a parameter has its last hundred versions, and versions that are made at
// once each have a number of their own.
func TestVersions(t *testing.T) {
	t.Parallel()
	each(t, func(b *bench, _ *store.DB) {
		const writers, each = 6, 18
		var all sync.WaitGroup
		for w := range writers {
			all.Go(func() {
				for i := range each {
					b.put(wire.PutParameterInput{Name: "/n", Value: fmt.Sprint(w, " ", i), Type: "SecureString", Overwrite: new(true)}, "")
				}
			})
		}
		all.Wait()
		token, next := "", int64(writers*each-99)
		for {
			out, err := b.GetParameterHistory(b.ctx, &wire.GetParameterHistoryInput{Name: "/n", WithDecryption: new(true), NextToken: token})
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range out.Parameters {
				if *p.Version != next || !strings.Contains(p.Value, " ") || p.KeyId != "alias/aws/ssm" {
					t.Fatalf("%+v, want version %d", p, next)
				}
				next++
			}
			if token = out.NextToken; token == "" {
				break
			}
		}
		if next != writers*each+1 {
			t.Errorf("the history ends before version %d", next)
		}
		want(t, "forgotten", b.get("/n:1", true), "ParameterVersionNotFound")
	})
}

// N-17: what a caller may do is decided parameter by parameter.
func TestPermissions(t *testing.T) {
	t.Parallel()
	each(t, func(b *bench, _ *store.DB) {
		b.put(wire.PutParameterInput{Name: "/red/a", Value: "v", Type: "String"}, "")
		b.put(wire.PutParameterInput{Name: "/blue/a", Value: "v", Type: "String"}, "")
		all := b.ctx
		var err error
		if b.ctx, err = auth.Limited(t.Context(), ann, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ssm:Get*","ssm:PutParameter"],"Resource":"arn:aws:ssm:us-east-1:000000000000:parameter/red/*"}]}`); err != nil {
			t.Fatal(err)
		}
		want(t, "allowed", b.get("/red/a", true), "v 1")
		want(t, "allowed, by ARN", b.get("arn:aws:ssm:us-east-1:000000000000:parameter/red/a", true), "v 1")
		for _, name := range []string{"/blue/a", "/blue/none", "/red", "arn:aws:ssm:us-east-1:000000000000:parameter/blue/a", "arn:aws:ssm:eu-west-1:000000000000:parameter/red/a"} {
			want(t, name, b.get(name, true), "AccessDeniedException")
		}
		b.put(wire.PutParameterInput{Name: "/red/b", Value: "v", Type: "String"}, "")
		b.put(wire.PutParameterInput{Name: "/red/c", Value: "v", Type: "String", Tags: []wire.Tag{{Key: "a"}}}, "AccessDeniedException")
		b.put(wire.PutParameterInput{Name: "/blue/b", Value: "v", Type: "String"}, "AccessDeniedException")
		for what, err := range map[string]error{
			"some of several": func() error {
				_, err := b.GetParameters(b.ctx, &wire.GetParametersInput{Names: []string{"/red/a", "/blue/a"}})
				return err
			}(),
			"a path": func() error {
				_, err := b.GetParametersByPath(b.ctx, &wire.GetParametersByPathInput{Path: "/blue"})
				return err
			}(),
			"all": func() error {
				_, err := b.DescribeParameters(b.ctx, &wire.DescribeParametersInput{})
				return err
			}(),
			"deleting": func() error {
				_, err := b.DeleteParameters(b.ctx, &wire.DeleteParametersInput{Names: []string{"/red/a"}})
				return err
			}(),
			"tags": func() error {
				_, err := b.AddTagsToResource(b.ctx, &wire.AddTagsToResourceInput{ResourceType: "Parameter", ResourceId: "/red/a"})
				return err
			}(),
		} {
			if fault.Code(err) != "AccessDeniedException" {
				t.Errorf("%s: %v", what, err)
			}
		}
		b.ctx = all
		want(t, "untouched", b.get("/blue/a", true), "v 1")
		tag := func(key string) error {
			_, err := b.AddTagsToResource(b.ctx, &wire.AddTagsToResourceInput{ResourceType: "Parameter", ResourceId: "/red/a", Tags: []wire.Tag{{Key: key, Value: "v"}}})
			return err
		}
		for i := range 50 {
			if err := tag(fmt.Sprint("k", i)); err != nil {
				t.Fatal(err)
			}
		}
		if err := tag("more"); fault.Code(err) != "TooManyTagsError" {
			t.Error(err)
		}
		if err := tag("aws:x"); fault.Code(err) != "ValidationException" {
			t.Error(err)
		}
		if _, err := b.RemoveTagsFromResource(b.ctx, &wire.RemoveTagsFromResourceInput{ResourceType: "Parameter", ResourceId: "/red/a", TagKeys: []string{"k0", "none"}}); err != nil {
			t.Error(err)
		}
		if out, err := b.ListTagsForResource(b.ctx, &wire.ListTagsForResourceInput{ResourceType: "Parameter", ResourceId: "/red/a"}); err != nil || len(out.TagList) != 49 {
			t.Error(out, err)
		}
		if _, err := b.ListTagsForResource(b.ctx, &wire.ListTagsForResourceInput{ResourceType: "Document", ResourceId: "/red/a"}); fault.Code(err) != "InvalidResourceType" {
			t.Error(err)
		}
	})
}
