package buildspec_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"penstock/internal/buildspec"
)

const full = `version: 0.2
run-as: builder
env:
  shell: bash
  variables: {A: 0123, B: 1.10, PATH: "/opt:$PATH"}
  parameter-store: {P: /my/p}
  secrets-manager: {S: "db:password"}
  exported-variables: [A, S, P, AWS_REGION, A, B]
  git-credential-helper: yes
phases:
  install:
    runtime-versions: {nodejs: 20}
    commands: [npm ci]
  pre_build: {on-failure: RETRY-2-time.*out, run-as: root, commands: ["a"]}
  build:
    on-failure: CONTINUE
    commands:
      - echo "a b"
      - |
        if true; then
          echo x
        fi
    finally: [echo done]
  post_build: {}
reports: {g: {files: ["**/*"]}}
artifacts:
  files: ["**/*"]
  base-directory: out*
  exclude-paths: ["**/*.map"]
  discard-paths: no
  name: x-$(date +%F)
  secondary-artifacts:
    two: {files: [b.txt], discard-paths: yes, base-directory: dist}
    one: {files: a.txt, enable-symlinks: yes}
cache: {paths: ["x/**/*"]}
`

// A.1: every part of the format is read; scalars keep their text.
func TestParseFull(t *testing.T) {
	t.Parallel()
	s, err := buildspec.Parse([]byte(full))
	if err != nil {
		t.Fatal(err)
	}
	if s.Version != "0.2" || s.RunAs != "builder" || s.Env.Shell != "bash" || !s.Env.GitCredentialHelper {
		t.Errorf("head: %+v", s)
	}
	if diff := cmp.Diff(map[string]string{"A": "0123", "B": "1.10", "PATH": "/opt:$PATH"}, s.Env.Variables); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"A", "B"}, s.Env.Exportable()); diff != "" {
		t.Error("A.2 exportable:", diff)
	}
	build := s.Phases[buildspec.Build]
	if diff := cmp.Diff([]string{`echo "a b"`, "if true; then\n  echo x\nfi\n"}, build.Commands); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"echo done"}, build.Finally); diff != "" {
		t.Error(diff)
	}
	pre := s.Phases[buildspec.PreBuild]
	if pre.OnFailure.Action != buildspec.Retry || pre.OnFailure.Retries != 2 || pre.RunAs != "root" {
		t.Errorf("pre_build: %+v", pre)
	}
	if !pre.OnFailure.ShouldRetry(2, "a time-out") || pre.OnFailure.ShouldRetry(3, "time out") || pre.OnFailure.ShouldRetry(1, "no") {
		t.Error("A.3 RETRY-2-regex")
	}
	if a := s.Artifacts; a == nil || len(a.Secondary) != 2 || a.Secondary[0].ID != "two" || !a.Secondary[0].DiscardPaths || !a.Secondary[1].EnableSymlinks {
		t.Errorf("artifacts: %+v", s.Artifacts)
	}
	// A.7, A.8 are accepted with a warning; so is runtime-versions (A.3).
	if len(s.Warnings) != 3 {
		t.Errorf("warnings: %q", s.Warnings)
	}
}

// A.1, A.2, A.3: what is refused, and with which words.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	const head = "version: 0.2\nphases:\n"
	for name, c := range map[string]struct{ in, want string }{
		"map as command": {head + "  build:\n    commands:\n      - echo ok\n      - echo \"a: b\" c: d\n",
			"Invalid YAML"},
		"colon in command": {head + "  build:\n    commands:\n      - echo ok\n      - echo a: b\n",
			"Expected Commands[1] to be of string type: found subkeys instead at line 6, value of the key tag on line 6 might be empty"},
		"list as command":      {head + "  build:\n    commands:\n      - [a]\n", "Expected Commands[0] to be of string type: found a list at line 5"},
		"finally":              {head + "  build:\n    finally:\n      - a: b\n", "Expected Finally[0] to be of string type"},
		"no version":           {"phases: {build: {commands: [a]}}", "version is missing"},
		"bad version":          {"version: 3\nphases: {}", "Invalid buildspec version: 3, expected 0.1 or 0.2 at line 1"},
		"no phases":            {"version: 0.2\n", "phases is missing"},
		"unknown phase":        {head + "  deploy: {commands: [a]}\n", `Unknown phase "deploy"`},
		"empty":                {"", "YAML file is empty"},
		"text":                 {"hello", "Expected the build specification to be a map"},
		"duplicate":            {head + "  build: {commands: [a]}\n  build: {commands: [b]}\n", "uplicate"},
		"reserved":             {"version: 0.2\nenv: {variables: {CODEBUILD_X: a}}\nphases: {}", "must not start with CODEBUILD_"},
		"variable name":        {"version: 0.2\nenv: {variables: {'a b': a}}\nphases: {}", "Invalid environment variable name"},
		"shell":                {"version: 0.2\nenv: {shell: /bin/evil}\nphases: {}", "Unsupported shell"},
		"retry count":          {head + "  build: {on-failure: RETRY-101}\n", "expected 0 to 100"},
		"retry count overflow": {head + "  build: {on-failure: RETRY-99999999999999999999}\n", "expected 0 to 100"},
		"retry pattern":        {head + "  build: {on-failure: 'RETRY-['}\n", "Invalid on-failure pattern"},
		"heavy retry pattern":  {head + "  build: {on-failure: 'RETRY-1-(" + strings.Repeat("x*", 100) + "){1000}'}\n", "has more than 2000 parts"},
		"on-failure":           {head + "  build: {on-failure: MAYBE}\n", "Invalid on-failure"},
		"artifact id":          {head + "  build: {}\nartifacts: {secondary-artifacts: {'../x': {files: [a]}}}", "Invalid artifact identifier"},
		"secondary files":      {head + "  build: {}\nartifacts: {secondary-artifacts: {x: {name: a}}}", "files is missing"},
		"too large":            {strings.Repeat("#", buildspec.MaxSize+1), "larger than"},
		"too deep":             {strings.Repeat("[", 20000), "Invalid YAML"},
		"alias bomb":           {bomb(), ""},
		"alias of itself":      {"version: 0.2\nphases: &a\n  build:\n    runtime-versions: *a\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := buildspec.Parse([]byte(c.in))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// bomb is a document whose aliases expand to a billion values.
func bomb() string {
	var b strings.Builder
	b.WriteString("version: 0.2\nx0: &x0 {a: b}\n")
	for i := 1; i < 10; i++ {
		n, p := string(rune('0'+i)), string(rune('0'+i-1))
		b.WriteString("x" + n + ": &x" + n + "\n  <<: [")
		b.WriteString(strings.TrimSuffix(strings.Repeat("*x"+p+", ", 10), ", "))
		b.WriteString("]\n")
	}
	return b.String() + "phases:\n  build:\n    runtime-versions: *x9\n"
}

// A.2: merge keys and aliases of an honest file work.
func TestParseAliases(t *testing.T) {
	t.Parallel()
	s, err := buildspec.Parse([]byte("version: '0.1'\nx: &c [a, b]\ny: &m {variables: {K: v}}\nenv: {<<: *m}\nphases: {build: {commands: *c}, install:}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if s.Version != "0.1" || len(s.Phases[buildspec.Build].Commands) != 2 || s.Env.Variables["K"] != "v" {
		t.Errorf("%+v", s)
	}
}

// A.2: the parts of a secret reference, ARNs first.
func TestParseSecret(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:secretsmanager:us-east-1:000000000000:secret:db-AbCdEf"
	for in, want := range map[string]buildspec.SecretRef{
		"db":                {ID: "db", Stage: "AWSCURRENT"},
		"db:pw":             {ID: "db", JSONKey: "pw", Stage: "AWSCURRENT"},
		"db:pw:AWSPREVIOUS": {ID: "db", JSONKey: "pw", Stage: "AWSPREVIOUS"},
		"db:::v1":           {ID: "db", VersionID: "v1"},
		arn:                 {ID: arn, Stage: "AWSCURRENT"},
		arn + ":pw::v2":     {ID: arn, JSONKey: "pw", VersionID: "v2"},
	} {
		got, err := buildspec.ParseSecret(in)
		if err != nil || got != want {
			t.Errorf("%s: %+v %v", in, got, err)
		}
	}
	for _, in := range []string{"", "a:b:c:d", "a:b:c:d:e", ":x"} {
		if _, err := buildspec.ParseSecret(in); err == nil {
			t.Errorf("%q accepted", in)
		}
	}
}

// A.2: the start of the build beats the project, the project beats the file.
func TestMerge(t *testing.T) {
	t.Parallel()
	got := buildspec.Merge(map[string]string{"A": "1", "B": "1", "C": "1"}, map[string]string{"B": "2", "C": "2", "CODEBUILD_CI": "x"}, map[string]string{"C": "3"})
	if diff := cmp.Diff([]string{"A=1", "B=2", "C=3"}, buildspec.Sorted(got)); diff != "" {
		t.Error(diff)
	}
}
