package policy

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
)

type quantifier int

const (
	single quantifier = iota
	forAny
	forAll
)

// condition is one operator on one key with its values.
type condition struct {
	compare  compare // nil for an operator nobody knows
	null     bool    // the operator is Null
	negated  bool
	ifExists bool
	over     quantifier
	key      string
	values   []string
}

// compare compares a value of the policy with one of the request. With understood false
// the policy's value has no meaning for the operator.
type compare func(m *matcher, st *statement, want, have string) (hit, understood bool)

// operators are the positive ones; a Not form is the same comparison, negated.
var operators = map[string]struct {
	compare compare
	negated bool
}{
	"StringEquals":              {stringEquals, false},
	"StringNotEquals":           {stringEquals, true},
	"StringEqualsIgnoreCase":    {stringEqualsFold, false},
	"StringNotEqualsIgnoreCase": {stringEqualsFold, true},
	"StringLike":                {stringLike, false},
	"StringNotLike":             {stringLike, true},
	"ArnEquals":                 {arnLike, false},
	"ArnLike":                   {arnLike, false},
	"ArnNotEquals":              {arnLike, true},
	"ArnNotLike":                {arnLike, true},
	"Bool":                      {boolean, false},
	"BinaryEquals":              {stringEquals, false},
	"IpAddress":                 {ipAddress, false},
	"NotIpAddress":              {ipAddress, true},
	"NumericEquals":             {numeric(func(h, w float64) bool { return h == w }), false},
	"NumericNotEquals":          {numeric(func(h, w float64) bool { return h == w }), true},
	"NumericLessThan":           {numeric(func(h, w float64) bool { return h < w }), false},
	"NumericLessThanEquals":     {numeric(func(h, w float64) bool { return h <= w }), false},
	"NumericGreaterThan":        {numeric(func(h, w float64) bool { return h > w }), false},
	"NumericGreaterThanEquals":  {numeric(func(h, w float64) bool { return h >= w }), false},
	"DateEquals":                {date(func(c int) bool { return c == 0 }), false},
	"DateNotEquals":             {date(func(c int) bool { return c == 0 }), true},
	"DateLessThan":              {date(func(c int) bool { return c < 0 }), false},
	"DateLessThanEquals":        {date(func(c int) bool { return c <= 0 }), false},
	"DateGreaterThan":           {date(func(c int) bool { return c > 0 }), false},
	"DateGreaterThanEquals":     {date(func(c int) bool { return c >= 0 }), false},
}

func compileCondition(op, key string, values list) condition {
	c := condition{key: strings.ToLower(key), values: values}
	if rest, ok := strings.CutPrefix(op, "ForAnyValue:"); ok {
		op, c.over = rest, forAny
	} else if rest, ok := strings.CutPrefix(op, "ForAllValues:"); ok {
		op, c.over = rest, forAll
	}
	if op == "Null" && c.over == single {
		c.null = true
		return c
	}
	op, c.ifExists = strings.CutSuffix(op, "IfExists")
	known := operators[op]
	c.compare, c.negated = known.compare, known.negated
	return c
}

// condition reports whether a condition holds. What is not understood holds for a Deny
// and does not for an Allow.
func (m *matcher) condition(st *statement, c *condition) bool {
	have, present := m.lookup(c.key)
	if c.null {
		for _, v := range c.values {
			switch {
			case strings.EqualFold(v, "true"):
				if !present {
					return true
				}
			case strings.EqualFold(v, "false"):
				if present {
					return true
				}
			default:
				return st.deny
			}
		}
		return false
	}
	if c.compare == nil {
		return st.deny
	}
	// A value without meaning is noticed whatever the request has.
	hits := make([]bool, len(have))
	for _, want := range c.values {
		if _, understood := c.compare(m, st, want, ""); !understood {
			return st.deny
		}
		for i, h := range have {
			if !hits[i] {
				hits[i], _ = c.compare(m, st, want, h)
			}
		}
	}
	if !present {
		switch {
		case c.ifExists || c.over == forAll:
			return true
		case c.over == forAny:
			return false
		}
		return c.negated
	}
	all, some := true, false
	for _, hit := range hits {
		if hit != c.negated {
			some = true
		} else {
			all = false
		}
	}
	if c.over == forAll || c.over == single && c.negated {
		return all
	}
	return some
}

// own gives a policy's value with its variables filled in.
func own(m *matcher, st *statement, want string, wild bool) (string, bool) {
	if st.hasVariables && strings.Contains(want, "${") {
		return expand(want, wild, m.lookup)
	}
	if wild {
		return mark(want), true
	}
	return want, true
}

func stringEquals(m *matcher, st *statement, want, have string) (bool, bool) {
	want, ok := own(m, st, want, false)
	return want == have, ok
}

func stringEqualsFold(m *matcher, st *statement, want, have string) (bool, bool) {
	want, ok := own(m, st, want, false)
	return strings.EqualFold(want, have), ok
}

func stringLike(m *matcher, st *statement, want, have string) (bool, bool) {
	want, ok := own(m, st, want, true)
	return ok && matchParts(strings.Split(want, anyText), have), ok
}

func arnLike(m *matcher, st *statement, want, have string) (bool, bool) {
	want, ok := own(m, st, want, true)
	if want == anyText {
		return ok, ok
	}
	parts := strings.SplitN(want, ":", 6)
	if !ok || len(parts) != 6 {
		return false, false
	}
	return matchARN(parts, have), true
}

func boolean(_ *matcher, _ *statement, want, have string) (bool, bool) {
	if !strings.EqualFold(want, "true") && !strings.EqualFold(want, "false") {
		return false, false
	}
	return strings.EqualFold(want, have), true
}

func ipAddress(_ *matcher, _ *statement, want, have string) (bool, bool) {
	net, err := netip.ParsePrefix(want)
	if err != nil {
		one, err := netip.ParseAddr(want)
		if err != nil {
			return false, false
		}
		net = netip.PrefixFrom(one, one.BitLen())
	}
	addr, err := netip.ParseAddr(have)
	return err == nil && net.Contains(addr.Unmap()), true
}

func numeric(holds func(have, want float64) bool) compare {
	return func(_ *matcher, _ *statement, want, have string) (bool, bool) {
		w, err := strconv.ParseFloat(want, 64)
		if err != nil || w != w {
			return false, false
		}
		h, err := strconv.ParseFloat(have, 64)
		return err == nil && holds(h, w), true
	}
}

func date(holds func(int) bool) compare {
	return func(_ *matcher, _ *statement, want, have string) (bool, bool) {
		w, ok := instant(want)
		if !ok {
			return false, false
		}
		h, ok := instant(have)
		return ok && holds(h.Compare(w)), true
	}
}

// instant reads a date as IAM does: ISO 8601 down to a day, or seconds since the epoch.
func instant(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return time.Unix(n, 0), err == nil
}
