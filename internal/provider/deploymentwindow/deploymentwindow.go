// Package deploymentwindow is the rule that lets a stage go on at certain times (P-51, S-214).
//
// Outside its window the rule waits for the next one, as long as its time limit lets it; if the
// window does not open before that, it fails at once instead of holding the stage for nothing.
package deploymentwindow

import (
	"context"
	"time"
	_ "time/tzdata" // zones are known on machines that have no table of them

	"penstock/internal/cron"
	"penstock/internal/fault"
	"penstock/internal/pipeline"
	"penstock/internal/provider"
)

// longForm is how times are written in messages.
const longForm = "2006-01-02 15:04 MST"

// waiting is the token of the job that looks again.
const waiting = "window"

// Provider runs Rule/AWS/DeploymentWindow/1. Make one with New.
type Provider struct{ now func() time.Time }

// New gives the provider.
func New() provider.Provider { return Provider{now: time.Now} }

// Types is the one type, as the catalogue has it.
func (Provider) Types() []pipeline.ActionType {
	return []pipeline.ActionType{pipeline.RunnableRule("DeploymentWindow")}
}

// Run looks at the clock. While the window is closed the rule rests in a job of its own, so
// that a restart of the server does not lose it.
func (p Provider) Run(ctx context.Context, job provider.Job) provider.Result {
	if ctx.Err() != nil {
		return provider.Failed(pipeline.SystemUnavailable, "The rule '%s' was ended before it looked at the clock", job.Action)
	}
	window, err := cron.ParseWindow(job.Configuration["Cron"])
	if err != nil {
		return wrong(job, "Cron", err)
	}
	zone, err := cron.Zone(job.Configuration["TimeZone"], load)
	if err != nil {
		return wrong(job, "TimeZone", err)
	}
	now := p.now().In(zone)
	if window.Matches(now) {
		return provider.Result{Progress: provider.Progress{Summary: "The window is open at " + now.Format(longForm)}}
	}
	next, ok := window.Next(now)
	switch {
	case !ok:
		return provider.Failed(pipeline.JobFailed, "The window is closed at %s and does not open again", now.Format(longForm))
	case !next.Before(job.Deadline):
		return provider.Failed(pipeline.JobFailed, "The window is closed at %s and opens at %s, which is after the time limit of the rule", now.Format(longForm), next.Format(longForm))
	}
	return provider.Result{Continue: waiting, After: next.Sub(now), Progress: provider.Progress{Summary: "The window opens at " + next.Format(longForm)}}
}

func wrong(job provider.Job, key string, err error) provider.Result {
	why := err.Error()
	if f, ok := err.(*fault.Error); ok {
		why = f.Message
	}
	return provider.Failed(pipeline.ConfigurationError, "%s of rule '%s' cannot be read: %s", key, job.Action, why)
}

// abbreviations are the zones that Java knows by three letters and the rest of the world does
// not, or not as the same.
var abbreviations = map[string]string{
	"ACT": "Australia/Darwin", "AET": "Australia/Sydney", "AGT": "America/Argentina/Buenos_Aires", "ART": "Africa/Cairo",
	"AST": "America/Anchorage", "BET": "America/Sao_Paulo", "BST": "Asia/Dhaka", "CAT": "Africa/Harare", "CNT": "America/St_Johns",
	"CST": "America/Chicago", "CTT": "Asia/Shanghai", "EAT": "Africa/Addis_Ababa", "ECT": "Europe/Paris", "IET": "America/Indiana/Indianapolis",
	"IST": "Asia/Kolkata", "JST": "Asia/Tokyo", "MIT": "Pacific/Apia", "NET": "Asia/Yerevan", "NST": "Pacific/Auckland", "PLT": "Asia/Karachi",
	"PNT": "America/Phoenix", "PRT": "America/Puerto_Rico", "PST": "America/Los_Angeles", "SST": "Pacific/Guadalcanal", "VST": "Asia/Ho_Chi_Minh",
	"EDT": "America/New_York", "CDT": "America/Chicago", "MDT": "America/Denver", "PDT": "America/Los_Angeles", "CEST": "Europe/Paris",
}

// load finds a zone by its name or its letters.
func load(name string) (*time.Location, error) {
	if place, ok := abbreviations[name]; ok {
		name = place
	}
	return time.LoadLocation(name)
}
