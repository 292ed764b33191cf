package variablecheck

import (
	"regexp/syntax"
	"strings"
	"testing"

	"penstock/internal/pipeline"
	"penstock/internal/provider"
	"penstock/internal/provider/providertest"
)

func TestProvider(t *testing.T) {
	t.Parallel()
	providertest.Run(t, New())
}

func check(t *testing.T, variable, operator, value string) provider.Result {
	t.Helper()
	job := providertest.Job(New().Types()[0])
	job.Configuration = map[string]string{"Variable": variable, "Operator": operator, "Value": value}
	return New().Run(t.Context(), job)
}

// S-215, P-52.
func TestOperators(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		variable, operator, value string
		holds                     bool
	}{
		{"main", "EQ", "main", true}, {"main", "EQ", "Main", false}, {"", "EQ", "", true},
		{"main", "NE", "dev", true}, {"main", "NE", "main", false},
		{"release/1.2", "CONTAINS", "release/", true}, {"release", "CONTAINS", "release/", false},
		{"v1.20", "MATCHES", `v\d+\.\d+`, true},
		{"v1.20-rc", "MATCHES", `v\d+\.\d+`, false}, // the whole text
		{"a\nb", "MATCHES", "a.b", false}, {"a\nb", "MATCHES", "(?s)a.b", true},
		{"b", "MATCHES", "a|b", true}, {"ab", "MATCHES", "a|b", false},
		{"x)(y", "MATCHES", `x\)\(y`, true},
	} {
		r := check(t, c.variable, c.operator, c.value)
		if holds := r.Error == nil; holds != c.holds || r.Error != nil && r.Error.Code != pipeline.JobFailed {
			t.Errorf("%q %s %q: %+v", c.variable, c.operator, c.value, r.Error)
		}
	}
}

// S-218: what RE2 has not is an error of the rule, not an answer; S-207.
func TestCannotCompare(t *testing.T) {
	t.Parallel()
	for operator, value := range map[string]string{
		"MATCHES": `(?=a)b`, "matches": "a", "": "a",
	} {
		if r := check(t, "a", operator, value); r.Error == nil || r.Error.Code != pipeline.ConfigurationError {
			t.Errorf("%q %q: %+v", operator, value, r.Error)
		}
	}
	for _, value := range []string{`(a)\1`, `a)(b`, `(`, `x{1001}`, `(?<!a)b`} {
		if r := check(t, "a", "MATCHES", value); r.Error == nil || r.Error.Code != pipeline.ConfigurationError || len(r.Error.Message) > 1000 {
			t.Errorf("%q: %+v", value, r.Error)
		}
	}
}

// S-218: expressions that were made to explode take steps in proportion to the text, or are
// refused before the first.
func TestHostileExpressions(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("a", 100_000)
	for value, code := range map[string]string{`(a+)+b`: pipeline.JobFailed, `(a|aa)+$b`: pipeline.JobFailed, `(.*)*x`: pipeline.JobFailed, `(a?){200}b`: pipeline.JobFailed,
		strings.Repeat("a?", 1000) + "b": pipeline.ConfigurationError, strings.Repeat("(a{1000})?", 900): pipeline.ConfigurationError, strings.Repeat("(", 9000): pipeline.ConfigurationError} {
		r := check(t, text, "MATCHES", value)
		if r.Error == nil || r.Error.Code != code || len(r.Error.Message) > 2000 {
			t.Errorf("%.40q: %+v", value, r.Error)
		}
		if code == pipeline.ConfigurationError {
			continue
		}
		parsed, err := syntax.Parse(value, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		program, err := syntax.Compile(parsed.Simplify())
		if err != nil || len(program.Inst)*len(text) > maxSteps {
			t.Errorf("%.40q took up to %d steps", value, len(program.Inst)*len(text))
		}
	}
}
