package pipeline

import (
	"cmp"
	"slices"
	"time"
)

// BuiltinTypes are the action types every server knows (S-52, S-53), ordered by owner,
// category and provider. The result is a fresh copy. Types of the same id that a provider
// describes replace them; the others stay known, so that definitions written for AWS are
// taken as they are, and say in Unavailable that they do not run here.
func BuiltinTypes() []ActionType {
	types := slices.Concat(sourceTypes(), buildTypes(), deployTypes(), stackTypes(), invokeTypes())
	slices.SortFunc(types, func(a, b ActionType) int {
		return cmp.Or(cmp.Compare(a.ID.Owner, b.ID.Owner), cmp.Compare(a.ID.Category, b.ID.Category),
			cmp.Compare(a.ID.Provider, b.ID.Provider), cmp.Compare(a.ID.Version, b.ID.Version))
	})
	return types
}

// builtinType makes a type that this server runs.
func builtinType(category, owner, provider string, inputs, outputs Bounds, timeout time.Duration, properties ...Property) ActionType {
	return ActionType{
		ID:         ActionTypeID{Category: category, Owner: owner, Provider: provider, Version: "1"},
		Inputs:     inputs,
		Outputs:    outputs,
		Properties: properties,
		Timeout:    timeout,
	}
}

// known but not run: a definition that names the type is taken, the action fails in its turn.
func (t ActionType) notRun() ActionType {
	t.Unavailable = "This server does not run the action type " + t.ID.Category + "/" + t.ID.Provider +
		" yet: definitions may use it, but an action of this type fails when its turn comes."
	return t
}

func (t ActionType) v2Only() ActionType {
	t.V2Only = true
	return t
}

// none and one are the commonest bounds.
var (
	none = Bounds{}
	one  = Bounds{Min: 1, Max: 1}
)

func upTo(n int) Bounds         { return Bounds{Max: n} }
func between(min, n int) Bounds { return Bounds{Min: min, Max: n} }

const day = 24 * time.Hour

// required and optional make keys of free text; flag, number and choice narrow the values.

func required(name, description string) Property {
	return Property{Name: name, Required: true, Description: description, Type: PropertyString}
}

func optional(name, description string) Property {
	return Property{Name: name, Description: description, Type: PropertyString}
}

func flag(name, description string) Property {
	return Property{Name: name, Description: description, Type: PropertyBoolean}
}

func number(name, description string) Property {
	return Property{Name: name, Description: description, Type: PropertyNumber}
}

func choice(name, description string, values ...string) Property {
	return Property{Name: name, Description: description, Type: PropertyString, Values: values}
}

// must makes a narrowed key required.
func (p Property) must() Property {
	p.Required = true
	return p
}

// hidden makes a key secret (S-38).
func (p Property) hidden() Property {
	p.Secret = true
	return p
}

// identity marks the keys that together name the project an action works on.
func (p Property) identity() Property {
	p.Key = true
	return p
}
