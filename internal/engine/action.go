package engine

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"penstock/internal/arn"
	"penstock/internal/pipeline"
)

const (
	// approvalTimeout is the account default of a pending approval (S-226).
	approvalTimeout = 7 * 24 * time.Hour
	// notificationKey is the topic that is told of a pending approval (S-220).
	notificationKey = "NotificationArn"
	// otherTimeout is that of action types that do not say theirs (S-337).
	otherTimeout = time.Hour
)

// startRun begins a new run of an action, or of the rule of a condition at a place: it resolves
// the configuration, places inputs and outputs and starts a job, or asks for an approval. What
// cannot start fails at once; the answer says whether the run is in progress.
func (st *step) startRun(e *Execution, place pipeline.Place, a *pipeline.Action) bool {
	d := st.s.Attached.Definitions[e.Version]
	region := a.Region
	if region == "" {
		region = st.s.Region
	}
	role := a.RoleARN
	if role == "" {
		role = d.RoleARN
	}
	run := &ActionRun{
		ID: pipeline.ActionExecutionID(st.id()), Execution: e.ID, Number: st.s.NextRun, Version: e.Version,
		Stage: e.Stage, Action: a.Name, Place: place, Type: a.ActionTypeID, Status: pipeline.InProgress,
		Started: st.now, RoleARN: role, Region: region,
	}
	st.s.NextRun++
	if place == "" {
		e.Runs[e.Stage].Actions[a.Name] = run
	} else {
		e.Runs[e.Stage].Conditions[place].Rules[a.Name] = run
	}
	typ, problem := st.prepare(e, d, a, run)
	st.touchRun(e, run)
	st.emitAction(e, run, "STARTED")
	if problem != nil {
		st.failRun(e, run, *problem)
		return false
	}
	timeout := cmp.Or(typ.Timeout, otherTimeout)
	if place != "" && a.TimeoutInMinutes > 0 { // S-211
		timeout = time.Duration(a.TimeoutInMinutes) * time.Minute
	}
	if a.ActionTypeID.Category == pipeline.CategoryApproval && a.ActionTypeID.Owner == pipeline.OwnerAWS { // S-221
		timeout = approvalTimeout
		if a.TimeoutInMinutes > 0 {
			timeout = time.Duration(a.TimeoutInMinutes) * time.Minute
		}
		run.Token = st.id()
		st.askAgain(e, a.Name)
		if e.Mode == pipeline.Parallel { // S-149
			run.ExternalID = run.Token
		}
	}
	run.Deadline = st.now.Add(timeout)
	st.effect(Wake{Run: run.ID, At: run.Deadline})
	// S-229: beside a pending approval there is a job that publishes the request.
	if run.Token == "" || run.Resolved[notificationKey] != "" {
		st.startJob(e, run, "", st.now)
	}
	st.touchRun(e, run)
	return true
}

// prepare fills what a run needs to start, or says why it cannot.
func (st *step) prepare(e *Execution, d *pipeline.Declaration, a *pipeline.Action, run *ActionRun) (pipeline.ActionType, *pipeline.ErrorDetails) {
	wrong := func(format string, args ...any) *pipeline.ErrorDetails {
		return &pipeline.ErrorDetails{Code: pipeline.ConfigurationError, Message: fmt.Sprintf(format, args...)}
	}
	typ, ok := st.s.Attached.Catalogue(a.ActionTypeID)
	id := a.ActionTypeID
	if !ok {
		return typ, wrong("The action type (Category: '%s', Provider: '%s', Owner: '%s', Version: '%s') of %s does not exist any more. Create it again or change the pipeline.",
			id.Category, id.Provider, id.Owner, id.Version, run.label())
	}
	if typ.Unavailable != "" {
		return typ, wrong("The %s cannot run: %s", run.label(), typ.Unavailable)
	}
	if msg := st.resolve(e, a, run); msg != "" {
		return typ, wrong("%s", msg)
	}
	if name, value, ok := typ.QueryableValue(run.Resolved); ok && !st.limits.Queryable(value) { // S-298, S-305
		return typ, wrong("The configuration '%s' of %s has the value %q after its variables were resolved. Workers ask for their jobs by it, so it must be 1 to %d letters, digits, _ and -.",
			name, run.label(), value, st.limits.QueryableValue)
	}
	for _, in := range a.InputArtifacts {
		art, ok := e.Artifacts[in.Name]
		if !ok { // S-206
			return typ, wrong("The input artifact '%s' of %s does not exist in this execution: no action has produced it", in.Name, run.label())
		}
		if mine := accountOf(run.RoleARN); !mayTake(st.s.Account, art.Account, mine) { // S-293
			return typ, wrong("The input artifact '%s' of action '%s' was produced in account %s; an action in account %s cannot take it, only one of that account or of the pipeline's account %s",
				in.Name, a.Name, art.Account, mine, st.s.Account)
		}
		run.Inputs = append(run.Inputs, art)
	}
	store, ok := pipeline.ArtifactBucket(d, run.Region)
	if !ok && len(a.OutputArtifacts)+len(a.InputArtifacts) > 0 {
		return typ, wrong("The pipeline has no artifact store in the region %s of action '%s'", run.Region, a.Name)
	}
	for i := range run.Inputs { // S-292: the worker copies them there
		run.Inputs[i].Bucket = store.Location
	}
	revision := ""
	if r := e.Reported; r != nil && r.Stage == run.Stage && r.Action == run.Action { // S-105
		run.Revision, revision = &r.Revision, r.ID
	}
	for _, out := range a.OutputArtifacts {
		run.Outputs = append(run.Outputs, pipeline.Artifact{ // S-287, S-289
			Name: out.Name, Bucket: store.Location, Producer: run.ID, Account: accountOf(run.RoleARN), Revision: revision,
			Key: pipeline.ArtifactKey(st.s.Name, out.Name, st.random()),
		})
	}
	run.EntityURL = typ.EntityURL(run.Resolved) // S-299
	return typ, nil
}

// mayTake says whether an artifact made with a role of one account may be the input of an
// action with a role of another: between two accounts that are not the pipeline's own it
// cannot pass (S-293).
func mayTake(own, producer, consumer string) bool {
	return consumer == own || producer == own || producer == consumer || producer == ""
}

// accountOf is the account of a role's ARN.
func accountOf(role string) string {
	a, _ := arn.Parse(role)
	return a.Account
}

// resolve expands the variable references of an action's configuration, commands and
// environment with the values of the same execution (S-271 to S-278). It gives the reason when
// one cannot be resolved.
func (st *step) resolve(e *Execution, a *pipeline.Action, run *ActionRun) string {
	r := &resolver{st: st, whose: run.label(), lookup: st.lookup(e)}
	run.Resolved = make(map[string]string, len(a.Configuration))
	for _, key := range slices.Sorted(maps.Keys(a.Configuration)) {
		run.Resolved[key] = r.expand("configuration", key, a.Configuration[key])
	}
	if len(a.Commands) > 0 {
		s := &Script{Variables: a.OutputVariables}
		for _, c := range a.Commands {
			s.Commands = append(s.Commands, r.expand("configuration", "commands", c))
		}
		for _, v := range a.EnvironmentVariables {
			v.Value = r.expand("environment variable", v.Name, v.Value)
			s.Environment = append(s.Environment, v)
		}
		for _, out := range a.OutputArtifacts {
			s.Files = append(s.Files, out.Files...) // there is one at most (S-52)
		}
		run.Script = s
	}
	return r.problem
}

// resolver expands the texts of one action and stops at the first problem.
type resolver struct {
	st      *step
	whose   string
	lookup  func(pipeline.Reference) (string, bool)
	size    int
	problem string
}

func (r *resolver) expand(kind, key, text string) string {
	if r.problem != "" {
		return ""
	}
	value, missing, ok := pipeline.Expand(text, r.lookup)
	if !ok { // S-278
		r.problem = fmt.Sprintf("The variable reference #{%s} in %s '%s' of %s cannot be resolved: no action of this execution has given that variable",
			missing.Text, kind, key, r.whose)
		return ""
	}
	if r.size += len(key) + len(value); r.size > r.st.limits.ResolvedConfigurationBytes { // S-37, S-80
		r.problem = fmt.Sprintf("The resolved configuration of %s is larger than %d bytes, which is the most that is allowed", r.whose, r.st.limits.ResolvedConfigurationBytes)
		return ""
	}
	return value
}

func (st *step) lookup(e *Execution) func(pipeline.Reference) (string, bool) {
	return func(ref pipeline.Reference) (string, bool) {
		switch ref.Namespace {
		case "codepipeline": // S-272
			return string(e.ID), ref.Key == "PipelineExecutionId"
		case "variables":
			for _, v := range e.Variables {
				if v.Name == ref.Key {
					return v.ResolvedValue, true
				}
			}
			if len(st.s.Attached.Definitions[e.Version].Variables) > 0 {
				return "", false
			}
		}
		v, ok := e.Outputs[ref.Namespace][ref.Key]
		return v, ok
	}
}

// startJob makes the next job of a run (S-303).
func (st *step) startJob(e *Execution, run *ActionRun, token string, at time.Time) {
	d := st.s.Attached.Definitions[e.Version]
	run.Job, run.JobNumber = pipeline.JobID(st.id()), run.JobNumber+1
	store, _ := pipeline.ArtifactBucket(d, run.Region)
	typ, _ := st.s.Attached.Catalogue(run.Type)
	job := Job{
		ID: run.Job, Run: run.ID, Execution: e.ID, Number: run.JobNumber, Type: run.Type,
		PipelineARN: st.s.ARN(), Pipeline: st.s.Name, Version: e.Version, Stage: run.Stage, Action: run.Action,
		Account: st.s.Account, Region: run.Region, RoleARN: run.RoleARN, PipelineRoleARN: d.RoleARN,
		Configuration: run.Resolved, Script: run.Script, Inputs: run.Inputs, Outputs: run.Outputs, EncryptionKey: store.EncryptionKey,
		Token: token, Approval: run.Token, Function: typ.Function, Deadline: run.Deadline,
	}
	if home, _ := pipeline.ArtifactBucket(d, st.s.Region); home.Location != store.Location { // S-292
		job.Home = &home
	}
	if run.Type.Category == pipeline.CategorySource {
		job.Trigger = e.Trigger
	}
	for _, o := range e.Overrides {
		if o.ActionName == run.Action && run.Type.Category == pipeline.CategorySource {
			job.Overrides = append(job.Overrides, o)
		}
	}
	st.effect(StartJob{Job: job, NotBefore: at})
	if typ.Silence > 0 { // S-325: from each job on
		run.ReportBy = at.Add(typ.Silence)
		st.effect(Wake{Run: run.ID, At: run.due()})
	}
}

// due is when a run times out as things stand.
func (run *ActionRun) due() time.Time {
	if !run.ReportBy.IsZero() && run.ReportBy.Before(run.Deadline) {
		return run.ReportBy
	}
	return run.Deadline
}

// label names what a run is a run of, in texts for people.
func (run *ActionRun) label() string {
	if run.Place != "" {
		return "rule '" + run.Action + "'"
	}
	return "action '" + run.Action + "'"
}

func (st *step) touchRun(e *Execution, run *ActionRun) {
	run.Updated, run.Touched = st.now, st.s.Seq
	st.touch(e)
	if run.Place != "" {
		st.showCondition(e, run.Place)
		return
	}
	stage := st.s.Stages[run.Stage]
	if stage == nil || e.Mode == pipeline.Parallel || !hasAction(st.s.Current(), run.Stage, run.Action) {
		return // the action was removed by an update (S-67), or is not shown (S-122)
	}
	if stage.Actions == nil {
		stage.Actions = map[string]*ActionRun{}
	}
	stage.Actions[run.Action] = copied(run)
}

// endRun gives a run its final status and ends its job and its time limit.
func (st *step) endRun(e *Execution, run *ActionRun, status pipeline.Status) {
	run.Status = status
	if run.Job != "" {
		end := EndJob{ID: run.Job, Status: JobEndFailed, Abort: status == pipeline.Abandoned || run.Token != ""}
		if status == pipeline.Succeeded {
			end.Status = JobSucceeded
		}
		st.effect(end)
		run.Job = ""
	}
	if !run.Deadline.IsZero() {
		st.effect(Wake{Run: run.ID})
	}
	run.Token = ""
	st.touchRun(e, run)
}

func (st *step) failRun(e *Execution, run *ActionRun, why pipeline.ErrorDetails) {
	run.Error = &why
	st.endRun(e, run, pipeline.Failed)
	st.emitAction(e, run, "FAILED")
}

func (st *step) abandonRun(e *Execution, run *ActionRun) {
	st.endRun(e, run, pipeline.Abandoned)
	st.emitAction(e, run, "ABANDONED")
}
