package codebuild

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"

	"penstock/internal/buildspec"
)

// The types of variables whose value is elsewhere, and what a phase says when it cannot be had.
const (
	parameterStore  = "PARAMETER_STORE"
	secretsManager  = "SECRETS_MANAGER"
	parameterFailed = "Decrypted Variables Error"
	secretFailed    = "Secrets Manager Error"
)

// maxNames is how many parameters one call asks for.
const maxNames = 10

// resolve merges the variables of the specification, the project and the start into env. Those
// that are parameters or secrets are looked up as the build's role, and what is secret of them
// is masked in the log from now on. (A.2, P-9, P-16)
func (b *build) resolve(ctx context.Context, env map[string]string) result {
	b.log.printf("Processing environment variables")
	given, elsewhere := variables(b.doc.Build.Environment.EnvironmentVariables)
	parameters, secrets := map[string]string{}, map[string]string{}
	for to, list := range map[*map[string]string]map[string]string{&parameters: b.spec.Env.ParameterStore, &secrets: b.spec.Env.SecretsManager} {
		for name, ref := range list {
			_, plain := given[name]
			if _, ok := elsewhere[name]; !plain && !ok {
				(*to)[name] = ref
			}
		}
	}
	for name, v := range elsewhere {
		if v.Type == parameterStore {
			parameters[name] = v.Value
		} else {
			secrets[name] = v.Value
		}
	}
	found, res := b.parameters(ctx, parameters)
	if res.outcome != buildspec.Passed {
		return res
	}
	values, res := b.secrets(ctx, secrets)
	if res.outcome != buildspec.Passed {
		return res
	}
	b.secret = map[string]bool{}
	for name := range elsewhere {
		b.secret[name] = true
	}
	for k, v := range buildspec.Merge(b.spec.Env.Variables, found, values, given) {
		if strings.IndexByte(v, 0) >= 0 {
			return failed("CLIENT_ERROR", "The value of the environment variable %s holds a NUL, which no environment can have", k)
		}
		env[k] = v
	}
	return result{}
}

// unanswered says why a call failed, with the error's code where it has one.
func unanswered(err error) string {
	var answer smithy.APIError
	if errors.As(err, &answer) {
		return answer.ErrorCode() + ": " + answer.ErrorMessage()
	}
	return err.Error()
}

// parameters looks up the parameters that variables name.
func (b *build) parameters(ctx context.Context, names map[string]string) (map[string]string, result) {
	values := map[string]string{}
	if len(names) == 0 {
		return values, result{}
	}
	role := b.doc.Build.ServiceRole
	client := ssm.NewFromConfig(b.cfg)
	got := map[string]ssmtypes.Parameter{}
	asked := slices.Compact(slices.Sorted(maps.Values(names)))
	for batch := range slices.Chunk(asked, maxNames) {
		out, err := client.GetParameters(ctx, &ssm.GetParametersInput{Names: batch, WithDecryption: aws.Bool(true)})
		if err != nil {
			return nil, failed(parameterFailed, "%s (parameters %s, role %s)", unanswered(err), strings.Join(batch, ", "), role)
		}
		for _, p := range out.Parameters {
			got[aws.ToString(p.Name)+aws.ToString(p.Selector)] = p
			got[aws.ToString(p.ARN)+aws.ToString(p.Selector)] = p
		}
	}
	for _, variable := range slices.Sorted(maps.Keys(names)) {
		p, ok := got[names[variable]]
		if !ok {
			return nil, failed(parameterFailed, "parameter does not exist: %s (environment variable %s, role %s)", names[variable], variable, role)
		}
		values[variable] = aws.ToString(p.Value)
		if p.Type == ssmtypes.ParameterTypeSecureString {
			b.log.Conceal(values[variable])
		}
	}
	return values, result{}
}

// secrets looks up the secrets that variables refer to, each version once.
func (b *build) secrets(ctx context.Context, refs map[string]string) (map[string]string, result) {
	values := map[string]string{}
	if len(refs) == 0 {
		return values, result{}
	}
	client := secretsmanager.NewFromConfig(b.cfg)
	got := map[buildspec.SecretRef]string{}
	for _, variable := range slices.Sorted(maps.Keys(refs)) {
		ref, err := buildspec.ParseSecret(refs[variable])
		if err != nil {
			return nil, failed("YAML_FILE_ERROR", "%v", err)
		}
		key := ref.JSONKey
		ref.JSONKey = ""
		text, ok := got[ref]
		if !ok {
			in := &secretsmanager.GetSecretValueInput{SecretId: &ref.ID}
			if ref.VersionID != "" {
				in.VersionId = &ref.VersionID
			} else {
				in.VersionStage = &ref.Stage
			}
			out, err := client.GetSecretValue(ctx, in)
			if err == nil && out.SecretString == nil {
				err = errors.New("the secret is binary, which no environment variable can be")
			}
			if err != nil {
				return nil, failed(secretFailed, "%s (secret %s, environment variable %s, role %s)", unanswered(err), ref.ID, variable, b.doc.Build.ServiceRole)
			}
			text = *out.SecretString
			got[ref] = text
		}
		if key != "" {
			if text, err = member(text, key); err != nil {
				return nil, failed(secretFailed, "%v (secret %s, environment variable %s)", err, ref.ID, variable)
			}
		}
		values[variable] = text
		b.log.Conceal(text)
	}
	return values, result{}
}

// member gives the value of a key in a secret that is a JSON object: a text as it is, anything
// else as it is written. Errors never quote the secret.
func member(text, key string) (string, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return "", fmt.Errorf("the secret is no JSON object, so it has no key %q", key)
	}
	raw, ok := all[key]
	if !ok {
		return "", fmt.Errorf("the secret has no key %q", key)
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		s = string(raw)
	}
	return s, nil
}
