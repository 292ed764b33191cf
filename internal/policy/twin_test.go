package policy_test

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"penstock/internal/policy"
)

// The twin is the evaluator written as the guide says it, without any thought for speed:
// it walks the decoded JSON and matches wildcards by trying everything.

func twinGlob(p, s string) bool {
	if p == "" {
		return s == ""
	}
	switch p[0] {
	case '*':
		for i := range len(s) + 1 {
			if twinGlob(p[1:], s[i:]) {
				return true
			}
		}
		return false
	case '?':
		return s != "" && twinGlob(p[1:], s[1:])
	}
	return s != "" && s[0] == p[0] && twinGlob(p[1:], s[1:])
}

func texts(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, e := range v {
			out = append(out, e.(string))
		}
		return out
	}
	return nil
}

func twinAny(ps []string, s string) bool {
	for _, p := range ps {
		if twinGlob(p, s) {
			return true
		}
	}
	return false
}

func twinCondition(op, key string, want []string, ctx map[string][]string, deny bool) bool {
	have, present := ctx[strings.ToLower(key)]
	over, rest, found := strings.Cut(op, ":")
	if !found {
		over, rest = "", op
	}
	rest, ifExists := strings.CutSuffix(rest, "IfExists")
	negated := strings.Contains(rest, "Not")
	var match func(h string) bool
	switch rest {
	case "StringEquals", "StringNotEquals":
		match = func(h string) bool {
			for _, w := range want {
				if w == h {
					return true
				}
			}
			return false
		}
	case "StringLike", "StringNotLike":
		match = func(h string) bool { return twinAny(want, h) }
	case "Null":
		for _, w := range want {
			if (w == "true") != present {
				return true
			}
		}
		return false
	default:
		return deny
	}
	if !present {
		switch {
		case ifExists, over == "ForAllValues":
			return true
		case over == "ForAnyValue":
			return false
		}
		return negated
	}
	n := 0
	for _, h := range have {
		if match(h) != negated {
			n++
		}
	}
	if over == "ForAllValues" || over == "" && negated {
		return n == len(have)
	}
	return n > 0
}

func twin(doc string, action, resource string, ctx map[string][]string) policy.Answer {
	var d struct{ Statement []map[string]any }
	if err := json.Unmarshal([]byte(doc), &d); err != nil {
		panic(err)
	}
	out := policy.NoMatch
	for _, st := range d.Statement {
		ok := true
		if a, found := st["Action"]; found {
			ok = twinAny(texts(a), action)
		} else {
			ok = !twinAny(texts(st["NotAction"]), action)
		}
		if r, found := st["Resource"]; found {
			ok = ok && twinAny(texts(r), resource)
		} else {
			ok = ok && !twinAny(texts(st["NotResource"]), resource)
		}
		deny := st["Effect"] == "Deny"
		conds, _ := st["Condition"].(map[string]any)
		for op, keys := range conds {
			for key, values := range keys.(map[string]any) {
				ok = ok && twinCondition(op, key, texts(values), ctx, deny)
			}
		}
		if ok && deny {
			return policy.Deny
		}
		if ok {
			out = policy.Allow
		}
	}
	return out
}

func drawDocument(t *rapid.T) string {
	actions := rapid.SampledFrom([]string{"*", "s3:*", "s3:get*", "s3:putobject", "iam:*", "s3:?etobject", "*:*object"})
	resources := rapid.SampledFrom([]string{"*", "arn:aws:s3:::a/*", "arn:aws:s3:::a/b", "arn:aws:s3:::?/b", "arn:aws:s3:::*b*", "arn:*:a/*b*c"})
	ops := rapid.SampledFrom([]string{"StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "Null", "StringEqualsIfExists",
		"StringNotLikeIfExists", "ForAnyValue:StringEquals", "ForAllValues:StringLike", "ForAnyValue:StringNotEquals", "ForAllValues:StringNotEquals", "SomethingNew"})
	var statements []any
	for range rapid.IntRange(1, 4).Draw(t, "statements") {
		st := map[string]any{"Effect": rapid.SampledFrom([]string{"Allow", "Allow", "Deny"}).Draw(t, "effect")}
		st[rapid.SampledFrom([]string{"Action", "Action", "NotAction"}).Draw(t, "a")] = rapid.SliceOfN(actions, 1, 2).Draw(t, "actions")
		st[rapid.SampledFrom([]string{"Resource", "Resource", "NotResource"}).Draw(t, "r")] = rapid.SliceOfN(resources, 1, 2).Draw(t, "resources")
		if rapid.Bool().Draw(t, "conditional") {
			op := ops.Draw(t, "op")
			values := rapid.SliceOfN(rapid.SampledFrom([]string{"x", "y", "x*", "*"}), 1, 2).Draw(t, "values")
			if op == "Null" {
				values = []string{rapid.SampledFrom([]string{"true", "false"}).Draw(t, "null")}
			}
			st["Condition"] = map[string]any{op: map[string]any{rapid.SampledFrom([]string{"aws:K", "aws:m"}).Draw(t, "key"): values}}
		}
		statements = append(statements, st)
	}
	raw, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": statements})
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// The evaluator and its twin agree on every document, request and context.
func TestTwin(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		doc := drawDocument(t)
		d, err := policy.Parse(doc, policy.Identity)
		if err != nil {
			t.Fatalf("%s: %v", doc, err)
		}
		ctx := map[string][]string{}
		if rapid.Bool().Draw(t, "k") {
			ctx["aws:k"] = []string{rapid.SampledFrom([]string{"x", "xy", "z"}).Draw(t, "kv")}
		}
		if rapid.Bool().Draw(t, "m") {
			ctx["aws:m"] = rapid.SliceOfN(rapid.SampledFrom([]string{"x", "y", "z"}), 1, 3).Draw(t, "mv")
		}
		action := rapid.SampledFrom([]string{"s3:GetObject", "s3:PutObject", "iam:GetRole"}).Draw(t, "action")
		resource := rapid.SampledFrom([]string{"arn:aws:s3:::a/b", "arn:aws:s3:::a/xbyc", "arn:aws:iam::1:role/b", "*"}).Draw(t, "resource")
		got := d.Evaluate(&policy.Request{Action: action, Resource: resource, Context: func(k string) ([]string, bool) { v, ok := ctx[k]; return v, ok }})
		if want := twin(doc, strings.ToLower(action), resource, ctx); got != want {
			t.Fatalf("%s\n%s on %s with %v: %d, twin %d", doc, action, resource, ctx, got, want)
		}
	})
}

// Wildcards: the segment matcher and plain trial agree.
func TestWildcards(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.StringOfN(rapid.SampledFrom([]rune("ab*?")), 0, 8, -1).Draw(t, "pattern")
		s := rapid.StringOfN(rapid.SampledFrom([]rune("ab")), 0, 10, -1).Draw(t, "text")
		d, err := policy.Parse(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"arn:`+p+`"}}`, policy.Identity)
		if err != nil {
			t.Fatal(err)
		}
		got := d.Evaluate(&policy.Request{Action: "s3:GetObject", Resource: "arn:" + s}) == policy.Allow
		if want := twinGlob(p, s); got != want {
			t.Fatalf("%q on %q: %v", p, s, got)
		}
	})
}
