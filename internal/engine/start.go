package engine

import (
	"slices"

	"penstock/internal/fault"
	"penstock/internal/pipeline"
)

// start begins a new execution in front of the first stage (S-86, S-88).
func (st *step) start(ev Start) error {
	d := st.s.Current()
	e := &Execution{
		ID: pipeline.ExecutionID(st.id()), Order: st.s.NextOrder, Mode: d.ExecutionMode, Version: st.s.Version,
		Type: pipeline.ExecutionStandard, Status: pipeline.InProgress, Started: st.now,
		Trigger: ev.Trigger, Overrides: ev.Overrides, Reported: ev.Reported, Attempt: 1,
		Stage: d.Stages[0].Name, Position: Left,
		Runs: map[string]*StageRun{}, Artifacts: map[string]pipeline.Artifact{}, Outputs: map[string]map[string]string{},
	}
	problem := checkOverrides(d, ev)
	if err := CheckReported(d, ev.Reported); err != nil {
		return err
	}
	if problem == nil {
		e.Variables, problem = resolveVariables(d, ev.Variables)
	}
	full := st.full(d.ExecutionMode)
	if !ev.Detected {
		if problem != nil {
			return problem
		}
		if full != nil {
			return full
		}
	}
	st.s.NextOrder++
	st.s.Started = e.ID
	st.s.Executions[e.ID] = e
	st.touch(e)
	st.emitPipeline(e, "STARTED")
	switch {
	case full != nil: // S-104: a detected start that hits the limit has no summary
		e.Status = pipeline.Failed
		st.emitPipeline(e, "FAILED")
	case problem != nil:
		e.Status, e.StatusSummary = pipeline.Failed, problem.Message
		st.emitPipeline(e, "FAILED")
	default:
		st.arrive(e, 0)
	}
	return nil
}

// full refuses an execution beyond the limit of QUEUED and PARALLEL mode (S-76, S-104).
func (st *step) full(mode pipeline.ExecutionMode) *fault.Error {
	if mode == pipeline.Superseded {
		return nil
	}
	limit, n := st.limits.ConcurrentExecutions, 0
	for _, e := range st.s.Executions {
		if !e.Status.Terminal() {
			n++
		}
	}
	if n < limit {
		return nil
	}
	return fault.New("ConcurrentPipelineExecutionsLimitExceededException",
		"The pipeline '%s' has reached the limit of %d concurrent executions", st.s.Name, limit)
}

// resolveVariables fixes the values of the pipeline variables (S-102, S-280).
func resolveVariables(d *pipeline.Declaration, given []pipeline.Variable) ([]pipeline.Variable, *fault.Error) {
	values := map[string]string{}
	for _, v := range given {
		if _, twice := values[v.Name]; twice {
			return nil, fault.New("ValidationException", "The variable '%s' is given more than once", v.Name)
		}
		values[v.Name] = v.ResolvedValue
	}
	var out []pipeline.Variable
	for _, decl := range d.Variables {
		value, ok := values[decl.Name]
		switch {
		case ok:
		case decl.DefaultValue != nil:
			value = *decl.DefaultValue
		default:
			return nil, fault.New("ValidationException",
				"The variable '%s' has no default value and must be given when the pipeline '%s' is started", decl.Name, d.Name)
		}
		delete(values, decl.Name)
		out = append(out, pipeline.Variable{Name: decl.Name, ResolvedValue: value})
	}
	for _, v := range given {
		if _, unknown := values[v.Name]; unknown {
			return nil, fault.New("ValidationException", "The pipeline '%s' does not declare a variable with name '%s'", d.Name, v.Name)
		}
	}
	return out, nil
}

// CheckReported refuses, with a *fault.Error, a revision of what is no source, or is one that
// this server looks at itself: such a source would take what it finds, whatever it was told
// (S-105).
func CheckReported(d *pipeline.Declaration, r *Reported) error {
	if r == nil {
		return nil
	}
	stage, _, ok := d.Stage(r.Stage)
	if !ok {
		return fault.New("StageNotFoundException", "The pipeline '%s' does not have a stage with name '%s'", d.Name, r.Stage)
	}
	a, ok := stage.Action(r.Action)
	if !ok {
		return fault.New("ActionNotFoundException", "The stage '%s' of pipeline '%s' does not have an action with name '%s'", r.Stage, d.Name, r.Action)
	}
	if a.ActionTypeID.Category != pipeline.CategorySource || a.ActionTypeID.Owner == pipeline.OwnerAWS {
		return fault.New("ValidationException",
			"Revisions can only be reported for source actions of custom types; the action '%s' is of the type %s/%s/%s. Use StartPipelineExecution, with sourceRevisions to choose one.",
			r.Action, a.ActionTypeID.Category, a.ActionTypeID.Owner, a.ActionTypeID.Provider)
	}
	return nil
}

// overrideTypes are the revision types that fit each source provider (S-99).
var overrideTypes = map[string][]string{
	"CodeCommit":               {"COMMIT_ID"},
	"CodeStarSourceConnection": {"COMMIT_ID"},
	"GitHub":                   {"COMMIT_ID"},
	"ECR":                      {"IMAGE_DIGEST"},
	"S3":                       {"S3_OBJECT_VERSION_ID", "S3_OBJECT_KEY"},
}

// checkOverrides refuses source revision overrides that do not fit (S-98 to S-101). Those of
// a detected change are the revision of that change, which pipelines of type V1 take too (S-234).
func checkOverrides(d *pipeline.Declaration, ev Start) *fault.Error {
	if len(ev.Overrides) == 0 {
		return nil
	}
	if d.PipelineType != pipeline.V2 && !ev.Detected {
		return fault.New("ValidationException", "Source revision overrides can only be used with V2 pipelines")
	}
	seen := map[string]bool{}
	for _, o := range ev.Overrides {
		a, ok := d.Stages[0].Action(o.ActionName)
		if !ok {
			return fault.New("ValidationException", "The pipeline '%s' does not have a source action with name '%s'", d.Name, o.ActionName)
		}
		if a.ActionTypeID.Owner == pipeline.OwnerCustom || !slices.Contains(overrideTypes[a.ActionTypeID.Provider], o.RevisionType) {
			return fault.New("ValidationException", "The revision type '%s' does not fit the source action '%s' of provider %s",
				o.RevisionType, o.ActionName, a.ActionTypeID.Provider)
		}
		if o.RevisionType == "S3_OBJECT_KEY" && a.Configuration["AllowOverrideForS3ObjectKey"] != "true" { // S-100
			return fault.New("ValidationException",
				"The source action '%s' does not allow S3_OBJECT_KEY: set its configuration AllowOverrideForS3ObjectKey to true", o.ActionName)
		}
		if seen[o.ActionName+"/"+o.RevisionType] {
			return fault.New("ValidationException", "The source action '%s' has more than one override of type %s", o.ActionName, o.RevisionType)
		}
		seen[o.ActionName+"/"+o.RevisionType] = true
	}
	return nil
}
