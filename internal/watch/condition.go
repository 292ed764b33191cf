package watch

import (
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
)

// Condition is a condition of a stage, called entry, success or failure, as it was evaluated
// last. Summary says why it was not met, or which rules it waits for.
type Condition struct {
	Name    string `json:"name"`
	Status  string `json:"status"`
	Summary string `json:"summary,omitempty"`
}

func (s *Stage) condition(name string) Condition {
	if i := slices.IndexFunc(s.Conditions, func(c Condition) bool { return c.Name == name }); i >= 0 {
		return s.Conditions[i]
	}
	return Condition{}
}

// judge takes over the conditions that were evaluated for the execution in a stage, whose actions
// are known. The state shows each condition as it was evaluated last, maybe for an execution
// before (S-121): an entry condition is evaluated at once, a success condition once all
// actions have succeeded, and a failure condition once one has failed and none runs.
func (st *Stage) judge(now types.StageState) {
	inside := true
	if c := conditionOf("entry", now.BeforeEntryConditionState); c != nil {
		st.Conditions = append(st.Conditions, *c)
		inside = c.Status == StatusSucceeded || c.Status == string(types.ConditionExecutionStatusOverridden)
	}
	count := map[string]int{}
	for _, a := range st.Actions {
		count[a.Status]++
	}
	if c := conditionOf("success", now.OnSuccessConditionState); c != nil && inside && count[StatusSucceeded] == len(st.Actions) {
		st.Conditions = append(st.Conditions, *c)
	}
	if c := conditionOf("failure", now.OnFailureConditionState); c != nil && inside && count[StatusInProgress] == 0 && count["Failed"]+count["Abandoned"] > 0 {
		st.Conditions = append(st.Conditions, *c)
	}
}

func conditionOf(name string, state *types.StageConditionState) *Condition {
	if state == nil || state.LatestExecution == nil {
		return nil
	}
	last := state.LatestExecution
	c := &Condition{Name: name, Status: string(last.Status), Summary: aws.ToString(last.Summary)}
	if running := running(state); c.Summary == "" && len(running) > 0 {
		c.Summary = "waits for " + strings.Join(running, ", ")
	}
	return c
}

// running gives the names of the rules that a condition waits for.
func running(state *types.StageConditionState) (names []string) {
	for _, c := range state.ConditionStates {
		for _, r := range c.RuleStates {
			if r.LatestExecution != nil && r.LatestExecution.Status == types.RuleExecutionStatusInProgress {
				names = append(names, aws.ToString(r.RuleName))
			}
		}
	}
	return names
}

func (st Style) conditionLine(c Condition) line {
	sign, colour := st.sign(c.Status, false)
	l := line{{text: "      " + sign + " ", colour: colour}, {text: c.Name + " condition"}}
	if c.Summary != "" {
		text := span{text: "  " + Clean(c.Summary)}
		if c.Status == "Failed" || c.Status == "Errored" {
			text.colour = red
		}
		l = append(l, text)
	}
	return l
}
