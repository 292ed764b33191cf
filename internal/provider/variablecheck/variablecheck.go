// Package variablecheck is the rule that compares a variable with a value (P-52, S-215).
//
// A regular expression is one of RE2, which takes time in proportion to the text whatever the
// expression: what Java's have beyond that, looking around and referring back, is refused with
// a reason (S-218).
package variablecheck

import (
	"context"
	"regexp"
	"regexp/syntax"
	"strings"

	"penstock/internal/pipeline"
	"penstock/internal/provider"
)

const (
	// maxSteps bounds the work of one match: the size of the compiled expression times that of
	// the text. It is some seconds at worst, and far above what any name or version needs.
	maxSteps = 100_000_000
	// shown is how much of a text a message repeats.
	shown = 200
)

// Provider runs Rule/AWS/VariableCheck/1. The zero value is ready.
type Provider struct{}

// New gives the provider.
func New() provider.Provider { return Provider{} }

// Types is the one type, as the catalogue has it.
func (Provider) Types() []pipeline.ActionType {
	return []pipeline.ActionType{pipeline.RunnableRule("VariableCheck")}
}

// Run compares. It asks nobody and keeps nothing.
func (Provider) Run(ctx context.Context, job provider.Job) provider.Result {
	if ctx.Err() != nil {
		return provider.Failed(pipeline.SystemUnavailable, "The rule '%s' was ended before it compared", job.Action)
	}
	variable, value, operator := job.Configuration["Variable"], job.Configuration["Value"], job.Configuration["Operator"]
	holds := false
	switch operator {
	case "EQ":
		holds = variable == value
	case "NE":
		holds = variable != value
	case "CONTAINS":
		holds = strings.Contains(variable, value)
	case "MATCHES":
		var problem string
		if holds, problem = matches(value, variable); problem != "" {
			return provider.Failed(pipeline.ConfigurationError, "The rule '%s' cannot compare: %s", job.Action, problem)
		}
	default: // a variable may stand for the operator
		return provider.Failed(pipeline.ConfigurationError, "The rule '%s' has the Operator '%s': it is EQ, NE, CONTAINS or MATCHES", job.Action, cut(operator))
	}
	if !holds {
		return provider.Failed(pipeline.JobFailed, "'%s' %s '%s' does not hold", cut(variable), operator, cut(value))
	}
	return provider.Result{Progress: provider.Progress{Summary: "'" + cut(variable) + "' " + operator + " '" + cut(value) + "' holds"}}
}

// matches says whether the whole text matches, as in Java.
func matches(expression, text string) (bool, string) {
	parsed, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return false, "the regular expression '" + cut(expression) + "' is not one of RE2, which has no look-around and no back-references: " + cut(err.Error())
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err == nil && len(program.Inst)*(len(text)+1) > maxSteps {
		return false, "the regular expression is too large for a text of this size"
	}
	re, err2 := regexp.Compile(`\A(?:` + expression + `)\z`)
	if err != nil || err2 != nil {
		return false, "the regular expression '" + cut(expression) + "' is too large"
	}
	return re.MatchString(text), ""
}

// cut shortens a text for a message.
func cut(text string) string {
	if len(text) <= shown {
		return text
	}
	return strings.ToValidUTF8(text[:shown], "") + "…"
}
