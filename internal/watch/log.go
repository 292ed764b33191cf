package watch

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
)

// Log follows the log of one build.
type Log struct {
	client *Client
	build  string
	group  string
	stream string
	token  *string
}

// LogOf gives the log of a CodeBuild action's run; the beginning is read first.
func (c *Client) LogOf(a *Action) (*Log, error) {
	switch {
	case a.Provider != "CodeBuild":
		return nil, fmt.Errorf("%s is an action of %s, which writes no log here; CodeBuild actions do", a.Name, a.Provider)
	case a.External == "":
		return nil, fmt.Errorf("%s has not started a build yet", a.Name)
	}
	return &Log{client: c, build: a.External}, nil
}

// Next gives the lines written since the last call, and whether the build has ended and
// every line been given.
func (l *Log) Next(ctx context.Context) (lines []string, over bool, err error) {
	out, err := l.client.Builds.BatchGetBuilds(ctx, &codebuild.BatchGetBuildsInput{Ids: []string{l.build}})
	if err != nil {
		return nil, false, err
	}
	if len(out.Builds) == 0 {
		return nil, false, fmt.Errorf("the build %s does not exist any more", l.build)
	}
	b := out.Builds[0]
	if b.Logs != nil && l.stream == "" {
		l.group, l.stream = aws.ToString(b.Logs.GroupName), aws.ToString(b.Logs.StreamName)
	}
	if l.stream == "" {
		return nil, b.BuildComplete, nil
	}
	// The build was asked first: lines written before it ended are there by now.
	for {
		page, err := l.client.Logs.GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{
			LogGroupName: &l.group, LogStreamName: &l.stream, NextToken: l.token, StartFromHead: aws.Bool(true)})
		var absent *types.ResourceNotFoundException
		if errors.As(err, &absent) {
			return lines, b.BuildComplete, nil // nothing written so far
		}
		if err != nil {
			return lines, false, err
		}
		for _, e := range page.Events {
			for text := range strings.Lines(strings.TrimRight(aws.ToString(e.Message), "\r\n") + "\n") {
				lines = append(lines, strings.TrimRight(text, "\r\n"))
			}
		}
		same := l.token != nil && page.NextForwardToken != nil && *l.token == *page.NextForwardToken
		l.token = page.NextForwardToken
		if same || len(page.Events) == 0 {
			return lines, b.BuildComplete, nil
		}
	}
}
