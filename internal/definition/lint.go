package definition

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"penstock/internal/pipeline"
	"penstock/internal/template"
)

// Warning is what is doubtful in a definition that the service may well take.
type Warning struct {
	Line, Column int
	// Rule names the kind of doubt in small letters and hyphens.
	Rule, Message string
}

// linter looks at one definition.
type linter struct {
	d        *pipeline.Declaration
	node     *template.Node
	account  string
	known    pipeline.Catalogue
	warnings []Warning
}

// Lint says what is doubtful in a definition, in the order of the text. account is that of
// the pipeline; known knows its action types.
func Lint(d Definition, account string, known pipeline.Catalogue) []Warning {
	l := &linter{node: d.Declaration, account: account, known: known}
	strangers(d.Declaration, declarationType, func(k *template.Node) {
		if d.Declaration.Get(k.Text) == nil || k.Text != "metadata" {
			l.tell(k, "unknown-member", "the service knows no %q here and reads over it", k.Text)
		}
	})
	text, err := d.Declaration.MarshalJSON()
	if err == nil {
		l.d = new(pipeline.Declaration)
		err = json.Unmarshal(text, l.d)
	}
	if err == nil {
		for _, look := range []func(){l.pipelineType, l.artifacts, l.approvals, l.variables, l.actions} {
			look()
		}
		l.transitions(d.Disabled)
	}
	slices.SortFunc(l.warnings, func(a, b Warning) int {
		return cmp.Or(a.Line-b.Line, a.Column-b.Column, cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Message, b.Message))
	})
	return l.warnings
}

func (l *linter) tell(at *template.Node, rule, format string, args ...any) {
	l.warnings = append(l.warnings, Warning{at.Line, at.Column, rule, fmt.Sprintf(format, args...)})
}

func (l *linter) at(path string, args ...any) *template.Node {
	at, _ := l.node.Find(fmt.Sprintf(path, args...))
	return at
}

// pipelineType: AWS takes a definition without a type for V1 and refuses it then.
func (l *linter) pipelineType() {
	if l.d.PipelineType == "" && pipeline.Normalise(l.d, pipeline.Env{Catalogue: l.known}).PipelineType == pipeline.V2 {
		l.tell(l.at("name"), "pipeline-type", "it uses what only V2 pipelines have and names no pipelineType: AWS would take it for V1. Add \"pipelineType\": \"V2\"")
	}
}

// rules yields the rules of a stage with their paths.
func rules(i int, s *pipeline.Stage, yield func(path string, r *pipeline.Rule)) {
	gates := map[string][]pipeline.Condition{}
	if s.BeforeEntry != nil {
		gates["beforeEntry"] = s.BeforeEntry.Conditions
	}
	if s.OnSuccess != nil {
		gates["onSuccess"] = s.OnSuccess.Conditions
	}
	if s.OnFailure != nil {
		gates["onFailure"] = s.OnFailure.Conditions
	}
	for name, conditions := range gates {
		for j := range conditions {
			for k := range conditions[j].Rules {
				yield(fmt.Sprintf("stages.%d.%s.conditions.%d.rules.%d", i+1, name, j+1, k+1), &conditions[j].Rules[k])
			}
		}
	}
}

// artifacts finds output artifacts that nothing reads.
func (l *linter) artifacts() {
	used := map[string]bool{}
	for i := range l.d.Stages {
		s := &l.d.Stages[i]
		for _, a := range s.Actions {
			for _, in := range a.InputArtifacts {
				used[in.Name] = true
			}
		}
		rules(i, s, func(_ string, r *pipeline.Rule) {
			for _, in := range r.InputArtifacts {
				used[in.Name] = true
			}
		})
	}
	for i, s := range l.d.Stages {
		for j, a := range s.Actions {
			for k, out := range a.OutputArtifacts {
				if !used[out.Name] {
					l.tell(l.at("stages.%d.actions.%d.outputArtifacts.%d.name", i+1, j+1, k+1), "unused-artifact", "no action takes the artifact '%s'", out.Name)
				}
			}
		}
	}
}

// approvals finds approvals that nothing waits for.
func (l *linter) approvals() {
	if len(l.d.Stages) == 0 {
		return
	}
	i := len(l.d.Stages) - 1
	last := l.d.Stages[i].Actions
	for j, a := range last {
		later := slices.ContainsFunc(last, func(b pipeline.Action) bool { return b.Order() > a.Order() })
		if a.ActionTypeID.Category == pipeline.CategoryApproval && !later {
			l.tell(l.at("stages.%d.actions.%d.name", i+1, j+1), "approval-last", "nothing comes after the approval '%s'", a.Name)
		}
	}
}

// variables finds pipeline variables that nothing refers to, and output variables that a
// Commands action does not say it has.
func (l *linter) variables() {
	used := map[string]bool{}
	outputs := map[string][]string{}
	for _, s := range l.d.Stages {
		for _, a := range s.Actions {
			if a.Namespace != "" && a.ActionTypeID.Provider == "Commands" && a.ActionTypeID.Owner == pipeline.OwnerAWS {
				outputs[a.Namespace] = append([]string{""}, a.OutputVariables...)
			}
		}
	}
	look := func(path, value string) {
		for _, ref := range pipeline.References(value) {
			if ref.Namespace == "variables" {
				used[ref.Key] = true
			}
			if has, ok := outputs[ref.Namespace]; ok && !slices.Contains(has, ref.Key) {
				l.tell(l.at("%s", path), "unknown-variable", "#{%s} is not among the outputVariables of the action with the namespace '%s'", ref.Text, ref.Namespace)
			}
		}
	}
	for i := range l.d.Stages {
		s := &l.d.Stages[i]
		for j, a := range s.Actions {
			values(fmt.Sprintf("stages.%d.actions.%d", i+1, j+1), a.Configuration, a.Commands, a.EnvironmentVariables, look)
		}
		rules(i, s, func(path string, r *pipeline.Rule) { values(path, r.Configuration, r.Commands, nil, look) })
	}
	for i, v := range l.d.Variables {
		if !used[v.Name] {
			l.tell(l.at("variables.%d.name", i+1), "unused-variable", "nothing refers to the variable '%s'", v.Name)
		}
	}
}

// values yields the texts in which variables are resolved (S-277).
func values(path string, configuration map[string]string, commands []string, environment []pipeline.EnvironmentVariable, yield func(path, value string)) {
	for key, v := range configuration {
		yield(path+".configuration."+key, v)
	}
	for i, v := range commands {
		yield(fmt.Sprintf("%s.commands.%d", path, i+1), v)
	}
	for i, e := range environment {
		yield(fmt.Sprintf("%s.environmentVariables.%d.value", path, i+1), e.Value)
	}
}

// transitions finds disabled transitions into stages that are not there.
func (l *linter) transitions(list []Transition) {
	for _, t := range list {
		if _, _, ok := l.d.Stage(t.Stage); !ok {
			l.tell(&template.Node{Line: t.Line, Column: t.Column}, "unknown-stage", "DisableInboundStageTransitions names the stage '%s', which the pipeline does not have", t.Stage)
		}
	}
}

// actions looks at what single actions say.
func (l *linter) actions() {
	for i, s := range l.d.Stages {
		for j, a := range s.Actions {
			path := fmt.Sprintf("stages.%d.actions.%d", i+1, j+1)
			for key, v := range a.Configuration {
				at := path + ".configuration." + key
				l.foreign(at, key, v, &a)
				if key == "EnvironmentVariables" {
					l.environment(at, v)
				} else if t, ok := l.known(a.ActionTypeID); secretLooking(key, v) || ok && t.IsSecret(key) && plain(v) {
					l.secret(at, key)
				}
			}
			for k, e := range a.EnvironmentVariables {
				if e.Type != "SECRETS_MANAGER" && secretLooking(e.Name, e.Value) {
					l.secret(fmt.Sprintf("%s.environmentVariables.%d.value", path, k+1), e.Name)
				}
			}
		}
	}
}

var arnAccount = regexp.MustCompile(`^arn:aws[a-z-]*:([a-z0-9-]+):[a-z0-9-]*:([0-9]{12}):`)

// foreign finds actions that reach into another account with the pipeline's own role.
func (l *linter) foreign(path, key, v string, a *pipeline.Action) {
	m := arnAccount.FindStringSubmatch(v)
	if m == nil || m[2] == l.account || a.RoleARN != "" || a.ActionTypeID.Category == pipeline.CategoryApproval {
		return
	}
	l.tell(l.at("%s", path), "cross-account", "'%s' names the account %s, and action '%s' has no roleArn: it works with the role of the pipeline, which is of account %s",
		key, m[2], a.Name, l.account)
}

// environment looks into the environment variables of CodeBuild, which are a text.
func (l *linter) environment(path, v string) {
	var list []struct{ Name, Value, Type string }
	if json.Unmarshal([]byte(v), &list) != nil {
		return
	}
	for _, e := range list {
		if (e.Type == "" || e.Type == "PLAINTEXT") && secretLooking(e.Name, e.Value) {
			l.secret(path, e.Name)
		}
	}
}

func (l *linter) secret(path, key string) {
	l.tell(l.at("%s", path), "plain-secret", "'%s' looks like a secret in plain text, which everyone reads who may read the definition. Keep it in Secrets Manager and name it here", key)
}

var (
	secretName = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?i)(^|[a-z0-9_-])(token|secret|passw(or)?d|passphrase|api_?key|access_?key|private_?key|credentials?)$|^(token|secret|passw(or)?d)$`)
	})
	secretValue = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^(AKIA|ASIA)[A-Z0-9]{16}$|^gh[pousr]_[A-Za-z0-9]{30,}|^glpat-[A-Za-z0-9_-]{20}|^xox[abp]-|-----BEGIN [A-Z ]*PRIVATE KEY-----`)
	})
)

// plain says whether a value is itself, and no reference to where the value is.
func plain(v string) bool {
	return v != "" && v != pipeline.SecretMask && !strings.Contains(v, "#{") && !strings.HasPrefix(v, "arn:") && !strings.Contains(v, "{{resolve:")
}

func secretLooking(name, value string) bool {
	return plain(value) && (secretName().MatchString(name) || secretValue().MatchString(value))
}
