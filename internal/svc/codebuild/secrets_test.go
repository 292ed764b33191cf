package codebuild_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	api "penstock/internal/api/codebuild"
	"penstock/internal/store/storetest"
)

// A.2, P-9: variables from Parameter Store and Secrets Manager, of the specification, the project
// and the start: who wins, what is asked for, and what the log shows.
func TestResolvedVariables(t *testing.T) {
	t.Parallel()
	b := start(t, storetest.SQLite(t), real(t))
	b.project(func(in *api.CreateProjectInput) {
		in.Environment.EnvironmentVariables = append(in.Environment.EnvironmentVariables,
			api.EnvironmentVariable{Name: "PROJECT_SECRET", Value: "db:port", Type: "SECRETS_MANAGER"},
			api.EnvironmentVariable{Name: "PROJECT_PARAMETER", Value: "/app/password:2", Type: "PARAMETER_STORE"},
			api.EnvironmentVariable{Name: "BOTH", Value: "/app/url", Type: "PARAMETER_STORE"})
	})
	const arn = "arn:aws:secretsmanager:us-east-1:000000000000:secret:other-AbCdEf"
	b.aws.parameters = map[string]string{"/app/url": "http://plain", "/app/password:2": "parameter-pass-2"}
	for i := range 12 {
		b.aws.parameters[fmt.Sprint("/many/", i)] = fmt.Sprint("value ", i)
	}
	b.aws.secrets = map[string]string{
		"db AWSCURRENT": `{"user":"secret-user","port":5432,"list":["a"]}`, "whole AWSCURRENT": "whole secret\nof lines", "db AWSPREVIOUS": `{"user":"old-secret-user"}`,
		arn + "  11111111111111111111111111111111": `{"user":"other-secret-user"}`,
	}
	spec := "version: 0.2\nenv:\n  variables: {BOTH: literal, FROM: literal}\n  parameter-store:\n    URL: /app/url\n    BOTH: /none\n    OVER: /none\n"
	for i := range 12 {
		spec += fmt.Sprintf("    MANY_%d: /many/%d\n", i, i)
	}
	spec += "  secrets-manager:\n    USER_NAME: db:user\n    PORT: db:port\n    LIST: db:list\n    OLD: 'db:user:AWSPREVIOUS'\n    WHOLE: whole\n    OTHER: '" + arn + ":user::11111111111111111111111111111111'\n" +
		"  exported-variables: [URL, USER_NAME, PROJECT_SECRET, PROJECT_PARAMETER, OPEN]\n" +
		"phases:\n  build:\n    commands:\n" +
		"      - echo \"$URL $BOTH $FROM $OVER $PORT $LIST $MANY_11\"\n" +
		"      - test \"$USER_NAME $OLD $OTHER\" = \"secret-user old-secret-user other-secret-user\"\n" +
		"      - test \"$PROJECT_SECRET $PROJECT_PARAMETER $START\" = \"5432 parameter-pass-2 secret-user\"\n" +
		"      - test \"$WHOLE\" = \"$(printf 'whole secret\\nof lines')\"\n" +
		"      - echo \"mine $USER_NAME, $PROJECT_PARAMETER\"\n      - export OPEN=1\n"
	done := b.end(b.inline(spec, func(in *api.StartBuildInput) {
		in.EnvironmentVariablesOverride = []api.EnvironmentVariable{{Name: "START", Value: "db:user", Type: "SECRETS_MANAGER"}}
	}).Id)
	log := b.aws.log(done)
	if done.BuildStatus != "SUCCEEDED" {
		t.Fatalf("%s\n%s", phases(done), log)
	}
	for _, want := range []string{"http://plain http://plain project project *** *** value 11", "mine ***, ***"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log has no %q:\n%s", want, log)
		}
	}
	for _, secret := range []string{"secret-user", "parameter-pass-2"} {
		if strings.Contains(log, secret) {
			t.Errorf("%s is in the log:\n%s", secret, log)
		}
	}
	if diff := cmp.Diff([]api.ExportedEnvironmentVariable{{Name: "OPEN", Value: "1"}}, done.ExportedEnvironmentVariables); diff != "" {
		t.Error(diff)
	}
	slices.Sort(b.aws.asked)
	if want := []string{"10 parameters", "4 parameters", arn + "  11111111111111111111111111111111", "db AWSCURRENT", "db AWSPREVIOUS", "whole AWSCURRENT"}; !slices.Equal(b.aws.asked, want) {
		t.Errorf("%q", b.aws.asked)
	}
	if v := done.Environment.EnvironmentVariables; !slices.ContainsFunc(v, func(v api.EnvironmentVariable) bool { return v.Name == "START" && v.Value == "db:user" }) {
		t.Errorf("%+v", v)
	}
}

// A.2, P-9: what cannot be resolved fails the build before it begins, with the name and the role.
func TestUnresolvedVariables(t *testing.T) {
	t.Parallel()
	b := start(t, storetest.SQLite(t), real(t))
	b.project()
	b.aws.secrets = map[string]string{"db AWSCURRENT": `{"user":"secret-user"}`, "text AWSCURRENT": "secret-text"}
	for env, want := range map[string][]string{
		"parameter-store: {A: /none}":            {"Decrypted Variables Error", "parameter does not exist: /none (environment variable A, role " + role + ")"},
		"secrets-manager: {A: none}":             {"Secrets Manager Error", "ResourceNotFoundException: Secrets Manager can't find the specified secret. (secret none, environment variable A, role " + role + ")"},
		"secrets-manager: {A: 'db:user:GONE'}":   {"Secrets Manager Error", "ResourceNotFoundException"},
		"secrets-manager: {A: 'db:pw'}":          {"Secrets Manager Error", `the secret has no key "pw" (secret db, environment variable A)`},
		"secrets-manager: {A: 'text:pw'}":        {"Secrets Manager Error", `the secret is no JSON object, so it has no key "pw"`},
		"secrets-manager: {A: 'db:user:a:b'}":    {"YAML_FILE_ERROR", "both a version stage and a version id"},
		"secrets-manager: {A: 'db:user:a:b:c'}":  {"YAML_FILE_ERROR", "Invalid secret reference"},
		"parameter-store: {A: '/x', B: '/none'}": {"Decrypted Variables Error", "/x (environment variable A"},
	} {
		done := b.end(b.inline("version: 0.2\nenv: {" + env + "}\nphases: {build: {commands: ['echo ran']}}").Id)
		log := b.aws.log(done)
		if done.BuildStatus != "FAILED" || !strings.Contains(phases(done), "DOWNLOAD_SOURCE FAILED") || strings.Contains(log, "Running command") {
			t.Errorf("%s: %s %s\n%s", env, done.BuildStatus, phases(done), log)
		}
		if !strings.Contains(log, "Phase context status code: "+want[0]+" Message: ") || !strings.Contains(log, want[1]) {
			t.Errorf("%s: no %q\n%s", env, want, log)
		}
		if strings.Contains(log, "secret-text") || strings.Contains(log, "secret-user") {
			t.Errorf("%s: a secret is in the log\n%s", env, log)
		}
	}
}
