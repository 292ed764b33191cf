package pipeline

import (
	"cmp"
	"slices"
	"strings"
)

// Stage finds a stage by name and gives its place in the pipeline, counted from 0.
func (d *Declaration) Stage(name string) (*Stage, int, bool) {
	for i := range d.Stages {
		if d.Stages[i].Name == name {
			return &d.Stages[i], i, true
		}
	}
	return nil, -1, false
}

// Action finds an action of the stage by name.
func (s *Stage) Action(name string) (*Action, bool) {
	for i := range s.Actions {
		if s.Actions[i].Name == name {
			return &s.Actions[i], true
		}
	}
	return nil, false
}

// Order gives the effective run order: 1 if none is declared (S-35).
func (a *Action) Order() int { return cmp.Or(a.RunOrder, 1) }

// Flag reads a configuration key that holds true or false in any case. An absent key, and a
// value that is neither, gives the default of the key.
func (a *Action) Flag(key string, otherwise bool) bool {
	switch value := a.Configuration[key]; {
	case strings.EqualFold(value, "true"):
		return true
	case strings.EqualFold(value, "false"):
		return false
	}
	return otherwise
}

// Groups gives the actions of a stage by ascending run order; actions that share one start
// together and keep their declared order (S-55, S-56).
func Groups(s *Stage) [][]*Action {
	actions := make([]*Action, len(s.Actions))
	for i := range s.Actions {
		actions[i] = &s.Actions[i]
	}
	slices.SortStableFunc(actions, func(a, b *Action) int { return cmp.Compare(a.Order(), b.Order()) })
	var groups [][]*Action
	for i, a := range actions {
		if i == 0 || a.Order() != actions[i-1].Order() {
			groups = append(groups, nil)
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], a)
	}
	return groups
}

// ArtifactBucket gives the artifact store that serves a Region (S-10). A pipeline with a
// single store keeps everything there, so the Region does not matter to it.
func ArtifactBucket(d *Declaration, region string) (ArtifactStore, bool) {
	if d.ArtifactStore != nil {
		return *d.ArtifactStore, true
	}
	store, ok := d.ArtifactStores[region]
	return store, ok
}

// ArtifactKey names the object of an artifact. The names are cut short to keep the policies
// of job credentials small, so only random tells two artifacts apart, and a key is never
// computed again: readers use the recorded location (S-287, S-288).
func ArtifactKey(pipelineName, artifactName, random string) string {
	return cut(pipelineName, 20) + "/" + cut(artifactName, 10) + "/" + random
}

// cut gives the first n characters of s.
func cut(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}
