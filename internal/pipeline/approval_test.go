package pipeline

import "testing"

// S-228: who may approve is told by patterns, and a person by his role, not by the session's name.
func TestApprovers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, arn string
		want         bool
	}{
		{"arn:aws:iam::1:user/ann", "arn:aws:iam::1:user/ann", true},
		{"arn:aws:iam::1:user/ann", "arn:aws:iam::1:user/anna", false},
		{"arn:aws:iam::1:user/*", "arn:aws:iam::1:user/leads/ann", true},
		{"arn:aws:iam::1:user/a?n", "arn:aws:iam::1:user/ann", true},
		{"arn:aws:iam::1:user/a.n", "arn:aws:iam::1:user/ann", false},
		{"*", "arn:aws:iam::1:user/ann", true},
	} {
		if got := MatchARN(c.pattern, c.arn); got != c.want {
			t.Errorf("%s, %s: %v", c.pattern, c.arn, got)
		}
	}
	if a, b := Person("arn:aws:sts::1:assumed-role/lead/ann"), Person("arn:aws:sts::1:assumed-role/lead/bob"); a != b || a == Person("arn:aws:sts::1:assumed-role/dev/ann") {
		t.Error(a, b)
	}
	if got := Person("arn:aws:iam::1:user/ann"); got != "arn:aws:iam::1:user/ann" {
		t.Error(got)
	}
}
