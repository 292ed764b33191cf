package definition

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"penstock/internal/pipeline"
)

// hcl writes the language of Terraform. It is small enough to be written here: blocks, texts,
// numbers, lists and maps of texts.
type hcl struct {
	strings.Builder
	depth   int
	rows    [][2]string // attributes that stand together and are not yet written
	notes   []string
	secrets vault
}

func (h *hcl) line(text string) {
	h.flush()
	h.WriteString(strings.Repeat("  ", h.depth) + text + "\n")
}

// set gives an attribute of one line.
func (h *hcl) set(name, value string) {
	h.rows = append(h.rows, [2]string{name, value})
}

// flush writes attributes with their equals signs in one column, as terraform fmt has them.
func (h *hcl) flush() {
	width := 0
	for _, row := range h.rows {
		width = max(width, utf8.RuneCountInString(row[0]))
	}
	for _, row := range h.rows {
		fmt.Fprintf(h, "%s%-*s = %s\n", strings.Repeat("  ", h.depth), width, row[0], row[1])
	}
	h.rows = nil
}

func (h *hcl) block(head string, body func()) {
	h.line(head + " {")
	h.depth++
	body()
	h.flush()
	h.depth--
	h.line("}")
}

// text, number, list and dict write an attribute unless it is empty.

func (h *hcl) text(name, value string) {
	if value != "" {
		h.set(name, quote(value))
	}
}

func (h *hcl) number(name string, value int) {
	if value != 0 {
		h.set(name, strconv.Itoa(value))
	}
}

func (h *hcl) list(name string, values []string) {
	if len(values) == 0 {
		return
	}
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = quote(v)
	}
	h.set(name, "["+strings.Join(quoted, ", ")+"]")
}

// dict writes a map; those of its values that are secrets are variables.
func (h *hcl) dict(name string, values map[string]string, secrets map[string]secret) {
	if len(values) == 0 {
		return
	}
	h.line(name + " = {")
	h.depth++
	for _, k := range slices.Sorted(maps.Keys(values)) {
		v := quote(values[k])
		if s, ok := secrets[k]; ok {
			v = "var." + h.secrets.name(s)
		}
		h.set(quote(k), v)
	}
	h.flush()
	h.depth--
	h.line("}")
}

// cannot notes what Terraform's provider has no argument for (C-15), here and for the caller.
func (h *hcl) cannot(where, what string) {
	note := fmt.Sprintf("%s: Terraform's provider has no argument for %s", where, what)
	h.notes = append(h.notes, note)
	h.line("# " + strings.Join(strings.Fields(note), " "))
}

// quote writes a text so that it stands for itself: nothing in it begins a template.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i, c := range s {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&b, `\u%04x`, c)
		case (c == '$' || c == '%') && strings.HasPrefix(s[i+1:], "{"):
			b.WriteRune(c)
			b.WriteRune(c)
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// label makes the name of a resource in Terraform.
func label(name string) string {
	text := strings.Map(func(c rune) rune {
		if c < 128 && (c == '_' || c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z') {
			return c
		}
		return '_'
	}, name)
	if text == "" || text[0] == '-' || text[0] >= '0' && text[0] <= '9' {
		return "_" + text
	}
	return text
}

// Terraform writes resources of Terraform's provider that make the pipeline (C-14). notes
// tell what the provider cannot express (C-15); the text has them as comments at their places.
// A secret, which the server does not tell, becomes a variable.
func Terraform(f Form) (text string, notes []string) {
	h := &hcl{}
	for _, t := range f.ActionTypes {
		h.actionType(t)
	}
	d := f.Declaration
	h.block(`resource "aws_codepipeline" "`+label(d.Name)+`"`, func() {
		h.text("name", d.Name)
		h.text("role_arn", d.RoleARN)
		h.text("execution_mode", string(d.ExecutionMode))
		h.text("pipeline_type", d.PipelineType)
		if d.ArtifactStore != nil {
			h.store("", *d.ArtifactStore)
		}
		for _, region := range slices.Sorted(maps.Keys(d.ArtifactStores)) {
			h.store(region, d.ArtifactStores[region])
		}
		for _, v := range d.Variables {
			h.block("variable", func() {
				h.text("name", v.Name)
				if v.DefaultValue != nil {
					h.text("default_value", *v.DefaultValue)
				}
				h.text("description", v.Description)
			})
		}
		for _, t := range d.Triggers {
			h.trigger(t)
		}
		for i := range d.Stages {
			h.block("stage", func() { h.stage(&d.Stages[i]) })
		}
		for _, t := range f.Disabled {
			h.cannot("stage "+t.Stage, "a disabled inbound transition; disable it with: penstock transition")
		}
		h.tags(f.Tags)
	})
	for _, w := range f.Webhooks {
		h.webhook(w, f.WebhookTags[w.Name], d.Name)
	}
	for _, s := range h.secrets.secrets {
		h.block(`variable "`+s.name+`"`, func() {
			h.text("description", s.about)
			h.set("type", "string")
			h.set("sensitive", "true")
		})
	}
	return h.String(), h.notes
}

func (h *hcl) tags(list []pipeline.Tag) {
	tags := map[string]string{}
	for _, t := range list {
		tags[t.Key] = t.Value
	}
	h.dict("tags", tags, nil)
}

func (h *hcl) store(region string, s pipeline.ArtifactStore) {
	h.block("artifact_store", func() {
		h.text("type", s.Type)
		h.text("location", s.Location)
		h.text("region", region)
		if s.EncryptionKey != nil {
			h.block("encryption_key", func() {
				h.text("id", s.EncryptionKey.ID)
				h.text("type", s.EncryptionKey.Type)
			})
		}
	})
}

func (h *hcl) filter(name string, f *pipeline.GitFilter) {
	if f != nil {
		h.block(name, func() {
			h.list("includes", f.Includes)
			h.list("excludes", f.Excludes)
		})
	}
}

func (h *hcl) trigger(t pipeline.TriggerDeclaration) {
	h.block("trigger", func() {
		h.text("provider_type", t.ProviderType)
		h.block("git_configuration", func() {
			h.text("source_action_name", t.GitConfiguration.SourceActionName)
			for _, f := range t.GitConfiguration.Push {
				h.block("push", func() {
					h.filter("branches", f.Branches)
					h.filter("file_paths", f.FilePaths)
					h.filter("tags", f.Tags)
				})
			}
			for _, f := range t.GitConfiguration.PullRequest {
				h.block("pull_request", func() {
					h.list("events", f.Events)
					h.filter("branches", f.Branches)
					h.filter("file_paths", f.FilePaths)
				})
			}
		})
	})
}

func names(list []pipeline.ArtifactName) (out []string) {
	for _, a := range list {
		out = append(out, a.Name)
	}
	return out
}

func (h *hcl) stage(s *pipeline.Stage) {
	h.text("name", s.Name)
	if len(s.Blockers) > 0 {
		h.cannot("stage "+s.Name, "blockers")
	}
	for i := range s.Actions {
		h.block("action", func() { h.action(s.Name, &s.Actions[i]) })
	}
	if s.BeforeEntry != nil {
		h.block("before_entry", func() { h.conditions(s.BeforeEntry.Conditions) })
	}
	if s.OnSuccess != nil {
		h.block("on_success", func() { h.conditions(s.OnSuccess.Conditions) })
	}
	if f := s.OnFailure; f != nil {
		h.block("on_failure", func() {
			h.text("result", f.Result)
			if f.RetryConfiguration != nil {
				h.block("retry_configuration", func() { h.text("retry_mode", string(f.RetryConfiguration.RetryMode)) })
			}
			h.conditions(f.Conditions)
		})
	}
}

func (h *hcl) action(stage string, a *pipeline.Action) {
	h.text("name", a.Name)
	h.text("category", a.ActionTypeID.Category)
	h.text("owner", a.ActionTypeID.Owner)
	h.text("provider", a.ActionTypeID.Provider)
	h.text("version", a.ActionTypeID.Version)
	h.number("run_order", a.RunOrder)
	h.text("namespace", a.Namespace)
	h.text("region", a.Region)
	h.text("role_arn", a.RoleARN)
	h.number("timeout_in_minutes", a.TimeoutInMinutes)
	h.list("input_artifacts", names(a.InputArtifacts))
	var outputs []string
	where := "action " + a.Name + " of stage " + stage
	for _, o := range a.OutputArtifacts {
		outputs = append(outputs, o.Name)
		if len(o.Files) > 0 {
			h.cannot(where, "the files of an output artifact: "+quoted(o.Files))
		}
	}
	h.list("output_artifacts", outputs)
	h.dict("configuration", a.Configuration, secretsOf(stage, a))
	if len(a.Commands) > 0 {
		h.cannot(where, "commands: "+quoted(a.Commands))
	}
	if len(a.OutputVariables) > 0 {
		h.cannot(where, "outputVariables: "+quoted(a.OutputVariables))
	}
	for _, e := range a.EnvironmentVariables {
		h.cannot(where, fmt.Sprintf("environmentVariables: %q = %q of type %s", e.Name, e.Value, cmp.Or(e.Type, "PLAINTEXT")))
	}
}

func quoted(list []string) string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = strconv.Quote(v)
	}
	return strings.Join(out, ", ")
}

func (h *hcl) conditions(list []pipeline.Condition) {
	for _, c := range list {
		h.block("condition", func() {
			h.text("result", c.Result)
			for _, r := range c.Rules {
				h.block("rule", func() {
					h.text("name", r.Name)
					h.block("rule_type_id", func() {
						h.text("category", r.RuleTypeID.Category)
						h.text("owner", r.RuleTypeID.Owner)
						h.text("provider", r.RuleTypeID.Provider)
						h.text("version", r.RuleTypeID.Version)
					})
					h.list("commands", r.Commands)
					h.dict("configuration", r.Configuration, nil)
					h.list("input_artifacts", names(r.InputArtifacts))
					h.text("region", r.Region)
					h.text("role_arn", r.RoleARN)
					h.number("timeout_in_minutes", r.TimeoutInMinutes)
				})
			}
		})
	}
}

func (h *hcl) webhook(w Webhook, tags []pipeline.Tag, target string) {
	h.block(`resource "aws_codepipeline_webhook" "`+label(w.Name)+`"`, func() {
		h.text("name", w.Name)
		h.text("authentication", w.Authentication)
		h.text("target_action", w.TargetAction)
		h.set("target_pipeline", "aws_codepipeline."+label(target)+".name")
		if c := w.AuthenticationConfiguration; c != (WebhookSecret{}) {
			h.block("authentication_configuration", func() {
				h.text("allowed_ip_range", c.AllowedIPRange)
				if c.SecretToken == pipeline.SecretMask {
					h.set("secret_token", "var."+h.secrets.name(webhookSecret(w)))
				} else {
					h.text("secret_token", c.SecretToken)
				}
			})
		}
		for _, f := range w.Filters {
			h.block("filter", func() {
				h.text("json_path", f.JSONPath)
				h.text("match_equals", f.MatchEquals)
			})
		}
		h.tags(tags)
	})
}

func (h *hcl) actionType(t ActionType) {
	h.block(`resource "aws_codepipeline_custom_action_type" "`+label(t.Category+"_"+t.Provider+"_"+t.Version)+`"`, func() {
		h.text("category", t.Category)
		h.text("provider_name", t.Provider)
		h.text("version", t.Version)
		for _, side := range []struct {
			name   string
			bounds pipeline.Bounds
		}{{"input_artifact_details", t.InputArtifactDetails}, {"output_artifact_details", t.OutputArtifactDetails}} {
			h.block(side.name, func() {
				h.set("minimum_count", strconv.Itoa(side.bounds.Min))
				h.set("maximum_count", strconv.Itoa(side.bounds.Max))
			})
		}
		for _, p := range t.ConfigurationProperties {
			h.block("configuration_property", func() {
				h.text("name", p.Name)
				h.text("description", p.Description)
				h.text("type", p.Type)
				for _, flag := range []struct {
					name string
					on   bool
				}{{"key", p.Key}, {"queryable", p.Queryable}, {"required", p.Required}, {"secret", p.Secret}} {
					h.set(flag.name, strconv.FormatBool(flag.on))
				}
			})
		}
		if s := t.Settings; s != nil && *s != (pipeline.Settings{}) {
			h.block("settings", func() {
				h.text("entity_url_template", s.EntityURLTemplate)
				h.text("execution_url_template", s.ExecutionURLTemplate)
				h.text("revision_url_template", s.RevisionURLTemplate)
				h.text("third_party_configuration_url", s.ThirdPartyConfigurationURL)
			})
		}
		h.tags(t.Tags)
	})
}
