// Package commands is the action that runs commands without a build project (P-16), and
// whatever else runs them the same way.
//
// What runs them is the machinery of builds, reached by a function and not through
// CodeBuild's API: over the API it would take a project that nobody made, which users would
// find in their lists, and roles with rights for CodeBuild that AWS does not ask of this
// action. So it is given to New; the commands run on the server that holds the job. A server
// that dies ends them with it, and the job's next holder runs them again from the start.
package commands

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"penstock/internal/pipeline"
	"penstock/internal/provider"
)

// providerName is the provider of the action types, and of the rule type.
const providerName = "Commands"

// Run runs the commands of a job as one phase of a build: the first input is the folder they
// begin in, the others are in the folders that CODEBUILD_SRC_DIR_name names. The first command
// that fails ends them. It stops them when ctx ends, and gives the job's result.
type Run func(ctx context.Context, job provider.Job) provider.Result

type commands struct{ run Run }

// New gives the provider of Compute/AWS/Commands/1, Build/AWS/Commands/1 (C-30) and
// Rule/AWS/Commands/1 (P-53).
func New(run Run) provider.Provider { return commands{run} }

// Types are the action types and the rule type, as the catalogue has them.
func (commands) Types() []pipeline.ActionType {
	types := slices.DeleteFunc(pipeline.BuiltinTypes(), func(t pipeline.ActionType) bool {
		return t.ID.Owner != pipeline.OwnerAWS || t.ID.Provider != providerName
	})
	return append(types, pipeline.RunnableRule(providerName))
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Run checks what only the commands' own turn can tell, and runs them.
func (c commands) Run(ctx context.Context, job provider.Job) provider.Result {
	if failure := check(job); failure != nil {
		return *failure
	}
	if ctx.Err() != nil {
		return provider.Failed(pipeline.SystemUnavailable, "The commands of action '%s' were not run: the action had ended", job.Action)
	}
	return c.run(ctx, job)
}

func check(job provider.Job) *provider.Result {
	wrong := func(format string, args ...any) *provider.Result {
		return new(provider.Failed(pipeline.ConfigurationError, format, args...))
	}
	if len(job.Commands) == 0 {
		return wrong("The action '%s' has no commands.", job.Action)
	}
	if strings.HasPrefix(job.Configuration["EnvironmentType"], "WINDOWS") {
		return wrong("This server runs commands on Linux. Take EnvironmentType out of action '%s', or set it to LINUX_CONTAINER.", job.Action)
	}
	for _, v := range job.Environment {
		switch {
		case !variableName.MatchString(v.Name):
			return wrong("'%s' cannot be the name of an environment variable of action '%s': a name is made of letters, digits and _ and does not begin with a digit.", v.Name, job.Action)
		case strings.HasPrefix(v.Name, "CODEBUILD_"):
			return wrong("The action '%s' sets the environment variable %s: names that begin with CODEBUILD_ are reserved.", job.Action, v.Name)
		}
	}
	for _, name := range job.OutputVariables {
		if !variableName.MatchString(name) {
			return wrong("'%s' cannot be an output variable of action '%s': the names are those of environment variables that the commands export.", name, job.Action)
		}
	}
	if len(job.Outputs) > 0 && len(job.Files) == 0 {
		return wrong("The output artifact '%s' of action '%s' names no files: say which to keep, such as **/ for all.", job.Outputs[0].Name, job.Action)
	}
	return nil
}
