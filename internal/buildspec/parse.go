package buildspec

import (
	"errors"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"sync"

	"go.yaml.in/yaml/v4"
)

// Parse reads a specification. Every error is an *Error that a user can act on.
//
// Hostile text costs little: the size is bounded before parsing, aliases are never
// expanded into memory, and the walk over them has a budget.
func Parse(text []byte) (*Spec, error) {
	if len(text) > MaxSize {
		return nil, errorf(0, "YAML file is larger than %d bytes", MaxSize)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, &Error{Message: "Invalid YAML: " + strings.TrimPrefix(firstLine(err), "yaml: ")}
	}
	if len(doc.Content) == 0 {
		return nil, errorf(0, "YAML file is empty")
	}
	w := &walker{left: maxNodes}
	spec := &Spec{Phases: map[PhaseName]Phase{}}
	var bad *Error
	if err := w.spec(doc.Content[0], spec); errors.As(err, &bad) {
		return nil, bad
	}
	return spec, nil
}

func firstLine(err error) string {
	s, _, _ := strings.Cut(err.Error(), "\n")
	return s
}

var (
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	artifactID   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`) })
	retryForm    = regexp.MustCompile(`^RETRY(?:-(\d+))?(?:-(.+))?$`)
)

func (w *walker) spec(n *yaml.Node, s *Spec) error {
	sawPhases := false
	err := w.mapping(n, "the build specification", func(key string, k, v *yaml.Node) (err error) {
		switch key {
		case "version":
			s.Version, err = w.version(v)
		case "run-as":
			s.RunAs, err = w.text(v, "run-as")
		case "env":
			err = w.env(v, &s.Env)
		case "phases":
			sawPhases = true
			err = w.phases(v, s)
		case "artifacts":
			s.Artifacts = &Artifacts{}
			err = w.artifacts(v, s.Artifacts)
		case "batch":
			s.HasBatch = true
		case "reports":
			s.Warnings = append(s.Warnings, "Test reports are accepted but not collected by this server")
		case "cache":
			s.Warnings = append(s.Warnings, "The cache section is accepted but nothing is cached by this server")
		case "proxy":
			s.Warnings = append(s.Warnings, "The proxy section is accepted but has no effect on this server")
		default:
			// CodeBuild does not refuse keys it does not know.
			s.Warnings = append(s.Warnings, "Unknown key "+strconv.Quote(clip(key))+" in the build specification is ignored")
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case s.Version == "":
		return errorf(0, "version is missing: a build specification needs version 0.1 or 0.2")
	case !sawPhases:
		return errorf(0, "phases is missing: a build specification needs at least one phase")
	}
	return nil
}

// version accepts a number or a string: 0.2 is a float to most parsers. (A.1)
func (w *walker) version(n *yaml.Node) (string, error) {
	v, err := w.text(n, "version")
	if err != nil {
		return "", err
	}
	if v != "0.1" && v != "0.2" {
		return "", errorf(n.Line, "Invalid buildspec version: %s, expected 0.1 or 0.2", clip(v))
	}
	return v, nil
}

func (w *walker) env(n *yaml.Node, e *Env) error {
	return w.mapping(n, "env", func(key string, k, v *yaml.Node) (err error) {
		switch key {
		case "shell":
			if e.Shell, err = w.text(v, "shell"); err == nil && !slices.Contains([]string{"bash", "/bin/bash", "sh", "/bin/sh"}, e.Shell) {
				err = errorf(v.Line, "Unsupported shell %q, expected bash or /bin/sh", clip(e.Shell))
			}
		case "variables":
			e.Variables, err = w.names(v, "variables")
		case "parameter-store":
			e.ParameterStore, err = w.names(v, "parameter-store")
		case "secrets-manager":
			e.SecretsManager, err = w.names(v, "secrets-manager")
		case "exported-variables":
			if e.Exported, err = w.list(v, "exported-variables"); err == nil {
				for _, name := range e.Exported {
					if !variableName.MatchString(name) {
						return errorf(v.Line, "Invalid exported variable name %q", clip(name))
					}
				}
			}
		case "git-credential-helper":
			e.GitCredentialHelper, err = w.yes(v, key)
		}
		return err
	})
}

// names reads a map of variable names; names reserved by CodeBuild are refused. (A.2)
func (w *walker) names(n *yaml.Node, what string) (map[string]string, error) {
	out := map[string]string{}
	err := w.mapping(n, what, func(key string, k, v *yaml.Node) error {
		if !variableName.MatchString(key) {
			return errorf(k.Line, "Invalid environment variable name %q in %s", clip(key), what)
		}
		if strings.HasPrefix(key, "CODEBUILD_") {
			return errorf(k.Line, "Environment variable names must not start with CODEBUILD_: %s", clip(key))
		}
		text, err := w.text(v, key)
		if err == nil && strings.ContainsRune(text, 0) {
			err = errorf(v.Line, "Value of %s holds a NUL character", key)
		}
		out[key] = text
		return err
	})
	return out, err
}

func (w *walker) phases(n *yaml.Node, s *Spec) error {
	return w.mapping(n, "phases", func(key string, k, v *yaml.Node) error {
		name, ok := keys[key]
		if !ok {
			return errorf(k.Line, "Unknown phase %q, expected install, pre_build, build or post_build", clip(key))
		}
		var p Phase
		if err := w.phase(v, &p); err != nil {
			return err
		}
		if len(p.RuntimeVersions) > 0 {
			// A.3: the warning of an image without version managers.
			s.Warnings = append(s.Warnings, "Skipping install of runtimes. Runtime version selection is not supported by this build image.")
		}
		s.Phases[name] = p
		return nil
	})
}

func (w *walker) phase(n *yaml.Node, p *Phase) error {
	if isNull(n) {
		return nil
	}
	return w.mapping(n, "phase", func(key string, k, v *yaml.Node) (err error) {
		switch key {
		case "run-as":
			p.RunAs, err = w.text(v, key)
		case "on-failure":
			p.OnFailure, err = w.onFailure(v)
		case "commands":
			p.Commands, err = w.commands(v, "Commands")
		case "finally":
			p.Finally, err = w.commands(v, "Finally")
		case "runtime-versions":
			p.RuntimeVersions = map[string]string{}
			err = w.mapping(v, key, func(lang string, _, ver *yaml.Node) error {
				text, err := w.text(ver, lang)
				p.RuntimeVersions[lang] = text
				return err
			})
		}
		return err
	})
}

// onFailure reads ABORT, CONTINUE and the forms of RETRY. (A.3)
func (w *walker) onFailure(n *yaml.Node) (OnFailure, error) {
	v, err := w.text(n, "on-failure")
	if err != nil {
		return OnFailure{}, err
	}
	switch Action(v) {
	case Abort, Continue:
		return OnFailure{Action: Action(v)}, nil
	}
	m := retryForm.FindStringSubmatch(v)
	if m == nil || len(v) > 1024 {
		return OnFailure{}, errorf(n.Line, "Invalid on-failure %q, expected ABORT, CONTINUE, RETRY, RETRY-count, RETRY-regex or RETRY-count-regex", clip(v))
	}
	o := OnFailure{Action: Retry, Retries: DefaultRetries}
	if m[1] != "" {
		if o.Retries, err = strconv.Atoi(m[1]); err != nil || o.Retries > MaxRetries {
			return OnFailure{}, errorf(n.Line, "Invalid on-failure retry count %s, expected 0 to %d", clip(m[1]), MaxRetries)
		}
	}
	if m[2] != "" {
		// Go's regexp takes time for each character of the output and each part of the pattern,
		// so that a light pattern cannot stall a build.
		re, err := syntax.Parse(m[2], syntax.Perl)
		if err != nil {
			return OnFailure{}, errorf(n.Line, "Invalid on-failure pattern %q", clip(m[2]))
		}
		if weight(re) > maxWeight {
			return OnFailure{}, errorf(n.Line, "Invalid on-failure pattern %q: with its repetitions it has more than %d parts", clip(m[2]), maxWeight)
		}
		o.Match = regexp.MustCompile(m[2])
	}
	return o, nil
}

// weight counts the parts of a pattern, each as often as it is repeated.
func weight(re *syntax.Regexp) int {
	n := 1
	if re.Op == syntax.OpLiteral {
		n = len(re.Rune)
	}
	for _, sub := range re.Sub {
		n += weight(sub)
	}
	if re.Op == syntax.OpRepeat {
		n *= max(re.Min, re.Max, 1)
	}
	return n
}

func (w *walker) artifacts(n *yaml.Node, a *Artifacts) error {
	return w.mapping(n, "artifacts", func(key string, k, v *yaml.Node) error {
		if key != "secondary-artifacts" {
			return w.artifactKey(key, v, &a.Primary)
		}
		return w.mapping(v, key, func(id string, k, v *yaml.Node) error {
			if !artifactID().MatchString(id) {
				return errorf(k.Line, "Invalid artifact identifier %q", clip(id))
			}
			set := NamedSet{ID: id}
			err := w.mapping(v, id, func(key string, _, v *yaml.Node) error { return w.artifactKey(key, v, &set.ArtifactSet) })
			if err == nil && len(set.Files) == 0 {
				err = errorf(k.Line, "files is missing in secondary artifact %s", id)
			}
			a.Secondary = append(a.Secondary, set)
			return err
		})
	})
}

func (w *walker) artifactKey(key string, v *yaml.Node, s *ArtifactSet) (err error) {
	switch key {
	case "files":
		s.Files, err = w.list(v, key)
	case "exclude-paths":
		s.ExcludePaths, err = w.list(v, key)
	case "base-directory":
		s.BaseDirectory, err = w.text(v, key)
	case "name":
		s.Name, err = w.text(v, key)
	case "s3-prefix":
		s.S3Prefix, err = w.text(v, key)
	case "discard-paths":
		s.DiscardPaths, err = w.yes(v, key)
	case "enable-symlinks":
		s.EnableSymlinks, err = w.yes(v, key)
	}
	return err
}
