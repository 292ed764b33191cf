package auth_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"penstock/internal/auth"
	"penstock/internal/policy"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// fact is what the oracle knows of one question: nothing but texts.
type fact struct {
	action, resource string
	keys             map[string]string
}

// rule is a statement as the oracle has it: a test of a fact, and the JSON that says the same.
type rule struct {
	deny  bool
	holds func(fact) bool
	text  map[string]any
}

// like says whether a pattern of * and ? fits, in its own way: as a regular expression.
func like(pattern, text string) bool {
	return regexp.MustCompile("^" + strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(pattern)) + "$").MatchString(text)
}

func anyOf(list []string, fits func(string) bool) bool {
	for _, s := range list {
		if fits(s) {
			return true
		}
	}
	return false
}

func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

func some(r *rand.Rand, from ...string) (list []string) {
	for range 1 + r.IntN(2) {
		list = append(list, pick(r, from...))
	}
	return list
}

// conditions are what a statement may ask for, each with what it means.
var conditions = []struct {
	operator, key, value string
	holds                func(got string, there bool) bool
}{
	{"StringEquals", "aws:RequestedRegion", "eu-west-3", func(got string, _ bool) bool { return got == "eu-west-3" }},
	{"StringNotEquals", "aws:RequestedRegion", "eu-west-3", func(got string, _ bool) bool { return got != "eu-west-3" }},
	{"StringLike", "aws:username", "a*", func(got string, there bool) bool { return there && strings.HasPrefix(got, "a") }},
	{"StringNotLike", "aws:username", "a*", func(got string, there bool) bool { return !there || !strings.HasPrefix(got, "a") }},
	{"StringEqualsIfExists", "aws:username", "ann", func(got string, there bool) bool { return !there || got == "ann" }},
	{"StringEqualsIgnoreCase", "aws:PrincipalTag/Team", "RED", func(got string, there bool) bool { return there && strings.EqualFold(got, "red") }},
	{"Null", "aws:PrincipalTag/Team", "true", func(_ string, there bool) bool { return !there }},
	{"Null", "aws:ResourceTag/Stage", "false", func(_ string, there bool) bool { return there }},
	{"StringEquals", "aws:ResourceTag/Stage", "prod", func(got string, there bool) bool { return there && got == "prod" }},
	{"ForAnyValue:StringEquals", "aws:ResourceTag/Stage", "test", func(got string, there bool) bool { return there && got == "test" }},
	{"ForAllValues:StringEquals", "aws:ResourceTag/Stage", "test", func(got string, there bool) bool { return !there || got == "test" }},
	{"ArnLike", "aws:PrincipalArn", "arn:aws:iam::*:user/*", func(got string, _ bool) bool { return strings.Contains(got, ":user/") }},
	{"ArnNotLike", "aws:PrincipalArn", "arn:aws:iam::*:role/*", func(got string, _ bool) bool { return !strings.Contains(got, ":role/") }},
	{"Bool", "aws:SecureTransport", "false", func(string, bool) bool { return true }},
	{"IpAddress", "aws:SourceIp", "192.0.2.0/24", func(got string, _ bool) bool { return strings.HasPrefix(got, "192.0.2.") }},
	{"NotIpAddress", "aws:SourceIp", "192.0.2.0/24", func(got string, _ bool) bool { return !strings.HasPrefix(got, "192.0.2.") }},
	{"DateLessThan", "aws:CurrentTime", "2027-01-01T00:00:00Z", func(string, bool) bool { return true }},
	{"DateGreaterThan", "aws:CurrentTime", "2027-01-01T00:00:00Z", func(string, bool) bool { return false }},
	{"NumericLessThan", "aws:EpochTime", "1", func(string, bool) bool { return false }},
	{"StringEquals", "aws:NobodyKnows", "x", func(_ string, there bool) bool { return there }},
}

// newRule makes one from chance. principals are put into it if it is of a resource's policy.
func newRule(r *rand.Rand, principals []string) rule {
	actions := some(r, "*", "codepipeline:*", "codepipeline:Get*", "codepipeline:GetPipeline", "CODEPIPELINE:getpipelinestate", "codepipeline:?etPipeline", "s3:*", "s3:GetObject", "codepipeline:StartPipelineExecution")
	resources := some(r, "*", "arn:aws:codepipeline:*:*:p", "arn:aws:codepipeline:eu-west-3:000000000000:*", "arn:aws:codepipeline:eu-west-3:000000000000:?", "arn:aws:codepipeline:us-*:*", "arn:aws:s3:::b/*", "arn:aws:codepipeline:*:*:p/S/*",
		"arn:aws:codepipeline:*:*:${aws:username}-*", "arn:aws:codepipeline:*:*:${aws:PrincipalTag/Team}")
	notAction, notResource := r.IntN(6) == 0, r.IntN(6) == 0
	out := rule{deny: r.IntN(4) == 0, text: map[string]any{}}
	out.text["Effect"] = map[bool]string{true: "Deny", false: "Allow"}[out.deny]
	out.text[map[bool]string{true: "NotAction", false: "Action"}[notAction]] = actions
	out.text[map[bool]string{true: "NotResource", false: "Resource"}[notResource]] = resources
	if principals != nil {
		out.text["Principal"] = map[string]any{"AWS": principals}
	}
	asked := map[int]bool{}
	for range r.IntN(3) {
		asked[r.IntN(len(conditions))] = true
	}
	all := map[string]map[string]any{}
	for i := range asked {
		c := conditions[i]
		if all[c.operator] == nil {
			all[c.operator] = map[string]any{}
		}
		all[c.operator][c.key] = c.value
	}
	if len(all) > 0 {
		out.text["Condition"] = all
	}
	out.holds = func(f fact) bool {
		if anyOf(actions, func(p string) bool { return like(strings.ToLower(p), strings.ToLower(f.action)) }) == notAction {
			return false
		}
		unknown, hit := false, false
		for _, p := range resources {
			p = regexp.MustCompile(`\$\{([^}]+)\}`).ReplaceAllStringFunc(p, func(v string) string {
				text, ok := f.keys[strings.ToLower(v[2:len(v)-1])]
				unknown = unknown || !ok
				if !ok {
					return "\x00"
				}
				return text
			})
			hit = hit || like(p, f.resource)
		}
		if hit == notResource || notResource && unknown && !out.deny { // nobody knows what was excepted
			return false
		}
		for i := range asked {
			got, there := f.keys[strings.ToLower(conditions[i].key)]
			if !conditions[i].holds(got, there) {
				return false
			}
		}
		return true
	}
	return out
}

type verdict struct{ allowed, denied bool }

// document makes a policy of some rules, and what it answers.
func document(r *rand.Rand, principals []string) (string, func(fact) verdict) {
	var rules []rule
	var statements []any
	for range 1 + r.IntN(3) {
		one := newRule(r, principals)
		rules, statements = append(rules, one), append(statements, one.text)
	}
	text, _ := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": statements})
	return string(text), func(f fact) (v verdict) {
		for _, one := range rules {
			v.allowed = v.allowed || !one.deny && one.holds(f)
			v.denied = v.denied || one.deny && one.holds(f)
		}
		return v
	}
}

// W-43, W-45, N-8: random principals ask for random operations on random resources, signed and
// authenticated as any request is; the answer is the one of an evaluator of its own, which knows
// nothing of the first: users and sessions of roles, policies of sessions and of resources,
// conditions, variables, NotAction, NotResource, and that a denial beats everything.
func TestAgainstOracle(t *testing.T) {
	t.Parallel()
	g := newRig(t, storetest.SQLite(t))
	r := rand.New(rand.NewPCG(7, 11))
	counted := map[bool]int{}
	for round := range 250 {
		name := fmt.Sprintf("%s-%d", pick(r, "ann", "bob"), round)
		facts := map[string]string{"aws:requestedregion": "eu-west-3", "aws:securetransport": "false"}
		tags := map[string]string{}
		if r.IntN(2) == 0 {
			tags["team"] = pick(r, "red", "blue", "p")
			facts["aws:principaltag/team"] = tags["team"]
		}
		own, owned := document(r, nil)
		var keys aws.Credentials
		var session func(fact) verdict
		principal := auth.UserARN("aws", acct, "/", name)
		if r.IntN(2) == 0 {
			keys = g.user(name, own)
			g.tx(func(ctx context.Context, tx *store.Tx) error { return tx.SetUserTags(ctx, acct, name, tags) })
			facts["aws:username"], facts["aws:principalarn"] = name, principal
		} else {
			principal = g.role(name, trusts(`{"Service":"codepipeline.amazonaws.com"}`), own)
			in := auth.MintInput{RoleARN: principal, SessionName: "session", Tags: tags, Duration: time.Hour}
			if r.IntN(2) == 0 {
				text, verdicts := document(r, nil)
				in.Policies, session = []string{text}, verdicts
			}
			c, err := g.auth.Mint(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			keys, facts["aws:principalarn"] = creds(c), principal
		}
		named := some(r, principal, auth.UserARN("aws", acct, "/", "somebody"), "arn:aws:iam::111111111111:root", "arn:aws:iam::000000000000:root")
		resourceText, resourceOwn := document(r, named)
		d, err := policy.Parse(resourceText, policy.Resource)
		if err != nil {
			t.Fatalf("%s: %v", resourceText, err)
		}
		request := g.signed(keys, "codepipeline", "POST", "http://127.0.0.1/", "{}")
		request.RemoteAddr = pick(r, "192.0.2.9:1", "198.51.100.9:1")
		facts["aws:sourceip"] = strings.Split(request.RemoteAddr, ":")[0]
		ctx, err := g.auth.Authenticate(request, "codepipeline", []byte("{}"))
		if err != nil {
			t.Fatal(err)
		}
		for range 8 {
			f := fact{keys: map[string]string{}, action: pick(r, "codepipeline:GetPipeline", "codepipeline:GetPipelineState", "codepipeline:StartPipelineExecution", "s3:GetObject", "s3:PutObject"),
				resource: pick(r, "arn:aws:codepipeline:eu-west-3:000000000000:p", "arn:aws:codepipeline:eu-west-3:000000000000:"+name+"-x", "arn:aws:codepipeline:us-east-1:000000000000:p/S/A", "arn:aws:s3:::b/k", "*", "arn:aws:codepipeline:eu-west-3:000000000000:"+path.Base(tags["team"]))}
			for k, v := range facts {
				f.keys[k] = v
			}
			attrs := auth.Attributes{}
			if stage := pick(r, "", "prod", "test"); stage != "" {
				attrs["aws:ResourceTag/Stage"] = []string{stage}
				f.keys["aws:resourcetag/stage"] = stage
			}
			mine := owned(f)
			within := session == nil || session(f).allowed && !session(f).denied
			want := mine.allowed && !mine.denied && within
			if got := auth.CheckWith(ctx, f.action, f.resource, attrs); (got == nil) != want {
				t.Fatalf("round %d: %+v with %s: %v, the oracle says %t", round, f, own, got, want)
			}
			counted[want]++
			theirs, direct := resourceOwn(f), anyOf(named, func(s string) bool { return s == principal })
			account := direct || anyOf(named, func(s string) bool { return s == "arn:aws:iam::000000000000:root" })
			switch {
			case theirs.denied && account:
				want = false
			case theirs.allowed && direct:
				want = !mine.denied && within
			}
			if got := auth.CheckResource(ctx, f.action, f.resource, d, attrs); (got == nil) != want {
				t.Fatalf("round %d: %+v on a resource with %s and %s: %v, the oracle says %t", round, f, resourceText, own, got, want)
			}
			counted[want]++
		}
	}
	if counted[true] < 400 || counted[false] < 400 {
		t.Errorf("allowed and not: %v", counted)
	}
}
