package policy_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"penstock/internal/policy"
)

// The twin is the evaluator written as the guide says it, without any thought for speed:
// it walks the decoded JSON and keeps a table of all that a wildcard could reach.

// twinCharacters: a byte that is in no character stands for itself and nothing else.
func twinCharacters(s string) []rune {
	var out []rune
	for i, c := range s {
		if c == utf8.RuneError && !strings.HasPrefix(s[i:], "\ufffd") {
			c = -rune(s[i])
		}
		out = append(out, c)
	}
	return out
}

func twinGlob(pattern, text string) bool {
	p, s := twinCharacters(pattern), twinCharacters(text)
	reached := make([]bool, len(s)+1) // by what was read of p: the beginnings of s
	reached[0] = true
	for _, c := range p {
		next := make([]bool, len(s)+1)
		for j := range next {
			if c == '*' {
				next[j] = reached[j] || j > 0 && next[j-1]
			} else {
				next[j] = j > 0 && reached[j-1] && (c == '?' || c == s[j-1])
			}
		}
		reached = next
	}
	return reached[len(s)]
}

func texts(v any) []string {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		var out []string
		for _, e := range v {
			out = append(out, texts(e)...)
		}
		return out
	}
	return []string{fmt.Sprint(v)}
}

func twinAny(ps []string, s string) bool {
	return slices.ContainsFunc(ps, func(p string) bool { return twinGlob(p, s) })
}

// member finds an element by its name, in whatever case.
func member(m map[string]any, name string) (any, bool) {
	for key, v := range m {
		if strings.EqualFold(key, name) {
			return v, v != nil
		}
	}
	return nil, false
}

// twinARN compares six parts each for itself.
func twinARN(p, s string) bool {
	ps, ss := strings.SplitN(p, ":", 6), strings.SplitN(s, ":", 6)
	ok := len(ps) == 6 && len(ss) == 6
	for i := 0; ok && i < 6; i++ {
		ok = twinGlob(ps[i], ss[i])
	}
	return ok || p == "*"
}

// twinCompare gives the comparison of an operator without its quantifier, as if it had no "Not".
// It is nil for an operator that nobody knows; a value of the policy that means nothing is not clear.
func twinCompare(op string) func(want, have string) (hit, clear bool) {
	plain := func(f func(want, have string) bool) func(string, string) (bool, bool) {
		return func(want, have string) (bool, bool) { return f(want, have), true }
	}
	switch op {
	case "StringEquals", "StringNotEquals", "BinaryEquals":
		return plain(func(want, have string) bool { return want == have })
	case "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase":
		return plain(strings.EqualFold)
	case "StringLike", "StringNotLike":
		return plain(twinGlob)
	case "ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike":
		return func(want, have string) (bool, bool) {
			return twinARN(want, have), want == "*" || strings.Count(want, ":") >= 5
		}
	case "Bool":
		return func(want, have string) (bool, bool) {
			return strings.EqualFold(want, have), strings.EqualFold(want, "true") || strings.EqualFold(want, "false")
		}
	}
	return nil
}

func twinCondition(op, key string, want []string, ctx map[string][]string, deny bool) bool {
	have, present := ctx[strings.ToLower(key)]
	over, rest, found := strings.Cut(op, ":")
	if !found || over != "ForAnyValue" && over != "ForAllValues" {
		over, rest = "", op
	}
	if rest == "Null" && over == "" {
		for _, w := range want {
			if !strings.EqualFold(w, "true") && !strings.EqualFold(w, "false") {
				return deny
			}
			if strings.EqualFold(w, "true") != present {
				return true
			}
		}
		return false
	}
	rest, ifExists := strings.CutSuffix(rest, "IfExists")
	compare, negated := twinCompare(rest), strings.Contains(rest, "Not")
	if compare == nil {
		return deny
	}
	for _, w := range want {
		if _, clear := compare(w, ""); !clear {
			return deny
		}
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
		if slices.ContainsFunc(want, func(w string) bool { hit, _ := compare(w, h); return hit }) != negated {
			n++
		}
	}
	if over == "ForAllValues" || over == "" && negated {
		return n == len(have)
	}
	return n > 0
}

// twinPrincipal says whether a statement of a trust document names who asks.
func twinPrincipal(v any, who policy.Principal) bool {
	if v == "*" {
		return true
	}
	m, _ := v.(map[string]any)
	aws, _ := member(m, "AWS")
	service, _ := member(m, "Service")
	return slices.Contains(texts(service), who.Service) || slices.ContainsFunc(texts(aws), func(a string) bool {
		return a == "*" || a == who.ARN || a == who.RoleARN || a == who.Account ||
			twinARN("*:*:iam:*:"+who.Account+":root", a) && strings.HasPrefix(a, "arn:")
	})
}

// decoded gives the JSON of a document, with its numbers as texts.
func decoded(t rapid.TB, doc string) (d map[string]any) {
	decoder := json.NewDecoder(strings.NewReader(doc))
	decoder.UseNumber()
	if err := decoder.Decode(&d); err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	return d
}

func twin(d map[string]any, kind policy.Kind, req policy.Request, ctx map[string][]string) policy.Answer {
	list, _ := member(d, "Statement")
	if one, ok := list.(map[string]any); ok {
		list = []any{one}
	}
	out := policy.NoMatch
	for _, each := range list.([]any) {
		st := each.(map[string]any)
		ok := true
		lower := func(v any) []string {
			out := texts(v)
			for i := range out {
				out[i] = strings.ToLower(out[i])
			}
			return out
		}
		if a, found := member(st, "Action"); found {
			ok = twinAny(lower(a), strings.ToLower(req.Action))
		} else {
			a, _ := member(st, "NotAction")
			ok = !twinAny(lower(a), strings.ToLower(req.Action))
		}
		if kind == policy.Trust {
			p, _ := member(st, "Principal")
			ok = ok && twinPrincipal(p, req.Principal)
		} else if r, found := member(st, "Resource"); found {
			ok = ok && twinAny(texts(r), req.Resource)
		} else {
			r, _ := member(st, "NotResource")
			ok = ok && !twinAny(texts(r), req.Resource)
		}
		effect, _ := member(st, "Effect")
		deny := effect == "Deny"
		c, _ := member(st, "Condition")
		conds, _ := c.(map[string]any)
		for op, keys := range conds {
			m, _ := keys.(map[string]any)
			for key, values := range m {
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
		req := policy.Request{Action: action, Resource: resource, Context: func(k string) ([]string, bool) { v, ok := ctx[k]; return v, ok }}
		got := d.Evaluate(&req)
		if want := twin(decoded(t, doc), policy.Identity, req, ctx); got != want {
			t.Fatalf("%s\n%s on %s with %v: %d, twin %d", doc, action, resource, ctx, got, want)
		}
	})
}

// Wildcards: the segment matcher and plain trial agree.
func TestWildcards(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.StringOfN(rapid.SampledFrom([]rune("abé*?")), 0, 8, -1).Draw(t, "pattern")
		s := rapid.StringOfN(rapid.SampledFrom([]rune("abé")), 0, 10, -1).Draw(t, "text")
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

// FuzzParse: no document crashes the parser or the evaluator, and what it says is what its twin
// says. Comparisons of numbers, dates and addresses are in TestOperators, variables in
// TestVariables: the twin has neither.
func FuzzParse(f *testing.F) {
	f.Add(statement(`"Effect":"Deny","NotAction":["s3:*","a:?"],"NotResource":"arn:${a,'b'}${*}${","Condition":{"ForAllValues:StringLikeIfExists":{"k":["a*",true,1]}}`), "a", "arn:aws:s3:::a/b")
	f.Add(statement(`"Effect":"Allow","Action":"sts:*","Principal":{"AWS":["*","000000000000"],"Service":"a.b"}`), "", "")
	f.Add(statement(`"Effect":"Allow","Action":"s3:G?t*","Resource":"*","Condition":{"ArnLike":{"k":"arn:*:s3:::?"},"StringNotEqualsIgnoreCase":{"m":["x","Y"]},"Bool":{"n":true}}`), "arn:aws:s3:::é", "arn:é")
	f.Add(statement(`"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:*:?*?"},{"Sid":"a","Effect":"Deny","NotAction":"*:Put*","NotResource":["arn:é*"],"Condition":{"Null":{"z":"False"}}`), "x", "arn:aws:s3:::éé")
	f.Add(statement(`"Effect":"Allow","Action":"s3:GetObject\nx","Resource":"*"`), "", "")
	f.Add(statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"NotStringEquals":{"k":"x"}}`), "y", "")
	f.Add(statement(`"Effect":"Allow","Action":"*","Resource":"arn:\u0024{k}"`), "v", "arn:v")
	f.Add(statement(`"Effect":"Deny","Action":"*","Resource":["arn:\ufffd","arn:\ufffd?"]`), "", "arn:\xff\xff")
	f.Add(statement(`"Effect":"Allow","Action":"*","Resource":"arn:aws:codepipeline:::ActionType:X/"`), "", "arn:aws:codepipeline:::ActionType:x")
	unlike := regexp.MustCompile(`\$\{|Numeric|Date|IpAddress`)
	f.Fuzz(func(t *testing.T, text, value, resource string) {
		ctx := map[string][]string{"k": {value}, "m": {value, "x"}, "n": {"TRUE"}}
		req := policy.Request{Action: "s3:GetObject", Resource: resource, Context: func(k string) ([]string, bool) { v, ok := ctx[k]; return v, ok },
			Principal: policy.Principal{ARN: "arn:aws:sts::000000000000:assumed-role/r/s", RoleARN: "arn:aws:iam::000000000000:role/r", Account: "000000000000", Service: "a.b"}}
		for _, kind := range []policy.Kind{policy.Identity, policy.Trust} {
			d, err := policy.Parse(text, kind)
			if err != nil {
				continue
			}
			if len(text)+len(value)+len(resource) > 20_000 {
				continue // wildcards may take the product of the lengths
			}
			got := d.Evaluate(&req)
			raw := decoded(t, text)
			plain, err := json.Marshal(raw) // without escapes
			if err != nil {
				t.Fatal(err)
			}
			if len(text)+len(value)+len(resource) > 5000 || unlike.Match(plain) || strings.Contains(strings.ToLower(resource), "actiontype") {
				continue // what the twin does not know, or would take too long over
			}
			if want := twin(raw, kind, req, ctx); got != want {
				t.Fatalf("%s of kind %d\non %q with %q: %d, twin %d", text, kind, resource, value, got, want)
			}
		}
	})
}
