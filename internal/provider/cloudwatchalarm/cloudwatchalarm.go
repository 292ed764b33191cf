// Package cloudwatchalarm is the rule that lets a stage go on while an alarm is quiet (P-49,
// S-212).
//
// An alarm that is in none of the states to watch for lets the rule succeed at the first look.
// One that is gets WaitTime to leave them, and the rule fails if it does not.
package cloudwatchalarm

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"penstock/internal/pipeline"
	"penstock/internal/provider"
)

const (
	// between is how long the rule rests between two looks.
	between = 15 * time.Second
	// longest is the longest WaitTime, which is the longest time limit of a rule.
	longest = 60 * 24 * time.Hour
)

// Provider runs Rule/AWS/CloudWatchAlarm/1. Make one with New.
type Provider struct{ now func() time.Time }

// New gives the provider.
func New() provider.Provider { return Provider{now: time.Now} }

// Types is the one type, as the catalogue has it.
func (Provider) Types() []pipeline.ActionType {
	return []pipeline.ActionType{pipeline.RunnableRule("CloudWatchAlarm")}
}

// Run looks at the alarm. While it waits the rule rests in a job of its own, whose token is the
// time until which it does, so that a restart of the server does not begin the wait anew.
func (p Provider) Run(ctx context.Context, job provider.Job) provider.Result {
	watched, wait, problem := settings(job)
	if problem != nil {
		return *problem
	}
	name := job.Configuration["AlarmName"]
	state, reason, problem := look(ctx, job, name)
	if problem != nil {
		return *problem
	}
	if !slices.Contains(watched, state) {
		return provider.Result{Progress: provider.Progress{Summary: "The alarm " + name + " is in the state " + state}}
	}
	now := p.now()
	until := now.Add(wait)
	if job.ContinuationToken != "" {
		seconds, err := strconv.ParseInt(job.ContinuationToken, 10, 64)
		if err != nil {
			return provider.Failed(pipeline.JobFailed, "The rule '%s' was continued with a token that it did not make", job.Action)
		}
		until = time.Unix(seconds, 0)
	}
	if !now.Before(until) {
		return provider.Failed(pipeline.JobFailed, "The alarm %s is in the state %s: %s", name, state, reason)
	}
	// The last look is when the wait is over. The token has whole seconds.
	rest := min(between, until.Sub(now)+time.Second)
	return provider.Result{Continue: strconv.FormatInt(until.Unix(), 10), After: rest,
		Progress: provider.Progress{Summary: "The alarm " + name + " is in the state " + state + "; it has until " + until.UTC().Format(time.RFC3339) + " to leave it"}}
}

// settings reads the states that fail the rule and the time an alarm has to leave them.
func settings(job provider.Job) (watched []string, wait time.Duration, problem *provider.Result) {
	wrong := func(format string, args ...any) ([]string, time.Duration, *provider.Result) {
		return nil, 0, new(provider.Failed(pipeline.ConfigurationError, format, args...))
	}
	known := types.StateValue("").Values()
	for _, s := range strings.Split(job.Configuration["AlarmStates"], ",") {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		if !slices.Contains(known, types.StateValue(s)) {
			return wrong("AlarmStates of rule '%s' has %.100q: the states are ALARM, OK and INSUFFICIENT_DATA, separated by commas", job.Action, s)
		}
		watched = append(watched, s)
	}
	if len(watched) == 0 {
		watched = []string{string(types.StateValueAlarm)}
	}
	if text := strings.TrimSpace(job.Configuration["WaitTime"]); text != "" {
		minutes, err := strconv.Atoi(text)
		if err != nil || minutes < 0 || minutes > int(longest/time.Minute) {
			return wrong("WaitTime of rule '%s' is %.100q: it is a number of minutes from 0 to %d", job.Action, text, int(longest/time.Minute))
		}
		wait = time.Duration(minutes) * time.Minute
	}
	if job.Configuration["AlarmName"] == "" { // a variable may have stood for it
		return wrong("The rule '%s' has no AlarmName", job.Action)
	}
	return watched, wait, nil
}

// look asks for the state of an alarm, with the role of the rule.
func look(ctx context.Context, job provider.Job, name string) (state, reason string, problem *provider.Result) {
	out, err := cloudwatch.NewFromConfig(job.Env.AWS).DescribeAlarms(ctx, &cloudwatch.DescribeAlarmsInput{
		AlarmNames: []string{name}, AlarmTypes: []types.AlarmType{types.AlarmTypeMetricAlarm, types.AlarmTypeCompositeAlarm},
	})
	if err != nil {
		return "", "", new(job.CallFailed(err, "describe the alarm "+name))
	}
	for _, a := range out.MetricAlarms {
		return string(a.StateValue), text(a.StateReason), nil
	}
	for _, a := range out.CompositeAlarms { // of AWS; the room here has none
		return string(a.StateValue), text(a.StateReason), nil
	}
	return "", "", new(provider.Failed(pipeline.ConfigurationError, "There is no alarm %s in the Region %s. Check the AlarmName of rule '%s'.", name, job.Env.AWS.Region, job.Action))
}

// text is at most so much of a reason as a message has room for.
func text(reason *string) string {
	const most = 500
	if reason == nil {
		return ""
	}
	return strings.ToValidUTF8((*reason)[:min(len(*reason), most)], "")
}
