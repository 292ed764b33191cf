package pipeline

import "time"

// ActionType describes a type of action: what it may be given and how long it may run.
// Built-in types come from their provider's descriptor, custom ones from CreateCustomActionType.
type ActionType struct {
	ID ActionTypeID `json:"id"`
	// Inputs and Outputs bound the number of artifacts (S-51, S-52).
	Inputs  Bounds `json:"inputArtifactDetails"`
	Outputs Bounds `json:"outputArtifactDetails"`
	// Properties are the configuration keys of the type, in display order (S-36).
	Properties []Property `json:"configurationProperties,omitempty"`
	// AnyKey types take keys they do not name: their vendor never published them.
	AnyKey   bool     `json:"anyKey,omitempty"`
	Settings Settings `json:"settings,omitzero"`
	// Timeout ends an action of this type as Failed (S-327 to S-338).
	Timeout time.Duration `json:"timeout,omitempty"`
	// Silence ends an action of this type as Failed when its job tells nothing for so long; zero
	// for types of which nothing need be heard before their timeout (S-325).
	Silence time.Duration `json:"silence,omitempty"`
	// Function is the ARN of the function of Lambda that does the work of a type declared with an
	// executor of the type Lambda, and empty for every other (S-321).
	Function string `json:"function,omitempty"`
	// V2Only types need a pipeline of type V2 (S-17).
	V2Only bool `json:"v2Only,omitempty"`
	// Unavailable says why no action of this type can run on this server yet; such a type is
	// accepted in definitions and fails when its turn comes. Empty for a type that runs.
	Unavailable string `json:"unavailable,omitempty"`
}

// Bounds are the smallest and largest number of artifacts.
type Bounds struct {
	Min int `json:"minimumCount"`
	Max int `json:"maximumCount"`
}

// Property is one configuration key of an action type (S-298).
type Property struct {
	Name        string `json:"name"`
	Required    bool   `json:"required"`
	Key         bool   `json:"key"`
	Secret      bool   `json:"secret"`
	Queryable   bool   `json:"queryable,omitempty"`
	Description string `json:"description,omitempty"`
	// Type is String, Number or Boolean; empty means String.
	Type string `json:"type,omitempty"`
	// Values lists the only values allowed, if the type has a fixed set.
	Values []string `json:"values,omitempty"`
}

// Settings are the URL templates of an action type (S-299).
type Settings struct {
	ThirdPartyConfigurationURL string `json:"thirdPartyConfigurationUrl,omitempty"`
	EntityURLTemplate          string `json:"entityUrlTemplate,omitempty"`
	ExecutionURLTemplate       string `json:"executionUrlTemplate,omitempty"`
	RevisionURLTemplate        string `json:"revisionUrlTemplate,omitempty"`
}

// Property finds a configuration key by name.
func (t ActionType) Property(name string) (Property, bool) {
	for _, p := range t.Properties {
		if p.Name == name {
			return p, true
		}
	}
	return Property{}, false
}

// QueryableValue gives the queryable property of the type and its value in a configuration,
// by which job workers pick their jobs (S-305); ok is false for a type without one.
func (t ActionType) QueryableValue(configuration map[string]string) (name, value string, ok bool) {
	for _, p := range t.Properties {
		if p.Queryable {
			return p.Name, configuration[p.Name], true
		}
	}
	return "", "", false
}

// Queryable says whether a value can be that of a queryable property (S-298): others cannot
// be asked for by any worker.
func (l Limits) Queryable(value string) bool {
	return len(value) <= l.QueryableValue && queryableValue.MatchString(value)
}

// Catalogue answers which action types exist; a deleted or unknown type gives false.
type Catalogue func(ActionTypeID) (ActionType, bool)

// NewCatalogue makes a catalogue of the given types; of two with the same id the later wins.
func NewCatalogue(types ...ActionType) Catalogue {
	byID := make(map[ActionTypeID]ActionType, len(types))
	for _, t := range types {
		byID[t.ID] = t
	}
	return func(id ActionTypeID) (ActionType, bool) {
		t, ok := byID[id]
		return t, ok
	}
}
