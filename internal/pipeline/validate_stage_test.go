package pipeline

import (
	"fmt"
	"testing"
)

func TestStages(t *testing.T) {
	t.Parallel()
	runRefusals(t, []refusal{
		{"S-21 M-11 stage name twice", func(d *Declaration, _ *Env) { d.Stages[2].Name = "Build" },
			invalidStage, "Stage name 'Build' is used more than once"},
		{"S-21 names are case-sensitive", func(d *Declaration, _ *Env) { d.Stages[2].Name = "build" }, "", ""},
		{"S-22 empty stage", func(d *Declaration, _ *Env) { d.Stages[2].Actions = nil },
			invalidStage, "Stage 'Deploy' has no actions. There should be a minimum of 1 action in a stage"},
		{"S-22 S-75 too many actions", func(d *Declaration, _ *Env) { approvals(&d.Stages[2], 51) },
			invalidStage, "Stage 'Deploy' has too many actions. There can only be up to 50 actions in a stage"},
		{"S-75 Q-2 the quota is a setting", func(d *Declaration, e *Env) { approvals(&d.Stages[2], 51); e.Limits.ActionsPerStage = 100 }, "", ""},
		{"S-33 action name twice in a stage", func(d *Declaration, _ *Env) { action(d, "Check").Name = "Compile" },
			invalidStage, "Action name 'Compile' is used more than once in stage 'Build'"},
		{"S-33 action name in two stages", func(d *Declaration, _ *Env) { action(d, "Publish").Name = "Compile" }, "", ""},
		{"S-28 blocker", func(d *Declaration, _ *Env) { d.Stages[1].Blockers = []Blocker{{"night", "Schedule"}} }, "", ""},
		{"S-28 blocker type", func(d *Declaration, _ *Env) { d.Stages[1].Blockers = []Blocker{{"night", "Lock"}} },
			invalidBlocker, "Blocker 'night' of stage 'Build' has the type 'Lock'. The only type is Schedule"},
		{"S-28 blocker name", func(d *Declaration, _ *Env) { d.Stages[1].Blockers = []Blocker{{"", "Schedule"}} },
			invalidBlocker, "A blocker of stage 'Build' has no name"},
		{"S-28 blocker twice", func(d *Declaration, _ *Env) {
			d.Stages[1].Blockers = []Blocker{{"night", "Schedule"}, {"night", "Schedule"}}
		}, invalidBlocker, "Blocker name 'night' is used more than once in stage 'Build'"},
	})
}

func TestConditions(t *testing.T) {
	t.Parallel()
	entry := func(result string, rules ...Rule) func(*Declaration, *Env) {
		return func(d *Declaration, _ *Env) { d.Stages[1].BeforeEntry = &Conditions{condition(result, rules...)} }
	}
	success := func(result string, rules ...Rule) func(*Declaration, *Env) {
		return func(d *Declaration, _ *Env) { d.Stages[1].OnSuccess = &Conditions{condition(result, rules...)} }
	}
	failure := func(f FailureConditions) func(*Declaration, *Env) {
		return func(d *Declaration, _ *Env) { d.Stages[1].OnFailure = &f }
	}
	on := func(setup func(*Declaration, *Env), change func(*Declaration)) func(*Declaration, *Env) {
		return func(d *Declaration, e *Env) { change(d); setup(d, e) }
	}
	parallel := func(d *Declaration) { d.ExecutionMode = Parallel }
	ok := varCheck("r")
	runRefusals(t, []refusal{
		{"S-29 entry FAIL", entry(ResultFail, ok), "", ""},
		{"S-29 success ROLLBACK", success(ResultRollback, ok), "", ""},
		{"S-30 failure condition", failure(FailureConditions{Conditions: condition(ResultRollback, ok)}), "", ""},
		{"S-30 S-179 failure retry", failure(FailureConditions{Result: ResultRetry, RetryConfiguration: &RetryConfiguration{AllActions}}), "", ""},
		{"S-179 retry without a mode", failure(FailureConditions{Result: ResultRetry}), "", ""},
		{"S-29 M-8 entry on V1", on(entry(ResultFail, ok), v1), invalidStage, "Stage level conditions can only be used with V2 pipelines."},
		{"S-29 M-8 success on V1", on(success(ResultFail, ok), v1), invalidStage, "Stage level conditions can only be used with V2 pipelines."},
		{"S-30 M-8 retry on V1", on(failure(FailureConditions{Result: ResultRetry}), v1), invalidStage, "Stage level conditions can only be used with V2 pipelines."},
		{"S-29 two conditions", func(d *Declaration, _ *Env) {
			d.Stages[1].OnSuccess = &Conditions{append(condition(ResultFail, ok), condition(ResultFail, ok)...)}
		}, invalidStage, "'onSuccess' of stage 'Build' has 2 conditions. It must have exactly 1"},
		{"S-29 no condition", func(d *Declaration, _ *Env) { d.Stages[1].BeforeEntry = &Conditions{} },
			invalidStage, "'beforeEntry' of stage 'Build' has 0 conditions. It must have exactly 1"},
		{"S-29 no rule", entry(ResultFail), invalidStage, "The condition in 'beforeEntry' of stage 'Build' has 0 rules. It must have from 1 to 5"},
		{"S-29 six rules", func(d *Declaration, e *Env) {
			var rules []Rule
			for i := range 6 {
				rules = append(rules, varCheck(fmt.Sprint("r", i)))
			}
			entry(ResultFail, rules...)(d, e)
		}, invalidStage, "The condition in 'beforeEntry' of stage 'Build' has 6 rules. It must have from 1 to 5"},
		{"S-199 entry ROLLBACK", entry(ResultRollback, ok), invalidStage,
			"The result 'ROLLBACK' cannot be used in a condition in 'beforeEntry' of stage 'Build'. Use one of: FAIL, SKIP"},
		{"S-199 success SKIP", success(ResultSkip, ok), invalidStage,
			"The result 'SKIP' cannot be used in a condition in 'onSuccess' of stage 'Build'. Use one of: ROLLBACK, FAIL"},
		{"S-199 failure condition FAIL", failure(FailureConditions{Conditions: condition(ResultFail, ok)}), invalidStage,
			"The result 'FAIL' cannot be used in a condition in 'onFailure' of stage 'Build'. Use one of: ROLLBACK"},
		{"S-199 failure SKIP", failure(FailureConditions{Result: ResultSkip}), invalidStage,
			"The result 'SKIP' cannot be used in 'onFailure' of stage 'Build'. Use one of: ROLLBACK, RETRY"},
		{"S-199 no result", entry("", ok), invalidStage,
			"The result '' cannot be used in a condition in 'beforeEntry' of stage 'Build'. Use one of: FAIL, SKIP"},
		{"S-30 S-181 M-15 result and conditions", failure(FailureConditions{Result: ResultRetry, Conditions: condition(ResultRollback, ok)}), invalidStage,
			"The following stage cannot have a failure exit gate configured with both top level result and conditions: 'Build'"},
		{"S-30 neither", failure(FailureConditions{}), invalidStage,
			"'onFailure' of stage 'Build' has neither a result nor conditions. Give it exactly one of them"},
		{"S-30 retry configuration without retry", failure(FailureConditions{Result: ResultRollback, RetryConfiguration: &RetryConfiguration{}}), invalidStage,
			"'onFailure' of stage 'Build' has a 'retryConfiguration', which needs the result RETRY"},
		{"S-30 retry mode", failure(FailureConditions{Result: ResultRetry, RetryConfiguration: &RetryConfiguration{"SOME"}}), invalidStage,
			"The retry mode 'SOME' of stage 'Build' is not known. Use one of: FAILED_ACTIONS, ALL_ACTIONS"},
		{"S-31 M-16 rollback in PARALLEL mode", on(failure(FailureConditions{Result: ResultRollback}), parallel), invalidStage,
			"Failure conditions with rollback result type cannot be added to a PARALLEL pipeline."},
		{"S-31 M-16 condition in PARALLEL mode", on(failure(FailureConditions{Conditions: condition(ResultRollback, ok)}), parallel), invalidStage,
			"Failure conditions with rollback result type cannot be added to a PARALLEL pipeline."},
		{"S-31 M-16 success condition in PARALLEL mode", on(success(ResultRollback, ok), parallel), invalidStage,
			"Success conditions with rollback result type cannot be added to a PARALLEL pipeline."},
		{"S-31 retry in PARALLEL mode", on(failure(FailureConditions{Result: ResultRetry}), parallel), "", ""},
		{"S-205 SKIP with a variable check", entry(ResultSkip, ok), "", ""},
		{"S-205 SKIP with an alarm", entry(ResultSkip, rulesOf("CloudWatchAlarm", "AlarmName", "errors")), invalidStage,
			"Rule 'r' of stage 'Build' cannot be used with the result SKIP. Only the rules LambdaInvoke and VariableCheck can"},
	})
}

// rulesOf makes a rule named r of a provider with one configuration key.
func rulesOf(provider, key, value string) Rule {
	r := Rule{Name: "r", RuleTypeID: RuleTypeID{CategoryRule, OwnerAWS, provider, "1"}}
	if key != "" {
		r.Configuration = map[string]string{key: value}
	}
	return r
}

func TestRules(t *testing.T) {
	t.Parallel()
	with := func(gate string, change func(r *Rule), r Rule) func(*Declaration, *Env) {
		return func(d *Declaration, _ *Env) {
			if change != nil {
				change(&r)
			}
			s := &d.Stages[1]
			if gate == "entry" {
				s.BeforeEntry = &Conditions{condition(ResultFail, r)}
			} else {
				s.OnSuccess = &Conditions{condition(ResultFail, r)}
			}
		}
	}
	inputs := func(names ...string) func(*Rule) {
		return func(r *Rule) {
			for _, name := range names {
				r.InputArtifacts = append(r.InputArtifacts, ArtifactName{name})
			}
		}
	}
	runCommands := rulesOf("Commands", "", "")
	runCommands.Commands = []string{"true"}
	runRefusals(t, []refusal{
		{"S-32 rule name twice", func(d *Declaration, _ *Env) {
			d.Stages[1].BeforeEntry = &Conditions{condition(ResultFail, varCheck("r"), varCheck("r"))}
		}, invalidStage, "Rule name 'r' is used more than once in 'beforeEntry' of stage 'Build'"},
		{"S-32 unknown rule type", with("entry", nil, rulesOf("Moon", "", "")), invalidStage,
			"RuleType (Category: 'Rule', Provider: 'Moon', Owner: 'AWS', Version: '1') in rule 'r' is not available in region 'US_EAST_1'"},
		{"S-32 other owner", with("entry", func(r *Rule) { r.RuleTypeID.Owner = OwnerCustom }, varCheck("r")), invalidStage,
			"RuleType (Category: 'Rule', Provider: 'VariableCheck', Owner: 'Custom', Version: '1') in rule 'r' is not available in region 'US_EAST_1'"},
		{"S-32 time-out", with("entry", func(r *Rule) { r.TimeoutInMinutes = 86401 }, varCheck("r")), invalidValue,
			"1 validation error detected: Value at 'pipeline.stages.2.member.beforeEntry.conditions.1.member.rules.1.member.timeoutInMinutes' failed to satisfy constraint: Member must have value less than or equal to 86400"},
		{"S-215 required key", with("entry", func(r *Rule) { delete(r.Configuration, "Value") }, varCheck("r")), invalidStage,
			"Rule configuration for rule 'r' is missing required configuration 'Value'"},
		{"S-215 operator", with("entry", func(r *Rule) { r.Configuration["Operator"] = "LIKE" }, varCheck("r")), invalidStage,
			"The value 'LIKE' of configuration 'Operator' for rule 'r' is not valid. It must be one of: EQ, NE, CONTAINS, MATCHES"},
		{"S-214 unknown key", with("entry", func(r *Rule) { r.Configuration["cron"] = "x" }, rulesOf("DeploymentWindow", "Cron", "* * 9-17 ? * MON-FRI")), invalidStage,
			"Rule configuration for rule 'r' contains unknown configuration 'cron'. Did you mean 'Cron'? The configuration of DeploymentWindow is: Cron, TimeZone"},
		{"S-216 commands", with("entry", nil, runCommands), "", ""},
		{"S-216 no commands", with("entry", nil, rulesOf("Commands", "", "")), invalidStage, "Rule r must have a non-empty commands field"},
		{"S-216 commands elsewhere", with("entry", func(r *Rule) { r.Commands = []string{"true"} }, varCheck("r")), invalidStage,
			"Rule r has commands, which only the provider Commands can have"},
		{"S-217 too few inputs", with("entry", nil, rulesOf("CodeBuild", "ProjectName", "p")), invalidStage,
			"Rule r declares 0 input artifacts which is less than the minimum count (1)"},
		{"S-49 entry rule with an earlier artifact", with("entry", inputs("Sources"), runCommands), "", ""},
		{"S-49 M-22 entry rule with an artifact of its stage", with("entry", inputs("Binary"), runCommands), invalidAction,
			"Input Artifact Bundle Binary in rule r is not declared as Output Artifact Bundle in any of the preceding actions"},
		{"S-49 exit rule with an artifact of its stage", with("exit", inputs("Binary"), runCommands), "", ""},
		{"S-219 S-275 M-27 entry rule with a variable of its stage", with("entry", func(r *Rule) { r.Configuration["Variable"] = "#{build.X}" }, varCheck("r")), invalidAction,
			"Valid format for a pipeline execution variable reference is a namespace and a key separated by a period (.). The following pipeline execution variables are referencing a namespace that does not exist.\nStageName=[Build], RuleName=[r], RuleConfigurationKey=[Variable], VariableReferenceText=[build.X]"},
		{"S-275 exit rule with a variable of its stage", with("exit", func(r *Rule) { r.Configuration["Variable"] = "#{build.X}" }, varCheck("r")), "", ""},
	})
}
