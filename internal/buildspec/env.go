package buildspec

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Merge gives the environment of a build from its sources in rising precedence: the
// specification's variables, the project's, the overrides of the start. (A.2) Names a
// later source holds replace earlier ones; names reserved by CodeBuild are dropped.
func Merge(sources ...map[string]string) map[string]string {
	out := map[string]string{}
	for _, s := range sources {
		for k, v := range s {
			if !strings.HasPrefix(k, "CODEBUILD_") {
				out[k] = v
			}
		}
	}
	return out
}

// Exportable gives the exported-variables a build may publish: AWS_* names and names that
// come from a secret or a parameter are left out, each once, in the order written. (A.2)
func (e Env) Exportable() []string {
	var out []string
	for _, name := range e.Exported {
		_, secret := e.SecretsManager[name]
		_, parameter := e.ParameterStore[name]
		if !secret && !parameter && !strings.HasPrefix(name, "AWS_") && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// Sorted gives the environment as NAME=value in order of names.
func Sorted(env map[string]string) []string {
	out := make([]string, 0, len(env))
	for _, k := range slices.Sorted(maps.Keys(env)) {
		out = append(out, k+"="+env[k])
	}
	return out
}

// SecretRef is a parsed reference to a secret.
type SecretRef struct {
	// ID is the name or the ARN of the secret.
	ID string
	// JSONKey picks one value of a JSON secret; "" takes the whole text.
	JSONKey string
	// Stage and VersionID pick a version; at most one is set, Stage defaults to AWSCURRENT.
	Stage, VersionID string
}

var secretARN = regexp.MustCompile(`^(arn:[^:]*:secretsmanager:[^:]*:[^:]*:secret:[^:]*)(?::(.*))?$`)

// ParseSecret reads "id:json-key:version-stage:version-id"; an ARN holds colons itself,
// so its seven fields are taken first. (A.2)
func ParseSecret(ref string) (SecretRef, error) {
	var out SecretRef
	var rest string
	if m := secretARN.FindStringSubmatch(ref); m != nil {
		out.ID, rest = m[1], m[2]
	} else {
		out.ID, rest, _ = strings.Cut(ref, ":")
	}
	parts := strings.SplitN(rest, ":", 4)
	for i, dst := range []*string{&out.JSONKey, &out.Stage, &out.VersionID} {
		if i < len(parts) {
			*dst = parts[i]
		}
	}
	switch {
	case out.ID == "" || len(parts) > 3:
		return SecretRef{}, errorf(0, "Invalid secret reference %q, expected secret-id:json-key:version-stage:version-id", clip(ref))
	case out.Stage != "" && out.VersionID != "":
		return SecretRef{}, errorf(0, "Secret reference %q names both a version stage and a version id", clip(ref))
	case out.Stage == "" && out.VersionID == "":
		out.Stage = "AWSCURRENT"
	}
	return out, nil
}
