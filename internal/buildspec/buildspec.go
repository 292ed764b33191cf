// Package buildspec reads a CodeBuild build specification and answers the questions a
// build asks of it: what to run, with which environment, what happens after a phase
// failed, and which files are artifacts.
//
// The package is pure: text and lists go in, values come out. It never runs a command,
// reads a file or looks at a clock, so every rule in it is tested by a table.
package buildspec

import (
	"fmt"
	"regexp"
)

// Limits on a specification. A larger or deeper document is refused by Parse.
const (
	// MaxSize is the largest accepted text in bytes.
	MaxSize = 1 << 20
	// maxNodes bounds the work of walking a document with aliases expanded.
	maxNodes = 50_000
	// maxDepth bounds the nesting of a document.
	maxDepth = 40
	// maxWeight bounds the work of a pattern for each character.
	maxWeight = 2000
	// MaxRetries is the most attempts on-failure: RETRY-n may ask for.
	MaxRetries = 100
	// DefaultRetries is the number of attempts of a bare RETRY.
	DefaultRetries = 3
)

// Error is a refusal of a specification. Its text is the message of a phase context with
// the status code YAML_FILE_ERROR.
type Error struct {
	// Line is the line of the text, counted from 1, or 0 if the error has no place.
	Line int
	// Message says what was expected and found, in CodeBuild's words where it has some.
	Message string
}

// Error gives the message; a line is part of it where there is one.
func (e *Error) Error() string { return e.Message }

// Spec is one parsed build specification.
type Spec struct {
	// Version is "0.1" (each command in a new shell) or "0.2" (one shell for all).
	Version string
	// RunAs is the user of all commands, or "".
	RunAs string
	// Env is what the specification adds to the environment.
	Env Env
	// Phases holds what to do in each command phase; an absent phase is the zero Phase.
	Phases map[PhaseName]Phase
	// Artifacts is nil when the specification has no artifacts block.
	Artifacts *Artifacts
	// Warnings name the accepted parts that have no effect, one log line each.
	Warnings []string
	// HasBatch tells that there is a batch block, which a single build ignores.
	HasBatch bool
}

// Env is the env block.
type Env struct {
	// Shell is "bash" or "/bin/sh"; "" means the default, sh.
	Shell string
	// Variables are literal: nothing in them is expanded. (A.2)
	Variables map[string]string
	// ParameterStore maps a variable to the name of its parameter.
	ParameterStore map[string]string
	// SecretsManager maps a variable to its secret reference.
	SecretsManager map[string]string
	// Exported names the variables whose values the build publishes at its end.
	Exported []string
	// GitCredentialHelper is the wish to use CodeBuild's credential helper for git.
	GitCredentialHelper bool
}

// Phase is one of the four command phases.
type Phase struct {
	// RunAs overrides the user of the specification for this phase.
	RunAs string
	// OnFailure is what the specification says about a failure; the zero value is "nothing said".
	OnFailure OnFailure
	// Commands run in order until one fails.
	Commands []string
	// Finally runs in order after Commands whether they failed or not.
	Finally []string
	// RuntimeVersions is kept so that a build can warn that it selects no runtimes.
	RuntimeVersions map[string]string
}

// Empty tells whether the phase has nothing to run.
func (p Phase) Empty() bool { return len(p.Commands) == 0 && len(p.Finally) == 0 }

// Artifacts is the artifacts block: the primary set and the named secondary ones.
type Artifacts struct {
	// Primary is the set described by the block itself.
	Primary ArtifactSet
	// Secondary holds the sets of secondary-artifacts by identifier, in file order.
	Secondary []NamedSet
}

// NamedSet is one entry of secondary-artifacts.
type NamedSet struct {
	// ID is the artifact identifier.
	ID string
	// ArtifactSet says which files belong to it.
	ArtifactSet
}

// ArtifactSet says which files of the build become one artifact. (A.4)
type ArtifactSet struct {
	// Files are globs relative to BaseDirectory.
	Files []string
	// ExcludePaths are globs of files to leave out.
	ExcludePaths []string
	// BaseDirectory is the folder the globs start at; it may hold a glob itself.
	BaseDirectory string
	// Name is the artifact's own name, used only when the project asks for it.
	Name string
	// DiscardPaths puts all files at the top of the artifact.
	DiscardPaths bool
	// EnableSymlinks keeps symbolic links instead of following them.
	EnableSymlinks bool
	// S3Prefix is a folder in front of the object key.
	S3Prefix string
}

// Action is the verb of an on-failure rule.
type Action string

// The verbs of on-failure. Unset means that the rule is not written in the specification.
const (
	Unset    Action = ""
	Abort    Action = "ABORT"
	Continue Action = "CONTINUE"
	Retry    Action = "RETRY"
)

// OnFailure is a parsed on-failure rule.
type OnFailure struct {
	// Action is the verb.
	Action Action
	// Retries is the number of new attempts of a RETRY.
	Retries int
	// Match limits a RETRY to failures whose output it matches; nil matches all.
	Match *regexp.Regexp
}

// ShouldRetry tells whether a phase that failed for the attempts-th time (counted from 1)
// with this output is run anew.
func (o OnFailure) ShouldRetry(attempts int, output string) bool {
	return o.Action == Retry && attempts <= o.Retries && (o.Match == nil || o.Match.MatchString(output))
}

func errorf(line int, format string, args ...any) *Error {
	m := fmt.Sprintf(format, args...)
	if line > 0 {
		m += fmt.Sprintf(" at line %d", line)
	}
	return &Error{Line: line, Message: m}
}
