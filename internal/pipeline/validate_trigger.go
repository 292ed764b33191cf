package pipeline

import (
	"encoding/json"
	"fmt"
	"slices"
	"unicode/utf8"

	"penstock/internal/fault"
)

// triggers checks the trigger declarations (S-19, S-255 to S-258: M-26).
func (v *validator) triggers() error {
	list := v.d.Triggers
	if len(list) > v.limits.Triggers {
		return violation("pipeline.triggers", tooLong, v.limits.Triggers)
	}
	connections := map[string]bool{}
	for i := range v.d.Stages[0].Actions {
		if a := &v.d.Stages[0].Actions[i]; IsConnection(a.ActionTypeID) {
			connections[a.Name] = true
		}
	}
	seen := map[string]bool{}
	for i := range list {
		source := list[i].GitConfiguration.SourceActionName
		if list[i].ProviderType != connectionProvider || !connections[source] {
			return fault.New(invalidStructure, "Triggers for connections must reference a CodeStarSourceConnection action.")
		}
		if seen[source] {
			return fault.New(invalidStructure, "Source action '%s' has more than one trigger. Put the filters of a source action into one trigger", source)
		}
		seen[source] = true
		if err := v.trigger(fmt.Sprintf("pipeline.triggers.%d.member.gitConfiguration", i+1), &list[i].GitConfiguration); err != nil {
			return err
		}
	}
	if len(list) == 0 {
		return nil
	}
	if text, err := json.Marshal(list); err != nil || len(text) > v.limits.TriggersBytes {
		return fault.New(invalidStructure, "The triggers of the pipeline are larger than %d bytes", v.limits.TriggersBytes)
	}
	return nil
}

func (v *validator) trigger(path string, git *GitConfiguration) error {
	if len(git.Push) > maxFilters {
		return violation(path+".push", tooLong, maxFilters)
	}
	for i, f := range git.Push {
		at := fmt.Sprintf("%s.push.%d.member", path, i+1)
		if err := checkFilters(at, f.Tags, f.Branches, f.FilePaths); err != nil {
			return err
		}
		if v.env.StrictTriggers && (f.Tags != nil && (f.Branches != nil || f.FilePaths != nil) || f.FilePaths != nil && f.Branches == nil) {
			return fault.New(invalidStructure, "The trigger configuration for the source action is not valid. Make sure to choose valid filter combinations.")
		}
	}
	if len(git.PullRequest) > maxFilters {
		return violation(path+".pullRequest", tooLong, maxFilters)
	}
	for i, f := range git.PullRequest {
		at := fmt.Sprintf("%s.pullRequest.%d.member", path, i+1)
		if err := checkFilters(at, nil, f.Branches, f.FilePaths); err != nil {
			return err
		}
		if err := checkEvents(at, f.Events); err != nil {
			return err
		}
	}
	return nil
}

func checkEvents(path string, events []string) error {
	seen := map[string]bool{}
	for _, event := range events {
		if !slices.Contains([]string{"OPEN", "UPDATED", "CLOSED"}, event) {
			return violation(path+".events", notIn, "OPEN, UPDATED, CLOSED")
		}
		if seen[event] {
			return fault.New(invalidStructure, "The pull request event %s is given more than once in one filter", event)
		}
		seen[event] = true
	}
	return nil
}

func checkFilters(path string, tags, branches, filePaths *GitFilter) error {
	for _, criterion := range []struct {
		name   string
		filter *GitFilter
	}{{"tags", tags}, {"branches", branches}, {"filePaths", filePaths}} {
		if criterion.filter == nil {
			continue
		}
		for _, side := range []struct {
			name     string
			patterns []string
		}{{"includes", criterion.filter.Includes}, {"excludes", criterion.filter.Excludes}} {
			at := path + "." + criterion.name + "." + side.name
			if len(side.patterns) > maxPatterns {
				return violation(at, tooLong, maxPatterns)
			}
			for _, pattern := range side.patterns {
				if pattern == "" {
					return violation(at, "Member must satisfy constraint: ["+tooShort+"]", 1)
				}
				if utf8.RuneCountInString(pattern) > maxPattern {
					return violation(at, "Member must satisfy constraint: ["+tooLong+"]", maxPattern)
				}
			}
		}
	}
	return nil
}
