package policy_test

import (
	"strings"
	"testing"
	"time"

	"penstock/internal/policy"
)

func parse(t testing.TB, text string, kind policy.Kind) *policy.Document {
	t.Helper()
	d, err := policy.Parse(text, kind)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return d
}

func statement(body string) string {
	return `{"Version":"2012-10-17","Statement":[{` + body + `}]}`
}

func context(pairs ...string) policy.Lookup {
	m := make(map[string][]string)
	for i := 0; i < len(pairs); i += 2 {
		m[strings.ToLower(pairs[i])] = append(m[strings.ToLower(pairs[i])], pairs[i+1])
	}
	return func(k string) ([]string, bool) { v, ok := m[k]; return v, ok }
}

// Each condition operator, with the key, without it and with a value it cannot read.
func TestOperators(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		op, want, have string
		hit            bool
	}{
		{"StringEquals", `"a"`, "a", true},
		{"StringEquals", `"a"`, "A", false},
		{"StringEqualsIgnoreCase", `"a"`, "A", true},
		{"StringNotEqualsIgnoreCase", `"a"`, "A", false},
		{"StringLike", `"a*c"`, "abbc", true},
		{"StringNotLike", `"a*c"`, "abbc", false},
		{"ArnLike", `"arn:aws:s3:::a*"`, "arn:aws:s3:::abc:d", true},
		{"ArnLike", `"arn:aws:*:a"`, "arn:aws:s3:::a", false},
		{"ArnEquals", `"arn:aws:iam::*:role/r"`, "arn:aws:iam::1:role/r", true},
		{"ArnNotEquals", `"arn:aws:iam::*:role/r"`, "arn:aws:iam::1:role/r", false},
		{"Bool", `true`, "true", true},
		{"Bool", `"false"`, "true", false},
		{"NumericLessThan", `10`, "9.5", true},
		{"NumericLessThanEquals", `"10"`, "10", true},
		{"NumericGreaterThan", `10`, "10", false},
		{"NumericGreaterThanEquals", `10`, "10", true},
		{"NumericEquals", `1e1`, "10", true},
		{"NumericNotEquals", `10`, "10", false},
		{"NumericEquals", `10`, "ten", false},
		{"DateLessThan", `"2026-01-02T00:00:00Z"`, "2026-01-01T23:59:59Z", true},
		{"DateGreaterThan", `"1767225600"`, "2026-01-02", true},
		{"DateEquals", `"2026-01-01"`, "1767225600", true},
		{"IpAddress", `"10.0.0.0/8"`, "10.1.2.3", true},
		{"IpAddress", `"10.0.0.0/8"`, "::ffff:10.1.2.3", true},
		{"IpAddress", `"2001:db8::1"`, "2001:db8::1", true},
		{"NotIpAddress", `["10.0.0.0/8","11.0.0.0/8"]`, "11.1.2.3", false},
	} {
		d := parse(t, statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"`+c.op+`":{"aws:Key":`+c.want+`}}`), policy.Identity)
		got := d.Evaluate(&policy.Request{Action: "s3:GetObject", Resource: "*", Context: context("aws:key", c.have)}) == policy.Allow
		if got != c.hit {
			t.Errorf("%s %s on %s: %v", c.op, c.want, c.have, got)
		}
		// Without the key a negated operator holds and any other does not.
		got = d.Evaluate(&policy.Request{Action: "s3:GetObject", Resource: "*"}) == policy.Allow
		if want := strings.Contains(c.op, "Not"); got != want {
			t.Errorf("%s without the key: %v", c.op, got)
		}
	}
}

// W-43: what is not understood never allows and always denies.
func TestNotUnderstood(t *testing.T) {
	t.Parallel()
	for _, cond := range []string{
		`{"StringEqualsNearly":{"aws:k":"a"}}`,
		`{"ForSomeValues:StringEquals":{"aws:k":"a"}}`,
		`{"Bool":{"aws:k":"perhaps"}}`,
		`{"IpAddress":{"aws:k":"10.0.0.0/99"}}`,
		`{"NumericEqualsIfExists":{"aws:k":"NaN"}}`,
		`{"DateLessThan":{"aws:k":"soon"}}`,
		`{"ArnLike":{"aws:k":"arn:aws"}}`,
		`{"StringNotEquals":{"aws:k":"${aws:unheardof}"}}`,
		`{"Null":{"aws:k":"maybe"}}`,
	} {
		for effect, want := range map[string]policy.Answer{"Allow": policy.NoMatch, "Deny": policy.Deny} {
			d := parse(t, statement(`"Effect":"`+effect+`","Action":"*","Resource":"*","Condition":`+cond), policy.Identity)
			for _, ctx := range []policy.Lookup{context(), context("aws:k", "a")} {
				if got := d.Evaluate(&policy.Request{Action: "s3:GetObject", Resource: "*", Context: ctx}); got != want {
					t.Errorf("%s %s: %d", effect, cond, got)
				}
			}
		}
	}
}

// Policy variables bring in values, never wildcards.
func TestVariables(t *testing.T) {
	t.Parallel()
	who := func(name string) policy.Lookup { return context("aws:username", name) }
	for _, c := range []struct {
		pattern, resource string
		ctx               policy.Lookup
		hit               bool
	}{
		{"home/${aws:username}/*", "home/ann/x", who("ann"), true},
		{"home/${AWS:UserName}/*", "home/ann/x", who("ann"), true},
		{"home/${aws:username}/*", "home/ann/x", who("*"), false},
		{"home/${aws:username}/*", "home/ann/x", nil, false},
		{"home/${aws:username, 'nobody'}/*", "home/nobody/x", nil, true},
		{"home/${*}", "home/*", nil, true},
		{"home/${*}", "home/x", nil, false},
		{"home/${$}{x}", "home/${x}", nil, true},
		{"home/${?}", "home/?", nil, true},
		{"home/${broken", "home/${broken", nil, true},
	} {
		d := parse(t, statement(`"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::`+c.pattern+`"`), policy.Identity)
		if got := d.Evaluate(&policy.Request{Action: "s3:GetObject", Resource: "arn:aws:s3:::" + c.resource, Context: c.ctx}) == policy.Allow; got != c.hit {
			t.Errorf("%s on %s: %v", c.pattern, c.resource, got)
		}
	}
	// An exception that cannot be worked out allows nothing.
	d := parse(t, statement(`"Effect":"Allow","Action":"*","NotResource":"arn:aws:s3:::${aws:username}"`), policy.Identity)
	if d.Evaluate(&policy.Request{Action: "s3:GetObject", Resource: "arn:aws:s3:::x"}) != policy.NoMatch {
		t.Error("an unknown exception allowed")
	}
	// Documents of the first version have no variables.
	d = parse(t, `{"Statement":{"Effect":"Allow","Action":"*","Resource":"arn:${aws:username}"}}`, policy.Identity)
	if d.Evaluate(&policy.Request{Action: "s3:GetObject", Resource: "arn:ann", Context: who("ann")}) != policy.NoMatch {
		t.Error("a variable in an old document")
	}
}

// W-45: action types compare without case, final slash and account.
func TestActionTypeCase(t *testing.T) {
	t.Parallel()
	const have = "arn:aws:codepipeline:eu-west-3:000000000000:actiontype:Custom/Build/Jenkins/1"
	for pattern, hit := range map[string]bool{
		"arn:aws:codepipeline:eu-west-3:000000000000:actionType:custom/Build/jenkins/1/": true,
		"arn:aws:codepipeline:*::actiontype:custom/build/*":                              true,
		"arn:aws:codepipeline:eu-west-3:111111111111:actiontype:Custom/Build/Jenkins/1":  false,
		"arn:aws:codepipeline:eu-west-3:000000000000:actiontype:Custom/Test/Jenkins/1":   false,
		"arn:aws:codepipeline:eu-west-3:000000000000:${aws:k}/Build/*":                   true,
		"*": true,
	} {
		d := parse(t, statement(`"Effect":"Allow","Action":"codepipeline:PollForJobs","Resource":"`+pattern+`"`), policy.Identity)
		got := d.Evaluate(&policy.Request{Action: "codepipeline:PollForJobs", Resource: have, Context: context("aws:k", "actiontype:custom")}) == policy.Allow
		if got != hit {
			t.Errorf("%s: %v", pattern, got)
		}
	}
	d := parse(t, statement(`"Effect":"Allow","Action":"*","Resource":"arn:aws:codepipeline:eu-west-3:000000000000:PIPE"`), policy.Identity)
	if d.Evaluate(&policy.Request{Action: "codepipeline:GetPipeline", Resource: "arn:aws:codepipeline:eu-west-3:000000000000:pipe"}) != policy.NoMatch {
		t.Error("a pipeline's name compared without case")
	}
}

// Trust documents: services, principals named themselves, whole accounts, everybody.
func TestTrust(t *testing.T) {
	t.Parallel()
	const session, role = "arn:aws:sts::000000000000:assumed-role/r/s", "arn:aws:iam::000000000000:role/r"
	for _, c := range []struct {
		principal string
		who       policy.Principal
		hit       bool
	}{
		{`{"Service":"codepipeline.amazonaws.com"}`, policy.Principal{Service: "codepipeline.amazonaws.com"}, true},
		{`{"Service":["codebuild.amazonaws.com"]}`, policy.Principal{Service: "codepipeline.amazonaws.com"}, false},
		{`{"AWS":"` + role + `"}`, policy.Principal{ARN: session, RoleARN: role}, true},
		{`{"AWS":"` + session + `"}`, policy.Principal{ARN: session, RoleARN: role}, true},
		{`{"AWS":"000000000000"}`, policy.Principal{ARN: session, Account: "000000000000"}, true},
		{`{"AWS":"000000000000"}`, policy.Principal{ARN: session}, false},
		{`{"AWS":"arn:aws:iam::000000000000:root"}`, policy.Principal{ARN: session, Account: "000000000000"}, true},
		{`{"AWS":"arn:aws:iam::111111111111:root"}`, policy.Principal{ARN: session, Account: "000000000000"}, false},
		{`{"AWS":"*"}`, policy.Principal{ARN: session}, true},
		{`"*"`, policy.Principal{ARN: session}, true},
		{`{"Federated":"x"}`, policy.Principal{ARN: session}, false},
		{`{"AWS":"` + role + `"}`, policy.Principal{}, false},
	} {
		d := parse(t, statement(`"Effect":"Allow","Action":"sts:AssumeRole","Principal":`+c.principal), policy.Trust)
		if got := d.Evaluate(&policy.Request{Action: "sts:AssumeRole", Principal: c.who}) == policy.Allow; got != c.hit {
			t.Errorf("%s for %+v: %v", c.principal, c.who, got)
		}
	}
}

// A Deny of any document wins over an Allow of any other; nothing is allowed by silence.
func TestEvaluateJoins(t *testing.T) {
	t.Parallel()
	allow := parse(t, statement(`"Effect":"Allow","Action":"s3:*","Resource":"*"`), policy.Identity)
	deny := parse(t, statement(`"Effect":"Deny","Action":"s3:Delete*","Resource":"*"`), policy.Identity)
	for _, docs := range [][]*policy.Document{{allow, deny}, {deny, allow}, {nil, deny, allow}} {
		if policy.Evaluate(&policy.Request{Action: "s3:DeleteObject", Resource: "*"}, docs...) != policy.Deny {
			t.Error("not denied")
		}
		if policy.Evaluate(&policy.Request{Action: "S3:getobject", Resource: "*"}, docs...) != policy.Allow {
			t.Error("not allowed")
		}
		if policy.Evaluate(&policy.Request{Action: "iam:GetRole", Resource: "*"}, docs...) != policy.NoMatch {
			t.Error("not silent")
		}
	}
	if policy.Evaluate(&policy.Request{Action: "s3:GetObject", Resource: "*"}) != policy.NoMatch {
		t.Error("no documents said something")
	}
}

// Documents IAM would not take, with its words.
func TestMalformed(t *testing.T) {
	t.Parallel()
	const ok = `"Effect":"Allow","Action":"s3:*","Resource":"*"`
	for _, c := range []struct {
		doc  string
		kind policy.Kind
		want string
	}{
		{`{`, policy.Identity, "Syntax errors in policy."},
		{``, policy.Identity, "Syntax errors in policy."},
		{`[]`, policy.Identity, "Syntax errors in policy."},
		{statement(ok) + "x", policy.Identity, "Syntax errors in policy."},
		{statement(ok) + "]", policy.Identity, "Syntax errors in policy."},
		{statement(ok) + " }", policy.Identity, "Syntax errors in policy."},
		{`{"Statement":[]}`, policy.Identity, "Syntax errors in policy."},
		{statement(`"Effect":"allow","Action":"s3:*","Resource":"*"`), policy.Identity, "Syntax errors in policy."},
		{statement(ok + `,"Colour":"red"`), policy.Identity, "Syntax errors in policy."},
		{statement(`"Effect":"Allow","Action":{"a":"b"},"Resource":"*"`), policy.Identity, "Syntax errors in policy."},
		{statement(`"Effect":"Allow","Action":[null],"Resource":"*"`), policy.Identity, "Syntax errors in policy."},
		{statement(`"Effect":"Allow","Action":"s3:\u0000","Resource":"*"`), policy.Identity, "Syntax errors in policy."},
		{statement(ok + `,"NotAction":"s3:*"`), policy.Identity, "Syntax errors in policy."},
		{statement(ok + `,"NotResource":"*"`), policy.Identity, "Syntax errors in policy."},
		// No element is there twice, in any case: one would undo the other.
		{statement(ok + `,"Effect":"Deny"`), policy.Identity, "Syntax errors in policy."},
		{statement(ok + `,"effect":"Deny"`), policy.Identity, "Syntax errors in policy."},
		{statement(ok + `,"Re\u017fource":"arn:x"`), policy.Identity, "Syntax errors in policy."},
		{statement(ok + `,"Condition":{"StringEquals":{"a:b":"c"},"StringEquals":{"a:d":"e"}}`), policy.Identity, "Syntax errors in policy."},
		{statement(ok + `,"Condition":{"StringEquals":{"a:b":"c","A:B":"e"}}`), policy.Identity, "Syntax errors in policy."},
		{`{"Statement":[{` + ok + `}],"Statement":[{` + ok + `}]}`, policy.Identity, "Syntax errors in policy."},
		{`{"Version":"2020-01-01","Statement":[{` + ok + `}]}`, policy.Identity, "Policy document must be version 2012-10-17 or greater."},
		{statement(`"Effect":"Allow","Resource":"*"`), policy.Identity, "Policy statement must contain actions."},
		{statement(`"Effect":"Allow","Action":[],"Resource":"*"`), policy.Identity, "Policy statement must contain actions."},
		{statement(`"Effect":"Allow","Action":"s3:*"`), policy.Identity, "Policy statement must contain resources."},
		{statement(`"Effect":"Allow","Action":"getobject","Resource":"*"`), policy.Identity, "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."},
		{statement(`"Effect":"Allow","Action":"s3:*","Resource":"bucket"`), policy.Identity, `Resource bucket must be in ARN format or "*".`},
		{statement(ok + `,"Principal":"*"`), policy.Identity, "Policy document should not specify a principal."},
		{`{"Version":"2012-10-17","Statement":[{"Sid":"a",` + ok + `},{"Sid":"a",` + ok + `}]}`, policy.Identity, "Statement IDs (SID) in a single policy must be unique."},
		{statement(`"Effect":"Allow","Action":"sts:AssumeRole"`), policy.Trust, "Missing required field Principal"},
		{statement(`"Effect":"Allow","Action":"sts:AssumeRole","Principal":{}`), policy.Trust, "Missing required field Principal"},
		{statement(`"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"ann"}`), policy.Trust, `Invalid principal in policy: "AWS":"ann"`},
		{statement(`"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"codepipeline"}`), policy.Trust, `Invalid principal in policy: "SERVICE":"codepipeline"`},
		{statement(`"Effect":"Allow","Action":"sts:AssumeRole","Principal":"*","Resource":"*"`), policy.Trust, "Has prohibited field Resource"},
		{statement(`"Effect":"Allow","Action":"sts:AssumeRole","NotPrincipal":{"AWS":"*"}`), policy.Trust, "Has prohibited field NotPrincipal"},
		{strings.Repeat(" ", policy.MaxSize+1), policy.Identity, "The policy document is longer than 131072 bytes."},
	} {
		_, err := policy.Parse(c.doc, c.kind)
		if _, typed := err.(policy.Malformed); !typed || err.Error() != c.want {
			t.Errorf("%.80s: %v", c.doc, err)
		}
	}
}

// A document built to make a backtracking matcher hang is decided at once.
func TestHostileWildcards(t *testing.T) {
	t.Parallel()
	d := parse(t, statement(`"Effect":"Allow","Action":"*","Resource":"*`+strings.Repeat("a*", 5000)+`b"`), policy.Identity)
	done := make(chan policy.Answer, 1)
	go func() {
		done <- d.Evaluate(&policy.Request{Action: "s3:GetObject", Resource: "arn:" + strings.Repeat("a", 20000)})
	}()
	select {
	case got := <-done:
		if got != policy.NoMatch {
			t.Error(got)
		}
	case <-time.After(5 * time.Minute):
		t.Fatal("the matcher backtracks")
	}
}
