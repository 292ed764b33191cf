// Package all is the list of the providers this server has.
package all

import (
	"penstock/internal/provider"
	"penstock/internal/provider/approval"
	"penstock/internal/provider/cloudwatchalarm"
	"penstock/internal/provider/codebuild"
	"penstock/internal/provider/codecommit"
	"penstock/internal/provider/codedeploy"
	"penstock/internal/provider/commands"
	"penstock/internal/provider/connection"
	"penstock/internal/provider/deploymentwindow"
	"penstock/internal/provider/lambdainvoke"
	"penstock/internal/provider/pipelineinvoke"
	"penstock/internal/provider/s3deploy"
	"penstock/internal/provider/s3source"
	"penstock/internal/provider/variablecheck"
)

// Providers are all built-in providers; run is what runs commands. A new one is a folder and a
// line here.
func Providers(run commands.Run) []provider.Provider {
	return []provider.Provider{
		approval.New(),
		codecommit.New(),
		connection.New(),
		s3deploy.New(),
		s3source.New(),
		codebuild.New(),
		codedeploy.New(),
		commands.New(run),
		pipelineinvoke.New(),
		lambdainvoke.New(), // an action and a rule
		// rules of stage conditions
		variablecheck.New(),
		deploymentwindow.New(),
		cloudwatchalarm.New(),
	}
}
