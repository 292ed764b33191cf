package buildspec_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"penstock/internal/buildspec"
)

// A.1, hostile: any text is a specification or an *Error, soon.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{full, bomb(), "version: 0.2\nphases: {build: {on-failure: RETRY-3-.*}}", "- a", "? [x]\n: y", "a: &a [*a]", "version: !!binary 0.2",
		"version: 0.2\nphases: {build: {commands: [*x], finally: &x [a]}}", "version: 0.2\nphases: &p {<<: [*p]}", "version: 0.2\nphases: {build: &b {on-failure: RETRY-99999999999999999999, <<: *b}}",
		"version: \"0.1\"\nenv: {variables: {A: 1e1000, B: ~, C: \"\\0\"}, exported-variables: A}\nphases:\n", "version: 0.2\nphases: {build: {on-failure: \"RETRY-1-((a{9}){9}){9}\"}}\nbatch: !!binary x",
		"version: 0.1\nphases: {install: , build: !!null x}\nartifacts: {secondary-artifacts: {a: {files: [~]}}, s3-prefix: \"\\xff\"}", "x" + strings.Repeat("é", 40), "? |\n #\n- #\n# x\n\n: -\n#"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		spec, err := buildspec.Parse([]byte(text))
		var bad *buildspec.Error
		if err != nil && (!errors.As(err, &bad) || bad.Line < 0 || !utf8.ValidString(err.Error())) || (err == nil) != (spec != nil) {
			t.Fatalf("%v %q", spec, err)
		}
		if spec == nil {
			return
		}
		if spec.Version != "0.1" && spec.Version != "0.2" {
			t.Errorf("version %q", spec.Version)
		}
		for _, p := range spec.Phases {
			if o := p.OnFailure; o.Retries < 0 || o.Retries > buildspec.MaxRetries || o.Retries > 0 && o.Action != buildspec.Retry || strings.Contains(strings.Join(p.Commands, "")+strings.Join(p.Finally, ""), "\x00") {
				t.Errorf("%+v", p)
			}
		}
		for _, vars := range []map[string]string{spec.Env.Variables, spec.Env.ParameterStore, spec.Env.SecretsManager} {
			for name, value := range vars {
				if name == "" || strings.ContainsAny(name, "=\x00") || strings.HasPrefix(name, "CODEBUILD_") || strings.Contains(value, "\x00") {
					t.Errorf("%q=%q", name, value)
				}
			}
		}
	})
}
